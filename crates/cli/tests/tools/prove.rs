//! setup, prove, verify.

use std::fs;

use crate::support::{MODEL, NONCE, Sealed, json, models, run, sample_file, text};

#[test]
fn a_held_out_sample_is_proven_and_verified() {
    let sealed = Sealed::sample();
    let proven = sealed
        .prove(
            "3",
            "r.json",
            &["--nonce", NONCE, "--package-digest", &sealed.digest],
        )
        .ended(0, "")
        .json();
    assert_eq!(proven["verdict"], "accepted");
    assert_eq!(proven["setup"], "single-party");
    assert_eq!(
        proven["proof_bytes"], 320,
        "of the backend that is predicted to be faster"
    );
    assert!(proven["timings"]["proving_seconds"].as_f64().unwrap() > 0.0);
    assert_eq!(proven["outputs"][0]["values"].as_array().unwrap().len(), 2);
    assert_eq!(proven["outputs"][0]["views"]["class"][0]["label"], "benign");

    let verified = sealed
        .verify("r.json", &["--nonce", NONCE])
        .ended(0, "")
        .json();
    assert_eq!(verified["receipt_id"], proven["receipt_id"]);
    assert_eq!(verified["outputs"], proven["outputs"]);
    assert_eq!(verified["signature"]["status"], "valid-unpinned");
    let doubts = verified["not_proven"].to_string();
    assert!(doubts.contains("single-party"), "{doubts}");

    let signer = verified["signer"].as_str().unwrap();
    let pinned = sealed
        .verify("r.json", &["--service-key", signer])
        .ended(0, "")
        .json();
    assert_eq!(pinned["signature"]["status"], "valid-pinned");

    let (package, receipt) = (sealed.package(), sealed.file("r.json"));
    let manifest = format!("{package}/manifest.json");
    let key = format!("{package}/verifying_key.bin");
    let by_files = run(&[
        "verify",
        &receipt,
        "--manifest",
        &manifest,
        "--verifying-key",
        &key,
        "--package-digest",
        &sealed.digest,
    ]);
    assert_eq!(by_files.code, 0);
    assert!(
        by_files.stdout.starts_with("ACCEPTED"),
        "{}",
        by_files.stdout
    );
    assert!(by_files.stdout.contains("single-party"));
}

#[test]
fn whatever_does_not_fit_is_rejected_with_exit_1() {
    let sealed = Sealed::sample();
    sealed
        .prove("0", "r.json", &["--nonce", NONCE])
        .ended(0, "");

    let other_nonce = NONCE.replace("01", "02");
    sealed
        .verify("r.json", &["--nonce", &other_nonce])
        .ended(1, "context-mismatch");
    let other_key = format!("0x{}", "11".repeat(32));
    sealed
        .verify("r.json", &["--service-key", &other_key])
        .ended(1, "signer-mismatch");

    let (package, receipt) = (sealed.package(), sealed.file("r.json"));
    let other_digest = format!("sha256:{}", "0".repeat(64));
    json(&[
        "verify",
        &receipt,
        "--package",
        &package,
        "--package-digest",
        &other_digest,
    ])
    .ended(1, "package-not-pinned");

    // Every byte of the signed part counts; a flipped one is seen wherever it stands.
    let bytes = fs::read(sealed.file("r.json")).unwrap();
    for (at, name) in [
        (40, "a.json"),
        (bytes.len() / 2, "b.json"),
        (bytes.len() - 60, "c.json"),
    ] {
        let mut changed = bytes.clone();
        changed[at] = if changed[at] == b'A' { b'B' } else { b'A' };
        fs::write(sealed.file(name), changed).unwrap();
        let ran = sealed.verify(name, &[]);
        assert_eq!(ran.code, 1, "byte {at}: {}", ran.stdout);
    }
    fs::write(sealed.file("t.json"), &bytes[..bytes.len() - 1]).unwrap();
    sealed.verify("t.json", &[]).ended(1, "receipt-malformed");
    sealed
        .verify("missing.json", &[])
        .ended(3, "file-unreadable");

    // A receipt of another package of the same model: the setups differ.
    let other = Sealed::sample();
    assert_ne!(other.digest, sealed.digest);
    let (package, digest) = (other.package(), other.digest.as_str());
    json(&[
        "verify",
        &receipt,
        "--package",
        &package,
        "--package-digest",
        digest,
    ])
    .ended(1, "package-not-pinned");
}

#[test]
fn a_package_that_was_touched_does_not_prove() {
    let sealed = Sealed::sample();
    for (file, code) in [
        ("integer.onnx", "package-file-digest"),
        ("verifying_key.bin", "package-file-digest"),
        ("proving_key.bin", "key-digest-mismatch"),
    ] {
        let path = format!("{}/{file}", sealed.package());
        let bytes = fs::read(&path).unwrap();
        let mut changed = bytes.clone();
        let middle = changed.len() / 2;
        changed[middle] ^= 1;
        fs::write(&path, changed).unwrap();
        sealed.prove("0", "r.json", &[]).ended(1, code);
        fs::write(&path, bytes).unwrap();
    }
    let other_digest = format!("sha256:{}", "0".repeat(64));
    sealed
        .prove("0", "r.json", &["--package-digest", &other_digest])
        .ended(1, "package-not-pinned");
    assert!(!fs::exists(sealed.file("r.json")).unwrap());
    sealed.prove("0", "r.json", &[]).ended(0, "");
}

#[test]
fn hidden_tensors_open_to_their_owner() {
    let root = tempfile::tempdir().unwrap();
    let draft = text(&root.path().join("draft"));
    let (float, calibration) = (sample_file("float.onnx"), sample_file("calibration.npz"));
    json(&[
        "import",
        &float,
        "--calibration",
        &calibration,
        "--name",
        MODEL,
        "--out",
        &draft,
        "--visibility",
        "features=private",
        "--visibility",
        "logits=hashed",
    ])
    .ended(0, "");
    let sealed = Sealed::of(&draft, root);
    let openings = sealed.file("openings.json");
    let proven = sealed
        .prove("1", "r.json", &["--openings", &openings])
        .ended(0, "")
        .json();
    assert_eq!(proven["opened"].as_array().unwrap().len(), 2);
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt as _;
        let mode = fs::metadata(&openings).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600, "salts are for their owner alone");
    }

    let blind = sealed.verify("r.json", &[]).ended(0, "").json();
    assert!(blind["inputs"][0]["values"].is_null());
    assert!(blind["inputs"][0]["commitment"].is_string());
    let doubts = blind["not_proven"].to_string();
    assert!(doubts.contains("features, logits"), "{doubts}");

    let open = sealed
        .verify("r.json", &["--openings", &openings])
        .ended(0, "")
        .json();
    assert_eq!(open["inputs"][0]["values"], proven["inputs"][0]["values"]);
    assert_eq!(open["outputs"][0]["values"], proven["outputs"][0]["values"]);

    let text = fs::read_to_string(&openings).unwrap();
    let salt = text.split("\"salt\":\"0x").nth(1).unwrap()[..64].to_owned();
    let wrong = text.replace(&salt, &format!("{}{}", "0".repeat(60), &salt[60..]));
    let wrong_path = sealed.file("wrong.json");
    fs::write(&wrong_path, wrong).unwrap();
    sealed
        .verify("r.json", &["--openings", &wrong_path])
        .ended(1, "opening-mismatch");
    // Salts are never overwritten, and nothing is proven whose salts would be lost.
    sealed
        .prove("1", "other.json", &["--openings", &openings])
        .ended(3, "file-unwritable");
    assert!(!fs::exists(sealed.file("other.json")).unwrap());
    assert_eq!(fs::read_to_string(&openings).unwrap(), text);
    commitments_open_without_the_package(&sealed, &openings, &wrong_path);
}

/// `receipt open`, by whoever has receipt and opening alone.
fn commitments_open_without_the_package(sealed: &Sealed, openings: &str, wrong: &str) {
    let receipt = sealed.file("r.json");
    let open = |receipt: &str, opening: &str| {
        json(&[
            "receipt",
            "open",
            "--receipt",
            receipt,
            "--opening",
            opening,
        ])
    };
    let opened = open(&receipt, openings).ended(0, "").json();
    let verified = sealed
        .verify("r.json", &["--openings", openings])
        .ended(0, "")
        .json();
    assert_eq!(opened["verdict"], "opened");
    assert_eq!(opened["receipt_id"], verified["receipt_id"]);
    assert_eq!(opened["tensors"][0]["visibility"], "private");
    assert_eq!(
        opened["tensors"][0]["values"],
        verified["inputs"][0]["values"]
    );
    assert_eq!(opened["tensors"][1]["visibility"], "hashed");
    assert_eq!(opened["closed"], serde_json::json!([]));
    assert!(
        opened["not_proven"]
            .to_string()
            .contains("a model computed anything")
    );
    open(&receipt, wrong).ended(1, "opening-mismatch");
    open(&receipt, &receipt).ended(2, "openings-malformed");
    open(&sealed.file("nothing.json"), openings).ended(3, "file-unreadable");

    // One of two: the other stays closed. One twice: refused.
    let mut one: serde_json::Value =
        serde_json::from_str(&fs::read_to_string(openings).unwrap()).unwrap();
    let list = one["openings"].as_array_mut().unwrap();
    let hashed = list.pop().unwrap();
    let path = sealed.file("one.json");
    fs::write(&path, one.to_string()).unwrap();
    let opened = open(&receipt, &path).ended(0, "").json();
    assert_eq!(opened["closed"], serde_json::json!(["logits"]));
    one["openings"]
        .as_array_mut()
        .unwrap()
        .extend([hashed.clone(), hashed]);
    fs::write(&path, one.to_string()).unwrap();
    open(&receipt, &path).ended(2, "openings-malformed");

    // A receipt that was touched opens nothing.
    let bytes = fs::read(&receipt).unwrap();
    let mut touched = bytes.clone();
    let last = touched.len() - 10;
    touched[last] = if touched[last] == b'A' { b'B' } else { b'A' };
    let path = sealed.file("touched.json");
    fs::write(&path, touched).unwrap();
    open(&path, openings).ended(1, "signature-invalid");

    // Without --openings the salts are kept beside the receipt, and they are another receipt's.
    let proven = sealed.prove("1", "next.json", &[]).ended(0, "").json();
    let beside = sealed.file("next.json.openings");
    assert_eq!(proven["openings_file"], beside);
    open(&sealed.file("next.json"), &beside).ended(0, "");
    open(&receipt, &beside).ended(1, "opening-mismatch");
    fs::remove_file(sealed.file("next.json")).unwrap();
    sealed
        .prove("1", "next.json", &[])
        .ended(3, "file-unwritable");
    assert!(!fs::exists(sealed.file("next.json")).unwrap());

    let schema = json(&["receipt", "schema", "openings"]).ended(0, "").json();
    assert_eq!(
        schema["properties"]["format"]["const"],
        "proofmark/openings/v1"
    );
}

#[test]
fn inputs_come_in_every_form_and_bad_ones_are_usage_errors() {
    let sealed = Sealed::sample();
    let values = |ran: crate::support::Ran| ran.ended(0, "").json()["inputs"][0]["values"].clone();
    let reference = values(sealed.prove("0", "r.json", &[]));

    let request = sample_file("request.json");
    let (package, receipt) = (sealed.package(), sealed.file("q.json"));
    let prove = |input: &str| {
        json(&[
            "prove",
            "--package",
            &package,
            "--input",
            input,
            "--receipt",
            &receipt,
        ])
    };
    assert_eq!(values(prove(&request)), reference);
    let parsed: serde_json::Value =
        serde_json::from_str(&fs::read_to_string(&request).unwrap()).unwrap();
    let plain = sealed.file("plain.json");
    fs::write(&plain, parsed["inputs"][0]["data"].to_string()).unwrap();
    assert_eq!(values(prove(&plain)), reference);

    fs::remove_file(sealed.file("q.json")).unwrap();
    let integers = sealed.file("integers.json");
    fs::write(&integers, reference.to_string()).unwrap();
    let ran = json(&[
        "prove",
        "--package",
        &package,
        "--input",
        &integers,
        "--quantized",
        "--receipt",
        &receipt,
    ]);
    assert_eq!(values(ran), reference);
    fs::remove_file(sealed.file("q.json")).unwrap();

    for (content, code) in [
        ("[1, 2]".to_owned(), "input-shape"),
        (
            format!("[{}]", vec!["1e39"; 30].join(",")),
            "input-not-finite",
        ),
        ("[[1], 2]".to_owned(), "input-file-malformed"),
        ("{\"a\": [1], \"b\": [2]}".to_owned(), "input-missing"),
    ] {
        let path = sealed.file("bad.json");
        fs::write(&path, &content).unwrap();
        prove(&path).ended(2, code);
    }
    let heldout = sample_file("heldout.npz");
    prove(&heldout).ended(2, "sample-missing");
    sealed
        .prove("171", "q.json", &[])
        .ended(2, "sample-missing");
    prove(&sealed.file("nothing.npy")).ended(3, "file-unreadable");
    assert!(
        !fs::exists(sealed.file("q.json")).unwrap(),
        "nothing was proven"
    );
}

#[test]
fn setup_seals_into_a_new_folder_and_leaves_the_draft_alone() {
    let draft = models().join(MODEL);
    let before = fs::read(draft.join("manifest.json")).unwrap();
    let sealed = Sealed::sample();
    assert_eq!(fs::read(draft.join("manifest.json")).unwrap(), before);
    let package = sealed.package();
    for file in [
        "manifest.json",
        "integer.onnx",
        "verifying_key.bin",
        "proving_key.bin",
        "transcript.json",
    ] {
        assert!(fs::exists(format!("{package}/{file}")).unwrap(), "{file}");
    }
    let draft = text(&draft);
    json(&["setup", &draft, "--out", &package]).ended(2, "package-folder-not-empty");
    let again = sealed.file("again");
    json(&["setup", &package, "--out", &again]).ended(2, "package-sealed");
    json(&["setup", &sealed.file("nothing"), "--out", &again]).ended(3, "package-io");
    json(&[
        "prove",
        "--package",
        &draft,
        "--input",
        "x.npy",
        "--receipt",
        "r.json",
    ])
    .ended(2, "package-draft");
}

#[test]
fn usage_errors_end_with_2_and_help_with_0() {
    for line in [
        "",
        "prove",
        "verify r.json --package p",
        "setup",
        "bench --runs 0",
        "import f.onnx",
        "verify r.json --package p --package-digest md5:0",
        "nonsense",
    ] {
        let arguments: Vec<&str> = line.split_whitespace().collect();
        let ran = run(&arguments);
        assert_eq!(ran.code, 2, "{line}: {}", ran.stderr);
        assert!(ran.stdout.is_empty() && !ran.stderr.is_empty());
    }
    for line in ["--help", "--version", "prove --help"] {
        let arguments: Vec<&str> = line.split_whitespace().collect();
        assert_eq!(run(&arguments).code, 0, "{line}");
    }
}

#[test]
fn errors_for_people_name_cause_and_hint() {
    let sealed = Sealed::sample();
    let (package, heldout, receipt) = (
        sealed.package(),
        sample_file("heldout.npz"),
        sealed.file("r.json"),
    );
    let ran = run(&[
        "prove",
        "--package",
        &package,
        "--input",
        &heldout,
        "--receipt",
        &receipt,
    ]);
    assert_eq!(ran.code, 2);
    assert!(ran.stdout.is_empty());
    assert!(ran.stderr.starts_with("error: "), "{}", ran.stderr);
    assert!(ran.stderr.contains("[sample-missing]"), "{}", ran.stderr);
    assert!(
        ran.stderr.contains("\nhint: choose one with --sample"),
        "{}",
        ran.stderr
    );
}

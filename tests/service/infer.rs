//! Answers and their receipts, verified and tampered with by separate processes.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use ed25519_dalek::SigningKey;
use proofmark_runtime::{IntSession, OptLevel};
use proofmark_tests::Random;
use proofmark_tests::samples;
use proofmark_tests::service::{Public, SERVED, Service, Start, packages, program, proofmark, run};
use proofmark_types::problem::lookup;
use proofmark_types::receipt::{Envelope, RecordValue};
use proofmark_types::{Digest, IntTensor};
use serde_json::json;

use crate::{DIGITS, RISK, alone, envelope, public, values};

#[test]
fn floats_and_integers_get_the_runtimes_answer_with_a_receipt() {
    let data = tempfile::tempdir().unwrap();
    let service = Service::start(Start {
        packages: packages(),
        data: data.path(),
        more: &[],
    });
    for (at, (name, classes)) in SERVED.into_iter().enumerate() {
        let classes: Vec<&str> = classes.split(',').collect();
        let model = Public::of(name);
        let spec = &model.manifest.inputs[0];
        let output = &model.manifest.outputs[0];
        let (floats, labels) = samples::heldout(name);
        let integers = samples::quantized(&model.manifest, &floats[0]);
        // What a stock ONNX Runtime says, asked by us.
        let bytes = fs::read(packages().join(name).join("integer.onnx")).unwrap();
        let session = IntSession::load(&bytes, OptLevel::DisableAll).unwrap();
        let inputs = BTreeMap::from([(spec.name.clone(), integers.clone())]);
        let expected = session.run(&inputs).unwrap().remove(&output.name).unwrap();

        let nonce = format!("0x{}", hex::encode([at as u8 + 1; 32]));
        let mut as_floats = model.request(0);
        as_floats["id"] = json!("mine");
        as_floats["parameters"] = json!({ "nonce": nonce });
        let mut as_integers = as_floats.clone();
        as_integers["inputs"][0]["datatype"] = json!(spec.elem.oip_name());
        as_integers["inputs"][0]["data"] = json!(integers.data());

        for request in [as_floats, as_integers] {
            let reply = service.infer(name, &request);
            let (bytes, envelope) = envelope(&service, &reply);
            let answer = reply.json();
            assert_eq!(answer["id"], "mine");
            assert_eq!(answer["model_name"], name);
            assert_eq!(answer["parameters"]["nonce"], nonce);
            assert_eq!(
                answer["parameters"]["package_digest"],
                model.digest.to_string()
            );
            assert_eq!(
                *values(&answer, &output.name),
                json!(expected.data()),
                "the answer is the runtime's"
            );
            let receipt = envelope.receipt();
            assert_eq!(*public(&receipt.inputs[0].value), integers);
            assert_eq!(*public(&receipt.outputs[0].value), expected);
            // The views are of these very integers.
            let index = samples::arg_max(&expected);
            assert_eq!(
                values(&answer, &format!("{}:argmax", output.name))[0],
                index
            );
            assert_eq!(
                values(&answer, &format!("{}:label", output.name))[0],
                classes[index]
            );
            assert_eq!(index, labels[0], "{name} knows the first held-out sample");

            let path = data.path().join("receipt.json");
            fs::write(&path, &bytes).unwrap();
            let verdict = model.verify(&path, &["--nonce", &nonce]);
            assert_eq!(verdict.exit, 0, "{verdict:?}");
            assert_eq!(verdict.json()["verdict"], "accepted");
            assert_eq!(verdict.json()["receipt_id"], reply.receipt_id());
            assert_eq!(verdict.json()["setup"], "single-party");
        }
    }
}

/// A receipt of the risk classifier in a folder, with everything a verification takes.
struct Case {
    folder: tempfile::TempDir,
    path: PathBuf,
    bytes: Vec<u8>,
    envelope: Envelope,
    model: Public,
    nonce: String,
}

/// Made by `proofmark prove`: no service is needed to have a receipt.
fn case() -> Case {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("receipt.json");
    let nonce = format!("0x{}", "5a".repeat(32));
    let proven = run(
        proofmark(&["prove", "--json", "--sample", "0", "--nonce", &nonce])
            .arg("--package")
            .arg(packages().join(RISK))
            .arg("--input")
            .arg(samples::folder(RISK).join("heldout.npz"))
            .arg("--receipt")
            .arg(&path),
    );
    assert_eq!(proven.exit, 0, "{proven:?}");
    let bytes = fs::read(&path).unwrap();
    Case {
        envelope: Envelope::parse(&bytes).unwrap(),
        model: Public::of(RISK),
        folder,
        path,
        bytes,
        nonce,
    }
}

impl Case {
    /// Writes another receipt, has both programs verify it, and expects this rejection of both.
    fn rejected(&self, receipt: &[u8], more: &[&str], code: &str) {
        let path = self.folder.path().join("tampered.json");
        fs::write(&path, receipt).unwrap();
        self.refused(&path, more, 1, code);
    }

    fn refused(&self, path: &Path, more: &[&str], exit: i32, code: &str) {
        self.model.verify(path, more).refused(exit, code);
        let other = run(proofmark(&["verify", "--json"])
            .arg(path)
            .args(["--package-digest", &self.model.digest.to_string()])
            .arg("--package")
            .arg(packages().join(RISK))
            .args(more));
        other.refused(exit, code);
    }
}

#[test]
fn a_tampered_receipt_is_rejected_with_the_same_code_by_both_programs() {
    let case = case();
    let good = case.model.verify(&case.path, &["--nonce", &case.nonce]);
    assert_eq!(good.exit, 0, "{good:?}");

    let other = format!("0x{}", "5b".repeat(32));
    case.rejected(&case.bytes, &["--nonce", &other], "context-mismatch");
    case.rejected(&case.bytes, &["--service-key", &other], "signer-mismatch");
    case.rejected(b"", &[], "receipt-malformed");
    case.rejected(
        &case.bytes[..case.bytes.len() - 1],
        &[],
        "receipt-malformed",
    );
    let mut spaced = case.bytes.clone();
    spaced.push(b' ');
    case.rejected(&spaced, &[], "receipt-not-canonical");

    // The attacker signs with a key of their own: only the proof stands in the way.
    let key = SigningKey::from_bytes(&[7; 32]);
    let signed = |change: &dyn Fn(&mut proofmark_types::receipt::Receipt)| {
        let mut receipt = case.envelope.receipt().clone();
        receipt.signer = key.verifying_key().to_bytes();
        change(&mut receipt);
        Envelope::sign(receipt, &key).unwrap().to_bytes().unwrap()
    };
    let resigned = case.folder.path().join("resigned.json");
    fs::write(&resigned, signed(&|_| ())).unwrap();
    let verdict = case.model.verify(&resigned, &[]);
    assert_eq!(
        verdict.exit, 0,
        "the proof does not rest on the signature: {verdict:?}"
    );
    let bumped = |tensor: &IntTensor| {
        let mut data = tensor.data().to_vec();
        data[0] ^= 1;
        IntTensor::new(tensor.elem(), tensor.shape().to_vec(), data).unwrap()
    };
    let changed_output = signed(&|r| {
        r.outputs[0].value = RecordValue::Public(bumped(public(&r.outputs[0].value)));
    });
    case.rejected(&changed_output, &[], "proof-invalid");
    let changed_input = signed(&|r| {
        r.inputs[0].value = RecordValue::Public(bumped(public(&r.inputs[0].value)));
    });
    case.rejected(&changed_input, &[], "proof-invalid");
    case.rejected(&signed(&|r| r.context.nonce[31] ^= 1), &[], "proof-invalid");
    case.rejected(&signed(&|r| r.context.deadline += 1), &[], "proof-invalid");
    case.rejected(&signed(&|r| r.proof[319] ^= 1), &[], "proof-malformed");
    case.rejected(
        &signed(&|r| r.proof = [0; 320].into()),
        &[],
        "proof-malformed",
    );
    // A proof of the other backend's form.
    case.rejected(
        &signed(&|r| r.proof = [0; 256].into()),
        &[],
        "proof-system-mismatch",
    );
    case.rejected(
        &signed(&|r| r.package = Digest::of(b"other")),
        &[],
        "package-not-pinned",
    );
    case.rejected(
        &signed(&|r| r.circuit = Digest::of(b"other")),
        &[],
        "circuit-mismatch",
    );
    case.rejected(
        &signed(&|r| r.model.integer_model = Digest::of(b"other")),
        &[],
        "model-mismatch",
    );

    // The service's own signature on a changed payload.
    let mut own = signed(&|r| r.proved_at += 1);
    let signature = |bytes: &[u8]| {
        let value: serde_json::Value = serde_json::from_slice(bytes).unwrap();
        value["signatures"][0]["sig"].as_str().unwrap().to_owned()
    };
    let text = String::from_utf8(own.clone()).unwrap();
    let text = text.replace(&signature(&own), &signature(&case.bytes));
    assert_ne!(text.as_bytes(), own);
    own = text.into_bytes();
    case.rejected(&own, &[], "signature-invalid");
}

#[test]
fn a_flipped_bit_anywhere_in_a_receipt_is_rejected() {
    let case = case();
    let path = case.folder.path().join("flipped.json");
    let mut random = Random::new(0x00C0_FFEE);
    for _ in 0..60 {
        let (byte, bit) = (random.size(0, case.bytes.len() - 1), random.between(0, 7));
        let mut flipped = case.bytes.clone();
        flipped[byte] ^= 1 << bit;
        fs::write(&path, &flipped).unwrap();
        let verdict = case.model.verify(&path, &[]);
        assert_eq!(verdict.exit, 1, "byte {byte} bit {bit}: {verdict:?}");
        let code = verdict.json()["code"].as_str().unwrap().to_owned();
        assert!(lookup(&code).is_some(), "{code}");
    }
}

#[test]
fn a_receipt_proves_nothing_to_whoever_pinned_another_package() {
    let case = case();
    let other = Public::of(DIGITS);
    other
        .verify(&case.path, &[])
        .refused(1, "package-not-pinned");
    // The pinned digest of one package, the manifest of another.
    let mixed = Public {
        manifest_path: other.manifest_path.clone(),
        ..case.model.clone()
    };
    let detail = mixed
        .verify(&case.path, &[])
        .refused(1, "package-not-pinned");
    assert!(detail.contains(&case.model.digest.to_string()), "{detail}");
    assert!(detail.contains("get the package you pinned"), "{detail}");
    let mixed = Public {
        key_path: other.key_path.clone(),
        ..case.model.clone()
    };
    mixed
        .verify(&case.path, &[])
        .refused(1, "verifying-key-mismatch");
    // One byte of the manifest.
    let mut bytes = case.model.manifest_bytes.clone();
    let last = bytes.len() - 2;
    bytes[last] ^= 1;
    let manifest_path = case.folder.path().join("manifest.json");
    fs::write(&manifest_path, bytes).unwrap();
    let mixed = Public {
        manifest_path,
        ..case.model.clone()
    };
    mixed
        .verify(&case.path, &[])
        .refused(1, "package-not-pinned");
}

#[test]
fn usage_is_exit_2_and_a_missing_file_exit_3() {
    let case = case();
    let verify = |arguments: &[&str]| {
        let ended = run(Command::new(program("proofmark-verify")).args(arguments));
        (ended.exit, ended.stderr)
    };
    let receipt = case.path.to_str().unwrap();
    let (exit, text) = verify(&[receipt]);
    assert_eq!(exit, 2);
    assert!(
        text.contains("--package-digest"),
        "an unpinned verification is no command line: {text}"
    );
    let (exit, text) = verify(&[receipt, "--package-digest", "sha256:00"]);
    assert_eq!(exit, 2);
    assert!(text.contains("sha256:00"), "{text}");
    assert_eq!(verify(&[receipt, "--no-such-option"]).0, 2);
    assert_eq!(verify(&["--help"]).0, 0);
    assert_eq!(case.model.verify(&case.path, &["--nonce", "0x12"]).exit, 2);

    let gone = case.folder.path().join("gone.json");
    case.refused(&gone, &[], 3, "file-unreadable");
    let without_key = Public {
        key_path: gone.clone(),
        ..case.model.clone()
    };
    let detail = without_key
        .verify(&case.path, &[])
        .refused(3, "file-unreadable");
    assert!(detail.contains("gone.json"), "{detail}");
}

#[test]
fn the_command_line_client_verifies_what_the_service_says() {
    let alone = alone(RISK, &[]);
    let ask = |digest: &str, more: &[&str]| {
        run(proofmark(&["infer", "--json", "--model", RISK])
            .args(["--url", alone.service.url(), "--package-digest", digest])
            .arg("--package")
            .arg(alone.packages.path().join(RISK))
            .arg("--input")
            .arg(samples::folder(RISK).join("heldout.npz"))
            .args(["--sample", "2"])
            .args(more))
    };
    let receipt = alone.data.path().join("r.json");
    let digest = alone.model.digest.to_string();
    let answer = ask(&digest, &["--receipt", receipt.to_str().unwrap()]);
    assert_eq!(answer.exit, 0, "{answer:?}");
    assert_eq!(answer.json()["verdict"], "accepted");
    assert_eq!(alone.model.verify(&receipt, &[]).exit, 0);

    let other = Digest::of(b"another package").to_string();
    ask(&other, &[]).refused(1, "package-not-pinned");
    let stranger = format!("0x{}", "11".repeat(32));
    ask(&digest, &["--service-key", &stranger]).refused(1, "signer-mismatch");
    let mut nobody = proofmark(&["infer", "--json", "--model", RISK]);
    nobody
        .args(["--url", "http://127.0.0.1:1", "--package-digest", &digest])
        .arg("--package")
        .arg(alone.packages.path().join(RISK))
        .arg("--input")
        .arg(samples::folder(RISK).join("heldout.npz"))
        .args(["--sample", "2"]);
    run(&mut nobody).refused(3, "service-unreachable");
}

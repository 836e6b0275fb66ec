//! Attestations of audits that travel with a package: what a service of a closed model hands out,
//! and what its clients make of it.

use std::fs;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::thread;

use proofmark_tests::samples;
use proofmark_tests::service::{Ended, Public, Service, Start, only, proofmark, run};
use proofmark_types::Digest;
use proofmark_types::attestation::SignedAttestation;
use serde_json::Value;

use crate::{DIGITS, RISK, alone};

/// An auditor who audits a package and signs what was found; gives attestation and public key.
fn attested(package: &Path, work: &Path) -> (Vec<u8>, String) {
    let path = |name: &str| work.join(name);
    let audited = run(proofmark(&["audit", "--json", "--package"])
        .arg(package)
        .arg("--report")
        .arg(path("report")));
    assert_eq!(audited.exit, 0, "{audited:?}");
    let signed = run(proofmark(&["attest", "--json", "--statement", "Seen."])
        .arg(path("report"))
        .arg("--package")
        .arg(package)
        .arg("--new-key")
        .arg(path("key"))
        .arg("--out")
        .arg(path("attestation.json")));
    assert_eq!(signed.exit, 0, "{signed:?}");
    let key = signed.json()["auditor_key"].as_str().unwrap().to_owned();
    (fs::read(path("attestation.json")).unwrap(), key)
}

fn place(package: &Path, name: &str, bytes: &[u8]) -> PathBuf {
    let folder = package.join("attestations");
    fs::create_dir_all(&folder).unwrap();
    let path = folder.join(name);
    fs::write(&path, bytes).unwrap();
    path
}

#[test]
fn a_client_of_a_closed_model_gets_the_auditors_word_with_the_package() {
    let packages = only(RISK);
    let package = packages.path().join(RISK);
    let work = tempfile::tempdir().unwrap();
    let (attestation, key) = attested(&package, work.path());
    place(&package, "us.json", &attestation);
    let data = tempfile::tempdir().unwrap();
    let service = Service::start(Start {
        packages: packages.path(),
        data: data.path(),
        more: &[],
    });
    let detail = service.get(&format!("/v1/models/{RISK}")).json();
    let list = service.get(detail["attestations_url"].as_str().unwrap());
    assert_eq!(list.status, 200);
    let list = list.json();
    assert_eq!(list["package_digest"], detail["package_digest"]);
    let signed = SignedAttestation::parse(&attestation).unwrap();
    let [entry] = list["attestations"].as_array().unwrap().as_slice() else {
        panic!("{list}");
    };
    assert_eq!(entry["attestation_id"], signed.id().to_string());
    assert_eq!(entry["auditor_key_id"], signed.key_id().to_string());

    // The client has nothing but what the service hands out, the pin, and the auditor's key.
    let files = tempfile::tempdir().unwrap();
    let fetch = |name: &str, url: &str| {
        let reply = service.get(url);
        assert_eq!(reply.status, 200, "{url}");
        let path = files.path().join(name);
        fs::write(&path, &reply.body).unwrap();
        path
    };
    let url = entry["url"].as_str().unwrap();
    let theirs = fetch("attestation.json", url);
    assert_eq!(fs::read(&theirs).unwrap(), attestation);
    let reply = service.get(url);
    let media = "application/vnd.dsse.envelope.v1+json";
    assert_eq!(reply.header("content-type"), Some(media));
    let tag = format!("\"{}\"", signed.id());
    assert_eq!(reply.header("etag"), Some(tag.as_str()));
    let manifest = fetch("manifest.json", detail["manifest_url"].as_str().unwrap());
    let verifying = fetch("key.bin", detail["verifying_key_url"].as_str().unwrap());
    let model = proofmark_tests::service::Public::read(&package);
    let answer = service.infer(RISK, &model.request(0));
    let receipt = files.path().join("receipt.json");
    fs::write(&receipt, service.receipt(&answer.receipt_id())).unwrap();
    let verify = |auditor: &str| {
        let mut command =
            std::process::Command::new(proofmark_tests::service::program("proofmark-verify"));
        run(command
            .arg(&receipt)
            .args(["--json", "--package-digest", &model.digest.to_string()])
            .arg("--manifest")
            .arg(&manifest)
            .arg("--verifying-key")
            .arg(&verifying)
            .arg("--attestation")
            .arg(&theirs)
            .args(["--auditor-key", auditor]))
    };
    let verified = verify(&key);
    assert_eq!(verified.exit, 0, "{verified:?}");
    let said = &verified.json()["attestations"][0];
    assert_eq!(said["statement"], "Seen.");
    assert!(said["pass"].to_string().contains("circuit-digest"));
    // Whoever runs the service cannot be the auditor.
    let service_key = verified.json()["signer"].as_str().unwrap().to_owned();
    verify(&service_key).refused(1, "attestation-auditor-mismatch");

    // What is not there.
    let base = format!("/v1/models/{RISK}/attestations");
    let unknown = Digest::of(b"unknown").to_hex();
    for (path, status, code) in [
        (format!("{base}/{unknown}"), 404, "attestation-unknown"),
        (format!("{base}/us.json"), 400, "parameter-invalid"),
        (format!("{base}?version=9"), 404, "version-unknown"),
        (
            format!("/v1/models/{DIGITS}/attestations"),
            404,
            "model-unknown",
        ),
    ] {
        service.get(&path).problem(status, code);
    }
    // Nothing else of the folder is handed out.
    for path in ["attestations", "attestations/us.json", "proving_key.bin"] {
        let reply = service.get(&format!("/{path}"));
        assert_eq!(reply.status, 404, "{path}");
    }
}

#[test]
fn a_model_that_nobody_attested_has_an_empty_list() {
    let alone = alone(RISK, &[]);
    let list = alone
        .service
        .get(&format!("/v1/models/{RISK}/attestations"))
        .json();
    assert_eq!(list["package_digest"], alone.model.digest.to_string());
    assert_eq!(list["attestations"], Value::Array(Vec::new()));
}

#[test]
fn a_service_does_not_start_with_an_attestation_that_does_not_hold() {
    let packages = only(RISK);
    let package = packages.path().join(RISK);
    let work = tempfile::tempdir().unwrap();
    let (attestation, _) = attested(&package, work.path());
    let others = only(DIGITS);
    let elsewhere = tempfile::tempdir().unwrap();
    let (other, _) = attested(&others.path().join(DIGITS), elsewhere.path());
    let data = tempfile::tempdir().unwrap();
    let refused = |exit: i32, code: &str, words: &[&str]| {
        let start = Start {
            packages: packages.path(),
            data: data.path(),
            more: &[],
        };
        let detail = run(&mut start.command()).refused(exit, code);
        for word in words {
            assert!(detail.contains(word), "{word:?} in {detail:?}");
        }
    };
    let words = ["theirs.json", RISK, "take it out of the package's folder"];
    place(&package, "ours.json", &attestation);
    // Of another package; cut off; with a blank more; under a signature that is none.
    let path = place(&package, "theirs.json", &other);
    refused(1, "attestation-mismatch", &words);
    fs::write(&path, &attestation[..attestation.len() / 2]).unwrap();
    refused(1, "attestation-malformed", &words);
    fs::write(&path, [&attestation[..], b"\n"].concat()).unwrap();
    refused(1, "attestation-not-canonical", &words);
    let text = String::from_utf8(attestation.clone()).unwrap();
    let sig = text.find("\"sig\":\"").unwrap() + 8;
    let other = if &text[sig..=sig] == "A" { "B" } else { "A" };
    let mut changed = text;
    changed.replace_range(sig..=sig, other);
    fs::write(&path, changed).unwrap();
    refused(1, "attestation-signature-invalid", &words);
    fs::write(&path, vec![b' '; 70_000]).unwrap();
    refused(1, "package-file-too-large", &["theirs.json"]);
    fs::remove_file(&path).unwrap();
    for at in 0..64 {
        place(&package, &format!("{at}.json"), &attestation);
    }
    refused(1, "attestation-too-many", &["leave those in it"]);
}

/// Asks a service with `proofmark infer`.
fn infer(url: &str, package: &Path, more: &[&str]) -> Ended {
    let model = Public::read(package);
    run(proofmark(&["infer", "--json", "--model", RISK])
        .args(["--url", url, "--package-digest", &model.digest.to_string()])
        .arg("--package")
        .arg(package)
        .arg("--input")
        .arg(samples::folder(RISK).join("heldout.npz"))
        .args(["--sample", "0"])
        .args(more))
}

#[test]
fn the_client_asks_only_a_model_that_the_auditor_whom_it_names_attested() {
    let packages = only(RISK);
    let package = packages.path().join(RISK);
    let work = tempfile::tempdir().unwrap();
    let (attestation, key) = attested(&package, work.path());
    let others = only(DIGITS);
    let elsewhere = tempfile::tempdir().unwrap();
    let (_, other_key) = attested(&others.path().join(DIGITS), elsewhere.path());
    let data = tempfile::tempdir().unwrap();
    let start = Start {
        packages: packages.path(),
        data: data.path(),
        more: &[],
    };
    let refused = |service: &Service, code: &str, more: &[&str]| {
        infer(service.url(), &package, more).refused(1, code);
        // The service has seen no input.
        assert_eq!(service.proofs(RISK), 0, "{code}");
    };
    let own = work.path().join("attestation.json").display().to_string();
    let theirs = elsewhere.path().join("attestation.json");
    let theirs = theirs.display().to_string();
    let by_file = ["--attestation", &own, "--auditor-key", &key];

    // Nobody's word comes with the package.
    let service = Service::start(start);
    refused(&service, "attestation-missing", &["--auditor-key", &key]);
    drop(service);
    place(&package, "us.json", &attestation);
    let service = Service::start(start);
    // By another key; one of two; for another package, whoever signed it.
    let missing = ["--auditor-key", &other_key];
    refused(&service, "attestation-missing", &missing);
    let one_of_two = ["--auditor-key", &key, "--auditor-key", &other_key];
    refused(&service, "attestation-missing", &one_of_two);
    let another = ["--attestation", &own, "--auditor-key", &other_key];
    refused(&service, "attestation-auditor-mismatch", &another);
    let mismatch = ["--attestation", &theirs, "--auditor-key", &other_key];
    refused(&service, "attestation-mismatch", &mismatch);
    let both = ["--attestation", &theirs, "--attestation", &own];
    let both = [&both[..], &["--auditor-key", &key]].concat();
    refused(&service, "attestation-mismatch", &both);
    let gone = ["--attestation", "gone.json", "--auditor-key", &key];
    infer(service.url(), &package, &gone).refused(3, "file-unreadable");
    assert_eq!(
        infer(service.url(), &package, &["--attestation", &own]).exit,
        2
    );

    // The word of the auditor who is named, from a file and from the service.
    for more in [&by_file[..], &["--auditor-key", &key]] {
        let answer = infer(service.url(), &package, more);
        assert_eq!(answer.exit, 0, "{answer:?}");
        let said = &answer.json()["attestations"][0];
        assert_eq!(said["auditor"], *key);
        assert_eq!(said["statement"], "Seen.");
    }
    // Who names nobody gets no attestation, and no refusal.
    let answer = infer(service.url(), &package, &[]);
    assert_eq!(answer.json()["attestations"], serde_json::json!([]));
    assert_eq!(service.proofs(RISK), 3);
}

/// A service that hands out this as the auditor's attestation, and answers nothing else.
fn pretends(listed: Value, attestation: Vec<u8>) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            let mut reader = BufReader::new(stream.try_clone().unwrap());
            let mut request = String::new();
            while !request.ends_with("\r\n\r\n") {
                assert_ne!(reader.read_line(&mut request).unwrap(), 0);
            }
            let length = request.lines().find_map(|line| {
                let line = line.to_ascii_lowercase();
                line.strip_prefix("content-length:")?.trim().parse().ok()
            });
            let mut body = vec![0; length.unwrap_or(0)];
            reader.read_exact(&mut body).unwrap();
            let list = format!("GET /v1/models/{RISK}/attestations?version=1 ");
            let one = format!("GET /v1/models/{RISK}/attestations/");
            let (status, body) = if request.starts_with(&list) {
                ("200 OK", listed.to_string().into_bytes())
            } else if request.starts_with(&one) {
                ("200 OK", attestation.clone())
            } else {
                ("418 I'm a teapot", Vec::new())
            };
            let head = format!(
                "HTTP/1.1 {status}\r\ncontent-length: {}\r\nconnection: close\r\n\r\n",
                body.len()
            );
            stream.write_all(head.as_bytes()).unwrap();
            stream.write_all(&body).unwrap();
        }
    });
    url
}

#[test]
fn what_a_service_hands_out_as_an_auditors_word_is_not_believed() {
    let packages = only(RISK);
    let package = packages.path().join(RISK);
    let work = tempfile::tempdir().unwrap();
    let (attestation, key) = attested(&package, work.path());
    let signed = SignedAttestation::parse(&attestation).unwrap();
    let listed = serde_json::json!({
        "attestations": [{
            "attestation_id": signed.id(),
            "auditor_key_id": signed.key_id(),
            "audited_at": 0,
            "url": "http://127.0.0.1:1/elsewhere",
        }],
    });
    // An auditor of the service's own, who signs whatever it wants.
    let forger = tempfile::tempdir().unwrap();
    let (forged, _) = attested(&package, forger.path());
    let mut touched = attestation.clone();
    let at = touched.len() - 20;
    touched[at] = if touched[at] == b'A' { b'B' } else { b'A' };
    for (list, body, code) in [
        (&listed, forged, "attestation-auditor-mismatch"),
        (&listed, touched, "attestation-signature-invalid"),
        (&listed, b"{}".to_vec(), "attestation-malformed"),
        (&listed, vec![b' '; 1 << 20], "attestation-malformed"),
        (&Value::Null, attestation.clone(), "answer-malformed"),
        (
            &serde_json::json!({"attestations": []}),
            attestation.clone(),
            "attestation-missing",
        ),
    ] {
        let url = pretends(list.clone(), body);
        infer(&url, &package, &["--auditor-key", &key]).refused(1, code);
    }
    // The right one is taken from there, and only then is anything asked.
    let url = pretends(listed, attestation);
    infer(&url, &package, &["--auditor-key", &key]).refused(2, "service-refused");
}

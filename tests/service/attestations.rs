//! Attestations of audits that travel with a package: what a service of a closed model hands out,
//! and what its clients make of it.

use std::fs;
use std::path::{Path, PathBuf};

use proofmark_tests::service::{Service, Start, only, proofmark, run};
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

//! `proofmark-verify` on a committed receipt of the risk classifier: it must verify for ever, and
//! nothing else may verify in its place.
//!
//! The files of `golden/` were made once with `proofmark setup models/risk-classifier` and
//! `proofmark prove`; they are replaced only when a format gets a new version.
#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "a test that panics has failed, which is what it is for"
)]

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use ed25519_dalek::SigningKey;
use proofmark_types::attestation::{
    Attestation, CheckResult, CheckStatus, ReceiptCount, SUBJECT_CHECKS, SampleCount,
    SignedAttestation, Subjects,
};
use proofmark_types::manifest::SetupKind;
use proofmark_types::receipt::{RecordValue, Software};
use proofmark_types::{Digest, Envelope, IntTensor, Manifest, Receipt};
use serde_json::Value;

const PACKAGE: &str = "sha256:0d2a55c2407d29b438b3bfd8c2a518d663250627e9638508ac2c344536491399";
const NONCE: &str = "0x000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f";

fn golden(file: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/golden")
        .join(file)
}

struct Run<'a> {
    receipt: &'a Path,
    package: &'a str,
    manifest: PathBuf,
    key: PathBuf,
    more: &'a [&'a str],
}

impl<'a> Run<'a> {
    fn of(receipt: &'a Path) -> Self {
        Self {
            receipt,
            package: PACKAGE,
            manifest: golden("manifest.json"),
            key: golden("verifying_key.bin"),
            more: &["--json"],
        }
    }

    /// Exit code and stdout.
    fn run(&self) -> (i32, String) {
        let output = Command::new(env!("CARGO_BIN_EXE_proofmark-verify"))
            .arg(self.receipt)
            .args(["--package-digest", self.package])
            .arg("--manifest")
            .arg(&self.manifest)
            .arg("--verifying-key")
            .arg(&self.key)
            .args(self.more)
            .output()
            .unwrap();
        let stdout = String::from_utf8(output.stdout).unwrap();
        (output.status.code().unwrap(), stdout)
    }

    #[track_caller]
    fn refused(&self, exit: i32, code: &str) {
        let (got, stdout) = self.run();
        let problem: Value = serde_json::from_str(&stdout).unwrap();
        assert_eq!(
            (got, problem["code"].as_str()),
            (exit, Some(code)),
            "{stdout}"
        );
    }
}

#[test]
fn the_golden_receipt_verifies() {
    let receipt = golden("receipt.json");
    let (exit, stdout) = Run::of(&receipt).run();
    assert_eq!(exit, 0, "{stdout}");
    let report: Value = serde_json::from_str(&stdout).unwrap();
    assert_eq!(report["verdict"], "accepted");
    assert_eq!(report["package_digest"], PACKAGE);
    assert_eq!(report["setup"], "single-party");
    assert_eq!(report["context"]["nonce"], NONCE);
    assert_eq!(report["inputs"][0]["values"].as_array().unwrap().len(), 30);
    assert_eq!(
        report["outputs"][0]["values"],
        serde_json::json!([31700, -23167])
    );
    assert_eq!(report["outputs"][0]["views"]["class"][0]["label"], "benign");

    let run = Run {
        more: &["--nonce", NONCE],
        ..Run::of(&receipt)
    };
    let (exit, text) = run.run();
    assert_eq!(exit, 0);
    for part in [
        "ACCEPTED",
        PACKAGE,
        "class benign",
        "Proven:",
        "Not proven:",
        "the setup was single-party",
    ] {
        assert!(text.contains(part), "{part}: {text}");
    }
}

#[test]
fn the_pin_the_files_and_the_expectations_count() {
    let receipt = golden("receipt.json");
    let other = format!("sha256:{}", "0".repeat(64));
    let run = Run {
        package: &other,
        ..Run::of(&receipt)
    };
    run.refused(1, "package-not-pinned");
    let swapped = Run {
        key: golden("manifest.json"),
        ..Run::of(&receipt)
    };
    swapped.refused(1, "verifying-key-mismatch");
    let swapped = Run {
        manifest: golden("verifying_key.bin"),
        ..Run::of(&receipt)
    };
    swapped.refused(1, "package-not-pinned");
    let missing = Run {
        manifest: golden("nothing.json"),
        ..Run::of(&receipt)
    };
    missing.refused(3, "file-unreadable");
    let nonce = NONCE.replace("1f", "20");
    let stale = Run {
        more: &["--json", "--nonce", &nonce],
        ..Run::of(&receipt)
    };
    stale.refused(1, "context-mismatch");
    let usage = Run {
        package: "none",
        ..Run::of(&receipt)
    };
    assert_eq!(usage.run().0, 2);
}

/// A change of a receipt's content, signed again by whoever changed it: the signature is right, so
/// only the package and the proof can tell.
type Forgery = (&'static str, fn(&mut Receipt), &'static str);

fn values(record: &mut RecordValue, change: impl Fn(&mut Vec<i32>)) {
    let RecordValue::Public(tensor) = record else {
        panic!("the golden tensors are public");
    };
    let mut data = tensor.data().to_vec();
    change(&mut data);
    *tensor = IntTensor::new(tensor.elem(), tensor.shape().to_vec(), data).unwrap();
}

const FORGERIES: [Forgery; 15] = [
    ("nothing", |_| {}, ""),
    (
        "package",
        |r| r.package = Digest::of(b"x"),
        "package-not-pinned",
    ),
    ("name", |r| r.model.name.push('x'), "model-mismatch"),
    ("version", |r| r.model.version.push('0'), "model-mismatch"),
    (
        "model",
        |r| r.model.integer_model = Digest::of(b"x"),
        "model-mismatch",
    ),
    (
        "circuit",
        |r| r.circuit = Digest::of(b"x"),
        "circuit-mismatch",
    ),
    (
        "key",
        |r| r.verifying_key = Digest::of(b"x"),
        "verifying-key-mismatch",
    ),
    (
        "kind",
        |r| r.setup.kind = SetupKind::Ceremony,
        "setup-mismatch",
    ),
    (
        "transcript",
        |r| r.setup.transcript = Digest::of(b"x"),
        "setup-mismatch",
    ),
    (
        "runtime",
        |r| r.runtime.onnxruntime.push('0'),
        "runtime-mismatch",
    ),
    ("nonce", |r| r.context.nonce[31] ^= 1, "proof-invalid"),
    ("deadline", |r| r.context.deadline = 1, "proof-invalid"),
    (
        "input",
        |r| values(&mut r.inputs[0].value, |v| v[7] ^= 1),
        "proof-invalid",
    ),
    (
        "output",
        |r| values(&mut r.outputs[0].value, |v| v.swap(0, 1)),
        "proof-invalid",
    ),
    ("proof", |r| r.proof[63] ^= 1, "proof-malformed"),
];

#[test]
fn every_forged_member_is_rejected_though_the_signature_is_right() {
    let folder = tempfile::tempdir().unwrap();
    let golden = Envelope::parse(&fs::read(golden("receipt.json")).unwrap()).unwrap();
    let forger = SigningKey::from_bytes(&[9; 32]);
    for (name, change, code) in FORGERIES {
        let mut receipt = golden.receipt().clone();
        receipt.signer = forger.verifying_key().to_bytes();
        change(&mut receipt);
        let bytes = Envelope::sign(receipt, &forger)
            .unwrap()
            .to_bytes()
            .unwrap();
        let path = folder.path().join(format!("{name}.json"));
        fs::write(&path, bytes).unwrap();
        if code.is_empty() {
            // The signer is a verdict of its own; the proof does not rest on it.
            assert_eq!(Run::of(&path).run().0, 0, "{name}");
        } else {
            Run::of(&path).refused(1, code);
        }
    }
}

#[test]
fn no_changed_byte_is_accepted() {
    let folder = tempfile::tempdir().unwrap();
    let bytes = fs::read(golden("receipt.json")).unwrap();
    let path = folder.path().join("changed.json");
    let mut places: Vec<usize> = (0..bytes.len()).step_by(97).collect();
    places.push(bytes.len() - 1);
    for place in places {
        for replacement in [b'A', b'0', b' '] {
            let mut changed = bytes.clone();
            if changed[place] == replacement {
                continue;
            }
            changed[place] = replacement;
            fs::write(&path, changed).unwrap();
            let (exit, stdout) = Run::of(&path).run();
            assert_eq!(exit, 1, "byte {place} as {replacement}: {stdout}");
        }
    }
    for length in [0, 1, bytes.len() / 2, bytes.len() - 1] {
        fs::write(&path, &bytes[..length]).unwrap();
        Run::of(&path).refused(1, "receipt-malformed");
    }
    fs::write(&path, [bytes.as_slice(), b"\n"].concat()).unwrap();
    Run::of(&path).refused(1, "receipt-not-canonical");
}

/// An auditor of these tests, by number.
fn auditor(number: u8) -> (SigningKey, String) {
    let key = SigningKey::from_bytes(&[number; 32]);
    let public = Digest::from_bytes(key.verifying_key().to_bytes()).to_hex();
    (key, format!("0x{public}"))
}

/// What an auditor might say of the golden package.
fn attested(key: &SigningKey, change: impl FnOnce(&mut Attestation)) -> Vec<u8> {
    let manifest = fs::read(golden("manifest.json")).unwrap();
    let package = Digest::of(&manifest);
    let manifest = Manifest::parse(&manifest).unwrap();
    let check = |(id, status): (&str, _)| CheckResult {
        id: id.to_owned(),
        status,
    };
    let passed = SUBJECT_CHECKS.map(|id| (id, CheckStatus::Pass));
    let open = [("log-inclusion", CheckStatus::NotChecked)];
    let mut attestation = Attestation {
        subjects: Subjects::of(package, &manifest).unwrap(),
        report: Digest::of(b"a report"),
        software: Software {
            name: "proofmark".to_owned(),
            version: "0.1.0".to_owned(),
        },
        setup_kind: SetupKind::SingleParty,
        checks: passed.into_iter().chain(open).map(check).collect(),
        receipts: ReceiptCount {
            given: 2,
            accepted: 2,
        },
        samples: SampleCount {
            eligible: 2,
            computed: 1,
        },
        statement: "We saw the weights on the operator's premises.".to_owned(),
        audited_at: 1_790_000_000,
        auditor: key.verifying_key().to_bytes(),
    };
    change(&mut attestation);
    let signed = SignedAttestation::sign(attestation, key).unwrap();
    signed.to_bytes().unwrap()
}

/// The committed attestation holds for ever. `UPDATE_EXPECT=1` writes it anew.
#[test]
fn the_golden_attestation_holds() {
    let receipt = golden("receipt.json");
    let path = golden("attestation.json");
    let (key, public) = auditor(11);
    if std::env::var_os("UPDATE_EXPECT").is_some() {
        fs::write(&path, attested(&key, |_| {})).unwrap();
    }
    assert_eq!(fs::read(&path).unwrap(), attested(&key, |_| {}));
    let path = path.to_str().unwrap();
    let arguments = ["--attestation", path, "--auditor-key", &public];
    let run = |more: &[&str]| {
        let more = [&arguments[..], more].concat();
        Run {
            more: &more,
            ..Run::of(&receipt)
        }
        .run()
    };
    let (exit, stdout) = run(&["--json"]);
    assert_eq!(exit, 0, "{stdout}");
    let report: Value = serde_json::from_str(&stdout).unwrap();
    let said = &report["attestations"][0];
    assert_eq!(said["auditor"], *public);
    assert_eq!(said["pass"], serde_json::json!(SUBJECT_CHECKS));
    assert_eq!(said["not_checked"], serde_json::json!(["log-inclusion"]));
    assert_eq!(said["samples"]["computed"], 1);
    let (exit, text) = run(&[]);
    assert_eq!(exit, 0);
    for part in [
        "Attested, by the word of whoever signed it:",
        "\"We saw the weights on the operator's premises.\"",
        "checked and right: package-manifest, circuit-model",
        "not checked: log-inclusion",
        "audited at 2026-09-21T14:13:20Z",
        "the setup was single-party",
    ] {
        assert!(text.contains(part), "{part}: {text}");
    }
    // Nothing is said of what was not asked.
    let (_, stdout) = Run::of(&receipt).run();
    let report: Value = serde_json::from_str(&stdout).unwrap();
    assert_eq!(report["attestations"], serde_json::json!([]));
}

#[test]
fn an_attestation_that_does_not_hold_is_no_acceptance() {
    let receipt = golden("receipt.json");
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("attestation.json");
    let file = path.to_str().unwrap();
    let ((key, public), (stranger, theirs)) = (auditor(11), auditor(12));
    let refused = |bytes: &[u8], keys: &[&str], exit: i32, code: &str| {
        fs::write(&path, bytes).unwrap();
        let mut more = vec!["--json", "--attestation", file];
        more.extend(keys.iter().flat_map(|key| ["--auditor-key", *key]));
        let run = Run {
            more: &more,
            ..Run::of(&receipt)
        };
        run.refused(exit, code);
    };
    let honest = attested(&key, |_| {});
    let mismatch = "attestation-auditor-mismatch";
    refused(&honest, &[&theirs], 1, mismatch);
    refused(&attested(&stranger, |_| {}), &[&public], 1, mismatch);
    refused(&honest, &[&public, &theirs], 1, "attestation-missing");
    let mismatch = "attestation-mismatch";
    let other = attested(&key, |a| a.subjects.package = Digest::of(b"another"));
    refused(&other, &[&public], 1, mismatch);
    let other = attested(&key, |a| a.subjects.verifying_key = Digest::of(b"another"));
    refused(&other, &[&public], 1, mismatch);
    let other = attested(&key, |a| a.setup_kind = SetupKind::Ceremony);
    refused(&other, &[&public], 1, mismatch);
    let text = String::from_utf8(honest.clone()).unwrap();
    let sig = text.find("\"sig\":\"").unwrap() + 8;
    let flipped = if text[sig..].starts_with('A') {
        "B"
    } else {
        "A"
    };
    let mut changed = text.clone();
    changed.replace_range(sig..=sig, flipped);
    refused(
        changed.as_bytes(),
        &[&public],
        1,
        "attestation-signature-invalid",
    );
    refused(
        &[&honest[..], b"\n"].concat(),
        &[&public],
        1,
        "attestation-not-canonical",
    );
    let receipt_bytes = fs::read(golden("receipt.json")).unwrap();
    refused(&receipt_bytes, &[&public], 1, "attestation-unsupported");
    refused(&vec![b' '; 1 << 17], &[&public], 3, "file-too-large");

    // A key without an attestation, an attestation without a key.
    let run = Run {
        more: &["--json", "--auditor-key", &public],
        ..Run::of(&receipt)
    };
    run.refused(1, "attestation-missing");
    let run = Run {
        more: &["--json", "--attestation", file],
        ..Run::of(&receipt)
    };
    assert_eq!(run.run().0, 2);
}

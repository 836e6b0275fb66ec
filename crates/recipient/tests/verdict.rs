//! Verdicts on the committed receipt of the risk classifier, as whoever is no Rust asks for them.
#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a test that panics has failed, which is what it is for"
)]

use std::fs;
use std::path::Path;

use ed25519_dalek::SigningKey;
use proofmark_log::{
    Entry, Folder, Log, Notice, Options, ReceiptEntry, SignedNotice, Statement, Subject,
};
use proofmark_recipient::{
    Verdict, answer, answer_checkpoints, answer_history, answer_inference, answer_log_proof,
    answer_opening, answer_proof, bytes_to_hex, open_package,
};
use proofmark_tlog::tree::prove_consistency;
use proofmark_tlog::{ReadError, Tiles, VerifiedTree};
use proofmark_types::problem::lookup;
use proofmark_types::receipt::{Opening, RecordValue, write_openings};
use proofmark_types::{Digest, Envelope, IntTensor};
use proofmark_verifier::TrustedPackage;
use serde_json::{Value, json};

const NONCE: &str = "0x000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f";

fn golden(file: &str) -> Vec<u8> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../verify-cli/tests/golden");
    fs::read(folder.join(file)).unwrap()
}

fn package() -> TrustedPackage {
    let manifest = golden("manifest.json");
    open_package(
        Digest::of(&manifest),
        &manifest,
        &golden("verifying_key.bin"),
    )
    .unwrap()
}

fn ask(receipt: &[u8], demands: &Value) -> Verdict {
    answer(&package(), receipt, &demands.to_string(), None)
}

#[track_caller]
fn refused(verdict: &Verdict, kind: &str, code: &str) {
    assert!(!verdict.is_accepted());
    let json = verdict.json();
    assert_eq!(json["verdict"], "rejected", "{json}");
    assert_eq!((&json["kind"], &json["code"]), (&json!(kind), &json!(code)));
    assert!(json["detail"].as_str().is_some_and(|text| !text.is_empty()));
    assert!(lookup(code).is_some(), "{code} is not listed");
    // Nothing of a refused receipt is told: nobody can take it for an answer.
    assert!(json.get("outputs").is_none());
}

#[test]
fn an_accepted_receipt_says_what_was_checked_and_what_was_not() {
    let plain = ask(&golden("receipt.json"), &json!({}));
    assert!(plain.is_accepted());
    let json = plain.json();
    assert_eq!(json["verdict"], "accepted");
    assert_eq!(
        json["checked"],
        json!(["package", "statement", "proof", "signature", "openings"])
    );
    assert_eq!(
        json["not_checked"],
        json!([
            "signer",
            "freshness",
            "deadline",
            "log-inclusion",
            "witnesses",
            "revocations",
            "attestations"
        ])
    );
    assert_eq!(json["outputs"][0]["values"], json!([31700, -23167]));
    let inputs = json["public_inputs"].as_array().unwrap();
    assert!(
        inputs
            .iter()
            .all(|input| input.as_str().is_some_and(|x| x.len() == 66))
    );

    let receipt = Envelope::parse(&golden("receipt.json")).unwrap();
    let signer = bytes_to_hex(&receipt.receipt().signer);
    let asked = ask(
        &golden("receipt.json"),
        &json!({ "nonce": NONCE, "service_key": signer, "now": 1_790_000_000_u64 }),
    );
    let made = asked.json()["checked"].as_array().unwrap().clone();
    for check in ["signer", "freshness", "deadline"] {
        assert!(made.contains(&json!(check)), "{check}");
    }
}

#[test]
fn a_demand_that_is_not_understood_is_not_met() {
    let receipt = golden("receipt.json");
    for demands in [
        json!({ "nonces": NONCE }),
        json!({ "nonce": "0x00" }),
        json!({ "nonce": 7 }),
        json!({ "log": { "key": "no key" } }),
        json!({ "log": { "key": "a", "more": 1 } }),
        json!({ "auditor_keys": ["0x"] }),
        json!([]),
        json!({ "context": null }),
        json!({ "nonce": null }),
        json!({ "service_key": null }),
        json!({ "now": null }),
        json!({ "log": null }),
        json!({ "auditor_keys": null }),
        json!({ "log": { "key": "a", "quorum": null } }),
    ] {
        refused(&ask(&receipt, &demands), "request", "parameter-invalid");
    }
    let lost = json!({ "openings": null });
    refused(&ask(&receipt, &lost), "request", "openings-malformed");
    let twice = format!("{{\"nonce\":\"{NONCE}\",\"nonce\":\"{NONCE}\"}}");
    let twice = answer(&package(), &receipt, &twice, None);
    refused(&twice, "request", "parameter-invalid");
    let openings = json!({ "openings": { "format": "none", "openings": [] } });
    refused(&ask(&receipt, &openings), "request", "openings-malformed");
    let stale = json!({ "nonce": NONCE.replace("1f", "20") });
    refused(&ask(&receipt, &stale), "rejected", "context-mismatch");
    let stranger = json!({ "service_key": format!("0x{}", "11".repeat(32)) });
    refused(&ask(&receipt, &stranger), "rejected", "signer-mismatch");
    let unattested = json!({ "auditor_keys": [format!("0x{}", "11".repeat(32))] });
    refused(
        &ask(&receipt, &unattested),
        "rejected",
        "attestation-missing",
    );
}

#[test]
fn expected_values_are_compared() {
    let receipt = golden("receipt.json");
    let envelope = Envelope::parse(&receipt).unwrap();
    let record = &envelope.receipt().outputs[0];
    let RecordValue::Public(tensor) = &record.value else {
        panic!("the golden tensors are public");
    };
    let opening = |tensor: IntTensor| {
        let opening = Opening {
            name: record.name.clone(),
            tensor,
            salt: None,
        };
        let bytes = write_openings(&[opening]).unwrap();
        serde_json::from_slice::<Value>(&bytes).unwrap()
    };
    let right = opening(tensor.clone());
    assert!(ask(&receipt, &json!({ "openings": right })).is_accepted());
    let mut data = tensor.data().to_vec();
    data.swap(0, 1);
    let wrong = IntTensor::new(tensor.elem(), tensor.shape().to_vec(), data).unwrap();
    refused(
        &ask(&receipt, &json!({ "openings": opening(wrong) })),
        "rejected",
        "opening-mismatch",
    );
    // Of a receipt alone: there is nothing hidden in it.
    let alone = answer_opening(&receipt, right.to_string().as_bytes());
    refused(&alone, "rejected", "opening-mismatch");
}

#[test]
fn a_deadline_that_has_passed_is_refused() {
    let key = SigningKey::from_bytes(&[3; 32]);
    let envelope = Envelope::parse(&golden("receipt.json")).unwrap();
    // The golden proof is for no deadline, so another deadline is another statement.
    let mut receipt = envelope.receipt().clone();
    receipt.signer = key.verifying_key().to_bytes();
    receipt.context.deadline = 100;
    let bytes = Envelope::sign(receipt, &key).unwrap().to_bytes().unwrap();
    refused(
        &ask(&bytes, &json!({ "now": 101 })),
        "rejected",
        "proof-invalid",
    );
    // Without one the time does not matter.
    assert!(ask(&golden("receipt.json"), &json!({ "now": u64::MAX })).is_accepted());
}

#[test]
fn a_proof_alone_is_verified_under_a_pinned_key() {
    let verdict = ask(&golden("receipt.json"), &json!({}));
    let json = verdict.json();
    let question = |change: &dyn Fn(&mut Value)| {
        let mut question = json!({
            "verifying_key_digest": json["verifying_key"],
            "proof": json["proof"],
            "public_inputs": json["public_inputs"],
        });
        change(&mut question);
        answer_proof(&golden("verifying_key.bin"), &question.to_string())
    };
    assert_eq!(question(&|_| {}).json()["verdict"], "proven");
    let other = |q: &mut Value| q["verifying_key_digest"] = json!(Digest::of(b"x"));
    refused(&question(&other), "rejected", "verifying-key-mismatch");
    let other = |q: &mut Value| q["public_inputs"][0] = json!(format!("0x{}", "0".repeat(64)));
    refused(&question(&other), "rejected", "proof-invalid");
    let other = |q: &mut Value| q["public_inputs"][0] = json!(format!("0x{}", "f".repeat(64)));
    refused(&question(&other), "rejected", "public-input-not-canonical");
    let other = |q: &mut Value| q["proof"] = json!("0x00");
    refused(&question(&other), "rejected", "proof-malformed");
    let other = |q: &mut Value| q["proof"] = json!("0x0");
    refused(&question(&other), "request", "parameter-invalid");
}

/// A service's log with the receipt of a key that these tests have.
struct Service {
    folder: tempfile::TempDir,
    log: Log,
    key: SigningKey,
    receipt: Vec<u8>,
}

impl Service {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let options = Options {
            origin: Some("example.com/log".to_owned()),
            ..Options::default()
        };
        let log = Log::open(folder.path(), &options).unwrap();
        let key = SigningKey::from_bytes(&[5; 32]);
        let envelope = Envelope::parse(&golden("receipt.json")).unwrap();
        let mut receipt = envelope.receipt().clone();
        receipt.signer = key.verifying_key().to_bytes();
        let receipt = Envelope::sign(receipt, &key).unwrap().to_bytes().unwrap();
        Self {
            folder,
            log,
            key,
            receipt,
        }
    }

    fn append(&self, receipt: &[u8]) -> String {
        let entry = ReceiptEntry::of(&Envelope::parse(receipt).unwrap()).unwrap();
        let inclusion = self.log.append(&Entry::Receipt(entry)).unwrap();
        String::from_utf8(inclusion.proof).unwrap()
    }

    fn tiles(&self) -> Folder {
        Folder::new(self.log.public_folder())
    }

    fn demands(&self, proof: Option<&str>, older: bool) -> String {
        let mut demands = json!({
            "service_key": bytes_to_hex(&self.key.verifying_key().to_bytes()),
            "log": { "key": self.log.verifier_key().to_string(), "copy_may_be_older": older },
        });
        if let Some(proof) = proof {
            demands["log"]["proof"] = json!(proof);
        }
        demands.to_string()
    }

    fn revoke(&self) {
        let notice = Notice {
            log: self.log.origin().to_owned(),
            issued_at: 1,
            statement: Statement::Revocation {
                subject: Subject::Package(package().digest()),
                from: 0,
                reason: "found unsound".to_owned(),
            },
        };
        let signed = SignedNotice::sign(notice, &self.key).unwrap();
        let service_key = self.key.verifying_key().to_bytes();
        self.log.append_notice(signed, &service_key).unwrap();
    }
}

#[test]
fn the_log_is_asked_by_its_proof_and_by_a_copy() {
    let service = Service::new();
    let tiles = service.tiles();
    let proof = service.append(&service.receipt);
    let ask = |demands: &str, copy: Option<&dyn Tiles>| {
        answer(&package(), &service.receipt, demands, copy)
    };
    let by_proof = ask(&service.demands(Some(&proof), false), None);
    assert_eq!(by_proof.json()["log"]["index"], 0);
    let made = &by_proof.json()["checked"];
    assert!(made.as_array().unwrap().contains(&json!("log-inclusion")));
    let by_copy = ask(&service.demands(None, false), Some(&tiles));
    let made = by_copy.json()["checked"].as_array().unwrap().clone();
    assert!(made.contains(&json!("revocations")), "{}", by_copy.json());
    assert!(made.contains(&json!("signer")));
    refused(
        &ask(&service.demands(None, false), None),
        "request",
        "log-evidence-missing",
    );
    refused(&ask("{}", Some(&tiles)), "request", "parameter-invalid");
    // The proof of another receipt.
    let other = service.append(&golden("receipt.json"));
    refused(
        &ask(&service.demands(Some(&other), false), None),
        "rejected",
        "tlog-inclusion-invalid",
    );
    let question = json!({ "key": service.log.verifier_key().to_string(), "proof": proof });
    let logged = answer_log_proof(&service.receipt, &question.to_string());
    assert_eq!(logged.json()["verdict"], "logged");

    service.revoke();
    refused(
        &ask(&service.demands(Some(&proof), false), Some(&tiles)),
        "rejected",
        "log-revoked",
    );
    // Whoever looks at the proof alone cannot know, and is told so.
    let by_proof = ask(&service.demands(Some(&proof), false), None);
    let open = by_proof.json()["not_checked"].as_array().unwrap().clone();
    assert!(open.contains(&json!("revocations")));
}

#[test]
fn a_member_of_a_request_stands_there_once() {
    let input = r#"{"name":"features","shape":[1],"datatype":"FP32","data":[1]}"#;
    for doubled in [
        format!(r#"{{"inputs":[{input}],"inputs":[{input}]}}"#),
        format!(
            r#"{{"inputs":[{}]}}"#,
            input.replace('}', r#","data":[2]}"#)
        ),
        format!(
            r#"{{"inputs":[{}]}}"#,
            input.replace('{', r#"{"name":"x","#)
        ),
        format!(r#"{{"parameters":{{}},"inputs":[{input}],"parameters":{{}}}}"#),
    ] {
        let demands = json!({ "nonce": NONCE }).to_string();
        let verdict = answer_inference(&package(), &doubled, b"{}", &demands, None);
        refused(&verdict, "request", "parameter-invalid");
        let detail = verdict.json()["detail"].as_str().unwrap().to_owned();
        assert!(detail.contains("duplicate field"), "{detail}");
    }
}

#[test]
fn what_is_said_of_a_copy_needs_one() {
    let service = Service::new();
    let proof = service.append(&service.receipt);
    let alone = answer(
        &package(),
        &service.receipt,
        &service.demands(Some(&proof), true),
        None,
    );
    refused(&alone, "request", "parameter-invalid");
    let key = service.log.verifier_key().to_string();
    let question = json!({ "key": key, "proof": proof, "copy_may_be_older": true });
    let logged = answer_log_proof(&service.receipt, &question.to_string());
    refused(&logged, "request", "parameter-invalid");
    // Two checkpoints are of no receipt: what is said of one would not be looked at.
    let head = service.log.checkpoint().to_string();
    for more in [
        json!({ "proof": proof }),
        json!({ "copy_may_be_older": true }),
    ] {
        let mut log = json!({ "key": key });
        log.as_object_mut()
            .unwrap()
            .extend(more.as_object().unwrap().clone());
        let question = json!({ "log": log, "older": head, "newer": head, "proof": [] });
        let verdict = answer_checkpoints(&question.to_string());
        refused(&verdict, "request", "parameter-invalid");
        let question = json!({ "log": log, "older": head }).to_string();
        let verdict = answer_history(&question, &service.tiles());
        refused(&verdict, "request", "parameter-invalid");
    }
}

#[test]
fn a_copy_may_be_older_when_the_proof_shows_the_rest() {
    let service = Service::new();
    service.append(&golden("receipt.json"));
    let mirror = tempfile::tempdir().unwrap();
    let copied = std::process::Command::new("cp")
        .arg("-r")
        .arg(service.log.public_folder().join("."))
        .arg(mirror.path())
        .status()
        .unwrap();
    assert!(copied.success());
    let proof = service.append(&service.receipt);
    let tiles = Folder::new(mirror.path());
    let ask = |older| {
        let demands = service.demands(Some(&proof), older);
        answer(&package(), &service.receipt, &demands, Some(&tiles))
    };
    refused(&ask(false), "rejected", "receipt-not-logged");
    assert!(ask(true).is_accepted());
    assert!(service.folder.path().is_dir());
}

/// A copy that cannot be read.
struct Gone;

impl Tiles for Gone {
    fn read(&self, _: &str, _: usize) -> Result<Option<Vec<u8>>, ReadError> {
        Err(ReadError {
            reason: "the network is down".to_owned(),
        })
    }
}

#[test]
fn what_cannot_be_read_is_no_verdict_on_the_receipt() {
    let service = Service::new();
    let verdict = answer(
        &package(),
        &service.receipt,
        &service.demands(None, false),
        Some(&Gone),
    );
    refused(&verdict, "environment", "tlog-unreadable");
}

#[test]
fn two_checkpoints_are_compared_by_a_proof_and_by_a_copy() {
    let service = Service::new();
    let log = json!({ "key": service.log.verifier_key().to_string() });
    service.append(&golden("receipt.json"));
    let older = service.log.checkpoint();
    service.append(&service.receipt);
    service.revoke();
    let newer = service.log.checkpoint();
    let head = newer.checkpoint();
    let tree = VerifiedTree::open(service.tiles(), head.size(), *head.root()).unwrap();
    let proof: Vec<String> = prove_consistency(older.checkpoint().size(), head.size(), &tree)
        .unwrap()
        .iter()
        .map(ToString::to_string)
        .collect();
    let ask = |older: &str, newer: &str, proof: &[String]| {
        let question = json!({ "log": log, "older": older, "newer": newer, "proof": proof });
        answer_checkpoints(&question.to_string())
    };
    let (old, new) = (older.to_string(), newer.to_string());
    let verdict = ask(&old, &new, &proof);
    assert_eq!(verdict.json()["verdict"], "consistent");
    assert_eq!(verdict.json()["newer"]["size"], 3);
    refused(
        &ask(&old, &new, &proof[1..]),
        "rejected",
        "tlog-inconsistent",
    );
    refused(&ask(&new, &old, &proof), "rejected", "tlog-out-of-range");
    let forged = new.replacen("\n3\n", "\n4\n", 1);
    refused(
        &ask(&old, &forged, &proof),
        "rejected",
        "tlog-signature-invalid",
    );

    let question = json!({ "log": log, "older": old }).to_string();
    let verdict = answer_history(&question, &service.tiles());
    assert_eq!(verdict.json()["older"]["size"], 1);
}

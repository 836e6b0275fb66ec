//! An operator who shows receipts that are not what they seem.

use std::fs;

use ark_bn254::{Fr, G1Affine};
use ark_ec::{AffineRepr as _, CurveGroup as _};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use ed25519_dalek::{Signer as _, SigningKey};
use proofmark_audit::Status;
use proofmark_engine::BackendChoice;
use proofmark_types::dsse::{key_id, pre_authentication_encoding};
use proofmark_types::receipt::{RecordValue, TensorRecord};
use proofmark_types::{Context, Envelope, IntTensor, Receipt};
use proofmark_verifier::{decode_proof, encode_proof};
use serde_json::{Value, json};

use crate::fixture::{Case, NOW, blames, fails, finding, nonce};

/// The first output with its first value one higher.
fn change_output(receipt: &mut Receipt) {
    let record = &mut receipt.outputs[0];
    let RecordValue::Public(tensor) = &record.value else {
        panic!("the output is public");
    };
    let mut data = tensor.data().to_vec();
    data[0] += 1;
    let tensor = IntTensor::new(tensor.elem(), tensor.shape().to_vec(), data).unwrap();
    *record = TensorRecord::public(&record.name, tensor);
}

#[test]
fn forged_changed_and_replayed_receipts_are_found_among_honest_ones() {
    for backend in [BackendChoice::Plain, BackendChoice::Lookup] {
        let (case, other) = (Case::new(backend), Case::new(backend));
        case.give_honest(9);
        let context = |number| Context::off_chain(nonce(number));

        // A forged proof: that of another inference.
        let proof = case.receipt(0).receipt().proof;
        let forged = case.receipt_with(20, context(20), NOW, |r| r.proof = proof);
        case.give_receipt("forged.json", &forged);
        // Another output under the true proof, signed by the service.
        let changed = case.receipt_with(21, context(21), NOW, change_output);
        case.give_receipt("output.json", &changed);
        // Another output, signed by nobody: the signature is that of the true receipt.
        let signature = |envelope: &Envelope| {
            let text = String::from_utf8(envelope.to_bytes().unwrap()).unwrap();
            let sig = text.split("\"sig\":\"").nth(1).unwrap();
            let sig = sig.split('"').next().unwrap().to_owned();
            (text, sig)
        };
        let mut receipt = case.receipt(22).receipt().clone();
        let (_, old) = signature(&case.receipt(22));
        change_output(&mut receipt);
        let (text, new) =
            signature(&Envelope::sign(receipt, &crate::fixture::service_key()).unwrap());
        assert_eq!(STANDARD.decode(&old).unwrap().len(), 64);
        case.give("unsigned.json", text.replace(&new, &old).as_bytes());
        // A receipt of another package of the same model.
        case.give_receipt("package.json", &other.receipt(23));
        // The context of receipt 4, with another input.
        let replayed = case.receipt_with(24, context(4), NOW, |_| {});
        case.give_receipt("replayed.json", &replayed);
        // The very statement of receipt 5, proven again.
        case.give_receipt("twice.json", &case.receipt(5));
        // A proof that came too late for its own deadline, and one in time.
        let until = |number, deadline| Context {
            deadline,
            ..context(number)
        };
        let late = case.receipt_with(25, until(25, NOW - 100), NOW - 50, |_| {});
        case.give_receipt("late.json", &late);
        let timely = case.receipt_with(26, until(26, NOW), NOW - 50, |_| {});
        case.give_receipt("timely.json", &timely);
        // A receipt from tomorrow.
        let future = case.receipt_with(27, context(27), NOW + 86_400, |_| {});
        case.give_receipt("future.json", &future);
        // One that somebody else signed.
        let stranger = SigningKey::from_bytes(&[77; 32]);
        let mut receipt = case.receipt(28).receipt().clone();
        receipt.signer = stranger.verifying_key().to_bytes();
        case.give_receipt(
            "stranger.json",
            &Envelope::sign(receipt, &stranger).unwrap(),
        );
        // And what is no receipt, or not in its one form.
        case.give("text.json", b"not json");
        let text = String::from_utf8(case.receipt(29).to_bytes().unwrap()).unwrap();
        case.give("spaces.json", text.replacen(':', ": ", 1).as_bytes());

        let report = case.audit();
        let [
            form,
            package,
            signature,
            signer,
            proof,
            unique,
            deadline,
            time,
        ] = fails(
            &report,
            [
                "receipts-form",
                "receipts-package",
                "receipts-signature",
                "receipts-signer",
                "receipts-proof",
                "receipts-unique",
                "receipts-deadline",
                "receipts-time",
            ],
        );
        blames(form, &["spaces.json", "text.json"]);
        assert!(form.meaning.contains("They prove nothing"));
        blames(package, &["package.json"]);
        assert!(package.meaning.contains("of another package"));
        blames(signature, &["unsigned.json"]);
        assert!(signature.meaning.contains("changed after they were signed"));
        blames(signer, &["stranger.json"]);
        assert!(signer.meaning.contains("a key that you did not name"));
        blames(proof, &["forged.json", "output.json"]);
        assert!(
            proof
                .meaning
                .contains("a result that the model did not give")
        );
        assert!(proof.culprits.iter().all(|c| c.code == "proof-invalid"));
        blames(unique, &["replayed.json", "twice.json"]);
        assert!(unique.meaning.contains("an answer was replayed"));
        assert!(
            unique.culprits[0].reason.contains("4.json")
                || unique.culprits[1].reason.contains("4.json")
        );
        blames(deadline, &["late.json"]);
        blames(time, &["future.json"]);
        assert_eq!(report.receipts.accepted, 9 + 6);
        assert_eq!(report.receipts.rejected, 6);
        assert_eq!(finding(&report, "samples-runtime").status, Status::Pass);
        assert_eq!(finding(&report, "package-files").status, Status::Pass);
    }
}

#[test]
fn two_false_proofs_that_cancel_are_both_named() {
    for backend in [BackendChoice::Plain, BackendChoice::Lookup] {
        let case = Case::new(backend);
        case.give_honest(3);
        let offset = G1Affine::generator() * Fr::from(1234);
        for (number, offset) in [(10, offset), (11, -offset)] {
            let context = Context::off_chain(nonce(number));
            let shifted = |receipt: &mut Receipt| {
                let mut proof = decode_proof(&receipt.proof).unwrap();
                proof.groth16.c = (proof.groth16.c + offset).into_affine();
                receipt.proof = encode_proof(proof);
            };
            let false_one = case.receipt_with(10, context, NOW, shifted);
            case.give_receipt(&format!("{number}.json"), &false_one);
        }
        let report = case.audit();
        let [proof] = fails(&report, ["receipts-proof"]);
        blames(proof, &["10.json", "11.json"]);
        assert_eq!(report.receipts.accepted, 3);
    }
}

#[test]
fn what_no_receipt_reached_is_not_said_to_hold() {
    let case = Case::new(BackendChoice::Plain);
    case.give("a.json", b"{}");
    // Longer than any receipt, and said to be longer than all that an audit holds.
    let huge = case.request.receipts[0].join("huge.json");
    fs::File::create(huge).unwrap().set_len(5 << 30).unwrap();
    let report = case.audit();
    let [form] = fails(&report, ["receipts-form"]);
    blames(form, &["a.json", "huge.json"]);
    for id in [
        "receipts-package",
        "receipts-signature",
        "receipts-signer",
        "receipts-proof",
        "receipts-unique",
        "receipts-agree",
        "receipts-deadline",
        "receipts-time",
        "samples-runtime",
    ] {
        assert_eq!(finding(&report, id).status, Status::NotChecked, "{id}");
    }
    case.give_honest(1);
    let report = case.audit();
    let proof = finding(&report, "receipts-proof");
    assert_eq!(proof.status, Status::Pass);
    assert!(
        proof
            .meaning
            .starts_with("Of the 1 of 3 receipts that came this far")
    );
}

/// DSSE lets an envelope have many signatures; of a receipt that would make two files of one answer.
#[test]
fn a_second_signature_over_the_same_statement_is_no_receipt() {
    let case = Case::new(BackendChoice::Plain);
    case.give_honest(2);
    let envelope = case.receipt(3);
    let honest: Value = serde_json::from_slice(&envelope.to_bytes().unwrap()).unwrap();
    let own = honest["signatures"][0].clone();
    // A right signature of somebody else over the very same statement.
    let stranger = SigningKey::from_bytes(&[77; 32]);
    let payload = STANDARD
        .decode(honest["payload"].as_str().unwrap())
        .unwrap();
    let payload_type = honest["payloadType"].as_str().unwrap();
    let signature = stranger.sign(&pre_authentication_encoding(payload_type, &payload));
    let theirs = json!({
        "keyid": key_id(&stranger.verifying_key().to_bytes()).to_hex(),
        "sig": STANDARD.encode(signature.to_bytes()),
    });
    let names = ["added.json", "before.json", "doubled.json", "none.json"];
    for (name, signatures) in names.into_iter().zip([
        json!([own, theirs]),
        json!([theirs, own]),
        json!([own, own]),
        json!([]),
    ]) {
        // The members stand in the order of the one encoding.
        let text = format!(
            r#"{{"payload":{},"payloadType":{},"signatures":{signatures}}}"#,
            honest["payload"], honest["payloadType"]
        );
        case.give(name, text.as_bytes());
    }
    let report = case.audit();
    let [form] = fails(&report, ["receipts-form"]);
    blames(form, &names);
    assert!(
        form.meaning
            .contains("with a signature added or taken away")
    );
    for (culprit, got) in form.culprits.iter().zip([2, 2, 2, 0]) {
        assert_eq!(culprit.code, "receipt-malformed");
        let reason = format!("expected exactly one signature, got {got}: a statement has one file");
        assert!(culprit.reason.contains(&reason), "{}", culprit.reason);
    }
    assert_eq!((report.receipts.accepted, report.receipts.rejected), (2, 4));
    // With its own signature alone it is one.
    for name in names {
        fs::remove_file(case.request.receipts[0].join(name)).unwrap();
    }
    case.give_receipt("alone.json", &envelope);
    fails(&case.audit(), []);
}

#[test]
fn a_receipt_dated_before_there_was_such_a_package() {
    let mut case = Case::new(BackendChoice::Plain);
    let dated = |number, proved_at| {
        let context = Context::off_chain(nonce(number));
        case.receipt_with(1, context, proved_at, |_| {})
    };
    case.give_receipt("old.json", &dated(1, 86_400));
    case.give_receipt("new.json", &dated(2, NOW));
    case.give_receipt("before.json", &dated(3, NOW - 86_400));
    let report = case.audit();
    let [time] = fails(&report, ["receipts-time"]);
    blames(time, &["old.json"]);
    assert!(time.meaning.contains("before there was such a package"));
    assert_eq!(time.culprits[0].code, "time-before-package");
    case.request.not_before = Some(NOW - 3_600);
    let report = case.audit();
    let [time] = fails(&report, ["receipts-time"]);
    blames(time, &["before.json", "old.json"]);
}

#[test]
fn receipts_for_a_package_that_does_not_open_are_not_judged() {
    let case = Case::new(BackendChoice::Plain);
    case.give_honest(1);
    fs::remove_file(case.package().join("verifying_key.bin")).unwrap();
    let report = case.audit();
    fails(&report, []);
    assert_eq!(finding(&report, "verifying-key").status, Status::NotChecked);
    assert_eq!(
        finding(&report, "receipts-proof").status,
        Status::NotChecked
    );
    assert_eq!((report.receipts.given, report.receipts.accepted), (1, 0));
}

#[test]
fn without_a_service_key_the_signer_is_not_judged_and_the_report_says_so() {
    let mut case = Case::new(BackendChoice::Plain);
    case.give_honest(1);
    case.request.signers.clear();
    let report = case.audit();
    fails(&report, []);
    let signer = finding(&report, "receipts-signer");
    assert_eq!(signer.status, Status::NotChecked);
    assert!(signer.remedy.as_ref().unwrap().contains("--service-key"));
    assert!(report.not_proven.iter().any(|s| s.contains("who signed")));
}

#[test]
fn a_file_that_the_auditor_named_must_be_there() {
    let mut case = Case::new(BackendChoice::Plain);
    case.request.receipts.push(case.path("missing.json"));
    let error = proofmark_audit::audit(&case.request, &proofmark_audit::NoProgress).unwrap_err();
    assert_eq!(error.code(), "file-unreadable");
    case.request.receipts.clear();
    case.request.package = case.path("nowhere");
    let error = proofmark_audit::audit(&case.request, &proofmark_audit::NoProgress).unwrap_err();
    assert_eq!(error.code(), "package-io");
}

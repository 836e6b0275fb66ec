//! Packages, receipts and proofs that somebody changed.

use std::fs;

use ed25519_dalek::SigningKey;
use proofmark_types::field::fr_to_hex;
use proofmark_types::manifest::SetupKind;
use proofmark_types::receipt::RecordValue;
use proofmark_types::{Digest, IntTensor, ProofBytes, Receipt};
use serde_json::{Value, json};

use super::{Made, NONCE, case, hex, model, public, service, sign};
use crate::table::{Case, Question, base64};

pub(super) fn packages(made: &Made, other: &Made, cases: &mut Vec<Case>) {
    let question =
        |digest: Option<String>, manifest: Option<String>, key: Option<&[u8]>| Question::Package {
            package: made.name.to_owned(),
            digest,
            manifest,
            verifying_key: key.map(base64),
        };
    let mut add = |name: &str, question, kind: &str, code: &str| {
        let name = format!("{}: package: {name}", made.name);
        cases.push(case(&name, question).refused(kind, code));
    };
    let digest = |digest: Digest| Some(digest.to_string());
    add(
        "another is pinned",
        question(digest(other.public.digest), None, None),
        "rejected",
        "package-not-pinned",
    );
    add(
        "no digest",
        question(Some("sha256:00".to_owned()), None, None),
        "request",
        "parameter-invalid",
    );
    let manifest = String::from_utf8(made.public.manifest_bytes.clone()).unwrap();
    add(
        "manifest with a blank more",
        question(None, Some(format!("{manifest} ")), None),
        "rejected",
        "package-not-pinned",
    );
    let draft = fs::read_to_string(model().join("manifest.json")).unwrap();
    add(
        "a draft",
        question(digest(Digest::of(draft.as_bytes())), Some(draft), None),
        "rejected",
        "package-not-sealed",
    );
    add(
        "the other's key",
        question(None, None, Some(&other.public.key_bytes)),
        "rejected",
        "verifying-key-mismatch",
    );
    add(
        "half a key",
        question(None, None, Some(&made.public.key_bytes[..400])),
        "rejected",
        "verifying-key-mismatch",
    );
}

pub(super) fn receipts(made: &Made, other: &Made, cases: &mut Vec<Case>) {
    let good = made.signed(|_| {});
    let key = public(&service());
    cases.push(
        made.case("nothing asked", good.clone(), json!({}))
            .checks(&["package", "statement", "proof", "signature"]),
    );
    cases.push(
        made.case(
            "nonce and key asked",
            good.clone(),
            json!({ "nonce": NONCE, "service_key": key }),
        )
        .checks(&["freshness", "signer"]),
    );
    let text = |name: &str, receipt: String, code: &str| {
        made.case(name, receipt, json!({})).rejected(code)
    };
    cases.extend([
        text(
            "cut",
            good[..good.len() - 1].to_owned(),
            "receipt-malformed",
        ),
        text("empty", String::new(), "receipt-malformed"),
        text(
            "a line feed more",
            format!("{good}\n"),
            "receipt-not-canonical",
        ),
        text(
            "a blank more",
            good.replacen(':', ": ", 1),
            "receipt-not-canonical",
        ),
        text(
            "the other's receipt",
            other.signed(|_| {}),
            "package-not-pinned",
        ),
    ]);
    let other_signature = sign(made.receipt.clone(), &SigningKey::from_bytes(&[8; 32]));
    let envelope: Value = serde_json::from_str(&good).unwrap();
    let stranger: Value = serde_json::from_str(&other_signature).unwrap();
    let swap = |member: &str| {
        let old = envelope["signatures"][0][member].as_str().unwrap();
        let new = stranger["signatures"][0][member].as_str().unwrap();
        good.replacen(old, new, 1)
    };
    cases.push(text(
        "another's signature",
        swap("sig"),
        "signature-invalid",
    ));
    cases.push(text("another's key id", swap("keyid"), "key-id-mismatch"));
    cases.push(made.case("signed by a stranger", other_signature, json!({})));
}

/// A change that whoever signs can make.
type Forgery = (&'static str, fn(&mut Receipt), &'static str);

fn first(record: &mut RecordValue, change: impl Fn(&mut i32)) {
    if let RecordValue::Public(tensor) = record {
        let mut data = tensor.data().to_vec();
        change(&mut data[0]);
        *tensor = IntTensor::new(tensor.elem(), tensor.shape().to_vec(), data).unwrap();
    } else if let RecordValue::Hashed(x) | RecordValue::Private(x) = record {
        *x += proofmark_types::Fr::from(1_u64);
    }
}

/// Puts the point A of the proof in the place of C, which is on the curve as well.
fn c_from_a(receipt: &mut Receipt) {
    let backend = receipt.proof.backend();
    let mut bytes = receipt.proof.to_vec();
    let a: Vec<u8> = bytes[..64].to_vec();
    bytes[192..256].copy_from_slice(&a);
    receipt.proof = ProofBytes::new(backend, &bytes).unwrap();
}

const FORGERIES: [Forgery; 14] = [
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
        "setup",
        |r| r.setup.kind = SetupKind::Ceremony,
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
        |r| first(&mut r.inputs[0].value, |v| *v ^= 1),
        "proof-invalid",
    ),
    (
        "output",
        |r| first(&mut r.outputs[0].value, |v| *v += 1),
        "proof-invalid",
    ),
    (
        "a point off the curve",
        |r| r.proof[63] ^= 1,
        "proof-malformed",
    ),
    ("another point of the curve", c_from_a, "proof-invalid"),
];

pub(super) fn forged(made: &Made, cases: &mut Vec<Case>) {
    for (name, change, code) in FORGERIES {
        let name = format!("forged and signed: {name}");
        cases.push(
            made.case(&name, made.signed(change), json!({}))
                .rejected(code),
        );
    }
}

pub(super) fn proofs(made: &Made, other: &Made, cases: &mut Vec<Case>) {
    let inputs = |made: &Made| -> Vec<String> {
        let layout = made.public.manifest.layout().unwrap();
        let inputs = made.receipt.public_inputs(&layout).unwrap();
        inputs.iter().map(fr_to_hex).collect()
    };
    let (right, digest) = (inputs(made), Digest::of(&made.public.key_bytes));
    let ask = |name: &str, proof: &[u8], inputs: &[String], digest: Digest| {
        let question = json!({
            "verifying_key_digest": digest,
            "proof": hex(proof),
            "public_inputs": inputs,
        });
        let package = made.name.to_owned();
        case(
            &format!("{}: proof alone: {name}", made.name),
            Question::Proof { package, question },
        )
    };
    let proof = made.receipt.proof.to_vec();
    let mut other_inputs = right.clone();
    other_inputs[0] = other_inputs[0].replace(['1', '2'], "3");
    // The field's order, which would be 0.
    let mut order = right.clone();
    order[0] = "0x30644e72e131a029b85045b68181585d2833e84879b9709143e1f593f0000001".to_owned();
    let mut off = proof.clone();
    off[63] ^= 1;
    let mut swapped = proof.clone();
    swapped.copy_within(..64, 192);
    cases.extend([
        ask("right", &proof, &right, digest).verdict("proven"),
        ask("another input", &proof, &other_inputs, digest).rejected("proof-invalid"),
        ask("an input too few", &proof, &right[1..], digest).rejected("key-public-inputs-mismatch"),
        ask("an input of the field's order", &proof, &order, digest)
            .rejected("public-input-not-canonical"),
        ask("a point off the curve", &off, &right, digest).rejected("proof-malformed"),
        ask("another point of the curve", &swapped, &right, digest).rejected("proof-invalid"),
        ask("cut", &proof[..255], &right, digest).rejected("proof-malformed"),
        ask("another key", &proof, &right, Digest::of(b"x")).rejected("verifying-key-mismatch"),
        ask(
            "of the other proof system",
            &other.receipt.proof,
            &right,
            digest,
        )
        .rejected("proof-system-mismatch"),
    ]);
}

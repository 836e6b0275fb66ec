//! The tamper manifest: every leaf of a real receipt, what else could stand there, and which code
//! rejects it. A leaf without an entry, and an entry without a leaf, fail the test.

use std::collections::{BTreeMap, BTreeSet};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use ed25519_dalek::{Signer as _, SigningKey};
use proofmark_types::receipt::{PAYLOAD_TYPE, key_id, pre_authentication_encoding};
use proofmark_types::{Digest, Envelope};
use proofmark_verifier::{Expectations, SignatureVerdict};

use crate::fixture::{attacker_key, code, fixture, service_key};
use crate::json::{Leaf, leaves, with};

/// What becomes of a receipt that someone changed and signed with a key of their own.
#[derive(Clone, Copy, PartialEq)]
enum Fate {
    /// Rejected with this code, whoever signs.
    Rejected(&'static str),
    /// A claim of the signer: accepted as one by an unknown signer, so what is rejected is the
    /// original signature, or the signer when one is expected.
    Claim,
}
use Fate::{Claim, Rejected};

const OTHER_DIGEST: &str =
    "\"sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855\"";
const OTHER_HEX: &str = "\"e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855\"";
const OTHER_WORD: &str = "\"0x0000000000000000000000000000000000000000000000000000000000000007\"";
const OTHER_ADDRESS: &str = "\"0x0000000000000000000000000000000000000007\"";

/// Leaf, another well-formed value for it, fate.
const PAYLOAD: &[(&str, &str, Fate)] = &[
    (
        "_type",
        "\"https://in-toto.io/Statement/v0.1\"",
        Rejected("receipt-unsupported"),
    ),
    (
        "subject[0].name",
        "\"embedding\"",
        Rejected("receipt-subject-mismatch"),
    ),
    (
        "subject[0].digest.sha256",
        OTHER_HEX,
        Rejected("receipt-subject-mismatch"),
    ),
    (
        "subject[1].name",
        "\"logits\"",
        Rejected("receipt-subject-mismatch"),
    ),
    (
        "subject[1].digest.sha256",
        OTHER_HEX,
        Rejected("receipt-subject-mismatch"),
    ),
    (
        "predicateType",
        "\"https://proofmark.dev/proven-inference/v2\"",
        Rejected("receipt-unsupported"),
    ),
    (
        "predicate.package",
        OTHER_DIGEST,
        Rejected("package-not-pinned"),
    ),
    (
        "predicate.model.name",
        "\"other\"",
        Rejected("model-mismatch"),
    ),
    (
        "predicate.model.version",
        "\"2\"",
        Rejected("model-mismatch"),
    ),
    (
        "predicate.model.integerModel",
        OTHER_DIGEST,
        Rejected("model-mismatch"),
    ),
    (
        "predicate.circuit",
        OTHER_DIGEST,
        Rejected("circuit-mismatch"),
    ),
    (
        "predicate.verifyingKey",
        OTHER_DIGEST,
        Rejected("verifying-key-mismatch"),
    ),
    (
        "predicate.setup.kind",
        "\"ceremony\"",
        Rejected("setup-mismatch"),
    ),
    (
        "predicate.setup.transcript",
        OTHER_DIGEST,
        Rejected("setup-mismatch"),
    ),
    (
        "predicate.proofSystem.name",
        "\"groth16-bls12-381-v1\"",
        Rejected("receipt-unsupported"),
    ),
    (
        "predicate.proofSystem.id",
        "\"0x00000001\"",
        Rejected("receipt-unsupported"),
    ),
    (
        "predicate.runtime.onnxruntime",
        "\"1.31.0\"",
        Rejected("runtime-mismatch"),
    ),
    (
        "predicate.runtime.provider",
        "\"CUDAExecutionProvider\"",
        Rejected("receipt-malformed"),
    ),
    (
        "predicate.runtime.optimization",
        "\"enable-all\"",
        Rejected("receipt-malformed"),
    ),
    ("predicate.software.name", "\"other\"", Claim),
    ("predicate.software.version", "\"9\"", Claim),
    (
        "predicate.context.chainId",
        OTHER_WORD,
        Rejected("proof-invalid"),
    ),
    (
        "predicate.context.consumer",
        OTHER_ADDRESS,
        Rejected("proof-invalid"),
    ),
    (
        "predicate.context.requester",
        OTHER_WORD,
        Rejected("proof-invalid"),
    ),
    (
        "predicate.context.nonce",
        OTHER_WORD,
        Rejected("proof-invalid"),
    ),
    ("predicate.context.deadline", "7", Rejected("proof-invalid")),
    (
        "predicate.inputs[0].name",
        "\"picture\"",
        Rejected("receipt-tensor-invalid"),
    ),
    (
        "predicate.inputs[0].elem",
        "\"int8\"",
        Rejected("receipt-tensor-invalid"),
    ),
    (
        "predicate.inputs[0].shape[0]",
        "2",
        Rejected("receipt-tensor-invalid"),
    ),
    (
        "predicate.inputs[0].shape[1]",
        "41",
        Rejected("receipt-tensor-invalid"),
    ),
    (
        "predicate.inputs[0].visibility",
        "\"hashed\"",
        Rejected("receipt-tensor-invalid"),
    ),
    (
        "predicate.inputs[0].data",
        "\"AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA==\"",
        Rejected("receipt-tensor-invalid"),
    ),
    (
        "predicate.inputs[0].digest",
        OTHER_DIGEST,
        Rejected("receipt-tensor-invalid"),
    ),
    (
        "predicate.inputs[1].name",
        "\"other\"",
        Rejected("tensor-mismatch"),
    ),
    (
        "predicate.inputs[1].elem",
        "\"uint8\"",
        Rejected("tensor-mismatch"),
    ),
    (
        "predicate.inputs[1].shape[0]",
        "5",
        Rejected("tensor-mismatch"),
    ),
    (
        "predicate.inputs[1].visibility",
        "\"hashed\"",
        Rejected("tensor-mismatch"),
    ),
    (
        "predicate.inputs[1].commitment",
        OTHER_WORD,
        Rejected("proof-invalid"),
    ),
    // The subject names the outputs, so it notices a change of theirs first.
    (
        "predicate.outputs[0].name",
        "\"scores\"",
        Rejected("receipt-tensor-invalid"),
    ),
    (
        "predicate.outputs[0].elem",
        "\"uint8\"",
        Rejected("receipt-tensor-invalid"),
    ),
    (
        "predicate.outputs[0].shape[0]",
        "2",
        Rejected("receipt-tensor-invalid"),
    ),
    (
        "predicate.outputs[0].shape[1]",
        "4",
        Rejected("receipt-tensor-invalid"),
    ),
    (
        "predicate.outputs[0].visibility",
        "\"private\"",
        Rejected("receipt-tensor-invalid"),
    ),
    (
        "predicate.outputs[0].data",
        "\"AAAAAAAAAAAAAAAA\"",
        Rejected("receipt-tensor-invalid"),
    ),
    (
        "predicate.outputs[0].digest",
        OTHER_DIGEST,
        Rejected("receipt-tensor-invalid"),
    ),
    (
        "predicate.outputs[1].name",
        "\"vector\"",
        Rejected("receipt-subject-mismatch"),
    ),
    (
        "predicate.outputs[1].elem",
        "\"uint8\"",
        Rejected("tensor-mismatch"),
    ),
    (
        "predicate.outputs[1].shape[0]",
        "34",
        Rejected("tensor-mismatch"),
    ),
    (
        "predicate.outputs[1].visibility",
        "\"private\"",
        Rejected("tensor-mismatch"),
    ),
    (
        "predicate.outputs[1].commitment",
        OTHER_WORD,
        Rejected("receipt-subject-mismatch"),
    ),
    ("predicate.proof", "", Rejected("proof-invalid")), // filled in: a proof of another statement
    ("predicate.timing.provedAt", "1", Claim),
    (
        "predicate.signer.ed25519",
        OTHER_WORD,
        Rejected("key-id-mismatch"),
    ),
];

/// Codes of values that are not even well-formed.
const MALFORMED: &[&str] = &[
    "receipt-malformed",
    "receipt-not-canonical",
    "receipt-unsupported",
    "receipt-tensor-invalid",
    "receipt-subject-mismatch",
];

/// Spoilt versions of a leaf, none equal to it.
fn spoil(value: &str) -> Vec<String> {
    let mut all = vec![
        "null".to_owned(),
        "true".to_owned(),
        "[]".to_owned(),
        "{}".to_owned(),
    ];
    if let Some(inner) = value.strip_prefix('"').and_then(|v| v.strip_suffix('"')) {
        all.extend(["0".to_owned(), "\"\"".to_owned()]);
        let mut chars: Vec<char> = inner.chars().collect();
        all.push(format!("\"{inner}0\""));
        all.push(format!("\" {inner}\""));
        all.push(format!("\"{inner}\\u0000\""));
        chars.pop();
        all.push(format!("\"{}\"", chars.into_iter().collect::<String>()));
        all.push(format!(
            "\"\\u{:04x}{}\"",
            u32::from(inner.chars().next().unwrap()),
            &inner[1..]
        ));
        if inner.to_uppercase() != inner {
            all.push(format!("\"{}\"", inner.to_uppercase()));
        }
    } else {
        all.extend([
            format!("\"{value}\""),
            format!("-{value}"),
            format!("{value}.0"),
        ]);
        all.extend([
            format!("{value}e0"),
            format!("0{value}"),
            "18446744073709551616".to_owned(),
        ]);
        all.push("9007199254740993".to_owned());
    }
    all.retain(|v| v != value);
    all
}

/// An envelope around `payload`, with the signature of `key` over it.
fn envelope(payload: &str, key: &SigningKey) -> Vec<u8> {
    let message = pre_authentication_encoding(PAYLOAD_TYPE, payload.as_bytes());
    wrap(payload, key, &key.sign(&message).to_bytes())
}

fn wrap(payload: &str, key: &SigningKey, signature: &[u8]) -> Vec<u8> {
    format!(
        "{{\"payload\":\"{}\",\"payloadType\":\"{PAYLOAD_TYPE}\",\"signatures\":[{{\"keyid\":\"{}\",\"sig\":\"{}\"}}]}}",
        BASE64.encode(payload),
        key_id(&key.verifying_key().to_bytes()).to_hex(),
        BASE64.encode(signature),
    )
    .into_bytes()
}

fn payload_of(envelope: &[u8]) -> String {
    String::from_utf8(Envelope::parse(envelope).unwrap().payload().to_vec()).unwrap()
}

/// A proof that is true, of the same circuit, for another statement.
fn other_proof() -> String {
    let f = fixture();
    let inputs = vec![ark_bn254::Fr::from(5); f.manifest.layout().unwrap().len()];
    let proof = crate::fixture::prove(&f.key, &inputs, 99);
    format!(
        "\"{}\"",
        BASE64.encode(proofmark_verifier::encode_proof(&proof))
    )
}

fn entry<'t>(table: &BTreeMap<&str, (&'t str, Fate)>, leaf: &Leaf) -> (&'t str, Fate) {
    *table
        .get(leaf.path.as_str())
        .unwrap_or_else(|| panic!("{} has no entry: add one", leaf.path))
}

#[test]
fn every_leaf_of_the_payload_is_in_the_manifest() {
    let listed: BTreeSet<&str> = PAYLOAD.iter().map(|(path, ..)| *path).collect();
    let text = payload_of(&fixture().envelope);
    let found: BTreeSet<String> = leaves(&text).into_iter().map(|leaf| leaf.path).collect();
    assert_eq!(
        found.iter().map(String::as_str).collect::<BTreeSet<_>>(),
        listed
    );
    assert_eq!(listed.len(), PAYLOAD.len());
}

#[test]
fn every_leaf_changed_and_signed_by_a_stranger() {
    let f = fixture();
    let proof = other_proof();
    let table: BTreeMap<_, _> = PAYLOAD.iter().map(|&(p, v, fate)| (p, (v, fate))).collect();
    let honest = f.resigned(|_| {});
    let text = payload_of(&honest);
    assert_eq!(envelope(&text, &attacker_key()), honest);
    let expect_service = Expectations {
        signer: Some(f.receipt.signer),
        ..Expectations::default()
    };
    let mut cases = 0;
    for leaf in leaves(&text) {
        let (other, fate) = entry(&table, &leaf);
        let other = if other.is_empty() { &proof } else { other };
        let changed = envelope(&with(&text, &leaf, other), &attacker_key());
        match fate {
            Rejected(want) => assert_eq!(code(f.verify(&changed)), want, "{}", leaf.path),
            Claim => {
                let verdict = f.verify(&changed).unwrap();
                assert!(matches!(
                    verdict.signature,
                    SignatureVerdict::ValidUnpinned { .. }
                ));
                assert_eq!(
                    code(f.verify_with(&changed, &expect_service)),
                    "signer-mismatch"
                );
            }
        }
        for bad in spoil(&text[leaf.span.clone()]) {
            let changed = envelope(&with(&text, &leaf, &bad), &attacker_key());
            cases += 1;
            match (f.verify(&changed), fate) {
                (Ok(verdict), Claim) => {
                    assert!(matches!(
                        verdict.signature,
                        SignatureVerdict::ValidUnpinned { .. }
                    ));
                }
                (Ok(_), Rejected(_)) => panic!("{} accepted as {bad}", leaf.path),
                (Err(rejection), _) => {
                    let got = code(Err::<(), _>(rejection));
                    let specific = matches!(fate, Rejected(want) if want == got);
                    assert!(
                        specific || MALFORMED.contains(&got) || got == "tensor-mismatch",
                        "{} as {bad}: {got}",
                        leaf.path
                    );
                }
            }
        }
    }
    assert!(cases > 500, "{cases}");
}

#[test]
fn every_leaf_changed_under_the_original_signature() {
    let f = fixture();
    let proof = other_proof();
    let text = payload_of(&f.envelope);
    let parsed: serde_json::Value = serde_json::from_slice(&f.envelope).unwrap();
    let signature = BASE64
        .decode(parsed["signatures"][0]["sig"].as_str().unwrap())
        .unwrap();
    assert_eq!(wrap(&text, &service_key(), &signature), f.envelope);
    let table: BTreeMap<_, _> = PAYLOAD.iter().map(|&(p, v, fate)| (p, (v, fate))).collect();
    for leaf in leaves(&text) {
        let (other, fate) = entry(&table, &leaf);
        let other = if other.is_empty() { &proof } else { other };
        let changed = wrap(&with(&text, &leaf, other), &service_key(), &signature);
        let got = code(f.verify(&changed));
        let want = match fate {
            // The signature is checked before the proof.
            Rejected("proof-invalid") | Claim => "signature-invalid",
            Rejected(want) => want,
        };
        assert_eq!(got, want, "{}", leaf.path);
        for bad in spoil(&text[leaf.span.clone()]) {
            code(f.verify(&wrap(&with(&text, &leaf, &bad), &service_key(), &signature)));
        }
    }
}

#[test]
fn every_leaf_of_the_envelope() {
    let f = fixture();
    let text = core::str::from_utf8(&f.envelope).unwrap();
    let other_payload = payload_of(&f.resigned(|_| {}));
    let other_payload = format!("\"{}\"", BASE64.encode(other_payload));
    let zeros = format!("\"{}\"", BASE64.encode([0; 64]));
    let table: BTreeMap<&str, (&str, Fate)> = BTreeMap::from([
        (
            "payload",
            (other_payload.as_str(), Rejected("key-id-mismatch")),
        ),
        (
            "payloadType",
            ("\"application/json\"", Rejected("receipt-unsupported")),
        ),
        (
            "signatures[0].keyid",
            (OTHER_HEX, Rejected("key-id-mismatch")),
        ),
        (
            "signatures[0].sig",
            (zeros.as_str(), Rejected("signature-invalid")),
        ),
    ]);
    let found = leaves(text);
    assert_eq!(found.len(), table.len());
    for leaf in found {
        let (other, fate) = entry(&table, &leaf);
        let Rejected(want) = fate else {
            panic!("no claims in the envelope")
        };
        assert_eq!(
            code(f.verify(with(text, &leaf, other).as_bytes())),
            want,
            "{}",
            leaf.path
        );
        for bad in spoil(&text[leaf.span.clone()]) {
            let got = code(f.verify(with(text, &leaf, &bad).as_bytes()));
            assert!(
                got == want || MALFORMED.contains(&got),
                "{} as {bad}: {got}",
                leaf.path
            );
        }
    }
}

#[test]
fn every_byte_of_the_envelope() {
    let f = fixture();
    let package =
        proofmark_verifier::TrustedPackage::open(&f.pins, &f.manifest_bytes, &f.key_bytes).unwrap();
    let none = Expectations::default();
    assert!(package.verify(&f.envelope, &none).is_ok());
    for at in 0..f.envelope.len() {
        for mask in [1, 2, 0x20, 0x80] {
            let mut bad = f.envelope.clone();
            bad[at] ^= mask;
            code(package.verify(&bad, &none));
        }
        let mut shorter = f.envelope.clone();
        shorter.remove(at);
        code(package.verify(&shorter, &none));
        let mut longer = f.envelope.clone();
        longer.insert(at, b' ');
        code(package.verify(&longer, &none));
        code(package.verify(&f.envelope[..at], &none));
    }
}

#[test]
fn members_added_removed_and_doubled() {
    let f = fixture();
    let text = payload_of(&f.resigned(|_| {}));
    let key = attacker_key();
    let mut cases = 0;
    for (at, _) in text.match_indices("{\"") {
        let added = format!("{}{{\"x\":0,{}", &text[..at], &text[at + 1..]);
        assert_eq!(
            code(f.verify(&envelope(&added, &key))),
            "receipt-malformed",
            "{added}"
        );
        cases += 1;
    }
    assert!(cases > 10);
    for leaf in leaves(&text) {
        let Some(start) = text[..leaf.span.start]
            .rfind('"')
            .and_then(|q| text[..q].rfind('"'))
        else {
            panic!("{} has no name", leaf.path)
        };
        if leaf.path.ends_with(']') {
            continue;
        }
        let end = leaf.span.end;
        let member = &text[start..end];
        let doubled = format!("{}{member},{}", &text[..start], &text[start..]);
        assert_eq!(
            code(f.verify(&envelope(&doubled, &key))),
            "receipt-malformed",
            "{doubled}"
        );
        let (start, end) = if text.as_bytes()[end] == b',' {
            (start, end + 1)
        } else {
            (start, end)
        };
        let start = if text.as_bytes()[start - 1] == b','
            && text.as_bytes()[end] == b'}'
            && text.as_bytes()[end - 1] != b','
        {
            start - 1
        } else {
            start
        };
        let removed = format!("{}{}", &text[..start], &text[end..]);
        let got = code(f.verify(&envelope(&removed, &key)));
        assert!(
            ["receipt-malformed", "receipt-tensor-invalid"].contains(&got),
            "{removed}"
        );
    }
    assert_ne!(Digest::of(text.as_bytes()), Digest::of(b""));
}

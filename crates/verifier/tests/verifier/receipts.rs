//! Receipts that are accepted, and receipts that contradict package, expectation or opening.

use ark_bn254::Fr;
use proofmark_types::manifest::{RuntimePin, SetupKind};
use proofmark_types::receipt::{RecordValue, TensorRecord, key_id};
use proofmark_types::statement::tensor_digest;
use proofmark_types::{Digest, ElemType, Envelope, IntTensor, Receipt};
use proofmark_verifier::{
    Expectations, Opening, Pins, SignatureVerdict, TrustedPackage, decode_proof, encode_proof,
    encode_verifying_key, verify_receipt,
};

use crate::fixture::{Fixture, attacker_key, code, fixture, prove, service_key, setup};

#[test]
fn accepts_the_real_one() {
    let f = fixture();
    let verdict = f.verify(&f.envelope).unwrap();
    let service = service_key().verifying_key().to_bytes();
    assert_eq!(
        verdict.signature,
        SignatureVerdict::ValidPinned {
            key_id: key_id(&service)
        }
    );
    assert_eq!(verdict.setup_kind, SetupKind::SingleParty);
    assert_eq!(verdict.receipt, f.receipt);
    assert_eq!(
        verdict.statement_digest,
        f.receipt.statement_digest().unwrap()
    );
    // context, two packed for 40 uint8, one digest, three raw, one digest
    assert_eq!(verdict.public_inputs.len(), 1 + 2 + 1 + 3 + 1);
    assert_eq!(
        verdict.public_inputs[4..7],
        [2_147_413_648_u64, 2_147_483_648, 2_147_553_648].map(Fr::from)
    );
}

#[test]
fn unknown_signer_is_said_and_not_rejected() {
    let f = fixture();
    let attacker = attacker_key().verifying_key().to_bytes();
    let envelope = f.resigned(|_| {});
    let verdict = f.verify(&envelope).unwrap();
    assert_eq!(
        verdict.signature,
        SignatureVerdict::ValidUnpinned {
            key_id: key_id(&attacker)
        }
    );
    let expect = |signer| Expectations {
        signer: Some(signer),
        ..Expectations::default()
    };
    assert_eq!(
        code(f.verify_with(&envelope, &expect(f.receipt.signer))),
        "signer-mismatch"
    );
    assert_eq!(
        code(f.verify_with(&f.envelope, &expect(attacker))),
        "signer-mismatch"
    );
    let verdict = f.verify_with(&envelope, &expect(attacker)).unwrap();
    assert_eq!(
        verdict.signature,
        SignatureVerdict::ValidPinned {
            key_id: key_id(&attacker)
        }
    );
}

/// Anyone makes another valid proof of the same statement, here (−A, −B, C).
#[test]
fn changed_proof_bytes_keep_the_statement_digest() {
    let f = fixture();
    let envelope = f.resigned(|r| {
        let mut proof = decode_proof(&r.proof).unwrap();
        proof.groth16.a = -proof.groth16.a;
        proof.groth16.b = -proof.groth16.b;
        r.proof = encode_proof(&proof);
    });
    let (ours, theirs) = (f.verify(&f.envelope).unwrap(), f.verify(&envelope).unwrap());
    assert_eq!(ours.statement_digest, theirs.statement_digest);
    assert_ne!(ours.receipt_id, theirs.receipt_id);
    assert_ne!(ours.receipt.proof, theirs.receipt.proof);
}

#[test]
fn context_expectations() {
    let f = fixture();
    let mut other = f.receipt.context;
    other.deadline = 5;
    for (expectations, want) in [
        (
            Expectations {
                context: Some(f.receipt.context),
                ..Default::default()
            },
            None,
        ),
        (
            Expectations {
                nonce: Some([9; 32]),
                ..Default::default()
            },
            None,
        ),
        (
            Expectations {
                context: Some(other),
                ..Default::default()
            },
            Some("context-mismatch"),
        ),
        (
            Expectations {
                nonce: Some([8; 32]),
                ..Default::default()
            },
            Some("context-mismatch"),
        ),
    ] {
        match want {
            None => drop(f.verify_with(&f.envelope, &expectations).unwrap()),
            Some(want) => assert_eq!(code(f.verify_with(&f.envelope, &expectations)), want),
        }
    }
}

#[test]
fn openings() {
    let f = fixture();
    let (features, salt) = f.private.clone();
    let RecordValue::Public(logits) = f.receipt.outputs[0].value.clone() else {
        panic!("logits are public")
    };
    let open = |name: &str, tensor: &IntTensor, salt| {
        let opening = Opening {
            name: name.to_owned(),
            tensor: tensor.clone(),
            salt,
        };
        let expectations = Expectations {
            openings: vec![opening],
            ..Default::default()
        };
        f.verify_with(&f.envelope, &expectations).map(|v| v.opened)
    };
    assert_eq!(
        open("features", &features, Some(salt)).unwrap(),
        ["features"]
    );
    assert_eq!(open("embedding", &f.hashed, None).unwrap(), ["embedding"]);
    assert_eq!(open("logits", &logits, None).unwrap(), ["logits"]);
    let other = IntTensor::new(ElemType::Int8, vec![4], vec![-128, 0, 1, 126]).unwrap();
    let reshaped = features.clone().reshaped(vec![2, 2]).unwrap();
    let shifted = IntTensor::new(ElemType::Int32, vec![1, 3], vec![1, 2, 3]).unwrap();
    for (name, tensor, salt) in [
        ("features", &features, None),
        ("features", &features, Some(Fr::from(1))),
        ("features", &other, Some(salt)),
        ("features", &reshaped, Some(salt)),
        ("embedding", &f.hashed, Some(Fr::from(0))),
        ("embedding", &features, None),
        ("logits", &shifted, None),
        ("logits", &logits, Some(salt)),
        ("nothing", &features, Some(salt)),
    ] {
        assert_eq!(code(open(name, tensor, salt)), "opening-mismatch", "{name}");
    }
}

/// Each change is consistent in itself and signed: only the comparison with the package, or the
/// proof, can notice it.
#[test]
fn consistent_lies() {
    type Change = fn(&mut Receipt);
    let changes: Vec<(Change, &str)> = vec![
        (|r| r.package = Digest::of(b""), "package-not-pinned"),
        (|r| r.model.name = "other".into(), "model-mismatch"),
        (|r| r.model.version = "2".into(), "model-mismatch"),
        (
            |r| r.model.integer_model = Digest::of(b""),
            "model-mismatch",
        ),
        (|r| r.circuit = Digest::of(b""), "circuit-mismatch"),
        (
            |r| r.verifying_key = Digest::of(b""),
            "verifying-key-mismatch",
        ),
        (|r| r.setup.kind = SetupKind::Ceremony, "setup-mismatch"),
        (|r| r.setup.transcript = Digest::of(b""), "setup-mismatch"),
        (
            |r| {
                r.runtime = RuntimePin {
                    onnxruntime: "1.31.0".into(),
                    ..RuntimePin::current()
                }
            },
            "runtime-mismatch",
        ),
        (|r| r.context.nonce[31] ^= 1, "proof-invalid"),
        (|r| r.context.deadline += 1, "proof-invalid"),
        (|r| r.context.chain_id[31] = 1, "proof-invalid"),
        (|r| r.context.consumer[0] = 1, "proof-invalid"),
        (|r| r.context.requester[0] = 1, "proof-invalid"),
        (|r| bump(&mut r.inputs[0], 0), "proof-invalid"),
        (|r| bump(&mut r.inputs[0], 39), "proof-invalid"),
        (|r| bump(&mut r.outputs[0], 2), "proof-invalid"),
        (
            |r| r.inputs[1].value = RecordValue::Private(Fr::from(1)),
            "proof-invalid",
        ),
        (
            |r| r.outputs[1].value = RecordValue::Hashed(Fr::from(1)),
            "proof-invalid",
        ),
        (
            |r| r.inputs[1].value = RecordValue::Hashed(Fr::from(1)),
            "tensor-mismatch",
        ),
        (|r| r.inputs[1].shape = vec![2, 2], "tensor-mismatch"),
        (|r| r.inputs[1].elem = ElemType::Uint8, "tensor-mismatch"),
        (|r| r.inputs[1].name = "z".into(), "tensor-mismatch"),
        (|r| r.inputs.swap(0, 1), "tensor-mismatch"),
        (|r| drop(r.inputs.pop()), "tensor-mismatch"),
        (|r| drop(r.outputs.pop()), "tensor-mismatch"),
        (
            |r| {
                r.outputs.push(TensorRecord {
                    name: "more".into(),
                    ..r.outputs[1].clone()
                });
            },
            "tensor-mismatch",
        ),
        (|r| reshape(&mut r.inputs[0]), "tensor-mismatch"),
        (|r| r.proof = [0; 256].into(), "proof-malformed"),
        (|r| r.proof[0] ^= 1, "proof-malformed"),
        (
            |r| {
                let mut proof = decode_proof(&r.proof).unwrap();
                proof.groth16.a = -proof.groth16.a;
                r.proof = encode_proof(&proof);
            },
            "proof-invalid",
        ),
        (
            |r| {
                let mut proof = decode_proof(&r.proof).unwrap();
                proof.groth16.c = ark_bn254::G1Affine::identity();
                r.proof = encode_proof(&proof);
            },
            "proof-malformed",
        ),
    ];
    let f = fixture();
    for (index, (change, want)) in changes.into_iter().enumerate() {
        assert_eq!(code(f.verify(&f.resigned(change))), want, "case {index}");
    }
}

fn bump(record: &mut TensorRecord, index: usize) {
    let RecordValue::Public(tensor) = &record.value else {
        panic!("public")
    };
    let mut data = tensor.data().to_vec();
    data[index] += 1;
    *record = TensorRecord::public(
        &record.name,
        IntTensor::new(tensor.elem(), tensor.shape().to_vec(), data).unwrap(),
    );
}

fn reshape(record: &mut TensorRecord) {
    let RecordValue::Public(tensor) = record.value.clone() else {
        panic!("public")
    };
    *record = TensorRecord::public(&record.name, tensor.reshaped(vec![40]).unwrap());
}

#[test]
fn service_signature_over_something_else() {
    let f = fixture();
    let honest = Envelope::parse(&f.envelope).unwrap();
    // A true receipt that names the service as signer and is signed by someone else.
    let text = String::from_utf8(f.envelope.clone()).unwrap();
    let stolen = String::from_utf8(f.resigned(|_| {})).unwrap();
    let signature = |text: &str| text.split("\"sig\":").nth(1).unwrap().to_owned();
    let forged = text.replace(&signature(&text), &signature(&stolen));
    assert_ne!(forged, text);
    assert_eq!(code(f.verify(forged.as_bytes())), "signature-invalid");
    assert!(honest.verify_signature().is_ok());
}

#[test]
fn package_must_be_the_pinned_one() {
    let f = fixture();
    let none = Expectations::default();
    let pins = Pins::package(Digest::of(b"another"));
    let run = |pins: &Pins, manifest: &[u8], key: &[u8]| {
        code(verify_receipt(&f.envelope, pins, manifest, key, &none))
    };
    assert_eq!(
        run(&pins, &f.manifest_bytes, &f.key_bytes),
        "package-not-pinned"
    );
    let mut spaced = f.manifest_bytes.clone();
    spaced.push(b'\n');
    assert_eq!(run(&f.pins, &spaced, &f.key_bytes), "package-not-pinned");
    // Pinned by mistake: another spelling, something that is no manifest, a draft.
    assert_eq!(
        run(&Pins::package(Digest::of(&spaced)), &spaced, &f.key_bytes),
        "manifest-not-canonical"
    );
    assert_eq!(
        run(&Pins::package(Digest::of(b"{}")), b"{}", &f.key_bytes),
        "manifest-malformed"
    );
    let mut draft = f.manifest.clone();
    draft.sealed = None;
    let draft = draft.to_bytes().unwrap();
    assert_eq!(
        run(&Pins::package(Digest::of(&draft)), &draft, &f.key_bytes),
        "package-not-sealed"
    );
    // Another key, even one that fits.
    let other = encode_verifying_key(&setup(8, 77).vk).unwrap();
    assert_eq!(
        run(&f.pins, &f.manifest_bytes, &other),
        "verifying-key-mismatch"
    );
    assert_eq!(
        run(&f.pins, &f.manifest_bytes, &f.key_bytes[1..]),
        "verifying-key-mismatch"
    );
}

/// A package whose maker sealed a broken key: the pin says which package, not that it is sound.
#[test]
fn package_with_a_broken_key() {
    let f = fixture();
    let run = |key: &[u8], public_inputs: Option<u64>| {
        let mut manifest = f.manifest.clone();
        let sealed = manifest.sealed.as_mut().unwrap();
        sealed.verifying_key.digest = Digest::of(key);
        sealed.verifying_key.bytes = u64::try_from(key.len()).unwrap();
        sealed.circuit.public_inputs = public_inputs.unwrap_or(sealed.circuit.public_inputs);
        let manifest = manifest.to_bytes().unwrap();
        let pins = Pins::package(Digest::of(&manifest));
        code(verify_receipt(
            &f.envelope,
            &pins,
            &manifest,
            key,
            &Expectations::default(),
        ))
    };
    // δ := γ, copied inside the file: magic 16, count 4, α 64, β 128, then γ and δ.
    let mut degenerate = f.key_bytes.clone();
    degenerate.copy_within(212..340, 340);
    assert_eq!(run(&degenerate, None), "key-degenerate");
    let mut identity = f.key_bytes.clone();
    identity[20..84].fill(0);
    assert_eq!(run(&identity, None), "key-degenerate");
    let mut off_curve = f.key_bytes.clone();
    off_curve[83] ^= 1;
    assert_eq!(run(&off_curve, None), "key-malformed");
    assert_eq!(run(b"", None), "key-malformed");
    let narrow = encode_verifying_key(&setup(7, 1).vk).unwrap();
    assert_eq!(run(&narrow, None), "key-public-inputs-mismatch");
    assert_eq!(run(&f.key_bytes, Some(9)), "circuit-mismatch");
}

/// A true proof of the same circuit for other values does not carry this receipt.
#[test]
fn proof_of_another_statement() {
    let f: &Fixture = fixture();
    let mut other = f.receipt.clone();
    bump(&mut other.inputs[0], 3);
    let inputs = other.public_inputs(&f.manifest.layout().unwrap()).unwrap();
    let proof = encode_proof(prove(&f.key, &inputs, 5));
    assert_eq!(
        code(f.verify(&f.resigned(|r| r.proof = proof))),
        "proof-invalid"
    );
    let moved = f.resigned(|r| {
        bump(&mut r.inputs[0], 3);
        r.proof = proof;
    });
    assert!(f.verify(&moved).is_ok());
    // The salt is what keeps a private tensor from being guessed.
    let (features, salt) = &f.private;
    assert_ne!(
        tensor_digest(features, *salt),
        tensor_digest(features, Fr::from(0))
    );
}

#[test]
fn many_receipts_get_the_verdicts_that_each_gets_alone() {
    let f = fixture();
    let package = TrustedPackage::open(&f.pins, &f.manifest_bytes, &f.key_bytes).unwrap();
    let mut false_proof = f.resigned(|r| r.context.nonce = [99; 32]);
    let cut = f.envelope.split_last().unwrap().1.to_vec();
    let other = f.resigned(|r| r.package = Digest::of(b"another package"));
    let mut envelopes = vec![
        false_proof.clone(),
        f.envelope.clone(),
        cut,
        f.resigned(|_| {}),
        other,
        f.envelope.clone(),
    ];
    false_proof.push(b' ');
    envelopes.extend([false_proof, f.resigned(|r| r.context.nonce = [98; 32])]);
    let many = package.verify_many(&envelopes, &Expectations::default());
    let alone: Vec<_> = envelopes
        .iter()
        .map(|envelope| package.verify(envelope, &Expectations::default()))
        .collect();
    assert_eq!(many, alone);
    let codes: Vec<&str> = many
        .iter()
        .map(|verdict| {
            verdict
                .as_ref()
                .map_or_else(proofmark_verifier::Rejection::code, |_| "accepted")
        })
        .collect();
    assert_eq!(
        codes,
        [
            "proof-invalid",
            "accepted",
            "receipt-malformed",
            "accepted",
            "package-not-pinned",
            "accepted",
            "receipt-not-canonical",
            "proof-invalid"
        ]
    );
    let none: [&[u8]; 0] = [];
    assert!(
        package
            .verify_many(&none, &Expectations::default())
            .is_empty()
    );
}

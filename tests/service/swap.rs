//! Proofs that are real, but of something else.

use ark_bn254::Fr;
use ark_ff::{BigInteger as _, PrimeField as _};
use ed25519_dalek::SigningKey;
use proofmark_tests::service::{Public, Service, Start, packages};
use proofmark_types::field::fr_to_bytes;
use proofmark_types::receipt::{Envelope, Receipt};
use proofmark_verifier::{
    Expectations, Pins, Rejection, TrustedPackage, verify_proof_bytes, verify_receipt,
};
use serde_json::json;

use crate::{DIGITS, RISK};

struct Made {
    model: Public,
    receipt: Receipt,
}

/// Real receipts: the classifier on two inputs and once more on the first, and the digits.
fn receipts() -> (tempfile::TempDir, Vec<Made>) {
    let data = tempfile::tempdir().unwrap();
    let service = Service::start(Start {
        packages: packages(),
        data: data.path(),
        more: &[],
    });
    let made = [(RISK, 0, 1), (RISK, 3, 1), (RISK, 0, 2), (DIGITS, 0, 1)]
        .into_iter()
        .map(|(name, sample, nonce)| {
            let model = Public::of(name);
            let mut request = model.request(sample);
            let nonce = hex::encode([nonce; 32]);
            request["parameters"] = json!({ "nonce": format!("0x{nonce}") });
            let reply = service.infer(name, &request);
            let (_, envelope) = crate::envelope(&service, &reply);
            Made {
                receipt: envelope.receipt().clone(),
                model,
            }
        })
        .collect();
    (data, made)
}

/// What a verifier says of a receipt that an attacker signed with a key of their own.
fn forged(model: &Public, mut receipt: Receipt) -> Result<(), Rejection> {
    let key = SigningKey::from_bytes(&[42; 32]);
    receipt.signer = key.verifying_key().to_bytes();
    let bytes = Envelope::sign(receipt, &key).unwrap().to_bytes().unwrap();
    verify_receipt(
        &bytes,
        &Pins::package(model.digest),
        &model.manifest_bytes,
        &model.key_bytes,
        &Expectations::default(),
    )
    .map(drop)
}

#[test]
fn a_proof_of_another_input_context_or_model_is_rejected() {
    let (_data, made) = receipts();
    let [first, other_input, other_context, other_model] = &made[..] else {
        panic!("four receipts");
    };
    assert_eq!(forged(&first.model, first.receipt.clone()), Ok(()));
    assert_ne!(first.receipt.inputs, other_input.receipt.inputs);
    assert_ne!(first.receipt.context, other_context.receipt.context);
    for other in [other_input, other_context, other_model] {
        let mut receipt = first.receipt.clone();
        receipt.proof = other.receipt.proof;
        assert_eq!(
            forged(&first.model, receipt),
            Err(Rejection::ProofInvalid),
            "the other's proof"
        );
        let mut receipt = other.receipt.clone();
        receipt.proof = first.receipt.proof;
        assert_eq!(forged(&other.model, receipt), Err(Rejection::ProofInvalid));
    }
    for other in [other_input, other_context] {
        let mut receipt = first.receipt.clone();
        receipt.context = other.receipt.context;
        receipt.inputs = other.receipt.inputs.clone();
        assert_eq!(
            forged(&first.model, receipt),
            Err(Rejection::ProofInvalid),
            "the other's statement in part"
        );
    }
    let mut receipt = first.receipt.clone();
    receipt.outputs = other_input.receipt.outputs.clone();
    assert_ne!(receipt.outputs, first.receipt.outputs);
    assert_eq!(
        forged(&first.model, receipt),
        Err(Rejection::ProofInvalid),
        "the other's outputs"
    );
    // A whole statement of another model under this package.
    let mut receipt = other_model.receipt.clone();
    receipt.package = first.model.digest;
    let code = forged(&first.model, receipt).unwrap_err().code();
    assert_eq!(code, "model-mismatch");
    let mut receipt = first.receipt.clone();
    receipt.inputs = other_model.receipt.inputs.clone();
    let code = forged(&first.model, receipt).unwrap_err().code();
    assert_eq!(code, "tensor-mismatch");
}

#[test]
fn a_public_input_plus_the_field_order_is_rejected() {
    let (_data, made) = receipts();
    let Made { model, receipt } = &made[0];
    let trusted = TrustedPackage::open(
        &Pins::package(model.digest),
        &model.manifest_bytes,
        &model.key_bytes,
    )
    .unwrap();
    let inputs = receipt.public_inputs(trusted.layout()).unwrap();
    let bytes: Vec<[u8; 32]> = inputs.iter().map(fr_to_bytes).collect();
    let verify = |inputs: &[[u8; 32]]| verify_proof_bytes(&model.key_bytes, inputs, &receipt.proof);
    assert_eq!(verify(&bytes), Ok(()));
    for index in 0..bytes.len() {
        // The same residue: the pairing equation would hold.
        let mut sum = inputs[index].into_bigint();
        let carry = sum.add_with_carry(&Fr::MODULUS);
        assert!(!carry, "it still fits in 32 bytes");
        let mut aliased = bytes.clone();
        aliased[index] = sum.to_bytes_be().try_into().unwrap();
        assert_eq!(
            verify(&aliased),
            Err(Rejection::PublicInputNotCanonical { index })
        );
        let mut changed = bytes.clone();
        changed[index][31] ^= 1;
        assert_eq!(verify(&changed), Err(Rejection::ProofInvalid));
    }
    let code = |inputs: &[[u8; 32]]| verify(inputs).unwrap_err().code();
    assert_eq!(code(&bytes[1..]), "key-public-inputs-mismatch");
    let more = [&bytes[..], &[[0; 32]]].concat();
    assert_eq!(code(&more), "key-public-inputs-mismatch");
}

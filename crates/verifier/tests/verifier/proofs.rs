//! The pairing check against ark-groth16's verifier, and what a proof may not be.

use ark_bn254::{Bn254, Fr};
use ark_ff::{AdditiveGroup as _, BigInteger as _, Field as _, PrimeField as _};
use ark_groth16::{Groth16, prepare_verifying_key};
use proofmark_types::field::fr_to_bytes;
use proofmark_verifier::{
    PreparedKey, decode_public_inputs, encode_proof, encode_verifying_key, verify_proof,
    verify_proof_bytes,
};

use crate::fixture::{code, prove, setup};

#[test]
fn agrees_with_the_reference_verifier() {
    for count in [1_usize, 2, 5, 40] {
        let key = setup(count, 3);
        let reference = prepare_verifying_key(&key.vk);
        let prepared = PreparedKey::new(&key.vk).unwrap();
        assert_eq!(prepared.public_inputs(), count);
        let mut inputs: Vec<Fr> = (0_u64..)
            .map(|k| Fr::from(k).square() - Fr::from(1))
            .take(count)
            .collect();
        let proof = prove(&key, &inputs, 4);
        let theirs = |x: &[Fr]| Groth16::<Bn254>::verify_proof(&reference, &proof, x).unwrap();
        assert!(theirs(&inputs));
        assert_eq!(prepared.verify(&inputs, &proof), Ok(()));
        for position in 0..count {
            inputs[position] += Fr::ONE;
            assert!(!theirs(&inputs));
            assert_eq!(code(prepared.verify(&inputs, &proof)), "proof-invalid");
            inputs[position] -= Fr::ONE;
        }
    }
}

#[test]
fn number_of_public_inputs_is_checked() {
    let key = setup(3, 3);
    let inputs = [Fr::from(1), Fr::from(2), Fr::ZERO];
    let proof = prove(&key, &inputs, 4);
    assert_eq!(verify_proof(&key.vk, &inputs, &proof), Ok(()));
    // A verifier that walks the shorter list would take the first of these for the same statement.
    assert_eq!(
        code(verify_proof(&key.vk, &inputs[..2], &proof)),
        "key-public-inputs-mismatch"
    );
    let more = [inputs.as_slice(), &[Fr::ZERO]].concat();
    assert_eq!(
        code(verify_proof(&key.vk, &more, &proof)),
        "key-public-inputs-mismatch"
    );
    assert_eq!(
        code(verify_proof(&key.vk, &[], &proof)),
        "key-public-inputs-mismatch"
    );
}

#[test]
fn public_input_plus_the_field_order() {
    let key = setup(2, 3);
    let inputs = [Fr::from(1), Fr::from(2)];
    let proof = encode_proof(prove(&key, &inputs, 4));
    let key = encode_verifying_key(&key.vk).unwrap();
    let mut bytes: Vec<[u8; 32]> = inputs.iter().map(fr_to_bytes).collect();
    assert_eq!(verify_proof_bytes(&key, &bytes, &proof), Ok(()));
    let mut shifted = Fr::MODULUS;
    shifted.add_with_carry(&inputs[1].into_bigint());
    bytes[1] = shifted.to_bytes_be().try_into().unwrap();
    assert_eq!(
        code(verify_proof_bytes(&key, &bytes, &proof)),
        "public-input-not-canonical"
    );
    assert_eq!(
        code(decode_public_inputs(&[[0xff; 32]])),
        "public-input-not-canonical"
    );
}

#[test]
fn another_key_and_another_proof() {
    let (key, other) = (setup(2, 3), setup(2, 5));
    let inputs = [Fr::from(1), Fr::from(2)];
    let proof = prove(&key, &inputs, 4);
    assert_eq!(
        code(verify_proof(&other.vk, &inputs, &proof)),
        "proof-invalid"
    );
    let foreign = prove(&other, &inputs, 4);
    assert_eq!(
        code(verify_proof(&key.vk, &inputs, &foreign)),
        "proof-invalid"
    );
    let mut mixed = proof.clone();
    mixed.c = foreign.c;
    assert_eq!(
        code(verify_proof(&key.vk, &inputs, &mixed)),
        "proof-invalid"
    );
}

/// With δ = γ anyone forges: A = α, B = β, C = −IC(x) fulfils the equation for every x.
#[test]
fn key_without_phase_two_would_accept_forgeries_and_is_refused() {
    let mut key = setup(2, 3).vk;
    key.delta_g2 = key.gamma_g2;
    let inputs = [Fr::from(41), Fr::from(42)];
    let ic =
        key.gamma_abc_g1[0] + key.gamma_abc_g1[1] * inputs[0] + key.gamma_abc_g1[2] * inputs[1];
    let forged = ark_groth16::Proof {
        a: key.alpha_g1,
        b: key.beta_g2,
        c: (-ic).into(),
    };
    let reference = prepare_verifying_key(&key);
    assert!(Groth16::<Bn254>::verify_proof(&reference, &forged, &inputs).unwrap());
    assert_eq!(code(verify_proof(&key, &inputs, &forged)), "key-degenerate");
}

//! The committed backend: what a proof, a key and a challenge may not be.

use ark_bn254::{Fr, G1Affine, G2Affine};
use ark_ec::{AffineRepr as _, CurveGroup as _};
use ark_ff::Field as _;
use proofmark_types::field::fr_to_bytes;
use proofmark_verifier::{
    PreparedKey, Proof, VerifyingKey, challenge, encode_proof, encode_verifying_key, verify_proof,
    verify_proof_bytes,
};

use crate::fixture::code;
use crate::simulator::{Simulator, g1, scalar};

fn inputs(count: u64) -> Vec<Fr> {
    (0..count).map(|k| Fr::from(k * k + 3)).collect()
}

#[test]
fn proofs_of_the_statement_and_no_other_are_accepted() {
    for count in [0, 1, 2, 9] {
        let simulator = Simulator::new(usize::try_from(count).unwrap(), true, count);
        let key = PreparedKey::new(&simulator.key).unwrap();
        let mut inputs = inputs(count);
        assert_eq!(key.public_inputs(), inputs.len());
        assert_eq!(key.digest(), simulator.key.digest().unwrap());
        let proof = simulator.prove(&inputs, 1);
        assert_eq!(key.verify(&inputs, &proof), Ok(()));
        for position in 0..inputs.len() {
            inputs[position] += Fr::ONE;
            assert_eq!(code(key.verify(&inputs, &proof)), "proof-invalid");
            inputs[position] -= Fr::ONE;
        }
        // The challenge's wire of IC is no public input.
        let drawn = challenge(&key.digest(), &proof.commitment.unwrap(), &inputs);
        let with_challenge = [inputs.as_slice(), &[drawn]].concat();
        assert_eq!(
            code(key.verify(&with_challenge, &proof)),
            "key-public-inputs-mismatch"
        );
    }
}

#[test]
fn every_part_of_the_proof_counts() {
    let simulator = Simulator::new(2, true, 7);
    let key = PreparedKey::new(&simulator.key).unwrap();
    let inputs = inputs(2);
    let (proof, other) = (simulator.prove(&inputs, 1), simulator.prove(&inputs, 2));
    assert_eq!(key.verify(&inputs, &other), Ok(()));
    let changes: [fn(&mut Proof, &Proof); 8] = [
        |p, other| p.groth16.a = other.groth16.a,
        |p, other| p.groth16.b = other.groth16.b,
        |p, other| p.groth16.c = other.groth16.c,
        |p, other| p.commitment = other.commitment,
        |p, _| p.commitment = p.commitment.map(|d| -d),
        |p, _| p.commitment = Some(p.groth16.c),
        |p, _| {
            let d = p.commitment.replace(p.groth16.c);
            p.groth16.c = d.unwrap();
        },
        |p, _| {
            p.commitment = p
                .commitment
                .map(|d| (d + G1Affine::generator()).into_affine());
        },
    ];
    for change in changes {
        let mut changed = proof.clone();
        change(&mut changed, &other);
        assert_eq!(code(key.verify(&inputs, &changed)), "proof-invalid");
    }
}

/// κ moves between C and D without changing the equation's value. The challenge alone notices.
#[test]
fn the_commitment_cannot_be_blinded_again() {
    let simulator = Simulator::new(1, true, 8);
    let inputs = inputs(1);
    let mut proof = simulator.prove(&inputs, 1);
    let kappa = scalar("kappa", 0);
    let delta_committed = simulator.delta_committed.unwrap();
    proof.commitment = proof
        .commitment
        .map(|d| (d + g1(kappa * simulator.delta)).into_affine());
    proof.groth16.c = (proof.groth16.c - g1(kappa * delta_committed)).into_affine();
    assert_eq!(
        code(verify_proof(&simulator.key, &inputs, &proof)),
        "proof-invalid"
    );
    // With the challenge of the old D in place of the new, the equation holds.
    let plain = VerifyingKey {
        delta_committed_g2: None,
        ..simulator.key.clone()
    };
    let old = simulator.prove(&inputs, 1).commitment.unwrap();
    let drawn = challenge(&simulator.key.digest().unwrap(), &old, &inputs);
    let d = proof.commitment.unwrap();
    // e(D, δc) moved into C: D·δc/δ.
    let moved = d * (delta_committed / simulator.delta);
    let with_d = ark_groth16::Proof {
        c: (proof.groth16.c + moved).into_affine(),
        ..proof.groth16
    };
    assert_eq!(verify_proof(&plain, &[inputs[0], drawn], &with_d), Ok(()));
}

#[test]
fn a_proof_of_one_backend_is_nothing_under_a_key_of_the_other() {
    let (plain, committed) = (Simulator::new(1, false, 9), Simulator::new(1, true, 9));
    let inputs = inputs(1);
    let (short, long) = (plain.prove(&inputs, 1), committed.prove(&inputs, 1));
    assert_eq!(verify_proof(&plain.key, &inputs, &short), Ok(()));
    assert_eq!(verify_proof(&committed.key, &inputs, &long), Ok(()));
    let refused = "proof-system-mismatch";
    assert_eq!(code(verify_proof(&committed.key, &inputs, &short)), refused);
    assert_eq!(code(verify_proof(&plain.key, &inputs, &long)), refused);
    // Under the same IC, with the challenge given as a public input.
    let disguised = VerifyingKey {
        delta_committed_g2: None,
        ..committed.key.clone()
    };
    let drawn = challenge(
        &committed.key.digest().unwrap(),
        &long.commitment.unwrap(),
        &inputs,
    );
    let two = [inputs[0], drawn];
    assert_eq!(code(verify_proof(&disguised, &two, &long)), refused);
    let without = long.groth16.clone();
    assert_eq!(
        code(verify_proof(&disguised, &two, &without)),
        "proof-invalid"
    );
    assert_eq!(
        code(verify_proof(&committed.key, &inputs, &without)),
        refused
    );
    // By bytes: D cut off, and something put in its place.
    let key = encode_verifying_key(&committed.key).unwrap();
    let plain_key = encode_verifying_key(&plain.key).unwrap();
    let statement = [fr_to_bytes(&inputs[0])];
    let bytes = encode_proof(&long);
    assert_eq!(verify_proof_bytes(&key, &statement, &bytes), Ok(()));
    assert_eq!(
        code(verify_proof_bytes(&key, &statement, &bytes[..256])),
        refused
    );
    let padded = [encode_proof(&short).as_ref(), &bytes[256..]].concat();
    assert_eq!(
        code(verify_proof_bytes(&plain_key, &statement, &padded)),
        refused
    );
    assert_eq!(
        code(verify_proof_bytes(&key, &statement, &padded)),
        "proof-invalid"
    );
}

/// Another key with the same points in other places, or another digest, draws another challenge.
#[test]
fn a_proof_is_bound_to_the_key() {
    let simulator = Simulator::new(2, true, 10);
    let inputs = inputs(2);
    let proof = simulator.prove(&inputs, 1);
    let changes: [fn(&mut VerifyingKey); 4] = [
        |k| k.groth16.gamma_abc_g1.swap(1, 2),
        |k| k.groth16.gamma_abc_g1.swap(2, 3),
        |k| k.groth16.gamma_abc_g1.swap(0, 3),
        |k| {
            let delta = k.delta_committed_g2.replace(k.groth16.delta_g2);
            k.groth16.delta_g2 = delta.unwrap();
        },
    ];
    for change in changes {
        let mut key = simulator.key.clone();
        change(&mut key);
        assert_eq!(code(verify_proof(&key, &inputs, &proof)), "proof-invalid");
    }
}

/// Each byte of key, public inputs and proof with one bit changed.
#[test]
fn no_byte_is_without_meaning() {
    let simulator = Simulator::new(2, true, 11);
    let inputs = inputs(2);
    let key = encode_verifying_key(&simulator.key).unwrap();
    let statement: Vec<[u8; 32]> = inputs.iter().map(fr_to_bytes).collect();
    let proof = encode_proof(simulator.prove(&inputs, 1)).to_vec();
    assert_eq!(verify_proof_bytes(&key, &statement, &proof), Ok(()));
    for at in 0..proof.len() {
        let mut bad = proof.clone();
        bad[at] ^= 1;
        assert_eq!(
            code(verify_proof_bytes(&key, &statement, &bad)),
            "proof-malformed",
            "byte {at} of the proof"
        );
    }
    for at in 0..key.len() {
        let mut bad = key.clone();
        bad[at] ^= 1;
        assert_eq!(
            code(verify_proof_bytes(&bad, &statement, &proof)),
            "key-malformed",
            "byte {at} of the key"
        );
    }
    for at in 0..64 {
        let mut bad = statement.clone();
        bad[at / 32][at % 32] ^= 1;
        assert_eq!(
            code(verify_proof_bytes(&key, &bad, &proof)),
            "proof-invalid",
            "byte {at} of the statement"
        );
    }
}

#[test]
fn degenerate_keys_are_refused() {
    let simulator = Simulator::new(1, true, 12);
    let inputs = inputs(1);
    let proof = simulator.prove(&inputs, 1);
    let groth16 = simulator.key.groth16.clone();
    for delta in [groth16.gamma_g2, groth16.delta_g2, G2Affine::identity()] {
        let key = VerifyingKey {
            groth16: groth16.clone(),
            delta_committed_g2: Some(delta),
        };
        assert_eq!(code(verify_proof(&key, &inputs, &proof)), "key-degenerate");
    }
    let mut key = simulator.key;
    key.groth16.gamma_abc_g1[2] = G1Affine::identity();
    assert_eq!(code(verify_proof(&key, &inputs, &proof)), "key-degenerate");
}

//! Generated verifiers, and the universal one under the same cases.

use ark_bn254::Fr;
use proofmark_evm::{Artifact, Call, Target, VerifierContract};
use proofmark_types::manifest::Backend;
use proofmark_types::{Digest, ProofBytes};
use proofmark_verifier::verify_proof_bytes;
use revm::primitives::U256;

use crate::chain::{Chain, account, selector};
use crate::compile::contract;
use crate::keys::{
    BACKENDS, Trapdoor, base_order, field_order, rerandomised, statement, word, words,
};
use crate::subject::{COUNT, INVALID, LENGTH, NOT_BELOW, Subject};

/// The compiled verifier of a key.
pub(crate) fn generated(trapdoor: &Trapdoor) -> Artifact {
    let verifier = VerifierContract::of_key(&trapdoor.key(), "Verifier").unwrap();
    contract("Verifier", &verifier.source())
}

fn both(chain: &mut Chain, trapdoor: &Trapdoor) -> [Subject; 2] {
    Subject::both(chain, &generated(trapdoor), &trapdoor.key_bytes())
}

#[test]
fn honest_proofs_are_accepted_whatever_the_number_of_inputs() {
    for backend in BACKENDS {
        for count in [0, 1, 3, 9] {
            let mut chain = Chain::new();
            let trapdoor = Trapdoor::new(backend, count, "honest");
            let inputs = statement(count);
            for subject in both(&mut chain, &trapdoor) {
                for label in ["one", "two"] {
                    let proof = trapdoor.prove(&inputs, label);
                    subject.accepts(&mut chain, &proof, &words(&inputs));
                    subject.accepts(&mut chain, &rerandomised(&proof), &words(&inputs));
                }
            }
        }
    }
}

/// A way to damage a proof or its public inputs, and the error that it meets.
struct Damage {
    name: String,
    proof: Vec<u8>,
    inputs: Vec<U256>,
    error: &'static str,
}

fn damages(trapdoor: &Trapdoor, proof: &ProofBytes, statement: &[Fr]) -> Vec<Damage> {
    let inputs = words(statement);
    let mut all = Vec::new();
    let mut add = |name: &str, proof: &[u8], inputs: &[U256], error: &'static str| {
        all.push(Damage {
            name: name.to_owned(),
            proof: proof.to_vec(),
            inputs: inputs.to_vec(),
            error,
        });
    };
    // Public inputs.
    for index in 0..inputs.len() {
        let mut other = inputs.clone();
        other[index] = word(&(statement[index] + Fr::from(1)));
        add(&format!("input {index} + 1"), proof, &other, INVALID);
        other[index] = inputs[index] + field_order();
        add(&format!("input {index} + r"), proof, &other, NOT_BELOW);
        other[index] = field_order();
        add(&format!("input {index} = r"), proof, &other, NOT_BELOW);
        other[index] = U256::MAX;
        add(
            &format!("input {index} = 2^256 - 1"),
            proof,
            &other,
            NOT_BELOW,
        );
    }
    let mut swapped = inputs.clone();
    swapped.swap(0, 1);
    add("inputs swapped", proof, &swapped, INVALID);
    add("an input less", proof, &inputs[1..], COUNT);
    add("no inputs", proof, &[], COUNT);
    let longer = [inputs.as_slice(), &[U256::ZERO]].concat();
    add("an input more", proof, &longer, COUNT);
    // Lengths.
    add("no proof", &[], &inputs, LENGTH);
    add("a byte less", &proof[1..], &inputs, LENGTH);
    add(
        "a byte more",
        &[proof.as_ref(), &[0]].concat(),
        &inputs,
        LENGTH,
    );
    let other_backend = if proof.len() == 256 { 320 } else { 256 };
    add("the other length", &vec![1; other_backend], &inputs, LENGTH);
    // Points: another proof's, the identity, off curve, not reduced, another order.
    let other = trapdoor.prove(statement, "other");
    let points = [(0, 64), (64, 128), (192, 64), (256, 64)];
    for (index, (start, length)) in points.into_iter().enumerate() {
        let part = start..start + length;
        if part.end > proof.len() {
            continue;
        }
        let mut bad = proof.to_vec();
        bad[part.clone()].copy_from_slice(&other[part.clone()]);
        add(&format!("point {index} of another"), &bad, &inputs, INVALID);
        bad[part.clone()].fill(0);
        add(
            &format!("point {index} the identity"),
            &bad,
            &inputs,
            INVALID,
        );
        bad = proof.to_vec();
        bad[part.end - 1] ^= 1;
        add(&format!("point {index} off curve"), &bad, &inputs, INVALID);
        // A coordinate plus the modulus is the same residue and no coordinate.
        for coordinate in part.clone().step_by(32) {
            bad = proof.to_vec();
            let value = U256::from_be_slice(&bad[coordinate..coordinate + 32]) + base_order();
            bad[coordinate..coordinate + 32].copy_from_slice(&value.to_be_bytes::<32>());
            add(
                &format!("coordinate at {coordinate} + p"),
                &bad,
                &inputs,
                INVALID,
            );
        }
        // The identity written otherwise.
        bad = proof.to_vec();
        for coordinate in part.step_by(32) {
            bad[coordinate..coordinate + 32].copy_from_slice(&base_order().to_be_bytes::<32>());
        }
        add(
            &format!("point {index} the identity by p"),
            &bad,
            &inputs,
            INVALID,
        );
    }
    // −A makes e(−A, B), −C another C.
    for start in [0, 192] {
        let mut bad = proof.to_vec();
        let y = U256::from_be_slice(&bad[start + 32..start + 64]);
        bad[start + 32..start + 64].copy_from_slice(&(base_order() - y).to_be_bytes::<32>());
        add(&format!("point at {start} negated"), &bad, &inputs, INVALID);
    }
    let mut swapped = proof.to_vec();
    swapped[..64].copy_from_slice(&proof[192..256]);
    swapped[192..256].copy_from_slice(&proof[..64]);
    add("A and C swapped", &swapped, &inputs, INVALID);
    add("all zeros", &vec![0; proof.len()], &inputs, INVALID);
    all
}

#[test]
fn damaged_proofs_and_inputs_are_refused_with_the_reason() {
    for backend in BACKENDS {
        let mut chain = Chain::new();
        let trapdoor = Trapdoor::new(backend, 3, "damage");
        let inputs = statement(3);
        let proof = trapdoor.prove(&inputs, "proof");
        let damages = damages(&trapdoor, &proof, &inputs);
        assert!(damages.len() > 40);
        for subject in both(&mut chain, &trapdoor) {
            subject.accepts(&mut chain, &proof, &words(&inputs));
            for damage in &damages {
                // The Rust verifier has the same opinion.
                let bytes: Vec<[u8; 32]> = damage
                    .inputs
                    .iter()
                    .map(|word| word.to_be_bytes())
                    .collect();
                let verdict = verify_proof_bytes(&trapdoor.key_bytes(), &bytes, &damage.proof);
                assert!(verdict.is_err(), "{}", damage.name);
                subject.refuses(&mut chain, &damage.proof, &damage.inputs, damage.error);
            }
        }
    }
}

#[test]
fn a_point_outside_the_subgroup_is_refused() {
    // On the twist, outside the subgroup of prime order: found by trying abscissas.
    use ark_bn254::{Fq2, G2Affine};
    use ark_ff::{BigInteger as _, PrimeField as _};
    let foreign = (1_u64..)
        .find_map(|x| G2Affine::get_point_from_x_unchecked(Fq2::from(x), false))
        .unwrap();
    assert!(!foreign.is_in_correct_subgroup_assuming_on_curve());
    let mut bytes = Vec::new();
    for coordinate in [foreign.x.c1, foreign.x.c0, foreign.y.c1, foreign.y.c0] {
        bytes.extend(coordinate.into_bigint().to_bytes_be());
    }
    for backend in BACKENDS {
        let mut chain = Chain::new();
        let trapdoor = Trapdoor::new(backend, 2, "subgroup");
        let inputs = statement(2);
        let mut proof = trapdoor.prove(&inputs, "proof").to_vec();
        proof[64..192].copy_from_slice(&bytes);
        for subject in both(&mut chain, &trapdoor) {
            subject.refuses(&mut chain, &proof, &words(&inputs), INVALID);
        }
    }
}

#[test]
fn a_proof_under_another_key_is_refused() {
    for backend in BACKENDS {
        let mut chain = Chain::new();
        let trapdoor = Trapdoor::new(backend, 2, "mine");
        let other = Trapdoor::new(backend, 2, "another");
        let inputs = statement(2);
        for subject in both(&mut chain, &trapdoor) {
            let proof = other.prove(&inputs, "proof");
            subject.refuses(&mut chain, &proof, &words(&inputs), INVALID);
        }
    }
}

#[test]
fn an_answer_needs_calldata_that_is_abi_encoded() {
    let mut chain = Chain::new();
    let trapdoor = Trapdoor::new(Backend::Groth16, 2, "calldata");
    let inputs = statement(2);
    let proof = trapdoor.prove(&inputs, "proof");
    let address = chain.deploy(&generated(&trapdoor), &[]).0;
    let data = Call::VerifyProof.encode(Target::Generated, &proof, &inputs);
    assert_eq!(chain.send(account(2), address, &data).word(), U256::ONE);
    for cut in [0, 3, 4, 36, 68, 200, data.len() - 1] {
        assert!(
            !chain.send(account(2), address, &data[..cut]).success,
            "{cut}"
        );
    }
    assert!(
        !chain
            .send(account(2), address, &selector("nothing()"))
            .success
    );
}

#[test]
fn what_a_verifier_says_of_itself() {
    for (backend, system) in BACKENDS.into_iter().zip(["0x0550d137", "0x39e7a114"]) {
        let mut chain = Chain::new();
        let trapdoor = Trapdoor::new(backend, 2, "self");
        let address = chain.deploy(&generated(&trapdoor), &[]).0;
        let mut ask = |signature: &str| {
            chain
                .send(account(2), address, &selector(signature))
                .word()
                .to_be_bytes::<32>()
        };
        assert_eq!(ask("keyDigest()"), trapdoor.digest().0);
        assert_eq!(ask("publicInputs()"), U256::from(2).to_be_bytes());
        assert_eq!(ask("packageDigest()"), [0; 32]);
        assert_eq!(backend.proof_system_id(), system);
        let id = ask("proofSystemId()");
        assert_eq!(
            format!("0x{:02x}{:02x}{:02x}{:02x}", id[0], id[1], id[2], id[3]),
            system
        );
        let hash = revm::primitives::keccak256(backend.proof_system_name());
        assert_eq!(id[..4], hash[..4]);
        assert_eq!(id[4..], [0; 28]);
    }
}

#[test]
fn encoded_calls_are_those_of_the_contracts() {
    for backend in BACKENDS {
        let mut chain = Chain::new();
        let trapdoor = Trapdoor::new(backend, 3, "calls");
        let inputs = statement(3);
        let proof = trapdoor.prove(&inputs, "proof");
        let key = Digest::from_bytes(trapdoor.digest().0);
        let [fixed, universal] = both(&mut chain, &trapdoor);
        for (subject, target) in [(fixed, Target::Generated), (universal, Target::Keyed(key))] {
            let data = Call::VerifyProof.encode(target, &proof, &inputs);
            assert_eq!(
                chain.send(account(2), subject.address, &data).word(),
                U256::ONE
            );
            let data = Call::RequireProof.encode(target, &proof, &inputs);
            assert!(chain.send(account(2), subject.address, &data).success);
        }
    }
}

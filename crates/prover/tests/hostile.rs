//! Keys and circuits that no program of ours makes, handed over in memory.
#![expect(
    clippy::unwrap_used,
    reason = "a test that panics has failed, which is what it is for"
)]

use ark_bn254::{Fr, G1Affine};
use ark_ec::AffineRepr;
use ark_ff::Field;
use proofmark_gadgets::limbs::ranged_wire;
use proofmark_gadgets::{Backend, Challenger, Circuit, LowerError, Lowering, Wire};
use proofmark_prover::{NoProgress, Prover, ProvingKey, setup};

/// A square of the statement, and two secret integers of three bits.
fn lower(cx: &mut Lowering<'_>, values: [i64; 2]) -> Result<(), LowerError> {
    let input = cx.public(0)?;
    let square = cx.hint_signal("square", || input.value.square())?;
    cx.enforce("square", input.lc.clone(), input.lc, square.lc)?;
    for value in values {
        let wire = cx.hint("value", || Fr::from(value))?;
        ranged_wire(cx, "value", wire, value, 3)?;
    }
    cx.close()
}

fn circuit() -> Circuit {
    let mut cx = Lowering::shape(Backend::Committed, 1).unwrap();
    lower(&mut cx, [0, 0]).unwrap();
    cx.into_circuit(1, Vec::new()).unwrap()
}

fn assignment(challenger: &mut dyn Challenger) -> Vec<Fr> {
    let public = [Fr::from(3)];
    let mut cx = Lowering::witness(Backend::Committed, &public, challenger).unwrap();
    lower(&mut cx, [5, 6]).unwrap();
    cx.into_assignment().unwrap()
}

/// The challenge's wire among those of the statement: it would be in IC twice, and public inputs
/// behind it private.
#[test]
fn a_challenge_among_the_public_inputs_is_refused() {
    let cx = Lowering::shape(Backend::Committed, 1).unwrap();
    let public = cx.public(0).unwrap().lc.terms()[0].0;
    for wire in [Wire::ONE, public] {
        let mut circuit = circuit();
        circuit.challenges = vec![wire];
        circuit.committed.clear();
        let refused = setup(&circuit, &NoProgress).map(|_| ());
        assert_eq!(refused.unwrap_err().code(), "circuit-malformed");
    }
}

/// Points that blind at the identity, in one group alone: the proofs verify, and A and D are
/// functions of the witness that every holder of the key can compute for a guess.
#[test]
fn a_key_that_does_not_blind_is_refused() {
    let circuit = circuit();
    let unblind = |key: &mut ProvingKey| {
        key.groth16.delta_g1 = G1Affine::zero();
        key.groth16.beta_g1 = G1Affine::zero();
        key.groth16.b_g1_query.fill(G1Affine::zero());
        if let Some(committed) = &mut key.committed {
            committed.delta_g1 = G1Affine::zero();
        }
    };
    let mut key = setup(&circuit, &NoProgress).unwrap();
    unblind(&mut key);
    let refused = Prover::new(&circuit, key).map(|prover| {
        // Where it is taken, two proofs of one witness show the same commitment.
        let commitment = || {
            let mut committer = prover.committer();
            let assignment = assignment(&mut committer);
            let proof = prover.prove(&assignment, committer.finish()).unwrap();
            proof.commitment
        };
        assert_ne!(commitment(), commitment());
    });
    assert_eq!(refused.unwrap_err().code(), "key-degenerate");
}

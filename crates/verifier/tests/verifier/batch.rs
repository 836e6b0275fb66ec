//! Batches: every false proof is named, and no two cancel.

use ark_bn254::Fr;
use ark_ec::CurveGroup as _;
use ark_ff::Field as _;
use proofmark_verifier::{BatchItem, CheckedProof, PreparedKey, Proof};

use crate::simulator::{Simulator, g1, scalar};

struct Batch {
    key: PreparedKey,
    statements: Vec<Vec<Fr>>,
    proofs: Vec<Proof>,
}

impl Batch {
    fn new(count: u64, committed: bool) -> Self {
        let simulator = Simulator::new(3, committed, 20);
        let statements: Vec<Vec<Fr>> = (0..count)
            .map(|k| vec![Fr::from(k), scalar("input", k), Fr::from(7)])
            .collect();
        let proofs = (0_u64..)
            .zip(&statements)
            .map(|(k, statement)| simulator.prove(statement, k))
            .collect();
        Self {
            key: PreparedKey::new(&simulator.key).unwrap(),
            statements,
            proofs,
        }
    }

    /// Positions and codes of the culprits.
    fn verify(&self) -> Vec<(usize, &'static str)> {
        let checked: Vec<CheckedProof> = self
            .proofs
            .iter()
            .map(|proof| CheckedProof::new(proof).unwrap())
            .collect();
        let items: Vec<BatchItem<'_>> = self
            .statements
            .iter()
            .zip(&checked)
            .map(|(statement, proof)| BatchItem {
                public_inputs: statement,
                proof,
            })
            .collect();
        let culprits = self.key.verify_batch(&items).err().unwrap_or_default();
        culprits
            .into_iter()
            .map(|culprit| {
                let alone = self
                    .key
                    .verify(&self.statements[culprit.index], &self.proofs[culprit.index]);
                assert_eq!(alone, Err(culprit.rejection.clone()));
                (culprit.index, culprit.rejection.code())
            })
            .collect()
    }
}

#[test]
fn true_proofs_are_accepted_in_batches_of_any_size() {
    for committed in [false, true] {
        for count in [0, 1, 2, 3, 31, 32, 33, 70] {
            assert_eq!(Batch::new(count, committed).verify(), []);
        }
    }
}

#[test]
fn a_false_proof_among_many_is_named() {
    for committed in [false, true] {
        for position in [0, 1, 19, 39] {
            let mut batch = Batch::new(40, committed);
            batch.statements[position][1] += Fr::ONE;
            assert_eq!(batch.verify(), [(position, "proof-invalid")]);
        }
    }
}

#[test]
fn every_false_proof_is_named() {
    let mut batch = Batch::new(37, true);
    let bad = [0, 3, 4, 20, 36];
    for position in bad {
        batch.proofs[position].groth16.a = -batch.proofs[position].groth16.a;
    }
    assert_eq!(
        batch.verify(),
        bad.map(|position| (position, "proof-invalid"))
    );
    let mut all = Batch::new(9, false);
    for statement in &mut all.statements {
        statement[0] += Fr::ONE;
    }
    assert_eq!(all.verify().len(), 9);
}

/// Errors of opposite sign in C, D or the statement: the plain sum of the equations holds.
#[test]
fn two_that_cancel_are_both_named() {
    let offset = g1(Fr::from(1234));
    let mut batch = Batch::new(12, true);
    let [first, second] = [2, 9];
    let c = &mut batch.proofs;
    c[first].groth16.c = (c[first].groth16.c + offset).into_affine();
    c[second].groth16.c = (c[second].groth16.c - offset).into_affine();
    let named = [(first, "proof-invalid"), (second, "proof-invalid")];
    assert_eq!(batch.verify(), named);

    let mut batch = Batch::new(12, false);
    batch.statements[first][1] += Fr::from(5);
    batch.statements[second][1] -= Fr::from(5);
    assert_eq!(batch.verify(), named);

    // C and C exchanged: every sum over the batch is unchanged.
    let mut batch = Batch::new(12, false);
    let c = batch.proofs[first].groth16.c;
    batch.proofs[first].groth16.c = batch.proofs[second].groth16.c;
    batch.proofs[second].groth16.c = c;
    assert_eq!(batch.verify(), named);
}

#[test]
fn what_never_reaches_the_equation_is_named_with_its_reason() {
    let mut batch = Batch::new(6, true);
    batch.statements[1].pop();
    batch.proofs[4].commitment = None;
    batch.statements[5][0] += Fr::ONE;
    assert_eq!(
        batch.verify(),
        [
            (1, "key-public-inputs-mismatch"),
            (4, "proof-system-mismatch"),
            (5, "proof-invalid")
        ]
    );
}

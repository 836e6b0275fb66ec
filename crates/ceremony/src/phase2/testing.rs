//! Powers with known secrets, and keys by their definition.

use ark_bn254::{Fr, G1Affine, G2Affine};
use ark_ec::short_weierstrass::Affine;
use ark_ec::{AffineRepr, CurveGroup};
use ark_ff::{AdditiveGroup, FftField, Field};
use proofmark_gadgets::Circuit;
use proofmark_prover::shape::Shape;
use proofmark_prover::testing::Seeded;
pub(crate) use proofmark_prover::testing::{
    committed_assignment, committed_circuit, random_circuit,
};
use proofmark_prover::{CommittedKey, NoProgress, Prover, ProvingKey, QuotientForm};
use proofmark_types::Digest;

use super::initial::{InitialKey, Powers, domain_power};
use crate::group::{Group, multiply_each};
use crate::phase1::Lagrange;

/// Reproducible scalars.
pub(crate) fn scalars(seed: u64, count: usize) -> Vec<Fr> {
    let mut random = Seeded::new(seed);
    (0..count).map(|_| random.scalar()).collect()
}

/// Multiples of the generator.
pub(crate) fn multiples<C: Group>(scalars: &[Fr]) -> Vec<Affine<C>> {
    let mut points = vec![Affine::<C>::generator(); scalars.len()];
    multiply_each(&mut points, scalars);
    points
}

/// The secrets of a phase 1.
pub(crate) struct Secret {
    tau: Fr,
    alpha: Fr,
    beta: Fr,
}

impl Secret {
    pub(crate) fn new(seed: u64) -> Self {
        let mut random = Seeded::new(seed + 1000);
        Self {
            tau: random.scalar(),
            alpha: random.scalar(),
            beta: random.scalar(),
        }
    }

    /// `L_i(τ)` over the subgroup of `size` points.
    fn weights(&self, size: usize) -> Vec<Fr> {
        let root = Fr::get_root_of_unity(size as u64).unwrap();
        let factor = (self.tau.pow([size as u64]) - Fr::ONE) / Fr::from(size as u64);
        let mut point = Fr::ONE;
        let mut weights = Vec::new();
        for _ in 0..size {
            weights.push(factor * point / (self.tau - point));
            point *= root;
        }
        weights
    }

    /// A circuit's key before any contribution, computed in the field.
    pub(crate) fn initial_key(&self, circuit: &Circuit) -> ProvingKey {
        let shape = Shape::new(circuit, QuotientForm::Standard).unwrap();
        let r1cs = &circuit.r1cs;
        let weights = self.weights(shape.size);
        let mut columns = [&r1cs.a, &r1cs.b, &r1cs.c].map(|matrix| {
            let mut sums = vec![Fr::ZERO; r1cs.num_wires];
            for (row, weight) in weights.iter().enumerate().take(matrix.rows()) {
                for (wire, value) in matrix.row(row) {
                    sums[wire as usize] += *weight * value;
                }
            }
            sums
        });
        for (row, wire) in (shape.num_constraints..).zip(shape.inputs()) {
            columns[0][wire] += weights[row];
        }
        let [a, b, c] = columns;
        let combined: Vec<Fr> = (0..r1cs.num_wires)
            .map(|wire| self.beta * a[wire] + self.alpha * b[wire] + c[wire])
            .collect();
        let inputs: Vec<Fr> = shape.inputs().map(|wire| combined[wire]).collect();
        let (g1, g2) = (G1Affine::generator(), G2Affine::generator());
        ProvingKey {
            form: QuotientForm::Standard,
            committed: shape.challenge.map(|_| CommittedKey {
                delta_g1: g1,
                delta_g2: g2,
                query: multiples(&combined[shape.committed()]),
            }),
            groth16: ark_groth16::ProvingKey {
                vk: ark_groth16::VerifyingKey {
                    alpha_g1: (g1 * self.alpha).into_affine(),
                    beta_g2: (g2 * self.beta).into_affine(),
                    gamma_g2: g2,
                    delta_g2: g2,
                    gamma_abc_g1: multiples(&inputs),
                },
                beta_g1: (g1 * self.beta).into_affine(),
                delta_g1: g1,
                a_query: multiples(&a),
                b_g1_query: multiples(&b),
                b_g2_query: multiples(&b),
                h_query: powers(self, shape.size.trailing_zeros()).lagrange.odd_g1,
                l_query: multiples(&combined[shape.private()]),
            },
        }
    }
}

/// Powers for one size of domain.
pub(crate) struct TestPowers {
    pub(crate) digest: Digest,
    pub(crate) lagrange: Lagrange,
    pub(crate) tau_g1: Vec<G1Affine>,
}

impl TestPowers {
    pub(crate) fn powers(&self) -> Powers<'_> {
        Powers {
            digest: self.digest,
            lagrange: &self.lagrange,
            tau_g1: &self.tau_g1,
        }
    }
}

/// The powers of a secret for domains of `2^power` points.
pub(crate) fn powers(secret: &Secret, power: u32) -> TestPowers {
    let size = 1_usize << power;
    let weights = secret.weights(size);
    let times = |factor: Fr| -> Vec<Fr> { weights.iter().map(|w| factor * w).collect() };
    let odd: Vec<Fr> = secret
        .weights(2 * size)
        .into_iter()
        .skip(1)
        .step_by(2)
        .collect();
    let mut tau = vec![Fr::ONE];
    for _ in 1..2 * size {
        tau.push(*tau.last().unwrap() * secret.tau);
    }
    let (g1, g2) = (G1Affine::generator(), G2Affine::generator());
    TestPowers {
        digest: Digest::of(b"powers"),
        lagrange: Lagrange {
            power,
            g1: multiples(&weights),
            g2: multiples(&weights),
            alpha_g1: multiples(&times(secret.alpha)),
            beta_g1: multiples(&times(secret.beta)),
            odd_g1: multiples(&odd),
            alpha: (g1 * secret.alpha).into_affine(),
            beta: (g1 * secret.beta).into_affine(),
            beta_g2: (g2 * secret.beta).into_affine(),
        },
        tau_g1: multiples(&tau),
    }
}

/// The initial key of a circuit under the secret of seed 1.
pub(crate) fn initial(circuit: &Circuit) -> InitialKey {
    let powers = powers(&Secret::new(1), domain_power(circuit).unwrap());
    InitialKey::new(circuit, &powers.powers(), &NoProgress).unwrap()
}

/// Proves and verifies a statement of [`random_circuit`] under a key.
pub(crate) fn prove_plain(circuit: &Circuit, assignment: &[Fr], key: ProvingKey) {
    let prover = Prover::new(circuit, key).unwrap();
    let proof = prover.prove(assignment, None).unwrap();
    let public = &assignment[1..=circuit.r1cs.num_public];
    assert!(proofmark_verifier::verify_proof(prover.verifying_key(), public, proof).is_ok());
}

/// Proves and verifies a statement of `committed_circuit(public, values)` under a key.
pub(crate) fn prove_committed(circuit: &Circuit, public: usize, values: &[i64], key: ProvingKey) {
    let prover = Prover::new(circuit, key).unwrap();
    let inputs = scalars(9, public);
    let mut committer = prover.committer();
    let assignment = committed_assignment(&inputs, values, &mut committer).unwrap();
    let proof = prover.prove(&assignment, committer.finish()).unwrap();
    assert!(proofmark_verifier::verify_proof(prover.verifying_key(), &inputs, proof).is_ok());
}

/// A point that has nothing to do with any other.
pub(crate) fn stray<C: Group>() -> Affine<C> {
    multiples(&scalars(77, 1))[0]
}

//! How long proofs of a circuit take, from its counts: for choosing between backends.
//!
//! What costs is not constraints but *dense scalars*: field elements of full size that a
//! multi-scalar multiplication has to take in all their windows. Every row of the domain gives one
//! to the H query; every wire after the challenge (inverses, quotients) one to A and one to L.
//! All other wires of compiled circuits carry bits or bytes, which cost one addition in each query
//! that they stand in. The unit prices below were fitted on two cores with vector instructions;
//! only their ratios matter to a choice, and those hardly differ on other processors.

use std::time::Duration;

use proofmark_gadgets::{Circuit, R1cs};

use crate::error::ProverError;
use crate::qap::QuotientForm;
use crate::shape::Shape;

/// Nanoseconds of one core for a dense scalar of G1.
const DENSE: f64 = 850.0;
/// … for a bit or byte in a query of G1.
const SMALL_G1: f64 = 45.0;
/// … for a bit or byte in the query of G2.
const SMALL_G2: f64 = 160.0;
/// Share of small values that are not 0.
const NON_ZERO: f64 = 0.6;
/// … for a point of the domain and each doubling of its size, over all transforms.
const TRANSFORM: f64 = 12.0;
/// … for a non-zero entry of the three matrices.
const ENTRY: f64 = 2.0;
/// Cores that the prediction is for.
const CORES: f64 = 2.0;

/// What a proof of a circuit consists of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Prediction {
    /// Points of the domain.
    pub domain: usize,
    /// Full-size scalars in the multi-scalar multiplications.
    pub dense_scalars: usize,
    /// Small scalars in those of G1.
    pub small_g1: usize,
    /// Small scalars in that of G2.
    pub small_g2: usize,
    /// Non-zero entries of the matrices.
    pub entries: usize,
    /// Length of the proving key's file (a test compares it with what is written).
    pub key_bytes: u64,
}

impl Prediction {
    /// Counts a circuit.
    ///
    /// # Errors
    /// [`ProverError::CircuitMalformed`] and [`ProverError::CircuitTooLarge`].
    pub fn of(circuit: &Circuit) -> Result<Self, ProverError> {
        let shape = Shape::new(circuit, QuotientForm::Folded)?;
        let r1cs = &circuit.r1cs;
        let dense_from = shape.challenge.unwrap_or(r1cs.num_wires);
        let (in_a, in_b) = (used(r1cs, &r1cs.a), used(r1cs, &r1cs.b));
        let count = |used: &[bool], dense: bool| {
            let part = if dense {
                used.get(dense_from..)
            } else {
                used.get(..dense_from)
            };
            part.unwrap_or_default()
                .iter()
                .filter(|used| **used)
                .count()
        };
        let (small_a, small_b) = (count(&in_a, false), count(&in_b, false));
        let private = dense_from.saturating_sub(r1cs.num_public + 1);
        let after = r1cs.num_wires - dense_from;
        Ok(Self {
            domain: shape.size,
            // A wire of B stands in B of both groups; G2 counts three of G1.
            dense_scalars: shape.size + count(&in_a, true) + 4 * count(&in_b, true) + after,
            small_g1: small_a + small_b + private,
            small_g2: small_b,
            entries: r1cs.non_zero(),
            key_bytes: key_bytes(&shape),
        })
    }

    /// The time of one proof on two cores of a server with vector instructions.
    pub fn time(&self) -> Duration {
        #[expect(clippy::cast_precision_loss, reason = "counts far below 2^52")]
        let of = |count: usize| count as f64;
        let nanoseconds = DENSE * of(self.dense_scalars)
            + NON_ZERO * (SMALL_G1 * of(self.small_g1) + SMALL_G2 * of(self.small_g2))
            + TRANSFORM * of(self.domain) * of(self.domain.max(2)).log2()
            + ENTRY * of(self.entries);
        Duration::from_secs_f64(nanoseconds * 1e-9 / CORES)
    }
}

/// What [`key_file`](crate::key_file) writes for a circuit of this shape.
fn key_bytes(shape: &Shape) -> u64 {
    let (g1, g2) = (64, 128);
    let header = 16 + 3 * 4 + 32 + 7 * 8;
    let committed = shape.challenge.map_or(0, |_| g1 + g2);
    let in_g1 = shape.num_inputs()
        + 2 * shape.num_wires
        + shape.committed().len()
        + shape.private().len()
        + shape.size;
    header + 3 * (g1 + g2) + committed + g1 * in_g1 as u64 + g2 * shape.num_wires as u64
}

/// Which wires a matrix names.
fn used(r1cs: &R1cs, matrix: &proofmark_gadgets::r1cs::SparseMatrix) -> Vec<bool> {
    let mut used = vec![false; r1cs.num_wires];
    for row in 0..matrix.rows() {
        for (wire, _) in matrix.row(row) {
            if let Some(slot) = used.get_mut(wire as usize) {
                *slot = true;
            }
        }
    }
    used
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::generator::{NoProgress, setup};
    use crate::key_file;
    use crate::testing::{committed_circuit, random_circuit};

    #[test]
    fn a_plain_circuit_counts_its_domain_and_its_wires() {
        let (circuit, _) = random_circuit(40, 3, 60);
        let prediction = Prediction::of(&circuit).unwrap();
        let r1cs = &circuit.r1cs;
        assert!(prediction.domain >= r1cs.num_constraints() + 4);
        assert_eq!(prediction.dense_scalars, prediction.domain);
        assert!(prediction.small_g2 <= r1cs.num_wires);
        assert!(prediction.small_g1 <= 3 * r1cs.num_wires);
        assert_eq!(prediction.entries, r1cs.non_zero());
    }

    #[test]
    fn the_key_is_as_long_as_predicted() {
        for circuit in [random_circuit(42, 3, 60).0, committed_circuit(2, 50)] {
            let key = setup(&circuit, &NoProgress).unwrap();
            let folder = tempfile::tempdir().unwrap();
            let path = folder.path().join("proving.key");
            key_file::write(&path, &circuit.digest(), &key).unwrap();
            let written = std::fs::metadata(&path).unwrap().len();
            assert_eq!(Prediction::of(&circuit).unwrap().key_bytes, written);
        }
    }

    #[test]
    fn more_of_anything_takes_longer() {
        let (circuit, _) = random_circuit(41, 3, 60);
        let one = Prediction::of(&circuit).unwrap();
        for more in [
            Prediction {
                domain: 2 * one.domain,
                ..one
            },
            Prediction {
                dense_scalars: one.dense_scalars + 1,
                ..one
            },
            Prediction {
                small_g1: one.small_g1 + 1,
                ..one
            },
            Prediction {
                small_g2: one.small_g2 + 1,
                ..one
            },
            Prediction {
                entries: one.entries + 1,
                ..one
            },
        ] {
            assert!(more.time() > one.time(), "{more:?}");
        }
    }
}

//! The three matrices, evaluated once per proof: `A·z`, `B·z`, `C·z`, from machine integers
//! wherever values and coefficients are small ones.
//!
//! The matrices are the circuit's own, not a copy.

use ark_bn254::Fr;
use ark_ff::{AdditiveGroup, Field};
use proofmark_gadgets::r1cs::{Small, is_product};
use proofmark_gadgets::{Circuit, R1cs};
use rayon::prelude::*;
use zeroize::Zeroizing;

use crate::error::ProverError;
use crate::qap::QuotientForm;
use crate::shape::Shape;

/// What the three matrices give for one assignment: values at the even points of the domain.
pub(crate) struct Products {
    pub(crate) a: Zeroizing<Vec<Fr>>,
    pub(crate) b: Zeroizing<Vec<Fr>>,
    /// Only where the form of the quotient needs it.
    pub(crate) c: Option<Zeroizing<Vec<Fr>>>,
}

#[derive(Debug)]
pub(crate) struct Evaluator {
    pub(crate) shape: Shape,
    r1cs: R1cs,
}

impl Evaluator {
    /// # Errors
    /// Those of [`Shape::new`].
    pub(crate) fn new(circuit: &Circuit, form: QuotientForm) -> Result<Self, ProverError> {
        Ok(Self {
            shape: Shape::new(circuit, form)?,
            // Clones share the entries.
            r1cs: circuit.r1cs.clone(),
        })
    }

    /// Evaluates the matrices, once, and checks `a∘b = c` on every row.
    ///
    /// # Errors
    /// [`ProverError::AssignmentLength`], [`ProverError::AssignmentConstant`] and
    /// [`ProverError::Unsatisfied`].
    pub(crate) fn products(&self, assignment: &[Fr]) -> Result<Products, ProverError> {
        let shape = &self.shape;
        if assignment.len() != shape.num_wires {
            return Err(ProverError::AssignmentLength {
                expected: shape.num_wires,
                got: assignment.len(),
            });
        }
        if assignment[0] != Fr::ONE {
            return Err(ProverError::AssignmentConstant);
        }
        let values = Small::new(assignment);
        let zeros = || Zeroizing::new(vec![Fr::ZERO; shape.size]);
        let (mut a, mut b) = (zeros(), zeros());
        let mut c = (shape.form == QuotientForm::Standard).then(zeros);
        // Without C every row has an empty place for it.
        let rows = shape.num_constraints;
        let mut places: Vec<Option<&mut Fr>> = match &mut c {
            Some(c) => c.iter_mut().take(rows).map(Some).collect(),
            None => (0..rows).map(|_| None).collect(),
        };
        let (first, violated) = a
            .par_iter_mut()
            .zip(b.par_iter_mut())
            .zip(places.par_iter_mut())
            .enumerate()
            .with_min_len(64)
            .map(|(row, ((a, b), c))| {
                let [az, bz, cz] = self.r1cs.row_values(row, &values);
                (*a, *b) = (az.to_field(), bz.to_field());
                if let Some(c) = c {
                    **c = cz.to_field();
                }
                if is_product(az, bz, cz) {
                    (usize::MAX, 0)
                } else {
                    (row, 1)
                }
            })
            .reduce(
                || (usize::MAX, 0),
                |left, right| (left.0.min(right.0), left.1 + right.1),
            );
        if violated > 0 {
            return Err(ProverError::Unsatisfied { first, violated });
        }
        for (a, wire) in a[rows..].iter_mut().zip(shape.inputs()) {
            *a = assignment[wire];
        }
        Ok(Products { a, b, c })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{Seeded, random_circuit};

    #[test]
    fn products_are_those_of_the_field() {
        for (seed, public, gates) in [(60, 0, 5), (61, 3, 400)] {
            let (circuit, assignment) = random_circuit(seed, public, gates);
            let r1cs = &circuit.r1cs;
            let evaluator = Evaluator::new(&circuit, QuotientForm::Standard).unwrap();
            let products = evaluator.products(&assignment).unwrap();
            let folded = Evaluator::new(&circuit, QuotientForm::Folded).unwrap();
            let folded = folded.products(&assignment).unwrap();
            assert!(folded.c.is_none());
            let c = products.c.as_ref().unwrap();
            for (matrix, got) in [
                (&r1cs.a, &products.a),
                (&r1cs.b, &products.b),
                (&r1cs.c, c),
                (&r1cs.a, &folded.a),
                (&r1cs.b, &folded.b),
            ] {
                for row in 0..r1cs.num_constraints() {
                    assert_eq!(got[row], matrix.row_times(row, &assignment));
                }
            }
            let inputs = r1cs.num_constraints()..r1cs.num_constraints() + public + 1;
            assert_eq!(products.a[inputs.clone()], assignment[..=public]);
            assert!(products.a[inputs.end..].iter().all(|v| *v == Fr::ZERO));
        }
    }

    #[test]
    fn a_wrong_value_of_any_size_is_noticed() {
        let (circuit, assignment) = random_circuit(62, 2, 60);
        let evaluator = Evaluator::new(&circuit, QuotientForm::Folded).unwrap();
        let mut random = Seeded::new(62);
        for wire in 1..assignment.len() {
            let mut forged = assignment.clone();
            for by in [
                Fr::ONE,
                -Fr::from(1_u64 << 31),
                Fr::from(1_u128 << 80),
                random.scalar(),
            ] {
                forged[wire] = assignment[wire] + by;
                let violated = circuit.r1cs.violated(&forged);
                let by_field: Vec<usize> = (0..circuit.r1cs.num_constraints())
                    .filter(|&row| {
                        let [a, b, c] = [&circuit.r1cs.a, &circuit.r1cs.b, &circuit.r1cs.c]
                            .map(|matrix| matrix.row_times(row, &forged));
                        a * b != c
                    })
                    .collect();
                assert_eq!(violated, by_field);
                match evaluator.products(&forged) {
                    Ok(_) => assert!(violated.is_empty()),
                    Err(error) => assert_eq!(
                        error,
                        ProverError::Unsatisfied {
                            first: violated[0],
                            violated: violated.len(),
                        }
                    ),
                }
            }
        }
    }
}

//! The three matrices as the prover keeps them: built once per circuit, evaluated once per proof.
//!
//! Coefficients of compiled models repeat (weights are 8-bit integers times powers of two), so an
//! entry is a wire and an index into a dictionary: 8 bytes instead of 36, and the dictionary stays
//! in the processor's cache.

use std::collections::HashMap;
use std::collections::hash_map::Entry;

use ark_bn254::Fr;
use ark_ff::{AdditiveGroup, Field, Zero};
use proofmark_gadgets::R1cs;
use proofmark_gadgets::r1cs::SparseMatrix;
use rayon::prelude::*;
use zeroize::Zeroizing;

use crate::error::ProverError;
use crate::qap::domain_size;

/// Dictionary index of the coefficient 1.
const ONE: u32 = 0;
/// Dictionary index of the coefficient −1.
const MINUS_ONE: u32 = 1;

#[derive(Debug)]
struct Matrix {
    row_ends: Vec<u32>,
    entries: Vec<(u32, u32)>,
}

impl Matrix {
    fn row(&self, index: usize) -> &[(u32, u32)] {
        &self.entries[self.row_ends[index] as usize..self.row_ends[index + 1] as usize]
    }
}

/// What the three matrices give for one assignment: values at the even points of the domain.
pub(crate) struct Products {
    pub(crate) a: Zeroizing<Vec<Fr>>,
    pub(crate) b: Zeroizing<Vec<Fr>>,
    pub(crate) c: Zeroizing<Vec<Fr>>,
}

#[derive(Debug)]
pub(crate) struct Evaluator {
    pub(crate) num_wires: usize,
    pub(crate) num_public: usize,
    pub(crate) num_constraints: usize,
    pub(crate) size: usize,
    dictionary: Vec<Fr>,
    a: Matrix,
    b: Matrix,
    c: Matrix,
}

/// Checks that the matrices fit each other and returns the domain's size.
pub(crate) fn check_shape(r1cs: &R1cs) -> Result<usize, ProverError> {
    let refuse = |reason| Err(ProverError::CircuitMalformed { reason });
    let constraints = r1cs.num_constraints();
    if r1cs.b.rows() != constraints || r1cs.c.rows() != constraints {
        return refuse("the three matrices differ in their number of rows");
    }
    if r1cs.num_public >= r1cs.num_wires {
        return refuse("there are fewer wires than public inputs and the constant");
    }
    if u32::try_from(r1cs.num_wires).is_err() {
        return refuse("there are more than 2^32 wires");
    }
    if r1cs.wires_end() > r1cs.num_wires {
        return refuse("a constraint names a wire that does not exist");
    }
    domain_size(constraints, r1cs.num_public).ok_or(ProverError::CircuitTooLarge {
        rows: constraints
            .saturating_add(r1cs.num_public)
            .saturating_add(1),
    })
}

impl Evaluator {
    pub(crate) fn new(r1cs: &R1cs) -> Result<Self, ProverError> {
        let size = check_shape(r1cs)?;
        let mut dictionary = vec![Fr::ONE, -Fr::ONE];
        let mut known = HashMap::from([(Fr::ONE, ONE), (-Fr::ONE, MINUS_ONE)]);
        let mut compact = |matrix: &SparseMatrix| -> Result<Matrix, ProverError> {
            let too_many = |_| ProverError::CircuitMalformed {
                reason: "a matrix has more than 2^32 entries",
            };
            let mut entries = Vec::with_capacity(matrix.non_zero());
            let mut row_ends = Vec::with_capacity(matrix.rows() + 1);
            row_ends.push(0);
            for row in 0..matrix.rows() {
                for (wire, value) in matrix.row(row) {
                    let index = match known.entry(value) {
                        Entry::Occupied(at) => *at.get(),
                        Entry::Vacant(free) => {
                            let index = u32::try_from(dictionary.len()).map_err(too_many)?;
                            dictionary.push(value);
                            *free.insert(index)
                        }
                    };
                    entries.push((wire, index));
                }
                row_ends.push(u32::try_from(entries.len()).map_err(too_many)?);
            }
            Ok(Matrix { row_ends, entries })
        };
        let (a, b, c) = (compact(&r1cs.a)?, compact(&r1cs.b)?, compact(&r1cs.c)?);
        Ok(Self {
            num_wires: r1cs.num_wires,
            num_public: r1cs.num_public,
            num_constraints: r1cs.num_constraints(),
            size,
            dictionary,
            a,
            b,
            c,
        })
    }

    fn row_times(&self, row: &[(u32, u32)], assignment: &[Fr]) -> Fr {
        let mut sum = Fr::ZERO;
        for &(wire, index) in row {
            let z = assignment[wire as usize];
            // Most wires carry bits, and an addition is a quarter of a multiplication.
            if z.is_zero() {
                continue;
            }
            match index {
                ONE => sum += z,
                MINUS_ONE => sum -= z,
                _ if z == Fr::ONE => sum += self.dictionary[index as usize],
                _ => sum += self.dictionary[index as usize] * z,
            }
        }
        sum
    }

    /// Evaluates the matrices, once, and checks `a∘b = c` on every row.
    ///
    /// # Errors
    /// [`ProverError::AssignmentLength`], [`ProverError::AssignmentConstant`] and
    /// [`ProverError::Unsatisfied`].
    pub(crate) fn products(&self, assignment: &[Fr]) -> Result<Products, ProverError> {
        if assignment.len() != self.num_wires {
            return Err(ProverError::AssignmentLength {
                expected: self.num_wires,
                got: assignment.len(),
            });
        }
        if assignment[0] != Fr::ONE {
            return Err(ProverError::AssignmentConstant);
        }
        let zeros = || Zeroizing::new(vec![Fr::ZERO; self.size]);
        let (mut a, mut b, mut c) = (zeros(), zeros(), zeros());
        let (first, violated) = a
            .par_iter_mut()
            .zip(b.par_iter_mut())
            .zip(c.par_iter_mut())
            .take(self.num_constraints)
            .enumerate()
            .with_min_len(64)
            .map(|(row, ((a, b), c))| {
                *a = self.row_times(self.a.row(row), assignment);
                *b = self.row_times(self.b.row(row), assignment);
                *c = self.row_times(self.c.row(row), assignment);
                if *a * *b == *c {
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
        let inputs = self.num_public + 1;
        a[self.num_constraints..self.num_constraints + inputs]
            .copy_from_slice(&assignment[..inputs]);
        Ok(Products { a, b, c })
    }
}

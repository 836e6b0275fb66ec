//! The rank-1 constraint system: `A·z ∘ B·z = C·z`, its check, and its canonical iden3 `.r1cs`
//! encoding.

use std::io::{self, Write};

use ark_bn254::Fr;
use ark_ff::{BigInteger, PrimeField};
use rayon::prelude::*;

pub use crate::integers::{RowValue, Small, is_product};
pub use crate::matrix::{Row, SparseMatrix};

/// A rank-1 constraint system. Wire 0 is the constant 1, wires `1 ..= num_public` the public
/// inputs, the rest private.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct R1cs {
    /// Public inputs, without the constant 1.
    pub num_public: usize,
    /// All wires, the constant 1 included.
    pub num_wires: usize,
    /// Left matrix.
    pub a: SparseMatrix,
    /// Right matrix.
    pub b: SparseMatrix,
    /// Product matrix.
    pub c: SparseMatrix,
}

impl R1cs {
    /// Number of constraints.
    pub fn num_constraints(&self) -> usize {
        self.a.rows()
    }

    /// Non-zero entries of the three matrices together.
    pub fn non_zero(&self) -> usize {
        self.a.non_zero() + self.b.non_zero() + self.c.non_zero()
    }

    /// Indices of the constraints that an assignment violates, ascending. An assignment of the
    /// wrong length or without 1 at wire 0 violates all.
    ///
    /// This evaluates the matrices themselves. A constraint system's own "is satisfied" may read
    /// caches filled during synthesis and accept a mutated witness.
    pub fn violated(&self, assignment: &[Fr]) -> Vec<usize> {
        if assignment.len() != self.num_wires || assignment.first() != Some(&Fr::from(1_u64)) {
            return (0..self.num_constraints().max(1)).collect();
        }
        let values = Small::new(assignment);
        (0..self.num_constraints())
            .into_par_iter()
            .with_min_len(64)
            .filter(|&row| {
                let [a, b, c] = self.row_values(row, &values);
                !is_product(a, b, c)
            })
            .collect()
    }

    /// What the three matrices give in one row.
    pub fn row_values(&self, row: usize, values: &Small<'_>) -> [RowValue; 3] {
        [&self.a, &self.b, &self.c].map(|matrix| matrix.row_value(row, values))
    }

    /// One more than the largest wire that any constraint names; 0 without any.
    pub fn wires_end(&self) -> usize {
        let ends = [&self.a, &self.b, &self.c].map(SparseMatrix::wires_end);
        ends.into_iter().max().unwrap_or_default()
    }

    /// Bytes that the matrices take in memory, however many clones share them.
    pub fn bytes(&self) -> usize {
        self.a.bytes() + self.b.bytes() + self.c.bytes()
    }

    /// Ends building: what was kept to find repetitions is dropped.
    pub(crate) fn seal(&mut self) {
        for matrix in [&mut self.a, &mut self.b, &mut self.c] {
            matrix.seal();
        }
    }

    /// Whether an assignment satisfies every constraint.
    pub fn is_satisfied_by(&self, assignment: &[Fr]) -> bool {
        self.violated(assignment).is_empty()
    }

    /// Writes the canonical iden3 `.r1cs` file (version 1): sections header, constraints, wire
    /// map (identity) in this order; all public wires as inputs; terms sorted by wire, no zero
    /// terms.
    ///
    /// # Errors
    /// Those of the writer.
    pub fn write_iden3(&self, out: &mut impl Write) -> io::Result<()> {
        let too_large = |_| io::Error::new(io::ErrorKind::InvalidInput, "more than 2^32 wires");
        let wires = u32::try_from(self.num_wires).map_err(too_large)?;
        let public = u32::try_from(self.num_public).map_err(too_large)?;
        let constraints = u32::try_from(self.num_constraints()).map_err(too_large)?;
        out.write_all(b"r1cs")?;
        out.write_all(&1_u32.to_le_bytes())?;
        out.write_all(&3_u32.to_le_bytes())?;

        out.write_all(&1_u32.to_le_bytes())?;
        out.write_all(&64_u64.to_le_bytes())?;
        out.write_all(&32_u32.to_le_bytes())?;
        out.write_all(&Fr::MODULUS.to_bytes_le())?;
        out.write_all(&wires.to_le_bytes())?;
        out.write_all(&0_u32.to_le_bytes())?; // public outputs: all public wires are inputs
        out.write_all(&public.to_le_bytes())?;
        out.write_all(&0_u32.to_le_bytes())?; // private inputs: not told from internal wires
        out.write_all(&u64::from(wires).to_le_bytes())?;
        out.write_all(&constraints.to_le_bytes())?;

        out.write_all(&2_u32.to_le_bytes())?;
        let size = 12 * self.num_constraints() as u64 + 36 * self.non_zero() as u64;
        out.write_all(&size.to_le_bytes())?;
        for row in 0..self.num_constraints() {
            for matrix in [&self.a, &self.b, &self.c] {
                let terms = matrix.row(row);
                out.write_all(&u32::try_from(terms.len()).map_err(too_large)?.to_le_bytes())?;
                for (wire, value) in terms {
                    out.write_all(&wire.to_le_bytes())?;
                    out.write_all(&value.into_bigint().to_bytes_le())?;
                }
            }
        }

        out.write_all(&3_u32.to_le_bytes())?;
        out.write_all(&(8 * u64::from(wires)).to_le_bytes())?;
        for wire in 0..u64::from(wires) {
            out.write_all(&wire.to_le_bytes())?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::circuit::Backend;
    use crate::lowering::{Lowering, NoChallenge};
    use crate::num::Num;
    use crate::requantize::clamped_shift;
    use ark_ff::AdditiveGroup;

    fn sample(cx: &mut Lowering<'_>) {
        let terms = [(1, cx.public(0).unwrap()), (2, cx.public(1).unwrap())];
        let x = Num::claimed(cx, crate::Wire(1), small(&terms[0].1.value), -1000, 5000);
        let y = Num::claimed(cx, crate::Wire(2), small(&terms[1].1.value), 0, 9);
        let x = Num::linear(cx, [(1, &x), (-3, &y)], 1).unwrap();
        clamped_shift(cx, &x, 2).unwrap();
    }

    fn small(value: &Fr) -> i64 {
        i64::try_from(value.into_bigint().0[0]).unwrap()
    }

    fn circuit_and_witness() -> (R1cs, Vec<Fr>) {
        let mut shape = Lowering::shape(Backend::Plain, 2).unwrap();
        sample(&mut shape);
        let mut challenger = NoChallenge;
        let public = [Fr::from(777_u64), Fr::from(5_u64)];
        let mut witness = Lowering::witness(Backend::Plain, &public, &mut challenger).unwrap();
        sample(&mut witness);
        (
            shape.into_circuit(0, Vec::new()).unwrap().r1cs,
            witness.into_assignment().unwrap(),
        )
    }

    /// Reads the bytes by the format's description alone and evaluates them.
    fn violated_by_file(bytes: &[u8], z: &[Fr]) -> Vec<usize> {
        let u32_at = |at: usize| u32::from_le_bytes(bytes[at..at + 4].try_into().unwrap());
        let u64_at = |at: usize| u64::from_le_bytes(bytes[at..at + 8].try_into().unwrap());
        assert_eq!(&bytes[..4], b"r1cs");
        assert_eq!((u32_at(4), u32_at(8)), (1, 3));
        assert_eq!((u32_at(12), u64_at(16), u32_at(24)), (1, 64, 32));
        assert_eq!(&bytes[28..60], Fr::MODULUS.to_bytes_le().as_slice());
        let (wires, outputs, inputs, private) = (u32_at(60), u32_at(64), u32_at(68), u32_at(72));
        assert_eq!(
            (wires as usize, outputs, inputs, private),
            (z.len(), 0, 2, 0)
        );
        assert_eq!(u64_at(76), u64::from(wires));
        let rows = u32_at(84) as usize;
        assert_eq!(u32_at(88), 2);
        let constraints_end = 100 + usize::try_from(u64_at(92)).unwrap();
        let mut at = 100;
        let mut violated = Vec::new();
        for row in 0..rows {
            let mut sums = [Fr::ZERO; 3];
            for sum in &mut sums {
                let terms = u32_at(at);
                at += 4;
                let mut last = None;
                for _ in 0..terms {
                    let wire = u32_at(at);
                    assert!(last.is_none_or(|last| last < wire), "terms ascend");
                    last = Some(wire);
                    let value = Fr::from_le_bytes_mod_order(&bytes[at + 4..at + 36]);
                    assert_ne!(value, Fr::ZERO);
                    *sum += value * z[wire as usize];
                    at += 36;
                }
            }
            if sums[0] * sums[1] != sums[2] {
                violated.push(row);
            }
        }
        assert_eq!(at, constraints_end);
        assert_eq!((u32_at(at), u64_at(at + 4)), (3, 8 * u64::from(wires)));
        for wire in 0..u64::from(wires) {
            assert_eq!(u64_at(at + 12 + 8 * usize::try_from(wire).unwrap()), wire);
        }
        assert_eq!(bytes.len(), at + 12 + 8 * wires as usize);
        violated
    }

    #[test]
    fn the_verdict_is_that_of_the_published_matrices() {
        let (r1cs, honest) = circuit_and_witness();
        let mut bytes = Vec::new();
        r1cs.write_iden3(&mut bytes).unwrap();
        assert_eq!(violated_by_file(&bytes, &honest), [0_usize; 0]);
        assert!(r1cs.is_satisfied_by(&honest));
        let mut rejected = 0;
        // What a lowering computed is no evidence: change any value after the fact.
        for wire in 1..honest.len() {
            let mut mutated = honest.clone();
            mutated[wire] += Fr::from(1_u64);
            let verdict = r1cs.violated(&mutated);
            assert_eq!(verdict, violated_by_file(&bytes, &mutated));
            rejected += usize::from(!verdict.is_empty());
        }
        // All but the inverse hint where nothing overflows are noticed.
        assert!(
            rejected >= honest.len() - 2,
            "{rejected} of {}",
            honest.len()
        );
    }

    #[test]
    fn an_assignment_of_another_length_or_without_one_violates_all() {
        let (r1cs, honest) = circuit_and_witness();
        let all: Vec<usize> = (0..r1cs.num_constraints()).collect();
        assert_eq!(r1cs.violated(&honest[1..]), all);
        let mut long = honest.clone();
        long.push(Fr::ZERO);
        assert_eq!(r1cs.violated(&long), all);
        let zero = vec![Fr::ZERO; honest.len()];
        assert_eq!(r1cs.violated(&zero), all);
        assert_eq!(R1cs::default().violated(&[]), [0]);
    }
}

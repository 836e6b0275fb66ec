//! Section 4: the entries of the matrices A and B, from which snarkjs's prover computes the quotient.
//!
//! Proofmark's prover takes them from the circuit. In a file they are compared all the same: a key whose
//! entries are another circuit's proves nothing in snarkjs, and snarkjs refuses it.

use ark_bn254::Fr;
use ark_ff::{BigInt, Field, PrimeField};
use proofmark_gadgets::Circuit;
use proofmark_types::Digest;
use proofmark_types::digest::DigestStream;

/// One entry: matrix (0 for A, 1 for B), row, wire, value times 2^512 little-endian.
pub(super) type Entry = (u32, u32, u32, [u8; 32]);

/// Hands over a plain circuit's entries in snarkjs's order: row by row those of A and of B; last those
/// of the rows that belong to the inputs. Wires and rows of a circuit that a key was made for are below
/// 2^32.
pub(super) fn each<E>(
    circuit: &Circuit,
    mut take: impl FnMut(Entry) -> Result<(), E>,
) -> Result<(), E> {
    let r1cs = &circuit.r1cs;
    // Montgomery form of a value that is already multiplied by the radix once.
    let radix = Fr::from(2_u64).pow([256_u64]);
    let bytes = |value: Fr| {
        let mut bytes = [0; 32];
        let (words, _) = bytes.as_chunks_mut::<8>();
        for (word, limb) in words.iter_mut().zip((value * radix).0.0) {
            *word = limb.to_le_bytes();
        }
        bytes
    };
    let small = |index: usize| u32::try_from(index).unwrap_or(u32::MAX);
    for row in 0..r1cs.num_constraints() {
        for (number, matrix) in [(0, &r1cs.a), (1, &r1cs.b)] {
            for (wire, value) in matrix.row(row) {
                take((number, small(row), wire, bytes(value)))?;
            }
        }
    }
    for input in 0..=r1cs.num_public {
        let row = r1cs.num_constraints() + input;
        take((0, small(row), small(input), bytes(Fr::ONE)))?;
    }
    Ok(())
}

/// How many entries [`each`] hands over.
pub(super) fn count(circuit: &Circuit) -> usize {
    let r1cs = &circuit.r1cs;
    r1cs.a.non_zero() + r1cs.b.non_zero() + r1cs.num_public + 1
}

/// Digest of a circuit's entries.
pub(super) fn digest(circuit: &Circuit) -> Result<Digest, &'static str> {
    let mut summary = Summary::default();
    each(circuit, |entry| summary.push(entry))?;
    summary.finish()
}

/// Digest of entries, in which the order inside a row does not matter.
#[derive(Default)]
pub(super) struct Summary {
    stream: DigestStream,
    row: Vec<Entry>,
}

impl Summary {
    /// Takes the next entry, whose row is not before the last one's.
    pub(super) fn push(&mut self, entry: Entry) -> Result<(), &'static str> {
        let (matrix, row, _, value) = entry;
        let mut limbs = [0; 4];
        for (limb, word) in limbs.iter_mut().zip(value.as_chunks::<8>().0) {
            *limb = u64::from_le_bytes(*word);
        }
        if matrix > 1 {
            return Err("an entry is of neither A nor B");
        }
        if BigInt(limbs) >= Fr::MODULUS {
            return Err("a value is not below the field's order");
        }
        match self.row.last() {
            Some((_, last, ..)) if *last > row => return Err("rows are out of order"),
            Some((_, last, ..)) if *last < row => self.end_of_row()?,
            _ => {}
        }
        self.row.push(entry);
        Ok(())
    }

    fn end_of_row(&mut self) -> Result<(), &'static str> {
        self.row.sort_unstable();
        let place = |entry: &Entry| (entry.0, entry.2);
        if self
            .row
            .windows(2)
            .any(|pair| matches!(pair, [a, b] if place(a) == place(b)))
        {
            return Err("an entry is there twice");
        }
        for (matrix, row, wire, value) in self.row.drain(..) {
            for number in [matrix, row, wire] {
                self.stream.update(&number.to_le_bytes());
            }
            self.stream.update(&value);
        }
        Ok(())
    }

    /// The digest of all entries.
    pub(super) fn finish(mut self) -> Result<Digest, &'static str> {
        self.end_of_row()?;
        Ok(self.stream.finish())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proofmark_prover::testing::random_circuit;

    fn entries(circuit: &Circuit) -> Vec<Entry> {
        let mut entries = Vec::new();
        each(circuit, |entry| {
            entries.push(entry);
            Ok::<(), ()>(())
        })
        .unwrap();
        entries
    }

    fn summary(entries: &[Entry]) -> Result<Digest, &'static str> {
        let mut summary = Summary::default();
        for entry in entries {
            summary.push(*entry)?;
        }
        summary.finish()
    }

    #[test]
    fn a_summary_names_the_entries_and_not_their_order_in_a_row() {
        let (circuit, _) = random_circuit(1, 3, 50);
        let honest = entries(&circuit);
        assert_eq!(honest.len(), count(&circuit));
        assert_eq!(summary(&honest), digest(&circuit));
        let pair = honest
            .windows(2)
            .position(|pair| pair[0].1 == pair[1].1)
            .unwrap();
        let changed = |change: &dyn Fn(&mut Vec<Entry>)| {
            let mut entries = honest.clone();
            change(&mut entries);
            summary(&entries)
        };
        assert_eq!(changed(&|e| e.swap(pair, pair + 1)), digest(&circuit));
        for change in [
            (|e: &mut Vec<Entry>| e[7].0 ^= 1) as fn(&mut Vec<Entry>),
            |e| e[7].2 += 1,
            |e| e[7].3[0] ^= 1,
            |e| e.last_mut().unwrap().1 += 1,
            |e| {
                e.pop();
            },
            |e| {
                e.remove(0);
            },
        ] {
            assert_ne!(changed(&|e| change(e)), digest(&circuit));
        }
        let last = honest.len() - 1;
        for (change, reason) in [
            (
                &(|e: &mut Vec<Entry>| e.swap(0, last)) as &dyn Fn(&mut Vec<Entry>),
                "out of order",
            ),
            (&|e| e.insert(pair, e[pair]), "twice"),
            (&|e| e[0].0 = 2, "neither"),
            (&|e| e[0].3 = [0xff; 32], "order"),
        ] {
            let error = changed(change).unwrap_err();
            assert!(error.contains(reason), "{error}");
        }
    }
}

//! What keys and proofs of a circuit depend on besides its coefficients: which wire belongs to
//! which query, and the domain.
//!
//! Every wire is in one of three classes. *Inputs* are known to the verifier: the constant, the
//! public inputs, and last the challenge, where there is one; IC has a point for each, in this
//! order. *Committed* wires are all private wires before the challenge. *Private* wires are the
//! rest.

use std::ops::Range;

use proofmark_gadgets::{Backend, Circuit, R1cs};

use crate::error::ProverError;
use crate::qap::{QuotientForm, domain_size};

/// The classes of a circuit's wires and the size of its domain.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Shape {
    /// Proof system that the circuit is lowered for.
    pub backend: Backend,
    /// All wires, the constant included.
    pub num_wires: usize,
    /// Public inputs of the statement: neither the constant nor the challenge.
    pub num_public: usize,
    /// Rows of the matrices.
    pub num_constraints: usize,
    /// The wire that carries the challenge.
    pub challenge: Option<usize>,
    /// How C is accounted for.
    pub form: QuotientForm,
    /// Size of the domain.
    pub size: usize,
}

impl Shape {
    /// Checks that the parts of a circuit fit each other.
    ///
    /// # Errors
    /// [`ProverError::CircuitMalformed`] and [`ProverError::CircuitTooLarge`].
    pub fn new(circuit: &Circuit, form: QuotientForm) -> Result<Self, ProverError> {
        let r1cs = &circuit.r1cs;
        check_matrices(r1cs)?;
        let challenge = challenge_wire(circuit)?;
        let rows = r1cs
            .num_constraints()
            .saturating_add(r1cs.num_public)
            .saturating_add(1 + usize::from(challenge.is_some()));
        Ok(Self {
            backend: circuit.backend,
            num_wires: r1cs.num_wires,
            num_public: r1cs.num_public,
            num_constraints: r1cs.num_constraints(),
            challenge,
            form,
            size: domain_size(rows, form).ok_or(ProverError::CircuitTooLarge { rows })?,
        })
    }

    /// The wires that the verifier knows, in the order of IC. The i-th stands alone in A of row
    /// `num_constraints + i`.
    pub fn inputs(&self) -> impl Iterator<Item = usize> {
        (0..=self.num_public).chain(self.challenge)
    }

    /// How many [`inputs`](Self::inputs) there are.
    pub fn num_inputs(&self) -> usize {
        self.num_public + 1 + usize::from(self.challenge.is_some())
    }

    /// The wires committed to; none without a challenge.
    pub fn committed(&self) -> Range<usize> {
        let first = self.num_public + 1;
        first..self.challenge.unwrap_or(first)
    }

    /// The other wires that the verifier does not know.
    pub fn private(&self) -> Range<usize> {
        let first = self
            .challenge
            .map_or(self.num_public + 1, |challenge| challenge + 1);
        first..self.num_wires
    }
}

fn malformed(reason: &'static str) -> ProverError {
    ProverError::CircuitMalformed { reason }
}

fn check_matrices(r1cs: &R1cs) -> Result<(), ProverError> {
    let constraints = r1cs.num_constraints();
    if r1cs.b.rows() != constraints || r1cs.c.rows() != constraints {
        return Err(malformed(
            "the three matrices differ in their number of rows",
        ));
    }
    if r1cs.num_public >= r1cs.num_wires {
        return Err(malformed(
            "there are fewer wires than public inputs and the constant",
        ));
    }
    if u32::try_from(r1cs.num_wires).is_err() {
        return Err(malformed("there are more than 2^32 wires"));
    }
    if r1cs.wires_end() > r1cs.num_wires {
        return Err(malformed("a constraint names a wire that does not exist"));
    }
    Ok(())
}

/// The wire of the challenge. All private wires before it must be committed to: one that is not
/// could be chosen after the challenge is known, which is how lookups are forged.
fn challenge_wire(circuit: &Circuit) -> Result<Option<usize>, ProverError> {
    match circuit.backend {
        Backend::Plain if circuit.committed.is_empty() && circuit.challenges.is_empty() => Ok(None),
        Backend::Plain => Err(malformed("it is lowered without a challenge and has one")),
        Backend::Committed => {
            let [challenge] = circuit.challenges.as_slice() else {
                return Err(malformed("it is lowered for one challenge and has not one"));
            };
            let challenge = challenge.index();
            let first = circuit.r1cs.num_public + 1;
            if challenge >= circuit.r1cs.num_wires {
                return Err(malformed("the challenge's wire does not exist"));
            }
            if challenge < first {
                return Err(malformed("the challenge is one of the public inputs"));
            }
            let committed = circuit.committed.iter().map(|wire| wire.index());
            if !committed.eq(first..challenge) {
                return Err(malformed(
                    "the wires committed to are not all private wires before the challenge, in order",
                ));
            }
            Ok(Some(challenge))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{committed_circuit, random_circuit};
    use proofmark_gadgets::Wire;

    type Spoil<'a> = &'a dyn Fn(&mut Circuit);

    fn shape(circuit: &Circuit) -> Result<Shape, ProverError> {
        Shape::new(circuit, QuotientForm::Folded)
    }

    #[test]
    fn every_wire_is_in_one_class() {
        let (plain, _) = random_circuit(70, 3, 20);
        let committed = committed_circuit(2, 5);
        for circuit in [&plain, &committed] {
            let shape = shape(circuit).unwrap();
            let mut all: Vec<usize> = shape
                .inputs()
                .chain(shape.committed())
                .chain(shape.private())
                .collect();
            assert_eq!(shape.num_inputs(), shape.inputs().count());
            all.sort_unstable();
            assert!(all.into_iter().eq(0..circuit.r1cs.num_wires));
        }
        assert_eq!(shape(&plain).unwrap().committed().len(), 0);
        let shape = shape(&committed).unwrap();
        assert_eq!(shape.inputs().last(), shape.challenge);
        assert_eq!(shape.committed().len(), committed.committed.len());
        // One more row than the same constraints without a challenge.
        assert_eq!(
            domain_size(shape.num_constraints + 4, QuotientForm::Folded),
            Some(shape.size)
        );
    }

    #[test]
    fn malformed_circuits_are_refused() {
        let (plain, _) = random_circuit(71, 1, 8);
        let committed = committed_circuit(1, 3);
        let wires = committed.r1cs.num_wires;
        let of_plain: [Spoil<'_>; 6] = [
            &|c| c.r1cs.num_wires -= 1,
            &|c| c.r1cs.num_public = c.r1cs.num_wires,
            &|c| c.r1cs.b = proofmark_gadgets::r1cs::SparseMatrix::default(),
            &|c| c.r1cs.num_wires = usize::MAX,
            &|c| c.challenges = vec![Wire::ONE],
            &|c| c.committed = vec![Wire::ONE],
        ];
        let of_committed: [Spoil<'_>; 8] = [
            &|c| c.challenges.clear(),
            &|c| c.challenges.push(c.challenges[0]),
            &|c| c.challenges[0] = c.committed[1],
            &|c| c.r1cs.num_public += 1,
            &|c| c.committed.truncate(c.committed.len() - 1),
            &|c| c.committed.rotate_left(1),
            &|c| c.committed.swap(0, 1),
            &|c| c.backend = Backend::Plain,
        ];
        for (circuit, spoil) in of_plain
            .iter()
            .map(|spoil| (&plain, spoil))
            .chain(of_committed.iter().map(|spoil| (&committed, spoil)))
        {
            let mut other = circuit.clone();
            spoil(&mut other);
            assert_eq!(shape(&other).unwrap_err().code(), "circuit-malformed");
        }
        let mut short = committed.clone();
        short.r1cs.num_wires = wires;
        assert!(shape(&short).is_ok());
        let mut backend = plain;
        backend.backend = Backend::Committed;
        assert_eq!(shape(&backend).unwrap_err().code(), "circuit-malformed");
    }
}

//! Circuits and randomness for tests, of this crate and of those above.
#![expect(
    clippy::unwrap_used,
    reason = "a test that panics has failed, which is what it is for"
)]

use ark_bn254::Fr;
use ark_ff::{AdditiveGroup, Field, PrimeField};
use proofmark_gadgets::limbs::ranged_wire;
use proofmark_gadgets::lowering::Forced;
use proofmark_gadgets::{Backend, Challenger, Circuit, Lc, LowerError, Lowering, Wire};
use proofmark_types::Digest;

/// A reproducible source of scalars and integers.
pub struct Seeded([u8; 32]);

impl Seeded {
    /// The source of this seed.
    pub fn new(seed: u64) -> Self {
        Self(*Digest::of(&seed.to_le_bytes()).as_bytes())
    }

    fn next(&mut self) -> [u8; 32] {
        self.0 = *Digest::of(&self.0).as_bytes();
        self.0
    }

    /// An element of the scalar field.
    pub fn scalar(&mut self) -> Fr {
        Fr::from_le_bytes_mod_order(&self.next())
    }

    /// An integer below a bound.
    pub fn below(&mut self, bound: usize) -> usize {
        let bytes = self.next();
        let word = u64::from_le_bytes(bytes[..8].try_into().unwrap());
        usize::try_from(word % bound as u64).unwrap()
    }
}

/// A circuit of squares of the public inputs, multiplication gates over random linear combinations
/// and bits, and an assignment that satisfies it. Every wire is constrained.
pub fn random_circuit(seed: u64, public: usize, gates: usize) -> (Circuit, Vec<Fr>) {
    let mut random = Seeded::new(seed);
    let mut lowering = Lowering::shape(Backend::Plain, public).unwrap();
    let mut wires = vec![Wire::ONE];
    let mut assignment = vec![Fr::ONE];
    for index in 0..public {
        let signal = lowering.public(index).unwrap();
        wires.push(signal.lc.terms()[0].0);
        assignment.push(random.scalar());
    }
    let hint = |lowering: &mut Lowering<'_>, wires: &mut Vec<Wire>| {
        let wire = lowering.hint("hint", || Fr::ZERO).unwrap();
        wires.push(wire);
        wire
    };
    for gate in 0..gates {
        if gate < public {
            // The square of a public input, so that each is constrained.
            let input = Lc::wire(wires[gate + 1]);
            let square = hint(&mut lowering, &mut wires);
            assignment.push(assignment[gate + 1].square());
            lowering
                .enforce("square", input.clone(), input, Lc::wire(square))
                .unwrap();
            continue;
        }
        if gate % 3 == 1 {
            let bit = hint(&mut lowering, &mut wires);
            assignment.push(Fr::from(random.below(2) as u64));
            let complement = Lc::constant(Fr::ONE).add_scaled(-Fr::ONE, &Lc::wire(bit));
            lowering
                .enforce("bit", Lc::wire(bit), complement, Lc::zero())
                .unwrap();
            continue;
        }
        let mut side = || {
            let mut lc = Lc::zero();
            for _ in 0..=random.below(4) {
                let coefficient = match random.below(4) {
                    0 => Fr::ONE,
                    1 => -Fr::ONE,
                    2 => Fr::from(random.below(256) as u64 + 1),
                    _ => random.scalar(),
                };
                lc.push(wires[random.below(wires.len())], coefficient);
            }
            lc
        };
        let (left, right) = (side(), side());
        let value = left.evaluate(&assignment) * right.evaluate(&assignment);
        let product = hint(&mut lowering, &mut wires);
        assignment.push(value);
        lowering
            .enforce("gate", left, right, Lc::wire(product))
            .unwrap();
    }
    let circuit = lowering.into_circuit(1, Vec::new()).unwrap();
    assert!(circuit.r1cs.is_satisfied_by(&assignment));
    (circuit, assignment)
}

/// The matrices of a circuit in `ark-relations`' form.
pub fn stock_matrices(circuit: &Circuit) -> Vec<Vec<Vec<(Fr, usize)>>> {
    let r1cs = &circuit.r1cs;
    [&r1cs.a, &r1cs.b, &r1cs.c]
        .map(|matrix| {
            (0..matrix.rows())
                .map(|row| {
                    let terms = matrix.row(row);
                    terms.map(|(wire, value)| (value, wire as usize)).collect()
                })
                .collect()
        })
        .to_vec()
}

/// Bits of the values of [`committed_circuit`]: they are looked up in one table of 8 entries.
const BITS: u32 = 3;

/// The square of each public input, and `values` private integers of 3 bits. Committed to are
/// squares, values and the 8 multiplicities, in this order; behind the challenge stand the inverse
/// of each value and the quotient of each entry.
fn lower_committed(cx: &mut Lowering<'_>, public: usize, values: &[i64]) -> Result<(), LowerError> {
    cx.force(Forced {
        widths: Some(vec![BITS]),
        ..Forced::default()
    });
    for index in 0..public {
        let input = cx.public(index)?;
        let square = cx.hint_signal("square", || input.value.square())?;
        cx.enforce("square", input.lc.clone(), input.lc, square.lc)?;
    }
    for &value in values {
        let wire = cx.hint("value", || Fr::from(value))?;
        ranged_wire(cx, "value", wire, value, BITS)?;
    }
    cx.close()
}

/// A circuit with a challenge: `values` private integers are below 8.
pub fn committed_circuit(public: usize, values: usize) -> Circuit {
    let mut cx = Lowering::shape(Backend::Committed, public).unwrap();
    lower_committed(&mut cx, public, &vec![0; values]).unwrap();
    cx.into_circuit(1, Vec::new()).unwrap()
}

/// What a prover of [`committed_circuit`] computes.
///
/// # Errors
/// Those of the challenger.
pub fn committed_assignment(
    public: &[Fr],
    values: &[i64],
    challenger: &mut dyn Challenger,
) -> Result<Vec<Fr>, LowerError> {
    let mut cx = Lowering::witness(Backend::Committed, public, challenger)?;
    lower_committed(&mut cx, public.len(), values)?;
    Ok(cx.into_assignment().unwrap())
}

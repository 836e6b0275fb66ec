//! LogUp (ePrint 2022/1530): that every one of many wires lies in one table, by a challenge.
//!
//! `Σ_i 1/(X − a_i) = Σ_j m_j/(X − t_j)` holds as an identity of rational functions exactly when
//! each looked-up value `a_i` is a table entry `t_j` and `m_j` counts how often. Checked at a
//! challenge `X` that is drawn after the `a_i` and `m_j` are committed to.
//!
//! This exercises both phases of [`Lowering`]: wires → commitment → challenge → wires.

use std::collections::HashMap;

use ark_bn254::Fr;
use ark_ff::Field;

use crate::error::LowerError;
use crate::lc::{Lc, Wire};
use crate::lowering::Lowering;
use crate::num::{Signal, enforce_equal};

/// Proves that each of the wires (given with its value) carries an entry of `table`: one
/// constraint a wire, one an entry, and one. `blinding` has to be fresh randomness, so that the
/// commitment hides what is looked up.
///
/// # Soundness
/// Wires, multiplicities and blinding are committed to before `X` is drawn. Were some `a_i` no
/// entry, the left side would have a pole at `a_i` (its residue, the number of such wires, is not
/// 0 modulo the order) that the right side lacks. Cleared of denominators, the two sides are then
/// different polynomials of degree below wires + entries, which agree at a random `X` with
/// probability below (wires + entries) / 2^253. Both denominators are proven to be non-zero where
/// it matters: `u_i · (X − a_i) = 1` has no solution at a pole.
///
/// Multiplicities need no range: whatever they are, the right side has no pole outside the table.
/// The blinding wire stands in no constraint.
///
/// # Errors
/// [`LowerError::NoChallenge`] with the plain backend, [`LowerError::SecondCommitment`] the second
/// time, [`LowerError::BadCommitment`] for public or repeated wires, and in witness mode
/// [`LowerError::NotInTable`].
pub fn enforce_in_table(
    cx: &mut Lowering<'_>,
    looked_up: &[(Wire, i64)],
    table: &[i64],
    blinding: Fr,
) -> Result<(), LowerError> {
    let mut multiplicities = vec![0_u64; table.len()];
    if !cx.emits() {
        // A repeated entry counts at its first place.
        let mut places: HashMap<i64, usize> = HashMap::with_capacity(table.len());
        for (at, &entry) in table.iter().enumerate() {
            places.entry(entry).or_insert(at);
        }
        for &(_, value) in looked_up {
            let count = places
                .get(&value)
                .and_then(|&at| multiplicities.get_mut(at));
            let Some(count) = count else {
                return Err(LowerError::NotInTable {
                    path: cx.path("logup"),
                    value,
                });
            };
            *count += 1;
        }
    }
    argue(cx, looked_up, table, &multiplicities, blinding)
}

/// The argument for multiplicities as they are given.
fn argue(
    cx: &mut Lowering<'_>,
    looked_up: &[(Wire, i64)],
    table: &[i64],
    multiplicities: &[u64],
    blinding: Fr,
) -> Result<(), LowerError> {
    let mut committed: Vec<Wire> = looked_up.iter().map(|&(wire, _)| wire).collect();
    let mut counts = Vec::with_capacity(table.len());
    for &count in multiplicities {
        // Constrained by the sum below; committed to before the challenge.
        let wire = cx.hint("logup-multiplicity", || Fr::from(count))?;
        counts.push((wire, count));
        committed.push(wire);
    }
    // Unconstrained on purpose: it hides the others inside the commitment.
    committed.push(cx.hint("logup-blinding", || blinding)?);
    let challenge = cx.commit(&committed)?;

    let mut sum = Lc::zero();
    let mut term = |cx: &mut Lowering<'_>, step, pole: (Lc, Fr), numerator: (Lc, Fr), sign| {
        let difference = challenge.value - pole.1;
        let value = difference.inverse().unwrap_or_default() * numerator.1;
        // Constrained by the next line. The dense wire stands in A and in the sum only: it keeps
        // the second group's query cheap.
        let quotient = cx.hint_signal(step, || value)?;
        let denominator = challenge.lc.clone().add_scaled(-Fr::ONE, &pole.0);
        cx.enforce(step, quotient.lc.clone(), denominator, numerator.0)?;
        sum.accumulate(sign, &quotient.lc);
        Ok::<(), LowerError>(())
    };
    for &(wire, value) in looked_up {
        let one = Signal::constant(cx, Fr::ONE);
        let pole = if cx.emits() {
            Lc::wire(wire)
        } else {
            Lc::zero()
        };
        term(
            cx,
            "logup-inverse",
            (pole, Fr::from(value)),
            (one.lc, Fr::ONE),
            Fr::ONE,
        )?;
    }
    for (&entry, &(wire, count)) in table.iter().zip(&counts) {
        let pole = Signal::constant(cx, Fr::from(entry));
        let numerator = if cx.emits() {
            Lc::wire(wire)
        } else {
            Lc::zero()
        };
        term(
            cx,
            "logup-entry",
            (pole.lc, Fr::from(entry)),
            (numerator, Fr::from(count)),
            -Fr::ONE,
        )?;
    }
    enforce_equal(cx, "logup-sum", sum, Lc::zero())
}

#[cfg(test)]
mod tests {
    use ark_ff::AdditiveGroup;
    use proofmark_types::poseidon;

    use super::*;
    use crate::circuit::{Backend, Circuit};
    use crate::lowering::{Challenger, NoChallenge};

    /// Draws the challenge from all committed values.
    #[derive(Default)]
    struct Transcript {
        committed: Vec<Fr>,
        challenge: Fr,
    }

    impl Challenger for Transcript {
        fn challenge(&mut self, committed: &[Fr]) -> Result<Fr, LowerError> {
            self.committed = committed.to_vec();
            self.challenge = committed.chunks(15).fold(Fr::from(7_u64), |state, chunk| {
                let mut inputs = vec![state];
                inputs.extend_from_slice(chunk);
                poseidon::hash(&inputs).unwrap()
            });
            Ok(self.challenge)
        }
    }

    const TABLE: [i64; 8] = [0, 1, 2, 3, 4, 5, 6, 9];

    fn looked_up(cx: &mut Lowering<'_>, values: &[i64]) -> Vec<(Wire, i64)> {
        values
            .iter()
            .map(|&v| (cx.hint("value", || Fr::from(v)).unwrap(), v))
            .collect()
    }

    fn circuit(wires: usize) -> Circuit {
        let mut cx = Lowering::shape(Backend::Committed, 0).unwrap();
        let values = looked_up(&mut cx, &vec![0; wires]);
        enforce_in_table(&mut cx, &values, &TABLE, Fr::ZERO).unwrap();
        cx.into_circuit(0, Vec::new()).unwrap()
    }

    /// The assignment of a prover who commits to these values and multiplicities and does
    /// everything else as told.
    fn assignment(values: &[i64], multiplicities: &[u64]) -> (Vec<Fr>, Transcript) {
        let mut transcript = Transcript::default();
        let mut cx = Lowering::witness(Backend::Committed, &[], &mut transcript).unwrap();
        let values = looked_up(&mut cx, values);
        argue(&mut cx, &values, &TABLE, multiplicities, Fr::from(1234)).unwrap();
        let assignment = cx.into_assignment().unwrap();
        (assignment, transcript)
    }

    const HONEST: ([i64; 5], [u64; 8]) = ([9, 0, 3, 3, 9], [1, 0, 0, 2, 0, 0, 0, 2]);

    #[test]
    fn wires_commitment_challenge_wires() {
        let circuit = circuit(5);
        assert_eq!(circuit.r1cs.num_constraints(), 5 + 8 + 1);
        // Looked-up wires, multiplicities, blinding; the challenge comes after all of them.
        assert_eq!(circuit.committed.len(), 5 + 8 + 1);
        assert_eq!(circuit.challenges.len(), 1);
        assert!(circuit.committed.iter().all(|w| *w < circuit.challenges[0]));

        let mut transcript = Transcript::default();
        let mut cx = Lowering::witness(Backend::Committed, &[], &mut transcript).unwrap();
        let values = looked_up(&mut cx, &HONEST.0);
        enforce_in_table(&mut cx, &values, &TABLE, Fr::from(1234)).unwrap();
        let honest = cx.into_assignment().unwrap();
        assert_eq!(circuit.r1cs.violated(&honest), [0_usize; 0]);
        assert_eq!(honest, assignment(&HONEST.0, &HONEST.1).0);
        let of_circuit: Vec<Fr> = circuit
            .committed
            .iter()
            .map(|w| honest[w.index()])
            .collect();
        assert_eq!(transcript.committed, of_circuit);
        assert_eq!(honest[circuit.challenges[0].index()], transcript.challenge);
    }

    #[test]
    fn the_inverse_never_stands_in_b() {
        let circuit = circuit(5);
        let dense = circuit.challenges[0].index() + 1..circuit.r1cs.num_wires;
        for row in 0..circuit.r1cs.num_constraints() {
            let (columns, _) = circuit.r1cs.b.row(row);
            assert!(columns.iter().all(|c| !dense.contains(&(*c as usize))));
        }
    }

    #[test]
    fn what_is_not_in_the_table_is_rejected_whatever_the_multiplicities() {
        let circuit = circuit(5);
        for (values, multiplicities) in [
            ([9, 0, 3, 3, 7], [1, 0, 0, 2, 0, 0, 0, 1]),
            ([9, 0, 3, 3, 7], [1, 0, 0, 2, 0, 0, 0, 2]),
            ([-1, 0, 3, 3, 9], [1, 0, 0, 2, 0, 0, 0, 2]),
            ([9, 0, 3, 3, 9], [2, 0, 0, 2, 0, 0, 0, 1]),
            ([9, 0, 3, 3, 9], [1, 0, 0, 2, 0, 0, 0, 3]),
            ([9, 0, 3, 3, 9], [0; 8]),
        ] {
            let (forged, _) = assignment(&values, &multiplicities);
            // All that a prover can still compute after the challenge holds; the sum does not.
            assert_eq!(
                circuit.r1cs.violated(&forged),
                [circuit.r1cs.num_constraints() - 1]
            );
        }
    }

    #[test]
    fn no_wire_after_the_challenge_can_move() {
        let circuit = circuit(5);
        let (honest, _) = assignment(&HONEST.0, &HONEST.1);
        for wire in circuit.challenges[0].index() + 1..honest.len() {
            for delta in [Fr::ONE, -Fr::ONE, Fr::from(1_u64 << 40)] {
                let mut mutated = honest.clone();
                mutated[wire] += delta;
                assert!(!circuit.r1cs.is_satisfied_by(&mutated), "wire {wire}");
            }
        }
        // Nor can a committed value change under the challenge drawn for another, the blinding
        // wire excepted, which no constraint reads.
        for wire in &circuit.committed {
            let mut mutated = honest.clone();
            mutated[wire.index()] += Fr::ONE;
            assert_eq!(
                circuit.r1cs.is_satisfied_by(&mutated),
                Some(wire) == circuit.committed.last()
            );
        }
    }

    #[test]
    fn each_constraint_is_needed() {
        let circuit = circuit(5);
        let rows = circuit.r1cs.num_constraints();
        let (forged, _) = assignment(&[9, 0, 3, 3, 7], &[1, 0, 0, 2, 0, 0, 0, 1]);
        let after = circuit.challenges[0].index() + 1;
        let gap = circuit.r1cs.a.row_times(rows - 1, &forged);
        assert_ne!(gap, Fr::ZERO);
        for row in 0..rows {
            // Without its constraint, a quotient takes up the whole gap and 7 is "in the table".
            let mut accepted = forged.clone();
            if row + 1 < rows {
                let sign = if row < 5 { Fr::ONE } else { -Fr::ONE };
                accepted[after + row] -= sign * gap;
            }
            assert_eq!(circuit.r1cs.violated(&accepted), [row]);
        }
    }

    #[test]
    fn refusals() {
        let mut no_challenge = NoChallenge;
        let mut plain = Lowering::witness(Backend::Plain, &[], &mut no_challenge).unwrap();
        let values = looked_up(&mut plain, &[1]);
        let refused = enforce_in_table(&mut plain, &values, &TABLE, Fr::ONE).unwrap_err();
        assert_eq!(refused.code(), "no-challenge");

        let mut transcript = Transcript::default();
        let mut cx = Lowering::witness(Backend::Committed, &[], &mut transcript).unwrap();
        let values = looked_up(&mut cx, &[7]);
        let refused = enforce_in_table(&mut cx, &values, &TABLE, Fr::ONE).unwrap_err();
        assert_eq!(refused.code(), "witness-outside-table");

        let mut cx = Lowering::shape(Backend::Committed, 1).unwrap();
        let values = looked_up(&mut cx, &[1]);
        for bad in [
            vec![values[0], values[0]],
            vec![(Wire(1), 0)],
            vec![(Wire::ONE, 1)],
        ] {
            let refused = enforce_in_table(&mut cx, &bad, &TABLE, Fr::ONE).unwrap_err();
            assert_eq!(refused.code(), "bad-commitment");
        }
        enforce_in_table(&mut cx, &values, &TABLE, Fr::ONE).unwrap();
        let more = looked_up(&mut cx, &[1]);
        let refused = enforce_in_table(&mut cx, &more, &TABLE, Fr::ONE).unwrap_err();
        assert_eq!(refused.code(), "second-commitment");
    }
}

//! The lookup service of the committed backend: that values lie in tables, by one challenge.
//!
//! # The argument (`LogUp`, ePrint 2022/1530)
//! For a table with distinct keys `t_j` and looked-up values `a_i`, all field elements,
//!
//! ```text
//! Σ_i 1/(X − a_i) = Σ_j m_j/(X − t_j)
//! ```
//!
//! holds as an identity of rational functions in `X` exactly when each `a_i` is some `t_j` and
//! `m_j` counts how often (Lemma 5 there). For if some `a` that is no key is looked up `c` times,
//! the left side has a pole at `a` with residue `c`, which is not 0 in the field, because there are
//! fewer than 2^32 lookups; the right side has no pole there, whatever the `m_j` are. They
//! therefore need no range of their own.
//!
//! The identity is checked at one point, the challenge, drawn after the `a_i` and the `m_j` are
//! fixed. The rows are
//!
//! * one a lookup: `u_i · (a_i − X) = −1`. It has no solution at a pole. The inverse `u_i`, a dense
//!   field element, stands in `A` alone, so that the query of the second group stays cheap; `a_i`
//!   may be any linear combination, and needs no wire;
//! * one an entry: `g_j · (X − t_j) = m_j`;
//! * one a table: `Σ u_i − Σ g_j = 0`. Each table has a sum of its own: in a common one, a value
//!   could be found in another table.
//!
//! # Error
//! Let there be `N` lookups and `T` entries in all tables together. A table with a value that is
//! no key makes its two sides different; cleared of denominators, they are different polynomials
//! of degree below its lookups and entries, so that they agree at fewer than `N + T` points, sums
//! over tables included. At the at most `T` further points `X = t_j` some `g_j` is free. A
//! challenge that is a hash of 256 bits reduced modulo the order takes each value with probability
//! below 2^−253, so a prover succeeds with probability below `(N + 2T) · 2^−253` for each challenge
//! that it tries: below 2^−220 with 2^32 of both. An honest prover that draws a pole has no
//! witness and says so ([`LowerError::ChallengePole`]).
//!
//! # What is committed to
//! **Every private wire made before the challenge**: looked-up values, multiplicities, whatever
//! they depend on, and all the rest, so that there is nothing to forget. Public inputs are hashed
//! into the challenge beside the commitment. After the challenge come inverses and quotients, all
//! determined by rows of their own. No wire of randomness is needed: the proof system's commitment
//! hides by a term of its own. A circuit that looks nothing up has its commitment all the same, so
//! that there is one kind of key and of proof.
//!
//! # Integers
//! The argument proves equality of field elements. That a linear combination stands for an integer,
//! and a packed key for a pair, is argued at each use ([`table::Packing`]).

pub(crate) mod requests;
pub mod table;
pub(crate) mod widths;

use ark_bn254::Fr;
use ark_ff::{AdditiveGroup, Field};

use crate::error::LowerError;
use crate::lc::Lc;
use crate::limbs::enforce_boolean;
use crate::lowering::Lowering;
use crate::num::{Num, Signal, enforce_equal};
use crate::requantize::prove_clamps;

use requests::{RangeRequest, TableUse};
use table::LookupTable;
use widths::Widths;

/// Ends the first phase: ranges become limbs, everything is committed to, and the rows of the
/// argument follow.
pub(crate) fn close(cx: &mut Lowering<'_>) -> Result<(), LowerError> {
    prove_clamps(cx)?;
    cut_ranges(cx)?;
    let tables = core::mem::take(&mut cx.requests.tables);
    let mut multiplicities = Vec::with_capacity(tables.len());
    for table in &tables {
        multiplicities.push(count(cx, table)?);
    }
    let challenge = cx.commit()?;
    for (table, counts) in tables.into_iter().zip(multiplicities) {
        argue(cx, &challenge, table, &counts)?;
    }
    Ok(())
}

/// Turns each range into lookups and bits.
fn cut_ranges(cx: &mut Lowering<'_>) -> Result<(), LowerError> {
    let mut exists = Vec::new();
    for bits in 0..=widths::WIDEST {
        exists.push(cx.requests.has(&LookupTable::range(bits)?));
    }
    let widths = Widths::choose(
        &cx.requests.widths(),
        &|bits| exists.get(bits as usize).copied().unwrap_or_default(),
        cx.forced_widths().as_deref(),
    );
    for RangeRequest { label, x, bits } in core::mem::take(&mut cx.requests.ranges) {
        let x = cx.requests.release(x);
        let cut = widths.cut(bits);
        cx.relabelled(label, |cx, step| {
            // What is not cut to the last bit would be proven in part, or not at all.
            if cut.is_empty() || cut.iter().sum::<u32>() != bits {
                return Err(unproven(cx, step, bits));
            }
            cut_range(cx, step, &x, cut)
        })?;
    }
    Ok(())
}

/// The error for a range that no constraint would prove.
pub(crate) fn unproven(cx: &Lowering<'_>, step: &'static str, bits: u32) -> LowerError {
    LowerError::RangeUnproven {
        path: cx.path(step),
        bits,
    }
}

/// Proves that `x` is an integer in `0 ..= 2^Σcut − 1`, where the cut's widths are given widest
/// first.
///
/// # Soundness
/// Each limb is proven to be one of `0 ..= 2^width − 1`: by its table, or by booleanity. The first
/// one is *defined* as what the others leave of `x`, so their weighted sum is `x` as a field
/// element, and it is below `2^Σcut ≤ 2^62`. Where `x` is long and would stand twice in a
/// booleanity row, all limbs are wires and the sum is a row of its own.
fn cut_range(
    cx: &mut Lowering<'_>,
    step: &'static str,
    x: &Num,
    cut: &[u32],
) -> Result<(), LowerError> {
    let Some((&first, others)) = cut.split_first() else {
        return Err(unproven(cx, step, 0));
    };
    let separate = first == 1 && x.weight() > crate::limbs::DERIVE_UP_TO;
    let (mut at, wires) = if separate { (0, cut) } else { (first, others) };
    let mut terms = Vec::with_capacity(wires.len());
    for &width in wires {
        let value = (x.value() >> at) & ((1 << width) - 1);
        // Constrained by the next lines.
        let wire = cx.hint(step, || Fr::from(value))?;
        let limb = Num::claimed(cx, wire, value, 0, (1 << width) - 1);
        prove_limb(cx, step, &limb, width)?;
        terms.push((at, limb));
        at += width;
    }
    if terms.is_empty() {
        return prove_limb(cx, step, x, first);
    }
    let mut lc = Lc::zero();
    let mut value = x.value();
    if cx.emits() {
        lc = x.lc().clone();
        for (at, limb) in &terms {
            lc.accumulate(-Fr::from(1_u64 << at), limb.lc());
        }
    } else {
        for (at, limb) in &terms {
            value -= limb.value() << at;
        }
    }
    if separate {
        return enforce_equal(cx, step, lc, Lc::zero());
    }
    // Its interval is what is being proven.
    let rest = Num::from_limb(lc, value, 0, (1 << first) - 1);
    prove_limb(cx, step, &rest, first)
}

fn prove_limb(
    cx: &mut Lowering<'_>,
    step: &'static str,
    limb: &Num,
    width: u32,
) -> Result<(), LowerError> {
    if width == 1 {
        return enforce_boolean(cx, step, limb.lc());
    }
    let table = LookupTable::range(width)?;
    cx.lookup(step, &table, limb)
}

/// The multiplicities of a table's entries as wires. They need no constraint but the argument's.
fn count(cx: &mut Lowering<'_>, table: &TableUse) -> Result<Vec<Signal>, LowerError> {
    (0..table.table.len())
        .map(|at| {
            let count = table.counts.get(at).copied().unwrap_or_default();
            cx.hint_signal("logup-multiplicity", || Fr::from(count))
        })
        .collect()
}

/// The rows of one table, as the module documentation has them.
fn argue(
    cx: &mut Lowering<'_>,
    challenge: &Signal,
    table: TableUse,
    counts: &[Signal],
) -> Result<(), LowerError> {
    // 1/(X − t) for each key. A lookup's inverse is that of the entry it hits: one inversion
    // serves the whole table.
    let inverses = if cx.emits() {
        Vec::new()
    } else {
        inverses(cx, challenge.value, &table.table)?
    };
    let inverse = |place: u32| inverses.get(place as usize).copied().unwrap_or_default();
    let mut sum = Lc::zero();
    for place in table.places {
        // Constrained in shape mode: its row is made in the next loop.
        cx.hint("logup-inverse", || inverse(place))?;
    }
    for row in table.rows {
        let value = cx.requests.release(row.value).into_lc();
        cx.relabelled(row.label, |cx, step| {
            let wire = cx.hint("logup-inverse", || Fr::ZERO)?;
            sum.push(wire, Fr::ONE);
            // u · (2^s·v − 2^s·X) = −2^s: no coefficient of `v` is touched.
            let scale = -Fr::from(1_u64 << row.shift);
            let difference = value.add_scaled(scale, &challenge.lc);
            cx.enforce(step, Lc::wire(wire), difference, Lc::constant(scale))
        })?;
    }
    for ((place, &key), count) in (0..).zip(table.table.keys()).zip(counts) {
        // Constrained by the next constraint.
        let quotient = cx.hint_signal("logup-entry", || inverse(place) * count.value)?;
        if cx.emits() {
            let difference = Lc::constant(-Fr::from(key)).add_scaled(Fr::ONE, &challenge.lc);
            sum.accumulate(-Fr::ONE, &quotient.lc);
            cx.enforce("logup-entry", quotient.lc, difference, count.lc.clone())?;
        }
    }
    enforce_equal(cx, "logup-sum", sum, Lc::zero())
}

fn inverses(cx: &Lowering<'_>, challenge: Fr, table: &LookupTable) -> Result<Vec<Fr>, LowerError> {
    let mut out: Vec<Fr> = table
        .keys()
        .iter()
        .map(|&key| challenge - Fr::from(key))
        .collect();
    if out.contains(&Fr::ZERO) {
        return Err(LowerError::ChallengePole {
            path: cx.path("logup"),
        });
    }
    ark_ff::batch_inversion(&mut out);
    Ok(out)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::circuit::{Backend, Circuit};
    use crate::lowering::{Forced, NoChallenge};
    use crate::testing::Transcript;

    const KEYS: [i64; 8] = [0, 1, 2, 3, 4, 5, 6, 9];
    const HONEST: [i64; 5] = [9, 0, 3, 3, 9];

    /// Five values in one table and, halved, one in another.
    fn build(cx: &mut Lowering<'_>, values: &[i64]) {
        let table = LookupTable::new(KEYS.to_vec()).unwrap();
        let other = LookupTable::new(vec![7, 40, -1]).unwrap();
        for &value in values {
            let wire = cx.hint("value", || Fr::from(value)).unwrap();
            let value = Num::claimed(cx, wire, value, 0, 9);
            cx.lookup("value", &table, &value).unwrap();
        }
        let wire = cx.hint("halved", || Fr::from(80_u64)).unwrap();
        let value = Num::claimed(cx, wire, 80, 0, 80);
        cx.lookup_shifted("halved", &other, &value, 1).unwrap();
        cx.close().unwrap();
    }

    fn circuit() -> Circuit {
        let mut cx = Lowering::shape(Backend::Committed, 0).unwrap();
        build(&mut cx, &[0; 5]);
        cx.into_circuit(0, Vec::new()).unwrap()
    }

    fn honest() -> (Vec<Fr>, Transcript) {
        let mut transcript = Transcript::default();
        let mut cx = Lowering::witness(Backend::Committed, &[], &mut transcript).unwrap();
        build(&mut cx, &HONEST);
        let assignment = cx.into_assignment().unwrap();
        (assignment, transcript)
    }

    /// The assignment of a prover who commits to these values and multiplicities and does
    /// everything else as told.
    fn forged(circuit: &Circuit, values: [i64; 5], multiplicities: [u64; 8]) -> Vec<Fr> {
        let (mut z, _) = honest();
        for (slot, value) in z.iter_mut().skip(1).zip(values) {
            *slot = Fr::from(value);
        }
        for (slot, count) in z.iter_mut().skip(7).zip(multiplicities) {
            *slot = Fr::from(count);
        }
        crate::testing::continue_after_challenge(circuit, &mut z);
        z
    }

    #[test]
    fn wires_commitment_challenge_wires() {
        let circuit = circuit();
        assert_eq!(circuit.r1cs.num_constraints(), (5 + 8 + 1) + (1 + 3 + 1));
        // Every private wire before the challenge: looked-up values and multiplicities.
        assert_eq!(circuit.committed.len(), 6 + 8 + 3);
        assert_eq!(circuit.challenges.len(), 1);
        let challenge = circuit.challenges[0].index();
        let before: Vec<usize> = (1..challenge).collect();
        let committed: Vec<usize> = circuit.committed.iter().map(|w| w.index()).collect();
        assert_eq!(committed, before);

        let (z, transcript) = honest();
        assert_eq!(circuit.r1cs.violated(&z), [0_usize; 0]);
        assert_eq!(transcript.committed, z[1..challenge]);
        assert_eq!(z[challenge], transcript.challenge);
        assert_eq!(forged(&circuit, HONEST, [1, 0, 0, 2, 0, 0, 0, 2]), z);
    }

    #[test]
    fn inverses_and_quotients_stand_in_a_alone() {
        let circuit = circuit();
        let dense = circuit.challenges[0].index() + 1..circuit.r1cs.num_wires;
        for row in 0..circuit.r1cs.num_constraints() {
            for matrix in [&circuit.r1cs.b, &circuit.r1cs.c] {
                let mut wires = matrix.row(row).map(|(wire, _)| wire as usize);
                assert!(wires.all(|wire| !dense.contains(&wire)));
            }
        }
    }

    #[test]
    fn what_is_no_key_is_rejected_whatever_the_multiplicities() {
        let circuit = circuit();
        for (values, multiplicities) in [
            ([9, 0, 3, 3, 7], [1, 0, 0, 2, 0, 0, 0, 1]),
            ([9, 0, 3, 3, 7], [1, 0, 0, 2, 0, 0, 0, 2]),
            ([-1, 0, 3, 3, 9], [1, 0, 0, 2, 0, 0, 0, 2]),
            // A key of the other table.
            ([9, 0, 3, 3, 40], [1, 0, 0, 2, 0, 0, 0, 2]),
            ([9, 0, 3, 3, 9], [2, 0, 0, 2, 0, 0, 0, 1]),
            ([9, 0, 3, 3, 9], [1, 0, 0, 2, 0, 0, 0, 3]),
            ([9, 0, 3, 3, 9], [0; 8]),
        ] {
            let z = forged(&circuit, values, multiplicities);
            // All that a prover can still compute after the challenge holds; the sum does not.
            assert_eq!(circuit.r1cs.violated(&z), [5 + 8]);
        }
    }

    #[test]
    fn no_wire_can_move() {
        let circuit = circuit();
        let (honest, _) = honest();
        for wire in 1..honest.len() {
            for delta in [Fr::ONE, -Fr::ONE, Fr::from(1_u64 << 40)] {
                let mut mutated = honest.clone();
                mutated[wire] += delta;
                assert!(!circuit.r1cs.is_satisfied_by(&mutated), "wire {wire}");
                if wire < circuit.challenges[0].index() {
                    crate::testing::continue_after_challenge(&circuit, &mut mutated);
                    assert!(!circuit.r1cs.is_satisfied_by(&mutated), "wire {wire}");
                }
            }
        }
    }

    #[test]
    fn each_constraint_is_needed() {
        let circuit = circuit();
        let z = forged(&circuit, [9, 0, 3, 3, 7], [1, 0, 0, 2, 0, 0, 0, 1]);
        let sum = 5 + 8;
        let after = circuit.challenges[0].index() + 1;
        let gap = circuit.r1cs.a.row_times(sum, &z);
        assert_ne!(gap, Fr::ZERO);
        for row in 0..=sum {
            // Without its constraint, a quotient takes up the whole gap and 7 is "in the table".
            let mut accepted = z.clone();
            if row < sum {
                let sign = if row < 5 { Fr::ONE } else { -Fr::ONE };
                accepted[after + row] -= sign * gap;
            }
            assert_eq!(circuit.r1cs.violated(&accepted), [row]);
        }
    }

    #[test]
    fn a_wire_chosen_after_the_challenge_would_forge() {
        // What the commitment is for: a multiplicity chosen late balances any sum.
        let circuit = circuit();
        let mut z = forged(&circuit, [9, 0, 3, 3, 7], [1, 0, 0, 2, 0, 0, 0, 1]);
        let sum = 5 + 8;
        let challenge = circuit.challenges[0].index();
        let gap = circuit.r1cs.a.row_times(sum, &z);
        let entry = challenge + 1 + 5;
        z[entry] += gap;
        let pole = z[challenge] - Fr::from(KEYS[0]);
        z[1 + 6] += gap * pole;
        assert_eq!(circuit.r1cs.violated(&z), [0_usize; 0]);
        // Drawn from what is committed to, the challenge is another one.
        crate::testing::continue_after_challenge(&circuit, &mut z);
        assert_eq!(circuit.r1cs.violated(&z), [sum]);
    }

    /// Gives one challenge, whatever is committed to.
    struct Fixed(Fr);

    impl crate::Challenger for Fixed {
        fn challenge(&mut self, _public: &[Fr], _committed: &[Fr]) -> Result<Fr, LowerError> {
            Ok(self.0)
        }
    }

    #[test]
    fn a_challenge_at_a_pole_has_no_witness() {
        for (challenge, pole) in [(6, true), (9, true), (7, true), (8, false)] {
            let mut challenger = Fixed(Fr::from(challenge));
            let mut cx = Lowering::witness(Backend::Committed, &[], &mut challenger).unwrap();
            let table = LookupTable::new(KEYS.to_vec()).unwrap();
            let other = LookupTable::new(vec![7]).unwrap();
            let value = Num::constant(&cx, 9);
            cx.lookup("value", &table, &value).unwrap();
            let value = Num::constant(&cx, 7);
            cx.lookup("value", &other, &value).unwrap();
            let closed = cx.close();
            let code = closed.err().map(|e| e.code());
            assert_eq!(code, pole.then_some("challenge-pole"), "{challenge}");
        }
    }

    #[test]
    fn ranges_become_lookups_and_bits() {
        for widths in [None, Some(vec![3]), Some(vec![2, 4])] {
            let build = |cx: &mut Lowering<'_>, value: i64| {
                cx.force(Forced {
                    widths: widths.clone(),
                    ..Forced::default()
                });
                let wire = cx.hint("value", || Fr::from(value))?;
                let x = Num::claimed(cx, wire, value, 0, 1 << 40);
                cx.range("range", &x, 7)?;
                cx.close()
            };
            let mut cx = Lowering::shape(Backend::Committed, 0).unwrap();
            build(&mut cx, 0).unwrap();
            let circuit = cx.into_circuit(0, Vec::new()).unwrap();
            for value in [0, 1, 63, 64, 100, 127] {
                let mut transcript = Transcript::default();
                let mut cx = Lowering::witness(Backend::Committed, &[], &mut transcript).unwrap();
                build(&mut cx, value).unwrap();
                let mut z = cx.into_assignment().unwrap();
                assert_eq!(circuit.r1cs.violated(&z), [0_usize; 0]);
                // Out of range by the lowest limb, with everything after it recomputed.
                for wrong in [128 + value, -1 - value] {
                    z[1] = Fr::from(wrong);
                    crate::testing::continue_after_challenge(&circuit, &mut z);
                    assert!(!circuit.r1cs.is_satisfied_by(&z), "{value} {widths:?}");
                }
            }
            for value in [-1, 128] {
                let mut transcript = Transcript::default();
                let mut cx = Lowering::witness(Backend::Committed, &[], &mut transcript).unwrap();
                let refused = build(&mut cx, value).unwrap_err();
                assert_eq!(refused.code(), "witness-outside-interval");
            }
        }
    }

    #[test]
    fn equal_tables_are_one() {
        let mut cx = Lowering::shape(Backend::Committed, 0).unwrap();
        for _ in 0..3 {
            let table = LookupTable::new(KEYS.to_vec()).unwrap();
            let value = Num::constant(&cx, 9);
            cx.lookup("value", &table, &value).unwrap();
            cx.lookup("value", &table.clone(), &value).unwrap();
        }
        cx.close().unwrap();
        let circuit = cx.into_circuit(0, Vec::new()).unwrap();
        assert_eq!(circuit.r1cs.num_constraints(), 6 + 8 + 1);
    }

    #[test]
    fn rows_carry_the_path_of_what_asked() {
        let mut cx = Lowering::shape(Backend::Committed, 0).unwrap();
        let before = cx.num_scopes();
        cx.scoped(
            || "conv".to_owned(),
            |cx| {
                let wire = cx.hint("x", || Fr::ZERO)?;
                let x = Num::claimed(cx, wire, 0, 0, 3);
                cx.range("range", &x, 2)
            },
        )
        .unwrap();
        let after = cx.num_scopes();
        cx.close().unwrap();
        let circuit = cx.into_circuit(0, Vec::new()).unwrap();
        assert_eq!(circuit.labels.constraints_in(before..after), 2);
        assert_eq!(circuit.labels.constraint(0), "conv/range[0]");
    }

    #[test]
    fn refusals() {
        let table = LookupTable::new(KEYS.to_vec()).unwrap();
        let mut no_challenge = NoChallenge;
        let mut plain = Lowering::witness(Backend::Plain, &[], &mut no_challenge).unwrap();
        let seven = Num::constant(&plain, 7);
        let refused = plain.lookup("value", &table, &seven).unwrap_err();
        assert_eq!(refused.code(), "no-challenge");
        let refused = plain.range("value", &seven, 3).unwrap_err();
        assert_eq!(refused.code(), "no-challenge");
        plain.close().unwrap();

        let mut transcript = Transcript::default();
        let mut cx = Lowering::witness(Backend::Committed, &[], &mut transcript).unwrap();
        let refused = cx.lookup("value", &table, &seven).unwrap_err();
        assert_eq!(refused.code(), "witness-outside-table");
        let refused = cx.lookup_shifted("value", &table, &seven, 1).unwrap_err();
        assert_eq!(refused.code(), "witness-outside-table");
        assert!(cx.range("value", &seven, 63).is_err());

        let mut cx = Lowering::shape(Backend::Committed, 1).unwrap();
        let nine = Num::constant(&cx, 9);
        cx.lookup("value", &table, &nine).unwrap();
        cx.close().unwrap();
        assert_eq!(cx.close().unwrap_err().code(), "second-commitment");
        let code = "circuit-closed";
        assert_eq!(cx.hint("late", || Fr::ZERO).unwrap_err().code(), code);
        let late = cx.lookup("late", &table, &nine).unwrap_err();
        assert_eq!(late.code(), code);
        assert_eq!(cx.range("late", &nine, 4).unwrap_err().code(), code);
        assert!(cx.into_circuit(0, Vec::new()).is_some());

        let mut open = Lowering::shape(Backend::Committed, 1).unwrap();
        open.lookup("value", &table, &nine).unwrap();
        assert!(open.into_circuit(0, Vec::new()).is_none());
    }
}

//! Encoding 1 with the committed backend: `clamp(x >> k, 0, 255)` by lookups.
//!
//! Two forms, chosen for the whole circuit when all requests are known ([`prove_all`]):
//!
//! * **pair**: `x = low + 2^k·q`, and the pair `(q, y)` lies in the table of the clamp. Three
//!   lookups (`low`, `y`, the pair) and a table of as many entries as `q` has values;
//! * **wide**: `x = low + 2^k·q0 + 2^(k+8)·q1` with a byte `q0`, and the pair of `q1` and its sign
//!   lies in a table 256 times smaller. Three lookups and up to three rows.

use std::collections::BTreeMap;

use ark_bn254::Fr;

use crate::error::LowerError;
use crate::limbs::enforce_boolean;
use crate::logup::requests::{Kept, Label};
use crate::logup::table::{LookupTable, MAX_KEYS, Packing};
use crate::logup::widths::price;
use crate::lowering::Lowering;
use crate::num::Num;

/// A clamp whose proof is put off: `y = clamp(rest / 2^k, 0, 255)`, where `rest = x − low` and
/// `0 ≤ low < 2^k` is asked for already.
#[derive(Debug)]
pub(crate) struct Clamp {
    label: Label,
    rest: Kept,
    k: u32,
    y: Num,
    /// That of `x >> k`.
    q: Interval,
}

/// Bits of an interval's length.
const fn bits(lo: i64, hi: i64) -> u32 {
    64 - (hi - lo).leading_zeros()
}

/// Whether `x` in this interval can be clamped here. Where its interval or the shift is beyond what
/// a table is for, limbs do.
pub(super) const fn fits(lo: i64, hi: i64, k: u32) -> bool {
    // A wide key is 2^(k+8) · (q1 + stride · class), the class at most 2 and the stride at most
    // two intervals long: below 2^(36 + 8 + 13 + 3).
    k <= 36 && bits(lo >> (k + 8), hi >> (k + 8)) <= 12
}

/// `clamp(x >> k, 0, 255)`, by lookups. Returns a number in `0 ..= 255`.
///
/// # Soundness
/// Where the interval says that nothing is clamped, `x = low + 2^k·y` with both ranges proven, so
/// that `y` is `x >> k`. Otherwise see [`pair`] and [`wide`].
pub(super) fn clamped_shift(cx: &mut Lowering<'_>, x: &Num, k: u32) -> Result<Num, LowerError> {
    let (lo, hi) = (x.lo() >> k, x.hi() >> k);
    let value = (x.value() >> k).clamp(0, 255);
    if lo >= 0 && hi <= 255 {
        if k == 0 {
            return Ok(x.clone());
        }
        // Constrained by the two ranges.
        let wire = cx.hint("requantize-output", || Fr::from(value))?;
        let y = Num::claimed(cx, wire, value, lo, hi);
        let low = Num::linear(cx, [(1, x), (-(1 << k), &y)], 0)?;
        cx.range("requantize-low", &low, k)?;
        cx.range("requantize-output", &y, bits(0, hi))?;
        return Ok(y);
    }
    let rest = if k == 0 {
        x.clone()
    } else {
        let low = x.value() & ((1 << k) - 1);
        // Constrained by its range here, and by what is proven of the rest.
        let wire = cx.hint("requantize-low", || Fr::from(low))?;
        let low = Num::claimed(cx, wire, low, 0, (1 << k) - 1);
        cx.range("requantize-low", &low, k)?;
        Num::linear(cx, [(1, x), (-1, &low)], 0)?
    };
    // Constrained when the phase ends, to be the clamp of rest / 2^k.
    let wire = cx.hint("requantize-output", || Fr::from(value))?;
    let y = Num::claimed(cx, wire, value, lo.clamp(0, 255), hi.clamp(0, 255));
    let label = cx.label("requantize-clamp");
    let rest = cx.requests.keep(rest)?;
    cx.requests.clamps.push(Clamp {
        label,
        rest,
        k,
        y: y.clone(),
        q: Interval { lo, hi },
    });
    Ok(y)
}

/// Proves all clamps that were put off.
pub(crate) fn prove_all(cx: &mut Lowering<'_>) -> Result<(), LowerError> {
    let clamps = core::mem::take(&mut cx.requests.clamps);
    let forms = Forms::choose(&clamps, cx.forced_pairs());
    let pairs = forms.pairs.map(Interval::clamp_table).transpose()?;
    let classes = forms.classes.map(Interval::class_table).transpose()?;
    for clamp in clamps {
        let rest = cx.requests.release(clamp.rest);
        let (k, y, q) = (clamp.k, clamp.y, clamp.q);
        cx.relabelled(clamp.label, |cx, _| match (&pairs, &classes) {
            (Some((table, all)), _) if forms.paired(q, k) => {
                pair(cx, &rest, k, &y, (table, all.packing()))
            }
            (_, Some((table, all))) => wide(cx, &rest, k, &y, q, (table, all.packing())),
            _ => Err(LowerError::Encoding {
                path: cx.path("requantize-clamp"),
                reason: "a clamp has no form".to_owned(),
            }),
        })?;
    }
    Ok(())
}

/// Integers between two ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Interval {
    lo: i64,
    hi: i64,
}

impl Interval {
    const fn len(self) -> u64 {
        (self.hi - self.lo + 1).unsigned_abs()
    }

    fn union(self, other: Self) -> Self {
        Self {
            lo: self.lo.min(other.lo),
            hi: self.hi.max(other.hi),
        }
    }

    /// Without the lowest byte.
    const fn high(self) -> Self {
        Self {
            lo: self.lo >> 8,
            hi: self.hi >> 8,
        }
    }

    const fn packing(self) -> Packing {
        Packing::of(self.lo, self.hi)
    }

    /// Pairs `(q, clamp(q, 0, 255))`.
    fn clamp_table(self) -> Result<(LookupTable, Self), LowerError> {
        let pairs = (self.lo..=self.hi).map(|q| (q, q.clamp(0, 255)));
        Ok((LookupTable::pairs(pairs, self.packing().stride)?, self))
    }

    /// Pairs of `q1` and 0 where it is negative, 1 where it is 0, 2 where it is positive.
    fn class_table(self) -> Result<(LookupTable, Self), LowerError> {
        let pairs = (self.lo..=self.hi).map(|q1| (q1, q1.signum() + 1));
        Ok((LookupTable::pairs(pairs, self.packing().stride)?, self))
    }
}

/// Which clamps are proven by pairs, and the intervals of the two tables.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Forms {
    /// Longest interval that goes by pairs.
    longest: u64,
    pairs: Option<Interval>,
    classes: Option<Interval>,
}

/// Largest shift of a pair: its key is below 2^(30 + 20 + 8 + 2).
const PAIR_SHIFT: u32 = 30;

impl Forms {
    const fn paired(&self, q: Interval, k: u32) -> bool {
        k <= PAIR_SHIFT && q.len() <= self.longest
    }

    /// The cheapest split by length of the interval: what a wide form costs more than a pair
    /// against what the pairs' table costs. Depends on intervals only, which are the same in both
    /// modes.
    fn choose(clamps: &[Clamp], forced: Option<bool>) -> Self {
        let mut counts: BTreeMap<(u64, Interval), u64> = BTreeMap::new();
        let mut classes: Option<Interval> = None;
        let add = |of: Option<Interval>, q: Interval| Some(of.map_or(q, |all| all.union(q)));
        for clamp in clamps {
            if clamp.k <= PAIR_SHIFT {
                *counts.entry((clamp.q.len(), clamp.q)).or_default() += 1;
            } else {
                classes = add(classes, clamp.q.high());
            }
        }
        let ordered: Vec<((u64, Interval), u64)> = counts.into_iter().collect();
        // What the wide form needs for the clamps from each place on.
        let mut wide = vec![(classes, 0)];
        for ((_, q), count) in ordered.iter().rev() {
            let (classes, cost) = wide.last().copied().unwrap_or_default();
            wide.push((add(classes, q.high()), cost + count * WIDE_EXTRA));
        }
        wide.reverse();
        let table = |of: Option<Interval>| of.map_or(0, |i| i.len() * price::ENTRY + price::ROW);
        let mut best: Option<(u64, Self)> = None;
        let mut pairs = None;
        let mut longest = 0;
        for (at, &(classes, cost)) in wide.iter().enumerate() {
            let whole = ordered.get(at).is_none_or(|((len, _), _)| *len > longest);
            let cost = cost + table(pairs) + table(classes);
            // Tests want as many pairs as fit a small table, or none.
            let (rank, most) = match forced {
                None => (cost, MAX_KEYS as u64),
                Some(true) => (u64::MAX - at as u64, 1 << 12),
                Some(false) => (at as u64, 0),
            };
            let room = pairs.is_none_or(|all: Interval| all.len() <= most);
            if whole && room && best.as_ref().is_none_or(|(least, _)| rank < *least) {
                let forms = Self {
                    longest,
                    pairs,
                    classes,
                };
                best = Some((rank, forms));
            }
            if let Some(((len, q), _)) = ordered.get(at) {
                pairs = add(pairs, *q);
                longest = *len;
            }
        }
        // The first place, with no pair, has room always.
        let none = Self {
            longest: 0,
            pairs: None,
            classes,
        };
        best.map_or(none, |(_, forms)| forms)
    }
}

/// What a wide form costs more than a pair: two booleans, a product, their wires.
const WIDE_EXTRA: u64 = 3 * (price::ROW + price::SMALL);

/// # Soundness
/// Let `q = x >> k`, in the table's interval `Q` of `n` values, and `low` the wire with
/// `0 ≤ low < 2^k` in `rest = x − low`. The looked-up `rest/2^k + n·y` is an entry
/// `q' + n·clamp(q')`, so `x − low − 2^k·q' = 2^k·n·(clamp(q') − y)` in the field. `y` is proven
/// to be a byte, so both sides are integers below 2^62 and the equation holds for integers. On the
/// left, `(x − low)/2^k` lies strictly between `min Q − 1` and `max Q + 1`, so that the left side is
/// smaller than `2^k·n` in size: both sides are 0. Hence `x = low + 2^k·q'`, so `q' = q` by the
/// range of `low`, and `y = clamp(q)`.
fn pair(
    cx: &mut Lowering<'_>,
    rest: &Num,
    k: u32,
    y: &Num,
    (table, packing): (&LookupTable, Packing),
) -> Result<(), LowerError> {
    cx.range("requantize-output", y, 8)?;
    let key = Num::linear(cx, [(1, rest), (packing.stride << k, y)], 0)?;
    cx.lookup_shifted("requantize-pair", table, &key, k)
}

/// # Soundness
/// With `u = low + 2^k·q0`, `0 ≤ u < 2^(k+8)` by the ranges of `low` and `q0`, and the class `c` a
/// sum of proven bits, the argument of [`pair`] for `k + 8` instead of `k` gives `x = u +
/// 2^(k+8)·q1` and the class of `q1 = x >> (k + 8)`: 0, 1 or 2 for a negative, zero or positive one.
/// With `s` and `o` the bits of `c = s + 2·o`, that fixes both (1 and 2 have one form each, 0 too,
/// 3 is no entry). Where `x` cannot be negative, `s = 1 − o` is one bit less, as the class is at
/// least 1; where it cannot exceed 255·2^k, `o = 0`. `s·q0 = y − 255·o` is the clamp: `q0` where
/// `q1 = 0`, else 0 or 255.
fn wide(
    cx: &mut Lowering<'_>,
    rest: &Num,
    k: u32,
    y: &Num,
    q: Interval,
    (table, packing): (&LookupTable, Packing),
) -> Result<(), LowerError> {
    let quotient = rest.value() >> k;
    let high = quotient >> 8;
    let byte = quotient & 255;
    // Constrained by its range, and by the pair below.
    let wire = cx.hint("requantize-byte", || Fr::from(byte))?;
    let byte = Num::claimed(cx, wire, byte, 0, 255);
    cx.range("requantize-byte", &byte, 8)?;
    let over = if q.hi > 255 {
        boolean(cx, "requantize-over", high > 0)?
    } else {
        Num::constant(cx, 0)
    };
    let inside = if q.lo < 0 {
        boolean(cx, "requantize-inside", high == 0)?
    } else {
        Num::linear(cx, [(-1, &over)], 1)?
    };
    let scale = packing.stride << (k + 8);
    let key = Num::linear(
        cx,
        [
            (1, rest),
            (-(1 << k), &byte),
            (scale, &inside),
            (2 * scale, &over),
        ],
        0,
    )?;
    cx.lookup_shifted("requantize-class", table, &key, k + 8)?;
    let output = Num::linear(cx, [(1, y), (-255, &over)], 0)?;
    cx.enforce(
        "requantize-output",
        inside.into_lc(),
        byte.into_lc(),
        output.into_lc(),
    )
}

/// A bit of the prover's choice.
fn boolean(cx: &mut Lowering<'_>, step: &'static str, set: bool) -> Result<Num, LowerError> {
    let value = i64::from(set);
    // Constrained by the next line to be a bit.
    let wire = cx.hint(step, || Fr::from(value))?;
    let bit = Num::claimed(cx, wire, value, 0, 1);
    enforce_boolean(cx, step, bit.lc())?;
    Ok(bit)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::circuit::{Backend, Circuit};
    use crate::testing::{Setting, Subject};

    /// Some clamps of one interval, each of a combination of many wires.
    fn clamps(count: usize, terms: u32) -> Circuit {
        let mut cx = Lowering::shape(Backend::Committed, terms as usize).unwrap();
        let bits: Vec<Num> = (1..=terms)
            .map(|wire| Num::claimed(&cx, crate::Wire(wire), 0, 0, 1))
            .collect();
        let x = Num::linear(&cx, bits.iter().map(|bit| (1, bit)), 0).unwrap();
        for _ in 0..count {
            // An interval of 1,024 values of x >> 8.
            let x = Num::linear(&cx, [(1 << 11, &x)], -(1 << 16)).unwrap();
            assert_eq!(
                (x.lo() >> 8, x.hi() >> 8),
                (-256, 8 * i64::from(terms) - 256)
            );
            clamped_shift(&mut cx, &x, 8).unwrap();
        }
        cx.close().unwrap();
        cx.into_circuit(0, Vec::new()).unwrap()
    }

    fn rows(circuit: &Circuit, step: &str) -> usize {
        (0..circuit.r1cs.num_constraints())
            .filter(|&row| circuit.labels.constraint_step(row) == Some(step))
            .count()
    }

    #[test]
    fn pairs_pay_by_the_number_of_clamps() {
        let few = clamps(40, 96);
        assert_eq!(rows(&few, "requantize-pair"), 0);
        assert_eq!(rows(&few, "requantize-class"), 40);
        let many = clamps(4000, 96);
        assert_eq!(rows(&many, "requantize-pair"), 4000);
        assert_eq!(rows(&many, "requantize-class"), 0);
        // Three lookups each: low bits, output, pair.
        assert_eq!(rows(&many, "requantize-low"), 4000);
        assert_eq!(rows(&many, "requantize-output"), 4000);
    }

    #[test]
    fn a_long_operand_stands_in_one_row() {
        for count in [3, 3000] {
            let circuit = clamps(count, 96);
            let long: usize = [&circuit.r1cs.a, &circuit.r1cs.b, &circuit.r1cs.c]
                .into_iter()
                .map(|matrix| {
                    (0..matrix.rows())
                        // The sum of all quotients is long too, and comes after the challenge.
                        .filter(|&row| circuit.labels.constraint_step(row) != Some("logup-sum"))
                        .filter(|&row| matrix.row(row).len() > 90)
                        .count()
                })
                .sum();
            assert_eq!(long, count);
        }
    }

    #[test]
    fn forms_are_the_cheapest_and_cover_every_clamp() {
        let forms = |intervals: &[(i64, i64, u32, usize)], forced| {
            let cx = Lowering::shape(Backend::Committed, 0).unwrap();
            let clamps: Vec<Clamp> = intervals
                .iter()
                .flat_map(|&(lo, hi, k, count)| (0..count).map(move |_| (lo, hi, k)))
                .map(|(lo, hi, k)| Clamp {
                    label: (0, "clamp"),
                    rest: crate::logup::requests::Requests::default()
                        .keep(Num::constant(&cx, 0))
                        .unwrap(),
                    k,
                    y: Num::constant(&cx, 0),
                    q: Interval { lo, hi },
                })
                .collect();
            let forms = Forms::choose(&clamps, forced);
            for clamp in &clamps {
                let (all, q) = if forms.paired(clamp.q, clamp.k) {
                    (forms.pairs.unwrap(), clamp.q)
                } else {
                    (forms.classes.unwrap(), clamp.q.high())
                };
                assert!(all.lo <= q.lo && q.hi <= all.hi);
            }
            forms.longest
        };
        // Short intervals pay for their table, the long ones of few clamps do not.
        let mixed = [(-300, 600, 8, 5000), (-9000, 9000, 8, 20)];
        assert_eq!(forms(&mixed, None), 901);
        assert_eq!(forms(&mixed, Some(false)), 0);
        assert_eq!(forms(&[(-300, 600, 8, 5)], None), 0);
        assert_eq!(forms(&[(-300, 600, 8, 5)], Some(true)), 901);
        // A shift beyond the pairs' goes by classes, whatever is asked for.
        assert_eq!(forms(&[(-300, 600, 33, 5000)], Some(true)), 0);
        assert_eq!(forms(&[], None), 0);
    }

    /// The tables reach farther than the interval of any one of the clamps: the strides are the
    /// tables', and each shift divides its own key.
    #[test]
    fn clamps_of_other_shifts_and_intervals_share_tables() {
        let of = [((-300, 511), 0), ((-900, 2100), 2), ((-5, 1100), 1)];
        let build = |cx: &mut Lowering<'_>, x: &[Num]| {
            let clamps = x.iter().zip(of);
            clamps
                .map(|(x, (_, k))| Ok(clamped_shift(cx, x, k)?.to_signal(cx)))
                .collect()
        };
        let expected = |x: &[i64]| {
            let clamps = x.iter().zip(of);
            Some(
                clamps
                    .map(|(x, (_, k))| Fr::from((x >> k).clamp(0, 255)))
                    .collect(),
            )
        };
        let mut subject = Subject::new("clamps", &of.map(|(x, _)| x), &build, &expected);
        subject.settings = vec![
            Setting::with_tables("pairs", &[8, 2], true),
            Setting::with_tables("classes", &[8, 2], false),
        ];
        for (setting, step) in [(0, "requantize-pair"), (1, "requantize-class")] {
            let steps = subject.steps_in(&subject.settings[setting]).unwrap();
            assert_eq!(steps.get(step), Some(&of.len()));
        }
        for point in [
            of.map(|((lo, _), _)| lo),
            of.map(|((_, hi), _)| hi),
            of.map(|(_, k)| (256 << k) - 1),
            of.map(|(_, k)| 256 << k),
            [-1; 3],
            [-257, 3, 1],
        ] {
            let point = vec![point.to_vec()];
            subject.check_honest(&point).unwrap();
            assert_eq!(subject.check_all_solutions(&point).unwrap(), 1);
        }
    }
}

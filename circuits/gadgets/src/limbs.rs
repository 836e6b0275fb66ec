//! The range service: splitting an integer into limbs whose ranges are proven.
//!
//! With the plain backend a limb is made of bits, each with a booleanity constraint; with the
//! committed one it is one wire whose range is looked up ([`Lowering::range`]). Gadgets ask for
//! limbs and never for bits.

use ark_bn254::Fr;
use ark_ff::{AdditiveGroup, Field, One};

use crate::circuit::Backend;
use crate::error::LowerError;
use crate::lc::{Lc, Wire};
use crate::logup::unproven;
use crate::lowering::Lowering;
use crate::num::{Num, enforce_equal};

/// Up to this many terms the lowest bit is derived (no wire and no equality constraint, but the
/// linear combination stands in A and in B); above it the bit gets a wire and the combination
/// stands once, in an equality constraint.
pub const DERIVE_UP_TO: u32 = 40;

/// Most bits of one decomposition: sums of 62 bits and every [`Num`] stay below 2^63, far from the
/// field order, so that equal field elements are equal integers.
const MAX_BITS: u32 = 62;

/// Splits `x` (`0 ≤ x < 2^Σwidths` by its proven interval) into limbs of the given widths, least
/// significant first; the limbs' ranges `0 ..= 2^width − 1` are proven and their weighted sum is
/// `x`. `Σwidths` constraints, or one more when `x` has more than [`DERIVE_UP_TO`] terms; none
/// where at most one width is not 0.
///
/// # Soundness
/// Each bit is boolean. The bits' weighted sum equals `x` as a field element: by definition of
/// the derived bit, or by the equality constraint. Both sides are integers below 2^63, so they are
/// equal as integers and the bits are unique.
///
/// # Errors
/// [`LowerError::IntervalUnfit`] when the interval of `x` does not fit.
pub fn limbs(
    cx: &mut Lowering<'_>,
    step: &'static str,
    x: &Num,
    widths: &[u32],
) -> Result<Vec<Num>, LowerError> {
    let bits = total(widths);
    if bits > MAX_BITS || x.lo() < 0 || x.hi() >= 1_i64 << bits {
        return Err(LowerError::IntervalUnfit {
            path: cx.path(step),
            lo: x.lo(),
            hi: x.hi(),
            bits,
        });
    }
    if bits == 0 {
        // Nothing to constrain: the interval 0 ..= 0 is already proven.
        x.check(cx, step)?;
        return Ok(widths.iter().map(|_| Num::constant(cx, 0)).collect());
    }
    if widths.iter().filter(|&&width| width > 0).count() == 1 {
        // One limb is the number itself, and its range is the interval already proven.
        x.check(cx, step)?;
        return Ok(widths
            .iter()
            .map(|&width| match width {
                0 => Num::constant(cx, 0),
                _ => x.clone(),
            })
            .collect());
    }
    decompose(cx, step, x, widths)
}

/// Proves `0 ≤ x < 2^bits`, whatever interval `x` had before: `bits` constraints, or one more
/// when `x` has more than [`DERIVE_UP_TO`] terms.
///
/// # Soundness
/// As for [`limbs`]: a sum of `bits` bits is `x` as a field element, and `|x| < 2^62` by its
/// interval, so it is `x` as an integer. A negative `x` is a field element near the order, which
/// no sum of at most 62 bits reaches.
///
/// # Errors
/// [`LowerError::IntervalUnfit`] above 62 bits; in witness mode
/// [`LowerError::ValueOutsideInterval`] when the value is outside the range to be proven.
pub fn enforce_range(
    cx: &mut Lowering<'_>,
    step: &'static str,
    x: &Num,
    bits: u32,
) -> Result<(), LowerError> {
    if bits > MAX_BITS {
        return Err(LowerError::IntervalUnfit {
            path: cx.path(step),
            lo: x.lo(),
            hi: x.hi(),
            bits,
        });
    }
    if x.lo() >= 0 && x.hi() < 1_i64 << bits {
        return x.check(cx, step);
    }
    if bits == 0 {
        in_range(cx, step, x.value(), bits)?;
        return enforce_equal(cx, step, x.lc().clone(), Lc::zero());
    }
    decompose(cx, step, x, &[bits]).map(drop)
}

/// Proves `x < 2^bits` for a fresh wire `x` that carries `value`, and returns it with that
/// interval: `bits` constraints (one for `bits = 0`, where the wire must be 0).
///
/// # Soundness
/// The interval is proven by the very bits made here: their weighted sum is the wire, modulo the
/// field order, and lies in `0 ..= 2^bits − 1`.
///
/// # Errors
/// Those of [`enforce_range`].
pub fn ranged_wire(
    cx: &mut Lowering<'_>,
    step: &'static str,
    wire: Wire,
    value: i64,
    bits: u32,
) -> Result<Num, LowerError> {
    if bits > MAX_BITS {
        return Err(LowerError::IntervalUnfit {
            path: cx.path(step),
            lo: value,
            hi: value,
            bits,
        });
    }
    let x = Num::claimed(cx, wire, value, 0, (1_i64 << bits) - 1);
    in_range(cx, step, value, bits)?;
    if bits == 0 {
        enforce_equal(cx, step, x.lc().clone(), Lc::zero())?;
    } else {
        decompose(cx, step, &x, &[bits])?;
    }
    Ok(x)
}

/// Fresh bits of the prover's choice, least significant first, that carry `value`: one constraint
/// each, which says that it is a bit and nothing more.
///
/// # Errors
/// Those of [`enforce_range`].
pub fn fresh_bits(
    cx: &mut Lowering<'_>,
    step: &'static str,
    value: i64,
    bits: u32,
) -> Result<Vec<Num>, LowerError> {
    in_range(cx, step, value, bits.min(MAX_BITS))?;
    (0..bits)
        .map(|position| {
            let bit = value.checked_shr(position).unwrap_or(0) & 1;
            // Constrained on the next line.
            let wire = cx.hint(step, || Fr::from(bit))?;
            enforce_boolean(cx, step, &Lc::wire(wire))?;
            Ok(Num::claimed(cx, wire, bit, 0, 1))
        })
        .collect()
}

/// Constraints of a decomposition for a number with at most (`false`) or more than (`true`)
/// [`DERIVE_UP_TO`] terms.
pub(crate) fn cost(bits: u32, dense: bool) -> usize {
    if bits == 0 {
        0
    } else {
        bits as usize + usize::from(dense)
    }
}

fn total(widths: &[u32]) -> u32 {
    widths.iter().fold(0, |sum, &w| sum.saturating_add(w))
}

fn in_range(cx: &Lowering<'_>, step: &str, value: i64, bits: u32) -> Result<(), LowerError> {
    let hi = (1_i64 << bits) - 1;
    if !cx.emits() && !(0..=hi).contains(&value) {
        return Err(LowerError::ValueOutsideInterval {
            path: cx.path(step),
            value,
            lo: 0,
            hi,
        });
    }
    Ok(())
}

/// The limbs of `x` as wires whose ranges are looked up (committed backend).
///
/// # Soundness
/// Each limb's range is proven: by lookups, or by booleanity where it has one bit. Their weighted
/// sum is `x` as a field element: the lowest limb is defined as what the others leave, so that `x`
/// stands once, in that limb's range; where that one is a bit and `x` is long, it gets a wire and
/// the sum a row. What follows is as for bits.
fn by_lookups(
    cx: &mut Lowering<'_>,
    step: &'static str,
    x: &Num,
    widths: &[u32],
) -> Result<Vec<Num>, LowerError> {
    in_range(cx, step, x.value(), total(widths))?;
    let lowest = widths.iter().position(|&w| w > 0).unwrap_or_default();
    let derive = widths
        .get(lowest)
        .is_some_and(|&w| w > 1 || x.weight() <= DERIVE_UP_TO);
    let mut out: Vec<Num> = Vec::with_capacity(widths.len());
    let mut rest = x.lc().clone();
    let mut others = 0;
    let mut from = 0;
    for (at, &width) in widths.iter().enumerate() {
        let hi = (1_i64 << width) - 1;
        let value = (x.value() >> from) & hi;
        if width == 0 {
            out.push(Num::constant(cx, 0));
        } else if at == lowest && derive {
            // Its combination follows when the others are there.
            out.push(Num::from_limb(Lc::zero(), value, 0, hi));
        } else {
            // Constrained by the next lines.
            let wire = cx.hint(step, || Fr::from(value))?;
            let limb = Num::claimed(cx, wire, value, 0, hi);
            if cx.emits() {
                rest.push(wire, -power_of_two(from));
            }
            if width == 1 {
                enforce_boolean(cx, step, limb.lc())?;
            } else {
                cx.range(step, &limb, width)?;
            }
            others += 1;
            out.push(limb);
        }
        from += width;
    }
    if !derive {
        enforce_equal(cx, step, rest, Lc::zero())?;
        return Ok(out);
    }
    let (Some(slot), Some(&width)) = (out.get_mut(lowest), widths.get(lowest)) else {
        return Err(unproven(cx, step, total(widths)));
    };
    let limb = Num::from_limb(rest.normalised(), slot.value(), 0, slot.hi())
        .with_weight(x.weight().saturating_add(others));
    *slot = limb.clone();
    if width == 1 {
        enforce_boolean(cx, step, limb.lc())?;
    } else {
        cx.range(step, &limb, width)?;
    }
    Ok(out)
}

/// The limbs of `x`, in the backend's way.
fn decompose(
    cx: &mut Lowering<'_>,
    step: &'static str,
    x: &Num,
    widths: &[u32],
) -> Result<Vec<Num>, LowerError> {
    if cx.backend() == Backend::Committed && widths.iter().any(|&width| width > 1) {
        by_lookups(cx, step, x, widths)
    } else {
        by_bits(cx, step, x, widths)
    }
}

/// The bits of `x`: between 1 and [`MAX_BITS`] of them. What is proven does not depend on the
/// interval of `x`; that a sum of bits is `x` *as an integer* does (see the callers).
fn by_bits(
    cx: &mut Lowering<'_>,
    step: &'static str,
    x: &Num,
    widths: &[u32],
) -> Result<Vec<Num>, LowerError> {
    let bits = total(widths);
    in_range(cx, step, x.value(), bits)?;
    let derive = x.weight() <= DERIVE_UP_TO;
    let mut wires = Vec::with_capacity(bits as usize);
    for position in u32::from(derive)..bits {
        let set = (x.value() >> position) & 1 == 1;
        // Constrained: boolean on the next line, tied to `x` below.
        let bit = cx.hint(step, || if set { Fr::ONE } else { Fr::ZERO })?;
        enforce_boolean(cx, step, &Lc::wire(bit))?;
        wires.push((position, bit));
    }
    let mut low_bit = Lc::zero();
    if cx.emits() {
        let mut rest = x.lc().clone();
        for &(position, bit) in &wires {
            rest.push(bit, -power_of_two(position));
        }
        let rest = rest.normalised();
        if derive {
            low_bit = rest;
            enforce_boolean(cx, step, &low_bit)?;
        } else {
            enforce_equal(cx, step, rest, Lc::zero())?;
        }
    }

    let mut from = 0;
    let mut out = Vec::with_capacity(widths.len());
    for &width in widths {
        let mask = (1_i64 << width) - 1;
        let value = (x.value() >> from) & mask;
        out.push(if cx.emits() {
            let mut lc = Lc::zero();
            if derive && from == 0 && width > 0 {
                lc.accumulate(Fr::one(), &low_bit);
            }
            for &(position, bit) in wires
                .iter()
                .filter(|(p, _)| (from..from + width).contains(p))
            {
                lc.push(bit, power_of_two(position - from));
            }
            // Proven by the booleanity of its bits.
            Num::from_limb(lc, 0, 0, mask)
        } else {
            Num::from_limb(Lc::zero(), value, 0, mask)
        });
        from += width;
    }
    // The lowest limb's combination is as long as that of `x` when its bit is derived.
    if derive
        && let Some(at) = widths.iter().position(|&width| width > 0)
        && let Some(lowest) = out.get_mut(at)
    {
        *lowest = lowest.clone().with_weight(bits + x.weight());
    }
    Ok(out)
}

pub(crate) fn enforce_boolean(
    cx: &mut Lowering<'_>,
    step: &'static str,
    bit: &Lc,
) -> Result<(), LowerError> {
    if !cx.emits() {
        return Ok(());
    }
    cx.enforce(
        step,
        bit.clone(),
        Lc::constant(-Fr::ONE).add_scaled(Fr::ONE, bit),
        Lc::zero(),
    )
}

fn power_of_two(exponent: u32) -> Fr {
    Fr::from(1_u64 << exponent)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::num::Signal;
    use crate::testing::Subject;

    fn signals(cx: &Lowering<'_>, nums: &[Num]) -> Vec<Signal> {
        nums.iter().map(|n| n.to_signal(cx)).collect()
    }

    /// `x` with as many terms as it takes to make the explicit form be chosen.
    fn dense(cx: &Lowering<'_>, x: &Num) -> Num {
        Num::linear(cx, [(1, x)], 0)
            .unwrap()
            .with_weight(DERIVE_UP_TO + 1)
    }

    fn expected_limbs(widths: &'static [u32]) -> impl Fn(&[i64]) -> Option<Vec<Fr>> {
        move |inputs| {
            let mut rest = inputs[0];
            Some(
                widths
                    .iter()
                    .map(|w| {
                        let limb = rest & ((1 << w) - 1);
                        rest >>= w;
                        Fr::from(limb)
                    })
                    .collect(),
            )
        }
    }

    #[test]
    fn limbs_are_sound_in_both_forms() {
        const WIDTHS: &[u32] = &[2, 3, 0, 1];
        for explicit in [false, true] {
            let build = |cx: &mut Lowering<'_>, x: &[Num]| {
                let x = if explicit {
                    dense(cx, &x[0])
                } else {
                    x[0].clone()
                };
                let parts = limbs(cx, "limbs", &x, WIDTHS)?;
                Ok(signals(cx, &parts))
            };
            let expected = expected_limbs(WIDTHS);
            let subject = Subject::new("limbs", &[(0, 63)], &build, &expected);
            assert_eq!(subject.constraints().unwrap(), cost(6, explicit));
            let points: Vec<Vec<i64>> = (0..64).map(|x| vec![x]).collect();
            subject.check(&points).unwrap();
            assert_eq!(subject.check_all_solutions(&points).unwrap(), 64);
        }
    }

    #[test]
    fn the_order_less_one_has_no_bits() {
        // p − 1 as an input wire: no assignment at all, since bits reach 2^width − 1 only.
        for explicit in [false, true] {
            let build = |cx: &mut Lowering<'_>, x: &[Num]| {
                let x = if explicit {
                    dense(cx, &x[0])
                } else {
                    x[0].clone()
                };
                enforce_range(cx, "range", &x, 5)?;
                Ok(Vec::new())
            };
            let expected = |v: &[i64]| (0..32).contains(&v[0]).then(Vec::new);
            let subject = Subject::new("enforce-range", &[(-3, 40)], &build, &expected);
            let points: Vec<Vec<i64>> = (-3..=40).map(|x| vec![x]).collect();
            subject.check_honest(&points).unwrap();
            assert_eq!(subject.check_all_solutions(&points).unwrap(), 32);
        }
    }

    #[test]
    fn a_ranged_wire_proves_its_range() {
        for bits in [0, 1, 2, 5] {
            let build = |cx: &mut Lowering<'_>, x: &[Num]| {
                let x = ranged_wire(cx, "range", Wire(1), x[0].value(), bits)?;
                Ok(vec![x.to_signal(cx)])
            };
            let hi = (1_i64 << bits) - 1;
            let expected = |v: &[i64]| Some(vec![Fr::from(v[0])]);
            let subject = Subject {
                proves_inputs: true,
                ..Subject::new("ranged-wire", &[(0, hi)], &build, &expected)
            };
            assert_eq!(subject.constraints().unwrap(), (bits as usize).max(1));
            let inside: Vec<Vec<i64>> = (0..=hi).map(|x| vec![x]).collect();
            subject.check_honest(&inside).unwrap();
            subject.check_mutations(&inside).unwrap();
            subject.check_rank(&inside).unwrap();
            subject.check_removals(&inside).unwrap();

            let refuses = |v: &[i64]| (0..=hi).contains(&v[0]).then(|| vec![Fr::from(v[0])]);
            let outside = Subject::new("ranged-wire", &[(-5, 70)], &build, &refuses);
            let all: Vec<Vec<i64>> = (-5..=70).map(|x| vec![x]).collect();
            outside.check_honest(&all).unwrap();
            assert_eq!(
                outside.check_all_solutions(&all).unwrap(),
                usize::try_from(hi + 1).unwrap()
            );
        }
    }

    #[test]
    fn refuses_what_does_not_fit() {
        let cx = &mut Lowering::shape(Backend::Plain, 1).unwrap();
        let x = Num::claimed(cx, Wire(1), 0, 0, 64);
        assert_eq!(
            limbs(cx, "x", &x, &[6]).unwrap_err().code(),
            "interval-too-wide"
        );
        let x = Num::claimed(cx, Wire(1), 0, -1, 3);
        assert!(limbs(cx, "x", &x, &[6]).is_err());
        assert!(limbs(cx, "x", &x, &[u32::MAX, 1]).is_err());
        assert!(enforce_range(cx, "x", &x, 63).is_err());
        assert!(ranged_wire(cx, "x", Wire(1), 0, 64).is_err());
    }
}

//! The range service: splitting an integer into limbs whose ranges are proven.
//!
//! With the plain backend a limb is made of bits, each with a booleanity constraint. Gadgets ask
//! for limbs and never for bits, so that another backend can prove the same ranges by lookups.

use ark_bn254::Fr;
use ark_ff::{AdditiveGroup, Field, One};

use crate::error::LowerError;
use crate::lc::{Lc, Wire};
use crate::lowering::Lowering;
use crate::num::{Num, enforce_equal};

/// Up to this many terms the lowest bit is derived (no wire and no equality constraint, but the
/// linear combination stands in A and in B); above it the bit gets a wire and the combination
/// stands once, in an equality constraint.
const DERIVE_UP_TO: u32 = 40;

/// Splits `x` (`0 ≤ x < 2^Σwidths` by its proven interval) into limbs of the given widths, least
/// significant first; the limbs' ranges `0 ..= 2^width − 1` are proven and their weighted sum is
/// `x`. `Σwidths` constraints, or one more when `x` has many terms.
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
    let bits: u32 = widths.iter().sum();
    if bits > 62 || x.lo() < 0 || x.hi() >= 1_i64 << bits {
        return Err(LowerError::IntervalUnfit {
            path: cx.path(step),
            lo: x.lo(),
            hi: x.hi(),
            bits,
        });
    }
    x.check(cx, step)?;
    if bits == 0 {
        return Ok(widths.iter().map(|_| Num::constant(cx, 0)).collect());
    }

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

/// Proves `x < 2^bits` for a fresh wire `x` that carries `value`, and returns it with that
/// interval: `bits` constraints.
///
/// # Errors
/// Those of [`limbs`].
pub fn ranged_wire(
    cx: &mut Lowering<'_>,
    step: &'static str,
    wire: Wire,
    value: i64,
    bits: u32,
) -> Result<Num, LowerError> {
    // The interval claimed here is proven by the very bits made next: their weighted sum is the
    // wire, modulo the field order, and lies in 0 ..= 2^bits − 1.
    let x = Num::claimed(cx, wire, value, 0, (1_i64 << bits) - 1);
    limbs(cx, step, &x, &[bits])?;
    Ok(x)
}

fn enforce_boolean(cx: &mut Lowering<'_>, step: &'static str, bit: &Lc) -> Result<(), LowerError> {
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

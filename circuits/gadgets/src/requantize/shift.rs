//! Encoding 1: `clamp((x >> k), 0, 255)` for an integer `x` of any sign.

use ark_bn254::Fr;
use ark_ff::{AdditiveGroup, Field};

use crate::error::LowerError;
use crate::limbs::limbs;
use crate::lowering::Lowering;
use crate::num::Num;

/// `clamp(x >> k, 0, 255)` (arithmetic shift, rounding towards −∞): the interval's bits and at
/// most 4 constraints. Returns a number in `0 ..= 255`.
///
/// # Soundness
/// `x` is written as limbs `low (k bits) | body (8) | over (rest) | sign`, proven ranges all. With
/// `s` the bit "x ≥ 0" and `S` the value of `over`:
///
/// * `(s − o) · S = 0` and `S · i = o` force `o = s·[S ≠ 0]`: where `S = 0` the second gives
///   `o = 0`; where `S ≠ 0` the first gives `o = s`. The inverse hint `i` is free where `S = 0`:
///   it multiplies 0 and stands nowhere else.
/// * `(s − o) · body = y − 255·o` then fixes `y`: 255 above, `body` inside, 0 below.
///
/// # Errors
/// Those of [`limbs`].
pub fn clamped_shift(cx: &mut Lowering<'_>, x: &Num, k: u32) -> Result<Num, LowerError> {
    let clamp = |v: i64| (v >> k).clamp(0, 255);
    let (lo, hi) = (clamp(x.lo()), clamp(x.hi()));
    if lo == hi {
        return Ok(Num::constant(cx, lo));
    }
    x.check(cx, "requantize")?;
    let value = clamp(x.value());

    // Bits of the magnitude part: 0 ≤ x + 2^n < 2^(n+1), or 0 ≤ x < 2^n when x is never negative.
    let signed = x.lo() < 0;
    let magnitude = if signed {
        x.hi().max(-(x.lo() + 1))
    } else {
        x.hi()
    };
    let n = (64 - magnitude.leading_zeros()).max(k);
    let body_bits = (n - k).min(8);
    let over_bits = n - k - body_bits;
    let shifted = if signed {
        x.plus(cx, 1 << n)?
    } else {
        x.clone()
    };
    let parts = limbs(
        cx,
        "requantize-limbs",
        &shifted,
        &[k, body_bits, over_bits, u32::from(signed)],
    )?;
    let [_, body, over, sign] = parts.as_slice() else {
        return Err(LowerError::Encoding {
            path: cx.path("requantize"),
            reason: "limbs are four".to_owned(),
        });
    };
    let sign = if signed {
        sign.clone()
    } else {
        Num::constant(cx, 1)
    };

    // o = sign · [over ≠ 0]
    let o_value = sign.value() * i64::from(over.value() != 0);
    let overflow = if over_bits == 0 {
        Num::constant(cx, 0)
    } else if !signed && over_bits == 1 {
        over.clone()
    } else if over_bits == 1 {
        // Constrained by the product.
        let wire = cx.hint("requantize-overflow", || Fr::from(o_value))?;
        let o = Num::claimed(cx, wire, o_value, 0, 1);
        cx.enforce(
            "requantize-overflow",
            sign.lc().clone(),
            over.lc().clone(),
            o.lc().clone(),
        )?;
        o
    } else {
        let inverse = cx.small_inverse(over.value());
        // Constrained by the two constraints below: o = sign·[over ≠ 0].
        let wire = cx.hint("requantize-overflow", || Fr::from(o_value))?;
        let o = Num::claimed(cx, wire, o_value, 0, 1);
        // Free where over = 0 or sign = 0 leaves nothing to prove; see the soundness note.
        let inverse = cx.hint("requantize-inverse", || {
            if o_value == 1 { inverse } else { Fr::ZERO }
        })?;
        if cx.emits() {
            let inside = Num::linear(cx, [(1, &sign), (-1, &o)], 0)?;
            cx.enforce(
                "requantize-overflow",
                inside.into_lc(),
                over.lc().clone(),
                crate::Lc::zero(),
            )?;
            cx.enforce(
                "requantize-overflow-inverse",
                crate::Lc::wire(inverse),
                over.lc().clone(),
                o.lc().clone(),
            )?;
        }
        o
    };

    if !signed && over_bits == 0 {
        return Ok(body.clone().narrowed(lo, hi));
    }
    // Constrained by the next constraint: (sign − o) · body = y − 255·o.
    let wire = cx.hint("requantize-output", || Fr::from(value))?;
    let y = Num::claimed(cx, wire, value, lo, hi);
    if cx.emits() {
        let inside = Num::linear(cx, [(1, &sign), (-1, &overflow)], 0)?;
        let rest = crate::Lc::zero()
            .add_scaled(Fr::ONE, y.lc())
            .add_scaled(-Fr::from(255_u64), overflow.lc());
        cx.enforce(
            "requantize-output",
            inside.into_lc(),
            body.lc().clone(),
            rest,
        )?;
    }
    Ok(y)
}

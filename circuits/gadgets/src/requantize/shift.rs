//! Encoding 1: `clamp((x >> k), 0, 255)` for an integer `x` of any sign.

use ark_bn254::Fr;
use ark_ff::AdditiveGroup;

use super::clamp;
use crate::circuit::Backend;
use crate::error::LowerError;
use crate::lc::Lc;
use crate::limbs;
use crate::lowering::Lowering;
use crate::num::Num;

/// How an interval is cut in limbs. Depends on the interval and `k` only.
struct Layout {
    signed: bool,
    /// Bits below the sign.
    n: u32,
    body_bits: u32,
    over_bits: u32,
    /// Whether a value above 255 is possible, so that "over" has to be looked at.
    saturates: bool,
}

impl Layout {
    fn new(lo: i64, hi: i64, k: u32) -> Self {
        // 0 ≤ x + 2^n < 2^(n+1), or 0 ≤ x < 2^n when x is never negative.
        let signed = lo < 0;
        let magnitude = if signed { hi.max(-(lo + 1)) } else { hi };
        let n = (64 - magnitude.leading_zeros()).max(k);
        let body_bits = (n - k).min(8);
        Self {
            signed,
            n,
            body_bits,
            over_bits: n - k - body_bits,
            saturates: hi >> k > 255,
        }
    }
}

/// Constraints of [`clamped_shift`] for an `x` in `lo ..= hi` with more than
/// [`DERIVE_UP_TO`](crate::limbs::DERIVE_UP_TO) terms (`dense`), or with fewer.
pub(crate) fn cost(lo: i64, hi: i64, k: u32, dense: bool) -> usize {
    let clamp = |v: i64| (v >> k).clamp(0, 255);
    if clamp(lo) == clamp(hi) {
        return 0;
    }
    let layout = Layout::new(lo, hi, k);
    let overflow = match (layout.saturates, layout.over_bits, layout.signed) {
        (false, ..) | (true, 0, _) | (true, 1, false) => 0,
        (true, 1, true) => 1,
        _ => 2,
    };
    let output = usize::from(layout.signed || layout.saturates);
    if !layout.signed && k == 0 && layout.over_bits == 0 {
        return 0;
    }
    limbs::cost(layout.n + u32::from(layout.signed), dense) + overflow + output
}

/// `clamp(x >> k, 0, 255)` (arithmetic shift, rounding towards −∞): at most as many constraints as
/// a two's complement of the interval has bits, and 4. With the committed backend three lookups, up
/// to three rows more (`clamp.rs`). Returns a number in `0 ..= 255`.
///
/// # Soundness
/// `x` is written as limbs `low (k bits) | body (8) | over (rest) | sign`, proven ranges all. With
/// `s` the bit "x ≥ 0" and `S` the value of `over`:
///
/// * `(s − o) · S = 0` and `S · i = o` force `o = s·[S ≠ 0]`: where `S = 0` the second gives
///   `o = 0`; where `S ≠ 0` the first gives `o = s`. The inverse hint `i` is free where `S = 0`:
///   it multiplies 0 and stands nowhere else. Where `S` is one bit, `o = s·S` is a product. Where
///   the interval says `x >> k ≤ 255`, `S = 0` follows from `s = 1`, so `o = 0` needs no
///   constraint.
/// * `(s − o) · body = y − 255·o` then fixes `y`: 255 above, `body` inside, 0 below.
///
/// # Errors
/// Those of [`limbs`](crate::limbs::limbs); [`LowerError::Encoding`] for `k > 54`.
pub fn clamped_shift(cx: &mut Lowering<'_>, x: &Num, k: u32) -> Result<Num, LowerError> {
    if k > 54 {
        return Err(LowerError::Encoding {
            path: cx.path("requantize"),
            reason: format!("a shift by {k} bits leaves no room for 8 more below 2^62"),
        });
    }
    let clamped = |v: i64| (v >> k).clamp(0, 255);
    let (lo, hi) = (clamped(x.lo()), clamped(x.hi()));
    x.check(cx, "requantize")?;
    if lo == hi {
        return Ok(Num::constant(cx, lo));
    }
    if cx.backend() == Backend::Committed && clamp::fits(x.lo(), x.hi(), k) {
        return clamp::clamped_shift(cx, x, k);
    }
    let value = clamped(x.value());

    let Layout {
        signed,
        n,
        body_bits,
        over_bits,
        saturates,
    } = Layout::new(x.lo(), x.hi(), k);
    let shifted = if signed {
        x.plus(cx, 1 << n)?
    } else {
        x.clone()
    };
    let parts = limbs::limbs(
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
    let overflow = if over_bits == 0 || !saturates {
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
        let inverse = if o_value == 1 {
            cx.small_inverse(over.value())
        } else {
            Fr::ZERO
        };
        // Both constrained by the two constraints below: o = sign·[over ≠ 0].
        let wire = cx.hint("requantize-overflow", || Fr::from(o_value))?;
        let inverse = cx.hint("requantize-inverse", || inverse)?;
        let o = Num::claimed(cx, wire, o_value, 0, 1);
        if cx.emits() {
            let inside = Num::linear(cx, [(1, &sign), (-1, &o)], 0)?;
            cx.enforce(
                "requantize-overflow",
                inside.into_lc(),
                over.lc().clone(),
                Lc::zero(),
            )?;
            cx.enforce(
                "requantize-inverse",
                Lc::wire(inverse),
                over.lc().clone(),
                o.lc().clone(),
            )?;
        }
        o
    };

    if !signed && !saturates {
        // x = low + 2^k · body, and x lies in its interval.
        return Ok(body.clone().narrowed(lo, hi));
    }
    // Constrained by the next constraint: (sign − o) · body = y − 255·o.
    let wire = cx.hint("requantize-output", || Fr::from(value))?;
    let y = Num::claimed(cx, wire, value, lo, hi);
    if cx.emits() {
        let inside = Num::linear(cx, [(1, &sign), (-1, &overflow)], 0)?;
        let rest = y.lc().clone().add_scaled(-Fr::from(255_u64), overflow.lc());
        cx.enforce(
            "requantize-output",
            inside.into_lc(),
            body.lc().clone(),
            rest,
        )?;
    }
    Ok(y)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{Setting, Subject};

    fn sound(lo: i64, hi: i64, k: u32, exhaustive: bool) {
        let build =
            |cx: &mut Lowering<'_>, x: &[Num]| Ok(vec![clamped_shift(cx, &x[0], k)?.to_signal(cx)]);
        let expected = |v: &[i64]| Some(vec![Fr::from((v[0] >> k).clamp(0, 255))]);
        let subject = Subject::new("clamped-shift", &[(lo, hi)], &build, &expected);
        assert_eq!(
            subject.constraints().unwrap(),
            cost(lo, hi, k, false),
            "{lo} ..= {hi} >> {k}"
        );
        let mut points = vec![lo, lo + 1, hi - 1, hi];
        for y in [-2, -1, 0, 1, 2, 254, 255, 256, 257, 511, 512] {
            points.extend([(y << k) - 1, y << k, (y << k) + 1]);
        }
        points.retain(|x| (lo..=hi).contains(x));
        points.sort_unstable();
        points.dedup();
        let points: Vec<Vec<i64>> = points.into_iter().map(|x| vec![x]).collect();
        subject.check_honest(&points).unwrap();
        subject.check_mutations(&points).unwrap();
        subject.check_rank(&points).unwrap();
        if exhaustive {
            subject.check_removals(&points).unwrap();
            assert_eq!(subject.check_all_solutions(&points).unwrap(), points.len());
        } else {
            // The same forms as of small intervals; with tables the search takes minutes.
            let plain = subject.in_setting(Setting::plain());
            plain.check_removals(&points).unwrap();
        }
    }

    #[test]
    fn unsigned_forms_are_sound() {
        sound(0, 15, 2, true); // no "over" bits, and no clamp
        sound(0, 255, 0, true); // the number itself
        sound(0, 511, 0, true); // one bit over
        sound(0, 2047, 1, true); // two bits over
        sound(3, 4000, 3, false);
    }

    #[test]
    fn signed_forms_are_sound() {
        sound(-8, 15, 2, true); // no clamp above
        sound(-600, 100, 1, true); // "over" bits on the negative side only
        sound(-300, 511, 0, true); // one bit over: a product
        sound(-1024, 2047, 1, true); // two bits over: an inverse
        sound(-70_000, 90_000, 6, false);
    }

    #[test]
    fn wide_forms_are_sound() {
        sound(-(1 << 31), (1 << 31) - 1, 15, false);
        sound(-(1 << 31), 1 << 40, 7, false);
    }

    #[test]
    fn constants_cost_nothing() {
        for (lo, hi, k) in [(-90, -1, 3), (0, 7, 3), (5000, 90_000, 4)] {
            assert_eq!(cost(lo, hi, k, true), 0);
            sound(lo, hi, k, true);
        }
    }

    #[test]
    fn at_most_the_interval_and_four() {
        // As many bits as a two's complement of the interval needs, for dense accumulators.
        let width = |lo: i64, hi: i64| {
            let magnitude = if lo < 0 { hi.max(-(lo + 1)) } else { hi };
            64 - magnitude.leading_zeros() + u32::from(lo < 0)
        };
        for k in 1..=15 {
            for e in 4..31 {
                for (lo, hi) in [
                    (-(1_i64 << e), (1_i64 << e) - 1),
                    (-(1 << e) + 5, 1 << (e - 2)),
                    (-(1 << (e - 3)), (1 << e) + 3),
                    (0, 3 << e),
                    (-1, 1 << e),
                ] {
                    assert!(
                        cost(lo, hi, k, true) <= width(lo, hi) as usize + 4,
                        "{lo} ..= {hi} >> {k}"
                    );
                }
            }
        }
    }
}

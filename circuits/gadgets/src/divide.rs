//! The quotient of two integers, rounded towards 0, where neither is negative.

use ark_bn254::Fr;

use crate::error::LowerError;
use crate::limbs::{self, enforce_range, ranged_wire};
use crate::lowering::Lowering;
use crate::multiply::multiply;
use crate::num::Num;

/// Dividends with more terms than this get a wire: theirs stand in two decompositions.
const SHORT: u32 = 16;

/// `⌊x / d⌋` for `x ≥ 0` and `d ≥ 1`: the bits of the quotient, twice those of the remainder (once
/// where the divisor is a known power of two) and one constraint for the product where the divisor
/// is computed. No constraint where the intervals leave one quotient.
///
/// # Soundness
/// With the hint `q` and `r = x − q·d`, the constraints prove `0 ≤ q < 2^b`, `0 ≤ r` and
/// `d − 1 − r ≥ 0`. `q·d < 2^62`, so these are statements about integers, not residues:
/// `x = q·d + r` with `0 ≤ r < d`, which has one solution. For a known `d = 2^k`, `0 ≤ r < 2^k` is
/// one range. The interval of the quotient is that of the division, which `q` has been proven to
/// be.
///
/// # Errors
/// [`LowerError::IntervalUnfit`] where `x` may be negative or `d` smaller than 1;
/// [`LowerError::IntervalTooWide`] where `q·d` may reach 2^62.
pub fn divide(cx: &mut Lowering<'_>, x: &Num, d: &Num) -> Result<Num, LowerError> {
    for (num, least) in [(x, 0), (d, 1)] {
        num.check(cx, "divide")?;
        if num.lo() < least {
            return Err(LowerError::IntervalUnfit {
                path: cx.path("divide"),
                lo: num.lo(),
                hi: num.hi(),
                bits: 62,
            });
        }
    }
    let (lo, hi) = (x.lo() / d.hi(), x.hi() / d.lo());
    if lo == hi {
        return Ok(Num::constant(cx, lo));
    }
    if d.hi() == 1 {
        return Ok(x.clone());
    }
    let x = if x.weight() > SHORT {
        &x.materialised(cx, "dividend")?
    } else {
        x
    };
    // In shape mode there is no value; the divisor is at least 1 in witness mode.
    let value = x.value() / d.value().max(1);
    // Its range is proven by the next line, its value by the remainder's.
    let wire = cx.hint("quotient", || Fr::from(value))?;
    let quotient = ranged_wire(cx, "quotient", wire, value, bits(hi))?;
    let product = multiply(cx, "quotient-product", &quotient, d)?;
    let remainder = Num::linear(cx, [(1, x), (-1, &product)], 0)?;
    let width = bits(d.hi() - 1);
    enforce_range(cx, "remainder", &remainder, width)?;
    if !is_power_of_two(d) {
        let room = Num::linear(cx, [(1, d), (-1, &remainder)], -1)?;
        enforce_range(cx, "remainder-below-divisor", &room, width)?;
    }
    Ok(quotient.narrowed(lo, hi))
}

/// Constraints of [`divide`] for a dividend of at most 16 terms and a divisor of at most 16, whose
/// intervals leave more than one quotient.
pub fn cost(x: (i64, i64), d: (i64, i64)) -> usize {
    if d.1 == 1 {
        return 0;
    }
    let known = d.0 == d.1;
    let ranges = if known && d.0.count_ones() == 1 { 1 } else { 2 };
    limbs::cost(bits(x.1 / d.0), false)
        + usize::from(!known)
        + ranges * limbs::cost(bits(d.1 - 1), false)
}

fn is_power_of_two(d: &Num) -> bool {
    d.is_constant() && d.lo().count_ones() == 1
}

/// Bits of a number that is not negative.
const fn bits(most: i64) -> u32 {
    64 - most.leading_zeros()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::circuit::Backend;
    use crate::lc::Wire;
    use crate::testing::Subject;

    fn sound(x: (i64, i64), d: (i64, i64), exhaustive: bool) {
        let build =
            |cx: &mut Lowering<'_>, v: &[Num]| Ok(vec![divide(cx, &v[0], &v[1])?.to_signal(cx)]);
        let expected = |v: &[i64]| Some(vec![Fr::from(v[0] / v[1])]);
        let subject = Subject::new("divide", &[x, d], &build, &expected);
        assert_eq!(subject.constraints().unwrap(), cost(x, d), "{x:?} / {d:?}");
        let points: Vec<Vec<i64>> = if exhaustive {
            (x.0..=x.1)
                .flat_map(|a| (d.0..=d.1).map(move |b| vec![a, b]))
                .collect()
        } else {
            let near = |(lo, hi): (i64, i64)| [lo, lo + 1, lo + (hi - lo) / 3, hi - 1, hi];
            let mut points: Vec<Vec<i64>> = near(x)
                .into_iter()
                .flat_map(|a| near(d).map(|b| vec![a, b.clamp(d.0, d.1)]))
                .collect();
            points.extend(near(d).map(|b| vec![x.1 / b * b, b.clamp(d.0, d.1)]));
            points.extend(near(d).map(|b| vec![(x.1 / b * b - 1).max(x.0), b.clamp(d.0, d.1)]));
            points
        };
        let some: Vec<Vec<i64>> = points
            .iter()
            .step_by(points.len().div_ceil(12) | 1)
            .cloned()
            .collect();
        subject.check_honest(&points).unwrap();
        subject.check_mutations(&some).unwrap();
        subject.check_rank(&some).unwrap();
        if exhaustive {
            // Each constraint decides somewhere, so removals are searched for at every point.
            subject.check_removals(&points).unwrap();
            assert_eq!(subject.check_all_solutions(&points).unwrap(), points.len());
        }
    }

    #[test]
    fn division_is_sound() {
        sound((0, 20), (1, 5), true);
        sound((7, 31), (3, 4), true);
        sound((0, 63), (3, 3), true);
        sound((0, 63), (8, 8), true);
        sound((0, 9), (1, 1), true);
        sound((0, 70_000), (1, 255), false);
        sound((0, i64::from(i32::MAX)), (77, 77), false);
        sound((0, i64::from(i32::MAX)), (1, i64::from(i32::MAX)), false);
    }

    #[test]
    fn intervals_decide_for_free_or_refuse() {
        let build =
            |cx: &mut Lowering<'_>, v: &[Num]| Ok(vec![divide(cx, &v[0], &v[1])?.to_signal(cx)]);
        let expected = |v: &[i64]| Some(vec![Fr::from(v[0] / v[1])]);
        let subject = Subject::new("divide", &[(20, 23), (4, 4)], &build, &expected);
        assert_eq!(subject.constraints().unwrap(), 0);
        subject.check_honest(&[vec![20, 4], vec![23, 4]]).unwrap();

        let cx = &mut Lowering::shape(Backend::Plain, 2).unwrap();
        for (x, d) in [((-1, 5), (1, 2)), ((0, 5), (0, 2))] {
            let x = Num::claimed(cx, Wire(1), 0, x.0, x.1);
            let d = Num::claimed(cx, Wire(2), 0, d.0, d.1);
            assert_eq!(divide(cx, &x, &d).unwrap_err().code(), "interval-too-wide");
        }
    }
}

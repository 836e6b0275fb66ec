//! The larger of two numbers (`MaxPool`, `Max`, `Min`, clamping).

use ark_bn254::Fr;

use crate::circuit::Backend;
use crate::error::LowerError;
use crate::lc::Lc;
use crate::limbs::{enforce_range, limbs};
use crate::logup::unproven;
use crate::logup::widths::price;
use crate::lowering::Lowering;
use crate::num::Num;

/// Operands of more terms than this get a wire: a row and a small wire cost about as much proving
/// time as so many more terms.
pub const LONG: u32 = 512;

/// `max(left, right)`, none when the intervals decide. With bits one sign decomposition of the
/// difference and one product, 10 constraints for 8-bit operands; with lookups one product and one
/// range of the difference.
///
/// # Errors
/// Those of [`limbs`] and [`enforce_range`].
pub fn max(cx: &mut Lowering<'_>, left: &Num, right: &Num) -> Result<Num, LowerError> {
    if left.lo() >= right.hi() {
        return Ok(left.clone());
    }
    if right.lo() >= left.hi() {
        return Ok(right.clone());
    }
    match cx.backend() {
        Backend::Plain => by_sign(cx, left, right),
        Backend::Committed => by_range(cx, left, right),
    }
}

/// Price of [`max`] of numbers in these intervals with lookups, in tenths of a dense scalar: a
/// product and a range of the difference; 0 where the intervals decide.
pub fn price(left: (i64, i64), right: (i64, i64)) -> u64 {
    if left.0 >= right.1 || right.0 >= left.1 {
        return 0;
    }
    price::ROW + price::SMALL + price::range(width(left, right))
}

/// Bits of the largest difference, of either sign.
fn width(left: (i64, i64), right: (i64, i64)) -> u32 {
    let largest = (left.1 - right.0).max(right.1 - left.0);
    64 - largest.leading_zeros()
}

/// # Soundness
/// `selector` is the proven top bit of `left − right + 2^w`, so it is 1 exactly when
/// `left ≥ right`; the product then fixes the output.
fn by_sign(cx: &mut Lowering<'_>, left: &Num, right: &Num) -> Result<Num, LowerError> {
    let difference = Num::linear(cx, [(1, left), (-1, right)], 0)?;
    let width = width((left.lo(), left.hi()), (right.lo(), right.hi()));
    let shifted = difference.plus(cx, 1 << width)?;
    let parts = limbs(cx, "max-sign", &shifted, &[width, 1])?;
    let Some(selector) = parts.get(1) else {
        return Err(unproven(cx, "max-sign", 1));
    };
    let out = output(cx, left, right)?;
    if cx.emits() {
        let gain = Num::linear(cx, [(1, &out), (-1, right)], 0)?;
        cx.enforce(
            "max",
            selector.lc().clone(),
            difference.into_lc(),
            gain.into_lc(),
        )?;
    }
    Ok(out)
}

/// # Soundness
/// `(out − left) · (out − right) = 0`: the output is one of the two. `2·out − left − right` is
/// then one of `left − right` and `right − left`, integers far below the field order, and proven
/// not to be negative: the output is not the smaller one. Every honest difference is below `2^w`.
fn by_range(cx: &mut Lowering<'_>, left: &Num, right: &Num) -> Result<Num, LowerError> {
    let (left, right) = (&wire(cx, left)?, &wire(cx, right)?);
    let width = width((left.lo(), left.hi()), (right.lo(), right.hi()));
    let out = output(cx, left, right)?;
    if cx.emits() {
        // The longer combination stands in A, which costs one group less than B.
        let (long, short) = if left.weight() > right.weight() {
            (left, right)
        } else {
            (right, left)
        };
        let above = |than: &Num| Num::linear(cx, [(1, &out), (-1, than)], 0);
        let (a, b) = (above(long)?, above(short)?);
        cx.enforce("max", a.into_lc(), b.into_lc(), Lc::zero())?;
    }
    let difference = Num::linear(cx, [(2, &out), (-1, left), (-1, right)], 0)?;
    enforce_range(cx, "max-difference", &difference, width)?;
    Ok(out)
}

/// The same number in not too many terms: it stands in two constraints.
fn wire(cx: &mut Lowering<'_>, num: &Num) -> Result<Num, LowerError> {
    if num.weight() > LONG {
        num.materialised(cx, "max-operand")
    } else {
        Ok(num.clone())
    }
}

/// The output's wire.
fn output(cx: &mut Lowering<'_>, left: &Num, right: &Num) -> Result<Num, LowerError> {
    let value = left.value().max(right.value());
    // Constrained by the caller to be the larger one, whose interval this is.
    let wire = cx.hint("max", || Fr::from(value))?;
    let (lo, hi) = (left.lo().max(right.lo()), left.hi().max(right.hi()));
    Ok(Num::claimed(cx, wire, value, lo, hi))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::Subject;

    #[test]
    fn max_is_sound() {
        for (a, b) in [((0, 3), (0, 3)), ((-4, 3), (-2, 5)), ((0, 1), (-1, 2))] {
            let build =
                |cx: &mut Lowering<'_>, x: &[Num]| Ok(vec![max(cx, &x[0], &x[1])?.to_signal(cx)]);
            let expected = |v: &[i64]| Some(vec![Fr::from(v[0].max(v[1]))]);
            let subject = Subject::new("max", &[a, b], &build, &expected);
            let points: Vec<Vec<i64>> = (a.0..=a.1)
                .flat_map(|x| (b.0..=b.1).map(move |y| vec![x, y]))
                .collect();
            subject.check(&points).unwrap();
            assert_eq!(subject.check_all_solutions(&points).unwrap(), points.len());
        }
    }

    /// The form with a range of the difference is sound however that range is proven.
    #[test]
    fn the_range_of_the_difference_decides() {
        for heavy in [false, true] {
            for (a, b) in [((0, 3), (0, 3)), ((-4, 3), (-2, 5)), ((0, 1), (-1, 2))] {
                let build = |cx: &mut Lowering<'_>, x: &[Num]| {
                    let left = if heavy {
                        x[0].clone().with_weight(LONG + 1)
                    } else {
                        x[0].clone()
                    };
                    Ok(vec![by_range(cx, &left, &x[1])?.to_signal(cx)])
                };
                let expected = |v: &[i64]| Some(vec![Fr::from(v[0].max(v[1]))]);
                let subject = Subject::new("max by range", &[a, b], &build, &expected);
                let points: Vec<Vec<i64>> = (a.0..=a.1)
                    .flat_map(|x| (b.0..=b.1).map(move |y| vec![x, y]))
                    .collect();
                subject.check(&points).unwrap();
                assert_eq!(subject.check_all_solutions(&points).unwrap(), points.len());
            }
        }
    }

    #[test]
    fn max_of_bytes_takes_ten_constraints_and_decided_ones_none() {
        let build =
            |cx: &mut Lowering<'_>, x: &[Num]| Ok(vec![max(cx, &x[0], &x[1])?.to_signal(cx)]);
        let expected = |v: &[i64]| Some(vec![Fr::from(v[0].max(v[1]))]);
        for (range, points) in [
            ((0, 255), [[0, 255], [255, 0], [7, 7], [254, 255]]),
            (
                (-128, 127),
                [[-128, 127], [127, -128], [-1, 0], [-128, -128]],
            ),
        ] {
            let subject = Subject::new("max", &[range, range], &build, &expected);
            assert_eq!(subject.constraints().unwrap(), 10);
            subject.check(&points.map(|p| p.to_vec())).unwrap();
        }
        let subject = Subject::new("max", &[(0, 5), (5, 9)], &build, &expected);
        assert_eq!(subject.constraints().unwrap(), 0);
        subject.check_honest(&[vec![5, 5], vec![0, 9]]).unwrap();
    }
}

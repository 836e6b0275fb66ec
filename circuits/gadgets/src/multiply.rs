//! The product of two integers, with the interval that follows from theirs.

use ark_bn254::Fr;

use crate::error::LowerError;
use crate::lowering::Lowering;
use crate::num::Num;

/// `left · right`: one constraint; none when the interval of either is a single value.
///
/// # Soundness
/// The wire equals the product as a field element. Both factors are integers in their proven
/// intervals, so the product is the integer between the smallest and the largest of the four
/// products of interval ends, which lie below 2^62: it is the only integer of that size with this
/// residue, and its interval needs no constraint of its own.
///
/// # Errors
/// [`LowerError::IntervalTooWide`] when a product may reach 2^62; those of [`Lowering::hint`] and
/// [`Lowering::enforce`].
pub fn multiply(
    cx: &mut Lowering<'_>,
    step: &'static str,
    left: &Num,
    right: &Num,
) -> Result<Num, LowerError> {
    left.check(cx, step)?;
    right.check(cx, step)?;
    if left.is_constant() {
        return Num::linear(cx, [(left.lo(), right)], 0);
    }
    if right.is_constant() {
        return Num::linear(cx, [(right.lo(), left)], 0);
    }
    let corners = [left.lo(), left.hi()]
        .into_iter()
        .flat_map(|l| [right.lo(), right.hi()].map(|r| i128::from(l) * i128::from(r)));
    let (lo, hi) = corners.fold((i128::MAX, i128::MIN), |(lo, hi), corner| {
        (lo.min(corner), hi.max(corner))
    });
    let bound = 1_i128 << 62;
    let narrow = |v: i128| i64::try_from(v).ok().filter(|_| -bound < v && v < bound);
    let (Some(low), Some(high)) = (narrow(lo), narrow(hi)) else {
        return Err(LowerError::IntervalTooWide {
            path: cx.path(step),
            lo,
            hi,
        });
    };
    let value = left.value().wrapping_mul(right.value());
    // Constrained by the next line.
    let wire = cx.hint(step, || Fr::from(value))?;
    let out = Num::claimed(cx, wire, value, low, high);
    cx.enforce(
        step,
        left.lc().clone(),
        right.lc().clone(),
        out.lc().clone(),
    )?;
    Ok(out)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::circuit::Backend;
    use crate::lc::Wire;
    use crate::testing::Subject;

    #[test]
    fn products_are_sound() {
        for (a, b) in [((0, 3), (0, 5)), ((-4, 3), (-2, 5)), ((-3, -1), (-2, 2))] {
            let build = |cx: &mut Lowering<'_>, x: &[Num]| {
                let out = multiply(cx, "product", &x[0], &x[1])?;
                let corners = [a.0 * b.0, a.0 * b.1, a.1 * b.0, a.1 * b.1];
                assert_eq!(Some(out.lo()), corners.into_iter().min());
                assert_eq!(Some(out.hi()), corners.into_iter().max());
                Ok(vec![out.to_signal(cx)])
            };
            let expected = |v: &[i64]| Some(vec![Fr::from(v[0] * v[1])]);
            let subject = Subject::new("multiply", &[a, b], &build, &expected);
            assert_eq!(subject.constraints().unwrap(), 1);
            let points: Vec<Vec<i64>> = (a.0..=a.1)
                .flat_map(|x| (b.0..=b.1).map(move |y| vec![x, y]))
                .collect();
            subject.check(&points).unwrap();
            assert_eq!(subject.check_all_solutions(&points).unwrap(), points.len());
        }
    }

    #[test]
    fn a_known_factor_is_free_and_huge_products_are_refused() {
        let build = |cx: &mut Lowering<'_>, x: &[Num]| {
            Ok(vec![
                multiply(cx, "product", &x[0], &x[1])?.to_signal(cx),
                multiply(cx, "product", &x[1], &x[0])?.to_signal(cx),
            ])
        };
        let expected = |v: &[i64]| Some(vec![Fr::from(-7 * v[1]); 2]);
        let subject = Subject::new("multiply", &[(-7, -7), (0, 9)], &build, &expected);
        assert_eq!(subject.constraints().unwrap(), 0);
        subject.check_honest(&[vec![-7, 0], vec![-7, 9]]).unwrap();

        let cx = &mut Lowering::shape(Backend::Plain, 1).unwrap();
        let x = Num::claimed(cx, Wire(1), 0, -(1 << 31), 1 << 31);
        let error = multiply(cx, "product", &x, &x).unwrap_err();
        assert_eq!(error.code(), "interval-too-wide");
    }
}

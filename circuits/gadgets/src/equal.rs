//! Whether an integer is a given constant.

use ark_bn254::Fr;
use ark_ff::Field;

use crate::error::LowerError;
use crate::lc::Lc;
use crate::lowering::Lowering;
use crate::num::Num;

/// 1 when `x = c`, else 0: two constraints, none when the interval of `x` decides.
///
/// # Soundness
/// With `d = x − c` (a non-zero field element exactly when the integers differ, because
/// `|d| < 2^63`), output `e` and inverse hint `i`:
///
/// * `i · d = 1 − e` gives `e = 1` where `d = 0`;
/// * `d · e = 0` gives `e = 0` where `d ≠ 0`.
///
/// The hint `i` is free where `d = 0`: it multiplies 0 and stands nowhere else.
///
/// # Errors
/// Those of [`Num::linear`], [`Lowering::hint`] and [`Lowering::enforce`].
pub fn is_equal(cx: &mut Lowering<'_>, x: &Num, c: i64) -> Result<Num, LowerError> {
    if c < x.lo() || c > x.hi() {
        return Ok(Num::constant(cx, 0));
    }
    if x.is_constant() {
        return Ok(Num::constant(cx, 1));
    }
    x.check(cx, "is-equal")?;
    let difference = x.plus(cx, -c)?;
    let value = i64::from(difference.value() == 0);
    let inverse = cx.small_inverse(difference.value());
    // Both constrained by the two constraints below.
    let inverse = cx.hint("is-equal-inverse", || inverse)?;
    let wire = cx.hint("is-equal", || Fr::from(value))?;
    let out = Num::claimed(cx, wire, value, 0, 1);
    if cx.emits() {
        let not = Lc::constant(Fr::ONE).add_scaled(-Fr::ONE, out.lc());
        cx.enforce(
            "is-equal-inverse",
            Lc::wire(inverse),
            difference.lc().clone(),
            not,
        )?;
        cx.enforce(
            "is-equal",
            difference.into_lc(),
            out.lc().clone(),
            Lc::zero(),
        )?;
    }
    Ok(out)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::Subject;

    #[test]
    fn is_equal_is_sound() {
        let build =
            |cx: &mut Lowering<'_>, x: &[Num]| Ok(vec![is_equal(cx, &x[0], -3)?.to_signal(cx)]);
        let expected = |v: &[i64]| Some(vec![Fr::from(i64::from(v[0] == -3))]);
        let subject = Subject::new("is-equal", &[(-40, 1 << 40)], &build, &expected);
        assert_eq!(subject.constraints().unwrap(), 2);
        let points: Vec<Vec<i64>> = [-40, -4, -3, -2, 0, 3, 1 << 40].map(|x| vec![x]).into();
        subject.check(&points).unwrap();
        assert_eq!(subject.check_all_solutions(&points).unwrap(), points.len());
    }

    #[test]
    fn intervals_decide_for_free() {
        for (lo, hi, c, answer) in [(0, 9, 10, 0), (0, 9, -1, 0), (4, 4, 4, 1)] {
            let build =
                |cx: &mut Lowering<'_>, x: &[Num]| Ok(vec![is_equal(cx, &x[0], c)?.to_signal(cx)]);
            let expected = |_: &[i64]| Some(vec![Fr::from(answer)]);
            let subject = Subject::new("is-equal", &[(lo, hi)], &build, &expected);
            assert_eq!(subject.constraints().unwrap(), 0);
            subject.check_honest(&[vec![lo], vec![hi]]).unwrap();
        }
    }
}

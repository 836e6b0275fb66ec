//! The larger of two 8-bit numbers (`MaxPool`).

use ark_bn254::Fr;

use crate::error::LowerError;
use crate::limbs::limbs;
use crate::lowering::Lowering;
use crate::num::Num;

/// `max(left, right)`: one sign decomposition of the difference and one product; 10 constraints
/// for 8-bit operands, none when the intervals decide.
///
/// # Soundness
/// `selector` is the proven top bit of `left − right + 2^w`, so it is 1 exactly when
/// `left ≥ right`; the product then fixes the output.
///
/// # Errors
/// Those of [`limbs`].
pub fn max(cx: &mut Lowering<'_>, left: &Num, right: &Num) -> Result<Num, LowerError> {
    if left.lo() >= right.hi() {
        return Ok(left.clone());
    }
    if right.lo() >= left.hi() {
        return Ok(right.clone());
    }
    let difference = Num::linear(cx, [(1, left), (-1, right)], 0)?;
    let largest = difference.hi().max(-difference.lo());
    let width = 64 - largest.leading_zeros();
    let shifted = difference.plus(cx, 1 << width)?;
    let parts = limbs(cx, "max-sign", &shifted, &[width, 1])?;
    let Some(selector) = parts.get(1) else {
        return Ok(left.clone());
    };
    let value = left.value().max(right.value());
    // Constrained by the next constraint: selector · (left − right) = out − right.
    let wire = cx.hint("max", || Fr::from(value))?;
    let out = Num::claimed(
        cx,
        wire,
        value,
        left.lo().max(right.lo()),
        left.hi().max(right.hi()),
    );
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

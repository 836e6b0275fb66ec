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

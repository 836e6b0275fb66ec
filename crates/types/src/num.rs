//! The few casts that Rust has no checked form for, in one place to be audited.

/// The integer nearest to zero side of `x`, saturated to `i64` (NaN becomes 0; callers refuse it before).
#[expect(
    clippy::as_conversions,
    clippy::cast_possible_truncation,
    reason = "float to integer has no checked form; `as` saturates, which is what is wanted"
)]
pub(crate) const fn i64_from_f32(x: f32) -> i64 {
    x as i64
}

/// `x` rounded once to float32, half to even.
#[expect(
    clippy::as_conversions,
    clippy::cast_precision_loss,
    reason = "the one rounding is the defined result"
)]
pub(crate) const fn f32_from_i64(x: i64) -> f32 {
    x as f32
}

/// `x` rounded once to float32, half to even.
#[expect(
    clippy::as_conversions,
    clippy::cast_possible_truncation,
    reason = "the one rounding is the defined result"
)]
pub(crate) const fn f32_from_f64(x: f64) -> f32 {
    x as f32
}

/// A count as float64; exact below 2^53, where every count of a manifest is.
#[expect(
    clippy::as_conversions,
    clippy::cast_precision_loss,
    reason = "counts stay below 2^53"
)]
pub(crate) const fn f64_from_u64(x: u64) -> f64 {
    x as f64
}

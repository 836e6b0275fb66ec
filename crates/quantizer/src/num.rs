//! The casts that Rust has no checked form for, in one place to be audited.

/// `x` rounded once to float32, half to even; what is too large becomes infinite.
#[expect(
    clippy::cast_possible_truncation,
    reason = "the one rounding is the wanted result"
)]
pub(crate) const fn f32_of(x: f64) -> f32 {
    x as f32
}

/// A count or an integer as float64; exact below 2^53, far above every size met here.
#[expect(
    clippy::cast_precision_loss,
    reason = "counts and dimensions stay far below 2^53"
)]
pub(crate) const fn f64_of(x: usize) -> f64 {
    x as f64
}

/// `x` as float32, rounded once.
#[expect(
    clippy::cast_precision_loss,
    reason = "the one rounding is the wanted result"
)]
pub(crate) const fn f32_of_i64(x: i64) -> f32 {
    x as f32
}

/// `x` toward zero, saturated; NaN becomes 0.
#[expect(
    clippy::cast_possible_truncation,
    reason = "`as` saturates, which is what is wanted"
)]
pub(crate) const fn i64_of(x: f64) -> i64 {
    x as i64
}

/// `x` rounded half to even and clamped to `lo ..= hi`; NaN becomes the bound nearest to 0.
#[expect(
    clippy::cast_possible_truncation,
    reason = "`as` saturates, and the result is clamped"
)]
pub(crate) fn round_to(x: f64, lo: i32, hi: i32) -> i32 {
    (x.round_ties_even() as i32).clamp(lo, hi)
}

/// A bin number for a position in `0 ..`; negative ones and NaN become 0.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "`as` saturates at 0 and the caller takes the minimum with the last bin"
)]
pub(crate) const fn index_of(x: f64) -> usize {
    x as usize
}

/// A dimension as ONNX writes it.
pub(crate) fn i64_of_dim(dim: usize) -> i64 {
    i64::try_from(dim).unwrap_or(i64::MAX)
}

/// A wide integer as float64; exact below 2^53.
#[expect(
    clippy::cast_precision_loss,
    reason = "sums of windows stay far below 2^53"
)]
pub(crate) const fn f64_of_i64(x: i64) -> f64 {
    x as f64
}

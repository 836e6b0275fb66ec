//! Requantize: int32 accumulator → 8-bit value, exactly as ONNX Runtime 1.31.1's CPU kernels of
//! `QLinearConv` and `QGemm` compute it:
//!
//! `y = saturate(rint(f32(f32(acc) · M)) + zero_point)`
//!
//! with one IEEE rounding to float32 for the conversion of the accumulator, one for the product,
//! and `rint` half to even. The product is rounded to float32 *before* it is rounded to an
//! integer, so treating `M` as an exact rational is wrong for some accumulators.

use proofmark_types::ElemType;

/// The step function from an int32 accumulator to an 8-bit output.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Requantize {
    multiplier: f32,
    zero_point: i32,
    elem: ElemType,
}

/// Why a requantize cannot be built.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum RequantizeError {
    /// The multiplier is negative, infinite or not a number.
    #[error(
        "requantize multiplier {multiplier} is not a finite number of at least 0; check the node's scales"
    )]
    Multiplier {
        /// The multiplier.
        multiplier: f32,
    },
    /// The zero point is outside the output type.
    #[error("zero point {zero_point} is outside {elem}")]
    ZeroPoint {
        /// The zero point.
        zero_point: i32,
        /// The output type.
        elem: ElemType,
    },
    /// The output type is not an 8-bit one.
    #[error("requantize yields 8-bit values, not {elem}")]
    Elem {
        /// The output type.
        elem: ElemType,
    },
}

/// One step of the function: `acc` is the smallest accumulator whose output is at least `y`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Threshold {
    /// Output value reached.
    pub y: i32,
    /// Smallest accumulator that reaches it.
    pub acc: i32,
}

impl Requantize {
    /// A requantize with multiplier `M ≥ 0` (finite), the output's zero point and 8-bit type.
    ///
    /// # Errors
    /// [`RequantizeError`] when the parameters name no step function.
    pub fn new(multiplier: f32, zero_point: i32, elem: ElemType) -> Result<Self, RequantizeError> {
        if !multiplier.is_finite() || multiplier < 0.0 {
            return Err(RequantizeError::Multiplier { multiplier });
        }
        if elem.bits() != 8 {
            return Err(RequantizeError::Elem { elem });
        }
        if zero_point < elem.min() || zero_point > elem.max() {
            return Err(RequantizeError::ZeroPoint { zero_point, elem });
        }
        Ok(Self {
            multiplier,
            zero_point,
            elem,
        })
    }

    /// The float32 multiplier `M`.
    pub const fn multiplier(&self) -> f32 {
        self.multiplier
    }

    /// The output's zero point, inside [`elem`](Self::elem).
    pub const fn zero_point(&self) -> i32 {
        self.zero_point
    }

    /// The 8-bit output type.
    pub const fn elem(&self) -> ElemType {
        self.elem
    }

    /// The output for one accumulator.
    #[expect(
        clippy::cast_precision_loss,
        clippy::cast_possible_truncation,
        reason = "the rounding to float32 is the semantics; the clamped value is a small integer"
    )]
    pub fn apply(&self, acc: i32) -> i32 {
        let product = acc as f32 * self.multiplier;
        let lowest = (self.elem.min() - self.zero_point) as f32;
        let highest = (self.elem.max() - self.zero_point) as f32;
        product.round_ties_even().clamp(lowest, highest) as i32 + self.zero_point
    }

    /// Every step of the function inside `lo ..= hi`: for each output `y` with
    /// `apply(lo) < y ≤ apply(hi)`, the smallest accumulator that reaches it. At most 255 steps,
    /// ascending in `y` and, because the function is monotone, ascending (not strictly) in `acc`.
    pub fn thresholds(&self, lo: i32, hi: i32) -> Vec<Threshold> {
        if lo > hi {
            return Vec::new();
        }
        let (first, last) = (self.apply(lo), self.apply(hi));
        let mut from = i64::from(lo);
        (first + 1..=last)
            .map(|y| {
                let (mut below, mut reaches) = (from, i64::from(hi));
                while below < reaches {
                    let middle = (below + reaches).div_euclid(2);
                    // `middle` lies between two int32 values.
                    let acc = i32::try_from(middle).unwrap_or(hi);
                    if self.apply(acc) >= y {
                        reaches = middle;
                    } else {
                        below = middle + 1;
                    }
                }
                from = reaches;
                Threshold {
                    y,
                    acc: i32::try_from(reaches).unwrap_or(hi),
                }
            })
            .collect()
    }

    /// The exponent `k` when this is a canonical shift: `M` one float32 step below `2^-k` with
    /// 1 ≤ k ≤ 15 and the zero point at the type's minimum. Then, for every int32 accumulator,
    /// `apply(acc) = saturate((acc + 2^(k-1) − 1) >> k)` counted from the type's minimum.
    pub fn shift(&self) -> Option<u32> {
        if self.zero_point != self.elem.min() {
            return None;
        }
        (1..=15).find(|&k| shift_multiplier(k) == Some(self.multiplier))
    }
}

/// The multiplier one float32 step below `2^-k`, for 1 ≤ k ≤ 15 (none outside: at k = 16 the
/// shift formula stops being exact).
pub fn shift_multiplier(k: u32) -> Option<f32> {
    if !(1..=15).contains(&k) {
        return None;
    }
    // 2^-k has biased exponent 127 − k and mantissa 0; its predecessor in bits is one below.
    Some(f32::from_bits(((127 - k) << 23) - 1))
}

/// `M` of `QLinearConv` and `QLinearMatMul`: `f32(f32(x_scale · w_scale) / y_scale)`.
pub fn conv_multiplier(x_scale: f32, w_scale: f32, y_scale: f32) -> f32 {
    x_scale * w_scale / y_scale
}

/// `M` of `QGemm`: `f32(f32(f32(alpha · x_scale) · w_scale) / y_scale)`.
pub fn gemm_multiplier(alpha: f32, x_scale: f32, w_scale: f32, y_scale: f32) -> f32 {
    alpha * x_scale * w_scale / y_scale
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn product_is_rounded_to_float32_first() {
        let r = Requantize::new(0.000_231_593_48, 0, ElemType::Uint8).unwrap();
        let exact = 338_956.0_f64 * f64::from(r.multiplier());
        assert!(exact > 78.5, "the exact product {exact} would round up");
        assert_eq!(r.apply(338_956), 78);
    }

    #[test]
    fn shift_is_exact_around_every_step_and_at_the_extremes() {
        for k in 1..=15_u32 {
            for elem in [ElemType::Uint8, ElemType::Int8] {
                let r = Requantize::new(shift_multiplier(k).unwrap(), elem.min(), elem).unwrap();
                assert_eq!(r.shift(), Some(k));
                let formula = |acc: i64| {
                    let shifted = (acc + (1 << (k - 1)) - 1) >> k;
                    i32::try_from(shifted.clamp(0, 255)).unwrap() + elem.min()
                };
                let mut probes: Vec<i64> = vec![i32::MIN.into(), i32::MAX.into(), -1, 0, 1];
                for step in -2..=258_i64 {
                    let at = (step << k) - (1 << (k - 1)) + 1;
                    probes.extend([at - 1, at, at + 1]);
                }
                for acc in probes {
                    assert_eq!(
                        r.apply(i32::try_from(acc).unwrap()),
                        formula(acc),
                        "k {k} acc {acc}"
                    );
                }
            }
        }
        assert_eq!(shift_multiplier(16), None);
    }

    #[test]
    fn a_power_of_two_itself_is_no_shift() {
        // 2^-3 has ties: 4 · 2^-3 = 0.5 → 0 and 12 · 2^-3 = 1.5 → 2.
        let r = Requantize::new(0.125, 0, ElemType::Uint8).unwrap();
        assert_eq!(r.shift(), None);
        assert_eq!((r.apply(4), r.apply(12)), (0, 2));
    }

    #[test]
    fn thresholds_are_the_steps() {
        for (m, zp, elem) in [
            (0.003_f32, 0, ElemType::Uint8),
            (0.000_231_593_48, 17, ElemType::Uint8),
            (1.7e-5, -3, ElemType::Int8),
            (3.5, 100, ElemType::Uint8),
            (1e-30, 3, ElemType::Uint8),
            (1e30, 3, ElemType::Uint8),
            (0.0, 3, ElemType::Uint8),
        ] {
            let r = Requantize::new(m, zp, elem).unwrap();
            let steps = r.thresholds(i32::MIN, i32::MAX);
            let expected = r.apply(i32::MAX) - r.apply(i32::MIN);
            assert_eq!(i32::try_from(steps.len()).unwrap(), expected);
            for step in steps {
                assert!(r.apply(step.acc) >= step.y);
                assert!(r.apply(step.acc - 1) < step.y);
            }
        }
    }

    #[test]
    fn refuses_what_is_no_step_function() {
        for m in [-1.0, f32::NAN, f32::INFINITY] {
            assert!(matches!(
                Requantize::new(m, 0, ElemType::Uint8),
                Err(RequantizeError::Multiplier { .. })
            ));
        }
        assert!(Requantize::new(0.5, 256, ElemType::Uint8).is_err());
        assert!(Requantize::new(0.5, 0, ElemType::Int32).is_err());
    }
}

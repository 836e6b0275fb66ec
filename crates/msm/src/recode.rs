//! Scalars as signed digits.
//!
//! A scalar `s` above `r/2` counts as `−(r − s)`, so that small negative numbers stay small; its
//! magnitude `m < 2^253` is cut into digits of `c` bits between `1 − 2^(c−1)` and `2^(c−1)`. Adding the
//! constant `Σ (2^(c−1) − 1)·2^(c·j)` over all but the highest window once turns each digit into a
//! plain bit field less `2^(c−1) − 1`, so that any window can be read without those below it.

use ark_bn254::Fr;
use ark_ff::{BigInt, BigInteger, PrimeField};

/// Bits of the largest magnitude, `(r − 1)/2`.
const MAGNITUDE_BITS: u32 = 253;

/// How scalars are cut: digits of `width` bits, `count` of them.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Windows {
    width: u32,
    count: u32,
    /// `Σ (2^(width − 1) − 1)·2^(width·j)` over all windows but the highest.
    offset: BigInt<4>,
}

/// One scalar, ready for its digits to be read.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Recoded {
    /// Magnitude plus [`Windows::offset`], below 2^254.
    limbs: [u64; 4],
    /// Windows from this one on hold the digit 0.
    pub(crate) used: u32,
    /// The scalar was above `r/2`: every digit counts negatively.
    pub(crate) negative: bool,
}

impl Windows {
    /// Windows of `width` bits, 2 to 16.
    pub(crate) fn new(width: u32) -> Self {
        let count = (MAGNITUDE_BITS + 1).div_ceil(width);
        let mut offset = BigInt::<4>::zero();
        for window in 0..count - 1 {
            for bit in window * width..window * width + width - 1 {
                offset.0[(bit / 64) as usize] |= 1 << (bit % 64);
            }
        }
        Self {
            width,
            count,
            offset,
        }
    }

    pub(crate) fn count(&self) -> u32 {
        self.count
    }

    /// Buckets a set of windows needs: digits of magnitude 1 to `2^(width − 1)`.
    pub(crate) fn buckets(&self) -> usize {
        1 << (self.width - 1)
    }

    /// The scalar's digits; nothing for 0.
    #[inline]
    pub(crate) fn recode(&self, scalar: &BigInt<4>) -> Option<Recoded> {
        if scalar.is_zero() {
            return None;
        }
        let (mut magnitude, negative) = magnitude(scalar);
        let used = self.reach(&magnitude);
        magnitude.add_with_carry(&self.offset);
        Some(Recoded {
            limbs: magnitude.0,
            used,
            negative,
        })
    }

    /// How many of the scalar's digits, from the lowest, may differ from 0.
    #[inline]
    pub(crate) fn used(&self, scalar: &BigInt<4>) -> u32 {
        if scalar.is_zero() {
            return 0;
        }
        self.reach(&magnitude(scalar).0)
    }

    /// Digits of `u` windows make every number up to `2^(c·u − 1)`.
    fn reach(&self, magnitude: &BigInt<4>) -> u32 {
        (magnitude.num_bits() + 1)
            .div_ceil(self.width)
            .min(self.count)
    }

    /// Digit `window` of a recoded scalar (its sign not applied), and 0 from `used` on.
    #[inline]
    pub(crate) fn digit(&self, recoded: &Recoded, window: u32) -> i32 {
        let bit = window * self.width;
        let (limb, shift) = ((bit / 64) as usize, bit % 64);
        let low = recoded.limbs[limb] >> shift;
        let high = if shift == 0 || limb == 3 {
            0
        } else {
            recoded.limbs[limb + 1] << (64 - shift)
        };
        let field = ((low | high) & ((1 << self.width) - 1)) as i32;
        if window + 1 == self.count {
            field
        } else {
            field - ((1 << (self.width - 1)) - 1)
        }
    }
}

/// The scalar or its negative, whichever is smaller, and whether it is the negative.
#[inline]
fn magnitude(scalar: &BigInt<4>) -> (BigInt<4>, bool) {
    let mut negated = Fr::MODULUS;
    negated.sub_with_borrow(scalar);
    if negated < *scalar {
        (negated, true)
    } else {
        (*scalar, false)
    }
}

/// Whether the integer is a scalar: below `r`.
#[inline]
pub(crate) fn is_canonical(scalar: &BigInt<4>) -> bool {
    *scalar < Fr::MODULUS
}

#[cfg(test)]
mod tests {
    use super::*;
    use ark_ff::{AdditiveGroup, Field, UniformRand};
    use ark_std::rand::SeedableRng;
    use ark_std::rand::rngs::StdRng;

    #[test]
    fn digits_sum_to_the_scalar_and_stay_in_range() {
        let mut random = StdRng::seed_from_u64(1);
        let half = Fr::from(2).inverse().unwrap();
        let mut scalars = vec![
            Fr::ONE,
            -Fr::ONE,
            half,
            half - Fr::ONE,
            -half,
            Fr::from(255),
        ];
        scalars.extend((0..254).map(|bit| Fr::from(2).pow([bit])));
        scalars.extend((0..254).map(|bit| -Fr::from(2).pow([bit])));
        scalars.extend((0..50).map(|_| Fr::rand(&mut random)));
        for width in 2..=16 {
            let windows = Windows::new(width);
            let buckets = 1_i32 << (width - 1);
            for scalar in &scalars {
                let recoded = windows.recode(&scalar.into_bigint()).unwrap();
                let mut sum = Fr::ZERO;
                for window in (0..windows.count()).rev() {
                    let digit = windows.digit(&recoded, window);
                    assert!((-buckets..=buckets).contains(&digit), "{width} {scalar}");
                    assert!(window < recoded.used || digit == 0, "{width} {scalar}");
                    sum = sum * Fr::from(1_u64 << width) + Fr::from(digit);
                }
                let sum = if recoded.negative { -sum } else { sum };
                assert_eq!(sum, *scalar, "width {width}");
            }
        }
    }

    #[test]
    fn small_numbers_of_either_sign_have_one_digit() {
        let windows = Windows::new(13);
        for value in [1_i64, -1, 255, -255, 4095, -4095] {
            let recoded = windows.recode(&Fr::from(value).into_bigint()).unwrap();
            assert_eq!(recoded.used, 1);
            assert_eq!(recoded.negative, value < 0);
            assert_eq!(i64::from(windows.digit(&recoded, 0)), value.abs());
        }
        assert!(windows.recode(&BigInt::zero()).is_none());
    }

    #[test]
    fn only_integers_below_the_order_are_scalars() {
        assert!(is_canonical(&BigInt::zero()));
        assert!(is_canonical(&(-Fr::ONE).into_bigint()));
        assert!(!is_canonical(&Fr::MODULUS));
        assert!(!is_canonical(&BigInt([u64::MAX; 4])));
    }
}

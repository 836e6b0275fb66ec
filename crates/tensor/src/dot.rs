//! The inner product that all linear operators are made of.

/// Terms summed in 32 bits: 2^15 · 2^9 · 64 = 2^30.
const RUN: usize = 64;

/// Largest absolute value of a factor on the right of [`dot`].
pub const MAX_FACTOR: i16 = 511;

/// `Σ left · right` over the shorter length. Exact for any left side and a right side of absolute
/// values up to [`MAX_FACTOR`]: what an 8-bit weight less its zero point is, twice over.
pub fn dot(left: &[i16], right: &[i16]) -> i64 {
    let mut total = 0_i64;
    for (left, right) in left.chunks(RUN).zip(right.chunks(RUN)) {
        // Cannot wrap, by the bounds; said so that the loop is one of vector instructions.
        let mut sum = 0_i32;
        for (&a, &b) in left.iter().zip(right) {
            sum = sum.wrapping_add(i32::from(a).wrapping_mul(i32::from(b)));
        }
        total += i64::from(sum);
    }
    total
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn extremes_of_any_length_are_exact() {
        for len in [0, 1, 63, 64, 65, 1000, 70_000] {
            for (a, b) in [
                (i16::MIN, MAX_FACTOR),
                (i16::MIN, -MAX_FACTOR),
                (i16::MAX, MAX_FACTOR),
                (255, -255),
            ] {
                let sum = i64::from(a) * i64::from(b) * i64::try_from(len).unwrap();
                assert_eq!(dot(&vec![a; len], &vec![b; len]), sum);
                assert_eq!(dot(&vec![a; len + 3], &vec![b; len]), sum);
            }
        }
        let left: Vec<i16> = (0..999).map(|i| i * 31 % 255 - 127).collect();
        let right: Vec<i16> = (0..999).map(|i| i * 17 % 511 - 255).collect();
        let wide = left.iter().zip(&right);
        let truth: i64 = wide.map(|(&a, &b)| i64::from(a) * i64::from(b)).sum();
        assert_eq!(dot(&left, &right), truth);
    }
}

//! Softmax in integers: an exponential table over the distance from the largest element, a sum,
//! and one division.
//!
//! `y = ⌊(2·a·e + b·s) / (2·b·s)⌋` with `e = round(E · exp(−scale · (max − x)))`, `s = Σ e`, and
//! `a/b` the steps of the output that the probability 1 has. `E` is as large as int32 admits, so
//! that the quotient is off by some 2^-14 of a step at most; where the runtime's float arithmetic
//! rounds to the other side of a middle, the two differ by one step.

use crate::num::{f64_of, f64_of_i64, i64_of};

/// The numbers of one integer softmax.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Exponential {
    /// `round(E · exp(−scale · d))` at `d = 255, 254 … 0`; the last is `E`.
    pub(super) table: Vec<i32>,
    /// Numerator of the output's steps for the probability 1.
    pub(super) numerator: i32,
    /// Its denominator, a power of two.
    pub(super) denominator: i32,
    /// Elements of a sum.
    pub(super) length: i32,
}

/// Largest denominator: more costs more precision than it gains.
const MOST: i64 = 64;

impl Exponential {
    /// For elements of this scale, `length` of them in a sum, and `steps` of the output for the
    /// probability 1. `None` where int32 leaves less than 12 bits of precision.
    pub(super) fn new(scale: f32, length: usize, steps: f64) -> Option<Self> {
        let mut denominator = 1_i64;
        while (f64_of_i64(denominator) * steps).fract() != 0.0 && denominator < MOST {
            denominator *= 2;
        }
        let numerator = i64_of((f64_of_i64(denominator) * steps).round());
        let length = i64::try_from(length).ok()?;
        let limit = i64::from(i32::MAX);
        let divisor = (2 * numerator).checked_add(denominator.checked_mul(length)?)?;
        let largest = (limit / divisor).min(limit / (2 * denominator * length));
        if largest < 1 << 12 || numerator < 1 {
            return None;
        }
        let at = |d: usize| {
            let exact = (-f64::from(scale) * f64_of(d)).exp() * f64_of_i64(largest);
            i32::try_from(i64_of(exact.round_ties_even())).ok()
        };
        Some(Self {
            table: (0..256).rev().map(at).collect::<Option<_>>()?,
            numerator: i32::try_from(numerator).ok()?,
            denominator: i32::try_from(denominator).ok()?,
            length: i32::try_from(length).ok()?,
        })
    }

    /// The exponential of the largest element itself.
    pub(super) fn largest(&self) -> i32 {
        self.table.last().copied().unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The quotient, as the nodes compute it in int32.
    fn quotients(made: &Exponential, row: &[i32]) -> Vec<i32> {
        let most = row.iter().max().unwrap();
        let at = |x: &i32| made.table[usize::try_from(255 + x - most).unwrap()];
        let sum: i32 = row.iter().map(at).sum();
        let den = 2 * made.denominator * sum;
        row.iter()
            .map(|x| (2 * made.numerator * at(x) + made.denominator * sum) / den)
            .collect()
    }

    #[test]
    fn quotients_are_near_and_nothing_overflows() {
        for (scale, steps) in [
            (0.5, 256.0),
            (0.1, 255.0),
            (0.02, 322.58),
            (1e-4, 256.0),
            (9.0, 128.0),
        ] {
            for length in [2, 3, 10, 100, 2000] {
                let made = Exponential::new(scale, length, steps).unwrap();
                assert_eq!(made.table.len(), 256);
                // All as large as can be, all but one as small as can be, and a ramp.
                let ramp = |i: usize| i32::try_from(i * 7 % 256).unwrap();
                let one = |i: usize| if i == 0 { 255 } else { 0 };
                let rows: [Vec<i32>; 3] = [
                    vec![200; length],
                    (0..length).map(one).collect(),
                    (0..length).map(ramp).collect(),
                ];
                for row in rows {
                    let most = *row.iter().max().unwrap();
                    let e = |x: &i32| (-f64::from(scale) * f64::from(most - x)).exp();
                    let sum: f64 = row.iter().map(e).sum();
                    for (x, q) in row.iter().zip(quotients(&made, &row)) {
                        let exact = e(x) / sum * steps;
                        let off = (f64::from(q) - exact).abs();
                        // Half a step, and what rounding the exponentials adds.
                        let most = 0.501 + 3e-5 * f64_of(length);
                        assert!(off < most, "{scale} {length} {exact} {q}");
                    }
                }
            }
        }
    }

    #[test]
    fn precision_is_demanded() {
        assert!(Exponential::new(0.1, 10, 0.0).is_none());
        assert!(Exponential::new(0.1, 1 << 20, 256.0).is_none());
        assert!(Exponential::new(0.1, 10, 1e12).is_none());
        assert_eq!(Exponential::new(0.1, 10, 255.25).unwrap().denominator, 4);
    }
}

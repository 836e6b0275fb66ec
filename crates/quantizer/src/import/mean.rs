//! What the runtime makes of the mean of a window of 8-bit elements, as a function of their
//! integer sum; and for which sums it is no such function.
//!
//! The runtime dequantizes every element to float32, adds, divides, and quantizes. Each of these
//! rounds, so that two windows of one sum may give two results. They can differ only where the
//! exact mean lies next to the middle between two outputs. An error bound settles all other sums;
//! what is left is settled exhaustively: float addition is monotone, so the smallest and the
//! largest float that any window of a given sum adds up to are found one element at a time.

use proofmark_tensor::Requantize;

use super::value::{Grid, Target};
use crate::num::{f32_of, f32_of_i64, f64_of, f64_of_i64, i64_of, round_to};

/// Most elements of a window whose float sums are searched exhaustively (a second of work).
const EXHAUSTIVE: usize = 64;

/// How the runtime computes the mean.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kernel {
    /// `QLinearAveragePool`: element after element, one division, the zero point added as a float.
    Pool,
    /// A float `AveragePool`, `GlobalAveragePool` or `ReduceMean` between `DequantizeLinear` and
    /// `QuantizeLinear`: any order of additions, a division or a product with the reciprocal.
    Float,
}

/// The mean of a window.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Mean {
    /// Scale and zero point of the elements, of the output's type.
    pub(super) from: Grid,
    /// Of the output.
    pub(super) to: Target,
    /// Elements of the window that are not padding.
    pub(super) taps: usize,
    /// What their sum is divided by.
    pub(super) divisor: usize,
    pub(super) kernel: Kernel,
}

/// The outputs at each sum `Σ (x − zero point)`, from the smallest possible one on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Sums {
    /// The smallest sum.
    pub(super) first: i64,
    /// The smallest and largest output of the runtime over all windows of each sum.
    pub(super) range: Vec<(i32, i32)>,
}

impl Sums {
    /// Sums at which the runtime gives more than one output.
    pub(super) fn ambiguous(&self) -> usize {
        self.range.iter().filter(|(lo, hi)| lo != hi).count()
    }
}

/// A requantize of the sum `Σ (x − zero point)`: `QLinearConv` with weights 1.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Rescale {
    /// The one scale.
    pub(super) multiplier: f32,
    /// Added to each sum.
    pub(super) bias: i32,
    /// Zero point of the output.
    pub(super) zero_point: i32,
    /// Sums at which it is not the runtime's only output.
    pub(super) wrong: usize,
}

impl Mean {
    /// The requantize that gives the runtime's outputs, at all sums where there is one.
    pub(super) fn rescale(&self, sums: &Sums) -> Option<Rescale> {
        let (from, to) = (self.from.scale, self.to.grid);
        let divisor = f32_of_i64(i64::try_from(self.divisor).ok()?);
        let exact = f64::from(from) / f64::from(to.scale) / f64_of(self.divisor);
        let near = [
            f32_of(exact),
            from / (to.scale * divisor),
            from / divisor / to.scale,
        ];
        let mut tried: Vec<(f32, i32, i32)> = Vec::new();
        for multiplier in near {
            // Some steps to both sides, since ties of the exact mean go by the last bit.
            let down = std::iter::successors(Some(multiplier), |m| Some(m.next_down()));
            let up = std::iter::successors(Some(multiplier.next_up()), |m| Some(m.next_up()));
            for multiplier in down.take(4).chain(up.take(3)) {
                tried.push((multiplier, 0, to.zero_point));
                // Half to even goes by the output with its zero point, which then has to be in
                // the sum.
                let bias = (f64::from(to.zero_point) / exact).round();
                let near = (bias * exact - f64::from(to.zero_point)).abs() < 1e-6;
                if near && bias != 0.0 && bias.abs() < f64::from(1 << 24) {
                    tried.push((multiplier, round_to(bias, i32::MIN, i32::MAX), 0));
                }
            }
        }
        let wrong = |&(multiplier, bias, zero_point): &(f32, i32, i32)| {
            let requantize = Requantize::new(multiplier, zero_point, self.to.elem).ok()?;
            let right = |(sum, range): (i64, &(i32, i32))| {
                let y = i32::try_from(sum)
                    .ok()
                    .map(|sum| requantize.apply(sum + bias));
                y.is_some_and(|y| *range == (y, y))
            };
            let sums = (sums.first..).zip(&sums.range);
            Some(Rescale {
                multiplier,
                bias,
                zero_point,
                wrong: sums.filter(|&sum| !right(sum)).count(),
            })
        };
        let made = tried.iter().filter(|(m, ..)| m.is_normal() && *m > 0.0);
        made.filter_map(wrong).min_by_key(|made| made.wrong)
    }

    /// Distances of the type's ends from the elements' zero point: below and above.
    fn reach(&self) -> (i64, i64) {
        let zero = i64::from(self.from.zero_point);
        let (lo, hi) = (i64::from(self.to.elem.min()), i64::from(self.to.elem.max()));
        (zero - lo, hi - zero)
    }

    /// Whether no float on the way is so large or so small that its relative error grows.
    pub(super) fn in_range(&self) -> bool {
        let usual = |scale: f32| (1e-25..=1e25).contains(&scale);
        let ratio = self.from.scale / self.to.grid.scale;
        usual(self.from.scale) && usual(self.to.grid.scale) && usual(ratio)
    }

    fn clamp(&self, y: i64) -> i32 {
        let (lo, hi) = (self.to.elem.min(), self.to.elem.max());
        i32::try_from(y.clamp(i64::from(lo), i64::from(hi))).unwrap_or(lo)
    }

    /// The output for an exact mean, counted in steps of the output's scale from its zero point.
    fn output(&self, mean: f64) -> i32 {
        let zero = f64::from(self.to.grid.zero_point);
        match self.kernel {
            Kernel::Pool => self.clamp(i64_of((mean + zero).round_ties_even())),
            Kernel::Float => self.clamp(i64_of(mean.round_ties_even() + zero)),
        }
    }

    /// The outputs at every sum.
    pub(super) fn sums(&self) -> Sums {
        let taps = i64::try_from(self.taps).unwrap_or(i64::MAX);
        let (below, above) = self.reach();
        let step =
            f64::from(self.from.scale) / f64::from(self.to.grid.scale) / f64_of(self.divisor);
        let unit = f64::from(f32::EPSILON) / 2.0;
        let mut sums = Sums {
            first: -below * taps,
            range: Vec::new(),
        };
        for sum in -below * taps..=above * taps {
            let exact = f64_of_i64(sum) * step;
            // Σ |x − zero point| is largest when every element lies at an end of its type.
            let positive = f64_of_i64(above * (sum + below * taps)) / f64_of_i64(below + above);
            let magnitude = 2.0 * positive - f64_of_i64(sum);
            // One rounding an element, one an addition, and at most five behind the sum.
            let zero = f64::from(self.to.grid.zero_point).abs();
            let error = unit
                * 1.001
                * (f64_of(self.taps + 1) * magnitude * step + 5.0 * (exact.abs() + zero + 1.0));
            sums.range
                .push((self.output(exact - error), self.output(exact + error)));
        }
        if self.kernel == Kernel::Pool && self.taps <= EXHAUSTIVE && sums.ambiguous() > 0 {
            for (range, (lo, hi)) in sums.range.iter_mut().zip(self.extremes()) {
                *range = (self.quantize(lo), self.quantize(hi));
            }
        }
        sums
    }

    /// What `QLinearAveragePool` makes of a float sum.
    fn quantize(&self, sum: f32) -> i32 {
        let divisor = f32_of_i64(i64::try_from(self.divisor).unwrap_or(i64::MAX));
        let mean = sum / divisor / self.to.grid.scale;
        let zero = f32_of_i64(i64::from(self.to.grid.zero_point));
        round_to(
            f64::from(mean + zero),
            self.to.elem.min(),
            self.to.elem.max(),
        )
    }

    /// The smallest and largest float sum of the windows of each integer sum, added one element
    /// after the other. Rounding is monotone, so the extreme over all windows that end with a given
    /// element comes from the extreme of what stands in front of it.
    fn extremes(&self) -> Vec<(f32, f32)> {
        let (below, above) = self.reach();
        let values: Vec<f32> = (-below..=above)
            .map(|x| self.from.scale * f32_of_i64(x))
            .collect();
        let mut lo = vec![0.0_f32];
        let mut hi = vec![0.0_f32];
        for _ in 0..self.taps {
            let len = lo.len() + values.len() - 1;
            let mut least = vec![f32::INFINITY; len];
            let mut most = vec![f32::NEG_INFINITY; len];
            for (at, &value) in values.iter().enumerate() {
                for (to, &from) in least[at..].iter_mut().zip(&lo) {
                    *to = to.min(from + value);
                }
                for (to, &from) in most[at..].iter_mut().zip(&hi) {
                    *to = to.max(from + value);
                }
            }
            (lo, hi) = (least, most);
        }
        lo.into_iter().zip(hi).collect()
    }
}

#[cfg(test)]
mod tests {
    use proofmark_types::ElemType;

    use super::*;

    fn mean(scales: (f32, f32), zeros: (i32, i32), elem: ElemType, taps: usize) -> Mean {
        let grid = |scale, zero_point| Grid { scale, zero_point };
        Mean {
            from: grid(scales.0, zeros.0),
            to: Target {
                grid: grid(scales.1, zeros.1),
                elem,
            },
            taps,
            divisor: taps,
            kernel: Kernel::Pool,
        }
    }

    #[test]
    fn two_elements_against_every_pair() {
        for (scales, zeros, elem) in [
            ((0.0123, 0.0091), (7, 11), ElemType::Uint8),
            ((0.0123, 0.0123), (100, 101), ElemType::Uint8),
            ((0.25, 0.25), (-3, 4), ElemType::Int8),
            ((0.031, 0.0313), (-128, 127), ElemType::Int8),
        ] {
            let mean = mean(scales, zeros, elem, 2);
            let sums = mean.sums();
            assert_eq!(sums.range.len(), 511);
            let mut seen = vec![(i32::MAX, i32::MIN); 511];
            for a in elem.min()..=elem.max() {
                for b in elem.min()..=elem.max() {
                    let float = |x: i32| scales.0 * f32_of_i64(i64::from(x - zeros.0));
                    let sum = float(a) + float(b);
                    let y = sum / 2.0 / scales.1;
                    let y = (y + f32_of_i64(i64::from(zeros.1))).round_ties_even();
                    let y = round_to(f64::from(y), elem.min(), elem.max());
                    let at = usize::try_from(a + b - 2 * elem.min()).unwrap();
                    seen[at] = (seen[at].0.min(y), seen[at].1.max(y));
                }
            }
            assert_eq!(sums.first, i64::from(2 * (elem.min() - zeros.0)));
            assert_eq!(sums.range, seen, "{scales:?}");
        }
    }

    #[test]
    fn the_bound_holds_what_the_search_finds() {
        for taps in [3, 4, 9] {
            for scales in [(0.0123_f32, 0.0091_f32), (0.02, 0.02), (1.7e-3, 9.1e-4)] {
                let pool = mean(scales, (128, 3), ElemType::Uint8, taps);
                let bound = Mean {
                    kernel: Kernel::Float,
                    ..pool
                };
                let (searched, bounded) = (pool.sums(), bound.sums());
                assert!(bounded.ambiguous() >= searched.ambiguous());
                for (a, b) in searched.range.iter().zip(&bounded.range) {
                    assert!(b.0 <= a.0 && a.1 <= b.1, "{a:?} {b:?}");
                }
                // Outside of ties, nearly every sum has one output.
                if scales.0.to_bits() != scales.1.to_bits() {
                    assert!(bounded.ambiguous() <= 4, "{}", bounded.ambiguous());
                }
            }
        }
        // Even windows on one scale have ties, odd ones do not.
        let ties = |taps| mean((0.02, 0.02), (0, 0), ElemType::Uint8, taps).sums();
        assert!(ties(4).ambiguous() > 100);
        assert_eq!(ties(9).ambiguous(), 0);
        // On a power of two nothing is rounded before the output.
        let exact = mean((0.125, 0.125), (0, 0), ElemType::Uint8, 4).sums();
        assert_eq!(exact.ambiguous(), 0);
    }

    #[test]
    fn a_requantize_of_the_sum_gives_every_output() {
        for taps in [2, 3, 4, 6, 9, 16] {
            for (scales, zeros, elem) in [
                ((0.012_345_f32, 0.009_111_f32), (7, 11), ElemType::Uint8),
                ((0.031_001, 0.031_332), (-128, 127), ElemType::Int8),
                // Ties on odd zero points.
                ((0.25, 0.25), (-3, 5), ElemType::Int8),
                ((0.5, 0.5), (129, 127), ElemType::Uint8),
            ] {
                let mean = mean(scales, zeros, elem, taps);
                let sums = mean.sums();
                let made = mean.rescale(&sums).unwrap();
                assert_eq!(made.wrong, sums.ambiguous(), "{taps} {scales:?} {made:?}");
                assert!(made.wrong <= 1, "{taps} {scales:?} {made:?}");
                if scales.0.to_bits() == scales.1.to_bits() {
                    assert_eq!(made.wrong, 0);
                }
            }
        }
    }
}

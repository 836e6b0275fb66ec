//! How real numbers become integers: scales, zero points, shifts and weights.
//!
//! Activations are uint8 and every requantize is a shift by `k`: with input scale `s_x`, output
//! scale `s_y` and weights `w` of one output channel, `w_q = round(w · s_x · 2^k / s_y)`, so that
//! `y_q = acc / 2^k`. Weights stand as `w_q + 128` beside a zero point of 128. A signed output
//! keeps its zero point at 0 in the node; the true zero point `z` rides in the bias as `z · 2^k`.

use crate::error::QuantizeError;
use crate::num::{f32_of, round_to};
use crate::observe::Stats;

/// Largest magnitude of a quantized weight.
const MAX_WEIGHT: f64 = 127.0;
/// Largest shift whose formula is exact.
const MAX_SHIFT: u32 = 15;
/// Biases beyond this saturate the output whatever the products are.
const MAX_BIAS: i32 = 1 << 30;

/// Real value of a uint8 tensor: `scale · (q − zero)`, one pair for all or one an index of
/// dimension 1.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Quant {
    pub(crate) scale: Vec<f64>,
    pub(crate) zero: Vec<i32>,
}

impl Quant {
    pub(crate) fn uniform(scale: f64, zero: i32) -> Self {
        Self {
            scale: vec![scale],
            zero: vec![zero],
        }
    }

    /// Scale and zero point of a channel.
    pub(crate) fn at(&self, channel: usize) -> (f64, i32) {
        let index = if self.scale.len() == 1 { 0 } else { channel };
        (
            self.scale.get(index).copied().unwrap_or(1.0),
            self.zero.get(index).copied().unwrap_or_default(),
        )
    }

    /// The one pair of the whole tensor.
    pub(crate) fn single(&self) -> Option<(f64, i32)> {
        match (self.scale.as_slice(), self.zero.as_slice()) {
            (&[scale], &[zero]) => Some((scale, zero)),
            _ => None,
        }
    }

    /// The one zero point of all channels.
    pub(crate) fn common_zero(&self) -> Option<i32> {
        let first = *self.zero.first()?;
        self.zero.iter().all(|&z| z == first).then_some(first)
    }
}

/// A convolution or matrix product, row by row.
pub(crate) struct Linear<'a> {
    /// `[outputs][row]`.
    pub(crate) weight: &'a [f64],
    pub(crate) bias: &'a [f64],
    /// Weights of a row that share an input channel.
    pub(crate) taps: usize,
    pub(crate) outputs_per_group: usize,
    pub(crate) padded: bool,
    pub(crate) relu: bool,
    pub(crate) input: &'a Quant,
    pub(crate) input_stats: &'a Stats,
}

/// A quantized layer.
pub(crate) struct Quantized {
    /// `w_q`, −128 … 127, `[outputs][row]`.
    pub(crate) weight: Vec<i32>,
    pub(crate) bias: Vec<i32>,
    /// One shift an output channel; empty for logits.
    pub(crate) shifts: Vec<u32>,
    pub(crate) input_zero: i32,
    pub(crate) output: Quant,
}

impl Linear<'_> {
    fn row_len(&self) -> usize {
        (self.weight.len() / self.bias.len().max(1)).max(1)
    }

    /// First input channel of an output's group.
    fn first_channel(&self, output: usize) -> usize {
        output / self.outputs_per_group.max(1) * (self.row_len() / self.taps.max(1))
    }

    /// The weights of an output, each times the scale of the channel it meets, with that channel.
    fn row(&self, output: usize) -> Vec<(f64, usize)> {
        let len = self.row_len();
        let first = self.first_channel(output);
        self.weight
            .iter()
            .skip(output * len)
            .take(len)
            .enumerate()
            .map(|(index, &w)| {
                let channel = first + index / self.taps.max(1);
                (w * self.input.at(channel).0, channel)
            })
            .collect()
    }

    /// Mean and mean square of `x / s_x` on a channel.
    fn moments(&self, channel: usize) -> (f64, f64) {
        let scale = self.input.at(channel).0;
        let of = |values: &[f64]| values.get(channel).copied().unwrap_or_default();
        (
            of(&self.input_stats.mean) / scale,
            of(&self.input_stats.square) / (scale * scale),
        )
    }

    /// Rounds a row to integers of unit `unit`; the expected square of what that changes, and the
    /// expected change itself, both in units.
    fn round(&self, row: &[(f64, usize)], unit: f64) -> (Vec<i32>, f64, f64) {
        let (mut square, mut mean) = (0.0, 0.0);
        let weights = row
            .iter()
            .map(|&(w, channel)| {
                let exact = w / unit;
                let q = round_to(exact, -127, 127);
                let (first, second) = self.moments(channel);
                let error = exact - f64::from(q);
                square += error * error * second;
                mean += error * first;
                q
            })
            .collect();
        (weights, square, mean)
    }

    fn largest(&self) -> f64 {
        (0..self.bias.len())
            .flat_map(|output| self.row(output))
            .fold(0.0, |most, (w, _)| f64::max(most, w.abs()))
    }

    /// The bias in accumulator units, input zero points taken in where they are not the node's.
    /// Checks that no accumulator leaves int32.
    fn settle_bias(
        &self,
        node: &str,
        output: usize,
        exact: f64,
        weights: &[i32],
        input_zero: i32,
    ) -> Result<i32, QuantizeError> {
        let mut bias = i64::from(round_to(exact, -MAX_BIAS, MAX_BIAS));
        let first = self.first_channel(output);
        let mut bound = 0_i64;
        for (index, &w) in weights.iter().enumerate() {
            let (_, zero) = self.input.at(first + index / self.taps.max(1));
            bias -= i64::from(w) * i64::from(zero - input_zero);
            bound += i64::from(w.abs()) * i64::from(input_zero.max(255 - input_zero));
        }
        bound += bias.abs();
        let refuse = || QuantizeError::Accumulator {
            node: node.to_owned(),
            bound,
        };
        if bound > i64::from(i32::MAX) {
            return Err(refuse());
        }
        i32::try_from(bias).map_err(|_| refuse())
    }

    /// The zero point that the node names for its input.
    fn input_zero(&self, node: &str) -> Result<i32, QuantizeError> {
        match self.input.common_zero() {
            Some(zero) => Ok(zero),
            None if !self.padded => Ok(0),
            None => Err(QuantizeError::Internal {
                reason: format!("layer {node:?} pads a tensor of several zero points"),
            }),
        }
    }

    /// Quantizes to uint8 outputs through a shift.
    pub(crate) fn to_uint8(&self, node: &str, stats: &Stats) -> Result<Quantized, QuantizeError> {
        let input_zero = self.input_zero(node)?;
        let (lo, hi) = stats.range(self.relu);
        // The smallest shift is 1, and there every weight must fit.
        let least = self.largest() * 2.0 / MAX_WEIGHT;
        let wanted = ((hi - lo) / 255.0).max(least);
        let wanted = if wanted.is_normal() { wanted } else { 1.0 };
        let scale = self
            .gains()
            .map_or(wanted, |gains| exact_scale(&gains, wanted));
        let zero = if lo < 0.0 {
            round_to(-lo / scale, 0, 255)
        } else {
            0
        };
        let mut made = Quantized {
            weight: Vec::with_capacity(self.weight.len()),
            bias: Vec::with_capacity(self.bias.len()),
            shifts: Vec::with_capacity(self.bias.len()),
            input_zero,
            output: Quant::uniform(scale, zero),
        };
        for (output, &b) in self.bias.iter().enumerate() {
            let row = self.row(output);
            let unit = |shift: u32| scale / f64::from(1_u32 << shift);
            let largest = row.iter().fold(0.0, |most, (w, _)| f64::max(most, w.abs()));
            let fits = |shift: &u32| largest / unit(*shift) <= MAX_WEIGHT + 0.5;
            let widest = (1..=MAX_SHIFT).rev().find(fits).unwrap_or(1);
            // One step finer clips the largest weights and halves the rounding of all others.
            let (mut shift, mut rounded) = (widest, self.round(&row, unit(widest)));
            if widest < MAX_SHIFT {
                let finer = self.round(&row, unit(widest + 1));
                if finer.1 * unit(widest + 1).powi(2) < rounded.1 * unit(widest).powi(2) {
                    (shift, rounded) = (widest + 1, finer);
                }
            }
            let (weights, _, mean) = rounded;
            let carried = f64::from(zero) * f64::from(1_u32 << shift);
            let exact = b / unit(shift) + mean + carried;
            made.bias
                .push(self.settle_bias(node, output, exact, &weights, input_zero)?);
            made.weight.extend(weights);
            made.shifts.push(shift);
        }
        Ok(made)
    }

    /// Quantizes to int32 outputs of one scale, which is a float32.
    pub(crate) fn to_int32(&self, node: &str) -> Result<Quantized, QuantizeError> {
        let input_zero = self.input_zero(node)?;
        let rows: Vec<_> = (0..self.bias.len())
            .map(|output| self.row(output))
            .collect();
        let largest = self.largest();
        let mut unit = 0.0;
        let mut least = f64::INFINITY;
        for step in 0..40_u32 {
            let tried = f64::from(f32_of(
                largest * (1.0 - 0.01 * f64::from(step)) / MAX_WEIGHT,
            ));
            let tried = if tried > 0.0 && tried.is_finite() {
                tried
            } else {
                1.0
            };
            let error: f64 = rows.iter().map(|row| self.round(row, tried).1).sum();
            let error = error * tried * tried;
            if error < least || unit == 0.0 {
                least = error;
                unit = tried;
            }
        }
        let mut made = Quantized {
            weight: Vec::with_capacity(self.weight.len()),
            bias: Vec::with_capacity(self.bias.len()),
            shifts: Vec::new(),
            input_zero,
            output: Quant::uniform(unit, 0),
        };
        for (output, (row, &b)) in rows.iter().zip(self.bias).enumerate() {
            let (weights, _, mean) = self.round(row, unit);
            let exact = b / unit + mean;
            made.bias
                .push(self.settle_bias(node, output, exact, &weights, input_zero)?);
            made.weight.extend(weights);
        }
        Ok(made)
    }

    /// The at most two gains of a layer that only passes on, averages or adds: the same in every
    /// row. There an inexact weight is an error that does not average out.
    fn gains(&self) -> Option<Vec<f64>> {
        let mut gains: Vec<f64> = Vec::new();
        for output in 0..self.bias.len() {
            for (w, _) in self.row(output) {
                let w = w.abs();
                let known = gains.iter().any(|g| (g - w).abs() <= 1e-6 * g);
                if w > 0.0 && !known {
                    gains.push(w);
                    if gains.len() > 2 {
                        return None;
                    }
                }
            }
        }
        gains.sort_by(|a, b| b.total_cmp(a));
        (!gains.is_empty()).then_some(gains)
    }
}

/// The output scale, at least `wanted` and at most 8 % above, at which the gains (largest first)
/// come nearest to integers over a power of two.
fn exact_scale(gains: &[f64], wanted: f64) -> f64 {
    let Some(&largest) = gains.first() else {
        return wanted;
    };
    let mut best = (f64::INFINITY, wanted);
    for shift in 1..=MAX_SHIFT {
        for weight in 64..=127_u32 {
            let scale = largest * f64::from(1_u32 << shift) / f64::from(weight);
            if scale < wanted || scale > wanted * 1.08 {
                continue;
            }
            let error = gains
                .iter()
                .map(|gain| {
                    let exact = gain * f64::from(1_u32 << shift) / scale;
                    (exact - exact.round()).abs()
                })
                .fold(0.0, f64::max);
            // Errors below a thousandth of a weight step do not matter; then the finer scale wins.
            let error = (error * 1000.0).floor();
            if error < best.0 || (error <= best.0 && scale < best.1) {
                best = (error, scale);
            }
        }
    }
    best.1
}

/// How the float values of an input become uint8.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct InputParameters {
    pub(crate) scale: f32,
    pub(crate) zero: i32,
    /// Whether every value seen is kept exactly.
    pub(crate) lossless: bool,
    /// The share of the 255 steps that the values seen span.
    pub(crate) used: f64,
}

/// Scale and zero point for the float values of an input, or of one of its features.
pub(crate) fn input_parameters<I: Iterator<Item = f32> + Clone>(values: &I) -> InputParameters {
    let mut lo = f32::INFINITY;
    let mut hi = f32::NEG_INFINITY;
    for value in values.clone() {
        lo = lo.min(value);
        hi = hi.max(value);
    }
    let spread = f64::from(hi) - f64::from(lo);
    (lo, hi) = (lo.min(0.0), hi.max(0.0));
    let made = |scale: f32, zero: i32, lossless: bool| InputParameters {
        scale,
        zero,
        lossless,
        used: spread / f64::from(scale) / 255.0,
    };
    // Values on a known grid are kept as they are: integers, and pixels divided by 255.
    for step in [1.0, 255.0] {
        let on_grid = |v: f32| {
            let scaled = f64::from(v) * step;
            let near = scaled.round();
            (scaled - near).abs() <= 1e-6 * near.abs()
        };
        let (low, high) = (f64::from(lo) * step, f64::from(hi) * step);
        let span = if lo < 0.0 {
            (-128.0, 127.0)
        } else {
            (0.0, 255.0)
        };
        if low.round() >= span.0 && high.round() <= span.1 && values.clone().all(on_grid) {
            return made(f32_of(1.0 / step), if lo < 0.0 { 128 } else { 0 }, true);
        }
    }
    let scale = f32_of((f64::from(hi) - f64::from(lo)) / 255.0);
    if !scale.is_normal() {
        return made(1.0, 0, false);
    }
    let zero = round_to(f64::from(-lo) / f64::from(scale), 0, 255);
    made(scale, zero, false)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pair(values: &[f32]) -> (f32, i32, bool) {
        let made = input_parameters(&values.iter().copied());
        (made.scale, made.zero, made.lossless)
    }

    #[test]
    fn inputs_on_a_grid_are_lossless() {
        assert_eq!(pair(&[0.0, 16.0, 3.0]), (1.0, 0, true));
        assert_eq!(pair(&[-3.0, 16.0]), (1.0, 128, true));
        let pixels: Vec<f32> = (0..=200_u8).map(|p| f32::from(p) / 255.0).collect();
        assert_eq!(pair(&pixels), (1.0 / 255.0, 0, true));
        for (p, value) in (0_u8..).zip(pixels) {
            let q = (value / (1.0_f32 / 255.0)).round_ties_even();
            assert!((q - f32::from(p)).abs() < 1e-9);
        }
    }

    #[test]
    fn other_inputs_span_their_range_and_zero() {
        let (scale, zero, lossless) = pair(&[-1.3, 2.0]);
        assert!((f64::from(scale) - 3.3 / 255.0).abs() < 1e-6 && !lossless);
        assert_eq!(zero, 100);
        assert_eq!(pair(&[0.0, 0.0]), (1.0, 0, true));
        assert!(pair(&[f32::MIN, f32::MAX]).0.is_finite());
        // Small values are on no grid: they are not all 0.
        assert!((pair(&[1e-4, 0.0, 5e-4]).0 - 5e-4 / 255.0).abs() < 1e-12);
        assert!((pair(&[300.0, 0.0]).0 - 300.0 / 255.0).abs() < 1e-6);
        let far = input_parameters(&[1000.0, 1001.0].into_iter());
        assert!(far.used < 0.01);
    }

    #[test]
    fn the_scale_makes_gains_exact() {
        let scale = exact_scale(&[0.25], 0.9);
        let exact = (1..=15).any(|k: i32| {
            let w = 0.25 * 2.0_f64.powi(k) / scale;
            (64.0..=127.0).contains(&w) && (w - w.round()).abs() < 1e-9
        });
        assert!(exact && (0.9..=0.9 * 1.08).contains(&scale), "{scale}");
        let scale = exact_scale(&[0.03, 0.017], 0.04);
        // 90 / 128 and 51 / 128 of it.
        assert!((scale - 0.03 * 128.0 / 90.0).abs() < 1e-12, "{scale}");
        assert!((0.017 * 128.0 / scale - 51.0).abs() < 1e-9, "{scale}");
    }
}

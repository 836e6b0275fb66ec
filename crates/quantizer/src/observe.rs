//! What the tensors of the float network hold on the calibration samples.

use std::collections::BTreeMap;

use proofmark_onnx::encode;
use proofmark_runtime::{FloatSession, FloatTensor, OptLevel};

use crate::Calibration;
use crate::error::QuantizeError;
use crate::net::Net;
use crate::num::{f64_of, index_of};

const BINS: usize = 2048;

/// Statistics of one tensor over all samples.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Stats {
    pub(crate) min: f64,
    pub(crate) max: f64,
    /// Mean and mean square per index of dimension 1.
    pub(crate) mean: Vec<f64>,
    pub(crate) square: Vec<f64>,
    /// Counts over `BINS` equal parts of `min ..= max`.
    bins: Vec<u64>,
}

/// Runs the float network over the samples, twice: ranges and moments first, then histograms.
pub(crate) fn observe(
    net: &Net,
    calibration: &Calibration,
) -> Result<BTreeMap<String, Stats>, QuantizeError> {
    let samples = check(net, calibration)?;
    let session = FloatSession::load(&encode(&net.to_onnx()), OptLevel::DisableAll)?;
    let mut stats: BTreeMap<String, Stats> = BTreeMap::new();
    for second in [false, true] {
        for sample in 0..samples {
            let inputs = feeds(net, calibration, sample)?;
            let made = session.run(&inputs)?;
            for (name, tensor) in inputs.iter().chain(&made) {
                if tensor.data.iter().any(|v| !v.is_finite()) {
                    return Err(QuantizeError::NotFinite {
                        value: name.clone(),
                        sample,
                    });
                }
                let channels = net.shape(name).get(1).copied().unwrap_or(1);
                let entry = stats
                    .entry(name.clone())
                    .or_insert_with(|| Stats::new(channels));
                if second {
                    entry.count(tensor);
                } else {
                    entry.add(tensor);
                }
            }
        }
    }
    for (name, entry) in &mut stats {
        let shape = net.shape(name);
        let channels = shape.get(1).copied().unwrap_or(1).max(1);
        let total: usize = shape.iter().product();
        let each = f64_of(samples) * f64_of(total / channels);
        for sum in entry.mean.iter_mut().chain(&mut entry.square) {
            *sum /= each;
        }
    }
    Ok(stats)
}

/// Number of samples, the same for every input, each of the input's size and finite.
fn check(net: &Net, calibration: &Calibration) -> Result<usize, QuantizeError> {
    let refuse = |input: &str, reason: String| {
        Err(QuantizeError::Calibration {
            input: input.to_owned(),
            reason,
        })
    };
    let mut count = None;
    for input in &net.inputs {
        let Some(samples) = calibration.inputs.get(input) else {
            return refuse(
                input,
                "there is none; give samples for every input".to_owned(),
            );
        };
        if samples.is_empty() {
            return refuse(input, "there is no sample; give at least one".to_owned());
        }
        if *count.get_or_insert(samples.len()) != samples.len() {
            return refuse(
                input,
                "there are more or fewer samples than for another input; give as many".to_owned(),
            );
        }
        let expected: usize = net.shape(input).iter().product();
        for (index, sample) in samples.iter().enumerate() {
            if sample.len() != expected {
                return refuse(
                    input,
                    format!(
                        "sample {index} has {} values, shape {:?} needs {expected}",
                        sample.len(),
                        net.shape(input)
                    ),
                );
            }
            if sample.iter().any(|v| !v.is_finite()) {
                return refuse(input, format!("sample {index} is not finite"));
            }
        }
    }
    if let Some(unknown) = calibration
        .inputs
        .keys()
        .find(|name| !net.inputs.contains(name))
    {
        return refuse(unknown, format!("the model's inputs are {:?}", net.inputs));
    }
    Ok(count.unwrap_or_default())
}

fn feeds(
    net: &Net,
    calibration: &Calibration,
    sample: usize,
) -> Result<BTreeMap<String, FloatTensor>, QuantizeError> {
    net.inputs
        .iter()
        .map(|input| {
            let data = calibration
                .inputs
                .get(input)
                .and_then(|samples| samples.get(sample))
                .cloned()
                .unwrap_or_default();
            let tensor = FloatTensor::new(net.shape(input).to_vec(), data).map_err(|error| {
                QuantizeError::Calibration {
                    input: input.clone(),
                    reason: error.to_string(),
                }
            })?;
            Ok((input.clone(), tensor))
        })
        .collect()
}

impl Stats {
    fn new(channels: usize) -> Self {
        Self {
            min: f64::INFINITY,
            max: f64::NEG_INFINITY,
            mean: vec![0.0; channels],
            square: vec![0.0; channels],
            bins: vec![0; BINS],
        }
    }

    fn add(&mut self, tensor: &FloatTensor) {
        let inner: usize = tensor.shape.iter().skip(2).product();
        let channels = self.mean.len();
        for (index, run) in tensor.data.chunks(inner.max(1)).enumerate() {
            let channel = index % channels;
            for &value in run {
                let value = f64::from(value);
                self.min = self.min.min(value);
                self.max = self.max.max(value);
                self.mean[channel] += value;
                self.square[channel] += value * value;
            }
        }
    }

    fn count(&mut self, tensor: &FloatTensor) {
        let width = (self.max - self.min) / f64_of(BINS);
        for &value in &tensor.data {
            let bin = index_of((f64::from(value) - self.min) / width).min(BINS - 1);
            self.bins[bin] += 1;
        }
    }

    /// The range `lo ..= hi` (0 in it) whose 255 equal steps give the smallest mean square error,
    /// rounding and clipping together. With `clamp` what is below 0 is 0 anyway.
    pub(crate) fn range(&self, clamp: bool) -> (f64, f64) {
        let (lowest, highest) = (
            if clamp { 0.0 } else { self.min.min(0.0) },
            self.max.max(0.0),
        );
        let width = (self.max - self.min) / f64_of(BINS);
        let mut best = (lowest, highest);
        let mut least = f64::INFINITY;
        for step in 0..80_u32 {
            let factor = 1.0 - 0.01 * f64::from(step);
            let (lo, hi) = (lowest * factor, highest * factor);
            let rounding = ((hi - lo) / 255.0).powi(2) / 12.0;
            let mut error = 0.0;
            for (bin, &count) in self
                .bins
                .iter()
                .enumerate()
                .filter(|(_, count)| **count > 0)
            {
                let value = self.min + (f64_of(bin) + 0.5) * width;
                let count = f64_of(usize::try_from(count).unwrap_or(usize::MAX));
                let past = (value - hi).max(lo - value);
                error += count * if past > 0.0 { past * past } else { rounding };
            }
            if error < least {
                least = error;
                best = (lo, hi);
            }
        }
        best
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stats(values: &[f32]) -> Stats {
        let tensor = FloatTensor::new(vec![1, 1, values.len()], values.to_vec()).unwrap();
        let mut stats = Stats::new(1);
        stats.add(&tensor);
        stats.count(&tensor);
        stats
    }

    #[test]
    fn evenly_spread_values_are_not_clipped() {
        let values: Vec<f32> = (-1000_i16..=1000).map(f32::from).collect();
        let (lo, hi) = stats(&values).range(false);
        assert!(lo <= -980.0 && hi >= 980.0, "{lo} {hi}");
    }

    #[test]
    fn a_lone_outlier_is_clipped() {
        let mut values: Vec<f32> = (0..60_000_u16).map(|v| f32::from(v) / 60_000.0).collect();
        values = values.repeat(20);
        values.push(3.0);
        let (lo, hi) = stats(&values).range(true);
        assert!(lo.abs() < 1e-12 && (1.0..2.9).contains(&hi), "{lo} {hi}");
    }

    #[test]
    fn constant_tensors_have_a_range() {
        assert_eq!(stats(&[2.0; 9]).range(false), (0.0, 2.0));
        assert_eq!(stats(&[0.0; 9]).range(false), (0.0, 0.0));
        assert_eq!(stats(&[-2.0; 9]).range(true), (0.0, 0.0));
    }
}

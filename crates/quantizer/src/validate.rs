//! How much an integer model differs from its float model, on samples.

use std::collections::BTreeMap;

use proofmark_onnx::{Model, ValueInfo, ValueType, encode};
use proofmark_runtime::{FloatSession, FloatTensor, IntSession, OptLevel};
use proofmark_types::manifest::{ValidationReport, View, ViewValue};

use crate::Quantized;
use crate::error::QuantizeError;
use crate::num::f64_of;

/// Samples to compare on.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Samples {
    /// For each input, one row-major vector a sample.
    pub inputs: BTreeMap<String, Vec<Vec<f32>>>,
    /// The right class of each sample, when known: the index of the largest element of the first
    /// output.
    pub labels: Option<Vec<usize>>,
}

/// Runs both models in ONNX Runtime over the samples. `calibration_samples` of the report is left
/// at 0.
///
/// # Errors
/// [`QuantizeError::Samples`] when the samples do not fit the model, [`QuantizeError::Runtime`]
/// when a model does not run.
pub fn validate(
    float_model: &Model,
    quantized: &Quantized,
    samples: &Samples,
) -> Result<ValidationReport, QuantizeError> {
    let refuse = |reason: String| QuantizeError::Samples { reason };
    let count = samples.inputs.values().next().map_or(0, Vec::len);
    if count == 0 || samples.inputs.values().any(|s| s.len() != count) {
        return Err(refuse(
            "give as many samples for each input, at least one".to_owned(),
        ));
    }
    if samples
        .labels
        .as_ref()
        .is_some_and(|labels| labels.len() != count)
    {
        return Err(refuse(format!("give {count} labels, one a sample")));
    }
    let float = FloatSession::load(
        &encode(&shown(float_model, quantized)),
        OptLevel::DisableAll,
    )?;
    let integer = IntSession::load(&quantized.model, OptLevel::DisableAll)?;
    let mut tally = Tally::default();
    for sample in 0..count {
        let mut floats = BTreeMap::new();
        let mut ints = BTreeMap::new();
        for spec in &quantized.inputs {
            let values = samples.inputs.get(&spec.name).and_then(|s| s.get(sample));
            let values = values.ok_or_else(|| refuse(format!("input {:?} has none", spec.name)))?;
            let quantizer = spec
                .quantizer
                .as_ref()
                .ok_or_else(|| refuse(format!("input {:?} accepts integers only", spec.name)))?;
            let int = quantizer.quantize(values, &spec.shape, spec.elem);
            let int = int.map_err(|error| refuse(format!("sample {sample}: {error}")))?;
            ints.insert(spec.name.clone(), int);
            let float = FloatTensor::new(spec.shape.clone(), values.clone());
            let float = float.map_err(|error| refuse(format!("sample {sample}: {error}")))?;
            floats.insert(spec.name.clone(), float);
        }
        let (wanted, got) = (float.run(&floats)?, integer.run(&ints)?);
        for (index, spec) in quantized.outputs.iter().enumerate() {
            let (Some(wanted), Some(got)) = (wanted.get(&spec.name), got.get(&spec.name)) else {
                return Err(refuse(format!("output {:?} is missing", spec.name)));
            };
            let view = spec
                .views
                .iter()
                .find(|v| matches!(v, View::Dequantize { .. }));
            if let Some(view) = view {
                let shown = view
                    .apply(got, &spec.views)
                    .map_err(|error| refuse(error.to_string()))?;
                if let ViewValue::Floats(shown) = shown {
                    tally.differences(&wanted.data, &shown);
                }
            }
            if index == 0 {
                let label = samples
                    .labels
                    .as_ref()
                    .and_then(|labels| labels.get(sample));
                let floats = wanted.data.iter().map(|&v| f64::from(v));
                let ints = got.data().iter().map(|&v| f64::from(v));
                tally.classes(largest(floats), largest(ints), label.copied());
            }
        }
    }
    Ok(tally.report(count, samples.labels.is_some()))
}

/// The float model with the tensors that the integer outputs show as its outputs.
fn shown(float_model: &Model, quantized: &Quantized) -> Model {
    let mut model = float_model.clone();
    model.graph.outputs = quantized
        .outputs
        .iter()
        .map(|spec| ValueInfo::fixed(spec.name.clone(), ValueType::Float, &spec.shape))
        .collect();
    model
}

/// Index of the largest value; of equal ones the lowest.
fn largest(values: impl Iterator<Item = f64>) -> usize {
    let first = (0, f64::NEG_INFINITY);
    let pick = |best: (usize, f64), (at, v): (usize, f64)| if v > best.1 { (at, v) } else { best };
    values.enumerate().fold(first, pick).0
}

#[derive(Default)]
struct Tally {
    compared: usize,
    largest: f64,
    total: f64,
    same: usize,
    float_right: usize,
    integer_right: usize,
}

impl Tally {
    fn differences(&mut self, wanted: &[f32], shown: &[f32]) {
        for (&wanted, &shown) in wanted.iter().zip(shown) {
            let difference = (f64::from(wanted) - f64::from(shown)).abs();
            self.largest = self.largest.max(difference);
            self.total += difference;
            self.compared += 1;
        }
    }

    fn classes(&mut self, float: usize, integer: usize, label: Option<usize>) {
        self.same += usize::from(float == integer);
        self.float_right += usize::from(Some(float) == label);
        self.integer_right += usize::from(Some(integer) == label);
    }

    fn report(&self, count: usize, labelled: bool) -> ValidationReport {
        let share = |part: usize| f64_of(part) / f64_of(count);
        let compared = self.compared > 0;
        ValidationReport {
            calibration_samples: 0,
            checked_samples: u64::try_from(count).unwrap_or(u64::MAX),
            float_accuracy: labelled.then(|| share(self.float_right)),
            integer_accuracy: labelled.then(|| share(self.integer_right)),
            largest_output_difference: compared.then_some(self.largest),
            mean_output_difference: compared.then(|| self.total / f64_of(self.compared)),
            agreement: Some(share(self.same)),
            notes: Vec::new(),
        }
    }
}

//! How much an integer model differs from its float model, on samples.

use proofmark_onnx::{Model, ValueInfo, ValueType, encode};
use proofmark_runtime::{AnySession, IntSession, OptLevel, Value};
use proofmark_types::IntTensor;
use proofmark_types::manifest::{ReferenceLevel, ValidationReport, View, ViewValue};

use crate::Quantized;
use crate::error::QuantizeError;
use crate::import::level_of;
use crate::num::f64_of;
use crate::samples::Samples;

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
    let count = samples.check(&quantized.inputs)?;
    let original = AnySession::load(
        &encode(&shown(float_model, quantized)),
        level_of(quantized.reference.unwrap_or(ReferenceLevel::Disabled)),
    )?;
    let integer = IntSession::load(&quantized.model, OptLevel::DisableAll)?;
    let mut tally = Tally::default();
    for sample in 0..count {
        let feed = samples.feed(&quantized.inputs, sample)?;
        let (wanted, got) = (original.run(&feed.original)?, integer.run(&feed.integers)?);
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
                if let (ViewValue::Floats(shown), Value::Float(wanted)) = (shown, wanted) {
                    tally.differences(&wanted.data, &shown);
                }
            }
            if index == 0 {
                let label = samples
                    .labels
                    .as_ref()
                    .and_then(|labels| labels.get(sample));
                let ints =
                    |tensor: &IntTensor| largest(tensor.data().iter().map(|&v| f64::from(v)));
                let wanted = match wanted {
                    Value::Int(wanted) => ints(wanted),
                    Value::Float(wanted) => largest(wanted.data.iter().map(|&v| f64::from(v))),
                };
                tally.classes(wanted, ints(got), label.copied());
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
        .map(|spec| {
            let shows = |view: &View| matches!(view, View::Dequantize { .. });
            let ty = if spec.views.iter().any(shows) {
                ValueType::Float
            } else {
                ValueType::Int(spec.elem)
            };
            ValueInfo::fixed(spec.name.clone(), ty, &spec.shape)
        })
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
            reference: None,
        }
    }
}

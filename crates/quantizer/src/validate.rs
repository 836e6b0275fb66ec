//! How much an integer model differs from its float model, on samples.

use proofmark_onnx::{Model, ValueInfo, ValueType, encode};
use proofmark_runtime::{AnySession, IntSession, OptLevel, Value};
use proofmark_types::IntTensor;
use proofmark_types::manifest::{OutputSpec, ReferenceLevel, ValidationReport, View, ViewValue};

use crate::Quantized;
use crate::error::QuantizeError;
use crate::import::{level_of, with_int32_outputs};
use crate::num::f64_of;
use crate::samples::Samples;

/// Runs both models in ONNX Runtime over the samples. `calibration_samples` of the report is left
/// at 0. The accuracy is reported where the labels are classes of the first output: indices below
/// its number of elements, where it has an [`View::ArgMax`], and otherwise such up to the last one.
/// Else a note says why it is not.
///
/// # Errors
/// [`QuantizeError::Samples`] when the samples do not fit the model, [`QuantizeError::Runtime`]
/// when a model does not run.
pub fn validate(
    float_model: &Model,
    quantized: &Quantized,
    samples: &Samples,
) -> Result<ValidationReport, QuantizeError> {
    compare(float_model, quantized, samples).map(|comparison| comparison.report)
}

/// The classes that both models give to one sample: the index of the largest element of the first
/// output, of equal ones the lowest.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Classes {
    /// Of the float model.
    pub float: usize,
    /// Of the integer model.
    pub integer: usize,
}

/// What [`validate`] reports, and the samples one by one.
#[derive(Debug, Clone, PartialEq)]
pub struct Comparison {
    /// The report.
    pub report: ValidationReport,
    /// For each sample, in order.
    pub classes: Vec<Classes>,
}

/// [`validate`], with the classes of each sample.
///
/// # Errors
/// As [`validate`].
pub fn compare(
    float_model: &Model,
    quantized: &Quantized,
    samples: &Samples,
) -> Result<Comparison, QuantizeError> {
    let refuse = |reason: String| QuantizeError::Samples { reason };
    let count = samples.check(&quantized.inputs)?;
    let original = AnySession::load(
        &encode(&shown(float_model, quantized)),
        level_of(quantized.reference.unwrap_or(ReferenceLevel::Disabled)),
    )?;
    let integer = IntSession::load(&quantized.model, OptLevel::DisableAll)?;
    let unfit = samples
        .labels
        .as_deref()
        .zip(quantized.outputs.first())
        .and_then(|(labels, output)| no_classes(labels, output));
    let mut tally = Tally::default();
    let mut classes = Vec::with_capacity(count);
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
                let pair = Classes {
                    float: wanted,
                    integer: ints(got),
                };
                tally.classes(pair, label.copied());
                classes.push(pair);
            }
        }
    }
    let labelled = samples.labels.is_some() && unfit.is_none();
    let mut report = tally.report(count, labelled);
    report.notes.extend(unfit);
    Ok(Comparison { report, classes })
}

/// Why labels are no classes of an output; `None` where they are.
fn no_classes(labels: &[usize], output: &OutputSpec) -> Option<String> {
    let classes = output.shape.last().copied().unwrap_or_default();
    let elements = output.shape.iter().product::<usize>();
    let top = labels.iter().max().copied().unwrap_or_default();
    let named = |view: &View| matches!(view, View::ArgMax { .. });
    let fit = if output.views.iter().any(named) {
        top < classes
    } else {
        top.checked_add(1) == Some(classes)
    };
    (!fit || classes != elements).then(|| {
        format!(
            "no accuracy: the labels run up to {top}, output {:?} has shape {:?}; name the classes with --labels where it tells classes apart",
            output.name, output.shape
        )
    })
}

/// The float model with the tensors that the integer outputs show as its outputs.
fn shown(float_model: &Model, quantized: &Quantized) -> Model {
    let mut model = with_int32_outputs(float_model).into_owned();
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

    fn classes(&mut self, Classes { float, integer }: Classes, label: Option<usize>) {
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

#[cfg(test)]
mod tests {
    use proofmark_types::ElemType;
    use proofmark_types::manifest::Visibility;

    use super::*;

    #[test]
    fn labels_are_classes_of_outputs_that_they_fit() {
        let output = |shape: &[usize], named: usize| OutputSpec {
            name: "y".to_owned(),
            elem: ElemType::Uint8,
            shape: shape.to_vec(),
            visibility: Visibility::Public,
            views: (named > 0)
                .then(|| View::ArgMax {
                    labels: (0..named).map(|at| at.to_string()).collect(),
                })
                .into_iter()
                .collect(),
        };
        let digits: Vec<usize> = (0..10).collect();
        assert_eq!(no_classes(&digits, &output(&[1, 10], 0)), None);
        assert_eq!(no_classes(&digits, &output(&[10], 0)), None);
        // With names, the samples need not have the last class.
        assert_eq!(no_classes(&digits[..7], &output(&[1, 10], 10)), None);
        assert_eq!(no_classes(&digits, &output(&[1, 64], 64)), None);
        for (labels, shape, named) in [
            // An autoencoder beside the digits that it was given.
            (&digits[..], &[1, 64][..], 0),
            (&digits, &[1, 9], 9),
            (&digits, &[1, 2, 10], 10),
            (&digits, &[], 0),
            (&[usize::MAX], &[1, 0], 0),
        ] {
            let why = no_classes(labels, &output(shape, named)).unwrap();
            assert!(why.starts_with("no accuracy"), "{why}");
        }
    }
}

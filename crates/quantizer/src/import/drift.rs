//! How far an imported model is from its original, both run in ONNX Runtime.

use proofmark_onnx::{Model, ValueInfo, ValueType, encode};
use proofmark_runtime::{AnySession, IntSession, OptLevel, Value};
use proofmark_types::IntTensor;
use proofmark_types::manifest::{
    DriftSource, InputKind, OutputSpec, ReferenceReport, View, ViewValue,
};

use super::adversary::{extremes, random, search};
use super::arg_max::with_int32_outputs;
use super::level_of;
use crate::Quantized;
use crate::error::QuantizeError;
use crate::num::{f64_of, round_to};
use crate::samples::{Feed, Samples};

/// Differences between the integers of an original and of the model imported from it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Drift {
    /// Output elements compared.
    pub compared: usize,
    /// Those that differ.
    pub different: usize,
    /// Largest difference, in steps of the integer output.
    pub largest_step: i64,
}

impl Drift {
    /// Share of the output elements that differ, 0 … 1.
    pub fn rate(&self) -> f64 {
        f64_of(self.different) / f64_of(self.compared.max(1))
    }

    fn add(&mut self, steps: i64) {
        self.compared += 1;
        self.different += usize::from(steps != 0);
        self.largest_step = self.largest_step.max(steps);
    }

    fn join(&mut self, other: Self) {
        self.compared += other.compared;
        self.different += other.different;
        self.largest_step = self.largest_step.max(other.largest_step);
    }
}

/// Runs the original at its reference level, with its own `QuantizeLinear`, and the imported model
/// behind its input quantizers over the samples, and compares the integers in front of the
/// original's `DequantizeLinear`; where the original ends in floats, those in steps of the integer
/// output, rounded.
///
/// # Errors
/// [`QuantizeError::Samples`] when the samples do not fit, [`QuantizeError::Runtime`] when a model
/// does not run.
pub fn drift(
    original: &Model,
    imported: &Quantized,
    samples: &Samples,
) -> Result<Drift, QuantizeError> {
    let count = samples.check(&imported.inputs)?;
    let pair = Pair::load(original, imported)?;
    let mut drift = Drift::default();
    for at in 0..count {
        let feed = samples.feed(&imported.inputs, at)?;
        drift.join(pair.compare(&feed)?);
    }
    Ok(drift)
}

/// Compares an imported model with its original over the samples, where there are any, and over
/// inputs made to bring out differences: extremes, random ones over the whole range of the
/// quantizer, and ones searched for next to the thresholds of the integer model's requantizes.
///
/// # Errors
/// As [`drift`].
pub fn measure_drift(
    original: &Model,
    imported: &Quantized,
    samples: Option<&Samples>,
) -> Result<ReferenceReport, QuantizeError> {
    let count = samples.map_or(Ok(0), |samples| samples.check(&imported.inputs))?;
    let pair = Pair::load(original, imported)?;
    let mut sources = Vec::new();
    let mut note = |kind: InputKind, drift: Drift| {
        let wide = |count: usize| u64::try_from(count).unwrap_or(u64::MAX);
        sources.push(DriftSource {
            inputs: kind,
            compared: wide(drift.compared),
            different: wide(drift.different),
            largest_step: drift.largest_step.unsigned_abs(),
        });
    };
    if let Some(samples) = samples {
        let mut drift = Drift::default();
        for at in 0..count {
            drift.join(pair.compare(&samples.feed(&imported.inputs, at)?)?);
        }
        note(InputKind::Samples, drift);
    }
    for (kind, made) in [
        (InputKind::Extremes, extremes(&imported.inputs)),
        (InputKind::Random, random(&imported.inputs)),
    ] {
        note(kind, pair.compare_all(made)?);
    }
    let found = search(imported)?;
    note(InputKind::Searched, pair.compare_all(found)?);
    Ok(ReferenceReport {
        level: imported.reference.unwrap_or_default(),
        drift: sources,
        inexact: imported.inexact.clone(),
        accepted_drift: None,
    })
}

/// Both models, ready to run.
struct Pair<'a> {
    old: AnySession,
    new: IntSession,
    outputs: &'a [OutputSpec],
    /// For each output, the tensor of the original that holds its integers, or shows them.
    sources: Vec<String>,
}

impl<'a> Pair<'a> {
    fn load(original: &Model, imported: &'a Quantized) -> Result<Self, QuantizeError> {
        let mut sources = Vec::with_capacity(imported.outputs.len());
        let mut exposed = with_int32_outputs(original).into_owned();
        exposed.graph.outputs.clear();
        for spec in &imported.outputs {
            let mut nodes = original.graph.nodes.iter();
            let maker = nodes.find(|node| node.outputs.contains(&spec.name));
            let shows = maker.filter(|node| node.op_type == "DequantizeLinear");
            let integers = shows.and_then(|node| node.input(0));
            let float = dequantize(spec).is_some() && integers.is_none();
            let name = integers.unwrap_or(&spec.name).to_owned();
            let ty = if float {
                ValueType::Float
            } else {
                ValueType::Int(spec.elem)
            };
            if exposed.graph.outputs.iter().all(|info| info.name != name) {
                let info = ValueInfo::fixed(name.as_str(), ty, &spec.shape);
                exposed.graph.outputs.push(info);
            }
            sources.push(name);
        }
        let level = level_of(imported.reference.unwrap_or_default());
        Ok(Self {
            old: AnySession::load(&encode(&exposed), level)?,
            new: IntSession::load(&imported.model, OptLevel::DisableAll)?,
            outputs: &imported.outputs,
            sources,
        })
    }

    fn compare_all(&self, feeds: impl IntoIterator<Item = Feed>) -> Result<Drift, QuantizeError> {
        let mut drift = Drift::default();
        for feed in feeds {
            drift.join(self.compare(&feed)?);
        }
        Ok(drift)
    }

    fn compare(&self, feed: &Feed) -> Result<Drift, QuantizeError> {
        let wanted = self.old.run(&feed.original)?;
        let got = self.new.run(&feed.integers)?;
        let mut drift = Drift::default();
        for (spec, source) in self.outputs.iter().zip(&self.sources) {
            let (Some(wanted), Some(got)) = (wanted.get(source), got.get(&spec.name)) else {
                return Err(QuantizeError::Internal {
                    reason: format!("output {:?} is missing", spec.name),
                });
            };
            match wanted {
                Value::Int(wanted) => {
                    for (&a, &b) in wanted.data().iter().zip(got.data()) {
                        drift.add((i64::from(a) - i64::from(b)).abs());
                    }
                }
                Value::Float(wanted) => {
                    for (&a, b) in wanted.data.iter().zip(shown(spec, got)?) {
                        drift.add(steps(a, b, spec));
                    }
                }
            }
        }
        Ok(drift)
    }
}

fn dequantize(spec: &OutputSpec) -> Option<(&View, f32)> {
    spec.views.iter().find_map(|view| match view {
        View::Dequantize { scale, .. } => Some((view, *scale)),
        View::Softmax { .. } | View::ArgMax { .. } => None,
    })
}

/// Integers as the floats they stand for; none where the output has no such view.
fn shown(spec: &OutputSpec, got: &IntTensor) -> Result<Vec<f32>, QuantizeError> {
    let Some((view, _)) = dequantize(spec) else {
        return Ok(Vec::new());
    };
    let shown = view.apply(got, &spec.views);
    match shown.map_err(|error| QuantizeError::Internal {
        reason: error.to_string(),
    })? {
        ViewValue::Floats(shown) => Ok(shown),
        ViewValue::Classes(_) => Ok(Vec::new()),
    }
}

/// How many steps of an output two floats are apart, rounded; a NaN is as far as can be.
fn steps(a: f32, b: f32, spec: &OutputSpec) -> i64 {
    if a.to_bits() == b.to_bits() {
        return 0;
    }
    let scale = dequantize(spec).map_or(1.0, |(_, scale)| f64::from(scale));
    let apart = (f64::from(a) - f64::from(b)).abs() / scale;
    if apart.is_nan() {
        return i64::from(i32::MAX);
    }
    i64::from(round_to(apart, 0, i32::MAX))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proofmark_types::ElemType;

    use super::*;
    use crate::graphs::Build;
    use crate::{Options, import_quantized};

    #[test]
    fn a_changed_integer_is_seen_by_every_source() {
        let mut build = Build::new(&[1, 6]);
        build.floats("s", &[], vec![0.05]);
        build.quantized("z", ElemType::Uint8, &[], vec![100]);
        build.bytes("w", ElemType::Uint8, &[6, 3]);
        build.floats("sy", &[], vec![2.0]);
        build.node("QuantizeLinear", &["x", "s", "z"], "q", &[]);
        let inputs = ["q", "s", "z", "w", "s", "z", "sy", "z"];
        build.node("QLinearMatMul", &inputs, "m", &[]);
        build.node("DequantizeLinear", &["m", "sy", "z"], "y", &[]);
        build.output("y");
        let right = import_quantized(&build.model, &Options::default()).unwrap();
        let inputs = build.calibration(20).inputs;
        let samples = Samples {
            inputs,
            labels: None,
        };
        let report = measure_drift(&build.model, &right, Some(&samples)).unwrap();
        assert_eq!(report.drift.len(), 4);
        assert!(
            report
                .drift
                .iter()
                .all(|s| s.compared > 20 && s.different == 0)
        );
        assert!(report.inexact.is_empty());

        build.floats("sy", &[], vec![1.9]);
        let wrong = import_quantized(&build.model, &Options::default()).unwrap();
        build.floats("sy", &[], vec![2.0]);
        let report = measure_drift(&build.model, &wrong, Some(&samples)).unwrap();
        assert!(report.drift.iter().all(|s| s.different > 0), "{report:?}");
        let bare = measure_drift(&build.model, &right, None).unwrap();
        assert_eq!(bare.drift.len(), 3);
    }

    #[test]
    fn samples_that_do_not_fit_are_refused() {
        let mut build = Build::new(&[1, 6]);
        build.floats("s", &[], vec![0.05]);
        build.node("QuantizeLinear", &["x", "s"], "q", &[]);
        build.node("MaxPool", &["q"], "p", &[]);
        build.model.graph.nodes.pop();
        build.bytes("w", ElemType::Uint8, &[6, 3]);
        build
            .node("MatMulInteger", &["q", "w"], "m", &[])
            .output("m");
        let made = import_quantized(&build.model, &Options::default()).unwrap();
        let check = |inputs: Vec<Vec<f32>>| {
            let samples = Samples {
                inputs: BTreeMap::from([("x".to_owned(), inputs)]),
                labels: None,
            };
            drift(&build.model, &made, &samples)
        };
        assert_eq!(check(vec![vec![0.0; 6]]).unwrap().compared, 3);
        assert!(check(vec![vec![0.0; 5]]).is_err());
        assert!(check(vec![vec![f32::NAN; 6]]).is_err());
        assert!(check(Vec::new()).is_err());
    }
}

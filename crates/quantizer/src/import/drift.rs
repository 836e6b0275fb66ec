//! How far an imported model is from its original, both run in ONNX Runtime.

use std::collections::BTreeMap;

use proofmark_onnx::{Model, ValueInfo, ValueType, encode};
use proofmark_runtime::{AnySession, FloatTensor, IntSession, OptLevel, Value};
use proofmark_types::manifest::{View, ViewValue};

use crate::error::QuantizeError;
use crate::num::{f64_of, round_to};
use crate::{Quantized, Samples};

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
}

/// Runs the original at `ORT_DISABLE_ALL`, with its own `QuantizeLinear`, and the imported model
/// behind its input quantizers over the samples, and compares the integers in front of the
/// original's `DequantizeLinear`.
///
/// A difference means that the processor at hand does not compute the original as written (u8×s8
/// saturates without VNNI) or a defect.
///
/// # Errors
/// [`QuantizeError::Samples`] when the samples do not fit, [`QuantizeError::Runtime`] when a model
/// does not run.
pub fn drift(
    original: &Model,
    imported: &Quantized,
    samples: &Samples,
) -> Result<Drift, QuantizeError> {
    let refuse = |reason: String| QuantizeError::Samples { reason };
    let count = samples.inputs.values().next().map_or(0, Vec::len);
    if count == 0 || samples.inputs.values().any(|s| s.len() != count) {
        return Err(refuse(
            "give as many samples for each input, at least one".to_owned(),
        ));
    }
    // For each output the tensor of the original that holds its integers, or shows them.
    let mut sources = Vec::with_capacity(imported.outputs.len());
    let mut exposed = original.clone();
    exposed.graph.outputs.clear();
    for spec in &imported.outputs {
        let nodes = &original.graph.nodes;
        let maker = nodes.iter().find(|node| node.outputs.contains(&spec.name));
        let integers = maker.filter(|node| node.op_type == "DequantizeLinear");
        let float = maker.is_some_and(|node| node.op_type == "QGemm" && node.input(7).is_none());
        let name = integers
            .and_then(|node| node.input(0))
            .unwrap_or(&spec.name);
        let ty = if float {
            ValueType::Float
        } else {
            ValueType::Int(spec.elem)
        };
        let info = ValueInfo::fixed(name, ty, &spec.shape);
        exposed.graph.outputs.push(info);
        sources.push(name.to_owned());
    }
    let old = AnySession::load(&encode(&exposed), OptLevel::DisableAll)?;
    let new = IntSession::load(&imported.model, OptLevel::DisableAll)?;
    let mut drift = Drift::default();
    for sample in 0..count {
        let mut floats = BTreeMap::new();
        let mut ints = BTreeMap::new();
        for spec in &imported.inputs {
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
            floats.insert(spec.name.clone(), Value::Float(float));
        }
        let (wanted, got) = (old.run(&floats)?, new.run(&ints)?);
        for (spec, source) in imported.outputs.iter().zip(&sources) {
            let (Some(wanted), Some(got)) = (wanted.get(source), got.get(&spec.name)) else {
                return Err(refuse(format!("output {:?} is missing", spec.name)));
            };
            match wanted {
                Value::Int(wanted) => {
                    for (&a, &b) in wanted.data().iter().zip(got.data()) {
                        drift.add((i64::from(a) - i64::from(b)).abs());
                    }
                }
                Value::Float(wanted) => {
                    let dequantize = spec.views.iter().find_map(|view| match view {
                        View::Dequantize { scale, .. } => Some((view, f64::from(*scale))),
                        View::Softmax { .. } | View::ArgMax { .. } => None,
                    });
                    let Some((view, scale)) = dequantize else {
                        continue;
                    };
                    let shown = view.apply(got, &spec.views);
                    let shown = shown.map_err(|error| refuse(error.to_string()))?;
                    if let ViewValue::Floats(shown) = shown {
                        for (&a, &b) in wanted.data.iter().zip(&shown) {
                            let steps = (f64::from(a) - f64::from(b)).abs() / scale;
                            drift.add(i64::from(round_to(steps.ceil(), 0, i32::MAX)));
                        }
                    }
                }
            }
        }
    }
    Ok(drift)
}

impl Drift {
    fn add(&mut self, steps: i64) {
        self.compared += 1;
        self.different += usize::from(steps != 0);
        self.largest_step = self.largest_step.max(steps);
    }
}

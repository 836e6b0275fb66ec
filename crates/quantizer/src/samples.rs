//! Samples as both models take them: floats for the original, integers for the integer model.

use std::collections::BTreeMap;

use proofmark_runtime::{FloatTensor, Value};
use proofmark_types::IntTensor;
use proofmark_types::manifest::InputSpec;

use crate::error::QuantizeError;

/// Samples to compare on.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Samples {
    /// For each input, one row-major vector a sample. An input that the original takes as integers
    /// gets whole numbers inside its type.
    pub inputs: BTreeMap<String, Vec<Vec<f32>>>,
    /// The right class of each sample, when known: the index of the largest element of the first
    /// output.
    pub labels: Option<Vec<usize>>,
}

/// One sample: what the original is fed, and what the integer model is fed.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Feed {
    pub(crate) original: BTreeMap<String, Value>,
    pub(crate) integers: BTreeMap<String, IntTensor>,
}

fn refuse(reason: String) -> QuantizeError {
    QuantizeError::Samples { reason }
}

impl Samples {
    /// The number of samples, once they are known to fit the inputs: as many for each, each of the
    /// right length, and as many labels.
    pub(crate) fn check(&self, inputs: &[InputSpec]) -> Result<usize, QuantizeError> {
        let count = self.inputs.values().next().map_or(0, Vec::len);
        if count == 0 || self.inputs.values().any(|s| s.len() != count) {
            return Err(refuse(
                "give as many samples for each input, at least one".to_owned(),
            ));
        }
        for spec in inputs {
            let samples = self.inputs.get(&spec.name);
            let samples =
                samples.ok_or_else(|| refuse(format!("input {:?} has none", spec.name)))?;
            let wanted = spec.shape.iter().product::<usize>();
            if let Some(at) = samples.iter().position(|sample| sample.len() != wanted) {
                let got = samples.get(at).map_or(0, Vec::len);
                return Err(refuse(format!(
                    "sample {at} of input {:?} has {got} numbers, {wanted} are needed",
                    spec.name
                )));
            }
        }
        match &self.labels {
            Some(labels) if labels.len() != count => Err(refuse(format!(
                "{} labels for {count} samples; give one class index a sample, or leave out the labels (`y`)",
                labels.len()
            ))),
            _ => Ok(count),
        }
    }

    /// One sample, for both models.
    pub(crate) fn feed(&self, inputs: &[InputSpec], at: usize) -> Result<Feed, QuantizeError> {
        let mut feed = Feed {
            original: BTreeMap::new(),
            integers: BTreeMap::new(),
        };
        for spec in inputs {
            let values = self.inputs.get(&spec.name).and_then(|s| s.get(at));
            let values = values.ok_or_else(|| refuse(format!("input {:?} has none", spec.name)))?;
            feed.add(spec, values)
                .map_err(|error| refuse(format!("sample {at}: {error}")))?;
        }
        Ok(feed)
    }
}

impl Feed {
    /// A sample from the integers of each input; `None` where their floats do not come back as
    /// these integers, because they overflow.
    pub(crate) fn of_integers(inputs: &[InputSpec], integers: &[Vec<i32>]) -> Option<Self> {
        let mut feed = Self {
            original: BTreeMap::new(),
            integers: BTreeMap::new(),
        };
        for (spec, data) in inputs.iter().zip(integers) {
            let tensor = IntTensor::new(spec.elem, spec.shape.clone(), data.clone()).ok()?;
            let value = match &spec.quantizer {
                None => Value::Int(tensor.clone()),
                Some(quantizer) => {
                    let inner = quantizer.axis.map_or(1, |axis| {
                        spec.shape.iter().skip(axis + 1).product::<usize>()
                    });
                    let count = quantizer.scale.len();
                    let floats = data.iter().enumerate().map(|(at, &q)| {
                        let index = at / inner % count;
                        let zero = quantizer.zero_point.get(index).copied().unwrap_or(0);
                        let scale = quantizer.scale.get(index).copied().unwrap_or(1.0);
                        crate::num::f32_of_i64(i64::from(q) - i64::from(zero)) * scale
                    });
                    let floats: Vec<f32> = floats.collect();
                    let back = quantizer.quantize(&floats, &spec.shape, spec.elem).ok()?;
                    if back != tensor {
                        return None;
                    }
                    Value::Float(FloatTensor::new(spec.shape.clone(), floats).ok()?)
                }
            };
            feed.original.insert(spec.name.clone(), value);
            feed.integers.insert(spec.name.clone(), tensor);
        }
        Some(feed)
    }

    /// The values of one input.
    fn add(&mut self, spec: &InputSpec, values: &[f32]) -> Result<(), String> {
        let (original, integers) = if let Some(quantizer) = &spec.quantizer {
            let int = quantizer.quantize(values, &spec.shape, spec.elem);
            let int = int.map_err(|error| error.to_string())?;
            let float = FloatTensor::new(spec.shape.clone(), values.to_vec());
            (Value::Float(float.map_err(|error| error.to_string())?), int)
        } else {
            let whole = |&v: &f32| {
                let v = f64::from(v);
                let fits = v >= f64::from(spec.elem.min()) && v <= f64::from(spec.elem.max());
                let int = crate::num::round_to(v, spec.elem.min(), spec.elem.max());
                (fits && f64::from(int).to_bits() == (v + 0.0).to_bits()).then_some(int)
            };
            let data = values.iter().map(whole).collect::<Option<Vec<i32>>>();
            let data = data.ok_or_else(|| {
                format!(
                    "input {:?} takes whole numbers of type {}",
                    spec.name, spec.elem
                )
            })?;
            let int = IntTensor::new(spec.elem, spec.shape.clone(), data);
            let int = int.map_err(|error| error.to_string())?;
            (Value::Int(int.clone()), int)
        };
        self.original.insert(spec.name.clone(), original);
        self.integers.insert(spec.name.clone(), integers);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels_that_are_masks_may_be_left_out() {
        let samples = Samples {
            inputs: BTreeMap::from([("x".to_owned(), vec![vec![0.0]; 2])]),
            labels: Some(vec![0; 32]),
        };
        let why = samples.check(&[]).unwrap_err().to_string();
        assert!(why.contains("32 labels for 2 samples"), "{why}");
        assert!(why.contains("leave out the labels (`y`)"), "{why}");
    }
}

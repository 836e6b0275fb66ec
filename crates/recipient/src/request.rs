//! The inputs of an inference request as the service reads them: the integers that are proven.

use proofmark_types::manifest::InputSpec;
use proofmark_types::{IntTensor, Manifest};
use serde_json::{Number, Value, json};

use crate::refusal::Refusal;

/// One input of a request.
#[derive(Debug, Clone, PartialEq)]
pub struct Input {
    /// Its name in the manifest.
    pub name: String,
    /// The integers that enter the model.
    pub tensor: IntTensor,
    /// The same as an input of the Open Inference Protocol.
    pub wire: Value,
}

impl Input {
    /// An input given as floats, which the manifest's quantizer makes integers.
    ///
    /// # Errors
    /// [`Refusal::Input`] with the quantizer's code; `input-type` where the model has none.
    pub fn of_floats(spec: &InputSpec, floats: &[f32]) -> Result<Self, Refusal> {
        let Some(quantizer) = &spec.quantizer else {
            return Err(refuse(spec, "input-type", &takes(spec)));
        };
        let tensor = quantizer
            .quantize(floats, &spec.shape, spec.elem)
            .map_err(|error| refuse(spec, error.code(), &error.to_string()))?;
        Ok(Self::new(spec, tensor, "FP32", &json!(floats)))
    }

    /// An input given as the integers of the integer model.
    ///
    /// # Errors
    /// [`Refusal::Input`] with the tensor's code.
    pub fn of_integers(spec: &InputSpec, integers: Vec<i32>) -> Result<Self, Refusal> {
        let tensor = IntTensor::new(spec.elem, spec.shape.clone(), integers)
            .map_err(|error| refuse(spec, error.code(), &error.to_string()))?;
        let data = json!(tensor.data());
        Ok(Self::new(spec, tensor, spec.elem.oip_name(), &data))
    }

    fn new(spec: &InputSpec, tensor: IntTensor, datatype: &str, data: &Value) -> Self {
        Self {
            name: spec.name.clone(),
            tensor,
            wire: json!({
                "name": spec.name,
                "shape": spec.shape,
                "datatype": datatype,
                "data": data,
            }),
        }
    }
}

/// Reads `inputs` of a request of the Open Inference Protocol, one for each input of the manifest.
///
/// # Errors
/// [`Refusal::Input`]: `input-unknown`, `input-duplicate`, `input-missing`, `input-shape`,
/// `input-type`, `tensor-length-mismatch`, and those of [`Input::of_floats`] and
/// [`Input::of_integers`].
pub fn read_request(manifest: &Manifest, request: &Value) -> Result<Vec<Input>, Refusal> {
    let given = request.get("inputs").and_then(Value::as_array);
    let given = given.map_or(&[][..], Vec::as_slice);
    let name = |input: &Value| input.get("name").and_then(Value::as_str).map(str::to_owned);
    let known = |input: &&Value| {
        let name = name(input);
        manifest
            .inputs
            .iter()
            .any(|spec| Some(&spec.name) == name.as_ref())
    };
    if let Some(unknown) = given.iter().find(|input| !known(input)) {
        let names: Vec<&str> = manifest.inputs.iter().map(|i| i.name.as_str()).collect();
        return Err(Refusal::Input {
            code: "input-unknown",
            message: format!(
                "the model has no input {}; it has {}",
                unknown.get("name").unwrap_or(&Value::Null),
                names.join(", ")
            ),
        });
    }
    manifest
        .inputs
        .iter()
        .map(|spec| {
            let mut found = given
                .iter()
                .filter(|input| name(input).as_ref() == Some(&spec.name));
            match (found.next(), found.next()) {
                (Some(input), None) => read_input(spec, input),
                (Some(_), Some(_)) => Err(refuse(spec, "input-duplicate", "it is given twice")),
                (None, _) => Err(refuse(spec, "input-missing", "it is missing")),
            }
        })
        .collect()
}

fn read_input(spec: &InputSpec, input: &Value) -> Result<Input, Refusal> {
    let dim = |d: &Value| d.as_u64().and_then(|d| usize::try_from(d).ok());
    let shape: Option<Vec<usize>> = input
        .get("shape")
        .and_then(Value::as_array)
        .and_then(|dims| dims.iter().map(dim).collect());
    if shape.as_ref() != Some(&spec.shape) {
        let got = input.get("shape").unwrap_or(&Value::Null);
        let reason = format!("shape is {:?}, got {got}", spec.shape);
        return Err(refuse(spec, "input-shape", &reason));
    }
    let numbers = input
        .get("data")
        .and_then(|data| numbers(data, &spec.shape))
        .ok_or_else(|| {
            let count: usize = spec.shape.iter().product();
            let reason = format!("data is {count} numbers, flat or nested as the shape says");
            refuse(spec, "tensor-length-mismatch", &reason)
        })?;
    let datatype = input.get("datatype").and_then(Value::as_str);
    if datatype == Some(spec.elem.oip_name()) {
        let integers: Option<Vec<i32>> = numbers
            .iter()
            .map(|number| number.as_i64().and_then(|n| i32::try_from(n).ok()))
            .collect();
        let integers = integers.ok_or_else(|| {
            let reason = format!("it takes integers of {}", spec.elem);
            refuse(spec, "input-type", &reason)
        })?;
        Input::of_integers(spec, integers)
    } else if datatype == Some("FP32") && spec.quantizer.is_some() {
        let floats: Vec<f32> = numbers.iter().map(|number| float32(number)).collect();
        Input::of_floats(spec, &floats)
    } else {
        let got = input.get("datatype").unwrap_or(&Value::Null);
        let reason = format!("datatype is {}, got {got}", takes(spec));
        Err(refuse(spec, "input-type", &reason))
    }
}

/// A JSON number as float32: as float64, as every JSON reader does, and rounded once more, half to
/// even. What overflows becomes an infinity, which every quantizer refuses.
#[expect(
    clippy::as_conversions,
    clippy::cast_possible_truncation,
    reason = "the rounding is the defined result, the same as the service's"
)]
fn float32(number: &Number) -> f32 {
    number.as_f64().unwrap_or(f64::NAN) as f32
}

/// The numbers of a flat array, or of one that is nested as the shape says.
fn numbers<'v>(data: &'v Value, shape: &[usize]) -> Option<Vec<&'v Number>> {
    let count: usize = shape.iter().product();
    let mut flat = Vec::new();
    collect(data, &[count], &mut flat).or_else(|| {
        flat.clear();
        collect(data, shape, &mut flat)
    })?;
    Some(flat)
}

fn collect<'v>(value: &'v Value, shape: &[usize], into: &mut Vec<&'v Number>) -> Option<()> {
    match (value, shape.split_first()) {
        (Value::Array(list), Some((&length, rest))) if list.len() == length => {
            list.iter().try_for_each(|item| collect(item, rest, into))
        }
        (Value::Number(number), None) => {
            into.push(number);
            Some(())
        }
        _ => None,
    }
}

fn takes(spec: &InputSpec) -> String {
    match spec.quantizer {
        Some(_) => format!("FP32 or {}", spec.elem.oip_name()),
        None => spec.elem.oip_name().to_owned(),
    }
}

fn refuse(spec: &InputSpec, code: &'static str, reason: &str) -> Refusal {
    Refusal::Input {
        code,
        message: format!("input {:?}: {reason}", spec.name),
    }
}

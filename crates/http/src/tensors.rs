//! Tensors of the Open Inference Protocol's JSON, in and out.

use std::collections::BTreeMap;
use std::fmt;

use proofmark_types::manifest::{InputSpec, MAX_RANK, OutputSpec, View, ViewValue};
use proofmark_types::{ElemType, IntTensor, Manifest};
use serde::de::{DeserializeSeed, Deserializer, Error as _, SeqAccess, Visitor};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::problem::{Fault, Problem, echo};

/// A number of a request's `data`.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Number {
    Int(i64),
    /// Not an integer in JSON, or too large for 64 bits.
    Float(f64),
    /// What JavaScript writes for NaN and the infinities.
    Null,
}

/// The `data` of an input: numbers, flat or nested, row-major.
///
/// Read in one pass into flat memory, so a hostile nesting costs nothing.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Elements {
    numbers: Vec<Number>,
    /// Length of the arrays at each depth, as far as they agree.
    lengths: Vec<Option<usize>>,
    /// Depth of the numbers.
    depth: Option<usize>,
    /// Arrays of one depth differ in length, or numbers stand at several depths.
    ragged: bool,
}

struct Nested<'a> {
    into: &'a mut Elements,
    depth: usize,
}

impl<'de> DeserializeSeed<'de> for Nested<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl Nested<'_> {
    fn leaf(self, number: Number) {
        let depth = *self.into.depth.get_or_insert(self.depth);
        self.into.ragged |= depth != self.depth;
        self.into.numbers.push(number);
    }
}

impl<'de> Visitor<'de> for Nested<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("numbers, flat or nested in arrays")
    }

    fn visit_i64<E>(self, v: i64) -> Result<(), E> {
        self.leaf(Number::Int(v));
        Ok(())
    }

    fn visit_u64<E>(self, v: u64) -> Result<(), E> {
        #[expect(
            clippy::cast_precision_loss,
            reason = "above 63 bits it is outside every element type; a float is all it can be"
        )]
        let number = i64::try_from(v).map_or(Number::Float(v as f64), Number::Int);
        self.leaf(number);
        Ok(())
    }

    fn visit_f64<E>(self, v: f64) -> Result<(), E> {
        self.leaf(Number::Float(v));
        Ok(())
    }

    fn visit_unit<E>(self) -> Result<(), E> {
        self.leaf(Number::Null);
        Ok(())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<(), A::Error> {
        let Self { into, depth } = self;
        if depth >= MAX_RANK {
            return Err(A::Error::custom(format_args!(
                "data is nested deeper than {MAX_RANK} arrays"
            )));
        }
        if into.lengths.len() <= depth {
            into.lengths.resize(depth + 1, None);
        }
        let mut length = 0_usize;
        while seq
            .next_element_seed(Nested {
                into: &mut *into,
                depth: depth + 1,
            })?
            .is_some()
        {
            length += 1;
        }
        if let Some(slot) = into.lengths.get_mut(depth) {
            let first = *slot.get_or_insert(length);
            into.ragged |= first != length;
        }
        Ok(())
    }
}

impl<'de> Deserialize<'de> for Elements {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let mut into = Self::default();
        Nested {
            into: &mut into,
            depth: 0,
        }
        .deserialize(deserializer)?;
        if into.lengths.is_empty() {
            return Err(D::Error::custom("data must be an array of numbers"));
        }
        Ok(into)
    }
}

impl Elements {
    /// Whether the nesting is that of `shape`; a single array of all elements always is.
    fn check_nesting(&self, shape: &[usize]) -> Result<(), String> {
        if self.ragged {
            return Err("data is ragged: arrays of one depth differ in length".to_owned());
        }
        let lengths: Vec<usize> = self.lengths.iter().map(|n| n.unwrap_or(0)).collect();
        let expected: usize = shape.iter().product();
        if lengths != shape && lengths != [expected] {
            return Err(format!(
                "data has {lengths:?} elements, shape {shape:?} takes {expected}; send them flat or nested as the shape says"
            ));
        }
        Ok(())
    }

    fn integers(&self, elem: ElemType) -> Result<Vec<i32>, (&'static str, String)> {
        let one = |(index, number): (usize, &Number)| match *number {
            Number::Int(v) => i32::try_from(v)
                .ok()
                .filter(|v| (elem.min()..=elem.max()).contains(v))
                .ok_or_else(|| {
                    let (min, max) = (elem.min(), elem.max());
                    (
                        "tensor-value-out-of-range",
                        format!("value {v} at index {index} is outside {elem} ({min} to {max})"),
                    )
                }),
            Number::Float(v) => Err((
                "input-type",
                format!("value {v} at index {index} is not an integer of {elem}"),
            )),
            Number::Null => Err((
                "input-type",
                format!("value at index {index} is null, not an integer of {elem}"),
            )),
        };
        self.numbers.iter().enumerate().map(one).collect()
    }

    /// The numbers as float32: a JSON number is read as float64, as every JSON reader does, and
    /// rounded once more, half to even.
    fn floats(&self) -> Result<Vec<f32>, (&'static str, String)> {
        #[expect(
            clippy::cast_precision_loss,
            clippy::cast_possible_truncation,
            reason = "the roundings are the defined result; an overflow is refused below"
        )]
        let one = |(index, number): (usize, &Number)| match *number {
            Number::Int(v) => Ok(v as f64 as f32),
            Number::Float(v) if v.is_finite() && !(v as f32).is_finite() => Err((
                "input-overflow",
                format!("value {v:e} at index {index} overflows float32; send a smaller value"),
            )),
            Number::Float(v) => Ok(v as f32),
            Number::Null => Err((
                "input-not-finite",
                format!(
                    "value at index {index} is null, which is how JavaScript writes NaN and Infinity; only finite values can be quantized"
                ),
            )),
        };
        self.numbers.iter().enumerate().map(one).collect()
    }
}

/// An input tensor of a request.
#[derive(Debug, Clone, Deserialize, ToSchema)]
pub struct RequestInput {
    /// Name of the model's input.
    #[schema(example = "x")]
    pub name: String,
    /// Dimensions, outermost first; those of the model.
    #[schema(example = json!([1, 4]))]
    pub shape: Vec<u64>,
    /// `FP32` where the model has an input quantizer, or the integer type itself: `UINT8`, `INT8`
    /// or `INT32`.
    #[schema(example = "FP32")]
    pub datatype: String,
    /// The numbers, row-major, flat or nested as the shape says.
    #[schema(value_type = Vec<serde_json::Value>, example = json!([5.1, 3.5, 1.4, 0.2]))]
    pub data: Elements,
}

/// The request's tensors as the integers that are proven, one for each input of the manifest.
///
/// # Errors
/// A [`Problem`] that lists everything that is wrong with any input.
pub fn decode_inputs(
    manifest: &Manifest,
    given: &[RequestInput],
) -> Result<BTreeMap<String, IntTensor>, Problem> {
    let mut tensors = BTreeMap::new();
    let mut faults = Vec::new();
    for (index, input) in given.iter().enumerate() {
        let at = |member: &str| format!("/inputs/{index}{member}");
        let Some(spec) = manifest.inputs.iter().find(|spec| spec.name == input.name) else {
            let known: Vec<_> = manifest.inputs.iter().map(|i| i.name.as_str()).collect();
            faults.push(Fault {
                code: "input-unknown",
                pointer: at("/name"),
                detail: format!(
                    "the model has no input {}; it has {}",
                    echo(&input.name),
                    known.join(", ")
                ),
            });
            continue;
        };
        if tensors.contains_key(&spec.name) {
            faults.push(Fault {
                code: "input-duplicate",
                pointer: at("/name"),
                detail: format!("input {:?} is given twice", spec.name),
            });
            continue;
        }
        match decode(spec, input) {
            Ok(tensor) => {
                tensors.insert(spec.name.clone(), tensor);
            }
            Err((code, member, detail)) => faults.push(Fault {
                code,
                pointer: at(member),
                detail: format!("input {:?}: {detail}", spec.name),
            }),
        }
    }
    for spec in &manifest.inputs {
        if !given.iter().any(|input| input.name == spec.name) {
            faults.push(Fault {
                code: "input-missing",
                pointer: "/inputs".to_owned(),
                detail: format!(
                    "input {:?} is missing; it takes {} of shape {:?}",
                    spec.name,
                    datatypes(spec),
                    spec.shape
                ),
            });
        }
    }
    if faults.is_empty() {
        Ok(tensors)
    } else {
        Err(Problem::faults(faults))
    }
}

fn decode(
    spec: &InputSpec,
    input: &RequestInput,
) -> Result<IntTensor, (&'static str, &'static str, String)> {
    let same_shape = spec.shape.len() == input.shape.len()
        && spec
            .shape
            .iter()
            .zip(&input.shape)
            .all(|(a, b)| u64::try_from(*a) == Ok(*b));
    if !same_shape {
        // A shape of a thousand dimensions is not given back.
        let got = input.shape.get(..=MAX_RANK).unwrap_or(&input.shape);
        let detail = format!("shape is {:?}, got {got:?}", spec.shape);
        return Err(("input-shape", "/shape", detail));
    }
    let data = &input.data;
    let in_data = |(code, detail): (&'static str, String)| (code, "/data", detail);
    let check_nesting = || {
        data.check_nesting(&spec.shape)
            .map_err(|detail| ("tensor-length-mismatch", "/data", detail))
    };
    if input.datatype == spec.elem.oip_name() {
        check_nesting()?;
        let integers = data.integers(spec.elem).map_err(in_data)?;
        return IntTensor::new(spec.elem, spec.shape.clone(), integers)
            .map_err(|e| in_data((e.code(), e.to_string())));
    }
    match &spec.quantizer {
        Some(quantizer) if input.datatype == "FP32" => {
            check_nesting()?;
            let floats = data.floats().map_err(in_data)?;
            quantizer
                .quantize(&floats, &spec.shape, spec.elem)
                .map_err(|e| in_data((e.code(), e.to_string())))
        }
        _ => {
            let got = echo(&input.datatype);
            let detail = format!("datatype is {}, got {got}", datatypes(spec));
            Err(("input-type", "/datatype", detail))
        }
    }
}

/// The datatypes that an input takes, in words.
fn datatypes(spec: &InputSpec) -> String {
    let integers = spec.elem.oip_name();
    match spec.quantizer {
        Some(_) => format!("FP32 or {integers}"),
        None => integers.to_owned(),
    }
}

/// Values of an output or of a view of it.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(untagged)]
pub enum OutputData {
    /// `UINT8`, `INT8`, `INT32`.
    Integers(Vec<i32>),
    /// `INT64`.
    Indices(Vec<usize>),
    /// `FP32`.
    Floats(Vec<f32>),
    /// `BYTES`.
    Texts(Vec<String>),
}

/// An output tensor of an answer: the model's own integers, which the receipt binds, or a view of
/// them named `<output>:<view>`, which anyone recomputes from the integers and the manifest.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub struct OutputTensor {
    /// Name of the output or view.
    #[schema(example = "logits:label")]
    pub name: String,
    /// Datatype in the protocol's words.
    #[schema(example = "BYTES")]
    pub datatype: &'static str,
    /// Dimensions, outermost first.
    #[schema(example = json!([1]))]
    pub shape: Vec<usize>,
    /// The values, row-major and flat: integers, floats or strings, as the datatype says.
    #[schema(value_type = Vec<serde_json::Value>, example = json!(["owl"]))]
    pub data: OutputData,
}

/// Name, datatype and shape of a tensor that a model takes or gives.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct TensorMetadata {
    /// Name of the input, output or view.
    pub name: String,
    /// Datatype in the protocol's words; `FP32` for an input with a quantizer, which takes its
    /// integers as well.
    pub datatype: &'static str,
    /// Dimensions, outermost first.
    pub shape: Vec<usize>,
}

/// The inputs of a model in the protocol's words.
pub fn input_metadata(manifest: &Manifest) -> Vec<TensorMetadata> {
    let metadata = |spec: &InputSpec| TensorMetadata {
        name: spec.name.clone(),
        datatype: match spec.quantizer {
            Some(_) => "FP32",
            None => spec.elem.oip_name(),
        },
        shape: spec.shape.clone(),
    };
    manifest.inputs.iter().map(metadata).collect()
}

/// The outputs of a model and their views in the protocol's words.
pub fn output_metadata(manifest: &Manifest) -> Vec<TensorMetadata> {
    let mut all = Vec::new();
    for spec in &manifest.outputs {
        all.push(TensorMetadata {
            name: spec.name.clone(),
            datatype: spec.elem.oip_name(),
            shape: spec.shape.clone(),
        });
        all.extend(view_slots(spec).into_iter().flatten());
    }
    all
}

/// What each view of an output is called, in the order of the views: one tensor, and for an
/// arg-max two, the index and its label. A view that stands there twice is numbered from the
/// second on.
fn view_slots(spec: &OutputSpec) -> Vec<Vec<TensorMetadata>> {
    let mut seen: BTreeMap<&str, u32> = BTreeMap::new();
    let mut named = |word: &'static str, datatype, shape: Vec<usize>| {
        let count = seen.entry(word).or_insert(0);
        *count += 1;
        let name = match *count {
            1 => format!("{}:{word}", spec.name),
            n => format!("{}:{word}:{n}", spec.name),
        };
        TensorMetadata {
            name,
            datatype,
            shape,
        }
    };
    let rows = || match spec.shape.split_last() {
        Some((_, rows)) if !rows.is_empty() => rows.to_vec(),
        _ => vec![1],
    };
    spec.views
        .iter()
        .map(|view| match view {
            View::Dequantize { .. } => vec![named("dequantized", "FP32", spec.shape.clone())],
            View::Softmax { .. } => vec![named("softmax", "FP32", spec.shape.clone())],
            View::ArgMax { .. } => vec![
                named("argmax", "INT64", rows()),
                named("label", "BYTES", rows()),
            ],
        })
        .collect()
}

/// The outputs of an inference with all their views; only those in `wanted` when it names any.
///
/// # Errors
/// The internal problem when `outputs` are not those of the manifest.
pub fn encode_outputs(
    manifest: &Manifest,
    outputs: &[(String, IntTensor)],
    wanted: &[String],
) -> Result<Vec<OutputTensor>, Problem> {
    if outputs.len() != manifest.outputs.len() {
        return Err(Problem::internal(
            "the engine gave another number of outputs",
        ));
    }
    let mut all = Vec::new();
    for (spec, (name, tensor)) in manifest.outputs.iter().zip(outputs) {
        if *name != spec.name {
            return Err(Problem::internal(format!(
                "the engine gave output {name:?} in the place of {:?}",
                spec.name
            )));
        }
        let views = spec
            .apply_views(tensor)
            .map_err(|e| Problem::internal(format!("{}: {e}", e.code())))?;
        all.push(OutputTensor {
            name: spec.name.clone(),
            datatype: spec.elem.oip_name(),
            shape: spec.shape.clone(),
            data: OutputData::Integers(tensor.data().to_vec()),
        });
        for (slots, view) in view_slots(spec).into_iter().zip(views) {
            let data = match view {
                ViewValue::Floats(floats) => vec![OutputData::Floats(floats)],
                ViewValue::Classes(classes) => vec![
                    OutputData::Indices(classes.iter().map(|c| c.index).collect()),
                    OutputData::Texts(classes.into_iter().map(|c| c.label).collect()),
                ],
            };
            all.extend(
                slots
                    .into_iter()
                    .zip(data)
                    .map(|(slot, data)| OutputTensor {
                        name: slot.name,
                        datatype: slot.datatype,
                        shape: slot.shape,
                        data,
                    }),
            );
        }
    }
    if !wanted.is_empty() {
        all.retain(|output| wanted.contains(&output.name));
    }
    Ok(all)
}

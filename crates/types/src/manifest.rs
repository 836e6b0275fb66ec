//! The package manifest: what a package contains, what its inputs and outputs mean, and, once
//! `setup` has sealed it, which circuit and keys belong to it.
//!
//! The manifest is the trust anchor: a verifier pins the SHA-256 of its bytes. It therefore has
//! exactly one encoding ([`Manifest::to_bytes`]), and [`Manifest::parse`] refuses every other
//! spelling of the same content. See `docs/spec/package.md`.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use crate::digest::Digest;
use crate::num::{f32_from_f64, f32_from_i64, i64_from_f32};
pub use crate::reference::{
    DriftSource, InexactRewrite, InputKind, ReferenceLevel, ReferenceReport,
};
use crate::statement::{LayoutTensor, PublicLayout, StatementError};
use crate::tensor::{ElemType, IntTensor, TensorError, element_count};

/// Value of [`Manifest::format`].
pub const MANIFEST_FORMAT: &str = "proofmark/package/v1";
/// Name under which a package stores its manifest.
pub const MANIFEST_FILE: &str = "manifest.json";
/// Largest manifest that is parsed, in bytes.
pub const MAX_MANIFEST_BYTES: usize = 16 << 20;
/// Largest number of dimensions of an input or output.
pub const MAX_RANK: usize = 8;
/// Largest number of elements of an input or output.
pub const MAX_ELEMENTS: usize = 1 << 28;
/// Largest count written as a JSON number: 2^53 − 1, exact in every JSON reader.
pub const MAX_COUNT: u64 = (1 << 53) - 1;

/// Who learns the values of an input or output.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Visibility {
    /// The values are public inputs of the proof and stand in the receipt.
    Public,
    /// The receipt carries an unsalted Poseidon digest. It hides nothing that can be guessed.
    Hashed,
    /// The receipt carries a Poseidon digest salted with a random field element.
    Private,
}

impl Visibility {
    /// The lower-case name, as in the manifest.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Public => "public",
            Self::Hashed => "hashed",
            Self::Private => "private",
        }
    }
}

/// An input of the integer model, in graph order.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct InputSpec {
    /// Name of the graph input.
    pub name: String,
    /// Element type.
    pub elem: ElemType,
    /// Static dimensions, outermost first, each at least 1.
    pub shape: Vec<usize>,
    /// Who learns the values.
    pub visibility: Visibility,
    /// How float values become this input's integers; `None` when only integers are accepted.
    pub quantizer: Option<InputQuantizer>,
}

/// Quantization of a float input, reproducible bit for bit in every language with IEEE 754.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct InputQuantizer {
    /// Finite and greater than 0. One value for the whole tensor, or one per index of `axis`.
    pub scale: Vec<f32>,
    /// As many as `scale`, each inside the element type.
    pub zero_point: Vec<i32>,
    /// The dimension that `scale` runs along; `None` exactly when `scale` has one value.
    pub axis: Option<usize>,
}

/// Why float values cannot be quantized.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum QuantizeError {
    /// A NaN or an infinity.
    #[error("input value at index {index} is {value}; only finite values can be quantized")]
    NotFinite {
        /// Row-major index.
        index: usize,
        /// The value.
        value: f32,
    },
    /// The float32 quotient of the value and the scale is infinite.
    #[error(
        "input value {value} at index {index} divided by scale {scale} overflows float32; send a smaller value"
    )]
    Overflow {
        /// Row-major index.
        index: usize,
        /// The value.
        value: f32,
        /// The scale that applies to it.
        scale: f32,
    },
    /// The values are not as many as the shape says.
    #[error(transparent)]
    Shape(#[from] TensorError),
    /// The quantizer does not fit the tensor.
    #[error("the quantizer does not fit the tensor: {reason}")]
    Quantizer {
        /// What does not fit.
        reason: &'static str,
    },
}

impl QuantizeError {
    /// Stable kebab-case code.
    pub const fn code(&self) -> &'static str {
        match self {
            Self::NotFinite { .. } => "input-not-finite",
            Self::Overflow { .. } => "input-overflow",
            Self::Shape(error) => error.code(),
            Self::Quantizer { .. } => "quantizer-invalid",
        }
    }
}

impl InputQuantizer {
    /// One scale and zero point for the whole tensor.
    pub fn per_tensor(scale: f32, zero_point: i32) -> Self {
        Self {
            scale: vec![scale],
            zero_point: vec![zero_point],
            axis: None,
        }
    }

    /// Quantizes row-major `values`: `q = clamp(rint_even(f32(x / s)) + zp)`.
    ///
    /// The quotient is rounded once to float32 (IEEE division), then to an integer, half to even;
    /// the zero point is added exactly and the sum is clamped to the element type. These are the
    /// semantics of ONNX Runtime's `QuantizeLinear`; a multiplication by the reciprocal or a
    /// division in float64 gives other integers.
    ///
    /// # Errors
    /// [`QuantizeError`] for NaN, an infinity, a quotient that overflows float32, a wrong number
    /// of values, and a quantizer that does not fit `shape` and `elem`.
    pub fn quantize(
        &self,
        values: &[f32],
        shape: &[usize],
        elem: ElemType,
    ) -> Result<IntTensor, QuantizeError> {
        self.check(shape, elem)
            .map_err(|reason| QuantizeError::Quantizer { reason })?;
        let expected = element_count(shape)?;
        if values.len() != expected {
            return Err(TensorError::Length {
                shape: shape.to_vec(),
                expected,
                got: values.len(),
            }
            .into());
        }
        // Elements that share an index of `axis` stand together in runs of `run` elements.
        let run = match self.axis {
            None => expected.max(1),
            Some(axis) => {
                element_count(shape.get(axis.saturating_add(1)..).unwrap_or_default())?.max(1)
            }
        };
        let mut data = Vec::with_capacity(expected);
        let parameters = self.scale.iter().zip(&self.zero_point).cycle();
        for (chunk, (&scale, &zero_point)) in values.chunks(run).zip(parameters) {
            for &value in chunk {
                let index = data.len();
                if !value.is_finite() {
                    return Err(QuantizeError::NotFinite { index, value });
                }
                let quotient = value / scale;
                if !quotient.is_finite() {
                    return Err(QuantizeError::Overflow {
                        index,
                        value,
                        scale,
                    });
                }
                let shifted = i64_from_f32(quotient.round_ties_even())
                    .saturating_add(i64::from(zero_point))
                    .clamp(i64::from(elem.min()), i64::from(elem.max()));
                data.push(i32::try_from(shifted).unwrap_or(elem.max()));
            }
        }
        Ok(IntTensor::new(elem, shape.to_vec(), data)?)
    }

    /// Whether the quantizer fits a tensor; the reason when it does not.
    fn check(&self, shape: &[usize], elem: ElemType) -> Result<(), &'static str> {
        if self.scale.len() != self.zero_point.len() {
            return Err("scale and zero_point differ in length");
        }
        match self.axis {
            None if self.scale.len() != 1 => {
                return Err("without an axis there is exactly one scale");
            }
            Some(axis) if shape.get(axis) != Some(&self.scale.len()) => {
                return Err("there is not one scale per index of the axis");
            }
            None | Some(_) => {}
        }
        if self.scale.iter().any(|s| !s.is_finite() || *s <= 0.0) {
            return Err("a scale is not finite and greater than 0");
        }
        if self
            .zero_point
            .iter()
            .any(|z| *z < elem.min() || *z > elem.max())
        {
            return Err("a zero point is outside the element type");
        }
        Ok(())
    }
}

/// How the reader of an integer output looks at it. Views are recomputed by the reader; a receipt
/// binds the integers only.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub enum View {
    /// `f32(q − zero_point) · scale`, one rounding each.
    Dequantize {
        /// Finite and greater than 0.
        scale: f32,
        /// Inside the element type.
        zero_point: i32,
    },
    /// Softmax of the output's `dequantize` view, along one dimension.
    Softmax {
        /// The dimension that sums to 1.
        axis: usize,
    },
    /// Index of the largest integer along the last dimension; of equal ones the lowest index.
    ArgMax {
        /// One label per index of the last dimension.
        labels: Vec<String>,
    },
}

/// What a [`View`] shows.
#[derive(Debug, Clone, PartialEq)]
pub enum ViewValue {
    /// One float per element, row-major, in the output's shape.
    Floats(Vec<f32>),
    /// One class per row (all dimensions but the last), row-major.
    Classes(Vec<Class>),
}

/// The winner of one row.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Class {
    /// Index along the last dimension.
    pub index: usize,
    /// Its label.
    pub label: String,
}

/// A view that does not fit the tensor it is applied to.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the view does not fit the output: {reason}")]
pub struct ViewError {
    /// What does not fit.
    pub reason: &'static str,
}

impl ViewError {
    /// Stable kebab-case code.
    pub const fn code(&self) -> &'static str {
        "view-invalid"
    }
}

impl View {
    /// Whether the view fits an output with `siblings` as its list of views.
    fn check(&self, elem: ElemType, shape: &[usize], siblings: &[Self]) -> Result<(), ViewError> {
        let refuse = |reason| Err(ViewError { reason });
        match self {
            Self::Dequantize { scale, zero_point } => {
                if !scale.is_finite() || *scale <= 0.0 {
                    return refuse("the scale is not finite and greater than 0");
                }
                if *zero_point < elem.min() || *zero_point > elem.max() {
                    return refuse("the zero point is outside the element type");
                }
            }
            Self::Softmax { axis } => {
                if *axis >= shape.len() {
                    return refuse("the axis is not a dimension of the output");
                }
                if !siblings
                    .iter()
                    .any(|v| matches!(v, Self::Dequantize { .. }))
                {
                    return refuse("softmax needs a dequantize view beside it");
                }
            }
            Self::ArgMax { labels } => {
                if shape.last() != Some(&labels.len()) {
                    return refuse("there is not one label per index of the last dimension");
                }
            }
        }
        Ok(())
    }

    /// Applies the view to an output tensor. `siblings` are all views of the same output: softmax
    /// takes its scale from the `dequantize` view among them.
    ///
    /// Softmax is computed in float64 with the largest value subtracted, and rounded once to
    /// float32. It is for reading, not for comparing bit by bit: `exp` differs between platforms.
    ///
    /// # Errors
    /// [`ViewError`] when the view does not fit the tensor.
    pub fn apply(&self, tensor: &IntTensor, siblings: &[Self]) -> Result<ViewValue, ViewError> {
        self.check(tensor.elem(), tensor.shape(), siblings)?;
        match self {
            Self::Dequantize { scale, zero_point } => {
                Ok(ViewValue::Floats(dequantize(tensor, *scale, *zero_point)))
            }
            Self::Softmax { axis } => {
                let floats = siblings.iter().find_map(|v| match v {
                    Self::Dequantize { scale, zero_point } => {
                        Some(dequantize(tensor, *scale, *zero_point))
                    }
                    Self::Softmax { .. } | Self::ArgMax { .. } => None,
                });
                let floats = floats.ok_or(ViewError {
                    reason: "softmax needs a dequantize view beside it",
                })?;
                softmax(&floats, tensor.shape(), *axis).map(ViewValue::Floats)
            }
            Self::ArgMax { labels } => {
                let mut classes = Vec::new();
                for row in tensor.data().chunks_exact(labels.len().max(1)) {
                    // `max_by_key` keeps the last of equal ones, so the row is walked backwards.
                    let best = row
                        .iter()
                        .zip(labels)
                        .enumerate()
                        .rev()
                        .max_by_key(|(_, (q, _))| **q);
                    if let Some((index, (_, label))) = best {
                        classes.push(Class {
                            index,
                            label: label.clone(),
                        });
                    }
                }
                Ok(ViewValue::Classes(classes))
            }
        }
    }
}

fn dequantize(tensor: &IntTensor, scale: f32, zero_point: i32) -> Vec<f32> {
    let zero_point = i64::from(zero_point);
    tensor
        .data()
        .iter()
        .map(|&q| f32_from_i64(i64::from(q).saturating_sub(zero_point)) * scale)
        .collect()
}

fn softmax(values: &[f32], shape: &[usize], axis: usize) -> Result<Vec<f32>, ViewError> {
    let refuse = || ViewError {
        reason: "the output has too many elements",
    };
    let inner = element_count(shape.get(axis.saturating_add(1)..).unwrap_or_default())
        .map_err(|_| refuse())?;
    let block = shape
        .get(axis)
        .and_then(|d| d.checked_mul(inner))
        .ok_or_else(refuse)?
        .max(1);
    let mut out = vec![0.0_f32; values.len()];
    for (from, to) in values.chunks_exact(block).zip(out.chunks_exact_mut(block)) {
        for offset in 0..inner {
            let lane = || {
                from.iter()
                    .skip(offset)
                    .step_by(inner)
                    .map(|&v| f64::from(v))
            };
            let largest = lane().fold(f64::NEG_INFINITY, f64::max);
            let sum: f64 = lane().map(|v| (v - largest).exp()).sum();
            for (slot, v) in to.iter_mut().skip(offset).step_by(inner).zip(lane()) {
                *slot = f32_from_f64((v - largest).exp() / sum);
            }
        }
    }
    Ok(out)
}

/// An output of the integer model, in graph order.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct OutputSpec {
    /// Name of the graph output.
    pub name: String,
    /// Element type.
    pub elem: ElemType,
    /// Static dimensions, outermost first, each at least 1.
    pub shape: Vec<usize>,
    /// Who learns the values.
    pub visibility: Visibility,
    /// How a reader may look at the integers.
    pub views: Vec<View>,
}

impl OutputSpec {
    /// Applies every view, in order.
    ///
    /// # Errors
    /// [`ViewError`] when `tensor` is not of the declared type and shape, or a view does not fit.
    pub fn apply_views(&self, tensor: &IntTensor) -> Result<Vec<ViewValue>, ViewError> {
        if tensor.elem() != self.elem || tensor.shape() != self.shape {
            return Err(ViewError {
                reason: "the tensor is not of the declared type and shape",
            });
        }
        self.views
            .iter()
            .map(|view| view.apply(tensor, &self.views))
            .collect()
    }
}

/// A file of the package, found beside the manifest.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ModelFile {
    /// Plain file name, without any folder.
    pub file: String,
    /// SHA-256 of its bytes.
    pub digest: Digest,
    /// Its length in bytes.
    pub bytes: u64,
}

/// The execution provider that the served integers come from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Provider {
    /// ONNX Runtime on the processor.
    #[serde(rename = "CPUExecutionProvider")]
    Cpu,
}

/// ONNX Runtime's graph optimisation level.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Optimization {
    /// `ORT_DISABLE_ALL`: the graph runs as it is written.
    DisableAll,
}

/// The runtime whose execution of the integer model is proven.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RuntimePin {
    /// Version, as `1.31.1`.
    pub onnxruntime: String,
    /// Execution provider.
    pub provider: Provider,
    /// Graph optimisation level.
    pub optimization: Optimization,
}

impl RuntimePin {
    /// The pin that this version of the software writes.
    pub fn current() -> Self {
        Self {
            onnxruntime: "1.31.1".to_owned(),
            provider: Provider::Cpu,
            optimization: Optimization::DisableAll,
        }
    }
}

/// The proof system that the circuit is compiled for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Backend {
    /// Plain Groth16 over BN254: proofs of three points that every Groth16 verifier accepts.
    Groth16,
    /// Groth16 over BN254 with one commitment and a challenge drawn from it, for lookups: proofs of
    /// four points, verified with five pairings.
    Groth16Logup,
}

/// What the circuit is compiled with. The same integer model, visibility policy, epoch and backend
/// give the same circuit digest on every machine.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CompilerPin {
    /// Compiler epoch, from 1. Epochs are frozen.
    pub epoch: u32,
    /// Proof system.
    pub backend: Backend,
}

/// What `import` measured. It informs people and is bound by the package digest like the rest.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ValidationReport {
    /// Samples that the quantization ranges were taken from.
    pub calibration_samples: u64,
    /// Samples that float and integer model were compared on.
    pub checked_samples: u64,
    /// Accuracy of the float model, 0 … 1, when the samples are labelled.
    pub float_accuracy: Option<f64>,
    /// Accuracy of the integer model, 0 … 1, when the samples are labelled.
    pub integer_accuracy: Option<f64>,
    /// Largest difference between a float output and the dequantized integer output.
    pub largest_output_difference: Option<f64>,
    /// Mean difference between a float output and the dequantized integer output.
    pub mean_output_difference: Option<f64>,
    /// Share of checked samples whose largest output stands at the same index in both models, 0 … 1.
    pub agreement: Option<f64>,
    /// What else a reader should know, a sentence each.
    pub notes: Vec<String>,
    /// For a model that was quantized elsewhere: how it was compared with the original.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reference: Option<ReferenceReport>,
}

/// How the keys were made.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum SetupKind {
    /// One party drew the trapdoor and wiped it. Whoever made the keys could have forged.
    SingleParty,
    /// Many contributed; one honest contributor suffices.
    Ceremony,
}

impl SetupKind {
    /// The kebab-case name, as in the manifest.
    pub const fn name(self) -> &'static str {
        match self {
            Self::SingleParty => "single-party",
            Self::Ceremony => "ceremony",
        }
    }
}

/// The compiled circuit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CircuitRecord {
    /// SHA-256 of the versioned header and the `.r1cs` bytes.
    pub digest: Digest,
    /// Number of rank-1 constraints.
    pub constraints: u64,
    /// Number of wires, the constant one included.
    pub wires: u64,
    /// Number of public inputs, without the constant one.
    pub public_inputs: u64,
}

/// What `setup` adds to a draft.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Sealed {
    /// The circuit.
    pub circuit: CircuitRecord,
    /// The verifying key.
    pub verifying_key: ModelFile,
    /// The proving key.
    pub proving_key: ModelFile,
    /// The setup transcript.
    pub transcript: ModelFile,
    /// How the keys were made.
    pub setup_kind: SetupKind,
}

/// A package manifest.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Manifest {
    /// [`MANIFEST_FORMAT`].
    pub format: String,
    /// File-name-safe name: `[a-z0-9][a-z0-9._-]{0,63}`.
    pub name: String,
    /// File-name-safe version: `[a-z0-9][a-z0-9._-]{0,63}`.
    pub version: String,
    /// One paragraph for people.
    pub description: String,
    /// Licence of the model, an SPDX expression where one exists.
    pub licence: String,
    /// The float model that was imported, when it is part of the package.
    pub float_model: Option<ModelFile>,
    /// The integer model: what is served and proven.
    pub integer_model: ModelFile,
    /// The runtime whose execution is proven.
    pub runtime: RuntimePin,
    /// Inputs in graph order.
    pub inputs: Vec<InputSpec>,
    /// Outputs in graph order.
    pub outputs: Vec<OutputSpec>,
    /// What the circuit is compiled with.
    pub compiler: CompilerPin,
    /// What `import` measured.
    pub validation: ValidationReport,
    /// The report of the translation's validation: that ONNX Runtime computes what is proven. In
    /// every sealed package since there is one; a package without is not served.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub translation: Option<ModelFile>,
    /// `None` in a draft.
    pub sealed: Option<Sealed>,
}

/// Why some bytes or some content are not a package manifest.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ManifestError {
    /// Longer than [`MAX_MANIFEST_BYTES`].
    #[error("manifest is {bytes} bytes, more than {MAX_MANIFEST_BYTES}")]
    TooLarge {
        /// Its length.
        bytes: usize,
    },
    /// Not JSON, a member is missing, unknown or twice there, or of a wrong type.
    #[error("manifest is malformed: {reason}")]
    Malformed {
        /// The parser's words.
        reason: String,
    },
    /// Not the one encoding of its content.
    #[error("manifest is not in its canonical encoding; write it with the tool, not by hand")]
    NotCanonical,
    /// Another format, or a later version of it.
    #[error("manifest format is {got:?}, this software reads {MANIFEST_FORMAT:?}")]
    Format {
        /// What the manifest says.
        got: String,
    },
    /// A name or version that is not safe as a file name.
    #[error("{field} {value:?} is not of the form [a-z0-9][a-z0-9._-]{{0,63}}")]
    Name {
        /// The member.
        field: &'static str,
        /// Its value.
        value: String,
    },
    /// A text that is too long or holds control characters.
    #[error("{field} is longer than {limit} bytes or holds control characters")]
    Text {
        /// The member.
        field: &'static str,
        /// Largest length in bytes.
        limit: usize,
    },
    /// A file name with a folder, a leading dot or unusual characters.
    #[error("{value:?} is not a plain file name ([A-Za-z0-9][A-Za-z0-9._-]{{0,127}})")]
    FileName {
        /// The file name.
        value: String,
    },
    /// Two files under one name.
    #[error("file name {value:?} is used twice")]
    DuplicateFile {
        /// The file name.
        value: String,
    },
    /// No input or no output.
    #[error("a model has at least one input and one output")]
    NoTensors,
    /// A tensor name that is empty, long, or holds white space or control characters.
    #[error("tensor name {value:?} is not 1 to 128 printable ASCII characters without blanks")]
    TensorName {
        /// The name.
        value: String,
    },
    /// Two inputs or outputs under one name.
    #[error("tensor name {value:?} is used twice")]
    DuplicateTensor {
        /// The name.
        value: String,
    },
    /// A shape with no dimension, a dimension of 0, too many dimensions or too many elements.
    #[error(
        "shape {shape:?} of {name:?} has not 1 to {MAX_RANK} dimensions of at least 1 with at most {MAX_ELEMENTS} elements"
    )]
    Shape {
        /// The tensor.
        name: String,
        /// Its shape.
        shape: Vec<usize>,
    },
    /// A quantizer that does not fit its input.
    #[error("quantizer of {name:?}: {reason}")]
    Quantizer {
        /// The input.
        name: String,
        /// What does not fit.
        reason: &'static str,
    },
    /// A view that does not fit its output.
    #[error("view of {name:?}: {reason}")]
    View {
        /// The output.
        name: String,
        /// What does not fit.
        reason: &'static str,
    },
    /// A number outside its range.
    #[error("{field} is outside its range")]
    Number {
        /// The member.
        field: &'static str,
    },
}

impl ManifestError {
    /// Stable kebab-case code.
    pub const fn code(&self) -> &'static str {
        match self {
            Self::TooLarge { .. } | Self::Malformed { .. } | Self::Format { .. } => {
                "manifest-malformed"
            }
            Self::NotCanonical => "manifest-not-canonical",
            Self::Name { .. }
            | Self::Text { .. }
            | Self::FileName { .. }
            | Self::DuplicateFile { .. }
            | Self::NoTensors
            | Self::TensorName { .. }
            | Self::DuplicateTensor { .. }
            | Self::Shape { .. }
            | Self::Quantizer { .. }
            | Self::View { .. }
            | Self::Number { .. } => "manifest-invalid",
        }
    }
}

/// Whether `text` is `[a-z0-9][a-z0-9._-]{0,63}`: safe as a file name and in a URL path.
pub fn is_safe_name(text: &str) -> bool {
    let mut bytes = text.bytes();
    let first = bytes
        .next()
        .is_some_and(|b| b.is_ascii_lowercase() || b.is_ascii_digit());
    first
        && text.len() <= 64
        && bytes.all(|b| {
            b.is_ascii_lowercase() || b.is_ascii_digit() || matches!(b, b'.' | b'_' | b'-')
        })
}

/// Whether `text` is `[A-Za-z0-9][A-Za-z0-9._-]{0,127}`: a file name without a folder.
pub fn is_plain_file_name(text: &str) -> bool {
    let mut bytes = text.bytes();
    bytes.next().is_some_and(|b| b.is_ascii_alphanumeric())
        && text.len() <= 128
        && bytes.all(|b| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'_' | b'-'))
}

/// Whether `text` is 1 to 128 printable ASCII characters without blanks, as graph inputs and
/// outputs must be called.
pub fn is_tensor_name(text: &str) -> bool {
    (1..=128).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_graphic())
}

impl Manifest {
    /// Parses and validates a manifest that is in its one encoding.
    ///
    /// # Errors
    /// [`ManifestError`]: too large, malformed, in another spelling, or invalid in content.
    pub fn parse(bytes: &[u8]) -> Result<Self, ManifestError> {
        if bytes.len() > MAX_MANIFEST_BYTES {
            return Err(ManifestError::TooLarge { bytes: bytes.len() });
        }
        let manifest: Self =
            serde_json::from_slice(bytes).map_err(|error| ManifestError::Malformed {
                reason: error.to_string(),
            })?;
        if manifest.to_bytes()? != bytes {
            return Err(ManifestError::NotCanonical);
        }
        Ok(manifest)
    }

    /// The one encoding: JSON indented by two blanks, members in the order of declaration, floats
    /// in their shortest form, and a line feed at the end.
    ///
    /// # Errors
    /// [`ManifestError`] of [`validate`](Self::validate): an invalid manifest has no encoding.
    pub fn to_bytes(&self) -> Result<Vec<u8>, ManifestError> {
        self.validate()?;
        let mut bytes =
            serde_json::to_vec_pretty(self).map_err(|error| ManifestError::Malformed {
                reason: error.to_string(),
            })?;
        bytes.push(b'\n');
        Ok(bytes)
    }

    /// The package's address: SHA-256 of [`to_bytes`](Self::to_bytes).
    ///
    /// # Errors
    /// As [`to_bytes`](Self::to_bytes).
    pub fn package_digest(&self) -> Result<Digest, ManifestError> {
        Ok(Digest::of(&self.to_bytes()?))
    }

    /// Order and encoding of the circuit's public inputs.
    ///
    /// # Errors
    /// [`StatementError`] for a shape that [`validate`](Self::validate) refuses as well.
    pub fn layout(&self) -> Result<PublicLayout, StatementError> {
        PublicLayout::new(
            self.inputs.iter().map(LayoutTensor::from).collect(),
            self.outputs.iter().map(LayoutTensor::from).collect(),
        )
    }

    /// Checks everything that the types do not say.
    ///
    /// # Errors
    /// The first [`ManifestError`] found.
    pub fn validate(&self) -> Result<(), ManifestError> {
        if self.format != MANIFEST_FORMAT {
            return Err(ManifestError::Format {
                got: self.format.clone(),
            });
        }
        for (field, value) in [("name", &self.name), ("version", &self.version)] {
            if !is_safe_name(value) {
                return Err(ManifestError::Name {
                    field,
                    value: value.clone(),
                });
            }
        }
        check_text("description", &self.description, 4096)?;
        check_text("licence", &self.licence, 128)?;
        self.validate_files()?;
        let version = &self.runtime.onnxruntime;
        if !is_safe_name(version) {
            return Err(ManifestError::Name {
                field: "runtime.onnxruntime",
                value: version.clone(),
            });
        }
        self.validate_tensors()?;
        if self.compiler.epoch == 0 {
            return Err(ManifestError::Number {
                field: "compiler.epoch",
            });
        }
        self.validation.validate()?;
        if let Some(sealed) = &self.sealed {
            for (field, count) in [
                ("sealed.circuit.constraints", sealed.circuit.constraints),
                ("sealed.circuit.wires", sealed.circuit.wires),
                ("sealed.circuit.public_inputs", sealed.circuit.public_inputs),
            ] {
                check_count(field, count)?;
            }
        }
        Ok(())
    }

    /// Every file of the package but the manifest itself: models, report, keys, transcript.
    pub fn files(&self) -> Vec<&ModelFile> {
        let mut files: Vec<&ModelFile> = self.float_model.iter().collect();
        files.extend(&self.translation);
        files.push(&self.integer_model);
        if let Some(sealed) = &self.sealed {
            files.extend([
                &sealed.verifying_key,
                &sealed.proving_key,
                &sealed.transcript,
            ]);
        }
        files
    }

    fn validate_files(&self) -> Result<(), ManifestError> {
        // Compared without case: some file systems do not tell it apart.
        let mut seen = BTreeSet::from([MANIFEST_FILE.to_owned()]);
        for file in self.files() {
            if !is_plain_file_name(&file.file) {
                return Err(ManifestError::FileName {
                    value: file.file.clone(),
                });
            }
            if !seen.insert(file.file.to_ascii_lowercase()) {
                return Err(ManifestError::DuplicateFile {
                    value: file.file.clone(),
                });
            }
            check_count("bytes", file.bytes)?;
        }
        Ok(())
    }

    fn validate_tensors(&self) -> Result<(), ManifestError> {
        if self.inputs.is_empty() || self.outputs.is_empty() {
            return Err(ManifestError::NoTensors);
        }
        let mut seen = BTreeSet::new();
        let inputs = self.inputs.iter().map(|i| (&i.name, &i.shape));
        for (name, shape) in inputs.chain(self.outputs.iter().map(|o| (&o.name, &o.shape))) {
            if !is_tensor_name(name) {
                return Err(ManifestError::TensorName {
                    value: name.clone(),
                });
            }
            if !seen.insert(name) {
                return Err(ManifestError::DuplicateTensor {
                    value: name.clone(),
                });
            }
            let fits = (1..=MAX_RANK).contains(&shape.len())
                && element_count(shape).is_ok_and(|n| (1..=MAX_ELEMENTS).contains(&n));
            if !fits {
                return Err(ManifestError::Shape {
                    name: name.clone(),
                    shape: shape.clone(),
                });
            }
        }
        for input in &self.inputs {
            if let Some(quantizer) = &input.quantizer {
                quantizer
                    .check(&input.shape, input.elem)
                    .map_err(|reason| ManifestError::Quantizer {
                        name: input.name.clone(),
                        reason,
                    })?;
            }
        }
        for output in &self.outputs {
            let refuse = |reason| ManifestError::View {
                name: output.name.clone(),
                reason,
            };
            let dequantized = output
                .views
                .iter()
                .filter(|v| matches!(v, View::Dequantize { .. }))
                .count();
            if dequantized > 1 {
                return Err(refuse("there is more than one dequantize view"));
            }
            for view in &output.views {
                view.check(output.elem, &output.shape, &output.views)
                    .map_err(|e| refuse(e.reason))?;
                if let View::ArgMax { labels } = view {
                    for label in labels {
                        check_text("label", label, 256)?;
                    }
                }
            }
        }
        Ok(())
    }
}

impl ValidationReport {
    fn validate(&self) -> Result<(), ManifestError> {
        check_count("validation.calibration_samples", self.calibration_samples)?;
        check_count("validation.checked_samples", self.checked_samples)?;
        for (field, value, largest) in [
            ("validation.float_accuracy", self.float_accuracy, 1.0),
            ("validation.integer_accuracy", self.integer_accuracy, 1.0),
            (
                "validation.largest_output_difference",
                self.largest_output_difference,
                f64::MAX,
            ),
            (
                "validation.mean_output_difference",
                self.mean_output_difference,
                f64::MAX,
            ),
            ("validation.agreement", self.agreement, 1.0),
        ] {
            if value.is_some_and(|v| !(0.0..=largest).contains(&v)) {
                return Err(ManifestError::Number { field });
            }
        }
        if let Some(reference) = &self.reference {
            reference.validate()?;
        }
        self.notes
            .iter()
            .try_for_each(|note| check_text("validation.notes", note, 4096))
    }
}

pub(crate) fn check_text(
    field: &'static str,
    text: &str,
    limit: usize,
) -> Result<(), ManifestError> {
    if text.len() > limit || text.chars().any(char::is_control) {
        return Err(ManifestError::Text { field, limit });
    }
    Ok(())
}

pub(crate) fn check_count(field: &'static str, count: u64) -> Result<(), ManifestError> {
    if count > MAX_COUNT {
        return Err(ManifestError::Number { field });
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(name: &str) -> ModelFile {
        ModelFile {
            file: name.to_owned(),
            digest: Digest::of(name.as_bytes()),
            bytes: 7,
        }
    }

    fn sample() -> Manifest {
        Manifest {
            format: MANIFEST_FORMAT.to_owned(),
            name: "digits-mlp".to_owned(),
            version: "1".to_owned(),
            description: "Digits, 8×8".to_owned(),
            licence: "MIT".to_owned(),
            float_model: Some(file("float.onnx")),
            integer_model: file("integer.onnx"),
            runtime: RuntimePin::current(),
            inputs: vec![InputSpec {
                name: "x".to_owned(),
                elem: ElemType::Uint8,
                shape: vec![1, 2],
                visibility: Visibility::Public,
                quantizer: Some(InputQuantizer {
                    scale: vec![0.1, f32::MIN_POSITIVE],
                    zero_point: vec![0, 255],
                    axis: Some(1),
                }),
            }],
            outputs: vec![OutputSpec {
                name: "y".to_owned(),
                elem: ElemType::Int8,
                shape: vec![1, 3],
                visibility: Visibility::Private,
                views: vec![
                    View::Dequantize {
                        scale: 0.062_5,
                        zero_point: -128,
                    },
                    View::Softmax { axis: 1 },
                    View::ArgMax {
                        labels: vec!["a".into(), "b".into(), "c".into()],
                    },
                ],
            }],
            compiler: CompilerPin {
                epoch: 1,
                backend: Backend::Groth16,
            },
            validation: ValidationReport {
                float_accuracy: Some(0.97),
                ..Default::default()
            },
            translation: None,
            sealed: Some(Sealed {
                circuit: CircuitRecord {
                    digest: Digest::of(b"circuit"),
                    constraints: 3,
                    wires: 5,
                    public_inputs: 3,
                },
                verifying_key: file("verifying.key"),
                proving_key: file("proving.zkey"),
                transcript: file("transcript.json"),
                setup_kind: SetupKind::SingleParty,
            }),
        }
    }

    #[test]
    fn one_encoding() {
        let manifest = sample();
        let bytes = manifest.to_bytes().unwrap();
        assert_eq!(Manifest::parse(&bytes).unwrap(), manifest);
        assert_eq!(manifest.package_digest().unwrap(), Digest::of(&bytes));
        let text = String::from_utf8(bytes).unwrap();
        assert!(text.ends_with("}\n"));
        let other = [
            text.trim_end().to_owned(),
            format!("{text}\n"),
            format!(" {text}"),
            text.replacen("  ", "\t", 1),
            text.replace("0.0625", "0.06250"),
            text.replace("\"epoch\": 1", "\"epoch\": 1e0"),
            text.replace("MIT", "\\u004dIT"),
        ];
        for spelling in other {
            let error = Manifest::parse(spelling.as_bytes()).unwrap_err();
            assert!(
                matches!(
                    error,
                    ManifestError::NotCanonical | ManifestError::Malformed { .. }
                ),
                "{error}"
            );
        }
        for broken in [
            text.replace("\"licence\"", "\"license\""),
            text.replacen('{', "{\n  \"extra\": 1,", 1),
            text.replacen("\"name\"", "\"name\": \"a\",\n  \"name\"", 1),
            text.replace("\"public\"", "\"Public\""),
            text.replace("\"softmax\": {", "\"softmax\": { \"x\": 1,"),
            String::new(),
            "[".repeat(100_000),
        ] {
            assert_eq!(
                Manifest::parse(broken.as_bytes()).unwrap_err().code(),
                "manifest-malformed"
            );
        }
    }

    #[test]
    fn every_float32_survives_the_encoding() {
        let mut manifest = sample();
        let mut bits = 1_u32;
        while bits < f32::INFINITY.to_bits() {
            let scale = f32::from_bits(bits);
            manifest.inputs[0].quantizer.as_mut().unwrap().scale = vec![scale, f32::MAX];
            manifest.outputs[0].views[0] = View::Dequantize {
                scale,
                zero_point: 3,
            };
            let back = Manifest::parse(&manifest.to_bytes().unwrap()).unwrap();
            assert_eq!(back, manifest);
            bits = bits.saturating_add(1_000_003);
        }
    }

    #[test]
    fn invalid_content_has_no_encoding() {
        type Change = fn(&mut Manifest);
        let changes: Vec<(Change, &str)> = vec![
            (|m| m.format = "proofmark/package/v2".into(), "format"),
            (|m| m.name = "Upper".into(), "name"),
            (|m| m.name = String::new(), "name"),
            (|m| m.version = "../1".into(), "version"),
            (|m| m.version = "a".repeat(65), "version"),
            (|m| m.description = "a\nb".into(), "description"),
            (|m| m.integer_model.file = "a/b".into(), "file"),
            (|m| m.integer_model.file = "..".into(), "file"),
            (|m| m.integer_model.file = "manifest.json".into(), "file"),
            (|m| m.integer_model.file = "Float.onnx".into(), "file"),
            (|m| m.integer_model.bytes = MAX_COUNT + 1, "bytes"),
            (|m| m.inputs.clear(), "input"),
            (|m| m.outputs.clear(), "output"),
            (|m| m.inputs[0].name = "a b".into(), "name"),
            (|m| m.inputs[0].name = "y".into(), "name"),
            (|m| m.inputs[0].shape = vec![], "shape"),
            (|m| m.inputs[0].shape = vec![1, 0], "shape"),
            (|m| m.outputs[0].shape = vec![usize::MAX, 3], "shape"),
            (|m| m.outputs[0].shape = vec![1; 9], "shape"),
            (|m| quantizer(m).scale[0] = 0.0, "quantizer"),
            (|m| quantizer(m).scale[0] = -1.0, "quantizer"),
            (|m| quantizer(m).scale[0] = f32::NAN, "quantizer"),
            (|m| quantizer(m).scale[1] = f32::INFINITY, "quantizer"),
            (|m| quantizer(m).zero_point[1] = 256, "quantizer"),
            (|m| quantizer(m).zero_point.truncate(1), "quantizer"),
            (|m| quantizer(m).axis = None, "quantizer"),
            (|m| quantizer(m).axis = Some(0), "quantizer"),
            (|m| quantizer(m).axis = Some(2), "quantizer"),
            (
                |m| {
                    m.outputs[0].views[0] = View::Dequantize {
                        scale: 1.0,
                        zero_point: 128,
                    }
                },
                "view",
            ),
            (
                |m| {
                    m.outputs[0].views[0] = View::Dequantize {
                        scale: f32::NAN,
                        zero_point: 0,
                    }
                },
                "view",
            ),
            (
                |m| {
                    m.outputs[0].views.push(View::Dequantize {
                        scale: 1.0,
                        zero_point: 0,
                    });
                },
                "view",
            ),
            (
                |m| m.outputs[0].views[1] = View::Softmax { axis: 2 },
                "view",
            ),
            (|m| drop(m.outputs[0].views.remove(0)), "view"),
            (
                |m| {
                    m.outputs[0].views[2] = View::ArgMax {
                        labels: vec!["a".into()],
                    }
                },
                "view",
            ),
            (|m| m.compiler.epoch = 0, "epoch"),
            (|m| m.validation.float_accuracy = Some(f64::NAN), "accuracy"),
            (|m| m.validation.float_accuracy = Some(1.1), "accuracy"),
            (|m| m.validation.agreement = Some(-0.5), "agreement"),
            (|m| m.runtime.onnxruntime = String::new(), "runtime"),
            (
                |m| m.sealed.as_mut().unwrap().circuit.wires = u64::MAX,
                "wires",
            ),
            (
                |m| m.sealed.as_mut().unwrap().transcript.file = "verifying.key".into(),
                "file",
            ),
        ];
        for (index, (change, word)) in changes.into_iter().enumerate() {
            let mut manifest = sample();
            change(&mut manifest);
            let error = manifest.to_bytes().unwrap_err();
            assert!(error.to_string().contains(word), "case {index}: {error}");
            assert!(error.code().starts_with("manifest-"));
        }
    }

    #[test]
    fn a_manifest_without_a_translation_report_is_encoded_as_before_there_was_one() {
        let mut manifest = sample();
        let before = manifest.to_bytes().unwrap();
        assert!(
            !String::from_utf8(before.clone())
                .unwrap()
                .contains("translation")
        );
        assert_eq!(Manifest::parse(&before).unwrap(), manifest);
        let text = String::from_utf8(before).unwrap();
        let spelled = text.replacen("  \"sealed\"", "  \"translation\": null,\n  \"sealed\"", 1);
        assert_ne!(spelled, text);
        assert_eq!(
            Manifest::parse(spelled.as_bytes()),
            Err(ManifestError::NotCanonical)
        );

        manifest.translation = Some(file("translation.json"));
        let with = manifest.to_bytes().unwrap();
        assert_eq!(Manifest::parse(&with).unwrap(), manifest);
        manifest.translation = Some(file("Integer.onnx"));
        assert!(matches!(
            manifest.validate(),
            Err(ManifestError::DuplicateFile { .. })
        ));
    }

    fn quantizer(manifest: &mut Manifest) -> &mut InputQuantizer {
        manifest.inputs[0].quantizer.as_mut().unwrap()
    }

    #[test]
    fn quantizes_half_to_even_and_saturates() {
        let q = InputQuantizer::per_tensor(0.5, 10);
        let values = [0.25, 0.75, -0.25, -0.75, 1e30, -1e30, 0.0, -0.0];
        let tensor = q.quantize(&values, &[2, 4], ElemType::Uint8).unwrap();
        assert_eq!(tensor.data(), [10, 12, 10, 8, 255, 0, 10, 10]);
        let wide = InputQuantizer::per_tensor(1.0, i32::MAX);
        let tensor = wide
            .quantize(&[1e38, -1e38], &[2], ElemType::Int32)
            .unwrap();
        assert_eq!(tensor.data(), [i32::MAX, i32::MIN]);
    }

    #[test]
    fn one_division_rounded_to_float32() {
        // x, then x / 0.1 by this definition, by float64 division, by float32 reciprocal.
        // Computed with exact rationals outside this code.
        let cases = [
            (0.35_f32, 4, 3, 4),
            (0.75, 8, 7, 8),
            (0.85, 8, 9, 8),
            (1.45, 14, 15, 14),
            (1.55, 15, 15, 16),
            (2.35, 23, 23, 24),
        ];
        let s = 0.1_f32;
        for (x, here, by_float64, by_reciprocal) in cases {
            let tensor = InputQuantizer::per_tensor(s, 0)
                .quantize(&[x], &[1], ElemType::Int32)
                .unwrap();
            assert_eq!(tensor.data(), [here], "{x}");
            let wide = (f64::from(x) / f64::from(s)).round_ties_even();
            assert_eq!(i64_from_f32(f32_from_f64(wide)), by_float64, "{x}");
            assert_eq!(
                i64_from_f32((x * (1.0 / s)).round_ties_even()),
                by_reciprocal,
                "{x}"
            );
        }
    }

    #[test]
    fn quantizes_along_an_axis() {
        let q = InputQuantizer {
            scale: vec![1.0, 2.0],
            zero_point: vec![0, 1],
            axis: Some(1),
        };
        let values = [4.0; 8];
        let tensor = q.quantize(&values, &[2, 2, 2], ElemType::Int8).unwrap();
        assert_eq!(tensor.data(), [4, 4, 3, 3, 4, 4, 3, 3]);
    }

    #[test]
    fn refuses_what_is_not_finite() {
        let q = InputQuantizer::per_tensor(0.25, 0);
        for (value, code) in [
            (f32::NAN, "input-not-finite"),
            (f32::INFINITY, "input-not-finite"),
            (f32::NEG_INFINITY, "input-not-finite"),
            (f32::MAX, "input-overflow"),
            (f32::MIN, "input-overflow"),
        ] {
            let error = q
                .quantize(&[0.0, value], &[2], ElemType::Uint8)
                .unwrap_err();
            assert_eq!(error.code(), code);
            assert!(error.to_string().contains("index 1"));
        }
        assert_eq!(
            q.quantize(&[0.0], &[2], ElemType::Uint8)
                .unwrap_err()
                .code(),
            "tensor-length-mismatch"
        );
        let bad = InputQuantizer::per_tensor(0.0, 0);
        assert_eq!(
            bad.quantize(&[0.0], &[1], ElemType::Uint8)
                .unwrap_err()
                .code(),
            "quantizer-invalid"
        );
    }

    #[test]
    fn views() {
        let spec = &sample().outputs[0];
        let tensor = IntTensor::new(ElemType::Int8, vec![1, 3], vec![-128, -112, -112]).unwrap();
        let views = spec.apply_views(&tensor).unwrap();
        assert_eq!(views[0], ViewValue::Floats(vec![0.0, 1.0, 1.0]));
        let ViewValue::Floats(p) = &views[1] else {
            panic!("softmax shows floats")
        };
        let e = core::f64::consts::E;
        for (got, want) in p.iter().zip([1.0, e, e]) {
            assert!((f64::from(*got) - want / (1.0 + 2.0 * e)).abs() < 1e-7);
        }
        assert_eq!(
            views[2],
            ViewValue::Classes(vec![Class {
                index: 1,
                label: "b".into()
            }])
        );
        let flat = tensor.reshaped(vec![3]).unwrap();
        assert_eq!(spec.apply_views(&flat).unwrap_err().code(), "view-invalid");
    }

    #[test]
    fn softmax_runs_along_its_axis() {
        let out = softmax(&[0.0, 5.0, 0.0, 5.0], &[2, 2], 0).unwrap();
        assert_eq!(out, [0.5, 0.5, 0.5, 0.5]);
        let extreme = softmax(&[f32::MAX, f32::MIN], &[2], 0).unwrap();
        assert_eq!(extreme, [1.0, 0.0]);
    }
}

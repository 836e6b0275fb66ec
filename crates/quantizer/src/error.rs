//! Everything that can stop a quantization.

use core::fmt;

use proofmark_onnx::OnnxError;
use proofmark_runtime::RuntimeError;

/// A node that is not quantized or imported exactly, and what to do about it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UnsupportedNode {
    /// The node's name in the float model; for a graph input or output its name.
    pub name: String,
    /// The operator, or `input` / `output`.
    pub op_type: String,
    /// Why it is refused.
    pub reason: String,
    /// What the user can do.
    pub remedy: String,
}

impl fmt::Display for UnsupportedNode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} {:?}: {}; {}",
            self.op_type, self.name, self.reason, self.remedy
        )
    }
}

/// Why there is no integer model.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum QuantizeError {
    /// The bytes are no model that can be read.
    #[error(transparent)]
    Onnx(#[from] OnnxError),
    /// ONNX Runtime could not run a model.
    #[error(transparent)]
    Runtime(Box<RuntimeError>),
    /// Nodes that are not handled exactly: all of them.
    #[error("{} not supported: {}", count(.0.len()), list(.0))]
    Unsupported(Vec<UnsupportedNode>),
    /// The calibration samples do not fit the model.
    #[error("calibration data for input {input:?}: {reason}")]
    Calibration {
        /// The model input.
        input: String,
        /// What does not fit, and what to give.
        reason: String,
    },
    /// The float model makes a NaN or an infinity from a calibration sample.
    #[error(
        "tensor {value:?} of the float model is not finite on calibration sample {sample}; check the sample and the model's weights"
    )]
    NotFinite {
        /// The tensor.
        value: String,
        /// Index of the sample, from 0.
        sample: usize,
    },
    /// An accumulator could leave int32, where the runtime would wrap.
    #[error(
        "node {node:?} can accumulate up to {bound}, outside int32; use fewer inputs a neuron or smaller weights"
    )]
    Accumulator {
        /// The node.
        node: String,
        /// Largest magnitude.
        bound: i64,
    },
    /// The labels fit no output.
    #[error("{labels} labels were given, but no output has a last dimension of {labels}")]
    Labels {
        /// Number of labels given.
        labels: usize,
    },
    /// Samples for validation do not fit the model.
    #[error("validation samples: {reason}")]
    Samples {
        /// What does not fit.
        reason: String,
    },
    /// Internal tensors did not fit together; a defect of this crate, reported rather than ignored.
    #[error("internal error while quantizing: {reason}; please report it with the model")]
    Internal {
        /// What did not fit.
        reason: String,
    },
}

impl QuantizeError {
    /// Stable kebab-case code.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Onnx(error) => error.code(),
            Self::Runtime(error) => error.code(),
            Self::Unsupported(_) => "model-unsupported",
            Self::Calibration { .. } => "calibration-invalid",
            Self::NotFinite { .. } => "calibration-not-finite",
            Self::Accumulator { .. } => "accumulator-overflow",
            Self::Labels { .. } => "labels-mismatch",
            Self::Samples { .. } => "validation-samples-invalid",
            Self::Internal { .. } => "quantizer-internal",
        }
    }
}

impl From<RuntimeError> for QuantizeError {
    fn from(error: RuntimeError) -> Self {
        Self::Runtime(Box::new(error))
    }
}

fn count(nodes: usize) -> String {
    if nodes == 1 {
        "1 node is".to_owned()
    } else {
        format!("{nodes} nodes are")
    }
}

fn list(nodes: &[UnsupportedNode]) -> String {
    let lines: Vec<String> = nodes.iter().map(ToString::to_string).collect();
    lines.join("\n")
}

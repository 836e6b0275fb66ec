//! What can go wrong when a translation is validated or checked again.

use proofmark_onnx::OnnxError;
use proofmark_ops::OpsError;
use proofmark_runtime::RuntimeError;
use proofmark_types::Digest;

/// A validation error.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ValidationError {
    /// ONNX Runtime and the evaluator compute different integers: a bug, or a processor on which
    /// the model is not portable. No package is made of such a model.
    #[error(
        "node {node:?} ({op_type}): on {input}, element {index} of {output:?}, the runtime computes {runtime}, the evaluator {evaluator}; report it with the model"
    )]
    Divergence {
        /// The node; `"(model)"` where the difference cannot be pinned to one.
        node: String,
        /// Its operator.
        op_type: String,
        /// The input in words: which vector, or which accumulator.
        input: String,
        /// The tensor that differs.
        output: String,
        /// Row-major element.
        index: usize,
        /// ONNX Runtime's answer.
        runtime: i32,
        /// The evaluator's answer.
        evaluator: i32,
    },
    /// The evaluator's outputs satisfy the runtime but the witness does not satisfy the circuit.
    #[error(
        "on {input}, {violated} constraints are violated, the first is {constraint}; report it with the model"
    )]
    Witness {
        /// The input in words.
        input: String,
        /// Constraints violated.
        violated: usize,
        /// Path of the first.
        constraint: String,
    },
    /// This processor's ONNX Runtime computes other integers than the one that the package was
    /// validated on.
    #[error(
        "the runtime computes other integers here than where the package was validated (vector {vector}: outputs {got}, validated {expected}); serve the package on a machine with {machine}, or run `proofmark setup` here"
    )]
    RuntimeDivergence {
        /// Index in the report's sample.
        vector: usize,
        /// Digest of the outputs in the report.
        expected: Digest,
        /// Digest of the outputs computed here.
        got: Digest,
        /// The machine of the report, in words.
        machine: String,
    },
    /// A report that is none.
    #[error("the translation report is malformed: {reason}; make it again with `proofmark setup`")]
    Malformed {
        /// Why.
        reason: String,
    },
    /// A report that belongs to another model or circuit.
    #[error(
        "the translation report is of {what} {got}, the package has {expected}; make it again with `proofmark setup`"
    )]
    Mismatch {
        /// "model" or "circuit".
        what: &'static str,
        /// Digest in the package.
        expected: Digest,
        /// Digest in the report.
        got: Digest,
    },
    /// A node whose constants the compiler accepted and the validation cannot read: nothing is
    /// passed unchecked.
    #[error("node {node:?} cannot be validated: {reason}; report it with the model")]
    Unchecked {
        /// The node.
        node: String,
        /// Why not.
        reason: String,
    },
    /// The compiler refuses a probe of a node that it accepted in the model.
    #[error("node {node:?} cannot be validated by itself")]
    Probe {
        /// The node.
        node: String,
        /// Why.
        source: OpsError,
    },
    /// ONNX Runtime refuses a node that the compiler accepted.
    #[error("the runtime refuses node {node:?}")]
    Run {
        /// The node; `"(model)"` for the whole model.
        node: String,
        /// Its own words.
        source: RuntimeError,
    },
    /// The model cannot be read.
    #[error(transparent)]
    Onnx(#[from] OnnxError),
    /// The model cannot be compiled or evaluated.
    #[error(transparent)]
    Ops(#[from] OpsError),
    /// ONNX Runtime cannot be loaded.
    #[error(transparent)]
    Runtime(#[from] RuntimeError),
}

impl ValidationError {
    /// Stable kebab-case code.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Divergence { .. } => "translation-divergence",
            Self::Witness { .. } => "witness-unsatisfied",
            Self::RuntimeDivergence { .. } => "runtime-divergence",
            Self::Malformed { .. } => "translation-malformed",
            Self::Mismatch { .. } => "translation-mismatch",
            Self::Unchecked { .. } => "translation-unchecked",
            Self::Probe { source, .. } | Self::Ops(source) => source.code(),
            Self::Run { source, .. } | Self::Runtime(source) => source.code(),
            Self::Onnx(error) => error.code(),
        }
    }
}

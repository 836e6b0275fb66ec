//! What can go wrong between an integer model and its circuit or witness.

use proofmark_gadgets::LowerError;
use proofmark_tensor::TensorError;
use proofmark_types::statement::StatementError;

/// A node that cannot be proven, with what to do about it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UnsupportedNode {
    /// The node's name in the model.
    pub node: String,
    /// Its operator, with the domain in front where it is not ONNX's own.
    pub op_type: String,
    /// Why it is refused.
    pub reason: String,
    /// What the user can do.
    pub remedy: String,
}

/// A compiler error.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum OpsError {
    /// Nodes outside the dialect; all of them, not the first.
    #[error("{} of the model's nodes cannot be proven: {}", .0.len(), list(.0))]
    Unsupported(Vec<UnsupportedNode>),
    /// The graph's inputs or outputs are not static integer tensors.
    #[error("model {what} {name:?}: {reason}")]
    Boundary {
        /// "input" or "output".
        what: &'static str,
        /// Its name.
        name: String,
        /// What is wrong with it.
        reason: String,
    },
    /// The policy does not name a visibility for each input and output.
    #[error("the policy has {got} visibilities for {expected} {what}s")]
    Policy {
        /// "input" or "output".
        what: &'static str,
        /// Inputs or outputs of the model.
        expected: usize,
        /// Visibilities given.
        got: usize,
    },
    /// An input has another type or shape than the model declares.
    #[error("input {name:?} is {expected}, got {got}")]
    Input {
        /// Its name.
        name: String,
        /// Declared type and shape.
        expected: String,
        /// Given type and shape.
        got: String,
    },
    /// The number of inputs is wrong.
    #[error("the model has {expected} inputs, got {got}")]
    InputCount {
        /// Declared.
        expected: usize,
        /// Given.
        got: usize,
    },
    /// A salt is missing for a private tensor or given for another one.
    #[error("a salt belongs to each private tensor and to no other; {name:?} is {visibility}")]
    Salt {
        /// The tensor.
        name: String,
        /// Its visibility.
        visibility: &'static str,
    },
    /// An accumulator may leave int32, where the runtime would wrap.
    #[error(
        "node {node:?}: accumulator {lo} ..= {hi} may leave int32; use smaller weights or fewer inputs"
    )]
    AccumulatorOverflow {
        /// The node.
        node: String,
        /// Smallest possible value.
        lo: i64,
        /// Largest possible value.
        hi: i64,
    },
    /// A value's proven interval is wider than an operator can prove exactly.
    #[error("node {node:?}: {reason}; {remedy}")]
    Interval {
        /// The node.
        node: String,
        /// Which interval, and what it does not fit.
        reason: String,
        /// What the user can do.
        remedy: &'static str,
    },
    /// The evaluator and the circuit's witness disagree: a bug, never served.
    #[error(
        "evaluator and witness differ at element {index} of output {output:?}: {evaluator} and {witness}"
    )]
    Divergence {
        /// Output name.
        output: String,
        /// Row-major element.
        index: usize,
        /// The evaluator's value.
        evaluator: i64,
        /// The witness's value.
        witness: i64,
    },
    /// An internal contract between plan and operators is broken (a bug).
    #[error("node {node:?}: {reason}")]
    Internal {
        /// The node.
        node: String,
        /// What is broken.
        reason: String,
    },
    /// While lowering.
    #[error(transparent)]
    Lower(#[from] LowerError),
    /// A tensor's values do not fit its type.
    #[error(transparent)]
    Tensor(#[from] TensorError),
    /// The public layout refuses a tensor.
    #[error(transparent)]
    Statement(#[from] StatementError),
}

fn list(nodes: &[UnsupportedNode]) -> String {
    nodes
        .iter()
        .map(|n| format!("{:?} ({}): {}; {}", n.node, n.op_type, n.reason, n.remedy))
        .collect::<Vec<_>>()
        .join(" | ")
}

impl OpsError {
    /// Stable kebab-case code.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Unsupported(_) => "unsupported-node",
            Self::Boundary { .. } => "model-boundary",
            Self::Policy { .. } => "policy-mismatch",
            Self::Input { .. } | Self::InputCount { .. } => "input-mismatch",
            Self::Salt { .. } => "salt-mismatch",
            Self::AccumulatorOverflow { .. } => "accumulator-overflow",
            Self::Interval { .. } => "interval-too-wide",
            Self::Divergence { .. } => "engine-divergence",
            Self::Internal { .. } => "compiler-internal",
            Self::Lower(error) => error.code(),
            Self::Tensor(_) => "tensor-malformed",
            Self::Statement(_) => "statement-malformed",
        }
    }
}

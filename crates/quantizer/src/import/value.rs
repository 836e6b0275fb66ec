//! What is known of a value of the original while its graph is walked.

use proofmark_onnx::Node;
use proofmark_types::{ElemType, IntTensor};

use super::average::Averaged;
use super::computed::Product;
use super::concat::Joined;
use super::island::Island;
use super::linear::Linear;
use crate::net::Head;

/// An integer tensor of the graph that is written.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Int {
    pub(super) name: String,
    pub(super) elem: ElemType,
    pub(super) shape: Vec<usize>,
}

/// A float tensor that shows integers: `scale · (q − zero_point)`.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Shown {
    pub(super) source: Int,
    pub(super) grid: Grid,
    /// The float tensor of the original that shows the integers, in front of every head.
    pub(super) name: String,
    /// Softmax and arg-max behind it; only an output may follow.
    pub(super) head: Head,
}

/// Scale and zero point of a whole tensor.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Grid {
    /// Finite and above 0.
    pub(super) scale: f32,
    /// Inside the type of the integers; 0 for int32.
    pub(super) zero_point: i32,
}

/// What a `QuantizeLinear` asks for.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Target {
    pub(super) grid: Grid,
    /// uint8 or int8.
    pub(super) elem: ElemType,
}

/// A constant that `DequantizeLinear` shows: weights as they are stored.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct ConstantShown {
    pub(super) data: IntTensor,
    /// One, or one an index of `axis`; finite and above 0.
    pub(super) scale: Vec<f32>,
    /// As many as `scale`.
    pub(super) zero_point: Vec<i32>,
    /// The dimension that `scale` runs along, where it has more than one value.
    pub(super) axis: Option<usize>,
}

/// A float tensor that becomes integers only where a `QuantizeLinear` reads it, because what is
/// written depends on the scale it asks for.
#[derive(Debug, Clone)]
pub(super) struct Pending {
    pub(super) what: What,
    /// Movers of the original behind `what`, in order, replayed on the integers. Each has one data
    /// input and commutes with rounding and clamping.
    pub(super) moves: Vec<Node>,
    /// Shape behind the moves.
    pub(super) shape: Vec<usize>,
}

/// The computation of a [`Pending`].
#[derive(Debug, Clone)]
pub(super) enum What {
    /// A mean over windows: becomes a depthwise convolution.
    Averaged(Box<Averaged>),
    /// Tensors side by side: each becomes integers on the grid that is asked for.
    Joined(Box<Joined>),
    /// Element-wise nodes over one or two 8-bit tensors: becomes a table.
    Island(Island),
    /// A product with constant weights: becomes its integer operator.
    Linear(Box<Linear>),
    /// A product of two computed tensors.
    Product(Box<Product>),
    /// A float input of the model: becomes the input's integers.
    Input { name: String, shape: Vec<usize> },
}

/// What is known of a value of the original.
#[derive(Debug, Clone)]
pub(super) enum Value {
    /// A float input that only `QuantizeLinear` may read.
    FloatInput { shape: Vec<usize> },
    /// Integers.
    Int(Int),
    /// A view of integers.
    Shown(Shown),
    /// A view of constant integers.
    ConstantShown(ConstantShown),
    /// A float tensor on its way to a `QuantizeLinear` or to an output.
    Pending(Pending),
    /// Made by a refused node.
    Unknown,
}

impl Value {
    /// What the value is, for a message.
    pub(super) const fn kind(&self) -> &'static str {
        match self {
            Self::FloatInput { .. } => "a float input of the model",
            Self::Int(_) => "an integer tensor",
            Self::Shown(_) => "a dequantized tensor",
            Self::ConstantShown(_) => "a dequantized constant",
            Self::Pending(_) => "a float tensor",
            Self::Unknown => "unknown",
        }
    }
}

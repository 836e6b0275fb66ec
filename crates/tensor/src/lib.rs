//! Reference semantics of quantized arithmetic on integer tensors: what ONNX Runtime computes,
//! written down once. Circuits, evaluator and quantizer all refer to this.
#![forbid(unsafe_code)]

pub mod dot;
pub mod requantize;

pub use proofmark_types::tensor::{ElemType, IntTensor, TensorError, element_count};
pub use requantize::{Requantize, RequantizeError, Threshold};

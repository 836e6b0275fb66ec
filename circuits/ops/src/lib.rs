//! ONNX operators as constraints, and the compiler from an integer model to a circuit.
//!
//! One operator is one file under [`ops`] and one line in its list. Everything that reads "which
//! operators may be proven" (the compiler, the refusal of a model, `OPERATORS.md`) reads that list.
#![forbid(unsafe_code)]

mod boundary;
pub mod context;
pub mod error;
pub mod operator;
pub mod ops;
pub mod plan;
mod pooled;
pub mod vector;
mod window;

pub use context::{NodeContext, Refusal};
pub use error::{OpsError, UnsupportedNode};
pub use operator::{Fact, OpSpec, Operator, TensorVar};
pub use ops::OPERATORS;
pub use plan::{
    COMPILER_EPOCH, NodeCost, Plan, Policy, Ranges, Salts, TensorInfo, Witness, compiler_epoch,
    plan,
};
pub use vector::{Expect, Vector};

//! The way from a float model to a receipt: `import` → `seal` → [`Engine::load`] →
//! [`Engine::prove`].
//!
//! Everything that is served passes [`Engine::prove`]: ONNX Runtime, the integer evaluator and the
//! circuit's witness must agree on every output; the proof is verified by the prover; the finished
//! receipt is verified as its recipient will. There is no other way out of this crate for a
//! result.
#![forbid(unsafe_code)]

mod engine;
mod error;
mod estimate;
mod fault;
mod identity;
mod import;
mod seal;

pub use engine::{Engine, EngineOptions, Opening, ProveRequest, Proven, Stage, Timings};
pub use error::EngineError;
pub use estimate::Estimate;
pub use fault::{Fault, UnsupportedNode};
pub use identity::ServiceKey;
pub use import::{ImportOptions, import};
pub use proofmark_prover::{NoProgress, Prediction, Progress};
pub use seal::{
    BackendChoice, circuit_backend, compile_folder, plan_package, policy_of, predict, seal,
    seal_ceremony,
};

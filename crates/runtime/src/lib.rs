//! ONNX Runtime, as Proofmark uses it: one pinned release, loaded at run time, one execution
//! provider (CPU), sequential and deterministic.
//!
//! This crate alone knows the `ort` bindings. [`library`] says which shared library is pinned for
//! this platform and where it is looked for; [`init`] loads it; [`IntSession`], [`FloatSession`]
//! and [`AnySession`] run models. Nothing here knows what a circuit or a proof is.
//!
//! The arithmetic that circuits are proven against is a measured property of this release
//! (`tests/exactness.rs`), which is why a library of another release is refused.
#![forbid(unsafe_code)]

mod error;
mod init;
pub mod library;
mod pool;
mod session;
mod value;

pub use error::{Cause, RuntimeError};
pub use init::{RuntimeInfo, init};
pub use library::ORT_VERSION;
pub use session::{AnySession, FloatSession, IntSession, OptLevel, SessionOptions, optimized};
pub use value::{FloatTensor, IoSpec, Value};

//! Verifiers for the EVM: Solidity source of a package's verifier, calldata, compiled contracts.
#![forbid(unsafe_code)]

mod artifacts;
mod calldata;
mod error;
mod model;
mod source;

pub use artifacts::{Artifact, Contract};
pub use calldata::{Call, Target};
pub use error::EvmError;
pub use model::RegisteredModel;
pub use source::{MAX_VERIFIER_INPUTS, VerifierContract};

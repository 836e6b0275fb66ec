//! Keys from ceremonies: phase 1 (powers of tau, for any circuit), phase 2 (the key of one circuit),
//! and snarkjs's files of both.
//!
//! A ceremony's key is safe when one of its contributors forgot their secret. Every file read here
//! is taken to be hostile until it is verified.
#![forbid(unsafe_code)]

pub mod blake2b;
pub mod error;
pub mod group;
mod output;
pub mod phase1;
pub mod phase2;
pub mod snarkjs;
mod texts;
pub mod zkey;

pub use error::CeremonyError;
pub use phase1::{Lagrange, Phase1};
pub use proofmark_prover::{NoProgress, Progress};

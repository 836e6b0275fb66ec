//! Keys and proofs: Groth16 over BN254 for compiled circuits.
//!
//! Reading order: [`qap`] (from constraints to polynomials, in snarkjs's shape), [`generator`]
//! (single-party keys), [`prover`] (proofs, each verified before it is returned), [`key_file`]
//! (proving keys on disk, checked on load), [`transcript`] (the public record that ties a key to
//! its circuit), [`snarkjs`] (the same key and proof in snarkjs's JSON).
//!
//! The currency is `ark-groth16`'s: [`ProvingKey`], [`VerifyingKey`](ark_groth16::VerifyingKey)
//! and [`Proof`].
#![forbid(unsafe_code)]

mod encoding;
pub mod error;
mod evaluator;
mod fixed_base;
pub mod generator;
pub mod key_file;
pub mod prover;
pub mod qap;
mod random;
pub mod snarkjs;
mod subgroup;
pub mod transcript;

#[cfg(test)]
mod testing;

pub use ark_bn254::{Bn254, Fr};
pub use ark_groth16::{Proof, ProvingKey};
pub use error::ProverError;
pub use generator::{NoProgress, Progress, setup, unsafe_dev_setup};
pub use key_file::LoadedKey;
pub use prover::Prover;
pub use transcript::{SetupRecord, Transcript};

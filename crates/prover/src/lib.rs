//! Keys and proofs: Groth16 over BN254 for compiled circuits.
//!
//! Reading order: [`qap`] (from constraints to polynomials), [`key`] (what a key consists of),
//! [`generator`] (single-party keys), [`commitment`] and [`prover`] (proofs, each verified before it is returned),
//! [`key_file`] (proving keys on disk, checked on load), [`transcript`] (the public record that
//! ties a key to its circuit), [`snarkjs`] (the same key and proof in snarkjs's JSON), [`stock`]
//! (our keys in stock `ark-groth16`).
//!
//! The currency is `ark-groth16`'s types inside [`ProvingKey`], [`VerifyingKey`] and [`Proof`],
//! which add what a commitment needs.
#![forbid(unsafe_code)]

pub mod ceremony;
pub mod commitment;
pub mod encoding;
pub mod error;
mod evaluator;
pub mod fixed_base;
pub mod generator;
pub mod key;
pub mod key_file;
pub mod options;
pub mod predict;
pub mod prover;
pub mod qap;
mod query;
pub mod random;
pub mod shape;
pub mod snarkjs;
pub mod stock;
pub mod subgroup;
pub mod transcript;
mod trapdoor;

#[cfg(any(test, feature = "testing"))]
pub mod testing;

pub use ark_bn254::{Bn254, Fr};
pub use commitment::{Commitment, Committer};
pub use error::ProverError;
pub use generator::{NoProgress, Progress, setup, unsafe_dev_setup};
pub use key::{CommittedKey, ProvingKey};
pub use key_file::LoadedKey;
pub use options::{ProverOptions, TableFiles};
pub use predict::Prediction;
pub use proofmark_verifier::{Proof, VerifyingKey};
pub use prover::Prover;
pub use qap::QuotientForm;
pub use transcript::{SetupRecord, Transcript};

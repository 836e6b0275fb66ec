//! The contracts of `contracts/`, compiled by solc and run in revm: they accept what the Rust
//! verifier accepts, refuse what it refuses, and cost what the documentation says.
#![forbid(unsafe_code)]

#[path = "../../crates/prover/tests/js/npm.rs"]
mod npm;

mod chain;
mod compat;
mod compile;
mod credit;
mod gas;
mod keys;
mod outputs;
mod registry;
mod requests;
mod router;
mod subject;
mod universal;
mod verifiers;

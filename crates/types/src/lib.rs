//! The vocabulary of Proofmark: digests, integer tensors, the statement and its public layout,
//! the package manifest, the receipt, the attestation of an audit.
//!
//! Nothing here proves, serves, or touches a file, a clock or a database. Every type that is
//! serialised is a wire promise.
#![forbid(unsafe_code)]
#![deny(
    clippy::arithmetic_side_effects,
    clippy::as_conversions,
    clippy::indexing_slicing,
    clippy::string_slice,
    clippy::unreachable,
    clippy::panic_in_result_fn,
    clippy::wildcard_enum_match_arm,
    clippy::host_endian_bytes,
    clippy::integer_division,
    clippy::disallowed_types
)]
#![cfg_attr(
    test,
    expect(
        clippy::arithmetic_side_effects,
        clippy::indexing_slicing,
        clippy::string_slice,
        reason = "a test that panics has failed, which is what it is for"
    )
)]

pub mod attestation;
pub mod canonical;
pub mod card;
pub mod context;
pub mod digest;
pub mod dsse;
pub mod field;
mod in_toto;
pub mod manifest;
mod num;
pub mod poseidon;
pub mod problem;
pub mod proof;
pub mod receipt;
mod reference;
#[cfg(test)]
mod schema_testing;
pub mod statement;
pub mod tensor;
pub mod text;
pub mod time;

pub use attestation::{Attestation, SignedAttestation};
pub use card::Card;
pub use context::Context;
pub use digest::Digest;
pub use field::Fr;
pub use manifest::Manifest;
pub use problem::Problem;
pub use proof::ProofBytes;
pub use receipt::{Envelope, Receipt};
pub use statement::{PublicLayout, PublicValue};
pub use tensor::{ElemType, IntTensor, TensorError};

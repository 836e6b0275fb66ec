//! Verifies proofs and receipts: strict codecs of verifying keys and proofs, the pairing check,
//! and the comparison of a receipt, and of an auditor's attestation, with the package that the
//! verifier has pinned.
//!
//! Everything that comes in is hostile. Nothing here proves, reads a file, asks for the time or
//! draws randomness, and a refusal is a [`Rejection`] with a stable code, never a panic.
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
        reason = "a test that panics has failed, which is what it is for"
    )
)]

mod attestation;
mod batch;
mod challenge;
mod groth16;
mod inputs;
mod key;
mod limits;
mod many;
mod opening;
mod pairing;
mod point;
mod proof;
mod receipt;
mod rejection;
mod weights;

pub use attestation::check_attestation;
pub use batch::{BatchItem, Culprit};
pub use challenge::{CHALLENGE_DOMAIN, challenge};
pub use groth16::{PreparedKey, decode_public_inputs, verify_proof, verify_proof_bytes};
pub use key::{
    COMMITTED_KEY_MAGIC, KEY_MAGIC, MAX_PUBLIC_INPUTS, VerifyingKey, check_verifying_key,
    decode_verifying_key, encode_verifying_key,
};
pub use limits::not_proven;
pub use opening::check_openings;
pub use proof::{CheckedProof, Proof, check_proof, decode_proof, encode_proof};
pub use proofmark_types::receipt::Opening;
pub use receipt::{Expectations, Pins, SignatureVerdict, TrustedPackage, Verdict, verify_receipt};
pub use rejection::Rejection;

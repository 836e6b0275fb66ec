//! Real proofs of a toy circuit, real receipts about them, and everything that must be rejected.
#![forbid(unsafe_code)]
#![expect(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test that panics has failed, which is what it is for"
)]

mod attestations;
mod batch;
mod committed;
mod fixture;
mod goldens;
mod json;
mod openings;
mod proofs;
mod receipts;
mod simulator;
mod tamper;

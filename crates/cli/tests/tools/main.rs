//! The tool as its users run it: exit codes, JSON, files.
#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "a test that panics has failed, which is what it is for"
)]

mod attest;
mod audit;
mod ceremony;
mod doctor;
mod evm;
mod import;
mod inspect;
mod phase1;
mod prove;
mod pull;
mod schemas;
mod service;
mod support;

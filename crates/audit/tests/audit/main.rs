//! Audits of packages and receipts that an operator has tampered with, each in one way that an
//! operator could: the audit must find it, name it and say in plain words what it means.
#![forbid(unsafe_code)]
#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "a test that panics has failed, which is what it is for"
)]

mod ceremony;
mod claims;
mod fixture;
mod forged;
mod hidden;
mod honest;
mod log;
mod package;
mod receipts;
mod witnesses;

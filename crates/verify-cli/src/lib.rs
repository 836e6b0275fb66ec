//! Verifying a receipt at a command line: what `proofmark-verify` and `proofmark verify` share.
//!
//! It reads files, asks [`proofmark_verifier`] and says in plain language what is proven and what
//! is not. It knows no runtime, no prover and no network.
#![forbid(unsafe_code)]

mod command;
mod failure;
mod files;
mod hex;
mod opening;
mod report;
mod text;
mod time;

pub use command::{Request, Verified, VerifyArgs, verify};
pub use failure::{Exit, Failure};
pub use files::{MAX_KEY_BYTES, read_bounded};
pub use hex::{bytes_from_hex, bytes_to_hex};
pub use opening::{MAX_OPENINGS_BYTES, read_openings, write_openings};
pub use report::Report;
pub use text::printable;
pub use time::utc;

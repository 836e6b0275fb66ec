//! Verifying a receipt at a command line: what `proofmark-verify` and `proofmark verify` share.
//!
//! It reads files, asks [`proofmark_verifier`] and says in plain language what is proven and what
//! is not. It knows no runtime, no prover and no network.
#![forbid(unsafe_code)]

mod attested;
mod command;
mod failure;
mod files;
mod hex;
mod logged;
mod opening;
mod report;
mod text;

pub use attested::AttestationArgs;
pub use command::{Request, Verified, VerifyArgs, verify};
pub use failure::{Exit, Failure};
pub use files::{MAX_KEY_BYTES, read_bounded};
pub use hex::{bytes_from_hex, bytes_to_hex};
pub use logged::{
    LogArgs, LogKeyArgs, Logged, check_proof, check_proof_with_log, log_failure, log_folder,
    open_log,
};
pub use opening::{OpenArgs, Opened, open, read_openings};
pub use proofmark_types::time::utc;
pub use report::Report;
pub use text::printable;

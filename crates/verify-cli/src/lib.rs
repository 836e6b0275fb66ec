//! Verifying a receipt at a command line: what `proofmark-verify` and `proofmark verify` share.
//!
//! It reads files, asks [`proofmark_recipient`] and turns refusals into exit codes. It knows no
//! runtime, no prover and no network.
#![forbid(unsafe_code)]

mod attested;
mod command;
mod failure;
mod files;
mod logged;
mod opening;

pub use attested::AttestationArgs;
pub use command::{Request, VerifyArgs, verify};
pub use failure::{Exit, Failure};
pub use files::{MAX_KEY_BYTES, read_bounded};
pub use logged::{LogArgs, LogFiles, LogKeyArgs, log_failure, log_folder, open_log};
pub use opening::{OpenArgs, open, read_openings};
pub use proofmark_recipient::{Verified, bytes_from_hex, bytes_to_hex};
pub use proofmark_types::text::printable;
pub use proofmark_types::time::utc;

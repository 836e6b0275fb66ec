//! What a recipient checks of a receipt, in one place: whatever shows a verdict (the command line,
//! a browser, another language, a proxy) asks [`verify`] and shows what it says.
//!
//! Proof, verifying key, recomputed public inputs, signature and attestations are
//! `proofmark-verifier`'s knowledge, entries and notices of a log `proofmark-log`'s; this crate puts
//! them in their order, words what is proven and what is not, and makes of it one [`Verdict`].
//! Bytes come in; no file, clock, network or randomness is known here. Everything that comes in is
//! hostile, and a refusal is a [`Refusal`] with a stable code, never a panic.
#![forbid(unsafe_code)]
#![deny(
    clippy::arithmetic_side_effects,
    clippy::as_conversions,
    clippy::indexing_slicing,
    clippy::string_slice,
    clippy::unreachable,
    clippy::panic_in_result_fn,
    clippy::disallowed_types
)]
mod attested;
mod check;
mod demands;
mod exchange;
mod hex;
mod history;
mod logged;
mod opened;
mod refusal;
mod report;
mod request;
mod text;
mod verdict;
mod verify;
mod wire;

pub use check::Check;
pub use demands::{Attesters, Demands, LogCopy, LogDemand, policy};
pub use exchange::{Answer, hidden_openings};
pub use hex::{bytes_from_hex, bytes_to_hex};
pub use history::{Heads, compare_checkpoints};
pub use logged::{Logged, check_log, check_proof};
pub use opened::{Opened, open};
pub use refusal::{Kind, Refusal};
pub use report::Report;
pub use request::{Input, read_request};
pub use verdict::Verdict;
pub use verify::{Verified, open_package, verify, verify_proof};
pub use wire::{
    answer, answer_checkpoints, answer_history, answer_inference, answer_log_proof, answer_opening,
    answer_proof, open_pinned,
};

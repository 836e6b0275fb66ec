//! The transparency log of a service: what it handed out, and what it said of it later.
//!
//! [`Log`] writes C2SP `tlog-tiles` on a file system, so that a kill at any instant loses nothing
//! that was acknowledged; [`Reader`] reads such a log from wherever its static files lie and
//! believes nothing that the checkpoint does not cover; [`Witness`] cosigns the logs of others.
//! What stands in a log is [`Entry`]: digests of receipts, and [`SignedNotice`]s (advisories,
//! revocations, rotations of the service key) that verifiers honour.
//!
//! Without its default feature `writer` the crate knows neither files nor randomness: what is left
//! reads a log from wherever its bytes come.
//!
//! Bytes and hashes are `proofmark-tlog`'s knowledge; this crate knows entries and files.
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
#![cfg_attr(
    test,
    expect(
        clippy::arithmetic_side_effects,
        clippy::indexing_slicing,
        reason = "a test that panics has failed, which is what it is for"
    )
)]

mod chain;
mod entry;
mod error;
#[cfg(feature = "writer")]
mod files;
#[cfg(feature = "writer")]
mod intent;
#[cfg(feature = "writer")]
mod key_file;
#[cfg(feature = "writer")]
mod log;
mod notice;
mod notices;
mod reader;
#[cfg(feature = "writer")]
mod recovery;
#[cfg(feature = "writer")]
mod witness;
#[cfg(feature = "writer")]
mod writer;

pub use chain::{KeyChain, Period};
pub use entry::{ENTRY_FORMAT, Entry, ReceiptEntry};
pub use error::LogError;
#[cfg(feature = "writer")]
pub use files::Folder;
#[cfg(feature = "writer")]
pub use key_file::load_or_create_key;
#[cfg(feature = "writer")]
pub use log::{Head, Inclusion, Log, Options, WitnessRequest};
pub use notice::{
    MAX_SUBJECTS, MAX_TEXT_BYTES, MAX_TITLE_BYTES, NOTICE_TYPE, Notice, SignedNotice, Statement,
    Subject,
};
pub use notices::{LoggedNotice, Notices, Objection, Problem};
pub use proofmark_tlog as tlog;
pub use reader::{COSIGNED_PATH, Logged, RawEntries, Reader, Scan};
#[cfg(feature = "writer")]
pub use recovery::Recovery;
#[cfg(feature = "writer")]
pub use witness::{Witness, WitnessError};

//! The formats of C2SP's transparency logs, without files, network, clock or randomness: RFC 6962
//! Merkle trees ([`tree`]), [tlog-tiles](https://c2sp.org/tlog-tiles) ([`tile`], [`tiles`], [`tip`]),
//! [signed-note](https://c2sp.org/signed-note) ([`note`]),
//! [tlog-checkpoint](https://c2sp.org/tlog-checkpoint) ([`checkpoint`]),
//! [tlog-cosignature](https://c2sp.org/tlog-cosignature) v1 ([`cosignature`]),
//! [tlog-witness](https://c2sp.org/tlog-witness) ([`witness`]) and
//! [tlog-proof](https://c2sp.org/tlog-proof) ([`proof`]).
//!
//! Whatever is parsed is hostile: every format has one spelling, bounds stand before allocations,
//! and nothing here panics on any input.
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

pub mod checkpoint;
pub mod cosignature;
mod error;
pub mod hash;
pub mod note;
pub mod policy;
pub mod proof;
mod text;
pub mod tile;
pub mod tiles;
pub mod tip;
pub mod tree;
pub mod witness;

pub use checkpoint::{Checkpoint, SignedCheckpoint};
pub use cosignature::Cosignature;
pub use error::TlogError;
pub use hash::{EMPTY_ROOT, Hash, leaf_hash, node_hash};
pub use note::{KeyKind, NoteSignature, SignedNote, VerifierKey};
pub use policy::{Policy, Verified};
pub use proof::TlogProof;
pub use tile::{Level, TilePath};
pub use tiles::{ReadError, Tiles, VerifiedTree};
pub use tip::Tip;

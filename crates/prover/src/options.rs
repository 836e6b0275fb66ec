//! How much memory a prover may take for speed.

use std::path::PathBuf;

use proofmark_types::Digest;

/// How much memory a prover may take for speed.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ProverOptions {
    /// Bytes for the points of the key with their multiples, where multiples pay: for all of the
    /// quotient's points and for those of wires that carry full-length scalars. 0 (the default):
    /// no multiples; then a prover is made quickly, and its points take about as much memory as
    /// the key file is long.
    pub table_bytes: u64,
    /// Where multiples are kept between runs. Without it they are computed for each prover, which
    /// takes about as long as five proofs.
    pub table_files: Option<TableFiles>,
}

/// Files of points with their multiples. They are mapped, so that provers of one key share their
/// memory, in other processes too; files that are missing or belong to another key or budget are
/// made.
///
/// The points in them are not checked when they are read. Who changes a file makes proofs fail
/// their own verification; nothing wrong leaves. But *which* proofs fail can be made to depend on a
/// single hidden value: a folder that others can write is no place for private inputs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TableFiles {
    /// A folder for one key, which exists and which only the prover can write.
    pub folder: PathBuf,
    /// Digest of the proving key file.
    pub key: Digest,
}

//! Why bytes of a log are not accepted.

/// Why bytes of a log are not accepted, or cannot be made.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum TlogError {
    /// Not in the one spelling of its format.
    #[error("{what} is malformed: {reason}")]
    Malformed {
        /// The format, such as `checkpoint`.
        what: &'static str,
        /// What is wrong with it.
        reason: String,
    },
    /// A known key's signature does not verify, so the whole note is refused.
    #[error(
        "the note carries a wrong signature by {key}; it was altered, or signed by somebody else"
    )]
    Signature {
        /// Name of the key.
        key: String,
    },
    /// No signature by a known key.
    #[error("the note is not signed by {key}; check the pinned verifier key")]
    Unsigned {
        /// Name of the key that was expected.
        key: String,
    },
    /// A checkpoint of another log.
    #[error("the checkpoint is of log {got:?}, not of {expected:?}")]
    Origin {
        /// The expected origin.
        expected: String,
        /// The checkpoint's.
        got: String,
    },
    /// Fewer witnesses than the policy demands.
    #[error("{got} of the pinned witnesses cosigned the checkpoint, the policy demands {needed}")]
    Witnesses {
        /// Valid cosignatures by pinned witnesses.
        got: usize,
        /// How many are demanded.
        needed: usize,
    },
    /// The entry is not in the tree.
    #[error("the inclusion proof does not lead from the entry to the checkpoint's root")]
    Inclusion,
    /// Two heads that no append-only log has both: proof that the log showed two histories.
    #[error(
        "the tree of size {new} does not contain the tree of size {old}: the log's history was changed; \
         keep both checkpoints, they are the evidence"
    )]
    Inconsistent {
        /// Size of the older tree.
        old: u64,
        /// Size of the newer tree.
        new: u64,
    },
    /// A tile or bundle that is not the one that the root covers.
    #[error("{path} is not what the checkpoint covers; fetch it again, from another mirror")]
    Tile {
        /// Its path.
        path: String,
    },
    /// A tile or bundle that the checkpoint demands is not there.
    #[error(
        "{path} is missing, though the checkpoint covers it; the log or its mirror is incomplete"
    )]
    Missing {
        /// Its path.
        path: String,
    },
    /// A tile or bundle could not be read.
    #[error("{path} cannot be read: {reason}")]
    Unreadable {
        /// Its path.
        path: String,
        /// The reader's words.
        reason: String,
    },
    /// An index or size outside the tree.
    #[error("{index} is outside the tree of size {size}")]
    Range {
        /// The index or size asked for.
        index: u64,
        /// The tree's size.
        size: u64,
    },
    /// An entry longer than a bundle can hold.
    #[error("an entry of {bytes} bytes is longer than the 65535 that a log can hold")]
    EntryTooLong {
        /// Its length.
        bytes: usize,
    },
}

impl TlogError {
    /// Stable kebab-case code.
    pub const fn code(&self) -> &'static str {
        match self {
            Self::Malformed { .. } => "tlog-malformed",
            Self::Signature { .. } => "tlog-signature-invalid",
            Self::Unsigned { .. } => "tlog-unsigned",
            Self::Origin { .. } => "tlog-origin-mismatch",
            Self::Witnesses { .. } => "tlog-witnesses-missing",
            Self::Inclusion => "tlog-inclusion-invalid",
            Self::Inconsistent { .. } => "tlog-inconsistent",
            Self::Tile { .. } => "tlog-tile-mismatch",
            Self::Missing { .. } => "tlog-tile-missing",
            Self::Unreadable { .. } => "tlog-unreadable",
            Self::Range { .. } => "tlog-out-of-range",
            Self::EntryTooLong { .. } => "tlog-entry-too-long",
        }
    }

    pub(crate) fn malformed(what: &'static str, reason: impl Into<String>) -> Self {
        Self::Malformed {
            what,
            reason: reason.into(),
        }
    }
}

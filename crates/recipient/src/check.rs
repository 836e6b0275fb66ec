//! The parts of a verification, by stable name.

/// A part of a verification. An accepted receipt names those that were made and those that were not.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Check {
    /// The manifest is the pinned one, and the verifying key is its.
    Package,
    /// Every member that the package fixes is the package's, and the public inputs were recomputed
    /// from the receipt's tensors.
    Statement,
    /// The proof verifies for these public inputs.
    Proof,
    /// The signature is right.
    Signature,
    /// It is by a service key that was pinned.
    Signer,
    /// The receipt answers this very request: its context or nonce was compared.
    Freshness,
    /// The context's deadline has not passed.
    Deadline,
    /// The values behind every commitment were compared.
    Openings,
    /// The receipt is in the pinned log.
    LogInclusion,
    /// Enough pinned witnesses saw the same log.
    Witnesses,
    /// Nothing that the receipt rests on is revoked in the copy of the log.
    Revocations,
    /// Auditors who were named attest the package.
    Attestations,
}

impl Check {
    /// All of them, in the order in which they are told.
    pub const ALL: &'static [Self] = &[
        Self::Package,
        Self::Statement,
        Self::Proof,
        Self::Signature,
        Self::Signer,
        Self::Freshness,
        Self::Deadline,
        Self::Openings,
        Self::LogInclusion,
        Self::Witnesses,
        Self::Revocations,
        Self::Attestations,
    ];

    /// Stable kebab-case name.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Package => "package",
            Self::Statement => "statement",
            Self::Proof => "proof",
            Self::Signature => "signature",
            Self::Signer => "signer",
            Self::Freshness => "freshness",
            Self::Deadline => "deadline",
            Self::Openings => "openings",
            Self::LogInclusion => "log-inclusion",
            Self::Witnesses => "witnesses",
            Self::Revocations => "revocations",
            Self::Attestations => "attestations",
        }
    }
}

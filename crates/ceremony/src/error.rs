//! What can go wrong in a ceremony.

use std::path::Path;

use proofmark_msm::MsmError;
use proofmark_prover::ProverError;

/// An error of a ceremony. None of them carries a secret.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum CeremonyError {
    /// A file could not be read or written.
    #[error("{action} {path}: {reason}")]
    Io {
        /// What was tried.
        action: &'static str,
        /// The file.
        path: String,
        /// The system's words.
        reason: String,
    },
    /// The operating system gave no randomness.
    #[error("the operating system gave no randomness: {reason}")]
    Randomness {
        /// Its words.
        reason: String,
    },
    /// The file is no powers-of-tau file of BN254, or a point of it is in no group.
    #[error("the powers-of-tau file is malformed at {part}: {reason}; fetch it again")]
    PtauMalformed {
        /// Part of the file.
        part: &'static str,
        /// What is wrong.
        reason: String,
    },
    /// The file is well-formed, and its points are not powers of one secret.
    #[error("the powers-of-tau file contradicts itself at {part}: {reason}; do not use it")]
    PtauInconsistent {
        /// Part of the file.
        part: &'static str,
        /// What contradicts.
        reason: &'static str,
    },
    /// A contribution does not follow from the one before it, or proves no knowledge.
    #[error("contribution {number} of the powers-of-tau file is invalid: {reason}; do not use it")]
    PtauContribution {
        /// Its place, from 1.
        number: usize,
        /// What is wrong.
        reason: &'static str,
    },
    /// The file cannot serve the purpose it was given for.
    #[error("the powers-of-tau file does not serve: {reason}")]
    PtauUnsuitable {
        /// Why, and what to do.
        reason: String,
    },
    /// A file of phase 2 is not in its format, or a point of it is in no group.
    #[error("the contribution is malformed at {part}: {reason}; fetch it again")]
    ContributionMalformed {
        /// Part of the file.
        part: &'static str,
        /// What is wrong.
        reason: String,
    },
    /// A contribution to phase 2 proves nothing, or does not follow from what precedes it.
    #[error("contribution {number} is invalid: {reason}; a key made with it must not be used")]
    ContributionInvalid {
        /// Its place, from 1.
        number: usize,
        /// What is wrong.
        reason: &'static str,
    },
    /// Nobody contributed to phase 2 but beacons, whose factors are public.
    #[error(
        "nobody contributed to phase 2: its secret is known to all, and anyone can forge; contribute first"
    )]
    NoContribution,
    /// A contribution that was to be part of the key is not.
    #[error(
        "contribution {hash} is not part of the key: it was dropped; do not use the key, ask its coordinator why"
    )]
    ContributionMissing {
        /// Its hash, in hex digits.
        hash: String,
    },
    /// Files do not belong together.
    #[error(
        "the ceremony is about another {part}: {got}, expected {expected}; take the files that belong together"
    )]
    CeremonyMismatch {
        /// What differs.
        part: &'static str,
        /// What was expected.
        expected: String,
        /// What was found.
        got: String,
    },
    /// A part of the key that no contribution changes is not what circuit and phase 1 give.
    #[error(
        "the key's {part} is not what the circuit and phase 1 give, first at {index}: it proves something else than the circuit says; do not use it"
    )]
    KeyDiffers {
        /// Part of the key.
        part: &'static str,
        /// First point that differs, from 0.
        index: usize,
    },
    /// A query of the key is not the initial one divided by what the contributions prove.
    #[error(
        "the key's {part} is not the initial one divided by the contributors' factors: points of it were replaced; do not use it"
    )]
    QueryRatio {
        /// Part of the key.
        part: &'static str,
    },
    /// A `.zkey` file is not in its format, or a point of it is in no group.
    #[error("the .zkey file is malformed at {part}: {reason}; fetch it again")]
    ZkeyMalformed {
        /// Part of the file.
        part: &'static str,
        /// What is wrong.
        reason: String,
    },
    /// A `.r1cs` file is not in its format.
    #[error("the .r1cs file is malformed at {part}: {reason}; write it again")]
    R1csMalformed {
        /// Part of the file.
        part: &'static str,
        /// What is wrong.
        reason: String,
    },
    /// A key that `.zkey` files have no place for.
    #[error("the key cannot be written as .zkey: {reason}")]
    ZkeyUnsupported {
        /// Why, and what to do.
        reason: &'static str,
    },
    /// A beacon outside of what is taken.
    #[error("the beacon is not usable: {reason}")]
    Beacon {
        /// What is wrong, and what to do.
        reason: &'static str,
    },
    /// A contributor's name cannot stand in a file.
    #[error("a name has at most {most} bytes and no control characters; choose another one")]
    Name {
        /// Bytes at most.
        most: usize,
    },
    /// A multiplication of points failed.
    #[error(transparent)]
    Multiplication(#[from] MsmError),
    /// A key or a circuit is at fault.
    #[error(transparent)]
    Prover(#[from] ProverError),
}

impl CeremonyError {
    /// Stable kebab-case code.
    pub const fn code(&self) -> &'static str {
        match self {
            Self::Io { .. } => "ceremony-io",
            Self::Randomness { .. } => "randomness-unavailable",
            Self::PtauMalformed { .. } => "ptau-malformed",
            Self::PtauInconsistent { .. } => "ptau-inconsistent",
            Self::PtauContribution { .. } => "ptau-contribution-invalid",
            Self::PtauUnsuitable { .. } => "ptau-unsuitable",
            Self::ContributionMalformed { .. } => "contribution-malformed",
            Self::ContributionInvalid { .. } => "contribution-invalid",
            Self::NoContribution => "ceremony-no-contribution",
            Self::ContributionMissing { .. } => "contribution-missing",
            Self::CeremonyMismatch { .. } => "ceremony-mismatch",
            Self::KeyDiffers { .. } => "ceremony-key-mismatch",
            Self::QueryRatio { .. } => "ceremony-query-mismatch",
            Self::ZkeyMalformed { .. } => "zkey-malformed",
            Self::R1csMalformed { .. } => "r1cs-malformed",
            Self::ZkeyUnsupported { .. } => "zkey-unsupported",
            Self::Beacon { .. } => "beacon-unusable",
            Self::Name { .. } => "ceremony-name-invalid",
            Self::Multiplication(error) => error.code(),
            Self::Prover(error) => error.code(),
        }
    }

    pub(crate) fn io(action: &'static str, path: &Path, error: &std::io::Error) -> Self {
        Self::Io {
            action,
            path: path.display().to_string(),
            reason: error.to_string(),
        }
    }
}

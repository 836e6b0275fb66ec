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

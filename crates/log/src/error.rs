//! Why a log did not do what was asked.

#[cfg(feature = "writer")]
use std::path::Path;
use std::path::PathBuf;

use proofmark_tlog::TlogError;
use proofmark_types::canonical::CanonicalError;
use proofmark_types::dsse::DsseError;

/// Why a log did not do what was asked. It may be cloned, because one failure can concern all that
/// waited for the same batch.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum LogError {
    /// The file system refused.
    #[error("cannot {operation} {}: {reason}; check disk space and permissions", path.display())]
    Io {
        /// What was being done.
        operation: &'static str,
        /// On what.
        path: PathBuf,
        /// The operating system's words.
        reason: String,
    },
    /// Another process writes to this log.
    #[error("{} is in use by another process; a log has one writer", path.display())]
    Locked {
        /// The log's folder.
        path: PathBuf,
    },
    /// The log's key is not usable, or not there though entries are.
    #[error("the log's key {} is not usable: {reason}", path.display())]
    Key {
        /// The key's file.
        path: PathBuf,
        /// Why.
        reason: String,
    },
    /// The folder is another log's than the configuration says.
    #[error(
        "the folder holds log {got:?}, the configuration names {expected:?}; set one to the other"
    )]
    Origin {
        /// The configured origin.
        expected: String,
        /// The one in the folder.
        got: String,
    },
    /// Fewer entries than were signed for. Starting would let the log contradict itself.
    #[error(
        "the log has lost entries: {reason}; restore the folder from a backup or a mirror that has \
         them, all of it and not older than the last checkpoint"
    )]
    Shrank {
        /// What is missing.
        reason: String,
    },
    /// Content that contradicts what was signed.
    #[error(
        "the log is damaged: {reason}; restore the folder from a backup or a mirror, and keep this \
         one to find out why"
    )]
    Damaged {
        /// What does not fit.
        reason: String,
    },
    /// An entry that is none of this software's.
    #[error("log entry is malformed: {reason}")]
    Entry {
        /// What is wrong.
        reason: String,
    },
    /// An entry in another spelling than the one that is written.
    #[error("log entry is not in its canonical encoding")]
    NotCanonical,
    /// A notice whose content is not allowed.
    #[error("notice is not valid: {reason}")]
    Notice {
        /// What is wrong.
        reason: String,
    },
    /// A notice that the service key in force did not sign.
    #[error("notice is not signed by {wanted}")]
    NoticeSignature {
        /// Whose signature was looked for.
        wanted: &'static str,
    },
    /// Hashes, checkpoints, proofs.
    #[error(transparent)]
    Tlog(#[from] TlogError),
}

impl LogError {
    /// Stable kebab-case code.
    pub const fn code(&self) -> &'static str {
        match self {
            Self::Io { .. } => "log-io",
            Self::Locked { .. } => "log-locked",
            Self::Key { .. } => "log-key",
            Self::Origin { .. } => "log-origin-mismatch",
            Self::Shrank { .. } => "log-shrank",
            Self::Damaged { .. } => "log-damaged",
            Self::Entry { .. } => "log-entry-malformed",
            Self::NotCanonical => "log-entry-not-canonical",
            Self::Notice { .. } => "log-notice-invalid",
            Self::NoticeSignature { .. } => "log-notice-signature",
            Self::Tlog(error) => error.code(),
        }
    }

    #[cfg(feature = "writer")]
    pub(crate) fn io(operation: &'static str, path: &Path, error: &std::io::Error) -> Self {
        Self::Io {
            operation,
            path: path.to_owned(),
            reason: error.to_string(),
        }
    }

    #[cfg(feature = "writer")]
    pub(crate) fn damaged(reason: impl Into<String>) -> Self {
        Self::Damaged {
            reason: reason.into(),
        }
    }

    pub(crate) fn notice(reason: impl Into<String>) -> Self {
        Self::Notice {
            reason: reason.into(),
        }
    }
}

impl From<CanonicalError> for LogError {
    fn from(error: CanonicalError) -> Self {
        match error {
            CanonicalError::NotCanonical => Self::NotCanonical,
            other => Self::Entry {
                reason: other.to_string(),
            },
        }
    }
}

impl From<DsseError> for LogError {
    fn from(error: DsseError) -> Self {
        match error {
            DsseError::NotCanonical => Self::NotCanonical,
            other => Self::notice(other.to_string()),
        }
    }
}

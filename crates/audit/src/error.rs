//! What keeps an audit from being made at all. What an audit finds is a finding.

use std::io;
use std::path::{Path, PathBuf};

use proofmark_package::PackageError;

/// An audit error.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum AuditError {
    /// The package's folder has no manifest that can be read.
    #[error(transparent)]
    Package(#[from] PackageError),
    /// A file or folder that the auditor named cannot be read.
    #[error("cannot read {}", path.display())]
    Unreadable {
        /// Which.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// More receipts than are held in memory together.
    #[error(
        "the receipts have more than {limit} bytes in all; audit them in parts, each with its own report"
    )]
    TooMany {
        /// Most bytes.
        limit: u64,
    },
}

impl AuditError {
    pub(crate) fn unreadable(path: &Path, source: io::Error) -> Self {
        Self::Unreadable {
            path: path.to_owned(),
            source,
        }
    }

    /// Stable kebab-case code.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Package(error) => error.code(),
            Self::Unreadable { .. } => "file-unreadable",
            Self::TooMany { .. } => "file-too-large",
        }
    }
}

//! What can go wrong with a package folder.

use std::io;
use std::path::{Path, PathBuf};

use proofmark_types::Digest;
use proofmark_types::card::CardError;
use proofmark_types::manifest::ManifestError;

/// A package error.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PackageError {
    /// The operating system refused.
    #[error("cannot {action} {}", path.display())]
    Io {
        /// What was tried.
        action: &'static str,
        /// On what.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// The manifest is malformed or invalid.
    #[error("{} is not a package manifest", path.display())]
    Manifest {
        /// Where it is.
        path: PathBuf,
        /// What is wrong with it.
        source: ManifestError,
    },
    /// The card beside the manifest is none of this model.
    #[error("{} cannot be shown", path.display())]
    Card {
        /// Where it is.
        path: PathBuf,
        /// What is wrong with it.
        source: CardError,
    },
    /// A file is not the one that the manifest describes.
    #[error("{file} has digest {got}, the manifest says {expected}; fetch the package again")]
    Digest {
        /// File name.
        file: String,
        /// From the manifest.
        expected: Digest,
        /// Of the content.
        got: Digest,
    },
    /// A file has another length than the manifest says.
    #[error("{file} has {got} bytes, the manifest says {expected}; fetch the package again")]
    Length {
        /// File name.
        file: String,
        /// From the manifest.
        expected: u64,
        /// Found.
        got: u64,
    },
    /// The package is another one than was pinned.
    #[error("package {} has digest {got}, pinned is {pinned}", folder.display())]
    NotPinned {
        /// The folder.
        folder: PathBuf,
        /// The digest asked for.
        pinned: Digest,
        /// The digest found.
        got: Digest,
    },
    /// A file is larger than anything it should be.
    #[error("{} has {bytes} bytes, at most {limit} are read", path.display())]
    TooLarge {
        /// The file.
        path: PathBuf,
        /// Its size.
        bytes: u64,
        /// The limit.
        limit: u64,
    },
    /// The folder for a draft or a download has something in it.
    #[error("{} is not empty; choose a new folder", folder.display())]
    Exists {
        /// The folder.
        folder: PathBuf,
    },
    /// The folder in which a package is gathered cannot be used.
    #[error("cannot gather a package in {}: {reason}; remove it and try again", folder.display())]
    Partial {
        /// The folder.
        folder: PathBuf,
        /// Why not.
        reason: String,
    },
    /// The package is sealed and so immutable.
    #[error("package {} is sealed; import again to make another", folder.display())]
    Sealed {
        /// The folder.
        folder: PathBuf,
    },
    /// The package is a draft.
    #[error("package {} is a draft; run `proofmark setup` first", folder.display())]
    Draft {
        /// The folder.
        folder: PathBuf,
    },
    /// More attestations than are read.
    #[error(
        "{} has more than {limit} attestations; leave those in it that recipients are to have",
        folder.display()
    )]
    TooManyAttestations {
        /// The folder.
        folder: PathBuf,
        /// How many are read at most.
        limit: usize,
    },
    /// The manifest names a file whose content was not given.
    #[error("the manifest and the content given disagree about {file}")]
    Missing {
        /// File name.
        file: String,
    },
}

impl PackageError {
    pub(crate) fn io(action: &'static str, path: &Path, source: io::Error) -> Self {
        Self::Io {
            action,
            path: path.to_owned(),
            source,
        }
    }

    /// Stable kebab-case code.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Io { .. } => "package-io",
            Self::Manifest { source, .. } => source.code(),
            Self::Card { source, .. } => source.code(),
            Self::Digest { .. } | Self::Length { .. } => "package-file-digest",
            Self::NotPinned { .. } => "package-not-pinned",
            Self::TooLarge { .. } => "package-file-too-large",
            Self::Exists { .. } => "package-folder-not-empty",
            Self::Partial { .. } => "package-partial-unusable",
            Self::Sealed { .. } => "package-sealed",
            Self::Draft { .. } => "package-draft",
            Self::TooManyAttestations { .. } => "attestation-too-many",
            Self::Missing { .. } => "package-file-missing",
        }
    }
}

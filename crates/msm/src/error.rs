//! What can go wrong with a multiplication or its tables.

use std::path::Path;

/// An error of multi-scalar multiplication. None of them carries a scalar.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum MsmError {
    /// Not one scalar a base.
    #[error("{scalars} scalars for {bases} bases; give one scalar a base")]
    Length {
        /// Number of bases.
        bases: usize,
        /// Number of scalars.
        scalars: usize,
    },
    /// A scalar is not below the group's order.
    #[error("scalar {index} is not below the group's order; reduce it first")]
    ScalarRange {
        /// Its index.
        index: usize,
    },
    /// More points than an index of 31 bits can tell apart.
    #[error("{points} table points, at most 2^31 are supported; give a smaller table budget")]
    TooLarge {
        /// Bases times levels.
        points: usize,
    },
    /// A base is no point of its curve.
    #[error("a base is not on its curve; check the key it comes from")]
    NotOnCurve,
    /// Windows or stride outside the supported range.
    #[error(
        "windows of {window} bits with stride {stride} are not supported; choose the shape by a budget"
    )]
    Shape {
        /// Bits of a digit.
        window: u32,
        /// Windows a table level covers.
        stride: u32,
    },
    /// The file is no table file, or not whole.
    #[error(
        "the table file {path} is malformed: {reason}; delete it, it is made again from the key"
    )]
    FileUnusable {
        /// The file.
        path: String,
        /// What is wrong.
        reason: &'static str,
    },
    /// The file holds the tables of other bases.
    #[error(
        "the table file {path} belongs to other bases; delete it, it is made again from the key"
    )]
    FileForeign {
        /// The file.
        path: String,
    },
    /// A file could not be read.
    #[error("read {path}: {reason}")]
    Read {
        /// The file.
        path: String,
        /// The system's words.
        reason: String,
    },
    /// A file could not be written.
    #[error("write {path}: {reason}; free some space or give another folder")]
    Write {
        /// The file.
        path: String,
        /// The system's words.
        reason: String,
    },
}

impl MsmError {
    /// Stable kebab-case code.
    pub const fn code(&self) -> &'static str {
        match self {
            Self::Length { .. } | Self::ScalarRange { .. } => "assignment-malformed",
            Self::NotOnCurve => "key-malformed",
            Self::TooLarge { .. } | Self::Shape { .. } => "msm-tables-unsupported",
            Self::FileUnusable { .. } | Self::FileForeign { .. } => "msm-tables-mismatch",
            Self::Read { .. } => "file-unreadable",
            Self::Write { .. } => "file-unwritable",
        }
    }

    pub(crate) fn unusable(path: &Path, reason: &'static str) -> Self {
        Self::FileUnusable {
            path: path.display().to_string(),
            reason,
        }
    }

    pub(crate) fn read(path: &Path, error: &std::io::Error) -> Self {
        Self::Read {
            path: path.display().to_string(),
            reason: error.to_string(),
        }
    }

    pub(crate) fn write(path: &Path, error: &std::io::Error) -> Self {
        Self::Write {
            path: path.display().to_string(),
            reason: error.to_string(),
        }
    }
}

//! Why the store did not do what was asked.

use std::path::PathBuf;

use proofmark_types::Digest;

/// Why the store did not do what was asked.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StoreError {
    /// The folder or the file cannot be made.
    #[error("cannot create {}: {source}; choose a folder that this user may write to", path.display())]
    Create {
        /// What was to be made.
        path: PathBuf,
        /// The operating system's reason.
        source: std::io::Error,
    },
    /// The file exists and cannot be opened as a store.
    #[error("cannot open {} as a receipt store: {source}; move it away or name another file", path.display())]
    Open {
        /// The file.
        path: PathBuf,
        /// The database's reason.
        source: sqlx::Error,
    },
    /// The file was written by another version of this software.
    #[error(
        "{} has schema steps that this version does not know ({source}); run the version that wrote it, or a later one",
        path.display()
    )]
    Schema {
        /// The file.
        path: PathBuf,
        /// What differs.
        source: sqlx::migrate::MigrateError,
    },
    /// A read or a write did not come to its end. Nothing of it is visible.
    #[error("the receipt store did not {operation}: {source}; check disk space and permissions")]
    Database {
        /// What was being done.
        operation: &'static str,
        /// The database's reason.
        source: sqlx::Error,
    },
    /// Another receipt is stored under this identifier. Identifiers are digests, so one of the two
    /// was not computed from its content.
    #[error("a different receipt is already stored as {id}")]
    ReceiptConflict {
        /// The identifier.
        id: Digest,
    },
    /// A receipt that is said to be logged is not stored.
    #[error("no receipt {id} is stored that could be logged")]
    NotStored {
        /// The identifier.
        id: Digest,
    },
    /// An answer is stored under this idempotency key already.
    #[error("an answer is already stored under idempotency key {key:?}")]
    KeyConflict {
        /// The key.
        key: String,
    },
    /// A row is not what this software writes.
    #[error("the row of receipt {id} is damaged: {reason}")]
    Damaged {
        /// The receipt, as far as it can be told.
        id: String,
        /// What is wrong with it.
        reason: &'static str,
    },
}

impl StoreError {
    /// Stable kebab-case code.
    pub const fn code(&self) -> &'static str {
        match self {
            Self::Create { .. } => "store-create",
            Self::Open { .. } => "store-open",
            Self::Schema { .. } => "store-schema-unknown",
            Self::Database { .. } => "store-unavailable",
            Self::ReceiptConflict { .. } => "store-receipt-conflict",
            Self::NotStored { .. } => "store-receipt-missing",
            Self::KeyConflict { .. } => "idempotency-key-conflict",
            Self::Damaged { .. } => "store-damaged",
        }
    }
}

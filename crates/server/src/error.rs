//! Why a service does not start or stopped.

use std::net::SocketAddr;

use proofmark_store::StoreError;

use crate::problem::Problem;

/// Why a service does not start or stopped. What a client gets is a
/// [`Problem`](crate::problem::Problem).
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ServerError {
    /// A setting that makes no sense.
    #[error("setting {setting} is out of range: {reason}")]
    Config {
        /// The setting.
        setting: &'static str,
        /// What it must be.
        reason: &'static str,
    },
    /// A package that is a draft still.
    #[error("package {name} is a draft; run `proofmark setup` on it first")]
    NotSealed {
        /// The model's name.
        name: String,
    },
    /// Two packages under one name and version.
    #[error("model {name} version {version} is given twice; serve one of them")]
    DuplicateModel {
        /// The model's name.
        name: String,
        /// Its version.
        version: String,
    },
    /// A package that a verifier would not accept.
    #[error("package {name} does not hold together: {source}; run `proofmark setup` again")]
    Package {
        /// The model's name.
        name: String,
        /// What a verifier says.
        source: Box<proofmark_verifier::Rejection>,
    },
    /// An attestation beside a package's manifest that is none of this package.
    #[error(
        "attestation {file} of package {name} does not hold: {source}; take it out of the package's folder, or put the one that its auditor signed for this package there"
    )]
    Attestation {
        /// The model's name.
        name: String,
        /// The attestation's file.
        file: String,
        /// What a verifier says.
        source: Box<proofmark_verifier::Rejection>,
    },
    /// The transparency log does not open.
    #[error("the transparency log does not open: {source}")]
    Log {
        /// The log's reason.
        source: Box<proofmark_log::LogError>,
    },
    /// The transparency log lacks a receipt that was handed out.
    #[error(
        "the transparency log does not hold receipt {id} at index {index}, which was handed out; restore the folder of the log that belongs to this database"
    )]
    LogBehind {
        /// The receipt.
        id: proofmark_types::Digest,
        /// Index of its entry.
        index: u64,
    },
    /// The transparency log says that the service signs with another key by now.
    #[error(
        "entry {until} of the transparency log retired this service key; start with the key that it announced"
    )]
    ServiceKeyRetired {
        /// Index of the rotation.
        until: u64,
    },
    /// A receipt of the database is none, so it cannot be logged.
    #[error("what is stored as receipt {id} is no receipt; restore the database from a backup")]
    StoredReceipt {
        /// The receipt.
        id: proofmark_types::Digest,
    },
    /// The database does not answer.
    #[error("the receipts cannot be compared with the transparency log: {source}")]
    Store {
        /// The database's reason.
        source: StoreError,
    },
    /// The address cannot be listened on.
    #[error("cannot listen on {address}: {source}; choose another address or stop what uses it")]
    Bind {
        /// The address.
        address: SocketAddr,
        /// The operating system's reason.
        source: std::io::Error,
    },
    /// A proving thread cannot be started.
    #[error("cannot start a proving thread: {source}")]
    Thread {
        /// The operating system's reason.
        source: std::io::Error,
    },
    /// Accepting connections failed.
    #[error("the listener failed: {source}")]
    Listener {
        /// The operating system's reason.
        source: std::io::Error,
    },
}

impl ServerError {
    /// Stable kebab-case code.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Config { .. } => "server-config",
            Self::NotSealed { .. } => "package-not-sealed",
            Self::DuplicateModel { .. } => "duplicate-model",
            Self::Package { source, .. } | Self::Attestation { source, .. } => source.code(),
            Self::Log { source } => source.code(),
            Self::LogBehind { .. } => "log-behind-store",
            Self::ServiceKeyRetired { .. } => "service-key-retired",
            Self::StoredReceipt { .. } => "store-damaged",
            Self::Store { source } => source.code(),
            Self::Bind { .. } => "listen-failed",
            Self::Thread { .. } => "thread-failed",
            Self::Listener { .. } => "listener-failed",
        }
    }
}

/// What a client is told when the database does not answer.
pub(crate) fn store_problem(error: &StoreError) -> Problem {
    Problem::store(format!("{}: {error}", error.code()))
}

//! Why a proxy does not start or stopped.

use std::net::SocketAddr;
use std::path::PathBuf;

use proofmark_package::PackageError;
use proofmark_recipient::Refusal;

/// Why a proxy does not start or stopped. What a client gets is a
/// [`Problem`](proofmark_http::problem::Problem).
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ProxyError {
    /// A setting that makes no sense.
    #[error("{setting}: {reason}")]
    Config {
        /// The setting.
        setting: String,
        /// What it must be.
        reason: String,
    },
    /// A file that cannot be read or written.
    #[error(transparent)]
    File(#[from] PackageError),
    /// A package that is not the pinned one, or lacks what is demanded of it.
    #[error("package {}: {source}", folder.display())]
    Package {
        /// Its folder.
        folder: PathBuf,
        /// What a recipient says.
        source: Box<Refusal>,
    },
    /// The state folder cannot be used.
    #[error("state {}: {reason}", path.display())]
    State {
        /// The folder, or the file in it.
        path: PathBuf,
        /// What is wrong with it and what to do.
        reason: String,
    },
    /// The address cannot be listened on.
    #[error("cannot listen on {address}: {source}; choose another address or stop what uses it")]
    Bind {
        /// The address.
        address: SocketAddr,
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

impl ProxyError {
    pub(crate) fn config(setting: impl Into<String>, reason: impl Into<String>) -> Self {
        Self::Config {
            setting: setting.into(),
            reason: reason.into(),
        }
    }

    /// Stable kebab-case code.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Config { .. } => "proxy-config",
            Self::File(error) => error.code(),
            Self::Package { source, .. } => source.code(),
            Self::State { .. } => "proxy-state",
            Self::Bind { .. } => "listen-failed",
            Self::Listener { .. } => "listener-failed",
        }
    }
}

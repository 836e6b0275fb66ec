//! What can go wrong.

use std::path::PathBuf;

use alloy_primitives::U256;
use proofmark_engine::EngineError;
use proofmark_package::PackageError;

/// Why a pass of the relay ended early, or why a request is not fulfilled.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RelayError {
    /// The node does not answer, or not as JSON-RPC has it.
    #[error(
        "no answer from the node to {method}: {reason}; see to it that it runs and is reachable"
    )]
    Node {
        /// What was asked.
        method: &'static str,
        /// Why there is no answer.
        reason: String,
    },
    /// The node refuses.
    #[error("the node refuses {method}: {reason}")]
    Refused {
        /// What was asked.
        method: &'static str,
        /// In the node's words.
        reason: String,
    },
    /// The address is no `Requests` contract, or its answers are not its.
    #[error("{what} of the contract cannot be read; give the address of a Requests contract")]
    Contract {
        /// What was read.
        what: &'static str,
    },
    /// The state file is of another chain or contract, or damaged.
    #[error("the state file does not serve: {reason}; move it away to begin anew")]
    State {
        /// Why not.
        reason: String,
    },
    /// The state file cannot be read or written.
    #[error(transparent)]
    File(#[from] PackageError),
    /// A request that no model here can answer.
    #[error("the request cannot be answered: {reason}")]
    Unanswerable {
        /// Why not.
        reason: String,
    },
    /// A request for a model of others.
    #[error("none of the packages here is the request's model {model_id:#x}")]
    Foreign {
        /// In the registry.
        model_id: U256,
    },
    /// The account's key cannot be used.
    #[error("key {}: {reason}", path.display())]
    Key {
        /// Where it is.
        path: PathBuf,
        /// Why not.
        reason: String,
    },
    /// The model was not run or not proven.
    #[error(transparent)]
    Engine(#[from] Box<EngineError>),
}

impl RelayError {
    /// Stable kebab-case code.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Node { .. } => "node-unreachable",
            Self::Refused { .. } => "node-refused",
            Self::Contract { .. } => "requests-contract",
            Self::State { .. } => "relay-state",
            Self::File(error) => error.code(),
            Self::Unanswerable { .. } | Self::Foreign { .. } => "request-unanswerable",
            Self::Key { .. } => "relay-key",
            Self::Engine(error) => error.code(),
        }
    }

    /// Whether it would be the same at the next attempt, because of what is asked.
    pub(crate) fn is_of_the_request(&self) -> bool {
        match self {
            Self::Unanswerable { .. } | Self::Foreign { .. } => true,
            Self::Engine(error) => matches!(
                error.as_ref(),
                EngineError::Input { .. } | EngineError::Divergence { .. }
            ),
            _ => false,
        }
    }
}

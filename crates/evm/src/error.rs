//! What can go wrong.

use proofmark_verifier::Rejection;

/// Why there is no contract or no calldata.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum EvmError {
    /// Package or key are refused.
    #[error(transparent)]
    Rejected(#[from] Rejection),
    /// A name that Solidity does not take.
    #[error(
        "{name:?} is no contract name; give one of letters, digits and underscores that begins with a \
         capital letter"
    )]
    Name {
        /// As given.
        name: String,
    },
    /// Too many public inputs for one contract.
    #[error(
        "the statement has {inputs} public inputs, a verifier contract holds {most}; import the model \
         with large tensors hashed (--visibility NAME=hashed)"
    )]
    TooManyInputs {
        /// Of the statement.
        inputs: usize,
        /// That fit.
        most: usize,
    },
    /// A compiled contract that is part of this program is damaged.
    #[error("the compiled contract {contract} cannot be read: {reason}")]
    Artifact {
        /// Which one.
        contract: &'static str,
        /// Why not.
        reason: String,
    },
}

impl EvmError {
    /// Stable kebab-case code.
    pub const fn code(&self) -> &'static str {
        match self {
            Self::Rejected(rejection) => rejection.code(),
            Self::Name { .. } => "contract-name-invalid",
            Self::TooManyInputs { .. } => "contract-too-large",
            Self::Artifact { .. } => "contract-artifact",
        }
    }
}

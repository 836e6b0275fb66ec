//! Why a receipt is refused.

use super::MAX_ENVELOPE_BYTES;
use crate::canonical::CanonicalError;
use crate::dsse::DsseError;
use crate::in_toto::OtherType;

/// Why some bytes are not a receipt, or some content cannot become one.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ReceiptError {
    /// Longer than [`MAX_ENVELOPE_BYTES`].
    #[error("receipt is {bytes} bytes, more than {MAX_ENVELOPE_BYTES}")]
    TooLarge {
        /// Its length.
        bytes: usize,
    },
    /// The envelope is not in its one encoding, or key id or signature are wrong.
    #[error(transparent)]
    Envelope(#[from] DsseError),
    /// The payload is not JSON of the right members and types.
    #[error("payload is malformed: {reason}")]
    Malformed {
        /// The parser's words.
        reason: String,
    },
    /// Another statement, predicate or proof system type than this version reads.
    #[error("{field} is {got:?}, this software reads {expected:?}")]
    Unsupported {
        /// The member.
        field: &'static str,
        /// Its value.
        got: String,
        /// The value that is read.
        expected: &'static str,
    },
    /// The payload is not the one encoding of its content.
    #[error(
        "payload is not in its canonical encoding; pass the receipt on byte for byte as it was received"
    )]
    NotCanonical,
    /// A member whose value is outside what it may be.
    #[error("{field} is outside what it may be")]
    Value {
        /// The member.
        field: &'static str,
    },
    /// A tensor record with members that do not go together.
    #[error("record of tensor {name:?}: {reason}")]
    Tensor {
        /// The tensor's name.
        name: String,
        /// What does not go together.
        reason: &'static str,
    },
    /// The subject does not name the outputs and their digests.
    #[error("subject is not the list of outputs with their digests")]
    Subject,
    /// The receipt names another signer than the key it is to be signed with.
    #[error("receipt names another signer than the signing key")]
    Signer,
}

impl ReceiptError {
    /// Stable kebab-case code.
    pub const fn code(&self) -> &'static str {
        match self {
            Self::TooLarge { .. }
            | Self::Malformed { .. }
            | Self::Value { .. }
            | Self::Envelope(DsseError::Malformed { .. } | DsseError::Signatures { .. }) => {
                "receipt-malformed"
            }
            Self::Unsupported { .. } | Self::Envelope(DsseError::PayloadType { .. }) => {
                "receipt-unsupported"
            }
            Self::NotCanonical | Self::Envelope(DsseError::NotCanonical) => "receipt-not-canonical",
            Self::Tensor { .. } => "receipt-tensor-invalid",
            Self::Subject => "receipt-subject-mismatch",
            Self::Envelope(DsseError::KeyId) => "key-id-mismatch",
            Self::Signer => "signer-mismatch",
            Self::Envelope(DsseError::Signature) => "signature-invalid",
        }
    }
}

impl From<CanonicalError> for ReceiptError {
    fn from(error: CanonicalError) -> Self {
        match error {
            CanonicalError::Malformed { reason } => Self::Malformed { reason },
            CanonicalError::NotCanonical => Self::NotCanonical,
        }
    }
}

impl From<OtherType> for ReceiptError {
    fn from(other: OtherType) -> Self {
        let OtherType {
            field,
            got,
            expected,
        } = other;
        Self::Unsupported {
            field,
            got,
            expected,
        }
    }
}

//! Why an attestation is refused.

use super::MAX_ATTESTATION_BYTES;
use crate::canonical::CanonicalError;
use crate::dsse::DsseError;
use crate::in_toto::OtherType;

/// Why some bytes are not an attestation, or some content cannot become one.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum AttestationError {
    /// Longer than [`MAX_ATTESTATION_BYTES`].
    #[error("attestation is {bytes} bytes, more than {MAX_ATTESTATION_BYTES}")]
    TooLarge {
        /// Its length.
        bytes: usize,
    },
    /// The envelope is not in its one encoding, or key id or signature are wrong.
    #[error("attestation: {0}")]
    Envelope(#[from] DsseError),
    /// The payload is not JSON of the right members and types.
    #[error("payload of the attestation is malformed: {reason}")]
    Malformed {
        /// The parser's words.
        reason: String,
    },
    /// Another statement or predicate type than this version reads.
    #[error("{field} is {got:?}, this software reads {expected:?} as an attestation")]
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
        "payload of the attestation is not in its canonical encoding; pass the attestation on byte for byte as it was received"
    )]
    NotCanonical,
    /// A member whose value is outside what it may be.
    #[error("{field} of the attestation is outside what it may be")]
    Value {
        /// The member.
        field: &'static str,
    },
    /// A check did not pass from which the subjects follow.
    #[error(
        "check {id} did not pass, so the attestation would name what the audit has not seen; audit the whole package"
    )]
    Incomplete {
        /// The check's id.
        id: &'static str,
    },
    /// The attestation names another auditor than the key it is to be signed with.
    #[error("attestation names another auditor than the signing key")]
    Auditor,
}

impl AttestationError {
    /// Stable kebab-case code.
    pub const fn code(&self) -> &'static str {
        match self {
            Self::TooLarge { .. }
            | Self::Malformed { .. }
            | Self::Value { .. }
            | Self::Envelope(DsseError::Malformed { .. } | DsseError::Signatures { .. }) => {
                "attestation-malformed"
            }
            Self::Unsupported { .. } | Self::Envelope(DsseError::PayloadType { .. }) => {
                "attestation-unsupported"
            }
            Self::NotCanonical | Self::Envelope(DsseError::NotCanonical) => {
                "attestation-not-canonical"
            }
            Self::Incomplete { .. } => "attestation-incomplete",
            Self::Auditor => "attestation-auditor-mismatch",
            Self::Envelope(DsseError::KeyId | DsseError::Signature) => {
                "attestation-signature-invalid"
            }
        }
    }
}

impl From<CanonicalError> for AttestationError {
    fn from(error: CanonicalError) -> Self {
        match error {
            CanonicalError::Malformed { reason } => Self::Malformed { reason },
            CanonicalError::NotCanonical => Self::NotCanonical,
        }
    }
}

impl From<OtherType> for AttestationError {
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

//! Why something was rejected.

use proofmark_types::Digest;
use proofmark_types::attestation::AttestationError;
use proofmark_types::manifest::{Backend, ManifestError};
use proofmark_types::receipt::ReceiptError;
use proofmark_types::statement::{Role, StatementError};

/// A rejection: the material was read and does not prove what it claims. Failures of the
/// environment (a file that cannot be read, a server that does not answer) are never one.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Rejection {
    /// The receipt is not in its strict form, or its signature is wrong.
    #[error(transparent)]
    Receipt(#[from] ReceiptError),
    /// The manifest is not in its strict form.
    #[error(transparent)]
    Manifest(#[from] ManifestError),
    /// The tensors do not fit the package's layout.
    #[error(transparent)]
    Statement(#[from] StatementError),
    /// The attestation is not in its strict form, or its signature is wrong.
    #[error(transparent)]
    Attestation(#[from] AttestationError),
    /// The attestation names another package, or the package otherwise than its manifest does.
    #[error(
        "attestation differs from the package in {what}; get the attestation of this very package"
    )]
    AttestationMismatch {
        /// The subject, or another member, that differs.
        what: &'static str,
    },
    /// The attestation is signed by none of the auditors that the verifier knows.
    #[error("attestation is by auditor {got}, whose key was not given")]
    AttestationAuditor {
        /// Id of the key that signed.
        got: Digest,
    },
    /// An auditor whose word was asked for has attested nothing.
    #[error("auditor {auditor} has attested nothing of this package")]
    AttestationMissing {
        /// Id of the auditor's key.
        auditor: Digest,
    },
    /// The manifest or the receipt is of another package than the pinned one.
    #[error(
        "{what} is of package {got}, pinned is {pinned}; get the package you pinned, or pin this one after auditing it"
    )]
    PackageNotPinned {
        /// `manifest` or `receipt`.
        what: &'static str,
        /// The pinned package digest.
        pinned: Digest,
        /// The package digest found.
        got: Digest,
    },
    /// A draft: no keys belong to it.
    #[error("package is a draft without keys; run setup first")]
    PackageNotSealed,
    /// The receipt names another model.
    #[error("receipt differs from the package in model.{field}")]
    ModelMismatch {
        /// The member.
        field: &'static str,
    },
    /// The receipt names another circuit, or the package's circuit has other public inputs than
    /// its inputs and outputs give.
    #[error("receipt and package differ in the circuit's {field}")]
    CircuitMismatch {
        /// What differs.
        field: &'static str,
    },
    /// The verifying key is not the package's, or the receipt names another.
    #[error("{what} is not the package's verifying key")]
    VerifyingKeyMismatch {
        /// What was compared.
        what: &'static str,
    },
    /// The receipt names another setup.
    #[error("receipt differs from the package in setup.{field}")]
    SetupMismatch {
        /// The member.
        field: &'static str,
    },
    /// The receipt names another runtime.
    #[error("receipt differs from the package in the runtime")]
    RuntimeMismatch,
    /// The receipt lists other tensors than the package.
    #[error("{role} {index} of the receipt differs from the package in its {field}")]
    TensorMismatch {
        /// Input or output.
        role: Role,
        /// Position in graph order.
        index: usize,
        /// What differs.
        field: &'static str,
    },
    /// The receipt is bound to another context than expected.
    #[error("receipt is bound to another {field} than expected")]
    ContextMismatch {
        /// `context` or `nonce`.
        field: &'static str,
    },
    /// The receipt is signed by another key than expected.
    #[error("receipt is signed by key {got}, expected is {expected}")]
    SignerMismatch {
        /// Id of the expected key.
        expected: Digest,
        /// Id of the key that signed.
        got: Digest,
    },
    /// Opened values do not fit the commitment.
    #[error("opening of {name:?}: {reason}")]
    OpeningMismatch {
        /// The tensor.
        name: String,
        /// What does not fit.
        reason: &'static str,
    },
    /// The verifying key's bytes are not its one encoding.
    #[error("verifying key: {part} {reason}")]
    KeyMalformed {
        /// Which part.
        part: &'static str,
        /// What is wrong with it.
        reason: &'static str,
    },
    /// A verifying key under which anyone can prove anything.
    #[error("verifying key: {reason}; a key like this accepts forged proofs")]
    KeyDegenerate {
        /// What is degenerate.
        reason: &'static str,
    },
    /// The verifying key is for another number of public inputs.
    #[error("verifying key takes {expected} public inputs, got {got}")]
    KeyPublicInputs {
        /// The key's number.
        expected: usize,
        /// The statement's number.
        got: usize,
    },
    /// The proof's bytes are not its one encoding.
    #[error("proof: {part} {reason}")]
    ProofMalformed {
        /// Which part.
        part: &'static str,
        /// What is wrong with it.
        reason: &'static str,
    },
    /// A public input is not below the field order.
    #[error("public input {index} is not below the field order")]
    PublicInputNotCanonical {
        /// Its position.
        index: usize,
    },
    /// Proof, key and package are not all of one proof system. Nothing of one system is ever
    /// accepted under another.
    #[error("{what} is of proof system {}, expected is {}", got.proof_system_name(), expected.proof_system_name())]
    ProofSystemMismatch {
        /// What was compared.
        what: &'static str,
        /// The proof system of the key, or of the package.
        expected: Backend,
        /// The proof system found.
        got: Backend,
    },
    /// The pairing check failed.
    #[error("proof does not verify for these public inputs")]
    ProofInvalid,
}

impl Rejection {
    /// Stable kebab-case code, one of `proofmark_types::problem::ERROR_CODES`.
    pub const fn code(&self) -> &'static str {
        match self {
            Self::Receipt(error) => error.code(),
            Self::Manifest(error) => error.code(),
            Self::Statement(error) => error.code(),
            Self::Attestation(error) => error.code(),
            Self::AttestationMismatch { .. } => "attestation-mismatch",
            Self::AttestationAuditor { .. } => "attestation-auditor-mismatch",
            Self::AttestationMissing { .. } => "attestation-missing",
            Self::PackageNotPinned { .. } => "package-not-pinned",
            Self::PackageNotSealed => "package-not-sealed",
            Self::ModelMismatch { .. } => "model-mismatch",
            Self::CircuitMismatch { .. } => "circuit-mismatch",
            Self::VerifyingKeyMismatch { .. } => "verifying-key-mismatch",
            Self::SetupMismatch { .. } => "setup-mismatch",
            Self::RuntimeMismatch => "runtime-mismatch",
            Self::TensorMismatch { .. } => "tensor-mismatch",
            Self::ContextMismatch { .. } => "context-mismatch",
            Self::SignerMismatch { .. } => "signer-mismatch",
            Self::OpeningMismatch { .. } => "opening-mismatch",
            Self::KeyMalformed { .. } => "key-malformed",
            Self::KeyDegenerate { .. } => "key-degenerate",
            Self::KeyPublicInputs { .. } => "key-public-inputs-mismatch",
            Self::ProofMalformed { .. } => "proof-malformed",
            Self::PublicInputNotCanonical { .. } => "public-input-not-canonical",
            Self::ProofSystemMismatch { .. } => "proof-system-mismatch",
            Self::ProofInvalid => "proof-invalid",
        }
    }
}

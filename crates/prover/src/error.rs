//! What can go wrong with keys and proofs.

use proofmark_msm::MsmError;
use proofmark_types::Digest;

/// An error of keys or proving. None of them carries a witness value or a trapdoor.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ProverError {
    /// The circuit's matrices contradict each other or name wires that do not exist.
    #[error("the circuit is malformed: {reason}; compile it again from the model")]
    CircuitMalformed {
        /// What is wrong.
        reason: &'static str,
    },
    /// More constraints than the scalar field's two-adicity allows (2^27 rows).
    #[error("the circuit needs {rows} rows, at most 2^27 can be proven; split the model")]
    CircuitTooLarge {
        /// Constraints, public inputs and the constant together.
        rows: usize,
    },
    /// The operating system gave no randomness.
    #[error("the operating system gave no randomness: {reason}")]
    Randomness {
        /// Its words.
        reason: String,
    },
    /// The trapdoor makes a key that anyone could forge with, or no key at all. By chance this
    /// happens once in 2^220 draws.
    #[error("the trapdoor is degenerate: {reason}; draw another one")]
    TrapdoorDegenerate {
        /// Which condition it violates.
        reason: &'static str,
    },
    /// The key was made for a circuit with other dimensions.
    #[error(
        "the key does not fit the circuit: {part} has {got} elements, expected {expected}; run setup for this circuit"
    )]
    KeyMismatch {
        /// Part of the key.
        part: &'static str,
        /// What the circuit needs.
        expected: usize,
        /// What the key has.
        got: usize,
    },
    /// The circuit draws a challenge from a commitment and the key has none, or the reverse.
    #[error(
        "the key does not fit the circuit: it is not one of backend {backend}; run setup for this circuit"
    )]
    KeyBackend {
        /// Name of the circuit's backend.
        backend: &'static str,
    },
    /// The key file was made for another circuit.
    #[error(
        "the key file was made for circuit {got}, expected {expected}; run setup for this circuit"
    )]
    KeyCircuit {
        /// Digest of the circuit asked for.
        expected: Digest,
        /// Digest in the file.
        got: Digest,
    },
    /// The key file's bytes are not those that the package names.
    #[error("the key file has digest {got}, expected {expected}; fetch it again or run setup")]
    KeyDigest {
        /// Digest asked for.
        expected: Digest,
        /// Digest of the bytes read.
        got: Digest,
    },
    /// The key file is not in the format, or a point of it is on no curve.
    #[error("the key file is malformed at {part}: {reason}; fetch it again or run setup")]
    KeyMalformed {
        /// Part of the file.
        part: &'static str,
        /// What is wrong.
        reason: String,
    },
    /// The key file is well-formed and its key is one that anyone could forge with.
    #[error("the key is degenerate: {reason}; do not use it, run setup")]
    KeyDegenerate {
        /// What is wrong.
        reason: String,
    },
    /// A file could not be read or written.
    #[error("{action} {path}: {reason}")]
    Io {
        /// What was tried.
        action: &'static str,
        /// The file.
        path: String,
        /// The system's words.
        reason: String,
    },
    /// The assignment is not as long as the circuit has wires.
    #[error("the assignment has {got} values, the circuit has {expected} wires")]
    AssignmentLength {
        /// Number of wires.
        expected: usize,
        /// Number of values.
        got: usize,
    },
    /// Wire 0 does not carry 1.
    #[error(
        "the assignment's first value is not 1; compute the witness with the circuit's own lowering"
    )]
    AssignmentConstant,
    /// The assignment does not satisfy the circuit: the statement is false, or the evaluator and
    /// the compiler disagree. The path of a constraint is found with the circuit's labels.
    #[error(
        "the witness violates {violated} constraints, the first is number {first}; nothing was proven"
    )]
    Unsatisfied {
        /// Index of the first violated constraint.
        first: usize,
        /// How many are violated.
        violated: usize,
    },
    /// The points of a key cannot be multiplied.
    #[error(transparent)]
    Multiplication(#[from] MsmError),
    /// The commitment and the assignment do not belong together.
    #[error(
        "the commitment does not belong to the proof: {reason}; compute the witness with the prover's own committer"
    )]
    CommitmentMismatch {
        /// What differs.
        reason: &'static str,
    },
    /// The finished proof did not verify: the key does not belong to the circuit, or the machine
    /// computed wrongly.
    #[error(
        "the proof did not pass its own verification; check that the key belongs to the circuit, then the machine's memory"
    )]
    SelfVerification,
    /// The transcript is not in its one encoding.
    #[error("the setup transcript is malformed: {reason}; fetch it again")]
    TranscriptMalformed {
        /// What is wrong.
        reason: String,
    },
    /// The transcript is about other files.
    #[error(
        "the setup transcript names {part} {expected}, found {got}; fetch the files that belong together"
    )]
    TranscriptMismatch {
        /// What differs.
        part: &'static str,
        /// Digest in the transcript.
        expected: Digest,
        /// Digest found.
        got: Digest,
    },
    /// A transcript tells of a ceremony whose last contribution did not leave this key.
    #[error(
        "the setup transcript tells of a ceremony, and the key is not the one that its last contribution left: somebody else made it; do not use it"
    )]
    CeremonyKey,
}

impl ProverError {
    /// Stable kebab-case code.
    pub const fn code(&self) -> &'static str {
        match self {
            Self::CircuitMalformed { .. } => "circuit-malformed",
            Self::CircuitTooLarge { .. } => "circuit-too-large",
            Self::Randomness { .. } => "randomness-unavailable",
            Self::TrapdoorDegenerate { .. } => "trapdoor-degenerate",
            Self::KeyMismatch { .. } | Self::KeyBackend { .. } | Self::KeyCircuit { .. } => {
                "key-circuit-mismatch"
            }
            Self::KeyDigest { .. } => "key-digest-mismatch",
            Self::KeyMalformed { .. } => "key-malformed",
            Self::KeyDegenerate { .. } => "key-degenerate",
            Self::Io { .. } => "key-io",
            Self::AssignmentLength { .. } | Self::AssignmentConstant => "assignment-malformed",
            Self::Unsatisfied { .. } => "witness-unsatisfied",
            Self::Multiplication(error) => error.code(),
            Self::CommitmentMismatch { .. } => "commitment-mismatch",
            Self::SelfVerification => "proof-self-verification",
            Self::TranscriptMalformed { .. } => "transcript-malformed",
            Self::TranscriptMismatch { .. } => "transcript-mismatch",
            Self::CeremonyKey => "ceremony-key-mismatch",
        }
    }

    pub(crate) fn io(action: &'static str, path: &std::path::Path, error: &std::io::Error) -> Self {
        Self::Io {
            action,
            path: path.display().to_string(),
            reason: error.to_string(),
        }
    }
}

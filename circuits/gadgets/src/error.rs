//! What can go wrong while a model is lowered to constraints or a witness is computed.

/// A lowering error. None of them depends on a secret.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum LowerError {
    /// An integer's proven interval leaves 63 bits; beyond it, uniqueness modulo the field's
    /// order would have to be argued anew.
    #[error(
        "{path}: interval {lo} ..= {hi} is wider than 63 bits; use smaller weights or fewer inputs"
    )]
    IntervalTooWide {
        /// Where in the model.
        path: String,
        /// Lower end.
        lo: i128,
        /// Upper end.
        hi: i128,
    },
    /// A gadget was given an integer whose proven interval does not fit its precondition.
    #[error("{path}: interval {lo} ..= {hi} does not fit {bits} unsigned bits")]
    IntervalUnfit {
        /// Where in the model.
        path: String,
        /// Lower end.
        lo: i64,
        /// Upper end.
        hi: i64,
        /// Bits the gadget works on.
        bits: u32,
    },
    /// While computing a witness, a value left the interval that the compiler proved for it.
    /// Either an input is outside its type or the evaluator and the compiler disagree.
    #[error("{path}: value {value} is outside the proven interval {lo} ..= {hi}")]
    ValueOutsideInterval {
        /// Where in the model.
        path: String,
        /// The value.
        value: i64,
        /// Lower end.
        lo: i64,
        /// Upper end.
        hi: i64,
    },
    /// The number of public inputs given is not the circuit's.
    #[error("the circuit has {expected} public inputs, got {got}")]
    PublicInputCount {
        /// Expected count, without the constant one.
        expected: usize,
        /// Given count.
        got: usize,
    },
    /// A second commitment was asked for. One circuit has at most one (CVE-2024-45039).
    #[error("{path}: a circuit has at most one commitment")]
    SecondCommitment {
        /// Where in the model.
        path: String,
    },
    /// A challenge was asked for where the backend has none.
    #[error("{path}: the plain backend has no challenge; choose the committed backend")]
    NoChallenge {
        /// Where in the model.
        path: String,
    },
    /// A wire or a lookup was asked for after the commitment.
    #[error("{path}: the circuit is closed; make every wire and lookup before closing it")]
    Closed {
        /// Where in the model.
        path: String,
    },
    /// The challenge is an entry of a lookup table, where the argument has no witness. Has
    /// probability 2^−230; a proof made anew draws another challenge.
    #[error("{path}: the challenge is an entry of a lookup table; prove again")]
    ChallengePole {
        /// Where in the model.
        path: String,
    },
    /// The prover could not commit to the wires before the challenge.
    #[error("the challenge cannot be drawn: {reason}")]
    Commitment {
        /// The prover's words.
        reason: String,
    },
    /// An accumulator may leave int32, where the runtime wraps around: what it would compute is
    /// then not the requantize of the true sum.
    #[error(
        "{path}: accumulator interval {lo} ..= {hi} leaves int32; use smaller weights or split the layer"
    )]
    AccumulatorOverflow {
        /// Where in the model.
        path: String,
        /// Lower end.
        lo: i64,
        /// Upper end.
        hi: i64,
    },
    /// A lookup table does not have the size its index asks for.
    #[error(
        "{path}: {reason}; a table by multiplexers has 2^bits entries a column and at most 8 index bits, one by lookups 1 to 2^20 keys below 2^62"
    )]
    BadTable {
        /// Where in the model.
        path: String,
        /// What is wrong.
        reason: String,
    },
    /// While computing a witness, a looked-up value was not in the table.
    #[error("{path}: value {value} is not in the lookup table")]
    NotInTable {
        /// Where in the model.
        path: String,
        /// The value.
        value: i64,
    },
    /// Poseidon has no parameters for this number of inputs.
    #[error("{path}: poseidon takes 1 to 16 inputs, got {got}")]
    PoseidonArity {
        /// Where in the model.
        path: String,
        /// Number of inputs.
        got: usize,
    },
    /// More wires or terms than the `.r1cs` format can number (2^32).
    #[error("the circuit has more than 2^32 wires or terms")]
    TooLarge,
    /// A range would be left without the constraints that prove it (a bug of the compiler).
    #[error("{path}: nothing would prove a range of {bits} bits; report this model, it is a bug")]
    RangeUnproven {
        /// Where in the model.
        path: String,
        /// Bits of the range.
        bits: u32,
    },
    /// A step function has no encoding over its interval (a bug of the encoder: the threshold
    /// table always exists).
    #[error("{path}: {reason}")]
    Encoding {
        /// Where in the model.
        path: String,
        /// What failed.
        reason: String,
    },
}

impl LowerError {
    /// Stable kebab-case code.
    pub const fn code(&self) -> &'static str {
        match self {
            Self::IntervalTooWide { .. } | Self::IntervalUnfit { .. } => "interval-too-wide",
            Self::ValueOutsideInterval { .. } => "witness-outside-interval",
            Self::PublicInputCount { .. } => "public-input-count",
            Self::SecondCommitment { .. } => "second-commitment",
            Self::NoChallenge { .. } => "no-challenge",
            Self::Commitment { .. } => "commitment-failed",
            Self::Closed { .. } => "circuit-closed",
            Self::ChallengePole { .. } => "challenge-pole",
            Self::AccumulatorOverflow { .. } => "accumulator-overflow",
            Self::BadTable { .. } => "bad-table",
            Self::NotInTable { .. } => "witness-outside-table",
            Self::PoseidonArity { .. } => "poseidon-arity",
            Self::TooLarge => "circuit-too-large",
            Self::RangeUnproven { .. } => "range-unproven",
            Self::Encoding { .. } => "requantize-encoding",
        }
    }
}

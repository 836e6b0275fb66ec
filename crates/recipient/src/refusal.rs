//! Why a receipt, or what was asked of it, is refused.

use proofmark_log::{LogError, Objection, Problem};
use proofmark_tlog::TlogError;
use proofmark_types::receipt::OpeningsError;
use proofmark_verifier::Rejection;

/// What a refusal says of whom.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// What was given was read and is refused: it does not prove what it claims.
    Rejected,
    /// What was asked does not make sense. Nothing was judged.
    Request,
    /// Something could not be read. Nothing was judged.
    Environment,
}

impl Kind {
    /// Its name in JSON.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Rejected => "rejected",
            Self::Request => "request",
            Self::Environment => "environment",
        }
    }
}

/// Why a receipt, or what was asked of it, is refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Refusal {
    /// Package, receipt, signature, opening, attestation or proof.
    #[error(transparent)]
    Rejection(#[from] Rejection),
    /// The log's bytes.
    #[error(transparent)]
    Log(#[from] LogError),
    /// A proof of the log and a copy of it are of two histories.
    #[error("{error}")]
    Forked {
        /// What differs.
        error: LogError,
        /// Name of the log.
        log: String,
    },
    /// The log holds what cannot be read or is wrongly signed.
    #[error("the log holds what cannot be honoured: {0}")]
    Unhonoured(Problem),
    /// The log speaks against the receipt.
    #[error("{0}")]
    Objection(Objection),
    /// A whole log without the receipt.
    #[error("the log's {size} entries do not hold this receipt")]
    NotLogged {
        /// Entries of the log.
        size: u64,
    },
    /// An entry with the receipt's digest says something else of it.
    #[error("entry {index} says something else of this receipt")]
    OtherEntry {
        /// Its index.
        index: u64,
    },
    /// The context's deadline has passed.
    #[error("the receipt was to be used until {deadline} (unix seconds), it is {now}")]
    Expired {
        /// The context's deadline.
        deadline: u64,
        /// The time that was given.
        now: u64,
    },
    /// An opening that opens nothing.
    #[error("the openings name public tensors only: nothing was hidden that they open")]
    NothingOpened,
    /// No file of openings.
    #[error(transparent)]
    Openings(#[from] OpeningsError),
    /// A witness's key in a log's place, or the other way round.
    #[error("{key} is not a key of this kind")]
    LogKey {
        /// The key.
        key: String,
    },
    /// More cosignatures are demanded than witnesses are known.
    #[error("{quorum} of {witnesses} witnesses cannot be")]
    Quorum {
        /// How many are demanded.
        quorum: usize,
        /// How many are known.
        witnesses: usize,
    },
    /// A log is pinned, and nothing of it is given.
    #[error(
        "a log's key needs something to check: a proof of the log, or a copy of it and the service's key"
    )]
    NoLogEvidence,
    /// What came is no proven answer to an inference request.
    #[error("the service's answer is no proven inference: {reason}")]
    NoAnswer {
        /// Why.
        reason: String,
    },
    /// A hidden output whose values the answer does not tell.
    #[error("the answer does not show output {name:?}")]
    OutputMissing {
        /// Its name.
        name: String,
    },
    /// An input of a request that the model does not take so.
    #[error("{message}")]
    Input {
        /// Stable kebab-case code.
        code: &'static str,
        /// What is wrong with it.
        message: String,
    },
    /// What is asked is not in its form.
    #[error("{what}: {reason}")]
    Request {
        /// The member, or what it stands for.
        what: &'static str,
        /// What is wrong with it.
        reason: String,
    },
}

impl From<TlogError> for Refusal {
    fn from(error: TlogError) -> Self {
        Self::Log(error.into())
    }
}

impl Refusal {
    pub(crate) fn request(what: &'static str, reason: impl Into<String>) -> Self {
        Self::Request {
            what,
            reason: reason.into(),
        }
    }

    /// Stable kebab-case code, one of `proofmark_types::problem::ERROR_CODES`.
    pub const fn code(&self) -> &'static str {
        match self {
            Self::Rejection(error) => error.code(),
            Self::Log(error) | Self::Forked { error, .. } => error.code(),
            Self::Unhonoured(problem) => problem.error.code(),
            Self::Objection(objection) => objection.code(),
            Self::NotLogged { .. } => "receipt-not-logged",
            Self::OtherEntry { .. } => "log-entry-malformed",
            Self::Expired { .. } => "context-expired",
            Self::NothingOpened => "opening-mismatch",
            Self::Openings(error) => error.code(),
            Self::LogKey { .. } => "log-key-invalid",
            Self::Quorum { .. } => "witness-quorum-invalid",
            Self::NoLogEvidence => "log-evidence-missing",
            Self::NoAnswer { .. } | Self::OutputMissing { .. } => "answer-malformed",
            Self::Input { code, .. } => code,
            Self::Request { .. } => "parameter-invalid",
        }
    }

    /// Whether the receipt is refused, or the question, or the circumstances.
    pub const fn kind(&self) -> Kind {
        match self {
            Self::Log(error) | Self::Forked { error, .. } => kind_of(error),
            Self::Rejection(_)
            | Self::Unhonoured(_)
            | Self::Objection(_)
            | Self::NotLogged { .. }
            | Self::OtherEntry { .. }
            | Self::Expired { .. }
            | Self::NothingOpened
            | Self::NoAnswer { .. }
            | Self::OutputMissing { .. } => Kind::Rejected,
            Self::Openings(_)
            | Self::LogKey { .. }
            | Self::Quorum { .. }
            | Self::NoLogEvidence
            | Self::Input { .. }
            | Self::Request { .. } => Kind::Request,
        }
    }

    /// What to do about it, when the message does not say so already.
    pub fn hint(&self) -> Option<String> {
        let hint = match self {
            Self::Rejection(rejection) => return rejection_hint(rejection.code()),
            Self::Forked { log, .. } => {
                return Some(format!(
                    "{log} signed two histories: keep the proof and the copy of the log, together \
                     they show it"
                ));
            }
            Self::Unhonoured(_) => {
                "it may be a revocation: do not rely on the receipt before you know"
            }
            Self::NotLogged { .. } => {
                "a receipt is handed out after it is logged: get a newer copy of the log, or \
                 distrust the receipt"
            }
            Self::Expired { .. } => "ask again; whoever consumes the proof would refuse it by now",
            _ => return None,
        };
        Some(hint.to_owned())
    }
}

/// 1 for content that is refused, the rest for a log that cannot be used.
const fn kind_of(error: &LogError) -> Kind {
    match error {
        LogError::Tlog(TlogError::Unreadable { .. })
        | LogError::Io { .. }
        | LogError::Locked { .. }
        | LogError::Key { .. } => Kind::Environment,
        _ => Kind::Rejected,
    }
}

fn rejection_hint(code: &str) -> Option<String> {
    let hint = match code {
        "proof-invalid" => "do not use this result: nothing shows that the model computed it",
        "context-mismatch" => {
            "this receipt answers another request; ask again with a nonce of your own"
        }
        "signature-invalid" | "receipt-not-canonical" | "receipt-malformed" => {
            "get the receipt again, byte for byte as the service stored it"
        }
        "key-id-mismatch" | "signer-mismatch" => {
            "find out which service key is the right one from a source that you trust"
        }
        "attestation-mismatch" | "attestation-missing" => {
            "ask the auditor for the attestation of the package that you pinned"
        }
        "attestation-auditor-mismatch" => {
            "give the auditor's key with --auditor-key, from a source that you trust"
        }
        "attestation-malformed" | "attestation-not-canonical" | "attestation-signature-invalid" => {
            "get the attestation again, byte for byte as the auditor signed it"
        }
        _ => return None,
    };
    Some(hint.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proofmark_types::problem::lookup;

    #[test]
    fn a_refusal_says_of_whom_it_speaks() {
        let unreadable = TlogError::Unreadable {
            path: "checkpoint".to_owned(),
            reason: "no".to_owned(),
        };
        for (refusal, code, kind) in [
            (
                Refusal::from(Rejection::ProofInvalid),
                "proof-invalid",
                Kind::Rejected,
            ),
            (
                Refusal::from(TlogError::Inclusion),
                "tlog-inclusion-invalid",
                Kind::Rejected,
            ),
            (unreadable.into(), "tlog-unreadable", Kind::Environment),
            (
                Refusal::NoLogEvidence,
                "log-evidence-missing",
                Kind::Request,
            ),
            (
                Refusal::Expired {
                    deadline: 1,
                    now: 2,
                },
                "context-expired",
                Kind::Rejected,
            ),
        ] {
            assert_eq!((refusal.code(), refusal.kind()), (code, kind));
            assert!(lookup(code).is_some(), "{code}");
        }
    }
}

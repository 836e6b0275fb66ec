//! What a transparency log says of a receipt: that it is in it, and what was revoked since.

use std::path::{Path, PathBuf};

use clap::Args;
use proofmark_log::{Folder, LogError, Reader};
use proofmark_recipient::{LogCopy, LogDemand, Refusal, policy};
use proofmark_tlog::proof::MAX_PROOF_BYTES;
use proofmark_tlog::{Policy, VerifierKey};

use crate::failure::Failure;
use crate::files::read_bounded;

/// Whose word on the log is taken.
#[derive(Debug, Clone, Default, Args)]
pub struct LogKeyArgs {
    /// Public key of the transparency log, NAME+ID+KEY; get it from a source that you trust
    #[arg(long, value_name = "VKEY")]
    pub log_key: Option<VerifierKey>,
    /// Public key of a witness of the log, NAME+ID+KEY; may be repeated
    #[arg(long, value_name = "VKEY", requires = "log_key")]
    pub witness_key: Vec<VerifierKey>,
    /// How many of these witnesses must have cosigned (default: all)
    #[arg(long, value_name = "N", requires = "witness_key")]
    pub witness_quorum: Option<usize>,
}

/// What is asked of the transparency log.
#[derive(Debug, Clone, Default, Args)]
pub struct LogArgs {
    /// Whose word on the log is taken.
    #[command(flatten)]
    pub key: LogKeyArgs,
    /// Proof that the receipt is in the transparency log, as the service gave it with the receipt
    #[arg(long, value_name = "FILE", requires = "log_key")]
    pub tlog_proof: Option<PathBuf>,
    /// The transparency log, or a mirror of it: the receipt must be in it, and what it revokes is
    /// rejected
    #[arg(long, value_name = "DIR", requires_all = ["log_key", "service_key"])]
    pub log: Option<PathBuf>,
}

/// What was read of what is asked of the transparency log.
#[derive(Debug)]
pub struct LogFiles {
    policy: Policy,
    proof: Option<Vec<u8>>,
    copy: Option<Folder>,
}

impl LogKeyArgs {
    /// What was pinned; `None` without a log's key.
    ///
    /// # Errors
    /// `log-key-invalid` for a witness's key in the log's place and the other way round,
    /// `witness-quorum-invalid` for a quorum that cannot be.
    pub fn policy(&self) -> Result<Option<Policy>, Failure> {
        let Some(log) = &self.log_key else {
            return Ok(None);
        };
        match policy(log, &self.witness_key, self.witness_quorum) {
            Ok(policy) => Ok(Some(policy)),
            Err(refusal @ Refusal::LogKey { .. }) => Err(Failure::from(refusal)
                .hint("--log-key takes a log's key, --witness-key a witness's")),
            Err(refusal) => Err(refusal.into()),
        }
    }
}

impl LogArgs {
    /// Reads what is to be checked of the log.
    ///
    /// # Errors
    /// As [`LogKeyArgs::policy`]; `log-evidence-missing` for a key with nothing to check;
    /// [`Failure`], exit 3, when the proof cannot be read.
    pub fn read(&self) -> Result<Option<LogFiles>, Failure> {
        let Some(policy) = self.key.policy()? else {
            return Ok(None);
        };
        if self.tlog_proof.is_none() && self.log.is_none() {
            return Err(Failure::usage(
                "log-evidence-missing",
                "--log-key needs something to check: give --tlog-proof, or --log and --service-key",
            ));
        }
        let proof = match &self.tlog_proof {
            Some(path) => Some(read_bounded(path, MAX_PROOF_BYTES)?),
            None => None,
        };
        let copy = self.log.as_deref().map(log_folder).map(Folder::new);
        Ok(Some(LogFiles {
            policy,
            proof,
            copy,
        }))
    }
}

impl LogFiles {
    /// What is asked. The copy must hold the receipt.
    pub fn demand(&self) -> LogDemand<'_> {
        LogDemand {
            policy: self.policy.clone(),
            proof: self.proof.as_deref(),
            copy: self.copy.as_ref().map(|tiles| LogCopy {
                tiles,
                may_be_older: false,
            }),
        }
    }
}

/// Opens a log's folder, the one of the service or a mirror of what it serves, at its checkpoint.
///
/// # Errors
/// [`Failure`] with the reason's code, exit 1, or 3 for a folder that cannot be read.
pub fn open_log(policy: &Policy, folder: &Path) -> Result<Reader<Folder>, Failure> {
    Reader::open(Folder::new(log_folder(folder)), policy).map_err(|error| log_failure(&error))
}

/// The static files of a log: the folder itself, or `public` in the folder of a service's own log.
pub fn log_folder(folder: &Path) -> PathBuf {
    let public = folder.join("public");
    if public.join("checkpoint").is_file() {
        public
    } else {
        folder.to_owned()
    }
}

/// A log's error with its place among the exit codes: 1 for content that is refused, 3 for a folder
/// that cannot be used.
pub fn log_failure(error: &LogError) -> Failure {
    Refusal::from(error.clone()).into()
}

#[cfg(test)]
mod tests {
    use ed25519_dalek::SigningKey;
    use proofmark_tlog::KeyKind;

    use super::*;
    use crate::failure::Exit;

    fn key(kind: KeyKind) -> VerifierKey {
        let public = SigningKey::from_bytes(&[1; 32]).verifying_key();
        VerifierKey::new("example.com/a", kind, public.as_bytes()).unwrap()
    }

    #[test]
    fn keys_stand_in_their_places() {
        assert_eq!(LogKeyArgs::default().policy().unwrap(), None);
        let args = LogKeyArgs {
            log_key: Some(key(KeyKind::Cosigner)),
            ..LogKeyArgs::default()
        };
        let refused = args.policy().unwrap_err();
        assert_eq!(refused.exit, Exit::Usage);
        assert_eq!(refused.code, "log-key-invalid");
        assert!(refused.hint.is_some());
    }

    #[test]
    fn a_key_alone_checks_nothing_and_is_no_request() {
        let args = LogArgs {
            key: LogKeyArgs {
                log_key: Some(key(KeyKind::Ed25519)),
                ..LogKeyArgs::default()
            },
            ..LogArgs::default()
        };
        let refused = args.read().unwrap_err();
        assert_eq!(refused.code, "log-evidence-missing");
        assert_eq!(refused.exit, Exit::Usage);
        assert!(LogArgs::default().read().unwrap().is_none());
    }
}

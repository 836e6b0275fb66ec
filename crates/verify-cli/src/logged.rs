//! What a transparency log says of a receipt: that it is in it, and what was revoked since.

use std::path::{Path, PathBuf};

use clap::Args;
use proofmark_log::{Entry, Folder, LogError, Objection, Reader, ReceiptEntry, Scan};
use proofmark_tlog::proof::MAX_PROOF_BYTES;
use proofmark_tlog::{Cosignature, KeyKind, Policy, TlogError, TlogProof, VerifierKey};
use proofmark_types::time::utc;
use proofmark_types::{Digest, Envelope};
use serde_json::{Value, json};

use crate::failure::{Exit, Failure};
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

/// A receipt's place in a log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Logged {
    /// The log.
    pub origin: String,
    /// Index of the receipt's entry.
    pub index: u64,
    /// Size of the tree whose checkpoint covers it.
    pub size: u64,
    /// The pinned witnesses that cosigned the checkpoint.
    pub cosignatures: Vec<Cosignature>,
    /// What the service advises of the receipt, as the whole log has it; `None` when only the
    /// receipt's own proof was looked at.
    pub advisories: Option<Vec<String>>,
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
        let keys = self.witness_key.iter().map(|key| (key, KeyKind::Cosigner));
        for (key, kind) in keys.chain([(log, KeyKind::Ed25519)]) {
            if key.kind() != kind {
                let message = format!("{key} is not a key of this kind");
                return Err(Failure::usage("log-key-invalid", message)
                    .hint("--log-key takes a log's key, --witness-key a witness's"));
            }
        }
        let witnesses = self.witness_key.clone();
        let quorum = self.witness_quorum.unwrap_or(witnesses.len());
        if quorum > witnesses.len() {
            let message = format!("{quorum} of {} witnesses cannot be", witnesses.len());
            return Err(Failure::usage("witness-quorum-invalid", message));
        }
        Ok(Some(
            Policy::new(log.clone()).with_witnesses(witnesses, quorum),
        ))
    }
}

impl LogArgs {
    /// Checks what was asked for of an accepted receipt.
    ///
    /// # Errors
    /// [`Failure`]: exit 1 when the log does not hold the receipt or speaks against it, 3 when a
    /// file cannot be read.
    pub fn check(
        &self,
        envelope: &[u8],
        service_key: Option<&[u8; 32]>,
    ) -> Result<Option<Logged>, Failure> {
        let Some(policy) = self.key.policy()? else {
            return Ok(None);
        };
        let proven = match &self.tlog_proof {
            Some(path) => {
                let proof = read_bounded(path, MAX_PROOF_BYTES)?;
                Some((check_proof(&policy, &proof, envelope)?, proof))
            }
            None => None,
        };
        match (&self.log, service_key, proven) {
            (Some(folder), Some(service_key), proven) => {
                let logged = check_log(&policy, folder, envelope, service_key)?;
                if let Some((_, proof)) = &proven {
                    one_history(&policy, &open_log(&policy, folder)?, proof)?;
                }
                Ok(Some(logged))
            }
            (None, _, Some((proven, _))) => Ok(Some(proven)),
            _ => Err(Failure::usage(
                "log-evidence-missing",
                "--log-key needs something to check: give --tlog-proof, or --log and --service-key",
            )),
        }
    }
}

/// Checks that a `.tlog-proof` shows a receipt in the log.
///
/// # Errors
/// [`Failure`] with the reason's code, exit 1.
pub fn check_proof(policy: &Policy, proof: &[u8], envelope: &[u8]) -> Result<Logged, Failure> {
    let entry = entry_of(envelope)?;
    let proof = TlogProof::parse(proof).map_err(|error| tlog_failure(&error))?;
    let verified = proof
        .verify(&entry, policy)
        .map_err(|error| tlog_failure(&error))?;
    Ok(Logged {
        origin: verified.head.checkpoint().origin().to_owned(),
        index: proof.index,
        size: verified.head.checkpoint().size(),
        cosignatures: verified.cosignatures,
        advisories: None,
    })
}

/// Checks that a receipt's own proof shows it in the log, and hears what a copy of the log, which may
/// be older than the receipt, holds against it.
///
/// # Errors
/// As [`check_proof`], and exit 1 when the copy speaks against the receipt, holds what cannot be
/// honoured, or is of another history than the proof.
pub fn check_proof_with_log(
    policy: &Policy,
    proof: &[u8],
    envelope: &[u8],
    folder: &Path,
    service_key: &[u8; 32],
) -> Result<Logged, Failure> {
    let proven = check_proof(policy, proof, envelope)?;
    let reader = open_log(policy, folder)?;
    if proven.index < reader.size() {
        let logged = check_log(policy, folder, envelope, service_key)?;
        one_history(policy, &reader, proof)?;
        return Ok(logged);
    }
    let scan = scan(&reader, service_key)?;
    let receipt = parse(envelope)?;
    let digest = Digest::of(envelope);
    let objections = scan
        .notices
        .judge(receipt.receipt(), &digest, Some(proven.index));
    let advisories = not_fatal(&objections)?;
    Ok(Logged {
        advisories: Some(advisories),
        ..proven
    })
}

/// Checks that the checkpoint of a proof is a beginning of the log that the reader has, where the
/// copy is not the older of the two.
fn one_history(policy: &Policy, reader: &Reader<Folder>, proof: &[u8]) -> Result<(), Failure> {
    let proof = TlogProof::parse(proof).map_err(|error| tlog_failure(&error))?;
    let checkpoint = proof.checkpoint.to_string();
    match reader.consistent_with(checkpoint.as_bytes()) {
        Ok(_) | Err(LogError::Tlog(TlogError::Range { .. })) => Ok(()),
        Err(error) => Err(log_failure(&error).hint(format!(
            "{} signed two histories: keep the proof and the copy of the log, together they show it",
            policy.log().name()
        ))),
    }
}

/// Reads what a log holds; nothing in it may be unreadable.
fn scan(reader: &Reader<Folder>, service_key: &[u8; 32]) -> Result<Scan, Failure> {
    let scan = reader
        .scan(service_key)
        .map_err(|error| log_failure(&error))?;
    match scan.problems.first() {
        None => Ok(scan),
        Some(problem) => {
            let message = format!("the log holds what cannot be honoured: {problem}");
            Err(Failure::new(Exit::Rejected, problem.error.code(), message)
                .hint("it may be a revocation: do not rely on the receipt before you know"))
        }
    }
}

/// What is advised, unless a receipt is not to be relied on.
fn not_fatal(objections: &[Objection]) -> Result<Vec<String>, Failure> {
    match objections.iter().find(|objection| objection.is_fatal()) {
        Some(fatal) => Err(Failure::new(
            Exit::Rejected,
            fatal.code(),
            fatal.to_string(),
        )),
        None => Ok(objections.iter().map(Objection::to_string).collect()),
    }
}

/// Reads the whole log in a folder, looks the receipt up and hears what the log holds against it.
fn check_log(
    policy: &Policy,
    folder: &Path,
    envelope: &[u8],
    service_key: &[u8; 32],
) -> Result<Logged, Failure> {
    let entry = entry_of(envelope)?;
    let digest = Digest::of(envelope);
    let envelope = parse(envelope)?;
    let reader = open_log(policy, folder)?;
    let scan = scan(&reader, service_key)?;
    let logged = scan.receipts.get(&digest);
    let index = logged.map(|logged| logged.index);
    let objections = scan.notices.judge(envelope.receipt(), &digest, index);
    let advisories = not_fatal(&objections)?;
    let Some(index) = index else {
        let message = format!("the log's {} entries do not hold this receipt", scan.size);
        return Err(Failure::new(Exit::Rejected, "receipt-not-logged", message)
            .hint("a receipt is handed out after it is logged: get a newer copy of the log, or distrust the receipt"));
    };
    for item in reader.raw_entries(index..index.saturating_add(1)) {
        let (_, bytes) = item.map_err(|error| log_failure(&error))?;
        if bytes != entry {
            let message = format!("entry {index} says something else of this receipt");
            return Err(Failure::new(Exit::Rejected, "log-entry-malformed", message));
        }
    }
    Ok(Logged {
        origin: policy.log().name().to_owned(),
        index,
        size: scan.size,
        cosignatures: reader.cosignatures().to_vec(),
        advisories: Some(advisories),
    })
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

impl Logged {
    /// For programs.
    pub(crate) fn json(&self) -> Value {
        let cosigned = |c: &Cosignature| json!({ "witness": c.witness, "time": c.time });
        json!({
            "origin": self.origin,
            "index": self.index,
            "size": self.size,
            "cosigned": self.cosignatures.iter().map(cosigned).collect::<Vec<_>>(),
            "advisories": self.advisories,
        })
    }

    /// For people, a line each.
    pub(crate) fn lines(&self) -> Vec<String> {
        let mut lines = vec![format!(
            "logged     {} entry {} of {}",
            self.origin, self.index, self.size
        )];
        for cosignature in &self.cosignatures {
            lines.push(format!(
                "witnessed  {} at {}",
                cosignature.witness,
                utc(cosignature.time)
            ));
        }
        for advisory in self.advisories.iter().flatten() {
            lines.push(format!("advised    {advisory}"));
        }
        lines
    }

    /// What is proven by it, a sentence each.
    pub(crate) fn proven(&self) -> Vec<String> {
        let mut proven = vec![format!(
            "the receipt is in the transparency log {:?}, which cannot drop it unseen",
            self.origin
        )];
        if self.advisories.is_some() {
            proven.push(
                "as far as this copy of the log goes, nothing that the receipt rests on is revoked"
                    .to_owned(),
            );
        }
        proven
    }

    /// What is not proven by it, a sentence each.
    pub(crate) fn not_proven(&self) -> Vec<String> {
        let mut open = Vec::new();
        if self.cosignatures.is_empty() {
            open.push(
                "that the log shows everybody the same: no witness that you pinned cosigned its \
                 checkpoint"
                    .to_owned(),
            );
        }
        if self.advisories.is_none() {
            open.push(
                "that nothing was revoked since: give the whole log with --log to know".to_owned(),
            );
        }
        open
    }
}

fn parse(envelope: &[u8]) -> Result<Envelope, Failure> {
    Envelope::parse(envelope).map_err(|error| Failure::of(Exit::Rejected, error.code(), &error))
}

/// The bytes of a receipt's entry.
fn entry_of(envelope: &[u8]) -> Result<Vec<u8>, Failure> {
    ReceiptEntry::of(&parse(envelope)?)
        .and_then(|entry| Entry::Receipt(entry).to_bytes())
        .map_err(|error| log_failure(&error))
}

fn tlog_failure(error: &TlogError) -> Failure {
    let exit = match error {
        TlogError::Unreadable { .. } => Exit::Environment,
        _ => Exit::Rejected,
    };
    Failure::of(exit, error.code(), error)
}

/// A log's error with its place among the exit codes: 1 for content that is refused, 3 for a folder
/// that cannot be used.
pub fn log_failure(error: &LogError) -> Failure {
    match error {
        LogError::Tlog(error) => tlog_failure(error),
        LogError::Io { .. } | LogError::Locked { .. } | LogError::Key { .. } => {
            Failure::of(Exit::Environment, error.code(), error)
        }
        _ => Failure::of(Exit::Rejected, error.code(), error),
    }
}

#[cfg(test)]
mod tests {
    use ed25519_dalek::SigningKey;

    use super::*;

    fn key(kind: KeyKind) -> VerifierKey {
        let public = SigningKey::from_bytes(&[1; 32]).verifying_key();
        VerifierKey::new("example.com/a", kind, public.as_bytes()).unwrap()
    }

    #[test]
    fn keys_stand_in_their_places_and_a_quorum_can_be_met() {
        let (log, witness) = (key(KeyKind::Ed25519), key(KeyKind::Cosigner));
        let policy = |log: &VerifierKey, witnesses: &[&VerifierKey], quorum| {
            let args = LogKeyArgs {
                log_key: Some(log.clone()),
                witness_key: witnesses.iter().map(|&key| key.clone()).collect(),
                witness_quorum: quorum,
            };
            args.policy()
        };
        assert_eq!(LogKeyArgs::default().policy().unwrap(), None);
        let all = policy(&log, &[&witness, &witness], None).unwrap().unwrap();
        assert_eq!(all.quorum(), 2);
        let one = policy(&log, &[&witness, &witness], Some(1)).unwrap();
        assert_eq!(one.unwrap().quorum(), 1);
        for (log, witnesses, quorum, code) in [
            (&witness, vec![], None, "log-key-invalid"),
            (&log, vec![&log], None, "log-key-invalid"),
            (&log, vec![&witness], Some(2), "witness-quorum-invalid"),
        ] {
            let refused = policy(log, &witnesses, quorum).unwrap_err();
            assert_eq!((refused.exit, refused.code.as_str()), (Exit::Usage, code));
        }
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
        let refused = args.check(b"", None).unwrap_err();
        assert_eq!(refused.code, "log-evidence-missing");
        assert_eq!(LogArgs::default().check(b"", None).unwrap(), None);
    }
}

//! What a transparency log says of a receipt: that it is in it, and what was revoked since.

use proofmark_log::{Entry, LogError, Objection, Reader, ReceiptEntry, Scan};
use proofmark_tlog::{Cosignature, Policy, Tiles, TlogError, TlogProof};
use proofmark_types::time::utc;
use proofmark_types::{Digest, Envelope};
use proofmark_verifier::Rejection;
use serde_json::{Value, json};

use crate::demands::LogDemand;
use crate::refusal::Refusal;

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

/// Checks what is asked of a log. `service_key` is a pinned key of the service, of any time; a copy
/// of the log is read by it.
///
/// # Errors
/// [`Refusal`]: the log does not hold the receipt or speaks against it, the copy holds what cannot
/// be honoured, proof and copy are of two histories, a file of the copy cannot be read;
/// `log-evidence-missing` when there is nothing to check.
pub fn check_log(
    demand: &LogDemand<'_>,
    envelope: &[u8],
    service_key: Option<&[u8; 32]>,
) -> Result<Logged, Refusal> {
    let policy = &demand.policy;
    let proven = match demand.proof {
        Some(proof) => Some((check_proof(policy, proof, envelope)?, proof)),
        None => None,
    };
    match (&demand.copy, service_key, proven) {
        (Some(copy), Some(service_key), proven) => {
            let reader = Reader::open(copy.tiles, policy)?;
            let older = proven
                .as_ref()
                .filter(|(proven, _)| copy.may_be_older && proven.index >= reader.size());
            if let Some((proven, _)) = older {
                return check_older(&reader, proven, envelope, service_key);
            }
            let logged = check_copy(policy, &reader, envelope, service_key)?;
            if let Some((_, proof)) = proven {
                one_history(policy, &reader, proof)?;
            }
            Ok(logged)
        }
        (None, _, Some((proven, _))) => Ok(proven),
        _ => Err(Refusal::NoLogEvidence),
    }
}

/// Checks that a `.tlog-proof` shows a receipt in the log.
///
/// # Errors
/// [`Refusal`] with the reason's code.
pub fn check_proof(policy: &Policy, proof: &[u8], envelope: &[u8]) -> Result<Logged, Refusal> {
    let entry = entry_of(&parse(envelope)?)?;
    let proof = TlogProof::parse(proof)?;
    let verified = proof.verify(&entry, policy)?;
    Ok(Logged {
        origin: verified.head.checkpoint().origin().to_owned(),
        index: proof.index,
        size: verified.head.checkpoint().size(),
        cosignatures: verified.cosignatures,
        advisories: None,
    })
}

/// Hears what a copy of the log that is older than the receipt holds against it.
fn check_older<T: Tiles>(
    reader: &Reader<T>,
    proven: &Logged,
    envelope: &[u8],
    service_key: &[u8; 32],
) -> Result<Logged, Refusal> {
    let scan = scan(reader, service_key)?;
    let receipt = parse(envelope)?;
    let digest = Digest::of(envelope);
    let objections = scan
        .notices
        .judge(receipt.receipt(), &digest, Some(proven.index));
    Ok(Logged {
        advisories: Some(not_fatal(&objections)?),
        ..proven.clone()
    })
}

/// Checks that the checkpoint of a proof is a beginning of the log that the reader has, where the
/// copy is not the older of the two.
fn one_history<T: Tiles>(policy: &Policy, reader: &Reader<T>, proof: &[u8]) -> Result<(), Refusal> {
    let proof = TlogProof::parse(proof)?;
    let checkpoint = proof.checkpoint.to_string();
    match reader.consistent_with(checkpoint.as_bytes()) {
        Ok(_) | Err(LogError::Tlog(TlogError::Range { .. })) => Ok(()),
        Err(error) => Err(Refusal::Forked {
            error,
            log: policy.log().name().to_owned(),
        }),
    }
}

/// Reads what a log holds; nothing in it may be unreadable.
fn scan<T: Tiles>(reader: &Reader<T>, service_key: &[u8; 32]) -> Result<Scan, Refusal> {
    let scan = reader.scan(service_key)?;
    match scan.problems.first() {
        None => Ok(scan),
        Some(problem) => Err(Refusal::Unhonoured(problem.clone())),
    }
}

/// What is advised, unless a receipt is not to be relied on.
fn not_fatal(objections: &[Objection]) -> Result<Vec<String>, Refusal> {
    match objections.iter().find(|objection| objection.is_fatal()) {
        Some(fatal) => Err(Refusal::Objection(fatal.clone())),
        None => Ok(objections.iter().map(Objection::to_string).collect()),
    }
}

/// Reads a whole log, looks the receipt up and hears what the log holds against it.
fn check_copy<T: Tiles>(
    policy: &Policy,
    reader: &Reader<T>,
    envelope: &[u8],
    service_key: &[u8; 32],
) -> Result<Logged, Refusal> {
    let digest = Digest::of(envelope);
    let envelope = parse(envelope)?;
    let entry = entry_of(&envelope)?;
    let scan = scan(reader, service_key)?;
    let logged = scan.receipts.get(&digest);
    let index = logged.map(|logged| logged.index);
    let objections = scan.notices.judge(envelope.receipt(), &digest, index);
    let advisories = not_fatal(&objections)?;
    let Some(index) = index else {
        return Err(Refusal::NotLogged { size: scan.size });
    };
    for item in reader.raw_entries(index..index.saturating_add(1)) {
        let (_, bytes) = item?;
        if bytes != entry {
            return Err(Refusal::OtherEntry { index });
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

fn parse(envelope: &[u8]) -> Result<Envelope, Refusal> {
    Envelope::parse(envelope).map_err(|error| Rejection::from(error).into())
}

/// The bytes of a receipt's entry.
fn entry_of(envelope: &Envelope) -> Result<Vec<u8>, Refusal> {
    Ok(Entry::Receipt(ReceiptEntry::of(envelope)?).to_bytes()?)
}

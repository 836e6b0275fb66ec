//! Asking a witness to cosign, and being one (tlog-witness, `add-checkpoint`). No HTTP here: bodies
//! and status codes.

use core::fmt;

use ed25519_dalek::SigningKey;

use crate::checkpoint::{Checkpoint, SignedCheckpoint};
use crate::cosignature::{self, Cosignature, cosign};
use crate::error::TlogError;
use crate::hash::{EMPTY_ROOT, Hash};
use crate::note::{MAX_NOTE_BYTES, NoteSignature, VerifierKey, parse_signatures};
use crate::text::{decimal, split_at_empty_line};
use crate::tree::verify_consistency;

/// Most hashes that a request may carry.
pub const MAX_PROOF_LINES: usize = 63;
/// Longest request body that is parsed, in bytes.
pub const MAX_REQUEST_BYTES: usize = MAX_NOTE_BYTES + 64 * 64;
/// Media type of a conflict's body.
pub const SIZE_MEDIA_TYPE: &str = "text/x.tlog.size";

/// The body of `POST <prefix>/add-checkpoint`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AddCheckpoint {
    /// Size of the last checkpoint that the witness cosigned, 0 for none.
    pub old_size: u64,
    /// Proof that the new tree starts with that one.
    pub proof: Vec<Hash>,
    /// The new checkpoint.
    pub checkpoint: SignedCheckpoint,
}

impl AddCheckpoint {
    /// Reads a body in its one spelling. Nothing is verified yet.
    ///
    /// # Errors
    /// [`TlogError::Malformed`].
    pub fn parse(bytes: &[u8]) -> Result<Self, TlogError> {
        let refuse = |reason: &str| TlogError::malformed("add-checkpoint request", reason);
        if bytes.len() > MAX_REQUEST_BYTES {
            return Err(refuse("it is longer than 260 KiB"));
        }
        let text = core::str::from_utf8(bytes).map_err(|_| refuse("it is not UTF-8"))?;
        let (front, note) = split_at_empty_line(text)
            .ok_or_else(|| refuse("no empty line stands before the checkpoint"))?;
        let mut lines = front.split_terminator('\n');
        let old_size = lines
            .next()
            .and_then(|line| line.strip_prefix("old "))
            .and_then(decimal)
            .ok_or_else(|| refuse("it names no old size"))?;
        let proof = lines
            .take(MAX_PROOF_LINES.saturating_add(1))
            .map(str::parse)
            .collect::<Result<Vec<Hash>, _>>()?;
        if proof.len() > MAX_PROOF_LINES {
            return Err(refuse("it has more than 63 hashes"));
        }
        let request = Self {
            old_size,
            proof,
            checkpoint: SignedCheckpoint::parse_unverified(note.as_bytes())?,
        };
        if request.to_string() == text {
            Ok(request)
        } else {
            Err(refuse("it is not in its one spelling"))
        }
    }
}

impl fmt::Display for AddCheckpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "old {}", self.old_size)?;
        self.proof
            .iter()
            .try_for_each(|hash| writeln!(f, "{hash}"))?;
        write!(f, "\n{}", self.checkpoint)
    }
}

/// What a witness's answer to a checkpoint is worth: the valid cosignatures by pinned witnesses.
///
/// # Errors
/// [`TlogError::Malformed`] for a body that is not signature lines, [`TlogError::Signature`] for a
/// wrong one by a pinned witness, [`TlogError::Unsigned`] when there is none by a pinned witness.
pub fn read_response(
    body: &[u8],
    checkpoint: &SignedCheckpoint,
    witnesses: &[VerifierKey],
) -> Result<Vec<(NoteSignature, Cosignature)>, TlogError> {
    let refuse = |reason: &str| TlogError::malformed("add-checkpoint response", reason);
    if body.len() > MAX_NOTE_BYTES {
        return Err(refuse("it is longer than 256 KiB"));
    }
    let text = core::str::from_utf8(body).map_err(|_| refuse("it is not UTF-8"))?;
    let mut found = Vec::new();
    for signature in parse_signatures(text)? {
        for key in witnesses.iter().filter(|key| key.made(&signature)) {
            let cosignature = cosignature::verify(checkpoint.note().text(), &signature, key)?;
            found.push((signature.clone(), cosignature));
        }
    }
    if found.is_empty() {
        return Err(TlogError::Unsigned {
            key: "any of the pinned witnesses".to_owned(),
        });
    }
    Ok(found)
}

/// The size in the body of a conflict (409): what the witness knows the log at.
///
/// # Errors
/// [`TlogError::Malformed`].
pub fn read_conflict(body: &[u8]) -> Result<u64, TlogError> {
    core::str::from_utf8(body)
        .ok()
        .and_then(|text| text.strip_suffix('\n'))
        .and_then(decimal)
        .ok_or_else(|| {
            TlogError::malformed("conflict", "it is not a decimal number and a line feed")
        })
}

/// The latest head of a log that a witness cosigned. It must be durable before the cosignature is
/// sent, and replaced only in one step with the comparison.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Head {
    /// Entries.
    pub size: u64,
    /// Root.
    pub root: Hash,
}

impl Head {
    /// What a witness knows of a log that it never cosigned.
    pub const EMPTY: Self = Self {
        size: 0,
        root: EMPTY_ROOT,
    };
}

/// Why a witness does not cosign.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Refusal {
    /// No request of the format, or an old size above the new one.
    #[error("the request is malformed: {0}")]
    Malformed(String),
    /// The witness does not follow this log.
    #[error("the log {0:?} is not followed here")]
    UnknownLog(String),
    /// Not signed by the log's pinned key.
    #[error("the checkpoint is not signed by the log's key")]
    Signature,
    /// The log was last cosigned at another size.
    #[error("the last cosigned size is {size}")]
    Conflict {
        /// That size.
        size: u64,
    },
    /// Another tree of the size that was last cosigned: the log has two histories.
    #[error("the last cosigned tree of {size} entries is another one")]
    Forked {
        /// That size.
        size: u64,
    },
    /// The trees are not consistent: the log may have changed its history.
    #[error("the tree does not contain the one cosigned before")]
    Inconsistent,
}

impl Refusal {
    /// The HTTP status that the specification assigns.
    pub const fn status(&self) -> u16 {
        match self {
            Self::Malformed(_) => 400,
            Self::UnknownLog(_) => 404,
            Self::Signature => 403,
            Self::Conflict { .. } | Self::Forked { .. } => 409,
            Self::Inconsistent => 422,
        }
    }

    /// The body of the answer; of a conflict the size, as [`SIZE_MEDIA_TYPE`].
    pub fn body(&self) -> String {
        match self {
            Self::Conflict { size } | Self::Forked { size } => format!("{size}\n"),
            Self::Malformed(_) | Self::UnknownLog(_) | Self::Signature | Self::Inconsistent => {
                format!("{self}\n")
            }
        }
    }
}

/// Reads a request body and checks the signature of the log that it names, one of `logs`. What is
/// left to judge depends on the witness's record of that log: [`judge`].
///
/// # Errors
/// [`Refusal::Malformed`], [`Refusal::UnknownLog`], [`Refusal::Signature`].
pub fn receive(body: &[u8], logs: &[VerifierKey]) -> Result<AddCheckpoint, Refusal> {
    let request = AddCheckpoint::parse(body).map_err(|e| Refusal::Malformed(e.to_string()))?;
    let origin = request.checkpoint.checkpoint().origin();
    let mut keys = logs.iter().filter(|key| key.name() == origin).peekable();
    if keys.peek().is_none() {
        return Err(Refusal::UnknownLog(origin.to_owned()));
    }
    let mut signed = false;
    for key in keys {
        match request.checkpoint.note().verify(key) {
            Ok(()) => signed = true,
            Err(TlogError::Unsigned { .. }) => {}
            Err(_) => return Err(Refusal::Signature),
        }
    }
    if signed {
        Ok(request)
    } else {
        Err(Refusal::Signature)
    }
}

/// Judges a received request by the latest head that the witness cosigned; gives the head to
/// record. The record must be durable before the cosignature leaves.
///
/// # Errors
/// [`Refusal::Malformed`], [`Refusal::Conflict`], [`Refusal::Forked`], [`Refusal::Inconsistent`].
pub fn judge(request: &AddCheckpoint, known: &Head) -> Result<Head, Refusal> {
    let checkpoint: &Checkpoint = request.checkpoint.checkpoint();
    if request.old_size > checkpoint.size() {
        return Err(Refusal::Malformed(
            "the old size is above the new one".into(),
        ));
    }
    if request.old_size != known.size {
        return Err(Refusal::Conflict { size: known.size });
    }
    if checkpoint.size() == known.size && *checkpoint.root() != known.root {
        return Err(Refusal::Forked { size: known.size });
    }
    verify_consistency(
        known.size,
        &known.root,
        checkpoint.size(),
        checkpoint.root(),
        &request.proof,
    )
    .map_err(|_| Refusal::Inconsistent)?;
    Ok(Head {
        size: checkpoint.size(),
        root: *checkpoint.root(),
    })
}

/// The body of the answer to a request that was judged and recorded.
///
/// # Errors
/// As [`cosign`].
pub fn respond(
    request: &AddCheckpoint,
    name: &str,
    key: &SigningKey,
    time: u64,
) -> Result<String, TlogError> {
    let line = cosign(request.checkpoint.note().text(), name, key, time)?;
    Ok(format!("{line}\n"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::note::KeyKind;
    use crate::tiles::VerifiedTree;
    use crate::tiles::tests::grown;
    use crate::tree;

    const ORIGIN: &str = "example.com/log";

    fn log_key() -> SigningKey {
        SigningKey::from_bytes(&[5; 32])
    }

    fn logs() -> Vec<VerifierKey> {
        let key = log_key().verifying_key().to_bytes();
        vec![VerifierKey::new(ORIGIN, KeyKind::Ed25519, &key).unwrap()]
    }

    fn witness() -> (SigningKey, VerifierKey) {
        let key = SigningKey::from_bytes(&[9; 32]);
        let public = key.verifying_key().to_bytes();
        (
            key,
            VerifierKey::new("w.example/1", KeyKind::Cosigner, &public).unwrap(),
        )
    }

    fn request(old: u64, new: u64) -> AddCheckpoint {
        let (memory, tip) = grown(new);
        let tree = VerifiedTree::open(&memory, new, tip.root()).unwrap();
        let head = Checkpoint::new(ORIGIN, new, tip.root()).unwrap();
        AddCheckpoint {
            old_size: old,
            proof: tree::prove_consistency(old, new, &tree).unwrap(),
            checkpoint: SignedCheckpoint::sign(head, &log_key()).unwrap(),
        }
    }

    fn head(size: u64) -> Head {
        Head {
            size,
            root: grown(size).1.root(),
        }
    }

    #[test]
    fn a_log_and_a_witness_understand_each_other() {
        let (key, vkey) = witness();
        let mut known = Head::EMPTY;
        for size in [0, 1, 1, 7, 300] {
            let body = request(known.size, size).to_string();
            let received = receive(body.as_bytes(), &logs()).unwrap();
            assert_eq!(received.to_string(), body);
            known = judge(&received, &known).unwrap();
            assert_eq!(known, head(size));
            let answer = respond(&received, "w.example/1", &key, 1000 + size).unwrap();
            let checkpoint = &request(0, size).checkpoint;
            let read =
                read_response(answer.as_bytes(), checkpoint, core::slice::from_ref(&vkey)).unwrap();
            assert_eq!(read[0].1.time, 1000 + size);
            // Not for another head, not by another witness.
            let other = request(0, size + 1).checkpoint;
            assert!(
                read_response(answer.as_bytes(), &other, core::slice::from_ref(&vkey)).is_err()
            );
            assert!(read_response(answer.as_bytes(), checkpoint, &[]).is_err());
        }
        assert!(read_response(b"", &request(0, 1).checkpoint, &[vkey]).is_err());
    }

    #[test]
    fn refusals_have_the_specifications_status() {
        let refuse = |body: &str, known: &Head| {
            receive(body.as_bytes(), &logs())
                .and_then(|r| judge(&r, known))
                .unwrap_err()
        };
        let good = request(3, 7).to_string();
        assert_eq!(refuse("", &head(3)).status(), 400);
        assert_eq!(
            refuse(&good.replace("old 3", "old 03"), &head(3)).status(),
            400
        );
        assert_eq!(
            refuse(&good.replace("old 3", "old 8"), &head(3)).status(),
            400
        );
        let conflict = refuse(&good, &head(5));
        assert_eq!(
            (conflict.status(), conflict.body()),
            (409, "5\n".to_owned())
        );
        assert_eq!(read_conflict(conflict.body().as_bytes()).unwrap(), 5);
        assert!(read_conflict(b"5").is_err() && read_conflict(b"05\n").is_err());
        let unknown = receive(good.as_bytes(), &[]).unwrap_err();
        assert_eq!(unknown.status(), 404);
        assert_eq!(
            refuse(&good.replace("\n7\n", "\n8\n"), &head(3)).status(),
            403
        );
        // A proof that is cut, of the wrong tree, or there when it should not be.
        let mut cut = request(3, 7);
        cut.proof.pop();
        assert_eq!(refuse(&cut.to_string(), &head(3)).status(), 422);
        let other = Head {
            size: 3,
            root: head(4).root,
        };
        assert_eq!(refuse(&good, &other).status(), 422);
        let mut superfluous = request(0, 7);
        superfluous.proof.push(EMPTY_ROOT);
        assert_eq!(refuse(&superfluous.to_string(), &Head::EMPTY).status(), 422);
        // The same size with another root: a fork.
        let fork = Head {
            size: 7,
            root: head(6).root,
        };
        let forked = refuse(&request(7, 7).to_string(), &fork);
        assert_eq!((forked.status(), forked.body()), (409, "7\n".to_owned()));
        assert!(matches!(forked, Refusal::Forked { size: 7 }));
        // A replay of an earlier request, and one that would shrink the log.
        assert_eq!(refuse(&request(0, 7).to_string(), &head(7)).status(), 409);
        assert_eq!(refuse(&request(3, 7).to_string(), &head(9)).status(), 409);
        assert_eq!(refuse(&request(0, 0).to_string(), &head(7)).status(), 409);
        let mut many = request(3, 7);
        many.proof = vec![EMPTY_ROOT; 64];
        assert_eq!(refuse(&many.to_string(), &head(3)).status(), 400);
    }
}

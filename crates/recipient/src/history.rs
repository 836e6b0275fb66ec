//! Two checkpoints of one log: whether the newer continues the older.

use proofmark_log::Reader;
use proofmark_tlog::tree::verify_consistency;
use proofmark_tlog::{Hash, Policy, SignedCheckpoint, Tiles, Verified};
use serde_json::{Value, json};

use crate::refusal::Refusal;

/// Two checkpoints of a log, the newer of which continues the older.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Heads {
    /// The older.
    pub older: SignedCheckpoint,
    /// The newer, with the pinned witnesses that cosigned it.
    pub newer: Verified,
}

/// Checks that the log signed both checkpoints, enough witnesses the newer one, and that the newer
/// continues the older, as the consistency proof shows (RFC 9162, 2.1.4). `tlog-inconsistent`
/// against a right proof is evidence: the log told two histories, and signed both.
///
/// # Errors
/// [`Refusal`] with a code of the log; `tlog-out-of-range` when the older one is the newer.
pub fn compare_checkpoints(
    policy: &Policy,
    older: &[u8],
    newer: &[u8],
    proof: &[Hash],
) -> Result<Heads, Refusal> {
    let older = SignedCheckpoint::verify(older, policy.log())?;
    let newer = policy.verify(newer)?;
    let (old, new) = (older.checkpoint(), newer.head.checkpoint());
    verify_consistency(old.size(), old.root(), new.size(), new.root(), proof)?;
    Ok(Heads { older, newer })
}

impl Heads {
    /// As [`compare_checkpoints`], with the proof computed from a copy of the log, whose checkpoint
    /// is the newer one.
    ///
    /// # Errors
    /// As [`compare_checkpoints`], and for tiles that are missing or not the log's.
    pub fn of_copy(policy: &Policy, older: &[u8], tiles: &dyn Tiles) -> Result<Self, Refusal> {
        let reader = Reader::open(tiles, policy)?;
        Ok(Self {
            older: reader.consistent_with(older)?,
            newer: Verified {
                head: reader.checkpoint().clone(),
                cosignatures: reader.cosignatures().to_vec(),
            },
        })
    }

    /// For programs.
    pub(crate) fn json(&self) -> Value {
        let head = |signed: &SignedCheckpoint| {
            let head = signed.checkpoint();
            json!({ "size": head.size(), "root": head.root().to_string() })
        };
        let cosigned: Vec<Value> = self
            .newer
            .cosignatures
            .iter()
            .map(|c| json!({ "witness": c.witness, "time": c.time }))
            .collect();
        json!({
            "verdict": "consistent",
            "origin": self.newer.head.checkpoint().origin(),
            "older": head(&self.older),
            "newer": head(&self.newer.head),
            "cosigned": cosigned,
        })
    }
}

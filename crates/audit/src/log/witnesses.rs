//! What witnesses cosigned: others than the operator, who saw the log only grow.

use std::collections::BTreeMap;

use proofmark_log::Reader;
use proofmark_log::tlog::cosignature::verify_all;
use proofmark_log::tlog::{Cosignature, Hash, Policy, SignedCheckpoint, TlogError};
use proofmark_types::time::utc;

use super::{Log, Place, Places, culprit, of};
use crate::check::Check;
use crate::finding::{Culprit, Finding};

/// Size and root of a tree.
pub(super) type TreeId = (u64, Hash);

pub(super) const fn tree_id(head: &SignedCheckpoint) -> TreeId {
    (head.checkpoint().size(), *head.checkpoint().root())
}

/// A checkpoint, in all the copies of it that the auditor has.
#[derive(Debug, Default)]
struct Seen {
    source: String,
    /// Witnesses that the auditor named, with the latest time that each states.
    witnesses: BTreeMap<String, u64>,
}

/// Who cosigned what.
#[derive(Debug, Default)]
pub(super) struct Cosigned {
    heads: BTreeMap<TreeId, Seen>,
    /// Cosignatures in the name of a named witness that are not by it.
    wrong: Vec<Culprit>,
}

impl Cosigned {
    /// Reads the cosignatures of a checkpoint that the log signed. Copies of one checkpoint may carry
    /// those of different witnesses.
    pub(super) fn see(&mut self, policy: &Policy, source: &str, head: &SignedCheckpoint) {
        let seen = self.heads.entry(tree_id(head)).or_insert_with(|| Seen {
            source: source.to_owned(),
            ..Seen::default()
        });
        match verify_all(head.note(), policy.witnesses()) {
            Ok(found) => {
                for Cosignature { witness, time } in found {
                    let latest = seen.witnesses.entry(witness).or_default();
                    *latest = time.max(*latest);
                }
            }
            Err(error) => self
                .wrong
                .push(culprit(source, error.code(), error.to_string())),
        }
    }

    /// Whether enough witnesses cosigned this very checkpoint.
    fn enough(&self, policy: &Policy, tree: &TreeId) -> bool {
        let seen = self.heads.get(tree);
        seen.is_some_and(|seen| seen.witnesses.len() >= policy.quorum())
    }
}

/// Whether the witnesses that the auditor named cosigned the log as far as the receipts reach.
pub(super) fn check(log: &Log<'_>, places: &Places<'_>) -> Finding {
    let check = Check::LogWitnesses;
    let policy = &log.evidence.policy;
    if policy.quorum() == 0 {
        return Finding::not_checked(
            check,
            "You named no witness. A log can show one history to you and another one to others, and \
             nothing that you have would tell.",
            "give the public keys of the log's witnesses with --witness-key; without any, compare \
             your checkpoint with those of others who use the service (--checkpoint)",
        );
    }
    if log.heads.is_empty() {
        return Finding::not_checked(
            check,
            "No checkpoint could be read, so that nobody can have cosigned one.",
            "copy the log again: `checkpoint` and `checkpoint.cosigned` first, then `tile/`",
        );
    }
    if !log.inconsistent.is_empty() {
        return Finding::not_checked(
            check,
            "The log contradicts itself. Which of its histories the witnesses saw says nothing of \
             the other.",
            "see the finding about the log's consistency",
        );
    }
    let cosigned = &log.cosigned;
    // Nothing shows that a tree that is larger than the copy extends it.
    let limit = log.reader.as_ref().map_or(u64::MAX, Reader::size);
    let reached = cosigned
        .heads
        .keys()
        .filter(|tree| tree.0 <= limit && cosigned.enough(policy, tree))
        .map(|tree| tree.0)
        .max();
    let uncovered = places.iter().filter_map(|(accepted, place)| {
        let (index, covered) = match place {
            Place::At(index) => (index, reached.is_some_and(|size| *index < size)),
            Place::Proven(index, tree) => (index, cosigned.enough(policy, tree)),
            Place::Wrong(..) | Place::Unknown => return None,
        };
        let reason = match reached {
            Some(size) => format!("it is entry {index}, cosigned are {size} entries"),
            None => format!("it is entry {index}, and no checkpoint above it is cosigned"),
        };
        (!covered).then(|| of(accepted, MISSING, &reason))
    });
    let uncovered: Vec<Culprit> = uncovered.collect();
    let any = cosigned
        .heads
        .keys()
        .any(|tree| cosigned.enough(policy, tree));
    let finding = if !cosigned.wrong.is_empty() {
        Finding::fail(
            check,
            "These checkpoints carry a signature in the name of one of your witnesses that is not \
             by it: somebody made it up, so that it looks as if others had seen this log.",
        )
        .remedy("keep the checkpoint, and ask that witness what it cosigned of this log")
        .culprits(cosigned.wrong.clone())
    } else if !any {
        Finding::fail(
            check,
            "No checkpoint that you have is cosigned by as many of your witnesses as you demand. \
             That others are shown the same log as you is the operator's word alone: this one may \
             have been made for you.",
        )
        .remedy(
            "copy the log again with its `checkpoint.cosigned`; if it still lacks them, ask the \
             operator why its witnesses do not cosign, and whether these are its witnesses",
        )
        .culprits(too_few(cosigned, policy))
    } else if !uncovered.is_empty() {
        Finding::fail(
            check,
            "These receipts lie behind what enough of your witnesses cosigned. That anybody else can \
             see them in the log is the operator's word alone.",
        )
        .remedy(
            "witnesses cosign a while after an answer: copy the log again with its \
             `checkpoint.cosigned`, or ask for newer proofs; if these receipts never come under a \
             cosigned checkpoint, the log was shown to you only",
        )
        .culprits(uncovered)
    } else {
        Finding::pass(
            check,
            "As many of your witnesses as you demand cosigned the log with every receipt in it. Each \
             of them has seen it only grow: to show others another history, the operator would need \
             their help.",
        )
    };
    evidence(finding, cosigned, policy)
}

/// Code of what too few witnesses cosigned.
const MISSING: &str = "tlog-witnesses-missing";

/// The checkpoints with what each has of the cosignatures that are demanded.
fn too_few(cosigned: &Cosigned, policy: &Policy) -> Vec<Culprit> {
    let heads = cosigned.heads.iter();
    heads
        .map(|((size, _), seen)| {
            let few = TlogError::Witnesses {
                got: seen.witnesses.len(),
                needed: policy.quorum(),
            };
            culprit(&seen.source, few.code(), format!("{few} ({size} entries)"))
        })
        .collect()
}

fn evidence(finding: Finding, cosigned: &Cosigned, policy: &Policy) -> Finding {
    let finding = finding
        .evidence("witnesses named", policy.witnesses().len())
        .evidence("of them demanded", policy.quorum());
    policy.witnesses().iter().fold(finding, |finding, key| {
        let mut heads = cosigned.heads.iter().rev();
        let largest =
            heads.find_map(|((size, _), seen)| Some((size, seen.witnesses.get(key.name())?)));
        let text = match largest {
            Some((size, time)) => format!("cosigned {size} entries at {}", utc(*time)),
            None => "cosigned nothing that you have".to_owned(),
        };
        finding.evidence(&format!("witness {}", key.name()), text)
    })
}

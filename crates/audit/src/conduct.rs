//! Step 4, second half: what the receipts say together: replays, deadlines, times.

use std::collections::BTreeMap;

use proofmark_types::Digest;
use proofmark_types::digest::DigestStream;
use proofmark_types::field::fr_to_bytes;
use proofmark_types::receipt::{RecordValue, TensorRecord};
use proofmark_types::time::utc;

use crate::Request;
use crate::check::Check;
use crate::finding::{Culprit, Finding, Findings};
use crate::receipts::{Accepted, Receipts};

/// Seconds by which the auditor's clock and the service's may differ.
pub(crate) const CLOCK_SKEW: u64 = 300;
/// Unix seconds before which there were no receipts: 1 January 2026, in UTC.
pub const FIRST_RECEIPTS: u64 = 1_767_225_600;

pub(crate) fn check(request: &Request, receipts: &Receipts, findings: &mut Findings) {
    if receipts.accepted.is_empty() {
        findings.not_reached(
            &[
                Check::ReceiptsUnique,
                Check::ReceiptsAgree,
                Check::ReceiptsOpenings,
                Check::ReceiptsDeadline,
                Check::ReceiptsTime,
            ],
            "No receipt verifies, so there is nothing to compare.",
            "see the findings about the receipts",
        );
        return;
    }
    findings.add(unique(receipts));
    findings.add(agree(receipts));
    findings.add(deadlines(receipts));
    findings.add(times(request, receipts));
}

fn culprit(accepted: &Accepted, code: &str, reason: String) -> Culprit {
    Culprit {
        source: accepted.source.clone(),
        receipt: Some(accepted.verdict.receipt_id),
        code: code.to_owned(),
        reason,
    }
}

fn unique(receipts: &Receipts) -> Finding {
    let check = Check::ReceiptsUnique;
    let mut contexts: BTreeMap<Vec<u8>, Vec<&Accepted>> = BTreeMap::new();
    for accepted in &receipts.accepted {
        let context = accepted.verdict.receipt.context.abi_encode();
        contexts.entry(context).or_default().push(accepted);
    }
    let distinct = contexts.len();
    let mut culprits = Vec::new();
    for group in contexts.into_values() {
        let Some((first, others)) = group.split_first() else {
            continue;
        };
        culprits.extend(others.iter().map(|other| {
            let same = other.verdict.statement_digest == first.verdict.statement_digest;
            let what = if same {
                "proves the same statement"
            } else {
                "proves other inputs or outputs"
            };
            let reason = format!("{what} under the context of {}", first.source);
            culprit(other, "context-replayed", reason)
        }));
    }
    if culprits.is_empty() {
        Finding::pass(
            check,
            "No two receipts share a context, so no request was answered twice and no answer was \
             given out for two requests.",
        )
    } else {
        Finding::fail(
            check,
            "These receipts answer under a context (nonce) that another receipt has already \
             answered under: an answer was replayed, or the operator computed several and could \
             choose which one to show.",
        )
        .remedy("ask which of them was given to whoever asked, and why there are others")
        .culprits(culprits)
    }
    .evidence("contexts", distinct)
    .evidence(
        "receipts given more than once, byte for byte",
        receipts.copies,
    )
}

/// Digest of the values of some tensors, or of what stands for them; `None` where one of them is
/// private, whose salt makes every commitment another one.
fn values<'r>(records: impl Iterator<Item = &'r TensorRecord>) -> Option<Digest> {
    let mut stream = DigestStream::new();
    for record in records {
        match &record.value {
            // Names, types and shapes are the manifest's, so the lengths are the same in all.
            RecordValue::Public(tensor) => tensor
                .data()
                .iter()
                .for_each(|value| stream.update(&value.to_le_bytes())),
            RecordValue::Hashed(digest) => stream.update(&fr_to_bytes(digest)),
            RecordValue::Private(_) => return None,
        }
    }
    Some(stream.finish())
}

fn agree(receipts: &Receipts) -> Finding {
    let check = Check::ReceiptsAgree;
    let mut first: BTreeMap<Digest, (Option<Digest>, &Accepted)> = BTreeMap::new();
    let (mut compared, mut culprits) = (0_usize, Vec::new());
    for accepted in &receipts.accepted {
        let receipt = &accepted.verdict.receipt;
        let Some(inputs) = values(receipt.inputs.iter()) else {
            continue;
        };
        let shown = |record: &&TensorRecord| !matches!(record.value, RecordValue::Private(_));
        let outputs = values(receipt.outputs.iter().filter(shown));
        compared += 1;
        let (seen, earlier) = first.entry(inputs).or_insert((outputs, accepted));
        if *seen != outputs {
            let reason = format!("other outputs for the inputs of {}", earlier.source);
            culprits.push(culprit(accepted, "outputs-contradict", reason));
        }
    }
    if compared == 0 {
        return Finding::not_checked(
            check,
            "Every receipt has a private input, so that it cannot be seen which of them have the \
             same inputs.",
            "ask the owners of the inputs for openings",
        );
    }
    let finding = if culprits.is_empty() {
        Finding::pass(
            check,
            "No two receipts show different outputs for the same inputs.",
        )
    } else {
        Finding::fail(
            check,
            "These receipts show other outputs than another receipt for the same inputs. A model \
             gives one answer to one input, so one of the two is false although its proof \
             verifies: it is forged by somebody who knows the setup's secret, or the proof system \
             or this software is broken.",
        )
        .remedy(
            "do not rely on any receipt of this package, and report both receipts with the package \
             digest",
        )
        .culprits(culprits)
    };
    finding
        .evidence("receipts compared", compared)
        .evidence("different inputs among them", first.len())
}

fn deadlines(receipts: &Receipts) -> Finding {
    let check = Check::ReceiptsDeadline;
    let (mut with, mut culprits) = (0_usize, Vec::new());
    for accepted in &receipts.accepted {
        let receipt = &accepted.verdict.receipt;
        let deadline = receipt.context.deadline;
        if deadline == 0 {
            continue;
        }
        with += 1;
        if receipt.proved_at > deadline {
            let reason = format!(
                "proven at {}, after the deadline {}",
                utc(receipt.proved_at),
                utc(deadline)
            );
            culprits.push(culprit(accepted, "deadline-passed", reason));
        }
    }
    if culprits.is_empty() {
        Finding::pass(
            check,
            if with == 0 {
                "No receipt has a deadline in its context."
            } else {
                "Every proof with a deadline was made, by the signer's clock, before it."
            },
        )
    } else {
        Finding::fail(
            check,
            "These proofs were made, by the signer's own clock, after the deadline that they are \
             bound to. Whoever accepted them accepted them too late.",
        )
        .remedy("ask who consumed these results after their deadline")
        .culprits(culprits)
    }
    .evidence("receipts with a deadline", with)
}

fn times(request: &Request, receipts: &Receipts) -> Finding {
    let check = Check::ReceiptsTime;
    let limit = request.now.saturating_add(CLOCK_SKEW);
    let begin = request.not_before.unwrap_or(FIRST_RECEIPTS);
    let (mut late, mut early) = (Vec::new(), Vec::new());
    for accepted in &receipts.accepted {
        let proved_at = accepted.verdict.receipt.proved_at;
        let reason = format!("proven at {}", utc(proved_at));
        if proved_at > limit {
            late.push(culprit(accepted, "time-in-future", reason));
        } else if proved_at.saturating_add(CLOCK_SKEW) < begin {
            early.push(culprit(accepted, "time-before-package", reason));
        }
    }
    let times = || {
        let accepted = receipts.accepted.iter();
        accepted.map(|accepted| accepted.verdict.receipt.proved_at)
    };
    let meaning = match (late.is_empty(), early.is_empty()) {
        (true, true) => None,
        (false, true) => Some(
            "These receipts state that they were proven in the future: the service's clock is \
             wrong, or the times are made up.",
        ),
        (true, false) => Some(
            "These receipts state that they were proven before there was such a package: they were \
             dated back.",
        ),
        (false, false) => Some(
            "These receipts state that they were proven in the future, or before there was such a \
             package: the times are made up.",
        ),
    };
    let finding = match meaning {
        None => Finding::pass(
            check,
            "No receipt states a time that lies in the future, or before there was such a package. \
             A time is the signer's claim; only the log's order confirms it.",
        ),
        Some(meaning) => Finding::fail(check, meaning)
            .remedy(
                "set the auditing machine's clock; if it is right, ask the operator about theirs, \
                 and go by the log's order",
            )
            .culprits(late.into_iter().chain(early).collect()),
    };
    finding
        .evidence("first", times().min().map(utc).unwrap_or_default())
        .evidence("last", times().max().map(utc).unwrap_or_default())
        .evidence("not before", utc(begin))
        .evidence("audited at", utc(request.now))
}

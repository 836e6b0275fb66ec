//! Step 4, second half: what the receipts say together: replays, deadlines, times.

use std::collections::BTreeMap;

use proofmark_types::time::utc;

use crate::Request;
use crate::check::Check;
use crate::finding::{Culprit, Finding, Findings};
use crate::receipts::{Accepted, Receipts};

/// Seconds by which the auditor's clock and the service's may differ.
const CLOCK_SKEW: u64 = 300;

pub(crate) fn check(request: &Request, receipts: &Receipts, findings: &mut Findings) {
    if receipts.accepted.is_empty() {
        findings.not_reached(
            &[
                Check::ReceiptsUnique,
                Check::ReceiptsDeadline,
                Check::ReceiptsTime,
            ],
            "No receipt verifies, so there is nothing to compare.",
            "see the findings about the receipts",
        );
        return;
    }
    findings.add(unique(receipts));
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
    let future = receipts
        .accepted
        .iter()
        .filter(|accepted| accepted.verdict.receipt.proved_at > limit);
    let culprits: Vec<Culprit> = future
        .map(|accepted| {
            let reason = format!("proven at {}", utc(accepted.verdict.receipt.proved_at));
            culprit(accepted, "time-in-future", reason)
        })
        .collect();
    let times = || {
        let accepted = receipts.accepted.iter();
        accepted.map(|accepted| accepted.verdict.receipt.proved_at)
    };
    let finding = if culprits.is_empty() {
        Finding::pass(
            check,
            "No receipt states a time that lies in the future. A time is the signer's claim; only \
             the log's order confirms it.",
        )
    } else {
        Finding::fail(
            check,
            "These receipts state that they were proven in the future: the service's clock is \
             wrong, or the times are made up.",
        )
        .remedy("set the auditing machine's clock; if it is right, ask the operator about theirs")
        .culprits(culprits)
    };
    finding
        .evidence("first", times().min().map(utc).unwrap_or_default())
        .evidence("last", times().max().map(utc).unwrap_or_default())
        .evidence("audited at", utc(request.now))
}

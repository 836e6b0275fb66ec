//! Step 6: some receipts' inferences, computed again in ONNX Runtime and in the evaluator.

use std::collections::BTreeMap;

use ark_ff::AdditiveGroup as _;
use proofmark_package::Package;
use proofmark_runtime::{IntSession, OptLevel, RuntimeError};
use proofmark_types::digest::DigestStream;
use proofmark_types::manifest::RuntimePin;
use proofmark_types::receipt::{Opening, RecordValue, TensorRecord};
use proofmark_types::statement::tensor_digest;
use proofmark_types::{Digest, Fr, IntTensor};
use proofmark_validation::{TranslationReport, ValidationError, recheck};
use rayon::prelude::*;

use crate::Request;
use crate::check::Check;
use crate::circuit::Compiled;
use crate::finding::{Culprit, Finding, Findings};
use crate::receipts::{Accepted, Receipts};
use crate::report::SamplesSummary;

/// Tensors by name.
type Tensors = BTreeMap<String, IntTensor>;

pub(crate) fn check(
    request: &Request,
    package: &Package,
    compiled: Option<&Compiled>,
    receipts: &Receipts,
    findings: &mut Findings,
) -> SamplesSummary {
    let rerun_checks = [Check::SamplesRuntime, Check::SamplesEvaluator];
    let Some(compiled) = compiled else {
        let (meaning, remedy) = (
            "Without the integer model nothing can be computed again.",
            "see the findings about the circuit",
        );
        findings.not_reached(&[Check::SamplesTranslation], meaning, remedy);
        findings.not_reached(&rerun_checks, meaning, remedy);
        return SamplesSummary::default();
    };
    let session = session(package, compiled);
    findings.add(translation(package, compiled, session.as_ref()));
    let open = receipts.accepted.iter().filter(|accepted| {
        let receipt = &accepted.verdict.receipt;
        let known = |record: &TensorRecord| values(accepted, record).is_some();
        let comparable =
            |record: &TensorRecord| known(record) || matches!(record.value, RecordValue::Hashed(_));
        receipt.inputs.iter().all(known) && receipt.outputs.iter().any(comparable)
    });
    let open: Vec<&Accepted> = open.collect();
    let chosen = choose(&open, request.samples, &request.seed);
    let summary = SamplesSummary {
        eligible: open.len(),
        computed: chosen.len(),
    };
    if chosen.is_empty() {
        let (meaning, remedy) = if request.samples == 0 {
            ("No samples were asked for.", "ask for some with --samples")
        } else if receipts.accepted.is_empty() {
            (
                "There is no receipt that verifies.",
                "give receipts with --receipts",
            )
        } else {
            (
                "Every receipt hides inputs, or all outputs, behind commitments that nobody opened \
                 to you: only those who know the values can compute them again. The proofs do not \
                 depend on it.",
                "ask the owners of the values for their openings and give them with --openings",
            )
        };
        findings.not_reached(&rerun_checks, meaning, remedy);
        return summary;
    }
    findings.add(match &session {
        Ok(session) => {
            let run = |accepted: &Accepted| {
                let inputs = inputs(accepted).collect();
                session.run(&inputs).map_err(|e| e.to_string())
            };
            computed_again(Check::SamplesRuntime, "ONNX Runtime", summary, &chosen, run)
        }
        Err(error) => no_runtime(Check::SamplesRuntime, error),
    });
    let evaluator = "The integer evaluator, whose arithmetic the circuit proves,";
    findings.add(computed_again(
        Check::SamplesEvaluator,
        evaluator,
        summary,
        &chosen,
        |accepted| {
            let ordered: Vec<IntTensor> = inputs(accepted).map(|(_, tensor)| tensor).collect();
            let outputs = compiled
                .plan
                .evaluate(&ordered)
                .map_err(|e| e.to_string())?;
            let names = compiled.plan.outputs().iter().map(|info| info.name.clone());
            Ok(names.zip(outputs).collect())
        },
    ));
    summary
}

/// Why ONNX Runtime cannot be asked.
enum NoRuntime {
    /// The manifest pins another one than this software runs.
    Other {
        /// The manifest's.
        pinned: String,
    },
    /// It does not run here.
    Failed(RuntimeError),
}

/// The integer model in the runtime that the manifest pins. In another one a difference would
/// accuse an operator who did nothing wrong, and none would show nothing about the pinned one.
fn session(package: &Package, compiled: &Compiled) -> Result<IntSession, NoRuntime> {
    let pinned = &package.manifest().runtime;
    if *pinned != RuntimePin::current() {
        let pinned = pinned.onnxruntime.clone();
        return Err(NoRuntime::Other { pinned });
    }
    IntSession::load(&compiled.model, OptLevel::DisableAll).map_err(NoRuntime::Failed)
}

fn no_runtime(check: Check, error: &NoRuntime) -> Finding {
    match error {
        NoRuntime::Other { pinned } => Finding::not_checked(
            check,
            "The package pins another ONNX Runtime than this software runs, so nothing here tells \
             what the pinned one computes.",
            "audit with the release of proofmark that pins this runtime",
        )
        .evidence("the manifest's", pinned)
        .evidence("this software's", RuntimePin::current().onnxruntime),
        NoRuntime::Failed(error) => Finding::not_checked(
            check,
            "ONNX Runtime does not run this model on this machine.",
            "install the pinned release as docs/guides/operator.md says",
        )
        .evidence("reason", error)
        .evidence("code", error.code()),
    }
}

fn translation(
    package: &Package,
    compiled: &Compiled,
    session: Result<&IntSession, &NoRuntime>,
) -> Finding {
    let check = Check::SamplesTranslation;
    let session = match session {
        Ok(session) => session,
        Err(error) => return no_runtime(check, error),
    };
    let record = package.manifest().translation.as_ref();
    let report = record
        .and_then(|record| package.read(record).ok())
        .and_then(|bytes| TranslationReport::parse(&bytes).ok());
    let Some(report) = report else {
        return Finding::not_checked(
            check,
            "The package has no report of what ONNX Runtime computed where it was made.",
            "see the finding about the package's translation report",
        );
    };
    match recheck(&report, &compiled.plan, session) {
        Ok(()) => Finding::pass(
            check,
            "On the report's own sample of inputs, ONNX Runtime computes on this machine the \
             integers that it computed where the package was made.",
        ),
        Err(ValidationError::RuntimeDivergence { machine, .. }) => Finding::fail(
            check,
            "ONNX Runtime computes other integers on this machine than where the package was made: \
             this processor or library differs, or the report was made up.",
        )
        .remedy("repeat the audit on another machine; if it fails there, the report is wrong")
        .evidence("the package was made on", machine),
        Err(error) => Finding::fail(
            check,
            "The report's sample cannot be computed: it is not one that this software wrote.",
        )
        .remedy("ask the operator to run `proofmark setup` again")
        .evidence("reason", error),
    }
}

/// The values of a tensor that is public or opened.
fn values<'r>(accepted: &'r Accepted, record: &'r TensorRecord) -> Option<&'r IntTensor> {
    match &record.value {
        RecordValue::Public(tensor) => Some(tensor),
        RecordValue::Hashed(_) | RecordValue::Private(_) => {
            let of = |opening: &&Opening| opening.name == record.name;
            accepted.openings.iter().find(of).map(|found| &found.tensor)
        }
    }
}

/// The inputs in graph order.
fn inputs(accepted: &Accepted) -> impl Iterator<Item = (String, IntTensor)> {
    let records = accepted.verdict.receipt.inputs.iter();
    records.filter_map(|record| Some((record.name.clone(), values(accepted, record)?.clone())))
}

/// The receipts that a seed chooses: those whose ids, hashed with it, come first.
fn choose<'r>(open: &[&'r Accepted], count: usize, seed: &[u8; 32]) -> Vec<&'r Accepted> {
    let mut drawn: Vec<(Digest, &Accepted)> = open
        .iter()
        .map(|accepted| {
            let mut stream = DigestStream::new();
            stream.update(seed);
            stream.update(accepted.verdict.receipt_id.as_bytes());
            (stream.finish(), *accepted)
        })
        .collect();
    drawn.sort_by_key(|(draw, _)| *draw);
    drawn.truncate(count);
    drawn.into_iter().map(|(_, accepted)| accepted).collect()
}

fn computed_again(
    check: Check,
    who: &str,
    summary: SamplesSummary,
    chosen: &[&Accepted],
    compute: impl Fn(&Accepted) -> Result<Tensors, String> + Sync,
) -> Finding {
    let culprit = |accepted: &&Accepted| {
        let outcome = compute(accepted).and_then(|outputs| compare(accepted, &outputs));
        outcome.err().map(|reason| Culprit {
            source: accepted.source.clone(),
            receipt: Some(accepted.verdict.receipt_id),
            code: "output-differs".to_owned(),
            reason,
        })
    };
    let culprits: Vec<Culprit> = chosen.par_iter().filter_map(culprit).collect();
    if culprits.is_empty() {
        Finding::pass(
            check,
            format!(
                "{who} computes from the inputs in the sampled receipts exactly the outputs in them."
            ),
        )
    } else {
        Finding::fail(
            check,
            format!(
                "{who} computes other outputs than these receipts show, although their proofs \
                 verify: the proofs are forged by somebody who knows the setup's secret, or the \
                 proof system or this software is broken.",
            ),
        )
        .remedy(
            "do not rely on any receipt of this package, and report it with the package digest and \
             these receipts",
        )
        .culprits(culprits)
    }
    .evidence("receipts computed again", chosen.len())
    .evidence("receipts that could be", summary.eligible)
    .evidence("share of forged ones that is found with 95 %", found(summary))
}

/// The smallest share of forged receipts of which a random choice misses all with a chance below
/// 5 %. Everything that could be computed again was: nothing is missed.
fn found(summary: SamplesSummary) -> String {
    if summary.computed == summary.eligible {
        return "any: all of them were computed".to_owned();
    }
    #[expect(
        clippy::cast_precision_loss,
        reason = "a count of samples, shown with one decimal"
    )]
    let share = 1.0 - 0.05_f64.powf(1.0 / summary.computed.max(1) as f64);
    format!("{:.1} % or more", share * 100.0)
}

/// The first difference between a receipt's outputs and those computed.
fn compare(accepted: &Accepted, outputs: &Tensors) -> Result<(), String> {
    for record in &accepted.verdict.receipt.outputs {
        let name = &record.name;
        let computed = outputs
            .get(name)
            .ok_or_else(|| format!("there is no output {name:?}"))?;
        match (&record.value, values(accepted, record)) {
            (_, Some(shown)) => {
                if shown.elem() != computed.elem() || shown.shape() != computed.shape() {
                    return Err(format!("output {name:?} is of another type or shape"));
                }
                let pairs = shown.data().iter().zip(computed.data());
                if let Some((index, (shown, computed))) = pairs
                    .enumerate()
                    .find(|(_, (shown, computed))| shown != computed)
                {
                    return Err(format!(
                        "output {name:?}, element {index}: the receipt shows {shown}, computed is \
                         {computed}"
                    ));
                }
            }
            (RecordValue::Hashed(commitment), None) => {
                if tensor_digest(computed, Fr::ZERO) != *commitment {
                    return Err(format!("output {name:?} has another digest"));
                }
            }
            (RecordValue::Public(_) | RecordValue::Private(_), None) => {}
        }
    }
    Ok(())
}

//! Step 6: some receipts' inferences, computed again in ONNX Runtime and in the evaluator.

use std::collections::BTreeMap;

use ark_ff::AdditiveGroup as _;
use proofmark_package::Package;
use proofmark_runtime::{IntSession, OptLevel, RuntimeError};
use proofmark_types::digest::DigestStream;
use proofmark_types::receipt::{Receipt, RecordValue, TensorRecord};
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
    let session = IntSession::load(&compiled.model, OptLevel::DisableAll);
    findings.add(translation(package, compiled, session.as_ref()));
    let open = receipts.accepted.iter().filter(|accepted| {
        let receipt = &accepted.verdict.receipt;
        let readable = receipt.inputs.iter().all(|record| values(record).is_some());
        readable && receipt.outputs.iter().any(is_comparable)
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
                "Every receipt hides inputs, or all outputs, behind commitments: only those who \
                 know the values can compute them again. The proofs do not depend on it.",
                "ask the owners of the inputs to run the model on them and to open the receipts",
            )
        };
        findings.not_reached(&rerun_checks, meaning, remedy);
        return summary;
    }
    findings.add(match &session {
        Ok(session) => computed_again(Check::SamplesRuntime, "ONNX Runtime", &chosen, |receipt| {
            session
                .run(&inputs(receipt).collect())
                .map_err(|e| e.to_string())
        }),
        Err(error) => no_runtime(Check::SamplesRuntime, error),
    });
    let evaluator = "The integer evaluator, whose arithmetic the circuit proves,";
    findings.add(computed_again(
        Check::SamplesEvaluator,
        evaluator,
        &chosen,
        |receipt| {
            let ordered: Vec<IntTensor> = inputs(receipt).map(|(_, tensor)| tensor).collect();
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

fn no_runtime(check: Check, error: &RuntimeError) -> Finding {
    Finding::not_checked(
        check,
        "ONNX Runtime does not run this model on this machine.",
        "install the pinned release as docs/guides/operator.md says",
    )
    .evidence("reason", error)
    .evidence("code", error.code())
}

fn translation(
    package: &Package,
    compiled: &Compiled,
    session: Result<&IntSession, &RuntimeError>,
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

/// The values of a public tensor.
const fn values(record: &TensorRecord) -> Option<&IntTensor> {
    match &record.value {
        RecordValue::Public(tensor) => Some(tensor),
        RecordValue::Hashed(_) | RecordValue::Private(_) => None,
    }
}

/// Whether an output that was computed again can be compared with the record.
const fn is_comparable(record: &TensorRecord) -> bool {
    matches!(
        record.value,
        RecordValue::Public(_) | RecordValue::Hashed(_)
    )
}

/// The inputs in graph order.
fn inputs(receipt: &Receipt) -> impl Iterator<Item = (String, IntTensor)> {
    let records = receipt.inputs.iter();
    records.filter_map(|record| Some((record.name.clone(), values(record)?.clone())))
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
    chosen: &[&Accepted],
    compute: impl Fn(&Receipt) -> Result<Tensors, String> + Sync,
) -> Finding {
    let culprit = |accepted: &&Accepted| {
        let receipt = &accepted.verdict.receipt;
        let outcome = compute(receipt).and_then(|outputs| compare(receipt, &outputs));
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
}

/// The first difference between a receipt's outputs and those computed.
fn compare(receipt: &Receipt, outputs: &Tensors) -> Result<(), String> {
    for record in &receipt.outputs {
        let name = &record.name;
        let computed = outputs
            .get(name)
            .ok_or_else(|| format!("there is no output {name:?}"))?;
        match &record.value {
            RecordValue::Public(shown) => {
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
            RecordValue::Hashed(commitment) => {
                if tensor_digest(computed, Fr::ZERO) != *commitment {
                    return Err(format!("output {name:?} has another digest"));
                }
            }
            RecordValue::Private(_) => {}
        }
    }
    Ok(())
}

//! `proofmark import`: a float or quantized model to a draft package.

use std::collections::BTreeMap;
use std::path::Path;

use proofmark_engine::{Fault, ImportOptions, import};
use proofmark_onnx::{Limits, Model};
use proofmark_package::Package;
use proofmark_quantizer::{Calibration, Samples, is_quantized};
use proofmark_types::manifest::{ReferenceReport, ValidationReport};
use proofmark_validation::TranslationReport;
use proofmark_verify::Failure;
use serde_json::json;

use crate::arguments::ImportArgs;
use crate::failures::{OrFail as _, failure};
use crate::output::{Output, grouped};
use crate::samples::{self, Content};

pub(crate) fn run(args: &ImportArgs, output: Output) -> Result<(), Failure> {
    let mut visibility = BTreeMap::new();
    for (tensor, who) in &args.visibility {
        if visibility.insert(tensor.clone(), *who).is_some() {
            let message = format!("--visibility names {tensor:?} twice");
            return Err(Failure::usage("visibility-duplicate", message));
        }
    }
    let model = proofmark_onnx::load(&args.model, &Limits::default()).or_fail()?;
    let calibration = match &args.calibration {
        Some(path) => calibration(&model, path)?,
        None if is_quantized(&model) => Calibration::default(),
        None => {
            let message = "a float model needs samples to take its ranges from";
            return Err(Failure::usage("calibration-missing", message)
                .hint("give some hundred typical inputs with --calibration FILE"));
        }
    };
    let samples = match &args.heldout {
        Some(path) => {
            let content = samples::read(path)?;
            Some(Samples {
                inputs: inputs(&model, &content, path)?,
                labels: content.labels(),
            })
        }
        None => None,
    };
    let options = ImportOptions {
        name: args.name.clone(),
        version: args.package_version.clone(),
        description: args.description.clone(),
        licence: args.licence.clone(),
        labels: args.labels.clone(),
        visibility,
        calibration,
        samples,
        reference: args.reference,
        accept_drift: args.accept_drift,
    };
    let bars = output.bars();
    let spinner = bars.spinner("quantizing, compiling and comparing both models");
    let draft = import(&args.model, &args.out, &options);
    drop(spinner);
    let draft = draft.map_err(|error| {
        let fault = Fault::from(&error);
        failure(if is_quantized(&model) {
            fault.refused_at(args.reference)
        } else {
            fault
        })
    })?;
    let translation = translation(&draft)?.map(|report| report.totals());
    let manifest = draft.manifest();
    let object = json!({
        "folder": args.out,
        "name": manifest.name,
        "version": manifest.version,
        "integer_model": manifest.integer_model,
        "inputs": manifest.inputs,
        "outputs": manifest.outputs,
        "validation": manifest.validation,
        "translation": translation.map(|totals| json!({
            "thresholds": totals.thresholds,
            "table_entries": totals.table_entries,
            "compared": totals.compared,
            "different": 0,
        })),
        "drift": manifest.validation.reference.as_ref().map(drift),
    });
    let mut lines = vec![format!(
        "imported {} version {} into {}",
        manifest.name,
        manifest.version,
        args.out.display()
    )];
    lines.extend(validation(&manifest.validation));
    lines.extend(translation.map(|totals| {
        format!(
            "translation validated: {} thresholds, {} table entries, {} integers compared, 0 different",
            grouped(totals.thresholds),
            grouped(totals.table_entries),
            grouped(totals.compared)
        )
    }));
    lines.push(format!(
        "next: proofmark inspect {0}; proofmark setup {0} --out PACKAGE_DIR",
        args.out.display()
    ));
    output.result(&object, &lines.join("\n"))
}

/// What was compared of a package's translation; a report with differences is not read.
pub(crate) fn translation(package: &Package) -> Result<Option<TranslationReport>, Failure> {
    let Some(record) = &package.manifest().translation else {
        return Ok(None);
    };
    let bytes = package.read(record).or_fail()?;
    TranslationReport::parse(&bytes).or_fail().map(Some)
}

/// How far the integer model is from the original, in all.
fn drift(report: &ReferenceReport) -> serde_json::Value {
    let (different, compared) = report.total();
    json!({
        "level": report.level,
        "compared": compared,
        "different": different,
        "rate": report.rate(),
        "largest_step": report.largest_step(),
        "sources": report.drift,
        "inexact": report.inexact,
    })
}

/// How a quantized model was compared with the integer model, a line each.
fn reference(report: &ReferenceReport) -> Vec<String> {
    let (different, compared) = report.total();
    let mut lines = vec![format!(
        "drift      {} of {} output integers differ from the original's at level {}",
        grouped(different),
        grouped(compared),
        report.level.name()
    )];
    for source in report.drift.iter().filter(|source| source.different > 0) {
        lines.push(format!(
            "           {}: {} of {}, by up to {}",
            source.inputs.name(),
            grouped(source.different),
            grouped(source.compared),
            grouped(source.largest_step)
        ));
    }
    let inexact = report.inexact.iter();
    lines.extend(
        inexact.map(|rewrite| format!("inexact    {:?}: {}", rewrite.node, rewrite.reason)),
    );
    lines
}

/// What `import` measured, a line each.
pub(crate) fn validation(report: &ValidationReport) -> Vec<String> {
    let mut lines = Vec::new();
    if report.checked_samples > 0 {
        lines.push(format!(
            "compared on {} samples",
            grouped(report.checked_samples)
        ));
    }
    if report.calibration_samples > 0 {
        lines.push(format!(
            "ranges taken from {} samples",
            grouped(report.calibration_samples)
        ));
    }
    if let (Some(float), Some(integer)) = (report.float_accuracy, report.integer_accuracy) {
        lines.push(format!(
            "accuracy   original {:.2} %, integer {:.2} %",
            float * 100.0,
            integer * 100.0
        ));
    }
    if let Some(agreement) = report.agreement {
        lines.push(format!("same class {:.2} %", agreement * 100.0));
    }
    if let (Some(largest), Some(mean)) = (
        report.largest_output_difference,
        report.mean_output_difference,
    ) {
        lines.push(format!(
            "difference of the outputs: largest {largest:.4}, mean {mean:.4}"
        ));
    }
    lines.extend(report.reference.iter().flat_map(reference));
    lines.extend(report.notes.iter().map(|note| format!("note: {note}")));
    lines
}

/// Calibration samples for every input of a float model.
pub(crate) fn calibration(model: &Model, path: &Path) -> Result<Calibration, Failure> {
    Ok(Calibration {
        inputs: inputs(model, &samples::read(path)?, path)?,
    })
}

fn inputs(
    model: &Model,
    content: &Content,
    path: &Path,
) -> Result<BTreeMap<String, Vec<Vec<f32>>>, Failure> {
    let only = model.graph.inputs.len() == 1;
    model
        .graph
        .inputs
        .iter()
        .map(|input| {
            let refuse = |reason: String| {
                let message = format!("{}: {reason}", path.display());
                Failure::usage("samples-mismatch", message)
            };
            let name = &input.name;
            let array = content.array(name, only).ok_or_else(|| {
                refuse(format!("there is no array for input {name:?}"))
                    .hint("name the array after the input, or `x` for a model's only input")
            })?;
            // The quantizer says which shapes it takes; here a dimension that is open counts as 1.
            let shape = input.static_shape();
            let count = shape.map_or_else(
                || array.shape.iter().skip(1).product(),
                |shape| shape.iter().product(),
            );
            let samples = array.all_samples(count).ok_or_else(|| {
                refuse(format!(
                    "the array for input {name:?} has shape {:?}; a sample has {count} numbers",
                    array.shape
                ))
            })?;
            Ok((name.clone(), samples))
        })
        .collect()
}

//! Step 7: both models on the auditor's own data.

use std::fs::File;

use proofmark_onnx::{Limits, Model};
use proofmark_package::Package;
use proofmark_quantizer::{Classes, Comparison, Quantized, compare};
use proofmark_types::manifest::View;
use serde::Serialize;

use crate::check::Check;
use crate::error::AuditError;
use crate::finding::{Finding, Findings};
use crate::{Data, Request};

/// Accuracy that an integer model may lose unless the auditor says otherwise: 0.05.
pub const DEFAULT_ACCURACY_LOSS: f64 = 0.05;
/// Most classes whose matrices stand in a report.
const MAX_CLASSES: usize = 64;

/// How both models compare on the auditor's data.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Accuracy {
    /// Samples compared.
    pub samples: u64,
    /// Accuracy of the float model, 0 to 1, when the data have labels.
    pub float_accuracy: Option<f64>,
    /// Accuracy of the integer model, 0 to 1, when the data have labels.
    pub integer_accuracy: Option<f64>,
    /// Share of samples to which both models give the same class, 0 to 1.
    pub agreement: f64,
    /// What the manifest claims of the float model's accuracy.
    pub claimed_float_accuracy: Option<f64>,
    /// What the manifest claims of the integer model's accuracy.
    pub claimed_integer_accuracy: Option<f64>,
    /// What the manifest claims of how often both give the same class.
    pub claimed_agreement: Option<f64>,
    /// Largest difference between a float output and the dequantized integer output.
    pub largest_output_difference: Option<f64>,
    /// Mean difference between a float output and the dequantized integer output.
    pub mean_output_difference: Option<f64>,
    /// Names of the classes, or their numbers; empty above 64 classes.
    pub classes: Vec<String>,
    /// For each class of the float model, how often the integer model gives each class.
    pub float_to_integer: Vec<Vec<u64>>,
    /// For each right class, how often the integer model gives each class; empty without labels.
    pub label_to_integer: Vec<Vec<u64>>,
}

pub(crate) fn check(
    request: &Request,
    package: &Package,
    findings: &mut Findings,
) -> Result<Option<Accuracy>, AuditError> {
    let Some(data) = &request.data else {
        findings.not_reached(
            &[Check::AccuracyModel, Check::Accuracy, Check::AccuracyClaim],
            "You gave no data, so how well the integer model does what the float model does is \
             only known from the manifest, that is from whoever made the package.",
            "give labelled samples of your own with --data, and the float model with --float",
        );
        return Ok(None);
    };
    if let Some(path) = &data.float_model {
        File::open(path).map_err(|source| AuditError::unreadable(path, source))?;
    }
    findings.add(named(package, data));
    match float_model(package, data).and_then(|model| measure(package, data, &model)) {
        Ok(comparison) => {
            let accuracy = summarize(package, data, &comparison);
            findings.add(judge(package, data, &accuracy));
            findings.add(claims(package, data, &accuracy));
            Ok(Some(accuracy))
        }
        Err(reason) => {
            let remedy =
                "give the float model with --float and data that fit its inputs with --data";
            for check in [Check::Accuracy, Check::AccuracyClaim] {
                let meaning = "The two models could not be compared on your data.";
                findings
                    .add(Finding::not_checked(check, meaning, remedy).evidence("reason", &reason));
            }
            Ok(None)
        }
    }
}

/// Whether the float model is the manifest's.
fn named(package: &Package, data: &Data) -> Finding {
    let check = Check::AccuracyModel;
    let Some(record) = &package.manifest().float_model else {
        return Finding::not_checked(
            check,
            "The manifest names no float model: the package does not say what it was made from.",
            "ask the operator which float model it was, and compare with that one",
        );
    };
    let (path, whose) = match &data.float_model {
        Some(path) => (path.clone(), "that you gave"),
        None => (package.path_of(&record.file), "in the package"),
    };
    if data.float_model.is_none() && !path.exists() {
        return Finding::not_checked(
            check,
            "The float model is not in the folder, and you gave none.",
            "ask the operator for it, or give the one that you were promised with --float",
        )
        .evidence("the manifest's", record.digest);
    }
    let got = match proofmark_prover::key_file::digest(&path) {
        Ok(got) => got,
        Err(error) => {
            return Finding::not_checked(
                check,
                "The float model cannot be read.",
                "give another copy of it with --float",
            )
            .evidence("reason", error);
        }
    };
    if got == record.digest {
        Finding::pass(
            check,
            format!(
                "The float model {whose} is the one that the manifest names. That the integer model \
                 was made from it is the operator's word; how they compare is below."
            ),
        )
    } else {
        Finding::fail(
            check,
            format!(
                "The float model {whose} is not the one that the manifest names. Who was promised \
                 this model is served one that was made from another."
            ),
        )
        .remedy("ask the operator which model was quantized, and for a package made from yours")
        .evidence("compared with", path.display())
    }
    .evidence("digest", got)
    .evidence("the manifest's", record.digest)
}

/// The float model to compare with.
fn float_model(package: &Package, data: &Data) -> Result<Model, String> {
    if let Some(path) = &data.float_model {
        return proofmark_onnx::load(path, &Limits::default()).map_err(|e| e.to_string());
    }
    let record = package.manifest().float_model.as_ref();
    let record = record.ok_or("the package holds no float model")?;
    let bytes = package.read(record).map_err(|error| error.to_string())?;
    proofmark_onnx::parse(&bytes, &Limits::default()).map_err(|e| e.to_string())
}

fn measure(package: &Package, data: &Data, float: &Model) -> Result<Comparison, String> {
    let manifest = package.manifest();
    let quantized = Quantized {
        model: package.integer_model().map_err(|error| error.to_string())?,
        inputs: manifest.inputs.clone(),
        outputs: manifest.outputs.clone(),
        notes: Vec::new(),
        reference: manifest
            .validation
            .reference
            .as_ref()
            .map(|reference| reference.level),
        inexact: Vec::new(),
    };
    compare(float, &quantized, &data.samples).map_err(|error| error.to_string())
}

fn summarize(package: &Package, data: &Data, comparison: &Comparison) -> Accuracy {
    let report = &comparison.report;
    let output = package.manifest().outputs.first();
    let count = output.and_then(|output| output.shape.last().copied());
    let named = output.and_then(|output| {
        output.views.iter().find_map(|view| match view {
            View::ArgMax { labels } => Some(labels.clone()),
            View::Dequantize { .. } | View::Softmax { .. } => None,
        })
    });
    let count = count.filter(|&count| {
        let fits = |pair: &Classes| pair.float < count && pair.integer < count;
        (2..=MAX_CLASSES).contains(&count) && comparison.classes.iter().all(fits)
    });
    let classes = count.map_or_else(Vec::new, |count| {
        named.unwrap_or_else(|| (0..count).map(|at| at.to_string()).collect())
    });
    let matrix = |pairs: &mut dyn Iterator<Item = (usize, usize)>| {
        let mut matrix = vec![vec![0_u64; classes.len()]; classes.len()];
        for (row, column) in pairs {
            if let Some(cell) = matrix.get_mut(row).and_then(|row| row.get_mut(column)) {
                *cell += 1;
            }
        }
        matrix
    };
    let pairs = comparison.classes.iter();
    let float_to_integer = matrix(&mut pairs.clone().map(|pair| (pair.float, pair.integer)));
    // Labels that are no classes of the output gave no accuracy, so they give no matrix.
    let labels = data.samples.labels.iter().flatten().copied();
    let label_to_integer = match report.integer_accuracy {
        Some(_) => matrix(&mut labels.zip(pairs.map(|pair| pair.integer))),
        None => Vec::new(),
    };
    let claimed = &package.manifest().validation;
    Accuracy {
        claimed_float_accuracy: claimed.float_accuracy,
        claimed_integer_accuracy: claimed.integer_accuracy,
        claimed_agreement: claimed.agreement,
        samples: report.checked_samples,
        float_accuracy: report.float_accuracy,
        integer_accuracy: report.integer_accuracy,
        agreement: report.agreement.unwrap_or_default(),
        largest_output_difference: report.largest_output_difference,
        mean_output_difference: report.mean_output_difference,
        classes,
        float_to_integer,
        label_to_integer,
    }
}

fn percent(share: f64) -> String {
    format!("{:.2} %", share * 100.0)
}

fn judge(package: &Package, data: &Data, accuracy: &Accuracy) -> Finding {
    let check = Check::Accuracy;
    let finding = match (accuracy.float_accuracy, accuracy.integer_accuracy) {
        (Some(float), Some(integer)) => {
            let finding = if float - integer > data.max_loss {
                Finding::fail(
                    check,
                    "On your data the integer model, which is what is served and proven, is clearly \
                     less accurate than the float model: who was promised the float model's quality \
                     does not get it.",
                )
                .remedy(
                    "ask the operator to calibrate on data like yours, or accept the loss with \
                     --accuracy-loss",
                )
            } else {
                Finding::pass(
                    check,
                    "On your data the integer model is about as accurate as the float model.",
                )
            };
            finding
                .evidence("accuracy of the float model", percent(float))
                .evidence("accuracy of the integer model", percent(integer))
                .evidence("loss that you accept", percent(data.max_loss))
        }
        _ if 1.0 - accuracy.agreement > data.max_loss => Finding::fail(
            check,
            "On your data the integer model, which is what is served and proven, often gives \
             another class than the float model. Without labels it is not known which is right.",
        )
        .remedy(
            "give labels with the data (array `y`), or accept the disagreement with --accuracy-loss",
        )
        .evidence("disagreement that you accept", percent(data.max_loss)),
        _ => Finding::pass(
            check,
            "On your data both models mostly give the same class. Your data have no labels that fit \
             the output, so how often they are right is not known.",
        ),
    };
    let finding = finding
        .evidence("samples", accuracy.samples)
        .evidence("same class", percent(accuracy.agreement));
    match outside(package, data) {
        Some(share) => finding.evidence("input values beyond the calibrated range", percent(share)),
        None => finding,
    }
}

/// Share of the input values that the quantizers cut to their range: many of them mean that the
/// package was calibrated on data unlike these.
fn outside(package: &Package, data: &Data) -> Option<f64> {
    let (mut cut, mut all) = (0_u64, 0_u64);
    for spec in &package.manifest().inputs {
        let Some(quantizer) = &spec.quantizer else {
            continue;
        };
        let run = match quantizer.axis {
            None => usize::MAX,
            Some(axis) => spec.shape.iter().skip(axis + 1).product::<usize>().max(1),
        };
        for values in data.samples.inputs.get(&spec.name)? {
            let parameters = quantizer.scale.iter().zip(&quantizer.zero_point).cycle();
            for (values, (scale, zero)) in values.chunks(run).zip(parameters) {
                // Half a step beyond the ends still rounds to them.
                let (scale, zero) = (f64::from(*scale), f64::from(*zero));
                let low = (f64::from(spec.elem.min()) - zero - 0.5) * scale;
                let high = (f64::from(spec.elem.max()) - zero + 0.5) * scale;
                for value in values.iter().map(|value| f64::from(*value)) {
                    all += 1;
                    cut += u64::from(value < low || value > high);
                }
            }
        }
    }
    #[expect(
        clippy::cast_precision_loss,
        reason = "a share, shown with two decimals"
    )]
    let share = (all > 0).then(|| cut as f64 / all as f64);
    share
}

/// How far a share measured on this many samples may lie from the true one: three standard
/// deviations where these are largest.
fn chance(samples: u64) -> f64 {
    #[expect(clippy::cast_precision_loss, reason = "a count of samples")]
    let samples = samples.max(1) as f64;
    1.5 / samples.sqrt()
}

/// What the manifest says of the models, against what was measured.
fn claims(package: &Package, data: &Data, accuracy: &Accuracy) -> Finding {
    let check = Check::AccuracyClaim;
    let claimed = &package.manifest().validation;
    let pairs = [
        (
            "accuracy of the float model",
            claimed.float_accuracy,
            accuracy.float_accuracy,
        ),
        (
            "accuracy of the integer model",
            claimed.integer_accuracy,
            accuracy.integer_accuracy,
        ),
        ("same class", claimed.agreement, Some(accuracy.agreement)),
    ];
    let margin = data.max_loss + chance(accuracy.samples);
    let (mut compared, mut open, mut worse) = (Vec::new(), Vec::new(), Vec::new());
    for (what, claim, measured) in pairs {
        match (claim, measured) {
            (Some(claim), Some(measured)) => {
                compared.push((what, claim, measured));
                if claim - measured > margin {
                    worse.push(what);
                }
            }
            (Some(_), None) => open.push(what),
            (None, _) => {}
        }
    }
    let finding = if !worse.is_empty() {
        Finding::fail(
            check,
            format!(
                "The manifest claims more than your data show ({}), by more than chance and the loss \
                 that you accept explain: the claim was made up, or measured on data unlike yours.",
                worse.join(", ")
            ),
        )
        .remedy(
            "do not rely on the manifest's figures; ask the operator for the data that they were \
             measured on",
        )
    } else if !open.is_empty() {
        Finding::not_checked(
            check,
            "Your data have no labels that fit the output, so the accuracy that the manifest claims \
             cannot be compared.",
            "give labels with the data (array `y`)",
        )
    } else if compared.is_empty() {
        Finding::pass(check, "The manifest claims no figures.")
    } else {
        Finding::pass(
            check,
            "On your data the models do as well as the manifest claims, within chance and the loss \
             that you accept.",
        )
    };
    compared
        .into_iter()
        .fold(finding, |finding, (what, claim, measured)| {
            finding
                .evidence(&format!("{what}, claimed"), percent(claim))
                .evidence(&format!("{what}, on your data"), percent(measured))
        })
        .evidence("difference allowed", percent(margin))
        .evidence(
            "samples that it was calibrated on, by the manifest",
            claimed.calibration_samples,
        )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn chance_falls_with_the_root_of_the_samples() {
        assert!((chance(100) - 0.15).abs() < 1e-12);
        assert!((chance(10_000) - 0.015).abs() < 1e-12);
        assert!(chance(0) > 1.0);
    }
}

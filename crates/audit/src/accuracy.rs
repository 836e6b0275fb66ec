//! Step 7: both models on the auditor's own data.

use proofmark_onnx::{Limits, Model};
use proofmark_package::Package;
use proofmark_quantizer::{Classes, Comparison, Quantized, compare};
use proofmark_types::manifest::View;
use serde::Serialize;

use crate::check::Check;
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
) -> Option<Accuracy> {
    let check = Check::Accuracy;
    let Some(data) = &request.data else {
        findings.add(Finding::not_checked(
            check,
            "You gave no data, so how well the integer model does what the float model does is \
             only known from the manifest, that is from whoever made the package.",
            "give labelled samples of your own with --data, and the float model with --float",
        ));
        return None;
    };
    let compared = float_model(package, data)
        .and_then(|(model, sealed)| Ok((measure(package, data, &model)?, sealed)));
    match compared {
        Ok((comparison, sealed)) => {
            let accuracy = summarize(package, data, &comparison);
            findings.add(judge(package, data, &accuracy, sealed));
            Some(accuracy)
        }
        Err(reason) => {
            findings.add(
                Finding::not_checked(
                    check,
                    "The two models could not be compared on your data.",
                    "give the float model with --float and data that fit its inputs with --data",
                )
                .evidence("reason", reason),
            );
            None
        }
    }
}

/// The float model, and whether it is the one that the manifest names.
fn float_model(package: &Package, data: &Data) -> Result<(Model, Option<bool>), String> {
    let record = package.manifest().float_model.as_ref();
    if let Some(path) = &data.float_model {
        let model = proofmark_onnx::load(path, &Limits::default()).map_err(|e| e.to_string())?;
        let digest = proofmark_prover::key_file::digest(path).map_err(|e| e.to_string())?;
        return Ok((model, record.map(|record| record.digest == digest)));
    }
    let record = record.ok_or("the package holds no float model")?;
    let bytes = package.read(record).map_err(|error| error.to_string())?;
    let model = proofmark_onnx::parse(&bytes, &Limits::default()).map_err(|e| e.to_string())?;
    Ok((model, Some(true)))
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
    Accuracy {
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

fn judge(package: &Package, data: &Data, accuracy: &Accuracy, sealed: Option<bool>) -> Finding {
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
                .remedy("ask the operator to calibrate on data like yours, or accept the loss")
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
        .remedy("give labels with the data (array `y`), or accept the disagreement")
        .evidence("disagreement that you accept", percent(data.max_loss)),
        _ => Finding::pass(
            check,
            "On your data both models mostly give the same class. Your data have no labels that fit \
             the output, so how often they are right is not known.",
        ),
    };
    let claims = &package.manifest().validation;
    let claim = |label: &str, finding: Finding, value: Option<f64>| match value {
        Some(value) => finding.evidence(label, percent(value)),
        None => finding,
    };
    let finding = finding
        .evidence("samples", accuracy.samples)
        .evidence("same class", percent(accuracy.agreement));
    let finding = claim(
        "accuracy of the float model by the manifest",
        finding,
        claims.float_accuracy,
    );
    let finding = claim(
        "accuracy of the integer model by the manifest",
        finding,
        claims.integer_accuracy,
    );
    finding.evidence(
        "float model",
        match sealed {
            Some(true) => "the one that the manifest names",
            Some(false) => "yours, which is not the one that the manifest names",
            None => "yours; the manifest names none",
        },
    )
}

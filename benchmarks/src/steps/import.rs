//! A model of the catalogue: its original, its draft and samples, in one folder.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::time::Instant;

use anyhow::{Context as _, Result};
use proofmark_engine::ImportOptions;
use proofmark_onnx::{Limits, Model};
use proofmark_package::Package;
use proofmark_quantizer::{Calibration, Samples};
use serde::{Deserialize, Serialize};

use super::plain_circuit;
use crate::builder::parameters;
use crate::catalogue::{self, Heldout, Source};
use crate::networks;

/// Samples that are handed to the systems; each proves the first few of them.
const SAMPLES: usize = 100;

/// Operators whose outputs are no activations: they move elements, or are linear and left in int32.
const NO_ACTIVATIONS: [&str; 19] = [
    "Add",
    "Cast",
    "Concat",
    "ConvInteger",
    "DepthToSpace",
    "Expand",
    "Flatten",
    "Identity",
    "MatMulInteger",
    "Pad",
    "ReduceSum",
    "Reshape",
    "Resize",
    "Slice",
    "SpaceToDepth",
    "Squeeze",
    "Sub",
    "Transpose",
    "Unsqueeze",
];

/// What there is of a model, in one folder.
pub(crate) const ORIGINAL: &str = "original.onnx";
/// The draft's folder.
pub(crate) const DRAFT: &str = "draft";
/// Inputs as the original takes them: a list of lists of numbers.
pub(crate) const SAMPLES_FILE: &str = "samples.json";
/// Class of the original model for each of these inputs; absent where it tells no classes.
pub(crate) const CLASSES_FILE: &str = "classes.json";

/// What an import tells.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct ImportReport {
    /// Seconds for quantizing, comparing and validating; absent for a draft that is committed.
    pub(crate) import_s: Option<f64>,
    /// Weights and biases of the original.
    pub(crate) parameters: u64,
    /// Output elements of the integer model's nodes that are not linear: requantized, pooled, looked up.
    pub(crate) activations: u64,
    /// Constraints of the plain circuit.
    pub(crate) constraints: u64,
    /// Share of held-out samples in whose class original and integer model agree.
    pub(crate) agreement: Option<f64>,
    /// Held-out samples that were compared.
    pub(crate) agreement_samples: Option<u64>,
}

/// Imports a model.
pub(crate) fn run(name: &str, out: &Path) -> Result<ImportReport> {
    fs::create_dir_all(out)?;
    let entry = catalogue::entry(name)?;
    let original = out.join(ORIGINAL);
    let draft = out.join(DRAFT);
    let mut report = ImportReport::default();
    let start = Instant::now();
    let heldout = match &entry.source {
        Source::Trained => {
            let folder = catalogue::trained_folder(name);
            fs::copy(folder.join("float.onnx"), &original)?;
            fs::create_dir_all(&draft)?;
            for file in ["integer.onnx", "float.onnx", "manifest.json"] {
                fs::copy(folder.join(file), draft.join(file))
                    .with_context(|| format!("{}/{file}", folder.display()))?;
            }
            catalogue::trained_heldout(name)?
        }
        Source::Made => {
            let network = networks::make(name)?;
            fs::write(&original, proofmark_onnx::encode(&network.model))?;
            let options = ImportOptions {
                calibration: Calibration {
                    inputs: [("x".to_owned(), network.calibration)].into(),
                },
                ..options(name)
            };
            proofmark_engine::import(&original, &draft, &options)?;
            report.import_s = Some(start.elapsed().as_secs_f64());
            Heldout {
                x: network.samples,
                labels: None,
            }
        }
        Source::ThirdParty(model) => {
            fs::copy(model.path(), &original)?;
            let heldout = model.heldout()?;
            let read = proofmark_onnx::load(&original, &Limits::default())?;
            let options = ImportOptions {
                samples: Some(samples(&read, &heldout)?),
                reference: model.reference,
                accept_drift: Some(1.0),
                ..options(name)
            };
            proofmark_engine::import(&original, &draft, &options)?;
            report.import_s = Some(start.elapsed().as_secs_f64());
            heldout
        }
    };
    let package = Package::open(&draft)?;
    if heldout.labels.is_some() {
        let validation = &package.manifest().validation;
        report.agreement = validation.agreement;
        report.agreement_samples = validation.agreement.map(|_| validation.checked_samples);
    }
    drop(package);
    let kept: Vec<&Vec<f32>> = heldout.x.iter().take(SAMPLES).collect();
    fs::write(out.join(SAMPLES_FILE), serde_json::to_vec(&kept)?)?;
    describe(&original, &draft, &mut report)?;
    if heldout.labels.is_some() {
        let classes = classes(&original, &kept)?;
        fs::write(out.join(CLASSES_FILE), serde_json::to_vec(&classes)?)?;
    }
    Ok(report)
}

fn options(name: &str) -> ImportOptions {
    ImportOptions {
        name: name.to_owned(),
        version: "1".to_owned(),
        ..ImportOptions::default()
    }
}

fn samples(model: &Model, heldout: &Heldout) -> Result<Samples> {
    let input = model.graph.inputs.first().context("the model's input")?;
    Ok(Samples {
        inputs: [(input.name.clone(), heldout.x.clone())].into(),
        labels: heldout.labels.clone(),
    })
}

fn describe(original: &Path, draft: &Path, report: &mut ImportReport) -> Result<()> {
    report.parameters = parameters(&proofmark_onnx::load(original, &Limits::default())?);
    let (_, plan, _) = plain_circuit(draft)?;
    let (circuit, costs) = plan.circuit_with_costs()?;
    report.constraints = circuit.r1cs.num_constraints() as u64;
    // The boundary is named in parentheses, as no operator is.
    let nodes = costs.iter().filter(|cost| !cost.node.starts_with('('));
    report.activations = nodes
        .filter(|cost| !NO_ACTIVATIONS.contains(&cost.op_type.as_str()))
        .map(|cost| cost.elements as u64)
        .sum();
    Ok(())
}

/// Index of the largest output of the original for each sample.
fn classes(original: &Path, samples: &[&Vec<f32>]) -> Result<Vec<usize>> {
    use proofmark_runtime::{AnySession, FloatTensor, OptLevel, Value};
    use proofmark_types::IntTensor;
    proofmark_runtime::init()?;
    let model = proofmark_onnx::load(original, &Limits::default())?;
    let input = model.graph.inputs.first().context("an input")?;
    let shape: Vec<usize> = match input.static_shape() {
        Some(shape) => shape,
        // An open dimension is the batch.
        None => input
            .dims
            .iter()
            .flatten()
            .map(|dim| match dim {
                proofmark_onnx::Dim::Static(n) => *n,
                proofmark_onnx::Dim::Symbolic(_) => 1,
            })
            .collect(),
    };
    let session = AnySession::load(&fs::read(original)?, OptLevel::DisableAll)?;
    samples
        .iter()
        .map(|sample| {
            let value = match input.ty {
                proofmark_onnx::ValueType::Int(elem) => {
                    let data = sample.iter().copied().map(super::integer).collect();
                    Value::Int(IntTensor::new(elem, shape.clone(), data)?)
                }
                _ => Value::Float(FloatTensor::new(shape.clone(), (*sample).clone())?),
            };
            let outputs = session.run(&BTreeMap::from([(input.name.clone(), value)]))?;
            let output = model.graph.outputs.first().context("an output")?;
            let values: Vec<f64> = match outputs.get(&output.name).context("its value")? {
                Value::Int(tensor) => tensor.data().iter().copied().map(f64::from).collect(),
                Value::Float(tensor) => tensor.data.iter().copied().map(f64::from).collect(),
            };
            let best = values
                .iter()
                .enumerate()
                .rev()
                .max_by(|a, b| a.1.total_cmp(b.1));
            Ok(best.map_or(0, |(index, _)| index))
        })
        .collect()
}

//! A model of the catalogue: its original, its draft and samples, in one folder.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Instant;

use anyhow::{Context as _, Result};
use proofmark_engine::ImportOptions;
use proofmark_onnx::{Dim, Limits, Model, ValueType};
use proofmark_package::Package;
use proofmark_quantizer::{Calibration, Samples};
use proofmark_runtime::{AnySession, FloatTensor, OptLevel, Value};
use proofmark_types::IntTensor;
use proofmark_types::manifest::ReferenceLevel;
use serde::{Deserialize, Serialize};

use super::planned;
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
    /// Why there is no draft, where the import was refused.
    pub(crate) refused: Option<String>,
    /// Weights and biases of the original.
    pub(crate) parameters: u64,
    /// Output elements of the integer model's nodes that are not linear: requantized, pooled, looked up.
    pub(crate) activations: u64,
    /// Share of held-out samples in whose class original and integer model agree.
    pub(crate) agreement: Option<f64>,
    /// Held-out samples that were compared.
    pub(crate) agreement_samples: Option<u64>,
}

/// A model of the catalogue, before any import.
struct Material {
    /// The original's bytes.
    original: Vec<u8>,
    /// Inputs that ranges are taken from, for a float model without a draft.
    calibration: Option<Vec<Vec<f32>>>,
    /// Inputs to prove.
    heldout: Heldout,
    /// The draft, where one is committed.
    committed: Option<PathBuf>,
    /// For a quantized model: the level of its reference.
    reference: Option<ReferenceLevel>,
}

fn material(name: &str) -> Result<Material> {
    Ok(match catalogue::entry(name)?.source {
        Source::Trained => {
            let folder = catalogue::trained_folder(name);
            Material {
                original: fs::read(folder.join("float.onnx"))?,
                calibration: None,
                heldout: catalogue::trained_heldout(name)?,
                committed: Some(folder),
                reference: None,
            }
        }
        Source::Made => {
            let network = networks::make(name)?;
            Material {
                original: proofmark_onnx::encode(&network.model),
                calibration: Some(network.calibration),
                heldout: Heldout {
                    x: network.samples,
                    labels: None,
                },
                committed: None,
                reference: None,
            }
        }
        Source::ThirdParty(model) => Material {
            original: fs::read(model.path())?,
            calibration: None,
            heldout: model.heldout()?,
            committed: None,
            reference: Some(model.reference),
        },
    })
}

/// Imports a model. What other systems need of it is there although the import is refused.
pub(crate) fn run(name: &str, out: &Path) -> Result<ImportReport> {
    fs::create_dir_all(out)?;
    let material = material(name)?;
    let original = out.join(ORIGINAL);
    fs::write(&original, &material.original)?;
    let model = proofmark_onnx::parse(&material.original, &Limits::default())?;
    let kept: Vec<&Vec<f32>> = material.heldout.x.iter().take(SAMPLES).collect();
    fs::write(out.join(SAMPLES_FILE), serde_json::to_vec(&kept)?)?;
    if material.heldout.labels.is_some() {
        let classes = classes(&model, &material.original, &kept)?;
        fs::write(out.join(CLASSES_FILE), serde_json::to_vec(&classes)?)?;
    }
    let mut report = ImportReport {
        parameters: parameters(&model),
        ..ImportReport::default()
    };
    if let Err(refusal) = draft(name, &model, &material, out, &mut report) {
        report.refused = Some(format!("{refusal:#}"));
    }
    Ok(report)
}

/// Makes the draft, or copies the one that is committed, and describes it.
fn draft(
    name: &str,
    model: &Model,
    material: &Material,
    out: &Path,
    report: &mut ImportReport,
) -> Result<()> {
    let draft = out.join(DRAFT);
    if let Some(folder) = &material.committed {
        fs::create_dir_all(&draft)?;
        for file in ["integer.onnx", "float.onnx", "manifest.json"] {
            fs::copy(folder.join(file), draft.join(file))
                .with_context(|| format!("{}/{file}", folder.display()))?;
        }
    } else {
        let start = Instant::now();
        let options = options(name, model, material)?;
        proofmark_engine::import(&out.join(ORIGINAL), &draft, &options)?;
        report.import_s = Some(start.elapsed().as_secs_f64());
    }
    let package = Package::open(&draft)?;
    if material.heldout.labels.is_some() {
        let validation = &package.manifest().validation;
        report.agreement = validation.agreement;
        report.agreement_samples = validation.agreement.map(|_| validation.checked_samples);
    }
    let (integer, plan) = planned(&package)?;
    let facts = plan.facts();
    let nodes = integer.graph.nodes.iter();
    report.activations = nodes
        .filter(|node| !NO_ACTIVATIONS.contains(&node.op_type.as_str()))
        .filter_map(|node| facts.get(node.output(0)?))
        .map(|fact| fact.len() as u64)
        .sum();
    Ok(())
}

fn options(name: &str, model: &Model, material: &Material) -> Result<ImportOptions> {
    let input = model.graph.inputs.first().context("the model's input")?;
    let by_name = |x: &Vec<Vec<f32>>| BTreeMap::from([(input.name.clone(), x.clone())]);
    let options = ImportOptions {
        name: name.to_owned(),
        version: "1".to_owned(),
        calibration: Calibration {
            inputs: material
                .calibration
                .as_ref()
                .map(by_name)
                .unwrap_or_default(),
        },
        ..ImportOptions::default()
    };
    Ok(match material.reference {
        Some(reference) => ImportOptions {
            reference,
            samples: Some(Samples {
                inputs: by_name(&material.heldout.x),
                labels: material.heldout.labels.clone(),
            }),
            // Speed is measured here, agreement told; tests/third_party judges drift.
            accept_drift: Some(1.0),
            ..options
        },
        None => options,
    })
}

/// Index of the largest output of the original for each sample.
fn classes(model: &Model, bytes: &[u8], samples: &[&Vec<f32>]) -> Result<Vec<usize>> {
    proofmark_runtime::init()?;
    let input = model.graph.inputs.first().context("an input")?;
    let shape: Vec<usize> = match input.static_shape() {
        Some(shape) => shape,
        // An open dimension is the batch.
        None => input
            .dims
            .iter()
            .flatten()
            .map(|dim| match dim {
                Dim::Static(n) => *n,
                Dim::Symbolic(_) => 1,
            })
            .collect(),
    };
    let session = AnySession::load(bytes, OptLevel::DisableAll)?;
    samples
        .iter()
        .map(|sample| {
            let value = match input.ty {
                ValueType::Int(elem) => {
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

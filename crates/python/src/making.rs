//! What a model's author does: import, inspect, setup.
#![expect(
    clippy::needless_pass_by_value,
    reason = "what Python hands over is given as a value"
)]

use std::collections::BTreeMap;
use std::path::PathBuf;

use proofmark_engine::{
    BackendChoice, Estimate, Fault, ImportOptions, NoProgress, circuit_backend, import,
    plan_package, seal,
};
use proofmark_onnx::{Limits, Model};
use proofmark_package::Package;
use proofmark_quantizer::{Calibration, Samples, is_quantized};
use proofmark_recipient::Kind;
use proofmark_types::manifest::{ReferenceLevel, Visibility};
use pyo3::pybacked::PyBackedBytes;
use pyo3::{PyResult, Python, pyfunction};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use crate::{asked, refused};

/// Bytes of a float32.
const FLOAT: usize = size_of::<f32>();

/// Samples of one input, or of the model's only input: how many there are, and their elements as
/// float32 in little endian, one sample after another.
pub(crate) type Rows = (Option<String>, usize, PyBackedBytes);

/// What the author says about the model, beside its samples.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Said {
    name: String,
    version: String,
    description: String,
    licence: String,
    labels: Vec<String>,
    visibility: BTreeMap<String, Visibility>,
    reference: ReferenceLevel,
    accept_drift: Option<f64>,
}

/// Imports a float or quantized ONNX model into a new draft folder: a JSON object with the draft's
/// digest and manifest.
#[pyfunction]
pub(crate) fn import_model(
    py: Python<'_>,
    model: PathBuf,
    out: PathBuf,
    said: &str,
    calibration: Vec<Rows>,
    heldout: Option<(Vec<Rows>, Option<Vec<usize>>)>,
) -> PyResult<String> {
    asked(py, || {
        let said: Said = read("import", said)?;
        let original = proofmark_onnx::load(&model, &Limits::default()).map_err(|e| fault(&e))?;
        let quantized = is_quantized(&original);
        let options = ImportOptions {
            name: said.name,
            version: said.version,
            description: said.description,
            licence: said.licence,
            labels: said.labels,
            visibility: said.visibility,
            calibration: Calibration {
                inputs: samples(&original, &calibration)?,
            },
            samples: match &heldout {
                Some((rows, labels)) => Some(Samples {
                    inputs: samples(&original, rows)?,
                    labels: labels.clone(),
                }),
                None => None,
            },
            reference: said.reference,
            accept_drift: said.accept_drift,
        };
        let draft = import(&model, &out, &options).map_err(|error| {
            let fault = Fault::from(&error);
            told(&if quantized {
                fault.refused_at(options.reference)
            } else {
                fault
            })
        })?;
        Ok(described(&draft).to_string())
    })
}

/// What proving the model of a package or draft takes: a JSON object as `proofmark inspect --json`
/// prints it, with the manifest.
#[pyfunction]
pub(crate) fn inspect(py: Python<'_>, folder: PathBuf) -> PyResult<String> {
    asked(py, || {
        let package = Package::open(&folder).map_err(|e| fault(&e))?;
        let manifest = package.manifest();
        let sealed = manifest.sealed.as_ref();
        let backend = sealed.map(|_| circuit_backend(manifest.compiler.backend));
        let (plan, _) = plan_package(&package).map_err(|e| fault(&e))?;
        let estimates = Estimate::all(&plan, backend).map_err(|e| fault(&e))?;
        let mut object = described(&package);
        if let (Value::Object(members), Some(first)) = (&mut object, estimates.first()) {
            members.extend(first.json());
            members.insert("nodes".to_owned(), first.nodes_json());
            let all: Vec<_> = estimates.iter().map(Estimate::json).collect();
            members.insert("backends".to_owned(), json!(all));
        }
        Ok(object.to_string())
    })
}

/// Makes the keys of a draft and seals it as a package: a JSON object with its digest and manifest.
#[pyfunction]
pub(crate) fn setup(
    py: Python<'_>,
    draft: PathBuf,
    out: PathBuf,
    backend: &str,
) -> PyResult<String> {
    asked(py, || {
        let choice = match backend {
            "auto" => BackendChoice::Auto,
            "plain" => BackendChoice::Plain,
            "lookup" => BackendChoice::Lookup,
            _ => {
                let detail = "backend: it is not auto, plain or lookup";
                return Err(refused(Kind::Request, "parameter-invalid", detail));
            }
        };
        let package = seal(&draft, &out, choice, &NoProgress).map_err(|e| fault(&e))?;
        Ok(described(&package).to_string())
    })
}

fn described(package: &Package) -> Value {
    json!({
        "folder": package.folder(),
        "digest": package.digest(),
        "manifest": package.manifest(),
    })
}

/// The text of a refusal.
pub(crate) fn fault<'e, E>(error: &'e E) -> String
where
    Fault: From<&'e E>,
{
    told(&Fault::from(error))
}

/// The same members as a verdict's, and the nodes that stand in the way.
fn told(fault: &Fault) -> String {
    let mut detail = fault.message.clone();
    // Some messages say their cause themselves.
    for cause in fault
        .causes
        .iter()
        .filter(|cause| !fault.message.ends_with(*cause))
    {
        detail.push_str(": ");
        detail.push_str(cause);
    }
    json!({
        "verdict": "rejected",
        "kind": fault.kind.name(),
        "code": fault.code,
        "detail": detail,
        "hint": fault.hint,
        "unsupported": fault.unsupported,
    })
    .to_string()
}

/// Reads what the package in Python wrote.
pub(crate) fn read<T: DeserializeOwned>(what: &str, text: &str) -> Result<T, String> {
    serde_json::from_str(text).map_err(|error| {
        let detail = format!("{what}: {error}");
        refused(Kind::Request, "parameter-invalid", &detail)
    })
}

/// The samples by the names of the model's inputs.
fn samples(model: &Model, given: &[Rows]) -> Result<BTreeMap<String, Vec<Vec<f32>>>, String> {
    let inputs = &model.graph.inputs;
    let mut samples = BTreeMap::new();
    for (name, count, bytes) in given {
        let name = match (name, inputs.as_slice()) {
            (Some(name), _) => name.clone(),
            (None, [only]) => only.name.clone(),
            (None, _) => {
                let names: Vec<&str> = inputs.iter().map(|input| input.name.as_str()).collect();
                let names = names.join(", ");
                let detail = format!("give the samples by input: the model has {names}");
                return Err(refused(Kind::Request, "samples-mismatch", &detail));
            }
        };
        let elements = bytes.len() / FLOAT;
        let whole = elements.is_multiple_of(*count) && bytes.len().is_multiple_of(FLOAT);
        if elements == 0 || !whole {
            let detail = format!("input {name:?}: {elements} elements are no {count} samples");
            return Err(refused(Kind::Request, "samples-mismatch", &detail));
        }
        let (floats, _) = bytes.as_chunks::<FLOAT>();
        let floats: Vec<f32> = floats
            .iter()
            .map(|four| f32::from_le_bytes(*four))
            .collect();
        let rows = floats.chunks_exact(elements / count).map(<[f32]>::to_vec);
        samples.insert(name, rows.collect());
    }
    Ok(samples)
}

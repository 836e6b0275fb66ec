//! Importing a model: float or quantized ONNX in, a draft package out.

use std::collections::BTreeMap;
use std::path::Path;

use proofmark_onnx::{Limits, Model};
use proofmark_ops::COMPILER_EPOCH;
use proofmark_package::{
    Contents, FLOAT_MODEL_FILE, INTEGER_MODEL_FILE, Package, describe, read_bounded,
};
use proofmark_quantizer::{
    Calibration, Options, Quantized, Samples, import_quantized, is_quantized, measure_drift,
    quantize, validate,
};
use proofmark_types::manifest::{
    Backend, CompilerPin, MANIFEST_FORMAT, Manifest, ReferenceLevel, ReferenceReport, RuntimePin,
    ValidationReport, Visibility,
};

use crate::error::EngineError;
use crate::seal::translation;

/// What the user says about the model.
#[derive(Debug, Clone, Default)]
pub struct ImportOptions {
    /// Package name.
    pub name: String,
    /// Package version.
    pub version: String,
    /// One paragraph for people.
    pub description: String,
    /// Licence of the model.
    pub licence: String,
    /// Class names of the last dimension of the outputs; empty for none.
    pub labels: Vec<String>,
    /// Visibility by tensor name; what is not named is public.
    pub visibility: BTreeMap<String, Visibility>,
    /// Samples that the quantization ranges are taken from.
    pub calibration: Calibration,
    /// Samples that float and integer model are compared on; the calibration samples when absent.
    pub samples: Option<Samples>,
    /// For a model that is quantized already: the level at which ONNX Runtime runs it as the
    /// reference.
    pub reference: ReferenceLevel,
    /// For a model that is quantized already: the share of output integers, 0 to 1, that may
    /// differ from the reference's. `None` for an import that must be exact.
    pub accept_drift: Option<f64>,
}

/// Imports a model into a new draft folder: quantizes a float model, or brings a model that
/// another tool has quantized (QOperator or QDQ format) into canonical form; compares both models;
/// validates the translation, for which the integer model is compiled, so
/// that a draft is known to be provable; writes the package.
///
/// # Errors
/// [`EngineError`]; for nodes that cannot be handled all of them are listed.
pub fn import(model: &Path, out: &Path, options: &ImportOptions) -> Result<Package, EngineError> {
    proofmark_runtime::init()?;
    let original = proofmark_onnx::load(model, &Limits::default())?;
    let original_bytes = self_contained(model, &original)?;
    let labels = Options {
        labels: options.labels.clone(),
        reference: options.reference,
    };
    let is_quantized = is_quantized(&original);
    let quantized = if is_quantized {
        import_quantized(&original, &labels)?
    } else {
        quantize(&original, &options.calibration, &labels)?
    };
    let samples = options.samples.clone().unwrap_or_else(|| Samples {
        inputs: options.calibration.inputs.clone(),
        labels: None,
    });
    // A quantized model can be imported without any sample: there is nothing to calibrate.
    let samples = (!samples.inputs.is_empty() || !is_quantized).then_some(&samples);
    let reference = if is_quantized {
        let report = measure_drift(&original, &quantized, samples)?;
        Some(accepted(report, options.accept_drift)?)
    } else {
        None
    };
    let mut validation = match samples {
        Some(samples) => validate(&original, &quantized, samples)?,
        None => ValidationReport::default(),
    };
    validation.reference = reference;
    validation.calibration_samples = if is_quantized {
        0
    } else {
        sample_count(&options.calibration.inputs)
    };
    draft(&original_bytes, quantized, validation, out, options)
}

/// The report, where it is within what is accepted.
fn accepted(
    mut report: ReferenceReport,
    accept: Option<f64>,
) -> Result<ReferenceReport, EngineError> {
    if accept.is_some_and(|rate| !(0.0..=1.0).contains(&rate)) {
        return Err(EngineError::AcceptedDrift);
    }
    if report.rate() > accept.unwrap_or_default() {
        return Err(EngineError::Drift(Box::new(report)));
    }
    if accept.is_none() && !report.inexact.is_empty() {
        return Err(EngineError::Inexact(Box::new(report)));
    }
    report.accepted_drift = accept;
    Ok(report)
}

/// The file's own bytes where it needs no other file; else the model with its external data
/// inside, so that the package is whole.
fn self_contained(path: &Path, float: &Model) -> Result<Vec<u8>, EngineError> {
    let limits = Limits::default();
    let bytes = read_bounded(path, limits.max_file_bytes)?;
    match proofmark_onnx::parse(&bytes, &limits) {
        Ok(parsed) if parsed == *float => Ok(bytes),
        Ok(_) | Err(_) => Ok(proofmark_onnx::encode(float)),
    }
}

fn sample_count(inputs: &BTreeMap<String, Vec<Vec<f32>>>) -> u64 {
    inputs.values().map(Vec::len).max().unwrap_or(0) as u64
}

fn draft(
    float_model: &[u8],
    quantized: Quantized,
    mut validation: ValidationReport,
    out: &Path,
    options: &ImportOptions,
) -> Result<Package, EngineError> {
    let Quantized {
        model,
        mut inputs,
        mut outputs,
        notes,
        ..
    } = quantized;
    validation.notes.extend(notes);
    let mut unknown: Vec<&String> = options.visibility.keys().collect();
    for (name, visibility) in inputs
        .iter_mut()
        .map(|i| (&i.name, &mut i.visibility))
        .chain(outputs.iter_mut().map(|o| (&o.name, &mut o.visibility)))
    {
        if let Some(&wanted) = options.visibility.get(name) {
            *visibility = wanted;
        }
        unknown.retain(|u| *u != name);
    }
    if let Some(name) = unknown.first() {
        return Err(EngineError::Input {
            name: (*name).clone(),
            reason: "the visibility policy names a tensor that is no input or output".to_owned(),
        });
    }
    let mut manifest = Manifest {
        format: MANIFEST_FORMAT.to_owned(),
        name: options.name.clone(),
        version: options.version.clone(),
        description: options.description.clone(),
        licence: options.licence.clone(),
        float_model: Some(describe(FLOAT_MODEL_FILE, float_model)),
        integer_model: describe(INTEGER_MODEL_FILE, &model),
        runtime: RuntimePin::current(),
        inputs,
        outputs,
        compiler: CompilerPin {
            epoch: COMPILER_EPOCH,
            backend: Backend::Groth16,
        },
        validation,
        translation: None,
        sealed: None,
    };
    let translation = translation(&mut manifest, &model)?;
    let contents = Contents {
        integer_model: &model,
        float_model: Some(float_model),
        translation: Some(&translation),
    };
    Ok(Package::write_draft(out, manifest, &contents)?)
}

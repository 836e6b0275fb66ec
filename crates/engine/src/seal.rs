//! Sealing a draft: circuit, keys, transcript, manifest.

use std::path::Path;

use proofmark_ops::{Plan, Policy, plan};
use proofmark_package::{
    Contents, FLOAT_MODEL_FILE, PROVING_KEY_FILE, Package, TRANSCRIPT_FILE, TRANSLATION_FILE,
    VERIFYING_KEY_FILE, describe,
};
use proofmark_prover::{Progress, SetupRecord, Transcript, key_file, setup};
use proofmark_types::Digest;
use proofmark_types::manifest::{CircuitRecord, Manifest, ModelFile, Sealed, SetupKind};
use proofmark_validation::{TranslationOptions, validate_translation};

use crate::error::EngineError;

/// The visibility policy that a manifest states.
pub fn policy_of(manifest: &Manifest) -> Policy {
    Policy {
        inputs: manifest.inputs.iter().map(|i| i.visibility).collect(),
        outputs: manifest.outputs.iter().map(|o| o.visibility).collect(),
    }
}

/// Reads the integer model of a package and plans it under the manifest's policy, checking that
/// manifest and model describe the same tensors.
pub(crate) fn plan_package(package: &Package) -> Result<(Plan, Vec<u8>), EngineError> {
    let bytes = package.integer_model()?;
    let model = proofmark_onnx::parse(&bytes, &proofmark_onnx::Limits::default())?;
    let manifest = package.manifest();
    let plan = plan(&model, &policy_of(manifest))?;
    let mismatch = |what: String| EngineError::ManifestMismatch { what };
    for (info, spec) in plan.inputs().iter().zip(&manifest.inputs) {
        if info.name != spec.name || info.fact.elem != spec.elem || info.fact.shape != spec.shape {
            return Err(mismatch(format!("input {:?}", spec.name)));
        }
    }
    for (info, spec) in plan.outputs().iter().zip(&manifest.outputs) {
        if info.name != spec.name || info.fact.elem != spec.elem || info.fact.shape != spec.shape {
            return Err(mismatch(format!("output {:?}", spec.name)));
        }
    }
    Ok((plan, bytes))
}

/// Validates the translation of a manifest's integer model on this machine, records the report in
/// the manifest and returns its bytes.
pub(crate) fn translation(manifest: &mut Manifest, model: &[u8]) -> Result<Vec<u8>, EngineError> {
    let options = TranslationOptions::default();
    let report = validate_translation(model, &policy_of(manifest), &options)?;
    let bytes = report.to_bytes()?;
    manifest.translation = Some(describe(TRANSLATION_FILE, &bytes));
    Ok(bytes)
}

/// Copies a draft into a new folder and seals it there with a single-party setup. The draft is
/// not changed. The translation is validated again: a draft's own report says what another machine
/// found, or nothing at all.
///
/// # Errors
/// [`EngineError`] when the draft is sealed already, its model cannot be compiled, ONNX Runtime
/// computes something else than is proven, or the folder is not empty.
pub fn seal(draft: &Path, out: &Path, progress: &dyn Progress) -> Result<Package, EngineError> {
    let source = Package::open(draft)?;
    if source.manifest().sealed.is_some() {
        return Err(proofmark_package::PackageError::Sealed {
            folder: draft.to_owned(),
        }
        .into());
    }
    let (plan, integer_model) = plan_package(&source)?;
    let float_model = match &source.manifest().float_model {
        Some(record) => Some(source.read(record)?),
        None => None,
    };
    debug_assert!(
        source
            .manifest()
            .float_model
            .as_ref()
            .is_none_or(|f| f.file == FLOAT_MODEL_FILE)
    );
    let circuit = plan.circuit()?;
    let circuit_digest = circuit.digest();
    let mut manifest = source.manifest().clone();
    let translation = translation(&mut manifest, &integer_model)?;
    let contents = Contents {
        integer_model: &integer_model,
        float_model: float_model.as_deref(),
        translation: Some(&translation),
    };
    let package = Package::write_draft(out, manifest, &contents)?;

    let key = setup(&circuit, progress)?;
    let verifying_key =
        proofmark_verifier::encode_verifying_key(&key.groth16.vk).map_err(EngineError::Rejected)?;
    let key_path = package.path_of(PROVING_KEY_FILE);
    let proving_key_digest = key_file::write(&key_path, &circuit_digest, &key)?;
    let proving_key_bytes = package.file_bytes(PROVING_KEY_FILE)?;
    let transcript = Transcript::new(
        SetupRecord::SingleParty,
        circuit_digest,
        proving_key_digest,
        Digest::of(&verifying_key),
    )
    .to_bytes();
    let sealed = Sealed {
        circuit: CircuitRecord {
            digest: circuit_digest,
            constraints: circuit.r1cs.num_constraints() as u64,
            wires: circuit.r1cs.num_wires as u64,
            public_inputs: circuit.r1cs.num_public as u64,
        },
        verifying_key: describe(VERIFYING_KEY_FILE, &verifying_key),
        proving_key: ModelFile {
            file: PROVING_KEY_FILE.to_owned(),
            digest: proving_key_digest,
            bytes: proving_key_bytes,
        },
        transcript: describe(TRANSCRIPT_FILE, &transcript),
        setup_kind: SetupKind::SingleParty,
    };
    Ok(package.seal(sealed, &verifying_key, &transcript)?)
}

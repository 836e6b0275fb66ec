//! Sealing a draft: circuit, keys, transcript, manifest.

use std::path::Path;

use proofmark_gadgets::{self as gadgets, Circuit};
use proofmark_ops::{Plan, Policy, compiler_epoch, plan};
use proofmark_package::{
    Contents, FLOAT_MODEL_FILE, PROVING_KEY_FILE, Package, TRANSCRIPT_FILE, TRANSLATION_FILE,
    VERIFYING_KEY_FILE, describe,
};
use proofmark_prover::ceremony::CeremonyRecord;
use proofmark_prover::shape::Shape;
use proofmark_prover::{
    Prediction, Progress, ProvingKey, SetupRecord, Transcript, key_file, setup,
};
use proofmark_types::Digest;
use proofmark_types::manifest::{
    Backend, CircuitRecord, CompilerPin, Manifest, ModelFile, Sealed, SetupKind,
};
use proofmark_validation::{TranslationOptions, validate_translation};

use crate::error::EngineError;

/// Which proof system a package is sealed for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum BackendChoice {
    /// Groth16 as every verifier of it knows it: ranges by bits, proofs of 256 bytes.
    Plain,
    /// Groth16 with one commitment: ranges and tables by lookups, proofs of 320 bytes.
    Lookup,
    /// The one whose proofs are predicted to take less time.
    #[default]
    Auto,
}

/// The circuits' name for a manifest's backend.
pub const fn circuit_backend(backend: Backend) -> gadgets::Backend {
    match backend {
        Backend::Groth16 => gadgets::Backend::Plain,
        Backend::Groth16Logup => gadgets::Backend::Committed,
    }
}

const fn manifest_backend(backend: gadgets::Backend) -> Backend {
    match backend {
        gadgets::Backend::Plain => Backend::Groth16,
        gadgets::Backend::Committed => Backend::Groth16Logup,
    }
}

/// What a proof of a circuit takes, by its counts.
///
/// # Errors
/// [`EngineError`] for a circuit that no key can be made for.
pub fn predict(circuit: &Circuit) -> Result<Prediction, EngineError> {
    Ok(Prediction::of(circuit)?)
}

/// Compiles a plan for the backend that is asked for; for [`BackendChoice::Auto`] for both.
fn compile(plan: &Plan, choice: BackendChoice) -> Result<Circuit, EngineError> {
    let compiled = |backend| plan.circuit_for(backend);
    Ok(match choice {
        BackendChoice::Plain => compiled(gadgets::Backend::Plain)?,
        BackendChoice::Lookup => compiled(gadgets::Backend::Committed)?,
        BackendChoice::Auto => {
            let lookup = compiled(gadgets::Backend::Committed)?;
            let plain = compiled(gadgets::Backend::Plain)?;
            if predict(&plain)?.time() <= predict(&lookup)?.time() {
                plain
            } else {
                lookup
            }
        }
    })
}

/// The visibility policy that a manifest states.
pub fn policy_of(manifest: &Manifest) -> Policy {
    Policy {
        inputs: manifest.inputs.iter().map(|i| i.visibility).collect(),
        outputs: manifest.outputs.iter().map(|o| o.visibility).collect(),
    }
}

/// Reads the integer model of a package and plans it under the manifest's policy, checking that
/// manifest and model describe the same tensors.
///
/// # Errors
/// [`EngineError`] when the model is not the manifest's, cannot be read or planned, or has other
/// tensors than the manifest says.
pub fn plan_package(package: &Package) -> Result<(Plan, Vec<u8>), EngineError> {
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
    let options = TranslationOptions {
        backend: circuit_backend(manifest.compiler.backend),
        ..TranslationOptions::default()
    };
    let report = validate_translation(model, &policy_of(manifest), &options)?;
    let bytes = report.to_bytes()?;
    manifest.translation = Some(describe(TRANSLATION_FILE, &bytes));
    Ok(bytes)
}

/// Compiles the circuit of a draft or package: for the backend that is asked for, or for the one that
/// the manifest names.
///
/// # Errors
/// [`EngineError`] when the model cannot be read or compiled.
pub fn compile_folder(
    folder: &Path,
    backend: Option<BackendChoice>,
) -> Result<Circuit, EngineError> {
    let package = Package::open(folder)?;
    let (plan, _) = plan_package(&package)?;
    match backend {
        Some(choice) => compile(&plan, choice),
        None => Ok(plan.circuit_for(circuit_backend(package.manifest().compiler.backend))?),
    }
}

/// Copies a draft into a new folder and seals it there with a single-party setup for a proof
/// system. The draft is not changed. The translation is validated again: a draft's own report says what another machine
/// found, or nothing at all.
///
/// # Errors
/// [`EngineError`] when the draft is sealed already, its model cannot be compiled, ONNX Runtime
/// computes something else than is proven, or the folder is not empty.
pub fn seal(
    draft: &Path,
    out: &Path,
    backend: BackendChoice,
    progress: &dyn Progress,
) -> Result<Package, EngineError> {
    let make = |circuit: &Circuit| Ok((setup(circuit, progress)?, None));
    seal_with(draft, out, backend, make)
}

/// As [`seal`], with the key of a ceremony, which the caller verified against the circuit that
/// [`compile_folder`] gives, phase 1 and all contributions.
///
/// # Errors
/// As [`seal`]; [`EngineError::Prover`] for a key of other dimensions than the circuit's.
pub fn seal_ceremony(
    draft: &Path,
    out: &Path,
    backend: BackendChoice,
    key: ProvingKey,
    record: CeremonyRecord,
) -> Result<Package, EngineError> {
    seal_with(draft, out, backend, |circuit| {
        key.check_shape(&Shape::new(circuit, key.form)?)?;
        Ok((key, Some(record)))
    })
}

fn seal_with(
    draft: &Path,
    out: &Path,
    backend: BackendChoice,
    make: impl FnOnce(&Circuit) -> Result<(ProvingKey, Option<CeremonyRecord>), EngineError>,
) -> Result<Package, EngineError> {
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
    let circuit = compile(&plan, backend)?;
    let circuit_digest = circuit.digest();
    let mut manifest = source.manifest().clone();
    manifest.compiler = CompilerPin {
        epoch: compiler_epoch(circuit.backend),
        backend: manifest_backend(circuit.backend),
    };
    let translation = translation(&mut manifest, &integer_model)?;
    let contents = Contents {
        integer_model: &integer_model,
        float_model: float_model.as_deref(),
        translation: Some(&translation),
    };
    let package = Package::write_draft(out, manifest, &contents)?;
    if let Some((_, card)) = source.card()? {
        package.write_card(&card)?;
    }

    let (key, ceremony) = make(&circuit)?;
    let verifying_key = proofmark_verifier::encode_verifying_key(key.verifying_key())
        .map_err(EngineError::Rejected)?;
    let key_path = package.path_of(PROVING_KEY_FILE);
    let proving_key_digest = key_file::write(&key_path, &circuit_digest, &key)?;
    let proving_key_bytes = package.file_bytes(PROVING_KEY_FILE)?;
    let verifying_key_digest = Digest::of(&verifying_key);
    let (setup_kind, transcript) = match ceremony {
        None => {
            let record = SetupRecord::SingleParty;
            let transcript = Transcript::new(
                record,
                circuit_digest,
                proving_key_digest,
                verifying_key_digest,
            );
            (SetupKind::SingleParty, transcript)
        }
        Some(record) => {
            let transcript = Transcript::of_ceremony(
                record,
                circuit_digest,
                proving_key_digest,
                verifying_key_digest,
            );
            (SetupKind::Ceremony, transcript)
        }
    };
    let transcript = transcript.to_bytes();
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
        setup_kind,
    };
    Ok(package.seal(sealed, &verifying_key, &transcript)?)
}

//! The whole way on a real model: import, seal, load, prove, verify; and what must be refused.

#![expect(
    clippy::unwrap_used,
    clippy::cast_precision_loss,
    reason = "a test that panics has failed; counts of samples are small"
)]

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use ndarray::{ArrayD, OwnedRepr};
use ndarray_npy::NpzReader;
use proofmark_engine::{
    BackendChoice, Engine, EngineError, EngineOptions, ImportOptions, NoProgress, ProveRequest,
    ServiceKey, circuit_backend, import, predict, seal,
};
use proofmark_ops::{Policy, plan};
use proofmark_quantizer::{Calibration, Samples};
use proofmark_types::context::Context;
use proofmark_types::manifest::{Backend, Manifest, Visibility};
use proofmark_types::{Digest, ElemType, IntTensor};
use proofmark_validation::TranslationReport;
use proofmark_verifier::{Expectations, Opening, Pins, verify_receipt};

fn models() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../models")
}

/// `x` of an archive as one vector a sample.
fn samples(path: &Path) -> Vec<Vec<f32>> {
    let mut archive = NpzReader::new(fs::File::open(path).unwrap()).unwrap();
    let floats: ArrayD<f32> = match archive.by_name::<OwnedRepr<f32>, ndarray::IxDyn>("x") {
        Ok(floats) => floats,
        Err(_) => archive
            .by_name::<OwnedRepr<u8>, ndarray::IxDyn>("x")
            .unwrap()
            .mapv(f32::from),
    };
    floats
        .outer_iter()
        .map(|sample| sample.iter().copied().collect())
        .collect()
}

fn labels(path: &Path) -> Vec<usize> {
    let mut archive = NpzReader::new(fs::File::open(path).unwrap()).unwrap();
    let labels: ArrayD<i64> = archive
        .by_name::<OwnedRepr<i64>, ndarray::IxDyn>("y")
        .unwrap();
    labels
        .iter()
        .map(|&label| usize::try_from(label).unwrap())
        .collect()
}

fn options(name: &str) -> ImportOptions {
    let folder = models().join(name);
    let calibration = samples(&folder.join("calibration.npz"));
    let heldout = samples(&folder.join("heldout.npz"));
    let input = input_name(name);
    ImportOptions {
        name: name.to_owned(),
        version: "1".to_owned(),
        description: "test".to_owned(),
        licence: "MIT OR Apache-2.0".to_owned(),
        calibration: Calibration {
            inputs: [(input.clone(), calibration)].into(),
        },
        samples: Some(Samples {
            inputs: [(input, heldout)].into(),
            labels: Some(labels(&folder.join("heldout.npz"))),
        }),
        ..ImportOptions::default()
    }
}

fn input_name(model: &str) -> String {
    let path = models().join(model).join("float.onnx");
    let model = proofmark_onnx::load(&path, &proofmark_onnx::Limits::default()).unwrap();
    model.graph.inputs[0].name.clone()
}

struct Sealed {
    _root: tempfile::TempDir,
    folder: PathBuf,
    digest: Digest,
    manifest: Manifest,
    key: ServiceKey,
}

const BACKENDS: [BackendChoice; 2] = [BackendChoice::Plain, BackendChoice::Lookup];

fn sealed(model: &str, options: &ImportOptions) -> Sealed {
    sealed_for(model, options, BackendChoice::Plain)
}

fn sealed_for(model: &str, options: &ImportOptions, backend: BackendChoice) -> Sealed {
    let root = tempfile::tempdir().unwrap();
    let draft = root.path().join("draft");
    import(&models().join(model).join("float.onnx"), &draft, options).unwrap();
    let folder = root.path().join("package");
    let package = seal(&draft, &folder, backend, &NoProgress).unwrap();
    let key = ServiceKey::load_or_create(&root.path().join("data")).unwrap();
    let manifest = package.manifest().clone();
    Sealed {
        digest: package.digest(),
        manifest,
        folder,
        key,
        _root: root,
    }
}

fn request(manifest: &Manifest, values: &[f32]) -> ProveRequest {
    let spec = &manifest.inputs[0];
    let tensor = spec
        .quantizer
        .as_ref()
        .unwrap()
        .quantize(values, &spec.shape, spec.elem)
        .unwrap();
    ProveRequest {
        inputs: [(spec.name.clone(), tensor)].into(),
        context: Context::off_chain([7; 32]),
        proved_at: 1_790_000_000,
    }
}

#[test]
fn a_float_model_becomes_a_receipt_that_its_recipient_verifies() {
    for backend in BACKENDS {
        a_receipt_that_its_recipient_verifies(backend);
    }
}

fn a_receipt_that_its_recipient_verifies(backend: BackendChoice) {
    let model = "risk-classifier";
    let sealed = sealed_for(model, &options(model), backend);
    let report = &sealed.manifest.validation;
    let (float, integer) = (
        report.float_accuracy.unwrap(),
        report.integer_accuracy.unwrap(),
    );
    let one_sample = 1.0 / report.checked_samples as f64;
    assert!(
        integer >= float - one_sample.max(0.005),
        "float {float}, integer {integer}"
    );

    let engine = Engine::load(&sealed.folder, Some(sealed.digest)).unwrap();
    let heldout = samples(&models().join(model).join("heldout.npz"));
    let proven = engine
        .prove(
            &request(&sealed.manifest, &heldout[0]),
            sealed.key.signing_key(),
        )
        .unwrap();

    // The recipient has the receipt, the manifest and the verifying key; nothing of the engine.
    let manifest = fs::read(sealed.folder.join("manifest.json")).unwrap();
    let verifying_key = fs::read(sealed.folder.join("verifying_key.bin")).unwrap();
    let pins = Pins::package(sealed.digest);
    let expect = Expectations {
        nonce: Some([7; 32]),
        ..Expectations::default()
    };
    verify_receipt(&proven.bytes, &pins, &manifest, &verifying_key, &expect).unwrap();

    let stale = Expectations {
        nonce: Some([8; 32]),
        ..Expectations::default()
    };
    assert!(verify_receipt(&proven.bytes, &pins, &manifest, &verifying_key, &stale).is_err());
    let other = Pins::package(Digest::of(b"another package"));
    assert!(verify_receipt(&proven.bytes, &other, &manifest, &verifying_key, &expect).is_err());
}

#[test]
fn hidden_tensors_are_committed_to_and_open_to_their_owner_only() {
    for backend in BACKENDS {
        hidden_tensors_open_to_their_owner_only(backend);
    }
}

fn hidden_tensors_open_to_their_owner_only(backend: BackendChoice) {
    let model = "risk-classifier";
    let mut options = options(model);
    let output = {
        let path = models().join(model).join("float.onnx");
        let float = proofmark_onnx::load(&path, &proofmark_onnx::Limits::default()).unwrap();
        float.graph.outputs[0].name.clone()
    };
    options.visibility = [
        (input_name(model), Visibility::Private),
        (output.clone(), Visibility::Hashed),
    ]
    .into();
    let sealed = sealed_for(model, &options, backend);
    let engine = Engine::load(&sealed.folder, None).unwrap();
    let heldout = samples(&models().join(model).join("heldout.npz"));
    let request = request(&sealed.manifest, &heldout[1]);
    let proven = engine.prove(&request, sealed.key.signing_key()).unwrap();
    let again = engine.prove(&request, sealed.key.signing_key()).unwrap();
    // A fresh salt each time: two receipts for one input do not show that it is one input.
    let commitment = |p: &proofmark_engine::Proven| p.envelope.receipt().inputs[0].value.clone();
    assert_ne!(commitment(&proven), commitment(&again));

    let manifest = fs::read(sealed.folder.join("manifest.json")).unwrap();
    let verifying_key = fs::read(sealed.folder.join("verifying_key.bin")).unwrap();
    let pins = Pins::package(sealed.digest);
    let input = &sealed.manifest.inputs[0].name;
    let salt = proofmark_types::field::fr_from_bytes(&proven.openings[0].salt).unwrap();
    let open = |tensor: IntTensor| Expectations {
        openings: vec![
            Opening {
                name: input.clone(),
                tensor,
                salt: Some(salt),
            },
            Opening {
                name: output.clone(),
                tensor: proven.outputs[0].1.clone(),
                salt: None,
            },
        ],
        ..Expectations::default()
    };
    let right = request.inputs[input].clone();
    verify_receipt(
        &proven.bytes,
        &pins,
        &manifest,
        &verifying_key,
        &open(right.clone()),
    )
    .unwrap();
    let mut data = right.data().to_vec();
    data[3] ^= 1;
    let wrong = IntTensor::new(ElemType::Uint8, right.shape().to_vec(), data).unwrap();
    assert!(
        verify_receipt(
            &proven.bytes,
            &pins,
            &manifest,
            &verifying_key,
            &open(wrong)
        )
        .is_err()
    );
}

#[test]
fn what_does_not_fit_the_model_is_the_callers_error() {
    let model = "risk-classifier";
    let sealed = sealed(model, &options(model));
    let engine = Engine::load(&sealed.folder, None).unwrap();
    let spec = &sealed.manifest.inputs[0];
    let elements = spec.shape.iter().product();
    let prove = |inputs: BTreeMap<String, IntTensor>| {
        let request = ProveRequest {
            inputs,
            context: Context::default(),
            proved_at: 0,
        };
        engine
            .prove(&request, sealed.key.signing_key())
            .err()
            .unwrap()
    };
    let tensor = |elem, shape: Vec<usize>| {
        let count = shape.iter().product();
        IntTensor::new(elem, shape, vec![0; count]).unwrap()
    };
    for inputs in [
        BTreeMap::new(),
        [(
            spec.name.clone(),
            tensor(ElemType::Int8, spec.shape.clone()),
        )]
        .into(),
        [(spec.name.clone(), tensor(spec.elem, vec![elements]))].into(),
        [
            (spec.name.clone(), tensor(spec.elem, spec.shape.clone())),
            ("another".to_owned(), tensor(spec.elem, vec![1])),
        ]
        .into(),
    ] {
        let error = prove(inputs);
        assert!(error.is_input(), "{error}");
        assert_eq!(error.code(), "input-mismatch");
    }
}

#[test]
fn a_package_that_was_tampered_with_does_not_load() {
    let model = "risk-classifier";
    let sealed = sealed(model, &options(model));
    assert!(Engine::load(&sealed.folder, Some(Digest::of(b"another"))).is_err());
    for file in [
        "integer.onnx",
        "verifying_key.bin",
        "proving_key.bin",
        "transcript.json",
        "translation.json",
        "manifest.json",
    ] {
        let path = sealed.folder.join(file);
        let bytes = fs::read(&path).unwrap();
        let mut changed = bytes.clone();
        let middle = changed.len() / 2;
        changed[middle] ^= 1;
        fs::write(&path, &changed).unwrap();
        assert!(
            Engine::load(&sealed.folder, None).is_err(),
            "{file} changed"
        );
        fs::write(&path, &bytes[..middle]).unwrap();
        assert!(
            Engine::load(&sealed.folder, None).is_err(),
            "{file} truncated"
        );
        fs::write(&path, &bytes).unwrap();
    }
    Engine::load(&sealed.folder, Some(sealed.digest)).unwrap();
}

#[test]
fn another_models_integers_under_this_package_do_not_load() {
    // The manifest is edited to name another model consistently: the circuit's digest tells.
    let model = "risk-classifier";
    let sealed = sealed(model, &options(model));
    let path = sealed.folder.join("integer.onnx");
    let limits = proofmark_onnx::Limits::default();
    let mut forged = proofmark_onnx::parse(&fs::read(&path).unwrap(), &limits).unwrap();
    let (name, weights) = forged
        .graph
        .initializers
        .iter()
        .find_map(|(name, t)| {
            t.ints()
                .filter(|i| i.len() > 64)
                .map(|i| (name.clone(), i.clone()))
        })
        .unwrap();
    let mut data = weights.data().to_vec();
    data[5] ^= 1;
    let changed = IntTensor::new(weights.elem(), weights.shape().to_vec(), data).unwrap();
    forged.graph.initializers.insert(name, changed.into());
    let bytes = proofmark_onnx::encode(&forged);
    fs::write(&path, &bytes).unwrap();
    let mut manifest = sealed.manifest.clone();
    manifest.integer_model = proofmark_package::describe("integer.onnx", &bytes);
    fs::write(
        sealed.folder.join("manifest.json"),
        manifest.to_bytes().unwrap(),
    )
    .unwrap();
    let error = Engine::load(&sealed.folder, None).err().unwrap();
    assert!(
        matches!(error, EngineError::CircuitDigest { .. }),
        "{error}"
    );
}

#[test]
fn a_package_whose_translation_was_not_validated_here_does_not_load() {
    let model = "risk-classifier";
    let sealed = sealed(model, &options(model));
    let load = |manifest: &Manifest, report: Option<&TranslationReport>| {
        let mut manifest = manifest.clone();
        let path = sealed.folder.join("translation.json");
        match report {
            Some(report) => {
                let bytes = report.to_bytes().unwrap();
                fs::write(&path, &bytes).unwrap();
                manifest.translation =
                    Some(proofmark_package::describe("translation.json", &bytes));
            }
            None => manifest.translation = None,
        }
        fs::write(
            sealed.folder.join("manifest.json"),
            manifest.to_bytes().unwrap(),
        )
        .unwrap();
        Engine::load(&sealed.folder, None)
    };
    let code = |result: Result<Engine, EngineError>| result.err().unwrap().code();
    let own = fs::read(sealed.folder.join("translation.json")).unwrap();
    let own = TranslationReport::parse(&own).unwrap();
    assert_eq!(own.integer_model, sealed.manifest.integer_model.digest);
    assert_eq!(code(load(&sealed.manifest, None)), "translation-missing");

    let mut other = own.clone();
    other.integer_model = Digest::of(b"another model");
    assert_eq!(
        code(load(&sealed.manifest, Some(&other))),
        "translation-mismatch"
    );
    let mut other = own.clone();
    other.circuit = Digest::of(b"another circuit");
    assert_eq!(
        code(load(&sealed.manifest, Some(&other))),
        "translation-mismatch"
    );
    let mut other = own.clone();
    other.runtime.onnxruntime = "1.30.0".to_owned();
    assert_eq!(
        code(load(&sealed.manifest, Some(&other))),
        "manifest-mismatch"
    );
    let mut other = own.clone();
    other.sample.pop();
    assert_eq!(
        code(load(&sealed.manifest, Some(&other))),
        "translation-malformed"
    );
    // As if the processor at hand computed other integers than the one of the report.
    let mut other = own.clone();
    *other.sample.last_mut().unwrap() = Digest::of(b"other integers");
    assert_eq!(
        code(load(&sealed.manifest, Some(&other))),
        "runtime-divergence"
    );
    load(&sealed.manifest, Some(&own)).unwrap();
}

#[test]
fn a_draft_without_a_report_is_validated_when_it_is_sealed() {
    let model = "risk-classifier";
    let root = tempfile::tempdir().unwrap();
    let draft = root.path().join("draft");
    import(
        &models().join(model).join("float.onnx"),
        &draft,
        &options(model),
    )
    .unwrap();
    let path = draft.join("manifest.json");
    let mut manifest = Manifest::parse(&fs::read(&path).unwrap()).unwrap();
    assert!(manifest.translation.is_some());
    manifest.translation = None;
    fs::write(&path, manifest.to_bytes().unwrap()).unwrap();
    fs::remove_file(draft.join("translation.json")).unwrap();
    let package = seal(
        &draft,
        &root.path().join("package"),
        BackendChoice::Auto,
        &NoProgress,
    )
    .unwrap();
    let record = package.manifest().translation.clone().unwrap();
    let report = TranslationReport::parse(&package.read(&record).unwrap()).unwrap();
    assert_eq!(report.circuit, package.sealed().unwrap().circuit.digest);
}

#[test]
fn a_proving_key_of_another_length_is_not_loaded() {
    let model = "risk-classifier";
    let sealed = sealed(model, &options(model));
    let mut manifest = sealed.manifest.clone();
    let record = &mut manifest.sealed.as_mut().unwrap().proving_key;
    let length = fs::metadata(sealed.folder.join(&record.file))
        .unwrap()
        .len();
    assert_eq!(record.bytes, length);
    record.bytes += 1;
    let path = sealed.folder.join("manifest.json");
    fs::write(path, manifest.to_bytes().unwrap()).unwrap();
    let error = Engine::load(&sealed.folder, None).err().unwrap();
    assert_eq!(error.code(), "package-file-digest");
    assert!(error.to_string().contains("bytes"), "{error}");
}

#[test]
fn a_package_is_sealed_for_the_backend_that_is_asked_for() {
    let model = "risk-classifier";
    let root = tempfile::tempdir().unwrap();
    let draft = root.path().join("draft");
    let float = models().join(model).join("float.onnx");
    import(&float, &draft, &options(model)).unwrap();
    let sealed = |name: &str, backend| {
        let package = seal(&draft, &root.path().join(name), backend, &NoProgress).unwrap();
        (
            package.manifest().compiler.backend,
            package.sealed().unwrap().circuit,
        )
    };
    let plain = sealed("plain", BackendChoice::Plain);
    let lookup = sealed("lookup", BackendChoice::Lookup);
    assert_eq!(
        (plain.0, lookup.0),
        (Backend::Groth16, Backend::Groth16Logup)
    );
    assert!(lookup.1.constraints < plain.1.constraints);
    assert_eq!(lookup.1.public_inputs, plain.1.public_inputs);

    // `auto` takes one of the two: the one predicted to be faster.
    let auto = sealed("auto", BackendChoice::Auto);
    let bytes = fs::read(draft.join("integer.onnx")).unwrap();
    let limits = proofmark_onnx::Limits::default();
    let onnx = proofmark_onnx::parse(&bytes, &limits).unwrap();
    let plan = plan(&onnx, &Policy::public(1, 1)).unwrap();
    let time = |backend| {
        let circuit = plan.circuit_for(circuit_backend(backend)).unwrap();
        predict(&circuit).unwrap().time()
    };
    let faster = if time(Backend::Groth16) <= time(Backend::Groth16Logup) {
        plain
    } else {
        lookup
    };
    assert_eq!(auto, faster);
}

#[cfg(unix)]
#[test]
fn tables_are_kept_for_the_next_start_and_spoiled_ones_serve_nothing() {
    use std::os::unix::fs::PermissionsExt;
    let model = "risk-classifier";
    let sealed = sealed_for(model, &options(model), BackendChoice::Lookup);
    let root = tempfile::tempdir().unwrap();
    let options = EngineOptions {
        table_bytes: 64 << 20,
        table_folder: Some(root.path().join("tables")),
    };
    let load = || Engine::load_with(&sealed.folder, Some(sealed.digest), &options).unwrap();
    let heldout = samples(&models().join(model).join("heldout.npz"));
    let request = request(&sealed.manifest, &heldout[0]);
    let prove = |engine: &Engine| engine.prove(&request, sealed.key.signing_key());
    prove(&load()).unwrap();

    let key = sealed.manifest.sealed.as_ref().unwrap().proving_key.digest;
    let folder = root.path().join("tables").join(key.to_hex());
    let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(&folder), 0o700);
    let files: Vec<PathBuf> = fs::read_dir(&folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .collect();
    assert!(!files.is_empty());
    let made = |path: &PathBuf| fs::metadata(path).unwrap().modified().unwrap();
    let times: Vec<_> = files.iter().map(made).collect();
    prove(&load()).unwrap();
    assert_eq!(times, files.iter().map(made).collect::<Vec<_>>());

    // Points of the quotient's table that are others: no proof verifies, no answer leaves.
    let file = files
        .iter()
        .find(|f| f.file_name().unwrap().to_string_lossy().starts_with('h'))
        .unwrap();
    let mut bytes = fs::read(file).unwrap();
    let half = bytes.len() / 2;
    bytes[half..].rotate_left(64);
    fs::set_permissions(file, fs::Permissions::from_mode(0o600)).unwrap();
    fs::write(file, bytes).unwrap();
    assert_eq!(prove(&load()).unwrap_err().code(), "own-receipt-rejected");
}

//! An operator who changes the package.

use std::fs;

use proofmark_audit::Status;
use proofmark_engine::BackendChoice;
use proofmark_gadgets::Backend;
use proofmark_onnx::{Limits, TensorData, encode, parse};
use proofmark_ops::{compiler_epoch, plan};
use proofmark_package::describe;
use proofmark_prover::{SetupRecord, Transcript, key_file};
use proofmark_types::manifest::SetupKind;
use proofmark_types::{Digest, IntTensor};

use crate::fixture::{Case, blames, fails, finding, model, reopen};

fn plain() -> Case {
    Case::new(BackendChoice::Plain)
}

/// The integer model with the weights of its largest tensor in another order.
fn other_weights(bytes: &[u8]) -> Vec<u8> {
    let mut model = parse(bytes, &Limits::default()).unwrap();
    let largest = model
        .graph
        .initializers
        .values_mut()
        .max_by_key(|tensor| tensor.data.element_count())
        .unwrap();
    let TensorData::Int(weights) = &largest.data else {
        panic!("weights of another type");
    };
    let (elem, shape) = (weights.elem(), weights.shape().to_vec());
    let reversed = weights.data().iter().rev().copied().collect();
    largest.data = TensorData::Int(IntTensor::new(elem, shape, reversed).unwrap());
    encode(&model)
}

#[test]
fn another_model_in_the_folder() {
    let case = plain();
    case.give_honest(2);
    let other = fs::read(model("digits-mlp").join("integer.onnx")).unwrap();
    case.exchange("integer.onnx", &other);
    let report = case.audit();
    let [files, circuit] = fails(&report, ["package-files", "circuit-model"]);
    blames(files, &["integer.onnx"]);
    assert!(files.meaning.contains("not the one that was sealed"));
    assert!(
        circuit
            .meaning
            .contains("do not say what this file computes")
    );
    assert_eq!(
        finding(&report, "circuit-digest").status,
        Status::NotChecked
    );
    // The receipts are of the sealed model, whose digest the manifest still names.
    assert_eq!(report.receipts.accepted, 2);
}

#[test]
fn another_model_behind_the_same_keys() {
    let mut case = plain();
    let other = fs::read(model("digits-mlp").join("integer.onnx")).unwrap();
    let record = case.exchange("integer.onnx", &other);
    case.reseal(|manifest| manifest.integer_model = record);
    let report = case.audit();
    let [pinned, ..] = fails(
        &report,
        ["package-pinned", "package-translation", "circuit-model"],
    );
    assert!(
        pinned
            .meaning
            .contains("another package than the one you pinned")
    );
}

#[test]
fn changed_weights_behind_the_same_keys() {
    let mut case = plain().with_data();
    let bytes = fs::read(case.package().join("integer.onnx")).unwrap();
    let record = case.exchange("integer.onnx", &other_weights(&bytes));
    case.reseal(|manifest| manifest.integer_model = record);
    case.request.pinned = Some(case.digest);
    let report = case.audit();
    let [circuit, _, translation, accuracy, _] = fails(
        &report,
        [
            "circuit-digest",
            "package-translation",
            "samples-translation",
            "accuracy",
            "accuracy-claim",
        ],
    );
    assert!(circuit.meaning.contains("with other weights"));
    assert!(translation.meaning.contains("made up"));
    assert!(accuracy.meaning.contains("less accurate"));
}

/// The operator compiles the changed model, writes the new circuit into manifest, transcript and
/// even the proving key's header, and keeps the keys of the old one.
#[test]
fn changed_weights_with_every_digest_made_to_fit() {
    let mut case = plain();
    let package = reopen(&case.package());
    let sealed = package.sealed().unwrap().clone();
    let changed = other_weights(&package.integer_model().unwrap());
    let policy = proofmark_engine::policy_of(package.manifest());
    let plan = plan(&parse(&changed, &Limits::default()).unwrap(), &policy).unwrap();
    let circuit = plan.circuit_for(Backend::Plain).unwrap();
    let key_path = case.package().join(&sealed.proving_key.file);
    let key = key_file::load(
        &key_path,
        &sealed.proving_key.digest,
        &sealed.circuit.digest,
    )
    .unwrap()
    .key;
    let key_digest = key_file::write(&key_path, &circuit.digest(), &key).unwrap();
    let transcript = Transcript::new(
        SetupRecord::SingleParty,
        circuit.digest(),
        key_digest,
        sealed.verifying_key.digest,
    )
    .to_bytes();
    let model = case.exchange("integer.onnx", &changed);
    let transcript = case.exchange(&sealed.transcript.file, &transcript);
    case.reseal(|manifest| {
        manifest.integer_model = model;
        manifest.translation = None;
        let sealed = manifest.sealed.as_mut().unwrap();
        sealed.circuit.digest = circuit.digest();
        sealed.circuit.constraints = circuit.r1cs.num_constraints() as u64;
        sealed.circuit.wires = circuit.r1cs.num_wires as u64;
        sealed.proving_key.digest = key_digest;
        sealed.transcript = transcript;
    });
    case.request.pinned = Some(case.digest);
    let report = case.audit();
    let [keys] = fails(&report, ["key-proves-circuit"]);
    assert!(keys.meaning.contains("other weights"), "{}", keys.meaning);
    assert_eq!(finding(&report, "circuit-digest").status, Status::Pass);
    assert_eq!(finding(&report, "setup-transcript").status, Status::Pass);
    assert_eq!(finding(&report, "proving-key").status, Status::Pass);
}

#[test]
fn another_key() {
    let (mut case, other) = (plain(), plain());
    case.give_honest(1);
    for file in ["verifying_key.bin", "proving_key.bin"] {
        fs::copy(other.package().join(file), case.package().join(file)).unwrap();
    }
    let report = case.audit();
    let [files, key, proving] = fails(&report, ["package-files", "verifying-key", "proving-key"]);
    blames(files, &["proving_key.bin", "verifying_key.bin"]);
    assert!(key.meaning.contains("not the one that was sealed"));
    assert!(proving.meaning.contains("do not belong together"));
    assert_eq!(
        finding(&report, "receipts-proof").status,
        Status::NotChecked
    );

    // The same with a manifest that names the other verifying key.
    let own = plain();
    for file in ["transcript.json", "proving_key.bin"] {
        fs::copy(own.package().join(file), case.package().join(file)).unwrap();
    }
    let mut sealed = reopen(&own.package()).sealed().unwrap().clone();
    let theirs = reopen(&other.package());
    sealed.verifying_key = theirs.sealed().unwrap().verifying_key.clone();
    case.reseal(|manifest| manifest.sealed = Some(sealed));
    case.request.pinned = Some(case.digest);
    let report = case.audit();
    let [transcript, proving, _] = fails(
        &report,
        ["setup-transcript", "proving-key", "receipts-package"],
    );
    assert!(transcript.meaning.contains("other keys"));
    assert!(
        proving
            .evidence
            .iter()
            .any(|e| e.value == "verifying-key-mismatch")
    );
}

#[test]
fn the_transcript_of_another_key() {
    let (mut case, other) = (plain(), plain());
    let bytes = fs::read(other.package().join("transcript.json")).unwrap();
    let record = case.exchange("transcript.json", &bytes);
    let report = case.audit();
    let [files, _] = fails(&report, ["package-files", "setup-transcript"]);
    blames(files, &["transcript.json"]);

    case.reseal(|manifest| manifest.sealed.as_mut().unwrap().transcript = record);
    case.request.pinned = Some(case.digest);
    let report = case.audit();
    let [transcript] = fails(&report, ["setup-transcript"]);
    assert!(
        transcript
            .meaning
            .contains("of another circuit or of other keys")
    );
    assert!(
        transcript
            .evidence
            .iter()
            .any(|e| e.value == "transcript-mismatch")
    );
}

#[test]
fn keys_whose_secret_everyone_knows() {
    let mut case = plain();
    let bytes = fs::read(case.package().join("transcript.json")).unwrap();
    let mut transcript = Transcript::parse(&bytes).unwrap();
    transcript.kind = SetupRecord::UnsafeDev;
    let record = case.exchange("transcript.json", &transcript.to_bytes());
    case.reseal(|manifest| manifest.sealed.as_mut().unwrap().transcript = record);
    case.request.pinned = Some(case.digest);
    let report = case.audit();
    let [kind] = fails(&report, ["setup-kind"]);
    assert!(kind.meaning.contains("everyone knows the secret"));
}

/// In the manifest alone, in both, and with a transcript that pretends to be of a ceremony.
#[test]
fn a_single_party_that_calls_itself_a_ceremony() {
    let mut case = plain();
    case.reseal(|manifest| manifest.sealed.as_mut().unwrap().setup_kind = SetupKind::Ceremony);
    case.request.pinned = Some(case.digest);
    let report = case.audit();
    let [kind] = fails(&report, ["setup-kind"]);
    assert!(
        kind.meaning
            .contains("the transcript contradicts the manifest")
    );

    let bytes = fs::read(case.package().join("transcript.json")).unwrap();
    let mut transcript = Transcript::parse(&bytes).unwrap();
    transcript.kind = SetupRecord::Ceremony;
    let record = case.exchange("transcript.json", &transcript.to_bytes());
    case.reseal(|manifest| manifest.sealed.as_mut().unwrap().transcript = record);
    case.request.pinned = Some(case.digest);
    let report = case.audit();
    let [transcript] = fails(&report, ["setup-transcript"]);
    assert!(
        transcript
            .meaning
            .contains("how the keys were made is unknown")
    );
    assert_eq!(finding(&report, "setup-kind").status, Status::NotChecked);
}

#[test]
fn an_epoch_that_this_compiler_does_not_know() {
    let mut case = plain();
    let epoch = compiler_epoch(Backend::Plain) + 98;
    case.reseal(|manifest| manifest.compiler.epoch = epoch);
    case.request.pinned = Some(case.digest);
    let report = case.audit();
    fails(&report, []);
    let circuit = finding(&report, "circuit-digest");
    assert_eq!(circuit.status, Status::NotChecked);
    assert!(
        circuit
            .remedy
            .as_ref()
            .unwrap()
            .contains(&epoch.to_string())
    );
    assert_eq!(
        finding(&report, "key-proves-circuit").status,
        Status::NotChecked
    );
}

#[test]
fn a_manifest_that_is_none_and_a_draft() {
    let case = plain();
    case.give_honest(1);
    let path = case.package().join("manifest.json");
    let text = fs::read_to_string(&path).unwrap();
    fs::write(&path, text.replacen("  ", "\t", 1)).unwrap();
    let report = case.audit();
    let [_, manifest] = fails(&report, ["package-pinned", "package-manifest"]);
    assert!(manifest.meaning.contains("strict form"));
    assert_eq!(
        finding(&report, "receipts-proof").status,
        Status::NotChecked
    );
    assert_eq!(report.package.name, None);

    let mut draft = plain();
    draft.reseal(|manifest| manifest.sealed = None);
    let report = draft.audit();
    let [_, manifest] = fails(&report, ["package-pinned", "package-manifest"]);
    assert!(manifest.meaning.contains("draft"));
}

#[test]
fn a_made_up_comparison_with_the_runtime() {
    let mut case = plain();
    let text = fs::read_to_string(case.package().join("translation.json")).unwrap();
    let mut report: serde_json::Value = serde_json::from_str(&text).unwrap();
    for digest in report["sample"].as_array_mut().unwrap() {
        *digest = serde_json::json!(Digest::of(b"made up"));
    }
    let mut bytes = serde_json::to_vec_pretty(&report).unwrap();
    bytes.push(b'\n');
    let record = case.exchange("translation.json", &bytes);
    assert_eq!(record, describe("translation.json", &bytes));
    case.reseal(|manifest| manifest.translation = Some(record));
    case.request.pinned = Some(case.digest);
    let [sample] = fails(&case.audit(), ["samples-translation"]).map(Clone::clone);
    assert!(sample.meaning.contains("the report was made up"));
}

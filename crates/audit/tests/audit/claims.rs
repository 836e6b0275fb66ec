//! An operator whose manifest claims more than is true, or whose float model is another one.

use std::fs;

use proofmark_audit::Status;
use proofmark_engine::BackendChoice;

use crate::fixture::{Case, fails, finding, labels, model};

fn with_data() -> Case {
    Case::new(BackendChoice::Plain).with_data()
}

#[test]
fn accuracy_worse_than_the_manifest_claims() {
    // Labels that are wrong in every third sample: on these data no model is as good as claimed.
    let mut case = with_data();
    let data = case.request.data.as_mut().unwrap();
    let mut wrong = labels();
    for label in wrong.iter_mut().step_by(3) {
        *label = 1 - *label;
    }
    data.samples.labels = Some(wrong);
    let report = case.audit();
    let [claim] = fails(&report, ["accuracy-claim"]);
    assert!(claim.meaning.contains("claims more than your data show"));
    assert!(claim.meaning.contains("accuracy of the integer model"));
    assert!(
        claim
            .evidence
            .iter()
            .any(|e| e.label.ends_with("claimed") && e.value == "95.91 %")
    );

    // A claim that was written in: the models agree, but not with the manifest.
    let mut case = with_data();
    let data = case.request.data.as_mut().unwrap();
    data.max_loss = 0.0;
    data.samples.labels = Some(labels().iter().map(|label| 1 - label).collect());
    let report = case.audit();
    fails(&report, ["accuracy-claim"]);
    assert_eq!(finding(&report, "accuracy").status, Status::Pass);

    // A few samples contradict nobody.
    let mut case = with_data();
    let data = case.request.data.as_mut().unwrap();
    let mut few = labels();
    few.truncate(4);
    few[0] = 1 - few[0];
    data.samples.labels = Some(few);
    for values in data.samples.inputs.values_mut() {
        values.truncate(4);
    }
    fails(&case.audit(), []);

    // Without labels the claim is open, and without a claim nothing is.
    let mut case = with_data();
    case.request.data.as_mut().unwrap().samples.labels = None;
    let report = case.audit();
    fails(&report, []);
    let claim = finding(&report, "accuracy-claim");
    assert_eq!(claim.status, Status::NotChecked);
    case.reseal(|manifest| {
        manifest.validation.float_accuracy = None;
        manifest.validation.integer_accuracy = None;
        manifest.validation.agreement = None;
    });
    case.request.pinned = Some(case.digest);
    assert_eq!(
        finding(&case.audit(), "accuracy-claim").status,
        Status::Pass
    );
}

#[test]
fn data_unlike_those_that_it_was_calibrated_on() {
    let mut case = with_data();
    let data = case.request.data.as_mut().unwrap();
    for value in data.samples.inputs.values_mut().flatten().flatten() {
        *value *= 4.0;
    }
    data.samples.labels = None;
    let report = case.audit();
    let share = |report: &proofmark_audit::Report| -> f64 {
        let finding = finding(report, "accuracy");
        let found = finding
            .evidence
            .iter()
            .find(|e| e.label.contains("calibrated range"));
        found.unwrap().value.trim_end_matches(" %").parse().unwrap()
    };
    assert!(share(&report) > 30.0, "{}", share(&report));
    assert!(share(&with_data().audit()) < 5.0);
}

#[test]
fn a_float_model_that_is_not_the_one_that_was_promised() {
    let mut case = with_data();
    let own = fs::read(case.package().join("float.onnx")).unwrap();
    let path = case.path("promised.onnx");
    fs::write(&path, &own).unwrap();
    case.request.data.as_mut().unwrap().float_model = Some(path.clone());
    let report = case.audit();
    fails(&report, []);
    let named = finding(&report, "accuracy-model");
    assert!(named.meaning.contains("is the one that the manifest names"));

    // The same function in other bytes is another file, and the auditor is told so.
    let mut parsed = proofmark_onnx::parse(&own, &proofmark_onnx::Limits::default()).unwrap();
    parsed.producer_name = "somebody else".to_owned();
    fs::write(&path, proofmark_onnx::encode(&parsed)).unwrap();
    let report = case.audit();
    let [named] = fails(&report, ["accuracy-model"]);
    assert!(
        named
            .meaning
            .contains("served one that was made from another")
    );
    assert_eq!(finding(&report, "accuracy").status, Status::Pass);

    // Of another shape: it cannot even be compared.
    let other = model("digits-mlp").join("float.onnx");
    case.request.data.as_mut().unwrap().float_model = Some(other);
    let report = case.audit();
    fails(&report, ["accuracy-model"]);
    assert_eq!(finding(&report, "accuracy").status, Status::NotChecked);

    // Not in the folder, and not given.
    fs::remove_file(case.package().join("float.onnx")).unwrap();
    case.request.data.as_mut().unwrap().float_model = None;
    let report = case.audit();
    fails(&report, []);
    assert_eq!(
        finding(&report, "accuracy-model").status,
        Status::NotChecked
    );
    // Given, but not there.
    case.request.data.as_mut().unwrap().float_model = Some(case.path("nowhere.onnx"));
    let error = proofmark_audit::audit(&case.request, &proofmark_audit::NoProgress).unwrap_err();
    assert_eq!(error.code(), "file-unreadable");
}

#[test]
fn another_runtime_than_the_one_of_this_software() {
    let mut case = Case::new(BackendChoice::Plain);
    case.give_honest(1);
    case.reseal(|manifest| manifest.runtime.onnxruntime = "1.20.0".to_owned());
    case.request.pinned = Some(case.digest);
    let report = case.audit();
    let [translation, receipts] = fails(&report, ["package-translation", "receipts-package"]);
    assert!(
        translation
            .evidence
            .iter()
            .any(|e| e.value.contains("version of the runtime"))
    );
    // Its receipts named the package before the change.
    assert_eq!(receipts.culprits_total, 1);
    let runtime = finding(&report, "samples-translation");
    assert_eq!(runtime.status, Status::NotChecked);
    assert!(runtime.meaning.contains("another ONNX Runtime"));
}

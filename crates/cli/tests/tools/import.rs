//! import.

use std::fs;

use crate::support::{MODEL, json, models, sample_file, text};

#[test]
fn a_float_model_becomes_a_draft() {
    let root = tempfile::tempdir().unwrap();
    let out = text(&root.path().join("draft"));
    let (float, calibration, heldout) = (
        sample_file("float.onnx"),
        sample_file("calibration.npz"),
        sample_file("heldout.npz"),
    );
    let arguments = [
        "import",
        &float,
        "--calibration",
        &calibration,
        "--heldout",
        &heldout,
        "--name",
        MODEL,
        "--version",
        "7",
        "--labels",
        "benign,malignant",
        "--licence",
        "MIT",
        "--out",
        &out,
    ];
    let imported = json(&arguments).ended(0, "").json();
    assert_eq!(imported["version"], "7");
    assert_eq!(imported["validation"]["checked_samples"], 171);
    assert_eq!(imported["validation"]["calibration_samples"], 200);
    let integer = imported["validation"]["integer_accuracy"].as_f64().unwrap();
    let float_accuracy = imported["validation"]["float_accuracy"].as_f64().unwrap();
    assert!(integer >= float_accuracy - 1.0 / 171.0);
    json(&arguments).ended(2, "package-folder-not-empty");

    let inspected = json(&["inspect", &out]).ended(0, "").json();
    assert_eq!(inspected["kind"], "draft");
    assert!(
        inspected["package_digest"].is_null(),
        "a draft is not to be pinned"
    );
}

#[test]
fn what_cannot_be_imported_says_why() {
    let root = tempfile::tempdir().unwrap();
    let out = text(&root.path().join("draft"));
    let (float, calibration) = (sample_file("float.onnx"), sample_file("calibration.npz"));
    let import = |model: &str, samples: &str, more: &[&str]| {
        let arguments = [
            "import",
            model,
            "--calibration",
            samples,
            "--name",
            MODEL,
            "--out",
            &out,
        ];
        json(&[&arguments[..], more].concat())
    };
    let wrong = text(&root.path().join("wrong.json"));
    fs::write(&wrong, "[[1, 2, 3]]").unwrap();
    import(&float, &wrong, &[]).ended(2, "samples-mismatch");
    import(&float, &calibration, &["--labels", "a,b,c"]).ended(2, "labels-mismatch");
    import(&float, &calibration, &["--visibility", "nothing=private"]).ended(2, "input-mismatch");
    import(
        &float,
        &calibration,
        &[
            "--visibility",
            "logits=hashed",
            "--visibility",
            "logits=public",
        ],
    )
    .ended(2, "visibility-duplicate");
    json(&["import", &float, "--name", MODEL, "--out", &out]).ended(2, "calibration-missing");
    import(&calibration, &calibration, &[]).ended(1, "onnx-malformed");
    import(&text(&root.path().join("nothing.onnx")), &calibration, &[]).ended(3, "onnx-io");
    assert!(!root.path().join("draft").join("manifest.json").exists());
}

#[test]
fn a_model_that_is_quantized_already_is_imported_and_proven() {
    let root = tempfile::tempdir().unwrap();
    let (models, draft) = (models(), text(&root.path().join("draft")));
    let model = text(&models.join("third-party/mlp-qop-u8s8-perchannel.onnx"));
    let heldout = text(&models.join("digits-mlp/heldout.npz"));
    let import = ["import", &model, "--name", "mlp", "--out", &draft];
    let imported = json(&[&import[..], &["--heldout", &heldout]].concat())
        .ended(0, "")
        .json();
    assert_eq!(imported["drift"]["different"], 0);
    assert_eq!(imported["drift"]["level"], "all");
    let translation = &imported["translation"];
    assert!(translation["thresholds"].as_u64().unwrap() > 100);
    assert!(translation["compared"].as_u64().unwrap() > 1000);
    assert_eq!(translation["different"], 0);
    let sources = &imported["drift"]["sources"];
    assert_eq!(sources[0]["inputs"], "samples");
    assert_eq!(sources[0]["compared"], 10_000);
    assert_eq!(sources.as_array().unwrap().len(), 4);
    assert!(imported["drift"]["inexact"].as_array().unwrap().is_empty());
    let report = &imported["validation"];
    assert_eq!(report["integer_accuracy"], report["float_accuracy"]);

    let package = text(&root.path().join("package"));
    let receipt = text(&root.path().join("r.json"));
    json(&["setup", &draft, "--out", &package]).ended(0, "");
    let proven = json(&[
        "prove",
        "--package",
        &package,
        "--input",
        &heldout,
        "--sample",
        "5",
        "--receipt",
        &receipt,
    ]);
    assert_eq!(proven.ended(0, "").json()["verdict"], "accepted");

    // Without any sample the models are compared on inputs made up for it.
    let bare = text(&root.path().join("bare"));
    let imported = json(&["import", &model, "--name", "mlp", "--out", &bare]);
    let imported = imported.ended(0, "").json();
    assert_eq!(imported["drift"]["sources"].as_array().unwrap().len(), 3);
    assert!(imported["drift"]["compared"].as_u64().unwrap() > 1000);
    assert_eq!(imported["drift"]["different"], 0);
    assert_eq!(imported["validation"]["checked_samples"], 0);
}

#[test]
fn rewrites_that_are_not_exact_are_taken_only_when_asked_for() {
    let root = tempfile::tempdir().unwrap();
    let model = text(&models().join("third-party/sigmoidtanh-qop-u8s8.onnx"));
    let import = |folder: &str, more: &[&str]| {
        let out = text(&root.path().join(folder));
        let arguments = ["import", &model, "--name", "sigmoidtanh", "--out", &out];
        json(&[&arguments[..], more].concat())
    };
    let refused = import("a", &[]).ended(1, "model-inexact").json();
    let message = refused["detail"].as_str().unwrap();
    assert!(message.contains("1 node of the original"), "{message}");
    import("a", &["--accept-drift", "2"]).ended(2, "accepted-drift-invalid");
    assert!(!root.path().join("a").join("manifest.json").exists());
    let imported = import("b", &["--accept-drift", "0"]).ended(0, "").json();
    let drift = &imported["drift"];
    assert_eq!(drift["level"], "all");
    assert_eq!(drift["different"], 0);
    assert_eq!(drift["inexact"].as_array().unwrap().len(), 1);
    let reference = &imported["validation"]["reference"];
    assert_eq!(reference["accepted_drift"], 0.0);
    let disabled = ["--accept-drift", "1", "--reference", "disabled"];
    let imported = import("c", &disabled).ended(0, "").json();
    assert_eq!(imported["drift"]["level"], "disabled");
}

//! inspect, bench.

use std::fs;

use proofmark_onnx::{Limits, encode, load};
use proofmark_types::Manifest;
use serde_json::Value;

use crate::support::{MODEL, Sealed, json, models, run, sample_file, text};

#[test]
fn a_package_is_described_by_its_digest_and_costs() {
    let sealed = Sealed::sample();
    let package = sealed.package();
    let found = json(&["inspect", &package]).ended(0, "").json();
    assert_eq!(found["kind"], "package");
    assert_eq!(found["package_digest"], sealed.digest);
    assert_eq!(
        found["circuit_digest"],
        found["sealed"]["circuit"]["digest"]
    );
    assert_eq!(
        found["constraints"],
        found["sealed"]["circuit"]["constraints"]
    );
    assert_eq!(found["provable"], true);
    // The size is foretold to the byte.
    assert_eq!(
        found["proving_key_bytes"],
        found["sealed"]["proving_key"]["bytes"]
    );
    let public = found["public_inputs"].as_u64().unwrap();
    // Plain verification, and one pairing, one addition and one hash of a commitment.
    assert_eq!(found["backend"], "lookup");
    assert_eq!(found["estimated_evm_gas"], 222_000 + 6_200 * public);
    let nodes = found["nodes"].as_array().unwrap();
    let total: u64 = nodes
        .iter()
        .map(|n| n["constraints"].as_u64().unwrap())
        .sum();
    assert_eq!(
        found["constraints"], total,
        "every constraint belongs to a node"
    );

    let translation = &found["translation"];
    assert_eq!(translation["format"], "proofmark/translation/v1");
    assert_eq!(
        translation["integer_model"],
        found["integer_model"]["digest"]
    );
    assert_eq!(translation["circuit"], found["circuit_digest"]);
    let validated = translation["nodes"].as_array().unwrap();
    let names =
        |nodes: &[Value]| -> Vec<Value> { nodes.iter().map(|n| n["node"].clone()).collect() };
    // The costs have three lines more: of inputs, of outputs, and of what all lookups share.
    assert_eq!(names(validated), names(&nodes[1..nodes.len() - 2]));
    assert!(validated.iter().any(|n| n["thresholds"].as_u64() > Some(0)));

    let text = run(&["inspect", &package]).stdout;
    assert!(text.contains(&sealed.digest), "{text}");
    assert!(text.contains("compared, 0 different"), "{text}");
}

#[test]
fn a_model_is_described_before_any_setup() {
    let draft = text(&models().join(MODEL));
    let draft = json(&["inspect", &draft]).ended(0, "").json();
    assert_eq!(draft["kind"], "draft");
    // A draft of before there was a translation report: `setup` makes one.
    let old = tempfile::tempdir().unwrap();
    let manifest = fs::read(sample_file("manifest.json")).unwrap();
    let mut manifest = Manifest::parse(&manifest).unwrap();
    manifest.translation = None;
    fs::write(
        old.path().join("manifest.json"),
        manifest.to_bytes().unwrap(),
    )
    .unwrap();
    fs::copy(sample_file("integer.onnx"), old.path().join("integer.onnx")).unwrap();
    let old = json(&["inspect", &text(old.path())]).ended(0, "").json();
    assert_eq!(old["translation"], Value::Null);
    assert_eq!(old["circuit_digest"], draft["circuit_digest"]);

    let integer = json(&["inspect", &sample_file("integer.onnx")])
        .ended(0, "")
        .json();
    assert_eq!(integer["kind"], "integer-model");
    assert_eq!(integer["circuit_digest"], draft["circuit_digest"]);

    let float = sample_file("float.onnx");
    let made_up = json(&["inspect", &float]).ended(0, "").json();
    assert_eq!(made_up["kind"], "float-model");
    assert_eq!(made_up["exact"], false);
    let calibrated = json(&[
        "inspect",
        &float,
        "--calibration",
        &sample_file("calibration.npz"),
    ]);
    let calibrated = calibrated.ended(0, "").json();
    assert_eq!(calibrated["exact"], true);
    let exact = calibrated["constraints"].as_f64().unwrap();
    let estimate = made_up["constraints"].as_f64().unwrap();
    assert!(
        (estimate / exact - 1.0).abs() < 0.2,
        "{estimate} for {exact}"
    );

    let third_party = models().join("third-party/mlp-qop-u8u8.onnx");
    let third_party = json(&["inspect", &text(&third_party)]).ended(0, "").json();
    assert_eq!(third_party["kind"], "quantized-model");
    assert!(third_party["constraints"].as_u64().unwrap() > 1_000);
}

#[test]
fn all_nodes_that_cannot_be_proven_are_listed_at_once() {
    let folder = tempfile::tempdir().unwrap();
    let mut model = load(sample_file("float.onnx").as_ref(), &Limits::default()).unwrap();
    let mut renamed = 0;
    for node in &mut model.graph.nodes {
        if node.op_type == "Relu" {
            node.op_type = "Sinh".to_owned();
            renamed += 1;
        }
    }
    assert!(renamed >= 2, "the sample has several activations");
    let path = folder.path().join("sinh.onnx");
    fs::write(&path, encode(&model)).unwrap();
    let ran = json(&["inspect", &text(&path)]);
    let found = ran.ended(1, "model-unsupported").json();
    assert_eq!(found["provable"], false);
    let listed = found["unsupported"].as_array().unwrap();
    assert_eq!(listed.len(), renamed);
    for node in listed {
        assert_eq!(node["op_type"], "Sinh");
        for member in ["node", "reason", "remedy"] {
            assert!(!node[member].as_str().unwrap().is_empty());
        }
    }
    let text = run(&["inspect", path.to_str().unwrap()]);
    assert_eq!(text.code, 1);
    assert_eq!(text.stderr.matches("Sinh").count(), renamed);
}

#[test]
fn a_bench_measures_every_phase() {
    let models = text(&models());
    let bench = json(&[
        "bench", "--models", &models, "--model", MODEL, "--runs", "1",
    ]);
    let bench = bench.ended(0, "").json();
    let measured = bench["models"].as_array().unwrap();
    let proof_bytes: Vec<&Value> = measured.iter().map(|m| &m["proof_bytes"]).collect();
    assert_eq!(proof_bytes, [256, 320], "once a backend");
    for figures in measured {
        assert_eq!(figures["model"], MODEL);
        for member in [
            "constraints",
            "non_zero",
            "proving_key_bytes",
            "setup_seconds",
            "runtime_seconds",
            "witness_seconds",
            "proving_seconds",
            "verifying_seconds",
        ] {
            assert!(figures[member].as_f64().unwrap() > 0.0, "{member}");
        }
    }
    assert!(measured[0]["constraints"].as_u64() > measured[1]["constraints"].as_u64());
    json(&["bench", "--models", &models, "--model", "nothing"]).ended(2, "model-folder-missing");
    json(&["bench", "--models", "/nonexistent"]).ended(3, "file-unreadable");
}

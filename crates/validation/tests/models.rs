//! The sample models, and models that other tools quantized, hold against ONNX Runtime.
#![forbid(unsafe_code)]
#![expect(clippy::unwrap_used, reason = "a test that panics has failed")]

use std::fs;
use std::path::{Path, PathBuf};

use proofmark_onnx::{Limits, encode, load};
use proofmark_ops::{Expect, OPERATORS, Policy};
use proofmark_quantizer::{Options, import_quantized};
use proofmark_validation::{TranslationOptions, TranslationReport, validate_translation};

fn models() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../models")
}

fn validate(model: &[u8]) -> TranslationReport {
    let options = TranslationOptions::default();
    validate_translation(model, &Policy::public(1, 1), &options).unwrap()
}

#[test]
fn the_sample_models() {
    for name in [
        "risk-classifier",
        "digits-mlp",
        "lenet5-mnist",
        "resnet-animals",
    ] {
        let report = validate(&fs::read(models().join(name).join("integer.onnx")).unwrap());
        // Shifts of our own quantizer: one step function a layer, nearly all of 255 steps in reach.
        let totals = report.totals();
        assert!(
            totals.thresholds > 200 * totals.steps && totals.steps > 0,
            "{name}"
        );
        assert!(totals.probes > 2 * totals.thresholds, "{name}");
        assert_eq!(
            report.model.witnesses,
            TranslationOptions::default().witnesses
        );
    }
}

/// QOperator models of ONNX Runtime's own quantizer: multipliers of any kind, one a channel.
#[test]
fn models_quantized_by_onnx_runtime() {
    for net in ["mlp", "lenet"] {
        for kind in ["u8u8", "u8s8", "u8u8-perchannel", "u8s8-perchannel"] {
            let path = models().join(format!("third-party/{net}-qop-{kind}.onnx"));
            let original = load(&path, &Limits::default()).unwrap();
            let imported = import_quantized(&original, &Options::default()).unwrap();
            let report = validate(&imported.model);
            let steps = report.totals().steps;
            let layers = report.nodes.iter().filter(|n| n.steps > 0).count() as u64;
            if kind.ends_with("perchannel") {
                assert!(steps > 10 * layers, "{net} {kind}: {steps} in {layers}");
            } else {
                assert_eq!(steps, layers, "{net} {kind}");
            }
        }
    }
}

/// Whatever may be proven can be validated: each operator's worked examples.
#[test]
fn every_operator() {
    let mut validated = 0;
    for spec in OPERATORS {
        for vector in (spec.vectors)() {
            if matches!(vector.expect, Expect::Refused(_)) {
                continue;
            }
            let model = vector.model();
            let policy = Policy::public(model.graph.inputs.len(), model.graph.outputs.len());
            let options = TranslationOptions::default();
            let report = validate_translation(&encode(&model), &policy, &options);
            let report = report
                .unwrap_or_else(|error| panic!("{} {:?}: {error:?}", spec.op_type, vector.name));
            validated += 1;
            assert_eq!(report.nodes.len(), model.graph.nodes.len());
            assert!(
                report.nodes.iter().all(|node| node.runs > 0),
                "{}",
                spec.op_type
            );
        }
    }
    assert!(validated >= OPERATORS.len(), "{validated} examples");
}

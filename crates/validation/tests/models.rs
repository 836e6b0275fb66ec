//! The sample models, and models that other tools quantized, hold against ONNX Runtime.
#![forbid(unsafe_code)]
#![expect(clippy::unwrap_used, reason = "a test that panics has failed")]

use std::fs;
use std::path::{Path, PathBuf};

use proofmark_onnx::{Limits, load};
use proofmark_ops::Policy;
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

//! The sample models: accuracy kept, dialect obeyed, same bytes every time.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]
#![expect(clippy::print_stdout, reason = "the report is what the test measures")]

mod common;

use std::collections::BTreeMap;

use proofmark_quantizer::{Calibration, Options, Quantized, Samples, quantize, validate};
use proofmark_types::manifest::View;

fn quantized(name: &str) -> (proofmark_onnx::Model, Quantized, String) {
    let model = common::float_model(name);
    let input = model.graph.inputs[0].name.clone();
    let samples = common::samples(name, "calibration.npz");
    let calibration = Calibration {
        inputs: BTreeMap::from([(input.clone(), samples)]),
    };
    let made = quantize(&model, &calibration, &Options::default()).unwrap();
    (model, made, input)
}

/// Loss of at most 0.5 points or one sample, whichever is larger.
fn keeps_accuracy(name: &str) {
    let (model, made, input) = quantized(name);
    let labels = common::labels(name);
    let count = labels.len();
    let samples = Samples {
        inputs: BTreeMap::from([(input, common::samples(name, "heldout.npz"))]),
        labels: Some(labels),
    };
    let report = validate(&model, &made, &samples).unwrap();
    println!("{name}: {report:?}");
    let (float, integer) = (
        report.float_accuracy.unwrap(),
        report.integer_accuracy.unwrap(),
    );
    let allowed = f64::max(0.005, 1.0 / f64::from(u32::try_from(count).unwrap()));
    assert!(float > 0.8, "{name}: float accuracy {float}");
    assert!(
        integer >= float - allowed - 1e-9,
        "{name}: {float} became {integer}"
    );
    assert!(report.agreement.unwrap() >= 0.98, "{name}");
    assert!(
        made.outputs[0]
            .views
            .iter()
            .any(|v| matches!(v, View::Dequantize { .. }))
    );
    let (_, again, _) = quantized(name);
    assert_eq!(made, again, "{name}: not deterministic");
}

#[test]
fn risk_classifier() {
    keeps_accuracy("risk-classifier");
}

#[test]
fn digits_mlp() {
    keeps_accuracy("digits-mlp");
}

#[test]
fn lenet5() {
    keeps_accuracy("lenet5-mnist");
}

#[test]
fn residual_network() {
    keeps_accuracy("resnet-animals");
}

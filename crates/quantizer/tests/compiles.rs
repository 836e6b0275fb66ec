//! What is written is the dialect: the compiler accepts it, and its integer evaluator computes
//! what ONNX Runtime computes.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod common;

use std::collections::BTreeMap;

use proofmark_onnx::Limits;
use proofmark_ops::{Policy, plan};
use proofmark_quantizer::{Calibration, Options, Quantized, quantize};
use proofmark_runtime::{IntSession, OptLevel};

fn agrees(made: &Quantized, samples: &[Vec<f32>]) {
    let model = proofmark_onnx::parse(&made.model, &Limits::default()).unwrap();
    let plan = plan(&model, &Policy::public(1, 1)).unwrap();
    let session = IntSession::load(&made.model, OptLevel::DisableAll).unwrap();
    let (input, output) = (&made.inputs[0], &made.outputs[0]);
    let quantizer = input.quantizer.as_ref().unwrap();
    for sample in samples.iter().take(40) {
        let x = quantizer
            .quantize(sample, &input.shape, input.elem)
            .unwrap();
        let evaluated = plan.evaluate(std::slice::from_ref(&x)).unwrap();
        let run = session
            .run(&BTreeMap::from([(input.name.clone(), x)]))
            .unwrap();
        assert_eq!(evaluated[0], run[&output.name]);
        assert_eq!(evaluated[0].shape(), output.shape);
        assert_eq!(evaluated[0].elem(), output.elem);
    }
}

#[test]
fn sample_models() {
    for name in [
        "risk-classifier",
        "digits-mlp",
        "lenet5-mnist",
        "resnet-animals",
    ] {
        let model = common::float_model(name);
        let samples = common::samples(name, "calibration.npz");
        let inputs = BTreeMap::from([(model.graph.inputs[0].name.clone(), samples)]);
        let made = quantize(&model, &Calibration { inputs }, &Options::default()).unwrap();
        agrees(&made, &common::samples(name, "heldout.npz"));
    }
}

//! Models as ONNX Runtime's own static quantizer writes them: the canonical form computes the
//! same integers.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]
#![expect(
    clippy::print_stdout,
    reason = "how many outputs were compared is the result"
)]

mod common;

use std::collections::BTreeMap;

use proofmark_onnx::{Limits, Model};
use proofmark_quantizer::{Options, Samples, drift, import_quantized, validate};
use proofmark_types::ElemType;

fn third_party(file: &str) -> Model {
    let path = common::folder("third-party").join(file);
    proofmark_onnx::load(&path, &Limits::default()).unwrap()
}

/// Values of a linear congruence, far outside the data's range on both sides.
fn random(count: usize, len: usize, from: f32, to: f32) -> Vec<Vec<f32>> {
    let mut state = 7_u64;
    let mut next = || {
        state = state
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        let unit = f32::from(u16::try_from(state >> 48).unwrap()) / 65_535.0;
        from + unit * (to - from)
    };
    (0..count)
        .map(|_| (0..len).map(|_| next()).collect())
        .collect()
}

fn same_integers(family: &str, model_name: &str) {
    let float = common::float_model(model_name);
    let input = float.graph.inputs[0].name.clone();
    let heldout = common::samples(model_name, "heldout.npz");
    let labels = common::labels(model_name);
    let top = heldout.iter().flatten().fold(0.0, |a: f32, &b| a.max(b));
    for kind in ["u8u8", "u8u8-perchannel", "u8s8", "u8s8-perchannel"] {
        let file = format!("{family}-qop-{kind}.onnx");
        let original = third_party(&file);
        let imported = import_quantized(&original, &Options::default()).unwrap();
        let again = import_quantized(&original, &Options::default()).unwrap();
        assert_eq!(imported, again, "{file}: not deterministic");
        assert_eq!(imported.inputs[0].name, input);
        assert_eq!(imported.inputs[0].elem, ElemType::Uint8);
        assert_eq!(imported.outputs[0].name, "logits");
        if kind.starts_with("u8s8") {
            assert!(imported.notes[0].contains("rewritten"));
        }

        let mut inputs = heldout.clone();
        inputs.extend(random(500, heldout[0].len(), -0.3 * top, 1.3 * top));
        inputs.push(vec![f32::MAX / 1e6; heldout[0].len()]);
        inputs.push(vec![-f32::MAX / 1e6; heldout[0].len()]);
        let samples = Samples {
            inputs: BTreeMap::from([(input.clone(), inputs)]),
            labels: None,
        };
        let found = drift(&original, &imported, &samples).unwrap();
        println!("{file}: {found:?}");
        assert_eq!(found.different, 0, "{file}: {found:?}");
        assert!(found.compared >= 10_000);

        let samples = Samples {
            inputs: BTreeMap::from([(input.clone(), heldout.clone())]),
            labels: Some(labels.clone()),
        };
        let report = validate(&original, &imported, &samples).unwrap();
        println!("{file}: {report:?}");
        assert_eq!(report.float_accuracy, report.integer_accuracy);
        assert!(report.integer_accuracy.unwrap() > 0.97);
        assert!(report.largest_output_difference.unwrap() < 1e-6);
    }
}

#[test]
fn mlp() {
    same_integers("mlp", "digits-mlp");
}

#[test]
fn lenet() {
    same_integers("lenet", "lenet5-mnist");
}

#[test]
fn drift_sees_another_models_integers() {
    let one = third_party("mlp-qop-u8u8.onnx");
    let other = import_quantized(&third_party("mlp-qop-u8s8.onnx"), &Options::default()).unwrap();
    let samples = Samples {
        inputs: BTreeMap::from([(
            "pixels".to_owned(),
            common::samples("digits-mlp", "heldout.npz"),
        )]),
        labels: None,
    };
    let found = drift(&one, &other, &samples).unwrap();
    assert!(found.different > 0 && found.largest_step > 0 && found.rate() > 0.0);
}

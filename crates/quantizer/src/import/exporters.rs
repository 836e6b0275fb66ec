//! Graphs as the exporters of PyTorch and TensorFlow write them, imported as a whole.

use proofmark_onnx::Attribute;
use proofmark_types::ElemType;
use proofmark_types::manifest::ReferenceLevel;

use super::layers::weights;
use super::small::Small;
use super::testing::operators;
use crate::graphs::list;

/// Weights as PyTorch exports them: floats behind QuantizeLinear and DequantizeLinear.
#[test]
fn pytorch_style() {
    let mut small = Small::new(ElemType::Uint8, &[&[1, 2, 6, 6]]);
    small.grid("x", 0.031, 120, ElemType::Uint8);
    small.grid("y", 0.17, 0, ElemType::Uint8);
    small.grid("z", 0.4, 131, ElemType::Uint8);
    let wave = |len: usize| -> Vec<f32> {
        let at = |i: usize| f32::from(u8::try_from(i * 37 % 201).unwrap());
        (0..len).map(|i| at(i) / 100.0 - 1.0).collect()
    };
    small.floats("w", &[3, 2, 3, 3], &wave(54));
    small.floats("ws", &[3], &[0.0079, 0.0071, 0.0083]);
    small.bytes("wz", ElemType::Int8, &[3], &[0; 3]);
    small.floats("b", &[3], &[0.3, -0.2, 0.01]);
    small.floats("v", &[4, 108], &wave(432));
    small.floats("vs", &[4], &[0.0079; 4]);
    small.bytes("vz", ElemType::Int8, &[4], &[0; 4]);
    small.floats("c", &[4], &[0.3, -0.2, 0.01, 1.0]);
    small.ints("shape", &[1, -1]);
    let along = [("axis", Attribute::Int(0))];
    small.show("q0", "x", "d");
    for (weight, output) in [("w", "wd"), ("v", "vd")] {
        let (s, z, q) = (
            format!("{weight}s"),
            format!("{weight}z"),
            format!("{weight}q"),
        );
        small.node("QuantizeLinear", &[weight, &s, &z], &[&q], &along);
        small.node("DequantizeLinear", &[&q, &s, &z], &[output], &along);
    }
    small.node(
        "Conv",
        &["d", "wd", "b"],
        &["f"],
        &[("pads", list(&[1; 4]))],
    );
    small.node("Relu", &["f"], &["g"], &[]);
    small.quantize("g", "y", "h").show("h", "y", "i");
    small.node("Reshape", &["i", "shape"], &["j"], &[]);
    small.node(
        "Gemm",
        &["j", "vd", "c"],
        &["k"],
        &[("transB", Attribute::Int(1))],
    );
    small.quantize("k", "z", "r").output("r", ElemType::Uint8);
    let feeds = small.feeds(80);
    let found = small.compare(ReferenceLevel::All, &feeds);
    assert_eq!(operators(&found), ["QLinearConv", "Reshape", "QGemm"]);
    // The float biases are rounded to the accumulator's steps.
    assert_eq!(found.inexact.len(), 2, "{:?}", found.inexact);
    assert!(found.different * 50 < found.compared, "{}", found.different);
    assert!(found.largest <= 1);
}

/// As tf2onnx writes it: int8 tensors, weights transposed behind DequantizeLinear, Relu6 as
/// Clip, padding and layout as nodes of their own.
#[test]
fn tensorflow_style() {
    let elem = ElemType::Int8;
    let mut small = Small::new(elem, &[&[1, 6, 6, 2]]);
    small.grid("x", 0.031, -5, elem);
    small.grid("y", 6.0 / 255.0, -128, elem);
    weights(&mut small, "w", elem, &[3, 3, 2, 4]);
    small.floats("ws", &[4], &[0.0079, 0.0071, 0.0083, 0.0011]);
    small.bytes("wz", elem, &[4], &[0; 4]);
    small.floats("low", &[], &[0.0]).floats("high", &[], &[6.0]);
    small.ints("pads", &[0, 0, 0, 0, 0, 0, 1, 1]);
    let perm = |axes: &[i64]| [("perm", list(axes))];
    small.show("q0", "x", "d");
    let along = [("axis", Attribute::Int(3))];
    small.node("DequantizeLinear", &["w", "ws", "wz"], &["wd"], &along);
    small.node("Transpose", &["wd"], &["wt"], &perm(&[3, 2, 0, 1]));
    small.node("Transpose", &["d"], &["t"], &perm(&[0, 3, 1, 2]));
    small.node("Pad", &["t", "pads"], &["p"], &[]);
    small.node("Conv", &["p", "wt"], &["f"], &[("strides", list(&[2, 2]))]);
    small.node("Clip", &["f", "low", "high"], &["g"], &[]);
    small.node("Transpose", &["g"], &["n"], &perm(&[0, 2, 3, 1]));
    small.quantize("n", "y", "r").output("r", elem);
    let feeds = small.feeds(80);
    let found = small.compare(ReferenceLevel::All, &feeds);
    let wanted = ["Transpose", "Pad", "QLinearConv", "Transpose"];
    assert_eq!(operators(&found), wanted);
    assert!(found.different * 100 < found.compared && found.largest <= 1);
}

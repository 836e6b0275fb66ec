//! Layers that several tests of the importer start from.

use proofmark_onnx::Attribute;
use proofmark_types::ElemType;

use super::small::Small;
use crate::graphs::list;

/// A random walk through 8-bit values.
pub(super) fn weights(small: &mut Small, name: &str, elem: ElemType, shape: &[usize]) {
    let len = shape.iter().product::<usize>();
    let data = (0..len).map(|at| {
        let at = i32::try_from(at).unwrap();
        elem.min() + 1 + (at * 97 + at * at * 31) % 254
    });
    small.bytes(name, elem, shape, &data.collect::<Vec<_>>());
}

/// A convolution of `q0` between DequantizeLinear and QuantizeLinear, as ONNX Runtime's
/// quantizer writes it: weights a channel, an int32 bias on the scale of the product.
pub(super) fn convolution(x: ElemType, w: ElemType, y: ElemType) -> Small {
    let mut small = Small::new(x, &[&[1, 2, 6, 6]]);
    small.grid("x", 0.031, x.min() + 120, x);
    small.grid("y", 1.7, y.min() + 110, y);
    weights(&mut small, "w", w, &[3, 2, 3, 3]);
    let scales = [0.004, 0.011, 0.0007];
    small.floats("ws", &[3], &scales);
    small.bytes(
        "wz",
        w,
        &[3],
        &[if w == ElemType::Uint8 { 128 } else { 0 }; 3],
    );
    small.bytes("b", ElemType::Int32, &[3], &[-5000, 17, 900]);
    small.floats("bs", &[3], &scales.map(|w| 0.031 * w));
    small.bytes("bz", ElemType::Int32, &[3], &[0; 3]);
    let along = [("axis", Attribute::Int(0))];
    small.show("q0", "x", "d");
    small.node("DequantizeLinear", &["w", "ws", "wz"], &["wd"], &along);
    small.node("DequantizeLinear", &["b", "bs", "bz"], &["bd"], &along);
    small.node(
        "Conv",
        &["d", "wd", "bd"],
        &["c"],
        &[("pads", list(&[1; 4]))],
    );
    small
}

//! Layers of the multiplying operators with more inputs and outputs than one vector register
//! holds, and odd remainders.

use proofmark_onnx::{Attribute, Model};
use proofmark_tensor::{ElemType, IntTensor};
use proofmark_tests::Random;
use proofmark_tests::build::{Builder, random_tensor};

/// Signedness of a layer's two operands.
#[derive(Clone, Copy)]
struct Operands {
    x: ElemType,
    w: ElemType,
}

/// A layer of the operator with random weights; `None` for an operator that multiplies nothing.
pub(crate) fn layer(operator: &str, random: &mut Random) -> Option<Model> {
    let elem = *random.pick(&[ElemType::Uint8, ElemType::Int8]);
    build(operator, random, Operands { x: elem, w: elem }, false)
}

/// A u8×s8 layer, and the same with the weights and their zero points 128 higher, as u8.
pub(crate) fn mixed(operator: &str, random: &mut Random) -> (Model, Model) {
    let operands = Operands {
        x: ElemType::Uint8,
        w: ElemType::Int8,
    };
    let mixed = build(operator, &mut random.clone(), operands, false);
    let rewritten = build(operator, random, operands, true);
    mixed.zip(rewritten).expect("a multiplying operator")
}

/// Weights and their zero point, in the type of the layer or rewritten to u8.
fn weights(
    b: &mut Builder,
    random: &mut Random,
    shape: &[usize],
    elem: ElemType,
    rewrite: bool,
) -> (String, String) {
    let tensor = random_tensor(random, elem, shape);
    let zero_point = random.between(elem.min().into(), elem.max().into()) as i32;
    let (elem, shift) = if rewrite {
        (ElemType::Uint8, 128)
    } else {
        (elem, 0)
    };
    let data = tensor.data().iter().map(|w| w + shift).collect();
    let tensor = IntTensor::new(elem, shape.to_vec(), data).expect("weights of the type");
    (b.constant(tensor.into()), b.int(elem, zero_point + shift))
}

/// The scale 1, a multiplier that spreads most accumulators of `reach` products over the output's
/// range, and the output's zero point.
fn requantize(
    b: &mut Builder,
    random: &mut Random,
    elem: ElemType,
    reach: usize,
) -> (String, String, String) {
    let zero_point = random.between(elem.min().into(), elem.max().into()) as i32;
    let bits = i64::from(usize::BITS - reach.leading_zeros());
    let multiplier = random.float(-9 - bits, -5 - bits);
    (
        b.floats(&[1.0]),
        b.floats(&[multiplier]),
        b.int(elem, zero_point),
    )
}

fn build(operator: &str, random: &mut Random, operands: Operands, rewrite: bool) -> Option<Model> {
    let convolves = matches!(operator, "ConvInteger" | "QLinearConv");
    let requantizes = !matches!(operator, "ConvInteger" | "MatMulInteger");
    if !convolves && !matches!(operator, "MatMulInteger" | "QGemm" | "QLinearMatMul") {
        return None;
    }
    let mut b = Builder::new();
    let (depth, columns) = (random.size(1, 150), random.size(1, 70));
    let (x_shape, w_shape, out_shape, reach) = if convolves {
        let (channels, kernel) = (random.size(1, 20), random.size(1, 3));
        let (height, width) = (random.size(kernel, 9), random.size(kernel, 9));
        let filters = random.size(1, 40);
        (
            vec![1, channels, height, width],
            vec![filters, channels, kernel, kernel],
            vec![1, filters, height - kernel + 1, width - kernel + 1],
            channels * kernel * kernel,
        )
    } else {
        let rows = if operator == "QGemm" {
            1
        } else {
            random.size(1, 4)
        };
        (
            vec![rows, depth],
            vec![depth, columns],
            vec![rows, columns],
            depth,
        )
    };
    let x = b.input(operands.x, &x_shape);
    let (w, w_zp) = weights(&mut b, random, &w_shape, operands.w, rewrite);
    let x_zero_point = random.between(operands.x.min().into(), operands.x.max().into());
    let x_zp = b.int(operands.x, x_zero_point as i32);
    let none: &[(&str, Attribute)] = &[];
    let y = match operator {
        "ConvInteger" => b.node("", operator, &[&x, &w, &x_zp, &w_zp], none),
        "MatMulInteger" => b.node("", operator, &[&x, &w, &x_zp, &w_zp], none),
        "QGemm" => {
            let (one, m, y_zp) = requantize(&mut b, random, operands.x, reach);
            let bias = (0..columns)
                .map(|_| random.between(-9999, 9999) as i32)
                .collect();
            let bias = b.ints(ElemType::Int32, &[columns], bias);
            let inputs = [&x, &one, &x_zp, &w, &m, &w_zp, &bias, &one, &y_zp].map(String::as_str);
            b.node("com.microsoft", operator, &inputs, none)
        }
        _ => {
            let (one, m, y_zp) = requantize(&mut b, random, operands.x, reach);
            let inputs = [&x, &one, &x_zp, &w, &m, &w_zp, &one, &y_zp].map(String::as_str);
            b.node("", operator, &inputs, none)
        }
    };
    let elem = if requantizes {
        operands.x
    } else {
        ElemType::Int32
    };
    b.output(&y, elem, &out_shape);
    Some(b.finish())
}

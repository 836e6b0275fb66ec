//! `QLinearMatMul`: matrix product, requantize; of a tensor and a constant or of two tensors.

use proofmark_tensor::ElemType;
use proofmark_tensor::requantize::conv_multiplier;

use super::accumulate::Finish;
use super::mat_mul::{self, Positions};
use crate::context::{NodeContext, Refusal};
use crate::operator::{OpSpec, Parsed};
use crate::vector::Vector;

pub(super) static SPEC: OpSpec = OpSpec {
    op_type: "QLinearMatMul",
    domain: "",
    since: 10,
    summary: "matrix product, requantized, batched as MatMul; either operand may be constant",
    limits: "u8×u8 or s8×s8; rank 2 or more; constant scales and zero points, a column for a right side of rank 2 only",
    cost: "0 with a constant operand, else 1 a product; one requantize an output element",
    portability: "every x86-64, because u8×s8 is refused; arm64 with dot-product instructions. Without them the runtime wraps where an int8 weight and an int8 input are both −128: then the three answers differ and nothing is served",
    vectors,
    parse,
};

fn parse(cx: &NodeContext<'_>) -> Result<Parsed, Refusal> {
    // a, a_scale, a_zero_point, b, b_scale, b_zero_point, y_scale, y_zero_point
    cx.only_attributes(&[])?;
    let at = Positions {
        b: 3,
        a_zero_point: 2,
        b_zero_point: 5,
    };
    mat_mul::parse(cx, &at, |columns| {
        let (a_scale, y_scale) = (cx.scale(1)?, cx.scale(6)?);
        let elem = cx.zero_point_elem(7)?;
        let y_zero_point = cx.zero_point(7, elem)?;
        let rank = cx.node.input(3).and_then(|b| {
            cx.fact(b)
                .map(|fact| fact.shape.len())
                .or_else(|| cx.stored(b).map(|t| t.shape.len()))
        });
        let scales = if rank == Some(2) {
            cx.scales(4, columns)?
        } else {
            vec![cx.scale(4)?]
        };
        let multipliers = scales
            .into_iter()
            .map(|b_scale| conv_multiplier(a_scale, b_scale, y_scale));
        let steps = cx.requantizes(multipliers, y_zero_point, elem)?;
        Ok((Finish::Requantize(steps), elem))
    })
}

fn vectors() -> Vec<Vector> {
    let uint8 = ElemType::Uint8;
    let int8 = ElemType::Int8;
    // x_scale · w_scale / y_scale = 0.25
    let of = |name, elem, y_zero_point: i32| {
        let inputs = [
            "x",
            "x_scale",
            "x_zero_point",
            "w",
            "w_scale",
            "w_zero_point",
            "y_scale",
            "y_zero_point",
        ];
        Vector::new(name, &SPEC, &inputs)
            .floats("x_scale", &[0.5])
            .floats("w_scale", &[0.5])
            .floats("y_scale", &[1.0])
            .ints("x_zero_point", elem, &[1], &[0])
            .ints("w_zero_point", elem, &[1], &[1])
            .ints("y_zero_point", elem, &[1], &[y_zero_point])
    };
    vec![
        // 10·2 + 20·3 = 80, a quarter of it and 5
        of("a constant matrix", uint8, 5)
            .input("x", uint8, &[1, 2], &[10, 20])
            .ints("w", uint8, &[2, 1], &[3, 4])
            .gives(uint8, &[1, 1], &[25]),
        // Accumulators 2, 6, 10: halves go to the even neighbour.
        of("halves are rounded to even", uint8, 0)
            .input("x", uint8, &[3, 1], &[1, 3, 5])
            .ints("w", uint8, &[1, 1], &[3])
            .gives(uint8, &[3, 1], &[0, 2, 2]),
        of("both ends", int8, -100)
            .input("x", int8, &[2, 1], &[127, -128])
            .ints("w", int8, &[1, 2], &[127, -128])
            .gives(int8, &[2, 2], &[127, -128, -128, 127])
            .saturating(),
        // (10, 20) · (3−1, 4−1) = 80 and (1, 1) · (0−1, 0−1) = −2: −0.5 goes to 0
        of("two tensors, a batch of two", uint8, 5)
            .input("x", uint8, &[2, 1, 2], &[10, 20, 1, 1])
            .input("w", uint8, &[2, 2, 1], &[3, 4, 0, 0])
            .gives(uint8, &[2, 1, 1], &[25, 5]),
        of("two tensors, saturated", uint8, 0)
            .input("x", uint8, &[1, 1], &[255])
            .input("w", uint8, &[1, 2], &[255, 0])
            .gives(uint8, &[1, 2], &[255, 0])
            .saturating(),
        of("uint8 by int8", uint8, 0)
            .input("x", uint8, &[1, 1], &[1])
            .input("w", int8, &[1, 1], &[1])
            .refused("depends on the processor"),
        of("vectors", uint8, 0)
            .input("x", uint8, &[2], &[1, 2])
            .input("w", uint8, &[2], &[1, 2])
            .refused("shapes [2] and [2]"),
    ]
}

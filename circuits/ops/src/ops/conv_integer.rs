//! `ConvInteger`: convolution of 8-bit tensors to int32.

use proofmark_tensor::ElemType;

use super::q_linear_conv::{Conv, ConvInputs};
use crate::context::{NodeContext, Refusal};
use crate::operator::{OpSpec, Parsed};
use crate::vector::Vector;

pub(super) static SPEC: OpSpec = OpSpec {
    op_type: "ConvInteger",
    domain: "",
    since: 10,
    summary: "1-D and 2-D convolution to int32 accumulators",
    limits: "batch 1; constant weights; u8×u8 or s8×s8; explicit pads; one weight zero point",
    cost: "0",
    portability: "every processor: the runtime has a kernel for uint8 alone",
    vectors,
    parse,
};

fn parse(cx: &NodeContext<'_>) -> Result<Parsed, Refusal> {
    if cx.node.input(3).is_some() && cx.ints(3)?.len() != 1 {
        return Err(Refusal::new(
            "a weight zero point a channel, which the runtime does not run",
            "quantize the weights with one zero point, or use QLinearConv",
        ));
    }
    // x, w, x_zero_point, w_zero_point
    let (conv, x, _) = Conv::parse(
        cx,
        &ConvInputs {
            w: 1,
            x_zero_point: 2,
            w_zero_point: 3,
        },
    )?;
    Ok(Parsed {
        operator: Box::new(conv),
        data: vec![x],
    })
}

fn vectors() -> Vec<Vector> {
    let (uint8, int8, int32) = (ElemType::Uint8, ElemType::Int8, ElemType::Int32);
    let of = |name, shape: &[usize]| {
        Vector::new(name, &SPEC, &["x", "w", "x_zero_point", "w_zero_point"])
            .input("x", uint8, shape, &[1, 2, 3, 255])
            .ints("x_zero_point", uint8, &[], &[1])
    };
    vec![
        // (0, 1, 2, 254) with (4−3, 5−3)
        of("1-D", &[1, 1, 4])
            .ints("w", uint8, &[1, 1, 2], &[4, 5])
            .ints("w_zero_point", uint8, &[], &[3])
            .gives(int32, &[1, 1, 3], &[2, 5, 510]),
        // ((0, 1), (2, 254)) with (4−3) at each place
        of("2-D, two channels out", &[1, 1, 2, 2])
            .ints("w", uint8, &[2, 1, 1, 1], &[4, 0])
            .ints("w_zero_point", uint8, &[], &[3])
            .gives(int32, &[1, 2, 2, 2], &[0, 1, 2, 254, 0, -3, -6, -762]),
        of("a zero point a channel", &[1, 1, 4])
            .ints("w", uint8, &[2, 1, 2], &[4, 5, 6, 7])
            .ints("w_zero_point", uint8, &[2], &[3, 4])
            .refused("a weight zero point a channel"),
        of("batch 2", &[2, 1, 2])
            .ints("w", uint8, &[1, 1, 2], &[4, 5])
            .ints("w_zero_point", uint8, &[], &[3])
            .refused("input shape [2, 1, 2]"),
        of("uint8 by int8", &[1, 1, 4])
            .ints("w", int8, &[1, 1, 2], &[4, 5])
            .ints("w_zero_point", int8, &[], &[3])
            .refused("depends on the processor"),
    ]
}

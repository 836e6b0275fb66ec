//! `ConvInteger`: convolution of 8-bit tensors to int32.

use super::q_linear_conv::{Conv, ConvInputs};
use crate::context::{NodeContext, Refusal};
use crate::operator::{OpSpec, Parsed};

pub(super) static SPEC: OpSpec = OpSpec {
    op_type: "ConvInteger",
    domain: "",
    since: 10,
    summary: "1-D and 2-D convolution to int32 accumulators",
    limits: "batch 1; constant weights; u8×u8 or s8×s8; explicit pads; one weight zero point",
    cost: "0",
    portability: "every processor, because u8×s8 is refused",
    vectors: Vec::new,
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
    let (conv, x, _) = Conv::parse(cx, &ConvInputs { w: 1, x_zero_point: 2, w_zero_point: 3 })?;
    Ok(Parsed { operator: Box::new(conv), data: vec![x] })
}

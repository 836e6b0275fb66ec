//! `QLinearMatMul`: matrix product, requantize; of a tensor and a constant or of two tensors.

use proofmark_tensor::requantize::conv_multiplier;

use super::accumulate::Finish;
use super::mat_mul::{self, Positions};
use crate::context::{NodeContext, Refusal};
use crate::operator::{OpSpec, Parsed};

pub(super) static SPEC: OpSpec = OpSpec {
    op_type: "QLinearMatMul",
    domain: "",
    since: 10,
    summary: "matrix product, requantized, batched as MatMul; either operand may be constant",
    limits: "u8×u8 or s8×s8; rank 2 or more; constant scales and zero points, a column for a right side of rank 2 only",
    cost: "0 with a constant operand, else 1 a product; one requantize an output element",
    portability: "every processor, because u8×s8 is refused",
    vectors: Vec::new,
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

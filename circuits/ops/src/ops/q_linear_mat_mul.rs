//! `QLinearMatMul` with a constant right side: matrix product, requantize.

use proofmark_tensor::requantize::conv_multiplier;

use super::accumulate::Finish;
use super::q_gemm::Dense;
use crate::context::{NodeContext, Refusal};
use crate::operator::{OpSpec, Parsed};

pub(super) static SPEC: OpSpec = OpSpec {
    op_type: "QLinearMatMul",
    domain: "",
    since: 10,
    summary: "matrix product with a constant right side, requantized",
    limits: "constant right side of rank 2; u8×u8 or s8×s8",
    cost: "0 for the products; one requantize an output element",
    portability: "every processor, because u8×s8 is refused",
    vectors: Vec::new,
    parse,
};

fn parse(cx: &NodeContext<'_>) -> Result<Parsed, Refusal> {
    // a, a_scale, a_zero_point, b, b_scale, b_zero_point, y_scale, y_zero_point
    cx.only_attributes(&[])?;
    let (mut dense, x) = Dense::parse(cx, 3, 2, 5, false)?;
    let (x_scale, y_scale) = (cx.scale(1)?, cx.scale(6)?);
    let elem = cx.zero_point_elem(7)?;
    let y_zero_point = cx.zero_point(7, elem)?;
    let multipliers: Vec<f32> = cx
        .scales(4, dense.columns)?
        .into_iter()
        .map(|w_scale| conv_multiplier(x_scale, w_scale, y_scale))
        .collect();
    dense.finish = Finish::Requantize(cx.requantizes(multipliers, y_zero_point, elem)?);
    dense.output.elem = elem;
    Ok(Parsed { operator: Box::new(dense), data: vec![x] })
}

//! `MatMulInteger` with a constant right side: matrix product to int32.

use super::q_gemm::Dense;
use crate::context::{NodeContext, Refusal};
use crate::operator::{OpSpec, Parsed};

pub(super) static SPEC: OpSpec = OpSpec {
    op_type: "MatMulInteger",
    domain: "",
    since: 10,
    summary: "matrix product with a constant right side, int32 accumulators",
    limits: "constant right side of rank 2; u8×u8 or s8×s8",
    cost: "0",
    portability: "every processor, because u8×s8 is refused",
    vectors: Vec::new,
    parse,
};

fn parse(cx: &NodeContext<'_>) -> Result<Parsed, Refusal> {
    // a, b, a_zero_point, b_zero_point
    cx.only_attributes(&[])?;
    let (dense, x) = Dense::parse(cx, 1, 2, 3, false)?;
    Ok(Parsed { operator: Box::new(dense), data: vec![x] })
}

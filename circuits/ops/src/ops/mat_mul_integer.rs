//! `MatMulInteger`: matrix product to int32, of a tensor and a constant or of two tensors.

use proofmark_tensor::ElemType;

use super::accumulate::Finish;
use super::mat_mul::{self, Positions};
use crate::operator::OpSpec;

pub(super) static SPEC: OpSpec = OpSpec {
    op_type: "MatMulInteger",
    domain: "",
    since: 10,
    summary: "matrix product with int32 accumulators, batched as MatMul; either operand may be constant",
    limits: "u8×u8 or s8×s8; rank 2 or more; zero points a column for a right side of rank 2 only",
    cost: "0 with a constant operand; 1 a product of two computed elements",
    portability: "every processor, because u8×s8 is refused",
    vectors: Vec::new,
    parse: |cx| {
        // a, b, a_zero_point, b_zero_point
        cx.only_attributes(&[])?;
        let at = Positions {
            b: 1,
            a_zero_point: 2,
            b_zero_point: 3,
        };
        mat_mul::parse(cx, &at, |_| Ok((Finish::Int32, ElemType::Int32)))
    },
};

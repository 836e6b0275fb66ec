//! `MatMulInteger`: matrix product to int32, of a tensor and a constant or of two tensors.

use proofmark_tensor::ElemType;

use super::accumulate::Finish;
use super::mat_mul::{self, Positions};
use crate::operator::OpSpec;
use crate::vector::Vector;

pub(super) static SPEC: OpSpec = OpSpec {
    op_type: "MatMulInteger",
    domain: "",
    since: 10,
    summary: "matrix product with int32 accumulators, batched as MatMul; either operand may be constant",
    limits: "u8×u8 or s8×s8; rank 2 or more; zero points a column for a right side of rank 2 only",
    cost: "0 with a constant operand; 1 a product of two computed elements",
    portability: "every x86-64, because u8×s8 is refused; arm64 with dot-product instructions. Without them the runtime wraps where an int8 weight and an int8 input are both −128: then the three answers differ and nothing is served",
    vectors,
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

fn vectors() -> Vec<Vector> {
    let (uint8, int8, int32) = (ElemType::Uint8, ElemType::Int8, ElemType::Int32);
    let of = |name| {
        let inputs = ["x", "w", "x_zero_point", "w_zero_point"];
        Vector::new(name, &SPEC, &inputs).ints("x_zero_point", uint8, &[], &[1])
    };
    vec![
        // (5−1, 7−1) · ((1, 2), (3, 4)) − 0
        Vector::new("a constant matrix", &SPEC, &["x", "w", "x_zero_point"])
            .input("x", uint8, &[1, 2], &[5, 7])
            .ints("x_zero_point", uint8, &[], &[1])
            .ints("w", uint8, &[2, 2], &[1, 2, 3, 4])
            .gives(int32, &[1, 2], &[22, 32]),
        // (4, −1) · ((1−10, 2−20), (3−10, 4−20))
        of("a zero point a column")
            .input("x", uint8, &[1, 2], &[5, 0])
            .ints("w", uint8, &[2, 2], &[1, 2, 3, 4])
            .ints("w_zero_point", uint8, &[2], &[10, 20])
            .gives(int32, &[1, 2], &[-29, -56]),
        // Rows (4, −1) and (254, 2) by the column (1−2, 255−2).
        of("two tensors, a batch of two")
            .input("x", uint8, &[2, 1, 2], &[5, 0, 255, 3])
            .input("w", uint8, &[1, 2, 1], &[1, 255])
            .ints("w_zero_point", uint8, &[], &[2])
            .gives(int32, &[2, 1, 1], &[-257, 252]),
        Vector::new("a constant on the left", &SPEC, &["w", "x"])
            .input("x", int8, &[2, 2], &[-128, 1, 127, -1])
            .ints("w", int8, &[1, 2], &[-1, 2])
            .gives(int32, &[1, 2], &[382, -3]),
        Vector::new("uint8 by int8", &SPEC, &["x", "w"])
            .input("x", uint8, &[1, 2], &[5, 7])
            .ints("w", int8, &[2, 1], &[1, 2])
            .refused("depends on the processor"),
        Vector::new("shapes that do not multiply", &SPEC, &["x", "w"])
            .input("x", uint8, &[1, 2], &[5, 7])
            .input("w", uint8, &[3, 1], &[1, 2, 3])
            .refused("do not multiply"),
        Vector::new(
            "more products than a key can be made for",
            &SPEC,
            &["x", "w"],
        )
        .input("x", uint8, &[256, 256], &[0; 65_536])
        .input("w", uint8, &[256, 256], &[0; 65_536])
        .refused("products of computed elements"),
    ]
}

//! `Min`: the element-wise smallest of several tensors and constants.

use proofmark_tensor::ElemType::{Int8, Int32, Uint8};

use super::extremum::{self, Which};
use crate::operator::OpSpec;
use crate::vector::Vector;

pub(super) static SPEC: OpSpec = OpSpec {
    op_type: "Min",
    domain: "",
    since: 12,
    summary: "the element-wise smallest of several tensors and constants, broadcast",
    limits: "operands of one type, at least one of them computed",
    cost: "bytes: 10 for each further computed tensor, 9 or 10 for all constants together; int32: 34, 33 or 34",
    portability: "every processor",
    vectors,
    parse: |cx| extremum::parse(cx, Which::Smallest),
};

fn vectors() -> Vec<Vector> {
    vec![
        Vector::new("with a constant a column", &SPEC, &["x", "c"])
            .input("x", Uint8, &[2, 2], &[0, 200, 4, 255])
            .ints("c", Uint8, &[2], &[5, 7])
            .gives(Uint8, &[2, 2], &[0, 7, 4, 7]),
        Vector::new("two tensors", &SPEC, &["x", "y"])
            .input("x", Int8, &[3], &[-128, 127, -1])
            .input("y", Int8, &[3], &[127, -128, -1])
            .gives(Int8, &[3], &[-128, -128, -1]),
        Vector::new("a column, a row and a scalar", &SPEC, &["c", "x", "y"])
            .input("x", Int32, &[2, 1], &[1, 9])
            .input("y", Int32, &[3], &[2, 8, 3])
            .ints("c", Int32, &[], &[3])
            .gives(Int32, &[2, 3], &[1, 1, 1, 2, 3, 3]),
        Vector::new("one operand", &SPEC, &["x"])
            .input("x", Uint8, &[1], &[7])
            .gives(Uint8, &[1], &[7]),
        Vector::new("two types", &SPEC, &["x", "y"])
            .input("x", Int8, &[1], &[0])
            .input("y", Uint8, &[1], &[0])
            .refused("int8 and uint8"),
        Vector::new("shapes that do not broadcast", &SPEC, &["x", "c"])
            .input("x", Int8, &[3], &[0; 3])
            .ints("c", Int8, &[2], &[0; 2])
            .refused("broadcast"),
    ]
}

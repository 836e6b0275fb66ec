//! `Add` on int32: a bias on accumulators, or the sum of two of them. (8-bit addition wraps in the
//! runtime and is refused.)

use proofmark_gadgets::{Lowering, Num};
use proofmark_onnx::Attribute;
use proofmark_tensor::ElemType;

use super::elementwise::{self, Arithmetic, Value, wide};
use crate::error::OpsError;
use crate::operator::OpSpec;
use crate::vector::Vector;

pub(super) static SPEC: OpSpec = OpSpec {
    op_type: "Add",
    domain: "",
    since: 7,
    summary: "int32 sum of two tensors, or of a tensor and a constant, broadcast",
    limits: "int32 only; the sum must fit int32",
    cost: "0",
    portability: "every processor",
    vectors,
    parse: |cx| {
        elementwise::parse(
            cx,
            Add,
            "express a residual addition as Concat and a 1×1 QLinearConv, as the import does",
        )
    },
};

#[derive(Debug, Clone, Copy)]
struct Add;

impl Arithmetic for Add {
    fn eval(self, _node: &str, left: i64, right: i64) -> Result<i64, OpsError> {
        Ok(left + right)
    }

    fn synthesize(
        self,
        cx: &mut Lowering<'_>,
        left: Value<'_>,
        right: Value<'_>,
    ) -> Result<Num, OpsError> {
        Ok(match (left, right) {
            (Value::Computed(x), Value::Constant(c)) | (Value::Constant(c), Value::Computed(x)) => {
                x.plus(cx, c)?
            }
            (Value::Computed(x), Value::Computed(y)) => Num::linear(cx, [(1, x), (1, y)], 0)?,
            (Value::Constant(a), Value::Constant(b)) => Num::constant(cx, a + b),
        })
    }
}

fn vectors() -> Vec<Vector> {
    let (uint8, int32) = (ElemType::Uint8, ElemType::Int32);
    let of = |name, left, right| {
        Vector::new(name, &SPEC, &[left, right])
            .input("x", uint8, &[2, 2], &[1, 2, 3, 250])
            .after(wide("x", "w"))
    };
    vec![
        of("a constant, broadcast", "w", "c")
            .ints("c", int32, &[2], &[10, -20])
            .gives(int32, &[2, 2], &[11, -18, 13, 230]),
        of("a constant on the left", "c", "w")
            .ints("c", int32, &[], &[-7])
            .gives(int32, &[2, 2], &[-6, -5, -4, 243]),
        of("two tensors, broadcast", "w", "v")
            .input("z", ElemType::Int8, &[2, 1], &[-128, 127])
            .after(wide("z", "v"))
            .gives(int32, &[2, 2], &[-127, -126, 130, 377]),
        of("up to the last int32", "w", "c")
            .ints("c", int32, &[], &[i32::MAX - 255])
            .gives(
                int32,
                &[2, 2],
                &[i32::MAX - 254, i32::MAX - 253, i32::MAX - 252, i32::MAX - 5],
            ),
        Vector::new("one past int32", &SPEC, &["w", "c"])
            .input("x", uint8, &[1], &[0])
            .after(wide("x", "w"))
            .ints("c", int32, &[], &[i32::MAX - 254])
            .read_by("Cast", &[("to", Attribute::Int(2))])
            .refused("may leave int32"),
        Vector::new("8-bit operands", &SPEC, &["x", "x"])
            .input("x", uint8, &[1], &[200])
            .refused("wraps in the runtime"),
    ]
}

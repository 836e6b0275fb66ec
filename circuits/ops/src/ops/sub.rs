//! `Sub` on int32. (8-bit subtraction wraps in the runtime and is refused.)

use proofmark_gadgets::{Lowering, Num};
use proofmark_onnx::Attribute;
use proofmark_tensor::ElemType;

use super::elementwise::{self, Arithmetic, Value, wide};
use crate::error::OpsError;
use crate::operator::OpSpec;
use crate::vector::Vector;

pub(super) static SPEC: OpSpec = OpSpec {
    op_type: "Sub",
    domain: "",
    since: 7,
    summary: "int32 difference of two tensors, or of a tensor and a constant, broadcast",
    limits: "int32 only; the difference must fit int32",
    cost: "0",
    portability: "every processor",
    vectors,
    parse: |cx| elementwise::parse(cx, Sub, "cast the operands to int32 first"),
};

#[derive(Debug, Clone, Copy)]
struct Sub;

impl Arithmetic for Sub {
    fn eval(self, _node: &str, left: i64, right: i64) -> Result<i64, OpsError> {
        Ok(left - right)
    }

    fn synthesize(
        self,
        cx: &mut Lowering<'_>,
        left: Value<'_>,
        right: Value<'_>,
    ) -> Result<Num, OpsError> {
        Ok(match (left, right) {
            (Value::Computed(x), Value::Constant(c)) => x.plus(cx, -c)?,
            (Value::Constant(c), Value::Computed(x)) => Num::linear(cx, [(-1, x)], c)?,
            (Value::Computed(x), Value::Computed(y)) => Num::linear(cx, [(1, x), (-1, y)], 0)?,
            (Value::Constant(a), Value::Constant(b)) => Num::constant(cx, a - b),
        })
    }
}

fn vectors() -> Vec<Vector> {
    let (uint8, int32) = (ElemType::Uint8, ElemType::Int32);
    let of = |name, left, right| {
        Vector::new(name, &SPEC, &[left, right])
            .input("x", uint8, &[3], &[0, 7, 255])
            .after(wide("x", "w"))
    };
    vec![
        of("less a constant", "w", "c")
            .ints("c", int32, &[3], &[1, -1, 300])
            .gives(int32, &[3], &[-1, 8, -45]),
        of("from a constant", "c", "w")
            .ints("c", int32, &[2, 1], &[128, -1])
            .gives(int32, &[2, 3], &[128, 121, -127, -1, -8, -256]),
        of("two tensors", "w", "v")
            .input("z", ElemType::Int8, &[3], &[-128, 127, 0])
            .after(wide("z", "v"))
            .gives(int32, &[3], &[128, -120, 255]),
        Vector::new("below int32", &SPEC, &["c", "w"])
            .input("x", uint8, &[1], &[0])
            .after(wide("x", "w"))
            .ints("c", int32, &[], &[i32::MIN + 254])
            .read_by("Cast", &[("to", Attribute::Int(2))])
            .refused("may leave int32"),
        Vector::new("8-bit operands", &SPEC, &["x", "x"])
            .input("x", uint8, &[1], &[200])
            .refused("wraps in the runtime"),
    ]
}

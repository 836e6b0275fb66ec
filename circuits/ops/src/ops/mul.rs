//! `Mul` on int32. (8-bit multiplication wraps in the runtime and is refused.)

use proofmark_gadgets::multiply::multiply;
use proofmark_gadgets::{Lowering, Num};
use proofmark_onnx::Attribute;
use proofmark_tensor::ElemType;

use super::elementwise::{self, Arithmetic, Value, wide};
use crate::error::OpsError;
use crate::operator::OpSpec;
use crate::vector::Vector;

pub(super) static SPEC: OpSpec = OpSpec {
    op_type: "Mul",
    domain: "",
    since: 7,
    summary: "int32 product of two tensors, or of a tensor and a constant, broadcast",
    limits: "int32 only; the product must fit int32",
    cost: "0 with a constant; 1 a product of two computed elements",
    portability: "every processor",
    vectors,
    parse: |cx| elementwise::parse(cx, Mul, "cast the operands to int32 first"),
};

#[derive(Debug, Clone, Copy)]
struct Mul;

impl Arithmetic for Mul {
    fn eval(self, _node: &str, left: i64, right: i64) -> Result<i64, OpsError> {
        // Two int32 values: the product fits 63 bits.
        Ok(left * right)
    }

    fn synthesize(
        self,
        cx: &mut Lowering<'_>,
        left: Value<'_>,
        right: Value<'_>,
    ) -> Result<Num, OpsError> {
        Ok(match (left, right) {
            (Value::Computed(x), Value::Constant(c)) | (Value::Constant(c), Value::Computed(x)) => {
                Num::linear(cx, [(c, x)], 0)?
            }
            (Value::Computed(x), Value::Computed(y)) => multiply(cx, "product", x, y)?,
            (Value::Constant(a), Value::Constant(b)) => Num::constant(cx, a * b),
        })
    }
}

fn vectors() -> Vec<Vector> {
    let (uint8, int8, int32) = (ElemType::Uint8, ElemType::Int8, ElemType::Int32);
    let of = |name, left, right| {
        Vector::new(name, &SPEC, &[left, right])
            .input("x", uint8, &[3], &[0, 7, 255])
            .after(wide("x", "w"))
    };
    vec![
        of("a constant a row", "w", "c")
            .ints("c", int32, &[2, 1], &[256, -3])
            .gives(int32, &[2, 3], &[0, 1792, 65_280, 0, -21, -765]),
        of("by zero", "c", "w")
            .ints("c", int32, &[], &[0])
            .gives(int32, &[3], &[0, 0, 0]),
        of("two tensors", "w", "v")
            .input("z", int8, &[3], &[127, -128, -128])
            .after(wide("z", "v"))
            .gives(int32, &[3], &[0, -896, -32_640]),
        Vector::new("a product beyond int32", &SPEC, &["w", "c"])
            .input("x", uint8, &[1], &[0])
            .after(wide("x", "w"))
            .ints("c", int32, &[], &[1 << 24])
            .read_by("Cast", &[("to", Attribute::Int(2))])
            .refused("may leave int32"),
        Vector::new("8-bit operands", &SPEC, &["x", "x"])
            .input("x", uint8, &[1], &[200])
            .refused("wraps in the runtime"),
    ]
}

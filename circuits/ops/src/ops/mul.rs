//! `Mul` on int32. (8-bit multiplication wraps in the runtime and is refused.)

use proofmark_gadgets::multiply::multiply;
use proofmark_gadgets::{Lowering, Num};

use super::elementwise::{self, Arithmetic, Value};
use crate::error::OpsError;
use crate::operator::OpSpec;

pub(super) static SPEC: OpSpec = OpSpec {
    op_type: "Mul",
    domain: "",
    since: 7,
    summary: "int32 product of two tensors, or of a tensor and a constant, broadcast",
    limits: "int32 only; the product must fit int32",
    cost: "0 with a constant; 1 a product of two computed elements",
    portability: "every processor",
    vectors: Vec::new,
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

//! `Sub` on int32. (8-bit subtraction wraps in the runtime and is refused.)

use proofmark_gadgets::{Lowering, Num};

use super::elementwise::{self, Arithmetic, Value};
use crate::error::OpsError;
use crate::operator::OpSpec;

pub(super) static SPEC: OpSpec = OpSpec {
    op_type: "Sub",
    domain: "",
    since: 7,
    summary: "int32 difference of two tensors, or of a tensor and a constant, broadcast",
    limits: "int32 only; the difference must fit int32",
    cost: "0",
    portability: "every processor",
    vectors: Vec::new,
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

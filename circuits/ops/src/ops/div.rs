//! `Div` on int32 of a dividend that is not negative by a positive divisor.

use proofmark_gadgets::divide::divide;
use proofmark_gadgets::{Lowering, Num};

use super::elementwise::{self, Arithmetic, Value};
use crate::error::OpsError;
use crate::operator::OpSpec;

pub(super) static SPEC: OpSpec = OpSpec {
    op_type: "Div",
    domain: "",
    since: 7,
    summary: "int32 quotient of two tensors, or of a tensor and a constant, broadcast; rounded towards 0",
    limits: "int32 only; by the proven intervals the dividend is at least 0, the divisor at least 1",
    cost: "bits of the quotient + twice those of the divisor (once for a constant power of two) + 1 for a computed divisor",
    portability: "every processor",
    vectors: Vec::new,
    parse: |cx| elementwise::parse(cx, Div, "cast the operands to int32 first"),
};

#[derive(Debug, Clone, Copy)]
struct Div;

impl Arithmetic for Div {
    fn eval(self, node: &str, left: i64, right: i64) -> Result<i64, OpsError> {
        // Rounds towards 0, as ONNX says; the constraints allow no negative operand.
        left.checked_div(right).ok_or_else(|| OpsError::Interval {
            node: node.to_owned(),
            reason: "a divisor of 0".to_owned(),
            remedy: REMEDY,
        })
    }

    fn synthesize(
        self,
        cx: &mut Lowering<'_>,
        left: Value<'_>,
        right: Value<'_>,
    ) -> Result<Num, OpsError> {
        let num = |cx: &Lowering<'_>, value: Value<'_>| match value {
            Value::Constant(c) => Num::constant(cx, c),
            Value::Computed(x) => x.clone(),
        };
        let (x, d) = (num(cx, left), num(cx, right));
        if x.lo() < 0 || d.lo() < 1 {
            return Err(OpsError::Interval {
                node: cx.path("quotient"),
                reason: format!(
                    "a dividend of {} ..= {} by a divisor of {} ..= {}",
                    x.lo(),
                    x.hi(),
                    d.lo(),
                    d.hi()
                ),
                remedy: REMEDY,
            });
        }
        Ok(divide(cx, &x, &d)?)
    }
}

const REMEDY: &str =
    "divide a number that is at least 0 by one that is at least 1: shift or clip them first";

//! `Div` on int32 of a dividend that is not negative by a positive divisor.

use proofmark_gadgets::divide::divide;
use proofmark_gadgets::{Lowering, Num};
use proofmark_onnx::{Attribute, Node};
use proofmark_tensor::ElemType;

use super::elementwise::{self, Arithmetic, Value, wide};
use crate::error::OpsError;
use crate::operator::OpSpec;
use crate::vector::Vector;

pub(super) static SPEC: OpSpec = OpSpec {
    op_type: "Div",
    domain: "",
    since: 7,
    summary: "int32 quotient of two tensors, or of a tensor and a constant, broadcast; rounded towards 0",
    limits: "int32 only; by the proven intervals the dividend is at least 0, the divisor at least 1",
    cost: "bits of the quotient + twice those of the divisor (once for a constant power of two) + 1 for a computed divisor",
    portability: "every processor",
    vectors,
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

fn vectors() -> Vec<Vector> {
    let (uint8, int32) = (ElemType::Uint8, ElemType::Int32);
    let of = |name, left, right| {
        Vector::new(name, &SPEC, &[left, right])
            .input("x", uint8, &[4], &[0, 7, 8, 255])
            .after(wide("x", "w"))
    };
    let plus_one = || Node::new("up", "Add", &["v", "one"], &["d"]);
    vec![
        of("by a power of two", "w", "c")
            .ints("c", int32, &[], &[8])
            .gives(int32, &[4], &[0, 0, 1, 31]),
        of("by a constant each", "w", "c")
            .ints("c", int32, &[4], &[3, 3, 1, 100])
            .gives(int32, &[4], &[0, 2, 8, 2]),
        of("by a tensor", "w", "d")
            .input("z", uint8, &[4], &[0, 6, 8, 253])
            .ints("one", int32, &[], &[1])
            .after(wide("z", "v"))
            .after(plus_one())
            .gives(int32, &[4], &[0, 1, 0, 1]),
        of("a constant by a tensor", "c", "d")
            .input("z", uint8, &[2], &[0, 99])
            .ints("one", int32, &[], &[1])
            .ints("c", int32, &[], &[i32::MAX])
            .after(wide("z", "v"))
            .after(plus_one())
            .gives(int32, &[2], &[i32::MAX, 21_474_836]),
        Vector::new("by what may be zero", &SPEC, &["c", "w"])
            .input("x", uint8, &[1], &[1])
            .after(wide("x", "w"))
            .ints("c", int32, &[], &[100])
            .read_by("Cast", &[("to", Attribute::Int(2))])
            .refused("by a divisor of 0 ..= 255"),
        Vector::new("of what may be negative", &SPEC, &["w", "c"])
            .input("x", ElemType::Int8, &[1], &[5])
            .ints("c", int32, &[], &[2])
            .after(wide("x", "w"))
            .read_by("Cast", &[("to", Attribute::Int(2))])
            .refused("a dividend of -128"),
        Vector::new("8-bit operands", &SPEC, &["x", "x"])
            .input("x", uint8, &[1], &[200])
            .refused("wraps in the runtime"),
    ]
}

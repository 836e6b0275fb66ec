//! `Clip` to constant bounds.

use proofmark_gadgets::compare::clamp;
use proofmark_gadgets::{Lowering, Num};
use proofmark_tensor::ElemType::{Int8, Int32, Uint8};
use proofmark_tensor::IntTensor;

use crate::context::{NodeContext, Refusal};
use crate::error::OpsError;
use crate::operator::{Fact, OpSpec, Operator, Parsed, TensorVar};
use crate::vector::Vector;

pub(super) static SPEC: OpSpec = OpSpec {
    op_type: "Clip",
    domain: "",
    since: 12,
    summary: "values clamped to constant bounds; all are the upper bound where that is below the lower",
    limits: "constant scalar bounds",
    cost: "bytes: 9 or 10 for one bound, at most 19 for two; int32: 34 or 67; 0 where the interval is inside",
    portability: "every processor",
    vectors,
    parse,
};

/// `min(max(x, lo), hi)` for each element, `lo ≤ hi`.
#[derive(Debug)]
pub(crate) struct Clamp {
    pub(crate) output: Fact,
    pub(crate) lo: i32,
    pub(crate) hi: i32,
}

impl Operator for Clamp {
    fn output(&self) -> &Fact {
        &self.output
    }

    fn eval(&self, inputs: &[&IntTensor]) -> Result<Vec<i32>, OpsError> {
        let x = inputs.first().map(|t| t.data()).unwrap_or_default();
        Ok(x.iter().map(|&v| v.max(self.lo).min(self.hi)).collect())
    }

    fn synthesize(
        &self,
        cx: &mut Lowering<'_>,
        inputs: &[&TensorVar],
    ) -> Result<Vec<Num>, OpsError> {
        let x = inputs
            .first()
            .map(|t| t.nums.as_slice())
            .unwrap_or_default();
        x.iter()
            .map(|x| Ok(clamp(cx, x, self.lo.into(), self.hi.into())?))
            .collect()
    }
}

/// The bound at a position, or the type's end.
fn bound(cx: &NodeContext<'_>, position: usize, x: &Fact, absent: i32) -> Result<i32, Refusal> {
    if cx.node.input(position).is_none() {
        return Ok(absent);
    }
    let constant = cx.ints(position)?;
    match constant.data() {
        &[value] if constant.elem() == x.elem && constant.shape().len() <= 1 => Ok(value),
        _ => Err(Refusal::new(
            format!(
                "a bound of type {} and shape {:?} for a tensor of {}",
                constant.elem(),
                constant.shape(),
                x.elem
            ),
            "give one value of the tensor's type",
        )),
    }
}

fn parse(cx: &NodeContext<'_>) -> Result<Parsed, Refusal> {
    cx.only_attributes(&[])?;
    let (name, x) = cx.data(0)?;
    let hi = bound(cx, 2, &x, x.elem.max())?;
    let lo = bound(cx, 1, &x, x.elem.min())?.min(hi);
    Ok(Parsed {
        operator: Box::new(Clamp { output: x, lo, hi }),
        data: vec![name],
    })
}

fn vectors() -> Vec<Vector> {
    let bytes = [0, 9, 10, 11, 19, 20, 21, 255];
    let of = |name, inputs: &[&str]| {
        Vector::new(name, &SPEC, inputs)
            .input("x", Uint8, &[8], &bytes)
            .ints("ten", Uint8, &[], &[10])
            .ints("twenty", Uint8, &[], &[20])
    };
    let only = |vector: Vector, data: &[i32]| vector.gives(Uint8, &[8], data).saturating();
    vec![
        only(
            of("both bounds", &["x", "ten", "twenty"]),
            &[10, 10, 10, 11, 19, 20, 20, 20],
        ),
        only(
            of("a lower bound", &["x", "ten"]),
            &[10, 10, 10, 11, 19, 20, 21, 255],
        ),
        only(
            of("an upper bound", &["x", "", "twenty"]),
            &[0, 9, 10, 11, 19, 20, 20, 20],
        ),
        only(
            of("bounds the wrong way round", &["x", "twenty", "ten"]),
            &[10; 8],
        ),
        Vector::new("no bound", &SPEC, &["x"])
            .input("x", Int8, &[2], &[-128, 127])
            .gives(Int8, &[2], &[-128, 127]),
        Vector::new("int32", &SPEC, &["x", "lo", "hi"])
            .input("x", Int32, &[4], &[i32::MIN, -300, 300, i32::MAX])
            .ints("lo", Int32, &[1], &[-299])
            .ints("hi", Int32, &[1], &[i32::MAX - 1])
            .gives(Int32, &[4], &[-299, -299, 300, i32::MAX - 1]),
        Vector::new("a bound of another type", &SPEC, &["x", "lo"])
            .input("x", Int8, &[1], &[0])
            .ints("lo", Uint8, &[], &[0])
            .refused("bound"),
        Vector::new("a bound that is computed", &SPEC, &["x", "lo"])
            .input("x", Int8, &[1], &[0])
            .input("lo", Int8, &[], &[0])
            .refused("run time"),
    ]
}

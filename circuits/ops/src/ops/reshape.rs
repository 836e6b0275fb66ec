//! `Reshape` to a constant shape.

use proofmark_tensor::ElemType::Uint8;

use super::relabel::Relabel;
use crate::context::{NodeContext, Refusal};
use crate::operator::{Fact, OpSpec, Parsed};
use crate::vector::Vector;

pub(super) static SPEC: OpSpec = OpSpec {
    op_type: "Reshape",
    domain: "",
    since: 5,
    summary: "the same elements under another shape",
    limits: "constant shape",
    cost: "0",
    portability: "every processor",
    vectors,
    parse,
};

fn parse(cx: &NodeContext<'_>) -> Result<Parsed, Refusal> {
    cx.only_attributes(&["allowzero"])?;
    let (name, x) = cx.data(0)?;
    let wanted = cx
        .int64s(1)?
        .ok_or_else(|| Refusal::new("no shape", "give a constant shape"))?;
    let allow_zero = cx.flag("allowzero", false)?;
    let refuse = || {
        Refusal::new(
            format!("shape {wanted:?} does not fit {} elements", x.len()),
            "give a shape with as many elements",
        )
    };
    let mut shape = Vec::with_capacity(wanted.len());
    let mut inferred = None;
    for (d, &size) in wanted.iter().enumerate() {
        shape.push(match size {
            0 if !allow_zero => *x.shape.get(d).ok_or_else(refuse)?,
            -1 if inferred.is_none() => {
                inferred = Some(d);
                1
            }
            _ => usize::try_from(size).map_err(|_| refuse())?,
        });
    }
    let count = shape
        .iter()
        .try_fold(1_usize, |n, &d| n.checked_mul(d))
        .ok_or_else(refuse)?;
    if let Some(d) = inferred {
        if count == 0 || !x.len().is_multiple_of(count) {
            return Err(refuse());
        }
        if let Some(slot) = shape.get_mut(d) {
            *slot = x.len() / count;
        }
    } else if count != x.len() {
        return Err(refuse());
    }
    let output = Fact {
        elem: x.elem,
        shape,
    };
    Ok(Parsed {
        operator: Box::new(Relabel::identity(output)),
        data: vec![name],
    })
}

fn vectors() -> Vec<Vector> {
    let of = |name, shape: &[i64]| {
        Vector::new(name, &SPEC, &["x", "shape"])
            .input("x", Uint8, &[2, 3], &[1, 2, 3, 4, 5, 6])
            .int64s("shape", shape)
    };
    let same = [1, 2, 3, 4, 5, 6];
    vec![
        of("as many elements", &[3, 2]).gives(Uint8, &[3, 2], &same),
        of("0 keeps a dimension, -1 is what is left", &[0, 1, -1]).gives(Uint8, &[2, 1, 3], &same),
        of("other numbers of elements", &[4, 2]).refused("does not fit"),
        of("two dimensions left open", &[-1, -1]).refused("does not fit"),
        of("no whole number is left", &[4, -1]).refused("does not fit"),
        Vector::new("no shape", &SPEC, &["x"])
            .input("x", Uint8, &[1], &[0])
            .refused("no shape"),
    ]
}

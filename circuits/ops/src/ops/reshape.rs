//! `Reshape` to a constant shape.

use super::relabel::Relabel;
use crate::context::{NodeContext, Refusal};
use crate::operator::{Fact, OpSpec, Parsed};

pub(super) static SPEC: OpSpec = OpSpec {
    op_type: "Reshape",
    domain: "",
    since: 5,
    summary: "the same elements under another shape",
    limits: "constant shape",
    cost: "0",
    portability: "every processor",
    vectors: Vec::new,
    parse,
};

fn parse(cx: &NodeContext<'_>) -> Result<Parsed, Refusal> {
    cx.only_attributes(&["allowzero"])?;
    let (name, x) = cx.data(0)?;
    let wanted = cx
        .int64s(1)?
        .ok_or_else(|| Refusal::new("no shape", "give a constant shape"))?;
    let allow_zero = cx.int("allowzero", 0)? != 0;
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
    let count = shape.iter().try_fold(1_usize, |n, &d| n.checked_mul(d)).ok_or_else(refuse)?;
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
    let output = Fact { elem: x.elem, shape };
    Ok(Parsed { operator: Box::new(Relabel::identity(output)), data: vec![name] })
}

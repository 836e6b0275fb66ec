//! `Flatten` to a matrix.

use proofmark_onnx::Attribute;
use proofmark_tensor::ElemType::Int8;

use super::relabel::Relabel;
use crate::context::{NodeContext, Refusal};
use crate::operator::{Fact, OpSpec, Parsed};
use crate::vector::Vector;

pub(super) static SPEC: OpSpec = OpSpec {
    op_type: "Flatten",
    domain: "",
    since: 9,
    summary: "the same elements as a matrix, split at an axis",
    limits: "none",
    cost: "0",
    portability: "every processor",
    vectors,
    parse,
};

fn parse(cx: &NodeContext<'_>) -> Result<Parsed, Refusal> {
    cx.only_attributes(&["axis"])?;
    let (name, x) = cx.data(0)?;
    let axis = cx.int("axis", 1)?;
    let rank = i64::try_from(x.shape.len()).unwrap_or(i64::MAX);
    let at = if axis < 0 {
        axis.saturating_add(rank)
    } else {
        axis
    };
    let split = usize::try_from(at)
        .ok()
        .filter(|&at| at <= x.shape.len())
        .ok_or_else(|| {
            Refusal::new(
                format!("axis {axis} of rank {rank}"),
                "give an axis inside the rank",
            )
        })?;
    let (left, right) = x.shape.split_at(split);
    let shape = vec![left.iter().product(), right.iter().product()];
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
    let of = |name, axis: i64| {
        Vector::new(name, &SPEC, &["x"])
            .input("x", Int8, &[1, 2, 2], &[-128, 0, 1, 127])
            .attribute("axis", Attribute::Int(axis))
    };
    let same = [-128, 0, 1, 127];
    vec![
        of("in the middle", 2).gives(Int8, &[2, 2], &same),
        of("before everything", 0).gives(Int8, &[1, 4], &same),
        of("from the end", -1).gives(Int8, &[2, 2], &same),
        of("behind everything", 3).gives(Int8, &[4, 1], &same),
        of("past the rank", 4).refused("axis 4"),
    ]
}

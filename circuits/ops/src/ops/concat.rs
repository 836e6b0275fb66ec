//! `Concat` along an axis.

use proofmark_onnx::Attribute;
use proofmark_tensor::ElemType::{Int8, Int32, Uint8};

use super::relabel::{Relabel, axis};
use crate::context::{NodeContext, Refusal};
use crate::operator::{Fact, OpSpec, Parsed};
use crate::vector::Vector;

pub(super) static SPEC: OpSpec = OpSpec {
    op_type: "Concat",
    domain: "",
    since: 4,
    summary: "tensors side by side along an axis",
    limits: "no constant operands; equal element types",
    cost: "0",
    portability: "every processor",
    vectors,
    parse,
};

fn parse(cx: &NodeContext<'_>) -> Result<Parsed, Refusal> {
    cx.only_attributes(&["axis"])?;
    let inputs = (0..cx.node.inputs.len())
        .map(|i| cx.data(i))
        .collect::<Result<Vec<_>, _>>()?;
    let Some((_, first)) = inputs.first() else {
        return Err(Refusal::new(
            "no operand",
            "concatenate at least one tensor",
        ));
    };
    let rank = first.shape.len();
    let wanted = cx
        .node
        .attr_int("axis")
        .ok()
        .flatten()
        .ok_or_else(|| Refusal::new("no axis", "give the attribute axis"))?;
    let at = axis(wanted, rank).ok_or_else(|| {
        Refusal::new(
            format!("axis {wanted} of rank {rank}"),
            "give an axis inside the rank",
        )
    })?;
    let dim = |fact: &Fact| fact.shape.get(at).copied().unwrap_or_default();
    let mut shape = first.shape.clone();
    if let Some(total) = shape.get_mut(at) {
        *total = inputs
            .iter()
            .fold(0, |sum, (_, fact)| sum.saturating_add(dim(fact)));
    }
    let same_elsewhere = inputs.iter().all(|(_, fact)| {
        fact.elem == first.elem
            && fact.shape.len() == rank
            && (0..rank).all(|d| d == at || fact.shape.get(d) == first.shape.get(d))
    });
    if !same_elsewhere {
        return Err(Refusal::new(
            "operands differ in type or in a dimension other than the axis",
            "make them equal",
        ));
    }
    let shape = cx.bounded(shape)?;
    let outer: usize = first.shape.iter().take(at).product();
    let inner: usize = first.shape.iter().skip(at + 1).product();
    let mut source = Vec::with_capacity(shape.iter().product());
    for o in 0..outer {
        for (which, (_, fact)) in inputs.iter().enumerate() {
            let run = dim(fact) * inner;
            source.extend((0..run).map(|i| (which, o * run + i)));
        }
    }
    let output = Fact {
        elem: first.elem,
        shape,
    };
    let data = inputs.into_iter().map(|(name, _)| name).collect();
    Ok(Parsed {
        operator: Box::new(Relabel { output, source }),
        data,
    })
}

fn vectors() -> Vec<Vector> {
    let of = |name, inputs: &[&str], axis: i64| {
        Vector::new(name, &SPEC, inputs)
            .input("x", Uint8, &[2, 1], &[1, 2])
            .input("y", Uint8, &[2, 2], &[3, 4, 5, 6])
            .attribute("axis", Attribute::Int(axis))
    };
    vec![
        of("along the last axis", &["y", "x"], -1).gives(Uint8, &[2, 3], &[3, 4, 1, 5, 6, 2]),
        of("one tensor twice along the first", &["y", "x", "y"], 1).gives(
            Uint8,
            &[2, 5],
            &[3, 4, 1, 3, 4, 5, 6, 2, 5, 6],
        ),
        Vector::new("one tensor alone", &SPEC, &["x"])
            .input("x", Int32, &[2], &[i32::MIN, i32::MAX])
            .attribute("axis", Attribute::Int(0))
            .gives(Int32, &[2], &[i32::MIN, i32::MAX]),
        of("another dimension differs", &["x", "y"], 0).refused("differ"),
        of("an axis past the rank", &["x", "y"], 2).refused("axis 2"),
        Vector::new("no axis", &SPEC, &["x"])
            .input("x", Uint8, &[1], &[0])
            .refused("no axis"),
        Vector::new("two types", &SPEC, &["x", "y"])
            .input("x", Uint8, &[1], &[0])
            .input("y", Int8, &[1], &[0])
            .attribute("axis", Attribute::Int(0))
            .refused("differ"),
    ]
}

//! `Squeeze`: drops dimensions of size 1.

use proofmark_tensor::ElemType::{Int8, Int32};

use super::relabel::{Relabel, axis};
use crate::context::{NodeContext, Refusal};
use crate::operator::{Fact, OpSpec, Parsed};
use crate::vector::Vector;

pub(super) static SPEC: OpSpec = OpSpec {
    op_type: "Squeeze",
    domain: "",
    since: 1,
    summary: "the same elements without some dimensions of size 1",
    limits: "constant axes",
    cost: "0",
    portability: "every processor",
    vectors,
    parse,
};

fn parse(cx: &NodeContext<'_>) -> Result<Parsed, Refusal> {
    cx.only_attributes(&["axes"])?;
    let (name, x) = cx.data(0)?;
    let axes = match cx.int_list("axes")? {
        Some(axes) => Some(axes),
        None => cx.int64s(1)?.map(<[i64]>::to_vec),
    };
    let refuse = |axes: &[i64]| {
        Refusal::new(
            format!("axes {axes:?} of shape {:?}", x.shape),
            "squeeze dimensions of size 1",
        )
    };
    if axes.as_ref().is_some_and(Vec::is_empty) {
        return Err(Refusal::new(
            "an empty list of axes, which the runtime reads as all dimensions of size 1",
            "name the axes, or leave the list out",
        ));
    }
    let drop: Vec<usize> = match &axes {
        None => x
            .shape
            .iter()
            .enumerate()
            .filter(|&(_, &d)| d == 1)
            .map(|(i, _)| i)
            .collect(),
        Some(axes) => axes
            .iter()
            .map(|&a| axis(a, x.shape.len()).filter(|&i| x.shape.get(i) == Some(&1)))
            .collect::<Option<_>>()
            .ok_or_else(|| refuse(axes))?,
    };
    let shape = x
        .shape
        .iter()
        .enumerate()
        .filter(|(i, _)| !drop.contains(i))
        .map(|(_, &d)| d)
        .collect();
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
    let of = |name, axes: &[i64]| {
        Vector::new(name, &SPEC, &["x", "axes"])
            .input("x", Int8, &[1, 2, 1], &[-7, 7])
            .int64s("axes", axes)
    };
    vec![
        of("one of two", &[0]).gives(Int8, &[2, 1], &[-7, 7]),
        of("from the end", &[-1]).gives(Int8, &[1, 2], &[-7, 7]),
        Vector::new("all", &SPEC, &["x"])
            .input("x", Int32, &[1, 2, 1], &[i32::MIN, 0])
            .gives(Int32, &[2], &[i32::MIN, 0]),
        of("a dimension of two", &[1]).refused("axes [1]"),
        of("past the rank", &[3]).refused("axes [3]"),
    ]
}

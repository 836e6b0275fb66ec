//! `Unsqueeze`: inserts dimensions of size 1.

use proofmark_tensor::ElemType::Int8;

use super::relabel::{Relabel, axis};
use crate::context::{NodeContext, Refusal};
use crate::operator::{Fact, OpSpec, Parsed};
use crate::vector::Vector;

pub(super) static SPEC: OpSpec = OpSpec {
    op_type: "Unsqueeze",
    domain: "",
    since: 1,
    summary: "the same elements with further dimensions of size 1",
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
        Some(axes) => axes,
        None => cx
            .int64s(1)?
            .ok_or_else(|| Refusal::new("no axes", "give constant axes"))?
            .to_vec(),
    };
    let rank = x.shape.len() + axes.len();
    let mut insert = axes
        .iter()
        .map(|&a| axis(a, rank))
        .collect::<Option<Vec<_>>>()
        .unwrap_or_default();
    insert.sort_unstable();
    insert.dedup();
    if insert.len() != axes.len() {
        return Err(Refusal::new(
            format!("axes {axes:?} for rank {rank}"),
            "give distinct axes inside the new rank",
        ));
    }
    let mut old = x.shape.iter().copied();
    let shape = (0..rank)
        .map(|i| {
            if insert.binary_search(&i).is_ok() {
                1
            } else {
                old.next().unwrap_or(1)
            }
        })
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
            .input("x", Int8, &[2], &[-7, 7])
            .int64s("axes", axes)
    };
    vec![
        of("before and behind", &[0, -1]).gives(Int8, &[1, 2, 1], &[-7, 7]),
        of("in any order", &[2, 0]).gives(Int8, &[1, 2, 1], &[-7, 7]),
        of("past the rank", &[2]).refused("for rank"),
    ]
}

//! `Squeeze`: drops dimensions of size 1.

use super::relabel::{Relabel, axis};
use crate::context::{NodeContext, Refusal};
use crate::operator::{Fact, OpSpec, Parsed};

pub(super) static SPEC: OpSpec = OpSpec {
    op_type: "Squeeze",
    domain: "",
    since: 1,
    summary: "the same elements without some dimensions of size 1",
    limits: "constant axes",
    cost: "0",
    portability: "every processor",
    vectors: Vec::new,
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
        Refusal::new(format!("axes {axes:?} of shape {:?}", x.shape), "squeeze dimensions of size 1")
    };
    let drop: Vec<usize> = match &axes {
        None => x.shape.iter().enumerate().filter(|&(_, &d)| d == 1).map(|(i, _)| i).collect(),
        Some(axes) => axes
            .iter()
            .map(|&a| axis(a, x.shape.len()).filter(|&i| x.shape.get(i) == Some(&1)))
            .collect::<Option<_>>()
            .ok_or_else(|| refuse(axes))?,
    };
    let shape = x.shape.iter().enumerate().filter(|(i, _)| !drop.contains(i)).map(|(_, &d)| d).collect();
    let output = Fact { elem: x.elem, shape };
    Ok(Parsed { operator: Box::new(Relabel::identity(output)), data: vec![name] })
}

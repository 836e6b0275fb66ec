//! `Expand`: repeats dimensions of size 1 (broadcasting to a constant shape).

use proofmark_tensor::ElemType::{Int8, Int32};

use super::broadcast::{broadcast, positions};
use super::relabel::Relabel;
use crate::context::{NodeContext, Refusal};
use crate::operator::{Fact, MAX_ELEMENTS, OpSpec, Parsed};
use crate::vector::Vector;

pub(super) static SPEC: OpSpec = OpSpec {
    op_type: "Expand",
    domain: "",
    since: 8,
    summary: "the tensor broadcast with a shape",
    limits: "constant shape",
    cost: "0",
    portability: "every processor",
    vectors,
    parse,
};

fn parse(cx: &NodeContext<'_>) -> Result<Parsed, Refusal> {
    cx.only_attributes(&[])?;
    let (name, x) = cx.data(0)?;
    let wanted = cx
        .int64s(1)?
        .ok_or_else(|| Refusal::new("no shape", "give a constant shape"))?;
    let sizes: Option<Vec<usize>> = wanted
        .iter()
        .map(|&size| {
            usize::try_from(size)
                .ok()
                .filter(|&size| size <= MAX_ELEMENTS)
        })
        .collect();
    let sizes = sizes.ok_or_else(|| {
        Refusal::new(
            format!("shape {wanted:?}"),
            "give a shape of moderate sizes without negative ones",
        )
    })?;
    let shape = cx.bounded(broadcast(&x.shape, &sizes)?)?;
    let source = positions(&shape, &x.shape)
        .into_iter()
        .map(|at| (0, at))
        .collect();
    let output = Fact {
        elem: x.elem,
        shape,
    };
    Ok(Parsed {
        operator: Box::new(Relabel { output, source }),
        data: vec![name],
    })
}

fn vectors() -> Vec<Vector> {
    let of = |name, shape: &[i64]| {
        Vector::new(name, &SPEC, &["x", "shape"])
            .input("x", Int8, &[2, 1], &[-128, 127])
            .int64s("shape", shape)
    };
    vec![
        of("both sides stretch", &[2, 1, 3]).gives(
            Int8,
            &[2, 2, 3],
            &[
                -128, -128, -128, 127, 127, 127, -128, -128, -128, 127, 127, 127,
            ],
        ),
        of("a 1 leaves a dimension as it is", &[1]).gives(Int8, &[2, 1], &[-128, 127]),
        of("shapes that do not broadcast", &[3, 2]).refused("broadcast"),
        of("a negative size", &[2, -1]).refused("shape"),
        of("no element", &[2, 0]).refused("without elements"),
        Vector::new("a shape that is computed", &SPEC, &["x", "shape"])
            .input("x", Int8, &[1], &[0])
            .input("shape", Int32, &[1], &[3])
            .refused("run time"),
    ]
}

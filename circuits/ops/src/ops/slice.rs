//! `Slice` with constant bounds.

use proofmark_tensor::ElemType::{Int8, Int32, Uint8};

use super::relabel::{Relabel, distinct_axes, indices};
use crate::context::{NodeContext, Refusal};
use crate::operator::{OpSpec, Parsed};
use crate::vector::Vector;

pub(super) static SPEC: OpSpec = OpSpec {
    op_type: "Slice",
    domain: "",
    since: 10,
    summary: "every step-th element between start and end along axes, backwards where a step is negative",
    limits: "constant starts, ends, axes, steps; at least one element is left",
    cost: "0",
    portability: "every processor",
    vectors,
    parse,
};

/// The indices that are left of `0 .. size`, as ONNX clamps start and end.
fn kept(size: usize, start: i64, end: i64, step: i64) -> Vec<usize> {
    let Ok(n) = i64::try_from(size) else {
        return Vec::new();
    };
    let from_end = |v: i64| if v < 0 { v.saturating_add(n) } else { v };
    let (first, stop) = if step > 0 {
        (from_end(start).clamp(0, n), from_end(end).clamp(0, n))
    } else {
        (
            from_end(start).clamp(0.min(n - 1), n - 1),
            from_end(end).clamp(-1, n - 1),
        )
    };
    let inside = |&at: &i64| if step > 0 { at < stop } else { at > stop };
    std::iter::successors(Some(first), |&at| at.checked_add(step))
        .take_while(inside)
        .map_while(|at| usize::try_from(at).ok())
        .collect()
}

fn parse(cx: &NodeContext<'_>) -> Result<Parsed, Refusal> {
    cx.only_attributes(&[])?;
    let (name, x) = cx.data(0)?;
    let rank = x.shape.len();
    let required = |position: usize, what: &str| {
        indices(cx, position)?
            .ok_or_else(|| Refusal::new(format!("no {what}"), "give constant starts and ends"))
    };
    let (starts, ends) = (required(1, "starts")?, required(2, "ends")?);
    let axes = match indices(cx, 3)? {
        Some(axes) => distinct_axes(&axes, rank)?,
        None => (0..starts.len()).collect(),
    };
    let steps = indices(cx, 4)?.unwrap_or_else(|| vec![1; starts.len()]);
    let types: Vec<_> = (1..5)
        .filter_map(|at| cx.constant(at).ok().flatten())
        .map(proofmark_onnx::Tensor::ty)
        .collect();
    let lengths = [ends.len(), axes.len(), steps.len()];
    let agree = lengths.iter().all(|&length| length == starts.len())
        && types.windows(2).all(|pair| pair.first() == pair.last());
    if rank == 0 || !agree || axes.iter().any(|&at| at >= rank) {
        return Err(Refusal::new(
            format!(
                "starts {starts:?}, ends {ends:?}, axes {axes:?}, steps {steps:?} for rank {rank}"
            ),
            "give lists of one type and one length, at most the rank",
        ));
    }
    if steps.contains(&0) {
        return Err(Refusal::new("a step of 0", "use steps other than 0"));
    }
    let mut maps: Vec<Vec<usize>> = x.shape.iter().map(|&size| (0..size).collect()).collect();
    for (((&at, &start), &end), &step) in axes.iter().zip(&starts).zip(&ends).zip(&steps) {
        if let Some(map) = maps.get_mut(at) {
            *map = kept(map.len(), start, end, step);
        }
    }
    Ok(Parsed {
        operator: Box::new(Relabel::separable(x.elem, &x.shape, &maps)),
        data: vec![name],
    })
}

fn vectors() -> Vec<Vector> {
    let x = [0, 1, 2, 3, 10, 11, 12, 13];
    let of = |name, lists: &[&[i64]]| {
        let names = ["x", "starts", "ends", "axes", "steps"];
        let given = names.get(..=lists.len()).unwrap_or_default();
        given.iter().skip(1).zip(lists).fold(
            Vector::new(name, &SPEC, given).input("x", Uint8, &[2, 4], &x),
            |vector, (name, list)| vector.int64s(name, list),
        )
    };
    vec![
        of("leading axes, clamped end", &[&[1, -3], &[1000, -1]]).gives(Uint8, &[1, 2], &[11, 12]),
        of("a step along the last axis", &[&[0], &[4], &[-1], &[3]]).gives(
            Uint8,
            &[2, 2],
            &[0, 3, 10, 13],
        ),
        of(
            "backwards past the beginning",
            &[&[-1], &[-1000], &[1], &[-2]],
        )
        .gives(Uint8, &[2, 2], &[3, 1, 13, 11]),
        of("nothing is left", &[&[2], &[2], &[1]]).refused("without elements"),
        of("a step of 0", &[&[0], &[4], &[1], &[0]]).refused("step of 0"),
        of("an axis twice", &[&[0, 0], &[1, 1], &[1, -1]]).refused("twice"),
        of("an axis past the rank", &[&[0], &[1], &[2]]).refused("axis 2"),
        of("more starts than dimensions", &[&[0, 0, 0], &[1, 1, 1]]).refused("rank 2"),
        Vector::new("no ends", &SPEC, &["x", "starts"])
            .input("x", Int8, &[1], &[0])
            .int64s("starts", &[0])
            .refused("no ends"),
        Vector::new("starts that are computed", &SPEC, &["x", "starts", "ends"])
            .input("x", Int8, &[2], &[0, 1])
            .input("starts", Int32, &[1], &[0])
            .int64s("ends", &[1])
            .refused("run time"),
    ]
}

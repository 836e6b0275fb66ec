//! Operators that move or relabel elements.

use proofmark_onnx::Node;
use proofmark_tensor::element_count;

use super::{Constants as _, Reader, Stop, axis_of, only_attributes, refuse};
use crate::net::Op;

/// The shape that `Reshape` with these dimensions gives a tensor.
pub(super) fn reshaped(from: &[usize], dims: &[i64], allow_zero: bool) -> Result<Vec<usize>, Stop> {
    let wrong = || {
        refuse(
            format!("shape {from:?} cannot become {dims:?}"),
            "reshape to as many elements; a batch size baked into the shape must be 1",
        )
    };
    let mut free = None;
    let mut shape = Vec::with_capacity(dims.len());
    for (at, &dim) in dims.iter().enumerate() {
        shape.push(match dim {
            0 if !allow_zero => *from.get(at).ok_or_else(wrong)?,
            -1 if free.is_none() => {
                free = Some(at);
                1
            }
            _ => usize::try_from(dim).map_err(|_| wrong())?,
        });
    }
    let total = element_count(from).map_err(|_| wrong())?;
    let known = element_count(&shape).map_err(|_| wrong())?;
    if let Some(slot) = free.and_then(|at| shape.get_mut(at)) {
        if known == 0 || !total.is_multiple_of(known) {
            return Err(wrong());
        }
        *slot = total / known;
    } else if known != total {
        return Err(wrong());
    }
    Ok(shape)
}

/// The shape that a `Flatten`, `Reshape`, `Squeeze` or `Unsqueeze` gives its input. `list` is its
/// second input.
pub(crate) fn target(
    node: &Node,
    from: &[usize],
    list: Option<Vec<i64>>,
) -> Result<Vec<usize>, Stop> {
    let rank = from.len();
    let axes = || -> Result<Option<Vec<i64>>, Stop> {
        Ok(node
            .attr_ints("axes")?
            .map(<[i64]>::to_vec)
            .or(list.clone()))
    };
    match node.op_type.as_str() {
        "Reshape" => {
            only_attributes(node, &["allowzero", "shape"])?;
            let allow_zero = node.attr_int("allowzero")?.unwrap_or(0) != 0;
            let dims = node.attr_ints("shape")?.map(<[i64]>::to_vec).or(list);
            let dims =
                dims.ok_or_else(|| refuse("its shape is missing", "give a constant shape"))?;
            reshaped(from, &dims, allow_zero)
        }
        "Flatten" => {
            only_attributes(node, &["axis"])?;
            let axis = node.attr_int("axis")?.unwrap_or(1);
            let at = if usize::try_from(axis) == Ok(rank) {
                rank
            } else {
                axis_of(axis, rank)?
            };
            let (outer, inner) = from.split_at(at);
            Ok(vec![outer.iter().product(), inner.iter().product()])
        }
        "Squeeze" => {
            only_attributes(node, &["axes"])?;
            let at = match axes()? {
                Some(axes) => axes
                    .iter()
                    .map(|&axis| axis_of(axis, rank))
                    .collect::<Result<Vec<_>, _>>()?,
                None => (0..rank).filter(|&axis| from[axis] == 1).collect(),
            };
            if let Some(axis) = at.iter().find(|&&axis| from[axis] != 1) {
                return Err(refuse(
                    format!("dimension {axis} of {from:?} is not 1"),
                    "squeeze dimensions of size 1 only",
                ));
            }
            Ok((0..rank)
                .filter(|axis| !at.contains(axis))
                .map(|axis| from[axis])
                .collect())
        }
        _ => {
            only_attributes(node, &["axes"])?;
            let axes = axes()?.ok_or_else(|| refuse("its axes are missing", "give axes"))?;
            let target = rank + axes.len();
            let mut at = axes
                .iter()
                .map(|&axis| axis_of(axis, target))
                .collect::<Result<Vec<_>, _>>()?;
            at.sort_unstable();
            at.dedup();
            if at.len() != axes.len() {
                return Err(refuse(
                    format!("axes {axes:?} repeat"),
                    "name each new dimension once",
                ));
            }
            let mut rest = from.iter();
            (0..target)
                .map(|axis| {
                    if at.contains(&axis) {
                        Ok(1)
                    } else {
                        rest.next().copied().ok_or(Stop::Unknown)
                    }
                })
                .collect()
        }
    }
}

pub(super) fn reshape(cx: &mut Reader<'_>, node: &Node) -> Result<(), Stop> {
    let list = cx.int64s(node, 1)?;
    let (input, shape) = cx.data(node, 0)?;
    let target = target(node, &shape, list)?;
    cx.push(node, Op::Reshape(target.clone()), vec![input], target)
}

/// The permutation of a `Transpose`.
pub(crate) fn permutation(node: &Node, rank: usize) -> Result<Vec<usize>, Stop> {
    only_attributes(node, &["perm"])?;
    let Some(perm) = node.attr_ints("perm")? else {
        return Ok((0..rank).rev().collect());
    };
    let at = perm
        .iter()
        .map(|&axis| axis_of(axis, rank))
        .collect::<Result<Vec<_>, _>>()?;
    if at.len() != rank || (0..rank).any(|axis| !at.contains(&axis)) {
        return Err(refuse(
            format!("perm {perm:?} is no permutation of {rank} dimensions"),
            "name each dimension once",
        ));
    }
    Ok(at)
}

pub(super) fn transpose(cx: &mut Reader<'_>, node: &Node) -> Result<(), Stop> {
    let (input, shape) = cx.data(node, 0)?;
    let perm = permutation(node, shape.len())?;
    let target = perm.iter().map(|&axis| shape[axis]).collect();
    cx.push(node, Op::Transpose(perm), vec![input], target)
}

pub(super) fn concat(cx: &mut Reader<'_>, node: &Node) -> Result<(), Stop> {
    only_attributes(node, &["axis"])?;
    let axis = node
        .attr_int("axis")?
        .ok_or_else(|| refuse("its axis is missing", "give the axis"))?;
    let mut names = Vec::with_capacity(node.inputs.len());
    let mut target: Vec<usize> = Vec::new();
    for position in 0..node.inputs.len() {
        let (input, shape) = cx.data(node, position)?;
        if !matches!(shape.len(), 2 | 4) || axis_of(axis, shape.len())? != 1 {
            return Err(refuse(
                format!("axis {axis} of shape {shape:?}"),
                "concatenate [1, features] or [1, channels, height, width] along dimension 1",
            ));
        }
        if target.is_empty() {
            target = shape;
        } else {
            let same = target.len() == shape.len()
                && (0..target.len()).all(|d| d == 1 || target[d] == shape[d]);
            if !same {
                return Err(refuse(
                    format!("operands of shapes {target:?} and {shape:?}"),
                    "make all dimensions but the second equal",
                ));
            }
            target[1] = target[1].saturating_add(shape[1]);
        }
        names.push(input);
    }
    if names.is_empty() {
        return Err(refuse("it has no operand", "remove the node"));
    }
    cx.push(node, Op::Concat, names, target)
}

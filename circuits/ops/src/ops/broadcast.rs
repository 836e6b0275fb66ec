//! ONNX's (numpy's) multidirectional broadcasting.

use super::relabel::strides;
use crate::context::Refusal;

/// The shape of two operands together.
pub(crate) fn broadcast(left: &[usize], right: &[usize]) -> Result<Vec<usize>, Refusal> {
    let rank = left.len().max(right.len());
    (0..rank)
        .map(|d| {
            let dim = |shape: &[usize]| {
                (d + shape.len())
                    .checked_sub(rank)
                    .and_then(|at| shape.get(at))
                    .copied()
                    .unwrap_or(1)
            };
            match (dim(left), dim(right)) {
                (a, b) if a == b => Ok(a),
                (1, b) => Ok(b),
                (a, 1) => Ok(a),
                _ => Err(Refusal::new(
                    format!("shapes {left:?} and {right:?} do not broadcast"),
                    "make the shapes equal",
                )),
            }
        })
        .collect()
}

/// For each element of `shape`, the row-major position in a tensor of `from` broadcast to it.
/// `from` has at most the rank of `shape`, and each of its dimensions is that of `shape` or 1.
pub(crate) fn positions(shape: &[usize], from: &[usize]) -> Vec<usize> {
    let (out_strides, in_strides) = (strides(shape), strides(from));
    let skip = shape.len() - from.len();
    (0..shape.iter().product())
        .map(|flat: usize| {
            from.iter()
                .zip(&in_strides)
                .enumerate()
                .map(|(d, (&dim, &stride))| {
                    let (size, step) = (shape.get(d + skip), out_strides.get(d + skip));
                    let at = match (size, step) {
                        (Some(&size), Some(&step)) => flat / step % size,
                        _ => 0,
                    };
                    if dim == 1 { 0 } else { at * stride }
                })
                .sum()
        })
        .collect()
}

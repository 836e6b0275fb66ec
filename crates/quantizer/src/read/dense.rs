//! `Gemm` and `MatMul` with constant weights.

use proofmark_onnx::Node;

use super::{Reader, Stop, only_attributes, refuse};
use crate::net::{Dense, Op};

/// Adds the layer for weights `[outputs][inputs]`.
fn dense(
    cx: &mut Reader<'_>,
    node: &Node,
    [outputs, inputs]: [usize; 2],
    weight: Vec<f64>,
    bias: Vec<f64>,
) -> Result<(), Stop> {
    let (input, shape) = cx.data(node, 0)?;
    let &[rows, depth] = shape.as_slice() else {
        return Err(refuse(
            format!("its input has shape {shape:?}, not [rows, features]"),
            "flatten the input to two dimensions before the product",
        ));
    };
    if depth != inputs {
        return Err(refuse(
            format!("its input has {depth} features, its weights are for {inputs}"),
            "make the inner dimensions equal",
        ));
    }
    let op = Op::Dense(Dense {
        inputs,
        outputs,
        weight,
        bias,
        relu: false,
    });
    cx.push(node, op, vec![input], vec![rows, outputs])
}

/// The matrix at input 1 as `[outputs][inputs]`.
fn matrix(cx: &Reader<'_>, node: &Node, transposed: bool) -> Result<([usize; 2], Vec<f64>), Stop> {
    let (shape, data) = cx.weights(node, 1)?;
    let &[first, second] = shape.as_slice() else {
        return Err(refuse(
            format!("its weights have shape {shape:?}"),
            "multiply by a constant matrix of rank 2",
        ));
    };
    if transposed {
        return Ok(([first, second], data));
    }
    let mut turned = Vec::with_capacity(data.len());
    for column in 0..second {
        turned.extend((0..first).filter_map(|row| data.get(row * second + column)));
    }
    Ok(([second, first], turned))
}

pub(super) fn mat_mul(cx: &mut Reader<'_>, node: &Node) -> Result<(), Stop> {
    only_attributes(node, &[])?;
    if cx.is_constant(node, 0) {
        return Err(refuse(
            "its left side is the constant one",
            "transpose the product so that the weights stand on the right",
        ));
    }
    let (shape, weight) = matrix(cx, node, false)?;
    dense(cx, node, shape, weight, vec![0.0; shape[0]])
}

pub(super) fn gemm(cx: &mut Reader<'_>, node: &Node) -> Result<(), Stop> {
    only_attributes(node, &["alpha", "beta", "transA", "transB"])?;
    if node.attr_int("transA")?.unwrap_or(0) != 0 {
        return Err(refuse(
            "transA transposes the computed side",
            "export the Gemm with transA = 0",
        ));
    }
    let alpha = f64::from(node.attr_float("alpha")?.unwrap_or(1.0));
    let beta = f64::from(node.attr_float("beta")?.unwrap_or(1.0));
    if !alpha.is_finite() || !beta.is_finite() {
        return Err(refuse(
            "alpha or beta is not finite",
            "export the Gemm with finite factors",
        ));
    }
    let transposed = node.attr_int("transB")?.unwrap_or(0) != 0;
    let (shape, mut weight) = matrix(cx, node, transposed)?;
    let outputs = shape[0];
    let bias = match cx.floats(node, 2)? {
        None => vec![0.0; outputs],
        Some((dims, values)) => {
            let columns = dims.last().copied().unwrap_or(1);
            let rows_are_one = dims.iter().rev().skip(1).all(|&dim| dim == 1);
            if dims.len() > 2 || !rows_are_one || (columns != 1 && columns != outputs) {
                return Err(refuse(
                    format!("its bias has shape {dims:?} for {outputs} outputs"),
                    "give one bias an output",
                ));
            }
            let single = values.first().copied().unwrap_or_default();
            if columns == 1 {
                vec![single; outputs]
            } else {
                values
            }
        }
    };
    for w in &mut weight {
        *w *= alpha;
    }
    let bias = bias.into_iter().map(|b| b * beta).collect();
    dense(cx, node, shape, weight, bias)
}

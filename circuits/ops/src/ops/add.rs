//! `Add` on int32: a bias on accumulators, or the sum of two of them. (8-bit addition wraps in the
//! runtime and is refused.)

use proofmark_gadgets::{Lowering, Num};
use proofmark_tensor::{ElemType, IntTensor};

use super::relabel::strides;
use crate::context::{NodeContext, Refusal};
use crate::error::OpsError;
use crate::operator::{Fact, OpSpec, Operator, Parsed, TensorVar, to_int32, within_int32};

pub(super) static SPEC: OpSpec = OpSpec {
    op_type: "Add",
    domain: "",
    since: 7,
    summary: "int32 sum of two tensors, or of a tensor and a constant, broadcast",
    limits: "int32 only; the sum must fit int32",
    cost: "0",
    portability: "every processor",
    vectors: Vec::new,
    parse,
};

#[derive(Debug)]
struct Add {
    node: String,
    output: Fact,
    /// For each output element, the position in the first data input.
    left: Vec<usize>,
    right: Right,
}

#[derive(Debug)]
enum Right {
    /// For each output element, the position in the second data input.
    Data(Vec<usize>),
    /// For each output element, the addend.
    Constant(Vec<i64>),
}

impl Operator for Add {
    fn output(&self) -> &Fact {
        &self.output
    }

    fn eval(&self, inputs: &[&IntTensor]) -> Result<Vec<i32>, OpsError> {
        let at = |input: usize, i: usize| {
            inputs.get(input).and_then(|t| t.data().get(i)).map_or(0, |&v| i64::from(v))
        };
        (0..self.output.len())
            .map(|i| {
                let left = self.left.get(i).map_or(0, |&l| at(0, l));
                let right = match &self.right {
                    Right::Data(source) => source.get(i).map_or(0, |&r| at(1, r)),
                    Right::Constant(values) => values.get(i).copied().unwrap_or_default(),
                };
                to_int32(&self.node, left + right)
            })
            .collect()
    }

    fn synthesize(&self, cx: &mut Lowering<'_>, inputs: &[&TensorVar]) -> Result<Vec<Num>, OpsError> {
        let missing = || OpsError::Internal { node: self.node.clone(), reason: "operand".to_owned() };
        let at = |input: usize, i: usize| {
            inputs.get(input).and_then(|t| t.nums.get(i)).ok_or_else(missing)
        };
        let mut out = Vec::with_capacity(self.output.len());
        for i in 0..self.output.len() {
            let left = at(0, *self.left.get(i).ok_or_else(missing)?)?;
            let sum = match &self.right {
                Right::Data(source) => {
                    let right = at(1, *source.get(i).ok_or_else(missing)?)?;
                    Num::linear(cx, [(1, left), (1, right)], 0)?
                }
                Right::Constant(values) => left.plus(cx, *values.get(i).ok_or_else(missing)?)?,
            };
            within_int32(cx, "sum", &sum)?;
            out.push(sum);
        }
        Ok(out)
    }
}

fn parse(cx: &NodeContext<'_>) -> Result<Parsed, Refusal> {
    cx.only_attributes(&[])?;
    let int32 = |elem: ElemType| {
        if elem == ElemType::Int32 {
            Ok(())
        } else {
            Err(Refusal::new(
                format!("{elem} addition wraps in the runtime"),
                "express a residual addition as Concat and a 1×1 QLinearConv, as the import does",
            ))
        }
    };
    let (constant_at, data_at) = if cx.data(0).is_ok() { (1, 0) } else { (0, 1) };
    let (left, x) = cx.data(data_at)?;
    int32(x.elem)?;
    if let Ok((right, y)) = cx.data(constant_at) {
        int32(y.elem)?;
        let shape = cx.bounded(broadcast(&x.shape, &y.shape)?)?;
        let add = Add {
            node: cx.node.name.clone(),
            left: positions(&shape, &x.shape),
            right: Right::Data(positions(&shape, &y.shape)),
            output: Fact { elem: ElemType::Int32, shape },
        };
        return Ok(Parsed { operator: Box::new(add), data: vec![left, right] });
    }
    let constant = cx.ints(constant_at)?;
    int32(constant.elem())?;
    let shape = cx.bounded(broadcast(&x.shape, constant.shape())?)?;
    let values = positions(&shape, constant.shape())
        .into_iter()
        .map(|at| constant.data().get(at).map_or(0, |&v| i64::from(v)))
        .collect();
    let add = Add {
        node: cx.node.name.clone(),
        left: positions(&shape, &x.shape),
        right: Right::Constant(values),
        output: Fact { elem: ElemType::Int32, shape },
    };
    Ok(Parsed { operator: Box::new(add), data: vec![left] })
}

/// ONNX's (numpy's) multidirectional broadcasting.
fn broadcast(left: &[usize], right: &[usize]) -> Result<Vec<usize>, Refusal> {
    let rank = left.len().max(right.len());
    (0..rank)
        .map(|d| {
            let dim = |shape: &[usize]| {
                (d + shape.len()).checked_sub(rank).and_then(|at| shape.get(at)).copied().unwrap_or(1)
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
fn positions(shape: &[usize], from: &[usize]) -> Vec<usize> {
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

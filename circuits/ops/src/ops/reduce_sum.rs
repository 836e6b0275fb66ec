//! `ReduceSum` on int32 along constant axes.

use proofmark_gadgets::{Lowering, Num};
use proofmark_onnx::{Attribute, Node};
use proofmark_tensor::{ElemType, IntTensor};

use super::relabel::{axis, strides};
use crate::context::{NodeContext, Refusal};
use crate::error::OpsError;
use crate::operator::{Fact, OpSpec, Operator, Parsed, TensorVar, to_int32, within_int32};
use crate::vector::Vector;

pub(super) static SPEC: OpSpec = OpSpec {
    op_type: "ReduceSum",
    domain: "",
    since: 13,
    summary: "int32 sums along constant axes",
    limits: "int32 only; constant axes; no sum over zero elements; each sum must fit int32",
    cost: "0",
    portability: "every processor",
    vectors,
    parse,
};

#[derive(Debug)]
struct ReduceSum {
    node: String,
    output: Fact,
    /// For each input element, the output element it is added to.
    target: Vec<usize>,
}

impl Operator for ReduceSum {
    fn output(&self) -> &Fact {
        &self.output
    }

    fn eval(&self, inputs: &[&IntTensor]) -> Result<Vec<i32>, OpsError> {
        let x = inputs.first().map(|t| t.data()).unwrap_or_default();
        let mut sums = vec![0_i64; self.output.len()];
        for (&value, &target) in x.iter().zip(&self.target) {
            if let Some(sum) = sums.get_mut(target) {
                *sum += i64::from(value);
            }
        }
        sums.into_iter()
            .map(|sum| to_int32(&self.node, sum))
            .collect()
    }

    fn synthesize(
        &self,
        cx: &mut Lowering<'_>,
        inputs: &[&TensorVar],
    ) -> Result<Vec<Num>, OpsError> {
        let x = inputs
            .first()
            .map(|t| t.nums.as_slice())
            .unwrap_or_default();
        let mut terms: Vec<Vec<(i64, &Num)>> = vec![Vec::new(); self.output.len()];
        for (num, &target) in x.iter().zip(&self.target) {
            if let Some(terms) = terms.get_mut(target) {
                terms.push((1, num));
            }
        }
        let mut out = Vec::with_capacity(terms.len());
        for terms in terms {
            let sum = Num::linear(cx, terms, 0)?;
            // Only the whole sum is checked: int32 addition wraps modulo 2^32, so a sum that fits
            // is exact in whatever order the runtime adds.
            within_int32(cx, "sum", &sum)?;
            out.push(sum);
        }
        Ok(out)
    }
}

fn parse(cx: &NodeContext<'_>) -> Result<Parsed, Refusal> {
    cx.only_attributes(&["keepdims", "noop_with_empty_axes"])?;
    let (name, x) = cx.data(0)?;
    if x.elem != ElemType::Int32 {
        return Err(Refusal::new(
            format!("a sum of {} elements", x.elem),
            "cast the tensor to int32 first",
        ));
    }
    let rank = x.shape.len();
    let axes = cx.int64s(1)?.unwrap_or_default();
    let all = axes.is_empty() && !cx.flag("noop_with_empty_axes", false)?;
    let mut summed = vec![all; rank];
    for &wanted in axes {
        let at = axis(wanted, rank).and_then(|at| summed.get_mut(at));
        let Some(slot) = at else {
            return Err(Refusal::new(
                format!("axis {wanted} of rank {rank}"),
                "give axes inside the rank",
            ));
        };
        if *slot {
            return Err(Refusal::new(
                format!("axes {axes:?} name an axis twice"),
                "name each axis once",
            ));
        }
        *slot = true;
    }
    if x.is_empty() {
        return Err(Refusal::new(
            format!("a sum over a tensor of shape {:?}", x.shape),
            "sum over at least one element",
        ));
    }
    let keepdims = cx.flag("keepdims", true)?;
    let kept: Vec<usize> = x
        .shape
        .iter()
        .zip(&summed)
        .map(|(&dim, &summed)| if summed { 1 } else { dim })
        .collect();
    let (from, to) = (strides(&x.shape), strides(&kept));
    let target = (0..x.len())
        .map(|flat| {
            let dims = x.shape.iter().zip(&kept).zip(from.iter().zip(&to));
            dims.map(
                |((&dim, &kept), (&from, &to))| {
                    if kept == 1 { 0 } else { flat / from % dim * to }
                },
            )
            .sum()
        })
        .collect();
    let shape = if keepdims {
        kept
    } else {
        let left = kept
            .into_iter()
            .zip(&summed)
            .filter(|&(_, &summed)| !summed);
        left.map(|(dim, _)| dim).collect()
    };
    let reduce = ReduceSum {
        node: cx.node.name.clone(),
        output: Fact {
            elem: ElemType::Int32,
            shape: cx.bounded(shape)?,
        },
        target,
    };
    Ok(Parsed {
        operator: Box::new(reduce),
        data: vec![name],
    })
}

fn vectors() -> Vec<Vector> {
    let int32 = ElemType::Int32;
    let of = |name, inputs: &[&str], keepdims: i64| {
        let wide = Node::new("wide", "Cast", &["x"], &["w"]);
        Vector::new(name, &SPEC, inputs)
            .attribute("keepdims", Attribute::Int(keepdims))
            .input("x", ElemType::Int8, &[2, 3], &[1, 2, 3, -128, 127, 6])
            .after(wide.with("to", Attribute::Int(6)))
    };
    vec![
        of("along rows", &["w", "axes"], 1)
            .int64s("axes", &[-1])
            .gives(int32, &[2, 1], &[6, 5]),
        of("along columns, the axis dropped", &["w", "axes"], 0)
            .int64s("axes", &[0])
            .gives(int32, &[3], &[-127, 129, 9]),
        of("no axes: over everything", &["w"], 1).gives(int32, &[1, 1], &[11]),
        of("no axes, and that means none", &["w"], 1)
            .attribute("noop_with_empty_axes", Attribute::Int(1))
            .gives(int32, &[2, 3], &[1, 2, 3, -128, 127, 6]),
        of("an axis outside", &["w", "axes"], 1)
            .int64s("axes", &[2])
            .refused("axis 2 of rank 2"),
        of("one axis twice", &["w", "axes"], 1)
            .int64s("axes", &[1, -1])
            .refused("name an axis twice"),
        Vector::new("sums that may leave int32", &SPEC, &["x"])
            .input("x", int32, &[2], &[1, 2])
            .attribute("keepdims", Attribute::Int(1))
            .read_by("Cast", &[("to", Attribute::Int(2))])
            .refused("may leave int32"),
        Vector::new("8-bit elements", &SPEC, &["x"])
            .input("x", ElemType::Uint8, &[2], &[1, 2])
            .refused("a sum of uint8"),
    ]
}

//! `ArgMax`, whose int64 result is read by `Cast` alone: the dialect has no int64 tensors.

use proofmark_gadgets::arg_max::{Tie, arg_max};
use proofmark_gadgets::{Lowering, Num};
use proofmark_onnx::Attribute;
use proofmark_tensor::ElemType::{Int8, Int32, Uint8};
use proofmark_tensor::IntTensor;

use super::relabel::axis;
use crate::context::{NodeContext, Refusal};
use crate::error::OpsError;
use crate::operator::{Fact, OpSpec, Operator, Parsed, TensorVar};
use crate::vector::Vector;

pub(super) static SPEC: OpSpec = OpSpec {
    op_type: "ArgMax",
    domain: "",
    since: 1,
    summary: "index of the largest element along an axis, the first of several or the last",
    limits: "read by Cast nodes only",
    cost: "for n bytes at most 10.5·n: 9 a comparison, 1 for each value and each index that goes on; for int32 34.5·n",
    portability: "every processor",
    vectors,
    parse,
};

#[derive(Debug)]
struct ArgMax {
    node: String,
    /// Declared int32: every index fits, and `Cast`, which alone reads it, sees no difference.
    output: Fact,
    outer: usize,
    length: usize,
    inner: usize,
    tie: Tie,
}

impl ArgMax {
    /// The positions that compete, one list for each output element.
    fn lanes(&self) -> impl Iterator<Item = impl Iterator<Item = usize> + '_> + '_ {
        (0..self.outer).flat_map(move |outer| {
            (0..self.inner).map(move |inner| {
                (0..self.length).map(move |at| (outer * self.length + at) * self.inner + inner)
            })
        })
    }

    fn outside(&self) -> OpsError {
        OpsError::Internal {
            node: self.node.clone(),
            reason: "element outside of the input".to_owned(),
        }
    }
}

impl Operator for ArgMax {
    fn output(&self) -> &Fact {
        &self.output
    }

    fn eval(&self, inputs: &[&IntTensor]) -> Result<Vec<i32>, OpsError> {
        let x = inputs.first().map(|t| t.data()).unwrap_or_default();
        self.lanes()
            .map(|lane| {
                let mut best: Option<(i32, i32)> = None;
                for (index, position) in (0..).zip(lane) {
                    let value = *x.get(position).ok_or_else(|| self.outside())?;
                    let better = match (best, self.tie) {
                        (None, _) => true,
                        (Some((largest, _)), Tie::First) => value > largest,
                        (Some((largest, _)), Tie::Last) => value >= largest,
                    };
                    if better {
                        best = Some((value, index));
                    }
                }
                best.map(|(_, index)| index).ok_or_else(|| self.outside())
            })
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
        self.lanes()
            .map(|lane| {
                let nums: Option<Vec<Num>> = lane.map(|at| x.get(at).cloned()).collect();
                let nums = nums.ok_or_else(|| self.outside())?;
                Ok(arg_max(cx, &nums, self.tie)?)
            })
            .collect()
    }
}

/// That no node but `Cast` reads the result. (A model output of it is refused where outputs are
/// compared with what is computed: it is declared int64.)
fn read_by_casts_alone(cx: &NodeContext<'_>) -> Result<(), Refusal> {
    let result = cx.node.output(0).unwrap_or_default();
    let reads = |node: &&proofmark_onnx::Node| node.inputs.iter().any(|input| input == result);
    let is_cast = |node: &proofmark_onnx::Node| node.domain.is_empty() && node.op_type == "Cast";
    match cx.nodes.iter().filter(reads).find(|node| !is_cast(node)) {
        None => Ok(()),
        Some(reader) => Err(Refusal::new(
            format!(
                "its int64 result is read by {:?} ({})",
                reader.name, reader.op_type
            ),
            "put a Cast to int32 behind the node and read that",
        )),
    }
}

fn parse(cx: &NodeContext<'_>) -> Result<Parsed, Refusal> {
    cx.only_attributes(&["axis", "keepdims", "select_last_index"])?;
    let (name, x) = cx.data(0)?;
    let wanted = cx.int("axis", 0)?;
    let at = axis(wanted, x.shape.len()).ok_or_else(|| {
        Refusal::new(
            format!("axis {wanted} of rank {}", x.shape.len()),
            "give an axis inside the rank",
        )
    })?;
    read_by_casts_alone(cx)?;
    let mut shape = x.shape.clone();
    let length = if cx.flag("keepdims", true)? {
        shape
            .get_mut(at)
            .map_or(0, |size| std::mem::replace(size, 1))
    } else {
        shape.remove(at)
    };
    if length == 0 {
        return Err(Refusal::new("an axis without elements", "remove the node"));
    }
    let tie = if cx.flag("select_last_index", false)? {
        Tie::Last
    } else {
        Tie::First
    };
    let operator = ArgMax {
        node: cx.node.name.clone(),
        output: Fact { elem: Int32, shape },
        outer: x.shape.iter().take(at).product(),
        length,
        inner: x.shape.iter().skip(at + 1).product(),
        tie,
    };
    Ok(Parsed {
        operator: Box::new(operator),
        data: vec![name],
    })
}

fn vectors() -> Vec<Vector> {
    const TO_INT32: (&str, Attribute) = ("to", Attribute::Int(6));
    let of = |name, attributes: &[(&str, i64)]| {
        attributes
            .iter()
            .fold(
                Vector::new(name, &SPEC, &["x"]).input(
                    "x",
                    Uint8,
                    &[2, 3],
                    &[255, 0, 255, 7, 9, 9],
                ),
                |vector, &(name, value)| vector.attribute(name, Attribute::Int(value)),
            )
            .read_by("Cast", &[TO_INT32])
    };
    vec![
        of("the first of equals", &[("axis", 1)]).gives(Int32, &[2, 1], &[0, 1]),
        of(
            "the last of equals",
            &[("axis", -1), ("select_last_index", 1), ("keepdims", 0)],
        )
        .gives(Int32, &[2], &[2, 2]),
        of("the first axis", &[]).gives(Int32, &[1, 3], &[0, 1, 0]),
        Vector::new("negative values", &SPEC, &["x"])
            .input("x", Int8, &[4], &[-128, -1, -2, -1])
            .read_by("Cast", &[TO_INT32])
            .gives(Int32, &[1], &[1]),
        of("an axis past the rank", &[("axis", 2)]).refused("axis 2"),
        Vector::new("read by something else", &SPEC, &["x"])
            .input("x", Uint8, &[1, 3], &[0, 1, 2])
            .attribute("axis", Attribute::Int(1))
            .read_by("Identity", &[])
            .refused("Identity"),
    ]
}

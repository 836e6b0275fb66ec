//! Operators that move elements without computing: the output is a list of input positions.

use proofmark_gadgets::{Lowering, Num};
use proofmark_onnx::TensorData;
use proofmark_tensor::{ElemType, IntTensor};

use crate::context::{NodeContext, Refusal};
use crate::error::OpsError;
use crate::operator::{Fact, Operator, TensorVar};

/// `output[i] = input[source[i]]`; no constraint.
#[derive(Debug)]
pub(crate) struct Relabel {
    pub(crate) output: Fact,
    /// For each output element, which data input and which row-major element of it. Checked at
    /// parse time to be inside.
    pub(crate) source: Vec<(usize, usize)>,
}

impl Relabel {
    /// Every element at its place, under another shape.
    pub(crate) fn identity(output: Fact) -> Self {
        let source = (0..output.len()).map(|i| (0, i)).collect();
        Self { output, source }
    }

    /// A tensor of shape `from` moved dimension by dimension: `maps` holds, for each dimension and
    /// each index of the output, the index in the input.
    pub(crate) fn separable(elem: ElemType, from: &[usize], maps: &[Vec<usize>]) -> Self {
        let steps = strides(from);
        let source = maps
            .iter()
            .zip(&steps)
            .fold(vec![0], |outer: Vec<usize>, (map, step)| {
                let inner = |base: &usize| {
                    let base = *base;
                    map.iter().map(move |at| base + at * step)
                };
                outer.iter().flat_map(inner).collect()
            });
        let shape = maps.iter().map(Vec::len).collect();
        Self {
            output: Fact { elem, shape },
            source: source.into_iter().map(|at| (0, at)).collect(),
        }
    }

    fn outside(&self) -> OpsError {
        OpsError::Internal {
            node: format!("{:?}", self.output),
            reason: "source position outside of the input".to_owned(),
        }
    }
}

impl Operator for Relabel {
    fn output(&self) -> &Fact {
        &self.output
    }

    fn eval(&self, inputs: &[&IntTensor]) -> Result<Vec<i32>, OpsError> {
        self.source
            .iter()
            .map(|&(input, at)| inputs.get(input).and_then(|t| t.data().get(at)).copied())
            .collect::<Option<_>>()
            .ok_or_else(|| self.outside())
    }

    fn synthesize(
        &self,
        _cx: &mut Lowering<'_>,
        inputs: &[&TensorVar],
    ) -> Result<Vec<Num>, OpsError> {
        self.source
            .iter()
            .map(|&(input, at)| inputs.get(input).and_then(|t| t.nums.get(at)).cloned())
            .collect::<Option<_>>()
            .ok_or_else(|| self.outside())
    }

    fn sources(&self) -> Option<&[(usize, usize)]> {
        Some(&self.source)
    }
}

/// Row-major strides of a shape.
pub(crate) fn strides(shape: &[usize]) -> Vec<usize> {
    let mut strides = vec![1; shape.len()];
    for d in (1..shape.len()).rev() {
        let next = strides.get(d).copied().unwrap_or(1) * shape.get(d).copied().unwrap_or(1);
        if let Some(s) = strides.get_mut(d - 1) {
            *s = next;
        }
    }
    strides
}

/// A possibly negative axis as an index below `rank`.
pub(crate) fn axis(value: i64, rank: usize) -> Option<usize> {
    let rank = i64::try_from(rank).ok()?;
    let at = if value < 0 {
        value.checked_add(rank)?
    } else {
        value
    };
    if (0..rank).contains(&at) {
        usize::try_from(at).ok()
    } else {
        None
    }
}

/// A constant list of indices: int64, or int32 where the operator's type constraint has both.
pub(crate) fn indices(cx: &NodeContext<'_>, position: usize) -> Result<Option<Vec<i64>>, Refusal> {
    let Some(tensor) = cx.constant(position)? else {
        return Ok(None);
    };
    if tensor.shape.len() > 1 {
        return Err(Refusal::new(
            format!("input {position} has shape {:?}", tensor.shape),
            "give a list of rank 1",
        ));
    }
    match &tensor.data {
        TensorData::Int64(values) => Ok(Some(values.clone())),
        TensorData::Int(values) if values.elem() == ElemType::Int32 => {
            Ok(Some(values.data().iter().map(|&v| v.into()).collect()))
        }
        _ => Err(Refusal::new(
            format!("input {position} is no int32 or int64 list"),
            "export indices and axes as int64 constants",
        )),
    }
}

/// Axes in `-rank .. rank` as indices, none twice.
pub(crate) fn distinct_axes(axes: &[i64], rank: usize) -> Result<Vec<usize>, Refusal> {
    let mut seen = vec![false; rank];
    axes.iter()
        .map(|&wanted| {
            let at = axis(wanted, rank);
            match at.and_then(|at| seen.get_mut(at)) {
                Some(slot) if !*slot => *slot = true,
                Some(_) => {
                    return Err(Refusal::new(
                        format!("axis {wanted} is named twice"),
                        "name each axis once",
                    ));
                }
                None => {}
            }
            at.ok_or_else(|| {
                Refusal::new(
                    format!("axis {wanted} of rank {rank}"),
                    "give axes inside the rank",
                )
            })
        })
        .collect()
}

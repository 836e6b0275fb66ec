//! Operators that move elements without computing: the output is a list of input positions.

use proofmark_gadgets::{Lowering, Num};
use proofmark_tensor::IntTensor;

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

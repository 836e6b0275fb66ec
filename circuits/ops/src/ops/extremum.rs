//! The element-wise larger or smaller of any number of tensors, broadcast; what all constants make
//! together is one constant an element.

use proofmark_gadgets::compare::{clamp, min};
use proofmark_gadgets::max::max;
use proofmark_gadgets::{Lowering, Num};
use proofmark_tensor::IntTensor;

use super::broadcast::{broadcast, positions};
use crate::context::{NodeContext, Refusal};
use crate::error::OpsError;
use crate::operator::{Fact, Operator, Parsed, TensorVar};

/// Which end is looked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Which {
    Largest,
    Smallest,
}

impl Which {
    fn of(self, left: i32, right: i32) -> i32 {
        match self {
            Self::Largest => left.max(right),
            Self::Smallest => left.min(right),
        }
    }
}

#[derive(Debug)]
struct Extremum {
    which: Which,
    node: String,
    output: Fact,
    /// For each data input, its position for each output element.
    sources: Vec<Vec<usize>>,
    /// The extremum of all constants, for each output element.
    constants: Option<Vec<i32>>,
}

impl Extremum {
    fn missing(&self) -> OpsError {
        OpsError::Internal {
            node: self.node.clone(),
            reason: "operand is missing".to_owned(),
        }
    }
}

impl Operator for Extremum {
    fn output(&self) -> &Fact {
        &self.output
    }

    fn eval(&self, inputs: &[&IntTensor]) -> Result<Vec<i32>, OpsError> {
        (0..self.output.len())
            .map(|i| {
                let data = self.sources.iter().zip(inputs).map(|(source, input)| {
                    source.get(i).and_then(|&at| input.data().get(at)).copied()
                });
                let constant = self.constants.as_ref().map(|all| all.get(i).copied());
                let all: Option<Vec<i32>> = data.chain(constant).collect();
                all.into_iter()
                    .flatten()
                    .reduce(|left, right| self.which.of(left, right))
                    .ok_or_else(|| self.missing())
            })
            .collect()
    }

    fn synthesize(
        &self,
        cx: &mut Lowering<'_>,
        inputs: &[&TensorVar],
    ) -> Result<Vec<Num>, OpsError> {
        let mut out = Vec::with_capacity(self.output.len());
        for i in 0..self.output.len() {
            let mut so_far: Option<Num> = None;
            for (source, input) in self.sources.iter().zip(inputs) {
                let num = source.get(i).and_then(|&at| input.nums.get(at));
                let num = num.ok_or_else(|| self.missing())?;
                so_far = Some(match (so_far, self.which) {
                    (None, _) => num.clone(),
                    (Some(best), Which::Largest) => max(cx, &best, num)?,
                    (Some(best), Which::Smallest) => min(cx, &best, num)?,
                });
            }
            let mut best = so_far.ok_or_else(|| self.missing())?;
            if let Some(constants) = &self.constants {
                let constant = i64::from(*constants.get(i).ok_or_else(|| self.missing())?);
                best = match self.which {
                    Which::Largest => clamp(cx, &best, constant, best.hi().max(constant))?,
                    Which::Smallest => clamp(cx, &best, best.lo().min(constant), constant)?,
                };
            }
            out.push(best);
        }
        Ok(out)
    }
}

/// Reads a `Max` or `Min` node: operands of one type, of which at least one is computed.
pub(crate) fn parse(cx: &NodeContext<'_>, which: Which) -> Result<Parsed, Refusal> {
    cx.only_attributes(&[])?;
    let mut data: Vec<(String, Fact)> = Vec::new();
    let mut constants: Vec<&IntTensor> = Vec::new();
    for position in 0..cx.node.inputs.len() {
        match cx.data(position) {
            Ok(operand) => data.push(operand),
            Err(_) => constants.push(cx.ints(position)?),
        }
    }
    let Some((_, first)) = data.first() else {
        return Err(Refusal::new(
            "no operand is computed at run time",
            "fold constants before the import",
        ));
    };
    let elem = first.elem;
    let mut types = data
        .iter()
        .map(|(_, fact)| fact.elem)
        .chain(constants.iter().map(|c| c.elem()));
    if let Some(other) = types.find(|&other| other != elem) {
        return Err(Refusal::new(
            format!("operands of {elem} and {other}"),
            "give all operands one type",
        ));
    }
    let shapes = data
        .iter()
        .map(|(_, fact)| fact.shape.as_slice())
        .chain(constants.iter().map(|c| c.shape()));
    let mut shape = Vec::new();
    for operand in shapes {
        shape = broadcast(&shape, operand)?;
    }
    let shape = cx.bounded(shape)?;
    let spread = |constant: &&IntTensor| -> Vec<i32> {
        let at = positions(&shape, constant.shape()).into_iter();
        at.map(|at| constant.data().get(at).copied().unwrap_or_default())
            .collect()
    };
    let operator = Extremum {
        which,
        node: cx.node.name.clone(),
        sources: data
            .iter()
            .map(|(_, fact)| positions(&shape, &fact.shape))
            .collect(),
        constants: constants.iter().map(spread).reduce(|left, right| {
            left.into_iter()
                .zip(right)
                .map(|(a, b)| which.of(a, b))
                .collect()
        }),
        output: Fact { elem, shape },
    };
    Ok(Parsed {
        operator: Box::new(operator),
        data: data.into_iter().map(|(name, _)| name).collect(),
    })
}

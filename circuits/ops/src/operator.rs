//! What an operator is: a shape rule, an integer evaluation, and constraints.
//!
//! Rules that make an operator sound:
//!
//! * [`Operator::synthesize`] forces the outputs to equal `eval(inputs)` for every assignment that
//!   satisfies the constraints, provided the inputs' intervals hold. Numbers come out of gadgets,
//!   which prove their intervals; an operator never claims one.
//! * The evaluation is written from the ONNX text, not from the synthesis; a test holds both
//!   against ONNX Runtime.
//! * What is allocated depends on the model only, never on a value.

use std::fmt::Debug;

use proofmark_gadgets::{Lowering, Num};
use proofmark_tensor::{ElemType, IntTensor, Requantize};

use crate::context::{NodeContext, Refusal};
use crate::error::OpsError;
use crate::vector::Vector;

/// Most elements of one computed tensor, far beyond any circuit that a key can be made for. It is
/// checked before memory is taken, because a few bytes of model can ask for any amount.
pub const MAX_ELEMENTS: usize = 1 << 24;
/// Most elements of all tensors of a graph together.
pub const MAX_GRAPH_ELEMENTS: usize = 1 << 27;

/// What the compiler knows of a tensor before it runs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fact {
    /// Element type.
    pub elem: ElemType,
    /// Static dimensions.
    pub shape: Vec<usize>,
}

impl Fact {
    /// Number of elements. A [`Fact`] is only made from shapes whose count fits.
    pub fn len(&self) -> usize {
        self.shape.iter().product()
    }

    /// Whether a dimension is 0.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// A tensor inside a circuit: one number an element, row-major.
#[derive(Debug, Clone)]
pub struct TensorVar {
    /// Type and shape.
    pub fact: Fact,
    /// Elements, each with a proven interval inside the element type.
    pub nums: Vec<Num>,
}

/// A parsed operator: parameters and constants are inside, the data inputs come from outside.
pub trait Operator: Debug + Send + Sync {
    /// Type and shape of the output.
    fn output(&self) -> &Fact;

    /// Integer semantics, from the ONNX text and the runtime's measured arithmetic.
    ///
    /// # Errors
    /// [`OpsError`] when an accumulator leaves int32.
    fn eval(&self, inputs: &[&IntTensor]) -> Result<Vec<i32>, OpsError>;

    /// Constraints that force the result to be `eval(inputs)`.
    ///
    /// # Errors
    /// [`OpsError`] when an interval cannot be proven.
    fn synthesize(
        &self,
        cx: &mut Lowering<'_>,
        inputs: &[&TensorVar],
    ) -> Result<Vec<Num>, OpsError>;

    /// The operator as step functions of accumulators, where it is that.
    fn accumulating(&self) -> Option<&dyn Accumulating> {
        None
    }

    /// The operator as maxima of elements of its first data input, where it is that.
    fn maxima(&self) -> Option<&dyn Maxima> {
        None
    }

    /// For an operator that only moves elements: for each output element, which data input it is
    /// from, and which row-major element of that.
    fn sources(&self) -> Option<&[(usize, usize)]> {
        None
    }
}

/// Gives the accumulator of an element, or says why its interval cannot be proven.
pub type Accumulators<'a> = Box<dyn Fn(&Lowering<'_>, usize) -> Result<Num, OpsError> + 'a>;

/// Each output element is a step function of an accumulator, a linear combination of input
/// elements.
pub trait Accumulating {
    /// The accumulators of the output elements, row-major, each proven to stay inside int32. They
    /// take no constraint, so that each may be asked for at any time and more than once.
    fn accumulators<'a>(&'a self, cx: &Lowering<'_>, inputs: &[&'a TensorVar]) -> Accumulators<'a>;

    /// The step function that makes the element of its accumulator.
    fn step(&self, element: usize) -> Option<&Requantize>;
}

/// Each output element is the largest of some input elements.
pub trait Maxima {
    /// Row-major positions in the first data input of what an output element is the maximum of.
    /// With none the output is the smallest value of its type.
    fn operands(&self, element: usize) -> Vec<usize>;
}

/// What a node became: the operator and the names of the tensors it reads at run time, in the
/// order in which [`Operator::eval`] takes them.
#[derive(Debug)]
pub struct Parsed {
    /// The operator.
    pub operator: Box<dyn Operator>,
    /// Names of its data inputs.
    pub data: Vec<String>,
}

/// One operator's entry in the list, and its row in `OPERATORS.md`.
#[derive(Debug)]
pub struct OpSpec {
    /// ONNX operator name.
    pub op_type: &'static str,
    /// Domain, `""` for ONNX's own.
    pub domain: &'static str,
    /// Smallest operator-set version that is read.
    pub since: i64,
    /// What it computes, in one sentence.
    pub summary: &'static str,
    /// What of the operator is not accepted.
    pub limits: &'static str,
    /// Constraints a unit, plain backend, and the encodings that are chosen from.
    pub cost: &'static str,
    /// On which processors ONNX Runtime computes it as evaluated here.
    pub portability: &'static str,
    /// Worked examples: at least one output, one refusal, and where the operator requantizes one
    /// that saturates.
    pub vectors: fn() -> Vec<Vector>,
    /// Reads a node, or says why it cannot be proven.
    pub parse: fn(&NodeContext<'_>) -> Result<Parsed, Refusal>,
}

/// Checks that an accumulator's interval is inside int32, where the runtime does not wrap.
pub(crate) fn within_int32(cx: &Lowering<'_>, node: &str, num: &Num) -> Result<(), OpsError> {
    if num.lo() < i64::from(i32::MIN) || num.hi() > i64::from(i32::MAX) {
        return Err(OpsError::AccumulatorOverflow {
            node: cx.path(node),
            lo: num.lo(),
            hi: num.hi(),
        });
    }
    Ok(())
}

/// An accumulator of the evaluator as int32.
pub(crate) fn to_int32(node: &str, acc: i64) -> Result<i32, OpsError> {
    i32::try_from(acc).map_err(|_| OpsError::AccumulatorOverflow {
        node: node.to_owned(),
        lo: acc,
        hi: acc,
    })
}

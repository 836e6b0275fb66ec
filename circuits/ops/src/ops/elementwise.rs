//! Element-wise int32 operators of two operands, broadcast; one of them may be constant.

use std::fmt::Debug;

use proofmark_gadgets::{Lowering, Num};
use proofmark_onnx::{Attribute, Node};
use proofmark_tensor::{ElemType, IntTensor};

use super::broadcast::{broadcast, positions};
use crate::context::{NodeContext, Refusal};
use crate::error::OpsError;
use crate::operator::{Fact, Operator, Parsed, TensorVar, to_int32, within_int32};

/// One element of an operand.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Value<'n> {
    Constant(i64),
    Computed(&'n Num),
}

/// A function of two int32 values. What [`synthesize`](Self::synthesize) returns is checked to
/// stay inside int32, where the runtime does not wrap.
pub(crate) trait Arithmetic: Debug + Copy + Send + Sync + 'static {
    /// The result, which may leave int32.
    fn eval(self, node: &str, left: i64, right: i64) -> Result<i64, OpsError>;

    /// The same in constraints.
    fn synthesize(
        self,
        cx: &mut Lowering<'_>,
        left: Value<'_>,
        right: Value<'_>,
    ) -> Result<Num, OpsError>;
}

#[derive(Debug)]
struct Elementwise<F> {
    function: F,
    node: String,
    output: Fact,
    left: Operand,
    right: Operand,
}

/// An operand, element by element of the output.
#[derive(Debug)]
enum Operand {
    /// Which data input, and the positions in it.
    Data(usize, Vec<usize>),
    Constant(Vec<i64>),
}

impl Operand {
    fn value(&self, inputs: &[&IntTensor], i: usize) -> Option<i64> {
        match self {
            Self::Data(input, source) => {
                let at = *source.get(i)?;
                inputs.get(*input)?.data().get(at).map(|&v| i64::from(v))
            }
            Self::Constant(values) => values.get(i).copied(),
        }
    }

    fn num<'n>(&self, inputs: &[&'n TensorVar], i: usize) -> Option<Value<'n>> {
        match self {
            Self::Data(input, source) => {
                let at = *source.get(i)?;
                inputs.get(*input)?.nums.get(at).map(Value::Computed)
            }
            Self::Constant(values) => values.get(i).copied().map(Value::Constant),
        }
    }
}

impl<F> Elementwise<F> {
    fn missing(&self) -> OpsError {
        OpsError::Internal {
            node: self.node.clone(),
            reason: "operand is missing".to_owned(),
        }
    }
}

impl<F: Arithmetic> Operator for Elementwise<F> {
    fn output(&self) -> &Fact {
        &self.output
    }

    fn eval(&self, inputs: &[&IntTensor]) -> Result<Vec<i32>, OpsError> {
        (0..self.output.len())
            .map(|i| {
                let operands = (self.left.value(inputs, i), self.right.value(inputs, i));
                let (Some(left), Some(right)) = operands else {
                    return Err(self.missing());
                };
                to_int32(&self.node, self.function.eval(&self.node, left, right)?)
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
            let operands = (self.left.num(inputs, i), self.right.num(inputs, i));
            let (Some(left), Some(right)) = operands else {
                return Err(self.missing());
            };
            let num = self.function.synthesize(cx, left, right)?;
            within_int32(cx, "result", &num)?;
            out.push(num);
        }
        Ok(out)
    }
}

/// Reads an element-wise node: two int32 operands of which at least one is computed.
/// `elsewhere` says what to use for 8-bit operands.
pub(crate) fn parse<F: Arithmetic>(
    cx: &NodeContext<'_>,
    function: F,
    elsewhere: &str,
) -> Result<Parsed, Refusal> {
    cx.only_attributes(&[])?;
    let int32 = |elem: ElemType| {
        if elem == ElemType::Int32 {
            Ok(())
        } else {
            Err(Refusal::new(
                format!("{elem} arithmetic wraps in the runtime"),
                elsewhere,
            ))
        }
    };
    let mut data = Vec::with_capacity(2);
    let mut shapes = Vec::with_capacity(2);
    for position in 0..2 {
        if let Ok((name, fact)) = cx.data(position) {
            int32(fact.elem)?;
            shapes.push(fact.shape);
            data.push((position, name));
        } else {
            let constant = cx.ints(position)?;
            int32(constant.elem())?;
            shapes.push(constant.shape().to_vec());
        }
    }
    let (Some(left), Some(right), false) = (shapes.first(), shapes.get(1), data.is_empty()) else {
        return Err(Refusal::new(
            "no operand is computed at run time",
            "fold constants before the import",
        ));
    };
    let shape = cx.bounded(broadcast(left, right)?)?;
    let operand = |position: usize, from: &[usize]| {
        let source = positions(&shape, from);
        if let Some(input) = data.iter().position(|&(at, _)| at == position) {
            return Ok(Operand::Data(input, source));
        }
        let constant = cx.ints(position)?.data();
        let value = |at: usize| constant.get(at).map_or(0, |&v| i64::from(v));
        Ok(Operand::Constant(source.into_iter().map(value).collect()))
    };
    let operator = Elementwise {
        function,
        node: cx.node.name.clone(),
        left: operand(0, left)?,
        right: operand(1, right)?,
        output: Fact {
            elem: ElemType::Int32,
            shape,
        },
    };
    Ok(Parsed {
        operator: Box::new(operator),
        data: data.into_iter().map(|(_, name)| name).collect(),
    })
}

/// For worked examples: the tensor `name` as int32, under the name `to`.
pub(crate) fn wide(name: &str, to: &str) -> Node {
    Node::new(to, "Cast", &[name], &[to]).with("to", Attribute::Int(6))
}

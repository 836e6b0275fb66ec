//! Matrix products as ONNX's `MatMul` batches them, with computed and constant operands: what
//! `QLinearMatMul` and `MatMulInteger` share beyond a constant matrix on the right.

use proofmark_gadgets::multiply::multiply;
use proofmark_gadgets::{Lowering, Num};
use proofmark_tensor::{ElemType, IntTensor};

use super::accumulate::Finish;
use super::broadcast::{broadcast, positions};
use super::q_gemm::Dense;
use crate::context::{NodeContext, Refusal};
use crate::error::OpsError;
use crate::operator::{Fact, Operator, Parsed, TensorVar, to_int32};

/// Most products of two computed elements in one node: each is a constraint, and 2^22 are beyond
/// what a key can be made for.
const MAX_PRODUCTS: usize = 1 << 22;

/// Positions of a product's inputs.
pub(crate) struct Positions {
    pub(crate) b: usize,
    pub(crate) a_zero_point: usize,
    pub(crate) b_zero_point: usize,
}

/// Reads a product of tensors and hands its number of columns to `finish`, which says what becomes
/// of the accumulators and of which type they are then.
pub(crate) fn parse(
    cx: &NodeContext<'_>,
    at: &Positions,
    finish: impl FnOnce(usize) -> Result<(Finish, ElemType), Refusal>,
) -> Result<Parsed, Refusal> {
    let matrix = matches!(cx.constant(at.b), Ok(Some(b)) if b.shape.len() == 2);
    if matrix && cx.data(0).is_ok() {
        let (mut dense, x) = Dense::parse(cx, at.b, at.a_zero_point, at.b_zero_point, false)?;
        (dense.finish, dense.output.elem) = finish(dense.columns)?;
        return Ok(Parsed {
            operator: Box::new(dense),
            data: vec![x],
        });
    }
    let (mut product, data) = Product::parse(cx, at)?;
    (product.finish, product.output.elem) = finish(product.columns)?;
    Ok(Parsed {
        operator: Box::new(product),
        data,
    })
}

/// `[…, rows, depth] · […, depth, columns]`, leading dimensions broadcast.
#[derive(Debug)]
struct Product {
    node: String,
    output: Fact,
    rows: usize,
    depth: usize,
    columns: usize,
    left: Operand,
    right: Operand,
    /// One a column.
    right_zero_points: Vec<i64>,
    left_zero_point: i64,
    finish: Finish,
}

#[derive(Debug)]
struct Operand {
    source: Source,
    /// For each matrix of the output, where the operand's begins.
    matrices: Vec<usize>,
}

#[derive(Debug)]
enum Source {
    /// Which data input.
    Data(usize),
    Constant(Vec<i64>),
}

/// An element of an operand, less its zero point.
enum Factor {
    Known(i64),
    Computed(Num),
}

impl Operand {
    fn value(&self, inputs: &[&IntTensor], at: usize) -> Option<i64> {
        match &self.source {
            Source::Data(input) => inputs.get(*input)?.data().get(at).map(|&v| i64::from(v)),
            Source::Constant(values) => values.get(at).copied(),
        }
    }

    /// All elements, less their zero points.
    fn factors(
        &self,
        cx: &Lowering<'_>,
        inputs: &[&TensorVar],
        zero_point: impl Fn(usize) -> i64,
    ) -> Result<Vec<Factor>, OpsError> {
        match &self.source {
            Source::Data(input) => {
                let nums = inputs
                    .get(*input)
                    .map(|t| t.nums.as_slice())
                    .unwrap_or_default();
                let shifted = nums.iter().enumerate();
                shifted
                    .map(|(at, num)| Ok(Factor::Computed(num.plus(cx, -zero_point(at))?)))
                    .collect()
            }
            Source::Constant(values) => {
                let shifted = values.iter().enumerate();
                Ok(shifted
                    .map(|(at, v)| Factor::Known(v - zero_point(at)))
                    .collect())
            }
        }
    }
}

impl Product {
    fn parse(cx: &NodeContext<'_>, at: &Positions) -> Result<(Self, Vec<String>), Refusal> {
        let mut data = Vec::with_capacity(2);
        let mut operands = Vec::with_capacity(2);
        for position in [0, at.b] {
            if let Ok((name, fact)) = cx.data(position) {
                operands.push((Source::Data(data.len()), fact.elem, fact.shape));
                data.push(name);
            } else {
                let constant = cx.ints(position)?;
                let values = constant.data().iter().map(|&v| i64::from(v)).collect();
                let source = Source::Constant(values);
                operands.push((source, constant.elem(), constant.shape().to_vec()));
            }
        }
        let mut operands = operands.into_iter();
        let (Some(a), Some(b), false) = (operands.next(), operands.next(), data.is_empty()) else {
            return Err(Refusal::new(
                "no operand is computed at run time",
                "fold constants before the import",
            ));
        };
        let ((left, left_elem, left_shape), (right, right_elem, right_shape)) = (a, b);
        cx.same_sign(left_elem, right_elem)?;
        let ([left_batch @ .., rows, depth], [right_batch @ .., inner, columns]) =
            (left_shape.as_slice(), right_shape.as_slice())
        else {
            return Err(Refusal::new(
                format!("shapes {left_shape:?} and {right_shape:?}"),
                "multiply tensors of rank 2 or more",
            ));
        };
        if inner != depth {
            return Err(Refusal::new(
                format!("shapes {left_shape:?} and {right_shape:?} do not multiply"),
                "make the inner dimensions equal",
            ));
        }
        let batch = broadcast(left_batch, right_batch)?;
        let shape = cx.bounded([batch.as_slice(), &[*rows, *columns]].concat())?;
        let fact = Fact {
            elem: ElemType::Int32,
            shape,
        };
        let products = fact.len().checked_mul(*depth);
        if data.len() == 2 && products.is_none_or(|count| count > MAX_PRODUCTS) {
            return Err(Refusal::new(
                format!(
                    "{left_shape:?} by {right_shape:?} takes more than {MAX_PRODUCTS} products of computed elements"
                ),
                "split the model",
            ));
        }
        let zero_points = if right_shape.len() == 2 {
            cx.weight_zero_points(at.b_zero_point, right_elem, *columns)?
        } else {
            vec![i64::from(cx.zero_point(at.b_zero_point, right_elem)?); *columns]
        };
        let matrices = |from: &[usize], size: usize| {
            positions(&batch, from)
                .into_iter()
                .map(|at| at * size)
                .collect()
        };
        let product = Self {
            node: cx.node.name.clone(),
            left: Operand {
                source: left,
                matrices: matrices(left_batch, rows * depth),
            },
            right: Operand {
                source: right,
                matrices: matrices(right_batch, depth * columns),
            },
            rows: *rows,
            depth: *depth,
            columns: *columns,
            right_zero_points: zero_points,
            left_zero_point: i64::from(cx.zero_point(at.a_zero_point, left_elem)?),
            output: fact,
            finish: Finish::Int32,
        };
        Ok((product, data))
    }

    fn missing(&self) -> OpsError {
        OpsError::Internal {
            node: self.node.clone(),
            reason: "operand is missing".to_owned(),
        }
    }

    /// For each output element, row-major: its column, and where its row and its column begin.
    fn elements(&self) -> impl Iterator<Item = (usize, usize, usize)> + '_ {
        let pairs = self.left.matrices.iter().zip(&self.right.matrices);
        pairs.flat_map(move |(&left, &right)| {
            (0..self.rows).flat_map(move |row| {
                let from = left + row * self.depth;
                (0..self.columns).map(move |column| (column, from, right + column))
            })
        })
    }

    fn right_zero_point(&self, at: usize) -> i64 {
        let column = at.checked_rem(self.columns).unwrap_or_default();
        self.right_zero_points
            .get(column)
            .copied()
            .unwrap_or_default()
    }
}

impl Operator for Product {
    fn output(&self) -> &Fact {
        &self.output
    }

    fn eval(&self, inputs: &[&IntTensor]) -> Result<Vec<i32>, OpsError> {
        let mut out = Vec::with_capacity(self.output.len());
        for (column, row_at, column_at) in self.elements() {
            let zero_point = self.right_zero_point(column);
            let mut acc = 0_i64;
            for d in 0..self.depth {
                let a = self.left.value(inputs, row_at + d);
                let b = self.right.value(inputs, column_at + d * self.columns);
                let (a, b) = a.zip(b).ok_or_else(|| self.missing())?;
                acc += (a - self.left_zero_point) * (b - zero_point);
            }
            out.push(self.finish.eval(column, to_int32(&self.node, acc)?));
        }
        Ok(out)
    }

    fn synthesize(
        &self,
        cx: &mut Lowering<'_>,
        inputs: &[&TensorVar],
    ) -> Result<Vec<Num>, OpsError> {
        let left = self.left.factors(cx, inputs, |_| self.left_zero_point)?;
        let right = self
            .right
            .factors(cx, inputs, |at| self.right_zero_point(at))?;
        let mut out = Vec::with_capacity(self.output.len());
        for (column, row_at, column_at) in self.elements() {
            let mut products = Vec::with_capacity(self.depth);
            for d in 0..self.depth {
                let factors = left
                    .get(row_at + d)
                    .zip(right.get(column_at + d * self.columns));
                products.push(match factors.ok_or_else(|| self.missing())? {
                    (Factor::Computed(a), Factor::Computed(b)) => {
                        (1, multiply(cx, "product", a, b)?)
                    }
                    (Factor::Computed(x), Factor::Known(c))
                    | (Factor::Known(c), Factor::Computed(x)) => (*c, x.clone()),
                    (Factor::Known(a), Factor::Known(b)) => (a * b, Num::constant(cx, 1)),
                });
            }
            let terms = products.iter().map(|(c, num)| (*c, num));
            out.push(self.finish.synthesize(cx, column, terms, 0)?);
        }
        Ok(out)
    }
}

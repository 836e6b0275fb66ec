//! `QGemm` (domain `com.microsoft`): matrix product with constant weights, int32 bias, requantize.

use proofmark_gadgets::operands::Coefficients;
use proofmark_gadgets::{Lowering, Num};
use proofmark_onnx::Attribute;
use proofmark_tensor::requantize::gemm_multiplier;
use proofmark_tensor::{ElemType, IntTensor, Requantize};

use super::accumulate::{self, Finish, Linear, Size, accumulate};
use crate::context::{NodeContext, Refusal};
use crate::error::OpsError;
use crate::operator::{Accumulating, Accumulators, Fact, OpSpec, Operator, Parsed, TensorVar, to_int32};
use crate::vector::Vector;

pub(super) static SPEC: OpSpec = OpSpec {
    op_type: "QGemm",
    domain: "com.microsoft",
    since: 1,
    summary: "fully connected layer: A·B + C with per-channel scales and int32 bias, requantized",
    limits: "constant B and C; u8×u8 or s8×s8; transA = 0; y_scale given (no float output)",
    cost: "0 for the products; one requantize an output element",
    portability: "every x86-64, because u8×s8 is refused; arm64 with dot-product instructions. Without them the runtime wraps where an int8 weight and an int8 input are both −128: then the three answers differ and nothing is served",
    vectors,
    parse,
};

/// A product `[rows, depth] · [depth, columns]` with constant right side: shared with the other
/// matrix products.
#[derive(Debug)]
pub(crate) struct Dense {
    pub(crate) node: String,
    pub(crate) output: Fact,
    pub(crate) rows: usize,
    pub(crate) depth: usize,
    pub(crate) columns: usize,
    pub(crate) x_zero_point: i64,
    /// `w − w_zero_point`, `[columns][depth]`.
    pub(crate) weights: Coefficients,
    /// One a row and column, `[rows][columns]`, or one a column.
    pub(crate) bias: Vec<i64>,
    pub(crate) finish: Finish,
}

impl Dense {
    /// Reads the left data tensor (input 0) and the right constant matrix.
    pub(crate) fn parse(
        cx: &NodeContext<'_>,
        w_at: usize,
        x_zero_point_at: usize,
        w_zero_point_at: usize,
        transposed: bool,
    ) -> Result<(Self, String), Refusal> {
        let (name, x) = cx.data(0)?;
        let w = cx.ints(w_at)?;
        cx.same_sign(x.elem, w.elem())?;
        let ([leading @ .., depth], &[first, second]) = (x.shape.as_slice(), w.shape()) else {
            return Err(Refusal::new(
                format!("shapes {:?} and {:?}", x.shape, w.shape()),
                "multiply a tensor by a constant matrix of rank 2",
            ));
        };
        let (inner, columns) = if transposed {
            (second, first)
        } else {
            (first, second)
        };
        if leading.is_empty() || inner != *depth {
            return Err(Refusal::new(
                format!("shapes {:?} and {:?} do not multiply", x.shape, w.shape()),
                "make the inner dimensions equal",
            ));
        }
        let rows: usize = leading.iter().product();
        let w_zero_points = cx.weight_zero_points(w_zero_point_at, w.elem(), columns)?;
        let w_zero_point = |c: usize| w_zero_points.get(c).copied().unwrap_or_default();
        let weight = |c: usize, d: usize| {
            let at = if transposed {
                c * inner + d
            } else {
                d * columns + c
            };
            w.data()
                .get(at)
                .map_or(0, |&v| i64::from(v) - w_zero_point(c))
        };
        let weights = (0..columns)
            .flat_map(|c| (0..inner).map(move |d| (c, d)))
            .map(|(c, d)| weight(c, d));
        let weights = accumulate::weights(weights)?;
        let mut shape = leading.to_vec();
        shape.push(columns);
        let shape = cx.bounded(shape)?;
        let dense = Self {
            node: cx.node.name.clone(),
            output: Fact {
                elem: ElemType::Int32,
                shape,
            },
            rows,
            depth: *depth,
            columns,
            x_zero_point: i64::from(cx.zero_point(x_zero_point_at, x.elem)?),
            weights,
            bias: vec![0; columns],
            finish: Finish::Int32,
        };
        Ok((dense, name))
    }

    fn bias(&self, row: usize, column: usize) -> i64 {
        let at = if self.bias.len() == self.columns {
            column
        } else {
            row * self.columns + column
        };
        self.bias.get(at).copied().unwrap_or_default()
    }

    /// The terms and the constant of one accumulator.
    fn terms<'n>(
        &'n self,
        x: &'n [Num],
        row: usize,
        column: usize,
    ) -> (impl Iterator<Item = (i64, &'n Num)>, i64) {
        let nums = x
            .get(row * self.depth..(row + 1) * self.depth)
            .unwrap_or_default();
        let weights = self.weights.run(column * self.depth, self.depth).iter();
        let weights = weights.map(|&w| i64::from(w));
        let sum: i64 = weights.clone().sum();
        (
            weights.zip(nums),
            self.bias(row, column) - self.x_zero_point * sum,
        )
    }
}

impl Linear for Dense {
    fn weights(&self) -> &Coefficients {
        &self.weights
    }

    fn zero_point(&self) -> i64 {
        self.x_zero_point
    }

    fn size(&self) -> Size {
        Size {
            positions: self.rows,
            groups: 1,
            channels: self.columns,
            depth: self.depth,
        }
    }

    fn places(&self, position: usize, _: usize) -> impl Iterator<Item = (usize, usize)> {
        (0..self.depth).zip(position * self.depth..)
    }

    fn bias(&self, position: usize, channel: usize) -> i64 {
        Self::bias(self, position, channel)
    }
}

impl Operator for Dense {
    fn output(&self) -> &Fact {
        &self.output
    }

    fn eval(&self, inputs: &[&IntTensor]) -> Result<Vec<i32>, OpsError> {
        let x = inputs.first().map(|t| t.data()).unwrap_or_default();
        let mut out = Vec::with_capacity(self.output.len());
        for row in accumulate::accumulators(self, x) {
            for (column, acc) in row.into_iter().enumerate() {
                out.push(self.finish.eval(column, to_int32(&self.node, acc)?));
            }
        }
        Ok(out)
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
        let known = accumulate::known(cx, self, x);
        let mut out = Vec::with_capacity(self.output.len());
        for row in 0..self.rows {
            for column in 0..self.columns {
                let acc = accumulate::known_or(cx, &known, (row, column), || {
                    let (terms, constant) = self.terms(x, row, column);
                    accumulate(cx, terms, constant)
                })?;
                out.push(self.finish.finish(cx, column, acc)?);
            }
        }
        Ok(out)
    }

    fn accumulating(&self) -> Option<&dyn Accumulating> {
        self.finish.step(0).map(|_| self as &dyn Accumulating)
    }
}

impl Accumulating for Dense {
    fn accumulators<'a>(
        &'a self,
        cx: &Lowering<'_>,
        inputs: &[&'a TensorVar],
    ) -> Accumulators<'a> {
        let x = inputs.first().map_or(&[][..], |t| &t.nums);
        let known = accumulate::known(cx, self, x);
        Box::new(move |cx, element| {
            let at = (element / self.columns, element % self.columns);
            accumulate::known_or(cx, &known, at, || {
                let (terms, constant) = self.terms(x, at.0, at.1);
                accumulate(cx, terms, constant)
            })
        })
    }

    fn step(&self, element: usize) -> Option<&Requantize> {
        self.finish.step(element % self.columns)
    }
}

fn parse(cx: &NodeContext<'_>) -> Result<Parsed, Refusal> {
    // a, a_scale, a_zero_point, b, b_scale, b_zero_point, c, y_scale, y_zero_point
    cx.only_attributes(&["alpha", "transA", "transB"])?;
    if cx.flag("transA", false)? {
        return Err(Refusal::new(
            "transA is set",
            "export the layer with transA = 0",
        ));
    }
    let alpha = cx.float("alpha", 1.0)?;
    let (mut dense, x) = Dense::parse(cx, 3, 2, 5, cx.flag("transB", false)?)?;
    if dense.output.shape.len() != 2 {
        return Err(Refusal::new(
            "input of a rank other than 2",
            "flatten the input first",
        ));
    }
    if cx.node.input(7).is_none() {
        return Err(Refusal::new(
            "no y_scale, so the output is float",
            "use MatMulInteger and an int32 Add for integer outputs",
        ));
    }
    if let (Some(scale), Some(zero_point)) = (cx.constant(4)?, cx.constant(5)?)
        && scale.shape != zero_point.shape
    {
        return Err(Refusal::new(
            format!(
                "scales of B of shape {:?}, zero points of shape {:?}",
                scale.shape, zero_point.shape
            ),
            "give both the same shape, as the runtime demands",
        ));
    }
    let (x_scale, y_scale) = (cx.scale(1)?, cx.scale(7)?);
    let elem = cx.zero_point_elem(8)?;
    let y_zero_point = cx.zero_point(8, elem)?;
    let multipliers: Vec<f32> = cx
        .scales(4, dense.columns)?
        .into_iter()
        .map(|w_scale| gemm_multiplier(alpha, x_scale, w_scale, y_scale))
        .collect();
    dense.finish = Finish::Requantize(cx.requantizes(multipliers, y_zero_point, elem)?);
    dense.output.elem = elem;
    if cx.constant(6)?.is_some() {
        let c = cx.ints(6)?;
        let fits = c.elem() == ElemType::Int32
            && match c.shape() {
                [n] | [1, n] => *n == dense.columns,
                [m, n] => *m == dense.rows && *n == dense.columns,
                _ => false,
            };
        if !fits {
            return Err(Refusal::new(
                format!("bias of type {} and shape {:?}", c.elem(), c.shape()),
                "give one int32 bias a column",
            ));
        }
        dense.bias = c.data().iter().map(|&b| i64::from(b)).collect();
    }
    Ok(Parsed {
        operator: Box::new(dense),
        data: vec![x],
    })
}

fn vectors() -> Vec<Vector> {
    let uint8 = ElemType::Uint8;
    let inputs = [
        "a",
        "a_scale",
        "a_zero_point",
        "b",
        "b_scale",
        "b_zero_point",
        "c",
        "y_scale",
        "y_zero_point",
    ];
    // alpha · a_scale · b_scale / y_scale = 0.25
    let of = |name, inputs: &[&str]| {
        Vector::new(name, &SPEC, inputs)
            .attribute("alpha", Attribute::Float(2.0))
            .attribute("transB", Attribute::Int(1))
            .input("a", uint8, &[1, 2], &[10, 20])
            .floats("a_scale", &[0.25])
            .floats("b_scale", &[0.5])
            .floats("y_scale", &[1.0])
            .ints("a_zero_point", uint8, &[1], &[0])
            .ints("b_zero_point", uint8, &[1], &[1])
            .ints("y_zero_point", uint8, &[1], &[100])
    };
    let bias =
        |vector: Vector, bias: &[i32]| vector.ints("c", ElemType::Int32, &[bias.len()], bias);
    vec![
        // 10·2 + 20·3 + 4 = 84, a quarter of it; 10·−1 + 20·9 − 20 = 150: 37.5 goes to 38
        bias(of("bias, B transposed", &inputs), &[4, -20])
            .ints("b", uint8, &[2, 2], &[3, 4, 0, 10])
            .gives(uint8, &[1, 2], &[121, 138]),
        bias(of("both ends", &inputs), &[1 << 20, -(1 << 20)])
            .ints("b", uint8, &[2, 2], &[3, 4, 0, 10])
            .gives(uint8, &[1, 2], &[255, 0])
            .saturating(),
        bias(of("a bias of another length", &inputs), &[1, 2, 3])
            .ints("b", uint8, &[2, 2], &[3, 4, 0, 10])
            .refused("bias of type int32"),
        bias(
            of("a float output", inputs.get(..7).unwrap_or_default()),
            &[1, 2],
        )
        .ints("b", uint8, &[2, 2], &[3, 4, 0, 10])
        .refused("the output is float"),
        bias(of("uint8 by int8", &inputs), &[1, 2])
            .ints("b", ElemType::Int8, &[2, 2], &[3, 4, 0, 10])
            .refused("depends on the processor"),
    ]
}

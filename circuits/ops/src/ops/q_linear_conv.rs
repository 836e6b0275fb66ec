//! `QLinearConv`: convolution of 8-bit tensors with constant weights, int32 accumulation, requantize.

use proofmark_gadgets::operands::Coefficients;
use proofmark_gadgets::{Lowering, Num};
use proofmark_onnx::Attribute;
use proofmark_tensor::requantize::conv_multiplier;
use proofmark_tensor::{ElemType, IntTensor, Requantize};

use super::accumulate::{self, Finish, Linear, Size, accumulate};
use crate::context::{NodeContext, Refusal};
use crate::error::OpsError;
use crate::operator::{Accumulating, Accumulators, Fact, OpSpec, Operator, Parsed, TensorVar, to_int32};
use crate::vector::Vector;
use crate::window::{Window, kernel_shape};

pub(super) static SPEC: OpSpec = OpSpec {
    op_type: "QLinearConv",
    domain: "",
    since: 10,
    summary: "1-D and 2-D convolution, strides, pads, dilations, groups, per-channel scales, int32 bias",
    limits: "batch 1; constant weights; u8×u8 or s8×s8; explicit pads",
    cost: "0 for the products; one requantize an output element",
    portability: "every x86-64, because u8×s8 is refused; arm64 with dot-product instructions. Without them the runtime wraps where an int8 weight and an int8 input are both −128: then the three answers differ and nothing is served",
    vectors,
    parse,
};

/// A convolution: shared with `ConvInteger`.
#[derive(Debug)]
pub(crate) struct Conv {
    pub(crate) node: String,
    pub(crate) output: Fact,
    pub(crate) window: Window,
    pub(crate) in_channels: usize,
    pub(crate) out_channels: usize,
    pub(crate) groups: usize,
    pub(crate) x_zero_point: i64,
    /// `w − w_zero_point`, `[out_channels][in_channels / groups][kernel]`.
    pub(crate) weights: Coefficients,
    pub(crate) bias: Vec<i64>,
    pub(crate) finish: Finish,
}

/// Positions of a convolution node's inputs.
pub(crate) struct ConvInputs {
    pub(crate) w: usize,
    pub(crate) x_zero_point: usize,
    pub(crate) w_zero_point: usize,
}

impl Conv {
    /// Reads what all convolutions share; bias 0 and int32 outputs.
    pub(crate) fn parse(
        cx: &NodeContext<'_>,
        at: &ConvInputs,
    ) -> Result<(Self, String, ElemType), Refusal> {
        cx.only_attributes(&[
            "auto_pad",
            "dilations",
            "group",
            "kernel_shape",
            "pads",
            "strides",
        ])?;
        let (name, x) = cx.data(0)?;
        let w = cx.ints(at.w)?;
        cx.same_sign(x.elem, w.elem())?;
        let ([1, in_channels, spatial @ ..], [out_channels, per_group, kernel @ ..]) =
            (x.shape.as_slice(), w.shape())
        else {
            return Err(Refusal::new(
                format!("input shape {:?}, weight shape {:?}", x.shape, w.shape()),
                "use batch 1 and channels-first tensors",
            ));
        };
        if let Some(declared) = kernel_shape(cx, kernel.len())?
            && declared != kernel
        {
            return Err(Refusal::new(
                format!("kernel_shape {declared:?} but weights of {kernel:?}"),
                "make kernel_shape the weights' own",
            ));
        }
        let groups = usize::try_from(cx.int("group", 1)?).unwrap_or(0);
        if groups == 0
            || *in_channels != per_group.saturating_mul(groups)
            || !out_channels.is_multiple_of(groups)
        {
            return Err(Refusal::new(
                format!(
                    "{in_channels} channels in {groups} groups of {per_group}, {out_channels} out"
                ),
                "make channels divisible by the number of groups",
            ));
        }
        if cx.text("auto_pad", "NOTSET")? != "NOTSET" && cx.int_list("pads")?.is_some() {
            return Err(Refusal::new(
                "auto_pad with pads, which the runtime does not load",
                "export explicit pads only",
            ));
        }
        let window = Window::parse(cx, spatial, kernel)?;
        let mut shape = vec![1, *out_channels];
        shape.extend_from_slice(&window.output);
        let shape = cx.bounded(shape)?;
        let w_zero_points = cx.weight_zero_points(at.w_zero_point, w.elem(), *out_channels)?;
        let row = kernel.iter().product::<usize>() * per_group;
        let rows = w.data().chunks(row.max(1)).zip(&w_zero_points);
        let conv = Self {
            node: cx.node.name.clone(),
            output: Fact {
                elem: ElemType::Int32,
                shape,
            },
            window,
            in_channels: *in_channels,
            out_channels: *out_channels,
            groups,
            x_zero_point: i64::from(cx.zero_point(at.x_zero_point, x.elem)?),
            weights: accumulate::weights(
                rows.flat_map(|(row, z)| row.iter().map(move |&v| i64::from(v) - z)),
            )?,
            bias: vec![0; *out_channels],
            finish: Finish::Int32,
        };
        Ok((conv, name, x.elem))
    }

    fn kernel_len(&self) -> usize {
        self.window.rows.kernel * self.window.columns.kernel
    }

    fn plane(&self) -> usize {
        self.window.rows.input * self.window.columns.input
    }

    /// Most products of one output element.
    fn depth(&self) -> usize {
        self.in_channels / self.groups * self.kernel_len()
    }

    fn channel(&self, element: usize) -> usize {
        element / (self.window.rows.output * self.window.columns.output)
    }

    /// Puts the terms of the accumulator at (channel, row, column) in `terms` and returns its
    /// constant.
    fn terms<'n>(
        &self,
        x: &'n [Num],
        (m, row, column): (usize, usize, usize),
        terms: &mut Vec<(i64, &'n Num)>,
    ) -> i64 {
        let per_group = self.in_channels / self.groups;
        let first_channel = m / (self.out_channels / self.groups) * per_group;
        let (kernel, plane) = (self.kernel_len(), self.plane());
        terms.clear();
        let mut weight_sum = 0_i64;
        for c in 0..per_group {
            for (tap, source) in self.window.taps(row, column) {
                let weight = self.weights.get((m * per_group + c) * kernel + tap);
                let num = x.get((first_channel + c) * plane + source);
                if let (Some(weight), Some(num)) = (weight, num) {
                    weight_sum += weight;
                    terms.push((weight, num));
                }
            }
        }
        let bias = self.bias.get(m).copied().unwrap_or_default();
        bias - self.x_zero_point * weight_sum
    }
}

impl Linear for Conv {
    fn weights(&self) -> &Coefficients {
        &self.weights
    }

    fn zero_point(&self) -> i64 {
        self.x_zero_point
    }

    fn size(&self) -> Size {
        Size {
            positions: self.window.rows.output * self.window.columns.output,
            groups: self.groups,
            channels: self.out_channels / self.groups,
            depth: self.depth(),
        }
    }

    // Padding holds the zero point and so adds nothing.
    fn places(&self, position: usize, group: usize) -> impl Iterator<Item = (usize, usize)> {
        let columns = self.window.columns.output;
        let (row, column) = (position / columns, position % columns);
        let (kernel, plane) = (self.kernel_len(), self.plane());
        let per_group = self.in_channels / self.groups;
        (0..per_group).flat_map(move |c| {
            let channel = group * per_group + c;
            self.window
                .taps(row, column)
                .map(move |(tap, source)| (c * kernel + tap, channel * plane + source))
        })
    }

    fn bias(&self, _: usize, channel: usize) -> i64 {
        self.bias.get(channel).copied().unwrap_or_default()
    }
}

impl Operator for Conv {
    fn output(&self) -> &Fact {
        &self.output
    }

    fn eval(&self, inputs: &[&IntTensor]) -> Result<Vec<i32>, OpsError> {
        let x = inputs.first().map(|t| t.data()).unwrap_or_default();
        let accs = accumulate::accumulators(self, x);
        let mut out = Vec::with_capacity(self.output.len());
        for m in 0..self.out_channels {
            for acc in accs.iter().filter_map(|channels| channels.get(m)) {
                out.push(self.finish.eval(m, to_int32(&self.node, *acc)?));
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
        let mut terms = Vec::with_capacity(self.depth());
        for m in 0..self.out_channels {
            for row in 0..self.window.rows.output {
                for column in 0..self.window.columns.output {
                    let position = row * self.window.columns.output + column;
                    let acc = accumulate::known_or(cx, &known, (position, m), || {
                        let constant = self.terms(x, (m, row, column), &mut terms);
                        accumulate(cx, terms.iter().copied(), constant)
                    })?;
                    out.push(self.finish.finish(cx, m, acc)?);
                }
            }
        }
        Ok(out)
    }

    fn accumulating(&self) -> Option<&dyn Accumulating> {
        self.finish.step(0).map(|_| self as &dyn Accumulating)
    }
}

impl Accumulating for Conv {
    fn accumulators<'a>(
        &'a self,
        cx: &Lowering<'_>,
        inputs: &[&'a TensorVar],
    ) -> Accumulators<'a> {
        let x = inputs.first().map_or(&[][..], |t| &t.nums);
        let known = accumulate::known(cx, self, x);
        let (rows, columns) = (self.window.rows.output, self.window.columns.output);
        Box::new(move |cx, element| {
            let (m, position) = (self.channel(element), element % (rows * columns));
            accumulate::known_or(cx, &known, (position, m), || {
                let mut terms = Vec::with_capacity(self.depth());
                let at = (m, position / columns, position % columns);
                let constant = self.terms(x, at, &mut terms);
                accumulate(cx, terms, constant)
            })
        })
    }

    fn step(&self, element: usize) -> Option<&Requantize> {
        self.finish.step(self.channel(element))
    }
}

fn parse(cx: &NodeContext<'_>) -> Result<Parsed, Refusal> {
    // x, x_scale, x_zero_point, w, w_scale, w_zero_point, y_scale, y_zero_point, bias
    let (mut conv, x, _) = Conv::parse(
        cx,
        &ConvInputs {
            w: 3,
            x_zero_point: 2,
            w_zero_point: 5,
        },
    )?;
    let (x_scale, y_scale) = (cx.scale(1)?, cx.scale(6)?);
    let elem = cx.zero_point_elem(7)?;
    let y_zero_point = cx.zero_point(7, elem)?;
    let multipliers: Vec<f32> = cx
        .scales(4, conv.out_channels)?
        .into_iter()
        .map(|w_scale| conv_multiplier(x_scale, w_scale, y_scale))
        .collect();
    conv.finish = Finish::Requantize(cx.requantizes(multipliers, y_zero_point, elem)?);
    conv.output.elem = elem;
    if cx.constant(8)?.is_some() {
        let bias = cx.ints(8)?;
        if bias.elem() != ElemType::Int32 || bias.len() != conv.out_channels {
            return Err(Refusal::new(
                format!("bias of {} {} elements", bias.len(), bias.elem()),
                "give one int32 bias an output channel",
            ));
        }
        conv.bias = bias.data().iter().map(|&b| i64::from(b)).collect();
    }
    Ok(Parsed {
        operator: Box::new(conv),
        data: vec![x],
    })
}

fn vectors() -> Vec<Vector> {
    let (uint8, int32) = (ElemType::Uint8, ElemType::Int32);
    let inputs = [
        "x",
        "x_scale",
        "x_zero_point",
        "w",
        "w_scale",
        "w_zero_point",
        "y_scale",
        "y_zero_point",
        "b",
    ];
    // x_scale · w_scale / y_scale = 0.5, the second channel 0.25
    let of = |name| {
        Vector::new(name, &SPEC, &inputs)
            .input("x", uint8, &[1, 1, 1, 3], &[1, 2, 3])
            .floats("x_scale", &[1.0])
            .floats("y_scale", &[2.0])
            .ints("x_zero_point", uint8, &[1], &[1])
            .ints("w_zero_point", uint8, &[1], &[0])
            .ints("y_zero_point", uint8, &[1], &[10])
    };
    let weights = |vector: Vector, data: &[i32], scales: &[f32], bias: &[i32]| {
        vector
            .ints("w", uint8, &[scales.len(), 1, 1, 2], data)
            .floats("w_scale", scales)
            .ints("b", int32, &[bias.len()], bias)
    };
    vec![
        // (0, 1, 2) with (1, 2): 2, 5, halved 1, 2.5 → 2; with (3, 0) and −2: −2, 1: −0.5 → 0, 0.25
        weights(
            of("a scale a channel, bias"),
            &[1, 2, 3, 0],
            &[1.0, 0.5],
            &[0, -2],
        )
        .gives(uint8, &[1, 2, 1, 2], &[11, 12, 10, 10]),
        // Padding is the zero point, which adds nothing.
        weights(of("pads, a stride, a dilation"), &[4, 2], &[1.0], &[0])
            .attribute("pads", Attribute::Ints(vec![0, 2, 0, 2]))
            .attribute("strides", Attribute::Ints(vec![1, 2]))
            .attribute("dilations", Attribute::Ints(vec![1, 2]))
            .gives(uint8, &[1, 1, 1, 3], &[10, 12, 14]),
        weights(of("both ends"), &[255, 255, 0, 0], &[1.0, 1.0], &[0, -1000])
            .gives(uint8, &[1, 2, 1, 2], &[138, 255, 0, 0])
            .saturating(),
        weights(of("a bias of another length"), &[1, 2], &[1.0], &[0, 1])
            .refused("bias of 2 int32 elements"),
        of("uint8 by int8")
            .ints("w", ElemType::Int8, &[1, 1, 1, 2], &[1, 2])
            .floats("w_scale", &[1.0])
            .ints("b", int32, &[1], &[0])
            .refused("depends on the processor"),
    ]
}

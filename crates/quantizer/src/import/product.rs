//! Products between `DequantizeLinear` and `QuantizeLinear`: `Conv`, `Gemm` and `MatMul` as float
//! nodes, what stands between them and the `QuantizeLinear`, and the float chain behind
//! `ConvInteger` and `MatMulInteger`.

use proofmark_onnx::{Attribute, Node, Tensor};
use proofmark_types::{ElemType, IntTensor};

use super::Importer;
use super::convolution::{convolution, product};
use super::ends::IN_FLOATS;
use super::linear::{Bias, Linear, Operator};
use super::value::{ConstantShown, Grid, Int, Pending, Target, Value, What};
use crate::num::round_to;
use crate::read::{Constants as _, Stop, only_attributes, refuse};

/// A product of two computed 8-bit tensors.
#[derive(Debug, Clone)]
pub(super) struct Product {
    pub(super) name: String,
    /// The float tensor of the original.
    pub(super) output: String,
    pub(super) operands: [Int; 2],
    pub(super) grids: [Grid; 2],
}

/// One value a channel, from a constant that runs along one axis of a tensor or is a scalar.
fn by_channel(
    tensor: &Tensor,
    shape: &[usize],
    axis: usize,
    channels: usize,
) -> Result<Vec<f32>, Stop> {
    let wrong = || {
        refuse(
            format!(
                "a constant of shape {:?} behind a product of shape {shape:?}",
                tensor.shape
            ),
            "use float32 constants that are scalars or run along the channels",
        )
    };
    let values = tensor.floats().ok_or_else(wrong)?;
    let lead = shape
        .len()
        .checked_sub(tensor.shape.len())
        .ok_or_else(wrong)?;
    let fits = tensor
        .shape
        .iter()
        .enumerate()
        .all(|(at, &dim)| dim == 1 || at + lead == axis && dim == channels);
    match values {
        _ if !fits => Err(wrong()),
        &[one] => Ok(vec![one; channels]),
        several if several.len() == channels => Ok(several.to_vec()),
        _ => Err(wrong()),
    }
}

impl Linear {
    /// The dimension of the output that the channels run along.
    pub(super) fn channel_axis(&self) -> usize {
        match self.operator {
            Operator::Conv(_) => 1,
            Operator::Matrix { .. } => self.shape.len().saturating_sub(1),
        }
    }

    /// The bias as floats, to be added to.
    fn float_bias(&self) -> Vec<f64> {
        let factors = self.factors();
        match &self.bias {
            Bias::None => vec![0.0; self.channels],
            Bias::Floats(bias) => bias.clone(),
            Bias::Ints(bias) => {
                let factor = |at: usize| {
                    let at = if factors.len() == 1 { 0 } else { at };
                    factors.get(at).copied().unwrap_or(f32::NAN)
                };
                let pairs = bias.iter().enumerate();
                pairs
                    .map(|(at, &b)| f64::from(b) * f64::from(factor(at)))
                    .collect()
            }
        }
    }
}

impl Importer<'_> {
    /// A dequantized 8-bit tensor.
    fn activation(&self, node: &Node, position: usize) -> Result<(Int, Grid), Stop> {
        match self.value(node, position)? {
            Value::Shown(shown) if shown.source.elem.bits() == 8 => {
                Self::headless(shown)?;
                Ok((shown.source.clone(), shown.grid))
            }
            other => Err(refuse(
                format!("input {position} is {}", other.kind()),
                "put a QuantizeLinear and a DequantizeLinear in front of the node",
            )),
        }
    }

    /// Weights whose output channels are a dimension: dequantized ones, or floats that lie on a
    /// grid of 8 bits, as training with fake quantization leaves them.
    fn shown_weights(&mut self, node: &Node, axis: usize) -> Result<ConstantShown, Stop> {
        let name = node.input(1).unwrap_or_default();
        if let Some(Value::ConstantShown(constant)) = self.values.get(name) {
            return Ok(constant.clone());
        }
        let tensor = self.constants.get(name).ok_or_else(|| {
            refuse(
                "its weights are computed at run time",
                "export the model with constant weights",
            )
        })?;
        let found = on_grid(tensor, axis).ok_or_else(|| {
            refuse(
                "its weights are floats",
                "quantize the weights as well (QuantizeLinear and DequantizeLinear, or integers and DequantizeLinear)",
            )
        })?;
        self.inexact(
            &node.name,
            "its float weights are within a hundredth of a step of a grid of 8 bits, and rounded to it",
        );
        Ok(found)
    }

    /// The product of an activation with dequantized weights.
    fn linear(
        &mut self,
        node: &Node,
        (x, x_grid): (Int, Grid),
        constant: &ConstantShown,
        axis: usize,
        (operator, shape): (Operator, Vec<usize>),
    ) -> Result<Linear, Stop> {
        let channels = constant.data.shape().get(axis).copied().unwrap_or_default();
        if constant.axis.is_some_and(|found| found != axis) {
            return Err(refuse(
                format!(
                    "its weights have scales along dimension {:?}",
                    constant.axis
                ),
                format!("quantize the weights along the output channels, dimension {axis}"),
            ));
        }
        let weights =
            self.same_sign(&node.name, &x, &constant.data, constant.zero_point.clone())?;
        Ok(Linear {
            name: node.name.clone(),
            output: node.output(0).unwrap_or_default().to_owned(),
            x,
            x_grid,
            weights,
            w_scale: constant.scale.clone(),
            bias: Bias::None,
            operator,
            shape,
            channels,
            clamp: None,
            float: None,
        })
    }

    fn pending(linear: Linear) -> Value {
        Value::Pending(Pending {
            shape: linear.shape.clone(),
            moves: Vec::new(),
            what: What::Linear(Box::new(linear)),
        })
    }

    pub(super) fn float_conv(&mut self, node: &Node) -> Result<Value, Stop> {
        let activation = self.activation(node, 0)?;
        let constant = self.shown_weights(node, 0)?;
        let (made, shape) = convolution(node, &activation.0.shape, constant.data.shape())?;
        let what = (Operator::Conv(made), shape);
        let mut linear = self.linear(node, activation, &constant, 0, what)?;
        self.read_bias(node, 2, 1.0, &mut linear)?;
        Ok(Self::pending(linear))
    }

    pub(super) fn gemm(&mut self, node: &Node) -> Result<Value, Stop> {
        only_attributes(node, &["alpha", "beta", "transA", "transB"])?;
        let (mut x, grid) = self.activation(node, 0)?;
        let transposed = node.attr_int("transB")?.unwrap_or(0) != 0;
        let constant = self.shown_weights(node, usize::from(!transposed))?;
        if x.shape.len() != 2 {
            return Err(refuse(
                format!("its input has shape {:?}", x.shape),
                "flatten the input to two dimensions",
            ));
        }
        let alpha = node.attr_float("alpha")?.unwrap_or(1.0);
        if !alpha.is_finite() || alpha <= 0.0 {
            return Err(refuse(
                format!("alpha = {alpha}"),
                "export the layer with alpha = 1",
            ));
        }
        if node.attr_int("transA")?.unwrap_or(0) != 0 {
            let turned = self.writer.fresh(&format!("{}.transposed", x.name));
            let name = self.writer.fresh(&format!("{}.transpose", node.name));
            let transpose =
                Node::new(name, "Transpose", &[], &[]).with("perm", Attribute::Ints(vec![1, 0]));
            self.writer.node(transpose, vec![x.name], &turned);
            x.name = turned;
            x.shape.reverse();
        }
        let (shape, _) = product(&x.shape, constant.data.shape(), transposed)?;
        let what = (Operator::Matrix { transposed, alpha }, shape);
        let axis = usize::from(!transposed);
        let mut linear = self.linear(node, (x, grid), &constant, axis, what)?;
        let beta = node.attr_float("beta")?.unwrap_or(1.0);
        self.read_bias(node, 2, beta, &mut linear)?;
        Ok(Self::pending(linear))
    }

    pub(super) fn mat_mul(&mut self, node: &Node) -> Result<Value, Stop> {
        only_attributes(node, &[])?;
        let activation = self.activation(node, 0)?;
        if node.input(1).is_some_and(|name| !self.is_constant(name)) {
            let other = self.activation(node, 1)?;
            let shape = matmul_shape(&activation.0.shape, &other.0.shape)?;
            let product = Product {
                name: node.name.clone(),
                output: node.output(0).unwrap_or_default().to_owned(),
                operands: [activation.0, other.0],
                grids: [activation.1, other.1],
            };
            return Ok(Value::Pending(Pending {
                what: What::Product(Box::new(product)),
                moves: Vec::new(),
                shape,
            }));
        }
        let constant = self.shown_weights(node, 1)?;
        let (shape, _) = product(&activation.0.shape, constant.data.shape(), false)?;
        let operator = Operator::Matrix {
            transposed: false,
            alpha: 1.0,
        };
        let linear = self.linear(node, activation, &constant, 1, (operator, shape))?;
        Ok(Self::pending(linear))
    }

    /// The bias of a product: integers on the accumulator's own scale, or floats.
    fn read_bias(
        &mut self,
        node: &Node,
        at: usize,
        beta: f32,
        linear: &mut Linear,
    ) -> Result<(), Stop> {
        let Some(name) = node.input(at) else {
            return Ok(());
        };
        if let Some(Value::ConstantShown(constant)) = self.values.get(name)
            && constant.data.elem() == ElemType::Int32
            && beta.to_bits() == 1.0_f32.to_bits()
        {
            linear.bias = int32_bias(constant, linear)?;
            return Ok(());
        }
        let floats = self.float_constant(node, at)?;
        let axis = linear.channel_axis();
        // A bias of Conv has rank 1, though its channels are dimension 1.
        let (shape, axis) = match linear.operator {
            Operator::Conv(_) => (vec![linear.channels], 0),
            Operator::Matrix { .. } => (linear.shape.clone(), axis),
        };
        let bias = by_channel(&floats, &shape, axis, linear.channels)?;
        linear.bias = Bias::Floats(bias.iter().map(|&b| f64::from(beta * b)).collect());
        Ok(())
    }

    /// A constant as floats, dequantized where it is stored as integers.
    fn float_constant(&self, node: &Node, at: usize) -> Result<Tensor, Stop> {
        let name = node.input(at).unwrap_or_default();
        if let Some(Value::ConstantShown(constant)) = self.values.get(name) {
            return Ok(constant.floats());
        }
        let constant = self.constant(node, at)?.cloned();
        constant.ok_or_else(|| {
            refuse(
                format!("input {at} is missing"),
                "give the node all its inputs",
            )
        })
    }

    /// Whether a node reads a product that is still floats.
    pub(super) fn reads_product(&self, node: &Node) -> bool {
        node.inputs.iter().any(|name| {
            matches!(
                self.values.get(name),
                Some(Value::Pending(Pending {
                    what: What::Linear(_),
                    ..
                }))
            )
        })
    }

    /// An element-wise node behind a product: a bias, a scale or a clamp.
    pub(super) fn after_product(&mut self, node: &Node) -> Result<Value, Stop> {
        let data = (0..node.inputs.len()).filter(|&at| {
            let name = node.input(at).unwrap_or_default();
            !name.is_empty() && !self.is_constant(name)
        });
        let data: Vec<usize> = data.collect();
        let refused = || {
            refuse(
                "it computes with the float result of a product",
                "put a QuantizeLinear and a DequantizeLinear between the two",
            )
        };
        let &[at] = data.as_slice() else {
            return Err(refused());
        };
        let Value::Pending(mut pending) = self.value(node, at)?.clone() else {
            return Err(refused());
        };
        let What::Linear(mut linear) = pending.what else {
            return Err(refused());
        };
        node.output(0)
            .unwrap_or_default()
            .clone_into(&mut linear.output);
        let other = 1 - at.min(1);
        match node.op_type.as_str() {
            "Relu" | "Clip" => {
                if pending.moves.iter().any(|moved| moved.op_type == "Pad") {
                    return Err(refused());
                }
                let (low, high) = self.clip_bounds(node)?;
                linear.clamp = Some(match linear.clamp {
                    None => (low, high),
                    Some((a, b)) => (a.max(low).min(high), b.max(low).min(high)),
                });
            }
            "Add" | "Sub" | "Mul" | "Div" if pending.moves.is_empty() && linear.clamp.is_none() => {
                self.fold_constant(node, at, other, &mut linear)?;
            }
            _ => return Err(refused()),
        }
        pending.what = What::Linear(linear);
        Ok(Value::Pending(pending))
    }

    /// Folds a sum or product with a constant into a product.
    fn fold_constant(
        &mut self,
        node: &Node,
        at: usize,
        other: usize,
        linear: &mut Linear,
    ) -> Result<(), Stop> {
        only_attributes(node, &[])?;
        let name = node.input(other).unwrap_or_default();
        let plain = linear.bias == Bias::None && node.op_type == "Add";
        if let Some(Value::ConstantShown(constant)) = self.values.get(name)
            && constant.data.elem() == ElemType::Int32
            && plain
        {
            linear.bias = int32_bias(constant, linear)?;
            return Ok(());
        }
        let tensor = self.float_constant(node, other)?;
        let axis = linear.channel_axis();
        let values = by_channel(&tensor, &linear.shape, axis, linear.channels)?;
        let commutes = matches!(node.op_type.as_str(), "Add" | "Mul");
        if !commutes && at != 0 {
            return Err(refuse(
                "it subtracts or divides by the float result of a product",
                "put a QuantizeLinear and a DequantizeLinear between the two",
            ));
        }
        match node.op_type.as_str() {
            "Add" | "Sub" => {
                let sign = if node.op_type == "Sub" { -1.0 } else { 1.0 };
                let mut bias = linear.float_bias();
                for (bias, value) in bias.iter_mut().zip(&values) {
                    *bias += sign * f64::from(*value);
                }
                linear.bias = Bias::Floats(bias);
            }
            scaling => {
                let factor = |value: f32| {
                    if scaling == "Div" { 1.0 / value } else { value }
                };
                if values.iter().any(|&v| !factor(v).is_normal() || v < 0.0) {
                    return Err(refuse(
                        "it scales the result of a product by what is no positive finite number",
                        "quantize the result of the product",
                    ));
                }
                // Only the first scale behind an integer product leaves the float result as it is.
                let first = linear.w_scale == [1.0]
                    && linear.x_grid.scale.to_bits() == 1.0_f32.to_bits()
                    && scaling == "Mul";
                if !first {
                    linear.float = Some("it is scaled in floats more than once");
                }
                if linear.bias != Bias::None {
                    let mut bias = linear.float_bias();
                    for (bias, value) in bias.iter_mut().zip(&values) {
                        *bias *= f64::from(factor(*value));
                    }
                    if !first || !matches!(linear.bias, Bias::Ints(_)) {
                        linear.bias = Bias::Floats(bias);
                    }
                }
                let same = values.iter().all(|v| v.to_bits() == values[0].to_bits());
                let known = linear.w_scale.clone();
                linear.w_scale = if same {
                    known.iter().map(|w| w * factor(values[0])).collect()
                } else {
                    let each = values.iter().enumerate().map(|(channel, &value)| {
                        let at = if known.len() == 1 { 0 } else { channel };
                        known.get(at).copied().unwrap_or(f32::NAN) * factor(value)
                    });
                    each.collect()
                };
            }
        }
        Ok(())
    }

    /// The bounds of a `Relu` or `Clip`.
    pub(super) fn clip_bounds(&self, node: &Node) -> Result<(f32, f32), Stop> {
        if node.op_type == "Relu" {
            return Ok((0.0, f32::INFINITY));
        }
        only_attributes(node, &["max", "min"])?;
        let bound = |name: &str, at: usize, default: f32| -> Result<f32, Stop> {
            if let Some(value) = node.attr_float(name)? {
                return Ok(value);
            }
            if node.input(at).is_none() {
                return Ok(default);
            }
            let tensor = self.float_constant(node, at)?;
            match tensor.floats() {
                Some(&[value]) => Ok(value),
                _ => Err(refuse(
                    format!("its bound {name} is no float32 number"),
                    "give constant bounds",
                )),
            }
        };
        let low = bound("min", 1, f32::NEG_INFINITY)?;
        let high = bound("max", 2, f32::INFINITY)?;
        if low.is_nan() || high.is_nan() || low > high {
            return Err(refuse(
                format!("its bounds are {low} and {high}"),
                "give a lower bound below the upper one",
            ));
        }
        Ok((low, high))
    }

    /// Lists a product that the reference computes in floats.
    pub(super) fn judge_linear(&mut self, linear: &Linear) {
        let reason = linear
            .float
            .or((!self.is_fused(&linear.name)).then_some(IN_FLOATS));
        if let Some(reason) = reason {
            self.inexact(&linear.name, reason);
        }
    }

    /// A conversion of the element type.
    pub(super) fn cast(&mut self, node: &Node) -> Result<Value, Stop> {
        only_attributes(node, &["saturate", "to"])?;
        let to = node.attr_int("to")?.unwrap_or_default();
        let elem = match to {
            2 => Some(ElemType::Uint8),
            3 => Some(ElemType::Int8),
            6 => Some(ElemType::Int32),
            _ => None,
        };
        match (self.value(node, 0)?.clone(), to, elem) {
            (Value::Int(int), 1, _) => {
                if let Some(linear) = self.products.get(&int.name) {
                    let mut linear = linear.clone();
                    linear.float = Some("its accumulators are scaled in floats");
                    node.output(0)
                        .unwrap_or_default()
                        .clone_into(&mut linear.output);
                    return Ok(Self::pending(linear));
                }
                Ok(Value::Shown(super::value::Shown {
                    source: int,
                    grid: Grid {
                        scale: 1.0,
                        zero_point: 0,
                    },
                    name: node.output(0).unwrap_or_default().to_owned(),
                    head: crate::net::Head::default(),
                }))
            }
            (Value::Int(int), _, Some(elem)) if int.elem == elem => Ok(Value::Int(int)),
            (Value::Int(int), _, Some(elem)) if int.elem.bits() == 8 && elem.bits() == 8 => {
                self.integer_elementwise(node)
            }
            (Value::Int(int), _, Some(elem)) => {
                let made = Node::new("", "Cast", &[], &[]).with("to", Attribute::Int(to));
                self.push(node, made, vec![int.name], elem, int.shape)
            }
            (value @ (Value::Shown(_) | Value::Pending(_)), 1, _) => Ok(value),
            (other, ..) => Err(refuse(
                format!("it casts {} to the ONNX type {to}", other.kind()),
                "quantize with QuantizeLinear",
            )),
        }
    }

    /// Writes a product of two computed tensors, requantized.
    pub(super) fn write_product(
        &mut self,
        name: &str,
        operands: [&Int; 2],
        grids: [Grid; 2],
        target: Target,
        output: &str,
    ) -> Result<Int, Stop> {
        let [left, right] = operands;
        let [x, w] = grids;
        let scales = [x.scale, w.scale];
        let multiplier =
            proofmark_tensor::requantize::conv_multiplier(scales[0], scales[1], target.grid.scale);
        if !multiplier.is_normal() {
            return Err(refuse(
                format!("its scales make the requantize multiplier {multiplier}"),
                "quantize the model again; scales of one layer are too far apart",
            ));
        }
        let shape = matmul_shape(&left.shape, &right.shape)?;
        let (right, right_zero) = self.same_type(name, left.elem, right, w.zero_point)?;
        let one = self.writer.one();
        let multiplier = Tensor {
            shape: Vec::new(),
            data: proofmark_onnx::TensorData::Float(vec![multiplier]),
        };
        let node_name = self.node_name(name);
        let multiplier = self
            .writer
            .constant(&format!("{node_name}.multiplier"), multiplier);
        let offset = left.elem.min() - target.elem.min();
        let left_zero = self.zero(left.elem, x.zero_point)?;
        let right_zero = self.zero(left.elem, right_zero)?;
        let y_zero = self.zero(left.elem, target.grid.zero_point + offset)?;
        let made = if offset == 0 {
            output.to_owned()
        } else {
            self.writer.fresh(&format!("{output}.requantized"))
        };
        let inputs = vec![
            left.name.clone(),
            one.clone(),
            left_zero,
            right.name,
            multiplier,
            right_zero,
            one,
            y_zero,
        ];
        let node = Node::new(node_name, "QLinearMatMul", &[], &[]);
        self.writer.node(node, inputs, &made);
        let int = Int {
            name: made,
            elem: left.elem,
            shape,
        };
        if offset == 0 {
            return Ok(int);
        }
        let all = (target.elem.min(), target.elem.max());
        self.write_clamp(name, output, &int, target.elem, all)
    }

    /// Writes a product of two computed tensors as int32.
    pub(super) fn write_int32_product(
        &mut self,
        name: &str,
        [left, right]: [&Int; 2],
        [left_zero, right_zero]: [i32; 2],
        output: &str,
    ) -> Result<Int, Stop> {
        let shape = matmul_shape(&left.shape, &right.shape)?;
        let (right, right_zero) = self.same_type(name, left.elem, right, right_zero)?;
        let left_zero = self.zero(left.elem, left_zero)?;
        let right_zero = self.zero(left.elem, right_zero)?;
        let node = Node::new(self.node_name(name), "MatMulInteger", &[], &[]);
        let inputs = vec![left.name.clone(), right.name, left_zero, right_zero];
        self.writer.node(node, inputs, output);
        Ok(Int {
            name: output.to_owned(),
            elem: ElemType::Int32,
            shape,
        })
    }

    /// A tensor of the type asked for, with as many steps from its zero point.
    fn same_type(
        &mut self,
        name: &str,
        elem: ElemType,
        int: &Int,
        zero_point: i32,
    ) -> Result<(Int, i32), Stop> {
        if elem.bits() != 8 || int.elem.bits() != 8 {
            return Err(refuse(
                "it multiplies int32 tensors",
                "requantize to 8 bits in front of it",
            ));
        }
        if int.elem == elem {
            return Ok((int.clone(), zero_point));
        }
        let output = self.writer.fresh(&format!("{}.{elem}", int.name));
        let all = (elem.min(), elem.max());
        let moved = self.write_clamp(name, &output, int, elem, all)?;
        Ok((moved, zero_point + elem.min() - int.elem.min()))
    }

    /// The integers of a product that ends the model, in place of the floats.
    pub(super) fn end_product(&mut self, name: &str) -> Result<(), Stop> {
        let Some(Value::Pending(pending)) = self.values.get(name).cloned() else {
            return Ok(());
        };
        let What::Linear(linear) = &pending.what else {
            return Ok(());
        };
        let mut shown = self.write_accumulators(linear)?;
        let bias_in_floats = matches!(linear.bias, Bias::Floats(_));
        let scaled_once = linear.float == Some("its accumulators are scaled in floats");
        if !scaled_once && !bias_in_floats {
            self.judge_linear(linear);
        }
        shown.source = self.replay(&pending, shown.source, shown.grid)?;
        name.clone_into(&mut shown.name);
        self.values.insert(name.to_owned(), Value::Shown(shown));
        Ok(())
    }
}

/// How far from a whole step float weights may lie.
const OFF_GRID: f64 = 0.01;

/// Steps of a list of floats as whole multiples of a scale, and that scale; `None` where there is
/// no scale with at most 256 steps.
fn steps_of(values: &[f32]) -> Option<(f32, Vec<i32>)> {
    let top = values.iter().fold(0.0, |top: f32, v| top.max(v.abs()));
    if values.iter().any(|v| !v.is_finite()) {
        return None;
    }
    if top == 0.0 {
        return Some((1.0, vec![0; values.len()]));
    }
    // Symmetric grids first: they have the zero point in the middle.
    (1..=127_u8).rev().chain(128..=255).find_map(|most| {
        let scale = top / f32::from(most);
        let steps = values.iter().map(|&v| {
            let real = f64::from(v) / f64::from(scale);
            let step = real.round_ties_even();
            ((real - step).abs() <= OFF_GRID).then(|| round_to(step, -255, 255))
        });
        let steps = steps.collect::<Option<Vec<i32>>>()?;
        let (low, high) = (steps.iter().min()?, steps.iter().max()?);
        (scale.is_normal() && high - low <= 255).then_some((scale, steps))
    })
}

/// Float weights as integers with a scale for each index of a dimension, where they lie on such a
/// grid.
fn on_grid(tensor: &Tensor, axis: usize) -> Option<ConstantShown> {
    let values = tensor.floats()?;
    let shape = &tensor.shape;
    let channels = *shape.get(axis)?;
    let inner = shape.get(axis + 1..)?.iter().product::<usize>();
    let channel = |at: usize| at / inner.max(1) % channels.max(1);
    let mut scale = Vec::with_capacity(channels);
    let mut steps = Vec::with_capacity(channels);
    for index in 0..channels {
        let own = values.iter().enumerate();
        let own: Vec<f32> = own
            .filter(|&(at, _)| channel(at) == index)
            .map(|(_, &v)| v)
            .collect();
        let (own_scale, own_steps) = steps_of(&own)?;
        scale.push(own_scale);
        steps.push(own_steps);
    }
    let symmetric = steps.iter().flatten().all(|step| step.abs() <= 127);
    let elem = if symmetric {
        ElemType::Int8
    } else {
        ElemType::Uint8
    };
    let zero_point: Vec<i32> = steps
        .iter()
        .map(|own| {
            let low = own.iter().min().copied().unwrap_or_default();
            let high = own.iter().max().copied().unwrap_or_default();
            match (symmetric, low >= -128 && high <= 127) {
                (true, _) => 0,
                (false, true) => 128,
                (false, false) => -low.min(0),
            }
        })
        .collect();
    let mut next = vec![0; channels];
    let data = (0..values.len()).map(|at| {
        let index = channel(at);
        let place = next.get_mut(index)?;
        let step = steps.get(index)?.get(*place)?;
        *place += 1;
        Some(step + zero_point.get(index)?)
    });
    let data = data.collect::<Option<Vec<i32>>>()?;
    Some(ConstantShown {
        data: IntTensor::new(elem, shape.clone(), data).ok()?,
        scale,
        zero_point,
        axis: Some(axis),
    })
}

/// How many float32 steps the scale of a bias may be from the product of the scales of input and
/// weights. Whoever multiplies them in double precision and rounds at another place (TFLite's
/// converter does) gets a neighbour of the float32 product: it is the same number rounded otherwise.
/// The integers mean the accumulator's own steps all the same, and the runtime's fused kernels read
/// them as such without looking at the scale.
const BIAS_SCALE_STEPS: u32 = 2;

/// Whether a bias scale is the scale of the accumulator.
fn same_scale(bias: f32, accumulator: f32) -> bool {
    let ordered = |scale: f32| scale.is_normal() && scale > 0.0;
    let apart = bias.to_bits().abs_diff(accumulator.to_bits());
    apart == 0 || ordered(bias) && ordered(accumulator) && apart <= BIAS_SCALE_STEPS
}

/// An int32 bias on the accumulator's own scale.
fn int32_bias(constant: &ConstantShown, linear: &Linear) -> Result<Bias, Stop> {
    let factors = linear.factors();
    let count = constant.data.len();
    if count != linear.channels {
        return Err(refuse(
            format!("{count} biases for {} channels", linear.channels),
            "give one bias a channel",
        ));
    }
    let one = |list: &[f32], at: usize| {
        let at = if list.len() == 1 { 0 } else { at };
        list.get(at).copied().unwrap_or(f32::NAN)
    };
    let same =
        (0..linear.channels).all(|at| same_scale(one(&constant.scale, at), one(&factors, at)));
    if !same || constant.zero_point.iter().any(|&zero| zero != 0) {
        return Err(refuse(
            "the scale of its bias is not the product of the scales of input and weights",
            "quantize the bias with that scale and zero point 0, or leave it a float",
        ));
    }
    Ok(Bias::Ints(constant.data.data().to_vec()))
}

/// The shape of a matrix product, its leading dimensions broadcast.
fn matmul_shape(left: &[usize], right: &[usize]) -> Result<Vec<usize>, Stop> {
    let wrong = || {
        refuse(
            format!("shapes {left:?} and {right:?} do not multiply"),
            "give matrices of rank 2 or more that fit",
        )
    };
    let (&[rows, depth], &[other, columns]) = (
        left.last_chunk::<2>().ok_or_else(wrong)?,
        right.last_chunk::<2>().ok_or_else(wrong)?,
    );
    if depth != other {
        return Err(wrong());
    }
    let leads = [&left[..left.len() - 2], &right[..right.len() - 2]].map(<[usize]>::to_vec);
    let mut shape = super::sum::broadcast(&leads)?;
    shape.extend([rows, columns]);
    Ok(shape)
}

#[cfg(test)]
mod tests {
    use proofmark_onnx::TensorData;
    use proofmark_types::manifest::ReferenceLevel;

    use super::super::small::{BOTH, Small};
    use super::super::testing::operators;
    use super::*;
    use crate::graphs::list;

    /// A random walk through 8-bit values.
    fn weights(small: &mut Small, name: &str, elem: ElemType, shape: &[usize]) {
        let len = shape.iter().product::<usize>();
        let data = (0..len).map(|at| {
            let at = i32::try_from(at).unwrap();
            elem.min() + 1 + (at * 97 + at * at * 31) % 254
        });
        small.bytes(name, elem, shape, &data.collect::<Vec<_>>());
    }

    /// A convolution of `q0` between DequantizeLinear and QuantizeLinear, as ONNX Runtime's
    /// quantizer writes it: weights a channel, an int32 bias on the scale of the product.
    fn convolution(x: ElemType, w: ElemType, y: ElemType) -> Small {
        let mut small = Small::new(x, &[&[1, 2, 6, 6]]);
        small.grid("x", 0.031, x.min() + 120, x);
        small.grid("y", 1.7, y.min() + 110, y);
        weights(&mut small, "w", w, &[3, 2, 3, 3]);
        let scales = [0.004, 0.011, 0.0007];
        small.floats("ws", &[3], &scales);
        small.bytes(
            "wz",
            w,
            &[3],
            &[if w == ElemType::Uint8 { 128 } else { 0 }; 3],
        );
        small.bytes("b", ElemType::Int32, &[3], &[-5000, 17, 900]);
        small.floats("bs", &[3], &scales.map(|w| 0.031 * w));
        small.bytes("bz", ElemType::Int32, &[3], &[0; 3]);
        let along = [("axis", Attribute::Int(0))];
        small.show("q0", "x", "d");
        small.node("DequantizeLinear", &["w", "ws", "wz"], &["wd"], &along);
        small.node("DequantizeLinear", &["b", "bs", "bz"], &["bd"], &along);
        small.node(
            "Conv",
            &["d", "wd", "bd"],
            &["c"],
            &[("pads", list(&[1; 4]))],
        );
        small
    }

    #[test]
    fn convolutions_that_the_runtime_fuses_are_exact() {
        for (x, w) in [
            (ElemType::Uint8, ElemType::Uint8),
            (ElemType::Uint8, ElemType::Int8),
            (ElemType::Int8, ElemType::Int8),
        ] {
            let mut small = convolution(x, w, x);
            small.quantize("c", "y", "r").output("r", x);
            let found = small.exact_where_fused(x, 60);
            assert_eq!(operators(&found), ["QLinearConv"]);
            // The bias enters the accumulator, the scales one multiplier a channel.
            let model = found.model.unwrap();
            let node = &model.graph.nodes[0];
            let multiplier = model.graph.initializer(node.input(4).unwrap()).unwrap();
            let wanted = (0.031_f32 * 0.004) / 1.7;
            assert_eq!(multiplier.floats().unwrap()[0].to_bits(), wanted.to_bits());
            assert!(node.input(8).is_some());
            // A level that fuses nothing computes in floats.
            let feeds = small.feeds(40);
            let found = small.compare(ReferenceLevel::Basic, &feeds);
            assert_eq!(found.inexact.len(), 1);
            assert!(found.different * 100 < found.compared && found.largest <= 1);
        }
    }

    #[test]
    fn a_relu_is_the_saturation_or_a_table() {
        for elem in BOTH {
            let mut small = convolution(elem, elem, elem);
            small.grid("y", 1.7, elem.min(), elem);
            small.node("Relu", &["c"], &["f"], &[]);
            small.quantize("f", "y", "r").output("r", elem);
            let found = small.exact_where_fused(elem, 60);
            assert_eq!(operators(&found), ["QLinearConv"]);

            let mut small = convolution(elem, elem, elem);
            small.node("Relu", &["c"], &["f"], &[]);
            small.quantize("f", "y", "r").output("r", elem);
            let feeds = small.feeds(60);
            let found = small.compare(ReferenceLevel::All, &feeds);
            assert!(operators(&found).ends_with(&["Clip"]));
            assert!(!found.inexact.is_empty());
            assert!(found.different * 100 < found.compared && found.largest <= 1);
        }
    }

    #[test]
    fn another_output_type_is_as_many_steps_from_its_minimum() {
        let mut small = convolution(ElemType::Uint8, ElemType::Uint8, ElemType::Int8);
        small.quantize("c", "y", "r").output("r", ElemType::Int8);
        let feeds = small.feeds(60);
        let found = small.compare(ReferenceLevel::All, &feeds);
        assert_eq!(found.inexact.len(), 1);
        assert!(found.different * 100 < found.compared && found.largest <= 1);
    }

    #[test]
    fn a_bias_on_another_scale_is_refused() {
        let elem = ElemType::Uint8;
        let mut small = convolution(elem, elem, elem);
        small.floats(
            "bs",
            &[3],
            &[0.031 * 0.004, 0.031 * 0.011, 0.031 * 0.000_701],
        );
        small.quantize("c", "y", "r").output("r", elem);
        assert!(small.refused()[0].contains("scale of its bias"));
        for bad in [f32::NAN, f32::INFINITY, 0.0, -0.1] {
            let mut small = convolution(elem, elem, elem);
            small.floats("ws", &[3], &[0.004, bad, 0.0007]);
            small.quantize("c", "y", "r").output("r", elem);
            assert!(small.refused()[0].contains("no float32 scale"));
        }
        // Denormal scales make a multiplier that float32 does not hold.
        let mut small = convolution(elem, elem, elem);
        small.floats("ws", &[3], &[1e-40; 3]);
        small.floats("bs", &[3], &[0.031 * 1e-40; 3]);
        small.quantize("c", "y", "r").output("r", elem);
        assert!(small.refused()[0].contains("multiplier"));
    }

    /// The scales of the bias, some float32 steps from the products.
    fn bias_scales(steps: u32, up: bool) -> [f32; 3] {
        [0.004_f32, 0.011, 0.0007].map(|w| {
            let bits = (0.031 * w).to_bits();
            f32::from_bits(if up { bits + steps } else { bits - steps })
        })
    }

    #[test]
    fn a_bias_scale_rounded_otherwise_leaves_the_integers_as_they_are() {
        let elem = ElemType::Uint8;
        let with = |scales: [f32; 3]| {
            let mut small = convolution(elem, elem, elem);
            small.floats("bs", &[3], &scales);
            small.quantize("c", "y", "r").output("r", elem);
            small
        };
        let product = with(bias_scales(0, true)).import(ReferenceLevel::All);
        let product = product.unwrap().model;
        for (steps, up) in [(1, true), (1, false), (2, true), (2, false)] {
            let mut small = with(bias_scales(steps, up));
            // Bias, weights and multipliers are those of the product itself.
            let made = small.import(ReferenceLevel::All).unwrap();
            assert_eq!(made.model, product, "{steps}");
            let found = small.exact_where_fused(elem, 60);
            assert_eq!(operators(&found), ["QLinearConv"]);
            let node = &found.model.unwrap().graph.nodes[0];
            assert!(node.input(8).is_some());
        }
        for (steps, up) in [(3, true), (4, true), (4, false)] {
            let refused = with(bias_scales(steps, up)).refused();
            assert!(refused[0].contains("scale of its bias"), "{refused:?}");
        }
        let zero = f32::from_bits(1);
        assert!(!same_scale(zero, f32::from_bits(2)) && same_scale(zero, zero));
        assert!(!same_scale(f32::from_bits(0x7f80_0001), f32::INFINITY));
        assert!(!same_scale(-1.0, 1.0));
    }

    #[test]
    fn fully_connected_layers() {
        for elem in BOTH {
            for transposed in [0, 1] {
                let mut small = Small::new(elem, &[&[1, 9]]);
                small.grid("x", 0.031, elem.min() + 120, elem);
                small.grid("y", 0.7, elem.min() + 110, elem);
                let shape: &[usize] = if transposed == 1 { &[5, 9] } else { &[9, 5] };
                weights(&mut small, "w", ElemType::Int8, shape);
                small.grid("w", 0.004, 0, ElemType::Int8);
                small.bytes("b", ElemType::Int32, &[5], &[-5000, 17, 900, 0, 44]);
                small.grid("b", 0.031 * 0.004, 0, ElemType::Int32);
                small
                    .show("q0", "x", "d")
                    .show("w", "w", "wd")
                    .show("b", "b", "bd");
                let attributes = [("transB", Attribute::Int(transposed))];
                small.node("Gemm", &["d", "wd", "bd"], &["c"], &attributes);
                small.quantize("c", "y", "r").output("r", elem);
                let found = small.exact_where_fused(elem, 60);
                assert_eq!(operators(&found), ["QGemm"]);
            }
        }
    }

    #[test]
    fn matrix_products_of_two_tensors() {
        for elem in BOTH {
            let mut small = Small::new(elem, &[&[1, 2, 3, 4], &[1, 2, 4, 5]]);
            small.grid("a", 0.031, elem.min() + 120, elem);
            small.grid("b", 0.043, elem.min() + 99, elem);
            small.grid("y", 0.67, elem.min() + 110, elem);
            small.show("q0", "a", "d").show("q1", "b", "e");
            small.node("MatMul", &["d", "e"], &["f"], &[]);
            small.quantize("f", "y", "r").output("r", elem);
            let found = small.exact_where_fused(elem, 60);
            assert_eq!(operators(&found), ["QLinearMatMul"]);

            let mut small = Small::new(elem, &[&[3, 4], &[4, 5]]);
            small.model.graph.inputs[0].dims =
                Some([1, 3, 4].map(proofmark_onnx::Dim::Static).to_vec());
            small.model.graph.inputs[1].dims =
                Some([1, 4, 5].map(proofmark_onnx::Dim::Static).to_vec());
            small.bytes("az", elem, &[], &[elem.min() + 3]);
            small.node("MatMulInteger", &["q0", "q1", "az"], &["r"], &[]);
            small.output("r", ElemType::Int32);
            assert_eq!(operators(&small.exact(60)), ["MatMulInteger"]);
        }
    }

    /// Weights as PyTorch exports them: floats behind QuantizeLinear and DequantizeLinear.
    #[test]
    fn pytorch_style() {
        let mut small = Small::new(ElemType::Uint8, &[&[1, 2, 6, 6]]);
        small.grid("x", 0.031, 120, ElemType::Uint8);
        small.grid("y", 0.17, 0, ElemType::Uint8);
        small.grid("z", 0.4, 131, ElemType::Uint8);
        let wave = |len: usize| -> Vec<f32> {
            let at = |i: usize| f32::from(u8::try_from(i * 37 % 201).unwrap());
            (0..len).map(|i| at(i) / 100.0 - 1.0).collect()
        };
        small.floats("w", &[3, 2, 3, 3], &wave(54));
        small.floats("ws", &[3], &[0.0079, 0.0071, 0.0083]);
        small.bytes("wz", ElemType::Int8, &[3], &[0; 3]);
        small.floats("b", &[3], &[0.3, -0.2, 0.01]);
        small.floats("v", &[4, 108], &wave(432));
        small.floats("vs", &[4], &[0.0079; 4]);
        small.bytes("vz", ElemType::Int8, &[4], &[0; 4]);
        small.floats("c", &[4], &[0.3, -0.2, 0.01, 1.0]);
        small.ints("shape", &[1, -1]);
        let along = [("axis", Attribute::Int(0))];
        small.show("q0", "x", "d");
        for (weight, output) in [("w", "wd"), ("v", "vd")] {
            let (s, z, q) = (
                format!("{weight}s"),
                format!("{weight}z"),
                format!("{weight}q"),
            );
            small.node("QuantizeLinear", &[weight, &s, &z], &[&q], &along);
            small.node("DequantizeLinear", &[&q, &s, &z], &[output], &along);
        }
        small.node(
            "Conv",
            &["d", "wd", "b"],
            &["f"],
            &[("pads", list(&[1; 4]))],
        );
        small.node("Relu", &["f"], &["g"], &[]);
        small.quantize("g", "y", "h").show("h", "y", "i");
        small.node("Reshape", &["i", "shape"], &["j"], &[]);
        small.node(
            "Gemm",
            &["j", "vd", "c"],
            &["k"],
            &[("transB", Attribute::Int(1))],
        );
        small.quantize("k", "z", "r").output("r", ElemType::Uint8);
        let feeds = small.feeds(80);
        let found = small.compare(ReferenceLevel::All, &feeds);
        assert_eq!(operators(&found), ["QLinearConv", "Reshape", "QGemm"]);
        // The float biases are rounded to the accumulator's steps.
        assert_eq!(found.inexact.len(), 2, "{:?}", found.inexact);
        assert!(found.different * 50 < found.compared, "{}", found.different);
        assert!(found.largest <= 1);
    }

    /// As tf2onnx writes it: int8 tensors, weights transposed behind DequantizeLinear, Relu6 as
    /// Clip, padding and layout as nodes of their own.
    #[test]
    fn tensorflow_style() {
        let elem = ElemType::Int8;
        let mut small = Small::new(elem, &[&[1, 6, 6, 2]]);
        small.grid("x", 0.031, -5, elem);
        small.grid("y", 6.0 / 255.0, -128, elem);
        weights(&mut small, "w", elem, &[3, 3, 2, 4]);
        small.floats("ws", &[4], &[0.0079, 0.0071, 0.0083, 0.0011]);
        small.bytes("wz", elem, &[4], &[0; 4]);
        small.floats("low", &[], &[0.0]).floats("high", &[], &[6.0]);
        small.ints("pads", &[0, 0, 0, 0, 0, 0, 1, 1]);
        let perm = |axes: &[i64]| [("perm", list(axes))];
        small.show("q0", "x", "d");
        let along = [("axis", Attribute::Int(3))];
        small.node("DequantizeLinear", &["w", "ws", "wz"], &["wd"], &along);
        small.node("Transpose", &["wd"], &["wt"], &perm(&[3, 2, 0, 1]));
        small.node("Transpose", &["d"], &["t"], &perm(&[0, 3, 1, 2]));
        small.node("Pad", &["t", "pads"], &["p"], &[]);
        small.node("Conv", &["p", "wt"], &["f"], &[("strides", list(&[2, 2]))]);
        small.node("Clip", &["f", "low", "high"], &["g"], &[]);
        small.node("Transpose", &["g"], &["n"], &perm(&[0, 2, 3, 1]));
        small.quantize("n", "y", "r").output("r", elem);
        let feeds = small.feeds(80);
        let found = small.compare(ReferenceLevel::All, &feeds);
        let wanted = ["Transpose", "Pad", "QLinearConv", "Transpose"];
        assert_eq!(operators(&found), wanted);
        assert!(found.different * 100 < found.compared && found.largest <= 1);
    }

    /// Integer products requantized by float nodes.
    #[test]
    fn float_chains_behind_integer_products() {
        for elem in BOTH {
            let mut small = Small::new(elem, &[&[1, 9]]);
            small.bytes("xz", elem, &[], &[elem.min() + 120]);
            weights(&mut small, "w", ElemType::Int8, &[9, 5]);
            small.floats("s", &[5], &[0.001, 0.002, 0.0005, 0.003, 0.001]);
            small.floats("b", &[5], &[0.3, -0.2, 0.01, 1.0, 0.0]);
            small.grid("y", 0.07, elem.min(), elem);
            small.node("MatMulInteger", &["q0", "w", "xz"], &["a"], &[]);
            small.node("Cast", &["a"], &["f"], &[("to", Attribute::Int(1))]);
            small.node("Mul", &["f", "s"], &["g"], &[]);
            small.node("Add", &["g", "b"], &["h"], &[]);
            small.node("Relu", &["h"], &["i"], &[]);
            small.quantize("i", "y", "r").output("r", elem);
            let feeds = small.feeds(60);
            let found = small.compare(ReferenceLevel::All, &feeds);
            assert_eq!(operators(&found), ["QGemm"]);
            assert!(!found.inexact.is_empty());
            assert!(found.different * 50 < found.compared && found.largest <= 1);
        }
    }

    /// Weights that training left on a grid, as floats.
    #[test]
    fn float_weights_on_a_grid() {
        let elem = ElemType::Uint8;
        for (low, spread) in [(-127_i16, 255_i16), (0, 256), (-200, 256), (-3, 7)] {
            let mut small = convolution(elem, elem, elem);
            let scales = [0.004_f32, 0.011, 0.0007];
            let weights = (0..54_i16).map(|at| {
                let step = low + (at * 97 + at % 18 * 31) % spread;
                f32::from(step) * scales[usize::try_from(at / 18).unwrap()]
            });
            let weights: Vec<f32> = weights.collect();
            small.floats("wd", &[3, 2, 3, 3], &weights);
            let nodes = &mut small.model.graph.nodes;
            nodes.retain(|node| node.outputs[0] != "wd" && node.outputs[0] != "bd");
            nodes.last_mut().unwrap().inputs.pop();
            small.quantize("c", "y", "r").output("r", elem);
            let feeds = small.feeds(60);
            let found = small.compare(ReferenceLevel::All, &feeds);
            assert_eq!(operators(&found), ["QLinearConv"]);
            assert!(!found.inexact.is_empty());
            // The runtime may round the weights to a grid of its own.
            assert!(found.different * 20 < found.compared && found.largest <= 1);
        }
        assert!(steps_of(&[0.1, f32::NAN]).is_none());
        assert_eq!(steps_of(&[0.0; 3]), Some((1.0, vec![0; 3])));
    }

    #[test]
    fn what_is_no_product_of_weights_is_refused() {
        let elem = ElemType::Uint8;
        let refused = |change: &dyn Fn(&mut Small)| {
            let mut small = convolution(elem, elem, elem);
            change(&mut small);
            small.refused()
        };
        let why = refused(&|s| _ = s.output("c", elem));
        assert!(why[0].contains("scale each"), "{why:?}");
        let why = refused(&|s| {
            s.node("Sigmoid", &["c"], &["f"], &[])
                .quantize("f", "y", "r");
            s.output("r", elem);
        });
        assert!(why[0].contains("float result of a product"), "{why:?}");
        let why = refused(&|s| {
            let irregular = (0..54_u8).map(|at| f32::from(at).sin());
            let tensor = TensorData::Float(irregular.collect());
            let tensor = Tensor::new(vec![3, 2, 3, 3], tensor);
            s.model
                .graph
                .initializers
                .insert("wd".to_owned(), tensor.unwrap());
            s.model.graph.nodes.retain(|node| node.outputs[0] != "wd");
            s.quantize("c", "y", "r").output("r", elem);
        });
        assert!(why[0].contains("weights are floats"), "{why:?}");
    }
}

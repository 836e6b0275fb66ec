//! Products of an 8-bit tensor with constant weights: what they are, and how they are written, as
//! requantized 8-bit tensors with one multiplier a channel, or as int32 accumulators.

use proofmark_onnx::{Attribute, Node, Tensor, TensorData};
use proofmark_tensor::requantize::{conv_multiplier, gemm_multiplier};
use proofmark_types::{ElemType, IntTensor};

use super::value::{Grid, Int, Shown, Target};
use super::{Importer, internal};
use crate::emit::{MICROSOFT, ints};
use crate::read::{Stop, check_shape, refuse};

/// Constant 8-bit weights in the signedness of the input.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Weights {
    pub(super) data: IntTensor,
    /// One, or one an output channel.
    pub(super) zero: Vec<i32>,
}

/// What a product is besides its tensors.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Operator {
    /// A convolution with these attributes.
    Conv(Node),
    /// A matrix product; the weights are `[columns, depth]` where `transposed`.
    Matrix {
        transposed: bool,
        /// A factor of `Gemm`.
        alpha: f32,
    },
}

/// What is added to each channel.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Bias {
    None,
    /// In steps of the accumulator, one a channel.
    Ints(Vec<i32>),
    /// Floats, one a channel.
    Floats(Vec<f64>),
}

/// A product of an 8-bit tensor with constant weights, before it is rounded.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Linear {
    /// Name of the original's node.
    pub(super) name: String,
    /// The float tensor of the original (the last one where scales and biases follow).
    pub(super) output: String,
    pub(super) x: Int,
    pub(super) x_grid: Grid,
    pub(super) weights: Weights,
    /// One, or one an output channel.
    pub(super) w_scale: Vec<f32>,
    pub(super) bias: Bias,
    pub(super) operator: Operator,
    /// Output shape.
    pub(super) shape: Vec<usize>,
    pub(super) channels: usize,
    /// Bounds of a Relu or Clip behind it.
    pub(super) clamp: Option<(f32, f32)>,
    /// Why the runtime does not compute it in integers, if it does not.
    pub(super) float: Option<&'static str>,
}

impl Linear {
    /// The factor from an accumulator to the float it stands for, of each scale.
    pub(super) fn factors(&self) -> Vec<f32> {
        let each = |&w: &f32| match self.operator {
            Operator::Conv(_) => self.x_grid.scale * w,
            Operator::Matrix { alpha, .. } => alpha * self.x_grid.scale * w,
        };
        self.w_scale.iter().map(each).collect()
    }

    /// The requantize multipliers to a scale, as the runtime's kernels round them.
    fn multipliers(&self, y_scale: f32) -> Result<Vec<f32>, Stop> {
        let each = |&w: &f32| match self.operator {
            Operator::Conv(_) => conv_multiplier(self.x_grid.scale, w, y_scale),
            Operator::Matrix { alpha, .. } => gemm_multiplier(alpha, self.x_grid.scale, w, y_scale),
        };
        let made: Vec<f32> = self.w_scale.iter().map(each).collect();
        match made.iter().find(|m| !m.is_normal() || **m < 0.0) {
            Some(bad) => Err(refuse(
                format!("its scales make the requantize multiplier {bad}"),
                "quantize the model again; scales of one layer are too far apart",
            )),
            None => Ok(made),
        }
    }
}

impl Importer<'_> {
    /// Weights in the signedness of the input: `w − zero` stays as it is, so every product does.
    pub(super) fn same_sign(
        &mut self,
        name: &str,
        x: &Int,
        data: &IntTensor,
        zero: Vec<i32>,
    ) -> Result<Weights, Stop> {
        if x.elem.bits() != 8 {
            return Err(refuse("its input is int32", "requantize to 8 bits first"));
        }
        if data.elem().bits() != 8 {
            return Err(refuse(
                format!("its weights are {}", data.elem()),
                "quantize the model with constant 8-bit weights",
            ));
        }
        if data.elem() == x.elem {
            return Ok(Weights {
                data: data.clone(),
                zero,
            });
        }
        let offset = if x.elem == ElemType::Uint8 { 128 } else { -128 };
        self.rewritten.push(name.to_owned());
        let moved = data.data().iter().map(|v| v + offset).collect();
        Ok(Weights {
            data: IntTensor::new(x.elem, data.shape().to_vec(), moved).map_err(internal)?,
            zero: zero.into_iter().map(|v| v + offset).collect(),
        })
    }

    /// Stores weights and their zero points.
    fn store(&mut self, name: &str, weights: &Weights) -> Result<(String, String), Stop> {
        let elem = weights.data.elem();
        let tensor = Tensor::from(weights.data.clone());
        let w = self.writer.constant(&format!("{name}.weight"), tensor);
        let shape = match weights.zero.len() {
            1 => Vec::new(),
            several => vec![several],
        };
        let zero = ints(elem, shape, weights.zero.clone()).map_err(internal)?;
        let zero = self
            .writer
            .constant(&format!("{name}.weight_zero_point"), zero);
        Ok((w, zero))
    }

    pub(super) fn zero(&mut self, elem: ElemType, value: i32) -> Result<String, Stop> {
        self.writer.zero_point(elem, value).map_err(internal)
    }

    fn store_bias(
        &mut self,
        name: &str,
        bias: Vec<i32>,
        shape: Vec<usize>,
    ) -> Result<String, Stop> {
        let tensor = ints(ElemType::Int32, shape, bias).map_err(internal)?;
        Ok(self.writer.constant(&format!("{name}.bias"), tensor))
    }

    /// The bias in steps of the accumulator. A float bias is rounded, which is listed.
    fn bias_steps(&mut self, linear: &Linear) -> Result<Option<Vec<i32>>, Stop> {
        match &linear.bias {
            Bias::None => Ok(None),
            Bias::Ints(bias) => Ok(Some(bias.clone())),
            Bias::Floats(bias) => {
                let factors = linear.factors();
                let each = bias.iter().enumerate().map(|(channel, &bias)| {
                    let at = if factors.len() == 1 { 0 } else { channel };
                    let factor = factors.get(at).copied().unwrap_or(f32::NAN);
                    let steps = (bias / f64::from(factor)).round_ties_even();
                    let inside = steps.abs() < f64::from(i32::MAX);
                    inside.then(|| crate::num::round_to(steps, i32::MIN, i32::MAX))
                });
                let steps = each.collect::<Option<Vec<i32>>>().ok_or_else(|| {
                    refuse(
                        "its bias is not finite or too large for int32 steps of its scales",
                        "quantize the model again; scales of one layer are too far apart",
                    )
                })?;
                self.inexact(
                    &linear.name,
                    "its float bias is rounded to steps of the accumulator",
                );
                Ok(Some(steps))
            }
        }
    }

    /// Writes a product as the 8-bit integers of a grid, under the output name given.
    pub(super) fn write_requantized(
        &mut self,
        linear: &Linear,
        target: Target,
        output: &str,
    ) -> Result<Int, Stop> {
        check_shape(&linear.shape)?;
        let multipliers = linear.multipliers(target.grid.scale)?;
        let bias = self.bias_steps(linear)?;
        let x = &linear.x;
        // The kernels give the type of their input; the other one is the same steps from another
        // zero.
        let offset = x.elem.min() - target.elem.min();
        let zero_point = target.grid.zero_point + offset;
        let bounds = self.bounds(linear, target);
        let direct = bounds.is_none() && offset == 0;
        let made = if direct {
            output.to_owned()
        } else {
            self.writer.fresh(&format!("{output}.requantized"))
        };
        let name = self.node_name(&linear.name);
        let mut weights = linear.weights.clone();
        let mut multipliers = multipliers;
        if matches!(linear.operator, Operator::Matrix { .. }) {
            // The kernels want as many zero points as scales.
            let count = weights.zero.len().max(multipliers.len());
            if let (&[zero], true) = (weights.zero.as_slice(), count > 1) {
                weights.zero = vec![zero; count];
            }
            if let (&[multiplier], true) = (multipliers.as_slice(), count > 1) {
                multipliers = vec![multiplier; count];
            }
        }
        let (w, w_zero) = self.store(&name, &weights)?;
        let shape = match multipliers.len() {
            1 => Vec::new(),
            several => vec![several],
        };
        let multipliers = Tensor {
            shape,
            data: TensorData::Float(multipliers),
        };
        let multipliers = self
            .writer
            .constant(&format!("{name}.multiplier"), multipliers);
        let one = self.writer.one();
        let x_zero = self.zero(x.elem, linear.x_grid.zero_point)?;
        let y_zero = self.zero(x.elem, zero_point)?;
        let bias = match bias {
            Some(bias) => {
                let shape = vec![bias.len()];
                self.store_bias(&name, bias, shape)?
            }
            None => String::new(),
        };
        let front = [&x.name, &one, &x_zero, &w, &multipliers, &w_zero].map(Clone::clone);
        match &linear.operator {
            Operator::Conv(node) => {
                let mut node = node.clone();
                node.name = name;
                "QLinearConv".clone_into(&mut node.op_type);
                let mut inputs = front.to_vec();
                inputs.extend([one, y_zero]);
                if !bias.is_empty() {
                    inputs.push(bias);
                }
                self.writer.node(node, inputs, &made);
            }
            Operator::Matrix { transposed, .. } => {
                let plain = bias.is_empty() && !transposed;
                if plain {
                    let node = Node::new(name, "QLinearMatMul", &[], &[]);
                    let mut inputs = front.to_vec();
                    inputs.extend([one, y_zero]);
                    self.writer.node(node, inputs, &made);
                } else {
                    let mut node = Node::new(name, "QGemm", &[], &[])
                        .with("transB", Attribute::Int(i64::from(*transposed)));
                    MICROSOFT.clone_into(&mut node.domain);
                    let mut inputs = front.to_vec();
                    inputs.extend([bias, one, y_zero]);
                    self.write_flat(node, inputs, linear, &made);
                }
            }
        }
        let int = Int {
            name: made,
            elem: x.elem,
            shape: linear.shape.clone(),
        };
        if direct {
            return Ok(int);
        }
        let (low, high) = bounds.unwrap_or((target.elem.min(), target.elem.max()));
        self.write_clamp(&linear.name, output, &int, target.elem, (low, high))
    }

    /// A `QGemm`, which takes matrices only, over a tensor of any rank.
    fn write_flat(&mut self, node: Node, mut inputs: Vec<String>, linear: &Linear, output: &str) {
        if linear.shape.len() == 2 {
            self.writer.node(node, inputs, output);
            return;
        }
        let depth = linear.x.shape.last().copied().unwrap_or(1);
        let rows = linear.x.shape.iter().rev().skip(1).product::<usize>();
        let flat = self.writer.fresh(&format!("{output}.rows"));
        let name = self.writer.fresh(&format!("{}.rows", linear.name));
        self.writer
            .reshape(&name, &linear.x.name, &flat, &[rows, depth]);
        if let Some(first) = inputs.first_mut() {
            *first = flat;
        }
        let product = self.writer.fresh(&format!("{output}.product"));
        self.writer.node(node, inputs, &product);
        let name = self.writer.fresh(&format!("{}.shape", linear.name));
        self.writer.reshape(&name, &product, output, &linear.shape);
    }

    /// The steps between which a Relu or Clip holds the output; `None` where saturation does.
    ///
    /// Quantizing is monotone, so clamping before is clamping after.
    fn bounds(&mut self, linear: &Linear, target: Target) -> Option<(i32, i32)> {
        let (low, high) = linear.clamp?;
        let Target { grid, elem } = target;
        let step = |value: f32| {
            let steps = f64::from((value / grid.scale).round_ties_even());
            let steps = steps + f64::from(grid.zero_point);
            crate::num::round_to(steps, elem.min(), elem.max())
        };
        let (low, high) = (step(low), step(high));
        if (low, high) == (elem.min(), elem.max()) {
            return None;
        }
        self.inexact(
            &linear.name,
            "its Relu or Clip is not the saturation of the QuantizeLinear behind it, so it runs in floats",
        );
        Some((low, high))
    }

    /// Writes a product as int32 accumulators, and what they show.
    pub(super) fn write_accumulators(&mut self, linear: &Linear) -> Result<Shown, Stop> {
        check_shape(&linear.shape)?;
        let factors = linear.factors();
        let first = factors.first().copied().unwrap_or(f32::NAN);
        if factors
            .iter()
            .any(|factor| factor.to_bits() != first.to_bits())
        {
            return Err(refuse(
                "its float outputs have a scale each, so their integers do not compare",
                "quantize its output as well, or quantize its weights per tensor",
            ));
        }
        if !first.is_normal() || first < 0.0 {
            return Err(refuse(
                format!("its outputs have the scale {first}"),
                "quantize the model again",
            ));
        }
        if linear.clamp.is_some() {
            return Err(refuse(
                "a Relu or Clip at the end of the model computes in floats",
                "quantize the output of the model as well",
            ));
        }
        let bias = self.bias_steps(linear)?;
        let sum = self.writer.fresh(&format!("{}.int32", linear.output));
        let product = match &bias {
            Some(_) => self.writer.fresh(&format!("{}.product", linear.output)),
            None => sum.clone(),
        };
        let name = self.node_name(&linear.name);
        let mut weights = linear.weights.clone();
        let (mut node, lead) = match &linear.operator {
            Operator::Conv(node) => {
                let mut node = node.clone();
                "ConvInteger".clone_into(&mut node.op_type);
                let spatial = linear.shape.len().saturating_sub(2);
                (node, vec![1; spatial])
            }
            Operator::Matrix { transposed, .. } => {
                if *transposed {
                    let turned = crate::read::transposed(&weights.data.into(), &[1, 0]);
                    let turned = turned.as_ref().and_then(Tensor::ints).cloned();
                    weights.data = turned.ok_or(Stop::Unknown)?;
                }
                (Node::new("", "MatMulInteger", &[], &[]), Vec::new())
            }
        };
        node.name.clone_from(&name);
        let (w, w_zero) = self.store(&name, &weights)?;
        let x_zero = self.zero(linear.x.elem, linear.x_grid.zero_point)?;
        let inputs = vec![linear.x.name.clone(), w, x_zero, w_zero];
        self.writer.node(node, inputs, &product);
        if let Some(bias) = bias {
            let mut shape = vec![bias.len()];
            shape.extend(lead);
            let bias = self.store_bias(&name, bias, shape)?;
            let add = self.writer.fresh(&format!("{name}.add_bias"));
            let add = Node::new(add, "Add", &[], &[]);
            self.writer.node(add, vec![product, bias], &sum);
        }
        Ok(Shown {
            source: Int {
                name: sum,
                elem: ElemType::Int32,
                shape: linear.shape.clone(),
            },
            grid: Grid {
                scale: first,
                zero_point: 0,
            },
            name: linear.output.clone(),
            head: crate::net::Head::default(),
        })
    }
}

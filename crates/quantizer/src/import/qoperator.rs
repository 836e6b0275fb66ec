//! Products of the `QOperator` format: `QLinearConv`, `QLinearMatMul`, `QGemm`, and the integer
//! ones, `ConvInteger` and `MatMulInteger`.

use proofmark_onnx::{Node, Tensor};
use proofmark_types::{ElemType, IntTensor};

use super::Importer;
use super::convolution::{convolution, product};
use super::linear::{Bias, Linear, Operator, Weights};
use super::value::{Grid, Int, Target, Value};
use crate::read::{Constants as _, Stop, only_attributes, refuse};

/// Where a node has its inputs.
struct Places {
    x_scale: Option<usize>,
    x_zero: usize,
    w: usize,
    w_scale: Option<usize>,
    w_zero: usize,
}

/// Of `QLinearConv`, `QLinearMatMul` and `QGemm`.
const QUANTIZED: Places = Places {
    x_scale: Some(1),
    x_zero: 2,
    w: 3,
    w_scale: Some(4),
    w_zero: 5,
};
/// Of `ConvInteger` and `MatMulInteger`.
const INTEGER: Places = Places {
    x_scale: None,
    x_zero: 2,
    w: 1,
    w_scale: None,
    w_zero: 3,
};

impl Importer<'_> {
    fn weights(&mut self, node: &Node, x: &Int, places: &Places) -> Result<Weights, Stop> {
        let w = self.constant(node, places.w)?.and_then(Tensor::ints);
        let w = w.cloned().ok_or_else(|| {
            refuse(
                format!("input {} is no constant 8-bit tensor", places.w),
                "quantize the model with constant 8-bit weights",
            )
        })?;
        let zero = match self.zero_points(node, places.w_zero)? {
            None => vec![0],
            Some((found, zero)) if found == w.elem() => zero,
            Some((found, _)) => {
                return Err(refuse(
                    format!("its weights are {}, their zero point {found}", w.elem()),
                    "quantize the model again",
                ));
            }
        };
        self.same_sign(&node.name, x, &w, zero)
    }

    /// The product that a node computes, without its bias.
    fn product(
        &mut self,
        node: &Node,
        x: Int,
        places: &Places,
        weights: Weights,
        (operator, shape, channels): (Operator, Vec<usize>, usize),
    ) -> Result<Linear, Stop> {
        let w_scale = places
            .w_scale
            .map_or_else(|| Ok(vec![1.0]), |at| self.scales(node, at))?;
        for (count, what) in [
            (w_scale.len(), "scales"),
            (weights.zero.len(), "zero points"),
        ] {
            if count != 1 && count != channels {
                return Err(refuse(
                    format!("{count} weight {what} for {channels} channels"),
                    "give one, or one a channel",
                ));
            }
        }
        let scale = places.x_scale.map_or(Ok(1.0), |at| self.scale(node, at))?;
        Ok(Linear {
            name: node.name.clone(),
            output: node.output(0).unwrap_or_default().to_owned(),
            x_grid: Grid {
                scale,
                zero_point: self.zero_point(node, places.x_zero, x.elem)?,
            },
            x,
            weights,
            w_scale,
            bias: Bias::None,
            operator,
            shape,
            channels,
            clamp: None,
            float: None,
        })
    }

    /// An int32 bias, one a channel.
    fn int32_bias(&self, node: &Node, at: usize, channels: usize) -> Result<Bias, Stop> {
        let Some(tensor) = self.constant(node, at)? else {
            return Ok(Bias::None);
        };
        let lead_is_one = tensor.shape.iter().rev().skip(1).all(|&dim| dim == 1);
        let fits = |t: &&IntTensor| {
            t.elem() == ElemType::Int32
                && t.len() == channels
                && lead_is_one
                && t.shape().len() <= 2
        };
        let bias = tensor.ints().filter(fits).ok_or_else(|| {
            refuse(
                "its bias is not one int32 a channel",
                "give an int32 bias a channel",
            )
        })?;
        Ok(Bias::Ints(bias.data().to_vec()))
    }

    fn requantized(
        &mut self,
        node: &Node,
        linear: &Linear,
        [scale, zero]: [usize; 2],
    ) -> Result<Value, Stop> {
        let target = Target {
            grid: self.grid(node, [scale, zero], linear.x.elem)?,
            elem: linear.x.elem,
        };
        let output = self.output_name(node, 0)?;
        self.write_requantized(linear, target, &output)
            .map(Value::Int)
    }

    pub(super) fn q_linear_conv(&mut self, node: &Node) -> Result<Value, Stop> {
        let x = self.int(node, 0)?;
        let weights = self.weights(node, &x, &QUANTIZED)?;
        let (made, shape) = convolution(node, &x.shape, weights.data.shape())?;
        let channels = weights.data.shape().first().copied().unwrap_or_default();
        let what = (Operator::Conv(made), shape, channels);
        let mut linear = self.product(node, x, &QUANTIZED, weights, what)?;
        linear.bias = self.int32_bias(node, 8, channels)?;
        self.requantized(node, &linear, [6, 7])
    }

    pub(super) fn q_gemm(&mut self, node: &Node) -> Result<Value, Stop> {
        only_attributes(node, &["alpha", "transA", "transB"])?;
        if node.attr_int("transA")?.unwrap_or(0) != 0 {
            return Err(refuse(
                "transA transposes the computed side",
                "export with transA = 0",
            ));
        }
        let alpha = node.attr_float("alpha")?.unwrap_or(1.0);
        let transposed = node.attr_int("transB")?.unwrap_or(0) != 0;
        let x = self.int(node, 0)?;
        let weights = self.weights(node, &x, &QUANTIZED)?;
        if x.shape.len() != 2 {
            return Err(refuse(
                format!("its input has shape {:?}", x.shape),
                "flatten the input to two dimensions",
            ));
        }
        let (shape, columns) = product(&x.shape, weights.data.shape(), transposed)?;
        let what = (Operator::Matrix { transposed, alpha }, shape, columns);
        let mut linear = self.product(node, x, &QUANTIZED, weights, what)?;
        linear.bias = self.int32_bias(node, 6, columns)?;
        if node.input(7).is_none() {
            return self.write_accumulators(&linear).map(Value::Shown);
        }
        self.requantized(node, &linear, [7, 8])
    }

    pub(super) fn q_linear_mat_mul(&mut self, node: &Node) -> Result<Value, Stop> {
        only_attributes(node, &[])?;
        let x = self.int(node, 0)?;
        if node.input(3).is_some_and(|name| !self.is_constant(name)) {
            let w = self.int(node, 3)?;
            let grids = [
                self.grid(node, [1, 2], x.elem)?,
                self.grid(node, [4, 5], w.elem)?,
            ];
            let target = Target {
                grid: self.grid(node, [6, 7], x.elem)?,
                elem: x.elem,
            };
            let output = self.output_name(node, 0)?;
            return self
                .write_product(&node.name, [&x, &w], grids, target, &output)
                .map(Value::Int);
        }
        let weights = self.weights(node, &x, &QUANTIZED)?;
        let linear = self.matrix(node, x, &QUANTIZED, weights)?;
        self.requantized(node, &linear, [6, 7])
    }

    fn matrix(
        &mut self,
        node: &Node,
        x: Int,
        places: &Places,
        weights: Weights,
    ) -> Result<Linear, Stop> {
        let (shape, columns) = product(&x.shape, weights.data.shape(), false)?;
        let operator = Operator::Matrix {
            transposed: false,
            alpha: 1.0,
        };
        self.product(node, x, places, weights, (operator, shape, columns))
    }

    pub(super) fn conv_integer(&mut self, node: &Node) -> Result<Value, Stop> {
        let x = self.int(node, 0)?;
        let weights = self.weights(node, &x, &INTEGER)?;
        let (made, shape) = convolution(node, &x.shape, weights.data.shape())?;
        let channels = weights.data.shape().first().copied().unwrap_or_default();
        let what = (Operator::Conv(made), shape, channels);
        let linear = self.product(node, x, &INTEGER, weights, what)?;
        self.accumulators(linear)
    }

    pub(super) fn mat_mul_integer(&mut self, node: &Node) -> Result<Value, Stop> {
        only_attributes(node, &[])?;
        let x = self.int(node, 0)?;
        if node.input(1).is_some_and(|name| !self.is_constant(name)) {
            let w = self.int(node, 1)?;
            let zeros = [
                self.zero_point(node, 2, x.elem)?,
                self.zero_point(node, 3, w.elem)?,
            ];
            let output = self.output_name(node, 0)?;
            return self
                .write_int32_product(&node.name, [&x, &w], zeros, &output)
                .map(Value::Int);
        }
        let weights = self.weights(node, &x, &INTEGER)?;
        let linear = self.matrix(node, x, &INTEGER, weights)?;
        self.accumulators(linear)
    }

    /// Writes int32 accumulators, and keeps what they are, because a requantize in float nodes may
    /// follow.
    fn accumulators(&mut self, linear: Linear) -> Result<Value, Stop> {
        let shown = self.write_accumulators(&linear)?;
        self.products.insert(shown.source.name.clone(), linear);
        Ok(Value::Int(shown.source))
    }
}

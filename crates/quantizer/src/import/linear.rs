//! Convolutions and matrix products: one multiplier a channel in place of three scales, and
//! weights of their input's signedness.

use proofmark_onnx::{Attribute, Node, Tensor, TensorData};
use proofmark_tensor::requantize::{conv_multiplier, gemm_multiplier};
use proofmark_types::{ElemType, IntTensor};

use super::Importer;
use super::value::{Grid, Int, Shown, Value};
use crate::emit::{MICROSOFT, ints};
use crate::num::i64_of_dim;
use crate::read::{
    Constants as _, Stop, image, kernel_shape, only_attributes, refuse, sized, window,
};

/// Constant weights in the signedness of the input, and their zero points as stored.
struct Weights {
    elem: ElemType,
    shape: Vec<usize>,
    data: Vec<i32>,
    zero_shape: Vec<usize>,
    zero: Vec<i32>,
}

fn internal(error: &crate::QuantizeError) -> Stop {
    refuse(error.to_string(), "report this model")
}

impl Importer<'_> {
    fn weights(
        &mut self,
        node: &Node,
        x: &Int,
        at: usize,
        zero_at: usize,
    ) -> Result<Weights, Stop> {
        let w = self.constant(node, at)?.and_then(Tensor::ints);
        let w = w.filter(|w| w.elem().bits() == 8).ok_or_else(|| {
            refuse(
                format!("input {at} is no constant 8-bit tensor"),
                "quantize the model with constant 8-bit weights",
            )
        })?;
        let (elem, shape, mut data) = (w.elem(), w.shape().to_vec(), w.data().to_vec());
        let zero_shape = self.constant(node, zero_at)?.map(|t| t.shape.clone());
        let mut zero = match self.zero_points(node, zero_at)? {
            None => vec![0],
            Some((found, zero)) if found == elem => zero,
            Some((found, _)) => {
                return Err(refuse(
                    format!("its weights are {elem}, their zero point {found}"),
                    "quantize the model again",
                ));
            }
        };
        if x.elem.bits() != 8 {
            return Err(refuse("its input is int32", "requantize to 8 bits first"));
        }
        if elem != x.elem {
            // w − zero stays as it is, so every product does.
            let offset = if x.elem == ElemType::Uint8 { 128 } else { -128 };
            for value in data.iter_mut().chain(&mut zero) {
                *value += offset;
            }
            self.rewritten.push(node.name.clone());
        }
        Ok(Weights {
            elem: x.elem,
            shape,
            data,
            zero_shape: zero_shape.unwrap_or_default(),
            zero,
        })
    }

    /// Stores weights and zero points.
    fn store(&mut self, node: &Node, weights: Weights) -> Result<(String, String), Stop> {
        let name = &node.name;
        let tensor = ints(weights.elem, weights.shape, weights.data).map_err(|e| internal(&e))?;
        let w = self.writer.constant(&format!("{name}.weight"), tensor);
        let zero =
            ints(weights.elem, weights.zero_shape, weights.zero).map_err(|e| internal(&e))?;
        let zero = self
            .writer
            .constant(&format!("{name}.weight_zero_point"), zero);
        Ok((w, zero))
    }

    fn zero(&mut self, elem: ElemType, value: i32) -> Result<String, Stop> {
        self.writer
            .zero_point(elem, value)
            .map_err(|e| internal(&e))
    }

    /// Stores multipliers in the shape the scales had.
    fn multipliers(
        &mut self,
        node: &Node,
        scales_at: usize,
        channels: usize,
        multiplier: impl Fn(f32) -> f32,
    ) -> Result<String, Stop> {
        let scales = self.scales(node, scales_at)?;
        if scales.len() != 1 && scales.len() != channels {
            return Err(refuse(
                format!("{} weight scales for {channels} channels", scales.len()),
                "give one scale, or one a channel",
            ));
        }
        let shape = self.constant(node, scales_at)?.map(|t| t.shape.clone());
        let made: Vec<f32> = scales.into_iter().map(multiplier).collect();
        if let Some(bad) = made.iter().find(|m| !m.is_normal()) {
            return Err(refuse(
                format!("its scales make the requantize multiplier {bad}"),
                "quantize the model again; scales of one layer are too far apart",
            ));
        }
        let tensor = Tensor {
            shape: shape.unwrap_or_default(),
            data: TensorData::Float(made),
        };
        Ok(self
            .writer
            .constant(&format!("{}.multiplier", node.name), tensor))
    }

    fn bias(&mut self, node: &Node, at: usize, channels: usize) -> Result<Option<String>, Stop> {
        let Some(tensor) = self.constant(node, at)? else {
            return Ok(None);
        };
        let lead_is_one = tensor.shape.iter().rev().skip(1).all(|&dim| dim == 1);
        let fits = |t: &&IntTensor| {
            t.elem() == ElemType::Int32
                && t.len() == channels
                && lead_is_one
                && t.shape().len() <= 2
        };
        let bias = tensor.ints().filter(fits).cloned().ok_or_else(|| {
            refuse(
                "its bias is not one int32 a channel",
                "give an int32 bias a channel",
            )
        })?;
        let bias = bias
            .reshaped(vec![channels])
            .map_err(|error| refuse(error.to_string(), "report this model"))?;
        Ok(Some(
            self.writer
                .constant(&format!("{}.bias", node.name), bias.into()),
        ))
    }

    /// Shape, attributes and weights that `QLinearConv` and `ConvInteger` share.
    fn convolution(
        &mut self,
        node: &Node,
        [w_at, w_zero_at]: [usize; 2],
    ) -> Result<(Int, Weights, Vec<usize>, Node), Stop> {
        only_attributes(
            node,
            &[
                "auto_pad",
                "dilations",
                "group",
                "kernel_shape",
                "pads",
                "strides",
            ],
        )?;
        let x = self.int(node, 0)?;
        let weights = self.weights(node, &x, w_at, w_zero_at)?;
        let (inputs, size) = image(&x.shape)?;
        let &[outputs, per_group, kh, kw] = weights.shape.as_slice() else {
            return Err(refuse(
                format!("its weights have shape {:?}", weights.shape),
                "use two spatial dimensions",
            ));
        };
        let group = usize::try_from(node.attr_int("group")?.unwrap_or(1)).unwrap_or(0);
        let kernel_fits =
            node.attr_ints("kernel_shape")?.is_none() || kernel_shape(node)? == [kh, kw];
        if group == 0
            || per_group.checked_mul(group) != Some(inputs)
            || !outputs.is_multiple_of(group)
            || kh == 0
            || kw == 0
            || !kernel_fits
        {
            return Err(refuse(
                format!(
                    "weights {:?} in {group} groups do not fit {inputs} channels",
                    weights.shape
                ),
                "check channels, groups and kernel_shape",
            ));
        }
        let window = window(node, [kh, kw], size)?;
        let [height, width] = sized(&window, size)?;
        let made = window
            .attributes(Node::new(node.name.clone(), node.op_type.clone(), &[], &[]))
            .with("group", Attribute::Int(i64_of_dim(group)));
        Ok((x, weights, vec![1, outputs, height, width], made))
    }

    pub(super) fn q_linear_conv(&mut self, node: &Node) -> Result<Value, Stop> {
        let (x, weights, shape, made) = self.convolution(node, [3, 5])?;
        let channels = shape[1];
        let x_zero = self.zero_point(node, 2, x.elem)?;
        let y_zero = self.zero_point(node, 7, x.elem)?;
        let (x_scale, y_scale) = (self.scale(node, 1)?, self.scale(node, 6)?);
        let multiplier =
            self.multipliers(node, 4, channels, |w| conv_multiplier(x_scale, w, y_scale))?;
        let bias = self.bias(node, 8, channels)?;
        let (w, w_zero) = self.store(node, weights)?;
        let one = self.writer.one();
        let (x_zero, y_zero) = (self.zero(x.elem, x_zero)?, self.zero(x.elem, y_zero)?);
        let mut inputs = vec![
            x.name,
            one.clone(),
            x_zero,
            w,
            multiplier,
            w_zero,
            one,
            y_zero,
        ];
        inputs.extend(bias);
        self.push(node, made, inputs, x.elem, shape)
    }

    pub(super) fn conv_integer(&mut self, node: &Node) -> Result<Value, Stop> {
        let (x, weights, shape, made) = self.convolution(node, [1, 3])?;
        let x_zero = self.zero_point(node, 2, x.elem)?;
        let (w, w_zero) = self.store(node, weights)?;
        let x_zero = self.zero(x.elem, x_zero)?;
        self.push(
            node,
            made,
            vec![x.name, w, x_zero, w_zero],
            ElemType::Int32,
            shape,
        )
    }

    /// The output shape of a product with a matrix, and the number of its columns.
    fn product(x: &Int, weights: &Weights, transposed: bool) -> Result<(Vec<usize>, usize), Stop> {
        let wrong = || {
            refuse(
                format!(
                    "shapes {:?} and {:?} do not multiply",
                    x.shape, weights.shape
                ),
                "multiply by a constant matrix of rank 2",
            )
        };
        let &[first, second] = weights.shape.as_slice() else {
            return Err(wrong());
        };
        let (depth, columns) = if transposed {
            (second, first)
        } else {
            (first, second)
        };
        let (&last, lead) = x.shape.split_last().ok_or_else(wrong)?;
        if last != depth || lead.is_empty() {
            return Err(wrong());
        }
        let mut shape = lead.to_vec();
        shape.push(columns);
        Ok((shape, columns))
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
        let weights = self.weights(node, &x, 3, 5)?;
        if x.shape.len() != 2 {
            return Err(refuse(
                format!("its input has shape {:?}", x.shape),
                "flatten the input to two dimensions",
            ));
        }
        let (shape, columns) = Self::product(&x, &weights, transposed)?;
        let x_zero = self.zero_point(node, 2, x.elem)?;
        let x_scale = self.scale(node, 1)?;
        if node.input(7).is_none() {
            return self.float_gemm(node, x, weights, (x_zero, alpha * x_scale));
        }
        let y_scale = self.scale(node, 7)?;
        let y_zero = self.zero_point(node, 8, x.elem)?;
        let multiplier = self.multipliers(node, 4, columns, |w| {
            gemm_multiplier(alpha, x_scale, w, y_scale)
        })?;
        let bias = self.bias(node, 6, columns)?.unwrap_or_default();
        let (w, w_zero) = self.store(node, weights)?;
        let one = self.writer.one();
        let (x_zero, y_zero) = (self.zero(x.elem, x_zero)?, self.zero(x.elem, y_zero)?);
        let mut made = Node::new(node.name.clone(), "QGemm", &[], &[])
            .with("transB", Attribute::Int(i64::from(transposed)));
        MICROSOFT.clone_into(&mut made.domain);
        let inputs = vec![
            x.name,
            one.clone(),
            x_zero,
            w,
            multiplier,
            w_zero,
            bias,
            one,
            y_zero,
        ];
        self.push(node, made, inputs, x.elem, shape)
    }

    /// `QGemm` with a float output: accumulators and the view that shows them.
    fn float_gemm(
        &mut self,
        node: &Node,
        x: Int,
        mut weights: Weights,
        (x_zero, scale): (i32, f32),
    ) -> Result<Value, Stop> {
        let w_scale = self.scales(node, 4)?;
        let &[w_scale] = w_scale.as_slice() else {
            return Err(refuse(
                "its float outputs have a scale each, so their integers do not compare",
                "give the layer y_scale and y_zero_point, or quantize its weights per tensor",
            ));
        };
        let shown = scale * w_scale;
        if !shown.is_normal() || shown < 0.0 {
            return Err(refuse(
                format!("its outputs have the scale {shown}"),
                "quantize the model again",
            ));
        }
        let transposed = node.attr_int("transB")?.unwrap_or(0) != 0;
        let (shape, columns) = Self::product(&x, &weights, transposed)?;
        if transposed {
            let depth = weights.shape[1];
            let at = |d: usize, c: usize| weights.data.get(c * depth + d).copied();
            let turned = (0..depth).flat_map(|d| (0..columns).map(move |c| (d, c)));
            weights.data = turned.filter_map(|(d, c)| at(d, c)).collect();
            weights.shape = vec![depth, columns];
        }
        let bias = self.bias(node, 6, columns)?;
        let (w, w_zero) = self.store(node, weights)?;
        let x_zero = self.zero(x.elem, x_zero)?;
        let output = node
            .output(0)
            .ok_or_else(|| refuse("it has no output", "remove the node"))?;
        let sum = self.writer.fresh(&format!("{output}.int32"));
        let product = match &bias {
            Some(_) => self.writer.fresh(&format!("{output}.product")),
            None => sum.clone(),
        };
        let made = Node::new(node.name.clone(), "MatMulInteger", &[], &[]);
        self.writer
            .node(made, vec![x.name, w, x_zero, w_zero], &product);
        if let Some(bias) = bias {
            let name = self.writer.fresh(&format!("{}.add_bias", node.name));
            let made = Node::new(name, "Add", &[], &[]);
            self.writer.node(made, vec![product, bias], &sum);
        }
        let source = Int {
            name: sum,
            elem: ElemType::Int32,
            shape,
        };
        Ok(Value::Shown(Shown {
            source,
            grid: Grid {
                scale: shown,
                zero_point: 0,
            },
            name: output.to_owned(),
            head: crate::net::Head::default(),
        }))
    }

    pub(super) fn q_linear_mat_mul(&mut self, node: &Node) -> Result<Value, Stop> {
        only_attributes(node, &[])?;
        let x = self.int(node, 0)?;
        let weights = self.weights(node, &x, 3, 5)?;
        let (shape, columns) = Self::product(&x, &weights, false)?;
        let x_zero = self.zero_point(node, 2, x.elem)?;
        let y_zero = self.zero_point(node, 7, x.elem)?;
        let (x_scale, y_scale) = (self.scale(node, 1)?, self.scale(node, 6)?);
        let multiplier =
            self.multipliers(node, 4, columns, |w| conv_multiplier(x_scale, w, y_scale))?;
        let (w, w_zero) = self.store(node, weights)?;
        let one = self.writer.one();
        let (x_zero, y_zero) = (self.zero(x.elem, x_zero)?, self.zero(x.elem, y_zero)?);
        let made = Node::new(node.name.clone(), "QLinearMatMul", &[], &[]);
        let inputs = vec![
            x.name,
            one.clone(),
            x_zero,
            w,
            multiplier,
            w_zero,
            one,
            y_zero,
        ];
        self.push(node, made, inputs, x.elem, shape)
    }

    pub(super) fn mat_mul_integer(&mut self, node: &Node) -> Result<Value, Stop> {
        only_attributes(node, &[])?;
        let x = self.int(node, 0)?;
        let weights = self.weights(node, &x, 1, 3)?;
        let (shape, _) = Self::product(&x, &weights, false)?;
        let x_zero = self.zero_point(node, 2, x.elem)?;
        let (w, w_zero) = self.store(node, weights)?;
        let x_zero = self.zero(x.elem, x_zero)?;
        let made = Node::new(node.name.clone(), "MatMulInteger", &[], &[]);
        let inputs = vec![x.name, w, x_zero, w_zero];
        self.push(node, made, inputs, ElemType::Int32, shape)
    }
}

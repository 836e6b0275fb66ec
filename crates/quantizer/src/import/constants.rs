//! What is known before the model runs: stored tensors, nodes over constants only, and weights
//! behind `DequantizeLinear`, which stay integers.

use std::borrow::Cow;

use proofmark_onnx::{Node, Tensor, TensorData};
use proofmark_types::manifest::InputQuantizer;
use proofmark_types::{ElemType, IntTensor};

use super::Importer;
use super::value::{ConstantShown, Value};
use crate::num::f32_of_i64;
use crate::read::{
    Constants as _, Stop, axis_of, evaluate_constant, permutation, refuse, reshape_target,
};

impl ConstantShown {
    /// Scale and zero point of each element, row-major.
    fn each(&self) -> impl Iterator<Item = (f32, i32)> + '_ {
        let shape = self.data.shape();
        let (inner, count) = match self.axis {
            Some(axis) => (shape[axis + 1..].iter().product(), shape[axis]),
            None => (1, 1),
        };
        (0..self.data.len()).map(move |at| {
            let index = at / inner % count;
            (self.scale[index], self.zero_point[index])
        })
    }

    /// The floats: `f32(q − zero_point) · scale`, rounded once.
    pub(super) fn floats(&self) -> Tensor {
        let pairs = self.data.data().iter().zip(self.each());
        let data =
            pairs.map(|(&q, (scale, zero))| f32_of_i64(i64::from(q) - i64::from(zero)) * scale);
        Tensor {
            shape: self.data.shape().to_vec(),
            data: TensorData::Float(data.collect()),
        }
    }
}

impl Importer<'_> {
    /// Whether an input is a stored tensor or made from such alone.
    pub(super) fn is_constant(&self, name: &str) -> bool {
        self.constants.contains_key(name)
            || matches!(self.values.get(name), Some(Value::ConstantShown(_)))
    }

    /// Folds a node all of whose inputs are constants. Whether it did.
    pub(super) fn fold(&mut self, node: &Node) -> Result<bool, Stop> {
        let inputs = || node.inputs.iter().filter(|name| !name.is_empty());
        let constant = inputs().all(|name| self.is_constant(name));
        let ready =
            node.op_type == "Constant" || node.op_type == "Shape" || node.input(0).is_some();
        if !constant && node.op_type != "Shape" || !ready {
            return Ok(false);
        }
        let Some(output) = node.output(0).map(str::to_owned) else {
            return Err(refuse("it has no output", "remove the node"));
        };
        if node.op_type == "DequantizeLinear" {
            let shown = self.constant_shown(node)?;
            self.values.insert(output, Value::ConstantShown(shown));
            return Ok(true);
        }
        let shown = node
            .input(0)
            .and_then(|name| self.values.get(name))
            .cloned();
        if let Some(Value::ConstantShown(constant)) = &shown
            && matches!(
                node.op_type.as_str(),
                "Flatten" | "Identity" | "Reshape" | "Squeeze" | "Transpose" | "Unsqueeze"
            )
        {
            let moved = self.constant_mover(node, constant)?;
            self.values.insert(output, Value::ConstantShown(moved));
            return Ok(true);
        }
        // Weights that the node computes with are floats from here on.
        let names: Vec<String> = inputs().cloned().collect();
        for name in names {
            if let Some(Value::ConstantShown(constant)) = self.values.get(&name) {
                let floats = constant.floats();
                self.constants.entry(name).or_insert(Cow::Owned(floats));
            }
        }
        let tensor = match node.op_type.as_str() {
            "QuantizeLinear" => self.quantized_constant(node)?,
            "Shape" => self.shape_of(node)?,
            _ => evaluate_constant(self, node)?.map_or_else(|| self.run_constant(node), Ok)?,
        };
        self.constants.insert(output, Cow::Owned(tensor));
        Ok(true)
    }

    fn shape_of(&self, node: &Node) -> Result<Tensor, Stop> {
        let name = node.input(0).unwrap_or_default();
        let shape = match (self.constants.get(name), self.values.get(name)) {
            (Some(tensor), _) => tensor.shape.clone(),
            (None, Some(Value::Int(int))) => int.shape.clone(),
            (None, Some(Value::Shown(shown))) => shown.source.shape.clone(),
            (None, Some(Value::ConstantShown(constant))) => constant.data.shape().to_vec(),
            (None, Some(Value::Pending(pending))) => pending.shape.clone(),
            (None, Some(Value::FloatInput { shape })) => shape.clone(),
            (None, Some(Value::Unknown) | None) => return Err(Stop::Unknown),
        };
        crate::read::shape_constant(node, &shape)
    }

    /// `DequantizeLinear` of a stored tensor.
    fn constant_shown(&self, node: &Node) -> Result<ConstantShown, Stop> {
        Self::only_quantizer_attributes(node)?;
        let data = self.constant(node, 0)?.and_then(Tensor::ints).cloned();
        let data = data.ok_or_else(|| {
            refuse(
                "it shows a constant that is neither uint8, int8 nor int32",
                "quantize the model to 8 bits",
            )
        })?;
        let scale = self.scales(node, 1)?;
        let zero_point = match self.constant(node, 2)? {
            None => vec![0; scale.len()],
            Some(tensor) => match tensor.ints().filter(|zero| zero.elem() == data.elem()) {
                Some(zero) => zero.data().to_vec(),
                None => {
                    return Err(refuse(
                        format!("its zero point is not {}", data.elem()),
                        "give the zero point the type of its tensor",
                    ));
                }
            },
        };
        let axis = Self::quantizer_axis(node, data.shape(), scale.len(), zero_point.len())?;
        Ok(ConstantShown {
            data,
            scale,
            zero_point,
            axis,
        })
    }

    /// The dimension that several scales run along; `None` for one scale.
    fn quantizer_axis(
        node: &Node,
        shape: &[usize],
        scales: usize,
        zero_points: usize,
    ) -> Result<Option<usize>, Stop> {
        if zero_points != scales {
            return Err(refuse(
                format!("{scales} scales and {zero_points} zero points"),
                "give one zero point a scale",
            ));
        }
        if scales == 1 {
            return Ok(None);
        }
        let axis = axis_of(node.attr_int("axis")?.unwrap_or(1), shape.len())?;
        if shape.get(axis) != Some(&scales) {
            return Err(refuse(
                format!("{scales} scales along dimension {axis} of {shape:?}"),
                "give one scale an index",
            ));
        }
        Ok(Some(axis))
    }

    /// `QuantizeLinear` of a constant: weights that the exporter left as floats.
    fn quantized_constant(&self, node: &Node) -> Result<Tensor, Stop> {
        let tensor = self.constant(node, 0)?;
        let shape = tensor.map(|t| t.shape.clone()).unwrap_or_default();
        let floats = tensor.and_then(Tensor::floats).ok_or_else(|| {
            refuse(
                "it quantizes a constant that is not float32",
                "export the model with float32 weights",
            )
        })?;
        let (quantizer, elem) = self.quantizer(node, &shape)?;
        let ints = quantizer.quantize(floats, &shape, elem);
        let ints: IntTensor = ints.map_err(|error| {
            refuse(
                format!("its constant cannot be quantized: {error}"),
                "train the model again; its weights are not finite",
            )
        })?;
        Ok(ints.into())
    }

    /// Scales, zero points, axis and type of a `QuantizeLinear` of a tensor of this shape.
    pub(super) fn quantizer(
        &self,
        node: &Node,
        shape: &[usize],
    ) -> Result<(InputQuantizer, ElemType), Stop> {
        Self::only_quantizer_attributes(node)?;
        let scale = self.scales(node, 1)?;
        let asked = match node.attr_int("output_dtype")?.unwrap_or(0) {
            0 => None,
            2 => Some(ElemType::Uint8),
            3 => Some(ElemType::Int8),
            other => {
                return Err(refuse(
                    format!("output_dtype = {other}"),
                    "quantize to uint8 or int8",
                ));
            }
        };
        let (elem, zero_point) = self.zero_points(node, 2)?.unwrap_or_else(|| {
            let elem = asked.unwrap_or(ElemType::Uint8);
            (elem, vec![0; scale.len()])
        });
        if asked.is_some_and(|asked| asked != elem) {
            return Err(refuse(
                format!("output_dtype is not the zero point's {elem}"),
                "leave output_dtype out",
            ));
        }
        let axis = Self::quantizer_axis(node, shape, scale.len(), zero_point.len())?;
        let quantizer = InputQuantizer {
            scale,
            zero_point,
            axis,
        };
        Ok((quantizer, elem))
    }

    /// Attributes of `QuantizeLinear` and `DequantizeLinear` that change nothing here.
    pub(super) fn only_quantizer_attributes(node: &Node) -> Result<(), Stop> {
        let known = [
            "axis",
            "block_size",
            "output_dtype",
            "precision",
            "saturate",
        ];
        crate::read::only_attributes(node, &known)?;
        for (name, fine) in [("block_size", 0), ("precision", 0)] {
            let value = node.attr_int(name)?.unwrap_or(fine);
            // float32 by its number is what the scale's type says anyway.
            if value != fine && !(name == "precision" && value == 1) {
                return Err(refuse(
                    format!("{name} = {value} is not supported"),
                    "quantize per tensor or per channel, in float32",
                ));
            }
        }
        if node.op_type == "DequantizeLinear"
            && !matches!(node.attr_int("output_dtype")?.unwrap_or(0), 0 | 1)
        {
            return Err(refuse("its output is not float32", "dequantize to float32"));
        }
        Ok(())
    }

    /// A mover over weights: their integers move, and the axis of their scales with them.
    pub(super) fn constant_mover(
        &self,
        node: &Node,
        from: &ConstantShown,
    ) -> Result<ConstantShown, Stop> {
        let shape = from.data.shape();
        let mut moved = from.clone();
        if node.op_type == "Identity" {
            return Ok(moved);
        }
        if node.op_type == "Transpose" {
            let perm = permutation(node, shape.len())?;
            let stored = Tensor::from(from.data.clone());
            let turned = crate::read::transposed(&stored, &perm);
            let ints = turned.as_ref().and_then(Tensor::ints);
            moved.data = ints.cloned().ok_or(Stop::Unknown)?;
            moved.axis = from
                .axis
                .and_then(|axis| perm.iter().position(|&from| from == axis));
            return Ok(moved);
        }
        let target = reshape_target(node, shape, self.int64s(node, 1)?)?;
        if let Some(axis) = from.axis {
            // The dimension has to stay, with as many elements in front of it.
            let lead = |shape: &[usize], at: usize| shape[..at].iter().product::<usize>();
            let before = lead(shape, axis);
            let stays = (0..target.len())
                .find(|&at| target[at] == shape[axis] && lead(&target, at) == before);
            moved.axis = Some(stays.ok_or_else(|| {
                refuse(
                    "it splits or joins the dimension that the scales run along",
                    "quantize the weights per tensor",
                )
            })?);
        }
        moved.data = from
            .data
            .clone()
            .reshaped(target)
            .map_err(|error| refuse(error.to_string(), "report this model"))?;
        Ok(moved)
    }
}

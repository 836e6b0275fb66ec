//! Where floats become integers and back.

use proofmark_onnx::Node;
use proofmark_types::ElemType;
use proofmark_types::manifest::InputQuantizer;

use super::{Importer, Int, Value, input_spec};
use crate::read::{Stop, axis_of, only_attributes, refuse};

impl Importer<'_> {
    pub(super) fn quantize(&mut self, node: &Node) -> Result<Value, Stop> {
        only_attributes(node, &["axis", "saturate"])?;
        let shape = match self.value(node, 0)? {
            Value::FloatInput { shape } => shape.clone(),
            Value::Shown { .. } => {
                return Err(refuse(
                    "it quantizes again what was dequantized inside the model",
                    "quantize in the QOperator format (quant_format=QuantFormat.QOperator), or import the float model",
                ));
            }
            Value::Int(_) | Value::Unknown => {
                return Err(refuse(
                    "its input is no float tensor",
                    "quantize a float input",
                ));
            }
        };
        let scale = self.scales(node, 1)?;
        let (elem, zero_point) = self
            .zero_points(node, 2)?
            .unwrap_or_else(|| (ElemType::Uint8, vec![0; scale.len()]));
        if zero_point.len() != scale.len() {
            return Err(refuse(
                format!(
                    "{} scales and {} zero points",
                    scale.len(),
                    zero_point.len()
                ),
                "give one zero point a scale",
            ));
        }
        let axis = if scale.len() == 1 {
            None
        } else {
            let axis = axis_of(node.attr_int("axis")?.unwrap_or(1), shape.len())?;
            if shape.get(axis) != Some(&scale.len()) {
                return Err(refuse(
                    format!("{} scales along dimension {axis} of {shape:?}", scale.len()),
                    "give one scale an index",
                ));
            }
            Some(axis)
        };
        let quantizer = InputQuantizer {
            scale,
            zero_point,
            axis,
        };
        let name = node.input(0).unwrap_or_default();
        // The integers take the place of the float input under its name.
        let int = Int {
            name: name.to_owned(),
            elem,
            shape,
        };
        let spec = input_spec(name, &int, Some(quantizer));
        match self.inputs.iter().find(|known| known.name == name) {
            None => self.inputs.push(spec),
            Some(known) if *known == spec => {}
            Some(_) => {
                return Err(refuse(
                    format!("input {name:?} is quantized in two ways"),
                    "quantize each input once",
                ));
            }
        }
        Ok(Value::Int(int))
    }

    pub(super) fn dequantize(&mut self, node: &Node) -> Result<Value, Stop> {
        only_attributes(node, &["axis"])?;
        let source = self.int(node, 0)?;
        let scale = self.scale(node, 1)?;
        let zero_point = if source.elem == ElemType::Int32 {
            if node.input(2).is_some() {
                let tensor = self.constant(node, 2)?.and_then(|tensor| tensor.ints());
                if tensor.is_none_or(|zeros| zeros.data().iter().any(|&z| z != 0)) {
                    return Err(refuse(
                        "an int32 zero point other than 0",
                        "use zero point 0",
                    ));
                }
            }
            0
        } else {
            self.zero_point(node, 2, source.elem)?
        };
        Ok(Value::Shown {
            source,
            scale,
            zero_point,
            name: node.output(0).unwrap_or_default().to_owned(),
            head: crate::net::Head::default(),
        })
    }

    /// Softmax and arg-max behind the last `DequantizeLinear`.
    pub(super) fn head(&mut self, node: &Node) -> Result<Value, Stop> {
        let arg_max = node.op_type == "ArgMax";
        let known = if arg_max {
            &["axis", "keepdims"][..]
        } else {
            &["axis"]
        };
        only_attributes(node, known)?;
        let Value::Shown {
            source,
            scale,
            zero_point,
            name,
            mut head,
        } = self.value(node, 0)?.clone()
        else {
            return Err(refuse(
                "it does not stand at the end of the model, behind DequantizeLinear",
                "remove it, or place it at the end",
            ));
        };
        let rank = source.shape.len();
        let old = self.opset < 13;
        let default = if arg_max {
            0
        } else if old {
            1
        } else {
            -1
        };
        let axis = axis_of(node.attr_int("axis")?.unwrap_or(default), rank)?;
        if head.arg_max || (head.softmax.is_some() && !arg_max) || axis + 1 != rank {
            return Err(refuse(
                "it does not run along the last dimension of the dequantized output",
                "place one Softmax or ArgMax along the last dimension at the end",
            ));
        }
        if arg_max {
            head.arg_max = true;
        } else {
            head.softmax = Some(axis);
        }
        Ok(Value::Shown {
            source,
            scale,
            zero_point,
            name,
            head,
        })
    }
}

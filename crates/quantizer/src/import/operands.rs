//! What a node reads: integers, views, constants, scales and zero points.

use proofmark_onnx::{Node, Tensor};
use proofmark_types::ElemType;

use super::Importer;
use super::value::{Grid, Int, Shown, Value};
use crate::read::{Constants, Stop, refuse};

impl Constants for Importer<'_> {
    fn constant(&self, node: &Node, position: usize) -> Result<Option<&Tensor>, Stop> {
        let Some(name) = node.input(position) else {
            return Ok(None);
        };
        if let Some(tensor) = self.constants.get(name) {
            return Ok(Some(tensor));
        }
        match self.values.get(name) {
            Some(Value::Unknown) => Err(Stop::Unknown),
            _ => Err(refuse(
                format!("input {position} ({name:?}) is computed at run time"),
                "export the model with constant weights, scales, zero points and shapes",
            )),
        }
    }
}

impl Importer<'_> {
    pub(super) fn value(&self, node: &Node, position: usize) -> Result<&Value, Stop> {
        let name = node.input(position).ok_or_else(|| {
            refuse(
                format!("input {position} is missing"),
                "give the node all its inputs",
            )
        })?;
        match self.values.get(name) {
            Some(Value::Unknown) => Err(Stop::Unknown),
            Some(value) => Ok(value),
            None => Err(refuse(
                format!("input {position} ({name:?}) is a constant"),
                "fold constants before the import, for example with onnxsim",
            )),
        }
    }

    /// An integer input.
    pub(super) fn int(&self, node: &Node, position: usize) -> Result<Int, Stop> {
        match self.value(node, position)? {
            Value::Int(int) => Ok(int.clone()),
            other => Err(refuse(
                format!("input {position} is {}, not integers", other.kind()),
                "quantize the tensor in front of the node",
            )),
        }
    }

    /// A view that no softmax and no arg-max has passed.
    pub(super) fn headless(shown: &Shown) -> Result<(), Stop> {
        if shown.head == crate::net::Head::default() {
            return Ok(());
        }
        Err(refuse(
            "it reads the float Softmax or ArgMax of the model's end",
            "end the model there, or quantize the result of the Softmax",
        ))
    }

    /// Scales: finite and above 0.
    pub(super) fn scales(&self, node: &Node, position: usize) -> Result<Vec<f32>, Stop> {
        let tensor = self.constant(node, position)?;
        let scales = tensor.and_then(Tensor::floats).unwrap_or_default();
        if scales.is_empty() || scales.iter().any(|s| !s.is_finite() || *s <= 0.0) {
            return Err(refuse(
                format!("input {position} is no float32 scale, finite and above 0"),
                "quantize the model again",
            ));
        }
        Ok(scales.to_vec())
    }

    pub(super) fn scale(&self, node: &Node, position: usize) -> Result<f32, Stop> {
        match self.scales(node, position)?.as_slice() {
            &[scale] => Ok(scale),
            other => Err(refuse(
                format!("input {position} has {} scales", other.len()),
                "quantize activations per tensor",
            )),
        }
    }

    /// Zero points and their type; `None` when left out.
    pub(super) fn zero_points(
        &self,
        node: &Node,
        position: usize,
    ) -> Result<Option<(ElemType, Vec<i32>)>, Stop> {
        let Some(tensor) = self.constant(node, position)? else {
            return Ok(None);
        };
        match tensor.ints() {
            Some(ints) if ints.elem().bits() == 8 && !ints.is_empty() => {
                Ok(Some((ints.elem(), ints.data().to_vec())))
            }
            _ => Err(refuse(
                format!("input {position} is no 8-bit zero point"),
                "quantize the model to 8 bits",
            )),
        }
    }

    /// A scalar zero point of the type that is expected; 0 when left out.
    pub(super) fn zero_point(
        &self,
        node: &Node,
        position: usize,
        elem: ElemType,
    ) -> Result<i32, Stop> {
        match self.zero_points(node, position)? {
            None => Ok(0),
            Some((found, values)) if found == elem && values.len() == 1 => Ok(values[0]),
            Some((found, values)) => Err(refuse(
                format!(
                    "input {position} is {} zero points of {found}, not one of {elem}",
                    values.len()
                ),
                "quantize activations per tensor",
            )),
        }
    }

    /// Scale and zero point of a tensor of this type, at two positions.
    pub(super) fn grid(
        &self,
        node: &Node,
        [scale, zero_point]: [usize; 2],
        elem: ElemType,
    ) -> Result<Grid, Stop> {
        Ok(Grid {
            scale: self.scale(node, scale)?,
            zero_point: self.zero_point(node, zero_point, elem)?,
        })
    }
}

//! Where floats become integers and back: `QuantizeLinear`, `DequantizeLinear`, and what stands
//! behind the last one.

use proofmark_onnx::Node;
use proofmark_types::ElemType;
use proofmark_types::manifest::InputQuantizer;

use super::island::plain;
use super::value::{Grid, Int, Pending, Shown, Target, Value, What};
use super::{Importer, input_spec};
use crate::net::Head;
use crate::read::{Constants as _, Stop, axis_of, only_attributes, refuse};

/// Why a product may be another one in the original.
pub(super) const IN_FLOATS: &str = "the reference computes it in floats";

impl Importer<'_> {
    pub(super) fn quantize(&mut self, node: &Node) -> Result<Value, Stop> {
        match self.value(node, 0)?.clone() {
            Value::FloatInput { shape } => {
                let name = node.input(0).unwrap_or_default();
                let (quantizer, elem) = self.quantizer(node, &shape)?;
                self.input_integers(name, shape, quantizer, elem)
                    .map(Value::Int)
            }
            Value::Shown(shown) => {
                let target = self.target(node, &shown.source.shape)?;
                if shown.head != Head::default() {
                    return self.quantize_softmax(&shown, target, node).map(Value::Int);
                }
                self.quantize_shown(&shown, target, node).map(Value::Int)
            }
            Value::Pending(pending) => {
                let target = self.target(node, &pending.shape)?;
                self.quantize_pending(&pending, target, node)
                    .map(Value::Int)
            }
            other @ (Value::Int(_) | Value::ConstantShown(_)) => Err(refuse(
                format!("it quantizes {}", other.kind()),
                "quantize float tensors",
            )),
            Value::Unknown => Err(Stop::Unknown),
        }
    }

    /// What a `QuantizeLinear` inside the model asks for: one scale.
    fn target(&self, node: &Node, shape: &[usize]) -> Result<Target, Stop> {
        let (quantizer, elem) = self.quantizer(node, shape)?;
        match (quantizer.scale.as_slice(), quantizer.zero_point.as_slice()) {
            (&[scale], &[zero_point]) => Ok(Target {
                grid: Grid { scale, zero_point },
                elem,
            }),
            (scales, _) => Err(refuse(
                format!("it quantizes an activation with {} scales", scales.len()),
                "quantize activations per tensor",
            )),
        }
    }

    /// The integers of a float input take its place under its name.
    fn input_integers(
        &mut self,
        name: &str,
        shape: Vec<usize>,
        quantizer: InputQuantizer,
        elem: ElemType,
    ) -> Result<Int, Stop> {
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
        Ok(int)
    }

    /// Quantizes what was dequantized: nothing where the grids agree, else a table.
    pub(super) fn quantize_shown(
        &mut self,
        shown: &Shown,
        target: Target,
        node: &Node,
    ) -> Result<Int, Stop> {
        // `q − zero_point` times the scale and divided by it again comes back, unless it overflows.
        let finite = (shown.grid.scale * 255.0).is_finite();
        if shown.grid == target.grid && shown.source.elem == target.elem && finite {
            return Ok(shown.source.clone());
        }
        let output = self.output_name(node, 0)?;
        let island = plain(&shown.source, shown.grid, &shown.name);
        self.quantize_island(&island, target, node, &output)
    }

    /// Writes a float tensor as the integers that a `QuantizeLinear` asks for.
    pub(super) fn quantize_pending(
        &mut self,
        pending: &Pending,
        target: Target,
        node: &Node,
    ) -> Result<Int, Stop> {
        let int = match &pending.what {
            What::Island(island) => {
                let output = self.pending_name(pending, &island.output, node)?;
                self.quantize_island(island, target, node, &output)?
            }
            What::Averaged(averaged) => {
                let output = self.pending_name(pending, &averaged.node.name, node)?;
                self.write_average(averaged, target, &output)?
            }
            What::Joined(joined) => {
                let output = self.pending_name(pending, &joined.node.name, node)?;
                self.quantize_joined(joined, target, &output, node)?
            }
            What::Linear(linear) => {
                let output = self.pending_name(pending, &linear.output, node)?;
                self.judge_linear(linear);
                self.write_requantized(linear, target, &output)?
            }
            What::Product(product) => {
                let output = self.pending_name(pending, &product.output, node)?;
                if !self.is_fused(&product.name) {
                    self.inexact(&product.name, IN_FLOATS);
                }
                let [left, right] = &product.operands;
                let operands = [left, right];
                self.write_product(&product.name, operands, product.grids, target, &output)?
            }
            What::Input { name, shape } => {
                let quantizer =
                    InputQuantizer::per_tensor(target.grid.scale, target.grid.zero_point);
                self.input_integers(name, shape.clone(), quantizer, target.elem)?
            }
        };
        self.replay(pending, int, target.grid)
    }

    /// The name of a pending tensor's integers: the `QuantizeLinear`'s where nothing moves them.
    pub(super) fn pending_name(
        &mut self,
        pending: &Pending,
        float: &str,
        node: &Node,
    ) -> Result<String, Stop> {
        if pending.moves.is_empty() {
            return self.output_name(node, 0);
        }
        Ok(self.writer.fresh(&format!("{float}.quantized")))
    }

    pub(super) fn dequantize(&mut self, node: &Node) -> Result<Value, Stop> {
        Self::only_quantizer_attributes(node)?;
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
        Ok(Value::Shown(Shown {
            source,
            grid: Grid { scale, zero_point },
            name: node.output(0).unwrap_or_default().to_owned(),
            head: Head::default(),
        }))
    }

    /// Softmax behind a `DequantizeLinear`.
    pub(super) fn head(&mut self, node: &Node) -> Result<Value, Stop> {
        only_attributes(node, &["axis"])?;
        self.end_product(node.input(0).unwrap_or_default())?;
        let Value::Shown(mut shown) = self.value(node, 0)?.clone() else {
            return Err(refuse(
                "it does not stand at the end of the model, behind DequantizeLinear",
                "remove it, or place it at the end",
            ));
        };
        let rank = shown.source.shape.len();
        let default = if self.opset < 13 { 1 } else { -1 };
        let axis = axis_of(node.attr_int("axis")?.unwrap_or(default), rank)?;
        // It may run along any dimension where a QuantizeLinear follows, and at the end where it is
        // a view.
        if shown.head != Head::default() {
            return Err(refuse(
                "it does not run along the last dimension of the dequantized output",
                "place one Softmax or ArgMax along the last dimension at the end",
            ));
        }
        shown.head.softmax = Some(axis);
        Ok(Value::Shown(shown))
    }
}

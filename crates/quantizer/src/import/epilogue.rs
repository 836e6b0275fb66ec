//! The epilogue of a product: constants and clamps between it and the `QuantizeLinear`, folded into
//! its bias, its scales and its clamp.

use proofmark_onnx::{Node, Tensor};
use proofmark_types::ElemType;

use super::Importer;
use super::bias::{by_channel, int32_bias};
use super::linear::{Bias, Linear, Operator};
use super::value::{Pending, Value, What};
use crate::read::{Constants as _, Stop, only_attributes, refuse};

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

    /// A constant as floats, dequantized where it is stored as integers.
    pub(super) fn float_constant(&self, node: &Node, at: usize) -> Result<Tensor, Stop> {
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
}

#[cfg(test)]
mod tests {
    use proofmark_onnx::Attribute;
    use proofmark_types::ElemType;
    use proofmark_types::manifest::ReferenceLevel;

    use super::super::layers::{convolution, weights};
    use super::super::small::{BOTH, Small};
    use super::super::testing::operators;
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
}

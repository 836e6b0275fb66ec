//! Products between `DequantizeLinear` and `QuantizeLinear`: `Conv`, `Gemm` and `MatMul` as float
//! nodes.

use proofmark_onnx::{Attribute, Node};

use super::Importer;
use super::computed::{Product, matmul_shape};
use super::convolution::{convolution, product};
use super::ends::IN_FLOATS;
use super::linear::{Bias, Linear, Operator};
use super::value::{ConstantShown, Grid, Int, Pending, Value, What};
use super::weight_grid::on_grid;
use crate::read::{Stop, only_attributes, refuse};

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

    pub(super) fn pending(linear: Linear) -> Value {
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

    /// Lists a product that the reference computes in floats.
    pub(super) fn judge_linear(&mut self, linear: &Linear) {
        let reason = linear
            .float
            .or((!self.is_fused(&linear.name)).then_some(IN_FLOATS));
        if let Some(reason) = reason {
            self.inexact(&linear.name, reason);
        }
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

#[cfg(test)]
mod tests {
    use proofmark_onnx::{Attribute, Tensor, TensorData};
    use proofmark_types::ElemType;
    use proofmark_types::manifest::ReferenceLevel;

    use super::super::layers::{convolution, weights};
    use super::super::small::{BOTH, Small};
    use super::super::testing::operators;
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
    fn another_output_type_is_as_many_steps_from_its_minimum() {
        let mut small = convolution(ElemType::Uint8, ElemType::Uint8, ElemType::Int8);
        small.quantize("c", "y", "r").output("r", ElemType::Int8);
        let feeds = small.feeds(60);
        let found = small.compare(ReferenceLevel::All, &feeds);
        assert_eq!(found.inexact.len(), 1);
        assert!(found.different * 100 < found.compared && found.largest <= 1);
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

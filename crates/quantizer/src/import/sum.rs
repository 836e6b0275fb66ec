//! Sums of int32 tensors.

use proofmark_onnx::{Node, Tensor};
use proofmark_types::ElemType;

use super::Importer;
use super::linear::Bias;
use super::value::Value;
use crate::read::{Stop, only_attributes, refuse};

/// The shape that ONNX broadcasting gives; refused where dimensions do not fit.
pub(super) fn broadcast(shapes: &[Vec<usize>]) -> Result<Vec<usize>, Stop> {
    let rank = shapes.iter().map(Vec::len).max().unwrap_or_default();
    let mut shape = vec![1; rank];
    for from in shapes {
        for (dim, &other) in shape.iter_mut().rev().zip(from.iter().rev()) {
            if *dim == 1 {
                *dim = other;
            } else if other != 1 && other != *dim {
                return Err(refuse(
                    format!("shapes {shapes:?} do not broadcast"),
                    "give tensors of one shape",
                ));
            }
        }
    }
    Ok(shape)
}

impl Importer<'_> {
    /// A sum of int32 tensors, one of which may be constant.
    pub(super) fn add_int32(&mut self, node: &Node) -> Result<Value, Stop> {
        only_attributes(node, &[])?;
        let mut names = Vec::with_capacity(2);
        let mut shapes = Vec::with_capacity(2);
        for position in 0..2 {
            let name = node.input(position).unwrap_or_default();
            if let Some(tensor) = self.constants.get(name) {
                let int32 = tensor.ints().filter(|t| t.elem().bits() == 32);
                let int32 = int32.ok_or_else(|| {
                    refuse(
                        "it adds a constant that is not int32",
                        "add biases as int32",
                    )
                })?;
                shapes.push(tensor.shape.clone());
                let stored = Tensor::from(int32.clone());
                names.push(self.writer.constant(&format!("{}.bias", node.name), stored));
            } else {
                let int = self.int(node, position)?;
                if int.elem.bits() != 32 {
                    return Err(refuse(
                        format!("it adds {} and int32 tensors", int.elem),
                        "give both operands one type",
                    ));
                }
                shapes.push(int.shape);
                names.push(int.name);
            }
        }
        let shape = broadcast(&shapes)?;
        let made = Node::new("", "Add", &[], &[]);
        let sum = self.push(node, made, names, ElemType::Int32, shape)?;
        if let Value::Int(int) = &sum {
            self.follow_bias(node, &int.name);
        }
        Ok(sum)
    }

    /// Keeps what accumulators are beyond the sum with a constant bias.
    fn follow_bias(&mut self, node: &Node, sum: &str) {
        for at in 0..2 {
            let (name, other) = (node.input(at), node.input(1 - at));
            let Some(Value::Int(int)) = name.and_then(|name| self.values.get(name)) else {
                continue;
            };
            let bias = other.and_then(|name| self.constants.get(name));
            let bias = bias.and_then(|tensor| tensor.ints());
            let (Some(linear), Some(bias)) = (self.products.get(&int.name), bias) else {
                continue;
            };
            let shape = &linear.shape;
            let lead = shape.len().saturating_sub(bias.shape().len());
            let axis = linear.channel_axis();
            let along = bias
                .shape()
                .iter()
                .enumerate()
                .all(|(at, &dim)| dim == 1 || at + lead == axis);
            if along && bias.len() == linear.channels && linear.bias == Bias::None {
                let mut linear = linear.clone();
                linear.bias = Bias::Ints(bias.data().to_vec());
                self.products.insert(sum.to_owned(), linear);
            }
        }
    }
}

//! Tensors side by side.

use proofmark_onnx::{Attribute, Node};

use super::Importer;
use super::value::Value;
use crate::num::i64_of_dim;
use crate::read::{Stop, axis_of, only_attributes, refuse};

impl Importer<'_> {
    pub(super) fn concat(&mut self, node: &Node) -> Result<Value, Stop> {
        only_attributes(node, &["axis"])?;
        let wanted = node
            .attr_int("axis")?
            .ok_or_else(|| refuse("its axis is missing", "give the axis"))?;
        let parts = (0..node.inputs.len())
            .map(|position| self.int(node, position))
            .collect::<Result<Vec<_>, _>>()?;
        let Some(first) = parts.first() else {
            return Err(refuse("it has no operand", "remove the node"));
        };
        let (elem, mut shape) = (first.elem, first.shape.clone());
        let axis = axis_of(wanted, shape.len())?;
        let same = parts.iter().all(|part| {
            part.elem == elem
                && part.shape.len() == shape.len()
                && (0..shape.len()).all(|d| d == axis || part.shape[d] == shape[d])
        });
        if !same {
            return Err(refuse(
                "its operands differ in type or in another dimension",
                "make them equal",
            ));
        }
        shape[axis] = parts.iter().map(|part| part.shape[axis]).sum();
        let made = Node::new("", "Concat", &[], &[]).with("axis", Attribute::Int(i64_of_dim(axis)));
        let names = parts.into_iter().map(|part| part.name).collect();
        self.push(node, made, names, elem, shape)
    }
}

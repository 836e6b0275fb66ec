//! Operators that only choose or move integers: kept as they are, with static shapes.

use proofmark_onnx::{Attribute, Node, Tensor};

use super::{Importer, Value};
use crate::num::i64_of_dim;
use crate::read::{
    Stop, axis_of, image, kernel_shape, only_attributes, permutation, refuse, reshape_target,
    sized, window,
};

impl Importer<'_> {
    pub(super) fn reshape(&mut self, node: &Node) -> Result<Value, Stop> {
        let list = match self.constant(node, 1)? {
            None => None,
            Some(tensor) => Some(tensor.int64s().map(<[i64]>::to_vec).ok_or_else(|| {
                refuse(
                    "its shape or axes are no int64 list",
                    "export them as int64 constants",
                )
            })?),
        };
        let input = self.int(node, 0)?;
        let shape = reshape_target(node, &input.shape, list)?;
        crate::read::check_shape(&shape)?;
        let output = node
            .output(0)
            .ok_or_else(|| refuse("it has no output", "remove the node"))?;
        self.writer.reshape(&node.name, &input.name, output, &shape);
        Ok(Value::Int(super::Int {
            name: output.to_owned(),
            elem: input.elem,
            shape,
        }))
    }

    pub(super) fn transpose(&mut self, node: &Node) -> Result<Value, Stop> {
        let input = self.int(node, 0)?;
        let perm = permutation(node, input.shape.len())?;
        let shape = perm.iter().map(|&axis| input.shape[axis]).collect();
        let perm = perm.iter().map(|&axis| i64_of_dim(axis)).collect();
        let made =
            Node::new(node.name.clone(), "Transpose", &[], &[]).with("perm", Attribute::Ints(perm));
        self.push(node, made, vec![input.name], input.elem, shape)
    }

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
        let made = Node::new(node.name.clone(), "Concat", &[], &[])
            .with("axis", Attribute::Int(i64_of_dim(axis)));
        let names = parts.into_iter().map(|part| part.name).collect();
        self.push(node, made, names, elem, shape)
    }

    pub(super) fn max_pool(&mut self, node: &Node) -> Result<Value, Stop> {
        only_attributes(
            node,
            &[
                "auto_pad",
                "ceil_mode",
                "dilations",
                "kernel_shape",
                "pads",
                "storage_order",
                "strides",
            ],
        )?;
        for name in ["ceil_mode", "storage_order"] {
            if node.attr_int(name)?.unwrap_or(0) != 0 {
                return Err(refuse(
                    format!("{name} = 1 is not supported"),
                    format!("export with {name} = 0"),
                ));
            }
        }
        let input = self.int(node, 0)?;
        if input.elem.bits() != 8 {
            return Err(refuse("a max pool of int32", "pool 8-bit tensors"));
        }
        let (channels, size) = image(&input.shape)?;
        let window = window(node, kernel_shape(node)?, size)?;
        if (0..4).any(|side| window.pads[side] >= window.kernel[side % 2]) {
            return Err(refuse(
                format!("pads {:?} reach over the kernel", window.pads),
                "use pads smaller than the kernel",
            ));
        }
        let [height, width] = sized(&window, size)?;
        let made = window.attributes(Node::new(node.name.clone(), "MaxPool", &[], &[]));
        let shape = vec![1, channels, height, width];
        self.push(node, made, vec![input.name], input.elem, shape)
    }

    /// A sum of int32 tensors, one of which may be constant.
    pub(super) fn add(&mut self, node: &Node) -> Result<Value, Stop> {
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
                        format!("it adds {} tensors, which wrap in the runtime", int.elem),
                        "import the float model instead",
                    ));
                }
                shapes.push(int.shape);
                names.push(int.name);
            }
        }
        let rank = shapes.iter().map(Vec::len).max().unwrap_or_default();
        let mut shape = vec![1; rank];
        for from in &shapes {
            for (dim, &other) in shape.iter_mut().rev().zip(from.iter().rev()) {
                if *dim == 1 {
                    *dim = other;
                } else if other != 1 && other != *dim {
                    return Err(refuse(
                        format!("shapes {shapes:?} do not broadcast"),
                        "add tensors of one shape",
                    ));
                }
            }
        }
        let made = Node::new(node.name.clone(), "Add", &[], &[]);
        self.push(node, made, names, proofmark_types::ElemType::Int32, shape)
    }
}

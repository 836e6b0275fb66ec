//! Operators that only choose or move elements: described once as a [`Move`], and applied alike to
//! integers, to views of integers, and to float tensors that become integers further on.

use proofmark_onnx::{Attribute, Node, Tensor, TensorData};
use proofmark_types::ElemType;

use super::Importer;
use super::shapes;
use super::value::{Grid, Int, Pending, Shown, Value, What};
use crate::num::i64_of_dim;
use crate::read::{
    Constants as _, Stop, check_shape, only_attributes, permutation, refuse, reshape_target,
};

/// One node of the canonical model that a mover becomes.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Move {
    /// Operator and attributes; the name, inputs and outputs are set where it is written.
    pub(super) node: Node,
    /// Constant inputs behind the data input, in order, each with what it is called.
    pub(super) constants: Vec<(&'static str, Tensor)>,
    /// Output shape.
    pub(super) shape: Vec<usize>,
}

impl Move {
    /// A mover without constant inputs.
    pub(super) fn new(node: Node, shape: Vec<usize>) -> Self {
        Self {
            node,
            constants: Vec::new(),
            shape,
        }
    }

    /// A `Reshape`.
    pub(super) fn reshape(shape: Vec<usize>) -> Self {
        let dims = Tensor {
            shape: vec![shape.len()],
            data: TensorData::Int64(shape.iter().map(|&dim| i64_of_dim(dim)).collect()),
        };
        Self {
            node: Node::new("", "Reshape", &[], &[]),
            constants: vec![("shape", dims)],
            shape,
        }
    }
}

/// How the elements of a mover's input are stored, for movers that bring in elements of their own
/// (`Pad`) or look at the type.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Stored {
    /// Integers that the original names as such.
    Int(ElemType),
    /// Integers that stand for floats on a grid: a constant float in the original is rounded to
    /// the grid as `QuantizeLinear` does.
    Shown(ElemType, Grid),
    /// Floats that become 8-bit integers at a `QuantizeLinear` further on: only the output shape
    /// is asked for.
    Later,
}

impl Importer<'_> {
    /// A mover over its first input, which may be any kind of value; one value an output.
    pub(super) fn mover(&mut self, node: &Node) -> Result<Vec<Value>, Stop> {
        match self.value(node, 0)?.clone() {
            Value::Int(source) => {
                let moves = self.moves(node, &source.shape, Stored::Int(source.elem))?;
                let made = self.write_moves(node, &source, moves)?;
                Ok(made.into_iter().map(Value::Int).collect())
            }
            Value::Shown(shown) => {
                self.headless(&shown)?;
                let stored = Stored::Shown(shown.source.elem, shown.grid);
                let moves = self.moves(node, &shown.source.shape, stored)?;
                let made = self.write_moves(node, &shown.source, moves)?;
                let names = node.outputs.iter().cloned();
                let each = made.into_iter().zip(names).map(|(source, name)| {
                    Value::Shown(Shown {
                        source,
                        name,
                        ..shown.clone()
                    })
                });
                Ok(each.collect())
            }
            Value::Pending(pending) => self.move_pending(node, pending),
            Value::ConstantShown(constant) => self
                .constant_mover(node, &constant)
                .map(|moved| vec![Value::ConstantShown(moved)]),
            Value::FloatInput { shape } => {
                let pending = Pending {
                    what: What::Input {
                        name: node.input(0).unwrap_or_default().to_owned(),
                        shape: shape.clone(),
                    },
                    moves: Vec::new(),
                    shape,
                };
                self.move_pending(node, pending)
            }
            Value::Unknown => Err(Stop::Unknown),
        }
    }

    /// A mover in front of the `QuantizeLinear` that decides what is written.
    fn move_pending(&mut self, node: &Node, mut pending: Pending) -> Result<Vec<Value>, Stop> {
        let moves = self.moves(node, &pending.shape, Stored::Later)?;
        let [chain] = moves.as_slice() else {
            return Err(refuse(
                "it splits a float tensor in front of QuantizeLinear",
                "quantize the tensor in front of the node as well",
            ));
        };
        for made in chain {
            check_shape(&made.shape)?;
            pending.shape.clone_from(&made.shape);
        }
        pending.moves.push(node.clone());
        Ok(vec![Value::Pending(pending)])
    }

    /// What a mover does to a tensor of this shape: for each output the nodes that lead to it, one
    /// behind the other. Nothing is written.
    pub(super) fn moves(
        &self,
        node: &Node,
        shape: &[usize],
        stored: Stored,
    ) -> Result<Vec<Vec<Move>>, Stop> {
        let chain = match node.op_type.as_str() {
            "DepthToSpace" | "SpaceToDepth" => vec![shapes::blocks(node, shape, stored)?],
            "Dropout" => dropout(node)?,
            "Expand" => vec![shapes::expand(self, node, shape)?],
            "Flatten" | "Reshape" | "Squeeze" | "Unsqueeze" => {
                let target = reshape_target(node, shape, self.int64s(node, 1)?)?;
                vec![Move::reshape(target)]
            }
            "Gather" => vec![shapes::gather(self, node, shape)?],
            "GlobalMaxPool" | "MaxPool" => shapes::max_pool(node, shape, stored)?,
            "Identity" => Vec::new(),
            "Pad" => vec![shapes::pad(self, node, shape, stored)?],
            "ReduceMax" => self.reduce_max(node, shape, stored)?,
            "Resize" | "Upsample" => self.resize(node, shape)?,
            "Slice" => vec![shapes::slice(self, node, shape)?],
            "Split" => {
                let parts = shapes::split(self, node, shape)?;
                return Ok(parts.into_iter().map(|part| vec![part]).collect());
            }
            "Tile" => shapes::tile(self, node, shape)?,
            "Transpose" => vec![transpose(node, shape)?],
            other => {
                return Err(refuse(
                    format!("{other} moves no elements"),
                    "report this model",
                ));
            }
        };
        Ok(vec![chain])
    }

    /// Writes what a mover does, under the names of its outputs. One that does nothing leaves its
    /// input as it is.
    pub(super) fn write_moves(
        &mut self,
        node: &Node,
        source: &Int,
        moves: Vec<Vec<Move>>,
    ) -> Result<Vec<Int>, Stop> {
        let mut made = Vec::with_capacity(moves.len());
        for (at, chain) in moves.into_iter().enumerate() {
            let mut x = source.clone();
            let last = chain.len().saturating_sub(1);
            for (step, each) in chain.into_iter().enumerate() {
                check_shape(&each.shape)?;
                let mut inputs = vec![x.name];
                for (what, tensor) in each.constants {
                    let wanted = format!("{}.{what}", node.name);
                    inputs.push(self.writer.constant(&wanted, tensor));
                }
                x.name = if step == last {
                    self.output_name(node, at)?
                } else {
                    self.writer.fresh(&format!("{}.step", node.name))
                };
                let mut written = each.node;
                written.name = self.node_name(&node.name);
                self.writer.node(written, inputs, &x.name);
                x.shape = each.shape;
            }
            made.push(x);
        }
        Ok(made)
    }

    /// Replays the moves of a pending tensor on its integers.
    pub(super) fn replay(&mut self, pending: &Pending, int: Int, grid: Grid) -> Result<Int, Stop> {
        let mut int = int;
        for node in &pending.moves {
            let moves = self.moves(node, &int.shape, Stored::Shown(int.elem, grid))?;
            let made = self.write_moves(node, &int, moves)?;
            int = made.into_iter().next().ok_or(Stop::Unknown)?;
        }
        Ok(int)
    }
}

fn transpose(node: &Node, shape: &[usize]) -> Result<Move, Stop> {
    let perm = permutation(node, shape.len())?;
    let target = perm.iter().map(|&axis| shape[axis]).collect();
    let perm = perm.iter().map(|&axis| i64_of_dim(axis)).collect();
    let made = Node::new("", "Transpose", &[], &[]).with("perm", Attribute::Ints(perm));
    Ok(Move::new(made, target))
}

/// `Dropout` as it is in inference: nothing.
fn dropout(node: &Node) -> Result<Vec<Move>, Stop> {
    only_attributes(node, &["ratio", "seed", "is_test"])?;
    if node.input(2).is_some() || node.output(1).is_some() {
        return Err(refuse(
            "it drops elements or gives its mask",
            "export the model for inference",
        ));
    }
    Ok(Vec::new())
}

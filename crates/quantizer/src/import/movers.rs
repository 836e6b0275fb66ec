//! Operators that only choose or move elements: described once as a [`Move`], and applied alike to
//! integers, to views of integers, and to float tensors that become integers further on.

use proofmark_onnx::{Attribute, Node, Tensor, TensorData};
use proofmark_types::ElemType;

use super::Importer;
use super::value::{Grid, Int, Pending, Shown, Value, What};
use super::{largest, padding, shapes};
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
                Self::headless(&shown)?;
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
            "GlobalMaxPool" | "MaxPool" => largest::max_pool(node, shape, stored)?,
            "Identity" => Vec::new(),
            "Pad" => vec![padding::pad(self, node, shape, stored)?],
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::graphs::list as attribute;
    use crate::import::small::{BOTH, Small};

    /// A mover: its operator, the input's shape, attributes, and int64 inputs behind the data.
    type Case<'c> = (
        &'c str,
        &'c [usize],
        Vec<(&'c str, Attribute)>,
        Vec<&'c [i64]>,
    );

    fn cases() -> Vec<Case<'static>> {
        let text = |text: &str| Attribute::String(text.to_owned());
        let int = Attribute::Int;
        let mut cases: Vec<Case<'static>> = vec![
            (
                "Slice",
                &[1, 3, 7],
                vec![],
                vec![&[0, 6], &[2, -8], &[1, 2], &[1, -2]],
            ),
            ("Slice", &[1, 9], vec![], vec![&[-4], &[i64::MAX], &[-1]]),
            (
                "Pad",
                &[1, 2, 3, 3],
                vec![],
                vec![&[0, 0, 1, 2, 0, 1, 0, 1]],
            ),
            (
                "Pad",
                &[1, 2, 3, 4],
                vec![("mode", text("reflect"))],
                vec![&[0, 0, 1, 2, 0, 0, 2, 3]],
            ),
            (
                "Pad",
                &[1, 2, 3, 4],
                vec![("mode", text("edge"))],
                vec![&[0, 1, 0, 0, 0, 0, 2, 5]],
            ),
            ("Expand", &[1, 3, 1], vec![], vec![&[2, 1, 4]]),
            (
                "Gather",
                &[1, 5, 2],
                vec![("axis", int(1))],
                vec![&[4, -5, 1, 1]],
            ),
            ("Tile", &[1, 2, 3], vec![], vec![&[1, 2, 3]]),
            (
                "DepthToSpace",
                &[1, 8, 2, 3],
                vec![("blocksize", int(2))],
                vec![],
            ),
            (
                "DepthToSpace",
                &[1, 4, 3, 1],
                vec![("blocksize", int(2)), ("mode", text("CRD"))],
                vec![],
            ),
            (
                "SpaceToDepth",
                &[1, 2, 4, 6],
                vec![("blocksize", int(2))],
                vec![],
            ),
            ("Reshape", &[1, 4, 6], vec![], vec![&[0, -1, 3]]),
            (
                "Reshape",
                &[1, 4, 6],
                vec![("allowzero", int(1))],
                vec![&[1, 24]],
            ),
            ("Flatten", &[1, 4, 6], vec![("axis", int(-1))], vec![]),
            ("Squeeze", &[1, 4, 1, 6], vec![], vec![&[-2]]),
            ("Unsqueeze", &[1, 4], vec![], vec![&[1, -1]]),
            (
                "Transpose",
                &[1, 4, 2],
                vec![("perm", attribute(&[2, 0, 1]))],
                vec![],
            ),
            ("Transpose", &[1, 4, 2], vec![], vec![]),
            ("Identity", &[1, 4], vec![], vec![]),
            (
                "MaxPool",
                &[1, 2, 6, 5],
                vec![
                    ("kernel_shape", attribute(&[3, 2])),
                    ("strides", attribute(&[2, 2])),
                    ("ceil_mode", int(1)),
                ],
                vec![],
            ),
            (
                "MaxPool",
                &[1, 2, 9],
                vec![
                    ("kernel_shape", attribute(&[3])),
                    ("dilations", attribute(&[2])),
                    ("pads", attribute(&[2, 1])),
                ],
                vec![],
            ),
            (
                "MaxPool",
                &[1, 2, 7, 7],
                vec![
                    ("kernel_shape", attribute(&[3, 3])),
                    ("strides", attribute(&[2, 3])),
                    ("auto_pad", text("SAME_LOWER")),
                    ("storage_order", int(1)),
                ],
                vec![],
            ),
            (
                "ReduceMax",
                &[1, 4, 3, 5],
                vec![("axes", attribute(&[1, 3])), ("keepdims", int(0))],
                vec![],
            ),
        ];
        for how in [
            "asymmetric",
            "half_pixel",
            "pytorch_half_pixel",
            "align_corners",
        ] {
            for round in ["floor", "ceil", "round_prefer_floor", "round_prefer_ceil"] {
                let attributes = vec![
                    ("mode", text("nearest")),
                    ("coordinate_transformation_mode", text(how)),
                    ("nearest_mode", text(round)),
                ];
                cases.push(("Resize", &[1, 2, 5, 3], attributes, vec![&[1, 2, 11, 7]]));
            }
        }
        cases
    }

    fn small(elem: ElemType, (_, shape, _, lists): &Case<'_>) -> (Small, Vec<String>) {
        let mut small = Small::new(elem, &[shape]);
        let mut names = Vec::new();
        for (at, values) in lists.iter().enumerate() {
            names.push(format!("c{at}"));
            small.ints(&format!("c{at}"), values);
        }
        small.grid("x", 0.07, elem.min() + 31, elem);
        (small, names)
    }

    /// The node's inputs; `Resize` takes its sizes last.
    fn inputs<'n>(op_type: &str, data: &'n str, names: &'n [String]) -> Vec<&'n str> {
        let gap: &[&str] = if op_type == "Resize" { &["", ""] } else { &[] };
        let mut inputs = vec![data];
        inputs.extend(gap);
        inputs.extend(names.iter().map(String::as_str));
        inputs
    }

    #[test]
    fn movers_keep_every_integer() {
        for elem in BOTH {
            for case in cases() {
                let op_type = case.0;
                // On integers.
                let (mut bare, names) = small(elem, &case);
                bare.node(op_type, &inputs(op_type, "q0", &names), &["y"], &case.2);
                bare.output("y", elem);
                bare.exact(30);
                // On what they show, to the same grid, and to another one in the other type.
                let (mut same, names) = small(elem, &case);
                same.show("q0", "x", "d");
                same.node(op_type, &inputs(op_type, "d", &names), &["m"], &case.2);
                same.quantize("m", "x", "y").output("y", elem);
                if op_type != "Identity" {
                    same.exact(30);
                }
                let other = BOTH[usize::from(elem == ElemType::Uint8)];
                let (mut apart, names) = small(elem, &case);
                apart
                    .grid("y", 0.031, other.min() + 77, other)
                    .show("q0", "x", "d");
                apart.node(op_type, &inputs(op_type, "d", &names), &["m"], &case.2);
                apart.quantize("m", "y", "y").output("y", other);
                apart.exact(30);
            }
        }
    }

    /// Operators that the runtime has for floats only, or in old operator sets.
    #[test]
    fn movers_of_floats_become_integers() {
        let axes = ("axes", attribute(&[-1]));
        for elem in BOTH {
            for (op_type, attributes, version) in [
                ("Dropout", vec![], 17),
                ("GlobalMaxPool", vec![], 17),
                ("ReduceMax", vec![axes.clone()], 11),
                (
                    "Upsample",
                    vec![("mode", Attribute::String("nearest".to_owned()))],
                    9,
                ),
                (
                    "Pad",
                    vec![("pads", attribute(&[0, 0, 1, 0, 0, 0, 0, 2]))],
                    10,
                ),
                (
                    "Slice",
                    vec![
                        ("starts", attribute(&[1])),
                        ("ends", attribute(&[3])),
                        ("axes", attribute(&[2])),
                    ],
                    9,
                ),
                (
                    "Split",
                    vec![("axis", Attribute::Int(1)), ("split", attribute(&[3]))],
                    11,
                ),
                ("Squeeze", vec![("axes", attribute(&[0]))], 11),
            ] {
                let mut small = Small::new(elem, &[&[1, 3, 4, 5]]).opset(version);
                small.grid("x", 0.07, elem.min() + 31, elem);
                small.grid("y", 0.05, elem.min() + 90, elem);
                // Operator sets before 10 have no QuantizeLinear.
                let shown = version >= 10;
                let mut inputs = vec![if shown { "d" } else { "q0" }];
                if op_type == "Upsample" {
                    small.floats("scales", &[4], &[1.0, 1.0, 2.0, 3.0]);
                    inputs.push("scales");
                }
                if shown {
                    small.show("q0", "x", "d");
                    small.node(op_type, &inputs, &["m"], &attributes);
                    small.quantize("m", "y", "y");
                } else {
                    small.node(op_type, &inputs, &["y"], &attributes);
                }
                small.output("y", elem);
                small.exact(30);
            }
        }
    }

    #[test]
    fn parts_of_a_split_go_their_own_ways() {
        for elem in BOTH {
            let mut small = Small::new(elem, &[&[1, 7, 2]]).opset(18);
            small
                .grid("x", 0.07, elem.min() + 31, elem)
                .grid("y", 0.11, elem.min() + 3, elem);
            let attributes = [
                ("axis", Attribute::Int(1)),
                ("num_outputs", Attribute::Int(3)),
            ];
            small
                .show("q0", "x", "d")
                .node("Split", &["d"], &["a", "b", "c"], &attributes);
            small.quantize("a", "x", "ya").output("ya", elem);
            small.quantize("b", "y", "yb").output("yb", elem);
            small.quantize("c", "x", "yc").output("yc", elem);
            small.exact(40);
            let mut small = Small::new(elem, &[&[1, 7, 2]]);
            small.ints("sizes", &[2, 5]);
            let axis = [("axis", Attribute::Int(1))];
            small.node("Split", &["q0", "sizes"], &["a", "b"], &axis);
            small.output("b", elem).output("a", elem).exact(40);
        }
    }

    #[test]
    fn what_moves_nothing_is_refused() {
        let u8s = ElemType::Uint8;
        let text = |text: &str| Attribute::String(text.to_owned());
        for (case, part) in [
            (
                (
                    "Resize",
                    &[1, 1, 3, 3][..],
                    vec![("mode", text("linear"))],
                    vec![&[1, 1, 6, 6][..]],
                ),
                "linear",
            ),
            (
                (
                    "Pad",
                    &[1, 3],
                    vec![("mode", text("wrap"))],
                    vec![&[0, 1, 0, 1]],
                ),
                "wrap",
            ),
            (("Pad", &[1, 3], vec![], vec![&[0, -1, 0, 1]]), "pads"),
            (
                ("Slice", &[1, 3], vec![], vec![&[3], &[3], &[1]]),
                "takes nothing",
            ),
            (
                (
                    "Gather",
                    &[1, 3],
                    vec![("axis", Attribute::Int(1))],
                    vec![&[3]],
                ),
                "3",
            ),
            (("Reshape", &[1, 3], vec![], vec![&[2, 2]]), "cannot become"),
            (
                ("Expand", &[1, 3], vec![], vec![&[1, 4]]),
                "do not broadcast",
            ),
            (
                (
                    "DepthToSpace",
                    &[1, 3, 2, 2],
                    vec![("blocksize", Attribute::Int(2))],
                    vec![],
                ),
                "blocks",
            ),
        ] {
            let (mut small, names) = small(u8s, &case);
            small
                .node(case.0, &inputs(case.0, "q0", &names), &["y"], &case.2)
                .output("y", u8s);
            let reason = small.refused().join("; ");
            assert!(reason.contains(part), "{}: {reason}", case.0);
        }
    }
}

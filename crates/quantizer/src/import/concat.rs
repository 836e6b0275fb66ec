//! Tensors side by side: `Concat` and `QLinearConcat`. Operands on another grid than the output's
//! pass a table first, filled by the runtime's own node.

use proofmark_onnx::{Attribute, Node};
use proofmark_types::ElemType;

use super::Importer;
use super::cut::{Cut, own_name};
use super::table::Form;
use super::value::{Int, Pending, Shown, Target, Value, What};
use crate::num::i64_of_dim;
use crate::read::{Stop, axis_of, check_shape, only_attributes, refuse};

/// Float tensors side by side, on their way to a `QuantizeLinear`.
#[derive(Debug, Clone)]
pub(super) struct Joined {
    /// The original's node.
    pub(super) node: Node,
    operands: Vec<Value>,
    axis: usize,
}

/// The shape of tensors side by side, and the axis counted from the front.
fn joined(node: &Node, shapes: &[&[usize]]) -> Result<(usize, Vec<usize>), Stop> {
    only_attributes(node, &["axis"])?;
    let wanted = node
        .attr_int("axis")?
        .ok_or_else(|| refuse("its axis is missing", "give the axis"))?;
    let Some((first, rest)) = shapes.split_first() else {
        return Err(refuse("it has no operand", "remove the node"));
    };
    let axis = axis_of(wanted, first.len())?;
    let mut shape = first.to_vec();
    for other in rest {
        let fits = other.len() == shape.len()
            && (0..shape.len()).all(|d| d == axis || other[d] == shape[d]);
        if !fits {
            return Err(refuse(
                format!("its operands have the shapes {shapes:?}"),
                "make them equal in every other dimension",
            ));
        }
        shape[axis] += other[axis];
    }
    check_shape(&shape)?;
    Ok((axis, shape))
}

impl Importer<'_> {
    pub(super) fn concat(&mut self, node: &Node) -> Result<Value, Stop> {
        let operands = (0..node.inputs.len())
            .map(|position| self.operand(node, position))
            .collect::<Result<Vec<Value>, Stop>>()?;
        let integers = operands.iter().map(|operand| match operand {
            Value::Int(int) => Some(int.clone()),
            _ => None,
        });
        if let Some(parts) = integers.collect::<Option<Vec<Int>>>() {
            let output = self.output_name(node, 0)?;
            return self.write_concat(node, parts, &output).map(Value::Int);
        }
        let views = operands.iter().map(|operand| match operand {
            Value::Shown(shown) => Some(shown.clone()),
            _ => None,
        });
        if let Some(parts) = views.collect::<Option<Vec<Shown>>>()
            && let Some(first) = parts.first().cloned()
            && parts
                .iter()
                .all(|part| part.grid == first.grid && part.source.elem == first.source.elem)
        {
            let output = self.output_name(node, 0)?;
            let sources = parts.into_iter().map(|part| part.source).collect();
            let source = self.write_concat(node, sources, &output)?;
            let name = node.output(0).unwrap_or_default().to_owned();
            return Ok(Value::Shown(Shown {
                source,
                name,
                ..first
            }));
        }
        let shapes = operands
            .iter()
            .map(|operand| match operand {
                Value::Shown(shown) => Ok(shown.source.shape.as_slice()),
                Value::Pending(pending) => Ok(pending.shape.as_slice()),
                other => Err(refuse(
                    format!("one of its operands is {}", other.kind()),
                    "quantize all its operands alike",
                )),
            })
            .collect::<Result<Vec<_>, Stop>>()?;
        let (axis, shape) = joined(node, &shapes)?;
        let joined = Joined {
            node: node.clone(),
            operands,
            axis,
        };
        Ok(Value::Pending(Pending {
            what: What::Joined(Box::new(joined)),
            moves: Vec::new(),
            shape,
        }))
    }

    fn operand(&self, node: &Node, position: usize) -> Result<Value, Stop> {
        let value = self.value(node, position)?.clone();
        match value {
            Value::Shown(shown) => {
                Self::headless(&shown)?;
                Ok(Value::Shown(shown))
            }
            Value::FloatInput { shape } => Ok(Value::Pending(Pending {
                what: What::Input {
                    name: node.input(position).unwrap_or_default().to_owned(),
                    shape: shape.clone(),
                },
                moves: Vec::new(),
                shape,
            })),
            other => Ok(other),
        }
    }

    /// Brings every operand on the grid that is asked for, and sets them side by side.
    pub(super) fn quantize_joined(
        &mut self,
        joined: &Joined,
        target: Target,
        output: &str,
        quantize: &Node,
    ) -> Result<Int, Stop> {
        let mut parts = Vec::with_capacity(joined.operands.len());
        for (at, operand) in joined.operands.iter().enumerate() {
            let name = self.writer.fresh(&format!("{output}.part_{at}"));
            parts.push(match operand {
                Value::Shown(shown) => {
                    let same = shown.grid == target.grid && shown.source.elem == target.elem;
                    if same {
                        shown.source.clone()
                    } else {
                        self.on_other_grid(&joined.node, shown, target, &name)?
                    }
                }
                Value::Pending(pending) => {
                    let mut apart = quantize.clone();
                    apart.name.clone_from(&name);
                    apart.outputs = vec![name];
                    self.quantize_pending(pending, target, &apart)?
                }
                other => {
                    return Err(refuse(
                        format!("one of its operands is {}", other.kind()),
                        "quantize all its operands alike",
                    ));
                }
            });
        }
        let mut node = joined.node.clone();
        node.attributes
            .insert("axis".to_owned(), Attribute::Int(i64_of_dim(joined.axis)));
        self.write_concat(&node, parts, output)
    }

    /// One operand on another grid: the very nodes of the original, which the runtime may fuse.
    fn on_other_grid(
        &mut self,
        node: &Node,
        shown: &Shown,
        target: Target,
        output: &str,
    ) -> Result<Int, Stop> {
        let [fed, float, alone, made] = ["fed", "float", "alone", "made"].map(|w| own_name(w, 0));
        let mut cut = Cut {
            inputs: vec![(fed.clone(), shown.source.elem)],
            ..Cut::default()
        };
        let from = Target {
            grid: shown.grid,
            elem: shown.source.elem,
        };
        cut.dequantize(&fed, from, &float)?;
        let concat = Node::new(own_name("concat", 0), "Concat", &[&float], &[&alone]);
        cut.nodes.push(concat.with("axis", Attribute::Int(0)));
        cut.quantize(&alone, target, &made)?;
        self.tabled(&node.name, &shown.source, &cut, target.elem, output)
    }

    pub(super) fn q_linear_concat(&mut self, node: &Node) -> Result<Value, Stop> {
        let wrong = || {
            refuse(
                format!("it has {} inputs", node.inputs.len()),
                "give the output's scale and zero point, then tensor, scale and zero point of each operand",
            )
        };
        let count = node.inputs.len().checked_sub(2).ok_or_else(wrong)?;
        if count == 0 || !count.is_multiple_of(3) {
            return Err(wrong());
        }
        let elem = match self.zero_points(node, 1)? {
            Some((elem, values)) if values.len() == 1 => elem,
            _ => return Err(wrong()),
        };
        let to = self.grid(node, [0, 1], elem)?;
        let output = self.output_name(node, 0)?;
        let mut parts = Vec::with_capacity(count / 3);
        for at in (2..node.inputs.len()).step_by(3) {
            let source = self.int(node, at)?;
            if source.elem != elem {
                return Err(refuse(
                    format!("operand {at} is {}, the output {elem}", source.elem),
                    "quantize all operands and the output to one type",
                ));
            }
            let from = self.grid(node, [at + 1, at + 2], elem)?;
            if from == to {
                parts.push(source);
                continue;
            }
            let fed = own_name("fed", 0);
            let mut alone = node.clone();
            alone.inputs = node.inputs[..2].to_vec();
            alone.inputs.push(fed.clone());
            alone.inputs.extend_from_slice(&node.inputs[at + 1..at + 3]);
            alone
                .attributes
                .insert("axis".to_owned(), Attribute::Int(0));
            let cut = Cut {
                inputs: vec![(fed, elem)],
                nodes: vec![alone],
                ..Cut::default()
            };
            let part = self.writer.fresh(&format!("{output}.part_{}", at / 3));
            parts.push(self.tabled(&node.name, &source, &cut, elem, &part)?);
        }
        self.write_concat(node, parts, &output).map(Value::Int)
    }

    /// A table over one tensor.
    fn tabled(
        &mut self,
        name: &str,
        source: &Int,
        cut: &Cut,
        elem: ElemType,
        output: &str,
    ) -> Result<Int, Stop> {
        let table = self.tabulate(cut, Form::Unary, 1, elem)?;
        let name = self.writer.fresh(&format!("{name}.requantize"));
        self.write_table(
            &name,
            output,
            std::slice::from_ref(source),
            table,
            source.shape.clone(),
        )
    }

    /// Integers side by side; one alone stays as it is.
    fn write_concat(&mut self, node: &Node, parts: Vec<Int>, output: &str) -> Result<Int, Stop> {
        let elem = parts.first().map_or(ElemType::Uint8, |part| part.elem);
        if parts.iter().any(|part| part.elem != elem) {
            return Err(refuse("its operands differ in type", "give them one type"));
        }
        let shapes: Vec<&[usize]> = parts.iter().map(|part| part.shape.as_slice()).collect();
        let (axis, shape) = joined(node, &shapes)?;
        if let [only] = parts.as_slice() {
            return Ok(only.clone());
        }
        let concat = Node::new(self.node_name(&node.name), "Concat", &[], &[])
            .with("axis", Attribute::Int(i64_of_dim(axis)));
        let names = parts.into_iter().map(|part| part.name).collect();
        self.writer.node(concat, names, output);
        Ok(Int {
            name: output.to_owned(),
            elem,
            shape,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::import::small::{BOTH, Small};

    /// Three operands on two grids.
    fn start(elem: ElemType, to: ElemType) -> Small {
        let mut small = Small::new(elem, &[&[1, 2, 3], &[1, 4, 3], &[1, 1, 3]]);
        small
            .grid("a", 0.031, elem.min() + 9, elem)
            .grid("b", 0.0112, elem.min() + 200, elem);
        small.grid("y", 0.031, to.min() + 9, to).output("y", to);
        small
    }

    #[test]
    fn operands_come_onto_one_grid() {
        let axis = [("axis", Attribute::Int(-2))];
        for elem in BOTH {
            let mut small = start(elem, elem);
            let inputs = [
                "ys", "yz", "q0", "as", "az", "q1", "bs", "bz", "q2", "as", "az",
            ];
            small.node("QLinearConcat", &inputs, &["y"], &axis);
            let found = small.exact(300);
            let nodes = &found.model.unwrap().graph.nodes;
            let count = |op: &str| nodes.iter().filter(|node| node.op_type == op).count();
            assert_eq!((count("Concat"), count("Gather")), (1, 1));
            for to in BOTH {
                let mut small = start(elem, to);
                small
                    .show("q0", "a", "d0")
                    .show("q1", "b", "d1")
                    .show("q2", "a", "d2");
                small.node("Concat", &["d0", "d1", "d2"], &["m"], &axis);
                small
                    .node("Flatten", &["m"], &["f"], &[])
                    .quantize("f", "y", "y");
                small.exact(300);
            }
            // All on one grid: no table, and what follows need not be a QuantizeLinear.
            let mut small = start(elem, elem);
            small.show("q0", "a", "d0").show("q2", "a", "d2");
            small.node("Concat", &["d0", "d2", "d0"], &["m"], &axis);
            small
                .node("Relu", &["m"], &["r"], &[])
                .quantize("r", "y", "y");
            small
                .show("q1", "b", "d1")
                .quantize("d1", "a", "z")
                .output("z", elem);
            small.exact(100);
        }
    }

    #[test]
    fn what_does_not_fit_is_refused() {
        let u8s = ElemType::Uint8;
        let axis = [("axis", Attribute::Int(2))];
        let mut small = start(u8s, u8s);
        let inputs = ["ys", "yz", "q0", "as", "az", "q1", "bs", "bz"];
        small.node("QLinearConcat", &inputs, &["y"], &axis);
        assert!(small.refused()[0].contains("shapes"));
        let mut small = start(u8s, u8s);
        small.node("QLinearConcat", &inputs[..7], &["y"], &axis);
        assert!(small.refused()[0].contains("inputs"));
        let mut small = start(u8s, u8s);
        small
            .show("q0", "a", "d")
            .node("Concat", &["d", "q2"], &["m"], &axis);
        small.quantize("m", "y", "y");
        assert!(small.refused()[0].contains("operands"));
    }
}

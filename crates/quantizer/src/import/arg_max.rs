//! `ArgMax`: a view where the model ends in it, else the dialect's `ArgMax` and the `Cast` to int32
//! that alone may read its int64 result. From there on the indices are an int32 tensor.

use std::borrow::Cow;
use std::collections::BTreeSet;

use proofmark_onnx::{Attribute, Model, Node, ValueType};
use proofmark_types::ElemType;

use super::Importer;
use super::value::{Int, Shown, Value};
use crate::num::i64_of_dim;
use crate::read::{Stop, axis_of, check_shape, only_attributes, refuse};

/// `TensorProto.DataType` of int32.
const INT32: i64 = 6;

/// What a node says of the elements it compares.
#[derive(Debug, Clone, Copy)]
struct Choice {
    axis: usize,
    keep: bool,
    /// Of equal elements the last one wins, not the first.
    last: bool,
}

impl Importer<'_> {
    /// `ArgMax` of integers, or of floats that show integers: their scale is above 0, so that the
    /// order is the same.
    pub(super) fn arg_max(&mut self, node: &Node) -> Result<Value, Stop> {
        only_attributes(node, &["axis", "keepdims", "select_last_index"])?;
        self.end_product(node.input(0).unwrap_or_default())?;
        match self.value(node, 0)?.clone() {
            Value::Int(source) => {
                let choice = choice(node, source.shape.len())?;
                self.write_arg_max(node, source, choice)
            }
            Value::Shown(mut shown) => {
                let choice = choice(node, shown.source.shape.len())?;
                if self.is_view(node, &shown, choice) {
                    shown.head.arg_max = true;
                    return Ok(Value::Shown(shown));
                }
                Self::headless(&shown)?;
                // Of 8-bit integers no two are the same float unless both are infinite.
                let distinct =
                    shown.source.elem.bits() == 8 && (shown.grid.scale * 255.0).is_finite();
                if !distinct {
                    self.inexact(
                        &node.name,
                        "integers that differ may be equal as the floats it compares",
                    );
                }
                self.write_arg_max(node, shown.source, choice)
            }
            other @ (Value::FloatInput { .. } | Value::ConstantShown(_) | Value::Pending(_)) => {
                Err(refuse(
                    format!("it compares the elements of {}", other.kind()),
                    "quantize the tensor in front of the node",
                ))
            }
            Value::Unknown => Err(Stop::Unknown),
        }
    }

    /// Whether the reader can recompute the index from an output: of the first of the largest, along
    /// the last dimension, and nothing in the model needs it.
    fn is_view(&self, node: &Node, shown: &Shown, choice: Choice) -> bool {
        let mut nodes = self.model.graph.nodes.iter();
        let result = node.outputs.first();
        let is_read = nodes.any(|reader| reader.inputs.iter().any(|name| Some(name) == result));
        let softmax = shown.head.softmax;
        choice.axis + 1 == shown.source.shape.len()
            && !choice.last
            && !shown.head.arg_max
            && softmax.is_none_or(|axis| axis == choice.axis)
            && (softmax.is_some() || !is_read)
    }

    fn write_arg_max(
        &mut self,
        node: &Node,
        source: Int,
        Choice { axis, keep, last }: Choice,
    ) -> Result<Value, Stop> {
        let mut shape = source.shape;
        if keep {
            shape[axis] = 1;
        } else {
            shape.remove(axis);
        }
        check_shape(&shape)?;
        let name = self.node_name(&node.name);
        let index = self.writer.fresh(&format!("{name}.index"));
        let made = Node::new(name, "ArgMax", &[], &[])
            .with("axis", Attribute::Int(i64_of_dim(axis)))
            .with("keepdims", Attribute::Int(i64::from(keep)))
            .with("select_last_index", Attribute::Int(i64::from(last)));
        self.writer.node(made, vec![source.name], &index);
        let cast = Node::new("", "Cast", &[], &[]).with("to", Attribute::Int(INT32));
        self.push(node, cast, vec![index], ElemType::Int32, shape)
    }
}

fn choice(node: &Node, rank: usize) -> Result<Choice, Stop> {
    Ok(Choice {
        axis: axis_of(node.attr_int("axis")?.unwrap_or(0), rank)?,
        keep: node.attr_int("keepdims")?.unwrap_or(1) != 0,
        last: node.attr_int("select_last_index")?.unwrap_or(0) != 0,
    })
}

/// A model as the runtime's sessions serve it: each int64 output, the indices of an `ArgMax` that
/// are int32 in the imported model, is cast to int32 and keeps its name.
pub fn with_int32_outputs(model: &Model) -> Cow<'_, Model> {
    let wide = |ty| ty == ValueType::Int64;
    if !model.graph.outputs.iter().any(|output| wide(output.ty)) {
        return Cow::Borrowed(model);
    }
    let mut model = model.clone();
    let graph = &mut model.graph;
    let values = graph.nodes.iter().flat_map(|node| &node.outputs).cloned();
    let mut taken: BTreeSet<String> = values.collect();
    taken.extend(graph.initializers.keys().cloned());
    taken.extend(graph.inputs.iter().map(|input| input.name.clone()));
    for at in 0..graph.outputs.len() {
        let output = &mut graph.outputs[at];
        if !wide(output.ty) {
            continue;
        }
        output.ty = ValueType::Int(ElemType::Int32);
        let name = output.name.clone();
        let mut inner = format!("{name}.int64");
        while !taken.insert(inner.clone()) {
            inner.push('_');
        }
        for node in &mut graph.nodes {
            let ends = node.inputs.iter_mut().chain(&mut node.outputs);
            for end in ends.filter(|end| **end == name) {
                end.clone_from(&inner);
            }
        }
        graph.value_info.remove(&name);
        let cast = Node::new(inner.clone(), "Cast", &[&inner], &[&name]);
        let cast = cast.with("to", Attribute::Int(INT32));
        graph.nodes.push(cast);
    }
    Cow::Owned(model)
}

#[cfg(test)]
mod tests {
    use proofmark_types::manifest::{ReferenceLevel, View};

    use super::*;
    use crate::import::measure_drift;
    use crate::import::small::{BOTH, Small};
    use crate::import::testing::operators;

    const LAST_OF_TIES: [(&str, i64); 1] = [("select_last_index", 1)];

    fn ints<'a>(pairs: &[(&'a str, i64)]) -> Vec<(&'a str, Attribute)> {
        let int = |&(name, value)| (name, Attribute::Int(value));
        pairs.iter().map(int).collect()
    }

    #[test]
    fn every_axis_tie_and_shape() {
        for elem in BOTH {
            for last in [0, 1] {
                for keep in [0, 1] {
                    for (shape, axis) in [
                        (&[2, 3, 4][..], -3),
                        (&[2, 3, 4], 0),
                        (&[2, 3, 4], 1),
                        (&[2, 3, 4], 2),
                        (&[2, 3, 4], -1),
                        (&[1, 2, 1, 5], 1),
                        (&[1, 2, 1, 5], 2),
                        (&[7], 0),
                        (&[1, 1], 1),
                    ] {
                        let mut small = Small::new(elem, &[shape]);
                        let attributes = [
                            ("axis", axis),
                            ("keepdims", keep),
                            ("select_last_index", last),
                        ];
                        small
                            .node("ArgMax", &["q0"], &["k"], &ints(&attributes))
                            .output_int64("k");
                        let found = small.exact(8);
                        assert_eq!(operators(&found), ["ArgMax", "Cast"]);
                    }
                }
            }
        }
    }

    #[test]
    fn attributes_left_out() {
        for elem in BOTH {
            for given in [&[][..], &LAST_OF_TIES, &[("keepdims", 0)], &[("axis", 1)]] {
                let mut small = Small::new(elem, &[&[3, 5]]);
                small
                    .node("ArgMax", &["q0"], &["k"], &ints(given))
                    .output_int64("k");
                small.exact(12);
            }
        }
    }

    #[test]
    fn inside_a_model() {
        for elem in BOTH {
            for last in [0, 1] {
                let mut small = Small::new(elem, &[&[1, 3, 4, 2]]);
                let attributes = [("axis", 1), ("keepdims", 0), ("select_last_index", last)];
                small
                    .grid("g", 0.037, 5, elem)
                    .ints("shape", &[2, 4])
                    .bytes("two", ElemType::Int32, &[], &[2])
                    .show("q0", "g", "f")
                    .node("ArgMax", &["f"], &["k"], &ints(&attributes))
                    .node("Reshape", &["k", "shape"], &["r"], &[])
                    .node("Transpose", &["r"], &["t"], &[])
                    .node("Cast", &["t"], &["c"], &ints(&[("to", INT32)]))
                    .node("Add", &["c", "two"], &["s"], &[])
                    .output("s", ElemType::Int32)
                    .output_int64("r");
                let found = small.exact(12);
                let made = operators(&found);
                assert_eq!(made, ["ArgMax", "Cast", "Reshape", "Transpose", "Add"]);
            }
        }
    }

    #[test]
    fn a_view_at_the_end_only() {
        let import = |attributes: &[(&str, i64)], read: bool| {
            let mut small = Small::new(ElemType::Uint8, &[&[2, 6]]);
            small
                .grid("g", 0.037, 5, ElemType::Uint8)
                .node("Transpose", &["q0"], &["t"], &[])
                .show("t", "g", "f");
            small.node("ArgMax", &["f"], &["k"], &ints(attributes));
            if read {
                small.node("Identity", &["k"], &["i"], &[]);
            }
            small.output_int64(if read { "i" } else { "k" });
            small.import(ReferenceLevel::All).unwrap().outputs
        };
        let viewed = |attributes: &[(&str, i64)], read| {
            let outputs = import(attributes, read);
            assert_eq!(outputs.len(), 1);
            let is_view = |view: &View| matches!(view, View::Dequantize { .. });
            outputs[0].views.iter().any(is_view)
        };
        assert!(viewed(&[("axis", 1)], false));
        assert!(viewed(&[("axis", -1), ("keepdims", 0)], false));
        assert!(!viewed(&[("axis", 1)], true));
        assert!(!viewed(&[("axis", 0)], false));
        assert!(!viewed(&[("axis", 1), ("select_last_index", 1)], false));
    }

    #[test]
    fn equal_as_floats_is_listed() {
        let of = |scale: f32, wide: bool| {
            let mut small = Small::new(ElemType::Uint8, &[&[2, 3]]);
            small
                .grid("g", scale, 0, ElemType::Uint8)
                .node("Cast", &["q0"], &["c"], &ints(&[("to", INT32)]))
                .node(
                    "DequantizeLinear",
                    &[if wide { "c" } else { "q0" }, "gs"],
                    &["f"],
                    &[],
                )
                .node("ArgMax", &["f"], &["k"], &[])
                .output_int64("k");
            let feeds = small.feeds(8);
            small.compare(ReferenceLevel::All, &feeds)
        };
        assert!(of(0.5, false).inexact.is_empty());
        let wide = of(0.5, true);
        assert_eq!((wide.inexact.len(), wide.different), (1, 0));
        let infinite = of(1e38, false);
        assert_eq!(infinite.inexact.len(), 1);
        assert!(infinite.different > 0);
    }

    #[test]
    fn drift_compares_the_indices() {
        let of = |last: i64| {
            let mut small = Small::new(ElemType::Int8, &[&[4, 6]]);
            small
                .node(
                    "ArgMax",
                    &["q0"],
                    &["k"],
                    &ints(&[("select_last_index", last)]),
                )
                .output_int64("k");
            small
        };
        let (first, last) = (of(0), of(1));
        let made = first.import(ReferenceLevel::All).unwrap();
        let right = measure_drift(&first.model, &made, None).unwrap().drift;
        assert!(right.iter().all(|s| s.different == 0), "{right:?}");
        assert!(right.iter().any(|s| s.compared > 500), "{right:?}");
        let wrong = measure_drift(&last.model, &made, None).unwrap().drift;
        assert!(wrong.iter().any(|s| s.different > 0), "{wrong:?}");
    }

    #[test]
    fn what_has_no_form_is_refused() {
        let reason = |build: &dyn Fn(&mut Small)| {
            let mut small = Small::new(ElemType::Uint8, &[&[2, 3]]);
            small
                .grid("g", 0.1, 3, ElemType::Uint8)
                .show("q0", "g", "f");
            build(&mut small);
            small.refused().remove(0)
        };
        let found = reason(&|small| {
            let attributes = ints(&[("axis", 2)]);
            small
                .node("ArgMax", &["q0"], &["k"], &attributes)
                .output_int64("k");
        });
        assert!(found.contains("axis 2"), "{found}");
        let found = reason(&|small| {
            let attributes = ints(&[("largest", 1)]);
            small
                .node("ArgMax", &["q0"], &["k"], &attributes)
                .output_int64("k");
        });
        assert!(found.contains("largest"), "{found}");
        let found = reason(&|small| {
            small.node("Sigmoid", &["f"], &["s"], &[]);
            small.node("ArgMax", &["s"], &["k"], &[]).output_int64("k");
        });
        assert!(found.contains("a float tensor"), "{found}");
        // A softmax may make equal what differs.
        let found = reason(&|small| {
            small.node("Softmax", &["f"], &["s"], &[]);
            small
                .node("ArgMax", &["s"], &["k"], &ints(&LAST_OF_TIES))
                .output_int64("k");
        });
        assert!(found.contains("Softmax"), "{found}");
    }

    #[test]
    fn int64_outputs_become_int32_under_their_names() {
        let mut small = Small::new(ElemType::Uint8, &[&[2, 3]]);
        small
            .node("ArgMax", &["q0"], &["k"], &[])
            .node("Identity", &["k"], &["k.int64"], &[])
            .output_int64("k")
            .output_int64("k.int64");
        let made = with_int32_outputs(&small.model);
        let ends = &made.graph.outputs;
        let names: Vec<&str> = ends.iter().map(|end| end.name.as_str()).collect();
        assert_eq!(names, ["k", "k.int64"]);
        assert!(
            ends.iter()
                .all(|end| end.ty == ValueType::Int(ElemType::Int32))
        );
        assert!(
            proofmark_runtime::AnySession::load(
                &proofmark_onnx::encode(&made),
                proofmark_runtime::OptLevel::DisableAll
            )
            .is_ok()
        );
        small.model.graph.outputs.clear();
        assert!(matches!(with_int32_outputs(&small.model), Cow::Borrowed(_)));
    }
}

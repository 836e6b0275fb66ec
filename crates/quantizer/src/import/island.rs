//! Element-wise nodes: float ones between `DequantizeLinear` and `QuantizeLinear`, and the integer
//! ones of the `QOperator` format. Either becomes a table over its one or two 8-bit tensors.

use std::collections::BTreeSet;

use proofmark_onnx::Node;
use proofmark_types::ElemType;

use super::Importer;
use super::cut::{Cut, own_name};
use super::sum::broadcast;
use super::table::Form;
use super::value::{Grid, Int, Pending, Target, Value, What};
use crate::read::{Stop, check_shape, refuse};

/// A float expression of element-wise nodes over 8-bit tensors and constants.
#[derive(Debug, Clone)]
pub(super) struct Island {
    /// Positions of its nodes in the original, which is in an order of evaluation.
    pub(super) nodes: BTreeSet<usize>,
    pub(super) sources: Vec<Source>,
    /// The shape of its constants, broadcast over its rank: 1 along every dimension that they do
    /// not run along.
    pub(super) constants: Vec<usize>,
    /// The float tensor of the original that it makes.
    pub(super) output: String,
    pub(super) shape: Vec<usize>,
}

/// An 8-bit tensor under the names of the float tensors of the original that show it.
#[derive(Debug, Clone)]
pub(super) struct Source {
    int: Int,
    grid: Grid,
    names: BTreeSet<String>,
}

/// Float element-wise operators of ONNX's own domain.
pub(super) fn is_elementwise(node: &Node) -> bool {
    let standard = matches!(
        node.op_type.as_str(),
        "Abs"
            | "Acos"
            | "Acosh"
            | "Add"
            | "Asin"
            | "Asinh"
            | "Atan"
            | "Atanh"
            | "BatchNormalization"
            | "Ceil"
            | "Celu"
            | "Clip"
            | "Cos"
            | "Cosh"
            | "Div"
            | "Elu"
            | "Erf"
            | "Exp"
            | "Floor"
            | "Gelu"
            | "HardSigmoid"
            | "HardSwish"
            | "LeakyRelu"
            | "Log"
            | "Max"
            | "Min"
            | "Mish"
            | "Mod"
            | "Mul"
            | "Neg"
            | "PRelu"
            | "Pow"
            | "Reciprocal"
            | "Relu"
            | "Round"
            | "Selu"
            | "Shrink"
            | "Sigmoid"
            | "Sign"
            | "Sin"
            | "Sinh"
            | "Softplus"
            | "Softsign"
            | "Sqrt"
            | "Sub"
            | "Swish"
            | "Tan"
            | "Tanh"
            | "ThresholdedRelu"
    );
    let contributed = matches!(node.op_type.as_str(), "Gelu" | "QuickGelu" | "FastGelu");
    match node.domain.as_str() {
        "" => standard,
        "com.microsoft" => contributed,
        _ => false,
    }
}

/// Operators on integers, element by element, beside those of [`is_elementwise`].
pub(super) fn is_integer_elementwise(node: &Node) -> bool {
    match node.domain.as_str() {
        "" => matches!(
            node.op_type.as_str(),
            "BitCast" | "BitShift" | "BitwiseAnd" | "BitwiseNot" | "BitwiseOr" | "BitwiseXor"
        ),
        "com.microsoft" => matches!(
            node.op_type.as_str(),
            "QLinearAdd" | "QLinearLeakyRelu" | "QLinearMul" | "QLinearSigmoid"
        ),
        _ => false,
    }
}

/// Operators that round nothing: what they make of a value is the same on every processor.
fn rounds_nothing(op_type: &str) -> bool {
    matches!(
        op_type,
        "Abs" | "Ceil" | "Clip" | "Floor" | "Max" | "Min" | "Neg" | "Relu" | "Round" | "Sign"
    )
}

/// The shape that constants of these shapes have over an output of `shape`, of the same rank;
/// parameters of a BatchNormalization run along dimension 1.
fn constant_dims(
    shape: &[usize],
    constants: &[Vec<usize>],
    normalisation: bool,
) -> Result<Vec<usize>, Stop> {
    let mut dims = vec![1; shape.len()];
    if normalisation {
        let channels = shape.get(1).copied().unwrap_or_default();
        if let Some(wrong) = constants.iter().find(|c| c.as_slice() != [channels]) {
            return Err(refuse(
                format!("a parameter of shape {wrong:?} over {shape:?}"),
                "give one parameter a channel",
            ));
        }
        if let Some(dim) = dims.get_mut(1) {
            *dim = channels;
        }
        return Ok(dims);
    }
    let all = broadcast(constants)?;
    let lead = shape.len().saturating_sub(all.len());
    if let Some(slot) = dims.get_mut(lead..) {
        slot.copy_from_slice(all.get(..slot.len()).unwrap_or_default());
    }
    Ok(dims)
}

impl Importer<'_> {
    /// An element-wise node of either kind.
    pub(super) fn elementwise(&mut self, index: usize, node: &Node) -> Result<Value, Stop> {
        let mut integers = 0;
        let mut int32 = 0;
        for name in node.inputs.iter().filter(|name| !name.is_empty()) {
            match self.values.get(name) {
                Some(Value::Int(int)) => {
                    integers += 1;
                    int32 += usize::from(int.elem == ElemType::Int32);
                }
                Some(Value::Unknown) => return Err(Stop::Unknown),
                _ => {}
            }
        }
        if int32 > 0 && node.op_type == "Add" {
            return self.add_int32(node);
        }
        if integers > 0 {
            return self.integer_elementwise(node);
        }
        if self.reads_product(node) {
            return self.after_product(node);
        }
        self.extend_island(index, node).map(Value::Pending)
    }

    /// A node that is a function of 8-bit tensors as it is: run alone, on every input.
    pub(super) fn integer_elementwise(&mut self, node: &Node) -> Result<Value, Stop> {
        let mut sources: Vec<Int> = Vec::new();
        let mut constants = Vec::new();
        // The elements of ONNX Runtime's own operators stand at the first and fourth input.
        let data_at: &[usize] = match node.op_type.as_str() {
            "QLinearAdd" | "QLinearMul" => &[0, 3],
            "QLinearLeakyRelu" | "QLinearSigmoid" => &[0],
            _ => &[0, 1, 2, 3, 4, 5, 6, 7],
        };
        for (at, name) in node.inputs.iter().enumerate() {
            if name.is_empty() {
                continue;
            }
            if let Some(tensor) = self.constants.get(name) {
                if data_at.contains(&at) {
                    constants.push(tensor.shape.clone());
                }
                continue;
            }
            let int = self.int(node, at)?;
            if int.elem.bits() != 8 {
                return Err(refuse(
                    format!("it computes with {}", int.elem),
                    "requantize to 8 bits in front of it",
                ));
            }
            if !sources.contains(&int) {
                sources.push(int);
            }
        }
        let mut shapes: Vec<Vec<usize>> = sources.iter().map(|int| int.shape.clone()).collect();
        shapes.extend(constants.iter().cloned());
        let shape = broadcast(&shapes)?;
        let dims = constant_dims(&shape, &constants, false)?;
        let y_zero_at = match node.op_type.as_str() {
            "QLinearAdd" | "QLinearMul" => Some(7),
            "QLinearLeakyRelu" | "QLinearSigmoid" => Some(4),
            _ => None,
        };
        let first = sources.first().map(|int| int.elem).ok_or(Stop::Unknown)?;
        let elem = match (node.op_type.as_str(), node.attr_int("to")?) {
            ("BitCast" | "Cast", Some(2)) => ElemType::Uint8,
            ("BitCast" | "Cast", Some(3)) => ElemType::Int8,
            _ => match y_zero_at {
                Some(at) => self.zero_points(node, at)?.map_or(first, |(elem, _)| elem),
                None => first,
            },
        };
        let mut cut = Cut::default();
        let mut alone = node.clone();
        for (at, int) in sources.iter().enumerate() {
            let fed = own_name("fed", at);
            let original = self.original_name(node, int);
            for input in &mut alone.inputs {
                if original.contains(input) {
                    fed.clone_into(input);
                }
            }
            cut.inputs.push((fed, int.elem));
        }
        cut.nodes.push(alone);
        let output = self.output_name(node, 0)?;
        let int = self.function(&cut, &sources, &dims, (shape, elem), (&node.name, &output))?;
        Ok(Value::Int(int))
    }

    /// Names under which a node reads an integer tensor.
    fn original_name(&self, node: &Node, int: &Int) -> BTreeSet<String> {
        let same = |name: &&String| matches!(self.values.get(name.as_str()), Some(Value::Int(found)) if found == int);
        node.inputs.iter().filter(same).cloned().collect()
    }

    /// A float node joined to the islands that it reads.
    fn extend_island(&mut self, index: usize, node: &Node) -> Result<Pending, Stop> {
        if (1..node.outputs.len()).any(|at| node.output(at).is_some()) {
            return Err(refuse(
                "it has more than one output",
                "export the model in inference mode",
            ));
        }
        let mut nodes = BTreeSet::from([index]);
        let mut sources: Vec<Source> = Vec::new();
        let mut shapes = Vec::new();
        let mut constants = Vec::new();
        let mut joined = Vec::new();
        for (at, name) in node.inputs.iter().enumerate() {
            if name.is_empty() {
                continue;
            }
            if let Some(tensor) = self.constants.get(name) {
                constants.push(tensor.shape.clone());
                continue;
            }
            match self.value(node, at)? {
                Value::ConstantShown(constant) => constants.push(constant.data.shape().to_vec()),
                Value::Shown(shown) => {
                    Self::headless(shown)?;
                    shapes.push(shown.source.shape.clone());
                    join(
                        &mut sources,
                        Source {
                            int: shown.source.clone(),
                            grid: shown.grid,
                            names: BTreeSet::from([name.clone()]),
                        },
                    );
                }
                Value::Pending(Pending {
                    what: What::Island(island),
                    moves,
                    shape,
                }) if moves.is_empty() => {
                    shapes.push(shape.clone());
                    nodes.extend(&island.nodes);
                    for source in &island.sources {
                        join(&mut sources, source.clone());
                    }
                    joined.push(island.constants.clone());
                }
                other => {
                    return Err(refuse(
                        format!("input {at} is {}", other.kind()),
                        "put a QuantizeLinear and a DequantizeLinear in front of the node",
                    ));
                }
            }
        }
        let normalisation = node.op_type == "BatchNormalization";
        let shape = if normalisation {
            constants.retain(|shape| shape.len() == 1);
            let shape = shapes.first().filter(|shape| shape.len() >= 2);
            shape.cloned().ok_or_else(|| {
                refuse(
                    "it normalises along no channel dimension",
                    "give it a tensor of rank 2 or more",
                )
            })?
        } else {
            broadcast(&[shapes.as_slice(), constants.as_slice()].concat())?
        };
        check_shape(&shape)?;
        joined.push(constant_dims(&shape, &constants, normalisation)?);
        let constants = constant_dims(&shape, &joined, false)?;
        if sources.len() > 2 {
            return Err(refuse(
                format!("it makes a function of {} 8-bit tensors", sources.len()),
                "put a QuantizeLinear and a DequantizeLinear between the float operators",
            ));
        }
        if sources.iter().any(|source| source.int.elem.bits() != 8) {
            return Err(refuse(
                "it computes with int32 as floats",
                "requantize to 8 bits in front of it",
            ));
        }
        let output = node.output(0).unwrap_or_default().to_owned();
        Ok(Pending {
            what: What::Island(Island {
                nodes,
                sources,
                constants,
                output,
                shape: shape.clone(),
            }),
            moves: Vec::new(),
            shape,
        })
    }

    /// Writes an island as the integers that a `QuantizeLinear` asks for.
    pub(super) fn quantize_island(
        &mut self,
        island: &Island,
        target: Target,
        node: &Node,
        output: &str,
    ) -> Result<Int, Stop> {
        if let Some(op_type) = self.extremum(island) {
            return self.quantize_extremum(op_type, island, target, node, output);
        }
        let mut cut = Cut::default();
        for (at, source) in island.sources.iter().enumerate() {
            let fed = own_name("fed", at);
            for name in &source.names {
                let shown = Target {
                    grid: source.grid,
                    elem: source.int.elem,
                };
                cut.dequantize(&fed, shown, name)?;
            }
            cut.inputs.push((fed, source.int.elem));
        }
        self.cut_nodes(&mut cut, island.nodes.iter().copied())?;
        let form = form(island.sources.len(), &island.constants)?;
        if !island.nodes.is_empty() && self.makes_nan(&cut, &form, island.shape.len())? {
            return Err(refuse(
                format!(
                    "{:?}, which it quantizes, is not a number for some inputs",
                    island.output
                ),
                "clamp the values in front of the operator that cannot take them all",
            ));
        }
        cut.quantize(&island.output, target, &own_name("made", 0))?;
        self.judge(island, target, node);
        let sources: Vec<Int> = island.sources.iter().map(|s| s.int.clone()).collect();
        let made = (island.shape.clone(), target.elem);
        self.function(
            &cut,
            &sources,
            &island.constants,
            made,
            (&node.name, output),
        )
    }

    /// The operator of an island that is the largest or smallest of two tensors.
    fn extremum(&self, island: &Island) -> Option<&'static str> {
        let mut nodes = island.nodes.iter();
        let (Some(&index), None, 2) = (nodes.next(), nodes.next(), island.sources.len()) else {
            return None;
        };
        let node = self.model.graph.nodes.get(index)?;
        match (node.op_type.as_str(), node.inputs.len()) {
            ("Max", 2) => Some("Max"),
            ("Min", 2) => Some("Min"),
            _ => None,
        }
    }

    /// Quantizing is monotone, so the largest may be taken of the integers.
    fn quantize_extremum(
        &mut self,
        op_type: &str,
        island: &Island,
        target: Target,
        node: &Node,
        output: &str,
    ) -> Result<Int, Stop> {
        let mut inputs = Vec::with_capacity(2);
        for (at, source) in island.sources.iter().enumerate() {
            let name = self.writer.fresh(&format!("{output}.operand_{at}"));
            let shown = source.names.first().ok_or(Stop::Unknown)?;
            let alone = plain(&source.int, source.grid, shown);
            inputs.push(self.quantize_island(&alone, target, node, &name)?.name);
        }
        let written = Node::new(self.node_name(&node.name), op_type, &[], &[]);
        self.writer.node(written, inputs, output);
        Ok(Int {
            name: output.to_owned(),
            elem: target.elem,
            shape: island.shape.clone(),
        })
    }

    /// Lists an island that the original computes in floats.
    fn judge(&mut self, island: &Island, target: Target, node: &Node) {
        let graph = &self.model.graph;
        let mut inside: Vec<&Node> = island
            .nodes
            .iter()
            .filter_map(|&index| graph.nodes.get(index))
            .collect();
        // The runtime drops a Relu that the saturation does as well.
        let saturates = target.grid.zero_point == target.elem.min();
        while inside.len() > 1 && saturates && inside.last().is_some_and(|n| n.op_type == "Relu") {
            inside.pop();
        }
        let plain = inside.iter().all(|node| rounds_nothing(&node.op_type));
        let fused = matches!(inside.as_slice(), [only] if self.is_fused(&only.name));
        if plain || fused {
            return;
        }
        let operators: Vec<&str> = inside.iter().map(|node| node.op_type.as_str()).collect();
        let reason = format!(
            "{} in floats, tabulated as this processor computes it",
            operators.join(", ")
        );
        let name = inside.first().map_or(&node.name, |first| &first.name);
        self.inexact(&name.clone(), reason);
    }

    /// Tabulates a cut and writes the table.
    fn function(
        &mut self,
        cut: &Cut,
        sources: &[Int],
        constants: &[usize],
        (shape, elem): (Vec<usize>, ElemType),
        (node_name, output): (&str, &str),
    ) -> Result<Int, Stop> {
        let form = form(sources.len(), constants)?;
        let table = self.tabulate(cut, form, shape.len(), elem)?;
        if !table.stable {
            self.inexact(
                node_name,
                "the runtime's result for one value depends on where in the tensor it stands",
            );
        }
        self.write_table(node_name, output, sources, table, shape)
    }
}

/// The form of a function of so many tensors with constants of a shape.
fn form(sources: usize, constants: &[usize]) -> Result<Form, Stop> {
    let scalar = constants.iter().all(|&dim| dim == 1);
    match (sources, scalar) {
        (1, true) => Ok(Form::Unary),
        (1, false) => Ok(Form::Each(constants.to_vec())),
        (2, true) => Ok(Form::Binary),
        (2, false) => Err(refuse(
            "a function of two tensors with constants that are no scalars",
            "quantize between the operators, or use scalar constants",
        )),
        (several, _) => Err(refuse(
            format!("a function of {several} tensors"),
            "quantize between the operators",
        )),
    }
}

/// Adds a source, or its names where it is known.
fn join(sources: &mut Vec<Source>, source: Source) {
    let same = |known: &&mut Source| known.int == source.int && known.grid == source.grid;
    match sources.iter_mut().find(same) {
        Some(known) => known.names.extend(source.names),
        None => sources.push(source),
    }
}

/// A lone view, to be quantized again.
pub(super) fn plain(int: &Int, grid: Grid, name: &str) -> Island {
    Island {
        nodes: BTreeSet::new(),
        sources: vec![Source {
            int: int.clone(),
            grid,
            names: BTreeSet::from([name.to_owned()]),
        }],
        constants: vec![1; int.shape.len()],
        output: name.to_owned(),
        shape: int.shape.clone(),
    }
}

#[cfg(test)]
mod tests {
    use proofmark_onnx::Attribute;
    use proofmark_types::manifest::ReferenceLevel;

    use super::super::small::{BOTH, Small};
    use super::super::testing::{every_pair, every_value, operators};
    use super::*;

    const LEVELS: [ReferenceLevel; 4] = [
        ReferenceLevel::Disabled,
        ReferenceLevel::Basic,
        ReferenceLevel::Extended,
        ReferenceLevel::All,
    ];

    /// `q0` shown on a grid in front of an operator, and what it makes quantized to another one.
    fn between(elem: ElemType, zero: i32, op_type: &str, more: &[&str]) -> Small {
        let mut small = Small::new(elem, &[&[1, 256]]).opset(20);
        small
            .grid("x", 0.031, zero, elem)
            .grid("y", 0.043, zero + 3, elem);
        small.show("q0", "x", "d");
        let inputs = [&["d"], more].concat();
        small.node(op_type, &inputs, &["f"], &[]);
        small.quantize("f", "y", "r").output("r", elem);
        small
    }

    #[test]
    fn every_function_of_one_tensor_is_a_table_of_the_runtimes_own_answers() {
        let operators = [
            "Abs",
            "Ceil",
            "Elu",
            "Erf",
            "Exp",
            "Floor",
            "Gelu",
            "HardSigmoid",
            "HardSwish",
            "LeakyRelu",
            "Mish",
            "Neg",
            "Relu",
            "Round",
            "Selu",
            "Sigmoid",
            "Sign",
            "Softplus",
            "Softsign",
            "Tanh",
            "ThresholdedRelu",
        ];
        for elem in BOTH {
            let zero = elem.min() + 119;
            for op_type in operators {
                let small = between(elem, zero, op_type, &[]);
                for level in [ReferenceLevel::Disabled, ReferenceLevel::All] {
                    let found = small.compare(level, &every_value(elem));
                    assert_eq!((found.compared, found.different), (256, 0), "{op_type}");
                    let fused = matches!(op_type, "LeakyRelu" | "Sigmoid");
                    let exact = rounds_nothing(op_type) || fused && level == ReferenceLevel::All;
                    assert_eq!(found.inexact.is_empty(), exact, "{op_type} at {level:?}");
                }
            }
            for op_type in [
                "Add", "Clip", "Div", "Max", "Min", "Mul", "PRelu", "Pow", "Sub",
            ] {
                let mut small = between(elem, zero, op_type, &["c"]);
                small.floats("c", &[], &[if op_type == "Pow" { 2.0 } else { 0.37 }]);
                for level in LEVELS {
                    let found = small.compare(level, &every_value(elem));
                    assert_eq!((found.compared, found.different), (256, 0), "{op_type}");
                }
            }
            // Positive values only.
            for op_type in ["Log", "Reciprocal", "Sqrt"] {
                let mut small = between(elem, elem.min(), op_type, &[]);
                small.floats("one", &[], &[1.0]);
                let graph = &mut small.model.graph;
                let add = Node::new("shift", "Add", &["d", "one"], &["shifted"]);
                graph.nodes.insert(1, add);
                graph.nodes[2].inputs = vec!["shifted".to_owned()];
                let found = small.compare(ReferenceLevel::All, &every_value(elem));
                assert_eq!((found.compared, found.different), (256, 0), "{op_type}");
            }
        }
    }

    #[test]
    fn what_is_not_a_number_is_refused() {
        for op_type in ["Log", "Sqrt"] {
            let small = between(ElemType::Int8, 0, op_type, &[]);
            assert!(small.refused()[0].contains("not a number"), "{op_type}");
        }
    }

    #[test]
    fn constants_make_a_table_for_each() {
        for elem in BOTH {
            let mut small = Small::new(elem, &[&[1, 3, 8, 4]]);
            small.grid("x", 0.05, elem.min() + 100, elem);
            small.grid("y", 0.08, elem.min() + 90, elem);
            small.floats("c", &[3, 1, 1], &[0.4, -1.3, 2.0]);
            for name in ["g", "b", "m", "v"] {
                small.floats(name, &[3], &[0.9, 1.4, 0.3]);
            }
            small.show("q0", "x", "d");
            small.node("Mul", &["d", "c"], &["f0"], &[]);
            small.node("PRelu", &["f0", "c"], &["f1"], &[]);
            small.node(
                "BatchNormalization",
                &["f1", "g", "b", "m", "v"],
                &["f2"],
                &[],
            );
            small.quantize("f2", "y", "r").output("r", elem);
            let feeds = small.feeds(60);
            let found = small.compare(ReferenceLevel::All, &feeds);
            assert_eq!(found.different, 0);
            assert_eq!(found.inexact.len(), 1);
            assert_eq!(operators(&found), ["Cast", "Add", "Gather"]);

            // Along the last dimension, dequantized from 8 bits.
            let mut small = Small::new(elem, &[&[1, 5]]);
            small.grid("x", 0.05, elem.min() + 100, elem);
            small.grid("y", 0.08, elem.min() + 90, elem);
            small.bytes("w", elem, &[5], &[elem.min(), 3, 40, 77, elem.max()]);
            small.show("q0", "x", "d").show("w", "y", "c");
            small.node("Add", &["d", "c"], &["f"], &[]);
            small.quantize("f", "y", "r").output("r", elem);
            small.exact(60);
        }
        // As many functions as elements, as in a positional embedding.
        let mut small = Small::new(ElemType::Uint8, &[&[1, 3, 4]]);
        small.grid("x", 0.05, 100, ElemType::Uint8);
        let constants: Vec<f32> = (0..12_u8).map(|at| f32::from(at) - 5.0).collect();
        small.floats("c", &[3, 4], &constants);
        small
            .show("q0", "x", "d")
            .node("Add", &["d", "c"], &["f"], &[]);
        small.quantize("f", "x", "r").output("r", ElemType::Uint8);
        let feeds = small.feeds(60);
        let found = small.compare(ReferenceLevel::All, &feeds);
        assert_eq!(found.different, 0);
        assert_eq!(operators(&found), ["Cast", "Add", "Gather"]);
        // But not without bound.
        let mut small = Small::new(ElemType::Uint8, &[&[1, 40, 40]]);
        small.grid("x", 0.05, 100, ElemType::Uint8);
        small.floats("c", &[40, 40], &[0.5; 1600]);
        small
            .show("q0", "x", "d")
            .node("Add", &["d", "c"], &["f"], &[]);
        small.quantize("f", "x", "r").output("r", ElemType::Uint8);
        assert!(small.refused()[0].contains("1600 functions"));
    }

    #[test]
    fn functions_of_one_tensor_are_joined_into_one_table() {
        for elem in BOTH {
            let mut small = Small::new(elem, &[&[1, 256]]);
            small.grid("x", 0.043, elem.min() + 128, elem);
            small.grid("y", 0.004, elem.min(), elem);
            small.grid("z", 0.03, elem.min() + 20, elem);
            small.show("q0", "x", "d");
            small.node("HardSigmoid", &["d"], &["h"], &[]);
            small.quantize("h", "y", "s").show("s", "y", "e");
            small.node("Mul", &["d", "e"], &["f"], &[]);
            small.quantize("f", "z", "t").show("t", "z", "g");
            small.node("LeakyRelu", &["g"], &["k"], &[]);
            small.quantize("k", "z", "r").output("r", elem);
            let found = small.compare(ReferenceLevel::All, &every_value(elem));
            assert_eq!((found.compared, found.different), (256, 0));
            let tables = operators(&found);
            assert_eq!(tables.iter().filter(|&&op| op == "Gather").count(), 1);
        }
    }

    #[test]
    fn functions_of_two_tensors_are_exact_on_every_pair() {
        for elem in BOTH {
            let feeds = every_pair(elem);
            for op_type in ["Add", "Mul", "Sub", "Max", "Min"] {
                let mut small = Small::new(elem, &[&[1, 256], &[1, 256]]);
                small.grid("a", 0.031, elem.min() + 120, elem);
                small.grid("b", 0.043, elem.min() + 99, elem);
                small.grid("y", 0.067, elem.min() + 110, elem);
                small.show("q0", "a", "d").show("q1", "b", "e");
                small.node(op_type, &["d", "e"], &["f"], &[]);
                small.quantize("f", "y", "r").output("r", elem);
                let found = small.compare(ReferenceLevel::All, &feeds);
                assert_eq!((found.compared, found.different), (65_536, 0), "{op_type}");
                assert_eq!(found.inexact.is_empty(), op_type != "Sub", "{op_type}");
            }
            for op_type in ["QLinearAdd", "QLinearMul"] {
                let mut small = Small::new(elem, &[&[1, 256], &[1, 256]]);
                small.grid("a", 0.031, elem.min() + 120, elem);
                small.grid("b", 0.043, elem.min() + 99, elem);
                small.grid("y", 0.067, elem.min() + 110, elem);
                let inputs = ["q0", "as", "az", "q1", "bs", "bz", "ys", "yz"];
                small.node(op_type, &inputs, &["r"], &[]).output("r", elem);
                let found = small.compare(ReferenceLevel::All, &feeds);
                assert_eq!((found.compared, found.different), (65_536, 0), "{op_type}");
                assert!(found.inexact.is_empty());
            }
        }
    }

    #[test]
    fn two_tensors_broadcast() {
        for elem in BOTH {
            let mut small = Small::new(elem, &[&[1, 3, 4, 4], &[1, 3, 1, 1]]);
            small.grid("a", 0.031, elem.min() + 120, elem);
            small.grid("b", 0.043, elem.min() + 99, elem);
            small.grid("y", 0.067, elem.min() + 110, elem);
            let inputs = ["q0", "as", "az", "q1", "bs", "bz", "ys", "yz"];
            small
                .node("QLinearAdd", &inputs, &["r"], &[])
                .output("r", elem);
            small.exact(300);
        }
    }

    #[test]
    fn integer_operators_wrap_as_the_runtime_does() {
        for elem in BOTH {
            for op_type in ["QLinearSigmoid", "QLinearLeakyRelu"] {
                let mut small = Small::new(elem, &[&[1, 256]]);
                small.grid("a", 0.031, elem.min() + 120, elem);
                small.grid("y", 0.0041, elem.min() + 7, elem);
                small.node(op_type, &["q0", "as", "az", "ys", "yz"], &["r"], &[]);
                small.output("r", elem);
                let found = small.compare(ReferenceLevel::All, &every_value(elem));
                assert_eq!((found.compared, found.different), (256, 0), "{op_type}");
                assert!(found.inexact.is_empty());
            }
            for op_type in ["Mod", "BitwiseAnd", "BitwiseOr", "BitwiseXor"] {
                let mut small = Small::new(elem, &[&[1, 256]]).opset(18);
                small.bytes("c", elem, &[], &[23]);
                small
                    .node(op_type, &["q0", "c"], &["r"], &[])
                    .output("r", elem);
                let found = small.compare(ReferenceLevel::All, &every_value(elem));
                assert_eq!((found.compared, found.different), (256, 0), "{op_type}");
            }
            let mut small = Small::new(elem, &[&[1, 256]]).opset(18);
            small
                .node("BitwiseNot", &["q0"], &["r"], &[])
                .output("r", elem);
            let found = small.compare(ReferenceLevel::All, &every_value(elem));
            assert_eq!((found.compared, found.different), (256, 0));
        }
        let mut small = Small::new(ElemType::Uint8, &[&[1, 256]]);
        small.bytes("c", ElemType::Uint8, &[1], &[3]);
        let left = [("direction", Attribute::String("LEFT".to_owned()))];
        small.node("BitShift", &["q0", "c"], &["r"], &left);
        small.output("r", ElemType::Uint8);
        let found = small.compare(ReferenceLevel::All, &every_value(ElemType::Uint8));
        assert_eq!((found.compared, found.different), (256, 0));
    }

    #[test]
    fn nodes_without_effect_leave_nothing_behind() {
        for elem in BOTH {
            let mut small = Small::new(elem, &[&[1, 256]]);
            small.grid("x", 0.031, elem.min(), elem);
            small.show("q0", "x", "d").node("Relu", &["d"], &["f"], &[]);
            small.quantize("f", "x", "s");
            small.show("s", "x", "e").quantize("e", "x", "t");
            small.ints("shape", &[1, 16, 16]);
            small
                .node("Reshape", &["t", "shape"], &["r"], &[])
                .output("r", elem);
            let found = small.exact(10);
            assert_eq!(operators(&found), ["Reshape"]);
        }
        // A scale at which the way there and back overflows is no identity.
        let mut small = Small::new(ElemType::Uint8, &[&[1, 256]]);
        small.grid("x", 1e38, 0, ElemType::Uint8);
        small.show("q0", "x", "d").quantize("d", "x", "r");
        small.output("r", ElemType::Uint8);
        let found = small.compare(ReferenceLevel::Disabled, &every_value(ElemType::Uint8));
        assert_eq!(found.different, 0);
        assert!(operators(&found).contains(&"Gather"));
    }

    #[test]
    fn expressions_over_one_tensor_share_it() {
        let elem = ElemType::Uint8;
        let mut small = Small::new(elem, &[&[1, 256]]);
        small.grid("x", 0.043, 128, elem).grid("y", 0.03, 20, elem);
        small.show("q0", "x", "d").show("q0", "x", "e");
        small.node("Sigmoid", &["d"], &["s"], &[]);
        small.node("Mul", &["s", "e"], &["f"], &[]);
        small.quantize("f", "y", "r").output("r", elem);
        for level in LEVELS {
            let found = small.compare(level, &every_value(elem));
            assert_eq!(found.different, 0);
            assert_eq!(found.inexact.len(), 1);
            assert!(
                found.inexact[0]
                    .reason
                    .starts_with("Sigmoid, Mul in floats")
            );
        }
    }

    #[test]
    fn islands_of_three_tensors_are_refused() {
        let elem = ElemType::Uint8;
        let mut small = Small::new(elem, &[&[1, 4], &[1, 4], &[1, 4]]);
        small.grid("x", 0.043, 128, elem);
        for at in 0..3 {
            small.show(&format!("q{at}"), "x", &format!("d{at}"));
        }
        small.node("Add", &["d0", "d1"], &["s"], &[]);
        small.node("Mul", &["s", "d2"], &["f"], &[]);
        small.quantize("f", "x", "r").output("r", elem);
        assert!(small.refused()[0].contains("3 8-bit tensors"));
    }
}

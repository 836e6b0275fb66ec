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
    /// The axis that constants run along, of how many indices.
    pub(super) channel: Option<(usize, usize)>,
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
            | "Add"
            | "BatchNormalization"
            | "Ceil"
            | "Clip"
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
            | "Sigmoid"
            | "Sign"
            | "Softplus"
            | "Softsign"
            | "Sqrt"
            | "Sub"
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
            "BitShift" | "BitwiseAnd" | "BitwiseNot" | "BitwiseOr" | "BitwiseXor"
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

/// The one axis along which constants of these shapes run over an output of `shape`.
fn channel(
    shape: &[usize],
    constants: &[Vec<usize>],
    at_one: bool,
) -> Result<Option<(usize, usize)>, Stop> {
    let mut found = at_one.then(|| (1, shape.get(1).copied().unwrap_or_default()));
    for constant in constants {
        let lead = shape.len().saturating_sub(constant.len());
        // The vectors of BatchNormalization run along dimension 1.
        let axes: Vec<usize> = if at_one {
            if constant.len() == 1 && constant.first() == shape.get(1) {
                continue;
            }
            return Err(refuse(
                format!("a parameter of shape {constant:?} over {shape:?}"),
                "give one parameter a channel",
            ));
        } else {
            (0..constant.len())
                .filter(|&at| constant[at] != 1)
                .collect()
        };
        match axes.as_slice() {
            [] => {}
            &[axis] if found.is_none_or(|(known, _)| known == axis + lead) => {
                found = Some((axis + lead, constant[axis]));
            }
            _ => {
                return Err(refuse(
                    format!("a constant of shape {constant:?} over {shape:?}"),
                    "use constants that are scalars or run along one dimension",
                ));
            }
        }
    }
    Ok(found)
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
        let channel = channel(&shape, &constants, false)?;
        let y_zero_at = match node.op_type.as_str() {
            "QLinearAdd" | "QLinearMul" => Some(7),
            "QLinearLeakyRelu" | "QLinearSigmoid" => Some(4),
            _ => None,
        };
        let first = sources.first().map(|int| int.elem).ok_or(Stop::Unknown)?;
        let elem = match (node.op_type.as_str(), node.attr_int("to")?) {
            ("Cast", Some(2)) => ElemType::Uint8,
            ("Cast", Some(3)) => ElemType::Int8,
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
        let int = self.function(
            &cut,
            &sources,
            channel,
            (shape, elem),
            (&node.name, &output),
        )?;
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
        let mut known: Option<(usize, usize)> = None;
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
                    self.headless(shown)?;
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
                    // Axes are counted in tensors of one rank only.
                    if let Some((axis, count)) = island.channel {
                        constants.push(
                            (0..shape.len())
                                .map(|d| if d == axis { count } else { 1 })
                                .collect(),
                        );
                        known = island.channel;
                    }
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
            if shapes.first().is_none_or(|shape| shape.len() < 2) || known.is_some_and(|k| k.0 != 1)
            {
                return Err(refuse(
                    "it normalises along no channel dimension",
                    "give it a tensor of rank 2 or more",
                ));
            }
            constants.retain(|shape| shape.len() == 1);
            shapes.first().cloned().ok_or(Stop::Unknown)?
        } else {
            broadcast(&[shapes.as_slice(), constants.as_slice()].concat())?
        };
        check_shape(&shape)?;
        let channel = channel(&shape, &constants, normalisation)?;
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
                channel,
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
        cut.quantize(&island.output, target, &own_name("made", 0))?;
        self.judge(island, target, node);
        let sources: Vec<Int> = island.sources.iter().map(|s| s.int.clone()).collect();
        let made = (island.shape.clone(), target.elem);
        self.function(&cut, &sources, island.channel, made, (&node.name, output))
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
        let fused = match inside.as_slice() {
            [only] => matches!(
                only.op_type.as_str(),
                "Add" | "LeakyRelu" | "Mul" | "Sigmoid"
            ),
            _ => false,
        };
        if plain || fused && self.fuses() {
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
        channel: Option<(usize, usize)>,
        (shape, elem): (Vec<usize>, ElemType),
        (node_name, output): (&str, &str),
    ) -> Result<Int, Stop> {
        let form = match (sources.len(), channel) {
            (1, None) => Form::Unary,
            (1, Some((axis, count))) => Form::Channel { axis, count },
            (2, None) => Form::Binary,
            (2, Some(_)) => {
                return Err(refuse(
                    "a function of two tensors with constants a channel",
                    "quantize between the operators, or use scalar constants",
                ));
            }
            (several, _) => {
                return Err(refuse(
                    format!("a function of {several} tensors"),
                    "quantize between the operators",
                ));
            }
        };
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
        channel: None,
        output: name.to_owned(),
        shape: int.shape.clone(),
    }
}

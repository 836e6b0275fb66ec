//! Reads a float ONNX graph into a [`Net`](crate::net::Net), or lists every node that is not
//! handled exactly. Constants are folded on the way.

mod constant;
mod conv;
mod dense;
mod elementwise;
mod head;
mod layout;
mod pool;

use std::borrow::Cow;
use std::collections::BTreeMap;

use proofmark_onnx::{Dim, Model, Node, OnnxError, Tensor, TensorData, ValueType};
use proofmark_tensor::element_count;
use proofmark_types::manifest::{MAX_ELEMENTS, MAX_RANK};

use crate::error::{QuantizeError, UnsupportedNode};
use crate::net::{Head, Layer, Net, Op};

pub(crate) use constant::{
    evaluate as evaluate_constant, shape_of as shape_constant, transpose as transposed,
};
pub(crate) use layout::{permutation, target as reshape_target};

/// Most layers of a network: far above any that is proven today, and low enough that searches
/// through all layers for each layer end soon.
const MAX_LAYERS: usize = 2000;

/// What is known of a value while the graph is walked.
#[derive(Debug, Clone)]
enum Known<'a> {
    /// Computed at run time: the value of the network that it is.
    Data(String),
    /// Known now.
    Constant(Cow<'a, Tensor>),
    /// Softmax or arg-max of a value of the network, made by the named node.
    Headed {
        source: String,
        head: Head,
        node: usize,
    },
    /// Made by a refused node.
    Unknown,
}

/// Shape and elements of a constant.
type Floats = (Vec<usize>, Vec<f64>);

/// Why a node was not read.
#[derive(Debug)]
pub(crate) enum Stop {
    /// It reads what a refused node makes; nothing more can be said of it.
    Unknown,
    /// It is refused.
    Refuse { reason: String, remedy: String },
}

impl From<OnnxError> for Stop {
    fn from(error: OnnxError) -> Self {
        refuse(
            error.to_string(),
            "export the attribute with the type that ONNX gives it",
        )
    }
}

pub(crate) fn refuse(reason: impl Into<String>, remedy: impl Into<String>) -> Stop {
    Stop::Refuse {
        reason: reason.into(),
        remedy: remedy.into(),
    }
}

/// Constant inputs of nodes, as the walk through a graph knows them.
pub(crate) trait Constants {
    /// A constant input; `None` when it is left out.
    fn constant(&self, node: &Node, position: usize) -> Result<Option<&Tensor>, Stop>;

    /// A constant list of int64; `None` when it is left out.
    fn int64s(&self, node: &Node, position: usize) -> Result<Option<Vec<i64>>, Stop> {
        match self.constant(node, position)? {
            None => Ok(None),
            Some(tensor) => tensor.int64s().map(|v| Some(v.to_vec())).ok_or_else(|| {
                refuse(
                    format!("input {position} is no int64 list"),
                    "export shapes and axes as int64 constants",
                )
            }),
        }
    }
}

/// The walk so far.
struct Reader<'a> {
    opset: i64,
    nodes: &'a [Node],
    values: BTreeMap<String, Known<'a>>,
    net: Net,
    refused: Vec<UnsupportedNode>,
}

/// Reads a float model.
///
/// # Errors
/// [`QuantizeError::Unsupported`] with every node, input and output that is not handled exactly.
pub(crate) fn read(model: &Model) -> Result<Net, QuantizeError> {
    let graph = &model.graph;
    let mut reader = Reader {
        opset: model.opset("").unwrap_or_default(),
        nodes: &graph.nodes,
        values: graph
            .initializers
            .iter()
            .map(|(name, tensor)| (name.clone(), Known::Constant(Cow::Borrowed(tensor))))
            .collect(),
        net: Net::default(),
        refused: Vec::new(),
    };
    for input in &graph.inputs {
        let known = match input_shape(input.ty, input.dims.as_deref()) {
            Ok(shape) => {
                reader.net.inputs.push(input.name.clone());
                reader.net.shapes.insert(input.name.clone(), shape);
                Known::Data(input.name.clone())
            }
            Err(stop) => {
                reader.note(&input.name, "input", stop);
                Known::Unknown
            }
        };
        reader.values.insert(input.name.clone(), known);
    }
    for (index, node) in graph.nodes.iter().enumerate() {
        if let Err(stop) = reader.node(index, node) {
            let elementwise = matches!(stop, Stop::Refuse { .. }) && elementwise::keeps_shape(node);
            reader.note(&node.name, &node.op_type, stop);
            // Shapes go on where they are plain, so that the nodes behind are checked as well.
            let known = match node.input(0).and_then(|name| reader.values.get(name)) {
                Some(Known::Data(source)) if elementwise => Known::Data(source.clone()),
                _ => Known::Unknown,
            };
            for output in node.outputs.iter().filter(|name| !name.is_empty()) {
                reader.values.insert(output.clone(), known.clone());
            }
        }
    }
    for output in &graph.outputs {
        if let Err(stop) = reader.output(&output.name) {
            reader.note(&output.name, "output", stop);
        }
    }
    if graph.outputs.is_empty() {
        reader.note(
            &graph.name,
            "graph",
            refuse("it has no output", "export the model with its outputs"),
        );
    }
    if reader.net.layers.len() > MAX_LAYERS {
        let stop = refuse(
            format!("it has {} layers", reader.net.layers.len()),
            format!("use at most {MAX_LAYERS}"),
        );
        reader.note(&graph.name, "graph", stop);
    }
    if !reader.refused.is_empty() {
        return Err(QuantizeError::Unsupported(reader.refused));
    }
    Ok(reader.net)
}

/// The static shape of a float input: its symbolic batch becomes 1.
fn input_shape(ty: ValueType, dims: Option<&[Dim]>) -> Result<Vec<usize>, Stop> {
    if ty != ValueType::Float {
        return Err(refuse(
            "its elements are not float32",
            "export the model with float32 inputs; a cast or normalisation belongs outside or after it",
        ));
    }
    let dims = dims.ok_or_else(|| {
        refuse(
            "its shape is not declared",
            "declare the shape, for example with onnx.tools.update_model_dims",
        )
    })?;
    let mut shape = Vec::with_capacity(dims.len());
    for (axis, dim) in dims.iter().enumerate() {
        shape.push(match dim {
            Dim::Static(dim) => *dim,
            Dim::Symbolic(_) if axis == 0 => 1,
            Dim::Symbolic(name) => {
                return Err(refuse(
                    format!("dimension {axis} ({name:?}) is not fixed"),
                    "fix it, for example with onnxruntime.tools.make_dynamic_shape_fixed",
                ));
            }
        });
    }
    if shape.len() < 2 {
        return Err(refuse(
            format!("shape {shape:?} has no batch and channel dimension"),
            "give it the shape [1, features] or [1, channels, height, width]",
        ));
    }
    if shape.first() != Some(&1) {
        return Err(refuse(
            format!("the batch of shape {shape:?} is not 1"),
            "export the model with a symbolic batch or with batch 1",
        ));
    }
    check_shape(&shape)?;
    Ok(shape)
}

pub(crate) fn check_shape(shape: &[usize]) -> Result<(), Stop> {
    let elements = element_count(shape).unwrap_or(usize::MAX);
    if shape.len() > MAX_RANK || elements > MAX_ELEMENTS || elements == 0 {
        return Err(refuse(
            format!("a tensor of shape {shape:?}"),
            format!(
                "use at most {MAX_RANK} dimensions, none of them 0, and {MAX_ELEMENTS} elements"
            ),
        ));
    }
    Ok(())
}

impl Constants for Reader<'_> {
    fn constant(&self, node: &Node, position: usize) -> Result<Option<&Tensor>, Stop> {
        let Some(name) = node.input(position) else {
            return Ok(None);
        };
        match self.values.get(name) {
            Some(Known::Constant(tensor)) => Ok(Some(tensor)),
            Some(Known::Unknown) | None => Err(Stop::Unknown),
            Some(Known::Data(_) | Known::Headed { .. }) => Err(refuse(
                format!("input {position} ({name:?}) is computed at run time"),
                "export the model with constant weights and shapes",
            )),
        }
    }
}

impl<'a> Reader<'a> {
    fn note(&mut self, name: &str, op_type: &str, stop: Stop) {
        if let Stop::Refuse { reason, remedy } = stop {
            self.refused.push(UnsupportedNode {
                name: name.to_owned(),
                op_type: op_type.to_owned(),
                reason,
                remedy,
            });
        }
    }

    fn node(&mut self, index: usize, node: &'a Node) -> Result<(), Stop> {
        if !node.domain.is_empty() && node.domain != "ai.onnx" {
            return Err(refuse(
                format!("operators of domain {:?} are not known", node.domain),
                "export the model with ONNX's own operators",
            ));
        }
        if constant::fold(self, node)? {
            return Ok(());
        }
        match node.op_type.as_str() {
            "Add" | "Sub" | "Mul" | "Div" => elementwise::arithmetic(self, node),
            "ArgMax" => head::arg_max(self, index, node),
            "AveragePool" => pool::average(self, node),
            "BatchNormalization" => elementwise::batch_normalization(self, node),
            "Clip" => elementwise::clip(self, node),
            "Concat" => layout::concat(self, node),
            "Conv" => conv::conv(self, node),
            "Dropout" | "Identity" => elementwise::identity(self, node),
            "Flatten" | "Reshape" | "Squeeze" | "Unsqueeze" => layout::reshape(self, node),
            "Gemm" => dense::gemm(self, node),
            "GlobalAveragePool" | "GlobalMaxPool" => pool::global(self, node),
            "LogSoftmax" | "Softmax" => head::softmax(self, index, node),
            "MatMul" => dense::mat_mul(self, node),
            "MaxPool" => pool::max(self, node),
            "ReduceMean" => pool::reduce_mean(self, node),
            "Relu" => elementwise::relu(self, node),
            "Transpose" => layout::transpose(self, node),
            other => Err(refuse(
                "the operator is not supported",
                elementwise::remedy(other),
            )),
        }
    }

    /// A graph output: a value of the network, with what was taken off its end.
    fn output(&mut self, name: &str) -> Result<(), Stop> {
        let (source, head) = match self.values.get(name) {
            Some(Known::Data(source)) => (source.clone(), Head::default()),
            Some(Known::Headed { source, head, .. }) => (source.clone(), head.clone()),
            Some(Known::Constant(_)) => {
                return Err(refuse(
                    "it is a constant",
                    "remove the output; there is nothing to prove about it",
                ));
            }
            Some(Known::Unknown) | None => return Err(Stop::Unknown),
        };
        if self.net.producer(&source).is_none() {
            return Err(refuse(
                "it is an input of the model",
                "remove the output; there is nothing to prove about it",
            ));
        }
        match self
            .net
            .outputs
            .iter_mut()
            .find(|(name, _)| *name == source)
        {
            Some((_, known)) => {
                known.softmax = known.softmax.or(head.softmax);
                known.arg_max |= head.arg_max;
            }
            None => self.net.outputs.push((source, head)),
        }
        Ok(())
    }

    /// Name and shape of an input that is computed at run time.
    fn data(&mut self, node: &Node, position: usize) -> Result<(String, Vec<usize>), Stop> {
        let name = node.input(position).ok_or_else(|| {
            refuse(
                format!("input {position} is missing"),
                "give the node all its inputs",
            )
        })?;
        match self.values.get(name) {
            Some(Known::Data(source)) => Ok((source.clone(), self.net.shape(source).to_vec())),
            Some(Known::Constant(_)) => Err(refuse(
                format!("input {position} is a constant where a computed tensor is expected"),
                "fold constants before the import, for example with onnxsim",
            )),
            Some(Known::Headed { node: head, .. }) => {
                let head = &self.nodes[*head];
                let remedy =
                    "move it to the end of the model, where it becomes a view, or remove it";
                let stop = refuse(
                    format!("its result goes on into node {:?}", node.name),
                    remedy,
                );
                let (name, op_type) = (head.name.clone(), head.op_type.clone());
                self.note(&name, &op_type, stop);
                Err(Stop::Unknown)
            }
            Some(Known::Unknown) | None => Err(Stop::Unknown),
        }
    }

    fn is_constant(&self, node: &Node, position: usize) -> bool {
        node.input(position)
            .is_some_and(|name| matches!(self.values.get(name), Some(Known::Constant(_))))
    }

    /// Shape and values of a constant float input, all finite; `None` when it is left out.
    fn floats(&self, node: &Node, position: usize) -> Result<Option<Floats>, Stop> {
        let Some(tensor) = self.constant(node, position)? else {
            return Ok(None);
        };
        let values = floats_of(tensor).ok_or_else(|| {
            refuse(
                format!("input {position} is not float32"),
                "export the model with float32 weights",
            )
        })?;
        if let Some(bad) = values.iter().find(|v| !v.is_finite()) {
            return Err(refuse(
                format!("input {position} contains {bad}"),
                "train the model again; its weights are not finite",
            ));
        }
        Ok(Some((tensor.shape.clone(), values)))
    }

    /// As [`floats`](Self::floats), where the input must be there.
    fn weights(&self, node: &Node, position: usize) -> Result<Floats, Stop> {
        self.floats(node, position)?.ok_or_else(|| {
            refuse(
                format!("input {position} is missing"),
                "give the node all its inputs",
            )
        })
    }

    /// Adds a layer whose first output is the node's.
    fn push(
        &mut self,
        node: &Node,
        op: Op,
        inputs: Vec<String>,
        shape: Vec<usize>,
    ) -> Result<(), Stop> {
        check_shape(&shape)?;
        let output = node
            .output(0)
            .ok_or_else(|| refuse("it has no output", "remove the node"))?
            .to_owned();
        self.net.shapes.insert(output.clone(), shape);
        self.net.layers.push(Layer {
            name: node.name.clone(),
            op,
            inputs,
            output: output.clone(),
        });
        self.values.insert(output.clone(), Known::Data(output));
        Ok(())
    }

    /// Makes the node's first output a constant.
    fn set_constant(&mut self, node: &Node, tensor: Tensor) {
        if let Some(output) = node.output(0) {
            self.values
                .insert(output.to_owned(), Known::Constant(Cow::Owned(tensor)));
        }
    }
}

/// Float32 or float64 elements.
fn floats_of(tensor: &Tensor) -> Option<Vec<f64>> {
    match &tensor.data {
        TensorData::Float(data) => Some(data.iter().map(|&v| f64::from(v)).collect()),
        TensorData::Double(data) => Some(data.clone()),
        TensorData::Int64(_)
        | TensorData::Int(_)
        | TensorData::Bool(_)
        | TensorData::Unsupported(_) => None,
    }
}

/// Refuses attributes that are not read, so that none is ignored.
pub(crate) fn only_attributes(node: &Node, known: &[&str]) -> Result<(), Stop> {
    match node
        .attributes
        .keys()
        .find(|name| !known.contains(&name.as_str()))
    {
        Some(name) => Err(refuse(
            format!("attribute {name:?} is not supported"),
            "export the node without it",
        )),
        None => Ok(()),
    }
}

/// Refuses a node of whose outputs more than the first is used.
fn only_first_output(node: &Node) -> Result<(), Stop> {
    match node.outputs.iter().skip(1).find(|name| !name.is_empty()) {
        Some(name) => Err(refuse(
            format!("its further output {name:?} is not supported"),
            "export the node in inference mode with one output",
        )),
        None => Ok(()),
    }
}

/// An axis as a position, negative ones counted from the end.
pub(crate) fn axis_of(axis: i64, rank: usize) -> Result<usize, Stop> {
    let rank_i = i64::try_from(rank).unwrap_or(i64::MAX);
    let at = if axis < 0 {
        axis.saturating_add(rank_i)
    } else {
        axis
    };
    usize::try_from(at)
        .ok()
        .filter(|&at| at < rank)
        .ok_or_else(|| {
            refuse(
                format!("axis {axis} of a tensor of rank {rank}"),
                "give an axis inside the rank",
            )
        })
}

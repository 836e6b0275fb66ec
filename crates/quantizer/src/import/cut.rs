//! Nodes cut out of the original, run in ONNX Runtime at the reference level.

use std::collections::{BTreeMap, BTreeSet};

use proofmark_onnx::{Graph, Model, Node, Tensor, TensorData, ValueInfo, ValueType, encode};
use proofmark_runtime::{AnySession, RuntimeError, Value as RunValue};
use proofmark_types::{ElemType, IntTensor};

use super::value::{ConstantShown, Target, Value};
use super::{Importer, internal};
use crate::num::i64_of_dim;
use crate::read::{Stop, refuse};

/// A part of the original as a model of its own.
#[derive(Debug, Clone, Default)]
pub(super) struct Cut {
    /// Names and types of what is fed.
    pub(super) inputs: Vec<(String, ElemType)>,
    /// Nodes in order.
    pub(super) nodes: Vec<Node>,
    /// Constants beside those of the original.
    pub(super) constants: BTreeMap<String, Tensor>,
}

/// A name that no value of the original has: text of a model holds no control characters.
pub(super) fn own_name(what: &str, at: usize) -> String {
    format!("\u{1}{what}.{at}")
}

fn scalar(value: f32) -> Tensor {
    Tensor {
        shape: Vec::new(),
        data: TensorData::Float(vec![value]),
    }
}

fn zero(elem: ElemType, value: i32) -> Result<Tensor, Stop> {
    IntTensor::new(elem, Vec::new(), vec![value])
        .map(Tensor::from)
        .map_err(internal)
}

impl Cut {
    /// Adds a `DequantizeLinear` of what is fed under a name.
    pub(super) fn dequantize(
        &mut self,
        fed: &str,
        Target { grid, elem }: Target,
        output: &str,
    ) -> Result<(), Stop> {
        let (scale, zero_point) = self.pair(grid.scale, elem, grid.zero_point)?;
        let name = own_name("dequantize", self.nodes.len());
        let inputs = [fed, &scale, &zero_point];
        let node = Node::new(name, "DequantizeLinear", &inputs, &[output]);
        self.nodes.push(node);
        Ok(())
    }

    /// Adds a `QuantizeLinear`.
    pub(super) fn quantize(
        &mut self,
        input: &str,
        Target { grid, elem }: Target,
        output: &str,
    ) -> Result<(), Stop> {
        let (scale, zero_point) = self.pair(grid.scale, elem, grid.zero_point)?;
        let name = own_name("quantize", self.nodes.len());
        let inputs = [input, &scale, &zero_point];
        let node = Node::new(name, "QuantizeLinear", &inputs, &[output]);
        self.nodes.push(node);
        Ok(())
    }

    fn pair(&mut self, scale: f32, elem: ElemType, at: i32) -> Result<(String, String), Stop> {
        let names = ["scale", "zero_point"].map(|what| own_name(what, self.constants.len()));
        let [scale_name, zero_name] = names;
        self.constants.insert(scale_name.clone(), scalar(scale));
        self.constants.insert(zero_name.clone(), zero(elem, at)?);
        Ok((scale_name, zero_name))
    }

    /// Adds the `DequantizeLinear` of a constant.
    fn constant(&mut self, constant: &ConstantShown, output: &str) -> Result<(), Stop> {
        let names = ["data", "scale", "zero_point"].map(|w| own_name(w, self.constants.len()));
        let vector = constant.axis.is_some();
        let shape = if vector {
            vec![constant.scale.len()]
        } else {
            Vec::new()
        };
        let scale = Tensor {
            shape: shape.clone(),
            data: TensorData::Float(constant.scale.clone()),
        };
        let zero = IntTensor::new(constant.data.elem(), shape, constant.zero_point.clone());
        let zero = zero.map_err(internal)?;
        let [data_name, scale_name, zero_name] = &names;
        let inputs = [data_name.as_str(), scale_name, zero_name];
        let name = own_name("dequantize", self.nodes.len());
        let mut node = Node::new(name, "DequantizeLinear", &inputs, &[output]);
        if let Some(axis) = constant.axis {
            node = node.with("axis", proofmark_onnx::Attribute::Int(i64_of_dim(axis)));
        }
        self.nodes.push(node);
        self.constants
            .insert(data_name.clone(), constant.data.clone().into());
        self.constants.insert(scale_name.clone(), scale);
        self.constants.insert(zero_name.clone(), zero.into());
        Ok(())
    }
}

impl Importer<'_> {
    /// Adds nodes of the original, with a `DequantizeLinear` for each of their constants that is
    /// one.
    pub(super) fn cut_nodes(
        &self,
        cut: &mut Cut,
        nodes: impl IntoIterator<Item = usize>,
    ) -> Result<(), Stop> {
        let mut shown = BTreeSet::new();
        for index in nodes {
            let Some(node) = self.model.graph.nodes.get(index) else {
                continue;
            };
            for name in &node.inputs {
                if let Some(Value::ConstantShown(constant)) = self.values.get(name)
                    && shown.insert(name.clone())
                {
                    cut.constant(constant, name)?;
                }
            }
            cut.nodes.push(node.clone());
        }
        Ok(())
    }

    /// Runs a cut at the reference level; its last node makes the result, of this type.
    pub(super) fn run_cut(
        &self,
        cut: &Cut,
        feeds: &[IntTensor],
        elem: ElemType,
    ) -> Result<IntTensor, Stop> {
        match self.run_last(cut, feeds, ValueType::Int(elem), alone)? {
            RunValue::Int(tensor) => Ok(tensor),
            RunValue::Float(_) => Err(internal("a cut gave floats")),
        }
    }

    /// Runs a cut whose last node makes floats.
    pub(super) fn run_float_cut(&self, cut: &Cut, feeds: &[IntTensor]) -> Result<Vec<f32>, Stop> {
        match self.run_last(cut, feeds, ValueType::Float, alone)? {
            RunValue::Float(tensor) => Ok(tensor.data),
            RunValue::Int(_) => Err(internal("a cut gave integers")),
        }
    }

    /// A node all of whose inputs are constants, run in ONNX Runtime.
    pub(super) fn run_constant(&self, node: &Node) -> Result<Tensor, Stop> {
        let cut = Cut {
            nodes: vec![node.clone()],
            ..Cut::default()
        };
        let first = node.input(0).and_then(|name| self.constants.get(name));
        let ty = match first.map(|tensor| tensor.ty()) {
            Some(ValueType::Int(elem)) => ValueType::Int(elem),
            _ => ValueType::Float,
        };
        let folding = |error: &RuntimeError| {
            refuse(
                format!("its constant is not computed: {}", causes(error)),
                "fold constants before the import, for example with onnxsim",
            )
        };
        match self.run_last(&cut, &[], ty, folding)? {
            RunValue::Float(made) => {
                Tensor::new(made.shape, TensorData::Float(made.data)).map_err(internal)
            }
            RunValue::Int(made) => Ok(made.into()),
        }
    }

    /// Runs a cut; `failed` words what the runtime says against it.
    fn run_last(
        &self,
        cut: &Cut,
        feeds: &[IntTensor],
        ty: ValueType,
        failed: impl Fn(&RuntimeError) -> Stop,
    ) -> Result<RunValue, Stop> {
        let last = cut.nodes.last().and_then(|node| node.output(0));
        let output = last.unwrap_or_default().to_owned();
        let mut graph = Graph {
            name: "cut".to_owned(),
            nodes: cut.nodes.clone(),
            initializers: cut.constants.clone(),
            ..Graph::default()
        };
        let made: BTreeSet<&String> = cut.nodes.iter().flat_map(|node| &node.outputs).collect();
        for name in cut.nodes.iter().flat_map(|node| &node.inputs) {
            if let Some(tensor) = self.constants.get(name)
                && !made.contains(name)
            {
                graph
                    .initializers
                    .entry(name.clone())
                    .or_insert_with(|| tensor.clone().into_owned());
            }
        }
        let mut given = BTreeMap::new();
        for ((name, elem), feed) in cut.inputs.iter().zip(feeds) {
            let info = ValueInfo::fixed(name.clone(), ValueType::Int(*elem), feed.shape());
            graph.inputs.push(info);
            given.insert(name.clone(), RunValue::Int(feed.clone()));
        }
        graph.outputs.push(ValueInfo {
            name: output.clone(),
            ty,
            dims: None,
        });
        let model = Model {
            graph,
            ..self.header()
        };
        let session =
            AnySession::load(&encode(&model), self.level).map_err(|error| failed(&error))?;
        let mut results = session.run(&given).map_err(|error| failed(&error))?;
        results
            .remove(&output)
            .ok_or_else(|| internal("a cut without output"))
    }

    /// The original without its graph.
    fn header(&self) -> Model {
        Model {
            ir_version: self.model.ir_version,
            producer_name: String::new(),
            producer_version: String::new(),
            opsets: self.model.opsets.clone(),
            graph: Graph::default(),
            metadata: BTreeMap::new(),
        }
    }
}

/// Why nodes that were cut out of the original are not run.
fn alone(error: &RuntimeError) -> Stop {
    refuse(
        format!(
            "ONNX Runtime does not run it apart from the rest of the model: {}",
            causes(error)
        ),
        "give the node types and shapes that ONNX Runtime implements it for, or import with another --reference level",
    )
}

fn causes(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        text = format!("{text}: {cause}");
        source = cause.source();
    }
    text
}

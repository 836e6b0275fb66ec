//! Models that someone else quantized, in ONNX Runtime's `QOperator` format: brought into the
//! canonical form of the dialect without changing one integer.
//!
//! `QuantizeLinear` at the inputs becomes the manifest's input quantizer, `DequantizeLinear` (and
//! Softmax or arg-max behind it) the output's views. Each product carries its requantize multiplier
//! as the one scale, and weights of the other signedness than their input are rewritten, because
//! u8×s8 saturates on some processors.

mod drift;
mod ends;
mod layout;
mod linear;

use std::collections::BTreeMap;

use proofmark_onnx::{Dim, Model, Node, Tensor, ValueInfo, ValueType, encode};
use proofmark_types::ElemType;
use proofmark_types::manifest::{InputQuantizer, InputSpec, OutputSpec, View, Visibility};

pub use drift::{Drift, drift};

use crate::emit::{Writer, views};
use crate::error::{QuantizeError, UnsupportedNode};
use crate::net::Head;
use crate::read::{Stop, check_shape, refuse};
use crate::{Options, Quantized};

/// An integer tensor of the graph that is written.
#[derive(Debug, Clone, PartialEq)]
struct Int {
    name: String,
    elem: ElemType,
    shape: Vec<usize>,
}

/// What is known of a value of the original.
#[derive(Debug, Clone)]
enum Value {
    /// A float input that only `QuantizeLinear` may read.
    FloatInput { shape: Vec<usize> },
    /// Integers.
    Int(Int),
    /// A view of integers: `scale · (q − zero_point)`, and what stands behind it.
    Shown {
        source: Int,
        scale: f32,
        zero_point: i32,
        /// The float tensor of the original that shows the integers.
        name: String,
        head: Head,
    },
    /// Made by a refused node.
    Unknown,
}

struct Importer<'a> {
    constants: &'a BTreeMap<String, Tensor>,
    opset: i64,
    values: BTreeMap<String, Value>,
    writer: Writer,
    inputs: Vec<InputSpec>,
    /// Names of integer tensors that take over the name of the float tensor they stand for.
    renamed: BTreeMap<String, String>,
    refused: Vec<UnsupportedNode>,
    /// Layers whose weights changed their signedness.
    rewritten: Vec<String>,
}

/// Imports a model that is quantized already. Its integer tensors keep every value.
///
/// # Errors
/// [`QuantizeError::Unsupported`] with all nodes, inputs and outputs that have no exact canonical
/// form; [`QuantizeError::Labels`] when labels fit no output.
pub fn import_quantized(model: &Model, options: &Options) -> Result<Quantized, QuantizeError> {
    let graph = &model.graph;
    let nodes = graph.nodes.iter();
    let names = nodes.flat_map(|node| {
        [&node.name]
            .into_iter()
            .chain(&node.inputs)
            .chain(&node.outputs)
    });
    let names = names.chain(graph.initializers.keys());
    let names = names.chain(graph.inputs.iter().map(|input| &input.name));
    let mut importer = Importer {
        constants: &graph.initializers,
        opset: model.opset("").unwrap_or_default(),
        values: BTreeMap::new(),
        writer: Writer::new(names),
        inputs: Vec::new(),
        renamed: BTreeMap::new(),
        refused: Vec::new(),
        rewritten: Vec::new(),
    };
    for input in &graph.inputs {
        let value = match importer.input(input) {
            Ok(value) => value,
            Err(stop) => importer.note(&input.name, "input", stop),
        };
        importer.values.insert(input.name.clone(), value);
    }
    for node in &graph.nodes {
        let value = match importer.node(node) {
            Ok(value) => value,
            Err(stop) => importer.note(&node.name, &node.op_type, stop),
        };
        if let Some(output) = node.output(0) {
            importer.values.insert(output.to_owned(), value);
        }
        if let Some(output) = (1..node.outputs.len()).find_map(|at| node.output(at)) {
            let stop = refuse(
                format!("its further output {output:?} is not supported"),
                "export the node with one output",
            );
            importer.note(&node.name, &node.op_type, stop);
        }
    }
    let mut outputs: Vec<(Int, OutputSpec)> = Vec::new();
    for output in &graph.outputs {
        if let Err(stop) = importer.output(&output.name, options, &mut outputs) {
            importer.note(&output.name, "output", stop);
        }
    }
    if outputs.is_empty() && importer.refused.is_empty() {
        let stop = refuse("it has no output", "export the model with its outputs");
        importer.note(&graph.name, "graph", stop);
    }
    importer.unread_inputs();
    if !importer.refused.is_empty() {
        return Err(QuantizeError::Unsupported(importer.refused));
    }
    let labels = options.labels.len();
    let labelled = |(_, spec): &(Int, OutputSpec)| {
        spec.views
            .iter()
            .any(|view| matches!(view, View::ArgMax { .. }))
    };
    if labels > 0 && !outputs.iter().any(labelled) {
        return Err(QuantizeError::Labels { labels });
    }
    Ok(importer.finish(outputs))
}

impl Importer<'_> {
    /// Lists what is refused; the value is then unknown.
    fn note(&mut self, name: &str, op_type: &str, stop: Stop) -> Value {
        if let Stop::Refuse { reason, remedy } = stop {
            self.refused.push(UnsupportedNode {
                name: name.to_owned(),
                op_type: op_type.to_owned(),
                reason,
                remedy,
            });
        }
        Value::Unknown
    }

    fn input(&mut self, info: &ValueInfo) -> Result<Value, Stop> {
        let dims = info.dims.as_deref().unwrap_or_default();
        let shape: Option<Vec<usize>> = dims
            .iter()
            .enumerate()
            .map(|(axis, dim)| match dim {
                Dim::Static(dim) => Some(*dim),
                Dim::Symbolic(_) => (axis == 0).then_some(1),
            })
            .collect();
        let shape = shape
            .filter(|shape| shape.first() == Some(&1))
            .ok_or_else(|| {
                refuse(
                    format!("its dimensions {dims:?} are not fixed with batch 1"),
                    "fix them, for example with onnxruntime.tools.make_dynamic_shape_fixed",
                )
            })?;
        check_shape(&shape)?;
        match info.ty {
            ValueType::Float => Ok(Value::FloatInput { shape }),
            ValueType::Int(elem) => {
                let int = Int {
                    name: info.name.clone(),
                    elem,
                    shape,
                };
                self.inputs.push(input_spec(&info.name, &int, None));
                Ok(Value::Int(int))
            }
            _ => Err(refuse(
                "its elements are neither float32 nor uint8, int8 or int32",
                "export the model with one of these",
            )),
        }
    }

    /// A float input that no `QuantizeLinear` reads has no place in the integer model.
    fn unread_inputs(&mut self) {
        let unread: Vec<String> = self
            .values
            .iter()
            .filter(|(name, value)| {
                matches!(value, Value::FloatInput { .. })
                    && !self.inputs.iter().any(|spec| spec.name == **name)
            })
            .map(|(name, _)| name.clone())
            .collect();
        if self.refused.is_empty() {
            for name in unread {
                let stop = refuse(
                    "no QuantizeLinear reads it",
                    "remove the input, or quantize the whole model",
                );
                self.note(&name, "input", stop);
            }
        }
    }

    fn node(&mut self, node: &Node) -> Result<Value, Stop> {
        match (node.domain.as_str(), node.op_type.as_str()) {
            ("", "Add") => self.add(node),
            ("", "ArgMax" | "LogSoftmax" | "Softmax") => self.head(node),
            ("", "Concat") => self.concat(node),
            ("", "ConvInteger") => self.conv_integer(node),
            ("", "DequantizeLinear") => self.dequantize(node),
            ("", "Flatten" | "Reshape" | "Squeeze" | "Unsqueeze") => self.reshape(node),
            ("", "Identity") => self.value(node, 0).cloned(),
            ("", "MatMulInteger") => self.mat_mul_integer(node),
            ("", "MaxPool") => self.max_pool(node),
            ("", "QLinearConv") => self.q_linear_conv(node),
            ("", "QLinearMatMul") => self.q_linear_mat_mul(node),
            ("", "QuantizeLinear") => self.quantize(node),
            ("", "Transpose") => self.transpose(node),
            ("com.microsoft", "QGemm") => self.q_gemm(node),
            ("com.microsoft", "QLinearAdd" | "QLinearMul" | "QLinearAveragePool") => Err(refuse(
                "its result depends on the processor",
                "import the float model instead: its sums and averages become convolutions",
            )),
            ("", "Conv" | "Gemm" | "MatMul" | "Relu" | "AveragePool" | "BatchNormalization") => {
                Err(refuse(
                    "it computes with floats",
                    "quantize the whole model in the QOperator format (quant_format=QuantFormat.QOperator), or import the float model",
                ))
            }
            _ => Err(refuse(
                "the operator is not supported in a quantized model",
                "import the float model instead",
            )),
        }
    }

    fn value(&self, node: &Node, position: usize) -> Result<&Value, Stop> {
        let name = node.input(position).ok_or_else(|| {
            refuse(
                format!("input {position} is missing"),
                "give the node all its inputs",
            )
        })?;
        match self.values.get(name) {
            Some(Value::Unknown) => Err(Stop::Unknown),
            Some(value) => Ok(value),
            None => Err(refuse(
                format!("input {position} ({name:?}) is a constant"),
                "fold constants before the import, for example with onnxsim",
            )),
        }
    }

    /// An integer input.
    fn int(&self, node: &Node, position: usize) -> Result<Int, Stop> {
        match self.value(node, position)? {
            Value::Int(int) => Ok(int.clone()),
            _ => Err(refuse(
                format!("input {position} is a float tensor"),
                "quantize the whole model in the QOperator format (quant_format=QuantFormat.QOperator), or import the float model",
            )),
        }
    }

    /// A constant input; `None` when it is left out.
    fn constant(&self, node: &Node, position: usize) -> Result<Option<&Tensor>, Stop> {
        let Some(name) = node.input(position) else {
            return Ok(None);
        };
        self.constants.get(name).map(Some).ok_or_else(|| {
            refuse(
                format!("input {position} ({name:?}) is computed at run time"),
                "export the model with constant weights, scales, zero points and shapes",
            )
        })
    }

    /// Scales: finite and above 0.
    fn scales(&self, node: &Node, position: usize) -> Result<Vec<f32>, Stop> {
        let tensor = self.constant(node, position)?;
        let scales = tensor.and_then(Tensor::floats).unwrap_or_default();
        if scales.is_empty() || scales.iter().any(|s| !s.is_finite() || *s <= 0.0) {
            return Err(refuse(
                format!("input {position} is no float32 scale, finite and above 0"),
                "quantize the model again",
            ));
        }
        Ok(scales.to_vec())
    }

    fn scale(&self, node: &Node, position: usize) -> Result<f32, Stop> {
        match self.scales(node, position)?.as_slice() {
            &[scale] => Ok(scale),
            other => Err(refuse(
                format!("input {position} has {} scales", other.len()),
                "quantize activations per tensor",
            )),
        }
    }

    /// Zero points and their type; `None` when left out.
    fn zero_points(
        &self,
        node: &Node,
        position: usize,
    ) -> Result<Option<(ElemType, Vec<i32>)>, Stop> {
        let Some(tensor) = self.constant(node, position)? else {
            return Ok(None);
        };
        match tensor.ints() {
            Some(ints) if ints.elem().bits() == 8 && !ints.is_empty() => {
                Ok(Some((ints.elem(), ints.data().to_vec())))
            }
            _ => Err(refuse(
                format!("input {position} is no 8-bit zero point"),
                "quantize the model to 8 bits",
            )),
        }
    }

    /// A scalar zero point of the type that is expected; 0 when left out.
    fn zero_point(&self, node: &Node, position: usize, elem: ElemType) -> Result<i32, Stop> {
        match self.zero_points(node, position)? {
            None => Ok(0),
            Some((found, values)) if found == elem && values.len() == 1 => Ok(values[0]),
            Some((found, values)) => Err(refuse(
                format!(
                    "input {position} is {} zero points of {found}, not one of {elem}",
                    values.len()
                ),
                "quantize activations per tensor",
            )),
        }
    }

    /// Adds a node and names what it makes.
    fn push(
        &mut self,
        original: &Node,
        node: Node,
        inputs: Vec<String>,
        elem: ElemType,
        shape: Vec<usize>,
    ) -> Result<Value, Stop> {
        check_shape(&shape)?;
        let name = original
            .output(0)
            .ok_or_else(|| refuse("it has no output", "remove the node"))?;
        self.writer.node(node, inputs, name);
        Ok(Value::Int(Int {
            name: name.to_owned(),
            elem,
            shape,
        }))
    }

    fn output(
        &mut self,
        name: &str,
        options: &Options,
        outputs: &mut Vec<(Int, OutputSpec)>,
    ) -> Result<(), Stop> {
        let (source, views, shown) = match self.values.get(name) {
            Some(Value::Int(int)) => {
                let last = int.shape.last().copied().unwrap_or_default();
                let fits = !options.labels.is_empty() && last == options.labels.len();
                let views = fits.then(|| View::ArgMax {
                    labels: options.labels.clone(),
                });
                (int.clone(), views.into_iter().collect(), name.to_owned())
            }
            Some(Value::Shown {
                source,
                scale,
                zero_point,
                name,
                head,
            }) => {
                let pair = (f64::from(*scale), *zero_point);
                let views = views(&source.shape, pair, head, &options.labels);
                (source.clone(), views, name.clone())
            }
            Some(Value::FloatInput { .. }) => {
                return Err(refuse(
                    "it is an input of the model",
                    "remove the output; there is nothing to prove about it",
                ));
            }
            Some(Value::Unknown) | None => return Err(Stop::Unknown),
        };
        let made = self
            .writer
            .graph
            .nodes
            .iter()
            .any(|node| node.outputs.contains(&source.name));
        if !made {
            return Err(refuse(
                "it only quantizes and shows an input of the model",
                "remove the output; there is nothing to prove about it",
            ));
        }
        if let Some((_, spec)) = outputs.iter_mut().find(|(int, _)| *int == source) {
            let dequantize = |views: &[View]| {
                let found = views.iter().find(|v| matches!(v, View::Dequantize { .. }));
                found.cloned()
            };
            let (old, new) = (dequantize(&spec.views), dequantize(&views));
            if old.is_some() && new.is_some() && old != new {
                return Err(refuse(
                    "it shows the same integers with another scale",
                    "keep one of the two outputs",
                ));
            }
            for view in views {
                if !spec.views.contains(&view) {
                    spec.views.push(view);
                }
            }
            return Ok(());
        }
        if shown != source.name {
            self.renamed.insert(source.name.clone(), shown.clone());
        }
        let spec = OutputSpec {
            name: shown,
            elem: source.elem,
            shape: source.shape.clone(),
            visibility: Visibility::Public,
            views,
        };
        outputs.push((source, spec));
        Ok(())
    }

    fn finish(mut self, outputs: Vec<(Int, OutputSpec)>) -> Quantized {
        for (source, _) in &outputs {
            let ty = ValueType::Int(source.elem);
            let info = ValueInfo::fixed(source.name.clone(), ty, &source.shape);
            self.writer.graph.outputs.push(info);
        }
        let infos = self.inputs.iter().map(|spec| {
            ValueInfo::fixed(spec.name.clone(), ValueType::Int(spec.elem), &spec.shape)
        });
        self.writer.graph.inputs = infos.collect();
        let mut model = self.writer.finish();
        let graph = &mut model.graph;
        let nodes = graph.nodes.iter_mut();
        let values = nodes.flat_map(|node| node.inputs.iter_mut().chain(&mut node.outputs));
        for name in values.chain(graph.outputs.iter_mut().map(|info| &mut info.name)) {
            if let Some(new) = self.renamed.get(name) {
                new.clone_into(name);
            }
        }
        let mut notes = Vec::new();
        if !self.rewritten.is_empty() {
            notes.push(format!(
                "weights of {} layers were rewritten to the signedness of their input (w + 128, zero point + 128, or back)",
                self.rewritten.len()
            ));
        }
        Quantized {
            model: encode(&model),
            inputs: self.inputs,
            outputs: outputs.into_iter().map(|(_, spec)| spec).collect(),
            notes,
        }
    }
}

fn input_spec(name: &str, int: &Int, quantizer: Option<InputQuantizer>) -> InputSpec {
    InputSpec {
        name: name.to_owned(),
        elem: int.elem,
        shape: int.shape.clone(),
        visibility: Visibility::Public,
        quantizer,
    }
}

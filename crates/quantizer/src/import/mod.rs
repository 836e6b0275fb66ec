//! Models that someone else quantized, in the `QOperator` and the QDQ format: brought into the
//! canonical form of the dialect.
//!
//! One walk over the original's nodes, in order. Each value of the original becomes a [`Value`]:
//!
//! * a constant, where the node reads constants only ([`constants`]): never written unless read;
//! * `Int`, an integer tensor of the model that is written;
//! * `Shown`, a float tensor that shows integers (`DequantizeLinear`);
//! * `ConstantShown`, weights behind `DequantizeLinear`, still integers;
//! * `Pending`, a float tensor that becomes integers at the `QuantizeLinear` that reads it, because
//!   what is written depends on its scale: an island of element-wise nodes ([`island`]), a product
//!   ([`linear`]) or an input; with the movers behind it, replayed on the integers.
//!
//! How to add an operator:
//!
//! * One that only chooses or moves elements: an arm in [`Importer::moves`] (which canonical node,
//!   which constants, which shape) and its name in [`Importer::node`]'s line of movers. It then
//!   works on `Int`, `Shown`, `Pending`, and a float input alike.
//! * One that is a function of one or two 8-bit tensors, element by element: its name in
//!   [`island::is_elementwise`] or [`island::is_integer_elementwise`]. Others may call
//!   [`Importer::tabulate`] and [`Importer::write_table`] with a [`cut::Cut`] of their own.
//! * One that reads floats and whose integer form depends on the scale asked for: a variant of
//!   [`value::What`], made where the node is met and written in [`Importer::quantize_pending`].
//! * Anything else: a function from the node to its values (one an output).
//!
//! A rewrite that may change an integer is listed with [`Importer::inexact`]; what has no form is
//! refused with [`refuse`], never guessed.
//!
//! `QuantizeLinear` at the inputs becomes the manifest's input quantizer, `DequantizeLinear` (and
//! Softmax or arg-max behind it) the output's views. Each product carries its requantize multiplier
//! as the one scale, and weights of the other signedness than their input are rewritten, because
//! u8×s8 saturates on some processors.

mod adversary;
mod arg_max;
mod average;
mod bias;
mod cast;
mod computed;
mod concat;
mod constants;
mod convolution;
mod cut;
mod drift;
mod ends;
mod epilogue;
mod exponential;
#[cfg(test)]
mod exporters;
mod fused;
mod island;
mod largest;
#[cfg(test)]
mod layers;
mod linear;
mod mean;
mod movers;
mod operands;
mod outputs;
mod padding;
mod product;
mod qoperator;
mod regions;
mod resized;
mod shapes;
#[cfg(test)]
mod small;
mod softmax;
mod sum;
mod table;
#[cfg(test)]
mod testing;
#[cfg(test)]
mod tests;
mod value;
mod weight_grid;

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};

use proofmark_onnx::{Dim, Model, Node, Tensor, ValueInfo, ValueType};
use proofmark_runtime::OptLevel;
use proofmark_types::ElemType;
use proofmark_types::manifest::{
    InexactRewrite, InputQuantizer, InputSpec, OutputSpec, ReferenceLevel, View, Visibility,
};

pub use arg_max::with_int32_outputs;
pub use drift::{Drift, drift, measure_drift};
use island::{is_elementwise, is_integer_elementwise};
use linear::Linear;
use value::{Int, Value};

use crate::emit::{MICROSOFT, Writer};
use crate::error::{QuantizeError, UnsupportedNode};
use crate::read::{Stop, check_shape, refuse};
use crate::{Options, Quantized};

struct Importer<'a> {
    model: &'a Model,
    reference: ReferenceLevel,
    /// Level at which the original's own nodes are run.
    level: OptLevel,
    /// Stored tensors, and those folded from them.
    constants: BTreeMap<String, Cow<'a, Tensor>>,
    opset: i64,
    values: BTreeMap<String, Value>,
    writer: Writer,
    /// Names of values and nodes that are written under a name of the original.
    taken: BTreeSet<String>,
    inputs: Vec<InputSpec>,
    /// Names of integer tensors that take over the name of the float tensor they stand for.
    renamed: BTreeMap<String, String>,
    refused: Vec<UnsupportedNode>,
    /// Layers whose weights changed their signedness.
    rewritten: Vec<String>,
    inexact: Vec<InexactRewrite>,
    /// Products whose int32 accumulators are written, by the name of those.
    products: BTreeMap<String, Linear>,
    /// Tensors that are written as a function of one 8-bit tensor: that one, and the function's
    /// values from its smallest on.
    functions: BTreeMap<String, (Int, Vec<i32>)>,
    /// Nodes of the original that the reference computes as integer operators.
    fused: BTreeSet<String>,
}

/// Whether a model is quantized already, so that it is imported rather than quantized.
pub fn is_quantized(model: &Model) -> bool {
    model.graph.nodes.iter().any(|node| {
        matches!(
            node.op_type.as_str(),
            "QuantizeLinear"
                | "DequantizeLinear"
                | "DynamicQuantizeLinear"
                | "MatMulInteger"
                | "ConvInteger"
                | "QGemm"
        ) || node.op_type.starts_with("QLinear")
    })
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
    let constants = graph.initializers.iter();
    let mut importer = Importer {
        model,
        reference: options.reference,
        level: level_of(options.reference),
        constants: constants
            .map(|(name, tensor)| (name.clone(), Cow::Borrowed(tensor)))
            .collect(),
        opset: model.opset("").unwrap_or_default(),
        values: BTreeMap::new(),
        writer: Writer::new(names),
        taken: BTreeSet::new(),
        inputs: Vec::new(),
        renamed: BTreeMap::new(),
        refused: Vec::new(),
        rewritten: Vec::new(),
        inexact: Vec::new(),
        products: BTreeMap::new(),
        functions: BTreeMap::new(),
        fused: fused::fused(model, level_of(options.reference)),
    };
    for input in &graph.inputs {
        let value = match importer.input(input) {
            Ok(value) => value,
            Err(stop) => importer.note(&input.name, "input", stop),
        };
        importer.values.insert(input.name.clone(), value);
    }
    for (index, node) in graph.nodes.iter().enumerate() {
        let made = match importer.node(index, node) {
            Ok(values) => values,
            Err(stop) => {
                importer.note(&node.name, &node.op_type, stop);
                vec![Value::Unknown; node.outputs.len()]
            }
        };
        let further = (made.len()..node.outputs.len()).find_map(|at| node.output(at));
        if let Some(output) = further.filter(|name| !importer.is_constant(name)) {
            let stop = refuse(
                format!("its further output {output:?} is not supported"),
                "export the node with one output",
            );
            importer.note(&node.name, &node.op_type, stop);
        }
        for (name, value) in node.outputs.iter().zip(made) {
            if !name.is_empty() {
                importer.values.insert(name.clone(), value);
            }
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
        // Operators that need batch 1 say so themselves.
        let shape = shape.ok_or_else(|| {
            refuse(
                format!("its dimensions {dims:?} are not fixed"),
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

    /// The values that a node makes, one an output; none where they are constants.
    fn node(&mut self, index: usize, node: &Node) -> Result<Vec<Value>, Stop> {
        if self.fold(node)? {
            return Ok(Vec::new());
        }
        let one = match (node.domain.as_str(), node.op_type.as_str()) {
            (
                "",
                "DepthToSpace" | "Dropout" | "Expand" | "Flatten" | "Gather" | "GlobalMaxPool"
                | "Identity" | "MaxPool" | "Pad" | "ReduceMax" | "Reshape" | "Resize" | "Slice"
                | "SpaceToDepth" | "Split" | "Squeeze" | "Tile" | "Transpose" | "Unsqueeze"
                | "Upsample",
            ) => return self.mover(node),
            ("", "AveragePool" | "GlobalAveragePool" | "ReduceMean") => self.average(node),
            ("", "ArgMax") => self.arg_max(node),
            ("", "LogSoftmax" | "Softmax") => self.head(node),
            ("", "Cast") => self.cast(node),
            ("", "Concat") => self.concat(node),
            ("", "Conv") => self.float_conv(node),
            ("", "ConvInteger") => self.conv_integer(node),
            ("" | MICROSOFT, "DequantizeLinear") => self.dequantize(node),
            ("", "Gemm") => self.gemm(node),
            ("", "MatMul") => self.mat_mul(node),
            ("", "MatMulInteger") => self.mat_mul_integer(node),
            ("", "QLinearConv") => self.q_linear_conv(node),
            ("", "QLinearMatMul") => self.q_linear_mat_mul(node),
            ("" | MICROSOFT, "QuantizeLinear") => self.quantize(node),
            (MICROSOFT, "QGemm") => self.q_gemm(node),
            (MICROSOFT, "QLinearAveragePool" | "QLinearGlobalAveragePool") => {
                self.q_linear_average(node)
            }
            (MICROSOFT, "QLinearConcat") => self.q_linear_concat(node),
            (MICROSOFT, "QLinearSoftmax") => self.q_linear_softmax(node),
            ("", "DynamicQuantizeLinear") => Err(refuse(
                "it takes its scale from the values of each input",
                "quantize statically (onnxruntime.quantization.quantize_static)",
            )),
            _ if is_integer_elementwise(node) => self.integer_elementwise(node),
            _ if is_elementwise(node) => self.elementwise(index, node),
            _ => Err(refuse(
                "the operator is not supported in a quantized model",
                "replace it by operators listed in docs/reference/import.md, or leave it out of the model",
            )),
        };
        Ok(vec![one?])
    }

    /// Lists a rewrite that may change an integer.
    fn inexact(&mut self, node: &str, reason: impl Into<String>) {
        // Names of nodes are whatever the original's maker chose; the manifest takes plain text.
        let plain = node.chars().filter(|c| !c.is_control()).take(256);
        let rewrite = InexactRewrite {
            node: plain.collect(),
            reason: reason.into(),
        };
        if !self.inexact.contains(&rewrite) {
            self.inexact.push(rewrite);
        }
    }

    /// The name of the tensor that stands for a node's output: the output's own the first time.
    fn output_name(&mut self, node: &Node, at: usize) -> Result<String, Stop> {
        let name = node
            .output(at)
            .ok_or_else(|| refuse("it has no output", "remove the node"))?;
        if self.taken.insert(format!("value {name}")) {
            return Ok(name.to_owned());
        }
        Ok(self.writer.fresh(name))
    }

    /// The name of the node that is written for a node: its own the first time.
    fn node_name(&mut self, name: &str) -> String {
        if self.taken.insert(format!("node {name}")) {
            return name.to_owned();
        }
        self.writer.fresh(name)
    }

    /// Adds a node and names what it makes.
    fn push(
        &mut self,
        original: &Node,
        mut node: Node,
        inputs: Vec<String>,
        elem: ElemType,
        shape: Vec<usize>,
    ) -> Result<Value, Stop> {
        check_shape(&shape)?;
        let name = self.output_name(original, 0)?;
        node.name = self.node_name(&original.name);
        self.writer.node(node, inputs, &name);
        Ok(Value::Int(Int { name, elem, shape }))
    }
}

/// What should not happen, as the reason of a refusal: a model never ends the process.
#[expect(clippy::needless_pass_by_value, reason = "the form that map_err calls")]
fn internal(error: impl ToString) -> Stop {
    refuse(error.to_string(), "report this model")
}

/// The runtime's name of a level.
pub(crate) const fn level_of(level: ReferenceLevel) -> OptLevel {
    match level {
        ReferenceLevel::Disabled => OptLevel::DisableAll,
        ReferenceLevel::Basic => OptLevel::Basic,
        ReferenceLevel::Extended => OptLevel::Extended,
        ReferenceLevel::All => OptLevel::All,
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

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

/// Whether a model is quantized already, so that it is imported rather than quantized.
pub fn is_quantized(model: &Model) -> bool {
    model.graph.nodes.iter().any(|node| {
        matches!(
            node.op_type.as_str(),
            "QuantizeLinear"
                | "DequantizeLinear"
                | "QLinearConv"
                | "QLinearMatMul"
                | "QGemm"
                | "MatMulInteger"
                | "ConvInteger"
        )
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

#[cfg(test)]
mod tests {
    use proofmark_onnx::{Attribute, Dim};

    use super::*;
    use crate::graphs::{Build, list};
    use crate::{Samples, drift};

    /// Scalars that every quantized test graph uses, and a quantized input `q`.
    fn start(shape: &[usize], elem: ElemType) -> Build {
        let mut build = Build::new(shape);
        build.model.opsets.insert("com.microsoft".to_owned(), 1);
        build.floats("sx", &[], vec![0.0123]);
        build.quantized("zx", elem, &[], vec![7]);
        build.floats("sw", &[], vec![0.0071]);
        build.floats("sy", &[], vec![0.031]);
        build.quantized("zy", elem, &[], vec![11]);
        build.node("QuantizeLinear", &["x", "sx", "zx"], "q", &[]);
        build
    }

    fn show(build: &mut Build, integers: &str) {
        build.node("DequantizeLinear", &[integers, "sy", "zy"], "y", &[]);
        build.output("y");
    }

    fn microsoft(build: &mut Build) {
        let node = build.model.graph.nodes.last_mut().unwrap();
        node.domain = "com.microsoft".to_owned();
    }

    /// Imports and checks on random inputs that no integer changed.
    fn exact(build: &mut Build) -> (Model, Quantized) {
        let inputs = build.calibration(200).inputs;
        let wide = |v: &mut f32| *v *= 4.0;
        let inputs = inputs.into_iter().map(|(name, mut samples)| {
            samples.iter_mut().flatten().for_each(wide);
            (name, samples)
        });
        let samples = Samples {
            inputs: inputs.collect(),
            labels: None,
        };
        assert!(is_quantized(&build.model));
        let made = import_quantized(&build.model, &Options::default()).unwrap();
        let found = drift(&build.model, &made, &samples).unwrap();
        assert!(found.compared >= 200 && found.different == 0, "{found:?}");
        let model = proofmark_onnx::parse(&made.model, &proofmark_onnx::Limits::default());
        (model.unwrap(), made)
    }

    fn refused(build: &Build) -> Vec<(String, String)> {
        match import_quantized(&build.model, &Options::default()).unwrap_err() {
            QuantizeError::Unsupported(nodes) => {
                nodes.into_iter().map(|n| (n.name, n.reason)).collect()
            }
            other => panic!("{other}"),
        }
    }

    #[test]
    fn every_layer_keeps_its_integers() {
        let u8s = ElemType::Uint8;
        let mut build = start(&[1, 4, 6, 6], u8s);
        build.bytes("w", ElemType::Int8, &[4, 2, 3, 3]);
        build.quantized("zw", ElemType::Int8, &[], vec![0]);
        build.quantized("b", ElemType::Int32, &[4], vec![-900, 0, 70, 12_000]);
        let inputs = ["q", "sx", "zx", "w", "sw", "zw", "sy", "zy", "b"];
        build.node(
            "QLinearConv",
            &inputs,
            "c",
            &[("group", Attribute::Int(2)), ("pads", list(&[1; 4]))],
        );
        build.node(
            "MaxPool",
            &["c"],
            "p",
            &[("kernel_shape", list(&[2, 2])), ("strides", list(&[2, 2]))],
        );
        build.node("Transpose", &["p"], "t", &[("perm", list(&[0, 2, 3, 1]))]);
        build
            .ints("shape", &[0, -1])
            .node("Reshape", &["t", "shape"], "f", &[]);
        build.bytes("v", u8s, &[36, 5]).bytes("zv", u8s, &[5]);
        build.floats("sv", &[5], vec![0.003, 0.001, 0.02, 0.011, 0.0007]);
        let inputs = ["f", "sy", "zy", "v", "sv", "zv", "sx", "zx"];
        build.node("QLinearMatMul", &inputs, "m", &[]);
        build.node("Concat", &["m", "m"], "k", &[("axis", Attribute::Int(-1))]);
        show(&mut build, "k");
        let (model, made) = exact(&mut build);
        assert_eq!(made.notes.len(), 1);
        assert_eq!(made.outputs[0].shape, [1, 10]);
        let scales = |node: &Node, at: usize| {
            let tensor = model.graph.initializer(node.input(at).unwrap()).unwrap();
            tensor.floats().unwrap().to_vec()
        };
        for node in &model.graph.nodes {
            if node.op_type == "QLinearConv" || node.op_type == "QLinearMatMul" {
                assert_eq!((scales(node, 1), scales(node, 6)), (vec![1.0], vec![1.0]));
            }
        }
        let conv = &model.graph.nodes[0];
        assert_eq!(scales(conv, 4), [0.0123_f32 * 0.0071 / 0.031]);
    }

    #[test]
    fn gemm_with_alpha_int8_and_float_output() {
        for transposed in [0, 1] {
            let mut build = start(&[1, 9], ElemType::Int8);
            let shape: &[usize] = if transposed == 1 { &[6, 9] } else { &[9, 6] };
            build.bytes("w", ElemType::Int8, shape);
            build.quantized("zw", ElemType::Int8, &[], vec![3]);
            let inputs = ["q", "sx", "zx", "w", "sw", "zw", "", "sy", "zy"];
            let attributes = [
                ("transB", Attribute::Int(transposed)),
                ("alpha", Attribute::Float(0.3)),
            ];
            build.node("QGemm", &inputs, "g", &attributes);
            microsoft(&mut build);
            show(&mut build, "g");
            let (_, made) = exact(&mut build);
            assert_eq!(made.outputs[0].elem, ElemType::Int8);

            let mut build = start(&[1, 9], ElemType::Uint8);
            build.bytes("w", ElemType::Int8, shape);
            build.quantized("zw", ElemType::Int8, &[], vec![0]);
            build.quantized("b", ElemType::Int32, &[6], vec![5, -5, 1000, -1000, 0, 1]);
            build.node(
                "QGemm",
                &["q", "sx", "zx", "w", "sw", "zw", "b"],
                "g",
                &attributes,
            );
            microsoft(&mut build);
            build.output("g");
            let (model, made) = exact(&mut build);
            assert_eq!(made.outputs[0].elem, ElemType::Int32);
            assert_eq!(made.outputs[0].name, "g");
            assert_eq!(model.graph.nodes[1].op_type, "Add");
        }
    }

    #[test]
    fn accumulators_and_heads() {
        let mut build = start(&[1, 2, 4, 4], ElemType::Uint8);
        build.model.graph.inputs[0].dims.as_mut().unwrap()[0] = Dim::Symbolic("N".into());
        build.bytes("w", ElemType::Uint8, &[3, 2, 3, 3]);
        build.quantized("zw", ElemType::Uint8, &[], vec![130]);
        build.node("ConvInteger", &["q", "w", "zx", "zw"], "a", &[]);
        build.quantized("b", ElemType::Int32, &[1, 3, 1, 1], vec![9, -9, 0]);
        build
            .node("Add", &["b", "a"], "s", &[])
            .node("Add", &["s", "a"], "d", &[]);
        build.node("Flatten", &["d"], "f", &[]);
        build.node("DequantizeLinear", &["f", "sy"], "l", &[]);
        build.node("Softmax", &["l"], "p", &[]);
        build.node("ArgMax", &["p"], "k", &[("axis", Attribute::Int(1))]);
        build.output("l").output("k");
        let (_, made) = exact(&mut build);
        assert_eq!(made.outputs.len(), 1);
        assert_eq!(made.outputs[0].shape, [1, 12]);
        assert_eq!(made.outputs[0].views.len(), 3);
        assert_eq!(made.inputs[0].shape, [1, 2, 4, 4]);
    }

    #[test]
    fn an_own_model_imports_as_it_is() {
        let mut build = Build::new(&[1, 2, 6, 6]);
        build
            .conv("x", "c", &[3, 2, 3, 3], 1)
            .node("Relu", &["c"], "r", &[]);
        build
            .node("Flatten", &["r"], "f", &[])
            .gemm("f", "y", [4, 108])
            .output("y");
        let calibration = build.calibration(10);
        let own = crate::quantize(&build.model, &calibration, &Options::default()).unwrap();
        let model = proofmark_onnx::parse(&own.model, &proofmark_onnx::Limits::default()).unwrap();
        let again = import_quantized(&model, &Options::default()).unwrap();
        assert_eq!(again.inputs[0].quantizer, None);
        assert_eq!(again.outputs[0].elem, own.outputs[0].elem);
        let session = |bytes: &[u8]| {
            proofmark_runtime::IntSession::load(bytes, proofmark_runtime::OptLevel::DisableAll)
        };
        let spec = &own.inputs[0];
        for sample in &calibration.inputs["x"] {
            let quantizer = spec.quantizer.as_ref().unwrap();
            let x = quantizer.quantize(sample, &spec.shape, spec.elem).unwrap();
            let feed = BTreeMap::from([("x".to_owned(), x)]);
            let [a, b] =
                [&own.model, &again.model].map(|m| session(m).unwrap().run(&feed).unwrap());
            assert_eq!(a, b);
        }
    }

    #[test]
    fn what_has_no_exact_form_is_listed_at_once() {
        let mut build = start(&[1, 4], ElemType::Uint8);
        build.node(
            "QLinearAdd",
            &["q", "sx", "zx", "q", "sx", "zx", "sy", "zy"],
            "a",
            &[],
        );
        microsoft(&mut build);
        build.node("DequantizeLinear", &["q", "sx", "zx"], "d", &[]);
        build
            .node("Relu", &["d"], "r", &[])
            .node("QuantizeLinear", &["d", "sx", "zx"], "e", &[]);
        build.node("Add", &["q", "q"], "s", &[]);
        build
            .floats("bad", &[], vec![-1.0])
            .bytes("w", ElemType::Uint8, &[4, 2]);
        build.node(
            "QLinearMatMul",
            &["q", "bad", "zx", "w", "sw", "zx", "sy", "zy"],
            "m",
            &[],
        );
        build.node("MatMulInteger", &["q", "q"], "n", &[]);
        build.node("Sigmoid", &["d"], "o", &[]);
        for name in ["a", "r", "e", "s", "m", "n", "o"] {
            build.output(name);
        }
        let names: Vec<String> = refused(&build).into_iter().map(|(name, _)| name).collect();
        let wanted = ["a", "r", "e", "s", "m", "n", "o"].map(|n| format!("{n}_node"));
        assert_eq!(names, wanted);

        let mut build = start(&[1, 4], ElemType::Uint8);
        build
            .node("DequantizeLinear", &["q", "sx", "zx"], "d", &[])
            .output("d");
        assert!(refused(&build)[0].1.contains("input of the model"));
        let mut build = start(&[2, 4], ElemType::Uint8);
        build.output("q");
        assert!(refused(&build)[0].1.contains("batch 1"));
    }

    #[test]
    fn hostile_scales_and_zero_points_are_refused() {
        let gemm = |change: &dyn Fn(&mut Build)| {
            let mut build = start(&[1, 4], ElemType::Uint8);
            build.bytes("w", ElemType::Uint8, &[4, 2]);
            build.quantized("zw", ElemType::Uint8, &[], vec![128]);
            build.quantized("b", ElemType::Int32, &[2], vec![1, 2]);
            let inputs = ["q", "sx", "zx", "w", "sw", "zw", "b", "sy", "zy"];
            build.node("QGemm", &inputs, "g", &[]);
            microsoft(&mut build);
            show(&mut build, "g");
            change(&mut build);
            import_quantized(&build.model, &Options::default())
        };
        assert!(gemm(&|_| {}).is_ok());
        for scale in [f32::NAN, f32::INFINITY, 0.0, -0.5] {
            for name in ["sx", "sw", "sy"] {
                assert!(gemm(&|b| _ = b.floats(name, &[], vec![scale])).is_err());
            }
        }
        // A multiplier that underflows or overflows float32.
        assert!(gemm(&|b| _ = b.floats("sw", &[], vec![1e-44])).is_err());
        assert!(
            gemm(&|b| _ = b
                .floats("sy", &[], vec![1e-44])
                .floats("sw", &[], vec![1e30]))
            .is_err()
        );
        assert!(gemm(&|b| _ = b.floats("sw", &[3], vec![0.1; 3])).is_err());
        assert!(gemm(&|b| _ = b.floats("sx", &[2], vec![0.1; 2])).is_err());
        assert!(gemm(&|b| _ = b.bytes("zw", ElemType::Int8, &[])).is_err());
        assert!(gemm(&|b| _ = b.bytes("zy", ElemType::Int8, &[])).is_err());
        assert!(gemm(&|b| _ = b.quantized("b", ElemType::Int32, &[3], vec![0; 3])).is_err());
        assert!(gemm(&|b| _ = b.floats("b", &[2], vec![0.0; 2])).is_err());
        assert!(gemm(&|b| _ = b.bytes("w", ElemType::Uint8, &[5, 2])).is_err());
        assert!(gemm(&|b| _ = b.bytes("w", ElemType::Uint8, &[4, 0])).is_err());
        assert!(gemm(&|b| _ = b.weight("w", &[4, 2])).is_err());
    }
}

//! The float network after reading: a handful of typed layers with static shapes. Reading refuses
//! what is not exact; the passes rewrite; the scheme quantizes.

use std::collections::{BTreeMap, BTreeSet};

use proofmark_onnx::{Attribute, Graph, Model, Node, Tensor, TensorData, ValueInfo, ValueType};

use crate::num::{f32_of, i64_of_dim};
pub(crate) use crate::window::Window;

/// A convolution; weights `[outputs][inputs / group][kh][kw]`.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Conv {
    pub(crate) window: Window,
    pub(crate) group: usize,
    pub(crate) inputs: usize,
    pub(crate) outputs: usize,
    pub(crate) weight: Vec<f64>,
    pub(crate) bias: Vec<f64>,
    /// Whether the result is clamped at 0 from below.
    pub(crate) relu: bool,
}

/// A matrix product `x · wᵀ + b` over `[rows, inputs]`; weights `[outputs][inputs]`.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Dense {
    pub(crate) inputs: usize,
    pub(crate) outputs: usize,
    pub(crate) weight: Vec<f64>,
    pub(crate) bias: Vec<f64>,
    pub(crate) relu: bool,
}

/// `scale[c] · x + shift[c]` along dimension 1.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Affine {
    pub(crate) scale: Vec<f64>,
    pub(crate) shift: Vec<f64>,
}

#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Op {
    Conv(Conv),
    Dense(Dense),
    Affine(Affine),
    Relu,
    MaxPool(Window),
    /// Mean over the whole window; padding counts as 0.
    AveragePool(Window),
    /// Sum of two tensors of one shape.
    Add,
    /// Along dimension 1.
    Concat,
    Reshape(Vec<usize>),
    Transpose(Vec<usize>),
}

#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Layer {
    pub(crate) name: String,
    pub(crate) op: Op,
    pub(crate) inputs: Vec<String>,
    pub(crate) output: String,
}

/// What the float model did with an output after the last layer that is quantized.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Head {
    pub(crate) softmax: Option<usize>,
    pub(crate) arg_max: bool,
}

/// Layers in an order in which each stands behind those it reads.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Net {
    pub(crate) inputs: Vec<String>,
    pub(crate) layers: Vec<Layer>,
    /// Each value once.
    pub(crate) outputs: Vec<(String, Head)>,
    /// Shape of every value.
    pub(crate) shapes: BTreeMap<String, Vec<usize>>,
}

impl Net {
    pub(crate) fn shape(&self, value: &str) -> &[usize] {
        self.shapes.get(value).map_or(&[], Vec::as_slice)
    }

    pub(crate) fn is_output(&self, value: &str) -> bool {
        self.outputs.iter().any(|(name, _)| name == value)
    }

    /// Index of the layer that makes a value.
    pub(crate) fn producer(&self, value: &str) -> Option<usize> {
        self.layers.iter().position(|layer| layer.output == value)
    }

    /// Indices of the layers that read a value.
    pub(crate) fn readers(&self, value: &str) -> Vec<usize> {
        let reads = |layer: &Layer| layer.inputs.iter().any(|input| input == value);
        (0..self.layers.len())
            .filter(|&index| reads(&self.layers[index]))
            .collect()
    }

    /// Whether nothing but one layer reads the value.
    pub(crate) fn is_private(&self, value: &str) -> bool {
        !self.is_output(value) && self.readers(value).len() == 1
    }

    /// A value name that is not taken yet.
    pub(crate) fn fresh(&self, wanted: &str) -> String {
        let mut name = wanted.to_owned();
        let mut number = 2_usize;
        while self.shapes.contains_key(&name) || self.layers.iter().any(|l| l.name == name) {
            name = format!("{wanted}_{number}");
            number += 1;
        }
        name
    }

    /// Drops layers that no output needs.
    pub(crate) fn drop_dead(&mut self) {
        let mut needed: BTreeSet<String> =
            self.outputs.iter().map(|(name, _)| name.clone()).collect();
        for layer in self.layers.iter().rev() {
            if needed.contains(&layer.output) {
                needed.extend(layer.inputs.iter().cloned());
            }
        }
        self.layers.retain(|layer| needed.contains(&layer.output));
        needed.extend(self.inputs.iter().cloned());
        self.shapes.retain(|name, _| needed.contains(name));
    }

    /// The network as a float32 ONNX model of which every value that a layer makes is an output.
    pub(crate) fn to_onnx(&self) -> Model {
        let mut graph = Graph {
            name: "float".to_owned(),
            ..Graph::default()
        };
        let info =
            |name: &String| ValueInfo::fixed(name.clone(), ValueType::Float, self.shape(name));
        graph.inputs = self.inputs.iter().map(info).collect();
        graph.outputs = self
            .layers
            .iter()
            .map(|layer| info(&layer.output))
            .collect();
        for (index, layer) in self.layers.iter().enumerate() {
            // The index keeps helper names apart from each other, the prefix from every value.
            let constant = |what: &str| format!("\u{1}{index}.{what}");
            let floats = |shape: Vec<usize>, data: &[f64]| Tensor {
                shape,
                data: TensorData::Float(data.iter().map(|&v| f32_of(v)).collect()),
            };
            let mut inputs: Vec<String> = layer.inputs.clone();
            let mut relu = false;
            let add = |graph: &mut Graph, what: &str, tensor: Tensor| {
                graph.initializers.insert(constant(what), tensor);
                constant(what)
            };
            let node = |op_type: &str| Node::new(format!("\u{1}{index}"), op_type, &[], &[]);
            let mut main = match &layer.op {
                Op::Conv(conv) => {
                    relu = conv.relu;
                    let [kh, kw] = conv.window.kernel;
                    let shape = vec![conv.outputs, conv.inputs / conv.group, kh, kw];
                    inputs.push(add(&mut graph, "w", floats(shape, &conv.weight)));
                    inputs.push(add(&mut graph, "b", floats(vec![conv.outputs], &conv.bias)));
                    conv.window
                        .attributes(node("Conv"))
                        .with("group", Attribute::Int(i64_of_dim(conv.group)))
                }
                Op::Dense(dense) => {
                    relu = dense.relu;
                    let shape = vec![dense.outputs, dense.inputs];
                    inputs.push(add(&mut graph, "w", floats(shape, &dense.weight)));
                    let bias = floats(vec![dense.outputs], &dense.bias);
                    inputs.push(add(&mut graph, "b", bias));
                    node("Gemm").with("transB", Attribute::Int(1))
                }
                Op::Affine(affine) => {
                    let rank = self.shape(&layer.output).len();
                    let shape: Vec<usize> = (0..rank)
                        .map(|axis| if axis == 1 { affine.scale.len() } else { 1 })
                        .collect();
                    let scaled = constant("scaled");
                    let scale = add(&mut graph, "w", floats(shape.clone(), &affine.scale));
                    let mut mul = Node::new(constant("mul"), "Mul", &[], &[]);
                    mul.inputs = vec![inputs.first().cloned().unwrap_or_default(), scale];
                    mul.outputs = vec![scaled.clone()];
                    graph.nodes.push(mul);
                    let shift = add(&mut graph, "b", floats(shape, &affine.shift));
                    inputs = vec![scaled, shift];
                    node("Add")
                }
                Op::Relu => node("Relu"),
                Op::MaxPool(window) => window.attributes(node("MaxPool")),
                Op::AveragePool(window) => {
                    let mut pool = window
                        .attributes(node("AveragePool"))
                        .with("count_include_pad", Attribute::Int(1));
                    pool.attributes.remove("dilations");
                    pool
                }
                Op::Add => node("Add"),
                Op::Concat => node("Concat").with("axis", Attribute::Int(1)),
                Op::Reshape(shape) => {
                    let dims = shape.iter().map(|&dim| i64_of_dim(dim)).collect();
                    let tensor = Tensor {
                        shape: vec![shape.len()],
                        data: TensorData::Int64(dims),
                    };
                    inputs.push(add(&mut graph, "shape", tensor));
                    node("Reshape")
                }
                Op::Transpose(perm) => {
                    let perm = perm.iter().map(|&axis| i64_of_dim(axis)).collect();
                    node("Transpose").with("perm", Attribute::Ints(perm))
                }
            };
            main.inputs = inputs;
            if relu {
                let before = constant("before-relu");
                main.outputs = vec![before.clone()];
                graph.nodes.push(main);
                main = Node::new(constant("relu"), "Relu", &[&before], &[]);
            }
            main.outputs = vec![layer.output.clone()];
            graph.nodes.push(main);
        }
        Model {
            ir_version: 8,
            producer_name: "proofmark".to_owned(),
            producer_version: String::new(),
            opsets: BTreeMap::from([(String::new(), 17)]),
            graph,
            metadata: BTreeMap::new(),
        }
    }
}

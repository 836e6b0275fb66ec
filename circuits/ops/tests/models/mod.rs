//! Models of random weights, for measurements of speed and memory, and the committed ones.

use std::path::Path;

use proofmark_onnx::{Attribute, Graph, Limits, Model, Node, Tensor, TensorData};
use proofmark_onnx::{ValueInfo, ValueType};
use proofmark_ops::plan::{Plan, Policy, plan};
use proofmark_tensor::{ElemType, IntTensor};

/// A chain of layers on 8-bit tensors.
struct Chain {
    graph: Graph,
    last: String,
    shape: Vec<usize>,
    seed: u64,
}

impl Chain {
    fn new(shape: &[usize]) -> Self {
        let input = ValueInfo::fixed("x", ValueType::Int(ElemType::Uint8), shape);
        let graph = Graph {
            name: "chain".to_owned(),
            inputs: vec![input],
            ..Graph::default()
        };
        Self {
            graph,
            last: "x".to_owned(),
            shape: shape.to_vec(),
            seed: 1,
        }
    }

    fn below(&mut self, bound: u64) -> i32 {
        self.seed ^= self.seed << 13;
        self.seed ^= self.seed >> 7;
        self.seed ^= self.seed << 17;
        i32::try_from((self.seed >> 20) % bound).unwrap()
    }

    fn constant(&mut self, name: &str, tensor: Tensor) -> String {
        let name = format!("{name}{}", self.graph.nodes.len());
        self.graph.initializers.insert(name.clone(), tensor);
        name
    }

    fn float(&mut self, name: &str, value: f32) -> String {
        let data = TensorData::Float(vec![value]);
        self.constant(
            name,
            Tensor {
                shape: vec![],
                data,
            },
        )
    }

    fn ints(&mut self, name: &str, elem: ElemType, shape: &[usize], data: Vec<i32>) -> String {
        let tensor = IntTensor::new(elem, shape.to_vec(), data).unwrap();
        self.constant(name, tensor.into())
    }

    fn push(&mut self, mut node: Node, domain: &str, shape: Vec<usize>) {
        node.domain = domain.to_owned();
        self.last = node.outputs[0].clone();
        self.graph.nodes.push(node);
        self.shape = shape;
    }

    /// The constants of a layer: (1, zero point 0, weights, multiplier, 128, bias).
    fn constants(&mut self, weights: &[usize], outputs: usize) -> [String; 6] {
        let count: usize = weights.iter().product();
        let data = (0..count).map(|_| self.below(256)).collect();
        let bias = (0..outputs)
            .map(|_| self.below(1 << 16) - (1 << 15))
            .collect();
        // One float32 step below a power of two: a shift.
        let k = 6 + (count / outputs).ilog2() / 2;
        let multiplier = f32::from_bits((0.5_f32).powi(k.try_into().unwrap()).to_bits() - 1);
        [
            self.float("one", 1.0),
            self.ints("zero", ElemType::Uint8, &[], vec![0]),
            self.ints("w", ElemType::Uint8, weights, data),
            self.float("m", multiplier),
            self.ints("middle", ElemType::Uint8, &[], vec![128]),
            self.ints("b", ElemType::Int32, &[outputs], bias),
        ]
    }

    fn dense(mut self, outputs: usize) -> Self {
        let [one, zero, w, m, middle, b] = self.constants(&[outputs, self.shape[1]], outputs);
        let name = format!("y{}", self.graph.nodes.len());
        let inputs = [&self.last, &one, &zero, &w, &m, &middle, &b, &one, &zero];
        let node = Node::new(
            &name,
            "QGemm",
            &inputs.map(String::as_str),
            &[name.as_str()],
        )
        .with("transB", Attribute::Int(1));
        self.push(node, "com.microsoft", vec![1, outputs]);
        self
    }

    pub(crate) fn conv(mut self, outputs: usize, stride: usize) -> Self {
        let [_, channels, height, width] = self.shape[..] else {
            panic!("not an image");
        };
        let [one, zero, w, m, middle, b] = self.constants(&[outputs, channels, 3, 3], outputs);
        let name = format!("y{}", self.graph.nodes.len());
        let inputs = [&self.last, &one, &zero, &w, &m, &middle, &one, &zero, &b];
        let strides = vec![i64::try_from(stride).unwrap(); 2];
        let node = Node::new(
            &name,
            "QLinearConv",
            &inputs.map(String::as_str),
            &[name.as_str()],
        )
        .with("pads", Attribute::Ints(vec![1; 4]))
        .with("strides", Attribute::Ints(strides));
        let to = |size: usize| (size - 1) / stride + 1;
        self.push(node, "", vec![1, outputs, to(height), to(width)]);
        self
    }

    fn plan(mut self) -> Plan {
        let output = ValueInfo::fixed(&self.last, ValueType::Int(ElemType::Uint8), &self.shape);
        self.graph.outputs.push(output);
        let model = Model {
            ir_version: 10,
            producer_name: String::new(),
            producer_version: String::new(),
            opsets: [(String::new(), 21), ("com.microsoft".to_owned(), 1)].into(),
            graph: self.graph,
            metadata: std::collections::BTreeMap::new(),
        };
        plan(&model, &Policy::public(1, 1)).unwrap()
    }
}

/// So many dense layers, as wide as their input.
pub(crate) fn mlp(layers: usize, width: usize) -> Plan {
    let chain = Chain::new(&[1, width]);
    (0..layers)
        .fold(chain, |chain, _| chain.dense(width))
        .plan()
}

/// Two 3×3 convolutions and one of stride 2, of so many channels, on a square image.
pub(crate) fn cnn(side: usize, channels: usize) -> Plan {
    Chain::new(&[1, 3, side, side])
        .conv(channels, 1)
        .conv(channels, 1)
        .conv(2 * channels, 2)
        .plan()
}

/// A model under `models/`.
pub(crate) fn committed(name: &str) -> Plan {
    let models = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../models");
    let path = models.join(name).join("integer.onnx");
    let model = proofmark_onnx::load(&path, &Limits::default()).unwrap();
    let (inputs, outputs) = (model.graph.inputs.len(), model.graph.outputs.len());
    plan(&model, &Policy::public(inputs, outputs)).unwrap()
}

/// An input that is not constant.
pub(crate) fn input(plan: &Plan) -> Vec<IntTensor> {
    let of = |info: &proofmark_ops::plan::TensorInfo| {
        let fact = &info.fact;
        let values = (0..fact.len()).map(|at| (at * 37 + at / 7 * 11) % 251);
        let data = values.map(|v| i32::try_from(v).unwrap() + fact.elem.min());
        IntTensor::new(fact.elem, fact.shape.clone(), data.collect()).unwrap()
    };
    plan.inputs().iter().map(of).collect()
}

//! Float ONNX graphs with random weights, node by node.

use proofmark_onnx::{
    Attribute, Graph, Model, Node, OnnxError, Tensor, TensorData, ValueInfo, ValueType,
};

/// A small reproducible source of numbers (xorshift64*): weights need no better one.
#[derive(Debug, Clone)]
pub(crate) struct Random(u64);

impl Random {
    /// Starts at a seed.
    pub(crate) const fn new(seed: u64) -> Self {
        Self(seed ^ 0x9e37_79b9_7f4a_7c15)
    }

    /// A number in [0, 1), a multiple of 2^-16.
    pub(crate) fn unit(&mut self) -> f32 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        let high = self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 48;
        f32::from(u16::try_from(high).unwrap_or(0)) / 65_536.0
    }

    /// So many numbers in [0, 1).
    pub(crate) fn units(&mut self, count: usize) -> Vec<f32> {
        (0..count).map(|_| self.unit()).collect()
    }

    /// So many numbers in (-bound, bound).
    fn around_zero(&mut self, count: usize, bound: f32) -> Vec<f32> {
        (0..count)
            .map(|_| self.unit().mul_add(2.0, -1.0) * bound)
            .collect()
    }
}

/// Kernel, strides and padding of a window over two dimensions.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Window {
    /// Height and width.
    pub(crate) kernel: [usize; 2],
    /// Steps down and right.
    pub(crate) strides: [usize; 2],
    /// Zeros at the top, left, bottom and right.
    pub(crate) pads: [usize; 4],
}

impl Window {
    /// A square window of odd side that keeps height and width at stride 1.
    pub(crate) const fn same(side: usize, stride: usize) -> Self {
        Self {
            kernel: [side; 2],
            strides: [stride; 2],
            pads: [side / 2; 4],
        }
    }
}

/// A graph under construction: one input `x` of batch 1, one output `logits`. A value's name is
/// that of its node. Weights are drawn uniformly with He's variance, so that the size of
/// activations stays what it is from layer to layer and none saturates to a constant.
#[derive(Debug)]
pub(crate) struct Builder {
    graph: Graph,
    random: Random,
}

impl Builder {
    /// A graph with its input.
    pub(crate) fn new(name: &str, input: &[usize]) -> Self {
        let graph = Graph {
            name: name.to_owned(),
            inputs: vec![ValueInfo::fixed("x", ValueType::Float, input)],
            ..Graph::default()
        };
        let seed = name.bytes().fold(1, |seed, byte| {
            u64::from(byte).wrapping_add(131_u64.wrapping_mul(seed))
        });
        Self {
            graph,
            random: Random::new(seed),
        }
    }

    fn node(&mut self, node: Node) -> String {
        let value = node.name.clone();
        self.graph.nodes.push(node);
        value
    }

    fn plain(&mut self, name: &str, op_type: &str, inputs: &[&str]) -> String {
        self.node(Node::new(name, op_type, inputs, &[name]))
    }

    /// Random weights and biases of a layer, stored; returns their names.
    fn parameters(
        &mut self,
        name: &str,
        shape: &[usize],
        fan_in: usize,
    ) -> Result<[String; 2], OnnxError> {
        let fan_in = f32::from(u16::try_from(fan_in).unwrap_or(u16::MAX));
        let weights = self
            .random
            .around_zero(shape.iter().product(), (6.0 / fan_in).sqrt());
        let outputs = shape.first().copied().unwrap_or(0);
        let biases = self.random.around_zero(outputs, 0.05);
        let names = [format!("{name}.weight"), format!("{name}.bias")];
        let tensors = [
            Tensor::new(shape.to_vec(), TensorData::Float(weights))?,
            Tensor::new(vec![outputs], TensorData::Float(biases))?,
        ];
        for (name, tensor) in names.iter().zip(tensors) {
            self.graph.initializers.insert(name.clone(), tensor);
        }
        Ok(names)
    }

    /// A fully connected layer.
    pub(crate) fn dense(
        &mut self,
        name: &str,
        x: &str,
        inputs: usize,
        outputs: usize,
    ) -> Result<String, OnnxError> {
        let [weight, bias] = self.parameters(name, &[outputs, inputs], inputs)?;
        let node = Node::new(name, "Gemm", &[x, &weight, &bias], &[name]);
        Ok(self.node(node.with("transB", Attribute::Int(1))))
    }

    /// A convolution of `inputs` to `outputs` channels in `groups`.
    pub(crate) fn conv(
        &mut self,
        name: &str,
        x: &str,
        [inputs, outputs]: [usize; 2],
        window: Window,
        groups: usize,
    ) -> Result<String, OnnxError> {
        let [height, width] = window.kernel;
        let each = inputs / groups;
        let shape = [outputs, each, height, width];
        let [weight, bias] = self.parameters(name, &shape, each * height * width)?;
        let node = Node::new(name, "Conv", &[x, &weight, &bias], &[name])
            .with("kernel_shape", ints(&window.kernel))
            .with("strides", ints(&window.strides))
            .with("pads", ints(&window.pads))
            .with("group", ints_one(groups));
        Ok(self.node(node))
    }

    /// `max(x, 0)`.
    pub(crate) fn relu(&mut self, name: &str, x: &str) -> String {
        self.plain(name, "Relu", &[x])
    }

    /// Sum of two tensors of one shape.
    pub(crate) fn add(&mut self, name: &str, x: &str, y: &str) -> String {
        self.plain(name, "Add", &[x, y])
    }

    /// Largest of 2×2, side by side.
    pub(crate) fn max_pool(&mut self, name: &str, x: &str) -> String {
        let node = Node::new(name, "MaxPool", &[x], &[name])
            .with("kernel_shape", ints(&[2, 2]))
            .with("strides", ints(&[2, 2]));
        self.node(node)
    }

    /// Mean of each channel.
    pub(crate) fn global_average_pool(&mut self, name: &str, x: &str) -> String {
        self.plain(name, "GlobalAveragePool", &[x])
    }

    /// All dimensions but the first in one.
    pub(crate) fn flatten(&mut self, name: &str, x: &str) -> String {
        self.plain(name, "Flatten", &[x])
    }

    /// The model, whose output is the last node's value, of shape [1, `classes`].
    pub(crate) fn finish(mut self, classes: usize) -> Model {
        if let Some(output) = self
            .graph
            .nodes
            .last_mut()
            .and_then(|n| n.outputs.first_mut())
        {
            "logits".clone_into(output);
        }
        let output = ValueInfo::fixed("logits", ValueType::Float, &[1, classes]);
        self.graph.outputs.push(output);
        Model {
            ir_version: 8,
            producer_name: "proofmark-bench".to_owned(),
            producer_version: String::new(),
            opsets: [(String::new(), 17)].into(),
            graph: self.graph,
            metadata: std::collections::BTreeMap::new(),
        }
    }
}

fn ints(values: &[usize]) -> Attribute {
    let convert = |&value| i64::try_from(value).unwrap_or(i64::MAX);
    Attribute::Ints(values.iter().map(convert).collect())
}

fn ints_one(value: usize) -> Attribute {
    Attribute::Int(i64::try_from(value).unwrap_or(i64::MAX))
}

/// Number of weights and biases: elements of all stored tensors but shapes and the like (int64).
pub(crate) fn parameters(model: &Model) -> u64 {
    let stored = model.graph.initializers.values();
    stored
        .filter(|tensor| !matches!(tensor.data, TensorData::Int64(_)))
        .map(|tensor| tensor.shape.iter().product::<usize>() as u64)
        .sum()
}

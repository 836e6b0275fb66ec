//! Builders for small integer models.

use proofmark_onnx::{Attribute, Graph, Model, Node, Tensor, TensorData, ValueInfo, ValueType};
use proofmark_tensor::{ElemType, IntTensor};

use crate::Random;

/// A model under construction.
#[derive(Debug)]
pub struct Builder {
    graph: Graph,
    next: usize,
}

impl Default for Builder {
    fn default() -> Self {
        Self::new()
    }
}

impl Builder {
    /// An empty graph.
    pub fn new() -> Self {
        Self {
            graph: Graph {
                name: "case".to_owned(),
                ..Graph::default()
            },
            next: 0,
        }
    }

    /// A fresh name.
    pub fn name(&mut self, stem: &str) -> String {
        self.next += 1;
        format!("{stem}_{}", self.next)
    }

    /// A graph input.
    pub fn input(&mut self, elem: ElemType, shape: &[usize]) -> String {
        let name = self.name("input");
        self.graph
            .inputs
            .push(ValueInfo::fixed(&name, ValueType::Int(elem), shape));
        name
    }

    /// A graph output.
    pub fn output(&mut self, name: &str, elem: ElemType, shape: &[usize]) {
        self.graph
            .outputs
            .push(ValueInfo::fixed(name, ValueType::Int(elem), shape));
    }

    /// A float32 graph input.
    pub fn float_input(&mut self, shape: &[usize]) -> String {
        let name = self.name("input");
        let info = ValueInfo::fixed(&name, ValueType::Float, shape);
        self.graph.inputs.push(info);
        name
    }

    /// A float32 graph output.
    pub fn float_output(&mut self, name: &str, shape: &[usize]) {
        let info = ValueInfo::fixed(name, ValueType::Float, shape);
        self.graph.outputs.push(info);
    }

    /// A stored tensor.
    pub fn constant(&mut self, tensor: Tensor) -> String {
        let name = self.name("constant");
        self.graph.initializers.insert(name.clone(), tensor);
        name
    }

    /// Stored integers.
    pub fn ints(&mut self, elem: ElemType, shape: &[usize], data: Vec<i32>) -> String {
        let tensor = IntTensor::new(elem, shape.to_vec(), data).expect("a tensor");
        self.constant(tensor.into())
    }

    /// A stored integer scalar.
    pub fn int(&mut self, elem: ElemType, value: i32) -> String {
        self.ints(elem, &[], vec![value])
    }

    /// Stored float32 values: a scalar for one value, else a vector.
    pub fn floats(&mut self, values: &[f32]) -> String {
        let shape = if values.len() == 1 {
            vec![]
        } else {
            vec![values.len()]
        };
        self.constant(Tensor::new(shape, TensorData::Float(values.to_vec())).expect("a tensor"))
    }

    /// Stored int64 values.
    pub fn int64s(&mut self, values: &[i64]) -> String {
        let data = TensorData::Int64(values.to_vec());
        self.constant(Tensor::new(vec![values.len()], data).expect("a tensor"))
    }

    /// A node with one output, whose name is returned.
    pub fn node(
        &mut self,
        domain: &str,
        op_type: &str,
        inputs: &[&str],
        attributes: &[(&str, Attribute)],
    ) -> String {
        let output = self.name("value");
        let mut node = Node::new(self.name(op_type), op_type, inputs, &[&output]);
        node.domain = domain.to_owned();
        for (name, value) in attributes {
            node = node.with(*name, value.clone());
        }
        self.graph.nodes.push(node);
        output
    }

    /// The model: operator set 21 and `com.microsoft` 1.
    pub fn finish(self) -> Model {
        Model {
            ir_version: 10,
            producer_name: "proofmark-tests".to_owned(),
            producer_version: String::new(),
            opsets: [(String::new(), 21), ("com.microsoft".to_owned(), 1)].into(),
            graph: self.graph,
            metadata: std::collections::BTreeMap::default(),
        }
    }
}

/// A tensor of random values over the whole type, with its extremes made likely.
pub fn random_tensor(random: &mut Random, elem: ElemType, shape: &[usize]) -> IntTensor {
    let (lo, hi) = (i64::from(elem.min()), i64::from(elem.max()));
    let data = (0..shape.iter().product())
        .map(|_| {
            let value = match random.between(0, 7) {
                0 => lo,
                1 => hi,
                _ => random.between(lo, hi),
            };
            value as i32
        })
        .collect();
    IntTensor::new(elem, shape.to_vec(), data).expect("values are in range")
}

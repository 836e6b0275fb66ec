//! Small models and reproducible numbers for the tests of this crate.
#![allow(
    dead_code,
    clippy::allow_attributes,
    reason = "each test binary compiles this module and uses a part of it"
)]

use std::collections::BTreeMap;

use proofmark_onnx::{Graph, Model, Node, Tensor, TensorData, ValueInfo, ValueType};
use proofmark_types::{ElemType, IntTensor};

/// A graph under construction.
#[derive(Default)]
pub(crate) struct Builder {
    graph: Graph,
}

impl Builder {
    pub(crate) fn new() -> Self {
        let graph = Graph {
            name: "test".to_owned(),
            ..Graph::default()
        };
        Self { graph }
    }

    pub(crate) fn input(mut self, name: &str, ty: ValueType, shape: &[usize]) -> Self {
        self.graph.inputs.push(ValueInfo::fixed(name, ty, shape));
        self
    }

    pub(crate) fn output(mut self, name: &str, ty: ValueType, shape: &[usize]) -> Self {
        self.graph.outputs.push(ValueInfo::fixed(name, ty, shape));
        self
    }

    pub(crate) fn float(mut self, name: &str, shape: &[usize], data: Vec<f32>) -> Self {
        let tensor = Tensor::new(shape.to_vec(), TensorData::Float(data)).unwrap();
        self.graph.initializers.insert(name.to_owned(), tensor);
        self
    }

    pub(crate) fn int(
        mut self,
        name: &str,
        elem: ElemType,
        shape: &[usize],
        data: Vec<i32>,
    ) -> Self {
        let ints = IntTensor::new(elem, shape.to_vec(), data).unwrap();
        let tensor = Tensor::new(shape.to_vec(), TensorData::Int(ints)).unwrap();
        self.graph.initializers.insert(name.to_owned(), tensor);
        self
    }

    pub(crate) fn node(mut self, node: Node) -> Self {
        self.graph.nodes.push(node);
        self
    }

    /// The model's bytes: operator set 21, and version 1 of other domains that a node names.
    pub(crate) fn bytes(self) -> Vec<u8> {
        let domains = self.graph.nodes.iter().map(|node| (node.domain.clone(), 1));
        let mut opsets: BTreeMap<String, i64> = domains.collect();
        opsets.insert(String::new(), 21);
        proofmark_onnx::encode(&Model {
            ir_version: 10,
            producer_name: String::new(),
            producer_version: String::new(),
            opsets,
            graph: self.graph,
            metadata: BTreeMap::new(),
        })
    }
}

/// `y = MaxPool2x2(x)` on `[1, 1, 4, 4]` uint8.
pub(crate) fn pool_model() -> Vec<u8> {
    let elem = ValueType::Int(ElemType::Uint8);
    let pool = Node::new("pool", "MaxPool", &["x"], &["y"])
        .with("kernel_shape", proofmark_onnx::Attribute::Ints(vec![2, 2]))
        .with("strides", proofmark_onnx::Attribute::Ints(vec![2, 2]));
    Builder::new()
        .input("x", elem, &[1, 1, 4, 4])
        .output("y", elem, &[1, 1, 2, 2])
        .node(pool)
        .bytes()
}

pub(crate) fn ints(elem: ElemType, shape: &[usize], data: Vec<i32>) -> IntTensor {
    IntTensor::new(elem, shape.to_vec(), data).unwrap()
}

pub(crate) fn feeds<T>(pairs: impl IntoIterator<Item = (&'static str, T)>) -> BTreeMap<String, T> {
    pairs
        .into_iter()
        .map(|(name, value)| (name.to_owned(), value))
        .collect()
}

/// SplitMix64 (Steele, Lea and Flood 2014): the same numbers in every run.
pub(crate) struct Random(pub(crate) u64);

impl Random {
    pub(crate) fn bits(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }

    /// Uniform in `lo ..= hi`.
    pub(crate) fn between(&mut self, lo: i32, hi: i32) -> i32 {
        let span = (i64::from(hi) - i64::from(lo) + 1).cast_unsigned();
        let offset = (self.bits() % span).cast_signed();
        i32::try_from(i64::from(lo) + offset).unwrap()
    }

    pub(crate) fn tensor(&mut self, elem: ElemType, count: usize) -> Vec<i32> {
        (0..count)
            .map(|_| self.between(elem.min(), elem.max()))
            .collect()
    }

    /// A positive float32 with a biased exponent in `lo ..= hi` (0 is subnormal).
    pub(crate) fn float(&mut self, lo: i32, hi: i32) -> f32 {
        let exponent = self.between(lo, hi).cast_unsigned();
        let mantissa = u32::try_from(self.bits() & 0x7F_FFFF).unwrap();
        f32::from_bits(exponent << 23 | mantissa)
    }
}

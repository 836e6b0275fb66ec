//! Small quantized graphs for tests: run through ONNX Runtime as they are, as they are imported,
//! and through the compiler's evaluator and witness.

use std::collections::BTreeMap;

use proofmark_onnx::{
    Attribute, Limits, Model, Node, Tensor, TensorData, ValueInfo, ValueType, encode,
};
use proofmark_ops::{Policy, Salts, plan};
use proofmark_runtime::{AnySession, IntSession, OptLevel, Value};
use proofmark_types::manifest::{InexactRewrite, ReferenceLevel};
use proofmark_types::{ElemType, IntTensor};

use super::{import_quantized, level_of, with_int32_outputs};
use crate::{Options, QuantizeError};

pub(super) const BOTH: [ElemType; 2] = [ElemType::Uint8, ElemType::Int8];

/// A graph over 8-bit inputs `q0`, `q1` ….
pub(super) struct Small {
    pub(super) model: Model,
    state: u64,
}

/// What a comparison found.
#[derive(Debug, Default)]
pub(super) struct Found {
    pub(super) compared: usize,
    pub(super) different: usize,
    pub(super) largest: i32,
    pub(super) inexact: Vec<InexactRewrite>,
    pub(super) model: Option<Model>,
}

impl Small {
    pub(super) fn new(elem: ElemType, inputs: &[&[usize]]) -> Self {
        let info = |(at, shape): (usize, &&[usize])| {
            ValueInfo::fixed(format!("q{at}"), ValueType::Int(elem), shape)
        };
        let graph = proofmark_onnx::Graph {
            name: "g".to_owned(),
            inputs: inputs.iter().enumerate().map(info).collect(),
            ..proofmark_onnx::Graph::default()
        };
        Self {
            model: Model {
                ir_version: 8,
                producer_name: String::new(),
                producer_version: String::new(),
                opsets: [(String::new(), 17), ("com.microsoft".to_owned(), 1)].into(),
                graph,
                metadata: BTreeMap::new(),
            },
            state: 5,
        }
    }

    pub(super) fn opset(mut self, version: i64) -> Self {
        self.model.opsets.insert(String::new(), version);
        self
    }

    fn stored(&mut self, name: &str, tensor: Tensor) -> &mut Self {
        let known = &mut self.model.graph.initializers;
        known.insert(name.to_owned(), tensor);
        self
    }

    pub(super) fn ints(&mut self, name: &str, values: &[i64]) -> &mut Self {
        let data = TensorData::Int64(values.to_vec());
        self.stored(name, Tensor::new(vec![values.len()], data).unwrap())
    }

    pub(super) fn floats(&mut self, name: &str, shape: &[usize], values: &[f32]) -> &mut Self {
        let data = TensorData::Float(values.to_vec());
        self.stored(name, Tensor::new(shape.to_vec(), data).unwrap())
    }

    pub(super) fn bytes(
        &mut self,
        name: &str,
        elem: ElemType,
        shape: &[usize],
        values: &[i32],
    ) -> &mut Self {
        let tensor = IntTensor::new(elem, shape.to_vec(), values.to_vec()).unwrap();
        self.stored(name, tensor.into())
    }

    /// Scale and zero point under `<name>s` and `<name>z`.
    pub(super) fn grid(&mut self, name: &str, scale: f32, zero: i32, elem: ElemType) -> &mut Self {
        self.floats(&format!("{name}s"), &[], &[scale]);
        self.bytes(&format!("{name}z"), elem, &[], &[zero])
    }

    /// A node named after its first output; `com.microsoft` where ONNX has no such operator.
    pub(super) fn node(
        &mut self,
        op_type: &str,
        inputs: &[&str],
        outputs: &[&str],
        attributes: &[(&str, Attribute)],
    ) -> &mut Self {
        let mut node = Node::new(format!("{}_node", outputs[0]), op_type, inputs, outputs);
        let own = ["QLinearConv", "QLinearMatMul"].contains(&op_type);
        if op_type.starts_with('Q') && !own && op_type != "QuantizeLinear" {
            node.domain = "com.microsoft".to_owned();
        }
        for (name, value) in attributes {
            node = node.with(*name, value.clone());
        }
        self.model.graph.nodes.push(node);
        self
    }

    /// `DequantizeLinear` of `from` on a grid.
    pub(super) fn show(&mut self, from: &str, grid: &str, to: &str) -> &mut Self {
        let (s, z) = (format!("{grid}s"), format!("{grid}z"));
        self.node("DequantizeLinear", &[from, &s, &z], &[to], &[])
    }

    /// `QuantizeLinear` of `from` to a grid.
    pub(super) fn quantize(&mut self, from: &str, grid: &str, to: &str) -> &mut Self {
        let (s, z) = (format!("{grid}s"), format!("{grid}z"));
        self.node("QuantizeLinear", &[from, &s, &z], &[to], &[])
    }

    pub(super) fn output(&mut self, name: &str, elem: ElemType) -> &mut Self {
        self.output_of(name, ValueType::Int(elem))
    }

    /// An output of indices.
    pub(super) fn output_int64(&mut self, name: &str) -> &mut Self {
        self.output_of(name, ValueType::Int64)
    }

    fn output_of(&mut self, name: &str, ty: ValueType) -> &mut Self {
        let outputs = &mut self.model.graph.outputs;
        outputs.push(ValueInfo {
            name: name.to_owned(),
            ty,
            dims: None,
        });
        self
    }

    /// A number below a bound.
    pub(super) fn random(&mut self, below: u64) -> u64 {
        self.state = self
            .state
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        (self.state >> 33) % below
    }

    /// Random inputs, some of few values, and the extremes.
    pub(super) fn feeds(&mut self, count: usize) -> Vec<Vec<IntTensor>> {
        let inputs = self.model.graph.inputs.clone();
        let mut feeds = Vec::with_capacity(count);
        for round in 0..count {
            let mut feed = Vec::with_capacity(inputs.len());
            for info in &inputs {
                let ValueType::Int(elem) = info.ty else {
                    panic!("{:?}", info.ty)
                };
                let shape = info.static_shape().unwrap();
                let len: usize = shape.iter().product();
                let spread = [256, 256, 256, 40, 9, 3][round % 6];
                let start = self.random(257 - spread);
                let one = |at: u64| elem.min() + i32::try_from(at).unwrap();
                let data = match round {
                    0 => vec![elem.min(); len],
                    1 => vec![elem.max(); len],
                    2 => (0..len).map(|at| one(255 * (at as u64 % 2))).collect(),
                    _ => (0..len).map(|_| one(start + self.random(spread))).collect(),
                };
                feed.push(IntTensor::new(elem, shape, data).unwrap());
            }
            feeds.push(feed);
        }
        feeds
    }

    pub(super) fn import(&self, level: ReferenceLevel) -> Result<crate::Quantized, QuantizeError> {
        let options = Options {
            reference: level,
            ..Options::default()
        };
        import_quantized(&self.model, &options)
    }

    /// Why the import is refused.
    pub(super) fn refused(&self) -> Vec<String> {
        match self.import(ReferenceLevel::All).unwrap_err() {
            QuantizeError::Unsupported(nodes) => nodes
                .into_iter()
                .map(|node| {
                    assert!(!node.remedy.is_empty());
                    format!("{}: {}", node.name, node.reason)
                })
                .collect(),
            other => panic!("{other}"),
        }
    }

    /// The original at a level against the imported model: the runtime on all inputs, the
    /// evaluator on all, the witness on some.
    pub(super) fn compare(&self, level: ReferenceLevel, feeds: &[Vec<IntTensor>]) -> Found {
        self.against(level, feeds, true)
    }

    /// The two models in the runtime alone, for more outputs than are worth a circuit.
    pub(super) fn run_both(&self, level: ReferenceLevel, feeds: &[Vec<IntTensor>]) -> Found {
        self.against(level, feeds, false)
    }

    fn against(&self, level: ReferenceLevel, feeds: &[Vec<IntTensor>], proven: bool) -> Found {
        let made = self.import(level).unwrap();
        let old =
            AnySession::load(&encode(&with_int32_outputs(&self.model)), level_of(level)).unwrap();
        let new = IntSession::load(&made.model, OptLevel::DisableAll).unwrap();
        let parsed = proofmark_onnx::parse(&made.model, &Limits::default()).unwrap();
        let policy = Policy::public(made.inputs.len(), made.outputs.len());
        let plan = proven.then(|| plan(&parsed, &policy).unwrap());
        let mut found = Found {
            inexact: made.inexact,
            model: Some(parsed),
            ..Found::default()
        };
        for (round, feed) in feeds.iter().enumerate() {
            let given = |at: usize| made.inputs[at].name.clone();
            let named = feed
                .iter()
                .enumerate()
                .map(|(at, x)| (given(at), x.clone()));
            let named: BTreeMap<String, IntTensor> = named.collect();
            let values = named
                .iter()
                .map(|(name, x)| (name.clone(), Value::Int(x.clone())));
            let (wanted, got) = (
                old.run(&values.collect()).unwrap(),
                new.run(&named).unwrap(),
            );
            if let Some(plan) = &plan {
                let evaluated = plan.evaluate(feed).unwrap();
                for (spec, evaluated) in made.outputs.iter().zip(&evaluated) {
                    assert_eq!(&got[&spec.name], evaluated, "{}", spec.name);
                }
                if round < 4 {
                    let salts = Salts {
                        inputs: vec![None; feed.len()],
                        outputs: vec![None; made.outputs.len()],
                    };
                    let witness = plan.witness(feed, 0_u64.into(), &salts).unwrap();
                    assert_eq!(witness.outputs, evaluated);
                }
            }
            for spec in &made.outputs {
                let got = &got[&spec.name];
                let Some(Value::Int(wanted)) = wanted.get(&spec.name) else {
                    panic!("no output {}", spec.name)
                };
                assert_eq!((wanted.shape(), wanted.elem()), (got.shape(), got.elem()));
                assert_eq!(spec.shape, got.shape());
                for (a, b) in wanted.data().iter().zip(got.data()) {
                    found.compared += 1;
                    found.different += usize::from(a != b);
                    found.largest = found.largest.max((a - b).abs());
                }
            }
        }
        found
    }

    /// That nothing differs at level `all` for uint8. Whether the runtime fuses int8 depends on the
    /// processor: where it does not, the importer says so, and floats differ next to a threshold
    /// only.
    pub(super) fn exact_where_fused(&mut self, elem: ElemType, rounds: usize) -> Found {
        if elem == ElemType::Uint8 {
            return self.exact(rounds);
        }
        let feeds = self.feeds(rounds);
        let found = self.compare(ReferenceLevel::All, &feeds);
        assert!(!found.inexact.is_empty() || found.different == 0);
        assert!(found.different * 100 < found.compared && found.largest <= 1);
        found
    }

    /// That nothing differs at level `all`, and the importer says so.
    pub(super) fn exact(&mut self, rounds: usize) -> Found {
        let feeds = self.feeds(rounds);
        let found = self.compare(ReferenceLevel::All, &feeds);
        let names: Vec<&str> = self
            .model
            .graph
            .nodes
            .iter()
            .map(|n| n.op_type.as_str())
            .collect();
        assert!(found.inexact.is_empty(), "{names:?}: {:?}", found.inexact);
        assert_eq!(found.different, 0, "{names:?}: largest {}", found.largest);
        assert!(found.compared >= rounds);
        found
    }
}

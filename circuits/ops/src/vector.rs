//! Worked examples of an operator, kept in the operator's own file.
//!
//! Each is a model of one node (with what must stand in front of it), inputs, and what must come
//! out, worked out from the ONNX text by hand. `tests/conformance` holds ONNX Runtime, the
//! evaluator and the witness to it, `tests/soundness` mutates its witness and removes its
//! constraints.

use std::collections::BTreeMap;

use proofmark_onnx::{Attribute, Graph, Model, Node, Tensor, TensorData, ValueInfo, ValueType};
use proofmark_tensor::{ElemType, IntTensor};

use crate::operator::OpSpec;

/// What must become of a [`Vector`].
#[derive(Debug, Clone, PartialEq)]
pub enum Expect {
    /// The node's output.
    Output {
        /// Element type.
        elem: ElemType,
        /// Dimensions.
        shape: Vec<usize>,
        /// Elements, row-major.
        data: Vec<i32>,
    },
    /// The node is refused for a reason that contains this text.
    Refused(&'static str),
}

/// One worked example.
#[derive(Debug, Clone)]
pub struct Vector {
    /// What it shows.
    pub name: &'static str,
    /// Whether an output saturates at an end of its type.
    pub saturates: bool,
    /// What must come out.
    pub expect: Expect,
    nodes: Vec<Node>,
    constants: BTreeMap<String, Tensor>,
    inputs: Vec<(String, ElemType, Vec<usize>, Vec<i32>)>,
}

/// Name of the tensor that a vector's last node makes.
const OUTPUT: &str = "out";
/// Name of the operator's output where another node makes the vector's ([`Vector::read_by`]).
const INNER: &str = "inner";

impl Vector {
    /// An example of an operator. The node's inputs are the names of `inputs`, in order (`""` for
    /// one that is left out), each given by [`input`](Self::input), [`constant`](Self::constant)
    /// or a node in front ([`after`](Self::after)).
    pub fn new(name: &'static str, spec: &OpSpec, inputs: &[&str]) -> Self {
        let mut node = Node::new("node", spec.op_type, inputs, &[OUTPUT]);
        spec.domain.clone_into(&mut node.domain);
        Self {
            name,
            saturates: false,
            expect: Expect::Refused(""),
            nodes: vec![node],
            constants: BTreeMap::new(),
            inputs: Vec::new(),
        }
    }

    /// A run-time input of the model and its elements.
    #[must_use]
    pub fn input(mut self, name: &str, elem: ElemType, shape: &[usize], data: &[i32]) -> Self {
        self.inputs
            .push((name.to_owned(), elem, shape.to_vec(), data.to_vec()));
        self
    }

    /// A constant.
    #[must_use]
    pub fn constant(mut self, name: &str, tensor: Tensor) -> Self {
        self.constants.insert(name.to_owned(), tensor);
        self
    }

    /// A constant list of int64.
    #[must_use]
    pub fn int64s(self, name: &str, values: &[i64]) -> Self {
        let tensor = Tensor {
            shape: vec![values.len()],
            data: TensorData::Int64(values.to_vec()),
        };
        self.constant(name, tensor)
    }

    /// A constant list of float32.
    #[must_use]
    pub fn floats(self, name: &str, values: &[f32]) -> Self {
        let tensor = Tensor {
            shape: vec![values.len()],
            data: TensorData::Float(values.to_vec()),
        };
        self.constant(name, tensor)
    }

    /// A constant of an integer type. Left out, so that the example fails, where the values do not
    /// fit.
    #[must_use]
    pub fn ints(self, name: &str, elem: ElemType, shape: &[usize], data: &[i32]) -> Self {
        match IntTensor::new(elem, shape.to_vec(), data.to_vec()) {
            Ok(tensor) => self.constant(name, tensor.into()),
            Err(_) => self,
        }
    }

    /// An attribute of the node.
    #[must_use]
    pub fn attribute(mut self, name: &str, value: Attribute) -> Self {
        if let Some(node) = self.nodes.pop() {
            self.nodes.push(node.with(name, value));
        }
        self
    }

    /// A node in front of the operator, behind those added before.
    #[must_use]
    pub fn after(mut self, node: Node) -> Self {
        let at = self.nodes.len().saturating_sub(1);
        self.nodes.insert(at, node);
        self
    }

    /// A node behind the operator, which reads its output and makes the one of the vector. Called
    /// after the operator's attributes have been given.
    #[must_use]
    pub fn read_by(mut self, op_type: &str, attributes: &[(&str, Attribute)]) -> Self {
        if let Some(operator) = self.nodes.last_mut() {
            operator.outputs = vec![INNER.to_owned()];
        }
        let reader = Node::new("reader", op_type, &[INNER], &[OUTPUT]);
        let with = |node: Node, (name, value): &(&str, Attribute)| node.with(*name, value.clone());
        self.nodes.push(attributes.iter().fold(reader, with));
        self
    }

    /// What must come out.
    #[must_use]
    pub fn gives(mut self, elem: ElemType, shape: &[usize], data: &[i32]) -> Self {
        self.expect = Expect::Output {
            elem,
            shape: shape.to_vec(),
            data: data.to_vec(),
        };
        self
    }

    /// That an output saturates.
    #[must_use]
    pub const fn saturating(mut self) -> Self {
        self.saturates = true;
        self
    }

    /// That the node is refused, for a reason that contains `part`.
    #[must_use]
    pub fn refused(mut self, part: &'static str) -> Self {
        self.expect = Expect::Refused(part);
        self
    }

    /// The model, in operator set 21 and `com.microsoft` 1.
    pub fn model(&self) -> Model {
        let int = |name: &str, elem: ElemType, shape: &[usize]| {
            ValueInfo::fixed(name, ValueType::Int(elem), shape)
        };
        let outputs = match &self.expect {
            Expect::Output { elem, shape, .. } => vec![int(OUTPUT, *elem, shape)],
            // Never reached: the node is refused before outputs are looked at.
            Expect::Refused(_) => vec![int(OUTPUT, ElemType::Uint8, &[1])],
        };
        Model {
            ir_version: 10,
            producer_name: "proofmark-vectors".to_owned(),
            producer_version: String::new(),
            opsets: [(String::new(), 21), ("com.microsoft".to_owned(), 1)].into(),
            graph: Graph {
                name: "vector".to_owned(),
                nodes: self.nodes.clone(),
                initializers: self.constants.clone(),
                inputs: self
                    .inputs
                    .iter()
                    .map(|(name, elem, shape, _)| int(name, *elem, shape))
                    .collect(),
                outputs,
                ..Graph::default()
            },
            metadata: BTreeMap::new(),
        }
    }

    /// The inputs in graph order; `None` when one does not fit its type or shape.
    pub fn inputs(&self) -> Option<Vec<IntTensor>> {
        self.inputs
            .iter()
            .map(|(_, elem, shape, data)| IntTensor::new(*elem, shape.clone(), data.clone()).ok())
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use ark_bn254::Fr;

    use super::*;
    use crate::ops::OPERATORS;
    use crate::plan::{Plan, Policy, Salts, plan};

    /// Evaluator, witness and constraints; ONNX Runtime is asked in `tests/conformance`.
    #[test]
    fn every_operator_computes_its_examples_and_refuses_what_it_says() {
        for spec in OPERATORS {
            let (mut outputs, mut refusals) = (0, 0);
            for vector in (spec.vectors)() {
                let name = format!("{}: {}", spec.op_type, vector.name);
                let model = vector.model();
                let policy = Policy::public(model.graph.inputs.len(), model.graph.outputs.len());
                let planned = plan(&model, &policy);
                let compiled = planned.as_ref().map(Plan::circuit);
                match &vector.expect {
                    Expect::Refused(part) => {
                        let error = match compiled {
                            Err(error) => error.to_string(),
                            Ok(Err(error)) => error.to_string(),
                            Ok(Ok(_)) => panic!("{name} is accepted"),
                        };
                        assert!(error.contains(part), "{name}: {error}");
                        refusals += 1;
                    }
                    Expect::Output { elem, shape, data } => {
                        let circuit = compiled.unwrap().unwrap();
                        let plan = planned.as_ref().unwrap();
                        let inputs = vector.inputs().unwrap();
                        let expected =
                            vec![IntTensor::new(*elem, shape.clone(), data.clone()).unwrap()];
                        assert_eq!(plan.evaluate(&inputs).unwrap(), expected, "{name}");
                        let witness = plan
                            .witness(&inputs, Fr::from(7_u64), &Salts::default())
                            .unwrap();
                        assert_eq!(witness.outputs, expected, "{name}");
                        let violated = circuit.r1cs.violated(&witness.assignment);
                        assert_eq!(violated, Vec::<usize>::new(), "{name}");
                        outputs += 1;
                    }
                }
            }
            assert!(
                outputs > 0 && refusals > 0,
                "{}: {outputs}, {refusals}",
                spec.op_type
            );
        }
    }
}

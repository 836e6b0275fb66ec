//! Small integer models, and evaluators of slightly different ones, for this crate's tests.

use std::collections::BTreeMap;

use proofmark_onnx::{Attribute, Graph, Model, Node, Tensor, TensorData, ValueInfo, ValueType};
use proofmark_ops::{OpsError, Plan, Policy, plan};
use proofmark_tensor::{ElemType, IntTensor};

/// A model under construction.
#[derive(Default)]
pub(crate) struct Builder(Graph);

impl Builder {
    pub(crate) fn input(mut self, name: &str, elem: ElemType, shape: &[usize]) -> Self {
        let info = ValueInfo::fixed(name, ValueType::Int(elem), shape);
        self.0.inputs.push(info);
        self
    }

    pub(crate) fn output(mut self, name: &str, elem: ElemType, shape: &[usize]) -> Self {
        let info = ValueInfo::fixed(name, ValueType::Int(elem), shape);
        self.0.outputs.push(info);
        self
    }

    pub(crate) fn ints(
        mut self,
        name: &str,
        elem: ElemType,
        shape: &[usize],
        data: &[i32],
    ) -> Self {
        let tensor = IntTensor::new(elem, shape.to_vec(), data.to_vec()).unwrap();
        self.0.initializers.insert(name.to_owned(), tensor.into());
        self
    }

    /// A scalar for one value, else a vector.
    pub(crate) fn floats(mut self, name: &str, values: &[f32]) -> Self {
        let shape = if values.len() == 1 {
            vec![]
        } else {
            vec![values.len()]
        };
        let tensor = Tensor::new(shape, TensorData::Float(values.to_vec())).unwrap();
        self.0.initializers.insert(name.to_owned(), tensor);
        self
    }

    /// A node named like its output.
    pub(crate) fn node(self, op_type: &str, inputs: &[&str], output: &str) -> Self {
        self.node_with(op_type, inputs, output, &[])
    }

    pub(crate) fn node_with(
        mut self,
        op_type: &str,
        inputs: &[&str],
        output: &str,
        attributes: &[(&str, Attribute)],
    ) -> Self {
        let mut node = Node::new(output, op_type, inputs, &[output]);
        if op_type == "QGemm" {
            "com.microsoft".clone_into(&mut node.domain);
        }
        for (name, value) in attributes {
            node = node.with(*name, value.clone());
        }
        self.0.nodes.push(node);
        self
    }

    pub(crate) fn model(mut self) -> Model {
        "test".clone_into(&mut self.0.name);
        Model {
            ir_version: 10,
            producer_name: String::new(),
            producer_version: String::new(),
            opsets: [(String::new(), 21), ("com.microsoft".to_owned(), 1)].into(),
            graph: self.0,
            metadata: BTreeMap::new(),
        }
    }
}

/// An evaluator of models that have been changed first.
pub(crate) fn evaluator_of(
    change: impl Fn(&mut Graph),
) -> impl Fn(&Model, &Policy) -> Result<Plan, OpsError> {
    move |model, policy| {
        let mut model = model.clone();
        change(&mut model.graph);
        plan(&model, policy)
    }
}

/// Changes a constant of integers where a graph has it.
pub(crate) fn change_ints(graph: &mut Graph, name: &str, change: impl Fn(&mut [i32])) {
    if let Some(tensor) = graph.initializers.get_mut(name) {
        let old = tensor.ints().unwrap();
        let mut data = old.data().to_vec();
        change(&mut data);
        *tensor = IntTensor::new(old.elem(), old.shape().to_vec(), data)
            .unwrap()
            .into();
    }
}

/// Changes a constant of floats where a graph has it.
pub(crate) fn change_floats(graph: &mut Graph, name: &str, change: impl Fn(&mut [f32])) {
    if let Some(tensor) = graph.initializers.get_mut(name)
        && let TensorData::Float(data) = &mut tensor.data
    {
        change(data);
    }
}

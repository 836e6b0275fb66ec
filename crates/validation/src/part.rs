//! Parts of a model as models of their own.

use std::collections::{BTreeMap, BTreeSet};

use proofmark_onnx::{Graph, Model, Node, ValueInfo, ValueType};
use proofmark_ops::{Fact, OpsError, Plan};
use proofmark_tensor::ElemType;

use crate::pair::{Compile, public};

/// A model whose tensors are known.
pub(crate) struct Whole<'m> {
    pub(crate) model: &'m Model,
    /// Type and shape of each computed tensor.
    pub(crate) facts: BTreeMap<String, Fact>,
    producers: BTreeMap<&'m str, usize>,
}

impl<'m> Whole<'m> {
    /// A model as it was planned.
    pub(crate) fn new(model: &'m Model, plan: &Plan) -> Self {
        let facts = plan.facts().into_iter();
        Self {
            model,
            facts: facts
                .map(|(name, fact)| (name.to_owned(), fact.clone()))
                .collect(),
            producers: model.graph.producers(),
        }
    }

    pub(crate) fn node(&self, index: usize) -> Option<&'m Node> {
        self.model.graph.nodes.get(index)
    }

    /// The node that makes a tensor.
    pub(crate) fn producer(&self, tensor: &str) -> Option<usize> {
        self.producers.get(tensor).copied()
    }

    /// Whether a tensor is a constant.
    pub(crate) fn is_constant(&self, tensor: &str) -> bool {
        self.model.graph.initializers.contains_key(tensor)
    }

    /// The computed tensors that a node reads, in its order.
    pub(crate) fn computed(&self, node: &'m Node) -> impl Iterator<Item = &'m str> {
        let names = node.inputs.iter().map(String::as_str);
        names.filter(|name| !name.is_empty() && !self.is_constant(name))
    }

    /// These nodes as a model: computed tensors that no one of them makes are its inputs.
    pub(crate) fn part(&self, nodes: &BTreeSet<usize>, outputs: &[&str]) -> Option<Model> {
        let mut graph = Graph {
            name: "part".to_owned(),
            ..Graph::default()
        };
        let declare = |name: &str| {
            let fact = self.facts.get(name)?;
            Some(ValueInfo::fixed(
                name,
                ValueType::Int(fact.elem),
                &fact.shape,
            ))
        };
        let mut made = BTreeSet::new();
        for &index in nodes {
            let node = self.node(index)?;
            for name in node.inputs.iter().filter(|name| !name.is_empty()) {
                if let Some(tensor) = self.model.graph.initializers.get(name) {
                    graph.initializers.insert(name.clone(), tensor.clone());
                } else if made.insert(name.as_str()) {
                    graph.inputs.push(declare(name)?);
                }
            }
            made.extend(node.outputs.iter().map(String::as_str));
            graph.nodes.push(node.clone());
        }
        graph.outputs = outputs
            .iter()
            .map(|name| declare(name))
            .collect::<Option<_>>()?;
        Some(self.standing(graph))
    }

    /// A graph as a model of the same operator sets.
    pub(crate) fn standing(&self, graph: Graph) -> Model {
        Model {
            ir_version: self.model.ir_version,
            producer_name: "proofmark-validation".to_owned(),
            producer_version: String::new(),
            opsets: self.model.opsets.clone(),
            graph,
            metadata: BTreeMap::new(),
        }
    }

    /// The node alone; where the compiler wants to see what stands in front of it (it reads some
    /// operators as a pattern of several), with its producers back to 8-bit tensors; an operator
    /// of an int64 result with the `Cast` that reads it.
    pub(crate) fn alone(&self, index: usize, compile: Compile<'_>) -> Option<Model> {
        let mut nodes = BTreeSet::from([index]);
        let mut output = self.node(index)?.output(0)?;
        if self.is_wide(index) {
            let nodes_after = self.model.graph.nodes.iter().enumerate();
            let mut readers = nodes_after.filter(|(_, n)| n.inputs.iter().any(|i| i == output));
            let (reader, node) = readers.next()?;
            nodes.insert(reader);
            output = node.output(0)?;
        }
        let behind = self.computed(self.node(index)?);
        let behind = behind.filter_map(|name| self.producer(name));
        nodes.extend(behind.filter(|&producer| self.is_wide(producer)));
        let alone = self.part(&nodes, &[output])?;
        match compile(&alone, &public(&alone)) {
            Err(OpsError::Unsupported(_)) => {}
            _ => return Some(alone),
        }
        let cone = self.cone(index, |_| true);
        self.part(&nodes.union(&cone).copied().collect(), &[output])
    }

    /// Whether a node's result is int64 in the runtime: the dialect has no such tensors, takes it
    /// for int32 and has it read by `Cast` alone.
    fn is_wide(&self, index: usize) -> bool {
        let is_arg_max = |node: &Node| node.domain.is_empty() && node.op_type == "ArgMax";
        self.node(index).is_some_and(is_arg_max)
    }

    /// The node and what makes its int32 inputs out of 8-bit ones, as far as `through` goes.
    pub(crate) fn cone(&self, index: usize, through: impl Fn(&Node) -> bool) -> BTreeSet<usize> {
        let mut cone = BTreeSet::new();
        let mut open = vec![index];
        while let Some(index) = open.pop() {
            let Some(node) = self.node(index).filter(|_| cone.insert(index)) else {
                continue;
            };
            for name in self.computed(node) {
                let wide = self
                    .facts
                    .get(name)
                    .is_some_and(|f| f.elem == ElemType::Int32);
                let producer = self.producer(name).filter(|_| wide);
                open.extend(producer.filter(|&at| self.node(at).is_some_and(&through)));
            }
        }
        cone
    }
}

#[cfg(test)]
mod tests {
    use proofmark_onnx::Attribute;
    use proofmark_ops::plan;

    use super::*;
    use crate::testing::Builder;

    fn names(model: &Model) -> Vec<&str> {
        let nodes = model.graph.nodes.iter();
        nodes.map(|node| node.name.as_str()).collect()
    }

    #[test]
    fn a_node_stands_alone_and_an_int64_result_with_its_cast() {
        let to = [("to", Attribute::Int(6))];
        let model = Builder::default()
            .input("x", ElemType::Uint8, &[1, 4])
            .ints("zero", ElemType::Uint8, &[], &[0])
            .ints("w", ElemType::Uint8, &[4, 3], &[9; 12])
            .node("MatMulInteger", &["x", "w", "zero", "zero"], "sums")
            .node_with("ArgMax", &["sums"], "best", &[("axis", Attribute::Int(1))])
            .node_with("Cast", &["best"], "index", &to)
            .ints("one", ElemType::Int32, &[], &[1])
            .node("Add", &["index", "one"], "y")
            .output("y", ElemType::Int32, &[1, 1])
            .model();
        let planned = plan(&model, &public(&model)).unwrap();
        let whole = Whole::new(&model, &planned);
        let alone = |index| whole.alone(index, &plan).unwrap();
        assert_eq!(names(&alone(0)), ["sums"]);
        assert_eq!(names(&alone(1)), ["best", "index"]);
        assert_eq!(names(&alone(2)), ["best", "index"]);
        assert_eq!(names(&alone(3)), ["y"]);
        let add = alone(3);
        assert_eq!(add.graph.inputs[0].name, "index");
        let constants: Vec<&String> = add.graph.initializers.keys().collect();
        assert_eq!(constants, ["one"]);
        // Back to 8-bit tensors, through whatever makes int32.
        let cone = whole.part(&whole.cone(3, |_| true), &["y"]).unwrap();
        assert_eq!(names(&cone), ["sums", "best", "index", "y"]);
        assert_eq!(cone.graph.inputs[0].name, "x");
    }
}

//! In which form a case is imported: which graph inputs stay computed, and which are frozen to the
//! case's own data, because weights, scales, zero points and shapes are constants of a model.

use std::fmt;

use proofmark_onnx::{Model, ValueType};
use proofmark_tensor::ElemType;

use crate::archive::Case;

/// Which graph inputs stay computed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Setting {
    computed: Vec<String>,
    frozen: bool,
}

impl fmt::Display for Setting {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.frozen {
            write!(f, "computed: {}", self.computed.join(" "))
        } else {
            write!(f, "as is")
        }
    }
}

/// The forms to try, best first: as is, then two computed inputs, then one. Only the first three
/// inputs that hold numbers are ever computed alone or in pairs; the others are parameters.
pub(crate) fn settings(model: &Model, case: &Case) -> Vec<(Setting, Model)> {
    let count = model.graph.inputs.len();
    let all: Vec<usize> = (0..count).collect();
    let data: Vec<usize> = all
        .iter()
        .copied()
        .filter(|&at| {
            matches!(
                model.graph.inputs[at].ty,
                ValueType::Float | ValueType::Int(_)
            )
        })
        .collect();
    let mut subsets = vec![all.clone()];
    for (i, &a) in data.iter().enumerate() {
        subsets.extend(data[i + 1..].iter().map(|&b| vec![a, b]));
    }
    subsets.extend(data.iter().map(|&a| vec![a]));
    subsets.dedup();
    subsets
        .into_iter()
        .filter_map(|computed| {
            let model = freeze(model, case, &computed)?;
            let names = model.graph.inputs.iter().map(|input| input.name.clone());
            let setting = Setting {
                computed: names.collect(),
                frozen: computed.len() < count,
            };
            Some((setting, model))
        })
        .collect()
}

/// The model with the other inputs as constants; `None` where the archive lacks their data.
fn freeze(model: &Model, case: &Case, computed: &[usize]) -> Option<Model> {
    let mut frozen = model.clone();
    frozen.graph.inputs.clear();
    for (at, input) in model.graph.inputs.iter().enumerate() {
        if computed.contains(&at) {
            frozen.graph.inputs.push(input.clone());
        } else {
            let tensor = case.inputs.get(&at)?.clone();
            frozen.graph.initializers.insert(input.name.clone(), tensor);
        }
    }
    Some(frozen)
}

/// Whether the model must be exact where the runtime runs it: it computes on 8-bit tensors, and
/// nothing in it is of a type that no integer model has (bool, 4 bits, float16).
pub(crate) fn owed(model: &Model) -> bool {
    let graph = &model.graph;
    let eight = |ty| matches!(ty, ValueType::Int(ElemType::Uint8 | ElemType::Int8));
    let known = |ty| matches!(ty, ValueType::Int(_) | ValueType::Int64 | ValueType::Float);
    let mut ends = graph.inputs.iter().chain(&graph.outputs);
    let mut nodes = graph.nodes.iter();
    graph.inputs.iter().any(|input| eight(input.ty))
        && ends.all(|info| known(info.ty))
        && !nodes.any(|node| matches!(node.op_type.as_str(), "Less" | "Where"))
}

/// Whether the model has an 8-bit tensor at its ends.
pub(crate) fn eight_bit(model: &Model) -> bool {
    let ends = model.graph.inputs.iter().chain(&model.graph.outputs);
    ends.into_iter()
        .any(|info| matches!(info.ty, ValueType::Int(ElemType::Uint8 | ElemType::Int8)))
}

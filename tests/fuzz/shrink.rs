//! Making a failing graph small: outputs and nodes are dropped while it still fails.

use std::collections::{BTreeMap, BTreeSet};
use std::mem::discriminant;

use proofmark_onnx::{Model, ValueInfo, ValueType};
use proofmark_runtime::{IntSession, OptLevel};
use proofmark_tensor::IntTensor;
use proofmark_tests::Failure;

use crate::growing::Case;
use crate::run::compare;

/// A smaller model that fails in the same way, its inputs, and how it fails.
pub(crate) fn shrink(
    case: &Case,
    point: Vec<IntTensor>,
    failure: Failure,
) -> (Model, Vec<IntTensor>, Failure) {
    let values = runtime_values(case, &point);
    let mut best = (case.model.clone(), point, failure);
    loop {
        let smaller = candidates(case, &best.0, &best.1, &values)
            .into_iter()
            .find_map(|(model, point)| {
                let (failure, _) = compare(&model, std::slice::from_ref(&point)).err()?;
                (discriminant(&failure) == discriminant(&best.2)).then_some((model, point, failure))
            });
        match smaller {
            Some(smaller) => best = smaller,
            None => return best,
        }
    }
}

/// What the runtime computes for every tensor; empty where it does not run the graph.
fn runtime_values(case: &Case, point: &[IntTensor]) -> BTreeMap<String, IntTensor> {
    let mut model = case.model.clone();
    let named: BTreeMap<String, IntTensor> = model
        .graph
        .inputs
        .iter()
        .zip(point)
        .map(|(info, tensor)| (info.name.clone(), tensor.clone()))
        .collect();
    model.graph.outputs = case
        .facts
        .iter()
        .filter(|(name, _)| !named.contains_key(*name))
        .map(|(name, (elem, shape))| ValueInfo::fixed(name, ValueType::Int(*elem), shape))
        .collect();
    let mut values = IntSession::load(&proofmark_onnx::encode(&model), OptLevel::DisableAll)
        .and_then(|session| session.run(&named))
        .unwrap_or_default();
    values.extend(named);
    values
}

/// Models that are one step smaller.
fn candidates(
    case: &Case,
    model: &Model,
    point: &[IntTensor],
    values: &BTreeMap<String, IntTensor>,
) -> Vec<(Model, Vec<IntTensor>)> {
    let mut out = Vec::new();
    // One output alone, then one output less.
    if model.graph.outputs.len() > 1 {
        for keep in &model.graph.outputs {
            let mut smaller = model.clone();
            smaller.graph.outputs = vec![keep.clone()];
            out.push(smaller);
        }
        for at in 0..model.graph.outputs.len() {
            let mut smaller = model.clone();
            smaller.graph.outputs.remove(at);
            out.push(smaller);
        }
    }
    // An inner tensor as the output instead of what is made of it.
    for node in &model.graph.nodes {
        let Some((elem, shape)) = node.outputs.first().and_then(|name| case.facts.get(name)) else {
            continue;
        };
        let mut smaller = model.clone();
        smaller.graph.outputs = vec![ValueInfo::fixed(
            &node.outputs[0],
            ValueType::Int(*elem),
            shape,
        )];
        out.push(smaller);
    }
    // A node less: its result is an input of the graph, with the value that the runtime computes.
    for at in 0..model.graph.nodes.len() {
        let name = &model.graph.nodes[at].outputs[0];
        let (Some((elem, shape)), true) = (case.facts.get(name), values.contains_key(name)) else {
            continue;
        };
        let mut smaller = model.clone();
        smaller.graph.nodes.remove(at);
        smaller
            .graph
            .inputs
            .push(ValueInfo::fixed(name, ValueType::Int(*elem), shape));
        out.push(smaller);
    }
    let given: BTreeMap<&String, &IntTensor> = model
        .graph
        .inputs
        .iter()
        .map(|info| &info.name)
        .zip(point)
        .collect();
    let size = |m: &Model| {
        (
            m.graph.nodes.len(),
            m.graph.outputs.len(),
            m.graph.inputs.len(),
        )
    };
    out.into_iter()
        .map(without_dead_parts)
        .filter(|smaller| size(smaller) < size(model))
        .filter_map(|smaller| {
            let inputs = smaller
                .graph
                .inputs
                .iter()
                .map(|info| {
                    given
                        .get(&info.name)
                        .copied()
                        .or_else(|| values.get(&info.name))
                        .cloned()
                })
                .collect::<Option<_>>()?;
            Some((smaller, inputs))
        })
        .collect()
}

/// Without nodes, inputs and constants that no output needs.
fn without_dead_parts(mut model: Model) -> Model {
    let graph = &mut model.graph;
    let mut needed: BTreeSet<String> = graph.outputs.iter().map(|o| o.name.clone()).collect();
    let mut kept = Vec::new();
    for node in graph.nodes.drain(..).rev() {
        if node.outputs.iter().any(|o| needed.contains(o)) {
            needed.extend(node.inputs.iter().cloned());
            kept.push(node);
        }
    }
    kept.reverse();
    graph.nodes = kept;
    graph.inputs.retain(|info| needed.contains(&info.name));
    graph.initializers.retain(|name, _| needed.contains(name));
    model
}

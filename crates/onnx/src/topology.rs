//! Each value is defined once and before it is read.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, HashMap, HashSet};

use crate::error::OnnxError;
use crate::model::Node;

/// Brings the nodes into an order in which each stands behind those it reads, the file's order
/// where it allows. `given` are the values defined outside of the nodes.
///
/// # Errors
/// [`OnnxError::Duplicate`] for a value defined twice, [`OnnxError::UndefinedInput`],
/// [`OnnxError::Cycle`].
pub(crate) fn order(nodes: Vec<Node>, given: &HashSet<&str>) -> Result<Vec<Node>, OnnxError> {
    let mut makers: HashMap<&str, usize> = HashMap::new();
    for (index, node) in nodes.iter().enumerate() {
        for output in node.outputs.iter().filter(|name| !name.is_empty()) {
            if given.contains(output.as_str()) || makers.insert(output, index).is_some() {
                return Err(OnnxError::Duplicate {
                    kind: "tensor".to_owned(),
                    name: output.clone(),
                });
            }
        }
    }

    // for each node: who waits for it, and for how many nodes it waits
    let mut waiting: Vec<Vec<usize>> = vec![Vec::new(); nodes.len()];
    let mut missing = vec![0_usize; nodes.len()];
    let mut in_order = true;
    for (index, node) in nodes.iter().enumerate() {
        for input in node.inputs.iter().filter(|name| !name.is_empty()) {
            if let Some(&maker) = makers.get(input.as_str()) {
                in_order &= maker < index;
                waiting[maker].push(index);
                missing[index] += 1;
            } else if !given.contains(input.as_str()) {
                return Err(OnnxError::UndefinedInput {
                    node: node.name.clone(),
                    tensor: input.clone(),
                });
            }
        }
    }
    if in_order {
        return Ok(nodes);
    }

    let mut ready: BinaryHeap<Reverse<usize>> = (0..nodes.len())
        .filter(|&index| missing[index] == 0)
        .map(Reverse)
        .collect();
    let mut rank = vec![None; nodes.len()];
    let mut placed = 0_usize;
    while let Some(Reverse(index)) = ready.pop() {
        rank[index] = Some(placed);
        placed += 1;
        for &reader in &waiting[index] {
            missing[reader] -= 1;
            if missing[reader] == 0 {
                ready.push(Reverse(reader));
            }
        }
    }
    if let Some(stuck) = rank.iter().position(Option::is_none) {
        return Err(cycle(&nodes, &makers, &rank, stuck));
    }
    let mut ranked: Vec<_> = rank.into_iter().zip(nodes).collect();
    ranked.sort_by_key(|&(rank, _)| rank);
    Ok(ranked.into_iter().map(|(_, node)| node).collect())
}

/// Walks back from a node that was never ready until a node comes again: that one is on a cycle.
fn cycle(
    nodes: &[Node],
    makers: &HashMap<&str, usize>,
    rank: &[Option<usize>],
    stuck: usize,
) -> OnnxError {
    let mut seen = vec![false; nodes.len()];
    let mut index = stuck;
    loop {
        // a node without a rank reads at least one value of a node without a rank
        let awaited = nodes[index].inputs.iter().find_map(|input| {
            makers
                .get(input.as_str())
                .filter(|&&maker| rank[maker].is_none())
                .map(|&m| (input, m))
        });
        match awaited {
            Some((_, maker)) if !seen[index] => {
                seen[index] = true;
                index = maker;
            }
            _ => {
                return OnnxError::Cycle {
                    node: nodes[index].name.clone(),
                    tensor: awaited.map(|(input, _)| input.clone()).unwrap_or_default(),
                };
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(nodes: &[Node]) -> Vec<&str> {
        nodes.iter().map(|node| node.name.as_str()).collect()
    }

    #[test]
    fn the_files_order_is_kept_where_it_allows() {
        let nodes = vec![
            Node::new("late", "Add", &["c", "b"], &["d"]),
            Node::new("b", "Relu", &["x"], &["b"]),
            Node::new("free", "Relu", &["x"], &["e"]),
            Node::new("c", "Relu", &["b"], &["c"]),
        ];
        let given = HashSet::from(["x"]);
        let sorted = order(nodes, &given).unwrap();
        assert_eq!(names(&sorted), ["b", "free", "c", "late"]);
        let again = order(sorted.clone(), &given).unwrap();
        assert_eq!(again, sorted);
    }

    #[test]
    fn a_cycle_is_named_by_a_node_on_it() {
        let nodes = vec![
            Node::new("behind", "Relu", &["p"], &["q"]),
            Node::new("before", "Relu", &["x"], &["y"]),
            Node::new("one", "Add", &["y", "r"], &["p"]),
            Node::new("two", "Relu", &["p"], &["r"]),
        ];
        match order(nodes, &HashSet::from(["x"])) {
            Err(OnnxError::Cycle { node, tensor }) => {
                assert!(
                    [("one", "r"), ("two", "p")].contains(&(node.as_str(), tensor.as_str())),
                    "{node} {tensor}"
                );
            }
            other => panic!("{other:?}"),
        }
        let own = vec![Node::new("self", "Relu", &["y"], &["y"])];
        assert!(matches!(
            order(own, &HashSet::new()),
            Err(OnnxError::Cycle { node, tensor }) if node == "self" && tensor == "y"
        ));
    }

    #[test]
    fn long_chains_in_reverse_are_sorted() {
        let nodes: Vec<Node> = (0..50_000)
            .rev()
            .map(|i| {
                Node::new(
                    format!("n{i}"),
                    "Relu",
                    &[&format!("v{i}")],
                    &[&format!("v{}", i + 1)],
                )
            })
            .collect();
        let sorted = order(nodes, &HashSet::from(["v0"])).unwrap();
        assert!(
            sorted
                .iter()
                .enumerate()
                .all(|(i, node)| node.name == format!("n{i}"))
        );
    }

    #[test]
    fn a_value_is_defined_once_and_somewhere() {
        let twice = vec![
            Node::new("a", "Relu", &["x"], &["y"]),
            Node::new("b", "Relu", &["x"], &["y"]),
        ];
        assert!(matches!(
            order(twice, &HashSet::from(["x"])),
            Err(OnnxError::Duplicate { name, .. }) if name == "y"
        ));
        let shadow = vec![Node::new("a", "Relu", &["x"], &["x"])];
        assert!(matches!(
            order(shadow, &HashSet::from(["x"])),
            Err(OnnxError::Duplicate { name, .. }) if name == "x"
        ));
        let nowhere = vec![Node::new("a", "Relu", &["z"], &["y"])];
        assert!(matches!(
            order(nowhere, &HashSet::new()),
            Err(OnnxError::UndefinedInput { node, tensor }) if node == "a" && tensor == "z"
        ));
    }
}

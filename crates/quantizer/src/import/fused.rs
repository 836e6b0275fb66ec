//! Which float nodes the reference computes as integer operators: read off the graph that the
//! runtime makes of the original. Whether it fuses a node depends on its neighbours, on element
//! types and on the processor, so no rule of ours would be right for long.

use std::collections::BTreeSet;

use proofmark_onnx::{Limits, Model, Node, encode};
use proofmark_runtime::{OptLevel, optimized};

use super::Importer;

/// Names of the nodes that the runtime fuses, with the `DequantizeLinear` and `QuantizeLinear`
/// around them, into operators on integers. None where it does not run the model, which is then
/// said where both models are compared.
pub(super) fn fused(model: &Model, level: OptLevel) -> BTreeSet<String> {
    if matches!(level, OptLevel::DisableAll | OptLevel::Basic) {
        return BTreeSet::new();
    }
    // Names that no other can be confused with.
    let mut numbered = model.clone();
    for (index, node) in numbered.graph.nodes.iter_mut().enumerate() {
        node.name = index.to_string();
    }
    let Ok(bytes) = optimized(&encode(&numbered), level) else {
        return BTreeSet::new();
    };
    let Ok(made) = proofmark_onnx::parse(&bytes, &Limits::default()) else {
        return BTreeSet::new();
    };
    let on_integers = |node: &&Node| {
        node.op_type.starts_with("QLinear")
            || matches!(node.op_type.as_str(), "QGemm" | "MatMulIntegerToFloat")
    };
    let nodes = made.graph.nodes.iter().filter(on_integers);
    let numbers = nodes.filter_map(|node| node.name.split('_').next()?.parse::<usize>().ok());
    let originals = numbers.filter_map(|number| model.graph.nodes.get(number));
    originals.map(|node| node.name.clone()).collect()
}

impl Importer<'_> {
    /// Whether the reference makes an integer operator of the node of this name.
    pub(super) fn is_fused(&self, node: &str) -> bool {
        self.fused.contains(node)
    }
}

#[cfg(test)]
mod tests {
    use proofmark_onnx::Attribute;
    use proofmark_types::ElemType;
    use proofmark_types::manifest::ReferenceLevel;

    use crate::graphs::list;
    use crate::import::small::Small;

    /// A float convolution of `q0`, and the grids around it.
    fn convolution() -> Small {
        let u8s = ElemType::Uint8;
        let mut small = Small::new(u8s, &[&[1, 2, 5, 5]]);
        let weights: Vec<i32> = (0..36).map(|at| at * 83 % 256).collect();
        small.bytes("w", u8s, &[2, 2, 3, 3], &weights);
        small.grid("x", 0.021, 60, u8s).grid("w", 0.007, 120, u8s);
        small
            .grid("y", 0.033, 100, u8s)
            .show("q0", "x", "d")
            .show("w", "w", "dw");
        small.node("Conv", &["d", "dw"], &["c"], &[]);
        small
    }

    #[test]
    fn a_convolution_is_an_integer_operator_past_some_movers_only() {
        let u8s = ElemType::Uint8;
        let kernel = ("kernel_shape", list(&[2, 2]));
        for (op_type, attributes, exact) in [
            ("Transpose", vec![], true),
            ("MaxPool", vec![kernel], true),
            ("Identity", vec![], true),
            ("Flatten", vec![], false),
            (
                "DepthToSpace",
                vec![("blocksize", Attribute::Int(1))],
                false,
            ),
        ] {
            let mut small = convolution();
            small.node(op_type, &["c"], &["m"], &attributes);
            small.quantize("m", "y", "y").output("y", u8s);
            let feeds = small.feeds(20);
            let found = small.compare(ReferenceLevel::All, &feeds);
            assert_eq!(
                found.inexact.is_empty(),
                exact,
                "{op_type}: {:?}",
                found.inexact
            );
            assert!(!exact || found.different == 0);
        }
        // Read twice, or among others in a Concat.
        let mut small = convolution();
        small.quantize("c", "y", "y").output("y", u8s);
        small.quantize("c", "x", "z").output("z", u8s);
        assert!(
            !small
                .import(ReferenceLevel::All)
                .unwrap()
                .inexact
                .is_empty()
        );
        let mut small = convolution();
        let axis = [("axis", Attribute::Int(1))];
        small.node(
            "Transpose",
            &["d"],
            &["t"],
            &[("perm", list(&[0, 1, 3, 2]))],
        );
        small.node("Slice", &["t", "a", "b", "i"], &["s"], &[]);
        small
            .ints("a", &[0, 0])
            .ints("b", &[3, 3])
            .ints("i", &[2, 3]);
        small.node("Concat", &["c", "s"], &["m"], &axis);
        small.quantize("m", "y", "y").output("y", u8s);
        let feeds = small.feeds(20);
        let found = small.compare(ReferenceLevel::All, &feeds);
        assert_eq!(found.inexact.len(), 1);
        assert!(found.largest <= 1, "{found:?}");
    }
}

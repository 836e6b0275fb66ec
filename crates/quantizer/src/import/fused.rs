//! Which float nodes the reference computes as integer operators. From level `extended` on, the
//! runtime makes one operator of a node between `DequantizeLinear` and `QuantizeLinear`, after it
//! has moved those two past some movers (seen in the graphs that 1.31.1 writes out).

use proofmark_onnx::Node;

use super::Importer;

/// Movers that the runtime moves `QuantizeLinear` and `DequantizeLinear` past, and such as it
/// removes.
const PASSED: [&str; 8] = [
    "Dropout",
    "Identity",
    "MaxPool",
    "Reshape",
    "Slice",
    "Squeeze",
    "Transpose",
    "Unsqueeze",
];

fn is_passed(node: &Node) -> bool {
    node.domain.is_empty() && PASSED.contains(&node.op_type.as_str())
}

impl Importer<'_> {
    /// The one node that reads a tensor which is no output of the model.
    fn only_reader(&self, tensor: &str) -> Option<&Node> {
        let graph = &self.model.graph;
        let reads = |node: &&Node| node.inputs.iter().any(|input| input == tensor);
        let mut readers = graph.nodes.iter().filter(reads);
        let only = readers.next()?;
        let shared = readers.next().is_some() || graph.outputs.iter().any(|o| o.name == tensor);
        (!shared).then_some(only)
    }

    /// Whether a float tensor reaches one `QuantizeLinear` and nothing else, past movers that the
    /// runtime moves it in front of.
    pub(super) fn is_quantized_at_once(&self, tensor: &str) -> bool {
        let mut tensor = tensor;
        // A graph has no cycle; each step goes one node on.
        for _ in 0..=self.model.graph.nodes.len() {
            match self.only_reader(tensor) {
                Some(node) if node.op_type == "QuantizeLinear" => return true,
                Some(node) if is_passed(node) => tensor = node.output(0).unwrap_or_default(),
                _ => return false,
            }
        }
        false
    }

    /// Whether a float tensor comes out of a `DequantizeLinear`, past such movers.
    fn is_dequantized_at_once(&self, tensor: &str) -> bool {
        let mut tensor = tensor;
        let nodes = &self.model.graph.nodes;
        for _ in 0..=nodes.len() {
            let makes = |node: &&Node| node.outputs.iter().any(|output| output == tensor);
            match nodes.iter().find(makes) {
                Some(node) if node.op_type == "DequantizeLinear" => return true,
                Some(node) if is_passed(node) => tensor = node.input(0).unwrap_or_default(),
                _ => return false,
            }
        }
        false
    }

    /// Whether the reference makes one integer operator of a node with one data input.
    pub(super) fn is_fused(&self, node: &Node) -> bool {
        let (Some(input), Some(output)) = (node.input(0), node.output(0)) else {
            return false;
        };
        self.fuses() && self.is_dequantized_at_once(input) && self.is_quantized_at_once(output)
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

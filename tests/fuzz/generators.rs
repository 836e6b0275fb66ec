//! Which generator makes which operator, and how a graph is grown of them.

use proofmark_ops::{OPERATORS, OpSpec};

use crate::growing::{Case, Growing, Value, any_shape, byte, image_shape};
use crate::{integers, layers, layout, movers, order, tables};

/// Adds one node of its operator (and what must stand in front of it) to a graph; `None` where
/// the graph has nothing that fits.
type Generator = fn(&mut Growing) -> Option<Value>;

/// By operator name, alphabetical.
const GENERATORS: &[(&str, Generator)] = &[
    ("Add", integers::add),
    ("ArgMax", order::arg_max),
    ("Cast", integers::cast),
    ("Clip", order::clip),
    ("Concat", movers::concat),
    ("ConvInteger", layers::conv_integer),
    ("DepthToSpace", layout::depth_to_space),
    ("Div", integers::div),
    ("Expand", layout::expand),
    ("Flatten", movers::flatten),
    ("Gather", tables::gather),
    ("Identity", layout::identity),
    ("MatMulInteger", layers::mat_mul_integer),
    ("Max", order::max),
    ("MaxPool", order::max_pool),
    ("Min", order::min),
    ("Mul", integers::mul),
    ("Pad", layout::pad),
    ("QGemm", layers::q_gemm),
    ("QLinearConv", layers::q_linear_conv),
    ("QLinearMatMul", layers::q_linear_mat_mul),
    ("ReduceSum", integers::reduce_sum),
    ("Relu", order::relu),
    ("Reshape", movers::reshape),
    ("Resize", layout::resize),
    ("Slice", layout::slice),
    ("SpaceToDepth", layout::space_to_depth),
    ("Squeeze", movers::squeeze),
    ("Sub", integers::sub),
    ("Transpose", movers::transpose),
    ("Unsqueeze", movers::unsqueeze),
];

/// Operators that only move elements.
const MOVERS: &[&str] = &[
    "Concat",
    "DepthToSpace",
    "Expand",
    "Flatten",
    "Identity",
    "Pad",
    "Reshape",
    "Resize",
    "Slice",
    "SpaceToDepth",
    "Squeeze",
    "Transpose",
    "Unsqueeze",
];

/// The generator of an operator of the dialect.
pub(crate) fn generator(spec: &OpSpec) -> Option<Generator> {
    GENERATORS
        .iter()
        .find(|(name, _)| *name == spec.op_type)
        .map(|(_, g)| *g)
}

/// Whether an operator computes something, and does not only move elements.
pub(crate) fn computes(op_type: &str) -> bool {
    !MOVERS.contains(&op_type)
}

/// A graph of the dialect's operators; the seed names it.
pub(crate) fn grow(seed: u64) -> Case {
    let mut g = Growing::new(seed);
    for _ in 0..g.random.size(1, 2) {
        let elem = byte(&mut g.random);
        let shape = if g.random.one_in(2) {
            image_shape(&mut g.random)
        } else {
            any_shape(&mut g.random)
        };
        g.input(elem, &shape);
    }
    let nodes = g.random.size(1, 10);
    let mut made = 0;
    while made < nodes {
        let spec = g.random.pick(OPERATORS);
        if generator(spec).is_some_and(|generate| generate(&mut g).is_some()) {
            made += 1;
        }
    }
    g.finish(seed)
}

//! Cases made of the suite's own where it has an operator in float only, or stamps it with an
//! operator set that the runtime does not read.

use proofmark_onnx::{
    Limits, Model, Node, Tensor, TensorData, ValueInfo, ValueType, encode, parse,
};
use proofmark_tensor::{ElemType, IntTensor};
use proofmark_tests::Random;
use proofmark_tests::build::random_tensor;

use crate::archive::Case;
use crate::setting::eight_bit;

/// Operators that move or compare elements, so that they mean on 8 bits what they mean on floats.
const MOVERS: [&str; 29] = [
    "ArgMax",
    "ArgMin",
    "Clip",
    "Compress",
    "Concat",
    "DepthToSpace",
    "Expand",
    "Flatten",
    "Gather",
    "GatherElements",
    "GatherND",
    "GlobalMaxPool",
    "Identity",
    "Max",
    "MaxPool",
    "Min",
    "Pad",
    "ReduceMax",
    "ReduceMin",
    "Relu",
    "Reshape",
    "Resize",
    "Slice",
    "SpaceToDepth",
    "Split",
    "Squeeze",
    "Tile",
    "Transpose",
    "Unsqueeze",
];

/// Float operators that work on each element by itself, of one or more tensors.
const ELEMENTWISE: [&str; 45] = [
    "Abs",
    "Acos",
    "Acosh",
    "Add",
    "Asin",
    "Asinh",
    "Atan",
    "Atanh",
    "Ceil",
    "Celu",
    "Cos",
    "Cosh",
    "Div",
    "Elu",
    "Erf",
    "Exp",
    "Floor",
    "Gelu",
    "HardSigmoid",
    "HardSwish",
    "LeakyRelu",
    "Log",
    "Mean",
    "Mish",
    "Mul",
    "Neg",
    "PRelu",
    "Pow",
    "Reciprocal",
    "Round",
    "Selu",
    "Shrink",
    "Sigmoid",
    "Sign",
    "Sin",
    "Sinh",
    "Softplus",
    "Softsign",
    "Sqrt",
    "Sub",
    "Sum",
    "Swish",
    "Tan",
    "Tanh",
    "ThresholdedRelu",
];

/// Operators whose inputs are all of a kind; of the others only the first is data.
const ALIKE: [&str; 9] = [
    "Add", "Concat", "Div", "Max", "Mean", "Min", "Mul", "Sub", "Sum",
];

/// The newest operator set that the runtime reads without warning, and a format that goes with it.
const OPERATOR_SET: i64 = 26;
const IR_VERSION: i64 = 13;
/// `DequantizeLinear` with a scale and a zero point as inputs.
const QDQ_SINCE: i64 = 13;

/// All derived cases, in the order of their names.
pub(crate) fn derived(suite: &[Case]) -> Vec<Case> {
    let mut cases: Vec<Case> = suite.iter().flat_map(of).collect();
    cases.sort_by(|a, b| a.name.cmp(&b.name));
    cases
}

fn of(case: &Case) -> Vec<Case> {
    let Ok(model) = parse(&case.model, &Limits::default()) else {
        return Vec::new();
    };
    let mut made = Vec::new();
    let stamp = model.opset("").unwrap_or_default();
    if eight_bit(&model) && (stamp > OPERATOR_SET || model.ir_version > IR_VERSION) {
        made.push(renamed(
            case,
            "restamped",
            restamped(model.clone()),
            case.inputs.clone(),
        ));
    }
    let all = |known: &[&str]| {
        let nodes = model.graph.nodes.iter();
        !model.graph.nodes.is_empty() && nodes.clone().all(|n| known.contains(&n.op_type.as_str()))
    };
    let first = model.graph.inputs.first().map(|input| input.ty);
    if first != Some(ValueType::Float) {
        return made;
    }
    if all(&MOVERS) {
        for elem in [ElemType::Uint8, ElemType::Int8] {
            made.extend(retyped(case, &restamped(model.clone()), elem));
        }
    }
    if all(&MOVERS) || all(&ELEMENTWISE) {
        made.extend(between(case, restamped(model.clone())));
    }
    made
}

fn renamed(
    case: &Case,
    how: &str,
    model: Model,
    inputs: std::collections::BTreeMap<usize, Tensor>,
) -> Case {
    Case {
        name: format!("{}[{how}]", case.name),
        model: encode(&model),
        inputs,
        outputs: std::collections::BTreeMap::new(),
    }
}

/// The same graph in an operator set and a format that the runtime reads.
fn restamped(mut model: Model) -> Model {
    model.ir_version = model.ir_version.min(IR_VERSION);
    for (domain, version) in &mut model.opsets {
        if domain.is_empty() {
            *version = OPERATOR_SET.min(*version);
        }
    }
    model
}

/// The case with its float tensors in 8 bits: its own data rounded, random data where it has none.
fn retyped(case: &Case, model: &Model, elem: ElemType) -> Option<Case> {
    let mut model = model.clone();
    let mut inputs = case.inputs.clone();
    let mut random = Random::new(8);
    let graph = &mut model.graph;
    for (at, input) in graph.inputs.iter_mut().enumerate() {
        if input.ty != ValueType::Float {
            continue;
        }
        // Scales and regions of a Resize stay floats.
        if at > 0 && graph.nodes.iter().any(|node| node.op_type == "Resize") {
            continue;
        }
        input.ty = ValueType::Int(elem);
        let data = match inputs.get(&at).and_then(Tensor::floats) {
            Some(floats) => {
                let shape = inputs[&at].shape.clone();
                let round = |v: &f32| {
                    let (lo, hi) = (elem.min() as f32, elem.max() as f32);
                    v.round_ties_even().clamp(lo, hi) as i32
                };
                IntTensor::new(elem, shape, floats.iter().map(round).collect()).ok()?
            }
            None => random_tensor(&mut random, elem, &input.static_shape()?),
        };
        inputs.insert(at, data.into());
    }
    for output in &mut graph.outputs {
        if output.ty == ValueType::Float {
            output.ty = ValueType::Int(elem);
        }
    }
    graph.value_info.clear();
    let how = if elem == ElemType::Uint8 {
        "uint8"
    } else {
        "int8"
    };
    Some(renamed(case, how, model, inputs))
}

/// The case between `DequantizeLinear` and `QuantizeLinear`. Movers keep the scale, so that they
/// move; others change scale and zero point.
fn between(case: &Case, mut model: Model) -> Option<Case> {
    let graph = &mut model.graph;
    let operator = graph.nodes.first()?.op_type.clone();
    let moves = MOVERS.contains(&operator.as_str());
    let outputs = graph.outputs.clone();
    if outputs.iter().any(|output| output.ty != ValueType::Float) {
        return None;
    }
    let out = if moves { (0.037, 131) } else { (0.0291, 117) };
    for (name, (scale, zero_point)) in [("x", (0.037, 131)), ("y", out)] {
        let scale = Tensor::new(vec![], TensorData::Float(vec![scale])).ok()?;
        let zero_point = IntTensor::new(ElemType::Uint8, vec![], vec![zero_point]).ok()?;
        graph.initializers.insert(format!("{name}_scale"), scale);
        graph
            .initializers
            .insert(format!("{name}_zero_point"), zero_point.into());
    }
    let mut inputs = case.inputs.clone();
    let mut random = Random::new(9);
    let mut front = Vec::new();
    for (at, input) in graph.inputs.iter_mut().enumerate() {
        let is_data = at == 0 || ALIKE.contains(&operator.as_str());
        if input.ty != ValueType::Float || !is_data {
            continue;
        }
        let integers = format!("{}_quantized", input.name);
        let from = [integers.as_str(), "x_scale", "x_zero_point"];
        front.push(Node::new(
            format!("dequantize_{at}"),
            "DequantizeLinear",
            &from,
            &[&input.name],
        ));
        let shape = input.static_shape()?;
        *input = ValueInfo::fixed(integers, ValueType::Int(ElemType::Uint8), &shape);
        inputs.insert(
            at,
            random_tensor(&mut random, ElemType::Uint8, &shape).into(),
        );
    }
    graph.nodes.splice(0..0, front);
    for (at, output) in graph.outputs.iter_mut().enumerate() {
        let integers = format!("{}_quantized", output.name);
        let from = [output.name.as_str(), "y_scale", "y_zero_point"];
        let node = Node::new(
            format!("quantize_{at}"),
            "QuantizeLinear",
            &from,
            &[&integers],
        );
        graph.nodes.push(node);
        output.name = integers;
        output.ty = ValueType::Int(ElemType::Uint8);
    }
    graph.value_info.clear();
    if let Some(version) = model.opsets.get_mut("") {
        *version = QDQ_SINCE.max(*version);
    }
    model.ir_version = IR_VERSION;
    Some(renamed(case, "qdq", model, inputs))
}

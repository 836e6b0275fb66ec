//! Graphs that somebody spoilt: a good graph with one thing changed. Compiler and runtime may
//! refuse it; where both take it, all three must still agree. Nothing may panic.

use proofmark_onnx::{Attribute, Dim, Model, Tensor, TensorData, ValueType};
use proofmark_tensor::{ElemType, IntTensor};
use proofmark_tests::Random;

const ODD: [i64; 12] = [
    0,
    1,
    -1,
    2,
    3,
    -2,
    7,
    255,
    -129,
    1 << 31,
    i64::MAX,
    i64::MIN,
];

/// Changes one thing.
pub(crate) fn mutate(model: &mut Model, random: &mut Random) {
    match random.between(0, 9) {
        0..=2 => attribute(model, random),
        3 => rename_operator(model, random),
        4 => rewire(model, random),
        5 | 6 => constant(model, random),
        7 => boundary(model, random),
        8 => zero_size(model, random),
        _ => opset(model, random),
    }
}

fn node<'m>(model: &'m mut Model, random: &mut Random) -> &'m mut proofmark_onnx::Node {
    let at = random.size(0, model.graph.nodes.len() - 1);
    &mut model.graph.nodes[at]
}

fn attribute(model: &mut Model, random: &mut Random) {
    const NAMES: [&str; 26] = [
        "allowzero",
        "alpha",
        "auto_pad",
        "axes",
        "axis",
        "blocksize",
        "ceil_mode",
        "coordinate_transformation_mode",
        "count_include_pad",
        "dilations",
        "end",
        "group",
        "keepdims",
        "kernel_shape",
        "mode",
        "nearest_mode",
        "noop_with_empty_axes",
        "pads",
        "perm",
        "select_last_index",
        "start",
        "storage_order",
        "strides",
        "to",
        "transA",
        "transB",
    ];
    let known: Vec<String> = node(model, random).attributes.keys().cloned().collect();
    let node = node(model, random);
    let name = if known.is_empty() || random.one_in(3) {
        (*random.pick(&NAMES)).to_owned()
    } else {
        random.pick(&known).clone()
    };
    let odd = *random.pick(&ODD);
    match node.attributes.get_mut(&name) {
        Some(Attribute::Int(value)) if !random.one_in(4) => *value = odd,
        Some(Attribute::Ints(list)) if !list.is_empty() && !random.one_in(4) => {
            let at = random.size(0, list.len() - 1);
            match random.between(0, 3) {
                0 => list.push(odd),
                1 => drop(list.remove(at)),
                _ => list[at] = odd,
            }
        }
        Some(Attribute::Float(value)) if !random.one_in(4) => {
            *value = *random.pick(&[0.0, -1.0, f32::NAN, f32::INFINITY, 1e-45, 2.5]);
        }
        Some(_) if random.one_in(2) => drop(node.attributes.remove(&name)),
        _ => {
            let value = match random.between(0, 3) {
                0 => Attribute::Int(odd),
                1 => Attribute::Ints(vec![odd; random.size(0, 4)]),
                2 => Attribute::Float(0.5),
                _ => Attribute::String("VALID".to_owned()),
            };
            node.attributes.insert(name, value);
        }
    }
}

fn rename_operator(model: &mut Model, random: &mut Random) {
    let spec = *random.pick(proofmark_ops::OPERATORS);
    let node = node(model, random);
    spec.op_type.clone_into(&mut node.op_type);
    spec.domain.clone_into(&mut node.domain);
}

/// Another tensor or constant at an input, or one input more or less.
fn rewire(model: &mut Model, random: &mut Random) {
    let at = random.size(0, model.graph.nodes.len() - 1);
    let mut names: Vec<String> = model.graph.initializers.keys().cloned().collect();
    names.extend(model.graph.inputs.iter().map(|i| i.name.clone()));
    names.extend(
        model.graph.nodes[..at]
            .iter()
            .flat_map(|n| n.outputs.clone()),
    );
    names.push(String::new());
    let name = random.pick(&names).clone();
    let inputs = &mut model.graph.nodes[at].inputs;
    match random.between(0, 4) {
        0 => inputs.push(name),
        1 => drop(inputs.pop()),
        _ if inputs.is_empty() => inputs.push(name),
        _ => {
            let slot = random.size(0, inputs.len() - 1);
            inputs[slot] = name;
        }
    }
}

/// Another value, type or shape of a constant.
fn constant(model: &mut Model, random: &mut Random) {
    let names: Vec<String> = model.graph.initializers.keys().cloned().collect();
    if names.is_empty() {
        return attribute(model, random);
    }
    let tensor = model
        .graph
        .initializers
        .get_mut(random.pick(&names))
        .expect("a key");
    let odd = *random.pick(&ODD);
    match &mut tensor.data {
        TensorData::Int64(list) if !list.is_empty() && !random.one_in(3) => {
            let at = random.size(0, list.len() - 1);
            list[at] = odd;
        }
        TensorData::Float(list) if !list.is_empty() && !random.one_in(3) => {
            let at = random.size(0, list.len() - 1);
            let odd = [0.0, -1.0, f32::NAN, f32::INFINITY, 1e-45, f32::MAX, -0.0];
            list[at] = *random.pick(&odd);
        }
        TensorData::Int(ints) if random.one_in(2) => {
            // The same values under another type, where they fit.
            let elem = *random.pick(&[ElemType::Uint8, ElemType::Int8, ElemType::Int32]);
            let data = ints
                .data()
                .iter()
                .map(|v| (*v).clamp(elem.min(), elem.max()))
                .collect();
            *ints = IntTensor::new(elem, ints.shape().to_vec(), data).expect("clamped");
        }
        _ => reshaped(tensor, random),
    }
}

fn reshaped(tensor: &mut Tensor, random: &mut Random) {
    let count: usize = tensor.shape.iter().product();
    let shape = match random.between(0, 3) {
        0 => vec![count],
        1 => vec![1, count],
        2 => vec![count, 1],
        _ if count == 1 => vec![],
        _ => vec![1, 1, count],
    };
    if let TensorData::Int(ints) = &tensor.data {
        let data = ints.data().to_vec();
        let ints = IntTensor::new(ints.elem(), shape.clone(), data).expect("as many");
        tensor.data = TensorData::Int(ints);
    }
    tensor.shape = shape;
}

/// Another type or shape of an input or output.
fn boundary(model: &mut Model, random: &mut Random) {
    let graph = &mut model.graph;
    let ends = graph.inputs.len() + graph.outputs.len();
    let at = random.size(0, ends - 1);
    let inputs = graph.inputs.len();
    let info = if at < inputs {
        &mut graph.inputs[at]
    } else {
        &mut graph.outputs[at - inputs]
    };
    if random.one_in(2) {
        info.ty = *random.pick(&[
            ValueType::Int(ElemType::Uint8),
            ValueType::Int(ElemType::Int8),
            ValueType::Int(ElemType::Int32),
            ValueType::Int64,
            ValueType::Float,
        ]);
    } else if let Some(dims) = &mut info.dims {
        match random.between(0, 2) {
            0 => dims.push(Dim::Static(1)),
            1 => drop(dims.pop()),
            _ if dims.is_empty() => dims.push(Dim::Symbolic("n".to_owned())),
            _ => {
                let at = random.size(0, dims.len() - 1);
                dims[at] = Dim::Static(random.size(1, 9));
            }
        }
    }
}

/// A dimension of 0 in an input or in a constant.
pub(crate) fn zero_size(model: &mut Model, random: &mut Random) {
    if random.one_in(2) && !model.graph.initializers.is_empty() {
        let names: Vec<String> = model.graph.initializers.keys().cloned().collect();
        let tensor = model
            .graph
            .initializers
            .get_mut(random.pick(&names))
            .expect("a key");
        if tensor.shape.is_empty() {
            tensor.shape.push(0);
        } else {
            let at = random.size(0, tensor.shape.len() - 1);
            tensor.shape[at] = 0;
        }
        tensor.data = match &tensor.data {
            TensorData::Int(ints) => TensorData::Int(
                IntTensor::new(ints.elem(), tensor.shape.clone(), vec![]).expect("no elements"),
            ),
            TensorData::Float(_) => TensorData::Float(vec![]),
            _ => TensorData::Int64(vec![]),
        };
        return;
    }
    let at = random.size(0, model.graph.inputs.len() - 1);
    if let Some(dims) = &mut model.graph.inputs[at].dims
        && !dims.is_empty()
    {
        let d = random.size(0, dims.len() - 1);
        dims[d] = Dim::Static(0);
    }
}

fn opset(model: &mut Model, random: &mut Random) {
    let version = random.between(1, 22);
    model.opsets.insert(String::new(), version);
}

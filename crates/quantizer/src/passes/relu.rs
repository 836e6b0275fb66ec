//! Relu is the clamp of the layer before it: it has no kernel of its own on 8 bits.

use super::{Budget, refusal};
use crate::error::UnsupportedNode;
use crate::net::{Net, Op};

/// Whether the layer that makes `value` can clamp it for the one Relu that reads it.
fn clamps(net: &Net, value: &str) -> bool {
    let producer = net.producer(value).map(|index| &net.layers[index].op);
    net.is_private(value) && matches!(producer, Some(Op::Conv(_) | Op::Dense(_)))
}

/// Moves each Relu before the max pools, reshapes and transposes that stand in front of it: it
/// commutes with them.
pub(super) fn toward_producer(net: &mut Net) {
    loop {
        let swap = (0..net.layers.len()).find_map(|index| {
            let layer = &net.layers[index];
            let input = layer.inputs.first()?;
            let producer = net.producer(input)?;
            let moves = matches!(
                net.layers[producer].op,
                Op::MaxPool(_) | Op::Reshape(_) | Op::Transpose(_)
            );
            (layer.op == Op::Relu && moves && net.is_private(input)).then_some((producer, index))
        });
        let Some((producer, relu)) = swap else { return };
        // The two layers trade places: the names of the values around the pair stay, the value
        // between them gets the shape of the first one's input.
        let source = net.layers[producer].inputs.clone();
        let between = net.layers[relu].inputs.first().cloned().unwrap_or_default();
        let shape = net
            .shape(source.first().map_or("", String::as_str))
            .to_vec();
        net.shapes.insert(between, shape);
        let op = std::mem::replace(&mut net.layers[producer].op, Op::Relu);
        net.layers[relu].op = op;
        let name = std::mem::take(&mut net.layers[producer].name);
        net.layers[producer].name = std::mem::replace(&mut net.layers[relu].name, name);
    }
}

/// Gives a layer of its own to each Relu that no layer can clamp for.
pub(super) fn materialise(net: &mut Net, budget: &mut Budget, refused: &mut Vec<UnsupportedNode>) {
    for index in 0..net.layers.len() {
        let layer = &net.layers[index];
        let input = layer.inputs.first().map_or("", String::as_str);
        if layer.op != Op::Relu || clamps(net, input) {
            continue;
        }
        let shape = net.shape(&layer.output);
        let channels = shape.get(1).copied().unwrap_or(1);
        match budget.per_channel_layer(shape, &vec![1.0; channels], &vec![0.0; channels]) {
            Some(Op::Conv(mut conv)) => {
                conv.relu = true;
                net.layers[index].op = Op::Conv(conv);
            }
            Some(Op::Dense(mut dense)) => {
                dense.relu = true;
                net.layers[index].op = Op::Dense(dense);
            }
            _ => refused.push(refusal(&layer.name, "Relu", shape)),
        }
    }
}

/// Makes each Relu the clamp of the layer before it.
pub(super) fn fuse(net: &mut Net) {
    let mut index = 0;
    while index < net.layers.len() {
        let layer = &net.layers[index];
        let input = layer.inputs.first().cloned().unwrap_or_default();
        let output = layer.output.clone();
        let producer = net.producer(&input).filter(|_| clamps(net, &input));
        let (Op::Relu, Some(producer)) = (&layer.op, producer) else {
            index += 1;
            continue;
        };
        match &mut net.layers[producer].op {
            Op::Conv(conv) => conv.relu = true,
            Op::Dense(dense) => dense.relu = true,
            _ => {}
        }
        net.layers[producer].output = output;
        net.layers.remove(index);
        net.shapes.remove(&input);
    }
}

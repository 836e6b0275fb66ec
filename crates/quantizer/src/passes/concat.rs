//! A concatenation has a scale a channel. Convolutions without padding and matrix products take
//! that into their weights; before anything else the channels are brought to one scale.

use super::{Budget, refusal};
use crate::error::UnsupportedNode;
use crate::net::{Layer, Net, Op};

pub(super) fn settle(net: &mut Net, budget: &mut Budget, refused: &mut Vec<UnsupportedNode>) {
    let mut index = 0;
    while index < net.layers.len() {
        let output = net.layers[index].output.clone();
        index += 1;
        if net.layers[index - 1].op != Op::Concat {
            continue;
        }
        let takes = |&reader: &usize| match &net.layers[reader].op {
            Op::Conv(conv) => !conv.window.padded(),
            Op::Dense(_) => true,
            _ => false,
        };
        if !net.is_output(&output) && net.readers(&output).iter().all(takes) {
            continue;
        }
        let shape = net.shape(&output).to_vec();
        let channels = shape.get(1).copied().unwrap_or(1);
        let (ones, zeros) = (vec![1.0; channels], vec![0.0; channels]);
        let Some(op) = budget.per_channel_layer(&shape, &ones, &zeros) else {
            refused.push(refusal(&net.layers[index - 1].name, "Concat", &shape));
            continue;
        };
        let raw = net.fresh(&format!("{output}.operands"));
        net.shapes.insert(raw.clone(), shape);
        raw.clone_into(&mut net.layers[index - 1].output);
        let name = net.fresh(&format!("{}.settle", net.layers[index - 1].name));
        let layer = Layer {
            name,
            op,
            inputs: vec![raw],
            output,
        };
        net.layers.insert(index, layer);
    }
}

//! The sum of two tensors is their concatenation and a 1×1 convolution (or a matrix product) that
//! adds each pair of channels. (The runtime's own quantized addition differs between processors.)

use super::{Budget, refusal};
use crate::error::UnsupportedNode;
use crate::net::{Conv, Dense, Layer, Net, Op, Window};

pub(super) fn as_convolution(
    net: &mut Net,
    budget: &mut Budget,
    refused: &mut Vec<UnsupportedNode>,
) {
    let mut index = 0;
    while index < net.layers.len() {
        let layer = &net.layers[index];
        let shape = net.shape(&layer.output).to_vec();
        let (Op::Add, Some(&channels)) = (&layer.op, shape.get(1)) else {
            index += 1;
            continue;
        };
        if !budget.grant(2 * channels, channels) {
            refused.push(refusal(&layer.name, "Add", &shape));
            index += 1;
            continue;
        }
        let mut weight = vec![0.0; channels * 2 * channels];
        for channel in 0..channels {
            weight[channel * 2 * channels + channel] = 1.0;
            weight[channel * 2 * channels + channels + channel] = 1.0;
        }
        let bias = vec![0.0; channels];
        let op = if shape.len() == 4 {
            Op::Conv(Conv {
                window: Window::POINT,
                group: 1,
                inputs: 2 * channels,
                outputs: channels,
                weight,
                bias,
                relu: false,
            })
        } else {
            Op::Dense(Dense {
                inputs: 2 * channels,
                outputs: channels,
                weight,
                bias,
                relu: false,
            })
        };
        let name = net.fresh(&format!("{}.concat", layer.name));
        let both = net.fresh(&format!("{}.operands", layer.output));
        let inputs = std::mem::replace(&mut net.layers[index].inputs, vec![both.clone()]);
        net.layers[index].op = op;
        let mut wide = shape;
        wide[1] = 2 * channels;
        net.shapes.insert(both.clone(), wide);
        let concat = Layer {
            name,
            op: Op::Concat,
            inputs,
            output: both,
        };
        net.layers.insert(index, concat);
        index += 2;
    }
}

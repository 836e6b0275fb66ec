//! Per-channel affine maps (batch normalisation, bias, scaling by constants): folded into the layer
//! before or behind, else made a layer of their own.

use super::{Budget, refusal};
use crate::error::UnsupportedNode;
use crate::net::{Affine, Net, Op};

/// Folds until nothing changes.
pub(super) fn fold(net: &mut Net) {
    while let Some(index) = (0..net.layers.len()).find(|&index| backward(net, index)) {
        net.layers.remove(index);
    }
    while let Some(index) = (0..net.layers.len()).find(|&index| forward(net, index)) {
        net.layers.remove(index);
    }
}

/// Takes the map at `index` into the layer that makes its input. Whether it did; the layer then
/// makes the map's output.
fn backward(net: &mut Net, index: usize) -> bool {
    let layer = &net.layers[index];
    let (Op::Affine(map), Some(input)) = (layer.op.clone(), layer.inputs.first().cloned()) else {
        return false;
    };
    let output = layer.output.clone();
    let Some(producer) = net.producer(&input).filter(|_| net.is_private(&input)) else {
        return false;
    };
    let scale_rows = |weight: &mut Vec<f64>, bias: &mut Vec<f64>| {
        let row = weight.len() / bias.len().max(1);
        for (weights, factor) in weight.chunks_mut(row.max(1)).zip(&map.scale) {
            for w in weights {
                *w *= factor;
            }
        }
        for (b, (factor, shift)) in bias.iter_mut().zip(map.scale.iter().zip(&map.shift)) {
            *b = *b * factor + shift;
        }
    };
    let producer = &mut net.layers[producer];
    match &mut producer.op {
        Op::Conv(conv) if !conv.relu => scale_rows(&mut conv.weight, &mut conv.bias),
        Op::Dense(dense) if !dense.relu => scale_rows(&mut dense.weight, &mut dense.bias),
        Op::Affine(before) => {
            let Affine { scale, shift } = before;
            for (s, factor) in scale.iter_mut().zip(&map.scale) {
                *s *= factor;
            }
            for (t, (factor, offset)) in shift.iter_mut().zip(map.scale.iter().zip(&map.shift)) {
                *t = *t * factor + offset;
            }
        }
        _ => return false,
    }
    output.clone_into(&mut producer.output);
    net.shapes.remove(&input);
    true
}

/// Takes the map at `index` into every layer that reads it. Whether it did; those layers then read
/// the map's input.
fn forward(net: &mut Net, index: usize) -> bool {
    let layer = &net.layers[index];
    let (Op::Affine(map), Some(input)) = (layer.op.clone(), layer.inputs.first().cloned()) else {
        return false;
    };
    let output = layer.output.clone();
    let shifts = map.shift.iter().any(|&t| t != 0.0);
    let readers = net.readers(&output);
    let takes = |&reader: &usize| match &net.layers[reader].op {
        // Padding stands for 0 behind the map, which a shift would move.
        Op::Conv(conv) => !(shifts && conv.window.padded()),
        Op::Dense(_) => true,
        _ => false,
    };
    if net.is_output(&output) || readers.is_empty() || !readers.iter().all(takes) {
        return false;
    }
    for reader in readers {
        let layer = &mut net.layers[reader];
        layer.inputs = vec![input.clone()];
        match &mut layer.op {
            Op::Conv(conv) => {
                let [kh, kw] = conv.window.kernel;
                let (taps, per_group) = (kh * kw, conv.inputs / conv.group);
                let rows = conv.outputs / conv.group;
                let bias = conv.bias.iter_mut();
                for (out, (row, b)) in conv
                    .weight
                    .chunks_mut(per_group * taps)
                    .zip(bias)
                    .enumerate()
                {
                    let first = out / rows * per_group;
                    for (weights, channel) in row.chunks_mut(taps).zip(first..) {
                        *b += weights.iter().sum::<f64>() * map.shift[channel];
                        for w in weights {
                            *w *= map.scale[channel];
                        }
                    }
                }
            }
            Op::Dense(dense) => {
                let bias = dense.bias.iter_mut();
                for (row, b) in dense.weight.chunks_mut(dense.inputs).zip(bias) {
                    for (feature, w) in row.iter_mut().enumerate() {
                        *b += *w * map.shift[feature];
                        *w *= map.scale[feature];
                    }
                }
            }
            _ => {}
        }
    }
    net.shapes.remove(&output);
    true
}

/// Makes a layer of each map that is left.
pub(super) fn materialise(net: &mut Net, budget: &mut Budget, refused: &mut Vec<UnsupportedNode>) {
    for index in 0..net.layers.len() {
        let layer = &net.layers[index];
        if let Op::Affine(map) = &layer.op {
            let shape = net.shape(&layer.output);
            match budget.per_channel_layer(shape, &map.scale, &map.shift) {
                Some(op) => net.layers[index].op = op,
                None => refused.push(refusal(&layer.name, "Mul/Add", shape)),
            }
        }
    }
}

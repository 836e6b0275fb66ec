//! An average pool is a depthwise convolution with equal weights. (The runtime's own quantized
//! average is not a function of the integer sum.)

use crate::net::{Conv, Net, Op};
use crate::num::f64_of;

pub(super) fn as_convolution(net: &mut Net) {
    for index in 0..net.layers.len() {
        let layer = &net.layers[index];
        if let Op::AveragePool(window) = &layer.op {
            let channels = net.shape(&layer.output).get(1).copied().unwrap_or(1);
            let taps = window.kernel[0] * window.kernel[1];
            net.layers[index].op = Op::Conv(Conv {
                window: window.clone(),
                group: channels,
                inputs: channels,
                outputs: channels,
                weight: vec![1.0 / f64_of(taps); channels * taps],
                bias: vec![0.0; channels],
                relu: false,
            });
        }
    }
}

//! Rewrites of the float network until only convolutions, matrix products, max pools, concatenations
//! and moves of elements are left. Each pass keeps what the network computes.

mod affine;
mod average;
mod concat;
mod relu;
mod reshape;
mod residual;

use crate::error::{QuantizeError, UnsupportedNode};
use crate::net::{Conv, Dense, Net, Op, Window};

/// Runs all passes in order.
///
/// # Errors
/// [`QuantizeError::Unsupported`] with every layer that has no exact form.
pub(crate) fn normalise(net: &mut Net) -> Result<(), QuantizeError> {
    let mut refused = Vec::new();
    net.drop_dead();
    reshape::simplify(net);
    relu::toward_producer(net);
    affine::fold(net);
    average::as_convolution(net);
    residual::as_convolution(net);
    affine::materialise(net, &mut refused);
    relu::materialise(net, &mut refused);
    relu::fuse(net);
    concat::settle(net);
    if refused.is_empty() {
        Ok(())
    } else {
        Err(QuantizeError::Unsupported(refused))
    }
}

/// Largest number of features of a layer that maps each feature by itself, which is written as a
/// square matrix.
const MAX_DIAGONAL: usize = 4096;

/// `scale[c] · x + shift[c]` along dimension 1 as a depthwise 1×1 convolution or a diagonal matrix;
/// `None` for other shapes.
fn per_channel_layer(shape: &[usize], scale: &[f64], shift: &[f64]) -> Option<Op> {
    match *shape {
        [1, channels, _, _] => Some(Op::Conv(Conv {
            window: Window::POINT,
            group: channels,
            inputs: channels,
            outputs: channels,
            weight: scale.to_vec(),
            bias: shift.to_vec(),
            relu: false,
        })),
        [_, features] if features <= MAX_DIAGONAL => {
            let mut weight = vec![0.0; features * features];
            for (index, &factor) in scale.iter().enumerate() {
                weight[index * features + index] = factor;
            }
            Some(Op::Dense(Dense {
                inputs: features,
                outputs: features,
                weight,
                bias: shift.to_vec(),
                relu: false,
            }))
        }
        _ => None,
    }
}

fn refusal(name: &str, op_type: &str, shape: &[usize]) -> UnsupportedNode {
    UnsupportedNode {
        name: name.to_owned(),
        op_type: op_type.to_owned(),
        reason: format!("it stands alone over a tensor of shape {shape:?}"),
        remedy: format!(
            "place it behind a Conv or Gemm, or over [1, channels, height, width] or at most {MAX_DIAGONAL} features"
        ),
    }
}

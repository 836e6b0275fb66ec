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
    let mut budget = Budget::default();
    net.drop_dead();
    reshape::simplify(net);
    relu::toward_producer(net);
    affine::fold(net);
    average::as_convolution(net);
    residual::as_convolution(net, &mut budget, &mut refused);
    affine::materialise(net, &mut budget, &mut refused);
    relu::materialise(net, &mut budget, &mut refused);
    relu::fuse(net);
    concat::settle(net, &mut budget, &mut refused);
    if refused.is_empty() {
        Ok(())
    } else {
        Err(QuantizeError::Unsupported(refused))
    }
}

/// Most weights that the passes may write for layers that the model does not have as such.
const MAX_WRITTEN: usize = 1 << 25;

/// Counts the weights written, so that a small file cannot ask for much memory.
#[derive(Default)]
struct Budget {
    written: usize,
}

impl Budget {
    /// Whether so many more may be written.
    fn grant(&mut self, rows: usize, columns: usize) -> bool {
        let sum = rows
            .checked_mul(columns)
            .and_then(|more| more.checked_add(self.written));
        match sum.filter(|&sum| sum <= MAX_WRITTEN) {
            Some(sum) => {
                self.written = sum;
                true
            }
            None => false,
        }
    }

    /// `scale[c] · x + shift[c]` along dimension 1 as a depthwise 1×1 convolution or a diagonal
    /// matrix; `None` for other shapes, or when it would be too large.
    fn per_channel_layer(&mut self, shape: &[usize], scale: &[f64], shift: &[f64]) -> Option<Op> {
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
            [_, features] if self.grant(features, features) => {
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
}

fn refusal(name: &str, op_type: &str, shape: &[usize]) -> UnsupportedNode {
    UnsupportedNode {
        name: name.to_owned(),
        op_type: op_type.to_owned(),
        reason: format!("it stands alone over a tensor of shape {shape:?}"),
        remedy: "place it behind a Conv or Gemm, or over [1, channels, height, width], or over fewer features"
            .to_owned(),
    }
}

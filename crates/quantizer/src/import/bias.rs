//! The bias of a product: integers on the accumulator's own scale, or floats.

use proofmark_onnx::{Node, Tensor};
use proofmark_types::ElemType;

use super::Importer;
use super::linear::{Bias, Linear, Operator};
use super::value::{ConstantShown, Value};
use crate::read::{Stop, refuse};

/// One value a channel, from a constant that runs along one axis of a tensor or is a scalar.
pub(super) fn by_channel(
    tensor: &Tensor,
    shape: &[usize],
    axis: usize,
    channels: usize,
) -> Result<Vec<f32>, Stop> {
    let wrong = || {
        refuse(
            format!(
                "a constant of shape {:?} behind a product of shape {shape:?}",
                tensor.shape
            ),
            "use float32 constants that are scalars or run along the channels",
        )
    };
    let values = tensor.floats().ok_or_else(wrong)?;
    let lead = shape
        .len()
        .checked_sub(tensor.shape.len())
        .ok_or_else(wrong)?;
    let fits = tensor
        .shape
        .iter()
        .enumerate()
        .all(|(at, &dim)| dim == 1 || at + lead == axis && dim == channels);
    match values {
        _ if !fits => Err(wrong()),
        &[one] => Ok(vec![one; channels]),
        several if several.len() == channels => Ok(several.to_vec()),
        _ => Err(wrong()),
    }
}

impl Importer<'_> {
    /// The bias of a product: integers on the accumulator's own scale, or floats.
    pub(super) fn read_bias(
        &mut self,
        node: &Node,
        at: usize,
        beta: f32,
        linear: &mut Linear,
    ) -> Result<(), Stop> {
        let Some(name) = node.input(at) else {
            return Ok(());
        };
        if let Some(Value::ConstantShown(constant)) = self.values.get(name)
            && constant.data.elem() == ElemType::Int32
            && beta.to_bits() == 1.0_f32.to_bits()
        {
            linear.bias = int32_bias(constant, linear)?;
            return Ok(());
        }
        let floats = self.float_constant(node, at)?;
        let axis = linear.channel_axis();
        // A bias of Conv has rank 1, though its channels are dimension 1.
        let (shape, axis) = match linear.operator {
            Operator::Conv(_) => (vec![linear.channels], 0),
            Operator::Matrix { .. } => (linear.shape.clone(), axis),
        };
        let bias = by_channel(&floats, &shape, axis, linear.channels)?;
        linear.bias = Bias::Floats(bias.iter().map(|&b| f64::from(beta * b)).collect());
        Ok(())
    }
}

/// How many float32 steps the scale of a bias may be from the product of the scales of input and
/// weights. Whoever multiplies them in double precision and rounds at another place (TFLite's
/// converter does) gets a neighbour of the float32 product: it is the same number rounded otherwise.
/// The integers mean the accumulator's own steps all the same, and the runtime's fused kernels read
/// them as such without looking at the scale.
const BIAS_SCALE_STEPS: u32 = 2;

/// Whether a bias scale is the scale of the accumulator.
fn same_scale(bias: f32, accumulator: f32) -> bool {
    let ordered = |scale: f32| scale.is_normal() && scale > 0.0;
    let apart = bias.to_bits().abs_diff(accumulator.to_bits());
    apart == 0 || ordered(bias) && ordered(accumulator) && apart <= BIAS_SCALE_STEPS
}

/// An int32 bias on the accumulator's own scale.
pub(super) fn int32_bias(constant: &ConstantShown, linear: &Linear) -> Result<Bias, Stop> {
    let factors = linear.factors();
    let count = constant.data.len();
    if count != linear.channels {
        return Err(refuse(
            format!("{count} biases for {} channels", linear.channels),
            "give one bias a channel",
        ));
    }
    let one = |list: &[f32], at: usize| {
        let at = if list.len() == 1 { 0 } else { at };
        list.get(at).copied().unwrap_or(f32::NAN)
    };
    let same =
        (0..linear.channels).all(|at| same_scale(one(&constant.scale, at), one(&factors, at)));
    if !same || constant.zero_point.iter().any(|&zero| zero != 0) {
        return Err(refuse(
            "the scale of its bias is not the product of the scales of input and weights",
            "quantize the bias with that scale and zero point 0, or leave it a float",
        ));
    }
    Ok(Bias::Ints(constant.data.data().to_vec()))
}

#[cfg(test)]
mod tests {
    use proofmark_types::manifest::ReferenceLevel;

    use super::super::layers::convolution;
    use super::super::testing::operators;
    use super::same_scale;
    use proofmark_types::ElemType;

    #[test]
    fn a_bias_on_another_scale_is_refused() {
        let elem = ElemType::Uint8;
        let mut small = convolution(elem, elem, elem);
        small.floats(
            "bs",
            &[3],
            &[0.031 * 0.004, 0.031 * 0.011, 0.031 * 0.000_701],
        );
        small.quantize("c", "y", "r").output("r", elem);
        assert!(small.refused()[0].contains("scale of its bias"));
        for bad in [f32::NAN, f32::INFINITY, 0.0, -0.1] {
            let mut small = convolution(elem, elem, elem);
            small.floats("ws", &[3], &[0.004, bad, 0.0007]);
            small.quantize("c", "y", "r").output("r", elem);
            assert!(small.refused()[0].contains("no float32 scale"));
        }
        // Denormal scales make a multiplier that float32 does not hold.
        let mut small = convolution(elem, elem, elem);
        small.floats("ws", &[3], &[1e-40; 3]);
        small.floats("bs", &[3], &[0.031 * 1e-40; 3]);
        small.quantize("c", "y", "r").output("r", elem);
        assert!(small.refused()[0].contains("multiplier"));
    }

    /// The scales of the bias, some float32 steps from the products.
    fn bias_scales(steps: u32, up: bool) -> [f32; 3] {
        [0.004_f32, 0.011, 0.0007].map(|w| {
            let bits = (0.031 * w).to_bits();
            f32::from_bits(if up { bits + steps } else { bits - steps })
        })
    }
    #[test]
    fn a_bias_scale_rounded_otherwise_leaves_the_integers_as_they_are() {
        let elem = ElemType::Uint8;
        let with = |scales: [f32; 3]| {
            let mut small = convolution(elem, elem, elem);
            small.floats("bs", &[3], &scales);
            small.quantize("c", "y", "r").output("r", elem);
            small
        };
        let product = with(bias_scales(0, true)).import(ReferenceLevel::All);
        let product = product.unwrap().model;
        for (steps, up) in [(1, true), (1, false), (2, true), (2, false)] {
            let mut small = with(bias_scales(steps, up));
            // Bias, weights and multipliers are those of the product itself.
            let made = small.import(ReferenceLevel::All).unwrap();
            assert_eq!(made.model, product, "{steps}");
            let found = small.exact_where_fused(elem, 60);
            assert_eq!(operators(&found), ["QLinearConv"]);
            let node = &found.model.unwrap().graph.nodes[0];
            assert!(node.input(8).is_some());
        }
        for (steps, up) in [(3, true), (4, true), (4, false)] {
            let refused = with(bias_scales(steps, up)).refused();
            assert!(refused[0].contains("scale of its bias"), "{refused:?}");
        }
        let zero = f32::from_bits(1);
        assert!(!same_scale(zero, f32::from_bits(2)) && same_scale(zero, zero));
        assert!(!same_scale(f32::from_bits(0x7f80_0001), f32::INFINITY));
        assert!(!same_scale(-1.0, 1.0));
    }
}

//! Float weights that lie on a grid of 8 bits, as training with fake quantization leaves them.

use proofmark_onnx::Tensor;
use proofmark_types::{ElemType, IntTensor};

use super::value::ConstantShown;
use crate::num::round_to;

/// How far from a whole step float weights may lie.
const OFF_GRID: f64 = 0.01;

/// Steps of a list of floats as whole multiples of a scale, and that scale; `None` where there is
/// no scale with at most 256 steps.
fn steps_of(values: &[f32]) -> Option<(f32, Vec<i32>)> {
    let top = values.iter().fold(0.0, |top: f32, v| top.max(v.abs()));
    if values.iter().any(|v| !v.is_finite()) {
        return None;
    }
    if top == 0.0 {
        return Some((1.0, vec![0; values.len()]));
    }
    // Symmetric grids first: they have the zero point in the middle.
    (1..=127_u8).rev().chain(128..=255).find_map(|most| {
        let scale = top / f32::from(most);
        let steps = values.iter().map(|&v| {
            let real = f64::from(v) / f64::from(scale);
            let step = real.round_ties_even();
            ((real - step).abs() <= OFF_GRID).then(|| round_to(step, -255, 255))
        });
        let steps = steps.collect::<Option<Vec<i32>>>()?;
        let (low, high) = (steps.iter().min()?, steps.iter().max()?);
        (scale.is_normal() && high - low <= 255).then_some((scale, steps))
    })
}

/// Float weights as integers with a scale for each index of a dimension, where they lie on such a
/// grid.
pub(super) fn on_grid(tensor: &Tensor, axis: usize) -> Option<ConstantShown> {
    let values = tensor.floats()?;
    let shape = &tensor.shape;
    let channels = *shape.get(axis)?;
    let inner = shape.get(axis + 1..)?.iter().product::<usize>();
    let channel = |at: usize| at / inner.max(1) % channels.max(1);
    let mut scale = Vec::with_capacity(channels);
    let mut steps = Vec::with_capacity(channels);
    for index in 0..channels {
        let own = values.iter().enumerate();
        let own: Vec<f32> = own
            .filter(|&(at, _)| channel(at) == index)
            .map(|(_, &v)| v)
            .collect();
        let (own_scale, own_steps) = steps_of(&own)?;
        scale.push(own_scale);
        steps.push(own_steps);
    }
    let symmetric = steps.iter().flatten().all(|step| step.abs() <= 127);
    let elem = if symmetric {
        ElemType::Int8
    } else {
        ElemType::Uint8
    };
    let zero_point: Vec<i32> = steps
        .iter()
        .map(|own| {
            let low = own.iter().min().copied().unwrap_or_default();
            let high = own.iter().max().copied().unwrap_or_default();
            match (symmetric, low >= -128 && high <= 127) {
                (true, _) => 0,
                (false, true) => 128,
                (false, false) => -low.min(0),
            }
        })
        .collect();
    let mut next = vec![0; channels];
    let data = (0..values.len()).map(|at| {
        let index = channel(at);
        let place = next.get_mut(index)?;
        let step = steps.get(index)?.get(*place)?;
        *place += 1;
        Some(step + zero_point.get(index)?)
    });
    let data = data.collect::<Option<Vec<i32>>>()?;
    Some(ConstantShown {
        data: IntTensor::new(elem, shape.clone(), data).ok()?,
        scale,
        zero_point,
        axis: Some(axis),
    })
}

#[cfg(test)]
mod tests {
    use proofmark_types::manifest::ReferenceLevel;

    use super::super::layers::convolution;
    use super::super::testing::operators;
    use super::*;
    /// Weights that training left on a grid, as floats.
    #[test]
    fn float_weights_on_a_grid() {
        let elem = ElemType::Uint8;
        for (low, spread) in [(-127_i16, 255_i16), (0, 256), (-200, 256), (-3, 7)] {
            let mut small = convolution(elem, elem, elem);
            let scales = [0.004_f32, 0.011, 0.0007];
            let weights = (0..54_i16).map(|at| {
                let step = low + (at * 97 + at % 18 * 31) % spread;
                f32::from(step) * scales[usize::try_from(at / 18).unwrap()]
            });
            let weights: Vec<f32> = weights.collect();
            small.floats("wd", &[3, 2, 3, 3], &weights);
            let nodes = &mut small.model.graph.nodes;
            nodes.retain(|node| node.outputs[0] != "wd" && node.outputs[0] != "bd");
            nodes.last_mut().unwrap().inputs.pop();
            small.quantize("c", "y", "r").output("r", elem);
            let feeds = small.feeds(60);
            let found = small.compare(ReferenceLevel::All, &feeds);
            assert_eq!(operators(&found), ["QLinearConv"]);
            assert!(!found.inexact.is_empty());
            // The runtime may round the weights to a grid of its own.
            assert!(found.different * 20 < found.compared && found.largest <= 1);
        }
        assert!(steps_of(&[0.1, f32::NAN]).is_none());
        assert_eq!(steps_of(&[0.0; 3]), Some((1.0, vec![0; 3])));
    }
}

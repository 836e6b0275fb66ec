//! What all multiply-accumulate operators share: an affine form over the data input, and what
//! becomes of each accumulator.

use std::ops::Range;

use proofmark_gadgets::operands::{Coefficients, Operands, WitnessMode};
use proofmark_gadgets::requantize::requantize;
use proofmark_gadgets::{Lowering, Num};
use proofmark_tensor::Requantize;
use proofmark_tensor::dot::dot;
use rayon::prelude::*;

use crate::context::Refusal;
use crate::error::OpsError;
use crate::operator::within_int32;

/// Layers of fewer products are not worth a second thread.
const PARALLEL_FROM: usize = 1 << 17;

/// What follows an accumulator.
#[derive(Debug, Clone)]
pub(crate) enum Finish {
    /// Requantized to 8 bits; one step function, or one a channel.
    Requantize(Vec<Requantize>),
    /// Served as int32.
    Int32,
}

impl Finish {
    /// The evaluator's value for an accumulator of `channel`.
    pub(crate) fn eval(&self, channel: usize, acc: i32) -> i32 {
        match self {
            Self::Requantize(steps) => pick(steps, channel).map_or(acc, |step| step.apply(acc)),
            Self::Int32 => acc,
        }
    }

    /// The step function of `channel`, where there is one.
    pub(crate) fn step(&self, channel: usize) -> Option<&Requantize> {
        match self {
            Self::Requantize(steps) => pick(steps, channel),
            Self::Int32 => None,
        }
    }

    /// The circuit's number for `Σ coefficient · x + constant` of `channel`.
    pub(crate) fn synthesize<'n>(
        &self,
        cx: &mut Lowering<'_>,
        channel: usize,
        terms: impl IntoIterator<Item = (i64, &'n Num)>,
        constant: i64,
    ) -> Result<Num, OpsError> {
        let acc = accumulate(cx, terms, constant)?;
        self.finish(cx, channel, acc)
    }

    /// The circuit's number for an accumulator of `channel`.
    pub(crate) fn finish(
        &self,
        cx: &mut Lowering<'_>,
        channel: usize,
        acc: Num,
    ) -> Result<Num, OpsError> {
        match self {
            Self::Requantize(_) => match self.step(channel) {
                Some(step) => Ok(requantize(cx, &acc, step)?),
                None => Err(OpsError::Internal {
                    node: cx.path("requantize"),
                    reason: format!("no step function for channel {channel}"),
                }),
            },
            Self::Int32 => Ok(acc),
        }
    }
}

/// Weights less their zero points, both of one 8-bit type.
pub(crate) fn weights(values: impl IntoIterator<Item = i64>) -> Result<Coefficients, Refusal> {
    Coefficients::new(values).ok_or_else(|| {
        Refusal::new(
            "weights of more than 8 bits",
            "quantize the weights to 8 bits",
        )
    })
}

/// A linear layer, as far as its accumulators go: at each of its positions every output channel is
/// an inner product of its weights and the inputs there, plus a bias.
pub(crate) trait Linear: Sync {
    /// `w − w_zero_point`, `[channels][depth]`.
    fn weights(&self) -> &Coefficients;

    /// What is subtracted from every input.
    fn zero_point(&self) -> i64;

    /// Positions, groups of channels, channels a group, and inputs of one of them.
    fn size(&self) -> Size;

    /// The inputs that a group reads at a position: pairs of a place among the weights of a
    /// channel and a place in the input tensor. Places without one add nothing.
    fn places(&self, position: usize, group: usize) -> impl Iterator<Item = (usize, usize)>;

    /// What is added at (position, channel).
    fn bias(&self, position: usize, channel: usize) -> i64;
}

/// See [`Linear::size`].
#[derive(Debug, Clone, Copy)]
pub(crate) struct Size {
    pub(crate) positions: usize,
    pub(crate) groups: usize,
    pub(crate) channels: usize,
    pub(crate) depth: usize,
}

impl Size {
    /// `one` for every position and channel, `[position][channel]`, of what `patch` makes of a
    /// position and a group.
    fn map<P: Sync, T: Send>(
        self,
        patch: impl Fn(usize, usize) -> P + Sync,
        one: impl Fn(&P, usize, usize) -> T + Sync,
    ) -> Vec<Vec<T>> {
        let outputs = self.positions * self.groups * self.channels;
        let parallel = outputs.saturating_mul(self.depth) >= PARALLEL_FROM;
        let channels =
            |group: usize| -> Range<usize> { group * self.channels..(group + 1) * self.channels };
        let at = |position: usize| -> Vec<T> {
            let mut out = Vec::with_capacity(self.groups * self.channels);
            for group in 0..self.groups {
                let patch = patch(position, group);
                let one = |channel| one(&patch, position, channel);
                if parallel && self.positions == 1 {
                    let all = channels(group).into_par_iter().with_min_len(16);
                    out.par_extend(all.map(one));
                } else {
                    out.extend(channels(group).map(one));
                }
            }
            out
        };
        if parallel && self.positions > 1 {
            (0..self.positions).into_par_iter().map(at).collect()
        } else {
            (0..self.positions).map(at).collect()
        }
    }
}

/// All accumulators of the evaluator, `[position][channel]`. The input is of 8 bits.
pub(crate) fn accumulators(layer: &impl Linear, x: &[i32]) -> Vec<Vec<i64>> {
    let size = layer.size();
    let shifted: Vec<i16> = x
        .iter()
        .map(|&v| i16::try_from(i64::from(v) - layer.zero_point()).unwrap_or_default())
        .collect();
    size.map(
        |position, group| {
            let mut patch = vec![0_i16; size.depth];
            for (place, source) in layer.places(position, group) {
                if let (Some(to), Some(from)) = (patch.get_mut(place), shifted.get(source)) {
                    *to = *from;
                }
            }
            patch
        },
        |patch, position, channel| {
            let weights = layer.weights().run(channel * size.depth, size.depth);
            layer.bias(position, channel) + dot(patch, weights)
        },
    )
}

/// In witness mode all accumulators that fit, `[position][channel]`; nothing in shape mode, where
/// they are made one by one, so that their terms need not be held all at once.
pub(crate) fn known(cx: &Lowering<'_>, layer: &impl Linear, x: &[Num]) -> Vec<Vec<Option<Num>>> {
    let Some(operands) =
        WitnessMode::of(cx).and_then(|mode| Operands::new(mode, x, layer.zero_point()))
    else {
        return Vec::new();
    };
    let size = layer.size();
    size.map(
        |position, group| operands.pick(size.depth, layer.places(position, group)),
        |patch, position, channel| {
            let bias = layer.bias(position, channel);
            patch.linear(layer.weights(), channel * size.depth, bias)
        },
    )
}

/// One of the [`known`] accumulators, or made now.
pub(crate) fn known_or(
    cx: &Lowering<'_>,
    known: &[Vec<Option<Num>>],
    (position, channel): (usize, usize),
    make: impl FnOnce() -> Result<Num, OpsError>,
) -> Result<Num, OpsError> {
    match known.get(position).and_then(|all| all.get(channel)) {
        Some(Some(acc)) => {
            within_int32(cx, "accumulator", acc)?;
            Ok(acc.clone())
        }
        _ => make(),
    }
}

/// `Σ coefficient · x + constant`.
///
/// The accumulator is proven to stay inside int32, where the runtime's own does not wrap. Only the
/// whole sum is checked: int32 addition wraps modulo 2^32, so whatever the order of the runtime's
/// additions, a sum that fits is exact.
pub(crate) fn accumulate<'n>(
    cx: &Lowering<'_>,
    terms: impl IntoIterator<Item = (i64, &'n Num)>,
    constant: i64,
) -> Result<Num, OpsError> {
    let acc = Num::linear(cx, terms, constant)?;
    within_int32(cx, "accumulator", &acc)?;
    Ok(acc)
}

fn pick(steps: &[Requantize], channel: usize) -> Option<&Requantize> {
    match steps {
        [one] => Some(one),
        many => many.get(channel),
    }
}

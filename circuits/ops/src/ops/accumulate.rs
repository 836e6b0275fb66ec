//! What all multiply-accumulate operators share: an affine form over the data input, and what
//! becomes of each accumulator.

use proofmark_gadgets::requantize::requantize;
use proofmark_gadgets::{Lowering, Num};
use proofmark_tensor::Requantize;

use crate::error::OpsError;
use crate::operator::within_int32;

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

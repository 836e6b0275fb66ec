//! Many affine additions with one inversion.

use std::marker::PhantomData;

use ark_bn254::Fq;
use ark_ec::CurveConfig;
use ark_ff::Field;
use proofmark_lanes::{Kernel, Lanes};

use crate::coordinate::{Coordinate, invert};
use crate::curve::{Curve, Vector};

/// Running products side by side, so that one multiplication need not wait for the one before.
pub(crate) const CHAINS: usize = 4;

/// `slots[targets[i]] ± = points[sources[i]]` for all `i`, with different targets throughout and no
/// identity among the operands.
pub(crate) struct AddPairs<'a, C: Curve> {
    /// The sums, and at the end one more point that is overwritten with nonsense.
    pub(crate) slots: &'a mut [C::Point],
    /// What is added.
    pub(crate) points: &'a [C::Point],
    /// Indices into `slots`, then at least [`Lanes::WIDTH`] times that of its last point.
    pub(crate) targets: &'a [u32],
    /// Indices into `points`, then at least [`Lanes::WIDTH`] times any valid one.
    pub(crate) sources: &'a [u32],
    /// Bit `i % 64` of word `i / 64`: subtract.
    pub(crate) negative: &'a [u64],
    /// Additions.
    pub(crate) count: usize,
    pub(crate) curve: PhantomData<C>,
}

impl<C: Curve> Kernel for AddPairs<'_, C> {
    type Field = Fq;
    /// False when two x coordinates were equal; nothing was changed then.
    type Output = bool;

    #[inline(always)]
    fn run<L: Lanes<Field = Fq>>(self, lanes: L) -> bool {
        let Self {
            slots,
            points,
            targets,
            sources,
            negative,
            count,
            ..
        } = self;
        let one = <C::BaseField as Coordinate>::splat(lanes, &C::BaseField::ONE);
        let vectors = count.div_ceil(L::WIDTH);
        let targets = targets[..vectors * L::WIDTH].chunks_exact(L::WIDTH);
        let sources = sources[..vectors * L::WIDTH].chunks_exact(L::WIDTH);
        let mut before = Vec::with_capacity(vectors + CHAINS);
        let mut products = [one; CHAINS];
        for (number, (targets, sources)) in targets.clone().zip(sources.clone()).enumerate() {
            let [x, _] = C::gather(lanes, slots, targets);
            let [other, _] = C::gather(lanes, points, sources);
            let difference = differences::<C, L>(lanes, other, x, number, count);
            let product = &mut products[number % CHAINS];
            before.push(*product);
            *product = C::BaseField::times(lanes, *product, difference);
        }
        let Some(mut inverses) = invert::<C::BaseField, L, CHAINS>(lanes, products) else {
            return false;
        };
        for (number, (targets, sources)) in targets.zip(sources).enumerate().rev() {
            let [x, y] = C::gather(lanes, slots, targets);
            let [other_x, other_y] = C::gather(lanes, points, sources);
            let lane = number * L::WIDTH;
            let mask = negative[lane / 64] >> (lane % 64);
            let other_y =
                C::BaseField::select(lanes, mask, C::BaseField::negated(lanes, other_y), other_y);
            let difference = differences::<C, L>(lanes, other_x, x, number, count);
            let inverse = &mut inverses[number % CHAINS];
            let reciprocal = C::BaseField::times(lanes, *inverse, before[number]);
            *inverse = C::BaseField::times(lanes, *inverse, difference);
            let rise = C::BaseField::minus(lanes, other_y, y);
            let slope = C::BaseField::times(lanes, rise, reciprocal);
            let square = C::BaseField::squared(lanes, slope);
            let sum_x = C::BaseField::minus_both(lanes, square, x, other_x);
            let run = C::BaseField::minus(lanes, x, sum_x);
            let sum_y = C::BaseField::minus(lanes, C::BaseField::times(lanes, slope, run), y);
            C::scatter(lanes, [sum_x, sum_y], slots, targets);
        }
        true
    }
}

/// `a − b`, and 1 in the lanes past the last addition.
#[inline(always)]
fn differences<C: Curve, L: Lanes<Field = Fq>>(
    lanes: L,
    a: Vector<C, L>,
    b: Vector<C, L>,
    number: usize,
    count: usize,
) -> Vector<C, L> {
    let difference = C::BaseField::minus(lanes, a, b);
    let rest = count - number * L::WIDTH;
    if rest >= L::WIDTH {
        return difference;
    }
    let one = <<C as CurveConfig>::BaseField as Coordinate>::splat(lanes, &C::BaseField::ONE);
    C::BaseField::select(lanes, (1 << rest) - 1, difference, one)
}

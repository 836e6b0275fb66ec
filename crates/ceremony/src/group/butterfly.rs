//! Sums and differences of pairs of points, with one inversion for many pairs.

use ark_bn254::Fq;
use ark_ec::short_weierstrass::Affine;
use ark_ec::{AffineRepr, CurveGroup};
use proofmark_lanes::{Engine, Kernel, Lanes};
use proofmark_msm::{Coordinate, Curve};

use super::multiply::{Reciprocals, chord, neighbours};

/// `(a + b, a − b)` for each pair.
pub(super) fn sums_and_differences<C: Curve>(
    engine: Engine<Fq>,
    pairs: &[[C::Point; 2]],
) -> Vec<[C::Point; 2]> {
    let whole = pairs.len().next_multiple_of(64);
    let generator = Affine::<C>::generator();
    let twice = (generator + generator).into_affine();
    let mut left = vec![C::pack(engine, &generator); whole];
    let mut right = vec![C::pack(engine, &twice); whole];
    // Pairs that a line through both says nothing about are left to arkworks.
    let ordinary =
        |[a, b]: &[C::Point; 2]| !C::is_identity(a) && !C::is_identity(b) && !C::same_x(a, b);
    for (index, pair) in pairs.iter().enumerate() {
        if ordinary(pair) {
            [left[index], right[index]] = *pair;
        }
    }
    let mut sums = vec![[C::IDENTITY; 2]; whole];
    let done = engine.run(SumsAndDifferences::<C> {
        left: &mut left,
        right: &mut right,
    });
    for (sum, (left, right)) in sums.iter_mut().zip(left.iter().zip(&right)) {
        *sum = [*left, *right];
    }
    sums.truncate(pairs.len());
    for (pair, sum) in pairs.iter().zip(&mut sums) {
        if !done || !ordinary(pair) {
            let [a, b] = pair.map(|point| C::unpack(engine, &point));
            *sum = [a + b, a - b].map(|point| C::pack(engine, &point.into_affine()));
        }
    }
    sums
}

/// `(left, right) = (left + right, left − right)`, for a number of points that is a multiple of
/// [`Lanes::WIDTH`], of different x coordinates in each pair and no identity.
struct SumsAndDifferences<'a, C: Curve> {
    left: &'a mut [C::Point],
    right: &'a mut [C::Point],
}

impl<C: Curve> Kernel for SumsAndDifferences<'_, C> {
    type Field = Fq;
    /// False when two x coordinates were equal; nothing was changed then.
    type Output = bool;

    #[inline(always)]
    fn run<L: Lanes<Field = Fq>>(self, lanes: L) -> bool {
        let Self { left, right } = self;
        let Some(mut reciprocals) = Reciprocals::<C, L>::of(lanes, left, right) else {
            return false;
        };
        let mut slots = [0_u32; 64];
        for number in (0..left.len() / L::WIDTH).rev() {
            let slots = neighbours::<L>(&mut slots, number * L::WIDTH);
            let [x, y] = C::gather(lanes, left, slots);
            let [other_x, other_y] = C::gather(lanes, right, slots);
            let reciprocal =
                reciprocals.next(lanes, number, C::BaseField::minus(lanes, other_x, x));
            let rise = C::BaseField::minus(lanes, other_y, y);
            let slope = C::BaseField::times(lanes, rise, reciprocal);
            let sum = chord::<C, L>(lanes, slope, [x, y], other_x);
            let fall = C::BaseField::minus(lanes, C::BaseField::negated(lanes, other_y), y);
            let slope = C::BaseField::times(lanes, fall, reciprocal);
            let difference = chord::<C, L>(lanes, slope, [x, y], other_x);
            C::scatter(lanes, sum, left, slots);
            C::scatter(lanes, difference, right, slots);
        }
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::group::tests::points;
    use ark_bn254::{g1, g2};

    fn check<C: crate::group::Group>(engine: Engine<Fq>) {
        let mut points = points::<C>(150);
        points[3] = Affine::zero();
        points[10] = points[11];
        points[20] = -points[21];
        points[30] = Affine::zero();
        points[31] = Affine::zero();
        let pairs = points
            .chunks(2)
            .map(|pair| [pair[0], pair[1]].map(|point| C::pack(engine, &point)))
            .collect::<Vec<_>>();
        for (pair, got) in points
            .chunks(2)
            .zip(sums_and_differences::<C>(engine, &pairs))
        {
            let expected = [pair[0] + pair[1], pair[0] - pair[1]].map(CurveGroup::into_affine);
            assert_eq!(got.map(|point| C::unpack(engine, &point)), expected);
        }
    }

    #[test]
    fn equal_arkworks_for_all_kinds_of_pairs() {
        for engine in [Engine::detect(), Engine::portable()] {
            check::<g1::Config>(engine);
            check::<g2::Config>(engine);
        }
    }
}

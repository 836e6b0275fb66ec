//! `Σ (k + 1)·bucket k`, in affine additions side by side.
//!
//! The buckets are cut into segments of equal length. All segments keep, from their highest bucket
//! down, the sum `A` of the buckets so far and the sum `S` of these sums, one affine addition each a
//! step, all segments in one batch. Then `S` of a segment weighs its buckets from 1 on, and segment
//! `i` still lacks `i · length · A`: the same problem with one bucket a segment.

use ark_bn254::Fq;
use ark_ec::AdditiveGroup;
use ark_ec::short_weierstrass::{Affine, Projective};
use proofmark_lanes::Engine;
use zeroize::Zeroize;

use crate::accumulator::Accumulator;
use crate::curve::Curve;

/// Up to so many buckets are summed one by one.
const SHORT: usize = 32;
/// Buckets in a segment.
const SEGMENT: usize = 8;

/// The weighted sum of the buckets; identities may be among them. Scratch memory: about twice
/// theirs.
pub(crate) fn weighted_sum<C: Curve>(
    engine: Engine<Fq>,
    mut buckets: Vec<C::Point>,
) -> Projective<C> {
    let mut factor_bits = 0;
    let mut total = Projective::<C>::ZERO;
    // Invariant: the result is total + 2^factor_bits · (weighted sum of `buckets`).
    while buckets.len() > SHORT {
        let segments = buckets.len().div_ceil(SEGMENT);
        buckets.resize(segments * SEGMENT, C::IDENTITY);
        let mut sums = Accumulator::<C>::new(engine, 2 * segments);
        // One row of buckets, then the sums A before this step.
        let mut points = vec![C::IDENTITY; 2 * segments];
        for step in (0..=SEGMENT).rev() {
            for segment in 0..segments {
                points[segments + segment] =
                    sums.sum(segment as u32).copied().unwrap_or(C::IDENTITY);
                points[segment] = match step.checked_sub(1) {
                    Some(row) => buckets[segment * SEGMENT + row],
                    None => C::IDENTITY,
                };
            }
            // A of this step and S of the one before are independent of each other.
            for (slot, point) in points.iter().enumerate() {
                if !C::is_identity(point) {
                    sums.add(&points, slot as u32, slot as u32, false);
                }
            }
            sums.drain(&points);
        }
        let weighted = (segments..2 * segments)
            .map(|slot| sums.sum(slot as u32).copied().unwrap_or(C::IDENTITY))
            .collect();
        let mut partial: Projective<C> = plain_sum::<C>(engine, weighted).into();
        for _ in 0..factor_bits {
            partial.double_in_place();
        }
        total += partial;
        factor_bits += SEGMENT.ilog2();
        // Segment 0 lacks nothing, segment i counts i times: bucket i − 1.
        buckets.zeroize();
        buckets = (1..segments)
            .map(|slot| sums.sum(slot as u32).copied().unwrap_or(C::IDENTITY))
            .collect();
        points.zeroize();
    }
    let mut running = Projective::<C>::ZERO;
    let mut rest = Projective::<C>::ZERO;
    for bucket in buckets.iter().rev() {
        running += C::unpack(engine, bucket);
        rest += running;
    }
    for _ in 0..factor_bits {
        rest.double_in_place();
    }
    buckets.zeroize();
    total + rest
}

/// The sum of points, in halves.
fn plain_sum<C: Curve>(engine: Engine<Fq>, mut points: Vec<C::Point>) -> Affine<C> {
    while points.len() > 1 {
        let half = points.len().div_ceil(2);
        let mut sums = Accumulator::<C>::new(engine, half);
        for (index, point) in points.iter().enumerate() {
            if !C::is_identity(point) {
                sums.add(&points, (index % half) as u32, index as u32, false);
            }
        }
        sums.drain(&points);
        points.zeroize();
        points = (0..half)
            .map(|slot| sums.sum(slot as u32).copied().unwrap_or(C::IDENTITY))
            .collect();
    }
    points
        .first()
        .map_or_else(Affine::identity, |point| C::unpack(engine, point))
}

#[cfg(test)]
mod tests {
    use super::*;
    use ark_bn254::{Fr, g1, g2};
    use ark_ec::{AffineRepr, CurveGroup, PrimeGroup};
    use ark_ff::UniformRand;
    use ark_std::rand::rngs::StdRng;
    use ark_std::rand::{Rng, SeedableRng};

    fn against_definition<C: Curve>(engine: Engine<Fq>) {
        let mut random = StdRng::seed_from_u64(7);
        for count in [0, 1, 2, 31, 32, 33, 63, 64, 65, 500, 2048] {
            for sparse in [1, 3, 100] {
                let mut scalars = Vec::new();
                for _ in 0..count {
                    scalars.push(match random.gen_range(0..2 * sparse) {
                        0 => Fr::rand(&mut random),
                        // Equal and opposite points.
                        1 => Fr::from(random.gen_range(-1..=1)),
                        _ => Fr::from(0),
                    });
                }
                let expected: Fr = scalars
                    .iter()
                    .zip(1_u64..)
                    .map(|(scalar, weight)| *scalar * Fr::from(weight))
                    .sum();
                let points = scalars
                    .iter()
                    .map(|s| (Projective::<C>::generator() * s).into_affine())
                    .map(|p| C::pack(engine, &p))
                    .collect();
                assert_eq!(
                    weighted_sum::<C>(engine, points),
                    Affine::<C>::generator() * expected,
                    "{count} buckets, one in {sparse}"
                );
            }
        }
    }

    #[test]
    fn weighs_each_bucket_by_its_number() {
        for engine in [Engine::portable(), Engine::detect()] {
            against_definition::<g1::Config>(engine);
        }
        against_definition::<g2::Config>(Engine::detect());
    }
}

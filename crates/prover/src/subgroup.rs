//! Whether many points of the twist are in the subgroup of order r, checked together.
//!
//! The twist has `r · h` points with
//! `h = 10069 · 5864401 · 1875725156269 · 197620364512881247228717050342013327560683201906968909`,
//! none of whose prime factors is r. A point outside the subgroup has a component of order at
//! least 10069 in the part of order `h`. For random coefficients of 11 bits, `Σ c_i P_i` then lies
//! in the subgroup with probability at most 2^-11 (given the others, at most one value of that
//! point's coefficient cancels its component, because 2^11 < 10069). Twelve independent sums leave
//! at most 2^-132; each costs one addition a point, where the check of a single point costs about
//! two hundred. The coefficients come from the operating system after the points are fixed.

use ark_bn254::{G2Affine, G2Projective, g2};
use ark_ec::short_weierstrass::{Bucket, SWCurveConfig};
use ark_ec::{AffineRepr, CurveGroup};
use proofmark_types::digest::DigestStream;
use rayon::prelude::*;

use crate::error::ProverError;
use crate::random;

/// Bits of a coefficient: fewer than those of the smallest prime factor of the cofactor.
const BITS: usize = 11;
/// Independent sums.
const SUMS: u64 = 12;
/// Below this number of points each is checked for itself.
const FEW: usize = 64;

/// Whether all points (each on the curve) are in the subgroup; wrong with probability at most
/// 2^-132.
///
/// # Errors
/// [`ProverError::Randomness`].
pub fn all_in_subgroup(points: &[G2Affine]) -> Result<bool, ProverError> {
    if points.len() < FEW {
        return Ok(points
            .par_iter()
            .all(g2::Config::is_in_correct_subgroup_assuming_on_curve));
    }
    let mut seed = [0_u8; 32];
    random::fill(&mut seed)?;
    Ok((0..SUMS).into_par_iter().all(|sum| {
        let sum = random_sum(points, &seed, sum).into_affine();
        g2::Config::is_in_correct_subgroup_assuming_on_curve(&sum)
    }))
}

/// `Σ c_i P_i` with coefficients from SHA-256 in counter mode.
fn random_sum(points: &[G2Affine], seed: &[u8; 32], sum: u64) -> G2Projective {
    let mut buckets = vec![Bucket::<g2::Config>::ZERO; 1 << BITS];
    for (block, points) in (0_u64..).zip(points.chunks(16)) {
        let mut stream = DigestStream::new();
        stream.update(seed);
        stream.update(&sum.to_le_bytes());
        stream.update(&block.to_le_bytes());
        let digest = stream.finish();
        let (coefficients, _) = digest.as_bytes().as_chunks::<2>();
        for (point, coefficient) in points.iter().zip(coefficients) {
            let coefficient = usize::from(u16::from_le_bytes(*coefficient)) % (1 << BITS);
            if coefficient > 0 && !point.is_zero() {
                buckets[coefficient] += point;
            }
        }
    }
    let mut running = Bucket::<g2::Config>::ZERO;
    let mut total = Bucket::<g2::Config>::ZERO;
    for bucket in buckets.iter().skip(1).rev() {
        running += bucket;
        total += &running;
    }
    total.into()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::Seeded;
    use ark_bn254::{Fq, Fq2, Fr};
    use ark_ec::PrimeGroup;
    use ark_ec::scalar_mul::BatchMulPreprocessing;
    use ark_ff::PrimeField;

    /// A point of the twist; a random one is in the subgroup once in 2^254 times.
    fn on_curve(mut seed: u64) -> G2Affine {
        loop {
            let x = Fq2::new(Fq::from(seed), Fq::from(7_u64));
            if let Some(point) = G2Affine::get_point_from_x_unchecked(x, false) {
                return point;
            }
            seed += 1;
        }
    }

    fn subgroup(count: usize) -> Vec<G2Affine> {
        let mut random = Seeded::new(3);
        let scalars: Vec<Fr> = (0..count).map(|_| random.scalar()).collect();
        BatchMulPreprocessing::new(G2Affine::generator().into_group(), count).batch_mul(&scalars)
    }

    /// Whether the four factors multiply to the cofactor in `F`.
    fn product_is_cofactor<F: PrimeField>(factors: [&str; 4]) -> bool {
        let number = |text: &str| {
            text.bytes().fold(F::zero(), |sum, digit| {
                sum * F::from(10_u64) + F::from(u64::from(digit - b'0'))
            })
        };
        let shift = F::from(u64::MAX) + F::one();
        let cofactor = <g2::Config as ark_ec::CurveConfig>::COFACTOR
            .iter()
            .rev()
            .fold(F::zero(), |sum, limb| sum * shift + F::from(*limb));
        factors.into_iter().map(number).product::<F>() == cofactor
    }

    #[test]
    fn the_factors_are_those_of_the_cofactor() {
        let factors = [
            "10069",
            "5864401",
            "1875725156269",
            "197620364512881247228717050342013327560683201906968909",
        ];
        // Both numbers are below 2^256, so equality modulo both orders is equality.
        assert!(product_is_cofactor::<Fq>(factors));
        assert!(product_is_cofactor::<Fr>(factors));
        const { assert!((1 << BITS) < 10069) };
    }

    #[test]
    fn one_point_outside_is_found_wherever_it_stands() {
        for count in [1, FEW - 1, FEW, 200] {
            let mut points = subgroup(count);
            points[count / 2] = G2Affine::zero();
            assert!(all_in_subgroup(&points).unwrap());
            let outside = on_curve(count as u64);
            assert!(!g2::Config::is_in_correct_subgroup_assuming_on_curve(
                &outside
            ));
            for place in [0, count / 3, count - 1] {
                let kept = points[place];
                points[place] = outside;
                assert!(!all_in_subgroup(&points).unwrap(), "{place} of {count}");
                points[place] = kept;
            }
        }
        assert!(all_in_subgroup(&[]).unwrap());
    }

    #[test]
    fn points_of_the_smallest_order_and_cancelling_pairs_are_found() {
        // [r · h / 10069] of a point of the twist has order 10069 (or 1): the hardest to find.
        let part = [
            0x6c3c_d334_915f_1659,
            0x2071_42f7_671a_f448,
            0x9e28_bcf6_5b56_81da_u64,
            0x0001_3af7_a58f_ce69,
        ];
        let order = Fr::MODULUS;
        let small = on_curve(99)
            .into_group()
            .mul_bigint(part)
            .mul_bigint(order)
            .into_affine();
        assert!(!small.is_zero());
        assert!(small.mul_bigint([10069_u64]).into_affine().is_zero());
        for _ in 0..20 {
            let mut points = subgroup(100);
            points[7] = (points[7].into_group() + small).into_affine();
            assert!(!all_in_subgroup(&points).unwrap());
            // Their plain sum is in the subgroup.
            points[55] = (points[55].into_group() - small).into_affine();
            assert!(!all_in_subgroup(&points).unwrap());
        }
    }
}

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
pub(crate) fn all_in_subgroup(points: &[G2Affine]) -> Result<bool, ProverError> {
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

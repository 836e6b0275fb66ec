//! Random weights of 128 bits, made so that points of G1 are cheap to multiply with them.
//!
//! G1 has an endomorphism φ that multiplies by λ. A weight is `a + b·λ` with a and b of 64 bits
//! each; no two of the 2^128 pairs give one residue, since the shortest vectors of the lattice of
//! (a, b) with `a + b·λ = 0` have a coordinate above 2^64 (checked by a test).
#![expect(
    clippy::arithmetic_side_effects,
    reason = "field and group arithmetic cannot overflow"
)]

use ark_bn254::{Fr, G1Affine, G1Projective, g1};
use ark_ec::CurveGroup as _;
use ark_ec::scalar_mul::glv::GLVConfig as _;
use ark_ff::AdditiveGroup as _;
use proofmark_types::Digest;

/// A weight `a + b·λ`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Weight {
    a: u64,
    b: u64,
}

impl Weight {
    /// The weight from the first 16 bytes of a digest; 1 in place of 0, which has chance 2^−128.
    pub(crate) fn from_digest(digest: &Digest) -> Self {
        let (words, _) = digest.as_bytes().as_chunks::<8>();
        let mut words = words.iter().map(|word| u64::from_le_bytes(*word));
        let (a, b) = (
            words.next().unwrap_or_default(),
            words.next().unwrap_or_default(),
        );
        Self {
            a: if a == 0 && b == 0 { 1 } else { a },
            b,
        }
    }

    /// The residue.
    pub(crate) fn residue(self) -> Fr {
        Fr::from(self.a) + Fr::from(self.b) * g1::Config::LAMBDA
    }

    /// Which of P, φ(P) and their sum the bit of this height adds: 0 for none.
    const fn digit(self, bit: u32) -> usize {
        match ((self.a >> bit) & 1, (self.b >> bit) & 1) {
            (0, 0) => 0,
            (_, 0) => 1,
            (0, _) => 2,
            _ => 3,
        }
    }
}

/// P, φ(P), P + φ(P) of each point.
fn tables(points: &[G1Affine]) -> Vec<[G1Affine; 3]> {
    let images: Vec<G1Affine> = points.iter().map(g1::Config::endomorphism_affine).collect();
    let sums: Vec<G1Projective> = points
        .iter()
        .zip(&images)
        .map(|(point, image)| *point + image)
        .collect();
    points
        .iter()
        .zip(images)
        .zip(G1Projective::normalize_batch(&sums))
        .map(|((point, image), sum)| [*point, image, sum])
        .collect()
}

fn entry(table: &[G1Affine; 3], digit: usize) -> Option<&G1Affine> {
    digit.checked_sub(1).and_then(|index| table.get(index))
}

/// Each point times its weight.
pub(crate) fn products(points: &[G1Affine], weights: &[Weight]) -> Vec<G1Affine> {
    let products: Vec<G1Projective> = tables(points)
        .iter()
        .zip(weights)
        .map(|(table, weight)| {
            let mut product = G1Projective::ZERO;
            for bit in (0..u64::BITS).rev() {
                product.double_in_place();
                if let Some(point) = entry(table, weight.digit(bit)) {
                    product += point;
                }
            }
            product
        })
        .collect();
    G1Projective::normalize_batch(&products)
}

/// The sum of all points times their weights: the doublings are shared.
pub(crate) fn weighted_sum(points: &[G1Affine], weights: &[Weight]) -> G1Projective {
    let tables = tables(points);
    let mut sum = G1Projective::ZERO;
    for bit in (0..u64::BITS).rev() {
        sum.double_in_place();
        for (table, weight) in tables.iter().zip(weights) {
            if let Some(point) = entry(table, weight.digit(bit)) {
                sum += point;
            }
        }
    }
    sum
}

#[cfg(test)]
mod tests {
    use super::*;
    use ark_ec::AffineRepr as _;
    use ark_ff::{BigInteger as _, PrimeField as _};

    fn weights() -> Vec<Weight> {
        let mut weights: Vec<Weight> = (0_u64..6)
            .map(|k| Weight::from_digest(&Digest::of(&k.to_le_bytes())))
            .collect();
        weights
            .extend([(0, 0), (1, 0), (0, 1), (u64::MAX, u64::MAX)].map(|(a, b)| Weight { a, b }));
        weights
    }

    #[test]
    fn points_are_multiplied_by_the_residue() {
        let weights = weights();
        let points: Vec<G1Affine> = (3_u64..)
            .take(weights.len())
            .map(|k| (G1Affine::generator() * Fr::from(k)).into_affine())
            .collect();
        let expected: Vec<G1Affine> = points
            .iter()
            .zip(&weights)
            .map(|(point, weight)| (*point * weight.residue()).into_affine())
            .collect();
        assert_eq!(products(&points, &weights), expected);
        let sum: G1Projective = expected.iter().map(|p| p.into_group()).sum();
        assert_eq!(weighted_sum(&points, &weights), sum);
        assert_eq!(weighted_sum(&[], &[]), G1Projective::ZERO);
    }

    #[test]
    fn zero_is_no_weight() {
        let zero = Weight::from_digest(&Digest::from_bytes([0; 32]));
        assert_eq!(zero.residue(), Fr::from(1));
        assert!(weights()[..6].iter().all(|w| w.a != 0 && w.b != 0));
    }

    /// Two pairs with one residue differ by (a, b) with |a|, |b| < 2^64 and a + b·λ = 0 mod r. The
    /// rows of the curve's decomposition are a basis of all such vectors: they are two of them, and
    /// their determinant is r. By Cramer's rule the coefficients of (a, b) over it are integers
    /// below 2^64·(2^127 + 2^64) / r < 1 in magnitude, so that they, and a and b, are 0.
    #[test]
    fn different_pairs_are_different_weights() {
        let [(false, n11), (true, n12), (false, n21), (false, n22)] =
            g1::Config::SCALAR_DECOMP_COEFFS
        else {
            panic!("the signs are others");
        };
        let residue = |n| Fr::from_bigint(n).unwrap();
        assert_eq!(residue(n11), residue(n12) * g1::Config::LAMBDA);
        assert_eq!(residue(n21), -residue(n22) * g1::Config::LAMBDA);
        let mut determinant = n11.mul_low(&n22);
        assert!(!determinant.add_with_carry(&n12.mul_low(&n21)));
        assert_eq!(determinant, Fr::MODULUS);
        assert!([n11, n12, n21, n22].iter().all(|n| n.num_bits() <= 127));
        assert!([n12, n21].iter().all(|n| n.num_bits() <= 64));
    }
}

//! Many points at once: each times a scalar of its own, and through the Fourier transform.
//!
//! Both rest on one kernel ([`multiply`]), which multiplies eight points at a time where the
//! processor has the instructions (`proofmark-lanes`): scalars are split in two halves of 128 bits
//! by the curve's endomorphism ([`recode`]), and additions are mixed with tables of affine odd
//! multiples.
#![expect(
    clippy::inline_always,
    reason = "kernels are compiled with vector instructions only where they are inlined"
)]

mod butterfly;
mod fft;
mod multiply;
mod recode;

use ark_bn254::{Fq, Fr, g1, g2};
use ark_ec::scalar_mul::glv::GLVConfig;
use ark_ec::short_weierstrass::Affine;
use ark_ff::Field;
use proofmark_lanes::Engine;
use proofmark_msm::Curve;
use rayon::prelude::*;

use crate::error::CeremonyError;

pub use fft::{Done, Transforms, lagrange, odd_lagrange};

/// G1 or G2 of BN254, with an endomorphism.
pub trait Group: Curve {
    /// The cube root of one that the x coordinate is multiplied by to multiply a point of the
    /// subgroup by the eigenvalue that [`multiply_each`] splits scalars with.
    fn endomorphism() -> Self::BaseField;

    /// Whether all points, each on its curve, are in the subgroup of prime order; wrong with
    /// probability at most 2^-132.
    ///
    /// # Errors
    /// [`CeremonyError::Prover`] without randomness.
    fn all_in_subgroup(points: &[Affine<Self>]) -> Result<bool, CeremonyError>;
}

/// The power of the coefficient that belongs to our eigenvalue; ark-ff's is a root as well.
fn root<C: GLVConfig<ScalarField = Fr>>() -> C::BaseField {
    let coefficient = C::ENDO_COEFFS[0];
    if C::LAMBDA == recode::LAMBDA {
        coefficient
    } else {
        coefficient.square()
    }
}

impl Group for g1::Config {
    fn endomorphism() -> Self::BaseField {
        root::<Self>()
    }

    /// All of the curve is the subgroup.
    fn all_in_subgroup(_: &[Affine<Self>]) -> Result<bool, CeremonyError> {
        Ok(true)
    }
}

impl Group for g2::Config {
    fn endomorphism() -> Self::BaseField {
        root::<Self>()
    }

    fn all_in_subgroup(points: &[Affine<Self>]) -> Result<bool, CeremonyError> {
        Ok(proofmark_prover::subgroup::all_in_subgroup(points)?)
    }
}

/// Running products side by side, so that one multiplication need not wait for the one before.
const CHAINS: usize = 4;

/// Points that share an inversion.
const BATCH: usize = 1024;

/// `scalars[i] · points[i]` in place. The points are in the subgroup of prime order (identities
/// among them are well).
///
/// Takes as many of either as there are of both. What is computed from scalars on the way is wiped,
/// but for what registers and stacks keep; the time does not depend on them, but for scalars of
/// which one in 2^240 is met by chance.
pub fn multiply_each<C: Group>(points: &mut [Affine<C>], scalars: &[Fr]) {
    let multiplier = multiply::Multiplier::<C>::new(Engine::<Fq>::detect());
    let batch = batch(points.len());
    points
        .par_chunks_mut(batch)
        .zip(scalars.par_chunks(batch))
        .for_each(|(points, scalars)| {
            let mut packed = points
                .iter()
                .map(|point| C::pack(multiplier.engine, point))
                .collect::<Vec<_>>();
            multiplier.multiply(&mut packed, scalars);
            for (point, packed) in points.iter_mut().zip(&packed) {
                *point = C::unpack(multiplier.engine, packed);
            }
        });
}

/// `scalar · points[i]` in place. Otherwise as [`multiply_each`].
pub fn multiply_all<C: Group>(points: &mut [Affine<C>], scalar: &Fr) {
    let scalars = zeroize::Zeroizing::new(vec![*scalar; BATCH]);
    points
        .par_chunks_mut(BATCH)
        .for_each(|points| multiply_each(points, &scalars));
}

/// Points of one batch, so that all threads have some.
fn batch(count: usize) -> usize {
    let share = count.div_ceil(rayon::current_num_threads());
    share.next_multiple_of(64).clamp(64, BATCH)
}

#[cfg(test)]
mod tests {
    use super::*;
    use ark_ec::{AffineRepr, CurveGroup, PrimeGroup};
    use ark_ff::{AdditiveGroup, PrimeField};

    /// Scalars without any pattern, made from a number.
    pub(crate) fn scalars(count: usize, seed: u64) -> Vec<Fr> {
        let mut state = Fr::from(seed) + Fr::from_be_bytes_mod_order(&[0xa7; 40]);
        (0..count)
            .map(|_| {
                state = state.square() + Fr::from(seed | 1);
                state
            })
            .collect()
    }

    pub(crate) fn points<C: Group>(count: usize) -> Vec<Affine<C>> {
        let generator = ark_ec::short_weierstrass::Projective::<C>::generator();
        let projective = scalars(count, 5)
            .iter()
            .map(|s| generator * s)
            .collect::<Vec<_>>();
        ark_ec::short_weierstrass::Projective::normalize_batch(&projective)
    }

    fn against_arkworks<C: Group>(count: usize) {
        let mut scalars = scalars(count, 9);
        let lambda = recode::LAMBDA;
        // Among them the exceptions: what the last additions double or cancel.
        for (place, scalar) in [
            Fr::ZERO,
            Fr::ONE,
            -Fr::ONE,
            Fr::from(2),
            lambda,
            -lambda,
            lambda.double(),
            Fr::from(2) + lambda,
            Fr::from(30) - Fr::from(15) * lambda,
            -lambda.double() * Fr::from(15),
            Fr::from(u128::MAX),
        ]
        .into_iter()
        .enumerate()
        {
            if let Some(slot) = scalars.get_mut(place * 3 + 1) {
                *slot = scalar;
            }
        }
        let mut points = points::<C>(count);
        if count > 20 {
            points[17] = Affine::zero();
        }
        let expected = points
            .iter()
            .zip(&scalars)
            .map(|(point, scalar)| (*point * scalar).into_affine())
            .collect::<Vec<_>>();
        let mut all = points.clone();
        multiply_each(&mut points, &scalars);
        assert_eq!(points, expected);
        multiply_all(&mut all, &scalars[0]);
        assert_eq!(all.len(), count);
    }

    #[test]
    fn products_are_arkworks_products() {
        for count in [1, 7, 64, 130] {
            against_arkworks::<g1::Config>(count);
            against_arkworks::<g2::Config>(count);
        }
        against_arkworks::<g1::Config>(2500);
    }

    #[test]
    fn one_scalar_for_all() {
        let scalar = scalars(1, 3)[0];
        let before = points::<g1::Config>(1500);
        let mut after = before.clone();
        multiply_all(&mut after, &scalar);
        for index in [0, 511, 1023, 1024, 1499] {
            assert_eq!(after[index], (before[index] * scalar).into_affine());
        }
    }

    #[test]
    fn the_endomorphisms_multiply_by_lambda() {
        fn check<C: Group>() {
            let point = C::GENERATOR;
            let mut image = point;
            image.x *= C::endomorphism();
            assert_eq!(image, (point * recode::LAMBDA).into_affine());
        }
        check::<g1::Config>();
        check::<g2::Config>();
    }
}

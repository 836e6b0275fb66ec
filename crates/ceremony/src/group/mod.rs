//! Many points at once: times a scalar each, and through the Fourier transform.

use ark_bn254::Fr;
use ark_ec::short_weierstrass::{Affine, Projective};
use ark_ec::{AffineRepr, CurveGroup};
use proofmark_msm::Curve;
use rayon::prelude::*;

/// Points that share an inversion.
const BATCH: usize = 512;

/// `scalars[i] · points[i]` in place. The points are in the subgroup of prime order.
///
/// Takes as many of either as there are of both.
pub fn multiply_each<C: Curve>(points: &mut [Affine<C>], scalars: &[Fr]) {
    points
        .par_chunks_mut(BATCH)
        .zip(scalars.par_chunks(BATCH))
        .for_each(|(points, scalars)| {
            let products = points
                .iter()
                .zip(scalars)
                .map(|(point, scalar)| point.into_group() * scalar)
                .collect::<Vec<Projective<C>>>();
            let products = Projective::normalize_batch(&products);
            for (point, product) in points.iter_mut().zip(products) {
                *point = product;
            }
        });
}

/// `scalar · points[i]` in place. The points are in the subgroup of prime order.
pub fn multiply_all<C: Curve>(points: &mut [Affine<C>], scalar: &Fr) {
    let scalars = [*scalar; BATCH];
    points
        .par_chunks_mut(BATCH)
        .for_each(|points| multiply_each(points, &scalars));
}

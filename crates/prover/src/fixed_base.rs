//! Many multiples of one point, by a table of its window multiples and affine additions whose
//! inversions are shared.
//!
//! `ark-ec`'s own batch multiplication leaves the scalars' bits in freed memory; here everything
//! that depends on a scalar, but the resulting points, is wiped. Scalars 0 give the identity.

use ark_ec::scalar_mul::BatchMulPreprocessing;
use ark_ec::short_weierstrass::{Affine, Projective, SWCurveConfig};
use ark_ec::{AffineRepr, CurveGroup};
use ark_ff::{Field, PrimeField};
use rayon::prelude::*;
use zeroize::{Zeroize, Zeroizing};

/// Points that share one inversion.
const BATCH: usize = 512;

/// A point's window multiples.
pub struct FixedBase<P: SWCurveConfig> {
    window: usize,
    table: Vec<Vec<Affine<P>>>,
}

impl<P: SWCurveConfig> FixedBase<P> {
    /// A table sized for about `count` multiplications.
    pub fn new(base: Affine<P>, count: usize) -> Self {
        let tables = BatchMulPreprocessing::<Projective<P>>::new(base.into_group(), count);
        Self {
            window: tables.window,
            table: tables.table,
        }
    }

    /// `scalar · base` for each scalar, in order; `done` is told how many more are finished.
    pub fn multiply(
        &self,
        scalars: &[P::ScalarField],
        done: &(dyn Fn(usize) + Sync),
    ) -> Vec<Affine<P>> {
        let mut points = vec![Affine::<P>::zero(); scalars.len()];
        points
            .par_chunks_mut(BATCH)
            .zip(scalars.par_chunks(BATCH))
            .for_each(|(points, scalars)| {
                self.multiply_batch(scalars, points);
                done(points.len());
            });
        points
    }

    fn multiply_batch(&self, scalars: &[P::ScalarField], sums: &mut [Affine<P>]) {
        let integers = Zeroizing::new(
            scalars
                .iter()
                .map(|s| s.into_bigint())
                .collect::<Vec<<P::ScalarField as PrimeField>::BigInt>>(),
        );
        // Index of the sum, digit: the additions of one window that need an inversion.
        let mut pending: Vec<(usize, usize)> = Vec::with_capacity(sums.len());
        let mut before: Vec<P::BaseField> = Vec::with_capacity(sums.len());
        for (window, multiples) in self.table.iter().enumerate() {
            pending.clear();
            before.clear();
            let mut product = P::BaseField::ONE;
            for (index, (integer, sum)) in integers.iter().zip(sums.iter_mut()).enumerate() {
                let digit = digit(integer.as_ref(), window * self.window, self.window);
                if digit == 0 {
                    continue;
                }
                let multiple = &multiples[digit];
                if sum.is_zero() {
                    *sum = *multiple;
                } else if sum.x == multiple.x {
                    // A doubling or a cancellation, where the last window wraps around.
                    *sum = (sum.into_group() + multiple).into_affine();
                } else {
                    pending.push((index, digit));
                    before.push(product);
                    product *= multiple.x - sum.x;
                }
            }
            // The factors are differences of different coordinates, so none is zero.
            let Some(mut suffix) = product.inverse() else {
                continue;
            };
            for (&(index, digit), before) in pending.iter().zip(&before).rev() {
                let sum = &mut sums[index];
                let multiple = &multiples[digit];
                let difference = multiple.x - sum.x;
                let slope = (multiple.y - sum.y) * (suffix * before);
                suffix *= difference;
                let x = slope.square() - sum.x - multiple.x;
                sum.y = slope * (sum.x - x) - sum.y;
                sum.x = x;
            }
            product.zeroize();
            suffix.zeroize();
        }
        pending.zeroize();
        before.zeroize();
    }
}

/// The `width` bits from bit `from` on of a little-endian integer.
fn digit(limbs: &[u64], from: usize, width: usize) -> usize {
    let (limb, shift) = (from / 64, from % 64);
    let low = limbs.get(limb).map_or(0, |l| l >> shift);
    let high = match limbs.get(limb + 1) {
        Some(next) if shift + width > 64 => next << (64 - shift),
        _ => 0,
    };
    // Windows are at most 20 bits wide.
    usize::try_from((low | high) & ((1 << width) - 1)).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::Seeded;
    use ark_bn254::{Fr, g1, g2};
    use ark_ff::AdditiveGroup;
    use std::sync::atomic::{AtomicUsize, Ordering};

    fn against_naive<P: SWCurveConfig<ScalarField = Fr>>(count: usize) {
        let mut random = Seeded::new(count as u64);
        let mut scalars = vec![
            Fr::ZERO,
            Fr::ONE,
            -Fr::ONE,
            Fr::from(2),
            -Fr::from(2),
            Fr::from(u64::MAX),
        ];
        scalars.extend((0..256).map(|bit| Fr::from(2).pow([bit])));
        scalars.extend((0..count).map(|_| random.scalar()));
        let base = P::GENERATOR;
        let finished = AtomicUsize::new(0);
        let points = FixedBase::new(base, count).multiply(&scalars, &|more| {
            finished.fetch_add(more, Ordering::Relaxed);
        });
        assert_eq!(finished.into_inner(), scalars.len());
        for (scalar, point) in scalars.iter().zip(&points) {
            assert_eq!(*point, (base * scalar).into_affine(), "{scalar}");
        }
    }

    #[test]
    fn equals_double_and_add_in_both_groups_and_all_window_sizes() {
        for count in [1, 40, 700, 3000] {
            against_naive::<g1::Config>(count);
        }
        for count in [1, 700] {
            against_naive::<g2::Config>(count);
        }
    }
}

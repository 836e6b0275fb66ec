//! Powers of τ in the Lagrange basis: the inverse Fourier transform over points.
//!
//! Decimation in frequency. A butterfly is a sum, a difference, and the difference's product with a
//! twiddle factor; products are all the cost. The division by the domain's size is part of them:
//! every value but one passes exactly one product of the block that only sums have reached.

use ark_bn254::{Fq, Fr};
use ark_ec::short_weierstrass::Affine;
use ark_ff::{FftField, Field};
use proofmark_lanes::Engine;
use rayon::prelude::*;

use super::multiply::Multiplier;
use super::{BATCH, Group, batch, multiply_each};

/// Butterflies that are computed before their results are written: bounds the memory beside the
/// points.
const ROUND: usize = 1 << 17;

/// Told how many more butterflies are done.
pub type Done<'a> = &'a (dyn Fn(u64) + Sync);

/// Butterflies of transforms, for progress.
#[derive(Debug, Clone, Copy)]
pub struct Transforms;

impl Transforms {
    /// Butterflies of a transform of `2^power` points.
    pub const fn butterflies(power: u32) -> u64 {
        ((1_u64 << power) / 2) * power as u64
    }
}

/// `L_i(τ)·G` for all points of a domain, from `τ^i·G`. The number of points is a power of two, at
/// most 2^28 (others come back unchanged); they may include identities.
pub fn lagrange<C: Group>(powers: &[Affine<C>], done: Done<'_>) -> Vec<Affine<C>> {
    let Some(root) = inverse_root(powers.len()) else {
        return powers.to_vec();
    };
    let size = Fr::from(powers.len() as u64);
    transform(powers.to_vec(), root, size.inverse(), done)
}

/// `L_{2i+1}(τ)·G`, half of what [`lagrange`] gives, from at least two powers.
pub fn odd_lagrange<C: Group>(powers: &[Affine<C>], done: Done<'_>) -> Vec<Affine<C>> {
    let root = inverse_root(powers.len()).filter(|_| powers.len() > 1);
    let over_size = Fr::from(powers.len() as u64).inverse();
    let (Some(root), Some(over_size)) = (root, over_size) else {
        return powers.to_vec();
    };
    let (low, high) = powers.split_at(powers.len() / 2);
    // X_odd = FFT(root^j · (low_j − high_j)): the first level, and the half of its results that counts.
    let engine = Engine::<Fq>::detect();
    let mut differences = low
        .par_chunks(BATCH)
        .zip(high.par_chunks(BATCH))
        .flat_map_iter(|(low, high)| {
            let pairs = low
                .iter()
                .zip(high)
                .map(|(low, high)| [C::pack(engine, low), C::pack(engine, high)])
                .collect::<Vec<_>>();
            super::butterfly::sums_and_differences::<C>(engine, &pairs)
                .into_iter()
                .map(move |[_, difference]| C::unpack(engine, &difference))
        })
        .collect::<Vec<_>>();
    let factors = powers_of(root, over_size, differences.len());
    multiply_each(&mut differences, &factors);
    transform(differences, root.square(), None, done)
}

/// The inverse of the domain's generator; `None` for a size that is no power of two up to 2^28.
fn inverse_root(size: usize) -> Option<Fr> {
    let size = u64::try_from(size).ok()?;
    let root = size
        .is_power_of_two()
        .then(|| Fr::get_root_of_unity(size))??;
    root.inverse()
}

/// `first · base^i`.
fn powers_of(base: Fr, first: Fr, count: usize) -> Vec<Fr> {
    let mut powers = Vec::with_capacity(count);
    let mut power = first;
    for _ in 0..count {
        powers.push(power);
        power *= base;
    }
    powers
}

/// `Σ_j root^(ij) · points[j]` for each `i`, times `scale`. The number of points is a power of two
/// and the order of `root`.
fn transform<C: Group>(
    points: Vec<Affine<C>>,
    root: Fr,
    scale: Option<Fr>,
    done: Done<'_>,
) -> Vec<Affine<C>> {
    let multiplier = Multiplier::<C>::new(Engine::<Fq>::detect());
    let engine = multiplier.engine;
    let mut values = points
        .par_iter()
        .map(|point| C::pack(engine, point))
        .collect::<Vec<_>>();
    drop(points);
    let size = values.len();
    let factors = powers_of(root, Fr::ONE, (size / 2).max(1));
    for level in 0..size.trailing_zeros() {
        let level = Level {
            number: level,
            half: size >> (level + 1),
            factors: &factors,
            scale,
        };
        let mut start = 0;
        while start < size / 2 {
            let end = (start + ROUND).min(size / 2);
            let step = batch(end - start);
            let results = (start..end)
                .into_par_iter()
                .step_by(step)
                .map(|from| {
                    let range = from..(from + step).min(end);
                    let results = level.butterflies(&multiplier, &values, range.clone());
                    done(range.len() as u64);
                    results
                })
                .collect::<Vec<_>>();
            for (number, [sum, difference]) in (start..end).zip(results.into_iter().flatten()) {
                let [low, high] = level.places(number);
                values[low] = sum;
                values[high] = difference;
            }
            start = end;
        }
    }
    if let (Some(scale), Some(first)) = (scale, values.first_mut()) {
        multiplier.multiply(std::slice::from_mut(first), &[scale]);
    }
    let bits = size.trailing_zeros();
    (0..size)
        .into_par_iter()
        .map(|index| {
            let place = index.reverse_bits() >> (usize::BITS - bits).min(usize::BITS - 1);
            C::unpack(engine, &values[if bits == 0 { 0 } else { place }])
        })
        .collect()
}

/// One level of a transform: `2^number` blocks of `half` butterflies, numbered so that those with one
/// factor are neighbours.
struct Level<'a> {
    number: u32,
    half: usize,
    /// `root^i`.
    factors: &'a [Fr],
    scale: Option<Fr>,
}

impl Level<'_> {
    /// Block, and butterfly in it.
    fn split(&self, number: usize) -> (usize, usize) {
        let blocks = 1 << self.number;
        (number % blocks, number / blocks)
    }

    /// The two values of a butterfly.
    fn places(&self, number: usize) -> [usize; 2] {
        let (block, within) = self.split(number);
        let low = block * 2 * self.half + within;
        [low, low + self.half]
    }

    /// What a butterfly's difference is multiplied by, unless by one.
    fn factor(&self, number: usize) -> Option<Fr> {
        let (block, within) = self.split(number);
        let factor = (within > 0).then(|| self.factors[within << self.number]);
        match (factor, self.scale) {
            (Some(factor), Some(scale)) if block == 0 => Some(factor * scale),
            (None, scale) if block == 0 => scale,
            (factor, _) => factor,
        }
    }

    /// The results of some butterflies.
    fn butterflies<C: Group>(
        &self,
        multiplier: &Multiplier<C>,
        values: &[C::Point],
        range: std::ops::Range<usize>,
    ) -> Vec<[C::Point; 2]> {
        let pairs = range
            .clone()
            .map(|number| self.places(number).map(|place| values[place]))
            .collect::<Vec<_>>();
        let mut results = super::butterfly::sums_and_differences::<C>(multiplier.engine, &pairs);
        let (places, factors): (Vec<_>, Vec<_>) = range
            .enumerate()
            .filter_map(|(place, number)| Some((place, self.factor(number)?)))
            .unzip();
        if places.is_empty() {
            return results;
        }
        let mut products = places
            .iter()
            .map(|place| results[*place][1])
            .collect::<Vec<_>>();
        multiplier.multiply(&mut products, &factors);
        for (place, product) in places.iter().zip(products) {
            results[*place][1] = product;
        }
        results
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ark_bn254::{g1, g2};
    use ark_ec::{AffineRepr, CurveGroup};
    use ark_ff::AdditiveGroup;
    use ark_poly::{EvaluationDomain, Radix2EvaluationDomain};
    use std::sync::atomic::{AtomicU64, Ordering};

    fn powers<C: Group>(tau: Fr, count: usize) -> Vec<Affine<C>> {
        let generator = Affine::<C>::generator();
        powers_of(tau, Fr::ONE, count)
            .iter()
            .map(|power| (generator * power).into_affine())
            .collect()
    }

    fn check<C: Group>(tau: Fr, power: u32) {
        let size = 1 << power;
        let domain = Radix2EvaluationDomain::<Fr>::new(size).unwrap();
        let expected = domain
            .evaluate_all_lagrange_coefficients(tau)
            .iter()
            .map(|value| (C::GENERATOR * value).into_affine())
            .collect::<Vec<_>>();
        let counted = AtomicU64::new(0);
        let got = lagrange::<C>(&powers(tau, size), &|more| {
            counted.fetch_add(more, Ordering::Relaxed);
        });
        assert_eq!(got, expected, "{power}");
        assert_eq!(counted.into_inner(), Transforms::butterflies(power));
        if power > 0 {
            let odd = odd_lagrange::<C>(&powers(tau, size), &|_| ());
            let expected = expected.into_iter().skip(1).step_by(2).collect::<Vec<_>>();
            assert_eq!(odd, expected, "odd {power}");
        }
    }

    #[test]
    fn values_are_those_of_the_lagrange_polynomials() {
        let tau = Fr::from(0x1234_5678_9abc_u64).square().square();
        for power in 0..=9 {
            check::<g1::Config>(tau, power);
        }
        for power in [0, 1, 5] {
            check::<g2::Config>(tau, power);
        }
        // Several rounds a level.
        check::<g1::Config>(tau, 13);
    }

    #[test]
    fn degenerate_powers_are_no_exception() {
        // τ in the domain: one value is 1, the others are identities; and τ = 0, ∞ among the powers.
        check::<g1::Config>(Fr::ONE, 6);
        check::<g1::Config>(Fr::get_root_of_unity(8).unwrap(), 6);
        check::<g1::Config>(Fr::ZERO, 5);
    }

    #[test]
    fn other_sizes_come_back() {
        let points = powers::<g1::Config>(Fr::from(3), 3);
        assert_eq!(lagrange(&points, &|_| ()), points);
    }
}

//! The sum of IC's points times the public inputs, which is most of a small statement's cost when
//! it is left to a multi-scalar multiplication made for thousands of points.
#![expect(
    clippy::arithmetic_side_effects,
    reason = "field and group arithmetic cannot overflow"
)]

use ark_bn254::{Fr, G1Affine, G1Projective};
use ark_ec::CurveGroup as _;
#[cfg(not(target_family = "wasm"))]
use ark_ec::VariableBaseMSM as _;
use ark_ff::{AdditiveGroup as _, PrimeField as _};

/// Bits of a scalar's digit.
const DIGIT_BITS: u32 = 4;
/// Multiples kept of a point: all digits but 0.
const MULTIPLES: usize = 15;
/// Points up to which multiples are kept (960 bytes each); above, buckets are cheaper.
const MOST_WITH_MULTIPLES: usize = 64;

/// Points that are multiplied with other scalars in each proof.
#[derive(Debug, Clone)]
pub(crate) struct Inputs {
    points: Vec<G1Affine>,
    /// 1 to 15 times each point; empty above [`MOST_WITH_MULTIPLES`] points.
    multiples: Vec<[G1Affine; MULTIPLES]>,
}

impl Inputs {
    pub(crate) fn new(points: &[G1Affine]) -> Self {
        let kept = if points.len() <= MOST_WITH_MULTIPLES {
            points
        } else {
            &[]
        };
        let multiples = kept.iter().map(|point| {
            let mut sum = G1Projective::ZERO;
            let all = [(); MULTIPLES].map(|()| {
                sum += point;
                sum
            });
            let mut affine = [G1Affine::identity(); MULTIPLES];
            for (slot, point) in affine.iter_mut().zip(G1Projective::normalize_batch(&all)) {
                *slot = point;
            }
            affine
        });
        Self {
            multiples: multiples.collect(),
            points: points.to_vec(),
        }
    }

    pub(crate) const fn len(&self) -> usize {
        self.points.len()
    }

    /// The sum; `None` for another number of scalars than of points.
    pub(crate) fn sum(&self, scalars: &[Fr]) -> Option<G1Projective> {
        if scalars.len() != self.points.len() {
            return None;
        }
        if self.multiples.len() != self.points.len() {
            #[cfg(not(target_family = "wasm"))]
            return G1Projective::msm(&self.points, scalars).ok();
            #[cfg(target_family = "wasm")]
            return Some(by_buckets(&self.points, scalars));
        }
        let scalars: Vec<[u64; 4]> = scalars.iter().map(|x| x.into_bigint().0).collect();
        let mut sum = G1Projective::ZERO;
        for limb in (0_usize..4).rev() {
            for shift in (0..u64::BITS).step_by(4).rev() {
                for _ in 0..DIGIT_BITS {
                    sum.double_in_place();
                }
                for (multiples, scalar) in self.multiples.iter().zip(&scalars) {
                    let digit = scalar.get(limb).map_or(0, |word| (word >> shift) & 15);
                    let index = usize::try_from(digit).ok().and_then(|d| d.checked_sub(1));
                    if let Some(point) = index.and_then(|index| multiples.get(index)) {
                        sum += point;
                    }
                }
            }
        }
        Some(sum)
    }
}

/// Points from which digits of a byte are cheaper than those of half of one.
#[cfg(any(test, target_family = "wasm"))]
const MANY: usize = 400;

/// The sum by buckets: for each digit, the points are added up by their digit's value. arkworks' own
/// multiplication is faster for thousands of points and a twentieth of all that a browser would load.
#[cfg(any(test, target_family = "wasm"))]
fn by_buckets(points: &[G1Affine], scalars: &[Fr]) -> G1Projective {
    let scalars: Vec<[u64; 4]> = scalars.iter().map(|x| x.into_bigint().0).collect();
    let bits: usize = if points.len() < MANY { 4 } else { 8 };
    let mask = (1_u64 << bits) - 1;
    let mut sum = G1Projective::ZERO;
    let mut buckets = Vec::new();
    for limb in (0_usize..4).rev() {
        for shift in (0_usize..64).step_by(bits).rev() {
            for _ in 0..bits {
                sum.double_in_place();
            }
            buckets.clear();
            buckets.resize(1 << bits, G1Projective::ZERO);
            for (point, scalar) in points.iter().zip(&scalars) {
                let digit = scalar.get(limb).map_or(0, |word| (word >> shift) & mask);
                let bucket = usize::try_from(digit).ok().filter(|digit| *digit > 0);
                if let Some(bucket) = bucket.and_then(|index| buckets.get_mut(index)) {
                    *bucket += point;
                }
            }
            // The bucket of the highest digit is added in every round, the next in all but one, …
            let mut running = G1Projective::ZERO;
            for bucket in buckets.iter().skip(1).rev() {
                running += bucket;
                sum += running;
            }
        }
    }
    sum
}

#[cfg(test)]
mod tests {
    use super::*;
    use ark_ec::AffineRepr as _;

    #[test]
    fn every_way_gives_the_sum() {
        for count in [0_u64, 1, 2, 7, 64, 65, 400] {
            let points: Vec<G1Affine> = (1..=count)
                .map(|k| (G1Affine::generator() * Fr::from(k * k)).into_affine())
                .collect();
            let mut scalars: Vec<Fr> = (1..=count).map(|k| -Fr::from(k * 12_345)).collect();
            for (slot, edge) in scalars.iter_mut().zip([-1, 0, 1, 15, 16]) {
                *slot = Fr::from(edge);
            }
            let expected: G1Projective = points.iter().zip(&scalars).map(|(p, x)| *p * x).sum();
            let inputs = Inputs::new(&points);
            assert_eq!(inputs.len(), points.len());
            assert_eq!(inputs.sum(&scalars), Some(expected));
            assert_eq!(by_buckets(&points, &scalars), expected);
            scalars.push(Fr::from(0));
            assert_eq!(inputs.sum(&scalars), None);
        }
    }
}

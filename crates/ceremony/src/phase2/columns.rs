//! Columns of a constraint matrix at points: `Σ_row M[row][wire] · P[row]` for every wire.
//!
//! Most coefficients are weights: small integers, or such over a power of two, which are as long as
//! any number of the field. With `2^K` the largest of a column's powers of two its sum is `2^-K`
//! times a sum of small multiples, made with Pippenger's buckets; so that a weight costs an addition
//! or two.

use std::collections::HashMap;

use ark_bn254::Fr;
use ark_ec::short_weierstrass::{Affine, Bucket, Projective};
use ark_ec::{AdditiveGroup, AffineRepr, CurveGroup};
use ark_ff::{Field, PrimeField};
use proofmark_gadgets::r1cs::SparseMatrix;
use proofmark_msm::Curve;
use rayon::prelude::*;

use crate::error::CeremonyError;

/// Largest power of two under a small coefficient.
const SCALE: u32 = 64;
/// A coefficient is small when its product with `2^SCALE` has at most so many bits.
const BITS: u32 = 112;
/// Most bits of a digit.
const MOST_WINDOW: u32 = 12;
/// Wires that a thread takes at a time.
const WIRES: usize = 32;

/// A coefficient as the sums want it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Coefficient {
    /// `± scaled · 2^-64`.
    Small { negative: bool, scaled: u128 },
    /// Any other.
    Field(Fr),
}

impl Coefficient {
    fn new(value: Fr) -> Self {
        let scaled = value * Fr::from(1_u128 << SCALE);
        for (negative, scaled) in [(false, scaled), (true, -scaled)] {
            let [low, high, 0, 0] = scaled.into_bigint().0 else {
                continue;
            };
            let scaled = u128::from(high) << 64 | u128::from(low);
            if scaled >> BITS == 0 {
                return Self::Small { negative, scaled };
            }
        }
        Self::Field(value)
    }
}

/// A matrix by columns; coefficients that are equal are stored once.
#[derive(Debug)]
pub(crate) struct Columns {
    /// Where each wire's entries begin, and where the last one's end.
    starts: Vec<usize>,
    /// Row and number of the coefficient.
    entries: Vec<(u32, u32)>,
    coefficients: Vec<Coefficient>,
}

fn number(index: usize) -> Result<u32, CeremonyError> {
    u32::try_from(index).map_err(|_| CeremonyError::Prover(too_large(index)))
}

fn too_large(rows: usize) -> proofmark_prover::ProverError {
    proofmark_prover::ProverError::CircuitTooLarge { rows }
}

impl Columns {
    /// Columns of a matrix whose wires are below `wires`; `units` are further entries of 1, as row
    /// and wire.
    pub(crate) fn new(
        matrix: &SparseMatrix,
        wires: usize,
        units: &[(usize, usize)],
    ) -> Result<Self, CeremonyError> {
        let mut starts = vec![0_usize; wires + 1];
        let mut count = |wire: usize| {
            if let Some(place) = starts.get_mut(wire + 1) {
                *place += 1;
            }
        };
        for row in 0..matrix.rows() {
            for (wire, _) in matrix.row(row) {
                count(wire as usize);
            }
        }
        for &(_, wire) in units {
            count(wire);
        }
        let mut total = 0;
        for start in &mut starts {
            total += *start;
            *start = total;
        }
        let mut known: HashMap<Fr, u32> = HashMap::new();
        let mut coefficients = Vec::new();
        let mut id = |value: Fr| -> Result<u32, CeremonyError> {
            if let Some(id) = known.get(&value) {
                return Ok(*id);
            }
            let id = number(coefficients.len())?;
            coefficients.push(Coefficient::new(value));
            known.insert(value, id);
            Ok(id)
        };
        let mut next = starts.clone();
        let mut entries = vec![(0, 0); total];
        let mut put = |row: usize, wire: usize, id: u32| -> Result<(), CeremonyError> {
            if let Some(place) = next.get_mut(wire) {
                if let Some(entry) = entries.get_mut(*place) {
                    *entry = (number(row)?, id);
                }
                *place += 1;
            }
            Ok(())
        };
        for row in 0..matrix.rows() {
            for (wire, value) in matrix.row(row) {
                put(row, wire as usize, id(value)?)?;
            }
        }
        for &(row, wire) in units {
            put(row, wire, id(Fr::ONE)?)?;
        }
        Ok(Self {
            starts,
            entries,
            coefficients,
        })
    }

    /// Number of wires.
    pub(crate) fn wires(&self) -> usize {
        self.starts.len().saturating_sub(1)
    }

    fn column(&self, wire: usize) -> &[(u32, u32)] {
        let (Some(from), Some(to)) = (self.starts.get(wire), self.starts.get(wire + 1)) else {
            return &[];
        };
        self.entries.get(*from..*to).unwrap_or_default()
    }

    /// The column's sum over `points`, one a row.
    fn sum<C: Curve>(
        &self,
        wire: usize,
        points: &[Affine<C>],
        scratch: &mut Scratch<C>,
    ) -> Projective<C> {
        let mut sum = Projective::<C>::ZERO;
        let mut trailing = SCALE;
        let mut union = 0_u128;
        scratch.terms.clear();
        for &(row, id) in self.column(wire) {
            let (Some(point), Some(coefficient)) =
                (points.get(row as usize), self.coefficients.get(id as usize))
            else {
                continue;
            };
            match *coefficient {
                Coefficient::Field(value) => sum += point.into_group() * value,
                Coefficient::Small { negative, scaled } => {
                    let point = if negative { -*point } else { *point };
                    trailing = trailing.min(scaled.trailing_zeros());
                    union |= scaled;
                    scratch.terms.push((point, scaled));
                }
            }
        }
        if scratch.terms.is_empty() {
            return sum;
        }
        for (_, scaled) in &mut scratch.terms {
            *scaled >>= trailing;
        }
        let small = scratch.small_multiples(u128::BITS - (union >> trailing).leading_zeros());
        let scale = SCALE - trailing;
        if scale == 0 {
            return sum + small;
        }
        // 2^scale is not zero in the field.
        let inverse = Fr::from(1_u128 << scale).inverse().unwrap_or_default();
        sum + small * inverse
    }
}

/// Memory that a thread uses again for each column.
struct Scratch<C: Curve> {
    terms: Vec<(Affine<C>, u128)>,
    buckets: Vec<Bucket<C>>,
}

impl<C: Curve> Scratch<C> {
    const fn new() -> Self {
        Self {
            terms: Vec::new(),
            buckets: Vec::new(),
        }
    }

    /// `Σ integer · point` over the terms, whose integers have at most so many bits.
    fn small_multiples(&mut self, bits: u32) -> Projective<C> {
        let window = self.window(bits);
        let mut total = Projective::<C>::ZERO;
        for digit in (0..bits.div_ceil(window)).rev() {
            for _ in 0..window {
                total.double_in_place();
            }
            self.buckets.clear();
            self.buckets.resize(1 << window, Bucket::ZERO);
            let shift = digit * window;
            for (point, integer) in &self.terms {
                let digit = (integer >> shift) & ((1 << window) - 1);
                // A digit has at most 12 bits.
                let digit = usize::try_from(digit).unwrap_or_default();
                if digit > 0
                    && !point.is_zero()
                    && let Some(bucket) = self.buckets.get_mut(digit)
                {
                    *bucket += point;
                }
            }
            let mut running = Bucket::<C>::ZERO;
            let mut weighted = Bucket::<C>::ZERO;
            for bucket in self.buckets.iter().skip(1).rev() {
                running += bucket;
                weighted += &running;
            }
            total += Projective::from(weighted);
        }
        total
    }

    /// The width of digits that takes the fewest additions.
    fn window(&self, bits: u32) -> u32 {
        let cost = |window: u32| {
            let buckets = 2_usize << window;
            bits.div_ceil(window) as usize * (self.terms.len() + buckets) + bits as usize
        };
        (1..=MOST_WINDOW).min_by_key(|w| cost(*w)).unwrap_or(1)
    }
}

/// `Σ` over the parts (columns, and a point for each row) of the sum of each wire's column.
pub(crate) fn column_sums<C: Curve>(
    parts: &[(&Columns, &[Affine<C>])],
    done: &(dyn Fn(usize) + Sync),
) -> Vec<Affine<C>> {
    let wires = parts.iter().map(|(columns, _)| columns.wires()).max();
    let mut sums = vec![Affine::<C>::zero(); wires.unwrap_or_default()];
    sums.par_chunks_mut(WIRES)
        .enumerate()
        .for_each(|(chunk, sums)| {
            let mut scratch = Scratch::new();
            let of_chunk: Vec<Projective<C>> = (chunk * WIRES..)
                .take(sums.len())
                .map(|wire| {
                    parts
                        .iter()
                        .map(|(columns, points)| columns.sum(wire, points, &mut scratch))
                        .sum()
                })
                .collect();
            for (sum, point) in sums.iter_mut().zip(Projective::normalize_batch(&of_chunk)) {
                *sum = point;
            }
            done(sums.len());
        });
    sums
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::phase2::testing::{multiples, random_circuit, scalars};
    use ark_bn254::{g1, g2};
    use ark_ff::Zero;

    #[test]
    fn weights_are_small_whatever_power_of_two_they_stand_over() {
        let over = |power: u32| Fr::from(2_u64).pow([u64::from(power)]).inverse().unwrap();
        let small = |value| matches!(Coefficient::new(value), Coefficient::Small { .. });
        for power in [0, 1, 15, 64] {
            for integer in [1_u64, 3, 255, 65_535, (1 << 47) - 1] {
                assert!(small(Fr::from(integer) * over(power)));
                assert!(small(-Fr::from(integer) * over(power)));
            }
        }
        assert_eq!(
            Coefficient::new(-Fr::from(5) * over(2)),
            Coefficient::Small {
                negative: true,
                scaled: 5 << 62
            }
        );
        assert!(!small(over(65)));
        assert!(!small(Fr::from(1_u64 << 48)));
        assert!(!small(scalars(1, 1)[0]));
    }

    /// Against the definition, with scalars for points.
    #[test]
    fn columns_are_the_sums_of_their_entries() {
        let (circuit, _) = random_circuit(3, 4, 400);
        let r1cs = &circuit.r1cs;
        let rows = r1cs.num_constraints() + 5;
        let values = scalars(2, rows);
        let (in_g1, in_g2) = (
            multiples::<g1::Config>(&values),
            multiples::<g2::Config>(&values),
        );
        for matrix in [&r1cs.a, &r1cs.b, &r1cs.c] {
            let units = [(rows - 1, 0), (rows - 2, 3), (rows - 3, r1cs.num_wires - 1)];
            let mut expected = vec![Fr::zero(); r1cs.num_wires];
            for (row, weight) in values.iter().enumerate().take(matrix.rows()) {
                for (wire, value) in matrix.row(row) {
                    expected[wire as usize] += *weight * value;
                }
            }
            for (row, wire) in units {
                expected[wire] += values[row];
            }
            let columns = Columns::new(matrix, r1cs.num_wires, &units).unwrap();
            let once = column_sums(&[(&columns, &in_g1[..])], &|_| {});
            assert_eq!(once, multiples::<g1::Config>(&expected));
            let twice: Vec<Fr> = expected.iter().map(AdditiveGroup::double).collect();
            let sums = column_sums(&[(&columns, &in_g2[..]), (&columns, &in_g2[..])], &|_| {});
            assert_eq!(sums, multiples::<g2::Config>(&twice));
        }
    }

    /// Many terms in one column, of all kinds, so that each width of digits occurs.
    #[test]
    fn long_columns_are_summed_with_buckets() {
        let values = scalars(5, 3000);
        let points = multiples::<g1::Config>(&values);
        let half = Fr::from(2_u64).inverse().unwrap();
        for (count, bits, scale) in [
            (1, 1, 0),
            (2, 8, 15),
            (700, 8, 15),
            (3000, 40, 3),
            (40, 1, 64),
        ] {
            let coefficient = |row: usize| {
                let magnitude = (row as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15) >> (64 - bits);
                let value = Fr::from(magnitude) * half.pow([scale]);
                if row.is_multiple_of(3) { -value } else { value }
            };
            let mut coefficients = Vec::new();
            let mut entries = Vec::new();
            let mut expected = Fr::zero();
            for (row, weight) in values.iter().enumerate().take(count) {
                let value = if row % 50 == 49 {
                    *weight
                } else {
                    coefficient(row)
                };
                expected += value * weight;
                let at = u32::try_from(row).unwrap();
                entries.push((at, at));
                coefficients.push(Coefficient::new(value));
            }
            let columns = Columns {
                starts: vec![0, entries.len()],
                entries,
                coefficients,
            };
            let sum = column_sums(&[(&columns, &points[..])], &|_| {});
            assert_eq!(
                sum,
                multiples::<g1::Config>(&[expected]),
                "{count} {bits} {scale}"
            );
        }
    }
}

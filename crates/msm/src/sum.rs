//! The multiplication: digits of scalars name buckets, buckets are weighed and summed.

use std::ops::Range;

use ark_bn254::Fq;
use ark_ec::AdditiveGroup;
use ark_ec::short_weierstrass::Projective;
use ark_ff::BigInt;
use proofmark_lanes::Engine;
use rayon::prelude::*;

use crate::accumulator::Accumulator;
use crate::bases::FixedBases;
use crate::curve::Curve;
use crate::error::MsmError;
use crate::recode::{Windows, is_canonical};
use crate::reduction::weighted_sum;
use crate::shape::Shape;
use crate::slots::{Histogram, Slots};

/// Scalars whose work is estimated together.
const BLOCK: usize = 256;
/// Additions that are worth a set of buckets of their own.
const WORTH_A_WORKER: u64 = 4096;
/// Of the full-length scalars of a large unit, one in so many is counted.
const SAMPLE: usize = 8;

/// One part of a sum: bases, and a scalar for each.
type Part<'a, C> = (&'a FixedBases<C>, &'a [BigInt<4>]);

/// `Σ` over all parts of `Σ scalars[i] · bases[i]`. Parts of equal shape share their buckets, which
/// costs less than one multiplication after the other.
///
/// # Errors
/// As [`FixedBases::msm`].
pub fn msm_sum<C: Curve>(parts: &[Part<'_, C>]) -> Result<Projective<C>, MsmError> {
    let mut total = Projective::ZERO;
    let mut rest = parts.to_vec();
    while let Some(&(first, _)) = rest.first() {
        let (same, other): (Vec<_>, Vec<_>) = rest.into_iter().partition(|(bases, _)| {
            bases.shape() == first.shape() && bases.engine.name() == first.engine.name()
        });
        total += sum_of_equals(first.engine, first.shape(), &same)?;
        rest = other;
    }
    Ok(total)
}

/// Some scalars of one part, and the additions they need in each bucket set.
struct Block {
    part: usize,
    range: Range<usize>,
    additions: Vec<u64>,
}

/// The work of one thread: some blocks, in one bucket set.
struct Unit<'a> {
    set: u32,
    blocks: &'a [Block],
}

fn sum_of_equals<C: Curve>(
    engine: Engine<Fq>,
    shape: Shape,
    parts: &[Part<'_, C>],
) -> Result<Projective<C>, MsmError> {
    let windows = shape.windows();
    let blocks = blocks(parts, windows, shape.stride())?;
    let units = units(&blocks, shape.stride(), rayon::current_num_threads());
    let sums = units
        .par_iter()
        .map(|unit| (unit.set, bucket_sum(engine, shape, parts, unit)))
        .collect::<Vec<_>>();
    let mut total = Projective::<C>::ZERO;
    for set in (0..shape.stride()).rev() {
        for _ in 0..shape.window() {
            total.double_in_place();
        }
        for (_, sum) in sums.iter().filter(|(of, _)| *of == set) {
            total += sum;
        }
    }
    Ok(total)
}

/// Checks the scalars and counts their digits.
fn blocks<C: Curve>(
    parts: &[Part<'_, C>],
    windows: Windows,
    sets: u32,
) -> Result<Vec<Block>, MsmError> {
    let mut blocks = Vec::new();
    for (part, &(bases, scalars)) in parts.iter().enumerate() {
        if bases.len() != scalars.len() {
            return Err(MsmError::Length {
                bases: bases.len(),
                scalars: scalars.len(),
            });
        }
        let of_part = scalars
            .par_chunks(BLOCK)
            .enumerate()
            .map(|(number, chunk)| {
                let start = number * BLOCK;
                let mut additions = vec![0; sets as usize];
                for (index, scalar) in chunk.iter().enumerate() {
                    if !is_canonical(scalar) {
                        return Err(MsmError::ScalarRange {
                            index: start + index,
                        });
                    }
                    let used = windows.used(scalar);
                    for (set, additions) in (0..used.min(sets)).zip(&mut additions) {
                        *additions += u64::from((used - set).div_ceil(sets));
                    }
                }
                Ok(Block {
                    part,
                    range: start..start + chunk.len(),
                    additions,
                })
            })
            .collect::<Result<Vec<_>, _>>()?;
        blocks.extend(of_part);
    }
    Ok(blocks)
}

/// Cuts the work for so many threads: few bucket sets, since each must be summed in the end.
fn units(blocks: &[Block], sets: u32, threads: usize) -> Vec<Unit<'_>> {
    let of_set = |set: u32| {
        blocks
            .iter()
            .map(|block| block.additions[set as usize])
            .sum::<u64>()
    };
    let totals = (0..sets).map(of_set).collect::<Vec<_>>();
    let total: u64 = totals.iter().sum();
    let threads = (threads as u64).min(total / WORTH_A_WORKER).max(1);
    // Sets are dealt out to the threads; when they do not come out even, in smaller pieces.
    let uneven = !u64::from(sets).is_multiple_of(threads) && u64::from(sets) > 1;
    let pieces = if uneven { 2 * threads } else { threads };
    let mut units = Vec::new();
    for (set, &of_set) in (0..sets).zip(&totals) {
        if of_set == 0 {
            continue;
        }
        let count = (of_set * pieces).div_ceil(total + pieces).max(1);
        let mut from = 0;
        let mut done = 0;
        for piece in 1..=count {
            let goal = of_set * piece / count;
            let mut to = from;
            while to < blocks.len() && (done < goal || piece == count) {
                done += blocks[to].additions[set as usize];
                to += 1;
            }
            if from < to {
                units.push(Unit {
                    set,
                    blocks: &blocks[from..to],
                });
            }
            from = to;
        }
    }
    units
}

/// The weighted sum of the unit's buckets.
fn bucket_sum<C: Curve>(
    engine: Engine<Fq>,
    shape: Shape,
    parts: &[Part<'_, C>],
    unit: &Unit<'_>,
) -> Projective<C> {
    let windows = shape.windows();
    let digits = Digits {
        windows,
        set: unit.set,
        stride: shape.stride(),
        levels: shape.levels(),
    };
    let scalars: usize = unit.blocks.iter().map(|block| block.range.len()).sum();
    let sample = if scalars >= 1024 * SAMPLE { SAMPLE } else { 1 };
    let mut histogram = Histogram::new(windows.buckets());
    for block in unit.blocks {
        for (index, scalar) in parts[block.part].1[block.range.clone()].iter().enumerate() {
            let Some(recoded) = windows.recode(scalar) else {
                continue;
            };
            if recoded.used == 1 {
                digits.each(&recoded, |bucket, _, _| histogram.count_small(bucket));
            } else if index % sample == 0 {
                digits.each(&recoded, |bucket, _, _| {
                    histogram.count(bucket, sample as u32);
                });
            }
        }
    }
    let mut slots = Slots::new(&histogram);
    drop(histogram);

    let mut sums = Accumulator::<C>::new(engine, slots.len());
    let mut blocks = unit.blocks.iter().peekable();
    while let Some(block) = blocks.next() {
        let (bases, scalars) = parts[block.part];
        let points = bases.points.as_slice();
        for index in block.range.clone() {
            let Some(recoded) = windows.recode(&scalars[index]) else {
                continue;
            };
            if bases.identities.contains(index) {
                continue;
            }
            let multiples = bases.len() + index * (digits.levels as usize - 1);
            digits.each(&recoded, |bucket, level, negative| {
                let source = if level == 0 {
                    index as u32
                } else {
                    multiples as u32 + level - 1
                };
                sums.add(points, slots.next(bucket), source, negative);
            });
        }
        if blocks.peek().is_none_or(|next| next.part != block.part) {
            sums.drain(points);
        }
    }
    weighted_sum(engine, slots.merge(sums))
}

/// How the digits of one bucket set are read.
struct Digits {
    windows: Windows,
    set: u32,
    stride: u32,
    levels: u32,
}

impl Digits {
    /// Hands over bucket, table level and sign of each digit but 0.
    #[inline(always)]
    fn each(&self, recoded: &crate::recode::Recoded, mut visit: impl FnMut(u32, u32, bool)) {
        let mut window = self.set;
        for level in 0..self.levels {
            if window >= recoded.used {
                break;
            }
            let digit = self.windows.digit(recoded, window);
            if digit != 0 {
                visit(
                    digit.unsigned_abs() - 1,
                    level,
                    (digit < 0) != recoded.negative,
                );
            }
            window += self.stride;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::shape::TableBudget;
    use ark_bn254::{Fr, g1, g2};
    use ark_ec::short_weierstrass::Affine;
    use ark_ec::{AffineRepr, CurveGroup, VariableBaseMSM};
    use ark_ff::{Field, PrimeField, UniformRand};
    use ark_std::rand::rngs::StdRng;
    use ark_std::rand::{Rng, SeedableRng};

    /// Different points.
    fn points<C: Curve>(count: usize, random: &mut StdRng) -> Vec<Affine<C>> {
        let step = Projective::<C>::rand(random);
        let mut point = Projective::<C>::rand(random);
        let mut points = Vec::new();
        for _ in 0..count {
            points.push(point);
            point += step;
        }
        Projective::normalize_batch(&points)
    }

    /// Scalars of each kind that a witness is made of, by name.
    fn scalars(count: usize, random: &mut StdRng) -> Vec<(&'static str, Vec<Fr>)> {
        let dense = Fr::rand(random);
        let half = Fr::from(2).inverse().unwrap();
        let mut fill = |scalar: &mut dyn FnMut(&mut StdRng, usize) -> Fr| {
            (0..count).map(|i| scalar(random, i)).collect::<Vec<_>>()
        };
        vec![
            ("random", fill(&mut |r, _| Fr::rand(r))),
            ("bits", fill(&mut |r, _| Fr::from(r.gen_range(0..2)))),
            ("ones", fill(&mut |_, _| Fr::from(1))),
            ("bytes", fill(&mut |r, _| Fr::from(r.gen_range(0..256)))),
            (
                "signed",
                fill(&mut |r, _| Fr::from(r.gen_range(-3000..3000))),
            ),
            (
                "words",
                fill(&mut |r, _| Fr::from(r.gen_range(0..u64::MAX))),
            ),
            ("zero", fill(&mut |_, _| Fr::from(0))),
            ("minus one", fill(&mut |_, _| -Fr::from(1))),
            (
                "around a half",
                fill(&mut |r, _| half + Fr::from(r.gen_range(-2..2))),
            ),
            ("equal", fill(&mut |_, _| dense)),
            (
                "runs",
                fill(&mut |r, i| match i * 4 / count {
                    0 => Fr::from(1),
                    1 => Fr::rand(r),
                    2 => Fr::from(r.gen_range(0..256)),
                    _ => Fr::from(0),
                }),
            ),
        ]
    }

    fn integers(scalars: &[Fr]) -> Vec<BigInt<4>> {
        scalars.iter().map(|scalar| scalar.into_bigint()).collect()
    }

    fn check<C: Curve>(bases: &FixedBases<C>, points: &[Affine<C>], scalars: &[Fr], name: &str) {
        let integers = integers(scalars);
        assert_eq!(
            bases.msm(&integers).unwrap(),
            Projective::<C>::msm_bigint(points, &integers),
            "{name}, {} points, {:?}, {}",
            points.len(),
            bases.shape(),
            bases.engine.name()
        );
    }

    fn engines() -> [Engine<Fq>; 2] {
        [Engine::portable(), Engine::detect()]
    }

    fn equals_ark_ec<C: Curve>(counts: &[usize], windows: &[u32]) {
        let mut random = StdRng::seed_from_u64(11);
        for &count in counts {
            let points = points::<C>(count, &mut random);
            let kinds = scalars(count, &mut random);
            for engine in engines() {
                for &window in windows {
                    let all = Windows::new(window).count();
                    for stride in [1, 3, all] {
                        let shape = Shape::new(window, stride).unwrap();
                        let bases = FixedBases::with_engine(&points, shape, engine).unwrap();
                        for (name, scalars) in &kinds {
                            check(&bases, &points, scalars, name);
                        }
                    }
                }
            }
        }
    }

    #[test]
    fn equals_ark_ec_in_g1() {
        equals_ark_ec::<g1::Config>(&[0, 1, 2, 3, 17, 300], &[4, 7]);
        equals_ark_ec::<g1::Config>(&[1000], &[10]);
        equals_ark_ec::<g1::Config>(&[5000], &[9, 15]);
    }

    #[test]
    fn equals_ark_ec_in_g2() {
        equals_ark_ec::<g2::Config>(&[0, 1, 2, 3, 17], &[4]);
        equals_ark_ec::<g2::Config>(&[1000], &[9]);
    }

    #[test]
    fn every_stride_gives_the_same() {
        let mut random = StdRng::seed_from_u64(12);
        let points = points::<g1::Config>(40, &mut random);
        let scalars = (0..40).map(|_| Fr::rand(&mut random)).collect::<Vec<_>>();
        for window in [8, 16] {
            for stride in 1..=Windows::new(window).count() {
                let shape = Shape::new(window, stride).unwrap();
                let bases = FixedBases::with_shape(&points, shape).unwrap();
                check(&bases, &points, &scalars, "random");
            }
        }
    }

    fn survives_degenerate_bases<C: Curve>(count: usize) {
        let mut random = StdRng::seed_from_u64(13);
        let base = Affine::<C>::rand(&mut random);
        let mut doubles = vec![base.into_group()];
        for _ in 1..count {
            doubles.push(*doubles.last().unwrap() + doubles.last().unwrap());
        }
        let few = points::<C>(3, &mut random);
        let choices = [few[0], -few[0], few[1], few[2], -few[2], Affine::identity()];
        let mut pick = || choices[random.gen_range(0..choices.len())];
        let cases = [
            ("equal", vec![base; count]),
            (
                "alternating",
                (0..count)
                    .map(|i| if i % 2 == 0 { base } else { -base })
                    .collect(),
            ),
            ("doubles", Projective::normalize_batch(&doubles)),
            ("identities", vec![Affine::identity(); count]),
            ("mixed", (0..count).map(|_| pick()).collect()),
        ];
        let kinds = scalars(count, &mut random);
        for (name, points) in cases {
            for engine in engines() {
                for stride in [1, 5, 29] {
                    let shape = Shape::new(9, stride).unwrap();
                    let bases = FixedBases::with_engine(&points, shape, engine).unwrap();
                    for (kind, scalars) in &kinds {
                        check(&bases, &points, scalars, &format!("{name} points, {kind}"));
                    }
                }
            }
        }
    }

    #[test]
    fn equal_opposite_and_missing_points_are_added_correctly() {
        survives_degenerate_bases::<g1::Config>(600);
        survives_degenerate_bases::<g2::Config>(100);
    }

    #[test]
    fn parts_of_equal_and_of_different_shapes_add_up() {
        let mut random = StdRng::seed_from_u64(14);
        let shapes = [(8, 1), (8, 1), (8, 4), (11, 1), (8, 4)];
        let parts = shapes.map(|(window, stride)| {
            let count = random.gen_range(0..1500);
            let points = points::<g1::Config>(count, &mut random);
            let scalars = (0..count)
                .map(|_| Fr::rand(&mut random))
                .collect::<Vec<_>>();
            let shape = Shape::new(window, stride).unwrap();
            let bases = FixedBases::with_shape(&points, shape).unwrap();
            (points, bases, integers(&scalars))
        });
        let expected: Projective<g1::Config> = parts
            .iter()
            .map(|(points, _, scalars)| Projective::<g1::Config>::msm_bigint(points, scalars))
            .sum();
        let parts = parts
            .iter()
            .map(|(_, bases, scalars)| (bases, scalars.as_slice()))
            .collect::<Vec<_>>();
        assert_eq!(msm_sum(&parts).unwrap(), expected);
        assert_eq!(msm_sum::<g1::Config>(&[]).unwrap(), Projective::ZERO);
    }

    #[test]
    fn any_number_of_threads_gives_the_same() {
        let mut random = StdRng::seed_from_u64(15);
        let points = points::<g1::Config>(9000, &mut random);
        for threads in [1, 3, 7] {
            let pool = rayon::ThreadPoolBuilder::new()
                .num_threads(threads)
                .build()
                .unwrap();
            for stride in [1, 4, 5] {
                let shape = Shape::new(11, stride).unwrap();
                let bases = FixedBases::with_shape(&points, shape).unwrap();
                for (name, scalars) in scalars(points.len(), &mut random).iter().rev().take(3) {
                    pool.install(|| check(&bases, &points, scalars, name));
                }
            }
        }
    }

    #[test]
    fn scalars_that_do_not_fit_are_refused() {
        let mut random = StdRng::seed_from_u64(16);
        let points = points::<g1::Config>(3, &mut random);
        let bases = FixedBases::new(&points, 3, TableBudget::UNLIMITED).unwrap();
        let error = bases.msm(&[BigInt::from(1_u64); 2]).unwrap_err();
        assert_eq!(
            error,
            MsmError::Length {
                bases: 3,
                scalars: 2
            }
        );
        assert_eq!(error.code(), "assignment-malformed");
        let mut scalars = [BigInt::from(1_u64); 3];
        scalars[1] = Fr::MODULUS;
        assert_eq!(
            bases.msm(&scalars).unwrap_err(),
            MsmError::ScalarRange { index: 1 }
        );
    }

    #[test]
    fn the_kept_bases_are_those_given() {
        let mut random = StdRng::seed_from_u64(17);
        let mut points = points::<g2::Config>(70, &mut random);
        points[3] = Affine::identity();
        let shape = Shape::new(6, 20).unwrap();
        for engine in engines() {
            let bases = FixedBases::with_engine(&points, shape, engine).unwrap();
            assert_eq!((bases.len(), bases.is_empty()), (70, false));
            assert_eq!(bases.bytes(), 70 * 3 * 128);
            let kept = (0..71).map(|i| bases.base(i)).collect::<Vec<_>>();
            let given = points.iter().copied().map(Some).chain([None]);
            assert!(kept.into_iter().eq(given));
        }
    }
}

//! The way through the levels: passes over memory outside, leaves inside, both in parallel.

use std::sync::Arc;

use ark_bn254::Fr;
use ark_ff::One;
use proofmark_lanes::{Engine, Packed};
use rayon::prelude::*;

use crate::{
    Domain,
    butterfly::{Direction, Quarters, Thirds},
    leaf::Leaves,
    tables::{Table, Tables},
};

/// Elements of a part that one task takes through a level: 32 KiB.
const TASK: usize = 1 << 10;
/// Blocks of fewer elements are one task.
const PARALLEL: usize = 1 << 12;
/// The most elements of a leaf: with eight lanes 160 KiB, a fraction of a second-level cache.
const MAX_LEAF: u32 = 9;

/// Transforms of one domain, with all factors computed. Clones share them: 64 bytes a point.
#[derive(Clone)]
pub struct Transform {
    domain: Domain,
    engine: Engine<Fr>,
    tables: Arc<Tables>,
    /// log2 of a leaf's elements.
    leaf: u32,
}

/// What the coefficients become.
#[derive(Clone, Copy)]
struct Way {
    scale: Packed,
    /// Whether the forward transform to the odd points follows.
    up: bool,
}

impl Transform {
    /// Computes the factors, in the form of the fastest engine that this processor has.
    pub fn new(domain: Domain) -> Self {
        Self::with_engine(domain, Engine::detect())
    }

    /// As [`Transform::new`] with an engine of the caller's choice. Domains with fewer than 2^7 points in
    /// each block without factors 3 do not fill vectors: they take the portable engine.
    pub fn with_engine(domain: Domain, engine: Engine<Fr>) -> Self {
        // Outside of the leaves there are pairs of levels, so that a leaf has the parity of the whole;
        // four levels at least where lanes are leaves; six where that leaves something to do in parallel.
        let twos = domain.twos;
        let (engine, outside) = match twos {
            0..7 => (Engine::portable(), 0),
            7 | 8 => (engine, 4),
            _ => (engine, 6),
        };
        let most = MAX_LEAF - (MAX_LEAF - twos % 2) % 2;
        Self {
            domain,
            engine,
            tables: Arc::new(Tables::new(&domain, engine)),
            leaf: (twos - outside).min(most),
        }
    }

    /// The domain.
    pub const fn domain(&self) -> &Domain {
        &self.domain
    }

    /// From the values at the even points `ω^(2i)` of a polynomial of degree below `n` to its values at
    /// the odd points `ω^(2i+1)`, both in the order of `i`. In place, in parallel on the current
    /// `rayon` pool.
    ///
    /// # Panics
    /// When there are not exactly as many values as points.
    pub fn even_to_odd(&self, values: &mut [Fr]) {
        self.check(values);
        let way = Way {
            scale: self.tables.scale,
            up: true,
        };
        self.thirds(values, 0, way);
    }

    /// From the values at the points to the coefficients. Needs a second buffer of the same size.
    ///
    /// # Panics
    /// When there are not exactly as many values as points.
    pub fn inverse(&self, values: &mut [Fr]) {
        self.check(values);
        let way = Way {
            scale: self.tables.scale,
            up: false,
        };
        self.thirds(values, 0, way);
        self.reorder(values, |index| index);
    }

    /// From the coefficients to the values at the points. Needs a second buffer of the same size.
    ///
    /// # Panics
    /// When there are not exactly as many values as points.
    pub fn forward(&self, values: &mut [Fr]) {
        self.check(values);
        let way = Way {
            scale: self.engine.pack(&Fr::one()),
            up: false,
        };
        self.thirds(values, 0, way);
        // the forward transform is n times the inverse one with the points in opposite order
        let size = values.len();
        self.reorder(values, |index| (size - index) % size);
    }

    fn check(&self, values: &[Fr]) {
        assert_eq!(values.len(), self.domain.size(), "one value a point");
    }

    /// Levels of radix 3 from `depth` on, and all that are inside.
    fn thirds(&self, values: &mut [Fr], depth: usize, way: Way) {
        let (Some(down), Some(up)) = (
            self.tables.down.thirds.get(depth),
            self.tables.up.thirds.get(depth),
        ) else {
            return self.halves(values, depth == 0, way);
        };
        let part = values.len() / 3;
        let level = |values: &mut [Fr], direction, last| {
            let table = if direction == Direction::Down {
                down
            } else {
                up
            };
            let [a, b, c] = split(values);
            (
                a.par_chunks_mut(TASK),
                b.par_chunks_mut(TASK),
                c.par_chunks_mut(TASK),
                table.factors.par_chunks(TASK),
            )
                .into_par_iter()
                .for_each(|(a, b, c, factors)| {
                    self.engine.run(Thirds {
                        direction,
                        parts: [a, b, c],
                        factors,
                        cube_root: table.cube_root,
                        last,
                    });
                });
        };
        level(values, Direction::Down, false);
        values
            .par_chunks_mut(part)
            .with_min_len(PARALLEL.div_ceil(part))
            .for_each(|part| self.thirds(part, depth + 1, way));
        if way.up {
            level(values, Direction::Up, depth == 0);
        }
    }

    /// A block of 2^k elements, and whether it is the whole domain.
    fn halves(&self, values: &mut [Fr], whole: bool, way: Way) {
        let block = values.len();
        if block <= 16 << self.leaf {
            return self.one_task(values, whole, way);
        }
        self.level(values, Direction::Down, false);
        values
            .par_chunks_mut(block / 4)
            .for_each(|quarter| self.halves(quarter, false, way));
        if way.up {
            self.level(values, Direction::Up, whole);
        }
    }

    /// Two levels of a block, in parallel.
    fn level(&self, values: &mut [Fr], direction: Direction, last: bool) {
        let quarter = values.len() / 4;
        let factors = &self.table(direction).halves[..4 * quarter];
        let [a, b, c, d] = split(values);
        (
            a.par_chunks_mut(TASK),
            b.par_chunks_mut(TASK),
            c.par_chunks_mut(TASK),
            d.par_chunks_mut(TASK),
            factors[quarter..2 * quarter].par_chunks(TASK),
            factors[2 * quarter..3 * quarter].par_chunks(TASK),
            factors[3 * quarter..].par_chunks(TASK),
        )
            .into_par_iter()
            .for_each(|(a, b, c, d, inner, first, second)| {
                self.engine.run(Quarters {
                    direction,
                    parts: [a, b, c, d],
                    outer: [first, second],
                    inner,
                    last,
                });
            });
    }

    /// All levels of a block that fits into the second-level cache.
    fn one_task(&self, values: &mut [Fr], whole: bool, way: Way) {
        let size = values.len();
        let leaf = 1 << self.leaf;
        let levels = |values: &mut [Fr], block: usize, direction, last| {
            let quarter = block / 4;
            let factors = &self.table(direction).halves;
            for values in values.chunks_exact_mut(block) {
                self.engine.run(Quarters {
                    direction,
                    parts: split(values),
                    outer: [
                        &factors[2 * quarter..3 * quarter],
                        &factors[3 * quarter..block],
                    ],
                    inner: &factors[quarter..2 * quarter],
                    last,
                });
            }
        };
        let mut block = size;
        while block > leaf {
            levels(values, block, Direction::Down, false);
            block /= 4;
        }
        self.engine.run(Leaves {
            values,
            size: leaf,
            scale: way.scale,
            down: &self.tables.down.halves,
            up: way.up.then_some(&self.tables.up.halves),
            last: !way.up || (whole && leaf == size),
        });
        if way.up {
            while block < size {
                block *= 4;
                levels(values, block, Direction::Up, whole && block == size);
            }
        }
    }

    fn table(&self, direction: Direction) -> &Table {
        match direction {
            Direction::Down => &self.tables.down,
            Direction::Up => &self.tables.up,
        }
    }

    /// From the order of the levels to that of the coefficients, whose index may be changed.
    fn reorder(&self, values: &mut [Fr], index: impl Fn(usize) -> usize) {
        let reversed = values.to_vec();
        for (position, value) in reversed.into_iter().enumerate() {
            values[index(self.coefficient(position))] = value;
        }
    }

    /// Which coefficient stands at a position after the way down: of a level of radix r, part `t` holds
    /// the coefficients `t` modulo r.
    fn coefficient(&self, mut position: usize) -> usize {
        let (mut part, mut index, mut weight) = (self.domain.size(), 0, 1);
        let radices = std::iter::repeat_n(3, self.domain.threes as usize)
            .chain(std::iter::repeat_n(2, self.domain.twos as usize));
        for radix in radices {
            part /= radix;
            index += position / part * weight;
            position %= part;
            weight *= radix;
        }
        index
    }
}

/// The values in `N` parts of one length.
fn split<const N: usize>(values: &mut [Fr]) -> [&mut [Fr]; N] {
    let part = values.len() / N;
    let mut parts = values.chunks_exact_mut(part);
    std::array::from_fn(|_| parts.next().unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use ark_ff::{Field, UniformRand, Zero};
    use ark_poly::{EvaluationDomain, Radix2EvaluationDomain};
    use ark_std::rand::{SeedableRng, rngs::StdRng};

    use super::*;
    use crate::DomainKind;

    fn random(size: usize, seed: u64) -> Vec<Fr> {
        let mut rng = StdRng::seed_from_u64(seed);
        (0..size).map(|_| Fr::rand(&mut rng)).collect()
    }

    fn domain(size: usize) -> Domain {
        let domain = Domain::smallest(size, DomainKind::Any).unwrap();
        assert_eq!(domain.size(), size);
        domain
    }

    /// Both engines; where the processor has nothing better, the portable one twice.
    fn transforms(size: usize) -> [Transform; 2] {
        [Engine::portable(), Engine::detect()]
            .map(|engine| Transform::with_engine(domain(size), engine))
    }

    /// Horner's rule.
    fn evaluate(coefficients: &[Fr], point: Fr) -> Fr {
        coefficients
            .iter()
            .rev()
            .fold(Fr::zero(), |sum, coefficient| sum * point + coefficient)
    }

    /// All three operations at some or all points.
    fn check_directly(size: usize, step: usize) {
        let coefficients = random(size, size as u64);
        for transform in transforms(size) {
            let (root, half_root) = (transform.domain().root(), transform.domain().half_root());
            let mut values = coefficients.clone();
            transform.forward(&mut values);
            for index in (0..size).step_by(step) {
                assert_eq!(
                    values[index],
                    evaluate(&coefficients, root.pow([index as u64])),
                    "{size}"
                );
            }
            let mut odd = values.clone();
            transform.even_to_odd(&mut odd);
            for index in (0..size).step_by(step) {
                let point = half_root.pow([2 * index as u64 + 1]);
                assert_eq!(odd[index], evaluate(&coefficients, point), "{size}");
            }
            transform.inverse(&mut values);
            assert_eq!(values, coefficients, "{size}");
        }
    }

    #[test]
    fn small_domains_at_every_point() {
        for size in [
            1, 2, 3, 4, 6, 8, 9, 12, 16, 18, 24, 32, 36, 48, 64, 72, 96, 128, 144, 256, 288, 384,
            576,
        ] {
            check_directly(size, 1);
        }
    }

    #[test]
    fn larger_domains_at_some_points() {
        for twos in 7..13 {
            for threes in [1, 3, 9] {
                check_directly(threes << twos, (threes << twos) / 5);
            }
        }
        for size in [1 << 15, 3 << 14, 9 << 13, 1 << 16] {
            check_directly(size, size / 3);
        }
    }

    #[test]
    fn powers_of_two_are_those_of_ark_poly() {
        for twos in 0..17u32 {
            let size = 1 << twos;
            let even = Radix2EvaluationDomain::<Fr>::new(size).unwrap();
            let values = random(size, 1);
            for transform in transforms(size) {
                let coset = even.get_coset(transform.domain().half_root()).unwrap();
                let coefficients = even.ifft(&values);
                let mut ours = values.clone();
                transform.inverse(&mut ours);
                assert_eq!(ours, coefficients);
                transform.forward(&mut ours);
                assert_eq!(ours, values);
                transform.even_to_odd(&mut ours);
                assert_eq!(ours, coset.fft(&coefficients));
            }
        }
    }

    #[test]
    fn engines_agree_on_extreme_values() {
        for size in [1 << 10, 3 << 10, 9 << 9] {
            for value in [Fr::zero(), -Fr::one(), Fr::from(2).inverse().unwrap()] {
                let [portable, best] = transforms(size).map(|transform| {
                    let mut values = vec![value; size];
                    transform.even_to_odd(&mut values);
                    values
                });
                assert_eq!(portable, vec![value; size], "the constant polynomial");
                assert_eq!(best, portable);
            }
        }
    }

    #[test]
    #[should_panic(expected = "one value a point")]
    fn a_wrong_number_of_values_is_a_panic() {
        Transform::new(domain(8)).even_to_odd(&mut [Fr::one(); 7]);
    }
}

//! The factors of all levels, computed once a domain.

use ark_bn254::Fr;
use ark_ff::{Field, One, Zero};
use proofmark_lanes::{Engine, Packed};
use rayon::prelude::*;

use crate::{Domain, butterfly::Direction};

/// Powers that one task computes.
const POWERS_A_TASK: usize = 1 << 12;

/// A level of radix 3, of a block of `3q` points.
pub(crate) struct ThirdsTable {
    /// Of index `j < q` the factors of the second and of the third part.
    pub(crate) factors: Vec<[Packed; 2]>,
    pub(crate) cube_root: Packed,
}

/// The factors of one direction.
pub(crate) struct Table {
    /// Levels of radix 3, that of the whole domain first.
    pub(crate) thirds: Vec<ThirdsTable>,
    /// The level of radix 2 of a block of `m` points has its `m/2` factors at `m/2..m`.
    pub(crate) halves: Vec<[Packed; 1]>,
}

/// The factors of a domain, in an engine's form.
pub(crate) struct Tables {
    pub(crate) down: Table,
    pub(crate) up: Table,
    /// `1/n`.
    pub(crate) scale: Packed,
}

impl Tables {
    pub(crate) fn new(domain: &Domain, engine: Engine<Fr>) -> Self {
        let size = 1usize << domain.twos;
        // the first half of the powers of ω_2N, the root of the odd points of N = 2^k points
        let root = domain.half_root().pow([3u64.pow(domain.threes)]);
        let powers = powers(Fr::one(), root, size);
        // down, level m: w_m^-j = ω_2N^(−2jN/m) = −ω_2N^(N − 2jN/m)
        let down = halves(size, engine, |level, index| {
            if index == 0 {
                Fr::one()
            } else {
                -powers[size - index * (2 * size / level)]
            }
        });
        // up, level m: ω_2m^(2j+1) = ω_2N^((2j+1)N/m)
        let up = halves(size, engine, |level, index| {
            powers[(2 * index + 1) * (size / level)]
        });
        Self {
            down: Table {
                thirds: thirds(domain, Direction::Down, engine),
                halves: down,
            },
            up: Table {
                thirds: thirds(domain, Direction::Up, engine),
                halves: up,
            },
            scale: engine.pack(
                &Fr::from(domain.size() as u64)
                    .inverse()
                    .unwrap_or(Fr::zero()),
            ),
        }
    }
}

/// All levels of radix 2 of a block of `size` points.
fn halves(
    size: usize,
    engine: Engine<Fr>,
    factor: impl Fn(usize, usize) -> Fr + Sync,
) -> Vec<[Packed; 1]> {
    (0..size)
        .into_par_iter()
        .with_min_len(POWERS_A_TASK)
        .map(|position| {
            // position 0 belongs to no level
            let half = 1 << position.max(1).ilog2();
            let value = if position == 0 {
                Fr::zero()
            } else {
                factor(2 * half, position - half)
            };
            [engine.pack(&value)]
        })
        .collect()
}

/// The levels of radix 3.
fn thirds(domain: &Domain, direction: Direction, engine: Engine<Fr>) -> Vec<ThirdsTable> {
    let mut half_root = domain.half_root();
    let mut size = domain.size();
    (0..domain.threes)
        .map(|_| {
            let root = half_root.square();
            let sixth = size / 3;
            let (first, root) = match direction {
                // w_m^-j
                Direction::Down => (Fr::one(), root.pow([size as u64 - 1])),
                // ω_2m^(2j+1)
                Direction::Up => (half_root, root),
            };
            let table = ThirdsTable {
                factors: powers(first, root, sixth)
                    .par_iter()
                    .with_min_len(POWERS_A_TASK)
                    .map(|power| [engine.pack(power), engine.pack(&power.square())])
                    .collect(),
                cube_root: engine.pack(&root.pow([sixth as u64])),
            };
            size = sixth;
            half_root = half_root.square() * half_root;
            table
        })
        .collect()
}

/// `first · root^j` for `j < count`.
fn powers(first: Fr, root: Fr, count: usize) -> Vec<Fr> {
    let mut powers = vec![Fr::zero(); count];
    powers
        .par_chunks_mut(POWERS_A_TASK)
        .enumerate()
        .for_each(|(task, chunk)| {
            let mut power = first * root.pow([(task * POWERS_A_TASK) as u64]);
            for slot in chunk {
                *slot = power;
                power *= root;
            }
        });
    powers
}

//! The inner levels: as many blocks side by side as there are lanes, kept in registers' form from
//! the first of these levels down to the turn and up again.

use ark_bn254::Fr;
use proofmark_lanes::{Kernel, Lanes, Packed};

use crate::butterfly::{Direction, Factors, quarters_down, quarters_up};

/// Blocks of 2^k neighbouring elements, `WIDTH` of them at a time: the inverse transform of each, and
/// the forward transform where `up` says so.
pub(crate) struct Leaves<'a> {
    /// A multiple of `WIDTH` blocks.
    pub(crate) values: &'a mut [Fr],
    /// The elements of a block, a power of two.
    pub(crate) size: usize,
    /// What the coefficients are multiplied by.
    pub(crate) scale: Packed,
    pub(crate) down: Factors<'a>,
    pub(crate) up: Option<Factors<'a>>,
    /// Whether the elements go back to their users, or on to the outer levels.
    pub(crate) last: bool,
}

impl Kernel for Leaves<'_> {
    type Field = Fr;
    type Output = ();

    #[inline(always)]
    fn run<L: Lanes<Field = Fr>>(self, lanes: L) {
        let size = self.size;
        let scale = lanes.splat(&self.scale);
        let mut buffer = vec![scale; size];
        for blocks in self.values.chunks_exact_mut(size * L::WIDTH) {
            for (index, slot) in buffer.iter_mut().enumerate() {
                *slot = lanes.load_linear(blocks, index, size);
            }
            // levels are taken in pairs as long as more than 4 points are left
            let mut block = size;
            while block > 4 {
                levels(lanes, &mut buffer, block, self.down, Direction::Down);
                block /= 4;
            }
            turn(lanes, &mut buffer, block, self.down, self.up, scale);
            if let Some(up) = self.up {
                while block < size {
                    block *= 4;
                    levels(lanes, &mut buffer, block, up, Direction::Up);
                }
            }
            for (index, slot) in buffer.iter().enumerate() {
                if self.last {
                    lanes.store_linear(*slot, blocks, index, size);
                } else {
                    lanes.park_linear(*slot, blocks, index, size);
                }
            }
        }
        // The values are those of a witness; the compiler must not leave this out.
        buffer.fill(scale);
        std::hint::black_box(&mut buffer);
    }
}

/// Two levels of radix 2 in all blocks of the buffer.
#[inline(always)]
fn levels<L: Lanes<Field = Fr>>(
    lanes: L,
    buffer: &mut [L::Vector],
    block: usize,
    factors: Factors<'_>,
    direction: Direction,
) {
    let quarter = block / 4;
    for index in 0..quarter {
        let outer = [
            lanes.splat(&factors[2 * quarter + index][0]),
            lanes.splat(&factors[3 * quarter + index][0]),
        ];
        let inner = lanes.splat(&factors[quarter + index][0]);
        for block in buffer.chunks_exact_mut(block) {
            let quarters = [
                block[index],
                block[index + quarter],
                block[index + 2 * quarter],
                block[index + 3 * quarter],
            ];
            let quarters = match direction {
                Direction::Down => quarters_down(lanes, quarters, outer, inner),
                Direction::Up => quarters_up(lanes, quarters, outer, inner),
            };
            block[index] = quarters[0];
            block[index + quarter] = quarters[1];
            block[index + 2 * quarter] = quarters[2];
            block[index + 3 * quarter] = quarters[3];
        }
    }
}

/// The last levels down, the scale, and the first levels up, of blocks of 1, 2 or 4 elements. Factors
/// of the way down that are 1 are left out, and the scale is part of those of the way up.
#[inline(always)]
fn turn<L: Lanes<Field = Fr>>(
    lanes: L,
    buffer: &mut [L::Vector],
    block: usize,
    down: Factors<'_>,
    up: Option<Factors<'_>>,
    scale: L::Vector,
) {
    let inner = match up {
        Some(up) if block > 1 => lanes.mul(lanes.splat(&up[1][0]), scale),
        _ => scale,
    };
    match buffer.len().min(block) {
        4 => {
            let turned = lanes.splat(&down[3][0]);
            for block in buffer.chunks_exact_mut(4) {
                let (a, c) = (lanes.add(block[0], block[2]), lanes.sub(block[0], block[2]));
                let (b, d) = (
                    lanes.add(block[1], block[3]),
                    lanes.mul(lanes.sub(block[1], block[3]), turned),
                );
                let (a, b) = (lanes.add(a, b), lanes.sub(a, b));
                let (c, d) = (lanes.add(c, d), lanes.sub(c, d));
                let (a, b) = (lanes.mul(a, scale), lanes.mul(b, inner));
                let (c, d) = (lanes.mul(c, scale), lanes.mul(d, inner));
                let Some(up) = up else {
                    block.copy_from_slice(&[a, b, c, d]);
                    continue;
                };
                let (a, b) = (lanes.add(a, b), lanes.sub(a, b));
                let (c, d) = (lanes.add(c, d), lanes.sub(c, d));
                let c = lanes.mul(c, lanes.splat(&up[2][0]));
                let d = lanes.mul(d, lanes.splat(&up[3][0]));
                block[0] = lanes.add(a, c);
                block[1] = lanes.add(b, d);
                block[2] = lanes.sub(a, c);
                block[3] = lanes.sub(b, d);
            }
        }
        2 => {
            for block in buffer.chunks_exact_mut(2) {
                let a = lanes.mul(lanes.add(block[0], block[1]), scale);
                let b = lanes.mul(lanes.sub(block[0], block[1]), inner);
                if up.is_some() {
                    block[0] = lanes.add(a, b);
                    block[1] = lanes.sub(a, b);
                } else {
                    block[0] = a;
                    block[1] = b;
                }
            }
        }
        _ => {
            for slot in buffer {
                *slot = lanes.mul(*slot, scale);
            }
        }
    }
}

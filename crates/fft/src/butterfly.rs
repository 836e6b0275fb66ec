//! One step of a transform on neighbouring elements of all its parts, and the same inside registers.
//!
//! Down: decimation in frequency of the inverse transform, natural order in, reversed digits out.
//! Up: decimation in time of the forward transform to the odd points, the other way round; the shift
//! to the odd points is in the factors.

use ark_bn254::Fr;
use proofmark_lanes::{Kernel, Lanes, Packed};

/// Whether a step belongs to the inverse or to the forward transform.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Direction {
    Down,
    Up,
}

/// A factor of each element.
pub(crate) type Factors<'a> = &'a [[Packed; 1]];

/// Two levels of radix 2 on the four quarters of a block.
///
/// `outer` are the factors of the level that halves the block, for its first and its second quarter,
/// `inner` those of the level that halves the halves. All slices are of one length.
pub(crate) struct Quarters<'a> {
    pub(crate) direction: Direction,
    pub(crate) parts: [&'a mut [Fr]; 4],
    pub(crate) outer: [Factors<'a>; 2],
    pub(crate) inner: Factors<'a>,
    /// Whether the elements go back to their users, or on to other levels.
    pub(crate) last: bool,
}

impl Kernel for Quarters<'_> {
    type Field = Fr;
    type Output = ();

    #[inline(always)]
    fn run<L: Lanes<Field = Fr>>(self, lanes: L) {
        let ([a, b, c, d], [first, second]) = (self.parts, self.outer);
        for start in (0..a.len()).step_by(L::WIDTH) {
            let block = [
                lanes.load_linear(a, start, 1),
                lanes.load_linear(b, start, 1),
                lanes.load_linear(c, start, 1),
                lanes.load_linear(d, start, 1),
            ];
            let end = start + L::WIDTH;
            let [v] = lanes.load(&first[start..end]);
            let [w] = lanes.load(&second[start..end]);
            let [u] = lanes.load(&self.inner[start..end]);
            let block = match self.direction {
                Direction::Down => quarters_down(lanes, block, [v, w], u),
                Direction::Up => quarters_up(lanes, block, [v, w], u),
            };
            put(lanes, block[0], a, start, self.last);
            put(lanes, block[1], b, start, self.last);
            put(lanes, block[2], c, start, self.last);
            put(lanes, block[3], d, start, self.last);
        }
    }
}

/// Four elements through two levels of the inverse transform.
#[inline(always)]
pub(crate) fn quarters_down<L: Lanes>(
    lanes: L,
    [a, b, c, d]: [L::Vector; 4],
    [v, w]: [L::Vector; 2],
    u: L::Vector,
) -> [L::Vector; 4] {
    let p = lanes.mul_difference(a, c, v);
    let q = lanes.mul_difference(b, d, w);
    [
        lanes.add_all([a, b, c, d]),
        lanes.mul_differences([a, c, b, d], u),
        lanes.add(p, q),
        lanes.mul_difference(p, q, u),
    ]
}

/// Four elements through two levels of the forward transform.
#[inline(always)]
pub(crate) fn quarters_up<L: Lanes>(
    lanes: L,
    [a, b, c, d]: [L::Vector; 4],
    [v, w]: [L::Vector; 2],
    u: L::Vector,
) -> [L::Vector; 4] {
    let (b, d) = (lanes.mul(b, u), lanes.mul(d, u));
    let p = lanes.mul_sum(c, d, v);
    let q = lanes.mul_difference(c, d, w);
    [
        lanes.add_both(a, b, p),
        lanes.add_sub(a, q, b),
        lanes.add_sub(a, b, p),
        lanes.sub_both(a, b, q),
    ]
}

/// One level of radix 3 on the three thirds of a block.
pub(crate) struct Thirds<'a> {
    pub(crate) direction: Direction,
    pub(crate) parts: [&'a mut [Fr]; 3],
    /// The factors of the second and of the third part.
    pub(crate) factors: &'a [[Packed; 2]],
    /// The cube root of unity, of the inverse transform its inverse.
    pub(crate) cube_root: Packed,
    /// Whether the elements go back to their users, or on to other levels.
    pub(crate) last: bool,
}

impl Kernel for Thirds<'_> {
    type Field = Fr;
    type Output = ();

    #[inline(always)]
    fn run<L: Lanes<Field = Fr>>(self, lanes: L) {
        let [a, b, c] = self.parts;
        let cube_root = lanes.splat(&self.cube_root);
        for start in (0..a.len()).step_by(L::WIDTH) {
            let mut block = [
                lanes.load_linear(a, start, 1),
                lanes.load_linear(b, start, 1),
                lanes.load_linear(c, start, 1),
            ];
            let [v, w] = lanes.load(&self.factors[start..start + L::WIDTH]);
            if self.direction == Direction::Up {
                block[1] = lanes.mul(block[1], v);
                block[2] = lanes.mul(block[2], w);
            }
            block = thirds(lanes, block, cube_root);
            if self.direction == Direction::Down {
                block[1] = lanes.mul(block[1], v);
                block[2] = lanes.mul(block[2], w);
            }
            put(lanes, block[0], a, start, self.last);
            put(lanes, block[1], b, start, self.last);
            put(lanes, block[2], c, start, self.last);
        }
    }
}

/// `a + b + c`, `a + ζb + ζ²c`, `a + ζ²b + ζc`, with one product since `ζ² = −1 − ζ`.
#[inline(always)]
fn thirds<L: Lanes>(lanes: L, [a, b, c]: [L::Vector; 3], zeta: L::Vector) -> [L::Vector; 3] {
    let turned = lanes.mul_difference(b, c, zeta);
    [
        lanes.add_both(a, b, c),
        lanes.add_sub(a, turned, c),
        lanes.sub_both(a, b, turned),
    ]
}

/// Neighbours back into memory.
#[inline(always)]
fn put<L: Lanes>(lanes: L, vector: L::Vector, values: &mut [L::Field], start: usize, last: bool) {
    if last {
        lanes.store_linear(vector, values, start, 1);
    } else {
        lanes.park_linear(vector, values, start, 1);
    }
}

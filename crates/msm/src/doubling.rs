//! Many points doubled many times, with one inversion.

use ark_bn254::Fq;
use ark_ff::Field;
use proofmark_lanes::{Kernel, Lanes};

use crate::addition::CHAINS;
use crate::coordinate::{Coordinate, invert};
use crate::curve::{Curve, Vector};

/// `points[i] = 2^times · points[i]`, without an identity among them, for a number of points that is
/// a multiple of [`Lanes::WIDTH`].
pub(crate) struct Double<'a, C: Curve> {
    pub(crate) points: &'a mut [C::Point],
    pub(crate) times: u32,
}

impl<C: Curve> Kernel for Double<'_, C> {
    type Field = Fq;
    /// False when a point was none of the curve; nothing was changed then.
    type Output = bool;

    #[inline(always)]
    fn run<L: Lanes<Field = Fq>>(self, lanes: L) -> bool {
        let Self { points, times } = self;
        let one = <C::BaseField as Coordinate>::splat(lanes, &C::BaseField::ONE);
        let vectors = points.len() / L::WIDTH;
        let mut doubled = Vec::with_capacity(vectors);
        let mut products = [one; CHAINS];
        let mut slots = [0_u32; 64];
        for number in 0..vectors {
            let slots = neighbours::<L>(&mut slots, number);
            let [x, y] = C::gather(lanes, points, slots);
            let mut point = [x, y, one];
            for _ in 0..times {
                point = double::<C, L>(lanes, point);
            }
            let product = &mut products[number % CHAINS];
            doubled.push((point, *product));
            *product = C::BaseField::times(lanes, *product, point[2]);
        }
        let Some(mut inverses) = invert::<C::BaseField, L, CHAINS>(lanes, products) else {
            return false;
        };
        for (number, &([x, y, z], before)) in doubled.iter().enumerate().rev() {
            let inverse = &mut inverses[number % CHAINS];
            let reciprocal = C::BaseField::times(lanes, *inverse, before);
            *inverse = C::BaseField::times(lanes, *inverse, z);
            let square = C::BaseField::squared(lanes, reciprocal);
            let cube = C::BaseField::times(lanes, square, reciprocal);
            let affine = [
                C::BaseField::times(lanes, x, square),
                C::BaseField::times(lanes, y, cube),
            ];
            let slots = neighbours::<L>(&mut slots, number);
            C::scatter(lanes, affine, points, slots);
        }
        true
    }
}

/// The slots of vector `number`.
#[inline(always)]
fn neighbours<L: Lanes>(slots: &mut [u32; 64], number: usize) -> &[u32] {
    for (lane, slot) in slots[..L::WIDTH].iter_mut().enumerate() {
        *slot = (number * L::WIDTH + lane) as u32;
    }
    &slots[..L::WIDTH]
}

/// A doubling in Jacobian coordinates for `y² = x³ + b`, "dbl-2009-l" of the explicit formulas
/// database, of as many points as `lanes` has. For use in a [`Kernel`].
#[inline(always)]
pub fn double<C: Curve, L: Lanes<Field = Fq>>(
    lanes: L,
    [x, y, z]: [Vector<C, L>; 3],
) -> [Vector<C, L>; 3] {
    type F<C> = <C as ark_ec::CurveConfig>::BaseField;
    let a = F::<C>::squared(lanes, x);
    let b = F::<C>::squared(lanes, y);
    let c = F::<C>::squared(lanes, b);
    let sum = F::<C>::squared(lanes, F::<C>::plus(lanes, x, b));
    let d = F::<C>::twice(lanes, F::<C>::minus_both(lanes, sum, a, c));
    let e = F::<C>::plus(lanes, F::<C>::twice(lanes, a), a);
    let f = F::<C>::squared(lanes, e);
    let x3 = F::<C>::minus_both(lanes, f, d, d);
    let run = F::<C>::times(lanes, e, F::<C>::minus(lanes, d, x3));
    let c8 = F::<C>::twice(lanes, F::<C>::twice(lanes, F::<C>::twice(lanes, c)));
    let y3 = F::<C>::minus(lanes, run, c8);
    let z3 = F::<C>::twice(lanes, F::<C>::times(lanes, y, z));
    [x3, y3, z3]
}

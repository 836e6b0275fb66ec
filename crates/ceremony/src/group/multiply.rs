//! The kernel: points side by side, each times its own scalar.

use ark_bn254::{Fq, Fr};
use ark_ec::short_weierstrass::Affine;
use ark_ec::{AffineRepr, CurveConfig, CurveGroup};
use ark_ff::{AdditiveGroup, Field};
use proofmark_lanes::{Engine, Kernel, Lanes};
use proofmark_msm::{Coordinate, Curve, double, invert};
use zeroize::Zeroizing;

use super::recode::{Digits, MULTIPLES, NEGATIVE, STEPS, recode};
use super::{CHAINS, Group};

/// Coordinates of [`Lanes::WIDTH`] points.
pub(super) type Vector<C, L> = <<C as CurveConfig>::BaseField as Coordinate>::Vector<L>;

/// What every multiplication in a group needs.
pub(super) struct Multiplier<C: Group> {
    pub(super) engine: Engine<Fq>,
    endomorphism: C::BaseField,
}

impl<C: Group> Multiplier<C> {
    pub(super) fn new(engine: Engine<Fq>) -> Self {
        Self {
            engine,
            endomorphism: C::endomorphism(),
        }
    }

    /// `scalars[i] · points[i]` in place, for one batch.
    pub(super) fn multiply(&self, points: &mut [C::Point], scalars: &[Fr]) {
        let count = points.len().min(scalars.len());
        // Whole vectors of any width, and a point in the place of identities.
        let whole = count.next_multiple_of(64);
        let filler = C::pack(self.engine, &Affine::generator());
        let mut operands = vec![filler; whole];
        let mut digits = Zeroizing::new(vec![recode(&LAST); whole]);
        let mut before = Zeroizing::new(LAST);
        let mut last = digits.first().copied().unwrap_or([[0; 2]; STEPS]);
        for (index, (point, scalar)) in points.iter().zip(scalars).enumerate() {
            if C::is_identity(point) || *scalar == Fr::ZERO {
                continue;
            }
            if *scalar != *before {
                last = recode(scalar);
                *before = *scalar;
            }
            operands[index] = *point;
            digits[index] = last;
        }
        let mut products = vec![filler; whole];
        let done = self.multiples(&operands).is_some_and(|table| {
            self.engine.run(Multiply::<C> {
                table: &table,
                digits: &digits,
                endomorphism: self.endomorphism,
                products: &mut products,
            })
        });
        for ((point, scalar), product) in points.iter_mut().zip(scalars).zip(products) {
            if C::is_identity(point) {
                continue;
            }
            *point = if *scalar == Fr::ZERO {
                C::IDENTITY
            } else if done {
                product
            } else {
                // An addition of equal or opposite points stopped the batch.
                let product = C::unpack(self.engine, point) * scalar;
                C::pack(self.engine, &product.into_affine())
            };
        }
    }

    /// The odd multiples of whole vectors of points: multiple `2m + 1` of point `i` at
    /// `m · points.len() + i`. `None` for points that are none of the curve.
    fn multiples(&self, points: &[C::Point]) -> Option<Vec<C::Point>> {
        let count = points.len();
        let mut table = vec![C::IDENTITY; MULTIPLES * count];
        table[..count].copy_from_slice(points);
        let mut doubles = points.to_vec();
        if !self.engine.run(DoubleAll::<C>(&mut doubles)) {
            return None;
        }
        for multiple in 1..MULTIPLES {
            let (below, above) = table.split_at_mut(multiple * count);
            let done = self.engine.run(AddAll::<C> {
                left: &below[(multiple - 1) * count..],
                right: &doubles,
                sums: &mut above[..count],
            });
            if !done {
                return None;
            }
        }
        Some(table)
    }
}

/// A scalar like any other.
const LAST: Fr = super::recode::LAMBDA;

/// `products[i] = Σ digits · points[i]`, for a number of points that is a multiple of
/// [`Lanes::WIDTH`], without an identity among them.
///
/// Kernels are inlined into one function each. They are kept small, for the compiler's sake: one
/// doubling, one addition.
struct Multiply<'a, C: Curve> {
    /// See [`Multiplier::multiples`].
    table: &'a [C::Point],
    digits: &'a [Digits],
    endomorphism: C::BaseField,
    products: &'a mut [C::Point],
}

impl<C: Curve> Kernel for Multiply<'_, C> {
    type Field = Fq;
    /// False when two equal or opposite points met; the products are nonsense then.
    type Output = bool;

    #[inline(always)]
    fn run<L: Lanes<Field = Fq>>(self, lanes: L) -> bool {
        let one = <C::BaseField as Coordinate>::splat(lanes, &C::BaseField::ONE);
        let endomorphism = <C::BaseField as Coordinate>::splat(lanes, &self.endomorphism);
        let vectors = self.products.len() / L::WIDTH;
        let mut results = Vec::with_capacity(vectors);
        let mut products = [one; CHAINS];
        for number in 0..vectors {
            let base = number * L::WIDTH;
            let mut sum = [one; 3];
            for turn in 0..2 * STEPS {
                let (step, half) = (turn / 2, turn % 2);
                let [x, y] = self.entry(lanes, base, step, half);
                if turn == 0 {
                    sum = [x, y, one];
                    continue;
                }
                let doublings = if half == 0 { 4 } else { 0 };
                // Hidden from the compiler, which would write out all four.
                for _ in 0..std::hint::black_box(doublings) {
                    sum = double::<C, L>(lanes, sum);
                }
                let factor = C::BaseField::select(lanes, half_mask(half), endomorphism, one);
                let x = C::BaseField::times(lanes, x, factor);
                sum = add::<C, L>(lanes, sum, [x, y]);
            }
            let product = &mut products[number % CHAINS];
            results.push((sum, *product));
            *product = C::BaseField::times(lanes, *product, sum[2]);
        }
        let Some(mut inverses) = invert::<C::BaseField, L, CHAINS>(lanes, products) else {
            return false;
        };
        let mut slots = [0_u32; 64];
        for (number, &([x, y, z], before)) in results.iter().enumerate().rev() {
            let inverse = &mut inverses[number % CHAINS];
            let reciprocal = C::BaseField::times(lanes, *inverse, before);
            *inverse = C::BaseField::times(lanes, *inverse, z);
            let square = C::BaseField::squared(lanes, reciprocal);
            let cube = C::BaseField::times(lanes, square, reciprocal);
            let affine = [
                C::BaseField::times(lanes, x, square),
                C::BaseField::times(lanes, y, cube),
            ];
            let slots = neighbours::<L>(&mut slots, number * L::WIDTH);
            C::scatter(lanes, affine, self.products, slots);
        }
        true
    }
}

/// All lanes for the second half, none for the first.
const fn half_mask(half: usize) -> u64 {
    if half == 1 { u64::MAX } else { 0 }
}

impl<C: Curve> Multiply<'_, C> {
    /// What the digits of a step name, for the points from `base` on.
    #[inline(always)]
    fn entry<L: Lanes<Field = Fq>>(
        &self,
        lanes: L,
        base: usize,
        step: usize,
        half: usize,
    ) -> [Vector<C, L>; 2] {
        let mut slots = [0_u32; 64];
        let mut negative = 0;
        let digits = &self.digits[base..base + L::WIDTH];
        for (lane, (slot, digits)) in slots.iter_mut().zip(digits).enumerate() {
            let digit = digits[step][half];
            *slot = index(usize::from(digit % NEGATIVE) * self.products.len() + base + lane);
            negative |= u64::from(digit / NEGATIVE) << lane;
        }
        let [x, y] = C::gather(lanes, self.table, &slots[..L::WIDTH]);
        let opposite = C::BaseField::negated(lanes, y);
        [x, C::BaseField::select(lanes, negative, opposite, y)]
    }
}

/// Affine doublings with one inversion, in place.
struct DoubleAll<'a, C: Curve>(&'a mut [C::Point]);

impl<C: Curve> Kernel for DoubleAll<'_, C> {
    type Field = Fq;
    /// False for points of order two, which are on neither curve; nothing was changed then.
    type Output = bool;

    #[inline(always)]
    fn run<L: Lanes<Field = Fq>>(self, lanes: L) -> bool {
        let Self(points) = self;
        let one = <C::BaseField as Coordinate>::splat(lanes, &C::BaseField::ONE);
        let vectors = points.len() / L::WIDTH;
        let mut before = Vec::with_capacity(vectors);
        let mut products = [one; CHAINS];
        let mut slots = [0_u32; 64];
        for number in 0..vectors {
            let slots = neighbours::<L>(&mut slots, number * L::WIDTH);
            let [_, y] = C::gather(lanes, points, slots);
            let product = &mut products[number % CHAINS];
            before.push(*product);
            *product = C::BaseField::times(lanes, *product, C::BaseField::twice(lanes, y));
        }
        let Some(mut inverses) = invert::<C::BaseField, L, CHAINS>(lanes, products) else {
            return false;
        };
        for (number, before) in before.iter().enumerate().rev() {
            let slots = neighbours::<L>(&mut slots, number * L::WIDTH);
            let [x, y] = C::gather(lanes, points, slots);
            let inverse = &mut inverses[number % CHAINS];
            let reciprocal = C::BaseField::times(lanes, *inverse, *before);
            *inverse = C::BaseField::times(lanes, *inverse, C::BaseField::twice(lanes, y));
            let square = C::BaseField::squared(lanes, x);
            let three = C::BaseField::plus(lanes, C::BaseField::twice(lanes, square), square);
            let slope = C::BaseField::times(lanes, three, reciprocal);
            let sum = chord::<C, L>(lanes, slope, [x, y], x);
            C::scatter(lanes, sum, points, slots);
        }
        true
    }
}

/// Affine additions with one inversion.
struct AddAll<'a, C: Curve> {
    left: &'a [C::Point],
    right: &'a [C::Point],
    sums: &'a mut [C::Point],
}

impl<C: Curve> Kernel for AddAll<'_, C> {
    type Field = Fq;
    /// False when two x coordinates were equal; nothing was written then.
    type Output = bool;

    #[inline(always)]
    fn run<L: Lanes<Field = Fq>>(self, lanes: L) -> bool {
        let Self { left, right, sums } = self;
        let Some(mut reciprocals) = Reciprocals::<C, L>::of(lanes, left, right) else {
            return false;
        };
        let mut slots = [0_u32; 64];
        for number in (0..left.len() / L::WIDTH).rev() {
            let slots = neighbours::<L>(&mut slots, number * L::WIDTH);
            let [x, y] = C::gather(lanes, left, slots);
            let [other_x, other_y] = C::gather(lanes, right, slots);
            let reciprocal =
                reciprocals.next(lanes, number, C::BaseField::minus(lanes, other_x, x));
            let rise = C::BaseField::minus(lanes, other_y, y);
            let slope = C::BaseField::times(lanes, rise, reciprocal);
            let sum = chord::<C, L>(lanes, slope, [x, y], other_x);
            C::scatter(lanes, sum, sums, slots);
        }
        true
    }
}

/// Reciprocals of the differences in x of many pairs of points, with one inversion (Montgomery's
/// trick, in a few chains that do not wait for each other).
pub(super) struct Reciprocals<C: Curve, L: Lanes<Field = Fq>> {
    /// The product in its chain before each vector of pairs.
    before: Vec<Vector<C, L>>,
    /// Of each chain the inverse of the product of what was not asked for yet.
    inverses: [Vector<C, L>; CHAINS],
}

impl<C: Curve, L: Lanes<Field = Fq>> Reciprocals<C, L> {
    /// Of as many points on the left as on the right, a multiple of [`Lanes::WIDTH`]; nothing when
    /// two have the same x.
    #[inline(always)]
    pub(super) fn of(lanes: L, left: &[C::Point], right: &[C::Point]) -> Option<Self> {
        let one = <C::BaseField as Coordinate>::splat(lanes, &C::BaseField::ONE);
        let vectors = left.len() / L::WIDTH;
        let mut before = Vec::with_capacity(vectors);
        let mut products = [one; CHAINS];
        let mut slots = [0_u32; 64];
        for number in 0..vectors {
            let slots = neighbours::<L>(&mut slots, number * L::WIDTH);
            let [x, _] = C::gather(lanes, left, slots);
            let [other, _] = C::gather(lanes, right, slots);
            let product = &mut products[number % CHAINS];
            before.push(*product);
            *product = C::BaseField::times(lanes, *product, C::BaseField::minus(lanes, other, x));
        }
        let inverses = invert::<C::BaseField, L, CHAINS>(lanes, products)?;
        Some(Self { before, inverses })
    }

    /// The reciprocal of the difference of vector `number`, which is given once more. To be called
    /// from the last vector to the first.
    #[inline(always)]
    pub(super) fn next(
        &mut self,
        lanes: L,
        number: usize,
        difference: Vector<C, L>,
    ) -> Vector<C, L> {
        let inverse = &mut self.inverses[number % CHAINS];
        let reciprocal = C::BaseField::times(lanes, *inverse, self.before[number]);
        *inverse = C::BaseField::times(lanes, *inverse, difference);
        reciprocal
    }
}

/// The third point of the curve on a line through two points, mirrored.
#[inline(always)]
pub(super) fn chord<C: Curve, L: Lanes<Field = Fq>>(
    lanes: L,
    slope: Vector<C, L>,
    [x, y]: [Vector<C, L>; 2],
    other_x: Vector<C, L>,
) -> [Vector<C, L>; 2] {
    let square = C::BaseField::squared(lanes, slope);
    let sum_x = C::BaseField::minus_both(lanes, square, x, other_x);
    let run = C::BaseField::minus(lanes, x, sum_x);
    let sum_y = C::BaseField::minus(lanes, C::BaseField::times(lanes, slope, run), y);
    [sum_x, sum_y]
}

/// The sum of a Jacobian and an affine point, neither equal nor opposite (z becomes, and stays, zero
/// then).
#[inline(always)]
fn add<C: Curve, L: Lanes<Field = Fq>>(
    lanes: L,
    [x, y, z]: [Vector<C, L>; 3],
    [other_x, other_y]: [Vector<C, L>; 2],
) -> [Vector<C, L>; 3] {
    type F<C> = <C as CurveConfig>::BaseField;
    let zz = F::<C>::squared(lanes, z);
    let u = F::<C>::times(lanes, other_x, zz);
    let s = F::<C>::times(lanes, F::<C>::times(lanes, other_y, z), zz);
    let h = F::<C>::minus(lanes, u, x);
    let r = F::<C>::minus(lanes, s, y);
    let hh = F::<C>::squared(lanes, h);
    let hhh = F::<C>::times(lanes, h, hh);
    let v = F::<C>::times(lanes, x, hh);
    let rr = F::<C>::squared(lanes, r);
    let x3 = F::<C>::minus(lanes, F::<C>::minus_both(lanes, rr, v, v), hhh);
    let run = F::<C>::times(lanes, r, F::<C>::minus(lanes, v, x3));
    let y3 = F::<C>::minus(lanes, run, F::<C>::times(lanes, y, hhh));
    let z3 = F::<C>::times(lanes, z, h);
    [x3, y3, z3]
}

/// The slots of a vector of neighbours.
#[inline(always)]
pub(super) fn neighbours<L: Lanes>(slots: &mut [u32; 64], base: usize) -> &[u32] {
    for (lane, slot) in slots[..L::WIDTH].iter_mut().enumerate() {
        *slot = index(base + lane);
    }
    &slots[..L::WIDTH]
}

/// An index into a batch's table, which has few thousand points.
#[inline(always)]
#[expect(clippy::cast_possible_truncation, reason = "batches are small")]
pub(super) const fn index(index: usize) -> u32 {
    index as u32
}

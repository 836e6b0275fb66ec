//! Eight elements at a time on AVX-512 IFMA: five limbs of 52 bits, Montgomery form with radix
//! 2^260.
//!
//! # Bounds
//! `p` has 254 bits: 2^260 = 84.6·p and 2^256 = 5.29·p. A vector's limbs are below 2^52 and its
//! numbers below **1.7·p** (the *vector bound*); a residue has up to two representatives.
//!
//! * A product of numbers below `a·p` and `b·p` is below `(a·b/84.6 + 1.13)·p` ([`multiply`]).
//!   A sum or difference that is a factor only is therefore carried, but not reduced.
//! * A sum of limbs with signs is brought below the vector bound by subtracting a multiple of `p` that
//!   is looked up by the number's bits from 253 on ([`reduce`]). The bits are read before the carries
//!   are propagated, so that they may be wrong by what the lower limbs carry, less than 2^-40 of a step:
//!   the test of the constants shows that this much room is there.
//! * Words in memory are below `p`, or below the vector bound where a linear map parks them. Words of
//!   anything else than elements break these bounds, and nothing but the numbers: no address, no
//!   index of memory and no validity of a type depends on a number.

mod constants;
mod limbs;

use std::marker::PhantomData;

use self::limbs::Limbs;
use crate::{Kernel, LaneField, Lanes, Packed};

/// Elements in a vector.
const WIDTH: usize = 8;

/// Eight lanes of AVX-512 IFMA. The token exists only where the processor has the instructions.
#[derive(Debug, Clone, Copy)]
pub struct Ifma<F>(PhantomData<F>);

/// Eight elements of `F`.
#[derive(Debug, Clone, Copy)]
pub struct IfmaVector<F>(Limbs, PhantomData<F>);

impl<F: LaneField> Ifma<F> {
    /// The token, where the processor has the instructions.
    pub fn detect() -> Option<Self> {
        let present = is_x86_feature_detected!("avx512f")
            && is_x86_feature_detected!("avx512dq")
            && is_x86_feature_detected!("avx512bw")
            && is_x86_feature_detected!("avx512vl")
            && is_x86_feature_detected!("avx512ifma")
            && is_x86_feature_detected!("avx512vbmi2");
        present.then_some(Self(PhantomData))
    }
}

/// The rows of eight points' coordinate.
#[inline(always)]
fn coordinate<'a, const N: usize>(
    points: &[&'a [Packed; N]; WIDTH],
    index: usize,
) -> [&'a Packed; WIDTH] {
    [
        &points[0][index],
        &points[1][index],
        &points[2][index],
        &points[3][index],
        &points[4][index],
        &points[5][index],
        &points[6][index],
        &points[7][index],
    ]
}

#[expect(
    unsafe_code,
    reason = "vector instructions; the token proves that the processor has them"
)]
impl<F: LaneField> Lanes for Ifma<F> {
    type Field = F;
    type Vector = IfmaVector<F>;
    const WIDTH: usize = WIDTH;

    #[inline]
    fn run<K: Kernel<Field = F>>(self, kernel: K) -> K::Output {
        #[target_feature(enable = "avx512f,avx512dq,avx512bw,avx512vl,avx512ifma,avx512vbmi2")]
        fn enabled<F: LaneField, K: Kernel<Field = F>>(lanes: Ifma<F>, kernel: K) -> K::Output {
            kernel.run(lanes)
        }
        // SAFETY: the token was made by `detect`, which found every feature in the list above.
        unsafe { enabled(self, kernel) }
    }

    /// `a·2^260 = 16·(a·2^256)`: ark-ff's words of `16·a`.
    #[inline]
    fn pack(self, value: &F) -> Packed {
        let mut value = *value;
        for _ in 0..4 {
            value.double_in_place();
        }
        *value.words()
    }

    #[inline]
    fn unpack(self, value: &Packed) -> F {
        F::from_words(*value) * F::SIXTEENTH
    }

    #[inline(always)]
    fn splat(self, value: &Packed) -> IfmaVector<F> {
        // SAFETY: the token proves the instructions.
        IfmaVector(unsafe { limbs::splat(value) }, PhantomData)
    }

    #[inline(always)]
    fn gather<const N: usize>(self, points: &[[Packed; N]], slots: &[u32]) -> [IfmaVector<F>; N] {
        assert_eq!(slots.len(), WIDTH, "one slot a lane");
        let rows = [
            &points[slots[0] as usize],
            &points[slots[1] as usize],
            &points[slots[2] as usize],
            &points[slots[3] as usize],
            &points[slots[4] as usize],
            &points[slots[5] as usize],
            &points[slots[6] as usize],
            &points[slots[7] as usize],
        ];
        let mut vectors = [self.splat(&[0; 4]); N];
        for (index, vector) in vectors.iter_mut().enumerate() {
            // SAFETY: the token proves the instructions.
            *vector = IfmaVector(
                unsafe { limbs::load(coordinate(&rows, index)) },
                PhantomData,
            );
        }
        vectors
    }

    #[inline(always)]
    fn scatter<const N: usize>(
        self,
        values: [IfmaVector<F>; N],
        points: &mut [[Packed; N]],
        slots: &[u32],
    ) {
        assert_eq!(slots.len(), WIDTH, "one slot a lane");
        for (index, value) in values.iter().enumerate() {
            // SAFETY: the token proves the instructions.
            let rows = unsafe { limbs::rows(limbs::canonical::<F>(value.0)) };
            for (row, &slot) in rows.iter().zip(slots) {
                points[slot as usize][index] = *row;
            }
        }
    }

    #[inline(always)]
    fn load<const N: usize>(self, points: &[[Packed; N]]) -> [IfmaVector<F>; N] {
        assert_eq!(points.len(), WIDTH, "one point a lane");
        self.gather(points, &[0, 1, 2, 3, 4, 5, 6, 7])
    }

    #[inline(always)]
    fn store<const N: usize>(self, values: [IfmaVector<F>; N], points: &mut [[Packed; N]]) {
        assert_eq!(points.len(), WIDTH, "one point a lane");
        self.scatter(values, points, &[0, 1, 2, 3, 4, 5, 6, 7]);
    }

    /// ark-ff's words of `a` are this form's words of `a/16`.
    #[inline(always)]
    fn load_linear(self, values: &[F], start: usize, step: usize) -> IfmaVector<F> {
        let rows = [
            values[start].words(),
            values[start + step].words(),
            values[start + 2 * step].words(),
            values[start + 3 * step].words(),
            values[start + 4 * step].words(),
            values[start + 5 * step].words(),
            values[start + 6 * step].words(),
            values[start + 7 * step].words(),
        ];
        // SAFETY: the token proves the instructions.
        IfmaVector(unsafe { limbs::load(rows) }, PhantomData)
    }

    #[inline(always)]
    fn store_linear(self, vector: IfmaVector<F>, values: &mut [F], start: usize, step: usize) {
        // SAFETY: the token proves the instructions.
        let canonical = IfmaVector(unsafe { limbs::canonical::<F>(vector.0) }, PhantomData);
        self.park_linear(canonical, values, start, step);
    }

    #[inline(always)]
    fn park_linear(self, vector: IfmaVector<F>, values: &mut [F], start: usize, step: usize) {
        // SAFETY: the token proves the instructions.
        let rows = unsafe { limbs::rows(vector.0) };
        for (lane, row) in rows.iter().enumerate() {
            *values[start + lane * step].words_mut() = *row;
        }
    }

    #[inline(always)]
    fn add(self, a: IfmaVector<F>, b: IfmaVector<F>) -> IfmaVector<F> {
        // SAFETY: the token proves the instructions.
        IfmaVector(unsafe { limbs::add::<F>(a.0, b.0) }, PhantomData)
    }

    #[inline(always)]
    fn sub(self, a: IfmaVector<F>, b: IfmaVector<F>) -> IfmaVector<F> {
        // SAFETY: the token proves the instructions.
        IfmaVector(unsafe { limbs::sub::<F>(a.0, b.0) }, PhantomData)
    }

    #[inline(always)]
    fn sub_both(self, a: IfmaVector<F>, b: IfmaVector<F>, c: IfmaVector<F>) -> IfmaVector<F> {
        // SAFETY: the token proves the instructions.
        IfmaVector(unsafe { limbs::sub_both::<F>(a.0, b.0, c.0) }, PhantomData)
    }

    #[inline(always)]
    fn add_both(self, a: IfmaVector<F>, b: IfmaVector<F>, c: IfmaVector<F>) -> IfmaVector<F> {
        // SAFETY: the token proves the instructions.
        IfmaVector(unsafe { limbs::add_both::<F>(a.0, b.0, c.0) }, PhantomData)
    }

    #[inline(always)]
    fn add_sub(self, a: IfmaVector<F>, b: IfmaVector<F>, c: IfmaVector<F>) -> IfmaVector<F> {
        // SAFETY: the token proves the instructions.
        IfmaVector(unsafe { limbs::add_sub::<F>(a.0, b.0, c.0) }, PhantomData)
    }

    #[inline(always)]
    fn add_all(self, [a, b, c, d]: [IfmaVector<F>; 4]) -> IfmaVector<F> {
        // SAFETY: the token proves the instructions.
        IfmaVector(
            unsafe { limbs::add_all::<F>([a.0, b.0, c.0, d.0]) },
            PhantomData,
        )
    }

    #[inline(always)]
    fn mul_sum(self, a: IfmaVector<F>, b: IfmaVector<F>, factor: IfmaVector<F>) -> IfmaVector<F> {
        // SAFETY: the token proves the instructions.
        IfmaVector(
            unsafe { limbs::multiply::<F>(limbs::sum(a.0, b.0), factor.0) },
            PhantomData,
        )
    }

    #[inline(always)]
    fn mul_difference(
        self,
        a: IfmaVector<F>,
        b: IfmaVector<F>,
        factor: IfmaVector<F>,
    ) -> IfmaVector<F> {
        // SAFETY: the token proves the instructions.
        IfmaVector(
            unsafe { limbs::multiply::<F>(limbs::difference::<F>(a.0, b.0), factor.0) },
            PhantomData,
        )
    }

    #[inline(always)]
    fn mul_differences(
        self,
        [a, b, c, d]: [IfmaVector<F>; 4],
        factor: IfmaVector<F>,
    ) -> IfmaVector<F> {
        // SAFETY: the token proves the instructions.
        IfmaVector(
            unsafe {
                limbs::multiply::<F>(limbs::differences::<F>([a.0, b.0, c.0, d.0]), factor.0)
            },
            PhantomData,
        )
    }

    #[inline(always)]
    fn neg(self, a: IfmaVector<F>) -> IfmaVector<F> {
        // SAFETY: the token proves the instructions.
        IfmaVector(unsafe { limbs::neg::<F>(a.0) }, PhantomData)
    }

    #[inline(always)]
    fn double(self, a: IfmaVector<F>) -> IfmaVector<F> {
        // SAFETY: the token proves the instructions.
        IfmaVector(unsafe { limbs::add::<F>(a.0, a.0) }, PhantomData)
    }

    #[inline(always)]
    fn mul(self, a: IfmaVector<F>, b: IfmaVector<F>) -> IfmaVector<F> {
        // SAFETY: the token proves the instructions.
        IfmaVector(unsafe { limbs::multiply::<F>(a.0, b.0) }, PhantomData)
    }

    #[inline(always)]
    fn square(self, a: IfmaVector<F>) -> IfmaVector<F> {
        // SAFETY: the token proves the instructions.
        IfmaVector(unsafe { limbs::square::<F>(a.0) }, PhantomData)
    }

    #[inline(always)]
    fn is_zero(self, a: IfmaVector<F>) -> u64 {
        // SAFETY: the token proves the instructions.
        u64::from(unsafe { limbs::is_zero::<F>(a.0) })
    }

    #[inline(always)]
    #[expect(clippy::cast_possible_truncation, reason = "eight lanes")]
    fn select(self, mask: u64, a: IfmaVector<F>, b: IfmaVector<F>) -> IfmaVector<F> {
        // SAFETY: the token proves the instructions.
        IfmaVector(unsafe { limbs::select(mask as u8, a.0, b.0) }, PhantomData)
    }
}

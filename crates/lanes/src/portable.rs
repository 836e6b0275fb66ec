//! One element at a time, on ark-ff: what every processor can do, and what the others are tested
//! against.

use std::marker::PhantomData;

use crate::{Kernel, LaneField, Lanes, Packed};

/// One lane on ark-ff's arithmetic; packed elements are ark-ff's own words.
#[derive(Debug, Clone, Copy, Default)]
pub struct Portable<F>(PhantomData<F>);

impl<F: LaneField> Portable<F> {
    /// The token, which every processor has.
    pub const fn new() -> Self {
        Self(PhantomData)
    }
}

impl<F: LaneField> Lanes for Portable<F> {
    type Field = F;
    type Vector = F;
    const WIDTH: usize = 1;

    #[inline(always)]
    fn run<K: Kernel<Field = F>>(self, kernel: K) -> K::Output {
        kernel.run(self)
    }

    #[inline(always)]
    fn pack(self, value: &F) -> Packed {
        *value.words()
    }

    #[inline(always)]
    fn unpack(self, value: &Packed) -> F {
        F::from_words(*value)
    }

    #[inline(always)]
    fn splat(self, value: &Packed) -> F {
        F::from_words(*value)
    }

    #[inline(always)]
    fn gather<const N: usize>(self, points: &[[Packed; N]], slots: &[u32]) -> [F; N] {
        assert_eq!(slots.len(), Self::WIDTH, "one slot a lane");
        points[slots[0] as usize].map(F::from_words)
    }

    #[inline(always)]
    fn scatter<const N: usize>(self, values: [F; N], points: &mut [[Packed; N]], slots: &[u32]) {
        assert_eq!(slots.len(), Self::WIDTH, "one slot a lane");
        points[slots[0] as usize] = values.map(|value| *value.words());
    }

    #[inline(always)]
    fn load<const N: usize>(self, points: &[[Packed; N]]) -> [F; N] {
        assert_eq!(points.len(), Self::WIDTH, "one point a lane");
        points[0].map(F::from_words)
    }

    #[inline(always)]
    fn store<const N: usize>(self, values: [F; N], points: &mut [[Packed; N]]) {
        assert_eq!(points.len(), Self::WIDTH, "one point a lane");
        points[0] = values.map(|value| *value.words());
    }

    #[inline(always)]
    fn load_linear(self, values: &[F], start: usize, _step: usize) -> F {
        values[start]
    }

    #[inline(always)]
    fn store_linear(self, vector: F, values: &mut [F], start: usize, _step: usize) {
        values[start] = vector;
    }

    #[inline(always)]
    fn park_linear(self, vector: F, values: &mut [F], start: usize, _step: usize) {
        values[start] = vector;
    }

    #[inline(always)]
    fn add(self, a: F, b: F) -> F {
        a + b
    }

    #[inline(always)]
    fn sub(self, a: F, b: F) -> F {
        a - b
    }

    #[inline(always)]
    fn sub_both(self, a: F, b: F, c: F) -> F {
        a - b - c
    }

    #[inline(always)]
    fn neg(self, a: F) -> F {
        -a
    }

    #[inline(always)]
    fn double(self, a: F) -> F {
        a.double()
    }

    #[inline(always)]
    fn mul(self, a: F, b: F) -> F {
        a * b
    }

    #[inline(always)]
    fn square(self, a: F) -> F {
        a.square()
    }

    #[inline(always)]
    fn is_zero(self, a: F) -> u64 {
        u64::from(a.is_zero())
    }

    #[inline(always)]
    fn select(self, mask: u64, a: F, b: F) -> F {
        if mask & 1 == 1 { a } else { b }
    }
}

//! Elements of BN254's fields side by side in vector registers, and read-only memory maps: the one
//! crate that holds `unsafe` code, and nothing else.
//!
//! Generic code (butterflies of a transform, additions of points) is written once against [`Lanes`],
//! as a [`Kernel`], in crates that forbid `unsafe`, and runs on what the processor has: see
//! [`Engine`].
#![deny(unsafe_op_in_unsafe_fn)]
#![expect(
    clippy::inline_always,
    reason = "vector instructions exist only in what is inlined into a function that enables them"
)]

mod engine;
mod field;
#[cfg(target_arch = "x86_64")]
mod ifma;
mod map;
mod portable;
mod prefetch;
#[cfg(test)]
mod tests;

pub use engine::Engine;
pub use field::LaneField;
#[cfg(target_arch = "x86_64")]
pub use ifma::{Ifma, IfmaVector};
pub use map::{Map, words};
pub use portable::Portable;
pub use prefetch::prefetch;

/// A residue modulo a field's prime, four words, little-endian, in the Montgomery form of one
/// implementation of [`Lanes`]: made by its [`Lanes::pack`] or [`Lanes::scatter`], to be read by the
/// same implementation only.
///
/// Equal elements have equal words (the residue is below the prime). Words that are not such a
/// residue give wrong numbers, never undefined behaviour.
pub type Packed = [u64; 4];

/// Arithmetic on [`Lanes::WIDTH`] elements of a prime field at once.
///
/// A value of the implementing type is a token: it exists only where the processor can do the
/// arithmetic. The methods are always inlined, and the vector instructions reach the machine code
/// only when they are inlined into [`Lanes::run`]: write a [`Kernel`], mark its functions
/// `#[inline(always)]`, and start it with `run`. Outside of a kernel the methods are correct and
/// slow. Parallelism belongs outside of kernels.
pub trait Lanes: Copy + Send + Sync + 'static {
    /// The field.
    type Field: LaneField;
    /// `WIDTH` elements of the field.
    type Vector: Copy;
    /// Elements in a vector: a power of two, at most 64.
    const WIDTH: usize;

    /// Runs a kernel, compiled with the instructions that this implementation needs.
    fn run<K: Kernel<Field = Self::Field>>(self, kernel: K) -> K::Output;

    /// An element in this implementation's form.
    fn pack(self, value: &Self::Field) -> Packed;

    /// The inverse of [`Lanes::pack`].
    fn unpack(self, value: &Packed) -> Self::Field;

    /// The same element in all lanes.
    fn splat(self, value: &Packed) -> Self::Vector;

    /// Lane `i` of the `j`-th vector is `points[slots[i]][j]`: the coordinates of `WIDTH` points from
    /// anywhere in a slice, transposed in registers. Costs no more than a load of neighbours.
    ///
    /// # Panics
    /// When there are not exactly `WIDTH` slots, or one of them is outside of `points`.
    fn gather<const N: usize>(self, points: &[[Packed; N]], slots: &[u32]) -> [Self::Vector; N];

    /// The reverse of [`Lanes::gather`]. Where a slot is named twice the highest lane stays.
    ///
    /// # Panics
    /// When there are not exactly `WIDTH` slots, or one of them is outside of `points`.
    fn scatter<const N: usize>(
        self,
        values: [Self::Vector; N],
        points: &mut [[Packed; N]],
        slots: &[u32],
    );

    /// As [`Lanes::gather`] from `WIDTH` neighbours.
    ///
    /// # Panics
    /// When there are not exactly `WIDTH` points.
    fn load<const N: usize>(self, points: &[[Packed; N]]) -> [Self::Vector; N];

    /// As [`Lanes::scatter`] to `WIDTH` neighbours.
    ///
    /// # Panics
    /// When there are not exactly `WIDTH` points.
    fn store<const N: usize>(self, values: [Self::Vector; N], points: &mut [[Packed; N]]);

    /// Lane `i` is `values[start + i * step]` times a constant of this implementation, which
    /// [`Lanes::store_linear`] takes away again: elements in memory pass through a *linear* map with
    /// no change of form. Factors of that map come from [`Lanes::splat`] or [`Lanes::load`].
    ///
    /// # Panics
    /// When a lane is outside of `values`.
    fn load_linear(self, values: &[Self::Field], start: usize, step: usize) -> Self::Vector;

    /// The reverse of [`Lanes::load_linear`].
    ///
    /// # Panics
    /// When a lane is outside of `values`.
    fn store_linear(
        self,
        vector: Self::Vector,
        values: &mut [Self::Field],
        start: usize,
        step: usize,
    );

    /// As [`Lanes::store_linear`], but the words need not be below the prime: they are to be loaded
    /// again by [`Lanes::load_linear`] and stored by [`Lanes::store_linear`] in the end. Cheaper
    /// where a map is computed in several passes.
    ///
    /// # Panics
    /// When a lane is outside of `values`.
    fn park_linear(
        self,
        vector: Self::Vector,
        values: &mut [Self::Field],
        start: usize,
        step: usize,
    );

    /// `a + b`.
    fn add(self, a: Self::Vector, b: Self::Vector) -> Self::Vector;
    /// `a − b`.
    fn sub(self, a: Self::Vector, b: Self::Vector) -> Self::Vector;
    /// `a − b − c`, for less than two subtractions.
    fn sub_both(self, a: Self::Vector, b: Self::Vector, c: Self::Vector) -> Self::Vector;
    /// `a + b + c`, for less than two additions.
    #[inline(always)]
    fn add_both(self, a: Self::Vector, b: Self::Vector, c: Self::Vector) -> Self::Vector {
        self.add(self.add(a, b), c)
    }
    /// `a + b − c`, for less than an addition and a subtraction.
    #[inline(always)]
    fn add_sub(self, a: Self::Vector, b: Self::Vector, c: Self::Vector) -> Self::Vector {
        self.sub(self.add(a, b), c)
    }
    /// `a + b + c + d`, for less than three additions.
    #[inline(always)]
    fn add_all(self, [a, b, c, d]: [Self::Vector; 4]) -> Self::Vector {
        self.add(self.add(a, b), self.add(c, d))
    }
    /// `(a + b) · factor`, for less than an addition and a product.
    #[inline(always)]
    fn mul_sum(self, a: Self::Vector, b: Self::Vector, factor: Self::Vector) -> Self::Vector {
        self.mul(self.add(a, b), factor)
    }
    /// `(a − b) · factor`, for less than a subtraction and a product.
    #[inline(always)]
    fn mul_difference(
        self,
        a: Self::Vector,
        b: Self::Vector,
        factor: Self::Vector,
    ) -> Self::Vector {
        self.mul(self.sub(a, b), factor)
    }
    /// `(a + b − c − d) · factor`, for less than its steps.
    #[inline(always)]
    fn mul_differences(
        self,
        [a, b, c, d]: [Self::Vector; 4],
        factor: Self::Vector,
    ) -> Self::Vector {
        self.mul(self.sub_both(self.add(a, b), c, d), factor)
    }
    /// `−a`.
    fn neg(self, a: Self::Vector) -> Self::Vector;
    /// `2·a`.
    fn double(self, a: Self::Vector) -> Self::Vector;
    /// `a · b`.
    fn mul(self, a: Self::Vector, b: Self::Vector) -> Self::Vector;
    /// `a²`.
    fn square(self, a: Self::Vector) -> Self::Vector;
    /// Bit `i` says whether lane `i` is zero.
    fn is_zero(self, a: Self::Vector) -> u64;
    /// Lane `i` of `a` where bit `i` of the mask is set, of `b` elsewhere.
    fn select(self, mask: u64, a: Self::Vector, b: Self::Vector) -> Self::Vector;
}

/// Code that is generic over the implementation of [`Lanes`].
///
/// Mark `run` and the functions it calls in its inner loops `#[inline(always)]`, so that they are
/// compiled with the implementation's instructions.
pub trait Kernel {
    /// The field.
    type Field: LaneField;
    /// What the kernel returns.
    type Output;
    /// The code.
    fn run<L: Lanes<Field = Self::Field>>(self, lanes: L) -> Self::Output;
}

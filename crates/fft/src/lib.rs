//! Transforms over the scalar field, in place, for domains of 2^k, 3·2^k and 9·2^k points.
//!
//! A prover of quadratic arithmetic programs knows a polynomial by its values at the *even* points
//! `ω^(2i)` and needs it at the *odd* points `ω^(2i+1)`, with `ω` a primitive `2n`-th root of unity:
//! [`Transform::even_to_odd`] is that step, an inverse and a forward transform in one sweep.
#![forbid(unsafe_code)]
#![expect(
    clippy::inline_always,
    reason = "kernels get their vector instructions by being inlined"
)]

mod butterfly;
mod domain;
mod leaf;
mod tables;
mod transform;

pub use domain::{Domain, DomainKind};
pub use transform::Transform;

//! Multi-scalar multiplication with bases that are known in advance.
#![forbid(unsafe_code)]
#![expect(
    clippy::inline_always,
    reason = "kernels are compiled with vector instructions only where they are inlined"
)]
#![expect(
    clippy::cast_possible_truncation,
    reason = "indices of points are below 2^31, those of buckets below 2^17, digits below 2^16"
)]
mod accumulator;
mod addition;
mod bases;
mod coordinate;
mod curve;
mod doubling;
mod error;
mod file;
mod identities;
mod points;
mod recode;
mod reduction;
mod shape;
mod slots;
mod sum;

pub use bases::FixedBases;
pub use curve::Curve;
pub use error::MsmError;
pub use shape::{Load, Shape, TableBudget};
pub use sum::msm_sum;

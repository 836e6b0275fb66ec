//! Multi-scalar multiplication `Σ sᵢ·Pᵢ` over BN254's G1 and G2, for bases that are known in advance
//! (the queries of a proving key) and scalars that are mostly small (a witness).
//!
//! * Scalars become signed digits of `c` bits ([`Shape::window`]); a scalar above `r/2` counts as
//!   minus its negative, so that small numbers of either sign have one digit.
//! * For every base some multiples `2^(c·stride·a)·P` are kept ([`FixedBases`]). With all of them
//!   (stride 1) every digit goes into one set of buckets; with none it is Pippenger's method; a
//!   [`TableBudget`] chooses what lies between.
//! * Buckets are affine points, and additions wait for each other until a thousand share one inversion.
//!   They run on the vector arithmetic of `proofmark-lanes`.
//!
//! What is computed on the way (digits, buckets) is wiped, but for the factors of a shared inversion,
//! which are freed as they are. Nothing here runs in constant time: how many scalars are not
//! zero, and how long they are, can be seen in the time it takes.
//!
//! ```
//! use ark_bn254::{Fr, g1};
//! use ark_ec::short_weierstrass::Affine;
//! use ark_ec::{AffineRepr, CurveGroup};
//! use ark_ff::PrimeField;
//! use proofmark_msm::{FixedBases, TableBudget};
//!
//! let base = Affine::<g1::Config>::generator();
//! let bases = FixedBases::new(&[base, base], 2, TableBudget(1 << 20))?;
//! let scalars = [Fr::from(5), Fr::from(-2)].map(|s| s.into_bigint());
//! assert_eq!(bases.msm(&scalars)?.into_affine(), base * Fr::from(3));
//! # Ok::<(), proofmark_msm::MsmError>(())
//! ```
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
pub use coordinate::{Coordinate, invert};
pub use curve::Curve;
pub use doubling::double;
pub use error::MsmError;
pub use shape::{Load, Shape, TableBudget};
pub use sum::msm_sum;

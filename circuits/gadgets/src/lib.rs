//! Gadgets: the constraints every proof rests on.
//!
//! Reading order for an auditor: [`lc`] (linear combinations), [`r1cs`] (what is proven),
//! [`lowering`] (the only door to wires and constraints; [`lowering::Lowering::hint`] is the only
//! way to put an unconstrained value in), [`num`] (integers with proven intervals), then one file
//! a gadget.
#![forbid(unsafe_code)]

pub mod arg_max;
pub mod bivariate;
pub mod circuit;
pub mod compare;
#[cfg(test)]
mod costs;
pub mod divide;
pub mod equal;
pub mod error;
mod integers;
pub mod lc;
pub mod limbs;
pub mod logup;
pub mod lookup;
pub mod lowering;
mod matrix;
pub mod max;
pub mod multiply;
pub mod num;
pub mod operands;
pub mod poseidon;
pub mod r1cs;
pub mod requantize;
mod steps;
#[cfg(any(test, feature = "testing"))]
pub mod testing;
pub mod univariate;

pub use ark_bn254::Fr;
pub use circuit::{Backend, Circuit, Estimate};
pub use error::LowerError;
pub use lc::{Lc, Wire};
pub use lowering::{Challenger, Lowering, NoChallenge};
pub use num::{Num, Signal};
pub use r1cs::R1cs;

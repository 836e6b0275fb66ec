//! Phase 1: powers of a secret τ in both groups, with α and β, for any circuit up to a size; in
//! snarkjs's `.ptau` files, whose format [`file`] describes.
//!
//! * [`Ptau`] opens a file and reads points, each checked for its group.
//! * [`verify`] checks the whole file: that its points are powers of one τ, with one α and one β;
//!   that every contribution changed all three by factors its contributor knew, and none back; that
//!   one contribution at least is no beacon; that the Lagrange
//!   points, where there are some, are those of the powers.
//! * [`create`] starts with a first contribution of a fresh secret, [`contribute`] adds another.
//! * [`prepare`] adds the Lagrange points of all domains, which making keys takes.
//!
//! **What a file alone does not show**: the points of earlier contributions are not in it, so that
//! their challenges (which each proof of knowledge is bound to) are taken from the file, except the
//! last one. Contributors compare the response hashes that they published with those that
//! [`verify`] reports.

mod contribute;
mod contribution;
mod create;
pub mod file;
mod hashing;
mod prepare;
mod secrets;
mod tables;
mod verify;
mod writer;

use ark_bn254::{G1Affine, G2Affine};

pub use contribute::contribute;
pub use contribution::{Contribution, Origin};
pub use create::create;
pub use file::Ptau;
pub use prepare::prepare;
pub use verify::{Summary, Verified, verify, verify_open};

/// Binary logarithm of the largest domain that a file can be for: its doubled domain is the largest
/// that the scalar field has.
pub const MAX_POWER: u32 = 27;

/// Powers of τ, as many as a circuit with a domain of `2^power` points needs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Phase1 {
    /// Binary logarithm of the largest domain.
    pub power: u32,
    /// `τ^i·G1` for `i` from 0 to `2^(power+1) − 2`.
    pub tau_g1: Vec<G1Affine>,
    /// `τ^i·G2` for `i` below `2^power`.
    pub tau_g2: Vec<G2Affine>,
    /// `α·τ^i·G1` for `i` below `2^power`.
    pub alpha_tau_g1: Vec<G1Affine>,
    /// `β·τ^i·G1` for `i` below `2^power`.
    pub beta_tau_g1: Vec<G1Affine>,
    /// `β·G2`.
    pub beta_g2: G2Affine,
}

/// The powers in the Lagrange basis of one domain: with `L_i` the polynomial below degree `2^power`
/// that is 1 at `ω^i` and 0 at the domain's other points, `ω` a primitive `2^power`-th root of unity
/// (`ark_poly`'s group generator, which is snarkjs's).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Lagrange {
    /// Binary logarithm of the domain's size.
    pub power: u32,
    /// `L_i(τ)·G1`.
    pub g1: Vec<G1Affine>,
    /// `L_i(τ)·G2`.
    pub g2: Vec<G2Affine>,
    /// `α·L_i(τ)·G1`.
    pub alpha_g1: Vec<G1Affine>,
    /// `β·L_i(τ)·G1`.
    pub beta_g1: Vec<G1Affine>,
    /// The points with odd index `2i + 1` of the domain twice as large, which the h query is made
    /// of; of the largest domain of a file with the power `τ^(2^(power+1) − 1)`, which no file
    /// holds, left out.
    pub odd_g1: Vec<G1Affine>,
    /// `α·G1`.
    pub alpha: G1Affine,
    /// `β·G1`.
    pub beta: G1Affine,
    /// `β·G2`.
    pub beta_g2: G2Affine,
}

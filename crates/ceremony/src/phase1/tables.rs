//! The sections of a `.ptau` file that are lists of points.

use std::marker::PhantomData;

use ark_bn254::{g1, g2};

/// Header: bytes of a coordinate, the base field's order, power, and the ceremony's power.
pub(super) const HEADER: u32 = 1;
/// The contributions.
pub(super) const CONTRIBUTIONS: u32 = 7;

/// How many points a table has, for a file of a power `p`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Count {
    /// One.
    One,
    /// `2^p`.
    Domain,
    /// `2^(p+1) − 1`: the powers that products of two polynomials need.
    Products,
    /// `2^(p+1) − 1`: all domains up to `2^p`, one behind the other.
    Domains,
    /// `2^(p+2) − 1`: all domains up to `2^(p+1)`.
    DoubledDomains,
}

/// A list of points of one group.
pub(super) struct Table<C> {
    /// Number of the section.
    pub(super) id: u32,
    /// What it holds, for messages.
    pub(super) name: &'static str,
    count: Count,
    curve: PhantomData<C>,
}

impl<C> Clone for Table<C> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<C> Copy for Table<C> {}

impl<C> Table<C> {
    const fn new(id: u32, name: &'static str, count: Count) -> Self {
        Self {
            id,
            name,
            count,
            curve: PhantomData,
        }
    }

    /// Number of points in a file of a power.
    pub(super) fn points(self, power: u32) -> u64 {
        match self.count {
            Count::One => 1,
            Count::Domain => 1 << power,
            Count::Products | Count::Domains => (1 << (power + 1)) - 1,
            Count::DoubledDomains => (1 << (power + 2)) - 1,
        }
    }

    /// Binary logarithm of the largest domain that a table of powers has points for (one fewer than
    /// the domain, if it is the products') in a file of a power.
    pub(super) fn largest_domain(self, power: u32) -> u32 {
        match self.count {
            Count::Products | Count::DoubledDomains => power + 1,
            Count::One | Count::Domain | Count::Domains => power,
        }
    }
}

/// `τ^i·G1`.
pub(super) const TAU_G1: Table<g1::Config> =
    Table::new(2, "the powers of tau in G1", Count::Products);
/// `τ^i·G2`.
pub(super) const TAU_G2: Table<g2::Config> =
    Table::new(3, "the powers of tau in G2", Count::Domain);
/// `α·τ^i·G1`.
pub(super) const ALPHA_TAU_G1: Table<g1::Config> =
    Table::new(4, "alpha times the powers of tau", Count::Domain);
/// `β·τ^i·G1`.
pub(super) const BETA_TAU_G1: Table<g1::Config> =
    Table::new(5, "beta times the powers of tau", Count::Domain);
/// `β·G2`.
pub(super) const BETA_G2: Table<g2::Config> = Table::new(6, "beta in G2", Count::One);
/// `L_i(τ)·G1`.
pub(super) const LAGRANGE_G1: Table<g1::Config> =
    Table::new(12, "the Lagrange points in G1", Count::DoubledDomains);
/// `L_i(τ)·G2`.
pub(super) const LAGRANGE_G2: Table<g2::Config> =
    Table::new(13, "the Lagrange points in G2", Count::Domains);
/// `α·L_i(τ)·G1`.
pub(super) const ALPHA_LAGRANGE_G1: Table<g1::Config> =
    Table::new(14, "alpha times the Lagrange points", Count::Domains);
/// `β·L_i(τ)·G1`.
pub(super) const BETA_LAGRANGE_G1: Table<g1::Config> =
    Table::new(15, "beta times the Lagrange points", Count::Domains);

/// Sections of a file that is not prepared.
pub(super) const PLAIN_SECTIONS: u32 = 7;
/// Sections of a prepared file.
pub(super) const PREPARED_SECTIONS: u32 = 11;

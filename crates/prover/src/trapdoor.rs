//! The trapdoor of a single-party key: the toxic waste.

use ark_bn254::Fr;
use ark_ff::{Field, PrimeField, Zero};
use proofmark_types::digest::DigestStream;
use zeroize::{Zeroize, ZeroizeOnDrop};

use crate::error::ProverError;
use crate::random;

/// Wiped on drop.
#[derive(Zeroize, ZeroizeOnDrop)]
pub(crate) struct Trapdoor {
    pub(crate) tau: Fr,
    pub(crate) alpha: Fr,
    pub(crate) beta: Fr,
    pub(crate) delta: Fr,
    /// δc, of the commitment; plain keys do not use it.
    pub(crate) delta_committed: Fr,
}

impl Trapdoor {
    pub(crate) fn from_system() -> Result<Self, ProverError> {
        Ok(Self {
            tau: *random::scalar()?,
            alpha: *random::scalar()?,
            beta: *random::scalar()?,
            delta: *random::scalar()?,
            delta_committed: *random::scalar()?,
        })
    }

    /// Derived from a seed that is no secret.
    pub(crate) fn unsafe_from_seed(seed: &[u8; 32]) -> Self {
        let scalar = |name: &str| {
            let half = |half: u8| {
                let mut stream = DigestStream::new();
                stream.update(b"proofmark/unsafe-dev-setup/v1\0");
                stream.update(seed);
                stream.update(name.as_bytes());
                stream.update(&[half]);
                *stream.finish().as_bytes()
            };
            Fr::from_le_bytes_mod_order(&[half(0), half(1)].concat())
        };
        Self {
            tau: scalar("tau"),
            alpha: scalar("alpha"),
            beta: scalar("beta"),
            delta: scalar("delta"),
            delta_committed: scalar("delta-committed"),
        }
    }

    /// Refuses values with which the key would be forgeable or the arithmetic undefined; those of
    /// τ that depend on the circuit are found where they matter.
    pub(crate) fn check(&self) -> Result<(), ProverError> {
        let refuse = |reason| Err(ProverError::TrapdoorDegenerate { reason });
        if self.tau.is_zero() || self.alpha.is_zero() || self.beta.is_zero() {
            return refuse("tau, alpha or beta is 0");
        }
        if self.delta.is_zero() || self.delta_committed.is_zero() {
            return refuse("a delta is 0");
        }
        // In G2 gamma is 1. Of two that are equal or opposite everybody would know the ratio.
        let same = |one: Fr, other: Fr| one == other || one == -other;
        if same(self.delta, Fr::ONE) || same(self.delta_committed, Fr::ONE) {
            return refuse("a delta equals gamma or its opposite");
        }
        if same(self.delta, self.delta_committed) {
            return refuse("the two deltas are equal or opposite");
        }
        if [Fr::ONE, self.delta, self.delta_committed]
            .into_iter()
            .any(|other| same(self.beta, other))
        {
            return refuse("beta equals gamma or a delta, or the opposite of one");
        }
        Ok(())
    }
}

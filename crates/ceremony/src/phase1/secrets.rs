//! A contributor's secrets and the proofs that they know them.
//!
//! The proof for a secret `x` is a random `s·G1`, `x·s·G1`, and `x·H` with `H` a point of G2 hashed
//! from which of the secrets it is, the challenge, and the first two: nobody knows `H`'s logarithm, so
//! that only who knows `x` can make it (Bowe, Gabizon, Miers: 2017/1050, section 3).

use ark_bn254::{Bn254, Fr, G1Affine, G2Affine};
use ark_ec::pairing::Pairing;
use ark_ec::{AffineRepr, CurveGroup, PrimeGroup};
use ark_ff::Zero;
use proofmark_prover::random;
use zeroize::Zeroizing;

use super::hashing::uncompressed;
use crate::blake2b::Blake2b;
use crate::error::CeremonyError;
use crate::snarkjs::{Generator, hash_to_g2};

/// The factors that a contribution multiplies τ, α and β by. Wiped on drop.
pub(super) struct Secrets {
    pub(super) tau: Zeroizing<Fr>,
    pub(super) alpha: Zeroizing<Fr>,
    pub(super) beta: Zeroizing<Fr>,
}

impl Secrets {
    /// From the operating system; none is zero.
    pub(super) fn from_system() -> Result<Self, CeremonyError> {
        let scalar = || -> Result<Zeroizing<Fr>, CeremonyError> {
            loop {
                let scalar = random::scalar()?;
                if !scalar.is_zero() {
                    return Ok(scalar);
                }
            }
        };
        Ok(Self {
            tau: scalar()?,
            alpha: scalar()?,
            beta: scalar()?,
        })
    }
}

/// Which secret a proof is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Which {
    Tau,
    Alpha,
    Beta,
}

/// That somebody knew a secret.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Knowledge {
    /// `s·G1`.
    pub(super) s: G1Affine,
    /// `x·s·G1`.
    pub(super) sx: G1Affine,
    /// `x·H`.
    pub(super) spx: G2Affine,
}

impl Knowledge {
    /// Proves knowledge of `secret` with a random `s·G1`.
    fn prove(secret: &Fr, s: G1Affine, which: Which, challenge: &[u8; 64]) -> Self {
        let sx = (s * secret).into_affine();
        let spx = (base(which, challenge, &s, &sx) * secret).into_affine();
        Self { s, sx, spx }
    }

    /// The point `H` that this proof has to be about.
    pub(super) fn base(&self, which: Which, challenge: &[u8; 64]) -> G2Affine {
        base(which, challenge, &self.s, &self.sx)
    }
}

fn base(which: Which, challenge: &[u8; 64], s: &G1Affine, sx: &G1Affine) -> G2Affine {
    let mut hasher = Blake2b::default();
    let number = match which {
        Which::Tau => 0,
        Which::Alpha => 1,
        Which::Beta => 2,
    };
    hasher.update(&[number]);
    hasher.update(challenge);
    hasher.update(&uncompressed(&[*s, *sx]));
    hash_to_g2(&hasher.finish())
}

/// The proofs for all three secrets.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Key {
    pub(super) tau: Knowledge,
    pub(super) alpha: Knowledge,
    pub(super) beta: Knowledge,
}

impl Key {
    /// Proofs of a contributor's secrets.
    pub(super) fn prove(secrets: &Secrets, challenge: &[u8; 64]) -> Result<Self, CeremonyError> {
        let prove = |secret: &Fr, which| -> Result<_, CeremonyError> {
            let s = ark_bn254::G1Projective::generator() * *random::scalar()?;
            Ok(Knowledge::prove(secret, s.into_affine(), which, challenge))
        };
        Ok(Self {
            tau: prove(&secrets.tau, Which::Tau)?,
            alpha: prove(&secrets.alpha, Which::Alpha)?,
            beta: prove(&secrets.beta, Which::Beta)?,
        })
    }

    /// The key whose secrets come from public randomness, as snarkjs derives it.
    pub(super) fn of_beacon(seed: &[u8; 32], challenge: &[u8; 64]) -> Self {
        let mut generator = Generator::new(seed);
        let [tau, alpha, beta] = std::array::from_fn(|_| generator.scalar());
        Self {
            tau: Knowledge::prove(&tau, generator.g1(), Which::Tau, challenge),
            alpha: Knowledge::prove(&alpha, generator.g1(), Which::Alpha, challenge),
            beta: Knowledge::prove(&beta, generator.g1(), Which::Beta, challenge),
        }
    }

    /// The points as they end a response and stand in files: those of G1, then those of G2.
    pub(super) fn points(&self) -> ([G1Affine; 6], [G2Affine; 3]) {
        let Self { tau, alpha, beta } = self;
        (
            [tau.s, tau.sx, alpha.s, alpha.sx, beta.s, beta.sx],
            [tau.spx, alpha.spx, beta.spx],
        )
    }

    /// The reverse of [`Key::points`].
    pub(super) fn from_points(g1: &[G1Affine; 6], g2: &[G2Affine; 3]) -> Self {
        let [tau_s, tau_sx, alpha_s, alpha_sx, beta_s, beta_sx] = *g1;
        let [tau_spx, alpha_spx, beta_spx] = *g2;
        let knowledge = |s, sx, spx| Knowledge { s, sx, spx };
        Self {
            tau: knowledge(tau_s, tau_sx, tau_spx),
            alpha: knowledge(alpha_s, alpha_sx, alpha_spx),
            beta: knowledge(beta_s, beta_sx, beta_spx),
        }
    }

    /// What ends a response.
    pub(super) fn uncompressed(&self) -> Vec<u8> {
        let (g1, g2) = self.points();
        [uncompressed(&g1), uncompressed(&g2)].concat()
    }
}

/// Whether `b = x·a` and `d = x·c` for the same `x`, none of them the identity.
pub(super) fn same_ratio(a: &G1Affine, b: &G1Affine, c: &G2Affine, d: &G2Affine) -> bool {
    if a.is_zero() || b.is_zero() || c.is_zero() || d.is_zero() {
        return false;
    }
    Bn254::multi_pairing([*a, -*b], [*d, *c]).is_zero()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ratios_are_compared() {
        let (g1, g2) = (G1Affine::generator(), G2Affine::generator());
        let times = |x: u64| {
            let x = Fr::from(x);
            ((g1 * x).into_affine(), (g2 * x).into_affine())
        };
        let (a, c) = times(5);
        let (b, d) = times(35);
        assert!(same_ratio(&a, &b, &c, &d));
        assert!(same_ratio(&g1, &a, &g2, &c));
        assert!(!same_ratio(&a, &b, &d, &c));
        assert!(!same_ratio(&a, &b, &c, &times(36).1));
        let zero = G1Affine::zero();
        assert!(!same_ratio(&zero, &zero, &c, &d));
        assert!(!same_ratio(&a, &zero, &c, &G2Affine::zero()));
    }

    #[test]
    fn a_proof_belongs_to_its_challenge_and_secret() {
        let secrets = Secrets::from_system().unwrap();
        let challenge = [7; 64];
        let key = Key::prove(&secrets, &challenge).unwrap();
        let holds = |knowledge: &Knowledge, which, challenge: &[u8; 64]| {
            let base = knowledge.base(which, challenge);
            same_ratio(&knowledge.s, &knowledge.sx, &base, &knowledge.spx)
        };
        assert!(holds(&key.tau, Which::Tau, &challenge));
        assert!(holds(&key.alpha, Which::Alpha, &challenge));
        assert!(holds(&key.beta, Which::Beta, &challenge));
        assert!(!holds(&key.tau, Which::Alpha, &challenge));
        assert!(!holds(&key.tau, Which::Tau, &[8; 64]));
        let (g1, g2) = key.points();
        assert_eq!(Key::from_points(&g1, &g2), key);
    }
}

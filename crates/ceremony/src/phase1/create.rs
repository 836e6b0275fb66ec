//! The first contribution of a new ceremony, from the numbers themselves.
//!
//! Who starts from generators knows τ, α and β: all points, the Lagrange points too, are multiples of
//! the generators by numbers that are computed in the field. That is many times faster than
//! multiplying points and transforming them, and gives the same file. **Whoever runs this could keep
//! the numbers**; a file with further contributions is safe when one contributor was honest.

use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};

use ark_bn254::{Fr, G1Affine, G2Affine, g1, g2};
use ark_ec::AffineRepr;
use ark_ec::short_weierstrass::Affine;
use ark_ff::{FftField, Field};
use proofmark_prover::Progress;
use proofmark_prover::fixed_base::FixedBase;
use proofmark_prover::qap::row_weights;
use zeroize::Zeroizing;

use super::MAX_POWER;
use super::contribute::Response;
use super::contribution::{Contribution, State, check_name};
use super::hashing::first_challenge;
use super::secrets::{Key, Secrets};
use super::tables::{
    ALPHA_LAGRANGE_G1, ALPHA_TAU_G1, BETA_G2, BETA_LAGRANGE_G1, BETA_TAU_G1, LAGRANGE_G1,
    LAGRANGE_G2, PLAIN_SECTIONS, PREPARED_SECTIONS, TAU_G1, TAU_G2, Table,
};
use super::writer::Writer;
use crate::error::CeremonyError;
use crate::group::Group;
use crate::snarkjs::Point;

/// Points multiplied at a time.
const CHUNK: u64 = 1 << 16;

/// Starts a ceremony of a power with a first contribution, whose secrets come from the operating
/// system and are wiped; with the Lagrange points if it is to be prepared.
///
/// # Errors
/// [`CeremonyError::Io`], [`CeremonyError::Name`], [`CeremonyError::Prover`] without randomness;
/// [`CeremonyError::PtauUnsuitable`] for a power that is not from 1 to [`MAX_POWER`].
pub fn create(
    to: &Path,
    power: u32,
    name: &str,
    prepared: bool,
    progress: &dyn Progress,
) -> Result<Contribution, CeremonyError> {
    let secrets = Secrets::from_system()?;
    create_from(to, power, name, prepared, &secrets, progress)
}

/// [`create`] from given secrets.
fn create_from(
    to: &Path,
    power: u32,
    name: &str,
    prepared: bool,
    secrets: &Secrets,
    progress: &dyn Progress,
) -> Result<Contribution, CeremonyError> {
    check_name(name)?;
    if !(1..=MAX_POWER).contains(&power) {
        return Err(CeremonyError::PtauUnsuitable {
            reason: format!("powers are from 1 to {MAX_POWER}; choose another one"),
        });
    }
    let challenge = first_challenge(power);
    let key = Key::prove(secrets, &challenge)?;
    let sections = if prepared {
        PREPARED_SECTIONS
    } else {
        PLAIN_SECTIONS
    };
    let writer = Writer::new(to, sections, power, power)?;
    let maker = Maker::new(power, prepared, secrets, progress);
    let mut response = Response::new(writer, &challenge);
    let Secrets { tau, alpha, beta } = secrets;
    let one = Zeroizing::new(Fr::ONE);
    maker.powers(TAU_G1, &maker.g1, &one, &mut response)?;
    maker.powers(TAU_G2, &maker.g2, &one, &mut response)?;
    maker.powers(ALPHA_TAU_G1, &maker.g1, alpha, &mut response)?;
    maker.powers(BETA_TAU_G1, &maker.g1, beta, &mut response)?;
    maker.powers(BETA_G2, &maker.g2, beta, &mut response)?;
    let first_of = |factor: &Fr| {
        let g1 = maker.g1.multiply(&[*factor], &|_| ());
        g1.first().copied().unwrap_or_else(G1Affine::zero)
    };
    let first_of_g2 = |factor: &Fr| {
        let g2 = maker.g2.multiply(&[*factor], &|_| ());
        g2.first().copied().unwrap_or_else(G2Affine::zero)
    };
    let points = State {
        tau_g1: first_of(tau),
        tau_g2: first_of_g2(tau),
        alpha_g1: first_of(alpha),
        beta_g1: first_of(beta),
        beta_g2: first_of_g2(beta),
    };
    let mut bytes = 0_u32.to_le_bytes().to_vec();
    let (mut writer, contribution) = response.finish(&points, &key, name, &mut bytes, progress)?;
    writer.contributions(&bytes)?;
    if prepared {
        maker.lagrange(LAGRANGE_G1, &maker.g1, &one, &mut writer)?;
        maker.lagrange(LAGRANGE_G2, &maker.g2, &one, &mut writer)?;
        maker.lagrange(ALPHA_LAGRANGE_G1, &maker.g1, alpha, &mut writer)?;
        maker.lagrange(BETA_LAGRANGE_G1, &maker.g1, beta, &mut writer)?;
    }
    writer.finish()?;
    Ok(contribution)
}

/// What makes multiples of the generators.
struct Maker<'a> {
    power: u32,
    tau: &'a Fr,
    g1: FixedBase<g1::Config>,
    g2: FixedBase<g2::Config>,
    progress: &'a dyn Progress,
    done: AtomicU64,
    total: u64,
}

impl<'a> Maker<'a> {
    fn new(power: u32, prepared: bool, secrets: &'a Secrets, progress: &'a dyn Progress) -> Self {
        let mut g1 = TAU_G1.points(power) + 2 * ALPHA_TAU_G1.points(power);
        let mut g2 = TAU_G2.points(power);
        if prepared {
            g1 += LAGRANGE_G1.points(power) + 2 * ALPHA_LAGRANGE_G1.points(power);
            g2 += LAGRANGE_G2.points(power);
        }
        let count = |count: u64| usize::try_from(count).unwrap_or(usize::MAX);
        Self {
            power,
            tau: &secrets.tau,
            g1: FixedBase::new(G1Affine::generator(), count(g1)),
            g2: FixedBase::new(G2Affine::generator(), count(g2)),
            progress,
            done: AtomicU64::new(0),
            total: g1 + g2,
        }
    }

    fn multiply<C: Group>(&self, base: &FixedBase<C>, scalars: &[Fr]) -> Vec<Affine<C>> {
        base.multiply(scalars, &|more| {
            let before = self.done.fetch_add(more as u64, Ordering::Relaxed);
            let done = (before + more as u64).min(self.total);
            self.progress
                .stage("multiples of the generators", done, self.total);
        })
    }

    /// `factor · τ^i` times the generator.
    fn powers<C: Group>(
        &self,
        table: Table<C>,
        base: &FixedBase<C>,
        factor: &Fr,
        response: &mut Response,
    ) -> Result<(), CeremonyError>
    where
        Affine<C>: Point,
    {
        response.writer.table(table)?;
        let mut power = Zeroizing::new(*factor);
        let mut rest = table.points(self.power);
        while rest > 0 {
            let next = CHUNK.min(rest);
            let mut scalars = Zeroizing::new(Vec::with_capacity(1 << 16));
            for _ in 0..next {
                scalars.push(*power);
                *power *= self.tau;
            }
            response.points(&self.multiply(base, &scalars))?;
            rest -= next;
        }
        Ok(())
    }

    /// `factor · L_i(τ)` times the generator, for all domains.
    fn lagrange<C: Group>(
        &self,
        table: Table<C>,
        base: &FixedBase<C>,
        factor: &Fr,
        writer: &mut Writer,
    ) -> Result<(), CeremonyError>
    where
        Affine<C>: Point,
    {
        writer.table(table)?;
        for power in 0..=table.largest_domain(self.power) {
            let mut values = self.values(power)?;
            for value in values.iter_mut() {
                *value *= factor;
            }
            for values in values.chunks(1 << 16) {
                writer.points(&self.multiply(base, values))?;
            }
        }
        Ok(())
    }

    /// `L_i(τ)`; of the doubled domain without the power that no file has.
    fn values(&self, power: u32) -> Result<Zeroizing<Vec<Fr>>, CeremonyError> {
        let degenerate = || CeremonyError::PtauInconsistent {
            part: "the powers of tau",
            reason: "tau is a root of unity, which happens by chance once in 2^225 times",
        };
        let size = 1_u64 << power;
        let mut values = row_weights(*self.tau, 1 << power).ok_or_else(degenerate)?;
        if power > self.power {
            let root = Fr::get_root_of_unity(size).ok_or_else(degenerate)?;
            let over_size = Fr::from(size).inverse().ok_or_else(degenerate)?;
            // τ^(n−1)·ω^(−i·(n−1))/n, and ω^(−i·(n−1)) = ω^i
            let mut missing = Zeroizing::new(self.tau.pow([size - 1]) * over_size);
            for value in values.iter_mut() {
                *value -= *missing;
                *missing *= root;
            }
        }
        Ok(values)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::phase1::verify;
    use proofmark_prover::NoProgress;

    /// Points that are powers of one τ, honestly proven, and worth nothing.
    #[test]
    fn powers_of_a_root_of_unity_are_refused() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("file.ptau");
        let power = 4;
        let root = |order: u64| Fr::get_root_of_unity(order).unwrap();
        let made = |tau: Fr| {
            let secrets = Secrets {
                tau: Zeroizing::new(tau),
                alpha: Zeroizing::new(Fr::from(5_u64)),
                beta: Zeroizing::new(Fr::from(7_u64)),
            };
            create_from(&path, power, "cheat", false, &secrets, &NoProgress).unwrap();
            verify(&path, &NoProgress)
        };
        // Of the largest domain, of a smaller one, of the doubled one.
        for tau in [root(16), root(16).pow([3]), root(4), root(32)] {
            assert_eq!(made(tau).unwrap_err().code(), "ptau-inconsistent");
        }
        // 1 and −1 are no contribution either.
        for tau in [root(1), root(2)] {
            assert_eq!(made(tau).unwrap_err().code(), "ptau-contribution-invalid");
        }
        assert!(made(root(64)).is_ok(), "no domain of this file has it");
    }
}

//! Preparation for phase 2: the Lagrange points of all domains.

use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};

use ark_ec::AffineRepr;
use ark_ec::short_weierstrass::Affine;
use proofmark_prover::Progress;

use super::file::Ptau;
use super::tables::{
    ALPHA_LAGRANGE_G1, ALPHA_TAU_G1, BETA_G2, BETA_LAGRANGE_G1, BETA_TAU_G1, CONTRIBUTIONS,
    LAGRANGE_G1, LAGRANGE_G2, PREPARED_SECTIONS, TAU_G1, TAU_G2, Table,
};
use super::writer::Writer;
use crate::error::CeremonyError;
use crate::group::{self, Group, Transforms};
use crate::snarkjs::Point;

/// Writes the file `to` with everything that `from` has, and the Lagrange points of every domain up
/// to its power. What they are computed from is checked to be points of their groups, no more: see
/// [`verify`](super::verify()).
///
/// # Errors
/// [`CeremonyError::Io`]; [`CeremonyError::PtauMalformed`] for a point in no group;
/// [`CeremonyError::PtauInconsistent`] when τ is a root of unity.
pub fn prepare(from: &Ptau, to: &Path, progress: &dyn Progress) -> Result<(), CeremonyError> {
    let mut writer = Writer::new(to, PREPARED_SECTIONS, from.power, from.ceremony_power)?;
    for (id, name) in [
        (TAU_G1.id, TAU_G1.name),
        (TAU_G2.id, TAU_G2.name),
        (ALPHA_TAU_G1.id, ALPHA_TAU_G1.name),
        (BETA_TAU_G1.id, BETA_TAU_G1.name),
        (BETA_G2.id, BETA_G2.name),
        (CONTRIBUTIONS, "the contributions"),
    ] {
        writer.copy(from, id, name)?;
    }
    table(from, TAU_G1, LAGRANGE_G1, &mut writer, progress)?;
    table(from, TAU_G2, LAGRANGE_G2, &mut writer, progress)?;
    table(from, ALPHA_TAU_G1, ALPHA_LAGRANGE_G1, &mut writer, progress)?;
    table(from, BETA_TAU_G1, BETA_LAGRANGE_G1, &mut writer, progress)?;
    writer.finish()
}

fn table<C: Group>(
    from: &Ptau,
    powers: Table<C>,
    lagrange: Table<C>,
    writer: &mut Writer,
    progress: &dyn Progress,
) -> Result<(), CeremonyError>
where
    Affine<C>: Point,
{
    writer.table(lagrange)?;
    let largest = powers.largest_domain(from.power);
    let total: u64 = (0..=largest).map(Transforms::butterflies).sum();
    let done = AtomicU64::new(0);
    let count = |more| {
        let before = done.fetch_add(more, Ordering::Relaxed);
        progress.stage(lagrange.name, before + more, total);
    };
    // Read once: the smaller domains have the first powers of the larger ones.
    let all = from.domain_powers(powers, largest)?;
    for power in 0..=largest {
        // The identity at the end stands for the power that is missing, of the largest domain alone.
        let points = group::lagrange(&all[..1 << power], &count);
        if points.iter().any(AffineRepr::is_zero) {
            return Err(CeremonyError::PtauInconsistent {
                part: powers.name,
                reason: "tau is a root of unity; a file without a contribution cannot be prepared",
            });
        }
        writer.points(&points)?;
    }
    Ok(())
}

/// Counts the butterflies of one transform as a stage.
pub(super) fn counter<'a>(
    name: &'static str,
    power: u32,
    progress: &'a dyn Progress,
) -> impl Fn(u64) + Sync + 'a {
    let done = AtomicU64::new(0);
    move |more| {
        let before = done.fetch_add(more, Ordering::Relaxed);
        progress.stage(name, before + more, Transforms::butterflies(power));
    }
}

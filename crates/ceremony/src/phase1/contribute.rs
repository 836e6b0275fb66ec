//! A contribution: τ, α and β each times a secret factor that is forgotten.

use std::path::Path;

use ark_bn254::Fr;
use ark_ec::short_weierstrass::Affine;
use ark_ff::Field;
use proofmark_prover::Progress;
use zeroize::Zeroizing;

use super::contribution::{Contribution, Origin, State, check_name, response_hash};
use super::file::{Ptau, malformed};
use super::hashing::{compressed, first_challenge, next_challenge};
use super::secrets::{Key, Secrets};
use super::tables::{ALPHA_TAU_G1, BETA_G2, BETA_TAU_G1, PLAIN_SECTIONS, TAU_G1, TAU_G2, Table};
use super::writer::Writer;
use crate::blake2b::Blake2b;
use crate::error::CeremonyError;
use crate::group::{Group, multiply_each};
use crate::snarkjs::Point;

/// Points multiplied at a time.
const CHUNK: u64 = 1 << 16;

/// Writes the file `to` with a contribution to `from`, whose Lagrange points, if it has some, are not
/// taken over. The secrets come from the operating system and are wiped. Every point of `from` is
/// checked for its group (a point of another group would give parts of a secret away); whether it is
/// a file worth contributing to is for [`verify`](super::verify()) to check.
///
/// # Errors
/// [`CeremonyError::Io`], [`CeremonyError::Name`], [`CeremonyError::Prover`] without randomness;
/// [`CeremonyError::PtauMalformed`] for a point in no group; [`CeremonyError::PtauUnsuitable`] for
/// the beginning of a larger file.
pub fn contribute(
    from: &Ptau,
    to: &Path,
    name: &str,
    progress: &dyn Progress,
) -> Result<Contribution, CeremonyError> {
    check_name(name)?;
    if from.power != from.ceremony_power {
        return Err(CeremonyError::PtauUnsuitable {
            reason: format!(
                "it is the beginning of a file of power {}; contribute to that one",
                from.ceremony_power
            ),
        });
    }
    // Read before they are copied: what cannot be read is not passed on.
    let before = from.contributions()?;
    let challenge = match before.last() {
        Some(last) => last.next_challenge,
        None => first_challenge(from.power),
    };
    let secrets = Secrets::from_system()?;
    let key = Key::prove(&secrets, &challenge)?;
    let one = Zeroizing::new(Fr::ONE);
    let writer = Writer::new(to, PLAIN_SECTIONS, from.power, from.power)?;
    let mut response = Response::new(writer, &challenge);
    let mut times = Times {
        from,
        response: &mut response,
        progress,
    };
    let tau_g1 = times.table(TAU_G1, &one, &secrets.tau)?;
    let tau_g2 = times.table(TAU_G2, &one, &secrets.tau)?;
    let alpha_g1 = times.table(ALPHA_TAU_G1, &secrets.alpha, &secrets.tau)?;
    let beta_g1 = times.table(BETA_TAU_G1, &secrets.beta, &secrets.tau)?;
    let beta_g2 = times.table(BETA_G2, &secrets.beta, &one)?;
    let points = State {
        tau_g1: nth(&tau_g1, 1)?,
        tau_g2: nth(&tau_g2, 1)?,
        alpha_g1: nth(&alpha_g1, 0)?,
        beta_g1: nth(&beta_g1, 0)?,
        beta_g2: nth(&beta_g2, 0)?,
    };
    drop(secrets);
    let mut bytes = from.contribution_bytes()?;
    let (mut writer, contribution) = response.finish(&points, &key, name, &mut bytes, progress)?;
    writer.contributions(&bytes)?;
    writer.finish()?;
    Ok(contribution)
}

fn nth<P: Point>(points: &[P], index: usize) -> Result<P, CeremonyError> {
    let point = points.get(index).copied();
    point.ok_or_else(|| malformed("the powers", "they are too few".to_owned()))
}

/// The points of a contribution on their way into a file and its hash.
pub(super) struct Response {
    pub(super) writer: Writer,
    hasher: Blake2b,
}

impl Response {
    pub(super) fn new(writer: Writer, challenge: &[u8; 64]) -> Self {
        let mut hasher = Blake2b::default();
        hasher.update(challenge);
        Self { writer, hasher }
    }

    /// Appends points to the table that was started last.
    pub(super) fn points<P: Point>(&mut self, points: &[P]) -> Result<(), CeremonyError> {
        self.hasher.update(&compressed(points));
        self.writer.points(points)
    }

    /// The record of the contribution, which is added to those before it. All points were written.
    pub(super) fn finish(
        self,
        points: &State,
        key: &Key,
        name: &str,
        contributions: &mut Vec<u8>,
        progress: &dyn Progress,
    ) -> Result<(Writer, Contribution), CeremonyError> {
        let partial = self.hasher.to_partial();
        let response_hash = response_hash(&partial, key).unwrap_or([0; 64]);
        let next_challenge = next_challenge(&self.writer.view()?, &response_hash, progress)?;
        let contribution = Contribution {
            name: Some(name.to_owned()).filter(|name| !name.is_empty()),
            origin: Origin::Person,
            response_hash,
            next_challenge,
            points: *points,
            key: *key,
            partial,
        };
        let (count, _) = contributions
            .split_first_chunk_mut::<4>()
            .ok_or_else(|| malformed("the contributions", "they are cut short".to_owned()))?;
        *count = u32::from_le_bytes(*count).saturating_add(1).to_le_bytes();
        contribution.write(contributions);
        Ok((self.writer, contribution))
    }
}

/// Multiplies tables.
struct Times<'a> {
    from: &'a Ptau,
    response: &'a mut Response,
    progress: &'a dyn Progress,
}

impl Times<'_> {
    /// Writes a table's points times `first · step^i`, and returns the first of them.
    fn table<C: Group>(
        &mut self,
        table: Table<C>,
        first: &Fr,
        step: &Fr,
    ) -> Result<Vec<Affine<C>>, CeremonyError>
    where
        Affine<C>: Point,
    {
        self.response.writer.table(table)?;
        let count = table.points(self.from.power);
        let mut factor = Zeroizing::new(*first);
        let mut head = Vec::new();
        let mut done = 0;
        while done < count {
            let next = CHUNK.min(count - done);
            let mut points = self.from.points(table, done, next)?;
            let mut factors = Zeroizing::new(Vec::with_capacity(points.len()));
            for _ in &points {
                factors.push(*factor);
                *factor *= step;
            }
            multiply_each(&mut points, &factors);
            if head.is_empty() {
                head.extend(points.iter().take(2).copied());
            }
            self.response.points(&points)?;
            done += next;
            self.progress.stage(table.name, done, count);
        }
        Ok(head)
    }
}

//! The check of a whole file.
//!
//! Every point is of its group. `P_0 … P_n` are powers of one τ when `Σ r_i·P_{i+1}` is τ times
//! `Σ r_i·P_i` for random `r_i` of 128 bits, which a pairing compares with τ in the other group.
//! Lagrange points are those of the powers when `Σ_i c_i·L_i = Σ_j r_j·P_j` with `c` the Fourier
//! transform of `r`; all domains of a table are compared together, with a random weight each. The
//! randomness is the operating system's, drawn after the file is opened. A file that passes and is
//! wrong is found with probability at most 2^-125.

use std::path::Path;

use ark_bn254::{Fr, G1Affine, G2Affine};
use ark_ec::short_weierstrass::{Affine, Projective};
use ark_ec::{AffineRepr, CurveGroup};
use ark_ff::{AdditiveGroup, BigInt, PrimeField};
use ark_poly::{EvaluationDomain, Radix2EvaluationDomain};
use proofmark_msm::{FixedBases, TableBudget};
use proofmark_prover::{Progress, random};
use proofmark_types::Digest;
use proofmark_types::digest::DigestStream;
use rayon::prelude::*;

use super::contribution::{Contribution, Origin, check_chain};
use super::file::{Ptau, malformed};
use super::hashing::{compressed, first_challenge, uncompressed};
use super::secrets::same_ratio;
use super::tables::{
    ALPHA_LAGRANGE_G1, ALPHA_TAU_G1, BETA_G2, BETA_LAGRANGE_G1, BETA_TAU_G1, LAGRANGE_G1,
    LAGRANGE_G2, TAU_G1, TAU_G2, Table,
};
use crate::blake2b::{Blake2b, PARTIAL};
use crate::error::CeremonyError;
use crate::group::Group;
use crate::snarkjs::Point;

/// Points multiplied at a time.
const CHUNK: u64 = 1 << 17;

/// What a file that was checked is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Verified {
    /// SHA-256 of the file.
    pub digest: Digest,
    /// Binary logarithm of the largest domain.
    pub power: u32,
    /// The power of the ceremony's own file.
    pub ceremony_power: u32,
    /// The contributions, in order.
    pub contributions: Vec<Summary>,
    /// Whether there are Lagrange points, which were checked then.
    pub prepared: bool,
    /// Whether the points were compared with the last contribution's response and challenge; the
    /// beginning of a larger file cannot be.
    pub hashes_compared: bool,
}

/// A contribution, for people to compare with what its contributor published.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Summary {
    /// What the contributor calls themselves, if anything.
    pub name: Option<String>,
    /// Where the secrets come from.
    pub origin: Origin,
    /// BLAKE2b-512 of the response.
    pub response_hash: [u8; 64],
}

/// Checks a file: see the [module](super) for what that says.
///
/// # Errors
/// [`CeremonyError::Io`]; [`CeremonyError::PtauMalformed`] for a file not of the format, or a point in
/// no group; [`CeremonyError::PtauContribution`] for a broken chain of contributions;
/// [`CeremonyError::PtauInconsistent`] for points that contradict each other or the chain;
/// [`CeremonyError::PtauUnsuitable`] for a file that nobody but beacons contributed to, whose τ
/// everybody knows.
pub fn verify(path: &Path, progress: &dyn Progress) -> Result<Verified, CeremonyError> {
    verify_open(&Ptau::open(path)?, progress)
}

/// [`verify`] for an open file: what is read from it afterwards is what was verified, whatever has
/// taken its name meanwhile.
///
/// # Errors
/// As [`verify`].
pub fn verify_open(ptau: &Ptau, progress: &dyn Progress) -> Result<Verified, CeremonyError> {
    let contributions = ptau.contributions()?;
    let persons = contributions.iter().filter(|c| c.origin == Origin::Person);
    let (Some(last), true) = (contributions.last(), persons.count() > 0) else {
        return Err(CeremonyError::PtauUnsuitable {
            reason: "nobody contributed to it, or beacons alone: everybody knows its secrets; \
                     contribute to it first"
                .to_owned(),
        });
    };
    let state = check_chain(&contributions, ptau.ceremony_power)?;
    let challenge = match contributions.iter().rev().nth(1) {
        Some(before) => before.next_challenge,
        None => first_challenge(ptau.ceremony_power),
    };
    let mut pass = Pass {
        ptau,
        random: Random::new()?,
        challenge: Blake2b::default(),
        response: Blake2b::default(),
        progress,
    };
    pass.challenge.update(&last.response_hash);
    pass.response.update(&challenge);

    let (g1, g2) = (G1Affine::generator(), G2Affine::generator());
    let contradiction = |part, reason| Err(CeremonyError::PtauInconsistent { part, reason });
    let tau_g1 = pass.powers(TAU_G1, LAGRANGE_G1)?;
    if tau_g1.first != [g1, state.tau_g1] {
        return contradiction(TAU_G1.name, "the first two are not the last contribution's");
    }
    if !tau_g1.are_powers(|low, high| same_ratio(low, high, &g2, &state.tau_g2)) {
        return contradiction(TAU_G1.name, NOT_POWERS);
    }
    // τ^(2^power) is 1 or −1: τ is in the largest domain, where everybody finds it.
    if ptau.point(TAU_G1, 1 << ptau.power)?.x == g1.x {
        return contradiction(
            TAU_G1.name,
            "tau is a root of unity, which everybody can find",
        );
    }
    let tau_g2 = pass.powers(TAU_G2, LAGRANGE_G2)?;
    if tau_g2.first != [g2, state.tau_g2] {
        return contradiction(TAU_G2.name, "the first two are not the last contribution's");
    }
    if !tau_g2.are_powers(|low, high| same_ratio(&g1, &state.tau_g1, low, high)) {
        return contradiction(TAU_G2.name, NOT_POWERS);
    }
    let mut weighted = [Projective::ZERO; 2];
    for (number, (table, lagrange, expected)) in [
        (ALPHA_TAU_G1, ALPHA_LAGRANGE_G1, state.alpha_g1),
        (BETA_TAU_G1, BETA_LAGRANGE_G1, state.beta_g1),
    ]
    .into_iter()
    .enumerate()
    {
        let sums = pass.powers(table, lagrange)?;
        if sums.first[0] != expected {
            return contradiction(table.name, "the first one is not the last contribution's");
        }
        if !sums.are_powers(|low, high| same_ratio(low, high, &g2, &state.tau_g2)) {
            return contradiction(table.name, NOT_POWERS);
        }
        weighted[number] = sums.weighted;
    }
    let beta_g2 = ptau.point(BETA_G2, 0)?;
    pass.hash(&[beta_g2]);
    if beta_g2 != state.beta_g2 {
        return contradiction(BETA_G2.name, "it is not the last contribution's");
    }
    if !same_ratio(&g1, &state.beta_g1, &g2, &beta_g2) {
        return contradiction(BETA_G2.name, "it is not beta in G1");
    }
    let hashes_compared = ptau.power == ptau.ceremony_power;
    if hashes_compared {
        pass.compare_hashes(last)?;
    }
    if ptau.is_prepared() {
        pass.lagrange(LAGRANGE_G1, tau_g1.weighted)?;
        pass.lagrange(LAGRANGE_G2, tau_g2.weighted)?;
        pass.lagrange(ALPHA_LAGRANGE_G1, weighted[0])?;
        pass.lagrange(BETA_LAGRANGE_G1, weighted[1])?;
    }
    Ok(Verified {
        digest: ptau.digest(progress)?,
        power: ptau.power,
        ceremony_power: ptau.ceremony_power,
        prepared: ptau.is_prepared(),
        hashes_compared,
        contributions: contributions
            .into_iter()
            .map(|contribution| Summary {
                name: contribution.name,
                origin: contribution.origin,
                response_hash: contribution.response_hash,
            })
            .collect(),
    })
}

const NOT_POWERS: &str = "they are not successive powers of tau";

/// Random sums over a table of powers.
struct Sums<C: Group> {
    /// The first two points.
    first: [Affine<C>; 2],
    /// `Σ r_i·P_i`.
    low: Projective<C>,
    /// `Σ r_i·P_{i+1}`.
    high: Projective<C>,
    /// `Σ r_j·s_j·P_j`, with `s_j` the sum of the weights of the domains that have a j-th point.
    weighted: Projective<C>,
}

impl<C: Group> Sums<C> {
    fn are_powers(&self, same: impl Fn(&Affine<C>, &Affine<C>) -> bool) -> bool {
        same(&self.low.into_affine(), &self.high.into_affine())
    }
}

/// One pass over a file.
struct Pass<'a> {
    ptau: &'a Ptau,
    random: Random,
    /// Of the challenge after the last contribution.
    challenge: Blake2b,
    /// Of the last contribution's response.
    response: Blake2b,
    progress: &'a dyn Progress,
}

impl Pass<'_> {
    fn hash<P: Point>(&mut self, points: &[P]) {
        self.challenge.update(&uncompressed(points));
        self.response.update(&compressed(points));
    }

    /// Reads a table of powers.
    fn powers<C: Group>(
        &mut self,
        table: Table<C>,
        lagrange: Table<C>,
    ) -> Result<Sums<C>, CeremonyError>
    where
        Affine<C>: Point,
    {
        let count = table.points(self.ptau.power);
        let largest = lagrange.largest_domain(self.ptau.power);
        let weigh = self.ptau.is_prepared();
        let weights = self.random.sums_of_weights(largest);
        let mut sums = Sums {
            first: [Affine::zero(); 2],
            low: Projective::ZERO,
            high: Projective::ZERO,
            weighted: Projective::ZERO,
        };
        // The last point of the chunk before, which is multiplied together with its successor.
        let mut points: Vec<Affine<C>> = Vec::new();
        let mut from = 0;
        while from < count {
            let next = CHUNK.min(count - from);
            let read = self.ptau.points(table, from, next)?;
            self.hash(&read);
            let overlap = points.len() as u64;
            points.extend(read);
            if from == 0
                && let [first, second, ..] = *points
            {
                sums.first = [first, second];
            }
            let bases = FixedBases::new(&points, points.len(), TableBudget::NONE)?;
            let coefficients = self.random.coefficients(from - overlap, points.len());
            let mut low = coefficients.clone();
            let mut high = coefficients.clone();
            if let Some(last) = low.last_mut() {
                *last = BigInt::zero();
            }
            high.rotate_right(1);
            if let Some(first) = high.first_mut() {
                *first = BigInt::zero();
            }
            sums.low += bases.msm(&low)?;
            sums.high += bases.msm(&high)?;
            if weigh {
                let scalars = (from - overlap..)
                    .zip(&coefficients)
                    .map(|(index, coefficient)| {
                        if index < from {
                            return BigInt::zero();
                        }
                        // Domains of more than `index` points.
                        let smallest = u64::BITS - index.leading_zeros();
                        let weight = weights.get(smallest as usize).copied();
                        (Fr::from(*coefficient) * weight.unwrap_or_default()).into_bigint()
                    })
                    .collect::<Vec<_>>();
                sums.weighted += bases.msm(&scalars)?;
            }
            let last = points.pop();
            points.clear();
            points.extend(last);
            from += next;
            self.progress.stage(table.name, from, count);
        }
        Ok(sums)
    }

    /// Reads a table of Lagrange points, whose sum with the transformed coefficients is known.
    fn lagrange<C: Group>(
        &self,
        table: Table<C>,
        expected: Projective<C>,
    ) -> Result<(), CeremonyError>
    where
        Affine<C>: Point,
    {
        let count = table.points(self.ptau.power);
        let largest = table.largest_domain(self.ptau.power);
        let mut sum = Projective::<C>::ZERO;
        let mut position = 0;
        for power in 0..=largest {
            let size = 1_u64 << power;
            let scalars = self.transformed(power)?;
            let mut from = 0;
            while from < size {
                let next = CHUNK.min(size - from);
                let points = self.ptau.points(table, position, next)?;
                let scalars = scalars.iter().skip(index(from)).take(points.len());
                let scalars = scalars.map(|s| s.into_bigint()).collect::<Vec<_>>();
                sum += FixedBases::new(&points, points.len(), TableBudget::NONE)?.msm(&scalars)?;
                from += next;
                position += next;
                self.progress.stage(table.name, position, count);
            }
        }
        if sum == expected {
            return Ok(());
        }
        Err(CeremonyError::PtauInconsistent {
            part: table.name,
            reason: "they are not those of the powers",
        })
    }

    /// The coefficients of a domain's Lagrange points.
    fn transformed(&self, power: u32) -> Result<Vec<Fr>, CeremonyError> {
        let size = 1_usize << power;
        let weight = self.random.weight(power);
        let mut values = self
            .random
            .coefficients(0, size)
            .into_par_iter()
            .map(|coefficient| Fr::from(coefficient) * weight)
            .collect::<Vec<_>>();
        // The power that the file does not have.
        if power > self.ptau.power
            && let Some(last) = values.last_mut()
        {
            *last = Fr::ZERO;
        }
        let domain = Radix2EvaluationDomain::<Fr>::new(size)
            .ok_or_else(|| malformed("the header", "its power is too large".to_owned()))?;
        domain.fft_in_place(&mut values);
        Ok(values)
    }

    /// Compares what was read with the last contribution.
    fn compare_hashes(&self, last: &Contribution) -> Result<(), CeremonyError> {
        let contradiction = |reason| {
            Err(CeremonyError::PtauInconsistent {
                part: "the last contribution",
                reason,
            })
        };
        // What waits in the hasher's block behind its length means nothing, and snarkjs writes the
        // low half of the count of bytes alone.
        let meaning = |partial: &[u8; PARTIAL]| {
            let mut partial = *partial;
            let waiting = usize::from(partial[200]).min(128);
            partial[waiting..128].fill(0);
            partial[196..200].fill(0);
            partial
        };
        if meaning(&self.response.to_partial()) != meaning(&last.partial) {
            return contradiction("its response is not about these points");
        }
        if self.challenge.clone().finish() != last.next_challenge {
            return contradiction("the next challenge is not about these points");
        }
        Ok(())
    }
}

/// Random numbers that are known by their place: SHA-256 of a seed and a counter.
struct Random {
    seed: [u8; 32],
}

impl Random {
    fn new() -> Result<Self, CeremonyError> {
        let mut seed = [0; 32];
        random::fill(&mut seed)?;
        Ok(Self { seed })
    }

    /// 128 bits each, for places from `from` on.
    fn coefficients(&self, from: u64, count: usize) -> Vec<BigInt<4>> {
        let mut coefficients = vec![BigInt::zero(); count];
        coefficients
            .par_chunks_mut(256)
            .enumerate()
            .for_each(|(chunk, coefficients)| {
                let from = from + 256 * chunk as u64;
                for (place, coefficient) in (from..).zip(coefficients) {
                    *coefficient = self.number(b'c', place);
                }
            });
        coefficients
    }

    /// 128 bits for a domain.
    fn weight(&self, power: u32) -> Fr {
        Fr::from(self.number(b'w', power.into()))
    }

    /// For each power the sum of the weights from it to the largest.
    fn sums_of_weights(&self, largest: u32) -> Vec<Fr> {
        let mut sum = Fr::ZERO;
        let mut sums = (0..=largest)
            .rev()
            .map(|power| {
                sum += self.weight(power);
                sum
            })
            .collect::<Vec<_>>();
        sums.reverse();
        sums
    }

    fn number(&self, kind: u8, place: u64) -> BigInt<4> {
        let mut stream = DigestStream::new();
        stream.update(&self.seed);
        stream.update(&[kind]);
        stream.update(&place.to_le_bytes());
        let digest = stream.finish();
        let (words, _) = digest.as_bytes().as_chunks::<8>();
        let word = |index: usize| words.get(index).map_or(0, |word| u64::from_le_bytes(*word));
        BigInt([word(0), word(1), 0, 0])
    }
}

/// An index of a table in memory.
fn index(index: u64) -> usize {
    usize::try_from(index).unwrap_or(usize::MAX)
}

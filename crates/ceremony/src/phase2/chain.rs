//! The chain of contributions: each multiplies δ (and δc) by a factor and proves that its maker knows
//! the factor, as Bowe, Gabizon and Miers describe (2017/1050).
//!
//! A contributor with factor x publishes a point s of G1, x·s and x·R, with R a point of G2 that nobody
//! chose: the hash of the initial key, of all contributions before, of s and of x·s. The hash makes one
//! of `snarkjs zkey contribute` of it: BLAKE2b-512 over points as in EIP-197, so that chains of plain
//! circuits are the same in both programs. The share of δc has a tag of its own before the points, so
//! that neither can stand for the other.

use std::collections::HashSet;

use ark_bn254::{Bn254, Fq, Fr, G1Affine, G2Affine};
use ark_ec::pairing::Pairing;
use ark_ec::{AffineRepr, CurveGroup};
use ark_ff::Zero;
use proofmark_prover::Progress;
use proofmark_prover::ceremony::{BeaconRecord, ContributionRecord, HexBytes, ShareRecord};
use proofmark_prover::random;
use proofmark_verifier::VerifyingKey;
use zeroize::Zeroizing;

use super::beacon;
use crate::error::CeremonyError;
use crate::snarkjs::{Hasher, Point, hash_to_g2};
use crate::texts::is_printable;

/// Stands before the points of δc's share in its challenge.
const COMMITTED_TAG: &[u8] = b"proofmark/ceremony/delta-committed/v1\0";
/// Longest name of a contributor, in bytes, as `.zkey` files have place for.
pub const MAX_NAME: usize = 255;
/// Longest statement of a contributor, in bytes.
pub const MAX_STATEMENT: usize = 4096;
/// Most applications of SHA-256 that all beacons of a chain may ask for together: two of the longest.
/// Who verifies repeats them, and a file that asks for years of that is not to be waited for.
const MAX_ITERATIONS: u64 = 1 << 33;

/// What a contributor multiplies δ and δc by, and the points that the proofs begin with. Wiped on
/// drop.
pub struct Factors {
    pub(crate) delta: Zeroizing<Fr>,
    s: G1Affine,
    /// Of circuits with a commitment.
    pub(crate) committed: Option<(Zeroizing<Fr>, G1Affine)>,
}

impl Factors {
    /// From the operating system.
    ///
    /// # Errors
    /// [`CeremonyError::Prover`] without randomness.
    pub fn from_system(committed: bool) -> Result<Self, CeremonyError> {
        let draw = || -> Result<(Zeroizing<Fr>, G1Affine), CeremonyError> {
            let factor = random::scalar()?;
            let s = G1Affine::generator() * *random::scalar()?;
            Ok((factor, s.into_affine()))
        };
        let (delta, s) = draw()?;
        Ok(Self {
            delta,
            s,
            committed: if committed { Some(draw()?) } else { None },
        })
    }

    /// From a beacon. Of δ as snarkjs draws them; those of δc follow.
    ///
    /// # Errors
    /// [`CeremonyError::Beacon`].
    pub fn from_beacon(
        value: &BeaconRecord,
        committed: bool,
        progress: &dyn Progress,
    ) -> Result<Self, CeremonyError> {
        let mut generator = beacon::generator(value, progress)?;
        let mut draw = || (Zeroizing::new(generator.scalar()), generator.g1());
        let (delta, s) = draw();
        Ok(Self {
            delta,
            s,
            committed: committed.then(draw),
        })
    }
}

/// A [`ShareRecord`] with its points read and checked: none is the identity, all are in their groups.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Share {
    pub(crate) after: G1Affine,
    pub(crate) s: G1Affine,
    pub(crate) sx: G1Affine,
    pub(crate) spx: G2Affine,
}

fn point<P: Point>(part: &'static str, bytes: &HexBytes) -> Result<P, CeremonyError> {
    let malformed = |reason: &str| CeremonyError::ContributionMalformed {
        part,
        reason: reason.to_owned(),
    };
    let point = P::from_uncompressed(&bytes.0).map_err(malformed)?;
    if point.is_zero() {
        return Err(malformed("a point is the identity"));
    }
    Ok(point)
}

impl Share {
    pub(crate) fn read(record: &ShareRecord) -> Result<Self, CeremonyError> {
        let share = Self {
            after: point("delta", &record.after)?,
            s: point("s", &record.s)?,
            sx: point("sx", &record.sx)?,
            spx: point("spx", &record.spx)?,
        };
        if !share.spx.is_in_correct_subgroup_assuming_on_curve() {
            return Err(CeremonyError::ContributionMalformed {
                part: "spx",
                reason: "a point is not in the subgroup of order r".to_owned(),
            });
        }
        Ok(share)
    }

    pub(crate) fn record(&self) -> ShareRecord {
        fn bytes<P: Point>(point: &P) -> HexBytes {
            let mut bytes = Vec::with_capacity(P::BYTES);
            point.push_uncompressed(&mut bytes);
            HexBytes(bytes)
        }
        ShareRecord {
            after: bytes(&self.after),
            s: bytes(&self.s),
            sx: bytes(&self.sx),
            spx: bytes(&self.spx),
        }
    }

    /// As snarkjs hashes a contribution's public key.
    fn absorb(&self, hasher: &mut Hasher, challenge: &[u8; 64]) {
        hasher.points(&[self.after, self.s, self.sx]);
        hasher.points(&[self.spx]);
        hasher.update(challenge);
    }

    fn verify(&self, before: &G1Affine, challenge: &[u8; 64]) -> Result<(), &'static str> {
        let base = hash_to_g2(challenge);
        if !same_ratio((self.s, self.sx), (base, self.spx)) {
            return Err(
                "its proof of knowledge does not hold: it was made for another chain, or by nobody who knows the factor",
            );
        }
        if !same_ratio((*before, self.after), (base, self.spx)) {
            return Err("the delta after it is not the delta before it times the factor it proves");
        }
        Ok(())
    }
}

/// Whether `b = x·a` and `d = x·c` for one x, none of them being the identity.
pub(crate) fn same_ratio((a, b): (G1Affine, G1Affine), (c, d): (G2Affine, G2Affine)) -> bool {
    let identity = a.is_zero() || b.is_zero() || c.is_zero() || d.is_zero();
    !identity && Bn254::multi_pairing([a, -b], [d, c]).is_zero()
}

/// δ and δc in G1 after some contributions.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Deltas {
    /// δ.
    pub delta: G1Affine,
    /// δc, with a commitment.
    pub committed: Option<G1Affine>,
}

/// A chain of contributions that hold.
#[derive(Debug, Clone)]
pub struct Chain {
    /// All that the next contribution proves its knowledge to.
    hasher: Hasher,
    /// Where the deltas are.
    pub deltas: Deltas,
    /// The hash of each contribution, by which its maker finds it again: BLAKE2b-512 of its points and
    /// challenges, as snarkjs prints it.
    pub hashes: Vec<[u8; 64]>,
    /// The challenge of each contribution's proof for δ.
    pub(crate) challenges: Vec<[u8; 64]>,
    /// How many are no beacon.
    pub secret: usize,
    /// The x coordinates of both deltas at all times: none is met twice.
    met: HashSet<Fq>,
    /// Applications of SHA-256 for beacons.
    iterations: u64,
}

impl Chain {
    /// The chain without a contribution to the initial key of this hash.
    pub fn new(initial: &[u8; 64], committed: bool) -> Self {
        let mut hasher = Hasher::default();
        hasher.update(initial);
        let generator = G1Affine::generator();
        Self {
            hasher,
            deltas: Deltas {
                delta: generator,
                committed: committed.then_some(generator),
            },
            hashes: Vec::new(),
            challenges: Vec::new(),
            secret: 0,
            met: HashSet::from([generator.x]),
            iterations: 0,
        }
    }

    /// Verifies contributions in order.
    ///
    /// # Errors
    /// [`CeremonyError::ContributionInvalid`] with the number of the first that does not hold;
    /// [`CeremonyError::ContributionMalformed`] for points that are none.
    pub fn verify(
        initial: &[u8; 64],
        committed: bool,
        records: &[ContributionRecord],
        progress: &dyn Progress,
    ) -> Result<Self, CeremonyError> {
        let mut chain = Self::new(initial, committed);
        for record in records {
            chain.push(record, progress)?;
        }
        Ok(chain)
    }

    /// Whether a verifying key has the deltas that the contributions left. Its points are in their groups.
    pub fn ends_in(&self, key: &VerifyingKey) -> bool {
        let (g1, g2) = (G1Affine::generator(), G2Affine::generator());
        let same = |in_g1, in_g2| same_ratio((g1, in_g1), (g2, in_g2));
        let committed = match (self.deltas.committed, key.delta_committed_g2) {
            (None, None) => true,
            (Some(in_g1), Some(in_g2)) => same(in_g1, in_g2),
            _ => false,
        };
        committed && same(self.deltas.delta, key.groth16.delta_g2)
    }

    fn challenge(&self, s: &G1Affine, sx: &G1Affine) -> [u8; 64] {
        let mut hasher = self.hasher.clone();
        hasher.points(&[*s, *sx]);
        hasher.finish()
    }

    fn committed_challenge(&self, points: [G1Affine; 4]) -> [u8; 64] {
        let mut hasher = self.hasher.clone();
        hasher.update(COMMITTED_TAG);
        hasher.points(&points);
        hasher.finish()
    }

    /// Verifies one more contribution and takes it in.
    ///
    /// # Errors
    /// As [`verify`](Self::verify).
    pub fn push(
        &mut self,
        record: &ContributionRecord,
        progress: &dyn Progress,
    ) -> Result<(), CeremonyError> {
        let number = self.hashes.len() + 1;
        let invalid = |reason| CeremonyError::ContributionInvalid { number, reason };
        check_texts(record)?;
        let share = Share::read(&record.delta)?;
        let challenge = self.challenge(&share.s, &share.sx);
        share
            .verify(&self.deltas.delta, &challenge)
            .map_err(invalid)?;
        let committed = match (&record.delta_committed, self.deltas.committed) {
            (None, None) => None,
            (Some(record), Some(before)) => {
                let second = Share::read(record)?;
                let challenge = self.committed_challenge([share.s, share.sx, second.s, second.sx]);
                second.verify(&before, &challenge).map_err(invalid)?;
                Some((second, challenge))
            }
            (None, Some(_)) => {
                return Err(invalid(
                    "it leaves the commitment's delta as it was; both must be contributed to",
                ));
            }
            (Some(_), None) => {
                return Err(invalid(
                    "it contributes to a commitment, which the circuit has not",
                ));
            }
        };
        self.meet(&share, committed.as_ref())?;
        if let Some(value) = &record.beacon {
            beacon::check(value)?;
            self.iterations = self.iterations.saturating_add(1 << value.iterations_log2);
            if self.iterations > MAX_ITERATIONS {
                return Err(invalid(
                    "the beacons together take more iterations than are repeated",
                ));
            }
            let expected = Factors::from_beacon(value, committed.is_some(), progress)?;
            let follows = |share: &Share, factor: &Fr, s: G1Affine| {
                share.s == s && share.sx == (s * factor).into_affine()
            };
            let second = match (&committed, &expected.committed) {
                (Some((share, _)), Some((factor, s))) => follows(share, factor, *s),
                _ => true,
            };
            if !second || !follows(&share, &expected.delta, expected.s) {
                return Err(invalid("its factor is not the one that its beacon gives"));
            }
        } else {
            self.secret += 1;
        }
        self.take(&share, &challenge, committed.as_ref());
        Ok(())
    }

    /// Refuses deltas that were there before, or that are each other's, up to their sign. Factors that
    /// nobody needs to guess do that: one of 1, which leaves δ or δc as it was; the inverse of an
    /// earlier one, which takes it back; the same for both. What is left could be a beacon's alone,
    /// whose factor everyone knows. Of secret factors it happens once in 2^253 times.
    fn meet(
        &mut self,
        share: &Share,
        committed: Option<&(Share, [u8; 64])>,
    ) -> Result<(), CeremonyError> {
        let fresh = self.met.insert(share.after.x)
            && committed.is_none_or(|(share, _)| self.met.insert(share.after.x));
        if fresh {
            return Ok(());
        }
        Err(CeremonyError::ContributionInvalid {
            number: self.hashes.len() + 1,
            reason: "its factors leave a delta as it was, take earlier ones back, or are each other's: \
                     they are no secret",
        })
    }

    fn take(&mut self, share: &Share, challenge: &[u8; 64], committed: Option<&(Share, [u8; 64])>) {
        let mut own = Hasher::default();
        for hasher in [&mut self.hasher, &mut own] {
            share.absorb(hasher, challenge);
            if let Some((share, challenge)) = committed {
                share.absorb(hasher, challenge);
            }
        }
        self.deltas = Deltas {
            delta: share.after,
            committed: committed.map(|(share, _)| share.after),
        };
        self.hashes.push(own.finish());
        self.challenges.push(*challenge);
    }

    /// The record of a contribution with these factors, taken in.
    ///
    /// # Errors
    /// [`CeremonyError::ContributionMalformed`] for a name or statement that is too long;
    /// [`CeremonyError::ContributionInvalid`] for factors that are no secret, such as 1.
    pub fn contribute(
        &mut self,
        factors: &Factors,
        texts: Texts,
        previous: Option<proofmark_types::Digest>,
    ) -> Result<ContributionRecord, CeremonyError> {
        let (share, committed) = self.shares(factors);
        let record = record(&share, committed.as_ref(), texts, previous);
        check_texts(&record)?;
        self.meet(&share.0, committed.as_ref())?;
        if record.beacon.is_none() {
            self.secret += 1;
        }
        self.take(&share.0, &share.1, committed.as_ref());
        Ok(record)
    }

    /// The shares of these factors, each with its challenge.
    fn shares(&self, factors: &Factors) -> (Challenged, Option<Challenged>) {
        let times = |point: G1Affine, factor: &Fr| (point * factor).into_affine();
        let sx = times(factors.s, &factors.delta);
        let challenge = self.challenge(&factors.s, &sx);
        let share = Share {
            after: times(self.deltas.delta, &factors.delta),
            s: factors.s,
            sx,
            spx: (hash_to_g2(&challenge) * *factors.delta).into_affine(),
        };
        let committed = match (&factors.committed, self.deltas.committed) {
            (Some((factor, s)), Some(before)) => {
                let sx = times(*s, factor);
                let challenge = self.committed_challenge([share.s, share.sx, *s, sx]);
                let share = Share {
                    after: times(before, factor),
                    s: *s,
                    sx,
                    spx: (hash_to_g2(&challenge) * **factor).into_affine(),
                };
                Some((share, challenge))
            }
            _ => None,
        };
        ((share, challenge), committed)
    }
}

/// A share, and the challenge that its proof answers.
type Challenged = (Share, [u8; 64]);

fn record(
    share: &Challenged,
    committed: Option<&Challenged>,
    texts: Texts,
    previous: Option<proofmark_types::Digest>,
) -> ContributionRecord {
    let Texts {
        name,
        statement,
        beacon,
    } = texts;
    ContributionRecord {
        name,
        statement,
        previous,
        delta: share.0.record(),
        delta_committed: committed.map(|(share, _)| share.record()),
        beacon,
    }
}

/// What a contributor says.
#[derive(Debug, Clone, Default)]
pub struct Texts {
    /// Who they are: at most [`MAX_NAME`] bytes.
    pub name: String,
    /// How they did it: at most [`MAX_STATEMENT`] bytes.
    pub statement: String,
    /// Where the factors come from, when they come from a beacon.
    pub beacon: Option<BeaconRecord>,
}

fn check_texts(record: &ContributionRecord) -> Result<(), CeremonyError> {
    for (part, text, most) in [
        ("name", &record.name, MAX_NAME),
        ("statement", &record.statement, MAX_STATEMENT),
    ] {
        let lines = part == "statement";
        if text.len() > most || !is_printable(text, lines) {
            return Err(CeremonyError::ContributionMalformed {
                part,
                reason: format!(
                    "longer than {most} bytes, or with characters that steer a terminal"
                ),
            });
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use ark_ff::Field as _;
    use proofmark_prover::NoProgress;

    const INITIAL: [u8; 64] = [3; 64];

    fn texts(name: &str) -> Texts {
        Texts {
            name: name.to_owned(),
            ..Texts::default()
        }
    }

    fn beacon() -> BeaconRecord {
        BeaconRecord {
            value: HexBytes(vec![1, 2, 3]),
            iterations_log2: 10,
        }
    }

    /// Two contributors and a beacon.
    fn records(committed: bool) -> Vec<ContributionRecord> {
        let mut chain = Chain::new(&INITIAL, committed);
        let mut records = Vec::new();
        for name in ["one", "two"] {
            let factors = Factors::from_system(committed).unwrap();
            records.push(chain.contribute(&factors, texts(name), None).unwrap());
        }
        let factors = Factors::from_beacon(&beacon(), committed, &NoProgress).unwrap();
        let texts = Texts {
            beacon: Some(beacon()),
            ..texts("beacon")
        };
        records.push(chain.contribute(&factors, texts, None).unwrap());
        records
    }

    fn verify(committed: bool, records: &[ContributionRecord]) -> Result<Chain, CeremonyError> {
        Chain::verify(&INITIAL, committed, records, &NoProgress)
    }

    type Spoil<'a> = &'a dyn Fn(&mut Vec<ContributionRecord>);

    #[test]
    fn honest_chains_hold() {
        for committed in [false, true] {
            let records = records(committed);
            let chain = verify(committed, &records).unwrap();
            assert_eq!(chain.secret, 2);
            assert_eq!(chain.hashes.len(), 3);
            let last = Share::read(&records[2].delta).unwrap();
            assert_eq!(chain.deltas.delta, last.after);
            assert_eq!(chain.deltas.committed.is_some(), committed);
            // A prefix holds too: what was dropped at the end only its makers can tell.
            assert_eq!(
                verify(committed, &records[..2]).unwrap().hashes,
                chain.hashes[..2]
            );
            assert!(verify(!committed, &records).is_err());
            let other = Chain::verify(&[4; 64], committed, &records, &NoProgress).unwrap_err();
            assert_eq!(other.code(), "contribution-invalid");
        }
    }

    #[test]
    fn no_contribution_can_be_dropped_moved_or_changed() {
        let spoiled: [(&str, usize, Spoil<'_>); 9] = [
            ("the first dropped", 1, &|r| drop(r.remove(0))),
            ("the second dropped", 2, &|r| drop(r.remove(1))),
            ("reordered", 1, &|r| r.swap(0, 1)),
            ("twice", 2, &|r| r.insert(0, r[0].clone())),
            ("another's proof", 2, &|r| {
                let after = r[1].delta.after.clone();
                r[1].delta = r[0].delta.clone();
                r[1].delta.after = after;
            }),
            ("delta replaced", 1, &|r| {
                r[0].delta.after = r[1].delta.after.clone();
            }),
            ("beacon value", 3, &|r| {
                r[2].beacon.as_mut().unwrap().value.0[0] = 9;
            }),
            ("beacon rounds", 3, &|r| {
                r[2].beacon.as_mut().unwrap().iterations_log2 = 11;
            }),
            ("beacon where there is none", 2, &|r| {
                r[1].beacon = Some(beacon());
            }),
        ];
        for committed in [false, true] {
            for (what, number, spoil) in &spoiled {
                let mut records = records(committed);
                spoil(&mut records);
                match verify(committed, &records).unwrap_err() {
                    CeremonyError::ContributionInvalid { number: got, .. } => {
                        assert_eq!(got, *number, "{what}");
                    }
                    other => panic!("{what}: {other}"),
                }
            }
        }
    }

    #[test]
    fn both_deltas_are_contributed_to_by_proofs_of_their_own() {
        let spoiled: [(&str, Spoil<'_>); 4] = [
            ("left out", &|r| r[0].delta_committed = None),
            ("the other's share", &|r| {
                r[0].delta_committed = Some(r[0].delta.clone());
            }),
            ("exchanged", &|r| {
                let second = r[0].delta_committed.clone().unwrap();
                r[0].delta_committed = Some(std::mem::replace(&mut r[0].delta, second));
            }),
            ("another's share", &|r| {
                r[1].delta_committed = r[0].delta_committed.clone();
            }),
        ];
        for (what, spoil) in spoiled {
            let mut records = records(true);
            spoil(&mut records);
            let error = verify(true, &records).unwrap_err();
            assert_eq!(error.code(), "contribution-invalid", "{what}");
        }
    }

    /// Contributions of a cheater's choice, by a program that refuses nothing.
    fn forged(chain: &mut Chain, (delta, second): (Fr, Fr)) -> ContributionRecord {
        let s = (G1Affine::generator() * Fr::from(5_u64)).into_affine();
        let second = (Zeroizing::new(second), s);
        let factors = Factors {
            delta: Zeroizing::new(delta),
            s,
            committed: chain.deltas.committed.is_some().then_some(second),
        };
        let (share, committed) = chain.shares(&factors);
        let record = record(&share, committed.as_ref(), texts("cheat"), None);
        chain.take(&share.0, &share.1, committed.as_ref());
        record
    }

    #[test]
    fn a_chain_ends_in_the_key_with_its_deltas_alone() {
        let generator = G2Affine::generator();
        let times = |factor: u64| (generator * Fr::from(factor)).into_affine();
        for committed in [false, true] {
            let mut chain = Chain::new(&INITIAL, committed);
            forged(&mut chain, (Fr::from(7_u64), Fr::from(9_u64)));
            let key = |delta, second: u64| VerifyingKey {
                groth16: ark_groth16::VerifyingKey {
                    alpha_g1: G1Affine::generator(),
                    beta_g2: generator,
                    gamma_g2: generator,
                    delta_g2: times(delta),
                    gamma_abc_g1: Vec::new(),
                },
                delta_committed_g2: (second > 0).then(|| times(second)),
            };
            let (right, none) = if committed { (9, 0) } else { (0, 9) };
            assert!(chain.ends_in(&key(7, right)));
            assert!(!chain.ends_in(&key(7, none)));
            assert!(!chain.ends_in(&key(8, right)));
            assert!(!chain.ends_in(&key(9, 7)));
            assert!(!committed || !chain.ends_in(&key(7, 8)));
        }
    }

    #[test]
    fn factors_that_are_no_secret_are_refused() {
        let x = |value: i64| Fr::from(value);
        let over = |value: i64| x(value).inverse().unwrap();
        let cases: [(&str, bool, Vec<(Fr, Fr)>); 8] = [
            ("one", false, vec![(x(1), x(0))]),
            ("minus one", false, vec![(-x(1), x(0))]),
            ("taken back", false, vec![(x(7), x(0)), (over(7), x(0))]),
            (
                "taken back later",
                false,
                vec![(x(7), x(0)), (x(9), x(0)), (-over(9), x(0))],
            ),
            ("only delta", true, vec![(x(7), x(1))]),
            ("only the commitment's", true, vec![(x(1), x(7))]),
            ("the same for both", true, vec![(x(7), x(7))]),
            (
                "exchanged",
                true,
                vec![(x(7), x(9)), (x(9) * over(7), x(11))],
            ),
        ];
        for (what, committed, factors) in cases {
            let mut chain = Chain::new(&INITIAL, committed);
            let factors = factors.into_iter();
            let records: Vec<_> = factors.map(|pair| forged(&mut chain, pair)).collect();
            let last = records.len();
            if last > 1 {
                assert!(verify(committed, &records[..last - 1]).is_ok(), "{what}");
            }
            match verify(committed, &records).unwrap_err() {
                CeremonyError::ContributionInvalid { number, reason } => {
                    assert_eq!(number, last, "{what}");
                    assert!(reason.contains("no secret"), "{what}: {reason}");
                }
                other => panic!("{what}: {other}"),
            }
        }
    }

    /// A beacon alone is no secret; neither is one behind a contribution that moves nothing.
    #[test]
    fn a_beacon_behind_contributions_that_move_nothing_is_refused() {
        for factor in [Fr::from(1_u64), -Fr::from(1_u64)] {
            let mut chain = Chain::new(&INITIAL, true);
            let mut records = vec![forged(&mut chain, (Fr::from(7_u64), factor))];
            let factors = Factors::from_beacon(&beacon(), true, &NoProgress).unwrap();
            let texts = Texts {
                beacon: Some(beacon()),
                ..texts("beacon")
            };
            records.push(chain.contribute(&factors, texts, None).unwrap());
            let error = verify(true, &records).unwrap_err();
            assert_eq!(error.code(), "contribution-invalid");
        }
    }

    #[test]
    fn beacons_that_would_take_years_are_not_computed() {
        let mut records = records(false);
        let long = BeaconRecord {
            value: HexBytes(vec![1]),
            iterations_log2: 33,
        };
        records[0].beacon = Some(long);
        let error = verify(false, &records).unwrap_err();
        assert_eq!(error.code(), "beacon-unusable");
        let mut chain = Chain::new(&INITIAL, false);
        let factors = Factors::from_beacon(&beacon(), false, &NoProgress).unwrap();
        let texts = Texts {
            beacon: Some(beacon()),
            ..texts("beacon")
        };
        let record = chain.clone().contribute(&factors, texts, None).unwrap();
        chain.iterations = MAX_ITERATIONS;
        match chain.push(&record, &NoProgress).unwrap_err() {
            CeremonyError::ContributionInvalid { reason, .. } => {
                assert!(reason.contains("iterations"), "{reason}");
            }
            other => panic!("{other}"),
        }
    }

    #[test]
    fn points_that_are_none_are_refused() {
        let bytes = |point: &dyn Fn(&mut Vec<u8>)| {
            let mut bytes = Vec::new();
            point(&mut bytes);
            HexBytes(bytes)
        };
        let outside = outside_the_subgroup();
        let spoiled: [(&str, Spoil<'_>); 5] = [
            ("identity", &|r| r[0].delta.s = HexBytes(vec![0; 64])),
            ("identity in G2", &|r| {
                r[0].delta.spx = HexBytes(vec![0; 128]);
            }),
            ("short", &|r| r[0].delta.sx.0.truncate(63)),
            ("off the curve", &|r| r[0].delta.after.0[63] ^= 1),
            ("outside the subgroup", &|r| {
                r[0].delta.spx = bytes(&|out| outside.push_uncompressed(out));
            }),
        ];
        for (what, spoil) in spoiled {
            let mut records = records(false);
            spoil(&mut records);
            let error = verify(false, &records).unwrap_err();
            assert_eq!(error.code(), "contribution-malformed", "{what}");
        }
    }

    /// A point of the twist that is not in the subgroup.
    fn outside_the_subgroup() -> G2Affine {
        let mut x = ark_bn254::Fq2::from(1_u64);
        loop {
            x += ark_bn254::Fq2::from(1_u64);
            if let Some(point) = G2Affine::get_point_from_x_unchecked(x, false)
                && !point.is_in_correct_subgroup_assuming_on_curve()
            {
                return point;
            }
        }
    }

    #[test]
    fn texts_are_bounded() {
        let spoiled: [Spoil<'_>; 5] = [
            &|r| r[0].name = "é".repeat(128),
            &|r| r[0].statement = "x".repeat(4097),
            &|r| r[0].statement = "\u{1b}[2J".to_owned(),
            // Would print a second contributor, and text from right to left.
            &|r| r[0].name = "Ada\n   2  Grace".to_owned(),
            &|r| r[0].name = "\u{202e}ecarG".to_owned(),
        ];
        for spoil in spoiled {
            let mut records = records(false);
            spoil(&mut records);
            let error = verify(false, &records).unwrap_err();
            assert_eq!(error.code(), "contribution-malformed");
        }
    }
}

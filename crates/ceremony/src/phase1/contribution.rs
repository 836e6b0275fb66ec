//! The record of one contribution, section 7 of a file.
//!
//! `τ·G1`, `τ·G2`, `α·G1`, `β·G1`, `β·G2` after it; the proofs of knowledge (six points of G1, three
//! of G2); 216 bytes of the response's hasher before the proofs; 64 bytes of the next challenge; the
//! kind (`u32`: 0 a person, 1 a beacon); the length of the parameters (`u32`), which are a byte of
//! their number and their value each, in ascending order: 1 the name (length, UTF-8), 2 the binary
//! logarithm of a beacon's iterations, 3 its randomness (length, bytes).

use std::collections::HashSet;

use ark_bn254::{Fq, G1Affine, G2Affine};
use ark_ec::AffineRepr;
use ark_ec::short_weierstrass::Affine;
use sha2::{Digest as _, Sha256};

use super::file::malformed;
use super::hashing::first_challenge;
use super::secrets::{Key, Knowledge, Which, same_ratio};
use crate::blake2b::{Blake2b, PARTIAL};
use crate::error::CeremonyError;
use crate::group::Group;
use crate::snarkjs::Point;
use crate::texts::{is_printable, printable};

const PART: &str = "the contributions";
/// A contributor's name in bytes at most.
pub(super) const MAX_NAME: usize = 64;
/// Binary logarithm of the iterations of a beacon that are repeated to check it: a few minutes.
const MAX_ITERATIONS_LOG2: u8 = 30;
/// Iterations of all beacons of a file together: two of the longest.
const MAX_ITERATIONS: u64 = 1 << 31;

/// Where a contribution's secrets come from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Origin {
    /// Somebody drew them.
    Person,
    /// Public randomness, hashed `2^iterations_log2` times with SHA-256.
    Beacon {
        /// Binary logarithm of the iterations.
        iterations_log2: u8,
        /// The randomness.
        value: Vec<u8>,
    },
}

/// One contribution as it stands in a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Contribution {
    /// What the contributor calls themselves, if anything.
    pub name: Option<String>,
    /// Where the secrets come from.
    pub origin: Origin,
    /// BLAKE2b-512 of the response, which contributors publish.
    pub response_hash: [u8; 64],
    /// The challenge to the next contributor.
    pub next_challenge: [u8; 64],
    pub(super) points: State,
    pub(super) key: Key,
    pub(super) partial: [u8; PARTIAL],
}

/// The first powers after a contribution.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct State {
    pub(super) tau_g1: G1Affine,
    pub(super) tau_g2: G2Affine,
    pub(super) alpha_g1: G1Affine,
    pub(super) beta_g1: G1Affine,
    pub(super) beta_g2: G2Affine,
}

impl State {
    /// Before the first contribution: τ = α = β = 1.
    pub(super) fn initial() -> Self {
        Self {
            tau_g1: G1Affine::generator(),
            tau_g2: G2Affine::generator(),
            alpha_g1: G1Affine::generator(),
            beta_g1: G1Affine::generator(),
            beta_g2: G2Affine::generator(),
        }
    }
}

/// Bytes that are read one after the other.
struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    fn take(&mut self, count: usize) -> Result<&'a [u8], CeremonyError> {
        let (taken, rest) = self
            .0
            .split_at_checked(count)
            .ok_or_else(|| malformed(PART, "they are cut short".to_owned()))?;
        self.0 = rest;
        Ok(taken)
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], CeremonyError> {
        let mut array = [0; N];
        array.copy_from_slice(self.take(N)?);
        Ok(array)
    }

    fn number(&mut self) -> Result<usize, CeremonyError> {
        Ok(u32::from_le_bytes(self.array()?) as usize)
    }

    fn byte(&mut self) -> Result<u8, CeremonyError> {
        let [byte] = self.array()?;
        Ok(byte)
    }

    /// A point of the subgroup that is not the identity.
    fn point<C: Group>(&mut self) -> Result<Affine<C>, CeremonyError>
    where
        Affine<C>: Point,
    {
        let bytes = self.take(<Affine<C> as Point>::BYTES)?;
        let refuse = |reason: &str| malformed(PART, reason.to_owned());
        let point = Affine::<C>::from_montgomery(bytes).map_err(refuse)?;
        if point.is_zero() {
            return Err(refuse("a point is the identity"));
        }
        if !point.is_in_correct_subgroup_assuming_on_curve() {
            return Err(refuse("a point is not in the subgroup of prime order"));
        }
        Ok(point)
    }
}

impl Contribution {
    /// All contributions of a section.
    pub(super) fn read_all(bytes: &[u8]) -> Result<Vec<Self>, CeremonyError> {
        let mut reader = Reader(bytes);
        let count = reader.number()?;
        let mut contributions = Vec::new();
        for _ in 0..count {
            contributions.push(Self::read(&mut reader)?);
        }
        if reader.0.is_empty() {
            return Ok(contributions);
        }
        Err(malformed(PART, "bytes follow the last one".to_owned()))
    }

    fn read(reader: &mut Reader<'_>) -> Result<Self, CeremonyError> {
        let points = State {
            tau_g1: reader.point()?,
            tau_g2: reader.point()?,
            alpha_g1: reader.point()?,
            beta_g1: reader.point()?,
            beta_g2: reader.point()?,
        };
        let mut g1 = [G1Affine::zero(); 6];
        for point in &mut g1 {
            *point = reader.point()?;
        }
        let mut g2 = [G2Affine::zero(); 3];
        for point in &mut g2 {
            *point = reader.point()?;
        }
        let key = Key::from_points(&g1, &g2);
        let partial = reader.array()?;
        let response_hash = response_hash(&partial, &key)
            .ok_or_else(|| malformed(PART, "a hasher's state is impossible".to_owned()))?;
        let next_challenge = reader.array()?;
        let kind = reader.number()?;
        let length = reader.number()?;
        let (name, beacon) = parameters(reader.take(length)?)?;
        let origin = match (kind, beacon) {
            (0, None) => Origin::Person,
            (1, Some((iterations_log2, value))) => Origin::Beacon {
                iterations_log2,
                value,
            },
            _ => {
                return Err(malformed(
                    PART,
                    "a kind and its parameters differ".to_owned(),
                ));
            }
        };
        Ok(Self {
            name,
            origin,
            response_hash,
            next_challenge,
            points,
            key,
            partial,
        })
    }

    /// Appends a person's contribution.
    pub(super) fn write(&self, out: &mut Vec<u8>) {
        let State {
            tau_g1,
            tau_g2,
            alpha_g1,
            beta_g1,
            beta_g2,
        } = &self.points;
        tau_g1.push_montgomery(out);
        tau_g2.push_montgomery(out);
        alpha_g1.push_montgomery(out);
        beta_g1.push_montgomery(out);
        beta_g2.push_montgomery(out);
        let (g1, g2) = self.key.points();
        for point in g1 {
            point.push_montgomery(out);
        }
        for point in g2 {
            point.push_montgomery(out);
        }
        out.extend_from_slice(&self.partial);
        out.extend_from_slice(&self.next_challenge);
        let mut parameters = Vec::new();
        let name = self.name.as_deref().unwrap_or_default();
        // Names are short, see `check_name`.
        if let (Ok(length), false) = (u8::try_from(name.len()), name.is_empty()) {
            parameters.extend([1, length]);
            parameters.extend_from_slice(name.as_bytes());
        }
        let length = u32::try_from(parameters.len()).unwrap_or(0);
        out.extend_from_slice(&0_u32.to_le_bytes());
        out.extend_from_slice(&length.to_le_bytes());
        out.extend_from_slice(&parameters);
    }

    /// Whether the contribution follows from the state before it and proves knowledge.
    pub(super) fn check(
        &self,
        number: usize,
        before: &State,
        challenge: &[u8; 64],
    ) -> Result<(), CeremonyError> {
        let invalid = |reason| CeremonyError::PtauContribution { number, reason };
        if let Origin::Beacon {
            iterations_log2,
            value,
        } = &self.origin
        {
            if *iterations_log2 > MAX_ITERATIONS_LOG2 {
                return Err(invalid("its beacon has too many iterations to repeat"));
            }
            if self.key != Key::of_beacon(&iterated(value, *iterations_log2), challenge) {
                return Err(invalid("its secrets are not those of its beacon"));
            }
        }
        let Key { tau, alpha, beta } = &self.key;
        let proven = |knowledge: &Knowledge, which| {
            let base = knowledge.base(which, challenge);
            let known = same_ratio(&knowledge.s, &knowledge.sx, &base, &knowledge.spx);
            known.then_some(base)
        };
        let (Some(tau_base), Some(alpha_base), Some(beta_base)) = (
            proven(tau, Which::Tau),
            proven(alpha, Which::Alpha),
            proven(beta, Which::Beta),
        ) else {
            return Err(invalid("a proof of knowledge does not hold"));
        };
        let after = &self.points;
        let follows = [
            same_ratio(&before.tau_g1, &after.tau_g1, &tau_base, &tau.spx),
            same_ratio(&tau.s, &tau.sx, &before.tau_g2, &after.tau_g2),
            same_ratio(&before.alpha_g1, &after.alpha_g1, &alpha_base, &alpha.spx),
            same_ratio(&before.beta_g1, &after.beta_g1, &beta_base, &beta.spx),
            same_ratio(&beta.s, &beta.sx, &before.beta_g2, &after.beta_g2),
        ];
        if follows != [true; 5] {
            return Err(invalid("it does not follow from the one before it"));
        }
        Ok(())
    }
}

/// The values of τ, α and β that were met, each by the x coordinate of its multiple of the generator.
struct Met(HashSet<(Which, Fq)>);

impl Met {
    fn new() -> Self {
        let x = G1Affine::generator().x;
        Self(
            [Which::Tau, Which::Alpha, Which::Beta]
                .map(|w| (w, x))
                .into(),
        )
    }

    /// Takes a state in, none of whose values was there before, up to their sign: a factor of 1, or the
    /// inverse of an earlier one, is no secret. Of secret factors it happens once in 2^253 times.
    fn meet(&mut self, state: &State) -> bool {
        [
            (Which::Tau, state.tau_g1.x),
            (Which::Alpha, state.alpha_g1.x),
            (Which::Beta, state.beta_g1.x),
        ]
        .into_iter()
        .all(|value| self.0.insert(value))
    }
}

/// Checks every contribution of a ceremony, and returns the last one's state.
pub(super) fn check_chain(
    contributions: &[Contribution],
    ceremony_power: u32,
) -> Result<State, CeremonyError> {
    let iterations = contributions
        .iter()
        .map(|contribution| match &contribution.origin {
            Origin::Person => 0,
            // What is longer than one beacon may be is refused with it.
            Origin::Beacon {
                iterations_log2, ..
            } => 1_u64 << iterations_log2.min(&MAX_ITERATIONS_LOG2),
        });
    if iterations.sum::<u64>() > MAX_ITERATIONS {
        return Err(CeremonyError::PtauUnsuitable {
            reason: "its beacons together take more iterations than are repeated".to_owned(),
        });
    }
    let mut state = State::initial();
    let mut challenge = first_challenge(ceremony_power);
    let mut met = Met::new();
    for (number, contribution) in (1..).zip(contributions) {
        contribution.check(number, &state, &challenge)?;
        if !met.meet(&contribution.points) {
            return Err(CeremonyError::PtauContribution {
                number,
                reason: "its factors leave a secret as it was, or take earlier ones back",
            });
        }
        state = contribution.points;
        challenge = contribution.next_challenge;
    }
    Ok(state)
}

/// The hash of a response whose hasher stopped before the proofs.
pub(super) fn response_hash(partial: &[u8; PARTIAL], key: &Key) -> Option<[u8; 64]> {
    let mut hasher = Blake2b::from_partial(partial)?;
    hasher.update(&key.uncompressed());
    Some(hasher.finish())
}

/// A name that can stand in a file.
pub(super) fn check_name(name: &str) -> Result<(), CeremonyError> {
    if name.len() <= MAX_NAME && is_printable(name, false) {
        return Ok(());
    }
    Err(CeremonyError::Name { most: MAX_NAME })
}

type Beacon = (u8, Vec<u8>);

fn parameters(bytes: &[u8]) -> Result<(Option<String>, Option<Beacon>), CeremonyError> {
    let mut reader = Reader(bytes);
    let (mut name, mut iterations, mut value) = (None, None, None);
    let mut last = 0;
    while !reader.0.is_empty() {
        let number = reader.byte()?;
        if number <= last {
            return Err(malformed(PART, "parameters are out of order".to_owned()));
        }
        last = number;
        match number {
            1 => {
                let length = reader.byte()?;
                let bytes = reader.take(length.into())?;
                name = Some(printable(&String::from_utf8_lossy(bytes)));
            }
            2 => iterations = Some(reader.byte()?),
            3 => {
                let length = reader.byte()?;
                value = Some(reader.take(length.into())?.to_vec());
            }
            _ => return Err(malformed(PART, "a parameter is unknown".to_owned())),
        }
    }
    match (iterations, value) {
        (None, None) => Ok((name, None)),
        (Some(iterations), Some(value)) => Ok((name, Some((iterations, value)))),
        _ => Err(malformed(PART, "a beacon is incomplete".to_owned())),
    }
}

/// Public randomness, hashed over and over.
fn iterated(value: &[u8], iterations_log2: u8) -> [u8; 32] {
    let mut digest: [u8; 32] = Sha256::digest(value).into();
    for _ in 1..1_u64 << iterations_log2 {
        digest = Sha256::digest(digest).into();
    }
    digest
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::phase1::secrets::Secrets;
    use ark_bn254::Fr;
    use ark_ec::CurveGroup;
    use ark_ff::Field as _;
    use zeroize::Zeroizing;

    /// A contribution to a state.
    fn contribution(before: &State, challenge: &[u8; 64], secrets: &Secrets) -> Contribution {
        let key = Key::prove(secrets, challenge).unwrap();
        let partial = Blake2b::default().to_partial();
        let times = |point: &G1Affine, factor: &Fr| (*point * factor).into_affine();
        Contribution {
            name: Some("somebody".to_owned()),
            origin: Origin::Person,
            response_hash: response_hash(&partial, &key).unwrap(),
            next_challenge: [9; 64],
            points: State {
                tau_g1: times(&before.tau_g1, &secrets.tau),
                tau_g2: (before.tau_g2 * *secrets.tau).into_affine(),
                alpha_g1: times(&before.alpha_g1, &secrets.alpha),
                beta_g1: times(&before.beta_g1, &secrets.beta),
                beta_g2: (before.beta_g2 * *secrets.beta).into_affine(),
            },
            key,
            partial,
        }
    }

    fn chain() -> Vec<Contribution> {
        let mut state = State::initial();
        let mut challenge = first_challenge(3);
        let mut chain = Vec::new();
        for _ in 0..3 {
            let next = contribution(&state, &challenge, &Secrets::from_system().unwrap());
            (state, challenge) = (next.points, next.next_challenge);
            chain.push(next);
        }
        chain
    }

    fn bytes(chain: &[Contribution]) -> Vec<u8> {
        let mut bytes = u32::try_from(chain.len()).unwrap().to_le_bytes().to_vec();
        for contribution in chain {
            contribution.write(&mut bytes);
        }
        bytes
    }

    #[test]
    fn chains_are_read_back_and_hold() {
        let chain = chain();
        let read = Contribution::read_all(&bytes(&chain)).unwrap();
        assert_eq!(read, chain);
        assert_eq!(check_chain(&read, 3).unwrap(), chain[2].points);
        // The first challenge is that of the ceremony's power.
        assert!(check_chain(&read, 4).is_err());
    }

    #[test]
    fn a_chain_with_a_link_dropped_swapped_or_changed_breaks() {
        let chain = chain();
        let code = |chain: &[Contribution]| check_chain(chain, 3).unwrap_err().code();
        let broken = "ptau-contribution-invalid";
        assert_eq!(code(&[chain[0].clone(), chain[2].clone()]), broken);
        assert_eq!(code(&chain[1..]), broken);
        assert_eq!(
            code(&[chain[1].clone(), chain[0].clone(), chain[2].clone()]),
            broken
        );
        let two = Fr::from(2);
        let double = |point: &mut G1Affine| *point = (*point * two).into_affine();
        let changes: [fn(&mut Contribution, &dyn Fn(&mut G1Affine)); 7] = [
            |c, double| double(&mut c.points.tau_g1),
            |c, double| double(&mut c.points.alpha_g1),
            |c, double| double(&mut c.points.beta_g1),
            |c, _| c.points.tau_g2 = c.points.beta_g2,
            |c, _| c.points.beta_g2 = c.points.tau_g2,
            |c, double| double(&mut c.key.tau.sx),
            |c, _| std::mem::swap(&mut c.key.alpha, &mut c.key.beta),
        ];
        for (number, change) in changes.into_iter().enumerate() {
            for place in 0..3 {
                let mut changed = chain.clone();
                change(&mut changed[place], &double);
                assert_eq!(code(&changed), broken, "change {number} of {place}");
            }
        }
        // Knowledge of a secret that is not the factor.
        let mut changed = chain.clone();
        let other = contribution(
            &chain[0].points,
            &chain[0].next_challenge,
            &Secrets::from_system().unwrap(),
        );
        changed[1].key = other.key;
        assert_eq!(code(&changed), broken);
    }

    #[test]
    fn factors_that_are_no_secret_are_refused() {
        let secrets = |[tau, alpha, beta]: [Fr; 3]| Secrets {
            tau: Zeroizing::new(tau),
            alpha: Zeroizing::new(alpha),
            beta: Zeroizing::new(beta),
        };
        let x = |value: u64| Fr::from(value);
        let over = |value: u64| x(value).inverse().unwrap();
        let cases: [(&str, &[[Fr; 3]]); 6] = [
            ("tau stays", &[[x(1), x(3), x(5)]]),
            ("alpha stays", &[[x(3), x(1), x(5)]]),
            ("beta stays", &[[x(3), x(5), x(1)]]),
            ("turned around", &[[-x(1), x(3), x(5)]]),
            ("taken back", &[[x(3), x(5), x(7)], [over(3), x(5), x(7)]]),
            (
                "taken back to the one before",
                &[
                    [x(3), x(5), x(7)],
                    [x(3), x(5), x(7)],
                    [x(5), -over(5), x(3)],
                ],
            ),
        ];
        for (what, factors) in cases {
            let mut state = State::initial();
            let mut challenge = first_challenge(3);
            let mut chain = Vec::new();
            for factors in factors {
                let next = contribution(&state, &challenge, &secrets(*factors));
                (state, challenge) = (next.points, next.next_challenge);
                chain.push(next);
            }
            let last = chain.len();
            assert!(check_chain(&chain[..last - 1], 3).is_ok(), "{what}");
            match check_chain(&chain, 3).unwrap_err() {
                CeremonyError::PtauContribution { number, reason } => {
                    assert_eq!(number, last, "{what}");
                    assert!(reason.contains("factors"), "{what}: {reason}");
                }
                other => panic!("{what}: {other}"),
            }
        }
    }

    #[test]
    fn beacons_that_would_take_days_are_not_computed() {
        let mut chain = chain();
        for contribution in &mut chain {
            contribution.origin = Origin::Beacon {
                iterations_log2: 30,
                value: vec![1],
            };
        }
        let error = check_chain(&chain, 3).unwrap_err();
        assert_eq!(error.code(), "ptau-unsuitable");
    }

    #[test]
    fn names_steer_no_terminal() {
        let mut chain = chain();
        chain[0].name = Some("\u{1b}[2JAda\n   2  Grace".to_owned());
        let read = Contribution::read_all(&bytes(&chain)).unwrap();
        assert_eq!(read[0].name.as_deref(), Some("[2JAda   2  Grace"));
    }

    #[test]
    fn a_beacon_is_computed_again() {
        let challenge = first_challenge(3);
        let origin = Origin::Beacon {
            iterations_log2: 10,
            value: vec![1, 2, 3],
        };
        let key = Key::of_beacon(&iterated(&[1, 2, 3], 10), &challenge);
        let mut with = contribution(
            &State::initial(),
            &challenge,
            &Secrets::from_system().unwrap(),
        );
        with.key = key;
        with.origin = origin;
        let reason = |c: &Contribution| match c.check(1, &State::initial(), &challenge) {
            Err(CeremonyError::PtauContribution { reason, .. }) => reason,
            other => panic!("{other:?}"),
        };
        // The points are of other secrets than the beacon's.
        assert_eq!(reason(&with), "it does not follow from the one before it");
        let beacon = |iterations_log2| Origin::Beacon {
            iterations_log2,
            value: vec![1, 2, 3],
        };
        with.origin = beacon(11);
        assert_eq!(reason(&with), "its secrets are not those of its beacon");
        with.origin = beacon(31);
        assert_eq!(
            reason(&with),
            "its beacon has too many iterations to repeat"
        );
    }

    #[test]
    fn malformed_records_are_refused() {
        let chain = chain();
        let good = bytes(&chain[..1]);
        for length in [0, 3, 4, 100, good.len() - 1] {
            let error = Contribution::read_all(&good[..length]).unwrap_err();
            assert_eq!(error.code(), "ptau-malformed", "{length}");
        }
        let refused = |change: &dyn Fn(&mut Vec<u8>)| {
            let mut bytes = good.clone();
            change(&mut bytes);
            Contribution::read_all(&bytes).unwrap_err().to_string()
        };
        let parameters = good.len() - "somebody".len() - 2;
        assert!(refused(&|b| b[0] = 2).contains("cut short"));
        assert!(refused(&|b| b.push(0)).contains("bytes follow"));
        assert!(refused(&|b| b[4] ^= 1).contains("curve"));
        assert!(refused(&|b| b[4..68].fill(0)).contains("identity"));
        assert!(refused(&|b| b[4..36].fill(0xff)).contains("order"));
        assert!(refused(&|b| b[parameters] = 4).contains("unknown"));
        assert!(refused(&|b| b[parameters] = 0).contains("out of order"));
        assert!(refused(&|b| b[parameters - 8] = 1).contains("kind"));
        assert!(refused(&|b| b[parameters + 1] = 9).contains("cut short"));
        let mut two = good.clone();
        two[parameters] = 2;
        two.truncate(parameters + 2);
        two[parameters - 4] = 2;
        let error = Contribution::read_all(&two).unwrap_err();
        assert!(error.to_string().contains("incomplete"), "{error}");
    }
}

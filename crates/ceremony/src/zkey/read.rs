//! Reading `.zkey` files.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{BufReader, Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};

use ark_bn254::{G1Affine, G2Affine};
use ark_groth16::VerifyingKey;
use proofmark_gadgets::Circuit;
use proofmark_prover::ceremony::{BeaconRecord, CeremonyRecord, ContributionRecord, HexBytes};
use proofmark_prover::subgroup::all_in_subgroup;
use proofmark_prover::{Progress, ProvingKey, QuotientForm, qap};
use proofmark_types::Digest;
use rayon::prelude::*;

use super::{
    BEACON_ITERATIONS, BEACON_VALUE, COEFFICIENT_BYTES, GROTH16, HEADER_BYTES, MAGIC,
    MODULUS_BYTES, NAME, coefficients, moduli, section,
};
use crate::error::CeremonyError;
use crate::phase2::chain::Share;
use crate::phase2::{Chain, InitialKey, verify_against};
use crate::snarkjs::Point;
use crate::texts::printable;

/// Most wires of a key that is read.
const MAX_WIRES: u32 = 1 << 28;
/// Most sections of a file that is read.
const MAX_SECTIONS: u32 = 64;
/// Most bytes of the section of contributions.
const MAX_CONTRIBUTIONS: u64 = 1 << 24;
/// Points read at a time.
const BLOCK: usize = 1 << 14;
/// Name of section 4.
const ENTRIES: &str = "entries of the matrices";

/// What a `.zkey` file holds. Of the matrices' entries it is a digest: a prover gets them from the
/// circuit. All points are on their curves and in their groups; nothing else is known about the key until
/// [`verify`](Zkey::verify).
#[derive(Debug, Clone)]
pub struct Zkey {
    /// The key.
    pub key: ProvingKey,
    /// The hash of the initial key that the file claims.
    pub initial_key: [u8; 64],
    /// The contributions.
    pub contributions: Vec<ContributionRecord>,
    /// The challenges that the file claims.
    challenges: Vec<[u8; 64]>,
    /// Of the matrices' entries.
    coefficients: Digest,
}

fn malformed(part: &'static str, reason: impl Into<String>) -> CeremonyError {
    CeremonyError::ZkeyMalformed {
        part,
        reason: reason.into(),
    }
}

/// A file's sections: number to place and length.
struct Source {
    file: BufReader<File>,
    path: PathBuf,
    sections: BTreeMap<u32, (u64, u64)>,
}

impl Source {
    fn open(path: &Path) -> Result<Self, CeremonyError> {
        let refuse = |error: &std::io::Error| CeremonyError::io("cannot read", path, error);
        let file = File::open(path).map_err(|e| refuse(&e))?;
        let length = file.metadata().map_err(|e| refuse(&e))?.len();
        let mut source = Self {
            file: BufReader::with_capacity(1 << 20, file),
            path: path.to_owned(),
            sections: BTreeMap::new(),
        };
        if length < 12 || source.array::<4>()? != *MAGIC {
            return Err(malformed("magic", "this is no .zkey file"));
        }
        let version = source.number()?;
        if !(1..=2).contains(&version) {
            return Err(malformed(
                "version",
                format!("version {version}, not 1 or 2"),
            ));
        }
        let sections = source.number()?;
        if sections > MAX_SECTIONS {
            return Err(malformed("sections", "there are more than a key has"));
        }
        let mut place = 12_u64;
        for _ in 0..sections {
            if length - place < 12 {
                return Err(malformed("sections", "there are fewer than the file says"));
            }
            let number = source.number()?;
            let bytes = u64::from_le_bytes(source.array()?);
            place += 12;
            let end = place.checked_add(bytes).filter(|end| *end <= length);
            let end = end.ok_or_else(|| malformed("sections", "one is longer than the file"))?;
            if source.sections.insert(number, (place, bytes)).is_some() {
                return Err(malformed("sections", "one occurs twice"));
            }
            place = end;
            source.seek(place)?;
        }
        if place != length {
            return Err(malformed("length", "the file goes on behind its sections"));
        }
        Ok(source)
    }

    fn seek(&mut self, place: u64) -> Result<(), CeremonyError> {
        self.file
            .seek(SeekFrom::Start(place))
            .map_err(|e| CeremonyError::io("cannot read", &self.path, &e))?;
        Ok(())
    }

    fn fill(&mut self, out: &mut [u8]) -> Result<(), CeremonyError> {
        self.file
            .read_exact(out)
            .map_err(|e| CeremonyError::io("cannot read", &self.path, &e))
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], CeremonyError> {
        let mut out = [0; N];
        self.fill(&mut out)?;
        Ok(out)
    }

    fn number(&mut self) -> Result<u32, CeremonyError> {
        self.array().map(u32::from_le_bytes)
    }

    /// Goes to a section and returns its length.
    fn section(&mut self, part: &'static str, number: u32) -> Result<u64, CeremonyError> {
        let section = self.sections.get(&number).copied();
        let (place, bytes) = section.ok_or_else(|| malformed(part, "the section is missing"))?;
        self.seek(place)?;
        Ok(bytes)
    }

    fn point<P: Point>(&mut self, part: &'static str) -> Result<P, CeremonyError> {
        let mut bytes = vec![0; P::BYTES];
        self.fill(&mut bytes)?;
        P::from_montgomery(&bytes).map_err(|reason| malformed(part, reason))
    }

    /// The points of a section, which must be so many.
    fn points<P: Point>(
        &mut self,
        part: &'static str,
        number: u32,
        count: usize,
        progress: &dyn Progress,
    ) -> Result<Vec<P>, CeremonyError> {
        let bytes = self.section(part, number)?;
        if bytes != P::BYTES as u64 * count as u64 {
            return Err(malformed(
                part,
                format!("{bytes} bytes are not {count} points"),
            ));
        }
        let mut points = Vec::with_capacity(count);
        let mut block = vec![0; P::BYTES * BLOCK.min(count)];
        progress.stage(part, 0, count as u64);
        while points.len() < count {
            let some = BLOCK.min(count - points.len());
            block.truncate(P::BYTES * some);
            self.fill(&mut block)?;
            let decoded: Result<Vec<P>, &'static str> =
                block.par_chunks(P::BYTES).map(P::from_montgomery).collect();
            points.extend(decoded.map_err(|reason| malformed(part, reason))?);
            progress.stage(part, points.len() as u64, count as u64);
        }
        Ok(points)
    }
}

impl Zkey {
    /// Reads a file.
    ///
    /// # Errors
    /// [`CeremonyError::ZkeyMalformed`], [`CeremonyError::Io`]; [`CeremonyError::Prover`] without
    /// randomness.
    pub fn read(path: &Path, progress: &dyn Progress) -> Result<Self, CeremonyError> {
        let mut source = Source::open(path)?;
        if source.section("protocol", section::PROTOCOL)? != 4 || source.number()? != GROTH16 {
            return Err(malformed("protocol", "it is not Groth16"));
        }
        if source.section("header", section::HEADER)? != HEADER_BYTES {
            return Err(malformed("header", "it has another length"));
        }
        for modulus in moduli() {
            if source.number()? != MODULUS_BYTES || source.array::<32>()? != *modulus {
                return Err(malformed("header", "the curve is not BN254"));
            }
        }
        let (wires, public, size) = (source.number()?, source.number()?, source.number()?);
        if wires > MAX_WIRES || public >= wires {
            return Err(malformed("header", "the counts in it are those of no key"));
        }
        // At most 2^32 fit.
        let count = |number: u32| number as usize;
        let (wires, public, size) = (count(wires), count(public), count(size));
        if qap::domain_size(size, QuotientForm::Standard) != Some(size) {
            return Err(malformed("header", "the domain's size is no power of two"));
        }
        let alpha_g1 = source.point("alpha")?;
        let beta_g1 = source.point("beta in G1")?;
        let beta_g2: G2Affine = source.point("beta in G2")?;
        let gamma_g2: G2Affine = source.point("gamma")?;
        let delta_g1 = source.point("delta in G1")?;
        let delta_g2: G2Affine = source.point("delta in G2")?;
        let mut query = |part, number, count| -> Result<Vec<G1Affine>, CeremonyError> {
            source.points(part, number, count, progress)
        };
        let gamma_abc_g1 = query("IC", section::IC, public + 1)?;
        let a_query = query("query A", section::A, wires)?;
        let b_g1_query = query("query B in G1", section::B_G1, wires)?;
        let l_query = query("query L", section::L, wires - public - 1)?;
        let h_query = query("query H", section::H, size)?;
        let b_g2_query: Vec<G2Affine> =
            source.points("query B in G2", section::B_G2, wires, progress)?;
        for (part, points) in [
            (
                "beta, gamma and delta in G2",
                &[beta_g2, gamma_g2, delta_g2][..],
            ),
            ("query B in G2", &b_g2_query),
        ] {
            if !all_in_subgroup(points)? {
                return Err(malformed(part, "a point is not in the subgroup of order r"));
            }
        }
        let coefficients = read_coefficients(&mut source, progress)?;
        let (initial_key, contributions, challenges) = read_contributions(&mut source)?;
        Ok(Self {
            coefficients,
            key: ProvingKey {
                form: QuotientForm::Standard,
                committed: None,
                groth16: ark_groth16::ProvingKey {
                    vk: VerifyingKey {
                        alpha_g1,
                        beta_g2,
                        gamma_g2,
                        delta_g2,
                        gamma_abc_g1,
                    },
                    beta_g1,
                    delta_g1,
                    a_query,
                    b_g1_query,
                    b_g2_query,
                    h_query,
                    l_query,
                },
            },
            initial_key,
            contributions,
            challenges,
        })
    }

    /// Verifies the key against circuit and phase 1, as `snarkjs zkey verify` does, and returns the
    /// record of its ceremony and the chain of its contributions. `initial` is the circuit's initial key.
    ///
    /// # Errors
    /// [`CeremonyError::CeremonyMismatch`] for the key of another circuit or phase 1; those of
    /// [`verify_key`](crate::phase2::verify_key).
    pub fn verify(
        &self,
        circuit: &Circuit,
        initial: &InitialKey,
        progress: &dyn Progress,
    ) -> Result<(CeremonyRecord, Chain), CeremonyError> {
        let coefficients = coefficients::digest(circuit).map_err(|e| malformed(ENTRIES, e))?;
        for (part, expected, got) in [
            ("circuit", initial.circuit, circuit.digest()),
            (ENTRIES, coefficients, self.coefficients),
        ] {
            if expected != got {
                return Err(CeremonyError::CeremonyMismatch {
                    part,
                    expected: expected.to_string(),
                    got: got.to_string(),
                });
            }
        }
        if self.initial_key != initial.hash {
            let text = |hash: &[u8; 64]| HexBytes(hash.to_vec()).to_hex();
            return Err(CeremonyError::CeremonyMismatch {
                part: "initial key",
                expected: text(&initial.hash),
                got: text(&self.initial_key),
            });
        }
        let chain = Chain::verify(&initial.hash, false, &self.contributions, progress)?;
        if chain.challenges != self.challenges {
            return Err(malformed(
                "contributions",
                "a transcript is not the chain's",
            ));
        }
        verify_against(initial, &chain, &self.key, progress)?;
        let record = CeremonyRecord {
            phase1: initial.phase1,
            initial_key: HexBytes(initial.hash.to_vec()),
            last_file: None,
            contributions: self.contributions.clone(),
        };
        Ok((record, chain))
    }
}

/// The matrices' entries, some at a time.
fn read_coefficients(
    source: &mut Source,
    progress: &dyn Progress,
) -> Result<Digest, CeremonyError> {
    let bytes = source.section(ENTRIES, section::COEFFICIENTS)?;
    let count = if bytes < 4 { 0 } else { source.number()? };
    let count = u64::from(count);
    if bytes != 4 + COEFFICIENT_BYTES * count {
        return Err(malformed(
            ENTRIES,
            format!("{bytes} bytes are not {count} entries"),
        ));
    }
    let mut summary = coefficients::Summary::default();
    for done in 0..count {
        if done.is_multiple_of(1 << 16) {
            progress.stage(ENTRIES, done, count);
        }
        let place = (source.number()?, source.number()?, source.number()?);
        let entry = (place.0, place.1, place.2, source.array()?);
        summary.push(entry).map_err(|e| malformed(ENTRIES, e))?;
    }
    progress.stage(ENTRIES, count, count);
    summary.finish().map_err(|e| malformed(ENTRIES, e))
}

/// The hash of the initial key, contributions and their challenges.
type Contributions = ([u8; 64], Vec<ContributionRecord>, Vec<[u8; 64]>);

/// Takes bytes off the front.
struct Cursor<'a>(&'a [u8]);

impl<'a> Cursor<'a> {
    fn take(&mut self, count: usize) -> Result<&'a [u8], CeremonyError> {
        let split = self.0.split_at_checked(count);
        let (head, rest) = split.ok_or_else(|| malformed("contributions", "they are cut short"))?;
        self.0 = rest;
        Ok(head)
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], CeremonyError> {
        let mut out = [0; N];
        out.copy_from_slice(self.take(N)?);
        Ok(out)
    }

    fn number(&mut self) -> Result<u32, CeremonyError> {
        self.array().map(u32::from_le_bytes)
    }

    fn byte(&mut self) -> Result<u8, CeremonyError> {
        self.array().map(|[byte]| byte)
    }

    fn point<P: Point>(&mut self) -> Result<P, CeremonyError> {
        P::from_montgomery(self.take(P::BYTES)?).map_err(|e| malformed("contributions", e))
    }
}

fn read_contributions(source: &mut Source) -> Result<Contributions, CeremonyError> {
    let bytes = source.section("contributions", section::CONTRIBUTIONS)?;
    let length = usize::try_from(bytes)
        .ok()
        .filter(|_| bytes <= MAX_CONTRIBUTIONS);
    let length = length.ok_or_else(|| malformed("contributions", "longer than is read"))?;
    let mut bytes = vec![0; length];
    source.fill(&mut bytes)?;
    let mut cursor = Cursor(&bytes);
    let hash = cursor.array()?;
    let count = cursor.number()?;
    let (mut records, mut challenges) = (Vec::new(), Vec::new());
    for _ in 0..count {
        let share = Share {
            after: cursor.point()?,
            s: cursor.point()?,
            sx: cursor.point()?,
            spx: cursor.point()?,
        };
        challenges.push(cursor.array()?);
        let kind = cursor.number()?;
        let length = cursor.number()? as usize;
        let mut parameters = Cursor(cursor.take(length)?);
        let (name, value, iterations) = read_parameters(&mut parameters)?;
        let beacon = match (kind, value, iterations) {
            (0, None, None) => None,
            (1, Some(value), Some(iterations_log2)) => Some(BeaconRecord {
                value: HexBytes(value),
                iterations_log2,
            }),
            _ => {
                return Err(malformed(
                    "contributions",
                    "one is of no kind that is known",
                ));
            }
        };
        records.push(ContributionRecord {
            name,
            statement: String::new(),
            previous: None,
            delta: share.record(),
            delta_committed: None,
            beacon,
        });
    }
    if !cursor.0.is_empty() {
        return Err(malformed("contributions", "more follows them"));
    }
    Ok((hash, records, challenges))
}

/// Name, beacon value, binary logarithm of its iterations.
type Parameters = (String, Option<Vec<u8>>, Option<u32>);

fn read_parameters(cursor: &mut Cursor<'_>) -> Result<Parameters, CeremonyError> {
    let (mut name, mut value, mut iterations) = (String::new(), None, None);
    let mut last = 0;
    while !cursor.0.is_empty() {
        let kind = cursor.byte()?;
        if kind <= last {
            return Err(malformed("contributions", "parameters are not in order"));
        }
        last = kind;
        match kind {
            NAME => {
                let length = usize::from(cursor.byte()?);
                name = printable(&String::from_utf8_lossy(cursor.take(length)?));
            }
            BEACON_ITERATIONS => iterations = Some(u32::from(cursor.byte()?)),
            BEACON_VALUE => {
                let length = usize::from(cursor.byte()?);
                value = Some(cursor.take(length)?.to_vec());
            }
            _ => return Err(malformed("contributions", "a parameter is not known")),
        }
    }
    Ok((name, value, iterations))
}

//! snarkjs's `.ptau` files, opened and read.
//!
//! `ptau`, version 1, number of sections (each `u32`); then the sections in any order: number
//! (`u32`), length (`u64`), contents. All numbers are little-endian. Points are affine coordinates,
//! 32 bytes each, in Montgomery form with the radix 2^256, little-endian, of G2 the real part first.
//!
//! | section | contents, for a power p |
//! | --- | --- |
//! | 1 | bytes of a coordinate (`u32`, 32), the base field's order, p, the ceremony's power (`u32`) |
//! | 2 | `τ^i·G1`, 2^(p+1) − 1 points |
//! | 3 | `τ^i·G2`, 2^p points |
//! | 4, 5 | `α·τ^i·G1`, `β·τ^i·G1`, 2^p points each |
//! | 6 | `β·G2` |
//! | 7 | contributions, see [`Contribution`] |
//! | 12 | prepared files: `L_i(τ)·G1` for the domains of 1, 2, … 2^(p+1) points, one behind the other; of the largest without the power `2^(p+1) − 1` |
//! | 13 | `L_i(τ)·G2` for the domains up to 2^p |
//! | 14, 15 | `α·L_i(τ)·G1`, `β·L_i(τ)·G1` for the domains up to 2^p |

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{Read as _, Seek as _, SeekFrom};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use ark_bn254::{Fq, G1Affine};
use ark_ec::AffineRepr;
use ark_ec::short_weierstrass::Affine;
use ark_ff::{BigInteger, PrimeField};
use proofmark_prover::Progress;
use proofmark_types::Digest;
use proofmark_types::digest::DigestStream;
use rayon::prelude::*;

use super::contribution::Contribution;
use super::tables::{
    ALPHA_LAGRANGE_G1, ALPHA_TAU_G1, BETA_G2, BETA_LAGRANGE_G1, BETA_TAU_G1, CONTRIBUTIONS, HEADER,
    LAGRANGE_G1, LAGRANGE_G2, TAU_G1, TAU_G2, Table,
};
use super::{Lagrange, MAX_POWER, Phase1};
use crate::error::CeremonyError;
use crate::group::{self, Group};
use crate::snarkjs::Point;

pub(super) const MAGIC: &[u8; 4] = b"ptau";
pub(super) const VERSION: u32 = 1;
const HEADER_BYTES: u64 = 44;
/// The contributions of the largest ceremony so far took 100 KiB.
const MAX_CONTRIBUTIONS_BYTES: u64 = 64 << 20;
/// Bytes hashed or copied at a time.
pub(super) const BLOCK: usize = 1 << 20;
/// Points decoded by one thread at a time.
const DECODED: usize = 1 << 10;

/// Takes a block of bytes, and how many there were up to its end.
pub(super) type Take<'a> = &'a mut dyn FnMut(&[u8], u64) -> Result<(), CeremonyError>;

/// Where a section's contents are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Extent {
    pub(super) start: u64,
    pub(super) length: u64,
}

/// An open `.ptau` file whose header and layout were checked. Points are checked for their group when
/// they are read; whether they are powers of one secret is for [`verify`](super::verify()) to check.
#[derive(Debug)]
pub struct Ptau {
    file: Mutex<File>,
    path: PathBuf,
    pub(super) power: u32,
    pub(super) ceremony_power: u32,
    sections: BTreeMap<u32, Extent>,
    length: u64,
}

impl Ptau {
    /// Opens a file and checks its header, and that every section has the length that its power
    /// gives.
    ///
    /// # Errors
    /// [`CeremonyError::Io`]; [`CeremonyError::PtauMalformed`] for anything that is not exactly a
    /// file of BN254; [`CeremonyError::PtauUnsuitable`] above [`MAX_POWER`].
    pub fn open(path: &Path) -> Result<Self, CeremonyError> {
        let io = |error: &std::io::Error| CeremonyError::io("cannot read", path, error);
        let file = File::open(path).map_err(|error| io(&error))?;
        let length = file.metadata().map_err(|error| io(&error))?.len();
        let mut ptau = Self {
            file: Mutex::new(file),
            path: path.to_owned(),
            power: 0,
            ceremony_power: 0,
            sections: BTreeMap::new(),
            length,
        };
        ptau.read_layout()?;
        ptau.read_header()?;
        ptau.check_lengths()?;
        Ok(ptau)
    }

    /// A view of a file that is being written.
    pub(super) fn unfinished(
        file: File,
        path: &Path,
        power: u32,
        sections: BTreeMap<u32, Extent>,
    ) -> Self {
        Self {
            file: Mutex::new(file),
            path: path.to_owned(),
            power,
            ceremony_power: power,
            length: 0,
            sections,
        }
    }

    /// Binary logarithm of the largest domain that the file is for.
    pub const fn power(&self) -> u32 {
        self.power
    }

    /// The power of the ceremony's own file, of which this one may be the beginning.
    pub const fn ceremony_power(&self) -> u32 {
        self.ceremony_power
    }

    /// Whether the file has Lagrange points.
    pub fn is_prepared(&self) -> bool {
        self.sections.contains_key(&LAGRANGE_G1.id)
    }

    /// SHA-256 of the whole file.
    ///
    /// # Errors
    /// [`CeremonyError::Io`].
    pub fn digest(&self, progress: &dyn Progress) -> Result<Digest, CeremonyError> {
        let mut stream = DigestStream::new();
        self.blocks(
            Extent {
                start: 0,
                length: self.length,
            },
            &mut |block, done| {
                stream.update(block);
                progress.stage("file digest", done, self.length);
                Ok(())
            },
        )?;
        Ok(stream.finish())
    }

    /// The contributions, in order; their proofs are not checked.
    ///
    /// # Errors
    /// [`CeremonyError::PtauMalformed`], also for points that are in no group.
    pub fn contributions(&self) -> Result<Vec<Contribution>, CeremonyError> {
        Contribution::read_all(&self.contribution_bytes()?)
    }

    pub(super) fn contribution_bytes(&self) -> Result<Vec<u8>, CeremonyError> {
        let extent = self.section(CONTRIBUTIONS, "the contributions")?;
        let mut bytes = vec![0; usize::try_from(extent.length).unwrap_or(usize::MAX)];
        self.read_at(extent.start, &mut bytes)?;
        Ok(bytes)
    }

    /// The powers that a domain of `2^power` points needs.
    ///
    /// # Errors
    /// [`CeremonyError::PtauUnsuitable`] above the file's power; [`CeremonyError::PtauMalformed`] for
    /// a point that is the identity or in no group.
    pub fn powers(&self, power: u32) -> Result<Phase1, CeremonyError> {
        self.check_power(power)?;
        let domain = 1_u64 << power;
        Ok(Phase1 {
            power,
            tau_g1: self.points(TAU_G1, 0, 2 * domain - 1)?,
            tau_g2: self.points(TAU_G2, 0, domain)?,
            alpha_tau_g1: self.points(ALPHA_TAU_G1, 0, domain)?,
            beta_tau_g1: self.points(BETA_TAU_G1, 0, domain)?,
            beta_g2: self.point(BETA_G2, 0)?,
        })
    }

    /// `τ^i·G1`: as many as a domain of `2^(power+1)` points has, and one less where the file ends
    /// before the last.
    ///
    /// # Errors
    /// As [`Ptau::powers`].
    pub fn tau_g1(&self, power: u32) -> Result<Vec<G1Affine>, CeremonyError> {
        self.check_power(power)?;
        let present = (2_u64 << power).min(TAU_G1.points(self.power));
        self.points(TAU_G1, 0, present)
    }

    /// The powers in the Lagrange basis of a domain of `2^power` points: from the file if it is
    /// prepared, computed otherwise (and the same then).
    ///
    /// # Errors
    /// As [`Ptau::powers`].
    pub fn lagrange(&self, power: u32, progress: &dyn Progress) -> Result<Lagrange, CeremonyError> {
        self.check_power(power)?;
        let domain = 1_u64 << power;
        let (alpha, beta) = (self.point(ALPHA_TAU_G1, 0)?, self.point(BETA_TAU_G1, 0)?);
        let beta_g2 = self.point(BETA_G2, 0)?;
        if self.is_prepared() {
            let doubled = self.points(LAGRANGE_G1, 2 * domain - 1, 2 * domain)?;
            return Ok(Lagrange {
                power,
                g1: self.points(LAGRANGE_G1, domain - 1, domain)?,
                g2: self.points(LAGRANGE_G2, domain - 1, domain)?,
                alpha_g1: self.points(ALPHA_LAGRANGE_G1, domain - 1, domain)?,
                beta_g1: self.points(BETA_LAGRANGE_G1, domain - 1, domain)?,
                odd_g1: doubled.into_iter().skip(1).step_by(2).collect(),
                alpha,
                beta,
                beta_g2,
            });
        }
        let names = ["Lagrange points in G1", "Lagrange points in G2"];
        let of_g1 = |table: Table<ark_bn254::g1::Config>| -> Result<_, CeremonyError> {
            let powers = self.points(table, 0, domain)?;
            Ok(group::lagrange(
                &powers,
                &super::prepare::counter(names[0], power, progress),
            ))
        };
        let doubled = self.domain_powers(TAU_G1, power + 1)?;
        Ok(Lagrange {
            power,
            g1: of_g1(TAU_G1)?,
            g2: group::lagrange(
                &self.points(TAU_G2, 0, domain)?,
                &super::prepare::counter(names[1], power, progress),
            ),
            alpha_g1: of_g1(ALPHA_TAU_G1)?,
            beta_g1: of_g1(BETA_TAU_G1)?,
            odd_g1: group::odd_lagrange(
                &doubled,
                &super::prepare::counter("odd Lagrange points", power, progress),
            ),
            alpha,
            beta,
            beta_g2,
        })
    }

    /// As many of a table's powers as a domain of `2^power` points has; the identity in the place
    /// of the last one where the file ends before it.
    pub(super) fn domain_powers<C: Group>(
        &self,
        table: Table<C>,
        power: u32,
    ) -> Result<Vec<Affine<C>>, CeremonyError>
    where
        Affine<C>: Point,
    {
        let wanted = 1_u64 << power;
        let present = wanted.min(table.points(self.power));
        let mut points = self.points(table, 0, present)?;
        if present < wanted {
            points.push(Affine::zero());
        }
        Ok(points)
    }

    fn check_power(&self, power: u32) -> Result<(), CeremonyError> {
        if power <= self.power {
            return Ok(());
        }
        Err(CeremonyError::PtauUnsuitable {
            reason: format!(
                "it has power {}, {power} is needed; take the file of a larger ceremony",
                self.power
            ),
        })
    }

    pub(super) fn section(&self, id: u32, part: &'static str) -> Result<Extent, CeremonyError> {
        let found = self.sections.get(&id).copied();
        found.ok_or_else(|| malformed(part, format!("section {id} is missing")))
    }

    /// One point of a table.
    pub(super) fn point<C: Group>(
        &self,
        table: Table<C>,
        index: u64,
    ) -> Result<Affine<C>, CeremonyError>
    where
        Affine<C>: Point,
    {
        let points = self.points(table, index, 1)?;
        let point = points.first().copied();
        point.ok_or_else(|| malformed(table.name, "it is empty".to_owned()))
    }

    /// Some points of a table: on their curve, in the subgroup, and none the identity.
    pub(super) fn points<C: Group>(
        &self,
        table: Table<C>,
        from: u64,
        count: u64,
    ) -> Result<Vec<Affine<C>>, CeremonyError>
    where
        Affine<C>: Point,
    {
        let points = self.points_on_curve(table, from, count)?;
        if points.par_iter().any(AffineRepr::is_zero) {
            return Err(malformed(table.name, "a point is the identity".to_owned()));
        }
        if !C::all_in_subgroup(&points)? {
            return Err(malformed(
                table.name,
                "a point is not in the subgroup of prime order".to_owned(),
            ));
        }
        Ok(points)
    }

    /// Some points of a table, checked to be on their curve only.
    pub(super) fn points_on_curve<C: Group>(
        &self,
        table: Table<C>,
        from: u64,
        count: u64,
    ) -> Result<Vec<Affine<C>>, CeremonyError>
    where
        Affine<C>: Point,
    {
        let size = <Affine<C> as Point>::BYTES;
        let extent = self.section(table.id, table.name)?;
        let end = from.saturating_add(count).saturating_mul(size as u64);
        if end > extent.length {
            return Err(malformed(table.name, "it is too short".to_owned()));
        }
        // The section is in the file, so this many bytes exist.
        let count = usize::try_from(count).unwrap_or(usize::MAX);
        let mut bytes = vec![0; count.saturating_mul(size)];
        self.read_at(extent.start + from * size as u64, &mut bytes)?;
        let mut points = vec![Affine::<C>::zero(); count];
        points
            .par_chunks_mut(DECODED)
            .zip(bytes.par_chunks(DECODED * size))
            .try_for_each(|(points, bytes)| {
                for (point, bytes) in points.iter_mut().zip(bytes.chunks(size)) {
                    *point = Point::from_montgomery(bytes)?;
                }
                Ok::<(), &'static str>(())
            })
            .map_err(|reason| malformed(table.name, reason.to_owned()))?;
        Ok(points)
    }

    /// Hands an extent's bytes on, block by block, with how many there were.
    pub(super) fn blocks(&self, extent: Extent, take: Take<'_>) -> Result<(), CeremonyError> {
        let mut buffer = vec![0; BLOCK];
        let mut done = 0;
        while done < extent.length {
            let rest = usize::try_from(extent.length - done).unwrap_or(BLOCK);
            let block = &mut buffer[..rest.min(BLOCK)];
            self.read_at(extent.start + done, block)?;
            done += block.len() as u64;
            take(block, done)?;
        }
        Ok(())
    }

    fn read_at(&self, offset: u64, bytes: &mut [u8]) -> Result<(), CeremonyError> {
        let mut file = self.file.lock().unwrap_or_else(PoisonError::into_inner);
        file.seek(SeekFrom::Start(offset))
            .and_then(|_| file.read_exact(bytes))
            .map_err(|error| CeremonyError::io("cannot read", &self.path, &error))
    }

    fn read_layout(&mut self) -> Result<(), CeremonyError> {
        let start = |reason: String| malformed("the beginning", reason);
        let mut head = [0; 12];
        if self.length < head.len() as u64 {
            return Err(start("it is too short".to_owned()));
        }
        self.read_at(0, &mut head)?;
        let [magic, version, count] = words(&head);
        if magic != *MAGIC {
            return Err(start("it does not begin with \"ptau\"".to_owned()));
        }
        let version = u32::from_le_bytes(version);
        if version != VERSION {
            return Err(start(format!("version {version} is not known")));
        }
        let mut position = 12;
        for _ in 0..u32::from_le_bytes(count) {
            let mut head = [0; 12];
            if self.length - position < head.len() as u64 {
                return Err(start("it ends before its last section".to_owned()));
            }
            self.read_at(position, &mut head)?;
            position += 12;
            let [id, low, high] = words(&head).map(u32::from_le_bytes);
            let length = u64::from(low) | u64::from(high) << 32;
            if length > self.length - position {
                return Err(start(format!("section {id} is longer than the file")));
            }
            let extent = Extent {
                start: position,
                length,
            };
            // Duplicates end this, so that it ends.
            if !KNOWN.contains(&id) || self.sections.insert(id, extent).is_some() {
                return Err(start(format!("section {id} is unknown or there twice")));
            }
            position += length;
        }
        if position == self.length {
            return Ok(());
        }
        Err(start("bytes follow its last section".to_owned()))
    }

    fn read_header(&mut self) -> Result<(), CeremonyError> {
        let header = |reason: &str| malformed("the header", reason.to_owned());
        let extent = self.section(HEADER, "the header")?;
        if extent.length != HEADER_BYTES {
            return Err(header("it has another length"));
        }
        let mut bytes = [0; 44];
        self.read_at(extent.start, &mut bytes)?;
        let [size, field @ .., power, ceremony_power]: [[u8; 4]; 11] = words(&bytes);
        if u32::from_le_bytes(size) != 32 || *field.as_flattened() != Fq::MODULUS.to_bytes_le() {
            return Err(header("the curve is not BN254"));
        }
        self.power = u32::from_le_bytes(power);
        self.ceremony_power = u32::from_le_bytes(ceremony_power);
        if self.power == 0 || self.power > self.ceremony_power || self.ceremony_power > 28 {
            return Err(header("no ceremony has these powers"));
        }
        if self.power > MAX_POWER {
            return Err(CeremonyError::PtauUnsuitable {
                reason: format!(
                    "power {} is not supported; take the ceremony's file of power {MAX_POWER}",
                    self.power
                ),
            });
        }
        Ok(())
    }

    fn check_lengths(&self) -> Result<(), CeremonyError> {
        self.check_length(TAU_G1)?;
        self.check_length(TAU_G2)?;
        self.check_length(ALPHA_TAU_G1)?;
        self.check_length(BETA_TAU_G1)?;
        self.check_length(BETA_G2)?;
        let contributions = self.section(CONTRIBUTIONS, "the contributions")?;
        if contributions.length > MAX_CONTRIBUTIONS_BYTES {
            return Err(malformed(
                "the contributions",
                "they are too many".to_owned(),
            ));
        }
        let lagrange = [
            LAGRANGE_G1.id,
            LAGRANGE_G2.id,
            ALPHA_LAGRANGE_G1.id,
            BETA_LAGRANGE_G1.id,
        ];
        if !lagrange.iter().any(|id| self.sections.contains_key(id)) {
            return Ok(());
        }
        self.check_length(LAGRANGE_G1)?;
        self.check_length(LAGRANGE_G2)?;
        self.check_length(ALPHA_LAGRANGE_G1)?;
        self.check_length(BETA_LAGRANGE_G1)
    }

    fn check_length<C: Group>(&self, table: Table<C>) -> Result<(), CeremonyError>
    where
        Affine<C>: Point,
    {
        let length = self.section(table.id, table.name)?.length;
        let expected = table.points(self.power) * <Affine<C> as Point>::BYTES as u64;
        if length == expected {
            return Ok(());
        }
        Err(malformed(
            table.name,
            format!(
                "{length} bytes, {expected} expected for power {}",
                self.power
            ),
        ))
    }
}

/// All sections that mean something.
const KNOWN: [u32; 11] = [1, 2, 3, 4, 5, 6, 7, 12, 13, 14, 15];

/// Bytes as words of four.
fn words<const N: usize>(bytes: &[u8]) -> [[u8; 4]; N] {
    let (words, _) = bytes.as_chunks::<4>();
    std::array::from_fn(|index| words.get(index).copied().unwrap_or_default())
}

pub(super) fn malformed(part: &'static str, reason: String) -> CeremonyError {
    CeremonyError::PtauMalformed { part, reason }
}

//! Contributions as files. A contributor needs the file before theirs and this program, nothing else.
//!
//! The format `proofmark/contribution/v1`, integers little-endian:
//!
//! | bytes | content |
//! | --- | --- |
//! | 32 | `proofmark/contribution/v1` and zero bytes |
//! | 4 | length of the header in bytes |
//! | … | the header: JSON, indented by two, members as in [`Header`], a newline at the end |
//! | 128 | δ in G2 |
//! | 128 | δc in G2; with a commitment only |
//! | 64 each | the points of the queries D, L and H, as in [proving key files](proofmark_prover::key_file) |
//!
//! Number 0, without a contribution, follows from circuit and phase 1; each later one holds the record
//! of all contributions so far and the SHA-256 of the file before. A file holds no secret.

use std::fs::File;
use std::io::{BufReader, Read, Write};
use std::path::Path;

use ark_bn254::{Fr, G1Affine, G2Affine};
use ark_ec::{AffineRepr, CurveGroup};
use proofmark_prover::ceremony::{CeremonyRecord, HexBytes};
use proofmark_prover::encoding::Encoded;
use proofmark_prover::{Progress, ProvingKey, QuotientForm, qap};
use proofmark_types::Digest;
use proofmark_types::digest::DigestStream;
use rayon::prelude::*;
use serde::{Deserialize, Serialize};

use super::apply::{divide, inverse};
use super::chain::{Chain, Factors, Texts, same_ratio};
use super::initial::InitialKey;
use super::verify::verify_against;
use crate::error::CeremonyError;
use crate::output;

/// First bytes of a file; also the header's `format`.
pub const FORMAT: &str = "proofmark/contribution/v1";
/// Bytes of the magic.
const MAGIC_BYTES: usize = 32;
/// Longest header, in bytes: that of some thousand contributions.
const MAX_HEADER: usize = 1 << 22;
/// Most points of a query.
const MAX_POINTS: u64 = 1 << 28;
/// Points read at a time.
const BLOCK: usize = 1 << 14;

/// What stands before the points.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Header {
    /// [`FORMAT`].
    pub format: String,
    /// Name of the circuit's proof system.
    pub backend: String,
    /// Digest of the circuit.
    pub circuit: Digest,
    /// Points of query D, or none without a commitment.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub d_query: Option<u64>,
    /// Points of query L.
    pub l_query: u64,
    /// Points of query H: the size of the domain.
    pub h_query: u64,
    /// Phase 1, initial key and all contributions so far.
    pub ceremony: CeremonyRecord,
}

impl Header {
    fn to_bytes(&self) -> Vec<u8> {
        // Strings, numbers and digests serialise without fail.
        let mut bytes = serde_json::to_vec_pretty(self).unwrap_or_default();
        bytes.push(b'\n');
        bytes
    }

    fn initial_hash(&self) -> Result<[u8; 64], CeremonyError> {
        let HexBytes(bytes) = &self.ceremony.initial_key;
        let hash = bytes.as_slice().try_into();
        hash.map_err(|_| malformed("initial key", "its hash has not 64 bytes"))
    }

    /// D, L, H.
    const fn counts(&self) -> [u64; 3] {
        let d_query = match self.d_query {
            Some(count) => count,
            None => 0,
        };
        [d_query, self.l_query, self.h_query]
    }

    /// The counts in words; that there is no query D is not the same as an empty one.
    fn sizes(&self) -> String {
        let d_query = self
            .d_query
            .map_or_else(|| "no".to_owned(), |count| count.to_string());
        format!("{d_query} D, {} L, {} H", self.l_query, self.h_query)
    }

    const fn committed(&self) -> bool {
        self.d_query.is_some()
    }
}

fn malformed(part: &'static str, reason: impl Into<String>) -> CeremonyError {
    CeremonyError::ContributionMalformed {
        part,
        reason: reason.into(),
    }
}

/// A contribution's file, open behind its header, whose contributions hold.
pub struct Contribution {
    /// The header.
    pub header: Header,
    /// What its contributions prove.
    pub chain: Chain,
    delta_g2: G2Affine,
    committed_g2: Option<G2Affine>,
    reader: Reader,
}

/// Reads and hashes.
struct Reader {
    inner: BufReader<File>,
    stream: DigestStream,
    path: std::path::PathBuf,
}

impl Reader {
    fn bytes(&mut self, out: &mut [u8]) -> Result<(), CeremonyError> {
        self.inner
            .read_exact(out)
            .map_err(|e| CeremonyError::io("cannot read", &self.path, &e))?;
        self.stream.update(out);
        Ok(())
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], CeremonyError> {
        let mut out = [0; N];
        self.bytes(&mut out)?;
        Ok(out)
    }

    fn delta(&mut self, in_g1: G1Affine) -> Result<G2Affine, CeremonyError> {
        let bytes: [u8; 128] = self.array()?;
        let point = G2Affine::decode(&bytes).map_err(|e| malformed("delta in G2", e))?;
        let generators = (G1Affine::generator(), G2Affine::generator());
        if !point.is_in_correct_subgroup_assuming_on_curve() {
            return Err(malformed("delta in G2", "not in the subgroup of order r"));
        }
        if !same_ratio((generators.0, in_g1), (generators.1, point)) {
            return Err(malformed(
                "delta in G2",
                "it is not the delta of the last contribution",
            ));
        }
        Ok(point)
    }
}

fn magic() -> [u8; MAGIC_BYTES] {
    let mut magic = [0; MAGIC_BYTES];
    for (place, byte) in magic.iter_mut().zip(FORMAT.bytes()) {
        *place = byte;
    }
    magic
}

/// Reads up to the end of the header, whose counts are those of a file of this length.
fn read_header(path: &Path) -> Result<(Header, Reader), CeremonyError> {
    let refuse = |error: &std::io::Error| CeremonyError::io("cannot read", path, error);
    let file = File::open(path).map_err(|e| refuse(&e))?;
    let length = file.metadata().map_err(|e| refuse(&e))?.len();
    let mut reader = Reader {
        inner: BufReader::with_capacity(1 << 20, file),
        stream: DigestStream::new(),
        path: path.to_owned(),
    };
    let fixed = (MAGIC_BYTES + 4) as u64;
    if length < fixed || reader.array::<MAGIC_BYTES>()? != magic() {
        return Err(malformed("magic", "this is no contribution"));
    }
    let header_bytes = u32::from_le_bytes(reader.array()?) as usize;
    if header_bytes > MAX_HEADER || fixed + header_bytes as u64 > length {
        return Err(malformed(
            "header",
            "it is longer than the file or than is read",
        ));
    }
    let mut bytes = vec![0; header_bytes];
    reader.bytes(&mut bytes)?;
    let header: Header =
        serde_json::from_slice(&bytes).map_err(|error| malformed("header", error.to_string()))?;
    if header.format != FORMAT || header.to_bytes() != bytes {
        return Err(malformed("header", "it is not in its one encoding"));
    }
    check_counts(&header)?;
    let deltas = 128 * (1 + u64::from(header.committed()));
    let points: u64 = header.counts().iter().sum();
    let expected = fixed + header_bytes as u64 + deltas + 64 * points;
    if length != expected {
        let reason = format!("{length} bytes, the header asks for {expected}");
        return Err(malformed("length", reason));
    }
    Ok((header, reader))
}

/// What a file tells of the contributions to it, none of which is verified.
///
/// # Errors
/// [`CeremonyError::Io`], [`CeremonyError::ContributionMalformed`].
pub fn header(path: &Path) -> Result<Header, CeremonyError> {
    Ok(read_header(path)?.0)
}

impl Contribution {
    /// Opens a file and verifies the contributions in its header, and that it is as long as the counts
    /// in it say.
    ///
    /// # Errors
    /// [`CeremonyError::Io`], [`CeremonyError::ContributionMalformed`],
    /// [`CeremonyError::ContributionInvalid`].
    pub fn open(path: &Path, progress: &dyn Progress) -> Result<Self, CeremonyError> {
        let (header, mut reader) = read_header(path)?;
        let hash = header.initial_hash()?;
        let records = &header.ceremony.contributions;
        let chain = Chain::verify(&hash, header.committed(), records, progress)?;
        let delta_g2 = reader.delta(chain.deltas.delta)?;
        let committed_g2 = match chain.deltas.committed {
            Some(in_g1) => Some(reader.delta(in_g1)?),
            None => None,
        };
        Ok(Self {
            header,
            chain,
            delta_g2,
            committed_g2,
            reader,
        })
    }

    /// Hands over the points of the next query, some at a time, with how many are done.
    fn query(
        &mut self,
        part: &'static str,
        count: u64,
        progress: &dyn Progress,
        mut take: impl FnMut(Vec<G1Affine>) -> Result<(), CeremonyError>,
    ) -> Result<(), CeremonyError> {
        let mut done = 0_u64;
        let mut block = vec![0; 64 * BLOCK];
        progress.stage(part, 0, count);
        while done < count {
            let some = (BLOCK as u64).min(count - done);
            // At most BLOCK.
            block.truncate(64 * usize::try_from(some).unwrap_or(BLOCK));
            self.reader.bytes(&mut block)?;
            let points: Result<Vec<G1Affine>, &'static str> =
                block.par_chunks(64).map(G1Affine::decode).collect();
            take(points.map_err(|reason| malformed(part, reason))?)?;
            done += some;
            progress.stage(part, done, count);
        }
        Ok(())
    }

    /// Reads the points and puts them into a copy of the initial key, whose contributions they are
    /// verified to be. Returns the key and the digest of the file.
    ///
    /// # Errors
    /// [`CeremonyError::CeremonyMismatch`] for a file of another circuit or phase 1; those of
    /// [`verify_against`]; [`CeremonyError::Io`]; [`CeremonyError::ContributionMalformed`].
    pub fn into_key(
        mut self,
        initial: &InitialKey,
        progress: &dyn Progress,
    ) -> Result<(ProvingKey, CeremonyRecord), CeremonyError> {
        self.check(initial)?;
        let [d, l, h] = self.header.counts();
        let mut read = |part, count| -> Result<Vec<G1Affine>, CeremonyError> {
            let mut points = Vec::new();
            self.query(part, count, progress, |block| {
                points.extend(block);
                Ok(())
            })?;
            Ok(points)
        };
        let (d_query, l_query, h_query) = (
            read("query D", d)?,
            read("query L", l)?,
            read("query H", h)?,
        );
        let mut key = initial.key.clone();
        key.groth16.delta_g1 = self.chain.deltas.delta;
        key.groth16.vk.delta_g2 = self.delta_g2;
        key.groth16.l_query = l_query;
        key.groth16.h_query = h_query;
        if let (Some(committed), Some(in_g1), Some(in_g2)) = (
            &mut key.committed,
            self.chain.deltas.committed,
            self.committed_g2,
        ) {
            committed.delta_g1 = in_g1;
            committed.delta_g2 = in_g2;
            committed.query = d_query;
        }
        verify_against(initial, &self.chain, &key, progress)?;
        let mut record = self.header.ceremony;
        record.last_file = Some(self.reader.stream.finish());
        Ok((key, record))
    }

    /// Whether the file is of this circuit and phase 1.
    ///
    /// # Errors
    /// [`CeremonyError::CeremonyMismatch`].
    pub fn check(&self, initial: &InitialKey) -> Result<(), CeremonyError> {
        let Header {
            backend,
            circuit,
            ceremony,
            ..
        } = &self.header;
        let hash = HexBytes(initial.hash.to_vec());
        let own = Header::of(initial);
        for (part, expected, got) in [
            ("proof system", own.backend.clone(), backend.clone()),
            ("circuit", initial.circuit.to_string(), circuit.to_string()),
            (
                "phase 1",
                initial.phase1.to_string(),
                ceremony.phase1.to_string(),
            ),
            ("initial key", hash.to_hex(), ceremony.initial_key.to_hex()),
            ("size of the queries", own.sizes(), self.header.sizes()),
        ] {
            if expected != got {
                return Err(CeremonyError::CeremonyMismatch {
                    part,
                    expected,
                    got,
                });
            }
        }
        Ok(())
    }
}

fn check_counts(header: &Header) -> Result<(), CeremonyError> {
    let [d, l, h] = header.counts();
    let domain = usize::try_from(h).ok();
    let is_domain =
        domain.is_some_and(|h| qap::domain_size(h, QuotientForm::Standard) == Some(h) && h > 0);
    if d > MAX_POINTS || l > MAX_POINTS || !is_domain {
        return Err(malformed("header", "the counts in it are those of no key"));
    }
    Ok(())
}

impl Header {
    /// The header of the file without a contribution.
    fn of(initial: &InitialKey) -> Self {
        Self {
            format: FORMAT.to_owned(),
            backend: initial.shape.backend.name().to_owned(),
            circuit: initial.circuit,
            d_query: initial
                .key
                .committed
                .as_ref()
                .map(|committed| committed.query.len() as u64),
            l_query: initial.key.groth16.l_query.len() as u64,
            h_query: initial.key.groth16.h_query.len() as u64,
            ceremony: CeremonyRecord {
                phase1: initial.phase1,
                initial_key: HexBytes(initial.hash.to_vec()),
                last_file: None,
                contributions: Vec::new(),
            },
        }
    }
}

fn write_points<G: Encoded>(
    path: &Path,
    out: &mut impl Write,
    points: &[G],
) -> Result<(), CeremonyError> {
    let mut block = Vec::with_capacity(G::BYTES * BLOCK.min(points.len()));
    for points in points.chunks(BLOCK) {
        block.clear();
        for point in points {
            point.encode(&mut block);
        }
        out.write_all(&block)
            .map_err(|e| CeremonyError::io("cannot write", path, &e))?;
    }
    Ok(())
}

fn write_header(path: &Path, out: &mut impl Write, header: &Header) -> Result<(), CeremonyError> {
    let bytes = header.to_bytes();
    let length = u32::try_from(bytes.len()).ok();
    let length = length.filter(|length| *length as usize <= MAX_HEADER);
    let length = length.ok_or_else(|| malformed("header", "there are too many contributions"))?;
    out.write_all(&magic())
        .and_then(|()| out.write_all(&length.to_le_bytes()))
        .and_then(|()| out.write_all(&bytes))
        .map_err(|e| CeremonyError::io("cannot write", path, &e))
}

/// Writes number 0, to which the first contributor contributes. Returns the file's digest.
///
/// # Errors
/// [`CeremonyError::Io`].
pub fn write_initial(path: &Path, initial: &InitialKey) -> Result<Digest, CeremonyError> {
    let key = &initial.key;
    output::create(path, |out| {
        write_header(path, out, &Header::of(initial))?;
        write_points(path, out, &[key.groth16.vk.delta_g2])?;
        if let Some(committed) = &key.committed {
            write_points(path, out, &[committed.delta_g2])?;
            write_points(path, out, &committed.query)?;
        }
        write_points(path, out, &key.groth16.l_query)?;
        write_points(path, out, &key.groth16.h_query)
    })
}

/// A contribution that was made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Made {
    /// Its number, from 1.
    pub number: usize,
    /// Its hash, by which its maker finds it in the final key.
    pub hash: [u8; 64],
    /// SHA-256 of its file.
    pub file: Digest,
}

/// Contributes to the file `previous`, writing `path`. The factors are wiped by their owner; what
/// registers and the stacks of worker threads keep is beyond a library's reach.
///
/// # Errors
/// Those of [`Contribution::open`] for the previous file; [`CeremonyError::Beacon`] when it ends with
/// a beacon; [`CeremonyError::Io`].
pub fn contribute(
    previous: &Path,
    path: &Path,
    factors: &Factors,
    texts: Texts,
    progress: &dyn Progress,
) -> Result<Made, CeremonyError> {
    let digest = output::file_digest(previous)?;
    let mut source = Contribution::open(previous, progress)?;
    let last = source.header.ceremony.contributions.last();
    if last.is_some_and(|record| record.beacon.is_some()) {
        return Err(CeremonyError::Beacon {
            reason: "a beacon ends the ceremony; contribute to the file before it",
        });
    }
    let mut chain = source.chain.clone();
    let record = chain.contribute(factors, texts, Some(digest))?;
    let mut header = source.header.clone();
    header.ceremony.contributions.push(record);
    let number = header.ceremony.contributions.len();
    let hash = chain.hashes.last().copied().unwrap_or([0; 64]);
    let over = inverse(&factors.delta)?;
    let times = |point: G2Affine, factor: &Fr| (point * factor).into_affine();
    let committed = match (&factors.committed, source.committed_g2) {
        (Some((factor, _)), Some(delta)) => Some((inverse(factor)?, times(delta, factor))),
        _ => None,
    };
    let delta = times(source.delta_g2, &factors.delta);
    let [d, l, h] = header.counts();
    let file = output::create(path, |out| {
        write_header(path, out, &header)?;
        write_points(path, out, &[delta])?;
        if let Some((over, delta)) = &committed {
            write_points(path, out, &[*delta])?;
            source.query("query D", d, progress, |mut points| {
                divide(&mut points, over);
                write_points(path, out, &points)
            })?;
        }
        for (part, count) in [("query L", l), ("query H", h)] {
            source.query(part, count, progress, |mut points| {
                divide(&mut points, &over);
                write_points(path, out, &points)
            })?;
        }
        // What was read twice is the same.
        let read = std::mem::take(&mut source.reader.stream).finish();
        if read != digest {
            return Err(CeremonyError::CeremonyMismatch {
                part: "previous file while it was read",
                expected: digest.to_string(),
                got: read.to_string(),
            });
        }
        Ok(())
    })?;
    Ok(Made { number, hash, file })
}

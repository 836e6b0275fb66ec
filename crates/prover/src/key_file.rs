//! Proving keys on disk.
//!
//! The format, all integers little-endian, version 2:
//!
//! | bytes | content |
//! | --- | --- |
//! | 16 | `proofmark/pkey` and two zero bytes |
//! | 4 | version, 2 |
//! | 4 | backend: 0 plain, 1 with a commitment |
//! | 4 | form of the quotient: 0 standard, 1 folded |
//! | 32 | circuit digest |
//! | 8 each | number of points in IC, A, B in G1, B in G2, D, L, H (H: the size of the domain) |
//! | 64 each | α, β, δ, δc in G1 |
//! | 128 each | β, γ, δ, δc in G2 |
//! | 64 or 128 each | the points of IC, A, B in G1, B in G2, D, L, H |
//!
//! Without a commitment δc is absent in both groups, and D is empty.
//!
//! A point is affine and uncompressed, x before y, each coordinate 32 bytes (G2: first the real,
//! then the imaginary part) below the base field's order; the identity is all zeros. So each key
//! has exactly one encoding, and its digest names it.
//!
//! A key holds no secret. What an attacker gains who replaces the file: nothing, its digest is
//! pinned. What a malicious maker of a key whose digest is pinned gains from points off the curve
//! or outside the subgroup: nothing, they are refused on load. That the key was made *from the
//! circuit* is not visible in it; the transcript and an audit say so.

use std::fs::File;
use std::io::{self, BufWriter, Read, Write};
use std::path::Path;

use ark_bn254::{G1Affine, G2Affine};
use ark_groth16::VerifyingKey;
use proofmark_types::Digest;
use proofmark_types::digest::DigestStream;
use rayon::prelude::*;

use crate::encoding::Encoded;
use crate::error::ProverError;
use crate::key::{CommittedKey, ProvingKey, check_strength};
use crate::qap::{QuotientForm, is_domain_size};
use crate::subgroup::all_in_subgroup;

const MAGIC: &[u8; 16] = b"proofmark/pkey\0\0";
const VERSION: u32 = 2;
/// Magic, version, backend, form, circuit digest, seven counts.
const HEADER_BYTES: u64 = 16 + 3 * 4 + 32 + 7 * 8;
/// α, β, δ and β, γ, δ.
const FIXED_BYTES: u64 = 3 * 64 + 3 * 128;
/// δc in both groups.
const COMMITTED_BYTES: u64 = 64 + 128;
/// Most wires of a key that is read.
const MAX_WIRES: usize = 1 << 28;
/// Points read at a time.
const BLOCK: usize = 1 << 14;

/// A proving key that passed all checks of [`load`].
#[derive(Debug, Clone)]
pub struct LoadedKey {
    /// Digest of the circuit that the file says it was made for: the one asked for.
    pub circuit: Digest,
    /// Digest of the file's bytes: the one asked for.
    pub digest: Digest,
    /// The key.
    pub key: ProvingKey,
}

/// Writes to a file and hashes what is written.
struct Hashed<T> {
    inner: T,
    stream: DigestStream,
}

impl<T> Hashed<T> {
    fn new(inner: T) -> Self {
        Self {
            inner,
            stream: DigestStream::new(),
        }
    }
}

impl<W: Write> Write for Hashed<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = self.inner.write(bytes)?;
        self.stream.update(bytes.get(..written).unwrap_or(bytes));
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.inner.flush()
    }
}

fn write_points<G: Encoded>(out: &mut impl Write, points: &[G]) -> io::Result<()> {
    let mut block = Vec::with_capacity(G::BYTES * BLOCK.min(points.len()));
    for points in points.chunks(BLOCK) {
        block.clear();
        for point in points {
            point.encode(&mut block);
        }
        out.write_all(&block)?;
    }
    Ok(())
}

fn write_key(out: &mut impl Write, circuit: &Digest, key: &ProvingKey) -> io::Result<()> {
    let ProvingKey {
        form,
        groth16,
        committed,
    } = key;
    let vk = &groth16.vk;
    let d_query = committed.as_ref().map_or(&[][..], |c| &c.query);
    out.write_all(MAGIC)?;
    out.write_all(&VERSION.to_le_bytes())?;
    out.write_all(&u32::from(committed.is_some()).to_le_bytes())?;
    out.write_all(&form_number(*form).to_le_bytes())?;
    out.write_all(circuit.as_bytes())?;
    for count in [
        vk.gamma_abc_g1.len(),
        groth16.a_query.len(),
        groth16.b_g1_query.len(),
        groth16.b_g2_query.len(),
        d_query.len(),
        groth16.l_query.len(),
        groth16.h_query.len(),
    ] {
        out.write_all(&(count as u64).to_le_bytes())?;
    }
    write_points(out, &[vk.alpha_g1, groth16.beta_g1, groth16.delta_g1])?;
    if let Some(committed) = committed {
        write_points(out, &[committed.delta_g1])?;
    }
    write_points(out, &[vk.beta_g2, vk.gamma_g2, vk.delta_g2])?;
    if let Some(committed) = committed {
        write_points(out, &[committed.delta_g2])?;
    }
    write_points(out, &vk.gamma_abc_g1)?;
    write_points(out, &groth16.a_query)?;
    write_points(out, &groth16.b_g1_query)?;
    write_points(out, &groth16.b_g2_query)?;
    write_points(out, d_query)?;
    write_points(out, &groth16.l_query)?;
    write_points(out, &groth16.h_query)
}

const fn form_number(form: QuotientForm) -> u32 {
    match form {
        QuotientForm::Standard => 0,
        QuotientForm::Folded => 1,
    }
}

/// Writes a key and returns the digest of the file's bytes. The file appears whole or not at all:
/// it is written beside `path`, synced and renamed.
///
/// # Errors
/// [`ProverError::Io`].
pub fn write(path: &Path, circuit: &Digest, key: &ProvingKey) -> Result<Digest, ProverError> {
    let refuse = |error: &io::Error| ProverError::io("cannot write", path, error);
    let folder = match path.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        _ => Path::new("."),
    };
    let mut builder = tempfile::Builder::new();
    builder.prefix(".proving-key-");
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        // As any file that is no secret; the process's umask still applies.
        builder.permissions(std::fs::Permissions::from_mode(0o666));
    }
    let temporary = builder.tempfile_in(folder).map_err(|e| refuse(&e))?;
    let mut out = Hashed::new(BufWriter::with_capacity(1 << 20, temporary));
    write_key(&mut out, circuit, key)
        .and_then(|()| out.flush())
        .map_err(|e| refuse(&e))?;
    let digest = out.stream.finish();
    let temporary = out
        .inner
        .into_inner()
        .map_err(|e| refuse(&e.into_error()))?;
    temporary.as_file().sync_all().map_err(|e| refuse(&e))?;
    temporary.persist(path).map_err(|e| refuse(&e.error))?;
    // The rename is durable once the folder is; where folders cannot be opened it is best effort.
    if let Ok(folder) = File::open(folder) {
        drop(folder.sync_all());
    }
    Ok(digest)
}

/// The digest of a file's bytes, read as a stream.
///
/// # Errors
/// [`ProverError::Io`].
pub fn digest(path: &Path) -> Result<Digest, ProverError> {
    let refuse = |error: &io::Error| ProverError::io("cannot read", path, error);
    let mut file = File::open(path).map_err(|e| refuse(&e))?;
    let mut stream = DigestStream::new();
    let mut block = vec![0_u8; 1 << 20];
    loop {
        let read = match file.read(&mut block) {
            Ok(0) => return Ok(stream.finish()),
            Ok(read) => read,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => return Err(refuse(&error)),
        };
        stream.update(block.get(..read).unwrap_or_default());
    }
}

/// Reads and hashes; remembers the first malformed point, so that a file with another digest is
/// reported as such and not by what its damage happens to look like.
struct Reader<'a, R> {
    path: &'a Path,
    inner: R,
    stream: DigestStream,
    malformed: Option<ProverError>,
}

impl<R: Read> Reader<'_, R> {
    fn bytes(&mut self, out: &mut [u8]) -> Result<(), ProverError> {
        self.inner
            .read_exact(out)
            .map_err(|e| ProverError::io("cannot read", self.path, &e))?;
        self.stream.update(out);
        Ok(())
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], ProverError> {
        let mut out = [0; N];
        self.bytes(&mut out)?;
        Ok(out)
    }

    fn points<G: Encoded>(
        &mut self,
        part: &'static str,
        count: usize,
    ) -> Result<Vec<G>, ProverError> {
        let mut points = Vec::new();
        points
            .try_reserve_exact(count)
            .map_err(|_| malformed(part, "does not fit this machine's memory"))?;
        let mut block = vec![0; G::BYTES * BLOCK.min(count)];
        while points.len() < count {
            let some = BLOCK.min(count - points.len());
            block.truncate(some * G::BYTES);
            self.bytes(&mut block)?;
            let decoded: Result<Vec<G>, &'static str> =
                block.par_chunks(G::BYTES).map(G::decode).collect();
            match decoded {
                Ok(decoded) => points.extend(decoded),
                Err(reason) => {
                    points.resize(points.len() + some, G::zero());
                    self.malformed.get_or_insert(ProverError::KeyMalformed {
                        part,
                        reason: reason.to_owned(),
                    });
                }
            }
        }
        Ok(points)
    }
}

fn malformed(part: &'static str, reason: impl Into<String>) -> ProverError {
    ProverError::KeyMalformed {
        part,
        reason: reason.into(),
    }
}

/// What stands before the points.
struct Header {
    committed: bool,
    form: QuotientForm,
    circuit: Digest,
    /// IC, A, B in G1, B in G2, D, L, H.
    counts: [usize; 7],
}

impl Header {
    /// Reads the header of a file of `length` bytes, and checks that the counts in it are those of
    /// a circuit and of the length.
    fn read<R: Read>(reader: &mut Reader<'_, R>, length: u64) -> Result<Self, ProverError> {
        if length < HEADER_BYTES + FIXED_BYTES {
            return Err(malformed("length", format!("{length} bytes are no key")));
        }
        if reader.array::<16>()? != *MAGIC {
            return Err(malformed("magic", "this is not a proving key of Proofmark"));
        }
        let version = u32::from_le_bytes(reader.array()?);
        if version != VERSION {
            let reason = match version {
                1 => format!("version 1, made by an earlier release; only {VERSION} is read"),
                _ => format!("version {version}, this software reads {VERSION}"),
            };
            return Err(malformed("version", reason));
        }
        let committed = match u32::from_le_bytes(reader.array()?) {
            0 => false,
            1 => true,
            other => return Err(malformed("backend", format!("number {other} is none"))),
        };
        let form = match u32::from_le_bytes(reader.array()?) {
            0 => QuotientForm::Standard,
            1 => QuotientForm::Folded,
            other => return Err(malformed("form", format!("number {other} is none"))),
        };
        let circuit = Digest::from_bytes(reader.array()?);
        let fixed = FIXED_BYTES + if committed { COMMITTED_BYTES } else { 0 };
        let mut claimed = Some(HEADER_BYTES + fixed);
        let mut counts = [0_usize; 7];
        for (count, bytes) in counts.iter_mut().zip([64_u64, 64, 64, 128, 64, 64, 64]) {
            let number = u64::from_le_bytes(reader.array()?);
            claimed = number
                .checked_mul(bytes)
                .and_then(|more| claimed?.checked_add(more));
            *count = usize::try_from(number)
                .map_err(|_| malformed("counts", "larger than this machine's memory"))?;
        }
        if claimed != Some(length) {
            let reason = match claimed {
                Some(claimed) => format!("{length} bytes, the counts in it need {claimed}"),
                None => format!("{length} bytes, the counts in it need more than 2^64"),
            };
            return Err(malformed("length", reason));
        }
        let [ic, a, b_g1, b_g2, d, l, h] = counts;
        let wires = ic.checked_add(d).and_then(|some| some.checked_add(l));
        // With a commitment, which may be to nothing, IC has the constant and the challenge.
        let consistent = a == b_g1
            && a == b_g2
            && wires == Some(a)
            && ic > usize::from(committed)
            && (committed || d == 0)
            && a <= MAX_WIRES
            && is_domain_size(h, form)
            && ic <= h;
        if !consistent {
            return Err(malformed("counts", "they are those of no circuit"));
        }
        Ok(Self {
            committed,
            form,
            circuit,
            counts,
        })
    }
}

/// Loads a key, if it is the one with digest `expected` and made for `circuit`.
///
/// Checked, in this order: the header, and that the counts in it are those of a circuit and of the file's
/// length, before anything is allocated by them; the digest; that all points are on their curves and those of G2
/// in the subgroup (the cofactor of G1 is 1); the key's strength (see
/// [`check_strength`]); the circuit. The identity inside a query is normal: that wire does not
/// occur there.
///
/// # Errors
/// [`ProverError::Io`], [`ProverError::KeyMalformed`] (also for files of version 1),
/// [`ProverError::KeyDigest`], [`ProverError::KeyDegenerate`], [`ProverError::KeyCircuit`],
/// [`ProverError::Randomness`].
pub fn load(path: &Path, expected: &Digest, circuit: &Digest) -> Result<LoadedKey, ProverError> {
    let refuse = |error: &io::Error| ProverError::io("cannot read", path, error);
    let file = File::open(path).map_err(|e| refuse(&e))?;
    let length = file.metadata().map_err(|e| refuse(&e))?.len();
    let mut reader = Reader {
        path,
        inner: file,
        stream: DigestStream::new(),
        malformed: None,
    };
    let Header {
        committed,
        form,
        circuit: made_for,
        counts,
    } = Header::read(&mut reader, length)?;
    let [ic, a, b_g1, b_g2, d, l, h] = counts;
    let fixed = 3 + usize::from(committed);
    let fixed_g1: Vec<G1Affine> = reader.points("alpha, beta and deltas in G1", fixed)?;
    let fixed_g2: Vec<G2Affine> = reader.points("beta, gamma and deltas in G2", fixed)?;
    let gamma_abc_g1 = reader.points("IC", ic)?;
    let a_query = reader.points("query A", a)?;
    let b_g1_query = reader.points("query B in G1", b_g1)?;
    let b_g2_query = reader.points("query B in G2", b_g2)?;
    let d_query = reader.points("query D", d)?;
    let l_query = reader.points("query L", l)?;
    let h_query = reader.points("query H", h)?;
    let digest = reader.stream.finish();
    if digest != *expected {
        return Err(ProverError::KeyDigest {
            expected: *expected,
            got: digest,
        });
    }
    if let Some(error) = reader.malformed {
        return Err(error);
    }
    let (
        [alpha_g1, beta_g1, delta_g1, committed_g1 @ ..],
        [beta_g2, gamma_g2, delta_g2, committed_g2 @ ..],
    ) = (fixed_g1.as_slice(), fixed_g2.as_slice())
    else {
        return Err(malformed("length", "fixed points are missing"));
    };
    for (part, points) in [
        ("beta, gamma and deltas in G2", fixed_g2.as_slice()),
        ("query B in G2", &b_g2_query),
    ] {
        if !all_in_subgroup(points)? {
            return Err(malformed(part, "a point is not in the subgroup of order r"));
        }
    }
    let groth16 = ark_groth16::ProvingKey {
        vk: VerifyingKey {
            alpha_g1: *alpha_g1,
            beta_g2: *beta_g2,
            gamma_g2: *gamma_g2,
            delta_g2: *delta_g2,
            gamma_abc_g1,
        },
        beta_g1: *beta_g1,
        delta_g1: *delta_g1,
        a_query,
        b_g1_query,
        b_g2_query,
        h_query,
        l_query,
    };
    let committed = committed_g1
        .first()
        .zip(committed_g2.first())
        .map(|(delta_g1, delta_g2)| CommittedKey {
            delta_g1: *delta_g1,
            delta_g2: *delta_g2,
            query: d_query,
        });
    let key = ProvingKey {
        form,
        groth16,
        committed,
    };
    check_strength(&key)?;
    if made_for != *circuit {
        return Err(ProverError::KeyCircuit {
            expected: *circuit,
            got: made_for,
        });
    }
    Ok(LoadedKey {
        circuit: made_for,
        digest,
        key,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::generator::{NoProgress, unsafe_dev_setup};
    use crate::testing::{committed_circuit, random_circuit};
    use ark_bn254::{Fq2, Fr};
    use ark_ec::{AffineRepr, CurveGroup};
    use proofmark_gadgets::Circuit;
    use std::fs;
    use std::path::PathBuf;

    type Spoil<'a> = &'a dyn Fn(&mut ProvingKey);

    struct Fixture {
        folder: tempfile::TempDir,
        circuit: Digest,
        key: ProvingKey,
    }

    impl Fixture {
        fn of(circuit: &Circuit, form: QuotientForm) -> Self {
            Self {
                folder: tempfile::tempdir().unwrap(),
                circuit: circuit.digest(),
                key: unsafe_dev_setup(circuit, [30; 32], form, &NoProgress).unwrap(),
            }
        }

        fn plain() -> Self {
            Self::of(&random_circuit(30, 2, 150).0, QuotientForm::Folded)
        }

        fn committed() -> Self {
            Self::of(&committed_circuit(2, 150), QuotientForm::Folded)
        }

        /// The key's bytes, written and not pinned.
        fn bytes(&self) -> Vec<u8> {
            write(&self.path(), &self.circuit, &self.key).unwrap();
            fs::read(self.path()).unwrap()
        }

        /// Lengths of the file's sections, in order: magic, version, backend, form, circuit,
        /// counts, fixed points of G1 and G2, then the points of IC, A, B, B, D, L, H.
        fn sections(&self) -> Vec<usize> {
            let key = &self.key.groth16;
            let (fixed, d) = match &self.key.committed {
                Some(committed) => (4, committed.query.len()),
                None => (3, 0),
            };
            vec![
                16,
                4,
                4,
                4,
                32,
                56,
                fixed * 64,
                fixed * 128,
                64 * key.vk.gamma_abc_g1.len(),
                64 * key.a_query.len(),
                64 * key.b_g1_query.len(),
                128 * key.b_g2_query.len(),
                64 * d,
                64 * key.l_query.len(),
                64 * key.h_query.len(),
            ]
        }

        /// Where a section begins.
        fn at(&self, section: usize) -> usize {
            self.sections()[..section].iter().sum()
        }

        fn path(&self) -> PathBuf {
            self.folder.path().join("proving.key")
        }

        fn load(&self, expected: &Digest) -> Result<LoadedKey, ProverError> {
            load(&self.path(), expected, &self.circuit)
        }

        /// Writes bytes and loads them under their own digest, as a malicious maker would have
        /// them pinned.
        fn load_pinned(&self, bytes: &[u8]) -> Result<LoadedKey, ProverError> {
            fs::write(self.path(), bytes).unwrap();
            self.load(&Digest::of(bytes))
        }
    }

    #[test]
    fn what_is_written_is_loaded() {
        let (circuit, _) = random_circuit(30, 2, 150);
        for fixture in [
            Fixture::plain(),
            Fixture::committed(),
            Fixture::of(&circuit, QuotientForm::Standard),
            Fixture::of(&committed_circuit(0, 1), QuotientForm::Standard),
        ] {
            let digest = write(&fixture.path(), &fixture.circuit, &fixture.key).unwrap();
            let bytes = fs::read(fixture.path()).unwrap();
            assert_eq!(bytes.len(), fixture.sections().into_iter().sum::<usize>());
            assert_eq!(digest, Digest::of(&bytes));
            assert_eq!(digest, super::digest(&fixture.path()).unwrap());
            let loaded = fixture.load(&digest).unwrap();
            assert_eq!(loaded.key, fixture.key);
            assert_eq!(loaded.circuit, fixture.circuit);
            assert_eq!(loaded.digest, digest);
            // Identities inside the queries are normal, and there are some.
            let b = &fixture.key.groth16.b_g2_query;
            assert!(b.iter().any(AffineRepr::is_zero));
            // The same key over an old file; nothing else is left in the folder.
            assert_eq!(
                write(&fixture.path(), &fixture.circuit, &fixture.key).unwrap(),
                digest
            );
            assert_eq!(fs::read_dir(fixture.folder.path()).unwrap().count(), 1);
        }
    }

    #[test]
    fn missing_files_and_folders_are_errors_of_the_environment() {
        let error = load(
            Path::new("no-such-proving.key"),
            &Digest::of(b""),
            &Digest::of(b""),
        );
        assert_eq!(error.unwrap_err().code(), "key-io");
        let fixture = Fixture::plain();
        let missing = fixture.folder.path().join("missing/proving.key");
        let error = write(&missing, &fixture.circuit, &fixture.key).unwrap_err();
        assert_eq!(error.code(), "key-io");
    }

    #[test]
    fn one_flipped_bit_in_any_section_is_another_digest() {
        for fixture in [Fixture::plain(), Fixture::committed()] {
            let bytes = fixture.bytes();
            let digest = Digest::of(&bytes);
            for (section, length) in fixture.sections().into_iter().enumerate() {
                let from = fixture.at(section);
                for place in (0..length).step_by((length / 2).max(1)) {
                    let mut other = bytes.clone();
                    other[from + place] ^= 1;
                    fs::write(fixture.path(), &other).unwrap();
                    let code = fixture.load(&digest).unwrap_err().code();
                    let expected = match section {
                        0..=3 | 5 => "key-malformed",
                        _ => "key-digest-mismatch",
                    };
                    assert_eq!(code, expected, "section {section}, byte {place}");
                }
            }
        }
    }

    #[test]
    fn other_versions_backends_and_forms_are_refused() {
        let fixture = Fixture::plain();
        let bytes = fixture.bytes();
        let refused = |section: usize, value: u32| {
            let mut other = bytes.clone();
            let at = fixture.at(section);
            other[at..at + 4].copy_from_slice(&value.to_le_bytes());
            match fixture.load_pinned(&other).unwrap_err() {
                ProverError::KeyMalformed { part, reason } => (part, reason),
                error => panic!("{error}"),
            }
        };
        let (part, reason) = refused(1, 1);
        assert_eq!(part, "version");
        assert!(reason.contains("earlier release"), "{reason}");
        assert_eq!(refused(1, 3).0, "version");
        // The length says that there is no δc.
        assert_eq!(refused(2, 1).0, "length");
        assert_eq!(refused(2, 2).0, "backend");
        // 153 rows make a domain of 192; 160 would be of neither form.
        assert_eq!(fixture.key.groth16.h_query.len(), 192);
        assert_eq!(refused(3, 0).0, "counts");
        assert_eq!(refused(3, 2).0, "form");
    }

    #[test]
    fn lengths_are_those_of_the_file_or_nothing_is_allocated() {
        let fixture = Fixture::plain();
        let bytes = fixture.bytes();
        for length in [0, 1, 15, 115, 116, 691, 692, bytes.len() - 1] {
            let error = fixture.load_pinned(&bytes[..length]).unwrap_err();
            assert_eq!(error.code(), "key-malformed", "{length}");
        }
        let longer = [&bytes[..], &[0]].concat();
        assert_eq!(
            fixture.load_pinned(&longer).unwrap_err().code(),
            "key-malformed"
        );
        let counts = fixture.at(5);
        for count in 0..7 {
            // 2^58 · 64 wraps around to 0.
            for claim in [u64::MAX, 1 << 58, 1 << 57, 1 << 40, 1] {
                let mut other = bytes.clone();
                other[counts + 8 * count..][..8].copy_from_slice(&claim.to_le_bytes());
                let error = fixture.load_pinned(&other).unwrap_err();
                assert!(
                    matches!(&error, ProverError::KeyMalformed { part: "length", .. }),
                    "{count}: {error}"
                );
            }
        }
    }

    #[test]
    fn counts_of_no_circuit_are_refused() {
        // Points moved from one section to another: the length stays.
        let moved = |fixture: &Fixture, moves: &[(usize, i64)]| {
            let mut other = fixture.bytes();
            let counts = fixture.at(5);
            for &(section, change) in moves {
                let at = counts + 8 * section;
                let count = i64::from_le_bytes(other[at..at + 8].try_into().unwrap());
                other[at..at + 8].copy_from_slice(&(count + change).to_le_bytes());
            }
            let error = fixture.load_pinned(&other).unwrap_err();
            assert!(
                matches!(&error, ProverError::KeyMalformed { part: "counts", .. }),
                "{moves:?}: {error}"
            );
        };
        let fixture = Fixture::plain();
        for (from, to) in [(1, 2), (1, 5), (2, 1), (5, 1), (0, 1), (6, 5), (5, 6)] {
            moved(&fixture, &[(from, -1), (to, 1)]);
        }
        // One G2 point is as long as two of G1.
        moved(&fixture, &[(3, -1), (1, 1), (2, 1)]);
        // A plain key with a query D, a domain of 193 or 160, no point in IC.
        moved(&fixture, &[(5, -1), (4, 1)]);
        moved(&fixture, &[(0, -3), (5, 3)]);
        let fixture = Fixture::committed();
        // A challenge without a place in IC.
        moved(&fixture, &[(0, -3), (5, 3)]);
    }

    #[test]
    fn points_that_are_no_group_elements_are_refused_under_a_pinned_digest() {
        let fixture = Fixture::committed();
        let bytes = fixture.bytes();
        let last = bytes.len() - 64;
        for place in (6..15).map(|section| fixture.at(section)).chain([last]) {
            // (1, 1), on neither curve; and a coordinate that is not reduced.
            let mut other = bytes.clone();
            other[place..place + 64].fill(0);
            other[place] = 1;
            other[place + 32] = 1;
            assert_eq!(
                fixture.load_pinned(&other).unwrap_err().code(),
                "key-malformed"
            );
            other[place..place + 32].fill(0xff);
            assert_eq!(
                fixture.load_pinned(&other).unwrap_err().code(),
                "key-malformed"
            );
        }

        // On the twist, outside the subgroup.
        let outside = (1_u64..)
            .find_map(|x| {
                G2Affine::get_point_from_x_unchecked(Fq2::new(x.into(), 1_u64.into()), true)
            })
            .unwrap();
        assert!(!outside.is_in_correct_subgroup_assuming_on_curve());
        let mut encoded = Vec::new();
        outside.encode(&mut encoded);
        let (g2, b_g2, d) = (fixture.at(7), fixture.at(11), fixture.at(12));
        for place in [g2, g2 + 128, g2 + 256, g2 + 384, b_g2, d - 128] {
            let mut other = bytes.clone();
            other[place..place + 128].copy_from_slice(&encoded);
            let error = fixture.load_pinned(&other).unwrap_err();
            assert!(
                matches!(&error, ProverError::KeyMalformed { reason, .. }
                    if reason.contains("subgroup")),
                "{error}"
            );
        }
    }

    #[test]
    fn degenerate_keys_are_refused_under_a_pinned_digest() {
        let (g1, g2) = (G1Affine::generator(), G2Affine::generator());
        let spoil: [(&str, Spoil<'_>); 14] = [
            ("alpha", &|k| k.groth16.vk.alpha_g1 = G1Affine::zero()),
            ("beta in G1", &|k| k.groth16.beta_g1 = G1Affine::zero()),
            ("beta in G2", &|k| k.groth16.vk.beta_g2 = G2Affine::zero()),
            ("gamma", &|k| k.groth16.vk.gamma_g2 = G2Affine::zero()),
            ("delta in G1", &|k| k.groth16.delta_g1 = G1Affine::zero()),
            ("delta in G2", &|k| k.groth16.vk.delta_g2 = G2Affine::zero()),
            ("first IC", &|k| {
                k.groth16.vk.gamma_abc_g1[0] = G1Affine::zero();
            }),
            ("last IC", &|k| {
                *k.groth16.vk.gamma_abc_g1.last_mut().unwrap() = G1Affine::zero();
            }),
            ("no phase 2", &|k| {
                k.groth16.vk.delta_g2 = g2;
                k.groth16.delta_g1 = g1;
            }),
            ("delta is gamma", &|k| {
                k.groth16.vk.gamma_g2 = k.groth16.vk.delta_g2;
            }),
            ("delta is the generator in G1 alone", &|k| {
                k.groth16.delta_g1 = g1;
            }),
            ("another gamma", &|k| {
                k.groth16.vk.gamma_g2 = (g2 * Fr::from(2)).into_affine();
            }),
            ("two betas", &|k| {
                k.groth16.beta_g1 = (g1 * Fr::from(2)).into_affine();
            }),
            ("two deltas", &|k| {
                k.groth16.delta_g1 = (g1 * Fr::from(2)).into_affine();
            }),
        ];
        let committed = |k: &mut ProvingKey, g1: G1Affine, g2: G2Affine| {
            let committed = k.committed.as_mut().unwrap();
            (committed.delta_g1, committed.delta_g2) = (g1, g2);
        };
        let spoil_committed: [(&str, Spoil<'_>); 9] = [
            ("identity", &|k| {
                committed(k, G1Affine::zero(), G2Affine::zero());
            }),
            ("identity in G1", &|k| {
                k.committed.as_mut().unwrap().delta_g1 = G1Affine::zero();
            }),
            ("identity in G2", &|k| {
                k.committed.as_mut().unwrap().delta_g2 = G2Affine::zero();
            }),
            ("gamma", &|k| committed(k, g1, g2)),
            ("gamma in G1", &|k| {
                k.committed.as_mut().unwrap().delta_g1 = g1;
            }),
            ("gamma in G2", &|k| {
                k.committed.as_mut().unwrap().delta_g2 = g2;
            }),
            ("delta", &|k| {
                committed(k, k.groth16.delta_g1, k.groth16.vk.delta_g2);
            }),
            ("delta in G2", &|k| {
                k.committed.as_mut().unwrap().delta_g2 = k.groth16.vk.delta_g2;
            }),
            ("two of them", &|k| {
                k.committed.as_mut().unwrap().delta_g1 = (g1 * Fr::from(2)).into_affine();
            }),
        ];
        let (plain, with_challenge) = (Fixture::plain(), Fixture::committed());
        let both = [&plain, &with_challenge];
        let of_all = spoil.iter().flat_map(|spoil| both.map(|f| (f, spoil)));
        let of_committed = spoil_committed.iter().map(|spoil| (&with_challenge, spoil));
        for (fixture, (name, spoil)) in of_all.chain(of_committed) {
            let mut other = fixture.key.clone();
            spoil(&mut other);
            let digest = write(&fixture.path(), &fixture.circuit, &other).unwrap();
            let error = fixture.load(&digest).unwrap_err();
            assert_eq!(error.code(), "key-degenerate", "{name}: {error}");
        }
    }

    #[test]
    fn a_key_of_another_circuit_is_refused() {
        let fixture = Fixture::plain();
        let other = Digest::of(b"another circuit");
        let digest = write(&fixture.path(), &other, &fixture.key).unwrap();
        assert_eq!(
            fixture.load(&digest).unwrap_err(),
            ProverError::KeyCircuit {
                expected: fixture.circuit,
                got: other,
            }
        );
    }
}

//! Proving keys on disk.
//!
//! The format, all integers little-endian, version 1:
//!
//! | bytes | content |
//! | --- | --- |
//! | 16 | `proofmark/pkey` and two zero bytes |
//! | 4 | version, 1 |
//! | 32 | circuit digest |
//! | 8 each | number of points in IC, A, B in G1, B in G2, L, H |
//! | 64 each | α, β, δ in G1 |
//! | 128 each | β, γ, δ in G2 |
//! | 64 or 128 each | the points of IC, A, B in G1, B in G2, L, H |
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

use ark_bn254::{Bn254, G1Affine, G2Affine};
use ark_ec::AffineRepr;
use ark_ec::pairing::Pairing;
use ark_groth16::{ProvingKey, VerifyingKey};
use proofmark_types::Digest;
use proofmark_types::digest::DigestStream;
use rayon::prelude::*;

use crate::encoding::Encoded;
use crate::error::ProverError;
use crate::qap::MAX_ROWS;
use crate::subgroup::all_in_subgroup;

const MAGIC: &[u8; 16] = b"proofmark/pkey\0\0";
const VERSION: u32 = 1;
/// Magic, version, circuit digest, six counts.
const HEADER_BYTES: u64 = 16 + 4 + 32 + 6 * 8;
const FIXED_BYTES: u64 = 3 * 64 + 3 * 128;
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
    pub key: ProvingKey<Bn254>,
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

fn write_key(out: &mut impl Write, circuit: &Digest, key: &ProvingKey<Bn254>) -> io::Result<()> {
    out.write_all(MAGIC)?;
    out.write_all(&VERSION.to_le_bytes())?;
    out.write_all(circuit.as_bytes())?;
    for count in [
        key.vk.gamma_abc_g1.len(),
        key.a_query.len(),
        key.b_g1_query.len(),
        key.b_g2_query.len(),
        key.l_query.len(),
        key.h_query.len(),
    ] {
        out.write_all(&(count as u64).to_le_bytes())?;
    }
    write_points(out, &[key.vk.alpha_g1, key.beta_g1, key.delta_g1])?;
    write_points(out, &[key.vk.beta_g2, key.vk.gamma_g2, key.vk.delta_g2])?;
    write_points(out, &key.vk.gamma_abc_g1)?;
    write_points(out, &key.a_query)?;
    write_points(out, &key.b_g1_query)?;
    write_points(out, &key.b_g2_query)?;
    write_points(out, &key.l_query)?;
    write_points(out, &key.h_query)
}

/// Writes a key and returns the digest of the file's bytes. The file appears whole or not at all:
/// it is written beside `path`, synced and renamed.
///
/// # Errors
/// [`ProverError::Io`].
pub fn write(
    path: &Path,
    circuit: &Digest,
    key: &ProvingKey<Bn254>,
) -> Result<Digest, ProverError> {
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

/// Loads a key, if it is the one with digest `expected` and made for `circuit`.
///
/// Checked, in this order: the header, and that the counts in it are those of a circuit and of the file's
/// length, before anything is allocated by them; the digest; that all points are on their curves and those of G2
/// in the subgroup (the cofactor of G1 is 1); no identity among α, β, γ, δ and IC; γ is the
/// generator and δ is not; β and δ are the same in both groups; the circuit. The identity inside
/// a query is normal: that wire does not occur there.
///
/// # Errors
/// [`ProverError::Io`], [`ProverError::KeyMalformed`], [`ProverError::KeyDigest`],
/// [`ProverError::KeyDegenerate`], [`ProverError::KeyCircuit`], [`ProverError::Randomness`].
pub fn load(path: &Path, expected: &Digest, circuit: &Digest) -> Result<LoadedKey, ProverError> {
    let refuse = |error: &io::Error| ProverError::io("cannot read", path, error);
    let file = File::open(path).map_err(|e| refuse(&e))?;
    let length = file.metadata().map_err(|e| refuse(&e))?.len();
    if length < HEADER_BYTES + FIXED_BYTES {
        return Err(malformed("length", format!("{length} bytes are no key")));
    }
    let mut reader = Reader {
        path,
        inner: file,
        stream: DigestStream::new(),
        malformed: None,
    };
    if reader.array::<16>()? != *MAGIC {
        return Err(malformed("magic", "this is not a proving key of Proofmark"));
    }
    let version = u32::from_le_bytes(reader.array()?);
    if version != VERSION {
        let reason = format!("version {version}, this software reads {VERSION}");
        return Err(malformed("version", reason));
    }
    let made_for = Digest::from_bytes(reader.array()?);
    let mut claimed = Some(HEADER_BYTES + FIXED_BYTES);
    let mut counts = [0_usize; 6];
    for (count, bytes) in counts.iter_mut().zip([64_u64, 64, 64, 128, 64, 64]) {
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

    let [ic, a, b_g1, b_g2, l, h] = counts;
    let consistent = a == b_g1
        && a == b_g2
        && ic.checked_add(l) == Some(a)
        && ic > 0
        && a <= MAX_WIRES
        && h <= MAX_ROWS
        && h.is_power_of_two();
    if !consistent {
        return Err(malformed("counts", "they are those of no circuit"));
    }
    let fixed_g1: Vec<G1Affine> = reader.points("alpha, beta, delta in G1", 3)?;
    let fixed_g2: Vec<G2Affine> = reader.points("beta, gamma, delta in G2", 3)?;
    let gamma_abc_g1 = reader.points("IC", ic)?;
    let a_query = reader.points("query A", a)?;
    let b_g1_query = reader.points("query B in G1", b_g1)?;
    let b_g2_query = reader.points("query B in G2", b_g2)?;
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
    let ([alpha_g1, beta_g1, delta_g1], [beta_g2, gamma_g2, delta_g2]) =
        (fixed_g1.as_slice(), fixed_g2.as_slice())
    else {
        return Err(malformed("length", "fixed points are missing"));
    };
    for (part, points) in [
        ("beta, gamma, delta in G2", fixed_g2.as_slice()),
        ("query B in G2", &b_g2_query),
    ] {
        if !all_in_subgroup(points)? {
            return Err(malformed(part, "a point is not in the subgroup of order r"));
        }
    }
    let key = ProvingKey {
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

/// Refuses a key under which anyone can forge, or whose fixed points contradict each other. All
/// points are taken to be in their groups.
///
/// A key without phase 2 has δ = γ: then C of a proof and the public inputs can be traded against
/// each other, which has been exploited.
///
/// # Errors
/// [`ProverError::KeyDegenerate`].
pub fn check_strength(key: &ProvingKey<Bn254>) -> Result<(), ProverError> {
    let degenerate = |reason: String| Err(ProverError::KeyDegenerate { reason });
    let vk = &key.vk;
    for (name, identity) in [
        ("alpha in G1", vk.alpha_g1.is_zero()),
        ("beta in G1", key.beta_g1.is_zero()),
        ("delta in G1", key.delta_g1.is_zero()),
        ("beta in G2", vk.beta_g2.is_zero()),
        ("gamma in G2", vk.gamma_g2.is_zero()),
        ("delta in G2", vk.delta_g2.is_zero()),
    ] {
        if identity {
            return degenerate(format!("{name} is the identity"));
        }
    }
    if let Some(index) = vk.gamma_abc_g1.iter().position(AffineRepr::is_zero) {
        return degenerate(format!("IC[{index}] is the identity"));
    }
    let (g1, g2) = (G1Affine::generator(), G2Affine::generator());
    if vk.delta_g2 == vk.gamma_g2 || vk.delta_g2 == g2 || key.delta_g1 == g1 {
        return degenerate("delta equals gamma: the key had no phase 2".to_owned());
    }
    if vk.gamma_g2 != g2 {
        return degenerate(
            "gamma is not the generator, as it is in every key made here".to_owned(),
        );
    }
    for (name, in_g1, in_g2) in [
        ("beta", key.beta_g1, vk.beta_g2),
        ("delta", key.delta_g1, vk.delta_g2),
    ] {
        if Bn254::pairing(in_g1, g2) != Bn254::pairing(g1, in_g2) {
            return degenerate(format!("{name} in G1 and G2 are not the same"));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::generator::{NoProgress, setup};
    use crate::testing::random_circuit;
    use ark_bn254::{Fq2, Fr};
    use ark_ec::CurveGroup;
    use std::fs;
    use std::path::PathBuf;

    type Spoil<'a> = &'a dyn Fn(&mut ProvingKey<Bn254>);

    struct Fixture {
        folder: tempfile::TempDir,
        circuit: Digest,
        key: ProvingKey<Bn254>,
    }

    impl Fixture {
        fn new() -> Self {
            let (circuit, _) = random_circuit(30, 2, 150);
            Self {
                folder: tempfile::tempdir().unwrap(),
                circuit: circuit.digest(),
                key: setup(&circuit, &NoProgress).unwrap(),
            }
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
        let fixture = Fixture::new();
        let digest = write(&fixture.path(), &fixture.circuit, &fixture.key).unwrap();
        let bytes = fs::read(fixture.path()).unwrap();
        assert_eq!(digest, Digest::of(&bytes));
        assert_eq!(digest, super::digest(&fixture.path()).unwrap());
        let loaded = fixture.load(&digest).unwrap();
        assert_eq!(loaded.key, fixture.key);
        assert_eq!(loaded.circuit, fixture.circuit);
        assert_eq!(loaded.digest, digest);
        // Identities inside the queries are normal, and there are some.
        assert!(fixture.key.b_g2_query.iter().any(AffineRepr::is_zero));
        // The same key over an old file; nothing else is left in the folder.
        assert_eq!(
            write(&fixture.path(), &fixture.circuit, &fixture.key).unwrap(),
            digest
        );
        assert_eq!(fs::read_dir(fixture.folder.path()).unwrap().count(), 1);
    }

    #[test]
    fn missing_files_and_folders_are_errors_of_the_environment() {
        let error = load(
            Path::new("no-such-proving.key"),
            &Digest::of(b""),
            &Digest::of(b""),
        );
        assert_eq!(error.unwrap_err().code(), "key-io");
        let fixture = Fixture::new();
        let missing = fixture.folder.path().join("missing/proving.key");
        let error = write(&missing, &fixture.circuit, &fixture.key).unwrap_err();
        assert_eq!(error.code(), "key-io");
    }

    #[test]
    fn one_flipped_bit_in_any_section_is_another_digest() {
        let fixture = Fixture::new();
        let digest = write(&fixture.path(), &fixture.circuit, &fixture.key).unwrap();
        let bytes = fs::read(fixture.path()).unwrap();
        let key = &fixture.key;
        let mut at = 0;
        let mut sections = Vec::new();
        for length in [
            16,
            4,
            32,
            48,
            3 * 64,
            3 * 128,
            64 * key.vk.gamma_abc_g1.len(),
            64 * key.a_query.len(),
            64 * key.b_g1_query.len(),
            128 * key.b_g2_query.len(),
            64 * key.l_query.len(),
            64 * key.h_query.len(),
        ] {
            sections.push((at, length));
            at += length;
        }
        assert_eq!(at, bytes.len());
        for (section, (from, length)) in sections.into_iter().enumerate() {
            for place in [from, from + length / 2, from + length - 1] {
                let mut other = bytes.clone();
                other[place] ^= 1;
                fs::write(fixture.path(), &other).unwrap();
                let code = fixture.load(&digest).unwrap_err().code();
                let expected = match section {
                    0 | 1 | 3 => "key-malformed",
                    _ => "key-digest-mismatch",
                };
                assert_eq!(code, expected, "section {section}, byte {place}");
            }
        }
    }

    #[test]
    fn lengths_are_those_of_the_file_or_nothing_is_allocated() {
        let fixture = Fixture::new();
        write(&fixture.path(), &fixture.circuit, &fixture.key).unwrap();
        let bytes = fs::read(fixture.path()).unwrap();
        for length in [0, 1, 15, 99, 100, 675, 676, bytes.len() - 1] {
            let error = fixture.load_pinned(&bytes[..length]).unwrap_err();
            assert_eq!(error.code(), "key-malformed", "{length}");
        }
        let longer = [&bytes[..], &[0]].concat();
        assert_eq!(
            fixture.load_pinned(&longer).unwrap_err().code(),
            "key-malformed"
        );
        for count in 0..6 {
            // 2^58 · 64 wraps around to 0.
            for claim in [u64::MAX, 1 << 58, 1 << 57, 1 << 40, 0] {
                let mut other = bytes.clone();
                other[52 + 8 * count..][..8].copy_from_slice(&claim.to_le_bytes());
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
        let fixture = Fixture::new();
        write(&fixture.path(), &fixture.circuit, &fixture.key).unwrap();
        let bytes = fs::read(fixture.path()).unwrap();
        // Points moved from one section to another: the length stays.
        for (from, to) in [(1, 2), (1, 4), (2, 1), (4, 1), (0, 1), (5, 4), (4, 5)] {
            let mut other = bytes.clone();
            for (section, change) in [(from, -1_i64), (to, 1)] {
                let at = 52 + 8 * section;
                let count = i64::from_le_bytes(other[at..at + 8].try_into().unwrap());
                other[at..at + 8].copy_from_slice(&(count + change).to_le_bytes());
            }
            let error = fixture.load_pinned(&other).unwrap_err();
            assert!(
                matches!(&error, ProverError::KeyMalformed { part: "counts", .. }),
                "{from} to {to}: {error}"
            );
        }
    }

    #[test]
    fn points_that_are_no_group_elements_are_refused_under_a_pinned_digest() {
        let fixture = Fixture::new();
        write(&fixture.path(), &fixture.circuit, &fixture.key).unwrap();
        let bytes = fs::read(fixture.path()).unwrap();
        let (g1, g2) = (100, 100 + 3 * 64);
        let ic = g2 + 3 * 128;
        let key = &fixture.key;
        let a = ic + 64 * key.vk.gamma_abc_g1.len();
        let b_g1 = a + 64 * key.a_query.len();
        let b_g2 = b_g1 + 64 * key.b_g1_query.len();
        let l = b_g2 + 128 * key.b_g2_query.len();
        let h = l + 64 * key.l_query.len();
        for place in [g1, g2, ic, a, b_g1, b_g2, l, h, bytes.len() - 64] {
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
        for place in [g2, g2 + 128, g2 + 256, b_g2, l - 128] {
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
        let fixture = Fixture::new();
        let (g1, g2) = (G1Affine::generator(), G2Affine::generator());
        let spoil: [(&str, Spoil<'_>); 14] = [
            ("alpha", &|k| k.vk.alpha_g1 = G1Affine::zero()),
            ("beta in G1", &|k| k.beta_g1 = G1Affine::zero()),
            ("beta in G2", &|k| k.vk.beta_g2 = G2Affine::zero()),
            ("gamma", &|k| k.vk.gamma_g2 = G2Affine::zero()),
            ("delta in G1", &|k| k.delta_g1 = G1Affine::zero()),
            ("delta in G2", &|k| k.vk.delta_g2 = G2Affine::zero()),
            ("first IC", &|k| k.vk.gamma_abc_g1[0] = G1Affine::zero()),
            ("last IC", &|k| k.vk.gamma_abc_g1[2] = G1Affine::zero()),
            ("no phase 2", &|k| {
                k.vk.delta_g2 = g2;
                k.delta_g1 = g1;
            }),
            ("delta is gamma", &|k| k.vk.gamma_g2 = k.vk.delta_g2),
            ("delta is the generator in G1 alone", &|k| k.delta_g1 = g1),
            ("another gamma", &|k| {
                k.vk.gamma_g2 = (g2 * Fr::from(2)).into_affine();
            }),
            ("two betas", &|k| {
                k.beta_g1 = (g1 * Fr::from(2)).into_affine();
            }),
            ("two deltas", &|k| {
                k.delta_g1 = (g1 * Fr::from(2)).into_affine();
            }),
        ];
        for (name, spoil) in spoil {
            let mut other = fixture.key.clone();
            spoil(&mut other);
            let digest = write(&fixture.path(), &fixture.circuit, &other).unwrap();
            let error = fixture.load(&digest).unwrap_err();
            assert_eq!(error.code(), "key-degenerate", "{name}: {error}");
        }
    }

    #[test]
    fn a_key_of_another_circuit_is_refused() {
        let fixture = Fixture::new();
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

//! Bases with their multiples as a file, which provers map instead of computing it again.
//!
//! | bytes | content |
//! | --- | --- |
//! | 16 | `proofmark/msm/v1` |
//! | 8 | group, `g1` or `g2`, padded with zeros |
//! | 16 | arithmetic that the points are packed for, [`Engine::name`], padded with zeros |
//! | 4, 4 | window in bits, stride |
//! | 8 | number of bases |
//! | 32 | the caller's identifier of the bases |
//! | 40 | zeros |
//! | 64 or 128 a point | bases, then their multiples, words as they lie in memory |
//! | 8 for every 64 bases | bit `i % 64` of word `i / 64`: base `i` is the identity |
//!
//! Integers are little-endian. The points are *not* checked when a file is opened: it is a local
//! cache, to be kept where only the prover can write. Who changes it makes the prover compute wrong
//! sums or run longer, so that its proofs fail their own verification and do not leave; points
//! carry no secret, and no number in the file is used as an address. A sum is wrong only where the
//! changed point's scalar is not 0, however, so that failures tell about scalars.

use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::Path;
use std::sync::Arc;

use ark_bn254::Fq;
use proofmark_lanes::{Engine, Map};

use crate::bases::FixedBases;
use crate::curve::Curve;
use crate::error::MsmError;
use crate::identities::Identities;
use crate::points::Points;
use crate::shape::Shape;

const MAGIC: &[u8; 16] = b"proofmark/msm/v1";
/// A multiple of a cache line, so that points do not straddle two.
const HEADER: usize = 128;
/// Where the fields of the header end.
const FIELDS: usize = 88;

impl<C: Curve> FixedBases<C> {
    /// Writes the bases and their multiples to a file under an identifier that names them (a digest
    /// of the key, and which of its queries). The file appears whole or not at all, replaces an older
    /// one, and is read-only.
    ///
    /// # Errors
    /// [`MsmError::Write`] when the system refuses.
    pub fn write(&self, path: &Path, id: &[u8; 32]) -> Result<(), MsmError> {
        self.write_file(path, id)
            .map_err(|error| MsmError::write(path, &error))
    }

    fn write_file(&self, path: &Path, id: &[u8; 32]) -> std::io::Result<()> {
        let folder = match path.parent() {
            Some(folder) if !folder.as_os_str().is_empty() => folder,
            _ => Path::new("."),
        };
        let temporary = tempfile::NamedTempFile::new_in(folder)?;
        let mut writer = BufWriter::with_capacity(1 << 20, temporary.as_file());
        writer.write_all(&self.header(id))?;
        for point in self.points.as_slice() {
            for word in C::coordinates(point).as_flattened() {
                writer.write_all(&word.to_le_bytes())?;
            }
        }
        for word in self.identities.words() {
            writer.write_all(&word.to_le_bytes())?;
        }
        writer.flush()?;
        drop(writer);
        let file = temporary.as_file();
        let mut permissions = file.metadata()?.permissions();
        permissions.set_readonly(true);
        file.set_permissions(permissions)?;
        file.sync_all()?;
        temporary.persist(path)?;
        Ok(())
    }

    /// Maps a file that [`FixedBases::write`] made. Clones of the result, and other processes that
    /// map the same file, share its memory. The file must not be changed while it is mapped.
    ///
    /// # Errors
    /// [`MsmError::Read`] when there is no such file; [`MsmError::FileForeign`] when its bases are
    /// others than those of the identifier, or of the other group; [`MsmError::FileUnusable`] when it
    /// is no whole file of this format, or made for another kind of processor.
    pub fn open(path: &Path, id: &[u8; 32]) -> Result<Self, MsmError> {
        let file = File::open(path).map_err(|error| MsmError::read(path, &error))?;
        let map = Map::open(&file).map_err(|error| MsmError::read(path, &error))?;
        let unusable = |reason| MsmError::unusable(path, reason);
        let header = map
            .first_chunk::<HEADER>()
            .filter(|header| header.starts_with(MAGIC))
            .ok_or_else(|| unusable("it is no table file of this version"))?;
        if !is_padded(&header[16..24], C::NAME) || header[56..FIELDS] != id[..] {
            return Err(MsmError::FileForeign {
                path: path.display().to_string(),
            });
        }
        let engine = [Engine::<Fq>::detect(), Engine::portable()]
            .into_iter()
            .find(|engine| is_padded(&header[24..40], engine.name()))
            .ok_or_else(|| unusable("it was made for another kind of processor"))?;
        let [window, stride] = [40, 44].map(|at| number(&header[at..at + 4]));
        let shape = u32::try_from(window)
            .ok()
            .zip(u32::try_from(stride).ok())
            .and_then(|(window, stride)| Shape::new(window, stride).ok())
            .ok_or_else(|| unusable("its windows are none that a prover makes"))?;
        let sizes = usize::try_from(number(&header[48..56]))
            .ok()
            .and_then(|bases| sizes::<C>(bases, shape));
        let Some([bases, points, identities]) = sizes else {
            return Err(unusable("it names more bases than fit into memory"));
        };
        if map.len() - HEADER != points + identities {
            return Err(unusable("it is not as long as its header says"));
        }
        if header[FIELDS..].iter().any(|byte| *byte != 0) {
            return Err(unusable("its header has unknown fields"));
        }
        let words = map[HEADER + points..].chunks(8).map(number).collect();
        let points = Points::mapped(map, HEADER..HEADER + points)
            .ok_or_else(|| unusable("this processor cannot read its words in place"))?;
        Ok(Self {
            engine,
            shape,
            bases,
            points,
            identities: Arc::new(Identities::from_words(words)),
        })
    }

    fn header(&self, id: &[u8; 32]) -> [u8; HEADER] {
        let mut header = [0; HEADER];
        let window = self.shape.window().to_le_bytes();
        let stride = self.shape.stride().to_le_bytes();
        let bases = (self.bases as u64).to_le_bytes();
        for (at, bytes) in [
            (0, &MAGIC[..]),
            (16, C::NAME.as_bytes()),
            (24, self.engine.name().as_bytes()),
            (40, &window),
            (44, &stride),
            (48, &bases),
            (56, id),
        ] {
            header[at..at + bytes.len()].copy_from_slice(bytes);
        }
        header
    }
}

/// Number of bases, bytes of points, bytes of the identities' bits.
fn sizes<C: Curve>(bases: usize, shape: Shape) -> Option<[usize; 3]> {
    let points = bases.checked_mul(shape.levels() as usize)?;
    if points > crate::bases::MOST_POINTS {
        return None;
    }
    let bytes = points.checked_mul(size_of::<C::Point>())?;
    Some([bases, bytes, bases.div_ceil(64) * 8])
}

/// Whether the field holds the name and nothing behind it.
fn is_padded(field: &[u8], name: &str) -> bool {
    field
        .strip_prefix(name.as_bytes())
        .is_some_and(|rest| rest.iter().all(|byte| *byte == 0))
}

/// Up to eight bytes, little-endian.
fn number(bytes: &[u8]) -> u64 {
    bytes
        .iter()
        .rev()
        .fold(0, |number, byte| number << 8 | u64::from(*byte))
}

#[cfg(test)]
mod tests {
    use super::*;
    use ark_bn254::{Fr, g1, g2};
    use ark_ec::AffineRepr;
    use ark_ec::short_weierstrass::Affine;
    use ark_ff::{BigInt, BigInteger, PrimeField, UniformRand};
    use ark_std::rand::rngs::StdRng;
    use ark_std::rand::{Rng, SeedableRng};

    const ID: [u8; 32] = *b"a digest of the key, query a, 1.";

    fn sample<C: Curve>(engine: Engine<Fq>) -> (FixedBases<C>, Vec<BigInt<4>>) {
        let mut random = StdRng::seed_from_u64(21);
        let mut points = (0..70)
            .map(|_| Affine::<C>::rand(&mut random))
            .collect::<Vec<_>>();
        points[65] = Affine::zero();
        let scalars = points.iter().map(|_| Fr::rand(&mut random).into_bigint());
        let shape = Shape::new(7, 12).unwrap();
        let bases = FixedBases::with_engine(&points, shape, engine).unwrap();
        (bases, scalars.collect())
    }

    fn round_trip<C: Curve>() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("tables");
        for engine in [Engine::detect(), Engine::portable()] {
            let (bases, scalars) = sample::<C>(engine);
            bases.write(&path, &ID).unwrap();
            let opened = FixedBases::<C>::open(&path, &ID).unwrap();
            assert_eq!(opened.shape(), bases.shape());
            assert_eq!(opened.bytes(), bases.bytes());
            assert_eq!(opened.engine.name(), engine.name());
            assert!((0..71).all(|index| opened.base(index) == bases.base(index)));
            assert_eq!(opened.msm(&scalars), bases.msm(&scalars));
            // A file that is replaced while it is mapped stays what it was.
            let other = FixedBases::<C>::with_shape(&[], bases.shape()).unwrap();
            other.write(&path, &ID).unwrap();
            assert_eq!(opened.clone().msm(&scalars), bases.msm(&scalars));
            assert!(FixedBases::<C>::open(&path, &ID).unwrap().is_empty());
        }
        // No temporary file is left.
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1);
    }

    #[test]
    fn a_file_gives_back_what_was_written() {
        round_trip::<g1::Config>();
        round_trip::<g2::Config>();
    }

    #[test]
    fn files_are_written_read_only() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("tables");
        let (bases, _) = sample::<g1::Config>(Engine::detect());
        bases.write(&path, &ID).unwrap();
        assert!(path.metadata().unwrap().permissions().readonly());
    }

    #[test]
    fn files_of_other_bases_are_refused() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("tables");
        let (bases, _) = sample::<g1::Config>(Engine::detect());
        bases.write(&path, &ID).unwrap();
        let code = |result: Result<usize, MsmError>| result.unwrap_err().code();
        let open = |id| FixedBases::<g1::Config>::open(&path, id).map(|b| b.len());
        assert_eq!(open(&ID), Ok(70));
        let mut other = ID;
        other[31] ^= 1;
        assert!(matches!(open(&other), Err(MsmError::FileForeign { .. })));
        assert_eq!(code(open(&other)), "msm-tables-mismatch");
        let as_g2 = FixedBases::<g2::Config>::open(&path, &ID).map(|b| b.len());
        assert!(matches!(as_g2, Err(MsmError::FileForeign { .. })));
        let missing = FixedBases::<g1::Config>::open(&folder.path().join("none"), &ID);
        assert_eq!(code(missing.map(|b| b.len())), "file-unreadable");
        let nowhere = folder.path().join("none/tables");
        assert_eq!(
            code(bases.write(&nowhere, &ID).map(|()| 0)),
            "file-unwritable"
        );
    }

    #[test]
    fn a_header_with_any_byte_changed_is_refused_or_harmless() {
        let folder = tempfile::tempdir().unwrap();
        let (bases, scalars) = sample::<g1::Config>(Engine::detect());
        let path = folder.path().join("tables");
        bases.write(&path, &ID).unwrap();
        let bytes = std::fs::read(&path).unwrap();
        let changed = folder.path().join("changed");
        let open = |bytes: &[u8]| {
            std::fs::write(&changed, bytes).unwrap();
            FixedBases::<g1::Config>::open(&changed, &ID)
        };
        for at in 0..HEADER {
            for bit in 0..8 {
                let mut bytes = bytes.clone();
                bytes[at] ^= 1 << bit;
                // Another window of equally many levels is a shape of its own: wrong sums, no more.
                if let Ok(opened) = open(&bytes) {
                    assert!((40..48).contains(&at), "byte {at}, bit {bit}");
                    assert_eq!(opened.bytes(), bases.bytes());
                    assert_ne!(opened.msm(&scalars), bases.msm(&scalars));
                }
            }
        }
        for length in [0, 1, HEADER - 1, HEADER, bytes.len() - 8, bytes.len() - 1] {
            assert!(matches!(
                open(&bytes[..length]),
                Err(MsmError::FileUnusable { .. })
            ));
        }
        let longer = [bytes.as_slice(), &[0; 8]].concat();
        assert!(matches!(open(&longer), Err(MsmError::FileUnusable { .. })));
        // Points that are none: wrong sums, no more.
        let mut nonsense = bytes.clone();
        for byte in &mut nonsense[HEADER..] {
            *byte = byte.wrapping_mul(7).wrapping_add(1);
        }
        assert_ne!(open(&nonsense).unwrap().msm(&scalars), bases.msm(&scalars));
    }

    /// Words that are no residue, in places of all kinds: neither a panic nor an endless loop.
    fn survives_words_above_the_prime<C: Curve>() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("tables");
        let below = |word: u64| [word, 0, 0, 0];
        let mut above = Fq::MODULUS.0;
        above[0] += 1;
        let mut double = Fq::MODULUS;
        double.mul2();
        let palette = [
            Fq::MODULUS.0,
            above,
            double.0,
            [u64::MAX; 4],
            below(0),
            below(1),
        ];
        for engine in [Engine::portable(), Engine::detect()] {
            let (bases, dense) = sample::<C>(engine);
            bases.write(&path, &ID).unwrap();
            let written = std::fs::read(&path).unwrap();
            std::fs::remove_file(&path).unwrap();
            let bits: Vec<BigInt<4>> = (0..70).map(|i| BigInt::from(i % 2_u64)).collect();
            for seed in 0..60 {
                let mut random = StdRng::seed_from_u64(seed);
                let [kinds, every] = [palette.len(), 4].map(|most| random.gen_range(1..=most));
                let mut bytes = written.clone();
                for word in bytes[HEADER..HEADER + bases.bytes()].chunks_exact_mut(32) {
                    if random.gen_range(0..every) == 0 {
                        let chosen = palette[random.gen_range(0..kinds)];
                        word.copy_from_slice(&chosen.map(u64::to_le_bytes).concat());
                    }
                }
                std::fs::write(&path, &bytes).unwrap();
                let opened = FixedBases::<C>::open(&path, &ID).unwrap();
                for scalars in [&bits, &dense] {
                    assert_ne!(opened.msm(scalars), bases.msm(scalars));
                }
            }
        }
    }

    #[test]
    fn words_that_are_no_residue_give_wrong_sums() {
        survives_words_above_the_prime::<g1::Config>();
        survives_words_above_the_prime::<g2::Config>();
    }
}

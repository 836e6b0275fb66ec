//! A ceremony's folder: contributions as `0000.contribution`, `0001.contribution` and so on.
//!
//! The last file alone has all that a key is made and verified from. The others are for their makers,
//! who may compare their digests; those that are there are checked to be the ones that later files
//! name.

use std::path::{Path, PathBuf};

use proofmark_prover::Progress;
use proofmark_prover::ProvingKey;
use proofmark_prover::ceremony::{CeremonyRecord, HexBytes};

use super::chain::Chain;
use super::file::{self, Contribution};
use super::initial::InitialKey;
use crate::error::CeremonyError;
use crate::output;

/// Ending of a contribution's file.
const ENDING: &str = ".contribution";

/// Where contribution `number` stands in a folder; 0 is the one without a contribution.
pub fn path_of(folder: &Path, number: usize) -> PathBuf {
    folder.join(format!("{number:04}{ENDING}"))
}

/// The number and path of the last contribution in a folder.
///
/// # Errors
/// [`CeremonyError::Io`] for a folder that cannot be read or has none.
pub fn last(folder: &Path) -> Result<(usize, PathBuf), CeremonyError> {
    let refuse = |error: &std::io::Error| CeremonyError::io("cannot read", folder, error);
    let mut last = None;
    for entry in std::fs::read_dir(folder).map_err(|e| refuse(&e))? {
        let name = entry.map_err(|e| refuse(&e))?.file_name();
        let name = name.to_str().and_then(|name| name.strip_suffix(ENDING));
        let number = name.and_then(|digits| digits.parse::<usize>().ok());
        last = last.max(number.filter(|n| path_of(folder, *n).exists()));
    }
    let number = last.ok_or_else(|| {
        let missing = std::io::Error::other("it has no contributions; begin with `ceremony new`");
        refuse(&missing)
    })?;
    Ok((number, path_of(folder, number)))
}

/// What a folder was verified to hold.
#[derive(Debug, Clone)]
pub struct Verified {
    /// The key.
    pub key: ProvingKey,
    /// Its public record.
    pub record: CeremonyRecord,
    /// The contributions' hashes and deltas.
    pub chain: Chain,
    /// Numbers of earlier files that are not in the folder.
    pub absent: Vec<usize>,
}

/// Verifies the last contribution of a folder against circuit and phase 1, and that earlier files which
/// are there are those that it continues. `expected` are the hashes of contributions that must be part
/// of it.
///
/// # Errors
/// Those of [`Contribution::open`] and [`Contribution::into_key`];
/// [`CeremonyError::CeremonyMismatch`] for a file that is not the one which was contributed to;
/// [`CeremonyError::ContributionMissing`].
pub fn verify(
    folder: &Path,
    initial: &InitialKey,
    expected: &[Vec<u8>],
    progress: &dyn Progress,
) -> Result<Verified, CeremonyError> {
    let (number, path) = last(folder)?;
    let contribution = Contribution::open(&path, progress)?;
    let chain = contribution.chain.clone();
    let records = &contribution.header.ceremony.contributions;
    if records.len() != number {
        return Err(CeremonyError::CeremonyMismatch {
            part: "number of contributions",
            expected: number.to_string(),
            got: records.len().to_string(),
        });
    }
    contains(&chain, expected)?;
    let mut absent = Vec::new();
    for (number, record) in records.iter().enumerate() {
        let path = path_of(folder, number);
        if !path.exists() {
            absent.push(number);
            continue;
        }
        let got = output::file_digest(&path)?;
        if record.previous != Some(got) {
            return Err(CeremonyError::CeremonyMismatch {
                part: "file that was contributed to",
                expected: record
                    .previous
                    .map_or_else(|| "none".to_owned(), |d| d.to_string()),
                got: format!("{} with {got}", path.display()),
            });
        }
        // Names and statements of earlier contributions are in every later file again, where nothing
        // but this binds them to what their makers wrote.
        let earlier = file::header(&path)?;
        if Some(&earlier.ceremony.contributions[..]) != records.get(..number) {
            return Err(CeremonyError::CeremonyMismatch {
                part: "record of earlier contributions",
                expected: format!("as in {}", path.display()),
                got: "other names, statements or proofs in the last file".to_owned(),
            });
        }
    }
    let (key, record) = contribution.into_key(initial, progress)?;
    Ok(Verified {
        key,
        record,
        chain,
        absent,
    })
}

/// Whether contributions with these hashes are part of a chain.
///
/// # Errors
/// [`CeremonyError::ContributionMissing`].
pub fn contains(chain: &Chain, expected: &[Vec<u8>]) -> Result<(), CeremonyError> {
    let missing = expected
        .iter()
        .find(|hash| !chain.hashes.iter().any(|own| own[..] == hash[..]));
    match missing {
        Some(hash) => Err(CeremonyError::ContributionMissing {
            hash: HexBytes(hash.clone()).to_hex(),
        }),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::phase2::chain::{Factors, Texts};
    use crate::phase2::file::{FORMAT, Made, contribute, write_initial};
    use crate::phase2::testing::{
        committed_circuit, initial, prove_committed, prove_plain, random_circuit,
    };
    use proofmark_prover::NoProgress;
    use proofmark_prover::ceremony::BeaconRecord;
    use std::fs;

    struct Ceremony {
        folder: tempfile::TempDir,
        initial: InitialKey,
        made: Vec<Made>,
    }

    impl Ceremony {
        fn new(initial: InitialKey) -> Self {
            let folder = tempfile::tempdir().unwrap();
            write_initial(&path_of(folder.path(), 0), &initial).unwrap();
            Self {
                folder,
                initial,
                made: Vec::new(),
            }
        }

        fn path(&self, number: usize) -> PathBuf {
            path_of(self.folder.path(), number)
        }

        fn contribute(&mut self, name: &str) {
            let factors = Factors::from_system(self.initial.is_committed()).unwrap();
            let texts = Texts {
                name: name.to_owned(),
                statement: "a laptop\nsince wiped".to_owned(),
                beacon: None,
            };
            self.add(&factors, texts);
        }

        fn beacon(&mut self) {
            let value = BeaconRecord {
                value: HexBytes(b"block 9,000,000".to_vec()),
                iterations_log2: 10,
            };
            let committed = self.initial.is_committed();
            let factors = Factors::from_beacon(&value, committed, &NoProgress).unwrap();
            let texts = Texts {
                beacon: Some(value),
                ..Texts::default()
            };
            self.add(&factors, texts);
        }

        fn add(&mut self, factors: &Factors, texts: Texts) {
            let (number, previous) = last(self.folder.path()).unwrap();
            let next = self.path(number + 1);
            let made = contribute(&previous, &next, factors, texts, &NoProgress).unwrap();
            assert_eq!(made.number, number + 1);
            assert_eq!(made.file, output::file_digest(&next).unwrap());
            self.made.push(made);
        }

        fn of_three(initial: InitialKey) -> Self {
            let mut ceremony = Self::new(initial);
            for name in ["one", "two", "three"] {
                ceremony.contribute(name);
            }
            ceremony
        }

        fn verify(&self) -> Result<Verified, CeremonyError> {
            verify(self.folder.path(), &self.initial, &[], &NoProgress)
        }

        fn refused(&self) -> &'static str {
            self.verify().unwrap_err().code()
        }

        fn edit(&self, number: usize, edit: impl Fn(&mut Vec<u8>)) {
            let mut bytes = fs::read(self.path(number)).unwrap();
            edit(&mut bytes);
            fs::write(self.path(number), bytes).unwrap();
        }
    }

    #[test]
    fn plain_ceremonies_end_in_keys_that_prove() {
        let (circuit, assignment) = random_circuit(1, 3, 50);
        let mut ceremony = Ceremony::of_three(initial(&circuit));
        ceremony.beacon();
        let verified = ceremony.verify().unwrap();
        assert_eq!(verified.absent, Vec::<usize>::new());
        assert_eq!(verified.chain.secret, 3);
        let hashes: Vec<[u8; 64]> = ceremony.made.iter().map(|made| made.hash).collect();
        assert_eq!(verified.chain.hashes, hashes);
        assert_eq!(verified.record.last_file, Some(ceremony.made[3].file));
        let names: Vec<&str> = verified
            .record
            .contributions
            .iter()
            .map(|c| &c.name[..])
            .collect();
        assert_eq!(names, ["one", "two", "three", ""]);
        prove_plain(&circuit, &assignment, verified.key);
        // Nobody contributes behind a beacon.
        let factors = Factors::from_system(false).unwrap();
        let path = ceremony.path(5);
        let refused = contribute(
            &ceremony.path(4),
            &path,
            &factors,
            Texts::default(),
            &NoProgress,
        );
        assert_eq!(refused.unwrap_err().code(), "beacon-unusable");
        assert!(!path.exists());
    }

    #[test]
    fn lookup_ceremonies_end_in_keys_that_prove() {
        let circuit = committed_circuit(2, 10);
        let mut ceremony = Ceremony::of_three(initial(&circuit));
        ceremony.beacon();
        let verified = ceremony.verify().unwrap();
        assert!(verified.chain.deltas.committed.is_some());
        prove_committed(&circuit, 2, &[0, 1, 2, 3, 4, 5, 6, 7, 7, 7], verified.key);
    }

    #[test]
    fn earlier_files_may_be_gone_but_not_others() {
        let ceremony = Ceremony::of_three(initial(&random_circuit(1, 3, 50).0));
        fs::remove_file(ceremony.path(1)).unwrap();
        assert_eq!(ceremony.verify().unwrap().absent, [1]);
        fs::copy(ceremony.path(0), ceremony.path(1)).unwrap();
        assert_eq!(ceremony.refused(), "ceremony-mismatch");
    }

    #[test]
    fn a_contribution_that_was_dropped_is_missed_by_its_maker() {
        let mut ceremony = Ceremony::of_three(initial(&random_circuit(1, 3, 50).0));
        let two = ceremony.made[1].hash.to_vec();
        let verify = |ceremony: &Ceremony| {
            let expected = [two.clone()];
            verify(
                ceremony.folder.path(),
                &ceremony.initial,
                &expected,
                &NoProgress,
            )
        };
        assert!(verify(&ceremony).is_ok());
        // The coordinator goes on from the first one, as if the second had never come.
        for number in [2, 3] {
            fs::remove_file(ceremony.path(number)).unwrap();
        }
        ceremony.contribute("instead");
        assert!(ceremony.verify().is_ok());
        assert_eq!(
            verify(&ceremony).unwrap_err().code(),
            "contribution-missing"
        );
    }

    #[test]
    fn a_cheating_coordinator_is_caught() {
        let circuit = random_circuit(1, 3, 50).0;
        let lookup = committed_circuit(2, 10);
        for (circuit, committed) in [(&circuit, false), (&lookup, true)] {
            let before = initial(circuit);
            // No phase 2.
            let ceremony = Ceremony::new(before.clone());
            assert_eq!(ceremony.refused(), "ceremony-no-contribution");
            // A beacon alone: everyone knows its factors.
            let mut ceremony = Ceremony::new(before.clone());
            ceremony.beacon();
            assert_eq!(ceremony.refused(), "ceremony-no-contribution");
            // Another circuit's ceremony.
            let other = if committed {
                committed_circuit(2, 11)
            } else {
                random_circuit(2, 3, 50).0
            };
            let mut ceremony = Ceremony::of_three(initial(&other));
            ceremony.initial = before.clone();
            assert_eq!(ceremony.refused(), "ceremony-mismatch");
            // Points of a query replaced; the last 64 bytes are of H.
            let ceremony = Ceremony::of_three(before.clone());
            ceremony.edit(3, |bytes| {
                let end = bytes.len();
                bytes.copy_within(end - 128..end - 64, end - 64);
            });
            assert_eq!(ceremony.refused(), "ceremony-query-mismatch");
            // The name of an earlier contribution changed: no proof is about it, earlier files are.
            let ceremony = Ceremony::of_three(before.clone());
            ceremony.edit(3, |bytes| replace(bytes, b"\"two\"", b"\"owt\""));
            assert_eq!(ceremony.refused(), "ceremony-mismatch");
            for number in 0..3 {
                fs::remove_file(ceremony.path(number)).unwrap();
            }
            assert!(
                ceremony.verify().is_ok(),
                "names are bound by the files alone"
            );
            // The chain of one with the points of another.
            let (one, two) = (
                Ceremony::of_three(before.clone()),
                Ceremony::of_three(before),
            );
            let points = |ceremony: &Ceremony| {
                let bytes = fs::read(ceremony.path(3)).unwrap();
                let header = u32::from_le_bytes(bytes[32..36].try_into().unwrap());
                36 + header as usize
            };
            let foreign = fs::read(two.path(3)).unwrap()[points(&two)..].to_vec();
            let start = points(&one);
            one.edit(3, |bytes| {
                bytes.splice(start.., foreign.clone()).for_each(drop);
            });
            assert_eq!(one.refused(), "contribution-malformed");
        }
    }

    /// A plain circuit's file that claims a commitment of no wires is of no circuit.
    #[test]
    fn an_empty_query_is_not_the_same_as_none() {
        let ceremony = Ceremony::new(initial(&random_circuit(1, 3, 50).0));
        ceremony.edit(0, |bytes| {
            let length = u32::from_le_bytes(bytes[32..36].try_into().unwrap()) as usize;
            let header = String::from_utf8(bytes[36..36 + length].to_vec()).unwrap();
            let header = header.replace("  \"l_query\"", "  \"d_query\": 0,\n  \"l_query\"");
            let delta = bytes[36 + length..36 + length + 128].to_vec();
            let rest = bytes[36 + length..].to_vec();
            bytes.truncate(32);
            bytes.extend(u32::try_from(header.len()).unwrap().to_le_bytes());
            bytes.extend(header.as_bytes());
            bytes.extend(delta);
            bytes.extend(rest);
        });
        let factors = Factors::from_system(true).unwrap();
        let (from, to) = (ceremony.path(0), ceremony.path(1));
        contribute(&from, &to, &factors, Texts::default(), &NoProgress).unwrap();
        assert_eq!(ceremony.refused(), "ceremony-mismatch");
    }

    fn replace(bytes: &mut [u8], from: &[u8], to: &[u8]) {
        let at = bytes.windows(from.len()).position(|w| w == from).unwrap();
        bytes[at..at + to.len()].copy_from_slice(to);
    }

    #[test]
    fn damaged_files_are_refused() {
        let ceremony = Ceremony::of_three(initial(&committed_circuit(2, 10)));
        let bytes = fs::read(ceremony.path(3)).unwrap();
        let header = 36 + u32::from_le_bytes(bytes[32..36].try_into().unwrap()) as usize;
        let cases: [(&str, &dyn Fn(&mut Vec<u8>)); 10] = [
            ("empty", &Vec::clear),
            ("magic", &|b| b[0] ^= 1),
            ("long header", &|b| b[35] = 0xff),
            ("header of 0", &|b| b[32..36].fill(0)),
            ("other format", &|b| {
                replace(
                    &mut b[40..],
                    FORMAT.as_bytes(),
                    b"proofmark/contribution/v2",
                );
            }),
            ("other spelling", &|b| {
                replace(b, b"  \"backend\"", b"\t \"backend\"");
            }),
            ("short", &|b| b.truncate(b.len() - 1)),
            ("long", &|b| b.push(0)),
            ("delta", &|b| b[header] ^= 1),
            ("point off the curve", &|b| b[header + 2 * 128] ^= 1),
        ];
        for (what, damage) in cases {
            let mut damaged = bytes.clone();
            damage(&mut damaged);
            fs::write(ceremony.path(3), damaged).unwrap();
            assert_eq!(ceremony.refused(), "contribution-malformed", "{what}");
            // Nobody contributes to a damaged file.
            let factors = Factors::from_system(true).unwrap();
            let out = ceremony.folder.path().join("out");
            let made = contribute(
                &ceremony.path(3),
                &out,
                &factors,
                Texts::default(),
                &NoProgress,
            );
            assert_eq!(made.unwrap_err().code(), "contribution-malformed", "{what}");
            assert!(!out.exists());
        }
    }
}

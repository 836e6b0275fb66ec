//! The setup transcript: the public record that ties a key to its circuit.
//!
//! A single-party transcript is the maker's word and no more: it names circuit, proving key and
//! verifying key, and says that whoever made them could forge. No later contribution repairs that.
//! The transcript of a ceremony also holds what its contributors proved, from which anyone can verify
//! the proving key with the circuit and the powers of tau (`proofmark ceremony verify`).
//! Its bytes have one form: [`Transcript::parse`] refuses everything that it would not itself have
//! written.

use std::path::Path;

use proofmark_types::Digest;
use proofmark_verifier::encode_verifying_key;
use serde::{Deserialize, Serialize};

use crate::ceremony::CeremonyRecord;
use crate::error::ProverError;
use crate::generator::GENERATOR;
use crate::key_file::{self, LoadedKey};

/// Value of the member `format`.
pub const TRANSCRIPT_FORMAT: &str = "proofmark/setup-transcript/v1";
/// Name and version of how keys of ceremonies are derived.
pub const CEREMONY_GENERATOR: &str = "proofmark-ceremony-bn254/1";
/// Longest transcript that is read, in bytes: that of some thousand contributions.
const MAX_BYTES: usize = 1 << 22;

/// How a key was made.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum SetupRecord {
    /// One party drew the trapdoor from its operating system and wiped it.
    SingleParty,
    /// Many contributed; the key is safe if one of them forgot their factors.
    Ceremony,
    /// The trapdoor is derived from a seed: everyone can forge. For tests only.
    UnsafeDev,
}

impl SetupRecord {
    /// Kebab-case name, as in the transcript.
    pub const fn name(self) -> &'static str {
        match self {
            Self::SingleParty => "single-party",
            Self::Ceremony => "ceremony",
            Self::UnsafeDev => "unsafe-dev",
        }
    }
}

/// The transcript of a setup.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Transcript {
    /// [`TRANSCRIPT_FORMAT`].
    pub format: String,
    /// How the key was made.
    pub kind: SetupRecord,
    /// Name and version of the generator.
    pub generator: String,
    /// Circuit digest.
    pub circuit: Digest,
    /// SHA-256 of the proving key file.
    pub proving_key: Digest,
    /// SHA-256 of the verifying key file.
    pub verifying_key: Digest,
    /// What the contributors proved; of a ceremony, and of nothing else.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ceremony: Option<CeremonyRecord>,
}

impl Transcript {
    /// The transcript of a key that a ceremony made.
    pub fn of_ceremony(
        ceremony: CeremonyRecord,
        circuit: Digest,
        proving_key: Digest,
        verifying_key: Digest,
    ) -> Self {
        Self {
            format: TRANSCRIPT_FORMAT.to_owned(),
            kind: SetupRecord::Ceremony,
            generator: CEREMONY_GENERATOR.to_owned(),
            circuit,
            proving_key,
            verifying_key,
            ceremony: Some(ceremony),
        }
    }

    /// The transcript of a key just made by this generator.
    pub fn new(
        kind: SetupRecord,
        circuit: Digest,
        proving_key: Digest,
        verifying_key: Digest,
    ) -> Self {
        Self {
            format: TRANSCRIPT_FORMAT.to_owned(),
            kind,
            generator: GENERATOR.to_owned(),
            circuit,
            proving_key,
            verifying_key,
            ceremony: None,
        }
    }

    /// The one encoding: JSON, indented by two, members in order of declaration, a newline at the
    /// end.
    pub fn to_bytes(&self) -> Vec<u8> {
        // Strings and digests serialise without fail.
        let mut bytes = serde_json::to_vec_pretty(self).unwrap_or_default();
        bytes.push(b'\n');
        bytes
    }

    /// Parses the one encoding.
    ///
    /// # Errors
    /// [`ProverError::TranscriptMalformed`] for anything but the bytes that
    /// [`to_bytes`](Self::to_bytes) gives.
    pub fn parse(bytes: &[u8]) -> Result<Self, ProverError> {
        let refuse = |reason: String| ProverError::TranscriptMalformed { reason };
        if bytes.len() > MAX_BYTES {
            return Err(refuse(format!("longer than {MAX_BYTES} bytes")));
        }
        let transcript: Self =
            serde_json::from_slice(bytes).map_err(|error| refuse(error.to_string()))?;
        if transcript.format != TRANSCRIPT_FORMAT {
            return Err(refuse(format!(
                "format {:?}, this software reads {TRANSCRIPT_FORMAT:?}",
                transcript.format
            )));
        }
        if (transcript.kind == SetupRecord::Ceremony) != transcript.ceremony.is_some() {
            return Err(refuse(
                "a ceremony's transcript has its contributions, and no other has".to_owned(),
            ));
        }
        if transcript.to_bytes() != bytes {
            return Err(refuse("not in its one encoding".to_owned()));
        }
        Ok(transcript)
    }

    /// Checks that the transcript is about these: a circuit, and the digests of the two key files.
    ///
    /// # Errors
    /// [`ProverError::TranscriptMismatch`].
    pub fn verify(
        &self,
        circuit: &Digest,
        proving_key: &Digest,
        verifying_key: &Digest,
    ) -> Result<(), ProverError> {
        for (part, expected, got) in [
            ("circuit", &self.circuit, circuit),
            ("proving key", &self.proving_key, proving_key),
            ("verifying key", &self.verifying_key, verifying_key),
        ] {
            if expected != got {
                return Err(ProverError::TranscriptMismatch {
                    part,
                    expected: *expected,
                    got: *got,
                });
            }
        }
        Ok(())
    }

    /// [`verify`](Self::verify) for a loaded proving key and the verifying key *inside it*, in the
    /// verifier's encoding: what a verifier uses is what the prover proves under. A ceremony's key must
    /// have the deltas that its last contribution left.
    ///
    /// # Errors
    /// [`ProverError::TranscriptMismatch`]; [`ProverError::CeremonyKey`]; [`ProverError::KeyDegenerate`] for a verifying key
    /// that verifiers refuse.
    pub fn verify_key(&self, loaded: &LoadedKey) -> Result<(), ProverError> {
        let inside = encode_verifying_key(loaded.key.verifying_key()).map_err(|rejection| {
            ProverError::KeyDegenerate {
                reason: rejection.to_string(),
            }
        })?;
        self.verify(&loaded.circuit, &loaded.digest, &Digest::of(&inside))?;
        match &self.ceremony {
            Some(ceremony) if !ceremony.ends_in(&loaded.key) => Err(ProverError::CeremonyKey),
            _ => Ok(()),
        }
    }

    /// [`verify`](Self::verify) with the digests of the files themselves.
    ///
    /// # Errors
    /// [`ProverError::TranscriptMismatch`] and [`ProverError::Io`].
    pub fn verify_files(
        &self,
        circuit: &Digest,
        proving_key: &Path,
        verifying_key: &Path,
    ) -> Result<(), ProverError> {
        self.verify(
            circuit,
            &key_file::digest(proving_key)?,
            &key_file::digest(verifying_key)?,
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ceremony::{BeaconRecord, ContributionRecord, HexBytes, ShareRecord};

    fn sample() -> Transcript {
        Transcript::new(
            SetupRecord::SingleParty,
            Digest::of(b"circuit"),
            Digest::of(b"proving key"),
            Digest::of(b"verifying key"),
        )
    }

    #[test]
    fn one_encoding() {
        let bytes = sample().to_bytes();
        assert_eq!(Transcript::parse(&bytes), Ok(sample()));
        let text = String::from_utf8(bytes).unwrap();
        let head = concat!(
            "{\n",
            "  \"format\": \"proofmark/setup-transcript/v1\",\n",
            "  \"kind\": \"single-party\",\n",
            "  \"generator\": \"proofmark-groth16-bn254/2\",\n",
            "  \"circuit\": \"sha256:",
        );
        assert!(text.starts_with(head), "{text}");
        for (what, other) in [
            ("empty", String::new()),
            ("no newline", text.trim_end().to_owned()),
            ("more after it", text.clone() + "\n"),
            ("compact", text.replace('\n', "").replace("  ", "")),
            ("unknown kind", text.replace("single-party", "two-party")),
            ("no ceremony", text.replace("single-party", "ceremony")),
            ("unknown member", text.replace("{\n", "{\n  \"x\": 1,\n")),
            (
                "twice",
                text.replace("  \"kind\"", "  \"kind\": \"single-party\",\n  \"kind\""),
            ),
            ("other format", text.replace("/v1", "/v2")),
            ("upper case", text.replace("sha256:", "SHA256:")),
            (
                "escape",
                text.replace("proofmark-groth", "\\u0070roofmark-groth"),
            ),
            (
                "missing member",
                text.replace("  \"kind\": \"single-party\",\n", ""),
            ),
            ("too long", text.clone() + &" ".repeat(MAX_BYTES)),
        ] {
            assert_ne!(other, text, "{what}");
            let error = Transcript::parse(other.as_bytes()).unwrap_err();
            assert_eq!(error.code(), "transcript-malformed", "{what}");
        }
    }

    #[test]
    fn a_ceremony_tells_its_contributions() {
        let share = || ShareRecord {
            after: HexBytes(vec![1; 64]),
            s: HexBytes(vec![2; 64]),
            sx: HexBytes(vec![3; 64]),
            spx: HexBytes(vec![4; 128]),
        };
        let record = CeremonyRecord {
            phase1: Digest::of(b"powers"),
            initial_key: HexBytes(vec![5; 64]),
            last_file: Some(Digest::of(b"file")),
            contributions: vec![ContributionRecord {
                name: "one".to_owned(),
                statement: String::new(),
                previous: None,
                delta: share(),
                delta_committed: Some(share()),
                beacon: Some(BeaconRecord {
                    value: HexBytes(vec![6]),
                    iterations_log2: 10,
                }),
            }],
        };
        let [circuit, key] = [Digest::of(b"circuit"), Digest::of(b"key")];
        let transcript = Transcript::of_ceremony(record, circuit, key, key);
        let bytes = transcript.to_bytes();
        assert_eq!(Transcript::parse(&bytes), Ok(transcript));
        let text = String::from_utf8(bytes).unwrap();
        for (what, other) in [
            (
                "of one party",
                text.replacen("\"ceremony\"", "\"single-party\"", 1),
            ),
            ("upper case", text.replacen("05", "0A", 1)),
            (
                "unknown member",
                text.replacen("\"s\":", "\"t\": \"\",\n\"s\":", 1),
            ),
        ] {
            assert_ne!(other, text, "{what}");
            let error = Transcript::parse(other.as_bytes()).unwrap_err();
            assert_eq!(error.code(), "transcript-malformed", "{what}");
        }
    }

    #[test]
    fn the_dangerous_kind_says_so() {
        let mut dev = sample();
        dev.kind = SetupRecord::UnsafeDev;
        let text = String::from_utf8(dev.to_bytes()).unwrap();
        assert!(text.contains("\"kind\": \"unsafe-dev\""));
        assert_eq!(dev.kind.name(), "unsafe-dev");
        assert_eq!(sample().kind.name(), "single-party");
    }

    #[test]
    fn the_verifying_key_inside_the_proving_key_is_compared() {
        let (circuit, _) = crate::testing::random_circuit(40, 1, 10);
        let key = crate::setup(&circuit, &crate::NoProgress).unwrap();
        let other = crate::setup(&circuit, &crate::NoProgress).unwrap();
        let digest_of = |vk| Digest::of(&encode_verifying_key(vk).unwrap());
        let mut loaded = LoadedKey {
            circuit: circuit.digest(),
            digest: Digest::of(b"proving key"),
            key: key.clone(),
        };
        let transcript = Transcript::new(
            SetupRecord::SingleParty,
            loaded.circuit,
            loaded.digest,
            digest_of(&key.groth16.vk),
        );
        assert_eq!(transcript.verify_key(&loaded), Ok(()));
        // A ceremony's record around the key of one party.
        let record = CeremonyRecord {
            phase1: Digest::of(b"powers"),
            initial_key: HexBytes(vec![5; 64]),
            last_file: None,
            contributions: Vec::new(),
        };
        let claimed = Transcript::of_ceremony(
            record,
            loaded.circuit,
            loaded.digest,
            transcript.verifying_key,
        );
        let error = claimed.verify_key(&loaded).unwrap_err();
        assert_eq!(error.code(), "ceremony-key-mismatch");
        loaded.key.groth16.vk = other.groth16.vk;
        let error = transcript.verify_key(&loaded).unwrap_err();
        assert_eq!(error.code(), "transcript-mismatch");
        loaded.key.groth16.vk.delta_g2 = loaded.key.groth16.vk.gamma_g2;
        let error = transcript.verify_key(&loaded).unwrap_err();
        assert_eq!(error.code(), "key-degenerate");
    }

    #[test]
    fn each_file_is_compared() {
        let folder = tempfile::tempdir().unwrap();
        let (proving, verifying) = (folder.path().join("pk"), folder.path().join("vk"));
        let circuit = Digest::of(b"circuit");
        let check = |pk: &[u8], vk: &[u8], circuit: &Digest| {
            std::fs::write(&proving, pk).unwrap();
            std::fs::write(&verifying, vk).unwrap();
            sample()
                .verify_files(circuit, &proving, &verifying)
                .map_err(|error| match error {
                    ProverError::TranscriptMismatch { part, .. } => part,
                    other => panic!("{other}"),
                })
        };
        let (pk, vk) = (b"proving key", b"verifying key");
        assert_eq!(check(pk, vk, &circuit), Ok(()));
        assert_eq!(check(b"else", vk, &circuit), Err("proving key"));
        assert_eq!(check(pk, b"else", &circuit), Err("verifying key"));
        assert_eq!(check(pk, vk, &Digest::of(b"else")), Err("circuit"));
        assert_eq!(check(vk, pk, &circuit), Err("proving key"));
        std::fs::remove_file(&proving).unwrap();
        let missing = sample().verify_files(&circuit, &proving, &verifying);
        assert_eq!(missing.unwrap_err().code(), "key-io");
    }
}

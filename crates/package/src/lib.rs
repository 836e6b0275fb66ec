//! A package on disk: one folder, addressed by the digest of its manifest.
//!
//! | file | in a draft | in a sealed package | trusted? |
//! | --- | --- | --- | --- |
//! | `manifest.json` | yes | yes | only when its digest is pinned |
//! | `integer.onnx`, `float.onnx` | yes | yes | no: checked against the manifest |
//! | `translation.json` | yes | yes | no: checked against the manifest |
//! | `verifying_key.bin`, `transcript.json` | no | yes | no: checked against the manifest |
//! | `proving_key.bin` | no | yes, may be elsewhere | no: checked against the manifest |
//! | `attestations/*.json` | no | what auditors signed | no: checked against the manifest |
//! | `card.json` | where there is one | where there is one | no: words for people, bound by nothing |
//!
//! Whoever changes a file other than the manifest can at most make loading fail. Whoever changes
//! the manifest makes another package with another digest.
//!
//! Files are written to a temporary name, synced and renamed, and the manifest last, so that an
//! interrupted write leaves a draft a draft. A sealed package is never written again.
#![forbid(unsafe_code)]

mod attestations;
mod error;
mod files;
mod partial;

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use proofmark_types::Digest;
use proofmark_types::card::{CARD_FILE, Card, MAX_CARD_BYTES};
use proofmark_types::manifest::{MANIFEST_FILE, MAX_MANIFEST_BYTES, Manifest, ModelFile, Sealed};

pub use attestations::{MAX_ATTESTATIONS, attestations};
pub use error::PackageError;
pub use files::{read_bounded, write_atomic};
pub use partial::{Partial, Received};

/// File name of the integer model.
pub const INTEGER_MODEL_FILE: &str = "integer.onnx";
/// File name of the float model.
pub const FLOAT_MODEL_FILE: &str = "float.onnx";
/// File name of the verifying key.
pub const VERIFYING_KEY_FILE: &str = "verifying_key.bin";
/// File name of the proving key.
pub const PROVING_KEY_FILE: &str = "proving_key.bin";
/// File name of the report of the translation's validation.
pub const TRANSLATION_FILE: &str = "translation.json";
/// Name of the folder of attestations.
pub const ATTESTATIONS_FOLDER: &str = "attestations";
/// File name of the setup transcript.
pub const TRANSCRIPT_FILE: &str = "transcript.json";

/// Largest file read into memory whole, in bytes (models, verifying keys, transcripts).
pub const MAX_FILE_BYTES: u64 = 1 << 30;

/// A package whose manifest has been read and validated. Other files are checked when read.
#[derive(Debug, Clone)]
pub struct Package {
    folder: PathBuf,
    manifest: Manifest,
    bytes: Vec<u8>,
}

/// A file's record for the manifest.
pub fn describe(file: &str, bytes: &[u8]) -> ModelFile {
    ModelFile {
        file: file.to_owned(),
        digest: Digest::of(bytes),
        bytes: bytes.len() as u64,
    }
}

/// The files of a draft beside its manifest.
#[derive(Debug, Clone, Copy, Default)]
pub struct Contents<'c> {
    /// The integer model.
    pub integer_model: &'c [u8],
    /// The float model, where the manifest names one.
    pub float_model: Option<&'c [u8]>,
    /// The report of the translation's validation, where the manifest names one.
    pub translation: Option<&'c [u8]>,
}

impl Package {
    /// Opens a folder: reads and validates the manifest.
    ///
    /// # Errors
    /// [`PackageError`] when there is none, or it is malformed.
    pub fn open(folder: &Path) -> Result<Self, PackageError> {
        let path = folder.join(MANIFEST_FILE);
        let bytes = read_bounded(&path, MAX_MANIFEST_BYTES as u64)?;
        let manifest =
            Manifest::parse(&bytes).map_err(|source| PackageError::Manifest { path, source })?;
        Ok(Self {
            folder: folder.to_owned(),
            manifest,
            bytes,
        })
    }

    /// Opens a folder whose manifest must have this digest.
    ///
    /// # Errors
    /// [`PackageError::NotPinned`] when it has another; else as [`open`](Self::open).
    pub fn open_pinned(folder: &Path, pinned: Digest) -> Result<Self, PackageError> {
        let package = Self::open(folder)?;
        let got = package.digest();
        if got != pinned {
            return Err(not_pinned(folder, pinned, got));
        }
        Ok(package)
    }

    /// Writes a draft: its contents, then the manifest. The folder must be new or empty.
    ///
    /// # Errors
    /// [`PackageError::Exists`] when something is there; [`PackageError::Digest`] when the
    /// manifest does not describe the contents given.
    pub fn write_draft(
        folder: &Path,
        manifest: Manifest,
        contents: &Contents<'_>,
    ) -> Result<Self, PackageError> {
        if manifest.sealed.is_some() {
            return Err(PackageError::Sealed {
                folder: folder.to_owned(),
            });
        }
        fs::create_dir_all(folder).map_err(|source| PackageError::io("create", folder, source))?;
        let mut entries =
            fs::read_dir(folder).map_err(|source| PackageError::io("read", folder, source))?;
        if entries.next().is_some() {
            return Err(PackageError::Exists {
                folder: folder.to_owned(),
            });
        }
        let bytes = manifest
            .to_bytes()
            .map_err(|source| PackageError::Manifest {
                path: folder.join(MANIFEST_FILE),
                source,
            })?;
        let files = [
            (
                INTEGER_MODEL_FILE,
                Some(&manifest.integer_model),
                Some(contents.integer_model),
            ),
            (
                FLOAT_MODEL_FILE,
                manifest.float_model.as_ref(),
                contents.float_model,
            ),
            (
                TRANSLATION_FILE,
                manifest.translation.as_ref(),
                contents.translation,
            ),
        ];
        for (name, record, content) in files {
            match (record, content) {
                (Some(record), Some(content)) => {
                    check(record, content)?;
                    write_atomic(&folder.join(&record.file), content)?;
                }
                (None, None) => {}
                (record, _) => {
                    return Err(PackageError::Missing {
                        file: record.map_or_else(|| name.to_owned(), |r| r.file.clone()),
                    });
                }
            }
        }
        write_atomic(&folder.join(MANIFEST_FILE), &bytes)?;
        Ok(Self {
            folder: folder.to_owned(),
            manifest,
            bytes,
        })
    }

    /// Seals a draft: writes verifying key and transcript, then the manifest with `sealed`. The
    /// proving key has been written to [`path_of`](Self::path_of)`("proving_key.bin")` before.
    ///
    /// # Errors
    /// [`PackageError::Sealed`] when the package is sealed already: it is immutable.
    pub fn seal(
        self,
        sealed: Sealed,
        verifying_key: &[u8],
        transcript: &[u8],
    ) -> Result<Self, PackageError> {
        if self.manifest.sealed.is_some() {
            return Err(PackageError::Sealed {
                folder: self.folder,
            });
        }
        check(&sealed.verifying_key, verifying_key)?;
        check(&sealed.transcript, transcript)?;
        write_atomic(&self.folder.join(&sealed.verifying_key.file), verifying_key)?;
        write_atomic(&self.folder.join(&sealed.transcript.file), transcript)?;
        let mut manifest = self.manifest;
        manifest.sealed = Some(sealed);
        let path = self.folder.join(MANIFEST_FILE);
        let bytes = manifest
            .to_bytes()
            .map_err(|source| PackageError::Manifest {
                path: path.clone(),
                source,
            })?;
        write_atomic(&path, &bytes)?;
        Ok(Self {
            folder: self.folder,
            manifest,
            bytes,
        })
    }

    /// The manifest.
    pub const fn manifest(&self) -> &Manifest {
        &self.manifest
    }

    /// The manifest's bytes.
    pub fn manifest_bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// The package's address: SHA-256 of the manifest's bytes.
    pub fn digest(&self) -> Digest {
        Digest::of(&self.bytes)
    }

    /// What `setup` added.
    ///
    /// # Errors
    /// [`PackageError::Draft`] when the package is not sealed.
    pub fn sealed(&self) -> Result<&Sealed, PackageError> {
        let draft = || PackageError::Draft {
            folder: self.folder.clone(),
        };
        self.manifest.sealed.as_ref().ok_or_else(draft)
    }

    /// The folder.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// Path of a file of the package.
    pub fn path_of(&self, file: &str) -> PathBuf {
        self.folder.join(file)
    }

    /// Reads a file and checks its length and digest.
    ///
    /// # Errors
    /// [`PackageError::Digest`] when the content is not what the manifest says.
    pub fn read(&self, record: &ModelFile) -> Result<Vec<u8>, PackageError> {
        let bytes = read_bounded(&self.path_of(&record.file), MAX_FILE_BYTES)?;
        check(record, &bytes)?;
        Ok(bytes)
    }

    /// Length in bytes of a file of the package, whatever the manifest says of it.
    ///
    /// # Errors
    /// [`PackageError::Io`].
    pub fn file_bytes(&self, file: &str) -> Result<u64, PackageError> {
        let path = self.path_of(file);
        let metadata = fs::metadata(&path).map_err(|e| PackageError::io("examine", &path, e))?;
        Ok(metadata.len())
    }

    /// Checks the length of a file that is too large to be read here.
    ///
    /// # Errors
    /// [`PackageError::Length`] when it is not what the manifest says; [`PackageError::Io`].
    pub fn check_length(&self, record: &ModelFile) -> Result<(), PackageError> {
        let got = self.file_bytes(&record.file)?;
        if got != record.bytes {
            return Err(PackageError::Length {
                file: record.file.clone(),
                expected: record.bytes,
                got,
            });
        }
        Ok(())
    }

    /// Checks length and digest of a file, however large it is.
    ///
    /// # Errors
    /// [`PackageError::Length`] and [`PackageError::Digest`] when it is not what the manifest says;
    /// [`PackageError::Io`].
    pub fn check_file(&self, record: &ModelFile) -> Result<(), PackageError> {
        files::check_file(&self.path_of(&record.file), record)
    }

    /// The model's card, where the folder holds one, and its bytes. It is no part of the package.
    ///
    /// # Errors
    /// [`PackageError::Card`] for one that does not fit the model, [`PackageError::Io`],
    /// [`PackageError::TooLarge`].
    pub fn card(&self) -> Result<Option<(Card, Vec<u8>)>, PackageError> {
        let path = self.path_of(CARD_FILE);
        let bytes = match read_bounded(&path, MAX_CARD_BYTES as u64) {
            Ok(bytes) => bytes,
            Err(PackageError::Io { source, .. }) if source.kind() == io::ErrorKind::NotFound => {
                return Ok(None);
            }
            Err(error) => return Err(error),
        };
        let card = Card::parse(&bytes, &self.manifest)
            .map_err(|source| PackageError::Card { path, source })?;
        Ok(Some((card, bytes)))
    }

    /// Puts a card beside the manifest, which must fit the model.
    ///
    /// # Errors
    /// As [`card`](Self::card).
    pub fn write_card(&self, bytes: &[u8]) -> Result<(), PackageError> {
        let path = self.path_of(CARD_FILE);
        match Card::parse(bytes, &self.manifest) {
            Ok(_) => write_atomic(&path, bytes),
            Err(source) => Err(PackageError::Card { path, source }),
        }
    }

    /// The integer model's bytes, checked.
    ///
    /// # Errors
    /// As [`read`](Self::read).
    pub fn integer_model(&self) -> Result<Vec<u8>, PackageError> {
        self.read(&self.manifest.integer_model)
    }
}

fn not_pinned(folder: &Path, pinned: Digest, got: Digest) -> PackageError {
    PackageError::NotPinned {
        folder: folder.to_owned(),
        pinned,
        got,
    }
}

fn check(record: &ModelFile, bytes: &[u8]) -> Result<(), PackageError> {
    let got = Digest::of(bytes);
    if got != record.digest || bytes.len() as u64 != record.bytes {
        return Err(PackageError::Digest {
            file: record.file.clone(),
            expected: record.digest,
            got,
        });
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use proofmark_types::manifest::{
        Backend, CircuitRecord, CompilerPin, InputSpec, MANIFEST_FORMAT, OutputSpec, RuntimePin,
        SetupKind, ValidationReport, Visibility,
    };
    use proofmark_types::{ElemType, manifest::InputQuantizer};

    use super::*;

    const INTEGER: &[u8] = b"integer model";
    pub(crate) const CONTENTS: Contents<'static> = Contents {
        integer_model: INTEGER,
        float_model: None,
        translation: None,
    };

    pub(crate) fn draft_manifest() -> Manifest {
        Manifest {
            format: MANIFEST_FORMAT.to_owned(),
            name: "sample".to_owned(),
            version: "1".to_owned(),
            description: "a sample".to_owned(),
            licence: "MIT".to_owned(),
            float_model: None,
            integer_model: describe(INTEGER_MODEL_FILE, INTEGER),
            runtime: RuntimePin::current(),
            inputs: vec![InputSpec {
                name: "x".to_owned(),
                elem: ElemType::Uint8,
                shape: vec![1, 2],
                visibility: Visibility::Public,
                quantizer: Some(InputQuantizer::per_tensor(1.0, 0)),
            }],
            outputs: vec![OutputSpec {
                name: "y".to_owned(),
                elem: ElemType::Int32,
                shape: vec![1, 2],
                visibility: Visibility::Public,
                views: Vec::new(),
            }],
            compiler: CompilerPin {
                epoch: 1,
                backend: Backend::Groth16,
            },
            validation: ValidationReport::default(),
            translation: None,
            sealed: None,
        }
    }

    pub(crate) fn sealed_record() -> Sealed {
        Sealed {
            circuit: CircuitRecord {
                digest: Digest::of(b"circuit"),
                constraints: 3,
                wires: 5,
                public_inputs: 4,
            },
            verifying_key: describe(VERIFYING_KEY_FILE, b"vk"),
            proving_key: describe(PROVING_KEY_FILE, b"pk"),
            transcript: describe(TRANSCRIPT_FILE, b"transcript"),
            setup_kind: SetupKind::SingleParty,
        }
    }

    #[test]
    fn a_draft_is_sealed_once_and_addressed_by_its_manifest() {
        let root = tempfile::tempdir().unwrap();
        let folder = root.path().join("p");
        let draft = Package::write_draft(&folder, draft_manifest(), &CONTENTS).unwrap();
        assert!(matches!(draft.sealed(), Err(PackageError::Draft { .. })));
        assert_eq!(Package::open(&folder).unwrap().digest(), draft.digest());

        let sealed = draft
            .clone()
            .seal(sealed_record(), b"vk", b"transcript")
            .unwrap();
        assert_ne!(sealed.digest(), draft.digest());
        let opened = Package::open_pinned(&folder, sealed.digest()).unwrap();
        assert_eq!(
            opened
                .read(&opened.sealed().unwrap().verifying_key)
                .unwrap(),
            b"vk"
        );
        assert_eq!(opened.integer_model().unwrap(), INTEGER);
        assert!(matches!(
            opened.seal(sealed_record(), b"vk", b"transcript"),
            Err(PackageError::Sealed { .. })
        ));
        assert!(matches!(
            Package::open_pinned(&folder, draft.digest()),
            Err(PackageError::NotPinned { .. })
        ));
    }

    #[test]
    fn a_changed_file_is_refused() {
        let root = tempfile::tempdir().unwrap();
        let folder = root.path().join("p");
        let package = Package::write_draft(&folder, draft_manifest(), &CONTENTS).unwrap();
        fs::write(folder.join(INTEGER_MODEL_FILE), b"integer modeL").unwrap();
        assert_eq!(
            package.integer_model().unwrap_err().code(),
            "package-file-digest"
        );
        fs::remove_file(folder.join(INTEGER_MODEL_FILE)).unwrap();
        assert_eq!(package.integer_model().unwrap_err().code(), "package-io");
    }

    #[test]
    fn nothing_is_overwritten_and_nothing_undescribed_is_written() {
        let root = tempfile::tempdir().unwrap();
        let folder = root.path().join("p");
        let another = Contents {
            integer_model: b"another",
            ..CONTENTS
        };
        let with_float = Contents {
            float_model: Some(b"float"),
            ..CONTENTS
        };
        assert_eq!(
            Package::write_draft(&folder, draft_manifest(), &another)
                .unwrap_err()
                .code(),
            "package-file-digest"
        );
        assert!(!folder.join(MANIFEST_FILE).exists());
        Package::write_draft(&folder, draft_manifest(), &CONTENTS).unwrap();
        assert_eq!(
            Package::write_draft(&folder, draft_manifest(), &CONTENTS)
                .unwrap_err()
                .code(),
            "package-folder-not-empty"
        );
        let other = root.path().join("q");
        assert_eq!(
            Package::write_draft(&other, draft_manifest(), &with_float)
                .unwrap_err()
                .code(),
            "package-file-missing"
        );
        let third = root.path().join("r");
        let mut manifest = draft_manifest();
        manifest.translation = Some(describe(TRANSLATION_FILE, b"report"));
        let error = Package::write_draft(&third, manifest, &CONTENTS).unwrap_err();
        assert_eq!(error.code(), "package-file-missing");
    }

    #[test]
    fn a_report_is_kept_and_lengths_are_checked() {
        let root = tempfile::tempdir().unwrap();
        let folder = root.path().join("p");
        let mut manifest = draft_manifest();
        manifest.translation = Some(describe(TRANSLATION_FILE, b"report"));
        let contents = Contents {
            translation: Some(b"report"),
            ..CONTENTS
        };
        let package = Package::write_draft(&folder, manifest, &contents).unwrap();
        let record = package.manifest().translation.clone().unwrap();
        assert_eq!(package.read(&record).unwrap(), b"report");
        package.check_length(&record).unwrap();
        fs::write(folder.join(TRANSLATION_FILE), b"report!").unwrap();
        let error = package.check_length(&record).unwrap_err();
        assert!(matches!(
            error,
            PackageError::Length {
                expected: 6,
                got: 7,
                ..
            }
        ));
        fs::remove_file(folder.join(TRANSLATION_FILE)).unwrap();
        assert_eq!(
            package.check_length(&record).unwrap_err().code(),
            "package-io"
        );
    }

    #[test]
    fn a_file_over_the_limit_is_not_read() {
        let root = tempfile::tempdir().unwrap();
        let path = root.path().join("f");
        fs::write(&path, [0; 9]).unwrap();
        assert_eq!(read_bounded(&path, 9).unwrap().len(), 9);
        assert_eq!(
            read_bounded(&path, 8).unwrap_err().code(),
            "package-file-too-large"
        );
    }

    #[test]
    fn attestations_lie_beside_the_manifest() {
        let root = tempfile::tempdir().unwrap();
        let package = Package::write_draft(root.path(), draft_manifest(), &CONTENTS).unwrap();
        assert!(package.attestations().unwrap().is_empty());
        let folder = root.path().join(ATTESTATIONS_FOLDER);
        fs::create_dir(&folder).unwrap();
        for name in ["b.json", "a.json", "note.txt", "a.json.1.tmp"] {
            fs::write(folder.join(name), name).unwrap();
        }
        let found: Vec<_> = package.attestations().unwrap().into_iter().collect();
        let file = |name: &str| (name.to_owned(), name.as_bytes().to_vec());
        assert_eq!(found, [file("a.json"), file("b.json")]);
        // They are no part of the package's digest.
        assert_eq!(
            Package::open(root.path()).unwrap().digest(),
            package.digest()
        );

        for at in 0..MAX_ATTESTATIONS {
            fs::write(folder.join(format!("{at}.json")), "{}").unwrap();
        }
        let error = package.attestations().unwrap_err();
        assert_eq!(error.code(), "attestation-too-many");
        fs::remove_dir_all(&folder).unwrap();
        fs::create_dir(&folder).unwrap();
        fs::write(folder.join("a.json"), vec![b' '; (64 << 10) + 1]).unwrap();
        assert_eq!(
            package.attestations().unwrap_err().code(),
            "package-file-too-large"
        );
        fs::remove_dir_all(&folder).unwrap();
        fs::write(&folder, "no folder").unwrap();
        assert_eq!(package.attestations().unwrap_err().code(), "package-io");
    }
}

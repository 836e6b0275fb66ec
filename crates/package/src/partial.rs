//! A package that arrives from somewhere else: gathered in a folder beside its place, checked against
//! the pinned digest file by file, and put in its place whole or not at all.
//!
//! Whoever sends may be anybody. Which files there are, what they are called, how long they are and
//! what is in them stands in the manifest, and the manifest's digest is pinned.

use std::fs::{self, DirBuilder, File, OpenOptions, TryLockError};
use std::io::{self, ErrorKind, Read, Write as _};
use std::path::{Path, PathBuf};

use proofmark_types::Digest;
use proofmark_types::manifest::{MANIFEST_FILE, Manifest, ModelFile};

use crate::error::PackageError;
use crate::files::{check_file, write_atomic};
use crate::{Package, not_pinned};

/// Digits of the package digest in the name of the folder in which it is gathered.
const DIGITS: usize = 16;
const BUFFER_BYTES: usize = 1 << 16;

/// A sealed package that is being gathered.
#[derive(Debug)]
pub struct Partial {
    /// Where it is gathered.
    folder: PathBuf,
    /// Where it is to be.
    out: PathBuf,
    manifest: Manifest,
    bytes: Vec<u8>,
    /// The folder itself, locked: one process gathers.
    _held: File,
}

/// What a source gave.
#[derive(Debug)]
pub struct Received {
    /// Length of the file from here on.
    pub bytes: u64,
    /// Why the source stopped before the file's end; `None` also when it simply ended.
    pub stopped: Option<io::Error>,
}

impl Partial {
    /// Begins, or goes on where an earlier attempt stopped. `out` must be absent or an empty folder;
    /// the parts are gathered in a folder beside it that its owner alone may read,
    /// `OUT.<16 digits>.partial`.
    ///
    /// # Errors
    /// [`PackageError::NotPinned`] for a manifest with another digest, [`PackageError::Manifest`],
    /// [`PackageError::Draft`], [`PackageError::Exists`]; [`PackageError::Partial`] when the folder
    /// beside it is in use, open to others, or holds anything that is none of the package's files.
    pub fn begin(out: &Path, manifest: &[u8], pinned: Digest) -> Result<Self, PackageError> {
        let bytes = manifest.to_vec();
        if Digest::of(&bytes) != pinned {
            return Err(not_pinned(out, pinned, Digest::of(&bytes)));
        }
        let manifest = Manifest::parse(&bytes).map_err(|source| PackageError::Manifest {
            path: out.join(MANIFEST_FILE),
            source,
        })?;
        if manifest.sealed.is_none() {
            return Err(PackageError::Draft {
                folder: out.to_owned(),
            });
        }
        let out = &std::path::absolute(out).map_err(|e| PackageError::io("find", out, e))?;
        let exists = || PackageError::Exists {
            folder: out.clone(),
        };
        match fs::read_dir(out) {
            Ok(mut entries) => {
                if entries.next().is_some() {
                    return Err(exists());
                }
            }
            Err(error) if error.kind() == ErrorKind::NotFound => {}
            Err(_) => return Err(exists()),
        }
        let mut name = out.file_name().ok_or_else(exists)?.to_owned();
        let digits: String = pinned.to_hex().chars().take(DIGITS).collect();
        name.push(format!(".{digits}.partial"));
        let parent = out.parent().ok_or_else(exists)?;
        fs::create_dir_all(parent).map_err(|e| PackageError::io("create", parent, e))?;
        let folder = parent.join(name);
        make_private(&folder)?;
        let held = File::open(&folder).map_err(|e| PackageError::io("open", &folder, e))?;
        match held.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                return Err(unusable(
                    &folder,
                    "another process gathers the package in it",
                ));
            }
            Err(TryLockError::Error(error)) => {
                return Err(PackageError::io("lock", &folder, error));
            }
        }
        let partial = Self {
            folder,
            out: out.clone(),
            manifest,
            bytes,
            _held: held,
        };
        partial.check_entries()?;
        Ok(partial)
    }

    /// The manifest, which is the pinned one.
    pub const fn manifest(&self) -> &Manifest {
        &self.manifest
    }

    /// Where the parts are gathered.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// How many bytes of a file are there. What is longer than it can be is thrown away.
    ///
    /// # Errors
    /// [`PackageError::Io`].
    pub fn held(&self, record: &ModelFile) -> Result<u64, PackageError> {
        let path = self.folder.join(&record.file);
        let length = match fs::metadata(&path) {
            Ok(metadata) => metadata.len(),
            Err(error) if error.kind() == ErrorKind::NotFound => 0,
            Err(error) => return Err(PackageError::io("examine", &path, error)),
        };
        if length > record.bytes {
            fs::remove_file(&path).map_err(|e| PackageError::io("remove", &path, e))?;
            return Ok(0);
        }
        Ok(length)
    }

    /// Takes what a source gives as the file's bytes from `from` on, at most to the file's end. What
    /// was there behind `from` is thrown away. What the source gives is kept also when it stops early.
    ///
    /// # Errors
    /// [`PackageError::Length`] for a source that goes on behind the file's end;
    /// [`PackageError::Io`] when the file cannot be written.
    pub fn receive(
        &self,
        record: &ModelFile,
        from: u64,
        source: &mut dyn Read,
    ) -> Result<Received, PackageError> {
        let path = self.folder.join(&record.file);
        let write_error = |error| PackageError::io("write", &path, error);
        let mut options = OpenOptions::new();
        let mut file = options
            .create(true)
            .append(true)
            .open(&path)
            .map_err(write_error)?;
        file.set_len(from.min(record.bytes)).map_err(write_error)?;
        let mut length = from.min(record.bytes);
        let mut buffer = vec![0; BUFFER_BYTES];
        let stopped = loop {
            let count = match source.read(&mut buffer) {
                Ok(0) => break None,
                Ok(count) => count,
                Err(error) if error.kind() == ErrorKind::Interrupted => continue,
                Err(error) => break Some(error),
            };
            let after = length.saturating_add(count as u64);
            if after > record.bytes {
                return Err(PackageError::Length {
                    file: record.file.clone(),
                    expected: record.bytes,
                    got: after,
                });
            }
            let part = buffer.get(..count).unwrap_or_default();
            file.write_all(part).map_err(write_error)?;
            length = after;
        };
        Ok(Received {
            bytes: length,
            stopped,
        })
    }

    /// Checks a file that is there in its length, and makes it durable. One that is not the
    /// manifest's is thrown away, so that the next attempt fetches it anew.
    ///
    /// # Errors
    /// [`PackageError::Digest`], [`PackageError::Length`], [`PackageError::Io`].
    pub fn check(&self, record: &ModelFile) -> Result<(), PackageError> {
        let path = self.folder.join(&record.file);
        // A file without bytes is one that no source had to give.
        if record.bytes == 0 {
            File::create(&path).map_err(|e| PackageError::io("write", &path, e))?;
        }
        if let Err(error) = check_file(&path, record) {
            if let PackageError::Digest { .. } = error {
                fs::remove_file(&path).map_err(|e| PackageError::io("remove", &path, e))?;
            }
            return Err(error);
        }
        File::open(&path)
            .and_then(|file| file.sync_all())
            .map_err(|e| PackageError::io("write", &path, e))
    }

    /// Puts the package in its place: every file was [`check`](Self::check)ed.
    ///
    /// # Errors
    /// [`PackageError::Length`] when a file is not whole, [`PackageError::Io`] when the place was
    /// taken meanwhile or cannot be written.
    pub fn finish(self) -> Result<Package, PackageError> {
        for record in self.manifest.files() {
            let got = self.held(record)?;
            if got != record.bytes {
                return Err(PackageError::Length {
                    file: record.file.clone(),
                    expected: record.bytes,
                    got,
                });
            }
        }
        write_atomic(&self.folder.join(MANIFEST_FILE), &self.bytes)?;
        // An empty folder gives way; anything else does not.
        fs::rename(&self.folder, &self.out).map_err(|e| PackageError::io("make", &self.out, e))?;
        if let Some(parent) = self.out.parent() {
            File::open(parent)
                .and_then(|folder| folder.sync_all())
                .map_err(|e| PackageError::io("write", parent, e))?;
        }
        Ok(Package {
            folder: self.out,
            manifest: self.manifest,
            bytes: self.bytes,
        })
    }

    /// Only files of the package are there: no folders, and no links that writing would follow.
    fn check_entries(&self) -> Result<(), PackageError> {
        let read_error = |error| PackageError::io("read", &self.folder, error);
        for entry in fs::read_dir(&self.folder).map_err(read_error)? {
            let entry = entry.map_err(read_error)?;
            let name = entry.file_name();
            let is_file = entry.file_type().map_err(read_error)?.is_file();
            let known = name == MANIFEST_FILE || {
                let files = self.manifest.files();
                files.iter().any(|record| name == *record.file)
            };
            if is_file && known {
                continue;
            }
            // What a crash leaves of the manifest, written last.
            let text = name.to_string_lossy();
            if is_file && text.starts_with(MANIFEST_FILE) && text.ends_with(".tmp") {
                fs::remove_file(entry.path()).map_err(read_error)?;
                continue;
            }
            return Err(unusable(
                &self.folder,
                &format!("{text:?} in it is no file of the package"),
            ));
        }
        Ok(())
    }
}

fn unusable(folder: &Path, reason: &str) -> PackageError {
    PackageError::Partial {
        folder: folder.to_owned(),
        reason: reason.to_owned(),
    }
}

/// Makes a folder that its owner alone may use; one that is there must be such a folder.
fn make_private(folder: &Path) -> Result<(), PackageError> {
    let mut builder = DirBuilder::new();
    #[cfg(unix)]
    {
        use std::os::unix::fs::DirBuilderExt as _;
        builder.mode(0o700);
    }
    match builder.create(folder) {
        Ok(()) => return Ok(()),
        Err(error) if error.kind() == ErrorKind::AlreadyExists => {}
        Err(error) => return Err(PackageError::io("create", folder, error)),
    }
    let metadata =
        fs::symlink_metadata(folder).map_err(|e| PackageError::io("examine", folder, e))?;
    if !metadata.is_dir() {
        return Err(unusable(folder, "it is no folder"));
    }
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt as _;
        if metadata.permissions().mode().trailing_zeros() < 6 {
            return Err(unusable(folder, "others may use it"));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tests::{CONTENTS, draft_manifest, sealed_record};
    use crate::{INTEGER_MODEL_FILE, PROVING_KEY_FILE};

    /// A sealed package's manifest, and its files by name.
    fn sealed() -> (tempfile::TempDir, Package) {
        let root = tempfile::tempdir().unwrap();
        let folder = root.path().join("source");
        let draft = Package::write_draft(&folder, draft_manifest(), &CONTENTS).unwrap();
        fs::write(folder.join(PROVING_KEY_FILE), b"pk").unwrap();
        let package = draft.seal(sealed_record(), b"vk", b"transcript").unwrap();
        (root, package)
    }

    fn gather(partial: &Partial, package: &Package) {
        for record in partial.manifest().files() {
            let bytes = package.read(record).unwrap();
            let held = partial.held(record).unwrap();
            let mut rest = &bytes[usize::try_from(held).unwrap()..];
            let received = partial.receive(record, held, &mut rest).unwrap();
            assert_eq!(received.bytes, record.bytes);
            partial.check(record).unwrap();
        }
    }

    #[test]
    fn a_package_appears_whole_and_an_attempt_goes_on() {
        let (root, package) = sealed();
        let out = root.path().join("deep/out");
        let begin = || Partial::begin(&out, package.manifest_bytes(), package.digest());
        let partial = begin().unwrap();
        let model = partial.manifest().integer_model.clone();
        let received = partial.receive(&model, 0, &mut &b"integ"[..]).unwrap();
        assert_eq!((received.bytes, received.stopped.is_none()), (5, true));
        assert_eq!(begin().unwrap_err().code(), "package-partial-unusable");
        drop(partial);
        assert!(!out.exists());
        let partial = begin().unwrap();
        assert_eq!(partial.held(&model).unwrap(), 5);
        gather(&partial, &package);
        let folder = partial.folder().to_owned();
        let made = partial.finish().unwrap();
        assert!(!folder.exists());
        assert_eq!(made.digest(), package.digest());
        let again = Package::open_pinned(&out, package.digest()).unwrap();
        for record in again.manifest().files() {
            assert_eq!(again.read(record).unwrap(), package.read(record).unwrap());
        }
        assert_eq!(begin().unwrap_err().code(), "package-folder-not-empty");
    }

    #[test]
    fn nothing_but_the_pinned_package_is_gathered() {
        let (root, package) = sealed();
        let out = root.path().join("out");
        let other = Digest::of(b"other");
        let error = Partial::begin(&out, package.manifest_bytes(), other).unwrap_err();
        assert_eq!(error.code(), "package-not-pinned");
        let draft = draft_manifest().to_bytes().unwrap();
        let error = Partial::begin(&out, &draft, Digest::of(&draft)).unwrap_err();
        assert_eq!(error.code(), "package-draft");
        // A manifest that names a file elsewhere is none, whoever pins it.
        let text = String::from_utf8(package.manifest_bytes().to_vec()).unwrap();
        let text = text.replace(INTEGER_MODEL_FILE, "../integer.onnx");
        let error = Partial::begin(&out, text.as_bytes(), Digest::of(text.as_bytes()));
        assert_eq!(error.unwrap_err().code(), "manifest-invalid");

        let partial = Partial::begin(&out, package.manifest_bytes(), package.digest()).unwrap();
        let model = partial.manifest().integer_model.clone();
        let error = partial.receive(&model, 0, &mut io::repeat(7)).unwrap_err();
        assert_eq!(error.code(), "package-file-digest");
        assert!(partial.held(&model).unwrap() <= model.bytes);
        partial
            .receive(&model, 0, &mut &b"integer modeL"[..])
            .unwrap();
        let error = partial.check(&model).unwrap_err();
        assert_eq!(error.code(), "package-file-digest");
        assert_eq!(partial.held(&model).unwrap(), 0, "it is thrown away");
        let error = partial.finish().unwrap_err();
        assert_eq!(error.code(), "package-file-digest");
        assert!(!out.exists());
    }

    #[cfg(unix)]
    #[test]
    fn a_folder_that_others_prepared_is_not_used() {
        use std::os::unix::fs::{PermissionsExt as _, symlink};
        let (root, package) = sealed();
        let out = root.path().join("out");
        let begin = || Partial::begin(&out, package.manifest_bytes(), package.digest());
        let folder = begin().unwrap().folder().to_owned();
        let code = || begin().unwrap_err().code();
        symlink("/dev/null", folder.join(INTEGER_MODEL_FILE)).unwrap();
        assert_eq!(code(), "package-partial-unusable");
        fs::remove_file(folder.join(INTEGER_MODEL_FILE)).unwrap();
        fs::write(folder.join("stranger"), b"x").unwrap();
        assert_eq!(code(), "package-partial-unusable");
        fs::remove_file(folder.join("stranger")).unwrap();
        fs::write(folder.join("manifest.json.1.tmp"), b"x").unwrap();
        begin().unwrap();
        fs::set_permissions(&folder, fs::Permissions::from_mode(0o770)).unwrap();
        assert_eq!(code(), "package-partial-unusable");
        fs::remove_dir_all(&folder).unwrap();
        symlink(root.path(), &folder).unwrap();
        assert_eq!(code(), "package-partial-unusable");
    }
}

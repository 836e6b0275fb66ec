//! Attestations of the package's audits. They name the manifest's digest, so they cannot be among
//! the files that it names: they lie in a folder beside it.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::Path;

use proofmark_types::attestation::MAX_ATTESTATION_BYTES;

use crate::error::PackageError;
use crate::files::read_bounded;
use crate::{ATTESTATIONS_FOLDER, Package};

/// Most attestations of a package that are read.
pub const MAX_ATTESTATIONS: usize = 64;

/// The files `attestations/*.json` of a package's folder by name, as they are: whether they attest
/// this package, and who says so, is not checked here.
///
/// # Errors
/// [`PackageError::Io`], [`PackageError::TooLarge`], [`PackageError::TooManyAttestations`].
pub fn attestations(folder: &Path) -> Result<BTreeMap<String, Vec<u8>>, PackageError> {
    let folder = folder.join(ATTESTATIONS_FOLDER);
    let read_error = |source| PackageError::io("read", &folder, source);
    let entries = match fs::read_dir(&folder) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(BTreeMap::new()),
        Err(error) => return Err(read_error(error)),
    };
    let mut found = BTreeMap::new();
    for entry in entries {
        let path = entry.map_err(read_error)?.path();
        if path.extension().is_none_or(|extension| extension != "json") {
            continue;
        }
        if found.len() == MAX_ATTESTATIONS {
            return Err(PackageError::TooManyAttestations {
                folder: folder.clone(),
                limit: MAX_ATTESTATIONS,
            });
        }
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        let bytes = read_bounded(&path, MAX_ATTESTATION_BYTES as u64)?;
        found.insert(name.into_owned(), bytes);
    }
    Ok(found)
}

impl Package {
    /// [`attestations()`] of this package's folder.
    ///
    /// # Errors
    /// As [`attestations()`].
    pub fn attestations(&self) -> Result<BTreeMap<String, Vec<u8>>, PackageError> {
        attestations(self.folder())
    }
}

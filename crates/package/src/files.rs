//! Reading with a bound and writing so that a crash leaves the old or the new content, never half.

use std::fs::{self, File};
use std::io::{Read, Write};
use std::path::Path;

use proofmark_types::digest::DigestStream;
use proofmark_types::manifest::ModelFile;

use crate::error::PackageError;

/// Reads a file of at most `limit` bytes.
///
/// # Errors
/// [`PackageError::TooLarge`], [`PackageError::Io`].
pub fn read_bounded(path: &Path, limit: u64) -> Result<Vec<u8>, PackageError> {
    let file = File::open(path).map_err(|source| PackageError::io("open", path, source))?;
    let mut bytes = Vec::new();
    // One byte more than allowed tells a file that grew since its size was asked.
    let read = file.take(limit.saturating_add(1)).read_to_end(&mut bytes);
    read.map_err(|source| PackageError::io("read", path, source))?;
    if bytes.len() as u64 > limit {
        let size = fs::metadata(path).map_or(bytes.len() as u64, |m| m.len());
        return Err(PackageError::TooLarge {
            path: path.to_owned(),
            bytes: size,
            limit,
        });
    }
    Ok(bytes)
}

/// Writes a file under a temporary name, syncs it, renames it, syncs the folder.
///
/// # Errors
/// [`PackageError::Io`].
pub fn write_atomic(path: &Path, bytes: &[u8]) -> Result<(), PackageError> {
    let mut temporary = path.as_os_str().to_owned();
    temporary.push(format!(".{}.tmp", std::process::id()));
    let temporary = Path::new(&temporary);
    let write = || {
        let mut file = File::create(temporary)?;
        file.write_all(bytes)?;
        file.sync_all()?;
        fs::rename(temporary, path)?;
        match path.parent() {
            Some(folder) if !folder.as_os_str().is_empty() => File::open(folder)?.sync_all(),
            _ => Ok(()),
        }
    };
    write().map_err(|source| PackageError::io("write", path, source))
}

/// Checks length and digest of a file without holding it in memory.
///
/// # Errors
/// [`PackageError::Length`], [`PackageError::Digest`], [`PackageError::Io`].
pub(crate) fn check_file(path: &Path, record: &ModelFile) -> Result<(), PackageError> {
    let mut file = File::open(path).map_err(|source| PackageError::io("open", path, source))?;
    let read_error = |source| PackageError::io("read", path, source);
    let length = file.metadata().map_err(read_error)?.len();
    if length != record.bytes {
        return Err(PackageError::Length {
            file: record.file.clone(),
            expected: record.bytes,
            got: length,
        });
    }
    let mut digest = DigestStream::new();
    let mut buffer = vec![0; 1 << 16];
    loop {
        let count = file.read(&mut buffer).map_err(read_error)?;
        if count == 0 {
            break;
        }
        digest.update(buffer.get(..count).unwrap_or_default());
    }
    let got = digest.finish();
    if got != record.digest {
        return Err(PackageError::Digest {
            file: record.file.clone(),
            expected: record.digest,
            got,
        });
    }
    Ok(())
}

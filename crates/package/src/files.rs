//! Reading with a bound and writing so that a crash leaves the old or the new content, never half.

use std::fs::{self, File};
use std::io::{Read, Write};
use std::path::Path;

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

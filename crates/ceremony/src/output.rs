//! Files that appear whole or not at all: written beside their place, synced and renamed.

use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::path::Path;

use proofmark_types::Digest;
use proofmark_types::digest::DigestStream;
use tempfile::NamedTempFile;

use crate::error::CeremonyError;

/// Writes and hashes.
pub(crate) struct Output {
    inner: BufWriter<NamedTempFile>,
    stream: DigestStream,
}

impl Write for Output {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = self.inner.write(bytes)?;
        self.stream.update(bytes.get(..written).unwrap_or(bytes));
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.inner.flush()
    }
}

/// A file beside a path, which takes its place in the end, or goes.
pub(crate) fn temporary(path: &Path) -> Result<NamedTempFile, CeremonyError> {
    let folder = folder(path);
    let mut builder = tempfile::Builder::new();
    builder.prefix(".ceremony-");
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        // As any file that is no secret; the process's umask still applies.
        builder.permissions(std::fs::Permissions::from_mode(0o666));
    }
    let temporary = builder.tempfile_in(folder);
    temporary.map_err(|error| CeremonyError::io("cannot write", path, &error))
}

/// Moves a whole file to its place. A file that is there already is replaced.
pub(crate) fn persist(temporary: NamedTempFile, path: &Path) -> Result<(), CeremonyError> {
    let refuse = |error: &io::Error| CeremonyError::io("cannot write", path, error);
    temporary.as_file().sync_all().map_err(|e| refuse(&e))?;
    temporary.persist(path).map_err(|e| refuse(&e.error))?;
    // The rename is durable once the folder is; where folders cannot be opened it is best effort.
    if let Ok(folder) = File::open(folder(path)) {
        drop(folder.sync_all());
    }
    Ok(())
}

fn folder(path: &Path) -> &Path {
    match path.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        _ => Path::new("."),
    }
}

/// Writes a file with `fill`, and returns the digest of its bytes. A file that is there already is
/// replaced.
pub(crate) fn create(
    path: &Path,
    fill: impl FnOnce(&mut Output) -> Result<(), CeremonyError>,
) -> Result<Digest, CeremonyError> {
    let refuse = |error: &io::Error| CeremonyError::io("cannot write", path, error);
    let mut output = Output {
        inner: BufWriter::with_capacity(1 << 20, temporary(path)?),
        stream: DigestStream::new(),
    };
    fill(&mut output)?;
    output.flush().map_err(|e| refuse(&e))?;
    let digest = output.stream.finish();
    let temporary = output
        .inner
        .into_inner()
        .map_err(|e| refuse(&e.into_error()))?;
    persist(temporary, path)?;
    Ok(digest)
}

/// SHA-256 of a file, read as a stream.
///
/// # Errors
/// [`CeremonyError::Io`].
pub(crate) fn file_digest(path: &Path) -> Result<Digest, CeremonyError> {
    proofmark_prover::key_file::digest(path).map_err(|error| match error {
        proofmark_prover::ProverError::Io {
            action,
            path,
            reason,
        } => CeremonyError::Io {
            action,
            path,
            reason,
        },
        other => other.into(),
    })
}

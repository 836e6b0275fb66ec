//! One file a command.

pub(crate) mod attest;
pub(crate) mod audit;
pub(crate) mod bench;
pub(crate) mod ceremony;
pub(crate) mod doctor;
pub(crate) mod evm;
pub(crate) mod import;
pub(crate) mod infer;
pub(crate) mod inspect;
pub(crate) mod log;
pub(crate) mod prove;
pub(crate) mod proxy;
pub(crate) mod pull;
pub(crate) mod receipt;
pub(crate) mod relay;
pub(crate) mod serve;
pub(crate) mod setup;
pub(crate) mod verify;

use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

use proofmark_engine::EngineError;
use proofmark_package::{VERIFYING_KEY_FILE, write_atomic};
use proofmark_types::manifest::MANIFEST_FILE;
use proofmark_verify::Failure;

use crate::arguments::PackageFiles;
use crate::failures::{Fail as _, OrFail as _};

/// Manifest and verifying key, from a package's folder or named one by one.
fn package_files(files: &PackageFiles) -> Result<(PathBuf, PathBuf), Failure> {
    match (&files.package, &files.manifest, &files.verifying_key) {
        (Some(folder), _, _) => Ok((folder.join(MANIFEST_FILE), folder.join(VERIFYING_KEY_FILE))),
        (None, Some(manifest), Some(key)) => Ok((manifest.clone(), key.clone())),
        (None, _, _) => Err(Failure::usage(
            "package-missing",
            "give --package, or --manifest and --verifying-key",
        )),
    }
}

/// 32 bytes from the operating system.
fn random_bytes() -> Result<[u8; 32], Failure> {
    let mut bytes = [0; 32];
    getrandom::fill(&mut bytes).map_err(|error| {
        let reason = error.to_string();
        EngineError::Randomness { reason }.fail()
    })?;
    Ok(bytes)
}

/// Writes a result so that it is there whole or not at all.
fn write(path: &Path, bytes: &[u8]) -> Result<(), Failure> {
    write_atomic(path, bytes).or_fail()
}

/// Refuses a file for salts that is there already, before any work is done for it.
fn check_secret(path: Option<&Path>) -> Result<(), Failure> {
    match path {
        Some(path) if path.exists() => Err(unwritable(path, "it exists")),
        _ => Ok(()),
    }
}

/// Writes what is for its owner alone: nobody else may read the file.
fn write_secret(path: &Path, bytes: &[u8]) -> Result<(), Failure> {
    use std::io::Write as _;
    let mut options = std::fs::OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    {
        use std::os::unix::fs::OpenOptionsExt as _;
        options.mode(0o600);
    }
    options
        .open(path)
        .and_then(|mut file| file.write_all(bytes).and_then(|()| file.sync_all()))
        .map_err(|error| unwritable(path, &error.to_string()))
}

fn unwritable(path: &Path, reason: &str) -> Failure {
    let message = format!("cannot write {}", path.display());
    let mut failure = Failure::environment("file-unwritable", message);
    failure.causes.push(reason.to_owned());
    failure.hint("salts are never written over a file that exists; choose a new name")
}

/// Unix seconds.
fn now() -> u64 {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .map_or(0, |elapsed| elapsed.as_secs())
}

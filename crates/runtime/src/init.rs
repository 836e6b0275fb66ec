//! Loading of the shared library, once a process.

use std::fs::File;
use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use ort::environment::Environment;
use ort::logging::LogLevel;
use proofmark_types::Digest;
use proofmark_types::digest::DigestStream;

use crate::error::RuntimeError;
use crate::library::{self, ORT_COMMIT, ORT_VERSION};

/// The library that was loaded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RuntimeInfo {
    /// Its release, always [`ORT_VERSION`].
    pub version: String,
    /// Its absolute path.
    pub library: PathBuf,
    /// SHA-256 of the file.
    pub library_digest: Digest,
}

struct Loaded {
    environment: Environment,
    info: RuntimeInfo,
}

/// Loads ONNX Runtime into this process: finds the library ([`library::locate`]), checks its
/// digest or, for a library that the user named, its release, and silences its log (its errors
/// come back as causes of [`RuntimeError`]).
///
/// Idempotent and thread-safe: later calls return what the first loaded, and loading a session
/// calls it by itself. A failure is not remembered, so the remedy can be applied and the call
/// repeated, except that the operating system keeps a library of a wrong release loaded.
///
/// # Errors
/// Every error of [`library::locate`], and `LibraryUnreadable`, `LibraryDigest`, `LibraryLoad`,
/// `Version` and `Configuration`.
pub fn init() -> Result<RuntimeInfo, RuntimeError> {
    loaded().map(|loaded| loaded.info.clone())
}

/// The process-wide environment under which sessions are made.
pub(crate) fn environment() -> Result<&'static Environment, RuntimeError> {
    loaded().map(|loaded| &loaded.environment)
}

fn loaded() -> Result<&'static Loaded, RuntimeError> {
    static LOADED: OnceLock<Loaded> = OnceLock::new();
    static LOADING: Mutex<()> = Mutex::new(());
    if let Some(loaded) = LOADED.get() {
        return Ok(loaded);
    }
    let _one_at_a_time = LOADING.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(loaded) = LOADED.get() {
        return Ok(loaded);
    }
    let loaded = load()?;
    Ok(LOADED.get_or_init(|| loaded))
}

fn load() -> Result<Loaded, RuntimeError> {
    let named_by_user = library::overridden()?.is_some();
    let path = library::locate()?;
    let found = file_digest(&path)?;
    let expected = library::pinned().ok().map(|pin| pin.library_digest);
    let is_pinned = expected == Some(found);
    if let (false, false, Some(expected)) = (named_by_user, is_pinned, expected) {
        return Err(RuntimeError::LibraryDigest {
            path,
            expected,
            found,
        });
    }

    // What is no ONNX Runtime at all is refused here, before its interface is used.
    let builder = ort::init_from(&path).map_err(|error| RuntimeError::LibraryLoad {
        path: path.clone(),
        source: Box::new(error),
    })?;
    // The bindings tell the minor version only; the exact release is told by the pinned digest
    // or, for other builds, by the commit that the build reports.
    if !is_pinned && !is_release_build(ort::info()) {
        return Err(RuntimeError::Version {
            path,
            found: ort::info().to_owned(),
        });
    }

    let refused = |error: ort::Error| RuntimeError::Configuration {
        source: Box::new(error),
    };
    let environment = builder
        .with_name("proofmark")
        .with_telemetry(false)
        .with_logger(Arc::new(|_, _, _, _, _| {}))
        .build()
        .map_err(refused)?;
    environment.set_log_level(LogLevel::Fatal);
    let info = RuntimeInfo {
        version: ORT_VERSION.to_owned(),
        library: path,
        library_digest: found,
    };
    Ok(Loaded { environment, info })
}

/// Whether a build says of itself that it was made from the release's commit.
fn is_release_build(build_info: &str) -> bool {
    build_info
        .split([',', ' '])
        .filter_map(|part| part.trim().strip_prefix("git-commit-id="))
        .any(|commit| commit == ORT_COMMIT)
}

fn file_digest(path: &Path) -> Result<Digest, RuntimeError> {
    let unreadable = |source| RuntimeError::LibraryUnreadable {
        path: path.to_path_buf(),
        source,
    };
    let mut file = File::open(path).map_err(unreadable)?;
    let mut digest = DigestStream::new();
    let mut buffer = vec![0; 1 << 16];
    loop {
        let count = file.read(&mut buffer).map_err(unreadable)?;
        if count == 0 {
            return Ok(digest.finish());
        }
        digest.update(buffer.get(..count).unwrap_or_default());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_build_is_the_release_only_if_its_commit_is() {
        let info = "ORT Build Info: git-branch=HEAD, git-commit-id=6af1a93, fp8-kv-cache=1, build type=Release";
        assert!(is_release_build(info));
        assert!(!is_release_build(&info.replace("6af1a93", "26250ae")));
        assert!(!is_release_build(&info.replace("6af1a93", "6af1a93f")));
        assert!(!is_release_build("ORT Build Info: git-branch=6af1a93"));
        assert!(!is_release_build(""));
    }

    #[test]
    fn loading_twice_and_from_threads_is_loading_once() {
        let first = init().unwrap();
        assert_eq!(first.version, ORT_VERSION);
        assert!(is_release_build(ort::info()), "{}", ort::info());
        std::thread::scope(|scope| {
            for _ in 0..8 {
                scope.spawn(|| assert_eq!(init().unwrap(), first));
            }
        });
    }
}

//! What was seen of a log: its latest checkpoint, kept over restarts. A log that does not go on from
//! it shows two histories, and is not believed.

use std::collections::BTreeMap;
use std::fs::{self, File, OpenOptions, TryLockError};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use proofmark_log::{LogError, Reader};
use proofmark_package::{PackageError, write_atomic};
use proofmark_tlog::{Policy, SignedCheckpoint, Tiles, TlogError, VerifierKey};
use proofmark_types::Digest;

use crate::ProxyError;

/// Times that a checkpoint is compared anew because another request kept a later one meanwhile.
const TRIES: usize = 16;

/// Why a checkpoint is not taken.
#[derive(Debug)]
pub(crate) enum Doubt {
    /// The log shows two histories, or does not show that it shows one.
    Log(LogError),
    /// What was seen cannot be kept.
    Disk(PackageError),
    /// Other requests were quicker, again and again.
    Busy,
}

/// The history of one log.
#[derive(Debug)]
pub(crate) struct History {
    policy: Policy,
    path: PathBuf,
    kept: Mutex<Option<SignedCheckpoint>>,
}

/// The histories of all pinned logs, in one folder that no other process uses.
#[derive(Debug)]
pub(crate) struct Histories {
    folder: PathBuf,
    open: BTreeMap<String, Arc<History>>,
    _lock: File,
}

impl Histories {
    pub(crate) fn open(folder: &Path) -> Result<Self, ProxyError> {
        let refuse = |reason: String| ProxyError::State {
            path: folder.to_owned(),
            reason,
        };
        fs::create_dir_all(folder).map_err(|error| refuse(error.to_string()))?;
        let mut options = OpenOptions::new();
        let lock = options
            .write(true)
            .create(true)
            .truncate(false)
            .open(folder.join("lock"))
            .map_err(|error| refuse(error.to_string()))?;
        lock.try_lock().map_err(|error| match error {
            TryLockError::WouldBlock => {
                refuse("another proxy uses it; give each one a folder of its own".to_owned())
            }
            TryLockError::Error(error) => refuse(error.to_string()),
        })?;
        Ok(Self {
            folder: folder.to_owned(),
            open: BTreeMap::new(),
            _lock: lock,
        })
    }

    /// The history of the log with this key.
    pub(crate) fn of(&mut self, key: &VerifierKey) -> Result<Arc<History>, ProxyError> {
        let name = key.to_string();
        if let Some(history) = self.open.get(&name) {
            return Ok(Arc::clone(history));
        }
        let file = format!("{}.checkpoint", Digest::of(name.as_bytes()).to_hex());
        let history = Arc::new(History::open(self.folder.join(file), key)?);
        self.open.insert(name, Arc::clone(&history));
        Ok(history)
    }
}

impl History {
    fn open(path: PathBuf, key: &VerifierKey) -> Result<Self, ProxyError> {
        let refuse = |reason: String| ProxyError::State {
            path: path.clone(),
            reason,
        };
        let kept = match fs::read(&path) {
            Ok(bytes) => Some(SignedCheckpoint::verify(&bytes, key).map_err(|error| {
                refuse(format!(
                    "{error}; restore the file: without it a log that was forked meanwhile is believed"
                ))
            })?),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => None,
            Err(error) => return Err(refuse(error.to_string())),
        };
        Ok(Self {
            policy: Policy::new(key.clone()),
            path,
            kept: Mutex::new(kept),
        })
    }

    fn kept(&self) -> Option<SignedCheckpoint> {
        let kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        kept.clone()
    }

    /// Takes a checkpoint that the log signed, after it was shown from the log's tiles that what was
    /// seen before goes on in it (or it in what was seen before). The later one is on the disk when
    /// this returns.
    pub(crate) fn admit(&self, new: &SignedCheckpoint, tiles: &dyn Tiles) -> Result<(), Doubt> {
        for _ in 0..TRIES {
            let seen = self.kept();
            if let Some(seen) = &seen {
                let compared = self.compare(seen, new, tiles);
                if let Err(LogError::Tlog(TlogError::Inconsistent { .. })) = &compared {
                    self.keep_evidence(new);
                }
                compared.map_err(Doubt::Log)?;
            }
            let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
            if *kept != seen {
                continue;
            }
            let size = |head: &SignedCheckpoint| head.checkpoint().size();
            if seen.as_ref().is_none_or(|seen| size(seen) < size(new)) {
                write_atomic(&self.path, new.to_string().as_bytes()).map_err(Doubt::Disk)?;
                *kept = Some(new.clone());
            }
            return Ok(());
        }
        Err(Doubt::Busy)
    }

    /// Whether the smaller of two trees is the beginning of the larger one.
    fn compare(
        &self,
        seen: &SignedCheckpoint,
        new: &SignedCheckpoint,
        tiles: &dyn Tiles,
    ) -> Result<(), LogError> {
        let (one, other) = (seen.checkpoint(), new.checkpoint());
        if one.size() == other.size() {
            if one.root() == other.root() {
                return Ok(());
            }
            return Err(LogError::Tlog(TlogError::Inconsistent {
                old: one.size(),
                new: other.size(),
            }));
        }
        let (older, newer) = if one.size() < other.size() {
            (seen, new)
        } else {
            (new, seen)
        };
        let reader = Reader::open_at(tiles, &self.policy, newer.to_string().as_bytes())?;
        reader.consistent_with(older.to_string().as_bytes())?;
        Ok(())
    }

    /// Keeps the checkpoint that contradicts the one that was seen: the log signed both.
    fn keep_evidence(&self, new: &SignedCheckpoint) {
        let path = self.evidence();
        match write_atomic(&path, new.to_string().as_bytes()) {
            Ok(()) => tracing::error!(
                log.origin = new.checkpoint().origin(),
                log.seen = %self.path.display(),
                log.contradiction = %path.display(),
                code = "tlog-inconsistent",
                "THE LOG SHOWS TWO HISTORIES: both checkpoints are signed by it, together they are \
                 the evidence; keep both files"
            ),
            Err(error) => tracing::error!(
                log.origin = new.checkpoint().origin(),
                cause = %error,
                code = "tlog-inconsistent",
                "THE LOG SHOWS TWO HISTORIES, and the evidence cannot be written"
            ),
        }
    }

    fn evidence(&self) -> PathBuf {
        self.path.with_extension("contradiction")
    }
}

#[cfg(test)]
mod tests {
    use ed25519_dalek::SigningKey;
    use proofmark_tlog::{Checkpoint, KeyKind, ReadError, Tip};

    use super::*;

    /// The files of a log with these entries.
    struct Log(BTreeMap<String, Vec<u8>>);

    impl Tiles for Log {
        fn read(&self, path: &str, _: usize) -> Result<Option<Vec<u8>>, ReadError> {
            Ok(self.0.get(path).cloned())
        }
    }

    fn log(entries: &[&str]) -> (SignedCheckpoint, Log) {
        let mut tip = Tip::default();
        tip.append(entries).unwrap();
        let size = u64::try_from(entries.len()).unwrap();
        let head = Checkpoint::new("example.com/log", size, tip.root()).unwrap();
        let files = tip.partial_files();
        let files = files.map(|(path, bytes)| (path.to_string(), bytes));
        (
            SignedCheckpoint::sign(head, &signer()).unwrap(),
            Log(files.collect()),
        )
    }

    fn signer() -> SigningKey {
        SigningKey::from_bytes(&[9; 32])
    }

    fn key() -> VerifierKey {
        let public = signer().verifying_key();
        VerifierKey::new("example.com/log", KeyKind::Ed25519, public.as_bytes()).unwrap()
    }

    #[test]
    fn a_log_that_grows_is_taken_and_its_latest_head_survives_a_restart() {
        let folder = tempfile::tempdir().unwrap();
        let (small, small_tiles) = log(&["a", "b"]);
        let (large, large_tiles) = log(&["a", "b", "c"]);
        {
            let mut all = Histories::open(folder.path()).unwrap();
            let history = all.of(&key()).unwrap();
            history.admit(&small, &small_tiles).unwrap();
            history.admit(&large, &large_tiles).unwrap();
            // An answer that was under way longer.
            history.admit(&small, &large_tiles).unwrap();
            assert_eq!(history.kept(), Some(large.clone()));
            assert_eq!(
                Histories::open(folder.path()).unwrap_err().code(),
                "proxy-state",
                "one process at a time"
            );
        }
        let mut all = Histories::open(folder.path()).unwrap();
        let history = all.of(&key()).unwrap();
        assert_eq!(history.kept(), Some(large));
    }

    #[test]
    fn a_log_that_was_forked_or_shrank_is_not_taken() {
        let folder = tempfile::tempdir().unwrap();
        let mut all = Histories::open(folder.path()).unwrap();
        let history = all.of(&key()).unwrap();
        let (seen, tiles) = log(&["a", "b", "c"]);
        history.admit(&seen, &tiles).unwrap();
        for (entries, evident) in [
            (&["a", "x", "c", "d"][..], true),
            (&["a", "b", "x"][..], true),
            // Shrunk: it does not have the tree any more that was seen.
            (&["a"][..], false),
            (&["x", "y"][..], false),
        ] {
            fs::remove_file(history.evidence()).ok();
            let (forked, tiles) = log(entries);
            let doubt = history.admit(&forked, &tiles).unwrap_err();
            assert!(matches!(doubt, Doubt::Log(_)), "{entries:?}: {doubt:?}");
            assert_eq!(history.evidence().exists(), evident, "{entries:?}");
            assert_eq!(history.kept(), Some(seen.clone()), "{entries:?}");
        }
    }

    #[test]
    fn a_kept_head_that_is_none_stops_the_start() {
        let folder = tempfile::tempdir().unwrap();
        let name = Digest::of(key().to_string().as_bytes()).to_hex();
        let path = folder.path().join(format!("{name}.checkpoint"));
        fs::write(path, "damaged").unwrap();
        let mut all = Histories::open(folder.path()).unwrap();
        assert_eq!(all.of(&key()).unwrap_err().code(), "proxy-state");
    }
}

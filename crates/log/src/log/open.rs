//! Opening a log, and making it where there is none.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Mutex;

use ed25519_dalek::SigningKey;
use proofmark_tlog::note::is_key_name;
use proofmark_tlog::{Checkpoint, EMPTY_ROOT, KeyKind, SignedCheckpoint, VerifierKey};
use proofmark_types::dsse::key_id;

use super::Log;
use crate::error::LogError;
use crate::files::{Disk, make_folder, read_bounded, replace_file, sync_folder, take_lock};
use crate::intent::{self, Intent};
use crate::key_file::{load_key, load_or_create_key};
use crate::recovery::recover;
use crate::writer::Writer;

/// The log's key: 32 raw bytes, the Ed25519 seed.
const KEY_FILE: &str = "log_key";
/// The key of a log whose first checkpoint is not written yet.
const NEW_KEY_FILE: &str = "new_key";
/// What is served.
const PUBLIC: &str = "public";
/// What is not.
const STATE: &str = "state";

/// How a log is opened.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Options {
    /// The log's name in checkpoints and keys; better a URL without scheme under which it is
    /// served. Without: `proofmark.dev/log/` and 16 hex digits of the key's hash. It cannot be
    /// changed later.
    pub origin: Option<String>,
    /// A checkpoint of this log that was kept elsewhere (a database, a witness): the log must
    /// contain it, else it was rolled back with all its state, and is not opened.
    pub known: Option<Vec<u8>>,
    /// A file outside of the log's folder, in which the log keeps its checkpoint whenever it is
    /// opened and whenever a notice was added. The log must contain what stands in it: a folder that
    /// was put back to an older state does not lose a revocation unseen.
    pub remember: Option<PathBuf>,
}

impl Log {
    /// Opens the log in a folder; makes it, with its key, where there is nothing. Entries that were
    /// being added when the last writer died are published now.
    ///
    /// # Errors
    /// [`LogError::Locked`]; [`LogError::Key`], also for a folder with entries and no key;
    /// [`LogError::Origin`]; [`LogError::Shrank`] and [`LogError::Damaged`] when what is there is
    /// not what was signed; [`LogError::Io`]; [`LogError::Tlog`].
    pub fn open(folder: &Path, options: &Options) -> Result<Self, LogError> {
        let (public, state_folder) = (folder.join(PUBLIC), folder.join(STATE));
        make_folder(folder)?;
        make_folder(&state_folder)?;
        let held = take_lock(folder, &state_folder.join("lock"))?;
        let public_disk = Disk::open(&public, &state_folder.join("tmp"))?;
        let state = Disk::open(&state_folder, &state_folder.join("tmp"))?;
        let remembered = remembered(folder, options)?;
        let created = create(folder, &public_disk, &state, options)?;
        let key_path = folder.join(KEY_FILE);
        let key = load_key(&key_path)?.ok_or_else(|| LogError::Key {
            path: key_path.clone(),
            reason: "it is missing, though the log has entries; restore it from a backup"
                .to_owned(),
        })?;
        let intent = read_intent(&state)?.ok_or_else(|| LogError::Shrank {
            reason: "state/intent is missing, so that nobody knows how far the log went".to_owned(),
        })?;
        let origin = intent.head.checkpoint().origin().to_owned();
        if let Some(expected) = &options.origin
            && *expected != origin
        {
            return Err(LogError::Origin {
                expected: expected.clone(),
                got: origin,
            });
        }
        let public_key = key.verifying_key().to_bytes();
        let vkey = VerifierKey::new(&origin, KeyKind::Ed25519, &public_key)?;
        let known = [&options.known, &remembered];
        let known = known
            .into_iter()
            .flatten()
            .map(|bytes| SignedCheckpoint::verify(bytes, &vkey))
            .collect::<Result<Vec<_>, _>>()?;
        let (tip, head, mut recovery) = recover(&public_disk, &state, &intent, &vkey, &known)?;
        recovery.created = created;
        let log = Self {
            public,
            key: vkey,
            queue: Mutex::default(),
            notices: Mutex::default(),
            head: Mutex::new(head.clone()),
            writer: Mutex::new(Writer {
                public: public_disk,
                state,
                key,
                tip,
                head,
                pending: None,
            }),
            recovery,
            remember: options.remember.clone(),
            _lock: held,
        };
        log.remember()?;
        Ok(log)
    }

    /// Keeps the latest checkpoint outside of the log's folder, if that is wanted.
    pub(super) fn remember(&self) -> Result<(), LogError> {
        let head = self.checkpoint();
        match &self.remember {
            // A log without entries has nothing to lose.
            Some(path) if head.checkpoint().size() != 0 => {
                replace_file(path, head.to_string().as_bytes())
            }
            _ => Ok(()),
        }
    }
}

/// The checkpoint that is kept outside of the log's folder. There must be a log when there is one.
fn remembered(folder: &Path, options: &Options) -> Result<Option<Vec<u8>>, LogError> {
    let Some(path) = &options.remember else {
        return Ok(None);
    };
    let bytes = read_bounded(path, proofmark_tlog::note::MAX_NOTE_BYTES)
        .map_err(|error| LogError::io("read", path, &error))?;
    if bytes.is_some() && !fs::exists(folder.join(KEY_FILE)).unwrap_or(true) {
        return Err(LogError::Shrank {
            reason: format!(
                "{} remembers a log with entries, and {} holds none",
                path.display(),
                folder.display()
            ),
        });
    }
    Ok(bytes)
}

fn read_intent(state: &Disk) -> Result<Option<Intent>, LogError> {
    let path = state.root().join(intent::FILE);
    let bytes = read_bounded(&path, intent::MAX_FILE_BYTES)
        .map_err(|error| LogError::io("read", &path, &error))?;
    bytes.map(|bytes| Intent::parse(&bytes)).transpose()
}

/// Makes the log where there is none. The key gets its name last: a folder with a key is a log that
/// was made, and must have all that belongs to it.
fn create(folder: &Path, public: &Disk, state: &Disk, options: &Options) -> Result<bool, LogError> {
    let (key_path, new_key) = (folder.join(KEY_FILE), state.root().join(NEW_KEY_FILE));
    let begun = fs::exists(&new_key).unwrap_or(false);
    let there = |path: &Path| fs::exists(path).unwrap_or(true);
    if there(&key_path) {
        if begun {
            // Made by the name's link; only this name is left to remove.
            fs::remove_file(&new_key).map_err(|error| LogError::io("remove", &new_key, &error))?;
        }
        return Ok(false);
    }
    let remains = [
        public.root().join("tile"),
        public.root().join("checkpoint"),
        state.root().join(intent::FILE),
    ];
    if !begun && remains.iter().any(|path| there(path)) {
        return Ok(false);
    }
    let key: SigningKey = load_or_create_key(&new_key)?;
    let public_key = key.verifying_key().to_bytes();
    let id = key_id(&public_key).to_hex();
    let origin = options.origin.clone().unwrap_or_else(|| {
        let short: String = id.chars().take(16).collect();
        format!("proofmark.dev/log/{short}")
    });
    if !is_key_name(&origin) {
        return Err(LogError::Key {
            path: key_path,
            reason: format!(
                "{origin:?} cannot be a log's name: no spaces, no plus sign, at most 255 bytes"
            ),
        });
    }
    let head = Checkpoint::new(&origin, 0, EMPTY_ROOT)?;
    let intent = Intent {
        old_size: 0,
        entries: Vec::new(),
        head: SignedCheckpoint::sign(head, &key)?,
    };
    state.write(&[(intent::FILE.to_owned(), intent.to_bytes()?)])?;
    public.write(&[("checkpoint".to_owned(), intent.head.to_string())])?;
    fs::rename(&new_key, &key_path)
        .and_then(|()| sync_folder(folder))
        .and_then(|()| sync_folder(state.root()))
        .map_err(|error| LogError::io("write", &key_path, &error))?;
    Ok(true)
}

#[cfg(test)]
mod tests {
    use proofmark_types::Digest;

    use super::*;
    use crate::log::lock;
    use crate::log::testing::{copy, entries, entry, indices, open};

    #[test]
    fn a_log_that_was_not_made_to_the_end_is_made_again() {
        let folder = tempfile::tempdir().unwrap();
        let state = folder.path().join(STATE);
        fs::create_dir_all(&state).unwrap();
        load_or_create_key(&state.join(NEW_KEY_FILE)).unwrap();
        let key = fs::read(state.join(NEW_KEY_FILE)).unwrap();
        drop(open(folder.path()).unwrap());
        assert_eq!(fs::read(folder.path().join(KEY_FILE)).unwrap(), key);
        // The last step alone is missing: the key's name.
        fs::rename(folder.path().join(KEY_FILE), state.join(NEW_KEY_FILE)).unwrap();
        let log = open(folder.path()).unwrap();
        assert_eq!(log.size(), 0);
        assert!(log.recovery().created);
    }

    #[test]
    fn a_log_that_lost_something_does_not_start() {
        let start = tempfile::tempdir().unwrap();
        let log = open(start.path()).unwrap();
        log.append_all(&entries(0..300)).unwrap();
        let old = log.checkpoint().to_string().into_bytes();
        let backup = tempfile::tempdir().unwrap();
        copy(start.path(), backup.path());
        // The last batch alone would be redone from the intent.
        log.append_all(&entries(300..500)).unwrap();
        log.append_all(&entries(500..700)).unwrap();
        let newest = log.checkpoint().to_string().into_bytes();
        drop(log);
        let broken = |name: &str, change: &dyn Fn(&Path)| {
            let folder = tempfile::tempdir().unwrap();
            copy(start.path(), folder.path());
            change(folder.path());
            let error = open(folder.path()).map(|log| log.size()).unwrap_err();
            assert!(!error.to_string().is_empty());
            (name.to_owned(), error.code())
        };
        let replace = |what: &'static str| {
            let backup = backup.path().to_owned();
            move |folder: &Path| {
                let (from, to) = (backup.join(what), folder.join(what));
                if from.is_dir() {
                    fs::remove_dir_all(&to).unwrap();
                    copy(&from, &to);
                } else {
                    fs::copy(from, to).unwrap();
                }
            }
        };
        let spoil = |what: &'static str| {
            move |folder: &Path| {
                let mut bytes = fs::read(folder.join(what)).unwrap();
                let middle = bytes.len() / 2;
                bytes[middle] ^= 1;
                fs::write(folder.join(what), bytes).unwrap();
            }
        };
        let found = [
            broken("public rolled back", &replace("public")),
            broken("state rolled back", &replace("state")),
            broken("key lost", &|f| fs::remove_file(f.join("log_key")).unwrap()),
            broken("intent lost", &|f| {
                fs::remove_file(f.join("state/intent")).unwrap();
            }),
            broken("bundle lost", &|f| {
                fs::remove_file(f.join("public/tile/entries/001")).unwrap();
            }),
            broken("all lost", &|f| {
                fs::remove_dir_all(f.join("public")).unwrap();
                fs::remove_dir_all(f.join("state")).unwrap();
            }),
            broken("entry changed", &spoil("public/tile/entries/000")),
            broken("intent changed", &spoil("state/intent")),
            broken("checkpoint changed", &spoil("public/checkpoint")),
            broken("bundle cut", &|f| {
                fs::write(f.join("public/tile/entries/000"), b"\0").unwrap();
            }),
            broken("another key", &|f| {
                fs::remove_file(f.join("log_key")).unwrap();
                load_or_create_key(&f.join("log_key")).unwrap();
            }),
        ];
        let expected = [
            ("public rolled back", "log-shrank"),
            ("state rolled back", "log-shrank"),
            ("key lost", "log-key"),
            ("intent lost", "log-shrank"),
            ("bundle lost", "log-shrank"),
            ("all lost", "log-shrank"),
            ("entry changed", "log-damaged"),
            ("intent changed", "log-damaged"),
            ("checkpoint changed", "tlog-unsigned"),
            ("bundle cut", "log-damaged"),
            ("another key", "tlog-unsigned"),
        ];
        let found: Vec<(&str, &str)> = found.iter().map(|(n, c)| (n.as_str(), *c)).collect();
        for (found, expected) in found.iter().zip(expected) {
            let malformed = expected.0 == "checkpoint changed" && found.1.starts_with("tlog-");
            assert!(
                *found == expected || malformed,
                "{found:?} instead of {expected:?}"
            );
        }
        // Everything rolled back together is noticed by who remembers a checkpoint.
        let options = |known: &[u8]| Options {
            known: Some(known.to_vec()),
            ..Options::default()
        };
        let error = Log::open(backup.path(), &options(&newest)).unwrap_err();
        assert_eq!(error.code(), "log-shrank");
        Log::open(backup.path(), &options(&old)).unwrap();
        Log::open(start.path(), &options(&old)).unwrap();
        // The backup went another way: a fork.
        let fork = open(backup.path()).unwrap();
        fork.append_all(&entries(1000..1400)).unwrap();
        drop(fork);
        let error = Log::open(backup.path(), &options(&newest)).unwrap_err();
        assert_eq!(error.code(), "tlog-inconsistent");
    }

    /// A backup that holds every receipt, and not the revocation that came after them.
    #[test]
    fn a_log_that_was_put_back_does_not_lose_a_notice_unseen() {
        use crate::notice::{Notice, SignedNotice, Statement, Subject};
        let folder = tempfile::tempdir().unwrap();
        let options = Options {
            remember: Some(folder.path().join("log.checkpoint")),
            ..Options::default()
        };
        let place = folder.path().join("log");
        let log = Log::open(&place, &options).unwrap();
        log.append(&entry(0)).unwrap();
        let backup = folder.path().join("backup");
        copy(&place, &backup);
        let service = SigningKey::from_bytes(&[1; 32]);
        let notice = Notice {
            log: log.origin().to_owned(),
            issued_at: 1,
            statement: Statement::Revocation {
                subject: Subject::Package(Digest::of(b"package")),
                from: 0,
                reason: "unsound".to_owned(),
            },
        };
        let notice = SignedNotice::sign(notice, &service).unwrap();
        log.append_notice(notice, service.verifying_key().as_bytes())
            .unwrap();
        drop(log);
        Log::open(&place, &options).unwrap();
        let error = Log::open(&backup, &options).unwrap_err();
        assert_eq!(error.code(), "log-shrank");
        // It goes on and reaches the size again: a fork.
        let fork = open(&backup).unwrap();
        fork.append_all(&entries(5..9)).unwrap();
        drop(fork);
        let error = Log::open(&backup, &options).unwrap_err();
        assert_eq!(error.code(), "tlog-inconsistent");
        // Another log, or none, in its place.
        drop(open(&folder.path().join("other")).unwrap());
        let error = Log::open(&folder.path().join("other"), &options).unwrap_err();
        assert_eq!(error.code(), "tlog-origin-mismatch");
        let none = folder.path().join("none");
        let error = Log::open(&none, &options).unwrap_err();
        assert_eq!(error.code(), "log-shrank");
        assert!(!none.join(KEY_FILE).exists(), "no log is begun");
    }

    /// The name of the intent was there and not durable: it is made so before anything rests on it.
    #[test]
    fn what_is_redone_has_its_mark_written_again() {
        use std::os::unix::fs::MetadataExt as _;
        let folder = tempfile::tempdir().unwrap();
        let log = open(folder.path()).unwrap();
        log.append(&entry(0)).unwrap();
        lock(&log.writer).public.fails_after.set(Some(0));
        assert!(log.append(&entry(1)).is_err());
        drop(log);
        let intent = folder.path().join("state/intent");
        let before = fs::metadata(&intent).unwrap().ino();
        let held = fs::read(&intent).unwrap();
        // The old file is kept, so that its number is not given to the new one.
        fs::hard_link(&intent, folder.path().join("kept")).unwrap();
        let log = open(folder.path()).unwrap();
        assert_eq!(log.recovery().redone, 1);
        assert_ne!(fs::metadata(&intent).unwrap().ino(), before);
        assert_eq!(fs::read(&intent).unwrap(), held);
    }

    #[test]
    fn derived_files_are_repaired_and_named() {
        let folder = tempfile::tempdir().unwrap();
        let log = open(folder.path()).unwrap();
        log.append_all(&entries(0..600)).unwrap();
        log.append_all(&entries(600..603)).unwrap();
        let public = log.public_folder().to_owned();
        let held = fs::read(public.join("tile/0/000")).unwrap();
        drop(log);
        fs::write(public.join("tile/0/000"), b"rot").unwrap();
        fs::remove_file(public.join("tile/1/000.p/2")).unwrap();
        fs::remove_file(public.join("checkpoint")).unwrap();
        let log = open(folder.path()).unwrap();
        assert_eq!(fs::read(public.join("tile/0/000")).unwrap(), held);
        assert_eq!(
            log.recovery().repaired,
            ["tile/0/000", "tile/1/000.p/2", "checkpoint"]
        );
        assert_eq!(indices(&log).len(), 603);
    }

    #[test]
    fn one_writer_one_origin_one_spelling() {
        let folder = tempfile::tempdir().unwrap();
        let named = |origin: &str| Options {
            origin: Some(origin.to_owned()),
            ..Options::default()
        };
        assert_eq!(
            Log::open(folder.path(), &named("a b")).unwrap_err().code(),
            "log-key"
        );
        let log = Log::open(folder.path(), &named("example.com/log")).unwrap();
        assert_eq!(log.origin(), "example.com/log");
        assert_eq!(open(folder.path()).unwrap_err().code(), "log-locked");
        drop(log);
        assert_eq!(
            Log::open(folder.path(), &named("example.com/other"))
                .unwrap_err()
                .code(),
            "log-origin-mismatch"
        );
        assert_eq!(open(folder.path()).unwrap().origin(), "example.com/log");
    }
}

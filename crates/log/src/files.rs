//! Files that appear whole or not at all, and stay.

use std::cell::RefCell;
use std::collections::BTreeSet;
use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, ErrorKind, Read as _, Write as _};
use std::path::{Component, Path, PathBuf};

use proofmark_tlog::{ReadError, Tiles};

use crate::error::LogError;

/// A log's static resources in a folder: the log's own public folder, or a copy of it.
#[derive(Debug, Clone)]
pub struct Folder {
    root: PathBuf,
}

impl Folder {
    /// The folder that holds `checkpoint` and `tile/`.
    pub fn new(root: impl Into<PathBuf>) -> Self {
        Self { root: root.into() }
    }

    /// Where it is.
    pub fn root(&self) -> &Path {
        &self.root
    }
}

impl Tiles for Folder {
    fn read(&self, path: &str, limit: usize) -> Result<Option<Vec<u8>>, ReadError> {
        let plain = Path::new(path)
            .components()
            .all(|part| matches!(part, Component::Normal(_)));
        if !plain {
            return Err(ReadError {
                reason: format!("{path:?} leads out of the folder"),
            });
        }
        read_bounded(&self.root.join(path), limit).map_err(|error| ReadError {
            reason: error.to_string(),
        })
    }
}

/// Reads a file of at most `limit` bytes; `None` where there is none.
pub(crate) fn read_bounded(path: &Path, limit: usize) -> io::Result<Option<Vec<u8>>> {
    let file = match File::open(path) {
        Ok(file) => file,
        Err(error) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) => {
            return Ok(None);
        }
        Err(error) => return Err(error),
    };
    let mut bytes = Vec::new();
    let most = u64::try_from(limit).unwrap_or(u64::MAX).saturating_add(1);
    file.take(most).read_to_end(&mut bytes)?;
    if bytes.len() > limit {
        return Err(io::Error::other(format!("it is longer than {limit} bytes")));
    }
    Ok(Some(bytes))
}

/// Makes a folder's entries durable.
pub(crate) fn sync_folder(path: &Path) -> io::Result<()> {
    File::open(path)?.sync_all()
}

/// Makes a folder and those above it that are missing, and their names durable. The name of the
/// folder itself is made durable even if it is there: whoever made it may have died right after.
pub(crate) fn make_folder(path: &Path) -> Result<(), LogError> {
    let missing: Vec<&Path> = path
        .ancestors()
        .take_while(|folder| !folder.as_os_str().is_empty() && !folder.exists())
        .collect();
    fs::create_dir_all(path).map_err(|error| LogError::io("create", path, &error))?;
    let own = missing.is_empty().then_some(path);
    for folder in missing.iter().copied().chain(own) {
        match sync_folder(parent(folder)) {
            // A folder that was there may stand in one that we cannot open.
            Err(error) if missing.is_empty() && error.kind() == ErrorKind::PermissionDenied => {}
            done => done.map_err(|error| LogError::io("sync", parent(folder), &error))?,
        }
    }
    Ok(())
}

/// The folder that a path stands in.
pub(crate) fn parent(path: &Path) -> &Path {
    path.parent()
        .filter(|parent| !parent.as_os_str().is_empty())
        .unwrap_or(Path::new("."))
}

/// Puts a file in the place of what is there, whole and durable.
pub(crate) fn replace_file(path: &Path, bytes: &[u8]) -> Result<(), LogError> {
    let mut temporary = path.as_os_str().to_owned();
    temporary.push(".new");
    let write = || {
        let mut file = File::create(&temporary)?;
        file.write_all(bytes)?;
        file.sync_all()?;
        fs::rename(&temporary, path)?;
        sync_folder(parent(path))
    };
    write().map_err(|error| LogError::io("write", path, &error))
}

/// Takes the lock file that keeps a second process out; held as long as the file is open.
pub(crate) fn take_lock(folder: &Path, path: &Path) -> Result<File, LogError> {
    let mut options = OpenOptions::new();
    let file = options.write(true).create(true).truncate(false).open(path);
    let file = file.map_err(|error| LogError::io("create", path, &error))?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => Err(LogError::Locked {
            path: folder.to_owned(),
        }),
        Err(TryLockError::Error(error)) => Err(LogError::io("lock", path, &error)),
    }
}

/// Folders whose durability is remembered; a long log has more.
const KNOWN_FOLDERS: usize = 10_000;

/// Writes files below `root`, by way of a scratch folder on the same file system.
#[derive(Debug)]
pub(crate) struct Disk {
    root: PathBuf,
    scratch: PathBuf,
    /// Folders below the root whose names this process made durable.
    durable: RefCell<BTreeSet<PathBuf>>,
    /// Operations until the next one fails, to look at every instant at which a process can die.
    #[cfg(test)]
    pub(crate) fails_after: std::cell::Cell<Option<usize>>,
}

impl Disk {
    /// Makes both folders where they are missing, the root durably, and empties the scratch folder of
    /// what a process that was killed left there.
    pub(crate) fn open(root: &Path, scratch: &Path) -> Result<Self, LogError> {
        make_folder(root)?;
        match fs::remove_dir_all(scratch) {
            Err(error) if error.kind() != ErrorKind::NotFound => {
                return Err(LogError::io("empty", scratch, &error));
            }
            _ => {}
        }
        fs::create_dir_all(scratch).map_err(|e| LogError::io("create", scratch, &e))?;
        Ok(Self {
            root: root.to_owned(),
            scratch: scratch.to_owned(),
            durable: RefCell::default(),
            #[cfg(test)]
            fails_after: std::cell::Cell::new(None),
        })
    }

    /// The folder that is written to.
    pub(crate) fn root(&self) -> &Path {
        &self.root
    }

    /// Makes every file whole, then durable, then visible, then its name durable; the names of the
    /// folders on the way as well, whoever made them.
    pub(crate) fn write<B: AsRef<[u8]>>(&self, files: &[(String, B)]) -> Result<(), LogError> {
        let mut changed = BTreeSet::new();
        let mut named = Vec::new();
        for (name, bytes) in files {
            let target = self.root.join(name);
            let failed = |error: &io::Error| LogError::io("write", &target, error);
            let folder = target.parent().unwrap_or(&self.root);
            self.may_fail().map_err(|e| failed(&e))?;
            fs::create_dir_all(folder).map_err(|e| failed(&e))?;
            self.write_one(&target, bytes.as_ref())
                .map_err(|e| failed(&e))?;
            changed.insert(folder.to_owned());
            let below = folder.ancestors().take_while(|f| **f != *self.root);
            for folder in below.filter(|f| !self.durable.borrow().contains(*f)) {
                changed.extend(folder.parent().map(Path::to_owned));
                named.push(folder.to_owned());
            }
        }
        // Deepest first.
        for folder in changed.iter().rev() {
            self.may_fail()
                .and_then(|()| sync_folder(folder))
                .map_err(|e| LogError::io("sync", folder, &e))?;
        }
        let mut durable = self.durable.borrow_mut();
        if durable.len() >= KNOWN_FOLDERS {
            durable.clear();
        }
        durable.extend(named);
        Ok(())
    }

    fn write_one(&self, target: &Path, bytes: &[u8]) -> io::Result<()> {
        let temporary = self.scratch.join("next");
        self.may_fail()?;
        let mut file = File::create(&temporary)?;
        // Half a file, as a process leaves it that dies within the write.
        let (first, second) = bytes.split_at(bytes.len().div_ceil(2));
        file.write_all(first)?;
        self.may_fail()?;
        file.write_all(second)?;
        self.may_fail()?;
        file.sync_all()?;
        self.may_fail()?;
        fs::rename(&temporary, target)
    }

    #[cfg(not(test))]
    #[expect(
        clippy::unused_self,
        clippy::unnecessary_wraps,
        reason = "the same form as in tests, which let an operation fail"
    )]
    const fn may_fail(&self) -> io::Result<()> {
        Ok(())
    }

    #[cfg(test)]
    fn may_fail(&self) -> io::Result<()> {
        match self.fails_after.get() {
            Some(0) => Err(io::Error::other("the test's power failure")),
            Some(n) => {
                self.fails_after.set(Some(n - 1));
                Ok(())
            }
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_are_whole_or_not_there() {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path().join("root");
        let disk = Disk::open(&root, &folder.path().join("scratch")).unwrap();
        let files = [
            ("a".to_owned(), b"one".to_vec()),
            ("b/c/d".to_owned(), b"two".to_vec()),
        ];
        let mut steps = 0;
        loop {
            disk.fails_after.set(Some(steps));
            let done = disk.write(&files).is_ok();
            for (name, bytes) in &files {
                let held = read_bounded(&root.join(name), 10).unwrap();
                assert!(held.is_none() || held.as_ref() == Some(bytes), "{name}");
                assert!(!done || held.is_some());
            }
            if done {
                break;
            }
            steps += 1;
        }
        assert!(steps > 10, "{steps}");
    }

    #[test]
    fn a_reader_stays_in_its_folder_and_its_bounds() {
        let folder = tempfile::tempdir().unwrap();
        fs::create_dir(folder.path().join("in")).unwrap();
        fs::write(folder.path().join("out"), "secret").unwrap();
        fs::write(folder.path().join("in/file"), "12345").unwrap();
        let tiles = Folder::new(folder.path().join("in"));
        for path in ["../out", "/etc/hostname", "a/../../out", "./file"] {
            assert!(
                tiles.read(path, 100).map_or(true, |r| r.is_none()),
                "{path}"
            );
        }
        assert_eq!(tiles.read("file", 5).unwrap().unwrap(), b"12345");
        assert!(tiles.read("file", 4).is_err());
        assert_eq!(tiles.read("file/below", 4).unwrap(), None);
        assert_eq!(tiles.read("none", 4).unwrap(), None);
    }
}

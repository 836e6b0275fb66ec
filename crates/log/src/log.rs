//! A log that grows: opened, appended to by many at once, proved, cosigned.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};

use ed25519_dalek::SigningKey;
use proofmark_tlog::note::is_key_name;
use proofmark_tlog::tile::MAX_ENTRY_BYTES;
use proofmark_tlog::witness::{AddCheckpoint, read_response};
use proofmark_tlog::{
    Checkpoint, Cosignature, EMPTY_ROOT, Hash, KeyKind, Policy, SignedCheckpoint, TlogError,
    TlogProof, VerifiedTree, VerifierKey, tree,
};
use proofmark_types::dsse::key_id;

use crate::entry::Entry;
use crate::error::LogError;
use crate::files::{Disk, Folder, make_folder, read_bounded, replace_file, sync_folder, take_lock};
use crate::intent::{self, Intent};
use crate::key_file::{load_key, load_or_create_key};
use crate::notice::SignedNotice;
use crate::reader::{COSIGNED_PATH, Reader};
use crate::recovery::{Recovery, recover};
use crate::writer::{Batch, Writer};

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

/// Which checkpoint a proof leads to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Head {
    /// The latest.
    Latest,
    /// The latest that witnesses cosigned; it may be older than the entry.
    Cosigned,
}

/// An entry's place in the log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Inclusion {
    /// Its index.
    pub index: u64,
    /// Entries that the checkpoint of the proof covers.
    pub size: u64,
    /// The `.tlog-proof`, which verifies offline.
    pub proof: Vec<u8>,
}

/// What to ask a witness.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WitnessRequest {
    /// Body of `POST <prefix>/add-checkpoint`.
    pub body: Vec<u8>,
    /// The checkpoint in it.
    pub checkpoint: SignedCheckpoint,
}

/// Entries that wait for the next batch, and results that wait for their callers.
#[derive(Debug, Default)]
struct Queue {
    tickets: u64,
    waiting: Vec<(u64, Vec<Vec<u8>>)>,
    done: BTreeMap<u64, Result<Vec<Inclusion>, LogError>>,
}

/// A log with its one writer. May be shared by threads.
#[derive(Debug)]
pub struct Log {
    public: PathBuf,
    key: VerifierKey,
    queue: Mutex<Queue>,
    /// Held while a notice is checked and added.
    notices: Mutex<()>,
    writer: Mutex<Writer>,
    /// The published head, for those who need not wait for the writer.
    head: Mutex<SignedCheckpoint>,
    recovery: Recovery,
    remember: Option<PathBuf>,
    /// Held for as long as the log is open.
    _lock: File,
}

/// A mutex whose holder panicked is as good as before: the writer finishes what is pending.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
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
    fn remember(&self) -> Result<(), LogError> {
        let head = self.checkpoint();
        match &self.remember {
            // A log without entries has nothing to lose.
            Some(path) if head.checkpoint().size() != 0 => {
                replace_file(path, head.to_string().as_bytes())
            }
            _ => Ok(()),
        }
    }

    /// Adds an entry and waits until it is durable and covered by a published checkpoint. Callers
    /// that come while another batch is being written share the next one.
    ///
    /// # Errors
    /// [`LogError::Entry`], [`TlogError::EntryTooLong`], [`LogError::Notice`] for a notice, which
    /// [`append_notice`](Self::append_notice) takes: nothing was added. [`LogError::Io`]: the entry may appear in the log later, without anybody having an
    /// answer; to add it again does no harm.
    pub fn append(&self, entry: &Entry) -> Result<Inclusion, LogError> {
        let all = self.append_all(core::slice::from_ref(entry))?;
        let none = || LogError::damaged("an append gave no place");
        all.into_iter().next().ok_or_else(none)
    }

    /// Adds entries, side by side and in this order.
    ///
    /// # Errors
    /// As [`append`](Self::append).
    pub fn append_all(&self, entries: &[Entry]) -> Result<Vec<Inclusion>, LogError> {
        if entries.iter().any(|e| matches!(e, Entry::Notice(_))) {
            return Err(LogError::notice(
                "it must be checked against the log; add it with append_notice",
            ));
        }
        self.append_unchecked(entries)
    }

    /// Adds a notice that readers will honour: for this log, signed by the service key that is in
    /// force at its end. One that they would not honour must never get into a log, because they
    /// stop at it. `service_key` is a pinned key of the service, of any time. Reads the whole log.
    ///
    /// # Errors
    /// [`LogError::NoticeSignature`], [`LogError::Notice`], the first problem of the log if it has
    /// any, and as [`append`](Self::append).
    pub fn append_notice(
        &self,
        notice: SignedNotice,
        service_key: &[u8; 32],
    ) -> Result<Inclusion, LogError> {
        // Between the check and the append no other notice may come in.
        let _one = lock(&self.notices);
        let reader = Reader::open(Folder::new(&self.public), &Policy::new(self.key.clone()))?;
        let scan = reader.scan(service_key)?;
        if let Some(problem) = scan.problems.into_iter().next() {
            return Err(problem.error);
        }
        scan.notices.would_honour(self.origin(), &notice)?;
        let all = self.append_unchecked(&[Entry::Notice(notice)])?;
        self.remember()?;
        let none = || LogError::damaged("an append gave no place");
        all.into_iter().next().ok_or_else(none)
    }

    pub(crate) fn append_unchecked(&self, entries: &[Entry]) -> Result<Vec<Inclusion>, LogError> {
        let entries: Vec<Vec<u8>> = entries
            .iter()
            .map(Entry::to_bytes)
            .collect::<Result<_, _>>()?;
        let bytes: usize = entries.iter().map(|e| e.len().saturating_add(2)).sum();
        if entries.len() > usize::from(intent::MAX_ENTRIES) || bytes > intent::MAX_BYTES {
            return Err(LogError::Entry {
                reason: "more than 4096 entries or 8 MiB at once; add them in parts".to_owned(),
            });
        }
        if entries.is_empty() {
            return Ok(Vec::new());
        }
        let ticket = {
            let mut queue = lock(&self.queue);
            queue.tickets = queue.tickets.wrapping_add(1);
            let ticket = queue.tickets;
            queue.waiting.push((ticket, entries));
            ticket
        };
        // Whoever gets the writer first commits for all that wait.
        let mut writer = lock(&self.writer);
        loop {
            if let Some(result) = lock(&self.queue).done.remove(&ticket) {
                return result;
            }
            self.commit_waiting(&mut writer);
        }
    }

    fn commit_waiting(&self, writer: &mut Writer) {
        let taken = {
            let mut queue = lock(&self.queue);
            let count = first_batch(&queue.waiting);
            queue.waiting.drain(..count).collect::<Vec<_>>()
        };
        let (tickets, lists): (Vec<u64>, Vec<Vec<Vec<u8>>>) = taken.into_iter().unzip();
        let counts: Vec<usize> = lists.iter().map(Vec::len).collect();
        let result = writer.commit(lists.into_iter().flatten().collect());
        if writer.pending.is_none() {
            *lock(&self.head) = writer.head.clone();
        }
        let mut index = result.as_ref().map_or(0, |batch| batch.growth().old_size());
        let mut queue = lock(&self.queue);
        for (ticket, count) in tickets.into_iter().zip(counts) {
            let places = match &result {
                Ok(batch) => (0..count)
                    .map(|_| {
                        let place = place(batch, index);
                        index = index.saturating_add(1);
                        place
                    })
                    .collect(),
                Err(error) => Err(error.clone()),
            };
            queue.done.insert(ticket, places);
        }
    }

    /// A `.tlog-proof` for an entry, of the given checkpoint.
    ///
    /// # Errors
    /// [`TlogError::Range`] for an entry that the checkpoint does not cover,
    /// [`TlogError::Missing`] without a cosigned checkpoint, and what reading the tiles says.
    pub fn prove(&self, index: u64, head: Head) -> Result<Inclusion, LogError> {
        let checkpoint = match head {
            Head::Latest => self.checkpoint(),
            Head::Cosigned => self.cosigned()?.ok_or_else(|| TlogError::Missing {
                path: COSIGNED_PATH.to_owned(),
            })?,
        };
        let tree = self.tree(&checkpoint)?;
        let path = tree::prove_inclusion(index, tree.size(), &tree)?;
        Ok(inclusion(index, path, &checkpoint))
    }

    /// A proof that the tree of the first `old` entries, at least one, is a prefix of the published
    /// checkpoint's, and that checkpoint.
    ///
    /// # Errors
    /// [`TlogError::Range`] for a tree that the log never had, and what reading the tiles says.
    pub fn prove_consistency(&self, old: u64) -> Result<(Vec<Hash>, SignedCheckpoint), LogError> {
        let checkpoint = self.checkpoint();
        let tree = self.tree(&checkpoint)?;
        let proof = tree::prove_consistency(old, tree.size(), &tree)?;
        Ok((proof, checkpoint))
    }

    fn tree(&self, checkpoint: &SignedCheckpoint) -> Result<VerifiedTree<Folder>, LogError> {
        let head = checkpoint.checkpoint();
        let folder = Folder::new(&self.public);
        Ok(VerifiedTree::open(folder, head.size(), *head.root())?)
    }

    /// The published checkpoint with its signatures.
    pub fn checkpoint(&self) -> SignedCheckpoint {
        lock(&self.head).clone()
    }

    /// The latest checkpoint that witnesses cosigned.
    ///
    /// # Errors
    /// [`LogError::Io`], [`LogError::Tlog`] for one that this log did not sign.
    pub fn cosigned(&self) -> Result<Option<SignedCheckpoint>, LogError> {
        let path = self.public.join(COSIGNED_PATH);
        let bytes = read_bounded(&path, proofmark_tlog::note::MAX_NOTE_BYTES)
            .map_err(|error| LogError::io("read", &path, &error))?;
        let read = bytes.map(|bytes| SignedCheckpoint::verify(&bytes, &self.key));
        Ok(read.transpose()?)
    }

    /// Entries that the published checkpoint covers.
    pub fn size(&self) -> u64 {
        lock(&self.head).checkpoint().size()
    }

    /// The log's name.
    pub fn origin(&self) -> &str {
        self.key.name()
    }

    /// The log's public key; its `Display` is the vkey that verifiers pin.
    pub const fn verifier_key(&self) -> &VerifierKey {
        &self.key
    }

    /// What to serve as static files, and to mirror with a plain copy (`checkpoint` first).
    pub fn public_folder(&self) -> &Path {
        &self.public
    }

    /// What opening found and did.
    pub const fn recovery(&self) -> &Recovery {
        &self.recovery
    }

    /// What to send to a witness that last cosigned the tree of `old_size` entries (0 if never; its
    /// 409 answer says).
    ///
    /// # Errors
    /// [`TlogError::Range`] when the witness is ahead of the log, and what reading the tiles says.
    pub fn witness_request(&self, old_size: u64) -> Result<WitnessRequest, LogError> {
        let checkpoint = self.checkpoint();
        let tree = self.tree(&checkpoint)?;
        let request = AddCheckpoint {
            old_size,
            proof: tree::prove_consistency(old_size, tree.size(), &tree)?,
            checkpoint: checkpoint.clone(),
        };
        Ok(WitnessRequest {
            body: request.to_string().into_bytes(),
            checkpoint,
        })
    }

    /// Publishes the cosignatures in a witness's answer: as `checkpoint.cosigned`, and in
    /// `checkpoint` unless that is newer by now.
    ///
    /// # Errors
    /// [`TlogError::Signature`], [`TlogError::Unsigned`] for an answer that no pinned witness
    /// signed, [`LogError::Io`].
    pub fn add_cosignatures(
        &self,
        request: &WitnessRequest,
        response: &[u8],
        witnesses: &[VerifierKey],
    ) -> Result<Vec<Cosignature>, LogError> {
        // The request may have been kept somewhere: it must still be a checkpoint of this log.
        let asked = SignedCheckpoint::verify(request.checkpoint.to_string().as_bytes(), &self.key)?;
        let read = read_response(response, &asked, witnesses)?;
        let (lines, cosignatures): (Vec<_>, Vec<_>) = read.into_iter().unzip();
        let mut writer = lock(&self.writer);
        writer.finish()?;
        let cosigned = match self.cosigned()? {
            Some(held) if held.checkpoint() == asked.checkpoint() => Some(held.with(&lines)?),
            Some(held) if held.checkpoint().size() > asked.checkpoint().size() => None,
            _ => Some(asked.with(&lines)?),
        };
        if let Some(cosigned) = cosigned {
            let file = (COSIGNED_PATH.to_owned(), cosigned.to_string());
            writer.public.write(&[file])?;
        }
        if writer.head.checkpoint() == asked.checkpoint() {
            writer.cosign(&lines)?;
        }
        *lock(&self.head) = writer.head.clone();
        Ok(cosignatures)
    }
}

/// How many of those that wait fit into one batch; at least the first.
fn first_batch(waiting: &[(u64, Vec<Vec<u8>>)]) -> usize {
    let (mut entries, mut bytes) = (0_usize, 0_usize);
    let fitting = waiting.iter().take_while(|(_, list)| {
        entries = entries.saturating_add(list.len());
        bytes = bytes.saturating_add(list.iter().map(|e| e.len().saturating_add(2)).sum());
        entries <= usize::from(intent::MAX_ENTRIES) && bytes <= intent::MAX_BYTES
    });
    fitting.count().max(1).min(waiting.len())
}

fn place(batch: &Batch, index: u64) -> Result<Inclusion, LogError> {
    Ok(inclusion(index, batch.growth().prove(index)?, batch.head()))
}

fn inclusion(index: u64, path: Vec<Hash>, checkpoint: &SignedCheckpoint) -> Inclusion {
    let proof = TlogProof {
        extra: None,
        index,
        path,
        checkpoint: checkpoint.clone(),
    };
    Inclusion {
        index,
        size: checkpoint.checkpoint().size(),
        proof: proof.to_string().into_bytes(),
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

// One entry always fits into a batch.
const _: () = assert!(MAX_ENTRY_BYTES + 2 <= intent::MAX_BYTES);

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use crate::entry::ReceiptEntry;
    use proofmark_types::Digest;
    use std::collections::BTreeSet;

    pub(crate) fn entry(i: u64) -> Entry {
        Entry::Receipt(ReceiptEntry {
            receipt: Digest::of(&i.to_be_bytes()),
            package: Digest::of(b"package"),
            proved_at: i,
        })
    }

    fn entries(range: core::ops::Range<u64>) -> Vec<Entry> {
        range.map(entry).collect()
    }

    /// A plain copy of a folder.
    pub(crate) fn copy(from: &Path, to: &Path) {
        fs::create_dir_all(to).unwrap();
        for item in fs::read_dir(from).unwrap() {
            let item = item.unwrap();
            let target = to.join(item.file_name());
            if item.path().is_dir() {
                copy(&item.path(), &target);
            } else {
                fs::copy(item.path(), target).unwrap();
            }
        }
    }

    fn open(folder: &Path) -> Result<Log, LogError> {
        Log::open(folder, &Options::default())
    }

    /// The log as a stranger reads it, entry by entry.
    fn indices(log: &Log) -> Vec<u64> {
        let policy = Policy::new(log.verifier_key().clone());
        let reader = Reader::open(Folder::new(log.public_folder()), &policy).unwrap();
        let read = reader
            .entries(0..reader.size())
            .map(|item| match item.unwrap().1 {
                Entry::Receipt(receipt) => receipt.proved_at,
                Entry::Notice(_) => panic!("no notices here"),
            });
        read.collect()
    }

    fn count(list: &[u64]) -> u64 {
        u64::try_from(list.len()).unwrap()
    }

    fn verify(log: &Log, inclusion: &Inclusion, entry: &Entry) {
        let policy = Policy::new(log.verifier_key().clone());
        let proof = TlogProof::parse(&inclusion.proof).unwrap();
        assert_eq!(proof.index, inclusion.index);
        proof.verify(&entry.to_bytes().unwrap(), &policy).unwrap();
    }

    #[test]
    fn entries_stay_in_order_and_are_proved() {
        let folder = tempfile::tempdir().unwrap();
        let log = open(folder.path()).unwrap();
        assert!(log.recovery().created);
        assert!(log.origin().starts_with("proofmark.dev/log/"));
        let first = log.append(&entry(0)).unwrap();
        assert_eq!((first.index, first.size), (0, 1));
        verify(&log, &first, &entry(0));
        let mut size = 1;
        for count in [254, 1, 1, 300, 0, 2] {
            let list = entries(size..size + count);
            let places = log.append_all(&list).unwrap();
            for (place, entry) in places.iter().zip(&list) {
                assert_eq!(place.size, size + count);
                verify(&log, place, entry);
            }
            size += count;
            assert_eq!(log.size(), size);
        }
        let (origin, vkey) = (log.origin().to_owned(), log.verifier_key().clone());
        assert_eq!(indices(&log), (0..size).collect::<Vec<_>>());
        verify(&log, &log.prove(7, Head::Latest).unwrap(), &entry(7));
        assert!(log.prove(size, Head::Latest).is_err());
        assert!(log.prove(0, Head::Cosigned).is_err());
        // What a full tile replaced is gone.
        assert!(!log.public_folder().join("tile/0/000.p").exists());
        drop(log);
        let log = open(folder.path()).unwrap();
        assert_eq!(log.recovery(), &Recovery::default());
        assert_eq!((log.origin(), log.verifier_key()), (origin.as_str(), &vkey));
        assert_eq!(log.append(&entry(size)).unwrap().index, size);
    }

    #[test]
    fn many_threads_share_batches_and_each_gets_its_place() {
        let folder = tempfile::tempdir().unwrap();
        let log = open(folder.path()).unwrap();
        let seen = Mutex::new(BTreeSet::new());
        std::thread::scope(|scope| {
            for t in 0..8_u64 {
                let (log, seen) = (&log, &seen);
                scope.spawn(move || {
                    for i in 0..10 {
                        let entry = entry(t * 1000 + i);
                        let place = log.append(&entry).unwrap();
                        verify(log, &place, &entry);
                        assert!(seen.lock().unwrap().insert(place.index));
                    }
                });
            }
        });
        assert_eq!(*seen.lock().unwrap(), (0..80).collect::<BTreeSet<_>>());
        assert_eq!(indices(&log).into_iter().collect::<BTreeSet<_>>().len(), 80);
    }

    #[test]
    fn waiting_appends_are_taken_as_far_as_a_batch_reaches() {
        let list = |entries: usize, bytes: usize| (0, vec![vec![0; bytes]; entries]);
        let most = usize::from(intent::MAX_ENTRIES);
        assert_eq!(first_batch(&[]), 0);
        assert_eq!(first_batch(&[list(1, 1), list(2, 1)]), 2);
        assert_eq!(first_batch(&[list(most, 1), list(1, 1)]), 1);
        assert_eq!(
            first_batch(&[list(64, 65_535), list(64, 65_535), list(1, 1)]),
            1
        );
        let folder = tempfile::tempdir().unwrap();
        let log = open(folder.path()).unwrap();
        assert!(log.append_all(&entries(0..4097)).is_err());
        assert_eq!(log.append_all(&entries(0..4096)).unwrap().len(), 4096);
    }

    /// The process dies at every single operation on files in turn. After each death the public
    /// folder is a whole log, and the next start has everything that was acknowledged.
    #[test]
    fn no_instant_of_a_batch_loses_or_forks_anything() {
        let mut deaths = 0;
        // Into an empty log, within a tile, over the end of a tile.
        for before in [0, 5, 255] {
            let start = tempfile::tempdir().unwrap();
            let log = open(start.path()).unwrap();
            log.append_all(&entries(0..before)).unwrap();
            drop(log);
            for operation in 0.. {
                let folder = tempfile::tempdir().unwrap();
                copy(start.path(), folder.path());
                let log = open(folder.path()).unwrap();
                {
                    let writer = lock(&log.writer);
                    writer.state.fails_after.set(Some(operation));
                    writer
                        .public
                        .fails_after
                        .set(Some(operation.saturating_sub(8)));
                }
                let acknowledged = log.append_all(&entries(before..before + 3)).is_ok();
                // As a mirror would find it now.
                let visible = indices(&log);
                assert!(count(&visible) >= before);
                drop(log);
                let log = open(folder.path()).unwrap();
                let held = indices(&log);
                assert!(held.starts_with(&visible), "what was visible stays");
                assert!(count(&held) == before || count(&held) == before + 3);
                assert!(!acknowledged || count(&held) == before + 3);
                assert_eq!(held, (0..count(&held)).collect::<Vec<_>>());
                let place = log.append(&entry(count(&held))).unwrap();
                verify(&log, &place, &entry(count(&held)));
                drop(log);
                assert_eq!(
                    open(folder.path()).unwrap().recovery(),
                    &Recovery::default()
                );
                if acknowledged {
                    break;
                }
                deaths += 1;
            }
        }
        assert!(deaths > 60, "{deaths}");
    }

    #[test]
    fn a_failure_that_passes_is_made_good_by_the_next_append() {
        let folder = tempfile::tempdir().unwrap();
        let log = open(folder.path()).unwrap();
        log.append(&entry(0)).unwrap();
        lock(&log.writer).public.fails_after.set(Some(2));
        let error = log.append(&entry(1)).unwrap_err();
        assert_eq!(error.code(), "log-io");
        assert_eq!(log.size(), 1, "nothing that is not published is shown");
        assert!(log.append(&entry(2)).is_err(), "still failing");
        lock(&log.writer).public.fails_after.set(None);
        let place = log.append(&entry(3)).unwrap();
        verify(&log, &place, &entry(3));
        assert_eq!(indices(&log), [0, 1, 3]);
    }

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

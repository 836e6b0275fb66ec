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
    Checkpoint, Cosignature, EMPTY_ROOT, KeyKind, SignedCheckpoint, TlogError, TlogProof,
    VerifiedTree, VerifierKey, tree,
};
use proofmark_types::dsse::key_id;

use crate::entry::Entry;
use crate::error::LogError;
use crate::files::{Disk, Folder, read_bounded, sync_folder, take_lock};
use crate::intent::{self, Intent};
use crate::key_file::{load_key, load_or_create_key};
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
/// The latest checkpoint with witnesses' cosignatures, beside the newer one that may have none yet.
pub(crate) const COSIGNED_PATH: &str = "checkpoint.cosigned";

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
    writer: Mutex<Writer>,
    /// The published head, for those who need not wait for the writer.
    head: Mutex<SignedCheckpoint>,
    recovery: Recovery,
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
        fs::create_dir_all(&state_folder)
            .map_err(|error| LogError::io("create", &state_folder, &error))?;
        let held = take_lock(folder, &state_folder.join("lock"))?;
        let public_disk = Disk::open(&public, &state_folder.join("tmp"))?;
        let state = Disk::open(&state_folder, &state_folder.join("tmp"))?;
        let created = create(folder, &public_disk, &state, options)?;
        let key_path = folder.join(KEY_FILE);
        let key = load_key(&key_path)?.ok_or_else(|| LogError::Key {
            path: key_path.clone(),
            reason: "it is missing, though the log has entries; restore it from a backup".to_owned(),
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
        let known = options
            .known
            .as_deref()
            .map(|bytes| SignedCheckpoint::verify(bytes, &vkey))
            .transpose()?;
        let (tip, head, mut recovery) = recover(&public_disk, &intent, &vkey, known.as_ref())?;
        recovery.created = created;
        Ok(Self {
            public,
            key: vkey,
            queue: Mutex::default(),
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
            _lock: held,
        })
    }

    /// Adds an entry and waits until it is durable and covered by a published checkpoint. Callers
    /// that come while another batch is being written share the next one.
    ///
    /// # Errors
    /// [`LogError::Entry`], [`LogError::NotCanonical`], [`TlogError::EntryTooLong`]: nothing was
    /// added. [`LogError::Io`]: the entry may appear in the log later, without anybody having an
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

fn inclusion(
    index: u64,
    path: Vec<proofmark_tlog::Hash>,
    checkpoint: &SignedCheckpoint,
) -> Inclusion {
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

fn read_intent(state: &Disk) -> Result<Option<Intent>, LogError> {
    let path = state.root().join(intent::FILE);
    let bytes = read_bounded(&path, intent::MAX_FILE_BYTES)
        .map_err(|error| LogError::io("read", &path, &error))?;
    bytes.map(|bytes| Intent::parse(&bytes)).transpose()
}

/// Makes the log where there is none. The key gets its name last: a folder with a key is a log that
/// was made, and must have all that belongs to it.
fn create(
    folder: &Path,
    public: &Disk,
    state: &Disk,
    options: &Options,
) -> Result<bool, LogError> {
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
    let remains = [public.root().join("tile"), public.root().join("checkpoint"), state.root().join(intent::FILE)];
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
            reason: format!("{origin:?} cannot be a log's name: no spaces, no plus sign, at most 255 bytes"),
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

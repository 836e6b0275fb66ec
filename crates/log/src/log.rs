//! A log that grows: opened, appended to by many at once, proved, cosigned.

mod append;
mod cosign;
mod open;
#[cfg(test)]
pub(crate) mod testing;

use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};

use proofmark_tlog::{
    Hash, SignedCheckpoint, TlogError, TlogProof, VerifiedTree, VerifierKey, tree,
};

use self::append::Queue;
pub use self::cosign::WitnessRequest;
pub use self::open::Options;
use crate::error::LogError;
use crate::files::Folder;
use crate::reader::COSIGNED_PATH;
use crate::recovery::Recovery;
use crate::writer::Writer;

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

#[cfg(test)]
mod tests {
    use super::testing::{entries, entry, indices, open, verify};
    use super::*;

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
}

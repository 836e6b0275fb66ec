//! Reading a log from its static files, wherever they come from.

use core::ops::Range;
use std::collections::{BTreeMap, VecDeque};

use proofmark_tlog::note::MAX_NOTE_BYTES;
use proofmark_tlog::tile::{CHECKPOINT_PATH, TILE_WIDTH};
use proofmark_tlog::tiles::read;
use proofmark_tlog::{
    Cosignature, Policy, SignedCheckpoint, Tiles, TlogError, TlogProof, Verified, VerifiedTree,
    tree,
};
use proofmark_types::Digest;

use crate::entry::Entry;
use crate::error::LogError;
use crate::notices::{Notices, Problem};

/// The latest checkpoint with witnesses' cosignatures, beside the newer one that may have none yet.
pub const COSIGNED_PATH: &str = "checkpoint.cosigned";

/// A log at one checkpoint. Everything that it gives is covered by the checkpoint's root.
#[derive(Debug)]
pub struct Reader<T> {
    tree: VerifiedTree<T>,
    policy: Policy,
    verified: Verified,
}

impl<T: Tiles> Reader<T> {
    /// Opens a log at its latest checkpoint that the policy accepts: `checkpoint`, or where that
    /// has too few cosignatures yet, `checkpoint.cosigned`.
    ///
    /// # Errors
    /// As [`Policy::verify`] and [`VerifiedTree::open`].
    pub fn open(tiles: T, policy: &Policy) -> Result<Self, LogError> {
        let bytes = read(&tiles, CHECKPOINT_PATH, MAX_NOTE_BYTES)?;
        let verified = match policy.verify(&bytes) {
            Err(few @ TlogError::Witnesses { .. }) => {
                match read(&tiles, COSIGNED_PATH, MAX_NOTE_BYTES) {
                    Ok(bytes) => policy.verify(&bytes)?,
                    Err(_) => return Err(few.into()),
                }
            }
            other => other?,
        };
        Self::at(tiles, policy, verified)
    }

    /// Opens a log at a checkpoint that came another way, such as in a `.tlog-proof`.
    ///
    /// # Errors
    /// As [`open`](Self::open).
    pub fn open_at(tiles: T, policy: &Policy, checkpoint: &[u8]) -> Result<Self, LogError> {
        let verified = policy.verify(checkpoint)?;
        Self::at(tiles, policy, verified)
    }

    fn at(tiles: T, policy: &Policy, verified: Verified) -> Result<Self, LogError> {
        let head = verified.head.checkpoint();
        Ok(Self {
            tree: VerifiedTree::open(tiles, head.size(), *head.root())?,
            policy: policy.clone(),
            verified,
        })
    }

    /// The checkpoint.
    pub const fn checkpoint(&self) -> &SignedCheckpoint {
        &self.verified.head
    }

    /// The pinned witnesses that cosigned it.
    pub fn cosignatures(&self) -> &[Cosignature] {
        &self.verified.cosignatures
    }

    /// Entries that it covers.
    pub const fn size(&self) -> u64 {
        self.tree.size()
    }

    /// The entries of a range, cut to the log's size, as bytes. It ends with the first error.
    pub fn raw_entries(&self, range: Range<u64>) -> RawEntries<'_, T> {
        RawEntries {
            reader: self,
            next: range.start,
            end: range.end.min(self.size()),
            ready: VecDeque::new(),
        }
    }

    /// The entries of a range, cut to the log's size, each with its index.
    pub fn entries(
        &self,
        range: Range<u64>,
    ) -> impl Iterator<Item = Result<(u64, Entry), LogError>> + '_ {
        self.raw_entries(range).map(|item| {
            let (index, bytes) = item?;
            Ok((index, Entry::parse(&bytes)?))
        })
    }

    /// Where a receipt is logged first, by the digest of its envelope. Reads the log until it is
    /// found; for many receipts [`scan`](Self::scan) once.
    ///
    /// # Errors
    /// [`LogError::Tlog`] for tiles that are missing or not the log's.
    pub fn find_receipt(&self, envelope: &Digest) -> Result<Option<u64>, LogError> {
        for item in self.raw_entries(0..self.size()) {
            let (index, bytes) = item?;
            if let Ok(Entry::Receipt(entry)) = Entry::parse(&bytes)
                && entry.receipt == *envelope
            {
                return Ok(Some(index));
            }
        }
        Ok(None)
    }

    /// The portable proof of an entry.
    ///
    /// # Errors
    /// [`LogError::Tlog`].
    pub fn prove(&self, index: u64) -> Result<TlogProof, LogError> {
        Ok(TlogProof {
            extra: None,
            index,
            path: tree::prove_inclusion(index, self.size(), &self.tree)?,
            checkpoint: self.verified.head.clone(),
        })
    }

    /// Checks that an older checkpoint of this log, signed by it, is a prefix of this one. A
    /// failure with [`TlogError::Inconsistent`] is proof that the log rewrote its history or shows
    /// different ones to different readers: both checkpoints are signed.
    ///
    /// # Errors
    /// [`TlogError::Inconsistent`]; [`TlogError::Range`] when the other one is the newer;
    /// otherwise as [`SignedCheckpoint::verify`].
    pub fn consistent_with(&self, older: &[u8]) -> Result<SignedCheckpoint, LogError> {
        let older = SignedCheckpoint::verify(older, self.policy.log())?;
        let old = older.checkpoint();
        let proof = tree::prove_consistency(old.size(), self.size(), &self.tree)?;
        tree::verify_consistency(
            old.size(),
            old.root(),
            self.size(),
            self.tree.root(),
            &proof,
        )?;
        Ok(older)
    }

    /// Reads the whole log: the receipts, and the notices that are rightly signed. `service_key`
    /// is a pinned key of the service, of any time: rotations lead to the others.
    ///
    /// What cannot be read or is wrongly signed is in [`Scan::problems`]. A verifier that honours
    /// notices must not go on when there are any: what it cannot read may be a revocation.
    ///
    /// # Errors
    /// [`LogError::Tlog`] for tiles that are missing or not the log's.
    pub fn scan(&self, service_key: &[u8; 32]) -> Result<Scan, LogError> {
        let mut receipts: BTreeMap<Digest, Logged> = BTreeMap::new();
        let mut found = Vec::new();
        let mut problems = Vec::new();
        for item in self.raw_entries(0..self.size()) {
            let (index, bytes) = item?;
            match Entry::parse(&bytes) {
                Ok(Entry::Receipt(entry)) => {
                    let logged = Logged {
                        index,
                        package: entry.package,
                        proved_at: entry.proved_at,
                    };
                    let first = receipts.entry(entry.receipt).or_insert(logged);
                    if (first.package, first.proved_at) != (logged.package, logged.proved_at) {
                        let reason =
                            format!("entry {} says something else of this receipt", first.index);
                        problems.push(Problem {
                            index,
                            error: LogError::Entry { reason },
                        });
                    }
                }
                Ok(Entry::Notice(notice)) => found.push((index, notice)),
                Err(error) => problems.push(Problem { index, error }),
            }
        }
        let notices =
            Notices::honoured(self.policy.log().name(), *service_key, found, &mut problems);
        problems.sort_by_key(|problem| problem.index);
        Ok(Scan {
            size: self.size(),
            receipts,
            notices,
            problems,
        })
    }
}

/// Entries as bytes, each with its index.
#[derive(Debug)]
pub struct RawEntries<'a, T> {
    reader: &'a Reader<T>,
    next: u64,
    end: u64,
    ready: VecDeque<Vec<u8>>,
}

impl<T: Tiles> Iterator for RawEntries<'_, T> {
    type Item = Result<(u64, Vec<u8>), LogError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.next >= self.end {
            return None;
        }
        if self.ready.is_empty() {
            let width = u64::from(TILE_WIDTH);
            let bundle = self.next.checked_div(width).unwrap_or(0);
            match self.reader.tree.bundle(bundle) {
                Ok(entries) => {
                    let skip = self.next.checked_rem(width).unwrap_or(0);
                    let skip = usize::try_from(skip).unwrap_or(usize::MAX);
                    self.ready = entries.into_iter().skip(skip).collect();
                }
                Err(error) => {
                    self.next = self.end;
                    return Some(Err(error.into()));
                }
            }
        }
        let index = self.next;
        let entry = self.ready.pop_front()?;
        self.next = index.saturating_add(1);
        Some(Ok((index, entry)))
    }
}

/// Where and as what a receipt is logged.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Logged {
    /// Index of its first entry.
    pub index: u64,
    /// The package.
    pub package: Digest,
    /// When it was proved, as the entry says.
    pub proved_at: u64,
}

/// A whole log, read once.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Scan {
    /// Entries.
    pub size: u64,
    /// Receipts by the digest of their envelopes.
    pub receipts: BTreeMap<Digest, Logged>,
    /// The notices that count.
    pub notices: Notices,
    /// Entries that cannot be read, and notices that are not rightly signed. Empty in every log
    /// that this software wrote.
    pub problems: Vec<Problem>,
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use crate::entry::ReceiptEntry;
    use crate::files::Folder;
    use crate::log::testing::{copy, entry};
    use crate::log::{Log, Options};
    use ed25519_dalek::SigningKey;
    use std::fs;
    use std::path::Path;

    pub(crate) const ORIGIN: &str = "example.com/log";

    pub(crate) fn open(folder: &Path) -> Log {
        let options = Options {
            origin: Some(ORIGIN.into()),
            ..Options::default()
        };
        Log::open(folder, &options).unwrap()
    }

    pub(crate) fn reader(log: &Log) -> Reader<Folder> {
        let policy = Policy::new(log.verifier_key().clone());
        Reader::open(Folder::new(log.public_folder()), &policy).unwrap()
    }

    fn public(seed: u8) -> [u8; 32] {
        SigningKey::from_bytes(&[seed; 32])
            .verifying_key()
            .to_bytes()
    }

    #[test]
    fn entries_are_found_proved_and_listed() {
        let folder = tempfile::tempdir().unwrap();
        let log = open(folder.path());
        log.append_all(&(0..700).map(entry).collect::<Vec<_>>())
            .unwrap();
        let reader = reader(&log);
        let digest = |i: u64| Digest::of(&i.to_be_bytes());
        assert_eq!(reader.find_receipt(&digest(699)).unwrap(), Some(699));
        assert_eq!(reader.find_receipt(&digest(700)).unwrap(), None);
        let some: Vec<u64> = reader
            .entries(250..520)
            .map(|item| item.unwrap().0)
            .collect();
        assert_eq!(some, (250..520).collect::<Vec<_>>());
        assert_eq!(reader.entries(690..10_000).count(), 10);
        assert_eq!(reader.entries(700..701).count(), 0);
        let proof = reader.prove(300).unwrap();
        proof
            .verify(
                &entry(300).to_bytes().unwrap(),
                &Policy::new(log.verifier_key().clone()),
            )
            .unwrap();
        let scan = reader.scan(&public(1)).unwrap();
        assert_eq!(scan.receipts.len(), 700);
        assert_eq!(scan.receipts[&digest(44)].index, 44);
        assert!(scan.problems.is_empty());
    }

    #[test]
    fn a_mirror_is_a_plain_copy() {
        let folder = tempfile::tempdir().unwrap();
        let log = open(folder.path());
        log.append_all(&(0..300).map(entry).collect::<Vec<_>>())
            .unwrap();
        let mirror = tempfile::tempdir().unwrap();
        copy(log.public_folder(), mirror.path());
        let older = log.checkpoint().to_string();
        // The log goes on; the mirror is what it was.
        log.append_all(&(300..900).map(entry).collect::<Vec<_>>())
            .unwrap();
        let policy = Policy::new(log.verifier_key().clone());
        let at_mirror = Reader::open(Folder::new(mirror.path()), &policy).unwrap();
        assert_eq!(
            at_mirror.entries(0..300).filter_map(Result::ok).count(),
            300
        );
        // The older checkpoint is a prefix, also where its partial tiles are gone by now.
        reader(&log).consistent_with(older.as_bytes()).unwrap();
        let newest = log.checkpoint().to_string();
        let before =
            Reader::open_at(Folder::new(log.public_folder()), &policy, older.as_bytes()).unwrap();
        assert_eq!(before.entries(0..900).filter_map(Result::ok).count(), 300);
        assert_eq!(
            before
                .consistent_with(newest.as_bytes())
                .unwrap_err()
                .code(),
            "tlog-out-of-range"
        );
        // Copied anew over the old copy.
        copy(log.public_folder(), mirror.path());
        let again = Reader::open(Folder::new(mirror.path()), &policy).unwrap();
        assert_eq!(again.entries(0..900).filter_map(Result::ok).count(), 900);
    }

    #[test]
    fn a_split_view_is_caught_by_two_checkpoints() {
        let one = tempfile::tempdir().unwrap();
        let two = tempfile::tempdir().unwrap();
        drop(open(one.path()));
        copy(one.path(), two.path());
        let (a, b) = (open(one.path()), open(two.path()));
        for i in 0..5 {
            a.append(&entry(i)).unwrap();
            b.append(&entry(i + u64::from(i == 3))).unwrap();
        }
        let seen = a.checkpoint().to_string();
        let error = reader(&b).consistent_with(seen.as_bytes()).unwrap_err();
        assert_eq!(error.code(), "tlog-inconsistent");
        b.append(&entry(9)).unwrap();
        let error = reader(&b).consistent_with(seen.as_bytes()).unwrap_err();
        assert_eq!(error.code(), "tlog-inconsistent");
        reader(&a).consistent_with(seen.as_bytes()).unwrap();
        // Entries of one history under the checkpoint of the other.
        fs::copy(
            a.public_folder().join("checkpoint"),
            b.public_folder().join("checkpoint"),
        )
        .unwrap();
        let policy = Policy::new(a.verifier_key().clone());
        let error = Reader::open(Folder::new(b.public_folder()), &policy).unwrap_err();
        assert_eq!(error.code(), "tlog-tile-mismatch");
    }

    #[test]
    fn a_forged_or_foreign_checkpoint_opens_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let log = open(folder.path());
        log.append(&entry(0)).unwrap();
        let open_with = |seed: u8, name: &str| {
            let key = proofmark_tlog::VerifierKey::new(
                name,
                proofmark_tlog::KeyKind::Ed25519,
                &public(seed),
            );
            let policy = Policy::new(key.unwrap());
            Reader::open(Folder::new(log.public_folder()), &policy)
                .unwrap_err()
                .code()
        };
        assert_eq!(open_with(1, ORIGIN), "tlog-unsigned");
        assert_eq!(open_with(1, "example.com/other"), "tlog-origin-mismatch");
        let path = log.public_folder().join("tile/entries/000.p/1");
        let bytes = fs::read(&path).unwrap();
        for (bytes, code) in [
            (bytes[..bytes.len() - 1].to_vec(), "tlog-malformed"),
            ([&bytes[..], b"\0\0"].concat(), "tlog-malformed"),
            (
                [&bytes[..bytes.len() - 1], b"]"].concat(),
                "tlog-tile-mismatch",
            ),
            (vec![0; 70_000], "tlog-unreadable"),
        ] {
            fs::write(&path, bytes).unwrap();
            let error = reader(&log).entries(0..1).next().unwrap().unwrap_err();
            assert_eq!(error.code(), code);
            assert!(reader(&log).scan(&public(1)).is_err());
        }
    }

    #[test]
    fn two_stories_of_one_receipt_are_a_problem_and_two_copies_are_not() {
        let folder = tempfile::tempdir().unwrap();
        let log = open(folder.path());
        let other = Entry::Receipt(ReceiptEntry {
            receipt: Digest::of(&0_u64.to_be_bytes()),
            package: Digest::of(b"another package"),
            proved_at: 0,
        });
        log.append_all(&[entry(0), entry(0), other]).unwrap();
        let scan = reader(&log).scan(&public(1)).unwrap();
        assert_eq!(scan.receipts.len(), 1);
        assert_eq!(scan.problems.len(), 1);
        assert_eq!(scan.problems[0].index, 2);
    }
}

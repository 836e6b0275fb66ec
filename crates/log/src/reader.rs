//! Reading a log from its static files, wherever they come from.

use core::fmt;
use core::ops::Range;
use std::collections::{BTreeMap, VecDeque};

use proofmark_tlog::note::MAX_NOTE_BYTES;
use proofmark_tlog::tile::{CHECKPOINT_PATH, TILE_WIDTH};
use proofmark_tlog::tiles::read;
use proofmark_tlog::{
    Cosignature, Policy, SignedCheckpoint, Tiles, TlogError, TlogProof, Verified, VerifiedTree,
    tree,
};
use proofmark_types::{Digest, Receipt};

use crate::chain::{KeyChain, Link};
use crate::entry::Entry;
use crate::error::LogError;
use crate::log::COSIGNED_PATH;
use crate::notice::{Notice, SignedNotice, Statement, Subject};

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
                        let reason = format!("entry {} says something else of this receipt", first.index);
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
        let notices = Notices::honoured(self.policy.log().name(), *service_key, found, &mut problems);
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
                    let skip = usize::try_from(self.next % width).unwrap_or(usize::MAX);
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

/// An entry that a reader cannot honour.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// Its index.
    pub index: u64,
    /// Why.
    pub error: LogError,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "entry {}: {}", self.index, self.error)
    }
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

/// A notice and where it stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LoggedNotice {
    /// Its index.
    pub index: u64,
    /// What it says.
    pub notice: Notice,
}

/// The notices of a log that the service signed, each with the key in force at its place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Notices {
    keys: KeyChain,
    list: Vec<LoggedNotice>,
}

impl Notices {
    fn honoured(
        origin: &str,
        pinned: [u8; 32],
        found: Vec<(u64, SignedNotice)>,
        problems: &mut Vec<Problem>,
    ) -> Self {
        let rotations: Vec<Link> = found
            .iter()
            .filter_map(|(index, signed)| match signed.notice().statement {
                Statement::Rotation { old, new, .. }
                    if signed.notice().log == origin && signed.verify(&old).is_ok() =>
                {
                    let index = *index;
                    Some(Link { index, old, new })
                }
                _ => None,
            })
            .collect();
        let keys = KeyChain::new(pinned, &rotations);
        let mut list = Vec::new();
        for (index, signed) in found {
            match Self::check(origin, &keys, index, &signed) {
                Ok(()) => list.push(LoggedNotice {
                    index,
                    notice: signed.notice().clone(),
                }),
                Err(error) => problems.push(Problem { index, error }),
            }
        }
        Self { keys, list }
    }

    fn check(
        origin: &str,
        keys: &KeyChain,
        index: u64,
        signed: &SignedNotice,
    ) -> Result<(), LogError> {
        if signed.notice().log != origin {
            return Err(LogError::notice(format!(
                "it is for log {:?}",
                signed.notice().log
            )));
        }
        let wrong = LogError::NoticeSignature {
            wanted: "the service key in force",
        };
        let Some(period) = keys.at(index) else {
            return Err(wrong);
        };
        signed.verify(&period.key)?;
        // A rotation by the key in force ends its period, unless it leads nowhere.
        let rotates = matches!(signed.notice().statement, Statement::Rotation { .. });
        if rotates && period.until != Some(index) {
            return Err(LogError::notice("it rotates to a key that was in force before"));
        }
        Ok(())
    }

    /// The service's keys with their periods.
    pub const fn keys(&self) -> &KeyChain {
        &self.keys
    }

    /// All notices, in the log's order.
    pub fn list(&self) -> &[LoggedNotice] {
        &self.list
    }

    /// What the log holds against a receipt, whose envelope has this digest and which is logged at
    /// `index` (`None`: not logged, or unknown). Empty is good.
    pub fn judge(&self, receipt: &Receipt, envelope: &Digest, index: Option<u64>) -> Vec<Objection> {
        let mut objections = Vec::new();
        match (self.keys.of(&receipt.signer), index) {
            (None, _) => objections.push(Objection::SignerUnknown),
            (Some(period), Some(index)) if !period.holds(index) => {
                objections.push(Objection::SignerNotInForce {
                    index,
                    from: period.from,
                    until: period.until,
                });
            }
            (Some(_), _) => {}
        }
        for logged in &self.list {
            match &logged.notice.statement {
                Statement::Revocation {
                    subject,
                    from,
                    reason,
                } if subject.covers(receipt, envelope) && index.is_none_or(|i| i >= *from) => {
                    objections.push(Objection::Revoked {
                        notice: logged.index,
                        subject: *subject,
                        reason: reason.clone(),
                    });
                }
                Statement::Advisory {
                    title, subjects, ..
                } if subjects.iter().any(|s| s.covers(receipt, envelope)) => {
                    objections.push(Objection::Advised {
                        notice: logged.index,
                        title: title.clone(),
                    });
                }
                _ => {}
            }
        }
        objections
    }
}

/// What a log holds against a receipt.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Objection {
    /// Its signer is no key of the service: not the pinned one, nor one that rotations lead to.
    SignerUnknown,
    /// It was logged when its signer's key was not in force: before it was announced, or after it
    /// was replaced.
    SignerNotInForce {
        /// Where it was logged.
        index: u64,
        /// First index of the key's period.
        from: u64,
        /// Last index of the key's period.
        until: Option<u64>,
    },
    /// What it rests on was revoked.
    Revoked {
        /// Index of the revocation.
        notice: u64,
        /// What is revoked.
        subject: Subject,
        /// Why, in the service's words.
        reason: String,
    },
    /// The service has something to say of it; the receipt stays valid.
    Advised {
        /// Index of the advisory.
        notice: u64,
        /// In the service's words.
        title: String,
    },
}

impl Objection {
    /// Whether the receipt is not to be relied on.
    pub const fn is_fatal(&self) -> bool {
        !matches!(self, Self::Advised { .. })
    }

    /// Stable kebab-case code.
    pub const fn code(&self) -> &'static str {
        match self {
            Self::SignerUnknown => "log-signer-unknown",
            Self::SignerNotInForce { .. } => "log-signer-retired",
            Self::Revoked { .. } => "log-revoked",
            Self::Advised { .. } => "log-advised",
        }
    }
}

impl fmt::Display for Objection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::SignerUnknown => f.write_str(
                "the receipt is signed by a key that the log does not know as the service's",
            ),
            Self::SignerNotInForce { index, from, until } => {
                write!(f, "the receipt was logged at {index}, its signer's key was in force from {from}")?;
                until.map_or(Ok(()), |until| write!(f, " to {until}"))
            }
            Self::Revoked {
                notice,
                subject,
                reason,
            } => {
                let (what, digest) = match subject {
                    Subject::Circuit(digest) => ("circuit", digest),
                    Subject::VerifyingKey(digest) => ("verifying key", digest),
                    Subject::Package(digest) => ("package", digest),
                    Subject::ServiceKey(digest) => ("service key", digest),
                    Subject::Receipt(digest) => ("receipt", digest),
                };
                write!(f, "the {what} {digest} was revoked in entry {notice}: {reason}")
            }
            Self::Advised { notice, title } => write!(f, "advisory in entry {notice}: {title}"),
        }
    }
}

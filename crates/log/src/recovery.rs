//! Opening a log: every tile is derived again from the entries, and what was cut off is done again.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use proofmark_tlog::tile::{CHECKPOINT_PATH, TILE_WIDTH, TilePath, parse_bundle};
use proofmark_tlog::{Hash, Level, SignedCheckpoint, Tip, TlogError, VerifierKey};

use crate::error::LogError;
use crate::files::{Disk, read_bounded};
use crate::intent::{FILE, Intent};

/// What opening found and did.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Recovery {
    /// Whether the log was made just now.
    pub created: bool,
    /// Entries of a batch that was cut off and is published now.
    pub redone: u64,
    /// Published files that were missing or not what the entries give, and were written again.
    pub repaired: Vec<String>,
}

/// The tree as it grows, with the roots at sizes that somebody holds us to, and what should be on
/// disk.
struct Derivation<'a> {
    disk: &'a Disk,
    tip: Tip,
    /// Sizes whose roots are wanted; filled on the way.
    roots: BTreeMap<u64, Option<Hash>>,
    /// Files that are not as they should be.
    differing: Vec<(String, Vec<u8>)>,
    /// Full tiles and bundles whose partial predecessors have not gone yet.
    filled: Vec<TilePath>,
}

impl Derivation<'_> {
    fn add(&mut self, mut entries: &[Vec<u8>]) -> Result<(), LogError> {
        loop {
            let size = self.tip.size();
            if let Some(root) = self.roots.get_mut(&size) {
                *root = Some(self.tip.root());
            }
            if entries.is_empty() {
                return Ok(());
            }
            let next = self.roots.range(size.saturating_add(1)..).next();
            let run = next
                .and_then(|(at, _)| usize::try_from(at.saturating_sub(size)).ok())
                .map_or(entries.len(), |run| run.min(entries.len()));
            let (now, later) = entries.split_at(run);
            let growth = self.tip.append(now)?;
            for (path, bytes) in growth.full_files() {
                self.compare(path, bytes)?;
                if fs::exists(partials(self.disk.root(), &path)).unwrap_or(false) {
                    self.filled.push(path);
                }
            }
            entries = later;
        }
    }

    fn compare(&mut self, path: TilePath, bytes: Vec<u8>) -> Result<(), LogError> {
        let name = path.to_string();
        let held = read(self.disk.root(), &name, path.max_bytes())?;
        if held.as_ref() != Some(&bytes) {
            self.differing.push((name, bytes));
        }
        Ok(())
    }
}

/// Brings the public folder to the last signed head, or says why that cannot be.
///
/// `known` are heads of this log that were seen elsewhere; the log must contain them.
pub(crate) fn recover(
    disk: &Disk,
    state: &Disk,
    intent: &Intent,
    log: &VerifierKey,
    known: &[SignedCheckpoint],
) -> Result<(Tip, SignedCheckpoint, Recovery), LogError> {
    let head = SignedCheckpoint::verify(intent.head.to_string().as_bytes(), log)?;
    let checkpoint = read(
        disk.root(),
        CHECKPOINT_PATH,
        proofmark_tlog::note::MAX_NOTE_BYTES,
    )?;
    let published = checkpoint
        .as_deref()
        .map(|bytes| SignedCheckpoint::verify(bytes, log))
        .transpose()?;
    let last = head.checkpoint().size();
    let elsewhere = known
        .iter()
        .map(|seen| ("a checkpoint that is remembered elsewhere", seen));
    let here = published
        .iter()
        .map(|seen| ("the published checkpoint", seen));
    for (what, seen) in here.chain(elsewhere) {
        if seen.checkpoint().size() > last {
            return Err(LogError::Shrank {
                reason: format!(
                    "{what} covers {} entries, state/intent {last}",
                    seen.checkpoint().size()
                ),
            });
        }
    }
    let mut derived = Derivation {
        disk,
        tip: Tip::default(),
        roots: published
            .iter()
            .chain(known)
            .map(|c| (c.checkpoint().size(), None))
            .collect(),
        differing: Vec::new(),
        filled: Vec::new(),
    };
    for index in 0..intent.old_size.div_ceil(u64::from(TILE_WIDTH)) {
        derived.add(&bundle(disk.root(), index, intent.old_size)?)?;
    }
    let mut cut_off = derived.tip.clone();
    let redo = cut_off.append(&intent.entries)?;
    derived.add(&intent.entries)?;
    let tip = derived.tip.clone();
    if tip.root() != *head.checkpoint().root() {
        return Err(LogError::damaged(format!(
            "its {last} entries do not have the root that was signed"
        )));
    }
    for seen in published.iter().chain(known) {
        let (size, root) = (seen.checkpoint().size(), seen.checkpoint().root());
        if derived.roots.get(&size).copied().flatten() != Some(*root) {
            return Err(TlogError::Inconsistent {
                old: size,
                new: last,
            }
            .into());
        }
    }
    for (path, bytes) in tip.partial_files() {
        derived.compare(path, bytes)?;
    }
    // The process may have died, or the disk failed, between the intent's name and its durability:
    // nothing is published above a mark that could still be lost.
    state.write(&[(FILE.to_owned(), intent.to_bytes()?)])?;
    // The batch's own files are written whatever is there: it may not be durable yet.
    let mut files: BTreeMap<String, Vec<u8>> = derived.differing.iter().cloned().collect();
    files.extend(
        redo.files()
            .into_iter()
            .map(|(path, bytes)| (path.to_string(), bytes)),
    );
    let files: Vec<(String, Vec<u8>)> = files.into_iter().collect();
    let mut recovery = Recovery {
        created: false,
        redone: published
            .as_ref()
            .map_or(0, |p| last.saturating_sub(p.checkpoint().size())),
        repaired: Vec::new(),
    };
    if recovery.redone == 0 {
        recovery.repaired = derived
            .differing
            .into_iter()
            .map(|(name, _)| name)
            .collect();
    }
    disk.write(&files)?;
    // The published one may carry witnesses' cosignatures.
    let head = match published {
        Some(published) if published.checkpoint() == head.checkpoint() => published,
        other => {
            if other.is_none() {
                recovery.repaired.push(CHECKPOINT_PATH.to_owned());
            }
            head
        }
    };
    disk.write(&[(CHECKPOINT_PATH.to_owned(), head.to_string())])?;
    for path in derived.filled {
        remove_partials(disk.root(), &path);
    }
    Ok((tip, head, recovery))
}

/// The entries of a bundle, as far as they are below `size`.
fn bundle(root: &Path, index: u64, size: u64) -> Result<Vec<Vec<u8>>, LogError> {
    let lost = || LogError::Shrank {
        reason: format!(
            "entries from {} on are missing",
            index.saturating_mul(u64::from(TILE_WIDTH))
        ),
    };
    let path = TilePath::in_tree(Level::Entries, index, size).ok_or_else(lost)?;
    // The full bundle may have taken the partial one's place.
    for held in [path, path.full()] {
        let Some(bytes) = read(root, &held.to_string(), held.max_bytes())? else {
            continue;
        };
        let entries = parse_bundle(&bytes, held.width())
            .map_err(|error| LogError::damaged(format!("{held}: {error}")))?;
        let wanted = entries.into_iter().take(usize::from(path.width()));
        return Ok(wanted.map(<[u8]>::to_vec).collect());
    }
    Err(lost())
}

fn read(root: &Path, name: &str, limit: usize) -> Result<Option<Vec<u8>>, LogError> {
    let path = root.join(name);
    read_bounded(&path, limit).map_err(|error| LogError::io("read", &path, &error))
}

/// The folder of a tile's partial predecessors.
fn partials(root: &Path, full: &TilePath) -> std::path::PathBuf {
    root.join(format!("{full}.p"))
}

/// Removes the partial predecessors of a full tile that is published. They cost space only, so
/// that a failure is left for the next start.
pub(crate) fn remove_partials(root: &Path, full: &TilePath) {
    drop(fs::remove_dir_all(partials(root, full)));
}

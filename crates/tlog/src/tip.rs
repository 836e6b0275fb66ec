//! The growing end of a log: what a writer must remember to add entries and to prove them without
//! reading anything back.

use std::collections::BTreeMap;

use crate::error::TlogError;
use crate::hash::{Hash, leaf_hash};
use crate::tile::{
    Level, TILE_HEIGHT, TILE_MASK, TILE_WIDTH, TilePath, encode_tile, peaks, push_entry, subtree,
};
use crate::tree::{self, Nodes, fold};

/// The partial tiles and the partial bundle at the right edge of a tree.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Tip {
    size: u64,
    /// Hashes of the partial tile of each level, at most 255.
    levels: BTreeMap<u8, Vec<Hash>>,
    /// The entries of the partial bundle, each behind its length.
    bundle: Vec<u8>,
}

/// What an append adds to the log.
#[derive(Debug, Clone)]
pub struct Growth {
    old_size: u64,
    /// Hashes of the tiles that became full.
    tiles: BTreeMap<(u8, u64), Vec<Hash>>,
    /// The bundles that became full.
    bundles: BTreeMap<u64, Vec<u8>>,
    /// The edge after the append.
    tip: Tip,
}

impl Tip {
    /// Entries of the tree.
    pub const fn size(&self) -> u64 {
        self.size
    }

    /// The tree's root.
    pub fn root(&self) -> Hash {
        let tops: Vec<Hash> = self.levels.values().rev().flat_map(|h| peaks(h)).collect();
        fold(&tops)
    }

    /// Adds entries. On an error nothing was added.
    ///
    /// # Errors
    /// [`TlogError::EntryTooLong`]; [`TlogError::Range`] at 2^64 entries.
    pub fn append<E: AsRef<[u8]>>(&mut self, entries: &[E]) -> Result<Growth, TlogError> {
        let mut next = self.clone();
        let mut growth = Growth {
            old_size: self.size,
            tiles: BTreeMap::new(),
            bundles: BTreeMap::new(),
            tip: Self::default(),
        };
        for entry in entries {
            next.push(entry.as_ref(), &mut growth)?;
        }
        self.clone_from(&next);
        growth.tip = next;
        Ok(growth)
    }

    fn push(&mut self, entry: &[u8], growth: &mut Growth) -> Result<(), TlogError> {
        let index = self.size;
        let range = || TlogError::Range { index, size: index };
        push_entry(&mut self.bundle, entry)?;
        self.size = index.checked_add(1).ok_or_else(range)?;
        let mut hash = leaf_hash(entry);
        let mut tile = index;
        for level in 0..TILE_HEIGHT {
            tile = tile.checked_shr(u32::from(TILE_HEIGHT)).unwrap_or(0);
            let hashes = self.levels.entry(level).or_default();
            hashes.push(hash);
            if hashes.len() < usize::from(TILE_WIDTH) {
                return Ok(());
            }
            // A full tile is one hash of the level above.
            hash = subtree(hashes).ok_or_else(range)?;
            growth.tiles.insert((level, tile), core::mem::take(hashes));
            self.levels.remove(&level);
            if level == 0 {
                growth
                    .bundles
                    .insert(tile, core::mem::take(&mut self.bundle));
            }
        }
        Err(range())
    }

    /// The partial tiles and the partial bundle as they stand, each with its content.
    pub fn partial_files(&self) -> impl Iterator<Item = (TilePath, Vec<u8>)> {
        let name = |level: Level, hashes: &[Hash]| {
            let index = crate::tile::entries_at(level, self.size)
                .checked_shr(u32::from(TILE_HEIGHT))
                .unwrap_or(0);
            TilePath::new(level, index, u16::try_from(hashes.len()).ok()?)
        };
        let bundle = self.levels.get(&0).and_then(|hashes| {
            name(Level::Entries, hashes).map(|path| (path, self.bundle.clone()))
        });
        let tiles = self.levels.iter().filter_map(move |(level, hashes)| {
            name(Level::Hashes(*level), hashes).map(|path| (path, encode_tile(hashes)))
        });
        bundle.into_iter().chain(tiles)
    }
}

impl Growth {
    /// Entries before the append.
    pub const fn old_size(&self) -> u64 {
        self.old_size
    }

    /// The edge after the append.
    pub const fn tip(&self) -> &Tip {
        &self.tip
    }

    /// The files that the log has now and had not before, bundles first, each with its content.
    /// Names say the width, so that no file is ever written with another content.
    pub fn files(&self) -> Vec<(TilePath, Vec<u8>)> {
        let new = |path: &TilePath| {
            TilePath::in_tree(path.level(), path.index(), self.old_size) != Some(*path)
        };
        self.full_files()
            .into_iter()
            .chain(self.tip.partial_files())
            .filter(|(path, _)| new(path))
            .collect()
    }

    /// The tiles and bundles that became full, bundles first, each with its content.
    pub fn full_files(&self) -> Vec<(TilePath, Vec<u8>)> {
        let full = |level, index| TilePath::new(level, index, TILE_WIDTH);
        let bundles = self.bundles.iter().filter_map(|(index, bytes)| {
            full(Level::Entries, *index).map(|path| (path, bytes.clone()))
        });
        let tiles = self.tiles.iter().filter_map(|((level, index), hashes)| {
            full(Level::Hashes(*level), *index).map(|path| (path, encode_tile(hashes)))
        });
        bundles.chain(tiles).collect()
    }

    /// The tiles and bundles that became full: their partial predecessors may go.
    pub fn filled(&self) -> impl Iterator<Item = TilePath> {
        let bundles = self.bundles.keys().map(|index| (Level::Entries, *index));
        let tiles = self
            .tiles
            .keys()
            .map(|(level, index)| (Level::Hashes(*level), *index));
        bundles
            .chain(tiles)
            .filter_map(|(level, index)| TilePath::new(level, index, TILE_WIDTH))
    }

    /// The audit path of an entry that this append added.
    ///
    /// # Errors
    /// [`TlogError::Range`] for another entry.
    pub fn prove(&self, index: u64) -> Result<Vec<Hash>, TlogError> {
        if index < self.old_size {
            return Err(TlogError::Range {
                index,
                size: self.tip.size,
            });
        }
        tree::prove_inclusion(index, self.tip.size, self)
    }
}

/// Every hash in a proof of an added entry lies in a tile that the append completed or left at the
/// edge: the tiles above the entry were not full before it.
impl Nodes for Growth {
    fn node(&self, level: u8, index: u64) -> Result<Hash, TlogError> {
        let range = TlogError::Range {
            index,
            size: self.tip.size,
        };
        let tile_level = level.checked_div(TILE_HEIGHT).unwrap_or(0);
        let within = u32::from(level.checked_rem(TILE_HEIGHT).unwrap_or(0));
        let run = 1_u64.checked_shl(within).unwrap_or(1);
        let Some(first) = index.checked_mul(run) else {
            return Err(range);
        };
        let tile = first.checked_shr(u32::from(TILE_HEIGHT)).unwrap_or(0);
        let edge = crate::tile::entries_at(Level::Hashes(tile_level), self.tip.size)
            .checked_shr(u32::from(TILE_HEIGHT))
            .unwrap_or(0);
        let hashes = self.tiles.get(&(tile_level, tile)).or_else(|| {
            (tile == edge)
                .then(|| self.tip.levels.get(&tile_level))
                .flatten()
        });
        let start = first & TILE_MASK;
        usize::try_from(start)
            .ok()
            .zip(usize::try_from(start.saturating_add(run)).ok())
            .and_then(|(start, end)| hashes?.get(start..end))
            .and_then(subtree)
            .ok_or(range)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tiles::VerifiedTree;
    use crate::tiles::tests::{Memory, entry, grown};

    #[test]
    fn batches_of_any_size_give_one_log_and_prove_their_entries() {
        // Sizes that end below, at and beyond tiles, and a batch of several levels.
        for steps in [
            vec![1, 1, 1, 253, 1, 255, 300, 0, 2],
            vec![256, 256],
            vec![255, 2, 65_536, 1],
            vec![65_535, 1, 1],
        ] {
            let mut tip = Tip::default();
            let mut memory = Memory::default();
            for step in steps {
                let entries: Vec<Vec<u8>> = (tip.size()..tip.size() + step).map(entry).collect();
                let old = tip.size();
                let growth = tip.append(&entries).unwrap();
                for (path, bytes) in growth.files() {
                    assert!(memory.0.insert(path.to_string(), bytes).is_none(), "{path}");
                }
                for index in (old..tip.size())
                    .step_by(61)
                    .chain(tip.size().checked_sub(1))
                {
                    if index < old {
                        assert!(growth.prove(index).is_err());
                        continue;
                    }
                    let proof = growth.prove(index).unwrap();
                    let leaf = leaf_hash(&entry(index));
                    tree::verify_inclusion(&leaf, index, tip.size(), &proof, &tip.root()).unwrap();
                }
                assert!(growth.prove(tip.size()).is_err());
                // The checkpoint's own partial tiles are there.
                VerifiedTree::open(&memory, tip.size(), tip.root()).unwrap();
            }
            let (whole, at_once) = grown(tip.size());
            assert_eq!(at_once, tip);
            for (path, bytes) in whole.0 {
                assert_eq!(memory.0.get(&path), Some(&bytes), "{path}");
            }
        }
    }

    #[test]
    fn an_entry_that_does_not_fit_changes_nothing() {
        let (_, mut tip) = grown(3);
        let before = tip.clone();
        assert!(tip.append(&[vec![0; 10], vec![0; 65_536]]).is_err());
        assert_eq!(tip, before);
    }
}

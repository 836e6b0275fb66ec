//! Reading a tree from tiles that anybody may have served: nothing is believed that the
//! checkpoint's root does not cover.

use core::cell::RefCell;
use std::collections::BTreeMap;

use crate::error::TlogError;
use crate::hash::{Hash, leaf_hash};
use crate::tile::{
    Level, TILE_HEIGHT, TILE_MASK, TilePath, entries_at, parse_bundle, parse_tile, peaks, subtree,
};
use crate::tree::{Nodes, fold};

/// Tiles that are kept after use, so that a walk over all entries needs bounded memory.
const KEPT: usize = 1024;

/// Why something could not be read. That it is not there is no error.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{reason}")]
pub struct ReadError {
    /// In words.
    pub reason: String,
}

/// A log's static resources: a folder, a mirror, a web server.
pub trait Tiles {
    /// The bytes at `path`, which is relative to the log's prefix (`checkpoint`, `tile/0/000`);
    /// `None` where there is nothing.
    ///
    /// # Errors
    /// [`ReadError`], also for more than `limit` bytes.
    fn read(&self, path: &str, limit: usize) -> Result<Option<Vec<u8>>, ReadError>;
}

impl<T: Tiles + ?Sized> Tiles for &T {
    fn read(&self, path: &str, limit: usize) -> Result<Option<Vec<u8>>, ReadError> {
        (**self).read(path, limit)
    }
}

impl<T: Tiles + ?Sized> Tiles for Box<T> {
    fn read(&self, path: &str, limit: usize) -> Result<Option<Vec<u8>>, ReadError> {
        (**self).read(path, limit)
    }
}

/// Reads one resource that must be there.
///
/// # Errors
/// [`TlogError::Missing`], [`TlogError::Unreadable`].
pub fn read(tiles: &impl Tiles, path: &str, limit: usize) -> Result<Vec<u8>, TlogError> {
    let read = tiles.read(path, limit);
    let read = read.map_err(|error| TlogError::Unreadable {
        path: path.to_owned(),
        reason: error.reason,
    })?;
    match read {
        Some(bytes) if bytes.len() <= limit => Ok(bytes),
        Some(bytes) => Err(TlogError::Unreadable {
            path: path.to_owned(),
            reason: format!("{} bytes, more than {limit}", bytes.len()),
        }),
        None => Err(TlogError::Missing {
            path: path.to_owned(),
        }),
    }
}

/// The tree that a root commits to, read from tiles of whatever origin.
#[derive(Debug)]
pub struct VerifiedTree<T> {
    tiles: T,
    size: u64,
    root: Hash,
    /// The partial tiles at the right edge; the root is a function of these alone.
    edge: BTreeMap<u8, Vec<Hash>>,
    /// Full tiles that were found to hash to what stands above them.
    full: RefCell<BTreeMap<(u8, u64), Vec<Hash>>>,
}

impl<T: Tiles> VerifiedTree<T> {
    /// Reads the right edge of the tree and checks it against `root`.
    ///
    /// # Errors
    /// [`TlogError::Tile`] when the tiles do not give this root, [`TlogError::Missing`],
    /// [`TlogError::Unreadable`], [`TlogError::Malformed`].
    pub fn open(tiles: T, size: u64, root: Hash) -> Result<Self, TlogError> {
        let mut edge = BTreeMap::new();
        let mut tops = Vec::new();
        for level in (0..TILE_HEIGHT).rev() {
            let count = entries_at(Level::Hashes(level), size);
            let index = count.checked_shr(u32::from(TILE_HEIGHT)).unwrap_or(0);
            let Some(path) = TilePath::in_tree(Level::Hashes(level), index, size) else {
                continue;
            };
            let hashes = read_tile(&tiles, path)?;
            tops.extend(peaks(&hashes));
            edge.insert(level, hashes);
        }
        if fold(&tops) != root {
            let lowest = edge.first_key_value().map(|(level, _)| *level);
            let index = entries_at(Level::Hashes(lowest.unwrap_or(0)), size)
                .checked_shr(u32::from(TILE_HEIGHT));
            let path =
                TilePath::in_tree(Level::Hashes(lowest.unwrap_or(0)), index.unwrap_or(0), size);
            return Err(TlogError::Tile {
                path: path.map_or_else(|| "tile/".to_owned(), |p| p.to_string()),
            });
        }
        Ok(Self {
            tiles,
            size,
            root,
            edge,
            full: RefCell::default(),
        })
    }

    /// Entries of the tree.
    pub const fn size(&self) -> u64 {
        self.size
    }

    /// Its root.
    pub const fn root(&self) -> &Hash {
        &self.root
    }

    /// Where the tiles come from.
    pub const fn tiles(&self) -> &T {
        &self.tiles
    }

    /// The hashes of a tile of the tree, checked against the tiles above it.
    fn tile(&self, level: u8, index: u64) -> Result<Vec<Hash>, TlogError> {
        let range = || TlogError::Range {
            index,
            size: self.size,
        };
        let path = TilePath::in_tree(Level::Hashes(level), index, self.size).ok_or_else(range)?;
        if !path.is_full() {
            return self.edge.get(&level).cloned().ok_or_else(range);
        }
        if let Some(known) = self.full.borrow().get(&(level, index)) {
            return Ok(known.clone());
        }
        let hashes = read_tile(&self.tiles, path)?;
        let above = level.checked_add(1).ok_or_else(range)?;
        let parent = self.tile(
            above,
            index.checked_shr(u32::from(TILE_HEIGHT)).unwrap_or(0),
        )?;
        let place = usize::from(index.to_be_bytes()[7]);
        if subtree(&hashes).is_none() || subtree(&hashes).as_ref() != parent.get(place) {
            return Err(TlogError::Tile {
                path: path.to_string(),
            });
        }
        let mut full = self.full.borrow_mut();
        if full.len() >= KEPT {
            // Lower levels go first; a walk needs the upper ones again.
            full.pop_first();
        }
        full.insert((level, index), hashes.clone());
        Ok(hashes)
    }

    /// The hash of an entry.
    ///
    /// # Errors
    /// [`TlogError`] as in [`open`](Self::open), and [`TlogError::Range`].
    pub fn leaf(&self, index: u64) -> Result<Hash, TlogError> {
        self.node(0, index)
    }

    /// The entries of the bundle with this index (entry `256 · index` comes first), each of which
    /// hashes to what the tree has in its place.
    ///
    /// # Errors
    /// [`TlogError`] as in [`open`](Self::open), and [`TlogError::Range`].
    pub fn bundle(&self, index: u64) -> Result<Vec<Vec<u8>>, TlogError> {
        let path = TilePath::in_tree(Level::Entries, index, self.size).ok_or(TlogError::Range {
            index,
            size: self.size,
        })?;
        let hashes = self.tile(0, index)?;
        let (bytes, held) = read_or_full(&self.tiles, path)?;
        let entries = parse_bundle(&bytes, held)?;
        let wanted = entries.get(..usize::from(path.width())).unwrap_or_default();
        let same = wanted.len() == hashes.len()
            && wanted.iter().zip(&hashes).all(|(e, h)| leaf_hash(e) == *h);
        if !same {
            return Err(TlogError::Tile {
                path: path.to_string(),
            });
        }
        Ok(wanted.iter().map(|e| e.to_vec()).collect())
    }
}

impl<T: Tiles> Nodes for VerifiedTree<T> {
    fn node(&self, level: u8, index: u64) -> Result<Hash, TlogError> {
        let range = TlogError::Range {
            index,
            size: self.size,
        };
        let (tile_level, within) = (
            level.checked_div(TILE_HEIGHT).unwrap_or(0),
            u32::from(level.checked_rem(TILE_HEIGHT).unwrap_or(0)),
        );
        let run = 1_u64.checked_shl(within).unwrap_or(1);
        // Place of the node's first hash among all of its level, then within its tile.
        let Some(first) = index.checked_mul(run) else {
            return Err(range);
        };
        let tile = first.checked_shr(u32::from(TILE_HEIGHT)).unwrap_or(0);
        let start = first & TILE_MASK;
        let end = start.saturating_add(run);
        let hashes = self.tile(tile_level, tile)?;
        let run = usize::try_from(start)
            .ok()
            .zip(usize::try_from(end).ok())
            .and_then(|(start, end)| hashes.get(start..end));
        run.and_then(subtree).ok_or(range)
    }
}

fn read_tile(tiles: &impl Tiles, path: TilePath) -> Result<Vec<Hash>, TlogError> {
    let (bytes, held) = read_or_full(tiles, path)?;
    let mut hashes = parse_tile(&bytes, held)?;
    hashes.truncate(usize::from(path.width()));
    Ok(hashes)
}

/// The content at `path`; where that is a partial tile that is gone, of the full one that took its
/// place. Also says how many hashes or entries were read.
fn read_or_full(tiles: &impl Tiles, path: TilePath) -> Result<(Vec<u8>, u16), TlogError> {
    match read(tiles, &path.to_string(), path.max_bytes()) {
        Err(missing @ TlogError::Missing { .. }) if !path.is_full() => {
            let full = path.full();
            match read(tiles, &full.to_string(), full.max_bytes()) {
                Err(TlogError::Missing { .. }) => Err(missing),
                other => other.map(|bytes| (bytes, full.width())),
            }
        }
        other => other.map(|bytes| (bytes, path.width())),
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use crate::hash::EMPTY_ROOT;
    use crate::tip::Tip;
    use crate::tree;

    /// Resources in memory.
    #[derive(Debug, Default, Clone)]
    pub(crate) struct Memory(pub(crate) BTreeMap<String, Vec<u8>>);

    impl Tiles for Memory {
        fn read(&self, path: &str, _limit: usize) -> Result<Option<Vec<u8>>, ReadError> {
            Ok(self.0.get(path).cloned())
        }
    }

    pub(crate) fn entry(i: u64) -> Vec<u8> {
        format!("entry {i}").into_bytes()
    }

    /// A log of `size` entries, written in one go.
    pub(crate) fn grown(size: u64) -> (Memory, Tip) {
        let mut tip = Tip::default();
        let mut memory = Memory::default();
        let entries: Vec<Vec<u8>> = (0..size).map(entry).collect();
        let growth = tip.append(&entries).unwrap();
        for (path, bytes) in growth.files() {
            memory.0.insert(path.to_string(), bytes);
        }
        (memory, tip)
    }

    #[test]
    fn trees_of_every_shape_are_read_back() {
        for size in [
            0, 1, 2, 255, 256, 257, 511, 512, 600, 65_536, 65_793, 66_000,
        ] {
            let (memory, tip) = grown(size);
            let paths: Vec<String> = crate::tile::tiles_of(size).map(|t| t.to_string()).collect();
            let mut wanted = paths.clone();
            wanted.sort();
            let held: Vec<String> = memory.0.keys().cloned().collect();
            assert_eq!(held, wanted, "{size}");
            let tree = VerifiedTree::open(&memory, size, tip.root()).unwrap();
            assert_eq!(tree::root(size, &tree).unwrap(), tip.root());
            for index in [0, 1, 254, 255, 256, 300, 65_535, 65_536, 65_900] {
                if index >= size {
                    assert!(tree.leaf(index).is_err());
                    continue;
                }
                assert_eq!(tree.leaf(index).unwrap(), leaf_hash(&entry(index)));
                let proof = tree::prove_inclusion(index, size, &tree).unwrap();
                let leaf = leaf_hash(&entry(index));
                tree::verify_inclusion(&leaf, index, size, &proof, &tip.root()).unwrap();
                let bundle = tree.bundle(index / 256).unwrap();
                assert_eq!(bundle[usize::try_from(index % 256).unwrap()], entry(index));
            }
            assert!(tree.bundle(size.div_ceil(256)).is_err());
        }
    }

    #[test]
    fn a_full_tile_stands_in_for_the_partial_one_that_it_grew_from() {
        let (mut memory, mut tip) = grown(300);
        let head = (tip.size(), tip.root());
        let more: Vec<Vec<u8>> = (300..600).map(entry).collect();
        for (path, bytes) in tip.append(&more).unwrap().files() {
            memory.0.insert(path.to_string(), bytes);
        }
        for gone in ["tile/0/001.p/44", "tile/entries/001.p/44"] {
            memory.0.remove(gone).unwrap();
        }
        let tree = VerifiedTree::open(&memory, head.0, head.1).unwrap();
        assert_eq!(tree.bundle(1).unwrap().len(), 44);
    }

    #[test]
    fn no_changed_byte_of_any_tile_is_believed() {
        let size = 66_000;
        let (memory, tip) = grown(size);
        let walk = |memory: &Memory| -> Result<(), TlogError> {
            let tree = VerifiedTree::open(memory, size, tip.root())?;
            for index in [0, 1, 255, 257] {
                tree.bundle(index)?;
            }
            Ok(())
        };
        walk(&memory).unwrap();
        for path in [
            "tile/0/000",
            "tile/0/255",
            "tile/0/257.p/208",
            "tile/1/000",
            "tile/1/001.p/1",
            "tile/2/000.p/1",
            "tile/entries/000",
            "tile/entries/257.p/208",
        ] {
            let mut hostile = memory.clone();
            let bytes = hostile.0.get_mut(path).unwrap();
            let last = bytes.len() - 1;
            bytes[last] ^= 1;
            let error = walk(&hostile).unwrap_err();
            assert_eq!(error.code(), "tlog-tile-mismatch", "{path}: {error}");

            let mut cut = memory.clone();
            let bytes = cut.0.get_mut(path).unwrap();
            bytes.pop();
            assert_eq!(walk(&cut).unwrap_err().code(), "tlog-malformed", "{path}");

            let mut gone = memory.clone();
            gone.0.remove(path);
            assert_eq!(
                walk(&gone).unwrap_err().code(),
                "tlog-tile-missing",
                "{path}"
            );

            let mut longer = memory.clone();
            longer.0.get_mut(path).unwrap().push(0);
            assert!(walk(&longer).is_err(), "{path}");
        }
        // Another log's tiles, whole and well-formed, under this root.
        let (other, _) = grown(size - 1);
        assert!(VerifiedTree::open(&other, size, tip.root()).is_err());
        assert!(VerifiedTree::open(&memory, size - 1, tip.root()).is_err());
        assert!(VerifiedTree::open(&memory, 0, tip.root()).is_err());
        VerifiedTree::open(&memory, 0, EMPTY_ROOT).unwrap();
    }

    #[test]
    fn an_endless_resource_is_refused() {
        #[derive(Debug)]
        struct Endless;
        impl Tiles for Endless {
            fn read(&self, _: &str, limit: usize) -> Result<Option<Vec<u8>>, ReadError> {
                Ok(Some(vec![0; limit + 1]))
            }
        }
        let error = VerifiedTree::open(Endless, 1, EMPTY_ROOT).unwrap_err();
        assert_eq!(error.code(), "tlog-unreadable");
        // A size out of this world asks for a handful of tiles, not for memory.
        let (memory, _) = grown(3);
        let error = VerifiedTree::open(&memory, u64::MAX, EMPTY_ROOT).unwrap_err();
        assert_eq!(error.code(), "tlog-tile-missing");
    }
}

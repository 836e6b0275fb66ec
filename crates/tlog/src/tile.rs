//! Paths and contents of tiles and entry bundles (tlog-tiles).

use core::fmt;
use core::str::FromStr;

use crate::error::TlogError;
use crate::hash::{HASH_BYTES, Hash, node_hash};
use crate::text::decimal;

/// Tree levels that a tile holds.
pub const TILE_HEIGHT: u8 = 8;
/// Hashes of a full tile, entries of a full bundle.
pub const TILE_WIDTH: u16 = 256;
/// Masks the place of a hash within its tile out of its place within its level.
pub(crate) const TILE_MASK: u64 = 255;
/// Bytes of a full tile.
pub const TILE_BYTES: usize = 8192;
/// Longest entry in bytes.
pub const MAX_ENTRY_BYTES: usize = 65_535;
/// Longest bundle in bytes: 256 entries of the greatest length, each behind its length.
pub const MAX_BUNDLE_BYTES: usize = 256 * (MAX_ENTRY_BYTES + 2);
/// Path of the checkpoint.
pub const CHECKPOINT_PATH: &str = "checkpoint";
/// Highest level in a path.
const MAX_LEVEL: u8 = 63;

/// What a tile holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Level {
    /// Hashes over 256^level entries each.
    Hashes(u8),
    /// The entries themselves.
    Entries,
}

/// The name of a tile or an entry bundle.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct TilePath {
    level: Level,
    index: u64,
    width: u16,
}

impl TilePath {
    /// The tile of this level, place in the level, and width of 1 to 256; `None` for others.
    pub fn new(level: Level, index: u64, width: u16) -> Option<Self> {
        let level_fits = match level {
            Level::Hashes(level) => level <= MAX_LEVEL,
            Level::Entries => true,
        };
        (level_fits && (1..=TILE_WIDTH).contains(&width)).then_some(Self {
            level,
            index,
            width,
        })
    }

    /// The tile as it stands in a tree of `size` entries; `None` where that has nothing of it.
    pub fn in_tree(level: Level, index: u64, size: u64) -> Option<Self> {
        let total = entries_at(level, size);
        let start = index.checked_mul(u64::from(TILE_WIDTH))?;
        let width = total.checked_sub(start)?.min(u64::from(TILE_WIDTH));
        Self::new(level, index, u16::try_from(width).ok()?)
    }

    /// What it holds.
    pub const fn level(&self) -> Level {
        self.level
    }

    /// Its place in its level.
    pub const fn index(&self) -> u64 {
        self.index
    }

    /// How many hashes or entries it holds, 1 to 256.
    pub const fn width(&self) -> u16 {
        self.width
    }

    /// Whether it holds 256.
    pub const fn is_full(&self) -> bool {
        self.width == TILE_WIDTH
    }

    /// The full tile of the same place, into which this one grows.
    #[must_use]
    pub const fn full(&self) -> Self {
        Self {
            width: TILE_WIDTH,
            ..*self
        }
    }

    /// Most bytes that its content has.
    pub fn max_bytes(&self) -> usize {
        match self.level {
            Level::Hashes(_) => usize::from(self.width).saturating_mul(HASH_BYTES),
            Level::Entries => {
                usize::from(self.width).saturating_mul(MAX_ENTRY_BYTES.saturating_add(2))
            }
        }
    }
}

/// How many hashes (or entries) of a level a tree of `size` entries has.
pub(crate) fn entries_at(level: Level, size: u64) -> u64 {
    match level {
        Level::Entries => size,
        Level::Hashes(level) => size
            .checked_shr(u32::from(level).saturating_mul(u32::from(TILE_HEIGHT)))
            .unwrap_or(0),
    }
}

/// Every tile and bundle that a tree of `size` entries consists of, partial ones as they stand at
/// that size. A lazy list: `size` may be anybody's claim.
pub fn tiles_of(size: u64) -> impl Iterator<Item = TilePath> {
    let levels = (0..TILE_HEIGHT).map(Level::Hashes);
    core::iter::once(Level::Entries)
        .chain(levels)
        .flat_map(move |level| {
            let count = entries_at(level, size).div_ceil(u64::from(TILE_WIDTH));
            (0..count).filter_map(move |index| TilePath::in_tree(level, index, size))
        })
}

impl fmt::Display for TilePath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.level {
            Level::Hashes(level) => write!(f, "tile/{level}/")?,
            Level::Entries => f.write_str("tile/entries/")?,
        }
        let digits = self.index.to_string();
        let elements = digits.len().div_ceil(3);
        let padded = format!("{digits:0>width$}", width = elements.saturating_mul(3));
        for (i, digit) in padded.chars().enumerate() {
            if i.is_multiple_of(3) {
                if i != 0 {
                    f.write_str("/")?;
                }
                // All elements but the last carry an x, so that no file is in a folder's place.
                if i.saturating_add(3) < padded.len() {
                    f.write_str("x")?;
                }
            }
            write!(f, "{digit}")?;
        }
        if self.is_full() {
            Ok(())
        } else {
            write!(f, ".p/{}", self.width)
        }
    }
}

impl FromStr for TilePath {
    type Err = TlogError;

    fn from_str(text: &str) -> Result<Self, TlogError> {
        parse_path(text)
            .filter(|path| path.to_string() == text)
            .ok_or_else(|| TlogError::malformed("tile path", format!("{text:?}")))
    }
}

fn parse_path(text: &str) -> Option<TilePath> {
    let (level, rest) = text.strip_prefix("tile/")?.split_once('/')?;
    let level = if level == "entries" {
        Level::Entries
    } else {
        Level::Hashes(u8::try_from(decimal(level)?).ok()?)
    };
    let (rest, width) = match rest.split_once(".p/") {
        Some((rest, width)) => {
            let width = u16::try_from(decimal(width)?).ok()?;
            (rest, Some(width).filter(|w| *w < TILE_WIDTH)?)
        }
        None => (rest, TILE_WIDTH),
    };
    let mut index = 0_u64;
    for element in rest.split('/') {
        let digits = element.strip_prefix('x').unwrap_or(element);
        if digits.len() != 3 || !digits.bytes().all(|b| b.is_ascii_digit()) {
            return None;
        }
        let value = digits.parse().ok()?;
        index = index.checked_mul(1000)?.checked_add(value)?;
    }
    TilePath::new(level, index, width)
}

/// The hashes in a tile of `width` hashes.
///
/// # Errors
/// [`TlogError::Malformed`] for another length.
pub fn parse_tile(bytes: &[u8], width: u16) -> Result<Vec<Hash>, TlogError> {
    let (chunks, rest) = bytes.as_chunks::<HASH_BYTES>();
    if !rest.is_empty() || chunks.len() != usize::from(width) {
        return Err(TlogError::malformed(
            "tile",
            format!("{} bytes instead of {width} hashes", bytes.len()),
        ));
    }
    Ok(chunks.iter().map(|c| Hash::from_bytes(*c)).collect())
}

/// A tile's bytes.
pub fn encode_tile(hashes: &[Hash]) -> Vec<u8> {
    hashes.iter().flat_map(|h| *h.as_bytes()).collect()
}

/// The hash over a run of neighbouring hashes, whose number is a power of two.
pub(crate) fn subtree(hashes: &[Hash]) -> Option<Hash> {
    if !hashes.len().is_power_of_two() {
        return None;
    }
    let mut row = hashes.to_vec();
    while row.len() > 1 {
        row = row
            .as_chunks::<2>()
            .0
            .iter()
            .map(|[left, right]| node_hash(left, right))
            .collect();
    }
    row.first().copied()
}

/// The hashes over the complete subtrees of a tile's hashes, largest first.
pub(crate) fn peaks(mut hashes: &[Hash]) -> Vec<Hash> {
    let mut found = Vec::new();
    while !hashes.is_empty() {
        let log = usize::BITS
            .saturating_sub(1)
            .saturating_sub(hashes.len().leading_zeros());
        let width = 1_usize.checked_shl(log).unwrap_or(hashes.len());
        let Some((run, rest)) = hashes.split_at_checked(width) else {
            break;
        };
        found.extend(subtree(run));
        hashes = rest;
    }
    found
}

/// The `width` entries of a bundle, each of which stands behind its length (two bytes, big-endian).
///
/// # Errors
/// [`TlogError::Malformed`] when it is cut off, or holds fewer or more entries.
pub fn parse_bundle(bytes: &[u8], width: u16) -> Result<Vec<&[u8]>, TlogError> {
    let refuse = |reason: &str| Err(TlogError::malformed("entry bundle", reason));
    let mut entries = Vec::with_capacity(usize::from(width.min(TILE_WIDTH)));
    let mut rest = bytes;
    for _ in 0..width {
        let Some((length, after)) = rest.split_first_chunk::<2>() else {
            return refuse("it ends before its last entry");
        };
        let Some((entry, after)) = after.split_at_checked(u16::from_be_bytes(*length).into())
        else {
            return refuse("it ends within an entry");
        };
        entries.push(entry);
        rest = after;
    }
    if rest.is_empty() {
        Ok(entries)
    } else {
        refuse("bytes follow its last entry")
    }
}

/// Appends an entry to a bundle.
///
/// # Errors
/// [`TlogError::EntryTooLong`] above [`MAX_ENTRY_BYTES`].
pub fn push_entry(bundle: &mut Vec<u8>, entry: &[u8]) -> Result<(), TlogError> {
    let length =
        u16::try_from(entry.len()).map_err(|_| TlogError::EntryTooLong { bytes: entry.len() })?;
    bundle.extend_from_slice(&length.to_be_bytes());
    bundle.extend_from_slice(entry);
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::hash::leaf_hash;

    #[test]
    fn paths_are_those_of_the_specification() {
        let path = |level, index, width| TilePath::new(level, index, width).unwrap().to_string();
        assert_eq!(
            path(Level::Hashes(0), 1_234_067, 256),
            "tile/0/x001/x234/067"
        );
        assert_eq!(path(Level::Hashes(63), 0, 1), "tile/63/000.p/1");
        assert_eq!(path(Level::Entries, 999, 255), "tile/entries/999.p/255");
        assert_eq!(path(Level::Entries, 1000, 256), "tile/entries/x001/000");
        assert_eq!(
            path(Level::Hashes(1), u64::MAX, 256),
            "tile/1/x018/x446/x744/x073/x709/x551/615"
        );
        for text in [
            "tile/0/x001/x234/067",
            "tile/63/000.p/1",
            "tile/entries/x018/x446/x744/x073/x709/x551/615.p/255",
        ] {
            assert_eq!(text.parse::<TilePath>().unwrap().to_string(), text);
        }
        for bad in [
            "",
            "tile/0",
            "tile/0/",
            "tile/64/000",
            "tile/00/000",
            "tile/0/0",
            "tile/0/1000",
            "tile/0/x000/000",
            "tile/0/001/000",
            "tile/0/x001",
            "tile/0/x001/x000",
            "tile/0/000.p/0",
            "tile/0/000.p/256",
            "tile/0/000.p/01",
            "tile/0/000.p/",
            "tile/0/000.p/1/",
            "tile/-1/000",
            "tile/data/000",
            "tile/0/../000",
            "/tile/0/000",
            "tile/0/+01",
            "tile/entries/x018/x446/x744/x073/x709/x551/616",
        ] {
            assert!(bad.parse::<TilePath>().is_err(), "{bad}");
        }
    }

    #[test]
    fn the_tiles_of_the_specifications_example() {
        // 70,000 entries: 273 full and one partial tile of width 112; then 1 + 17; then 1.
        let tiles: Vec<TilePath> = tiles_of(70_000).collect();
        let of = |level| {
            let all: Vec<_> = tiles.iter().filter(|t| t.level() == level).collect();
            let full = all.iter().filter(|t| t.is_full()).count();
            (full, all.last().map(|t| t.width()))
        };
        assert_eq!(of(Level::Hashes(0)), (273, Some(112)));
        assert_eq!(of(Level::Entries), (273, Some(112)));
        assert_eq!(of(Level::Hashes(1)), (1, Some(17)));
        assert_eq!(of(Level::Hashes(2)), (0, Some(1)));
        assert_eq!(of(Level::Hashes(3)), (0, None));
        let names: Vec<String> = tiles_of(256).map(|t| t.to_string()).collect();
        assert_eq!(names, ["tile/entries/000", "tile/0/000", "tile/1/000.p/1"]);
        assert_eq!(tiles_of(0).count(), 0);
        // A hostile size costs nothing until the list is walked.
        assert_eq!(tiles_of(u64::MAX).take(3).count(), 3);
    }

    #[test]
    fn bundles_and_tiles_hold_exactly_what_they_should() {
        let mut bundle = Vec::new();
        push_entry(&mut bundle, b"").unwrap();
        push_entry(&mut bundle, b"abc").unwrap();
        assert_eq!(bundle, b"\0\0\0\x03abc");
        assert_eq!(parse_bundle(&bundle, 2).unwrap(), [&b""[..], b"abc"]);
        for (bytes, width) in [
            (&bundle[..], 1),
            (&bundle[..], 3),
            (&bundle[..6], 2),
            (&bundle[..3], 2),
        ] {
            assert!(parse_bundle(bytes, width).is_err());
        }
        assert!(push_entry(&mut bundle, &vec![0; 65_536]).is_err());
        push_entry(&mut bundle, &vec![0; 65_535]).unwrap();
        assert_eq!(parse_bundle(&bundle, 3).unwrap()[2].len(), 65_535);

        let hashes: Vec<Hash> = (0..5_u8).map(|i| leaf_hash(&[i])).collect();
        let tile = encode_tile(&hashes);
        assert_eq!(parse_tile(&tile, 5).unwrap(), hashes);
        assert!(parse_tile(&tile, 4).is_err());
        assert!(parse_tile(&tile[..159], 5).is_err());
        assert_eq!(peaks(&hashes).len(), 2);
    }
}

//! Files as memory: read-only maps, and bytes read as words where they lie.
#![expect(
    unsafe_code,
    reason = "the system can only promise that a file stays as it is if its users do"
)]

use std::{fs::File, io, ops::Deref};

use memmap2::Mmap;

/// A file's bytes in memory, read-only, brought in page by page when they are touched; the pages are
/// shared by all maps of the file and by all processes.
///
/// # Whoever maps a file keeps it as it is
/// A file that is *shortened* while it is mapped ends the process (`SIGBUS`) when a page behind its
/// new end is touched; a file that is *written* changes under the reader, who may then see
/// different bytes where it looked before, also after a check. So a mapped file must be one that is never
/// changed after it was finished: write it under another name, synchronise it, rename it into place, and
/// replace it by another rename (the old file lives on until its last map is gone). Keep it in a folder
/// that only the service's own user can write, and give it a mode without the write bit.
#[derive(Debug)]
pub struct Map(Mmap);

impl Map {
    /// Maps a whole file. It may be closed and unlinked afterwards.
    ///
    /// # Errors
    /// What the operating system says: the file is no regular file, cannot be read, or is larger
    /// than the address space.
    pub fn open(file: &File) -> io::Result<Self> {
        // SAFETY: the map is private to this type and handed out as `&[u8]` only, whose users may assume
        // that the bytes do not change. No code of this process writes a finished file; that nobody
        // else does is what the type's documentation asks of the caller, and what no program can
        // enforce. All byte patterns are valid, and readers check what they read before they rely on it.
        let map = unsafe { Mmap::map(file)? };
        Ok(Self(map))
    }
}

impl Deref for Map {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &self.0
    }
}

impl AsRef<[u8]> for Map {
    fn as_ref(&self) -> &[u8] {
        self
    }
}

/// Bytes as groups of `N` little-endian words (a packed element: 4, a point of G1: 8, of G2: 16),
/// where they lie. `None` when the bytes do not start at a multiple of 8, are not a whole number of
/// groups, or the processor is not little-endian: the caller then decodes them into memory of its own.
pub fn words<const N: usize>(bytes: &[u8]) -> Option<&[[u64; N]]> {
    if cfg!(not(target_endian = "little")) {
        return None;
    }
    // SAFETY: every pattern of bytes is a valid `[u64; N]`, which has no padding; `align_to` checks
    // the address and the length.
    let (before, groups, after) = unsafe { bytes.align_to::<[u64; N]>() };
    (before.is_empty() && after.is_empty()).then_some(groups)
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    #[test]
    fn a_file_is_its_bytes_and_its_words() {
        let mut file = tempfile::tempfile().unwrap();
        let content: Vec<u8> = (0..10_000u32).flat_map(u32::to_le_bytes).collect();
        file.write_all(&content).unwrap();
        let map = Map::open(&file).unwrap();
        drop(file);
        assert_eq!(&*map, content);
        let points = words::<8>(&map[..9_984 * 4]);
        assert_eq!(points.is_some(), cfg!(target_endian = "little"));
        if let Some(points) = points {
            assert_eq!(points.len(), 624);
            assert_eq!(points[1][0], 17 << 32 | 16);
        }
        // not a whole number of groups; not at a multiple of a word
        assert!(words::<8>(&map[..72]).is_none());
        assert!(words::<4>(&map[4..36]).is_none());
        assert!(words::<4>(&map[1..33]).is_none());
    }

    #[test]
    fn an_empty_file_maps_to_nothing() {
        let map = Map::open(&tempfile::tempfile().unwrap()).unwrap();
        assert!(map.is_empty());
    }

    #[test]
    fn what_is_no_file_is_an_error() {
        let folder = tempfile::tempdir().unwrap();
        assert!(File::open(folder.path()).is_ok_and(|folder| Map::open(&folder).is_err()));
    }
}

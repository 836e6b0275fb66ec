//! Lookup tables: sets of integer keys, and where each key stands.

use std::collections::HashMap;
use std::hash::{Hash, Hasher};
use std::sync::{Arc, LazyLock};

use crate::error::LowerError;

use super::widths::WIDEST;

/// Most keys of a table: more never pay, since each costs as much as a lookup.
pub const MAX_KEYS: usize = 1 << 20;
/// Keys are below this in size, so that a key is one field element and one integer.
const KEY_BOUND: u64 = 1 << 62;
/// A flat index may be this many times longer than the table.
const SPARSENESS: usize = 16;

/// A set of integer keys that values can be proven to lie in. Two tables with the same keys are
/// one table of the circuit, whoever made them. Cheap to clone; the index is made once.
#[derive(Debug, Clone)]
pub struct LookupTable(Arc<Keys>);

#[derive(Debug)]
struct Keys {
    /// Ascending, each once.
    keys: Vec<i64>,
    index: Index,
}

/// Where a key stands.
#[derive(Debug)]
enum Index {
    /// At the key's distance from the first one.
    Consecutive,
    /// One more than the place, at that distance; 0 where there is no key.
    Flat(Vec<u32>),
    /// By key.
    Hashed(HashMap<i64, u32>),
}

impl LookupTable {
    /// The table of these keys, in any order; a key given twice stands once.
    ///
    /// # Errors
    /// [`LowerError::BadTable`] for no keys, more than [`MAX_KEYS`], or keys of 2^62 or more.
    pub fn new(mut keys: Vec<i64>) -> Result<Self, LowerError> {
        keys.sort_unstable();
        keys.dedup();
        let bad = |reason: String| LowerError::BadTable {
            path: "lookup-table".to_owned(),
            reason,
        };
        let (Some(&first), Some(&last)) = (keys.first(), keys.last()) else {
            return Err(bad("a lookup table without keys".to_owned()));
        };
        if keys.len() > MAX_KEYS {
            return Err(bad(format!("a lookup table of {} keys", keys.len())));
        }
        if first.unsigned_abs().max(last.unsigned_abs()) >= KEY_BOUND {
            return Err(bad("a lookup key of 2^62 or more".to_owned()));
        }
        // Below 2^63 by the bound above.
        let span = usize::try_from(last - first).unwrap_or(usize::MAX);
        let places = || (0_u32..).zip(&keys);
        let index = if span == keys.len() - 1 {
            Index::Consecutive
        } else if span / SPARSENESS < keys.len() {
            let mut flat = vec![0; span + 1];
            for (place, key) in places() {
                let slot = usize::try_from(key - first).ok();
                if let Some(slot) = slot.and_then(|at| flat.get_mut(at)) {
                    *slot = place + 1;
                }
            }
            Index::Flat(flat)
        } else {
            Index::Hashed(places().map(|(place, &key)| (key, place)).collect())
        };
        Ok(Self(Arc::new(Keys { keys, index })))
    }

    /// The integers `0 ..= 2^bits − 1`. Small ones are made once a process.
    ///
    /// # Errors
    /// [`LowerError::BadTable`] above 20 bits.
    pub fn range(bits: u32) -> Result<Self, LowerError> {
        static RANGES: LazyLock<Vec<LookupTable>> = LazyLock::new(|| {
            let tables = (0..=WIDEST).map(|bits| LookupTable::new((0..1 << bits).collect()));
            tables.collect::<Result<_, _>>().unwrap_or_default()
        });
        if let Some(table) = RANGES.get(bits as usize) {
            return Ok(table.clone());
        }
        // 63 bits and more would not even be counted; they are refused with the rest.
        let end = 1_i64.checked_shl(bits.min(21)).unwrap_or_default();
        Self::new((0..end).collect())
    }

    /// Pairs as keys `first + stride · second`. That a looked-up `a + stride · b` means the pair
    /// `(a, b)` is for the caller to argue: see [`Packing`].
    ///
    /// # Errors
    /// Those of [`new`](Self::new), and a key that leaves 63 bits.
    pub fn pairs(
        pairs: impl IntoIterator<Item = (i64, i64)>,
        stride: i64,
    ) -> Result<Self, LowerError> {
        let keys: Option<Vec<i64>> = pairs
            .into_iter()
            .map(|(first, second)| second.checked_mul(stride)?.checked_add(first))
            .collect();
        Self::new(keys.ok_or_else(|| LowerError::BadTable {
            path: "lookup-table".to_owned(),
            reason: "a packed pair of 63 bits or more".to_owned(),
        })?)
    }

    /// The keys, ascending.
    pub fn keys(&self) -> &[i64] {
        &self.0.keys
    }

    /// Number of keys; never 0.
    #[expect(clippy::len_without_is_empty, reason = "a table is never empty")]
    pub fn len(&self) -> usize {
        self.0.keys.len()
    }

    /// Where a key stands among the [`keys`](Self::keys).
    pub fn place(&self, key: i64) -> Option<u32> {
        let first = *self.0.keys.first()?;
        let offset = || {
            key.checked_sub(first)
                .and_then(|offset| usize::try_from(offset).ok())
        };
        match &self.0.index {
            Index::Consecutive => offset()
                .filter(|&at| at < self.len())
                .and_then(|at| u32::try_from(at).ok()),
            Index::Flat(flat) => flat.get(offset()?)?.checked_sub(1),
            Index::Hashed(places) => places.get(&key).copied(),
        }
    }

    /// The same for all clones of one table, and for nothing else while one of them lives.
    pub(crate) fn address(&self) -> usize {
        Arc::as_ptr(&self.0).addr()
    }
}

impl PartialEq for LookupTable {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0) || self.0.keys == other.0.keys
    }
}

impl Eq for LookupTable {}

impl Hash for LookupTable {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.0.keys.hash(state);
    }
}

/// How a pair of integers is packed in one key, and when that is sound.
///
/// A key is `a + stride · b`. A looked-up `a' + stride · b'` equals an entry's `a + stride · b`
/// when `a' − a = stride · (b − b')`. If other constraints prove that `a'` and `b'` are *integers*
/// (not just field elements) far below the field order and that `|a' − a| < stride` for every
/// entry, then `b = b'`, so `a = a'`: the pair is that entry. The stride therefore has to be at
/// least the number of values that the first component can take, table and looked-up value
/// together.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Packing {
    /// Factor of the second component.
    pub stride: i64,
}

impl Packing {
    /// The packing for first components in `lo ..= hi` (both of the entries and of whatever is
    /// looked up).
    pub const fn of(lo: i64, hi: i64) -> Self {
        Self {
            stride: hi - lo + 1,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_of_index_finds_exactly_the_keys() {
        let tables = [
            (-5..90).collect::<Vec<i64>>(),
            (0..300).map(|i| i * 7 - 100).collect(),
            (0..300).map(|i| i * i * 1_000_003 - (1 << 40)).collect(),
            vec![3],
            vec![i64::MAX >> 1, -(i64::MAX >> 1)],
        ];
        for keys in tables {
            let mut shuffled = keys.clone();
            shuffled.reverse();
            shuffled.extend(&keys);
            let table = LookupTable::new(shuffled).unwrap();
            assert_eq!(table, LookupTable::new(keys.clone()).unwrap());
            let mut sorted = keys.clone();
            sorted.sort_unstable();
            assert_eq!(table.keys(), sorted);
            for &key in &keys {
                for probe in [key - 1, key, key + 1] {
                    let expected = sorted.binary_search(&probe).ok();
                    assert_eq!(table.place(probe).map(|p| p as usize), expected);
                }
            }
            assert_eq!(table.place(i64::MIN), None);
            assert_eq!(table.place(i64::MAX), None);
        }
    }

    #[test]
    fn what_is_no_table_is_refused() {
        assert!(LookupTable::new(Vec::new()).is_err());
        assert!(LookupTable::new(vec![1 << 62]).is_err());
        assert!(LookupTable::new(vec![i64::MIN]).is_err());
        assert!(LookupTable::range(21).is_err());
        assert!(LookupTable::range(64).is_err());
        assert_eq!(LookupTable::range(20).unwrap().len(), MAX_KEYS);
        assert!(LookupTable::pairs([(0, 1 << 61)], 16).is_err());
        let pairs = LookupTable::pairs([(-3, 0), (2, 1)], Packing::of(-3, 2).stride).unwrap();
        assert_eq!(pairs.keys(), [-3, 8]);
    }
}

//! Roots and proofs of RFC 6962 trees: made from the hashes of complete subtrees, and verified.

use crate::error::TlogError;
use crate::hash::{EMPTY_ROOT, Hash, node_hash};

/// Most hashes that a proof about a tree of at most 2^64 entries has.
pub const MAX_PROOF: usize = 64;

/// Where the hashes of complete subtrees come from.
pub trait Nodes {
    /// The hash over entries `[index · 2^level, (index + 1) · 2^level)`, all of which are in the tree.
    ///
    /// # Errors
    /// [`TlogError`] where the hash cannot be had, or is not covered by what is trusted.
    fn node(&self, level: u8, index: u64) -> Result<Hash, TlogError>;
}

/// The largest power of two below `n`, for `n` of at least 2.
fn split(n: u64) -> u64 {
    let below = n.saturating_sub(1).max(1);
    1_u64
        .checked_shl(63_u32.saturating_sub(below.leading_zeros()))
        .unwrap_or(1)
}

/// The hash over entries `[lo, hi)`, where `lo` is a multiple of the range's largest power of two,
/// as the ranges of every tree and proof are.
fn range(lo: u64, hi: u64, nodes: &impl Nodes) -> Result<Hash, TlogError> {
    let mut peaks = Vec::new();
    let mut at = lo;
    while at < hi {
        let left = hi.saturating_sub(at);
        let level = 63_u32.saturating_sub(left.leading_zeros());
        let index = at.checked_shr(level).unwrap_or(0);
        let level = u8::try_from(level).unwrap_or(u8::MAX);
        peaks.push(nodes.node(level, index)?);
        at = at.saturating_add(1_u64.checked_shl(u32::from(level)).unwrap_or(left));
    }
    Ok(fold(&peaks))
}

/// The root over complete subtrees of falling size.
pub(crate) fn fold(peaks: &[Hash]) -> Hash {
    peaks
        .iter()
        .rev()
        .copied()
        .reduce(|right, left| node_hash(&left, &right))
        .unwrap_or(EMPTY_ROOT)
}

/// The root of the tree of the first `size` entries.
///
/// # Errors
/// What `nodes` says.
pub fn root(size: u64, nodes: &impl Nodes) -> Result<Hash, TlogError> {
    range(0, size, nodes)
}

/// The audit path of an entry, from its sibling up to the root's child (RFC 6962, 2.1.1).
///
/// # Errors
/// [`TlogError::Range`], and what `nodes` says.
pub fn prove_inclusion(index: u64, size: u64, nodes: &impl Nodes) -> Result<Vec<Hash>, TlogError> {
    if index >= size {
        return Err(TlogError::Range { index, size });
    }
    let (mut lo, mut hi) = (0, size);
    let mut proof = Vec::new();
    while hi.saturating_sub(lo) > 1 {
        let middle = lo.saturating_add(split(hi.saturating_sub(lo)));
        if index < middle {
            proof.push(range(middle, hi, nodes)?);
            hi = middle;
        } else {
            proof.push(range(lo, middle, nodes)?);
            lo = middle;
        }
    }
    proof.reverse();
    Ok(proof)
}

/// The proof that the tree of `new` entries starts with the tree of `old` entries (RFC 6962, 2.1.2).
/// Empty for `old` 0 and for `old` equal to `new`.
///
/// # Errors
/// [`TlogError::Range`] for `old` above `new`, and what `nodes` says.
pub fn prove_consistency(old: u64, new: u64, nodes: &impl Nodes) -> Result<Vec<Hash>, TlogError> {
    if old > new {
        return Err(TlogError::Range {
            index: old,
            size: new,
        });
    }
    if old == 0 {
        return Ok(Vec::new());
    }
    let (mut lo, mut hi) = (0_u64, new);
    let mut proof = Vec::new();
    while old != hi {
        let middle = lo.saturating_add(split(hi.saturating_sub(lo)));
        if old <= middle {
            proof.push(range(middle, hi, nodes)?);
            hi = middle;
        } else {
            proof.push(range(lo, middle, nodes)?);
            lo = middle;
        }
    }
    // A verifier knows the old tree's own root, and no other common subtree.
    if lo != 0 {
        proof.push(range(lo, hi, nodes)?);
    }
    proof.reverse();
    Ok(proof)
}

/// A place in the tree on the way up: the entry's (or subtree's) index and the last index, by level.
struct Climb {
    index: u64,
    last: u64,
}

impl Climb {
    fn up(&mut self) {
        self.index = self.index.checked_shr(1).unwrap_or(0);
        self.last = self.last.checked_shr(1).unwrap_or(0);
    }

    /// Whether the next hash of a proof stands to the left; skips the levels on which the node has
    /// no sibling.
    fn left(&mut self) -> bool {
        let odd = self.index & 1 == 1;
        if !odd && self.index != self.last {
            return false;
        }
        while self.index & 1 == 0 && self.index != 0 {
            self.up();
        }
        true
    }
}

/// Verifies an audit path (RFC 9162, 2.1.3.2).
///
/// # Errors
/// [`TlogError::Range`] for an index outside the tree, [`TlogError::Inclusion`] otherwise.
pub fn verify_inclusion(
    leaf: &Hash,
    index: u64,
    size: u64,
    proof: &[Hash],
    root: &Hash,
) -> Result<(), TlogError> {
    if index >= size {
        return Err(TlogError::Range { index, size });
    }
    let mut climb = Climb {
        index,
        last: size.saturating_sub(1),
    };
    let mut hash = *leaf;
    for sibling in proof {
        if climb.last == 0 {
            return Err(TlogError::Inclusion);
        }
        hash = if climb.left() {
            node_hash(sibling, &hash)
        } else {
            node_hash(&hash, sibling)
        };
        climb.up();
    }
    if climb.last == 0 && hash == *root {
        Ok(())
    } else {
        Err(TlogError::Inclusion)
    }
}

/// Verifies that the tree of size `new` starts with that of size `old` (RFC 9162, 2.1.4.2). With
/// `old` 0 the old root must be that of no entries and the proof empty, with equal sizes the roots
/// must be equal and the proof empty.
///
/// # Errors
/// [`TlogError::Inconsistent`], [`TlogError::Range`] for `old` above `new`.
pub fn verify_consistency(
    old: u64,
    old_root: &Hash,
    new: u64,
    new_root: &Hash,
    proof: &[Hash],
) -> Result<(), TlogError> {
    if old > new {
        return Err(TlogError::Range {
            index: old,
            size: new,
        });
    }
    let verdict = |good: bool| {
        if good {
            Ok(())
        } else {
            Err(TlogError::Inconsistent { old, new })
        }
    };
    if new == 0 || old == new {
        let empty = new != 0 || *new_root == EMPTY_ROOT;
        return verdict(proof.is_empty() && old_root == new_root && empty);
    }
    if old == 0 {
        return verdict(proof.is_empty() && *old_root == EMPTY_ROOT);
    }
    let mut rest = proof.iter();
    let mut climb = Climb {
        index: old.saturating_sub(1),
        last: new.saturating_sub(1),
    };
    while climb.index & 1 == 1 {
        climb.up();
    }
    // A complete old tree is the first common subtree itself, and not repeated in the proof.
    let first = if old.is_power_of_two() {
        Some(old_root)
    } else {
        rest.next()
    };
    let Some(first) = first else {
        return verdict(false);
    };
    let (mut before, mut after) = (*first, *first);
    for sibling in rest {
        if climb.last == 0 {
            return verdict(false);
        }
        if climb.left() {
            before = node_hash(sibling, &before);
            after = node_hash(sibling, &after);
        } else {
            after = node_hash(&after, sibling);
        }
        climb.up();
    }
    verdict(climb.last == 0 && before == *old_root && after == *new_root)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::hash::leaf_hash;

    /// RFC 6962's recursive definition, to hold the rest against.
    fn mth(leaves: &[Hash]) -> Hash {
        match leaves {
            [] => EMPTY_ROOT,
            [one] => *one,
            _ => {
                let mut k = 1;
                while k * 2 < leaves.len() {
                    k *= 2;
                }
                node_hash(&mth(&leaves[..k]), &mth(&leaves[k..]))
            }
        }
    }

    struct Leaves(Vec<Hash>);

    impl Nodes for Leaves {
        fn node(&self, level: u8, index: u64) -> Result<Hash, TlogError> {
            let width = 1_usize << level;
            let start = usize::try_from(index).unwrap() * width;
            Ok(mth(&self.0[start..start + width]))
        }
    }

    fn place(n: u64) -> usize {
        usize::try_from(n).unwrap()
    }

    fn leaves(n: u64) -> Leaves {
        Leaves((0..n).map(|i| leaf_hash(&i.to_be_bytes())).collect())
    }

    fn altered(proof: &[Hash]) -> Vec<Vec<Hash>> {
        let mut all = Vec::new();
        for i in 0..proof.len() {
            let mut other = proof.to_vec();
            let mut bytes = *other[i].as_bytes();
            bytes[31] ^= 1;
            other[i] = Hash::from_bytes(bytes);
            all.push(other);
            let mut shorter = proof.to_vec();
            shorter.remove(i);
            all.push(shorter);
        }
        let mut longer = proof.to_vec();
        longer.push(EMPTY_ROOT);
        all.push(longer);
        let mut longer = proof.to_vec();
        longer.insert(0, EMPTY_ROOT);
        all.push(longer);
        all
    }

    #[test]
    fn roots_are_those_of_the_definition() {
        let all = leaves(130);
        for n in 0..=130_u64 {
            assert_eq!(root(n, &all).unwrap(), mth(&all.0[..place(n)]), "{n}");
        }
    }

    #[test]
    fn inclusion_of_every_entry_and_nothing_else() {
        let all = leaves(40);
        for size in 1..=40_u64 {
            let top = root(size, &all).unwrap();
            for index in 0..size {
                let proof = prove_inclusion(index, size, &all).unwrap();
                let leaf = &all.0[place(index)];
                verify_inclusion(leaf, index, size, &proof, &top).unwrap();
                for bad in altered(&proof) {
                    assert!(verify_inclusion(leaf, index, size, &bad, &top).is_err());
                }
                for other in 0..size {
                    let accepted = verify_inclusion(leaf, other, size, &proof, &top).is_ok();
                    assert_eq!(accepted, other == index, "{index} as {other} of {size}");
                }
                assert!(verify_inclusion(leaf, size, size, &proof, &top).is_err());
                assert!(verify_inclusion(&EMPTY_ROOT, index, size, &proof, &top).is_err());
            }
            assert!(prove_inclusion(size, size, &all).is_err());
        }
    }

    #[test]
    fn consistency_of_every_pair_and_no_other() {
        let all = leaves(40);
        for new in 0..=40_u64 {
            let new_root = root(new, &all).unwrap();
            for old in 0..=new {
                let old_root = root(old, &all).unwrap();
                let proof = prove_consistency(old, new, &all).unwrap();
                verify_consistency(old, &old_root, new, &new_root, &proof).unwrap();
                for bad in altered(&proof) {
                    assert!(
                        verify_consistency(old, &old_root, new, &new_root, &bad).is_err(),
                        "{old} {new}"
                    );
                }
                let other = leaf_hash(b"another history");
                assert!(verify_consistency(old, &other, new, &new_root, &proof).is_err());
                if old != 0 {
                    assert!(verify_consistency(old, &old_root, new, &other, &proof).is_err());
                }
            }
            assert!(prove_consistency(new + 1, new, &all).is_err());
            assert!(verify_consistency(new + 1, &new_root, new, &new_root, &[]).is_err());
        }
    }

    #[test]
    fn proofs_at_the_end_of_the_numbers_end() {
        // A tree of 2^64 - 1 entries whose subtrees all hash alike: only the shapes matter.
        struct Alike;
        impl Nodes for Alike {
            fn node(&self, _: u8, _: u64) -> Result<Hash, TlogError> {
                Ok(EMPTY_ROOT)
            }
        }
        let size = u64::MAX;
        for index in [0, 1, size / 2, size - 1] {
            let proof = prove_inclusion(index, size, &Alike).unwrap();
            assert!(proof.len() <= MAX_PROOF);
        }
        for old in [1, size / 2 + 1, size - 1] {
            let proof = prove_consistency(old, size, &Alike).unwrap();
            assert!(proof.len() <= MAX_PROOF, "{}", proof.len());
        }
        let hashes = vec![EMPTY_ROOT; 1000];
        assert!(verify_inclusion(&EMPTY_ROOT, size - 1, size, &hashes, &EMPTY_ROOT).is_err());
        assert!(verify_consistency(size - 1, &EMPTY_ROOT, size, &EMPTY_ROOT, &hashes).is_err());
    }
}

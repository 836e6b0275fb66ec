//! Which bases are the identity.

/// One bit a base.
pub(crate) struct Identities(Vec<u64>);

impl Identities {
    pub(crate) fn new(identities: impl ExactSizeIterator<Item = bool>) -> Self {
        let mut words = vec![0; identities.len().div_ceil(64)];
        for (index, identity) in identities.enumerate() {
            words[index / 64] |= u64::from(identity) << (index % 64);
        }
        Self(words)
    }

    pub(crate) fn from_words(words: Vec<u64>) -> Self {
        Self(words)
    }

    /// Bit `i % 64` of word `i / 64` is base `i`.
    pub(crate) fn words(&self) -> &[u64] {
        &self.0
    }

    #[inline]
    pub(crate) fn contains(&self, index: usize) -> bool {
        self.0[index / 64] >> (index % 64) & 1 == 1
    }
}

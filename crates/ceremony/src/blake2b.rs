//! BLAKE2b-512 (RFC 7693, no key) that can be interrupted: snarkjs's files hold hashers in the middle
//! of their work.

use std::fmt;

const INITIAL: [u64; 8] = [
    0x6a09_e667_f3bc_c908,
    0xbb67_ae85_84ca_a73b,
    0x3c6e_f372_fe94_f82b,
    0xa54f_f53a_5f1d_36f1,
    0x510e_527f_ade6_82d1,
    0x9b05_688c_2b3e_6c1f,
    0x1f83_d9ab_fb41_bd6b,
    0x5be0_cd19_137e_2179,
];

const SIGMA: [[usize; 16]; 10] = [
    [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15],
    [14, 10, 4, 8, 9, 15, 13, 6, 1, 12, 0, 2, 11, 7, 5, 3],
    [11, 8, 12, 0, 5, 2, 15, 13, 10, 14, 3, 6, 7, 1, 9, 4],
    [7, 9, 3, 1, 13, 12, 11, 14, 2, 6, 5, 10, 4, 0, 15, 8],
    [9, 0, 5, 7, 2, 4, 10, 15, 14, 1, 11, 12, 6, 8, 3, 13],
    [2, 12, 6, 10, 0, 11, 8, 3, 4, 13, 7, 5, 15, 14, 1, 9],
    [12, 5, 1, 15, 14, 13, 4, 10, 0, 7, 6, 3, 9, 2, 8, 11],
    [13, 11, 7, 14, 12, 1, 3, 9, 5, 0, 15, 4, 8, 6, 2, 10],
    [6, 15, 14, 9, 11, 3, 0, 8, 12, 2, 13, 7, 1, 4, 10, 5],
    [10, 2, 8, 4, 7, 6, 1, 5, 15, 11, 9, 14, 3, 12, 13, 0],
];

const BLOCK: usize = 128;

/// Bytes of an interrupted hasher in a file: the block that waits, the chaining value, the bytes
/// compressed so far, the bytes that wait, and eight bytes of zeros.
pub const PARTIAL: usize = 216;

/// BLAKE2b with digests of 64 bytes.
#[derive(Clone)]
pub struct Blake2b {
    state: [u64; 8],
    /// Bytes compressed.
    compressed: u128,
    /// A block waits until it is known not to be the last.
    block: [u8; BLOCK],
    waiting: usize,
}

impl Default for Blake2b {
    fn default() -> Self {
        let mut state = INITIAL;
        // Parameter block: digests of 64 bytes, no key, fan-out and depth 1.
        state[0] ^= 0x0101_0040;
        Self {
            state,
            compressed: 0,
            block: [0; BLOCK],
            waiting: 0,
        }
    }
}

impl fmt::Debug for Blake2b {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Blake2b").finish_non_exhaustive()
    }
}

impl Blake2b {
    /// The digest of some bytes.
    pub fn digest(bytes: &[u8]) -> [u8; 64] {
        let mut hasher = Self::default();
        hasher.update(bytes);
        hasher.finish()
    }

    /// Takes in bytes.
    pub fn update(&mut self, mut bytes: &[u8]) {
        while !bytes.is_empty() {
            if self.waiting == BLOCK {
                self.compressed += BLOCK as u128;
                self.compress(false);
                self.waiting = 0;
            }
            let (taken, rest) = bytes.split_at(bytes.len().min(BLOCK - self.waiting));
            self.block[self.waiting..self.waiting + taken.len()].copy_from_slice(taken);
            self.waiting += taken.len();
            bytes = rest;
        }
    }

    /// The digest.
    pub fn finish(mut self) -> [u8; 64] {
        self.block[self.waiting..].fill(0);
        self.compressed += self.waiting as u128;
        self.compress(true);
        let mut digest = [0; 64];
        for (bytes, word) in digest.as_chunks_mut::<8>().0.iter_mut().zip(self.state) {
            *bytes = word.to_le_bytes();
        }
        digest
    }

    /// The hasher as snarkjs writes it.
    pub fn to_partial(&self) -> [u8; PARTIAL] {
        let mut partial = [0; PARTIAL];
        let (block, words) = partial.split_at_mut(BLOCK);
        block[..self.waiting].copy_from_slice(&self.block[..self.waiting]);
        let (words, _) = words.as_chunks_mut::<8>();
        // No file has 2^64 bytes.
        let compressed = u64::try_from(self.compressed).unwrap_or(u64::MAX);
        let values = self
            .state
            .into_iter()
            .chain([compressed, self.waiting as u64]);
        for (bytes, word) in words.iter_mut().zip(values) {
            *bytes = word.to_le_bytes();
        }
        partial
    }

    /// Goes on where another hasher stopped. `None` when more bytes wait than a block has.
    pub fn from_partial(partial: &[u8; PARTIAL]) -> Option<Self> {
        let (block, words) = partial.split_at(BLOCK);
        let (words, _) = words.as_chunks::<8>();
        let word = |index: usize| {
            words
                .get(index)
                .map_or(0, |bytes| u64::from_le_bytes(*bytes))
        };
        let waiting = usize::try_from(word(9)).ok().filter(|w| *w <= BLOCK)?;
        let mut hasher = Self {
            state: std::array::from_fn(word),
            compressed: u128::from(word(8)),
            waiting,
            ..Self::default()
        };
        hasher.block[..waiting].copy_from_slice(&block[..waiting]);
        Some(hasher)
    }

    fn compress(&mut self, last: bool) {
        let mut message = [0_u64; 16];
        for (word, bytes) in message.iter_mut().zip(self.block.as_chunks::<8>().0) {
            *word = u64::from_le_bytes(*bytes);
        }
        let mut v = [0_u64; 16];
        v[..8].copy_from_slice(&self.state);
        v[8..].copy_from_slice(&INITIAL);
        let [low, high] = [self.compressed, self.compressed >> 64];
        v[12] ^= truncated(low);
        v[13] ^= truncated(high);
        if last {
            v[14] = !v[14];
        }
        for round in 0..12 {
            let s = &SIGMA[round % 10];
            mix(&mut v, [0, 4, 8, 12], message[s[0]], message[s[1]]);
            mix(&mut v, [1, 5, 9, 13], message[s[2]], message[s[3]]);
            mix(&mut v, [2, 6, 10, 14], message[s[4]], message[s[5]]);
            mix(&mut v, [3, 7, 11, 15], message[s[6]], message[s[7]]);
            mix(&mut v, [0, 5, 10, 15], message[s[8]], message[s[9]]);
            mix(&mut v, [1, 6, 11, 12], message[s[10]], message[s[11]]);
            mix(&mut v, [2, 7, 8, 13], message[s[12]], message[s[13]]);
            mix(&mut v, [3, 4, 9, 14], message[s[14]], message[s[15]]);
        }
        for (index, word) in self.state.iter_mut().enumerate() {
            *word ^= v[index] ^ v[index + 8];
        }
    }
}

#[expect(clippy::cast_possible_truncation, reason = "the low word is meant")]
const fn truncated(value: u128) -> u64 {
    value as u64
}

#[inline]
fn mix(v: &mut [u64; 16], [a, b, c, d]: [usize; 4], x: u64, y: u64) {
    v[a] = v[a].wrapping_add(v[b]).wrapping_add(x);
    v[d] = (v[d] ^ v[a]).rotate_right(32);
    v[c] = v[c].wrapping_add(v[d]);
    v[b] = (v[b] ^ v[c]).rotate_right(24);
    v[a] = v[a].wrapping_add(v[b]).wrapping_add(y);
    v[d] = (v[d] ^ v[a]).rotate_right(16);
    v[c] = v[c].wrapping_add(v[d]);
    v[b] = (v[b] ^ v[c]).rotate_right(63);
}

#[cfg(test)]
mod tests {
    use super::*;
    use blake2::{Blake2b512, Digest as _};

    fn bytes(count: usize) -> Vec<u8> {
        (0..count)
            .map(|i| ((i * 7 + i / 251) % 256).try_into().unwrap())
            .collect()
    }

    #[test]
    fn equals_another_implementation_at_all_lengths_and_cuts() {
        for length in (0..400).chain([1024, 100_000]) {
            let data = bytes(length);
            let expected: [u8; 64] = Blake2b512::digest(&data).into();
            assert_eq!(Blake2b::digest(&data), expected, "{length}");
            for cut in [0, 1, 127, 128, 129, 256, length] {
                let (first, second) = data.split_at(cut.min(length));
                let mut hasher = Blake2b::default();
                hasher.update(first);
                let mut again = Blake2b::from_partial(&hasher.to_partial()).unwrap();
                again.update(second);
                assert_eq!(again.finish(), expected, "{length} cut at {cut}");
            }
        }
    }

    #[test]
    fn impossible_states_are_refused() {
        let mut partial = Blake2b::default().to_partial();
        partial[200] = 129;
        assert!(Blake2b::from_partial(&partial).is_none());
        partial[200] = 0;
        partial[206] = 1;
        assert!(Blake2b::from_partial(&partial).is_none());
    }
}

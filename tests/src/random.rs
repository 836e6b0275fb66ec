//! A small deterministic generator (splitmix64), so that a seed names a case on every machine and
//! with every version of every dependency.

/// The generator.
#[derive(Debug, Clone)]
pub struct Random(u64);

impl Random {
    /// From a seed.
    pub const fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// 64 random bits.
    pub fn bits(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }

    /// In `lo ..= hi`.
    pub fn between(&mut self, lo: i64, hi: i64) -> i64 {
        let span = (hi - lo) as u64 + 1;
        lo + (self.bits() % span) as i64
    }

    /// A size in `lo ..= hi`.
    pub fn size(&mut self, lo: usize, hi: usize) -> usize {
        self.between(lo as i64, hi as i64) as usize
    }

    /// True once in `n`.
    pub fn one_in(&mut self, n: u64) -> bool {
        self.bits().is_multiple_of(n)
    }

    /// One of some.
    pub fn pick<'a, T>(&mut self, of: &'a [T]) -> &'a T {
        &of[self.size(0, of.len() - 1)]
    }

    /// A positive float32 with a random mantissa and an exponent in `lo ..= hi`.
    pub fn float(&mut self, lo: i64, hi: i64) -> f32 {
        let exponent = (self.between(lo, hi) + 127) as u32;
        f32::from_bits((exponent << 23) | (self.bits() as u32 & 0x7F_FFFF))
    }
}

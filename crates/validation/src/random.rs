//! A small deterministic generator (splitmix64): a report's inputs can be made again from its
//! seed, on every machine and with every version of every dependency.

/// The generator.
#[derive(Debug, Clone)]
pub(crate) struct Random(u64);

impl Random {
    /// One stream for each purpose of one seed.
    pub(crate) fn new(seed: u32, stream: u64) -> Self {
        let mut mixer = Self((u64::from(seed) << 32) ^ stream);
        Self(mixer.bits())
    }

    /// 64 bits.
    pub(crate) const fn bits(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }

    /// In `lo ..= hi` (`lo` when there is nothing between).
    pub(crate) fn between(&mut self, lo: i32, hi: i32) -> i32 {
        let span = u64::try_from(i64::from(hi) - i64::from(lo) + 1).unwrap_or(1);
        let offset = i64::try_from(self.bits() % span.max(1)).unwrap_or_default();
        i32::try_from(i64::from(lo) + offset).unwrap_or(lo)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn streams_of_one_seed_differ_and_repeat() {
        let first: Vec<u64> = (0..4).map(|stream| Random::new(7, stream).bits()).collect();
        let again: Vec<u64> = (0..4).map(|stream| Random::new(7, stream).bits()).collect();
        assert_eq!(first, again);
        let mut unique = first;
        unique.sort_unstable();
        unique.dedup();
        assert_eq!(unique.len(), 4);
    }

    #[test]
    fn values_stay_in_their_range_and_reach_its_ends() {
        let mut random = Random::new(1, 1);
        let drawn: Vec<i32> = (0..200).map(|_| random.between(-2, 1)).collect();
        assert!(drawn.iter().all(|v| (-2..=1).contains(v)));
        assert!(drawn.contains(&-2) && drawn.contains(&1));
        assert_eq!(random.between(5, 5), 5);
        let whole = random.between(i32::MIN, i32::MAX);
        assert_ne!(whole, random.between(i32::MIN, i32::MAX));
    }
}

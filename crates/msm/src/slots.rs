//! Buckets that get very many points (those of bits and bytes) have several slots that take turns,
//! so that a batch of additions, which holds a slot once, is never starved.

use zeroize::Zeroize;

use crate::accumulator::{Accumulator, SMALL_BATCH};
use crate::curve::Curve;

/// Slots that are shared out in proportion to the points.
const SHARED: u64 = 2 * SMALL_BATCH as u64;
/// A slot must get so many points, that merging the slots stays a small part of the work.
const WORTH_A_SLOT: u64 = 16;

/// How many points the buckets get: all together, and those of small scalars alone, which come in
/// runs.
pub(crate) struct Histogram {
    all: Vec<u32>,
    small: Vec<u32>,
}

impl Histogram {
    pub(crate) fn new(buckets: usize) -> Self {
        Self {
            all: vec![0; buckets],
            small: vec![0; buckets],
        }
    }

    pub(crate) fn count(&mut self, bucket: u32, weight: u32) {
        let count = &mut self.all[bucket as usize];
        *count = count.saturating_add(weight);
    }

    pub(crate) fn count_small(&mut self, bucket: u32) {
        self.count(bucket, 1);
        self.small[bucket as usize] += 1;
    }
}

impl Drop for Histogram {
    fn drop(&mut self) {
        self.all.zeroize();
        self.small.zeroize();
    }
}

/// Which slots belong to a bucket, and whose turn it is.
pub(crate) struct Slots {
    /// First slot, number of slots, offset of the next one.
    buckets: Vec<[u32; 3]>,
    count: usize,
}

impl Slots {
    pub(crate) fn new(histogram: &Histogram) -> Self {
        let [all, small] = [&histogram.all, &histogram.small].map(|counts| {
            counts
                .iter()
                .map(|&count| u64::from(count))
                .sum::<u64>()
                .max(1)
        });
        let mut first = 0;
        let buckets = histogram
            .all
            .iter()
            .zip(&histogram.small)
            .map(|(&of_all, &of_small)| {
                let [of_all, of_small] = [of_all, of_small].map(u64::from);
                let share = (SHARED * of_all / all).max(SHARED * of_small / small);
                let slots = share
                    .min(of_all / WORTH_A_SLOT)
                    .clamp(1, SMALL_BATCH as u64) as u32;
                let bucket = [first, slots, 0];
                first += slots;
                bucket
            })
            .collect();
        Self {
            buckets,
            count: first as usize,
        }
    }

    pub(crate) fn len(&self) -> usize {
        self.count
    }

    /// The slot of the bucket whose turn it is.
    #[inline]
    pub(crate) fn next(&mut self, bucket: u32) -> u32 {
        let [first, count, turn] = &mut self.buckets[bucket as usize];
        if *count == 1 {
            return *first;
        }
        let slot = *first + *turn;
        *turn = if *turn + 1 == *count { 0 } else { *turn + 1 };
        slot
    }

    /// One point a bucket: the sum of its slots.
    pub(crate) fn merge<C: Curve>(mut self, mut sums: Accumulator<C>) -> Vec<C::Point> {
        let mut points: Vec<C::Point> = Vec::new();
        let mut additions: Vec<u32> = Vec::new();
        loop {
            for [first, count, _] in &mut self.buckets {
                let half = count.div_ceil(2);
                for offset in half..*count {
                    if let Some(point) = sums.sum(*first + offset) {
                        points.push(*point);
                        additions.push(*first + offset - half);
                    }
                }
                *count = half;
            }
            if additions.is_empty() && self.buckets.iter().all(|[_, count, _]| *count == 1) {
                break;
            }
            for (source, slot) in (0..).zip(&additions) {
                sums.add(&points, *slot, source, false);
            }
            sums.drain(&points);
            points.zeroize();
            additions.zeroize();
            points.clear();
            additions.clear();
        }
        self.buckets
            .iter()
            .map(|[first, _, _]| sums.sum(*first).copied().unwrap_or(C::IDENTITY))
            .collect()
    }
}

impl Drop for Slots {
    fn drop(&mut self) {
        self.buckets.zeroize();
    }
}

//! Sums of points, many side by side: additions wait until a batch of them shares one inversion.

use std::marker::PhantomData;

use ark_bn254::Fq;
use ark_ec::short_weierstrass::{Affine, Projective};
use ark_ec::{AffineRepr, CurveGroup};
use proofmark_lanes::{Engine, prefetch};
use zeroize::Zeroize;

use crate::addition::AddPairs;
use crate::curve::Curve;

/// Additions that share one inversion, at most.
const BATCH: usize = 2048;
/// As [`BATCH`], for fewer than [`MANY`] sums: more of them would only wait for each other.
pub(crate) const SMALL_BATCH: usize = 1024;
/// Sums that fill batches of full size.
const MANY: usize = 8192;
/// Additions that may wait for another one to the same sum.
const DEFERRED: usize = SMALL_BATCH / 2;
/// A batch of fewer additions is not worth its overhead.
const FEW: usize = 16;
/// The stamp of a sum that is still the identity.
const EMPTY: u32 = 0;
/// The stamp of a sum that no batch has named yet.
const FULL: u32 = 1;
/// The bit of a source that asks for a subtraction.
const NEGATIVE: u32 = 1 << 31;

/// Sums of points of one slice ("the points"), which each call names: it may change only where
/// nothing is waiting, after [`Accumulator::drain`].
///
/// Memory: a point and four bytes for each sum, and about 40 KiB.
pub(crate) struct Accumulator<C: Curve> {
    engine: Engine<Fq>,
    /// Additions in a full batch.
    size: usize,
    /// The sums, and one more as [`AddPairs`] wants it.
    slots: Vec<C::Point>,
    /// [`EMPTY`], or the last batch that names the slot.
    stamps: Vec<u32>,
    /// The number of the batch that is being filled.
    batch: u32,
    /// The batch, by columns.
    targets: Vec<u32>,
    sources: Vec<u32>,
    negative: [u64; BATCH / 64],
    /// Additions to sums that the batch names already.
    deferred: Vec<(u32, u32)>,
    /// The other of two buffers that take turns as `deferred`.
    spare: Vec<(u32, u32)>,
}

impl<C: Curve> Accumulator<C> {
    pub(crate) fn new(engine: Engine<Fq>, sums: usize) -> Self {
        Self {
            engine,
            size: if sums < MANY { SMALL_BATCH } else { BATCH },
            slots: vec![C::IDENTITY; sums + 1],
            stamps: vec![EMPTY; sums],
            batch: FULL + 1,
            targets: Vec::with_capacity(BATCH + 64),
            sources: Vec::with_capacity(BATCH + 64),
            negative: [0; BATCH / 64],
            deferred: Vec::with_capacity(DEFERRED),
            spare: Vec::with_capacity(DEFERRED),
        }
    }

    /// Adds `points[source]`, or subtracts it. It must not be the identity; `source < 2^31`.
    #[inline]
    pub(crate) fn add(&mut self, points: &[C::Point], slot: u32, source: u32, negative: bool) {
        let stamp = &mut self.stamps[slot as usize];
        if *stamp == self.batch {
            self.deferred
                .push((slot, source | if negative { NEGATIVE } else { 0 }));
            if self.deferred.len() == DEFERRED {
                self.flush(points);
            }
        } else if *stamp == EMPTY {
            *stamp = FULL;
            self.set(points, slot, source, negative);
        } else {
            *stamp = self.batch;
            prefetch(&points[source as usize]);
            let index = self.targets.len();
            self.negative[index / 64] |= u64::from(negative) << (index % 64);
            self.targets.push(slot);
            self.sources.push(source);
            if index + 1 == self.size {
                self.flush(points);
            }
        }
    }

    /// Finishes what waits.
    pub(crate) fn drain(&mut self, points: &[C::Point]) {
        while !(self.targets.is_empty() && self.deferred.is_empty()) {
            self.flush(points);
        }
    }

    /// The sum, drained before; `None` for the identity.
    pub(crate) fn sum(&self, slot: u32) -> Option<&C::Point> {
        (self.stamps[slot as usize] != EMPTY).then(|| &self.slots[slot as usize])
    }

    /// The sum as ark-ec has it.
    pub(crate) fn affine(&self, slot: u32) -> Affine<C> {
        self.sum(slot)
            .map_or_else(Affine::identity, |point| C::unpack(self.engine, point))
    }

    fn set(&mut self, points: &[C::Point], slot: u32, source: u32, negative: bool) {
        let point = &points[source as usize];
        self.slots[slot as usize] = if negative {
            C::pack(self.engine, &-C::unpack(self.engine, point))
        } else {
            *point
        };
    }

    fn flush(&mut self, points: &[C::Point]) {
        if self.targets.len() < FEW {
            // Few sums with much to add: what waits belongs to them.
            self.take_deferred_exactly(points);
        } else if !self.add_batch(points) {
            self.take_equal_exactly(points);
            // With the equal ones gone nothing stands in the way, unless a point is none of the
            // curve; then the numbers are wrong anyway, and the batch is dropped.
            self.add_batch(points);
        }
        self.clear_batch();
        self.batch += 1;
        let mut deferred = std::mem::replace(&mut self.deferred, std::mem::take(&mut self.spare));
        // At most DEFERRED of them, one at least enters the batch: neither list overflows.
        for &(slot, source) in &deferred {
            self.add(points, slot, source & !NEGATIVE, source & NEGATIVE != 0);
        }
        deferred.clear();
        self.spare = deferred;
    }

    /// False when x coordinates are equal somewhere: nothing was added then.
    fn add_batch(&mut self, points: &[C::Point]) -> bool {
        let count = self.targets.len();
        if count == 0 {
            return true;
        }
        // Whole vectors of any width.
        let nowhere = (self.slots.len() - 1) as u32;
        let source = self.sources[0];
        let padded = count.next_multiple_of(64);
        self.targets.resize(padded, nowhere);
        self.sources.resize(padded, source);
        let done = self.engine.run(AddPairs::<C> {
            slots: &mut self.slots,
            points,
            targets: &self.targets,
            sources: &self.sources,
            negative: &self.negative,
            count,
            curve: PhantomData,
        });
        self.targets.truncate(count);
        self.sources.truncate(count);
        done
    }

    fn clear_batch(&mut self) {
        self.targets.clear();
        self.sources.clear();
        self.negative = [0; BATCH / 64];
    }

    fn batch_entry(&self, index: usize) -> (u32, u32, bool) {
        let negative = self.negative[index / 64] >> (index % 64) & 1 == 1;
        (self.targets[index], self.sources[index], negative)
    }

    /// Takes those whose x coordinates are equal (a doubling or a cancellation) out of the batch.
    fn take_equal_exactly(&mut self, points: &[C::Point]) {
        let entries = (0..self.targets.len())
            .map(|index| self.batch_entry(index))
            .collect::<Vec<_>>();
        let (equal, rest): (Vec<_>, Vec<_>) =
            entries.into_iter().partition(|&(slot, source, _)| {
                C::same_x(&self.slots[slot as usize], &points[source as usize])
            });
        self.clear_batch();
        for (index, &(slot, source, negative)) in rest.iter().enumerate() {
            self.targets.push(slot);
            self.sources.push(source);
            self.negative[index / 64] |= u64::from(negative) << (index % 64);
        }
        self.add_exactly(points, equal);
        wipe(rest);
    }

    fn take_deferred_exactly(&mut self, points: &[C::Point]) {
        let mut entries = (0..self.targets.len())
            .map(|index| self.batch_entry(index))
            .collect::<Vec<_>>();
        entries.extend(
            self.deferred
                .drain(..)
                .map(|(slot, source)| (slot, source & !NEGATIVE, source & NEGATIVE != 0)),
        );
        entries.sort_unstable();
        self.add_exactly(points, entries);
    }

    /// Additions, in order of their slots, by ark-ec's complete formulas with one inversion at the
    /// end.
    fn add_exactly(&mut self, points: &[C::Point], additions: Vec<(u32, u32, bool)>) {
        let mut changed: Vec<u32> = Vec::new();
        let mut sums: Vec<Projective<C>> = Vec::new();
        for &(slot, source, negative) in &additions {
            if changed.last() != Some(&slot) {
                changed.push(slot);
                sums.push(self.affine(slot).into());
            }
            let point = C::unpack(self.engine, &points[source as usize]);
            if let Some(sum) = sums.last_mut() {
                if negative {
                    *sum -= point;
                } else {
                    *sum += point;
                }
            }
        }
        for (slot, sum) in changed.iter().zip(Projective::normalize_batch(&sums)) {
            self.slots[*slot as usize] = C::pack(self.engine, &sum);
            self.stamps[*slot as usize] = if sum.is_zero() { EMPTY } else { FULL };
        }
        wipe(additions);
    }
}

fn wipe(mut entries: Vec<(u32, u32, bool)>) {
    for (slot, source, negative) in &mut entries {
        slot.zeroize();
        source.zeroize();
        negative.zeroize();
    }
}

/// Which points went into which sum is what the scalars say.
impl<C: Curve> Drop for Accumulator<C> {
    fn drop(&mut self) {
        self.targets.zeroize();
        self.sources.zeroize();
        self.negative.zeroize();
        self.deferred.zeroize();
        self.spare.zeroize();
        self.stamps.zeroize();
        self.slots.zeroize();
    }
}

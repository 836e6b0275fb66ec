//! Encoding 3: a table of thresholds. `first[i] ≤ acc ≤ last[i]` proves that the output is the
//! `i`-th one; index and both bounds by lookup.

use ark_bn254::Fr;
use proofmark_tensor::Requantize;

use crate::error::LowerError;
use crate::limbs::{self, enforce_range, ranged_bits};
use crate::lookup::{Table, lookup};
use crate::lowering::Lowering;
use crate::num::Num;

/// A requantize over one interval as a table of its segments.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ThresholdTable {
    /// Columns: first accumulator, last accumulator, and the outputs unless they are consecutive.
    table: Table,
    /// First accumulators of the segments, ascending, with their outputs.
    segments: Vec<(i64, i64)>,
    hi: i64,
    /// Bits of the longest segment's length minus one.
    width: u32,
    consecutive: bool,
}

impl ThresholdTable {
    pub(super) fn new(step: &Requantize, lo: i32, hi: i32) -> Result<Self, LowerError> {
        // A segment starts at `lo` and at each threshold; where several outputs are stepped over
        // at one accumulator, the last of them holds.
        let mut segments = vec![(i64::from(lo), i64::from(step.apply(lo)))];
        for threshold in step.thresholds(lo, hi) {
            let (acc, y) = (i64::from(threshold.acc), i64::from(threshold.y));
            match segments.last_mut() {
                Some(last) if last.0 == acc => last.1 = y,
                _ => segments.push((acc, y)),
            }
        }
        let hi = i64::from(hi);
        let bits = segments.len().next_power_of_two().ilog2();
        let size = 1_usize << bits;
        let ends = segments.iter().skip(1).map(|(acc, _)| acc - 1);
        let mut last: Vec<i64> = ends.chain([hi]).collect();
        let mut first: Vec<i64> = segments.iter().map(|(acc, _)| *acc).collect();
        let mut outputs: Vec<i64> = segments.iter().map(|(_, y)| *y).collect();
        let longest = first.iter().zip(&last).map(|(f, l)| l - f).max();
        // Indices past the last segment: no accumulator of the interval reaches their first.
        first.resize(size, hi + 1);
        last.resize(size, hi);
        outputs.resize(size, outputs.last().copied().unwrap_or_default());
        let consecutive = segments
            .windows(2)
            .all(|pair| matches!(pair, [a, b] if a.1 + 1 == b.1));
        let columns = if consecutive {
            vec![first, last]
        } else {
            vec![first, last, outputs]
        };
        Ok(Self {
            table: Table::new(bits, &columns)?,
            segments,
            hi,
            width: 64 - longest.unwrap_or_default().leading_zeros(),
            consecutive,
        })
    }

    fn index(&self, acc: i64) -> usize {
        self.segments
            .partition_point(|(first, _)| *first <= acc)
            .saturating_sub(1)
    }

    /// Number of distinct outputs.
    pub fn outputs(&self) -> usize {
        self.segments.len()
    }

    /// The output for an accumulator.
    pub fn apply(&self, acc: i64) -> i64 {
        self.segments.get(self.index(acc)).map_or(0, |(_, y)| *y)
    }

    pub(super) fn critical(&self) -> Vec<i64> {
        let (lo, hi) = (self.segments.first().map_or(0, |s| s.0), self.hi);
        self.segments
            .iter()
            .flat_map(|(first, _)| [first - 1, *first, first + 1])
            .map(|a| a.clamp(lo, hi))
            .collect()
    }

    /// Constraints, for an accumulator whose combination is long (`dense`) or short.
    pub fn cost(&self, dense: bool) -> usize {
        limbs::cost(self.table.bits(), false)
            + self.table.cost()
            + 2 * limbs::cost(self.width, false)
            + usize::from(dense)
    }

    /// Emits the constraints.
    ///
    /// # Soundness
    /// The index is made of proven bits, the bounds are functions of it. `acc − first ≥ 0` and
    /// `last − acc ≥ 0` are proven, so the index is that of the one segment that holds `acc`;
    /// indices past the last segment have `first` above the interval of `acc`. The differences
    /// are proven to be below 2^width, which every honest one is.
    pub(super) fn lower(
        &self,
        cx: &mut Lowering<'_>,
        acc: &Num,
        out: (i64, i64),
    ) -> Result<Num, LowerError> {
        let acc = super::short(cx, acc)?;
        let at = i64::try_from(self.index(acc.value())).unwrap_or_default();
        // Constrained to be an index by its bits, and to be the right one by the two ranges.
        let wire = cx.hint("threshold-index", || Fr::from(at))?;
        let (index, bits) = ranged_bits(cx, "threshold-index", wire, at, self.table.bits())?;
        let columns = lookup(cx, "threshold-table", &bits, &self.table)?;
        let (Some(first), Some(last)) = (columns.first(), columns.get(1)) else {
            return Err(LowerError::Encoding {
                path: cx.path("threshold-table"),
                reason: "a threshold table has two columns at least".to_owned(),
            });
        };
        let above = Num::linear(cx, [(1, &acc), (-1, first)], 0)?;
        enforce_range(cx, "threshold-first", &above, self.width)?;
        let below = Num::linear(cx, [(1, last), (-1, &acc)], 0)?;
        enforce_range(cx, "threshold-last", &below, self.width)?;
        let output = match columns.get(2) {
            Some(output) => output.clone(),
            None => index.plus(cx, self.segments.first().map_or(0, |s| s.1))?,
        };
        debug_assert_eq!(self.consecutive, columns.len() == 2);
        Ok(output.narrowed(out.0, out.1))
    }
}

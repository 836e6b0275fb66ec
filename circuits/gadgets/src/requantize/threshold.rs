//! Encoding 3: a table of thresholds. `first[i] ≤ acc ≤ last[i]` proves that the output is the
//! `i`-th one; index and both bounds by lookup.

use proofmark_tensor::Requantize;

use crate::error::LowerError;
use crate::limbs::{self, enforce_range, fresh_bits};
use crate::logup::widths::price;
use crate::lookup::{Table, lookup};
use crate::lowering::Lowering;
use crate::num::Num;

/// A requantize over one interval as a table of its segments.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ThresholdTable {
    /// Columns: first accumulator; last accumulator unless every segment is one accumulator long;
    /// the outputs unless they are consecutive.
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
        Self::of_segments(segments, hi.into())
    }

    /// A table of up to 256 segments: first accumulators, strictly ascending, with their outputs;
    /// the last one ends at `hi`.
    pub(crate) fn of_segments(segments: Vec<(i64, i64)>, hi: i64) -> Result<Self, LowerError> {
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
        let width = 64 - longest.unwrap_or_default().leading_zeros();
        let mut columns = vec![first];
        if width > 0 {
            columns.push(last);
        }
        if !consecutive {
            columns.push(outputs);
        }
        Ok(Self {
            table: Table::new(bits, &columns)?,
            segments,
            hi,
            width,
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

    /// Smallest and largest output.
    pub(crate) fn interval(&self) -> (i64, i64) {
        let outputs = || self.segments.iter().map(|s| s.1);
        (
            outputs().min().unwrap_or_default(),
            outputs().max().unwrap_or_default(),
        )
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
            + match self.width {
                0 => 1,
                width => 2 * limbs::cost(width, false),
            }
            + usize::from(dense)
            + usize::from(self.consecutive)
    }

    /// Price with index bits in a circuit with lookups, in tenths of a dense scalar.
    pub(crate) fn price(&self) -> u64 {
        let rows = self.table.cost() + usize::from(self.consecutive);
        u64::from(self.table.bits()) * price::BIT
            + rows as u64 * price::WIRE
            + 2 * price::range(self.width)
    }

    /// Emits the constraints.
    ///
    /// # Soundness
    /// The index is made of proven bits; the bounds and the output are functions of it. `acc − first ≥ 0` and
    /// `last − acc ≥ 0` are proven, so the index is that of the one segment that holds `acc`;
    /// indices past the last segment have `first` above the interval of `acc`. The differences
    /// are proven to be below 2^width, which every honest one is; with a width of 0 the first says
    /// that `acc` is the one accumulator of its segment.
    pub(crate) fn lower(
        &self,
        cx: &mut Lowering<'_>,
        acc: &Num,
        out: (i64, i64),
    ) -> Result<Num, LowerError> {
        let acc = super::short(cx, acc)?;
        let at = i64::try_from(self.index(acc.value())).unwrap_or_default();
        // Any index, since bits are free; the right one by the two ranges.
        let bits = fresh_bits(cx, "threshold-index", at, self.table.bits())?;
        let columns = lookup(cx, "threshold-table", &bits, &self.table)?;
        let mut columns = columns.into_iter();
        let mut column = || {
            columns.next().ok_or_else(|| LowerError::Encoding {
                path: "threshold-table".to_owned(),
                reason: "the table lacks a column".to_owned(),
            })
        };
        let above = Num::linear(cx, [(1, &acc), (-1, &column()?)], 0)?;
        enforce_range(cx, "threshold-first", &above, self.width)?;
        if self.width > 0 {
            let below = Num::linear(cx, [(1, &column()?), (-1, &acc)], 0)?;
            enforce_range(cx, "threshold-last", &below, self.width)?;
        }
        let output = if let Some(output) = columns.next() {
            output
        } else {
            let terms = bits.iter().enumerate().map(|(i, bit)| (1_i64 << i, bit));
            let base = self.segments.first().map_or(0, |s| s.1);
            let sum = Num::linear(cx, terms, base)?.narrowed(out.0, out.1);
            sum.materialised(cx, "threshold-output")?
        };
        Ok(output.narrowed(out.0, out.1))
    }
}

#[cfg(test)]
mod tests {
    use ark_bn254::Fr;
    use proofmark_tensor::ElemType;

    use super::*;
    use crate::testing::Subject;

    #[test]
    fn small_tables_are_sound() {
        for (m, zero_point, elem, lo, hi) in [
            (0.3_f32, 3, ElemType::Uint8, -12, 12),
            (0.11, -128, ElemType::Int8, 0, 40),
            (60.0, 100, ElemType::Uint8, -5, 6), // steps over outputs, saturates at both ends
            (60.0, 20, ElemType::Int8, -1, 2),
            (0.01, 7, ElemType::Uint8, 0, 60), // two outputs
        ] {
            let step = Requantize::new(m, zero_point, elem).unwrap();
            let table = ThresholdTable::new(&step, lo, hi).unwrap();
            let out = (step.apply(lo).into(), step.apply(hi).into());
            let build = |cx: &mut Lowering<'_>, x: &[Num]| {
                Ok(vec![table.lower(cx, &x[0], out)?.to_signal(cx)])
            };
            let expected =
                |v: &[i64]| Some(vec![Fr::from(step.apply(i32::try_from(v[0]).unwrap()))]);
            let subject = Subject::new(
                "threshold-table",
                &[(lo.into(), hi.into())],
                &build,
                &expected,
            );
            assert_eq!(subject.constraints().unwrap(), table.cost(false), "{m}");
            let points: Vec<Vec<i64>> = (lo..=hi).map(|x| vec![x.into()]).collect();
            subject.check(&points).unwrap();
            assert_eq!(subject.check_all_solutions(&points).unwrap(), points.len());
        }
    }
}

//! Encoding 2: `base ± clamp((m·a + o) >> k, 0, 255)` and a correction at each accumulator where
//! the true step function differs from the affine one.

use super::shift;
use super::staircase::Staircase;
use crate::circuit::Backend;
use crate::equal::is_equal;
use crate::error::LowerError;
use crate::logup::widths::price;
use crate::lowering::Lowering;
use crate::num::Num;

/// Most exceptional accumulators that are worth looking at: beyond, the table is cheaper.
const MAX_EXCEPTIONS: usize = 64;
/// Largest multiplier: with `|a| ≤ 2^31` every product stays below 2^60.
const MAX_MULTIPLIER: i32 = 1 << 29;
/// Largest shift: `255 · 2^k` stays below 2^58.
const MAX_SHIFT: u32 = 50;
/// Widest affine value, one bit for the sign and the 62 of a decomposition well in sight.
const MAX_BITS: u32 = 58;
/// Largest shift with lookups: a multiplier of that many bits more than a slope of 1 has.
const MAX_LOOKED_UP_SHIFT: u32 = 30;
/// From this many corrections on, the output gets a wire of its own, so that the linear
/// combinations of the next layer stay short.
const MATERIALISE_FROM: usize = 4;

/// A correction: at this accumulator the output is `delta` more than the affine form says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Exception {
    /// The accumulator.
    pub acc: i64,
    /// What is added to the output there.
    pub delta: i64,
}

/// `base + sign · clamp((m · sign · acc + o) >> k, 0, 255) + Σ delta · [acc = exception]`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Affine {
    multiplier: i64,
    offset: i64,
    shift: u32,
    sign: i64,
    base: i64,
    exceptions: Vec<Exception>,
    /// Interval of `sign · acc`.
    lo: i64,
    hi: i64,
}

impl Affine {
    /// The cheapest affine form of a staircase, when there is one with few exceptions.
    ///
    /// For a slope `m / 2^k`, step `j` at `s_j` is reproduced exactly when the offset lies in
    /// `[j·2^k − m·s_j, j·2^k − m·s_j + m − 1]`; the offset that stabs most of these equally long
    /// intervals leaves the fewest exceptional steps.
    ///
    /// What is cheap depends on the backend: bits and corrections alike with the plain one,
    /// corrections much more than bits with the committed one.
    pub(super) fn search(stairs: &Staircase, slope: f64, backend: Backend) -> Option<Self> {
        let mut best: Option<(usize, Self)> = None;
        let span = stairs.hi - stairs.lo;
        let shifts = match backend {
            Backend::Plain => MAX_SHIFT,
            Backend::Committed => MAX_LOOKED_UP_SHIFT,
        };
        for k in 0..=shifts {
            for m in slopes(slope, k, stairs.steps.len()) {
                let bound = best.as_ref().map_or(usize::MAX, |(cost, _)| *cost);
                let bits = 64 - m.saturating_mul(span).leading_zeros();
                // A bit costs at least a constraint, in either unit.
                if bits > MAX_BITS || (backend == Backend::Plain && bits as usize >= bound) {
                    continue;
                }
                if let Some(offset) = stab(stairs, m, k)
                    && let Some(found) = Self::with(stairs, m, offset, k, (bound, backend))
                {
                    let cost = found.cost_in(backend, true);
                    if cost < bound {
                        best = Some((cost, found));
                    }
                }
            }
        }
        best.map(|(_, affine)| affine)
    }

    fn with(
        stairs: &Staircase,
        m: i64,
        offset: i64,
        k: u32,
        (bound, backend): (usize, Backend),
    ) -> Option<Self> {
        let mut affine = Self {
            multiplier: m,
            offset,
            shift: k,
            sign: stairs.sign,
            base: stairs.base,
            exceptions: Vec::new(),
            lo: stairs.lo,
            hi: stairs.hi,
        };
        if affine.cost_in(backend, true) >= bound {
            return None;
        }
        // Between the affine and the true position of each step lie the exceptional accumulators.
        let mut points: Vec<i64> = Vec::new();
        for j in 1..=255_usize {
            let truth = stairs.steps.get(j - 1).copied().unwrap_or(stairs.hi + 1);
            let here = affine.step_at(j).clamp(stairs.lo, stairs.hi + 1);
            let (from, to) = (truth.min(here), truth.max(here));
            let gap = usize::try_from(to - from).unwrap_or(usize::MAX);
            if gap > MAX_EXCEPTIONS || points.len() > 4 * MAX_EXCEPTIONS {
                return None;
            }
            points.extend(from..to);
            if truth > stairs.hi && here > stairs.hi {
                break;
            }
        }
        points.sort_unstable();
        points.dedup();
        for a in points {
            let delta = stairs.output(a) - affine.unfixed(a);
            if delta != 0 {
                affine.exceptions.push(Exception {
                    acc: stairs.sign * a,
                    delta,
                });
            }
        }
        (affine.exceptions.len() <= MAX_EXCEPTIONS).then_some(affine)
    }

    /// Smallest `a` whose affine value reaches `j`.
    fn step_at(&self, j: usize) -> i64 {
        let target = (i64::try_from(j).unwrap_or(i64::MAX) << self.shift) - self.offset;
        target.div_euclid(self.multiplier) + i64::from(target.rem_euclid(self.multiplier) != 0)
    }

    fn unfixed(&self, a: i64) -> i64 {
        let inner = (self.multiplier * a + self.offset) >> self.shift;
        self.base + self.sign * inner.clamp(0, 255)
    }

    /// The multiplier `m`.
    pub const fn multiplier(&self) -> i64 {
        self.multiplier
    }

    /// The shift `k`.
    pub const fn shift(&self) -> u32 {
        self.shift
    }

    /// The corrections.
    pub fn exceptions(&self) -> &[Exception] {
        &self.exceptions
    }

    /// The output for an accumulator.
    pub fn apply(&self, acc: i64) -> i64 {
        let fix: i64 = self
            .exceptions
            .iter()
            .filter(|e| e.acc == acc)
            .map(|e| e.delta)
            .sum();
        self.unfixed(self.sign * acc) + fix
    }

    /// Accumulators on both sides of every step of this form.
    pub(super) fn critical(&self) -> Vec<i64> {
        let steps = (1..=255).map(|j| self.step_at(j));
        let around = self.exceptions.iter().map(|e| self.sign * e.acc);
        steps
            .chain(around)
            .flat_map(|a| [a - 1, a, a + 1])
            .map(|a| self.sign * a.clamp(self.lo, self.hi))
            .collect()
    }

    /// Constraints, for an accumulator whose combination is long (`dense`) or short.
    pub fn cost(&self, dense: bool) -> usize {
        let lo = self.multiplier * self.lo + self.offset;
        let hi = self.multiplier * self.hi + self.offset;
        let output = usize::from(self.exceptions.len() >= MATERIALISE_FROM);
        shift::cost(lo, hi, self.shift, false)
            + usize::from(dense)
            + 2 * self.exceptions.len()
            + output
    }

    /// Cost in the backend's unit: constraints, or the price in tenths of a dense scalar.
    fn cost_in(&self, backend: Backend, dense: bool) -> usize {
        match backend {
            Backend::Plain => self.cost(dense),
            Backend::Committed => usize::try_from(self.price(dense)).unwrap_or(usize::MAX),
        }
    }

    /// Price with the committed backend, in tenths of a dense scalar, for an accumulator whose
    /// combination is long (`dense`) or short.
    pub(super) fn price(&self, dense: bool) -> u64 {
        // A clamp has the range of up to one limb of low bits in its price.
        let low = price::range(self.shift) - price::range(self.shift.min(8));
        let short = if dense && !self.exceptions.is_empty() {
            price::WIRE
        } else {
            0
        };
        let output = if self.exceptions.len() >= MATERIALISE_FROM {
            price::WIRE
        } else {
            0
        };
        price::CLAMP + low + short + self.exceptions.len() as u64 * price::IS_EQUAL + output
    }

    /// Emits the constraints.
    ///
    /// # Soundness
    /// That of [`shift::clamped_shift`] and of [`is_equal`]; that the sum is the requantize was
    /// checked when the encoding was made, on both sides of every step of either function.
    pub(super) fn lower(
        &self,
        cx: &mut Lowering<'_>,
        acc: &Num,
        out: (i64, i64),
    ) -> Result<Num, LowerError> {
        // With lookups, a clamp has its operand in one row only.
        let acc = if cx.backend() == Backend::Committed && self.exceptions.is_empty() {
            acc.clone()
        } else {
            super::short(cx, acc)?
        };
        let x = Num::linear(cx, [(self.sign * self.multiplier, &acc)], self.offset)?;
        let y = shift::clamped_shift(cx, &x, self.shift)?;
        let mut terms = vec![(self.sign, y)];
        for exception in &self.exceptions {
            terms.push((exception.delta, is_equal(cx, &acc, exception.acc)?));
        }
        let sum = Num::linear(cx, terms.iter().map(|(c, num)| (*c, num)), self.base)?;
        // The encoding was checked against the requantize over the whole interval.
        let sum = sum.narrowed(out.0, out.1);
        if self.exceptions.len() >= MATERIALISE_FROM {
            return sum.materialised(cx, "requantize-fixed");
        }
        Ok(sum)
    }
}

/// Multipliers to try: those next to `slope · 2^k`, and small ones where a few steps leave room.
#[expect(
    clippy::cast_possible_truncation,
    reason = "the float is a small integer here: an exact float32 times a power of two, bounded"
)]
fn slopes(slope: f64, k: u32, steps: usize) -> Vec<i64> {
    // 2^k from its bits: exact on every machine, as the circuit has to be the same on all.
    let power = f64::from_bits((1023 + u64::from(k)) << 52);
    let scaled = (slope.min(256.0) * power).round();
    let mut out = Vec::new();
    if scaled < f64::from(MAX_MULTIPLIER) {
        let near = scaled as i64;
        out.extend(near - 2..=near + 2);
    }
    if steps <= 3 {
        out.extend(1..=16);
    }
    out.retain(|m| (1..i64::from(MAX_MULTIPLIER)).contains(m));
    out.sort_unstable();
    out.dedup();
    out
}

/// The smallest offset that stabs as many steps' intervals as possible.
fn stab(stairs: &Staircase, m: i64, k: u32) -> Option<i64> {
    let mut starts: Vec<i64> = (1_i64..)
        .zip(&stairs.steps)
        .map(|(j, s)| (j << k) - m * s)
        .collect();
    starts.sort_unstable();
    let mut from = 0;
    let mut best = None;
    for (to, &last) in starts.iter().enumerate() {
        while starts.get(from).is_some_and(|&first| last - first > m - 1) {
            from += 1;
        }
        let stabbed = to + 1 - from;
        if best.is_none_or(|(most, _)| stabbed > most) {
            best = Some((stabbed, last));
        }
    }
    best.map(|(_, offset)| offset)
}

#[cfg(test)]
mod tests {
    use ark_bn254::Fr;

    use super::*;
    use crate::testing::Subject;

    /// Staircases that no straight line follows.
    fn irregular() -> Vec<Staircase> {
        [
            (1, 0, 0, 31, vec![3, 7, 8, 20]),
            (1, -5, -9, 30, vec![-8, 1, 2, 2, 19, 30]),
            (-1, 127, -12, 20, vec![-11, -3, -2, 4, 17]),
            (1, 9, -3, 12, vec![0]),
            (1, 9, -3, 12, vec![5, 5]),
        ]
        .map(|(sign, base, lo, hi, steps)| Staircase {
            sign,
            base,
            lo,
            hi,
            steps,
        })
        .into()
    }

    #[test]
    fn corrections_make_any_staircase_exact_and_sound() {
        let mut corrected = 0;
        let backends = [Backend::Plain, Backend::Committed];
        for (stairs, backend) in irregular()
            .iter()
            .flat_map(|stairs| backends.map(|backend| (stairs, backend)))
        {
            let affine = Affine::search(stairs, 0.25, backend).unwrap();
            corrected += affine.exceptions().len();
            let (from, to) = (stairs.sign * stairs.lo, stairs.sign * stairs.hi);
            let (lo, hi) = (from.min(to), from.max(to));
            let out = (
                stairs.output(stairs.sign * lo),
                stairs.output(stairs.sign * hi),
            );
            let build = |cx: &mut Lowering<'_>, x: &[Num]| {
                Ok(vec![affine.lower(cx, &x[0], out)?.to_signal(cx)])
            };
            let expected = |v: &[i64]| Some(vec![Fr::from(stairs.output(stairs.sign * v[0]))]);
            let subject = Subject::new("affine", &[(lo, hi)], &build, &expected);
            assert_eq!(subject.constraints().unwrap(), affine.cost(false));
            let points: Vec<Vec<i64>> = (lo..=hi).map(|x| vec![x]).collect();
            subject.check(&points).unwrap();
            assert_eq!(subject.check_all_solutions(&points).unwrap(), points.len());
        }
        assert!(corrected > 6, "only {corrected} corrections were exercised");
    }
}

//! The cheapest `base ± min(clamp((m·x + n·y + o) >> k, 0, 255), top)` that has given values at
//! given points, but for a few of them. For one coordinate or two; nothing here knows where they
//! come from.
//!
//! For weights `(m, n)`, step `j` of the values is reproduced where the offset lies between
//! `j·2^k − min (m·x + n·y)` over the points that reach `j` and `j·2^k − 1 − max (m·x + n·y)` over
//! those that do not. Both ends are attained on convex hulls, so few points decide. The room
//! between them, as a function of real weights, is concave; its maximum is found by two nested
//! searches, and integer weights are looked for around it, from the smallest shift on.

use crate::error::LowerError;
use crate::logup::widths::price;
use crate::lowering::Lowering;
use crate::num::Num;
use crate::requantize::{clamped_shift, shift_cost};

/// Points with one second coordinate: first coordinates (ascending from 0) and values.
pub(crate) type Column = Vec<(i64, i64)>;

/// Most corrections that are worth looking at.
const MOST_WRONG: usize = 64;
/// Largest shift that is tried.
const MAX_SHIFT: u32 = 24;
/// Iterations of a golden-section search: from an interval of 256 down to below `2^-26`.
const ITERATIONS: usize = 50;
/// Largest real weight that is looked at: a step of 255 between neighbours on any line.
const STEEPEST: f64 = 16_777_216.0;
/// Largest weighted coordinate.
const LARGEST: i64 = 1 << 50;
/// How far from the best real weight integer ones are tried.
const NEAR: i64 = 2;

/// `base + sign · min(clamp((u + offset) >> shift, 0, 255), top)` of a weighted sum `u`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Steps {
    pub(crate) offset: i64,
    pub(crate) shift: u32,
    pub(crate) sign: i64,
    pub(crate) base: i64,
    /// `None` where the 255 of the clamp is the top.
    pub(crate) top: Option<i64>,
}

impl Steps {
    /// The value for a weighted sum.
    pub(crate) fn apply(&self, u: i64) -> i64 {
        let inner = ((u + self.offset) >> self.shift).clamp(0, 255);
        self.base + self.sign * self.top.map_or(inner, |top| inner.min(top))
    }

    /// Constraints for a sum in `lo ..= hi` of at most 40 terms.
    pub(crate) fn cost(&self, lo: i64, hi: i64) -> usize {
        let (lo, hi) = (lo + self.offset, hi + self.offset);
        let clamp = |v: i64| (v >> self.shift).clamp(0, 255);
        let top = self.top.map_or(0, |top| {
            shift_cost(top - clamp(hi), top - clamp(lo), 0, false)
        });
        shift_cost(lo, hi, self.shift, false) + top
    }

    /// Price in a circuit with lookups, in tenths of a dense scalar.
    pub(crate) fn price(&self) -> u64 {
        match self.top {
            None => price::CLAMP,
            Some(_) => 2 * price::CLAMP,
        }
    }

    /// Emits the constraints.
    ///
    /// # Soundness
    /// That of [`clamped_shift`]: the result is a function of `u`. The smaller of `v` and `top` is
    /// `top − max(top − v, 0)`.
    pub(crate) fn lower(&self, cx: &mut Lowering<'_>, u: &Num) -> Result<Num, LowerError> {
        let mut value = clamped_shift(cx, &u.plus(cx, self.offset)?, self.shift)?;
        if let Some(top) = self.top {
            let missing = Num::linear(cx, [(-1, &value)], top)?;
            let missing = clamped_shift(cx, &missing, 0)?;
            value = Num::linear(cx, [(-1, &missing)], top)?;
        }
        Num::linear(cx, [(self.sign, &value)], self.base)
    }
}

/// What a search found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Fit {
    /// Factors of the first coordinate and of the column's number, of any sign.
    pub(crate) weights: (i64, i64),
    pub(crate) steps: Steps,
    /// Constraints, corrections (two each) included.
    pub(crate) cost: usize,
}

/// The cheapest form of fewer than `bound` constraints, when there is one.
///
/// Columns are numbered from 0; all have the same first coordinates, or there is one.
pub(crate) fn fit(columns: &[Column], bound: usize) -> Option<Fit> {
    let values = || columns.iter().flatten().map(|&(_, value)| value);
    let (least, most) = (values().min()?, values().max()?);
    if !(1..=255).contains(&(most - least)) {
        return None;
    }
    let mut best: Option<Fit> = None;
    // Without a clamp of its own above, and with one where that did not do.
    for top in [None, Some(most - least)] {
        if top.is_some() && (best.is_some() || most - least == 255) {
            break;
        }
        for sign in [1, -1] {
            let bound = best.as_ref().map_or(bound, |fit| fit.cost);
            let target = Target::new(columns, sign, if sign > 0 { least } else { most }, top);
            best = target.search(bound).or(best);
        }
    }
    best
}

/// A target turned so that it starts at 0 and rises with both coordinates.
struct Target {
    columns: Vec<Column>,
    /// Largest coordinates.
    reach: (i64, i64),
    mirrored: (bool, bool),
    sign: i64,
    base: i64,
    top: Option<i64>,
    risers: Vec<Riser>,
}

/// The points that decide about one step.
struct Riser {
    height: i64,
    /// Hull of the points that reach it, towards small sums.
    reaching: Vec<(i64, i64)>,
    /// Hull of the points that do not, towards large sums.
    below: Vec<(i64, i64)>,
}

impl Target {
    fn new(columns: &[Column], sign: i64, base: i64, top: Option<i64>) -> Self {
        let last = |column: &Column| column.last().map_or(0, |p| p.0);
        let reach = (
            columns.iter().map(last).max().unwrap_or_default(),
            i64::try_from(columns.len()).unwrap_or(i64::MAX) - 1,
        );
        // Which way the values rise, from the ends of each row and column.
        let rise = |first: Option<&Column>, last: Option<&Column>| -> i64 {
            let sum = |c: Option<&Column>| c.into_iter().flatten().map(|p| p.1).sum::<i64>();
            sum(last) - sum(first)
        };
        let along: i64 = columns
            .iter()
            .map(|c| c.last().map_or(0, |p| p.1) - c.first().map_or(0, |p| p.1))
            .sum();
        let mirrored = (
            along * sign < 0,
            rise(columns.first(), columns.last()) * sign < 0,
        );
        let mut turned: Vec<Column> = columns
            .iter()
            .map(|column| {
                let mut points: Column = column
                    .iter()
                    .map(|&(x, value)| {
                        let x = if mirrored.0 { reach.0 - x } else { x };
                        (x, sign * (value - base))
                    })
                    .collect();
                if mirrored.0 {
                    points.reverse();
                }
                points
            })
            .collect();
        if mirrored.1 {
            turned.reverse();
        }
        let mut target = Self {
            columns: turned,
            reach,
            mirrored,
            sign,
            base,
            top,
            risers: Vec::new(),
        };
        target.risers = target.risers();
        target
    }

    fn risers(&self) -> Vec<Riser> {
        let most = self
            .columns
            .iter()
            .flatten()
            .map(|p| p.1)
            .max()
            .unwrap_or_default();
        let size = usize::try_from(most + 2).unwrap_or_default();
        let mut reaching: Vec<Vec<(i64, i64)>> = vec![Vec::new(); size];
        let mut below = reaching.clone();
        for (y, column) in (0..).zip(&self.columns) {
            let mut height = 0;
            for &(x, value) in column {
                while height < value {
                    height += 1;
                    let slot = usize::try_from(height)
                        .ok()
                        .and_then(|at| reaching.get_mut(at));
                    if let Some(slot) = slot {
                        slot.push((x, y));
                    }
                }
            }
            let mut height = most + 1;
            for &(x, value) in column.iter().rev() {
                while height > value {
                    let slot = usize::try_from(height)
                        .ok()
                        .and_then(|at| below.get_mut(at));
                    if let Some(slot) = slot {
                        slot.push((x, y));
                    }
                    height -= 1;
                }
            }
        }
        // The step past the last one is never reached: it keeps the sum from rising too far, unless
        // a clamp does.
        let clamped = self.top.is_some() || most == 255;
        let count = if clamped { size - 1 } else { size };
        (0..)
            .zip(reaching.iter().zip(&below))
            .take(count)
            .skip(1)
            .map(|(height, (reaching, below))| Riser {
                height,
                reaching: hull(reaching, 1),
                below: hull(below, -1),
            })
            .collect()
    }

    /// Room for the offset, in steps, under real weights.
    fn room(&self, m: f64, n: f64) -> f64 {
        let (mut from, mut to) = (f64::NEG_INFINITY, f64::INFINITY);
        for riser in &self.risers {
            let height = real(riser.height);
            for &(x, y) in &riser.reaching {
                from = from.max(height - (m * real(x) + n * real(y)));
            }
            for &(x, y) in &riser.below {
                to = to.min(height - (m * real(x) + n * real(y)));
            }
        }
        to - from
    }

    /// The offsets that integer weights leave, the smallest and the largest.
    fn offsets(&self, m: i64, n: i64, k: u32) -> (i64, i64) {
        let (mut from, mut to) = (i64::MIN, i64::MAX);
        for riser in &self.risers {
            let height = riser.height << k;
            for &(x, y) in &riser.reaching {
                from = from.max(height - (m * x + n * y));
            }
            for &(x, y) in &riser.below {
                to = to.min(height - 1 - (m * x + n * y));
            }
        }
        (from, to)
    }

    /// How many points have another value; `None` above `most`.
    fn wrong(&self, m: i64, n: i64, steps: &Steps, most: usize) -> Option<usize> {
        let mut count = 0;
        for (y, column) in (0..).zip(&self.columns) {
            for &(x, value) in column {
                if self.base + self.sign * value != steps.apply(m * x + n * y) {
                    count += 1;
                    if count > most {
                        return None;
                    }
                }
            }
        }
        Some(count)
    }

    /// The real weights that leave the most room, and the room.
    fn centre(&self, most: f64) -> (f64, f64, f64) {
        if self.reach.1 == 0 {
            let (m, room) = golden(most, &mut |m| self.room(m, 0.0));
            return (m, 0.0, room);
        }
        let inner = |m: f64| golden(most, &mut |n| self.room(m, n));
        let m = golden(most, &mut |m| inner(m).1).0;
        let (n, room) = inner(m);
        (m, n, room)
    }

    fn search(&self, bound: usize) -> Option<Fit> {
        // Mostly no weight is larger than all of the target; where values jump, any large one is.
        let mut most = self.risers.last().map_or(1.0, |riser| real(riser.height)) + 1.0;
        let (m, n) = loop {
            let (m, n, room) = self.centre(most);
            let at_the_end = m.max(n) > most * 0.98;
            if room > 0.0 || !at_the_end || most >= STEEPEST {
                break (m, n);
            }
            most *= 16.0;
        };
        let mut bound = bound;
        let mut best = None;
        for k in 0..=MAX_SHIFT {
            for m in near(m, k) {
                let second = if self.reach.1 == 0 { 0..=0 } else { near(n, k) };
                for n in second {
                    let high = m.checked_mul(self.reach.0).zip(n.checked_mul(self.reach.1));
                    if high.is_none_or(|(x, y)| x.max(y) > LARGEST) {
                        continue;
                    }
                    if let Some(found) = self.candidate(m, n, k, bound) {
                        bound = found.cost;
                        best = Some(found);
                    }
                }
            }
        }
        best
    }

    /// The best of the outermost offsets and the one in the middle.
    fn candidate(&self, m: i64, n: i64, k: u32, bound: usize) -> Option<Fit> {
        let high = m * self.reach.0 + n * self.reach.1;
        let (from, to) = self.offsets(m, n, k);
        if from == i64::MIN || to == i64::MAX {
            return None;
        }
        let exact = from <= to;
        let mut best: Option<Fit> = None;
        // Where no offset fits all steps, one of the ends fails few of them.
        for offset in [from, to, from.midpoint(to)] {
            let steps = Steps {
                offset,
                shift: k,
                sign: self.sign,
                base: self.base,
                top: self.top,
            };
            let plain = steps.cost(0, high);
            let bound = best.as_ref().map_or(bound, |fit| fit.cost);
            if plain >= bound {
                continue;
            }
            let allowed = if exact {
                0
            } else {
                ((bound - plain) / 2).min(MOST_WRONG)
            };
            let Some(wrong) = self.wrong(m, n, &steps, allowed) else {
                continue;
            };
            let cost = plain + 2 * wrong;
            if cost < bound {
                best = Some(self.turned_back(m, n, steps, cost));
            }
        }
        best
    }

    /// In the coordinates that the target was given in.
    fn turned_back(&self, m: i64, n: i64, mut steps: Steps, cost: usize) -> Fit {
        let mut back = |weight: i64, mirrored: bool, reach: i64| {
            if mirrored {
                steps.offset += weight * reach;
                -weight
            } else {
                weight
            }
        };
        let weights = (
            back(m, self.mirrored.0, self.reach.0),
            back(n, self.mirrored.1, self.reach.1),
        );
        Fit {
            weights,
            steps,
            cost,
        }
    }
}

/// The corners of points (ascending in the second coordinate) where sums with positive weights are
/// smallest (`side` 1) or largest (`side` −1).
fn hull(points: &[(i64, i64)], side: i64) -> Vec<(i64, i64)> {
    let mut corners: Vec<(i64, i64)> = Vec::new();
    for &p in points {
        while let [.., a, b] = corners.as_slice() {
            let turn = (b.1 - a.1) * (p.0 - a.0) - (b.0 - a.0) * (p.1 - a.1);
            if side * turn > 0 {
                break;
            }
            corners.pop();
        }
        corners.push(p);
    }
    corners
}

/// Where a concave function on `0 ..= most` is largest, and its value there. Additions and
/// multiplications of IEEE numbers only, so that every machine finds the same.
fn golden(most: f64, f: &mut dyn FnMut(f64) -> f64) -> (f64, f64) {
    const RATIO: f64 = 0.618_033_988_749_894_9;
    let (mut from, mut to) = (0.0, most);
    let (mut left, mut right) = (to - RATIO * to, RATIO * to);
    let (mut at_left, mut at_right) = (f(left), f(right));
    for _ in 0..ITERATIONS {
        if at_left >= at_right {
            (to, right, at_right) = (right, left, at_left);
            left = to - RATIO * (to - from);
            at_left = f(left);
        } else {
            (from, left, at_left) = (left, right, at_right);
            right = from + RATIO * (to - from);
            at_right = f(right);
        }
    }
    if at_left >= at_right {
        (left, at_left)
    } else {
        (right, at_right)
    }
}

/// Integers next to `weight · 2^k`.
#[expect(
    clippy::cast_possible_truncation,
    reason = "a weight of at most 2^28, times a power of two of at most 2^24"
)]
fn near(weight: f64, k: u32) -> std::ops::RangeInclusive<i64> {
    let scaled = (weight * real(1 << k)).round() as i64;
    (scaled - NEAR).max(0)..=scaled + NEAR
}

#[expect(clippy::cast_precision_loss, reason = "integers far below 2^53")]
const fn real(v: i64) -> f64 {
    v as f64
}

//! Comparison with a constant, choice between two numbers, and what they make: clamping to
//! constant bounds, the smaller of two numbers.

use ark_bn254::Fr;

use crate::circuit::Backend;
use crate::error::LowerError;
use crate::limbs::{DERIVE_UP_TO, limbs};
use crate::lowering::Lowering;
use crate::max;
use crate::num::Num;

/// 1 when `x ≥ c`, else 0: a sign decomposition of `x − c`, which takes one constraint more than
/// the bits of the farther end of the interval ([`at_least_cost`]); none when the interval decides.
///
/// # Soundness
/// `−2^w ≤ x − c < 2^w` by the interval of `x` and the choice of `w`, so `x − c + 2^w` splits into
/// `w` bits and one bit on top, which is 1 exactly when `x − c ≥ 0`.
///
/// # Errors
/// Those of [`limbs`].
pub fn at_least(cx: &mut Lowering<'_>, x: &Num, c: i64) -> Result<Num, LowerError> {
    if c <= x.lo() {
        return Ok(Num::constant(cx, 1));
    }
    if c > x.hi() {
        return Ok(Num::constant(cx, 0));
    }
    let width = sign_width(x.lo(), x.hi(), c);
    // As a sum of numbers, whose interval is checked, because `2^w − c` may leave 64 bits.
    let half = Num::constant(cx, 1 << width);
    let shifted = Num::linear(cx, [(1, x), (1, &half)], -c)?;
    let mut parts = limbs(cx, "at-least", &shifted, &[width, 1])?;
    parts.pop().ok_or_else(|| LowerError::IntervalUnfit {
        path: cx.path("at-least"),
        lo: shifted.lo(),
        hi: shifted.hi(),
        bits: width + 1,
    })
}

/// Constraints of [`at_least`] for a number in `lo ..= hi` with few terms.
pub const fn at_least_cost(lo: i64, hi: i64, c: i64) -> u32 {
    if c <= lo || c > hi {
        return 0;
    }
    match sign_width(lo, hi, c) {
        // One bit: it is the number itself.
        0 => 0,
        width => width + 1,
    }
}

/// The smallest `w` with `−2^w ≤ x − c < 2^w` for all `x` in `lo ..= hi`, where `lo < c ≤ hi`.
const fn sign_width(lo: i64, hi: i64, c: i64) -> u32 {
    let (above, below) = (hi - c, c - lo - 1);
    let reach = if above > below { above } else { below };
    64 - reach.leading_zeros()
}

/// `if_one` where `bit` is 1, `if_zero` where it is 0: one constraint, none when the bit or the
/// difference of the two is known.
///
/// # Soundness
/// `bit · (if_one − if_zero) = out − if_zero` fixes the output, which is one of the two because
/// the bit's interval is proven to be within 0 ..= 1.
///
/// # Errors
/// [`LowerError::IntervalUnfit`] when `bit` is not proven to be a bit; those of [`Num::linear`],
/// [`Lowering::hint`] and [`Lowering::enforce`].
pub fn select(
    cx: &mut Lowering<'_>,
    step: &'static str,
    bit: &Num,
    if_one: &Num,
    if_zero: &Num,
) -> Result<Num, LowerError> {
    if bit.lo() < 0 || bit.hi() > 1 {
        return Err(LowerError::IntervalUnfit {
            path: cx.path(step),
            lo: bit.lo(),
            hi: bit.hi(),
            bits: 1,
        });
    }
    match (bit.lo(), bit.hi()) {
        (1, _) => return Ok(if_one.clone()),
        (_, 0) => return Ok(if_zero.clone()),
        _ => {}
    }
    if if_one.is_constant() && if_zero.is_constant() {
        return Num::linear(cx, [(if_one.lo() - if_zero.lo(), bit)], if_zero.lo());
    }
    let value = if bit.value() == 1 {
        if_one.value()
    } else {
        if_zero.value()
    };
    // Constrained by the next constraint: bit · (if_one − if_zero) = out − if_zero.
    let wire = cx.hint(step, || Fr::from(value))?;
    let lo = if_one.lo().min(if_zero.lo());
    let hi = if_one.hi().max(if_zero.hi());
    let out = Num::claimed(cx, wire, value, lo, hi);
    if cx.emits() {
        let difference = Num::linear(cx, [(1, if_one), (-1, if_zero)], 0)?;
        let gain = Num::linear(cx, [(1, &out), (-1, if_zero)], 0)?;
        cx.enforce(step, bit.lc().clone(), difference.into_lc(), gain.into_lc())?;
    }
    Ok(out)
}

/// `min(max(x, lo), hi)` for constant `lo ≤ hi`: with bits at most two comparisons and two products
/// ([`clamp_cost`]), with lookups a maximum and a minimum, none where the interval of `x` is within
/// the bounds already.
///
/// # Soundness
/// With lookups that of [`max::max`]. With bits, a comparison with `lo` or with `lo + 1` yields the same clamp, because at `x = lo` both sides
/// of the choice are `lo`; likewise for `hi`. With both bounds in one product
/// `(above_lo − above_hi) · (x − lo) = out − lo − above_hi · (hi − lo)`: no comparison with `hi`
/// or `hi + 1` holds where one with `lo` or `lo + 1` does not, since `lo < hi`, so the first
/// factor is 1 between the bounds and 0 outside.
///
/// # Errors
/// [`LowerError::IntervalUnfit`] unless `lo ≤ hi`; those of [`at_least`] and [`select`].
pub fn clamp(cx: &mut Lowering<'_>, x: &Num, lo: i64, hi: i64) -> Result<Num, LowerError> {
    if lo > hi {
        return Err(LowerError::IntervalUnfit {
            path: cx.path("clamp"),
            lo,
            hi,
            bits: 0,
        });
    }
    if x.hi() <= lo || lo == hi {
        return Ok(Num::constant(cx, lo));
    }
    if x.lo() >= hi {
        return Ok(Num::constant(cx, hi));
    }
    let bounds = Bounds::of(x);
    if bounds.order(lo, hi) == Order::Nothing {
        return Ok(x.clone());
    }
    // A long combination would stand in every constraint below.
    let x = if x.weight() > DERIVE_UP_TO {
        x.materialised(cx, "clamp-operand")?
    } else {
        x.clone()
    };
    if cx.backend() == Backend::Committed {
        return by_maxima(cx, &x, lo, hi);
    }
    match bounds.order(lo, hi) {
        Order::Nothing => Ok(x),
        Order::LowFirst => {
            let raised = raise(cx, &x, lo)?;
            lower(cx, &raised, hi)
        }
        Order::HighFirst => {
            let lowered = lower(cx, &x, hi)?;
            raise(cx, &lowered, lo)
        }
        Order::Together => together(cx, &x, lo, hi),
    }
}

/// `lo` and `hi` one after the other, first the one that leaves less to compare with the other.
fn by_maxima(cx: &mut Lowering<'_>, x: &Num, lo: i64, hi: i64) -> Result<Num, LowerError> {
    let bound = |cx: &Lowering<'_>, at: i64| Num::constant(cx, at);
    let interval = (x.lo(), x.hi());
    let low_first = max::price(interval, (lo, lo)) + max::price((lo, x.hi()), (hi, hi));
    let high_first = max::price(interval, (hi, hi)) + max::price((x.lo(), hi), (lo, lo));
    let (lo, hi) = (bound(cx, lo), bound(cx, hi));
    if low_first <= high_first {
        let raised = max::max(cx, x, &lo)?;
        min(cx, &raised, &hi)
    } else {
        let lowered = min(cx, x, &hi)?;
        max::max(cx, &lowered, &lo)
    }
}

/// Constraints of [`clamp`] for a number in `x` with few terms, with bits.
pub fn clamp_cost(x: (i64, i64), lo: i64, hi: i64) -> u32 {
    let bounds = Bounds { lo: x.0, hi: x.1 };
    if bounds.hi <= lo || bounds.lo >= hi || lo == hi {
        return 0;
    }
    bounds.cost(bounds.order(lo, hi), lo, hi)
}

/// `max(x, lo)`.
fn raise(cx: &mut Lowering<'_>, x: &Num, lo: i64) -> Result<Num, LowerError> {
    if x.lo() >= lo {
        return Ok(x.clone());
    }
    let above = at_least(cx, x, Bounds::of(x).cut(lo))?;
    let bound = Num::constant(cx, lo);
    let out = select(cx, "clamp-low", &above, x, &bound)?;
    // The output is `lo` or an `x` of at least `lo`.
    Ok(out.narrowed(lo, x.hi().max(lo)))
}

/// `min(x, hi)`.
fn lower(cx: &mut Lowering<'_>, x: &Num, hi: i64) -> Result<Num, LowerError> {
    if x.hi() <= hi {
        return Ok(x.clone());
    }
    let above = at_least(cx, x, Bounds::of(x).cut(hi))?;
    let bound = Num::constant(cx, hi);
    let out = select(cx, "clamp-high", &above, &bound, x)?;
    // The output is `hi` or an `x` of at most `hi`.
    Ok(out.narrowed(x.lo().min(hi), hi))
}

fn together(cx: &mut Lowering<'_>, x: &Num, lo: i64, hi: i64) -> Result<Num, LowerError> {
    let bounds = Bounds::of(x);
    let above_lo = at_least(cx, x, bounds.cut(lo))?;
    let above_hi = at_least(cx, x, bounds.cut(hi))?;
    let value = x.value().clamp(lo, hi);
    // Constrained by the next constraint to be `lo`, `hi`, or an `x` between them.
    let wire = cx.hint("clamp", || Fr::from(value))?;
    let out = Num::claimed(cx, wire, value, lo, hi);
    if cx.emits() {
        let between = Num::linear(cx, [(1, &above_lo), (-1, &above_hi)], 0)?;
        let from_lo = x.plus(cx, -lo)?;
        let gain = Num::linear(cx, [(1, &out), (lo - hi, &above_hi)], -lo)?;
        cx.enforce(
            "clamp",
            between.into_lc(),
            from_lo.into_lc(),
            gain.into_lc(),
        )?;
    }
    Ok(out)
}

/// In which order a number is compared with two bounds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Order {
    /// The interval is within the bounds.
    Nothing,
    LowFirst,
    HighFirst,
    /// Both comparisons on the number itself, one product.
    Together,
}

/// The interval of a number that is to be clamped.
#[derive(Debug, Clone, Copy)]
struct Bounds {
    lo: i64,
    hi: i64,
}

impl Bounds {
    const fn of(x: &Num) -> Self {
        Self {
            lo: x.lo(),
            hi: x.hi(),
        }
    }

    /// `bound` or `bound + 1`, whichever comparison is cheaper.
    const fn cut(self, bound: i64) -> i64 {
        let (at, after) = (bound, bound + 1);
        if at_least_cost(self.lo, self.hi, after) < at_least_cost(self.lo, self.hi, at) {
            after
        } else {
            at
        }
    }

    const fn comparison(self, bound: i64) -> u32 {
        at_least_cost(self.lo, self.hi, self.cut(bound))
    }

    fn cost(self, order: Order, lo: i64, hi: i64) -> u32 {
        let raised = Self {
            lo: self.lo.max(lo),
            ..self
        };
        let lowered = Self {
            hi: self.hi.min(hi),
            ..self
        };
        let step = |of: Self, bound: i64, needed: bool| {
            if needed { of.comparison(bound) + 1 } else { 0 }
        };
        match order {
            Order::Nothing => 0,
            Order::LowFirst => step(self, lo, self.lo < lo) + step(raised, hi, self.hi > hi),
            Order::HighFirst => step(self, hi, self.hi > hi) + step(lowered, lo, self.lo < lo),
            Order::Together => self.comparison(lo) + self.comparison(hi) + 1,
        }
    }

    /// The cheapest order, for bounds that leave more than one value.
    fn order(self, lo: i64, hi: i64) -> Order {
        let cheapest = [Order::Together, Order::LowFirst, Order::HighFirst]
            .into_iter()
            .min_by_key(|&order| self.cost(order, lo, hi));
        match (self.lo < lo, self.hi > hi) {
            (false, false) => Order::Nothing,
            (true, true) => cheapest.unwrap_or(Order::Together),
            _ => Order::LowFirst,
        }
    }
}

/// The smaller of two numbers, as `−max(−left, −right)`: what [`max::max`] costs.
///
/// # Errors
/// Those of [`max::max`].
pub fn min(cx: &mut Lowering<'_>, left: &Num, right: &Num) -> Result<Num, LowerError> {
    let left = Num::linear(cx, [(-1, left)], 0)?;
    let right = Num::linear(cx, [(-1, right)], 0)?;
    let largest = max::max(cx, &left, &right)?;
    Num::linear(cx, [(-1, &largest)], 0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::num::Signal;
    use crate::testing::{Setting, Subject};

    type Built = Result<Vec<Signal>, LowerError>;

    fn all(inputs: &[(i64, i64)]) -> Vec<Vec<i64>> {
        inputs.iter().fold(vec![Vec::new()], |points, &(lo, hi)| {
            let extended = |p: &Vec<i64>| {
                let p = p.clone();
                (lo..=hi).map(move |v| [p.as_slice(), &[v]].concat())
            };
            points.iter().flat_map(extended).collect()
        })
    }

    #[test]
    fn at_least_is_sound() {
        for (lo, hi) in [(0, 7), (-4, 3), (-3, 6), (0, 1)] {
            for c in lo..=hi + 1 {
                let build = |cx: &mut Lowering<'_>, x: &[Num]| -> Built {
                    Ok(vec![at_least(cx, &x[0], c)?.to_signal(cx)])
                };
                let expected = |v: &[i64]| Some(vec![Fr::from(u64::from(v[0] >= c))]);
                let subject = Subject::new("at-least", &[(lo, hi)], &build, &expected);
                let points = all(&[(lo, hi)]);
                subject.check(&points).unwrap();
                assert_eq!(subject.check_all_solutions(&points).unwrap(), points.len());
                let cost = at_least_cost(lo, hi, c) as usize;
                assert_eq!(subject.constraints().unwrap(), cost, "{lo} {hi} {c}");
            }
        }
    }

    #[test]
    fn wide_comparisons_are_exact_beside_the_bound() {
        let (lo, hi) = (i64::from(i32::MIN), i64::from(i32::MAX));
        for c in [lo + 1, -1, 0, 1, 77, hi] {
            let build = |cx: &mut Lowering<'_>, x: &[Num]| -> Built {
                Ok(vec![at_least(cx, &x[0], c)?.to_signal(cx)])
            };
            let expected = |v: &[i64]| Some(vec![Fr::from(u64::from(v[0] >= c))]);
            let subject = Subject::new("at-least", &[(lo, hi)], &build, &expected);
            let points: Vec<Vec<i64>> = [lo, c - 1, c, hi].map(|v| vec![v]).into();
            subject.check(&points).unwrap();
        }
    }

    #[test]
    fn an_interval_too_wide_to_compare_is_refused() {
        let end = (1 << 62) - 1;
        let build = |cx: &mut Lowering<'_>, x: &[Num]| -> Built {
            Ok(vec![at_least(cx, &x[0], 1 - end)?.to_signal(cx)])
        };
        let expected = |_: &[i64]| None;
        let subject = Subject::new("at-least", &[(-end, end)], &build, &expected);
        assert!(subject.constraints().is_err());
    }

    #[test]
    fn select_is_sound_and_wants_a_bit() {
        let build = |cx: &mut Lowering<'_>, x: &[Num]| -> Built {
            let bit = at_least(cx, &x[0], 1)?;
            Ok(vec![
                select(cx, "select", &bit, &x[1], &x[2])?.to_signal(cx),
            ])
        };
        let expected = |v: &[i64]| Some(vec![Fr::from(if v[0] >= 1 { v[1] } else { v[2] })]);
        let ranges = [(0, 1), (-2, 1), (3, 5)];
        let subject = Subject::new("select", &ranges, &build, &expected);
        assert_eq!(subject.constraints().unwrap(), 1);
        let points = all(&ranges);
        subject.check(&points).unwrap();
        assert_eq!(subject.check_all_solutions(&points).unwrap(), points.len());

        let wrong = |cx: &mut Lowering<'_>, x: &[Num]| -> Built {
            Ok(vec![
                select(cx, "select", &x[0], &x[1], &x[2])?.to_signal(cx),
            ])
        };
        let ranges = [(0, 2), (0, 1), (0, 1)];
        assert!(
            Subject::new("select", &ranges, &wrong, &expected)
                .constraints()
                .is_err()
        );
    }

    #[test]
    fn clamp_is_sound() {
        for (x_lo, x_hi) in [(0, 7), (-4, 3), (-3, 6)] {
            for lo in x_lo - 1..=x_hi + 1 {
                for hi in lo..=x_hi + 1 {
                    let build = |cx: &mut Lowering<'_>, x: &[Num]| -> Built {
                        let out = clamp(cx, &x[0], lo, hi)?;
                        assert!(out.lo() >= lo && out.hi() <= hi);
                        Ok(vec![out.to_signal(cx)])
                    };
                    let expected = |v: &[i64]| Some(vec![Fr::from(v[0].clamp(lo, hi))]);
                    let subject = Subject::new("clamp", &[(x_lo, x_hi)], &build, &expected);
                    let points = all(&[(x_lo, x_hi)]);
                    subject.check(&points).unwrap();
                    assert_eq!(subject.check_all_solutions(&points).unwrap(), points.len());
                    assert_eq!(
                        subject.constraints().unwrap(),
                        clamp_cost((x_lo, x_hi), lo, hi) as usize,
                        "{x_lo} {x_hi} {lo} {hi}"
                    );
                }
            }
        }
    }

    #[test]
    fn clamps_of_bytes_cost_less_than_maxima() {
        let byte = (0, 255);
        // Relu on int8, a bound beside the middle, one anywhere.
        assert_eq!(clamp_cost((-128, 127), 0, 127), 9);
        assert_eq!(clamp_cost(byte, 127, 255), 9);
        assert_eq!(clamp_cost(byte, 3, 255), 10);
        assert_eq!(clamp_cost(byte, 0, 200), 10);
        // Two bounds: together, or one after the other where the interval has become small.
        assert_eq!(clamp_cost(byte, 100, 200), 19);
        assert_eq!(clamp_cost(byte, 10, 20), 16);
        for (lo, hi) in [
            (0, 127),
            (127, 255),
            (100, 200),
            (10, 20),
            (250, 254),
            (1, 254),
        ] {
            let build = |cx: &mut Lowering<'_>, x: &[Num]| -> Built {
                Ok(vec![clamp(cx, &x[0], lo, hi)?.to_signal(cx)])
            };
            let expected = |v: &[i64]| Some(vec![Fr::from(v[0].clamp(lo, hi))]);
            let subject = Subject::new("clamp", &[byte], &build, &expected);
            let mut points = vec![0, 1, lo - 1, lo, lo + 1, hi - 1, hi, hi + 1, 254, 255];
            points.retain(|v| (0..=255).contains(v));
            let points: Vec<Vec<i64>> = points.into_iter().map(|v| vec![v]).collect();
            subject.check_honest(&points).unwrap();
            subject.check_rank(&points).unwrap();
            subject.check_mutations(&points[..2]).unwrap();
            // A search for each constraint; with lookups it is made for smaller intervals above.
            let plain = subject.in_setting(Setting::plain());
            plain.check_removals(&points).unwrap();
            let subject = plain;
            let cost = clamp_cost(byte, lo, hi) as usize;
            assert_eq!(subject.constraints().unwrap(), cost);
        }
    }

    #[test]
    fn a_long_combination_is_clamped_as_one_wire() {
        let inputs = vec![(0, 1); 60];
        let build = |cx: &mut Lowering<'_>, x: &[Num]| -> Built {
            let sum = Num::linear(cx, x.iter().map(|x| (1, x)), -30)?;
            Ok(vec![clamp(cx, &sum, -7, 9)?.to_signal(cx)])
        };
        let expected = |v: &[i64]| Some(vec![Fr::from((v.iter().sum::<i64>() - 30).clamp(-7, 9))]);
        let subject = Subject::new("clamp", &inputs, &build, &expected);
        let cost = clamp_cost((-30, 30), -7, 9) as usize;
        assert_eq!(subject.constraints().unwrap(), cost + 1);
        let ones = |n: usize| (0..60).map(|i| i64::from(i < n)).collect::<Vec<i64>>();
        subject
            .check(&[
                ones(0),
                ones(22),
                ones(23),
                ones(30),
                ones(39),
                ones(40),
                ones(60),
            ])
            .unwrap();
    }

    #[test]
    fn bounds_the_wrong_way_round_are_refused() {
        let build = |cx: &mut Lowering<'_>, x: &[Num]| -> Built {
            Ok(vec![clamp(cx, &x[0], 3, 2)?.to_signal(cx)])
        };
        let expected = |_: &[i64]| None;
        assert!(
            Subject::new("clamp", &[(0, 7)], &build, &expected)
                .constraints()
                .is_err()
        );
    }

    #[test]
    fn min_is_sound() {
        for ranges in [
            [(0, 3), (0, 3)],
            [(-4, 3), (-2, 5)],
            [(0, 1), (-1, 2)],
            [(0, 2), (2, 4)],
        ] {
            let build = |cx: &mut Lowering<'_>, x: &[Num]| -> Built {
                let out = min(cx, &x[0], &x[1])?;
                assert_eq!(out.lo(), x[0].lo().min(x[1].lo()));
                assert_eq!(out.hi(), x[0].hi().min(x[1].hi()));
                Ok(vec![out.to_signal(cx)])
            };
            let expected = |v: &[i64]| Some(vec![Fr::from(v[0].min(v[1]))]);
            let subject = Subject::new("min", &ranges, &build, &expected);
            let points = all(&ranges);
            subject.check(&points).unwrap();
            assert_eq!(subject.check_all_solutions(&points).unwrap(), points.len());
        }
        let build = |cx: &mut Lowering<'_>, x: &[Num]| -> Built {
            Ok(vec![min(cx, &x[0], &x[1])?.to_signal(cx)])
        };
        let expected = |v: &[i64]| Some(vec![Fr::from(v[0].min(v[1]))]);
        let subject = Subject::new("min", &[(0, 255), (0, 255)], &build, &expected);
        assert_eq!(subject.constraints().unwrap(), 10);
    }
}

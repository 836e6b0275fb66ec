//! Many linear combinations of the same numbers, in witness mode.
//!
//! [`Num::linear`] term by term is what a combination *is*; here the same numbers, intervals and
//! bounds on the number of terms come from a few inner products of 16-bit integers each, because
//! a layer of a million weights asks for a million terms with every witness. A combination that
//! does not fit is left to [`Num::linear`].

use proofmark_tensor::dot::{MAX_FACTOR, dot};

use crate::lowering::Lowering;
use crate::num::Num;

/// Evidence that nothing is emitted: a number without its terms would be unsound in shape mode.
#[derive(Debug, Clone, Copy)]
pub struct WitnessMode(());

impl WitnessMode {
    /// The evidence; `None` in shape mode.
    pub const fn of(cx: &Lowering<'_>) -> Option<Self> {
        if cx.emits() { None } else { Some(Self(())) }
    }
}

/// Constant coefficients, of absolute value up to [`MAX_FACTOR`].
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Coefficients {
    signed: Vec<i16>,
    magnitude: Vec<i16>,
}

impl Coefficients {
    /// The coefficients; `None` when one is too large.
    pub fn new(values: impl IntoIterator<Item = i64>) -> Option<Self> {
        let fitting = |v: i64| {
            i16::try_from(v)
                .ok()
                .filter(|v| v.unsigned_abs() <= MAX_FACTOR.unsigned_abs())
        };
        let signed: Vec<i16> = values.into_iter().map(fitting).collect::<Option<_>>()?;
        let magnitude = signed.iter().map(|v| v.abs()).collect();
        Some(Self { signed, magnitude })
    }

    /// One coefficient.
    pub fn get(&self, index: usize) -> Option<i64> {
        self.signed.get(index).map(|&v| i64::from(v))
    }

    /// The coefficients `from .. from + len`; none when there are not so many.
    pub fn run(&self, from: usize, len: usize) -> &[i16] {
        Self::part(&self.signed, from, len)
    }

    fn part(all: &[i16], from: usize, len: usize) -> &[i16] {
        let end = from.saturating_add(len);
        all.get(from..end).unwrap_or_default()
    }
}

/// Numbers laid out for inner products. Places that are left out hold no term.
#[derive(Debug, Clone)]
pub struct Operands {
    mode: WitnessMode,
    value: Vec<i16>,
    /// `lo + hi`
    middle: Vec<i16>,
    /// `hi − lo`
    radius: Vec<i16>,
    terms: Vec<i16>,
}

impl Operands {
    /// The numbers less `zero_point`; `None` when one does not fit.
    pub fn new(mode: WitnessMode, nums: &[Num], zero_point: i64) -> Option<Self> {
        let of = |field: &dyn Fn(&Num) -> Option<i64>| -> Option<Vec<i16>> {
            nums.iter()
                .map(|num| field(num).and_then(|v| i16::try_from(v).ok()))
                .collect()
        };
        let less = |v: i64| v.checked_sub(zero_point);
        Some(Self {
            mode,
            value: of(&|num| less(num.value()))?,
            middle: of(&|num| less(num.lo())?.checked_add(less(num.hi())?))?,
            radius: of(&|num| num.hi().checked_sub(num.lo()))?,
            terms: of(&|num| Some(num.weight().into()))?,
        })
    }

    /// `len` places, of which those named first in the pairs hold the numbers named second.
    #[must_use]
    pub fn pick(&self, len: usize, places: impl Iterator<Item = (usize, usize)>) -> Self {
        let zeros = || vec![0; len];
        let mut out = Self {
            mode: self.mode,
            value: zeros(),
            middle: zeros(),
            radius: zeros(),
            terms: zeros(),
        };
        for (place, source) in places {
            let copy = |to: &mut [i16], from: &[i16]| {
                if let (Some(to), Some(from)) = (to.get_mut(place), from.get(source)) {
                    *to = *from;
                }
            };
            copy(&mut out.value, &self.value);
            copy(&mut out.middle, &self.middle);
            copy(&mut out.radius, &self.radius);
            copy(&mut out.terms, &self.terms);
        }
        out
    }

    /// `Σ coefficient · number + constant` with the coefficients from `from` on, one a place: the
    /// number that [`Num::linear`] gives for the same terms. `None` when it is not sure to fit.
    pub fn linear(&self, coefficients: &Coefficients, from: usize, constant: i64) -> Option<Num> {
        let len = self.value.len();
        let signed = coefficients.run(from, len);
        let magnitude = Coefficients::part(&coefficients.magnitude, from, len);
        if signed.len() != len {
            return None;
        }
        // Twice the bounds: the coefficient's sign decides which end of the interval counts.
        let (middle, radius) = (dot(&self.middle, signed), dot(&self.radius, magnitude));
        let lo = constant.checked_add(i64::midpoint(middle, -radius))?;
        let hi = constant.checked_add(i64::midpoint(middle, radius))?;
        let value = constant.checked_add(dot(&self.value, signed))?;
        let present = self.terms.iter().zip(signed);
        let terms = present.fold(0_i64, |sum, (&terms, &c)| {
            sum.wrapping_add(if c == 0 { 0 } else { terms.into() })
        });
        let weight = u32::try_from(terms.checked_add(1)?).unwrap_or(u32::MAX);
        Num::without_terms(self.mode, value, lo, hi, weight)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::circuit::Backend;
    use crate::lc::Wire;
    use crate::lowering::NoChallenge;
    use ark_std::rand::{Rng, SeedableRng, rngs::StdRng};

    #[test]
    fn the_numbers_are_those_of_num_linear() {
        let mut challenger = NoChallenge;
        let cx = Lowering::witness(Backend::Plain, &[], &mut challenger).unwrap();
        let mode = WitnessMode::of(&cx).unwrap();
        let mut random = StdRng::seed_from_u64(7);
        let mut fitted = 0;
        for round in 0..400 {
            let count = random.gen_range(1..300);
            let reach = [1, 255, 8000, 17_000][round % 4];
            let nums: Vec<Num> = (0..count)
                .map(|_| {
                    let (a, b) = (
                        random.gen_range(-reach..=reach),
                        random.gen_range(-reach..=reach),
                    );
                    let value = random.gen_range(a.min(b)..=a.max(b));
                    let weight = random.gen_range(0..30);
                    Num::claimed(&cx, Wire::ONE, value, a.min(b), a.max(b)).with_weight(weight)
                })
                .collect();
            let zero_point = random.gen_range(-128..=255);
            let all: Vec<i64> = (0..3 * count)
                .map(|_| random.gen_range(-511..=511) * random.gen_range(0..=1))
                .collect();
            let coefficients = Coefficients::new(all.iter().copied()).unwrap();
            let Some(operands) = Operands::new(mode, &nums, zero_point) else {
                assert!(reach > 8000);
                continue;
            };
            for from in [0, count, 2 * count] {
                let constant = random.gen_range(-1_i64 << 40..1 << 40);
                // Every third place is padding.
                let places = (0..count).filter(|at| at % 3 > 0);
                let picked = operands.pick(count, places.clone().map(|at| (at, at)));
                let fast = picked.linear(&coefficients, from, constant).unwrap();
                let terms = places.map(|at| (all[from + at], &nums[at]));
                let sum: i64 = terms.clone().map(|(c, _)| c).sum();
                let slow = Num::linear(&cx, terms, constant - zero_point * sum).unwrap();
                assert_eq!(
                    (fast.value(), fast.lo(), fast.hi(), fast.weight()),
                    (slow.value(), slow.lo(), slow.hi(), slow.weight())
                );
                fitted += 1;
            }
            assert!(operands.linear(&coefficients, 2 * count + 1, 0).is_none());
            assert!(operands.linear(&coefficients, usize::MAX, 0).is_none());
            assert!(operands.linear(&coefficients, 0, i64::MAX).is_none());
        }
        assert!(fitted > 600);
    }

    #[test]
    fn what_does_not_fit_is_left_to_others() {
        let mut challenger = NoChallenge;
        let cx = Lowering::witness(Backend::Plain, &[], &mut challenger).unwrap();
        let mode = WitnessMode::of(&cx).unwrap();
        let num = |value, lo, hi| Num::claimed(&cx, Wire::ONE, value, lo, hi);
        assert!(Operands::new(mode, &[num(0, 0, 1 << 15)], 0).is_none());
        assert!(Operands::new(mode, &[num(1 << 15, 0, 1)], 0).is_none());
        assert!(Operands::new(mode, &[num(0, i64::MIN, i64::MAX)], i64::MAX).is_none());
        assert!(Operands::new(mode, &[num(0, 0, 1).with_weight(1 << 15)], 0).is_none());
        assert!(Coefficients::new([511, -511]).is_some());
        assert!(Coefficients::new([512]).is_none());
        assert!(Coefficients::new([i64::MIN]).is_none());
        let shape = Lowering::shape(Backend::Plain, 0).unwrap();
        assert!(WitnessMode::of(&shape).is_none());
    }
}

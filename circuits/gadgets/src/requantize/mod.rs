//! Requantize inside the circuit: three encodings of one step function.
//!
//! A requantize is a monotone step function of its int32 accumulator. The compiler takes the
//! cheapest of a shift, an affine form with corrections and a threshold table, and checks the
//! choice against [`Requantize::apply`] on both sides of every step of either function, which
//! proves them equal over the whole interval: between steps both are constant.

mod affine;
mod clamp;
mod shift;
mod staircase;
mod threshold;

use std::collections::HashMap;
use std::sync::{Arc, LazyLock, PoisonError, RwLock};

use proofmark_tensor::Requantize;

pub use affine::{Affine, Exception};
pub(crate) use clamp::{Clamp, prove_all as prove_clamps};
pub use shift::clamped_shift;
pub(crate) use shift::cost as shift_cost;
pub use threshold::ThresholdTable;

use crate::circuit::Backend;
use crate::error::LowerError;
use crate::lowering::Lowering;
use crate::num::Num;
use staircase::Staircase;

/// Accumulators with more terms than this get a wire where an encoding uses them several times.
const SHORT: u32 = 16;

/// How a requantize is put into constraints.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Kind {
    /// The whole interval has one output: no constraint.
    Constant,
    /// `(acc + 2^(k−1) − 1) >> k`, saturated, counted from the type's minimum.
    Shift {
        /// The exponent, 1 to 15.
        k: u32,
    },
    /// An affine form, shifted and saturated, with corrections.
    Affine(Affine),
    /// A table of thresholds.
    Table(ThresholdTable),
}

impl Kind {
    /// Short stable name.
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Constant => "constant",
            Self::Shift { .. } => "shift",
            Self::Affine(_) => "affine",
            Self::Table(_) => "table",
        }
    }
}

/// The encoding of a requantize over one interval of accumulators.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Encoding {
    kind: Kind,
    lo: i64,
    hi: i64,
    /// Outputs at the two ends.
    out: (i64, i64),
    /// The type's minimum.
    minimum: i64,
}

impl Encoding {
    /// Which encoding it is.
    pub const fn kind(&self) -> &Kind {
        &self.kind
    }

    /// Constraints, for an accumulator of more than 40 terms; one fewer (unless constant) for one
    /// of at most 16.
    pub fn cost(&self) -> usize {
        match &self.kind {
            Kind::Constant => 0,
            Kind::Shift { k } => {
                let rounding = rounding(*k);
                shift::cost(self.lo + rounding, self.hi + rounding, *k, true)
            }
            Kind::Affine(affine) => affine.cost(true),
            Kind::Table(table) => table.cost(true),
        }
    }

    /// The output that the constraints give an accumulator inside the interval.
    pub fn apply(&self, acc: i64) -> i64 {
        match &self.kind {
            Kind::Constant => self.out.0,
            Kind::Shift { k } => ((acc + rounding(*k)) >> k).clamp(0, 255) + self.minimum,
            Kind::Affine(affine) => affine.apply(acc),
            Kind::Table(table) => table.apply(acc),
        }
    }

    /// Compares with the requantize on both sides of every step of either function.
    fn check(self, step: &Requantize, lo: i32, hi: i32) -> Result<Self, LowerError> {
        let mut probes = vec![lo.into(), hi.into()];
        match &self.kind {
            Kind::Constant => {}
            Kind::Shift { k } => {
                let positions = (0..=256_i64).map(|y| (y << k) - rounding(*k));
                probes.extend(positions.flat_map(|a| [a - 1, a, a + 1]));
            }
            Kind::Affine(affine) => probes.extend(affine.critical()),
            Kind::Table(table) => probes.extend(table.critical()),
        }
        // A shift is known to be the requantize over all of int32 (a test over every k); its own
        // steps suffice here, and shifts are what every layer of our own models has.
        if !matches!(self.kind, Kind::Shift { .. }) {
            for threshold in step.thresholds(lo, hi) {
                let at = i64::from(threshold.acc);
                probes.extend([at - 1, at, at + 1]);
            }
        }
        for probe in probes {
            let acc = probe.clamp(lo.into(), hi.into());
            let truth = i32::try_from(acc).map(|acc| i64::from(step.apply(acc)));
            if truth != Ok(self.apply(acc)) {
                return Err(LowerError::Encoding {
                    path: "requantize".to_owned(),
                    reason: format!(
                        "{} encoding of {step:?} is wrong at accumulator {acc}",
                        self.kind.name()
                    ),
                });
            }
        }
        Ok(self)
    }

    fn of_kind(kind: Kind, step: &Requantize, lo: i32, hi: i32) -> Result<Self, LowerError> {
        let encoding = Self {
            kind,
            lo: lo.into(),
            hi: hi.into(),
            out: (step.apply(lo).into(), step.apply(hi).into()),
            minimum: step.elem().min().into(),
        };
        encoding.check(step, lo, hi)
    }

    fn new(step: &Requantize, lo: i32, hi: i32, backend: Backend) -> Result<Self, LowerError> {
        if step.apply(lo) == step.apply(hi) {
            return Self::of_kind(Kind::Constant, step, lo, hi);
        }
        if let Some(k) = step.shift() {
            return Self::of_kind(Kind::Shift { k }, step, lo, hi);
        }
        let table = Self::of_kind(
            Kind::Table(ThresholdTable::new(step, lo, hi)?),
            step,
            lo,
            hi,
        )?;
        let stairs = Staircase::new(step, lo, hi);
        let Some(affine) = Affine::search(&stairs, f64::from(step.multiplier()), backend) else {
            return Ok(table);
        };
        let cheaper = match (backend, &table.kind) {
            (Backend::Committed, Kind::Table(table)) => affine.price(true) <= table.price(),
            _ => affine.cost(true) <= table.cost(),
        };
        if cheaper {
            Self::of_kind(Kind::Affine(affine), step, lo, hi)
        } else {
            Ok(table)
        }
    }

    /// Emits the constraints and returns the output, **as the integer value of its type**.
    ///
    /// # Errors
    /// Those of the gadgets used; [`LowerError::IntervalUnfit`] when the interval of `acc` is not
    /// inside the one that the encoding was made for.
    fn lower(&self, cx: &mut Lowering<'_>, acc: &Num) -> Result<Num, LowerError> {
        if acc.lo() < self.lo || acc.hi() > self.hi {
            return Err(LowerError::IntervalUnfit {
                path: cx.path("requantize"),
                lo: acc.lo(),
                hi: acc.hi(),
                bits: 32,
            });
        }
        acc.check(cx, "requantize")?;
        match &self.kind {
            Kind::Constant => Ok(Num::constant(cx, self.out.0)),
            Kind::Shift { k } => {
                let rounded = acc.plus(cx, rounding(*k))?;
                clamped_shift(cx, &rounded, *k)?.plus(cx, self.minimum)
            }
            Kind::Affine(affine) => affine.lower(cx, acc, self.out),
            Kind::Table(table) => table.lower(cx, acc, self.out),
        }
    }
}

/// What a shift adds first: `2^(k−1) − 1` rounds half down, as the multiplier one float32 step
/// below `2^-k` does.
const fn rounding(k: u32) -> i64 {
    (1 << (k - 1)) - 1
}

/// The same number in at most [`SHORT`] terms.
pub(crate) fn short(cx: &mut Lowering<'_>, acc: &Num) -> Result<Num, LowerError> {
    if acc.weight() > SHORT {
        acc.materialised(cx, "requantize-accumulator")
    } else {
        Ok(acc.clone())
    }
}

type Key = (u32, i32, u8, i32, i32, Backend);
static PLANS: LazyLock<RwLock<HashMap<Key, Arc<Encoding>>>> = LazyLock::new(RwLock::default);
/// Plans kept a process; past it the cache starts anew.
const MOST_PLANS: usize = 1 << 16;

/// The cheapest encoding of a requantize for accumulators in `lo ..= hi` with the plain backend.
///
/// # Errors
/// Those of [`plan_for`].
pub fn plan(step: &Requantize, lo: i32, hi: i32) -> Result<Arc<Encoding>, LowerError> {
    plan_for(Backend::Plain, step, lo, hi)
}

/// The cheapest encoding of a requantize for accumulators in `lo ..= hi`, for a backend;
/// deterministic, checked at every threshold and beside it, and kept for the process, since every
/// witness asks again.
///
/// # Errors
/// [`LowerError::Encoding`] when `lo > hi` or the check fails (a bug of the encoder).
pub fn plan_for(
    backend: Backend,
    step: &Requantize,
    lo: i32,
    hi: i32,
) -> Result<Arc<Encoding>, LowerError> {
    if lo > hi {
        return Err(LowerError::Encoding {
            path: "requantize".to_owned(),
            reason: format!("{lo} ..= {hi} is no interval"),
        });
    }
    let key = (
        step.multiplier().to_bits(),
        step.zero_point(),
        step.elem().tag(),
        lo,
        hi,
        backend,
    );
    let known = PLANS.read().unwrap_or_else(PoisonError::into_inner);
    if let Some(plan) = known.get(&key) {
        return Ok(Arc::clone(plan));
    }
    drop(known);
    let plan = Arc::new(Encoding::new(step, lo, hi, backend)?);
    let mut known = PLANS.write().unwrap_or_else(PoisonError::into_inner);
    if known.len() >= MOST_PLANS {
        known.clear();
    }
    known.insert(key, Arc::clone(&plan));
    Ok(plan)
}

/// `step(acc)` as the **integer value of its type** (for int8: −128 ..= 127), by the cheapest
/// encoding for the proven interval of `acc`; the choice depends on interval and step alone.
///
/// # Errors
/// [`LowerError::AccumulatorOverflow`] when the interval of `acc` leaves int32; in witness mode
/// [`LowerError::ValueOutsideInterval`].
pub fn requantize(cx: &mut Lowering<'_>, acc: &Num, step: &Requantize) -> Result<Num, LowerError> {
    let (Ok(lo), Ok(hi)) = (i32::try_from(acc.lo()), i32::try_from(acc.hi())) else {
        return Err(LowerError::AccumulatorOverflow {
            path: cx.path("requantize"),
            lo: acc.lo(),
            hi: acc.hi(),
        });
    };
    plan_for(cx.backend(), step, lo, hi)?.lower(cx, acc)
}

#[cfg(test)]
mod tests {
    use ark_bn254::Fr;
    use proofmark_tensor::ElemType;
    use proofmark_tensor::requantize::shift_multiplier;

    use super::*;
    use crate::testing::Subject;

    const ELEMS: [ElemType; 2] = [ElemType::Uint8, ElemType::Int8];

    /// Deterministic pseudo-random numbers (xorshift64*).
    struct Rng(u64);

    impl Rng {
        fn next(&mut self) -> u64 {
            self.0 ^= self.0 >> 12;
            self.0 ^= self.0 << 25;
            self.0 ^= self.0 >> 27;
            self.0.wrapping_mul(0x2545_f491_4f6c_dd1d)
        }

        fn below(&mut self, n: u64) -> i64 {
            i64::try_from((self.next() >> 16) % n).unwrap()
        }
    }

    fn int32(v: i64) -> i32 {
        i32::try_from(v.clamp(i32::MIN.into(), i32::MAX.into())).unwrap()
    }

    /// Interval ends and both sides of every threshold, once each.
    fn probes(step: &Requantize, lo: i32, hi: i32) -> Vec<i64> {
        let mut out: Vec<i64> = vec![lo.into(), hi.into(), 0, -1, 1];
        for t in step.thresholds(lo, hi) {
            let acc = i64::from(t.acc);
            out.extend([acc - 1, acc, acc + 1]);
        }
        out.retain(|a| (i64::from(lo)..=i64::from(hi)).contains(a));
        out.sort_unstable();
        out.dedup();
        out
    }

    fn truth(step: &Requantize, acc: i64) -> i64 {
        step.apply(i32::try_from(acc).unwrap()).into()
    }

    /// Encoding, evaluator and witness agree at every probe; the witness at `sample` of them.
    fn exact(encoding: &Encoding, step: &Requantize, lo: i32, hi: i32, sample: usize) {
        let probes = probes(step, lo, hi);
        for &acc in &probes {
            assert_eq!(encoding.apply(acc), truth(step, acc), "{step:?} at {acc}");
        }
        let stride = probes.len().div_ceil(sample).max(1);
        let mut points: Vec<Vec<i64>> = probes.iter().step_by(stride).map(|&a| vec![a]).collect();
        points.extend([vec![lo.into()], vec![hi.into()]]);
        let build =
            |cx: &mut Lowering<'_>, x: &[Num]| Ok(vec![encoding.lower(cx, &x[0])?.to_signal(cx)]);
        let expected = |v: &[i64]| Some(vec![Fr::from(truth(step, v[0]))]);
        let subject = Subject::new(
            encoding.kind().name(),
            &[(lo.into(), hi.into())],
            &build,
            &expected,
        );
        subject.check_honest(&points).unwrap();
        let constraints = subject.constraints().unwrap();
        let dense = usize::from(constraints > 0);
        assert!(
            constraints + dense == encoding.cost() || (constraints == 0 && encoding.cost() <= 1),
            "{step:?} over {lo} ..= {hi}: {constraints} constraints, cost {}",
            encoding.cost()
        );
    }

    #[test]
    fn every_shift_is_exact_at_every_threshold() {
        for k in 1..=15 {
            for elem in ELEMS {
                let step = Requantize::new(shift_multiplier(k).unwrap(), elem.min(), elem).unwrap();
                for (lo, hi) in [(i32::MIN, i32::MAX), (-(100 << k), 300 << k), (7, 90 << k)] {
                    let encoding = plan(&step, lo, hi).unwrap();
                    assert_eq!(encoding.kind(), &Kind::Shift { k });
                    exact(&encoding, &step, lo, hi, 90);
                }
            }
        }
    }

    #[test]
    fn random_multipliers_are_exact_at_every_threshold() {
        let mut rng = Rng(0x0123_4567_89ab_cdef);
        let (mut affine, mut tables, mut constants) = (0, 0, 0);
        for round in 0..240 {
            let elem = ELEMS[round % 2];
            // Exponents from 2^-34 to 2^9.
            let bits = (u32::try_from(rng.below(43)).unwrap() + 93) << 23
                | u32::try_from(rng.below(1 << 23)).unwrap();
            let zero_point = elem.min() + i32::try_from(rng.below(256)).unwrap();
            let step = Requantize::new(f32::from_bits(bits), zero_point, elem).unwrap();
            let width = 1_i64 << (2 + rng.below(30));
            let (a, b) = (
                rng.below(1 << 32) - (1 << 31),
                rng.below(1 << 32) - (1 << 31),
            );
            let (lo, hi) = match round % 4 {
                0 => (i32::MIN, i32::MAX),
                1 => (int32(a.min(b)), int32(a.max(b))),
                _ => (int32(-width * 3 / 5), int32(width - 1)),
            };
            let encoding = plan(&step, lo, hi).unwrap();
            match encoding.kind() {
                Kind::Constant => constants += 1,
                Kind::Shift { .. } => panic!("{step:?} is no shift"),
                Kind::Affine(_) => affine += 1,
                Kind::Table(_) => tables += 1,
            }
            exact(&encoding, &step, lo, hi, 60);
            if encoding.kind() == &Kind::Constant {
                continue;
            }
            let table = ThresholdTable::new(&step, lo, hi).unwrap();
            let table = Encoding::of_kind(Kind::Table(table), &step, lo, hi).unwrap();
            exact(&table, &step, lo, hi, 20);
        }
        assert!(
            affine > 60 && tables > 3 && constants > 10,
            "{affine} {tables} {constants}"
        );
    }

    #[test]
    fn hostile_multipliers_are_exact_at_every_threshold() {
        let below = |x: f32| f32::from_bits(x.to_bits() - 1);
        for m in [
            0.0,
            f32::from_bits(1),
            f32::MIN_POSITIVE,
            f32::MAX,
            0.5,
            1.0,
            2.0,
            0.125,
            1.0 / 65536.0,
            below(1.0 / 65536.0),
            below(1.0),
            255.0,
            256.0,
            1e30,
            1.0 / 3.0,
            0.000_231_593_48,
            0.000_030_517_6,
            1.0e-9,
            below(2.0_f32.powi(-24)),
        ] {
            for (zero_point, elem) in [
                (0, ElemType::Uint8),
                (255, ElemType::Uint8),
                (128, ElemType::Uint8),
                (-128, ElemType::Int8),
                (127, ElemType::Int8),
                (-3, ElemType::Int8),
            ] {
                let step = Requantize::new(m, zero_point, elem).unwrap();
                for (lo, hi) in [
                    (i32::MIN, i32::MAX),
                    (i32::MIN, i32::MIN + 1),
                    (i32::MAX - 7, i32::MAX),
                    (-40_000, 70_000),
                    (0, 1),
                    (5, 5),
                ] {
                    let encoding = plan(&step, lo, hi).unwrap();
                    exact(&encoding, &step, lo, hi, 25);
                }
            }
        }
    }

    #[test]
    fn the_product_is_rounded_to_float32_first() {
        let step = Requantize::new(0.000_231_593_48, 0, ElemType::Uint8).unwrap();
        let (lo, hi) = (-500_000, 1_200_000);
        let encoding = plan(&step, lo, hi).unwrap();
        assert_eq!(encoding.apply(338_956), 78);
        exact(&encoding, &step, lo, hi, 1000);
    }

    #[test]
    fn chosen_encodings_are_sound() {
        let mut seen = [0; 2];
        for (m, zero_point, elem, lo, hi) in [
            (0.0021_f32, 11, ElemType::Uint8, -9000, 120_000),
            (0.001_953_9, -128, ElemType::Int8, -90_000, 140_000),
            (1.7e-5, 3, ElemType::Int8, -4_000_000, 7_000_000),
            (3.1e-5, 0, ElemType::Uint8, -9_000_000, 9_000_000),
            (3.5, 100, ElemType::Uint8, -300, 300),
            (0.02, 0, ElemType::Uint8, 40, 130),
        ] {
            let step = Requantize::new(m, zero_point, elem).unwrap();
            let encoding = plan(&step, lo, hi).unwrap();
            seen[usize::from(matches!(encoding.kind(), Kind::Table(_)))] += 1;
            let probes = probes(&step, lo, hi);
            let mut points: Vec<Vec<i64>> = probes
                .iter()
                .step_by(probes.len().div_ceil(6))
                .map(|&a| vec![a])
                .collect();
            if let Kind::Affine(affine) = encoding.kind() {
                points.extend(affine.exceptions().iter().map(|e| vec![e.acc]));
            }
            let build = |cx: &mut Lowering<'_>, x: &[Num]| {
                Ok(vec![requantize(cx, &x[0], &step)?.to_signal(cx)])
            };
            let expected = |v: &[i64]| Some(vec![Fr::from(truth(&step, v[0]))]);
            let interval = [(lo.into(), hi.into())];
            let subject = Subject::new(encoding.kind().name(), &interval, &build, &expected);
            subject.check_honest(&points).unwrap();
            subject.check_mutations(&points).unwrap();
            subject.check_rank(&points).unwrap();
            // Removals in a table of full size are too many to search; small ones are searched in
            // `threshold`.
            for backend in [Backend::Plain, Backend::Committed] {
                let encoding = plan_for(backend, &step, lo, hi).unwrap();
                if matches!(encoding.kind(), Kind::Affine(_)) {
                    let mut subject = Subject::new("affine", &interval, &build, &expected);
                    subject.settings.retain(|s| s.backend == backend);
                    subject.check_removals(&points).unwrap();
                }
            }
        }
        assert!(seen[0] > 0 && seen[1] > 0, "{seen:?}");
    }

    #[test]
    fn accumulators_beyond_int32_are_refused() {
        let cx = &mut Lowering::shape(Backend::Plain, 1).unwrap();
        let step = Requantize::new(0.1, 0, ElemType::Uint8).unwrap();
        for (lo, hi) in [(0, 1_i64 << 31), (-(1_i64 << 31) - 1, 0)] {
            let acc = Num::claimed(cx, crate::Wire(1), 0, lo, hi);
            let error = requantize(cx, &acc, &step).unwrap_err();
            assert_eq!(error.code(), "accumulator-overflow");
        }
        assert!(plan(&step, 3, 2).is_err());
    }
}

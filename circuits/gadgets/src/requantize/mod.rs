//! Requantize inside the circuit: three encodings of one step function.
//!
//! A requantize is a monotone step function of its int32 accumulator. The compiler takes the
//! cheapest of a shift, an affine form with corrections and a threshold table, and checks the
//! choice against [`Requantize::apply`] on both sides of every step of either function, which
//! proves them equal over the whole interval: between steps both are constant.

mod affine;
mod shift;
mod staircase;
mod threshold;

use std::collections::HashMap;
use std::sync::{Arc, LazyLock, PoisonError, RwLock};

use proofmark_tensor::Requantize;

pub use affine::{Affine, Exception};
pub use shift::clamped_shift;
pub use threshold::ThresholdTable;

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

    fn new(step: &Requantize, lo: i32, hi: i32) -> Result<Self, LowerError> {
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
        match Affine::search(&stairs, f64::from(step.multiplier())) {
            Some(affine) if affine.cost(true) <= table.cost() => {
                Self::of_kind(Kind::Affine(affine), step, lo, hi)
            }
            _ => Ok(table),
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
fn short(cx: &mut Lowering<'_>, acc: &Num) -> Result<Num, LowerError> {
    if acc.weight() > SHORT {
        acc.materialised(cx, "requantize-accumulator")
    } else {
        Ok(acc.clone())
    }
}

type Key = (u32, i32, u8, i32, i32);
static PLANS: LazyLock<RwLock<HashMap<Key, Arc<Encoding>>>> = LazyLock::new(RwLock::default);
/// Plans kept a process; past it the cache starts anew.
const MOST_PLANS: usize = 1 << 16;

/// The cheapest encoding of a requantize for accumulators in `lo ..= hi`; deterministic, checked
/// at every threshold and beside it, and kept for the process, since every witness asks again.
///
/// # Errors
/// [`LowerError::Encoding`] when `lo > hi` or the check fails (a bug of the encoder).
pub fn plan(step: &Requantize, lo: i32, hi: i32) -> Result<Arc<Encoding>, LowerError> {
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
    );
    let known = PLANS.read().unwrap_or_else(PoisonError::into_inner);
    if let Some(plan) = known.get(&key) {
        return Ok(Arc::clone(plan));
    }
    drop(known);
    let plan = Arc::new(Encoding::new(step, lo, hi)?);
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
    plan(step, lo, hi)?.lower(cx, acc)
}

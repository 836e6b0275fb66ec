//! Integers inside a circuit, each with an interval that constraints enforce.

use ark_bn254::Fr;
use ark_ff::{AdditiveGroup, Field, Zero};

use crate::error::LowerError;
use crate::lc::{Lc, Wire};
use crate::lowering::Lowering;
use crate::operands::WitnessMode;

/// A field element inside a circuit: its linear combination (shape mode) or value (witness mode).
#[derive(Debug, Clone, Default)]
pub struct Signal {
    /// Linear combination; empty in witness mode.
    pub lc: Lc,
    /// Value; 0 in shape mode.
    pub value: Fr,
}

impl Signal {
    /// A constant.
    pub fn constant(cx: &Lowering<'_>, value: Fr) -> Self {
        if cx.emits() {
            Self {
                lc: Lc::constant(value),
                value: Fr::ZERO,
            }
        } else {
            Self {
                lc: Lc::zero(),
                value,
            }
        }
    }

    /// `Σ coefficient · signal + constant`.
    pub fn linear<'s>(
        cx: &Lowering<'_>,
        terms: impl IntoIterator<Item = (Fr, &'s Self)>,
        constant: Fr,
    ) -> Self {
        let mut sum = Self::constant(cx, constant);
        for (coefficient, signal) in terms {
            if cx.emits() {
                sum.lc.accumulate(coefficient, &signal.lc);
            } else {
                sum.value += coefficient * signal.value;
            }
        }
        sum
    }
}

/// Combinations with more terms than this are merged when they are made. The bound on the number
/// of terms ([`Num::weight`]) does not depend on it, since it must be the same in both modes.
const MERGE_FROM: usize = 4096;

/// An integer inside a circuit with a **proven** interval: for every assignment that satisfies the
/// constraints emitted so far, its value, read as an integer of absolute value below 2^63, lies in
/// `lo ..= hi`. Only gadgets that enforce a range may make one from a wire.
#[derive(Debug, Clone)]
pub struct Num {
    lc: Lc,
    value: i64,
    lo: i64,
    hi: i64,
    weight: u32,
}

impl Num {
    /// A constant.
    pub fn constant(cx: &Lowering<'_>, value: i64) -> Self {
        let lc = if cx.emits() {
            Lc::constant(Fr::from(value))
        } else {
            Lc::zero()
        };
        Self {
            lc,
            value,
            lo: value,
            hi: value,
            weight: 1,
        }
    }

    /// A wire whose range the caller has enforced (or enforces next). The one place where a range
    /// is claimed: each caller says which constraints prove it.
    pub(crate) fn claimed(cx: &Lowering<'_>, wire: Wire, value: i64, lo: i64, hi: i64) -> Self {
        let lc = if cx.emits() {
            Lc::wire(wire)
        } else {
            Lc::zero()
        };
        Self {
            lc,
            value,
            lo,
            hi,
            weight: 1,
        }
    }

    /// A limb: a combination of bits whose booleanity proves the range.
    pub(crate) fn from_limb(lc: Lc, value: i64, lo: i64, hi: i64) -> Self {
        // One term a bit, at most; the same in both modes.
        let weight = 64 - hi.leading_zeros();
        Self {
            lc,
            value,
            lo,
            hi,
            weight: weight.max(1),
        }
    }

    /// A combination of numbers in witness mode, where no terms are kept; `None` when its interval
    /// leaves 63 bits.
    pub(crate) fn without_terms(
        _: WitnessMode,
        value: i64,
        lo: i64,
        hi: i64,
        weight: u32,
    ) -> Option<Self> {
        let bound = 1_i64 << 62;
        (lo > -bound && hi < bound).then_some(Self {
            lc: Lc::zero(),
            value,
            lo,
            hi,
            weight,
        })
    }

    /// The same number with another bound on its number of terms.
    pub(crate) fn with_weight(mut self, weight: u32) -> Self {
        self.weight = weight;
        self
    }

    /// The same value under a tighter interval that the caller has proven.
    pub(crate) fn narrowed(mut self, lo: i64, hi: i64) -> Self {
        self.lo = self.lo.max(lo);
        self.hi = self.hi.min(hi);
        self
    }

    /// `Σ coefficient · num + constant`: no constraint, only a linear combination. The interval is
    /// that of the weights and the terms' intervals.
    ///
    /// # Errors
    /// [`LowerError::IntervalTooWide`] when the interval leaves 63 bits.
    pub fn linear<'n>(
        cx: &Lowering<'_>,
        terms: impl IntoIterator<Item = (i64, &'n Self)>,
        constant: i64,
    ) -> Result<Self, LowerError> {
        let emits = cx.emits();
        let mut lc = if emits {
            Lc::constant(Fr::from(constant))
        } else {
            Lc::zero()
        };
        let (mut lo, mut hi) = (i128::from(constant), i128::from(constant));
        let mut value = constant;
        let mut weight = 1_u32;
        for (coefficient, num) in terms {
            if coefficient == 0 {
                continue;
            }
            let at = |end: i64| i128::from(coefficient) * i128::from(end);
            let (least, most) = if coefficient > 0 {
                (num.lo, num.hi)
            } else {
                (num.hi, num.lo)
            };
            lo += at(least);
            hi += at(most);
            weight = weight.saturating_add(num.weight);
            if emits {
                lc.accumulate(Fr::from(coefficient), &num.lc);
            } else {
                value = value.wrapping_add(coefficient.wrapping_mul(num.value));
            }
        }
        // A sum of sums of itself would double its terms each time. Merging changes no row.
        if lc.terms().len() > MERGE_FROM {
            lc = lc.normalised();
        }
        // |value| < 2^63 keeps every sum and difference unique modulo the 254-bit field order, and
        // makes the wrapping arithmetic above exact.
        let bound = 1_i128 << 62;
        if lo <= -bound || hi >= bound {
            return Err(LowerError::IntervalTooWide {
                path: cx.path("linear"),
                lo,
                hi,
            });
        }
        let narrow = |v: i128| i64::try_from(v).unwrap_or_default();
        Ok(Self {
            lc,
            value,
            lo: narrow(lo),
            hi: narrow(hi),
            weight,
        })
    }

    /// `self + constant`.
    ///
    /// # Errors
    /// Those of [`linear`](Self::linear).
    pub fn plus(&self, cx: &Lowering<'_>, constant: i64) -> Result<Self, LowerError> {
        Self::linear(cx, [(1, self)], constant)
    }

    /// The same number as a wire of its own: one constraint, none when it is one already. Worth
    /// it where a long combination would stand in several constraints.
    ///
    /// # Errors
    /// Those of [`Lowering::hint`] and [`Lowering::enforce`].
    pub fn materialised(
        &self,
        cx: &mut Lowering<'_>,
        step: &'static str,
    ) -> Result<Self, LowerError> {
        if self.weight <= 1 {
            return Ok(self.clone());
        }
        // Constrained by the next line to be the very same number, so its interval holds.
        let wire = cx.hint(step, || Fr::from(self.value))?;
        let out = Self::claimed(cx, wire, self.value, self.lo, self.hi);
        enforce_equal(cx, step, self.lc.clone(), out.lc.clone())?;
        Ok(out)
    }

    /// Smallest value the constraints allow.
    pub const fn lo(&self) -> i64 {
        self.lo
    }

    /// Largest value the constraints allow.
    pub const fn hi(&self) -> i64 {
        self.hi
    }

    /// Value in witness mode; meaningless in shape mode.
    pub const fn value(&self) -> i64 {
        self.value
    }

    /// Upper bound on the number of terms of the linear combination; the same in both modes, so
    /// that a gadget may choose its form by it.
    pub const fn weight(&self) -> u32 {
        self.weight
    }

    /// The linear combination; empty in witness mode.
    pub const fn lc(&self) -> &Lc {
        &self.lc
    }

    /// The linear combination by value.
    pub fn into_lc(self) -> Lc {
        self.lc
    }

    /// As a field element.
    pub fn to_signal(&self, cx: &Lowering<'_>) -> Signal {
        if cx.emits() {
            Signal {
                lc: self.lc.clone(),
                value: Fr::zero(),
            }
        } else {
            Signal {
                lc: Lc::zero(),
                value: Fr::from(self.value),
            }
        }
    }

    /// Whether the interval is a single value.
    pub const fn is_constant(&self) -> bool {
        self.lo == self.hi
    }

    /// In witness mode, that the value lies in its interval.
    ///
    /// # Errors
    /// [`LowerError::ValueOutsideInterval`] when it does not.
    pub fn check(&self, cx: &Lowering<'_>, step: &str) -> Result<(), LowerError> {
        if !cx.emits() && (self.value < self.lo || self.value > self.hi) {
            return Err(LowerError::ValueOutsideInterval {
                path: cx.path(step),
                value: self.value,
                lo: self.lo,
                hi: self.hi,
            });
        }
        Ok(())
    }
}

/// `left · right` as a new wire: one constraint.
///
/// # Errors
/// Those of [`Lowering::hint`] and [`Lowering::enforce`].
pub fn product(
    cx: &mut Lowering<'_>,
    step: &'static str,
    left: &Signal,
    right: &Signal,
) -> Result<Signal, LowerError> {
    // Constrained by the next line.
    let out = cx.hint_signal(step, || left.value * right.value)?;
    cx.enforce(step, left.lc.clone(), right.lc.clone(), out.lc.clone())?;
    Ok(out)
}

/// That two field elements are equal: one constraint, `left · 1 = right`.
///
/// # Errors
/// Those of [`Lowering::enforce`].
pub fn enforce_equal(
    cx: &mut Lowering<'_>,
    step: &'static str,
    left: Lc,
    right: Lc,
) -> Result<(), LowerError> {
    cx.enforce(step, left, Lc::constant(Fr::ONE), right)
}

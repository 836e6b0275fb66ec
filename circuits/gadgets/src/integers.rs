//! Field elements that are small integers, so that rows are evaluated in machine integers.
//!
//! `r − v` counts as `−v`. What is not small falls to field arithmetic; the result is the same.

use std::sync::LazyLock;

use ark_bn254::Fr;
use ark_ff::{AdditiveGroup, Field, PrimeField, Zero};
use rayon::prelude::*;
use zeroize::Zeroizing;

/// Integer coefficients are below 2^this in absolute value.
const COEFFICIENT_BITS: u32 = 62;
/// Largest power of two that a coefficient is looked for divided by.
const MAX_SCALE: u8 = 31;
/// Numerators of divided coefficients are below 2^this, so that a random field element is none.
const NUMERATOR_BITS: u32 = 40;
/// Terms that are summed in 64 bits: 2^15 · 2^31 · 2^16 = 2^62.
const RUN: usize = 1 << 16;
/// Integers up to this in absolute value come from a table.
const TABLE: i128 = 512;

static SMALL: LazyLock<Vec<Fr>> =
    LazyLock::new(|| (-512_i64..=512).map(Fr::from).collect::<Vec<_>>());

/// `2^-k` for `k` up to [`MAX_SCALE`].
static HALVES: LazyLock<Vec<Fr>> = LazyLock::new(|| {
    let half = Fr::from(2_u64).inverse().unwrap_or_default();
    std::iter::successors(Some(Fr::ONE), |power| Some(*power * half))
        .take(usize::from(MAX_SCALE) + 1)
        .collect()
});

/// An integer as a field element.
pub(crate) fn to_field(integer: i128) -> Fr {
    if (-TABLE..=TABLE).contains(&integer)
        && let Ok(at) = usize::try_from(integer + TABLE)
        && let Some(known) = SMALL.get(at)
    {
        return *known;
    }
    match i64::try_from(integer) {
        Ok(narrow) => Fr::from(narrow),
        Err(_) => Fr::from(integer),
    }
}

/// `integer · 2^-scale` as a field element.
pub(crate) fn scaled(integer: i128, scale: u8) -> Fr {
    let whole = to_field(integer);
    match (scale, HALVES.get(usize::from(scale))) {
        (0, _) | (_, None) => whole,
        (_, Some(factor)) => whole * factor,
    }
}

/// The integer of absolute value below `2^bits` (at most 63) that a field element is, if any.
fn integer(value: &Fr, bits: u32) -> Option<i64> {
    let within = |limbs: [u64; 4]| match limbs {
        [low, 0, 0, 0] if low >> bits == 0 => i64::try_from(low).ok(),
        _ => None,
    };
    within(value.into_bigint().0).or_else(|| within((-*value).into_bigint().0).map(|v| -v))
}

/// What a coefficient is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Number {
    /// `integer · 2^-scale`, odd when the scale is not 0.
    Integer(i64, u8),
    /// Anything else.
    Other,
}

/// Recognises coefficients; remembers some, since they repeat.
#[derive(Debug, Clone, Default)]
pub(crate) struct Classifier {
    recent: Vec<(Fr, Option<Number>)>,
}

impl Classifier {
    const SLOTS: usize = 4096;

    pub(crate) fn number(&mut self, value: Fr) -> Number {
        if self.recent.is_empty() {
            self.recent = vec![(Fr::ZERO, None); Self::SLOTS];
        }
        // The high bits of a product depend on all bits of the (Montgomery) limb.
        let mixed = value.0.0[0].wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 52;
        let slot = usize::try_from(mixed)
            .ok()
            .and_then(|at| self.recent.get_mut(at));
        match slot {
            Some((known, Some(number))) if *known == value => *number,
            Some(slot) => {
                let number = classify(value);
                *slot = (value, Some(number));
                number
            }
            None => classify(value),
        }
    }
}

fn classify(value: Fr) -> Number {
    if let Some(integer) = integer(&value, COEFFICIENT_BITS) {
        return Number::Integer(integer, 0);
    }
    let mut doubled = value;
    for scale in 1..=MAX_SCALE {
        doubled.double_in_place();
        if let Some(integer) = integer(&doubled, NUMERATOR_BITS) {
            return Number::Integer(integer, scale);
        }
    }
    Number::Other
}

/// The numbers over one power of two; `None` when one is no such number or too large then.
pub(crate) fn common(numbers: &[Number]) -> Option<(u8, Vec<i64>)> {
    let mut most = 0;
    for number in numbers {
        match number {
            Number::Integer(_, scale) => most = most.max(*scale),
            Number::Other => return None,
        }
    }
    let integers = numbers.iter().map(|number| match number {
        Number::Integer(integer, scale) => {
            let wide = i128::from(*integer) << (most - scale);
            let narrow = i64::try_from(wide).ok()?;
            (narrow.unsigned_abs() >> COEFFICIENT_BITS == 0).then_some(narrow)
        }
        Number::Other => None,
    });
    Some((most, integers.collect::<Option<_>>()?))
}

/// An assignment and, beside each value, the small integer that it is: decided once a proof. The
/// integers are wiped on drop; the assignment is its owner's.
pub struct Small<'z> {
    values: &'z [Fr],
    /// [`NOT_SMALL`] where the value is not in `-2^31 + 1 ..= 2^31 - 1`.
    integers: Zeroizing<Vec<i32>>,
}

const NOT_SMALL: i32 = i32::MIN;

impl<'z> Small<'z> {
    /// Classifies the values of an assignment.
    pub fn new(values: &'z [Fr]) -> Self {
        let mut integers = Zeroizing::new(vec![NOT_SMALL; values.len()]);
        integers
            .par_iter_mut()
            .zip(values)
            .with_min_len(1 << 10)
            .for_each(|(out, value)| {
                // Most wires carry bits.
                *out = if value.is_zero() {
                    0
                } else if *value == Fr::ONE {
                    1
                } else {
                    integer(value, 31)
                        .and_then(|v| i32::try_from(v).ok())
                        .unwrap_or(NOT_SMALL)
                };
            });
        Self { values, integers }
    }

    /// The integer on a wire, if it is a small one; 0 beyond the assignment.
    pub(crate) fn get(&self, wire: u32) -> Option<i32> {
        match self.integers.get(wire as usize) {
            Some(&NOT_SMALL) => None,
            Some(&integer) => Some(integer),
            None => Some(0),
        }
    }

    /// `coefficient · value`; 0 beyond the assignment.
    pub(crate) fn times(&self, wire: u32, coefficient: Fr) -> Fr {
        match (self.get(wire), self.values.get(wire as usize)) {
            (Some(0), _) | (_, None) => Fr::ZERO,
            (Some(1), _) => coefficient,
            (_, Some(value)) => coefficient * value,
        }
    }

    /// `Σ coefficient · value` over wires `shift + relative`; `None` when a value is not small.
    pub(crate) fn dot_short(
        &self,
        shift: u32,
        relative: &[u32],
        coefficients: &[i16],
    ) -> Option<i128> {
        let integers = self.integers.get(shift as usize..).unwrap_or_default();
        // Most pieces are short.
        if let ([wire], [coefficient]) = (relative, coefficients) {
            return match integers.get(*wire as usize) {
                Some(&NOT_SMALL) => None,
                Some(&z) => Some((i64::from(*coefficient) * i64::from(z)).into()),
                None => Some(0),
            };
        }
        let mut total = 0_i128;
        for (wires, coefficients) in relative.chunks(RUN).zip(coefficients.chunks(RUN)) {
            let mut sum = 0_i64;
            let mut all_small = true;
            for (&wire, &coefficient) in wires.iter().zip(coefficients) {
                let z = integers.get(wire as usize).copied().unwrap_or_default();
                all_small &= z != NOT_SMALL;
                // Cannot wrap, by the length of a run.
                sum = sum.wrapping_add(i64::from(coefficient).wrapping_mul(i64::from(z)));
            }
            if !all_small {
                return None;
            }
            total += i128::from(sum);
        }
        Some(total)
    }
}

/// A sum of integers over a power of two and field elements.
#[derive(Debug, Default)]
pub(crate) struct Sum {
    /// `integer · 2^-scale`
    integer: i128,
    scale: u8,
    field: Fr,
}

impl Sum {
    /// Adds `integer · 2^-scale`.
    pub(crate) fn add_integer(&mut self, integer: i128, scale: u8) {
        if self.scale == scale
            && let Some(sum) = self.integer.checked_add(integer)
        {
            self.integer = sum;
            return;
        }
        let common = self.scale.max(scale);
        let shift = |v: i128, by: u8| v.checked_mul(1_i128 << by);
        let both = shift(self.integer, common - self.scale).zip(shift(integer, common - scale));
        match both.and_then(|(a, b)| a.checked_add(b)) {
            Some(sum) => (self.integer, self.scale) = (sum, common),
            None => self.field += scaled(integer, scale),
        }
    }

    pub(crate) fn add_field(&mut self, value: Fr) {
        self.field += value;
    }

    pub(crate) fn value(self) -> RowValue {
        let whole = self.integer >> self.scale;
        match (whole << self.scale == self.integer, self.field.is_zero()) {
            (true, true) => RowValue::Integer(whole),
            (true, false) => RowValue::Field(self.field + to_field(whole)),
            (false, _) => RowValue::Field(self.field + scaled(self.integer, self.scale)),
        }
    }
}

/// The inner product of a row and an assignment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RowValue {
    /// An integer, as an element of the field.
    Integer(i128),
    /// Another element.
    Field(Fr),
}

impl RowValue {
    /// As a field element.
    pub fn to_field(self) -> Fr {
        match self {
            Self::Integer(integer) => to_field(integer),
            Self::Field(value) => value,
        }
    }
}

/// Whether `a · b = c` in the field.
pub fn is_product(a: RowValue, b: RowValue, c: RowValue) -> bool {
    if let (RowValue::Integer(a), RowValue::Integer(b), RowValue::Integer(c)) = (a, b, c)
        && let Some(product) = a.checked_mul(b)
        && product == c
    {
        // Equal integers are equal elements; different ones may still be, and are left to the field.
        return true;
    }
    a.to_field() * b.to_field() == c.to_field()
}

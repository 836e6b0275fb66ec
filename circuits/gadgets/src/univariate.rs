//! Any function of one integer over a known interval, by the cheapest encoding of what it is.

use std::collections::HashMap;
use std::sync::{Arc, LazyLock, PoisonError, RwLock};

use ark_bn254::Fr;

use crate::circuit::Backend;
use crate::equal::is_equal;
use crate::error::LowerError;
use crate::limbs::{self, limbs};
use crate::logup::table::{LookupTable, Packing};
use crate::logup::widths::price;
use crate::lookup::{MAX_INDEX_BITS, Table, lookup};
use crate::lowering::Lowering;
use crate::num::Num;
use crate::requantize::short;
use crate::steps::{Fit, Steps, fit};

/// From this many corrections on, the output gets a wire of its own.
const MATERIALISE_FROM: usize = 4;

/// How a function is put into constraints.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Form {
    /// `slope · x + offset`: no constraint (a slope of 0 is a constant).
    Linear {
        /// The factor.
        slope: i64,
        /// What is added.
        offset: i64,
    },
    /// `base ± min(clamp((weight · (x − lo) + offset) >> shift, 0, 255), top)`, corrected at a few
    /// places.
    Steps(Box<Stepped>),
    /// A table of up to 256 entries.
    Table(Table),
}

/// A monotone function as a shift with corrections.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stepped {
    weight: i64,
    steps: Steps,
    /// `x`, and what is added to the output there.
    corrections: Vec<(i64, i64)>,
}

impl Stepped {
    fn plain(&self, lo: i64, x: i64) -> i64 {
        self.steps.apply(self.weight * (x - lo))
    }

    fn fixed(&self, lo: i64, x: i64) -> i64 {
        let fix = self
            .corrections
            .iter()
            .filter(|c| c.0 == x)
            .map(|c| c.1)
            .sum::<i64>();
        self.plain(lo, x) + fix
    }

    fn cost(&self, lo: i64, hi: i64) -> usize {
        let end = self.weight * (hi - lo);
        let count = self.corrections.len();
        self.steps.cost(end.min(0), end.max(0)) + 2 * count + usize::from(count >= MATERIALISE_FROM)
    }
}

impl Form {
    /// Short stable name.
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Linear { slope: 0, .. } => "constant",
            Self::Linear { .. } => "linear",
            Self::Steps(_) => "steps",
            Self::Table(_) => "table",
        }
    }
}

/// A function given by its values on an interval of integers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Function {
    lo: i64,
    hi: i64,
    /// Smallest and largest value.
    out: (i64, i64),
    form: Form,
    /// The function as pairs in a lookup table; `None` where it is linear.
    pairs: Option<LookupTable>,
}

type Key = (i64, Vec<i64>);
static FUNCTIONS: LazyLock<RwLock<HashMap<Key, Arc<Function>>>> = LazyLock::new(RwLock::default);
/// Functions kept a process; past it the cache starts anew.
const MOST_FUNCTIONS: usize = 1 << 14;

impl Function {
    /// The function with value `values[i]` at `lo + i`, in the cheapest form; deterministic,
    /// checked at every entry, and kept for the process, since every witness asks again.
    ///
    /// # Errors
    /// [`LowerError::BadTable`] for no value, one of 2^40 or more, or more than 256 values of a
    /// function that is not linear.
    pub fn new(lo: i64, values: &[i64]) -> Result<Arc<Self>, LowerError> {
        let key = (lo, values.to_vec());
        let known = FUNCTIONS.read().unwrap_or_else(PoisonError::into_inner);
        if let Some(function) = known.get(&key) {
            return Ok(Arc::clone(function));
        }
        drop(known);
        let function = Arc::new(Self::choose(lo, values)?);
        let mut known = FUNCTIONS.write().unwrap_or_else(PoisonError::into_inner);
        if known.len() >= MOST_FUNCTIONS {
            known.clear();
        }
        known.insert(key, Arc::clone(&function));
        Ok(function)
    }

    fn choose(lo: i64, values: &[i64]) -> Result<Self, LowerError> {
        let bad = |reason: String| LowerError::BadTable {
            path: "function".to_owned(),
            reason,
        };
        let length = i64::try_from(values.len()).unwrap_or(i64::MAX);
        let hi = lo
            .checked_add(length - 1)
            .filter(|hi| lo.unsigned_abs().max(hi.unsigned_abs()) < 1 << 31)
            .ok_or_else(|| bad(format!("{length} values from {lo} on leave int32")))?;
        let (Some(&least), Some(&most)) = (values.iter().min(), values.iter().max()) else {
            return Err(bad("a function without a value".to_owned()));
        };
        if least.unsigned_abs().max(most.unsigned_abs()) >= 1 << 40 {
            return Err(bad("a value of 2^40 or more".to_owned()));
        }
        let form = match (linear(lo, values), table(values)) {
            (Some(linear), _) => linear,
            (None, Ok(table)) => match stepped(lo, values, table_cost(&table)) {
                Some(steps) => steps,
                None => Form::Table(table),
            },
            (None, Err(error)) => stepped(lo, values, usize::MAX).ok_or(error)?,
        };
        let mut function = Self {
            lo,
            hi,
            out: (least, most),
            form,
            pairs: None,
        };
        if function.by_bits_price() > 0 {
            let keys = (0..).zip(values).map(|(q, value)| (q, value - least));
            function.pairs = Some(LookupTable::pairs(keys, function.packing().stride)?);
        }
        for (x, &value) in (lo..).zip(values) {
            if function.apply(x) != Some(value) {
                return Err(LowerError::Encoding {
                    path: "function".to_owned(),
                    reason: format!("the {} form is wrong at {x}", function.form.name()),
                });
            }
        }
        Ok(function)
    }

    /// Which form it is.
    pub const fn form(&self) -> &Form {
        &self.form
    }

    /// Short stable name of the form.
    pub const fn name(&self) -> &'static str {
        self.form.name()
    }

    /// The value that the constraints give an `x` inside the interval.
    pub fn apply(&self, x: i64) -> Option<i64> {
        match &self.form {
            Form::Linear { slope, offset } => Some(slope * x + offset),
            Form::Steps(stepped) => Some(stepped.fixed(self.lo, x)),
            Form::Table(table) => table.entry(0, usize::try_from(x - self.lo).ok()?),
        }
    }

    /// Constraints with bits, for an `x` of at most 16 terms.
    pub fn cost(&self) -> usize {
        match &self.form {
            Form::Linear { .. } => 0,
            Form::Steps(stepped) => stepped.cost(self.lo, self.hi),
            Form::Table(table) => table_cost(table),
        }
    }

    /// Price of the form without pairs in a circuit with lookups, in tenths of a dense scalar.
    fn by_bits_price(&self) -> u64 {
        match &self.form {
            Form::Linear { .. } => 0,
            Form::Steps(stepped) => {
                let count = stepped.corrections.len() as u64;
                let output = u64::from(stepped.corrections.len() >= MATERIALISE_FROM);
                stepped.steps.price() + count * price::IS_EQUAL + output * price::WIRE
            }
            Form::Table(table) => {
                u64::from(table.bits()) * price::BIT + table.cost() as u64 * price::WIRE
            }
        }
    }

    /// The argument counts from the interval's lower end, the value from the smallest.
    const fn packing(&self) -> Packing {
        Packing::of(0, self.hi - self.lo)
    }

    fn value_bits(&self) -> u32 {
        64 - (self.out.1 - self.out.0).leading_zeros()
    }

    /// Price of pairs with one table for `uses` values, in tenths of a dense scalar.
    fn pairs_price(&self, table: &LookupTable, known: bool, uses: usize) -> u64 {
        let one = price::LOOKUP + price::SMALL + price::range(self.value_bits());
        let entries = if known { 0 } else { table.len() as u64 };
        uses as u64 * one + entries * price::ENTRY
    }

    /// Emits the constraints and returns the value at `x`. The function is asked for about `uses`
    /// times in a circuit with lookups, where one table serves them all; its form depends on that.
    ///
    /// # Soundness
    /// Pairs: `x − lo` is an integer in `0 ..= hi − lo` by the proven interval of `x`, and the
    /// value less the smallest is proven to be an integer in `0 ..= 2^b − 1` by its range. The
    /// stride is the number of values that the first can take, so the key is that of the pair
    /// ([`Packing`]), and the table has one pair for each `x`. The linear form is the very number. Steps are a function of `x` ([`Steps::lower`]), as are
    /// their corrections ([`is_equal`]). For a table, see [`lookup`]: its index is `x − lo`, whose
    /// bits are proven. That this function is the given one was checked at every `x` when the form
    /// was chosen, so its smallest and largest values bound the output.
    ///
    /// # Errors
    /// [`LowerError::IntervalUnfit`] when the interval of `x` is not inside that of the function;
    /// those of the gadgets used.
    pub fn lower(&self, cx: &mut Lowering<'_>, x: &Num, uses: usize) -> Result<Num, LowerError> {
        if x.lo() < self.lo || x.hi() > self.hi {
            return Err(LowerError::IntervalUnfit {
                path: cx.path("function"),
                lo: x.lo(),
                hi: x.hi(),
                bits: MAX_INDEX_BITS,
            });
        }
        x.check(cx, "function")?;
        if let (Backend::Committed, Some(table)) = (cx.backend(), &self.pairs) {
            let pairs = self.pairs_price(table, cx.requests.has(table), uses);
            if pairs < self.by_bits_price() * uses as u64 {
                return self.by_pairs(cx, table, x);
            }
        }
        match &self.form {
            Form::Linear { slope: 0, offset } => Ok(Num::constant(cx, *offset)),
            Form::Linear { slope, offset } => Num::linear(cx, [(*slope, x)], *offset),
            Form::Steps(stepped) => {
                let x = short(cx, x)?;
                let (weight, corrections) = (stepped.weight, &stepped.corrections);
                let scaled = Num::linear(cx, [(weight, &x)], -weight * self.lo)?;
                let mut terms = vec![(1, stepped.steps.lower(cx, &scaled)?)];
                for &(at, delta) in corrections {
                    terms.push((delta, is_equal(cx, &x, at)?));
                }
                let out = Num::linear(cx, terms.iter().map(|(c, num)| (*c, num)), 0)?;
                let out = out.narrowed(self.out.0, self.out.1);
                if corrections.len() >= MATERIALISE_FROM {
                    return out.materialised(cx, "function-corrected");
                }
                Ok(out)
            }
            Form::Table(table) => {
                let index = x.plus(cx, -self.lo)?;
                let bits = limbs(cx, "table-index", &index, &vec![1; table.bits() as usize])?;
                let mut columns = lookup(cx, "table", &bits, table)?;
                let value = columns.pop().ok_or_else(|| LowerError::BadTable {
                    path: cx.path("table"),
                    reason: "no column".to_owned(),
                })?;
                Ok(value.narrowed(self.out.0, self.out.1))
            }
        }
    }
}

impl Function {
    fn by_pairs(
        &self,
        cx: &mut Lowering<'_>,
        table: &LookupTable,
        x: &Num,
    ) -> Result<Num, LowerError> {
        let value = self.apply(x.value()).unwrap_or(self.out.0);
        // Constrained by the range and the lookup.
        let wire = cx.hint("function-value", || Fr::from(value - self.out.0))?;
        let above = Num::claimed(cx, wire, value - self.out.0, 0, self.out.1 - self.out.0);
        cx.range("function-range", &above, self.value_bits())?;
        let stride = self.packing().stride;
        let key = Num::linear(cx, [(1, x), (stride, &above)], -self.lo)?;
        cx.lookup("function-pair", table, &key)?;
        above.plus(cx, self.out.0)
    }
}

/// `slope · x + offset`, where the values are on a line.
fn linear(lo: i64, values: &[i64]) -> Option<Form> {
    let first = *values.first()?;
    let slope = values.get(1).map_or(0, |second| second - first);
    let straight = values
        .windows(2)
        .all(|pair| matches!(pair, [a, b] if b - a == slope));
    straight.then_some(Form::Linear {
        slope,
        offset: first - slope * lo,
    })
}

/// Steps of fewer than `bound` constraints, where the values rise or fall throughout.
fn stepped(lo: i64, values: &[i64], bound: usize) -> Option<Form> {
    let rises = values
        .windows(2)
        .all(|pair| matches!(pair, [a, b] if a <= b));
    let falls = values
        .windows(2)
        .all(|pair| matches!(pair, [a, b] if a >= b));
    if !(rises || falls) {
        return None;
    }
    let column = (0..).zip(values.iter().copied()).collect();
    let Fit { weights, steps, .. } = fit(&[column], bound)?;
    let mut stepped = Stepped {
        weight: weights.0,
        steps,
        corrections: Vec::new(),
    };
    for (x, &value) in (lo..).zip(values) {
        let delta = value - stepped.plain(lo, x);
        if delta != 0 {
            stepped.corrections.push((x, delta));
        }
    }
    let hi = lo + i64::try_from(values.len()).ok()? - 1;
    (stepped.cost(lo, hi) < bound).then(|| Form::Steps(Box::new(stepped)))
}

fn table_cost(table: &Table) -> usize {
    match table.bits() {
        1 => table.cost(),
        bits => limbs::cost(bits, false) + table.cost(),
    }
}

/// The values by index bits; past the last one, where no index gets, the last one again.
fn table(values: &[i64]) -> Result<Table, LowerError> {
    let size = values.len().next_power_of_two();
    let mut column = values.to_vec();
    column.resize(size, values.last().copied().unwrap_or_default());
    Table::new(size.ilog2(), &[column])
}

#[cfg(test)]
mod tests {
    use ark_bn254::Fr;

    use super::*;
    use crate::testing::{Setting, Subject};

    fn sound(lo: i64, values: &[i64], form: &str, most: usize) {
        for uses in [1, 1 << 30] {
            sound_for(uses, lo, values, form, most);
        }
    }

    fn sound_for(uses: usize, lo: i64, values: &[i64], form: &str, most: usize) {
        let function = Function::new(lo, values).unwrap();
        assert_eq!(function.form().name(), form, "{values:?}");
        let hi = lo + i64::try_from(values.len()).unwrap() - 1;
        let build = |cx: &mut Lowering<'_>, x: &[Num]| {
            let y = function.lower(cx, &x[0], uses)?;
            assert!(values.iter().all(|&v| y.lo() <= v && v <= y.hi()));
            Ok(vec![y.to_signal(cx)])
        };
        let expected = |v: &[i64]| {
            let at = usize::try_from(v[0] - lo).unwrap();
            Some(vec![Fr::from(values[at])])
        };
        let mut subject = Subject::new(form, &[(lo, hi)], &build, &expected);
        if uses == 1 {
            assert_eq!(subject.constraints().unwrap(), function.cost());
            assert!(function.cost() <= most, "{} > {most}", function.cost());
        } else {
            // The plain backend asks nobody how often.
            subject = subject.in_setting(Setting::with_tables("pairs", &[4, 2], true));
            let steps = subject.steps_in(&subject.settings[0]).unwrap();
            let pairs = function.pairs.is_some();
            assert_eq!(steps.get("function-pair").copied(), pairs.then_some(1));
        }
        let all: Vec<Vec<i64>> = (lo..=hi).map(|x| vec![x]).collect();
        subject.check_honest(&all).unwrap();
        let some: Vec<Vec<i64>> = all
            .iter()
            .step_by(all.len().div_ceil(16) | 1)
            .cloned()
            .collect();
        subject.check_mutations(&some).unwrap();
        subject.check_rank(&some).unwrap();
        // The searches are for small widths, or for tables, whose index alone has to be guessed.
        if values.len() <= 32 {
            subject.check_removals(&all).unwrap();
        }
        if values.len() <= 32 || form == "table" {
            assert_eq!(subject.check_all_solutions(&all).unwrap(), all.len());
        }
    }

    #[test]
    fn pairs_pay_by_the_number_of_uses() {
        let scrambled: Vec<i64> = (0..256).map(|i| (i * i * i + 41 * i) % 257).collect();
        let function = Function::new(0, &scrambled).unwrap();
        let table = function.pairs.as_ref().unwrap();
        let pays = |known: bool, uses: usize| {
            function.pairs_price(table, known, uses) < function.by_bits_price() * uses as u64
        };
        assert!(!pays(false, 4) && pays(false, 100) && pays(true, 1));
        // Whoever asks for few finds the table of those who ask for many.
        let mut cx = Lowering::shape(Backend::Committed, 1).unwrap();
        let x = Num::claimed(&cx, crate::Wire(1), 0, 0, 255);
        function.lower(&mut cx, &x, 1).unwrap();
        assert!(!cx.requests.has(table));
        function.lower(&mut cx, &x, 100).unwrap();
        assert!(cx.requests.has(table));
        let before = cx.num_constraints();
        function.lower(&mut cx, &x, 1).unwrap();
        assert_eq!(cx.num_constraints(), before);
    }

    #[test]
    fn lines_are_free() {
        sound(-128, &(0..256).collect::<Vec<_>>(), "linear", 0);
        sound(0, &(0..256).rev().collect::<Vec<_>>(), "linear", 0);
        sound(0, &[9; 256], "constant", 0);
        sound(5, &[-7], "constant", 0);
        sound(5, &[-7, 9], "linear", 0);
        sound(-1, &[-7, 0, 7], "linear", 0);
    }

    #[test]
    fn clamps_and_rescales_are_steps() {
        let bytes = |f: &dyn Fn(i64) -> i64| -> Vec<i64> { (0..256).map(f).collect() };
        sound(
            -3,
            &(0..16).map(|x| i64::max(x, 5)).collect::<Vec<_>>(),
            "steps",
            6,
        );
        sound(
            -3,
            &(0..16).map(|x| i64::min(x, 5)).collect::<Vec<_>>(),
            "steps",
            6,
        );
        sound(0, &bytes(&|x| x.max(100)), "steps", 10);
        sound(-128, &bytes(&|x| x.min(100) - 7), "steps", 10);
        sound(0, &bytes(&|x| x.clamp(30, 140)), "steps", 20);
        sound(0, &bytes(&|x| 255 - x.clamp(30, 140)), "steps", 20);
        sound(0, &bytes(&|x| i64::from(x > 77)), "steps", 10);
        // Another scale and zero point, rounded, saturated below.
        sound(
            0,
            &bytes(&|x| ((x - 31) * 641 + 512).div_euclid(1024).max(0)),
            "steps",
            24,
        );
    }

    #[test]
    fn single_values_off_the_steps_are_corrected() {
        let mut values: Vec<i64> = (0..200).map(|x| x / 3).collect();
        values[101] += 1;
        sound(7, &values, "steps", 40);
        let function = Function::new(7, &values).unwrap();
        assert!(matches!(function.form(), Form::Steps(s) if s.corrections == [(108, 1)]));
    }

    #[test]
    fn any_values_are_a_table() {
        let scrambled =
            |n: i64| -> Vec<i64> { (0..n).map(|i| (i * i * i + 41 * i) % 257).collect() };
        for n in [8, 16, 21] {
            sound(-9, &scrambled(n), "table", 22);
        }
        sound(256 * 7, &scrambled(256), "table", 45);
    }

    #[test]
    fn what_is_no_small_function_is_refused() {
        assert!(Function::new(0, &[]).is_err());
        assert!(Function::new(0, &[0, 1 << 40]).is_err());
        assert!(Function::new(i64::MAX, &[0, 1, 0]).is_err());
        let squares: Vec<i64> = (0..257).map(|x| x * x).collect();
        assert!(Function::new(0, &squares).is_err());
        let function = Function::new(0, &squares[..256]).unwrap();
        let cx = &mut Lowering::shape(Backend::Plain, 1).unwrap();
        let x = Num::claimed(cx, crate::Wire(1), 0, 0, 256);
        assert!(function.lower(cx, &x, 1).is_err());
    }
}

//! Any function of two small integers that is a staircase over a weighted sum or over a product of
//! them, but for a few pairs: sums and products of quantized tensors, whatever the rounding.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, LazyLock, OnceLock, PoisonError, RwLock};

use ark_bn254::Fr;
use proofmark_types::Digest;
use proofmark_types::digest::DigestStream;

use crate::circuit::Backend;
use crate::equal::is_equal;
use crate::error::LowerError;
use crate::logup::table::{LookupTable, Packing};
use crate::logup::widths::price;
use crate::lowering::Lowering;
use crate::multiply::multiply;
use crate::num::Num;
use crate::requantize::{ThresholdTable, short};
use crate::steps::{Column, Fit, Steps, fit};
use crate::univariate::Function;

/// Most corrections of single pairs or products.
const MOST_CORRECTIONS: usize = 64;
/// From this many corrections on, the output gets a wire of its own.
const MATERIALISE_FROM: usize = 4;
/// Largest interval of an operand: an 8-bit type.
const WIDEST: i64 = 256;
/// A form of at most this many constraints is taken without looking further.
const GOOD: usize = 48;
/// Weights of a sum that a table of thresholds is tried on. Ties of a half-to-even rounding lie on
/// lines of small weights, where no shift follows them.
const TABLE_WEIGHTS: i64 = 12;
/// Most zero points that are tried for a product.
const MOST_ZEROS: usize = 324;
/// How far from a guess zero points outside of an interval are tried.
const NEAR: i64 = 8;
/// How far from an interval zero points are tried. That of an 8-bit type is nearer.
const FAR: i64 = 256;

/// What a function of two integers was found to be.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Form {
    /// A function of the first operand alone, or of the second.
    One {
        first: bool,
        function: Arc<Function>,
    },
    /// A staircase over a number made of both.
    Two { over: Over, stairs: Stairs },
}

/// The number that a staircase is over.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Over {
    /// `m·(a − a_lo) + n·(b − b_lo)`.
    Sum { m: i64, n: i64 },
    /// `weight · ((a − za)·(b − zb) − least)`.
    Product {
        zeros: (i64, i64),
        least: i64,
        weight: i64,
    },
}

/// How the staircase is put into constraints.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Stairs {
    Steps(Steps),
    Table(ThresholdTable),
}

impl Stairs {
    fn apply(&self, u: i64) -> i64 {
        match self {
            Self::Steps(steps) => steps.apply(u),
            Self::Table(table) => table.apply(u),
        }
    }
}

/// At this pair, or wherever the product is this number, the output is `delta` more than the form
/// says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Correction {
    /// `(a − a_lo) · columns + (b − b_lo)`, or the product less its least value.
    at: i64,
    of_product: bool,
    delta: i64,
}

/// A function given by its values on a rectangle of pairs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Bivariate {
    a: (i64, i64),
    b: (i64, i64),
    /// Smallest and largest value.
    out: (i64, i64),
    form: Form,
    corrections: Vec<Correction>,
    /// All pairs with their values, once they are asked for.
    table: OnceLock<LookupTable>,
}

type Key = (Digest, (i64, i64), (i64, i64));
static FUNCTIONS: LazyLock<RwLock<HashMap<Key, Arc<Bivariate>>>> = LazyLock::new(RwLock::default);
/// Functions kept a process; past it the cache starts anew.
const MOST_FUNCTIONS: usize = 1 << 12;

impl Bivariate {
    /// The function with these values, row-major: `values[(a − a.0) · columns + (b − b.0)]`; in
    /// the cheapest form found, deterministic, checked at every pair, and kept for the process,
    /// since every witness asks again.
    ///
    /// # Errors
    /// [`LowerError::BadTable`] where the values do not fill the rectangle, or an interval has
    /// more than 256 integers; [`LowerError::Encoding`] where there is no cheap form.
    pub fn new(a: (i64, i64), b: (i64, i64), values: &[i64]) -> Result<Arc<Self>, LowerError> {
        let mut digest = DigestStream::new();
        for value in values {
            digest.update(&value.to_le_bytes());
        }
        let key = (digest.finish(), a, b);
        let known = FUNCTIONS.read().unwrap_or_else(PoisonError::into_inner);
        if let Some(function) = known.get(&key) {
            return Ok(Arc::clone(function));
        }
        drop(known);
        let function = Arc::new(Self::choose(a, b, values)?);
        let mut known = FUNCTIONS.write().unwrap_or_else(PoisonError::into_inner);
        if known.len() >= MOST_FUNCTIONS {
            known.clear();
        }
        known.insert(key, Arc::clone(&function));
        Ok(function)
    }

    fn choose(a: (i64, i64), b: (i64, i64), values: &[i64]) -> Result<Self, LowerError> {
        let grid = Grid::new(a, b, values)?;
        let none = || LowerError::Encoding {
            path: "function of two".to_owned(),
            reason: format!(
                "the values are no staircase over a weighted sum or a product of the operands, but for {MOST_CORRECTIONS} corrections"
            ),
        };
        let found = match grid.one() {
            Some(one) => Some(one?),
            None => grid.two(),
        };
        let mut function = found.ok_or_else(none)?;
        function.corrections = function.differences(&grid).ok_or_else(none)?;
        for (pair, value) in grid.pairs() {
            if function.apply(pair.0, pair.1) != Some(value) {
                return Err(LowerError::Encoding {
                    path: "function of two".to_owned(),
                    reason: format!("the {} form is wrong at {pair:?}", function.name()),
                });
            }
        }
        Ok(function)
    }

    /// Short stable name of the form.
    pub fn name(&self) -> &'static str {
        match &self.form {
            Form::One { function, .. } => function.name(),
            Form::Two { over, stairs } => match (over, stairs) {
                (Over::Sum { .. }, Stairs::Steps(_)) => "sum, steps",
                (Over::Sum { .. }, Stairs::Table(_)) => "sum, table",
                (Over::Product { .. }, Stairs::Steps(_)) => "product, steps",
                (Over::Product { .. }, Stairs::Table(_)) => "product, table",
            },
        }
    }

    /// How many pairs or products are corrected.
    pub fn corrections(&self) -> usize {
        self.corrections.len()
    }

    /// The value that the constraints give a pair inside the rectangle.
    pub fn apply(&self, a: i64, b: i64) -> Option<i64> {
        let plain = self.plain(a, b)?;
        let at = (self.number(a, b), self.product(a, b));
        let fix: i64 = self
            .corrections
            .iter()
            .filter(|c| {
                if c.of_product {
                    at.1 == Some(c.at)
                } else {
                    at.0 == c.at
                }
            })
            .map(|c| c.delta)
            .sum();
        Some(plain + fix)
    }

    fn plain(&self, a: i64, b: i64) -> Option<i64> {
        match &self.form {
            Form::One { first, function } => function.apply(if *first { a } else { b }),
            Form::Two { over, stairs } => Some(stairs.apply(match *over {
                Over::Sum { m, n } => m * (a - self.a.0) + n * (b - self.b.0),
                Over::Product { weight, .. } => weight * self.product(a, b)?,
            })),
        }
    }

    const fn number(&self, a: i64, b: i64) -> i64 {
        (a - self.a.0) * (self.b.1 - self.b.0 + 1) + (b - self.b.0)
    }

    /// The product less its least value, where the form is over one.
    const fn product(&self, a: i64, b: i64) -> Option<i64> {
        match self.form {
            Form::Two {
                over: Over::Product { zeros, least, .. },
                ..
            } => Some((a - zeros.0) * (b - zeros.1) - least),
            _ => None,
        }
    }

    /// Where the form differs from the values; `None` when that is at too many places.
    fn differences(&self, grid: &Grid<'_>) -> Option<Vec<Correction>> {
        let mut pairs = Vec::new();
        // For each product where a pair differs: by how much, and how many pairs do.
        let mut products: BTreeMap<i64, (i64, usize)> = BTreeMap::new();
        for ((a, b), value) in grid.pairs() {
            let delta = value - self.plain(a, b)?;
            if delta == 0 {
                continue;
            }
            let product = self.product(a, b);
            pairs.push((self.number(a, b), product, delta));
            if let Some(product) = product {
                let entry = products.entry(product).or_insert((delta, 0));
                entry.1 += 1;
            }
            if pairs.len() > MOST_CORRECTIONS * 16 {
                return None;
            }
        }
        // A product that differs the same way wherever it occurs takes one correction.
        if !products.is_empty() {
            let mut occurs: BTreeMap<i64, usize> = BTreeMap::new();
            for ((a, b), _) in grid.pairs() {
                if let Some(product) = self.product(a, b)
                    && products.contains_key(&product)
                {
                    *occurs.entry(product).or_default() += 1;
                }
            }
            for &(_, product, delta) in &pairs {
                if let Some(product) = product
                    && products.get(&product).is_some_and(|known| known.0 != delta)
                {
                    products.remove(&product);
                }
            }
            products.retain(|product, (_, count)| occurs.get(product) == Some(count));
        }
        let mut out: Vec<Correction> = products
            .iter()
            .map(|(&at, &(delta, _))| Correction {
                at,
                of_product: true,
                delta,
            })
            .collect();
        let covered = |product: Option<i64>| product.is_some_and(|p| products.contains_key(&p));
        let single = pairs
            .into_iter()
            .filter(|&(_, product, _)| !covered(product));
        out.extend(single.map(|(at, _, delta)| Correction {
            at,
            of_product: false,
            delta,
        }));
        (out.len() <= MOST_CORRECTIONS).then_some(out)
    }

    /// Constraints, for operands of at most 16 terms.
    pub fn cost(&self) -> usize {
        let form = self.form.plain_cost(self.a, self.b);
        let count = self.corrections.len();
        form + 2 * count + usize::from(count >= MATERIALISE_FROM)
    }

    /// Price of the form without a table of pairs in a circuit with lookups, in tenths of a dense
    /// scalar.
    fn price(&self) -> u64 {
        let form = match &self.form {
            Form::One { .. } => return 0,
            Form::Two { over, stairs } => {
                let product = match over {
                    Over::Sum { .. } => 0,
                    Over::Product { .. } => price::WIRE,
                };
                product
                    + match stairs {
                        Stairs::Steps(steps) => steps.price(),
                        Stairs::Table(table) => table.price(),
                    }
            }
        };
        let count = self.corrections.len();
        let output = u64::from(count >= MATERIALISE_FROM);
        form + count as u64 * price::IS_EQUAL + output * price::WIRE
    }

    /// The pair `(a − a_lo, b − b_lo)` as one number, then the value less the smallest.
    const fn packing(&self) -> (i64, Packing) {
        let (rows, columns) = (self.a.1 - self.a.0 + 1, self.b.1 - self.b.0 + 1);
        (columns, Packing::of(0, rows * columns - 1))
    }

    fn value_bits(&self) -> u32 {
        64 - (self.out.1 - self.out.0).leading_zeros()
    }

    /// Whether the table of all pairs is the cheaper form for so many values. It is not asked
    /// whether the circuit has the table already: that takes making it.
    fn pairs_pay(&self, uses: usize) -> bool {
        let one = price::LOOKUP + price::SMALL + price::range(self.value_bits());
        let entries = u64::try_from(self.packing().1.stride).unwrap_or(u64::MAX);
        let gain = self.price().saturating_sub(one).saturating_mul(uses as u64);
        gain > entries.saturating_mul(price::ENTRY)
    }

    fn triples(&self) -> Result<&LookupTable, LowerError> {
        if let Some(table) = self.table.get() {
            return Ok(table);
        }
        let pairs = (self.a.0..=self.a.1).flat_map(|a| (self.b.0..=self.b.1).map(move |b| (a, b)));
        let triples = pairs.map(|(a, b)| {
            let value = self.apply(a, b).unwrap_or(self.out.0);
            (self.number(a, b), value - self.out.0)
        });
        let table = LookupTable::pairs(triples, self.packing().1.stride)?;
        Ok(self.table.get_or_init(|| table))
    }

    fn by_pairs(
        &self,
        cx: &mut Lowering<'_>,
        table: &LookupTable,
        a: &Num,
        b: &Num,
    ) -> Result<Num, LowerError> {
        let value = self.apply(a.value(), b.value()).unwrap_or(self.out.0) - self.out.0;
        // Constrained by the range and the lookup.
        let wire = cx.hint("function-value", || Fr::from(value))?;
        let above = Num::claimed(cx, wire, value, 0, self.out.1 - self.out.0);
        cx.range("function-range", &above, self.value_bits())?;
        let (columns, Packing { stride }) = self.packing();
        let origin = columns * self.a.0 + self.b.0;
        let key = Num::linear(cx, [(columns, a), (1, b), (stride, &above)], -origin)?;
        cx.lookup("function-pair", table, &key)?;
        above.plus(cx, self.out.0)
    }

    /// Emits the constraints and returns the value at `(a, b)`. The function is asked for about
    /// `uses` times in a circuit with lookups, where one table of all pairs may serve them all.
    ///
    /// # Soundness
    /// With a table of all pairs: `columns·(a − a_lo) + b − b_lo` is an integer below
    /// `rows · columns` by the operands' proven intervals, a different one for each pair, and the
    /// value less the smallest is an integer by its own range, so the key is that of pair and
    /// value ([`Packing`]); the table has one value for each pair. Every other form makes its output a function of `a` and `b` for operands inside their intervals,
    /// which constraints enforce already: a linear combination, a product with its own constraint
    /// ([`multiply`]), then steps ([`Steps::lower`]) or thresholds ([`ThresholdTable::lower`]),
    /// and corrections by [`is_equal`] on a number that is different for every pair, or on the
    /// product. That this function is the given one was checked at every pair of the rectangle
    /// when the form was chosen, so its smallest and largest values bound the output.
    ///
    /// # Errors
    /// [`LowerError::IntervalUnfit`] when an interval is not inside that of the function; those of
    /// the gadgets used.
    pub fn lower(
        &self,
        cx: &mut Lowering<'_>,
        a: &Num,
        b: &Num,
        uses: usize,
    ) -> Result<Num, LowerError> {
        for (num, (lo, hi)) in [(a, self.a), (b, self.b)] {
            num.check(cx, "function of two")?;
            if num.lo() < lo || num.hi() > hi {
                return Err(LowerError::IntervalUnfit {
                    path: cx.path("function of two"),
                    lo: num.lo(),
                    hi: num.hi(),
                    bits: 8,
                });
            }
        }
        let (over, stairs) = match &self.form {
            Form::One { first, function } => {
                return function.lower(cx, if *first { a } else { b }, uses);
            }
            Form::Two { over, stairs } => (over, stairs),
        };
        if cx.backend() == Backend::Committed && self.pairs_pay(uses) {
            return self.by_pairs(cx, self.triples()?, a, b);
        }
        let (a, b) = (&short(cx, a)?, &short(cx, b)?);
        let sum = |cx: &Lowering<'_>, m: i64, n: i64| {
            Num::linear(cx, [(m, a), (n, b)], -(m * self.a.0 + n * self.b.0))
        };
        let mut product = None;
        let number = match *over {
            Over::Sum { m, n } => sum(cx, m, n)?,
            Over::Product {
                zeros,
                least,
                weight,
            } => {
                let (x, y) = (a.plus(cx, -zeros.0)?, b.plus(cx, -zeros.1)?);
                let above = multiply(cx, "function-product", &x, &y)?.plus(cx, -least)?;
                let scaled = Num::linear(cx, [(weight, &above)], 0)?;
                product = Some(above);
                scaled
            }
        };
        let plain = match stairs {
            Stairs::Steps(steps) => steps.lower(cx, &number)?,
            Stairs::Table(table) => table.lower(cx, &number, table.interval())?,
        };
        let missing = || LowerError::Encoding {
            path: "function of two".to_owned(),
            reason: "a correction of a product where there is none".to_owned(),
        };
        let mut terms = vec![(1, plain)];
        if !self.corrections.is_empty() {
            let columns = self.b.1 - self.b.0 + 1;
            let pair = sum(cx, columns, 1)?;
            for correction in &self.corrections {
                let of = if correction.of_product {
                    product.as_ref().ok_or_else(missing)?
                } else {
                    &pair
                };
                terms.push((correction.delta, is_equal(cx, of, correction.at)?));
            }
        }
        let out = Num::linear(cx, terms.iter().map(|(c, num)| (*c, num)), 0)?;
        let out = out.narrowed(self.out.0, self.out.1);
        if self.corrections.len() >= MATERIALISE_FROM {
            return out.materialised(cx, "function-corrected");
        }
        Ok(out)
    }
}

type Pairs = Vec<(i64, i64)>;

/// The values on their rectangle, while a form is looked for.
struct Grid<'v> {
    a: (i64, i64),
    b: (i64, i64),
    values: &'v [i64],
    columns: usize,
}

impl<'v> Grid<'v> {
    fn new(a: (i64, i64), b: (i64, i64), values: &'v [i64]) -> Result<Self, LowerError> {
        let bad = |reason: String| LowerError::BadTable {
            path: "function of two".to_owned(),
            reason,
        };
        let length = |(lo, hi): (i64, i64)| {
            let span = hi.checked_sub(lo).filter(|span| (0..WIDEST).contains(span));
            let near = lo.unsigned_abs().max(hi.unsigned_abs()) < 1 << 31;
            span.filter(|_| near)
                .and_then(|span| usize::try_from(span + 1).ok())
        };
        let (Some(rows), Some(columns)) = (length(a), length(b)) else {
            return Err(bad(format!("operands in {a:?} and {b:?}")));
        };
        if values.len() != rows * columns {
            return Err(bad(format!(
                "{} values for {rows} × {columns} pairs",
                values.len()
            )));
        }
        if values.iter().any(|v| v.unsigned_abs() >= 1 << 31) {
            return Err(bad("a value outside of int32".to_owned()));
        }
        Ok(Self {
            a,
            b,
            values,
            columns,
        })
    }

    fn pairs(&self) -> impl Iterator<Item = ((i64, i64), i64)> + '_ {
        (self.a.0..)
            .zip(self.values.chunks(self.columns))
            .flat_map(|(a, row)| {
                (self.b.0..)
                    .zip(row)
                    .map(move |(b, &value)| ((a, b), value))
            })
    }

    fn rows(&self) -> impl Iterator<Item = &'v [i64]> {
        self.values.chunks(self.columns)
    }

    fn with(&self, form: Form) -> Bivariate {
        let values = || self.values.iter().copied();
        Bivariate {
            a: self.a,
            b: self.b,
            out: (
                values().min().unwrap_or_default(),
                values().max().unwrap_or_default(),
            ),
            form,
            corrections: Vec::new(),
            table: OnceLock::new(),
        }
    }

    /// A function of one operand only, when it is one.
    fn one(&self) -> Option<Result<Bivariate, LowerError>> {
        let first_row = self.rows().next()?;
        let function = if self.rows().all(|row| row == first_row) {
            Function::new(self.b.0, first_row).map(|function| (false, function))
        } else if self.rows().all(constant) {
            let column: Vec<i64> = self.rows().filter_map(|row| row.first().copied()).collect();
            Function::new(self.a.0, &column).map(|function| (true, function))
        } else {
            return None;
        };
        Some(function.map(|(first, function)| self.with(Form::One { first, function })))
    }

    fn two(&self) -> Option<Bivariate> {
        let (inside, outside) = self.zeros().unwrap_or_default();
        let product = self.product(&inside, usize::MAX);
        let cost = |found: &Option<(usize, Form)>| found.as_ref().map_or(usize::MAX, |f| f.0);
        if cost(&product) <= GOOD {
            return product.map(|(_, form)| self.with(form));
        }
        let sum = fit(&self.turned(), cost(&product)).map(|found| {
            let Fit {
                weights: (m, n),
                steps,
                cost,
            } = found;
            let (over, stairs) = (Over::Sum { m, n }, Stairs::Steps(steps));
            (cost, Form::Two { over, stairs })
        });
        let mut found = sum.or(product);
        if cost(&found) > GOOD {
            found = self.thresholds(cost(&found)).or(found);
        }
        if cost(&found) > GOOD {
            found = self.product(&outside, cost(&found)).or(found);
        }
        found.map(|(_, form)| self.with(form))
    }

    /// The values by columns, as steps are looked for.
    fn turned(&self) -> Vec<Column> {
        (0..self.columns)
            .map(|b| {
                let column = self.rows().filter_map(|row| row.get(b).copied());
                (0..).zip(column).collect()
            })
            .collect()
    }

    /// Where the zeros of a product may be, likely ones first: both inside of the rectangle, and
    /// not both.
    ///
    /// A zero inside makes a row or a column of one value (a clamp does, too). The proven interval
    /// of an operand need not contain its zero point, and then none tells: integers near a guess
    /// are tried.
    fn zeros(&self) -> Option<(Pairs, Pairs)> {
        let mut rows: Vec<i64> = (self.a.0..)
            .zip(self.rows())
            .filter(|(_, row)| constant(row))
            .map(|(a, _)| a)
            .collect();
        let mut columns: Vec<i64> = (self.b.0..)
            .zip(self.turned())
            .filter(|(_, column)| {
                let first = column.first().map(|p| p.1);
                column.iter().all(|p| Some(p.1) == first)
            })
            .map(|(b, _)| b)
            .collect();
        let centre = self.centre()?;
        nearest(&mut rows, centre.0);
        nearest(&mut columns, centre.1);
        let pairs = |rows: &[i64], columns: &[i64]| -> Pairs {
            let row = |&a: &i64| columns.iter().map(move |&b| (a, b));
            rows.iter().flat_map(row).collect()
        };
        let mut inside = pairs(&rows, &columns);
        let guesses: Pairs = [Some(centre), self.trend()].into_iter().flatten().collect();
        rows.extend(outside(self.a, guesses.iter().map(|guess| guess.0)));
        columns.extend(outside(self.b, guesses.iter().map(|guess| guess.1)));
        let mut others = pairs(&rows, &columns);
        others.retain(|zeros| !inside.contains(zeros));
        let far = |(a, b): (i64, i64), to: (i64, i64)| a.abs_diff(to.0) + b.abs_diff(to.1);
        inside.sort_by_key(|&zeros| (far(zeros, centre), zeros));
        others.sort_by_cached_key(|&zeros| {
            let distances = guesses.iter().map(|&guess| far(zeros, guess));
            (distances.min(), zeros)
        });
        for zeros in [&mut inside, &mut others] {
            zeros.truncate(MOST_ZEROS);
        }
        Some((inside, others))
    }

    /// A staircase over a product with one of these zeros, of fewer than `bound` constraints.
    fn product(&self, zeros: &[(i64, i64)], bound: usize) -> Option<(usize, Form)> {
        let mut best: Option<(usize, Form)> = None;
        for &zeros in zeros {
            let (least, most) = corners(self.a, self.b, zeros);
            let Some((column, others)) = self.by_product(zeros, least, most) else {
                continue;
            };
            let over = |weight: i64| Over::Product {
                zeros,
                least,
                weight,
            };
            // Pairs whose value is not that of their product are corrected one by one.
            let extra = 1 + 2 * others;
            let below = best.as_ref().map_or(bound, |(cost, _)| *cost);
            if let Some(table) = runs(&column, most - least)
                && extra + table.cost(false) < below
            {
                let cost = extra + table.cost(false);
                let (over, stairs) = (over(1), Stairs::Table(table));
                best = Some((cost, Form::Two { over, stairs }));
            }
            let below = best.as_ref().map_or(bound, |(cost, _)| *cost);
            if let Some(Fit {
                weights,
                steps,
                cost,
            }) = fit(&[column], below.saturating_sub(extra))
            {
                let (over, stairs) = (over(weights.0), Stairs::Steps(steps));
                best = Some((extra + cost, Form::Two { over, stairs }));
            }
            if best.as_ref().is_some_and(|(cost, _)| *cost <= GOOD) {
                break;
            }
        }
        best
    }

    /// Where the zeros of a product would be: level lines are `(a − za)·(b − zb) = c`, so
    /// `a·b − zb·a − za·b` is the same all along one, and `za`, `zb` follow by least squares from
    /// the places where the value changes, in doubled coordinates.
    #[expect(clippy::cast_precision_loss, reason = "integers far below 2^53")]
    fn centre(&self) -> Option<(i64, i64)> {
        let mut lines: BTreeMap<i64, Vec<(i64, i64)>> = BTreeMap::new();
        let columns = self.columns;
        for (at, pair) in self.pairs().enumerate() {
            let ((a, b), value) = pair;
            let right = (b < self.b.1).then_some((at + 1, (2 * a, 2 * b + 1)));
            let below = (a < self.a.1).then_some((at + columns, (2 * a + 1, 2 * b)));
            for (other, point) in [right, below].into_iter().flatten() {
                let other = self.values.get(other).copied().unwrap_or(value);
                if other != value {
                    lines.entry(other.max(value)).or_default().push(point);
                }
            }
        }
        // Normal equations of `a·b = zb·a + za·b + c`, less the means of each line.
        let (mut aa, mut ab, mut bb, mut pa, mut pb) = (0.0, 0.0, 0.0, 0.0, 0.0);
        for points in lines.values() {
            let count = points.len() as f64;
            let mean =
                |of: &dyn Fn(&(i64, i64)) -> i64| points.iter().map(of).sum::<i64>() as f64 / count;
            let (mean_a, mean_b) = (mean(&|p| p.0), mean(&|p| p.1));
            let mean_p = mean(&|p| p.0 * p.1);
            for &(a, b) in points {
                let (x, y) = (a as f64 - mean_a, b as f64 - mean_b);
                let p = (a * b) as f64 - mean_p;
                aa += x * x;
                ab += x * y;
                bb += y * y;
                pa += p * x;
                pb += p * y;
            }
        }
        let determinant = aa * bb - ab * ab;
        if determinant <= 0.0 {
            return None;
        }
        let (zb, za) = (
            (pa * bb - pb * ab) / determinant,
            (pb * aa - pa * ab) / determinant,
        );
        Some((rounded(za / 2.0), rounded(zb / 2.0)))
    }

    /// The same from the values themselves, as `s·a·b − s·zb·a − s·za·b + c` by least squares, for
    /// a product that is scaled and rounded: where values jump by several, or a product has few
    /// lines, this is the nearer guess. Largest and smallest values are left out: clamps.
    fn trend(&self) -> Option<(i64, i64)> {
        let least = self.values.iter().min()?;
        let most = self.values.iter().max()?;
        let points: Vec<[f64; 4]> = self
            .pairs()
            .filter(|(_, value)| value != least && value != most)
            .map(|((a, b), value)| {
                let (x, y) = (a - self.a.0, b - self.b.0);
                [x * y, x, y, value].map(real)
            })
            .collect();
        let count = real(i64::try_from(points.len()).ok()?);
        let mean = |at: usize| points.iter().filter_map(|p| p.get(at)).sum::<f64>() / count;
        let means = [mean(0), mean(1), mean(2), mean(3)];
        let mut moments = [[0.0; 4]; 3];
        for point in &points {
            let mut off = *point;
            for (off, mean) in off.iter_mut().zip(means) {
                *off -= mean;
            }
            for (row, x) in moments.iter_mut().zip(off) {
                for (moment, y) in row.iter_mut().zip(off) {
                    *moment += x * y;
                }
            }
        }
        // Cramer's rule; the determinant of the system itself cancels.
        let [u, v, w] = moments;
        let minor = |of: &dyn Fn(&[f64; 4]) -> [f64; 3]| {
            let [[a, b, c], [d, e, f], [g, h, i]] = [of(&u), of(&v), of(&w)];
            a * (e * i - f * h) - b * (d * i - f * g) + c * (d * h - e * g)
        };
        let scale = minor(&|&[_, x, y, value]| [value, x, y]);
        let along = minor(&|&[xy, _, y, value]| [xy, value, y]);
        let across = minor(&|&[xy, x, _, value]| [xy, x, value]);
        if scale == 0.0 || !scale.is_finite() {
            return None;
        }
        let near = |v: f64| rounded(-v / scale);
        Some((self.a.0 + near(across), self.b.0 + near(along)))
    }

    /// The values by product, and how many pairs have another one; `None` where that is more than
    /// a few.
    fn by_product(&self, zeros: (i64, i64), least: i64, most: i64) -> Option<(Column, usize)> {
        let size = usize::try_from(most - least + 1).ok()?;
        let mut seen: Vec<Option<i64>> = vec![None; size];
        let mut others = 0;
        for ((a, b), value) in self.pairs() {
            let at = usize::try_from((a - zeros.0) * (b - zeros.1) - least).ok()?;
            match seen.get_mut(at)? {
                Some(known) if *known != value => {
                    others += 1;
                    if others > MOST_CORRECTIONS {
                        return None;
                    }
                }
                slot => *slot = Some(value),
            }
        }
        let found = (0..).zip(seen).filter_map(|(x, value)| Some((x, value?)));
        Some((found.collect(), others))
    }

    /// Thresholds over a sum with small weights.
    fn thresholds(&self, bound: usize) -> Option<(usize, Form)> {
        let (rows, columns) = (self.a.1 - self.a.0, self.b.1 - self.b.0);
        let mut best = None;
        let mut bound = bound;
        for m in 1..=TABLE_WEIGHTS {
            for n in (1..=TABLE_WEIGHTS).flat_map(|n| [n, -n]) {
                let Some(table) = self.by_sum(m, n).and_then(|column| {
                    // From the least sum on, which is below 0 for a negative weight.
                    let least = (n * columns).min(0);
                    let shifted: Column = column.iter().map(|&(x, v)| (x + least, v)).collect();
                    runs(&shifted, m * rows + (n * columns).max(0))
                }) else {
                    continue;
                };
                let cost = table.cost(false);
                if cost < bound {
                    bound = cost;
                    let (over, stairs) = (Over::Sum { m, n }, Stairs::Table(table));
                    best = Some((cost, Form::Two { over, stairs }));
                }
            }
        }
        best
    }

    /// The values by sum, from the least one on; `None` where they are not a function of it.
    fn by_sum(&self, m: i64, n: i64) -> Option<Column> {
        let (rows, columns) = (self.a.1 - self.a.0, self.b.1 - self.b.0);
        let least = (n * columns).min(0);
        let most = m * rows + (n * columns).max(0);
        let mut seen: Vec<Option<i64>> = vec![None; usize::try_from(most - least + 1).ok()?];
        for ((a, b), value) in self.pairs() {
            let sum = m * (a - self.a.0) + n * (b - self.b.0);
            match seen.get_mut(usize::try_from(sum - least).ok()?)? {
                Some(known) if *known != value => return None,
                slot => *slot = Some(value),
            }
        }
        let found = (0..).zip(seen).filter_map(|(x, value)| Some((x, value?)));
        Some(found.collect())
    }
}

impl Form {
    /// Constraints without corrections.
    fn plain_cost(&self, a: (i64, i64), b: (i64, i64)) -> usize {
        match self {
            Self::One { function, .. } => function.cost(),
            Self::Two { over, stairs } => {
                let product = usize::from(matches!(over, Over::Product { .. }));
                let (lo, hi) = over.interval(a, b);
                product
                    + match stairs {
                        Stairs::Steps(steps) => steps.cost(lo, hi),
                        Stairs::Table(table) => table.cost(false),
                    }
            }
        }
    }
}

impl Over {
    /// Smallest and largest number over a rectangle.
    fn interval(self, a: (i64, i64), b: (i64, i64)) -> (i64, i64) {
        let ends = match self {
            Self::Sum { m, n } => [m * (a.1 - a.0), n * (b.1 - b.0)],
            Self::Product {
                zeros,
                least,
                weight,
            } => [weight * (corners(a, b, zeros).1 - least), 0],
        };
        let [x, y] = ends;
        (x.min(0) + y.min(0), x.max(0) + y.max(0))
    }
}

/// A table of the runs of one value; `None` for more than 256 runs.
fn runs(column: &Column, hi: i64) -> Option<ThresholdTable> {
    let mut segments: Vec<(i64, i64)> = Vec::new();
    for &(x, value) in column {
        if segments.last().is_none_or(|last| last.1 != value) {
            segments.push((x, value));
        }
    }
    if segments.len() > 256 {
        return None;
    }
    ThresholdTable::of_segments(segments, hi).ok()
}

fn constant(row: &[i64]) -> bool {
    row.windows(2).all(|pair| matches!(pair, [a, b] if a == b))
}

/// Smallest and largest product over a rectangle.
fn corners(a: (i64, i64), b: (i64, i64), zeros: (i64, i64)) -> (i64, i64) {
    let ends = [a.0, a.1]
        .into_iter()
        .flat_map(|a| [b.0, b.1].map(|b| (a - zeros.0) * (b - zeros.1)));
    ends.fold((i64::MAX, i64::MIN), |(lo, hi), end| {
        (lo.min(end), hi.max(end))
    })
}

/// The integers nearest to one, nearest first, and both ends of the list, where the zero point of
/// a tensor without negative values lies.
fn nearest(list: &mut Vec<i64>, to: i64) {
    let ends = (list.first().copied(), list.last().copied());
    list.sort_by_key(|&v| (v.abs_diff(to), v));
    list.truncate(16);
    for end in [ends.0, ends.1].into_iter().flatten() {
        if !list.contains(&end) {
            list.push(end);
        }
    }
}

/// Integers near one of the guesses that are outside of an interval, but not far.
fn outside((lo, hi): (i64, i64), guesses: impl Iterator<Item = i64>) -> Vec<i64> {
    let mut list: Vec<i64> = guesses
        .flat_map(|guess| guess - NEAR..=guess + NEAR)
        .filter(|v| !(lo..=hi).contains(v) && (lo - FAR..=hi + FAR).contains(v))
        .collect();
    list.sort_unstable();
    list.dedup();
    list
}

#[expect(clippy::cast_possible_truncation, reason = "clamped; a guess")]
const fn rounded(v: f64) -> i64 {
    v.round().clamp(-1e6, 1e6) as i64
}

#[expect(clippy::cast_precision_loss, reason = "integers far below 2^53")]
const fn real(v: i64) -> f64 {
    v as f64
}

#[cfg(test)]
mod tests {
    use ark_bn254::Fr;

    use super::*;
    use crate::testing::{Setting, Subject};

    type Interval = (i64, i64);

    fn values(a: Interval, b: Interval, f: &dyn Fn(i64, i64) -> i64) -> Vec<i64> {
        (a.0..=a.1)
            .flat_map(|x| (b.0..=b.1).map(move |y| f(x, y)))
            .collect()
    }

    /// Every pair of a small rectangle, every check.
    fn sound(name: &str, a: Interval, b: Interval, f: &dyn Fn(i64, i64) -> i64) -> Arc<Bivariate> {
        let function = Bivariate::new(a, b, &values(a, b, f)).unwrap();
        checked(name, &function, f);
        function
    }

    fn checked(name: &str, function: &Bivariate, f: &dyn Fn(i64, i64) -> i64) {
        assert_eq!(function.name(), name);
        let (a, b) = (function.a, function.b);
        let build = |cx: &mut Lowering<'_>, x: &[Num]| {
            let y = function.lower(cx, &x[0], &x[1], 1)?;
            assert!((y.lo(), y.hi()) == function.out || function.cost() == 0);
            Ok(vec![y.to_signal(cx)])
        };
        let expected = |v: &[i64]| Some(vec![Fr::from(f(v[0], v[1]))]);
        let subject = Subject::new(name, &[a, b], &build, &expected);
        assert_eq!(subject.constraints().unwrap(), function.cost(), "{name}");
        let points: Vec<Vec<i64>> = (a.0..=a.1)
            .flat_map(|x| (b.0..=b.1).map(move |y| vec![x, y]))
            .collect();
        subject.check(&points).unwrap();
        assert_eq!(subject.check_all_solutions(&points).unwrap(), points.len());
        // The table of all pairs, which takes many uses to pay.
        let build = |cx: &mut Lowering<'_>, x: &[Num]| {
            let y = function.lower(cx, &x[0], &x[1], usize::MAX >> 20)?;
            Ok(vec![y.to_signal(cx)])
        };
        let subject = Subject::new(name, &[a, b], &build, &expected)
            .in_setting(Setting::with_tables("pairs", &[3], true));
        let steps = subject.steps_in(&subject.settings[0]).unwrap();
        if matches!(function.form, Form::Two { .. }) {
            assert_eq!(steps.get("function-pair"), Some(&1));
        }
        subject.check(&points).unwrap();
        assert_eq!(subject.check_all_solutions(&points).unwrap(), points.len());
    }

    #[test]
    fn a_table_of_all_pairs_pays_by_the_number_of_uses() {
        let byte = (0, 255);
        let even = |a: i64, b: i64| a.midpoint(b) + i64::from((a + b) % 4 == 3);
        let function = Bivariate::new(byte, byte, &values(byte, byte, &even)).unwrap();
        let uses = (0..40)
            .map(|k| 1_usize << k)
            .find(|&n| function.pairs_pay(n));
        let uses = uses.unwrap();
        assert!((1 << 10..1 << 18).contains(&uses), "{uses}");
        // A line takes no constraint at all.
        let line = Bivariate::new(byte, byte, &values(byte, byte, &|a, _| 255 - a)).unwrap();
        assert!(!line.pairs_pay(1 << 40));
    }

    /// The same for the form over a product with a zero outside, though on a small rectangle one
    /// over a sum is cheaper.
    fn sound_outside(a: Interval, b: Interval, f: &dyn Fn(i64, i64) -> i64) -> usize {
        let values = values(a, b, f);
        let grid = Grid::new(a, b, &values).unwrap();
        let zeros = grid.zeros().unwrap().1;
        let mut function = grid.with(grid.product(&zeros, usize::MAX).unwrap().1);
        function.corrections = function.differences(&grid).unwrap();
        assert!(
            grid.pairs()
                .all(|(at, v)| function.apply(at.0, at.1) == Some(v))
        );
        let Form::Two {
            over: Over::Product { zeros, .. },
            ..
        } = function.form
        else {
            panic!("no product");
        };
        let inside = |z: i64, (lo, hi): Interval| (lo..=hi).contains(&z);
        assert!(!inside(zeros.0, a) || !inside(zeros.1, b), "{zeros:?}");
        checked(function.name(), &function, f);
        function.corrections()
    }

    #[test]
    fn sums_are_sound() {
        let (a, b) = ((-4, 3), (0, 6));
        sound("sum, steps", a, b, &|a, b| {
            (5 * a + 3 * b + 4).div_euclid(8)
        });
        sound("sum, steps", a, b, &|a, b| (7 - a - 2 * b).clamp(-3, 4));
        sound("sum, table", a, b, &|a, b| {
            i64::from(3 * a - 2 * b > -7) * 90
        });
        let corrected = sound("sum, steps", a, b, &|a, b| {
            (5 * a + 3 * b + 4).div_euclid(8) + i64::from((a, b) == (1, 2))
        });
        assert_eq!(corrected.corrections(), 1);
    }

    #[test]
    fn products_are_sound() {
        let (a, b) = ((-4, 3), (0, 6));
        sound("product, steps", a, b, &|a, b| {
            ((a + 1) * (b - 2) + 1).div_euclid(3)
        });
        sound("product, steps", a, b, &|a, b| (a * b).clamp(0, 9));
        sound("product, steps", a, b, &|a, b| 3 - a * (b - 3));
    }

    /// An interval that excludes the zero point has no row or column of one value.
    #[test]
    fn products_with_zeros_outside_are_sound() {
        let scaled = |za: i64, zb: i64| {
            move |a: i64, b: i64| (5 * (a - za) * (b - zb) + 2).div_euclid(4).clamp(-120, 80)
        };
        for (a, b, za, zb) in [
            ((0, 5), (3, 9), 0, 1),
            ((2, 7), (-5, 1), 4, -8),
            ((2, 7), (0, 6), -1, 3),
            ((3, 8), (4, 9), 0, 1),
            ((-8, -3), (4, 9), 0, 0),
            ((1, 6), (-6, -1), -2, 3),
        ] {
            sound_outside(a, b, &scaled(za, zb));
        }
        let even = |a: i64, b: i64| {
            let product = (a + 2) * (b + 1);
            product / 2 + i64::from(product % 4 == 3)
        };
        sound_outside((0, 5), (1, 7), &even);
        let off = |a: i64, b: i64| scaled(0, 1)(a, b) + i64::from((a, b) == (5, 6));
        assert!(sound_outside((3, 8), (4, 9), &off) > 0);
    }

    /// Gates of squeeze-and-excite times activations whose intervals exclude their zero points.
    #[test]
    fn zeros_outside_are_found_at_every_scale() {
        #[expect(clippy::cast_possible_truncation, reason = "bytes")]
        let byte = |v: f32, zero: i64| (v as i64 + zero).clamp(0, 255);
        #[expect(clippy::cast_precision_loss, reason = "bytes")]
        let times = |a: i64, b: i64, scale: f32| (a * b) as f32 * scale;
        for (a, b, zeros) in [
            ((0, 30), (101, 255), (0, 0)),
            ((0, 39), (67, 169), (0, 0)),
            ((30, 200), (0, 255), (10, 128)),
            ((30, 200), (40, 180), (10, 3)),
            ((0, 255), (0, 255), (-40, 100)),
            ((0, 255), (20, 255), (-40, 1)),
            ((-128, 60), (-100, 90), (100, 127)),
        ] {
            for scale in [0.002_37, 1.0 / 128.0, 0.029] {
                for even in [true, false] {
                    let f = |a: i64, b: i64| {
                        let v = times(a - zeros.0, b - zeros.1, scale);
                        let v = if even {
                            v.round_ties_even()
                        } else {
                            (v + 0.5).floor()
                        };
                        byte(v, 37)
                    };
                    let all = values(a, b, &f);
                    let case = format!("{a:?} {b:?} {zeros:?} {scale} {even}");
                    let function = Bivariate::new(a, b, &all).expect(&case);
                    assert!(function.name().starts_with("product"), "{case}");
                    assert!(function.cost() <= 90, "{case}: {}", function.cost());
                }
            }
        }
    }

    #[test]
    fn functions_of_one_operand_are_found() {
        let (a, b) = ((-4, 3), (0, 6));
        sound("constant", a, b, &|_, _| 7);
        sound("linear", a, b, &|a, _| 2 - a);
        sound("steps", a, b, &|_, b| b.max(3));
        sound("table", a, b, &|a, _| (a * a * 7) % 11);
    }

    /// Half to even: no shift follows it, thresholds do.
    #[test]
    fn ties_to_even_are_sound() {
        let half = |sum: i64| sum / 2 + i64::from(sum % 4 == 3);
        let (a, b) = ((0, 255), (0, 255));
        let all = values(a, b, &|a, b| half(a + b));
        let function = Bivariate::new(a, b, &all).unwrap();
        assert_eq!(function.name(), "sum, table");
        let build = |cx: &mut Lowering<'_>, x: &[Num]| {
            Ok(vec![function.lower(cx, &x[0], &x[1], 1)?.to_signal(cx)])
        };
        let expected = |v: &[i64]| Some(vec![Fr::from(half(v[0] + v[1]))]);
        let subject = Subject::new("ties", &[a, b], &build, &expected);
        assert_eq!(subject.constraints().unwrap(), function.cost());
        let points: Vec<Vec<i64>> = [(0, 0), (1, 0), (3, 0), (255, 255), (255, 254), (77, 78)]
            .map(|(a, b)| vec![a, b])
            .into();
        subject.check_honest(&points).unwrap();
        subject.check_mutations(&points).unwrap();
        subject.check_rank(&points).unwrap();
    }

    /// What a runtime computes for 8-bit tensors, in float32 with its roundings.
    #[test]
    fn sums_and_products_of_quantized_bytes_are_cheap() {
        let (a, b) = ((0, 255), (-128, 127));
        #[expect(clippy::cast_possible_truncation, reason = "bytes")]
        let byte = |v: f32| (v.round_ties_even() as i64 + 100).clamp(0, 255);
        #[expect(clippy::cast_precision_loss, reason = "bytes")]
        let real = |v: i64, zero: i64, scale: f32| (v - zero) as f32 * scale;
        let sum =
            |a: i64, b: i64| byte((real(a, 13, 0.031_37) + real(b, 5, 0.017_713)) / 0.041_291);
        let product =
            |a: i64, b: i64| byte(real(a, 13, 0.031_37) * real(b, 5, 0.017_713) / 0.091_7);
        for (f, name, most) in [
            (&sum as &dyn Fn(i64, i64) -> i64, "sum, steps", 36),
            (&product, "product, steps", 46),
        ] {
            let function = Bivariate::new(a, b, &values(a, b, f)).unwrap();
            assert_eq!(function.name(), name);
            assert!(function.cost() <= most, "{name} {}", function.cost());
            let build = |cx: &mut Lowering<'_>, x: &[Num]| {
                Ok(vec![function.lower(cx, &x[0], &x[1], 1)?.to_signal(cx)])
            };
            let expected = |v: &[i64]| Some(vec![Fr::from(f(v[0], v[1]))]);
            let subject = Subject::new(name, &[a, b], &build, &expected);
            assert_eq!(subject.constraints().unwrap(), function.cost());
            let ends = [
                (0, -128),
                (0, 127),
                (255, -128),
                (255, 127),
                (13, 5),
                (100, -7),
            ];
            let points = ends.map(|(a, b)| vec![a, b]);
            subject.check_honest(&points).unwrap();
            subject.check_mutations(&points).unwrap();
            subject.check_rank(&points).unwrap();
        }
    }

    #[test]
    fn what_has_no_cheap_form_is_refused() {
        let (a, b) = ((0, 255), (0, 255));
        let scrambled = values(a, b, &|a, b| (a * a * 31 + b * b * 17 + a * b) % 256);
        assert!(Bivariate::new(a, b, &scrambled).is_err());
        assert!(Bivariate::new(a, b, &scrambled[1..]).is_err());
        assert!(Bivariate::new((0, 256), (0, 0), &[0; 257]).is_err());
        assert!(Bivariate::new((1, 0), (0, 0), &[]).is_err());
        assert!(Bivariate::new((0, 0), (0, 0), &[1 << 31]).is_err());

        let function = Bivariate::new((0, 3), (0, 3), &values((0, 3), (0, 3), &|a, b| a + b));
        let cx = &mut Lowering::shape(Backend::Plain, 2).unwrap();
        let x = Num::claimed(cx, crate::Wire(1), 0, 0, 3);
        let wide = Num::claimed(cx, crate::Wire(2), 0, 0, 4);
        let function = function.unwrap();
        assert!(function.lower(cx, &x, &x, 1).is_ok());
        assert!(function.lower(cx, &x, &wide, 1).is_err());
        assert!(function.lower(cx, &wide, &x, 1).is_err());
    }
}

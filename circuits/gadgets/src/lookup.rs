//! The lookup service of the plain backend: constant tables of up to 2^8 entries.
//!
//! A column, as a function of the index bits, is a multilinear polynomial. The bits are split in a
//! low and a high part: `T(h, l) = Σ_S h^S · P_S(l)`, where `h^S` is a product of high bits and
//! `P_S` a linear combination of products of low bits. Each `S ≠ ∅` costs one product a column.

use ark_bn254::Fr;
use ark_ff::Field;

use crate::error::LowerError;
use crate::lc::Lc;
use crate::limbs::limbs;
use crate::lowering::Lowering;
use crate::num::Num;
use proofmark_tensor::ElemType;

/// Largest number of index bits.
pub const MAX_INDEX_BITS: u32 = 8;

/// A constant table: `2^bits` entries in each of any number of output columns.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Table {
    bits: u32,
    low: u32,
    columns: Vec<Column>,
    /// Products of low bits that are needed, by bit set.
    low_used: Vec<bool>,
    /// Products of high bits that are needed, by bit set.
    high_used: Vec<bool>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Column {
    entries: Vec<i64>,
    /// `coefficients[S << low | R]` is that of `h^S · l^R`.
    coefficients: Vec<i64>,
}

impl Table {
    /// A table of the given columns.
    ///
    /// # Errors
    /// [`LowerError::BadTable`] unless `bits ≤ 8`, every column has `2^bits` entries and all
    /// entries are below 2^40 in size.
    pub fn new(bits: u32, columns: &[Vec<i64>]) -> Result<Self, LowerError> {
        let bad = |reason: String| LowerError::BadTable {
            path: "table".to_owned(),
            reason,
        };
        if bits > MAX_INDEX_BITS {
            return Err(bad(format!("{bits} index bits")));
        }
        for (at, column) in columns.iter().enumerate() {
            if column.len() != 1 << bits {
                return Err(bad(format!("column {at} has {} entries", column.len())));
            }
            if column.iter().any(|v| v.unsigned_abs() >= 1 << 40) {
                return Err(bad(format!("column {at} has an entry of 2^40 or more")));
            }
        }
        // The split with the fewest constraints; the one with the shorter combinations of equals.
        let mut best: Option<Self> = None;
        for low in bits.div_ceil(2)..=bits {
            let candidate = Self::split(bits, low, columns);
            if best.as_ref().is_none_or(|b| candidate.cost() < b.cost()) {
                best = Some(candidate);
            }
        }
        best.ok_or_else(|| bad("no split".to_owned()))
    }

    /// A table of 256 outputs.
    ///
    /// # Errors
    /// Those of [`new`](Self::new); none in practice.
    pub fn of_outputs(outputs: &[i32; 256]) -> Result<Self, LowerError> {
        Self::new(8, &[outputs.iter().map(|&y| i64::from(y)).collect()])
    }

    fn split(bits: u32, low: u32, columns: &[Vec<i64>]) -> Self {
        let columns: Vec<Column> = columns
            .iter()
            .map(|entries| Column {
                coefficients: multilinear(entries),
                entries: entries.clone(),
            })
            .collect();
        let mut low_used = vec![false; 1 << low];
        let mut high_used = vec![false; 1 << (bits - low)];
        for column in &columns {
            for (at, &c) in column.coefficients.iter().enumerate() {
                if c != 0 {
                    mark(&mut low_used, at & ((1 << low) - 1));
                    mark(&mut high_used, at >> low);
                }
            }
        }
        Self {
            bits,
            low,
            columns,
            low_used,
            high_used,
        }
    }

    /// Index bits.
    pub const fn bits(&self) -> u32 {
        self.bits
    }

    /// The entry of a column.
    pub fn entry(&self, column: usize, index: usize) -> Option<i64> {
        self.columns.get(column)?.entries.get(index).copied()
    }

    /// Constraints of one [`lookup`].
    pub fn cost(&self) -> usize {
        let products = |used: &[bool]| {
            used.iter()
                .enumerate()
                .filter(|(set, used)| **used && set.count_ones() >= 2)
                .count()
        };
        let columns: usize = self.columns.iter().map(|c| self.column_cost(c)).sum();
        products(&self.low_used) + products(&self.high_used) + columns
    }

    fn column_cost(&self, column: &Column) -> usize {
        column
            .coefficients
            .chunks(1 << self.low)
            .skip(1)
            .filter(|polynomial| !is_constant(polynomial))
            .count()
    }
}

/// Whether only the coefficient of the empty product may be non-zero.
fn is_constant(polynomial: &[i64]) -> bool {
    polynomial.iter().skip(1).all(|&c| c == 0)
}

/// Marks a product and those it is built from: each drops the highest bit of the set.
fn mark(used: &mut [bool], mut set: usize) {
    while let Some(slot) = used.get_mut(set) {
        *slot = true;
        if set == 0 {
            return;
        }
        set ^= 1 << set.ilog2();
    }
}

/// Coefficients of the multilinear polynomial with these values at the bit vectors (Möbius).
fn multilinear(entries: &[i64]) -> Vec<i64> {
    let mut c = entries.to_vec();
    let mut stride = 1;
    while stride < c.len() {
        for block in c.chunks_mut(2 * stride) {
            let (zero, one) = block.split_at_mut(stride);
            for (a, b) in zero.iter().zip(one) {
                *b -= a;
            }
        }
        stride *= 2;
    }
    c
}

/// The table's columns at the index whose bits (least significant first) are given: numbers with
/// the interval of the column's entries.
///
/// # Soundness
/// The index bits are proven bits ([`limbs`]); every other wire is the product of earlier ones, so
/// the outputs are functions of the bits, equal to the table at each of the `2^bits` points by the
/// construction of the polynomial.
///
/// # Errors
/// [`LowerError::BadTable`] unless there are as many bits as the table's index has.
pub fn lookup(
    cx: &mut Lowering<'_>,
    step: &'static str,
    index: &[Num],
    table: &Table,
) -> Result<Vec<Num>, LowerError> {
    let bits_proven = index.iter().all(|bit| bit.lo() >= 0 && bit.hi() <= 1);
    if index.len() != table.bits as usize || !bits_proven {
        return Err(LowerError::BadTable {
            path: cx.path(step),
            reason: format!("an index of {} bits", index.len()),
        });
    }
    let at = index
        .iter()
        .enumerate()
        .fold(0, |at, (i, bit)| at | (usize::from(bit.value() == 1) << i));
    let (low_bits, high_bits) = index.split_at(table.low as usize);
    let low = monomials(cx, step, low_bits, &table.low_used)?;
    let high = monomials(cx, step, high_bits, &table.high_used)?;
    table
        .columns
        .iter()
        .map(|column| column_value(cx, step, table, column, (&low, &high), at))
        .collect()
}

fn column_value(
    cx: &mut Lowering<'_>,
    step: &'static str,
    table: &Table,
    column: &Column,
    (low, high): (&[Term], &[Term]),
    at: usize,
) -> Result<Num, LowerError> {
    let value = column.entries.get(at).copied().unwrap_or_default();
    let lo = column.entries.iter().copied().min().unwrap_or_default();
    let hi = column.entries.iter().copied().max().unwrap_or_default();
    let polynomials = || column.coefficients.chunks(1 << table.low).zip(high);

    // What is linear in the products that exist: P_∅, and every constant P_S.
    let mut sum = Term::default();
    for (set, (polynomial, high)) in polynomials().enumerate() {
        if set == 0 {
            sum.add(cx, 1, &combine(cx, polynomial, low));
        } else if is_constant(polynomial) {
            let c = polynomial.first().copied().unwrap_or_default();
            sum.add(cx, c, high);
        }
    }
    let mut products = polynomials()
        .skip(1)
        .filter(|(polynomial, _)| !is_constant(polynomial))
        .peekable();
    while let Some((polynomial, high)) = products.next() {
        let inner = combine(cx, polynomial, low);
        if products.peek().is_some() {
            let term = multiply(cx, step, high, &inner)?;
            sum.add(cx, 1, &term);
        } else {
            // The last product yields the output itself. Constrained by the next line:
            // h^S · P_S = output − everything before.
            let wire = cx.hint(step, || Fr::from(value))?;
            let out = Num::claimed(cx, wire, value, lo, hi);
            let rest = out.lc().clone().add_scaled(-Fr::ONE, &sum.lc);
            cx.enforce(step, high.lc.clone(), inner.lc, rest)?;
            return Ok(out);
        }
    }
    // No product at all: the column is linear in the bits. Its entries bound it at every index.
    debug_assert!(cx.emits() || sum.value == value);
    Ok(Num::from_limb(sum.lc, value, lo, hi).with_weight(sum.weight.max(1)))
}

/// A combination of wires, its value in witness mode, and a bound on its number of terms.
#[derive(Clone, Default)]
struct Term {
    lc: Lc,
    value: i64,
    weight: u32,
}

impl Term {
    fn add(&mut self, cx: &Lowering<'_>, coefficient: i64, other: &Self) {
        if coefficient == 0 {
            return;
        }
        self.weight += other.weight;
        if cx.emits() {
            self.lc.accumulate(Fr::from(coefficient), &other.lc);
        } else {
            self.value += coefficient * other.value;
        }
    }
}

/// The products of bits for all bit sets in use; unused ones are empty. One constraint for each
/// set of two bits or more.
fn monomials(
    cx: &mut Lowering<'_>,
    step: &'static str,
    bits: &[Num],
    used: &[bool],
) -> Result<Vec<Term>, LowerError> {
    let mut out: Vec<Term> = Vec::with_capacity(used.len());
    for (set, &used) in used.iter().enumerate() {
        let term = if !used {
            Term::default()
        } else if set == 0 {
            Term {
                lc: Num::constant(cx, 1).into_lc(),
                value: 1,
                weight: 1,
            }
        } else {
            let top = set.ilog2() as usize;
            let bit = bits.get(top).map_or_else(Term::default, |bit| Term {
                lc: bit.lc().clone(),
                value: bit.value(),
                weight: bit.weight(),
            });
            match out.get(set ^ (1 << top)).cloned() {
                Some(rest) if set.count_ones() > 1 => multiply(cx, step, &rest, &bit)?,
                _ => bit,
            }
        };
        out.push(term);
    }
    Ok(out)
}

/// The product as a wire: one constraint.
fn multiply(
    cx: &mut Lowering<'_>,
    step: &'static str,
    left: &Term,
    right: &Term,
) -> Result<Term, LowerError> {
    let value = left.value * right.value;
    // Constrained by the next line.
    let wire = cx.hint(step, || Fr::from(value))?;
    let lc = if cx.emits() {
        Lc::wire(wire)
    } else {
        Lc::zero()
    };
    cx.enforce(step, left.lc.clone(), right.lc.clone(), lc.clone())?;
    Ok(Term {
        lc,
        value,
        weight: 1,
    })
}

fn combine(cx: &Lowering<'_>, polynomial: &[i64], monomials: &[Term]) -> Term {
    let mut sum = Term::default();
    for (&c, monomial) in polynomial.iter().zip(monomials) {
        sum.add(cx, c, monomial);
    }
    sum
}

/// Any function between two 8-bit tensors: `table` at `x − minimum of elem`.
/// 8 constraints and those of the [`lookup`].
///
/// # Errors
/// [`LowerError::IntervalUnfit`] when the interval of `x` leaves `elem` or `elem` has not 8 bits;
/// [`LowerError::BadTable`] unless the table has 8 index bits and one column.
pub fn table8(
    cx: &mut Lowering<'_>,
    x: &Num,
    elem: ElemType,
    table: &Table,
) -> Result<Num, LowerError> {
    if table.bits != 8 || table.columns.len() != 1 {
        return Err(LowerError::BadTable {
            path: cx.path("table"),
            reason: format!(
                "{} index bits and {} columns for a function of 8 bits",
                table.bits,
                table.columns.len()
            ),
        });
    }
    let index = x.plus(cx, -i64::from(elem.min()))?;
    if elem.bits() != 8 || index.lo() < 0 || index.hi() > 255 {
        return Err(LowerError::IntervalUnfit {
            path: cx.path("table"),
            lo: x.lo(),
            hi: x.hi(),
            bits: 8,
        });
    }
    let bits = limbs(cx, "table-index", &index, &[1; 8])?;
    lookup(cx, "table", &bits, table)?
        .pop()
        .ok_or_else(|| LowerError::BadTable {
            path: cx.path("table"),
            reason: "no column".to_owned(),
        })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::Subject;

    fn scramble(i: i64) -> i64 {
        (i * i * i + 7 * i * i + 41 * i) % 257 - 90
    }

    #[test]
    fn every_small_table_reads_as_written() {
        for bits in 0..=5_u32 {
            let size = 1_i64 << bits;
            let table = Table::new(
                bits,
                &[
                    (0..size).map(scramble).collect(),
                    (0..size).map(|i| i * 3 - 1).collect(),
                    (0..size).map(|i| i64::from(i == size - 1)).collect(),
                ],
            )
            .unwrap();
            let build = |cx: &mut Lowering<'_>, x: &[Num]| {
                let bits = limbs(cx, "index", &x[0], &vec![1; bits as usize])?;
                let columns = lookup(cx, "table", &bits, &table)?;
                Ok(columns.iter().map(|c| c.to_signal(cx)).collect())
            };
            let expected = |v: &[i64]| {
                let at = usize::try_from(v[0]).unwrap();
                Some(
                    (0..3)
                        .map(|c| Fr::from(table.entry(c, at).unwrap()))
                        .collect(),
                )
            };
            let subject = Subject::new("lookup", &[(0, size - 1)], &build, &expected);
            let index = if bits > 1 { bits as usize } else { 0 };
            assert_eq!(subject.constraints().unwrap(), index + table.cost());
            let points: Vec<Vec<i64>> = (0..size).map(|x| vec![x]).collect();
            subject.check(&points).unwrap();
            assert_eq!(subject.check_all_solutions(&points).unwrap(), points.len());
        }
    }

    #[test]
    fn any_function_of_eight_bits() {
        for elem in [ElemType::Uint8, ElemType::Int8] {
            let outputs: [i32; 256] = core::array::from_fn(|i| {
                i32::try_from(scramble(i64::try_from(i).unwrap())).unwrap()
            });
            let table = Table::of_outputs(&outputs).unwrap();
            assert_eq!(table.cost(), 37);
            let build = |cx: &mut Lowering<'_>, x: &[Num]| {
                Ok(vec![table8(cx, &x[0], elem, &table)?.to_signal(cx)])
            };
            let expected = |v: &[i64]| {
                let at = usize::try_from(v[0] - i64::from(elem.min())).unwrap();
                Some(vec![Fr::from(outputs[at])])
            };
            let range = (i64::from(elem.min()), i64::from(elem.max()));
            let subject = Subject::new("table8", &[range], &build, &expected);
            assert_eq!(subject.constraints().unwrap(), 45);
            let all: Vec<Vec<i64>> = (range.0..=range.1).map(|x| vec![x]).collect();
            subject.check_honest(&all).unwrap();
            subject
                .check(&[all[0].clone(), all[77].clone(), all[255].clone()])
                .unwrap();
            let some: Vec<Vec<i64>> = all.into_iter().step_by(51).collect();
            assert_eq!(subject.check_all_solutions(&some).unwrap(), some.len());
        }
    }

    #[test]
    fn linear_functions_cost_nothing_but_the_index() {
        let identity: [i32; 256] = core::array::from_fn(|i| i32::try_from(i).unwrap() * 2 - 7);
        assert_eq!(Table::of_outputs(&identity).unwrap().cost(), 0);
        assert_eq!(Table::of_outputs(&[9; 256]).unwrap().cost(), 0);
    }

    #[test]
    fn refuses_tables_of_another_size() {
        assert_eq!(
            Table::new(9, &[vec![0; 512]]).unwrap_err().code(),
            "bad-table"
        );
        assert!(Table::new(3, &[vec![0; 7]]).is_err());
        assert!(Table::new(0, &[vec![1 << 40]]).is_err());
        let cx = &mut Lowering::shape(crate::Backend::Plain, 1).unwrap();
        let x = Num::claimed(cx, crate::Wire(1), 0, 0, 256);
        let table = Table::of_outputs(&[0; 256]).unwrap();
        assert!(table8(cx, &x, ElemType::Uint8, &table).is_err());
        // Not a bit: 0 ..= 256.
        assert!(lookup(cx, "table", &vec![x; 8], &table).is_err());
    }
}

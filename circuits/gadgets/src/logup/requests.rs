//! What the first phase asked for: lookups and ranges, kept until all of them are known.

use std::collections::{BTreeMap, HashMap};

use crate::error::LowerError;
use crate::lc::{Lc, Wire};
use crate::num::Num;
use crate::r1cs::SparseMatrix;
use crate::requantize::Clamp;

use super::table::LookupTable;

/// Combinations of up to so many terms are kept as they are.
const SHORT: usize = 8;

/// Where a row comes from: number of the scope, step.
pub(crate) type Label = (u32, &'static str);

/// Everything asked for so far.
#[derive(Debug, Default)]
pub(crate) struct Requests {
    /// In the order of their first use, which is the same in both modes.
    pub(crate) tables: Vec<TableUse>,
    by_address: HashMap<usize, usize>,
    by_content: HashMap<LookupTable, usize>,
    pub(crate) ranges: Vec<RangeRequest>,
    pub(crate) clamps: Vec<Clamp>,
    /// Long combinations that are kept, in the compact form of a matrix: those of a layer repeat,
    /// and memory is not to follow multiply-adds.
    long: SparseMatrix,
}

/// A number that waits for the end of the phase.
#[derive(Debug)]
pub(crate) struct Kept {
    terms: Terms,
    value: i64,
    lo: i64,
    hi: i64,
    weight: u32,
}

#[derive(Debug)]
enum Terms {
    Short(Lc),
    /// A row of the matrix of long ones.
    Long(usize),
}

/// One table and what is looked up in it.
#[derive(Debug)]
pub(crate) struct TableUse {
    pub(crate) table: LookupTable,
    /// Shape mode: the rows to make.
    pub(crate) rows: Vec<LookupRow>,
    /// Witness mode: which entry each lookup hits.
    pub(crate) places: Vec<u32>,
    /// Witness mode: how many lookups hit each entry.
    pub(crate) counts: Vec<u32>,
}

/// A lookup of `value / 2^shift`.
#[derive(Debug)]
pub(crate) struct LookupRow {
    pub(crate) label: Label,
    pub(crate) value: Kept,
    pub(crate) shift: u32,
}

/// `0 ≤ x < 2^bits`, to be proven.
#[derive(Debug)]
pub(crate) struct RangeRequest {
    pub(crate) label: Label,
    pub(crate) x: Kept,
    pub(crate) bits: u32,
}

impl Requests {
    /// Keeps a number until [`release`](Self::release).
    pub(crate) fn keep(&mut self, num: Num) -> Result<Kept, LowerError> {
        let (value, lo, hi, weight) = (num.value(), num.lo(), num.hi(), num.weight());
        let lc = num.into_lc();
        let terms = if lc.terms().len() <= SHORT {
            Terms::Short(lc)
        } else {
            self.long.push_row(lc)?;
            Terms::Long(self.long.rows() - 1)
        };
        Ok(Kept {
            terms,
            value,
            lo,
            hi,
            weight,
        })
    }

    /// The number that was kept.
    pub(crate) fn release(&self, kept: Kept) -> Num {
        let lc = match kept.terms {
            Terms::Short(lc) => lc,
            Terms::Long(row) => {
                let mut lc = Lc::zero();
                for (wire, coefficient) in self.long.row(row) {
                    lc.push(Wire(wire), coefficient);
                }
                lc
            }
        };
        Num::from_limb(lc, kept.value, kept.lo, kept.hi).with_weight(kept.weight)
    }

    /// The number of a table, new or known.
    pub(crate) fn table(&mut self, table: &LookupTable) -> usize {
        if let Some(&known) = self.by_address.get(&table.address()) {
            return known;
        }
        let number = if let Some(&known) = self.by_content.get(table) {
            known
        } else {
            let number = self.tables.len();
            self.tables.push(TableUse {
                table: table.clone(),
                rows: Vec::new(),
                places: Vec::new(),
                counts: Vec::new(),
            });
            self.by_content.insert(table.clone(), number);
            number
        };
        // Only an address that is kept alive may be remembered: that of the table stored.
        if self
            .tables
            .get(number)
            .is_some_and(|known| known.table.address() == table.address())
        {
            self.by_address.insert(table.address(), number);
        }
        number
    }

    /// Whether a table with these keys is in use.
    pub(crate) fn has(&self, table: &LookupTable) -> bool {
        self.by_address.contains_key(&table.address()) || self.by_content.contains_key(table)
    }

    /// How many ranges of each width there are.
    pub(crate) fn widths(&self) -> BTreeMap<u32, u64> {
        let mut out = BTreeMap::new();
        for request in &self.ranges {
            *out.entry(request.bits).or_default() += 1;
        }
        out
    }
}

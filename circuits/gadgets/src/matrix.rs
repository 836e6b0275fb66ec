//! Sparse matrices in blocks: a row is a few pieces, each a pattern of wires and a sequence of
//! coefficients, stored once however often they occur.
//!
//! Nothing here knows of operators. The rows of a convolution share one sequence of coefficients
//! an output channel and one pattern of wires a position; those of a dense layer share one pattern
//! and their coefficients are the weights, two bytes each. Patterns are relative to their first
//! wire, so that what repeats at another place is the same pattern with another shift.

use std::collections::HashMap;
use std::collections::hash_map::{DefaultHasher, Entry};
use std::hash::{Hash, Hasher};
use std::ops::Range;
use std::sync::Arc;

use ark_bn254::Fr;
use ark_ff::{AdditiveGroup, Zero};
use rayon::prelude::*;

use crate::error::LowerError;
use crate::integers::{self, Classifier, Number, RowValue, Small, Sum};
use crate::lc::{Lc, Wire};

/// Rows of at most this many terms are one piece.
const WHOLE: usize = 6;
/// A longer row is cut at its last gaps that are wider than this many wires: what is its own (the
/// wires made for it) stands far from its operands, and shifts from row to row in another way. Wide
/// enough for an operand that is missing because its coefficient is 0.
const GAP: u32 = 128;
/// At most so many cuts a row.
const CUTS: usize = 3;
/// A piece of at least this many terms may hold zeros, to share a pattern with rows whose
/// coefficients are 0 at other places.
const LONG: usize = 16;

/// A sparse matrix over the scalar field, row by row. Each row is in canonical form: ascending
/// wires, no zero coefficient. Clones share the entries.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct SparseMatrix(Arc<Store>);

#[derive(Debug, Clone, Default, PartialEq, Eq)]
struct Store {
    non_zero: usize,
    /// One more than the largest wire.
    wires_end: usize,
    /// Where each row's pieces end.
    row_ends: Vec<u32>,
    pieces: Vec<Piece>,
    blocks: Vec<Block>,
    patterns: Vec<Span>,
    sequences: Vec<Sequence>,
    /// Wires of all patterns, each relative to its first (but the constant).
    wires: Vec<u32>,
    short: Vec<i16>,
    long: Vec<i64>,
    field: Vec<Fr>,
    index: Index,
}

/// Part of a row: a block, its wires shifted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Piece {
    block: u32,
    shift: u32,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
struct Block {
    pattern: u32,
    sequence: u32,
}

/// A pattern of wires: `constant` says that wire 0, which never shifts, stands before them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Span {
    start: u32,
    len: u32,
    constant: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Sequence {
    start: u32,
    len: u32,
    non_zero: u32,
    kind: Kind,
}

/// Where a sequence's numbers are. Integers stand for `integer · 2^-scale`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Kind {
    Short { scale: u8 },
    Long { scale: u8 },
    Field,
}

/// What finds known patterns, sequences and blocks again while a matrix is built.
#[derive(Debug, Clone, Default)]
struct Index {
    patterns: HashMap<u64, u32>,
    sequences: HashMap<u64, u32>,
    blocks: HashMap<Block, u32>,
    /// The long piece seen last that begins, or ends, with this wire: its pattern and shift.
    begins: HashMap<u32, (u32, u32)>,
    ends: HashMap<u32, (u32, u32)>,
    classifier: Classifier,
}

/// An index is no part of a matrix's value.
impl PartialEq for Index {
    fn eq(&self, _: &Self) -> bool {
        true
    }
}

impl Eq for Index {}

fn small(index: usize) -> Result<u32, LowerError> {
    u32::try_from(index).map_err(|_| LowerError::TooLarge)
}

fn span<T>(all: &[T], start: u32, len: u32) -> &[T] {
    let start = start as usize;
    all.get(start..start + len as usize).unwrap_or_default()
}

/// The entry of `map` for this content: the first from its hash on that is `same` or free.
fn intern(
    map: &mut HashMap<u64, u32>,
    mut hash: u64,
    next: u32,
    same: impl Fn(u32) -> bool,
) -> (u32, bool) {
    loop {
        match map.entry(hash) {
            Entry::Vacant(free) => return (*free.insert(next), true),
            Entry::Occupied(at) if same(*at.get()) => return (*at.get(), false),
            Entry::Occupied(_) => hash = hash.wrapping_add(1),
        }
    }
}

impl Store {
    fn push_row(&mut self, row: &[(Wire, Fr)]) -> Result<(), LowerError> {
        // Nothing is stored of a row that does not fit.
        let non_zero = self.non_zero + row.len();
        small(non_zero)?;
        let numbers: Vec<Number> = row
            .iter()
            .map(|&(_, c)| self.index.classifier.number(c))
            .collect();
        let mut from = 0;
        for to in cuts(row).into_iter().chain([row.len()]) {
            if let (Some(terms), Some(numbers)) = (row.get(from..to), numbers.get(from..to))
                && !terms.is_empty()
            {
                self.push_piece(terms, numbers)?;
            }
            from = to;
        }
        self.non_zero = non_zero;
        if let Some((last, _)) = row.last() {
            self.wires_end = self.wires_end.max(last.index() + 1);
        }
        self.row_ends.push(small(self.pieces.len())?);
        Ok(())
    }

    fn push_piece(&mut self, terms: &[(Wire, Fr)], numbers: &[Number]) -> Result<(), LowerError> {
        let constant = terms.first().is_some_and(|&(wire, _)| wire == Wire::ONE);
        let moving = terms.get(usize::from(constant)..).unwrap_or_default();
        if !constant && moving.len() >= LONG {
            return self.push_long(terms, numbers);
        }
        let shift = moving.first().map_or(0, |&(wire, _)| wire.0);
        let relative: Vec<u32> = moving.iter().map(|&(wire, _)| wire.0 - shift).collect();
        let pattern = self.pattern(constant, &relative)?;
        self.push_block(pattern, shift, terms.to_vec(), numbers)
    }

    /// A piece of many terms. What stood at the same wires before may have had its zeros at other
    /// places; one pattern then serves both, with zeros among the coefficients.
    fn push_long(&mut self, terms: &[(Wire, Fr)], numbers: &[Number]) -> Result<(), LowerError> {
        let wires: Vec<u32> = terms.iter().map(|&(wire, _)| wire.0).collect();
        let (Some(&first), Some(&last)) = (wires.first(), wires.last()) else {
            return Ok(());
        };
        let before = [self.index.begins.get(&first), self.index.ends.get(&last)];
        let mut all = wires.clone();
        for &(pattern, shift) in before.into_iter().flatten() {
            let known = self.patterns.get(pattern as usize);
            let known = known.map_or(&[][..], |p| span(&self.wires, p.start, p.len));
            let both = union(&wires, known.iter().map(|wire| wire + shift));
            // Zeros take two bytes each, a pattern of its own four bytes a term.
            if known.len() <= 2 * wires.len() && both.len() - known.len() <= wires.len() / 4 {
                all = both;
                break;
            }
        }
        let shift = all.first().copied().unwrap_or_default();
        let relative: Vec<u32> = all.iter().map(|wire| wire - shift).collect();
        let pattern = self.pattern(false, &relative)?;
        let end = all.last().copied().unwrap_or(last);
        for wire in [first, shift] {
            self.index.begins.insert(wire, (pattern, shift));
        }
        for wire in [last, end] {
            self.index.ends.insert(wire, (pattern, shift));
        }
        if all.len() == wires.len() {
            return self.push_block(pattern, shift, terms.to_vec(), numbers);
        }
        let mut given = terms.iter().zip(numbers).peekable();
        let (padded, numbers): (Vec<(Wire, Fr)>, Vec<Number>) = all
            .into_iter()
            .map(|wire| match given.next_if(|((at, _), _)| at.0 == wire) {
                Some((&term, &number)) => (term, number),
                None => ((Wire(wire), Fr::ZERO), Number::Integer(0, 0)),
            })
            .unzip();
        self.push_block(pattern, shift, padded, &numbers)
    }

    fn push_block(
        &mut self,
        pattern: u32,
        shift: u32,
        terms: Vec<(Wire, Fr)>,
        numbers: &[Number],
    ) -> Result<(), LowerError> {
        let block = Block {
            pattern,
            sequence: self.sequence(terms, numbers)?,
        };
        let block = match self.index.blocks.entry(block) {
            Entry::Occupied(known) => *known.get(),
            Entry::Vacant(free) => {
                let id = small(self.blocks.len())?;
                self.blocks.push(block);
                *free.insert(id)
            }
        };
        self.pieces.push(Piece { block, shift });
        Ok(())
    }

    fn pattern(&mut self, constant: bool, relative: &[u32]) -> Result<u32, LowerError> {
        let mut hasher = DefaultHasher::new();
        (constant, relative).hash(&mut hasher);
        let next = small(self.patterns.len())?;
        let (id, new) = intern(&mut self.index.patterns, hasher.finish(), next, |id| {
            self.patterns.get(id as usize).is_some_and(|p| {
                p.constant == constant && span(&self.wires, p.start, p.len) == relative
            })
        });
        if new {
            self.patterns.push(Span {
                start: small(self.wires.len())?,
                len: small(relative.len())?,
                constant,
            });
            self.wires.extend_from_slice(relative);
        }
        Ok(id)
    }

    fn sequence(&mut self, terms: Vec<(Wire, Fr)>, numbers: &[Number]) -> Result<u32, LowerError> {
        let Some((scale, integers)) = integers::common(numbers) else {
            let values: Vec<Fr> = terms.into_iter().map(|(_, c)| c).collect();
            return self.stored(Kind::Field, &values, |store| &mut store.field);
        };
        let short: Option<Vec<i16>> = integers.iter().map(|&v| i16::try_from(v).ok()).collect();
        if let Some(short) = short {
            let kind = Kind::Short { scale };
            return self.stored(kind, &short, |store| &mut store.short);
        }
        let kind = Kind::Long { scale };
        self.stored(kind, &integers, |store| &mut store.long)
    }

    fn stored<T: Copy + Default + Eq + Hash>(
        &mut self,
        kind: Kind,
        values: &[T],
        arena: impl Fn(&mut Self) -> &mut Vec<T>,
    ) -> Result<u32, LowerError> {
        let mut hasher = DefaultHasher::new();
        (kind, values).hash(&mut hasher);
        let next = small(self.sequences.len())?;
        let mut map = std::mem::take(&mut self.index.sequences);
        let all = std::mem::take(arena(self));
        let (id, new) = intern(&mut map, hasher.finish(), next, |id| {
            self.sequences
                .get(id as usize)
                .is_some_and(|s| s.kind == kind && span(&all, s.start, s.len) == values)
        });
        self.index.sequences = map;
        *arena(self) = all;
        if new {
            let start = small(arena(self).len())?;
            self.sequences.push(Sequence {
                start,
                len: small(values.len())?,
                non_zero: small(values.iter().filter(|v| **v != T::default()).count())?,
                kind,
            });
            arena(self).extend_from_slice(values);
        }
        Ok(id)
    }

    /// The pieces of a row; none when there is no such row.
    fn row(&self, index: usize) -> &[Piece] {
        let from = match index.checked_sub(1) {
            Some(before) => self.row_ends.get(before).copied(),
            None => Some(0),
        };
        let range: Range<usize> = match (from, self.row_ends.get(index)) {
            (Some(from), Some(&to)) => from as usize..to as usize,
            _ => 0..0,
        };
        self.pieces.get(range).unwrap_or_default()
    }

    /// A piece's wires and numbers.
    fn parts(&self, piece: Piece) -> Option<(Wires<'_>, Numbers<'_>)> {
        let block = self.blocks.get(piece.block as usize)?;
        let pattern = self.patterns.get(block.pattern as usize)?;
        let sequence = self.sequences.get(block.sequence as usize)?;
        let (start, len) = (sequence.start, sequence.len);
        let numbers = match sequence.kind {
            Kind::Short { scale } => Numbers::Short(span(&self.short, start, len), scale),
            Kind::Long { scale } => Numbers::Long(span(&self.long, start, len), scale),
            Kind::Field => Numbers::Field(span(&self.field, start, len)),
        };
        let wires = Wires {
            constant: pattern.constant,
            shift: piece.shift,
            relative: span(&self.wires, pattern.start, pattern.len),
        };
        Some((wires, numbers))
    }
}

/// The wires in either of two ascending lists.
fn union(one: &[u32], other: impl Iterator<Item = u32>) -> Vec<u32> {
    let mut out = Vec::with_capacity(one.len());
    let mut one = one.iter().copied().peekable();
    for wire in other {
        while let Some(before) = one.next_if(|&w| w < wire) {
            out.push(before);
        }
        one.next_if_eq(&wire);
        out.push(wire);
    }
    out.extend(one);
    out
}

/// Where a row is cut. The constant of a long row is a piece of its own: it is often larger than
/// the coefficients, and would make them all wide.
fn cuts(row: &[(Wire, Fr)]) -> Vec<usize> {
    let mut cuts = Vec::new();
    if row.len() > WHOLE {
        for (at, pair) in row.windows(2).enumerate().skip(1).rev() {
            if let [(before, _), (after, _)] = pair
                && after.0 - before.0 > GAP
            {
                cuts.push(at + 1);
                if cuts.len() == CUTS {
                    break;
                }
            }
        }
        if row.first().is_some_and(|&(wire, _)| wire == Wire::ONE) {
            cuts.push(1);
        }
        cuts.reverse();
    }
    cuts
}

#[derive(Clone, Copy)]
struct Wires<'m> {
    constant: bool,
    shift: u32,
    relative: &'m [u32],
}

impl Wires<'_> {
    fn len(&self) -> usize {
        self.relative.len() + usize::from(self.constant)
    }

    fn get(&self, index: usize) -> Option<u32> {
        match (index, self.constant) {
            (0, true) => Some(0),
            _ => self
                .relative
                .get(index - usize::from(self.constant))
                .map(|wire| wire + self.shift),
        }
    }
}

#[derive(Clone, Copy)]
enum Numbers<'m> {
    Short(&'m [i16], u8),
    Long(&'m [i64], u8),
    Field(&'m [Fr]),
}

impl Numbers<'_> {
    fn get(&self, index: usize) -> Option<Fr> {
        match self {
            Self::Short(all, scale) => all
                .get(index)
                .map(|&v| integers::scaled(i128::from(v), *scale)),
            Self::Long(all, scale) => all
                .get(index)
                .map(|&v| integers::scaled(i128::from(v), *scale)),
            Self::Field(all) => all.get(index).copied(),
        }
    }
}

/// The terms of one row: wires, ascending, with their coefficients.
#[derive(Clone)]
pub struct Row<'m> {
    store: &'m Store,
    pieces: std::slice::Iter<'m, Piece>,
    current: Option<(Wires<'m>, Numbers<'m>)>,
    at: usize,
    left: usize,
}

impl Iterator for Row<'_> {
    type Item = (u32, Fr);

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            if let Some((wires, numbers)) = &self.current
                && let Some(term) = wires.get(self.at).zip(numbers.get(self.at))
            {
                self.at += 1;
                if term.1.is_zero() {
                    continue;
                }
                self.left = self.left.saturating_sub(1);
                return Some(term);
            }
            self.current = self.store.parts(*self.pieces.next()?);
            self.at = 0;
        }
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        (self.left, Some(self.left))
    }
}

impl ExactSizeIterator for Row<'_> {}

impl SparseMatrix {
    pub(crate) fn push_row(&mut self, row: Lc) -> Result<(), LowerError> {
        Arc::make_mut(&mut self.0).push_row(row.normalised().terms())
    }

    /// Ends building: what was kept to find repetitions is dropped.
    pub(crate) fn seal(&mut self) {
        let store = Arc::make_mut(&mut self.0);
        store.index = Index::default();
        store.row_ends.shrink_to_fit();
        store.pieces.shrink_to_fit();
        store.blocks.shrink_to_fit();
        store.patterns.shrink_to_fit();
        store.sequences.shrink_to_fit();
        store.wires.shrink_to_fit();
        store.short.shrink_to_fit();
        store.long.shrink_to_fit();
        store.field.shrink_to_fit();
    }

    /// Number of rows.
    pub fn rows(&self) -> usize {
        self.0.row_ends.len()
    }

    /// Number of non-zero entries.
    pub fn non_zero(&self) -> usize {
        self.0.non_zero
    }

    /// One more than the largest wire that any row names; 0 without any.
    pub fn wires_end(&self) -> usize {
        self.0.wires_end
    }

    /// Bytes that the entries take in memory, however many clones share them.
    pub fn bytes(&self) -> usize {
        let store = &*self.0;
        size_of_val(store.row_ends.as_slice())
            + size_of_val(store.pieces.as_slice())
            + size_of_val(store.blocks.as_slice())
            + size_of_val(store.patterns.as_slice())
            + size_of_val(store.sequences.as_slice())
            + size_of_val(store.wires.as_slice())
            + size_of_val(store.short.as_slice())
            + size_of_val(store.long.as_slice())
            + size_of_val(store.field.as_slice())
    }

    /// The terms of one row, ascending by wire: wires and coefficients, none of them 0; nothing
    /// when there is no such row.
    pub fn row(&self, index: usize) -> Row<'_> {
        let pieces = self.0.row(index);
        let terms = pieces.iter().filter_map(|piece| {
            let block = self.0.blocks.get(piece.block as usize)?;
            let sequence = self.0.sequences.get(block.sequence as usize)?;
            Some(sequence.non_zero as usize)
        });
        Row {
            store: &self.0,
            pieces: pieces.iter(),
            current: None,
            at: 0,
            left: terms.sum(),
        }
    }

    /// The inner product of one row with an assignment, in field arithmetic, term by term. Wires
    /// beyond the assignment count as 0.
    pub fn row_times(&self, index: usize, assignment: &[Fr]) -> Fr {
        let mut sum = Fr::ZERO;
        for (wire, coefficient) in self.row(index) {
            if let Some(z) = assignment.get(wire as usize) {
                sum += coefficient * z;
            }
        }
        sum
    }

    /// The same inner product, in machine integers as far as values and coefficients are small
    /// integers; exact for any values.
    pub fn row_value(&self, index: usize, values: &Small<'_>) -> RowValue {
        let mut sum = Sum::default();
        for &piece in self.0.row(index) {
            if let Some((wires, numbers)) = self.0.parts(piece) {
                add_piece(&mut sum, wires, numbers, values);
            }
        }
        sum.value()
    }

    /// The matrix-vector product, one element a row.
    pub fn times(&self, assignment: &[Fr]) -> Vec<Fr> {
        let values = Small::new(assignment);
        (0..self.rows())
            .into_par_iter()
            .with_min_len(64)
            .map(|row| self.row_value(row, &values).to_field())
            .collect()
    }
}

/// Adds `Σ coefficient · value` of one piece.
fn add_piece(sum: &mut Sum, wires: Wires<'_>, numbers: Numbers<'_>, values: &Small<'_>) {
    match numbers {
        Numbers::Short(all, scale) => {
            let (constant, rest) = match (wires.constant, all) {
                (true, [first, rest @ ..]) => (i64::from(*first), rest),
                _ => (0, all),
            };
            let one = values.get(0).map(|z| i128::from(constant * i64::from(z)));
            match one.zip(values.dot_short(wires.shift, wires.relative, rest)) {
                Some((one, dot)) => sum.add_integer(one + dot, scale),
                None => add_terms(sum, wires, values, |at| {
                    all.get(at).map(|&v| (v.into(), scale))
                }),
            }
        }
        Numbers::Long(all, scale) => {
            add_terms(sum, wires, values, |at| all.get(at).map(|&v| (v, scale)));
        }
        Numbers::Field(all) => {
            for (at, &coefficient) in all.iter().enumerate() {
                if let Some(wire) = wires.get(at) {
                    sum.add_field(values.times(wire, coefficient));
                }
            }
        }
    }
}

fn add_terms(
    sum: &mut Sum,
    wires: Wires<'_>,
    values: &Small<'_>,
    number: impl Fn(usize) -> Option<(i64, u8)>,
) {
    for at in 0..wires.len() {
        if let Some((wire, (integer, scale))) = wires.get(at).zip(number(at)) {
            match values.get(wire) {
                Some(z) => sum.add_integer(i128::from(integer) * i128::from(z), scale),
                None => {
                    sum.add_field(values.times(wire, integers::scaled(i128::from(integer), scale)));
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ark_ff::{Field, UniformRand};
    use ark_std::rand::{Rng, RngCore, SeedableRng, rngs::StdRng};

    fn lc(terms: &[(u32, Fr)]) -> Lc {
        let mut out = Lc::zero();
        for &(wire, c) in terms {
            out.push(Wire(wire), c);
        }
        out
    }

    fn half(k: u64) -> Fr {
        Fr::from(2_u64).pow([k]).inverse().unwrap()
    }

    /// Coefficients and values of every class and on both sides of each limit.
    fn number(random: &mut StdRng) -> Fr {
        let limits = [
            1_i128,
            512,
            513,
            1 << 15,
            1 << 31,
            1 << 40,
            1 << 62,
            i128::MAX,
        ];
        let near = limits[random.gen_range(0..limits.len())];
        let signed = |random: &mut StdRng, v: Fr| if random.r#gen() { v } else { -v };
        let v = match random.gen_range(0..8) {
            0 => Fr::rand(random),
            1 => Fr::from(near - 1),
            2 => Fr::from(near),
            3 => Fr::from(random.gen_range(0..256_i64)) * half(random.gen_range(0..40)),
            4 => Fr::from(near) * half(random.gen_range(0..34)),
            _ => Fr::from(random.gen_range(0..300_i64)),
        };
        signed(random, v)
    }

    /// Random rows: short, long, repeated at other places, with other coefficients.
    fn rows(random: &mut StdRng, wires: u32, count: usize) -> Vec<Vec<(u32, Fr)>> {
        let mut rows: Vec<Vec<(u32, Fr)>> = vec![Vec::new()];
        while rows.len() < count {
            let again = rows[random.gen_range(0..rows.len())].clone();
            let last = again.last().map_or(0, |&(wire, _)| wire);
            rows.push(match random.gen_range(0..4) {
                0 if last + 1 < wires => {
                    let by = random.gen_range(0..wires - last);
                    again
                        .into_iter()
                        .map(|(wire, c)| (if wire == 0 { 0 } else { wire + by }, c))
                        .collect()
                }
                1 => again
                    .into_iter()
                    .map(|(wire, _)| (wire, number(random)))
                    .collect(),
                _ => {
                    let len = [1, 2, 6, 7, 40, 200][random.gen_range(0..6)];
                    let few = random.gen_range(0..2) == 0;
                    (0..len)
                        .map(|at| {
                            let wire = match random.gen_range(0..3) {
                                0 => random.gen_range(0..wires),
                                _ => (at * 3) % wires,
                            };
                            let c = if few {
                                Fr::from(random.gen_range(-255..=255_i64))
                            } else {
                                number(random)
                            };
                            (wire, c)
                        })
                        .collect()
                }
            });
        }
        rows
    }

    #[test]
    fn rows_come_back_as_they_were() {
        let mut random = StdRng::seed_from_u64(1);
        let rows = rows(&mut random, 500, 1500);
        let mut matrix = SparseMatrix::default();
        let mut end = 0;
        for (at, row) in rows.iter().enumerate() {
            let canonical = lc(row).normalised();
            matrix.push_row(lc(row)).unwrap();
            if at % 2 == 0 {
                matrix.seal(); // what is pushed later is found all the same
            }
            let terms = canonical.terms();
            end = terms
                .last()
                .map_or(end, |&(wire, _)| end.max(wire.index() + 1));
            let got = matrix.row(at);
            assert_eq!(got.len(), terms.len());
            assert!(
                got.eq(terms.iter().map(|&(wire, c)| (wire.0, c))),
                "row {at}"
            );
            assert_eq!(matrix.wires_end(), end);
        }
        assert_eq!(matrix.rows(), rows.len());
        let terms: usize = (0..rows.len()).map(|row| matrix.row(row).count()).sum();
        assert_eq!(matrix.non_zero(), terms);
        assert_eq!(matrix.row(rows.len()).count(), 0);
        assert_eq!(matrix.row(usize::MAX).count(), 0);
        assert_eq!(matrix, matrix.clone());
    }

    #[test]
    fn integers_give_what_the_field_gives() {
        let mut random = StdRng::seed_from_u64(2);
        let rows = rows(&mut random, 300, 600);
        let mut matrix = SparseMatrix::default();
        for row in &rows {
            matrix.push_row(lc(row)).unwrap();
        }
        for kind in 0..6 {
            let assignment: Vec<Fr> = (0..300)
                .map(|_| match kind {
                    0 => Fr::from(random.next_u32() & 1),
                    1 => Fr::from(random.gen_range(-256..256_i64)),
                    2 => -Fr::from(i32::MAX),
                    3 => Fr::rand(&mut random),
                    4 => Fr::from(i32::MAX),
                    _ => number(&mut random),
                })
                .collect();
            // Short assignments read as 0 beyond their end.
            for assignment in [assignment.as_slice(), &assignment[..150], &[]] {
                let values = Small::new(assignment);
                let all = matrix.times(assignment);
                for (row, product) in all.into_iter().enumerate() {
                    let truth: Fr = lc(&rows[row]).evaluate(assignment);
                    assert_eq!(matrix.row_times(row, assignment), truth);
                    assert_eq!(matrix.row_value(row, &values).to_field(), truth);
                    assert_eq!(product, truth);
                }
            }
        }
    }

    #[test]
    fn the_longest_rows_of_the_largest_numbers_do_not_wrap() {
        let long = 200_000_u32;
        let assignment = vec![-Fr::from(i32::MAX); long as usize];
        let values = Small::new(&assignment);
        let mut matrix = SparseMatrix::default();
        for coefficient in [i64::from(i16::MIN), (1 << 62) - 1, 1 - (1 << 62)] {
            let c = Fr::from(coefficient);
            let row: Vec<(u32, Fr)> = (0..long).map(|wire| (wire, c)).collect();
            matrix.push_row(lc(&row)).unwrap();
            let sum = c * assignment[0] * Fr::from(long);
            let at = matrix.rows() - 1;
            assert_eq!(matrix.row_value(at, &values).to_field(), sum);
        }
    }

    #[test]
    fn memory_follows_weights_and_rows_not_products() {
        // A dense layer: the weights themselves, two bytes each, and the operands' wires once.
        let (outputs, depth) = (400_u32, 1000_u32);
        let mut random = StdRng::seed_from_u64(3);
        let mut dense = SparseMatrix::default();
        for output in 0..outputs {
            let mut row: Vec<(u32, Fr)> = (0..depth)
                .map(|d| (1 + 21 * d, Fr::from(random.gen_range(-30..=30_i64) * 8)))
                .collect();
            row.push((0, Fr::from(random.gen_range(1..1_i64 << 20))));
            row.extend((0..20).map(|bit| (30_000 + 21 * output + bit, -Fr::from(1_u64 << bit))));
            dense.push_row(lc(&row)).unwrap();
        }
        dense.seal();
        let terms = dense.non_zero();
        // One weight in 61 is 0, at other places in every row.
        let all = (outputs * (depth + 21)) as usize;
        assert!((all * 97 / 100..all * 99 / 100).contains(&terms));
        assert!(
            dense.bytes() < terms * 5 / 2,
            "{} of {terms}",
            dense.bytes()
        );

        // A convolution, 3×3, 16 channels in and out, whose channels differ in their spacing.
        let (side, channels) = (20_u32, 16_u32);
        let spacing = |channel: u32| 18 + channel % 3;
        let start = |channel: u32| (0..channel).map(|c| side * side * spacing(c)).sum::<u32>() + 1;
        let end = start(channels);
        let mut conv = SparseMatrix::default();
        let mut weights = vec![Fr::ZERO; (channels * channels * 9) as usize];
        weights.fill_with(|| Fr::from(random.gen_range(-30..=30_i64) * 8));
        let mut own = end + 1000;
        for out in 0..channels {
            for (r, c) in (0..side - 2).flat_map(|r| (0..side - 2).map(move |c| (r, c))) {
                let mut row = vec![(0, Fr::from(u64::from(out) + 1))];
                for (channel, tap) in (0..channels).flat_map(|ch| (0..9).map(move |t| (ch, t))) {
                    let at = (r + tap / 3) * side + c + tap % 3;
                    let weight = weights[((out * channels + channel) * 9 + tap) as usize];
                    row.push((start(channel) + at * spacing(channel), weight));
                }
                row.extend((0..20).map(|bit| (own + bit, -Fr::from(1_u64 << bit))));
                own += 21;
                conv.push_row(lc(&row)).unwrap();
            }
        }
        conv.seal();
        let rows = conv.rows();
        // A few patterns a position, the weights, and some bytes a row.
        let bound =
            4 * 4 * ((side - 2) * (side - 2)) as usize * 145 + weights.len() * 2 + rows * 60;
        assert!(conv.bytes() < bound, "{} > {bound}", conv.bytes());
        assert!(conv.bytes() < conv.non_zero());
        // Clones share all of it, and a change of one leaves the other.
        let mut other = conv.clone();
        assert!(Arc::ptr_eq(&conv.0, &other.0));
        other.push_row(Lc::wire(Wire(1))).unwrap();
        assert_eq!(conv.rows() + 1, other.rows());
        assert_ne!(conv, other);
    }

    #[test]
    fn fractions_are_integers_again_where_they_divide() {
        let mut matrix = SparseMatrix::default();
        // (x − low)/2^4 + 256·y − X
        let fraction = half(4);
        matrix
            .push_row(lc(&[
                (1, fraction),
                (2, -fraction),
                (3, Fr::from(256_u64)),
                (4, -Fr::ONE),
            ]))
            .unwrap();
        let value = |x: i64, low: i64| {
            let z = [1, x, low, 7, 0].map(Fr::from);
            matrix.row_value(0, &Small::new(&z))
        };
        assert_eq!(value(-1000 * 16 + 5, 5), RowValue::Integer(-1000 + 7 * 256));
        assert!(matches!(value(17, 2), RowValue::Field(_)));
    }
}

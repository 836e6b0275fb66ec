//! How many assignments there are, over the whole field, for some fixed wires: a solver that knows
//! nothing of gadgets. It reads the matrices alone, and draws these kinds of conclusions:
//!
//! * a row in which one unknown is left, linearly, determines it;
//! * `L·(L − 1) = 0` makes `L` 0 or 1;
//! * `k = Σ 2^{e_i}·u_i` with known `k` and ranges `u_i ≤ m_i` that never overlap (and a largest
//!   sum below the field's order) has one solution or none, digit by digit;
//! * a row of small integers times ranged unknowns narrows each range to what the others leave;
//! * a lookup of small integers times ranged unknowns has as many solutions as are found by trying
//!   all, largest factor first; it narrows each range as a row does, its key being one more unknown;
//!   one of a single unknown without a range gives it one;
//! * of the two roots of a row, those are left that the shortest lookups of the wire allow;
//! * a row without unknowns holds or does not.
//!
//! Where none applies, it tries 0 and 1 for the earliest wire that is known to be a bit, both roots
//! of a row, every value of the wire with the smallest range, or every value that a lookup leaves
//! its only unknown.

use ark_bn254::Fr;
use ark_ff::{AdditiveGroup, BigInteger, Field, PrimeField};
use proofmark_gadgets::R1cs;

use crate::lookups::{Kind, Lookup, Reading, field, integer};

/// Most values tried in one lookup.
const TRIED: usize = 1 << 14;
/// Sizes of ranges that are taken in the order of their wires.
const SHORT: u64 = 1 << 10;
/// Most guesses inside of each other: each takes a frame of the stack.
const DEEPEST: usize = 1000;
/// So many lookups of a wire, the shortest ones, are asked whether they allow a root.
const ASKED: usize = 8;
/// So many wires are taken at each distance from a row.
const RING: usize = 10;

/// What was found.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Count {
    /// No assignment.
    None,
    /// One, but for wires that occur in no row any more at that assignment.
    One { idle: Vec<usize> },
    /// Two assignments that satisfy every row, which differ in these wires.
    Many(Vec<usize>),
    /// The solver does not know: these wires are open.
    Open(Vec<usize>),
}

/// Why a search ends early.
enum Stop {
    Many(Vec<usize>),
    Open(Vec<usize>),
}

pub(crate) struct Solver<'r> {
    r1cs: &'r R1cs,
    reading: &'r Reading,
    rows_of: Vec<Vec<u32>>,
    /// The shortest lookups of each wire.
    lookups_of: Vec<Vec<&'r Lookup>>,
    /// Rows with a wire in both factors.
    factored: Vec<usize>,
    /// Of each wire, the factored rows whose wires stand in a short lookup together with it.
    beside: Vec<Vec<u32>>,
}

struct State {
    values: Vec<Option<Fr>>,
    /// Largest value of a wire as an integer, where constraints prove one.
    most: Vec<Option<u64>>,
    /// Smallest value of a wire that has a largest one.
    least: Vec<u64>,
    /// What was known of a wire before each change.
    trail: Vec<(usize, Option<Fr>, Option<u64>, u64)>,
}

impl State {
    /// To be called before any change.
    fn keep(&mut self, wire: usize) {
        let known = (self.values[wire], self.most[wire], self.least[wire]);
        self.trail.push((wire, known.0, known.1, known.2));
    }

    /// Takes back all changes but so many.
    fn undo(&mut self, mark: usize) {
        for (wire, value, most, least) in self.trail.drain(mark..).rev() {
            (self.values[wire], self.most[wire], self.least[wire]) = (value, most, least);
        }
    }
}

struct Contradiction;

/// One search for all assignments.
struct Search<'s> {
    /// The row that is left out.
    without: Option<usize>,
    /// An assignment whose values are tried first; the search then ends with the first one found,
    /// and wires that nothing leaves a few values have these.
    like: Option<&'s [Fr]>,
    /// Whether such a search takes the wires in their order.
    in_order: bool,
    found: &'s mut Option<Vec<Option<Fr>>>,
    /// How many are left.
    guesses: &'s mut usize,
}

/// A linear form in unknown wires.
#[derive(Clone, Default, PartialEq)]
struct Form {
    constant: Fr,
    terms: Vec<(usize, Fr)>,
}

impl Form {
    fn add(&mut self, factor: Fr, other: &Self) {
        self.constant += factor * other.constant;
        for &(wire, value) in &other.terms {
            match self.terms.iter_mut().find(|(w, _)| *w == wire) {
                Some((_, sum)) => *sum += factor * value,
                None => self.terms.push((wire, factor * value)),
            }
        }
        self.terms.retain(|(_, v)| *v != Fr::ZERO);
    }
}

impl<'r> Solver<'r> {
    pub(crate) fn new(r1cs: &'r R1cs, reading: &'r Reading) -> Self {
        let mut rows_of = vec![Vec::new(); r1cs.num_wires];
        for row in 0..r1cs.num_constraints() {
            for matrix in [&r1cs.a, &r1cs.b, &r1cs.c] {
                for (column, _) in matrix.row(row) {
                    let rows: &mut Vec<u32> = &mut rows_of[column as usize];
                    if rows.last() != Some(&(row as u32)) {
                        rows.push(row as u32);
                    }
                }
            }
        }
        let mut lookups_of = vec![Vec::new(); r1cs.num_wires];
        let mut factored = Vec::new();
        for (row, kind) in reading.kinds.iter().enumerate() {
            match kind {
                Kind::Lookup(lookup) => {
                    for (wire, _) in &lookup.terms {
                        let lookups: &mut Vec<&Lookup> = &mut lookups_of[*wire];
                        lookups.push(lookup);
                    }
                }
                Kind::Product => {
                    let factors = [&r1cs.a, &r1cs.b];
                    if factors.map(|m| m.row(row).any(|(w, _)| w > 0)) == [true; 2] {
                        factored.push(row);
                    }
                }
                Kind::Argument => {}
            }
        }
        for lookups in &mut lookups_of {
            lookups.sort_by_key(|lookup| lookup.terms.len());
            lookups.truncate(ASKED);
        }
        let mut beside = vec![Vec::new(); r1cs.num_wires];
        for &row in &factored {
            let wires = r1cs.a.row(row).map(|(wire, _)| wire as usize);
            for lookup in wires.flat_map(|wire| &lookups_of[wire]) {
                for (wire, _) in &lookup.terms {
                    let rows: &mut Vec<u32> = &mut beside[*wire];
                    if rows.last() != Some(&(row as u32)) {
                        rows.push(row as u32);
                    }
                }
            }
        }
        Self {
            r1cs,
            reading,
            rows_of,
            lookups_of,
            factored,
            beside,
        }
    }

    /// The lookup that a row is.
    fn lookup(&self, row: usize) -> Option<&'r Lookup> {
        match &self.reading.kinds[row] {
            Kind::Lookup(lookup) => Some(lookup),
            _ => None,
        }
    }

    /// Rows that are products, where nothing is left out.
    fn products(&self, without: Option<usize>) -> impl Iterator<Item = usize> + '_ {
        (0..self.r1cs.num_constraints())
            .filter(move |&row| Some(row) != without)
            .filter(|&row| matches!(self.reading.kinds[row], Kind::Product))
    }

    /// Counts, given the values of some wires, and leaving out one row if asked; gives up after so
    /// many guesses.
    pub(crate) fn count(
        &self,
        fixed: &[Option<Fr>],
        without: Option<usize>,
        mut guesses: usize,
    ) -> Count {
        let mut state = State {
            values: fixed.to_vec(),
            most: vec![None; fixed.len()],
            least: vec![0; fixed.len()],
            trail: Vec::new(),
        };
        let all: Vec<u32> = (0..self.r1cs.num_constraints() as u32).collect();
        let mut found = None;
        let mut search = Search {
            without,
            like: None,
            in_order: false,
            found: &mut found,
            guesses: &mut guesses,
        };
        match self.search(&mut state, all, 0, &mut search, 0) {
            Err(Stop::Open(open)) => Count::Open(open),
            Err(Stop::Many(differ)) => Count::Many(differ),
            Ok(()) => match found {
                None => Count::None,
                Some(values) => Count::One {
                    idle: (0..values.len()).filter(|&w| values[w].is_none()).collect(),
                },
            },
        }
    }

    /// An assignment that satisfies every row but one and has some values of its own, the rest
    /// being like another assignment as far as that goes. That none is found says nothing.
    pub(crate) fn variant(
        &self,
        fixed: &[Option<Fr>],
        without: usize,
        like: &[Fr],
        in_order: bool,
        mut guesses: usize,
    ) -> Option<Vec<Fr>> {
        let mut state = State {
            values: fixed.to_vec(),
            most: vec![None; fixed.len()],
            least: vec![0; fixed.len()],
            trail: Vec::new(),
        };
        let all: Vec<u32> = (0..self.r1cs.num_constraints() as u32).collect();
        let mut found = None;
        let mut search = Search {
            without: Some(without),
            like: Some(like),
            in_order,
            found: &mut found,
            guesses: &mut guesses,
        };
        // An end by Stop is an assignment or the end of the guesses: `found` tells.
        let _ = self.search(&mut state, all, 0, &mut search, 0);
        let values = found?;
        Some(values.into_iter().map(Option::unwrap_or_default).collect())
    }

    /// Wires that stand in a row and are not fixed, those that stand in some row together with
    /// them, and so on, so many rows away; of each kind some, the nearest by number.
    pub(crate) fn around(&self, row: usize, fixed: &[Option<Fr>], steps: usize) -> Vec<usize> {
        let mut seen: Vec<bool> = fixed.iter().map(Option::is_some).collect();
        let mut out: Vec<usize> = Vec::new();
        let mut ring = Vec::new();
        let mut rows = vec![row];
        for _ in 0..=steps {
            let mut next = Vec::new();
            for &row in &rows {
                for matrix in [&self.r1cs.a, &self.r1cs.b, &self.r1cs.c] {
                    let wires = matrix.row(row).map(|(column, _)| column as usize);
                    next.extend(wires.filter(|&wire| !std::mem::replace(&mut seen[wire], true)));
                }
            }
            let distance = |wire: &usize| ring.iter().map(|w: &usize| wire.abs_diff(*w)).min();
            next.sort_by_key(distance);
            next.truncate(RING);
            let touched = next.iter().flat_map(|&wire| &self.rows_of[wire]);
            rows = touched.map(|&row| row as usize).collect();
            rows.sort_unstable();
            rows.dedup();
            out.extend(&next);
            ring = next;
        }
        out
    }

    /// Distances at which a wire's next value may be: 1, and those of the keys that it is looked
    /// up with.
    pub(crate) fn steps(&self, wire: usize) -> Vec<u64> {
        let lookups = self.lookups_of[wire].iter();
        let mut steps: Vec<u64> = lookups.map(|lookup| 1 << lookup.shift).collect();
        steps.push(1);
        steps.sort_unstable();
        steps.dedup();
        steps
    }

    /// Whether every row but one holds.
    pub(crate) fn holds_without(&self, z: &[Fr], without: usize) -> bool {
        let lookups = self.reading.kinds.iter().enumerate();
        let mut lookups = lookups.filter(|(row, _)| *row != without);
        lookups.all(|(row, kind)| match kind {
            Kind::Lookup(lookup) => lookup.holds(z),
            Kind::Argument => true,
            Kind::Product => {
                let r1cs = self.r1cs;
                r1cs.a.row_times(row, z) * r1cs.b.row_times(row, z) == r1cs.c.row_times(row, z)
            }
        })
    }

    fn search(
        &self,
        state: &mut State,
        queue: Vec<u32>,
        mark: usize,
        search: &mut Search<'_>,
        depth: usize,
    ) -> Result<(), Stop> {
        let without = search.without;
        if self.conclude(state, queue, mark, without).is_err() {
            return Ok(());
        }
        let earliest = || search.in_order.then(|| Self::first_range(state)).flatten();
        let guess = earliest().or_else(|| self.guess(state, without));
        if let Some((wire, mut values)) = guess {
            if let Some(like) = search.like {
                values.sort_by_key(|value| *value != like[wire]);
            }
            for value in values {
                if *search.guesses == 0 || depth == DEEPEST {
                    return Err(Stop::Open(vec![wire]));
                }
                if search.like.is_none_or(|like| like[wire] != value) {
                    *search.guesses -= 1;
                }
                let mark = state.trail.len();
                state.keep(wire);
                state.values[wire] = Some(value);
                self.search(state, self.rows_of[wire].clone(), mark, search, depth + 1)?;
                state.undo(mark);
            }
            return Ok(());
        }
        // What is left must occur nowhere any more.
        let mut open = Vec::new();
        for row in 0..self.r1cs.num_constraints() {
            if let Some(lookup) = self.lookup(row)
                && Some(row) != without
            {
                let terms = lookup.terms.iter().map(|(w, _)| *w);
                open.extend(terms.filter(|&w| state.values[w].is_none()));
            }
        }
        for row in self.products(without) {
            if let Some((a, b, c)) = self.quadratic(state, row) {
                open.extend(
                    [a, b, c]
                        .iter()
                        .flat_map(|form| form.terms.iter().map(|(w, _)| *w)),
                );
            } else {
                open.extend(self.linear(state, row).terms.iter().map(|(w, _)| *w));
            }
        }
        open.sort_unstable();
        open.dedup();
        if let (Some(like), Some(&wire)) = (search.like, open.first()) {
            let mark = state.trail.len();
            state.keep(wire);
            state.values[wire] = Some(like[wire]);
            self.search(state, self.rows_of[wire].clone(), mark, search, depth + 1)?;
            state.undo(mark);
            return Ok(());
        }
        if !open.is_empty() {
            return Err(Stop::Open(open));
        }
        if search.like.is_some() {
            *search.found = Some(state.values.clone());
            return Err(Stop::Many(Vec::new()));
        }
        match search.found {
            None => *search.found = Some(state.values.clone()),
            Some(other) => {
                let differ: Vec<usize> = (0..other.len())
                    .filter(|&w| other[w] != state.values[w])
                    .collect();
                if !differ.is_empty() {
                    return Err(Stop::Many(differ));
                }
            }
        }
        Ok(())
    }

    /// A wire and all the values that it may have.
    fn guess(&self, state: &State, without: Option<usize>) -> Option<(usize, Vec<Fr>)> {
        let roots = || self.two_roots(state, without);
        // Behind a challenge bits are made last, and follow from what they are the bits of.
        if self.reading.argued.contains(&true) {
            return roots()
                .or_else(|| Self::smallest_range(state))
                .or_else(|| self.left_by_a_lookup(state, without));
        }
        let bit = (0..state.values.len())
            .find(|&w| state.values[w].is_none() && state.most[w] == Some(1))
            .map(|w| (w, vec![Fr::ZERO, Fr::ONE]));
        bit.or_else(roots)
    }

    /// The wire of some `L·M = 0` with one unknown, and its values.
    fn two_roots(&self, state: &State, without: Option<usize>) -> Option<(usize, Vec<Fr>)> {
        let rows = self.factored.iter().filter(|&&row| Some(row) != without);
        rows.filter_map(|&row| self.quadratic(state, row))
            .find_map(|(a, b, c)| roots(&a, &b, &c))
    }

    /// The first unknown with a small range, and its values.
    fn first_range(state: &State) -> Option<(usize, Vec<Fr>)> {
        (0..state.values.len()).find_map(|wire| {
            let (least, most) = (state.least[wire], state.most[wire]?);
            let few = state.values[wire].is_none() && most - least < SHORT;
            few.then(|| (wire, (least..=most).map(Fr::from).collect()))
        })
    }

    /// The unknown with the smallest range, and its values.
    fn smallest_range(state: &State) -> Option<(usize, Vec<Fr>)> {
        let size = |&wire: &usize| Some(state.most[wire]? - state.least[wire]);
        let unknown = (0..state.values.len()).filter(|&w| state.values[w].is_none());
        let ranged = unknown.filter_map(|wire| Some((size(&wire)?, wire)));
        let (size, wire) = ranged.min()?;
        let values = (0..=size).map(|above| Fr::from(state.least[wire] + above));
        (size < TRIED as u64).then(|| (wire, values.collect()))
    }

    fn form(&self, state: &State, matrix: usize, row: usize) -> Form {
        let matrix = [&self.r1cs.a, &self.r1cs.b, &self.r1cs.c][matrix];
        let mut form = Form::default();
        for (column, value) in matrix.row(row) {
            match state.values[column as usize] {
                Some(known) => form.constant += known * value,
                None => form.terms.push((column as usize, value)),
            }
        }
        form
    }

    /// The three forms of a row that is not linear.
    fn quadratic(&self, state: &State, row: usize) -> Option<(Form, Form, Form)> {
        let [a, b, c] = [0, 1, 2].map(|m| self.form(state, m, row));
        (!a.terms.is_empty() && !b.terms.is_empty()).then_some((a, b, c))
    }

    /// `A·B − C` of a row that is linear.
    fn linear(&self, state: &State, row: usize) -> Form {
        let [a, b, c] = [0, 1, 2].map(|m| self.form(state, m, row));
        let mut sum = Form::default();
        if a.terms.is_empty() {
            sum.add(a.constant, &b);
        } else {
            sum.add(b.constant, &a);
        }
        sum.add(-Fr::ONE, &c);
        sum
    }

    /// Everything that follows from the queued rows without a guess, and from what has changed
    /// since a mark on the trail.
    fn conclude(
        &self,
        state: &mut State,
        mut queue: Vec<u32>,
        mut mark: usize,
        without: Option<usize>,
    ) -> Result<(), Contradiction> {
        loop {
            self.propagate(state, queue, without)?;
            // What came later to wires of the same lookups may decide about roots.
            let changed = state.trail[mark..].iter();
            let mut rows: Vec<u32> = changed.flat_map(|c| &self.beside[c.0]).copied().collect();
            rows.sort_unstable();
            rows.dedup();
            if rows.is_empty() {
                return Ok(());
            }
            (queue, mark) = (rows, state.trail.len());
        }
    }

    /// Of the two roots of a row with one unknown, those that its ranges and lookups allow.
    fn choose(
        &self,
        state: &mut State,
        a: &Form,
        b: &Form,
        c: &Form,
        without: Option<usize>,
        touched: &mut Vec<usize>,
    ) -> Result<(), Contradiction> {
        let Some((wire, mut left)) = roots(a, b, c) else {
            return Ok(());
        };
        if state.values[wire].is_some() {
            return Ok(());
        }
        let mark = state.trail.len();
        let removed = without.and_then(|row| self.lookup(row));
        let removed = |lookup: &Lookup| removed.is_some_and(|r| core::ptr::eq(r, lookup));
        left.retain(|value| {
            let mut ignored = Vec::new();
            let allowed = Self::assign(state, wire, *value, &mut ignored).is_ok();
            state.undo(mark);
            allowed
        });
        for lookup in self.lookups_of[wire].iter().filter(|l| !removed(l)) {
            if left.len() < 2 {
                break;
            }
            left.retain(|value| {
                let mut ignored = Vec::new();
                let allowed = Self::assign(state, wire, *value, &mut ignored)
                    .and_then(|()| Self::member(state, lookup, &mut ignored));
                state.undo(mark);
                allowed.is_ok()
            });
        }
        match left.as_slice() {
            [] => Err(Contradiction),
            &[only] => Self::assign(state, wire, only, touched),
            _ => Ok(()),
        }
    }

    fn propagate(
        &self,
        state: &mut State,
        mut queue: Vec<u32>,
        without: Option<usize>,
    ) -> Result<(), Contradiction> {
        queue.reverse();
        let mut queued = vec![false; self.r1cs.num_constraints()];
        queue.iter().for_each(|&r| queued[r as usize] = true);
        while let Some(row) = queue.pop() {
            let row = row as usize;
            queued[row] = false;
            if Some(row) == without {
                continue;
            }
            let mut touched = Vec::new();
            if let Some(lookup) = self.lookup(row) {
                Self::member(state, lookup, &mut touched)?;
            } else if matches!(self.reading.kinds[row], Kind::Argument) {
                continue;
            } else if let Some((a, b, c)) = self.quadratic(state, row) {
                Self::boolean(state, &a, &b, &c, &mut touched)?;
                self.choose(state, &a, &b, &c, without, &mut touched)?;
            } else {
                let form = self.linear(state, row);
                Self::solve(state, &form, &mut touched)?;
            }
            for wire in touched {
                for &next in &self.rows_of[wire] {
                    if !queued[next as usize] {
                        queued[next as usize] = true;
                        queue.push(next);
                    }
                }
            }
        }
        Ok(())
    }

    /// A value of a lookup's terms: what is known of it, and the unknown ones.
    fn known(state: &State, lookup: &Lookup) -> Form {
        let mut form = Form {
            constant: lookup.constant,
            terms: Vec::new(),
        };
        for &(wire, factor) in &lookup.terms {
            match state.values[wire] {
                Some(value) => form.constant += factor * value,
                None => form.terms.push((wire, factor)),
            }
        }
        form
    }

    /// `form` is `2^shift` times a key.
    fn member(
        state: &mut State,
        lookup: &Lookup,
        touched: &mut Vec<usize>,
    ) -> Result<(), Contradiction> {
        let form = Self::known(state, lookup);
        if form.terms.is_empty() {
            return if lookup.is_key(form.constant) {
                Ok(())
            } else {
                Err(Contradiction)
            };
        }
        let parts = Self::parts(state, &form);
        let Some(constant) = integer(form.constant) else {
            // No sum of small integers reaches it.
            let ends = lookup.table.ends();
            let key = ends.0.abs().max(ends.1.abs()) << lookup.shift;
            let reach = |parts: &Vec<(usize, i128, i128, i128)>| {
                let sizes = parts.iter().map(|part| part.1.abs().saturating_mul(part.3));
                sizes.fold(key, i128::saturating_add) < 1 << 109
            };
            return if parts.as_ref().is_some_and(reach) {
                Err(Contradiction)
            } else {
                Ok(())
            };
        };
        let Some(mut parts) = parts else {
            return Self::bound_by_keys(state, lookup, constant, &form, touched);
        };
        // The key as one more unknown, which has to be in the table.
        let (least, most) = lookup.table.ends();
        let key = -(1 << lookup.shift);
        parts.push((usize::MAX, key, least, most));
        parts.sort_by_key(|part| core::cmp::Reverse(part.1.abs()));
        let mut search = Integers {
            lookup,
            solutions: Vec::new(),
            budget: TRIED,
        };
        search.solve(&parts, constant, &mut Vec::new());
        match search.solutions.as_slice() {
            [] if search.budget > 0 => Err(Contradiction),
            [only] if search.budget > 0 => {
                for &(wire, value) in only {
                    Self::assign(state, wire, Fr::from(value), touched)?;
                }
                Ok(())
            }
            _ => {
                let mut terms = form.terms;
                terms.push((usize::MAX, field(key)));
                Self::tighten(state, form.constant, &terms, (least, most), touched)
            }
        }
    }

    /// Unknowns with small factors and ranges; `None` where one has no range.
    fn parts(state: &State, form: &Form) -> Option<Vec<(usize, i128, i128, i128)>> {
        let part = |&(wire, factor): &(usize, Fr)| {
            let most = state.most[wire]?;
            Some((
                wire,
                small(factor)?,
                i128::from(state.least[wire]),
                i128::from(most),
            ))
        };
        form.terms.iter().map(part).collect()
    }

    /// Gives a range to the only unknown without one, where keys and the other ranges do.
    fn bound_by_keys(
        state: &mut State,
        lookup: &Lookup,
        constant: i128,
        form: &Form,
        touched: &mut Vec<usize>,
    ) -> Result<(), Contradiction> {
        let (least, most) = lookup.table.ends();
        let (mut lo, mut hi) = (least << lookup.shift, most << lookup.shift);
        (lo, hi) = (lo - constant, hi - constant);
        let mut open = None;
        for &(wire, factor) in &form.terms {
            let Some(factor) = small(factor) else {
                return Ok(());
            };
            let Some(most) = state.most[wire] else {
                if open.replace((wire, factor)).is_some() {
                    return Ok(());
                }
                continue;
            };
            let ends = [state.least[wire], most].map(|end| factor * i128::from(end));
            lo -= ends[0].max(ends[1]);
            hi -= ends[0].min(ends[1]);
        }
        // factor · wire is a field element between these integers, for a factor of ±1.
        if let Some((wire, factor)) = open
            && factor.abs() == 1
        {
            let (lo, hi) = if factor == 1 { (lo, hi) } else { (-hi, -lo) };
            if let (Ok(lo), Ok(hi)) = (u64::try_from(lo), u64::try_from(hi))
                && hi < 1 << 60
            {
                state.keep(wire);
                state.least[wire] = lo;
                Self::bound(state, wire, hi, touched)?;
            }
        }
        Ok(())
    }

    /// The only unknown of a lookup, and the values that the keys leave it.
    fn left_by_a_lookup(&self, state: &State, without: Option<usize>) -> Option<(usize, Vec<Fr>)> {
        let rows = (0..self.r1cs.num_constraints()).filter(|&row| Some(row) != without);
        let one_unknown = rows
            .filter_map(|row| self.lookup(row))
            .filter_map(|lookup| {
                let form = Self::known(state, lookup);
                let &[(wire, factor)] = form.terms.as_slice() else {
                    return None;
                };
                let inverse = inverse(factor);
                Some((lookup, wire, inverse, form.constant))
            });
        let (lookup, wire, inverse, constant) =
            one_unknown.min_by_key(|found| found.0.table.sorted.len())?;
        let scale = Fr::from(1_u64 << lookup.shift);
        let values = lookup.table.sorted.iter().map(|&key| field(key));
        let values = values.map(|key| (key * scale - constant) * inverse);
        Some((wire, values.collect()))
    }

    fn assign(
        state: &mut State,
        wire: usize,
        value: Fr,
        touched: &mut Vec<usize>,
    ) -> Result<(), Contradiction> {
        let outside = |most| value > Fr::from(most) || value < Fr::from(state.least[wire]);
        if state.most[wire].is_some_and(outside) {
            return Err(Contradiction);
        }
        state.keep(wire);
        state.values[wire] = Some(value);
        touched.push(wire);
        Ok(())
    }

    /// `form = 0`.
    fn solve(
        state: &mut State,
        form: &Form,
        touched: &mut Vec<usize>,
    ) -> Result<(), Contradiction> {
        match form.terms.as_slice() {
            [] if form.constant == Fr::ZERO => Ok(()),
            [] => Err(Contradiction),
            &[(wire, value)] => {
                let inverse = inverse(value);
                Self::assign(state, wire, -form.constant * inverse, touched)
            }
            terms => {
                Self::tighten(state, form.constant, terms, (0, 0), touched)?;
                let ranged: Option<Vec<(usize, Fr, u64)>> = terms
                    .iter()
                    .map(|&(w, c)| state.most[w].map(|m| (w, c, m)))
                    .collect();
                let Some(ranged) = ranged else { return Ok(()) };
                for digit in digits(&ranged, form.constant)?.unwrap_or_default() {
                    Self::assign(state, digit.0, digit.1, touched)?;
                }
                Ok(())
            }
        }
    }

    /// A row of the form `L·(L − 1) = 0`, or with both factors negated.
    fn boolean(
        state: &mut State,
        a: &Form,
        b: &Form,
        c: &Form,
        touched: &mut Vec<usize>,
    ) -> Result<(), Contradiction> {
        let one_apart = a.terms == b.terms && (a.constant - b.constant).square() == Fr::ONE;
        if !one_apart || !c.terms.is_empty() || c.constant != Fr::ZERO {
            return Ok(());
        }
        // The factor that is larger by one is 0 or 1.
        let bit = if a.constant - b.constant == Fr::ONE {
            a
        } else {
            b
        };
        if let &[(wire, value)] = bit.terms.as_slice() {
            let inverse = inverse(value);
            let roots = [-bit.constant * inverse, (Fr::ONE - bit.constant) * inverse];
            let inside = |r: &Fr| state.most[wire].is_none_or(|m| *r <= Fr::from(m));
            let left: Vec<Fr> = roots.into_iter().filter(inside).collect();
            if roots.contains(&Fr::ZERO) && roots.contains(&Fr::ONE) {
                return Self::bound(state, wire, 1, touched);
            }
            return match left.as_slice() {
                [] => Err(Contradiction),
                &[only] => Self::assign(state, wire, only, touched),
                _ => Ok(()),
            };
        }
        let unbounded: Vec<(usize, Fr)> = bit
            .terms
            .iter()
            .copied()
            .filter(|(w, _)| state.most[*w].is_none())
            .collect();
        match unbounded.as_slice() {
            [] => {
                // bit − v = 0, v in 0 ..= 1.
                let mut extended = bit.terms.clone();
                extended.push((usize::MAX, -Fr::ONE));
                Self::tighten(state, bit.constant, &extended, (0, 1), touched)?;
                // bit − v = 0 with a further digit v in 0 ..= 1, which is no wire.
                let mut ranged: Vec<(usize, Fr, u64)> = bit
                    .terms
                    .iter()
                    .map(|&(w, c)| (w, c, state.most[w].unwrap_or_default()))
                    .collect();
                ranged.push((usize::MAX, -Fr::ONE, 1));
                for (wire, value) in digits(&ranged, bit.constant)?.unwrap_or_default() {
                    if wire != usize::MAX {
                        Self::assign(state, wire, value, touched)?;
                    }
                }
                Ok(())
            }
            // wire = v + Σ 2^e·bits: its range is theirs.
            &[(wire, value)] if value == Fr::ONE && bit.constant == Fr::ZERO => {
                let mut most = 1_u64;
                for &(w, c) in bit.terms.iter().filter(|(w, _)| *w != wire) {
                    let (Some(e), Some(m)) = (power_of_two(-c), state.most[w]) else {
                        return Ok(());
                    };
                    if e > 40 || m > 1 << 20 {
                        return Ok(());
                    }
                    most += m << e;
                }
                Self::bound(state, wire, most, touched)
            }
            _ => Ok(()),
        }
    }

    /// What the ranges of the others leave each wire of `Σ c·u + constant = 0`, where all are
    /// small integers; or, of one wire without a range yet, the range that follows. `ends` are
    /// those of the unknown that is no wire, if there is one.
    fn tighten(
        state: &mut State,
        constant: Fr,
        terms: &[(usize, Fr)],
        ends: (i128, i128),
        touched: &mut Vec<usize>,
    ) -> Result<(), Contradiction> {
        let range = |state: &State, wire: usize| match state.most.get(wire) {
            None => Some(ends),
            Some(most) => most.map(|most| (i128::from(state.least[wire]), i128::from(most))),
        };
        let Some(constant) = small(constant) else {
            return Ok(());
        };
        let mut parts = Vec::with_capacity(terms.len());
        let mut open = None;
        let (mut lo, mut hi) = (constant, constant);
        for &(wire, factor) in terms {
            let Some(factor) = small(factor) else {
                return Ok(());
            };
            let Some((least, most)) = range(state, wire) else {
                if open.replace((wire, factor)).is_some() {
                    return Ok(());
                }
                continue;
            };
            let ends = [factor * least, factor * most];
            lo += ends[0].min(ends[1]);
            hi += ends[0].max(ends[1]);
            parts.push((wire, factor, least, most, ends));
        }
        if let Some((wire, factor)) = open {
            // The wire is −factor · the rest, for a factor of ±1.
            let (least, most) = if factor == 1 { (-hi, -lo) } else { (lo, hi) };
            if factor.abs() == 1
                && let (Ok(least), Ok(most)) = (u64::try_from(least), u64::try_from(most))
                && most < 1 << 60
            {
                state.keep(wire);
                state.least[wire] = least;
                Self::bound(state, wire, most, touched)?;
            }
            return Ok(());
        }
        for (wire, factor, least, most, ends) in parts {
            // factor · wire lies in −(hi of the rest) ..= −(lo of the rest).
            let (rest_lo, rest_hi) = (lo - ends[0].min(ends[1]), hi - ends[0].max(ends[1]));
            let (from, to) = if factor > 0 {
                (-rest_hi, -rest_lo)
            } else {
                (rest_lo, rest_hi)
            };
            let by = factor.abs();
            let new_least = least.max(from.div_euclid(by) + i128::from(from.rem_euclid(by) != 0));
            let new_most = most.min(to.div_euclid(by));
            if new_least > new_most {
                return Err(Contradiction);
            }
            if wire == usize::MAX {
                continue;
            }
            if new_least == new_most {
                Self::assign(state, wire, Fr::from(new_least), touched)?;
                continue;
            }
            if new_least > least || new_most < most {
                state.keep(wire);
                state.least[wire] = u64::try_from(new_least).expect("not negative");
                state.most[wire] = u64::try_from(new_most).ok();
                touched.push(wire);
            }
        }
        Ok(())
    }

    /// The wire is not above `most`.
    fn bound(
        state: &mut State,
        wire: usize,
        most: u64,
        touched: &mut Vec<usize>,
    ) -> Result<(), Contradiction> {
        if state.most[wire].is_none_or(|known| known > most) {
            if state.least[wire] > most {
                return Err(Contradiction);
            }
            state.keep(wire);
            state.most[wire] = Some(most);
            touched.push(wire);
        }
        Ok(())
    }
}

/// The solutions of a lookup in ranged integers, at most two.
struct Integers<'l> {
    lookup: &'l Lookup,
    solutions: Vec<Vec<(usize, u128)>>,
    budget: usize,
}

impl Integers<'_> {
    /// `rest + Σ factor·unknown = 0`, by trying all values of the first unknown that the ranges of
    /// the others allow.
    fn solve(
        &mut self,
        parts: &[(usize, i128, i128, i128)],
        rest: i128,
        so_far: &mut Vec<(usize, u128)>,
    ) {
        if self.solutions.len() == 2 || self.budget == 0 {
            return;
        }
        self.budget -= 1;
        let Some((&(wire, factor, least, most), others)) = parts.split_first() else {
            if rest == 0 {
                self.solutions.push(so_far.clone());
            }
            return;
        };
        let (mut lo, mut hi) = (rest, rest);
        for &(_, factor, least, most) in others {
            let ends = [factor * least, factor * most];
            lo += ends[0].min(ends[1]);
            hi += ends[0].max(ends[1]);
        }
        // −hi ≤ factor·unknown ≤ −lo
        let (from, to) = if factor > 0 { (-hi, -lo) } else { (lo, hi) };
        let by = factor.abs();
        let from = least.max(from.div_euclid(by) + i128::from(from.rem_euclid(by) != 0));
        let to = most.min(to.div_euclid(by));
        if wire == usize::MAX {
            for &key in self.lookup.table.between(from, to) {
                self.solve(others, rest + factor * key, so_far);
            }
            return;
        }
        for value in from..=to {
            so_far.push((wire, value.unsigned_abs()));
            self.solve(others, rest + factor * value, so_far);
            so_far.pop();
            if self.solutions.len() == 2 || self.budget == 0 {
                return;
            }
        }
    }
}

/// The only unknown of `a·b = 0` where both factors have it, and its values in order.
fn roots(a: &Form, b: &Form, c: &Form) -> Option<(usize, Vec<Fr>)> {
    let (&[(wire, x)], &[(other, y)]) = (a.terms.as_slice(), b.terms.as_slice()) else {
        return None;
    };
    let zero = c.terms.is_empty() && c.constant == Fr::ZERO;
    (zero && wire == other).then(|| {
        let root = |form: &Form, factor: Fr| -form.constant * inverse(factor);
        let mut values = vec![root(a, x), root(b, y)];
        values.sort_unstable();
        values.dedup();
        (wire, values)
    })
}

/// Most coefficients are 1 or −1.
fn inverse(factor: Fr) -> Fr {
    if factor == Fr::ONE || factor == -Fr::ONE {
        return factor;
    }
    factor.inverse().expect("not zero")
}

/// A field element as an integer of at most 60 bits and a sign.
fn small(value: Fr) -> Option<i128> {
    let size = |v: Fr| {
        let bits = v.into_bigint();
        (bits.num_bits() <= 60).then(|| i128::from(bits.0[0]))
    };
    size(value).or_else(|| size(-value).map(|v| -v))
}

fn power_of_two(value: Fr) -> Option<u32> {
    let bits = value.into_bigint();
    let ones: u32 = bits.0.iter().map(|l| l.count_ones()).sum();
    (ones == 1).then(|| bits.num_bits() - 1)
}

/// Solves `Σ c·u + constant = 0` for ranged unknowns whose digits do not overlap. `None` when the
/// form is not of that kind.
fn digits(
    ranged: &[(usize, Fr, u64)],
    constant: Fr,
) -> Result<Option<Vec<(usize, Fr)>>, Contradiction> {
    let units = [Fr::ONE, -Fr::ONE]
        .into_iter()
        .chain(ranged.iter().take(3).map(|(_, c, _)| inverse(*c)));
    for unit in units {
        let places: Option<Vec<(u32, u64, usize)>> = ranged
            .iter()
            .map(|&(w, c, m)| power_of_two(c * unit).map(|e| (e, m, w)))
            .collect();
        let Some(mut places) = places else { continue };
        places.sort_unstable();
        let width = |m: u64| 64 - m.leading_zeros();
        let apart = places
            .windows(2)
            .all(|pair| pair[0].0 + width(pair[0].1) <= pair[1].0);
        let below_order = places.last().is_some_and(|&(e, m, _)| e + width(m) <= 253);
        if !apart || !below_order {
            continue;
        }
        let mut rest = -constant * unit;
        let mut out = Vec::with_capacity(places.len());
        for &(e, m, wire) in places.iter().rev() {
            let mut high = rest.into_bigint();
            high >>= e;
            let digit = Fr::from_bigint(high).expect("smaller than before");
            if digit > Fr::from(m) {
                return Err(Contradiction);
            }
            rest -= digit * Fr::from(2_u64).pow([u64::from(e)]);
            out.push((wire, digit));
        }
        if rest != Fr::ZERO {
            return Err(Contradiction);
        }
        return Ok(Some(out));
    }
    Ok(None)
}

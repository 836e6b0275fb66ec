//! A rank-1 system taken apart: Jacobian, forging search, enumeration of all solutions.

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::ops::Range;

use ark_bn254::Fr;
use ark_ff::{AdditiveGroup, Field, Zero};

use super::lookups::Argument;
use crate::lc::Lc;
use crate::r1cs::{R1cs, SparseMatrix};

/// Nodes of one forging search.
const BUDGET: usize = 6000;
/// Nodes of one enumeration.
pub(super) const NODES: usize = 1 << 16;
/// Nodes of an enumeration that only looks for one more solution of a system with lookups, where
/// each branch has as many ways as a table has keys.
pub(super) const FEW_NODES: usize = 1 << 9;
/// Wires that one forgery may change.
const DEPTH: usize = 10;

pub(super) type Terms = Vec<(usize, Fr)>;

enum Row {
    /// `a · b = c`.
    Product { a: Terms, b: Terms, c: Terms },
    /// The value is one of these.
    Member {
        value: Terms,
        allowed: Vec<Fr>,
        set: HashSet<Fr>,
    },
}

/// The rows of a constraint system and where each wire stands. A lookup argument is one row a
/// lookup, which says what it proves.
pub(super) struct System {
    rows: Vec<Row>,
    /// The circuit's row that each row stands for.
    origins: Vec<usize>,
    occurrences: Vec<Vec<usize>>,
}

/// What a row says of its unknown wires under a partial assignment.
enum Says {
    Holds,
    Fails,
    /// `q0 + q1·x + q2·x² = 0` for one wire.
    Of(usize, [Fr; 3]),
    /// The wire has one of these values; none is twice.
    OneOf(usize, Vec<Fr>),
    TooMuch,
}

impl System {
    pub(super) fn new(r1cs: &R1cs, argument: Option<&Argument>) -> Self {
        let terms = |matrix: &SparseMatrix, row| {
            let terms = matrix.row(row);
            terms.map(|(wire, c)| (wire as usize, c)).collect::<Terms>()
        };
        let is_argument = |row: usize| {
            argument.is_some_and(|argument| argument.rows.get(row).copied().unwrap_or_default())
        };
        let mut origins: Vec<usize> = (0..r1cs.num_constraints())
            .filter(|&row| !is_argument(row))
            .collect();
        let mut rows: Vec<Row> = origins
            .iter()
            .map(|&row| Row::Product {
                a: terms(&r1cs.a, row),
                b: terms(&r1cs.b, row),
                c: terms(&r1cs.c, row),
            })
            .collect();
        for table in argument.iter().flat_map(|argument| &argument.tables) {
            for lookup in &table.lookups {
                origins.push(lookup.row);
                let allowed = table.allowed(lookup);
                rows.push(Row::Member {
                    value: lookup.value.clone(),
                    set: allowed.iter().copied().collect(),
                    allowed,
                });
            }
        }
        let wires = argument.map_or(r1cs.num_wires, |argument| argument.first_wire);
        let mut occurrences = vec![Vec::new(); wires];
        for (at, row) in rows.iter().enumerate() {
            let wires: BTreeSet<usize> = row.wires().collect();
            for wire in wires {
                if let Some(list) = occurrences.get_mut(wire) {
                    list.push(at);
                }
            }
        }
        Self {
            rows,
            origins,
            occurrences,
        }
    }

    pub(super) fn rows(&self) -> usize {
        self.rows.len()
    }

    /// Wires that rows speak of: all but those of a lookup argument.
    pub(super) fn wires(&self) -> usize {
        self.occurrences.len()
    }

    /// The circuit's row that a row stands for.
    pub(super) fn origin(&self, row: usize) -> usize {
        self.origins.get(row).copied().unwrap_or(row)
    }

    /// Whether every row holds.
    pub(super) fn holds(&self, z: &[Fr]) -> bool {
        self.rows.iter().all(|row| row.holds(z))
    }

    /// Whether the rows that a wire stands in hold.
    pub(super) fn holds_around(&self, z: &[Fr], wire: usize) -> bool {
        self.occurrences
            .get(wire)
            .into_iter()
            .flatten()
            .filter_map(|&at| self.rows.get(at))
            .all(|row| row.holds(z))
    }

    /// Rows of `diag(Bz)·A + diag(Az)·B − C`, restricted to some columns.
    pub(super) fn jacobian(&self, z: &[Fr], columns: Range<usize>) -> Vec<Vec<Fr>> {
        self.rows
            .iter()
            .map(|row| {
                let mut out = vec![Fr::ZERO; columns.len()];
                let mut add = |terms: &Terms, factor: Fr| {
                    for &(wire, c) in terms {
                        if let Some(slot) = wire
                            .checked_sub(columns.start)
                            .and_then(|at| out.get_mut(at))
                        {
                            *slot += c * factor;
                        }
                    }
                };
                match row {
                    Row::Product { a, b, c } => {
                        add(a, value(b, z));
                        add(b, value(a, z));
                        add(c, -Fr::ONE);
                    }
                    // Keys are apart from each other: to first order the value stays.
                    Row::Member { value, .. } => add(value, Fr::ONE),
                }
                out
            })
            .collect()
    }

    /// Rows without which an output can move to first order: those that enter every way to
    /// combine an output's gradient from the gradients of the constraints.
    pub(super) fn rows_that_pin(
        &self,
        z: &[Fr],
        columns: Range<usize>,
        outputs: &[Lc],
    ) -> BTreeSet<usize> {
        let jacobian = self.jacobian(z, columns.clone());
        let mut pinning = BTreeSet::new();
        for output in outputs {
            let mut gradient = vec![Fr::ZERO; columns.len()];
            for &(wire, c) in output.terms() {
                if let Some(slot) = wire
                    .index()
                    .checked_sub(columns.start)
                    .and_then(|at| gradient.get_mut(at))
                {
                    *slot += c;
                }
            }
            if gradient.iter().all(Fr::is_zero) {
                continue;
            }
            // y · J = gradient. Row r enters every solution when y_r is the same non-zero value
            // in all of them, which is when the free unknowns do not touch it.
            let transposed: Vec<Vec<Fr>> = (0..columns.len())
                .map(|column| {
                    jacobian
                        .iter()
                        .map(|row| row.get(column).copied().unwrap_or_default())
                        .chain(gradient.get(column).copied())
                        .collect()
                })
                .collect();
            let (reduced, pivots) = reduce(transposed, self.rows.len());
            for (line, &pivot) in reduced.iter().zip(&pivots) {
                let alone = line
                    .iter()
                    .enumerate()
                    .take(self.rows.len())
                    .all(|(at, v)| at == pivot || v.is_zero());
                if alone && line.last().is_some_and(|v| !v.is_zero()) {
                    pinning.insert(pivot);
                }
            }
        }
        pinning
    }

    /// Whether, without one row, an assignment can be found that all others accept and that
    /// `wrong` says is a forgery: one wire is changed, then each violated row is repaired through
    /// another wire, depth first.
    pub(super) fn forge(
        &self,
        honest: &[Fr],
        removed: usize,
        movable: Range<usize>,
        wrong: &dyn Fn(&[Fr]) -> bool,
    ) -> bool {
        let inside: Vec<usize> = self.rows.get(removed).map_or_else(Vec::new, |row| {
            let wires: BTreeSet<usize> = row.wires().collect();
            wires.into_iter().collect()
        });
        let mut search = Search {
            system: self,
            removed,
            movable: movable.clone(),
            inside,
            budget: BUDGET,
            wrong,
        };
        let starts: Vec<usize> = search
            .inside
            .iter()
            .copied()
            .filter(|w| movable.contains(w))
            .chain(movable.clone())
            .collect();
        for wire in starts {
            // The other roots of the wire's rows first: that is how a bit flips.
            let mut values: Vec<Fr> = self
                .occurrences
                .get(wire)
                .into_iter()
                .flatten()
                .filter_map(|&at| self.rows.get(at))
                .flat_map(|row| row.solved_for(honest, wire))
                .chain(super::candidates(honest, wire).into_iter().take(24))
                .collect();
            values.retain(|v| Some(v) != honest.get(wire));
            for candidate in values {
                let mut z = honest.to_vec();
                if let Some(slot) = z.get_mut(wire) {
                    *slot = candidate;
                }
                if search.repair(&mut z, &mut vec![wire]) {
                    return true;
                }
            }
        }
        false
    }

    /// All solutions that extend `known` (the first wires) and satisfy every row but `skipped`;
    /// `None` values are free. Each is handed to `visit`, which says whether to go on.
    pub(super) fn solutions(
        &self,
        known: &[Fr],
        skipped: Option<usize>,
        mut nodes: usize,
        visit: &mut dyn FnMut(&[Option<Fr>]) -> bool,
    ) -> Outcome {
        let mut partial: Vec<Option<Fr>> = known.iter().copied().map(Some).collect();
        partial.resize(self.occurrences.len(), None);
        let open = (0..self.rows.len())
            .filter(|row| Some(*row) != skipped)
            .collect();
        self.extend(partial, open, &mut nodes, visit)
    }

    fn extend(
        &self,
        mut z: Vec<Option<Fr>>,
        mut open: Vec<usize>,
        nodes: &mut usize,
        visit: &mut dyn FnMut(&[Option<Fr>]) -> bool,
    ) -> Outcome {
        if *nodes == 0 {
            return Outcome::Stuck;
        }
        *nodes -= 1;
        loop {
            let mut branch: Option<(usize, Vec<Fr>)> = None;
            let mut progressed = false;
            let mut fails = false;
            open.retain(|&at| {
                let Some(row) = self.rows.get(at) else {
                    return false;
                };
                if fails {
                    return true;
                }
                let (wire, values) = match row.says(&z) {
                    Says::Holds => return false,
                    Says::Fails => {
                        fails = true;
                        return true;
                    }
                    Says::TooMuch => return true,
                    Says::Of(wire, q) => (wire, roots(q)),
                    Says::OneOf(wire, values) => (wire, values),
                };
                match values.as_slice() {
                    [] => {
                        fails = true;
                        true
                    }
                    [only] => {
                        if let Some(slot) = z.get_mut(wire) {
                            *slot = Some(*only);
                        }
                        progressed = true;
                        false
                    }
                    _ => {
                        // The fewest branches first; the first of equals.
                        if branch.as_ref().is_none_or(|(_, b)| b.len() > values.len()) {
                            branch = Some((wire, values));
                        }
                        true
                    }
                }
            });
            if fails {
                return Outcome::Complete;
            }
            if progressed {
                continue;
            }
            if open.is_empty() {
                return if visit(&z) {
                    Outcome::Complete
                } else {
                    Outcome::Stopped
                };
            }
            let Some((wire, values)) = branch else {
                return Outcome::Stuck;
            };
            let mut outcome = Outcome::Complete;
            for value in values {
                let mut next = z.clone();
                if let Some(slot) = next.get_mut(wire) {
                    *slot = Some(value);
                }
                match self.extend(next, open.clone(), nodes, visit) {
                    Outcome::Complete => {}
                    Outcome::Stuck => outcome = Outcome::Stuck,
                    Outcome::Stopped => return Outcome::Stopped,
                }
            }
            return outcome;
        }
    }
}

/// How an enumeration ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Outcome {
    /// Every solution was visited.
    Complete,
    /// Some branch had no row with a single unknown, or there were too many branches.
    Stuck,
    /// The visitor had seen enough.
    Stopped,
}

struct Search<'s> {
    system: &'s System,
    removed: usize,
    movable: Range<usize>,
    /// Wires of the removed row: repaired through first.
    inside: Vec<usize>,
    budget: usize,
    wrong: &'s dyn Fn(&[Fr]) -> bool,
}

impl Search<'_> {
    fn repair(&mut self, z: &mut [Fr], changed: &mut Vec<usize>) -> bool {
        if self.budget == 0 {
            return false;
        }
        self.budget -= 1;
        let violated = changed
            .iter()
            .filter_map(|&wire| self.system.occurrences.get(wire))
            .flatten()
            .copied()
            .filter(|&at| at != self.removed)
            .filter(|&at| self.system.rows.get(at).is_some_and(|row| !row.holds(z)))
            .min();
        let Some(at) = violated else {
            return (self.wrong)(z);
        };
        if changed.len() >= DEPTH {
            return false;
        }
        let Some(row) = self.system.rows.get(at) else {
            return false;
        };
        let mut wires: Vec<usize> = row.wires().collect();
        wires.sort_unstable();
        wires.dedup();
        wires.retain(|w| self.movable.contains(w) && !changed.contains(w));
        // Wires of the removed row first, then the latest.
        wires.sort_by_key(|w| (!self.inside.contains(w), core::cmp::Reverse(*w)));
        for wire in wires {
            let old = z.get(wire).copied().unwrap_or_default();
            for root in row.solved_for(z, wire) {
                if let Some(slot) = z.get_mut(wire) {
                    *slot = root;
                }
                changed.push(wire);
                if self.repair(z, changed) {
                    return true;
                }
                changed.pop();
            }
            if let Some(slot) = z.get_mut(wire) {
                *slot = old;
            }
        }
        false
    }
}

impl Row {
    fn wires(&self) -> impl Iterator<Item = usize> + '_ {
        let parts = match self {
            Self::Product { a, b, c } => [a.as_slice(), b, c],
            Self::Member { value, .. } => [value.as_slice(), &[], &[]],
        };
        parts.into_iter().flatten().map(|&(wire, _)| wire)
    }

    fn holds(&self, z: &[Fr]) -> bool {
        match self {
            Self::Product { a, b, c } => value(a, z) * value(b, z) == value(c, z),
            Self::Member { value: v, set, .. } => set.contains(&value(v, z)),
        }
    }

    /// Values of one wire with which the row holds, all others as they are.
    fn solved_for(&self, z: &[Fr], wire: usize) -> Vec<Fr> {
        let cut = |terms: &Terms| {
            let slope = terms
                .iter()
                .find(|(w, _)| *w == wire)
                .map_or(Fr::ZERO, |&(_, c)| c);
            let rest = value(terms, z) - slope * z.get(wire).copied().unwrap_or_default();
            (rest, slope)
        };
        match self {
            Self::Product { a, b, c } => roots(quadratic(cut(a), cut(b), cut(c))),
            Self::Member { value, allowed, .. } => {
                let (rest, slope) = cut(value);
                members(allowed, rest, slope)
            }
        }
    }

    fn says(&self, z: &[Option<Fr>]) -> Says {
        let cut = |terms: &Terms| {
            let mut rest = Fr::ZERO;
            let mut unknown: BTreeMap<usize, Fr> = BTreeMap::new();
            for &(wire, c) in terms {
                match z.get(wire).copied().flatten() {
                    Some(v) => rest += c * v,
                    None => *unknown.entry(wire).or_default() += c,
                }
            }
            unknown.retain(|_, k| !k.is_zero());
            (rest, unknown)
        };
        let (a, b, c) = match self {
            Self::Product { a, b, c } => (cut(a), cut(b), cut(c)),
            Self::Member {
                value,
                allowed,
                set,
            } => {
                let (rest, unknown) = cut(value);
                let mut terms = unknown.into_iter();
                return match (terms.next(), terms.next()) {
                    (None, _) if set.contains(&rest) => Says::Holds,
                    (None, _) => Says::Fails,
                    (Some((wire, k)), None) => Says::OneOf(wire, members(allowed, rest, k)),
                    _ => Says::TooMuch,
                };
            }
        };
        let scaled = |factor: Fr, of: &(Fr, BTreeMap<usize, Fr>)| {
            // factor · of − c, linear
            let mut rest = factor * of.0 - c.0;
            let mut unknown: BTreeMap<usize, Fr> = BTreeMap::new();
            for (&wire, &k) in &of.1 {
                *unknown.entry(wire).or_default() += factor * k;
            }
            for (&wire, &k) in &c.1 {
                *unknown.entry(wire).or_default() -= k;
            }
            unknown.retain(|_, k| !k.is_zero());
            if unknown.is_empty() && rest.is_zero() {
                rest = Fr::ZERO;
            }
            (rest, unknown)
        };
        let linear = match (a.1.is_empty(), b.1.is_empty()) {
            (true, _) => Some(scaled(a.0, &b)),
            (_, true) => Some(scaled(b.0, &a)),
            _ => None,
        };
        if let Some((rest, unknown)) = linear {
            let mut terms = unknown.into_iter();
            return match (terms.next(), terms.next()) {
                (None, _) if rest.is_zero() => Says::Holds,
                (None, _) => Says::Fails,
                (Some((wire, k)), None) => Says::Of(wire, [rest, k, Fr::ZERO]),
                _ => Says::TooMuch,
            };
        }
        let all: BTreeSet<usize> = [&a.1, &b.1, &c.1]
            .into_iter()
            .flat_map(|m| m.keys().copied())
            .collect();
        match all.first() {
            Some(&wire) if all.len() == 1 => {
                let get = |of: &(Fr, BTreeMap<usize, Fr>)| {
                    (of.0, of.1.get(&wire).copied().unwrap_or_default())
                };
                let q = quadratic(get(&a), get(&b), get(&c));
                if q.iter().all(Fr::is_zero) {
                    Says::Holds
                } else if q[1].is_zero() && q[2].is_zero() {
                    Says::Fails
                } else {
                    Says::Of(wire, q)
                }
            }
            _ => Says::TooMuch,
        }
    }
}

/// The `x` with `rest + slope · x` among the allowed values.
fn members(allowed: &[Fr], rest: Fr, slope: Fr) -> Vec<Fr> {
    let Some(inverse) = slope.inverse() else {
        return Vec::new();
    };
    allowed.iter().map(|v| (*v - rest) * inverse).collect()
}

pub(super) fn value(terms: &Terms, z: &[Fr]) -> Fr {
    terms
        .iter()
        .map(|&(wire, c)| c * z.get(wire).copied().unwrap_or_default())
        .sum()
}

fn quadratic(a: (Fr, Fr), b: (Fr, Fr), c: (Fr, Fr)) -> [Fr; 3] {
    [a.0 * b.0 - c.0, a.0 * b.1 + a.1 * b.0 - c.1, a.1 * b.1]
}

/// Roots of `q0 + q1·x + q2·x²`, not identically zero.
fn roots(q: [Fr; 3]) -> Vec<Fr> {
    let [q0, q1, q2] = q;
    if q2.is_zero() {
        return q1.inverse().map(|i| -q0 * i).into_iter().collect();
    }
    let Some(half) = q2.double().inverse() else {
        return Vec::new();
    };
    let discriminant = q1.square() - Fr::from(4_u64) * q0 * q2;
    match discriminant.sqrt() {
        Some(root) if root.is_zero() => vec![-q1 * half],
        Some(root) => vec![(root - q1) * half, (-root - q1) * half],
        None => Vec::new(),
    }
}

/// Reduced row echelon form over the first `columns` columns, without zero rows, and the pivots.
fn reduce(mut m: Vec<Vec<Fr>>, columns: usize) -> (Vec<Vec<Fr>>, Vec<usize>) {
    let mut pivots = Vec::new();
    for column in 0..columns {
        let at = pivots.len();
        let Some(found) = (at..m.len()).find(|&r| entry(&m, r, column) != Fr::ZERO) else {
            continue;
        };
        m.swap(at, found);
        let Some(inverse) = entry(&m, at, column).inverse() else {
            continue;
        };
        let pivot: Vec<Fr> = m
            .get(at)
            .map_or_else(Vec::new, |row| row.iter().map(|v| *v * inverse).collect());
        for (r, row) in m.iter_mut().enumerate() {
            let factor = row.get(column).copied().unwrap_or_default();
            if r != at && !factor.is_zero() {
                for (x, p) in row.iter_mut().zip(&pivot) {
                    if !p.is_zero() {
                        *x -= factor * p;
                    }
                }
            }
        }
        if let Some(row) = m.get_mut(at) {
            *row = pivot;
        }
        pivots.push(column);
    }
    m.truncate(pivots.len());
    (m, pivots)
}

fn entry(m: &[Vec<Fr>], row: usize, column: usize) -> Fr {
    m.get(row)
        .and_then(|r| r.get(column))
        .copied()
        .unwrap_or_default()
}

/// The rank of a matrix.
pub(super) fn rank(m: Vec<Vec<Fr>>) -> usize {
    let columns = m.first().map_or(0, Vec::len);
    reduce(m, columns).1.len()
}

//! Linear algebra of a constraint system at a satisfied point: which wires can move, and which
//! constraints hold them. What is looked up cannot move at all: the keys of a table are apart.

use ark_bn254::Fr;
use ark_ff::{AdditiveGroup, Field};
use proofmark_gadgets::R1cs;
use std::collections::BTreeMap;

use crate::lookups::{Kind, Reading};

type Row = BTreeMap<u32, Fr>;

/// What the Jacobian `diag(Bz)·A + diag(Az)·B − C` says at one point.
pub(crate) struct Jacobian {
    /// Columns without a pivot: directions in which a satisfying assignment may be moved.
    pub(crate) movable: Vec<usize>,
    /// Columns that are zero at this point.
    pub(crate) empty: Vec<bool>,
    /// For each row, whether leaving it out lowers the rank: without it something moves.
    pub(crate) needed: Vec<bool>,
}

/// Eliminates with rows taken shortest first; `fixed` wires do not move.
pub(crate) fn jacobian(r1cs: &R1cs, reading: &Reading, z: &[Fr], fixed: &[bool]) -> Jacobian {
    let said = |&index: &usize| !matches!(reading.kinds[index], Kind::Argument);
    let mut rows: Vec<(Row, Row)> = (0..r1cs.num_constraints())
        .filter(said)
        .map(|index| {
            let mut row = Row::new();
            if let Kind::Lookup(lookup) = &reading.kinds[index] {
                let terms = lookup.terms.iter().filter(|(wire, _)| !fixed[*wire]);
                row.extend(terms.map(|&(wire, c)| (wire as u32, c)));
                return (row, Row::from([(index as u32, Fr::ONE)]));
            }
            let (az, bz) = (r1cs.a.row_times(index, z), r1cs.b.row_times(index, z));
            for (matrix, factor) in [(&r1cs.a, bz), (&r1cs.b, az), (&r1cs.c, -Fr::ONE)] {
                for (column, value) in matrix.row(index) {
                    if !fixed[column as usize] {
                        *row.entry(column).or_default() += value * factor;
                    }
                }
            }
            row.retain(|_, v| *v != Fr::ZERO);
            (row, Row::from([(index as u32, Fr::ONE)]))
        })
        .collect();
    let mut empty = vec![true; r1cs.num_wires];
    for column in rows.iter().flat_map(|(row, _)| row.keys()) {
        empty[*column as usize] = false;
    }
    // A pivot in the latest wire: a wire is made from earlier ones, so little fills in.
    rows.sort_by_key(|(row, _)| (row.last_key_value().map(|(c, _)| *c), row.len()));
    let mut pivots: BTreeMap<u32, (Row, Row)> = BTreeMap::new();
    let mut needed = vec![true; r1cs.num_constraints()];
    for (mut row, mut made_of) in rows {
        while let Some((&lead, &value)) = row.last_key_value() {
            let Some((pivot, pivot_made_of)) = pivots.get(&lead) else {
                let inverse = value.inverse().expect("not zero");
                scale(&mut row, inverse);
                scale(&mut made_of, inverse);
                break;
            };
            subtract(&mut row, value, pivot);
            subtract(&mut made_of, value, pivot_made_of);
        }
        match row.last_key_value() {
            Some((&lead, _)) => {
                pivots.insert(lead, (row, made_of));
            }
            // These rows depend on each other: none of them is needed here.
            None => made_of.keys().for_each(|&r| needed[r as usize] = false),
        }
    }
    let movable = (0..r1cs.num_wires)
        .filter(|&wire| !fixed[wire] && !pivots.contains_key(&(wire as u32)))
        .collect();
    Jacobian {
        movable,
        empty,
        needed,
    }
}

fn scale(row: &mut Row, factor: Fr) {
    row.values_mut().for_each(|v| *v *= factor);
}

fn subtract(row: &mut Row, factor: Fr, other: &Row) {
    for (&column, &value) in other {
        let slot = row.entry(column).or_default();
        *slot -= factor * value;
        if *slot == Fr::ZERO {
            row.remove(&column);
        }
    }
}

//! What a circuit of the committed backend looks up, read from its matrices: the lookup argument
//! taken at its word.
//!
//! The argument proves, but for a negligible error, that each looked-up value is a key of its
//! table; that is tested where it is made. Here its rows are replaced by that very statement, so
//! that the checks of gadgets see an ideal system without a challenge. What a prover can do with
//! the real one is then to draw a new challenge for other phase-1 values
//! ([`Argument::settle`]).

use std::collections::{BTreeMap, HashMap};

use ark_bn254::Fr;
use ark_ff::{AdditiveGroup, Field};

use super::system::Terms;
use crate::circuit::Circuit;
use crate::r1cs::SparseMatrix;

/// One table of the circuit and what is looked up in it.
#[derive(Debug)]
pub(super) struct TableRows {
    /// Keys with the wires of their multiplicities.
    entries: Vec<(Fr, usize)>,
    pub(super) lookups: Vec<Lookup>,
}

/// That `Σ value / scale` is a key.
#[derive(Debug)]
pub(super) struct Lookup {
    /// Row of the circuit.
    pub(super) row: usize,
    pub(super) value: Terms,
    scale: Fr,
}

/// The lookup argument of a circuit.
#[derive(Debug)]
pub(super) struct Argument {
    pub(super) tables: Vec<TableRows>,
    /// Rows that belong to it.
    pub(super) rows: Vec<bool>,
    /// The first wire that belongs to it: multiplicities, challenge, inverses.
    pub(super) first_wire: usize,
}

impl TableRows {
    /// The values that the numerator of a lookup may take.
    pub(super) fn allowed(&self, lookup: &Lookup) -> Vec<Fr> {
        let keys = self.entries.iter();
        keys.map(|(key, _)| *key * lookup.scale).collect()
    }
}

fn terms(matrix: &SparseMatrix, row: usize) -> Terms {
    let terms = matrix.row(row);
    terms.map(|(wire, c)| (wire as usize, c)).collect()
}

impl Argument {
    /// Reads the argument of a circuit; a message where something is not as the argument has it.
    pub(super) fn read(circuit: &Circuit) -> Result<Option<Self>, String> {
        let r1cs = &circuit.r1cs;
        let challenge = match circuit.challenges.as_slice() {
            [] => return Ok(None),
            [wire] => wire.index(),
            _ => return Err("has more than one challenge".to_owned()),
        };
        // Every private wire before the challenge is committed to, in order.
        let committed: Vec<usize> = circuit.committed.iter().map(|w| w.index()).collect();
        if committed != (r1cs.num_public + 1..challenge).collect::<Vec<_>>() {
            return Err("does not commit to every wire before the challenge".to_owned());
        }
        let after = |terms: &Terms| terms.iter().any(|&(wire, _)| wire >= challenge);
        let mut own: BTreeMap<usize, usize> = BTreeMap::new();
        let mut sums = Vec::new();
        let mut rows = vec![false; r1cs.num_constraints()];
        for (row, used) in rows.iter_mut().enumerate() {
            let (a, b, c) = (
                terms(&r1cs.a, row),
                terms(&r1cs.b, row),
                terms(&r1cs.c, row),
            );
            if !(after(&a) || after(&b) || after(&c)) {
                continue;
            }
            *used = true;
            match a.as_slice() {
                [(wire, one)]
                    if *wire > challenge
                        && *one == Fr::ONE
                        && b.last().is_some_and(|(wire, _)| *wire == challenge) =>
                {
                    if own.insert(*wire, row).is_some() {
                        return Err(format!("has two rows for wire {wire}"));
                    }
                }
                _ if c.is_empty() && b == [(0, Fr::ONE)] => sums.push(a),
                _ => return Err(format!("reads the challenge in row {row}")),
            }
        }
        let mut first_wire = challenge;
        let mut tables = Vec::with_capacity(sums.len());
        for sum in sums {
            let mut table = TableRows {
                entries: Vec::new(),
                lookups: Vec::new(),
            };
            for (wire, sign) in sum {
                let row = own
                    .remove(&wire)
                    .ok_or_else(|| format!("has no row for wire {wire}"))?;
                let mut b = terms(&r1cs.b, row);
                let c = terms(&r1cs.c, row);
                let Some((_, scale)) = b.pop().filter(|(wire, _)| *wire == challenge) else {
                    return Err(format!("has no challenge in row {row}"));
                };
                match (c.as_slice(), b.as_slice()) {
                    ([(0, c)], _) if sign == Fr::ONE && *c == scale => {
                        table.lookups.push(Lookup {
                            row,
                            value: b,
                            scale: -scale,
                        });
                    }
                    (&[(count, one)], [] | [(0, _)])
                        if one == Fr::ONE && sign == -Fr::ONE && scale == Fr::ONE =>
                    {
                        first_wire = first_wire.min(count);
                        let key = b.first().map_or(Fr::ZERO, |(_, c)| -*c);
                        table.entries.push((key, count));
                    }
                    _ => return Err(format!("has a strange row {row}")),
                }
            }
            tables.push(table);
        }
        if let Some((wire, _)) = own.first_key_value() {
            return Err(format!("sums wire {wire} nowhere"));
        }
        let counts: usize = tables.iter().map(|t| t.entries.len()).sum();
        if first_wire + counts != challenge {
            return Err("has wires between multiplicities and challenge".to_owned());
        }
        Ok(Some(Self {
            tables,
            rows,
            first_wire,
        }))
    }

    /// The best that a prover can do with other phase-1 values: multiplicities counted anew, the
    /// challenge drawn anew, everything after it as its rows say.
    pub(super) fn settle(&self, circuit: &Circuit, z: &mut [Fr]) {
        for table in &self.tables {
            let mut counts: HashMap<Fr, u64> = HashMap::new();
            for lookup in &table.lookups {
                let value = super::system::value(&lookup.value, z);
                let key = lookup.scale.inverse().map_or(Fr::ZERO, |i| value * i);
                *counts.entry(key).or_default() += 1;
            }
            for (key, wire) in &table.entries {
                if let Some(slot) = z.get_mut(*wire) {
                    *slot = Fr::from(counts.get(key).copied().unwrap_or_default());
                }
            }
        }
        super::continue_after_challenge(circuit, z);
    }
}

//! The lookup argument of a committed circuit, read back from its matrices alone.
//!
//! Whatever stands behind the challenge has to be one of three kinds of rows, with `X` the
//! challenge:
//!
//! * a lookup, `u·(2^s·v − 2^s·X) = −2^s`, which says `u = 1/(X − v)`;
//! * an entry, `g·(X − t) = m`;
//! * a sum, `Σu − Σg = 0`.
//!
//! Each `u` and `g` has one row of its own and stands in one sum, each `m` in one entry, the
//! entries of a sum differ, and every private wire before the challenge is committed to. By the
//! argument's soundness (`docs/security/lookup-backend.md`) such rows say that each `v` is one of
//! the entries of its sum, and that the `m` count them. What is proven is therefore the rows in
//! front of the challenge and these memberships, which is how the other tests here read a
//! circuit of that backend.

use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;

use ark_bn254::Fr;
use ark_ff::{AdditiveGroup, Field, PrimeField};
use proofmark_gadgets::{Backend, Circuit};

/// What a row of a circuit says.
#[derive(Debug, Clone)]
pub(crate) enum Kind {
    /// `A·z ∘ B·z = C·z`.
    Product,
    /// `(constant + Σ c·z) / 2^shift` is a key of the table.
    Lookup(Lookup),
    /// A part of the argument: it follows from the lookups.
    Argument,
}

#[derive(Debug, Clone)]
pub(crate) struct Lookup {
    /// `2^shift · v`.
    pub(crate) terms: Vec<(usize, Fr)>,
    pub(crate) constant: Fr,
    pub(crate) shift: u32,
    pub(crate) table: Arc<Keys>,
}

/// The keys of a table.
#[derive(Debug)]
pub(crate) struct Keys {
    /// Ascending.
    pub(crate) sorted: Vec<i128>,
    all: HashSet<i128>,
}

impl Keys {
    pub(crate) fn new(mut sorted: Vec<i128>) -> Self {
        sorted.sort_unstable();
        assert!(
            sorted.windows(2).all(|pair| pair[0] < pair[1]),
            "an entry twice"
        );
        Self {
            all: sorted.iter().copied().collect(),
            sorted,
        }
    }

    pub(crate) fn contains(&self, key: i128) -> bool {
        self.all.contains(&key)
    }

    /// Those in a range, ends included.
    pub(crate) fn between(&self, from: i128, to: i128) -> &[i128] {
        let start = self.sorted.partition_point(|&key| key < from);
        let end = self.sorted.partition_point(|&key| key <= to);
        self.sorted.get(start..end).unwrap_or_default()
    }

    pub(crate) fn ends(&self) -> (i128, i128) {
        (self.sorted[0], self.sorted[self.sorted.len() - 1])
    }
}

impl Lookup {
    /// Whether it holds.
    pub(crate) fn holds(&self, z: &[Fr]) -> bool {
        let sum = self.terms.iter().map(|&(wire, c)| c * z[wire]).sum::<Fr>() + self.constant;
        self.is_key(sum)
    }

    /// Whether `sum / 2^shift` is a key.
    pub(crate) fn is_key(&self, sum: Fr) -> bool {
        integer(sum).is_some_and(|v| {
            v >> self.shift << self.shift == v && self.table.contains(v >> self.shift)
        })
    }
}

/// A field element as an integer of at most 110 bits and a sign, where it is one.
pub(crate) fn integer(value: Fr) -> Option<i128> {
    let size = |v: Fr| match v.into_bigint().0 {
        [low, high, 0, 0] if high < 1 << 46 => Some((i128::from(high) << 64) | i128::from(low)),
        _ => None,
    };
    size(value).or_else(|| size(-value).map(|v| -v))
}

/// A small integer in the field.
pub(crate) fn field(value: i128) -> Fr {
    let size = Fr::from(value.unsigned_abs());
    if value < 0 { -size } else { size }
}

/// What the rows of a circuit say, and which wires the argument determines: challenge,
/// multiplicities, inverses, quotients.
pub(crate) struct Reading {
    pub(crate) kinds: Vec<Kind>,
    pub(crate) argued: Vec<bool>,
}

type Terms = Vec<(usize, Fr)>;

/// Reads a circuit.
///
/// # Panics
/// When what stands behind the challenge is anything else than the argument.
pub(crate) fn read(circuit: &Circuit) -> Reading {
    let r1cs = &circuit.r1cs;
    let rows = r1cs.num_constraints();
    let mut reading = Reading {
        kinds: vec![Kind::Product; rows],
        argued: vec![false; r1cs.num_wires],
    };
    if circuit.backend == Backend::Plain {
        assert!(circuit.committed.is_empty() && circuit.challenges.is_empty());
        return reading;
    }
    let [challenge] = circuit.challenges[..] else {
        panic!("{} challenges", circuit.challenges.len());
    };
    let challenge = challenge.index();
    let committed: Vec<usize> = circuit.committed.iter().map(|w| w.index()).collect();
    let before: Vec<usize> = (r1cs.num_public + 1..challenge).collect();
    assert_eq!(committed, before, "every private wire is committed to");

    let terms = |matrix: usize, row: usize| -> Terms {
        let matrix = [&r1cs.a, &r1cs.b, &r1cs.c][matrix];
        matrix.row(row).map(|(w, c)| (w as usize, c)).collect()
    };
    // Wires behind the challenge: the row that makes one, and the sum that it stands in.
    let mut made = vec![None; r1cs.num_wires];
    let mut summed = vec![None; r1cs.num_wires];
    let mut lookups: BTreeMap<usize, (Terms, Fr, u32)> = BTreeMap::new();
    let mut entries: BTreeMap<usize, i128> = BTreeMap::new();
    let mut multiplicities = HashSet::new();
    let mut sums: Vec<Terms> = Vec::new();
    for row in 0..rows {
        let [a, b, c] = [0, 1, 2].map(|m| terms(m, row));
        if [&a, &b, &c]
            .iter()
            .all(|of| of.iter().all(|(w, _)| *w < challenge))
        {
            continue;
        }
        reading.kinds[row] = Kind::Argument;
        if b == [(0, Fr::ONE)] && c.is_empty() {
            for &(wire, factor) in &a {
                assert!(wire > challenge && (factor == Fr::ONE || factor == -Fr::ONE));
                assert_eq!(summed[wire].replace(sums.len()), None, "a wire in two sums");
            }
            sums.push(a);
            continue;
        }
        let &[(wire, factor)] = a.as_slice() else {
            panic!("row {row} is no part of the argument");
        };
        assert!(wire > challenge && factor == Fr::ONE, "row {row}");
        assert_eq!(made[wire].replace(row), None, "a wire with two rows");
        let behind: Vec<(usize, Fr)> = b.iter().copied().filter(|(w, _)| *w >= challenge).collect();
        let &[(x, scale)] = behind.as_slice() else {
            panic!("row {row}: {behind:?}");
        };
        assert_eq!(x, challenge);
        let front: Terms = b.into_iter().filter(|(w, _)| *w < challenge).collect();
        let constant = |terms: &Terms| {
            terms
                .iter()
                .find(|(w, _)| *w == 0)
                .map_or(Fr::ZERO, |t| t.1)
        };
        let wires: Terms = front.iter().copied().filter(|(w, _)| *w != 0).collect();
        match *c.as_slice() {
            [(0, value)] if value == scale => {
                let shift = (0..=62).find(|&s| scale == -Fr::from(1_u64 << s));
                let shift = shift.unwrap_or_else(|| panic!("row {row}: a factor of {scale}"));
                lookups.insert(row, (wires, constant(&front), shift));
            }
            [(m, one)] if wires.is_empty() && scale == Fr::ONE && one == Fr::ONE => {
                assert!(r1cs.num_public < m && m < challenge, "row {row}");
                assert!(multiplicities.insert(m), "a multiplicity twice");
                let key = integer(-constant(&front)).expect("a small key");
                entries.insert(wire, key);
            }
            _ => panic!("row {row} is no part of the argument"),
        }
    }
    for row in 0..rows {
        let here = (0..3).flat_map(|m| terms(m, row));
        let entry = matches!(reading.kinds[row], Kind::Argument) && !lookups.contains_key(&row);
        for (wire, _) in here {
            assert!(
                entry || !multiplicities.contains(&wire),
                "a multiplicity is read"
            );
        }
    }
    let tables: Vec<Arc<Keys>> = sums
        .iter()
        .map(|sum| {
            let negative = sum.iter().filter(|(_, factor)| *factor == -Fr::ONE);
            let keys = negative.map(|(wire, _)| entries[wire]).collect();
            Arc::new(Keys::new(keys))
        })
        .collect();
    for wire in challenge + 1..r1cs.num_wires {
        let (row, sum) = (made[wire].expect("a row"), summed[wire].expect("a sum"));
        let factor = sums[sum].iter().find(|(w, _)| *w == wire).expect("there").1;
        let lookup = lookups.get(&row);
        assert_eq!(factor == Fr::ONE, lookup.is_some(), "the sign of a term");
        if let Some((terms, constant, shift)) = lookup {
            reading.kinds[row] = Kind::Lookup(Lookup {
                terms: terms.clone(),
                constant: *constant,
                shift: *shift,
                table: Arc::clone(&tables[sum]),
            });
        }
    }
    for (wire, argued) in reading.argued.iter_mut().enumerate() {
        *argued = wire >= challenge || multiplicities.contains(&wire);
    }
    reading
}

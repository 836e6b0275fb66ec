//! Whether the solver counts right: small systems whose assignments are counted by trying all. A
//! solver that concludes too much calls two assignments one, or none, somewhere here.

use std::collections::BTreeMap;
use std::sync::Arc;

use ark_bn254::Fr;
use ark_ff::{AdditiveGroup, Field};
use proofmark_gadgets::lowering::Lowering;
use proofmark_gadgets::{Backend, Lc, R1cs, Wire};
use proofmark_tests::Random;

use crate::lookups::{Keys, Kind, Lookup, Reading, field};
use crate::unique::{Count, Solver};

/// Terms of wires (the constant is wire 0) and small factors.
type Terms = Vec<(usize, i64)>;

#[derive(Debug, Clone)]
enum Row {
    Product(Terms, Terms, Terms),
    /// The terms are `2^shift` times one of the keys.
    Lookup(Terms, u32, Vec<i128>),
}

/// Rows for so many wires, the constant included.
fn system(wires: usize, rows: &[Row]) -> (R1cs, Reading) {
    let mut cx = Lowering::shape(Backend::Plain, 0).expect("a lowering");
    let mut all = vec![Wire::ONE];
    all.extend((1..wires).map(|_| cx.hint("wire", || Fr::ZERO).expect("a wire")));
    let form = |terms: &Terms| {
        let mut form = Lc::constant(Fr::ZERO);
        for &(wire, factor) in terms {
            form.push(all[wire], field(factor.into()));
        }
        form
    };
    let mut kinds = Vec::new();
    for row in rows {
        let none = Terms::new();
        let (a, b, c, kind) = match row {
            Row::Product(a, b, c) => (a, b, c, Kind::Product),
            // Read as a lookup: that its wires stand in the row is all that matters of it.
            Row::Lookup(terms, shift, keys) => {
                let mut wires: BTreeMap<usize, Fr> = BTreeMap::new();
                for &(wire, factor) in terms {
                    *wires.entry(wire).or_default() += field(factor.into());
                }
                let constant = wires.remove(&0).unwrap_or_default();
                let lookup = Lookup {
                    terms: wires.into_iter().filter(|t| t.1 != Fr::ZERO).collect(),
                    constant,
                    shift: *shift,
                    table: Arc::new(Keys::new(keys.clone())),
                };
                (terms, &none, &none, Kind::Lookup(lookup))
            }
        };
        cx.enforce("row", form(a), form(b), form(c)).expect("a row");
        kinds.push(kind);
    }
    let r1cs = cx.into_circuit(1, Vec::new()).expect("a circuit").r1cs;
    // Lookups stand in circuits with a challenge, here a wire in no row: there the solver guesses
    // by ranges and keys.
    let argued = (0..=wires).map(|wire| wire == wires).collect();
    (r1cs, Reading { kinds, argued })
}

/// Bits, and tables of a few keys.
fn domain(wire: usize, values: &[i128]) -> Row {
    if values == [0, 1] {
        return Row::Product(vec![(wire, 1)], vec![(wire, 1), (0, -1)], vec![]);
    }
    Row::Lookup(vec![(wire, 1)], 0, values.to_vec())
}

fn value(terms: &Terms, z: &[i128]) -> i128 {
    terms.iter().map(|&(w, c)| i128::from(c) * z[w]).sum()
}

fn holds(row: &Row, z: &[i128]) -> bool {
    match row {
        Row::Product(a, b, c) => value(a, z) * value(b, z) == value(c, z),
        Row::Lookup(terms, shift, keys) => {
            let sum = value(terms, z);
            sum % (1 << shift) == 0 && keys.contains(&(sum >> shift))
        }
    }
}

/// Assignments of values out of these domains under which all rows but one hold.
fn count_all(domains: &[Vec<i128>], rows: &[Row], without: Option<usize>) -> usize {
    let total: usize = domains.iter().map(Vec::len).product();
    let assignments = (0..total).map(|mut code| {
        let digits = domains.iter().map(|domain| {
            let digit = domain[code % domain.len()];
            code /= domain.len();
            digit
        });
        std::iter::once(1).chain(digits).collect::<Vec<i128>>()
    });
    let left = |z: &Vec<i128>| {
        let rows = rows.iter().enumerate();
        rows.into_iter()
            .all(|(at, row)| Some(at) == without || holds(row, z))
    };
    assignments.filter(left).count()
}

fn below(random: &mut Random, end: u64) -> usize {
    (random.bits() % end) as usize
}

fn random_terms(random: &mut Random, wires: usize) -> Terms {
    let mut terms: Terms = (0..1 + below(random, 3))
        .map(|_| {
            let factor = [1, -1, 2, -2, 4, 3, -5, 16][below(random, 8)];
            (1 + below(random, wires as u64), factor)
        })
        .collect();
    terms.push((0, below(random, 9) as i64 - 4));
    terms
}

#[test]
fn the_solver_counts_as_trying_all_does() {
    let mut random = Random::new(21);
    let (mut none, mut one, mut many, mut open) = (0, 0, 0, 0);
    for _ in 0..6000 {
        let wires = 2 + below(&mut random, 4);
        let domains: Vec<Vec<i128>> = (0..wires)
            .map(|_| match below(&mut random, 4) {
                0 | 1 => vec![0, 1],
                2 => (0..1 << (2 + below(&mut random, 2))).collect(),
                _ => vec![-3, 0, 1, 7, 20][below(&mut random, 3)..].to_vec(),
            })
            .collect();
        let mut rows: Vec<Row> = domains
            .iter()
            .enumerate()
            .map(|(at, values)| domain(at + 1, values))
            .collect();
        for _ in 0..1 + below(&mut random, 4) {
            let [a, b, c] = [(); 3].map(|()| random_terms(&mut random, wires));
            let row = match below(&mut random, 4) {
                0 => Row::Product(a, vec![(0, 1)], c),
                1 => Row::Product(a, b, vec![(0, 0)]),
                2 => Row::Product(a, b, c),
                _ => {
                    let keys = vec![-9, -2, 0, 1, 2, 5, 9][below(&mut random, 4)..].to_vec();
                    Row::Lookup(a, below(&mut random, 3) as u32, keys)
                }
            };
            rows.push(row);
        }
        let without = (wires..rows.len()).nth(below(&mut random, 5));
        let (r1cs, mut reading) = system(wires + 1, &rows);
        // And now and then as it does where nothing can be looked up.
        reading.argued[wires + 1] = below(&mut random, 16) > 0;
        let mut fixed = vec![None; wires + 1];
        fixed[0] = Some(Fr::ONE);
        let expected = count_all(&domains, &rows, without);
        let solver = Solver::new(&r1cs, &reading);
        let found = solver.count(&fixed, without, 10_000);
        match found {
            Count::None => none += 1,
            Count::One { .. } => one += 1,
            Count::Many(_) => many += 1,
            Count::Open(_) => open += 1,
        }
        let right = match found {
            Count::None => expected == 0,
            Count::One { ref idle } => expected == 1 && idle.is_empty(),
            Count::Many(_) => expected > 1,
            Count::Open(_) => true,
        };
        assert!(
            right,
            "{found:?}, not {expected}: {rows:?} without {without:?}"
        );
    }
    println!("{none} none, {one} one, {many} many, {open} open");
    assert!(none > 500 && one > 100 && many > 200 && open < 600);
}

/// Nothing bounds these wires but the field.
#[test]
fn the_solver_knows_that_the_field_is_large() {
    let lookup = |terms: Terms, shift, keys: std::ops::Range<i128>| {
        Row::Lookup(terms, shift, keys.collect())
    };
    let two = |rows: &[Row]| {
        let (r1cs, reading) = system(3, rows);
        let mut fixed = vec![None; 3];
        fixed[0] = Some(Fr::ONE);
        Solver::new(&r1cs, &reading).count(&fixed, None, 1000)
    };
    // 2x is 1 for a half, which is no integer.
    let half = [
        Row::Product(vec![(1, 2)], vec![(0, 1)], vec![(0, 1)]),
        Row::Product(vec![(2, 1)], vec![(0, 1)], vec![(0, 3)]),
    ];
    assert_eq!(two(&half), Count::One { idle: vec![] });
    // The half is no byte.
    let mut byte = half.to_vec();
    byte.push(lookup(vec![(1, 1)], 0, 0..256));
    assert_eq!(two(&byte), Count::None);
    // x + 2^3·y = 77 and y a byte: x has to be one of eight too, or there are many.
    let mut digits = vec![
        Row::Product(vec![(1, 1), (2, 8)], vec![(0, 1)], vec![(0, 77)]),
        lookup(vec![(2, 1)], 0, 0..256),
    ];
    assert!(matches!(two(&digits), Count::Many(_)));
    digits.push(lookup(vec![(1, 1)], 0, 0..8));
    assert_eq!(two(&digits), Count::One { idle: vec![] });
    digits[2] = lookup(vec![(1, 1)], 0, 0..9);
    assert_eq!(two(&digits), Count::One { idle: vec![] });
    digits[2] = lookup(vec![(1, 1)], 0, 0..14);
    assert!(matches!(two(&digits), Count::Many(_)));
    // Roots of which one is no key.
    let roots = |keys| {
        [
            Row::Product(vec![(1, 1), (0, -3)], vec![(1, 1), (0, 4)], vec![]),
            Row::Lookup(vec![(1, 1)], 0, keys),
            Row::Product(vec![(2, 1)], vec![(0, 1)], vec![(1, 1)]),
        ]
    };
    assert_eq!(two(&roots(vec![0, 3])), Count::One { idle: vec![] });
    assert!(matches!(two(&roots(vec![-4, 3])), Count::Many(_)));
    assert_eq!(two(&roots(vec![4, 5])), Count::None);
    // A product of two unknowns says nothing of them alone.
    let product = [Row::Product(vec![(1, 1)], vec![(2, 1)], vec![(0, 6)])];
    assert!(matches!(two(&product), Count::Open(_)));
    // Without any row a wire is free, and said to be.
    assert_eq!(two(&[]), Count::One { idle: vec![1, 2] });
}

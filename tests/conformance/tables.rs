//! Sums and products of two quantized tensors, tabled from ONNX Runtime: all 65,536 pairs of every
//! table come out of the form that the compiler found, and the model that reads the table agrees
//! with runtime, evaluator and witness.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use proofmark_gadgets::bivariate::Bivariate;
use proofmark_onnx::{Attribute, Model};
use proofmark_runtime::{IntSession, OptLevel};
use proofmark_tensor::{ElemType, IntTensor};
use proofmark_tests::build::Builder;
use proofmark_tests::{Checked, Random};

use super::ELEMS;

/// Scale and zero point of both operands and the result.
type Grids = [(f32, i32); 3];

/// The operator as others' quantizers emit it.
fn original(op: &str, elem: ElemType, grids: &Grids, len: usize) -> Model {
    let mut b = Builder::new();
    let x = b.input(elem, &[len]);
    let y = b.input(elem, &[len]);
    let constants: Vec<(String, String)> = grids
        .iter()
        .map(|&(scale, zero)| (b.floats(&[scale]), b.int(elem, zero)))
        .collect();
    let [(sx, zx), (sy, zy), (so, zo)] = constants.as_slice() else {
        panic!("three grids");
    };
    let inputs = [&x, sx, zx, &y, sy, zy, so, zo].map(String::as_str);
    let out = b.node("com.microsoft", op, &inputs, &[]);
    b.output(&out, elem, &[len]);
    b.finish()
}

/// The table, from the runtime: at `256·(a − minimum) + (b − minimum)`.
fn table(op: &str, elem: ElemType, grids: &Grids) -> Vec<i32> {
    let model = original(op, elem, grids, 65_536);
    let bytes = proofmark_onnx::encode(&model);
    let session = IntSession::load(&bytes, OptLevel::DisableAll).expect("the runtime loads it");
    let operand = |f: fn(i32) -> i32| {
        let data = (0..65_536).map(|i| f(i) + elem.min()).collect();
        IntTensor::new(elem, vec![65_536], data).expect("a tensor")
    };
    let names = model.graph.inputs.iter().map(|info| info.name.clone());
    let values = [operand(|i| i / 256), operand(|i| i % 256)];
    let inputs: BTreeMap<String, IntTensor> = names.zip(values).collect();
    let outputs = session.run(&inputs).expect("the runtime runs it");
    let (_, output) = outputs.first_key_value().expect("an output");
    output.data().to_vec()
}

/// The canonical model: the same function, read from the table.
fn canonical(elem: ElemType, table: Vec<i32>, len: usize) -> Model {
    let mut b = Builder::new();
    let x = b.input(elem, &[len]);
    let y = b.input(elem, &[len]);
    let up = b.int(ElemType::Int32, -elem.min());
    let rows = b.int(ElemType::Int32, 256);
    let wide = |b: &mut Builder, x: &str| {
        let x = b.node("", "Cast", &[x], &[("to", Attribute::Int(6))]);
        b.node("", "Add", &[&x, &up], &[])
    };
    let (x, y) = (wide(&mut b, &x), wide(&mut b, &y));
    let row = b.node("", "Mul", &[&x, &rows], &[]);
    let index = b.node("", "Add", &[&row, &y], &[]);
    let table = b.ints(elem, &[65_536], table);
    let out = b.node("", "Gather", &[&table, &index], &[]);
    b.output(&out, elem, &[len]);
    b.finish()
}

/// Scales and zero points: ordinary, equal, halved, saturating, tiny, huge.
fn grids(random: &mut Random, op: &str, elem: ElemType, case: usize) -> Grids {
    let zero = |random: &mut Random| {
        let any = random.between(elem.min().into(), elem.max().into()) as i32;
        *random.pick(&[
            elem.min(),
            elem.max(),
            elem.min() / 2 + elem.max() / 2 + 1,
            any,
        ])
    };
    let (mut x, mut y) = (random.float(-10, -4), random.float(-10, -4));
    let spread = random.float(-1, 0);
    if case % 8 == 1 {
        y = x;
    }
    if case % 8 == 2 {
        (x, y) = (1.0 / 256.0, 1.0 / 256.0);
    }
    let full = if op == "QLinearAdd" {
        x + y
    } else {
        x * y * 255.0
    };
    let out = match case % 8 {
        2 => 1.0 / 128.0,
        3 => full * 0.03,
        4 => full * 40.0,
        5 => full * 600.0,
        6 => full * 0.002,
        _ => full * spread,
    };
    [(x, zero(random)), (y, zero(random)), (out, zero(random))]
}

fn every_pair(op: &str, seed: u64) {
    let mut random = Random::new(seed);
    let (mut cases, mut corrected, mut dearest, mut total) = (0, 0, 0, 0);
    let mut slowest = Duration::ZERO;
    for case in 0..48 {
        let elem = ELEMS[case % 2];
        let grids = grids(&mut random, op, elem, case / 2);
        let table = table(op, elem, &grids);
        let interval = (i64::from(elem.min()), i64::from(elem.max()));
        let values: Vec<i64> = table.iter().map(|&v| v.into()).collect();
        let start = Instant::now();
        let function = Bivariate::new(interval, interval, &values)
            .unwrap_or_else(|error| panic!("{op} {elem} {grids:?}: {error}"));
        slowest = slowest.max(start.elapsed());
        let mut at = 0;
        for a in interval.0..=interval.1 {
            for b in interval.0..=interval.1 {
                assert_eq!(
                    function.apply(a, b),
                    Some(values[at]),
                    "{grids:?} at {a}, {b}"
                );
                at += 1;
            }
        }
        println!(
            "{op} {elem} {grids:?}: {}, {} constraints, {} corrections",
            function.name(),
            function.cost(),
            function.corrections()
        );
        cases += 1;
        corrected += usize::from(function.corrections() > 0);
        dearest = dearest.max(function.cost());
        total += function.cost();

        let checked = Checked::new(&canonical(elem, table, 40));
        let tensor = |random: &mut Random| {
            let data = (0..40).map(|_| random.between(interval.0, interval.1) as i32);
            IntTensor::new(elem, vec![40], data.collect()).expect("a tensor")
        };
        checked.check(&[tensor(&mut random), tensor(&mut random)]);
    }
    println!(
        "{op}: {cases} tables, {} constraints on average, at most {dearest}; {corrected} with corrections; slowest {slowest:?}",
        total / cases
    );
    assert!(dearest <= 130, "{dearest} constraints for one pair");
}

#[test]
fn every_pair_of_quantized_sums() {
    every_pair("QLinearAdd", 31);
}

#[test]
fn every_pair_of_quantized_products() {
    every_pair("QLinearMul", 32);
}

/// The index is read through broadcasting; a tensor that is added to itself is one operand.
#[test]
fn operands_broadcast_and_may_be_one() {
    let grids = [(0.02, 3), (0.03, 200), (0.05, 90)];
    let sums = table("QLinearAdd", ElemType::Uint8, &grids);
    for twice in [false, true] {
        let mut b = Builder::new();
        let x = b.input(ElemType::Uint8, &[2, 3]);
        let y = if twice {
            x.clone()
        } else {
            b.input(ElemType::Uint8, &[2, 1])
        };
        let rows = b.int(ElemType::Int32, 256);
        let wide =
            |b: &mut Builder, x: &str| b.node("", "Cast", &[x], &[("to", Attribute::Int(6))]);
        let (x, y) = (wide(&mut b, &x), wide(&mut b, &y));
        let row = b.node("", "Mul", &[&rows, &x], &[]);
        let index = b.node("", "Add", &[&y, &row], &[]);
        let table = b.ints(ElemType::Uint8, &[65_536], sums.clone());
        let out = b.node("", "Gather", &[&table, &index], &[]);
        b.output(&out, ElemType::Uint8, &[2, 3]);
        super::run(7, &b.finish(), &mut Random::new(7));
    }
}

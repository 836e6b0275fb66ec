//! Attacks on compiled circuits. The judge is the matrices alone ([`R1cs::violated`]); nothing here
//! knows a gadget.
//!
//! For small models of every operator, every requantize encoding, and every visibility, at random
//! and extreme inputs:
//!
//! * shape mode and witness mode agree, and the witness holds what ONNX Runtime computed;
//! * every wire, public ones above all, occurs in a constraint;
//! * for fixed inputs exactly one assignment exists over the whole field ([`unique`]), none where
//!   a raw public input or a packed one is out of range;
//! * no set of wires can move together ([`rank`]), and every constraint is needed for that;
//! * no single changed value is accepted.
//!
//! `PROOFMARK_DEEP=1` takes more points.

mod cases;
mod hostile;
mod rank;
mod unique;

use ark_bn254::Fr;
use ark_ff::{AdditiveGroup, Field};
use cases::{Case, operators};
use proofmark_gadgets::Circuit;
use proofmark_ops::{Plan, Policy, Salts, Witness, plan};
use proofmark_tensor::IntTensor;
use proofmark_tests::build::random_tensor;
use proofmark_tests::samples::{self, SAMPLES};
use proofmark_tests::{Checked, Random};
use proofmark_types::manifest::Visibility;
use rank::jacobian;
use unique::{Count, Solver};

/// Wires that are free at some assignments, each because it multiplies nothing but a 0 there and
/// stands nowhere else.
const IDLE: [&str; 2] = ["requantize-inverse", "is-equal-inverse"];

/// Enough for the index of every threshold table in a case.
const GUESSES: usize = 100_000;
/// Where a search has to be made for each constraint.
const FEW: usize = 300;

fn deep() -> bool {
    std::env::var_os("PROOFMARK_DEEP").is_some_and(|v| v == "1")
}

struct Target {
    name: String,
    plan: Plan,
    circuit: Circuit,
    policy: Policy,
}

impl Target {
    fn new(case: &Case, inputs: Visibility, outputs: Visibility) -> Self {
        let graph = &case.model.graph;
        let policy = Policy {
            inputs: vec![inputs; graph.inputs.len()],
            outputs: vec![outputs; graph.outputs.len()],
        };
        let name = format!("{} ({} -> {})", case.name, inputs.name(), outputs.name());
        let plan = plan(&case.model, &policy).unwrap_or_else(|e| panic!("{name}: {e}"));
        let circuit = plan.circuit().unwrap_or_else(|e| panic!("{name}: {e}"));
        Self {
            name,
            plan,
            circuit,
            policy,
        }
    }

    fn witness(&self, inputs: &[IntTensor]) -> Witness {
        let salts = |all: &[Visibility], first: u64| {
            (first..)
                .zip(all)
                .map(|(n, v)| (*v == Visibility::Private).then(|| Fr::from(n)))
                .collect()
        };
        let salts = Salts {
            inputs: salts(&self.policy.inputs, 1001),
            outputs: salts(&self.policy.outputs, 2001),
        };
        let witness = self
            .plan
            .witness(inputs, Fr::from(77_u64), &salts)
            .unwrap_or_else(|e| panic!("{}: {e}", self.name));
        let r1cs = &self.circuit.r1cs;
        assert_eq!(witness.assignment.len(), r1cs.num_wires, "{}", self.name);
        let violated = r1cs.violated(&witness.assignment);
        assert_eq!(violated, Vec::<usize>::new(), "{}", self.name);
        let publics = &witness.assignment[1..=r1cs.num_public];
        assert_eq!(publics, witness.public_inputs, "{}", self.name);
        witness
    }

    fn step(&self, wire: usize) -> &'static str {
        self.circuit.labels.wire_step(wire).unwrap_or_default()
    }

    fn is_idle(&self, wire: usize) -> bool {
        IDLE.contains(&self.step(wire))
    }

    /// Public positions (as wires) of inputs.
    fn input_wires(&self) -> std::ops::Range<usize> {
        let outputs: usize = self
            .plan
            .layout()
            .outputs()
            .iter()
            .map(|t| {
                let count: usize = t.shape.iter().product();
                match t.visibility {
                    Visibility::Public if count <= 8 => count,
                    Visibility::Public => {
                        count.div_ceil(proofmark_types::statement::packed_per_element(t.elem))
                    }
                    _ => 1,
                }
            })
            .sum();
        2..self.circuit.r1cs.num_public + 1 - outputs
    }

    /// What a cheating prover cannot choose: constant, context and public inputs; with hidden
    /// inputs their openings (element wires and salts), and the salts of hidden outputs.
    fn fixed(&self, z: &[Fr]) -> Vec<Option<Fr>> {
        let hidden_inputs = self.policy.inputs.contains(&Visibility::Hashed)
            || self.policy.inputs.contains(&Visibility::Private);
        let inputs = self.input_wires();
        (0..z.len())
            .map(|wire| {
                let private = wire > self.circuit.r1cs.num_public;
                let fix = wire <= 1
                    || (inputs.contains(&wire) && !hidden_inputs)
                    || (private && hidden_inputs && self.step(wire) == "input")
                    || self.step(wire) == "salt";
                fix.then(|| z[wire])
            })
            .collect()
    }
}

fn points(case: &Case, random: &mut Random, count: usize) -> Vec<Vec<IntTensor>> {
    let infos = &case.model.graph.inputs;
    let elem_of = |ty| match ty {
        proofmark_onnx::ValueType::Int(elem) => elem,
        _ => unreachable!("integer inputs only"),
    };
    let all = |pick: &dyn Fn(proofmark_tensor::ElemType, usize) -> i32| -> Vec<IntTensor> {
        infos
            .iter()
            .map(|info| {
                let (elem, shape) = (elem_of(info.ty), info.static_shape().expect("static"));
                let data = (0..shape.iter().product()).map(|i| pick(elem, i)).collect();
                IntTensor::new(elem, shape, data).expect("in range")
            })
            .collect()
    };
    let mut out = vec![
        all(&|elem, _| elem.min()),
        all(&|elem, _| elem.max()),
        all(&|elem, i| if i % 2 == 0 { elem.min() } else { elem.max() }),
        all(&|elem, i| if i % 2 == 1 { elem.min() } else { elem.max() }),
        all(&|elem, _| elem.min() + 1 + (elem.max() / 2)),
    ];
    out.extend((0..count).map(|_| {
        infos
            .iter()
            .map(|info| {
                let shape = info.static_shape().expect("static");
                random_tensor(random, elem_of(info.ty), &shape)
            })
            .collect()
    }));
    out
}

const PLAIN: [(Visibility, Visibility); 1] = [(Visibility::Public, Visibility::Public)];
const HIDDEN: [(Visibility, Visibility); 4] = [
    (Visibility::Hashed, Visibility::Public),
    (Visibility::Public, Visibility::Hashed),
    (Visibility::Private, Visibility::Private),
    (Visibility::Hashed, Visibility::Private),
];

#[test]
fn runtime_evaluator_and_witness_agree() {
    let mut random = Random::new(1);
    for case in operators() {
        let checked = Checked::new(&case.model);
        for point in points(&case, &mut random, if deep() { 60 } else { 6 }) {
            checked.check(&point);
        }
    }
}

#[test]
fn every_wire_occurs_in_a_constraint() {
    for (at, case) in operators().into_iter().enumerate() {
        for (inputs, outputs) in PLAIN.into_iter().chain([HIDDEN[at % 4]]) {
            let target = Target::new(&case, inputs, outputs);
            let r1cs = &target.circuit.r1cs;
            let mut occurs = vec![false; r1cs.num_wires];
            for row in 0..r1cs.num_constraints() {
                for matrix in [&r1cs.a, &r1cs.b, &r1cs.c] {
                    for (column, _) in matrix.row(row) {
                        occurs[column as usize] = true;
                    }
                }
            }
            for (wire, occurs) in occurs.iter().enumerate().skip(1) {
                let label = || target.circuit.labels.wire(wire);
                assert!(occurs, "{}: {} is free", target.name, label());
            }
        }
    }
}

fn exactly_one(target: &Target, solver: &Solver<'_>, z: &[Fr]) {
    match solver.count(&target.fixed(z), None, GUESSES) {
        Count::One { idle } => {
            let unexplained: Vec<String> = idle
                .into_iter()
                .filter(|&w| !target.is_idle(w))
                .map(|w| target.circuit.labels.wire(w))
                .collect();
            assert!(unexplained.is_empty(), "{}: {unexplained:?}", target.name);
        }
        Count::None => panic!("{}: the honest assignment is missed", target.name),
        Count::Open(wires) | Count::Many(wires) => {
            let paths: Vec<String> = wires
                .iter()
                .take(6)
                .map(|&w| target.circuit.labels.wire(w))
                .collect();
            panic!("{}: {} open wires: {paths:?}", target.name, wires.len());
        }
    }
}

#[test]
fn inputs_admit_one_assignment_over_the_whole_field() {
    let mut random = Random::new(2);
    for case in operators() {
        let target = Target::new(&case, Visibility::Public, Visibility::Public);
        let solver = Solver::new(&target.circuit.r1cs);
        for point in points(&case, &mut random, if deep() { 40 } else { 2 }) {
            exactly_one(&target, &solver, &target.witness(&point).assignment);
        }
    }
}

/// The sample models themselves, as they are served.
#[test]
fn the_sample_models_admit_one_assignment() {
    for name in &SAMPLES {
        let manifest = samples::manifest(name);
        let model = proofmark_onnx::parse(
            &samples::integer_model(name),
            &proofmark_onnx::Limits::default(),
        )
        .expect("parses");
        let case = Case {
            name: (*name).to_owned(),
            model,
        };
        let target = Target::new(&case, Visibility::Public, Visibility::Public);
        let (inputs, _) = samples::heldout(name);
        let point = samples::quantized(&manifest, &inputs[0]);
        let solver = Solver::new(&target.circuit.r1cs);
        exactly_one(&target, &solver, &target.witness(&[point]).assignment);
    }
}

#[test]
fn hidden_inputs_and_outputs_admit_one_assignment() {
    let mut random = Random::new(3);
    for (at, case) in operators().into_iter().enumerate() {
        let all = if deep() { 0..4 } else { at % 4..at % 4 + 1 };
        for (inputs, outputs) in HIDDEN[all].iter().copied() {
            let target = Target::new(&case, inputs, outputs);
            let solver = Solver::new(&target.circuit.r1cs);
            let point = points(&case, &mut random, 1).pop().expect("a point");
            exactly_one(&target, &solver, &target.witness(&point).assignment);
        }
    }
}

#[test]
fn public_inputs_out_of_range_admit_none() {
    let mut random = Random::new(4);
    for case in operators() {
        let target = Target::new(&case, Visibility::Public, Visibility::Public);
        let solver = Solver::new(&target.circuit.r1cs);
        let z = target.witness(&points(&case, &mut random, 1)[5]).assignment;
        for wire in target.input_wires() {
            // Beyond 248 bits nothing is packed, beyond 32 nothing is raw.
            let mut wrong = vec![-Fr::ONE, -Fr::from(255_u64), Fr::from(2_u64).pow([248])];
            wrong.push(Fr::from(2_u64).pow([252]) + Fr::from(3_u64));
            wrong.push(z[wire] + Fr::from(2_u64).pow([248]));
            wrong.push(Fr::from(2_u64).inverse().expect("odd order"));
            for value in wrong {
                let mut fixed = target.fixed(&z);
                fixed[wire] = Some(value);
                assert_eq!(
                    solver.count(&fixed, None, GUESSES),
                    Count::None,
                    "{}: public input {wire} = {value}",
                    target.name
                );
            }
        }
    }
}

#[test]
fn raw_bytes_end_at_255() {
    for case in operators() {
        let target = Target::new(&case, Visibility::Public, Visibility::Public);
        let solver = Solver::new(&target.circuit.r1cs);
        let point = points(&case, &mut Random::new(5), 1).pop().expect("one");
        let z = target.witness(&point).assignment;
        let mut wire = 2;
        for tensor in target.plan.layout().inputs() {
            let count: usize = tensor.shape.iter().product();
            if count > 8 {
                wire += count.div_ceil(proofmark_types::statement::packed_per_element(tensor.elem));
                continue;
            }
            let limit = 1_u64 << tensor.elem.bits();
            for value in [limit, limit + 1, 2 * limit - 1, 1 << 62] {
                let mut fixed = target.fixed(&z);
                fixed[wire] = Some(Fr::from(value));
                let count = solver.count(&fixed, None, GUESSES);
                assert_eq!(count, Count::None, "{}: {value}", target.name);
            }
            wire += count;
        }
    }
}

/// Neither inputs nor outputs nor anything else moves jointly. Only the context and the salts are
/// held fixed: ranges make the rest rigid. Returns for each constraint whether something moves
/// without it.
fn rigid(target: &Target, points: &[Vec<IntTensor>]) -> Vec<bool> {
    let r1cs = &target.circuit.r1cs;
    let mut needed = vec![false; r1cs.num_constraints()];
    for point in points {
        let z = target.witness(point).assignment;
        let fixed: Vec<bool> = (0..z.len())
            .map(|wire| wire <= 1 || target.step(wire) == "salt")
            .collect();
        let found = jacobian(r1cs, &z, &fixed);
        for wire in found.movable {
            assert!(
                target.is_idle(wire) && found.empty[wire],
                "{}: {} can move",
                target.name,
                target.circuit.labels.wire(wire)
            );
        }
        for (all, here) in needed.iter_mut().zip(&found.needed) {
            *all |= here;
        }
    }
    needed
}

/// What goes wrong without a constraint, if it is not that something moves continuously.
#[derive(Debug, PartialEq, Eq)]
enum Without {
    /// The same inputs have two assignments.
    Forged,
    /// A public input out of range has one.
    OutOfRange,
    /// One assignment no longer follows.
    Unproven,
    Nothing,
}

fn without(target: &Target, solver: &Solver<'_>, row: usize, z: &[Fr]) -> Without {
    let fixed = target.fixed(z);
    match solver.count(&fixed, Some(row), FEW) {
        Count::Many(_) => return Without::Forged,
        Count::Open(_) => return Without::Unproven,
        Count::None | Count::One { .. } => {}
    }
    for wire in target.input_wires() {
        for wrong in [z[wire] + Fr::from(256_u64), z[wire] + Fr::from(1_u64 << 32)] {
            let mut moved = fixed.clone();
            moved[wire] = Some(wrong);
            if solver.count(&moved, Some(row), FEW) != Count::None {
                return Without::OutOfRange;
            }
        }
    }
    Without::Nothing
}

fn every_constraint_is_needed(target: &Target, points: &[Vec<IntTensor>]) -> [usize; 4] {
    let mut counts = [0; 4];
    let needed = rigid(target, points);
    let solver = Solver::new(&target.circuit.r1cs);
    let assignments: Vec<Vec<Fr>> = points
        .iter()
        .map(|point| target.witness(point).assignment)
        .collect();
    for (row, moves) in needed.into_iter().enumerate() {
        if moves {
            counts[0] += 1;
            continue;
        }
        let mut found = Without::Nothing;
        for z in &assignments {
            match without(target, &solver, row, z) {
                Without::Nothing => {}
                Without::Unproven => found = Without::Unproven,
                decided => {
                    found = decided;
                    break;
                }
            }
        }
        match found {
            Without::Forged => counts[1] += 1,
            Without::OutOfRange => counts[2] += 1,
            Without::Unproven => counts[3] += 1,
            Without::Nothing => panic!(
                "{}: {} holds nothing at {} points",
                target.name,
                target.circuit.labels.constraint(row),
                points.len()
            ),
        }
    }
    counts
}

#[test]
fn nothing_moves_and_every_constraint_is_needed() {
    let mut random = Random::new(6);
    let mut total = [0; 4];
    for case in operators() {
        let start = std::time::Instant::now();
        let target = Target::new(&case, Visibility::Public, Visibility::Public);
        let points = points(&case, &mut random, if deep() { 60 } else { 6 });
        let counts = every_constraint_is_needed(&target, &points);
        println!("{counts:?} {} {:?}", target.name, start.elapsed());
        for (sum, count) in total.iter_mut().zip(counts) {
            *sum += count;
        }
    }
    let [moves, forged, out_of_range, unproven] = total;
    println!("{moves} move, {forged} forged, {out_of_range} out of range, {unproven} unproven");
    assert!(moves > 0 && forged > 0);
    assert!(unproven * 20 < moves + forged + out_of_range, "{total:?}");
}

#[test]
fn nothing_moves_behind_digests() {
    let mut random = Random::new(7);
    for (at, case) in operators().into_iter().enumerate() {
        if !deep() && at % 5 != 0 {
            continue;
        }
        let (inputs, outputs) = HIDDEN[(at / 5) % 4];
        let target = Target::new(&case, inputs, outputs);
        let needed = rigid(&target, &points(&case, &mut random, 2));
        // Each constraint of a digest is needed.
        for (row, needed) in needed.into_iter().enumerate() {
            let step = target
                .circuit
                .labels
                .constraint_step(row)
                .unwrap_or_default();
            let digest = step.starts_with("poseidon") || step == "digest";
            let path = || target.circuit.labels.constraint(row);
            assert!(
                needed || !digest,
                "{}: {} holds nothing",
                target.name,
                path()
            );
        }
    }
}

#[test]
fn no_single_change_is_accepted() {
    let mut random = Random::new(8);
    for (at, case) in operators().into_iter().enumerate() {
        let mut policies = PLAIN.to_vec();
        if deep() || at % 4 == 0 {
            policies.push(HIDDEN[at % 4]);
        }
        for (inputs, outputs) in policies {
            let target = Target::new(&case, inputs, outputs);
            let r1cs = &target.circuit.r1cs;
            let mut rows_of = vec![Vec::new(); r1cs.num_wires];
            for row in 0..r1cs.num_constraints() {
                for matrix in [&r1cs.a, &r1cs.b, &r1cs.c] {
                    for (column, _) in matrix.row(row) {
                        rows_of[column as usize].push(row);
                    }
                }
            }
            let last = points(&case, &mut random, 1).pop().expect("a point");
            let z = target.witness(&last).assignment;
            // The context is the requester's to choose: the circuit has a constraint on it so that a
            // proof is tied to it, not so that some contexts are refused.
            for wire in 2..z.len() {
                let neighbour = z[if wire + 1 < z.len() {
                    wire + 1
                } else {
                    wire - 1
                }];
                for value in [
                    z[wire] + Fr::ONE,
                    z[wire] - Fr::ONE,
                    Fr::ZERO,
                    Fr::ONE,
                    -Fr::ONE,
                    -z[wire],
                    z[wire].double(),
                    neighbour,
                ] {
                    if value == z[wire] {
                        continue;
                    }
                    let mut forged = z.clone();
                    forged[wire] = value;
                    let broken = rows_of[wire].iter().any(|&row| {
                        r1cs.a.row_times(row, &forged) * r1cs.b.row_times(row, &forged)
                            != r1cs.c.row_times(row, &forged)
                    });
                    let path = || target.circuit.labels.wire(wire);
                    assert!(
                        broken || target.is_idle(wire),
                        "{}: {} = {value} is accepted",
                        target.name,
                        path()
                    );
                }
            }
        }
    }
}

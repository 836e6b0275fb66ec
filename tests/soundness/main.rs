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
//! * no single changed value is accepted;
//! * both backends accept and reject the same statements.
//!
//! Wires, ranges of public inputs, single changes and statements are attacked for both backends; a
//! count of all assignments and of what each constraint holds is made of plain circuits. What a
//! committed circuit says is read back from its matrices ([`lookups`]): rows in front of the
//! challenge, and memberships of tables.
//!
//! `PROOFMARK_DEEP=1` takes more points.

mod cases;
mod hostile;
mod lookups;
mod rank;
mod systems;
mod unique;

use ark_bn254::Fr;
use ark_ff::{AdditiveGroup, Field};
use cases::{Case, operators};
use lookups::{Kind, Reading};
use proofmark_gadgets::testing::{Transcript, continue_after_challenge};
use proofmark_gadgets::{Backend, Circuit};
use proofmark_ops::{Fact, Plan, Policy, Salts, Witness, plan};
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
/// Where most searches end at once.
const FEWEST: usize = 12;
/// Of a circuit with more constraints than so many, one in [`ROWS`] is left out at a time.
const MANY_ROWS: usize = 100;
const ROWS: usize = 8;
/// At so many points at most.
const POINTS: usize = 60;
/// So many constraints may be left of which no search finds what they are needed for, and no
/// search is done with either.
const UNPROVEN: usize = 4;
/// So often may a search that follows another assignment leave it.
const HOPS: usize = 20;
/// One changed value in so many is also continued behind the challenge, which takes an inversion
/// for each lookup and entry.
const SHARE: usize = 61;

fn deep() -> bool {
    std::env::var_os("PROOFMARK_DEEP").is_some_and(|v| v == "1")
}

const BACKENDS: [Backend; 2] = [Backend::Plain, Backend::Committed];

struct Target {
    name: String,
    plan: Plan,
    circuit: Circuit,
    reading: Reading,
    policy: Policy,
}

impl Target {
    /// Everything public, for each backend.
    fn both(case: &Case) -> [Self; 2] {
        BACKENDS.map(|backend| Self::new(case, backend, Visibility::Public, Visibility::Public))
    }

    fn new(case: &Case, backend: Backend, inputs: Visibility, outputs: Visibility) -> Self {
        let graph = &case.model.graph;
        let policy = Policy {
            inputs: vec![inputs; graph.inputs.len()],
            outputs: vec![outputs; graph.outputs.len()],
        };
        let (from, to) = (inputs.name(), outputs.name());
        let name = format!("{} ({from} -> {to}, {})", case.name, backend.name());
        let plan = plan(&case.model, &policy).unwrap_or_else(|e| panic!("{name}: {e}"));
        let circuit = plan.circuit_for(backend);
        let circuit = circuit.unwrap_or_else(|e| panic!("{name}: {e}"));
        let reading = lookups::read(&circuit);
        Self {
            name,
            plan,
            circuit,
            reading,
            policy,
        }
    }

    fn points(&self, random: &mut Random, count: usize) -> Vec<Vec<IntTensor>> {
        let infos: Vec<Fact> = self.plan.inputs().iter().map(|i| i.fact.clone()).collect();
        points_of(&infos, random, count)
    }

    fn solver(&self) -> Solver<'_> {
        Solver::new(&self.circuit.r1cs, &self.reading)
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
            .witness_for(
                self.circuit.backend,
                inputs,
                Fr::from(77_u64),
                &salts,
                &mut Transcript::default(),
            )
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

    /// Whether a wire is the challenge of a circuit that looks nothing up.
    fn is_unread_challenge(&self, wire: usize) -> bool {
        let challenge = self.circuit.challenges.first().map(|w| w.index());
        let argues = |kind: &Kind| !matches!(kind, Kind::Product);
        challenge == Some(wire) && !self.reading.kinds.iter().any(argues)
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
    /// inputs their openings (element wires and salts), and the salts of hidden outputs; what the
    /// lookup argument determines.
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
                    || self.step(wire) == "salt"
                    || self.reading.argued[wire];
                fix.then(|| z[wire])
            })
            .collect()
    }
}

fn points(case: &Case, random: &mut Random, count: usize) -> Vec<Vec<IntTensor>> {
    let elem_of = |ty| match ty {
        proofmark_onnx::ValueType::Int(elem) => elem,
        _ => unreachable!("integer inputs only"),
    };
    let graph = case.model.graph.inputs.iter();
    let infos: Vec<Fact> = graph
        .map(|info| Fact {
            elem: elem_of(info.ty),
            shape: info.static_shape().expect("static"),
        })
        .collect();
    points_of(&infos, random, count)
}

fn points_of(infos: &[Fact], random: &mut Random, count: usize) -> Vec<Vec<IntTensor>> {
    let all = |pick: &dyn Fn(proofmark_tensor::ElemType, usize) -> i32| -> Vec<IntTensor> {
        infos
            .iter()
            .map(|info| {
                let data = (0..info.len()).map(|i| pick(info.elem, i)).collect();
                IntTensor::new(info.elem, info.shape.clone(), data).expect("in range")
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
            .map(|info| random_tensor(random, info.elem, &info.shape))
            .collect()
    }));
    out
}

/// Each of them with each backend.
fn on_both<T: Copy>(all: impl IntoIterator<Item = T>) -> impl Iterator<Item = (Backend, T)> {
    all.into_iter()
        .flat_map(|one| BACKENDS.map(|backend| (backend, one)))
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
        let policies = PLAIN.into_iter().chain([HIDDEN[at % 4]]);
        for (backend, (inputs, outputs)) in on_both(policies) {
            let hidden = inputs != Visibility::Public || outputs != Visibility::Public;
            if hidden && !deep() && backend != BACKENDS[(at / 4 + 1) % 2] {
                continue;
            }
            let target = Target::new(&case, backend, inputs, outputs);
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
                // The key ties the challenge to its proof, as it does a public input.
                let tied = || target.is_unread_challenge(wire);
                assert!(*occurs || tied(), "{}: {} is free", target.name, label());
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
        let points = points(&case, &mut random, if deep() { 40 } else { 2 });
        for target in Target::both(&case) {
            let solver = target.solver();
            for point in &points {
                exactly_one(&target, &solver, &target.witness(point).assignment);
            }
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
        let (inputs, _) = samples::heldout(name);
        let point = [samples::quantized(&manifest, &inputs[0])];
        for target in Target::both(&case) {
            let solver = target.solver();
            exactly_one(&target, &solver, &target.witness(&point).assignment);
        }
    }
}

#[test]
fn hidden_inputs_and_outputs_admit_one_assignment() {
    let mut random = Random::new(3);
    for (at, case) in operators().into_iter().enumerate() {
        let all = if deep() { 0..4 } else { at % 4..at % 4 + 1 };
        for (backend, (inputs, outputs)) in on_both(HIDDEN[all].iter().copied()) {
            // A permutation takes longer to lower than anything else: one backend a case.
            if !deep() && backend != BACKENDS[(at / 4) % 2] {
                continue;
            }
            let target = Target::new(&case, backend, inputs, outputs);
            let solver = target.solver();
            let point = points(&case, &mut random, 1).pop().expect("a point");
            exactly_one(&target, &solver, &target.witness(&point).assignment);
        }
    }
}

#[test]
fn public_inputs_out_of_range_admit_none() {
    let mut random = Random::new(4);
    let cases = operators();
    for target in cases.iter().flat_map(Target::both) {
        let solver = target.solver();
        let z = target.witness(&target.points(&mut random, 1)[5]).assignment;
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
    let cases = operators();
    for target in cases.iter().flat_map(Target::both) {
        let solver = target.solver();
        let point = target.points(&mut Random::new(5), 1).pop().expect("one");
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
            .map(|wire| wire <= 1 || target.step(wire) == "salt" || target.reading.argued[wire])
            .collect();
        let found = jacobian(r1cs, &target.reading, &z, &fixed);
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

/// A second assignment for the same inputs that breaks this row alone: close to the first one, but
/// for one wire near the row that has another value.
fn forged_nearby(
    target: &Target,
    solver: &Solver<'_>,
    row: usize,
    z: &[Fr],
    in_order: bool,
) -> bool {
    let fixed = target.fixed(z);
    for wire in solver.around(row, &fixed, 2) {
        let steps = solver.steps(wire).into_iter().map(Fr::from);
        for value in steps.flat_map(|step| [z[wire] + step, z[wire] - step]) {
            let mut moved = fixed.clone();
            moved[wire] = Some(value);
            if let Some(forged) = solver.variant(&moved, row, z, in_order, HOPS) {
                let differs = forged[wire] != z[wire];
                assert!(differs && solver.holds_without(&forged, row), "{row}");
                return true;
            }
        }
    }
    false
}

/// Whether this row alone keeps a public input in its range.
fn out_of_range_nearby(target: &Target, solver: &Solver<'_>, row: usize, z: &[Fr]) -> bool {
    let fixed = target.fixed(z);
    // Where a raw value ends, a full element, and the last one of a tensor.
    let inputs = target.plan.layout().inputs().iter();
    let mut ends: Vec<u64> = inputs
        .flat_map(|tensor| {
            let (bits, count) = (tensor.elem.bits(), tensor.shape.iter().product::<usize>());
            let packed = proofmark_types::statement::packed_per_element(tensor.elem);
            [1, packed, count % packed].map(|values| u64::from(bits) * values as u64)
        })
        .collect();
    ends.sort_unstable();
    ends.dedup();
    target.input_wires().any(|wire| {
        ends.iter().any(|&bits| {
            let mut moved = fixed.clone();
            moved[wire] = Some(z[wire] + Fr::from(2_u64).pow([bits]));
            let forged = solver.variant(&moved, row, z, true, HOPS);
            forged.is_some_and(|forged| {
                assert!(solver.holds_without(&forged, row), "{row}");
                true
            })
        })
    })
}

/// What a search of all assignments finds, for the same inputs and for inputs out of range.
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
            match solver.count(&moved, Some(row), FEW) {
                Count::None => {}
                Count::One { .. } | Count::Many(_) => return Without::OutOfRange,
                Count::Open(_) => return Without::Unproven,
            }
        }
    }
    Without::Nothing
}

/// What goes wrong without a row: attempts near an honest assignment first, at ever more points.
fn attack(
    target: &Target,
    solver: &Solver<'_>,
    row: usize,
    assignments: &mut Vec<Vec<Fr>>,
    random: &mut Random,
) -> Without {
    let two = |z: &Vec<Fr>| {
        let count = solver.count(&target.fixed(z), Some(row), FEWEST);
        matches!(count, Count::Many(_))
    };
    if assignments.iter().take(8).any(two) {
        return Without::Forged;
    }
    let nearby = |z: &Vec<Fr>| forged_nearby(target, solver, row, z, true);
    if assignments.iter().any(nearby) {
        return Without::Forged;
    }
    let out = |z: &Vec<Fr>| out_of_range_nearby(target, solver, row, z);
    if assignments.iter().any(out) {
        return Without::OutOfRange;
    }
    while assignments.len() < POINTS {
        let point = target.points(random, 1).pop().expect("a point");
        assignments.push(target.witness(&point).assignment);
        if assignments.last().is_some_and(nearby) {
            return Without::Forged;
        }
    }
    let other = |z: &Vec<Fr>| forged_nearby(target, solver, row, z, false);
    if assignments.iter().take(8).any(other) {
        return Without::Forged;
    }
    let mut found = Without::Nothing;
    for z in &*assignments {
        match without(target, solver, row, z) {
            Without::Nothing => {}
            Without::Unproven => found = Without::Unproven,
            decided => return decided,
        }
    }
    found
}

/// How many constraints are needed because something moves without them, because there is a
/// second assignment, because an input is out of range, and how many are not shown to be.
fn every_constraint_is_needed(target: &Target, points: &[Vec<IntTensor>]) -> [usize; 4] {
    let mut counts = [0; 4];
    let needed = rigid(target, points);
    let solver = target.solver();
    let mut random = Random::new(11);
    let mut assignments: Vec<Vec<Fr>> = points
        .iter()
        .map(|point| target.witness(point).assignment)
        .collect();
    let share = if deep() || needed.len() <= MANY_ROWS {
        1
    } else {
        ROWS
    };
    for (row, moves) in needed.into_iter().enumerate() {
        // The argument's own rows are needed by its soundness; that all are there was read.
        if moves || matches!(target.reading.kinds[row], Kind::Argument) {
            counts[0] += 1;
            continue;
        }
        // The others have their turn in a circuit with another number of rows, and in a deep run.
        if !(row + target.circuit.r1cs.num_wires).is_multiple_of(share) {
            continue;
        }
        let label = || target.circuit.labels.constraint(row);
        match attack(target, &solver, row, &mut assignments, &mut random) {
            Without::Forged => counts[1] += 1,
            Without::OutOfRange => counts[2] += 1,
            Without::Unproven => {
                println!(
                    "{}: {row} {} is not shown to be needed",
                    target.name,
                    label()
                );
                counts[3] += 1;
            }
            Without::Nothing => panic!(
                "{}: {row} {} holds nothing at {} points",
                target.name,
                label(),
                assignments.len()
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
        let points = points(&case, &mut random, if deep() { 60 } else { 6 });
        for target in Target::both(&case) {
            let start = std::time::Instant::now();
            let counts = every_constraint_is_needed(&target, &points);
            println!("{counts:?} {} {:?}", target.name, start.elapsed());
            for (sum, count) in total.iter_mut().zip(counts) {
                *sum += count;
            }
        }
    }
    let [moves, forged, out_of_range, unproven] = total;
    println!("{moves} move, {forged} forged, {out_of_range} out of range, {unproven} unproven");
    assert!(moves > 0 && forged > 0);
    assert!(unproven <= UNPROVEN, "{total:?}");
}

#[test]
fn nothing_moves_behind_digests() {
    let mut random = Random::new(7);
    for (at, case) in operators().into_iter().enumerate() {
        if !deep() && at % 5 != 0 {
            continue;
        }
        let points = points(&case, &mut random, 2);
        for (backend, (inputs, outputs)) in on_both([HIDDEN[(at / 5) % 4]]) {
            let target = Target::new(&case, backend, inputs, outputs);
            digests_are_needed(&target, &points);
        }
    }
}

/// Each constraint of a digest is needed.
fn digests_are_needed(target: &Target, points: &[Vec<IntTensor>]) {
    for (row, needed) in rigid(target, points).into_iter().enumerate() {
        let step = target.circuit.labels.constraint_step(row);
        let digest = step.is_some_and(|s| s.starts_with("poseidon") || s == "digest");
        let path = || target.circuit.labels.constraint(row);
        let name = &target.name;
        assert!(needed || !digest, "{name}: {} holds nothing", path());
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
        for (backend, (inputs, outputs)) in on_both(policies) {
            let target = Target::new(&case, backend, inputs, outputs);
            let last = points(&case, &mut random, 1).pop().expect("a point");
            single_changes(&target, &target.witness(&last).assignment);
        }
    }
}

fn single_changes(target: &Target, z: &[Fr]) {
    let r1cs = &target.circuit.r1cs;
    let kinds = &target.reading.kinds;
    let mut rows_of = vec![Vec::new(); r1cs.num_wires];
    for row in 0..r1cs.num_constraints() {
        for matrix in [&r1cs.a, &r1cs.b, &r1cs.c] {
            for (column, _) in matrix.row(row) {
                rows_of[column as usize].push(row);
            }
        }
    }
    let challenge = target.circuit.challenges.first().map(|w| w.index());
    let behind = |wire: usize| challenge.is_some_and(|x| wire >= x);
    let fails = |row: usize, z: &[Fr]| {
        r1cs.a.row_times(row, z) * r1cs.b.row_times(row, z) != r1cs.c.row_times(row, z)
    };
    let mut proven = 0;
    // The context is the requester's to choose: the circuit has a constraint on it so that a
    // proof is tied to it, not so that some contexts are refused.
    for wire in 2..z.len() {
        let neighbour = z[if wire + 1 < z.len() {
            wire + 1
        } else {
            wire - 1
        }];
        for (nth, value) in [
            z[wire] + Fr::ONE,
            z[wire] - Fr::ONE,
            Fr::ZERO,
            Fr::ONE,
            -Fr::ONE,
            -z[wire],
            z[wire].double(),
            neighbour,
        ]
        .into_iter()
        .enumerate()
        {
            if value == z[wire] {
                continue;
            }
            let mut forged = z.to_vec();
            forged[wire] = value;
            let path = || target.circuit.labels.wire(wire);
            // What is committed to changes the challenge and all that is behind it: a row of the
            // argument says no more than that what is looked up is there.
            let broken = rows_of[wire].iter().any(|&row| match &kinds[row] {
                Kind::Lookup(lookup) if !behind(wire) => !lookup.holds(&forged),
                Kind::Argument if !behind(wire) => target.reading.argued[wire],
                _ => fails(row, &forged),
            });
            assert!(
                broken || target.is_idle(wire) || target.is_unread_challenge(wire),
                "{}: {} = {value} is accepted",
                target.name,
                path()
            );
            // The same by the matrices alone, for a share: the prover goes on from what it has
            // committed to as well as it can.
            if challenge.is_some() && !behind(wire) && (nth + wire) % SHARE == 0 {
                continue_after_challenge(&target.circuit, &mut forged);
                let rejected = !r1cs.is_satisfied_by(&forged);
                assert_eq!(rejected, broken, "{}: {} = {value}", target.name, path());
                proven += 1;
            }
        }
    }
    assert!(challenge.is_none() || proven > 0 || z.len() < 2 * SHARE);
}

/// What an honest party computes from other inputs, or what nobody does: whether there is an
/// assignment is the same for both backends.
#[test]
fn both_backends_accept_and_reject_the_same_statements() {
    let mut random = Random::new(10);
    let (mut accepted, mut rejected) = (0, 0);
    for case in operators() {
        let targets = Target::both(&case);
        let solvers = targets.each_ref().map(Target::solver);
        let all = points(&case, &mut random, if deep() { 20 } else { 2 });
        let honest: Vec<Vec<Fr>> = all
            .iter()
            .map(|point| {
                let [plain, committed] = targets.each_ref().map(|t| t.witness(point));
                assert_eq!(
                    plain.public_inputs, committed.public_inputs,
                    "{}",
                    case.name
                );
                assert_eq!(plain.outputs, committed.outputs, "{}", case.name);
                plain.public_inputs
            })
            .collect();
        let mut statements = honest.clone();
        for (at, statement) in honest.iter().enumerate() {
            // Each public input in turn, by one, by a byte, out of its field; and the one of
            // another inference.
            let wire = 1 + at % (statement.len() - 1);
            for delta in [1_u64, 256, 1 << 32] {
                let mut wrong = statement.clone();
                wrong[wire] += Fr::from(delta);
                statements.push(wrong);
            }
            let mut mixed = statement.clone();
            mixed[wire] = honest[(at + 1) % honest.len()][wire];
            statements.push(mixed);
        }
        for statement in statements {
            let verdicts = [0, 1].map(|side: usize| {
                let (target, solver): (&Target, &Solver<'_>) = (&targets[side], &solvers[side]);
                let mut fixed = vec![None; target.circuit.r1cs.num_wires];
                fixed[0] = Some(Fr::ONE);
                for (slot, value) in fixed.iter_mut().skip(1).zip(&statement) {
                    *slot = Some(*value);
                }
                for (slot, argued) in fixed.iter_mut().zip(&target.reading.argued) {
                    if *argued {
                        *slot = Some(Fr::ZERO);
                    }
                }
                match solver.count(&fixed, None, GUESSES) {
                    Count::None => false,
                    Count::One { .. } => true,
                    other => panic!("{}: {other:?} at {statement:?}", target.name),
                }
            });
            assert_eq!(verdicts[0], verdicts[1], "{} at {statement:?}", case.name);
            *if verdicts[0] {
                &mut accepted
            } else {
                &mut rejected
            } += 1;
        }
    }
    println!("{accepted} accepted, {rejected} rejected by both");
    assert!(accepted > 100 && rejected > 100);
}

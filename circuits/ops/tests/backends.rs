//! The sample models in both backends: what each costs, that the two accept the same statements,
//! and that no wire of the committed one can move.
#![expect(clippy::unwrap_used, reason = "a test says where it fails")]

use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;

use proofmark_gadgets::testing::{Transcript, continue_after_challenge};
use proofmark_gadgets::{Backend, Circuit, Fr};
use proofmark_ops::{Plan, Policy, Salts, plan};
use proofmark_tensor::IntTensor;

fn sample(name: &str) -> Plan {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../models");
    let bytes = fs::read(path.join(name).join("integer.onnx")).unwrap();
    let model = proofmark_onnx::parse(&bytes, &proofmark_onnx::Limits::default()).unwrap();
    let policy = Policy::public(model.graph.inputs.len(), model.graph.outputs.len());
    plan(&model, &policy).unwrap()
}

fn inputs(plan: &Plan, seed: u64) -> Vec<IntTensor> {
    let mut state = seed;
    plan.inputs()
        .iter()
        .map(|info| {
            let (lo, hi) = (info.fact.elem.min(), info.fact.elem.max());
            let values = (0..info.fact.len())
                .map(|_| {
                    state = state.wrapping_mul(0x5851_f42d_4c95_7f2d).wrapping_add(1);
                    lo + i32::try_from((state >> 40) % u64::from(lo.abs_diff(hi) + 1)).unwrap()
                })
                .collect();
            IntTensor::new(info.fact.elem, info.fact.shape.clone(), values).unwrap()
        })
        .collect()
}

/// Rows by step.
fn kinds(circuit: &Circuit) -> BTreeMap<&'static str, usize> {
    let mut out = BTreeMap::new();
    for row in 0..circuit.r1cs.num_constraints() {
        *out.entry(circuit.labels.constraint_step(row).unwrap())
            .or_default() += 1;
    }
    out
}

#[test]
fn lookups_take_a_fraction_of_the_constraints_and_say_the_same() {
    for (name, tenths) in [
        ("risk-classifier", 25),
        ("digits-mlp", 27),
        ("lenet5-mnist", 50),
        ("resnet-animals", 50),
    ] {
        let plan = sample(name);
        let plain = plan.circuit().unwrap();
        let (circuit, costs) = plan.circuit_with_costs_for(Backend::Committed).unwrap();
        let rows = circuit.r1cs.num_constraints();
        let estimate = circuit.estimate();
        println!(
            "{name}: {} constraints plain, {rows} committed; {} dense scalars plain, {} committed\n\
             {:?}",
            plain.r1cs.num_constraints(),
            plain.estimate().dense_scalars(),
            estimate.dense_scalars(),
            kinds(&circuit),
        );
        assert!(
            10 * plain.r1cs.num_constraints() >= tenths * rows,
            "{name}: {rows} constraints"
        );
        assert!(estimate.dense_scalars() < plain.estimate().dense_scalars());
        let of_nodes: usize = costs.iter().map(|cost| cost.constraints).sum();
        assert_eq!(of_nodes, rows, "every constraint belongs to a node");
        assert_eq!(
            plan.circuit_for(Backend::Committed).unwrap().digest(),
            circuit.digest()
        );
        for seed in 1..4 {
            let inputs = inputs(&plan, seed);
            let mut transcript = Transcript::default();
            let context = Fr::from(7_u64);
            let salts = Salts::default();
            let witness = plan
                .witness_for(
                    Backend::Committed,
                    &inputs,
                    context,
                    &salts,
                    &mut transcript,
                )
                .unwrap();
            assert_eq!(circuit.r1cs.violated(&witness.assignment), [0_usize; 0]);
            let other = plan.witness(&inputs, context, &salts).unwrap();
            assert_eq!(plain.r1cs.violated(&other.assignment), [0_usize; 0]);
            assert_eq!(witness.public_inputs, other.public_inputs);
            assert_eq!(witness.outputs, other.outputs);
        }
    }
}

#[test]
fn no_wire_of_a_model_moves_under_any_challenge() {
    let plan = sample("risk-classifier");
    let circuit = plan.circuit_for(Backend::Committed).unwrap();
    let mut transcript = Transcript::default();
    let honest = plan
        .witness_for(
            Backend::Committed,
            &inputs(&plan, 9),
            Fr::from(7_u64),
            &Salts::default(),
            &mut transcript,
        )
        .unwrap()
        .assignment;
    let challenge = circuit.challenges[0].index();
    for wire in 1..honest.len() {
        let mut mutated = honest.clone();
        mutated[wire] += Fr::from(1_u64);
        assert!(
            !circuit.r1cs.is_satisfied_by(&mutated),
            "{}",
            circuit.labels.wire(wire)
        );
        if wire < challenge && wire % 7 == 0 {
            continue_after_challenge(&circuit, &mut mutated);
            assert!(
                !circuit.r1cs.is_satisfied_by(&mutated),
                "{} and a new challenge",
                circuit.labels.wire(wire)
            );
        }
    }
}

#[test]
fn a_proof_is_of_these_public_inputs() {
    // Other public inputs lead to another challenge, under which the lookups do not hold.
    let plan = sample("risk-classifier");
    let circuit = plan.circuit_for(Backend::Committed).unwrap();
    let salts = Salts::default();
    let mut drawn = Vec::new();
    for context in [1_u64, 2] {
        let mut transcript = Transcript::default();
        let witness = plan
            .witness_for(
                Backend::Committed,
                &inputs(&plan, 3),
                Fr::from(context),
                &salts,
                &mut transcript,
            )
            .unwrap();
        assert!(circuit.r1cs.is_satisfied_by(&witness.assignment));
        drawn.push(transcript.challenge);
    }
    assert_ne!(drawn[0], drawn[1]);
    // The plain backend asks for no challenge, and the committed one cannot do without.
    let mut none = proofmark_gadgets::NoChallenge;
    let refused = plan.witness_for(
        Backend::Committed,
        &inputs(&plan, 3),
        Fr::from(1_u64),
        &salts,
        &mut none,
    );
    assert_eq!(refused.unwrap_err().code(), "no-challenge");
}

//! snarkjs, an independent implementation, reads our circuits and accepts our proofs.
#![expect(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test that panics has failed, which is what it is for"
)]

use std::fs;
use std::process::Command;

use ark_bn254::Fr;
use ark_ff::{AdditiveGroup, Field};
use proofmark_gadgets::{Backend, Circuit, Lc, Lowering};
use proofmark_prover::{NoProgress, Prover, setup, snarkjs};

#[path = "js/mod.rs"]
mod js;

use js::{installed, run};

/// `x² = y`, and x in 8 bits; then a long tail of squarings so that the domain is no toy.
fn circuit() -> (Circuit, Vec<Fr>) {
    let mut lowering = Lowering::shape(Backend::Plain, 2).unwrap();
    let (y, context) = (lowering.public(0).unwrap(), lowering.public(1).unwrap());
    let value = 173_u64;
    let mut assignment = vec![Fr::ONE, Fr::from(value * value), -Fr::from(5)];
    let mut sum = Lc::zero();
    for bit in 0..8 {
        let wire = lowering.hint("bit", || Fr::ZERO).unwrap();
        assignment.push(Fr::from((value >> bit) & 1));
        let complement = Lc::constant(Fr::ONE).add_scaled(-Fr::ONE, &Lc::wire(wire));
        lowering
            .enforce("bit", Lc::wire(wire), complement, Lc::zero())
            .unwrap();
        sum.push(wire, Fr::from(1_u64 << bit));
    }
    lowering.enforce("square", sum.clone(), sum, y.lc).unwrap();
    let mut last = (context.lc, assignment[2]);
    for _ in 0..500 {
        let wire = lowering.hint("tail", || Fr::ZERO).unwrap();
        let next = last.1.square();
        assignment.push(next);
        lowering
            .enforce("tail", last.0.clone(), last.0, Lc::wire(wire))
            .unwrap();
        last = (Lc::wire(wire), next);
    }
    let circuit = lowering.into_circuit(1, Vec::new()).unwrap();
    (circuit, assignment)
}

#[test]
fn snarkjs_verifies_our_proofs_and_rejects_tampered_ones() {
    let cli = installed();
    let (circuit, assignment) = circuit();
    let prover = Prover::new(&circuit, setup(&circuit, &NoProgress).unwrap()).unwrap();
    let proof = prover.prove(&assignment, None).unwrap().groth16;

    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name);
    let store = |name: &str, value: &serde_json::Value| {
        fs::write(path(name), serde_json::to_vec(value).unwrap()).unwrap();
    };
    let key = snarkjs::verification_key(&prover.verifying_key().groth16);
    let json = snarkjs::proof(&proof);
    let public = snarkjs::public(&assignment[1..3]);
    let verify =
        |key: &serde_json::Value, public: &serde_json::Value, proof: &serde_json::Value| {
            store("verification_key.json", key);
            store("public.json", public);
            store("proof.json", proof);
            let output = run(Command::new("node")
                .arg(&cli)
                .args(["groth16", "verify"])
                .args([
                    path("verification_key.json"),
                    path("public.json"),
                    path("proof.json"),
                ]));
            let text = String::from_utf8_lossy(&output.stdout).into_owned();
            let verified = output.status.success();
            assert_eq!(verified, text.contains("OK!"), "{text}");
            (verified, text)
        };

    let (accepted, text) = verify(&key, &public, &json);
    assert!(accepted, "{text}");

    // The public inputs, one at a time.
    for index in 0..2 {
        let mut inputs = assignment[1..3].to_vec();
        inputs[index] += Fr::ONE;
        let (accepted, text) = verify(&key, &snarkjs::public(&inputs), &json);
        assert!(!accepted && text.contains("Invalid proof"), "{text}");
    }
    // A proof whose A is another group element.
    let mut tampered = proof.clone();
    tampered.a = tampered.c;
    let (accepted, text) = verify(&key, &public, &snarkjs::proof(&tampered));
    assert!(!accepted && text.contains("Invalid proof"), "{text}");
    // A digit of B: the point leaves the curve.
    let mut tampered = json.clone();
    tampered["pi_b"][0][0] = "1".into();
    assert!(!verify(&key, &public, &tampered).0);
    // The key of another setup.
    let other = Prover::new(&circuit, setup(&circuit, &NoProgress).unwrap()).unwrap();
    let other = snarkjs::verification_key(&other.verifying_key().groth16);
    let (accepted, text) = verify(&other, &public, &json);
    assert!(!accepted && text.contains("Invalid proof"), "{text}");
}

#[test]
fn snarkjs_reads_our_constraints() {
    let cli = installed();
    let (circuit, _) = circuit();
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("circuit.r1cs");
    let mut bytes = Vec::new();
    circuit.r1cs.write_iden3(&mut bytes).unwrap();
    fs::write(&path, bytes).unwrap();
    let output = run(Command::new("node")
        .arg(&cli)
        .args(["r1cs", "info"])
        .arg(&path));
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success(), "{text}");
    let count = |name: &str| -> usize {
        text.lines()
            .find_map(|line| line.split_once(name)?.1.trim().parse().ok())
            .unwrap_or_else(|| panic!("no {name:?} in {text}"))
    };
    assert!(text.contains("bn-128"), "{text}");
    assert_eq!(count("# of Wires:"), circuit.r1cs.num_wires);
    assert_eq!(count("# of Constraints:"), circuit.r1cs.num_constraints());
    assert_eq!(count("# of Public Inputs:"), circuit.r1cs.num_public);
    assert_eq!(count("# of Private Inputs:"), 0);
    assert_eq!(count("# of Outputs:"), 0);
    // And every constraint, as snarkjs prints them: the first is the boolean one.
    let json = folder.path().join("circuit.json");
    let output = run(Command::new("node")
        .arg(&cli)
        .args(["r1cs", "export", "json"])
        .args([&path, &json]));
    assert!(output.status.success(), "{output:?}");
    let read: serde_json::Value = serde_json::from_slice(&fs::read(&json).unwrap()).unwrap();
    let constraints = read["constraints"].as_array().unwrap();
    assert_eq!(constraints.len(), circuit.r1cs.num_constraints());
    for (row, constraint) in constraints.iter().enumerate() {
        for (matrix, terms) in [&circuit.r1cs.a, &circuit.r1cs.b, &circuit.r1cs.c]
            .into_iter()
            .zip(constraint.as_array().unwrap())
        {
            let row = matrix.row(row);
            assert_eq!(terms.as_object().unwrap().len(), row.len());
            for (wire, value) in row {
                assert_eq!(terms[wire.to_string()], value.to_string());
            }
        }
    }
}

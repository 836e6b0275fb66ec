//! What a verifying key tells of the model whose circuit it was made for.

use proofmark_gadgets::{Backend, Circuit};
use proofmark_onnx::Model;
use proofmark_ops::{Policy, plan};
use proofmark_prover::{NoProgress, ProvingKey, QuotientForm, unsafe_dev_setup};
use proofmark_tensor::ElemType::{Int32, Uint8};
use proofmark_tests::build::Builder;

const FIRST: [i32; 12] = [1, 200, 7, 90, 3, 250, 0, 44, 5, 17, 60, 128];
const SECOND: [i32; 6] = [3, 77, 190, 2, 255, 31];
const BIAS: [i32; 2] = [-900, 40_000];

/// The rows of a matrix in another order: each column has the same weights, and so the same
/// interval, in other places.
fn turned<const N: usize>(weights: [i32; N], columns: usize) -> [i32; N] {
    let mut turned = weights;
    turned.rotate_left(columns);
    turned
}

/// Two layers: requantized bytes, then 32-bit logits.
fn model(first: &[i32], second: &[i32], bias: &[i32]) -> Model {
    let mut b = Builder::new();
    let x = b.input(Uint8, &[1, 4]);
    let w = b.ints(Uint8, &[4, 3], first.to_vec());
    let (one, m) = (
        b.floats(&[1.0]),
        b.floats(&[f32::from_bits(0.0078125_f32.to_bits() - 1)]),
    );
    let (zero, zw) = (b.int(Uint8, 0), b.int(Uint8, 100));
    let hidden = b.node(
        "",
        "QLinearMatMul",
        &[&x, &one, &zero, &w, &m, &zw, &one, &zero],
        &[],
    );
    let w = b.ints(Uint8, &[3, 2], second.to_vec());
    let sum = b.node("", "MatMulInteger", &[&hidden, &w], &[]);
    let c = b.ints(Int32, &[2], bias.to_vec());
    let y = b.node("", "Add", &[&sum, &c], &[]);
    b.output(&y, Int32, &[1, 2]);
    b.finish()
}

fn circuit(model: &Model, backend: Backend) -> Circuit {
    let plan = plan(model, &Policy::public(1, 1)).unwrap();
    plan.circuit_for(backend).unwrap()
}

/// The key of one trapdoor, whatever the circuit.
fn key(circuit: &Circuit) -> ProvingKey {
    unsafe_dev_setup(circuit, [7; 32], QuotientForm::Standard, &NoProgress).unwrap()
}

#[test]
fn a_verifying_key_does_not_depend_on_weights() {
    for backend in [Backend::Plain, Backend::Committed] {
        let [one, other] = [
            model(&FIRST, &SECOND, &BIAS),
            model(&turned(FIRST, 3), &turned(SECOND, 2), &BIAS),
        ]
        .map(|model| circuit(&model, backend));
        assert_ne!(one.digest(), other.digest());
        let (one, other) = (key(&one), key(&other));
        assert_eq!(one.verifying_key(), other.verifying_key());
        // The proving key does.
        assert_ne!(one.groth16.a_query, other.groth16.a_query);
    }
}

#[test]
fn constants_of_rows_are_in_one_point_of_it() {
    for backend in [Backend::Plain, Backend::Committed] {
        let [one, other] = [BIAS, [BIAS[0] + 1, BIAS[1]]]
            .map(|bias| key(&circuit(&model(&FIRST, &SECOND, &bias), backend)));
        let [one, other] = [&one, &other].map(|key| &key.groth16.vk.gamma_abc_g1);
        assert_ne!(one[0], other[0]);
        assert_eq!(one[1..], other[1..]);
    }
}

//! Memory of compiled circuits, and witnesses of whole models.
#![expect(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test says where it fails"
)]

use ark_bn254::Fr;
use proofmark_ops::plan::{Plan, Salts};

mod models;

/// Compiles, proves that the witness satisfies it, and returns entries and bytes.
fn measure(plan: &Plan) -> (usize, usize) {
    let r1cs = plan.circuit().unwrap().r1cs;
    let input = models::input(plan);
    let witness = plan.witness(&input, Fr::from(7_u64), &Salts::default());
    let witness = witness.unwrap();
    assert_eq!(witness.outputs, plan.evaluate(&input).unwrap());
    assert_eq!(r1cs.violated(&witness.assignment), [0_usize; 0]);
    (r1cs.non_zero(), r1cs.bytes())
}

#[test]
fn memory_follows_weights_and_activations() {
    // Two dense layers, three times as wide: nine times the weights, two bytes each, and three
    // times the activations with their bits.
    let ((narrow_terms, narrow), (wide_terms, wide)) =
        (measure(&models::mlp(2, 200)), measure(&models::mlp(2, 600)));
    println!("dense: {narrow_terms} terms in {narrow}, {wide_terms} in {wide} bytes");
    let (weights, activations) = (2 * (600 * 600 - 200 * 200), 3 * 400);
    assert!(wide_terms - narrow_terms > weights);
    assert!(wide - narrow < 2 * weights + 1000 * activations);

    // Twice the channels of a convolution: twice the activations and four times the products.
    let ((narrow_terms, narrow), (wide_terms, wide)) =
        (measure(&models::cnn(16, 16)), measure(&models::cnn(16, 32)));
    println!("convolutions: {narrow_terms} terms in {narrow}, {wide_terms} in {wide} bytes");
    assert!(wide_terms > 27 * narrow_terms / 10);
    assert!(wide < 22 * narrow / 10);
    assert!(wide < 3 * wide_terms);

    // The committed models: most of their rows say of a wire that it is a bit.
    for name in ["risk-classifier", "lenet5-mnist", "resnet-animals"] {
        let (terms, bytes) = measure(&models::committed(name));
        assert!(bytes < 10 * terms, "{name}: {bytes} of {terms}");
    }
}

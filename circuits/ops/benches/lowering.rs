//! Compiling, integer evaluation, witness and products `A·z, B·z, C·z`, per model.
#![expect(
    clippy::unwrap_used,
    clippy::panic,
    reason = "the macros make undocumented functions; a benchmark says where it fails"
)]

use ark_bn254::Fr;
use criterion::{Criterion, criterion_group, criterion_main};
use proofmark_ops::plan::{Plan, Salts};

#[path = "../tests/models/mod.rs"]
mod models;

fn measure(criterion: &mut Criterion, name: &str, plan: &Plan) {
    let (input, salts, context) = (models::input(plan), Salts::default(), Fr::from(7_u64));
    let r1cs = plan.circuit().unwrap().r1cs;
    let witness = plan.witness(&input, context, &salts).unwrap();
    let mut group = criterion.benchmark_group(name);
    group.sample_size(10);
    group.bench_function("compile", |b| b.iter(|| plan.circuit().unwrap()));
    group.bench_function("evaluate", |b| b.iter(|| plan.evaluate(&input).unwrap()));
    group.bench_function("witness", |b| {
        b.iter(|| plan.witness(&input, context, &salts).unwrap());
    });
    group.bench_function("products", |b| {
        b.iter(|| assert!(r1cs.is_satisfied_by(&witness.assignment)));
    });
    // What a prover does that knows nothing of integers, on one core.
    group.bench_function("products, field", |b| {
        b.iter(|| {
            for row in 0..r1cs.num_constraints() {
                let [a, b, c] = [&r1cs.a, &r1cs.b, &r1cs.c]
                    .map(|matrix| matrix.row_times(row, &witness.assignment));
                assert!(a * b == c);
            }
        });
    });
    group.finish();
}

fn lowering(criterion: &mut Criterion) {
    for name in [
        "risk-classifier",
        "digits-mlp",
        "lenet5-mnist",
        "resnet-animals",
    ] {
        measure(criterion, name, &models::committed(name));
    }
    measure(criterion, "dense 1000x1000", &models::mlp(1, 1000));
    measure(criterion, "mlp 5x1000", &models::mlp(5, 1000));
    measure(criterion, "cnn 32x32, 16 channels", &models::cnn(32, 16));
}

criterion_group!(benches, lowering);
criterion_main!(benches);

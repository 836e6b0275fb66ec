//! What verification costs: its parts, one proof, and batches of one key (10 public inputs).
//!
//! `cargo bench -p proofmark-verifier`, with `--features parallel` for batches on all cores.
#![expect(clippy::unwrap_used, reason = "a benchmark that panics has failed")]

#[path = "../tests/verifier/simulator.rs"]
mod simulator;

use std::hint::black_box;

use ark_bn254::Fr;
use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use proofmark_verifier::{
    BatchItem, CheckedProof, PreparedKey, challenge, decode_proof, encode_proof,
};

use simulator::{Simulator, scalar};

const PUBLIC_INPUTS: usize = 10;

fn statement(number: u64) -> Vec<Fr> {
    let inputs = 0_u64..;
    inputs
        .take(PUBLIC_INPUTS)
        .map(|k| scalar(&format!("input {k}"), number))
        .collect()
}

fn single(criterion: &mut Criterion) {
    for (name, committed) in [("plain", false), ("committed", true)] {
        let simulator = Simulator::new(PUBLIC_INPUTS, committed, 1);
        let key = PreparedKey::new(&simulator.key).unwrap();
        let inputs = statement(0);
        let proof = simulator.prove(&inputs, 0);
        let bytes = encode_proof(&proof);
        let mut group = criterion.benchmark_group(format!("single/{name}"));
        group.bench_function("decode", |b| b.iter(|| decode_proof(black_box(&bytes))));
        group.bench_function("verify", |b| {
            b.iter(|| key.verify(black_box(&inputs), &proof).unwrap());
        });
        group.bench_function("decode and verify", |b| {
            b.iter(|| {
                let proof = CheckedProof::decode(black_box(&bytes)).unwrap();
                key.verify_checked(&inputs, &proof).unwrap();
            });
        });
        group.bench_function("prepare key", |b| {
            b.iter(|| PreparedKey::new(black_box(&simulator.key)).unwrap());
        });
        if let Some(commitment) = proof.commitment {
            group.bench_function("challenge", |b| {
                b.iter(|| challenge(&key.digest(), black_box(&commitment), &inputs));
            });
        }
        group.finish();
    }
}

fn batch(criterion: &mut Criterion) {
    for (name, committed) in [("plain", false), ("committed", true)] {
        let simulator = Simulator::new(PUBLIC_INPUTS, committed, 1);
        let key = PreparedKey::new(&simulator.key).unwrap();
        let statements: Vec<Vec<Fr>> = (0..1000).map(statement).collect();
        let proofs: Vec<CheckedProof> = (0..)
            .zip(&statements)
            .map(|(k, inputs)| CheckedProof::new(simulator.prove(inputs, k)).unwrap())
            .collect();
        let items: Vec<BatchItem<'_>> = statements
            .iter()
            .zip(&proofs)
            .map(|(public_inputs, proof)| BatchItem {
                public_inputs,
                proof,
            })
            .collect();
        let mut group = criterion.benchmark_group(format!("batch/{name}"));
        for count in [1_usize, 10, 100, 1000] {
            group.throughput(Throughput::Elements(u64::try_from(count).unwrap()));
            group.sample_size(if count < 1000 { 50 } else { 10 });
            group.bench_with_input(BenchmarkId::from_parameter(count), &count, |b, &count| {
                b.iter(|| key.verify_batch(black_box(&items[..count])).unwrap());
            });
        }
        group.finish();
    }
}

criterion_group!(benches, single, batch);
criterion_main!(benches);

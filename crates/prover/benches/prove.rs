//! Proofs of one circuit by our prover, with and without tables, and by stock ark-groth16 with its
//! own reduction and its `parallel` feature: `cargo bench -p proofmark-prover`. All use rayon's global
//! pool (`RAYON_NUM_THREADS`). Stock is given ready matrices; ours checks every row and verifies its
//! proof besides.
#![expect(
    clippy::unwrap_used,
    reason = "a benchmark whose input cannot be made has nothing to measure"
)]

use std::hint::black_box;

use ark_bn254::{Bn254, Fr};
use ark_ff::{AdditiveGroup, UniformRand};
use ark_groth16::Groth16;
use ark_groth16::r1cs_to_qap::LibsnarkReduction;
use ark_relations::gr1cs::{
    ConstraintSynthesizer, ConstraintSystemRef, LinearCombination, SynthesisError, Variable,
};
use ark_std::rand::SeedableRng;
use ark_std::rand::rngs::StdRng;
use criterion::{BenchmarkId, Criterion, criterion_group, criterion_main};
use proofmark_gadgets::Circuit;
use proofmark_gadgets::r1cs::SparseMatrix;
use proofmark_prover::{NoProgress, Prover, ProverOptions, QuotientForm, unsafe_dev_setup};

mod synthetic;

type Stock = Groth16<Bn254, LibsnarkReduction>;

struct Synthesis<'a>(&'a Circuit);

impl ConstraintSynthesizer<Fr> for Synthesis<'_> {
    fn generate_constraints(self, cs: ConstraintSystemRef<Fr>) -> Result<(), SynthesisError> {
        let r1cs = &self.0.r1cs;
        let mut wires = vec![Variable::One];
        for _ in 0..r1cs.num_public {
            wires.push(cs.new_input_variable(|| Ok(Fr::ZERO))?);
        }
        for _ in wires.len()..r1cs.num_wires {
            wires.push(cs.new_witness_variable(|| Ok(Fr::ZERO))?);
        }
        let side = |matrix: &SparseMatrix, row| {
            let mut sum = LinearCombination::zero();
            for (wire, value) in matrix.row(row) {
                sum += (value, wires[wire as usize]);
            }
            sum
        };
        for row in 0..r1cs.num_constraints() {
            cs.enforce_r1cs_constraint(
                || side(&r1cs.a, row),
                || side(&r1cs.b, row),
                || side(&r1cs.c, row),
            )?;
        }
        Ok(())
    }
}

fn rows(matrix: &SparseMatrix) -> Vec<Vec<(Fr, usize)>> {
    (0..matrix.rows())
        .map(|row| {
            let terms = matrix.row(row);
            terms.map(|(wire, value)| (value, wire as usize)).collect()
        })
        .collect()
}

fn prove(criterion: &mut Criterion) {
    for size in [5_000, 100_000] {
        let (circuit, assignment) = synthetic::synthetic(size).unwrap();
        let mut group = criterion.benchmark_group("prove");
        group.sample_size(10);
        let form = QuotientForm::Folded;
        let key = unsafe_dev_setup(&circuit, [1; 32], form, &NoProgress).unwrap();
        for (name, table_bytes) in [("ours, no tables", 0), ("ours, 256 MiB of tables", 1 << 28)] {
            let options = ProverOptions {
                table_bytes,
                table_files: None,
            };
            let prover = Prover::with_options(&circuit, key.clone(), &options).unwrap();
            group.bench_function(BenchmarkId::new(name, size), |bencher| {
                bencher.iter(|| prover.prove(black_box(&assignment), None).unwrap());
            });
        }
        let mut random = StdRng::seed_from_u64(1);
        let synthesis = Synthesis(&circuit);
        let key = Stock::generate_random_parameters_with_reduction(synthesis, &mut random).unwrap();
        let r1cs = &circuit.r1cs;
        let matrices = [rows(&r1cs.a), rows(&r1cs.b), rows(&r1cs.c)];
        group.bench_function(BenchmarkId::new("ark-groth16", size), |bencher| {
            bencher.iter(|| {
                Stock::create_proof_with_reduction_and_matrices(
                    &key,
                    Fr::rand(&mut random),
                    Fr::rand(&mut random),
                    &matrices,
                    r1cs.num_public + 1,
                    r1cs.num_constraints(),
                    black_box(&assignment),
                )
                .unwrap()
            });
        });
        group.finish();
    }
}

criterion_group!(benches, prove);
criterion_main!(benches);

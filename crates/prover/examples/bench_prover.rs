//! Times setup, key file, proving and verification of synthetic circuits that look like compiled
//! models: mostly bits, each in a boolean constraint and in a recomposition with small weights.
//!
//! `cargo run --release -p proofmark-prover --example bench_prover [CONSTRAINTS ...]`
#![expect(clippy::print_stdout, reason = "a benchmark prints its figures")]

use std::error::Error;
use std::time::{Duration, Instant};

use ark_bn254::Fr;
use ark_ff::Field;
use ark_groth16::Groth16;
use proofmark_prover::{Bn254, NoProgress, Prover, ProverOptions, key_file, setup};

#[path = "../benches/synthetic.rs"]
mod synthetic;
use synthetic::synthetic;

fn milliseconds(duration: Duration) -> f64 {
    duration.as_secs_f64() * 1e3
}

fn main() -> Result<(), Box<dyn Error>> {
    let sizes: Result<Vec<usize>, _> = std::env::args().skip(1).map(|a| a.parse()).collect();
    let sizes = match sizes? {
        sizes if sizes.is_empty() => vec![5_000, 100_000],
        sizes => sizes,
    };
    for size in sizes {
        let (circuit, mut assignment) = synthetic(size)?;
        println!(
            "{} constraints, {} wires, {} non-zero entries",
            circuit.r1cs.num_constraints(),
            circuit.r1cs.num_wires,
            circuit.r1cs.non_zero()
        );
        let start = Instant::now();
        let key = setup(&circuit, &NoProgress)?;
        println!("  setup       {:9.1} ms", milliseconds(start.elapsed()));

        let folder = tempfile::tempdir()?;
        let path = folder.path().join("proving.key");
        let circuit_digest = circuit.digest();
        let start = Instant::now();
        let digest = key_file::write(&path, &circuit_digest, &key)?;
        println!("  write key   {:9.1} ms", milliseconds(start.elapsed()));
        drop(key);
        let start = Instant::now();
        let loaded = key_file::load(&path, &digest, &circuit_digest)?;
        println!(
            "  load key    {:9.1} ms, {} bytes",
            milliseconds(start.elapsed()),
            std::fs::metadata(&path)?.len()
        );
        let mut proven = None;
        for table_bytes in [1 << 28, 0] {
            let start = Instant::now();
            let options = ProverOptions {
                table_bytes,
                table_files: None,
            };
            let prover = Prover::with_options(&circuit, loaded.key.clone(), &options)?;
            println!(
                "  prover      {:9.1} ms, {} bytes of points and multiples",
                milliseconds(start.elapsed()),
                prover.point_bytes()
            );
            let mut proof = prover.prove(&assignment, None)?;
            let mut times = Vec::new();
            for _ in 0..7 {
                let start = Instant::now();
                proof = prover.prove(&assignment, None)?;
                times.push(start.elapsed());
            }
            times.sort();
            println!(
                "  prove       {:9.1} ms (fastest of 7), {:.1} ms (median), self-verification included",
                milliseconds(times[0]),
                milliseconds(times[3])
            );
            proven = Some((prover, proof));
        }
        let Some((prover, proof)) = proven else {
            continue;
        };
        let prepared = ark_groth16::prepare_verifying_key(&prover.verifying_key().groth16);
        let start = Instant::now();
        let verified =
            Groth16::<Bn254>::verify_proof(&prepared, &proof.groth16, &assignment[1..=8])?;
        println!(
            "  verify      {:9.1} ms, {verified}",
            milliseconds(start.elapsed())
        );
        let last = assignment.len() - 1;
        assignment[last] += Fr::ONE;
        match prover.prove(&assignment, None) {
            Ok(_) => return Err("a violated constraint went unnoticed".into()),
            Err(error) => println!("  tampered    refused: {error}"),
        }
    }
    Ok(())
}

//! Times setup, key file, proving and verification of synthetic circuits that look like compiled
//! models: mostly bits, each in a boolean constraint and in a recomposition with small weights.
//!
//! `cargo run --release -p proofmark-prover --example bench_prover [CONSTRAINTS ...]`
#![expect(clippy::print_stdout, reason = "a benchmark prints its figures")]

use std::error::Error;
use std::time::{Duration, Instant};

use ark_bn254::Fr;
use ark_ff::{AdditiveGroup, Field};
use ark_groth16::Groth16;
use proofmark_gadgets::{Backend, Circuit, Lc, LowerError, Lowering, Wire};
use proofmark_prover::{Bn254, NoProgress, Prover, key_file, setup};

/// Bits of one synthetic activation.
const BITS: u64 = 16;

/// About `constraints` constraints: activations of 16 bits, each with one sum of earlier bits with
/// weights of 8 bits, folded into its recomposition.
fn synthetic(constraints: usize) -> Result<(Circuit, Vec<Fr>), LowerError> {
    let mut lowering = Lowering::shape(Backend::Plain, 8)?;
    let mut assignment = vec![Fr::ONE];
    assignment.extend((1..=8_u64).map(Fr::from));
    let mut bits: Vec<Wire> = Vec::new();
    let mut state = 0x2545_f491_4f6c_dd1d_u64;
    let mut random = move || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state
    };
    let step = usize::try_from(BITS + 1).unwrap_or(17);
    for _ in 0..constraints / step {
        let value = random() & 0xffff;
        let mut sum = Lc::zero();
        for bit in 0..BITS {
            let wire = lowering.hint("bit", || Fr::ZERO)?;
            assignment.push(Fr::from((value >> bit) & 1));
            let complement = Lc::constant(Fr::ONE).add_scaled(-Fr::ONE, &Lc::wire(wire));
            lowering.enforce("bit", Lc::wire(wire), complement, Lc::zero())?;
            sum.push(wire, Fr::from(1_u64 << bit));
            bits.push(wire);
        }
        let mut weighted = Lc::zero();
        for _ in 0..64 {
            let at = usize::try_from(random()).unwrap_or(0) % bits.len();
            weighted.push(bits[at], Fr::from(random() & 0xff) - Fr::from(128_u64));
        }
        // A dense wire: the accumulator times the activation.
        let product = weighted.evaluate(&assignment) * sum.evaluate(&assignment);
        let wire = lowering.hint("product", || Fr::ZERO)?;
        assignment.push(product);
        lowering.enforce("product", weighted, sum, Lc::wire(wire))?;
    }
    let circuit = lowering.into_circuit(1, Vec::new());
    Ok((circuit.ok_or(LowerError::TooLarge)?, assignment))
}

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
        let start = Instant::now();
        let prover = Prover::new(&circuit, loaded.key)?;
        println!("  matrices    {:9.1} ms", milliseconds(start.elapsed()));

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

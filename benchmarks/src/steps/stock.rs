//! The same circuit with ark-groth16 as its users run it: its generator, its prover with
//! `LibsnarkReduction`, its verifier, all with its `parallel` feature. Model and witness are ours.
//!
//! The prover is given ready matrices, so that synthesis, which stock repeats for each proof, is
//! not held against it.

use std::fs::File;
use std::io::{BufReader, BufWriter};
use std::path::Path;
use std::time::Instant;

use anyhow::{Context as _, Result, bail};
use ark_bn254::{Bn254, Fr};
use ark_ff::{AdditiveGroup as _, UniformRand as _};
use ark_groth16::r1cs_to_qap::LibsnarkReduction;
use ark_groth16::{Groth16, ProvingKey, prepare_verifying_key};
use ark_relations::gr1cs::{
    ConstraintSynthesizer, ConstraintSystemRef, LinearCombination, SynthesisError, Variable,
};
use ark_serialize::{CanonicalDeserialize as _, CanonicalSerialize as _};
use ark_std::rand::SeedableRng as _;
use ark_std::rand::rngs::StdRng;
use proofmark_gadgets::Circuit;
use proofmark_gadgets::r1cs::SparseMatrix;
use proofmark_runtime::{IntSession, OptLevel};

use super::ours::size;
use super::{ProofReport, Proving, SetupReport, assignment, inputs, plain_circuit, repeat};

type Stock = Groth16<Bn254, LibsnarkReduction>;
type Rows = Vec<Vec<(Fr, usize)>>;

const KEY: &str = "stock.key";
const VERIFYING_KEY: &str = "stock.vk";

fn random() -> Result<StdRng> {
    let mut seed = [0; 32];
    getrandom::fill(&mut seed).context("the system's randomness")?;
    Ok(StdRng::from_seed(seed))
}

fn rows(matrix: &SparseMatrix) -> Rows {
    (0..matrix.rows())
        .map(|row| {
            let terms = matrix.row(row);
            terms.map(|(wire, value)| (value, wire as usize)).collect()
        })
        .collect()
}

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

/// Makes keys and writes them.
pub(crate) fn setup(draft: &Path, out: &Path) -> Result<SetupReport> {
    std::fs::create_dir_all(out)?;
    let start = Instant::now();
    let (_, _, circuit) = plain_circuit(draft)?;
    let key =
        Stock::generate_random_parameters_with_reduction(Synthesis(&circuit), &mut random()?)?;
    let (path, vk_path) = (out.join(KEY), out.join(VERIFYING_KEY));
    key.serialize_uncompressed(BufWriter::new(File::create(&path)?))?;
    let setup_s = start.elapsed().as_secs_f64();
    key.vk
        .serialize_uncompressed(BufWriter::new(File::create(&vk_path)?))?;
    Ok(SetupReport {
        setup_s,
        rows: circuit.r1cs.num_constraints() as u64,
        public_inputs: Some(circuit.r1cs.num_public as u64),
        proving_key_bytes: size(&path)?,
        verifying_key_bytes: size(&vk_path)?,
    })
}

/// Proves samples with these keys.
pub(crate) fn prove(draft: &Path, key: &Path, proving: &Proving) -> Result<ProofReport> {
    let start = Instant::now();
    let file = BufReader::new(File::open(key.join(KEY))?);
    let key = ProvingKey::<Bn254>::deserialize_uncompressed_unchecked(file)?;
    let (package, plan, circuit) = plain_circuit(draft)?;
    let r1cs = &circuit.r1cs;
    let matrices = [rows(&r1cs.a), rows(&r1cs.b), rows(&r1cs.c)];
    let (constraints, instance) = (r1cs.num_constraints(), r1cs.num_public + 1);
    drop(circuit);
    let prepared = prepare_verifying_key(&key.vk);
    proofmark_runtime::init()?;
    let session = IntSession::load(&package.integer_model()?, OptLevel::DisableAll)?;
    let mut random = random()?;
    let mut report = ProofReport::default();
    repeat(proving, |sample| {
        let inputs = inputs(package.manifest(), sample)?;
        let begun = Instant::now();
        session.run(&inputs)?;
        let assignment = assignment(&package, &plan, &inputs)?;
        let witness = begun.elapsed();
        let proving_begun = Instant::now();
        let (r, s) = (Fr::rand(&mut random), Fr::rand(&mut random));
        let proof = Stock::create_proof_with_reduction_and_matrices(
            &key,
            r,
            s,
            &matrices,
            instance,
            constraints,
            &assignment,
        )?;
        let proving = proving_begun.elapsed();
        let verifying_begun = Instant::now();
        let public = assignment.get(1..instance).unwrap_or_default();
        if !Stock::verify_proof(&prepared, &proof, public)? {
            bail!("ark-groth16 refuses its own proof");
        }
        let verifying = verifying_begun.elapsed();
        if report.proving_s.is_empty() {
            report.cold_s = start.elapsed().as_secs_f64();
        }
        report.proof_bytes = proof.uncompressed_size() as u64;
        report.push(begun.elapsed(), witness, proving, verifying);
        Ok(())
    })?;
    Ok(report)
}

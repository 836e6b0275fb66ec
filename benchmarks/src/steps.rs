//! What is measured, each in a process of its own so that its peak memory is its own. A step
//! prints one JSON object on the last line of its output.

pub(crate) mod export;
pub(crate) mod import;
pub(crate) mod ours;
pub(crate) mod ptau;
pub(crate) mod stock;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};
use proofmark_engine::{EngineOptions, policy_of};
use proofmark_gadgets::Circuit;
use proofmark_onnx::{Limits, Model};
use proofmark_ops::{Plan, Salts};
use proofmark_package::Package;
use proofmark_types::manifest::Manifest;
use proofmark_types::{Context, IntTensor};
use serde::{Deserialize, Serialize};

/// The steps.
#[derive(Debug, clap::Subcommand)]
pub(crate) enum Step {
    /// Bring a model of the catalogue into a folder: original, draft, samples
    Import {
        /// Its name
        #[arg(long)]
        model: String,
        /// Folder, new or empty
        #[arg(long)]
        out: PathBuf,
    },
    /// Seal a draft as a package
    Setup {
        /// The draft
        #[arg(long)]
        draft: PathBuf,
        /// The package's folder, new or empty
        #[arg(long)]
        out: PathBuf,
        /// plain or lookup
        #[arg(long)]
        backend: String,
    },
    /// Prove with a package, from request to verified receipt
    Prove {
        /// The package
        #[arg(long)]
        package: PathBuf,
        /// Memory for precomputed multiples of the key's points, in bytes; 0 for none
        #[arg(long)]
        table_bytes: u64,
        /// Folder in which the multiples are kept between runs
        #[arg(long)]
        table_folder: PathBuf,
        #[command(flatten)]
        proving: Proving,
    },
    /// Keys of stock ark-groth16 for a draft's circuit
    StockSetup {
        /// The draft
        #[arg(long)]
        draft: PathBuf,
        /// Folder for the key
        #[arg(long)]
        out: PathBuf,
    },
    /// Prove with stock ark-groth16
    StockProve {
        /// The draft
        #[arg(long)]
        draft: PathBuf,
        /// Folder of the key
        #[arg(long)]
        key: PathBuf,
        #[command(flatten)]
        proving: Proving,
    },
    /// Write circuit and witness in iden3's formats
    Export {
        /// The draft
        #[arg(long)]
        draft: PathBuf,
        /// Samples of which the first is the witness's
        #[arg(long)]
        samples: PathBuf,
        /// Folder for `circuit.r1cs` and `witness.wtns`
        #[arg(long)]
        out: PathBuf,
    },
    /// Write a prepared `.ptau` of a secret that is forgotten: for measuring only
    Ptau {
        /// Largest circuit: 2^power constraints
        #[arg(long, value_parser = clap::value_parser!(u32).range(1..=24))]
        power: u32,
        /// The file
        #[arg(long)]
        out: PathBuf,
    },
}

/// How often to prove.
#[derive(Debug, clap::Args)]
pub(crate) struct Proving {
    /// Samples to prove, in turn
    #[arg(long)]
    samples: PathBuf,
    /// Proofs
    #[arg(long)]
    runs: usize,
    /// Seconds after which no further proof is begun
    #[arg(long)]
    budget: u64,
}

/// What a setup step tells.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct SetupReport {
    /// Seconds for circuit, keys and whatever a setup writes.
    pub(crate) setup_s: f64,
    /// Constraints or rows.
    pub(crate) rows: u64,
    /// Public inputs (instances), without the constant.
    pub(crate) public_inputs: Option<u64>,
    /// Size of the proving key's file.
    pub(crate) proving_key_bytes: u64,
    /// Size of the verifying key's file.
    pub(crate) verifying_key_bytes: u64,
}

/// What a proving step tells, a number a run.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct ProofReport {
    /// Seconds from nothing loaded to the first proof.
    pub(crate) cold_s: f64,
    /// From the input to the verified proof.
    pub(crate) request_s: Vec<f64>,
    /// Model's result and witness.
    pub(crate) witness_s: Vec<f64>,
    /// The proof alone.
    pub(crate) proving_s: Vec<f64>,
    /// Verification by its recipient.
    pub(crate) verifying_s: Vec<f64>,
    /// Size of a proof.
    pub(crate) proof_bytes: u64,
}

impl ProofReport {
    /// Adds one run.
    fn push(&mut self, request: Duration, witness: Duration, proving: Duration, verify: Duration) {
        self.request_s.push(request.as_secs_f64());
        self.witness_s.push(witness.as_secs_f64());
        self.proving_s.push(proving.as_secs_f64());
        self.verifying_s.push(verify.as_secs_f64());
    }
}

/// Does a step and returns what it tells.
pub(crate) fn run(step: &Step) -> Result<serde_json::Value> {
    Ok(match step {
        Step::Import { model, out } => serde_json::to_value(import::run(model, out)?)?,
        Step::Setup {
            draft,
            out,
            backend,
        } => serde_json::to_value(ours::setup(draft, out, backend)?)?,
        Step::Prove {
            package,
            table_bytes,
            table_folder,
            proving,
        } => {
            let options = EngineOptions {
                table_bytes: *table_bytes,
                table_folder: Some(table_folder.clone()),
            };
            serde_json::to_value(ours::prove(package, &options, proving)?)?
        }
        Step::StockSetup { draft, out } => serde_json::to_value(stock::setup(draft, out)?)?,
        Step::StockProve {
            draft,
            key,
            proving,
        } => serde_json::to_value(stock::prove(draft, key, proving)?)?,
        Step::Export {
            draft,
            samples,
            out,
        } => serde_json::to_value(export::run(draft, samples, out)?)?,
        Step::Ptau { power, out } => serde_json::to_value(ptau::run(*power, out)?)?,
    })
}

/// Calls `once` for one sample after another, as often and as long as is asked.
fn repeat(proving: &Proving, mut once: impl FnMut(&[f32]) -> Result<()>) -> Result<()> {
    let samples: Vec<Vec<f32>> = serde_json::from_slice(&std::fs::read(&proving.samples)?)?;
    let start = Instant::now();
    for (run, sample) in (0..proving.runs).zip(samples.iter().cycle()) {
        if run > 0 && start.elapsed().as_secs() >= proving.budget {
            break;
        }
        once(sample)?;
    }
    Ok(())
}

/// A sample as the integers that enter the model, which has one input.
fn inputs(manifest: &Manifest, sample: &[f32]) -> Result<BTreeMap<String, IntTensor>> {
    let [spec] = manifest.inputs.as_slice() else {
        anyhow::bail!("the model has not exactly one input");
    };
    let tensor = match &spec.quantizer {
        Some(quantizer) => quantizer.quantize(sample, &spec.shape, spec.elem)?,
        None => IntTensor::new(
            spec.elem,
            spec.shape.clone(),
            sample.iter().copied().map(integer).collect(),
        )?,
    };
    Ok([(spec.name.clone(), tensor)].into())
}

#[expect(
    clippy::cast_possible_truncation,
    reason = "samples of integer models are integers of 8 bits"
)]
fn integer(value: f32) -> i32 {
    value.round() as i32
}

/// A context with a random nonce, as requests off chain have it.
fn context() -> Result<Context> {
    let mut nonce = [0; 32];
    getrandom::fill(&mut nonce).context("the system's randomness")?;
    Ok(Context::off_chain(nonce))
}

/// A package's integer model, read as operators.
fn planned(package: &Package) -> Result<(Model, Plan)> {
    let model = proofmark_onnx::parse(&package.integer_model()?, &Limits::default())?;
    let plan = proofmark_ops::plan(&model, &policy_of(package.manifest()))?;
    Ok((model, plan))
}

/// A draft's model, planned, and its circuit for the plain backend.
fn plain_circuit(draft: &Path) -> Result<(Package, Plan, Circuit)> {
    let package = Package::open(draft)?;
    let (_, plan) = planned(&package)?;
    let circuit = plan.circuit()?;
    Ok((package, plan, circuit))
}

/// The satisfied full assignment for one sample.
fn assignment(
    package: &Package,
    plan: &Plan,
    inputs: &BTreeMap<String, IntTensor>,
) -> Result<Vec<ark_bn254::Fr>> {
    let ordered: Vec<IntTensor> = package
        .manifest()
        .inputs
        .iter()
        .filter_map(|spec| inputs.get(&spec.name).cloned())
        .collect();
    let salts = Salts {
        inputs: vec![None; plan.inputs().len()],
        outputs: vec![None; plan.outputs().len()],
    };
    Ok(plan
        .witness(&ordered, context()?.digest(), &salts)?
        .assignment)
}

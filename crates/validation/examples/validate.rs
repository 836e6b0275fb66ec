//! Validates integer models and prints what was compared, and how long it took.
//!
//! `cargo run -p proofmark-validation --example validate -- models/*/integer.onnx`

use std::error::Error;
use std::io::Write as _;
use std::time::Instant;

use proofmark_onnx::{Limits, parse};
use proofmark_ops::{Policy, plan};
use proofmark_runtime::{IntSession, OptLevel};
use proofmark_validation::{TranslationOptions, recheck, validate_translation};

fn main() -> Result<(), Box<dyn Error>> {
    let mut out = std::io::stdout().lock();
    for path in std::env::args().skip(1) {
        let bytes = std::fs::read(&path)?;
        let model = parse(&bytes, &Limits::default())?;
        let policy = Policy::public(model.graph.inputs.len(), model.graph.outputs.len());
        let start = Instant::now();
        let plan = plan(&model, &policy)?;
        let circuit = plan.circuit()?;
        let compiling = start.elapsed();
        let start = Instant::now();
        let report = validate_translation(&bytes, &policy, &TranslationOptions::default())?;
        let validating = start.elapsed();
        let session = IntSession::load(&bytes, OptLevel::DisableAll)?;
        let start = Instant::now();
        recheck(&report, &plan, &session)?;
        let checking = start.elapsed();
        let totals = report.totals();
        writeln!(
            out,
            "{path}: {} constraints; {} steps, {} thresholds, {} probes, {} table entries, {} runs \
             of {} nodes, {} integers compared; compile {compiling:.2?}, validate {validating:.2?}, \
             recheck {checking:.2?}, report {} bytes",
            circuit.r1cs.num_constraints(),
            totals.steps,
            totals.thresholds,
            totals.probes,
            totals.table_entries,
            totals.runs,
            report.nodes.len(),
            totals.compared,
            report.to_bytes()?.len(),
        )?;
    }
    Ok(())
}

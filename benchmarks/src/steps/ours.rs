//! Proofmark itself, from draft to package and from request to verified receipt.

use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Result, bail};
use ed25519_dalek::SigningKey;
use proofmark_engine::{BackendChoice, Engine, EngineOptions, NoProgress, ProveRequest, seal};
use proofmark_verifier::{Expectations, Pins, TrustedPackage};

use super::{ProofReport, Proving, SetupReport, context, inputs, repeat};

/// Seals a draft.
pub(crate) fn setup(draft: &Path, out: &Path, backend: &str) -> Result<SetupReport> {
    let choice = match backend {
        "plain" => BackendChoice::Plain,
        "lookup" => BackendChoice::Lookup,
        "auto" => BackendChoice::Auto,
        _ => bail!("there is no backend {backend:?}"),
    };
    let start = Instant::now();
    let package = seal(draft, out, choice, &NoProgress)?;
    let setup_s = start.elapsed().as_secs_f64();
    let sealed = package.sealed()?;
    Ok(SetupReport {
        setup_s,
        rows: sealed.circuit.constraints,
        public_inputs: Some(sealed.circuit.public_inputs),
        proving_key_bytes: sealed.proving_key.bytes,
        verifying_key_bytes: sealed.verifying_key.bytes,
    })
}

/// Proves samples; each result is that of a request: run by ONNX Runtime, proven, signed, verified.
pub(crate) fn prove(
    folder: &Path,
    options: &EngineOptions,
    proving: &Proving,
) -> Result<ProofReport> {
    let start = Instant::now();
    let engine = Engine::load_with(folder, None, options)?;
    let pins = Pins::package(engine.package().digest());
    let recipient = TrustedPackage::open(
        &pins,
        engine.package().manifest_bytes(),
        engine.verifying_key_bytes(),
    )
    .map_err(|rejection| anyhow::anyhow!("{rejection}"))?;
    let signer = SigningKey::from_bytes(&[7; 32]);
    let mut report = ProofReport::default();
    repeat(proving, |sample| {
        let request = ProveRequest {
            inputs: inputs(engine.manifest(), sample)?,
            context: context()?,
            proved_at: 0,
        };
        let begun = Instant::now();
        let proven = engine.prove(&request, &signer)?;
        let took = begun.elapsed();
        if report.proving_s.is_empty() {
            report.cold_s = start.elapsed().as_secs_f64();
        }
        let begun = Instant::now();
        recipient
            .verify(&proven.bytes, &Expectations::default())
            .map_err(|rejection| anyhow::anyhow!("{rejection}"))?;
        let verifying = begun.elapsed();
        report.proof_bytes = proven.envelope.receipt().proof.len() as u64;
        let timings = proven.timings;
        let witness: Duration = timings.runtime + timings.witness;
        report.push(took, witness, timings.proving, verifying);
        Ok(())
    })?;
    Ok(report)
}

/// Bytes of a file.
pub(crate) fn size(path: &Path) -> Result<u64> {
    Ok(fs::metadata(path)?.len())
}

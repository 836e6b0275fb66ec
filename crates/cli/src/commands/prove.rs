//! `proofmark prove`: one inference, proven on this machine.

use std::path::{Path, PathBuf};

use ed25519_dalek::SigningKey;
use proofmark_engine::{Engine, ProveRequest, ServiceKey, Timings};
use proofmark_recipient::hidden_openings;
use proofmark_types::Manifest;
use proofmark_types::field::fr_from_bytes;
use proofmark_types::manifest::Visibility;
use proofmark_types::receipt::write_openings;
use proofmark_verifier::{Expectations, Opening, Pins, verify_receipt};
use proofmark_verify::{Exit, Failure, Verified, bytes_to_hex};
use serde_json::{Value, json};
use zeroize::Zeroizing;

use crate::arguments::ProveArgs;
use crate::commands::{check_secret, now, random_bytes, write, write_secret};
use crate::failures::OrFail as _;
use crate::inputs::{self, Reading};
use crate::output::{Output, seconds};

pub(crate) fn run(args: &ProveArgs, output: Output) -> Result<(), Failure> {
    check_secret(args.openings.as_deref())?;
    let bars = output.bars();
    let spinner = bars.spinner("loading and checking the package");
    let engine = Engine::load(&args.package, args.package_digest).or_fail()?;
    drop(spinner);
    let openings = openings_file(
        engine.manifest(),
        args.openings.as_deref(),
        Some(&args.receipt),
    );
    check_secret(openings.as_deref())?;
    let reading = Reading {
        sample: args.input.sample,
        quantized: args.input.quantized,
    };
    let inputs = inputs::read(&args.input.input, engine.manifest(), reading)?;
    let nonce = match args.input.nonce {
        Some(nonce) => nonce,
        None => random_bytes()?,
    };
    let request = ProveRequest {
        inputs: inputs::tensors(&inputs),
        context: args.consumer.context(nonce),
        proved_at: now(),
    };
    let service_key = args.data.as_deref().map(ServiceKey::load_or_create);
    let service_key = service_key.transpose().or_fail()?;
    let own_key;
    let signer = if let Some(key) = &service_key {
        key.signing_key()
    } else {
        own_key = SigningKey::from_bytes(&Zeroizing::new(random_bytes()?));
        &own_key
    };
    let spinner = bars.spinner("running and proving");
    let proven = engine.prove(&request, signer).or_fail()?;
    drop(spinner);

    let salt = |name: &str| {
        let mut openings = proven.openings.iter();
        let opening = openings.find(|opening| opening.tensor == name)?;
        fr_from_bytes(&opening.salt).ok()
    };
    let hidden = hidden_openings(engine.manifest(), &inputs, &proven.outputs, salt);
    // What the user gets is verified once more as the recipient will, and with the openings.
    let package = engine.package();
    let pins = Pins::package(package.digest());
    let expectations = Expectations {
        context: Some(request.context),
        nonce: Some(nonce),
        openings: hidden,
        ..Expectations::default()
    };
    let verdict = verify_receipt(
        &proven.bytes,
        &pins,
        package.manifest_bytes(),
        engine.verifying_key_bytes(),
        &expectations,
    )?;
    let verified = Verified {
        package: package.digest(),
        manifest: engine.manifest().clone(),
        verdict,
        openings: expectations.openings,
        logged: None,
        attestations: Vec::new(),
        fresh: true,
        timely: false,
    };
    // First what cannot be had again.
    save_openings(openings.as_deref(), &verified.openings)?;
    write(&args.receipt, &proven.bytes)?;

    let report = verified.report();
    let mut object = report.json();
    if let Value::Object(members) = &mut object {
        members.insert("receipt_file".to_owned(), json!(args.receipt));
        members.insert("openings_file".to_owned(), json!(openings));
        members.insert("timings".to_owned(), timings(&proven.timings));
    }
    let mut lines = vec![
        format!(
            "proven in {} (runtime {}, witness {}, proof {})",
            seconds(total(&proven.timings)),
            seconds(proven.timings.runtime.as_secs_f64()),
            seconds(proven.timings.witness.as_secs_f64()),
            seconds(proven.timings.proving.as_secs_f64()),
        ),
        format!("receipt written to {}", args.receipt.display()),
    ];
    if args.data.is_none() {
        lines.push(format!(
            "signed with a key of its own, {} (--data DIR keeps one)",
            bytes_to_hex(&signer.verifying_key().to_bytes())
        ));
    }
    match &openings {
        Some(path) => lines.push(openings_line(path)),
        None if args.openings.is_some() => {
            output.note("note: nothing is hidden, so no openings were written");
        }
        None => {}
    }
    lines.push(String::new());
    lines.push(report.text());
    output.result(&object, &lines.join("\n"))
}

/// Where openings are written: where the user says, else beside the receipt when there is a salt
/// that would be lost. Nowhere when nothing is hidden.
pub(crate) fn openings_file(
    manifest: &Manifest,
    chosen: Option<&Path>,
    receipt: Option<&Path>,
) -> Option<PathBuf> {
    let inputs = manifest.inputs.iter().map(|spec| spec.visibility);
    let all = || {
        inputs
            .clone()
            .chain(manifest.outputs.iter().map(|spec| spec.visibility))
    };
    if all().all(|visibility| visibility == Visibility::Public) {
        return None;
    }
    if let Some(chosen) = chosen {
        return Some(chosen.to_owned());
    }
    let receipt = receipt.filter(|_| all().any(|visibility| visibility == Visibility::Private))?;
    let mut path = receipt.as_os_str().to_owned();
    path.push(".openings");
    Some(path.into())
}

/// Writes openings for their owner alone.
pub(crate) fn save_openings(path: Option<&Path>, openings: &[Opening]) -> Result<(), Failure> {
    let Some(path) = path else { return Ok(()) };
    let bytes = write_openings(openings)
        .map_err(|error| Failure::of(Exit::Environment, error.code(), &error))?;
    write_secret(path, &bytes)
}

/// Where the openings are, for people.
pub(crate) fn openings_line(path: &Path) -> String {
    format!(
        "values and salts of hidden tensors written to {}; keep it, and show it to nobody who must \
         not know them",
        path.display()
    )
}

fn total(timings: &Timings) -> f64 {
    (timings.runtime + timings.witness + timings.proving + timings.receipt).as_secs_f64()
}

fn timings(timings: &Timings) -> Value {
    json!({
        "runtime_seconds": timings.runtime.as_secs_f64(),
        "witness_seconds": timings.witness.as_secs_f64(),
        "proving_seconds": timings.proving.as_secs_f64(),
        "receipt_seconds": timings.receipt.as_secs_f64(),
        "total_seconds": total(timings),
    })
}

//! `proofmark infer`: asks a running service and shows its answer only after verifying it.

use std::io::Read as _;
use std::path::PathBuf;
use std::thread;
use std::time::{Duration, Instant};

use proofmark_log::Folder;
use proofmark_package::{MAX_ATTESTATIONS, MAX_FILE_BYTES, read_bounded};
use proofmark_recipient::{
    Answer, Demands, Input, LogCopy, LogDemand, check_proof, open_package, verify,
};
use proofmark_tlog::Policy;
use proofmark_types::attestation::{MAX_ATTESTATION_BYTES, SignedAttestation};
use proofmark_types::manifest::{MAX_MANIFEST_BYTES, Visibility};
use proofmark_types::receipt::{MAX_ENVELOPE_BYTES, key_id};
use proofmark_types::{Digest, Manifest};
use proofmark_verifier::{Opening, TrustedPackage};
use proofmark_verify::{Exit, Failure, bytes_to_hex, log_folder};
use serde::Deserialize;
use serde_json::{Value, json};

use crate::arguments::InferArgs;
use crate::commands::prove::{openings_file, openings_line, save_openings};
use crate::commands::{check_secret, package_files, random_bytes, write};
use crate::failures::OrFail as _;
use crate::inputs::{self, Reading};
use crate::output::Output;

/// Largest answer that is read: a receipt in base64 inside it, and as much again for the outputs.
const MAX_ANSWER_BYTES: u64 = 4 * MAX_ENVELOPE_BYTES as u64;

/// Time between two questions for a cosigned proof.
const ASK_AGAIN: Duration = Duration::from_millis(500);
/// Code of a proof that too few of the pinned witnesses cosigned.
const WITNESSES_MISSING: &str = "tlog-witnesses-missing";

/// The service's list of attestations, as far as it is used.
#[derive(Deserialize)]
struct Attestations {
    attestations: Vec<Listed>,
}

#[derive(Deserialize)]
struct Listed {
    attestation_id: Digest,
    auditor_key_id: Digest,
}

pub(crate) fn run(args: &InferArgs, output: Output) -> Result<(), Failure> {
    check_secret(args.openings.as_deref())?;
    let (manifest, verifying_key) = package_files(&args.files)?;
    let manifest = read_bounded(&manifest, MAX_MANIFEST_BYTES as u64).or_fail()?;
    let verifying_key = read_bounded(&verifying_key, MAX_FILE_BYTES).or_fail()?;
    let policy = args.log.policy()?;
    let package = open_package(args.package_digest, &manifest, &verifying_key)?;
    let manifest = package.manifest();
    if manifest.name != args.model {
        let message = format!(
            "the pinned package is of model {:?}, asked is {:?}",
            manifest.name, args.model
        );
        return Err(Failure::usage("model-not-pinned", message));
    }
    // Before the service sees an input.
    let attestations = attested(args, &package)?;
    let reading = Reading {
        sample: args.input.sample,
        quantized: args.input.quantized,
    };
    let inputs = inputs::read(&args.input.input, manifest, reading)?;
    let nonce = match args.input.nonce {
        Some(nonce) => nonce,
        None => random_bytes()?,
    };
    let openings_path = openings_file(manifest, args.openings.as_deref(), args.receipt.as_deref());
    check_secret(openings_path.as_deref())?;

    let bars = output.bars();
    let spinner = bars.spinner("waiting for a proven answer");
    let body = ask(args, &inputs, &nonce)?;
    drop(spinner);
    let answer = Answer::parse(&body).map_err(|error| {
        let message = "the service's answer is no proven inference";
        let mut failure = Failure::new(Exit::Rejected, "answer-malformed", message);
        failure.causes.push(error.to_string());
        failure.hint("is --url a Proofmark service?")
    })?;

    let openings = answer.openings(manifest, &inputs)?;
    let receipt = answer.receipt();
    let demands = Demands {
        nonce: Some(nonce),
        // With the log the key may be one that rotations lead to from the pinned one.
        service_key: args.service_key.filter(|_| args.log_copy.is_none()),
        openings,
        ..Demands::default()
    };
    let mut verified = verify(&package, receipt, &demands)?;
    let mut tlog_proof = answer.tlog_proof().map(str::to_owned);
    if let Some(policy) = policy.as_ref().filter(|policy| policy.quorum() > 0) {
        let id = verified.verdict.receipt_id.to_hex();
        tlog_proof = Some(cosigned_proof(args, policy, &id, receipt, tlog_proof)?);
    }
    if let Some(policy) = policy {
        let proof = tlog_proof.as_deref().ok_or_else(|| {
            let message = "the answer carries no proof that its receipt is logged";
            Failure::new(Exit::Rejected, "answer-malformed", message)
                .hint("without --log-key it is not asked for")
        })?;
        let copy = args.log_copy.as_deref().map(log_folder).map(Folder::new);
        let demand = LogDemand {
            policy,
            proof: Some(proof.as_bytes()),
            copy: copy.as_ref().map(|tiles| LogCopy {
                tiles,
                may_be_older: true,
            }),
        };
        verified.check_log(receipt, &demand, args.service_key.as_ref())?;
    }
    verified.attestations = attestations;
    let hidden: Vec<Opening> = verified
        .openings
        .iter()
        .filter(|opening| is_hidden(manifest, &opening.name))
        .cloned()
        .collect();
    save_openings(openings_path.as_deref(), &hidden)?;
    if let Some(path) = &args.receipt {
        write(path, receipt)?;
    }
    let proof_path = tlog_proof.as_ref().and(proof_file(args));
    if let (Some(path), Some(proof)) = (&proof_path, &tlog_proof) {
        write(path, proof.as_bytes())?;
    }
    let report = verified.report();
    let mut object = report.json();
    let mut lines = vec![report.text()];
    if let Some(path) = &args.receipt {
        if let Value::Object(members) = &mut object {
            members.insert("receipt_file".to_owned(), json!(path));
        }
        lines.push(format!("receipt written to {}", path.display()));
    }
    if let Some(path) = &proof_path {
        if let Value::Object(members) = &mut object {
            members.insert("tlog_proof_file".to_owned(), json!(path));
        }
        lines.push(format!("proof of logging written to {}", path.display()));
    }
    if let Some(path) = &openings_path {
        if let Value::Object(members) = &mut object {
            members.insert("openings_file".to_owned(), json!(path));
        }
        lines.push(openings_line(path));
    } else if hidden.iter().any(|opening| opening.salt.is_some()) {
        output.note(
            "note: the salts of private tensors are lost without --openings FILE or --receipt FILE",
        );
    }
    output.result(&object, &lines.join("\n"))
}

/// What the demanded auditors attest of the package: the files given, or else those that the service
/// hands out with it. What others attest is not asked for.
fn attested(args: &InferArgs, package: &TrustedPackage) -> Result<Vec<SignedAttestation>, Failure> {
    let demanded = &args.attestations.auditor_key;
    if demanded.is_empty() || !args.attestations.attestation.is_empty() {
        let given = args.attestations.read()?.attestations;
        return Ok(package.check_attestations(&given, demanded)?);
    }
    let manifest = package.manifest();
    let base = format!("/v1/models/{}/attestations", args.model);
    let version = format!("?version={}", manifest.version);
    let listed = fetch(args, &format!("{base}{version}"))?;
    let listed: Attestations = serde_json::from_slice(&listed).map_err(|error| {
        let message = "the service's list of attestations is none";
        let mut failure = Failure::new(Exit::Rejected, "answer-malformed", message);
        failure.causes.push(error.to_string());
        failure.hint("give the attestations as files, with --attestation")
    })?;
    let mut envelopes = Vec::new();
    for entry in listed.attestations {
        let wanted = demanded
            .iter()
            .any(|key| key_id(key) == entry.auditor_key_id);
        if wanted && envelopes.len() < MAX_ATTESTATIONS {
            // The address is ours: what the service writes there is not followed.
            let path = format!("{base}/{}{version}", entry.attestation_id.to_hex());
            let mut envelope = fetch(args, &path)?;
            // Longer is refused, and need not be held.
            envelope.truncate(MAX_ATTESTATION_BYTES + 1);
            envelopes.push(envelope);
        }
    }
    Ok(package.check_attestations(&envelopes, demanded)?)
}

/// The body of a `200`.
fn fetch(args: &InferArgs, path: &str) -> Result<Vec<u8>, Failure> {
    match get(args, path)? {
        (200, body) => Ok(body),
        (status, body) => Err(refused(status, &body)),
    }
}

/// A proof whose checkpoint enough witnesses cosigned. They do so after the answer, so the service is
/// asked until it has one.
fn cosigned_proof(
    args: &InferArgs,
    policy: &Policy,
    id: &str,
    receipt: &[u8],
    given: Option<String>,
) -> Result<String, Failure> {
    let start = Instant::now();
    let patience = Duration::from_secs(args.timeout);
    let mut proof = given.ok_or_else(|| {
        let message = "the answer carries no proof that its receipt is logged";
        Failure::new(Exit::Rejected, "answer-malformed", message)
    })?;
    loop {
        match check_proof(policy, proof.as_bytes(), receipt).map_err(Failure::from) {
            Err(failure) if failure.code == WITNESSES_MISSING => {
                if start.elapsed() >= patience {
                    return Err(failure.hint(
                        "the service's witnesses have not cosigned in time: is it started with \
                         --witness, and are these its witnesses?",
                    ));
                }
            }
            Err(failure) => return Err(failure),
            Ok(_) => return Ok(proof),
        }
        thread::sleep(ASK_AGAIN);
        let path = format!("/v1/receipts/{id}/tlog-proof?head=cosigned");
        let (status, body) = get(args, &path)?;
        // Nothing is cosigned yet: 404.
        if status == 200 {
            proof = String::from_utf8_lossy(&body).into_owned();
        } else if status != 404 {
            return Err(refused(status, &body));
        }
    }
}

/// Where the proof of logging is written: where asked, or beside the receipt.
fn proof_file(args: &InferArgs) -> Option<PathBuf> {
    args.tlog_proof.clone().or_else(|| {
        let mut name = args.receipt.as_ref()?.clone().into_os_string();
        name.push(".tlog-proof");
        Some(name.into())
    })
}

fn is_hidden(manifest: &Manifest, name: &str) -> bool {
    let inputs = manifest.inputs.iter().map(|i| (&i.name, i.visibility));
    let mut all = inputs.chain(manifest.outputs.iter().map(|o| (&o.name, o.visibility)));
    all.any(|(n, visibility)| n == name && visibility != Visibility::Public)
}

/// Posts the request and gives the body of a `200`.
fn ask(args: &InferArgs, inputs: &[Input], nonce: &[u8; 32]) -> Result<Vec<u8>, Failure> {
    let url = args.url.trim_end_matches('/');
    let address = format!("{url}/v2/models/{}/infer", args.model);
    let request = json!({
        "parameters": { "nonce": bytes_to_hex(nonce), "receipt": "inline" },
        "inputs": inputs.iter().map(|input| &input.wire).collect::<Vec<_>>(),
    });
    let response = agent(args)
        .post(&address)
        .header("content-type", "application/json")
        .header("request-timeout", args.timeout.to_string())
        .send(request.to_string());
    let (status, body) = read(url, &address, response)?;
    if status == 200 {
        Ok(body)
    } else {
        Err(refused(status, &body))
    }
}

fn get(args: &InferArgs, path: &str) -> Result<(u16, Vec<u8>), Failure> {
    let url = args.url.trim_end_matches('/');
    let address = format!("{url}{path}");
    read(url, &address, agent(args).get(&address).call())
}

fn agent(args: &InferArgs) -> ureq::Agent {
    ureq::Agent::config_builder()
        .timeout_global(Some(Duration::from_secs(args.timeout)))
        .http_status_as_error(false)
        .build()
        .into()
}

/// Status and body of an answer.
fn read(
    url: &str,
    address: &str,
    response: Result<ureq::http::Response<ureq::Body>, ureq::Error>,
) -> Result<(u16, Vec<u8>), Failure> {
    let unreachable = |error: &dyn std::error::Error| unreachable(url, address, error);
    let mut response = response.map_err(|error| unreachable(&error))?;
    let status = response.status().as_u16();
    let mut body = Vec::new();
    response
        .body_mut()
        .as_reader()
        .take(MAX_ANSWER_BYTES)
        .read_to_end(&mut body)
        .map_err(|error| unreachable(&error))?;
    Ok((status, body))
}

/// There is no answer.
pub(super) fn unreachable(url: &str, address: &str, error: &dyn std::error::Error) -> Failure {
    let message = format!("no answer from {address}");
    let mut failure = Failure::environment("service-unreachable", message);
    failure.causes.push(error.to_string());
    failure.hint(if url.starts_with("https:") {
        "this tool speaks plain HTTP; ask through a proxy that ends TLS, or fetch the receipt \
         with another client and use `proofmark verify`"
    } else {
        "is the service running, and is --url right? (`proofmark serve` prints it)"
    })
}

/// The service's problem in its own words.
pub(super) fn refused(status: u16, body: &[u8]) -> Failure {
    let problem: Value = serde_json::from_slice(body).unwrap_or(Value::Null);
    let member = |name: &str| problem.get(name).and_then(Value::as_str);
    let exit = match status {
        408 | 425 | 429 | 500.. => Exit::Environment,
        _ => Exit::Usage,
    };
    let code = member("code").filter(|code| is_code(code));
    let detail = member("detail").unwrap_or("it gave no reason");
    let message = format!("the service answered {status}: {detail}");
    let mut failure = Failure::new(exit, code.unwrap_or("service-refused"), message);
    let faults = problem.get("errors").and_then(Value::as_array);
    for fault in faults.map_or(&[][..], Vec::as_slice) {
        if let Some(detail) = fault.get("detail").and_then(Value::as_str)
            && !failure.message.contains(detail)
        {
            failure.causes.push(detail.to_owned());
        }
    }
    if matches!(status, 429 | 503) {
        failure = failure.hint("the service is busy; try again in a while");
    }
    failure
}

/// Whether a text can be one of our codes; a hostile service chooses what stands there.
fn is_code(text: &str) -> bool {
    (1..=64).contains(&text.len())
        && text
            .bytes()
            .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_problem_of_the_service_keeps_its_code() {
        let body = json!({
            "code": "input-shape",
            "detail": "2 parts of the request are wrong, see errors",
            "errors": [{"detail": "shape is [1, 4]"}, {"detail": "input \"y\" is missing"}],
        });
        let failure = refused(400, body.to_string().as_bytes());
        assert_eq!(failure.exit, Exit::Usage);
        assert_eq!(failure.code, "input-shape");
        assert_eq!(failure.causes.len(), 2);
        let busy = refused(429, b"{\"code\": \"queue-full\", \"detail\": \"later\"}");
        assert_eq!(busy.exit, Exit::Environment);
        assert!(busy.hint.is_some());
        for hostile in [
            &b"<html>"[..],
            b"{\"code\": \"\\u001b[2J\"}",
            b"{\"code\": 7}",
        ] {
            let failure = refused(502, hostile);
            assert_eq!(failure.code, "service-refused");
            assert_eq!(failure.exit, Exit::Environment);
        }
    }
}

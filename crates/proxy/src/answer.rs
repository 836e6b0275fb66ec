//! The answer that a client gets, made from the verified statement alone.

use axum::http::header;
use axum::response::{IntoResponse as _, Response};
use proofmark_http::catalogue::Named as _;
use proofmark_http::problem::Problem;
use proofmark_http::tensors::{OutputTensor, encode_outputs};
use proofmark_recipient::bytes_to_hex;
use proofmark_types::Digest;
use proofmark_types::field::fr_to_hex;
use serde::Serialize;
use serde_json::value::RawValue;

use crate::fields::{PROOFMARK_VERIFIED, verified};
use crate::judge::{Proven, Question};
use crate::provider::Provider;

/// How one request wants to be answered.
#[derive(Debug)]
pub(crate) struct Wishes {
    /// Identifier that the client gave the request.
    pub(crate) id: Option<String>,
    /// Names of the outputs and views wanted; all when empty.
    pub(crate) wanted: Vec<String>,
    /// Whether the answer carries the receipt.
    pub(crate) inline_receipt: bool,
}

/// As a service says it, without what only that service could say.
#[derive(Serialize)]
struct Parameters {
    proof_status: &'static str,
    receipt_id: Digest,
    statement_digest: Digest,
    package_digest: Digest,
    model_digest: Digest,
    circuit_digest: Digest,
    verifying_key_digest: Digest,
    setup_kind: &'static str,
    nonce: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    log_index: Option<u64>,
}

#[derive(Serialize)]
struct Salt<'a> {
    tensor: &'a str,
    salt: String,
}

#[derive(Serialize)]
struct Body<'a> {
    model_name: &'a str,
    model_version: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    id: Option<&'a str>,
    parameters: Parameters,
    outputs: Vec<OutputTensor>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    openings: Vec<Salt<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    receipt: Option<&'a RawValue>,
    #[serde(skip_serializing_if = "Option::is_none")]
    tlog_proof: Option<&'a str>,
}

/// Writes the answer, with header fields that say what was checked.
pub(crate) fn write(
    wishes: &Wishes,
    question: &Question,
    provider: &Provider,
    proven: &Proven,
) -> Result<Response, Problem> {
    let manifest = question.model.manifest();
    let verdict = &proven.verified.verdict;
    let receipt: Option<&RawValue> = wishes
        .inline_receipt
        .then(|| serde_json::from_slice(&proven.receipt))
        .transpose()
        .map_err(|error| Problem::internal(format!("a verified receipt is no JSON: {error}")))?;
    let salts = proven.verified.openings.iter().filter_map(|opening| {
        let salt = fr_to_hex(opening.salt.as_ref()?);
        let tensor = opening.name.as_str();
        verdict
            .opened
            .contains(&opening.name)
            .then_some(Salt { tensor, salt })
    });
    let body = Body {
        model_name: &manifest.name,
        model_version: &manifest.version,
        id: wishes.id.as_deref(),
        parameters: Parameters {
            proof_status: "verified",
            receipt_id: verdict.receipt_id,
            statement_digest: verdict.statement_digest,
            package_digest: proven.verified.package,
            model_digest: manifest.integer_model.digest,
            circuit_digest: verdict.receipt.circuit,
            verifying_key_digest: verdict.receipt.verifying_key,
            setup_kind: verdict.setup_kind.name(),
            nonce: bytes_to_hex(&verdict.receipt.context.nonce),
            log_index: proven.verified.logged.as_ref().map(|logged| logged.index),
        },
        outputs: encode_outputs(manifest, &proven.outputs, &wishes.wanted)?,
        openings: salts.collect(),
        receipt,
        tlog_proof: proven
            .tlog_proof
            .as_deref()
            .filter(|_| wishes.inline_receipt),
    };
    let bytes = serde_json::to_vec(&body)
        .map_err(|error| Problem::internal(format!("the answer cannot be written: {error}")))?;
    let milliseconds = |time: std::time::Duration| time.as_secs_f64() * 1e3;
    let timing = format!(
        "provider;dur={:.1}, check;dur={:.1}",
        milliseconds(proven.provider_time),
        milliseconds(proven.check_time)
    );
    let headers = [
        (header::CONTENT_TYPE.as_str(), "application/json".to_owned()),
        (
            PROOFMARK_VERIFIED,
            verified(&proven.verified, &provider.url),
        ),
        ("server-timing", timing),
    ];
    Ok((headers, bytes).into_response())
}

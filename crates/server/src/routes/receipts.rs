//! Receipts by their identifier.

use std::sync::Arc;

use axum::extract::{Path, State};
use axum::http::header::LINK;
use axum::http::{HeaderMap, HeaderValue};
use axum::response::Response;
use proofmark_store::ReceiptRecord;
use proofmark_types::Digest;
use proofmark_types::receipt::ENVELOPE_MEDIA_TYPE;

use super::models::immutable;
use crate::error::store_problem;
use crate::problem::{Problem, ProblemBody};
use crate::service::Shared;

/// Relation of a receipt to the proof that it is logged.
const TLOG_PROOF: &str = "https://c2sp.org/tlog-proof";

/// A receipt, byte for byte as it was made.
///
/// The header `Link` with `rel="https://c2sp.org/tlog-proof"` names the proof that it is in the
/// transparency log.
///
/// There is no list of receipts: an identifier cannot be guessed, so only whoever was given it
/// finds the receipt and the public inputs in it.
#[utoipa::path(
    get,
    path = "/v1/receipts/{id}",
    tag = "receipts",
    params(("id" = String, Path, description = "`sha256:` and 64 hex digits, or the digits alone")),
    responses(
        (status = OK, description = "The receipt", content_type = "application/vnd.dsse.envelope.v1+json", body = Object),
        (status = BAD_REQUEST, description = "`parameter-invalid`", content_type = "application/problem+json", body = ProblemBody<'static>),
        (status = NOT_FOUND, description = "`receipt-unknown`", content_type = "application/problem+json", body = ProblemBody<'static>),
        (status = SERVICE_UNAVAILABLE, description = "`store-unavailable`", content_type = "application/problem+json", body = ProblemBody<'static>)
    )
)]
pub(crate) async fn get_receipt(
    State(shared): State<Arc<Shared>>,
    Path(id): Path<String>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let record = record(&shared, &id).await?;
    if record.log_index.is_none() {
        // Nothing is handed out that the log does not hold.
        return Err(unknown(&record.id));
    }
    let proof = format!(
        "<{}/v1/receipts/{}/tlog-proof>; rel=\"{TLOG_PROOF}\"",
        shared.config.public_url,
        record.id.to_hex()
    );
    let cache = "private, max-age=31536000, immutable";
    let mut response = immutable(
        &headers,
        &record.id,
        ENVELOPE_MEDIA_TYPE,
        cache,
        record.envelope,
    );
    if let Ok(proof) = HeaderValue::from_str(&proof) {
        response.headers_mut().insert(LINK, proof);
    }
    Ok(response)
}

/// The stored receipt of an identifier in a path.
pub(super) async fn record(shared: &Shared, id: &str) -> Result<ReceiptRecord, Problem> {
    let digits = id.strip_prefix("sha256:").unwrap_or(id);
    let id = Digest::from_hex(digits).map_err(|_| {
        Problem::client(
            "parameter-invalid",
            "a receipt's identifier is sha256: and 64 lower-case hex digits, or the digits alone",
        )
    })?;
    shared
        .store
        .receipt(&id)
        .await
        .map_err(|e| store_problem(&e))?
        .ok_or_else(|| unknown(&id))
}

/// No receipt of this identifier was handed out here.
pub(super) fn unknown(id: &Digest) -> Problem {
    Problem::client("receipt-unknown", format!("no receipt {id} is stored here"))
}

//! Receipts by their identifier.

use std::sync::Arc;

use axum::extract::{Path, State};
use axum::http::HeaderMap;
use axum::response::Response;
use proofmark_types::Digest;
use proofmark_types::receipt::ENVELOPE_MEDIA_TYPE;

use super::models::immutable;
use crate::problem::{Problem, ProblemBody};
use crate::service::Shared;

/// A receipt, byte for byte as it was made.
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
    let digits = id.strip_prefix("sha256:").unwrap_or(&id);
    let id = Digest::from_hex(digits).map_err(|_| {
        Problem::client(
            "parameter-invalid",
            "a receipt's identifier is sha256: and 64 lower-case hex digits, or the digits alone",
        )
    })?;
    let record = shared
        .store
        .receipt(&id)
        .await
        .map_err(|e| Problem::store(&e))?
        .ok_or_else(|| {
            Problem::client("receipt-unknown", format!("no receipt {id} is stored here"))
        })?;
    let cache = "private, max-age=31536000, immutable";
    Ok(immutable(
        &headers,
        &id,
        ENVELOPE_MEDIA_TYPE,
        cache,
        record.envelope,
    ))
}

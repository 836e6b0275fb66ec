//! The transparency log: a proof for one receipt, and the log itself as static files (C2SP
//! tlog-tiles), with this service's address as the log's URL prefix.

use std::io::ErrorKind;
use std::sync::Arc;

use axum::Json;
use axum::extract::rejection::QueryRejection;
use axum::extract::{Path, Query, State};
use axum::http::header;
use axum::response::{IntoResponse as _, Response};
use proofmark_log::Head;
use proofmark_tlog::TilePath;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::receipts::{record, unknown};
use crate::problem::{Problem, ProblemBody};
use crate::service::Shared;

/// The transparency log of this service.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct LogSummary {
    /// The log's name: the first line of its checkpoints.
    origin: String,
    /// The log's public key as signed notes write it: what a verifier pins, got from a source that
    /// it trusts.
    verifier_key: String,
    /// The raw Ed25519 public key that the service signs receipts and notices with now: `0x` and 64 hex
    /// digits. Pin it from a source that you trust.
    service_key: String,
    /// Where the latest checkpoint is; tiles and entries lie beside it under `tile/`.
    checkpoint_url: String,
}

/// The transparency log of this service.
#[utoipa::path(
    get,
    path = "/v1/log",
    tag = "log",
    responses((status = OK, body = LogSummary))
)]
pub(crate) async fn get_log(State(shared): State<Arc<Shared>>) -> Json<LogSummary> {
    Json(LogSummary {
        origin: shared.log.origin().to_owned(),
        verifier_key: shared.log.verifier_key().to_owned(),
        service_key: format!("0x{}", hex::encode(shared.log.service_key())),
        checkpoint_url: format!("{}/checkpoint", shared.config.public_url),
    })
}

/// Which checkpoint a proof ends in.
#[derive(Debug, Clone, Copy, Default, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum HeadName {
    /// The log's latest.
    #[default]
    Latest,
    /// The latest that witnesses cosigned.
    Cosigned,
}

/// Which checkpoint a proof ends in.
#[derive(Debug, Deserialize)]
pub(crate) struct HeadQuery {
    #[serde(default)]
    head: HeadName,
}

/// A proof that a receipt is in the transparency log: a `.tlog-proof` (C2SP tlog-proof).
///
/// It is made anew from the log as it is now, so it changes as the log grows; each one that was
/// given stays true.
#[utoipa::path(
    get,
    path = "/v1/receipts/{id}/tlog-proof",
    tag = "log",
    params(
        ("id" = String, Path, description = "`sha256:` and 64 hex digits, or the digits alone"),
        ("head" = Option<HeadName>, Query, description = "Which checkpoint the proof ends in")
    ),
    responses(
        (status = OK, description = "The proof", content_type = "text/plain", body = String),
        (status = BAD_REQUEST, description = "`parameter-invalid`", content_type = "application/problem+json", body = ProblemBody<'static>),
        (status = NOT_FOUND, description = "`receipt-unknown`, `log-not-cosigned`", content_type = "application/problem+json", body = ProblemBody<'static>),
        (status = SERVICE_UNAVAILABLE, description = "`store-unavailable`, `log-unavailable`", content_type = "application/problem+json", body = ProblemBody<'static>)
    )
)]
pub(crate) async fn get_tlog_proof(
    State(shared): State<Arc<Shared>>,
    Path(id): Path<String>,
    query: Result<Query<HeadQuery>, QueryRejection>,
) -> Result<Response, Problem> {
    let Query(HeadQuery { head }) =
        query.map_err(|e| Problem::client("parameter-invalid", e.body_text()))?;
    let record = record(&shared, &id).await?;
    let index = record.log_index.ok_or_else(|| unknown(&record.id))?;
    let head = match head {
        HeadName::Latest => Head::Latest,
        HeadName::Cosigned => Head::Cosigned,
    };
    let proof = shared.log.prove(index, head).await?;
    Ok((
        [
            (header::CONTENT_TYPE, "text/plain; charset=utf-8"),
            (header::CACHE_CONTROL, "private, no-cache"),
        ],
        proof,
    )
        .into_response())
}

/// Which smaller tree a proof begins at.
#[derive(Debug, Deserialize)]
pub(crate) struct OlderQuery {
    /// Its size.
    from: u64,
}

/// That the log of today goes on from an older one.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct ConsistencyProof {
    /// Size of the older tree.
    from: u64,
    /// Size of the checkpoint's tree.
    to: u64,
    /// The hashes of RFC 6962, section 2.1.2, in base64.
    proof: Vec<String>,
    /// The latest checkpoint, which the proof ends in (C2SP tlog-checkpoint).
    checkpoint: String,
}

/// A proof that the log only grew since it had `from` entries.
///
/// Whoever kept an older checkpoint verifies with it that nothing that was in the log then was
/// changed or taken out.
#[utoipa::path(
    get,
    path = "/v1/log/consistency",
    tag = "log",
    params(("from" = u64, Query, description = "Size of the older checkpoint")),
    responses(
        (status = OK, body = ConsistencyProof),
        (status = BAD_REQUEST, description = "`parameter-invalid`, `tlog-out-of-range`: the log never had so many entries, or none", content_type = "application/problem+json", body = ProblemBody<'static>),
        (status = SERVICE_UNAVAILABLE, description = "`log-unavailable`", content_type = "application/problem+json", body = ProblemBody<'static>)
    )
)]
pub(crate) async fn get_consistency(
    State(shared): State<Arc<Shared>>,
    query: Result<Query<OlderQuery>, QueryRejection>,
) -> Result<Json<ConsistencyProof>, Problem> {
    let Query(OlderQuery { from }) =
        query.map_err(|e| Problem::client("parameter-invalid", e.body_text()))?;
    let (proof, checkpoint) = shared.log.prove_consistency(from).await?;
    Ok(Json(ConsistencyProof {
        from,
        to: checkpoint.checkpoint().size(),
        proof: proof.iter().map(ToString::to_string).collect(),
        checkpoint: checkpoint.to_string(),
    }))
}

/// The latest signed checkpoint (C2SP tlog-checkpoint).
#[utoipa::path(
    get,
    path = "/checkpoint",
    tag = "log",
    responses(
        (status = OK, description = "The checkpoint", content_type = "text/plain", body = String),
        (status = NOT_FOUND, description = "`not-found`: nothing is logged yet", content_type = "application/problem+json", body = ProblemBody<'static>),
        (status = SERVICE_UNAVAILABLE, description = "`log-unavailable`", content_type = "application/problem+json", body = ProblemBody<'static>)
    )
)]
pub(crate) async fn get_checkpoint(State(shared): State<Arc<Shared>>) -> Result<Response, Problem> {
    file(
        &shared,
        "checkpoint",
        "text/plain; charset=utf-8",
        "no-cache",
    )
    .await
}

/// The latest checkpoint that witnesses cosigned; it may be older than `/checkpoint`.
#[utoipa::path(
    get,
    path = "/checkpoint.cosigned",
    tag = "log",
    responses(
        (status = OK, description = "The checkpoint", content_type = "text/plain", body = String),
        (status = NOT_FOUND, description = "`not-found`: none is cosigned yet", content_type = "application/problem+json", body = ProblemBody<'static>),
        (status = SERVICE_UNAVAILABLE, description = "`log-unavailable`", content_type = "application/problem+json", body = ProblemBody<'static>)
    )
)]
pub(crate) async fn get_cosigned_checkpoint(
    State(shared): State<Arc<Shared>>,
) -> Result<Response, Problem> {
    let path = "checkpoint.cosigned";
    file(&shared, path, "text/plain; charset=utf-8", "no-cache").await
}

/// A tile of the log's Merkle tree, or a bundle of its entries (C2SP tlog-tiles).
#[utoipa::path(
    get,
    path = "/tile/{path}",
    tag = "log",
    params(("path" = String, Path, description = "`<level>/<index>[.p/<width>]` or `entries/<index>[.p/<width>]`, the index in groups of three digits like `x001/x234/067`")),
    responses(
        (status = OK, description = "The tile or bundle", content_type = "application/octet-stream", body = Vec<u8>),
        (status = NOT_FOUND, description = "`not-found`", content_type = "application/problem+json", body = ProblemBody<'static>),
        (status = SERVICE_UNAVAILABLE, description = "`log-unavailable`", content_type = "application/problem+json", body = ProblemBody<'static>)
    )
)]
pub(crate) async fn get_tile(
    State(shared): State<Arc<Shared>>,
    Path(path): Path<String>,
) -> Result<Response, Problem> {
    // Only the one spelling of a tile's path reaches the file system.
    let path = format!("tile/{path}");
    if path.parse::<TilePath>().is_err() {
        return Err(Problem::not_found());
    }
    let cache = "public, max-age=31536000, immutable";
    file(&shared, &path, "application/octet-stream", cache).await
}

async fn file(
    shared: &Shared,
    path: &str,
    media: &'static str,
    cache: &'static str,
) -> Result<Response, Problem> {
    let path = shared.log.public_folder().join(path);
    match tokio::fs::read(&path).await {
        Ok(bytes) => Ok((
            [
                (header::CONTENT_TYPE, media),
                (header::CACHE_CONTROL, cache),
            ],
            bytes,
        )
            .into_response()),
        Err(error) if error.kind() == ErrorKind::NotFound => Err(Problem::not_found()),
        Err(error) => Err(Problem::log(format!("{}: {error}", path.display()))),
    }
}

//! Whether the service lives, is ready, and what it counts.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::http::header;
use axum::response::{IntoResponse as _, Response};

use crate::counters::OPENMETRICS;
use crate::metadata::{Live, Ready, ServerMetadata};
use crate::problem::{Problem, ProblemBody};
use crate::queue::Phase;
use crate::service::Shared;

/// What this server is.
#[utoipa::path(
    get,
    path = "/v2",
    tag = "inference",
    responses((status = OK, body = ServerMetadata))
)]
pub(crate) async fn get_server() -> Json<ServerMetadata> {
    Json(ServerMetadata {
        name: "proofmark",
        version: env!("CARGO_PKG_VERSION"),
        extensions: ["proof/v1"],
    })
}

/// Whether the process answers.
#[utoipa::path(
    get,
    path = "/v2/health/live",
    tag = "operation",
    responses((status = OK, body = Live))
)]
pub(crate) async fn get_live() -> Json<Live> {
    Json(Live { live: true })
}

/// Whether the service takes new requests.
#[utoipa::path(
    get,
    path = "/v2/health/ready",
    tag = "operation",
    responses(
        (status = OK, body = Ready),
        (status = SERVICE_UNAVAILABLE, description = "`shutting-down`, `store-unavailable`, `log-unavailable`", content_type = "application/problem+json", body = ProblemBody<'static>)
    )
)]
pub(crate) async fn get_ready(State(shared): State<Arc<Shared>>) -> Result<Json<Ready>, Problem> {
    if shared.queue.phase() != Phase::Open {
        return Err(Problem::shutting_down());
    }
    shared.log.check()?;
    Ok(Json(Ready { ready: true }))
}

/// Counters and durations in OpenMetrics text.
#[utoipa::path(
    get,
    path = "/metrics",
    tag = "operation",
    responses((status = OK, description = "OpenMetrics text", content_type = "application/openmetrics-text", body = String))
)]
pub(crate) async fn get_metrics(State(shared): State<Arc<Shared>>) -> Result<Response, Problem> {
    let text = shared
        .metrics
        .render(shared.queue.depth())
        .map_err(|e| Problem::internal(format!("metrics cannot be written: {e}")))?;
    Ok(([(header::CONTENT_TYPE, OPENMETRICS)], text).into_response())
}

//! The table of contents of the API. Adding an endpoint: a handler with `#[utoipa::path]` and one
//! line here; then `UPDATE_EXPECT=1 cargo nextest run -p proofmark-server openapi`.

mod attestations;
mod health;
mod infer;
mod log;
mod models;
mod package;
mod receipts;
mod verify;

use std::sync::Arc;

use axum::Router;
use axum::extract::State;
use axum::http::header;
use axum::middleware;
use axum::response::{IntoResponse as _, Response};
use axum::routing::get;
use tower_http::catch_panic::CatchPanicLayer;
use utoipa::OpenApi;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::observe::{caught, observe};
use crate::origins;
use crate::problem::{Fault, Problem, ProblemBody};
use crate::service::Shared;
use crate::web;

pub(crate) use models::immutable;

pub use infer::decode_infer;
pub use verify::decode_verify;

/// Where the API is described.
const OPENAPI: &str = "/openapi.json";

#[derive(OpenApi)]
#[openapi(
    info(
        title = "Proofmark",
        description = "Inference whose every answer carries a proof that ONNX Runtime computed exactly this. \
                       Errors are RFC 9457 problems with stable codes."
    ),
    // A tile's path has slashes, which no template of OpenAPI covers: documented here, routed below.
    paths(log::get_tile),
    tags(
        (name = "inference", description = "Open Inference Protocol v2"),
        (name = "packages", description = "What a verifier needs of a served model"),
        (name = "receipts", description = "Receipts and their verification"),
        (name = "log", description = "The transparency log that holds every receipt handed out"),
        (name = "operation", description = "For whoever runs the service")
    ),
    components(schemas(ProblemBody<'static>, Fault, log::HeadName))
)]
struct Api;

fn documented() -> OpenApiRouter<Arc<Shared>> {
    OpenApiRouter::with_openapi(Api::openapi())
        .routes(routes!(health::get_server))
        .routes(routes!(health::get_live))
        .routes(routes!(health::get_ready))
        .routes(routes!(models::list_models_v2))
        .routes(routes!(models::get_model_v2))
        .routes(routes!(models::get_model_version_v2))
        .routes(routes!(models::get_model_ready))
        .routes(routes!(models::get_model_version_ready))
        .routes(routes!(infer::infer))
        .routes(routes!(infer::infer_version))
        .routes(routes!(models::list_models))
        .routes(routes!(models::get_model))
        .routes(routes!(models::get_manifest))
        .routes(routes!(models::get_verifying_key))
        .routes(routes!(models::get_transcript))
        .routes(routes!(package::list_package))
        .routes(routes!(package::get_package_file))
        .routes(routes!(attestations::list_attestations))
        .routes(routes!(attestations::get_attestation))
        .routes(routes!(receipts::get_receipt))
        .routes(routes!(log::get_tlog_proof))
        .routes(routes!(verify::verify))
        .routes(routes!(log::get_log))
        .routes(routes!(log::get_consistency))
        .routes(routes!(log::get_checkpoint))
        .routes(routes!(log::get_cosigned_checkpoint))
        .routes(routes!(health::get_metrics))
        .routes(routes!(get_openapi))
}

/// The description of the API, generated from the handlers.
pub fn openapi() -> utoipa::openapi::OpenApi {
    documented().into_openapi()
}

/// [`openapi`] as indented JSON.
pub(crate) fn openapi_json() -> String {
    // Strings and maps only: this cannot fail; an empty document is the honest fallback.
    openapi().to_pretty_json().unwrap_or_default()
}

pub(crate) fn router(shared: &Arc<Shared>) -> Router {
    let (router, _) = documented().split_for_parts();
    let router = router
        .route("/tile/{*path}", get(log::get_tile))
        .merge(web::router())
        .fallback(async || Problem::not_found())
        .method_not_allowed_fallback(async || Problem::method_not_allowed())
        .layer(CatchPanicLayer::custom(caught))
        .layer(middleware::from_fn_with_state(
            Arc::clone(shared),
            observe::<Shared>,
        ))
        .with_state(Arc::clone(shared));
    // Outermost: problems are written by `observe`, and other origins are to read them, too.
    match origins::layer(&shared.config.allowed_origins) {
        Some(layer) => router.layer(layer),
        None => router,
    }
}

/// The description of this API (OpenAPI 3.1).
#[utoipa::path(
    get,
    path = "/openapi.json",
    tag = "operation",
    responses((status = OK, description = "This document", content_type = "application/json", body = Object))
)]
async fn get_openapi(State(shared): State<Arc<Shared>>) -> Response {
    (
        [(header::CONTENT_TYPE, "application/json")],
        shared.openapi.clone(),
    )
        .into_response()
}

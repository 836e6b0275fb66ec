//! The Open Inference Protocol, as clients speak it. What a model is comes from the pinned manifest.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use axum::extract::{Path, Request, State};
use axum::http::header;
use axum::response::{IntoResponse as _, Response};
use axum::routing::{get, post};
use axum::{Json, Router, middleware};
use proofmark_http::bodies::{parse_json, patience};
use proofmark_http::catalogue::Named as _;
use proofmark_http::counters::OPENMETRICS;
use proofmark_http::metadata::{
    Live, ModelMetadata, ModelNames, ModelReady, Ready, ServerMetadata,
};
use proofmark_http::observe::{RequestId, caught, observe};
use proofmark_http::problem::Problem;
use proofmark_http::request::{InferRequest, wanted};
use proofmark_http::tensors::decode_inputs;
use tokio::task::spawn_blocking;
use tower_http::catch_panic::CatchPanicLayer;

use crate::answer::{Wishes, write};
use crate::judge::Question;
use crate::models::Model;
use crate::provider::{Provider, Until};
use crate::relay::{order, relay, too_late};
use crate::service::Shared;

/// Where what clients may send is described, for those who sent something else.
const DESCRIBED: &str = "docs/guides/proxy.md";
/// Time that a provider has to say whether it is ready.
const PROBE: Duration = Duration::from_secs(2);
/// Largest answer to that.
const MAX_PROBE_BYTES: usize = 64 << 10;
/// How long an answer about everything's readiness holds: whoever asks all the time asks providers
/// no more often.
const READY_FOR: Duration = Duration::from_secs(1);

type Reply<T> = Result<Json<T>, Problem>;
type Named = Path<String>;
type Versioned = Path<(String, String)>;

pub(crate) fn router(shared: &Arc<Shared>) -> Router {
    let unknown = || {
        let paths = format!("no such path; {DESCRIBED} lists all of them");
        Problem::client("not-found", paths)
    };
    let method = || {
        let detail = format!("this path does not have this method; {DESCRIBED} lists all of them");
        Problem::client("method-not-allowed", detail)
    };
    Router::new()
        .route("/v2", get(server))
        .route("/v2/health/live", get(live))
        .route("/v2/health/ready", get(ready))
        .route("/v2/models", get(models))
        .route("/v2/models/{name}", get(model))
        .route("/v2/models/{name}/ready", get(model_ready))
        .route("/v2/models/{name}/infer", post(infer))
        .route("/v2/models/{name}/versions/{version}", get(version))
        .route(
            "/v2/models/{name}/versions/{version}/ready",
            get(version_ready),
        )
        .route(
            "/v2/models/{name}/versions/{version}/infer",
            post(infer_version),
        )
        .route("/metrics", get(metrics))
        .fallback(async move || unknown())
        .method_not_allowed_fallback(async move || method())
        .layer(CatchPanicLayer::custom(caught))
        .layer(middleware::from_fn_with_state(
            Arc::clone(shared),
            observe::<Shared>,
        ))
        .with_state(Arc::clone(shared))
}

async fn server() -> Json<ServerMetadata> {
    Json(ServerMetadata {
        name: "proofmark-proxy",
        version: env!("CARGO_PKG_VERSION"),
        extensions: ["proof/v1"],
    })
}

async fn live() -> Json<Live> {
    Json(Live { live: true })
}

/// Ready is who finds, for every pinned model, a provider that says that it is ready for it.
async fn ready(State(shared): State<Arc<Shared>>) -> Reply<Ready> {
    let mut known = shared.ready.lock().await;
    let held = known.as_ref().filter(|(at, _)| at.elapsed() < READY_FOR);
    let found = if let Some((_, found)) = held {
        found.clone()
    } else {
        let found = all_ready(&shared).await;
        *known = Some((Instant::now(), found.clone()));
        found
    };
    found.map(|()| Json(Ready { ready: true }))
}

async fn all_ready(shared: &Arc<Shared>) -> Result<(), Problem> {
    for model in shared.models.iter() {
        probe(shared, model).await?;
    }
    Ok(())
}

async fn probe(shared: &Arc<Shared>, model: &Arc<Model>) -> Result<(), Problem> {
    if shared.closing.load(Ordering::Relaxed) {
        return Err(Problem::shutting_down());
    }
    let path = format!("{}/ready", model.path());
    for provider in order(&shared.providers, Instant::now()) {
        let path = path.clone();
        let asked = spawn_blocking(move || says_ready(&provider, &path)).await;
        if asked.is_ok_and(|ready| ready) {
            return Ok(());
        }
    }
    let detail = format!(
        "no provider says that it is ready for model {} in the pinned version; try again later",
        model.manifest().name
    );
    Err(Problem::client("service-unreachable", detail).retry_after(5))
}

fn says_ready(provider: &Provider, path: &str) -> bool {
    let until = Until {
        instant: Instant::now() + PROBE,
        whole: true,
    };
    matches!(provider.get(path, MAX_PROBE_BYTES, until), Ok(Some(_)))
}

async fn models(State(shared): State<Arc<Shared>>) -> Json<ModelNames> {
    let models = shared.models.names().map(str::to_owned).collect();
    Json(ModelNames { models })
}

fn metadata(shared: &Shared, name: &str, version: Option<&str>) -> Reply<ModelMetadata> {
    let model = shared.models.find(name, version)?;
    let versions = shared.models.versions(name)?.iter();
    let versions = versions.map(|model| model.manifest().version.clone());
    Ok(Json(ModelMetadata::of(
        model.manifest(),
        versions.collect(),
    )))
}

async fn model(State(shared): State<Arc<Shared>>, Path(name): Named) -> Reply<ModelMetadata> {
    metadata(&shared, &name, None)
}

async fn version(
    State(shared): State<Arc<Shared>>,
    Path((name, version)): Versioned,
) -> Reply<ModelMetadata> {
    metadata(&shared, &name, Some(&version))
}

async fn readiness(shared: &Arc<Shared>, model: &Arc<Model>) -> Reply<ModelReady> {
    probe(shared, model).await?;
    Ok(Json(ModelReady {
        name: model.manifest().name.clone(),
        ready: true,
    }))
}

async fn model_ready(State(shared): State<Arc<Shared>>, Path(name): Named) -> Reply<ModelReady> {
    readiness(&shared, shared.models.find(&name, None)?).await
}

async fn version_ready(
    State(shared): State<Arc<Shared>>,
    Path((name, version)): Versioned,
) -> Reply<ModelReady> {
    readiness(&shared, shared.models.find(&name, Some(&version))?).await
}

async fn infer(
    State(shared): State<Arc<Shared>>,
    Path(name): Named,
    request: Request,
) -> Result<Response, Problem> {
    let model = Arc::clone(shared.models.find(&name, None)?);
    answer(&shared, model, request).await
}

async fn infer_version(
    State(shared): State<Arc<Shared>>,
    Path((name, version)): Versioned,
    request: Request,
) -> Result<Response, Problem> {
    let model = Arc::clone(shared.models.find(&name, Some(&version))?);
    answer(&shared, model, request).await
}

async fn answer(
    shared: &Arc<Shared>,
    model: Arc<Model>,
    request: Request,
) -> Result<Response, Problem> {
    let accepted = Instant::now();
    let (parts, body) = request.into_parts();
    let config = &shared.config;
    let deadline = accepted + patience(&parts.headers, config.timeout, config.max_timeout)?;
    let body = shared.bodies.read_json(&parts.headers, body).await?;
    let request: InferRequest = parse_json(&body.bytes, DESCRIBED)?;
    drop(body);
    let manifest = model.manifest();
    let wishes = Wishes {
        inline_receipt: request.parameters.inline_receipt()?,
        wanted: wanted(manifest, request.outputs)?,
        id: request.id,
    };
    let context = request.parameters.context()?;
    let inputs = decode_inputs(manifest, &request.inputs)?;
    let id = parts.extensions.get::<RequestId>();
    let id = id.map_or_else(String::new, |id| id.0.clone());
    let question = Arc::new(Question::new(model, &inputs, context, id)?);
    let place = Arc::clone(&shared.places)
        .try_acquire_owned()
        .map_err(|_| {
            let detail = "as many requests are under way as may be; try again in a moment";
            Problem::client("queue-full", detail).retry_after(1)
        })?;
    let asked = relay(shared, Arc::clone(&question), place, deadline);
    let (provider, proven) = tokio::time::timeout_at(deadline.into(), asked)
        .await
        .map_err(|_| too_late())??;
    write(&wishes, &question, &provider, &proven)
}

async fn metrics(State(shared): State<Arc<Shared>>) -> Result<Response, Problem> {
    let text = shared.metrics.render(&shared.providers);
    let text = text.map_err(|e| Problem::internal(format!("metrics cannot be written: {e}")))?;
    Ok(([(header::CONTENT_TYPE, OPENMETRICS)], text).into_response())
}

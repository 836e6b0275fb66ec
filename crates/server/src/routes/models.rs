//! What is served: in the protocol's words under `/v2`, and under `/v1` what a verifier pins.

use std::sync::Arc;

use axum::Json;
use axum::extract::rejection::QueryRejection;
use axum::extract::{Path, Query, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse as _, Response};
use proofmark_types::Digest;
use proofmark_types::card::Card;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use utoipa::ToSchema;

use super::package;
use crate::metadata::{ModelMetadata, ModelNames, ModelReady};
use crate::problem::{Problem, ProblemBody};
use crate::queue::Phase;
use crate::recent::ProofTimes;
use crate::registry::Served;
use crate::service::Shared;

/// Names of the served models.
#[utoipa::path(
    get,
    path = "/v2/models",
    tag = "inference",
    responses((status = OK, body = ModelNames))
)]
pub(crate) async fn list_models_v2(State(shared): State<Arc<Shared>>) -> Json<ModelNames> {
    let mut models: Vec<_> = shared
        .registry
        .iter()
        .map(|m| m.name().to_owned())
        .collect();
    models.dedup();
    Json(ModelNames { models })
}

fn metadata(
    shared: &Shared,
    name: &str,
    version: Option<&str>,
) -> Result<Json<ModelMetadata>, Problem> {
    let model = shared.registry.find(name, version)?;
    let versions = shared.registry.versions(name)?;
    let versions = versions.iter().map(|m| m.version().to_owned()).collect();
    Ok(Json(ModelMetadata::of(model.manifest(), versions)))
}

/// Inputs and outputs of a model.
#[utoipa::path(
    get,
    path = "/v2/models/{name}",
    tag = "inference",
    params(("name" = String, Path, description = "Model")),
    responses(
        (status = OK, body = ModelMetadata),
        (status = NOT_FOUND, description = "`model-unknown`", content_type = "application/problem+json", body = ProblemBody<'static>)
    )
)]
pub(crate) async fn get_model_v2(
    State(shared): State<Arc<Shared>>,
    Path(name): Path<String>,
) -> Result<Json<ModelMetadata>, Problem> {
    metadata(&shared, &name, None)
}

/// Inputs and outputs of one version of a model.
#[utoipa::path(
    get,
    path = "/v2/models/{name}/versions/{version}",
    tag = "inference",
    params(("name" = String, Path, description = "Model"), ("version" = String, Path, description = "Version")),
    responses(
        (status = OK, body = ModelMetadata),
        (status = NOT_FOUND, description = "`model-unknown`, `version-unknown`", content_type = "application/problem+json", body = ProblemBody<'static>)
    )
)]
pub(crate) async fn get_model_version_v2(
    State(shared): State<Arc<Shared>>,
    Path((name, version)): Path<(String, String)>,
) -> Result<Json<ModelMetadata>, Problem> {
    metadata(&shared, &name, Some(&version))
}

fn readiness(
    shared: &Shared,
    name: &str,
    version: Option<&str>,
) -> Result<Json<ModelReady>, Problem> {
    let model = shared.registry.find(name, version)?;
    if shared.queue.phase() != Phase::Open {
        return Err(Problem::shutting_down());
    }
    shared.log.check()?;
    shared.log.check_model(model)?;
    Ok(Json(ModelReady {
        name: model.name().to_owned(),
        ready: true,
    }))
}

/// Whether a model takes requests.
#[utoipa::path(
    get,
    path = "/v2/models/{name}/ready",
    tag = "inference",
    params(("name" = String, Path, description = "Model")),
    responses(
        (status = OK, body = ModelReady),
        (status = NOT_FOUND, description = "`model-unknown`", content_type = "application/problem+json", body = ProblemBody<'static>),
        (status = SERVICE_UNAVAILABLE, description = "`shutting-down`, `store-unavailable`, `log-unavailable`", content_type = "application/problem+json", body = ProblemBody<'static>)
    )
)]
pub(crate) async fn get_model_ready(
    State(shared): State<Arc<Shared>>,
    Path(name): Path<String>,
) -> Result<Json<ModelReady>, Problem> {
    readiness(&shared, &name, None)
}

/// Whether one version of a model takes requests.
#[utoipa::path(
    get,
    path = "/v2/models/{name}/versions/{version}/ready",
    tag = "inference",
    params(("name" = String, Path, description = "Model"), ("version" = String, Path, description = "Version")),
    responses(
        (status = OK, body = ModelReady),
        (status = NOT_FOUND, description = "`model-unknown`, `version-unknown`", content_type = "application/problem+json", body = ProblemBody<'static>),
        (status = SERVICE_UNAVAILABLE, description = "`shutting-down`, `store-unavailable`, `log-unavailable`", content_type = "application/problem+json", body = ProblemBody<'static>)
    )
)]
pub(crate) async fn get_model_version_ready(
    State(shared): State<Arc<Shared>>,
    Path((name, version)): Path<(String, String)>,
) -> Result<Json<ModelReady>, Problem> {
    readiness(&shared, &name, Some(&version))
}

/// The digests of a served package.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct PackageSummary {
    /// Name of the model.
    name: String,
    /// Its version.
    version: String,
    /// What the model is called among people, in the operator's words; `null` without a card.
    title: Option<String>,
    /// How long the latest proofs took here; `null` before the first one.
    proof_times: Option<ProofTimes>,
    /// Digest of the manifest: what a verifier pins, got from a source it trusts.
    #[schema(value_type = String)]
    package_digest: Digest,
    /// Digest of the integer model.
    #[schema(value_type = String)]
    model_digest: Digest,
    /// Digest of the circuit.
    #[schema(value_type = String)]
    circuit_digest: Digest,
    /// Number of constraints of the circuit.
    constraints: u64,
    /// Digest of the verifying key.
    #[schema(value_type = String)]
    verifying_key_digest: Digest,
    /// How the keys were made: whoever made `single-party` keys could forge.
    setup_kind: &'static str,
    /// Where the manifest is.
    manifest_url: String,
    /// Where the verifying key is.
    verifying_key_url: String,
    /// Where the record of the keys' making is; its digest stands in the manifest.
    transcript_url: String,
    /// Where the attestations of audits are listed.
    attestations_url: String,
    /// Where the files of the whole package are listed, for who proves on their own machine; `null`
    /// when the operator does not hand it out.
    package_url: Option<String>,
}

fn summary(shared: &Shared, model: &Served) -> PackageSummary {
    let (name, version) = (model.name(), model.version());
    let base = format!("{}/v1/models/{name}", shared.config.public_url);
    PackageSummary {
        name: name.to_owned(),
        version: version.to_owned(),
        title: model.backend.card().map(|card| card.title.clone()),
        proof_times: model.recent.times(),
        package_digest: model.package,
        model_digest: model.manifest().integer_model.digest,
        circuit_digest: model.sealed.circuit.digest,
        constraints: model.sealed.circuit.constraints,
        verifying_key_digest: model.sealed.verifying_key.digest,
        setup_kind: model.sealed.setup_kind.name(),
        manifest_url: format!("{base}/manifest?version={version}"),
        verifying_key_url: format!("{base}/verifying-key?version={version}"),
        transcript_url: format!("{base}/transcript?version={version}"),
        attestations_url: format!("{base}/attestations?version={version}"),
        package_url: package::url(shared, model),
    }
}

/// The served packages.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct PackageList {
    /// One entry a version of a model.
    models: Vec<PackageSummary>,
}

/// The served packages and their digests.
#[utoipa::path(
    get,
    path = "/v1/models",
    tag = "packages",
    responses((status = OK, body = PackageList))
)]
pub(crate) async fn list_models(State(shared): State<Arc<Shared>>) -> Json<PackageList> {
    let models = shared
        .registry
        .iter()
        .map(|m| summary(&shared, m))
        .collect();
    Json(PackageList { models })
}

/// Which version of a model.
#[derive(Debug, Deserialize)]
pub(crate) struct VersionQuery {
    /// The version; the default one when absent.
    version: Option<String>,
}

pub(super) type VersionOf = Result<Query<VersionQuery>, QueryRejection>;

/// The model of this name, and of this version when one is named.
pub(super) fn find<'a>(
    shared: &'a Shared,
    name: &str,
    query: VersionOf,
) -> Result<&'a Arc<Served>, Problem> {
    let Query(VersionQuery { version }) =
        query.map_err(|e| Problem::client("parameter-invalid", e.body_text()))?;
    shared.registry.find(name, version.as_deref())
}

/// A served package: its digests and its manifest.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct PackageDetail<'a> {
    /// The digests.
    #[serde(flatten)]
    summary: PackageSummary,
    /// The manifest. Its digest is taken over the bytes at `manifest_url`, not over this copy.
    #[schema(value_type = Object)]
    manifest: &'a RawValue,
    /// How people are shown the model: the operator's words, bound by no digest; `null` without them.
    #[schema(value_type = Option<Object>)]
    card: Option<&'a Card>,
}

/// A served package: its digests and its manifest.
#[utoipa::path(
    get,
    path = "/v1/models/{name}",
    tag = "packages",
    params(
        ("name" = String, Path, description = "Model"),
        ("version" = Option<String>, Query, description = "Version; the default one when absent")
    ),
    responses(
        (status = OK, body = PackageDetail<'static>),
        (status = NOT_FOUND, description = "`model-unknown`, `version-unknown`", content_type = "application/problem+json", body = ProblemBody<'static>)
    )
)]
pub(crate) async fn get_model(
    State(shared): State<Arc<Shared>>,
    Path(name): Path<String>,
    query: VersionOf,
) -> Result<Response, Problem> {
    let model = find(&shared, &name, query)?;
    let detail = PackageDetail {
        summary: summary(&shared, model),
        manifest: serde_json::from_slice(model.backend.manifest_bytes())
            .map_err(|e| Problem::internal(format!("manifest is no JSON: {e}")))?,
        card: model.backend.card(),
    };
    Ok(Json(detail).into_response())
}

/// Bytes that are named by their digest: they never change, and a client that has them asks again
/// with `If-None-Match`.
pub(crate) fn immutable(
    headers: &HeaderMap,
    digest: &Digest,
    media: &'static str,
    cache: &'static str,
    bytes: Vec<u8>,
) -> Response {
    let tag = format!("\"{digest}\"");
    let has_it = headers
        .get(header::IF_NONE_MATCH)
        .is_some_and(|seen| seen.as_bytes() == tag.as_bytes());
    let named = [
        (header::ETAG, tag),
        (header::CACHE_CONTROL, cache.to_owned()),
    ];
    if has_it {
        return (StatusCode::NOT_MODIFIED, named).into_response();
    }
    (named, [(header::CONTENT_TYPE, media)], bytes).into_response()
}

/// The manifest, byte for byte: its SHA-256 is the package digest.
#[utoipa::path(
    get,
    path = "/v1/models/{name}/manifest",
    tag = "packages",
    params(
        ("name" = String, Path, description = "Model"),
        ("version" = Option<String>, Query, description = "Version; the default one when absent")
    ),
    responses(
        (status = OK, description = "The manifest", content_type = "application/json", body = Object),
        (status = NOT_FOUND, description = "`model-unknown`, `version-unknown`", content_type = "application/problem+json", body = ProblemBody<'static>)
    )
)]
pub(crate) async fn get_manifest(
    State(shared): State<Arc<Shared>>,
    Path(name): Path<String>,
    headers: HeaderMap,
    query: VersionOf,
) -> Result<Response, Problem> {
    let model = find(&shared, &name, query)?;
    let bytes = model.backend.manifest_bytes().to_vec();
    Ok(immutable(
        &headers,
        &model.package,
        "application/json",
        "no-cache",
        bytes,
    ))
}

/// The verifying key, byte for byte: its SHA-256 stands in the manifest.
#[utoipa::path(
    get,
    path = "/v1/models/{name}/verifying-key",
    tag = "packages",
    params(
        ("name" = String, Path, description = "Model"),
        ("version" = Option<String>, Query, description = "Version; the default one when absent")
    ),
    responses(
        (status = OK, description = "The verifying key", content_type = "application/octet-stream", body = Vec<u8>),
        (status = NOT_FOUND, description = "`model-unknown`, `version-unknown`", content_type = "application/problem+json", body = ProblemBody<'static>)
    )
)]
pub(crate) async fn get_verifying_key(
    State(shared): State<Arc<Shared>>,
    Path(name): Path<String>,
    headers: HeaderMap,
    query: VersionOf,
) -> Result<Response, Problem> {
    let model = find(&shared, &name, query)?;
    let bytes = model.backend.verifying_key_bytes().to_vec();
    let digest = model.sealed.verifying_key.digest;
    Ok(immutable(
        &headers,
        &digest,
        "application/octet-stream",
        "no-cache",
        bytes,
    ))
}

/// The setup transcript, byte for byte: how the keys were made, and by whom. Its SHA-256 stands in the
/// manifest.
#[utoipa::path(
    get,
    path = "/v1/models/{name}/transcript",
    tag = "packages",
    params(
        ("name" = String, Path, description = "Model"),
        ("version" = Option<String>, Query, description = "Version; the default one when absent")
    ),
    responses(
        (status = OK, description = "The transcript", content_type = "application/json", body = Object),
        (status = NOT_FOUND, description = "`model-unknown`, `version-unknown`", content_type = "application/problem+json", body = ProblemBody<'static>)
    )
)]
pub(crate) async fn get_transcript(
    State(shared): State<Arc<Shared>>,
    Path(name): Path<String>,
    headers: HeaderMap,
    query: VersionOf,
) -> Result<Response, Problem> {
    let model = find(&shared, &name, query)?;
    let bytes = model.backend.transcript_bytes().to_vec();
    let digest = model.sealed.transcript.digest;
    Ok(immutable(
        &headers,
        &digest,
        "application/json",
        "no-cache",
        bytes,
    ))
}

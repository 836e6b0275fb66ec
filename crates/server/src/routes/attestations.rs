//! Attestations of audits: what auditors who saw a package whole say of it.

use std::sync::Arc;

use axum::Json;
use axum::extract::{Path, State};
use axum::http::HeaderMap;
use axum::response::Response;
use proofmark_types::Digest;
use proofmark_types::attestation::SignedAttestation;
use proofmark_types::receipt::ENVELOPE_MEDIA_TYPE;
use serde::Serialize;
use utoipa::ToSchema;

use super::models::{VersionOf, find, immutable};
use crate::problem::{Problem, ProblemBody};
use crate::service::Shared;

/// An attestation, in short. It is worth what its auditor's word is worth.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct AttestationSummary {
    /// SHA-256 of the signed statement.
    #[schema(value_type = String)]
    attestation_id: Digest,
    /// Id of the auditor's key: SHA-256 of the raw public key.
    #[schema(value_type = String)]
    auditor_key_id: Digest,
    /// Unix seconds of the audit, by the auditor's clock.
    audited_at: u64,
    /// Where it is.
    url: String,
}

/// The attestations of a package.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct AttestationList {
    /// Digest of the package that all of them name.
    #[schema(value_type = String)]
    package_digest: Digest,
    /// One entry an attestation; none when nobody attested the package.
    attestations: Vec<AttestationSummary>,
}

/// The attestations of a package's audits.
#[utoipa::path(
    get,
    path = "/v1/models/{name}/attestations",
    tag = "packages",
    params(
        ("name" = String, Path, description = "Model"),
        ("version" = Option<String>, Query, description = "Version; the default one when absent")
    ),
    responses(
        (status = OK, body = AttestationList),
        (status = NOT_FOUND, description = "`model-unknown`, `version-unknown`", content_type = "application/problem+json", body = ProblemBody<'static>)
    )
)]
pub(crate) async fn list_attestations(
    State(shared): State<Arc<Shared>>,
    Path(name): Path<String>,
    query: VersionOf,
) -> Result<Json<AttestationList>, Problem> {
    let model = find(&shared, &name, query)?;
    let base = format!("{}/v1/models/{name}/attestations", shared.config.public_url);
    let summary = |signed: &SignedAttestation| AttestationSummary {
        attestation_id: signed.id(),
        auditor_key_id: signed.key_id(),
        audited_at: signed.attestation().audited_at,
        url: format!(
            "{base}/{}?version={}",
            signed.id().to_hex(),
            model.version()
        ),
    };
    Ok(Json(AttestationList {
        package_digest: model.package,
        attestations: model.attestations.iter().map(summary).collect(),
    }))
}

/// An attestation, byte for byte as its auditor signed it.
#[utoipa::path(
    get,
    path = "/v1/models/{name}/attestations/{id}",
    tag = "packages",
    params(
        ("name" = String, Path, description = "Model"),
        ("id" = String, Path, description = "`sha256:` and 64 hex digits, or the digits alone"),
        ("version" = Option<String>, Query, description = "Version; the default one when absent")
    ),
    responses(
        (status = OK, description = "The attestation", content_type = "application/vnd.dsse.envelope.v1+json", body = Object),
        (status = BAD_REQUEST, description = "`parameter-invalid`", content_type = "application/problem+json", body = ProblemBody<'static>),
        (status = NOT_FOUND, description = "`model-unknown`, `version-unknown`, `attestation-unknown`", content_type = "application/problem+json", body = ProblemBody<'static>)
    )
)]
pub(crate) async fn get_attestation(
    State(shared): State<Arc<Shared>>,
    Path((name, id)): Path<(String, String)>,
    headers: HeaderMap,
    query: VersionOf,
) -> Result<Response, Problem> {
    let model = find(&shared, &name, query)?;
    let digits = id.strip_prefix("sha256:").unwrap_or(&id);
    let id = Digest::from_hex(digits).map_err(|_| {
        Problem::client(
            "parameter-invalid",
            "an attestation's identifier is sha256: and 64 lower-case hex digits, or the digits alone",
        )
    })?;
    let found = model.attestations.iter().find(|signed| signed.id() == id);
    let signed = found.ok_or_else(|| {
        Problem::client(
            "attestation-unknown",
            format!(
                "no attestation {id} of this package is here; GET /v1/models/{name}/attestations \
                 lists all of them"
            ),
        )
    })?;
    let bytes = signed
        .to_bytes()
        .map_err(|error| Problem::internal(error.to_string()))?;
    let cache = "public, max-age=31536000, immutable";
    Ok(immutable(&headers, &id, ENVELOPE_MEDIA_TYPE, cache, bytes))
}

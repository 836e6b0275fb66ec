//! Verification for whoever cannot run a verifier. It is a convenience: a client that does not
//! trust this service runs `proofmark-verify` on its own machine.

use std::sync::Arc;

use axum::Json;
use axum::extract::{Request, State};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use proofmark_types::Digest;
use proofmark_verifier::{Expectations, Rejection, SignatureVerdict, Verdict};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use utoipa::ToSchema;

use crate::bodies::parse_json;
use crate::problem::{Problem, ProblemBody};
use crate::service::Shared;

/// A receipt to verify.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct VerifyRequest {
    /// The receipt: the envelope as an object, or its bytes in base64.
    #[schema(value_type = Object)]
    receipt: Box<RawValue>,
    /// The pinned package, from a source that you trust and not from the receipt.
    #[schema(value_type = String)]
    package_digest: Digest,
    /// The nonce that the receipt must be bound to: `0x` and 64 hex digits.
    nonce: Option<String>,
}

/// What the verifier says.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct VerifyResponse {
    /// Whether the receipt proves what it claims.
    verified: bool,
    /// `verified`, or why it was rejected.
    #[schema(example = "proof-invalid")]
    code: &'static str,
    /// The code in words.
    detail: String,
    /// The package it was verified against.
    #[schema(value_type = String)]
    package_digest: Digest,
    /// What was verified; absent when the receipt was rejected.
    #[serde(skip_serializing_if = "Option::is_none")]
    receipt: Option<VerifiedReceipt>,
}

/// What a verified receipt is about.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct VerifiedReceipt {
    /// The receipt's identifier.
    #[schema(value_type = String)]
    receipt_id: Digest,
    /// Digest of what was proven.
    #[schema(value_type = String)]
    statement_digest: Digest,
    /// Name of the model.
    model: String,
    /// Its version.
    version: String,
    /// How the keys were made: whoever made `single-party` keys could forge.
    setup_kind: &'static str,
    /// Identifier of the key that signed. Whether it is a service you know is for you to say.
    #[schema(value_type = String)]
    signer_key_id: Digest,
    /// The nonce that the proof is bound to.
    nonce: String,
    /// Unix seconds at which the signer claims to have proven.
    proved_at: u64,
}

/// Verifies a receipt against a package that is served here.
#[utoipa::path(
    post,
    path = "/v1/verify",
    tag = "receipts",
    request_body = VerifyRequest,
    responses(
        (status = OK, description = "The verdict, also when the receipt is rejected", body = VerifyResponse),
        (status = BAD_REQUEST, description = "`json-malformed`, `parameter-invalid`", content_type = "application/problem+json", body = ProblemBody<'static>),
        (status = NOT_FOUND, description = "`package-unknown`", content_type = "application/problem+json", body = ProblemBody<'static>),
        (status = PAYLOAD_TOO_LARGE, description = "`body-too-large`", content_type = "application/problem+json", body = ProblemBody<'static>),
        (status = UNSUPPORTED_MEDIA_TYPE, description = "`unsupported-media-type`", content_type = "application/problem+json", body = ProblemBody<'static>)
    )
)]
pub(crate) async fn verify(
    State(shared): State<Arc<Shared>>,
    request: Request,
) -> Result<Json<VerifyResponse>, Problem> {
    let (parts, body) = request.into_parts();
    let body = shared.bodies.read_json(&parts.headers, body).await?;
    let request: VerifyRequest = parse_json(&body.bytes, super::OPENAPI)?;
    let expectations = Expectations {
        nonce: request.nonce.as_deref().map(nonce).transpose()?,
        ..Expectations::default()
    };
    let digest = request.package_digest;
    let model = Arc::clone(shared.registry.package(&digest).ok_or_else(|| {
        Problem::client(
            "package-unknown",
            format!(
                "package {digest} is not served here; verify with proofmark-verify and the package"
            ),
        )
    })?);
    let envelope = envelope_bytes(&request.receipt)?;
    // A pairing takes about two milliseconds: too long for a thread that answers others.
    let verdict =
        tokio::task::spawn_blocking(move || model.trusted.verify(&envelope, &expectations))
            .await
            .map_err(|e| Problem::panicked(e.to_string()))?;
    Ok(Json(answer(digest, verdict)))
}

/// Reads a body as the handler does, for whoever tests that with bytes of any origin.
///
/// # Errors
/// The [`Problem`] that the client would get.
pub fn decode_verify(body: &[u8]) -> Result<(), Problem> {
    let request: VerifyRequest = parse_json(body, super::OPENAPI)?;
    request.nonce.as_deref().map(nonce).transpose()?;
    envelope_bytes(&request.receipt).map(drop)
}

fn answer(package_digest: Digest, verdict: Result<Verdict, Rejection>) -> VerifyResponse {
    let verdict = match verdict {
        Ok(verdict) => verdict,
        Err(rejection) => {
            return VerifyResponse {
                verified: false,
                code: rejection.code(),
                detail: rejection.to_string(),
                package_digest,
                receipt: None,
            };
        }
    };
    let (SignatureVerdict::ValidPinned { key_id } | SignatureVerdict::ValidUnpinned { key_id }) =
        verdict.signature;
    VerifyResponse {
        verified: true,
        code: "verified",
        detail: "the proof is valid: the model gives these outputs for these inputs".to_owned(),
        package_digest,
        receipt: Some(VerifiedReceipt {
            receipt_id: verdict.receipt_id,
            statement_digest: verdict.statement_digest,
            model: verdict.receipt.model.name,
            version: verdict.receipt.model.version,
            setup_kind: verdict.setup_kind.name(),
            signer_key_id: key_id,
            nonce: format!("0x{}", hex::encode(verdict.receipt.context.nonce)),
            proved_at: verdict.receipt.proved_at,
        }),
    }
}

fn nonce(text: &str) -> Result<[u8; 32], Problem> {
    let mut nonce = [0; 32];
    text.strip_prefix("0x")
        .and_then(|digits| hex::decode_to_slice(digits, &mut nonce).ok())
        .map(|()| nonce)
        .ok_or_else(|| {
            Problem::fault(
                "parameter-invalid",
                "/nonce",
                "nonce is a string of 0x and 64 hex digits",
            )
        })
}

/// The envelope's bytes: decoded from base64, or the object's text without the blanks that tools
/// put between its tokens. Nothing else is mended: doubled or unknown members stay and are refused.
fn envelope_bytes(receipt: &RawValue) -> Result<Vec<u8>, Problem> {
    let refuse = |detail: &str| Problem::fault("parameter-invalid", "/receipt", detail);
    let text = receipt.get().trim();
    if text.starts_with('{') {
        return Ok(without_blanks(text).into_bytes());
    }
    let encoded: String = serde_json::from_str(text)
        .map_err(|_| refuse("receipt is the envelope as an object, or its bytes in base64"))?;
    BASE64
        .decode(encoded)
        .map_err(|_| refuse("receipt is a string that is not base64"))
}

/// JSON text without the white space outside of strings.
fn without_blanks(json: &str) -> String {
    let mut in_string = false;
    let mut escaped = false;
    json.chars()
        .filter(|&c| {
            if in_string {
                in_string = escaped || c != '"';
                escaped = !escaped && c == '\\';
                return true;
            }
            in_string = c == '"';
            !matches!(c, ' ' | '\t' | '\n' | '\r')
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_blanks_between_tokens_go() {
        assert_eq!(
            without_blanks("{ \"a b\" :\n[\"c\\\" d\", \"e\\\\\" , 1 ]\t}"),
            "{\"a b\":[\"c\\\" d\",\"e\\\\\",1]}"
        );
    }
}

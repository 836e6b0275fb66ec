//! A witness over HTTP (C2SP tlog-witness): `POST /add-checkpoint`.

use std::future::Future;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use axum::Router;
use axum::body::Bytes;
use axum::extract::{DefaultBodyLimit, State};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse as _, Response};
use axum::routing::post;
use proofmark_log::{Witness, WitnessError};
use proofmark_tlog::witness::{MAX_REQUEST_BYTES, Refusal, SIZE_MEDIA_TYPE};
use tokio::net::TcpListener;

use crate::ServerError;

const TEXT: &str = "text/plain; charset=utf-8";

/// Serves a witness until `shutdown` completes. `bound` is called once with the address.
///
/// # Errors
/// [`ServerError::Bind`], [`ServerError::Listener`].
pub async fn serve_witness(
    witness: Arc<Witness>,
    listen: SocketAddr,
    shutdown: impl Future<Output = ()> + Send + 'static,
    bound: impl FnOnce(SocketAddr),
) -> Result<(), ServerError> {
    let bind_error = |source| ServerError::Bind {
        address: listen,
        source,
    };
    let listener = TcpListener::bind(listen).await.map_err(bind_error)?;
    bound(listener.local_addr().map_err(bind_error)?);
    let router = Router::new()
        .route("/add-checkpoint", post(add_checkpoint))
        .layer(DefaultBodyLimit::max(MAX_REQUEST_BYTES))
        .with_state(witness);
    axum::serve(listener, router)
        .with_graceful_shutdown(shutdown)
        .await
        .map_err(|source| ServerError::Listener { source })
}

async fn add_checkpoint(State(witness): State<Arc<Witness>>, body: Bytes) -> Response {
    // The record is written and synced before the cosignature leaves.
    let judged =
        tokio::task::spawn_blocking(move || witness.add_checkpoint(&body, unix_seconds())).await;
    let (status, media, body) = match judged {
        Ok(Ok(cosignature)) => (200, TEXT, cosignature),
        Ok(Err(WitnessError::Refused(refusal))) => {
            tracing::info!(witness.refusal = %refusal, "a checkpoint is not cosigned");
            let media = match refusal {
                Refusal::Conflict { .. } | Refusal::Forked { .. } => SIZE_MEDIA_TYPE,
                _ => TEXT,
            };
            (refusal.status(), media, refusal.body())
        }
        Ok(Err(error)) => {
            tracing::error!(witness.cause = %error, code = error.code(), "the witness failed");
            (error.status(), TEXT, "the witness failed\n".to_owned())
        }
        Err(error) => {
            tracing::error!(witness.cause = %error, "the witness failed");
            (500, TEXT, "the witness failed\n".to_owned())
        }
    };
    let status = StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    (status, [(header::CONTENT_TYPE, media)], body).into_response()
}

fn unix_seconds() -> u64 {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .map_or(0, |since| since.as_secs())
}

//! What every request passes through: its id, its log line, its problem; and the reading of bodies.

use std::any::Any;
use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::body::Body;
use axum::extract::{MatchedPath, Request, State};
use axum::http::{HeaderMap, HeaderValue, header};
use axum::middleware::Next;
use axum::response::{IntoResponse as _, Response};
use http_body_util::BodyExt as _;
use serde::de::DeserializeOwned;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tracing::Instrument as _;

use crate::ServerConfig;
use crate::problem::Problem;
use crate::service::Shared;
use crate::worker::panic_text;

/// Characters of the JSON parser's words that are given back at most.
const MAX_WORDS: usize = 200;

const REQUEST_ID: &str = "x-request-id";

/// The id of a request, for handlers.
#[derive(Debug, Clone)]
pub(crate) struct RequestId(pub(crate) String);

/// Gives the request its id, counts and logs it, and renders its problem. The outermost layer.
pub(crate) async fn observe(
    State(shared): State<Arc<Shared>>,
    route: Option<MatchedPath>,
    mut request: Request,
    next: Next,
) -> Response {
    let started = Instant::now();
    let id = request_id(request.headers());
    request.extensions_mut().insert(RequestId(id.clone()));
    let method = request.method().as_str().to_owned();
    let span = tracing::info_span!("request", request.id = %id);
    let mut response = next.run(request).instrument(span.clone()).await;
    let _entered = span.entered();
    let problem = response.extensions_mut().remove::<Problem>();
    if let Some(problem) = &problem {
        let allow = response.headers_mut().remove(header::ALLOW);
        response = problem.render(&id);
        if let Some(allow) = allow {
            response.headers_mut().insert(header::ALLOW, allow);
        }
        shared.metrics.problem(problem.code());
        if problem.code() == "internal-panic" {
            shared.metrics.panic();
        }
    }
    let headers = response.headers_mut();
    if let Ok(value) = HeaderValue::from_str(&id) {
        headers.insert(REQUEST_ID, value);
    }
    headers.insert(
        header::X_CONTENT_TYPE_OPTIONS,
        HeaderValue::from_static("nosniff"),
    );
    // A method that is none of the standard ones is a label value that a client could make up.
    let method = if is_known_method(&method) {
        method.as_str()
    } else {
        "other"
    };
    let route = route.as_ref().map_or("unmatched", MatchedPath::as_str);
    let status = response.status().as_u16();
    shared.metrics.request(method, route, status);
    let milliseconds = started.elapsed().as_secs_f64() * 1e3;
    match &problem {
        Some(problem) if status >= 500 => tracing::error!(
            http.method = method,
            http.route = route,
            http.status = status,
            duration_ms = milliseconds,
            problem.code = problem.code(),
            problem.cause = problem.cause().unwrap_or_default(),
            "answered"
        ),
        _ => tracing::info!(
            http.method = method,
            http.route = route,
            http.status = status,
            duration_ms = milliseconds,
            problem.code = problem.as_ref().map(Problem::code),
            "answered"
        ),
    }
    response
}

fn is_known_method(method: &str) -> bool {
    ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"].contains(&method)
}

/// The client's own id when it is harmless in a log, else a random one.
fn request_id(headers: &HeaderMap) -> String {
    let given = headers
        .get(REQUEST_ID)
        .and_then(|value| value.to_str().ok())
        .filter(|id| {
            (1..=64).contains(&id.len())
                && id
                    .bytes()
                    .all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.'))
        });
    given.map_or_else(
        || {
            let mut bytes = [0_u8; 12];
            // Without randomness ids repeat, which harms nothing but the log.
            if getrandom::fill(&mut bytes).is_err() {
                return "no-randomness".to_owned();
            }
            hex::encode(bytes)
        },
        str::to_owned,
    )
}

/// Turns a handler's panic into a problem.
#[expect(
    clippy::needless_pass_by_value,
    reason = "the signature is the layer's"
)]
pub(crate) fn caught(payload: Box<dyn Any + Send + 'static>) -> Response {
    Problem::panicked(panic_text(payload.as_ref())).into_response()
}

/// Bodies that are held in memory at the same time, in multiples of the largest one.
pub(crate) const BODIES_AT_ONCE: usize = 16;

/// A body in memory, and its share of the room for bodies, which is free again when it is dropped.
pub(crate) struct Buffered {
    pub(crate) bytes: Vec<u8>,
    _room: OwnedSemaphorePermit,
}

/// Reads a body that must be JSON, within the configured size and time, and within the room that
/// all bodies share. Room is taken as bytes arrive: who only announces a body takes none.
pub(crate) async fn read_json_body(
    shared: &Shared,
    headers: &HeaderMap,
    body: Body,
) -> Result<Buffered, Problem> {
    let config = &shared.config;
    if !is_json(headers) {
        return Err(Problem::client(
            "unsupported-media-type",
            "send JSON with Content-Type: application/json (curl --json does)",
        ));
    }
    let announced = headers
        .get(header::CONTENT_LENGTH)
        .and_then(|value| value.to_str().ok()?.parse::<usize>().ok());
    if announced.is_some_and(|length| length > config.body_limit) {
        return Err(too_large(config.body_limit));
    }
    let collected = collect(Arc::clone(&shared.room), config.body_limit, body);
    match tokio::time::timeout(config.body_timeout, collected).await {
        Ok(collected) => collected,
        Err(_) => Err(Problem::client(
            "body-timeout",
            format!(
                "the body did not arrive within {} s",
                config.body_timeout.as_secs_f64()
            ),
        )),
    }
}

fn too_large(limit: usize) -> Problem {
    let detail = format!("the body is larger than {limit} bytes");
    Problem::client("body-too-large", detail)
}

async fn collect(room: Arc<Semaphore>, limit: usize, mut body: Body) -> Result<Buffered, Problem> {
    let overloaded = |_| {
        Problem::client(
            "overloaded",
            "too many request bodies arrive at the same time; try again",
        )
        .retry_after(1)
    };
    let mut taken = Arc::clone(&room)
        .try_acquire_many_owned(0)
        .map_err(overloaded)?;
    let mut bytes = Vec::new();
    while let Some(frame) = body.frame().await {
        let frame = frame.map_err(|_| {
            Problem::client("json-malformed", "the connection ended before the body did")
        })?;
        // Trailers say nothing here.
        let Ok(data) = frame.into_data() else {
            continue;
        };
        if data.len() > limit.saturating_sub(bytes.len()) {
            return Err(too_large(limit));
        }
        let more = u32::try_from(data.len()).map_err(|_| too_large(limit))?;
        let more = Arc::clone(&room)
            .try_acquire_many_owned(more)
            .map_err(overloaded)?;
        taken.merge(more);
        bytes.extend_from_slice(&data);
    }
    Ok(Buffered {
        bytes,
        _room: taken,
    })
}

/// Parses JSON. Depth is bounded by the parser (128), size by the body limit.
pub(crate) fn parse_json<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, Problem> {
    serde_json::from_slice(bytes).map_err(|error| {
        let hint = if error.is_data() {
            "; /openapi.json describes the body"
        } else if error.is_syntax() {
            "; note that JSON has no NaN and no Infinity"
        } else {
            ""
        };
        // The parser repeats the token it did not expect, however long that is.
        let words = error.to_string();
        let words = match words.char_indices().nth(MAX_WORDS) {
            None => words,
            Some((end, _)) => format!(
                "{}… at line {} column {}",
                words.get(..end).unwrap_or_default(),
                error.line(),
                error.column()
            ),
        };
        Problem::client("json-malformed", format!("{words}{hint}"))
    })
}

fn is_json(headers: &HeaderMap) -> bool {
    let Some(value) = headers.get(header::CONTENT_TYPE) else {
        return false;
    };
    let media = value.to_str().unwrap_or_default();
    let media = media.split(';').next().unwrap_or_default().trim();
    media.eq_ignore_ascii_case("application/json")
        || (media.len() > 5 && media.to_ascii_lowercase().ends_with("+json"))
}

/// The time that a request may take: `Request-Timeout` in seconds, at most the configured largest,
/// or the configured default.
pub(crate) fn deadline_of(config: &ServerConfig, headers: &HeaderMap) -> Result<Duration, Problem> {
    let Some(value) = headers.get("request-timeout") else {
        return Ok(config.default_deadline);
    };
    value
        .to_str()
        .ok()
        .and_then(|text| text.trim().parse::<f64>().ok())
        .filter(|seconds| *seconds > 0.0)
        .and_then(|seconds| Duration::try_from_secs_f64(seconds).ok())
        .map(|asked| asked.min(config.max_deadline))
        .ok_or_else(|| {
            Problem::client(
                "parameter-invalid",
                "Request-Timeout is a number of seconds above 0, like 30 or 0.5",
            )
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(name: &'static str, value: &str) -> HeaderMap {
        let mut headers = HeaderMap::new();
        headers.insert(name, HeaderValue::from_str(value).unwrap());
        headers
    }

    #[test]
    fn a_clients_id_is_taken_only_when_it_is_harmless() {
        assert_eq!(request_id(&headers(REQUEST_ID, "a.B-9_z")), "a.B-9_z");
        for bad in ["", "a b", "a\"b", "{}", &"a".repeat(65)] {
            let id = request_id(&headers(REQUEST_ID, bad));
            assert_eq!(id.len(), 24, "{bad}");
        }
        assert_ne!(request_id(&HeaderMap::new()), request_id(&HeaderMap::new()));
    }

    #[test]
    fn a_panic_becomes_a_problem_whose_cause_is_hidden() {
        for payload in [
            Box::new("boom") as Box<dyn Any + Send>,
            Box::new("boom".to_owned()),
        ] {
            let response = caught(payload);
            let problem = response.extensions().get::<Problem>().unwrap();
            assert_eq!(problem.code(), "internal-panic");
            assert_eq!(problem.cause(), Some("boom"));
            assert_eq!(response.status(), 500);
        }
    }

    #[test]
    fn media_types() {
        for good in [
            "application/json",
            "Application/JSON; charset=utf-8",
            "application/vnd.x+json",
        ] {
            assert!(is_json(&headers("content-type", good)), "{good}");
        }
        for bad in [
            "",
            "+json",
            "text/plain",
            "application/jsonx",
            "application/octet-stream",
        ] {
            assert!(!is_json(&headers("content-type", bad)), "{bad}");
        }
        assert!(!is_json(&HeaderMap::new()));
    }

    #[test]
    fn deadlines() {
        let config = ServerConfig::default();
        let of = |text: &str| deadline_of(&config, &headers("request-timeout", text));
        assert_eq!(of("0.25"), Ok(Duration::from_millis(250)));
        assert_eq!(of("1e30").map_err(|p| p.code()), Err("parameter-invalid"));
        assert_eq!(of("86400"), Ok(config.max_deadline));
        for bad in ["", "0", "-1", "NaN", "inf", "soon", "1s"] {
            assert_eq!(
                of(bad).map_err(|p| p.code()),
                Err("parameter-invalid"),
                "{bad}"
            );
        }
        assert_eq!(
            deadline_of(&config, &HeaderMap::new()),
            Ok(config.default_deadline)
        );
    }
}

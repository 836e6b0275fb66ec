//! What every request passes through: its id, its log line, its problem.

use std::any::Any;
use std::sync::Arc;
use std::time::Instant;

use axum::extract::{MatchedPath, Request, State};
use axum::http::{HeaderMap, HeaderValue, header};
use axum::middleware::Next;
use axum::response::{IntoResponse as _, Response};
use tracing::Instrument as _;

use crate::problem::Problem;

const REQUEST_ID: &str = "x-request-id";

/// The id of a request, for handlers.
#[derive(Debug, Clone)]
pub struct RequestId(pub String);

/// Who counts what was answered.
pub trait Observer: Send + Sync + 'static {
    /// A request was answered. `route` is the route's pattern and `method` a standard one or `other`:
    /// a client makes up neither.
    fn request(&self, method: &str, route: &str, status: u16);

    /// The answer was a problem with this code.
    fn problem(&self, code: &'static str);
}

/// Gives the request its id, counts and logs it, and renders its problem. The outermost layer.
pub async fn observe<O: Observer>(
    State(observer): State<Arc<O>>,
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
        observer.problem(problem.code());
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
    observer.request(method, route, status);
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
pub fn caught(payload: Box<dyn Any + Send + 'static>) -> Response {
    Problem::panicked(panic_text(payload.as_ref())).into_response()
}

/// The words of a panic.
pub fn panic_text(payload: &(dyn Any + Send)) -> String {
    payload
        .downcast_ref::<&str>()
        .map(|text| (*text).to_owned())
        .or_else(|| payload.downcast_ref::<String>().cloned())
        .unwrap_or_else(|| "no message".to_owned())
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
}

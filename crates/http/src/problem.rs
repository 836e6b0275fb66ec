//! RFC 9457 problems: every answer that is not a success is written by [`Problem::render`].
//!
//! A handler returns a [`Problem`]; the outermost middleware renders it with the request's id and
//! logs it once. The detail of a `5xx` is fixed text: its cause goes to the log only.

use axum::body::Body;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use proofmark_types::problem::{PROBLEM_BASE, PROBLEM_MEDIA_TYPE, lookup};
use serde::Serialize;
use utoipa::ToSchema;

/// What a client is told of a mistake of the service.
const INTERNAL_DETAIL: &str =
    "the service made a mistake and has logged it; report it with this request's id";

/// Faults that are listed at most; a hostile request cannot make its answer larger than itself.
const MAX_FAULTS: usize = 32;
/// Characters of a client's own words that are given back at most.
const MAX_ECHO: usize = 80;

/// A client's own words, quoted, and cut when they are long.
pub fn echo(text: &str) -> String {
    match text.char_indices().nth(MAX_ECHO) {
        None => format!("{text:?}"),
        Some((end, _)) => format!("{:?}…", text.get(..end).unwrap_or_default()),
    }
}

/// What is wrong with one part of a request.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct Fault {
    /// Stable kebab-case code.
    #[schema(example = "input-shape")]
    pub code: &'static str,
    /// JSON pointer into the request.
    #[schema(example = "/inputs/0/shape")]
    pub pointer: String,
    /// What is wrong and what to send instead.
    pub detail: String,
}

/// Why there is no success.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem(Box<Parts>);

#[derive(Debug, Clone, PartialEq, Eq)]
struct Parts {
    code: &'static str,
    status: StatusCode,
    title: &'static str,
    detail: String,
    faults: Vec<Fault>,
    retry_after: Option<u64>,
    cause: Option<String>,
}

/// The body of a problem, as RFC 9457 and the Open Inference Protocol have it.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Problem)]
pub struct ProblemBody<'a> {
    /// Address of the code's description.
    #[schema(example = "https://proofmark.dev/problems/model-unknown")]
    pub r#type: String,
    /// The code in words, the same for every problem of this code.
    pub title: &'a str,
    /// The HTTP status.
    #[schema(example = 404)]
    pub status: u16,
    /// What happened to this request, and what to do. Fixed text for a `5xx`.
    pub detail: &'a str,
    /// Identifier of the request, the same as in `x-request-id` and in the service's log.
    pub instance: &'a str,
    /// Stable kebab-case code.
    #[schema(example = "model-unknown")]
    pub code: &'a str,
    /// The detail once more, where the Open Inference Protocol wants it.
    pub error: &'a str,
    /// What is wrong with the single parts of the request: all of it, or the first 32 faults.
    #[serde(skip_serializing_if = "<[Fault]>::is_empty")]
    pub errors: &'a [Fault],
}

impl Problem {
    /// The problem of a code of [`ERROR_CODES`](proofmark_types::problem::ERROR_CODES), whose
    /// status and title it takes. `detail` is shown to the client.
    ///
    /// A code that is not in the list becomes `internal`, so that a forgotten entry never turns
    /// into a success or leaks: its detail becomes the cause.
    pub fn client(code: &'static str, detail: impl Into<String>) -> Self {
        let detail = detail.into();
        let Some((status, title)) = lookup(code) else {
            return Self::internal(format!("unlisted code {code}: {detail}"));
        };
        Self(Box::new(Parts {
            code,
            status: StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR),
            title,
            detail,
            faults: Vec::new(),
            retry_after: None,
            cause: None,
        }))
    }

    /// A problem of the service: `detail` is the same for everyone, `cause` is logged only.
    pub fn service(code: &'static str, detail: &'static str, cause: impl Into<String>) -> Self {
        let mut problem = Self::client(code, detail);
        problem.0.cause = Some(cause.into());
        problem
    }

    /// A request whose parts are wrong. The problem has the code of its faults when they agree,
    /// and `request-invalid` otherwise.
    pub fn faults(mut faults: Vec<Fault>) -> Self {
        let first = faults.first().map_or("request-invalid", |f| f.code);
        let code = if faults.iter().all(|f| f.code == first) {
            first
        } else {
            "request-invalid"
        };
        let detail = match faults.as_slice() {
            [one] => one.detail.clone(),
            many => format!("{} parts of the request are wrong, see errors", many.len()),
        };
        faults.truncate(MAX_FAULTS);
        let mut problem = Self::client(code, detail);
        problem.0.faults = faults;
        problem
    }

    /// One wrong part of a request.
    pub fn fault(code: &'static str, pointer: &str, detail: impl Into<String>) -> Self {
        Self::faults(vec![Fault {
            code,
            pointer: pointer.to_owned(),
            detail: detail.into(),
        }])
    }

    /// With another status than the code's own.
    #[must_use]
    pub fn with_status(mut self, status: StatusCode) -> Self {
        self.0.status = status;
        self
    }

    /// With a `Retry-After` of this many seconds.
    #[must_use]
    pub fn retry_after(mut self, seconds: u64) -> Self {
        self.0.retry_after = Some(seconds);
        self
    }

    /// The HTTP status.
    pub fn status(&self) -> StatusCode {
        self.0.status
    }

    /// Stable kebab-case code.
    pub fn code(&self) -> &'static str {
        self.0.code
    }

    /// What is logged and not shown.
    pub fn cause(&self) -> Option<&str> {
        self.0.cause.as_deref()
    }

    /// The problem as JSON in one line. The only place where a problem becomes bytes.
    pub fn to_bytes(&self, request_id: &str) -> Vec<u8> {
        let problem = &*self.0;
        let body = ProblemBody {
            r#type: format!("{PROBLEM_BASE}{}", problem.code),
            title: problem.title,
            status: problem.status.as_u16(),
            detail: &problem.detail,
            instance: request_id,
            code: problem.code,
            error: &problem.detail,
            errors: &problem.faults,
        };
        // Strings and numbers only: this cannot fail; an empty body is the honest fallback.
        serde_json::to_vec(&body).unwrap_or_default()
    }

    /// Writes the answer.
    pub fn render(&self, request_id: &str) -> Response {
        let problem = &*self.0;
        let mut response = Response::new(Body::from(self.to_bytes(request_id)));
        *response.status_mut() = problem.status;
        let headers = response.headers_mut();
        headers.insert(
            header::CONTENT_TYPE,
            HeaderValue::from_static(PROBLEM_MEDIA_TYPE),
        );
        headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
        if let Some(seconds) = problem.retry_after {
            headers.insert(header::RETRY_AFTER, HeaderValue::from(seconds));
        }
        response
    }

    /// No such path.
    pub fn not_found() -> Self {
        Self::client("not-found", "no such path; /openapi.json lists all of them")
    }

    /// The path exists, the method does not.
    pub fn method_not_allowed() -> Self {
        Self::client(
            "method-not-allowed",
            "this path does not have this method; /openapi.json lists all of them",
        )
    }

    /// A handler panicked.
    pub fn panicked(cause: impl Into<String>) -> Self {
        Self::service("internal-panic", INTERNAL_DETAIL, cause)
    }

    /// Something that cannot be, was.
    pub fn internal(cause: impl Into<String>) -> Self {
        Self(Box::new(Parts {
            code: "internal",
            status: StatusCode::INTERNAL_SERVER_ERROR,
            title: "Internal error",
            detail: INTERNAL_DETAIL.to_owned(),
            faults: Vec::new(),
            retry_after: None,
            cause: Some(cause.into()),
        }))
    }

    /// The receipt could not be stored or read, so nothing is served.
    pub fn store(cause: impl Into<String>) -> Self {
        Self::service(
            "store-unavailable",
            "no answer is served whose receipt is not stored; try again later",
            cause,
        )
        .retry_after(5)
    }

    /// The transparency log cannot be written, so nothing is served.
    pub fn log(cause: impl Into<String>) -> Self {
        Self::service(
            "log-unavailable",
            "no answer is served whose receipt is not in the transparency log; try again later",
            cause,
        )
        .retry_after(5)
    }

    /// The service is about to stop.
    pub fn shutting_down() -> Self {
        Self::client(
            "shutting-down",
            "the service is shutting down and answers this request no more; send it again soon",
        )
        .retry_after(5)
    }
}

impl IntoResponse for Problem {
    /// Carries the problem to the middleware that renders it.
    fn into_response(self) -> Response {
        let mut response = self.status().into_response();
        response.extensions_mut().insert(self);
        response
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_code_is_that_of_the_faults_when_they_agree() {
        let fault = |code| Fault {
            code,
            pointer: String::new(),
            detail: "d".into(),
        };
        let (a, b) = ("input-shape", "input-type");
        assert_eq!(Problem::faults(vec![fault(a)]).code(), a);
        assert_eq!(Problem::faults(vec![fault(a), fault(a)]).code(), a);
        let mixed = Problem::faults(vec![fault(a), fault(b)]);
        assert_eq!(mixed.code(), "request-invalid");
    }

    #[test]
    fn long_words_of_a_client_are_cut() {
        assert_eq!(echo("a\"b"), r#""a\"b""#);
        assert_eq!(echo(&"ä".repeat(80)), format!("\"{}\"", "ä".repeat(80)));
        assert_eq!(echo(&"ä".repeat(81)), format!("\"{}\"…", "ä".repeat(80)));
    }

    #[test]
    fn a_code_that_is_not_listed_is_an_internal_error() {
        let problem = Problem::client("no-such-code", "secret");
        assert_eq!(problem.code(), "internal");
        assert_eq!(problem.status(), StatusCode::INTERNAL_SERVER_ERROR);
        assert_eq!(problem.cause(), Some("unlisted code no-such-code: secret"));
    }

    #[tokio::test]
    async fn the_cause_of_a_5xx_is_not_shown() {
        let problem = Problem::internal("password is hunter2");
        let response = problem.render("r1");
        assert_eq!(response.status(), StatusCode::INTERNAL_SERVER_ERROR);
        assert_eq!(response.headers()[header::CONTENT_TYPE], PROBLEM_MEDIA_TYPE);
        let body = axum::body::to_bytes(response.into_body(), 1 << 20)
            .await
            .unwrap();
        let text = String::from_utf8(body.to_vec()).unwrap();
        assert!(!text.contains("hunter2"), "{text}");
        assert!(text.contains("\"instance\":\"r1\""), "{text}");
    }
}

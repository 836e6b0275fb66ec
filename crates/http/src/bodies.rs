//! Bodies of requests, within bounds of size, time and memory.

use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use axum::http::{HeaderMap, header};
use http_body_util::BodyExt as _;
use serde::de::DeserializeOwned;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::problem::Problem;

/// Characters of the JSON parser's words that are given back at most.
const MAX_WORDS: usize = 200;

/// Bodies that are held in memory at the same time, in multiples of the largest one.
const BODIES_AT_ONCE: usize = 16;

/// Bounds on the bodies of requests, all together.
#[derive(Debug, Clone)]
pub struct Bodies {
    limit: usize,
    timeout: Duration,
    /// Bytes that may still be taken into memory.
    room: Arc<Semaphore>,
}

/// A body in memory, and its share of the room for bodies, which is free again when it is dropped.
#[derive(Debug)]
pub struct Buffered {
    /// Its bytes.
    pub bytes: Vec<u8>,
    _room: OwnedSemaphorePermit,
}

impl Bodies {
    /// Room for bodies of at most `limit` bytes, each of which arrives within `timeout`. All together
    /// take at most 16 times as much memory.
    pub fn new(limit: usize, timeout: Duration) -> Self {
        let room = BODIES_AT_ONCE.saturating_mul(limit);
        Self {
            limit,
            timeout,
            room: Arc::new(Semaphore::new(room.min(Semaphore::MAX_PERMITS))),
        }
    }

    /// Reads a body that must be JSON, within size and time, and within the room that all bodies
    /// share. Room is taken as bytes arrive: who only announces a body takes none.
    ///
    /// # Errors
    /// `unsupported-media-type`, `body-too-large`, `body-timeout`, `overloaded`, `json-malformed` for
    /// a connection that ended too early.
    pub async fn read_json(&self, headers: &HeaderMap, body: Body) -> Result<Buffered, Problem> {
        if !is_json(headers) {
            return Err(Problem::client(
                "unsupported-media-type",
                "send JSON with Content-Type: application/json (curl --json does)",
            ));
        }
        let announced = headers
            .get(header::CONTENT_LENGTH)
            .and_then(|value| value.to_str().ok()?.parse::<usize>().ok());
        if announced.is_some_and(|length| length > self.limit) {
            return Err(too_large(self.limit));
        }
        let collected = collect(Arc::clone(&self.room), self.limit, body);
        match tokio::time::timeout(self.timeout, collected).await {
            Ok(collected) => collected,
            Err(_) => Err(Problem::client(
                "body-timeout",
                format!(
                    "the body did not arrive within {} s",
                    self.timeout.as_secs_f64()
                ),
            )),
        }
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

/// Parses JSON. Depth is bounded by the parser (128), size by the body limit. `described` is where the
/// body's form is described, for those who sent another.
///
/// # Errors
/// `json-malformed`, with at most 200 characters of the parser's words.
pub fn parse_json<T: DeserializeOwned>(bytes: &[u8], described: &str) -> Result<T, Problem> {
    serde_json::from_slice(bytes).map_err(|error| {
        let hint = if error.is_data() {
            &format!("; {described} describes the body")
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

/// The time that a request may take: `Request-Timeout` in seconds, at most `longest`, or `default`.
///
/// # Errors
/// `parameter-invalid`.
pub fn patience(
    headers: &HeaderMap,
    default: Duration,
    longest: Duration,
) -> Result<Duration, Problem> {
    let Some(value) = headers.get("request-timeout") else {
        return Ok(default);
    };
    value
        .to_str()
        .ok()
        .and_then(|text| text.trim().parse::<f64>().ok())
        .filter(|seconds| *seconds > 0.0)
        .and_then(|seconds| Duration::try_from_secs_f64(seconds).ok())
        .map(|asked| asked.min(longest))
        .ok_or_else(|| {
            Problem::client(
                "parameter-invalid",
                "Request-Timeout is a number of seconds above 0, like 30 or 0.5",
            )
        })
}

#[cfg(test)]
mod tests {
    use axum::http::HeaderValue;

    use super::*;

    fn headers(name: &'static str, value: &str) -> HeaderMap {
        let mut headers = HeaderMap::new();
        headers.insert(name, HeaderValue::from_str(value).unwrap());
        headers
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
        let (default, longest) = (Duration::from_mins(1), Duration::from_mins(30));
        let of = |text: &str| patience(&headers("request-timeout", text), default, longest);
        assert_eq!(of("0.25"), Ok(Duration::from_millis(250)));
        assert_eq!(of("1e30").map_err(|p| p.code()), Err("parameter-invalid"));
        assert_eq!(of("86400"), Ok(longest));
        for bad in ["", "0", "-1", "NaN", "inf", "soon", "1s"] {
            assert_eq!(
                of(bad).map_err(|p| p.code()),
                Err("parameter-invalid"),
                "{bad}"
            );
        }
        assert_eq!(patience(&HeaderMap::new(), default, longest), Ok(default));
    }
}

//! Live progress of one request, for whoever asks for it as server-sent events.
//!
//! `POST …/infer` with `Accept: text/event-stream` is answered at once with a stream: an event `step`
//! for each thing that begins, an event `timing`, and at the end one event `answer` or `problem`. What
//! stands in `answer` is byte for byte the body of the ordinary answer.

use std::convert::Infallible;
use std::pin::Pin;
use std::task::{Context, Poll};

use axum::body::{Body, Bytes};
use axum::http::{HeaderMap, HeaderName, HeaderValue, header};
use axum::response::{IntoResponse as _, Response};
use futures_core::Stream;
use tokio::sync::mpsc;

use crate::backend::Stage;

/// Media type of server-sent events.
pub(crate) const EVENT_STREAM: &str = "text/event-stream";
/// Events that may wait for a slow client.
const BUFFERED: usize = 16;

/// Something that begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Step {
    /// The request waits for a worker, behind this many others.
    Queued(usize),
    /// The engine works.
    Stage(Stage),
    /// The receipt is stored, and its entry made durable in the log.
    Logging,
}

impl Step {
    /// As an event.
    pub(crate) fn event(self) -> Bytes {
        let data = match self {
            Self::Queued(ahead) => format!(r#"{{"step":"queued","ahead":{ahead}}}"#),
            Self::Stage(stage) => format!(r#"{{"step":"{}"}}"#, stage.name()),
            Self::Logging => r#"{"step":"logging"}"#.to_owned(),
        };
        event("step", data.as_bytes())
    }
}

/// Tells whoever watches a request what is done for it.
#[derive(Debug, Clone, Default)]
pub(crate) struct Progress(Option<mpsc::UnboundedSender<Step>>);

impl Progress {
    /// Somebody watches. A request has few steps, so that nothing grows.
    pub(crate) fn watched() -> (Self, mpsc::UnboundedReceiver<Step>) {
        let (sender, receiver) = mpsc::unbounded_channel();
        (Self(Some(sender)), receiver)
    }

    pub(crate) fn tell(&self, step: Step) {
        if let Some(sender) = &self.0 {
            // Whoever watched may have left.
            sender.send(step).ok();
        }
    }
}

/// Whether the client wants events.
pub(crate) fn wants_events(headers: &HeaderMap) -> bool {
    headers
        .get_all(header::ACCEPT)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .filter_map(|media| media.split(';').next())
        .any(|media| media.trim().eq_ignore_ascii_case(EVENT_STREAM))
}

/// An event. Its data are one line: JSON without line feeds, or a header's value.
pub(crate) fn event(name: &str, data: &[u8]) -> Bytes {
    let mut event = format!("event: {name}\ndata: ").into_bytes();
    event.extend_from_slice(data);
    event.extend_from_slice(b"\n\n");
    event.into()
}

/// What keeps proxies from taking a long proof for a dead connection.
pub(crate) const PULSE: Bytes = Bytes::from_static(b": still at it\n\n");

/// A stream of events: where they are put, and the response that carries them.
pub(crate) fn stream() -> (mpsc::Sender<Bytes>, Response) {
    let (sender, receiver) = mpsc::channel(BUFFERED);
    let headers = [
        (header::CONTENT_TYPE, HeaderValue::from_static(EVENT_STREAM)),
        (header::CACHE_CONTROL, HeaderValue::from_static("no-store")),
        // nginx holds back what it proxies otherwise.
        (
            HeaderName::from_static("x-accel-buffering"),
            HeaderValue::from_static("no"),
        ),
    ];
    let body = Body::from_stream(Events(receiver));
    (sender, (headers, body).into_response())
}

struct Events(mpsc::Receiver<Bytes>);

impl Stream for Events {
    type Item = Result<Bytes, Infallible>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.0.poll_recv(cx).map(|event| event.map(Ok))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn events_are_wanted_by_name_only() {
        let wants = |value: &str| {
            let mut headers = HeaderMap::new();
            headers.insert(header::ACCEPT, HeaderValue::from_str(value).unwrap());
            wants_events(&headers)
        };
        for yes in [
            "text/event-stream",
            "application/json, Text/Event-Stream;q=0.5",
        ] {
            assert!(wants(yes), "{yes}");
        }
        for no in ["*/*", "text/*", "application/json", ""] {
            assert!(!wants(no), "{no}");
        }
        assert!(!wants_events(&HeaderMap::new()));
    }

    #[test]
    fn steps_are_told_in_order_and_to_nobody_without_harm() {
        let (progress, mut steps) = Progress::watched();
        progress.tell(Step::Queued(2));
        progress.tell(Step::Stage(Stage::Proving));
        assert_eq!(steps.try_recv(), Ok(Step::Queued(2)));
        assert_eq!(steps.try_recv(), Ok(Step::Stage(Stage::Proving)));
        drop(steps);
        progress.tell(Step::Logging);
        Progress::default().tell(Step::Logging);
        assert_eq!(
            Step::Queued(2).event(),
            "event: step\ndata: {\"step\":\"queued\",\"ahead\":2}\n\n"
        );
    }
}

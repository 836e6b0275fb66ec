//! Everything that is refused, and that a refusal loses nothing.

use std::time::Duration;

use crate::support::{App, Behaviour, INPUT, app, app_with, config, post, request};
use axum::body::Body;
use axum::http::Request;
use proofmark_server::ServerConfig;
use proofmark_server::backend::{BackendError, ErrorClass};
use serde_json::{Map, Value, json};

fn with_input(input: &str) -> String {
    format!(r#"{{"inputs":[{input}]}}"#)
}

async fn still_serves(app: &App) {
    let reply = app.infer(request()).await;
    assert_eq!(reply.status, 200, "{:?}", reply.json());
}

/// The body of every problem that a request alone can cause.
#[tokio::test]
async fn bad_requests() {
    let app = app().await;
    let x = |members: &str| with_input(&format!(r#"{{"name":"x",{members}}}"#));
    let fp32 = |data: &str| x(&format!(r#""shape":[2,2],"datatype":"FP32","data":{data}"#));
    let uint8 = |data: &str| {
        x(&format!(
            r#""shape":[2,2],"datatype":"UINT8","data":{data}"#
        ))
    };
    let parameters = |p: &str| format!(r#"{{"parameters":{{{p}}},"inputs":[{INPUT}]}}"#);
    let bodies = [
        ("malformed JSON", "{\"inputs\":[".to_owned()),
        ("NaN in JSON", fp32("[NaN,1,2,3]")),
        ("not an object", "[]".to_owned()),
        ("no inputs member", "{}".to_owned()),
        ("nested beyond any shape", fp32(&"[".repeat(10_000))),
        ("NaN as JavaScript writes it", fp32("[null,1,2,3]")),
        ("overflows float32", fp32("[1e39,1,2,3]")),
        (
            "wrong shape",
            x(r#""shape":[4],"datatype":"FP32","data":[1,2,3,4]"#),
        ),
        (
            "shape larger than any machine",
            x(r#""shape":[18446744073709551615,2],"datatype":"FP32","data":[1]"#),
        ),
        (
            "negative dimension",
            x(r#""shape":[-2,2],"datatype":"FP32","data":[1]"#),
        ),
        (
            "wrong type",
            x(r#""shape":[2,2],"datatype":"INT32","data":[1,2,3,4]"#),
        ),
        ("too few values", fp32("[1,2,3]")),
        ("ragged", fp32("[[1,2,3],[4]]")),
        ("nested as another shape", fp32("[[1,2,3,4]]")),
        ("value outside the type", uint8("[0,256,0,0]")),
        (
            "value outside 64 bits",
            uint8("[0,18446744073709551615,0,0]"),
        ),
        ("fraction for an integer", uint8("[0.5,0,0,0]")),
        ("text for a number", fp32("[\"1\",2,3,4]")),
        ("a number for an array", fp32("7")),
        ("missing input", "{\"inputs\":[]}".to_owned()),
        (
            "several at once",
            format!(
                r#"{{"inputs":[{INPUT},{INPUT},{{"name":"z","shape":[1],"datatype":"FP32","data":[1]}}]}}"#
            ),
        ),
        (
            "unknown output",
            format!(r#"{{"inputs":[{INPUT}],"outputs":[{{"name":"logits:max"}}]}}"#),
        ),
        ("malformed nonce", parameters(r#""nonce":"0x12""#)),
        (
            "malformed receipt parameter",
            parameters(r#""receipt":"maybe""#),
        ),
    ];
    let mut all = Map::new();
    for (name, body) in bodies {
        let reply = app.infer(body).await;
        assert_eq!(reply.status, 400, "{name}");
        assert_eq!(reply.header("content-type"), "application/problem+json");
        all.insert(name.to_owned(), reply.json());
    }
    assert_eq!(app.engine.begun(), 0);
    insta::assert_json_snapshot!(Value::Object(all));
    still_serves(&app).await;
}

/// The body of every problem of paths, methods and headers.
#[tokio::test]
async fn bad_places() {
    let app = app().await;
    let get = |path: &str| {
        Request::get(path)
            .header("x-request-id", "test")
            .body(Body::empty())
            .unwrap()
    };
    let infer = "/v2/models/toy/infer";
    let too_long = format!("{{\"pad\":\"{}\"}}", "a".repeat(70_000));
    let streamed = Body::from_stream(Chunks(80));
    let package = format!("sha256:{}", "0".repeat(64));
    let cases = [
        ("unknown path", get("/v3"), 404),
        (
            "unknown model",
            post("/v2/models/nope/infer", &[], request()),
            404,
        ),
        ("unknown model's metadata", get("/v2/models/nope"), 404),
        (
            "unknown model's readiness",
            get("/v2/models/nope/ready"),
            404,
        ),
        ("unknown package", get("/v1/models/nope"), 404),
        (
            "unknown version",
            post("/v2/models/toy/versions/2/infer", &[], request()),
            404,
        ),
        (
            "unknown version's key",
            get("/v1/models/toy/verifying-key?version=9"),
            404,
        ),
        (
            "malformed query",
            get("/v1/models/toy?version=1&version=2"),
            400,
        ),
        ("wrong method", get(infer), 405),
        (
            "no media type",
            post(infer, &[("content-type", "")], request()),
            415,
        ),
        (
            "a form",
            post(
                infer,
                &[("content-type", "application/x-www-form-urlencoded")],
                request(),
            ),
            415,
        ),
        (
            "announced too long",
            post(infer, &[("content-length", "70010")], too_long.clone()),
            413,
        ),
        (
            "too long without saying so",
            post(infer, &[], streamed),
            413,
        ),
        (
            "malformed timeout",
            post(infer, &[("request-timeout", "soon")], request()),
            400,
        ),
        ("malformed receipt id", get("/v1/receipts/zz"), 400),
        (
            "unknown receipt",
            get(&format!("/v1/receipts/{package}")),
            404,
        ),
        (
            "verification for a package that is not here",
            post(
                "/v1/verify",
                &[],
                json!({"receipt": {}, "package_digest": package}).to_string(),
            ),
            404,
        ),
        (
            "verification without a pin",
            post("/v1/verify", &[], json!({"receipt": {}}).to_string()),
            400,
        ),
        (
            "verification with an unknown member",
            post(
                "/v1/verify",
                &[],
                json!({"receipt": {}, "package_digest": package, "x": 1}).to_string(),
            ),
            400,
        ),
    ];
    let mut all = Map::new();
    for (name, request, status) in cases {
        let reply = app.send(request).await;
        assert_eq!(reply.status, status, "{name}");
        assert_eq!(reply.header("content-type"), "application/problem+json");
        if status == 405 {
            assert_eq!(reply.header("allow"), "POST");
        }
        all.insert(name.to_owned(), reply.json());
    }
    insta::assert_json_snapshot!(Value::Object(all));
    still_serves(&app).await;
}

/// A body of so many KiB that does not say how long it is.
struct Chunks(u32);

impl futures_core::Stream for Chunks {
    type Item = Result<Vec<u8>, std::convert::Infallible>;

    fn poll_next(
        mut self: std::pin::Pin<&mut Self>,
        _: &mut std::task::Context<'_>,
    ) -> std::task::Poll<Option<Self::Item>> {
        std::task::Poll::Ready(self.0.checked_sub(1).map(|left| {
            self.0 = left;
            Ok(vec![b' '; 1024])
        }))
    }
}

#[tokio::test]
async fn a_body_that_does_not_come_is_not_waited_for() {
    let app = app_with(ServerConfig {
        body_timeout: Duration::from_millis(20),
        ..config()
    })
    .await;
    let reply = app.infer(Body::from_stream(Stalled(1))).await;
    assert_eq!(reply.status, 408);
    assert_eq!(reply.code(), "body-timeout");
}

#[tokio::test]
async fn a_full_queue_says_when_to_come_back() {
    let app = app().await;
    app.engine.open(false);
    let first = app.spawn(&[]);
    app.until("proofmark_queue_running", "1").await;
    let others = [app.spawn(&[]), app.spawn(&[])];
    app.until("proofmark_queue_waiting", "2").await;
    // Refused before its body is looked at.
    let refused = app.infer("{").await;
    assert_eq!(refused.status, 429);
    assert_eq!(refused.code(), "queue-full");
    let seconds: u64 = refused.header("retry-after").parse().unwrap();
    assert!((1..=4).contains(&seconds), "{seconds}");
    // With a key the answer might be there, so the body is read and then refused.
    let refused = app.infer_with(&[("idempotency-key", "k")], request()).await;
    assert_eq!(refused.status, 429);
    app.engine.open(true);
    assert_eq!(first.await.unwrap().status, 200);
    for other in others {
        assert_eq!(other.await.unwrap().status, 200);
    }
    still_serves(&app).await;
}

#[tokio::test]
async fn a_deadline_in_the_queue_drops_the_job() {
    let app = app().await;
    app.engine.open(false);
    let first = app.spawn(&[]);
    app.until("proofmark_queue_running", "1").await;
    let late = app.spawn(&[("request-timeout", "0.05")]).await.unwrap();
    assert_eq!(late.status, 504);
    assert_eq!(late.code(), "deadline-exceeded");
    assert!(
        late.json()["detail"]
            .as_str()
            .unwrap()
            .contains("no proof was begun")
    );
    assert_eq!(app.metric("proofmark_queue_waiting").await, "0");
    assert_eq!(app.metric("proofmark_jobs_withdrawn_total").await, "1");
    app.engine.open(true);
    assert_eq!(first.await.unwrap().status, 200);
    assert_eq!(app.engine.begun(), 1);
}

#[tokio::test]
async fn a_proof_that_was_late_is_found_by_its_key() {
    let app = app().await;
    app.engine.open(false);
    let key = ("idempotency-key", "k");
    let late = app.spawn(&[("request-timeout", "3"), key]).await.unwrap();
    assert_eq!(late.status, 504);
    assert!(late.json()["detail"].as_str().unwrap().contains("goes on"));
    let busy = app.infer_with(&[key], request()).await;
    assert_eq!(busy.status, 409);
    assert_eq!(busy.code(), "idempotency-key-in-use");
    app.engine.open(true);
    app.until("proofmark_queue_running", "0").await;
    let found = app.infer_with(&[key], request()).await;
    assert_eq!(found.status, 200);
    assert_eq!(found.header("idempotent-replayed"), "true");
    assert_eq!(app.engine.begun(), 1);
}

#[tokio::test]
async fn a_client_that_leaves_gives_up_its_place() {
    let app = app().await;
    app.engine.open(false);
    let first = app.spawn(&[]);
    app.until("proofmark_queue_running", "1").await;
    let second = app.spawn(&[]);
    app.until("proofmark_queue_waiting", "1").await;
    second.abort();
    app.until("proofmark_queue_waiting", "0").await;
    assert_eq!(app.metric("proofmark_jobs_withdrawn_total").await, "1");
    app.engine.open(true);
    assert_eq!(first.await.unwrap().status, 200);
    assert_eq!(app.engine.begun(), 1);
}

#[tokio::test]
async fn a_panic_in_a_proof_is_caught_and_counted() {
    let app = app().await;
    app.engine.set(Behaviour::Panic);
    let key = [("idempotency-key", "k")];
    let reply = app.infer_with(&key, request()).await;
    assert_eq!(reply.status, 500);
    insta::assert_json_snapshot!(reply.json());
    assert_eq!(app.metric("proofmark_panics_total").await, "1");
    app.engine.set(Behaviour::Prove);
    assert_eq!(app.infer_with(&key, request()).await.status, 200);
    still_serves(&app).await;
}

#[tokio::test]
async fn what_is_not_stored_is_not_served() {
    let app = app().await;
    app.store.close().await;
    let reply = app.infer(request()).await;
    assert_eq!(reply.status, 503);
    assert_ne!(reply.header("retry-after"), "");
    insta::assert_json_snapshot!(reply.json());
    let id = "0".repeat(64);
    assert_eq!(app.get(&format!("/v1/receipts/{id}")).await.status, 503);
    assert_eq!(
        app.metric(r#"proofmark_proofs_total{model="toy"}"#).await,
        "absent"
    );
}

#[tokio::test]
async fn the_engines_errors() {
    let app = app().await;
    let mut all = Map::new();
    for (name, code, class, status) in [
        ("input", "input-overflow", ErrorClass::Input, 400),
        ("busy", "out-of-memory", ErrorClass::Busy, 503),
        ("internal", "engine-divergence", ErrorClass::Internal, 500),
        ("unlisted", "no-such-code", ErrorClass::Input, 500),
    ] {
        app.engine.set(Behaviour::Fail(BackendError {
            code,
            class,
            detail: format!("detail of {name}"),
        }));
        let reply = app.infer(request()).await;
        assert_eq!(reply.status, status, "{name}");
        all.insert(name.to_owned(), reply.json());
    }
    insta::assert_json_snapshot!(Value::Object(all));
    app.engine.set(Behaviour::Lie);
    let reply = app.infer(request()).await;
    assert_eq!(reply.status, 500);
    assert_eq!(reply.code(), "internal");
    app.engine.set(Behaviour::Prove);
    still_serves(&app).await;
}

#[tokio::test]
async fn a_closed_service_is_not_ready_and_takes_nothing() {
    let app = app().await;
    app.engine.open(false);
    let accepted = app.spawn(&[]);
    app.until("proofmark_queue_running", "1").await;
    app.service.close();
    for path in ["/v2/health/ready", "/v2/models/toy/ready"] {
        let reply = app.get(path).await;
        assert_eq!(
            (reply.status.as_u16(), reply.code()),
            (503, "shutting-down".to_owned())
        );
    }
    assert_eq!(app.get("/v2/health/live").await.status, 200);
    let refused = app.infer(request()).await;
    assert_eq!(refused.status, 503);
    assert_ne!(refused.header("retry-after"), "");
    app.engine.open(true);
    assert_eq!(accepted.await.unwrap().status, 200);
    app.service.idle().await;
}

/// Bodies that never end take no more memory than is set aside for them, and those who send them
/// all do not lock the service up.
#[tokio::test]
async fn bodies_share_their_room() {
    let app = app().await;
    let senders: Vec<_> = (0..17)
        .map(|_| {
            let body = Body::from_stream(Stalled(60));
            let request = post("/v2/models/toy/infer", &[], body);
            let router = app.router.clone();
            tokio::spawn(async move {
                tower::ServiceExt::oneshot(router, request)
                    .await
                    .unwrap()
                    .status()
            })
        })
        .collect();
    tokio::time::sleep(Duration::from_millis(50)).await;
    // 17 times 60 KiB leave 4 KiB of 16 times 64 KiB.
    still_serves(&app).await;
    let refused = app.infer(Body::from_stream(Stalled(5))).await;
    assert_eq!(refused.status, 503);
    assert_eq!(refused.code(), "overloaded");
    assert_ne!(refused.header("retry-after"), "");
    for sender in senders {
        sender.abort();
        assert!(sender.await.unwrap_err().is_cancelled());
    }
    let reply = app.infer(Body::from_stream(Chunks(60))).await;
    assert_eq!(reply.code(), "json-malformed");
}

/// A body of so many KiB, and then nothing.
struct Stalled(u32);

impl futures_core::Stream for Stalled {
    type Item = Result<Vec<u8>, std::convert::Infallible>;

    fn poll_next(
        mut self: std::pin::Pin<&mut Self>,
        _: &mut std::task::Context<'_>,
    ) -> std::task::Poll<Option<Self::Item>> {
        match self.0.checked_sub(1) {
            None => std::task::Poll::Pending,
            Some(left) => {
                self.0 = left;
                std::task::Poll::Ready(Some(Ok(vec![b' '; 1024])))
            }
        }
    }
}

/// What a client sends wrongly comes back cut, so no answer is larger than its request.
#[tokio::test]
async fn a_hostile_request_is_not_amplified() {
    let app = app().await;
    let input = r#"{"name":"z","shape":[1],"datatype":"FP32","data":[1]}"#;
    let many = with_input(&vec![input; 1000].join(","));
    let long = "z".repeat(60_000);
    let bodies = [
        many,
        with_input(&format!(
            r#"{{"name":"{long}","shape":[1],"datatype":"FP32","data":[1]}}"#
        )),
        with_input(&format!(
            r#"{{"name":"x","shape":[2,2],"datatype":"{long}","data":[1]}}"#
        )),
        with_input(&format!(
            r#"{{"name":"x","shape":[{}1],"datatype":"FP32","data":[1]}}"#,
            "1,".repeat(30_000)
        )),
        with_input(&format!(
            r#"{{"name":"x","shape":[2,2],"datatype":"FP32","data":["{long}"]}}"#
        )),
        format!(r#"{{"parameters":{{"nonce":"{long}"}},"inputs":[{INPUT}]}}"#),
        format!(r#"{{"parameters":{{"deadline":["{long}"]}},"inputs":[{INPUT}]}}"#),
        format!(r#"{{"inputs":[{INPUT}],"outputs":[{{"name":"{long}"}}]}}"#),
    ];
    for (index, body) in bodies.into_iter().enumerate() {
        let reply = app.infer(body).await;
        assert_eq!(reply.status, 400, "{index}");
        assert!(reply.body.len() < 8000, "{index}: {}", reply.body.len());
    }
    let body = format!(r#"{{"receipt":1,"package_digest":"{long}","nonce":"0x"}}"#);
    let reply = app.post("/v1/verify", body).await;
    assert_eq!(reply.status, 400);
    assert!(reply.body.len() < 1000, "{}", reply.body.len());
    let model = "m".repeat(5000);
    let reply = app.get(&format!("/v2/models/{model}")).await;
    assert_eq!(reply.status, 404);
    assert!(reply.body.len() < 1000);
}

//! Answers as events: what is told while a proof is made, and how it ends.

use axum::body::Body;
use axum::http::{Request, StatusCode};
use proofmark_server::backend::{BackendError, ErrorClass};
use proofmark_tlog::{Hash, SignedCheckpoint, tree};
use proofmark_types::Digest;
use serde_json::{Value, json};
use tower::ServiceExt as _;

use crate::support::{App, Behaviour, Reply, app, request};

const EVENTS: (&str, &str) = ("accept", "text/event-stream");

/// Names and data of the events of an answer.
fn events(reply: &Reply) -> Vec<(String, Value)> {
    assert_eq!(reply.status, 200);
    assert_eq!(reply.header("content-type"), "text/event-stream");
    assert_eq!(reply.header("cache-control"), "no-store");
    let text = String::from_utf8(reply.body.clone()).unwrap();
    text.split_terminator("\n\n")
        .map(|event| {
            let (name, data) = event.split_once('\n').unwrap();
            let name = name.strip_prefix("event: ").unwrap().to_owned();
            let data = data.strip_prefix("data: ").unwrap();
            let data = serde_json::from_str(data).unwrap_or_else(|_| json!(data));
            (name, data)
        })
        .collect()
}

async fn watched(app: &App, more: &[(&str, &str)]) -> Reply {
    let headers: Vec<_> = [EVENTS].iter().chain(more).copied().collect();
    app.infer_with(&headers, request()).await
}

#[tokio::test]
async fn each_step_is_told_and_the_answer_is_the_ordinary_one() {
    let app = app().await;
    let told = events(&watched(&app, &[]).await);
    let names: Vec<_> = told.iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!(names, ["step", "step", "step", "timing", "answer"]);
    assert_eq!(told[0].1, json!({ "step": "queued", "ahead": 0 }));
    assert_eq!(told[1].1, json!({ "step": "proving" }));
    assert_eq!(told[2].1, json!({ "step": "logging" }));
    assert!(told[3].1.as_str().unwrap().contains("proving;dur="));
    let answer = &told[4].1;
    assert_eq!(answer["parameters"]["proof_status"], "verified");
    let stored = app
        .get(answer["parameters"]["receipt_url"].as_str().unwrap())
        .await;
    assert_eq!(serde_json::to_vec(&answer["receipt"]).unwrap(), stored.body);
    // Who does not ask for events gets none.
    assert_eq!(
        app.infer(request()).await.header("content-type"),
        "application/json"
    );
}

#[tokio::test]
async fn a_failure_ends_the_events_with_its_problem() {
    let app = app().await;
    for (behaviour, code) in [
        (Behaviour::Panic, "proving-panicked"),
        (Behaviour::Lie, "internal"),
        (
            Behaviour::Fail(BackendError {
                code: "engine-divergence",
                class: ErrorClass::Internal,
                detail: "secret".to_owned(),
            }),
            "internal",
        ),
    ] {
        app.engine.set(behaviour);
        let told = events(&watched(&app, &[]).await);
        let (name, problem) = told.last().unwrap();
        assert_eq!(name, "problem");
        assert_eq!(problem["code"], code);
        assert_eq!(problem["instance"], "test");
        assert!(!problem.to_string().contains("secret"));
        assert!(told.iter().all(|(name, _)| name != "answer"));
    }
    assert_eq!(
        app.metric("proofmark_problems_total{code=\"internal\"} ")
            .await,
        "2"
    );
    // What is refused before the queue has its own status.
    let reply = app.infer_with(&[EVENTS], "{}").await;
    assert_eq!(
        (reply.status, reply.code().as_str()),
        (StatusCode::BAD_REQUEST, "json-malformed")
    );
}

#[tokio::test]
async fn an_answer_that_was_given_before_is_one_event() {
    let app = app().await;
    let key = ("idempotency-key", "k1");
    let first = events(&watched(&app, &[key]).await);
    let reply = watched(&app, &[key]).await;
    assert_eq!(reply.header("idempotent-replayed"), "true");
    let again = events(&reply);
    assert_eq!(again.len(), 1);
    assert_eq!(again[0], *first.last().unwrap());
}

#[tokio::test]
async fn who_leaves_gives_the_place_up() {
    let app = app().await;
    app.engine.open(false);
    let running = app.spawn(&[]);
    app.until("proofmark_queue_running ", "1").await;
    let waiting = Request::post("/v2/models/toy/infer")
        .header("content-type", "application/json")
        .header(EVENTS.0, EVENTS.1)
        .body(Body::from(request()))
        .unwrap();
    let response = app.router.clone().oneshot(waiting).await.unwrap();
    assert_eq!(response.status(), 200);
    app.until("proofmark_queue_waiting ", "1").await;
    drop(response);
    app.until("proofmark_queue_waiting ", "0").await;
    app.until("proofmark_jobs_withdrawn_total ", "1").await;
    app.engine.open(true);
    assert_eq!(running.await.unwrap().status, 200);
    assert_eq!(app.engine.begun(), 1);
}

#[tokio::test]
async fn a_model_says_what_its_proofs_cost_and_how_its_keys_were_made() {
    let app = app().await;
    let before = app.get("/v1/models/toy").await.json();
    assert_eq!(before["proof_times"], Value::Null);
    assert_eq!(before["card"], Value::Null);
    assert_eq!(app.infer(request()).await.status, 200);
    let after = app.get("/v1/models/toy").await.json();
    assert_eq!(after["proof_times"]["proofs"], 1);
    let transcript = app.get(after["transcript_url"].as_str().unwrap()).await;
    assert_eq!(
        Digest::of(&transcript.body).to_string(),
        after["manifest"]["sealed"]["transcript"]["digest"]
    );
}

#[tokio::test]
async fn the_log_proves_that_it_only_grew() {
    let app = app().await;
    let mut heads = Vec::new();
    for _ in 0..3 {
        assert_eq!(app.infer(request()).await.status, 200);
        let checkpoint = app.get("/checkpoint").await.body;
        heads.push(SignedCheckpoint::parse_unverified(&checkpoint).unwrap());
    }
    let new = heads[2].checkpoint();
    for old in &heads {
        let old = old.checkpoint();
        let path = format!("/v1/log/consistency?from={}", old.size());
        let answer = app.get(&path).await.json();
        assert_eq!(answer["from"], old.size());
        assert_eq!(answer["to"], 3);
        assert_eq!(answer["checkpoint"], heads[2].to_string());
        let proof: Vec<Hash> = answer["proof"]
            .as_array()
            .unwrap()
            .iter()
            .map(|hash| hash.as_str().unwrap().parse().unwrap())
            .collect();
        tree::verify_consistency(old.size(), old.root(), new.size(), new.root(), &proof).unwrap();
    }
    for (query, code) in [
        ("from=4", "tlog-out-of-range"),
        ("from=-1", "parameter-invalid"),
        ("", "parameter-invalid"),
    ] {
        let reply = app.get(&format!("/v1/log/consistency?{query}")).await;
        assert_eq!(
            (reply.status, reply.code().as_str()),
            (StatusCode::BAD_REQUEST, code)
        );
    }
}

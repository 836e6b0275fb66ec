//! Answers: proven, stored, verifiable by a stranger with nothing but what the service hands out.

use crate::support::{INPUT, NONCE, app, post, request};
use proofmark_types::Digest;
use proofmark_verifier::{Expectations, Pins, verify_receipt};
use serde_json::{Value, json};

#[tokio::test]
async fn a_proven_answer() {
    let app = app().await;
    let reply = app.infer(request()).await;
    assert_eq!(reply.status, 200, "{:?}", reply.json());
    assert_eq!(reply.header("content-type"), "application/json");
    assert_eq!(reply.header("x-request-id"), "test");
    let timing = reply.header("server-timing");
    for part in [
        "queue;dur=",
        "runtime;dur=",
        "proving;dur=",
        "store;dur=",
        "log;dur=",
    ] {
        assert!(timing.contains(part), "{timing}");
    }
    let mut answer = reply.json();
    // The log's key is drawn at its first start.
    let proof = answer["tlog_proof"].take();
    assert!(
        proof
            .as_str()
            .unwrap()
            .starts_with("c2sp.org/tlog-proof@v1\nindex 0\n\n")
    );
    insta::assert_json_snapshot!(answer);
}

#[tokio::test]
async fn a_stranger_verifies_what_the_service_hands_out() {
    let app = app().await;
    let answer = app.infer(request()).await.json();
    let pinned: Digest = answer["parameters"]["package_digest"]
        .as_str()
        .unwrap()
        .parse()
        .unwrap();
    let manifest = app.get("/v1/models/toy/manifest").await;
    let key = app.get("/v1/models/toy/verifying-key").await;
    let receipt = app
        .get(answer["parameters"]["receipt_url"].as_str().unwrap())
        .await;
    assert_eq!(
        receipt.header("content-type"),
        "application/vnd.dsse.envelope.v1+json"
    );
    let expectations = Expectations {
        nonce: Some([1; 32]),
        ..Expectations::default()
    };
    let verdict = verify_receipt(
        &receipt.body,
        &Pins::package(pinned),
        &manifest.body,
        &key.body,
        &expectations,
    )
    .unwrap();
    assert_eq!(
        verdict.receipt_id.to_string(),
        answer["parameters"]["receipt_id"].as_str().unwrap()
    );
    // The copy inside the answer is the same bytes.
    let inline = serde_json::to_vec(&answer["receipt"]).unwrap();
    assert_eq!(inline, receipt.body);
    let stored = app.store.receipt(&verdict.receipt_id).await.unwrap();
    let stored = stored.unwrap();
    assert_eq!(stored.statement_digest, verdict.statement_digest);
    assert_eq!(stored.model, "toy");
}

#[tokio::test]
async fn integers_floats_flat_and_nested_are_the_same_request() {
    let app = app().await;
    let outputs = async |input: &str| {
        let body = format!(r#"{{"inputs":[{input}]}}"#);
        let reply = app.infer(body).await;
        assert_eq!(reply.status, 200, "{:?}", reply.json());
        reply.json()["outputs"].clone()
    };
    let expected = outputs(INPUT).await;
    assert_eq!(expected[0]["data"], json!([10, 20, 5]));
    for input in [
        r#"{"name":"x","shape":[2,2],"datatype":"FP32","data":[[5,10],[2.5,0]]}"#,
        r#"{"name":"x","shape":[2,2],"datatype":"UINT8","data":[110,120,105,100]}"#,
        r#"{"data":[[110,120],[105,100]],"datatype":"UINT8","shape":[2,2],"name":"x","parameters":{"a":1}}"#,
    ] {
        assert_eq!(outputs(input).await, expected, "{input}");
    }
}

#[tokio::test]
async fn only_the_outputs_that_are_wanted_and_only_a_link() {
    let app = app().await;
    let body = format!(
        r#"{{"parameters":{{"receipt":"link"}},"inputs":[{INPUT}],"outputs":[{{"name":"logits:label"}}]}}"#
    );
    let answer = app.infer(body).await.json();
    let names: Vec<_> = answer["outputs"].as_array().unwrap().iter().collect();
    assert_eq!(names.len(), 1);
    assert_eq!(
        *names[0],
        json!({"name":"logits:label","datatype":"BYTES","shape":[1],"data":["dog"]})
    );
    assert_eq!(answer.get("receipt"), None);
    assert_eq!(answer.get("tlog_proof"), None);
    let url = answer["parameters"]["tlog_proof_url"].as_str().unwrap();
    assert_eq!(app.get(url).await.status, 200);
    assert_eq!(answer.get("id"), None);
    let url = answer["parameters"]["receipt_url"].as_str().unwrap();
    assert_eq!(app.get(url).await.status, 200);
    // Every request has its own nonce, so its own receipt.
    let again = app.infer(format!(r#"{{"inputs":[{INPUT}]}}"#)).await.json();
    assert_ne!(
        again["parameters"]["receipt_id"],
        answer["parameters"]["receipt_id"]
    );
}

#[tokio::test]
async fn what_is_served() {
    let app = app().await;
    let mut all = serde_json::Map::new();
    for path in [
        "/v2",
        "/v2/health/live",
        "/v2/health/ready",
        "/v2/models",
        "/v2/models/toy",
        "/v2/models/toy/ready",
        "/v2/models/toy/versions/1",
        "/v2/models/toy/versions/1/ready",
        "/v1/models",
        "/v1/models/toy",
        "/v1/models/toy?version=1",
    ] {
        let reply = app.get(path).await;
        assert_eq!(reply.status, 200, "{path}");
        all.insert(path.to_owned(), reply.json());
    }
    assert_eq!(all["/v1/models/toy"], all["/v1/models/toy?version=1"]);
    all.remove("/v1/models/toy?version=1");
    insta::assert_json_snapshot!(Value::Object(all));
    let answer = app.post("/v2/models/toy/versions/1/infer", request()).await;
    assert_eq!(answer.status, 200);
}

#[tokio::test]
async fn receipts_are_found_under_both_spellings_and_cached() {
    let app = app().await;
    let answer = app.infer(request()).await.json();
    let id = answer["parameters"]["receipt_id"].as_str().unwrap();
    let reply = app.get(&format!("/v1/receipts/{id}")).await;
    assert_eq!(reply.status, 200);
    assert!(reply.header("cache-control").contains("immutable"));
    let tag = reply.header("etag").to_owned();
    let cached = axum::http::Request::get(format!("/v1/receipts/{id}"))
        .header("if-none-match", tag)
        .body(axum::body::Body::empty())
        .unwrap();
    let cached = app.send(cached).await;
    assert_eq!(cached.status, 304);
    assert!(cached.body.is_empty());
}

#[tokio::test]
async fn the_service_verifies_and_rejects() {
    let app = app().await;
    let answer = app.infer(request()).await.json();
    let package = answer["parameters"]["package_digest"].clone();
    let receipt = answer["receipt"].clone();
    let verify = async |body: Value, pretty: bool| {
        let text = if pretty {
            serde_json::to_string_pretty(&body)
        } else {
            serde_json::to_string(&body)
        };
        let reply = app.post("/v1/verify", text.unwrap()).await;
        assert_eq!(reply.status, 200, "{:?}", reply.json());
        reply.json()
    };
    let good = verify(
        json!({"receipt": receipt, "package_digest": package}),
        false,
    )
    .await;
    insta::assert_json_snapshot!(good);
    // As tools indent it, in base64, and with the nonce that it must have.
    let encoded = {
        use base64::Engine as _;
        let bytes = serde_json::to_vec(&receipt).unwrap();
        base64::engine::general_purpose::STANDARD.encode(bytes)
    };
    for (body, pretty) in [
        (json!({"receipt": receipt, "package_digest": package}), true),
        (
            json!({"receipt": encoded, "package_digest": package}),
            false,
        ),
        (
            json!({"receipt": receipt, "package_digest": package, "nonce": NONCE}),
            false,
        ),
    ] {
        assert_eq!(verify(body, pretty).await, good);
    }
    let other = NONCE.replace("01", "02");
    let body = json!({"receipt": receipt, "package_digest": package, "nonce": other});
    assert_eq!(verify(body, false).await["code"], "context-mismatch");
    let mut forged = receipt.clone();
    let payload = forged["payload"].as_str().unwrap().to_owned();
    let flipped = if payload.starts_with('e') { "f" } else { "e" };
    forged["payload"] = json!(format!("{flipped}{}", &payload[1..]));
    let verdict = verify(json!({"receipt": forged, "package_digest": package}), false).await;
    assert_eq!(verdict["verified"], false);
    assert_eq!(verdict["code"], "receipt-malformed");
    let mut unsigned = receipt.clone();
    let signature = unsigned["signatures"][0]["sig"].as_str().unwrap();
    let flipped = if signature.starts_with('A') { "B" } else { "A" };
    unsigned["signatures"][0]["sig"] = json!(format!("{flipped}{}", &signature[1..]));
    let verdict = verify(
        json!({"receipt": unsigned, "package_digest": package}),
        false,
    )
    .await;
    assert_eq!(verdict["code"], "signature-invalid");
    // A member that is there twice is not mended.
    let doubled = serde_json::to_string(&receipt)
        .unwrap()
        .replacen('{', r#"{"payload":"","#, 1);
    let body = format!(r#"{{"receipt":{doubled},"package_digest":{package}}}"#);
    let verdict = app.post("/v1/verify", body).await.json();
    assert_eq!(verdict["verified"], false);
    assert_eq!(verdict["code"], "receipt-malformed");
}

#[tokio::test]
async fn a_key_gets_one_proof_and_one_answer() {
    let app = app().await;
    let key = [("idempotency-key", "k-1")];
    let body = format!(r#"{{"inputs":[{INPUT}]}}"#);
    let first = app.infer_with(&key, body.clone()).await;
    assert_eq!(first.status, 200);
    let second = app.infer_with(&key, body.clone()).await;
    assert_eq!((second.status, &second.body), (first.status, &first.body));
    assert_eq!(second.header("idempotent-replayed"), "true");
    assert_eq!(app.engine.begun(), 1);
    let other = app.infer_with(&key, format!("{body} ")).await;
    assert_eq!(other.status, 422);
    assert_eq!(other.code(), "idempotency-key-reused");
    let other_path = app
        .send(post("/v2/models/toy/versions/1/infer", &key, body.clone()))
        .await;
    assert_eq!(other_path.code(), "idempotency-key-reused");
    for bad in ["", &"k".repeat(256)] {
        let refused = app
            .infer_with(&[("idempotency-key", bad)], body.clone())
            .await;
        assert_eq!(refused.code(), "idempotency-key-invalid");
    }
    // A request that was refused leaves its key free.
    let key = [("idempotency-key", "k-2")];
    assert_eq!(app.infer_with(&key, "{").await.status, 400);
    assert_eq!(app.infer_with(&key, body).await.status, 200);
}

#[tokio::test]
async fn metrics_count_what_happened() {
    let app = app().await;
    app.infer(request()).await;
    app.infer("{").await;
    app.get("/no/such/path").await;
    for (line, value) in [
        (r#"proofmark_proofs_total{model="toy"}"#, "1"),
        (r#"proofmark_problems_total{code="json-malformed"}"#, "1"),
        (r#"proofmark_problems_total{code="not-found"}"#, "1"),
        ("proofmark_panics_total", "0"),
        ("proofmark_queue_waiting", "0"),
        (r#"proofmark_proving_seconds_count{model="toy"}"#, "1"),
        (
            r#"proofmark_requests_total{method="POST",route="/v2/models/{name}/infer",status="400"}"#,
            "1",
        ),
        (
            r#"proofmark_requests_total{method="GET",route="unmatched",status="404"}"#,
            "1",
        ),
    ] {
        assert_eq!(app.metric(line).await, value, "{line}");
    }
}

/// The committed description is what the code says. `UPDATE_EXPECT=1` writes it anew.
#[tokio::test]
async fn openapi_is_committed_and_served() {
    let path = concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/../../docs/reference/openapi.json"
    );
    let generated = format!(
        "{}\n",
        proofmark_server::openapi().to_pretty_json().unwrap()
    );
    if std::env::var_os("UPDATE_EXPECT").is_some() {
        std::fs::create_dir_all(std::path::Path::new(path).parent().unwrap()).unwrap();
        std::fs::write(path, &generated).unwrap();
    }
    let committed = std::fs::read_to_string(path).unwrap();
    assert!(
        committed == generated,
        "docs/reference/openapi.json is out of date; run this test with UPDATE_EXPECT=1"
    );
    let served = app().await.get("/openapi.json").await.json();
    assert_eq!(served, serde_json::from_str::<Value>(&generated).unwrap());
    assert!(served["openapi"].as_str().unwrap().starts_with("3.1"));
}

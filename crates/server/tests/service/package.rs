//! A whole package over HTTP, where its operator hands it out.

use std::fs;
use std::path::Path;

use axum::body::Body;
use axum::http::Request;
use proofmark_types::Digest;

use crate::support::{App, Reply, app};

const LIST: &str = "/v1/models/toy/package";
/// What the toy's manifest says of its files.
const FILES: [(&str, &[u8]); 3] = [
    ("integer.onnx", b"integer model"),
    ("proving.zkey", b"proving key"),
    ("transcript.json", b"transcript"),
];

async fn shared(folder: &Path) -> App {
    let app = app().await;
    for (name, bytes) in FILES {
        fs::write(folder.join(name), bytes).unwrap();
    }
    let manifest = app.get("/v1/models/toy/manifest").await.body;
    let key = app.get("/v1/models/toy/verifying-key").await.body;
    fs::write(folder.join("manifest.json"), manifest).unwrap();
    fs::write(folder.join("verifying.key"), key).unwrap();
    fs::write(folder.join("service_key"), "of the operator").unwrap();
    app.engine.shared.set(folder.to_owned()).unwrap();
    app
}

async fn with(app: &App, path: &str, headers: &[(&str, &str)]) -> Reply {
    let mut request = Request::get(path);
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    app.send(request.body(Body::empty()).unwrap()).await
}

#[tokio::test]
async fn no_package_is_handed_out_unless_its_operator_says_so() {
    let app = app().await;
    for path in [LIST.to_owned(), format!("{LIST}/integer.onnx")] {
        let reply = app.get(&path).await;
        assert_eq!(reply.status, 403, "{path}");
        assert_eq!(reply.code(), "package-not-shared");
    }
    let models = app.get("/v1/models").await.json();
    assert!(models["models"][0]["package_url"].is_null());
    // Not even that there is such a file.
    let reply = app.get(&format!("{LIST}/nothing")).await;
    assert_eq!(reply.code(), "package-not-shared");
}

#[tokio::test]
async fn every_file_of_the_package_and_no_other_is_handed_out() {
    let folder = tempfile::tempdir().unwrap();
    let app = shared(folder.path()).await;
    let models = app.get("/v1/models").await.json();
    assert_eq!(
        models["models"][0]["package_url"],
        "/v1/models/toy/package?version=1"
    );
    let list = app.get(LIST).await.json();
    let files = list["files"].as_array().unwrap();
    assert_eq!(files.len(), 5);
    assert_eq!(files[0]["file"], "manifest.json");
    assert_eq!(files[0]["digest"], list["package_digest"]);
    for file in files {
        let reply = app.get(file["url"].as_str().unwrap()).await;
        assert_eq!(reply.status, 200);
        assert_eq!(
            file["digest"].as_str(),
            Some(&*Digest::of(&reply.body).to_string())
        );
        assert_eq!(file["bytes"], reply.body.len());
        assert_eq!(reply.header("content-type"), "application/octet-stream");
        assert_eq!(reply.header("content-length"), reply.body.len().to_string());
    }
    for other in [
        "service_key",
        "..%2fpackage%2finteger.onnx",
        "%2e%2e",
        ".%2finteger.onnx",
        "Integer.onnx",
        "integer.onnx%00",
    ] {
        let reply = app.get(&format!("{LIST}/{other}")).await;
        assert_eq!(
            (reply.status.as_u16(), &*reply.code()),
            (404, "not-found"),
            "{other}"
        );
    }
    let reply = app.get(&format!("{LIST}?version=9")).await;
    assert_eq!(reply.code(), "version-unknown");
}

#[tokio::test]
async fn a_download_goes_on_where_it_stopped() {
    let folder = tempfile::tempdir().unwrap();
    let app = shared(folder.path()).await;
    let path = format!("{LIST}/integer.onnx");
    let tag = format!("\"{}\"", Digest::of(b"integer model"));
    let part = with(&app, &path, &[("range", "bytes=8-"), ("if-range", &tag)]).await;
    assert_eq!(part.status, 206);
    assert_eq!(part.body, b"model");
    assert_eq!(part.header("content-range"), "bytes 8-12/13");
    assert_eq!(part.header("etag"), tag);
    assert_eq!(part.header("accept-ranges"), "bytes");
    // The beginning that the client has is of other bytes.
    let whole = with(
        &app,
        &path,
        &[("range", "bytes=8-"), ("if-range", "\"other\"")],
    )
    .await;
    assert_eq!((whole.status.as_u16(), whole.body.len()), (200, 13));
    let held = with(&app, &path, &[("if-none-match", &tag)]).await;
    assert_eq!((held.status.as_u16(), held.body.len()), (304, 0));
    let behind = with(&app, &path, &[("range", "bytes=13-")]).await;
    assert_eq!(behind.status, 416);
    assert_eq!(behind.code(), "range-not-satisfiable");
}

#[tokio::test]
async fn a_file_that_is_not_the_packages_any_more_is_not_sent() {
    let folder = tempfile::tempdir().unwrap();
    let app = shared(folder.path()).await;
    fs::write(folder.path().join("proving.zkey"), "shorter").unwrap();
    fs::remove_file(folder.path().join("integer.onnx")).unwrap();
    for file in ["proving.zkey", "integer.onnx"] {
        let reply = app.get(&format!("{LIST}/{file}")).await;
        assert_eq!(reply.status, 500);
        let text = String::from_utf8(reply.body).unwrap();
        let place = folder.path().display().to_string();
        assert!(!text.contains(&place), "no path of the machine: {text}");
    }
}

/// Who reads nothing holds a place; when all are held, the next one is told so.
#[tokio::test]
async fn places_for_downloads_are_bounded_and_given_back() {
    let folder = tempfile::tempdir().unwrap();
    let app = shared(folder.path()).await;
    let path = format!("{LIST}/integer.onnx");
    let places = app.service.downloads();
    let held: Vec<_> = std::iter::from_fn(|| places.try_acquire().ok()).collect();
    let all = held.len();
    assert!((8..=64).contains(&all), "{all}");
    let reply = app.get(&path).await;
    assert_eq!(
        (reply.status.as_u16(), &*reply.code()),
        (503, "downloads-busy")
    );
    assert_eq!(reply.header("retry-after"), "5");
    drop(held);
    assert_eq!(app.get(&path).await.status, 200);
    // The sender ends soon after the last byte was taken.
    for _ in 0..500 {
        if places.available_permits() == all {
            return;
        }
        tokio::time::sleep(std::time::Duration::from_millis(2)).await;
    }
    assert_eq!(places.available_permits(), all);
}

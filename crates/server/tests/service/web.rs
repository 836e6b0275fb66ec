//! The page that the service serves: that all of it is there, under a policy that lets nothing else in.

use std::collections::BTreeSet;

use axum::body::Body;
use axum::http::Request;

use crate::support::{App, app, app_with, config};

const PAGES: [&str; 6] = [
    "/",
    "/models",
    "/models/toy",
    "/receipt",
    "/receipt/0000000000000000000000000000000000000000000000000000000000000000",
    "/log",
];

/// What stands behind the last dot of a file's name.
fn ending(name: &str) -> Option<&str> {
    name.rsplit_once('.').map(|(_, ending)| ending)
}

/// Every file of the page, from the document on, by what names it.
async fn files(app: &App) -> Vec<(String, String)> {
    let mut open = vec!["/".to_owned()];
    let mut seen = BTreeSet::new();
    let mut files = Vec::new();
    while let Some(path) = open.pop() {
        if !seen.insert(path.clone()) {
            continue;
        }
        let reply = app.get(&path).await;
        assert_eq!(reply.status, 200, "{path}");
        // Of these nothing is named: they are generated, and have no way to the page's markup.
        if ending(&path) == Some("wasm") || path == "/web/proofmark.js" {
            files.push((path, String::new()));
            continue;
        }
        let text = String::from_utf8_lossy(&reply.body).into_owned();
        for part in text.split(['"', '\'']) {
            if let Some(name) = part.strip_prefix("./").filter(|n| ending(n) == Some("js")) {
                open.push(format!("/web/{name}"));
            } else if part.starts_with("/web/") {
                open.push(part.to_owned());
            }
        }
        files.push((path, text));
    }
    files
}

#[tokio::test]
async fn every_file_that_the_page_names_is_there() {
    let app = app().await;
    let files = files(&app).await;
    for needed in ["/web/style.css", "/web/app.js", "/web/verifier.js"] {
        assert!(files.iter().any(|(path, _)| path == needed), "{needed}");
    }
    for (path, _) in files {
        let media = match ending(&path) {
            None => "text/html; charset=utf-8",
            Some("css") => "text/css; charset=utf-8",
            Some("js") => "text/javascript; charset=utf-8",
            Some("svg") => "image/svg+xml",
            Some("wasm") => "application/wasm",
            other => panic!("{path}: {other:?}"),
        };
        assert_eq!(app.get(&path).await.header("content-type"), media, "{path}");
    }
    assert_eq!(app.get("/web/nothing.js").await.code(), "not-found");
    assert_eq!(app.get("/web/..%2Fweb.rs").await.code(), "not-found");
}

#[tokio::test]
async fn nothing_comes_from_elsewhere_and_nothing_is_inline() {
    let app = app().await;
    for page in PAGES {
        let reply = app.get(page).await;
        let policy = reply.header("content-security-policy");
        for part in [
            "default-src 'self'",
            "script-src 'self' 'wasm-unsafe-eval'",
            "frame-ancestors 'none'",
            "base-uri 'none'",
            "require-trusted-types-for 'script'",
        ] {
            assert!(policy.contains(part), "{page}: {policy}");
        }
        assert!(!policy.contains("unsafe-inline") && !policy.contains("http"));
        assert_eq!(reply.header("x-content-type-options"), "nosniff");
        assert_eq!(reply.header("referrer-policy"), "no-referrer");
    }
    for (path, text) in files(&app).await {
        // Names of formats, not addresses that anything is fetched from.
        let text = text.replace("http://www.w3.org/2000/svg", "");
        for bad in [
            "http:",
            "https:",
            "//cdn",
            "innerHTML",
            "outerHTML",
            "insertAdjacentHTML",
            "eval(",
            "new Function",
            "document.write",
            " style=",
            "onclick=",
            "<style",
            "url(",
            "@import",
        ] {
            assert!(!text.contains(bad), "{path} has {bad}");
        }
    }
}

#[tokio::test]
async fn a_browser_that_has_a_file_is_not_sent_it_again() {
    let app = app().await;
    let first = app.get("/web/app.js").await;
    assert_eq!(first.header("cache-control"), "no-cache");
    let tag = first.header("etag").to_owned();
    let request = Request::get("/web/app.js")
        .header("if-none-match", &tag)
        .body(Body::empty())
        .unwrap();
    let again = app.send(request).await;
    assert_eq!(again.status, 304);
    assert!(again.body.is_empty());
    assert_eq!(again.header("etag"), tag);
}

#[tokio::test]
async fn a_browser_that_takes_gzip_is_sent_less() {
    let app = app().await;
    let plain = app.get("/web/style.css").await;
    assert_eq!(plain.header("content-encoding"), "");
    assert_eq!(plain.header("vary"), "accept-encoding");
    let packed = |coding: &'static str| {
        let request = Request::get("/web/style.css").header("accept-encoding", coding);
        app.send(request.body(Body::empty()).unwrap())
    };
    let gzip = packed("br, GZIP").await;
    assert_eq!(gzip.header("content-encoding"), "gzip");
    assert!(gzip.body.len() * 2 < plain.body.len());
    assert_ne!(gzip.header("etag"), plain.header("etag"));
    let mut unpacked = Vec::new();
    let mut reader = flate2::read::GzDecoder::new(gzip.body.as_slice());
    std::io::Read::read_to_end(&mut reader, &mut unpacked).unwrap();
    assert_eq!(unpacked, plain.body);
    assert_eq!(packed("gzip;q=0, br").await.body, plain.body);
}

#[tokio::test]
async fn pages_of_other_origins_ask_only_where_the_operator_lets_them() {
    let ask = async |app: &App, origin: &str| {
        let preflight = Request::options("/v2/models/toy/infer")
            .header("origin", origin)
            .header("access-control-request-method", "POST")
            .header("access-control-request-headers", "content-type")
            .body(Body::empty())
            .unwrap();
        let before = app.send(preflight).await;
        let read = async |path: &str| {
            let request = Request::get(path).header("origin", origin);
            app.send(request.body(Body::empty()).unwrap()).await
        };
        let (read, problem) = (read("/v1/models").await, read("/v1/models/none").await);
        assert_eq!((read.status.as_u16(), problem.status.as_u16()), (200, 404));
        let leave = |reply: &crate::support::Reply| {
            let name = "access-control-allow-origin";
            let value = reply.headers.get(name).cloned();
            value.map(|value| value.to_str().unwrap().to_owned())
        };
        assert!(
            !read
                .headers
                .contains_key("access-control-allow-credentials")
        );
        assert_eq!(leave(&before), leave(&read));
        assert_eq!(leave(&problem), leave(&read));
        leave(&read)
    };
    let origin = "https://app.example";
    assert_eq!(ask(&app().await, origin).await, None);
    let allowing = async |allowed: &str| {
        let mut config = config();
        config.allowed_origins = vec![allowed.to_owned()];
        app_with(config).await
    };
    let some = allowing(origin).await;
    assert_eq!(ask(&some, origin).await.as_deref(), Some(origin));
    assert_eq!(ask(&some, "https://other.example").await, None);
    let all = allowing("*").await;
    assert_eq!(
        ask(&all, "https://other.example").await.as_deref(),
        Some("*")
    );
}

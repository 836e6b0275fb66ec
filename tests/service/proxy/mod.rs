//! `proofmark proxy`: what a client gets that knows nothing of proofs, from providers that tell the
//! truth and from such that do not.

mod lies;
mod logs;

use std::fs;
use std::io::Write as _;
use std::net::TcpStream;
use std::path::Path;
use std::sync::Mutex;
use std::thread;
use std::time::Duration;

use proofmark_tests::service::{Public, Reply, Service, proofmark, run};
use proofmark_types::Digest;
use serde_json::{Value, json};

use crate::liar::{Liar, forward};
use crate::{Alone, DIGITS, RISK, alone};

const VERIFIED: &str = "proofmark-verified";

/// A proxy by a configuration file.
fn start(folder: &Path, config: &Value, more: &[&str]) -> Service {
    let path = folder.join("proxy.json");
    fs::write(&path, config.to_string()).unwrap();
    let mut command = proofmark(&["proxy", "--json", "--listen", "127.0.0.1:0", "--config"]);
    command.arg(&path).args(more);
    command.arg("--state").arg(folder.join("state"));
    command.arg("--receipts").arg(folder.join("receipts"));
    Service::spawn(command, &folder.join("proxy.log"))
        .unwrap_or_else(|ended| panic!("the proxy does not listen: {ended:?}"))
}

/// A configuration with one package, and these providers, all of which must log in this log.
fn config(model: &Public, folder: &Path, log_key: &str, urls: &[&str]) -> Value {
    let providers: Vec<Value> = urls
        .iter()
        .map(|url| json!({ "url": url, "log": { "key": log_key } }))
        .collect();
    json!({
        "packages": [{ "folder": folder, "digest": model.digest }],
        "providers": providers,
    })
}

/// Which provider an answer is of, as its header says.
fn provider(reply: &Reply) -> String {
    assert_eq!(reply.status, 200, "{}", reply.text());
    let header = reply.header(VERIFIED).expect("what was checked");
    let (_, rest) = header.split_once("provider=\"").expect("a provider");
    rest.split_once('"').expect("a string").0.to_owned()
}

fn attempts(proxy: &Service, url: &str, outcome: &str) -> u64 {
    let labels = format!("{{provider=\"{url}\",outcome=\"{outcome}\"}}");
    proxy.metric(&format!("proofmark_proxy_attempts_total{labels}"))
}

/// The address of nobody.
fn nobody() -> String {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    format!("http://{}", listener.local_addr().unwrap())
}

#[test]
fn a_client_that_knows_nothing_of_proofs_gets_verified_answers() {
    let Alone {
        service,
        model,
        packages,
        data: _data,
    } = alone(DIGITS, &[]);
    let folder = tempfile::tempdir().unwrap();
    let package = packages.path().join(DIGITS);
    let mut command = proofmark(&["proxy", "--json", "--listen", "127.0.0.1:0"]);
    command.arg("--package").arg(&package);
    command.args(["--package-digest", &model.digest.to_string()]);
    command.args(["--provider", service.url(), "--log-key", service.log_key()]);
    command.arg("--state").arg(folder.path().join("state"));
    command
        .arg("--receipts")
        .arg(folder.path().join("receipts"));
    let proxy = Service::spawn(command, &folder.path().join("proxy.log")).unwrap();

    // What the protocol says of models is the service's word for word, but from the manifest.
    for path in [
        "/v2/health/live",
        "/v2/health/ready",
        "/v2/models",
        "/v2/models/digits-mlp",
        "/v2/models/digits-mlp/ready",
        "/v2/models/digits-mlp/versions/1",
        "/v2/models/digits-mlp/versions/1/ready",
    ] {
        let (ours, theirs) = (proxy.get(path), service.get(path));
        assert_eq!(ours.status, 200, "{path}: {}", ours.text());
        assert_eq!(ours.json(), theirs.json(), "{path}");
    }
    assert_eq!(proxy.get("/v2").json()["name"], "proofmark-proxy");

    let mut body = model.request(0);
    body["id"] = json!("a-1");
    let direct = service.infer(DIGITS, &body).json();
    let reply = proxy.infer(DIGITS, &body);
    let answer = reply.json();
    assert_eq!(reply.header("content-type"), Some("application/json"));
    for member in ["outputs", "model_name", "model_version", "id"] {
        assert_eq!(answer[member], direct[member], "{member}");
    }
    assert_ne!(
        answer["parameters"]["nonce"], direct["parameters"]["nonce"],
        "each request has a nonce of its own"
    );
    assert_eq!(provider(&reply), service.url());
    let header = reply.header(VERIFIED).unwrap();
    for said in [
        format!("package={}", model.digest),
        format!("receipt={}", reply.receipt_id()),
        "log=\"".to_owned(),
        "checked=(package statement proof signature freshness openings log-inclusion)".to_owned(),
        "not-checked=(signer deadline witnesses revocations attestations)".to_owned(),
    ] {
        assert!(header.contains(&said), "{said} in {header}");
    }

    // The receipt that the client could keep, and the one that the proxy kept, verify elsewhere.
    let id: Digest = reply.receipt_id().parse().unwrap();
    let kept = folder.path().join("receipts").join(id.to_hex());
    let receipt = kept.with_extension("json");
    let bytes = fs::read(&receipt).unwrap();
    assert!(reply.body.windows(bytes.len()).any(|w| w == bytes));
    let proof = kept.with_extension("tlog-proof");
    let proof = proof.to_str().unwrap();
    let log = ["--log-key", service.log_key(), "--tlog-proof", proof];
    let verified = model.verify(&receipt, &log);
    assert_eq!(verified.exit, 0, "{verified:?}");

    // A client that does know of them is understood too.
    let nonce = format!("0x{}", "5a".repeat(32));
    let mut asked = model.request(1);
    asked["parameters"] = json!({ "nonce": nonce, "receipt": "link" });
    asked["outputs"] = json!([{ "name": "logits:label" }]);
    let answer = proxy.infer(DIGITS, &asked).json();
    assert_eq!(answer["parameters"]["nonce"], json!(nonce));
    assert!(answer.get("receipt").is_none() && answer.get("tlog_proof").is_none());
    assert_eq!(answer["outputs"].as_array().unwrap().len(), 1);

    // What is wrong with a request is said without asking anybody.
    let proofs = service.proofs(DIGITS);
    let mut short = model.request(0);
    short["inputs"][0]["data"] = json!([1, 2]);
    proxy
        .infer(DIGITS, &short)
        .problem(400, "tensor-length-mismatch");
    let mut unknown = model.request(0);
    unknown["outputs"] = json!([{ "name": "no" }]);
    proxy.infer(DIGITS, &unknown).problem(400, "output-unknown");
    let mut nonce = model.request(0);
    nonce["parameters"] = json!({ "nonce": "0x00" });
    proxy
        .infer(DIGITS, &nonce)
        .problem(400, "parameter-invalid");
    proxy.infer(RISK, &body).problem(404, "model-unknown");
    let path = "/v2/models/digits-mlp/versions/9/infer";
    proxy.post(path, &body).problem(404, "version-unknown");
    proxy.get("/v1/models").problem(404, "not-found");
    proxy
        .get("/v2/models/digits-mlp/infer")
        .problem(405, "method-not-allowed");
    let path = "/v2/models/digits-mlp/infer";
    let binary = "POST /v2/models/digits-mlp/infer HTTP/1.1\r\nhost: a\r\ncontent-type: application/octet-stream\r\ncontent-length: 4\r\n\r\n";
    let binary = [binary.as_bytes(), &[0, 255, 1, 254]].concat();
    proxy.raw(&binary).problem(415, "unsupported-media-type");
    let json = String::from_utf8_lossy(&binary).replace("octet-stream", "json");
    let json = [
        json.split_once("\r\n\r\n").unwrap().0.as_bytes(),
        &b"\r\n\r\n\0\xff\x01\xfe"[..],
    ];
    proxy.raw(&json.concat()).problem(400, "json-malformed");
    let short = [("request-timeout", "0.001")];
    let late = proxy.try_post(path, &short, &body.to_string()).unwrap();
    late.problem(504, "deadline-exceeded");
    service.wait_until("nobody else was asked", |s| s.proofs(DIGITS) <= proofs + 1);
    assert_eq!(attempts(&proxy, service.url(), "verified"), 2);

    // Readiness is the providers'.
    drop(service);
    proxy.wait_until("is not ready", |proxy| {
        proxy.get("/v2/health/ready").status == 503
    });
    assert_eq!(proxy.get("/v2/health/live").status, 200);
    let refused = proxy.infer(DIGITS, &body);
    refused.problem(503, "service-unreachable");
    assert!(refused.header("retry-after").is_some());
    assert!(!proxy.log().contains("\"data\""), "inputs are not logged");
}

/// A service that takes its time, behind a proxy with one place.
fn slow(pause: Duration) -> (Alone, Liar, tempfile::TempDir, Service) {
    let alone = alone(RISK, &[]);
    let url = alone.service.url().to_owned();
    let turn = Mutex::new(());
    let slow = Liar::start(move |asked| {
        if asked.is_inference() {
            let _turn = turn.lock().unwrap();
            thread::sleep(pause);
        }
        forward(&url, asked)
    });
    let folder = tempfile::tempdir().unwrap();
    let package = alone.packages.path().join(RISK);
    let config = config(
        &alone.model,
        &package,
        alone.service.log_key(),
        &[slow.url()],
    );
    let proxy = start(folder.path(), &config, &["--concurrency", "1"]);
    (alone, slow, folder, proxy)
}

#[test]
fn sigterm_lets_what_was_accepted_end_and_a_client_that_leaves_frees_its_place() {
    let (alone, slow, _folder, mut proxy) = slow(Duration::from_millis(700));
    let body = alone.model.request(0);
    let address = proxy.url().strip_prefix("http://").unwrap().to_owned();
    let text = body.to_string();
    let request = format!(
        "POST /v2/models/{RISK}/infer HTTP/1.1\r\nhost: a\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n{text}",
        text.len()
    );
    {
        let mut stream = TcpStream::connect(address).unwrap();
        stream.write_all(request.as_bytes()).unwrap();
        proxy.wait_until("it is asked", |_| slow.inferences() == 1);
    }
    // Its place is taken until the provider, who cannot be called back, has answered.
    proxy.infer(RISK, &body).problem(429, "queue-full");
    proxy.wait_until("the place is free", |proxy| {
        attempts(proxy, slow.url(), "verified") == 1
    });
    // It is counted a moment before its place is free.
    thread::sleep(Duration::from_millis(100));
    let answered = thread::scope(|scope| {
        let asked = scope.spawn(|| proxy.infer(RISK, &body));
        proxy.wait_until("it is asked", |_| slow.inferences() == 2);
        proxy.terminate();
        asked.join().unwrap()
    });
    assert_eq!(provider(&answered), slow.url());
    assert_eq!(proxy.wait(), Some(0), "{}", proxy.log());
}

#[test]
fn what_makes_no_sense_does_not_start() {
    let model = Public::of(RISK);
    let package = model.manifest_path.parent().unwrap().to_str().unwrap();
    let digest = model.digest.to_string();
    let other = Public::of(DIGITS).digest.to_string();
    let key = "0x".to_owned() + &"ab".repeat(32);
    let proxy = |digest: &str, more: &[&str]| {
        let base = [
            "proxy",
            "--json",
            "--listen",
            "127.0.0.1:0",
            "--package",
            package,
        ];
        let pinned = ["--package-digest", digest];
        run(&mut proofmark(&[&base[..], &pinned[..], more].concat()))
    };
    let provider = ["--provider", "http://127.0.0.1:1"];
    proxy(&other, &provider).refused(1, "package-not-pinned");
    proxy(&digest, &["--provider", "https://a"]).refused(2, "proxy-config");
    let remote = ["--provider", "http://a", "--listen", "0.0.0.0:0"];
    let ended = run(&mut proofmark(
        &[
            &[
                "proxy",
                "--json",
                "--package",
                package,
                "--package-digest",
                &digest,
            ][..],
            &remote[..],
        ]
        .concat(),
    ));
    assert!(ended.refused(2, "proxy-config").contains("--allow-remote"));
    let two = [
        "--provider",
        "http://a",
        "--provider",
        "http://b",
        "--service-key",
        &key,
    ];
    assert!(
        proxy(&digest, &two)
            .refused(2, "proxy-config")
            .contains("--config")
    );
    let folder = tempfile::tempdir().unwrap();
    let empty = folder.path().to_str().unwrap();
    let log_key = "example.com/log+72745303+AVhmZmZmZmZmZmZmZmZmZmZmZmZmZmZmZmZmZmZmZmZm";
    let copy = ["--log", empty, "--log-key", log_key, "--service-key", &key];
    let copy = [&provider[..], &copy, &["--state", empty]].concat();
    assert!(
        proxy(&digest, &copy)
            .refused(2, "proxy-config")
            .contains("copy of the log")
    );
    let auditor = [&provider[..], &["--auditor-key", &key]].concat();
    proxy(&digest, &auditor).refused(1, "attestation-missing");
}

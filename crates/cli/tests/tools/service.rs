//! serve and infer, with an honest service and with others.

use std::fs;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpListener;
use std::process::{Child, Command, Stdio};
use std::thread;

use serde_json::{Value, json as object};

use crate::support::{MODEL, NONCE, Ran, Sealed, json, sample_file};

struct Service {
    child: Child,
    url: String,
    key: String,
}

impl Service {
    fn start(sealed: &Sealed) -> Self {
        let mut child = Command::new(env!("CARGO_BIN_EXE_proofmark"))
            .args([
                "serve",
                "--packages",
                &sealed.packages(),
                "--data",
                &sealed.file("data"),
            ])
            .args(["--listen", "127.0.0.1:0", "--json"])
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let mut line = String::new();
        let stdout = child.stdout.take().unwrap();
        BufReader::new(stdout).read_line(&mut line).unwrap();
        let said: Value = serde_json::from_str(&line).unwrap();
        Self {
            url: said["listening"].as_str().unwrap().to_owned(),
            key: said["service_key"].as_str().unwrap().to_owned(),
            child,
        }
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        self.child.kill().ok();
        self.child.wait().ok();
    }
}

/// Starts a service and stops it: the address that it had.
pub(crate) fn once(sealed: &Sealed) -> String {
    Service::start(sealed).url.clone()
}

fn infer(sealed: &Sealed, url: &str, sample: &str, more: &[&str]) -> Ran {
    let (package, input) = (sealed.package(), sample_file("heldout.npz"));
    let arguments = [
        "infer",
        "--url",
        url,
        "--model",
        MODEL,
        "--package-digest",
        &sealed.digest,
        "--package",
        &package,
        "--input",
        &input,
        "--sample",
        sample,
    ];
    json(&[&arguments[..], more].concat())
}

#[test]
fn an_answer_is_verified_before_it_is_shown_and_its_receipt_offline_after() {
    let sealed = Sealed::sample();
    let mut service = Service::start(&sealed);
    let receipt = sealed.file("r.json");
    let answer = infer(
        &sealed,
        &service.url,
        "0",
        &["--receipt", &receipt, "--service-key", &service.key],
    );
    let answer = answer.ended(0, "").json();
    assert_eq!(answer["verdict"], "accepted");
    assert_eq!(answer["signature"]["status"], "valid-pinned");
    assert_eq!(
        answer["opened"][0], "features",
        "the inputs are compared with what was sent"
    );
    assert_eq!(answer["outputs"][0]["views"]["class"][0]["label"], "benign");

    let other_key = format!("0x{}", "11".repeat(32));
    infer(&sealed, &service.url, "0", &["--service-key", &other_key]).ended(1, "signer-mismatch");

    #[cfg(unix)]
    {
        let id = service.child.id().to_string();
        let stopped = Command::new("kill").args(["-TERM", &id]).status().unwrap();
        assert!(stopped.success());
        assert!(
            service.child.wait().unwrap().success(),
            "a clean shutdown ends with 0"
        );
    }
    let verified = sealed
        .verify("r.json", &["--service-key", &service.key])
        .ended(0, "")
        .json();
    assert_eq!(verified["receipt_id"], answer["receipt_id"]);
    infer(&sealed, &service.url, "0", &[]).ended(3, "service-unreachable");

    // The key outlives the process.
    drop(service.child.kill());
    let key = service.key.clone();
    let service = Service::start(&sealed);
    assert_eq!(service.key, key);
}

#[test]
fn serve_needs_sealed_packages() {
    let folder = tempfile::tempdir().unwrap();
    let (packages, data) = (folder.path().join("p"), folder.path().join("d"));
    let serve = |packages: &str| {
        json(&[
            "serve",
            "--packages",
            packages,
            "--data",
            data.to_str().unwrap(),
            "--listen",
            "127.0.0.1:0",
        ])
    };
    serve(packages.to_str().unwrap()).ended(3, "file-unreadable");
    fs::create_dir(&packages).unwrap();
    serve(packages.to_str().unwrap()).ended(2, "package-missing");
    // A draft is not served.
    let draft = packages.join(MODEL);
    fs::create_dir(&draft).unwrap();
    fs::copy(sample_file("manifest.json"), draft.join("manifest.json")).unwrap();
    serve(packages.to_str().unwrap()).ended(2, "package-missing");
}

/// A service that gives everyone the same answer, whatever they ask.
fn canned(status: &'static str, body: String) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            let mut reader = BufReader::new(stream.try_clone().unwrap());
            let mut length = 0;
            loop {
                let mut line = String::new();
                reader.read_line(&mut line).unwrap();
                if let Some(value) = line.to_ascii_lowercase().strip_prefix("content-length:") {
                    length = value.trim().parse().unwrap();
                }
                if line.trim().is_empty() {
                    break;
                }
            }
            let mut request = vec![0; length];
            reader.read_exact(&mut request).unwrap();
            let head = format!(
                "HTTP/1.1 {status}\r\ncontent-type: application/json\r\ncontent-length: {}\r\nconnection: close\r\n\r\n",
                body.len()
            );
            stream.write_all(head.as_bytes()).unwrap();
            stream.write_all(body.as_bytes()).unwrap();
        }
    });
    url
}

#[test]
fn a_service_that_cheats_is_found_out() {
    let sealed = Sealed::sample();
    sealed
        .prove("0", "r.json", &["--nonce", NONCE])
        .ended(0, "");
    let receipt = fs::read_to_string(sealed.file("r.json")).unwrap();
    let honest = format!("{{\"outputs\":[],\"receipt\":{receipt}}}");

    let url = canned("200 OK", honest);
    // The very question it was proven for.
    infer(&sealed, &url, "0", &["--nonce", NONCE]).ended(0, "");
    // A receipt of yesterday for today's question.
    infer(&sealed, &url, "0", &[]).ended(1, "context-mismatch");
    // The right nonce, but a proof about another input.
    infer(&sealed, &url, "1", &["--nonce", NONCE]).ended(1, "opening-mismatch");

    // Outputs beside the receipt are not what is shown.
    let lie = object!({"name": "logits", "datatype": "INT32", "shape": [1, 2], "data": [-9, 9]});
    let lying = format!("{{\"outputs\":[{lie}],\"receipt\":{receipt}}}");
    let url = canned("200 OK", lying);
    let shown = infer(&sealed, &url, "0", &["--nonce", NONCE])
        .ended(0, "")
        .json();
    assert_ne!(shown["outputs"][0]["values"], object!([-9, 9]));

    let url = canned("200 OK", "{\"outputs\":[]}".to_owned());
    infer(&sealed, &url, "0", &[]).ended(1, "answer-malformed");
    let url = canned("200 OK", "<html>".to_owned());
    infer(&sealed, &url, "0", &[]).ended(1, "answer-malformed");
}

#[test]
fn a_refusal_keeps_the_services_code() {
    let sealed = Sealed::sample();
    let busy = object!({"code": "queue-full", "detail": "64 requests wait"}).to_string();
    let url = canned("429 Too Many Requests", busy);
    infer(&sealed, &url, "0", &[]).ended(3, "queue-full");
    let url = canned("502 Bad Gateway", "<html>".to_owned());
    infer(&sealed, &url, "0", &[]).ended(3, "service-refused");
    let unknown = object!({"code": "model-unknown", "detail": "no such model"}).to_string();
    let url = canned("404 Not Found", unknown);
    infer(&sealed, &url, "0", &[]).ended(2, "model-unknown");
}

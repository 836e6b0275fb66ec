//! `proofmark proxy`: what a client gets that knows nothing of proofs, from providers that tell the
//! truth and from such that do not.

use std::fs;
use std::io::Write as _;
use std::net::TcpStream;
use std::path::Path;
use std::sync::Mutex;
use std::thread;
use std::time::Duration;

use ed25519_dalek::SigningKey;
use proofmark_tests::service::{Public, Reply, Service, Start, only, proofmark, run, seal};
use proofmark_types::Digest;
use proofmark_types::receipt::{Envelope, RecordValue};
use proofmark_types::{IntTensor, field};
use serde_json::{Value, json};

use crate::liar::{Asked, Liar, Told, forward};
use crate::notices::{copy, witness};
use crate::{Alone, DIGITS, RISK, alone, envelope, values};

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

/// A lie: what a provider does with an inference, and the code that it is found by.
struct Lie {
    code: &'static str,
    liar: Liar,
}

impl Lie {
    /// Whether it is one, or no answer at all.
    fn is_one(&self) -> bool {
        let none = [
            "service-refused",
            "queue-full",
            "model-unknown",
            "deadline-exceeded",
        ];
        !none.contains(&self.code)
    }
}

/// The receipt in an answer, changed by whoever has a signing key of their own.
fn forged(told: &Told, change: impl Fn(&mut proofmark_types::receipt::Receipt)) -> Told {
    let mut answer: Value = serde_json::from_slice(&told.body).unwrap();
    let text = String::from_utf8(told.body.clone()).unwrap();
    let begin = text.find("\"receipt\":{").unwrap() + "\"receipt\":".len();
    let mut parsed = serde_json::Deserializer::from_str(&text[begin..]).into_iter::<Value>();
    parsed.next().unwrap().unwrap();
    let envelope = &text[begin..begin + parsed.byte_offset()];
    let envelope = Envelope::parse(envelope.as_bytes()).unwrap();
    let key = SigningKey::from_bytes(&[3; 32]);
    let mut receipt = envelope.receipt().clone();
    receipt.signer = key.verifying_key().to_bytes();
    change(&mut receipt);
    let bytes = Envelope::sign(receipt, &key).unwrap().to_bytes().unwrap();
    // Its bytes are its identity, so it is put in as it is.
    answer["receipt"] = json!("RECEIPT");
    let body = answer.to_string();
    let body = body.replace("\"RECEIPT\"", std::str::from_utf8(&bytes).unwrap());
    Told::new(200, body)
}

fn json_of(asked: &Asked) -> Value {
    serde_json::from_slice(&asked.body).unwrap()
}

/// Liars of all kinds in front of a true service; `other` serves another package of that name.
fn liars(url: &str, other: &str, body: &Value) -> Vec<Lie> {
    let liar = |code, answers: Box<dyn Fn(&Asked) -> Told + Send + Sync>| {
        let liar = Liar::start(move |asked| {
            if asked.is_inference() {
                answers(asked)
            } else {
                Told::new(404, "")
            }
        });
        Lie { code, liar }
    };
    let url = || url.to_owned();
    // Made by the true service, for another nonce.
    let old = Asked {
        method: "POST".to_owned(),
        path: format!("/v2/models/{RISK}/infer"),
        body: body.to_string().into_bytes(),
    };
    let old = forward(&url(), &old).body;
    let (a, b, c, d, e, f, g) = (url(), url(), url(), url(), url(), url(), url());
    let other = other.to_owned();
    vec![
        liar(
            "context-mismatch",
            Box::new(move |_| Told::new(200, old.clone())),
        ),
        liar(
            "proof-invalid",
            Box::new(move |asked| {
                forged(&forward(&a, asked), |receipt| {
                    let RecordValue::Public(tensor) = &mut receipt.outputs[0].value else {
                        panic!("a public output");
                    };
                    let mut data = tensor.data().to_vec();
                    data.reverse();
                    *tensor = IntTensor::new(tensor.elem(), tensor.shape().to_vec(), data).unwrap();
                })
            }),
        ),
        // Who changes the statement without a key.
        liar(
            "signature-invalid",
            Box::new(move |asked| {
                let told = forward(&b, asked);
                let text = String::from_utf8(told.body).unwrap();
                let begin = text.find("\"sig\":\"").unwrap() + 7;
                let swapped = if text[begin..].starts_with('A') {
                    "B"
                } else {
                    "A"
                };
                let text = format!("{}{swapped}{}", &text[..begin], &text[begin + 1..]);
                Told::new(200, text)
            }),
        ),
        // A true proof, but of another input.
        liar(
            "opening-mismatch",
            Box::new(move |asked| {
                let mut body = json_of(asked);
                let data = body["inputs"][0]["data"].as_array_mut().unwrap();
                let first = data[0].as_i64().unwrap();
                data[0] = json!(if first == 0 { 1 } else { first - 1 });
                let asked = Asked {
                    method: asked.method.clone(),
                    path: asked.path.clone(),
                    body: body.to_string().into_bytes(),
                };
                forward(&c, &asked)
            }),
        ),
        liar(
            "log-evidence-missing",
            Box::new(move |asked| {
                let told = forward(&d, asked);
                let mut text = String::from_utf8(told.body).unwrap();
                text = text.replace("\"tlog_proof\":", "\"other\":");
                Told::new(200, text)
            }),
        ),
        // A receipt that a thief of the answer signed is in no log.
        liar(
            "tlog-inclusion-invalid",
            Box::new(move |asked| forged(&forward(&e, asked), |_| {})),
        ),
        liar(
            "package-not-pinned",
            Box::new(move |asked| forward(&other, asked)),
        ),
        liar("answer-malformed", Box::new(|_| Told::new(200, "<html>"))),
        liar(
            "answer-malformed",
            Box::new(|_| Told::new(200, vec![b' '; 8 << 20])),
        ),
        // These are no lies, but no answers either.
        liar(
            "service-refused",
            Box::new(move |asked| {
                let mut told = Told::new(307, "");
                told.headers
                    .push(("location", format!("{f}{}", asked.path)));
                told
            }),
        ),
        liar(
            "service-refused",
            Box::new(|_| Told::new(500, "{\"code\":\"<script>\"}")),
        ),
        liar("queue-full", Box::new(|_| Told::new(429, ""))),
        liar(
            "model-unknown",
            Box::new(|_| Told::new(404, "{\"code\":\"model-unknown\"}")),
        ),
        liar(
            "deadline-exceeded",
            Box::new(move |asked| {
                let mut told = forward(&g, asked);
                told.drip = Some(Duration::from_millis(20));
                told
            }),
        ),
    ]
}

#[test]
fn no_lie_gets_through() {
    let work = tempfile::tempdir().unwrap();
    let Alone {
        service,
        model,
        packages,
        data: _data,
    } = alone(RISK, &[]);
    // Another package of the same name and version.
    let others = work.path().join("others");
    let policy = ["logits=hashed"];
    seal(
        RISK,
        "benign,malignant",
        &policy,
        work.path(),
        &others.join(RISK),
    );
    let other = Service::start(Start {
        packages: &others,
        data: &work.path().join("other"),
        more: &[],
    });
    let body = model.request(0);
    let lies = liars(service.url(), other.url(), &body);
    let dead = nobody();
    let mut urls = vec![dead.as_str()];
    urls.extend(lies.iter().map(|lie| lie.liar.url()));
    urls.push(service.url());
    let package = packages.path().join(RISK);
    let all = config(&model, &package, service.log_key(), &urls);
    let mut proxy = start(work.path(), &all, &["--provider-timeout", "2"]);

    // One request meets all of them, and gets what is true.
    let truth = service.infer(RISK, &body).json();
    let reply = proxy.infer(RISK, &body);
    assert_eq!(provider(&reply), service.url());
    assert_eq!(reply.json()["outputs"], truth["outputs"]);
    assert_eq!(attempts(&proxy, &dead, "service-unreachable"), 1);
    for lie in &lies {
        let url = lie.liar.url();
        assert_eq!(
            attempts(&proxy, url, lie.code),
            1,
            "{}: {}",
            lie.code,
            proxy.log()
        );
        assert_eq!(lie.liar.inferences(), 1);
    }
    assert_eq!(attempts(&proxy, service.url(), "verified"), 1);

    // Who lied is not asked again for a while, and who did not answer comes after who does.
    let reply = proxy.infer(RISK, &model.request(1));
    assert_eq!(provider(&reply), service.url());
    for lie in lies.iter().filter(|lie| lie.is_one()) {
        assert_eq!(lie.liar.inferences(), 1, "{}", lie.code);
    }
    let log = proxy.log();
    assert!(log.contains("AN ANSWER DOES NOT VERIFY"), "{log}");
    assert!(
        !log.contains("<script>"),
        "words of providers are not repeated"
    );

    // Only lies: nothing of them is passed on.
    proxy.terminate();
    assert_eq!(proxy.wait(), Some(0));
    let folder = tempfile::tempdir().unwrap();
    let lied = lies.iter().filter(|lie| lie.is_one());
    let urls: Vec<_> = lied.map(|lie| lie.liar.url()).collect();
    let all = config(&model, &package, service.log_key(), &urls);
    let proxy = start(folder.path(), &all, &[]);
    for _ in 0..2 {
        let refused = proxy.infer(RISK, &body);
        refused.problem(502, "answer-unverified");
        assert!(!refused.text().contains("outputs"), "{}", refused.text());
        assert!(refused.header(VERIFIED).is_none());
        assert!(refused.header("retry-after").is_some());
    }
    let kept = fs::read_dir(folder.path().join("receipts")).unwrap();
    assert_eq!(
        kept.count(),
        0,
        "a receipt that does not verify is not kept"
    );
    assert_eq!(proxy.get("/v2/health/ready").status, 503);
}

#[test]
fn what_a_provider_writes_beside_the_receipt_is_not_passed_on() {
    let Alone {
        service,
        model,
        packages,
        data: _data,
    } = alone(RISK, &[]);
    let url = service.url().to_owned();
    // A true receipt among lies.
    let liar = Liar::start(move |asked| {
        let mut told = forward(&url, asked);
        if asked.is_inference() {
            let text = String::from_utf8(told.body).unwrap();
            let (_, receipt) = text.split_once("\"receipt\":").unwrap();
            told.body = format!(
                "{{\"model_name\":\"evil\",\"model_version\":\"6\",\"id\":\"evil\",\
                 \"parameters\":{{\"evil\":1}},\"evil\":\"evil\",\"outputs\":[{{\"name\":\"logits\",\
                 \"shape\":[1,2],\"datatype\":\"INT32\",\"data\":[6,6]}}],\"receipt\":{receipt}"
            )
            .into_bytes();
            told.headers.push(("proofmark-verified", "evil".to_owned()));
            told.headers.push(("set-cookie", "evil=1".to_owned()));
        }
        told
    });
    let folder = tempfile::tempdir().unwrap();
    let package = packages.path().join(RISK);
    let config = config(&model, &package, service.log_key(), &[liar.url()]);
    let proxy = start(folder.path(), &config, &[]);
    let body = model.request(0);
    let reply = proxy.infer(RISK, &body);
    assert_eq!(provider(&reply), liar.url());
    let (answer, truth) = (reply.json(), service.infer(RISK, &body).json());
    for member in ["outputs", "model_name", "model_version", "id"] {
        assert_eq!(answer[member], truth[member], "{member}");
    }
    assert!(!reply.text().contains("evil"), "{}", reply.text());
    assert!(
        reply
            .headers
            .iter()
            .all(|(_, value)| !value.contains("evil"))
    );
}

#[test]
fn a_log_that_was_forked_is_found_and_stays_found() {
    let packages = only(RISK);
    let model = Public::read(&packages.path().join(RISK));
    let work = tempfile::tempdir().unwrap();
    let data = |name: &str| work.path().join(name);
    let serve = |name: &str| {
        Service::start(Start {
            packages: packages.path(),
            data: &data(name),
            more: &[],
        })
    };
    // Two services with one key, whose log goes on differently from its first entry.
    let mut one = serve("one");
    one.infer(RISK, &model.request(0)).receipt_id();
    one.terminate();
    one.wait();
    copy(&data("one"), &data("two"));
    let (one, two) = (serve("one"), serve("two"));
    assert_eq!(one.log_key(), two.log_key());
    let package = packages.path().join(RISK);
    let config = config(&model, &package, one.log_key(), &[one.url(), two.url()]);
    let mut proxy = start(work.path(), &config, &[]);
    for sample in 0..3 {
        let reply = proxy.infer(RISK, &model.request(sample));
        assert_eq!(provider(&reply), one.url());
    }
    drop(one);
    let body = model.request(0);
    // Smaller than what was seen, then as large, then larger.
    two.infer(RISK, &body).receipt_id();
    proxy.infer(RISK, &body).problem(502, "answer-unverified");
    proxy.terminate();
    proxy.wait();
    two.infer(RISK, &body).receipt_id();
    two.infer(RISK, &body).receipt_id();
    let proxy = start(work.path(), &config, &[]);
    proxy.infer(RISK, &body).problem(502, "answer-unverified");
    assert_eq!(
        attempts(&proxy, two.url(), "tlog-inconsistent"),
        1,
        "{}",
        proxy.log()
    );
    assert!(proxy.log().contains("THE LOG SHOWS TWO HISTORIES"));
    let state = fs::read_dir(work.path().join("state")).unwrap();
    let mut files = state.flatten().map(|file| file.path());
    assert!(files.any(|file| file.extension().is_some_and(|e| e == "contradiction")));
}

#[test]
fn hidden_tensors_are_opened_by_the_provider_and_checked() {
    let work = tempfile::tempdir().unwrap();
    let packages = work.path().join("packages");
    let policy = ["features=private", "logits=hashed"];
    seal(
        RISK,
        "benign,malignant",
        &policy,
        work.path(),
        &packages.join(RISK),
    );
    let model = Public::read(&packages.join(RISK));
    let service = Service::start(Start {
        packages: &packages,
        data: &work.path().join("data"),
        more: &[],
    });
    // Tells another output than the commitment holds.
    let url = service.url().to_owned();
    let liar = Liar::start(move |asked| {
        let mut told = forward(&url, asked);
        if asked.is_inference() {
            let text = String::from_utf8(told.body).unwrap();
            let (before, data) = text.split_once("\"data\":[").unwrap();
            let (_, after) = data.split_once(',').unwrap();
            told.body = format!("{before}\"data\":[77,{after}").into_bytes();
        }
        told
    });
    let urls = [liar.url(), service.url()];
    let config = config(&model, &packages.join(RISK), service.log_key(), &urls);
    let proxy = start(work.path(), &config, &[]);
    let body = model.request(0);
    let reply = proxy.infer(RISK, &body);
    assert_eq!(
        attempts(&proxy, liar.url(), "opening-mismatch"),
        1,
        "{}",
        proxy.log()
    );
    assert_eq!(provider(&reply), service.url());
    let answer = reply.json();
    let truth = service.infer(RISK, &body).json();
    assert_eq!(values(&answer, "logits"), values(&truth, "logits"));
    let openings = answer["openings"].as_array().unwrap();
    assert_eq!(openings.len(), 1);
    assert_eq!(openings[0]["tensor"], "features");
    assert!(field::fr_from_hex(openings[0]["salt"].as_str().unwrap()).is_ok());
}

/// What the copy of the log revokes is refused, although the service goes on answering with it; and an
/// answer waits for the witnesses that are demanded.
#[test]
fn the_copy_of_a_log_and_its_witnesses_are_honoured() {
    let mut alone = alone(RISK, &[]);
    let log_key = alone.service.log_key().to_owned();
    let body = alone.model.request(0);
    let (_, signed) = envelope(&alone.service, &alone.service.infer(RISK, &body));
    let service_key = format!("0x{}", hex::encode(signed.receipt().signer));
    let stop = |service: &mut Service| {
        service.terminate();
        assert_eq!(service.wait(), Some(0), "{}", service.log());
    };
    stop(&mut alone.service);
    let work = tempfile::tempdir().unwrap();
    let witness = witness(&work.path().join("witness"), "witness.example/1", &log_key);
    let data = alone.data.path().to_owned();
    let packages = alone.packages.path().to_owned();
    let restart = || {
        Service::start(Start {
            packages: &packages,
            data: &data,
            more: &["--witness", &witness.url, "--witness-key", &witness.key],
        })
    };
    let config = |service: &Service, copy: &str| {
        json!({
            "packages": [{ "folder": packages.join(RISK), "digest": alone.model.digest }],
            "providers": [{
                "url": service.url(),
                "service_key": service_key,
                "log": {
                    "key": log_key,
                    "witnesses": [witness.key],
                    "copy": data.join(copy),
                },
            }],
        })
    };
    alone.service = restart();
    // Of the copy too the witnesses must have seen what is believed.
    let id = alone.service.infer(RISK, &body).receipt_id();
    let url = format!("/v1/receipts/{id}/tlog-proof?head=cosigned");
    let cosigned = |service: &Service| service.get(&url).status == 200;
    alone.service.wait_until("it is cosigned", cosigned);
    copy(&data.join("log/public"), &data.join("mirror"));
    let mut proxy = start(work.path(), &config(&alone.service, "mirror"), &[]);
    let reply = proxy.infer(RISK, &body);
    assert_eq!(provider(&reply), alone.service.url());
    let header = reply.header(VERIFIED).unwrap();
    for said in [
        "witnesses=(\"witness.example/1\")",
        "checked=(package statement proof signature signer freshness openings log-inclusion witnesses revocations)",
    ] {
        assert!(header.contains(said), "{said} in {header}");
    }
    stop(&mut proxy);
    stop(&mut alone.service);

    let subject = format!("package={}", alone.model.digest);
    copy(&data.join("log"), &data.join("revoking"));
    let revoked = run(proofmark(&["log", "revoke", "--json", "--data"])
        .arg(&data)
        .arg("--log")
        .arg(data.join("revoking"))
        .args(["--subject", &subject, "--reason", "unsound"]));
    assert_eq!(revoked.exit, 0, "{revoked:?}");
    fs::remove_file(data.join("log.checkpoint")).unwrap();
    alone.service = restart();
    // The witness saw no checkpoint of the revocation: the copy is asked without witnesses.
    let mut config = config(&alone.service, "revoking");
    config["providers"][0]["log"]["witnesses"] = json!([]);
    let proxy = start(work.path(), &config, &[]);
    proxy.infer(RISK, &body).problem(502, "answer-unverified");
    let url = alone.service.url();
    assert_eq!(attempts(&proxy, url, "log-revoked"), 1, "{}", proxy.log());
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
    let auditor = [&provider[..], &["--auditor-key", &key]].concat();
    proxy(&digest, &auditor).refused(1, "attestation-missing");
}

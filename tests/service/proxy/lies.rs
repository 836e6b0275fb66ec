//! Providers that lie in every way that there is: nothing of it is passed on.

use std::fs;
use std::time::Duration;

use ed25519_dalek::SigningKey;
use proofmark_tests::service::{Public, Service, Start, seal};
use proofmark_types::receipt::{Envelope, Receipt, RecordValue};
use proofmark_types::{IntTensor, field};
use serde_json::{Value, json};

use super::{VERIFIED, attempts, config, nobody, provider, start};
use crate::liar::{Asked, Liar, Told, forward};
use crate::{Alone, RISK, alone, values};

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
fn forged(told: &Told, change: impl Fn(&mut Receipt)) -> Told {
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

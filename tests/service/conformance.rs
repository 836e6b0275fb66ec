//! The API: what the Open Inference Protocol asks for, what the committed description says, and
//! the digests that a verifier pins.

use std::collections::BTreeSet;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use proofmark_tests::service::{Public, Reply, Service, Start, packages, proofmark, run};
use proofmark_types::Digest;
use serde_json::{Value, json};

use crate::{DIGITS, RISK, alone, envelope};

fn both(data: &tempfile::TempDir, more: &[&str]) -> Service {
    Service::start(Start {
        packages: packages(),
        data: data.path(),
        more,
    })
}

#[test]
fn the_open_inference_protocol_is_spoken() {
    let data = tempfile::tempdir().unwrap();
    let service = both(&data, &[]);
    let get = |path: &str| {
        let reply = service.get(path);
        assert_eq!(reply.status, 200, "{path}: {}", reply.text());
        assert_eq!(reply.header("content-type"), Some("application/json"));
        reply.json()
    };
    let server = get("/v2");
    assert_eq!(server["name"], "proofmark");
    assert!(server["version"].is_string());
    assert_eq!(server["extensions"], json!(["proof/v1"]));
    assert_eq!(get("/v2/health/live"), json!({ "live": true }));
    assert_eq!(get("/v2/health/ready"), json!({ "ready": true }));
    assert_eq!(get("/v2/models"), json!({ "models": [DIGITS, RISK] }));
    for name in [RISK, DIGITS] {
        let model = Public::of(name);
        let path = format!("/v2/models/{name}");
        let metadata = get(&path);
        assert_eq!(metadata["name"], name);
        assert_eq!(metadata["versions"], json!(["1"]));
        assert_eq!(metadata["platform"], "onnxruntime_onnx");
        let input = &model.manifest.inputs[0];
        let expected = json!({ "name": input.name, "datatype": "FP32", "shape": input.shape });
        assert_eq!(metadata["inputs"], json!([expected]));
        let output = &model.manifest.outputs[0];
        let expected = json!({
            "name": output.name,
            "datatype": output.elem.oip_name(),
            "shape": output.shape,
        });
        assert_eq!(metadata["outputs"][0], expected);
        // An answer has exactly the outputs that the metadata announces.
        let answer = service.infer(name, &model.request(0)).json();
        let described = |tensors: &Value| -> Vec<Value> {
            let tensors = tensors.as_array().unwrap().iter();
            let fields = |t: &Value| json!([t["name"], t["datatype"], t["shape"]]);
            tensors.map(fields).collect()
        };
        assert_eq!(
            described(&answer["outputs"]),
            described(&metadata["outputs"])
        );
        assert_eq!(
            get(&format!("{path}/ready")),
            json!({ "name": name, "ready": true })
        );
        assert_eq!(get(&format!("{path}/versions/1")), metadata);
        assert_eq!(
            get(&format!("{path}/versions/1/ready")),
            json!({ "name": name, "ready": true })
        );
        let by_version = service.post(&format!("{path}/versions/1/infer"), &model.request(0));
        by_version.receipt_id();
        assert_eq!(by_version.json()["outputs"], answer["outputs"]);
    }
}

#[test]
fn a_client_gets_only_the_outputs_it_asks_for_and_the_receipt_stays_whole() {
    let alone = alone(RISK, &[]);
    let output = &alone.model.manifest.outputs[0].name;
    let mut request = alone.model.request(0);
    let wanted = format!("{output}:label");
    request["outputs"] = json!([{ "name": wanted }]);
    request["parameters"] = json!({ "receipt": "link", "unknown": [1, 2] });
    let reply = alone.service.infer(RISK, &request);
    let answer = reply.json();
    let names: Vec<_> = answer["outputs"].as_array().unwrap().iter().collect();
    assert_eq!(names.len(), 1);
    assert_eq!(names[0]["name"], wanted);
    assert!(answer.get("receipt").is_none());
    let url = answer["parameters"]["receipt_url"].as_str().unwrap();
    let receipt = alone.service.get(url);
    assert_eq!(
        receipt.header("content-type"),
        Some("application/vnd.dsse.envelope.v1+json")
    );
    let path = alone.data.path().join("receipt.json");
    std::fs::write(&path, &receipt.body).unwrap();
    let verdict = alone.model.verify(&path, &[]);
    assert_eq!(verdict.exit, 0, "{verdict:?}");
    assert_eq!(verdict.json()["outputs"][0]["name"], *output);
    // Every answer says what took how long, and a client's own request id comes back.
    let timing = reply.header("server-timing").unwrap();
    for part in ["queue;dur=", "runtime;dur=", "proving;dur=", "store;dur="] {
        assert!(timing.contains(part), "{timing}");
    }
    let path = format!("/v2/models/{RISK}/infer");
    let headers = [("x-request-id", "mine-1")];
    let reply = alone.service.try_post(&path, &headers, "{").unwrap();
    assert_eq!(reply.header("x-request-id"), Some("mine-1"));
    reply.problem(400, "json-malformed");
    assert!(alone.service.log().contains("mine-1"));
}

#[test]
fn the_description_is_the_committed_one_and_lists_every_route() {
    let data = tempfile::tempdir().unwrap();
    let service = both(&data, &["--share-package", RISK]);
    let served = service.get("/openapi.json");
    let committed = include_str!("../../docs/reference/openapi.json");
    assert_eq!(served.text().trim_end(), committed.trim_end());
    let description = served.json();
    assert!(description["openapi"].as_str().unwrap().starts_with("3.1"));
    let paths = description["paths"].as_object().unwrap();
    let model = Public::of(RISK);
    let receipt = service.infer(RISK, &model.request(0)).receipt_id();
    let body = model.request(0).to_string();
    for (pattern, methods) in paths {
        // What nobody has made yet is described as not found.
        let absent = [
            "/checkpoint.cosigned",
            "/v1/models/{name}/attestations/{id}",
        ];
        let status = if absent.contains(&pattern.as_str()) {
            404
        } else {
            200
        };
        let path = pattern
            .replace("{name}", RISK)
            .replace("{version}", "1")
            .replace("{path}", "0/000.p/1")
            .replace("{file}", "manifest.json")
            .replace("{id}", &receipt);
        let path = match pattern.as_str() {
            "/v1/log/consistency" => format!("{path}?from=1"),
            _ => path,
        };
        assert!(!path.contains('{'), "{pattern}");
        let methods: BTreeSet<&str> = methods
            .as_object()
            .unwrap()
            .keys()
            .map(String::as_str)
            .collect();
        // What is described answers, with a status that is described; nothing else does.
        let get = service.get(&path);
        if methods.contains("get") {
            assert_eq!(get.status, status, "{path}: {}", get.text());
            let responses = &description["paths"][pattern]["get"]["responses"];
            assert!(responses[status.to_string()].is_object(), "{path}");
        } else {
            get.problem(405, "method-not-allowed");
            assert_eq!(get.header("allow"), Some("POST"), "{path}");
        }
        let post = service.try_post(&path, &[], &body).unwrap();
        if methods.contains("post") {
            let responses = &description["paths"][pattern]["post"]["responses"];
            let status = post.status.to_string();
            assert!(
                responses[&status].is_object(),
                "{path} answers {status}: {}",
                post.text()
            );
        } else {
            post.problem(405, "method-not-allowed");
        }
    }
    // Every route that was counted is a described one.
    let metrics = service.get("/metrics");
    assert_eq!(
        metrics.header("content-type"),
        Some("application/openmetrics-text; version=1.0.0; charset=utf-8")
    );
    let text = metrics.text();
    let routes: BTreeSet<&str> = text
        .lines()
        .filter_map(|line| line.split_once("route=\"")?.1.split_once('"'))
        .map(|(route, _)| route)
        .collect();
    assert!(routes.len() >= paths.len(), "{routes:?}");
    for route in routes {
        // OpenAPI has no word for a parameter of several segments.
        let path = route.replace("{*", "{");
        assert!(paths.contains_key(&path), "{route} is not described");
    }
}

#[test]
fn the_digests_are_those_of_the_package() {
    let data = tempfile::tempdir().unwrap();
    let service = both(&data, &["--public-url", "https://proofs.example/"]);
    let mut listed = Vec::new();
    for name in [DIGITS, RISK] {
        let model = Public::of(name);
        let sealed = model.manifest.sealed.clone().unwrap();
        let detail = service.get(&format!("/v1/models/{name}")).json();
        for (member, digest) in [
            ("package_digest", model.digest),
            ("model_digest", model.manifest.integer_model.digest),
            ("circuit_digest", sealed.circuit.digest),
            ("verifying_key_digest", sealed.verifying_key.digest),
        ] {
            assert_eq!(detail[member], digest.to_string(), "{member}");
        }
        assert_eq!(detail["constraints"], sealed.circuit.constraints);
        assert_eq!(detail["setup_kind"], "single-party");
        let manifest: Value = serde_json::from_slice(&model.manifest_bytes).unwrap();
        assert_eq!(detail["manifest"], manifest);
        // The files themselves, byte for byte, where the detail says.
        for (member, bytes) in [
            ("manifest_url", &model.manifest_bytes),
            ("verifying_key_url", &model.key_bytes),
        ] {
            let url = detail[member].as_str().unwrap();
            let path = url.strip_prefix("https://proofs.example").unwrap();
            let reply = service.get(path);
            assert_eq!(reply.status, 200, "{path}");
            assert_eq!(reply.body, *bytes, "{path}");
            assert_eq!(
                reply.header("etag"),
                Some(format!("\"{}\"", Digest::of(bytes)).as_str())
            );
        }
        let inspected = run(proofmark(&["inspect", "--json"]).arg(packages().join(name)));
        assert_eq!(inspected.exit, 0, "{inspected:?}");
        assert_eq!(inspected.json()["package_digest"], detail["package_digest"]);
        let mut summary = detail;
        for member in ["manifest", "card"] {
            summary.as_object_mut().unwrap().remove(member);
        }
        listed.push(summary);
    }
    assert_eq!(
        service.get("/v1/models").json(),
        json!({ "models": listed })
    );
}

#[test]
fn the_service_verifies_as_the_command_line_does() {
    let data = tempfile::tempdir().unwrap();
    let service = both(&data, &[]);
    let model = Public::of(RISK);
    let nonce = format!("0x{}", "3c".repeat(32));
    let mut request = model.request(0);
    request["parameters"] = json!({ "nonce": nonce });
    let reply = service.infer(RISK, &request);
    let (bytes, _) = envelope(&service, &reply);
    let verify = |receipt: Value, package: &Digest, nonce: Option<&str>| -> Reply {
        let mut request = json!({ "receipt": receipt, "package_digest": package });
        if let Some(nonce) = nonce {
            request["nonce"] = json!(nonce);
        }
        service.post("/v1/verify", &request)
    };
    let object: Value = serde_json::from_slice(&bytes).unwrap();
    for receipt in [json!(BASE64.encode(&bytes)), object.clone()] {
        let verdict = verify(receipt, &model.digest, Some(&nonce));
        assert_eq!(verdict.status, 200, "{}", verdict.text());
        let verdict = verdict.json();
        assert_eq!(verdict["verified"], true, "{verdict}");
        assert_eq!(verdict["code"], "verified");
        assert_eq!(verdict["receipt"]["receipt_id"], reply.receipt_id());
        assert_eq!(verdict["receipt"]["nonce"], nonce);
    }
    // Tampered: the same code from service and program.
    let path = data.path().join("tampered.json");
    let same = |tampered: &[u8], nonce: Option<&str>, digest: &Digest| {
        std::fs::write(&path, tampered).unwrap();
        let verdict = verify(json!(BASE64.encode(tampered)), digest, nonce);
        assert_eq!(verdict.status, 200, "{}", verdict.text());
        let verdict = verdict.json();
        assert_eq!(verdict["verified"], false);
        assert!(verdict.get("receipt").is_none());
        let code = verdict["code"].as_str().unwrap();
        let pinned = if *digest == model.digest {
            model.clone()
        } else {
            Public::of(DIGITS)
        };
        let more: Vec<&str> = nonce.map_or(vec![], |nonce| vec!["--nonce", nonce]);
        let detail = pinned.verify(&path, &more).refused(1, code);
        assert!(
            detail.starts_with(verdict["detail"].as_str().unwrap()),
            "{detail}: {verdict}"
        );
        code.to_owned()
    };
    let other = format!("0x{}", "3d".repeat(32));
    assert_eq!(
        same(&bytes, Some(&other), &model.digest),
        "context-mismatch"
    );
    let digits = Public::of(DIGITS).digest;
    assert_eq!(same(&bytes, None, &digits), "package-not-pinned");
    let mut codes = BTreeSet::new();
    for at in (5..bytes.len()).step_by(bytes.len() / 24) {
        let mut tampered = bytes.clone();
        tampered[at] ^= 2;
        codes.insert(same(&tampered, None, &model.digest));
    }
    assert!(codes.len() >= 2, "{codes:?}");
    // A package that is not served is no verdict at all.
    let unknown = verify(object, &Digest::of(b"unknown"), None);
    let detail = unknown.problem(404, "package-unknown");
    assert!(detail.contains("verify with proofmark-verify"), "{detail}");
    // Neither is a request that makes no sense.
    verify(json!("not base64!"), &model.digest, None).problem(400, "parameter-invalid");
    verify(json!(BASE64.encode(&bytes)), &model.digest, Some("0x12"))
        .problem(400, "parameter-invalid");
    service
        .post("/v1/verify", &json!({ "receipt": {} }))
        .problem(400, "json-malformed");
}

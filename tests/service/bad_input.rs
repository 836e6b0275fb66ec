//! What clients get wrong: a clear problem, a healthy service, a count in `/metrics`.

use std::fmt::Write as _;

use proofmark_tests::service::Reply;
use serde_json::{Value, json};

use crate::{Alone, RISK, alone};

const INFER: &str = "/v2/models/risk-classifier/infer";

/// Sends requests that are all refused with this status and code and with these words in the
/// detail; afterwards nothing was proven, all of them were counted, and the service is healthy.
fn refused(status: u16, code: &str, words: &[&str], requests: impl FnOnce(&Alone) -> Vec<Reply>) {
    let alone = alone(RISK, &[]);
    let replies = requests(&alone);
    assert!(!replies.is_empty());
    for reply in &replies {
        let detail = reply.problem(status, code);
        for word in words {
            assert!(detail.contains(word), "{word:?} in {detail:?}");
        }
    }
    assert_eq!(alone.service.problems(code), replies.len() as u64);
    assert_eq!(alone.service.proofs(RISK), 0);
    alone.service.assert_healthy(&alone.model);
}

/// A good request with its only input changed.
fn changed(alone: &Alone, change: impl FnOnce(&mut Value)) -> Value {
    let mut request = alone.model.request(0);
    change(&mut request["inputs"][0]);
    request
}

#[test]
fn wrong_shape() {
    refused(400, "input-shape", &["shape is [1, 30]"], |alone| {
        [
            json!([30]),
            json!([1, 31]),
            json!([2, 30]),
            json!([1, 30, 1]),
            json!([]),
            json!([0, 30]),
            json!([18_446_744_073_709_551_615_u64, 30]),
        ]
        .into_iter()
        .map(|shape| {
            alone
                .service
                .infer(RISK, &changed(alone, |i| i["shape"] = shape))
        })
        .collect()
    });
}

#[test]
fn wrong_number_of_values() {
    refused(400, "tensor-length-mismatch", &["30"], |alone| {
        let data = |data: Value| {
            alone
                .service
                .infer(RISK, &changed(alone, |i| i["data"] = data))
        };
        vec![
            data(json!([])),
            data(json!(vec![1.0; 29])),
            data(json!(vec![1.0; 31])),
            data(json!(vec![vec![1.0; 30]; 2])),
        ]
    });
}

#[test]
fn ragged_nesting() {
    refused(400, "tensor-length-mismatch", &["ragged"], |alone| {
        let mut ragged = vec![json!(1.0); 29];
        ragged.push(json!([1.0]));
        vec![
            alone
                .service
                .infer(RISK, &changed(alone, |i| i["data"] = json!(ragged))),
            alone
                .service
                .infer(RISK, &changed(alone, |i| i["data"] = json!([[1, 2], [3]]))),
        ]
    });
}

#[test]
fn wrong_type() {
    let words = ["datatype is FP32 or UINT8"];
    refused(400, "input-type", &words, |alone| {
        ["FP64", "INT8", "BYTES", "fp32", ""]
            .map(|datatype| {
                let request = changed(alone, |i| i["datatype"] = json!(datatype));
                alone.service.infer(RISK, &request)
            })
            .to_vec()
    });
}

#[test]
fn fractions_as_integers() {
    refused(400, "input-type", &["not an integer of uint8"], |alone| {
        vec![alone.service.infer(
            RISK,
            &changed(alone, |i| {
                i["datatype"] = json!("UINT8");
                i["data"] = json!(vec![0.5; 30]);
            }),
        )]
    });
}

#[test]
fn integers_outside_their_type() {
    let words = ["outside uint8 (0 to 255)"];
    refused(400, "tensor-value-out-of-range", &words, |alone| {
        [-1_i64, 256, i64::MAX, i64::MIN]
            .map(|value| {
                let request = changed(alone, |i| {
                    i["datatype"] = json!("UINT8");
                    i["data"] = json!(vec![value; 30]);
                });
                alone.service.infer(RISK, &request)
            })
            .to_vec()
    });
}

#[test]
fn an_input_that_the_model_does_not_have() {
    let words = ["no input \"pixels\"", "it has features"];
    refused(400, "input-unknown", &words, |alone| {
        let mut extra = alone.model.request(0);
        let mut second = extra["inputs"][0].clone();
        second["name"] = json!("pixels");
        extra["inputs"].as_array_mut().unwrap().push(second);
        vec![alone.service.infer(RISK, &extra)]
    });
}

#[test]
fn a_wrong_input_name_is_unknown_and_missing_at_once() {
    let words = ["no input \"feature\"", "\"features\" is missing"];
    refused(400, "request-invalid", &words, |alone| {
        let request = changed(alone, |i| i["name"] = json!("feature"));
        vec![alone.service.infer(RISK, &request)]
    });
}

#[test]
fn a_missing_input() {
    let words = ["\"features\" is missing", "FP32 or UINT8 of shape [1, 30]"];
    refused(400, "input-missing", &words, |alone| {
        vec![alone.service.infer(RISK, &json!({ "inputs": [] }))]
    });
}

#[test]
fn an_input_given_twice() {
    refused(400, "input-duplicate", &["given twice"], |alone| {
        let mut request = alone.model.request(0);
        let again = request["inputs"][0].clone();
        request["inputs"].as_array_mut().unwrap().push(again);
        vec![alone.service.infer(RISK, &request)]
    });
}

#[test]
fn null_stands_for_nan() {
    refused(400, "input-not-finite", &["only finite values"], |alone| {
        vec![
            alone
                .service
                .infer(RISK, &changed(alone, |i| i["data"][7] = Value::Null)),
        ]
    });
}

/// The text of a good request with some other text in the place of a value.
fn with_value(alone: &Alone, value: &str) -> String {
    let request = changed(alone, |i| i["data"][7] = json!("@"));
    request.to_string().replace("\"@\"", value)
}

#[test]
fn floats_too_large_for_float32() {
    refused(
        400,
        "input-overflow",
        &["index 7", "send a smaller value"],
        |alone| {
            ["1e39", "-3.5e38", "1e308"]
                .map(|value| {
                    let text = with_value(alone, value);
                    alone.service.try_post(INFER, &[], &text).unwrap()
                })
                .to_vec()
        },
    );
}

#[test]
fn numbers_that_are_no_json() {
    refused(400, "json-malformed", &[], |alone| {
        [
            "NaN",
            "Infinity",
            "-Infinity",
            "\"NaN\"",
            "\"Infinity\"",
            "1e999",
            "0x10",
            "01",
            "1_000",
            "+1",
            "true",
            "{}",
        ]
        .map(|value| {
            let text = with_value(alone, value);
            alone.service.try_post(INFER, &[], &text).unwrap()
        })
        .to_vec()
    });
}

#[test]
fn malformed_json() {
    refused(400, "json-malformed", &[], |alone| {
        let good = alone.model.request(0).to_string();
        let mut bodies = vec![
            String::new(),
            "null".to_owned(),
            "[]".to_owned(),
            "{}".to_owned(),
            "\u{feff}{}".to_owned(),
            format!("{good} {good}"),
            good.replace("\"shape\"", "\"form\""),
        ];
        bodies.extend((1..6).map(|part| good[..good.len() * part / 6].to_owned()));
        bodies
            .iter()
            .map(|body| alone.service.try_post(INFER, &[], body).unwrap())
            .collect()
    });
}

#[test]
fn bytes_that_are_no_text() {
    refused(400, "json-malformed", &[], |alone| {
        let body = b"{\"inputs\": \"\xff\xfe\"}";
        let mut request = format!(
            "POST {INFER} HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n",
            body.len()
        )
        .into_bytes();
        request.extend_from_slice(body);
        vec![alone.service.raw(&request)]
    });
}

#[test]
fn deep_nesting() {
    refused(400, "json-malformed", &[], |alone| {
        let nest = |depth: usize| format!("{}{}", "[".repeat(depth), "]".repeat(depth));
        let mut bodies = vec![nest(1_000_000), "{\"a\":".repeat(500_000)];
        for depth in [20, 120, 200_000] {
            bodies.push(format!("{{\"inputs\": {}}}", nest(depth)));
            bodies.push(with_value(alone, &nest(depth)));
            let good = alone.model.request(0).to_string();
            let parameters = format!("{{\"parameters\": {{\"x\": {}}}, ", nest(depth.max(1000)));
            bodies.push(good.replacen('{', &parameters, 1));
        }
        bodies
            .iter()
            .map(|body| alone.service.try_post(INFER, &[], body).unwrap())
            .collect()
    });
}

#[test]
fn wrong_content_type() {
    refused(
        415,
        "unsupported-media-type",
        &["Content-Type: application/json"],
        |alone| {
            let good = alone.model.request(0).to_string();
            let mut replies = ["text/plain", "application/octet-stream", "application/xml"]
                .map(|media| {
                    let headers = [("content-type", media)];
                    alone.service.try_post(INFER, &headers, &good).unwrap()
                })
                .to_vec();
            replies.push(
                alone.service.raw(
                    format!("POST {INFER} HTTP/1.1\r\nhost: x\r\ncontent-length: 2\r\n\r\n{{}}")
                        .as_bytes(),
                ),
            );
            replies
        },
    );
}

#[test]
fn an_oversized_body() {
    let words = ["larger than 16777216 bytes"];
    refused(413, "body-too-large", &words, |alone| {
        let head =
            format!("POST {INFER} HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\n");
        // Announced: answered before a byte of it is sent.
        let announced = format!("{head}content-length: {}\r\n\r\n", (16 << 20) + 1);
        let claimed = format!("{head}content-length: {}\r\n\r\n", u64::MAX / 2);
        // Not announced: counted while it comes.
        let mut chunked = format!("{head}transfer-encoding: chunked\r\n\r\n");
        let chunk = " ".repeat(1 << 20);
        for _ in 0..17 {
            write!(chunked, "{:x}\r\n{chunk}\r\n", chunk.len()).unwrap();
        }
        [announced, claimed, chunked]
            .map(|request| alone.service.raw(request.as_bytes()))
            .to_vec()
    });
}

#[test]
fn a_model_that_is_not_served() {
    let words = ["no model \"digits-mlp\" is served", "GET /v1/models"];
    refused(404, "model-unknown", &words, |alone| {
        let body = alone.model.request(0);
        let mut replies = vec![alone.service.infer("digits-mlp", &body)];
        for path in [
            "/v2/models/digits-mlp",
            "/v2/models/digits-mlp/ready",
            "/v2/models/digits-mlp/versions/1",
            "/v1/models/digits-mlp",
            "/v1/models/digits-mlp/manifest",
            "/v1/models/digits-mlp/verifying-key",
        ] {
            replies.push(alone.service.get(path));
        }
        replies
    });
}

#[test]
fn a_version_that_is_not_served() {
    let words = ["not served in version", "served: 1"];
    refused(404, "version-unknown", &words, |alone| {
        let body = alone.model.request(0);
        let path = "/v2/models/risk-classifier/versions/2";
        vec![
            alone.service.post(&format!("{path}/infer"), &body),
            alone.service.get(path),
            alone.service.get(&format!("{path}/ready")),
            alone.service.get("/v1/models/risk-classifier?version=01"),
        ]
    });
}

#[test]
fn an_output_that_the_model_does_not_have() {
    let words = ["no output \"odds\"", "GET /v2/models/risk-classifier"];
    refused(400, "output-unknown", &words, |alone| {
        let mut request = alone.model.request(0);
        request["outputs"] = json!([{ "name": "odds" }]);
        vec![alone.service.infer(RISK, &request)]
    });
}

#[test]
fn malformed_parameters() {
    refused(400, "parameter-invalid", &[], |alone| {
        let with = |parameters: Value| {
            let mut request = alone.model.request(0);
            request["parameters"] = parameters;
            alone.service.infer(RISK, &request)
        };
        let good = alone.model.request(0).to_string();
        let timeout = |value: &str| {
            let headers = [("request-timeout", value)];
            alone.service.try_post(INFER, &headers, &good).unwrap()
        };
        vec![
            with(json!({ "nonce": "0x12" })),
            with(json!({ "nonce": 12 })),
            with(json!({ "nonce": "5a".repeat(32) })),
            with(json!({ "consumer": "0x00" })),
            with(json!({ "chain_id": -1 })),
            with(json!({ "deadline": "tomorrow" })),
            with(json!({ "receipt": "none" })),
            timeout("0"),
            timeout("-1"),
            timeout("NaN"),
            timeout("soon"),
            alone.service.get("/v1/receipts/xyz"),
            alone
                .service
                .get(&format!("/v1/receipts/sha256:{}", "A".repeat(64))),
        ]
    });
}

#[test]
fn a_malformed_idempotency_key() {
    let words = ["1 to 255 visible ASCII"];
    refused(400, "idempotency-key-invalid", &words, |alone| {
        let good = alone.model.request(0).to_string();
        let long = "k".repeat(256);
        ["", &long]
            .map(|key| {
                let headers = [("idempotency-key", key)];
                alone.service.try_post(INFER, &headers, &good).unwrap()
            })
            .to_vec()
    });
}

#[test]
fn a_wrong_method() {
    refused(405, "method-not-allowed", &["/openapi.json"], |alone| {
        vec![
            alone.service.get(INFER),
            alone.service.get("/v1/verify"),
            alone.service.post("/v2/health/live", &json!({})),
            alone.service.post("/metrics", &json!({})),
            alone
                .service
                .raw(b"BREW /v2/models HTTP/1.1\r\nhost: x\r\n\r\n"),
        ]
    });
}

#[test]
fn an_unknown_path() {
    refused(404, "not-found", &["/openapi.json"], |alone| {
        [
            "/index.php",
            "/v2/",
            "/v3/models",
            "/v2/models/risk-classifier/infer/x",
            "/v1/receipts",
            "/v1/receipts/../../etc/passwd",
            "/../proofmark.sqlite",
        ]
        .map(|path| {
            alone
                .service
                .raw(format!("GET {path} HTTP/1.1\r\nhost: x\r\n\r\n").as_bytes())
        })
        .to_vec()
    });
}

#[test]
fn a_receipt_that_is_not_stored() {
    refused(404, "receipt-unknown", &["is stored here"], |alone| {
        vec![
            alone
                .service
                .get(&format!("/v1/receipts/{}", "0".repeat(64))),
        ]
    });
}

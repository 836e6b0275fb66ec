//! What recipients ask: contexts, keys, openings, attestations, answers to inference requests.

use std::fs;

use ed25519_dalek::SigningKey;
use proofmark_types::Digest;
use proofmark_types::attestation::{
    Attestation, CheckResult, CheckStatus, ReceiptCount, SUBJECT_CHECKS, SampleCount,
    SignedAttestation, Subjects,
};
use proofmark_types::manifest::SetupKind;
use proofmark_types::receipt::{RecordValue, Software};
use serde_json::{Value, json};

use super::{DEADLINE, Made, NONCE, case, model, prove, public, service, sign};
use crate::table::{Case, Question};

pub(super) fn asked(made: &Made, cases: &mut Vec<Case>) {
    let good = || made.signed(|_| {});
    let stranger = public(&SigningKey::from_bytes(&[8; 32]));
    let ask = |name: &str, demands: Value, kind: &str, code: &str| {
        made.case(&format!("asked: {name}"), good(), demands)
            .refused(kind, code)
    };
    let opening = |values: Value| {
        json!({ "format": "proofmark/openings/v1", "openings": [
            { "tensor": "logits", "elem": "int32", "shape": [1, 2], "values": values, "salt": null }
        ] })
    };
    let RecordValue::Public(logits) = &made.receipt.outputs[0].value else {
        panic!("the plain package's output is public");
    };
    let values = logits.data().to_vec();
    let (right, wrong) = (
        opening(json!(values)),
        opening(json!([values[0], values[1] + 1])),
    );
    cases.push(made.case(
        "asked: the output's values",
        good(),
        json!({ "openings": right }),
    ));
    cases.extend([
        ask(
            "another nonce",
            json!({ "nonce": format!("0x{}", "11".repeat(32)) }),
            "rejected",
            "context-mismatch",
        ),
        ask(
            "another key",
            json!({ "service_key": stranger }),
            "rejected",
            "signer-mismatch",
        ),
        ask(
            "other values",
            json!({ "openings": wrong }),
            "rejected",
            "opening-mismatch",
        ),
        ask(
            "what nobody knows",
            json!({ "model": "x" }),
            "request",
            "parameter-invalid",
        ),
        ask(
            "a nonce that is none",
            json!({ "nonce": "0x11" }),
            "request",
            "parameter-invalid",
        ),
        ask("no object", json!([]), "request", "parameter-invalid"),
        ask(
            "a nonce without a value",
            json!({ "nonce": null }),
            "request",
            "parameter-invalid",
        ),
        ask(
            "a key without a value",
            json!({ "service_key": null }),
            "request",
            "parameter-invalid",
        ),
        ask(
            "a time without a value",
            json!({ "now": null }),
            "request",
            "parameter-invalid",
        ),
        ask(
            "a log without a value",
            json!({ "log": null }),
            "request",
            "parameter-invalid",
        ),
        ask(
            "no file of openings",
            json!({ "openings": { "format": "x", "openings": [] } }),
            "request",
            "openings-malformed",
        ),
    ]);
}

pub(super) fn hidden(made: &Made, cases: &mut Vec<Case>) {
    let receipt = made.signed(|_| {});
    let openings = made.openings.clone().unwrap();
    cases.push(
        made.case("opened", receipt.clone(), json!({ "openings": openings }))
            .checks(&["openings"]),
    );
    let changed = |change: &dyn Fn(&mut Value)| {
        let mut changed = openings.clone();
        change(&mut changed);
        changed
    };
    let other_value = changed(&|o| {
        let value = &mut o["openings"][0]["values"][0];
        *value = json!(value.as_i64().unwrap() ^ 1);
    });
    let no_salt = changed(&|o| o["openings"][0]["salt"] = Value::Null);
    let other_salt = changed(&|o| o["openings"][0]["salt"] = json!(format!("0x{:064}", 1)));
    for (name, openings) in [
        ("another value", &other_value),
        ("no salt", &no_salt),
        ("another salt", &other_salt),
    ] {
        let demands = json!({ "openings": openings });
        cases.push(
            made.case(&format!("opened: {name}"), receipt.clone(), demands)
                .rejected("opening-mismatch"),
        );
    }
    let alone = |name: &str, openings: Value| {
        let receipt = receipt.clone();
        case(
            &format!("openings alone: {name}"),
            Question::Openings { receipt, openings },
        )
    };
    cases.push(alone("right", openings.clone()).verdict("opened"));
    cases.push(alone("another value", other_value).rejected("opening-mismatch"));
    cases.push(alone("no file", json!({})).refused("request", "openings-malformed"));
}

pub(super) fn on_chain(made: &Made, cases: &mut Vec<Case>) {
    let consumer = format!("0x{}", "ab".repeat(20));
    let deadline = DEADLINE.to_string();
    let contract = [
        "--chain-id",
        "31337",
        "--consumer",
        &consumer,
        "--deadline",
        &deadline,
    ];
    let (receipt, _) = prove(&made.folder, &contract);
    let context = serde_json::to_value(receipt.context).unwrap();
    let mut elsewhere = context.clone();
    elsewhere["consumer"] = json!(format!("0x{}", "cd".repeat(20)));
    let receipt = sign(receipt, &service());
    let ask = |name: &str, demands: Value| {
        made.case(&format!("for a contract: {name}"), receipt.clone(), demands)
    };
    cases.extend([
        ask("in time", json!({ "context": context, "now": DEADLINE }))
            .checks(&["freshness", "deadline"]),
        ask("no time", json!({ "context": context })),
        ask("too late", json!({ "now": DEADLINE + 1 })).rejected("context-expired"),
        ask("of another contract", json!({ "context": elsewhere })).rejected("context-mismatch"),
    ]);
}

pub(super) fn attested(made: &Made, cases: &mut Vec<Case>) {
    let auditor = SigningKey::from_bytes(&[11; 32]);
    let attestation = |package: Digest| {
        let check = |id: &str| CheckResult {
            id: id.to_owned(),
            status: CheckStatus::Pass,
        };
        let attestation = Attestation {
            subjects: Subjects {
                package,
                ..Subjects::of(package, &made.public.manifest).unwrap()
            },
            report: Digest::of(b"a report"),
            software: Software {
                name: "proofmark".to_owned(),
                version: "0.1.0".to_owned(),
            },
            setup_kind: SetupKind::SingleParty,
            checks: SUBJECT_CHECKS.into_iter().map(check).collect(),
            receipts: ReceiptCount {
                given: 0,
                accepted: 0,
            },
            samples: SampleCount {
                eligible: 0,
                computed: 0,
            },
            statement: "We looked.".to_owned(),
            audited_at: 1_790_000_000,
            auditor: auditor.verifying_key().to_bytes(),
        };
        let signed = SignedAttestation::sign(attestation, &auditor).unwrap();
        String::from_utf8(signed.to_bytes().unwrap()).unwrap()
    };
    let right = attestation(made.public.digest);
    let keys = [public(&auditor)];
    let stranger = [public(&SigningKey::from_bytes(&[12; 32]))];
    let ask = |name: &str, demands: Value| {
        let name = format!("attested: {name}");
        made.case(&name, made.signed(|_| {}), demands)
    };
    let other = attestation(Digest::of(b"another"));
    cases.extend([
        ask(
            "right",
            json!({ "attestations": [right], "auditor_keys": keys }),
        )
        .checks(&["attestations"]),
        ask("nothing", json!({ "auditor_keys": keys })).rejected("attestation-missing"),
        ask(
            "by a stranger",
            json!({ "attestations": [right], "auditor_keys": stranger }),
        )
        .rejected("attestation-auditor-mismatch"),
        ask(
            "of another package",
            json!({ "attestations": [other], "auditor_keys": keys }),
        )
        .rejected("attestation-mismatch"),
        ask(
            "with a line feed more",
            json!({ "attestations": [format!("{right}\n")], "auditor_keys": keys }),
        )
        .rejected("attestation-not-canonical"),
    ]);
}

pub(super) fn inference(plain: &Made, lookup: &Made, cases: &mut Vec<Case>) {
    let request = fs::read(model().join("request.json")).unwrap();
    let request: Value = serde_json::from_slice(&request).unwrap();
    let ask = |made: &Made, name: &str, request: &Value, answer: String, demands: Value| {
        let question = Question::Inference {
            package: made.name.to_owned(),
            request: request.clone(),
            answer,
            demands,
        };
        case(&format!("{}: inference: {name}", made.name), question)
    };
    let demands = || json!({ "nonce": NONCE });
    // As the service writes it: the receipt is a member, byte for byte.
    let answer = |made: &Made, outputs: &Value, openings: &Value| {
        let receipt = made.signed(|_| {});
        format!(r#"{{"outputs":{outputs},"openings":{openings},"receipt":{receipt}}}"#)
    };
    let none = json!([]);
    let public = answer(plain, &none, &none);
    let mut other = request.clone();
    other["inputs"][0]["data"][3] = json!(1e6);
    let mut twice = request.clone();
    let input = twice["inputs"][0].clone();
    twice["inputs"].as_array_mut().unwrap().push(input);
    let mut infinite = request.clone();
    infinite["inputs"][0]["data"][0] = json!(1e39);
    cases.extend([
        ask(plain, "right", &request, public.clone(), demands()).checks(&["freshness"]),
        ask(plain, "of another input", &other, public.clone(), demands())
            .rejected("opening-mismatch"),
        ask(
            plain,
            "without a nonce",
            &request,
            public.clone(),
            json!({}),
        )
        .refused("request", "parameter-invalid"),
        ask(
            plain,
            "of an earlier request",
            &request,
            public.clone(),
            json!({ "nonce": format!("0x{}", "22".repeat(32)) }),
        )
        .rejected("context-mismatch"),
        ask(plain, "an input twice", &twice, public.clone(), demands())
            .refused("request", "input-duplicate"),
        ask(plain, "an input without end", &infinite, public, demands())
            .refused("request", "input-not-finite"),
        ask(plain, "no receipt", &request, "{}".to_owned(), demands()).rejected("answer-malformed"),
    ]);
    let opened = lookup.openings.clone().unwrap();
    let values = |tensor: &str| {
        let list = opened["openings"].as_array().unwrap();
        let found = list.iter().find(|o| o["tensor"] == tensor).unwrap();
        (found["values"].clone(), found["salt"].clone())
    };
    let (logits, _) = values("logits");
    let (_, salt) = values("features");
    let outputs = json!([{ "name": "logits", "data": logits }]);
    let salts = json!([{ "tensor": "features", "salt": salt }]);
    let mut wrong = outputs.clone();
    wrong[0]["data"][0] = json!(wrong[0]["data"][0].as_i64().unwrap() + 1);
    let both = json!([salts[0], salts[0]]);
    cases.extend([
        ask(
            lookup,
            "right",
            &request,
            answer(lookup, &outputs, &salts),
            demands(),
        )
        .checks(&["openings", "freshness"]),
        ask(
            lookup,
            "another output told",
            &request,
            answer(lookup, &wrong, &salts),
            demands(),
        )
        .rejected("opening-mismatch"),
        ask(
            lookup,
            "an output not told",
            &request,
            answer(lookup, &none, &salts),
            demands(),
        )
        .rejected("answer-malformed"),
        ask(
            lookup,
            "a salt twice",
            &request,
            answer(lookup, &outputs, &both),
            demands(),
        )
        .rejected("opening-mismatch"),
        ask(
            lookup,
            "of another input",
            &other,
            answer(lookup, &outputs, &salts),
            demands(),
        )
        .rejected("opening-mismatch"),
    ]);
}

//! `proofmark receipt schema`: what it prints is what is written down, and what the tool makes keeps
//! to it.

use std::fs;
use std::path::Path;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use jsonschema::Validator;
use serde_json::{Value, json as object};

use crate::support::{Sealed, json, run};

/// What can be asked for, with the file that it is.
const SCHEMAS: [(&str, &str); 5] = [
    ("envelope", "receipt-v1"),
    ("statement", "proven-inference-v1"),
    ("openings", "openings-v1"),
    ("attestation", "attestation-v1"),
    ("package-audit", "package-audit-v1"),
];

/// The schema that is printed, without what it says of a payload's content: that is printed and
/// validated by itself.
fn printed(of: &str) -> Validator {
    let mut schema = json(&["receipt", "schema", of]).ended(0, "").json();
    if let Some(payload) = schema.pointer_mut("/properties/payload") {
        let content = payload.as_object_mut().unwrap().remove("contentSchema");
        let named = content.unwrap()["$ref"].as_str().unwrap().to_owned();
        let known = SCHEMAS
            .iter()
            .any(|(_, n)| named == format!("{n}.schema.json"));
        assert!(known, "{named}");
    }
    jsonschema::validator_for(&schema).unwrap()
}

#[test]
fn the_schemas_that_are_printed_are_those_that_are_published() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../types/schema");
    let mut files: Vec<String> = fs::read_dir(&folder)
        .unwrap()
        .map(|file| file.unwrap().file_name().into_string().unwrap())
        .collect();
    for (of, name) in SCHEMAS {
        let name = format!("{name}.schema.json");
        let file = fs::read_to_string(folder.join(&name)).unwrap();
        let text = run(&["receipt", "schema", of]);
        assert_eq!((text.code, text.stdout), (0, file.clone()), "{of}");
        let value: Value = serde_json::from_str(&file).unwrap();
        let ran = json(&["receipt", "schema", of]).ended(0, "");
        assert_eq!(ran.json(), value, "{of}");
        let id = format!("https://proofmark.dev/schemas/{name}");
        assert_eq!(value["$id"], *id, "{of}");
        files.retain(|file| *file != name);
    }
    assert_eq!(files, Vec::<String>::new(), "every schema can be printed");
    assert_eq!(run(&["receipt", "schema", "audit"]).code, 2);
}

/// The payload of an envelope.
fn payload(envelope: &Value) -> Value {
    let text = envelope["payload"].as_str().unwrap();
    serde_json::from_slice(&STANDARD.decode(text).unwrap()).unwrap()
}

#[test]
fn receipts_and_attestations_satisfy_the_schemas_that_are_printed() {
    let sealed = Sealed::sample();
    sealed.prove("0", "receipt.json", &[]).ended(0, "");
    let (package, report) = (sealed.package(), sealed.file("report"));
    let receipt = sealed.file("receipt.json");
    json(&[
        "audit",
        "--package",
        &package,
        "--receipts",
        &receipt,
        "--report",
        &report,
    ])
    .ended(0, "");
    let (key, attestation) = (sealed.file("auditor_key"), sealed.file("attestation.json"));
    json(&[
        "attest",
        &report,
        "--package",
        &package,
        "--new-key",
        &key,
        "--statement",
        "Weights seen on site.",
        "--out",
        &attestation,
    ])
    .ended(0, "");
    for (path, outer, inner) in [
        (&receipt, "envelope", "statement"),
        (&attestation, "attestation", "package-audit"),
    ] {
        let (envelope_schema, payload_schema) = (printed(outer), printed(inner));
        let envelope: Value = serde_json::from_slice(&fs::read(path).unwrap()).unwrap();
        let statement = payload(&envelope);
        envelope_schema.validate(&envelope).unwrap();
        payload_schema.validate(&statement).unwrap();
        // It is this schema that they satisfy, and it is no open door.
        let other = if inner == "statement" {
            "package-audit"
        } else {
            "statement"
        };
        assert!(!printed(other).is_valid(&statement));
        let mut twice = envelope.clone();
        let signature = twice["signatures"][0].clone();
        twice["signatures"].as_array_mut().unwrap().push(signature);
        assert!(!envelope_schema.is_valid(&twice));
        let mut more = statement.clone();
        more["predicate"]["more"] = object!(1);
        assert!(!payload_schema.is_valid(&more));
    }
}

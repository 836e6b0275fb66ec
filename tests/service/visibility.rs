//! A private input and a hashed output: who learns what.

use std::fs;
use std::path::Path;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use proofmark_tests::samples;
use proofmark_tests::service::{Public, Service, Start, seal};
use proofmark_types::manifest::Visibility;
use proofmark_types::receipt::RecordValue;
use serde_json::{Value, json};

use crate::{RISK, envelope, stored, values};

/// What would give the values away: as JSON, as bytes, in base64, in hex; of integers and floats.
pub(crate) fn traces(integers: &[i32], floats: &[f32]) -> Vec<Vec<u8>> {
    // A few values in a row are enough to recognize them and too many to be there by chance.
    let few = &integers[..8];
    let bytes: Vec<u8> = few.iter().map(|v| *v as u8).collect();
    let wide: Vec<u8> = few.iter().flat_map(|v| v.to_le_bytes()).collect();
    let raw: Vec<u8> = floats[..4].iter().flat_map(|v| v.to_le_bytes()).collect();
    let list = |separator: &str| {
        let texts: Vec<String> = few.iter().map(i32::to_string).collect();
        texts.join(separator).into_bytes()
    };
    let mut all = vec![list(","), list(", "), list("\n")];
    for number in &floats[..8] {
        let text = json!(number).to_string();
        if text.len() >= 6 {
            all.push(text.into_bytes());
        }
    }
    for raw in [bytes, wide, raw] {
        all.push(hex::encode(&raw).into_bytes());
        // In base64 the text of a run depends on where in the whole it begins.
        for skip in 0..3 {
            let part = &raw[skip.min(raw.len() - 3)..];
            let whole = part.len() / 3 * 3;
            if whole >= 6 {
                all.push(BASE64.encode(&part[..whole]).into_bytes());
            }
        }
        all.push(raw);
    }
    all
}

pub(crate) fn contains(haystack: &[u8], needle: &[u8]) -> bool {
    haystack.windows(needle.len()).any(|w| w == needle)
}

#[test]
fn a_private_input_appears_nowhere_and_its_opening_goes_to_the_caller() {
    let work = tempfile::tempdir().unwrap();
    let packages = work.path().join("packages");
    let data = work.path().join("data");
    let policy = ["features=private", "logits=hashed"];
    let labels = "benign,malignant";
    seal(RISK, labels, &policy, work.path(), &packages.join(RISK));
    let model = Public::read(&packages.join(RISK));
    let mut service = Service::start(Start {
        packages: &packages,
        data: &data,
        more: &[],
    });
    let input = &model.manifest.inputs[0];
    let output = &model.manifest.outputs[0];
    assert_eq!(input.visibility, Visibility::Private);
    assert_eq!(output.visibility, Visibility::Hashed);

    let (floats, _) = samples::heldout(RISK);
    let integers = samples::quantized(&model.manifest, &floats[0]);
    let reply = service.infer(RISK, &model.request(0));
    let (receipt, signed) = envelope(&service, &reply);
    let answer = reply.json();
    let RecordValue::Private(commitment) = signed.receipt().inputs[0].value else {
        panic!("the input is private");
    };
    let RecordValue::Hashed(_) = signed.receipt().outputs[0].value else {
        panic!("the output is hashed");
    };
    let output_values: Vec<i32> =
        serde_json::from_value(values(&answer, &output.name).clone()).unwrap();

    // The caller opens both; the salt is theirs alone.
    let openings = answer["openings"].as_array().unwrap();
    assert_eq!(openings.len(), 1);
    assert_eq!(openings[0]["tensor"], input.name);
    let salt = openings[0]["salt"].as_str().unwrap();
    let receipt_path = work.path().join("receipt.json");
    fs::write(&receipt_path, &receipt).unwrap();
    let opening = |salt: &str, first: i32| -> Value {
        let mut values = integers.data().to_vec();
        values[0] = first;
        json!({
            "format": "proofmark/openings/v1",
            "openings": [
                {
                    "tensor": input.name,
                    "elem": input.elem.name(),
                    "shape": input.shape,
                    "values": values,
                    "salt": salt,
                },
                {
                    "tensor": output.name,
                    "elem": output.elem.name(),
                    "shape": output.shape,
                    "values": output_values,
                    "salt": null,
                },
            ],
        })
    };
    let verify = |openings: Value| {
        let path = work.path().join("openings.json");
        fs::write(&path, openings.to_string()).unwrap();
        model.verify(&receipt_path, &["--openings", path.to_str().unwrap()])
    };
    let first = integers.data()[0];
    let opened = verify(opening(salt, first));
    assert_eq!(opened.exit, 0, "{opened:?}");
    assert_eq!(opened.json()["opened"], json!([input.name, output.name]));
    verify(opening(salt, first ^ 1)).refused(1, "opening-mismatch");
    let wrong = proofmark_types::field::fr_to_hex(&commitment);
    verify(opening(&wrong, first)).refused(1, "opening-mismatch");
    let closed = model.verify(&receipt_path, &[]);
    assert_eq!(closed.exit, 0, "{closed:?}");
    assert!(
        closed.json()["not_proven"]
            .to_string()
            .contains("commitment only"),
        "{closed:?}"
    );

    // The same input again: another salt, another commitment.
    let second = service.infer(RISK, &model.request(0));
    let (_, second_signed) = envelope(&service, &second);
    assert_ne!(
        signed.receipt().inputs[0].value,
        second_signed.receipt().inputs[0].value
    );
    assert_eq!(
        signed.receipt().outputs[0].value,
        second_signed.receipt().outputs[0].value,
        "a hashed tensor has one digest"
    );
    // A request that is refused must not put its values into the log either.
    let mut refused = model.request(0);
    refused["inputs"][0]["shape"] = json!([1, 29]);
    service.infer(RISK, &refused).problem(400, "input-shape");

    service.terminate();
    assert_eq!(service.wait(), Some(0), "{}", service.log());
    let mut places: Vec<(String, Vec<u8>)> = vec![
        ("answer".to_owned(), reply.body.clone()),
        ("receipt".to_owned(), receipt),
        ("payload".to_owned(), signed.payload().to_vec()),
        ("reading".to_owned(), closed.stdout.into_bytes()),
    ];
    for envelope in stored(&data, RISK) {
        places.push(("stored receipt".to_owned(), envelope));
    }
    places.extend(files(&data));
    assert!(places.iter().any(|(name, _)| name == "proofmark.sqlite"));
    assert!(places.iter().any(|(name, _)| name == "service.log"));
    for (place, bytes) in &places {
        for trace in traces(integers.data(), &floats[0]) {
            assert!(
                !contains(bytes, &trace),
                "{place} has {:?}",
                String::from_utf8_lossy(&trace)
            );
        }
        if place != "answer" {
            let digits = salt.strip_prefix("0x").unwrap();
            assert!(!contains(bytes, digits.as_bytes()), "{place} has the salt");
            let raw = hex::decode(digits).unwrap();
            assert!(!contains(bytes, &raw), "{place} has the salt");
        }
    }
    // The search finds what is there.
    let request = model.request(0).to_string().into_bytes();
    let found = traces(integers.data(), &floats[0]);
    assert!(found.iter().any(|trace| contains(&request, trace)));
}

/// All files of a folder with their names.
fn files(folder: &Path) -> Vec<(String, Vec<u8>)> {
    fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap())
        .filter(|entry| entry.file_type().unwrap().is_file())
        .map(|entry| {
            let name = entry.file_name().to_string_lossy().into_owned();
            (name, fs::read(entry.path()).unwrap())
        })
        .collect()
}

#[test]
fn a_policy_for_a_tensor_that_is_not_there_is_refused() {
    let work = tempfile::tempdir().unwrap();
    let folder = samples::folder(RISK);
    let out = work.path().join("draft");
    let import = |policy: &[&str]| {
        let mut command = proofmark_tests::service::proofmark(&["import", "--json"]);
        command
            .arg(folder.join("float.onnx"))
            .arg("--calibration")
            .arg(folder.join("calibration.npz"))
            .args(["--name", RISK, "--out", out.to_str().unwrap()])
            .args(policy);
        proofmark_tests::service::run(&mut command)
    };
    let ended = import(&["--visibility", "feature=private"]);
    assert_eq!(ended.exit, 2, "{ended:?}");
    assert!(ended.stdout.contains("visibility policy"), "{ended:?}");
    assert_eq!(import(&["--visibility", "features=secret"]).exit, 2);
    assert!(!out.exists(), "nothing half done is left");
}

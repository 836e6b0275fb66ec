//! Proving on one's own machine: the package comes from a service, and nothing goes back to it.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use proofmark_tests::samples;
use proofmark_tests::service::{Ended, Public, Service, Start, proofmark, run, seal};
use proofmark_types::receipt::{Envelope, RecordValue};
use serde_json::{Value, json};

use crate::visibility::{contains, traces};
use crate::{DIGITS, RISK, alone};

fn pull(service: &Service, model: &Public, out: &Path) -> Ended {
    let mut command = proofmark(&["pull", "--json", "--url", service.url()]);
    command
        .args(["--model", &model.manifest.name])
        .args(["--package-digest", &model.digest.to_string()])
        .arg("--out")
        .arg(out);
    run(&mut command)
}

/// How many requests the service has answered; each writes a line.
fn answered(service: &Service) -> usize {
    service.log().matches("\"answered\"").count()
}

#[test]
fn a_private_input_never_leaves_the_machine_that_proves_it() {
    let work = tempfile::tempdir().unwrap();
    let packages = work.path().join("packages");
    let labels = "benign,malignant";
    let policy = ["features=private"];
    seal(RISK, labels, &policy, work.path(), &packages.join(RISK));
    let served = Public::read(&packages.join(RISK));
    let service = Service::start(Start {
        packages: &packages,
        data: &work.path().join("data"),
        more: &["--share-package", RISK],
    });
    let home = tempfile::tempdir().unwrap();
    let own = home.path().join("own");
    let pulled = pull(&service, &served, &own);
    assert_eq!(pulled.exit, 0, "{pulled:?}");
    assert_eq!(pulled.json()["fetched"], pulled.json()["bytes"]);
    for file in fs::read_dir(packages.join(RISK)).unwrap() {
        let path = file.unwrap().path();
        let name = path.file_name().unwrap();
        assert_eq!(
            fs::read(&path).unwrap(),
            fs::read(own.join(name)).unwrap(),
            "{name:?}"
        );
    }
    assert_eq!(fs::read_dir(home.path()).unwrap().count(), 1, "no parts");
    let again = pull(&service, &served, &own);
    again.refused(2, "package-folder-not-empty");

    // From here on the operator hears nothing.
    let proofs = service.proofs(RISK);
    let heard = answered(&service);
    let input = samples::folder(RISK).join("heldout.npz");
    let receipt = home.path().join("receipt.json");
    let mut prove = proofmark(&["prove", "--json", "--sample", "0"]);
    prove
        .arg("--package")
        .arg(&own)
        .args(["--package-digest", &served.digest.to_string()])
        .arg("--input")
        .arg(&input)
        .arg("--receipt")
        .arg(&receipt);
    let proven = run(&mut prove);
    assert_eq!(proven.exit, 0, "{proven:?}");
    let model = Public::read(&own);
    let closed = model.verify(&receipt, &[]);
    assert_eq!(closed.exit, 0, "{closed:?}");
    assert_eq!(answered(&service), heard, "no request reached the service");
    assert_eq!(service.proofs(RISK), proofs);
    assert!(answered(&service) > heard, "requests are seen");

    // The receipt has a commitment where the input was; the values are nowhere in it.
    let bytes = fs::read(&receipt).unwrap();
    let envelope = Envelope::parse(&bytes).unwrap();
    let record = &envelope.receipt().inputs[0];
    assert!(matches!(record.value, RecordValue::Private(_)));
    let (floats, _) = samples::heldout(RISK);
    let integers = samples::quantized(&model.manifest, &floats[0]);
    let traces = traces(integers.data(), &floats[0]);
    for place in [&bytes[..], envelope.payload(), closed.stdout.as_bytes()] {
        for trace in &traces {
            let found = contains(place, trace);
            assert!(!found, "{:?}", String::from_utf8_lossy(trace));
        }
    }

    // The openings are their owner's, and show what was proven to whom they are shown.
    let openings = home.path().join("receipt.json.openings");
    let mode = fs::metadata(&openings).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    let opened = model.verify(&receipt, &["--openings", openings.to_str().unwrap()]);
    assert_eq!(opened.exit, 0, "{opened:?}");
    assert_eq!(opened.json()["opened"], json!([record.name]));
    let mut other: Value = serde_json::from_slice(&fs::read(&openings).unwrap()).unwrap();
    let first = &mut other["openings"][0]["values"][0];
    *first = json!(first.as_i64().unwrap() ^ 1);
    let lie = home.path().join("lie.json");
    fs::write(&lie, other.to_string()).unwrap();
    let opened = model.verify(&receipt, &["--openings", lie.to_str().unwrap()]);
    opened.refused(1, "opening-mismatch");
    // The same input again gives another commitment: who guesses it cannot compare.
    let second = home.path().join("second.json");
    let mut again = proofmark(&["prove", "--json", "--sample", "0"]);
    again
        .arg("--package")
        .arg(&own)
        .arg("--input")
        .arg(&input)
        .arg("--receipt")
        .arg(&second);
    assert_eq!(run(&mut again).exit, 0);
    let second = Envelope::parse(&fs::read(&second).unwrap()).unwrap();
    assert_ne!(second.receipt().inputs[0].value, record.value);
}

#[test]
fn a_package_that_nobody_shares_stays_with_its_operator() {
    let alone = alone(DIGITS, &[]);
    let out = alone.data.path().join("pulled");
    let detail = pull(&alone.service, &alone.model, &out).refused(2, "package-not-shared");
    assert!(detail.contains("does not hand out"), "{detail}");
    assert!(!out.exists());
    let path = format!("/v1/models/{DIGITS}/package/proving_key.bin");
    alone.service.get(&path).problem(403, "package-not-shared");
    let list = alone.service.get("/v1/models").json();
    assert!(list["models"][0]["package_url"].is_null());

    // What is named must be served: a typing error shares nothing in silence.
    let start = Start {
        packages: alone.packages.path(),
        data: &alone.data.path().join("other"),
        more: &["--share-package", "digits"],
    };
    run(&mut start.command()).refused(2, "package-missing");
}

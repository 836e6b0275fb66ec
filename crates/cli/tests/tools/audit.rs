//! `proofmark audit`.

use std::fs;
use std::path::Path;

use crate::support::{NONCE, Ran, Sealed, json, run, sample_file};

fn audit(sealed: &Sealed, report: &str, more: &[&str]) -> Ran {
    let (package, receipts, report) = (
        sealed.package(),
        sealed.file("receipts"),
        sealed.file(report),
    );
    let arguments = [
        "audit",
        "--package",
        &package,
        "--package-digest",
        &sealed.digest,
        "--receipts",
        &receipts,
        "--report",
        &report,
    ];
    json(&[&arguments[..], more].concat())
}

fn two_receipts() -> Sealed {
    let sealed = Sealed::sample();
    fs::create_dir(sealed.file("receipts")).unwrap();
    let data = sealed.file("data");
    for (sample, name) in [("0", "receipts/a.json"), ("1", "receipts/b.json")] {
        sealed.prove(sample, name, &["--data", &data]).ended(0, "");
    }
    sealed
}

#[test]
fn an_honest_package_is_audited_without_its_service() {
    let sealed = two_receipts();
    let data = sample_file("heldout.npz");
    let ran = audit(&sealed, "r", &["--data", &data]).ended(0, "").json();
    assert_eq!(ran["outcome"], "incomplete");
    assert_eq!(ran["fail"], serde_json::json!([]));
    assert_eq!(ran["receipts"]["accepted"], 2);
    assert_eq!(ran["samples"]["computed"], 2);
    assert!(ran["not_proven"].to_string().contains("single-party"));
    let open = ran["not_checked"].to_string();
    assert!(
        open.contains("receipts-signer") && open.contains("log-inclusion"),
        "{open}"
    );

    let report = fs::read_to_string(ran["report_json"].as_str().unwrap()).unwrap();
    let report: serde_json::Value = serde_json::from_str(&report).unwrap();
    assert_eq!(report["format"], "proofmark/audit-report/v1");
    assert!(report["accuracy"]["float_accuracy"].as_f64().unwrap() > 0.9);
    let page = fs::read_to_string(ran["report_html"].as_str().unwrap()).unwrap();
    assert!(page.contains("Proofs per day") && page.contains("Accuracy and agreement"));

    // With the key that `prove` printed the signer is known.
    let verified = sealed.verify("receipts/a.json", &[]).ended(0, "").json();
    let signer = verified["signer"].as_str().unwrap();
    let seed = NONCE;
    let more = ["--service-key", signer, "--seed", seed, "--samples", "1"];
    let pinned = audit(&sealed, "s", &more).ended(0, "").json();
    assert!(pinned["pass"].to_string().contains("receipts-signer"));
    assert_eq!(pinned["samples"]["computed"], 1);

    // Who wants every question answered says so.
    let more = ["--strict", "--service-key", signer];
    let ran = audit(&sealed, "strict", &more)
        .ended(1, "audit-incomplete")
        .json();
    assert_eq!(ran["audit"]["outcome"], "incomplete");
    assert!(
        ran["detail"]
            .as_str()
            .unwrap()
            .contains("could not be answered")
    );
    assert!(Path::new(&sealed.file("strict/report.html")).exists());

    // The days are those of the proofs, so tomorrow is after them.
    let ran = audit(&sealed, "old", &["--not-before", "2999-01-01"]).ended(1, "audit-failed");
    assert_eq!(
        ran.json()["audit"]["fail"],
        serde_json::json!(["receipts-time"])
    );
    assert_eq!(audit(&sealed, "t", &["--not-before", "2026-02-30"]).code, 2);

    // A report is never written beside another.
    audit(&sealed, "s", &[]).ended(2, "report-folder-not-empty");
    assert_eq!(audit(&sealed, "t", &["--accuracy-loss", "2"]).code, 2);
    assert_eq!(audit(&sealed, "t", &["--float", &data]).code, 2);
    assert!(!Path::new(&sealed.file("t")).exists());
}

#[test]
fn what_fails_ends_with_exit_1_and_a_report() {
    let sealed = two_receipts();
    sealed
        .prove("2", "receipts/c.json", &["--nonce", NONCE])
        .ended(0, "");
    sealed
        .prove("3", "receipts/d.json", &["--nonce", NONCE])
        .ended(0, "");
    let ran = audit(&sealed, "r", &[]).ended(1, "audit-failed").json();
    assert_eq!(ran["audit"]["fail"], serde_json::json!(["receipts-unique"]));
    assert!(
        ran["detail"]
            .as_str()
            .unwrap()
            .contains("an answer was replayed")
    );
    assert!(Path::new(&sealed.file("r/report.html")).exists());

    // In words, for people.
    let (package, receipts, report) = (sealed.package(), sealed.file("receipts"), sealed.file("w"));
    let ran = run(&[
        "audit",
        "--package",
        &package,
        "--receipts",
        &receipts,
        "--report",
        &report,
    ]);
    assert_eq!(ran.code, 1);
    assert!(ran.stderr.contains("receipts-unique"), "{}", ran.stderr);

    let missing = sealed.file("missing");
    let report = sealed.file("x");
    json(&["audit", "--package", &missing, "--report", &report]).ended(3, "package-io");
    let package = sealed.package();
    json(&[
        "audit",
        "--package",
        &package,
        "--receipts",
        &missing,
        "--report",
        &report,
    ])
    .ended(3, "file-unreadable");
}

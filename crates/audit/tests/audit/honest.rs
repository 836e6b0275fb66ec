//! What is honest passes, and the report says the same in every form.

use std::fs;
use std::path::Path;

use proofmark_audit::{Outcome, REPORT_FORMAT, Report, Status, html};
use proofmark_engine::BackendChoice;
use proofmark_types::manifest::View;

use crate::fixture::{Case, LOG, fails, finding};

fn not_checked(report: &Report) -> Vec<&'static str> {
    let open = report.findings.iter();
    let open = open.filter(|finding| finding.status == Status::NotChecked);
    open.map(|finding| finding.id.id()).collect()
}

fn schema() -> jsonschema::Validator {
    let path =
        Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/spec/audit-report.schema.json");
    let schema = serde_json::from_slice(&fs::read(path).unwrap()).unwrap();
    jsonschema::validator_for(&schema).unwrap()
}

/// Nothing is loaded, nothing runs, and every part can be reached by its name.
fn check_page(report: &Report) {
    let page = html(report);
    let without_links = page.replace("href=\"#", "");
    for forbidden in [
        "http:", "https:", "src=", "href=", "url(", "@import", "<script", "<link", "<iframe",
    ] {
        assert!(!without_links.contains(forbidden), "{forbidden}");
    }
    assert!(page.starts_with("<!doctype html>\n<html lang=\"en\">"));
    assert_eq!(page.matches("<h1>").count(), 1);
    assert_eq!(page.matches("<main>").count(), 1);
    for finding in &report.findings {
        assert_eq!(
            page.matches(&format!("id=\"{}\"", finding.id.id())).count(),
            1
        );
    }
    for name in [
        "section", "article", "table", "svg", "details", "dl", "text", "p", "li",
    ] {
        let opened =
            page.matches(&format!("<{name}>")).count() + page.matches(&format!("<{name} ")).count();
        assert_eq!(
            opened,
            page.matches(&format!("</{name}>")).count(),
            "{name}"
        );
    }
}

#[test]
fn an_honest_service_passes_with_either_backend() {
    for backend in [BackendChoice::Plain, BackendChoice::Lookup] {
        let case = Case::new(backend).with_data();
        case.give_honest(12);
        let folder = &case.request.receipts[0];
        fs::copy(folder.join("3.json"), folder.join("same.json")).unwrap();
        let report = case.audit();
        fails(&report, []);
        assert_eq!(not_checked(&report), LOG);
        assert_eq!(report.outcome, Outcome::Incomplete);
        assert_eq!(report.package.digest, case.digest);
        assert_eq!(report.receipts.given, 13);
        assert_eq!(report.receipts.accepted, 12);
        assert_eq!(report.receipts.copies, 1);
        assert_eq!(report.receipts.proofs_per_day.len(), 5);
        assert_eq!(report.receipts.proofs_per_day[4].day, "2026-09-21");
        assert_eq!((report.samples.eligible, report.samples.computed), (12, 8));
        let accuracy = report.accuracy.as_ref().unwrap();
        assert!(accuracy.integer_accuracy.unwrap() > 0.9);
        let sum: u64 = accuracy.float_to_integer.iter().flatten().sum();
        assert_eq!(sum, accuracy.samples);
        let kind = finding(&report, "setup-kind");
        assert!(kind.meaning.contains("can forge"), "{}", kind.meaning);
        assert!(report.not_proven.iter().any(|s| s.contains("single-party")));
        assert!(
            report
                .not_proven
                .iter()
                .any(|s| s.contains("service that you pinned"))
        );

        // The same request, the same report.
        assert_eq!(case.audit(), report);
        check_page(&report);
    }
}

#[test]
fn reports_of_every_kind_satisfy_the_schema() {
    let schema = schema();
    let check = |report: &Report| {
        let value = serde_json::from_slice(&report.to_json()).unwrap();
        let errors: Vec<String> = schema
            .iter_errors(&value)
            .map(|e| format!("{e} at {}", e.instance_path()))
            .collect();
        assert_eq!(errors, Vec::<String>::new());
        assert_eq!(value["format"], REPORT_FORMAT);
        check_page(report);
        value
    };
    let mut case = Case::new(BackendChoice::Plain).with_data();
    case.give_honest(3);
    let good = check(&case.audit());
    case.give("bad.json", b"{}");
    check(&case.audit());
    case.request.pinned = None;
    case.request.receipts.clear();
    case.request.signers.clear();
    case.request.data = None;
    check(&case.audit());
    fs::write(case.package().join("manifest.json"), b"{}").unwrap();
    check(&case.audit());

    // The schema is no open door: it refuses what a report never says.
    for (path, wrong) in [
        ("/format", serde_json::json!("proofmark/audit-report/v2")),
        ("/outcome", serde_json::json!("fine")),
        ("/findings/0/status", serde_json::json!("maybe")),
        ("/findings/0/id", serde_json::json!("no-such-check")),
        (
            "/findings/0/remedy",
            serde_json::json!("a remedy for what passes"),
        ),
        ("/package/digest", serde_json::json!("sha256:00")),
        ("/accuracy/agreement", serde_json::json!(1.5)),
        ("/receipts/given", serde_json::json!(-1)),
        ("/findings", serde_json::json!([])),
    ] {
        let mut value = good.clone();
        *value.pointer_mut(path).unwrap() = wrong;
        assert!(!schema.is_valid(&value), "{path}");
    }
    let mut value = good.clone();
    value["extra"] = serde_json::json!(1);
    assert!(!schema.is_valid(&value));
    let ids: Vec<&str> = proofmark_audit::Check::ALL
        .iter()
        .map(|check| check.id())
        .collect();
    let text = fs::read_to_string(
        Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/spec/audit-report.schema.json"),
    )
    .unwrap();
    let parsed: serde_json::Value = serde_json::from_str(&text).unwrap();
    assert_eq!(
        parsed.pointer("/$defs/finding/properties/id/enum").unwrap(),
        &serde_json::json!(ids)
    );
}

#[test]
fn text_of_the_operator_is_never_markup() {
    let evil = "<script>alert(1)</script>";
    let mut case = Case::of(BackendChoice::Plain, |manifest| {
        manifest.description = evil.to_owned();
        for view in &mut manifest.outputs[0].views {
            if let View::ArgMax { labels } = view {
                labels[0] = format!("{evil}\u{202e}");
            }
        }
    })
    .with_data();
    case.give("<img src=x onerror=alert(1)>.json", b"\"></td><script>");
    case.give_honest(1);
    let data = case.request.data.as_mut().unwrap();
    data.samples.labels = None;
    let report = case.audit();
    let page = html(&report);
    assert!(page.contains("&lt;script&gt;alert(1)") && page.contains("&lt;img src=x"));
    assert!(!page.contains("<script") && !page.contains("<img") && !page.contains('\u{202e}'));
    assert!(page.contains("default-src 'none'"));
}

#[test]
fn the_headline_claims_no_more_than_was_found() {
    let mut case = Case::new(BackendChoice::Plain);
    let page = |case: &Case| html(&case.audit());
    let none = page(&case);
    assert!(none.contains("No receipt was verified") && none.contains("What was not checked"));
    assert!(none.contains("made by one party alone"));
    assert!(!none.contains("Everything that an audit asks"));
    case.give_honest(2);
    assert!(page(&case).contains("Receipts that verify: 2, that is all that were given."));
    case.give("bad.json", b"{}");
    let failed = page(&case);
    assert!(failed.contains("What fails") && failed.contains("Named: <code>bad.json</code>"));
    assert!(failed.contains("Receipts that verify: 2, that do not: 1."));
    case.request.receipts = vec![case.path("empty")];
    fs::create_dir(case.path("empty")).unwrap();
    case.give("notes.txt", b"");
    let report = case.audit();
    let form = finding(&report, "receipts-form");
    assert_eq!(form.status, Status::NotChecked);
    assert!(form.meaning.contains("none of their files is named *.json"));
}

#[test]
fn what_is_missing_is_not_checked_and_says_what_to_ask_for() {
    let case = Case::new(BackendChoice::Plain);
    case.give_honest(2);
    // A closed model: verifying key and transcript alone.
    for file in [
        "integer.onnx",
        "float.onnx",
        "proving_key.bin",
        "translation.json",
    ] {
        fs::remove_file(case.package().join(file)).unwrap();
    }
    let report = case.audit();
    fails(&report, []);
    assert_eq!(report.receipts.accepted, 2);
    for id in [
        "package-files",
        "package-translation",
        "circuit-model",
        "circuit-digest",
        "proving-key",
        "key-proves-circuit",
        "samples-runtime",
    ] {
        let open = finding(&report, id);
        assert_eq!(open.status, Status::NotChecked, "{id}");
        assert!(open.remedy.is_some());
    }
    let key = finding(&report, "proving-key");
    assert!(key.meaning.contains("operator's word"), "{}", key.meaning);
    assert_eq!(finding(&report, "setup-transcript").status, Status::Pass);
    assert_eq!(finding(&report, "receipts-proof").status, Status::Pass);
}

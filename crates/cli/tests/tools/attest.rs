//! `proofmark attest`, behind a real audit of a real package.

use std::fs;
use std::path::Path;

use serde_json::Value;

use crate::support::{NONCE, Ran, Sealed, json, run};

fn audit(sealed: &Sealed, report: &str, more: &[&str]) -> Ran {
    let (package, report) = (sealed.package(), sealed.file(report));
    let arguments = ["audit", "--package", &package, "--report", &report];
    json(&[&arguments[..], more].concat())
}

struct Attest<'a> {
    sealed: &'a Sealed,
    report: &'a str,
    key: [&'a str; 2],
    statement: &'a str,
    out: &'a str,
}

impl Attest<'_> {
    fn run(&self) -> Ran {
        let [flag, key] = self.key;
        let (report, package) = (self.sealed.file(self.report), self.sealed.package());
        let (key, out) = (self.sealed.file(key), self.sealed.file(self.out));
        json(&[
            "attest",
            &report,
            "--package",
            &package,
            flag,
            &key,
            "--statement",
            self.statement,
            "--out",
            &out,
        ])
    }
}

fn first(sealed: &Sealed) -> Attest<'_> {
    Attest {
        sealed,
        report: "report",
        key: ["--new-key", "auditor_key"],
        statement: "Weights and training data seen on site.",
        out: "packages/risk-classifier/attestations/us.json",
    }
}

#[test]
fn what_an_audit_found_is_attested_and_travels_with_the_package() {
    let sealed = Sealed::sample();
    sealed.prove("0", "a.json", &[]).ended(0, "");
    let receipt = sealed.file("a.json");
    let more = ["--receipts", &receipt, "--package-digest", &sealed.digest];
    let audited = audit(&sealed, "report", &more).ended(0, "").json();
    let attested = first(&sealed).run().ended(0, "").json();
    assert_eq!(attested["package_digest"], *sealed.digest);
    // What the audit found is what the attestation says, no less and no more.
    assert_eq!(attested["pass"], audited["pass"]);
    assert_eq!(attested["not_checked"], audited["not_checked"]);
    assert!(attested["pass"].to_string().contains("key-proves-circuit"));
    assert!(
        attested["not_checked"]
            .to_string()
            .contains("log-inclusion")
    );
    let key = attested["auditor_key"].as_str().unwrap();
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt as _;
        let mode = fs::metadata(sealed.file("auditor_key")).unwrap();
        assert_eq!(mode.permissions().mode() & 0o777, 0o600);
    }

    // A recipient who has the public files.
    let file = attested["attestation_file"].as_str().unwrap();
    let more = ["--attestation", file, "--auditor-key", key];
    let verified = sealed.verify("a.json", &more).ended(0, "").json();
    let said = &verified["attestations"][0];
    assert_eq!(said["attestation_id"], attested["attestation_id"]);
    assert_eq!(said["statement"], "Weights and training data seen on site.");
    assert_eq!(
        said["receipts"],
        serde_json::json!({"given": 1, "accepted": 1})
    );
    assert_eq!(said["samples"]["computed"], 1);
    sealed
        .verify("a.json", &["--auditor-key", NONCE])
        .ended(1, "attestation-missing");

    // The same key says something else of the same report; in words, for people.
    let (report, package) = (sealed.file("report"), sealed.package());
    let (own, out) = (sealed.file("auditor_key"), sealed.file("second.json"));
    let arguments = [
        "attest",
        &report,
        "--package",
        &package,
        "--key",
        &own,
        "--statement",
        "Again.",
        "--out",
        &out,
    ];
    let ran = run(&arguments);
    assert_eq!(ran.code, 0, "{}", ran.stderr);
    assert!(
        ran.stdout.contains(key) && ran.stdout.contains("not made   "),
        "{}",
        ran.stdout
    );

    // The package's digest is what it was, and its next audit says what lies there.
    let inspected = json(&["inspect", &package]).ended(0, "").json();
    assert_eq!(inspected["package_digest"], *sealed.digest);
    fs::copy(&receipt, Path::new(&package).join("attestations/none.json")).unwrap();
    audit(&sealed, "again", &[]).ended(0, "");
    let report = fs::read_to_string(sealed.file("again/report.json")).unwrap();
    let key_id = attested["auditor_key_id"].as_str().unwrap();
    for part in [
        &format!("us.json: by auditor {key_id}"),
        "none.json: does not hold (attestation-unsupported)",
    ] {
        assert!(report.contains(part), "{part}");
    }
}

#[test]
fn what_does_not_hold_is_not_attested() {
    let sealed = Sealed::sample();
    audit(&sealed, "report", &[]).ended(0, "");
    let of_report = |report: &str| {
        let request = Attest {
            report,
            ..first(&sealed)
        };
        request.run()
    };
    let with_key = |flag: &str, key: &str| {
        let request = Attest {
            key: [flag, key],
            out: "other.json",
            ..first(&sealed)
        };
        request.run()
    };
    // Words and keys.
    for statement in ["", "two\nlines", &"x".repeat(4097)] {
        let request = Attest {
            statement,
            ..first(&sealed)
        };
        // An empty argument is an argument.
        request.run().ended(2, "attestation-malformed");
    }
    with_key("--key", "none").ended(3, "auditor-key");
    with_key("--new-key", "report").ended(3, "auditor-key");
    of_report("none").ended(3, "file-unreadable");
    assert!(!Path::new(&sealed.file("auditor_key")).exists());

    // Another package of the same model: its keys are others.
    let other = Sealed::sample();
    fs::create_dir(other.file("report")).unwrap();
    let report = fs::read(sealed.file("report/report.json")).unwrap();
    fs::write(other.file("report/report.json"), &report).unwrap();
    first(&other).run().ended(1, "attestation-report-mismatch");

    // Reports that say something else than what was found, or are another version's.
    let rewritten = |name: &str, change: &dyn Fn(&mut Value)| {
        let mut value: Value = serde_json::from_slice(&report).unwrap();
        change(&mut value);
        fs::create_dir(sealed.file(name)).unwrap();
        let path = format!("{}/report.json", sealed.file(name));
        fs::write(path, value.to_string()).unwrap();
    };
    rewritten("version", &|r| {
        r["format"] = "proofmark/audit-report/v9".into();
    });
    rewritten("fewer", &|r| {
        r["findings"].as_array_mut().unwrap().pop();
    });
    rewritten("circuit", &|r| r["package"]["circuit"] = Value::Null);
    rewritten("failed", &|r| r["findings"][20]["status"] = "fail".into());
    rewritten("open", &|r| {
        let findings = r["findings"].as_array_mut().unwrap();
        let key = findings
            .iter_mut()
            .find(|f| f["id"] == "key-proves-circuit");
        key.unwrap()["status"] = "not-checked".into();
    });
    for (report, code) in [
        ("version", "attestation-report-malformed"),
        ("fewer", "attestation-report-malformed"),
        ("circuit", "attestation-report-mismatch"),
        ("failed", "attestation-audit-failed"),
        ("open", "attestation-incomplete"),
    ] {
        of_report(report).ended(1, code);
    }

    // An audit that really failed, and one of the public files alone.
    for name in ["a.json", "b.json"] {
        sealed.prove("0", name, &["--nonce", NONCE]).ended(0, "");
    }
    let (a, b) = (sealed.file("a.json"), sealed.file("b.json"));
    audit(&sealed, "replayed", &["--receipts", &a, &b]).ended(1, "audit-failed");
    of_report("replayed").ended(1, "attestation-audit-failed");
    let proving_key = Path::new(&sealed.package()).join("proving_key.bin");
    let kept = fs::read(&proving_key).unwrap();
    fs::remove_file(&proving_key).unwrap();
    audit(&sealed, "public", &[]).ended(0, "");
    of_report("public").ended(3, "package-io");
    fs::write(&proving_key, &kept).unwrap();
    of_report("public").ended(1, "attestation-incomplete");

    // Files that were exchanged after the audit.
    let mut changed = kept.clone();
    *changed.last_mut().unwrap() ^= 1;
    fs::write(&proving_key, changed).unwrap();
    first(&sealed).run().ended(1, "package-file-digest");
    fs::write(&proving_key, kept).unwrap();

    // After all that nothing was written, no key was made, and the honest way is open still.
    assert!(!Path::new(&sealed.file("auditor_key")).exists());
    assert!(!Path::new(&sealed.package()).join("attestations").exists());
    first(&sealed).run().ended(0, "");
    // Neither an attestation nor a key is written over.
    first(&sealed).run().ended(3, "file-unwritable");
    with_key("--new-key", "auditor_key").ended(3, "auditor-key");
    with_key("--key", "auditor_key").ended(0, "");
}

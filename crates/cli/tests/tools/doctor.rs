//! doctor: what is in the way is named with its code and its remedy.

use std::fs;
use std::net::TcpListener;
use std::path::Path;
use std::process::Command;

use serde_json::Value;

use crate::support::{Ran, Sealed, json, models, text};

/// The checks of one kind.
fn of<'a>(report: &'a Value, check: &str) -> Vec<&'a Value> {
    let checks = report["checks"].as_array().unwrap();
    checks.iter().filter(|c| c["check"] == check).collect()
}

/// The one thing that is in the way.
#[track_caller]
fn failed(ran: Ran) -> (String, String, String) {
    let report = ran.ended(3, "machine-not-ready").json();
    assert_eq!(report["healthy"], false);
    let checks = report["checks"].as_array().unwrap();
    let failed: Vec<_> = checks.iter().filter(|c| c["status"] == "failed").collect();
    assert_eq!(failed.len(), 1, "{failed:?}");
    let member = |name: &str| failed[0][name].as_str().unwrap_or_default().to_owned();
    (member("code"), member("text"), member("remedy"))
}

fn doctor(sealed: &Sealed, more: &[&str]) -> Ran {
    let (packages, data) = (sealed.packages(), sealed.file("data"));
    let arguments = ["doctor", "--packages", &packages, "--data", &data];
    // A port that nothing else uses by chance.
    let listen = ["--listen", "127.0.0.1:0"];
    json(&[&arguments[..], &listen, more].concat())
}

#[test]
fn a_healthy_machine_ends_with_0_and_nothing_is_made() {
    let sealed = Sealed::sample();
    let report = doctor(&sealed, &[]).ended(0, "").json();
    assert_eq!(report["healthy"], true);
    let package = of(&report, "package");
    assert_eq!(package.len(), 1);
    let said = package[0]["text"].as_str().unwrap();
    assert!(said.contains(&sealed.digest), "{said}");
    assert!(said.contains("proves in"), "{said}");
    assert_eq!(of(&report, "runtime")[0]["status"], "ok");
    assert!(!Path::new(&sealed.file("data")).exists());
    // Every tool that is not here says how to get it.
    for tool in of(&report, "tool") {
        let absent = tool["status"] == "note";
        assert_eq!(absent, tool["remedy"].is_string(), "{tool}");
    }
    // Without a package the machine alone is looked at.
    let report = json(&["doctor"]).ended(0, "").json();
    assert!(of(&report, "package").is_empty() && of(&report, "port").is_empty());
}

#[test]
fn a_missing_runtime_is_named_with_its_remedy() {
    let output = Command::new(env!("CARGO_BIN_EXE_proofmark"))
        .args(["--json", "doctor"])
        .env("ORT_DYLIB_PATH", "/nothing/libonnxruntime.so")
        .output()
        .unwrap();
    let (code, said, remedy) = failed(Ran {
        code: output.status.code().unwrap(),
        stdout: String::from_utf8(output.stdout).unwrap(),
        stderr: String::new(),
    });
    assert_eq!(code, "runtime-library-missing");
    assert!(said.contains("/nothing/libonnxruntime.so"), "{said}");
    let command = "unset ORT_DYLIB_PATH; python3 -m pip download";
    assert!(remedy.contains(command), "{remedy}");
    // For people: what is wrong on stdout, and the end on stderr.
    let output = Command::new(env!("CARGO_BIN_EXE_proofmark"))
        .arg("doctor")
        .env("ORT_DYLIB_PATH", "/nothing/libonnxruntime.so")
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(3));
    let said = String::from_utf8(output.stdout).unwrap();
    assert!(said.contains("FAILED   runtime"), "{said}");
    assert!(said.contains("→ with pip"), "{said}");
    let ended = String::from_utf8(output.stderr).unwrap();
    assert!(ended.contains("[machine-not-ready]"), "{ended}");
}

#[test]
fn a_broken_package_is_named() {
    let sealed = Sealed::sample();
    let path = Path::new(&sealed.package()).join("integer.onnx");
    let mut bytes = fs::read(&path).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    fs::write(&path, &bytes).unwrap();
    let (code, said, _) = failed(doctor(&sealed, &[]));
    assert_eq!(code, "package-file-digest");
    assert!(said.contains(&sealed.package()), "{said}");
    // A look at lengths does not see that, and sees what is cut.
    doctor(&sealed, &["--quick"]).ended(0, "");
    bytes.pop();
    fs::write(&path, &bytes).unwrap();
    let (code, ..) = failed(doctor(&sealed, &["--quick"]));
    assert_eq!(code, "package-file-digest");
}

#[test]
fn a_folder_without_a_package_and_one_with_a_draft_are_told_apart() {
    let root = tempfile::tempdir().unwrap();
    let packages = text(root.path());
    let (code, _, remedy) = failed(json(&["doctor", "--packages", &packages]));
    assert_eq!(code, "package-missing");
    assert!(remedy.contains("proofmark pull"), "{remedy}");
    let draft = root.path().join("draft");
    fs::create_dir(&draft).unwrap();
    let manifest = models().join(crate::support::MODEL).join("manifest.json");
    fs::copy(manifest, draft.join("manifest.json")).unwrap();
    let ran = json(&["doctor", "--packages", &packages]);
    let report = ran.ended(3, "machine-not-ready").json();
    let package = of(&report, "package");
    assert_eq!(package[0]["status"], "note");
    let remedy = package[0]["remedy"].as_str().unwrap();
    assert!(remedy.starts_with("proofmark setup"), "{remedy}");
}

#[cfg(unix)]
#[test]
fn a_key_that_others_can_read_and_a_lost_log_are_named() {
    use std::os::unix::fs::PermissionsExt as _;
    let sealed = Sealed::sample();
    let data = sealed.file("data");
    // A service was here: it made keys and a log.
    sealed.prove("0", "r.json", &["--data", &data]).ended(0, "");
    let notice = format!("package={}", sealed.digest);
    let served = crate::service::once(&sealed);
    assert!(served.starts_with("http://"));
    let advisory = [
        "log", "advisory", "--data", &data, "--about", &notice, "--title", "t",
    ];
    json(&advisory).ended(0, "");
    let quick = |sealed: &Sealed| doctor(sealed, &["--quick"]);
    let report = doctor(&sealed, &[]).ended(0, "").json();
    let log = of(&report, "log")[0]["text"].as_str().unwrap();
    assert!(log.contains("1 notices"), "{log}");
    assert!(
        of(&report, "key")[0]["text"]
            .as_str()
            .unwrap()
            .contains("sha256:")
    );
    let said = of(&report, "package")[0]["text"].as_str().unwrap();
    assert!(said.contains("tables"), "{said}");

    let mode = |path: &Path, mode| {
        fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
    };
    let key = Path::new(&data).join("service_key");
    mode(&key, 0o644);
    let (code, said, _) = failed(quick(&sealed));
    assert_eq!(code, "service-key");
    assert!(said.contains("chmod 600"), "{said}");
    mode(&key, 0o600);
    let log_key = Path::new(&data).join("log/log_key");
    mode(&log_key, 0o640);
    let (code, said, _) = failed(quick(&sealed));
    assert_eq!(code, "log-key");
    assert!(said.contains("chmod 600"), "{said}");
    mode(&log_key, 0o600);
    mode(Path::new(&data), 0o777);
    let (code, _, remedy) = failed(quick(&sealed));
    assert_eq!(code, "folder-open-to-others");
    assert_eq!(remedy, format!("chmod go-w {data}"));
    mode(Path::new(&data), 0o755);

    // A log that lacks what the data folder remembers.
    fs::remove_dir_all(Path::new(&data).join("log")).unwrap();
    let (code, ..) = failed(quick(&sealed));
    assert_eq!(code, "log-shrank");
}

#[test]
fn a_port_that_something_else_has_is_named() {
    let held = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = held.local_addr().unwrap().to_string();
    let (code, said, remedy) = failed(json(&["doctor", "--listen", &address]));
    assert_eq!(code, "listen-failed");
    assert!(said.contains(&address) && remedy.contains("--listen"));
}

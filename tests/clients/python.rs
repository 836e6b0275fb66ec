//! The Python package, as whoever installs it has it, under the Python that is at hand.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::Command;

use proofmark_tests::samples;
use proofmark_tests::service::{Public, program, run};
use proofmark_types::Digest;
use serde_json::{Value, json};

use crate::{MODEL, Served};

const REMEDY: &str = "install Python 3.11 or newer with pip, as python3 on the PATH";

fn sources() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../clients/python")
}

fn ended(command: &mut Command) -> String {
    let ended = run(command);
    assert_eq!(ended.exit, 0, "{command:?}: {ended:?}; {REMEDY}");
    ended.stdout
}

/// numpy and ONNX Runtime, as the list of the tests names them; installed once a list and Python.
fn libraries() -> PathBuf {
    let list = fs::read_to_string(sources().join("tests/requirements.txt")).unwrap();
    let version = ended(Command::new("python3").arg("--version"));
    let name = Digest::of(format!("{version}{list}").as_bytes()).to_hex();
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("python-{name}"));
    if !folder.exists() {
        let fresh = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
        ended(
            Command::new("python3")
                .args(["-m", "pip", "install", "--quiet", "--no-input"])
                .args(["--disable-pip-version-check", "--no-deps", "--no-compile"])
                .args(["--only-binary=:all:", "--requirement"])
                .arg(sources().join("tests/requirements.txt"))
                .arg("--target")
                .arg(fresh.path().join("libraries")),
        );
        // Another process may have been faster; then its folder stays.
        if fs::rename(fresh.path().join("libraries"), &folder).is_err() {
            assert!(folder.exists());
        }
    }
    folder
}

/// The module, which cargo builds beside the tests.
fn module() -> PathBuf {
    let own = std::env::current_exe().unwrap();
    let name = format!(
        "{}proofmark_python{}",
        std::env::consts::DLL_PREFIX,
        std::env::consts::DLL_SUFFIX
    );
    let path = own.parent().unwrap().join(name);
    assert!(path.is_file(), "{} is missing", path.display());
    path
}

/// Runs the tests of one file; gives what it wrote for us.
fn test(file: &str, mut config: Value) -> Option<Value> {
    let folder = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
    for part in ["python", "tests"] {
        let from = sources().join(part);
        ended(Command::new("cp").arg("-r").arg(from).arg(folder.path()));
    }
    symlink(
        module(),
        folder.path().join("python/proofmark/_core.abi3.so"),
    )
    .unwrap();
    let out = folder.path().join("out.json");
    config["out"] = json!(out);
    config["work"] = json!(folder.path());
    config["models"] = json!(Path::new(env!("CARGO_MANIFEST_DIR")).join("../models"));
    config["table"] = json!(Path::new(env!("CARGO_MANIFEST_DIR")).join("compat/table.json"));
    let path = [folder.path().join("python"), libraries()];
    ended(
        Command::new("python3")
            .args(["-W", "error", "-m", "unittest", "-v", file])
            .current_dir(folder.path().join("tests"))
            .env("PYTHONPATH", std::env::join_paths(path).unwrap())
            .env("PYTHONDONTWRITEBYTECODE", "1")
            .env("no_proxy", "127.0.0.1")
            // The package finds the library by itself.
            .env_remove("ORT_DYLIB_PATH")
            .env("PROOFMARK_TEST", config.to_string()),
    );
    let told = fs::read(out).ok()?;
    Some(serde_json::from_slice(&told).unwrap())
}

#[test]
fn python_answers_as_the_table_says() {
    assert_eq!(test("test_table", json!({})), None);
}

#[test]
fn python_asks_a_service_and_verifies() {
    let served = Served::start();
    let model = Public::of(MODEL);
    let (samples, _) = samples::heldout(MODEL);
    let told = test(
        "test_service",
        json!({
            "url": served.service.url(),
            "model": MODEL,
            "digest": model.digest,
            "other": Public::of("digits-mlp").digest,
            "logKey": served.service.log_key(),
            "inputs": samples[0],
            "others": samples[1],
        }),
    )
    .unwrap();
    let receipt = served.folder.path().join("receipt.json");
    fs::write(&receipt, told["receipt"].as_str().unwrap()).unwrap();
    assert_eq!(model.verify(&receipt, &[]).exit, 0);
}

#[test]
fn the_guide_for_python_runs() {
    let guide = sources().join("../../docs/guides/python.md");
    let config = json!({ "guide": guide, "program": program("proofmark") });
    assert_eq!(test("test_guide", config), None);
}

#[test]
fn python_imports_seals_and_proves() {
    let folder = tempfile::tempdir().unwrap();
    let told = test("test_authors", json!({ "keep": folder.path() })).unwrap();
    // What Python made, the small verifier accepts.
    let model = Public::read(&folder.path().join("package"));
    assert_eq!(json!(model.digest), told["digest"]);
    let nonce = told["nonce"].as_str().unwrap();
    let receipt = folder.path().join("receipt.json");
    let openings = folder.path().join("openings.json");
    let more = ["--nonce", nonce, "--openings", openings.to_str().unwrap()];
    let accepted = model.verify(&receipt, &more);
    assert_eq!(accepted.exit, 0, "{accepted:?}");
}

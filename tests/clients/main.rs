//! The TypeScript package in Node and in headless Chromium, against the built service.

// The other users of these helpers need all of them.
#[path = "../../crates/prover/tests/js/npm.rs"]
mod npm;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use proofmark_tests::samples;
use proofmark_tests::service::{Public, Service, Start, only, proofmark, run};
use serde_json::{Value, json};

const MODEL: &str = "risk-classifier";

fn sources() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../clients/typescript")
}

fn ended(command: &mut Command) -> String {
    let output = npm::run(command);
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    assert!(
        output.status.success(),
        "{command:?}: {}{}",
        text(&output.stdout),
        text(&output.stderr)
    );
    text(&output.stdout)
}

/// The packages that build the client, as its lock file names them.
fn tools() -> PathBuf {
    npm::packages(&sources(), "typescript")
}

/// The client, compiled, as whoever installs it has it, and the tests.
fn compiled() -> tempfile::TempDir {
    let folder = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
    let parts = ["src", "test", "wasm", "package.json", "tsconfig.json"];
    let copied = Command::new("cp")
        .arg("-r")
        .args(parts.map(|part| sources().join(part)))
        .arg(folder.path())
        .status()
        .unwrap();
    assert!(copied.success());
    ended(
        Command::new("node")
            .arg(tools().join("node_modules/typescript/bin/tsc"))
            .current_dir(folder.path()),
    );
    folder
}

/// A service with one model, and what the tests are to know of it.
struct Served {
    folder: tempfile::TempDir,
    _packages: tempfile::TempDir,
    service: Service,
}

impl Served {
    fn start() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let packages = only(MODEL);
        let service = Service::start(Start {
            packages: packages.path(),
            data: &folder.path().join("data"),
            more: &[],
        });
        Self {
            folder,
            _packages: packages,
            service,
        }
    }

    /// Runs the tests in a script and compares what contracts get with what the tool prints.
    fn test(&self, script: &[&str]) {
        let client = compiled();
        let model = Public::of(MODEL);
        let (samples, _) = samples::heldout(MODEL);
        let out = self.folder.path().join("out.json");
        let config = json!({
            "url": self.service.url(),
            "model": MODEL,
            "digest": model.digest,
            "other": Public::of("digits-mlp").digest,
            "logKey": self.service.log_key(),
            "inputs": samples[0],
            "others": samples[1],
            "table": Path::new(env!("CARGO_MANIFEST_DIR")).join("compat/table.json"),
            "out": out,
        });
        ended(
            Command::new("node")
                .args(script)
                .current_dir(client.path())
                .env("PROOFMARK_TEST", config.to_string()),
        );
        let told: Value = serde_json::from_slice(&fs::read(&out).unwrap()).unwrap();
        let receipt = self.folder.path().join("receipt.json");
        fs::write(&receipt, told["receipt"].as_str().unwrap()).unwrap();
        assert_eq!(model.verify(&receipt, &[]).exit, 0);
        for universal in [false, true] {
            let digest = model.digest.to_string();
            let mut arguments = vec![
                "evm",
                "calldata",
                receipt.to_str().unwrap(),
                "--package-digest",
                &digest,
                "--manifest",
                model.manifest_path.to_str().unwrap(),
                "--verifying-key",
                model.key_path.to_str().unwrap(),
                "--json",
            ];
            if universal {
                arguments.push("--universal");
            }
            let tool = run(&mut proofmark(&arguments)).json();
            for name in ["verifyProof", "requireProof"] {
                assert_eq!(told["calls"][format!("{name} {universal}")], tool[name]);
            }
        }
    }
}

#[test]
fn node_asks_a_service_and_verifies() {
    Served::start().test(&["--test", "test/node.test.mjs"]);
}

#[test]
fn chromium_asks_a_service_and_verifies() {
    Served::start().test(&["test/browser.mjs"]);
}

#[test]
fn the_generated_types_are_those_of_the_openapi_document() {
    let out = tempfile::tempdir().unwrap();
    let fresh = out.path().join("openapi.d.ts");
    ended(
        Command::new("node")
            .arg(tools().join("node_modules/openapi-typescript/bin/cli.js"))
            .arg("../../docs/reference/openapi.json")
            .arg("--output")
            .arg(&fresh)
            .current_dir(sources()),
    );
    assert!(
        fs::read(&fresh).unwrap() == fs::read(sources().join("src/openapi.d.ts")).unwrap(),
        "clients/typescript/src/openapi.d.ts is stale: run `npm run generate` there and commit it"
    );
}

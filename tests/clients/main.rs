//! The TypeScript package in Node and in headless Chromium, and the Python package, against the built
//! service.

// The other users of these helpers need all of them.
#[path = "../../crates/prover/tests/js/npm.rs"]
mod npm;
mod python;

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

/// An empty project with the client in it as `npm pack` gives it away, and the tests.
fn installed() -> tempfile::TempDir {
    let folder = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
    let (source, project) = (folder.path().join("source"), folder.path().join("project"));
    fs::create_dir(&source).unwrap();
    fs::create_dir(&project).unwrap();
    let copy = |parts: &[&str], to: &Path| {
        let copied = Command::new("cp")
            .arg("-r")
            .args(parts.iter().map(|part| sources().join(part)))
            .arg(to)
            .status()
            .unwrap();
        assert!(copied.success());
    };
    copy(
        &["src", "wasm", "package.json", "tsconfig.json", "README.md"],
        &source,
    );
    copy(&["test"], &project);
    fs::write(
        project.join("package.json"),
        r#"{"private":true,"type":"module"}"#,
    )
    .unwrap();
    ended(tsc().current_dir(&source));
    // What `npm pack` would do first is done.
    let pack = ["pack", "--ignore-scripts", "--pack-destination", ".."];
    ended(Command::new("npm").args(pack).current_dir(&source));
    let install = ["install", "--offline", "--no-audit", "--no-fund"];
    let archive = "../proofmark-0.1.0.tgz";
    ended(
        Command::new("npm")
            .args(install)
            .arg(archive)
            .current_dir(&project),
    );
    folder
}

fn tsc() -> Command {
    let mut command = Command::new("node");
    command.arg(tools().join("node_modules/typescript/bin/tsc"));
    command
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
            // The page of a test is of another origin.
            more: &["--allow-origin", "*"],
        });
        Self {
            folder,
            _packages: packages,
            service,
        }
    }

    /// Runs the tests in a script and compares what contracts get with what the tool prints.
    fn test(&self, script: &[&str]) {
        let client = installed();
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
                .current_dir(client.path().join("project"))
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
fn whoever_installs_the_package_has_its_types() {
    let client = installed();
    let project = client.path().join("project");
    for (module, resolution) in [("nodenext", "nodenext"), ("esnext", "bundler")] {
        ended(
            tsc()
                .args(["--noEmit", "--strict", "--target", "es2022"])
                .args(["--lib", "es2022,dom", "--skipLibCheck", "false"])
                .args(["--module", module, "--moduleResolution", resolution])
                .arg("test/consumer.ts")
                .current_dir(&project),
        );
    }
    let packed = project.join("node_modules/proofmark");
    for file in ["README.md", "dist/index.js", "wasm/proofmark_bg.wasm"] {
        assert!(packed.join(file).is_file(), "{file} is not packed");
    }
    for file in ["src", "test", "bindgen"] {
        assert!(!packed.join(file).exists(), "{file} is packed");
    }
}

#[test]
fn the_generated_types_are_those_of_the_openapi_document() {
    let out = tempfile::tempdir().unwrap();
    let fresh = out.path().join("openapi.ts");
    ended(
        Command::new("node")
            .arg(tools().join("node_modules/openapi-typescript/bin/cli.js"))
            .arg("../../docs/reference/openapi.json")
            .arg("--output")
            .arg(&fresh)
            .current_dir(sources()),
    );
    assert!(
        fs::read(&fresh).unwrap() == fs::read(sources().join("src/openapi.ts")).unwrap(),
        "clients/typescript/src/openapi.ts is stale: run `npm run generate` there and commit it"
    );
}

//! Running the tool, and a sealed sample package.

use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;
use tempfile::TempDir;

pub(crate) const MODEL: &str = "risk-classifier";
/// Any nonce; tests that replay need two proofs under one.
pub(crate) const NONCE: &str = "0x0101010101010101010101010101010101010101010101010101010101010101";

pub(crate) struct Ran {
    pub(crate) code: i32,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl Ran {
    /// The one JSON object of stdout.
    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.stdout)
            .unwrap_or_else(|error| panic!("{error}: {} {}", self.stdout, self.stderr))
    }

    /// Asserts how the command ended and, of a failure, which code its problem object names.
    #[track_caller]
    pub(crate) fn ended(self, code: i32, problem: &str) -> Self {
        assert_eq!(self.code, code, "{} {}", self.stdout, self.stderr);
        if code != 0 {
            let object = self.json();
            assert_eq!(object["code"], problem, "{object}");
            assert!(object["detail"].as_str().is_some_and(|d| !d.is_empty()));
            assert!(
                object["type"]
                    .as_str()
                    .is_some_and(|t| t.ends_with(problem))
            );
        }
        self
    }
}

pub(crate) fn run(arguments: &[&str]) -> Ran {
    let output = Command::new(env!("CARGO_BIN_EXE_proofmark"))
        .args(arguments)
        .output()
        .unwrap();
    Ran {
        code: output.status.code().unwrap(),
        stdout: String::from_utf8(output.stdout).unwrap(),
        stderr: String::from_utf8(output.stderr).unwrap(),
    }
}

/// Runs with `--json`.
pub(crate) fn json(arguments: &[&str]) -> Ran {
    run(&[&["--json"], arguments].concat())
}

pub(crate) fn models() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../models")
}

pub(crate) fn sample_file(name: &str) -> String {
    text(&models().join(MODEL).join(name))
}

pub(crate) fn text(path: &Path) -> String {
    path.to_str().unwrap().to_owned()
}

/// A sealed package in a folder of its own.
pub(crate) struct Sealed {
    root: TempDir,
    pub(crate) digest: String,
}

impl Sealed {
    /// Sealed from the committed draft.
    pub(crate) fn sample() -> Self {
        Self::of(&text(&models().join(MODEL)), tempfile::tempdir().unwrap())
    }

    /// Sealed from a draft, which may lie in the same folder.
    pub(crate) fn of(draft: &str, root: TempDir) -> Self {
        let package = text(&root.path().join("packages").join(MODEL));
        let ran = json(&["setup", draft, "--out", &package]).ended(0, "");
        let digest = ran.json()["package_digest"].as_str().unwrap().to_owned();
        Self { root, digest }
    }

    pub(crate) fn file(&self, name: &str) -> String {
        text(&self.root.path().join(name))
    }

    pub(crate) fn package(&self) -> String {
        text(&self.root.path().join("packages").join(MODEL))
    }

    pub(crate) fn packages(&self) -> String {
        self.file("packages")
    }

    /// Proves a held-out sample and gives the receipt's path.
    pub(crate) fn prove(&self, sample: &str, receipt: &str, more: &[&str]) -> Ran {
        let (package, input, receipt) = (
            self.package(),
            sample_file("heldout.npz"),
            self.file(receipt),
        );
        let arguments = [
            "prove",
            "--package",
            &package,
            "--input",
            &input,
            "--sample",
            sample,
            "--receipt",
            &receipt,
        ];
        json(&[&arguments[..], more].concat())
    }

    pub(crate) fn verify(&self, receipt: &str, more: &[&str]) -> Ran {
        let (package, receipt) = (self.package(), self.file(receipt));
        let arguments = [
            "verify",
            &receipt,
            "--package",
            &package,
            "--package-digest",
            &self.digest,
        ];
        json(&[&arguments[..], more].concat())
    }
}

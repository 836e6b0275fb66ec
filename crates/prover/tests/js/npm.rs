//! Packages from npm for tests, as the lock file in a folder names them.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

const REMEDY: &str = "install Node ≥ 20 with npm and see to it that both are on the PATH";

/// Runs a program that a test needs.
pub(crate) fn run(command: &mut Command) -> Output {
    match command.output() {
        Ok(output) => output,
        Err(error) => panic!("cannot run {command:?}: {error}; {REMEDY}"),
    }
}

/// A folder with the `node_modules` that `package-lock.json` in `source` names; installed once a
/// lock file, whichever test process comes first.
pub(crate) fn packages(source: &Path, name: &str) -> PathBuf {
    let version = run(Command::new("node").arg("--version"));
    let version = String::from_utf8_lossy(&version.stdout).into_owned();
    let major: Option<u32> = version
        .trim_start_matches('v')
        .split('.')
        .next()
        .and_then(|major| major.parse().ok());
    assert!(major >= Some(20), "node is {version:?}; {REMEDY}");

    let lock = fs::read(source.join("package-lock.json")).unwrap();
    let name = format!("{name}-{}", proofmark_types::Digest::of(&lock).to_hex());
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
    if !folder.exists() {
        let fresh = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
        for file in ["package.json", "package-lock.json"] {
            fs::copy(source.join(file), fresh.path().join(file)).unwrap();
        }
        let output = run(Command::new("npm")
            .args(["ci", "--ignore-scripts", "--no-audit", "--no-fund"])
            .current_dir(fresh.path()));
        assert!(output.status.success(), "npm ci: {output:?}; {REMEDY}");
        // Another process may have been faster; then its folder stays.
        if fs::rename(fresh.path(), &folder).is_err() {
            assert!(folder.exists());
        }
    }
    folder
}

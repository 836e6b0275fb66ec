//! snarkjs for tests, from npm, as the lock file beside this names it.

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

/// snarkjs's command line; its packages are installed once a lock file, whichever test process comes
/// first.
pub(crate) fn installed() -> PathBuf {
    let version = run(Command::new("node").arg("--version"));
    let version = String::from_utf8_lossy(&version.stdout).into_owned();
    let major: Option<u32> = version
        .trim_start_matches('v')
        .split('.')
        .next()
        .and_then(|major| major.parse().ok());
    assert!(major >= Some(20), "node is {version:?}; {REMEDY}");

    // Of whichever crate's tests this is a part, the packages are one crate's.
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("../prover/tests/js");
    let lock = fs::read(source.join("package-lock.json")).unwrap();
    let name = format!("snarkjs-{}", proofmark_types::Digest::of(&lock).to_hex());
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
    folder.join("node_modules/snarkjs/build/cli.cjs")
}

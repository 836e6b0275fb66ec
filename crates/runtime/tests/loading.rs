//! How the shared library is found and judged, each case in a process of its own.
#![expect(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test fails by panicking"
)]

use std::path::Path;
use std::process::{Command, Output};

use proofmark_runtime::library::{self, OVERRIDE_VARIABLE};
use proofmark_runtime::{IntSession, OptLevel};

/// What [`child`] prints before its verdict.
const VERDICT: &str = "verdict:";

/// Run by the other tests in a fresh process: initialises, loads a broken model, and prints the
/// code and message of what came of it.
#[test]
fn child() {
    let verdict = match proofmark_runtime::init() {
        Ok(info) => {
            let refused = IntSession::load(b"no model", OptLevel::All).err().unwrap();
            format!(
                "ok {} {} {}",
                info.version,
                info.library_digest,
                refused.code()
            )
        }
        Err(error) => format!("{} {error}", error.code()),
    };
    println!("{VERDICT} {verdict}");
}

fn fresh_process(environment: &[(&str, &Path)]) -> Output {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command
        .args(["--exact", "child", "--nocapture"])
        .env_remove(OVERRIDE_VARIABLE);
    command.envs(environment.iter().copied()).output().unwrap()
}

fn verdict(environment: &[(&str, &Path)]) -> String {
    let output = fresh_process(environment);
    let text = String::from_utf8_lossy(&output.stdout);
    let at = text
        .find(VERDICT)
        .unwrap_or_else(|| panic!("no verdict: {output:?}"));
    text[at + VERDICT.len()..]
        .lines()
        .next()
        .unwrap()
        .trim()
        .to_owned()
}

/// The library that this machine tests with.
fn genuine() -> Vec<u8> {
    std::fs::read(library::locate().unwrap()).unwrap()
}

#[test]
fn the_fetched_library_loads_and_is_silent() {
    let library = library::locate().unwrap();
    let output = fresh_process(&[(OVERRIDE_VARIABLE, &library)]);
    let text = String::from_utf8_lossy(&output.stdout);
    let digest = proofmark_types::Digest::of(&genuine());
    assert!(
        text.contains(&format!("{VERDICT} ok 1.31.1 {digest} model-refused")),
        "{output:?}"
    );
    assert_eq!(String::from_utf8_lossy(&output.stderr), "");
    assert!(!text.contains("onnxruntime:"), "{text}");
}

#[test]
fn an_empty_cache_names_the_remedy() {
    let folder = tempfile::tempdir().unwrap();
    let verdict = verdict(&[("PROOFMARK_CACHE_DIR", folder.path())]);
    assert!(verdict.starts_with("runtime-library-missing"), "{verdict}");
    assert!(verdict.contains("cargo xtask fetch-runtime"), "{verdict}");
}

#[test]
fn a_damaged_cache_is_refused() {
    let pin = library::pinned().unwrap();
    let folder = tempfile::tempdir().unwrap();
    let parent = folder.path().join("proofmark").join("onnxruntime-1.31.1");
    std::fs::create_dir_all(&parent).unwrap();
    let mut bytes = genuine();
    *bytes.last_mut().unwrap() ^= 1;
    std::fs::write(parent.join(pin.file_name), bytes).unwrap();
    let verdict = verdict(&[("PROOFMARK_CACHE_DIR", folder.path())]);
    assert!(verdict.starts_with("runtime-library-digest"), "{verdict}");
    assert!(verdict.contains("cargo xtask fetch-runtime"), "{verdict}");
}

#[test]
fn an_override_that_is_absent_or_no_library_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("lib.so");
    let absent = verdict(&[(OVERRIDE_VARIABLE, &file)]);
    assert!(absent.starts_with("runtime-library-missing"), "{absent}");
    std::fs::write(&file, b"no library").unwrap();
    let foreign = verdict(&[(OVERRIDE_VARIABLE, &file)]);
    assert!(foreign.starts_with("runtime-library-load"), "{foreign}");
}

/// The same library, but for the commit that it says it was built from.
#[test]
fn another_release_is_refused() {
    let mut bytes = genuine();
    let needle = b"git-commit-id=";
    let at = bytes
        .windows(needle.len())
        .position(|window| window == needle)
        .unwrap();
    bytes[at + needle.len()] ^= 1;
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("lib.so");
    std::fs::write(&file, bytes).unwrap();
    let verdict = verdict(&[(OVERRIDE_VARIABLE, &file)]);
    assert!(verdict.starts_with("runtime-version"), "{verdict}");
    assert!(verdict.contains("1.31.1"), "{verdict}");
}

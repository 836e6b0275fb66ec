//! Building and running the client in Go.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use proofmark_log::tlog::VerifierKey;

/// Where Debian installs Go libraries.
const GOPATH: &str = "/usr/share/gocode";
const REMEDY: &str = "install Debian's golang-go and golang-golang-x-mod-dev: \
    apt-get install --no-install-recommends golang-go golang-golang-x-mod-dev";

/// Builds the client in a folder of the test.
pub(crate) fn client(folder: &Path) -> PathBuf {
    let library = Path::new(GOPATH).join("src/golang.org/x/mod/sumdb/tlog");
    assert!(
        library.is_dir(),
        "{} is missing; {REMEDY}",
        library.display()
    );
    let (program, source) = (folder.join("client"), folder.join("main.go"));
    fs::write(&source, include_str!("main.go")).unwrap();
    let built = Command::new("go")
        .args(["build", "-o"])
        .arg(&program)
        .arg(source)
        .env("GO111MODULE", "off")
        .env("GOPATH", GOPATH)
        .env("GOFLAGS", "")
        .env("GOCACHE", folder.join("cache"))
        .output();
    assert!(built.is_ok(), "go cannot be started ({built:?}); {REMEDY}");
    let built = built.unwrap();
    assert!(
        built.status.success(),
        "{}",
        String::from_utf8_lossy(&built.stderr)
    );
    program
}

/// Has the client read a log and the cases.
pub(crate) fn run(program: &Path, public: &Path, cases: &Path, keys: &[&VerifierKey]) -> Output {
    Command::new(program)
        .args([public, cases])
        .args(keys.iter().map(ToString::to_string))
        .output()
        .unwrap()
}

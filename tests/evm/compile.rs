//! Solidity compiled by the real compiler, once for each content.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use proofmark_evm::Artifact;
use proofmark_types::Digest;

use crate::npm;

/// `contracts/` of the repository.
pub(crate) fn contracts() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../contracts")
}

/// A folder with the artefacts of these sources, or without any of `contracts/src`.
pub(crate) fn compiled(sources: &[(String, String)]) -> PathBuf {
    let packages = npm::packages(&contracts(), "contracts");
    let mut all = String::new();
    let mut own = vec![
        contracts().join("build.mjs"),
        contracts().join("package-lock.json"),
    ];
    files(&contracts().join("src"), &mut own);
    own.sort();
    for path in own {
        all.push_str(&fs::read_to_string(path).unwrap());
    }
    for (name, source) in sources {
        all.push_str(name);
        all.push_str(source);
    }
    let temporary = Path::new(env!("CARGO_TARGET_TMPDIR"));
    let folder = temporary.join(format!("solidity-{}", Digest::of(all.as_bytes()).to_hex()));
    if folder.exists() {
        return folder;
    }
    let work = tempfile::tempdir_in(temporary).unwrap();
    let out = work.path().join("artifacts");
    let mut command = Command::new("node");
    command.arg(contracts().join("build.mjs")).arg(&out);
    for (name, source) in sources {
        let path = work.path().join(name);
        fs::write(&path, source).unwrap();
        command.arg(path);
    }
    let output = npm::run(command.current_dir(packages));
    assert!(
        output.status.success(),
        "solc: {}",
        String::from_utf8_lossy(&output.stderr)
    );
    // Another process may have been faster; then its folder stays.
    if fs::rename(&out, &folder).is_err() {
        assert!(folder.exists());
    }
    folder
}

/// The contract of one source.
pub(crate) fn contract(name: &str, source: &str) -> Artifact {
    let mut all = compiled_contracts(&[(name.to_owned(), source.to_owned())]);
    all.pop().unwrap()
}

/// The contracts of several sources, compiled at once.
pub(crate) fn compiled_contracts(named: &[(String, String)]) -> Vec<Artifact> {
    let files: Vec<_> = named
        .iter()
        .map(|(name, source)| (format!("{name}.sol"), source.clone()))
        .collect();
    let folder = compiled(&files);
    named
        .iter()
        .map(|(name, _)| artifact(&folder, name))
        .collect()
}

/// A contract of `contracts/test`.
pub(crate) fn test_contract(name: &str) -> Artifact {
    let source = fs::read_to_string(contracts().join("test/Callbacks.sol")).unwrap();
    artifact(&compiled(&[("Callbacks.sol".to_owned(), source)]), name)
}

fn artifact(folder: &Path, name: &str) -> Artifact {
    let json = fs::read_to_string(folder.join(format!("{name}.json"))).unwrap();
    Artifact::parse(&json).unwrap()
}

fn files(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            files(&path, found);
        } else {
            found.push(path);
        }
    }
}

#[test]
fn committed_artefacts_are_what_the_compiler_makes() {
    let fresh = compiled(&[]);
    let names = |folder: &Path| {
        let mut found = Vec::new();
        files(folder, &mut found);
        let mut names: Vec<_> = found
            .iter()
            .map(|path| path.file_name().unwrap().to_owned())
            .collect();
        names.sort();
        names
    };
    let committed = contracts().join("artifacts");
    if std::env::var_os("UPDATE_EXPECT").is_some() {
        for name in names(&fresh) {
            fs::copy(fresh.join(&name), committed.join(&name)).unwrap();
        }
    }
    assert_eq!(names(&committed), names(&fresh));
    for name in names(&fresh) {
        assert!(
            fs::read(committed.join(&name)).unwrap() == fs::read(fresh.join(&name)).unwrap(),
            "{} is stale: run the tests with UPDATE_EXPECT=1",
            name.display()
        );
    }
}

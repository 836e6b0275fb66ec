//! What `docs/security` says is held by tests that exist.

mod closed;

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .parent()
        .expect("the workspace")
        .to_owned()
}

/// Every `.rs` file of the repository below `folder`.
fn sources(folder: &Path, into: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).expect("a folder") {
        let path = entry.expect("an entry").path();
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        if path.is_dir() {
            if !name.starts_with('.') && !["target", "node_modules", "data"].contains(&&*name) {
                sources(&path, into);
            }
        } else if name.ends_with(".rs") {
            into.push(path);
        }
    }
}

/// Names of the test functions of a file.
fn tests_of(text: &str) -> BTreeSet<&str> {
    let mut found = BTreeSet::new();
    let mut is_test = false;
    for line in text.lines().map(str::trim) {
        if line.starts_with("#[") {
            is_test |= line == "#[test]" || line.starts_with("#[tokio::test");
            assert!(!is_test || line != "#[ignore]");
        } else if let Some(rest) = line
            .strip_prefix("fn ")
            .or_else(|| line.strip_prefix("async fn "))
        {
            if is_test {
                found.extend(rest.split(['(', '<']).next());
            }
            is_test = false;
        }
    }
    found
}

/// The tests that a text names: `(end of a path, function)`.
fn named(text: &str) -> Vec<(&str, &str)> {
    text.split('`')
        .skip(1)
        .step_by(2)
        .filter_map(|code| {
            code.split_once("::")
                .filter(|(file, _)| file.ends_with(".rs"))
        })
        .collect()
}

/// Cells of the tables below a heading, without head and rule.
fn rows(text: &str, heading: &str) -> Vec<Vec<String>> {
    let start = text
        .find(heading)
        .unwrap_or_else(|| panic!("{heading} is missing"));
    let section = &text[start + heading.len()..];
    let section = &section[..section.find("\n## ").unwrap_or(section.len())];
    section
        .lines()
        .filter(|line| line.starts_with('|'))
        .skip(2)
        .map(|line| {
            line.trim_matches('|')
                .split('|')
                .map(|cell| cell.trim().to_owned())
                .collect()
        })
        .collect()
}

#[test]
fn every_test_that_is_named_exists() {
    let mut files = Vec::new();
    sources(&root(), &mut files);
    let mut texts = BTreeMap::new();
    for path in files {
        let name = path.strip_prefix(root()).expect("below the root");
        let name = name.to_string_lossy().replace('\\', "/");
        texts.insert(name, fs::read_to_string(&path).expect("text"));
    }
    let mut missing = Vec::new();
    let mut count = 0;
    for document in fs::read_dir(root().join("docs/security")).expect("the folder") {
        let document = document.expect("an entry").path();
        let text = fs::read_to_string(&document).expect("text");
        for (file, test) in named(&text) {
            count += 1;
            let end = format!("/{file}");
            let at: Vec<&String> = texts
                .keys()
                .filter(|name| format!("/{name}").ends_with(&end))
                .collect();
            match at.as_slice() {
                [one] if tests_of(&texts[*one]).contains(test) => {}
                [one] => missing.push(format!("{one} has no test {test}")),
                [] => missing.push(format!("there is no {file} for {test}")),
                more => missing.push(format!("{file} may be any of {more:?}")),
            }
        }
    }
    assert_eq!(missing, Vec::<String>::new());
    assert!(count > 80, "{count} tests are named");
}

#[test]
fn every_claim_and_every_known_failure_has_a_test() {
    let text = fs::read_to_string(root().join("docs/security/claims.md")).expect("the claims");
    for (heading, least) in [("## 1. Claims", 12), ("## 7. Failures of others", 20)] {
        let rows = rows(&text, heading);
        assert!(rows.len() >= least, "{heading}: {} rows", rows.len());
        for row in rows {
            let tests = row.last().expect("a cell");
            assert!(!named(tests).is_empty(), "{heading}: {row:?} names no test");
        }
    }
    for (index, row) in rows(&text, "## 1. Claims").iter().enumerate() {
        assert_eq!(row[0], format!("C{}", index + 1));
    }
}

#[test]
fn documents_that_are_linked_exist() {
    for document in fs::read_dir(root().join("docs/security")).expect("the folder") {
        let document = document.expect("an entry").path();
        let text = fs::read_to_string(&document).expect("text");
        for link in text.split("](").skip(1) {
            let to = link.split([')', '#']).next().unwrap_or_default();
            if to.is_empty() || to.contains("://") {
                continue;
            }
            let path = document.with_file_name(to);
            assert!(path.exists(), "{} links to {to}", document.display());
        }
    }
}

#[test]
fn tests_are_told_from_other_functions() {
    let text = "#[test]\nfn one() {}\nfn two() {}\n    #[tokio::test(flavor = \"x\")]\n    async fn three() {}\n\
                #[test]\n#[cfg(unix)]\nfn four<T>() {}\n#[derive(Debug)]\nfn five() {}\n";
    assert_eq!(tests_of(text), BTreeSet::from(["four", "one", "three"]));
    assert_eq!(
        named("`a/b.rs::c`, `not a test`, `b::c`, text `d.rs::e`"),
        [("a/b.rs", "c"), ("d.rs", "e")]
    );
    let table = "## A\n\n| x | y |\n| --- | --- |\n| 1 | a |\n\n## B\n| x |\n| --- |\n| 2 |\n";
    assert_eq!(rows(table, "## A"), [["1", "a"]]);
}

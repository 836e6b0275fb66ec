//! The list of error codes is complete, and the reference page is generated from it.
#![forbid(unsafe_code)]
#![expect(clippy::unwrap_used, reason = "a test that panics has failed")]

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use proofmark_types::problem::{ERROR_CODES, PROBLEM_BASE, lookup};

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

fn sources(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            sources(&path, found);
        } else if path.extension().is_some_and(|e| e == "rs") {
            found.push(path);
        }
    }
}

/// Quoted kebab-case words in the bodies of `fn code(&self)` methods.
fn codes_in(source: &str) -> Vec<String> {
    let mut codes = Vec::new();
    for after in source.split("fn code(&self)").skip(1) {
        let body = after.split("\n    }\n").next().unwrap();
        for word in body.split('"').skip(1).step_by(2) {
            if !word.is_empty() && word.bytes().all(|b| b.is_ascii_lowercase() || b == b'-') {
                codes.push(word.to_owned());
            }
        }
    }
    codes
}

#[test]
fn every_code_of_every_crate_is_listed() {
    let mut files = Vec::new();
    for group in ["crates", "circuits"] {
        for entry in std::fs::read_dir(root().join(group)).unwrap() {
            let src = entry.unwrap().path().join("src");
            if src.is_dir() {
                sources(&src, &mut files);
            }
        }
    }
    let mut found = 0;
    let mut missing = BTreeMap::new();
    for file in files {
        for code in codes_in(&std::fs::read_to_string(&file).unwrap()) {
            found += 1;
            if lookup(&code).is_none() {
                missing.insert(code, file.file_name().unwrap().to_owned());
            }
        }
    }
    assert!(found > 50, "{found} codes found: the search is broken");
    assert!(
        missing.is_empty(),
        "add to problem::ERROR_CODES: {missing:?}"
    );
}

#[test]
fn finds_codes() {
    let source = "impl E {\n    pub fn code(&self) -> &str {\n        match self {\n            \
                  A => \"a-b\",\n            B(e) => e.code(),\n            C => \"c\",\n        }\n    \
                  }\n    fn other() { \"x-y\" }\n}\n";
    assert_eq!(codes_in(source), ["a-b", "c"]);
}

#[test]
fn reference_page_is_current() {
    let mut page = String::from(
        "# Error codes\n\n\
         One code means one thing everywhere: in HTTP problems (`code`, and the end of `type`, which is\n",
    );
    writeln!(
        page,
        "`{PROBLEM_BASE}<code>`), in the tools' `--json`, in metric labels and in logs."
    )
    .unwrap();
    page.push_str(
        "Generated from `proofmark_types::problem::ERROR_CODES` by\n\
         `UPDATE_EXPECT=1 cargo nextest run -p proofmark-types`.\n\n\
         | code | HTTP status | meaning |\n| --- | --- | --- |\n",
    );
    for (code, status, title) in ERROR_CODES {
        writeln!(page, "| `{code}` | {status} | {title} |").unwrap();
    }
    let path = root().join("docs/reference/errors.md");
    if std::env::var_os("UPDATE_EXPECT").is_some() {
        std::fs::write(&path, &page).unwrap();
    }
    let committed = std::fs::read_to_string(&path).unwrap();
    assert!(
        committed == page,
        "docs/reference/errors.md is stale: run with UPDATE_EXPECT=1 and commit it"
    );
}

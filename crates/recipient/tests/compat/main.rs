//! One table of good and tampered receipts, with the verdict and the code that each must get. Here
//! the Rust recipient runs it; every other verifier runs the same file (`tests/compat/README.md`).
//!
//! `UPDATE_EXPECT=1` makes the table anew with the program that `PROOFMARK` names: new keys, new
//! proofs. What every case must get stands in `make/`, not in what some verifier said.
#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "a test that panics has failed, which is what it is for"
)]

mod make;
mod table;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use proofmark_recipient::{
    Verdict, answer, answer_checkpoints, answer_history, answer_inference, answer_log_proof,
    answer_opening, answer_proof, open_pinned,
};
use proofmark_tlog::{ReadError, Tiles};
use proofmark_verifier::TrustedPackage;
use table::{Case, Question, Table};

fn path() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/compat/table.json")
}

fn committed() -> Table {
    if std::env::var_os("UPDATE_EXPECT").is_some() {
        let table = make::table();
        let mut text = serde_json::to_string_pretty(&table).unwrap();
        text.push('\n');
        std::fs::write(path(), text).unwrap();
    }
    serde_json::from_str(&std::fs::read_to_string(path()).unwrap()).unwrap()
}

/// A copy of a log as the table holds it.
struct Files<'a>(&'a BTreeMap<String, String>);

impl Tiles for Files<'_> {
    fn read(&self, path: &str, _: usize) -> Result<Option<Vec<u8>>, ReadError> {
        Ok(self.0.get(path).map(|text| table::bytes(text)))
    }
}

fn judge(table: &Table, packages: &BTreeMap<&str, TrustedPackage>, case: &Case) -> Verdict {
    let files = case.copy.as_deref().map(|name| Files(&table.logs[name]));
    let copy = files.as_ref().map(|files| files as &dyn Tiles);
    let text = |value: &serde_json::Value| value.to_string();
    match &case.question {
        Question::Package {
            package,
            digest,
            manifest,
            verifying_key,
        } => {
            let held = &table.packages[package];
            let manifest = manifest.as_ref().unwrap_or(&held.manifest);
            let key = table::bytes(verifying_key.as_ref().unwrap_or(&held.verifying_key));
            let digest = digest.as_ref().unwrap_or(&held.digest);
            match open_pinned(digest, manifest.as_bytes(), &key) {
                Ok(_) => panic!("{}: a package is refused in every case", case.name),
                Err(refusal) => Verdict::refused(&refusal),
            }
        }
        Question::Receipt {
            package,
            receipt,
            demands,
        } => {
            let package = &packages[package.as_str()];
            answer(package, receipt.as_bytes(), &text(demands), copy)
        }
        Question::Inference {
            package,
            request,
            answer,
            demands,
        } => {
            let package = &packages[package.as_str()];
            let (request, demands) = (text(request), text(demands));
            answer_inference(package, &request, answer.as_bytes(), &demands, copy)
        }
        Question::Openings { receipt, openings } => {
            answer_opening(receipt.as_bytes(), text(openings).as_bytes())
        }
        Question::Proof { package, question } => {
            let key = table::bytes(&table.packages[package].verifying_key);
            answer_proof(&key, &text(question))
        }
        Question::LogProof { receipt, question } => {
            answer_log_proof(receipt.as_bytes(), &text(question))
        }
        Question::Checkpoints { question } => answer_checkpoints(&text(question)),
        Question::History { question } => answer_history(&text(question), copy.unwrap()),
    }
}

#[test]
fn the_recipient_answers_as_the_table_says() {
    let table = committed();
    let packages: BTreeMap<&str, TrustedPackage> = table
        .packages
        .iter()
        .map(|(name, held)| {
            let key = table::bytes(&held.verifying_key);
            let package = open_pinned(&held.digest, held.manifest.as_bytes(), &key).unwrap();
            (name.as_str(), package)
        })
        .collect();
    let mut wrong = Vec::new();
    for case in &table.cases {
        let verdict = judge(&table, &packages, case);
        let json = verdict.json();
        let mut got = vec![json["verdict"].as_str().unwrap().to_owned()];
        got.extend(verdict.refused_for().map(str::to_owned));
        got.extend(json["kind"].as_str().map(str::to_owned));
        let mut wanted = vec![case.verdict.clone()];
        wanted.extend(case.code.clone());
        wanted.extend(case.kind.clone());
        if got != wanted {
            wrong.push(format!("{}: {wanted:?}, got {json}", case.name));
        }
        for check in &case.checked {
            let made = json["checked"].as_array().unwrap();
            if !made.iter().any(|made| made == check) {
                wrong.push(format!("{}: {check} was not checked", case.name));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    // Both proof systems, and refusals of every kind.
    for package in ["plain", "lookup"] {
        let of = |case: &&Case| matches!(&case.question, Question::Receipt { package: p, .. } if p == package);
        assert!(table.cases.iter().filter(of).count() >= 10, "{package}");
    }
    let names: std::collections::BTreeSet<_> = table.cases.iter().map(|case| &case.name).collect();
    assert_eq!(names.len(), table.cases.len(), "names are unique");
}

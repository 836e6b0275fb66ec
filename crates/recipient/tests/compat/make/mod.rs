//! Makes the table: real packages of both proof systems, real proofs, and what can be done to them.

mod asked;
mod forged;
mod logged;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use ed25519_dalek::SigningKey;
use proofmark_types::{Digest, Envelope, Manifest, Receipt};
use serde_json::Value;

use crate::table::{Case, Held, Question, Table, base64};

const MODEL: &str = "risk-classifier";
const NONCE: &str = "0x000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f";
const DEADLINE: u64 = 2_000_000_000;

/// The service's key in the table.
fn service() -> SigningKey {
    SigningKey::from_bytes(&[7; 32])
}

fn hex(bytes: &[u8]) -> String {
    format!("0x{}", hex::encode(bytes))
}

fn public(key: &SigningKey) -> String {
    hex(&key.verifying_key().to_bytes())
}

/// A package and its proofs.
struct Made {
    name: &'static str,
    public: Public,
    /// By the service's key, for the nonce.
    receipt: Receipt,
    openings: Option<Value>,
    folder: PathBuf,
}

/// The public part of a package.
struct Public {
    manifest_bytes: Vec<u8>,
    key_bytes: Vec<u8>,
    digest: Digest,
    manifest: Manifest,
}

impl Public {
    fn read(folder: &Path) -> Self {
        let manifest_bytes = fs::read(folder.join("manifest.json")).unwrap();
        Self {
            key_bytes: fs::read(folder.join("verifying_key.bin")).unwrap(),
            digest: Digest::of(&manifest_bytes),
            manifest: Manifest::parse(&manifest_bytes).unwrap(),
            manifest_bytes,
        }
    }
}

/// Runs the tool.
fn done(arguments: &[&str]) {
    let Some(program) = std::env::var_os("PROOFMARK") else {
        panic!("name the built program in PROOFMARK");
    };
    let output = Command::new(program).args(arguments).output().unwrap();
    assert!(output.status.success(), "{output:?}");
}

/// The sample model's folder.
fn model() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../../models")
        .join(MODEL)
}

fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}

/// Proves the model's sample request for the nonce: the receipt, and the openings if it hides anything.
fn prove(package: &Path, more: &[&str]) -> (Receipt, Option<Value>) {
    let out = tempfile::tempdir().unwrap();
    let (receipt, openings) = (out.path().join("receipt"), out.path().join("openings"));
    let input = model().join("request.json");
    let mut arguments = vec![
        "prove",
        "--package",
        text(package),
        "--input",
        text(&input),
        "--receipt",
        text(&receipt),
        "--openings",
        text(&openings),
        "--nonce",
        NONCE,
        "--json",
    ];
    arguments.extend(more);
    done(&arguments);
    let envelope = Envelope::parse(&fs::read(&receipt).unwrap()).unwrap();
    let openings = fs::read(&openings).ok();
    let openings = openings.map(|bytes| serde_json::from_slice(&bytes).unwrap());
    (envelope.receipt().clone(), openings)
}

impl Made {
    fn new(name: &'static str, draft: &Path, backend: &str, work: &Path) -> Self {
        let folder = work.join(name);
        done(&[
            "setup",
            text(draft),
            "--out",
            text(&folder),
            "--backend",
            backend,
            "--json",
        ]);
        let (receipt, openings) = prove(&folder, &[]);
        Self {
            name,
            public: Public::read(&folder),
            receipt,
            openings,
            folder,
        }
    }

    /// The receipt as the service signs it, changed before.
    fn signed(&self, change: impl FnOnce(&mut Receipt)) -> String {
        let mut receipt = self.receipt.clone();
        change(&mut receipt);
        sign(receipt, &service())
    }

    fn case(&self, name: &str, receipt: String, demands: Value) -> Case {
        let package = self.name.to_owned();
        let question = Question::Receipt {
            package,
            receipt,
            demands,
        };
        case(&format!("{}: {name}", self.name), question)
    }
}

/// The committed receipt of `proofmark-verify`'s tests.
fn golden() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../verify-cli/tests/golden/receipt.json")
}

fn sign(mut receipt: Receipt, key: &SigningKey) -> String {
    receipt.signer = key.verifying_key().to_bytes();
    let bytes = Envelope::sign(receipt, key).unwrap().to_bytes().unwrap();
    String::from_utf8(bytes).unwrap()
}

fn case(name: &str, question: Question) -> Case {
    Case {
        name: name.to_owned(),
        question,
        copy: None,
        verdict: "accepted".to_owned(),
        code: None,
        kind: None,
        checked: Vec::new(),
    }
}

impl Case {
    fn rejected(self, code: &str) -> Self {
        self.refused("rejected", code)
    }

    fn refused(mut self, kind: &str, code: &str) -> Self {
        self.verdict = "rejected".to_owned();
        self.kind = Some(kind.to_owned());
        self.code = Some(code.to_owned());
        self
    }

    fn verdict(mut self, verdict: &str) -> Self {
        self.verdict = verdict.to_owned();
        self
    }

    fn checks(mut self, checks: &[&str]) -> Self {
        self.checked = checks.iter().map(|&check| check.to_owned()).collect();
        self
    }

    fn with_copy(mut self, copy: &str) -> Self {
        self.copy = Some(copy.to_owned());
        self
    }
}

/// The whole table.
pub(crate) fn table() -> Table {
    let work = tempfile::tempdir().unwrap();
    let plain = Made::new("plain", &model(), "plain", work.path());
    let lookup = Made::new("lookup", &hidden_draft(work.path()), "lookup", work.path());
    let mut table = Table::default();
    for made in [&plain, &lookup] {
        let held = Held {
            digest: made.public.digest.to_string(),
            manifest: String::from_utf8(made.public.manifest_bytes.clone()).unwrap(),
            verifying_key: base64(&made.public.key_bytes),
        };
        table.packages.insert(made.name.to_owned(), held);
        let other = if made.name == "plain" {
            &lookup
        } else {
            &plain
        };
        forged::packages(made, other, &mut table.cases);
        forged::receipts(made, other, &mut table.cases);
        forged::forged(made, &mut table.cases);
        forged::proofs(made, other, &mut table.cases);
    }
    asked::asked(&plain, &mut table.cases);
    asked::hidden(&lookup, &mut table.cases);
    asked::on_chain(&plain, &mut table.cases);
    asked::attested(&lookup, &mut table.cases);
    asked::inference(&plain, &lookup, &mut table.cases);
    logged::logged(&plain, &mut table);
    table
}

/// The model with a private input and a hashed output.
fn hidden_draft(work: &Path) -> PathBuf {
    let folder = model();
    let draft = work.join("draft");
    done(&[
        "import",
        text(&folder.join("float.onnx")),
        "--calibration",
        text(&folder.join("calibration.npz")),
        "--name",
        MODEL,
        "--labels",
        "benign,malignant",
        "--visibility",
        "features=private",
        "--visibility",
        "logits=hashed",
        "--out",
        text(&draft),
        "--json",
    ]);
    draft
}

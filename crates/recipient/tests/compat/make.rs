//! Makes the table: real packages of both proof systems, real proofs, and what can be done to them.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use ed25519_dalek::SigningKey;
use proofmark_log::{
    Entry, Folder, Head, Log, Notice, Options, ReceiptEntry, SignedNotice, Statement, Subject,
    Witness,
};
use proofmark_tlog::VerifiedTree;
use proofmark_tlog::tree::prove_consistency;
use proofmark_types::attestation::{
    Attestation, CheckResult, CheckStatus, ReceiptCount, SUBJECT_CHECKS, SampleCount,
    SignedAttestation, Subjects,
};
use proofmark_types::field::fr_to_hex;
use proofmark_types::manifest::SetupKind;
use proofmark_types::receipt::{RecordValue, Software};
use proofmark_types::{Digest, Envelope, IntTensor, Manifest, ProofBytes, Receipt};
use serde_json::{Value, json};

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
        packages(made, other, &mut table.cases);
        receipts(made, other, &mut table.cases);
        forged(made, &mut table.cases);
        proofs(made, other, &mut table.cases);
    }
    asked(&plain, &mut table.cases);
    hidden(&lookup, &mut table.cases);
    on_chain(&plain, &mut table.cases);
    attested(&lookup, &mut table.cases);
    inference(&plain, &lookup, &mut table.cases);
    logged(&plain, &mut table);
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

fn packages(made: &Made, other: &Made, cases: &mut Vec<Case>) {
    let question =
        |digest: Option<String>, manifest: Option<String>, key: Option<&[u8]>| Question::Package {
            package: made.name.to_owned(),
            digest,
            manifest,
            verifying_key: key.map(base64),
        };
    let mut add = |name: &str, question, kind: &str, code: &str| {
        let name = format!("{}: package: {name}", made.name);
        cases.push(case(&name, question).refused(kind, code));
    };
    let digest = |digest: Digest| Some(digest.to_string());
    add(
        "another is pinned",
        question(digest(other.public.digest), None, None),
        "rejected",
        "package-not-pinned",
    );
    add(
        "no digest",
        question(Some("sha256:00".to_owned()), None, None),
        "request",
        "parameter-invalid",
    );
    let manifest = String::from_utf8(made.public.manifest_bytes.clone()).unwrap();
    add(
        "manifest with a blank more",
        question(None, Some(format!("{manifest} ")), None),
        "rejected",
        "package-not-pinned",
    );
    let draft = fs::read_to_string(model().join("manifest.json")).unwrap();
    add(
        "a draft",
        question(digest(Digest::of(draft.as_bytes())), Some(draft), None),
        "rejected",
        "package-not-sealed",
    );
    add(
        "the other's key",
        question(None, None, Some(&other.public.key_bytes)),
        "rejected",
        "verifying-key-mismatch",
    );
    add(
        "half a key",
        question(None, None, Some(&made.public.key_bytes[..400])),
        "rejected",
        "verifying-key-mismatch",
    );
}

fn receipts(made: &Made, other: &Made, cases: &mut Vec<Case>) {
    let good = made.signed(|_| {});
    let key = public(&service());
    cases.push(
        made.case("nothing asked", good.clone(), json!({}))
            .checks(&["package", "statement", "proof", "signature"]),
    );
    cases.push(
        made.case(
            "nonce and key asked",
            good.clone(),
            json!({ "nonce": NONCE, "service_key": key }),
        )
        .checks(&["freshness", "signer"]),
    );
    let text = |name: &str, receipt: String, code: &str| {
        made.case(name, receipt, json!({})).rejected(code)
    };
    cases.extend([
        text(
            "cut",
            good[..good.len() - 1].to_owned(),
            "receipt-malformed",
        ),
        text("empty", String::new(), "receipt-malformed"),
        text(
            "a line feed more",
            format!("{good}\n"),
            "receipt-not-canonical",
        ),
        text(
            "a blank more",
            good.replacen(':', ": ", 1),
            "receipt-not-canonical",
        ),
        text(
            "the other's receipt",
            other.signed(|_| {}),
            "package-not-pinned",
        ),
    ]);
    let other_signature = sign(made.receipt.clone(), &SigningKey::from_bytes(&[8; 32]));
    let envelope: Value = serde_json::from_str(&good).unwrap();
    let stranger: Value = serde_json::from_str(&other_signature).unwrap();
    let swap = |member: &str| {
        let old = envelope["signatures"][0][member].as_str().unwrap();
        let new = stranger["signatures"][0][member].as_str().unwrap();
        good.replacen(old, new, 1)
    };
    cases.push(text(
        "another's signature",
        swap("sig"),
        "signature-invalid",
    ));
    cases.push(text("another's key id", swap("keyid"), "key-id-mismatch"));
    cases.push(made.case("signed by a stranger", other_signature, json!({})));
}

/// A change that whoever signs can make.
type Forgery = (&'static str, fn(&mut Receipt), &'static str);

fn first(record: &mut RecordValue, change: impl Fn(&mut i32)) {
    if let RecordValue::Public(tensor) = record {
        let mut data = tensor.data().to_vec();
        change(&mut data[0]);
        *tensor = IntTensor::new(tensor.elem(), tensor.shape().to_vec(), data).unwrap();
    } else if let RecordValue::Hashed(x) | RecordValue::Private(x) = record {
        *x += proofmark_types::Fr::from(1_u64);
    }
}

/// Puts the point A of the proof in the place of C, which is on the curve as well.
fn c_from_a(receipt: &mut Receipt) {
    let backend = receipt.proof.backend();
    let mut bytes = receipt.proof.to_vec();
    let a: Vec<u8> = bytes[..64].to_vec();
    bytes[192..256].copy_from_slice(&a);
    receipt.proof = ProofBytes::new(backend, &bytes).unwrap();
}

const FORGERIES: [Forgery; 14] = [
    (
        "package",
        |r| r.package = Digest::of(b"x"),
        "package-not-pinned",
    ),
    ("name", |r| r.model.name.push('x'), "model-mismatch"),
    ("version", |r| r.model.version.push('0'), "model-mismatch"),
    (
        "model",
        |r| r.model.integer_model = Digest::of(b"x"),
        "model-mismatch",
    ),
    (
        "circuit",
        |r| r.circuit = Digest::of(b"x"),
        "circuit-mismatch",
    ),
    (
        "key",
        |r| r.verifying_key = Digest::of(b"x"),
        "verifying-key-mismatch",
    ),
    (
        "setup",
        |r| r.setup.kind = SetupKind::Ceremony,
        "setup-mismatch",
    ),
    (
        "runtime",
        |r| r.runtime.onnxruntime.push('0'),
        "runtime-mismatch",
    ),
    ("nonce", |r| r.context.nonce[31] ^= 1, "proof-invalid"),
    ("deadline", |r| r.context.deadline = 1, "proof-invalid"),
    (
        "input",
        |r| first(&mut r.inputs[0].value, |v| *v ^= 1),
        "proof-invalid",
    ),
    (
        "output",
        |r| first(&mut r.outputs[0].value, |v| *v += 1),
        "proof-invalid",
    ),
    (
        "a point off the curve",
        |r| r.proof[63] ^= 1,
        "proof-malformed",
    ),
    ("another point of the curve", c_from_a, "proof-invalid"),
];

fn forged(made: &Made, cases: &mut Vec<Case>) {
    for (name, change, code) in FORGERIES {
        let name = format!("forged and signed: {name}");
        cases.push(
            made.case(&name, made.signed(change), json!({}))
                .rejected(code),
        );
    }
}

fn asked(made: &Made, cases: &mut Vec<Case>) {
    let good = || made.signed(|_| {});
    let stranger = public(&SigningKey::from_bytes(&[8; 32]));
    let ask = |name: &str, demands: Value, kind: &str, code: &str| {
        made.case(&format!("asked: {name}"), good(), demands)
            .refused(kind, code)
    };
    let opening = |values: Value| {
        json!({ "format": "proofmark/openings/v1", "openings": [
            { "tensor": "logits", "elem": "int32", "shape": [1, 2], "values": values, "salt": null }
        ] })
    };
    let RecordValue::Public(logits) = &made.receipt.outputs[0].value else {
        panic!("the plain package's output is public");
    };
    let values = logits.data().to_vec();
    let (right, wrong) = (
        opening(json!(values)),
        opening(json!([values[0], values[1] + 1])),
    );
    cases.push(made.case(
        "asked: the output's values",
        good(),
        json!({ "openings": right }),
    ));
    cases.extend([
        ask(
            "another nonce",
            json!({ "nonce": format!("0x{}", "11".repeat(32)) }),
            "rejected",
            "context-mismatch",
        ),
        ask(
            "another key",
            json!({ "service_key": stranger }),
            "rejected",
            "signer-mismatch",
        ),
        ask(
            "other values",
            json!({ "openings": wrong }),
            "rejected",
            "opening-mismatch",
        ),
        ask(
            "what nobody knows",
            json!({ "model": "x" }),
            "request",
            "parameter-invalid",
        ),
        ask(
            "a nonce that is none",
            json!({ "nonce": "0x11" }),
            "request",
            "parameter-invalid",
        ),
        ask("no object", json!([]), "request", "parameter-invalid"),
        ask(
            "no file of openings",
            json!({ "openings": { "format": "x", "openings": [] } }),
            "request",
            "openings-malformed",
        ),
    ]);
}

fn hidden(made: &Made, cases: &mut Vec<Case>) {
    let receipt = made.signed(|_| {});
    let openings = made.openings.clone().unwrap();
    cases.push(
        made.case("opened", receipt.clone(), json!({ "openings": openings }))
            .checks(&["openings"]),
    );
    let changed = |change: &dyn Fn(&mut Value)| {
        let mut changed = openings.clone();
        change(&mut changed);
        changed
    };
    let other_value = changed(&|o| {
        let value = &mut o["openings"][0]["values"][0];
        *value = json!(value.as_i64().unwrap() ^ 1);
    });
    let no_salt = changed(&|o| o["openings"][0]["salt"] = Value::Null);
    let other_salt = changed(&|o| o["openings"][0]["salt"] = json!(format!("0x{:064}", 1)));
    for (name, openings) in [
        ("another value", &other_value),
        ("no salt", &no_salt),
        ("another salt", &other_salt),
    ] {
        let demands = json!({ "openings": openings });
        cases.push(
            made.case(&format!("opened: {name}"), receipt.clone(), demands)
                .rejected("opening-mismatch"),
        );
    }
    let alone = |name: &str, openings: Value| {
        let receipt = receipt.clone();
        case(
            &format!("openings alone: {name}"),
            Question::Openings { receipt, openings },
        )
    };
    cases.push(alone("right", openings.clone()).verdict("opened"));
    cases.push(alone("another value", other_value).rejected("opening-mismatch"));
    cases.push(alone("no file", json!({})).refused("request", "openings-malformed"));
}

fn on_chain(made: &Made, cases: &mut Vec<Case>) {
    let consumer = format!("0x{}", "ab".repeat(20));
    let deadline = DEADLINE.to_string();
    let contract = [
        "--chain-id",
        "31337",
        "--consumer",
        &consumer,
        "--deadline",
        &deadline,
    ];
    let (receipt, _) = prove(&made.folder, &contract);
    let context = serde_json::to_value(receipt.context).unwrap();
    let mut elsewhere = context.clone();
    elsewhere["consumer"] = json!(format!("0x{}", "cd".repeat(20)));
    let receipt = sign(receipt, &service());
    let ask = |name: &str, demands: Value| {
        made.case(&format!("for a contract: {name}"), receipt.clone(), demands)
    };
    cases.extend([
        ask("in time", json!({ "context": context, "now": DEADLINE }))
            .checks(&["freshness", "deadline"]),
        ask("no time", json!({ "context": context })),
        ask("too late", json!({ "now": DEADLINE + 1 })).rejected("context-expired"),
        ask("of another contract", json!({ "context": elsewhere })).rejected("context-mismatch"),
    ]);
}

fn attested(made: &Made, cases: &mut Vec<Case>) {
    let auditor = SigningKey::from_bytes(&[11; 32]);
    let attestation = |package: Digest| {
        let check = |id: &str| CheckResult {
            id: id.to_owned(),
            status: CheckStatus::Pass,
        };
        let attestation = Attestation {
            subjects: Subjects {
                package,
                ..Subjects::of(package, &made.public.manifest).unwrap()
            },
            report: Digest::of(b"a report"),
            software: Software {
                name: "proofmark".to_owned(),
                version: "0.1.0".to_owned(),
            },
            setup_kind: SetupKind::SingleParty,
            checks: SUBJECT_CHECKS.into_iter().map(check).collect(),
            receipts: ReceiptCount {
                given: 0,
                accepted: 0,
            },
            samples: SampleCount {
                eligible: 0,
                computed: 0,
            },
            statement: "We looked.".to_owned(),
            audited_at: 1_790_000_000,
            auditor: auditor.verifying_key().to_bytes(),
        };
        let signed = SignedAttestation::sign(attestation, &auditor).unwrap();
        String::from_utf8(signed.to_bytes().unwrap()).unwrap()
    };
    let right = attestation(made.public.digest);
    let keys = [public(&auditor)];
    let stranger = [public(&SigningKey::from_bytes(&[12; 32]))];
    let ask = |name: &str, demands: Value| {
        let name = format!("attested: {name}");
        made.case(&name, made.signed(|_| {}), demands)
    };
    let other = attestation(Digest::of(b"another"));
    cases.extend([
        ask(
            "right",
            json!({ "attestations": [right], "auditor_keys": keys }),
        )
        .checks(&["attestations"]),
        ask("nothing", json!({ "auditor_keys": keys })).rejected("attestation-missing"),
        ask(
            "by a stranger",
            json!({ "attestations": [right], "auditor_keys": stranger }),
        )
        .rejected("attestation-auditor-mismatch"),
        ask(
            "of another package",
            json!({ "attestations": [other], "auditor_keys": keys }),
        )
        .rejected("attestation-mismatch"),
        ask(
            "with a line feed more",
            json!({ "attestations": [format!("{right}\n")], "auditor_keys": keys }),
        )
        .rejected("attestation-not-canonical"),
    ]);
}

fn proofs(made: &Made, other: &Made, cases: &mut Vec<Case>) {
    let inputs = |made: &Made| -> Vec<String> {
        let layout = made.public.manifest.layout().unwrap();
        let inputs = made.receipt.public_inputs(&layout).unwrap();
        inputs.iter().map(fr_to_hex).collect()
    };
    let (right, digest) = (inputs(made), Digest::of(&made.public.key_bytes));
    let ask = |name: &str, proof: &[u8], inputs: &[String], digest: Digest| {
        let question = json!({
            "verifying_key_digest": digest,
            "proof": hex(proof),
            "public_inputs": inputs,
        });
        let package = made.name.to_owned();
        case(
            &format!("{}: proof alone: {name}", made.name),
            Question::Proof { package, question },
        )
    };
    let proof = made.receipt.proof.to_vec();
    let mut other_inputs = right.clone();
    other_inputs[0] = other_inputs[0].replace(['1', '2'], "3");
    // The field's order, which would be 0.
    let mut order = right.clone();
    order[0] = "0x30644e72e131a029b85045b68181585d2833e84879b9709143e1f593f0000001".to_owned();
    let mut off = proof.clone();
    off[63] ^= 1;
    let mut swapped = proof.clone();
    swapped.copy_within(..64, 192);
    cases.extend([
        ask("right", &proof, &right, digest).verdict("proven"),
        ask("another input", &proof, &other_inputs, digest).rejected("proof-invalid"),
        ask("an input too few", &proof, &right[1..], digest).rejected("key-public-inputs-mismatch"),
        ask("an input of the field's order", &proof, &order, digest)
            .rejected("public-input-not-canonical"),
        ask("a point off the curve", &off, &right, digest).rejected("proof-malformed"),
        ask("another point of the curve", &swapped, &right, digest).rejected("proof-invalid"),
        ask("cut", &proof[..255], &right, digest).rejected("proof-malformed"),
        ask("another key", &proof, &right, Digest::of(b"x")).rejected("verifying-key-mismatch"),
        ask(
            "of the other proof system",
            &other.receipt.proof,
            &right,
            digest,
        )
        .rejected("proof-system-mismatch"),
    ]);
}

fn inference(plain: &Made, lookup: &Made, cases: &mut Vec<Case>) {
    let request = fs::read(model().join("request.json")).unwrap();
    let request: Value = serde_json::from_slice(&request).unwrap();
    let ask = |made: &Made, name: &str, request: &Value, answer: String, demands: Value| {
        let question = Question::Inference {
            package: made.name.to_owned(),
            request: request.clone(),
            answer,
            demands,
        };
        case(&format!("{}: inference: {name}", made.name), question)
    };
    let demands = || json!({ "nonce": NONCE });
    // As the service writes it: the receipt is a member, byte for byte.
    let answer = |made: &Made, outputs: &Value, openings: &Value| {
        let receipt = made.signed(|_| {});
        format!(r#"{{"outputs":{outputs},"openings":{openings},"receipt":{receipt}}}"#)
    };
    let none = json!([]);
    let public = answer(plain, &none, &none);
    let mut other = request.clone();
    other["inputs"][0]["data"][3] = json!(1e6);
    let mut twice = request.clone();
    let input = twice["inputs"][0].clone();
    twice["inputs"].as_array_mut().unwrap().push(input);
    let mut infinite = request.clone();
    infinite["inputs"][0]["data"][0] = json!(1e39);
    cases.extend([
        ask(plain, "right", &request, public.clone(), demands()).checks(&["freshness"]),
        ask(plain, "of another input", &other, public.clone(), demands())
            .rejected("opening-mismatch"),
        ask(
            plain,
            "without a nonce",
            &request,
            public.clone(),
            json!({}),
        )
        .refused("request", "parameter-invalid"),
        ask(
            plain,
            "of an earlier request",
            &request,
            public.clone(),
            json!({ "nonce": format!("0x{}", "22".repeat(32)) }),
        )
        .rejected("context-mismatch"),
        ask(plain, "an input twice", &twice, public.clone(), demands())
            .refused("request", "input-duplicate"),
        ask(plain, "an input without end", &infinite, public, demands())
            .refused("request", "input-not-finite"),
        ask(plain, "no receipt", &request, "{}".to_owned(), demands()).rejected("answer-malformed"),
    ]);
    let opened = lookup.openings.clone().unwrap();
    let values = |tensor: &str| {
        let list = opened["openings"].as_array().unwrap();
        let found = list.iter().find(|o| o["tensor"] == tensor).unwrap();
        (found["values"].clone(), found["salt"].clone())
    };
    let (logits, _) = values("logits");
    let (_, salt) = values("features");
    let outputs = json!([{ "name": "logits", "data": logits }]);
    let salts = json!([{ "tensor": "features", "salt": salt }]);
    let mut wrong = outputs.clone();
    wrong[0]["data"][0] = json!(wrong[0]["data"][0].as_i64().unwrap() + 1);
    let both = json!([salts[0], salts[0]]);
    cases.extend([
        ask(
            lookup,
            "right",
            &request,
            answer(lookup, &outputs, &salts),
            demands(),
        )
        .checks(&["openings", "freshness"]),
        ask(
            lookup,
            "another output told",
            &request,
            answer(lookup, &wrong, &salts),
            demands(),
        )
        .rejected("opening-mismatch"),
        ask(
            lookup,
            "an output not told",
            &request,
            answer(lookup, &none, &salts),
            demands(),
        )
        .rejected("answer-malformed"),
        ask(
            lookup,
            "a salt twice",
            &request,
            answer(lookup, &outputs, &both),
            demands(),
        )
        .rejected("opening-mismatch"),
        ask(
            lookup,
            "of another input",
            &other,
            answer(lookup, &outputs, &salts),
            demands(),
        )
        .rejected("opening-mismatch"),
    ]);
}

/// The files of a log as it is.
fn files(log: &Log) -> BTreeMap<String, String> {
    fn walk(root: &Path, folder: &Path, into: &mut BTreeMap<String, String>) {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                walk(root, &path, into);
            } else {
                let name = text(path.strip_prefix(root).unwrap()).to_owned();
                into.insert(name, base64(&fs::read(&path).unwrap()));
            }
        }
    }
    let mut files = BTreeMap::new();
    walk(log.public_folder(), log.public_folder(), &mut files);
    files
}

fn logged(made: &Made, table: &mut Table) {
    let folder = tempfile::tempdir().unwrap();
    let options = Options {
        origin: Some("example.com/log".to_owned()),
        ..Options::default()
    };
    let log = Log::open(&folder.path().join("log"), &options).unwrap();
    let witness = Witness::open(
        &folder.path().join("witness"),
        "example.com/witness",
        vec![log.verifier_key().clone()],
    )
    .unwrap();
    let entry = |receipt: &str| {
        let envelope = Envelope::parse(receipt.as_bytes()).unwrap();
        Entry::Receipt(ReceiptEntry::of(&envelope).unwrap())
    };
    let utf8 = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    let receipt = made.signed(|_| {});
    let golden = fs::read_to_string(golden()).unwrap();
    log.append(&entry(&golden)).unwrap();
    table.logs.insert("before".to_owned(), files(&log));
    let older = log.checkpoint();
    let alone = utf8(log.append(&entry(&receipt)).unwrap().proof);
    let request = log.witness_request(0).unwrap();
    let line = witness
        .add_checkpoint(&request.body, 1_790_000_000)
        .unwrap();
    let witnesses = [witness.verifier_key().clone()];
    log.add_cosignatures(&request, line.as_bytes(), &witnesses)
        .unwrap();
    let witnessed = utf8(log.prove(1, Head::Cosigned).unwrap().proof);
    table.logs.insert("logged".to_owned(), files(&log));
    let newer = log.checkpoint();

    let key = log.verifier_key().to_string();
    let witness = witnesses[0].to_string();
    let service_key = public(&service());
    let with = |log: Value| json!({ "service_key": service_key, "log": log });
    let ask =
        |name: &str, demands: Value| made.case(&format!("log: {name}"), receipt.clone(), demands);
    let cases = &mut table.cases;
    cases.extend([
        ask("proof", with(json!({ "key": key, "proof": alone }))).checks(&["log-inclusion"]),
        ask(
            "proof with a witness",
            with(json!({ "key": key, "witnesses": [witness], "proof": witnessed })),
        )
        .checks(&["log-inclusion", "witnesses"]),
        ask("copy", with(json!({ "key": key })))
            .with_copy("logged")
            .checks(&["log-inclusion", "revocations", "signer"]),
        ask(
            "proof and copy",
            with(json!({ "key": key, "proof": alone })),
        )
        .with_copy("logged")
        .checks(&["revocations"]),
        ask(
            "proof and older copy",
            with(json!({ "key": key, "proof": alone, "copy_may_be_older": true })),
        )
        .with_copy("before")
        .checks(&["revocations"]),
        ask("older copy", with(json!({ "key": key, "proof": alone })))
            .with_copy("before")
            .rejected("receipt-not-logged"),
        ask(
            "too few witnesses",
            with(json!({ "key": key, "witnesses": [witness], "proof": alone })),
        )
        .rejected("tlog-witnesses-missing"),
        ask(
            "a quorum that cannot be",
            with(json!({ "key": key, "witnesses": [witness], "quorum": 2, "proof": alone })),
        )
        .refused("request", "witness-quorum-invalid"),
        ask(
            "a witness's key in the log's place",
            with(json!({ "key": witness, "proof": alone })),
        )
        .refused("request", "log-key-invalid"),
        ask("nothing to check", with(json!({ "key": key })))
            .refused("request", "log-evidence-missing"),
        ask(
            "proof of another entry",
            with(json!({ "key": key, "proof": alone.replacen("index 1", "index 0", 1) })),
        )
        .rejected("tlog-inclusion-invalid"),
        ask(
            "proof with a blank more",
            with(json!({ "key": key, "proof": format!("{alone} ") })),
        )
        .rejected("tlog-malformed"),
    ]);
    let question = |proof: &str| json!({ "key": key, "proof": proof });
    let log_proof = |name: &str, receipt: &str, proof: &str| {
        let question = Question::LogProof {
            receipt: receipt.to_owned(),
            question: question(proof),
        };
        case(&format!("log proof: {name}"), question)
    };
    cases.push(log_proof("right", &receipt, &alone).verdict("logged"));
    cases.push(log_proof("of another receipt", &golden, &alone).rejected("tlog-inclusion-invalid"));

    let head = newer.checkpoint();
    let tiles = Folder::new(log.public_folder());
    let tree = VerifiedTree::open(tiles, head.size(), *head.root()).unwrap();
    let proof: Vec<String> = prove_consistency(older.checkpoint().size(), head.size(), &tree)
        .unwrap()
        .iter()
        .map(ToString::to_string)
        .collect();
    let heads = |name: &str, older: &str, newer: &str, proof: &[String]| {
        let question = json!({
            "log": { "key": key }, "older": older, "newer": newer, "proof": proof,
        });
        case(
            &format!("checkpoints: {name}"),
            Question::Checkpoints { question },
        )
    };
    let (old, new) = (older.to_string(), newer.to_string());
    cases.extend([
        heads("right", &old, &new, &proof).verdict("consistent"),
        heads("the same", &new, &new, &[]).verdict("consistent"),
        heads("no proof", &old, &new, &[]).rejected("tlog-inconsistent"),
        heads("turned round", &new, &old, &proof).rejected("tlog-out-of-range"),
        heads(
            "a changed head",
            &old,
            &new.replacen("\n2\n", "\n3\n", 1),
            &proof,
        )
        .rejected("tlog-signature-invalid"),
        case(
            "history: continued",
            Question::History {
                question: json!({ "log": { "key": key }, "older": old }),
            },
        )
        .with_copy("logged")
        .verdict("consistent"),
        case(
            "history: the copy is the older",
            Question::History {
                question: json!({ "log": { "key": key }, "older": new }),
            },
        )
        .with_copy("before")
        .rejected("tlog-out-of-range"),
    ]);

    // At last the package is revoked.
    let notice = Notice {
        log: log.origin().to_owned(),
        issued_at: 1_790_000_000,
        statement: Statement::Revocation {
            subject: Subject::Package(made.public.digest),
            from: 0,
            reason: "found unsound".to_owned(),
        },
    };
    let signed = SignedNotice::sign(notice, &service()).unwrap();
    let known = service().verifying_key().to_bytes();
    log.append_notice(signed, &known).unwrap();
    table.logs.insert("revoked".to_owned(), files(&log));
    let ask = |name: &str, demands: Value| {
        let name = format!("log: {name}");
        made.case(&name, receipt.clone(), demands)
            .with_copy("revoked")
    };
    table.cases.extend([
        ask(
            "revoked",
            json!({ "service_key": service_key, "log": { "key": key } }),
        )
        .rejected("log-revoked"),
        ask(
            "another service's key",
            json!({
                "service_key": public(&SigningKey::from_bytes(&[8; 32])),
                "log": { "key": key },
            }),
        )
        .rejected("log-notice-signature"),
    ]);
}

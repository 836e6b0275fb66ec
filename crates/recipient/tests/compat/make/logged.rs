//! Receipts in a log, and two looks at it.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use ed25519_dalek::SigningKey;
use proofmark_log::{
    Entry, Folder, Head, Log, Notice, Options, ReceiptEntry, SignedNotice, Statement, Subject,
    Witness,
};
use proofmark_tlog::VerifiedTree;
use proofmark_tlog::tree::prove_consistency;
use proofmark_types::Envelope;
use serde_json::{Value, json};

use super::{Made, case, golden, public, service, text};
use crate::table::{Question, Table, base64};

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

pub(super) fn logged(made: &Made, table: &mut Table) {
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

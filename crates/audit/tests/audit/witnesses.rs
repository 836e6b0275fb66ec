//! An operator whose log nobody else vouches for, or whose witnesses are not those that the auditor
//! named.

use std::fs;

use ed25519_dalek::SigningKey;
use proofmark_audit::{LogEvidence, Outcome, Report, Status, VerifierKey};
use proofmark_engine::BackendChoice;
use proofmark_log::tlog::cosignature::cosign;
use proofmark_log::tlog::{KeyKind, TlogProof};
use proofmark_log::{COSIGNED_PATH, Head, Log};

use crate::fixture::{Case, NOW, blames, fails, finding};
use crate::log::{copy, entry, evidence, logged, open, receipt, statuses};

const TIME: u64 = NOW - 500;

fn name(seed: u8) -> String {
    format!("witness.example/{seed}")
}

fn key(seed: u8) -> SigningKey {
    SigningKey::from_bytes(&[seed; 32])
}

fn vkey(seed: u8) -> VerifierKey {
    let public = key(seed).verifying_key().to_bytes();
    VerifierKey::new(&name(seed), KeyKind::Cosigner, &public).unwrap()
}

/// Has a witness cosign the log as it is now.
fn cosigned(log: &Log, seed: u8) {
    signed_as(log, seed, &key(seed), &[vkey(seed)]);
}

/// A line in a witness's name, by whatever key.
fn signed_as(log: &Log, seed: u8, key: &SigningKey, known: &[VerifierKey]) {
    let request = log.witness_request(0).unwrap();
    let text = request.checkpoint.note().text();
    let line = cosign(text, &name(seed), key, TIME).unwrap();
    log.add_cosignatures(&request, format!("{line}\n").as_bytes(), known)
        .unwrap();
}

/// Demands these witnesses of the log as it lies there.
fn demanding(case: &Case, log: &Log, witnesses: &[u8], quorum: usize) -> LogEvidence {
    let mut given = evidence(log.verifier_key(), &case.path("log"));
    let keys = witnesses.iter().map(|seed| vkey(*seed)).collect();
    given.policy = given.policy.with_witnesses(keys, quorum);
    given
}

fn evidence_of<'r>(report: &'r Report, label: &str) -> &'r str {
    let found = &finding(report, "log-witnesses").evidence;
    let found = found.iter().find(|fact| fact.label == label);
    &found.unwrap_or_else(|| panic!("no {label}")).value
}

#[test]
fn what_enough_witnesses_cosigned_passes_whole() {
    let mut case = Case::new(BackendChoice::Plain).with_data();
    let log = open(&case.path("log"));
    (0..3).for_each(|number| logged(&case, &log, number));
    cosigned(&log, 61);
    cosigned(&log, 62);
    // Two of two, two of three, one of one.
    for (witnesses, quorum) in [(&[61, 62][..], 2), (&[61, 62, 63], 2), (&[61], 1)] {
        case.request.log = Some(demanding(&case, &log, witnesses, quorum));
        let report = case.audit();
        fails(&report, []);
        assert_eq!(report.outcome, Outcome::Passed);
        assert!(
            statuses(&report)
                .iter()
                .all(|(_, status)| *status == Status::Pass)
        );
        let text = evidence_of(&report, "witness witness.example/61");
        assert!(
            text.starts_with("cosigned 3 entries at 2026-09-21T"),
            "{text}"
        );
        assert_eq!(evidence_of(&report, "of them demanded"), quorum.to_string());
    }
    let silent = demanding(&case, &log, &[61, 62, 63], 2);
    case.request.log = Some(silent);
    let text = case.audit();
    let text = evidence_of(&text, "witness witness.example/63").to_owned();
    assert_eq!(text, "cosigned nothing that you have");
}

#[test]
fn too_few_witnesses_and_witnesses_of_somebody_else() {
    let mut case = Case::new(BackendChoice::Plain);
    let log = open(&case.path("log"));
    (0..2).for_each(|number| logged(&case, &log, number));
    let missing = |case: &Case, got: usize, needed: usize| {
        let report = case.audit();
        let [witnesses] = fails(&report, ["log-witnesses"]);
        assert!(witnesses.meaning.contains("the operator's word alone"));
        assert!(witnesses.meaning.contains("may have been made for you"));
        let culprit = &witnesses.culprits[0];
        assert_eq!(culprit.code, "tlog-witnesses-missing");
        let reason = format!("{got} of the pinned witnesses cosigned");
        assert!(culprit.reason.starts_with(&reason), "{}", culprit.reason);
        assert!(culprit.reason.contains(&format!("demands {needed}")));
    };
    // Nobody.
    case.request.log = Some(demanding(&case, &log, &[61], 1));
    missing(&case, 0, 1);
    // One of two, and others that the auditor does not know.
    cosigned(&log, 61);
    cosigned(&log, 71);
    cosigned(&log, 72);
    case.request.log = Some(demanding(&case, &log, &[61, 62], 2));
    missing(&case, 1, 2);
    // The name that the auditor named, with a key of the operator's own.
    let public = key(99).verifying_key().to_bytes();
    let own = VerifierKey::new(&name(62), KeyKind::Cosigner, &public).unwrap();
    signed_as(&log, 62, &key(99), &[own]);
    missing(&case, 1, 2);
    // One witness under two names is one.
    let mut twice = demanding(&case, &log, &[61], 1);
    let public = key(61).verifying_key().to_bytes();
    let other = VerifierKey::new("witness.example/other", KeyKind::Cosigner, &public).unwrap();
    twice.policy = twice.policy.with_witnesses(vec![vkey(61), other], 2);
    case.request.log = Some(twice);
    missing(&case, 1, 2);
    // One of two is enough for who says so.
    case.request.log = Some(demanding(&case, &log, &[61, 62], 1));
    fails(&case.audit(), []);
}

#[test]
fn a_cosignature_that_was_made_up() {
    let mut case = Case::new(BackendChoice::Plain);
    let log = open(&case.path("log"));
    logged(&case, &log, 0);
    cosigned(&log, 61);
    let mirror = case.path("mirror");
    copy(log.public_folder(), &mirror);
    // The line of the witness under the same tree, dated otherwise than it was signed.
    for file in ["checkpoint", COSIGNED_PATH] {
        let text = fs::read_to_string(mirror.join(file)).unwrap();
        let line = text.lines().find(|line| line.contains(&name(61))).unwrap();
        let at = line.len() - 20;
        let other = if &line[at..=at] == "A" { "B" } else { "A" };
        let mut changed = line.to_owned();
        changed.replace_range(at..=at, other);
        fs::write(mirror.join(file), text.replace(line, &changed)).unwrap();
    }
    let mut given = demanding(&case, &log, &[61], 1);
    given.folders = vec![mirror];
    case.request.log = Some(given);
    let report = case.audit();
    let [witnesses] = fails(&report, ["log-witnesses"]);
    assert!(witnesses.meaning.contains("somebody made it up"));
    blames(witnesses, &["checkpoint.cosigned", "mirror"]);
    assert!(
        witnesses
            .culprits
            .iter()
            .all(|culprit| culprit.code == "tlog-signature-invalid")
    );
}

#[test]
fn receipts_behind_what_was_cosigned() {
    let mut case = Case::new(BackendChoice::Plain);
    let log = open(&case.path("log"));
    logged(&case, &log, 0);
    cosigned(&log, 61);
    logged(&case, &log, 1);
    case.request.log = Some(demanding(&case, &log, &[61], 1));
    let report = case.audit();
    let [witnesses] = fails(&report, ["log-witnesses"]);
    blames(witnesses, &["1.json"]);
    assert!(
        witnesses
            .meaning
            .contains("behind what enough of your witnesses")
    );
    assert_eq!(
        witnesses.culprits[0].reason,
        "it is entry 1, cosigned are 1 entries"
    );
    // Two witnesses who cosigned two trees make no tree that both cosigned.
    cosigned(&log, 62);
    case.request.log = Some(demanding(&case, &log, &[61, 62], 2));
    let report = case.audit();
    let [witnesses] = fails(&report, ["log-witnesses"]);
    assert_eq!(witnesses.culprits[0].code, "tlog-witnesses-missing");
    cosigned(&log, 61);
    fails(&case.audit(), []);
}

#[test]
fn cosignatures_of_copies_and_of_portable_proofs_count() {
    let mut case = Case::new(BackendChoice::Plain);
    let log = open(&case.path("log"));
    let first = receipt(&case, 0);
    log.append(&entry(&first)).unwrap();
    case.give_receipt("0.json", &first);
    // Each witness's cosignature came in another copy of the checkpoint.
    let (one, two) = (case.path("one"), case.path("two"));
    let bare = log.checkpoint().to_string();
    for (seed, path) in [(61, &one), (62, &two)] {
        let request = log.witness_request(0).unwrap();
        let line = cosign(
            request.checkpoint.note().text(),
            &name(seed),
            &key(seed),
            TIME,
        );
        fs::write(path, format!("{bare}{}\n", line.unwrap())).unwrap();
    }
    let mut given = demanding(&case, &log, &[61, 62], 2);
    given.checkpoints = vec![one, two.clone()];
    case.request.log = Some(given.clone());
    fails(&case.audit(), []);
    given.checkpoints = vec![two];
    case.request.log = Some(given);
    fails(&case.audit(), ["log-witnesses"]);

    // Without a copy of the log: the receipt's own proof is under a cosigned checkpoint.
    let proof = log.prove(0, Head::Latest).unwrap().proof;
    case.give("0.tlog-proof", &proof);
    let mut given = demanding(&case, &log, &[61, 62], 2);
    given.folders.clear();
    given.proofs = case.request.receipts.clone();
    case.request.log = Some(given);
    let report = case.audit();
    fails(&report, ["log-witnesses"]);
    cosigned(&log, 61);
    cosigned(&log, 62);
    let proof = log.prove(0, Head::Cosigned).unwrap().proof;
    assert!(
        TlogProof::parse(&proof)
            .unwrap()
            .to_string()
            .contains("witness.example/62")
    );
    case.give("0.tlog-proof", &proof);
    let report = case.audit();
    fails(&report, []);
    assert_eq!(finding(&report, "log-witnesses").status, Status::Pass);
}

#[test]
fn of_a_log_that_contradicts_itself_witnesses_prove_nothing() {
    let mut case = Case::new(BackendChoice::Plain);
    let folder = case.path("log");
    drop(open(&folder));
    let other = case.path("other");
    copy(&folder, &other);
    let (log, shown) = (open(&folder), open(&other));
    logged(&case, &log, 0);
    shown.append(&entry(&receipt(&case, 7))).unwrap();
    cosigned(&shown, 61);
    let mut given = demanding(&case, &log, &[61], 1);
    given.folders.push(other);
    case.request.log = Some(given);
    let report = case.audit();
    fails(&report, ["log-consistency"]);
    assert_eq!(finding(&report, "log-witnesses").status, Status::NotChecked);
}

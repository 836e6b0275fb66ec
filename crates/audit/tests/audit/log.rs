//! An operator whose log does not hold what it handed out, or says what its receipts deny.

use std::fs;
use std::path::Path;

use ed25519_dalek::SigningKey;
use proofmark_audit::{LogEvidence, Policy, Status, VerifierKey};
use proofmark_engine::BackendChoice;
use proofmark_log::{Entry, Log, Notice, Options, ReceiptEntry, SignedNotice, Statement, Subject};
use proofmark_types::{Context, Digest, Envelope, Receipt};

use crate::fixture::{Case, NOW, blames, fails, finding, nonce, service_key};

pub(crate) fn open(folder: &Path) -> Log {
    let options = Options {
        origin: Some("example.com/log".to_owned()),
        ..Options::default()
    };
    Log::open(folder, &options).unwrap()
}

pub(crate) fn evidence(key: &VerifierKey, folder: &Path) -> LogEvidence {
    LogEvidence {
        policy: Policy::new(key.clone()),
        folders: vec![folder.to_owned()],
        proofs: Vec::new(),
        checkpoints: Vec::new(),
    }
}

pub(crate) fn entry(envelope: &Envelope) -> Entry {
    Entry::Receipt(ReceiptEntry::of(envelope).unwrap())
}

pub(crate) fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for item in fs::read_dir(from).unwrap() {
        let item = item.unwrap();
        let target = to.join(item.file_name());
        if item.file_type().unwrap().is_dir() {
            copy(&item.path(), &target);
        } else {
            fs::copy(item.path(), target).unwrap();
        }
    }
}

/// An honest receipt, later by its number.
pub(crate) fn receipt(case: &Case, number: u64) -> Envelope {
    signed(case, number, NOW - 10_000 + number, &service_key())
}

fn signed(case: &Case, number: u64, proved_at: u64, key: &SigningKey) -> Envelope {
    let sample = usize::try_from(number).unwrap();
    let context = Context::off_chain(nonce(number));
    let envelope = case.receipt_with(sample, context, proved_at, |_| {});
    let mut receipt: Receipt = envelope.receipt().clone();
    receipt.signer = key.verifying_key().to_bytes();
    Envelope::sign(receipt, key).unwrap()
}

pub(crate) fn logged(case: &Case, log: &Log, number: u64) {
    let envelope = receipt(case, number);
    log.append(&entry(&envelope)).unwrap();
    case.give_receipt(&format!("{number}.json"), &envelope);
}

pub(crate) fn statuses(report: &proofmark_audit::Report) -> Vec<(&'static str, Status)> {
    let findings = report.findings.iter();
    findings
        .filter(|finding| finding.id.id().starts_with("log-"))
        .map(|finding| (finding.id.id(), finding.status))
        .collect()
}

fn notice(log: &Log, statement: Statement, key: &SigningKey) {
    let notice = Notice {
        log: log.origin().to_owned(),
        issued_at: NOW - 10_000,
        statement,
    };
    add(log, notice, key);
}

fn add(log: &Log, notice: Notice, key: &SigningKey) {
    let signed = SignedNotice::sign(notice, key).unwrap();
    let service = service_key().verifying_key().to_bytes();
    log.append_notice(signed, &service).unwrap();
}

fn revoke(log: &Log, subject: Subject) {
    let statement = Statement::Revocation {
        subject,
        from: log.size(),
        reason: "a constraint was missing".to_owned(),
    };
    notice(log, statement, &service_key());
}

#[test]
fn with_a_log_every_question_but_that_about_witnesses_is_answered() {
    let mut case = Case::new(BackendChoice::Plain).with_data();
    let log = open(&case.path("log"));
    (0..3).for_each(|number| logged(&case, &log, number));
    let seen = case.path("seen");
    fs::write(&seen, log.checkpoint().to_string()).unwrap();
    (3..6).for_each(|number| logged(&case, &log, number));
    let mirror = case.path("mirror");
    copy(log.public_folder(), &mirror);
    let mut given = evidence(log.verifier_key(), &case.path("log"));
    given.folders.push(mirror);
    given.checkpoints.push(seen);
    case.request.log = Some(given);
    let report = case.audit();
    fails(&report, []);
    assert!(
        statuses(&report)
            .iter()
            .all(|(id, status)| (*id == "log-witnesses") == (*status == Status::NotChecked))
    );
    let open = finding(&report, "log-witnesses");
    assert!(open.meaning.contains("one history to you and another one"));
    assert!(open.remedy.as_ref().unwrap().contains("--witness-key"));
}

#[test]
fn an_answer_that_is_not_in_the_log_and_answers_that_were_not_shown() {
    let mut case = Case::new(BackendChoice::Plain);
    let log = open(&case.path("log"));
    (0..4).for_each(|number| logged(&case, &log, number));
    case.give_receipt("outside.json", &receipt(&case, 4));
    case.request.log = Some(evidence(log.verifier_key(), &case.path("log")));
    let report = case.audit();
    let [inclusion] = fails(&report, ["log-inclusion"]);
    blames(inclusion, &["outside.json"]);
    assert!(inclusion.meaning.contains("their entries were withheld"));
    assert_eq!(inclusion.culprits[0].code, "log-entry-missing");

    fs::remove_file(case.request.receipts[0].join("2.json")).unwrap();
    fs::remove_file(case.request.receipts[0].join("outside.json")).unwrap();
    let report = case.audit();
    fails(&report, []);
    let complete = finding(&report, "log-complete");
    assert_eq!(complete.status, Status::NotChecked);
    assert!(complete.meaning.contains("may be a choice"));
    assert!(
        complete
            .evidence
            .iter()
            .any(|e| e.label == "not given" && e.value == "1")
    );

    // An entry that states another time than its receipt.
    let envelope = receipt(&case, 5);
    let mut wrong = ReceiptEntry::of(&envelope).unwrap();
    wrong.proved_at += 1;
    log.append(&Entry::Receipt(wrong)).unwrap();
    case.give_receipt("5.json", &envelope);
    let report = case.audit();
    let [inclusion] = fails(&report, ["log-inclusion"]);
    assert_eq!(inclusion.culprits[0].code, "log-entry-mismatch");
}

#[test]
fn a_log_that_shows_two_histories_or_other_entries_than_it_signed() {
    let mut case = Case::new(BackendChoice::Plain);
    let folder = case.path("log");
    drop(open(&folder));
    let other = case.path("other");
    copy(&folder, &other);
    let (log, shown) = (open(&folder), open(&other));
    logged(&case, &log, 0);
    logged(&case, &log, 1);
    shown.append(&entry(&receipt(&case, 0))).unwrap();
    shown.append(&entry(&receipt(&case, 7))).unwrap();
    let mut given = evidence(log.verifier_key(), &folder);
    given.folders.push(other.clone());
    case.request.log = Some(given);
    let report = case.audit();
    let [consistency] = fails(&report, ["log-consistency"]);
    assert!(consistency.meaning.contains("two histories"));

    // A longer tree that does not contain a checkpoint that the auditor kept.
    let seen = case.path("seen");
    fs::write(&seen, shown.checkpoint().to_string()).unwrap();
    logged(&case, &log, 2);
    let mut given = evidence(log.verifier_key(), &folder);
    given.checkpoints.push(seen);
    case.request.log = Some(given);
    let report = case.audit();
    fails(&report, ["log-consistency"]);

    // Entries exchanged under the signed root.
    let mirror = case.path("mirror");
    copy(log.public_folder(), &mirror);
    let bundle = mirror.join("tile/entries/000.p/3");
    let mut bytes = fs::read(&bundle).unwrap();
    let at = bytes.windows(6).position(|w| w == b"sha256").unwrap() + 10;
    bytes[at] = if bytes[at] == b'0' { b'1' } else { b'0' };
    fs::write(&bundle, bytes).unwrap();
    case.request.log = Some(evidence(log.verifier_key(), &mirror));
    let report = case.audit();
    let [consistency] = fails(&report, ["log-consistency"]);
    assert_eq!(consistency.culprits[0].code, "tlog-tile-mismatch");
    assert_eq!(finding(&report, "log-inclusion").status, Status::NotChecked);
}

#[test]
fn a_checkpoint_that_the_log_did_not_sign() {
    let mut case = Case::new(BackendChoice::Plain);
    let log = open(&case.path("log"));
    logged(&case, &log, 0);
    let stranger = open(&case.path("stranger"));
    case.request.log = Some(evidence(stranger.verifier_key(), &case.path("log")));
    let report = case.audit();
    let [signature] = fails(&report, ["log-signature"]);
    assert!(signature.meaning.contains("not signed by the log's key"));
    assert_eq!(finding(&report, "log-inclusion").status, Status::NotChecked);
}

#[test]
fn a_revoked_key_still_used() {
    let mut case = Case::new(BackendChoice::Plain);
    let log = open(&case.path("log"));
    logged(&case, &log, 0);
    let sealed = case.manifest().sealed.unwrap();
    revoke(&log, Subject::VerifyingKey(sealed.verifying_key.digest));
    logged(&case, &log, 1);
    case.request.log = Some(evidence(log.verifier_key(), &case.path("log")));
    let report = case.audit();
    let [revoked] = fails(&report, ["log-revocations"]);
    blames(revoked, &["1.json"]);
    assert!(revoked.meaning.contains("declared unsound"));
    assert!(
        revoked.culprits[0]
            .reason
            .contains("a constraint was missing")
    );
}

#[test]
fn a_service_key_after_it_was_replaced() {
    let mut case = Case::new(BackendChoice::Plain);
    let log = open(&case.path("log"));
    logged(&case, &log, 0);
    let next = SigningKey::from_bytes(&[44; 32]);
    let rotation =
        Notice::rotation(log.origin(), NOW - 9_000, &service_key(), &next, "planned").unwrap();
    add(&log, rotation, &service_key());
    // By the new key, which the auditor has not pinned: the log leads to it.
    let new = signed(&case, 1, NOW - 5_000, &next);
    log.append(&entry(&new)).unwrap();
    case.give_receipt("new.json", &new);
    // By the old key, after its time.
    let old = receipt(&case, 9_000);
    log.append(&entry(&old)).unwrap();
    case.give_receipt("old.json", &old);
    case.request.log = Some(evidence(log.verifier_key(), &case.path("log")));
    let report = case.audit();
    let [revoked] = fails(&report, ["log-revocations"]);
    blames(revoked, &["old.json"]);
    assert!(revoked.meaning.contains("an old or a stolen key"));
    assert_eq!(finding(&report, "receipts-signer").status, Status::Pass);
}

#[test]
fn portable_proofs_stand_for_a_log_that_is_not_there() {
    let mut case = Case::new(BackendChoice::Plain);
    let log = open(&case.path("log"));
    for number in 0..3 {
        let envelope = receipt(&case, number);
        let inclusion = log.append(&entry(&envelope)).unwrap();
        case.give_receipt(&format!("{number}.json"), &envelope);
        let name = if number == 1 {
            "1.json"
        } else {
            &number.to_string()
        };
        case.give(&format!("{name}.tlog-proof"), &inclusion.proof);
    }
    case.request.log = Some(LogEvidence {
        folders: Vec::new(),
        proofs: case.request.receipts.clone(),
        ..evidence(log.verifier_key(), Path::new(""))
    });
    let report = case.audit();
    fails(&report, []);
    assert_eq!(
        statuses(&report),
        [
            ("log-signature", Status::Pass),
            ("log-consistency", Status::NotChecked),
            ("log-witnesses", Status::NotChecked),
            ("log-inclusion", Status::Pass),
            ("log-complete", Status::NotChecked),
            ("log-order", Status::Pass),
            ("log-revocations", Status::NotChecked),
        ]
    );
    // The proof of another receipt is none.
    let folder = &case.request.receipts[0];
    fs::copy(folder.join("2.tlog-proof"), folder.join("0.tlog-proof")).unwrap();
    let report = case.audit();
    let [inclusion] = fails(&report, ["log-inclusion"]);
    blames(inclusion, &["0.json"]);
    assert_eq!(inclusion.culprits[0].code, "tlog-inclusion-invalid");
}

#[test]
fn times_that_run_backwards_and_entries_that_nobody_can_read() {
    let mut case = Case::new(BackendChoice::Plain);
    let log = open(&case.path("log"));
    for (number, proved_at) in [(0, NOW - 5_000), (1, NOW - 5_500), (2, NOW - 9_000)] {
        let envelope = signed(&case, number, proved_at, &service_key());
        log.append(&entry(&envelope)).unwrap();
        case.give_receipt(&format!("{number}.json"), &envelope);
    }
    // Of another package: its times are no concern of this one.
    let foreign = ReceiptEntry {
        receipt: Digest::of(b"receipt"),
        package: Digest::of(b"package"),
        proved_at: 1,
    };
    log.append(&Entry::Receipt(foreign)).unwrap();
    case.request.log = Some(evidence(log.verifier_key(), &case.path("log")));
    let report = case.audit();
    let [order] = fails(&report, ["log-order"]);
    blames(order, &["2.json"]);
    assert!(order.meaning.contains("dated back"));
}

#[test]
fn a_receipt_older_than_a_notice_before_it_and_an_entry_from_the_future() {
    let mut case = Case::new(BackendChoice::Plain);
    let log = open(&case.path("log"));
    let statement = Statement::Revocation {
        subject: Subject::Package(Digest::of(b"another package")),
        from: 0,
        reason: "unsound".to_owned(),
    };
    notice(&log, statement, &service_key());
    let old = signed(&case, 1, NOW - 20_000, &service_key());
    log.append(&entry(&old)).unwrap();
    case.give_receipt("old.json", &old);
    let mut later = ReceiptEntry::of(&receipt(&case, 2)).unwrap();
    later.proved_at = NOW + 86_400;
    log.append(&Entry::Receipt(later)).unwrap();
    logged(&case, &log, 3);
    case.request.log = Some(evidence(log.verifier_key(), &case.path("log")));
    let report = case.audit();
    let [order] = fails(&report, ["log-order"]);
    blames(order, &["log entry 2", "old.json"]);
    assert!(order.meaning.contains("lies in the future"));
}

#[test]
fn a_log_that_was_cut_off_or_is_given_in_part() {
    let mut case = Case::new(BackendChoice::Plain);
    let log = open(&case.path("log"));
    logged(&case, &log, 0);
    logged(&case, &log, 1);
    let short = case.path("short");
    copy(log.public_folder(), &short);
    logged(&case, &log, 2);
    let seen = case.path("seen");
    fs::write(&seen, log.checkpoint().to_string()).unwrap();

    // Cut back to an older state, whole: whoever kept a checkpoint notices.
    let mut given = evidence(log.verifier_key(), &short);
    given.checkpoints.push(seen);
    case.request.log = Some(given);
    let report = case.audit();
    let [inclusion] = fails(&report, ["log-inclusion"]);
    blames(inclusion, &["2.json"]);
    let consistency = finding(&report, "log-consistency");
    assert_eq!(consistency.status, Status::NotChecked);
    assert!(
        consistency
            .meaning
            .contains("cut entries off that it had signed")
    );
    assert!(
        consistency
            .remedy
            .as_ref()
            .unwrap()
            .contains("proves to anyone")
    );

    // With the checkpoint and without the entries under it.
    let mirror = case.path("mirror");
    copy(log.public_folder(), &mirror);
    fs::remove_file(mirror.join("tile/entries/000.p/3")).unwrap();
    case.request.log = Some(evidence(log.verifier_key(), &mirror));
    let report = case.audit();
    fails(&report, []);
    assert!(
        statuses(&report)
            .iter()
            .all(|(id, status)| (*id == "log-signature") == (*status == Status::Pass)),
        "{:?}",
        statuses(&report)
    );
    let consistency = finding(&report, "log-consistency");
    assert!(consistency.meaning.contains("withholds what it signed"));

    // Beside a whole copy, what cannot be read is still no pass.
    let mut given = evidence(log.verifier_key(), &case.path("log"));
    given.folders.push(case.path("empty"));
    fs::create_dir(case.path("empty")).unwrap();
    case.request.log = Some(given.clone());
    let report = case.audit();
    fails(&report, []);
    let consistency = finding(&report, "log-consistency");
    assert_eq!(consistency.status, Status::NotChecked);
    blames(consistency, &["empty"]);

    // And what is not there is the auditor's mistake.
    given.folders.push(case.path("nowhere"));
    case.request.log = Some(given);
    let error = proofmark_audit::audit(&case.request, &proofmark_audit::NoProgress).unwrap_err();
    assert_eq!(error.code(), "file-unreadable");
}

#[test]
fn a_revoked_package_whose_receipts_are_not_shown() {
    let mut case = Case::new(BackendChoice::Plain);
    let log = open(&case.path("log"));
    logged(&case, &log, 0);
    let sealed = case.manifest().sealed.unwrap();
    revoke(&log, Subject::Circuit(sealed.circuit.digest));
    case.request.log = Some(evidence(log.verifier_key(), &case.path("log")));
    // What was logged before stands; that the package is revoked is said all the same.
    let report = case.audit();
    fails(&report, []);
    let revoked = finding(&report, "log-revocations");
    assert_eq!(revoked.status, Status::Pass);
    assert!(
        revoked
            .meaning
            .contains("Do not use the package for anything new")
    );

    // Of an audit of the package alone it is the answer.
    let receipts = std::mem::take(&mut case.request.receipts);
    let report = case.audit();
    let [alone] = fails(&report, ["log-revocations"]);
    assert_eq!(alone.culprits[0].source, "the package");
    case.request.receipts = receipts;

    // Used afterwards, and not shown: the log tells.
    log.append(&entry(&receipt(&case, 1))).unwrap();
    let report = case.audit();
    let [used] = fails(&report, ["log-revocations"]);
    blames(used, &["log entry 2"]);
    assert!(used.culprits[0].reason.contains("a constraint was missing"));
}

#[test]
fn of_several_trusted_keys_the_logs_own_service_is_found() {
    let mut case = Case::new(BackendChoice::Plain);
    let log = open(&case.path("log"));
    logged(&case, &log, 0);
    revoke(&log, Subject::Package(Digest::of(b"another package")));
    let stranger = SigningKey::from_bytes(&[5; 32]).verifying_key().to_bytes();
    case.request.signers.insert(0, stranger);
    case.request.log = Some(evidence(log.verifier_key(), &case.path("log")));
    let report = case.audit();
    fails(&report, []);
    assert_eq!(finding(&report, "log-revocations").status, Status::Pass);
}

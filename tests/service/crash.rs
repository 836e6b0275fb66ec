//! SIGKILL at random points under load: whatever was handed out is still there, verifies, and is in
//! a transparency log that only ever grew.

use std::collections::BTreeSet;
use std::process::Stdio;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::Duration;

use proofmark_log::{Entry, Folder, Reader, ReceiptEntry};
use proofmark_tests::Random;
use proofmark_tests::service::{Public, Reply, Service, Start, only};
use proofmark_tlog::Policy;
use proofmark_types::{Digest, Envelope};
use proofmark_verifier::{Expectations, Pins, TrustedPackage};

use crate::{RISK, stored, tlog_proof};

const INFER: &str = "/v2/models/risk-classifier/infer";

#[test]
fn a_receipt_that_was_handed_out_survives_a_crash() {
    let rounds = match std::env::var_os("PROOFMARK_DEEP") {
        Some(_) => 500,
        None => 30,
    };
    let packages = only(RISK);
    let model = Public::read(&packages.path().join(RISK));
    let trusted = TrustedPackage::open(
        &Pins::package(model.digest),
        &model.manifest_bytes,
        &model.key_bytes,
    )
    .unwrap();
    let data = tempfile::tempdir().unwrap();
    let settings = Start {
        packages: packages.path(),
        data: data.path(),
        more: &[],
    };
    let requests: Vec<String> = (0..8).map(|s| model.request(s).to_string()).collect();
    let next = AtomicU64::new(0);
    let mut random = Random::new(0xDEAD);
    let mut handed_out: Vec<(u64, Reply)> = Vec::new();
    for round in 0..rounds {
        // Recovering from the last crash is cut off as well.
        let mut cut_off = settings.command();
        let mut cut_off = cut_off
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        thread::sleep(Duration::from_micros(random.between(0, 250_000) as u64));
        cut_off.kill().unwrap();
        cut_off.wait().unwrap();
        let mut service = Service::start(settings);
        let answers = Mutex::new(Vec::new());
        thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    loop {
                        let number = next.fetch_add(1, Ordering::Relaxed);
                        let key = format!("request-{number}");
                        let headers = [("idempotency-key", key.as_str())];
                        let body = &requests[number as usize % requests.len()];
                        match service.try_post(INFER, &headers, body) {
                            Ok(reply) if reply.status == 200 => {
                                answers.lock().unwrap().push((number, reply));
                            }
                            Ok(reply) => panic!("{}", reply.text()),
                            // The service is gone.
                            Err(_) => break,
                        }
                    }
                });
            }
            // Some work is done before the end comes at any moment.
            while answers.lock().unwrap().is_empty() {
                thread::sleep(Duration::from_millis(1));
            }
            thread::sleep(Duration::from_micros(random.between(0, 250_000) as u64));
            service.kill();
        });
        assert_eq!(service.wait(), None, "ended by the signal");
        let answers = answers.into_inner().unwrap();
        assert!(!answers.is_empty(), "round {round}");
        handed_out.extend(answers);
    }

    let mut service = Service::start(settings);
    let log = Policy::new(service.log_key().parse().unwrap());
    let mut ids = BTreeSet::new();
    let mut logged = Vec::new();
    for (number, reply) in &handed_out {
        let id = reply.receipt_id();
        let receipt = service.receipt(&id);
        assert!(
            reply.body.windows(receipt.len()).any(|w| w == receipt),
            "the stored receipt is the one that was handed out"
        );
        let verdict = trusted.verify(&receipt, &Expectations::default()).unwrap();
        assert_eq!(verdict.receipt_id.to_string(), id);
        assert!(ids.insert(id));
        // The proof that came with it is of this very receipt.
        let proof = tlog_proof(reply);
        let envelope = Envelope::parse(&receipt).unwrap();
        let entry = Entry::Receipt(ReceiptEntry::of(&envelope).unwrap());
        let verified = proof.verify(&entry.to_bytes().unwrap(), &log).unwrap();
        logged.push((envelope, proof.index, verified.head));
        // And whoever repeats the request gets the same answer.
        let key = format!("request-{number}");
        let headers = [("idempotency-key", key.as_str())];
        let body = &requests[*number as usize % requests.len()];
        let again = service.try_post(INFER, &headers, body).unwrap();
        assert_eq!(again.header("idempotent-replayed"), Some("true"));
        assert_eq!(again.body, reply.body);
    }
    service.assert_healthy(&model);
    service.terminate();
    assert_eq!(service.wait(), Some(0), "{}", service.log());
    let folder = Folder::new(data.path().join("log/public"));
    let reader = Reader::open(folder, &log).unwrap();
    let service_key = logged[0].0.receipt().signer;
    let scan = reader.scan(&service_key).unwrap();
    assert!(scan.problems.is_empty(), "{:?}", scan.problems);
    for (envelope, index, head) in &logged {
        let digest = Digest::of(&envelope.to_bytes().unwrap());
        assert_eq!(scan.receipts[&digest].index, *index);
        assert_eq!(
            scan.notices
                .judge(envelope.receipt(), &digest, Some(*index)),
            []
        );
        // No checkpoint that was ever shown is of another history.
        reader.consistent_with(head.to_string().as_bytes()).unwrap();
    }
    println!(
        "killed {rounds} times under load and as often while it started; {} receipts handed out, \
         all of them stored, logged where their proofs say and verified again: lost 0, forks 0; \
         {} entries in the log",
        handed_out.len(),
        scan.size
    );
    // What was stored and not handed out any more is whole as well, and logged since.
    let receipts = stored(data.path(), RISK);
    assert!(receipts.len() > handed_out.len());
    for receipt in &receipts {
        trusted.verify(receipt, &Expectations::default()).unwrap();
        assert!(scan.receipts.contains_key(&Digest::of(receipt)));
    }
}

//! A full queue and deadlines that pass: a clear refusal, and nothing half done.

use std::io::Write as _;
use std::net::TcpStream;
use std::sync::Barrier;
use std::thread;

use proofmark_tests::service::Reply;
use proofmark_verifier::{Expectations, Pins, TrustedPackage};
use serde_json::json;

use crate::{Alone, DIGITS, alone, stored};

const INFER: &str = "/v2/models/digits-mlp/infer";

fn trusted(alone: &Alone) -> TrustedPackage {
    TrustedPackage::open(
        &Pins::package(alone.model.digest),
        &alone.model.manifest_bytes,
        &alone.model.key_bytes,
    )
    .unwrap()
}

/// Stops the service; every receipt in its database verifies, and there are this many.
fn all_whole(mut alone: Alone, expected: usize) {
    let trusted = trusted(&alone);
    alone.service.terminate();
    assert_eq!(alone.service.wait(), Some(0), "{}", alone.service.log());
    let receipts = stored(alone.data.path(), DIGITS);
    assert_eq!(receipts.len(), expected);
    for receipt in &receipts {
        trusted.verify(receipt, &Expectations::default()).unwrap();
    }
}

#[test]
fn a_full_queue_refuses_and_what_it_accepted_completes() {
    let alone = alone(DIGITS, &["--queue", "2"]);
    let crowd = 12;
    let barrier = Barrier::new(crowd);
    let body = alone.model.request(0);
    let replies: Vec<Reply> = thread::scope(|scope| {
        let asked: Vec<_> = (0..crowd)
            .map(|_| {
                scope.spawn(|| {
                    barrier.wait();
                    alone.service.infer(DIGITS, &body)
                })
            })
            .collect();
        asked.into_iter().map(|a| a.join().unwrap()).collect()
    });
    let (done, refused): (Vec<_>, Vec<_>) = replies.iter().partition(|r| r.status == 200);
    // Two that wait; a third when the first was taken up before the others came.
    assert!(done.len() >= 2, "{}", done.len());
    assert!(!refused.is_empty(), "twelve do not fit in a queue of two");
    for reply in &refused {
        let detail = reply.problem(429, "queue-full");
        let seconds: u64 = reply.header("retry-after").unwrap().parse().unwrap();
        assert!((1..=60).contains(&seconds), "{seconds}");
        assert!(
            detail.contains(&format!("try again in {seconds} s")),
            "{detail}"
        );
    }
    for reply in &done {
        alone.service.receipt(&reply.receipt_id());
    }
    assert_eq!(alone.service.problems("queue-full"), refused.len() as u64);
    assert_eq!(alone.service.proofs(DIGITS), done.len() as u64);
    alone.service.assert_healthy(&alone.model);
    let expected = done.len() + 1;
    all_whole(alone, expected);
}

#[test]
fn a_deadline_that_passes_in_the_queue_leaves_no_proof() {
    let alone = alone(DIGITS, &[]);
    let body = alone.model.request(0);
    let ahead = 16;
    let headers = [("request-timeout", "0.02")];
    let late: Vec<Reply> = thread::scope(|scope| {
        let first: Vec<_> = (0..ahead)
            .map(|_| scope.spawn(|| alone.service.infer(DIGITS, &body)))
            .collect();
        alone.service.wait_until("a long queue", |service| {
            service.metric("proofmark_queue_waiting") >= 8
        });
        let impatient: Vec<_> = (0..3)
            .map(|_| scope.spawn(|| alone.service.try_post(INFER, &headers, &body.to_string())))
            .collect();
        for reply in first {
            reply.join().unwrap().receipt_id();
        }
        impatient
            .into_iter()
            .map(|i| i.join().unwrap().unwrap())
            .collect()
    });
    for reply in &late {
        let detail = reply.problem(504, "deadline-exceeded");
        assert!(detail.contains("no proof was begun"), "{detail}");
        assert!(
            detail.contains("allow more with Request-Timeout"),
            "{detail}"
        );
    }
    assert_eq!(
        alone.service.metric("proofmark_jobs_withdrawn_total"),
        late.len() as u64
    );
    assert_eq!(alone.service.proofs(DIGITS), ahead);
    alone.service.assert_healthy(&alone.model);
    all_whole(alone, ahead as usize + 1);
}

#[test]
fn a_deadline_that_passes_while_proving_loses_no_proof() {
    let alone = alone(DIGITS, &[]);
    let mut body = alone.model.request(0);
    body["parameters"] = json!({ "nonce": format!("0x{}", "77".repeat(32)) });
    let text = body.to_string();
    // A busy machine does not begin within the milliseconds given, a fast one is done by then:
    // another key and another time.
    let mut proofs = 1;
    let key = (0..90)
        .map(|attempt| (attempt, format!("attempt-{attempt}")))
        .find_map(|(attempt, key)| {
            let seconds = ["0.005", "0.01", "0.02"][attempt % 3];
            let headers = [("request-timeout", seconds), ("idempotency-key", &key)];
            let reply = alone.service.try_post(INFER, &headers, &text).unwrap();
            if reply.status == 200 {
                proofs += 1;
                return None;
            }
            let detail = reply.problem(504, "deadline-exceeded");
            detail
                .contains("the proof goes on and its receipt is stored")
                .then_some(key)
        })
        .expect("one of ninety begins in time and takes longer");
    alone.service.wait_until("the proof goes on", |service| {
        service.proofs(DIGITS) == proofs && service.metric("proofmark_queue_running") == 0
    });
    // The answer is there for whoever asks again, and no second proof is made.
    let headers = [("idempotency-key", key.as_str())];
    let reply = alone.service.try_post(INFER, &headers, &text).unwrap();
    assert_eq!(reply.header("idempotent-replayed"), Some("true"));
    let receipt = alone.service.receipt(&reply.receipt_id());
    trusted(&alone)
        .verify(&receipt, &Expectations::default())
        .unwrap();
    assert_eq!(alone.service.proofs(DIGITS), proofs);
    // Another request under this key is refused.
    let other = alone.model.request(1).to_string();
    let refused = alone.service.try_post(INFER, &headers, &other).unwrap();
    let detail = refused.problem(422, "idempotency-key-reused");
    assert!(detail.contains("choose a new key"), "{detail}");
    all_whole(alone, proofs as usize);
}

#[test]
fn a_client_that_leaves_gives_its_place_up() {
    let alone = alone(DIGITS, &[]);
    let body = alone.model.request(0);
    let ahead = 12;
    let left = 3;
    thread::scope(|scope| {
        let first: Vec<_> = (0..ahead)
            .map(|_| scope.spawn(|| alone.service.infer(DIGITS, &body)))
            .collect();
        alone.service.wait_until("a long queue", |service| {
            service.metric("proofmark_queue_waiting") >= 6
        });
        let text = body.to_string();
        let length = text.len();
        let request = format!(
            "POST {INFER} HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\ncontent-length: {length}\r\n\r\n{text}"
        );
        let gone: Vec<TcpStream> = (0..left)
            .map(|_| {
                let address = alone.service.url().strip_prefix("http://").unwrap();
                let mut stream = TcpStream::connect(address).unwrap();
                stream.write_all(request.as_bytes()).unwrap();
                stream
            })
            .collect();
        drop(gone);
        for reply in first {
            reply.join().unwrap().receipt_id();
        }
    });
    alone.service.wait_until("an empty queue", |service| {
        service.metric("proofmark_queue_waiting") + service.metric("proofmark_queue_running") == 0
    });
    // Whoever left before it was read was never a request.
    assert!(alone.service.metric("proofmark_jobs_withdrawn_total") <= left);
    assert_eq!(
        alone.service.proofs(DIGITS),
        ahead,
        "no proof is made for nobody"
    );
    alone.service.assert_healthy(&alone.model);
    all_whole(alone, ahead as usize + 1);
}

#[test]
fn a_body_of_just_the_largest_size_is_read() {
    let alone = alone(crate::RISK, &[]);
    let mut body = alone.model.request(0).to_string();
    body.push_str(&" ".repeat((16 << 20) - body.len()));
    let path = "/v2/models/risk-classifier/infer";
    let reply = alone.service.try_post(path, &[], &body).unwrap();
    alone.service.receipt(&reply.receipt_id());
}

#[test]
fn requests_at_once_under_one_key_make_one_proof() {
    let alone = alone(DIGITS, &[]);
    let text = alone.model.request(0).to_string();
    let barrier = Barrier::new(6);
    let replies: Vec<Reply> = thread::scope(|scope| {
        let asked: Vec<_> = (0..6)
            .map(|_| {
                scope.spawn(|| {
                    barrier.wait();
                    let headers = [("idempotency-key", "same")];
                    alone.service.try_post(INFER, &headers, &text).unwrap()
                })
            })
            .collect();
        asked.into_iter().map(|a| a.join().unwrap()).collect()
    });
    let done: Vec<_> = replies.iter().filter(|r| r.status == 200).collect();
    assert!(!done.is_empty());
    for reply in &replies {
        if reply.status == 200 {
            assert_eq!(reply.body, done[0].body);
        } else {
            reply.problem(409, "idempotency-key-in-use");
            assert_eq!(reply.header("retry-after"), Some("1"));
        }
    }
    all_whole(alone, 1);
}

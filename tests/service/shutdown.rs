//! SIGTERM while proofs run: what was accepted is finished, what was handed out stays.

use std::thread;

use proofmark_tests::service::{Reply, Service, Start};
use proofmark_types::receipt::Envelope;

use crate::{Alone, DIGITS, alone};

#[test]
fn what_was_accepted_is_finished_and_no_receipt_is_lost() {
    let mut alone = alone(DIGITS, &[]);
    let crowd = 12;
    let body = alone.model.request(0);
    let service = &alone.service;
    let (accepted, late): (Vec<Reply>, Vec<Option<Reply>>) = thread::scope(|scope| {
        let asked: Vec<_> = (0..crowd)
            .map(|_| scope.spawn(|| service.infer(DIGITS, &body)))
            .collect();
        // All of them are accepted: some done, one running, the rest waiting.
        service.wait_until("all are accepted", |service| {
            let count = |name| service.metric(name);
            count("proofmark_queue_waiting")
                + count("proofmark_queue_running")
                + service.proofs(DIGITS)
                >= crowd
        });
        assert!(
            service.metric("proofmark_queue_waiting") >= 1,
            "proofs wait"
        );
        service.terminate();
        // From here on a request is not accepted: no connection, or a clean refusal.
        let late = (0..20)
            .map(|_| {
                thread::sleep(std::time::Duration::from_millis(5));
                service
                    .try_post("/v2/models/digits-mlp/infer", &[], &body.to_string())
                    .ok()
            })
            .collect();
        let accepted = asked.into_iter().map(|a| a.join().unwrap()).collect();
        (accepted, late)
    });
    assert_eq!(alone.service.wait(), Some(0), "{}", alone.service.log());
    // One that slipped in before the signal was handled is an accepted one.
    let mut handed_out: Vec<Reply> = accepted;
    assert_eq!(handed_out.len(), 12);
    assert!(handed_out.iter().all(|r| r.status == 200));
    let mut refused = 0;
    for reply in late {
        match reply {
            Some(reply) if reply.status == 200 => handed_out.push(reply),
            Some(reply) => {
                refused += 1;
                let detail = reply.problem(503, "shutting-down");
                assert!(detail.contains("send it again soon"), "{detail}");
                assert_eq!(reply.header("retry-after"), Some("5"));
            }
            None => refused += 1,
        }
    }
    assert!(refused >= 1, "the service takes nothing after SIGTERM");

    let Alone {
        service,
        model,
        data,
        packages,
    } = alone;
    let log = service.log();
    assert!(
        log.contains("shutting down") && log.contains("stopped"),
        "{log}"
    );
    drop(service);
    let again = Service::start(Start {
        packages: packages.path(),
        data: data.path(),
        more: &[],
    });
    let mut signers = Vec::new();
    for reply in &handed_out {
        let receipt = again.receipt(&reply.receipt_id());
        assert!(reply.body.windows(receipt.len()).any(|w| w == receipt));
        signers.push(Envelope::parse(&receipt).unwrap().receipt().signer);
        let path = data.path().join("receipt.json");
        std::fs::write(&path, receipt).unwrap();
        assert_eq!(model.verify(&path, &[]).exit, 0);
    }
    // The service signs with the same key after a restart.
    let reply = again.infer(DIGITS, &body);
    let (_, envelope) = crate::envelope(&again, &reply);
    signers.push(envelope.receipt().signer);
    signers.dedup();
    assert_eq!(signers.len(), 1);
}

#[test]
fn an_idle_service_stops_at_once() {
    let mut alone = alone(crate::RISK, &[]);
    alone.service.assert_healthy(&alone.model);
    let start = std::time::Instant::now();
    alone.service.terminate();
    assert_eq!(alone.service.wait(), Some(0), "{}", alone.service.log());
    assert!(start.elapsed() < std::time::Duration::from_secs(5));
}

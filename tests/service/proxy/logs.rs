//! What is demanded of the providers' logs.

use std::fs;

use proofmark_tests::service::{Public, Service, Start, only, proofmark, run};
use serde_json::json;

use super::{VERIFIED, attempts, config, provider, start};
use crate::notices::{copy, witness};
use crate::{RISK, alone, envelope};

#[test]
fn a_log_that_was_forked_is_found_and_stays_found() {
    let packages = only(RISK);
    let model = Public::read(&packages.path().join(RISK));
    let work = tempfile::tempdir().unwrap();
    let data = |name: &str| work.path().join(name);
    let serve = |name: &str| {
        Service::start(Start {
            packages: packages.path(),
            data: &data(name),
            more: &[],
        })
    };
    // Two services with one key, whose log goes on differently from its first entry.
    let mut one = serve("one");
    one.infer(RISK, &model.request(0)).receipt_id();
    one.terminate();
    one.wait();
    copy(&data("one"), &data("two"));
    let (one, two) = (serve("one"), serve("two"));
    assert_eq!(one.log_key(), two.log_key());
    let package = packages.path().join(RISK);
    let config = config(&model, &package, one.log_key(), &[one.url(), two.url()]);
    let mut proxy = start(work.path(), &config, &[]);
    for sample in 0..3 {
        let reply = proxy.infer(RISK, &model.request(sample));
        assert_eq!(provider(&reply), one.url());
    }
    drop(one);
    let body = model.request(0);
    // Smaller than what was seen, then as large, then larger.
    two.infer(RISK, &body).receipt_id();
    proxy.infer(RISK, &body).problem(502, "answer-unverified");
    proxy.terminate();
    proxy.wait();
    two.infer(RISK, &body).receipt_id();
    two.infer(RISK, &body).receipt_id();
    let proxy = start(work.path(), &config, &[]);
    proxy.infer(RISK, &body).problem(502, "answer-unverified");
    assert_eq!(
        attempts(&proxy, two.url(), "tlog-inconsistent"),
        1,
        "{}",
        proxy.log()
    );
    assert!(proxy.log().contains("THE LOG SHOWS TWO HISTORIES"));
    let state = fs::read_dir(work.path().join("state")).unwrap();
    let mut files = state.flatten().map(|file| file.path());
    assert!(files.any(|file| file.extension().is_some_and(|e| e == "contradiction")));
}

/// What the copy of the log revokes is refused, although the service goes on answering with it; and an
/// answer waits for the witnesses that are demanded.
#[test]
fn the_copy_of_a_log_and_its_witnesses_are_honoured() {
    let mut alone = alone(RISK, &[]);
    let log_key = alone.service.log_key().to_owned();
    let body = alone.model.request(0);
    let (_, signed) = envelope(&alone.service, &alone.service.infer(RISK, &body));
    let service_key = format!("0x{}", hex::encode(signed.receipt().signer));
    let stop = |service: &mut Service| {
        service.terminate();
        assert_eq!(service.wait(), Some(0), "{}", service.log());
    };
    stop(&mut alone.service);
    let work = tempfile::tempdir().unwrap();
    let witness = witness(&work.path().join("witness"), "witness.example/1", &log_key);
    let data = alone.data.path().to_owned();
    let packages = alone.packages.path().to_owned();
    let restart = || {
        Service::start(Start {
            packages: &packages,
            data: &data,
            more: &["--witness", &witness.url, "--witness-key", &witness.key],
        })
    };
    let config = |service: &Service, copy: &str| {
        json!({
            "packages": [{ "folder": packages.join(RISK), "digest": alone.model.digest }],
            "providers": [{
                "url": service.url(),
                "service_key": service_key,
                "log": {
                    "key": log_key,
                    "witnesses": [witness.key],
                    "copy": data.join(copy),
                },
            }],
        })
    };
    alone.service = restart();
    // Of the copy too the witnesses must have seen what is believed.
    let id = alone.service.infer(RISK, &body).receipt_id();
    let url = format!("/v1/receipts/{id}/tlog-proof?head=cosigned");
    let cosigned = |service: &Service| service.get(&url).status == 200;
    alone.service.wait_until("it is cosigned", cosigned);
    copy(&data.join("log/public"), &data.join("mirror"));
    let mut proxy = start(work.path(), &config(&alone.service, "mirror"), &[]);
    let reply = proxy.infer(RISK, &body);
    assert_eq!(provider(&reply), alone.service.url());
    let header = reply.header(VERIFIED).unwrap();
    for said in [
        "witnesses=(\"witness.example/1\")",
        "checked=(package statement proof signature signer freshness openings log-inclusion witnesses revocations)",
    ] {
        assert!(header.contains(said), "{said} in {header}");
    }
    stop(&mut proxy);
    stop(&mut alone.service);

    let subject = format!("package={}", alone.model.digest);
    copy(&data.join("log"), &data.join("revoking"));
    let revoked = run(proofmark(&["log", "revoke", "--json", "--data"])
        .arg(&data)
        .arg("--log")
        .arg(data.join("revoking"))
        .args(["--subject", &subject, "--reason", "unsound"]));
    assert_eq!(revoked.exit, 0, "{revoked:?}");
    fs::remove_file(data.join("log.checkpoint")).unwrap();
    alone.service = restart();
    // The witness saw no checkpoint of the revocation: the copy is asked without witnesses.
    let mut config = config(&alone.service, "revoking");
    config["providers"][0]["log"]["witnesses"] = json!([]);
    let proxy = start(work.path(), &config, &[]);
    proxy.infer(RISK, &body).problem(502, "answer-unverified");
    let url = alone.service.url();
    assert_eq!(attempts(&proxy, url, "log-revoked"), 1, "{}", proxy.log());
}

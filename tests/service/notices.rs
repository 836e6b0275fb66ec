//! What a service says later, in its log: advisories, revocations, rotations of its key. And
//! witnesses, who see to it that it says the same to everybody.

use std::fs;
use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::process::{Child, Stdio};

use proofmark_tests::service::{Ended, Service, Start, proofmark, run};
use proofmark_tlog::{Policy, TlogProof};
use serde_json::{Value, json};

use crate::{Alone, RISK, alone, envelope};

/// `proofmark log …` for the service's data folder.
fn log(alone: &Alone, command: &str, more: &[&str]) -> Ended {
    run(proofmark(&["log", command, "--json"])
        .arg("--data")
        .arg(alone.data.path())
        .args(more))
}

fn start(alone: &Alone, more: &[&str]) -> Service {
    Service::start(Start {
        packages: alone.packages.path(),
        data: alone.data.path(),
        more,
    })
}

fn stop(alone: &mut Alone) {
    alone.service.terminate();
    assert_eq!(alone.service.wait(), Some(0), "{}", alone.service.log());
}

/// Asks for an answer and keeps its receipt; gives the signer's key.
fn keep(alone: &Alone, sample: usize, name: &str) -> String {
    let reply = alone.service.infer(RISK, &alone.model.request(sample));
    let (bytes, envelope) = envelope(&alone.service, &reply);
    fs::write(alone.data.path().join(name), bytes).unwrap();
    format!("0x{}", hex::encode(envelope.receipt().signer))
}

/// Verifies a kept receipt with the whole log.
fn verified(alone: &Alone, name: &str, service_key: &str) -> Result<Value, String> {
    let folder = alone.data.path().join("log").display().to_string();
    let log_key = alone.service.log_key();
    let ended = alone.model.verify(
        &alone.data.path().join(name),
        &[
            "--log",
            &folder,
            "--log-key",
            log_key,
            "--service-key",
            service_key,
        ],
    );
    match ended.exit {
        0 => Ok(ended.json()),
        1 => Err(ended.json()["code"].as_str().unwrap().to_owned()),
        _ => panic!("{ended:?}"),
    }
}

fn verify_log(alone: &Alone, service_key: &str, more: &[&str]) -> Ended {
    run(proofmark(&["log", "verify", "--json"])
        .arg("--log")
        .arg(alone.data.path().join("log"))
        .args(["--log-key", alone.service.log_key()])
        .args(["--service-key", service_key])
        .args(more))
}

#[test]
fn a_running_service_advises_and_revokes() {
    let mut alone = alone(RISK, &[]);
    let key = keep(&alone, 0, "a");
    assert_eq!(verified(&alone, "a", &key).unwrap()["log"]["index"], 0);
    let digest = alone.model.digest.to_string();
    let about = format!("package={digest}");
    let advised = log(
        &alone,
        "advisory",
        &["--about", &about, "--title", "retrained soon"],
    );
    assert_eq!(advised.exit, 0, "{advised:?}");
    assert_eq!(advised.json()["index"], 1);
    let report = verified(&alone, "a", &key).unwrap();
    let advisories = report["log"]["advisories"].as_array().unwrap();
    assert!(advisories[0].as_str().unwrap().contains("retrained soon"));
    // Others' receipts are not concerned.
    let other = format!("package=sha256:{}", "0".repeat(64));
    let revoked = log(
        &alone,
        "revoke",
        &["--subject", &other, "--reason", "not ours"],
    );
    assert_eq!(revoked.exit, 0, "{revoked:?}");
    keep(&alone, 1, "b");
    assert!(verified(&alone, "b", &key).is_ok());

    let circuit = alone.model.manifest.sealed.as_ref().unwrap().circuit.digest;
    let subject = format!("circuit={circuit}");
    let reason = "a constraint was missing";
    let revoked = log(
        &alone,
        "revoke",
        &["--subject", &subject, "--reason", reason],
    );
    assert_eq!(revoked.exit, 0, "{revoked:?}");
    assert_eq!(revoked.json()["index"], 4);
    // The service answers with it no more, now and after a restart.
    for again in [false, true] {
        if again {
            stop(&mut alone);
            alone.service = start(&alone, &[]);
        }
        let refused = alone.service.infer(RISK, &alone.model.request(2));
        let detail = refused.problem(410, "model-revoked");
        assert!(detail.contains(reason), "{detail}");
        alone
            .service
            .get("/v2/models/risk-classifier/ready")
            .problem(410, "model-revoked");
        assert_eq!(alone.service.get("/v2/health/ready").status, 200);
        for name in ["a", "b"] {
            assert_eq!(verified(&alone, name, &key), Err("log-revoked".to_owned()));
        }
    }
    let whole = verify_log(&alone, &key, &[]);
    assert_eq!(whole.exit, 0, "{whole:?}");
    assert_eq!(
        whole.json()["entries"],
        json!({ "receipt": 2, "advisory": 1, "revocation": 2 })
    );
    // A notice by anybody else does not get in, and is told so.
    let stranger = tempfile::tempdir().unwrap();
    fs::write(stranger.path().join("service_key"), [7; 32]).unwrap();
    private(&stranger.path().join("service_key"));
    let folder = alone.data.path().join("log").display().to_string();
    let forged = run(proofmark(&["log", "revoke", "--json", "--log", &folder])
        .arg("--data")
        .arg(stranger.path())
        .args(["--subject", &about, "--reason", "sabotage"]));
    let detail = forged.refused(1, "log-notice-invalid");
    assert!(detail.contains("service key"), "{detail}");
    assert_eq!(verify_log(&alone, &key, &[]).json()["size"], 5);
}

#[cfg(unix)]
fn private(path: &Path) {
    use std::os::unix::fs::PermissionsExt as _;
    fs::set_permissions(path, fs::Permissions::from_mode(0o600)).unwrap();
}

#[test]
fn receipts_outlive_the_key_that_signed_them() {
    let mut alone = alone(RISK, &[]);
    let old = keep(&alone, 0, "old");
    log(&alone, "rotate", &[]).refused(3, "log-locked");
    stop(&mut alone);
    let checkpoint = alone.data.path().join("log/public/checkpoint");
    let kept = alone.data.path().join("checkpoint.old");
    fs::copy(checkpoint, &kept).unwrap();
    let rotated = log(&alone, "rotate", &["--reason", "planned"]);
    assert_eq!(rotated.exit, 0, "{rotated:?}");
    assert_eq!(rotated.json()["old"], old);
    alone.service = start(&alone, &[]);
    let new = keep(&alone, 1, "new");
    assert_eq!(rotated.json()["service_key"], new);
    assert_ne!(old, new);
    // Whichever of the two keys was pinned.
    for pinned in [&old, &new] {
        for name in ["old", "new"] {
            let report = verified(&alone, name, pinned).unwrap();
            assert_eq!(report["signature"]["status"], "valid-pinned");
        }
    }
    let stranger = format!("0x{}", "11".repeat(32));
    assert_eq!(
        verified(&alone, "old", &stranger),
        Err("log-notice-signature".to_owned()),
        "a log of another service"
    );
    // Without the log a pin is a pin.
    let path = alone.data.path().join("new");
    alone
        .model
        .verify(&path, &["--service-key", &old])
        .refused(1, "signer-mismatch");
    let kept = kept.display().to_string();
    let whole = verify_log(&alone, &old, &["--since", &kept]);
    assert_eq!(whole.json()["contains"], json!([1]), "{whole:?}");
    assert_eq!(whole.json()["entries"]["rotation"], 1);
}

/// A running `proofmark log witness`; killed when dropped.
struct Witness {
    child: Child,
    url: String,
    key: String,
}

impl Drop for Witness {
    fn drop(&mut self) {
        self.child.kill().ok();
        self.child.wait().ok();
    }
}

fn witness(state: &Path, name: &str, log_key: &str) -> Witness {
    let mut child = proofmark(&["log", "witness", "--json", "--listen", "127.0.0.1:0"])
        .arg("--state")
        .arg(state)
        .args(["--name", name, "--log-key", log_key])
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let mut line = String::new();
    let stdout = child.stdout.take().unwrap();
    BufReader::new(stdout).read_line(&mut line).unwrap();
    let event: Value = serde_json::from_str(&line).unwrap();
    Witness {
        child,
        url: event["listening"].as_str().unwrap().to_owned(),
        key: event["witness_key"].as_str().unwrap().to_owned(),
    }
}

#[test]
fn witnesses_cosign_what_only_ever_grows() {
    let mut alone = alone(RISK, &[]);
    let signer = keep(&alone, 0, "a");
    let log_key = alone.service.log_key().to_owned();
    alone
        .service
        .get("/checkpoint.cosigned")
        .problem(404, "not-found");
    stop(&mut alone);
    let state = tempfile::tempdir().unwrap();
    let first = witness(&state.path().join("1"), "witness.example/1", &log_key);
    let second = witness(&state.path().join("2"), "witness.example/2", &log_key);
    let asked = ["--witness", &first.url, "--witness-key", &first.key];
    alone.service = start(&alone, &asked);
    let id = alone
        .service
        .infer(RISK, &alone.model.request(1))
        .receipt_id();
    let url = format!("/v1/receipts/{id}/tlog-proof?head=cosigned");
    alone
        .service
        .wait_until("a cosigned checkpoint", |service| {
            service.get(&url).status == 200
        });
    let proof = alone.service.get(&url);
    let parsed = TlogProof::parse(&proof.body).unwrap();
    let policy =
        Policy::new(log_key.parse().unwrap()).with_witnesses(vec![first.key.parse().unwrap()], 1);
    let checkpoint = parsed.checkpoint.to_string();
    assert_eq!(
        policy
            .verify(checkpoint.as_bytes())
            .unwrap()
            .cosignatures
            .len(),
        1
    );
    // The recipient demands one, the other, or both.
    let file = |name: &str| alone.data.path().join(name);
    fs::write(file("b"), alone.service.receipt(&id)).unwrap();
    fs::write(file("b.tlog-proof"), &proof.body).unwrap();
    let path = file("b.tlog-proof").display().to_string();
    let base = ["--tlog-proof", &path, "--log-key", &log_key];
    let keys = [
        (vec!["--witness-key", &first.key], None),
        (
            vec!["--witness-key", &first.key, "--witness-key", &second.key],
            Some("tlog-witnesses-missing"),
        ),
        (
            vec![
                "--witness-key",
                &first.key,
                "--witness-key",
                &second.key,
                "--witness-quorum",
                "1",
            ],
            None,
        ),
        (
            vec!["--witness-key", &second.key],
            Some("tlog-witnesses-missing"),
        ),
    ];
    for (more, code) in keys {
        let ended = alone
            .model
            .verify(&file("b"), &[&base[..], more.as_slice()].concat());
        match code {
            None => assert_eq!(
                ended.json()["log"]["cosigned"][0]["witness"],
                "witness.example/1",
                "{ended:?}"
            ),
            Some(code) => {
                ended.refused(1, code);
            }
        }
    }
    stop(&mut alone);
    // By hand, while the service does not run: the second one, for the first time.
    let collected = log(
        &alone,
        "collect",
        &["--witness", &second.url, "--witness-key", &second.key],
    );
    assert_eq!(collected.exit, 0, "{collected:?}");
    let both = ["--witness-key", &first.key, "--witness-key", &second.key];
    let whole = verify_log(&alone, &signer, &both);
    assert_eq!(
        whole.json()["cosigned"].as_array().unwrap().len(),
        2,
        "{whole:?}"
    );
    // A third, from a mirror, without HTTP.
    let mirror = state.path().join("mirror");
    let copied = std::process::Command::new("cp")
        .arg("-r")
        .arg(alone.data.path().join("log/public"))
        .arg(&mirror)
        .status()
        .unwrap();
    assert!(copied.success());
    let third = |log: &Path| {
        run(
            proofmark(&["log", "witness", "--json", "--name", "witness.example/3"])
                .arg("--state")
                .arg(state.path().join("3"))
                .args(["--log-key", &log_key])
                .arg("--log")
                .arg(log),
        )
    };
    let cosigned = third(&mirror);
    assert_eq!(cosigned.exit, 0, "{cosigned:?}");
    assert!(
        cosigned.json()["cosigned"]
            .as_str()
            .unwrap()
            .contains("witness.example/3")
    );
}

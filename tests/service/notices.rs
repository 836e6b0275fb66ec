//! What a service says later, in its log: advisories, revocations, rotations of its key. And
//! witnesses, who see to it that it says the same to everybody.

use std::fs;
use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::process::{Child, Stdio};

use proofmark_tests::service::{Ended, Service, Start, proofmark, run};
use proofmark_tlog::{Policy, TlogProof};
use proofmark_types::{Digest, Envelope};
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

/// Verdicts name a receipt by its payload, the log by its file: a revocation under either counts, and
/// one that would revoke nothing is refused.
#[test]
fn one_receipt_is_revoked_by_either_of_its_digests() {
    let mut alone = alone(RISK, &[]);
    let key = keep(&alone, 0, "a");
    for (sample, name) in [(1, "b"), (2, "c")] {
        keep(&alone, sample, name);
    }
    let bytes = |name: &str| fs::read(alone.data.path().join(name)).unwrap();
    let id = Envelope::parse(&bytes("b")).unwrap().receipt_id();
    let file = Digest::of(&bytes("c"));
    let revoke = |alone: &Alone, digest: Digest| {
        let subject = format!("receipt={digest}");
        log(alone, "revoke", &["--subject", &subject, "--reason", "x"])
    };
    revoke(&alone, Digest::of(b"nobody's")).refused(2, "receipt-unknown");
    assert_eq!(revoke(&alone, id).json()["index"], 3);
    stop(&mut alone);
    revoke(&alone, Digest::of(b"nobody's")).refused(2, "receipt-unknown");
    assert_eq!(revoke(&alone, file).json()["index"], 4);
    assert!(verified(&alone, "a", &key).is_ok());
    for name in ["b", "c"] {
        assert_eq!(verified(&alone, name, &key), Err("log-revoked".to_owned()));
    }
}

#[cfg(unix)]
fn private(path: &Path) {
    use std::os::unix::fs::PermissionsExt as _;
    fs::set_permissions(path, fs::Permissions::from_mode(0o600)).unwrap();
}

/// A backup of the log's folder that holds every receipt, and not the revocation after them.
#[test]
fn a_revocation_is_not_lost_with_an_older_folder() {
    let mut alone = alone(RISK, &[]);
    let key = keep(&alone, 0, "a");
    let (folder, backup) = (
        alone.data.path().join("log"),
        alone.data.path().join("backup"),
    );
    copy(&folder, &backup);
    let subject = format!("package={}", alone.model.digest);
    let revoked = log(&alone, "revoke", &["--subject", &subject, "--reason", "x"]);
    assert_eq!(revoked.exit, 0, "{revoked:?}");
    stop(&mut alone);
    fs::remove_dir_all(&folder).unwrap();
    fs::rename(&backup, &folder).unwrap();
    let older = Start {
        packages: alone.packages.path(),
        data: alone.data.path(),
        more: &[],
    };
    let detail = run(&mut older.command()).refused(1, "log-shrank");
    assert!(detail.contains("restore the folder"), "{detail}");
    log(&alone, "revoke", &["--subject", &subject, "--reason", "x"]).refused(1, "log-shrank");
    // A verifier with the older copy cannot know; it is told how far it is told.
    let report = verified(&alone, "a", &key).unwrap();
    let said = report.to_string();
    assert!(
        said.contains("as far as this copy of the log goes"),
        "{said}"
    );
    assert!(said.contains("no witness"), "{said}");
}

pub(crate) fn copy(from: &Path, to: &Path) {
    let copied = std::process::Command::new("cp")
        .arg("-r")
        .args([from, to])
        .status();
    assert!(copied.unwrap().success());
}

/// Two histories under one key: who has a proof of the one and a copy of the other is told.
#[test]
fn a_proof_and_a_copy_of_two_histories_are_refused() {
    let mut alone = alone(RISK, &[]);
    let key = keep(&alone, 0, "a");
    let log_key = alone.service.log_key().to_owned();
    let (folder, fork) = (
        alone.data.path().join("log"),
        alone.data.path().join("fork"),
    );
    copy(&folder, &fork);
    let reply = alone.service.infer(RISK, &alone.model.request(1));
    let (bytes, _) = envelope(&alone.service, &reply);
    let data = alone.data.path().to_owned();
    let path = |name: &str| data.join(name);
    fs::write(path("b"), bytes).unwrap();
    let proof = reply.json()["tlog_proof"].as_str().unwrap().to_owned();
    fs::write(path("b.tlog-proof"), proof).unwrap();
    let proof = path("b.tlog-proof").display().to_string();
    stop(&mut alone);
    // The operator shows others a log in which something else stands before this receipt.
    let place = |i: u8| {
        proofmark_log::Entry::Receipt(proofmark_log::ReceiptEntry {
            receipt: proofmark_types::Digest::of(&[i]),
            package: alone.model.digest,
            proved_at: 1,
        })
    };
    let envelope = proofmark_types::Envelope::parse(&fs::read(path("b")).unwrap()).unwrap();
    let own = proofmark_log::Entry::Receipt(proofmark_log::ReceiptEntry::of(&envelope).unwrap());
    let forked = proofmark_log::Log::open(&fork, &proofmark_log::Options::default()).unwrap();
    forked.append_all(&[place(0), own]).unwrap();
    drop(forked);
    let verify = |folder: &Path, more: &[&str]| {
        let folder = folder.display().to_string();
        let base = [
            "--log",
            &folder,
            "--log-key",
            &log_key,
            "--service-key",
            &key,
        ];
        alone.model.verify(&path("b"), &[&base[..], more].concat())
    };
    let with_proof = ["--tlog-proof", proof.as_str()];
    assert_eq!(verify(&folder, &with_proof).exit, 0);
    assert_eq!(verify(&fork, &[]).exit, 0, "one history alone looks whole");
    verify(&fork, &with_proof).refused(1, "tlog-inconsistent");
}

/// What was stored and not logged when the service ended stands before the rotation that follows.
#[test]
fn a_rotation_comes_behind_the_receipts_of_its_key() {
    use proofmark_store::{ReceiptRecord, Store};
    let mut alone = alone(RISK, &[]);
    let old = keep(&alone, 0, "a");
    stop(&mut alone);
    let path = alone.data.path().join("b");
    let proven = run(proofmark(&["prove", "--json", "--sample", "1"])
        .arg("--package")
        .arg(alone.packages.path().join(RISK))
        .arg("--input")
        .arg(proofmark_tests::samples::folder(RISK).join("heldout.npz"))
        .arg("--data")
        .arg(alone.data.path())
        .arg("--receipt")
        .arg(&path));
    assert_eq!(proven.exit, 0, "{proven:?}");
    let bytes = fs::read(&path).unwrap();
    let envelope = proofmark_types::Envelope::parse(&bytes).unwrap();
    let record = ReceiptRecord {
        id: envelope.receipt_id(),
        model: RISK.to_owned(),
        package_digest: alone.model.digest,
        statement_digest: envelope.receipt().statement_digest().unwrap(),
        envelope: bytes,
        created_at: 0,
        log_index: None,
    };
    tokio::runtime::Runtime::new().unwrap().block_on(async {
        let database = alone.data.path().join("proofmark.sqlite");
        let store = Store::open(&database).await.unwrap();
        store.insert_receipt(&record).await.unwrap();
        store.close().await;
    });
    assert_eq!(log(&alone, "rotate", &[]).exit, 0);
    alone.service = start(&alone, &[]);
    let report = verified(&alone, "b", &old).unwrap();
    assert_eq!(report["log"]["index"], 1);
    let whole = verify_log(&alone, &old, &[]).json();
    assert_eq!(whole["entries"], json!({ "receipt": 2, "rotation": 1 }));
}

/// `proofmark infer` with a copy of the log honours what that revokes, and what it rotates to.
#[test]
fn the_client_honours_the_copy_of_the_log_that_it_is_given() {
    let mut alone = alone(RISK, &[]);
    let old = keep(&alone, 0, "a");
    stop(&mut alone);
    assert_eq!(log(&alone, "rotate", &[]).exit, 0);
    alone.service = start(&alone, &[]);
    let log_key = alone.service.log_key().to_owned();
    let folder = alone.data.path().join("log").display().to_string();
    let ask = |alone: &Alone, log: &str| {
        run(
            proofmark(&["infer", "--json", "--model", RISK, "--sample", "2"])
                .args(["--url", alone.service.url()])
                .args(["--package-digest", &alone.model.digest.to_string()])
                .args(["--log-key", &log_key, "--service-key", &old, "--log", log])
                .arg("--package")
                .arg(alone.packages.path().join(RISK))
                .arg("--input")
                .arg(proofmark_tests::samples::folder(RISK).join("heldout.npz")),
        )
    };
    // Rotated: the pinned key leads to the one that signs now; an older copy and the log itself.
    let mirror = alone.data.path().join("mirror");
    copy(&alone.data.path().join("log/public"), &mirror);
    let mirror = mirror.display().to_string();
    for place in [&mirror, &folder] {
        let answer = ask(&alone, place);
        assert_eq!(answer.exit, 0, "{answer:?}");
        assert_eq!(answer.json()["signature"]["status"], "valid-pinned");
        assert_eq!(answer.json()["log"]["advisories"], json!([]));
    }
    // A service that goes on answering with what it revoked, as a dishonest one would: here the
    // revocation is in the auditor's copy alone.
    stop(&mut alone);
    let copied = alone.data.path().join("copy");
    copy(&alone.data.path().join("log"), &copied);
    let subject = format!("package={}", alone.model.digest);
    let revoked = run(proofmark(&["log", "revoke", "--json"])
        .arg("--data")
        .arg(alone.data.path())
        .arg("--log")
        .arg(&copied)
        .args(["--subject", &subject, "--reason", "unsound"]));
    assert_eq!(revoked.exit, 0, "{revoked:?}");
    fs::remove_file(alone.data.path().join("log.checkpoint")).unwrap();
    alone.service = start(&alone, &[]);
    let copied = copied.display().to_string();
    for _ in 0..2 {
        ask(&alone, &copied).refused(1, "log-revoked");
    }
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
pub(crate) struct Witness {
    child: Child,
    pub(crate) url: String,
    pub(crate) key: String,
}

impl Drop for Witness {
    fn drop(&mut self) {
        self.child.kill().ok();
        self.child.wait().ok();
    }
}

pub(crate) fn witness(state: &Path, name: &str, log_key: &str) -> Witness {
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
    // The log goes on without witnesses: a mirror over HTTP holds what the cosigned head covers too.
    alone.service = start(&alone, &[]);
    keep(&alone, 5, "late");
    let mirrored = run(proofmark(&["log", "mirror", "--json"])
        .args(["--url", alone.service.url(), "--log-key", &log_key])
        .args(["--witness-key", &first.key])
        .arg("--out")
        .arg(state.path().join("http")));
    let mirrored = mirrored.json();
    assert_eq!(mirrored["cosigned"], 1, "{mirrored}");
    let size = |key: &str| mirrored[key].as_u64().unwrap();
    assert!(size("size") > size("read_at"), "{mirrored}");
}

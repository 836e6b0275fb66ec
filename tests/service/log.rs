//! The transparency log of a running service: every answer comes with a proof that its receipt is
//! in it, anyone can read and mirror it, and without it nothing is answered.

use std::fs;
use std::path::Path;
use std::process::Command;

use proofmark_log::{Entry, Folder, Reader, ReceiptEntry};
use proofmark_store::{ReceiptRecord, Store};
use proofmark_tests::samples;
use proofmark_tests::service::{Public, Reply, Service, Start, proofmark, run};
use proofmark_tlog::{Policy, TlogProof};
use proofmark_types::{Digest, Envelope};

use crate::{Alone, RISK, alone, envelope, tlog_proof};

fn policy(service: &Service) -> Policy {
    Policy::new(service.log_key().parse().unwrap())
}

/// Starts the service again on the same data.
fn restart(alone: &Alone) -> Service {
    Service::start(Start {
        packages: alone.packages.path(),
        data: alone.data.path(),
        more: &[],
    })
}

fn stop(service: &mut Service) {
    service.terminate();
    assert_eq!(service.wait(), Some(0), "{}", service.log());
}

fn entry(envelope: &Envelope) -> Vec<u8> {
    let entry = Entry::Receipt(ReceiptEntry::of(envelope).unwrap());
    entry.to_bytes().unwrap()
}

#[test]
fn an_answer_comes_with_a_proof_that_it_is_logged() {
    let alone = alone(RISK, &[]);
    let policy = policy(&alone.service);
    let answers: Vec<Reply> = (0..3)
        .map(|sample| alone.service.infer(RISK, &alone.model.request(sample)))
        .collect();
    for (at, reply) in answers.iter().enumerate() {
        let (_, envelope) = envelope(&alone.service, reply);
        let proof = tlog_proof(reply);
        let verified = proof.verify(&entry(&envelope), &policy).unwrap();
        assert_eq!(proof.index, at as u64);
        assert!(verified.head.checkpoint().size() > proof.index);
        let parameters = &reply.json()["parameters"];
        assert_eq!(parameters["log_index"], at);
        // Asked for again, it leads to the latest checkpoint.
        let receipt = alone
            .service
            .get(&format!("/v1/receipts/{}", reply.receipt_id()));
        let url = parameters["tlog_proof_url"].as_str().unwrap();
        assert_eq!(
            receipt.header("link"),
            Some(format!("<{url}>; rel=\"https://c2sp.org/tlog-proof\"").as_str())
        );
        let later = alone.service.get(url);
        assert_eq!(later.status, 200, "{}", later.text());
        assert_eq!(
            later.header("content-type"),
            Some("text/plain; charset=utf-8")
        );
        let later = TlogProof::parse(&later.body).unwrap();
        let verified = later.verify(&entry(&envelope), &policy).unwrap();
        assert_eq!(verified.head.checkpoint().size(), 3);
        // It shows no other receipt.
        let (_, other) = crate::envelope(&alone.service, &answers[(at + 1) % 3]);
        let error = later.verify(&entry(&other), &policy).unwrap_err();
        assert_eq!(error.code(), "tlog-inclusion-invalid");
    }
    let summary = alone.service.get("/v1/log").json();
    assert_eq!(summary["verifier_key"], alone.service.log_key());
    let unknown = Digest::of(b"unknown").to_hex();
    for (path, status, code) in [
        (
            format!("/v1/receipts/{unknown}/tlog-proof"),
            404,
            "receipt-unknown",
        ),
        (
            "/v1/receipts/1/tlog-proof".to_owned(),
            400,
            "parameter-invalid",
        ),
        (
            format!(
                "/v1/receipts/{}/tlog-proof?head=any",
                answers[0].receipt_id()
            ),
            400,
            "parameter-invalid",
        ),
    ] {
        alone.service.get(&path).problem(status, code);
    }
}

#[test]
fn the_log_is_served_as_the_files_that_it_is() {
    let alone = alone(RISK, &[]);
    for sample in 0..2 {
        alone
            .service
            .infer(RISK, &alone.model.request(sample))
            .receipt_id();
    }
    let public = alone.data.path().join("log/public");
    for (path, media, cache) in [
        ("checkpoint", "text/plain; charset=utf-8", "no-cache"),
        ("tile/0/000.p/1", "application/octet-stream", "immutable"),
        ("tile/0/000.p/2", "application/octet-stream", "immutable"),
        (
            "tile/entries/000.p/2",
            "application/octet-stream",
            "immutable",
        ),
    ] {
        let reply = alone.service.get(&format!("/{path}"));
        assert_eq!(reply.status, 200, "{path}");
        assert_eq!(reply.body, fs::read(public.join(path)).unwrap(), "{path}");
        assert_eq!(reply.header("content-type"), Some(media), "{path}");
        assert!(reply.header("cache-control").unwrap().contains(cache));
    }
    let secret = alone.data.path().join("log/log_key");
    assert!(secret.is_file());
    for path in [
        "/tile/0/000",
        "/tile/0/000.p/3",
        "/tile/0/000.p/02",
        "/tile/0/../0/000.p/2",
        "/tile/0/%2e%2e/%2e%2e/%2e%2e/log_key",
        "/tile/..%2f..%2flog_key",
        "/tile/",
        "/tile/entries",
        "/log_key",
        "/checkpoint/",
    ] {
        alone.service.get(path).problem(404, "not-found");
    }
}

/// `proofmark-verify` and `proofmark verify` say the same.
fn verified(model: &Public, receipt: &Path, more: &[&str]) -> Result<serde_json::Value, String> {
    let small = model.verify(receipt, more);
    let large = run(proofmark(&["verify", "--json"])
        .arg(receipt)
        .args(["--package-digest", &model.digest.to_string()])
        .arg("--manifest")
        .arg(&model.manifest_path)
        .arg("--verifying-key")
        .arg(&model.key_path)
        .args(more));
    assert_eq!((small.exit, &small.stdout), (large.exit, &large.stdout));
    match small.exit {
        0 => Ok(small.json()),
        1 => Err(small.json()["code"].as_str().unwrap().to_owned()),
        _ => panic!("{small:?}"),
    }
}

#[test]
fn a_recipient_verifies_that_a_receipt_is_logged() {
    let mut alone = alone(RISK, &[]);
    let log_key = alone.service.log_key().to_owned();
    let folder = tempfile::tempdir().unwrap();
    let file = |name: &str| folder.path().join(name).display().to_string();
    let mut signer = String::new();
    for (name, sample) in [("a", 0), ("b", 1)] {
        let reply = alone.service.infer(RISK, &alone.model.request(sample));
        let (bytes, envelope) = envelope(&alone.service, &reply);
        fs::write(file(name), bytes).unwrap();
        let proof = reply.json()["tlog_proof"].as_str().unwrap().to_owned();
        fs::write(file(&format!("{name}.tlog-proof")), proof).unwrap();
        signer = format!("0x{}", hex::encode(envelope.receipt().signer));
    }
    stop(&mut alone.service);
    let model = &alone.model;
    let (a, proof) = (folder.path().join("a"), file("a.tlog-proof"));
    let with_proof = ["--tlog-proof", &proof, "--log-key", &log_key];
    let report = verified(model, &a, &with_proof).unwrap();
    assert_eq!(report["log"]["index"], 0);
    assert_eq!(report["log"]["origin"], log_key.split('+').next().unwrap());

    // A mirror is a plain copy.
    let mirror = file("mirror");
    let copied = Command::new("cp")
        .arg("-r")
        .arg(alone.data.path().join("log/public"))
        .arg(&mirror)
        .status()
        .unwrap();
    assert!(copied.success());
    let own = alone.data.path().join("log").display().to_string();
    for place in [&mirror, &own] {
        let whole = [
            "--log",
            place,
            "--log-key",
            &log_key,
            "--service-key",
            &signer,
        ];
        let report = verified(model, &a, &whole).unwrap();
        assert_eq!(
            (&report["log"]["index"], &report["log"]["size"]),
            (&0.into(), &2.into())
        );
        assert_eq!(report["log"]["advisories"], serde_json::json!([]));
    }

    // Another receipt's proof, another log's key, another signer.
    let other = file("b.tlog-proof");
    let swapped = ["--tlog-proof", &other, "--log-key", &log_key];
    assert_eq!(
        verified(model, &a, &swapped),
        Err("tlog-inclusion-invalid".to_owned())
    );
    let stranger = Service::start(Start {
        packages: alone.packages.path(),
        data: &folder.path().join("stranger"),
        more: &[],
    });
    let foreign = ["--tlog-proof", &proof, "--log-key", stranger.log_key()];
    assert_eq!(
        verified(model, &a, &foreign),
        Err("tlog-origin-mismatch".to_owned())
    );
    // A receipt that is true and was never logged.
    let secret = folder.path().join("secret");
    let proven = run(proofmark(&["prove", "--json", "--sample", "0"])
        .arg("--package")
        .arg(alone.packages.path().join(RISK))
        .arg("--input")
        .arg(samples::folder(RISK).join("heldout.npz"))
        .arg("--data")
        .arg(alone.data.path())
        .arg("--receipt")
        .arg(&secret));
    assert_eq!(proven.exit, 0, "{proven:?}");
    let whole = [
        "--log",
        &mirror,
        "--log-key",
        &log_key,
        "--service-key",
        &signer,
    ];
    assert_eq!(
        verified(model, &secret, &whole),
        Err("receipt-not-logged".to_owned())
    );
    assert_eq!(
        verified(model, &secret, &with_proof),
        Err("tlog-inclusion-invalid".to_owned())
    );
    // A mirror that somebody changed.
    let entries = Path::new(&mirror).join("tile/entries/000.p/2");
    let mut changed = fs::read(&entries).unwrap();
    let last = changed.len() - 3;
    changed[last] ^= 1;
    fs::write(&entries, changed).unwrap();
    assert_eq!(
        verified(model, &a, &whole),
        Err("tlog-tile-mismatch".to_owned())
    );
    fs::remove_file(&entries).unwrap();
    assert_eq!(
        verified(model, &a, &whole),
        Err("tlog-tile-missing".to_owned())
    );
}

#[test]
fn without_its_log_the_service_answers_nothing() {
    let alone = alone(RISK, &[]);
    let service = &alone.service;
    let before = service.infer(RISK, &alone.model.request(0)).receipt_id();
    let (log, away) = (
        alone.data.path().join("log"),
        alone.data.path().join("away"),
    );
    fs::rename(&log, &away).unwrap();
    // A file in the folder's place: nothing can be made there.
    fs::write(&log, "").unwrap();
    let headers = [("idempotency-key", "k")];
    let body = alone.model.request(1).to_string();
    let path = "/v2/models/risk-classifier/infer";
    let refused = service.try_post(path, &headers, &body).unwrap();
    let detail = refused.problem(503, "log-unavailable");
    assert!(detail.contains("no answer is served"), "{detail}");
    assert_eq!(refused.header("retry-after"), Some("5"));
    for path in [
        "/v2/health/ready",
        "/v2/models/risk-classifier/ready",
        "/checkpoint",
    ] {
        service.get(path).problem(503, "log-unavailable");
    }
    assert_eq!(service.get("/v2/health/live").status, 200);
    // From here on no proof is made for nothing.
    service
        .infer(RISK, &alone.model.request(2))
        .problem(503, "log-unavailable");

    fs::remove_file(&log).unwrap();
    fs::rename(&away, &log).unwrap();
    service.wait_until("the log is used again", |service| {
        service.get("/v2/health/ready").status == 200
    });
    let again = service.try_post(path, &headers, &body).unwrap();
    let (_, envelope) = envelope(service, &again);
    let proof = tlog_proof(&again);
    proof.verify(&entry(&envelope), &policy(service)).unwrap();
    assert_eq!(service.get(&format!("/v1/receipts/{before}")).status, 200);
    // What was proven meanwhile was stored, and is logged since.
    let reader = reader(&alone, &policy(service));
    let entries = reader.entries(0..reader.size()).count();
    let mut alone = alone;
    stop(&mut alone.service);
    let stored = crate::stored(alone.data.path(), RISK);
    assert_eq!(stored.len(), entries);
    assert_eq!(stored.len(), 3);
}

fn reader(alone: &Alone, policy: &Policy) -> Reader<Folder> {
    Reader::open(Folder::new(alone.data.path().join("log/public")), policy).unwrap()
}

/// A receipt as the database holds it before it is logged.
fn record(model: &Public, bytes: &[u8]) -> ReceiptRecord {
    let envelope = Envelope::parse(bytes).unwrap();
    ReceiptRecord {
        id: envelope.receipt_id(),
        model: RISK.to_owned(),
        package_digest: model.digest,
        statement_digest: envelope.receipt().statement_digest().unwrap(),
        envelope: bytes.to_owned(),
        created_at: 0,
        log_index: None,
    }
}

/// As after a disk that was full for one write of the database alone.
#[test]
fn an_entry_whose_index_the_database_did_not_take_is_not_logged_twice() {
    let mut alone = alone(RISK, &[]);
    let policy = policy(&alone.service);
    let receipts = [0, 1].map(|sample| {
        let reply = alone.service.infer(RISK, &alone.model.request(sample));
        envelope(&alone.service, &reply).0
    });
    stop(&mut alone.service);
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let database = alone.data.path().join("proofmark.sqlite");
    runtime.block_on(async {
        let records = receipts.each_ref().map(|bytes| record(&alone.model, bytes));
        fs::remove_file(&database).unwrap();
        let store = Store::open(&database).await.unwrap();
        for record in &records {
            store.insert_receipt(record).await.unwrap();
        }
        // The later one's is known, the earlier one's is not.
        store.log_receipt(&records[1].id, 1, None).await.unwrap();
        store.close().await;
    });
    alone.service = restart(&alone);
    let entries = [0, 1].map(|at: usize| {
        let envelope = Envelope::parse(&receipts[at]).unwrap();
        let id = envelope.receipt_id();
        let proof = alone.service.get(&format!("/v1/receipts/{id}/tlog-proof"));
        let proof = TlogProof::parse(&proof.body).unwrap();
        assert_eq!(proof.index, at as u64);
        proof.verify(&entry(&envelope), &policy).unwrap();
        entry(&envelope)
    });
    stop(&mut alone.service);
    let reader = reader(&alone, &policy);
    let logged: Vec<_> = reader
        .entries(0..reader.size())
        .map(|item| item.unwrap().1.to_bytes().unwrap())
        .collect();
    assert_eq!(logged, entries);
}

#[test]
fn what_is_stored_and_not_logged_is_logged_at_the_next_start() {
    let mut alone = alone(RISK, &[]);
    let reply = alone.service.infer(RISK, &alone.model.request(0));
    let (_, first) = envelope(&alone.service, &reply);
    let policy = policy(&alone.service);
    stop(&mut alone.service);
    // As if the process had ended between storing and logging.
    let path = alone.data.path().join("receipt.json");
    let proven = run(proofmark(&["prove", "--json", "--sample", "1"])
        .arg("--package")
        .arg(alone.packages.path().join(RISK))
        .arg("--input")
        .arg(samples::folder(RISK).join("heldout.npz"))
        .arg("--data")
        .arg(alone.data.path())
        .arg("--receipt")
        .arg(&path));
    assert_eq!(proven.exit, 0, "{proven:?}");
    let bytes = fs::read(&path).unwrap();
    let second = Envelope::parse(&bytes).unwrap();
    let record = record(&alone.model, &bytes);
    let runtime = tokio::runtime::Runtime::new().unwrap();
    runtime.block_on(async {
        let database = alone.data.path().join("proofmark.sqlite");
        let store = Store::open(&database).await.unwrap();
        store.insert_receipt(&record).await.unwrap();
        store.close().await;
    });
    alone.service = restart(&alone);
    let id = second.receipt_id();
    assert_eq!(alone.service.receipt(&id.to_string()), bytes);
    let proof = alone.service.get(&format!("/v1/receipts/{id}/tlog-proof"));
    let proof = TlogProof::parse(&proof.body).unwrap();
    assert_eq!(proof.index, 1);
    proof.verify(&entry(&second), &policy).unwrap();
    // Once: another start logs nothing again.
    stop(&mut alone.service);
    alone.service = restart(&alone);
    let reader = reader(&alone, &policy);
    let logged: Vec<_> = reader
        .entries(0..reader.size())
        .map(|item| item.unwrap().1.to_bytes().unwrap())
        .collect();
    assert_eq!(logged, [entry(&first), entry(&second)]);
}

#[test]
fn a_log_that_lacks_what_was_handed_out_is_not_used() {
    let mut alone = alone(RISK, &[]);
    alone
        .service
        .infer(RISK, &alone.model.request(0))
        .receipt_id();
    let start = Start {
        packages: alone.packages.path(),
        data: alone.data.path(),
        more: &[],
    };
    // One writer only.
    let second = run(&mut start.command());
    second.refused(3, "log-locked");
    stop(&mut alone.service);
    // What the log holds is remembered beside it whenever the service starts.
    alone.service = restart(&alone);
    stop(&mut alone.service);
    fs::remove_dir_all(alone.data.path().join("log")).unwrap();
    let detail = run(&mut start.command()).refused(1, "log-shrank");
    assert!(detail.contains("remembers a log with entries"), "{detail}");
    // The database knows it as well.
    fs::remove_file(alone.data.path().join("log.checkpoint")).unwrap();
    let detail = run(&mut start.command()).refused(3, "log-behind-store");
    assert!(detail.contains("restore the folder"), "{detail}");
}

/// Over HTTP, without a listing: whoever mirrors regularly sees when history is rewritten.
#[test]
fn a_mirror_follows_a_log_that_only_grows() {
    let mut alone = alone(RISK, &[]);
    let log_key = alone.service.log_key().to_owned();
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("mirror");
    let mirror = |url: &str| {
        run(proofmark(&[
            "log",
            "mirror",
            "--json",
            "--url",
            url,
            "--log-key",
            &log_key,
        ])
        .arg("--out")
        .arg(&out))
    };
    let ask = |service: &Service, sample: usize| {
        let reply = service.infer(RISK, &alone.model.request(sample));
        envelope(service, &reply)
    };
    let (bytes, receipt) = ask(&alone.service, 0);
    let first = mirror(alone.service.url());
    assert_eq!(first.exit, 0, "{first:?}");
    assert_eq!(
        (&first.json()["size"], &first.json()["before"]),
        (&1.into(), &0.into())
    );
    // An older state of the log goes another way.
    let (log, fork) = (alone.data.path().join("log"), folder.path().join("fork"));
    fs::create_dir(&fork).unwrap();
    let copied = Command::new("cp")
        .arg("-r")
        .args([&log, &alone.data.path().join("service_key"), &fork])
        .status()
        .unwrap();
    assert!(copied.success());
    for sample in 1..4 {
        ask(&alone.service, sample);
    }
    let second = mirror(alone.service.url()).json();
    assert_eq!((&second["size"], &second["before"]), (&4.into(), &1.into()));
    let again = mirror(alone.service.url()).json();
    assert_eq!((&again["size"], &again["files"]), (&4.into(), &0.into()));
    let forked = Service::start(Start {
        packages: alone.packages.path(),
        data: &fork,
        more: &[],
    });
    for sample in 4..8 {
        ask(&forked, sample);
    }
    mirror(forked.url()).refused(1, "tlog-inconsistent");
    assert!(out.join("checkpoint.refused").is_file());
    // What the mirror has stands, and serves who verifies.
    stop(&mut alone.service);
    let kept = folder.path().join("receipt");
    fs::write(&kept, bytes).unwrap();
    let signer = format!("0x{}", hex::encode(receipt.receipt().signer));
    let place = out.display().to_string();
    let whole = [
        "--log",
        &place,
        "--log-key",
        &log_key,
        "--service-key",
        &signer,
    ];
    assert_eq!(
        verified(&alone.model, &kept, &whole).unwrap()["log"]["size"],
        4
    );
    // Another log's key, and nobody there.
    let other = run(proofmark(&[
        "log",
        "mirror",
        "--url",
        forked.url(),
        "--log-key",
        &log_key,
    ])
    .args(["--json", "--witness-key", &log_key])
    .arg("--out")
    .arg(&out));
    other.refused(2, "log-key-invalid");
    mirror("http://127.0.0.1:1").refused(3, "service-unreachable");
}

/// An auditor who has a plain copy of the log, and knows whom else to ask.
#[test]
fn an_auditor_demands_that_witnesses_saw_the_log() {
    let mut alone = alone(RISK, &[]);
    let log_key = alone.service.log_key().to_owned();
    stop(&mut alone.service);
    let work = tempfile::tempdir().unwrap();
    let witness = |number: &str| {
        let name = format!("witness.example/{number}");
        crate::notices::witness(&work.path().join(number), &name, &log_key)
    };
    let (first, second) = (witness("1"), witness("2"));
    alone.service = Service::start(Start {
        packages: alone.packages.path(),
        data: alone.data.path(),
        more: &["--witness", &first.url, "--witness-key", &first.key],
    });
    let reply = alone.service.infer(RISK, &alone.model.request(0));
    let receipt = work.path().join("receipt.json");
    let id = reply.receipt_id();
    fs::write(&receipt, alone.service.receipt(&id)).unwrap();
    let url = format!("/v1/receipts/{id}/tlog-proof?head=cosigned");
    alone
        .service
        .wait_until("it is cosigned", |service| service.get(&url).status == 200);
    stop(&mut alone.service);
    let audit = |report: &str, more: &[&str]| {
        run(proofmark(&["audit", "--json", "--log-key", &log_key])
            .arg("--package")
            .arg(alone.packages.path().join(RISK))
            .arg("--receipts")
            .arg(&receipt)
            .arg("--log")
            .arg(alone.data.path().join("log"))
            .arg("--report")
            .arg(work.path().join(report))
            .args(more))
    };
    let (one, other) = (
        ["--witness-key", &first.key],
        ["--witness-key", &second.key],
    );
    let both = [one, other].concat();
    let either = [&both[..], &["--witness-quorum", "1"]].concat();
    for (report, demanded) in [("one", &one[..]), ("either", &either)] {
        let audited = audit(report, demanded);
        assert_eq!(audited.exit, 0, "{audited:?}");
        let pass = audited.json()["pass"].to_string();
        assert!(pass.contains("log-witnesses"), "{pass}");
        let page = fs::read_to_string(work.path().join(report).join("report.html")).unwrap();
        assert!(page.contains("witness witness.example/1"));
    }
    for (report, demanded) in [("both", &both[..]), ("other", &other)] {
        let detail = audit(report, demanded).refused(1, "audit-failed");
        assert!(detail.contains("may have been made for you"), "{detail}");
    }
    let audited = audit("nobody", &[]);
    assert_eq!(audited.exit, 0, "{audited:?}");
    let open = audited.json()["not_checked"].to_string();
    assert!(open.contains("log-witnesses"), "{open}");
    let three = [&both[..], &["--witness-quorum", "3"]].concat();
    audit("three", &three).refused(2, "witness-quorum-invalid");
    audit("key", &["--witness-key", &log_key]).refused(2, "log-key-invalid");
}

/// Clients that leave at any moment: the log holds whatever was proven for them, and the next one
/// is served.
#[test]
fn who_leaves_takes_nothing_out_of_the_log() {
    use std::io::Write as _;
    let mut alone = alone(RISK, &[]);
    let address = alone
        .service
        .url()
        .strip_prefix("http://")
        .unwrap()
        .to_owned();
    let mut random = proofmark_tests::Random::new(0x1EAF);
    for sample in 0..12 {
        let body = alone.model.request(sample % 8).to_string();
        let mut stream = std::net::TcpStream::connect(&address).unwrap();
        write!(
            stream,
            "POST /v2/models/{RISK}/infer HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\n\
             content-length: {}\r\n\r\n{body}",
            body.len()
        )
        .unwrap();
        let stay = random.between(0, 60_000) as u64;
        std::thread::sleep(std::time::Duration::from_micros(stay));
        drop(stream.shutdown(std::net::Shutdown::Both));
    }
    let policy = policy(&alone.service);
    let reply = alone.service.infer(RISK, &alone.model.request(0));
    let (bytes, last) = envelope(&alone.service, &reply);
    tlog_proof(&reply).verify(&entry(&last), &policy).unwrap();
    stop(&mut alone.service);
    let stored = crate::stored(alone.data.path(), RISK);
    assert!(stored.contains(&bytes));
    let reader = reader(&alone, &policy);
    let logged: Vec<Vec<u8>> = reader
        .raw_entries(0..reader.size())
        .map(|item| item.unwrap().1)
        .collect();
    assert_eq!(logged.len(), stored.len());
    for receipt in stored {
        assert!(logged.contains(&entry(&Envelope::parse(&receipt).unwrap())));
    }
}

//! A disk that is full, files that may not grow, a data folder that is read-only: what cannot be
//! stored and logged is not served, nothing that was served is lost, and when there is room again the
//! service goes on by itself.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Mutex;
use std::thread;

use proofmark_log::{Entry, Folder, Reader, ReceiptEntry};
use proofmark_tests::disk::{
    PAGE, SmallDisk, bound_by_permissions, limit_files, limited, set_writable,
};
use proofmark_tests::service::{Ended, Public, Reply, Service, Start, only};
use proofmark_tlog::Policy;
use proofmark_types::Envelope;
use proofmark_verifier::{Expectations, Pins, TrustedPackage};

use crate::{RISK, stored, tlog_proof};

const INFER: &str = "/v2/models/risk-classifier/infer";
/// What the system, and the database, say of a full disk and of files that may not grow.
const REASONS: [&str; 4] = [
    "No space left on device",
    "File too large",
    "database or disk is full",
    "disk I/O error",
];
/// Room for everything that these tests do.
const PAGES: u64 = 4096;

/// A data folder that can be made full.
enum Place {
    /// A file system of its own.
    Small(SmallDisk),
    /// A folder in which files do not grow beyond a length.
    Limited(tempfile::TempDir),
}

impl Place {
    /// A file system where this machine lets us mount one, else a limit on files.
    fn full() -> Self {
        SmallDisk::new(PAGES).map_or_else(
            |reason| {
                println!(
                    "no file system of a few pages here ({reason}); files are limited instead"
                );
                Self::limited()
            },
            Self::Small,
        )
    }

    fn limited() -> Self {
        Self::Limited(tempfile::tempdir().unwrap())
    }

    fn inside(&self) -> &Path {
        match self {
            Self::Small(disk) => disk.inside(),
            Self::Limited(folder) => folder.path(),
        }
    }

    fn outside(&self) -> PathBuf {
        match self {
            Self::Small(disk) => disk.outside(),
            Self::Limited(folder) => folder.path().to_owned(),
        }
    }

    /// Starts the service on a subfolder. Its log is on the same disk.
    fn start(&self, packages: &Path, data: &str, limit: Option<u64>) -> Result<Service, Ended> {
        let folder = self.inside().join(data);
        let start = Start {
            packages,
            data: &folder,
            more: &["--table-memory", "0"],
        };
        let command = match self {
            Self::Small(disk) => disk.command(&start.command()),
            Self::Limited(_) => limited(&start.command(), limit),
        };
        Service::spawn(command, &self.outside().join("service.log"))
    }

    /// Leaves room for this many pages; with limited files, in the longest file.
    fn leave(&self, service: &Service, data: &str, pages: u64) {
        match self {
            Self::Small(disk) => disk.leave(pages),
            Self::Limited(folder) => {
                let longest = folder.path().join(data).join("proofmark.sqlite-wal");
                let length = fs::metadata(longest).unwrap().len();
                let room = match pages {
                    0 => 0,
                    pages => length + (pages - 1) * PAGE,
                };
                limit_files(service.id(), Some(room));
            }
        }
    }

    fn free(&self, service: Option<&Service>) {
        match (self, service) {
            (Self::Small(disk), _) => disk.free(),
            (Self::Limited(_), Some(service)) => limit_files(service.id(), None),
            (Self::Limited(_), None) => {}
        }
    }
}

fn trusted(model: &Public) -> TrustedPackage {
    let pins = Pins::package(model.digest);
    TrustedPackage::open(&pins, &model.manifest_bytes, &model.key_bytes).unwrap()
}

/// Copies a data folder that no service uses.
fn copy(from: &Path, to: &Path) {
    let copied = Command::new("cp").arg("-r").arg(from).arg(to).status();
    assert!(copied.unwrap().success());
}

/// What was handed out is stored, verifies, and is in the log where its proof says; what is stored is
/// proven and logged, once.
fn check(data: &Path, model: &Public, log: &Policy, handed_out: &[Reply]) {
    let trusted = trusted(model);
    let all = stored(data, RISK);
    let reader = Reader::open(Folder::new(data.join("log/public")), log).unwrap();
    let mut logged = Vec::new();
    for item in reader.raw_entries(0..reader.size()) {
        logged.push(item.unwrap().1);
    }
    let entry = |receipt: &[u8]| {
        let envelope = Envelope::parse(receipt).unwrap();
        let entry = Entry::Receipt(ReceiptEntry::of(&envelope).unwrap());
        entry.to_bytes().unwrap()
    };
    for receipt in &all {
        trusted.verify(receipt, &Expectations::default()).unwrap();
        let times = logged.iter().filter(|l| **l == entry(receipt)).count();
        assert_eq!(times, 1, "a stored receipt is logged once");
    }
    assert_eq!(logged.len(), all.len());
    for reply in handed_out {
        let receipt = all
            .iter()
            .find(|receipt| reply.body.windows(receipt.len()).any(|w| w == *receipt))
            .expect("what was handed out is stored");
        let proof = tlog_proof(reply);
        proof.verify(&entry(receipt), log).unwrap();
        assert_eq!(
            logged[usize::try_from(proof.index).unwrap()],
            entry(receipt)
        );
    }
}

/// The disk fills up under a running service, up to every page in turn that an answer takes.
fn fills_up_under_a_service(place: &Place, expected: &[&str]) {
    let packages = only(RISK);
    let model = Public::read(&packages.path().join(RISK));
    let mut service = place.start(packages.path(), "data", None).unwrap();
    let log = Policy::new(service.log_key().parse().unwrap());
    let ask = |service: &Service, key: u64| {
        let key_text = format!("key-{key}");
        let body = model.request(key as usize % 8).to_string();
        let headers = [("idempotency-key", key_text.as_str())];
        service.try_post(INFER, &headers, &body).unwrap()
    };
    let mut handed_out = vec![ask(&service, 1000)];
    let first = handed_out[0].receipt_id();
    let (mut codes, mut refused) = (BTreeSet::new(), Vec::new());
    for pages in 0..32 {
        place.leave(&service, "data", pages);
        let reply = ask(&service, pages);
        if reply.status == 200 {
            handed_out.push(reply);
        } else {
            let code = reply.json()["code"].as_str().unwrap().to_owned();
            let detail = reply.problem(503, &code);
            assert!(detail.contains("no answer is served"), "{detail}");
            assert_eq!(reply.header("retry-after"), Some("5"));
            refused.push(pages);
            // What was handed out before is still given out.
            assert!(!service.receipt(&first).is_empty());
            // With no room at all it knows that, and takes nothing more.
            if code == "log-unavailable" || pages == 0 {
                service.get("/v2/health/ready").problem(503, &code);
                ask(&service, pages).problem(503, &code);
            }
            codes.insert(code);
        }
        assert_eq!(service.get("/v2/health/live").status, 200);
        place.free(Some(&service));
        service.wait_until("there is room, and it is ready", |service| {
            service.get("/v2/health/ready").status == 200
        });
    }
    assert!(
        codes
            .iter()
            .map(String::as_str)
            .eq(expected.iter().copied()),
        "{codes:?}"
    );
    // Whoever was refused gets an answer now, and the others the same one again.
    for key in &refused {
        let reply = ask(&service, *key);
        reply.receipt_id();
        handed_out.push(reply);
    }
    for reply in &handed_out {
        let receipt = service.receipt(&reply.receipt_id());
        assert!(reply.body.windows(receipt.len()).any(|w| w == receipt));
    }
    service.assert_healthy(&model);
    service.terminate();
    assert_eq!(service.wait(), Some(0), "{}", service.log());
    // What the log took and the database did not is brought together at the next start, once.
    let mut service = place.start(packages.path(), "data", None).unwrap();
    service.terminate();
    assert_eq!(service.wait(), Some(0), "{}", service.log());
    let kept = tempfile::tempdir().unwrap();
    let data = kept.path().join("data");
    copy(&place.outside().join("data"), &data);
    check(&data, &model, &log, &handed_out);
    println!(
        "{} requests while there was too little room ({codes:?}), {} answers; none lost, none unverified",
        refused.len(),
        handed_out.len()
    );
}

#[test]
fn a_disk_that_fills_up_loses_nothing_and_serves_nothing_unstored() {
    let place = Place::full();
    let expected: &[&str] = match &place {
        Place::Small(_) => &["log-unavailable", "store-unavailable"],
        Place::Limited(_) => &["store-unavailable"],
    };
    fills_up_under_a_service(&place, expected);
}

#[test]
fn files_that_may_not_grow_lose_nothing_and_serve_nothing_unstored() {
    fills_up_under_a_service(&Place::limited(), &["store-unavailable"]);
}

/// At its first start the service makes keys, a database and a log: wherever the room ends, it says
/// so, and starts when there is room.
fn starts_on_too_little_room(place: &Place) {
    let packages = only(RISK);
    let model = Public::read(&packages.path().join(RISK));
    let mut codes = BTreeSet::new();
    for pages in (0..8).chain((8..128).step_by(6)) {
        let data = format!("data-{pages}");
        if let Place::Small(disk) = place {
            disk.leave(pages);
        }
        let first = place.start(packages.path(), &data, Some(pages * PAGE));
        let enough = first.is_ok();
        match first {
            Ok(service) => drop(service),
            Err(ended) => {
                let code = ended.json()["code"].as_str().unwrap().to_owned();
                let detail = ended.refused(3, &code);
                assert!(
                    REASONS.iter().any(|words| detail.contains(words)),
                    "{detail}"
                );
                codes.insert(code);
            }
        }
        place.free(None);
        let mut service = place.start(packages.path(), &data, None).unwrap();
        service.assert_healthy(&model);
        service.terminate();
        assert_eq!(service.wait(), Some(0), "{}", service.log());
        for file in fs::read_dir(place.outside().join(&data)).unwrap() {
            let name = file.unwrap().file_name().into_string().unwrap();
            assert!(!name.ends_with(".new"), "{name} is left of the first start");
        }
        fs::remove_dir_all(place.outside().join(&data)).unwrap();
        if enough {
            println!("starts with {pages} pages; with fewer: {codes:?}");
            assert!(codes.len() > 1, "{codes:?}");
            return;
        }
    }
    panic!("it starts with no room at all: {codes:?}");
}

#[test]
fn a_first_start_on_a_full_disk_is_refused_and_spoils_nothing() {
    starts_on_too_little_room(&Place::full());
}

#[test]
fn a_first_start_with_files_that_may_not_grow_is_refused_and_spoils_nothing() {
    starts_on_too_little_room(&Place::limited());
}

#[test]
fn a_read_only_data_folder_is_refused_by_name() {
    let packages = only(RISK);
    let model = Public::read(&packages.path().join(RISK));
    let root = tempfile::tempdir().unwrap();
    let start = |data: &Path| {
        let start = Start {
            packages: packages.path(),
            data,
            more: &[],
        };
        let log = root.path().join("service.log");
        Service::spawn(bound_by_permissions(&start.command()), &log)
    };
    let refused = |data: &Path, code: &str| {
        let detail = start(data).unwrap_err().refused(3, code);
        assert!(detail.contains("Permission denied"), "{detail}");
        assert!(detail.contains(data.to_str().unwrap()), "{detail}");
    };
    // A folder that is not there, in one that takes none.
    let locked = root.path().join("locked");
    fs::create_dir(&locked).unwrap();
    set_writable(&locked, false);
    refused(&locked.join("data"), "service-key");
    assert!(!locked.join("data").exists());

    // One that was in use.
    let data = root.path().join("data");
    let mut service = start(&data).unwrap();
    let log = Policy::new(service.log_key().parse().unwrap());
    let reply = service.infer(RISK, &model.request(0));
    let receipt = service.receipt(&reply.receipt_id());
    service.terminate();
    assert_eq!(service.wait(), Some(0), "{}", service.log());
    for (part, code) in [
        ("", "store-create"),
        ("log", "log-io"),
        ("proofmark.sqlite", "store-create"),
    ] {
        let part = data.join(part);
        set_writable(&part, false);
        refused(&data, code);
        set_writable(&part, true);
    }
    let mut service = start(&data).unwrap();
    assert_eq!(service.receipt(&reply.receipt_id()), receipt);
    let more = service.infer(RISK, &model.request(1));
    service.terminate();
    assert_eq!(service.wait(), Some(0), "{}", service.log());
    check(&data, &model, &log, &[reply, more]);
}

#[test]
fn a_data_folder_that_becomes_read_only_is_used_again_when_it_can_be_written() {
    let packages = only(RISK);
    let model = Public::read(&packages.path().join(RISK));
    let root = tempfile::tempdir().unwrap();
    let data = root.path().join("data");
    let start = Start {
        packages: packages.path(),
        data: &data,
        more: &[],
    };
    let log = root.path().join("service.log");
    let mut service = Service::spawn(bound_by_permissions(&start.command()), &log).unwrap();
    let policy = Policy::new(service.log_key().parse().unwrap());
    let mut handed_out = vec![service.infer(RISK, &model.request(0))];
    let first = handed_out[0].receipt_id();
    set_writable(&data, false);
    // Many at once: what the service opens now, it can only read.
    let many = |ask: &(dyn Fn(usize) -> Reply + Sync)| {
        let replies = Mutex::new(Vec::new());
        thread::scope(|scope| {
            for number in 0..16 {
                let replies = &replies;
                scope.spawn(move || {
                    let reply = ask(number);
                    replies.lock().unwrap().push(reply);
                });
            }
        });
        replies.into_inner().unwrap()
    };
    for reply in many(&|number| service.infer(RISK, &model.request(number % 8))) {
        let code = reply.json()["code"].as_str().unwrap().to_owned();
        assert!(["log-unavailable", "store-unavailable"].contains(&&*code));
        reply.problem(503, &code);
    }
    service
        .get("/v2/health/ready")
        .problem(503, "log-unavailable");
    for reply in many(&|_| service.get(&format!("/v1/receipts/{first}"))) {
        assert_eq!(reply.status, 200, "{}", reply.text());
    }
    set_writable(&data, true);
    service.wait_until("the log is used again", |service| {
        service.get("/v2/health/ready").status == 200
    });
    for _ in 0..2 {
        let answers = many(&|number| service.infer(RISK, &model.request(number % 8)));
        for reply in &answers {
            reply.receipt_id();
        }
        handed_out.extend(answers);
    }
    service.assert_healthy(&model);
    service.terminate();
    assert_eq!(service.wait(), Some(0), "{}", service.log());
    check(&data, &model, &policy, &handed_out);
}

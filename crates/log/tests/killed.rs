//! A process that adds entries is killed at random points, again and again, over the same log.
//! `PROOFMARK_DEEP=1`: 500 times.
#![forbid(unsafe_code)]
#![expect(clippy::unwrap_used, reason = "a test that panics has failed")]

use std::collections::BTreeMap;
use std::io::{BufRead as _, BufReader, Write as _};
use std::os::unix::process::ExitStatusExt as _;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::mpsc;
use std::time::Duration;

use proofmark_log::tlog::{Policy, TlogProof, VerifierKey};
use proofmark_log::{Entry, Folder, Log, Options, Reader, ReceiptEntry};
use proofmark_types::Digest;

/// Tells the process that it is the one to be killed, and where the log is.
const CHILD: &str = "PROOFMARK_LOG_KILLED";
/// Threads that add entries at the same time.
const THREADS: u64 = 4;

fn entry(i: u64) -> Entry {
    Entry::Receipt(ReceiptEntry {
        receipt: Digest::of(&i.to_be_bytes()),
        package: Digest::of(b"package"),
        proved_at: i % (1 << 53),
    })
}

fn random() -> u64 {
    let mut bytes = [0; 8];
    getrandom::fill(&mut bytes).unwrap();
    u64::from_be_bytes(bytes)
}

/// Adds entries for ever; says each that was acknowledged.
fn append_until_killed(folder: &Path) {
    let log = Log::open(folder, &Options::default()).unwrap();
    let say = |line: String| {
        let mut out = std::io::stdout().lock();
        out.write_all(line.as_bytes()).unwrap();
        out.flush().unwrap();
    };
    say(format!("\nopen {}\n", log.verifier_key()));
    std::thread::scope(|scope| {
        for _ in 0..THREADS {
            scope.spawn(|| {
                loop {
                    // Now and then more than a tile at once.
                    let count = if random().is_multiple_of(16) { 300 } else { 1 };
                    let numbers: Vec<u64> = (0..count).map(|_| random()).collect();
                    let entries: Vec<Entry> = numbers.iter().map(|i| entry(*i)).collect();
                    let places = log.append_all(&entries).unwrap();
                    for (place, i) in places.iter().zip(numbers) {
                        say(format!(
                            "ok {} {i} {}\n",
                            place.index,
                            hex::encode(&place.proof)
                        ));
                    }
                }
            });
        }
    });
}

#[test]
fn killed_at_random_points() {
    if let Some(folder) = std::env::var_os(CHILD) {
        append_until_killed(Path::new(&folder));
        return;
    }
    let deep = std::env::var_os("PROOFMARK_DEEP").is_some_and(|v| v == "1");
    let rounds = if deep { 500 } else { 30 };
    let folder = tempfile::tempdir().unwrap();
    let mut acknowledged: BTreeMap<u64, u64> = BTreeMap::new();
    let (mut working, mut redone, mut size) = (0, 0, 0);
    let mut checkpoint: Option<Vec<u8>> = None;
    for _ in 0..rounds {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "killed_at_random_points", "--nocapture"])
            .env(CHILD, folder.path())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let out = BufReader::new(child.stdout.take().unwrap());
        let (sender, receiver) = mpsc::channel();
        let listener = std::thread::spawn(move || {
            let lines = out.split(b'\n').map_while(Result::ok);
            let texts = lines.filter_map(|line| String::from_utf8(line).ok());
            // Nobody listens any more once the process is to be killed; the lines still count.
            texts
                .inspect(|line| {
                    sender.send(line.starts_with("ok ")).ok();
                })
                .collect::<Vec<String>>()
        });
        // A quarter dies around its start, the others when they have acknowledged a few.
        let mut few = if random().is_multiple_of(4) {
            0
        } else {
            1 + random() % 8
        };
        while few != 0 {
            let ok = receiver.recv_timeout(Duration::from_mins(1)).unwrap();
            few -= u64::from(ok);
        }
        std::thread::sleep(Duration::from_micros(random() % 40_000));
        child.kill().unwrap();
        let status = child.wait().unwrap();
        assert_eq!(status.signal(), Some(9), "it never ends by itself");
        let lines = listener.join().unwrap();

        // What a mirror would find at this moment.
        let public = folder.path().join("public");
        let opened = lines.iter().find_map(|line| line.strip_prefix("open "));
        if let Some(vkey) = opened {
            let policy = Policy::new(vkey.parse().unwrap());
            let reader = Reader::open(Folder::new(&public), &policy).unwrap();
            assert!(reader.entries(0..reader.size()).all(|item| item.is_ok()));
            if let Some(before) = &checkpoint {
                reader.consistent_with(before).unwrap();
            }
        }

        // What the next start makes of it.
        let options = Options {
            known: checkpoint,
            ..Options::default()
        };
        let log = Log::open(folder.path(), &options).unwrap();
        assert_eq!(log.recovery().repaired, Vec::<String>::new());
        redone += u64::from(log.recovery().redone != 0);
        let vkey: VerifierKey = log.verifier_key().clone();
        assert!(opened.is_none_or(|text| text == vkey.to_string()));
        let policy = Policy::new(vkey);
        let mut count = 0;
        for line in lines.iter().filter_map(|line| line.strip_prefix("ok ")) {
            let mut words = line.split(' ');
            let (index, number, proof) = (words.next(), words.next(), words.next());
            // The line that was being written when the process died may be cut.
            let proof = proof
                .and_then(|p| hex::decode(p).ok())
                .map(|p| TlogProof::parse(&p));
            let Some(Ok(proof)) = proof else {
                continue;
            };
            let index: u64 = index.unwrap().parse().unwrap();
            let number: u64 = number.unwrap().parse().unwrap();
            let bytes = entry(number).to_bytes().unwrap();
            let verified = proof.verify(&bytes, &policy).unwrap();
            assert!(verified.head.checkpoint().size() <= log.size());
            assert_eq!(acknowledged.insert(index, number), None);
            count += 1;
        }
        working += u64::from(count != 0);
        let reader = Reader::open(Folder::new(&public), &policy).unwrap();
        assert!(reader.size() >= size);
        size = reader.size();
        let held: BTreeMap<u64, Entry> = reader.entries(0..size).map(Result::unwrap).collect();
        for (index, number) in &acknowledged {
            assert_eq!(held.get(index), Some(&entry(*number)), "{index}");
        }
        checkpoint = Some(log.checkpoint().to_string().into_bytes());
    }
    println!(
        "killed {rounds} times, {working} while entries were acknowledged, {redone} within a batch; \
         {size} entries, {} acknowledged, none lost",
        acknowledged.len()
    );
    assert!(
        working * 3 > rounds,
        "too few kills hit the work: {working}"
    );
    assert!(acknowledged.len() as u64 <= size);
}

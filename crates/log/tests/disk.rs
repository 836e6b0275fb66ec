//! A disk that takes no more: files above a size cannot be written, as `ulimit -f` has it. The
//! process is told (`EFBIG`, in the middle of a file), or is killed by the signal.
#![forbid(unsafe_code)]
#![expect(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "a test that panics has failed, and the child tells what it did"
)]

use std::path::Path;
use std::process::{Command, Stdio};

use proofmark_log::tlog::{Policy, TlogProof};
use proofmark_log::{Entry, Folder, Log, Options, Reader, ReceiptEntry};
use proofmark_types::Digest;

/// Tells the process that it is the one with the small disk, and where the log is.
const CHILD: &str = "PROOFMARK_LOG_FULL";
/// Entries that are begun with.
const BEFORE: u64 = 3;

fn entry(i: u64) -> Entry {
    Entry::Receipt(ReceiptEntry {
        receipt: Digest::of(&i.to_be_bytes()),
        package: Digest::of(b"package"),
        proved_at: i,
    })
}

/// Adds entries one by one until one is refused; tries once more. Says what was acknowledged.
fn append_until_refused(folder: &Path) {
    let log = Log::open(folder, &Options::default()).unwrap();
    for i in log.size().. {
        match log.append(&entry(i)) {
            Ok(place) => println!("\nok {i} {} {}", place.index, hex::encode(place.proof)),
            Err(error) => {
                println!("\nrefused {} {}", error.code(), log.size());
                assert!(log.append(&entry(i)).is_err(), "there is no more room");
                return;
            }
        }
    }
}

/// Runs the child under a limit in KiB; `trap` is what the shell does about the signal.
fn child(folder: &Path, limit: u64, trap: &str) -> Vec<String> {
    let own = std::env::current_exe().unwrap();
    let output = Command::new("bash")
        .arg("-c")
        .arg(format!(
            "{trap} ulimit -f {limit}; exec \"$0\" --exact a_full_disk_loses_nothing --nocapture"
        ))
        .arg(own)
        .env(CHILD, folder)
        .stderr(Stdio::null())
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    text.lines().map(str::to_owned).collect()
}

#[test]
fn a_full_disk_loses_nothing() {
    if let Some(folder) = std::env::var_os(CHILD) {
        append_until_refused(Path::new(&folder));
        return;
    }
    // Room for the intent of one entry and not for the bundle of all: the batch is part of the log
    // and cannot be published. Less room: not even the intent can be written.
    for (limit, trap) in [(8, "trap '' XFSZ;"), (8, ""), (1, "trap '' XFSZ;"), (1, "")] {
        let folder = tempfile::tempdir().unwrap();
        let log = Log::open(folder.path(), &Options::default()).unwrap();
        let first: Vec<Entry> = (0..BEFORE).map(entry).collect();
        log.append_all(&first).unwrap();
        let policy = Policy::new(log.verifier_key().clone());
        drop(log);
        let mut size = BEFORE;
        for _ in 0..2 {
            let said = child(folder.path(), limit, trap);
            for line in said.iter().filter_map(|line| line.strip_prefix("ok ")) {
                let words: Vec<&str> = line.split(' ').collect();
                let (number, index): (u64, u64) =
                    (words[0].parse().unwrap(), words[1].parse().unwrap());
                assert_eq!(index, size);
                let proof = TlogProof::parse(&hex::decode(words[2]).unwrap()).unwrap();
                let bytes = entry(number).to_bytes().unwrap();
                proof.verify(&bytes, &policy).unwrap();
                size += 1;
            }
            let refused = said.iter().find_map(|line| line.strip_prefix("refused "));
            // With the limit in force from the start the log may not even open a second time.
            if let Some(refused) = refused {
                assert_eq!(
                    refused,
                    format!("log-io {size}"),
                    "what is shown is published"
                );
            }
            // As a mirror finds it meanwhile.
            let reader = Reader::open(Folder::new(folder.path().join("public")), &policy).unwrap();
            assert_eq!(reader.size(), size);
            assert!(reader.entries(0..size).all(|item| item.is_ok()));
        }
        assert!(limit == 1 || size > BEFORE + 10, "{size} in {limit} KiB");
        // There is room again: nothing that was acknowledged is gone, and one entry may have come.
        let log = Log::open(folder.path(), &Options::default()).unwrap();
        assert!(
            log.size() == size || log.size() == size + 1,
            "{}",
            log.size()
        );
        assert_eq!(log.recovery().repaired, Vec::<String>::new());
        let reader = Reader::open(Folder::new(log.public_folder()), &policy).unwrap();
        for (index, item) in (0..size).zip(reader.entries(0..size)) {
            assert_eq!(item.unwrap(), (index, entry(index)));
        }
        log.append(&entry(1000)).unwrap();
    }
}

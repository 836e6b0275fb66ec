//! A disk that takes no more: files above a size cannot be written, as `ulimit -f` has it. The
//! process is told (`EFBIG`, in the middle of a file), or is killed by the signal.
#![cfg(unix)]
#![expect(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "a test that panics has failed, and the child tells what it did"
)]

use std::path::Path;
use std::process::{Command, Stdio};

use proofmark_store::{NewAnswer, ReceiptRecord, Store, StoreError};
use proofmark_types::Digest;

/// Tells the process that it is the one with the small disk, and where the database is.
const CHILD: &str = "PROOFMARK_STORE_FULL";

fn record(k: u32) -> ReceiptRecord {
    let envelope = vec![k.to_le_bytes()[0]; 4096 + k as usize];
    ReceiptRecord {
        id: Digest::of(&envelope),
        model: "digits".to_owned(),
        package_digest: Digest::of(b"package"),
        statement_digest: Digest::of(b"statement"),
        envelope,
        created_at: i64::from(k),
        log_index: None,
    }
}

fn key(k: u32) -> String {
    format!("key-{k}")
}

fn block_on<T>(future: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap()
        .block_on(future)
}

/// Stores a receipt, then its index together with an answer: the two steps of the service.
async fn add(store: &Store, k: u32) -> Result<(), StoreError> {
    let record = record(k);
    store.insert_receipt(&record).await?;
    let answer = NewAnswer {
        key: key(k),
        request_digest: Digest::of(b"request"),
        answer: record.envelope.clone(),
    };
    store
        .log_receipt(&record.id, u64::from(k), Some(&answer))
        .await
}

/// Adds until it is refused; says what was acknowledged, and whether it goes on when there is room.
async fn add_until_refused(path: &Path) {
    let store = match Store::open(path).await {
        Ok(store) => store,
        Err(error) => {
            println!("\nclosed {}", error.code());
            return;
        }
    };
    let mut next = 0;
    while store.answer(&key(next)).await.unwrap().is_some() {
        next += 1;
    }
    let first = next;
    loop {
        match add(&store, next).await {
            Ok(()) => println!("\nok {next}"),
            Err(error) => {
                println!("\nrefused {} {error}", error.code());
                break;
            }
        }
        next += 1;
    }
    // Still full, and what is there is still read.
    assert_eq!(
        add(&store, next).await.unwrap_err().code(),
        "store-unavailable"
    );
    if next > first {
        let read = store.receipt(&record(first).id).await.unwrap().unwrap();
        assert_eq!(read.envelope, record(first).envelope);
    }
    let lifted = Command::new("prlimit")
        .args(["--pid", &std::process::id().to_string()])
        .arg("--fsize=unlimited:")
        .status();
    assert!(
        lifted.is_ok_and(|status| status.success()),
        "prlimit (util-linux) does not lift the limit"
    );
    add(&store, next).await.unwrap();
    println!("\nok {next}");
    println!("\nwent on");
}

/// Runs the child under a limit in KiB; `trap` is what the shell does about the signal.
fn child(path: &Path, limit: u32, trap: &str) -> Vec<String> {
    let output = Command::new("bash")
        .arg("-c")
        .arg(format!(
            "{trap} ulimit -S -f {limit}; exec \"$0\" --exact a_full_disk_loses_nothing --nocapture"
        ))
        .arg(std::env::current_exe().unwrap())
        .env(CHILD, path)
        .stderr(Stdio::null())
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    text.lines().map(str::to_owned).collect()
}

#[test]
fn a_full_disk_loses_nothing() {
    if let Some(path) = std::env::var_os(CHILD) {
        block_on(add_until_refused(Path::new(&path)));
        return;
    }
    let told = "trap '' XFSZ;";
    let (mut refused, mut closed) = (0, 0);
    for limit in [0, 4, 40, 100, 101, 103, 107, 500] {
        for trap in [told, ""] {
            let folder = tempfile::tempdir().unwrap();
            let path = folder.path().join("receipts.db");
            let mut acknowledged = 0;
            for _ in 0..2 {
                let said = child(&path, limit, trap);
                for line in said.iter().filter_map(|line| line.strip_prefix("ok ")) {
                    assert_eq!(line.parse(), Ok(acknowledged));
                    acknowledged += 1;
                }
                for line in &said {
                    if let Some(code) = line.strip_prefix("closed ") {
                        assert!(["store-open", "store-create"].contains(&code), "{code}");
                        closed += 1;
                    }
                    if let Some(words) = line.strip_prefix("refused ") {
                        assert!(words.starts_with("store-unavailable "), "{words}");
                        assert!(words.contains("check disk space"), "{words}");
                        assert!(said.iter().any(|line| line == "went on"), "{said:?}");
                        refused += 1;
                    }
                }
                // There is room: everything is there, receipt, index and answer, and it goes on.
                block_on(async {
                    let store = Store::open(&path).await.unwrap();
                    for k in 0..acknowledged {
                        let held = store.receipt(&record(k).id).await.unwrap().unwrap();
                        assert_eq!(held.envelope, record(k).envelope);
                        assert_eq!(held.log_index, Some(u64::from(k)));
                        let answer = store.answer(&key(k)).await.unwrap().unwrap();
                        assert_eq!(answer.answer, record(k).envelope);
                    }
                    add(&store, acknowledged).await.unwrap();
                    store.close().await;
                });
                acknowledged += 1;
            }
        }
    }
    println!("refused {refused} times, not opened {closed} times, nothing lost");
    assert!(refused >= 4 && closed >= 4, "{refused} {closed}");
}

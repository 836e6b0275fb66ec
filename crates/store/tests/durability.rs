//! What survives: a kill at any instant, files that are no store, stores of a later version.
#![expect(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "the helpers of these tests stand outside of test functions"
)]

mod records;

use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::process::{Command, Stdio};

use proofmark_store::Store;

use records::{block_on, record};

/// Names the file for the writer half of [`a_kill_loses_no_acknowledged_receipt`].
const WRITER: &str = "PROOFMARK_STORE_TEST_WRITER";

/// Writes receipts for ever and prints the number of each one that was acknowledged.
fn write_for_ever(path: &Path) {
    block_on(async {
        let store = Store::open(path).await.unwrap();
        for k in 0.. {
            store.insert_receipt(&record(k)).await.unwrap();
            println!("acknowledged {k}");
        }
    });
}

#[test]
fn a_kill_loses_no_acknowledged_receipt() {
    if let Some(path) = std::env::var_os(WRITER) {
        write_for_ever(Path::new(&path));
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("receipts.db");
    let mut writer = Command::new(std::env::current_exe().unwrap())
        .args([
            "--exact",
            "a_kill_loses_no_acknowledged_receipt",
            "--nocapture",
        ])
        .env(WRITER, &path)
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut acknowledged = None;
    let lines = BufReader::new(writer.stdout.take().unwrap()).lines();
    for line in lines.map_while(Result::ok) {
        // The harness writes its own words before the first line, without a line feed.
        if let Some((_, k)) = line.split_once("acknowledged ") {
            acknowledged = k.trim().parse::<u32>().ok();
        }
        if acknowledged == Some(40) {
            writer.kill().unwrap();
        }
    }
    let status = writer.wait().unwrap();
    assert!(
        !status.success(),
        "the writer never ends by itself: {status}"
    );
    let last = acknowledged.unwrap();
    assert!(last >= 40, "{last}");
    block_on(async {
        let store = Store::open(&path).await.unwrap();
        for k in 0..=last {
            let record = record(k);
            assert_eq!(
                store.receipt(&record.id).await.unwrap(),
                Some(record),
                "{k}"
            );
        }
    });
}

#[test]
fn what_is_no_store_is_refused_and_left_alone() {
    block_on(async {
        let folder = tempfile::tempdir().unwrap();
        let text = folder.path().join("notes.txt");
        let content = "not a database\n".repeat(100);
        std::fs::write(&text, &content).unwrap();
        assert_eq!(Store::open(&text).await.unwrap_err().code(), "store-open");
        assert_eq!(std::fs::read_to_string(&text).unwrap(), content);
        let below_a_file = text.join("receipts.db");
        assert_eq!(
            Store::open(&below_a_file).await.unwrap_err().code(),
            "store-create"
        );
    });
}

#[test]
fn a_store_of_a_later_version_is_refused() {
    block_on(async {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("receipts.db");
        Store::open(&path).await.unwrap().close().await;
        let options = sqlx::sqlite::SqliteConnectOptions::new().filename(&path);
        let mut raw = sqlx::ConnectOptions::connect(&options).await.unwrap();
        sqlx::query(
            "INSERT INTO _sqlx_migrations (version, description, success, checksum, execution_time) \
             VALUES (9999, 'later', 1, x'00', 0)",
        )
        .execute(&mut raw)
        .await
        .unwrap();
        sqlx::Connection::close(raw).await.unwrap();
        let error = Store::open(&path).await.unwrap_err();
        assert_eq!(error.code(), "store-schema-unknown", "{error}");
    });
}

#[cfg(unix)]
#[test]
fn only_this_user_can_read_the_files() {
    use std::os::unix::fs::PermissionsExt as _;
    block_on(async {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("receipts.db");
        let store = Store::open(&path).await.unwrap();
        store.insert_receipt(&record(1)).await.unwrap();
        for name in ["receipts.db", "receipts.db-wal"] {
            let mode = std::fs::metadata(folder.path().join(name))
                .unwrap()
                .permissions()
                .mode();
            assert_eq!(mode & 0o777, 0o600, "{name}");
        }
    });
}

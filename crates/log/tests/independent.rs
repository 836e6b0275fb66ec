//! Go's own `golang.org/x/mod/sumdb/{tlog,note}`, as Debian packages it, reads our logs: entries,
//! tiles, checkpoints, `.tlog-proof` files, growth. It shares nothing with our code.
#![forbid(unsafe_code)]
#![expect(clippy::unwrap_used, reason = "a test that panics has failed")]

#[path = "independent/go.rs"]
mod go;

use std::fs;
use std::path::Path;

use proofmark_log::{Entry, Head, Log, Options, ReceiptEntry, Witness};
use proofmark_types::Digest;

use go::{client, run};

fn entry(i: u64) -> Entry {
    Entry::Receipt(ReceiptEntry {
        receipt: Digest::of(&i.to_be_bytes()),
        package: Digest::of(b"package"),
        proved_at: i,
    })
}

#[test]
fn go_reads_our_logs_and_notices_what_is_wrong_with_others() {
    let folder = tempfile::tempdir().unwrap();
    let program = client(folder.path());
    let cases = folder.path().join("cases");
    fs::create_dir(&cases).unwrap();
    let log = Log::open(&folder.path().join("log"), &Options::default()).unwrap();
    let key = log.verifier_key().clone();
    let witness = Witness::open(
        &folder.path().join("witness"),
        "w.example/1",
        vec![key.clone()],
    )
    .unwrap();
    let mut size = 0;
    for count in [1, 1, 253, 1, 1, 300, 4096, 7] {
        let entries: Vec<Entry> = (size..size + count).map(entry).collect();
        let places = log.append_all(&entries).unwrap();
        for (place, entry) in places.iter().zip(&entries).step_by(97) {
            let name = cases.join(format!("{size}-{}.tlog-proof", place.index));
            fs::write(&name, &place.proof).unwrap();
            fs::write(name.with_extension("entry"), entry.to_bytes().unwrap()).unwrap();
        }
        size += count;
        let name = cases.join(format!("{size}.checkpoint"));
        fs::write(name, log.checkpoint().to_string()).unwrap();
    }
    let late = log.prove(3, Head::Latest).unwrap();
    fs::write(cases.join("late.tlog-proof"), late.proof).unwrap();
    fs::write(cases.join("late.entry"), entry(3).to_bytes().unwrap()).unwrap();

    let output = run(&program, log.public_folder(), &cases, &[&key]);
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(
        output.status.success(),
        "{said}{}",
        String::from_utf8_lossy(&output.stderr)
    );
    assert!(said.starts_with(&format!("{size} entries, ")), "{said}");
    println!("Go: {}", said.trim());

    // A cosignature is a signature by an unknown type of key to it: ignored, the rest stands.
    let request = log.witness_request(0).unwrap();
    let answer = witness.add_checkpoint(&request.body, 1000).unwrap();
    let witnesses = [witness.verifier_key().clone()];
    log.add_cosignatures(&request, answer.as_bytes(), &witnesses)
        .unwrap();
    assert!(
        run(&program, log.public_folder(), &cases, &[&key])
            .status
            .success()
    );

    let refused = |path: &Path, bytes: Vec<u8>| {
        let held = fs::read(path).unwrap();
        assert_ne!(held, bytes);
        fs::write(path, bytes).unwrap();
        let output = run(&program, log.public_folder(), &cases, &[&key]);
        fs::write(path, held).unwrap();
        assert!(!output.status.success(), "{}", path.display());
    };
    // Of a checkpoint the root hash: whether other bits matter hangs on what they happen to be (those
    // that pad a signature do not to Go's base64, nor does the cosignature of a witness).
    let spoilt = |path: &Path| {
        let mut bytes = fs::read(path).unwrap();
        let mut ends = bytes.iter().enumerate().filter(|(_, b)| **b == b'\n');
        let end = if path.to_str().unwrap().ends_with("checkpoint") {
            ends.nth(2).unwrap().0
        } else {
            bytes.len()
        };
        bytes[end - 3] ^= 1;
        bytes
    };
    let public = log.public_folder();
    for name in [
        "checkpoint",
        "tile/0/000",
        "tile/1/000.p/18",
        "tile/entries/003",
    ] {
        refused(&public.join(name), spoilt(&public.join(name)));
    }
    for name in ["late.entry", "2.checkpoint"] {
        refused(&cases.join(name), spoilt(&cases.join(name)));
    }
    refused(
        &cases.join("late.tlog-proof"),
        fs::read(cases.join("0-0.tlog-proof")).unwrap(),
    );
    assert!(run(&program, public, &cases, &[&key]).status.success());
    let stranger = Log::open(&folder.path().join("other"), &Options::default()).unwrap();
    let output = run(&program, public, &cases, &[stranger.verifier_key()]);
    assert!(!output.status.success());
}

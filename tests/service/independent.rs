//! Readers that share nothing with our code read the log that the service wrote: Go's
//! `sumdb/{tlog,note}` as Debian packages them, and the crates `tlog_tiles` and `signed_note`.

#[path = "../../crates/log/tests/independent/go.rs"]
mod go;

use std::fs;
use std::path::{Path, PathBuf};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use proofmark_log::{Entry, ReceiptEntry};
use proofmark_tlog::VerifierKey;
use signed_note::{Note, StandardVerifier, VerifierList};
use tlog_tiles::{
    Checkpoint, Error, Hash, Tile, TileHashReader, TileReader, check_record, check_tree,
    prove_record, prove_tree, record_hash,
};

use crate::{RISK, alone, envelope};

/// Answers asked for; the log's partial tiles are those of as many sizes.
const ANSWERS: usize = 5;

/// The static files as `tlog_tiles` asks for them.
struct Files(PathBuf);

impl TileReader for Files {
    fn height(&self) -> u8 {
        8
    }

    fn read_tiles(&self, tiles: &[Tile]) -> Result<Vec<Vec<u8>>, Error> {
        // Their paths name the height, as in Go's checksum database.
        let read = |tile: &Tile| {
            let path = tile.path().replacen("tile/8/", "tile/", 1);
            fs::read(self.0.join(path)).unwrap()
        };
        Ok(tiles.iter().map(read).collect())
    }

    fn save_tiles(&self, _tiles: &[Tile], _data: &[Vec<u8>]) {}
}

/// A checkpoint that `signed_note` verified and `tlog_tiles` read.
fn head(text: &str, key: &VerifierKey) -> Checkpoint {
    let verifier = StandardVerifier::new(&key.to_string()).unwrap();
    let known = VerifierList::new(vec![Box::new(verifier)]);
    let note = Note::from_bytes(text.as_bytes()).unwrap();
    let (verified, _) = note.verify(&known).unwrap();
    assert_eq!(verified.len(), 1);
    let head = Checkpoint::from_bytes(note.text()).unwrap();
    assert_eq!(head.origin(), key.name());
    head
}

/// The lines of a `.tlog-proof`, without our parser: index, path, checkpoint.
fn proof(text: &str) -> (u64, Vec<Hash>, &str) {
    let (front, checkpoint) = text.split_once("\n\n").unwrap();
    let mut lines = front.lines();
    assert_eq!(lines.next(), Some("c2sp.org/tlog-proof@v1"));
    let index = lines.next().unwrap().strip_prefix("index ").unwrap();
    let hash = |line: &str| Hash(STANDARD.decode(line).unwrap().try_into().unwrap());
    (
        index.parse().unwrap(),
        lines.map(hash).collect(),
        checkpoint,
    )
}

#[test]
fn strangers_read_what_the_service_wrote() {
    let alone = alone(RISK, &[]);
    let cases = tempfile::tempdir().unwrap();
    let case = |name: String, bytes: &[u8]| fs::write(cases.path().join(name), bytes).unwrap();
    let mut entries = Vec::new();
    let mut proofs = Vec::new();
    for sample in 0..ANSWERS {
        let reply = alone.service.infer(RISK, &alone.model.request(sample));
        let (_, envelope) = envelope(&alone.service, &reply);
        let entry = Entry::Receipt(ReceiptEntry::of(&envelope).unwrap());
        let proof = reply.json()["tlog_proof"].as_str().unwrap().to_owned();
        case(format!("{sample}.entry"), &entry.to_bytes().unwrap());
        case(format!("{sample}.tlog-proof"), proof.as_bytes());
        case(
            format!("{sample}.checkpoint"),
            &alone.service.get("/checkpoint").body,
        );
        entries.push(entry.to_bytes().unwrap());
        proofs.push(proof);
    }
    let key: VerifierKey = alone.service.log_key().parse().unwrap();
    let public = alone.data.path().join("log/public");

    let folder = tempfile::tempdir().unwrap();
    let program = go::client(folder.path());
    let output = go::run(&program, &public, cases.path(), &[&key]);
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{said}{errors}");
    assert_eq!(
        said.trim(),
        format!("{ANSWERS} entries, {ANSWERS} proofs, {ANSWERS} older checkpoints")
    );

    let read = |path: &Path| fs::read_to_string(path).unwrap();
    let latest = head(&read(&public.join("checkpoint")), &key);
    assert_eq!(latest.size(), ANSWERS as u64);
    let files = Files(public.clone());
    let tree = TileHashReader::new(latest.size(), *latest.hash(), &files);
    for (at, (entry, text)) in entries.iter().zip(&proofs).enumerate() {
        let leaf = record_hash(entry);
        let at = at as u64;
        let path = prove_record(latest.size(), at, &tree).unwrap();
        check_record(&path, latest.size(), *latest.hash(), at, leaf).unwrap();
        let (index, path, checkpoint) = proof(text);
        let then = head(checkpoint, &key);
        assert_eq!(index, at);
        check_record(&path, then.size(), *then.hash(), index, leaf).unwrap();
        let grown = prove_tree(latest.size(), then.size(), &tree).unwrap();
        check_tree(
            &grown,
            latest.size(),
            *latest.hash(),
            then.size(),
            *then.hash(),
        )
        .unwrap();
    }
}

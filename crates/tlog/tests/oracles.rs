//! Roots, proofs, tiles, notes and checkpoints as the crates `tlog_tiles` and `signed_note` have
//! them, which follow Go's `sumdb` and share nothing with ours.
#![forbid(unsafe_code)]
#![expect(clippy::unwrap_used, reason = "a test that panics has failed")]

use std::collections::BTreeMap;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use ed25519_dalek::SigningKey;
use proofmark_tlog::{
    Checkpoint, Hash, KeyKind, ReadError, SignedCheckpoint, SignedNote, Tiles, Tip, VerifiedTree,
    VerifierKey, leaf_hash, note, tree,
};
use proptest::prelude::*;
use signed_note::{Note, StandardSigner, StandardVerifier, VerifierList};
use tlog_tiles::{
    Checkpoint as TheirCheckpoint, Error, Hash as TheirHash, Tile, TileHashReader, TileReader,
    check_record, check_tree, prove_record, prove_tree, record_hash, tree_hash,
};

/// A log in memory.
struct Memory(BTreeMap<String, Vec<u8>>);

impl Tiles for Memory {
    fn read(&self, path: &str, _limit: usize) -> Result<Option<Vec<u8>>, ReadError> {
        Ok(self.0.get(path).cloned())
    }
}

impl TileReader for Memory {
    fn height(&self) -> u8 {
        8
    }

    fn read_tiles(&self, tiles: &[Tile]) -> Result<Vec<Vec<u8>>, Error> {
        // Their paths name the height, as in Go's checksum database.
        let read = |tile: &Tile| self.0[&tile.path().replacen("tile/8/", "tile/", 1)].clone();
        Ok(tiles.iter().map(read).collect())
    }

    fn save_tiles(&self, _tiles: &[Tile], _data: &[Vec<u8>]) {}
}

fn entry(i: u64) -> Vec<u8> {
    format!("entry {i}").into_bytes()
}

/// A log that grew in these steps, with the root after each.
fn grown(steps: &[u64]) -> (Memory, Vec<(u64, Hash)>) {
    let mut tip = Tip::default();
    let mut memory = Memory(BTreeMap::new());
    let mut heads = vec![(0, tip.root())];
    for step in steps {
        let entries: Vec<_> = (tip.size()..tip.size() + step).map(entry).collect();
        for (path, bytes) in tip.append(&entries).unwrap().files() {
            memory.0.insert(path.to_string(), bytes);
        }
        heads.push((tip.size(), tip.root()));
    }
    (memory, heads)
}

fn theirs(hash: &Hash) -> TheirHash {
    TheirHash(*hash.as_bytes())
}

fn ours(hashes: &[TheirHash]) -> Vec<Hash> {
    hashes.iter().map(|h| Hash::from_bytes(h.0)).collect()
}

fn compare(steps: &[u64], indexes: &[u64]) {
    let (memory, heads) = grown(steps);
    let &(size, root) = heads.last().unwrap();
    let tree = VerifiedTree::open(&memory, size, root).unwrap();
    let reader = TileHashReader::new(size, theirs(&root), &memory);
    assert_eq!(tree_hash(size, &reader).unwrap().0, *root.as_bytes());
    for index in indexes
        .iter()
        .map(|i| i % size.max(1))
        .filter(|i| *i < size)
    {
        let leaf = leaf_hash(&entry(index));
        assert_eq!(record_hash(&entry(index)).0, *leaf.as_bytes());
        let proof = prove_record(size, index, &reader).unwrap();
        check_record(&proof, size, theirs(&root), index, theirs(&leaf)).unwrap();
        let path = ours(&proof);
        assert_eq!(tree::prove_inclusion(index, size, &tree).unwrap(), path);
        tree::verify_inclusion(&leaf, index, size, &path, &root).unwrap();
    }
    // They prove nothing about the empty tree.
    for (old, old_root) in heads.iter().filter(|(old, _)| *old != 0) {
        let proof = prove_tree(size, *old, &reader).unwrap();
        check_tree(&proof, size, theirs(&root), *old, theirs(old_root)).unwrap();
        let path = ours(&proof);
        assert_eq!(tree::prove_consistency(*old, size, &tree).unwrap(), path);
        tree::verify_consistency(*old, old_root, size, &root, &path).unwrap();
    }
}

#[test]
fn roots_and_proofs_are_theirs() {
    compare(&[1], &[0]);
    compare(&[256], &[0, 100, 255]);
    compare(
        &[255, 1, 1, 300, 65_000, 400, 1],
        &[0, 255, 256, 556, 65_535, 65_536, 65_957],
    );
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]
    #[test]
    fn roots_and_proofs_of_random_logs_are_theirs(
        steps in prop::collection::vec(1_u64..700, 1..6),
        indexes in prop::collection::vec(any::<u64>(), 6),
    ) {
        compare(&steps, &indexes);
    }
}

#[test]
fn the_list_of_files_of_a_growth_is_theirs() {
    for (old, new) in [
        (0, 1),
        (1, 2),
        (255, 256),
        (200, 600),
        (65_000, 66_000),
        (0, 70_000),
    ] {
        let (memory, _) = grown(&[old]);
        let (larger, _) = grown(&[old, new - old]);
        let mut added: Vec<String> = larger
            .0
            .keys()
            .filter(|path| !memory.0.contains_key(*path) && !path.contains("entries"))
            .map(|path| path.replacen("tile/", "tile/8/", 1))
            .collect();
        added.sort();
        let mut listed: Vec<String> = Tile::new_tiles(8, old, new)
            .iter()
            .map(Tile::path)
            .collect();
        listed.sort();
        assert_eq!(added, listed, "{old} to {new}");
    }
}

#[test]
fn notes_keys_and_checkpoints_are_theirs() {
    let key = SigningKey::from_bytes(&[3; 32]);
    let (_, heads) = grown(&[300]);
    let head = Checkpoint::new("example.com/log", 300, heads[1].1).unwrap();
    let signed = SignedCheckpoint::sign(head, &key).unwrap();
    let public = key.verifying_key().to_bytes();
    let vkey = VerifierKey::new("example.com/log", KeyKind::Ed25519, &public).unwrap();

    // They read and verify ours.
    let verifier = StandardVerifier::new(&vkey.to_string()).unwrap();
    let read = Note::from_bytes(signed.to_string().as_bytes()).unwrap();
    let known = VerifierList::new(vec![Box::new(verifier)]);
    let (verified, unverified) = read.verify(&known).unwrap();
    assert_eq!((verified.len(), unverified.len()), (1, 0));
    let theirs = TheirCheckpoint::from_bytes(read.text()).unwrap();
    assert_eq!((theirs.origin(), theirs.size()), ("example.com/log", 300));
    assert_eq!(theirs.hash().0, *signed.checkpoint().root().as_bytes());
    assert_eq!(theirs.to_bytes(), signed.note().text().as_bytes());

    // We read and verify theirs.
    let vkey = VerifierKey::new("example.com/theirs", KeyKind::Ed25519, &public).unwrap();
    let seed = STANDARD.encode([&[1][..], &[3; 32]].concat());
    let skey = format!("PRIVATE+KEY+example.com/theirs+{:08x}+{seed}", vkey.id());
    let signer = StandardSigner::new(&skey).unwrap();
    let mut note = Note::new(b"text\n\nwith an empty line\n", &[]).unwrap();
    note.add_sigs(&[&signer]).unwrap();
    let read = SignedNote::parse(&note.to_bytes()).unwrap();
    read.verify(&vkey).unwrap();
    assert_eq!(read.to_string().into_bytes(), note.to_bytes());
    let more = note::sign(read.text(), "example.com/log", &key).unwrap();
    read.with(&[more]).unwrap().verify(&vkey).unwrap();
}

//! What an operator, a mirror or a witness could serve instead of the truth.
#![forbid(unsafe_code)]
#![expect(clippy::unwrap_used, reason = "a test that panics has failed")]

use std::collections::BTreeMap;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use ed25519_dalek::{Signer as _, SigningKey};
use proofmark_tlog::{
    Checkpoint, EMPTY_ROOT, Hash, KeyKind, Policy, ReadError, SignedCheckpoint, SignedNote, Tiles,
    Tip, TlogProof, VerifiedTree, VerifierKey, cosignature, leaf_hash, note, tree,
};

const ORIGIN: &str = "example.com/log";

fn key(seed: u8) -> SigningKey {
    SigningKey::from_bytes(&[seed; 32])
}

fn vkey(seed: u8, name: &str, kind: KeyKind) -> VerifierKey {
    VerifierKey::new(name, kind, key(seed).verifying_key().as_bytes()).unwrap()
}

fn entry(i: u64) -> Vec<u8> {
    format!("entry {i}").into_bytes()
}

struct Memory(BTreeMap<String, Vec<u8>>);

impl Tiles for Memory {
    fn read(&self, path: &str, limit: usize) -> Result<Option<Vec<u8>>, ReadError> {
        let held = self.0.get(path).cloned();
        match held {
            Some(bytes) if bytes.len() > limit => Err(ReadError {
                reason: "too long".to_owned(),
            }),
            held => Ok(held),
        }
    }
}

fn grown(size: u64) -> (Memory, Tip) {
    let mut tip = Tip::default();
    let mut memory = BTreeMap::new();
    for i in 0..size {
        for (path, bytes) in tip.append(&[entry(i)]).unwrap().files() {
            memory.insert(path.to_string(), bytes);
        }
    }
    (Memory(memory), tip)
}

fn signed(size: u64, root: Hash, seed: u8, origin: &str) -> SignedCheckpoint {
    let head = Checkpoint::new(origin, size, root).unwrap();
    SignedCheckpoint::sign(head, &key(seed)).unwrap()
}

/// An honest proof, and what else could be handed over in its place.
#[test]
fn a_proof_of_something_else_is_no_proof() {
    let (memory, tip) = grown(300);
    let tree = VerifiedTree::open(&memory, 300, tip.root()).unwrap();
    let proof = |index: u64, checkpoint: SignedCheckpoint| TlogProof {
        extra: None,
        index,
        path: tree::prove_inclusion(index, 300, &tree).unwrap(),
        checkpoint,
    };
    let good = proof(7, signed(300, tip.root(), 5, ORIGIN));
    let policy = Policy::new(vkey(5, ORIGIN, KeyKind::Ed25519));
    good.verify(&entry(7), &policy).unwrap();
    let refused = |proof: &TlogProof, entry: &[u8], policy: &Policy| {
        proof.verify(entry, policy).unwrap_err().code()
    };
    // Another entry, another place, a cut or longer path.
    assert_eq!(refused(&good, &entry(8), &policy), "tlog-inclusion-invalid");
    let mut moved = good.clone();
    moved.index = 8;
    assert_eq!(
        refused(&moved, &entry(7), &policy),
        "tlog-inclusion-invalid"
    );
    moved.index = 300;
    assert_eq!(refused(&moved, &entry(7), &policy), "tlog-out-of-range");
    let mut cut = good.clone();
    cut.path.pop();
    assert_eq!(refused(&cut, &entry(7), &policy), "tlog-inclusion-invalid");
    let mut long = good.clone();
    long.path.push(EMPTY_ROOT);
    assert_eq!(refused(&long, &entry(7), &policy), "tlog-inclusion-invalid");
    // Another size under the right root, and the other way round. Sizes of the same shape of path
    // are told apart by the signature alone.
    for size in [7, 8, 256, 299, 301, 512, u64::MAX] {
        let other = proof(7, signed(size, tip.root(), 5, ORIGIN));
        let same_shape = (257..=512).contains(&size);
        assert_eq!(
            other.verify(&entry(7), &policy).is_ok(),
            same_shape,
            "{size}"
        );
    }
    let other = proof(7, signed(300, grown(299).1.root(), 5, ORIGIN));
    assert_eq!(
        refused(&other, &entry(7), &policy),
        "tlog-inclusion-invalid"
    );
    // Another log; another key of the same name; a log under the witness's kind of key.
    let elsewhere = proof(7, signed(300, tip.root(), 5, "example.com/other"));
    assert_eq!(
        refused(&elsewhere, &entry(7), &policy),
        "tlog-origin-mismatch"
    );
    let stranger = proof(7, signed(300, tip.root(), 6, ORIGIN));
    assert_eq!(refused(&stranger, &entry(7), &policy), "tlog-unsigned");
    let text = good.checkpoint.note().text().to_owned();
    let line = cosignature::cosign(&text, ORIGIN, &key(5), 1).unwrap();
    let cosigned = SignedNote::new(text.clone(), vec![line])
        .unwrap()
        .to_string();
    let cosigned = SignedCheckpoint::parse_unverified(cosigned.as_bytes()).unwrap();
    assert_eq!(
        refused(&proof(7, cosigned.clone()), &entry(7), &policy),
        "tlog-unsigned"
    );
    let as_witness = Policy::new(vkey(5, ORIGIN, KeyKind::Cosigner));
    assert!(proof(7, cosigned).verify(&entry(7), &as_witness).is_err());
    // The right id before a signature by another key.
    let forged = key(6).sign(text.as_bytes()).to_bytes();
    let id = vkey(5, ORIGIN, KeyKind::Ed25519).id().to_be_bytes();
    let line = STANDARD.encode([&id[..], &forged].concat());
    let forged = format!("{text}\n\u{2014} {ORIGIN} {line}\n");
    let forged = proof(
        7,
        SignedCheckpoint::parse_unverified(forged.as_bytes()).unwrap(),
    );
    assert_eq!(
        refused(&forged, &entry(7), &policy),
        "tlog-signature-invalid"
    );
    // Under no signed checkpoint at all it cannot be written.
    let unsigned = good.to_string();
    let unsigned = unsigned.split('\u{2014}').next().unwrap();
    assert!(TlogProof::parse(unsigned.as_bytes()).is_err());
}

#[test]
fn tiles_of_another_level_or_width_are_not_believed() {
    let size = 600;
    let (memory, tip) = grown(size);
    let read = |memory: &Memory| {
        VerifiedTree::open(memory, size, tip.root())
            .and_then(|tree| {
                (0..3)
                    .map(|bundle| tree.bundle(bundle))
                    .collect::<Result<Vec<_>, _>>()
            })
            .map_err(|error| error.code())
    };
    assert_eq!(read(&memory).unwrap().concat().len(), 600);
    let with = |changes: &[(&str, Option<Vec<u8>>)]| {
        let mut other = Memory(memory.0.clone());
        for (path, bytes) in changes {
            match bytes {
                Some(bytes) => other.0.insert((*path).to_owned(), bytes.clone()),
                None => other.0.remove(*path),
            };
        }
        read(&other).unwrap_err()
    };
    let held = |path: &str| Some(memory.0[path].clone());
    let edge = "tile/0/002.p/88";
    // The level above in its place, its neighbour, a narrower one, a wider one.
    assert_eq!(
        with(&[(
            "tile/1/000.p/2",
            Some(held("tile/0/000").unwrap()[..64].to_vec())
        )]),
        "tlog-tile-mismatch"
    );
    assert_eq!(
        with(&[("tile/0/000", held("tile/0/001"))]),
        "tlog-tile-mismatch"
    );
    assert_eq!(with(&[(edge, held("tile/0/002.p/87"))]), "tlog-malformed");
    let wider = [&memory.0[edge][..], &[0; 32]].concat();
    assert_eq!(with(&[(edge, Some(wider))]), "tlog-unreadable");
    // A full tile in a partial one's place, of another continuation.
    let mut full = memory.0[edge].clone();
    full.resize(8192, 7);
    let mut continued = Memory(memory.0.clone());
    continued.0.remove(edge);
    continued.0.insert("tile/0/002".to_owned(), full.clone());
    read(&continued).unwrap();
    full[0] ^= 1;
    assert_eq!(
        with(&[(edge, None), ("tile/0/002", Some(full))]),
        "tlog-tile-mismatch"
    );
    // A bundle of a wider tree, a narrower one, two entries exchanged.
    let bundle = "tile/entries/002.p/88";
    assert_eq!(
        with(&[(bundle, held("tile/entries/002.p/87"))]),
        "tlog-malformed"
    );
    let more = [&memory.0[bundle][..], b"\0\x01x"].concat();
    assert_eq!(with(&[(bundle, Some(more))]), "tlog-malformed");
    assert_eq!(
        with(&[("tile/entries/000", held("tile/entries/001"))]),
        "tlog-tile-mismatch"
    );
    // Sizes that the tiles do not have.
    for other in [1, 599, 601, 256, 1 << 40, u64::MAX] {
        assert!(
            VerifiedTree::open(&memory, other, tip.root()).is_err(),
            "{other}"
        );
    }
    assert!(VerifiedTree::open(&memory, 0, tip.root()).is_err());
    VerifiedTree::open(&memory, 0, EMPTY_ROOT).unwrap();
}

#[test]
fn proofs_at_the_edges_of_sizes() {
    let roots: Vec<Hash> = (0..=130).map(|size| grown(size).1.root()).collect();
    let root = |size: u64| &roots[usize::try_from(size).unwrap()];
    for size in [1_u64, 2, 3, 4, 5, 7, 8, 9, 63, 64, 65, 127, 128, 129] {
        let (memory, tip) = grown(size);
        let tree = VerifiedTree::open(&memory, size, tip.root()).unwrap();
        for index in [0, size / 2, size - 1] {
            let path = tree::prove_inclusion(index, size, &tree).unwrap();
            let verify = |index, size, path: &[Hash], root| {
                tree::verify_inclusion(&leaf_hash(&entry(index)), index, size, path, root)
            };
            verify(index, size, &path, root(size)).unwrap();
            assert!(verify(index, size, &path, root(size + 1)).is_err());
            assert!(verify(index, 0, &path, root(size)).is_err());
            assert!(verify(size, size, &path, root(size)).is_err());
            assert!(verify(u64::MAX, size, &path, root(size)).is_err());
        }
        assert!(tree::prove_inclusion(size, size, &tree).is_err());
        for old in [0, 1, size / 2, size - 1, size] {
            let proof = tree::prove_consistency(old, size, &tree).unwrap();
            let verify = |old, old_root, new, new_root, proof: &[Hash]| {
                tree::verify_consistency(old, old_root, new, new_root, proof)
            };
            verify(old, root(old), size, root(size), &proof).unwrap();
            // Equal sizes with different roots, a smaller new tree, another old tree, a longer and a
            // shorter proof.
            assert!(verify(size, root(old), size, root(size + 1), &proof).is_err());
            assert!(verify(size + 1, root(size + 1), size, root(size), &proof).is_err());
            assert!(verify(old, root(old + 1), size, root(size), &proof).is_err());
            // Everything starts with nothing.
            let forked = verify(old, root(old), size, root(size + 1), &proof);
            assert_eq!(forked.is_ok(), old == 0);
            let longer = [&proof[..], &[EMPTY_ROOT]].concat();
            assert!(verify(old, root(old), size, root(size), &longer).is_err());
            if let Some((_, shorter)) = proof.split_last() {
                assert!(verify(old, root(old), size, root(size), shorter).is_err());
            }
        }
        assert!(tree::prove_consistency(size + 1, size, &tree).is_err());
    }
    assert!(tree::verify_inclusion(&EMPTY_ROOT, 0, 0, &[], &EMPTY_ROOT).is_err());
    tree::verify_consistency(0, &EMPTY_ROOT, 0, &EMPTY_ROOT, &[]).unwrap();
    assert!(tree::verify_consistency(0, root(1), 0, root(1), &[]).is_err());
    assert!(tree::verify_consistency(0, root(1), 1, root(1), &[]).is_err());
}

#[test]
fn notes_in_another_spelling_are_refused() {
    let log = vkey(5, ORIGIN, KeyKind::Ed25519);
    let good = signed(1, leaf_hash(b"x"), 5, ORIGIN).to_string();
    let (text, lines) = good.split_once("\n\n").unwrap();
    let encoded = lines.trim_end().rsplit_once(' ').unwrap().1;
    let verify = |bytes: &[u8]| SignedCheckpoint::verify(bytes, &log);
    verify(good.as_bytes()).unwrap();
    // The same signature twice is the same signature; a wrong one beside it is not overlooked.
    verify(format!("{good}{lines}").as_bytes()).unwrap();
    let other = note::sign("another text\n", ORIGIN, &key(5)).unwrap();
    let error = verify(format!("{good}{other}\n").as_bytes()).unwrap_err();
    assert_eq!(error.code(), "tlog-signature-invalid");
    let line = |material: &str| format!("{text}\n\n\u{2014} {ORIGIN} {material}\n");
    let stray = {
        // Bits behind the last byte that no decoder needs.
        let at = encoded.find('=').unwrap() - 1;
        let letters = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
        let value = letters.find(&encoded[at..=at]).unwrap();
        let next = &letters[value + 1..value + 2];
        format!("{}{next}{}", &encoded[..at], &encoded[at + 1..])
    };
    for bad in [
        good.replace('\n', "\r\n"),
        good.replacen("\n\n", "\r\n\r\n", 1),
        format!("{}\r\n", good.trim_end()),
        format!("\u{feff}{good}"),
        format!("{good}\n"),
        format!("{good}\n\n"),
        good.trim_end().to_owned(),
        line(&stray),
        line(encoded.trim_end_matches('=')),
        line(&format!("{encoded}=")),
        line(&format!("{encoded} ")),
        line(&encoded.replace('+', "-").replace('/', "_").replace('=', "")),
        line(&STANDARD.encode([0; 4])),
        line(""),
        line(&"A".repeat(300 << 10)),
        format!("{text}\n\n\u{2014} {} {encoded}\n", "n".repeat(256)),
        format!("{text}\n\n{}", lines.repeat(101)),
        format!("{text}\n{}\n\n{lines}", "x".repeat(300 << 10)),
    ] {
        assert!(verify(bad.as_bytes()).is_err(), "{bad:.200?}");
    }
    // Long lines within the bounds cost nothing: an unknown key's.
    let long = format!("{good}\u{2014} n {}\n", STANDARD.encode(vec![7; 150 << 10]));
    verify(long.as_bytes()).unwrap();
}

#[test]
fn cosignatures_of_impossible_times_do_not_count() {
    let head = signed(1, leaf_hash(b"x"), 5, ORIGIN);
    let text = head.note().text();
    let witness = vkey(9, "w.example/1", KeyKind::Cosigner);
    let demanding =
        Policy::new(vkey(5, ORIGIN, KeyKind::Ed25519)).with_witnesses(vec![witness.clone()], 1);
    // As a witness of another software would sign it, whatever the time.
    let cosigned = |time: u64| {
        let message = format!("cosignature/v1\ntime {time}\n{text}");
        let signature = key(9).sign(message.as_bytes()).to_bytes();
        let material = [
            &witness.id().to_be_bytes()[..],
            &time.to_be_bytes(),
            &signature,
        ]
        .concat();
        format!("{head}\u{2014} w.example/1 {}\n", STANDARD.encode(material))
    };
    let verify = |time| demanding.verify(cosigned(time).as_bytes());
    for time in [1, 1_800_000_000, cosignature::MAX_TIME] {
        assert_eq!(verify(time).unwrap().cosignatures[0].time, time);
    }
    for time in [0, cosignature::MAX_TIME + 1, u64::MAX] {
        assert_eq!(
            verify(time).unwrap_err().code(),
            "tlog-signature-invalid",
            "{time}"
        );
    }
}

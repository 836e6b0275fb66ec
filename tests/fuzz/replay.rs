//! The fuzzers' corpus, replayed. `fuzz/corpus/<decoder>/` holds seeds, which [`seeds`] makes and
//! whose names begin with how the decoder ends (`valid--…` or `<code>--…`), and inputs that fuzzing
//! found, named by their SHA-1 as libFuzzer does, which must not panic.
//!
//! `UPDATE_EXPECT=1` writes the seeds anew.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use crate::decoders::{DECODERS, Outcome};
use crate::seeds;

/// Bytes of all files together, at most.
const MOST: u64 = 300_000;

fn fuzz() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../fuzz")
}

fn names(folder: &Path) -> BTreeSet<String> {
    fs::read_dir(folder)
        .unwrap_or_else(|e| panic!("{}: {e}", folder.display()))
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect()
}

fn word(outcome: Outcome) -> &'static str {
    outcome.err().unwrap_or("valid")
}

/// The seeds by decoder and file name.
fn expected() -> BTreeMap<&'static str, BTreeMap<String, Vec<u8>>> {
    let mut all: BTreeMap<&str, BTreeMap<String, Vec<u8>>> = BTreeMap::new();
    for (decoder, what, bytes) in seeds::all() {
        let (name, decode) = DECODERS.iter().find(|(name, _)| *name == decoder).unwrap();
        let file = format!("{}--{what}", word(decode(&bytes)));
        let twice = all.entry(name).or_default().insert(file, bytes);
        assert_eq!(twice, None, "{decoder}: {what}");
    }
    all
}

#[test]
fn every_file_of_the_corpus_ends_as_its_name_says() {
    let mut bytes = 0;
    let mut files = 0;
    for (name, decode) in DECODERS {
        let folder = fuzz().join("corpus").join(name);
        let mut words = BTreeSet::new();
        for file in names(&folder) {
            let content = fs::read(folder.join(&file)).unwrap();
            bytes += content.len() as u64;
            files += 1;
            let word = word(decode(&content));
            words.insert(word);
            match file.split_once("--") {
                Some((expected, _)) => assert_eq!(word, expected, "{name}/{file}"),
                None => assert!(
                    file.len() == 40 && file.bytes().all(|b| b.is_ascii_hexdigit()),
                    "{name}/{file} is neither a seed nor named by its SHA-1"
                ),
            }
        }
        // A corpus that is refused at the first byte, or never, would find nothing.
        assert!(
            words.contains("valid") && words.len() > 1,
            "{name}: {words:?}"
        );
    }
    println!("{files} files, {bytes} bytes");
    assert!(bytes <= MOST, "{bytes} bytes");
}

#[test]
fn seeds_are_those_of_today() {
    for (name, seeds) in expected() {
        let folder = fuzz().join("corpus").join(name);
        if std::env::var_os("UPDATE_EXPECT").is_some() {
            fs::create_dir_all(&folder).unwrap();
            for old in names(&folder).iter().filter(|n| n.contains("--")) {
                fs::remove_file(folder.join(old)).unwrap();
            }
            for (file, content) in &seeds {
                fs::write(folder.join(file), content).unwrap();
            }
        }
        let found: BTreeSet<String> = names(&folder)
            .into_iter()
            .filter(|file| file.contains("--"))
            .collect();
        let listed: BTreeSet<String> = seeds.keys().cloned().collect();
        assert_eq!(found, listed, "{name}: UPDATE_EXPECT=1 writes them anew");
        for (file, content) in seeds {
            assert!(
                fs::read(folder.join(&file)).unwrap() == content,
                "{name}/{file} is of another version: UPDATE_EXPECT=1 writes it anew"
            );
        }
    }
}

#[test]
fn every_decoder_has_a_target_and_a_corpus_and_every_target_a_decoder() {
    let decoders: BTreeSet<String> = DECODERS
        .iter()
        .map(|(name, _)| (*name).to_owned())
        .collect();
    assert_eq!(decoders.len(), DECODERS.len());
    assert_eq!(names(&fuzz().join("corpus")), decoders);
    let manifest = fs::read_to_string(fuzz().join("Cargo.toml")).unwrap();
    let mut targets = BTreeSet::new();
    for file in names(&fuzz().join("fuzz_targets")) {
        let name = file.strip_suffix(".rs").unwrap().to_owned();
        let text = fs::read_to_string(fuzz().join("fuzz_targets").join(&file)).unwrap();
        assert!(text.contains(&format!("decoders::{name}(data)")), "{file}");
        assert!(
            manifest.contains(&format!("path = \"fuzz_targets/{file}\"")),
            "{file}"
        );
        targets.insert(name);
    }
    assert_eq!(targets, decoders);
}

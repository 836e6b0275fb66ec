//! Entries, copies and readers, as the tests of this crate need them.

use std::fs;
use std::path::Path;

use proofmark_tlog::{Policy, TlogProof};
use proofmark_types::Digest;

use super::{Inclusion, Log, Options};
use crate::entry::{Entry, ReceiptEntry};
use crate::error::LogError;
use crate::files::Folder;
use crate::reader::Reader;

pub(crate) fn entry(i: u64) -> Entry {
    Entry::Receipt(ReceiptEntry {
        receipt: Digest::of(&i.to_be_bytes()),
        package: Digest::of(b"package"),
        proved_at: i,
    })
}

pub(crate) fn entries(range: core::ops::Range<u64>) -> Vec<Entry> {
    range.map(entry).collect()
}

/// A plain copy of a folder.
pub(crate) fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for item in fs::read_dir(from).unwrap() {
        let item = item.unwrap();
        let target = to.join(item.file_name());
        if item.path().is_dir() {
            copy(&item.path(), &target);
        } else {
            fs::copy(item.path(), target).unwrap();
        }
    }
}

pub(crate) fn open(folder: &Path) -> Result<Log, LogError> {
    Log::open(folder, &Options::default())
}

/// The log as a stranger reads it, entry by entry.
pub(crate) fn indices(log: &Log) -> Vec<u64> {
    let policy = Policy::new(log.verifier_key().clone());
    let reader = Reader::open(Folder::new(log.public_folder()), &policy).unwrap();
    let read = reader
        .entries(0..reader.size())
        .map(|item| match item.unwrap().1 {
            Entry::Receipt(receipt) => receipt.proved_at,
            Entry::Notice(_) => panic!("no notices here"),
        });
    read.collect()
}

pub(crate) fn count(list: &[u64]) -> u64 {
    u64::try_from(list.len()).unwrap()
}

pub(crate) fn verify(log: &Log, inclusion: &Inclusion, entry: &Entry) {
    let policy = Policy::new(log.verifier_key().clone());
    let proof = TlogProof::parse(&inclusion.proof).unwrap();
    assert_eq!(proof.index, inclusion.index);
    proof.verify(&entry.to_bytes().unwrap(), &policy).unwrap();
}

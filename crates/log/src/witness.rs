//! Being a witness: the latest head of each followed log is remembered, and only what contains it
//! is cosigned.

use std::path::Path;
use std::sync::{Mutex, PoisonError};

use ed25519_dalek::SigningKey;
use proofmark_tlog::cosignature::verify_all;
use proofmark_tlog::note::MAX_NOTE_BYTES;
use proofmark_tlog::witness::{Head, Refusal, judge, receive};
use proofmark_tlog::{KeyKind, SignedCheckpoint, VerifierKey, cosignature};
use proofmark_types::Digest;

use crate::error::LogError;
use crate::files::{Disk, make_folder, read_bounded, take_lock};
use crate::key_file::load_or_create_key;

/// Why a witness did not cosign.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum WitnessError {
    /// The request is refused, as the specification says.
    #[error(transparent)]
    Refused(#[from] Refusal),
    /// The witness cannot do its work.
    #[error(transparent)]
    Log(#[from] LogError),
}

impl WitnessError {
    /// Stable kebab-case code.
    pub const fn code(&self) -> &'static str {
        match self {
            Self::Refused(Refusal::Malformed(_)) => "witness-request-malformed",
            Self::Refused(Refusal::UnknownLog(_)) => "witness-log-unknown",
            Self::Refused(Refusal::Conflict { .. }) => "witness-conflict",
            Self::Refused(Refusal::Inconsistent | Refusal::Forked { .. }) => "witness-inconsistent",
            Self::Refused(_) => "witness-signature-invalid",
            Self::Log(error) => error.code(),
        }
    }

    /// HTTP status of the answer.
    pub const fn status(&self) -> u16 {
        match self {
            Self::Refused(refusal) => refusal.status(),
            Self::Log(_) => 500,
        }
    }
}

impl From<proofmark_tlog::TlogError> for WitnessError {
    fn from(error: proofmark_tlog::TlogError) -> Self {
        Self::Log(error.into())
    }
}

/// A witness with its records in a folder: `witness_key`, and `public/<hash of origin>/checkpoint`
/// with the cosigned checkpoint of each log, which may be served under the monitoring prefix.
/// Whoever empties the folder makes it forget what it cosigned; one with a key and no records does
/// not start.
#[derive(Debug)]
pub struct Witness {
    key: SigningKey,
    public_key: VerifierKey,
    logs: Vec<VerifierKey>,
    /// Comparing with the record and replacing it are one step.
    disk: Mutex<Disk>,
    _lock: std::fs::File,
}

impl Witness {
    /// Opens a witness of this name, which follows the logs with these keys; makes its key at first
    /// start, behind the folder of the records: a key that others pin never outlives them unseen.
    ///
    /// # Errors
    /// [`LogError::Locked`], [`LogError::Key`], [`LogError::Io`], [`LogError::Damaged`] for a key
    /// without records, [`LogError::Tlog`] for a name that no key can have.
    pub fn open(folder: &Path, name: &str, logs: Vec<VerifierKey>) -> Result<Self, LogError> {
        make_folder(folder)?;
        let held = take_lock(folder, &folder.join("lock"))?;
        let (key_path, public) = (folder.join("witness_key"), folder.join("public"));
        let there = |path: &Path| std::fs::exists(path).unwrap_or(true);
        if there(&key_path) && !there(&public) {
            return Err(LogError::damaged(format!(
                "{} is missing, so that nobody knows what this witness cosigned; without a backup \
                 of it begin another witness, with another key",
                public.display()
            )));
        }
        let disk = Disk::open(&public, &folder.join("tmp"))?;
        let key = load_or_create_key(&key_path)?;
        let public_key = key.verifying_key().to_bytes();
        Ok(Self {
            public_key: VerifierKey::new(name, KeyKind::Cosigner, &public_key)?,
            key,
            logs,
            disk: Mutex::new(disk),
            _lock: held,
        })
    }

    /// The witness's public key; its `Display` is the vkey that verifiers pin.
    pub const fn verifier_key(&self) -> &VerifierKey {
        &self.public_key
    }

    /// Answers `POST <prefix>/add-checkpoint` with this body at this time (Unix seconds): the body
    /// of the 200 answer. The record is durable when it returns. A clock that was turned back does
    /// not date a tree before a smaller one that was cosigned.
    ///
    /// # Errors
    /// [`WitnessError`] with the status of the answer; a refusal has its own
    /// [body](Refusal::body).
    pub fn add_checkpoint(&self, body: &[u8], now: u64) -> Result<String, WitnessError> {
        let request = receive(body, &self.logs)?;
        let disk = self.disk.lock().unwrap_or_else(PoisonError::into_inner);
        let origin = request.checkpoint.checkpoint().origin();
        let name = record(origin);
        let (known, last) = self.known(&disk, origin, &name)?;
        judge(&request, &known)?;
        let line = cosignature::cosign(
            request.checkpoint.note().text(),
            self.public_key.name(),
            &self.key,
            now.max(last),
        )?;
        // Of the request's signatures the record keeps those that were verified.
        let verified: Vec<_> = request
            .checkpoint
            .note()
            .signatures()
            .iter()
            .filter(|signature| self.logs.iter().any(|log| log.made(signature)))
            .cloned()
            .chain([line.clone()])
            .collect();
        let text = request.checkpoint.note().text().to_owned();
        let cosigned = proofmark_tlog::SignedNote::new(text, verified)?;
        disk.write(&[(name, cosigned.to_string())])?;
        Ok(format!("{line}\n"))
    }

    /// The cosigned checkpoint of a log, if there is one.
    ///
    /// # Errors
    /// [`LogError::Damaged`] for a record that this witness did not write.
    pub fn checkpoint(&self, origin: &str) -> Result<Option<SignedCheckpoint>, LogError> {
        let disk = self.disk.lock().unwrap_or_else(PoisonError::into_inner);
        self.read(&disk, origin, &record(origin))
    }

    /// The latest head that was cosigned, and the time that was stated then.
    fn known(&self, disk: &Disk, origin: &str, name: &str) -> Result<(Head, u64), LogError> {
        let Some(held) = self.read(disk, origin, name)? else {
            return Ok((Head::EMPTY, 0));
        };
        let own = verify_all(held.note(), core::slice::from_ref(&self.public_key))?;
        let head = Head {
            size: held.checkpoint().size(),
            root: *held.checkpoint().root(),
        };
        Ok((head, own.iter().map(|own| own.time).max().unwrap_or(0)))
    }

    fn read(
        &self,
        disk: &Disk,
        origin: &str,
        name: &str,
    ) -> Result<Option<SignedCheckpoint>, LogError> {
        let path = disk.root().join(name);
        let bytes = read_bounded(&path, MAX_NOTE_BYTES)
            .map_err(|error| LogError::io("read", &path, &error))?;
        let Some(bytes) = bytes else {
            return Ok(None);
        };
        let held = SignedCheckpoint::parse_unverified(&bytes)?;
        let ours = verify_all(held.note(), core::slice::from_ref(&self.public_key))?;
        if ours.is_empty() || held.checkpoint().origin() != origin {
            return Err(LogError::damaged(format!(
                "{name} is not this witness's record"
            )));
        }
        Ok(Some(held))
    }
}

/// A log's record: the hash of its origin, as monitors ask for it.
fn record(origin: &str) -> String {
    format!("{}/checkpoint", Digest::of(origin.as_bytes()).to_hex())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::entry::{Entry, ReceiptEntry};
    use crate::files::Folder;
    use crate::log::{Head as Which, Log, Options};
    use crate::reader::Reader;
    use proofmark_tlog::{Policy, TlogProof};

    fn entry(i: u8) -> Entry {
        Entry::Receipt(ReceiptEntry {
            receipt: Digest::of(&[i]),
            package: Digest::of(b"package"),
            proved_at: 1,
        })
    }

    #[test]
    fn a_log_and_a_witness_work_together_over_restarts() {
        let folder = tempfile::tempdir().unwrap();
        let log = Log::open(&folder.path().join("log"), &Options::default()).unwrap();
        let open = || {
            Witness::open(
                &folder.path().join("witness"),
                "w.example/1",
                vec![log.verifier_key().clone()],
            )
            .unwrap()
        };
        let mut witness = open();
        let vkey = [witness.verifier_key().clone()];
        let policy = Policy::new(log.verifier_key().clone()).with_witnesses(vkey.to_vec(), 1);
        let mut size = 0;
        for i in 0..3_u8 {
            let index = log.append(&entry(i)).unwrap().index;
            let request = log.witness_request(size).unwrap();
            let answer = witness
                .add_checkpoint(&request.body, 100 + u64::from(i))
                .unwrap();
            // The log goes on while the witness works.
            if i == 1 {
                log.append(&entry(100)).unwrap();
            }
            let given = log
                .add_cosignatures(&request, answer.as_bytes(), &vkey)
                .unwrap();
            assert_eq!(given[0].time, 100 + u64::from(i));
            size = request.checkpoint.checkpoint().size();
            let proof = log.prove(index, Which::Cosigned).unwrap().proof;
            let proof = TlogProof::parse(&proof).unwrap();
            let verified = proof
                .verify(&entry(i).to_bytes().unwrap(), &policy)
                .unwrap();
            assert_eq!(verified.cosignatures.len(), 1);
            let reader = Reader::open(Folder::new(log.public_folder()), &policy).unwrap();
            assert_eq!(reader.size(), size);
            // What it remembers survives it.
            drop(witness);
            witness = open();
            let conflict = witness
                .add_checkpoint(&log.witness_request(0).unwrap().body, 5)
                .unwrap_err();
            assert_eq!(
                (conflict.status(), conflict.code()),
                (409, "witness-conflict")
            );
            assert_eq!(
                witness
                    .checkpoint(log.origin())
                    .unwrap()
                    .unwrap()
                    .checkpoint()
                    .size(),
                size
            );
        }
        assert!(matches!(
            Witness::open(&folder.path().join("witness"), "w.example/1", vec![]),
            Err(LogError::Locked { .. })
        ));
    }

    #[test]
    fn a_fork_is_not_cosigned_and_a_foreign_record_not_believed() {
        let folder = tempfile::tempdir().unwrap();
        let origin = Options {
            origin: Some("example.com/log".into()),
            ..Options::default()
        };
        let one = folder.path().join("one");
        let log = Log::open(&one, &origin).unwrap();
        // The same key and origin, another history: as after a restored backup.
        let two = folder.path().join("two");
        crate::log::testing::copy(&one, &two);
        let fork = Log::open(&two, &origin).unwrap();
        let witness = Witness::open(
            &folder.path().join("witness"),
            "w.example/1",
            vec![log.verifier_key().clone()],
        )
        .unwrap();
        log.append(&entry(1)).unwrap();
        fork.append(&entry(2)).unwrap();
        fork.append(&entry(3)).unwrap();
        witness
            .add_checkpoint(&log.witness_request(0).unwrap().body, 1)
            .unwrap();
        let error = witness
            .add_checkpoint(&fork.witness_request(1).unwrap().body, 2)
            .unwrap_err();
        assert_eq!(
            (error.status(), error.code()),
            (422, "witness-inconsistent")
        );
        let name = record("example.com/log");
        let path = folder.path().join("witness/public").join(name);
        std::fs::write(&path, log.checkpoint().to_string()).unwrap();
        let error = witness
            .add_checkpoint(&log.witness_request(1).unwrap().body, 3)
            .unwrap_err();
        assert_eq!((error.status(), error.code()), (500, "log-damaged"));
    }

    fn lone(folder: &Path) -> (Log, Witness) {
        let log = Log::open(&folder.join("log"), &Options::default()).unwrap();
        let followed = vec![log.verifier_key().clone()];
        let witness = Witness::open(&folder.join("witness"), "w.example/1", followed).unwrap();
        (log, witness)
    }

    #[test]
    fn a_clock_that_goes_back_dates_nothing_back() {
        let folder = tempfile::tempdir().unwrap();
        let (log, witness) = lone(folder.path());
        let vkey = [witness.verifier_key().clone()];
        let mut times = Vec::new();
        for (i, now) in [(0_u8, 100), (1, 50), (2, 0), (3, 101)] {
            log.append(&entry(i)).unwrap();
            let request = log.witness_request(u64::from(i)).unwrap();
            let answer = witness.add_checkpoint(&request.body, now).unwrap();
            let given = log.add_cosignatures(&request, answer.as_bytes(), &vkey);
            times.push(given.unwrap()[0].time);
        }
        assert_eq!(times, [100, 100, 100, 101]);
        // A first cosignature has no time to fall back on.
        let (other, early) = (tempfile::tempdir().unwrap(), 0);
        let (log, witness) = lone(other.path());
        let error = witness.add_checkpoint(&log.witness_request(0).unwrap().body, early);
        assert_eq!(error.unwrap_err().status(), 500);
    }

    #[test]
    fn a_witness_that_lost_or_cut_its_records_cosigns_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let (log, witness) = lone(folder.path());
        log.append(&entry(0)).unwrap();
        witness
            .add_checkpoint(&log.witness_request(0).unwrap().body, 1)
            .unwrap();
        let public = folder.path().join("witness/public");
        let path = public.join(record(log.origin()));
        let held = std::fs::read(&path).unwrap();
        for length in 0..held.len() {
            std::fs::write(&path, &held[..length]).unwrap();
            for old in [0, 1] {
                let request = log.witness_request(old).unwrap();
                let error = witness.add_checkpoint(&request.body, 2).unwrap_err();
                assert_eq!(error.status(), 500, "cut at {length}");
            }
        }
        std::fs::write(&path, &held).unwrap();
        witness
            .add_checkpoint(&log.witness_request(1).unwrap().body, 2)
            .unwrap();
        drop(witness);
        std::fs::remove_dir_all(&public).unwrap();
        let open = || Witness::open(&folder.path().join("witness"), "w.example/1", vec![]);
        assert_eq!(open().unwrap_err().code(), "log-damaged");
        std::fs::remove_file(folder.path().join("witness/witness_key")).unwrap();
        open().unwrap();
    }

    /// Many ask at once, each for another continuation of the same tree: one of them is cosigned.
    #[test]
    fn of_many_forks_at_once_one_is_cosigned() {
        let folder = tempfile::tempdir().unwrap();
        let (log, witness) = lone(folder.path());
        log.append(&entry(0)).unwrap();
        witness
            .add_checkpoint(&log.witness_request(0).unwrap().body, 1)
            .unwrap();
        drop(log);
        let requests: Vec<Vec<u8>> = (1..=8)
            .map(|i| {
                let place = folder.path().join(format!("fork{i}"));
                crate::log::testing::copy(&folder.path().join("log"), &place);
                let fork = Log::open(&place, &Options::default()).unwrap();
                fork.append(&entry(i)).unwrap();
                fork.witness_request(1).unwrap().body
            })
            .collect();
        let answers: Vec<Result<String, WitnessError>> = std::thread::scope(|scope| {
            let asked: Vec<_> = requests
                .iter()
                .map(|body| scope.spawn(|| witness.add_checkpoint(body, 2)))
                .collect();
            asked.into_iter().map(|a| a.join().unwrap()).collect()
        });
        assert_eq!(answers.iter().filter(|answer| answer.is_ok()).count(), 1);
        let refused = answers.iter().filter_map(|answer| answer.as_ref().err());
        assert!(
            refused
                .map(WitnessError::status)
                .all(|status| status == 409)
        );
        // Asked for again at the new size, the others are forks and the one is not.
        for (body, answer) in requests.iter().zip(&answers) {
            let text = String::from_utf8(body.clone()).unwrap();
            let (_, note) = text.split_once("\n\n").unwrap();
            let again = witness.add_checkpoint(format!("old 2\n\n{note}").as_bytes(), 3);
            assert_eq!(again.is_ok(), answer.is_ok());
            if let Err(error) = again {
                assert_eq!(
                    (error.status(), error.code()),
                    (409, "witness-inconsistent")
                );
            }
        }
    }
}

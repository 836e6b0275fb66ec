//! The portable proof that an entry is logged (tlog-proof, file extension `.tlog-proof`).

use core::fmt;

use crate::checkpoint::SignedCheckpoint;
use crate::error::TlogError;
use crate::hash::{Hash, leaf_hash};
use crate::note::MAX_NOTE_BYTES;
use crate::policy::{Policy, Verified};
use crate::text::{decimal, from_base64, split_at_empty_line, to_base64};
use crate::tree::{MAX_PROOF, verify_inclusion};

/// First line of the format.
const HEADER: &str = "c2sp.org/tlog-proof@v1";
/// Most bytes of extra data.
pub const MAX_EXTRA_BYTES: usize = 64 << 10;
/// Longest proof that is parsed, in bytes.
pub const MAX_PROOF_BYTES: usize = MAX_NOTE_BYTES + 2 * MAX_EXTRA_BYTES;

/// An entry's place in a log, its audit path, and the checkpoint that this leads to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TlogProof {
    /// Data of the application. Nothing authenticates it.
    pub extra: Option<Vec<u8>>,
    /// The entry's index.
    pub index: u64,
    /// From the entry's sibling up to the root's child.
    pub path: Vec<Hash>,
    /// The checkpoint, with whatever signatures it carries.
    pub checkpoint: SignedCheckpoint,
}

impl TlogProof {
    /// Reads a proof in its one spelling. Nothing is verified yet.
    ///
    /// # Errors
    /// [`TlogError::Malformed`].
    pub fn parse(bytes: &[u8]) -> Result<Self, TlogError> {
        let refuse = |reason: &str| TlogError::malformed("tlog-proof", reason);
        if bytes.len() > MAX_PROOF_BYTES {
            return Err(refuse("it is longer than 384 KiB"));
        }
        let text = core::str::from_utf8(bytes).map_err(|_| refuse("it is not UTF-8"))?;
        let (front, note) = split_at_empty_line(text)
            .ok_or_else(|| refuse("no empty line stands before the checkpoint"))?;
        let mut lines = front.split_terminator('\n').peekable();
        if lines.next() != Some(HEADER) {
            return Err(refuse("its first line is not c2sp.org/tlog-proof@v1"));
        }
        let extra = lines
            .next_if(|line| line.starts_with("extra "))
            .and_then(|line| line.strip_prefix("extra "))
            .map(|data| {
                from_base64(data)
                    .filter(|d| d.len() <= MAX_EXTRA_BYTES)
                    .ok_or_else(|| refuse("the extra data are not base64 of at most 64 KiB"))
            })
            .transpose()?;
        let index = lines
            .next()
            .and_then(|line| line.strip_prefix("index "))
            .and_then(decimal)
            .ok_or_else(|| refuse("it names no index"))?;
        let path = lines
            .take(MAX_PROOF.saturating_add(1))
            .map(str::parse)
            .collect::<Result<Vec<Hash>, _>>()?;
        if path.len() > MAX_PROOF {
            return Err(refuse("its path has more than 64 hashes"));
        }
        let proof = Self {
            extra,
            index,
            path,
            checkpoint: SignedCheckpoint::parse_unverified(note.as_bytes())?,
        };
        if proof.to_string() == text {
            Ok(proof)
        } else {
            Err(refuse("it is not in its one spelling"))
        }
    }

    /// Verifies that `entry` is logged where the proof says, under a checkpoint that the policy
    /// accepts.
    ///
    /// # Errors
    /// As [`Policy::verify`], [`TlogError::Inclusion`], [`TlogError::Range`].
    pub fn verify(&self, entry: &[u8], policy: &Policy) -> Result<Verified, TlogError> {
        let verified = policy.verify(self.checkpoint.to_string().as_bytes())?;
        let head = verified.head.checkpoint();
        verify_inclusion(
            &leaf_hash(entry),
            self.index,
            head.size(),
            &self.path,
            head.root(),
        )?;
        Ok(verified)
    }
}

impl fmt::Display for TlogProof {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{HEADER}")?;
        if let Some(extra) = &self.extra {
            writeln!(f, "extra {}", to_base64(extra))?;
        }
        writeln!(f, "index {}", self.index)?;
        self.path
            .iter()
            .try_for_each(|hash| writeln!(f, "{hash}"))?;
        write!(f, "\n{}", self.checkpoint)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::checkpoint::Checkpoint;
    use crate::cosignature::cosign;
    use crate::note::{KeyKind, VerifierKey};
    use crate::tiles::tests::entry;
    use crate::tip::Tip;
    use ed25519_dalek::SigningKey;

    fn key() -> SigningKey {
        SigningKey::from_bytes(&[5; 32])
    }

    fn policy() -> Policy {
        let key = key().verifying_key().to_bytes();
        Policy::new(VerifierKey::new("example.com/log", KeyKind::Ed25519, &key).unwrap())
    }

    fn proof(index: u64, size: u64) -> TlogProof {
        let mut tip = Tip::default();
        let growth = tip
            .append(&(0..size).map(entry).collect::<Vec<_>>())
            .unwrap();
        let head = Checkpoint::new("example.com/log", size, tip.root()).unwrap();
        TlogProof {
            extra: None,
            index,
            path: growth.prove(index).unwrap(),
            checkpoint: SignedCheckpoint::sign(head, &key()).unwrap(),
        }
    }

    #[test]
    fn proofs_are_read_back_and_verify_their_entry_only() {
        for (index, size) in [(0, 1), (0, 2), (3, 5), (255, 300), (299, 300)] {
            let mut proof = proof(index, size);
            for extra in [None, Some(vec![]), Some(b"data".to_vec())] {
                proof.extra = extra;
                let text = proof.to_string();
                let read = TlogProof::parse(text.as_bytes()).unwrap();
                assert_eq!(read, proof);
                let verified = read.verify(&entry(index), &policy()).unwrap();
                assert_eq!(verified.head.checkpoint().size(), size);
                assert_eq!(
                    read.verify(&entry(index + 1), &policy()).unwrap_err(),
                    TlogError::Inclusion
                );
            }
        }
    }

    #[test]
    fn no_changed_byte_of_a_proof_verifies() {
        let bytes = proof(3, 5).to_string().into_bytes();
        for i in 0..bytes.len() {
            for bit in 0..8 {
                let mut changed = bytes.clone();
                changed[i] ^= 1 << bit;
                let accepted =
                    TlogProof::parse(&changed).and_then(|p| p.verify(&entry(3), &policy()));
                assert!(accepted.is_err(), "byte {i} bit {bit}");
            }
        }
        for i in 0..bytes.len() {
            assert!(TlogProof::parse(&bytes[..i]).is_err(), "cut at {i}");
        }
        let mut longer = bytes.clone();
        longer.push(b'\n');
        assert!(TlogProof::parse(&longer).is_err());
        let text = String::from_utf8(bytes).unwrap();
        let path = proof(3, 5).path[0].to_string();
        let many = text.replacen(&path, &[path.as_str(); 65].join("\n"), 1);
        assert!(TlogProof::parse(many.as_bytes()).is_err());
    }

    #[test]
    fn a_policy_with_witnesses_demands_them() {
        let witness = SigningKey::from_bytes(&[9; 32]);
        let vkey = VerifierKey::new(
            "w.example/1",
            KeyKind::Cosigner,
            witness.verifying_key().as_bytes(),
        )
        .unwrap();
        let demanding = policy().with_witnesses(vec![vkey], 1);
        let mut proof = proof(3, 5);
        assert_eq!(
            proof.verify(&entry(3), &demanding).unwrap_err().code(),
            "tlog-witnesses-missing"
        );
        let line = cosign(proof.checkpoint.note().text(), "w.example/1", &witness, 77).unwrap();
        proof.checkpoint = proof.checkpoint.with(&[line]).unwrap();
        let verified = proof.verify(&entry(3), &demanding).unwrap();
        assert_eq!(verified.cosignatures[0].time, 77);
        proof.verify(&entry(3), &policy()).unwrap();
    }
}

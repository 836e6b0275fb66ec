//! What the writer is about to publish: the entries of one batch and the checkpoint that covers
//! them. Once this is durable, the batch is part of the log; whatever happens, it is published.

use proofmark_tlog::SignedCheckpoint;
use proofmark_tlog::note::MAX_NOTE_BYTES;
use proofmark_tlog::tile::{parse_bundle, push_entry};
use proofmark_types::Digest;

use crate::error::LogError;

/// First bytes of the file.
const MAGIC: &[u8] = b"proofmark/log-intent/v1\n";
/// Most entries of a batch.
pub(crate) const MAX_ENTRIES: u16 = 4096;
/// Most bytes of a batch's entries, with their lengths. One entry always fits.
pub(crate) const MAX_BYTES: usize = 8 << 20;
/// Longest file.
pub(crate) const MAX_FILE_BYTES: usize = MAX_BYTES + MAX_NOTE_BYTES + 256;
/// Its name.
pub(crate) const FILE: &str = "intent";

/// A batch. After it is published it stays as the mark below which the log never shrinks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Intent {
    /// Entries of the log before the batch.
    pub(crate) old_size: u64,
    /// The batch.
    pub(crate) entries: Vec<Vec<u8>>,
    /// The signed head after it.
    pub(crate) head: SignedCheckpoint,
}

impl Intent {
    /// The file: magic, old size, length and bytes of the checkpoint, number of entries, entries
    /// as in a bundle, SHA-256 of all before. Numbers are big-endian.
    pub(crate) fn to_bytes(&self) -> Result<Vec<u8>, LogError> {
        let head = self.head.to_string();
        let too_long = |_| LogError::damaged("a batch is longer than an intent can hold");
        let mut bytes = MAGIC.to_vec();
        bytes.extend_from_slice(&self.old_size.to_be_bytes());
        let length = u32::try_from(head.len()).map_err(too_long)?;
        bytes.extend_from_slice(&length.to_be_bytes());
        bytes.extend_from_slice(head.as_bytes());
        let count = u16::try_from(self.entries.len()).map_err(too_long)?;
        bytes.extend_from_slice(&count.to_be_bytes());
        for entry in &self.entries {
            push_entry(&mut bytes, entry)?;
        }
        let digest = Digest::of(&bytes);
        bytes.extend_from_slice(digest.as_bytes());
        Ok(bytes)
    }

    /// Reads the file.
    pub(crate) fn parse(bytes: &[u8]) -> Result<Self, LogError> {
        let damaged = || LogError::damaged("state/intent is not as it was written");
        let (content, digest) = bytes.split_last_chunk::<32>().ok_or_else(damaged)?;
        if Digest::of(content).as_bytes() != digest {
            return Err(damaged());
        }
        let rest = content.strip_prefix(MAGIC).ok_or_else(damaged)?;
        let (old_size, rest) = rest.split_first_chunk::<8>().ok_or_else(damaged)?;
        let (length, rest) = rest.split_first_chunk::<4>().ok_or_else(damaged)?;
        let length = usize::try_from(u32::from_be_bytes(*length)).map_err(|_| damaged())?;
        let (head, rest) = rest.split_at_checked(length).ok_or_else(damaged)?;
        let (count, rest) = rest.split_first_chunk::<2>().ok_or_else(damaged)?;
        let entries = parse_bundle(rest, u16::from_be_bytes(*count)).map_err(|_| damaged())?;
        let intent = Self {
            old_size: u64::from_be_bytes(*old_size),
            entries: entries.into_iter().map(<[u8]>::to_vec).collect(),
            head: SignedCheckpoint::parse_unverified(head)?,
        };
        let added = u64::from(u16::from_be_bytes(*count));
        if intent.old_size.checked_add(added) == Some(intent.head.checkpoint().size()) {
            Ok(intent)
        } else {
            Err(damaged())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ed25519_dalek::SigningKey;
    use proofmark_tlog::{Checkpoint, leaf_hash};

    #[test]
    fn an_intent_is_read_as_it_was_written() {
        let head = Checkpoint::new("example.com/log", 5, leaf_hash(b"x")).unwrap();
        let intent = Intent {
            old_size: 3,
            entries: vec![b"a".to_vec(), Vec::new()],
            head: SignedCheckpoint::sign(head, &SigningKey::from_bytes(&[1; 32])).unwrap(),
        };
        let bytes = intent.to_bytes().unwrap();
        assert_eq!(Intent::parse(&bytes).unwrap(), intent);
        for i in 0..bytes.len() {
            let mut changed = bytes.clone();
            changed[i] ^= 1;
            assert!(Intent::parse(&changed).is_err(), "byte {i}");
            assert!(Intent::parse(&bytes[..i]).is_err(), "cut at {i}");
        }
        let mut wrong = intent;
        wrong.old_size = 4;
        assert!(Intent::parse(&wrong.to_bytes().unwrap()).is_err());
    }
}

//! One batch after another: intent durable, tiles durable, checkpoint durable, then the answer.

use ed25519_dalek::SigningKey;
use proofmark_tlog::tile::CHECKPOINT_PATH;
use proofmark_tlog::tip::Growth;
use proofmark_tlog::{Checkpoint, NoteSignature, SignedCheckpoint, Tip};

use crate::error::LogError;
use crate::files::Disk;
use crate::intent::{FILE, Intent};
use crate::recovery::remove_partials;

/// The one that writes.
#[derive(Debug)]
pub(crate) struct Writer {
    pub(crate) public: Disk,
    pub(crate) state: Disk,
    pub(crate) key: SigningKey,
    pub(crate) tip: Tip,
    pub(crate) head: SignedCheckpoint,
    /// A batch whose publication failed. Its intent may be durable, so it is finished before
    /// anything else is written.
    pub(crate) pending: Option<Batch>,
}

/// A batch with all that follows from it.
#[derive(Debug, Clone)]
pub(crate) struct Batch {
    intent: Intent,
    growth: Growth,
}

impl Batch {
    /// The signed head that covers it.
    pub(crate) const fn head(&self) -> &SignedCheckpoint {
        &self.intent.head
    }

    /// The tree's growth by it.
    pub(crate) const fn growth(&self) -> &Growth {
        &self.growth
    }
}

impl Writer {
    /// Adds entries. On an error they may be in the log all the same, once a later commit or the
    /// next start has finished what this one began.
    pub(crate) fn commit(&mut self, entries: Vec<Vec<u8>>) -> Result<Batch, LogError> {
        self.finish()?;
        let mut tip = self.tip.clone();
        let growth = tip.append(&entries)?;
        let head = Checkpoint::new(self.head.checkpoint().origin(), tip.size(), tip.root())?;
        let intent = Intent {
            old_size: self.tip.size(),
            entries,
            head: SignedCheckpoint::sign(head, &self.key)?,
        };
        let batch = Batch { intent, growth };
        self.pending = Some(batch.clone());
        self.finish()?;
        Ok(batch)
    }

    /// Publishes the pending batch, if there is one.
    pub(crate) fn finish(&mut self) -> Result<(), LogError> {
        let Some(batch) = &self.pending else {
            return Ok(());
        };
        self.state
            .write(&[(FILE.to_owned(), batch.intent.to_bytes()?)])?;
        let files: Vec<(String, Vec<u8>)> = batch
            .growth
            .files()
            .into_iter()
            .map(|(path, bytes)| (path.to_string(), bytes))
            .collect();
        self.public.write(&files)?;
        self.public
            .write(&[(CHECKPOINT_PATH.to_owned(), batch.intent.head.to_string())])?;
        for path in batch.growth.filled() {
            remove_partials(self.public.root(), &path);
        }
        self.tip = batch.growth.tip().clone();
        self.head = batch.intent.head.clone();
        self.pending = None;
        Ok(())
    }

    /// Publishes cosignatures of the current head.
    pub(crate) fn cosign(&mut self, lines: &[NoteSignature]) -> Result<(), LogError> {
        let head = self.head.with(lines)?;
        self.public
            .write(&[(CHECKPOINT_PATH.to_owned(), head.to_string())])?;
        self.head = head;
        Ok(())
    }
}

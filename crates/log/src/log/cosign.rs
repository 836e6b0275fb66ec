//! Cosignatures by witnesses: what to ask them, and publishing what they answer.

use proofmark_tlog::witness::{AddCheckpoint, read_response};
use proofmark_tlog::{Cosignature, SignedCheckpoint, VerifierKey, tree};

use super::{Log, lock};
use crate::error::LogError;
use crate::files::read_bounded;
use crate::reader::COSIGNED_PATH;

/// What to ask a witness.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WitnessRequest {
    /// Body of `POST <prefix>/add-checkpoint`.
    pub body: Vec<u8>,
    /// The checkpoint in it.
    pub checkpoint: SignedCheckpoint,
}

impl Log {
    /// The latest checkpoint that witnesses cosigned.
    ///
    /// # Errors
    /// [`LogError::Io`], [`LogError::Tlog`] for one that this log did not sign.
    pub fn cosigned(&self) -> Result<Option<SignedCheckpoint>, LogError> {
        let path = self.public.join(COSIGNED_PATH);
        let bytes = read_bounded(&path, proofmark_tlog::note::MAX_NOTE_BYTES)
            .map_err(|error| LogError::io("read", &path, &error))?;
        let read = bytes.map(|bytes| SignedCheckpoint::verify(&bytes, &self.key));
        Ok(read.transpose()?)
    }

    /// What to send to a witness that last cosigned the tree of `old_size` entries (0 if never; its
    /// 409 answer says).
    ///
    /// # Errors
    /// [`LogError::Tlog`] when the witness is ahead of the log, and what reading the tiles says.
    pub fn witness_request(&self, old_size: u64) -> Result<WitnessRequest, LogError> {
        let checkpoint = self.checkpoint();
        let tree = self.tree(&checkpoint)?;
        let request = AddCheckpoint {
            old_size,
            proof: tree::prove_consistency(old_size, tree.size(), &tree)?,
            checkpoint: checkpoint.clone(),
        };
        Ok(WitnessRequest {
            body: request.to_string().into_bytes(),
            checkpoint,
        })
    }

    /// Publishes the cosignatures in a witness's answer: as `checkpoint.cosigned`, and in
    /// `checkpoint` unless that is newer by now.
    ///
    /// # Errors
    /// [`LogError::Tlog`] for an answer that no pinned witness signed, or that carries a wrong signature
    /// in the name of one; [`LogError::Io`].
    pub fn add_cosignatures(
        &self,
        request: &WitnessRequest,
        response: &[u8],
        witnesses: &[VerifierKey],
    ) -> Result<Vec<Cosignature>, LogError> {
        // The request may have been kept somewhere: it must still be a checkpoint of this log.
        let asked = SignedCheckpoint::verify(request.checkpoint.to_string().as_bytes(), &self.key)?;
        let read = read_response(response, &asked, witnesses)?;
        let (lines, cosignatures): (Vec<_>, Vec<_>) = read.into_iter().unzip();
        let mut writer = lock(&self.writer);
        writer.finish()?;
        let cosigned = match self.cosigned()? {
            Some(held) if held.checkpoint() == asked.checkpoint() => Some(held.with(&lines)?),
            Some(held) if held.checkpoint().size() > asked.checkpoint().size() => None,
            _ => Some(asked.with(&lines)?),
        };
        if let Some(cosigned) = cosigned {
            let file = (COSIGNED_PATH.to_owned(), cosigned.to_string());
            writer.public.write(&[file])?;
        }
        if writer.head.checkpoint() == asked.checkpoint() {
            writer.cosign(&lines)?;
        }
        *lock(&self.head) = writer.head.clone();
        Ok(cosignatures)
    }
}

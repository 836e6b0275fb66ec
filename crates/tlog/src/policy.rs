//! Whose word on a checkpoint is taken: one log, and how many of which witnesses.

use crate::checkpoint::SignedCheckpoint;
use crate::cosignature::{self, Cosignature};
use crate::error::TlogError;
use crate::note::VerifierKey;

/// What a verifier pins.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Policy {
    log: VerifierKey,
    witnesses: Vec<VerifierKey>,
    quorum: usize,
}

/// A checkpoint that a policy accepts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Verified {
    /// The checkpoint.
    pub head: SignedCheckpoint,
    /// The pinned witnesses that cosigned it.
    pub cosignatures: Vec<Cosignature>,
}

impl Policy {
    /// The log's signature is enough. A log can then show different histories to different readers.
    pub const fn new(log: VerifierKey) -> Self {
        Self {
            log,
            witnesses: Vec::new(),
            quorum: 0,
        }
    }

    /// Demands cosignatures of `quorum` of these witnesses.
    #[must_use]
    pub fn with_witnesses(mut self, witnesses: Vec<VerifierKey>, quorum: usize) -> Self {
        self.witnesses = witnesses;
        self.quorum = quorum;
        self
    }

    /// The log's key; its name is the log's origin.
    pub const fn log(&self) -> &VerifierKey {
        &self.log
    }

    /// The witnesses.
    pub fn witnesses(&self) -> &[VerifierKey] {
        &self.witnesses
    }

    /// How many of them must have cosigned.
    pub const fn quorum(&self) -> usize {
        self.quorum
    }

    /// Reads a checkpoint that this policy accepts.
    ///
    /// # Errors
    /// As [`SignedCheckpoint::verify`], and [`TlogError::Witnesses`].
    pub fn verify(&self, checkpoint: &[u8]) -> Result<Verified, TlogError> {
        let head = SignedCheckpoint::verify(checkpoint, &self.log)?;
        let cosignatures = cosignature::verify_all(head.note(), &self.witnesses)?;
        if cosignatures.len() < self.quorum {
            return Err(TlogError::Witnesses {
                got: cosignatures.len(),
                needed: self.quorum,
            });
        }
        Ok(Verified { head, cosignatures })
    }
}

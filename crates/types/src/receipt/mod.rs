//! The receipt of one proven inference: an in-toto Statement v1 with predicate type
//! [`PREDICATE_TYPE`], signed in a DSSE v1 envelope.
//!
//! A receipt has exactly one byte form. [`Envelope::parse`] reads it, encodes what it read again
//! and refuses a difference, so a [`Receipt`] that came out of it holds nothing that contradicts
//! itself. Whether it is *true* is the verifier's question. `docs/spec/receipt.md` is the
//! normative text, `docs/reference/receipt.md` the reference.

mod envelope;
mod error;
mod opening;
mod predicate;
pub mod schema;
mod tensor;
#[cfg(test)]
mod testing;

use serde::{Deserialize, Serialize};

use crate::context::Context;
use crate::digest::Digest;
use crate::field::Fr;
use crate::manifest::{RuntimePin, SetupKind};
use crate::proof::ProofBytes;
use crate::statement::{PublicLayout, StatementError, statement_digest};

pub use crate::dsse::{key_id, pre_authentication_encoding};
pub use crate::in_toto::{ENVELOPE_MEDIA_TYPE, PAYLOAD_TYPE, STATEMENT_TYPE};
pub use envelope::Envelope;
pub use error::ReceiptError;
pub use opening::{
    MAX_OPENINGS_BYTES, OPENINGS_FORMAT, Opening, OpeningsError, read_openings, write_openings,
};
pub use tensor::{RecordValue, TensorRecord};

/// Our predicate type; it carries the version.
pub const PREDICATE_TYPE: &str = "https://proofmark.dev/proven-inference/v1";
/// Largest envelope that is parsed, in bytes.
pub const MAX_ENVELOPE_BYTES: usize = 64 << 20;

/// The model that ran.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ModelRef {
    /// Package name.
    pub name: String,
    /// Package version.
    pub version: String,
    /// SHA-256 of the integer model's bytes.
    pub integer_model: Digest,
}

/// How the keys were made.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SetupRef {
    /// Single-party or ceremony.
    pub kind: SetupKind,
    /// SHA-256 of the setup transcript.
    pub transcript: Digest,
}

/// The software that made the receipt: a claim of the signer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Software {
    /// Its name, file-name-safe.
    pub name: String,
    /// Its version, file-name-safe.
    pub version: String,
}

/// The content of a receipt.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Receipt {
    /// Digest of the sealed package's manifest: what a verifier pins.
    pub package: Digest,
    /// The model.
    pub model: ModelRef,
    /// Digest of the circuit.
    pub circuit: Digest,
    /// Digest of the verifying key's file.
    pub verifying_key: Digest,
    /// How the keys were made.
    pub setup: SetupRef,
    /// The runtime whose execution is proven.
    pub runtime: RuntimePin,
    /// The software that made the receipt: a claim of the signer.
    pub software: Software,
    /// What the proof is bound to.
    pub context: Context,
    /// Inputs in graph order.
    pub inputs: Vec<TensorRecord>,
    /// Outputs in graph order.
    pub outputs: Vec<TensorRecord>,
    /// The proof. Anyone can turn it into another valid proof of the same statement, so nothing
    /// may be keyed by these bytes.
    pub proof: ProofBytes,
    /// Unix seconds at which the proof was made: a claim of the signer, at most 2^53 − 1.
    pub proved_at: u64,
    /// Raw Ed25519 public key of the service that signs.
    pub signer: [u8; 32],
}

impl Receipt {
    /// The layout that the receipt itself implies. A verifier takes the manifest's.
    ///
    /// # Errors
    /// [`StatementError`] for a shape with more elements than can be addressed.
    pub fn layout(&self) -> Result<PublicLayout, StatementError> {
        PublicLayout::new(
            self.inputs.iter().map(TensorRecord::slot).collect(),
            self.outputs.iter().map(TensorRecord::slot).collect(),
        )
    }

    /// The public inputs recomputed from context, values and commitments under `layout`.
    ///
    /// # Errors
    /// [`StatementError`] when the tensors are not those of the layout.
    pub fn public_inputs(&self, layout: &PublicLayout) -> Result<Vec<Fr>, StatementError> {
        let inputs: Vec<_> = self.inputs.iter().map(TensorRecord::public_value).collect();
        let outputs: Vec<_> = self
            .outputs
            .iter()
            .map(TensorRecord::public_value)
            .collect();
        layout.public_inputs(self.context.digest(), &inputs, &outputs)
    }

    /// The digest of what was proven: the key for replay protection and idempotency.
    ///
    /// # Errors
    /// As [`layout`](Self::layout).
    pub fn statement_digest(&self) -> Result<Digest, StatementError> {
        Ok(statement_digest(
            &self.package,
            &self.public_inputs(&self.layout()?)?,
        ))
    }
}

//! The attestation of an audit: what an auditor who saw a package whole says of it to those who see
//! its public files only. An in-toto Statement v1 with predicate type [`PREDICATE_TYPE`], signed in
//! a DSSE v1 envelope with the auditor's own key.
//!
//! Like a receipt it has one byte form. [`SignedAttestation::parse`] refuses every other, and what
//! an audit that found a failure would have to say has no form at all. Whose package it is about,
//! and whether the auditor is trusted, are the verifier's questions. `docs/spec/attestation.md` is
//! the normative text.

mod envelope;
mod error;
pub mod schema;
mod statement;
#[cfg(test)]
mod testing;

use serde::{Deserialize, Serialize};

use crate::digest::Digest;
use crate::manifest::{Manifest, SetupKind};
use crate::receipt::Software;

pub use envelope::SignedAttestation;
pub use error::AttestationError;

/// Our predicate type; it carries the version.
pub const PREDICATE_TYPE: &str = "https://proofmark.dev/package-audit/v1";
/// Largest envelope that is parsed, in bytes.
pub const MAX_ATTESTATION_BYTES: usize = 64 << 10;
/// Longest text of the auditor's own, in bytes.
pub const MAX_STATEMENT_BYTES: usize = 4096;
/// Most checks that an attestation lists.
pub const MAX_CHECKS: usize = 256;

/// The checks from which the subjects follow: that the model gives the circuit, and that circuit,
/// transcript and keys are of each other. An attestation in which one of them does not pass would
/// name what the auditor has not seen, and is refused.
pub const SUBJECT_CHECKS: [&str; 7] = [
    "package-manifest",
    "circuit-model",
    "circuit-digest",
    "verifying-key",
    "setup-transcript",
    "proving-key",
    "key-proves-circuit",
];

/// How a check of the audit ended. What failed cannot be attested, so there is no third.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum CheckStatus {
    /// What was asked holds.
    Pass,
    /// It could not be found out with what the auditor had.
    NotChecked,
}

/// One question of the audit and its answer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CheckResult {
    /// The check's id in the audit report, kebab-case.
    pub id: String,
    /// The answer.
    pub status: CheckStatus,
}

/// How many receipts the audit saw. At most 2^53 − 1 each.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ReceiptCount {
    /// Given to the auditor.
    pub given: u64,
    /// That verify, copies not counted; at most `given`.
    pub accepted: u64,
}

/// How many inferences were computed again. At most 2^53 − 1 each.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SampleCount {
    /// Accepted receipts that can be computed again; at most as many as were accepted.
    pub eligible: u64,
    /// How many of them were; at most `eligible`.
    pub computed: u64,
}

/// The artefacts that were audited, by digest.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Subjects {
    /// Of the sealed manifest: what a verifier pins.
    pub package: Digest,
    /// Of the integer model's file.
    pub integer_model: Digest,
    /// Of the circuit's header and constraints.
    pub circuit: Digest,
    /// Of the verifying key's file.
    pub verifying_key: Digest,
    /// Of the proving key's file.
    pub proving_key: Digest,
    /// Of the setup transcript's file.
    pub transcript: Digest,
}

impl Subjects {
    /// What a package's manifest names; `None` for a draft, which has no keys.
    pub fn of(package: Digest, manifest: &Manifest) -> Option<Self> {
        let sealed = manifest.sealed.as_ref()?;
        Some(Self {
            package,
            integer_model: manifest.integer_model.digest,
            circuit: sealed.circuit.digest,
            verifying_key: sealed.verifying_key.digest,
            proving_key: sealed.proving_key.digest,
            transcript: sealed.transcript.digest,
        })
    }

    /// The subjects in the order of the statement, each under the name of its part, whatever the
    /// manifest calls the file.
    pub const fn named(&self) -> [(&'static str, Digest); 6] {
        [
            ("manifest.json", self.package),
            ("integer.onnx", self.integer_model),
            ("circuit", self.circuit),
            ("verifying_key.bin", self.verifying_key),
            ("proving_key.bin", self.proving_key),
            ("transcript.json", self.transcript),
        ]
    }

    /// The name of the first subject that differs.
    pub fn difference(&self, other: &Self) -> Option<&'static str> {
        let pairs = self.named().into_iter().zip(other.named());
        pairs
            .into_iter()
            .find(|(one, two)| one != two)
            .map(|((name, _), _)| name)
    }
}

/// The content of an attestation. Everything but the subjects is the auditor's word.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Attestation {
    /// What was audited.
    pub subjects: Subjects,
    /// SHA-256 of the audit report's `report.json`.
    pub report: Digest,
    /// The software that audited.
    pub software: Software,
    /// How the keys were made, as the audit found it.
    pub setup_kind: SetupKind,
    /// Every check of the audit, in the order of its report.
    pub checks: Vec<CheckResult>,
    /// Receipts that the audit saw.
    pub receipts: ReceiptCount,
    /// Inferences that the audit computed again.
    pub samples: SampleCount,
    /// What the auditor says in words: 1 to [`MAX_STATEMENT_BYTES`] bytes, no control characters.
    pub statement: String,
    /// Unix seconds of the audit, by the auditor's clock, at most 2^53 − 1.
    pub audited_at: u64,
    /// Raw Ed25519 public key of the auditor, who signs.
    pub auditor: [u8; 32],
}

impl Attestation {
    /// Ids of the checks that ended like this, in order.
    pub fn with_status(&self, status: CheckStatus) -> impl Iterator<Item = &str> {
        let checks = self.checks.iter();
        checks
            .filter(move |check| check.status == status)
            .map(|check| check.id.as_str())
    }
}

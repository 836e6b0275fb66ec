//! The report of an audit, as data. `docs/spec/audit-report.md` is the normative text.

use std::collections::BTreeMap;

use proofmark_types::Digest;
use proofmark_types::manifest::{Backend, Manifest, SetupKind, Visibility};
use proofmark_types::time::date;
use proofmark_verifier::{TrustedPackage, not_proven};
use serde::Serialize;

use crate::Request;
use crate::accuracy::Accuracy;
use crate::finding::{Finding, Status};
use crate::receipts::{Receipts, signer};

/// Value of [`Report::format`].
pub const REPORT_FORMAT: &str = "proofmark/audit-report/v1";

/// What the findings come to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Outcome {
    /// Everything was checked and holds.
    Passed,
    /// Nothing failed, but something could not be checked.
    Incomplete,
    /// At least one check failed.
    Failed,
}

impl Outcome {
    /// Kebab-case name.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Passed => "passed",
            Self::Incomplete => "incomplete",
            Self::Failed => "failed",
        }
    }
}

/// The software that audited.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Software {
    /// Its name.
    pub name: &'static str,
    /// Its version.
    pub version: &'static str,
}

/// What the manifest says of the package. Members but the digest are `None` where the manifest
/// cannot be read or is a draft's.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct PackageSummary {
    /// SHA-256 of the manifest's bytes.
    pub digest: Digest,
    /// Name of the model.
    pub name: Option<String>,
    /// Version of the model.
    pub version: Option<String>,
    /// SHA-256 of the integer model.
    pub integer_model: Option<Digest>,
    /// The circuit that was proven.
    pub circuit: Option<Digest>,
    /// Digest of the verifying key.
    pub verifying_key: Option<Digest>,
    /// The proof system.
    pub backend: Option<Backend>,
    /// How the keys were made.
    pub setup_kind: Option<SetupKind>,
}

impl PackageSummary {
    pub(crate) const fn unreadable(digest: Digest) -> Self {
        Self {
            digest,
            name: None,
            version: None,
            integer_model: None,
            circuit: None,
            verifying_key: None,
            backend: None,
            setup_kind: None,
        }
    }

    pub(crate) fn of(digest: Digest, manifest: &Manifest) -> Self {
        let sealed = manifest.sealed.as_ref();
        Self {
            digest,
            name: Some(manifest.name.clone()),
            version: Some(manifest.version.clone()),
            integer_model: Some(manifest.integer_model.digest),
            circuit: sealed.map(|sealed| sealed.circuit.digest),
            verifying_key: sealed.map(|sealed| sealed.verifying_key.digest),
            backend: Some(manifest.compiler.backend),
            setup_kind: sealed.map(|sealed| sealed.setup_kind),
        }
    }
}

/// Receipts signed by one key.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct SignerCount {
    /// SHA-256 of the public key.
    pub key_id: Digest,
    /// How many receipts that verify.
    pub receipts: usize,
}

/// Proofs of one day.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct DayCount {
    /// The day in UTC, `2026-11-21`.
    pub day: String,
    /// How many receipts state that they were proven on it.
    pub proofs: usize,
}

/// The receipts in numbers.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct ReceiptsSummary {
    /// How many were given.
    pub given: usize,
    /// How many verify, copies not counted.
    pub accepted: usize,
    /// How many do not.
    pub rejected: usize,
    /// How many were given again.
    pub copies: usize,
    /// Who signed those that verify.
    pub signers: Vec<SignerCount>,
    /// When they were proven, by the signers' clocks; days with at least one.
    pub proofs_per_day: Vec<DayCount>,
}

/// How many inferences were computed again.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct SamplesSummary {
    /// Receipts whose inputs are public, and of whose outputs at least one can be compared.
    pub eligible: usize,
    /// How many of these were computed again.
    pub computed: usize,
}

/// The report of an audit.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Report {
    /// [`REPORT_FORMAT`].
    pub format: &'static str,
    /// The software that audited.
    pub software: Software,
    /// Unix seconds of the audit, by the auditor's clock.
    pub audited_at: u64,
    /// What chose the samples: `0x` and 64 hex digits.
    pub seed: String,
    /// What the findings come to.
    pub outcome: Outcome,
    /// The package.
    pub package: PackageSummary,
    /// The receipts in numbers.
    pub receipts: ReceiptsSummary,
    /// Inferences computed again.
    pub samples: SamplesSummary,
    /// Both models on the auditor's data.
    pub accuracy: Option<Accuracy>,
    /// One finding for each [`Check`](crate::Check), in their order.
    pub findings: Vec<Finding>,
    /// What even receipts that verify do not prove, a sentence each.
    pub not_proven: Vec<String>,
}

impl Report {
    pub(crate) fn new(request: &Request) -> Self {
        Self {
            format: REPORT_FORMAT,
            software: Software {
                name: "proofmark",
                version: env!("CARGO_PKG_VERSION"),
            },
            audited_at: request.now,
            seed: format!("0x{}", Digest::from_bytes(request.seed).to_hex()),
            outcome: Outcome::Incomplete,
            package: PackageSummary::unreadable(Digest::of(b"")),
            receipts: ReceiptsSummary::default(),
            samples: SamplesSummary::default(),
            accuracy: None,
            findings: Vec::new(),
            not_proven: Vec::new(),
        }
    }

    /// What the receipts leave open: the same sentences as in the verification of each of them.
    pub(crate) fn limits(&mut self, trusted: Option<&TrustedPackage>, receipts: &Receipts) {
        let Some((trusted, setup)) = trusted.zip(self.package.setup_kind) else {
            return;
        };
        let layout = trusted.layout();
        let tensors = layout.inputs().iter().chain(layout.outputs());
        let hidden: Vec<&str> = tensors
            .filter(|tensor| tensor.visibility != Visibility::Public)
            .map(|tensor| tensor.name.as_str())
            .collect();
        for accepted in &receipts.accepted {
            // The sentences differ with the signature's verdict alone, of which there are two.
            for sentence in not_proven(setup, accepted.verdict.signature, &hidden) {
                if !self.not_proven.contains(&sentence) {
                    self.not_proven.push(sentence);
                }
            }
        }
    }

    pub(crate) fn summarize(
        &mut self,
        receipts: &Receipts,
        samples: SamplesSummary,
        accuracy: Option<Accuracy>,
    ) {
        let (mut signers, mut days) = (BTreeMap::new(), BTreeMap::new());
        for accepted in &receipts.accepted {
            *signers.entry(signer(&accepted.verdict)).or_insert(0) += 1;
            // Whole days since 1970: their order is that of time in every year.
            let day = accepted.verdict.receipt.proved_at / 86_400;
            *days.entry(day).or_insert(0) += 1;
        }
        let signers = signers.into_iter();
        let days = days.into_iter();
        self.receipts = ReceiptsSummary {
            given: receipts.given,
            accepted: receipts.accepted.len(),
            rejected: receipts.rejected,
            copies: receipts.copies,
            signers: signers
                .map(|(key_id, receipts)| SignerCount { key_id, receipts })
                .collect(),
            proofs_per_day: days
                .map(|(day, proofs)| DayCount {
                    day: date(day * 86_400),
                    proofs,
                })
                .collect(),
        };
        self.samples = samples;
        self.accuracy = accuracy;
    }

    pub(crate) fn conclude(&mut self, findings: Vec<Finding>) {
        let any = |status| findings.iter().any(|finding| finding.status == status);
        self.outcome = if any(Status::Fail) {
            Outcome::Failed
        } else if any(Status::NotChecked) {
            Outcome::Incomplete
        } else {
            Outcome::Passed
        };
        self.findings = findings;
    }

    /// How many findings have this status.
    pub fn count(&self, status: Status) -> usize {
        let findings = self.findings.iter();
        findings.filter(|finding| finding.status == status).count()
    }

    /// The report's bytes: JSON indented by two blanks, members in the order of declaration, a line
    /// feed at the end.
    pub fn to_json(&self) -> Vec<u8> {
        // Strings, numbers and lists serialise without fail; a share of samples is finite.
        let mut bytes = serde_json::to_vec_pretty(self).unwrap_or_default();
        bytes.push(b'\n');
        bytes
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn days_are_those_of_utc() {
        assert_eq!(date(1_790_000_000), "2026-09-21");
        assert_eq!(date(86_399), "1970-01-01");
        assert_eq!(date(86_400), "1970-01-02");
    }
}

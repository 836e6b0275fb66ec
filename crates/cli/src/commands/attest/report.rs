//! The report of an audit, as far as an attestation repeats it.

use std::path::Path;

use proofmark_audit::{Check, REPORT_FORMAT};
use proofmark_types::Digest;
use proofmark_types::attestation::{CheckResult, CheckStatus, ReceiptCount, SampleCount, Subjects};
use proofmark_types::manifest::SetupKind;
use proofmark_types::receipt::Software;
use proofmark_verify::{Exit, Failure, read_bounded};
use serde::Deserialize;

/// Name of the report for programs.
const REPORT_FILE: &str = "report.json";
/// Largest report that is read: culprits, of which a finding names 100, are its bulk.
const MAX_REPORT_BYTES: usize = 64 << 20;

/// A report that this version of the audit could have written.
pub(super) struct AuditReport {
    /// SHA-256 of the file.
    pub(super) digest: Digest,
    pub(super) software: Software,
    pub(super) audited_at: u64,
    pub(super) samples: SampleCount,
    content: Content,
}

/// What an attestation repeats; there is more in the file.
#[derive(Deserialize)]
struct Content {
    format: String,
    software: Software,
    audited_at: u64,
    outcome: String,
    package: PackageSummary,
    receipts: ReceiptsSummary,
    samples: SampleCount,
    findings: Vec<Finding>,
}

#[derive(Deserialize)]
struct PackageSummary {
    digest: Digest,
    integer_model: Option<Digest>,
    circuit: Option<Digest>,
    verifying_key: Option<Digest>,
    setup_kind: Option<SetupKind>,
}

#[derive(Deserialize)]
struct ReceiptsSummary {
    given: u64,
    accepted: u64,
}

#[derive(Deserialize)]
struct Finding {
    id: String,
    status: Status,
}

#[derive(PartialEq, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum Status {
    Pass,
    Fail,
    NotChecked,
}

impl AuditReport {
    /// Reads the report in a folder.
    pub(super) fn read(folder: &Path) -> Result<Self, Failure> {
        let path = folder.join(REPORT_FILE);
        let bytes = read_bounded(&path, MAX_REPORT_BYTES)?;
        let content: Content = serde_json::from_slice(&bytes)
            .map_err(|error| malformed(format!("{}: {error}", path.display())))?;
        if content.format != REPORT_FORMAT {
            return Err(malformed(format!(
                "its format is {:?}, this software attests {REPORT_FORMAT:?}",
                content.format
            )));
        }
        let found = content.findings.iter().map(|finding| finding.id.as_str());
        if !found.eq(Check::ALL.iter().map(|check| check.id())) {
            return Err(malformed(
                "its checks are not those of this version's audits".to_owned(),
            ));
        }
        Ok(Self {
            digest: Digest::of(&bytes),
            software: content.software.clone(),
            audited_at: content.audited_at,
            samples: content.samples,
            content,
        })
    }

    pub(super) const fn receipts(&self) -> ReceiptCount {
        let ReceiptsSummary { given, accepted } = self.content.receipts;
        ReceiptCount { given, accepted }
    }

    /// The answers; a failure among them cannot be attested.
    pub(super) fn checks(&self) -> Result<Vec<CheckResult>, Failure> {
        let findings = &self.content.findings;
        let result = |finding: &Finding| {
            let status = match finding.status {
                Status::Pass => CheckStatus::Pass,
                Status::NotChecked => CheckStatus::NotChecked,
                Status::Fail => return None,
            };
            Some(CheckResult {
                id: finding.id.clone(),
                status,
            })
        };
        let results: Option<Vec<_>> = findings.iter().map(result).collect();
        if let Some(results) = results.filter(|_| self.content.outcome != "failed") {
            return Ok(results);
        }
        let failed: Vec<&str> = findings
            .iter()
            .filter(|finding| finding.status == Status::Fail)
            .map(|finding| finding.id.as_str())
            .collect();
        let message = format!(
            "the audit failed ({}), so there is nothing to attest",
            failed.join(", ")
        );
        let failure = Failure::new(Exit::Rejected, "attestation-audit-failed", message);
        Err(failure.hint("have the operator put it right, and audit the package that comes of it"))
    }

    /// Checks that the report is of this package; gives how its keys were made.
    pub(super) fn check_package(
        &self,
        subjects: &Subjects,
        kind: SetupKind,
    ) -> Result<SetupKind, Failure> {
        let package = &self.content.package;
        for (what, reported, found) in [
            ("package", Some(package.digest), subjects.package),
            (
                "integer model",
                package.integer_model,
                subjects.integer_model,
            ),
            ("circuit", package.circuit, subjects.circuit),
            (
                "verifying key",
                package.verifying_key,
                subjects.verifying_key,
            ),
        ] {
            if reported != Some(found) {
                let reported = reported.map_or("none".to_owned(), |digest| digest.to_string());
                return Err(mismatch(format!(
                    "the report's {what} is {reported}, the one in the folder is {found}"
                )));
            }
        }
        if package.setup_kind != Some(kind) {
            return Err(mismatch(
                "report and manifest differ in how the keys were made".to_owned(),
            ));
        }
        Ok(kind)
    }
}

/// The report is about something else than the package in the folder.
pub(super) fn mismatch(reason: String) -> Failure {
    Failure::new(Exit::Rejected, "attestation-report-mismatch", reason)
        .hint("give the folder that was audited, or audit this one")
}

fn malformed(reason: String) -> Failure {
    let message = "the report is none that can be attested".to_owned();
    let mut failure = Failure::new(Exit::Rejected, "attestation-report-malformed", message);
    failure.causes.push(reason);
    failure.hint("audit the package with this version: `proofmark audit --report DIR`")
}

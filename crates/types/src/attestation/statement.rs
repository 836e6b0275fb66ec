//! The signed bytes: an in-toto Statement v1 around the predicate, and what may stand in it.

use std::collections::BTreeSet;

use serde::de::IgnoredAny;
use serde::{Deserialize, Serialize};

use super::error::AttestationError;
use super::{
    Attestation, CheckResult, CheckStatus, MAX_CHECKS, MAX_STATEMENT_BYTES, PREDICATE_TYPE,
    ReceiptCount, SUBJECT_CHECKS, SampleCount, Subjects,
};
use crate::canonical::{self, CanonicalError};
use crate::digest::Digest;
use crate::in_toto::{self, WireSigner, WireSubject};
use crate::manifest::{MAX_COUNT, SetupKind, is_safe_name};
use crate::receipt::Software;
use crate::text::printable;

pub(super) type WireStatement = in_toto::WireStatement<WirePredicate>;

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct WirePredicate {
    report: Digest,
    software: Software,
    setup_kind: SetupKind,
    checks: Vec<CheckResult>,
    receipts: ReceiptCount,
    samples: SampleCount,
    statement: String,
    audited_at: u64,
    auditor: WireSigner,
}

impl Attestation {
    /// The in-toto statement's bytes, which are signed: compact JSON, members in a fixed order.
    ///
    /// # Errors
    /// [`AttestationError`] for content that no attestation may have.
    pub fn to_payload(&self) -> Result<Vec<u8>, AttestationError> {
        self.check()?;
        let subjects = self.subjects.named();
        let statement = WireStatement::new(
            subjects
                .iter()
                .map(|(name, digest)| WireSubject::new(name, digest))
                .collect(),
            PREDICATE_TYPE,
            WirePredicate {
                report: self.report,
                software: self.software.clone(),
                setup_kind: self.setup_kind,
                checks: self.checks.clone(),
                receipts: self.receipts,
                samples: self.samples,
                statement: self.statement.clone(),
                audited_at: self.audited_at,
                auditor: WireSigner {
                    ed25519: self.auditor,
                },
            },
        );
        Ok(canonical::encode(&statement)?)
    }

    /// Reads a payload in its one encoding.
    ///
    /// # Errors
    /// [`AttestationError`] for every other spelling, and for members that contradict each other.
    pub fn from_payload(bytes: &[u8]) -> Result<Self, AttestationError> {
        // The types first: of another predicate nothing else is known.
        let typed: in_toto::WireStatement<IgnoredAny> =
            serde_json::from_slice(bytes).map_err(CanonicalError::from)?;
        typed.check_types(PREDICATE_TYPE)?;
        let wire: WireStatement = serde_json::from_slice(bytes).map_err(CanonicalError::from)?;
        let WirePredicate {
            report,
            software,
            setup_kind,
            checks,
            receipts,
            samples,
            statement,
            audited_at,
            auditor,
        } = wire.predicate;
        let attestation = Self {
            subjects: subjects(&wire.subject)
                .ok_or(AttestationError::Value { field: "subject" })?,
            report,
            software,
            setup_kind,
            checks,
            receipts,
            samples,
            statement,
            audited_at,
            auditor: auditor.ed25519,
        };
        if attestation.to_payload()? != bytes {
            return Err(AttestationError::NotCanonical);
        }
        Ok(attestation)
    }

    fn check(&self) -> Result<(), AttestationError> {
        let Self {
            subjects: _,
            report: _,
            software,
            setup_kind: _,
            checks,
            receipts,
            samples,
            statement,
            audited_at,
            auditor: _,
        } = self;
        let demand = |holds: bool, field| {
            if holds {
                Ok(())
            } else {
                Err(AttestationError::Value { field })
            }
        };
        demand(is_safe_name(&software.name), "software.name")?;
        demand(is_safe_name(&software.version), "software.version")?;
        let mut ids = BTreeSet::new();
        demand(
            checks.len() <= MAX_CHECKS
                && checks
                    .iter()
                    .all(|check| is_safe_name(&check.id) && ids.insert(check.id.as_str())),
            "checks",
        )?;
        demand(
            receipts.given <= MAX_COUNT && receipts.accepted <= receipts.given,
            "receipts",
        )?;
        demand(
            samples.eligible <= receipts.accepted && samples.computed <= samples.eligible,
            "samples",
        )?;
        let shown = !statement.chars().any(char::is_control) && printable(statement) == *statement;
        demand(
            shown && (1..=MAX_STATEMENT_BYTES).contains(&statement.len()),
            "statement",
        )?;
        demand(*audited_at <= MAX_COUNT, "auditedAt")?;
        let passed: BTreeSet<&str> = self.with_status(CheckStatus::Pass).collect();
        match SUBJECT_CHECKS.into_iter().find(|id| !passed.contains(id)) {
            Some(id) => Err(AttestationError::Incomplete { id }),
            None => Ok(()),
        }
    }
}

/// The subjects, in their one order.
fn subjects(wire: &[WireSubject]) -> Option<Subjects> {
    let [manifest, model, circuit, verifying, proving, transcript] = wire else {
        return None;
    };
    Some(Subjects {
        package: manifest.digest_of("manifest.json")?,
        integer_model: model.digest_of("integer.onnx")?,
        circuit: circuit.digest_of("circuit")?,
        verifying_key: verifying.digest_of("verifying_key.bin")?,
        proving_key: proving.digest_of("proving_key.bin")?,
        transcript: transcript.digest_of("transcript.json")?,
    })
}

#[cfg(test)]
mod tests {
    use super::super::testing::{key, sample};
    use super::super::{MAX_ATTESTATION_BYTES, SignedAttestation};
    use super::*;

    #[test]
    fn content_that_no_attestation_may_have() {
        type Change = fn(&mut Attestation);
        let changes: [(Change, &str); 18] = [
            (|a| a.software.name = "A".into(), "attestation-malformed"),
            (|a| a.software.version.clear(), "attestation-malformed"),
            (|a| a.checks[0].id.clear(), "attestation-malformed"),
            (
                |a| a.checks[7].id = "circuit digest".into(),
                "attestation-malformed",
            ),
            (
                |a| {
                    let again = a.checks[7].clone();
                    a.checks.push(again);
                },
                "attestation-malformed",
            ),
            (|a| a.checks.clear(), "attestation-incomplete"),
            (
                |a| a.checks[3].status = CheckStatus::NotChecked,
                "attestation-incomplete",
            ),
            (
                |a| a.checks[6].id = "key-proves-nothing".into(),
                "attestation-incomplete",
            ),
            (|a| a.receipts.accepted = 13, "attestation-malformed"),
            (|a| a.receipts.given = u64::MAX, "attestation-malformed"),
            (|a| a.samples.eligible = 11, "attestation-malformed"),
            (|a| a.samples.computed = 10, "attestation-malformed"),
            (|a| a.statement.clear(), "attestation-malformed"),
            (|a| a.statement.push('\n'), "attestation-malformed"),
            (|a| a.statement.push('\u{202e}'), "attestation-malformed"),
            (
                |a| a.statement = "x".repeat(MAX_STATEMENT_BYTES + 1),
                "attestation-malformed",
            ),
            (|a| a.audited_at = u64::MAX, "attestation-malformed"),
            (|a| a.auditor[0] ^= 1, "attestation-auditor-mismatch"),
        ];
        for (at, (change, code)) in changes.into_iter().enumerate() {
            let mut attestation = sample();
            change(&mut attestation);
            let error = SignedAttestation::sign(attestation, &key()).unwrap_err();
            assert_eq!(error.code(), code, "change {at}");
        }
    }

    /// Each check that a subject follows from is missed when it is open.
    #[test]
    fn no_subject_is_named_unseen() {
        for (at, id) in SUBJECT_CHECKS.into_iter().enumerate() {
            let mut attestation = sample();
            attestation.checks[at].status = CheckStatus::NotChecked;
            assert_eq!(
                attestation.to_payload().unwrap_err(),
                AttestationError::Incomplete { id }
            );
        }
    }

    #[test]
    fn the_largest_attestation_is_read() {
        let mut largest = sample();
        for at in largest.checks.len()..MAX_CHECKS {
            largest.checks.push(CheckResult {
                id: format!("{at:0>64}"),
                status: CheckStatus::NotChecked,
            });
        }
        largest.statement = "\"".repeat(MAX_STATEMENT_BYTES);
        largest.audited_at = MAX_COUNT;
        let bytes = SignedAttestation::sign(largest.clone(), &key())
            .unwrap()
            .to_bytes()
            .unwrap();
        assert!(bytes.len() <= MAX_ATTESTATION_BYTES, "{}", bytes.len());
        assert_eq!(
            SignedAttestation::parse(&bytes).unwrap().attestation(),
            &largest
        );
        largest.checks.push(CheckResult {
            id: "one-more".to_owned(),
            status: CheckStatus::Pass,
        });
        assert_eq!(
            largest.to_payload().unwrap_err().code(),
            "attestation-malformed"
        );
    }

    #[test]
    fn a_payload_has_one_spelling() {
        let text = String::from_utf8(sample().to_payload().unwrap()).unwrap();
        let [first, second] = ["manifest.json", "integer.onnx"].map(|name| {
            let start = text.find(&format!("{{\"name\":\"{name}\"")).unwrap();
            let end = start + text[start..].find("}}").unwrap() + 2;
            text[start..end].to_owned()
        });
        let cases = [
            (format!("{text} "), "attestation-not-canonical"),
            (
                text.replace("„as", "\\u201eas"),
                "attestation-not-canonical",
            ),
            (
                text.replace("1790000000", "1.79e9"),
                "attestation-malformed",
            ),
            (
                text.replace("\"given\":12", "\"given\":12,\"lost\":0"),
                "attestation-malformed",
            ),
            (text.replace("\"given\":12,", ""), "attestation-malformed"),
            (
                text.replace("\"given\":12", "\"given\":12,\"given\":12"),
                "attestation-malformed",
            ),
            (
                text.replace("\"predicate\":{", "\"predicate\":{\"extra\":1,"),
                "attestation-malformed",
            ),
            (
                text.replace("\"not-checked\"", "\"fail\""),
                "attestation-malformed",
            ),
            (
                text.replace("single-party", "unsafe-dev"),
                "attestation-malformed",
            ),
            (
                text.replace("package-audit/v1", "package-audit/v2"),
                "attestation-unsupported",
            ),
            (
                text.replace("Statement/v1", "Statement/v0.1"),
                "attestation-unsupported",
            ),
            // Subjects: another name, order, spelling, number.
            (
                text.replace("manifest.json", "manifest"),
                "attestation-malformed",
            ),
            (
                text.replace(&format!("{first},{second}"), &format!("{second},{first}")),
                "attestation-malformed",
            ),
            (
                text.replace(&format!("{first},"), ""),
                "attestation-malformed",
            ),
            (
                text.replace(&first, &format!("{first},{first}")),
                "attestation-malformed",
            ),
            (
                text.replace(&first, &first.replace("\"sha256\":\"", "\"sha256\":\"A")),
                "attestation-malformed",
            ),
        ];
        for (bad, code) in cases {
            assert_ne!(bad, text);
            assert_eq!(
                Attestation::from_payload(bad.as_bytes())
                    .unwrap_err()
                    .code(),
                code,
                "{bad}"
            );
        }
    }
}

//! What auditors attest of the package that a receipt is of.

use std::path::PathBuf;

use clap::Args;
use proofmark_types::attestation::{CheckStatus, MAX_ATTESTATION_BYTES, SignedAttestation};
use proofmark_types::time::utc;
use proofmark_verifier::TrustedPackage;
use serde_json::{Value, json};

use crate::command::bytes32;
use crate::failure::Failure;
use crate::files::read_bounded;
use crate::hex::bytes_to_hex;

/// Whose word on the package is taken.
#[derive(Debug, Clone, Default, Args)]
pub struct AttestationArgs {
    /// Attestation of the package's audit; may be repeated. Each must hold, and be by a given
    /// auditor
    #[arg(long, value_name = "FILE", requires = "auditor_key")]
    pub attestation: Vec<PathBuf>,
    /// Public key of an auditor whom you trust, 0x and 64 hex digits; may be repeated. Each must
    /// have attested the package
    #[arg(long, value_name = "KEY", value_parser = bytes32)]
    pub auditor_key: Vec<[u8; 32]>,
}

impl AttestationArgs {
    /// The attestations, all of which hold for this package, in the order given.
    ///
    /// # Errors
    /// [`Failure`]: exit 1 when one does not hold, is by nobody whose key was given, or a key was
    /// given whose owner attested nothing; 3 when a file cannot be read.
    pub fn check(&self, package: &TrustedPackage) -> Result<Vec<SignedAttestation>, Failure> {
        let envelopes = self
            .attestation
            .iter()
            .map(|path| read_bounded(path, MAX_ATTESTATION_BYTES))
            .collect::<Result<Vec<_>, _>>()?;
        Ok(package.check_attestations(&envelopes, &self.auditor_key)?)
    }
}

/// For programs.
pub(crate) fn attestation_json(signed: &SignedAttestation) -> Value {
    let attestation = signed.attestation();
    let ids = |status| attestation.with_status(status).collect::<Vec<_>>();
    json!({
        "attestation_id": signed.id(),
        "auditor": bytes_to_hex(&attestation.auditor),
        "auditor_key_id": signed.key_id(),
        "audited_at": attestation.audited_at,
        "report": attestation.report,
        "software": attestation.software,
        "setup": attestation.setup_kind.name(),
        "pass": ids(CheckStatus::Pass),
        "not_checked": ids(CheckStatus::NotChecked),
        "receipts": attestation.receipts,
        "samples": attestation.samples,
        "statement": attestation.statement,
    })
}

/// For people, a line each. The statement has no line feed: that is part of its form.
pub(crate) fn attestation_lines(signed: &SignedAttestation) -> Vec<String> {
    let attestation = signed.attestation();
    let list = |status| {
        let ids: Vec<&str> = attestation.with_status(status).collect();
        if ids.is_empty() {
            "nothing".to_owned()
        } else {
            ids.join(", ")
        }
    };
    vec![
        format!(
            "auditor {} says (audited at {}, {} receipts, {} of them computed again):",
            signed.key_id(),
            utc(attestation.audited_at),
            attestation.receipts.accepted,
            attestation.samples.computed
        ),
        format!("  \"{}\"", attestation.statement),
        format!("  checked and right: {}", list(CheckStatus::Pass)),
        format!("  not checked: {}", list(CheckStatus::NotChecked)),
        format!("  report {}", attestation.report),
    ]
}

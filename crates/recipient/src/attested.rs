//! What auditors attest of the package that a receipt is of, in words.

use proofmark_types::attestation::{CheckStatus, SignedAttestation};
use proofmark_types::time::utc;
use serde_json::{Value, json};

use crate::hex::bytes_to_hex;

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

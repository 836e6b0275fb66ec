//! An attestation for the tests of this module.

use ed25519_dalek::SigningKey;

use super::{
    Attestation, CheckResult, CheckStatus, ReceiptCount, SUBJECT_CHECKS, SampleCount, Subjects,
};
use crate::digest::Digest;
use crate::manifest::SetupKind;
use crate::receipt::Software;

pub(super) fn key() -> SigningKey {
    SigningKey::from_bytes(&[7; 32])
}

pub(super) fn sample() -> Attestation {
    let passed = SUBJECT_CHECKS.iter().map(|id| CheckResult {
        id: (*id).to_owned(),
        status: CheckStatus::Pass,
    });
    let open = CheckResult {
        id: "log-inclusion".to_owned(),
        status: CheckStatus::NotChecked,
    };
    Attestation {
        subjects: Subjects {
            package: Digest::of(b"manifest"),
            integer_model: Digest::of(b"onnx"),
            circuit: Digest::of(b"circuit"),
            verifying_key: Digest::of(b"vk"),
            proving_key: Digest::of(b"pk"),
            transcript: Digest::of(b"transcript"),
        },
        report: Digest::of(b"report"),
        software: Software {
            name: "proofmark".to_owned(),
            version: "0.1.0".to_owned(),
        },
        setup_kind: SetupKind::SingleParty,
        checks: passed.chain([open]).collect(),
        receipts: ReceiptCount {
            given: 12,
            accepted: 10,
        },
        samples: SampleCount {
            eligible: 9,
            computed: 5,
        },
        statement: "Audited on site; weights „as trained“.".to_owned(),
        audited_at: 1_790_000_000,
        auditor: key().verifying_key().to_bytes(),
    }
}

//! Attestations of audits: whose they are, what they are about, and everything that must be refused.

use std::path::PathBuf;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use ed25519_dalek::SigningKey;
use proofmark_types::attestation::{
    Attestation, CheckResult, CheckStatus, ReceiptCount, SUBJECT_CHECKS, SampleCount,
    SignedAttestation, Subjects,
};
use proofmark_types::dsse::Signed;
use proofmark_types::manifest::SetupKind;
use proofmark_types::problem::lookup;
use proofmark_types::receipt::{PAYLOAD_TYPE, Software};
use proofmark_types::{Digest, Manifest};
use proofmark_verifier::{Pins, Rejection, TrustedPackage, check_attestation};

use crate::fixture::{attacker_key, fixture};
use crate::json::{leaves, with};

fn auditor() -> SigningKey {
    SigningKey::from_bytes(&[5; 32])
}

fn public(key: &SigningKey) -> [u8; 32] {
    key.verifying_key().to_bytes()
}

/// What an honest auditor says of the package.
fn honest() -> Attestation {
    let f = fixture();
    let open = ["log-inclusion", "accuracy"];
    let check = |status| {
        move |id: &str| CheckResult {
            id: id.to_owned(),
            status,
        }
    };
    Attestation {
        subjects: Subjects::of(f.pins.package, &f.manifest).unwrap(),
        report: Digest::of(b"report.json"),
        software: Software {
            name: "proofmark".to_owned(),
            version: "0.1.0".to_owned(),
        },
        setup_kind: SetupKind::SingleParty,
        checks: SUBJECT_CHECKS
            .into_iter()
            .map(check(CheckStatus::Pass))
            .chain(open.into_iter().map(check(CheckStatus::NotChecked)))
            .collect(),
        receipts: ReceiptCount {
            given: 3,
            accepted: 2,
        },
        samples: SampleCount {
            eligible: 1,
            computed: 1,
        },
        statement: "The weights are those that we were shown on site.".to_owned(),
        audited_at: 1_790_000_000,
        auditor: public(&auditor()),
    }
}

fn signed(attestation: Attestation, key: &SigningKey) -> Vec<u8> {
    let signed = SignedAttestation::sign(attestation, key).unwrap();
    signed.to_bytes().unwrap()
}

fn trusted() -> TrustedPackage {
    let f = fixture();
    TrustedPackage::open(&f.pins, &f.manifest_bytes, &f.key_bytes).unwrap()
}

fn code(result: Result<Vec<SignedAttestation>, Rejection>) -> &'static str {
    let code = result.unwrap_err().code();
    assert!(lookup(code).is_some(), "{code} is not listed");
    code
}

/// The code of one attestation to whoever trusts the auditor; empty when it is accepted.
fn verdict(envelope: &[u8]) -> &'static str {
    match trusted().check_attestations(&[envelope], &[public(&auditor())]) {
        Ok(_) => "",
        Err(rejection) => rejection.code(),
    }
}

/// The committed attestation of the committed package. `UPDATE_EXPECT=1` writes it anew.
#[test]
fn version_1_still_holds() {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/goldens");
    let path = folder.join("attestation_v1.json");
    let now = signed(honest(), &auditor());
    if std::env::var_os("UPDATE_EXPECT").is_some() {
        std::fs::write(&path, &now).unwrap();
    }
    let committed = std::fs::read(path).unwrap();
    assert_eq!(committed, now);
    let manifest = std::fs::read(folder.join("manifest_v1.json")).unwrap();
    let held = check_attestation(
        &committed,
        Digest::of(&manifest),
        &Manifest::parse(&manifest).unwrap(),
    )
    .unwrap();
    assert_eq!(held.attestation(), &honest());
}

#[test]
fn an_attestation_holds_for_its_package_and_auditor() {
    let envelope = signed(honest(), &auditor());
    let held = trusted()
        .check_attestations(&[&envelope], &[public(&auditor())])
        .unwrap();
    assert_eq!(held[0].attestation(), &honest());
    let open: Vec<&str> = held[0]
        .attestation()
        .with_status(CheckStatus::NotChecked)
        .collect();
    assert_eq!(open, ["log-inclusion", "accuracy"]);
    let none: [&[u8]; 0] = [];
    assert_eq!(trusted().check_attestations(&none, &[]), Ok(Vec::new()));
}

#[test]
fn each_attestation_has_an_auditor_and_each_auditor_an_attestation() {
    let (ours, other) = (auditor(), attacker_key());
    let first = signed(honest(), &ours);
    let mut second = honest();
    second.auditor = public(&other);
    let second = signed(second, &other);
    let check = |envelopes: &[&[u8]], keys: &[&SigningKey]| {
        let keys: Vec<[u8; 32]> = keys.iter().map(|key| public(key)).collect();
        trusted().check_attestations(envelopes, &keys)
    };
    let both: [&[u8]; 2] = [&first, &second];
    assert_eq!(check(&both, &[&ours, &other]).unwrap().len(), 2);
    assert_eq!(check(&both, &[&other, &ours]).unwrap().len(), 2);
    for (envelopes, keys, expected) in [
        (&both[..1], &[&other][..], "attestation-auditor-mismatch"),
        (&both[..1], &[], "attestation-auditor-mismatch"),
        (&both[..], &[&ours], "attestation-auditor-mismatch"),
        (&both[..0], &[&ours], "attestation-missing"),
        (&both[..1], &[&ours, &other], "attestation-missing"),
    ] {
        assert_eq!(code(check(envelopes, keys)), expected);
    }
    // One that does not hold is not made up for by one that does.
    let mut broken = first.clone();
    let last = broken.len() - 1;
    broken[last] = b' ';
    assert_eq!(
        code(check(&[&first, &broken], &[&ours])),
        "attestation-malformed"
    );
}

/// The same auditor attested another package: one that differs in a single part.
#[test]
fn an_attestation_of_another_package_is_refused() {
    for part in 0..6 {
        let mut other = honest();
        let subjects = &mut other.subjects;
        let digests = [
            &mut subjects.package,
            &mut subjects.integer_model,
            &mut subjects.circuit,
            &mut subjects.verifying_key,
            &mut subjects.proving_key,
            &mut subjects.transcript,
        ];
        for (at, digest) in digests.into_iter().enumerate() {
            if at == part {
                *digest = Digest::of(b"another");
            }
        }
        let name = other.subjects.named()[part].0;
        let f = fixture();
        let refused = check_attestation(&signed(other, &auditor()), f.pins.package, &f.manifest);
        assert_eq!(
            refused.unwrap_err(),
            Rejection::AttestationMismatch { what: name }
        );
    }
    // Under a package of another version, all of whose files are the same, it is none either.
    let mut next = fixture().manifest.clone();
    next.version.push('1');
    let bytes = next.to_bytes().unwrap();
    let pins = Pins::package(Digest::of(&bytes));
    let package = TrustedPackage::open(&pins, &bytes, &fixture().key_bytes).unwrap();
    let replayed =
        package.check_attestations(&[signed(honest(), &auditor())], &[public(&auditor())]);
    assert_eq!(code(replayed), "attestation-mismatch");
    // A draft has no keys to attest.
    let mut draft = fixture().manifest.clone();
    draft.sealed = None;
    let refused = check_attestation(
        &signed(honest(), &auditor()),
        fixture().pins.package,
        &draft,
    );
    assert_eq!(refused.unwrap_err().code(), "package-not-sealed");
}

/// Every leaf of the payload with a change of it, how the change ends when the auditor signs it
/// too, and empty for what rests on the auditor's word.
const LEAVES: &[(&str, &str, &str)] = &[
    (
        "/_type",
        "\"https://in-toto.io/Statement/v2\"",
        "attestation-unsupported",
    ),
    (
        "/predicateType",
        "\"https://proofmark.dev/package-audit/v2\"",
        "attestation-unsupported",
    ),
    ("/subject/*/name", "\"other\"", "attestation-malformed"),
    ("/subject/*/digest/sha256", "DIGEST", "attestation-mismatch"),
    ("/predicate/report", "\"sha256:DIGEST", ""),
    ("/predicate/software/name", "\"other\"", ""),
    ("/predicate/software/version", "\"9\"", ""),
    (
        "/predicate/setupKind",
        "\"ceremony\"",
        "attestation-mismatch",
    ),
    (
        "/predicate/checks/*/id",
        "\"other\"",
        "attestation-incomplete",
    ),
    (
        "/predicate/checks/*/status",
        "\"not-checked\"",
        "attestation-incomplete",
    ),
    ("/predicate/receipts/given", "4", ""),
    ("/predicate/receipts/accepted", "3", ""),
    ("/predicate/samples/eligible", "2", ""),
    ("/predicate/samples/computed", "0", ""),
    ("/predicate/statement", "\"All is well.\"", ""),
    ("/predicate/auditedAt", "1790000001", ""),
    (
        "/predicate/auditor/ed25519",
        "KEY",
        "attestation-signature-invalid",
    ),
];

/// The row of a leaf: positions in lists are `*`.
fn row(path: &str) -> &'static (&'static str, &'static str, &'static str) {
    let general: Vec<&str> = path
        .split('/')
        .map(|part| {
            if part.parse::<usize>().is_ok() {
                "*"
            } else {
                part
            }
        })
        .collect();
    let general = general.join("/");
    let found = LEAVES.iter().find(|(leaf, ..)| *leaf == general);
    found.unwrap_or_else(|| panic!("{path} has no row"))
}

#[test]
fn every_leaf_is_under_the_signature_and_compared_or_the_auditors_word() {
    let envelope = signed(honest(), &auditor());
    let payload = String::from_utf8(honest().to_payload().unwrap()).unwrap();
    let text = String::from_utf8(envelope).unwrap();
    let encoded = BASE64.encode(&payload);
    assert!(text.contains(&encoded));
    let mut seen: Vec<&str> = Vec::new();
    for leaf in leaves(&payload) {
        let (pattern, change, expected) = *row(&leaf.path);
        seen.push(pattern);
        let digest = Digest::of(b"changed").to_hex();
        let stranger = format!("\"0x{}\"", hex::encode(public(&attacker_key())));
        let change = match change {
            "DIGEST" => format!("\"{digest}\""),
            "KEY" => stranger,
            change => change
                .strip_suffix("DIGEST")
                .map_or(change.to_owned(), |start| format!("{start}{digest}\"")),
        };
        // What is open may be anything else that is open, or be named otherwise.
        let open = ["/predicate/checks/7/", "/predicate/checks/8/"]
            .iter()
            .any(|start| leaf.path.starts_with(start));
        let (change, expected) = match (open, leaf.path.ends_with("/status")) {
            (true, true) => ("\"pass\"".to_owned(), ""),
            (true, false) => (change, ""),
            (false, _) => (change, expected),
        };
        let changed = with(&payload, &leaf, &change);
        assert_ne!(changed, payload, "{}", leaf.path);

        // Under the old signature nothing passes.
        let alone = text.replace(&encoded, &BASE64.encode(&changed));
        let refusal = verdict(alone.as_bytes());
        assert!(
            refusal.starts_with("attestation-"),
            "{}: {refusal:?}",
            leaf.path
        );
        if expected.is_empty() || expected == "attestation-mismatch" {
            assert_eq!(refusal, "attestation-signature-invalid", "{}", leaf.path);
        }
        // Under the auditor's own, what the package says is compared.
        let again = Signed::sign(PAYLOAD_TYPE, changed.clone().into_bytes(), &auditor());
        assert_eq!(
            verdict(&again.to_bytes().unwrap()),
            expected,
            "{}",
            leaf.path
        );
        // A stranger's is nobody's.
        let theirs = Signed::sign(PAYLOAD_TYPE, changed.into_bytes(), &attacker_key());
        let refusal = verdict(&theirs.to_bytes().unwrap());
        assert!(
            refusal.starts_with("attestation-"),
            "{}: {refusal:?}",
            leaf.path
        );
    }
    for (pattern, ..) in LEAVES {
        assert!(seen.contains(pattern), "no leaf is {pattern}");
    }
}

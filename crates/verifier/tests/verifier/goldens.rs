//! The first version of the formats, committed. What verified once verifies for ever: these files
//! change only when a format is withdrawn. `UPDATE_EXPECT=1` writes them anew.

use std::path::PathBuf;
use std::sync::Once;

use proofmark_types::field::fr_to_hex;
use proofmark_types::{Digest, Manifest};
use proofmark_verifier::{
    Expectations, Pins, decode_verifying_key, encode_verifying_key, verify_receipt,
};

use crate::fixture::fixture;

/// Digest of `manifest_v1.json`, as a user would have pinned it.
const PACKAGE: &str = "sha256:9ea3db26ea96687bf74f8912f4366966e48051771a4f29963ca4e04dd30cc593";
const RECEIPT_ID: &str = "sha256:6dc29b272fdc844c5f3df5f8a71b5c4253aa8042280f5126bea7afc811b3f9c3";
const STATEMENT: &str = "sha256:b4ff514133b5ee0b0023b33fa09b33a1626a062e31a7a31136a18e56f92f4082";

/// Manifest, verifying key and receipt as committed.
fn goldens() -> [Vec<u8>; 3] {
    static UPDATED: Once = Once::new();
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/goldens");
    let names = [
        "manifest_v1.json",
        "verifying_key_v1.bin",
        "receipt_v1.json",
    ];
    UPDATED.call_once(|| {
        if std::env::var_os("UPDATE_EXPECT").is_some() {
            let f = fixture();
            for (name, now) in names
                .iter()
                .zip([&f.manifest_bytes, &f.key_bytes, &f.envelope])
            {
                std::fs::write(folder.join(name), now).unwrap();
            }
        }
    });
    names.map(|name| std::fs::read(folder.join(name)).unwrap())
}

#[test]
fn version_1_still_verifies() {
    let f = fixture();
    let [manifest, key, receipt] = goldens();
    let package: Digest = PACKAGE.parse().unwrap();
    assert_eq!(Digest::of(&manifest), package);
    let pins = Pins {
        package,
        signers: vec![f.receipt.signer],
    };
    let verdict =
        verify_receipt(&receipt, &pins, &manifest, &key, &Expectations::default()).unwrap();
    assert_eq!(verdict.receipt_id.to_string(), RECEIPT_ID);
    assert_eq!(verdict.statement_digest.to_string(), STATEMENT);
    assert_eq!(
        verdict
            .public_inputs
            .iter()
            .map(fr_to_hex)
            .collect::<Vec<_>>(),
        [
            "0x00aa1c3efc0b5b0f65ba73eca70f835697ca8b8b24eab5e831bc14f558f4508c",
            "0x00b4aea8a29c96908a847e78726c66605a544e48423c36302a241e18120c0600",
            "0x0000000000000000000000000000000000000000000000eae4ded8d2ccc6c0ba",
            "0x295bf5444f9d548da87cad7f802cf158bacad07d4b128aab6f61d32bbeae12f5",
            "0x000000000000000000000000000000000000000000000000000000007ffeee90",
            "0x0000000000000000000000000000000000000000000000000000000080000000",
            "0x0000000000000000000000000000000000000000000000000000000080011170",
            "0x14f92b13aaf94ef9df7864821c37388261fc2ab7821e53ff8a09382c3b26cd78",
        ]
    );
}

/// What is written today is what was written then.
#[test]
fn version_1_is_still_what_is_written() {
    let f = fixture();
    let [manifest, key, receipt] = goldens();
    assert_eq!(manifest, f.manifest_bytes);
    assert_eq!(Manifest::parse(&manifest).unwrap(), f.manifest);
    let decoded = decode_verifying_key(&key).unwrap();
    assert_eq!(decoded, f.key.vk.clone().into());
    assert_eq!(encode_verifying_key(&decoded).unwrap(), key);
    assert_eq!(receipt, f.envelope);
}

//! What reads bytes of any origin, one function a format: the fuzz targets of `fuzz/` and the replay
//! of their corpus call the same ones.
//!
//! A decoder neither panics nor takes memory without bound, and what it accepts it gives back: for
//! formats with one spelling byte for byte. Each function asserts that and tells how the decoder
//! ended.

use std::cell::OnceCell;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use ed25519_dalek::SigningKey;
use proofmark_log::{Entry, SignedNotice};
use proofmark_onnx::Limits;
use proofmark_prover::{NoProgress, Transcript, key_file};
use proofmark_server::routes::{decode_infer, decode_verify};
use proofmark_tlog::note::parse_signatures;
use proofmark_tlog::tile::{parse_bundle, parse_tile};
use proofmark_tlog::witness::AddCheckpoint;
use proofmark_tlog::{SignedCheckpoint, TilePath, TlogProof, VerifierKey};
use proofmark_types::attestation::{Attestation, SignedAttestation};
use proofmark_types::{Digest, Envelope, Manifest, Receipt};
use proofmark_verifier::{
    CheckedProof, Expectations, Pins, PreparedKey, TrustedPackage, check_attestation, decode_proof,
    decode_verifying_key, encode_proof, encode_verifying_key,
};

/// Accepted, or the stable code of the refusal.
pub type Outcome = Result<(), &'static str>;

/// A decoder under test.
pub type Decoder = fn(&[u8]) -> Outcome;

/// Every decoder by the name of its target and of its folder in the corpus.
pub const DECODERS: &[(&str, Decoder)] = &[
    ("attestation", attestation),
    ("contribution", contribution),
    ("http_infer", http_infer),
    ("http_verify", http_verify),
    ("log_entry", log_entry),
    ("manifest", manifest),
    ("onnx", onnx),
    ("proof", proof),
    ("proving_key", proving_key),
    ("ptau", ptau),
    ("receipt", receipt),
    ("tlog", tlog),
    ("transcript", transcript),
    ("verifying_key", verifying_key),
    ("zkey", zkey),
];

/// A sealed package, its key, and a receipt of it.
pub const MANIFEST: &[u8] = include_bytes!("../../crates/verifier/tests/goldens/manifest_v1.json");
/// Its verifying key.
pub const VERIFYING_KEY: &[u8] =
    include_bytes!("../../crates/verifier/tests/goldens/verifying_key_v1.bin");
/// A receipt under it.
pub const RECEIPT: &[u8] = include_bytes!("../../crates/verifier/tests/goldens/receipt_v1.json");
/// An attestation of its audit.
pub const ATTESTATION: &[u8] =
    include_bytes!("../../crates/verifier/tests/goldens/attestation_v1.json");

/// A model file.
pub fn onnx(bytes: &[u8]) -> Outcome {
    // So that a decoder that forgets a bound is stopped by the fuzzer's and not by the machine's.
    let limits = Limits {
        max_decoded_bytes: 64 << 20,
        max_total_tensor_bytes: 64 << 20,
        ..Limits::default()
    };
    let model = proofmark_onnx::parse(bytes, &limits).map_err(|e| e.code())?;
    let written = proofmark_onnx::encode(&model);
    // Contents that the graph does not hold are refused when they are met again.
    if let Ok(again) = proofmark_onnx::parse(&written, &limits) {
        assert_eq!(
            proofmark_onnx::encode(&again),
            written,
            "a model has one encoding"
        );
    }
    Ok(())
}

/// A package's manifest.
pub fn manifest(bytes: &[u8]) -> Outcome {
    let manifest = Manifest::parse(bytes).map_err(|e| e.code())?;
    let written = manifest.to_bytes().map_err(|e| e.code());
    assert_eq!(written.as_deref(), Ok(bytes), "a manifest has one encoding");
    // The layout is refused or made; verifiers and compilers ask for it first.
    drop(manifest.layout());
    Ok(())
}

/// A verifying key.
pub fn verifying_key(bytes: &[u8]) -> Outcome {
    let key = decode_verifying_key(bytes).map_err(|e| e.code())?;
    let written = encode_verifying_key(&key).map_err(|e| e.code());
    assert_eq!(written.as_deref(), Ok(bytes), "a key has one encoding");
    PreparedKey::new(&key).map_err(|e| e.code()).map(drop)
}

/// A proof.
pub fn proof(bytes: &[u8]) -> Outcome {
    let proof = decode_proof(bytes).map_err(|e| e.code())?;
    assert_eq!(
        encode_proof(&proof).as_ref(),
        bytes,
        "a proof has one encoding"
    );
    CheckedProof::new(&proof).map_err(|e| e.code()).map(drop)
}

/// A proving key's file, pinned by its own digest as a malicious maker would have it pinned.
pub fn proving_key(bytes: &[u8]) -> Outcome {
    // Behind magic, version, backend and form.
    let circuit = bytes.get(28..60).and_then(|b| b.try_into().ok());
    let circuit = Digest::from_bytes(circuit.unwrap_or_default());
    in_file(bytes, |path| {
        let loaded = key_file::load(path, &Digest::of(bytes), &circuit).map_err(|e| e.code())?;
        let again = path.with_extension("again");
        let digest = key_file::write(&again, &circuit, &loaded.key).map_err(|e| e.code())?;
        assert_eq!(digest, loaded.digest, "a key has one encoding");
        Ok(())
    })
}

/// A setup transcript.
pub fn transcript(bytes: &[u8]) -> Outcome {
    let transcript = Transcript::parse(bytes).map_err(|e| e.code())?;
    assert_eq!(
        transcript.to_bytes(),
        bytes,
        "a transcript has one encoding"
    );
    Ok(())
}

/// A receipt's envelope; else a payload, which is given a signature, so that what stands behind
/// the signature's check is reached too.
pub fn receipt(bytes: &[u8]) -> Outcome {
    static PACKAGE: OnceLock<TrustedPackage> = OnceLock::new();
    let package = PACKAGE.get_or_init(|| {
        let pins = Pins::package(Digest::of(MANIFEST));
        TrustedPackage::open(&pins, MANIFEST, VERIFYING_KEY).expect("the golden package opens")
    });
    if bytes.starts_with(b"{\"payload\"") {
        if let Ok(envelope) = Envelope::parse(bytes) {
            let written = envelope.to_bytes().map_err(|e| e.code());
            assert_eq!(
                written.as_deref(),
                Ok(bytes),
                "an envelope has one encoding"
            );
        }
        let verdict = package.verify(bytes, &Expectations::default());
        return verdict.map_err(|e| e.code()).map(drop);
    }
    let mut receipt = Receipt::from_payload(bytes).map_err(|e| e.code())?;
    let written = receipt.to_payload().map_err(|e| e.code());
    assert_eq!(written.as_deref(), Ok(bytes), "a payload has one encoding");
    let key = SigningKey::from_bytes(&[2; 32]);
    receipt.signer = key.verifying_key().to_bytes();
    let envelope = Envelope::sign(receipt, &key)
        .and_then(|envelope| envelope.to_bytes())
        .map_err(|e| e.code())?;
    let verdict = package.verify(&envelope, &Expectations::default());
    verdict.map_err(|e| e.code()).map(drop)
}

/// An attestation's envelope; else a payload, which is given a signature.
pub fn attestation(bytes: &[u8]) -> Outcome {
    static MODEL: OnceLock<Manifest> = OnceLock::new();
    let manifest = MODEL.get_or_init(|| Manifest::parse(MANIFEST).expect("the golden manifest"));
    let check = |envelope: &[u8]| {
        let held = check_attestation(envelope, Digest::of(MANIFEST), manifest);
        held.map_err(|e| e.code()).map(drop)
    };
    if bytes.starts_with(b"{\"payload\"") {
        if let Ok(signed) = SignedAttestation::parse(bytes) {
            let written = signed.to_bytes().map_err(|e| e.code());
            assert_eq!(
                written.as_deref(),
                Ok(bytes),
                "an envelope has one encoding"
            );
        }
        return check(bytes);
    }
    let mut attestation = Attestation::from_payload(bytes).map_err(|e| e.code())?;
    let written = attestation.to_payload().map_err(|e| e.code());
    assert_eq!(written.as_deref(), Ok(bytes), "a payload has one encoding");
    let key = SigningKey::from_bytes(&[2; 32]);
    attestation.auditor = key.verifying_key().to_bytes();
    let signed = SignedAttestation::sign(attestation, &key)
        .and_then(|signed| signed.to_bytes())
        .map_err(|e| e.code())?;
    check(&signed)
}

/// Everything of a transparency log that is read from strangers: whichever format accepts it.
pub fn tlog(bytes: &[u8]) -> Outcome {
    let text = core::str::from_utf8(bytes).unwrap_or_default();
    let mut accepted = false;
    let mut check = |written: Option<String>| {
        if let Some(written) = written {
            assert_eq!(written.as_bytes(), bytes, "a format has one spelling");
            accepted = true;
        }
    };
    check(
        SignedCheckpoint::parse_unverified(bytes)
            .ok()
            .map(|v| v.to_string()),
    );
    check(TlogProof::parse(bytes).ok().map(|v| v.to_string()));
    check(AddCheckpoint::parse(bytes).ok().map(|v| v.to_string()));
    check(text.parse::<VerifierKey>().ok().map(|v| v.to_string()));
    check(text.parse::<TilePath>().ok().map(|v| v.to_string()));
    accepted |= !text.is_empty() && parse_signatures(text).is_ok();
    for width in [1, 2, 255, 256] {
        accepted |= parse_tile(bytes, width).is_ok();
        if let Ok(entries) = parse_bundle(bytes, width) {
            assert_eq!(entries.len(), usize::from(width));
            accepted = true;
        }
    }
    if accepted {
        Ok(())
    } else {
        Err("tlog-malformed")
    }
}

/// An entry of a log, and a notice by itself.
pub fn log_entry(bytes: &[u8]) -> Outcome {
    if let Ok(notice) = SignedNotice::parse(bytes) {
        drop(notice.verify(&[3; 32]));
    }
    let entry = Entry::parse(bytes).map_err(|e| e.code())?;
    let written = entry.to_bytes().map_err(|e| e.code());
    assert_eq!(written.as_deref(), Ok(bytes), "an entry has one encoding");
    Ok(())
}

/// The body of an inference request to the golden package's model.
pub fn http_infer(bytes: &[u8]) -> Outcome {
    static MODEL: OnceLock<Manifest> = OnceLock::new();
    let manifest = MODEL.get_or_init(|| Manifest::parse(MANIFEST).expect("the golden manifest"));
    decode_infer(manifest, bytes).map_err(|problem| problem.code())
}

/// The body of a request to verify a receipt.
pub fn http_verify(bytes: &[u8]) -> Outcome {
    decode_verify(bytes).map_err(|problem| problem.code())
}

/// Powers of tau.
pub fn ptau(bytes: &[u8]) -> Outcome {
    in_file(bytes, |path| {
        let ptau = proofmark_ceremony::phase1::Ptau::open(path).map_err(|e| e.code())?;
        ptau.contributions().map_err(|e| e.code()).map(drop)
    })
}

/// A contribution to a key.
pub fn contribution(bytes: &[u8]) -> Outcome {
    use proofmark_ceremony::phase2::file::Contribution;
    in_file(bytes, |path| {
        Contribution::open(path, &NoProgress)
            .map_err(|e| e.code())
            .map(drop)
    })
}

/// snarkjs's keys.
pub fn zkey(bytes: &[u8]) -> Outcome {
    in_file(bytes, |path| {
        proofmark_ceremony::zkey::Zkey::read(path, &NoProgress)
            .map_err(|e| e.code())
            .map(drop)
    })
}

/// Runs a decoder of files on bytes, in a folder of this thread's own.
fn in_file(bytes: &[u8], decode: impl FnOnce(&Path) -> Outcome) -> Outcome {
    thread_local! {
        static FOLDER: OnceCell<tempfile::TempDir> = const { OnceCell::new() };
    }
    let path: PathBuf = FOLDER.with(|folder| {
        let folder = folder.get_or_init(|| tempfile::tempdir().expect("a folder"));
        folder.path().join("file")
    });
    fs::write(&path, bytes).expect("the file is written");
    decode(&path)
}

//! [DSSE v1](https://github.com/secure-systems-lab/dsse) with exactly one Ed25519 signature and one
//! byte form. What is signed, and by whom, is the business of whoever reads the payload.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use ed25519_dalek::{Signature, Signer as _, SigningKey, VerifyingKey};
use serde::{Deserialize, Serialize};

use crate::canonical::{self, CanonicalError};
use crate::digest::Digest;

/// The id of a signing key: SHA-256 of the 32 raw bytes of the Ed25519 public key.
pub fn key_id(public_key: &[u8; 32]) -> Digest {
    Digest::of(public_key)
}

/// DSSE's pre-authentication encoding:
/// `"DSSEv1" SP LEN(type) SP type SP LEN(body) SP body`, lengths in ASCII decimal.
pub fn pre_authentication_encoding(payload_type: &str, payload: &[u8]) -> Vec<u8> {
    let mut bytes = format!(
        "DSSEv1 {} {payload_type} {} ",
        payload_type.len(),
        payload.len()
    )
    .into_bytes();
    bytes.extend_from_slice(payload);
    bytes
}

/// Why some bytes are not an envelope, or its signature is not one. Whoever reads them gives it a
/// code.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum DsseError {
    /// Not JSON of the right members and types.
    #[error("envelope is malformed: {reason}")]
    Malformed {
        /// What is wrong with it.
        reason: String,
    },
    /// Another payload type than is read here.
    #[error("payloadType is {got:?}, this software reads {expected:?}")]
    PayloadType {
        /// Its value.
        got: String,
        /// The value that is read.
        expected: &'static str,
    },
    /// Not the one encoding of its content.
    #[error(
        "envelope is not in its canonical encoding; pass it on byte for byte as it was received"
    )]
    NotCanonical,
    /// Not exactly one signature.
    #[error(
        "expected exactly one signature, got {got}: a statement has one file, and whoever adds or \
         drops a signature makes another one"
    )]
    Signatures {
        /// Signatures given.
        got: usize,
    },
    /// The key id is not SHA-256 of the signer's public key.
    #[error("key id is not the SHA-256 of the signer's public key")]
    KeyId,
    /// The signature is not the signer's over this payload.
    #[error("signature is not the signer's over this payload")]
    Signature,
}

impl From<CanonicalError> for DsseError {
    fn from(error: CanonicalError) -> Self {
        match error {
            CanonicalError::Malformed { reason } => Self::Malformed { reason },
            CanonicalError::NotCanonical => Self::NotCanonical,
        }
    }
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct WireEnvelope {
    payload: String,
    payload_type: String,
    signatures: Vec<WireSignature>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct WireSignature {
    keyid: String,
    sig: String,
}

/// A payload with one signature. It has not been checked unless [`verify`](Self::verify) says so.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Signed {
    payload_type: &'static str,
    payload: Vec<u8>,
    keyid: String,
    signature: [u8; 64],
}

impl Signed {
    /// Signs a payload. Ed25519 is deterministic: the same payload gives the same bytes.
    pub fn sign(payload_type: &'static str, payload: Vec<u8>, key: &SigningKey) -> Self {
        let message = pre_authentication_encoding(payload_type, &payload);
        Self {
            payload_type,
            payload,
            keyid: key_id(&key.verifying_key().to_bytes()).to_hex(),
            signature: key.sign(&message).to_bytes(),
        }
    }

    /// Reads an envelope around a payload of this type, in its one encoding. Neither signature nor
    /// key id is checked here: who may sign stands in the payload, or is known beforehand.
    ///
    /// # Errors
    /// [`DsseError`] for any deviation from the one encoding.
    pub fn parse(payload_type: &'static str, bytes: &[u8]) -> Result<Self, DsseError> {
        let malformed = |reason: String| DsseError::Malformed { reason };
        let wire: WireEnvelope =
            serde_json::from_slice(bytes).map_err(|error| malformed(error.to_string()))?;
        if wire.payload_type != payload_type {
            return Err(DsseError::PayloadType {
                got: wire.payload_type,
                expected: payload_type,
            });
        }
        let [entry] = wire.signatures.as_slice() else {
            return Err(DsseError::Signatures {
                got: wire.signatures.len(),
            });
        };
        let payload = BASE64
            .decode(&wire.payload)
            .map_err(|error| malformed(format!("payload: {error}")))?;
        let signature = BASE64
            .decode(&entry.sig)
            .ok()
            .and_then(|bytes| <[u8; 64]>::try_from(bytes).ok())
            .ok_or_else(|| malformed("sig is not the base64 of 64 bytes".to_owned()))?;
        let signed = Self {
            payload_type,
            payload,
            keyid: entry.keyid.clone(),
            signature,
        };
        if signed.to_bytes()? != bytes {
            return Err(DsseError::NotCanonical);
        }
        Ok(signed)
    }

    /// The one encoding: compact JSON, members in the order payload, payloadType, signatures.
    ///
    /// # Errors
    /// None in practice; the encoder's error is passed on rather than hidden.
    pub fn to_bytes(&self) -> Result<Vec<u8>, DsseError> {
        let wire = WireEnvelope {
            payload: BASE64.encode(&self.payload),
            payload_type: self.payload_type.to_owned(),
            signatures: vec![WireSignature {
                keyid: self.keyid.clone(),
                sig: BASE64.encode(self.signature),
            }],
        };
        Ok(canonical::encode(&wire)?)
    }

    /// The signed bytes.
    pub fn payload(&self) -> &[u8] {
        &self.payload
    }

    /// Checks that the key id names this public key.
    ///
    /// # Errors
    /// [`DsseError::KeyId`].
    pub fn check_key_id(&self, public_key: &[u8; 32]) -> Result<(), DsseError> {
        if self.keyid == key_id(public_key).to_hex() {
            Ok(())
        } else {
            Err(DsseError::KeyId)
        }
    }

    /// Checks key id and signature with this public key: strictly, so that there are no small-order
    /// keys and no second spelling of a signature.
    ///
    /// # Errors
    /// [`DsseError::KeyId`], [`DsseError::Signature`].
    pub fn verify(&self, public_key: &[u8; 32]) -> Result<(), DsseError> {
        self.check_key_id(public_key)?;
        let key = VerifyingKey::from_bytes(public_key).map_err(|_| DsseError::Signature)?;
        let message = pre_authentication_encoding(self.payload_type, &self.payload);
        key.verify_strict(&message, &Signature::from_bytes(&self.signature))
            .map_err(|_| DsseError::Signature)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TYPE: &str = "application/vnd.test+json";

    fn key(seed: u8) -> SigningKey {
        SigningKey::from_bytes(&[seed; 32])
    }

    fn public(seed: u8) -> [u8; 32] {
        key(seed).verifying_key().to_bytes()
    }

    #[test]
    fn pae_is_dsse_v1() {
        // The example of the DSSE v1 protocol text.
        assert_eq!(
            pre_authentication_encoding("http://example.com/HelloWorld", b"hello world"),
            b"DSSEv1 29 http://example.com/HelloWorld 11 hello world"
        );
    }

    #[test]
    fn signed_and_read_again() {
        let signed = Signed::sign(TYPE, b"{}".to_vec(), &key(1));
        let bytes = signed.to_bytes().unwrap();
        let back = Signed::parse(TYPE, &bytes).unwrap();
        assert_eq!(back, signed);
        assert_eq!(back.payload(), b"{}");
        back.verify(&public(1)).unwrap();
        assert_eq!(back.verify(&public(2)), Err(DsseError::KeyId));
        assert!(matches!(
            Signed::parse("application/other", &bytes),
            Err(DsseError::PayloadType { .. })
        ));
    }

    /// Payload, type and key are all under the signature.
    #[test]
    fn another_payload_type_or_key_is_noticed() {
        let signed = Signed::sign(TYPE, b"{}".to_vec(), &key(1));
        let mut other = signed.clone();
        other.payload = b"[]".to_vec();
        assert_eq!(other.verify(&public(1)), Err(DsseError::Signature));
        let mut other = signed.clone();
        other.payload_type = "application/vnd.test+jsom";
        assert_eq!(other.verify(&public(1)), Err(DsseError::Signature));
        let mut other = signed.clone();
        other.keyid = key_id(&public(2)).to_hex();
        assert_eq!(other.verify(&public(2)), Err(DsseError::Signature));
        let mut other = signed;
        other.signature[0] ^= 1;
        assert_eq!(other.verify(&public(1)), Err(DsseError::Signature));
    }

    /// The identity point is a key under which one signature fits every message.
    #[test]
    fn a_small_order_key_signs_nothing() {
        let mut identity = [0; 32];
        identity[0] = 1;
        let mut signature = [0; 64];
        signature[0] = 1;
        let forged = Signed {
            payload_type: TYPE,
            payload: b"{}".to_vec(),
            keyid: key_id(&identity).to_hex(),
            signature,
        };
        assert_eq!(forged.verify(&identity), Err(DsseError::Signature));
    }

    #[test]
    fn an_envelope_has_one_spelling_and_one_signature() {
        let signed = Signed::sign(TYPE, b"{}".to_vec(), &key(1));
        let text = String::from_utf8(signed.to_bytes().unwrap()).unwrap();
        let entry = &text[text.find("{\"keyid").unwrap()..text.len() - 2];
        let malformed = [
            text.replace(entry, ""),
            text.replace(entry, &format!("{entry},{entry}")),
            text.replace("==\"}", "=\"}"),
            text.replacen('{', "{\"x\":1,", 1),
            text.replace("e30=", "e31="),
            text.replace("e30=", "e30"),
        ];
        for bad in malformed {
            assert_ne!(bad, text);
            let error = Signed::parse(TYPE, bad.as_bytes()).unwrap_err();
            assert!(
                matches!(
                    error,
                    DsseError::Malformed { .. } | DsseError::Signatures { .. }
                ),
                "{bad}: {error}"
            );
        }
        for bad in [
            format!("{text}\n"),
            text.replace("\"signatures\":[", "\"signatures\": ["),
            text.replace("payload\"", "\\u0070ayload\""),
        ] {
            assert_ne!(bad, text);
            assert_eq!(
                Signed::parse(TYPE, bad.as_bytes()),
                Err(DsseError::NotCanonical),
                "{bad}"
            );
        }
    }
}

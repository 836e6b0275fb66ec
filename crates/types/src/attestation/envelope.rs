//! An attestation in its signed form.

use ed25519_dalek::SigningKey;

use super::error::AttestationError;
use super::{Attestation, MAX_ATTESTATION_BYTES};
use crate::digest::Digest;
use crate::dsse::{Signed, key_id};
use crate::in_toto::PAYLOAD_TYPE;

/// An attestation in its signed form. The signature has not been checked unless
/// [`verify_signature`](Self::verify_signature) says so.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SignedAttestation {
    attestation: Attestation,
    signed: Signed,
}

impl SignedAttestation {
    /// Signs an attestation. Ed25519 is deterministic: the same attestation gives the same bytes.
    ///
    /// # Errors
    /// [`AttestationError::Auditor`] when the attestation names another key, and what
    /// [`Attestation::to_payload`] refuses.
    pub fn sign(attestation: Attestation, key: &SigningKey) -> Result<Self, AttestationError> {
        if attestation.auditor != key.verifying_key().to_bytes() {
            return Err(AttestationError::Auditor);
        }
        let signed = Signed::sign(PAYLOAD_TYPE, attestation.to_payload()?, key);
        Ok(Self {
            attestation,
            signed,
        })
    }

    /// Reads an envelope in its one encoding, and the attestation in it.
    ///
    /// # Errors
    /// [`AttestationError`] for any deviation from the strict form. The signature is not checked
    /// here.
    pub fn parse(bytes: &[u8]) -> Result<Self, AttestationError> {
        if bytes.len() > MAX_ATTESTATION_BYTES {
            return Err(AttestationError::TooLarge { bytes: bytes.len() });
        }
        let signed = Signed::parse(PAYLOAD_TYPE, bytes)?;
        let attestation = Attestation::from_payload(signed.payload())?;
        signed.check_key_id(&attestation.auditor)?;
        Ok(Self {
            attestation,
            signed,
        })
    }

    /// The one encoding: compact JSON, members in the order payload, payloadType, signatures.
    ///
    /// # Errors
    /// None in practice; the encoder's error is passed on rather than hidden.
    pub fn to_bytes(&self) -> Result<Vec<u8>, AttestationError> {
        Ok(self.signed.to_bytes()?)
    }

    /// The attestation.
    pub const fn attestation(&self) -> &Attestation {
        &self.attestation
    }

    /// The signed bytes: the in-toto statement as JSON.
    pub fn payload(&self) -> &[u8] {
        self.signed.payload()
    }

    /// Id of the auditor's key: SHA-256 of the raw public key.
    pub fn key_id(&self) -> Digest {
        key_id(&self.attestation.auditor)
    }

    /// The id of this attestation: SHA-256 of the payload.
    pub fn id(&self) -> Digest {
        Digest::of(self.signed.payload())
    }

    /// Checks the signature with the key that the attestation names. Whether that key is trusted
    /// is another question.
    ///
    /// # Errors
    /// [`AttestationError::Envelope`] with the code `attestation-signature-invalid`.
    pub fn verify_signature(&self) -> Result<(), AttestationError> {
        Ok(self.signed.verify(&self.attestation.auditor)?)
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::{key, sample};
    use super::*;
    use crate::receipt::Envelope;

    fn bytes() -> Vec<u8> {
        SignedAttestation::sign(sample(), &key())
            .unwrap()
            .to_bytes()
            .unwrap()
    }

    /// The code with which strict form or signature refuse.
    fn refused(bytes: &[u8]) -> &'static str {
        SignedAttestation::parse(bytes)
            .and_then(|signed| signed.verify_signature())
            .unwrap_err()
            .code()
    }

    #[test]
    fn round_trip() {
        let signed = SignedAttestation::parse(&bytes()).unwrap();
        signed.verify_signature().unwrap();
        assert_eq!(signed.attestation(), &sample());
        assert_eq!(signed.to_bytes().unwrap(), bytes());
        assert_eq!(signed.id(), Digest::of(signed.payload()));
        assert_eq!(signed.key_id(), Digest::of(&sample().auditor));
    }

    #[test]
    fn every_changed_byte_is_refused() {
        let bytes = bytes();
        let mut cases = 0;
        for place in 0..bytes.len() {
            for other in [bytes[place] ^ 1, b'A', b'0', b' ', b'"'] {
                let mut changed = bytes.clone();
                changed[place] = other;
                if changed != bytes {
                    refused(&changed);
                    cases += 1;
                }
            }
        }
        assert!(cases > 4 * bytes.len());
        for length in [0, 1, 1000, bytes.len() - 1] {
            assert_eq!(refused(&bytes[..length]), "attestation-malformed");
        }
        assert_eq!(
            refused(&[&bytes[..], b"\n"].concat()),
            "attestation-not-canonical"
        );
        assert_eq!(
            refused(&vec![b' '; MAX_ATTESTATION_BYTES + 1]),
            "attestation-malformed"
        );
    }

    #[test]
    fn nobody_signs_in_anothers_name() {
        let other = SigningKey::from_bytes(&[8; 32]);
        assert_eq!(
            SignedAttestation::sign(sample(), &other)
                .unwrap_err()
                .code(),
            "attestation-auditor-mismatch"
        );
        let mut theirs = sample();
        theirs.auditor = other.verifying_key().to_bytes();
        let theirs = SignedAttestation::sign(theirs, &other).unwrap();
        let theirs = String::from_utf8(theirs.to_bytes().unwrap()).unwrap();
        let ours = String::from_utf8(bytes()).unwrap();
        let signatures = |text: &str| text[text.find("\"signatures\"").unwrap()..].to_owned();
        // Our words under their signature and their key's id.
        let mixed = ours.replace(&signatures(&ours), &signatures(&theirs));
        assert_eq!(refused(mixed.as_bytes()), "attestation-signature-invalid");
        // And with our key's id.
        let sig = |text: &str| text.split("\"sig\":\"").nth(1).unwrap().to_owned();
        let mixed = ours.replace(&sig(&ours), &sig(&theirs));
        assert_eq!(refused(mixed.as_bytes()), "attestation-signature-invalid");
    }

    /// Both are in-toto statements under one payload type; neither passes for the other.
    #[test]
    fn a_receipt_is_no_attestation_and_an_attestation_no_receipt() {
        let receipt = include_bytes!("../../../verifier/tests/goldens/receipt_v1.json");
        assert!(Envelope::parse(receipt).is_ok());
        assert_eq!(refused(receipt), "attestation-unsupported");
        assert!(Envelope::parse(&bytes()).is_err());
    }
}

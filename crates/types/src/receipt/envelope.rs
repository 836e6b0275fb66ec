//! A receipt in its signed form.

use ed25519_dalek::SigningKey;

use super::error::ReceiptError;
use super::{MAX_ENVELOPE_BYTES, PAYLOAD_TYPE, Receipt};
use crate::digest::Digest;
use crate::dsse::{Signed, key_id};

/// A receipt in its signed form. The signature has not been checked unless
/// [`verify_signature`](Self::verify_signature) says so.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Envelope {
    receipt: Receipt,
    signed: Signed,
}

impl Envelope {
    /// Signs a receipt. Ed25519 is deterministic: the same receipt gives the same bytes.
    ///
    /// # Errors
    /// [`ReceiptError::Signer`] when the receipt names another key, and what
    /// [`Receipt::to_payload`] refuses.
    pub fn sign(receipt: Receipt, key: &SigningKey) -> Result<Self, ReceiptError> {
        if receipt.signer != key.verifying_key().to_bytes() {
            return Err(ReceiptError::Signer);
        }
        let signed = Signed::sign(PAYLOAD_TYPE, receipt.to_payload()?, key);
        Ok(Self { receipt, signed })
    }

    /// Reads an envelope in its one encoding, and the receipt in it.
    ///
    /// # Errors
    /// [`ReceiptError`] for any deviation from the strict form. The signature is not checked here.
    pub fn parse(bytes: &[u8]) -> Result<Self, ReceiptError> {
        if bytes.len() > MAX_ENVELOPE_BYTES {
            return Err(ReceiptError::TooLarge { bytes: bytes.len() });
        }
        let signed = Signed::parse(PAYLOAD_TYPE, bytes)?;
        let receipt = Receipt::from_payload(signed.payload())?;
        signed.check_key_id(&receipt.signer)?;
        Ok(Self { receipt, signed })
    }

    /// The one encoding: compact JSON, members in the order payload, payloadType, signatures.
    ///
    /// # Errors
    /// None in practice; the encoder's error is passed on rather than hidden.
    pub fn to_bytes(&self) -> Result<Vec<u8>, ReceiptError> {
        Ok(self.signed.to_bytes()?)
    }

    /// The receipt.
    pub const fn receipt(&self) -> &Receipt {
        &self.receipt
    }

    /// The signed bytes: the in-toto statement as JSON.
    pub fn payload(&self) -> &[u8] {
        self.signed.payload()
    }

    /// Id of the key that the receipt says it is signed with.
    pub fn key_id(&self) -> Digest {
        key_id(&self.receipt.signer)
    }

    /// The id of this record: SHA-256 of the payload. It identifies the record and not what was
    /// proven, because the payload holds proof bytes that anyone can change into others that
    /// verify; what was proven is [`Receipt::statement_digest`].
    pub fn receipt_id(&self) -> Digest {
        Digest::of(self.signed.payload())
    }

    /// Checks the signature with the key that the receipt names. Whether that key is trusted is
    /// another question.
    ///
    /// # Errors
    /// [`ReceiptError::Envelope`] with the code `signature-invalid`.
    pub fn verify_signature(&self) -> Result<(), ReceiptError> {
        Ok(self.signed.verify(&self.receipt.signer)?)
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::{key, sample};
    use super::*;

    #[test]
    fn round_trip() {
        let envelope = Envelope::sign(sample(), &key()).unwrap();
        let bytes = envelope.to_bytes().unwrap();
        let back = Envelope::parse(&bytes).unwrap();
        assert_eq!(back, envelope);
        back.verify_signature().unwrap();
        assert_eq!(back.receipt(), &sample());
        assert_eq!(back.receipt_id(), Digest::of(back.payload()));
        assert_eq!(back.key_id(), Digest::of(&sample().signer));
    }

    #[test]
    fn proof_bytes_do_not_name_the_statement() {
        let mut other = sample();
        other.proof[0] ^= 1;
        assert_eq!(other.statement_digest(), sample().statement_digest());
        assert_ne!(
            Envelope::sign(other, &key()).unwrap().receipt_id(),
            Envelope::sign(sample(), &key()).unwrap().receipt_id()
        );
        let mut moved = sample();
        moved.context.nonce[0] ^= 1;
        assert_ne!(moved.statement_digest(), sample().statement_digest());
    }

    #[test]
    fn envelope_has_one_spelling_and_one_signature() {
        let envelope = Envelope::sign(sample(), &key()).unwrap();
        let text = String::from_utf8(envelope.to_bytes().unwrap()).unwrap();
        let keyid = envelope.key_id().to_hex();
        let entry = &text[text.find("{\"keyid").unwrap()..text.len() - 2];
        let cases = [
            (format!("{text}\n"), "receipt-not-canonical"),
            (
                text.replace(&keyid, &Digest::of(b"").to_hex()),
                "key-id-mismatch",
            ),
            (
                text.replace(&keyid, &keyid.to_uppercase()),
                "key-id-mismatch",
            ),
            (text.replace(entry, ""), "receipt-malformed"),
            (
                text.replace(entry, &format!("{entry},{entry}")),
                "receipt-malformed",
            ),
            (text.replace("==\"}", "=\"}"), "receipt-malformed"),
            (
                text.replace("in-toto+json", "in-toto"),
                "receipt-unsupported",
            ),
            (text.replacen('{', "{\"x\":1,", 1), "receipt-malformed"),
        ];
        for (bad, code) in cases {
            assert_ne!(bad, text);
            assert_eq!(
                Envelope::parse(bad.as_bytes()).unwrap_err().code(),
                code,
                "{bad}"
            );
        }
        let large = vec![b' '; MAX_ENVELOPE_BYTES + 1];
        assert_eq!(
            Envelope::parse(&large).unwrap_err().code(),
            "receipt-malformed"
        );
    }

    #[test]
    fn another_signature_is_not_the_signers() {
        let envelope = Envelope::sign(sample(), &key()).unwrap();
        let mut other = sample();
        other.proved_at += 1;
        let other = Envelope::sign(other, &key()).unwrap();
        let text = |envelope: &Envelope| String::from_utf8(envelope.to_bytes().unwrap()).unwrap();
        let signature = |text: &str| text.split("\"sig\":\"").nth(1).unwrap().to_owned();
        let mixed =
            text(&envelope).replace(&signature(&text(&envelope)), &signature(&text(&other)));
        let back = Envelope::parse(mixed.as_bytes()).unwrap();
        assert_eq!(
            back.verify_signature().unwrap_err().code(),
            "signature-invalid"
        );
    }
}

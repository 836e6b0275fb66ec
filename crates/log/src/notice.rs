//! What a service says later of what it handed out: advisories, revocations, rotations of its key.
//! Each is a DSSE envelope signed by the service key that is in force at its place in the log.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use ed25519_dalek::{Signature, Signer as _, SigningKey, VerifyingKey};
use proofmark_types::dsse::{Signed, key_id};
use proofmark_types::manifest::MAX_COUNT;
use proofmark_types::{Digest, Receipt, canonical};
use serde::{Deserialize, Serialize};

use crate::error::LogError;

/// DSSE payload type of notices.
pub const NOTICE_TYPE: &str = "application/vnd.proofmark.notice.v1+json";
/// Longest title in bytes.
pub const MAX_TITLE_BYTES: usize = 256;
/// Longest text or reason in bytes. An entry holds it in base64, with everything else, in 65,535.
pub const MAX_TEXT_BYTES: usize = 16_384;
/// Most subjects of an advisory.
pub const MAX_SUBJECTS: usize = 32;
/// What a new key signs, to show that it is held by who names it.
const POSSESSION: &str = "proofmark/key-possession/v1";

/// What a notice is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(
    tag = "kind",
    content = "digest",
    rename_all = "camelCase",
    deny_unknown_fields
)]
pub enum Subject {
    /// A circuit, by its digest: every package with it.
    Circuit(Digest),
    /// A verifying key, by its file's digest.
    VerifyingKey(Digest),
    /// A package, by its manifest's digest.
    Package(Digest),
    /// A service key, by its key id.
    ServiceKey(Digest),
    /// One receipt, by its envelope's digest.
    Receipt(Digest),
}

impl Subject {
    /// Whether a receipt, whose envelope has this digest, falls under it.
    pub fn covers(&self, receipt: &Receipt, envelope: &Digest) -> bool {
        match self {
            Self::Circuit(digest) => *digest == receipt.circuit,
            Self::VerifyingKey(digest) => *digest == receipt.verifying_key,
            Self::Package(digest) => *digest == receipt.package,
            Self::ServiceKey(digest) => *digest == key_id(&receipt.signer),
            Self::Receipt(digest) => digest == envelope,
        }
    }
}

/// What a notice says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub enum Statement {
    /// Something that holders of receipts should know. Receipts stay valid.
    Advisory {
        /// One line.
        title: String,
        /// The rest.
        text: String,
        /// What it is about.
        subjects: Vec<Subject>,
    },
    /// Something was found unsound, or a key was lost to others. Receipts under it that were logged
    /// at this index or later, or not at all, are not to be relied on.
    Revocation {
        /// What is revoked.
        subject: Subject,
        /// First log index that is concerned; 0 for all.
        from: u64,
        /// Why.
        reason: String,
    },
    /// The service signs with another key from here on.
    Rotation {
        /// The key until now, which signs this notice.
        #[serde(with = "key_hex")]
        old: [u8; 32],
        /// The key from here on.
        #[serde(with = "key_hex")]
        new: [u8; 32],
        /// Signature by the new key, base64: shows that the service holds it.
        possession: String,
        /// Why.
        reason: String,
    },
}

/// A notice before it is signed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Notice {
    /// Origin of the log that it is for.
    pub log: String,
    /// Unix seconds, a claim of the signer; at most 2^53 − 1.
    pub issued_at: u64,
    /// What it says.
    pub statement: Statement,
}

impl Notice {
    /// Announces a new service key. To be signed with the old one.
    ///
    /// # Errors
    /// [`LogError::Notice`] when both keys are the same.
    pub fn rotation(
        log: &str,
        issued_at: u64,
        old: &SigningKey,
        new: &SigningKey,
        reason: &str,
    ) -> Result<Self, LogError> {
        let (old, public) = (
            old.verifying_key().to_bytes(),
            new.verifying_key().to_bytes(),
        );
        let proof = new.sign(&possession(log, issued_at, &old, &public));
        let notice = Self {
            log: log.to_owned(),
            issued_at,
            statement: Statement::Rotation {
                old,
                new: public,
                possession: BASE64.encode(proof.to_bytes()),
                reason: reason.to_owned(),
            },
        };
        notice.check()?;
        Ok(notice)
    }

    fn check(&self) -> Result<(), LogError> {
        let refuse = |reason: &str| Err(LogError::notice(reason));
        if self.issued_at > MAX_COUNT {
            return refuse("issuedAt is above 2^53 - 1");
        }
        if self.log.is_empty() || !is_text(&self.log, MAX_TITLE_BYTES, false) {
            return refuse("log is not the origin of a log");
        }
        match &self.statement {
            Statement::Advisory {
                title,
                text,
                subjects,
            } => {
                if title.is_empty() || !is_text(title, MAX_TITLE_BYTES, false) {
                    return refuse("the title is not 1 to 256 bytes in one line");
                }
                if !is_text(text, MAX_TEXT_BYTES, true) {
                    return refuse("the text is longer than 16384 bytes or has control characters");
                }
                if !(1..=MAX_SUBJECTS).contains(&subjects.len()) {
                    return refuse("an advisory is about 1 to 32 subjects");
                }
            }
            Statement::Revocation { reason, from, .. } => {
                if reason.is_empty() || !is_text(reason, MAX_TEXT_BYTES, true) {
                    return refuse("the reason is empty, too long or has control characters");
                }
                if *from > MAX_COUNT {
                    return refuse("from is above 2^53 - 1");
                }
            }
            Statement::Rotation {
                old,
                new,
                possession: proof,
                reason,
            } => {
                if !is_text(reason, MAX_TEXT_BYTES, true) {
                    return refuse("the reason is too long or has control characters");
                }
                if old == new {
                    return refuse("old and new key are the same");
                }
                let message = possession(&self.log, self.issued_at, old, new);
                let signature = BASE64.decode(proof).ok().and_then(|s| s.try_into().ok());
                let shown = VerifyingKey::from_bytes(new)
                    .ok()
                    .zip(signature)
                    .is_some_and(|(key, signature)| {
                        key.verify_strict(&message, &Signature::from_bytes(&signature))
                            .is_ok()
                    });
                if !shown {
                    return Err(LogError::NoticeSignature {
                        wanted: "the new service key",
                    });
                }
            }
        }
        Ok(())
    }
}

fn possession(log: &str, issued_at: u64, old: &[u8; 32], new: &[u8; 32]) -> Vec<u8> {
    format!(
        "{POSSESSION}\n{log}\n{issued_at}\n{}\n{}\n",
        hex::encode(old),
        hex::encode(new)
    )
    .into_bytes()
}

fn is_text(text: &str, limit: usize, lines: bool) -> bool {
    text.len() <= limit
        && !text
            .chars()
            .any(|c| c.is_control() && !(lines && c == '\n'))
}

/// A notice in its envelope. By whom it is signed is checked by [`verify`](Self::verify).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SignedNotice {
    notice: Notice,
    envelope: Signed,
}

impl SignedNotice {
    /// Signs a notice with the service key in force; a rotation with the old one.
    ///
    /// # Errors
    /// [`LogError::Notice`] for content that is not allowed, [`LogError::NoticeSignature`] for a
    /// rotation that is not signed with the key that it calls the old one, or lacks the new key's
    /// own signature.
    pub fn sign(notice: Notice, key: &SigningKey) -> Result<Self, LogError> {
        notice.check()?;
        if let Statement::Rotation { old, .. } = &notice.statement
            && *old != key.verifying_key().to_bytes()
        {
            return Err(LogError::NoticeSignature {
                wanted: "the old service key",
            });
        }
        let payload = canonical::encode(&notice)?;
        let envelope = Signed::sign(NOTICE_TYPE, payload, key);
        Ok(Self { notice, envelope })
    }

    /// Reads the notice in an envelope.
    ///
    /// # Errors
    /// [`LogError::Entry`], [`LogError::NotCanonical`], [`LogError::Notice`],
    /// [`LogError::NoticeSignature`].
    pub fn from_envelope(envelope: Signed) -> Result<Self, LogError> {
        let notice: Notice = canonical::decode(envelope.payload())?;
        notice.check()?;
        Ok(Self { notice, envelope })
    }

    /// Reads an envelope's bytes in their one encoding.
    ///
    /// # Errors
    /// As [`from_envelope`](Self::from_envelope).
    pub fn parse(bytes: &[u8]) -> Result<Self, LogError> {
        Self::from_envelope(Signed::parse(NOTICE_TYPE, bytes)?)
    }

    /// The content.
    pub const fn notice(&self) -> &Notice {
        &self.notice
    }

    /// The envelope.
    pub const fn envelope(&self) -> &Signed {
        &self.envelope
    }

    /// `advisory`, `revocation` or `rotation`.
    pub const fn kind(&self) -> &'static str {
        match self.notice.statement {
            Statement::Advisory { .. } => "advisory",
            Statement::Revocation { .. } => "revocation",
            Statement::Rotation { .. } => "rotation",
        }
    }

    /// Whether the envelope says that it is signed by this key.
    pub fn names(&self, key: &[u8; 32]) -> bool {
        self.envelope.check_key_id(key).is_ok()
    }

    /// Checks the signature with this service key.
    ///
    /// # Errors
    /// [`LogError::NoticeSignature`].
    pub fn verify(&self, key: &[u8; 32]) -> Result<(), LogError> {
        self.envelope
            .verify(key)
            .map_err(|_| LogError::NoticeSignature {
                wanted: "the service key in force",
            })
    }
}

/// A public key as `0x` and lower-case hex digits.
mod key_hex {
    use serde::{Deserialize, Deserializer, Serializer, de::Error as _};

    pub(super) fn serialize<S: Serializer>(key: &[u8; 32], to: S) -> Result<S::Ok, S::Error> {
        to.serialize_str(&format!("0x{}", hex::encode(key)))
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<[u8; 32], D::Error> {
        let text = String::deserialize(from)?;
        let mut key = [0; 32];
        // Upper-case digits decode as well; the canonical encoding refuses them.
        text.strip_prefix("0x")
            .and_then(|digits| hex::decode_to_slice(digits, &mut key).ok())
            .map(|()| key)
            .ok_or_else(|| D::Error::custom("not 0x and 32 bytes in hex"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(seed: u8) -> SigningKey {
        SigningKey::from_bytes(&[seed; 32])
    }

    fn public(seed: u8) -> [u8; 32] {
        key(seed).verifying_key().to_bytes()
    }

    fn advisory(title: &str, text: &str, subjects: usize) -> Notice {
        Notice {
            log: "example.com/log".to_owned(),
            issued_at: 5,
            statement: Statement::Advisory {
                title: title.to_owned(),
                text: text.to_owned(),
                subjects: vec![Subject::Package(Digest::of(b"p")); subjects],
            },
        }
    }

    #[test]
    fn notices_are_read_back_and_belong_to_their_signer() {
        let rotation = Notice::rotation("example.com/log", 6, &key(1), &key(2), "planned").unwrap();
        for notice in [advisory("t", "a\nb", 1), rotation] {
            let signed = SignedNotice::sign(notice, &key(1)).unwrap();
            let bytes = signed.envelope().to_bytes().unwrap();
            let back = SignedNotice::parse(&bytes).unwrap();
            assert_eq!(back, signed);
            back.verify(&public(1)).unwrap();
            assert!(back.verify(&public(2)).is_err() && !back.names(&public(2)));
        }
    }

    #[test]
    fn the_payload_has_the_documented_form() {
        let signed = SignedNotice::sign(advisory("t", "x", 1), &key(1)).unwrap();
        let text = format!(
            "{{\"log\":\"example.com/log\",\"issuedAt\":5,\"statement\":{{\"advisory\":{{\"title\":\"t\",\
             \"text\":\"x\",\"subjects\":[{{\"kind\":\"package\",\"digest\":\"{}\"}}]}}}}}}",
            Digest::of(b"p")
        );
        assert_eq!(signed.envelope().payload(), text.as_bytes());
    }

    #[test]
    fn content_is_bounded() {
        let long = "x".repeat(MAX_TEXT_BYTES);
        SignedNotice::sign(advisory("t", &long, MAX_SUBJECTS), &key(1)).unwrap();
        for bad in [
            advisory("", "x", 1),
            advisory("a\nb", "x", 1),
            advisory("t", "\u{1b}[2J", 1),
            advisory("t", &format!("{long}x"), 1),
            advisory("t", "x", 0),
            advisory("t", "x", MAX_SUBJECTS + 1),
        ] {
            assert_eq!(
                SignedNotice::sign(bad, &key(1)).unwrap_err().code(),
                "log-notice-invalid"
            );
        }
    }

    #[test]
    fn nobody_is_announced_who_did_not_agree() {
        let good = Notice::rotation("example.com/log", 6, &key(1), &key(2), "").unwrap();
        let Statement::Rotation { possession, .. } = &good.statement else {
            panic!("a rotation");
        };
        for (log, at, new) in [
            ("example.com/other", 6, public(2)),
            ("example.com/log", 7, public(2)),
            ("example.com/log", 6, public(3)),
        ] {
            let stolen = Notice {
                log: log.to_owned(),
                issued_at: at,
                statement: Statement::Rotation {
                    old: public(1),
                    new,
                    possession: possession.clone(),
                    reason: String::new(),
                },
            };
            assert_eq!(
                SignedNotice::sign(stolen, &key(1)).unwrap_err().code(),
                "log-notice-signature"
            );
        }
        assert!(Notice::rotation("example.com/log", 6, &key(1), &key(1), "").is_err());
        // Signed by neither: the new key cannot announce itself.
        assert!(SignedNotice::sign(good, &key(2)).is_err());
    }
}

//! What stands in a log: canonical JSON with a format and a kind. Digests only, never a tensor.

use proofmark_types::dsse::Signed;
use proofmark_types::manifest::MAX_COUNT;
use proofmark_types::{Digest, Envelope, canonical};
use serde::{Deserialize, Serialize};

use crate::error::LogError;
use crate::notice::{NOTICE_TYPE, SignedNotice};

/// Format of the entries that this version writes.
pub const ENTRY_FORMAT: &str = "proofmark/log-entry/v1";

/// That a receipt was handed out. The envelope holds the proof, which is random, so its digest
/// tells nothing to those who do not have the receipt.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ReceiptEntry {
    /// SHA-256 of the envelope's bytes.
    pub receipt: Digest,
    /// Digest of the package that the receipt names.
    pub package: Digest,
    /// Unix seconds at which the proof was made, as the receipt says; at most 2^53 − 1.
    pub proved_at: u64,
}

impl ReceiptEntry {
    /// The entry of a receipt.
    ///
    /// # Errors
    /// [`LogError::Entry`] for an envelope that cannot be written.
    pub fn of(envelope: &Envelope) -> Result<Self, LogError> {
        let bytes = envelope.to_bytes().map_err(|error| LogError::Entry {
            reason: error.to_string(),
        })?;
        Ok(Self {
            receipt: Digest::of(&bytes),
            package: envelope.receipt().package,
            proved_at: envelope.receipt().proved_at,
        })
    }
}

/// An entry of the log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Entry {
    /// A receipt was handed out.
    Receipt(ReceiptEntry),
    /// An advisory, a revocation, or a rotation of the service key.
    Notice(SignedNotice),
}

/// Members that every entry has, whatever else it holds.
#[derive(Deserialize)]
struct WireHead {
    format: String,
    kind: String,
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct WireReceipt {
    format: String,
    kind: String,
    receipt: Digest,
    package: Digest,
    proved_at: u64,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct WireNotice {
    format: String,
    kind: String,
    /// A DSSE envelope. A JSON value sorts its members, and DSSE's canonical order is the sorted
    /// one, so that what is read here is written again byte for byte or refused.
    envelope: serde_json::Value,
}

impl Entry {
    /// Its kind: `receipt`, `advisory`, `revocation`, `rotation`.
    pub const fn kind(&self) -> &'static str {
        match self {
            Self::Receipt(_) => "receipt",
            Self::Notice(notice) => notice.kind(),
        }
    }

    /// The one encoding.
    ///
    /// # Errors
    /// [`LogError::Entry`] for a time above 2^53 − 1; [`proofmark_tlog::TlogError::EntryTooLong`]
    /// when the log cannot hold it.
    pub fn to_bytes(&self) -> Result<Vec<u8>, LogError> {
        let (format, kind) = (ENTRY_FORMAT.to_owned(), self.kind().to_owned());
        let bytes = match self {
            Self::Receipt(entry) => {
                if entry.proved_at > MAX_COUNT {
                    return Err(LogError::Entry {
                        reason: "provedAt is above 2^53 - 1".to_owned(),
                    });
                }
                canonical::encode(&WireReceipt {
                    format,
                    kind,
                    receipt: entry.receipt,
                    package: entry.package,
                    proved_at: entry.proved_at,
                })?
            }
            Self::Notice(notice) => canonical::encode(&WireNotice {
                format,
                kind,
                envelope: canonical::decode(&notice.envelope().to_bytes()?)?,
            })?,
        };
        if bytes.len() > proofmark_tlog::tile::MAX_ENTRY_BYTES {
            return Err(proofmark_tlog::TlogError::EntryTooLong { bytes: bytes.len() }.into());
        }
        Ok(bytes)
    }

    /// Reads an entry in its one encoding. Signatures of a notice are not checked: by whom they
    /// must be depends on its place in the log.
    ///
    /// # Errors
    /// [`LogError::Entry`], [`LogError::NotCanonical`], [`LogError::Notice`].
    pub fn parse(bytes: &[u8]) -> Result<Self, LogError> {
        let refuse = |reason: String| LogError::Entry { reason };
        if bytes.len() > proofmark_tlog::tile::MAX_ENTRY_BYTES {
            return Err(refuse("it is longer than a log can hold".to_owned()));
        }
        let head: WireHead =
            serde_json::from_slice(bytes).map_err(|error| refuse(error.to_string()))?;
        if head.format != ENTRY_FORMAT {
            return Err(refuse(format!(
                "format is {:?}, this software reads {ENTRY_FORMAT:?}",
                head.format
            )));
        }
        let entry = if head.kind == "receipt" {
            let wire: WireReceipt = canonical::decode(bytes)?;
            Self::Receipt(ReceiptEntry {
                receipt: wire.receipt,
                package: wire.package,
                proved_at: wire.proved_at,
            })
        } else {
            let wire: WireNotice = canonical::decode(bytes)?;
            let envelope = canonical::encode(&wire.envelope)?;
            Self::Notice(SignedNotice::from_envelope(Signed::parse(
                NOTICE_TYPE,
                &envelope,
            )?)?)
        };
        if entry.kind() != head.kind {
            return Err(refuse(format!(
                "it says {:?} and holds a {}",
                head.kind,
                entry.kind()
            )));
        }
        if entry.to_bytes()? != bytes {
            return Err(LogError::NotCanonical);
        }
        Ok(entry)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::notice::{Notice, Statement, Subject};
    use ed25519_dalek::SigningKey;

    fn receipt() -> Entry {
        Entry::Receipt(ReceiptEntry {
            receipt: Digest::of(b"receipt"),
            package: Digest::of(b"package"),
            proved_at: 7,
        })
    }

    fn revocation() -> Entry {
        let notice = Notice {
            log: "example.com/log".to_owned(),
            issued_at: 9,
            statement: Statement::Revocation {
                subject: Subject::Circuit(Digest::of(b"circuit")),
                from: 0,
                reason: "a constraint was missing".to_owned(),
            },
        };
        Entry::Notice(SignedNotice::sign(notice, &SigningKey::from_bytes(&[1; 32])).unwrap())
    }

    #[test]
    fn entries_have_the_documented_form() {
        let bytes = receipt().to_bytes().unwrap();
        let text = format!(
            "{{\"format\":\"proofmark/log-entry/v1\",\"kind\":\"receipt\",\"receipt\":\"{}\",\
             \"package\":\"{}\",\"provedAt\":7}}",
            Digest::of(b"receipt"),
            Digest::of(b"package")
        );
        assert_eq!(bytes, text.as_bytes());
        let bytes = revocation().to_bytes().unwrap();
        assert!(bytes.starts_with(
            b"{\"format\":\"proofmark/log-entry/v1\",\"kind\":\"revocation\",\"envelope\":{\"payload\":\""
        ));
    }

    #[test]
    fn an_entry_has_one_spelling() {
        for entry in [receipt(), revocation()] {
            let bytes = entry.to_bytes().unwrap();
            assert_eq!(Entry::parse(&bytes).unwrap(), entry);
            for i in 0..bytes.len() {
                let mut changed = bytes.clone();
                changed[i] ^= 1;
                // Another digest or time is another entry; a notice is signed as well.
                if let Ok(other) = Entry::parse(&changed) {
                    assert_ne!(other, entry, "byte {i}");
                }
                assert!(Entry::parse(&bytes[..i]).is_err(), "cut at {i}");
            }
            let text = String::from_utf8(bytes).unwrap();
            for other in [
                format!("{text} "),
                text.replacen(':', ": ", 1),
                text.replacen("\"kind\"", "\"\\u006bind\"", 1),
                text.replacen('{', "{\"x\":0,", 1),
                text.replacen("v1", "v2", 1),
                text.replace("receipt\",\"re", "advisory\",\"re"),
                text.replace("revocation", "advisory"),
                text.replace("\"kind\":\"r", "\"kind\":\"r\",\"kind\":\"r"),
                text.replace("\"keyid\"", "\"keyid\":\"\",\"keyid\""),
            ] {
                assert!(
                    other == text || Entry::parse(other.as_bytes()).is_err(),
                    "{other}"
                );
            }
        }
    }

    #[test]
    fn a_time_that_json_readers_round_is_refused() {
        let entry = Entry::Receipt(ReceiptEntry {
            receipt: Digest::of(b""),
            package: Digest::of(b""),
            proved_at: 1 << 53,
        });
        assert_eq!(entry.to_bytes().unwrap_err().code(), "log-entry-malformed");
    }
}

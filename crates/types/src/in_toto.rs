//! The [in-toto Statement v1](https://github.com/in-toto/attestation/tree/main/spec/v1) that stands
//! in the envelopes of receipts and of attestations: which artefacts, by digest, and what is said of
//! them. The predicate is the business of whoever reads it.

use serde::{Deserialize, Serialize};

use crate::digest::Digest;
use crate::field::hex_bytes;

/// in-toto's statement type.
pub const STATEMENT_TYPE: &str = "https://in-toto.io/Statement/v1";
/// DSSE payload type of in-toto statements.
pub const PAYLOAD_TYPE: &str = "application/vnd.in-toto+json";
/// Media type of an envelope.
pub const ENVELOPE_MEDIA_TYPE: &str = "application/vnd.dsse.envelope.v1+json";

/// A statement with its predicate.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct WireStatement<P> {
    #[serde(rename = "_type")]
    kind: String,
    pub(crate) subject: Vec<WireSubject>,
    predicate_type: String,
    pub(crate) predicate: P,
}

/// An artefact by name and digest.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct WireSubject {
    name: String,
    digest: WireDigestSet,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct WireDigestSet {
    /// Hex without a prefix, as in-toto writes digests.
    sha256: String,
}

/// Whoever signs, by raw public key.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct WireSigner {
    #[serde(with = "hex_bytes")]
    pub(crate) ed25519: [u8; 32],
}

/// A type other than the one that is read.
pub(crate) struct OtherType {
    pub(crate) field: &'static str,
    pub(crate) got: String,
    pub(crate) expected: &'static str,
}

impl<P> WireStatement<P> {
    pub(crate) fn new(
        subject: Vec<WireSubject>,
        predicate_type: &'static str,
        predicate: P,
    ) -> Self {
        Self {
            kind: STATEMENT_TYPE.to_owned(),
            subject,
            predicate_type: predicate_type.to_owned(),
            predicate,
        }
    }

    /// Checks that this is a Statement v1 with this predicate.
    pub(crate) fn check_types(&self, predicate_type: &'static str) -> Result<(), OtherType> {
        for (field, got, expected) in [
            ("_type", &self.kind, STATEMENT_TYPE),
            ("predicateType", &self.predicate_type, predicate_type),
        ] {
            if got != expected {
                return Err(OtherType {
                    field,
                    got: got.clone(),
                    expected,
                });
            }
        }
        Ok(())
    }
}

impl WireSubject {
    pub(crate) fn new(name: &str, digest: &Digest) -> Self {
        Self {
            name: name.to_owned(),
            digest: WireDigestSet {
                sha256: digest.to_hex(),
            },
        }
    }

    /// The digest, if this is the artefact of that name.
    pub(crate) fn digest_of(&self, name: &str) -> Option<Digest> {
        (self.name == name)
            .then(|| Digest::from_hex(&self.digest.sha256).ok())
            .flatten()
    }
}

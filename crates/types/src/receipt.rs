//! The receipt of one proven inference: an in-toto Statement v1 with predicate type
//! [`PREDICATE_TYPE`], signed in a DSSE v1 envelope.
//!
//! A receipt has exactly one byte form. [`Envelope::parse`] reads it, encodes what it read again
//! and refuses a difference, so a [`Receipt`] that came out of it holds nothing that contradicts
//! itself. Whether it is *true* is the verifier's question. `docs/spec/receipt.md` is the
//! normative text.

use std::collections::BTreeSet;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use ed25519_dalek::{Signature, Signer as _, SigningKey, VerifyingKey};
use serde::{Deserialize, Serialize};

use crate::context::Context;
use crate::digest::Digest;
use crate::field::{Fr, fr_from_hex, fr_to_bytes, fr_to_hex, hex_bytes};
use crate::manifest::{
    Backend, MAX_COUNT, MAX_ELEMENTS, MAX_RANK, RuntimePin, SetupKind, Visibility, is_safe_name,
    is_tensor_name,
};
use crate::proof::ProofBytes;
use crate::statement::{LayoutTensor, PublicLayout, PublicValue, StatementError, statement_digest};
use crate::tensor::{ElemType, IntTensor, element_count};

/// in-toto's statement type.
pub const STATEMENT_TYPE: &str = "https://in-toto.io/Statement/v1";
/// Our predicate type; it carries the version.
pub const PREDICATE_TYPE: &str = "https://proofmark.dev/proven-inference/v1";
/// DSSE payload type of in-toto statements.
pub const PAYLOAD_TYPE: &str = "application/vnd.in-toto+json";
/// Media type of an envelope.
pub const ENVELOPE_MEDIA_TYPE: &str = "application/vnd.dsse.envelope.v1+json";
/// Largest envelope that is parsed, in bytes.
pub const MAX_ENVELOPE_BYTES: usize = 64 << 20;

/// The model that ran.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ModelRef {
    /// Package name.
    pub name: String,
    /// Package version.
    pub version: String,
    /// SHA-256 of the integer model's bytes.
    pub integer_model: Digest,
}

/// How the keys were made.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SetupRef {
    /// Single-party or ceremony.
    pub kind: SetupKind,
    /// SHA-256 of the setup transcript.
    pub transcript: Digest,
}

/// The software that made the receipt: a claim of the signer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Software {
    /// Its name, file-name-safe.
    pub name: String,
    /// Its version, file-name-safe.
    pub version: String,
}

/// What a receipt says of an input or output.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TensorRecord {
    /// Name of the graph input or output.
    pub name: String,
    /// Element type.
    pub elem: ElemType,
    /// Dimensions, outermost first.
    pub shape: Vec<usize>,
    /// Values or commitment, which says the visibility.
    pub value: RecordValue,
}

/// The part of a [`TensorRecord`] that depends on the visibility.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RecordValue {
    /// Public: the values.
    Public(IntTensor),
    /// Hashed: the unsalted Poseidon digest.
    Hashed(Fr),
    /// Private: the salted Poseidon digest.
    Private(Fr),
}

impl TensorRecord {
    /// The record of a public tensor.
    pub fn public(name: &str, tensor: IntTensor) -> Self {
        Self {
            name: name.to_owned(),
            elem: tensor.elem(),
            shape: tensor.shape().to_vec(),
            value: RecordValue::Public(tensor),
        }
    }

    /// Who learns the values.
    pub const fn visibility(&self) -> Visibility {
        match self.value {
            RecordValue::Public(_) => Visibility::Public,
            RecordValue::Hashed(_) => Visibility::Hashed,
            RecordValue::Private(_) => Visibility::Private,
        }
    }

    /// What it enters the statement as.
    pub const fn public_value(&self) -> PublicValue<'_> {
        match &self.value {
            RecordValue::Public(tensor) => PublicValue::Tensor(tensor),
            RecordValue::Hashed(x) | RecordValue::Private(x) => PublicValue::Commitment(*x),
        }
    }

    /// The digest that stands for it in the subject: of the typed tensor encoding when it is
    /// public, else SHA-256 of the 32 bytes of its commitment.
    pub fn subject_digest(&self) -> Digest {
        match &self.value {
            RecordValue::Public(tensor) => tensor.digest(&self.name),
            RecordValue::Hashed(x) | RecordValue::Private(x) => Digest::of(&fr_to_bytes(x)),
        }
    }

    fn slot(&self) -> LayoutTensor {
        LayoutTensor {
            name: self.name.clone(),
            elem: self.elem,
            shape: self.shape.clone(),
            visibility: self.visibility(),
        }
    }
}

/// The content of a receipt.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Receipt {
    /// Digest of the sealed package's manifest: what a verifier pins.
    pub package: Digest,
    /// The model.
    pub model: ModelRef,
    /// Digest of the circuit.
    pub circuit: Digest,
    /// Digest of the verifying key's file.
    pub verifying_key: Digest,
    /// How the keys were made.
    pub setup: SetupRef,
    /// The runtime whose execution is proven.
    pub runtime: RuntimePin,
    /// The software that made the receipt: a claim of the signer.
    pub software: Software,
    /// What the proof is bound to.
    pub context: Context,
    /// Inputs in graph order.
    pub inputs: Vec<TensorRecord>,
    /// Outputs in graph order.
    pub outputs: Vec<TensorRecord>,
    /// The proof. Anyone can turn it into another valid proof of the same statement, so nothing
    /// may be keyed by these bytes.
    pub proof: ProofBytes,
    /// Unix seconds at which the proof was made: a claim of the signer, at most 2^53 − 1.
    pub proved_at: u64,
    /// Raw Ed25519 public key of the service that signs.
    pub signer: [u8; 32],
}

/// Why some bytes are not a receipt, or some content cannot become one.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ReceiptError {
    /// Longer than [`MAX_ENVELOPE_BYTES`].
    #[error("receipt is {bytes} bytes, more than {MAX_ENVELOPE_BYTES}")]
    TooLarge {
        /// Its length.
        bytes: usize,
    },
    /// Not JSON of the right members and types.
    #[error("{part} is malformed: {reason}")]
    Malformed {
        /// `envelope` or `payload`.
        part: &'static str,
        /// The parser's words.
        reason: String,
    },
    /// Another payload, statement, predicate or proof system type than this version reads.
    #[error("{field} is {got:?}, this software reads {expected:?}")]
    Unsupported {
        /// The member.
        field: &'static str,
        /// Its value.
        got: String,
        /// The value that is read.
        expected: &'static str,
    },
    /// Not the one encoding of its content.
    #[error(
        "{part} is not in its canonical encoding; pass the receipt on byte for byte as it was received"
    )]
    NotCanonical {
        /// `envelope` or `payload`.
        part: &'static str,
    },
    /// Not exactly one signature.
    #[error("expected exactly one signature, got {got}")]
    Signatures {
        /// Signatures given.
        got: usize,
    },
    /// A member whose value is outside what it may be.
    #[error("{field} is outside what it may be")]
    Value {
        /// The member.
        field: &'static str,
    },
    /// A tensor record with members that do not go together.
    #[error("record of tensor {name:?}: {reason}")]
    Tensor {
        /// The tensor's name.
        name: String,
        /// What does not go together.
        reason: &'static str,
    },
    /// The subject does not name the outputs and their digests.
    #[error("subject is not the list of outputs with their digests")]
    Subject,
    /// The key id is not SHA-256 of the signer's public key.
    #[error("key id is not the SHA-256 of the signer's public key")]
    KeyId,
    /// The receipt names another signer than the key it is to be signed with.
    #[error("receipt names another signer than the signing key")]
    Signer,
    /// The signature is not the signer's over this payload.
    #[error("signature is not the signer's over this payload")]
    Signature,
}

impl ReceiptError {
    /// Stable kebab-case code.
    pub const fn code(&self) -> &'static str {
        match self {
            Self::TooLarge { .. }
            | Self::Malformed { .. }
            | Self::Signatures { .. }
            | Self::Value { .. } => "receipt-malformed",
            Self::Unsupported { .. } => "receipt-unsupported",
            Self::NotCanonical { .. } => "receipt-not-canonical",
            Self::Tensor { .. } => "receipt-tensor-invalid",
            Self::Subject => "receipt-subject-mismatch",
            Self::KeyId => "key-id-mismatch",
            Self::Signer => "signer-mismatch",
            Self::Signature => "signature-invalid",
        }
    }
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct WireStatement {
    #[serde(rename = "_type")]
    kind: String,
    subject: Vec<WireSubject>,
    predicate_type: String,
    predicate: WirePredicate,
}

#[derive(PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct WireSubject {
    name: String,
    digest: WireDigestSet,
}

#[derive(PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct WireDigestSet {
    /// Hex without a prefix, as in-toto writes digests.
    sha256: String,
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct WirePredicate {
    package: Digest,
    model: ModelRef,
    circuit: Digest,
    verifying_key: Digest,
    setup: SetupRef,
    proof_system: WireProofSystem,
    runtime: RuntimePin,
    software: Software,
    context: Context,
    inputs: Vec<WireTensor>,
    outputs: Vec<WireTensor>,
    proof: String,
    timing: WireTiming,
    signer: WireSigner,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct WireProofSystem {
    name: String,
    id: String,
}

impl WireProofSystem {
    /// The proof system of this name; its id must go with it.
    fn read(&self) -> Result<Backend, ReceiptError> {
        let refuse = |field, got: &String, expected| {
            Err(ReceiptError::Unsupported {
                field,
                got: got.clone(),
                expected,
            })
        };
        let known = [Backend::Groth16, Backend::Groth16Logup];
        let named = known
            .into_iter()
            .find(|b| b.proof_system_name() == self.name);
        let Some(backend) = named else {
            return refuse(
                "proofSystem.name",
                &self.name,
                "groth16-bn254-v1 or groth16-bn254-logup-v1",
            );
        };
        if self.id != backend.proof_system_id() {
            return refuse("proofSystem.id", &self.id, backend.proof_system_id());
        }
        Ok(backend)
    }
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct WireTiming {
    proved_at: u64,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct WireSigner {
    #[serde(with = "hex_bytes")]
    ed25519: [u8; 32],
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct WireTensor {
    name: String,
    elem: ElemType,
    shape: Vec<usize>,
    visibility: Visibility,
    #[serde(skip_serializing_if = "Option::is_none")]
    data: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    digest: Option<Digest>,
    #[serde(skip_serializing_if = "Option::is_none")]
    commitment: Option<String>,
}

impl From<&TensorRecord> for WireTensor {
    fn from(record: &TensorRecord) -> Self {
        let (data, digest, commitment) = match &record.value {
            RecordValue::Public(tensor) => (
                Some(BASE64.encode(tensor.to_le_bytes())),
                Some(tensor.digest(&record.name)),
                None,
            ),
            RecordValue::Hashed(x) | RecordValue::Private(x) => (None, None, Some(fr_to_hex(x))),
        };
        Self {
            name: record.name.clone(),
            elem: record.elem,
            shape: record.shape.clone(),
            visibility: record.visibility(),
            data,
            digest,
            commitment,
        }
    }
}

impl WireTensor {
    fn read(self) -> Result<TensorRecord, ReceiptError> {
        let Self {
            name,
            elem,
            shape,
            visibility,
            data,
            digest,
            commitment,
        } = self;
        let refuse = |reason| {
            Err(ReceiptError::Tensor {
                name: name.clone(),
                reason,
            })
        };
        if !(1..=MAX_RANK).contains(&shape.len())
            || !element_count(&shape).is_ok_and(|n| (1..=MAX_ELEMENTS).contains(&n))
        {
            return refuse("the shape is outside what it may be");
        }
        let value = match (visibility, data, digest, commitment) {
            (Visibility::Public, Some(data), Some(digest), None) => {
                let Ok(bytes) = BASE64.decode(data) else {
                    return refuse("the data are not canonical base64");
                };
                let Ok(tensor) = IntTensor::from_le_bytes(elem, shape.clone(), &bytes) else {
                    return refuse("the data are not as long as type and shape say");
                };
                if tensor.digest(&name) != digest {
                    return refuse("the digest is not that of the values");
                }
                RecordValue::Public(tensor)
            }
            (Visibility::Hashed | Visibility::Private, None, None, Some(text)) => {
                let Ok(commitment) = fr_from_hex(&text) else {
                    return refuse("the commitment is not a canonical field element");
                };
                if visibility == Visibility::Hashed {
                    RecordValue::Hashed(commitment)
                } else {
                    RecordValue::Private(commitment)
                }
            }
            _ => {
                return refuse(
                    "a public tensor has data and digest, a hashed or private one a commitment only",
                );
            }
        };
        Ok(TensorRecord {
            name,
            elem,
            shape,
            value,
        })
    }
}

impl Receipt {
    fn subject(&self) -> Vec<WireSubject> {
        let entry = |record: &TensorRecord| WireSubject {
            name: record.name.clone(),
            digest: WireDigestSet {
                sha256: record.subject_digest().to_hex(),
            },
        };
        self.outputs.iter().map(entry).collect()
    }

    /// The in-toto statement's bytes, which are signed: compact JSON, members in a fixed order.
    ///
    /// # Errors
    /// [`ReceiptError`] for content that no receipt may have.
    pub fn to_payload(&self) -> Result<Vec<u8>, ReceiptError> {
        self.check()?;
        let statement = WireStatement {
            kind: STATEMENT_TYPE.to_owned(),
            subject: self.subject(),
            predicate_type: PREDICATE_TYPE.to_owned(),
            predicate: WirePredicate {
                package: self.package,
                model: self.model.clone(),
                circuit: self.circuit,
                verifying_key: self.verifying_key,
                setup: self.setup.clone(),
                proof_system: WireProofSystem {
                    name: self.proof.backend().proof_system_name().to_owned(),
                    id: self.proof.backend().proof_system_id().to_owned(),
                },
                runtime: self.runtime.clone(),
                software: self.software.clone(),
                context: self.context,
                inputs: self.inputs.iter().map(WireTensor::from).collect(),
                outputs: self.outputs.iter().map(WireTensor::from).collect(),
                proof: BASE64.encode(self.proof),
                timing: WireTiming {
                    proved_at: self.proved_at,
                },
                signer: WireSigner {
                    ed25519: self.signer,
                },
            },
        };
        serde_json::to_vec(&statement).map_err(|e| ReceiptError::Malformed {
            part: "payload",
            reason: e.to_string(),
        })
    }

    /// Reads a payload in its one encoding.
    ///
    /// # Errors
    /// [`ReceiptError`] for every other spelling, and for members that contradict each other.
    pub fn from_payload(bytes: &[u8]) -> Result<Self, ReceiptError> {
        let wire: WireStatement =
            serde_json::from_slice(bytes).map_err(|e| ReceiptError::Malformed {
                part: "payload",
                reason: e.to_string(),
            })?;
        for (field, got, expected) in [
            ("_type", &wire.kind, STATEMENT_TYPE),
            ("predicateType", &wire.predicate_type, PREDICATE_TYPE),
        ] {
            if got != expected {
                return Err(ReceiptError::Unsupported {
                    field,
                    got: got.clone(),
                    expected,
                });
            }
        }
        let backend = wire.predicate.proof_system.read()?;
        let WirePredicate {
            package,
            model,
            circuit,
            verifying_key,
            setup,
            proof_system: _,
            runtime,
            software,
            context,
            inputs,
            outputs,
            proof,
            timing,
            signer,
        } = wire.predicate;
        let proof = BASE64
            .decode(proof)
            .ok()
            .and_then(|p| ProofBytes::new(backend, &p));
        let read = |list: Vec<WireTensor>| -> Result<Vec<TensorRecord>, ReceiptError> {
            list.into_iter().map(WireTensor::read).collect()
        };
        let receipt = Self {
            package,
            model,
            circuit,
            verifying_key,
            setup,
            runtime,
            software,
            context,
            inputs: read(inputs)?,
            outputs: read(outputs)?,
            proof: proof.ok_or(ReceiptError::Value { field: "proof" })?,
            proved_at: timing.proved_at,
            signer: signer.ed25519,
        };
        if receipt.subject() != wire.subject {
            return Err(ReceiptError::Subject);
        }
        if receipt.to_payload()? != bytes {
            return Err(ReceiptError::NotCanonical { part: "payload" });
        }
        Ok(receipt)
    }

    fn check(&self) -> Result<(), ReceiptError> {
        for (field, value) in [
            ("model.name", &self.model.name),
            ("model.version", &self.model.version),
            ("runtime.onnxruntime", &self.runtime.onnxruntime),
            ("software.name", &self.software.name),
            ("software.version", &self.software.version),
        ] {
            if !is_safe_name(value) {
                return Err(ReceiptError::Value { field });
            }
        }
        for (field, value) in [
            ("timing.provedAt", self.proved_at),
            ("context.deadline", self.context.deadline),
        ] {
            if value > MAX_COUNT {
                return Err(ReceiptError::Value { field });
            }
        }
        for (field, list) in [("inputs", &self.inputs), ("outputs", &self.outputs)] {
            if list.is_empty() {
                return Err(ReceiptError::Value { field });
            }
        }
        let mut seen = BTreeSet::new();
        for record in self.inputs.iter().chain(&self.outputs) {
            let refuse = |reason| {
                Err(ReceiptError::Tensor {
                    name: record.name.clone(),
                    reason,
                })
            };
            if !is_tensor_name(&record.name) {
                return refuse(
                    "the name is not 1 to 128 printable ASCII characters without blanks",
                );
            }
            if !seen.insert(&record.name) {
                return refuse("the name is used twice");
            }
            if let RecordValue::Public(tensor) = &record.value
                && (tensor.elem() != record.elem || tensor.shape() != record.shape)
            {
                return refuse("the values are not of the declared type and shape");
            }
        }
        Ok(())
    }

    /// The layout that the receipt itself implies. A verifier takes the manifest's.
    ///
    /// # Errors
    /// [`StatementError`] for a shape with more elements than can be addressed.
    pub fn layout(&self) -> Result<PublicLayout, StatementError> {
        PublicLayout::new(
            self.inputs.iter().map(TensorRecord::slot).collect(),
            self.outputs.iter().map(TensorRecord::slot).collect(),
        )
    }

    /// The public inputs recomputed from context, values and commitments under `layout`.
    ///
    /// # Errors
    /// [`StatementError`] when the tensors are not those of the layout.
    pub fn public_inputs(&self, layout: &PublicLayout) -> Result<Vec<Fr>, StatementError> {
        let inputs: Vec<_> = self.inputs.iter().map(TensorRecord::public_value).collect();
        let outputs: Vec<_> = self
            .outputs
            .iter()
            .map(TensorRecord::public_value)
            .collect();
        layout.public_inputs(self.context.digest(), &inputs, &outputs)
    }

    /// The digest of what was proven: the key for replay protection and idempotency.
    ///
    /// # Errors
    /// As [`layout`](Self::layout).
    pub fn statement_digest(&self) -> Result<Digest, StatementError> {
        Ok(statement_digest(
            &self.package,
            &self.public_inputs(&self.layout()?)?,
        ))
    }
}

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

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct WireEnvelope {
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

/// A receipt in its signed form. The signature has not been checked unless
/// [`verify_signature`](Self::verify_signature) says so.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Envelope {
    receipt: Receipt,
    payload: Vec<u8>,
    signature: [u8; 64],
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
        let payload = receipt.to_payload()?;
        let signature = key
            .sign(&pre_authentication_encoding(PAYLOAD_TYPE, &payload))
            .to_bytes();
        Ok(Self {
            receipt,
            payload,
            signature,
        })
    }

    /// Reads an envelope in its one encoding, and the receipt in it.
    ///
    /// # Errors
    /// [`ReceiptError`] for any deviation from the strict form. The signature is not checked here.
    pub fn parse(bytes: &[u8]) -> Result<Self, ReceiptError> {
        let malformed = |reason: String| ReceiptError::Malformed {
            part: "envelope",
            reason,
        };
        if bytes.len() > MAX_ENVELOPE_BYTES {
            return Err(ReceiptError::TooLarge { bytes: bytes.len() });
        }
        let wire: WireEnvelope =
            serde_json::from_slice(bytes).map_err(|e| malformed(e.to_string()))?;
        if wire.payload_type != PAYLOAD_TYPE {
            return Err(ReceiptError::Unsupported {
                field: "payloadType",
                got: wire.payload_type,
                expected: PAYLOAD_TYPE,
            });
        }
        let [entry] = wire.signatures.as_slice() else {
            return Err(ReceiptError::Signatures {
                got: wire.signatures.len(),
            });
        };
        let payload = BASE64
            .decode(&wire.payload)
            .map_err(|e| malformed(e.to_string()))?;
        let signature = BASE64
            .decode(&entry.sig)
            .ok()
            .and_then(|s| <[u8; 64]>::try_from(s).ok())
            .ok_or(ReceiptError::Value { field: "sig" })?;
        let receipt = Receipt::from_payload(&payload)?;
        if entry.keyid != key_id(&receipt.signer).to_hex() {
            return Err(ReceiptError::KeyId);
        }
        let envelope = Self {
            receipt,
            payload,
            signature,
        };
        if envelope.to_bytes()? != bytes {
            return Err(ReceiptError::NotCanonical { part: "envelope" });
        }
        Ok(envelope)
    }

    /// The one encoding: compact JSON, members in the order payload, payloadType, signatures.
    ///
    /// # Errors
    /// None in practice; the encoder's error is passed on rather than hidden.
    pub fn to_bytes(&self) -> Result<Vec<u8>, ReceiptError> {
        let wire = WireEnvelope {
            payload: BASE64.encode(&self.payload),
            payload_type: PAYLOAD_TYPE.to_owned(),
            signatures: vec![WireSignature {
                keyid: self.key_id().to_hex(),
                sig: BASE64.encode(self.signature),
            }],
        };
        serde_json::to_vec(&wire).map_err(|e| ReceiptError::Malformed {
            part: "envelope",
            reason: e.to_string(),
        })
    }

    /// The receipt.
    pub const fn receipt(&self) -> &Receipt {
        &self.receipt
    }

    /// The signed bytes: the in-toto statement as JSON.
    pub fn payload(&self) -> &[u8] {
        &self.payload
    }

    /// Id of the key that the receipt says it is signed with.
    pub fn key_id(&self) -> Digest {
        key_id(&self.receipt.signer)
    }

    /// The id of this record: SHA-256 of the payload. It identifies the record and not what was
    /// proven, because the payload holds proof bytes that anyone can change into others that
    /// verify; what was proven is [`Receipt::statement_digest`].
    pub fn receipt_id(&self) -> Digest {
        Digest::of(&self.payload)
    }

    /// Checks the signature with the key that the receipt names. Whether that key is trusted is
    /// another question.
    ///
    /// # Errors
    /// [`ReceiptError::Signature`].
    pub fn verify_signature(&self) -> Result<(), ReceiptError> {
        let key =
            VerifyingKey::from_bytes(&self.receipt.signer).map_err(|_| ReceiptError::Signature)?;
        let message = pre_authentication_encoding(PAYLOAD_TYPE, &self.payload);
        // Strict: no small-order keys, no second spelling of a signature.
        key.verify_strict(&message, &Signature::from_bytes(&self.signature))
            .map_err(|_| ReceiptError::Signature)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::manifest::RuntimePin;

    fn key() -> SigningKey {
        SigningKey::from_bytes(&[7; 32])
    }

    fn sample() -> Receipt {
        let x = IntTensor::new(ElemType::Uint8, vec![1, 3], vec![0, 128, 255]).unwrap();
        let y = IntTensor::new(ElemType::Int32, vec![1, 2], vec![-5, 9]).unwrap();
        Receipt {
            package: Digest::of(b"package"),
            model: ModelRef {
                name: "m".into(),
                version: "1".into(),
                integer_model: Digest::of(b"onnx"),
            },
            circuit: Digest::of(b"circuit"),
            verifying_key: Digest::of(b"vk"),
            setup: SetupRef {
                kind: SetupKind::SingleParty,
                transcript: Digest::of(b"transcript"),
            },
            runtime: RuntimePin::current(),
            software: Software {
                name: "proofmark".into(),
                version: "0.1.0".into(),
            },
            context: Context::off_chain([3; 32]),
            inputs: vec![
                TensorRecord::public("x", x),
                TensorRecord {
                    name: "z".into(),
                    elem: ElemType::Int8,
                    shape: vec![4],
                    value: RecordValue::Private(Fr::from(12)),
                },
            ],
            outputs: vec![
                TensorRecord::public("y", y),
                TensorRecord {
                    name: "h".into(),
                    elem: ElemType::Int8,
                    shape: vec![40],
                    value: RecordValue::Hashed(Fr::from(-1)),
                },
            ],
            proof: core::array::from_fn::<u8, 256, _>(|k| u8::try_from(k).unwrap()).into(),
            proved_at: 1_760_000_000,
            signer: key().verifying_key().to_bytes(),
        }
    }

    #[test]
    fn round_trip() {
        let envelope = Envelope::sign(sample(), &key()).unwrap();
        let bytes = envelope.to_bytes().unwrap();
        let back = Envelope::parse(&bytes).unwrap();
        assert_eq!(back, envelope);
        back.verify_signature().unwrap();
        assert_eq!(back.receipt(), &sample());
        assert_eq!(back.receipt_id(), Digest::of(back.payload()));
        assert_eq!(
            back.key_id().to_hex(),
            hex::encode(sha2_of(&sample().signer))
        );
    }

    fn sha2_of(bytes: &[u8]) -> [u8; 32] {
        *Digest::of(bytes).as_bytes()
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
    fn the_proof_is_as_long_as_its_proof_system_says() {
        let mut committed = sample();
        committed.proof = [9; 320].into();
        let bytes = committed.to_payload().unwrap();
        assert_eq!(Receipt::from_payload(&bytes).unwrap(), committed);
        let text = String::from_utf8(bytes).unwrap();
        let plain = String::from_utf8(sample().to_payload().unwrap()).unwrap();
        let (short, long) = (Backend::Groth16, Backend::Groth16Logup);
        let renamed = |text: &str, from: Backend, to: Backend| {
            text.replace(from.proof_system_name(), to.proof_system_name())
                .replace(from.proof_system_id(), to.proof_system_id())
        };
        let code = |text: String| Receipt::from_payload(text.as_bytes()).unwrap_err().code();
        assert_eq!(code(renamed(&text, long, short)), "receipt-malformed");
        assert_eq!(code(renamed(&plain, short, long)), "receipt-malformed");
        // The name of one with the id of the other.
        let mixed = text.replace(long.proof_system_id(), short.proof_system_id());
        assert_eq!(code(mixed), "receipt-unsupported");
        let mixed = plain.replace(short.proof_system_name(), long.proof_system_name());
        assert_eq!(code(mixed), "receipt-unsupported");
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
    fn content_that_no_receipt_may_have() {
        type Change = fn(&mut Receipt);
        let changes: [(Change, &str); 9] = [
            (|r| r.signer[0] ^= 1, "signer-mismatch"),
            (|r| r.model.name = "A".into(), "receipt-malformed"),
            (|r| r.software.version = "a b".into(), "receipt-malformed"),
            (|r| r.proved_at = u64::MAX, "receipt-malformed"),
            (|r| r.context.deadline = u64::MAX, "receipt-malformed"),
            (|r| r.inputs.clear(), "receipt-malformed"),
            (|r| r.outputs[0].name = "x".into(), "receipt-tensor-invalid"),
            (
                |r| r.outputs[0].name = "\n".into(),
                "receipt-tensor-invalid",
            ),
            (|r| r.inputs[0].shape = vec![3], "receipt-tensor-invalid"),
        ];
        for (change, code) in changes {
            let mut receipt = sample();
            change(&mut receipt);
            assert_eq!(Envelope::sign(receipt, &key()).unwrap_err().code(), code);
        }
    }

    #[test]
    fn payload_has_one_spelling() {
        let text = String::from_utf8(sample().to_payload().unwrap()).unwrap();
        let commitment = fr_to_hex(&Fr::from(12));
        let order = "0x30644e72e131a029b85045b68181585d2833e84879b9709143e1f593f0000001";
        let cases = [
            (format!("{text} "), "receipt-not-canonical"),
            (
                text.replace("\"name\":\"m\"", "\"name\":\"\\u006d\""),
                "receipt-not-canonical",
            ),
            (text.replace("1760000000", "1.76e9"), "receipt-malformed"),
            (
                text.replace("1760000000", "01760000000"),
                "receipt-malformed",
            ),
            (
                text.replace("\"AID/\"", "\"AID/\",\"commitment\":null"),
                "receipt-not-canonical",
            ),
            (
                text.replace("\"AID/\"", "\"AID/\",\"extra\":1"),
                "receipt-malformed",
            ),
            (
                text.replace("\"AID/\"", "\"AID+\""),
                "receipt-tensor-invalid",
            ),
            (
                text.replace("\"AID/\"", "\"AID\""),
                "receipt-tensor-invalid",
            ),
            (text.replace("[1,3]", "[3]"), "receipt-tensor-invalid"),
            (text.replace("[1,3]", "[1,4]"), "receipt-tensor-invalid"),
            (text.replace("[40]", "[0]"), "receipt-tensor-invalid"),
            (
                text.replace("[40]", "[18446744073709551615,9]"),
                "receipt-tensor-invalid",
            ),
            (text.replace(&commitment, order), "receipt-tensor-invalid"),
            (
                text.replace(&commitment, &commitment[..64]),
                "receipt-tensor-invalid",
            ),
            (
                text.replace("\"private\"", "\"public\""),
                "receipt-tensor-invalid",
            ),
            (
                text.replace(
                    "\"subject\":[",
                    "\"subject\":[{\"name\":\"q\",\"digest\":{\"sha256\":\"\"}},",
                ),
                "receipt-subject-mismatch",
            ),
            (
                text.replace("inference/v1", "inference/v2"),
                "receipt-unsupported",
            ),
            (
                text.replace("Statement/v1", "Statement/v0.1"),
                "receipt-unsupported",
            ),
            (
                text.replace("0x0550d137", "0x0550D137"),
                "receipt-unsupported",
            ),
            (
                text.replace("disable-all", "enable-all"),
                "receipt-malformed",
            ),
        ];
        for (bad, code) in cases {
            assert_ne!(bad, text);
            assert_eq!(
                Receipt::from_payload(bad.as_bytes()).unwrap_err().code(),
                code,
                "{bad}"
            );
        }
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
    }

    #[test]
    fn another_signature_is_not_the_signers() {
        let mut envelope = Envelope::sign(sample(), &key()).unwrap();
        envelope.signature[0] ^= 1;
        let back = Envelope::parse(&envelope.to_bytes().unwrap()).unwrap();
        assert_eq!(
            back.verify_signature().unwrap_err().code(),
            "signature-invalid"
        );
        // The identity point is a key under which one signature fits every message.
        let mut receipt = sample();
        receipt.signer = [0; 32];
        receipt.signer[0] = 1;
        let mut signature = [0; 64];
        signature[0] = 1;
        let payload = receipt.to_payload().unwrap();
        let forged = Envelope {
            receipt,
            payload,
            signature,
        };
        assert_eq!(forged.verify_signature(), Err(ReceiptError::Signature));
    }
}

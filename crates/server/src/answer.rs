//! The body of a proven answer.

use proofmark_log::Inclusion;
use proofmark_types::Digest;
use serde::Serialize;
use serde_json::value::RawValue;
use utoipa::ToSchema;

use crate::problem::Problem;
use crate::publish::Checked;
use crate::registry::Served;
use crate::tensors::{OutputTensor, encode_outputs};

/// How one request wants to be answered.
#[derive(Debug, Clone)]
pub(crate) struct AnswerPlan {
    /// Identifier that the client gave the request.
    pub(crate) id: Option<String>,
    /// Names of the outputs and views wanted; all when empty.
    pub(crate) wanted: Vec<String>,
    /// Whether the answer carries the receipt.
    pub(crate) inline_receipt: bool,
    /// What `receipt_url` begins with.
    pub(crate) public_url: String,
}

/// What the answer says of its proof; scalars only, as clients of the protocol expect.
#[derive(Debug, Serialize, ToSchema)]
pub struct ResponseParameters {
    /// Always `verified`: nothing else is served.
    #[schema(example = "verified")]
    pub proof_status: &'static str,
    /// The receipt's identifier.
    #[schema(value_type = String)]
    pub receipt_id: Digest,
    /// Where the receipt can be fetched again.
    pub receipt_url: String,
    /// Index of the receipt's entry in the transparency log.
    pub log_index: u64,
    /// Where a proof that the receipt is logged can be fetched again, then with a later checkpoint.
    pub tlog_proof_url: String,
    /// Digest of what was proven: the key for replay protection.
    #[schema(value_type = String)]
    pub statement_digest: Digest,
    /// Digest of the package: what a verifier pins.
    #[schema(value_type = String)]
    pub package_digest: Digest,
    /// Digest of the integer model.
    #[schema(value_type = String)]
    pub model_digest: Digest,
    /// Digest of the circuit.
    #[schema(value_type = String)]
    pub circuit_digest: Digest,
    /// Digest of the verifying key.
    #[schema(value_type = String)]
    pub verifying_key_digest: Digest,
    /// How the keys were made: whoever made `single-party` keys could forge.
    #[schema(example = "single-party")]
    pub setup_kind: &'static str,
    /// The nonce that the proof is bound to.
    pub nonce: String,
}

/// What opens the commitment to a private tensor. It is in no receipt and is not kept, except in
/// the answer stored under an idempotency key.
#[derive(Debug, Serialize, ToSchema)]
pub struct OpeningBody {
    /// Name of the input or output.
    pub tensor: String,
    /// The salt, a field element: `0x` and 64 hex digits, big-endian.
    pub salt: String,
}

/// A proven answer.
#[derive(Debug, Serialize, ToSchema)]
pub struct InferResponse<'a> {
    /// Name of the model that answered.
    pub model_name: &'a str,
    /// Its version.
    pub model_version: &'a str,
    /// The request's identifier, when it had one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub id: Option<&'a str>,
    /// What the answer says of its proof.
    pub parameters: ResponseParameters,
    /// The model's outputs, each followed by its views.
    pub outputs: Vec<OutputTensor>,
    /// Salts of private tensors, for the caller alone.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub openings: Vec<OpeningBody>,
    /// The receipt: a DSSE envelope around an in-toto statement, byte for byte as it is stored.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Object>)]
    pub receipt: Option<&'a RawValue>,
    /// That the receipt is in the transparency log: a `.tlog-proof` (C2SP tlog-proof), as text. It
    /// comes with the receipt.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tlog_proof: Option<&'a str>,
}

impl AnswerPlan {
    /// Writes the answer.
    pub(crate) fn write(
        &self,
        model: &Served,
        checked: &Checked,
        inclusion: &Inclusion,
    ) -> Result<Vec<u8>, Problem> {
        let Checked {
            proven,
            envelope,
            statement_digest,
        } = checked;
        let receipt_url = format!(
            "{}/v1/receipts/{}",
            self.public_url,
            proven.receipt_id.to_hex()
        );
        let receipt: Option<&RawValue> = self
            .inline_receipt
            .then(|| serde_json::from_slice(&proven.receipt))
            .transpose()
            .map_err(|e| Problem::internal(format!("the engine's receipt is no JSON: {e}")))?;
        let tlog_proof = std::str::from_utf8(&inclusion.proof)
            .map_err(|e| Problem::internal(format!("the log's proof is no text: {e}")))?;
        let manifest = model.manifest();
        let response = InferResponse {
            model_name: &manifest.name,
            model_version: &manifest.version,
            id: self.id.as_deref(),
            parameters: ResponseParameters {
                proof_status: "verified",
                receipt_id: proven.receipt_id,
                log_index: inclusion.index,
                tlog_proof_url: format!("{receipt_url}/tlog-proof"),
                receipt_url,
                statement_digest: *statement_digest,
                package_digest: model.package,
                model_digest: manifest.integer_model.digest,
                circuit_digest: model.sealed.circuit.digest,
                verifying_key_digest: model.sealed.verifying_key.digest,
                setup_kind: model.sealed.setup_kind.name(),
                nonce: format!("0x{}", hex::encode(envelope.receipt().context.nonce)),
            },
            outputs: encode_outputs(manifest, &proven.outputs, &self.wanted)?,
            openings: proven
                .openings
                .iter()
                .map(|opening| OpeningBody {
                    tensor: opening.tensor.clone(),
                    salt: format!("0x{}", hex::encode(opening.salt)),
                })
                .collect(),
            receipt,
            tlog_proof: self.inline_receipt.then_some(tlog_proof),
        };
        serde_json::to_vec(&response)
            .map_err(|e| Problem::internal(format!("the answer cannot be written: {e}")))
    }
}

//! The signed bytes: an in-toto Statement v1 around the predicate, and what may stand in it.

use std::collections::BTreeSet;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use serde::{Deserialize, Serialize};

use super::error::ReceiptError;
use super::tensor::{RecordValue, TensorRecord, WireTensor};
use super::{ModelRef, PREDICATE_TYPE, Receipt, SetupRef, Software};
use crate::canonical::{self, CanonicalError};
use crate::context::Context;
use crate::digest::Digest;
use crate::in_toto::{self, WireSigner, WireSubject};
use crate::manifest::{Backend, MAX_COUNT, RuntimePin, is_safe_name, is_tensor_name};
use crate::proof::ProofBytes;

pub(super) type WireStatement = in_toto::WireStatement<WirePredicate>;

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct WirePredicate {
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

impl Receipt {
    fn subject(&self) -> Vec<WireSubject> {
        let entry =
            |record: &TensorRecord| WireSubject::new(&record.name, &record.subject_digest());
        self.outputs.iter().map(entry).collect()
    }

    /// The in-toto statement's bytes, which are signed: compact JSON, members in a fixed order.
    ///
    /// # Errors
    /// [`ReceiptError`] for content that no receipt may have.
    pub fn to_payload(&self) -> Result<Vec<u8>, ReceiptError> {
        self.check()?;
        let statement = WireStatement::new(
            self.subject(),
            PREDICATE_TYPE,
            WirePredicate {
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
        );
        Ok(canonical::encode(&statement)?)
    }

    /// Reads a payload in its one encoding.
    ///
    /// # Errors
    /// [`ReceiptError`] for every other spelling, and for members that contradict each other.
    pub fn from_payload(bytes: &[u8]) -> Result<Self, ReceiptError> {
        let wire: WireStatement = serde_json::from_slice(bytes).map_err(CanonicalError::from)?;
        wire.check_types(PREDICATE_TYPE)?;
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
            return Err(ReceiptError::NotCanonical);
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
}

#[cfg(test)]
mod tests {
    use super::super::Envelope;
    use super::super::testing::{key, sample};
    use super::*;
    use crate::field::{Fr, fr_to_hex};

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
}

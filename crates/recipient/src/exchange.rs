//! A service's answer to an inference request, against what was asked.
//!
//! A receipt proves that the model computed these outputs from those inputs; that those inputs are
//! the ones that were sent is for the asker to compare, and for the nonce to show that the receipt
//! is not of an earlier request.

use proofmark_types::field::fr_from_hex;
use proofmark_types::manifest::Visibility;
use proofmark_types::{Fr, IntTensor, Manifest};
use proofmark_verifier::Opening;
use serde::Deserialize;
use serde::de::Error as _;
use serde_json::Value;
use serde_json::value::RawValue;

use crate::refusal::Refusal;
use crate::request::Input;

/// The parts of an answer that are used; the receipt byte for byte.
#[derive(Debug, Deserialize)]
pub struct Answer<'a> {
    #[serde(default)]
    outputs: Vec<Value>,
    #[serde(default)]
    openings: Vec<Salt>,
    #[serde(borrow)]
    receipt: &'a RawValue,
    #[serde(default)]
    tlog_proof: Option<String>,
}

#[derive(Debug, Deserialize)]
struct Salt {
    tensor: String,
    salt: String,
}

impl<'a> Answer<'a> {
    /// Reads the body of an answer.
    ///
    /// # Errors
    /// The parser's, for what is no answer with its receipt.
    pub fn parse(body: &'a [u8]) -> Result<Self, serde_json::Error> {
        // An array would be read as the members in their order.
        if body.trim_ascii_start().first() != Some(&b'{') {
            return Err(serde_json::Error::custom("it is no JSON object"));
        }
        serde_json::from_slice(body)
    }

    /// The receipt's bytes.
    pub fn receipt(&self) -> &'a [u8] {
        self.receipt.get().as_bytes()
    }

    /// The proof that the receipt is logged.
    pub fn tlog_proof(&self) -> Option<&str> {
        self.tlog_proof.as_deref()
    }

    /// What the receipt is to be compared with: the inputs that were sent, public ones included, and
    /// the hidden outputs as the service told them.
    ///
    /// # Errors
    /// [`Refusal::OutputMissing`].
    pub fn openings(&self, manifest: &Manifest, inputs: &[Input]) -> Result<Vec<Opening>, Refusal> {
        let mut outputs = Vec::new();
        for spec in &manifest.outputs {
            if spec.visibility == Visibility::Public {
                continue;
            }
            let given = self
                .outputs
                .iter()
                .find(|o| o.get("name").and_then(Value::as_str) == Some(spec.name.as_str()));
            let data = given.and_then(|o| serde_json::from_value(o.get("data")?.clone()).ok());
            let tensor = data.and_then(|d| IntTensor::new(spec.elem, spec.shape.clone(), d).ok());
            let tensor = tensor.ok_or_else(|| Refusal::OutputMissing {
                name: spec.name.clone(),
            })?;
            outputs.push((spec.name.clone(), tensor));
        }
        let mut openings = hidden_openings(manifest, inputs, &outputs, |name| self.salt(name));
        for spec in &manifest.inputs {
            if spec.visibility == Visibility::Public
                && let Some(input) = inputs.iter().find(|input| input.name == spec.name)
            {
                openings.push(Opening {
                    name: spec.name.clone(),
                    tensor: input.tensor.clone(),
                    salt: None,
                });
            }
        }
        Ok(openings)
    }

    /// A tensor that the service opens twice is opened by neither: the caller would keep one.
    fn salt(&self, name: &str) -> Option<Fr> {
        let mut salts = self.openings.iter().filter(|salt| salt.tensor == name);
        let salt = salts.next()?;
        if salts.next().is_some() {
            return None;
        }
        fr_from_hex(&salt.salt).ok()
    }
}

/// Openings of every hidden tensor: a private one with its salt.
pub fn hidden_openings(
    manifest: &Manifest,
    inputs: &[Input],
    outputs: &[(String, IntTensor)],
    salt: impl Fn(&str) -> Option<Fr>,
) -> Vec<Opening> {
    let of_inputs = manifest.inputs.iter().filter_map(|spec| {
        let input = inputs.iter().find(|input| input.name == spec.name)?;
        Some((spec.visibility, &spec.name, &input.tensor))
    });
    let of_outputs = manifest.outputs.iter().filter_map(|spec| {
        let (_, tensor) = outputs.iter().find(|(name, _)| *name == spec.name)?;
        Some((spec.visibility, &spec.name, tensor))
    });
    of_inputs
        .chain(of_outputs)
        .filter(|(visibility, ..)| *visibility != Visibility::Public)
        .map(|(_, name, tensor)| Opening {
            name: name.clone(),
            tensor: tensor.clone(),
            salt: salt(name),
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_receipt_keeps_its_bytes() {
        let body = br#"{"outputs":[],"receipt":{"b" : 1,"a":[ ]},"parameters":{}}"#;
        assert_eq!(
            Answer::parse(body).unwrap().receipt(),
            br#"{"b" : 1,"a":[ ]}"#
        );
        for bad in [
            &br#"{"outputs":[]}"#[..],
            br#"[[],[],{"b":1},null]"#,
            br#"{"receipt":{},"receipt":{}}"#,
            br#"{"receipt":{}}{"#,
        ] {
            assert!(Answer::parse(bad).is_err());
        }
    }
}

//! An accepted receipt in plain language: what is proven, and what is not.

use proofmark_types::attestation::SignedAttestation;
use proofmark_types::field::fr_to_hex;
use proofmark_types::manifest::{Manifest, View, ViewValue};
use proofmark_types::receipt::{RecordValue, TensorRecord};
use proofmark_types::time::utc;
use proofmark_types::{Digest, IntTensor};
use proofmark_verifier::{Opening, SignatureVerdict, Verdict, not_proven};
use serde_json::{Map, Value, json};

use crate::attested::{attestation_json, attestation_lines};
use crate::hex::bytes_to_hex;
use crate::logged::Logged;
use crate::text::numbers;
use crate::verify::is_closed;

/// What a verification found.
#[derive(Debug, Clone)]
pub struct Report<'a> {
    package: Digest,
    manifest: &'a Manifest,
    verdict: &'a Verdict,
    openings: &'a [Opening],
    logged: Option<&'a Logged>,
    attestations: &'a [SignedAttestation],
}

impl<'a> Report<'a> {
    /// A report of a receipt that was accepted for the package with this manifest, compared with
    /// these openings.
    pub const fn new(
        package: Digest,
        manifest: &'a Manifest,
        verdict: &'a Verdict,
        openings: &'a [Opening],
    ) -> Self {
        Self {
            package,
            manifest,
            verdict,
            openings,
            logged: None,
            attestations: &[],
        }
    }

    /// With the receipt's place in the transparency log, when that was looked at.
    #[must_use]
    pub const fn with_log(mut self, logged: Option<&'a Logged>) -> Self {
        self.logged = logged;
        self
    }

    /// With what auditors attest of the package, when that was asked for.
    #[must_use]
    pub const fn with_attestations(mut self, attestations: &'a [SignedAttestation]) -> Self {
        self.attestations = attestations;
        self
    }

    /// The values of a tensor: from the receipt when it is public, else from its opening.
    fn values<'b>(&'b self, record: &'b TensorRecord) -> Option<&'b IntTensor> {
        match &record.value {
            RecordValue::Public(tensor) => Some(tensor),
            RecordValue::Hashed(_) | RecordValue::Private(_) => {
                let mut openings = self.openings.iter();
                let opening = openings.find(|opening| opening.name == record.name)?;
                let checked = self.verdict.opened.contains(&opening.name);
                checked.then_some(&opening.tensor)
            }
        }
    }

    /// What is proven, a sentence each.
    pub fn proven(&self) -> Vec<String> {
        let receipt = &self.verdict.receipt;
        let mut proven = vec![format!(
            "the integer arithmetic of ONNX Runtime {} on exactly this integer model gives exactly \
             these output integers for exactly these input integers; that rests on the proof alone, \
             not on the service",
            receipt.runtime.onnxruntime
        )];
        proven.push(if receipt.context.is_off_chain() {
            format!(
                "the proof was made for the nonce {}",
                bytes_to_hex(&receipt.context.nonce)
            )
        } else {
            "the proof was made for this context (chain, consumer, requester, nonce, deadline)"
                .to_owned()
        });
        for name in &self.verdict.opened {
            proven.push(format!(
                "tensor {name:?} holds the values that you compared it with"
            ));
        }
        proven.extend(self.logged.map(Logged::proven).unwrap_or_default());
        proven
    }

    /// What is not proven, a sentence each.
    pub fn not_proven(&self) -> Vec<String> {
        let receipt = &self.verdict.receipt;
        let records = receipt.inputs.iter().chain(&receipt.outputs);
        let hidden: Vec<&str> = records
            .filter(|record| is_closed(record, &self.verdict.opened))
            .map(|record| record.name.as_str())
            .collect();
        let mut open = not_proven(self.verdict.setup_kind, self.verdict.signature, &hidden);
        open.extend(self.logged.map(Logged::not_proven).unwrap_or_default());
        open
    }

    /// The report as one JSON object.
    pub fn json(&self) -> Value {
        let receipt = &self.verdict.receipt;
        let (status, key_id) = signature(self.verdict.signature);
        json!({
            "verdict": "accepted",
            "receipt_id": self.verdict.receipt_id,
            "statement_digest": self.verdict.statement_digest,
            "package_digest": self.package,
            "model": {
                "name": receipt.model.name,
                "version": receipt.model.version,
                "integer_model": receipt.model.integer_model,
            },
            "circuit": receipt.circuit,
            "setup": self.verdict.setup_kind.name(),
            "runtime": receipt.runtime,
            "context": receipt.context,
            "signature": { "status": status, "key_id": key_id },
            "signer": bytes_to_hex(&receipt.signer),
            "proved_at": receipt.proved_at,
            "proof_bytes": receipt.proof.len(),
            "inputs": receipt.inputs.iter().map(|r| self.record_json(r, &[])).collect::<Vec<_>>(),
            "outputs": self.outputs().map(|(r, views)| self.record_json(r, views)).collect::<Vec<_>>(),
            "opened": self.verdict.opened,
            "log": self.logged.map(Logged::json),
            "attestations": self.attestations.iter().map(attestation_json).collect::<Vec<_>>(),
            "proven": self.proven(),
            "not_proven": self.not_proven(),
        })
    }

    /// The report for people.
    pub fn text(&self) -> String {
        let receipt = &self.verdict.receipt;
        let (_, key_id) = signature(self.verdict.signature);
        let pinned = match self.verdict.signature {
            SignatureVerdict::ValidPinned { .. } => "pinned",
            SignatureVerdict::ValidUnpinned { .. } => "not pinned",
        };
        let mut lines = vec![
            "ACCEPTED: the proof verifies".to_owned(),
            format!("package    {}", self.package),
            format!(
                "model      {} version {}",
                receipt.model.name, receipt.model.version
            ),
            format!("receipt    {}", self.verdict.receipt_id),
            format!("setup      {}", self.verdict.setup_kind.name()),
            format!("signed by  {key_id} ({pinned})"),
            format!("proved at  {} (the signer's claim)", utc(receipt.proved_at)),
        ];
        lines.extend(self.logged.map(Logged::lines).unwrap_or_default());
        for record in &receipt.inputs {
            lines.push(format!("input      {}", self.record_text(record)));
        }
        for (record, views) in self.outputs() {
            lines.push(format!("output     {}", self.record_text(record)));
            if let Some(tensor) = self.values(record) {
                lines.extend(views_text(tensor, views));
            }
        }
        lines.push(String::new());
        lines.push("Proven:".to_owned());
        lines.extend(self.proven().iter().map(|line| format!("  + {line}")));
        if !self.attestations.is_empty() {
            lines.push("Attested, by the word of whoever signed it:".to_owned());
            let attested = self.attestations.iter().flat_map(attestation_lines);
            lines.extend(attested.map(|line| format!("  * {line}")));
        }
        lines.push("Not proven:".to_owned());
        lines.extend(self.not_proven().iter().map(|line| format!("  - {line}")));
        lines.join("\n")
    }

    fn outputs(&self) -> impl Iterator<Item = (&TensorRecord, &[View])> {
        let views = self.manifest.outputs.iter().map(|o| o.views.as_slice());
        self.verdict.receipt.outputs.iter().zip(views)
    }

    fn record_json(&self, record: &TensorRecord, views: &[View]) -> Value {
        let mut object = Map::new();
        object.insert("name".to_owned(), json!(record.name));
        object.insert("elem".to_owned(), json!(record.elem));
        object.insert("shape".to_owned(), json!(record.shape));
        object.insert("visibility".to_owned(), json!(record.visibility()));
        if let RecordValue::Hashed(x) | RecordValue::Private(x) = &record.value {
            object.insert("commitment".to_owned(), json!(fr_to_hex(x)));
        }
        if let Some(tensor) = self.values(record) {
            object.insert("values".to_owned(), json!(tensor.data()));
            if !views.is_empty() {
                object.insert("views".to_owned(), views_json(tensor, views));
            }
        }
        Value::Object(object)
    }

    fn record_text(&self, record: &TensorRecord) -> String {
        let value = match (&record.value, self.values(record)) {
            (_, Some(tensor)) => numbers(tensor.data()),
            (RecordValue::Hashed(x) | RecordValue::Private(x), None) => {
                format!("commitment {}", fr_to_hex(x))
            }
            (RecordValue::Public(_), None) => String::new(),
        };
        format!(
            "{} {} {:?} {}: {value}",
            record.name,
            record.elem,
            record.shape,
            record.visibility().name()
        )
    }
}

fn signature(verdict: SignatureVerdict) -> (&'static str, Digest) {
    match verdict {
        SignatureVerdict::ValidPinned { key_id } => ("valid-pinned", key_id),
        SignatureVerdict::ValidUnpinned { key_id } => ("valid-unpinned", key_id),
    }
}

/// Every view of an output by name: `dequantize` and `softmax` as floats, `class` as index and
/// label. A view that does not fit is left out: the manifest was validated, so none is.
fn views_json(tensor: &IntTensor, views: &[View]) -> Value {
    let mut object = Map::new();
    for view in views {
        let Ok(value) = view.apply(tensor, views) else {
            continue;
        };
        let (name, value) = match (view, value) {
            (View::Dequantize { .. }, ViewValue::Floats(floats)) => ("dequantize", json!(floats)),
            (View::Softmax { .. }, ViewValue::Floats(floats)) => ("softmax", json!(floats)),
            (_, ViewValue::Classes(classes)) => {
                let classes: Vec<Value> = classes
                    .iter()
                    .map(|class| json!({ "index": class.index, "label": class.label }))
                    .collect();
                ("class", Value::Array(classes))
            }
            (View::ArgMax { .. }, ViewValue::Floats(_)) => continue,
        };
        object.insert(name.to_owned(), value);
    }
    Value::Object(object)
}

/// The class of each row with its share, one line a row; nothing for an output without classes.
fn views_text(tensor: &IntTensor, views: &[View]) -> Vec<String> {
    let classes = views
        .iter()
        .find_map(|view| match view.apply(tensor, views) {
            Ok(ViewValue::Classes(classes)) => Some(classes),
            _ => None,
        });
    let last = tensor.shape().last().copied().unwrap_or(1).max(1);
    // Softmax shares are per class only along the last dimension.
    let shares = views.iter().find_map(|view| match view {
        View::Softmax { axis } if axis.checked_add(1) == Some(tensor.shape().len()) => {
            match view.apply(tensor, views) {
                Ok(ViewValue::Floats(floats)) => Some(floats),
                _ => None,
            }
        }
        _ => None,
    });
    classes
        .unwrap_or_default()
        .iter()
        .enumerate()
        .map(|(row, class)| {
            let share = shares
                .as_ref()
                .and_then(|s| s.get(row.saturating_mul(last).saturating_add(class.index)));
            match share {
                Some(share) => format!(
                    "           class {} ({:.1} % by softmax)",
                    class.label,
                    f64::from(*share) * 100.0
                ),
                None => format!("           class {}", class.label),
            }
        })
        .collect()
}

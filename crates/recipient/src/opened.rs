//! Opening the commitments of a receipt: what its hidden inputs and outputs hold.

use proofmark_types::field::fr_to_hex;
use proofmark_types::manifest::Visibility;
use proofmark_types::receipt::{Envelope, Opening, RecordValue, TensorRecord};
use proofmark_verifier::{Rejection, check_openings};
use serde_json::{Value, json};

use crate::refusal::Refusal;
use crate::text::numbers;

/// Commitments of a receipt that were opened. Neither its proof nor its package was looked at.
#[derive(Debug, Clone)]
pub struct Opened {
    envelope: Envelope,
    openings: Vec<Opening>,
    /// Hidden tensors without an opening.
    closed: Vec<String>,
}

/// Compares openings with the commitments of a receipt, whose form and signature are checked.
/// Whether the model computed anything is for [`verify`](crate::verify()) to say.
///
/// # Errors
/// [`Refusal`] for a receipt that is no receipt and for values that are not those behind the
/// commitments; `opening-mismatch` when nothing hidden is opened.
pub fn open(receipt: &[u8], openings: Vec<Opening>) -> Result<Opened, Refusal> {
    let envelope = Envelope::parse(receipt).map_err(Rejection::from)?;
    envelope.verify_signature().map_err(Rejection::from)?;
    let opened = check_openings(&envelope, &openings)?;
    let receipt = envelope.receipt();
    let hidden = receipt
        .inputs
        .iter()
        .chain(&receipt.outputs)
        .filter(|record| record.visibility() != Visibility::Public);
    let (open, closed): (Vec<_>, Vec<_>) = hidden.partition(|record| opened.contains(&record.name));
    if open.is_empty() {
        return Err(Refusal::NothingOpened);
    }
    let closed = closed.iter().map(|record| record.name.clone()).collect();
    Ok(Opened {
        envelope,
        openings,
        closed,
    })
}

impl Opened {
    /// What it means, a sentence each.
    fn not_proven() -> [&'static str; 2] {
        [
            "that a model computed anything: neither the proof nor the package was looked at; \
             `proofmark verify --openings` does both",
            "who signed: the signature is valid, but nobody said whose key it must be",
        ]
    }

    /// The result as one JSON object.
    pub fn json(&self) -> Value {
        let receipt = self.envelope.receipt();
        let tensors: Vec<Value> = self
            .openings
            .iter()
            .map(|opening| {
                let mut records = receipt.inputs.iter().chain(&receipt.outputs);
                let record = records.find(|record| record.name == opening.name);
                let commitment = record.and_then(|record| match &record.value {
                    RecordValue::Hashed(x) | RecordValue::Private(x) => Some(fr_to_hex(x)),
                    RecordValue::Public(_) => None,
                });
                json!({
                    "name": opening.name,
                    "elem": opening.tensor.elem(),
                    "shape": opening.tensor.shape(),
                    "visibility": record.map(TensorRecord::visibility),
                    "commitment": commitment,
                    "values": opening.tensor.data(),
                })
            })
            .collect();
        json!({
            "verdict": "opened",
            "receipt_id": self.envelope.receipt_id(),
            "package_digest": receipt.package,
            "key_id": self.envelope.key_id(),
            "tensors": tensors,
            "closed": self.closed,
            "not_proven": Self::not_proven(),
        })
    }

    /// The result for people.
    pub fn text(&self) -> String {
        let mut lines = vec![
            "OPENED: the commitments hold these values".to_owned(),
            format!("receipt    {}", self.envelope.receipt_id()),
            format!("package    {}", self.envelope.receipt().package),
            format!("signed by  {}", self.envelope.key_id()),
        ];
        for opening in &self.openings {
            lines.push(format!(
                "tensor     {} {} {:?}: {}",
                opening.name,
                opening.tensor.elem(),
                opening.tensor.shape(),
                numbers(opening.tensor.data())
            ));
        }
        if !self.closed.is_empty() {
            lines.push(format!("closed     {}", self.closed.join(", ")));
        }
        lines.push("Not proven:".to_owned());
        lines.extend(Self::not_proven().iter().map(|line| format!("  - {line}")));
        lines.join("\n")
    }
}

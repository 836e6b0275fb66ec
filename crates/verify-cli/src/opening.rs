//! Opening the commitments of a receipt: what its hidden inputs and outputs hold.

use std::path::{Path, PathBuf};

use clap::Args;
use proofmark_types::field::fr_to_hex;
use proofmark_types::manifest::Visibility;
use proofmark_types::receipt::{
    Envelope, MAX_ENVELOPE_BYTES, MAX_OPENINGS_BYTES, Opening, RecordValue, read_openings as parse,
};
use proofmark_verifier::{Rejection, check_openings};
use serde_json::{Value, json};

use crate::failure::{Exit, Failure};
use crate::files::read_bounded;
use crate::text::numbers;

/// Reads a file of openings, as `proofmark prove` and `infer` write it.
///
/// # Errors
/// `file-unreadable`, `file-too-large`, `openings-malformed`.
pub fn read_openings(path: &Path) -> Result<Vec<Opening>, Failure> {
    let bytes = read_bounded(path, MAX_OPENINGS_BYTES)?;
    parse(&bytes).map_err(|error| {
        let message = format!("{} is not a file of openings", path.display());
        let mut failure = Failure::usage(error.code(), message);
        failure.causes.push(error.to_string());
        failure.hint("give the file that `proofmark prove` or `infer` wrote beside the receipt")
    })
}

/// What opening a receipt takes.
#[derive(Debug, Clone, Args)]
pub struct OpenArgs {
    /// The receipt
    #[arg(long, value_name = "FILE")]
    pub receipt: PathBuf,
    /// Values, and salts of private tensors, as `proofmark prove` and `infer` write them
    #[arg(long, visible_alias = "openings", value_name = "FILE")]
    pub opening: PathBuf,
}

/// Commitments of a receipt that were opened. Neither its proof nor its package was looked at.
#[derive(Debug, Clone)]
pub struct Opened {
    envelope: Envelope,
    openings: Vec<Opening>,
    /// Hidden tensors without an opening.
    closed: Vec<String>,
}

/// Compares openings with the commitments of a receipt, whose form and signature are checked.
/// Whether the model computed anything is for `verify` to say.
///
/// # Errors
/// [`Failure`]: exit 1 for a receipt that is no receipt and for values that are not those behind
/// the commitments, 2 for a file that holds no openings, 3 for a file that cannot be read.
pub fn open(args: &OpenArgs) -> Result<Opened, Failure> {
    let bytes = read_bounded(&args.receipt, MAX_ENVELOPE_BYTES)?;
    let openings = read_openings(&args.opening)?;
    let envelope = Envelope::parse(&bytes).map_err(Rejection::from)?;
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
        let message = "the openings name public tensors only: nothing was hidden that they open";
        return Err(Failure::new(Exit::Rejected, "opening-mismatch", message));
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
                    "visibility": record.map(proofmark_types::receipt::TensorRecord::visibility),
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

#[cfg(test)]
mod tests {
    use proofmark_types::receipt::write_openings;
    use proofmark_types::{ElemType, IntTensor};

    use super::*;

    #[test]
    fn a_file_that_is_none_is_named_with_its_cause() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("openings.json");
        let opening = Opening {
            name: "x".to_owned(),
            tensor: IntTensor::new(ElemType::Int8, vec![2], vec![1, -1]).unwrap(),
            salt: None,
        };
        let bytes = write_openings(&[opening]).unwrap();
        std::fs::write(&path, &bytes).unwrap();
        assert_eq!(read_openings(&path).unwrap().len(), 1);
        std::fs::write(&path, &bytes[1..]).unwrap();
        let failure = read_openings(&path).unwrap_err();
        assert_eq!(failure.code, "openings-malformed");
        assert_eq!(failure.exit.code(), 2);
        assert_eq!(failure.causes.len(), 1);
    }
}

//! Openings against the commitments of a receipt.

use std::collections::BTreeSet;

use ark_ff::AdditiveGroup as _;
use proofmark_types::Fr;
use proofmark_types::manifest::Visibility;
use proofmark_types::receipt::{Envelope, Opening, Receipt, RecordValue};
use proofmark_types::statement::tensor_digest;

use crate::rejection::Rejection;

/// Compares openings with the receipt's commitments, public tensors with its values, and gives the
/// names of the tensors, in the order of the openings. Of a receipt that was not verified this says
/// what is committed to, not that any model computed it.
///
/// An envelope holds each tensor name once, whoever made it; a name that is opened twice is refused.
///
/// # Errors
/// [`Rejection::OpeningMismatch`] for the first opening that does not fit.
pub fn check_openings(envelope: &Envelope, openings: &[Opening]) -> Result<Vec<String>, Rejection> {
    let mut seen = BTreeSet::new();
    openings
        .iter()
        .map(|opening| {
            if !seen.insert(&opening.name) {
                return Err(Rejection::OpeningMismatch {
                    name: opening.name.clone(),
                    reason: "the tensor is opened twice",
                });
            }
            check_opening(envelope.receipt(), opening)
        })
        .collect()
}

fn check_opening(receipt: &Receipt, opening: &Opening) -> Result<String, Rejection> {
    let Opening { name, tensor, salt } = opening;
    let refuse = |reason| {
        Err(Rejection::OpeningMismatch {
            name: name.clone(),
            reason,
        })
    };
    let mut records = receipt.inputs.iter().chain(&receipt.outputs);
    let Some(record) = records.find(|r| r.name == *name) else {
        return refuse("the receipt has no tensor of this name");
    };
    if tensor.elem() != record.elem || tensor.shape() != record.shape {
        return refuse("the values are not of the declared type and shape");
    }
    let commitment = match (&record.value, salt) {
        (RecordValue::Public(values), None) if values == tensor => return Ok(name.clone()),
        (RecordValue::Public(_), None) => return refuse("the values are not those of the receipt"),
        (RecordValue::Hashed(commitment), None) | (RecordValue::Private(commitment), Some(_)) => {
            *commitment
        }
        (RecordValue::Private(_), None) => return refuse("a private tensor needs its salt"),
        (RecordValue::Public(_) | RecordValue::Hashed(_), Some(_)) => {
            return refuse("only a private tensor has a salt");
        }
    };
    if tensor_digest(tensor, salt.unwrap_or(Fr::ZERO)) != commitment {
        return refuse(match record.visibility() {
            Visibility::Private => "values and salt do not give the commitment",
            Visibility::Hashed | Visibility::Public => "the values do not give the commitment",
        });
    }
    Ok(name.clone())
}

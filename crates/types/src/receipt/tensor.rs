//! Inputs and outputs in a receipt: values where they are public, commitments where they are not.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use serde::{Deserialize, Serialize};

use super::error::ReceiptError;
use crate::digest::Digest;
use crate::field::{Fr, fr_from_hex, fr_to_bytes, fr_to_hex};
use crate::manifest::{MAX_ELEMENTS, MAX_RANK, Visibility};
use crate::statement::{LayoutTensor, PublicValue};
use crate::tensor::{ElemType, IntTensor, element_count};

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

    /// What the statement's layout needs to know of it.
    pub(super) fn slot(&self) -> LayoutTensor {
        LayoutTensor {
            name: self.name.clone(),
            elem: self.elem,
            shape: self.shape.clone(),
            visibility: self.visibility(),
        }
    }
}

/// Whether inputs and outputs may have this shape.
pub(super) fn is_tensor_shape(shape: &[usize]) -> bool {
    (1..=MAX_RANK).contains(&shape.len())
        && element_count(shape).is_ok_and(|n| (1..=MAX_ELEMENTS).contains(&n))
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct WireTensor {
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
    /// The record; its members must go together.
    pub(super) fn read(self) -> Result<TensorRecord, ReceiptError> {
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
        if !is_tensor_shape(&shape) {
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

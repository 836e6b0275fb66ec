//! What opens the commitments of hidden tensors: their values, and the salts of the private ones.
//!
//! It belongs to the owner of the values and stands in no receipt. The file is read strictly, each
//! tensor opened at most once: who reads "opened" must not read about another tensor than was
//! compared.

use std::collections::BTreeSet;
use std::fmt;

use serde::{Deserialize, Deserializer, Serialize};

use super::tensor::is_tensor_shape;
use crate::field::{Fr, fr_from_hex, fr_to_hex};
use crate::manifest::is_tensor_name;
use crate::tensor::{ElemType, IntTensor};

/// Value of the member `format`.
pub const OPENINGS_FORMAT: &str = "proofmark/openings/v1";
/// Largest file of openings that is read, in bytes.
pub const MAX_OPENINGS_BYTES: usize = 256 << 20;

/// The values behind a commitment.
#[derive(Clone, PartialEq, Eq)]
pub struct Opening {
    /// Name of the input or output.
    pub name: String,
    /// Its values.
    pub tensor: IntTensor,
    /// The salt of a private tensor; `None` for a hashed one.
    pub salt: Option<Fr>,
}

/// Values and salt are for their owner alone, not for whoever reads a log.
impl fmt::Debug for Opening {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Opening")
            .field("name", &self.name)
            .field("elem", &self.tensor.elem())
            .field("shape", &self.tensor.shape())
            .finish_non_exhaustive()
    }
}

/// Why some bytes are not a file of openings. The message never quotes the file.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum OpeningsError {
    /// Longer than [`MAX_OPENINGS_BYTES`].
    #[error("openings are {bytes} bytes, more than {MAX_OPENINGS_BYTES}")]
    TooLarge {
        /// Their length.
        bytes: usize,
    },
    /// Not JSON of the right members and types.
    #[error("openings are malformed at line {line}, column {column}")]
    Malformed {
        /// Where the parser stopped, from 1.
        line: usize,
        /// Where the parser stopped, from 1.
        column: usize,
    },
    /// Another format, or a later version of it.
    #[error("openings have another format than this software reads, {OPENINGS_FORMAT:?}")]
    Format,
    /// Nothing is opened.
    #[error("the list of openings is empty")]
    Empty,
    /// Values that are no tensor of the declared type and shape, or a salt that is none.
    #[error("opening {index}: {reason}")]
    Opening {
        /// Its position, from 0.
        index: usize,
        /// What is wrong with it.
        reason: &'static str,
    },
}

impl OpeningsError {
    /// Stable kebab-case code.
    pub const fn code(&self) -> &'static str {
        "openings-malformed"
    }
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct WireOpenings {
    format: String,
    openings: Vec<WireOpening>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct WireOpening {
    tensor: String,
    elem: ElemType,
    shape: Vec<usize>,
    values: Vec<i32>,
    /// Must be there, be it as `null`: a salt that someone forgot is no hashed tensor.
    #[serde(deserialize_with = "present")]
    salt: Option<String>,
}

fn present<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<String>, D::Error> {
    Option::deserialize(deserializer)
}

/// The text of a file of openings.
///
/// # Errors
/// None in practice; the encoder's error is passed on rather than hidden.
pub fn write_openings(openings: &[Opening]) -> Result<Vec<u8>, OpeningsError> {
    let entry = |opening: &Opening| WireOpening {
        tensor: opening.name.clone(),
        elem: opening.tensor.elem(),
        shape: opening.tensor.shape().to_vec(),
        values: opening.tensor.data().to_vec(),
        salt: opening.salt.as_ref().map(fr_to_hex),
    };
    let wire = WireOpenings {
        format: OPENINGS_FORMAT.to_owned(),
        openings: openings.iter().map(entry).collect(),
    };
    let mut bytes = serde_json::to_vec(&wire).map_err(|error| malformed(&error))?;
    bytes.push(b'\n');
    Ok(bytes)
}

/// Reads a file of openings, in any spelling of the JSON but with exactly the right members.
///
/// # Errors
/// [`OpeningsError`].
pub fn read_openings(bytes: &[u8]) -> Result<Vec<Opening>, OpeningsError> {
    if bytes.len() > MAX_OPENINGS_BYTES {
        return Err(OpeningsError::TooLarge { bytes: bytes.len() });
    }
    let wire: WireOpenings = serde_json::from_slice(bytes).map_err(|error| malformed(&error))?;
    if wire.format != OPENINGS_FORMAT {
        return Err(OpeningsError::Format);
    }
    if wire.openings.is_empty() {
        return Err(OpeningsError::Empty);
    }
    let mut seen = BTreeSet::new();
    let mut openings = Vec::with_capacity(wire.openings.len());
    for (index, entry) in wire.openings.into_iter().enumerate() {
        let refuse = |reason| OpeningsError::Opening { index, reason };
        if !seen.insert(entry.tensor.clone()) {
            return Err(refuse("the tensor is opened twice"));
        }
        if !is_tensor_name(&entry.tensor) || !is_tensor_shape(&entry.shape) {
            return Err(refuse("no tensor has this name or shape"));
        }
        let tensor = IntTensor::new(entry.elem, entry.shape, entry.values)
            .map_err(|_| refuse("the values are no tensor of this type and shape"))?;
        let salt = entry
            .salt
            .map(|text| fr_from_hex(&text))
            .transpose()
            .map_err(|_| refuse("the salt is not 0x and the 64 hex digits of a field element"))?;
        openings.push(Opening {
            name: entry.tensor,
            tensor,
            salt,
        });
    }
    Ok(openings)
}

/// Where the parser stopped, without its words: they may quote a value.
fn malformed(error: &serde_json::Error) -> OpeningsError {
    OpeningsError::Malformed {
        line: error.line(),
        column: error.column(),
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::openings as sample;
    use super::*;

    #[test]
    fn openings_there_and_back() {
        let bytes = write_openings(&sample()).unwrap();
        assert_eq!(read_openings(&bytes).unwrap(), sample());
        let pretty = serde_json::from_slice::<serde_json::Value>(&bytes).unwrap();
        let pretty = serde_json::to_vec_pretty(&pretty).unwrap();
        assert_eq!(read_openings(&pretty).unwrap(), sample());
    }

    #[test]
    fn what_is_no_file_of_openings() {
        let text = String::from_utf8(write_openings(&sample()).unwrap()).unwrap();
        for (from, to) in [
            ("-128", "-129"),
            ("[1,2]", "[1,3]"),
            ("[1,2]", "[-1,-2]"),
            ("int8", "int9"),
            ("\"salt\":null", "\"pepper\":null"),
            (",\"salt\":null", ""),
            ("\"salt\":null", "\"salt\":null,\"salt\":null"),
            ("-128", "1.5"),
            ("0x00", "0xff"),
            ("\"openings\"", "\"closings\""),
            ("openings/v1", "openings/v2"),
            ("\"tensor\":\"y\"", "\"tensor\":\"x\""),
            ("{\"format\"", "{\"more\":1,\"format\""),
        ] {
            let changed = text.replacen(from, to, 1);
            assert_ne!(changed, text, "{from}");
            let error = read_openings(changed.as_bytes()).unwrap_err();
            assert_eq!(error.code(), "openings-malformed", "{from} as {to}");
        }
        let empty = write_openings(&[]).unwrap();
        assert_eq!(read_openings(&empty), Err(OpeningsError::Empty));
    }

    /// Neither the debug form nor an error shows what is secret.
    #[test]
    fn secrets_are_not_shown() {
        let shown = format!("{:?}", sample());
        assert!(!shown.contains("128") && !shown.contains("salt"), "{shown}");
        let text = String::from_utf8(write_openings(&sample()).unwrap()).unwrap();
        for (from, to) in [("-128", "-987"), ("-128", "98765432109"), ("0x00", "0x987")] {
            let error = read_openings(text.replacen(from, to, 1).as_bytes()).unwrap_err();
            assert!(!format!("{error} {error:?}").contains("987"), "{error}");
        }
    }
}

//! The file that opens the commitments of hidden tensors: for their owner, never in a receipt.

use std::path::Path;

use proofmark_types::field::{fr_from_hex, fr_to_hex};
use proofmark_types::{ElemType, IntTensor};
use proofmark_verifier::Opening;
use serde_json::{Value, json};

use crate::failure::Failure;
use crate::files::read_bounded;

/// Largest file of openings that is read, in bytes.
pub const MAX_OPENINGS_BYTES: usize = 256 << 20;

/// Reads `{"openings": [{"tensor", "elem", "shape", "values", "salt"}, …]}`, as `proofmark prove
/// --openings` writes it.
///
/// # Errors
/// `file-unreadable`, `file-too-large`, `openings-malformed`.
pub fn read_openings(path: &Path) -> Result<Vec<Opening>, Failure> {
    let bytes = read_bounded(path, MAX_OPENINGS_BYTES)?;
    let malformed = || {
        let message = format!("{} is not a file of openings", path.display());
        Failure::usage("openings-malformed", message)
            .hint("give the file that `proofmark prove --openings FILE` or `infer` wrote")
    };
    let text: Value = serde_json::from_slice(&bytes).map_err(|_| malformed())?;
    text.get("openings")
        .and_then(Value::as_array)
        .and_then(|list| list.iter().map(opening).collect())
        .ok_or_else(malformed)
}

fn opening(value: &Value) -> Option<Opening> {
    let elem: ElemType = serde_json::from_value(value.get("elem")?.clone()).ok()?;
    let numbers = |name: &str| value.get(name)?.as_array().map(|list| list.iter());
    let shape = numbers("shape")?
        .map(|n| n.as_u64().and_then(|n| usize::try_from(n).ok()))
        .collect::<Option<Vec<_>>>()?;
    let values = numbers("values")?
        .map(|n| n.as_i64().and_then(|n| i32::try_from(n).ok()))
        .collect::<Option<Vec<_>>>()?;
    let salt = match value.get("salt")? {
        Value::Null => None,
        salt => Some(fr_from_hex(salt.as_str()?).ok()?),
    };
    Some(Opening {
        name: value.get("tensor")?.as_str()?.to_owned(),
        tensor: IntTensor::new(elem, shape, values).ok()?,
        salt,
    })
}

/// The text of a file of openings.
pub fn write_openings(openings: &[Opening]) -> String {
    let list: Vec<Value> = openings
        .iter()
        .map(|opening| {
            json!({
                "tensor": opening.name,
                "elem": opening.tensor.elem(),
                "shape": opening.tensor.shape(),
                "values": opening.tensor.data(),
                "salt": opening.salt.as_ref().map(fr_to_hex),
            })
        })
        .collect();
    let mut text = json!({ "openings": list }).to_string();
    text.push('\n');
    text
}

#[cfg(test)]
mod tests {
    use proofmark_types::Fr;

    use super::*;

    #[test]
    fn openings_there_and_back() {
        let tensor = IntTensor::new(ElemType::Int8, vec![1, 2], vec![-128, 5]).unwrap();
        let openings = vec![
            Opening {
                name: "x".to_owned(),
                tensor: tensor.clone(),
                salt: Some(Fr::from(7)),
            },
            Opening {
                name: "y".to_owned(),
                tensor,
                salt: None,
            },
        ];
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("openings.json");
        std::fs::write(&path, write_openings(&openings)).unwrap();
        assert_eq!(read_openings(&path).unwrap(), openings);
        let text = write_openings(&openings);
        for (from, to) in [
            ("-128", "-129"),
            ("[1,2]", "[1,3]"),
            ("int8", "int9"),
            ("\"salt\":null", "\"pepper\":null"),
            ("-128", "1.5"),
            ("0x00", "0xff"),
            ("openings", "closings"),
        ] {
            let changed = text.replacen(from, to, 1);
            assert_ne!(changed, text, "{from}");
            std::fs::write(&path, changed).unwrap();
            let error = read_openings(&path).unwrap_err();
            assert_eq!(error.code, "openings-malformed", "{from} as {to}");
        }
    }
}

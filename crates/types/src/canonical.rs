//! JSON with one byte form: compact, members in the order of declaration, none unknown, missing or
//! doubled. What is signed or digested is written and read here, so that nobody who reads it again
//! can see another content in the same bytes, or the same content in other bytes.

use serde::Serialize;
use serde::de::DeserializeOwned;

/// Why some bytes are not the one encoding of a value. Whoever reads them gives it a code.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum CanonicalError {
    /// Not JSON of the right members and types.
    #[error("is malformed: {reason}")]
    Malformed {
        /// The parser's words.
        reason: String,
    },
    /// Another spelling of a value than the one that is written.
    #[error("is not in its canonical encoding; pass it on byte for byte as it was received")]
    NotCanonical,
}

impl From<serde_json::Error> for CanonicalError {
    fn from(error: serde_json::Error) -> Self {
        let reason = error.to_string();
        Self::Malformed { reason }
    }
}

/// The one encoding of a value. Types that are written here declare their members in the order of
/// the format and have no maps.
///
/// # Errors
/// [`CanonicalError::Malformed`] for a value that refuses to be written.
pub fn encode<T: Serialize>(value: &T) -> Result<Vec<u8>, CanonicalError> {
    Ok(serde_json::to_vec(value)?)
}

/// Reads a value in its one encoding. Types that are read here refuse unknown members.
///
/// # Errors
/// [`CanonicalError`] for everything but the bytes that [`encode`] gives.
pub fn decode<T: Serialize + DeserializeOwned>(bytes: &[u8]) -> Result<T, CanonicalError> {
    let value: T = serde_json::from_slice(bytes)?;
    if encode(&value)? != bytes {
        return Err(CanonicalError::NotCanonical);
    }
    Ok(value)
}

#[cfg(test)]
mod tests {
    use serde::Deserialize;

    use super::*;

    #[derive(Debug, PartialEq, Serialize, Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Pair {
        b: u8,
        a: String,
    }

    #[test]
    fn a_value_has_one_spelling() {
        let pair = Pair {
            b: 7,
            a: "é\"".to_owned(),
        };
        let bytes = encode(&pair).unwrap();
        assert_eq!(bytes, "{\"b\":7,\"a\":\"é\\\"\"}".as_bytes());
        assert_eq!(decode::<Pair>(&bytes).unwrap(), pair);
        for other in [
            "{\"a\":\"é\\\"\",\"b\":7}",
            "{\"b\": 7,\"a\":\"é\\\"\"}",
            "{\"b\":7,\"a\":\"é\\\"\"}\n",
            "{\"b\":7,\"a\":\"\\u00e9\\\"\"}",
        ] {
            assert_eq!(
                decode::<Pair>(other.as_bytes()),
                Err(CanonicalError::NotCanonical),
                "{other}"
            );
        }
        for other in [
            "",
            "{\"b\":7}",
            "{\"b\":7,\"a\":\"\",\"c\":0}",
            "{\"b\":7,\"b\":7,\"a\":\"\"}",
            "{\"b\":7.0,\"a\":\"\"}",
            "{\"b\":7,\"a\":\"\"}}",
        ] {
            assert!(
                matches!(
                    decode::<Pair>(other.as_bytes()),
                    Err(CanonicalError::Malformed { .. })
                ),
                "{other}"
            );
        }
    }
}

//! Elements of the BN254 scalar field and their one encoding: 32 bytes big-endian, below the
//! field order r. A number that is not reduced is refused, never reduced: public inputs that are
//! equal modulo r would otherwise be different bytes for one statement.

pub use ark_bn254::Fr;
use ark_ff::{BigInt, BigInteger, PrimeField};

/// Bytes of an encoded field element.
pub const FR_BYTES: usize = 32;

/// A text or bytes that are not the one encoding of a field element.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum FieldError {
    /// The number is not below the field order.
    #[error("number is not below the BN254 scalar field order")]
    NotCanonical,
    /// The text is not `0x` and 64 lower-case hex digits.
    #[error("not 0x followed by 64 lower-case hex digits")]
    Hex,
}

impl FieldError {
    /// Stable kebab-case code.
    pub const fn code(&self) -> &'static str {
        "public-input-not-canonical"
    }
}

/// The 32 big-endian bytes of `x`.
pub fn fr_to_bytes(x: &Fr) -> [u8; FR_BYTES] {
    let mut bytes = [0; FR_BYTES];
    for (slot, byte) in bytes.iter_mut().zip(x.into_bigint().to_bytes_be()) {
        *slot = byte;
    }
    bytes
}

/// Reads 32 big-endian bytes.
///
/// # Errors
/// [`FieldError::NotCanonical`] for a number that is not below the field order.
pub fn fr_from_bytes(bytes: &[u8; FR_BYTES]) -> Result<Fr, FieldError> {
    let mut limbs = [0_u64; 4];
    for (limb, chunk) in limbs.iter_mut().rev().zip(bytes.chunks_exact(8)) {
        *limb = chunk.iter().fold(0, |n, &b| (n << 8) | u64::from(b));
    }
    Fr::from_bigint(BigInt::new(limbs)).ok_or(FieldError::NotCanonical)
}

/// `0x` and 64 lower-case hex digits.
pub fn fr_to_hex(x: &Fr) -> String {
    bytes_to_hex(&fr_to_bytes(x))
}

/// Reads `0x` and 64 lower-case hex digits.
///
/// # Errors
/// [`FieldError`] for any other text, and for a number that is not below the field order.
pub fn fr_from_hex(text: &str) -> Result<Fr, FieldError> {
    fr_from_bytes(&bytes_from_hex(text).ok_or(FieldError::Hex)?)
}

/// `0x` and lower-case hex digits.
pub(crate) fn bytes_to_hex(bytes: &[u8]) -> String {
    format!("0x{}", hex::encode(bytes))
}

/// Reads `0x` and exactly `2 · N` lower-case hex digits.
pub(crate) fn bytes_from_hex<const N: usize>(text: &str) -> Option<[u8; N]> {
    let digits = text.strip_prefix("0x")?;
    if digits.bytes().any(|b| b.is_ascii_uppercase()) {
        return None;
    }
    let mut bytes = [0; N];
    hex::decode_to_slice(digits, &mut bytes).ok()?;
    Some(bytes)
}

/// Fixed-length bytes as `0x` and lower-case hex digits in JSON.
pub(crate) mod hex_bytes {
    use serde::{Deserialize, Deserializer, Serializer, de::Error as _};

    pub(crate) fn serialize<S: Serializer, const N: usize>(
        bytes: &[u8; N],
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&super::bytes_to_hex(bytes))
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>, const N: usize>(
        deserializer: D,
    ) -> Result<[u8; N], D::Error> {
        let text = String::deserialize(deserializer)?;
        super::bytes_from_hex(&text)
            .ok_or_else(|| D::Error::custom(format_args!("not 0x and {N} bytes in lower-case hex")))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// r, from EIP-197.
    const ORDER: &str = "0x30644e72e131a029b85045b68181585d2833e84879b9709143e1f593f0000001";

    #[test]
    fn one_encoding_each() {
        for x in [Fr::from(0), Fr::from(1), Fr::from(-1), Fr::from(u64::MAX)] {
            assert_eq!(fr_from_bytes(&fr_to_bytes(&x)), Ok(x));
            assert_eq!(fr_from_hex(&fr_to_hex(&x)), Ok(x));
        }
        assert_eq!(fr_to_bytes(&Fr::from(258))[30..], [1, 2]);
    }

    #[test]
    fn refuses_the_order_and_above() {
        let order: [u8; 32] = bytes_from_hex(ORDER).unwrap();
        assert_eq!(fr_from_bytes(&order), Err(FieldError::NotCanonical));
        assert_eq!(fr_from_bytes(&[0xff; 32]), Err(FieldError::NotCanonical));
        let mut below = order;
        below[31] = 0;
        assert_eq!(fr_from_bytes(&below), Ok(Fr::from(-1)));
        for text in [
            "",
            "0x",
            "00",
            &ORDER[2..],
            &ORDER.to_uppercase(),
            &format!("{ORDER}0"),
        ] {
            assert_eq!(fr_from_hex(text), Err(FieldError::Hex), "{text}");
        }
    }
}

//! Bytes as `0x` and hex digits.

/// `0x` and lower-case hex digits.
pub fn bytes_to_hex(bytes: &[u8]) -> String {
    let mut text = String::new();
    text.push_str("0x");
    for byte in bytes {
        for nibble in [byte >> 4, byte & 15] {
            text.extend(char::from_digit(nibble.into(), 16));
        }
    }
    text
}

/// Reads exactly `N` bytes: `0x`, then hex digits of either case.
pub fn bytes_from_hex<const N: usize>(text: &str) -> Option<[u8; N]> {
    let digits = text.strip_prefix("0x")?.as_bytes();
    let mut bytes = [0; N];
    if digits.len() != N.saturating_mul(2) {
        return None;
    }
    let (pairs, _) = digits.as_chunks::<2>();
    for (slot, pair) in bytes.iter_mut().zip(pairs) {
        *slot = byte(*pair)?;
    }
    Some(bytes)
}

/// One byte from its two digits.
pub(crate) fn byte([high, low]: [u8; 2]) -> Option<u8> {
    Some(digit(high)? << 4 | digit(low)?)
}

fn digit(byte: u8) -> Option<u8> {
    char::from(byte)
        .to_digit(16)
        .and_then(|digit| u8::try_from(digit).ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn there_and_back() {
        let bytes = [0x00, 0x7f, 0xab];
        assert_eq!(bytes_to_hex(&bytes), "0x007fab");
        assert_eq!(bytes_from_hex("0x007fAB"), Some(bytes));
        for bad in ["007fab", "0x007f", "0x007fab0", "0x007fag", "0x+07fab", ""] {
            assert_eq!(bytes_from_hex::<3>(bad), None, "{bad}");
        }
    }
}

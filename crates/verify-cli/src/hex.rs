//! Bytes as `0x` and hex digits.

/// `0x` and lower-case hex digits.
pub fn bytes_to_hex(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(2 + 2 * bytes.len());
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
    if digits.len() != 2 * N {
        return None;
    }
    for (byte, pair) in bytes.iter_mut().zip(digits.chunks_exact(2)) {
        let &[high, low] = pair else { return None };
        *byte = digit(high)? << 4 | digit(low)?;
    }
    Some(bytes)
}

const fn digit(byte: u8) -> Option<u8> {
    match byte {
        b'0'..=b'9' => Some(byte - b'0'),
        b'a'..=b'f' => Some(byte - b'a' + 10),
        b'A'..=b'F' => Some(byte - b'A' + 10),
        _ => None,
    }
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

//! The spellings that all formats share: decimal numbers, base64, lines.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

/// A decimal number without sign and leading zeroes.
pub(crate) fn decimal(text: &str) -> Option<u64> {
    let plain = !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
    let leading = text.len() > 1 && text.starts_with('0');
    if plain && !leading {
        text.parse().ok()
    } else {
        None
    }
}

/// Base64 of RFC 4648 section 4 with padding.
pub(crate) fn to_base64(bytes: &[u8]) -> String {
    STANDARD.encode(bytes)
}

/// The bytes of canonical base64: padding and no stray bits.
pub(crate) fn from_base64(text: &str) -> Option<Vec<u8>> {
    STANDARD.decode(text).ok()
}

/// Text in front of the first empty line (with its line feed) and what follows the empty line.
/// Without any line in front the text starts with the empty line itself.
pub(crate) fn split_at_empty_line(text: &str) -> Option<(&str, &str)> {
    if let Some(rest) = text.strip_prefix('\n') {
        return Some(("", rest));
    }
    let at = text.find("\n\n")?;
    let front = text.get(..at.checked_add(1)?)?;
    let rest = text.get(at.checked_add(2)?..)?;
    Some((front, rest))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_have_one_spelling() {
        assert_eq!(decimal("0"), Some(0));
        assert_eq!(decimal("18446744073709551615"), Some(u64::MAX));
        for bad in [
            "",
            "00",
            "01",
            "+1",
            "-1",
            " 1",
            "1 ",
            "1\n",
            "18446744073709551616",
            "١",
        ] {
            assert_eq!(decimal(bad), None, "{bad:?}");
        }
    }

    #[test]
    fn base64_has_one_spelling() {
        assert_eq!(from_base64("AA=="), Some(vec![0]));
        for bad in ["AA", "AB==", "AA==\n", "A A=", "AA=", "_w=="] {
            assert_eq!(from_base64(bad), None, "{bad:?}");
        }
    }

    #[test]
    fn texts_part_at_the_first_empty_line() {
        assert_eq!(
            split_at_empty_line("a\nb\n\nc\n\nd"),
            Some(("a\nb\n", "c\n\nd"))
        );
        assert_eq!(split_at_empty_line("\nc"), Some(("", "c")));
        assert_eq!(split_at_empty_line("a\nb\n"), None);
    }
}

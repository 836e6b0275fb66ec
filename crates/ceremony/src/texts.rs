//! What contributors call themselves and say, which ends on other people's terminals.

/// Whether a text cannot steer a terminal, or show itself in another order than it is stored: without
/// control characters (but for line ends, where there may be `lines`) and marks of direction.
pub(crate) fn is_printable(text: &str, lines: bool) -> bool {
    !text.chars().any(|c| steers(c) && !(lines && c == '\n'))
}

/// The text without such characters: of files whose makers knew no such rule.
pub(crate) fn printable(text: &str) -> String {
    text.chars().filter(|c| !steers(*c)).collect()
}

fn steers(c: char) -> bool {
    let direction = matches!(
        c,
        '\u{061c}' | '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}'
    );
    c.is_control() || direction
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_steers_the_reader() {
        for text in ["", "Ada", "Grace Hopper, \u{5d0}\u{5d1}", "\u{1f389}"] {
            assert!(is_printable(text, false), "{text}");
            assert_eq!(printable(text), text);
        }
        for (text, rest) in [
            ("a\u{1b}[2J", "a[2J"),
            ("a\u{9b}2J", "a2J"),
            ("\u{202e}b", "b"),
            ("\u{2066}c\u{2069}", "c"),
            ("d\u{2028}e", "de"),
            ("f\rg", "fg"),
        ] {
            assert!(!is_printable(text, true), "{text:?}");
            assert_eq!(printable(text), rest);
        }
        assert!(is_printable("one\ntwo", true));
        assert!(!is_printable("one\ntwo", false));
    }
}

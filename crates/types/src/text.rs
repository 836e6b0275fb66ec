//! Text of others, shown to people.

/// The text with what could steer a terminal or reorder it replaced: control characters but the
/// line feed, and the characters that override the direction of writing. Names in a model and the
/// words of a service are chosen by others.
pub fn printable(text: &str) -> String {
    let replace = |c: char| match c {
        '\n' => c,
        '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' => char::REPLACEMENT_CHARACTER,
        c if c.is_control() => char::REPLACEMENT_CHARACTER,
        c => c,
    };
    text.chars().map(replace).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_steers_a_terminal_is_replaced() {
        let plain = "µs … 3 %\nnext";
        assert_eq!(printable(plain), plain);
        for steering in ["\u{1b}[2J", "a\rb", "a\u{202e}b", "a\u{9b}1m", "a\u{7}"] {
            let shown = printable(steering);
            assert!(shown.contains(char::REPLACEMENT_CHARACTER), "{steering:?}");
            assert!(!shown.chars().any(char::is_control), "{steering:?}");
        }
    }
}

//! Leaves of a compact JSON text with their places, so that a test can change one and leave every
//! other byte as it is.

use core::ops::Range;

/// A string, number or literal.
#[derive(Debug, Clone)]
pub(crate) struct Leaf {
    /// JSON pointer, as `/predicate/inputs/0/name`.
    pub(crate) path: String,
    /// Where it stands, quotes included.
    pub(crate) span: Range<usize>,
}

pub(crate) fn leaves(text: &str) -> Vec<Leaf> {
    let mut found = Vec::new();
    let end = value(text.as_bytes(), 0, "", &mut found);
    assert_eq!(end, text.len(), "text after the value");
    found
}

fn value(text: &[u8], start: usize, path: &str, found: &mut Vec<Leaf>) -> usize {
    let mut at = start;
    match text[at] {
        b'{' => {
            while text[at] != b'}' {
                let key_end = string_end(text, at + 1);
                let key = core::str::from_utf8(&text[at + 2..key_end - 1]).unwrap();
                assert_eq!(text[key_end], b':');
                at = value(text, key_end + 1, &format!("{path}/{key}"), found);
            }
            at + 1
        }
        b'[' => {
            let mut index = 0;
            while text[at] != b']' {
                at = value(text, at + 1, &format!("{path}/{index}"), found);
                index += 1;
            }
            at + 1
        }
        b'"' => {
            let end = string_end(text, at);
            found.push(Leaf {
                path: path.to_owned(),
                span: at..end,
            });
            end
        }
        _ => {
            while !matches!(text[at], b',' | b'}' | b']') {
                at += 1;
            }
            found.push(Leaf {
                path: path.to_owned(),
                span: start..at,
            });
            at
        }
    }
}

fn string_end(text: &[u8], start: usize) -> usize {
    assert_eq!(text[start], b'"');
    let mut at = start + 1;
    while text[at] != b'"' {
        at += if text[at] == b'\\' { 2 } else { 1 };
    }
    at + 1
}

/// The text with one leaf replaced.
pub(crate) fn with(text: &str, leaf: &Leaf, replacement: &str) -> String {
    let mut changed = text.to_owned();
    changed.replace_range(leaf.span.clone(), replacement);
    changed
}

#[test]
fn finds_every_leaf() {
    let text = r#"{"a":[{"b":"x\"y"},-1.5],"c":{"d":true,"e":[1,2]}}"#;
    let found: Vec<_> = leaves(text)
        .into_iter()
        .map(|l| format!("{}={}", l.path, &text[l.span]))
        .collect();
    assert_eq!(
        found,
        [
            "/a/0/b=\"x\\\"y\"",
            "/a/1=-1.5",
            "/c/d=true",
            "/c/e/0=1",
            "/c/e/1=2"
        ]
    );
}

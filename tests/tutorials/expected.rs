//! What a tutorial shows against what was printed: `…` stands for anything within a line, and alone on a
//! line for any lines.

const ANY: char = '…';

/// Compares line by line.
///
/// # Errors
/// The first line that was shown and not printed, or the first that was printed and not shown.
pub(crate) fn compare(shown: &str, printed: &str) -> Result<(), String> {
    let shown: Vec<&str> = shown.lines().map(str::trim_end).collect();
    let printed: Vec<&str> = printed.lines().map(str::trim_end).collect();
    if fits_all(&shown, &printed) {
        return Ok(());
    }
    let most = (0..=shown.len())
        .rev()
        .find(|count| (0..=printed.len()).any(|end| fits_all(&shown[..*count], &printed[..end])))
        .unwrap_or_default();
    Err(match shown.get(most) {
        Some(line) => format!("it was not printed, where it was to be: {line}"),
        None => "more was printed than is shown".to_owned(),
    })
}

fn fits_all(shown: &[&str], printed: &[&str]) -> bool {
    let Some((first, rest)) = shown.split_first() else {
        return printed.is_empty();
    };
    if first.trim() == ANY.to_string() {
        return (0..=printed.len()).any(|skip| fits_all(rest, &printed[skip..]));
    }
    match printed.split_first() {
        Some((line, others)) => fits(first, line) && fits_all(rest, others),
        None => false,
    }
}

fn fits(shown: &str, line: &str) -> bool {
    let mut parts = shown.split(ANY);
    let Some(mut rest) = parts.next().and_then(|start| line.strip_prefix(start)) else {
        return false;
    };
    let mut parts: Vec<&str> = parts.collect();
    let Some(last) = parts.pop() else {
        return rest.is_empty();
    };
    for part in parts {
        match rest.find(part) {
            Some(at) => rest = &rest[at + part.len()..],
            None => return false,
        }
    }
    rest.ends_with(last)
}

#[test]
fn dots_stand_for_anything_and_nothing_else_does() {
    for (shown, printed) in [
        ("", ""),
        ("a\n", "a"),
        ("a…c\n", "a b c\n"),
        ("…\nb\n", "a\na\nb\n"),
        ("…\nb\n", "b\n"),
        ("a\n…\n", "a\nb\nc\n"),
        ("…a…b\n", "xaabb\n"),
    ] {
        assert_eq!(compare(shown, printed), Ok(()), "{shown:?}");
    }
    for (shown, printed) in [
        ("", "a"),
        ("a", ""),
        ("a\n", "a\nb\n"),
        ("a…c\n", "ab\n"),
        ("…\nb\n", "a\nb\nc\n"),
        ("a\n…\nb\n", "b\na\n"),
        ("ab…ba\n", "aba\n"),
    ] {
        assert!(compare(shown, printed).is_err(), "{shown:?}");
    }
    let two = compare("a\nb\n", "a\nc\n").unwrap_err();
    assert!(two.ends_with(": b"), "{two}");
}

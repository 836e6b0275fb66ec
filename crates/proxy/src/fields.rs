//! Header fields that say what was checked, as structured fields (RFC 9651).

use proofmark_recipient::{Check, Verified};

/// The field's name.
pub(crate) const PROOFMARK_VERIFIED: &str = "proofmark-verified";

/// The value of `Proofmark-Verified`: a dictionary of what the answer was verified against, which
/// checks were made, which were not, and who was asked.
pub(crate) fn verified(verified: &Verified, provider: &str) -> String {
    let verdict = &verified.verdict;
    // `sha256:` and hex digits are a token.
    let mut members = vec![
        format!("package={}", verified.package),
        format!("receipt={}", verdict.receipt_id),
        format!("statement={}", verdict.statement_digest),
        format!("provider={}", string(provider)),
    ];
    if let Some(logged) = &verified.logged {
        members.push(format!(
            "log={};index={};size={}",
            string(&logged.origin),
            logged.index,
            logged.size
        ));
        let names: Vec<String> = logged
            .cosignatures
            .iter()
            .map(|cosignature| string(&cosignature.witness))
            .collect();
        members.push(format!("witnesses=({})", names.join(" ")));
    }
    let auditors: Vec<String> = verified
        .attestations
        .iter()
        .map(|attestation| attestation.key_id().to_string())
        .collect();
    if !auditors.is_empty() {
        members.push(format!("auditors=({})", auditors.join(" ")));
    }
    let named = |made: bool| {
        let checks = Check::ALL.iter().copied();
        let names: Vec<_> = checks
            .filter(|check| verified.made(*check) == made)
            .map(Check::name)
            .collect();
        names.join(" ")
    };
    members.push(format!("checked=({})", named(true)));
    members.push(format!("not-checked=({})", named(false)));
    members.join(", ")
}

/// A string, or a display string for what is not printable ASCII.
fn string(text: &str) -> String {
    let mut out = String::new();
    if text.bytes().all(|b| (0x20..0x7f).contains(&b)) {
        out.push('"');
        for c in text.chars() {
            if matches!(c, '"' | '\\') {
                out.push('\\');
            }
            out.push(c);
        }
    } else {
        out.push_str("%\"");
        for byte in text.bytes() {
            match byte {
                b'%' | b'"' | ..0x20 | 0x7f.. => out.push_str(&format!("%{byte:02x}")),
                _ => out.push(char::from(byte)),
            }
        }
    }
    out.push('"');
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn strings_of_rfc_9651() {
        assert_eq!(string("http://a:1"), "\"http://a:1\"");
        assert_eq!(string("a\"b\\"), "\"a\\\"b\\\\\"");
        assert_eq!(string("füü"), "%\"f%c3%bc%c3%bc\"");
        assert_eq!(string("%\"\n"), "%\"%25%22%0a\"");
    }
}

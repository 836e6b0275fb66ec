//! Nothing in a receipt can be changed unnoticed: the tamper manifest ([`manifest`]) is walked over
//! receipts of every backend and visibility, leaf by leaf, and [`bytes`] changes every byte.

mod bytes;
mod cases;
mod changes;
mod document;
mod manifest;

use std::collections::BTreeSet;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use proofmark_types::manifest::Visibility;
use proofmark_types::receipt::PAYLOAD_TYPE;
use proofmark_types::{Digest, Envelope};
use proofmark_verifier::SignatureVerdict;

use crate::fixture::{attacker_key, code};
use crate::json::{Leaf, leaves, with};
use crate::tamper::cases::{Case, all, payload_of, signed, wrap};
use crate::tamper::manifest::{Fate, Of, Place, ROWS, Row};

/// Codes of values that are not even well-formed.
const MALFORMED: &[&str] = &[
    "receipt-malformed",
    "receipt-not-canonical",
    "receipt-unsupported",
    "receipt-tensor-invalid",
    "receipt-subject-mismatch",
];

/// Whether a pointer is one of those that a pattern stands for.
fn fits(pattern: &str, pointer: &str) -> bool {
    let (pattern, pointer) = (pattern.split('/'), pointer.split('/'));
    pattern.clone().count() == pointer.clone().count()
        && pattern.zip(pointer).all(|(pattern, segment)| {
            pattern == segment || (pattern == "*" && segment.parse::<usize>().is_ok())
        })
}

/// Where a leaf stands, when it is one of a tensor.
fn place(pointer: &str) -> Place {
    let numbers: Vec<usize> = pointer.split('/').filter_map(|s| s.parse().ok()).collect();
    Place {
        output: pointer.starts_with("/predicate/outputs/"),
        tensor: numbers.first().copied().unwrap_or_default(),
        dimension: numbers.get(1).copied().unwrap_or_default(),
    }
}

/// Which tensors' leaf this is.
fn of(case: &Case, pointer: &str) -> Of {
    let at = place(pointer);
    let record = if at.output {
        &case.receipt.outputs[at.tensor]
    } else if pointer.starts_with("/predicate/inputs/") {
        &case.receipt.inputs[at.tensor]
    } else {
        return Of::Any;
    };
    match (record.visibility(), at.output) {
        (Visibility::Public, _) => Of::Public,
        (Visibility::Hashed | Visibility::Private, false) => Of::HiddenInput,
        (Visibility::Hashed | Visibility::Private, true) => Of::HiddenOutput,
    }
}

/// The one row of a leaf.
fn row(case: &Case, leaf: &Leaf) -> &'static Row {
    let of = of(case, &leaf.path);
    let mut rows = ROWS
        .iter()
        .filter(|row| row.of == of && fits(row.leaf, &leaf.path));
    let (found, more) = (rows.next(), rows.next());
    assert!(more.is_none(), "{} has two rows", leaf.path);
    found.unwrap_or_else(|| {
        panic!(
            "{} ({of:?}) has no row in the tamper manifest: add one",
            leaf.path
        )
    })
}

#[test]
fn every_leaf_of_every_receipt_has_a_row_and_every_row_a_leaf() {
    let mut met = BTreeSet::new();
    for case in all() {
        for leaf in leaves(&case.payload()) {
            let row = row(case, &leaf);
            met.insert((row.leaf, row.of.words()));
        }
    }
    let listed: BTreeSet<_> = ROWS.iter().map(|row| (row.leaf, row.of.words())).collect();
    assert_eq!(met, listed);
    assert_eq!(listed.len(), ROWS.len());
}

/// A claim is accepted as one of nobody known, and refused by whoever expects the service.
#[track_caller]
fn is_a_claim(case: &Case, envelope: &[u8]) {
    let verdict = case.verify(envelope).unwrap();
    assert!(matches!(
        verdict.signature,
        SignatureVerdict::ValidUnpinned { .. }
    ));
    assert_eq!(
        code(case.verify_expecting_service(envelope)),
        "signer-mismatch"
    );
}

#[test]
fn every_leaf_changed_under_the_services_signature() {
    for case in all() {
        let text = case.payload();
        assert_eq!(case.kept(&text), case.envelope);
        for leaf in leaves(&text) {
            let row = row(case, &leaf);
            let old = &text[leaf.span.clone()];
            let other = (row.other)(case, old);
            assert_ne!(other, old, "{}", leaf.path);
            let changed = case.kept(&with(&text, &leaf, &other));
            assert_eq!(
                code(case.verify(&changed)),
                row.kept,
                "{}: {}",
                case.name,
                leaf.path
            );
        }
    }
}

#[test]
fn every_leaf_changed_alone_and_signed_by_a_stranger() {
    for case in all() {
        let honest = case.resigned(|_| {});
        let text = payload_of(&honest);
        assert_eq!(signed(PAYLOAD_TYPE, &text, &attacker_key()), honest);
        is_a_claim(case, &honest);
        for leaf in leaves(&text) {
            let row = row(case, &leaf);
            let other = (row.other)(case, &text[leaf.span.clone()]);
            let changed = with(&text, &leaf, &other);
            let changed = signed(PAYLOAD_TYPE, &changed, &attacker_key());
            match row.resigned {
                Fate::Rejected(want) => {
                    assert_eq!(
                        code(case.verify(&changed)),
                        want,
                        "{}: {}",
                        case.name,
                        leaf.path
                    );
                }
                Fate::Claim => is_a_claim(case, &changed),
                Fate::None => panic!("{} can be changed alone", leaf.path),
            }
        }
    }
}

#[test]
fn every_leaf_changed_consistently_and_signed_by_a_stranger() {
    for case in all() {
        for leaf in leaves(&case.payload()) {
            let row = row(case, &leaf);
            let changed = case.resigned(|receipt| (row.change)(case, receipt, place(&leaf.path)));
            let honest = changed == case.resigned(|_| {});
            match row.consistent {
                Fate::Rejected(want) => {
                    assert!(!honest, "{}: {} is unchanged", case.name, leaf.path);
                    assert_eq!(
                        code(case.verify(&changed)),
                        want,
                        "{}: {}",
                        case.name,
                        leaf.path
                    );
                }
                Fate::Claim => {
                    assert!(!honest, "{}: {} is unchanged", case.name, leaf.path);
                    is_a_claim(case, &changed);
                }
                Fate::None => assert!(honest, "{} is listed as without such a change", leaf.path),
            }
        }
    }
}

/// Spoilt versions of a leaf, none equal to it.
fn spoil(value: &str) -> Vec<String> {
    let mut all = vec![
        "null".to_owned(),
        "true".to_owned(),
        "[]".to_owned(),
        "{}".to_owned(),
    ];
    if let Some(inner) = value.strip_prefix('"').and_then(|v| v.strip_suffix('"')) {
        all.extend(["0".to_owned(), "\"\"".to_owned()]);
        let mut chars: Vec<char> = inner.chars().collect();
        all.push(format!("\"{inner}0\""));
        all.push(format!("\" {inner}\""));
        all.push(format!("\"{inner}\\u0000\""));
        chars.pop();
        all.push(format!("\"{}\"", chars.into_iter().collect::<String>()));
        all.push(format!(
            "\"\\u{:04x}{}\"",
            u32::from(inner.chars().next().unwrap()),
            &inner[1..]
        ));
        if inner.to_uppercase() != inner {
            all.push(format!("\"{}\"", inner.to_uppercase()));
        }
    } else {
        all.extend([
            format!("\"{value}\""),
            format!("-{value}"),
            format!("{value}.0"),
            format!("{value}e0"),
            format!("0{value}"),
            "18446744073709551616".to_owned(),
            "9007199254740993".to_owned(),
        ]);
    }
    all.retain(|v| v != value);
    all
}

#[test]
fn every_leaf_spoilt_and_signed_by_a_stranger() {
    let mut cases = 0;
    for case in all() {
        let text = payload_of(&case.resigned(|_| {}));
        for leaf in leaves(&text) {
            let row = row(case, &leaf);
            for bad in spoil(&text[leaf.span.clone()]) {
                let changed = with(&text, &leaf, &bad);
                let changed = signed(PAYLOAD_TYPE, &changed, &attacker_key());
                cases += 1;
                match (case.verify(&changed), row.resigned) {
                    (Ok(verdict), Fate::Claim) => assert!(matches!(
                        verdict.signature,
                        SignatureVerdict::ValidUnpinned { .. }
                    )),
                    (Ok(_), Fate::Rejected(_) | Fate::None) => {
                        panic!("{} accepted as {bad}", leaf.path)
                    }
                    (Err(rejection), fate) => {
                        let got = code(Err::<(), _>(rejection));
                        assert!(
                            fate == Fate::Rejected(got)
                                || MALFORMED.contains(&got)
                                || got == "tensor-mismatch"
                                || (got == "proof-malformed" && leaf.path == "/predicate/proof"),
                            "{}: {} as {bad}: {got}",
                            case.name,
                            leaf.path
                        );
                    }
                }
            }
        }
    }
    assert!(cases > 10_000, "{cases}");
}

/// The envelope's own leaves: another value alone, and whatever else would have to follow.
#[test]
fn every_leaf_of_the_envelope() {
    for case in all() {
        let text = core::str::from_utf8(&case.envelope).unwrap();
        let payload = case.payload();
        let stranger = payload_of(&case.resigned(|_| {}));
        let found: Vec<String> = leaves(text).into_iter().map(|leaf| leaf.path).collect();
        let listed: Vec<&str> = document::ENVELOPE.iter().map(|row| row.leaf).collect();
        assert_eq!(found, listed);
        let quoted = |text: String| format!("\"{text}\"");
        for leaf in leaves(text) {
            let row = document::ENVELOPE
                .iter()
                .find(|row| row.leaf == leaf.path)
                .unwrap();
            let (other, resigned) = match leaf.path.as_str() {
                "/payload" => (
                    quoted(BASE64.encode(&stranger)),
                    signed(PAYLOAD_TYPE, &stranger, &attacker_key()),
                ),
                "/payloadType" => (
                    quoted("application/json".to_owned()),
                    signed("application/json", &stranger, &attacker_key()),
                ),
                "/signatures/0/keyid" => (quoted(Digest::of(b"other").to_hex()), {
                    let key = Digest::of(b"other").to_hex();
                    let honest: serde_json::Value =
                        serde_json::from_slice(&signed(PAYLOAD_TYPE, &stranger, &attacker_key()))
                            .unwrap();
                    let signature = honest["signatures"][0]["sig"].as_str().unwrap();
                    wrap(PAYLOAD_TYPE, &stranger, &key, signature)
                }),
                "/signatures/0/sig" => {
                    let theirs: serde_json::Value =
                        serde_json::from_slice(&signed(PAYLOAD_TYPE, &payload, &attacker_key()))
                            .unwrap();
                    let signature = theirs["signatures"][0]["sig"].as_str().unwrap().to_owned();
                    let keyid = Envelope::parse(&case.envelope).unwrap().key_id().to_hex();
                    let envelope = wrap(PAYLOAD_TYPE, &payload, &keyid, &signature);
                    (quoted(BASE64.encode([0; 64])), envelope)
                }
                path => panic!("{path} has no row: add one"),
            };
            let kept = with(text, &leaf, &other);
            assert_eq!(
                code(case.verify(kept.as_bytes())),
                row.kept,
                "{}",
                leaf.path
            );
            match row.resigned {
                Fate::Rejected(want) => {
                    assert_eq!(code(case.verify(&resigned)), want, "{}", leaf.path);
                }
                Fate::Claim => is_a_claim(case, &resigned),
                Fate::None => panic!("{} can be signed again", leaf.path),
            }
            for bad in spoil(&text[leaf.span.clone()]) {
                let got = code(case.verify(with(text, &leaf, &bad).as_bytes()));
                assert!(
                    got == row.kept || MALFORMED.contains(&got),
                    "{} as {bad}: {got}",
                    leaf.path
                );
            }
        }
    }
}

#[test]
fn members_added_removed_and_doubled() {
    let key = attacker_key();
    for case in all() {
        let text = payload_of(&case.resigned(|_| {}));
        let refused = |text: &str| code(case.verify(&signed(PAYLOAD_TYPE, text, &key)));
        let mut objects = 0;
        for (at, _) in text.match_indices("{\"") {
            let added = format!("{}{{\"x\":0,{}", &text[..at], &text[at + 1..]);
            assert_eq!(refused(&added), "receipt-malformed", "{added}");
            objects += 1;
        }
        assert!(objects > 10);
        for leaf in leaves(&text) {
            let Some(start) = text[..leaf.span.start]
                .rfind('"')
                .and_then(|quote| text[..quote].rfind('"'))
            else {
                panic!("{} has no name", leaf.path)
            };
            if leaf
                .path
                .rsplit('/')
                .next()
                .is_some_and(|s| s.parse::<usize>().is_ok())
            {
                continue;
            }
            let end = leaf.span.end;
            let member = &text[start..end];
            let doubled = format!("{}{member},{}", &text[..start], &text[start..]);
            assert_eq!(refused(&doubled), "receipt-malformed", "{doubled}");
            // With the comma behind it, or the one before the last member.
            let removed = if text.as_bytes()[end] == b',' {
                format!("{}{}", &text[..start], &text[end + 1..])
            } else {
                let before = text[..start].trim_end_matches(',');
                format!("{before}{}", &text[end..])
            };
            let got = refused(&removed);
            assert!(
                ["receipt-malformed", "receipt-tensor-invalid"].contains(&got),
                "{removed}"
            );
        }
    }
}

//! Every single byte of a receipt of each backend: changed, removed, doubled, put in, swapped.

use core::ops::Range;

use proofmark_types::receipt::PAYLOAD_TYPE;
use proofmark_verifier::Rejection;

use crate::fixture::{attacker_key, code};
use crate::json::leaves;
use crate::tamper::cases::{Case, payload_of, real, signed};
use crate::tamper::manifest::Fate;
use crate::tamper::row;

/// What is put in at each place: what JSON, hex and base64 treat each in its own way.
const PUT_IN: &[u8] = b"\0\t\n \"\\/+-.0=Aaz,:{}[]\x7f\x80\xff";

/// Rejected, and before the proof was looked at: the form or the signature notices.
#[track_caller]
fn cheaply_refused(case: &Case, envelope: &[u8], what: &str) {
    match case.verify(envelope) {
        Ok(_) => panic!("{}: accepted with {what}", case.name),
        Err(Rejection::ProofInvalid | Rejection::ProofMalformed { .. }) => {
            panic!("{}: {what} came as far as the proof", case.name)
        }
        Err(rejection) => drop(code(Err::<(), _>(rejection))),
    }
}

/// Whoever holds a receipt but not the service's key: every byte to every other value.
#[test]
fn every_byte_of_the_envelope_to_every_value() {
    for case in real() {
        let mut bytes = case.envelope.clone();
        for at in 0..bytes.len() {
            let old = bytes[at];
            for new in (0..=u8::MAX).filter(|new| *new != old) {
                bytes[at] = new;
                cheaply_refused(case, &bytes, &format!("byte {at} as {new:#04x}"));
            }
            bytes[at] = old;
        }
        assert_eq!(bytes, case.envelope);
    }
}

#[test]
fn every_byte_of_the_envelope_removed_doubled_swapped_and_every_length() {
    for case in real() {
        let whole = &case.envelope;
        for at in 0..=whole.len() {
            for new in PUT_IN.iter().chain(whole.get(at)) {
                let mut longer = whole.clone();
                longer.insert(at, *new);
                cheaply_refused(case, &longer, &format!("{new:#04x} put in at {at}"));
            }
            if at == whole.len() {
                break;
            }
            let mut shorter = whole.clone();
            shorter.remove(at);
            cheaply_refused(case, &shorter, &format!("byte {at} removed"));
            cheaply_refused(case, &whole[..at], &format!("{at} bytes"));
            if at > 0 && whole[at] != whole[at - 1] {
                let mut swapped = whole.clone();
                swapped.swap(at - 1, at);
                cheaply_refused(
                    case,
                    &swapped,
                    &format!("bytes {} and {at} swapped", at - 1),
                );
            }
        }
    }
}

/// Whoever signs the change with a key of their own: nothing but the signer's claims can move.
#[test]
fn every_byte_of_the_payload_signed_by_a_stranger() {
    let key = attacker_key();
    for case in real() {
        let text = payload_of(&case.resigned(|_| {}));
        let claims: Vec<Range<usize>> = leaves(&text)
            .into_iter()
            .filter(|leaf| row(case, leaf).resigned == Fate::Claim)
            .map(|leaf| leaf.span)
            .collect();
        assert_eq!(
            claims.len(),
            3,
            "name and version of the software, and the time"
        );
        let mut accepted = 0;
        let mut attempt = |at: usize, changed: String| {
            let envelope = signed(PAYLOAD_TYPE, &changed, &key);
            if case.verify(&envelope).is_ok() {
                let claim = claims.iter().any(|span| span.contains(&at));
                assert!(claim, "{}: accepted {changed}", case.name);
                accepted += 1;
            }
        };
        assert!(text.is_ascii());
        for (at, old) in text.char_indices() {
            // A digit to a digit, a letter to a letter, a word to another, and what JSON minds.
            for new in ['0', 'a', 'A', ' ', '"'] {
                if new != old {
                    attempt(at, format!("{}{new}{}", &text[..at], &text[at + 1..]));
                }
            }
            attempt(at, format!("{}{}", &text[..at], &text[at + 1..]));
            attempt(at, format!("{}{old}{}", &text[..at], &text[at..]));
        }
        assert!(accepted > 50, "{accepted}");
    }
}

//! Cosignatures of checkpoints by witnesses, Ed25519, version 1 (tlog-cosignature).

use ed25519_dalek::{Signer as _, SigningKey};

use crate::error::TlogError;
use crate::note::{KeyKind, NoteSignature, SignedNote, VerifierKey};

/// Greatest time that a cosignature may state: 2^63 − 1.
pub const MAX_TIME: u64 = u64::MAX >> 1;

/// A verified statement of a witness: at this time the checkpoint was the largest tree of its log
/// that it knew, and consistent with all before.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cosignature {
    /// Name of the witness's key.
    pub witness: String,
    /// When, in Unix seconds by the witness's clock.
    pub time: u64,
}

/// What is signed: a header, the time, the whole text of the checkpoint.
fn message(time: u64, text: &str) -> Vec<u8> {
    format!("cosignature/v1\ntime {time}\n{text}").into_bytes()
}

/// Cosigns a checkpoint's text. The caller has checked the tree's consistency.
///
/// # Errors
/// [`TlogError::Malformed`] for a name that no note can carry, a time of 0 or above [`MAX_TIME`].
pub fn cosign(
    text: &str,
    name: &str,
    key: &SigningKey,
    time: u64,
) -> Result<NoteSignature, TlogError> {
    if time == 0 || time > MAX_TIME {
        return Err(TlogError::malformed(
            "cosignature",
            "its time is 0 or beyond 2^63 - 1",
        ));
    }
    let by = VerifierKey::new(name, KeyKind::Cosigner, key.verifying_key().as_bytes())?;
    let mut bytes = time.to_be_bytes().to_vec();
    bytes.extend_from_slice(&key.sign(&message(time, text)).to_bytes());
    Ok(NoteSignature::new(&by, bytes))
}

/// Verifies one signature line over a checkpoint's text.
///
/// # Errors
/// [`TlogError::Unsigned`] when it is not by this key, [`TlogError::Signature`].
pub fn verify(
    text: &str,
    signature: &NoteSignature,
    key: &VerifierKey,
) -> Result<Cosignature, TlogError> {
    let name = || key.name().to_owned();
    if key.kind() != KeyKind::Cosigner || !key.made(signature) {
        return Err(TlogError::Unsigned { key: name() });
    }
    let refuse = || TlogError::Signature { key: name() };
    let (time, signature) = signature
        .bytes()
        .split_first_chunk::<8>()
        .ok_or_else(refuse)?;
    let time = u64::from_be_bytes(*time);
    let signature = <&[u8; 64]>::try_from(signature).map_err(|_| refuse())?;
    if time == 0 || time > MAX_TIME {
        return Err(refuse());
    }
    key.check(&message(time, text), signature)?;
    Ok(Cosignature {
        witness: name(),
        time,
    })
}

/// The cosignatures of a note by the given witnesses, one a witness at most. Signatures by unknown
/// keys are ignored; a wrong one in a known key's name is an error.
///
/// # Errors
/// [`TlogError::Signature`].
pub fn verify_all(
    note: &SignedNote,
    witnesses: &[VerifierKey],
) -> Result<Vec<Cosignature>, TlogError> {
    let mut found = Vec::new();
    for (i, key) in witnesses.iter().enumerate() {
        // The signed message does not name the witness, so one key under two names is one witness.
        let again = witnesses
            .iter()
            .take(i)
            .any(|k| k.key_bytes() == key.key_bytes());
        let mut latest: Option<Cosignature> = None;
        for signature in note.signatures().iter().filter(|s| key.made(s)) {
            let cosignature = verify(note.text(), signature, key)?;
            if latest.as_ref().is_none_or(|c| c.time < cosignature.time) {
                latest = Some(cosignature);
            }
        }
        if !again {
            found.extend(latest);
        }
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::checkpoint::{Checkpoint, SignedCheckpoint};
    use crate::hash::leaf_hash;

    fn signed() -> SignedCheckpoint {
        let head = Checkpoint::new("example.com/log", 1, leaf_hash(b"x")).unwrap();
        SignedCheckpoint::sign(head, &SigningKey::from_bytes(&[5; 32])).unwrap()
    }

    fn witness(seed: u8, name: &str) -> (SigningKey, VerifierKey) {
        let key = SigningKey::from_bytes(&[seed; 32]);
        let public = VerifierKey::new(name, KeyKind::Cosigner, key.verifying_key().as_bytes());
        (key, public.unwrap())
    }

    #[test]
    fn the_message_is_the_specifications() {
        let text =
            "example.com/behind-the-sofa\n20852163\nCsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2I=\n";
        assert_eq!(
            message(1_679_315_147, text),
            format!("cosignature/v1\ntime 1679315147\n{text}").into_bytes()
        );
    }

    #[test]
    fn witnesses_are_counted_once_and_only_when_right() {
        let (a, a_key) = witness(1, "witness.example/a");
        let (b, b_key) = witness(2, "witness.example/b");
        let head = signed();
        let text = head.note().text();
        let by_a = cosign(text, "witness.example/a", &a, 1000).unwrap();
        let later = cosign(text, "witness.example/a", &a, 2000).unwrap();
        let by_b = cosign(text, "witness.example/b", &b, 1500).unwrap();
        let note = head.with(&[by_a.clone(), later, by_b.clone()]).unwrap();
        let both = verify_all(note.note(), &[a_key.clone(), b_key.clone()]).unwrap();
        assert_eq!(both.len(), 2);
        assert_eq!((both[0].time, both[1].time), (2000, 1500));
        assert_eq!(
            verify_all(note.note(), core::slice::from_ref(&b_key))
                .unwrap()
                .len(),
            1
        );
        assert!(
            verify_all(head.note(), core::slice::from_ref(&a_key))
                .unwrap()
                .is_empty()
        );
        // One key under two names is one witness.
        let alias = cosign(text, "witness.example/c", &a, 1000).unwrap();
        let alias_key = witness(1, "witness.example/c").1;
        let note = head.with(&[by_a.clone(), alias]).unwrap();
        assert_eq!(
            verify_all(note.note(), &[a_key.clone(), alias_key])
                .unwrap()
                .len(),
            1
        );
        // A changed time, and a cosignature of another head.
        let mut line = by_a.to_string();
        line.push('\n');
        let other = SignedNote::new("other\n".into(), vec![by_a.clone()]).unwrap();
        assert_eq!(
            verify_all(&other, core::slice::from_ref(&a_key))
                .unwrap_err()
                .code(),
            "tlog-signature-invalid"
        );
        let mut bytes = by_a.bytes().to_vec();
        bytes[7] ^= 1;
        let changed = NoteSignature::new(&a_key, bytes);
        assert!(verify(text, &changed, &a_key).is_err());
        let short = NoteSignature::new(&a_key, by_a.bytes()[..71].to_vec());
        assert!(verify(text, &short, &a_key).is_err());
        assert!(verify(text, &by_b, &a_key).is_err());
        for time in [0, MAX_TIME + 1] {
            assert!(cosign(text, "witness.example/a", &a, time).is_err());
        }
        // A log's plain signature is no cosignature, with the same key either.
        let plain = crate::note::sign(text, "witness.example/a", &a).unwrap();
        assert!(verify(text, &plain, &a_key).is_err());
    }
}

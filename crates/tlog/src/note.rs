//! Notes: text with signatures of named keys (signed-note), and the text form of the keys.

use core::fmt;
use core::str::FromStr;

use ed25519_dalek::{Signature, Signer as _, SigningKey, VerifyingKey};
use sha2::{Digest as _, Sha256};

use crate::error::TlogError;
use crate::text::{from_base64, to_base64};

/// Longest note that is parsed, in bytes: room for sixteen post-quantum signatures of others.
pub const MAX_NOTE_BYTES: usize = 256 << 10;
/// Most signatures that a note may carry.
pub const MAX_SIGNATURES: usize = 100;
/// Longest name of a key in bytes.
pub const MAX_NAME_BYTES: usize = 255;
/// What a signature line starts with.
const PREFIX: &str = "\u{2014} ";

/// What a key signs with.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum KeyKind {
    /// Type `0x01`: Ed25519 over the note's text. A log's key.
    Ed25519,
    /// Type `0x04`: an Ed25519 cosignature of a checkpoint, with the time. A witness's key.
    Cosigner,
}

impl KeyKind {
    const fn byte(self) -> u8 {
        match self {
            Self::Ed25519 => 0x01,
            Self::Cosigner => 0x04,
        }
    }
}

/// A public key with its name, written as `<name>+<hex of the id>+<base64 of type and key>` (vkey).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VerifierKey {
    name: String,
    kind: KeyKind,
    key: VerifyingKey,
}

impl VerifierKey {
    /// Names a public key.
    ///
    /// # Errors
    /// [`TlogError::Malformed`] for a name that no note can carry and bytes that are no point of
    /// sufficient order.
    pub fn new(name: &str, kind: KeyKind, key: &[u8; 32]) -> Result<Self, TlogError> {
        if !is_key_name(name) {
            return Err(TlogError::malformed(
                "key name",
                "it must have 1 to 255 bytes, no spaces, control characters or plus signs",
            ));
        }
        let key = VerifyingKey::from_bytes(key).ok().filter(|k| !k.is_weak());
        Ok(Self {
            name: name.to_owned(),
            kind,
            key: key
                .ok_or_else(|| TlogError::malformed("verifier key", "no Ed25519 public key"))?,
        })
    }

    /// The key's name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// What it signs with.
    pub const fn kind(&self) -> KeyKind {
        self.kind
    }

    /// The raw public key.
    pub fn key_bytes(&self) -> &[u8; 32] {
        self.key.as_bytes()
    }

    /// The id: the first four bytes of SHA-256 over name, line feed, type and key.
    pub fn id(&self) -> u32 {
        let mut hasher = Sha256::new();
        hasher.update(self.name.as_bytes());
        hasher.update([b'\n', self.kind.byte()]);
        hasher.update(self.key.as_bytes());
        let digest: [u8; 32] = hasher.finalize().into();
        digest
            .first_chunk::<4>()
            .map_or(0, |id| u32::from_be_bytes(*id))
    }

    /// Whether `signature` says that it is by this key.
    pub fn made(&self, signature: &NoteSignature) -> bool {
        signature.name == self.name && signature.id == self.id()
    }

    /// Checks an Ed25519 signature: strictly, so that there is one spelling of each.
    pub(crate) fn check(&self, message: &[u8], signature: &[u8; 64]) -> Result<(), TlogError> {
        self.key
            .verify_strict(message, &Signature::from_bytes(signature))
            .map_err(|_| TlogError::Signature {
                key: self.name.clone(),
            })
    }
}

impl fmt::Display for VerifierKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut material = vec![self.kind.byte()];
        material.extend_from_slice(self.key.as_bytes());
        write!(
            f,
            "{}+{:08x}+{}",
            self.name,
            self.id(),
            to_base64(&material)
        )
    }
}

impl FromStr for VerifierKey {
    type Err = TlogError;

    fn from_str(text: &str) -> Result<Self, TlogError> {
        let refuse = |reason: &str| TlogError::malformed("verifier key", reason);
        let mut parts = text.splitn(3, '+');
        let (Some(name), Some(_), Some(material)) = (parts.next(), parts.next(), parts.next())
        else {
            return Err(refuse("it has not the form name+id+key"));
        };
        let material = from_base64(material).ok_or_else(|| refuse("the key is not base64"))?;
        let Some((kind, key)) = material.split_first() else {
            return Err(refuse("the key is empty"));
        };
        let kind = [KeyKind::Ed25519, KeyKind::Cosigner]
            .into_iter()
            .find(|k| k.byte() == *kind)
            .ok_or_else(|| {
                refuse("its type is neither Ed25519 (1) nor a cosigner's Ed25519 (4)")
            })?;
        let key = <&[u8; 32]>::try_from(key).map_err(|_| refuse("the key has not 32 bytes"))?;
        let key = Self::new(name, kind, key)?;
        if key.to_string() == text {
            Ok(key)
        } else {
            Err(refuse("its id is not that of name and key"))
        }
    }
}

/// Whether a key may have this name: no spaces of any kind, no plus sign, nothing unprintable.
pub fn is_key_name(name: &str) -> bool {
    (1..=MAX_NAME_BYTES).contains(&name.len())
        && !name
            .chars()
            .any(|c| c.is_whitespace() || c.is_control() || c == '+')
}

/// One signature line of a note. Unverified.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NoteSignature {
    name: String,
    id: u32,
    bytes: Vec<u8>,
}

impl NoteSignature {
    /// The line for what `key`, known to others as `by`, signed.
    pub(crate) fn new(by: &VerifierKey, bytes: Vec<u8>) -> Self {
        Self {
            name: by.name.clone(),
            id: by.id(),
            bytes,
        }
    }

    /// Name of the key.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Id of the key.
    pub const fn id(&self) -> u32 {
        self.id
    }

    /// What stands behind the id; its form depends on the kind of key.
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// Reads a line without its line feed.
    fn parse(line: &str) -> Option<Self> {
        let (name, encoded) = line.strip_prefix(PREFIX)?.split_once(' ')?;
        let material = from_base64(encoded)?;
        let (id, bytes) = material.split_first_chunk::<4>()?;
        (is_key_name(name) && !bytes.is_empty()).then(|| Self {
            name: name.to_owned(),
            id: u32::from_be_bytes(*id),
            bytes: bytes.to_vec(),
        })
    }
}

impl fmt::Display for NoteSignature {
    /// The line without its line feed.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut material = self.id.to_be_bytes().to_vec();
        material.extend_from_slice(&self.bytes);
        write!(f, "{PREFIX}{} {}", self.name, to_base64(&material))
    }
}

/// Signs a note's text with a log's key.
///
/// # Errors
/// [`TlogError::Malformed`] for a name that no note can carry.
pub fn sign(text: &str, name: &str, key: &SigningKey) -> Result<NoteSignature, TlogError> {
    let by = VerifierKey::new(name, KeyKind::Ed25519, key.verifying_key().as_bytes())?;
    Ok(NoteSignature::new(
        &by,
        key.sign(text.as_bytes()).to_bytes().to_vec(),
    ))
}

/// A text and its signatures. Whether any of them is valid is [`verify`](Self::verify)'s answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SignedNote {
    text: String,
    signatures: Vec<NoteSignature>,
}

impl SignedNote {
    /// Puts signatures under a text.
    ///
    /// # Errors
    /// [`TlogError::Malformed`] for what [`parse`](Self::parse) would not read back.
    pub fn new(text: String, signatures: Vec<NoteSignature>) -> Result<Self, TlogError> {
        let note = Self { text, signatures };
        if Self::parse(note.to_string().as_bytes())? == note {
            Ok(note)
        } else {
            Err(TlogError::malformed(
                "note",
                "its text ends in signature lines",
            ))
        }
    }

    /// Reads a note in its one spelling.
    ///
    /// # Errors
    /// [`TlogError::Malformed`].
    pub fn parse(bytes: &[u8]) -> Result<Self, TlogError> {
        let refuse = |reason: &str| TlogError::malformed("note", reason);
        if bytes.len() > MAX_NOTE_BYTES {
            return Err(refuse("it is longer than 256 KiB"));
        }
        let text = core::str::from_utf8(bytes).map_err(|_| refuse("it is not UTF-8"))?;
        if text.chars().any(|c| c < ' ' && c != '\n') {
            return Err(refuse("it holds a control character"));
        }
        // The last empty line: the text may hold others.
        let (front, lines) = text
            .rsplit_once("\n\n")
            .ok_or_else(|| refuse("no empty line parts text and signatures"))?;
        let signatures = parse_signatures(lines)?;
        if signatures.is_empty() {
            return Err(refuse("it carries no signature"));
        }
        Ok(Self {
            text: format!("{front}\n"),
            signatures,
        })
    }

    /// The text with its final line feed.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// All signatures.
    pub fn signatures(&self) -> &[NoteSignature] {
        &self.signatures
    }

    /// Adds signatures that are not there yet.
    ///
    /// # Errors
    /// [`TlogError::Malformed`] above [`MAX_SIGNATURES`].
    pub fn with(&self, more: &[NoteSignature]) -> Result<Self, TlogError> {
        let mut signatures = self.signatures.clone();
        for signature in more {
            if !signatures.contains(signature) {
                signatures.push(signature.clone());
            }
        }
        Self::new(self.text.clone(), signatures)
    }

    /// Checks that a key of kind [`KeyKind::Ed25519`] signed the text. Signatures by unknown keys
    /// are ignored; a wrong one in the known key's name is an error even beside a right one.
    ///
    /// # Errors
    /// [`TlogError::Unsigned`], [`TlogError::Signature`].
    pub fn verify(&self, key: &VerifierKey) -> Result<(), TlogError> {
        let mut signed = false;
        for signature in self.signatures.iter().filter(|s| key.made(s)) {
            let bytes = <&[u8; 64]>::try_from(signature.bytes()).ok();
            match (key.kind(), bytes) {
                (KeyKind::Ed25519, Some(bytes)) => key.check(self.text.as_bytes(), bytes)?,
                _ => {
                    return Err(TlogError::Signature {
                        key: key.name().to_owned(),
                    });
                }
            }
            signed = true;
        }
        if signed {
            Ok(())
        } else {
            Err(TlogError::Unsigned {
                key: key.name().to_owned(),
            })
        }
    }
}

/// Signature lines, each with its line feed.
///
/// # Errors
/// [`TlogError::Malformed`].
pub fn parse_signatures(lines: &str) -> Result<Vec<NoteSignature>, TlogError> {
    let refuse = |reason: &str| TlogError::malformed("note", reason);
    let mut found = Vec::new();
    for line in lines.split_inclusive('\n') {
        let signature = line.strip_suffix('\n').and_then(NoteSignature::parse);
        found.push(signature.ok_or_else(|| refuse("a signature line is not of the form"))?);
        if found.len() > MAX_SIGNATURES {
            return Err(refuse("it carries more than 100 signatures"));
        }
    }
    Ok(found)
}

impl fmt::Display for SignedNote {
    /// The note as it is stored and sent.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}", self.text)?;
        self.signatures.iter().try_for_each(|s| writeln!(f, "{s}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The example of the specification.
    const VKEY: &str = "example.com/foo+530d903a+AekyeRrm56hApGFkyQR4ZCbV54Id2LKaANYcrnKv3U2k";
    const NOTE: &str = "This is an example message.\n\n\u{2014} example.com/foo Uw2QOkn8srV1yJGh2VYRlL1Tnagv1YEq6TfXppzi2ONncAlTgK7Ztg1ERYNZXsYjOBH3mFXmRKuwHjG1Yu72IneyaQM=\n";

    #[test]
    fn the_specifications_example_verifies() {
        let key: VerifierKey = VKEY.parse().unwrap();
        assert_eq!(key.to_string(), VKEY);
        let note = SignedNote::parse(NOTE.as_bytes()).unwrap();
        assert_eq!(note.to_string(), NOTE);
        note.verify(&key).unwrap();
        let other =
            SignedNote::new("Another message.\n".into(), note.signatures().to_vec()).unwrap();
        assert_eq!(
            other.verify(&key).unwrap_err().code(),
            "tlog-signature-invalid"
        );
    }

    #[test]
    fn no_changed_byte_of_a_note_is_signed() {
        let key: VerifierKey = VKEY.parse().unwrap();
        for i in 0..NOTE.len() {
            for bit in 0..8 {
                let mut bytes = NOTE.as_bytes().to_vec();
                bytes[i] ^= 1 << bit;
                let accepted = SignedNote::parse(&bytes).and_then(|n| n.verify(&key));
                assert!(accepted.is_err(), "byte {i} bit {bit}");
            }
        }
    }

    #[test]
    fn unknown_keys_are_ignored_and_wrong_signatures_are_not() {
        let key: VerifierKey = VKEY.parse().unwrap();
        let note = SignedNote::parse(NOTE.as_bytes()).unwrap();
        let stranger = sign(
            note.text(),
            "example.com/foo",
            &SigningKey::from_bytes(&[1; 32]),
        )
        .unwrap();
        let both = note.with(core::slice::from_ref(&stranger)).unwrap();
        both.verify(&key).unwrap();
        let only = SignedNote::new(note.text().to_owned(), vec![stranger]).unwrap();
        assert_eq!(only.verify(&key).unwrap_err().code(), "tlog-unsigned");
        let mut wrong = note.signatures()[0].clone();
        wrong.bytes[7] ^= 1;
        for order in [
            vec![wrong.clone(), note.signatures()[0].clone()],
            vec![note.signatures()[0].clone(), wrong],
        ] {
            let note = SignedNote::new(note.text().to_owned(), order).unwrap();
            assert_eq!(
                note.verify(&key).unwrap_err().code(),
                "tlog-signature-invalid"
            );
        }
        // Added twice, it stands once.
        assert_eq!(note.with(note.signatures()).unwrap(), note);
    }

    #[test]
    fn malformed_notes_and_keys_are_refused() {
        let line = NOTE.split_once("\n\n").unwrap().1;
        for bad in [
            String::new(),
            "text\n".into(),
            "text\n\n".into(),
            format!("text\n{line}"),
            format!("text\r\n\n{line}"),
            format!("text\n\n{}", line.trim_end()),
            format!("text\n\n{}\n", line.replace('\u{2014}', "-")),
            format!("text\n\n{}", line.replace("foo ", "f+o ")),
            format!("text\n\n{}", line.replace("foo ", "f\u{a0}o ")),
            format!("text\n\n{}", line.replace("foo ", "foo  ")),
            "text\n\n\u{2014} name AAAAAA==\n".into(),
            format!("text\n\n{}", line.repeat(101)),
        ] {
            assert!(SignedNote::parse(bad.as_bytes()).is_err(), "{bad:?}");
        }
        assert!(SignedNote::parse(b"text\n\n\xff").is_err());
        assert!(SignedNote::new("text".into(), vec![]).is_err());
        // A text with an empty line keeps it.
        let note = SignedNote::parse(NOTE.as_bytes()).unwrap();
        let long = SignedNote::new("a\n\nb\n".into(), note.signatures().to_vec()).unwrap();
        assert_eq!(long.text(), "a\n\nb\n");
        for bad in [
            "",
            "example.com/foo",
            "example.com/foo+530d903a",
            "example.com/foo+530d903b+AekyeRrm56hApGFkyQR4ZCbV54Id2LKaANYcrnKv3U2k",
            "example.com/foo+530D903A+AekyeRrm56hApGFkyQR4ZCbV54Id2LKaANYcrnKv3U2k",
            "example.com/foo+530d903a+AukyeRrm56hApGFkyQR4ZCbV54Id2LKaANYcrnKv3U2k",
            "example.com/foo+530d903a+AekyeRrm56hApGFkyQR4ZCbV54Id2LKaANYcrnKv3U",
            "exam ple+530d903a+AekyeRrm56hApGFkyQR4ZCbV54Id2LKaANYcrnKv3U2k",
        ] {
            assert!(bad.parse::<VerifierKey>().is_err(), "{bad}");
        }
        // The identity verifies anything: no key.
        let mut identity = [0; 32];
        identity[0] = 1;
        assert!(VerifierKey::new("k", KeyKind::Ed25519, &identity).is_err());
    }
}

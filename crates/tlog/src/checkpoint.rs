//! Checkpoints: signed tree heads (tlog-checkpoint).

use core::fmt;
use core::str::FromStr;

use ed25519_dalek::SigningKey;

use crate::error::TlogError;
use crate::hash::{EMPTY_ROOT, Hash};
use crate::note::{NoteSignature, SignedNote, VerifierKey, sign};
use crate::text::decimal;

/// A tree head: which log, how many entries, which root.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Checkpoint {
    origin: String,
    size: u64,
    root: Hash,
    extensions: Vec<String>,
}

impl Checkpoint {
    /// A head of the log `origin`.
    ///
    /// # Errors
    /// [`TlogError::Malformed`] for an origin that is empty or holds control characters, and for a
    /// tree without entries that has another root than the empty tree's.
    pub fn new(origin: &str, size: u64, root: Hash) -> Result<Self, TlogError> {
        let refuse = |reason: &str| Err(TlogError::malformed("checkpoint", reason));
        if origin.is_empty() || origin.chars().any(char::is_control) {
            return refuse("the origin is empty or holds control characters");
        }
        if size == 0 && root != EMPTY_ROOT {
            return refuse("an empty tree has the root of nothing");
        }
        Ok(Self {
            origin: origin.to_owned(),
            size,
            root,
            extensions: Vec::new(),
        })
    }

    /// The log's identity.
    pub fn origin(&self) -> &str {
        &self.origin
    }

    /// Entries of the tree.
    pub const fn size(&self) -> u64 {
        self.size
    }

    /// The tree's root.
    pub const fn root(&self) -> &Hash {
        &self.root
    }

    /// Lines that a log may add; nobody vouches for them.
    pub fn extensions(&self) -> &[String] {
        &self.extensions
    }
}

impl fmt::Display for Checkpoint {
    /// The note's text.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}\n{}\n{}", self.origin, self.size, self.root)?;
        self.extensions.iter().try_for_each(|e| writeln!(f, "{e}"))
    }
}

impl FromStr for Checkpoint {
    type Err = TlogError;

    fn from_str(text: &str) -> Result<Self, TlogError> {
        let refuse = |reason: &str| TlogError::malformed("checkpoint", reason);
        let body = text
            .strip_suffix('\n')
            .ok_or_else(|| refuse("its text does not end in a line feed"))?;
        let mut lines = body.split('\n');
        let mut next = |what| lines.next().ok_or_else(|| refuse(what));
        let origin = next("it has no origin")?;
        let size = next("it has no size")?;
        let root = next("it has no root")?;
        let size = decimal(size).ok_or_else(|| refuse("the size is no decimal number"))?;
        let mut checkpoint = Self::new(origin, size, root.parse()?)?;
        checkpoint.extensions = lines.map(str::to_owned).collect();
        if checkpoint.extensions.iter().any(String::is_empty) {
            return Err(refuse("it has an empty line"));
        }
        Ok(checkpoint)
    }
}

/// A checkpoint with its signatures. That the log signed it is certain only for one that came out
/// of [`verify`](Self::verify) or [`sign`](Self::sign).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SignedCheckpoint {
    checkpoint: Checkpoint,
    note: SignedNote,
}

impl SignedCheckpoint {
    /// Signs a head with the log's key. The key's name is the origin.
    ///
    /// # Errors
    /// [`TlogError::Malformed`] for an origin that cannot be a key's name.
    pub fn sign(checkpoint: Checkpoint, key: &SigningKey) -> Result<Self, TlogError> {
        let text = checkpoint.to_string();
        let signature = sign(&text, checkpoint.origin(), key)?;
        Ok(Self {
            note: SignedNote::new(text, vec![signature])?,
            checkpoint,
        })
    }

    /// Reads a checkpoint without looking at its signatures.
    ///
    /// # Errors
    /// [`TlogError::Malformed`].
    pub fn parse_unverified(bytes: &[u8]) -> Result<Self, TlogError> {
        let note = SignedNote::parse(bytes)?;
        Ok(Self {
            checkpoint: note.text().parse()?,
            note,
        })
    }

    /// Reads a checkpoint that this log signed. The key's name is the origin.
    ///
    /// # Errors
    /// [`TlogError::Malformed`], [`TlogError::Origin`], [`TlogError::Unsigned`],
    /// [`TlogError::Signature`].
    pub fn verify(bytes: &[u8], log: &VerifierKey) -> Result<Self, TlogError> {
        let signed = Self::parse_unverified(bytes)?;
        if signed.checkpoint.origin() != log.name() {
            return Err(TlogError::Origin {
                expected: log.name().to_owned(),
                got: signed.checkpoint.origin().to_owned(),
            });
        }
        signed.note.verify(log)?;
        Ok(signed)
    }

    /// The head.
    pub const fn checkpoint(&self) -> &Checkpoint {
        &self.checkpoint
    }

    /// The note.
    pub const fn note(&self) -> &SignedNote {
        &self.note
    }

    /// With more signatures, such as witnesses'.
    ///
    /// # Errors
    /// [`TlogError::Malformed`] for too many.
    pub fn with(&self, more: &[NoteSignature]) -> Result<Self, TlogError> {
        Ok(Self {
            checkpoint: self.checkpoint.clone(),
            note: self.note.with(more)?,
        })
    }
}

impl fmt::Display for SignedCheckpoint {
    /// The bytes of the resource `checkpoint`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.note.fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::hash::leaf_hash;
    use crate::note::KeyKind;

    fn key() -> SigningKey {
        SigningKey::from_bytes(&[5; 32])
    }

    fn vkey(name: &str) -> VerifierKey {
        VerifierKey::new(name, KeyKind::Ed25519, key().verifying_key().as_bytes()).unwrap()
    }

    #[test]
    fn the_specifications_example_is_read() {
        let text =
            "example.com/behind-the-sofa\n20852163\nCsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2I=\n";
        let checkpoint: Checkpoint = text.parse().unwrap();
        assert_eq!(checkpoint.size(), 20_852_163);
        assert_eq!(checkpoint.to_string(), text);
        let extended = format!("{text}ext\n");
        let checkpoint: Checkpoint = extended.parse().unwrap();
        assert_eq!(checkpoint.extensions(), ["ext"]);
        assert_eq!(checkpoint.to_string(), extended);
        for bad in [
            "",
            "o\n",
            "o\n1\n",
            "\n1\nCsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2I=\n",
            "o\n01\nCsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2I=\n",
            "o\n-1\nCsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2I=\n",
            "o\n1\nCsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2I=",
            "o\n1\nCsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2J=\n",
            "o\n1\nCsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jx\n",
            "o\n1\nCsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2I=\n\n",
            "o\n0\nCsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2I=\n",
        ] {
            assert!(bad.parse::<Checkpoint>().is_err(), "{bad:?}");
        }
    }

    #[test]
    fn only_the_logs_own_signature_counts() {
        let head = Checkpoint::new("example.com/log", 1, leaf_hash(b"x")).unwrap();
        let signed = SignedCheckpoint::sign(head, &key()).unwrap();
        let bytes = signed.to_string().into_bytes();
        assert_eq!(
            SignedCheckpoint::verify(&bytes, &vkey("example.com/log")).unwrap(),
            signed
        );
        let error = SignedCheckpoint::verify(&bytes, &vkey("example.com/other")).unwrap_err();
        assert_eq!(error.code(), "tlog-origin-mismatch");
        let forged = SigningKey::from_bytes(&[6; 32]);
        let forged = SignedCheckpoint::sign(signed.checkpoint().clone(), &forged).unwrap();
        let error =
            SignedCheckpoint::verify(forged.to_string().as_bytes(), &vkey("example.com/log"));
        assert_eq!(error.unwrap_err().code(), "tlog-unsigned");
        for i in 0..bytes.len() {
            let mut bytes = bytes.clone();
            bytes[i] ^= 1;
            assert!(
                SignedCheckpoint::verify(&bytes, &vkey("example.com/log")).is_err(),
                "{i}"
            );
        }
    }
}

//! What a recipient asks of a receipt beyond being true.

use proofmark_tlog::{KeyKind, Policy, Tiles, VerifierKey};
use proofmark_types::Context;
use proofmark_verifier::Opening;

use crate::refusal::Refusal;

/// What a recipient asks of a receipt beyond being true. By default nothing.
#[derive(Default)]
pub struct Demands<'a> {
    /// The whole context.
    pub context: Option<Context>,
    /// The context's nonce.
    pub nonce: Option<[u8; 32]>,
    /// Raw Ed25519 public key of the service that must have signed. With a copy of the log it may be
    /// a key of any time: rotations lead to the others.
    pub service_key: Option<[u8; 32]>,
    /// Values that inputs and outputs must have: those of public tensors are compared with the
    /// receipt's, those of hidden ones with their commitments.
    pub openings: Vec<Opening>,
    /// Whose word on the package is taken.
    pub attesters: Attesters,
    /// What is asked of the transparency log.
    pub log: Option<LogDemand<'a>>,
    /// Unix seconds; a receipt whose context's deadline has passed by then is refused.
    pub now: Option<u64>,
}

/// Whose word on the package is taken.
#[derive(Debug, Clone, Default)]
pub struct Attesters {
    /// Attestations, each of which must hold and be by one of these auditors.
    pub attestations: Vec<Vec<u8>>,
    /// Raw Ed25519 public keys of auditors, each of whom must have attested the package.
    pub auditors: Vec<[u8; 32]>,
}

/// What is asked of the transparency log.
#[derive(Clone)]
pub struct LogDemand<'a> {
    /// Whose word on the log is taken.
    pub policy: Policy,
    /// Proof that the receipt is in the log (`.tlog-proof`).
    pub proof: Option<&'a [u8]>,
    /// The log, or a mirror of it.
    pub copy: Option<LogCopy<'a>>,
}

/// A copy of a log's static files, wherever they come from.
#[derive(Clone, Copy)]
pub struct LogCopy<'a> {
    /// Gives what lies at a path.
    pub tiles: &'a dyn Tiles,
    /// Whether the copy may be older than the receipt, whose proof must then show that it is logged.
    pub may_be_older: bool,
}

/// What is pinned of a log: its key, the keys of witnesses and how many of them must have cosigned
/// (without a number all of them).
///
/// # Errors
/// `log-key-invalid` for a witness's key in the log's place and the other way round,
/// `witness-quorum-invalid` for a quorum that cannot be.
pub fn policy(
    log: &VerifierKey,
    witnesses: &[VerifierKey],
    quorum: Option<usize>,
) -> Result<Policy, Refusal> {
    let keys = witnesses.iter().map(|key| (key, KeyKind::Cosigner));
    for (key, kind) in keys.chain([(log, KeyKind::Ed25519)]) {
        if key.kind() != kind {
            return Err(Refusal::LogKey {
                key: key.to_string(),
            });
        }
    }
    let quorum = quorum.unwrap_or(witnesses.len());
    if quorum > witnesses.len() {
        return Err(Refusal::Quorum {
            quorum,
            witnesses: witnesses.len(),
        });
    }
    Ok(Policy::new(log.clone()).with_witnesses(witnesses.to_vec(), quorum))
}

#[cfg(test)]
mod tests {
    use ed25519_dalek::SigningKey;

    use super::*;

    fn key(kind: KeyKind) -> VerifierKey {
        let public = SigningKey::from_bytes(&[1; 32]).verifying_key();
        VerifierKey::new("example.com/a", kind, public.as_bytes()).unwrap()
    }

    #[test]
    fn keys_stand_in_their_places_and_a_quorum_can_be_met() {
        let (log, witness) = (key(KeyKind::Ed25519), key(KeyKind::Cosigner));
        let all = policy(&log, &[witness.clone(), witness.clone()], None).unwrap();
        assert_eq!(all.quorum(), 2);
        let one = policy(&log, &[witness.clone(), witness.clone()], Some(1)).unwrap();
        assert_eq!(one.quorum(), 1);
        for (log, witnesses, quorum, code) in [
            (&witness, vec![], None, "log-key-invalid"),
            (&log, vec![log.clone()], None, "log-key-invalid"),
            (
                &log,
                vec![witness.clone()],
                Some(2),
                "witness-quorum-invalid",
            ),
        ] {
            let refused = policy(log, &witnesses, quorum).unwrap_err();
            assert_eq!(refused.code(), code);
        }
    }
}

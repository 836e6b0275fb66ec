//! A proof's bytes, and the names of the proof systems that it may be of.

use core::ops::{Deref, DerefMut};

use crate::manifest::Backend;

/// Bytes of a plain Groth16 proof: A (G1), B (G2), C (G1), uncompressed big-endian as in EIP-197.
pub const PLAIN_PROOF_BYTES: usize = 256;
/// Bytes of a proof with a commitment: A (G1), B (G2), C (G1), D (G1), as in EIP-197.
pub const COMMITTED_PROOF_BYTES: usize = 320;

impl Backend {
    /// The proof system's name in receipts.
    pub const fn proof_system_name(self) -> &'static str {
        match self {
            Self::Groth16 => "groth16-bn254-v1",
            Self::Groth16Logup => "groth16-bn254-logup-v1",
        }
    }

    /// The proof system's id as contracts know it: the first four bytes of the name's keccak256.
    pub const fn proof_system_id(self) -> &'static str {
        match self {
            Self::Groth16 => "0x0550d137",
            Self::Groth16Logup => "0x39e7a114",
        }
    }

    /// Bytes of a proof.
    pub const fn proof_bytes(self) -> usize {
        match self {
            Self::Groth16 => PLAIN_PROOF_BYTES,
            Self::Groth16Logup => COMMITTED_PROOF_BYTES,
        }
    }
}

/// A proof as it stands in a receipt and in a contract's calldata. Its length says of which proof
/// system it is; whether it proves anything is the verifier's question.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ProofBytes {
    /// Of [`Backend::Groth16`].
    Groth16([u8; PLAIN_PROOF_BYTES]),
    /// Of [`Backend::Groth16Logup`].
    Groth16Logup([u8; COMMITTED_PROOF_BYTES]),
}

impl ProofBytes {
    /// Takes bytes that are as long as a proof of `backend`; `None` for any other length.
    pub fn new(backend: Backend, bytes: &[u8]) -> Option<Self> {
        match backend {
            Backend::Groth16 => bytes.try_into().ok().map(Self::Groth16),
            Backend::Groth16Logup => bytes.try_into().ok().map(Self::Groth16Logup),
        }
    }

    /// The proof system that proofs of this length are of.
    pub const fn backend(&self) -> Backend {
        match self {
            Self::Groth16(_) => Backend::Groth16,
            Self::Groth16Logup(_) => Backend::Groth16Logup,
        }
    }
}

impl From<[u8; PLAIN_PROOF_BYTES]> for ProofBytes {
    fn from(bytes: [u8; PLAIN_PROOF_BYTES]) -> Self {
        Self::Groth16(bytes)
    }
}

impl From<[u8; COMMITTED_PROOF_BYTES]> for ProofBytes {
    fn from(bytes: [u8; COMMITTED_PROOF_BYTES]) -> Self {
        Self::Groth16Logup(bytes)
    }
}

impl AsRef<[u8]> for ProofBytes {
    fn as_ref(&self) -> &[u8] {
        self
    }
}

impl Deref for ProofBytes {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        match self {
            Self::Groth16(bytes) => bytes,
            Self::Groth16Logup(bytes) => bytes,
        }
    }
}

impl DerefMut for ProofBytes {
    fn deref_mut(&mut self) -> &mut [u8] {
        match self {
            Self::Groth16(bytes) => bytes,
            Self::Groth16Logup(bytes) => bytes,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use sha3::{Digest as _, Keccak256};

    #[test]
    fn an_id_is_its_names_selector() {
        for backend in [Backend::Groth16, Backend::Groth16Logup] {
            let hash = Keccak256::digest(backend.proof_system_name().as_bytes());
            let selector = format!("0x{}", hex::encode(&hash[..4]));
            assert_eq!(selector, backend.proof_system_id());
        }
    }

    #[test]
    fn the_length_is_the_proof_systems() {
        for length in 0..=400 {
            for backend in [Backend::Groth16, Backend::Groth16Logup] {
                let proof = ProofBytes::new(backend, &vec![7; length]);
                assert_eq!(proof.is_some(), length == backend.proof_bytes());
                if let Some(mut proof) = proof {
                    assert_eq!(proof.backend(), backend);
                    assert_eq!(proof.to_vec(), vec![7; length]);
                    proof[0] = 8;
                    assert_eq!(
                        proof.iter().map(|&b| usize::from(b)).sum::<usize>(),
                        7 * length + 1
                    );
                }
            }
        }
    }
}

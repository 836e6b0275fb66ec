//! A proof's bytes: A (G1), B (G2), C (G1) and with a commitment D (G1) as in EIP-197, ready for a
//! contract's calldata.

use ark_bn254::{Bn254, G1Affine};
use proofmark_types::ProofBytes;
use proofmark_types::manifest::Backend;
use proofmark_types::proof::{COMMITTED_PROOF_BYTES, PLAIN_PROOF_BYTES};

use crate::point::{PointError, Reader, check_g1, check_g2, push_g1, push_g2};
use crate::rejection::Rejection;

/// A proof of either backend.
#[derive(Debug, Clone, PartialEq)]
pub struct Proof {
    /// A, B and C.
    pub groth16: ark_groth16::Proof<Bn254>,
    /// D, the commitment to the wires that were fixed before the challenge.
    pub commitment: Option<G1Affine>,
}

impl Proof {
    /// The proof system that the proof is of.
    pub const fn backend(&self) -> Backend {
        match self.commitment {
            None => Backend::Groth16,
            Some(_) => Backend::Groth16Logup,
        }
    }
}

impl From<ark_groth16::Proof<Bn254>> for Proof {
    fn from(groth16: ark_groth16::Proof<Bn254>) -> Self {
        Self {
            groth16,
            commitment: None,
        }
    }
}

impl From<&ark_groth16::Proof<Bn254>> for Proof {
    fn from(groth16: &ark_groth16::Proof<Bn254>) -> Self {
        groth16.clone().into()
    }
}

impl From<&Self> for Proof {
    fn from(proof: &Self) -> Self {
        proof.clone()
    }
}

/// The one encoding. A proof with an identity in it encodes to bytes that are refused on reading.
pub fn encode_proof(proof: impl Into<Proof>) -> ProofBytes {
    let Proof {
        groth16,
        commitment,
    } = proof.into();
    let mut bytes = Vec::new();
    push_g1(&mut bytes, &groth16.a);
    push_g2(&mut bytes, &groth16.b);
    push_g1(&mut bytes, &groth16.c);
    let Some(commitment) = commitment else {
        return fixed::<PLAIN_PROOF_BYTES>(&bytes).into();
    };
    push_g1(&mut bytes, &commitment);
    fixed::<COMMITTED_PROOF_BYTES>(&bytes).into()
}

fn fixed<const N: usize>(bytes: &[u8]) -> [u8; N] {
    let mut fixed = [0; N];
    for (slot, byte) in fixed.iter_mut().zip(bytes) {
        *slot = *byte;
    }
    fixed
}

/// Reads a proof in its one encoding. The length says of which backend it is; a key takes proofs
/// of its own backend only.
///
/// # Errors
/// As [`check_proof`], and for any length but 256 and 320 bytes and coordinates that are not
/// reduced.
pub fn decode_proof(bytes: &[u8]) -> Result<Proof, Rejection> {
    let backends = [Backend::Groth16, Backend::Groth16Logup];
    let backend = backends
        .into_iter()
        .find(|b| b.proof_bytes() == bytes.len());
    let Some(backend) = backend else {
        return Err(Rejection::ProofMalformed {
            part: "file",
            reason: "is neither 256 nor 320 bytes long",
        });
    };
    let mut reader = Reader::new(bytes);
    let a = reader.g1().map_err(|e| refuse("A", e))?;
    let b = reader.g2().map_err(|e| refuse("B", e))?;
    let c = reader.g1().map_err(|e| refuse("C", e))?;
    let commitment = match backend {
        Backend::Groth16 => None,
        Backend::Groth16Logup => Some(reader.g1().map_err(|e| refuse("D", e))?),
    };
    Ok(Proof {
        groth16: ark_groth16::Proof { a, b, c },
        commitment,
    })
}

/// Checks a proof that did not come through [`decode_proof`]: every point on its curve, in its
/// subgroup, and not the identity.
///
/// An identity in A or B takes their pairing out of the equation, one in C that of δ, one in D
/// that of δc. An honest prover meets one with probability 1/r, since all are blinded; refusing it
/// costs nothing and keeps proofs out that only exploit a broken key.
///
/// # Errors
/// [`Rejection::ProofMalformed`].
pub fn check_proof(proof: &Proof) -> Result<(), Rejection> {
    check_g1(&proof.groth16.a).map_err(|e| refuse("A", e))?;
    check_g2(&proof.groth16.b).map_err(|e| refuse("B", e))?;
    check_g1(&proof.groth16.c).map_err(|e| refuse("C", e))?;
    if let Some(commitment) = &proof.commitment {
        check_g1(commitment).map_err(|e| refuse("D", e))?;
    }
    Ok(())
}

/// A proof whose points have been checked: what a batch takes, so that no proof is checked twice.
#[derive(Debug, Clone, PartialEq)]
pub struct CheckedProof(Proof);

impl CheckedProof {
    /// Checks a proof.
    ///
    /// # Errors
    /// As [`check_proof`].
    pub fn new(proof: impl Into<Proof>) -> Result<Self, Rejection> {
        let proof = proof.into();
        check_proof(&proof)?;
        Ok(Self(proof))
    }

    /// Reads a proof in its one encoding, which checks it.
    ///
    /// # Errors
    /// As [`decode_proof`].
    pub fn decode(bytes: &[u8]) -> Result<Self, Rejection> {
        decode_proof(bytes).map(Self)
    }

    /// The proof.
    pub const fn proof(&self) -> &Proof {
        &self.0
    }
}

const fn refuse(part: &'static str, error: PointError) -> Rejection {
    Rejection::ProofMalformed {
        part,
        reason: error.reason(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ark_bn254::{Fq2, Fr, G2Affine};
    use ark_ec::{AffineRepr as _, CurveGroup as _};

    fn g1(n: u64) -> G1Affine {
        (G1Affine::generator() * Fr::from(n)).into_affine()
    }

    fn plain() -> Proof {
        ark_groth16::Proof {
            a: g1(3),
            b: (G2Affine::generator() * Fr::from(4)).into_affine(),
            c: g1(5),
        }
        .into()
    }

    fn committed() -> Proof {
        Proof {
            commitment: Some(g1(6)),
            ..plain()
        }
    }

    #[test]
    fn round_trip() {
        for (proof, length) in [(plain(), 256), (committed(), 320)] {
            let bytes = encode_proof(&proof);
            assert_eq!(bytes.len(), length);
            assert_eq!(bytes.backend(), proof.backend());
            assert_eq!(decode_proof(&bytes).unwrap(), proof);
            assert_eq!(check_proof(&proof), Ok(()));
        }
    }

    #[test]
    fn refuses_other_bytes() {
        for proof in [plain(), committed()] {
            let bytes = encode_proof(&proof).to_vec();
            for bad in [&bytes[1..], &[bytes.as_slice(), &[0]].concat(), &[]] {
                assert_eq!(decode_proof(bad).unwrap_err().code(), "proof-malformed");
            }
            for at in 0..bytes.len() {
                let mut bad = bytes.clone();
                bad[at] ^= 1;
                assert_eq!(
                    decode_proof(&bad).unwrap_err().code(),
                    "proof-malformed",
                    "byte {at}"
                );
            }
        }
    }

    #[test]
    fn refuses_identities_and_foreign_points() {
        type Change = fn(&mut Proof);
        let changes: [(Change, &str); 5] = [
            (|p| p.groth16.a = G1Affine::identity(), "A is the identity"),
            (|p| p.groth16.b = G2Affine::identity(), "B is the identity"),
            (|p| p.groth16.c = G1Affine::identity(), "C is the identity"),
            (
                |p| p.commitment = Some(G1Affine::identity()),
                "D is the identity",
            ),
            (
                |p| {
                    p.groth16.b = (1_u64..)
                        .find_map(|x| G2Affine::get_point_from_x_unchecked(Fq2::from(x), false))
                        .unwrap();
                },
                "B is not in the subgroup",
            ),
        ];
        for (change, words) in changes {
            let mut proof = committed();
            change(&mut proof);
            let by_bytes = decode_proof(&encode_proof(&proof)).unwrap_err();
            assert_eq!(check_proof(&proof).unwrap_err(), by_bytes);
            assert_eq!(CheckedProof::new(&proof), Err(by_bytes.clone()));
            assert_eq!(by_bytes.code(), "proof-malformed");
            assert!(by_bytes.to_string().contains(words), "{by_bytes}");
        }
    }
}

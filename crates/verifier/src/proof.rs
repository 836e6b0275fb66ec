//! A proof's 256 bytes: A (G1), B (G2), C (G1) as in EIP-197, ready for a contract's calldata.

use ark_bn254::Bn254;
use ark_groth16::Proof;
use proofmark_types::receipt::PROOF_BYTES;

use crate::point::{PointError, Reader, check_g1, check_g2, push_g1, push_g2};
use crate::rejection::Rejection;

/// The one encoding. A proof with an identity in it encodes to bytes that are refused on reading.
pub fn encode_proof(proof: &Proof<Bn254>) -> [u8; PROOF_BYTES] {
    let mut bytes = Vec::with_capacity(PROOF_BYTES);
    push_g1(&mut bytes, &proof.a);
    push_g2(&mut bytes, &proof.b);
    push_g1(&mut bytes, &proof.c);
    let mut fixed = [0; PROOF_BYTES];
    for (slot, byte) in fixed.iter_mut().zip(bytes) {
        *slot = byte;
    }
    fixed
}

/// Reads a proof in its one encoding.
///
/// # Errors
/// As [`check_proof`], and for any length but 256 bytes and coordinates that are not reduced.
pub fn decode_proof(bytes: &[u8]) -> Result<Proof<Bn254>, Rejection> {
    if bytes.len() != PROOF_BYTES {
        return Err(Rejection::ProofMalformed {
            part: "file",
            reason: "is not 256 bytes long",
        });
    }
    let mut reader = Reader::new(bytes);
    let a = reader.g1().map_err(|e| refuse("A", e))?;
    let b = reader.g2().map_err(|e| refuse("B", e))?;
    let c = reader.g1().map_err(|e| refuse("C", e))?;
    Ok(Proof { a, b, c })
}

/// Checks a proof that did not come through [`decode_proof`]: every point on its curve, in its
/// subgroup, and not the identity.
///
/// An identity in A or B takes their pairing out of the equation, one in C that of δ. An honest
/// prover meets one with probability 1/r, since A, B and C are blinded; refusing it costs nothing
/// and keeps proofs out that only exploit a broken key.
///
/// # Errors
/// [`Rejection::ProofMalformed`].
pub fn check_proof(proof: &Proof<Bn254>) -> Result<(), Rejection> {
    check_g1(&proof.a).map_err(|e| refuse("A", e))?;
    check_g2(&proof.b).map_err(|e| refuse("B", e))?;
    check_g1(&proof.c).map_err(|e| refuse("C", e))
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
    use ark_bn254::{Fq2, Fr, G1Affine, G2Affine};
    use ark_ec::{AffineRepr as _, CurveGroup as _};

    fn sample() -> Proof<Bn254> {
        Proof {
            a: (G1Affine::generator() * Fr::from(3)).into_affine(),
            b: (G2Affine::generator() * Fr::from(4)).into_affine(),
            c: (G1Affine::generator() * Fr::from(5)).into_affine(),
        }
    }

    #[test]
    fn round_trip() {
        let bytes = encode_proof(&sample());
        assert_eq!(decode_proof(&bytes).unwrap(), sample());
        assert_eq!(check_proof(&sample()), Ok(()));
    }

    #[test]
    fn refuses_other_bytes() {
        let bytes = encode_proof(&sample());
        for bad in [&bytes[..255], &[bytes.as_slice(), &[0]].concat(), &[]] {
            assert_eq!(decode_proof(bad).unwrap_err().code(), "proof-malformed");
        }
        for at in 0..bytes.len() {
            let mut bad = bytes;
            bad[at] ^= 1;
            assert_eq!(
                decode_proof(&bad).unwrap_err().code(),
                "proof-malformed",
                "byte {at}"
            );
        }
    }

    #[test]
    fn refuses_identities_and_foreign_points() {
        type Change = fn(&mut Proof<Bn254>);
        let changes: [(Change, &str); 4] = [
            (|p| p.a = G1Affine::identity(), "A is the identity"),
            (|p| p.b = G2Affine::identity(), "B is the identity"),
            (|p| p.c = G1Affine::identity(), "C is the identity"),
            (
                |p| {
                    p.b = (1_u64..)
                        .find_map(|x| G2Affine::get_point_from_x_unchecked(Fq2::from(x), false))
                        .unwrap();
                },
                "B is not in the subgroup",
            ),
        ];
        for (change, words) in changes {
            let mut proof = sample();
            change(&mut proof);
            let by_bytes = decode_proof(&encode_proof(&proof)).unwrap_err();
            assert_eq!(check_proof(&proof).unwrap_err(), by_bytes);
            assert_eq!(by_bytes.code(), "proof-malformed");
            assert!(by_bytes.to_string().contains(words), "{by_bytes}");
        }
    }
}

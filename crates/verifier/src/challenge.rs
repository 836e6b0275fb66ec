//! The challenge of the committed backend: the same bytes in Rust, wasm and Solidity.

use ark_bn254::G1Affine;
use ark_ff::PrimeField as _;
use proofmark_types::field::fr_to_bytes;
use proofmark_types::{Digest, Fr};
use sha3::{Digest as _, Keccak256};

use crate::point::push_g1;

/// Domain string of the challenge, zero-padded to 32 bytes in the hash.
pub const CHALLENGE_DOMAIN: &str = "proofmark/logup-challenge/v1";

/// The field element at which the lookups of a proof are compared (`docs/security/lookup-backend.md`):
/// `keccak256(domain ‖ verifying key's digest ‖ D ‖ public inputs) mod r`, read big-endian. The
/// domain is [`CHALLENGE_DOMAIN`] and four zero bytes, the digest SHA-256 of the verifying key's
/// one encoding, D 64 bytes as in EIP-197, and each public input 32 bytes big-endian, in order.
/// The key's digest binds their number.
pub fn challenge(verifying_key: &Digest, commitment: &G1Affine, public_inputs: &[Fr]) -> Fr {
    let mut domain = [0_u8; 32];
    for (slot, byte) in domain.iter_mut().zip(CHALLENGE_DOMAIN.bytes()) {
        *slot = byte;
    }
    let mut point = Vec::new();
    push_g1(&mut point, commitment);
    let mut hash = Keccak256::new();
    hash.update(domain);
    hash.update(verifying_key.as_bytes());
    hash.update(point);
    for input in public_inputs {
        hash.update(fr_to_bytes(input));
    }
    Fr::from_be_bytes_mod_order(&hash.finalize())
}

#[cfg(test)]
mod tests {
    use super::*;
    use ark_ec::{AffineRepr as _, CurveGroup as _};
    use proofmark_types::field::fr_to_hex;

    fn point(n: u64) -> G1Affine {
        (G1Affine::generator() * Fr::from(n)).into_affine()
    }

    /// Fixed inputs, fixed output, computed by an independent implementation of keccak-256:
    /// contracts and browsers repeat it.
    #[test]
    fn known_answers() {
        let digest = Digest::of(b"proofmark verifying key");
        for (inputs, expected) in [
            (
                vec![],
                "0x102f58d59cdd196753a4a574a3d411c645f799e220d4764c3f292cb60727097d",
            ),
            (
                vec![Fr::from(7)],
                "0x08e80129cd5257097436182a7c6c7a4836168bde96d435ff7c82215fc3cf6a1b",
            ),
            (
                vec![Fr::from(-1), Fr::from(0), Fr::from(1_u64 << 40)],
                "0x0abd53b645c01876d7cbf1746e7862dcc25b1e51c31d0e1ff84ef1c86a2d716b",
            ),
        ] {
            assert_eq!(fr_to_hex(&challenge(&digest, &point(1), &inputs)), expected);
        }
    }

    #[test]
    fn the_hashed_bytes_are_those_of_the_page() {
        let digest = Digest::of(b"key");
        let inputs = [Fr::from(3), Fr::from(-3)];
        let mut bytes = b"proofmark/logup-challenge/v1\0\0\0\0".to_vec();
        bytes.extend_from_slice(digest.as_bytes());
        push_g1(&mut bytes, &point(5));
        for input in &inputs {
            bytes.extend_from_slice(&fr_to_bytes(input));
        }
        assert_eq!(bytes.len(), 32 + 32 + 64 + 64);
        let expected = Fr::from_be_bytes_mod_order(&Keccak256::digest(&bytes));
        assert_eq!(challenge(&digest, &point(5), &inputs), expected);
    }

    #[test]
    fn every_part_counts() {
        let (a, b) = (Digest::of(b"a"), Digest::of(b"b"));
        let [one, two] = [Fr::from(1), Fr::from(2)];
        let all = [
            challenge(&a, &point(1), &[one, two]),
            challenge(&b, &point(1), &[one, two]),
            challenge(&a, &point(2), &[one, two]),
            challenge(&a, &-point(1), &[one, two]),
            challenge(&a, &point(1), &[two, one]),
            challenge(&a, &point(1), &[one, one]),
            challenge(&a, &point(1), &[two, two]),
            challenge(&a, &point(1), &[one]),
            challenge(&a, &point(1), &[one, two, Fr::from(0)]),
            challenge(&a, &point(1), &[Fr::from(0), one, two]),
        ];
        for (index, x) in all.iter().enumerate() {
            assert!(!all[..index].contains(x), "{index}");
        }
    }
}

//! The verifying key's file: magic and version, number of public inputs, α, β, γ, δ and IC.

use ark_bn254::Bn254;
use ark_groth16::VerifyingKey;

use crate::point::{G1_BYTES, G2_BYTES, PointError, Reader, check_g1, check_g2, push_g1, push_g2};
use crate::rejection::Rejection;

/// First bytes of a verifying key: name and version of the format.
pub const KEY_MAGIC: &[u8; 16] = b"proofmark/vk/v1\0";
/// Most public inputs of a key that is read.
pub const MAX_PUBLIC_INPUTS: usize = 1 << 20;

/// The one encoding: [`KEY_MAGIC`], number n of public inputs (u32 LE), α (G1), β, γ, δ (G2),
/// IC\[0\] … IC\[n\] (G1), points as in EIP-197. The constant one is not counted in n.
///
/// # Errors
/// [`Rejection`] for a key that [`decode_verifying_key`] would refuse.
pub fn encode_verifying_key(key: &VerifyingKey<Bn254>) -> Result<Vec<u8>, Rejection> {
    check_verifying_key(key)?;
    let count = key.gamma_abc_g1.len().saturating_sub(1);
    let malformed = || Rejection::KeyMalformed {
        part: "number of public inputs",
        reason: "is larger than is read",
    };
    let count = u32::try_from(count).map_err(|_| malformed())?;
    let mut bytes = KEY_MAGIC.to_vec();
    bytes.extend_from_slice(&count.to_le_bytes());
    push_g1(&mut bytes, &key.alpha_g1);
    for point in [&key.beta_g2, &key.gamma_g2, &key.delta_g2] {
        push_g2(&mut bytes, point);
    }
    for point in &key.gamma_abc_g1 {
        push_g1(&mut bytes, point);
    }
    Ok(bytes)
}

/// Reads a verifying key in its one encoding.
///
/// # Errors
/// [`Rejection::KeyMalformed`] for other bytes, a coordinate that is not reduced, a point off the
/// curve or outside its subgroup; [`Rejection::KeyDegenerate`] as [`check_verifying_key`].
pub fn decode_verifying_key(bytes: &[u8]) -> Result<VerifyingKey<Bn254>, Rejection> {
    let malformed = |part, reason| Rejection::KeyMalformed { part, reason };
    let mut reader = Reader::new(bytes);
    if reader.take() != Some(*KEY_MAGIC) {
        return Err(malformed(
            "file",
            "is not a proofmark verifying key of version 1",
        ));
    }
    let count = reader
        .take()
        .map(u32::from_le_bytes)
        .and_then(|n| usize::try_from(n).ok());
    let count = count.filter(|n| *n <= MAX_PUBLIC_INPUTS).ok_or(malformed(
        "number of public inputs",
        "is missing or larger than is read",
    ))?;
    // The length is known before anything is allocated.
    let points = count.saturating_add(1).saturating_mul(G1_BYTES);
    let expected = [
        KEY_MAGIC.len(),
        4,
        G1_BYTES,
        G2_BYTES,
        G2_BYTES,
        G2_BYTES,
        points,
    ]
    .into_iter()
    .fold(0_usize, usize::saturating_add);
    if bytes.len() != expected {
        return Err(malformed(
            "file",
            "is not as long as its number of public inputs says",
        ));
    }
    let alpha_g1 = reader.g1().map_err(|e| refuse("alpha", e))?;
    let beta_g2 = reader.g2().map_err(|e| refuse("beta", e))?;
    let gamma_g2 = reader.g2().map_err(|e| refuse("gamma", e))?;
    let delta_g2 = reader.g2().map_err(|e| refuse("delta", e))?;
    let gamma_abc_g1 = (0..=count)
        .map(|_| reader.g1().map_err(|e| refuse("IC", e)))
        .collect::<Result<Vec<_>, _>>()?;
    let key = VerifyingKey {
        alpha_g1,
        beta_g2,
        gamma_g2,
        delta_g2,
        gamma_abc_g1,
    };
    check_distinct(&key)?;
    Ok(key)
}

/// Checks a key that did not come through [`decode_verifying_key`]: every point on its curve, in
/// its subgroup and not the identity, and δ ≠ γ.
///
/// With δ = γ (a key without phase 2) anyone forges proofs of any statement; an identity among the
/// points takes a factor out of the equation, and an identity in IC a public input out of the
/// statement.
///
/// # Errors
/// [`Rejection::KeyMalformed`] or [`Rejection::KeyDegenerate`].
pub fn check_verifying_key(key: &VerifyingKey<Bn254>) -> Result<(), Rejection> {
    check_g1(&key.alpha_g1).map_err(|e| refuse("alpha", e))?;
    check_g2(&key.beta_g2).map_err(|e| refuse("beta", e))?;
    check_g2(&key.gamma_g2).map_err(|e| refuse("gamma", e))?;
    check_g2(&key.delta_g2).map_err(|e| refuse("delta", e))?;
    for point in &key.gamma_abc_g1 {
        check_g1(point).map_err(|e| refuse("IC", e))?;
    }
    if !(1..=MAX_PUBLIC_INPUTS.saturating_add(1)).contains(&key.gamma_abc_g1.len()) {
        return Err(Rejection::KeyMalformed {
            part: "IC",
            reason: "has no point, or more than are read",
        });
    }
    check_distinct(key)
}

fn check_distinct(key: &VerifyingKey<Bn254>) -> Result<(), Rejection> {
    if key.delta_g2 == key.gamma_g2 {
        return Err(Rejection::KeyDegenerate {
            reason: "delta equals gamma",
        });
    }
    Ok(())
}

fn refuse(part: &'static str, error: PointError) -> Rejection {
    match error {
        PointError::Identity => Rejection::KeyDegenerate {
            reason: match part {
                "alpha" => "alpha is the identity",
                "beta" => "beta is the identity",
                "gamma" => "gamma is the identity",
                "delta" => "delta is the identity",
                _ => "a point of IC is the identity",
            },
        },
        PointError::Short
        | PointError::NotReduced
        | PointError::OffCurve
        | PointError::OffSubgroup => Rejection::KeyMalformed {
            part,
            reason: error.reason(),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ark_bn254::{Fr, G1Affine, G2Affine};
    use ark_ec::{AffineRepr as _, CurveGroup as _};

    fn g1(n: u64) -> G1Affine {
        (G1Affine::generator() * Fr::from(n)).into_affine()
    }

    fn g2(n: u64) -> G2Affine {
        (G2Affine::generator() * Fr::from(n)).into_affine()
    }

    fn sample() -> VerifyingKey<Bn254> {
        VerifyingKey {
            alpha_g1: g1(2),
            beta_g2: g2(3),
            gamma_g2: g2(1),
            delta_g2: g2(5),
            gamma_abc_g1: vec![g1(7), g1(8), g1(9)],
        }
    }

    #[test]
    fn round_trip() {
        let bytes = encode_verifying_key(&sample()).unwrap();
        assert_eq!(bytes.len(), 16 + 4 + 64 + 3 * 128 + 3 * 64);
        assert_eq!(decode_verifying_key(&bytes).unwrap(), sample());
    }

    #[test]
    fn refuses_degenerate_keys() {
        type Change = fn(&mut VerifyingKey<Bn254>);
        let changes: [Change; 6] = [
            |k| k.alpha_g1 = G1Affine::identity(),
            |k| k.beta_g2 = G2Affine::identity(),
            |k| k.gamma_g2 = G2Affine::identity(),
            |k| k.delta_g2 = G2Affine::identity(),
            |k| k.gamma_abc_g1[2] = G1Affine::identity(),
            |k| k.delta_g2 = k.gamma_g2,
        ];
        for change in changes {
            let mut key = sample();
            change(&mut key);
            assert_eq!(
                encode_verifying_key(&key).unwrap_err().code(),
                "key-degenerate"
            );
            // The same key written without the check.
            let mut bytes = KEY_MAGIC.to_vec();
            bytes.extend_from_slice(&2_u32.to_le_bytes());
            push_g1(&mut bytes, &key.alpha_g1);
            for point in [&key.beta_g2, &key.gamma_g2, &key.delta_g2] {
                push_g2(&mut bytes, point);
            }
            for point in &key.gamma_abc_g1 {
                push_g1(&mut bytes, point);
            }
            assert_eq!(
                decode_verifying_key(&bytes).unwrap_err().code(),
                "key-degenerate"
            );
        }
        let mut empty = sample();
        empty.gamma_abc_g1.clear();
        assert_eq!(
            encode_verifying_key(&empty).unwrap_err().code(),
            "key-malformed"
        );
    }

    #[test]
    fn refuses_other_bytes() {
        let bytes = encode_verifying_key(&sample()).unwrap();
        for cut in 0..bytes.len() {
            assert_eq!(
                decode_verifying_key(&bytes[..cut]).unwrap_err().code(),
                "key-malformed"
            );
        }
        let mut long = bytes.clone();
        long.push(0);
        assert_eq!(
            decode_verifying_key(&long).unwrap_err().code(),
            "key-malformed"
        );
        let mut huge = bytes.clone();
        huge[16..20].copy_from_slice(&u32::MAX.to_le_bytes());
        assert_eq!(
            decode_verifying_key(&huge).unwrap_err().code(),
            "key-malformed"
        );
        for at in (0..bytes.len()).step_by(7) {
            let mut bad = bytes.clone();
            bad[at] ^= 1;
            assert_eq!(
                decode_verifying_key(&bad).unwrap_err().code(),
                "key-malformed",
                "{at}"
            );
        }
    }
}

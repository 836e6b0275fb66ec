//! The verifying key's file: magic and version, number of public inputs, α, β, γ, δ, for the
//! committed backend δc, and IC.

use ark_bn254::{Bn254, G1Affine, G2Affine};
use proofmark_types::Digest;
use proofmark_types::manifest::Backend;

use crate::point::{G1_BYTES, G2_BYTES, PointError, Reader, check_g1, check_g2, push_g1, push_g2};
use crate::rejection::Rejection;

/// First bytes of a plain verifying key: name and version of the format.
pub const KEY_MAGIC: &[u8; 16] = b"proofmark/vk/v1\0";
/// First bytes of a verifying key of the committed backend.
pub const COMMITTED_KEY_MAGIC: &[u8; 16] = b"proofmark/vkc/v1";
/// Most public inputs of a key that is read.
pub const MAX_PUBLIC_INPUTS: usize = 1 << 20;

/// A verifying key of either backend.
///
/// With a commitment, the last point of IC belongs to the challenge, which the verifier computes
/// ([`challenge`](crate::challenge)); it is no public input of the statement.
#[derive(Debug, Clone, PartialEq)]
pub struct VerifyingKey {
    /// α, β, γ, δ and IC: for the constant, the public inputs in order, and with a commitment for
    /// the challenge.
    pub groth16: ark_groth16::VerifyingKey<Bn254>,
    /// δc of the committed backend: what the committed wires are divided by.
    pub delta_committed_g2: Option<G2Affine>,
}

impl VerifyingKey {
    /// The proof system that the key is of.
    pub const fn backend(&self) -> Backend {
        match self.delta_committed_g2 {
            None => Backend::Groth16,
            Some(_) => Backend::Groth16Logup,
        }
    }

    /// Number of the statement's public inputs: neither the constant nor the challenge counts.
    pub const fn public_inputs(&self) -> usize {
        self.groth16
            .gamma_abc_g1
            .len()
            .saturating_sub(fixed_wires(self.backend()))
    }

    /// SHA-256 of the key's one encoding, which packages record and challenges hash.
    ///
    /// # Errors
    /// As [`encode_verifying_key`].
    pub fn digest(&self) -> Result<Digest, Rejection> {
        encode_verifying_key(self).map(|bytes| Digest::of(&bytes))
    }
}

impl From<ark_groth16::VerifyingKey<Bn254>> for VerifyingKey {
    fn from(groth16: ark_groth16::VerifyingKey<Bn254>) -> Self {
        Self {
            groth16,
            delta_committed_g2: None,
        }
    }
}

impl From<&ark_groth16::VerifyingKey<Bn254>> for VerifyingKey {
    fn from(groth16: &ark_groth16::VerifyingKey<Bn254>) -> Self {
        groth16.clone().into()
    }
}

impl From<&Self> for VerifyingKey {
    fn from(key: &Self) -> Self {
        key.clone()
    }
}

/// Wires in IC that are no public inputs of the statement: the constant, and the challenge.
const fn fixed_wires(backend: Backend) -> usize {
    match backend {
        Backend::Groth16 => 1,
        Backend::Groth16Logup => 2,
    }
}

/// The one encoding: [`KEY_MAGIC`] or [`COMMITTED_KEY_MAGIC`], number n of public inputs (u32 LE),
/// α (G1), β, γ, δ and with a commitment δc (G2), IC\[0\] … IC\[n\] and with a commitment that of the
/// challenge (G1), points as in EIP-197. Neither the constant nor the challenge is counted in n.
///
/// # Errors
/// [`Rejection`] for a key that [`decode_verifying_key`] would refuse.
pub fn encode_verifying_key(key: impl Into<VerifyingKey>) -> Result<Vec<u8>, Rejection> {
    let key = key.into();
    check_verifying_key(&key)?;
    write(&key).ok_or(TOO_MANY)
}

const TOO_MANY: Rejection = Rejection::KeyMalformed {
    part: "number of public inputs",
    reason: "is larger than is read",
};

/// The encoding of a key that was checked.
pub(crate) fn write(key: &VerifyingKey) -> Option<Vec<u8>> {
    let VerifyingKey {
        groth16,
        delta_committed_g2,
    } = key;
    let count = u32::try_from(key.public_inputs()).ok()?;
    let magic = match key.backend() {
        Backend::Groth16 => KEY_MAGIC,
        Backend::Groth16Logup => COMMITTED_KEY_MAGIC,
    };
    let mut bytes = magic.to_vec();
    bytes.extend_from_slice(&count.to_le_bytes());
    push_g1(&mut bytes, &groth16.alpha_g1);
    let fixed = [&groth16.beta_g2, &groth16.gamma_g2, &groth16.delta_g2];
    for point in fixed.into_iter().chain(delta_committed_g2) {
        push_g2(&mut bytes, point);
    }
    for point in &groth16.gamma_abc_g1 {
        push_g1(&mut bytes, point);
    }
    Some(bytes)
}

/// Reads a verifying key in its one encoding.
///
/// # Errors
/// [`Rejection::KeyMalformed`] for other bytes, a coordinate that is not reduced, a point off the
/// curve or outside its subgroup; [`Rejection::KeyDegenerate`] as [`check_verifying_key`].
pub fn decode_verifying_key(bytes: &[u8]) -> Result<VerifyingKey, Rejection> {
    let malformed = |part, reason| Rejection::KeyMalformed { part, reason };
    let mut reader = Reader::new(bytes);
    let backend = match reader.take() {
        Some(magic) if magic == *KEY_MAGIC => Backend::Groth16,
        Some(magic) if magic == *COMMITTED_KEY_MAGIC => Backend::Groth16Logup,
        _ => {
            return Err(malformed(
                "file",
                "is not a proofmark verifying key of version 1",
            ));
        }
    };
    let count = reader
        .take()
        .map(u32::from_le_bytes)
        .and_then(|n| usize::try_from(n).ok());
    let count = count.filter(|n| *n <= MAX_PUBLIC_INPUTS).ok_or(malformed(
        "number of public inputs",
        "is missing or larger than is read",
    ))?;
    // The length is known before anything is allocated.
    let ic = count.saturating_add(fixed_wires(backend));
    let in_g2: usize = match backend {
        Backend::Groth16 => 3,
        Backend::Groth16Logup => 4,
    };
    let expected = [
        KEY_MAGIC.len(),
        4,
        G1_BYTES,
        in_g2.saturating_mul(G2_BYTES),
        ic.saturating_mul(G1_BYTES),
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
    let delta_committed_g2 = match backend {
        Backend::Groth16 => None,
        Backend::Groth16Logup => Some(reader.g2().map_err(|e| refuse("delta committed", e))?),
    };
    let gamma_abc_g1 = (0..ic)
        .map(|_| reader.g1().map_err(|e| refuse("IC", e)))
        .collect::<Result<Vec<G1Affine>, _>>()?;
    let key = VerifyingKey {
        groth16: ark_groth16::VerifyingKey {
            alpha_g1,
            beta_g2,
            gamma_g2,
            delta_g2,
            gamma_abc_g1,
        },
        delta_committed_g2,
    };
    check_distinct(&key)?;
    Ok(key)
}

/// Checks a key that did not come through [`decode_verifying_key`]: every point on its curve, in
/// its subgroup and not the identity, and γ, δ and δc different.
///
/// With δ = γ (a key without phase 2) or δc = γ anyone forges proofs of any statement; with δc = δ
/// committed wires could be chosen after the challenge. An identity among the points takes a
/// factor out of the equation, and an identity in IC a public input or the challenge.
///
/// # Errors
/// [`Rejection::KeyMalformed`] or [`Rejection::KeyDegenerate`].
pub fn check_verifying_key(key: &VerifyingKey) -> Result<(), Rejection> {
    let VerifyingKey {
        groth16,
        delta_committed_g2,
    } = key;
    check_g1(&groth16.alpha_g1).map_err(|e| refuse("alpha", e))?;
    check_g2(&groth16.beta_g2).map_err(|e| refuse("beta", e))?;
    check_g2(&groth16.gamma_g2).map_err(|e| refuse("gamma", e))?;
    check_g2(&groth16.delta_g2).map_err(|e| refuse("delta", e))?;
    if let Some(point) = delta_committed_g2 {
        check_g2(point).map_err(|e| refuse("delta committed", e))?;
    }
    for point in &groth16.gamma_abc_g1 {
        check_g1(point).map_err(|e| refuse("IC", e))?;
    }
    let least = fixed_wires(key.backend());
    let most = MAX_PUBLIC_INPUTS.saturating_add(least);
    if !(least..=most).contains(&groth16.gamma_abc_g1.len()) {
        return Err(Rejection::KeyMalformed {
            part: "IC",
            reason: "has too few points, or more than are read",
        });
    }
    check_distinct(key)
}

fn check_distinct(key: &VerifyingKey) -> Result<(), Rejection> {
    let VerifyingKey {
        groth16,
        delta_committed_g2,
    } = key;
    let refuse = |reason| Err(Rejection::KeyDegenerate { reason });
    // Of two that are equal or opposite everybody knows the ratio, and moves a term of the equation
    // from one pairing into the other. Points with one x are equal or opposite.
    let same = |one: &G2Affine, other: &G2Affine| one.x == other.x;
    let (beta, gamma, delta) = (&groth16.beta_g2, &groth16.gamma_g2, &groth16.delta_g2);
    if same(delta, gamma) {
        return refuse("delta equals gamma or its opposite");
    }
    if same(beta, gamma) || same(beta, delta) {
        return refuse("beta equals gamma or delta or the opposite of one");
    }
    if let Some(committed) = delta_committed_g2 {
        if same(committed, gamma) {
            return refuse("delta committed equals gamma or its opposite");
        }
        if same(committed, delta) {
            return refuse("delta committed equals delta or its opposite");
        }
        if same(committed, beta) {
            return refuse("delta committed equals beta or its opposite");
        }
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
                "delta committed" => "delta committed is the identity",
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
    use ark_bn254::Fr;
    use ark_ec::{AffineRepr as _, CurveGroup as _};

    fn g1(n: u64) -> G1Affine {
        (G1Affine::generator() * Fr::from(n)).into_affine()
    }

    fn g2(n: u64) -> G2Affine {
        (G2Affine::generator() * Fr::from(n)).into_affine()
    }

    fn plain() -> VerifyingKey {
        ark_groth16::VerifyingKey {
            alpha_g1: g1(2),
            beta_g2: g2(3),
            gamma_g2: g2(1),
            delta_g2: g2(5),
            gamma_abc_g1: vec![g1(7), g1(8), g1(9)],
        }
        .into()
    }

    fn committed() -> VerifyingKey {
        VerifyingKey {
            delta_committed_g2: Some(g2(6)),
            ..plain()
        }
    }

    #[test]
    fn round_trip() {
        let bytes = encode_verifying_key(plain()).unwrap();
        assert_eq!(bytes.len(), 16 + 4 + 64 + 3 * 128 + 3 * 64);
        assert_eq!(bytes[16..20], 2_u32.to_le_bytes());
        assert_eq!(decode_verifying_key(&bytes).unwrap(), plain());
        assert_eq!(plain().public_inputs(), 2);
        let bytes = encode_verifying_key(committed()).unwrap();
        assert_eq!(bytes.len(), 16 + 4 + 64 + 4 * 128 + 3 * 64);
        assert_eq!(bytes[16..20], 1_u32.to_le_bytes());
        assert_eq!(decode_verifying_key(&bytes).unwrap(), committed());
        assert_eq!(committed().public_inputs(), 1);
        assert_eq!(committed().digest().unwrap(), Digest::of(&bytes));
        assert_ne!(committed().digest(), plain().digest());
    }

    #[test]
    fn a_key_of_one_backend_is_not_read_as_the_other() {
        for (key, magic) in [(plain(), COMMITTED_KEY_MAGIC), (committed(), KEY_MAGIC)] {
            let mut bytes = encode_verifying_key(key).unwrap();
            bytes[..16].copy_from_slice(magic);
            let error = decode_verifying_key(&bytes).unwrap_err();
            assert_eq!(error.code(), "key-malformed");
        }
    }

    #[test]
    fn refuses_degenerate_keys() {
        type Change = fn(&mut VerifyingKey);
        let changes: [(Change, bool); 17] = [
            (|k| k.groth16.alpha_g1 = G1Affine::identity(), false),
            (|k| k.groth16.beta_g2 = G2Affine::identity(), false),
            (|k| k.groth16.gamma_g2 = G2Affine::identity(), false),
            (|k| k.groth16.delta_g2 = G2Affine::identity(), false),
            (|k| k.groth16.gamma_abc_g1[0] = G1Affine::identity(), false),
            (|k| k.groth16.gamma_abc_g1[2] = G1Affine::identity(), false),
            (|k| k.groth16.delta_g2 = k.groth16.gamma_g2, false),
            (|k| k.groth16.delta_g2 = -k.groth16.gamma_g2, false),
            (|k| k.groth16.beta_g2 = k.groth16.gamma_g2, false),
            (|k| k.groth16.beta_g2 = -k.groth16.gamma_g2, false),
            (|k| k.groth16.beta_g2 = k.groth16.delta_g2, false),
            (|k| k.delta_committed_g2 = Some(k.groth16.beta_g2), true),
            (|k| k.delta_committed_g2 = Some(-k.groth16.gamma_g2), true),
            (|k| k.delta_committed_g2 = Some(-k.groth16.delta_g2), true),
            (|k| k.delta_committed_g2 = Some(G2Affine::identity()), true),
            (|k| k.delta_committed_g2 = Some(k.groth16.gamma_g2), true),
            (|k| k.delta_committed_g2 = Some(k.groth16.delta_g2), true),
        ];
        for (change, only_committed) in changes {
            let keys = [committed(), plain()];
            for mut key in keys.into_iter().take(if only_committed { 1 } else { 2 }) {
                change(&mut key);
                assert_eq!(
                    encode_verifying_key(&key).unwrap_err().code(),
                    "key-degenerate"
                );
                // The same key written without the check.
                assert_eq!(
                    decode_verifying_key(&write(&key).unwrap())
                        .unwrap_err()
                        .code(),
                    "key-degenerate"
                );
            }
        }
        for (mut key, least) in [(plain(), 1), (committed(), 2)] {
            key.groth16.gamma_abc_g1.truncate(least);
            assert_eq!(key.public_inputs(), 0);
            assert!(encode_verifying_key(&key).is_ok());
            key.groth16.gamma_abc_g1.truncate(least - 1);
            assert_eq!(
                encode_verifying_key(&key).unwrap_err().code(),
                "key-malformed"
            );
        }
    }

    #[test]
    fn refuses_other_bytes() {
        for key in [plain(), committed()] {
            let bytes = encode_verifying_key(key).unwrap();
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
            for at in 0..bytes.len() {
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
}

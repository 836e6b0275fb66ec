//! The public record of a ceremony: what each contributor proved, in order.
//!
//! This crate reads and writes it as part of a [transcript](crate::transcript). Whether the proofs in
//! it hold, and whether a key follows from them, is for `proofmark-ceremony` to verify, with the
//! circuit and the powers of tau at hand.

use ark_bn254::G1Affine;
use ark_ec::AffineRepr;
use ark_ff::{BigInteger, PrimeField};
use proofmark_types::Digest;
use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error as _};

use crate::key::ProvingKey;

/// Bytes, written as lower-case hex digits.
#[derive(Clone, PartialEq, Eq, Hash, Default)]
pub struct HexBytes(pub Vec<u8>);

impl core::fmt::Debug for HexBytes {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str(&self.to_hex())
    }
}

impl HexBytes {
    /// Two lower-case hex digits a byte.
    pub fn to_hex(&self) -> String {
        hex::encode(&self.0)
    }

    /// Reads pairs of lower-case hex digits.
    pub fn from_hex(text: &str) -> Option<Self> {
        let lower = !text.bytes().any(|b| b.is_ascii_uppercase());
        let bytes = lower.then(|| hex::decode(text).ok()).flatten();
        bytes.map(Self)
    }
}

impl Serialize for HexBytes {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.to_hex())
    }
}

impl<'de> Deserialize<'de> for HexBytes {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        Self::from_hex(&text).ok_or_else(|| D::Error::custom("not pairs of lower-case hex digits"))
    }
}

/// How a key came about that many made together.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CeremonyRecord {
    /// SHA-256 of the powers-of-tau file of phase 1.
    pub phase1: Digest,
    /// BLAKE2b-512 over the points of the key that phase 1 and the circuit give, before any
    /// contribution; of plain circuits snarkjs's circuit hash.
    pub initial_key: HexBytes,
    /// SHA-256 of the last contribution's file; absent when the key was imported.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_file: Option<Digest>,
    /// The contributions of phase 2, in order.
    pub contributions: Vec<ContributionRecord>,
}

impl CeremonyRecord {
    /// Whether the last contribution left the key's δ (and δc): a key of any other origin, such as one
    /// that a single party made, has others. No proof is checked here.
    pub fn ends_in(&self, key: &ProvingKey) -> bool {
        let Some(last) = self.contributions.last() else {
            return false;
        };
        let committed = match (&last.delta_committed, &key.committed) {
            (None, None) => true,
            (Some(share), Some(committed)) => share.after.0 == uncompressed(&committed.delta_g1),
            _ => false,
        };
        committed && last.delta.after.0 == uncompressed(&key.groth16.delta_g1)
    }
}

/// A point as in EIP-197.
fn uncompressed(point: &G1Affine) -> Vec<u8> {
    let (x, y) = point.xy().unwrap_or_default();
    [x, y]
        .iter()
        .flat_map(|coordinate| coordinate.into_bigint().to_bytes_be())
        .collect()
}

/// One contribution to phase 2.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ContributionRecord {
    /// Who contributed, in their own words: at most 255 bytes.
    pub name: String,
    /// What they say about how they did it; may be empty.
    pub statement: String,
    /// SHA-256 of the file that was contributed to; absent when the key was imported.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub previous: Option<Digest>,
    /// The change of δ.
    pub delta: ShareRecord,
    /// The change of δc; of circuits with a commitment only.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub delta_committed: Option<ShareRecord>,
    /// Where the factors come from, if they are no secret.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub beacon: Option<BeaconRecord>,
}

/// That δ (or δc) was multiplied by a factor that the contributor knows. Points as in EIP-197.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ShareRecord {
    /// δ in G1 afterwards.
    pub after: HexBytes,
    /// A point of G1.
    pub s: HexBytes,
    /// The same times the factor.
    pub sx: HexBytes,
    /// A point of G2 that nobody chose, hashed from all that precedes, times the factor.
    pub spx: HexBytes,
}

/// Public randomness that nobody could foresee, hashed over and over.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BeaconRecord {
    /// The randomness, 1 to 255 bytes.
    pub value: HexBytes,
    /// Binary logarithm of how many times SHA-256 is applied to it.
    pub iterations_log2: u32,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_have_one_spelling() {
        let read = |text: &str| serde_json::from_str::<HexBytes>(&format!("\"{text}\"")).ok();
        assert_eq!(read(""), Some(HexBytes(Vec::new())));
        assert_eq!(read("00ff1a"), Some(HexBytes(vec![0, 255, 26])));
        for bad in ["0", "00f", "FF", "0x00", "g0", " 00", "é"] {
            assert_eq!(read(bad), None, "{bad}");
        }
        let bytes = HexBytes((0..=255).collect());
        let text = serde_json::to_string(&bytes).unwrap();
        assert_eq!(serde_json::from_str::<HexBytes>(&text).unwrap(), bytes);
    }

    #[test]
    fn a_record_ends_in_the_key_with_its_deltas_alone() {
        let keys = |seed| {
            let plain = crate::testing::random_circuit(seed, 1, 10).0;
            let lookup = crate::testing::committed_circuit(1, 10);
            [plain, lookup].map(|circuit| crate::setup(&circuit, &crate::NoProgress).unwrap())
        };
        let share = |delta: &G1Affine| ShareRecord {
            after: HexBytes(uncompressed(delta)),
            s: HexBytes(Vec::new()),
            sx: HexBytes(Vec::new()),
            spx: HexBytes(Vec::new()),
        };
        let record = |key: &ProvingKey| CeremonyRecord {
            phase1: Digest::of(b"powers"),
            initial_key: HexBytes(Vec::new()),
            last_file: None,
            contributions: vec![ContributionRecord {
                name: String::new(),
                statement: String::new(),
                previous: None,
                delta: share(&key.groth16.delta_g1),
                delta_committed: key.committed.as_ref().map(|c| share(&c.delta_g1)),
                beacon: None,
            }],
        };
        let (mine, others) = (keys(1), keys(2));
        for (key, other) in mine.iter().zip(&others) {
            assert!(record(key).ends_in(key));
            assert!(!record(key).ends_in(other));
            let mut none = record(key);
            none.contributions.clear();
            assert!(!none.ends_in(key));
        }
        let [plain, lookup] = &mine;
        assert!(!record(plain).ends_in(lookup) && !record(lookup).ends_in(plain));
        // Of either delta alone.
        let mut half = lookup.clone();
        half.committed = others[1].committed.clone();
        assert!(!record(lookup).ends_in(&half));
        let mut half = lookup.clone();
        half.groth16.delta_g1 = others[1].groth16.delta_g1;
        assert!(!record(lookup).ends_in(&half));
    }
}

//! The context that a proof is bound to: who may use it, where, and until when.

use ark_ff::PrimeField;
use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error as _, ser::Error as _};
use sha3::{Digest as _, Keccak256};

use crate::field::{Fr, hex_bytes};
use crate::manifest::MAX_COUNT;

/// Domain string of the digest.
pub const CONTEXT_DOMAIN: &str = "proofmark/context/v1";

/// The first public input of every proof, spelled out. Off chain everything but the nonce is 0.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Context {
    /// EIP-155 chain id, big-endian.
    #[serde(with = "hex_bytes")]
    pub chain_id: [u8; 32],
    /// Address of the contract that may consume the proof.
    #[serde(with = "hex_bytes")]
    pub consumer: [u8; 20],
    /// Whoever asked, as the consumer identifies them.
    #[serde(with = "hex_bytes")]
    pub requester: [u8; 32],
    /// Chosen by whoever asked, so that no older proof answers.
    #[serde(with = "hex_bytes")]
    pub nonce: [u8; 32],
    /// Unix seconds after which the consumer refuses the proof; at most 2^53 − 1 in JSON.
    #[serde(serialize_with = "write_deadline", deserialize_with = "read_deadline")]
    pub deadline: u64,
}

#[expect(
    clippy::trivially_copy_pass_by_ref,
    reason = "serde calls it with a reference"
)]
fn write_deadline<S: Serializer>(deadline: &u64, serializer: S) -> Result<S::Ok, S::Error> {
    if *deadline > MAX_COUNT {
        return Err(S::Error::custom("deadline is above 2^53 - 1"));
    }
    serializer.serialize_u64(*deadline)
}

fn read_deadline<'de, D: Deserializer<'de>>(deserializer: D) -> Result<u64, D::Error> {
    let deadline = u64::deserialize(deserializer)?;
    if deadline > MAX_COUNT {
        return Err(D::Error::custom("deadline is above 2^53 - 1"));
    }
    Ok(deadline)
}

impl Context {
    /// The context of a proof that no contract consumes.
    pub fn off_chain(nonce: [u8; 32]) -> Self {
        Self {
            nonce,
            ..Self::default()
        }
    }

    /// Whether everything but the nonce is 0.
    pub fn is_off_chain(&self) -> bool {
        *self == Self::off_chain(self.nonce)
    }

    /// `abi.encode("proofmark/context/v1", uint256 chainId, address consumer, bytes32 requester,
    /// bytes32 nonce, uint64 deadline)`: 256 bytes.
    pub fn abi_encode(&self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(256);
        // The head has six words; the string is dynamic, so its word is its offset.
        push_left_padded(&mut bytes, &[192]);
        bytes.extend_from_slice(&self.chain_id);
        push_left_padded(&mut bytes, &self.consumer);
        bytes.extend_from_slice(&self.requester);
        bytes.extend_from_slice(&self.nonce);
        push_left_padded(&mut bytes, &self.deadline.to_be_bytes());
        // The tail: the string's length (20), then its bytes padded to a whole word.
        push_left_padded(&mut bytes, &[20]);
        bytes.extend_from_slice(CONTEXT_DOMAIN.as_bytes());
        bytes.resize(256, 0);
        bytes
    }

    /// `keccak256(abi_encode()) >> 8`: 248 bits, so always below the field order.
    pub fn digest(&self) -> Fr {
        let hash = Keccak256::digest(self.abi_encode());
        Fr::from_be_bytes_mod_order(hash.get(..31).unwrap_or_default())
    }
}

fn push_left_padded(bytes: &mut Vec<u8>, value: &[u8]) {
    bytes.resize(
        bytes
            .len()
            .saturating_add(32_usize.saturating_sub(value.len())),
        0,
    );
    bytes.extend_from_slice(value);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::field::fr_to_hex;

    fn ascending<const N: usize>(first: u8) -> [u8; N] {
        core::array::from_fn(|k| first + u8::try_from(k).unwrap())
    }

    fn number(n: u64) -> [u8; 32] {
        let mut bytes = [0; 32];
        bytes[24..].copy_from_slice(&n.to_be_bytes());
        bytes
    }

    #[test]
    fn digest_is_what_a_contract_computes() {
        // Computed with the Python packages eth_abi and pycryptodome.
        let vectors = [
            (
                Context::default(),
                "0x0014aa76e6a63955fa1b5aa18c0149887377a133b27ef67dfb238a41ac2d4618",
            ),
            (
                Context::off_chain(ascending(0)),
                "0x00b308ea0aac4df0d5b3718c22a225922754cb94b6239973546280d987e5cff7",
            ),
            (
                Context {
                    chain_id: number(11_155_111),
                    consumer: ascending(0xa0),
                    requester: ascending(0x20),
                    nonce: [0xff; 32],
                    deadline: 1_900_000_000,
                },
                "0x00451e6ede66b45e2779303b27fb3768e0c85723f6c6df462d3a2aed026b5cc6",
            ),
            (
                Context {
                    chain_id: [0xff; 32],
                    consumer: [0xff; 20],
                    requester: [0xff; 32],
                    nonce: [0xff; 32],
                    deadline: u64::MAX,
                },
                "0x00ecad6ebd2dfc0c00537aaa92d986463184a1c4847c42b569420bc2b75d0c43",
            ),
        ];
        for (context, want) in vectors {
            assert_eq!(fr_to_hex(&context.digest()), want);
        }
    }

    #[test]
    fn json_is_strict() {
        let context = Context {
            deadline: MAX_COUNT,
            ..Context::off_chain([7; 32])
        };
        let text = serde_json::to_string(&context).unwrap();
        assert_eq!(serde_json::from_str::<Context>(&text).unwrap(), context);
        let above = text.replace("9007199254740991", "9007199254740992");
        assert_ne!(above, text);
        assert!(serde_json::from_str::<Context>(&above).is_err());
        assert!(
            serde_json::to_string(&Context {
                deadline: u64::MAX,
                ..context
            })
            .is_err()
        );
        assert!(serde_json::from_str::<Context>(&text.replace("0x07", "0X07")).is_err());
        assert!(serde_json::from_str::<Context>(&text.replace("0x0707", "0x07")).is_err());
        assert!(!context.is_off_chain());
        assert!(Context::off_chain([7; 32]).is_off_chain());
    }
}

//! Calldata of the verifiers: the function's selector and its ABI-encoded arguments.

use alloy_primitives::{Bytes, FixedBytes, U256};
use alloy_sol_types::SolValue as _;
use proofmark_types::field::fr_to_bytes;
use proofmark_types::{Digest, Fr, ProofBytes};
use sha3::{Digest as _, Keccak256};

/// Which contract is called.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Target {
    /// The generated verifier of one key: `f(bytes proof, uint256[] inputs)`.
    Generated,
    /// A universal verifier or a router: `f(bytes32 key, bytes proof, uint256[] inputs)`.
    Keyed(Digest),
}

/// Which function is called.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Call {
    /// `verifyProof`: answers with a `bool`.
    VerifyProof,
    /// `requireProof`: reverts with the reason.
    RequireProof,
}

impl Call {
    const fn name(self) -> &'static str {
        match self {
            Self::VerifyProof => "verifyProof",
            Self::RequireProof => "requireProof",
        }
    }

    /// The calldata of this call: proof, and public inputs in the statement's order.
    pub fn encode(self, target: Target, proof: &ProofBytes, public_inputs: &[Fr]) -> Vec<u8> {
        let proof = Bytes::copy_from_slice(proof.as_ref());
        let inputs: Vec<U256> = public_inputs
            .iter()
            .map(|input| U256::from_be_bytes(fr_to_bytes(input)))
            .collect();
        let (arguments, parameters) = match target {
            Target::Generated => ((proof, inputs).abi_encode_params(), "(bytes,uint256[])"),
            Target::Keyed(key) => {
                let key = FixedBytes::from(*key.as_bytes());
                (
                    (key, proof, inputs).abi_encode_params(),
                    "(bytes32,bytes,uint256[])",
                )
            }
        };
        let mut calldata = selector(self.name(), parameters).to_vec();
        calldata.extend_from_slice(&arguments);
        calldata
    }

    /// The calldata of `register(bytes)`, which makes a key known to a universal verifier.
    pub fn register(key: &[u8]) -> Vec<u8> {
        let mut calldata = selector("register", "(bytes)").to_vec();
        calldata.extend((Bytes::copy_from_slice(key),).abi_encode_params());
        calldata
    }
}

/// First four bytes of the signature's keccak-256.
fn selector(name: &str, parameters: &str) -> [u8; 4] {
    let mut hash = Keccak256::new();
    hash.update(name);
    hash.update(parameters);
    let digest = hash.finalize();
    core::array::from_fn(|k| digest.get(k).copied().unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(bytes: &[u8]) -> Vec<&[u8]> {
        bytes.chunks(32).collect()
    }

    fn number(word: &[u8]) -> usize {
        word.iter().fold(0, |n, b| n * 256 + usize::from(*b))
    }

    #[test]
    fn layout_is_the_abi_specifications() {
        let proof = ProofBytes::from([7; 256]);
        let inputs = [Fr::from(3), Fr::from(-1)];
        let generated = Call::VerifyProof.encode(Target::Generated, &proof, &inputs);
        // Computed with the npm package js-sha3: keccak256("verifyProof(bytes,uint256[])").
        assert_eq!(generated[..4], [0x1e, 0x8e, 0x1e, 0x13]);
        let body = words(&generated[4..]);
        assert_eq!(number(body[0]), 64, "where the proof begins");
        assert_eq!(number(body[1]), 64 + 32 + 256, "where the inputs begin");
        assert_eq!(number(body[2]), 256);
        assert!(body[3..11].iter().all(|word| *word == [7; 32]));
        assert_eq!(number(body[11]), 2);
        assert_eq!(number(body[12]), 3);
        assert_eq!(body[13], fr_to_bytes(&Fr::from(-1)));
        assert_eq!(body.len(), 14);

        let key = Digest::of(b"key");
        let keyed = Call::RequireProof.encode(Target::Keyed(key), &proof, &inputs);
        let body = words(&keyed[4..]);
        assert_eq!(body[0], key.as_bytes());
        assert_eq!(number(body[1]), 96);
        assert_eq!(number(body[2]), 96 + 32 + 256);
        assert_eq!(&keyed[4 + 96..], &generated[4 + 64..]);
        assert_ne!(keyed[..4], generated[..4]);
    }

    #[test]
    fn a_key_is_padded_to_whole_words() {
        let calldata = Call::register(&[1; 33]);
        let body = words(&calldata[4..]);
        assert_eq!((number(body[0]), number(body[1])), (32, 33));
        assert_eq!(body[3][0], 1);
        assert_eq!(body[3][1..], [0; 31]);
        assert_eq!(body.len(), 4);
    }
}

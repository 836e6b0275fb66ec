//! A verifier on the chain, of one key or of many: both are asked alike and answer alike.

use proofmark_evm::{Artifact, Call, Contract};
use proofmark_types::Digest;
use revm::primitives::{Address, B256, Bytes, U256};

use crate::chain::{Chain, Outcome, account, calldata};

pub(crate) const INVALID: &str = "ProofInvalid()";
pub(crate) const NOT_BELOW: &str = "PublicInputNotBelowFieldOrder(uint256)";
pub(crate) const COUNT: &str = "PublicInputCount(uint256,uint256)";
pub(crate) const LENGTH: &str = "ProofLength(uint256,uint256)";

pub(crate) struct Subject {
    pub(crate) address: Address,
    key: Option<B256>,
}

impl Subject {
    /// The generated verifier of a key, and the universal one that knows this key alone.
    pub(crate) fn both(chain: &mut Chain, generated: &Artifact, key: &[u8]) -> [Self; 2] {
        let fixed = chain.deploy(generated, &[]).0;
        let universal = chain.deploy_contract(Contract::UniversalVerifier, &[]);
        let digest = B256::from(*Digest::of(key).as_bytes());
        let registered = chain.send(account(1), universal, &Call::register(key));
        assert_eq!(registered.word(), U256::from_be_bytes(digest.0));
        [
            Self {
                address: fixed,
                key: None,
            },
            Self {
                address: universal,
                key: Some(digest),
            },
        ]
    }

    pub(crate) fn ask(
        &self,
        chain: &mut Chain,
        function: &str,
        proof: &[u8],
        inputs: &[U256],
    ) -> Outcome {
        let (proof, inputs) = (Bytes::copy_from_slice(proof), inputs.to_vec());
        let data = match self.key {
            None => calldata(&format!("{function}(bytes,uint256[])"), (proof, inputs)),
            Some(key) => calldata(
                &format!("{function}(bytes32,bytes,uint256[])"),
                (key, proof, inputs),
            ),
        };
        chain.send(account(2), self.address, &data)
    }

    pub(crate) fn accepts(&self, chain: &mut Chain, proof: &[u8], inputs: &[U256]) {
        let answer = self.ask(chain, "verifyProof", proof, inputs);
        assert_eq!(answer.word(), U256::ONE);
        assert!(self.ask(chain, "requireProof", proof, inputs).success);
    }

    /// `verifyProof` answers false and never reverts; `requireProof` says why.
    pub(crate) fn refuses(&self, chain: &mut Chain, proof: &[u8], inputs: &[U256], error: &str) {
        let answer = self.ask(chain, "verifyProof", proof, inputs);
        assert_eq!(answer.word(), U256::ZERO, "{error}");
        self.ask(chain, "requireProof", proof, inputs)
            .is_refused(error);
    }
}

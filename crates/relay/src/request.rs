//! A request as the contract's event carries it.

use alloy_primitives::{Address, B256, Bytes, U256, keccak256};
use alloy_sol_types::SolValue as _;
use proofmark_types::Context;

/// The event's signature: what is hashed into its first topic.
const EVENT: &str = "Requested(bytes32,uint256,address,(address,uint256,uint256,uint256[],bytes,\
                     address,uint64,uint64,uint256))";
const FULFIL: &str = "fulfil((address,uint256,uint256,uint256[],bytes,address,uint64,uint64,\
                      uint256),uint256[],bytes)";
/// Hashed into the nonce of a fulfilment.
const NONCE_DOMAIN: &str = "proofmark/fulfilment/v1";
/// Hashed into a request's id.
const ID_DOMAIN: &str = "proofmark/request/v1";

type Tuple = (
    Address,
    U256,
    U256,
    Vec<U256>,
    Bytes,
    Address,
    u64,
    u64,
    U256,
);

/// A request, as `Requests.Request`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Request {
    /// Who asked and is called back.
    pub requester: Address,
    /// Number of requests that the contract had seen before.
    pub sequence: U256,
    /// In the registry.
    pub model_id: U256,
    /// The public inputs of the model's inputs.
    pub inputs: Vec<U256>,
    /// What hashed inputs hold.
    pub data: Bytes,
    /// Who alone may fulfil; zero for anybody.
    pub prover: Address,
    /// Gas of the callback.
    pub callback_gas: u64,
    /// Unix seconds: fulfilled until then.
    pub deadline: u64,
    /// In wei.
    pub fee: U256,
}

impl Request {
    /// First topic of the event.
    pub(crate) fn topic() -> B256 {
        keccak256(EVENT)
    }

    /// Reads an event's data; `None` for other bytes.
    pub fn decode(data: &[u8]) -> Option<Self> {
        let (tuple,) = <(Tuple,)>::abi_decode_params(data).ok()?;
        let (requester, sequence, model_id, inputs, data, prover, callback_gas, deadline, fee) =
            tuple;
        Some(Self {
            requester,
            sequence,
            model_id,
            inputs,
            data,
            prover,
            callback_gas,
            deadline,
            fee,
        })
    }

    /// The event's data: the inverse of [`decode`](Self::decode).
    pub fn encode(&self) -> Vec<u8> {
        (self.tuple(),).abi_encode_params()
    }

    fn tuple(&self) -> Tuple {
        (
            self.requester,
            self.sequence,
            self.model_id,
            self.inputs.clone(),
            self.data.clone(),
            self.prover,
            self.callback_gas,
            self.deadline,
            self.fee,
        )
    }

    /// The id, as the contract computes it: a hash of everything in the request.
    pub fn id(&self, chain_id: u64, contract: Address) -> B256 {
        let hashed = (
            ID_DOMAIN.to_owned(),
            U256::from(chain_id),
            contract,
            self.tuple(),
        );
        keccak256(hashed.abi_encode_params())
    }

    /// The context that the proof must carry for this account to fulfil: who copies it has nothing.
    pub fn context(&self, chain_id: u64, contract: Address, prover: Address) -> Context {
        let hashed = (NONCE_DOMAIN.to_owned(), self.id(chain_id, contract), prover);
        Context {
            chain_id: U256::from(chain_id).to_be_bytes(),
            consumer: contract.into_array(),
            requester: B256::left_padding_from(self.requester.as_slice()).0,
            nonce: keccak256(hashed.abi_encode_params()).0,
            deadline: self.deadline,
        }
    }

    /// Calldata of the fulfilment.
    pub(crate) fn fulfilment(&self, outputs: Vec<U256>, proof: &[u8]) -> Vec<u8> {
        let arguments = (self.tuple(), outputs, Bytes::copy_from_slice(proof));
        calldata(FULFIL, &arguments.abi_encode_params())
    }
}

/// Selector and arguments.
pub(crate) fn calldata(signature: &str, arguments: &[u8]) -> Vec<u8> {
    let hash = keccak256(signature);
    let mut data = hash.get(..4).unwrap_or_default().to_vec();
    data.extend_from_slice(arguments);
    data
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    /// A request with something in each member.
    pub(crate) fn sample() -> Request {
        Request {
            requester: Address::repeat_byte(1),
            sequence: U256::from(2),
            model_id: U256::from(3),
            inputs: vec![U256::from(4), U256::from(5)],
            data: Bytes::from_static(b"six"),
            prover: Address::ZERO,
            callback_gas: 7,
            deadline: 8,
            fee: U256::from(9),
        }
    }

    #[test]
    fn reads_what_it_writes_and_nothing_shorter() {
        let bytes = sample().encode();
        assert_eq!(Request::decode(&bytes), Some(sample()));
        for cut in (0..bytes.len()).step_by(32) {
            assert_eq!(Request::decode(&bytes[..cut]), None, "{cut}");
        }
    }

    #[test]
    fn the_id_covers_everything() {
        type Change = fn(&mut Request);
        let changes: [Change; 10] = [
            |_| {},
            |r| r.requester = Address::ZERO,
            |r| r.sequence += U256::ONE,
            |r| r.model_id += U256::ONE,
            |r| r.inputs.push(U256::ZERO),
            |r| r.data = Bytes::new(),
            |r| r.prover = Address::repeat_byte(1),
            |r| r.callback_gas += 1,
            |r| r.deadline += 1,
            |r| r.fee += U256::ONE,
        ];
        let contract = Address::repeat_byte(0xcc);
        let mut ids = vec![
            sample().id(2, contract),
            sample().id(1, Address::repeat_byte(0xcd)),
        ];
        for change in changes {
            let mut other = sample();
            change(&mut other);
            let id = other.id(1, contract);
            assert!(!ids.contains(&id));
            let nonce = |prover: u8| {
                other
                    .context(1, contract, Address::repeat_byte(prover))
                    .nonce
            };
            assert!(nonce(1) != nonce(2) && !ids.contains(&nonce(1).into()));
            ids.push(id);
            ids.push(nonce(1).into());
        }
    }
}

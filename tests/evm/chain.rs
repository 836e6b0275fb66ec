//! A chain in memory: accounts, contracts, calls, time.

use alloy_sol_types::SolValue;
use proofmark_evm::{Artifact, Contract};
use revm::context::{Context, TxEnv};
use revm::database::{CacheDB, EmptyDB};
use revm::precompile::Precompiles;
use revm::primitives::{Address, Bytes, Log, TxKind, U256, keccak256};
use revm::state::{AccountInfo, Bytecode};
use revm::{Database as _, ExecuteCommitEvm as _, MainBuilder as _, MainContext as _};

/// Chain id of the chain in memory.
pub(crate) const CHAIN_ID: u64 = 31_337;
/// Gas of a transaction that is to have enough.
pub(crate) const ENOUGH: u64 = 16_000_000;
const ETHER: u128 = 1_000_000_000_000_000_000;

/// The chain.
pub(crate) struct Chain {
    db: CacheDB<EmptyDB>,
    /// Unix seconds of the next block.
    pub(crate) now: u64,
    /// Whether it has the precompiles of the curve, which are younger than the first chains.
    pub(crate) curve: bool,
}

/// What became of a transaction.
#[derive(Debug)]
pub(crate) struct Outcome {
    pub(crate) success: bool,
    /// What was returned, or the reason of a revert.
    pub(crate) output: Vec<u8>,
    /// Gas of the whole transaction, before refunds.
    pub(crate) gas: u64,
    /// Gas without the transaction's own 21,000 and its calldata.
    pub(crate) execution: u64,
    pub(crate) logs: Vec<Log>,
}

/// An account by a small number.
pub(crate) fn account(number: u8) -> Address {
    Address::repeat_byte(number)
}

impl Chain {
    pub(crate) fn new() -> Self {
        let mut db = CacheDB::new(EmptyDB::default());
        for number in 1..=9 {
            let info = AccountInfo {
                balance: U256::from(1000 * ETHER),
                ..AccountInfo::default()
            };
            db.insert_account_info(account(number), info);
        }
        Self {
            db,
            now: 1_800_000_000,
            curve: true,
        }
    }

    pub(crate) fn balance(&mut self, of: Address) -> U256 {
        self.db.basic(of).unwrap().unwrap_or_default().balance
    }

    /// An account whose holder lets it run a contract's code (EIP-7702), and can name another one.
    pub(crate) fn delegating(&mut self, holder: Address, to: Address) {
        let info = AccountInfo::default().with_code(Bytecode::new_eip7702(to));
        self.db.insert_account_info(holder, info);
    }

    /// Runs a transaction.
    pub(crate) fn transact(
        &mut self,
        from: Address,
        to: TxKind,
        value: u128,
        data: &[u8],
        gas: u64,
    ) -> (Outcome, Option<Address>) {
        let now = self.now;
        let mut evm = Context::mainnet()
            .with_db(&mut self.db)
            .modify_block_chained(|block| {
                block.timestamp = U256::from(now);
                block.gas_limit = 30_000_000;
            })
            .modify_cfg_chained(|cfg| {
                cfg.chain_id = CHAIN_ID;
                cfg.disable_nonce_check = true;
            })
            .build_mainnet();
        if !self.curve {
            evm.precompiles.precompiles = Precompiles::homestead();
        }
        let transaction = TxEnv::builder()
            .caller(from)
            .kind(to)
            .value(U256::from(value))
            .data(Bytes::copy_from_slice(data))
            .chain_id(Some(CHAIN_ID))
            .gas_limit(gas)
            .build()
            .unwrap();
        let result = evm.transact_commit(transaction).unwrap();
        let created = result.created_address();
        let spent = result.tx_gas_used() + result.gas().final_refunded();
        let calldata: u64 = data.iter().map(|b| if *b == 0 { 4 } else { 16 }).sum();
        let outcome = Outcome {
            success: result.is_success(),
            output: result
                .output()
                .map(|bytes| bytes.to_vec())
                .unwrap_or_default(),
            gas: spent,
            execution: spent - 21_000 - calldata,
            logs: result.logs().to_vec(),
        };
        (outcome, created)
    }

    /// Deploys creation bytecode with encoded constructor arguments; the gas of the transaction.
    pub(crate) fn deploy(&mut self, artifact: &Artifact, arguments: &[u8]) -> (Address, u64) {
        let data = [artifact.bytecode.as_slice(), arguments].concat();
        let (outcome, created) = self.transact(account(1), TxKind::Create, 0, &data, ENOUGH);
        assert!(outcome.success, "{outcome:?}");
        (created.unwrap(), outcome.gas)
    }

    /// Deploys one of the contracts that need no key.
    pub(crate) fn deploy_contract(&mut self, contract: Contract, arguments: &[u8]) -> Address {
        self.deploy(&contract.artifact().unwrap(), arguments).0
    }

    /// Calls a contract with calldata.
    pub(crate) fn send(&mut self, from: Address, to: Address, data: &[u8]) -> Outcome {
        self.transact(from, TxKind::Call(to), 0, data, ENOUGH).0
    }

    /// Calls a function that must succeed.
    pub(crate) fn call(
        &mut self,
        from: Address,
        to: Address,
        signature: &str,
        arguments: impl Encode,
    ) -> Outcome {
        let outcome = self.send(from, to, &calldata(signature, arguments));
        assert!(
            outcome.success,
            "{signature}: {}",
            String::from_utf8_lossy(&outcome.output).escape_debug()
        );
        outcome
    }

    /// Calls a function that must revert with this error.
    pub(crate) fn refused(
        &mut self,
        from: Address,
        to: Address,
        signature: &str,
        arguments: impl Encode,
        error: &str,
    ) {
        let outcome = self.send(from, to, &calldata(signature, arguments));
        outcome.is_refused(error);
    }
}

impl Outcome {
    /// Holds the outcome to a revert with this custom error.
    pub(crate) fn is_refused(&self, error: &str) {
        assert!(!self.success, "{error} was to be the answer");
        assert_eq!(
            self.output.get(..4),
            Some(&selector(error)[..]),
            "{error} was to be the reason, got {:02x?}",
            self.output
        );
    }

    /// The one word that was returned.
    pub(crate) fn word(&self) -> U256 {
        assert!(self.success && self.output.len() == 32, "{self:?}");
        U256::from_be_slice(&self.output)
    }

    /// Whether an event was emitted.
    pub(crate) fn emitted(&self, event: &str) -> bool {
        let topic = keccak256(event);
        self.logs
            .iter()
            .any(|log| log.topics().first() == Some(&topic))
    }
}

/// Arguments in ABI encoding.
pub(crate) trait Encode {
    fn encode(&self) -> Vec<u8>;
}

impl<T: SolValue> Encode for T
where
    for<'a> <T::SolType as alloy_sol_types::SolType>::Token<'a>: alloy_sol_types::abi::TokenSeq<'a>,
{
    fn encode(&self) -> Vec<u8> {
        self.abi_encode_params()
    }
}

/// First four bytes of the signature's hash.
pub(crate) fn selector(signature: &str) -> [u8; 4] {
    let hash = keccak256(signature);
    [hash[0], hash[1], hash[2], hash[3]]
}

/// Selector and arguments.
pub(crate) fn calldata(signature: &str, arguments: impl Encode) -> Vec<u8> {
    [&selector(signature)[..], &arguments.encode()].concat()
}

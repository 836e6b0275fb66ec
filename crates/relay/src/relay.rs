//! One pass after the other: scan, prove, send, look what became of it.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::path::PathBuf;

use alloy_primitives::{Address, B256, FixedBytes, U256};
use alloy_sol_types::SolValue as _;
use ed25519_dalek::SigningKey;
use proofmark_engine::{Engine, ProveRequest};
use proofmark_types::field::fr_to_bytes;
use proofmark_types::manifest::MAX_COUNT;

use crate::error::RelayError;
use crate::inputs::tensors;
use crate::request::{Request, calldata};
use crate::rpc::Rpc;
use crate::state::{Pending, Scanned, State};

/// Blocks whose events are asked for at once.
const CHUNK: u64 = 1000;
/// How far before the last block scanned the relay goes back when that block is not on the chain any
/// more, beside the confirmations.
const REWIND: u64 = 64;

/// What the relay works for and with.
#[derive(Debug, Clone)]
pub struct Config {
    /// The node's JSON-RPC over HTTP.
    pub url: String,
    /// The `Requests` contract.
    pub contract: Address,
    /// The account that sends fulfilments and earns the fees; the node signs for it.
    pub from: Address,
    /// The state file.
    pub state: PathBuf,
    /// Blocks that must stand upon one before it is believed.
    pub confirmations: u64,
    /// Where a relay without a state begins.
    pub first_block: u64,
    /// Requests with a smaller fee, in wei, are left to others.
    pub minimum_fee: u128,
}

/// What happened in a pass.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    /// Requests are looked for again from this block on: the chain was reorganised.
    Rewound {
        /// The block.
        block: u64,
    },
    /// A request was found.
    Found {
        /// Its id.
        id: B256,
    },
    /// Its fulfilment was sent.
    Sent {
        /// Its id.
        id: B256,
        /// The transaction.
        transaction: B256,
    },
    /// Its fulfilment is on the chain, and confirmed.
    Fulfilled {
        /// Its id.
        id: B256,
    },
    /// The contract would refuse the fulfilment now; it is tried again until the deadline.
    Held {
        /// Its id.
        id: B256,
        /// In the node's words.
        reason: String,
    },
    /// It is left alone.
    Dropped {
        /// Its id.
        id: B256,
        /// Why.
        reason: String,
    },
}

/// What is done with a request.
enum Step {
    Wait,
    Sent(B256),
    Fulfilled,
    Held(String),
    Drop(String),
}

/// A relay.
pub struct Relay {
    config: Config,
    rpc: Rpc,
    chain_id: u64,
    registry: Address,
    engines: Vec<Engine>,
    signer: SigningKey,
    state: State,
    /// Fulfilments that were proven and not sent yet, by id.
    proven: BTreeMap<B256, Vec<u8>>,
}

impl Relay {
    /// Asks the node for chain and contract, and reads the state.
    ///
    /// # Errors
    /// [`RelayError`] when the node does not answer, the address is no `Requests` contract, or the
    /// state is of another one.
    pub fn open(
        config: Config,
        engines: Vec<Engine>,
        signer: SigningKey,
    ) -> Result<Self, RelayError> {
        let rpc = Rpc::new(&config.url);
        let chain_id = rpc.chain_id()?;
        let answer = rpc.call(config.contract, &calldata("registry()", &[]))?;
        let (registry,) =
            <(Address,)>::abi_decode_params(&answer).map_err(|_| RelayError::Contract {
                what: "the registry",
            })?;
        let state = State::open(&config.state, chain_id, config.contract)?;
        Ok(Self {
            config,
            rpc,
            chain_id,
            registry,
            engines,
            signer,
            state,
            proven: BTreeMap::new(),
        })
    }

    /// Number of requests that wait for their end.
    pub fn waiting(&self) -> usize {
        self.state.pending.len()
    }

    /// One pass. What happened before an error is saved; the next pass goes on.
    ///
    /// # Errors
    /// [`RelayError`] when the node does not answer or the state cannot be written. What is wrong
    /// with a request is reported and ends that request only.
    pub fn pass(&mut self, report: &mut dyn FnMut(Event)) -> Result<(), RelayError> {
        let head = self.rpc.head()?;
        self.rewind(report)?;
        if let Some(safe) = head.checked_sub(self.config.confirmations) {
            self.scan(safe, report)?;
        }
        let now = match self.rpc.block(head)? {
            Some(block) => block.timestamp,
            // Gone since it was asked for: the next pass sees the new head.
            None => return Ok(()),
        };
        let waiting: Vec<(B256, Pending)> = self
            .state
            .pending
            .iter()
            .map(|(id, pending)| (*id, pending.clone()))
            .collect();
        for (id, pending) in waiting {
            match self.advance(id, &pending, head, now)? {
                Step::Wait => continue,
                Step::Held(reason) => {
                    report(Event::Held { id, reason });
                    continue;
                }
                Step::Sent(transaction) => {
                    if let Some(pending) = self.state.pending.get_mut(&id) {
                        pending.sent = Some(transaction);
                    }
                    report(Event::Sent { id, transaction });
                }
                Step::Fulfilled => {
                    self.forget(id);
                    report(Event::Fulfilled { id });
                }
                Step::Drop(reason) => {
                    self.forget(id);
                    report(Event::Dropped { id, reason });
                }
            }
            self.state.save()?;
        }
        Ok(())
    }

    fn forget(&mut self, id: B256) {
        self.state.pending.remove(&id);
        self.proven.remove(&id);
    }

    /// Goes back when the last block scanned is not on the chain any more.
    fn rewind(&mut self, report: &mut dyn FnMut(Event)) -> Result<(), RelayError> {
        let Some(scanned) = self.state.scanned else {
            return Ok(());
        };
        let now = self.rpc.block(scanned.block)?;
        if now.is_some_and(|block| block.hash == scanned.hash) {
            return Ok(());
        }
        let back = self.config.confirmations.saturating_add(REWIND);
        let target = scanned.block.saturating_sub(back);
        self.state.scanned = match self.rpc.block(target)? {
            Some(block) if target >= self.config.first_block => Some(Scanned {
                block: target,
                hash: block.hash,
            }),
            _ => None,
        };
        self.state.save()?;
        report(Event::Rewound { block: target });
        Ok(())
    }

    /// Reads events up to a block.
    fn scan(&mut self, safe: u64, report: &mut dyn FnMut(Event)) -> Result<(), RelayError> {
        let topic = Request::topic();
        loop {
            let from = match self.state.scanned {
                Some(scanned) => scanned.block.saturating_add(1),
                None => self.config.first_block,
            };
            if from > safe {
                return Ok(());
            }
            let to = safe.min(from.saturating_add(CHUNK).saturating_sub(1));
            let logs = self.rpc.logs(from, to, self.config.contract, topic)?;
            // Asked for after the events: where the block was exchanged between, the next pass finds
            // another hash than this one and scans again.
            let Some(block) = self.rpc.block(to)? else {
                return Ok(());
            };
            for log in logs.iter().filter(|log| (from..=to).contains(&log.block)) {
                let what = RelayError::Contract { what: "a request" };
                let request = Request::decode(&log.data).ok_or(what)?;
                let id = request.id(self.chain_id, self.config.contract);
                if log.topics.get(1) != Some(&id) {
                    return Err(RelayError::Contract {
                        what: "a request's id",
                    });
                }
                // The same event again changes nothing.
                if let Entry::Vacant(entry) = self.state.pending.entry(id) {
                    let sent = None;
                    entry.insert(Pending { request, sent });
                    report(Event::Found { id });
                }
            }
            self.state.scanned = Some(Scanned {
                block: to,
                hash: block.hash,
            });
            self.state.save()?;
        }
    }

    /// The next step of a request. Only an error of the node is one here.
    fn advance(
        &mut self,
        id: B256,
        pending: &Pending,
        head: u64,
        now: u64,
    ) -> Result<Step, RelayError> {
        let request = &pending.request;
        let expired = request.deadline <= now;
        if let Some(transaction) = pending.sent
            && let Some(receipt) = self.rpc.receipt(transaction)?
        {
            let confirmed = receipt.block.saturating_add(self.config.confirmations) <= head;
            return Ok(match (confirmed, receipt.succeeded) {
                (false, _) => Step::Wait,
                (true, true) => Step::Fulfilled,
                (true, false) => {
                    Step::Drop("the fulfilment failed: another may have been faster".to_owned())
                }
            });
        }
        if expired {
            return Ok(Step::Drop("its deadline has passed".to_owned()));
        }
        if !self.is_open(id)? {
            return Ok(match pending.sent {
                // Ours waits to be mined, or somebody else's does.
                Some(_) => Step::Wait,
                None => Step::Drop("it is not open (any more)".to_owned()),
            });
        }
        // Open and not sent, or sent and lost in a reorganisation.
        if !request.prover.is_zero() && request.prover != self.config.from {
            return Ok(Step::Drop("it names another prover".to_owned()));
        }
        if request.fee < U256::from(self.config.minimum_fee) {
            return Ok(Step::Drop("its fee is too small".to_owned()));
        }
        let data = match self.proven.get(&id) {
            Some(data) => data.clone(),
            None => match self.prove(request) {
                Ok(data) => {
                    self.proven.insert(id, data.clone());
                    data
                }
                Err(error @ RelayError::Node { .. }) => return Err(error),
                Err(error) => return Ok(Step::Drop(error.to_string())),
            },
        };
        let (from, to) = (self.config.from, self.config.contract);
        let sent = self.rpc.estimate(from, to, &data).and_then(|gas| {
            let gas = gas.saturating_add(gas >> 2);
            self.rpc.send(from, to, &data, gas)
        });
        match sent {
            Ok(transaction) => Ok(Step::Sent(transaction)),
            // A verifier that is stopped for a time, or no money for gas.
            Err(RelayError::Refused { reason, .. }) => Ok(Step::Held(reason)),
            Err(error) => Err(error),
        }
    }

    fn is_open(&self, id: B256) -> Result<bool, RelayError> {
        let data = calldata("isOpen(bytes32)", &(id,).abi_encode_params());
        let answer = self.rpc.call(self.config.contract, &data)?;
        let (open,) = <(bool,)>::abi_decode_params(&answer)
            .map_err(|_| RelayError::Contract { what: "isOpen" })?;
        Ok(open)
    }

    /// Runs and proves a request; the calldata of its fulfilment.
    fn prove(&self, request: &Request) -> Result<Vec<u8>, RelayError> {
        let refuse = |reason: &str| RelayError::Unanswerable {
            reason: reason.to_owned(),
        };
        if request.deadline > MAX_COUNT {
            return Err(refuse("its deadline is above 2^53 - 1"));
        }
        let engine = self.engine(request.model_id)?;
        let layout = engine
            .manifest()
            .layout()
            .map_err(|error| refuse(&error.to_string()))?;
        let inputs = tensors(layout.inputs(), &request.inputs, &request.data)
            .map_err(|reason| RelayError::Unanswerable { reason })?;
        let asked = ProveRequest {
            inputs,
            context: request.context(self.chain_id, self.config.contract),
            // A receipt is made on the way and thrown away: the chain keeps the record.
            proved_at: 0,
        };
        let proven = engine.prove(&asked, &self.signer).map_err(Box::new)?;
        let receipt = proven.envelope.receipt();
        let all = receipt
            .public_inputs(&layout)
            .map_err(|error| refuse(&error.to_string()))?;
        let outputs = all
            .iter()
            .skip(request.inputs.len().saturating_add(1))
            .map(|element| U256::from_be_bytes(fr_to_bytes(element)))
            .collect();
        Ok(request.fulfilment(outputs, &receipt.proof))
    }

    /// The engine of the package that a model id of the registry names.
    fn engine(&self, model_id: U256) -> Result<&Engine, RelayError> {
        type Commitment = (B256, B256, B256, FixedBytes<4>, String);
        let data = calldata("getModel(uint256)", &(model_id,).abi_encode_params());
        let answer = self.rpc.call(self.registry, &data)?;
        let ((package, circuit, key, _, _), deprecated, _) =
            <(Commitment, bool, Address)>::abi_decode_params(&answer)
                .map_err(|_| RelayError::Contract { what: "a model" })?;
        let refuse = |reason: &str| RelayError::Unanswerable {
            reason: reason.to_owned(),
        };
        if deprecated {
            return Err(refuse("its model is deprecated"));
        }
        self.engines
            .iter()
            .find(|engine| {
                let sealed = engine.sealed();
                engine.package().digest().as_bytes() == &package.0
                    && sealed.circuit.digest.as_bytes() == &circuit.0
                    && sealed.verifying_key.digest.as_bytes() == &key.0
            })
            .ok_or_else(|| refuse("none of the packages here is its model"))
    }
}

//! One pass after the other: scan, prove, send, look what became of it.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::time::{Duration, Instant};

use alloy_primitives::{Address, B256, U256};
use alloy_sol_types::SolValue as _;
use ed25519_dalek::SigningKey;
use proofmark_engine::Engine;

use crate::account::Account;
use crate::answer::{Fate, TOO_LITTLE};
use crate::error::RelayError;
use crate::request::{Request, calldata};
use crate::rpc::{At, Rpc};
use crate::state::{Pending, State};

/// Least gas of a fulfilment without its callback: verification and the transaction itself.
const LEAST_GAS: u64 = 200_000;
/// Longest time between two attempts at one request, as a multiple of [`Config::patience`].
const MOST_PATIENCE: u32 = 64;
/// How often the proof of a request is tried that fails for no reason of the request's.
const MOST_FAILURES: u32 = 8;

/// What the relay works for and with.
#[derive(Debug, Clone)]
pub struct Config {
    /// The node's JSON-RPC over HTTP.
    pub url: String,
    /// The `Requests` contract.
    pub contract: Address,
    /// The account that sends fulfilments and earns the fees.
    pub account: Account,
    /// The state file.
    pub state: PathBuf,
    /// Blocks that must stand upon one before it is believed.
    pub confirmations: u64,
    /// Where a relay without a state begins.
    pub first_block: u64,
    /// Requests with a smaller fee, in wei, are left to others.
    pub minimum_fee: u128,
    /// Whether requests are fulfilled whose fee does not cover the gas.
    pub at_a_loss: bool,
    /// How long is waited after a first failure, twice as long after each further one; and half of
    /// how long a transaction may wait before the relay offers more for its gas.
    pub patience: Duration,
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
    /// It cannot be fulfilled now; it is tried again until the deadline.
    Held {
        /// Its id.
        id: B256,
        /// Why not.
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
pub(crate) enum Step {
    Wait,
    Sent(B256),
    Fulfilled,
    Held(String),
    Drop(String),
}

/// The chain's end, as a pass sees it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Clock {
    /// Number of the latest block.
    pub(crate) head: u64,
    /// Its time, in Unix seconds.
    pub(crate) now: u64,
}

/// What is remembered of a request between attempts, and forgotten by a restart.
struct Attempt {
    failures: u32,
    after: Instant,
}

/// A relay.
pub struct Relay {
    pub(crate) config: Config,
    pub(crate) rpc: Rpc,
    pub(crate) chain_id: u64,
    pub(crate) registry: Address,
    pub(crate) engines: Vec<Engine>,
    pub(crate) signer: SigningKey,
    pub(crate) state: State,
    /// Blocks whose events are asked for at once.
    pub(crate) span: u64,
    /// Models that are none of the packages here. What a model is never changes.
    pub(crate) foreign: BTreeSet<U256>,
    /// Fulfilments that were proven, by id.
    pub(crate) proven: BTreeMap<B256, Vec<u8>>,
    attempts: BTreeMap<B256, Attempt>,
    /// Since when a transaction waits.
    pub(crate) waiting: BTreeMap<B256, Instant>,
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
        let answer = rpc.call(config.contract, &calldata("registry()", &[]), At::Latest)?;
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
            span: crate::scan::MOST_BLOCKS,
            foreign: BTreeSet::new(),
            proven: BTreeMap::new(),
            attempts: BTreeMap::new(),
            waiting: BTreeMap::new(),
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
        let Some(mut clock) = self.clock()? else {
            return Ok(());
        };
        self.rewind(report)?;
        if let Some(safe) = clock.head.checked_sub(self.config.confirmations) {
            self.scan(safe, clock.now, report)?;
        }
        // What pays best comes first, so that nobody is kept waiting by many small ones.
        let mut waiting: Vec<(U256, B256)> = self
            .state
            .pending
            .iter()
            .map(|(id, pending)| (pending.request.fee, *id))
            .collect();
        waiting.sort_unstable_by(|a, b| b.cmp(a));
        for (_, id) in waiting {
            let Some(pending) = self.state.pending.get(&id).cloned() else {
                continue;
            };
            let step = self.advance(id, &pending, clock)?;
            match step {
                Step::Wait => continue,
                Step::Held(reason) => {
                    self.hold(id);
                    report(Event::Held { id, reason });
                }
                Step::Sent(transaction) => report(Event::Sent { id, transaction }),
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
            // That may have taken a while.
            match self.clock()? {
                Some(later) => clock = later,
                None => return Ok(()),
            }
        }
        Ok(())
    }

    /// `None` where the latest block is gone since it was asked for: the next pass sees another.
    fn clock(&self) -> Result<Option<Clock>, RelayError> {
        let head = self.rpc.head()?;
        let block = self.rpc.block(head)?;
        Ok(block.map(|block| Clock {
            head,
            now: block.timestamp,
        }))
    }

    fn forget(&mut self, id: B256) {
        if let Some(pending) = self.state.pending.remove(&id) {
            for transaction in pending.sent {
                self.waiting.remove(&transaction);
            }
        }
        self.proven.remove(&id);
        self.attempts.remove(&id);
    }

    /// Lets a request rest, each time twice as long as before.
    fn hold(&mut self, id: B256) {
        let failures = self.failures(id);
        let factor = 1_u32
            .checked_shl(failures)
            .map_or(MOST_PATIENCE, |factor| factor.min(MOST_PATIENCE));
        let after = Instant::now() + self.config.patience.saturating_mul(factor);
        let failures = failures.saturating_add(1);
        self.attempts.insert(id, Attempt { failures, after });
    }

    fn failures(&self, id: B256) -> u32 {
        self.attempts.get(&id).map_or(0, |attempt| attempt.failures)
    }

    /// Why a request is left alone, as far as its contents say.
    pub(crate) fn unwanted(&self, request: &Request, now: u64) -> Option<&'static str> {
        let own = self.config.account.address();
        if request.deadline <= now {
            Some("its deadline has passed")
        } else if !request.prover.is_zero() && request.prover != own {
            Some("it names another prover")
        } else if request.fee < U256::from(self.config.minimum_fee) {
            Some("its fee is too small")
        } else {
            None
        }
    }

    /// The next step of a request. Only an error of the node is one here.
    fn advance(&mut self, id: B256, pending: &Pending, clock: Clock) -> Result<Step, RelayError> {
        let request = &pending.request;
        let mut failed = false;
        for transaction in &pending.sent {
            let Some(receipt) = self.rpc.receipt(*transaction)? else {
                continue;
            };
            let confirmed = receipt.block.saturating_add(self.config.confirmations) <= clock.head;
            match (confirmed, receipt.succeeded) {
                (false, _) => return Ok(Step::Wait),
                (true, true) => return Ok(Step::Fulfilled),
                // Another was faster, or the verifier was stopped in between: whether the request is
                // open decides.
                (true, false) => failed = true,
            }
        }
        if let Some(reason) = self.unwanted(request, clock.now) {
            return Ok(Step::Drop(reason.to_owned()));
        }
        if !self.is_open(id, At::Latest)? {
            return self.closed(id, clock);
        }
        let mut stuck = None;
        if let (false, Some(last)) = (failed, pending.sent.last()) {
            match self.fate(*last)? {
                Fate::Waits => return Ok(Step::Wait),
                Fate::Stuck(known) => stuck = Some(known),
                Fate::Lost => {}
            }
        }
        // Open, and not sent, or stuck, or lost in a reorganisation, or failed.
        if let Some(attempt) = self.attempts.get(&id)
            && Instant::now() < attempt.after
        {
            return Ok(Step::Wait);
        }
        if failed {
            // Nothing more is to be had of these.
            self.set_sent(id, Vec::new());
            return Ok(Step::Held(
                "the fulfilment failed, and the request is open".to_owned(),
            ));
        }
        let price = match self.price() {
            Ok(price) => price,
            Err(RelayError::Refused { reason, .. }) => return Ok(Step::Held(reason)),
            Err(error) => return Err(error),
        };
        let least = LEAST_GAS.saturating_add(request.callback_gas);
        if !self.covers(request, least, price) {
            return Ok(Step::Held(TOO_LITTLE.to_owned()));
        }
        let data = match self.proven.get(&id) {
            Some(data) => data.clone(),
            None => match self.prove(request) {
                Ok(data) => {
                    self.proven.insert(id, data.clone());
                    data
                }
                Err(error @ RelayError::Node { .. }) => return Err(error),
                // The node's words on a question, as that it was asked too often.
                Err(RelayError::Refused { reason, .. }) => return Ok(Step::Held(reason)),
                Err(error) if error.is_of_the_request() || self.failures(id) >= MOST_FAILURES => {
                    return Ok(Step::Drop(error.to_string()));
                }
                Err(error) => return Ok(Step::Held(error.to_string())),
            },
        };
        match stuck {
            Some(known) => self.replace(id, request, &data, &known),
            None => self.send(id, request, &data, price),
        }
    }

    /// The request is not open at the chain's end. Only once that is confirmed is it over.
    fn closed(&self, id: B256, clock: Clock) -> Result<Step, RelayError> {
        let safe = clock.head.saturating_sub(self.config.confirmations);
        match self.is_open(id, At::Block(safe)) {
            Ok(false) => Ok(Step::Drop("it is not open (any more)".to_owned())),
            // A node that keeps no history of its state: the deadline ends it.
            Ok(true) | Err(RelayError::Refused { .. }) => Ok(Step::Wait),
            Err(error) => Err(error),
        }
    }

    fn is_open(&self, id: B256, at: At) -> Result<bool, RelayError> {
        let data = calldata("isOpen(bytes32)", &(id,).abi_encode_params());
        let answer = self.rpc.call(self.config.contract, &data, at)?;
        let (open,) = <(bool,)>::abi_decode_params(&answer)
            .map_err(|_| RelayError::Contract { what: "isOpen" })?;
        Ok(open)
    }

    pub(crate) fn set_sent(&mut self, id: B256, sent: Vec<B256>) {
        if let Some(pending) = self.state.pending.get_mut(&id) {
            pending.sent = sent;
        }
    }

    /// Whether a request's fee pays for so much gas, or need not.
    pub(crate) fn covers(&self, request: &Request, gas: u64, price: u128) -> bool {
        let cost = U256::from(gas).saturating_mul(U256::from(price));
        self.config.at_a_loss || request.fee >= cost
    }
}

//! From a request to its fulfilment, and to the node.

use std::collections::BTreeMap;
use std::time::Instant;

use alloy_primitives::{Address, B256, FixedBytes, U256};
use alloy_sol_types::SolValue as _;
use proofmark_engine::{Engine, ProveRequest};
use proofmark_types::IntTensor;
use proofmark_types::field::fr_to_bytes;
use proofmark_types::manifest::MAX_COUNT;
use proofmark_types::statement::PublicLayout;

use crate::account::{Account, Fees, Transaction};
use crate::error::RelayError;
use crate::inputs::tensors;
use crate::relay::{Relay, Step};
use crate::request::{Request, calldata};
use crate::rpc::{At, Known};

/// What becomes of a transaction that was sent.
pub(crate) enum Fate {
    /// It is in the pool, or on its way there.
    Waits,
    /// It has been in the pool for too long, and the key to replace it is here.
    Stuck(Known),
    /// No node knows it.
    Lost,
}

/// Why a request is held that costs more than it brings.
pub(crate) const TOO_LITTLE: &str = "its fee does not cover the gas";

fn refuse(reason: &dyn ToString) -> RelayError {
    RelayError::Unanswerable {
        reason: reason.to_string(),
    }
}

impl Relay {
    /// The tensors that a request stands for, with the engine and layout of its model.
    pub(crate) fn tensors(
        &self,
        request: &Request,
    ) -> Result<(&Engine, PublicLayout, BTreeMap<String, IntTensor>), RelayError> {
        if request.deadline > MAX_COUNT {
            return Err(refuse(&"its deadline is above 2^53 - 1"));
        }
        let engine = self.engine(request.model_id)?;
        let layout = engine.manifest().layout().map_err(|error| refuse(&error))?;
        let inputs = tensors(layout.inputs(), &request.inputs, &request.data)
            .map_err(|reason| refuse(&reason))?;
        Ok((engine, layout, inputs))
    }

    /// Runs and proves a request; the calldata of its fulfilment.
    pub(crate) fn prove(&self, request: &Request) -> Result<Vec<u8>, RelayError> {
        let (engine, layout, inputs) = self.tensors(request)?;
        let prover = self.config.account.address();
        let asked = ProveRequest {
            inputs,
            context: request.context(self.chain_id, self.config.contract, prover),
            // A receipt is made on the way and thrown away: the chain keeps the record.
            proved_at: 0,
        };
        let proven = engine.prove(&asked, &self.signer).map_err(Box::new)?;
        let receipt = proven.envelope.receipt();
        let all = receipt
            .public_inputs(&layout)
            .map_err(|error| refuse(&error))?;
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
        let answer = self.rpc.call(self.registry, &data, At::Latest)?;
        let ((package, circuit, key, _, _), deprecated, _) =
            <(Commitment, bool, Address)>::abi_decode_params(&answer)
                .map_err(|_| RelayError::Contract { what: "a model" })?;
        let engine = self.engines.iter().find(|engine| {
            let sealed = engine.sealed();
            engine.package().digest().as_bytes() == &package.0
                && sealed.circuit.digest.as_bytes() == &circuit.0
                && sealed.verifying_key.digest.as_bytes() == &key.0
        });
        match engine {
            None => Err(RelayError::Foreign { model_id }),
            Some(_) if deprecated => Err(refuse(&"its model is deprecated")),
            Some(engine) => Ok(engine),
        }
    }

    /// What a gas costs now, in wei.
    pub(crate) fn price(&self) -> Result<u128, RelayError> {
        match &self.config.account {
            Account::AtNode(_) => self.rpc.gas_price(),
            Account::Own(_) => Ok(self.rpc.fees()?.price()),
        }
    }

    /// Sends a fulfilment.
    pub(crate) fn send(
        &mut self,
        id: B256,
        request: &Request,
        data: &[u8],
        price: u128,
    ) -> Result<Step, RelayError> {
        match self.try_to_send(id, request, data, price) {
            // A verifier that is stopped for a time, or no money for gas.
            Err(RelayError::Refused { reason, .. }) => Ok(Step::Held(reason)),
            other => other,
        }
    }

    fn try_to_send(
        &mut self,
        id: B256,
        request: &Request,
        data: &[u8],
        price: u128,
    ) -> Result<Step, RelayError> {
        let (from, to) = (self.config.account.address(), self.config.contract);
        let gas = self.rpc.estimate(from, to, data)?;
        if !self.covers(request, gas, price) {
            return Ok(Step::Held(TOO_LITTLE.to_owned()));
        }
        let gas = gas.saturating_add(gas >> 2);
        match self.config.account {
            Account::AtNode(from) => {
                let transaction = self.rpc.send(from, to, data, gas)?;
                self.add_sent(id, transaction);
                Ok(Step::Sent(transaction))
            }
            Account::Own(_) => {
                let nonce = self.rpc.nonce(from)?;
                let fees = self.rpc.fees()?;
                self.sign_and_send(id, data, gas, nonce, fees)
            }
        }
    }

    /// What becomes of a transaction that has no receipt.
    pub(crate) fn fate(&mut self, transaction: B256) -> Result<Fate, RelayError> {
        let since = *self.waiting.entry(transaction).or_insert_with(Instant::now);
        let patience = self.config.patience;
        let own = matches!(self.config.account, Account::Own(_));
        Ok(match self.rpc.transaction(transaction)? {
            // The node that was asked may not have heard of it yet.
            None if since.elapsed() < patience => Fate::Waits,
            None => Fate::Lost,
            Some(known) if own && since.elapsed() >= patience.saturating_mul(2) => {
                Fate::Stuck(known)
            }
            Some(_) => Fate::Waits,
        })
    }

    /// Sends a transaction in the place of one that waits, for more.
    pub(crate) fn replace(
        &mut self,
        id: B256,
        request: &Request,
        data: &[u8],
        known: &Known,
    ) -> Result<Step, RelayError> {
        let Some(before) = known.fees else {
            return Ok(Step::Wait);
        };
        // Nodes take another transaction in its place for a tenth more of both.
        let now = self.rpc.fees()?;
        let more = |fee: u128| fee.saturating_add(fee >> 3).saturating_add(1);
        let fees = Fees {
            tip: now.tip.max(more(before.tip)),
            most: now.most.max(more(before.most)),
        };
        if !self.covers(request, known.gas, fees.price()) {
            return Ok(Step::Held(TOO_LITTLE.to_owned()));
        }
        match self.sign_and_send(id, data, known.gas, known.nonce, fees) {
            // Mined in between, or too little more: the next pass sees.
            Err(RelayError::Refused { .. }) => Ok(Step::Wait),
            other => other,
        }
    }

    /// The transaction's hash is on disk before it leaves, so that no crash sends it twice.
    fn sign_and_send(
        &mut self,
        id: B256,
        data: &[u8],
        gas: u64,
        nonce: u64,
        fees: Fees,
    ) -> Result<Step, RelayError> {
        let Account::Own(key) = &self.config.account else {
            return Ok(Step::Wait);
        };
        let transaction = Transaction {
            chain_id: self.chain_id,
            nonce,
            fees,
            gas,
            to: self.config.contract,
            data,
        };
        let Some((encoded, hash)) = key.sign(&transaction) else {
            return Ok(Step::Held("the account's key does not sign".to_owned()));
        };
        self.add_sent(id, hash);
        self.state.save()?;
        match self.rpc.send_raw(&encoded) {
            Ok(()) => Ok(Step::Sent(hash)),
            Err(error @ RelayError::Refused { .. }) => {
                // Unless it says that it has it already.
                if self.rpc.transaction(hash)?.is_none() {
                    self.remove_sent(id, hash);
                }
                Err(error)
            }
            // Perhaps it has arrived.
            Err(error) => Err(error),
        }
    }

    fn remove_sent(&mut self, id: B256, transaction: B256) {
        if let Some(pending) = self.state.pending.get_mut(&id) {
            pending.sent.retain(|sent| *sent != transaction);
        }
    }

    fn add_sent(&mut self, id: B256, transaction: B256) {
        if let Some(pending) = self.state.pending.get_mut(&id) {
            pending.sent.push(transaction);
        }
    }
}

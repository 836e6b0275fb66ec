//! From the chain's events to the requests that wait.

use alloy_primitives::U256;

use crate::error::RelayError;
use crate::relay::{Event, Relay};
use crate::request::Request;
use crate::rpc::Log;
use crate::state::{Pending, Scanned};

/// Most blocks whose events are asked for at once.
pub(crate) const MOST_BLOCKS: u64 = 1000;
/// How far before the last block scanned the relay goes back when that block is not on the chain any
/// more, beside the confirmations.
const REWIND: u64 = 64;
/// Models of others that are remembered.
const MOST_FOREIGN: usize = 100_000;

impl Relay {
    /// Goes back when the last block scanned is not on the chain any more.
    pub(crate) fn rewind(&mut self, report: &mut dyn FnMut(Event)) -> Result<(), RelayError> {
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
    pub(crate) fn scan(
        &mut self,
        safe: u64,
        now: u64,
        report: &mut dyn FnMut(Event),
    ) -> Result<(), RelayError> {
        let topic = Request::topic();
        loop {
            let from = match self.state.scanned {
                Some(scanned) => scanned.block.saturating_add(1),
                None => self.config.first_block,
            };
            if from > safe {
                return Ok(());
            }
            let to = safe.min(from.saturating_add(self.span).saturating_sub(1));
            // Asked for before the events and again after them: where blocks were exchanged in between,
            // the events are perhaps not those of the block that is remembered.
            let Some(before) = self.rpc.block(to)? else {
                return Ok(());
            };
            let logs = match self.rpc.logs(from, to, self.config.contract, topic) {
                Ok(logs) => logs,
                // Nodes have limits, and anybody can fill blocks with requests: fewer blocks at once.
                Err(RelayError::Refused { .. }) if to > from => {
                    self.span = to.saturating_sub(from).div_ceil(2);
                    continue;
                }
                Err(error) => return Err(error),
            };
            let after = self.rpc.block(to)?;
            if after.is_none_or(|after| after.hash != before.hash) {
                return Ok(());
            }
            for log in logs.iter().filter(|log| (from..=to).contains(&log.block)) {
                self.found(log, now, report)?;
            }
            self.state.scanned = Some(Scanned {
                block: to,
                hash: before.hash,
            });
            self.state.save()?;
            self.span = self.span.saturating_mul(2).min(MOST_BLOCKS);
        }
    }

    /// Only what this relay will work for is kept: events cost their senders little.
    fn found(
        &mut self,
        log: &Log,
        now: u64,
        report: &mut dyn FnMut(Event),
    ) -> Result<(), RelayError> {
        let what = RelayError::Contract { what: "a request" };
        let request = Request::decode(&log.data).ok_or(what)?;
        let id = request.id(self.chain_id, self.config.contract);
        if log.topics.get(1) != Some(&id) {
            return Err(RelayError::Contract {
                what: "a request's id",
            });
        }
        // The same event again changes nothing.
        if self.state.pending.contains_key(&id) {
            return Ok(());
        }
        let unwanted = match self.unwanted(&request, now) {
            Some(reason) => Some(reason.to_owned()),
            None if self.foreign.contains(&request.model_id) => {
                Some("none of the packages here is its model".to_owned())
            }
            None => match self.tensors(&request) {
                Ok(_) => None,
                Err(RelayError::Foreign { model_id }) => {
                    self.remember(model_id);
                    Some("none of the packages here is its model".to_owned())
                }
                Err(error) if error.is_of_the_request() => Some(error.to_string()),
                Err(error) => return Err(error),
            },
        };
        report(Event::Found { id });
        if let Some(reason) = unwanted {
            report(Event::Dropped { id, reason });
        } else {
            let sent = Vec::new();
            self.state.pending.insert(id, Pending { request, sent });
        }
        Ok(())
    }

    fn remember(&mut self, model_id: U256) {
        if self.foreign.len() >= MOST_FOREIGN {
            self.foreign.clear();
        }
        self.foreign.insert(model_id);
    }
}

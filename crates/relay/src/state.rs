//! What survives a restart.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use alloy_primitives::{Address, B256, hex};
use proofmark_package::{read_bounded, write_atomic};
use serde::{Deserialize, Serialize};

use crate::error::RelayError;
use crate::request::Request;

const FORMAT: &str = "proofmark/relay-state/v2";
const MAX_STATE_BYTES: u64 = 256 << 20;

/// A block that was scanned.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Scanned {
    pub(crate) block: u64,
    pub(crate) hash: B256,
}

/// A request that waits for its end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Pending {
    pub(crate) request: Request,
    /// The transactions that were to fulfil it, the last one last.
    pub(crate) sent: Vec<B256>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct PendingRecord {
    /// As the event carries it.
    request: String,
    sent: Vec<String>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct ScannedRecord {
    block: u64,
    hash: String,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Record {
    format: String,
    chain_id: u64,
    contract: String,
    scanned: Option<ScannedRecord>,
    pending: BTreeMap<String, PendingRecord>,
}

/// The state, with the file that holds it.
#[derive(Debug)]
pub(crate) struct State {
    path: PathBuf,
    chain_id: u64,
    contract: Address,
    /// The last block that was scanned.
    pub(crate) scanned: Option<Scanned>,
    /// By id.
    pub(crate) pending: BTreeMap<B256, Pending>,
}

impl State {
    /// Reads the file, or begins anew where there is none.
    pub(crate) fn open(path: &Path, chain_id: u64, contract: Address) -> Result<Self, RelayError> {
        let mut state = Self {
            path: path.to_owned(),
            chain_id,
            contract,
            scanned: None,
            pending: BTreeMap::new(),
        };
        if !path.exists() {
            return Ok(state);
        }
        let refuse = |reason: &str| RelayError::State {
            reason: reason.to_owned(),
        };
        let bytes = read_bounded(path, MAX_STATE_BYTES)?;
        let record: Record =
            serde_json::from_slice(&bytes).map_err(|error| refuse(&error.to_string()))?;
        if record.format != FORMAT {
            return Err(refuse("it is of another version"));
        }
        let own = hex::encode_prefixed(contract);
        if (record.chain_id, &record.contract) != (chain_id, &own) {
            return Err(refuse("it is of another chain or contract"));
        }
        if let Some(scanned) = record.scanned {
            let hash = hash(&scanned.hash).ok_or_else(|| refuse("a hash in it is damaged"))?;
            let block = scanned.block;
            state.scanned = Some(Scanned { block, hash });
        }
        for (id, pending) in record.pending {
            let damaged = || refuse("a request in it is damaged");
            let id = hash(&id).ok_or_else(damaged)?;
            let request = hex::decode(&pending.request)
                .ok()
                .and_then(|bytes| Request::decode(&bytes))
                .filter(|request| request.id(chain_id, contract) == id)
                .ok_or_else(damaged)?;
            let sent = pending.sent.iter().map(|text| hash(text));
            let sent = sent.collect::<Option<_>>().ok_or_else(damaged)?;
            state.pending.insert(id, Pending { request, sent });
        }
        Ok(state)
    }

    /// Writes the file: the old or the new content is there, never half.
    pub(crate) fn save(&self) -> Result<(), RelayError> {
        let pending = self.pending.iter().map(|(id, pending)| {
            let record = PendingRecord {
                request: hex::encode_prefixed(pending.request.encode()),
                sent: pending.sent.iter().map(hex::encode_prefixed).collect(),
            };
            (hex::encode_prefixed(id), record)
        });
        let record = Record {
            format: FORMAT.to_owned(),
            chain_id: self.chain_id,
            contract: hex::encode_prefixed(self.contract),
            scanned: self.scanned.map(|scanned| ScannedRecord {
                block: scanned.block,
                hash: hex::encode_prefixed(scanned.hash),
            }),
            pending: pending.collect(),
        };
        let text = serde_json::to_vec_pretty(&record).map_err(|error| RelayError::State {
            reason: error.to_string(),
        })?;
        Ok(write_atomic(&self.path, &text)?)
    }
}

fn hash(text: &str) -> Option<B256> {
    B256::try_from(hex::decode(text).ok()?.as_slice()).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::request::tests::sample;

    #[test]
    fn what_was_saved_is_there_and_of_one_contract() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("relay.json");
        let contract = Address::repeat_byte(4);
        let mut state = State::open(&path, 1, contract).unwrap();
        assert!(state.pending.is_empty() && state.scanned.is_none());
        state.scanned = Some(Scanned {
            block: 7,
            hash: B256::repeat_byte(7),
        });
        let id = sample().id(1, contract);
        let pending = Pending {
            request: sample(),
            sent: vec![B256::repeat_byte(1), B256::repeat_byte(2)],
        };
        state.pending.insert(id, pending.clone());
        state.save().unwrap();
        let read = State::open(&path, 1, contract).unwrap();
        assert_eq!(read.scanned, state.scanned);
        assert_eq!(read.pending, BTreeMap::from([(id, pending)]));

        for (chain, other) in [(2, contract), (1, Address::ZERO)] {
            assert_eq!(
                State::open(&path, chain, other).unwrap_err().code(),
                "relay-state"
            );
        }
        let text = std::fs::read_to_string(&path).unwrap();
        for bad in [
            String::new(),
            text.replace("state/v2", "state/v1"),
            text.replace("0707", "07"),
            text.replace("\"scanned\"", "\"scaned\""),
            text.replacen("0x0000", "0x0001", 1),
        ] {
            std::fs::write(&path, bad).unwrap();
            assert_eq!(
                State::open(&path, 1, contract).unwrap_err().code(),
                "relay-state"
            );
        }
    }
}

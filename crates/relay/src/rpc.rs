//! JSON-RPC to a node: the few methods that the relay uses.

use std::io::Read as _;
use std::time::Duration;

use alloy_primitives::{Address, B256, U256};
use serde_json::{Value, json};

use crate::error::RelayError;

/// How long an answer is waited for.
const PATIENCE: Duration = Duration::from_secs(30);
/// Longest answer that is read.
const MAX_ANSWER_BYTES: u64 = 64 << 20;

/// A node.
pub(crate) struct Rpc {
    url: String,
    agent: ureq::Agent,
}

/// An event of the contract.
pub(crate) struct Log {
    pub(crate) block: u64,
    pub(crate) topics: Vec<B256>,
    pub(crate) data: Vec<u8>,
}

/// What is known of a block.
pub(crate) struct Block {
    pub(crate) hash: B256,
    pub(crate) timestamp: u64,
}

/// What became of a transaction.
pub(crate) struct Receipt {
    pub(crate) block: u64,
    pub(crate) succeeded: bool,
}

impl Rpc {
    pub(crate) fn new(url: &str) -> Self {
        let agent = ureq::Agent::config_builder()
            .timeout_global(Some(PATIENCE))
            .http_status_as_error(false)
            .build()
            .into();
        Self {
            url: url.to_owned(),
            agent,
        }
    }

    fn ask(&self, method: &'static str, params: &Value) -> Result<Value, RelayError> {
        let failed = |reason: String| RelayError::Node { method, reason };
        let body = json!({"jsonrpc": "2.0", "id": 1, "method": method, "params": params});
        let mut response = self
            .agent
            .post(&self.url)
            .header("content-type", "application/json")
            .send(body.to_string().as_bytes())
            .map_err(|error| failed(error.to_string()))?;
        let mut bytes = Vec::new();
        response
            .body_mut()
            .as_reader()
            .take(MAX_ANSWER_BYTES)
            .read_to_end(&mut bytes)
            .map_err(|error| failed(error.to_string()))?;
        let mut answer: Value =
            serde_json::from_slice(&bytes).map_err(|error| failed(error.to_string()))?;
        if let Some(error) = answer.get("error") {
            let reason = match error.get("message").and_then(Value::as_str) {
                Some(message) => message.to_owned(),
                None => error.to_string(),
            };
            return Err(RelayError::Refused { method, reason });
        }
        match answer.get_mut("result") {
            Some(result) => Ok(result.take()),
            None => Err(failed("it has no result".to_owned())),
        }
    }

    pub(crate) fn chain_id(&self) -> Result<u64, RelayError> {
        self.number("eth_chainId", &json!([]))
    }

    /// Number of the latest block.
    pub(crate) fn head(&self) -> Result<u64, RelayError> {
        self.number("eth_blockNumber", &json!([]))
    }

    fn number(&self, method: &'static str, params: &Value) -> Result<u64, RelayError> {
        let answer = self.ask(method, params)?;
        quantity(&answer).ok_or_else(|| unreadable(method))
    }

    /// A block by its number; `None` for one that the chain has not.
    pub(crate) fn block(&self, number: u64) -> Result<Option<Block>, RelayError> {
        const METHOD: &str = "eth_getBlockByNumber";
        let answer = self.ask(METHOD, &json!([hex_number(number), false]))?;
        if answer.is_null() {
            return Ok(None);
        }
        let hash = answer.get("hash").and_then(word);
        let timestamp = answer.get("timestamp").and_then(quantity);
        match (hash, timestamp) {
            (Some(hash), Some(timestamp)) => Ok(Some(Block { hash, timestamp })),
            _ => Err(unreadable(METHOD)),
        }
    }

    /// Events of a contract with this first topic, in these blocks.
    pub(crate) fn logs(
        &self,
        from: u64,
        to: u64,
        contract: Address,
        topic: B256,
    ) -> Result<Vec<Log>, RelayError> {
        const METHOD: &str = "eth_getLogs";
        let filter = json!([{
            "fromBlock": hex_number(from),
            "toBlock": hex_number(to),
            "address": hex(contract.as_slice()),
            "topics": [hex(topic.as_slice())],
        }]);
        let answer = self.ask(METHOD, &filter)?;
        let logs = answer.as_array().ok_or_else(|| unreadable(METHOD))?;
        logs.iter()
            .filter(|log| log.get("removed") != Some(&Value::Bool(true)))
            .map(|log| {
                let topics = log.get("topics")?.as_array()?;
                Some(Log {
                    block: quantity(log.get("blockNumber")?)?,
                    topics: topics.iter().map(word).collect::<Option<_>>()?,
                    data: bytes(log.get("data")?)?,
                })
            })
            .map(|log| log.ok_or_else(|| unreadable(METHOD)))
            .collect()
    }

    /// Calls a contract without a transaction, on the state with all transactions that wait.
    pub(crate) fn call(&self, to: Address, data: &[u8]) -> Result<Vec<u8>, RelayError> {
        const METHOD: &str = "eth_call";
        let call = json!([{ "to": hex(to.as_slice()), "data": hex(data) }, "pending"]);
        bytes(&self.ask(METHOD, &call)?).ok_or_else(|| unreadable(METHOD))
    }

    /// Gas that a transaction would take; refused when it would fail.
    pub(crate) fn estimate(
        &self,
        from: Address,
        to: Address,
        data: &[u8],
    ) -> Result<u64, RelayError> {
        let call = json!([{
            "from": hex(from.as_slice()),
            "to": hex(to.as_slice()),
            "data": hex(data),
        }]);
        self.number("eth_estimateGas", &call)
    }

    /// Has a transaction signed and sent; its hash.
    pub(crate) fn send(
        &self,
        from: Address,
        to: Address,
        data: &[u8],
        gas: u64,
    ) -> Result<B256, RelayError> {
        const METHOD: &str = "eth_sendTransaction";
        let transaction = json!([{
            "from": hex(from.as_slice()),
            "to": hex(to.as_slice()),
            "data": hex(data),
            "gas": hex_number(gas),
        }]);
        word(&self.ask(METHOD, &transaction)?).ok_or_else(|| unreadable(METHOD))
    }

    /// What became of a transaction; `None` while it waits, and for one that was dropped.
    pub(crate) fn receipt(&self, transaction: B256) -> Result<Option<Receipt>, RelayError> {
        const METHOD: &str = "eth_getTransactionReceipt";
        let answer = self.ask(METHOD, &json!([hex(transaction.as_slice())]))?;
        if answer.is_null() {
            return Ok(None);
        }
        let block = answer.get("blockNumber").and_then(quantity);
        let status = answer.get("status").and_then(quantity);
        match (block, status) {
            (Some(block), Some(status)) => Ok(Some(Receipt {
                block,
                succeeded: status == 1,
            })),
            _ => Err(unreadable(METHOD)),
        }
    }
}

fn unreadable(method: &'static str) -> RelayError {
    RelayError::Node {
        method,
        reason: "the answer is not of its form".to_owned(),
    }
}

fn hex_number(number: u64) -> String {
    format!("{number:#x}")
}

fn hex(bytes: &[u8]) -> String {
    alloy_primitives::hex::encode_prefixed(bytes)
}

fn bytes(value: &Value) -> Option<Vec<u8>> {
    let digits = value.as_str()?.strip_prefix("0x")?;
    alloy_primitives::hex::decode(digits).ok()
}

fn word(value: &Value) -> Option<B256> {
    B256::try_from(bytes(value)?.as_slice()).ok()
}

fn quantity(value: &Value) -> Option<u64> {
    let digits = value.as_str()?.strip_prefix("0x")?;
    let number = U256::from_str_radix(digits, 16).ok()?;
    u64::try_from(number).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_read_in_their_form() {
        assert_eq!(quantity(&json!("0x1f")), Some(31));
        for bad in [
            json!("1f"),
            json!(31),
            json!("0x1ffffffffffffffff"),
            json!("0xg"),
            json!(null),
        ] {
            assert_eq!(quantity(&bad), None, "{bad}");
        }
        assert_eq!(bytes(&json!("0x00ff")), Some(vec![0, 255]));
        assert_eq!(bytes(&json!("0x0")), None);
        assert_eq!(word(&json!("0x00")), None);
        assert_eq!(hex(&[0, 171]), "0x00ab");
    }

    #[test]
    fn a_node_that_is_not_there_is_named() {
        let error = Rpc::new("http://127.0.0.1:9").head().unwrap_err();
        assert_eq!(error.code(), "node-unreachable");
        assert!(error.to_string().contains("eth_blockNumber"));
    }
}

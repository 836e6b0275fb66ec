//! JSON-RPC to a node: the few methods that the relay uses.

use std::io::Read as _;
use std::time::Duration;

use alloy_primitives::{Address, B256, U256};
use serde_json::{Value, json};

use crate::account::Fees;
use crate::error::RelayError;

/// How long an answer is waited for.
const PATIENCE: Duration = Duration::from_secs(30);
/// Longest answer that is read.
const MAX_ANSWER_BYTES: u64 = 64 << 20;

/// The tip offered where the node names none: one gwei.
const USUAL_TIP: u128 = 1_000_000_000;
/// The chain's end.
const LATEST: &str = "latest";

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

/// A transaction that the node knows.
pub(crate) struct Known {
    pub(crate) nonce: u64,
    pub(crate) gas: u64,
    /// `None` for one that is not after EIP-1559.
    pub(crate) fees: Option<Fees>,
}

/// The state that a call sees. Never the one with transactions that wait: anybody can put such there
/// and take them away again.
#[derive(Debug, Clone, Copy)]
pub(crate) enum At {
    Latest,
    Block(u64),
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
            .take(MAX_ANSWER_BYTES.saturating_add(1))
            .read_to_end(&mut bytes)
            .map_err(|error| failed(error.to_string()))?;
        let refused = |reason: String| RelayError::Refused { method, reason };
        if bytes.len() as u64 > MAX_ANSWER_BYTES {
            return Err(refused("the answer is longer than is read".to_owned()));
        }
        let status = response.status();
        let mut answer: Value = match serde_json::from_slice(&bytes) {
            Ok(answer) => answer,
            Err(_) if !status.is_success() => return Err(refused(format!("HTTP {status}"))),
            Err(error) => return Err(failed(error.to_string())),
        };
        if let Some(error) = answer.get("error").filter(|error| !error.is_null()) {
            let reason = match error.get("message").and_then(Value::as_str) {
                Some(message) => message.to_owned(),
                None => error.to_string(),
            };
            return Err(refused(reason));
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
            // Whatever the node made of the filter.
            .filter(|log| {
                let address = log.get("address").and_then(bytes);
                let first = log.get("topics").and_then(|topics| topics.get(0));
                address.is_some_and(|address| address == contract.as_slice())
                    && first.and_then(word) == Some(topic)
            })
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

    /// Calls a contract without a transaction.
    pub(crate) fn call(&self, to: Address, data: &[u8], at: At) -> Result<Vec<u8>, RelayError> {
        const METHOD: &str = "eth_call";
        let at = match at {
            At::Latest => LATEST.to_owned(),
            At::Block(number) => hex_number(number),
        };
        let call = json!([{ "to": hex(to.as_slice()), "data": hex(data) }, at]);
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
        }, LATEST]);
        self.number("eth_estimateGas", &call)
    }

    /// What a gas costs, in wei, as the node would offer it.
    pub(crate) fn gas_price(&self) -> Result<u128, RelayError> {
        const METHOD: &str = "eth_gasPrice";
        wei(&self.ask(METHOD, &json!([]))?).ok_or_else(|| unreadable(METHOD))
    }

    /// What is offered for gas: twice the base fee, so that it may rise, and the tip that the node
    /// names.
    pub(crate) fn fees(&self) -> Result<Fees, RelayError> {
        const METHOD: &str = "eth_getBlockByNumber";
        let block = self.ask(METHOD, &json!([LATEST, false]))?;
        let base = block.get("baseFeePerGas").and_then(wei);
        let base = base.ok_or_else(|| RelayError::Refused {
            method: METHOD,
            reason: "the chain has no fees after EIP-1559; have a node sign (--from)".to_owned(),
        })?;
        let tip = match self.ask("eth_maxPriorityFeePerGas", &json!([])) {
            Ok(tip) => wei(&tip).unwrap_or(USUAL_TIP),
            // Not every node knows the method.
            Err(RelayError::Refused { .. }) => USUAL_TIP,
            Err(error) => return Err(error),
        };
        let most = base.saturating_mul(2).saturating_add(tip);
        Ok(Fees { tip, most })
    }

    /// The number of an account's next transaction, those that wait included.
    pub(crate) fn nonce(&self, account: Address) -> Result<u64, RelayError> {
        let of = json!([hex(account.as_slice()), "pending"]);
        self.number("eth_getTransactionCount", &of)
    }

    /// Sends a signed transaction.
    pub(crate) fn send_raw(&self, transaction: &[u8]) -> Result<(), RelayError> {
        let sent = self.ask("eth_sendRawTransaction", &json!([hex(transaction)]));
        sent.map(drop)
    }

    /// A transaction that waits or was mined; `None` for one that the node does not know.
    pub(crate) fn transaction(&self, hash: B256) -> Result<Option<Known>, RelayError> {
        const METHOD: &str = "eth_getTransactionByHash";
        let answer = self.ask(METHOD, &json!([hex(hash.as_slice())]))?;
        if answer.is_null() {
            return Ok(None);
        }
        let number = |name: &str| answer.get(name).and_then(quantity);
        let tip = answer.get("maxPriorityFeePerGas").and_then(wei);
        let most = answer.get("maxFeePerGas").and_then(wei);
        match (number("nonce"), number("gas")) {
            (Some(nonce), Some(gas)) => Ok(Some(Known {
                nonce,
                gas,
                fees: tip.zip(most).map(|(tip, most)| Fees { tip, most }),
            })),
            _ => Err(unreadable(METHOD)),
        }
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

fn number(value: &Value) -> Option<U256> {
    let digits = value.as_str()?.strip_prefix("0x")?;
    U256::from_str_radix(digits, 16).ok()
}

fn quantity(value: &Value) -> Option<u64> {
    u64::try_from(number(value)?).ok()
}

fn wei(value: &Value) -> Option<u128> {
    u128::try_from(number(value)?).ok()
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

//! A local chain: anvil as a process, spoken to over JSON-RPC.

use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use alloy_primitives::{Address, B256, hex, keccak256};
use serde_json::{Value, json};

use crate::npm;

/// The process; it ends with this.
pub(crate) struct Node {
    process: Child,
    port: u16,
    accounts: Vec<Address>,
}

impl Drop for Node {
    fn drop(&mut self) {
        // It is gone when it cannot be killed.
        drop(self.process.kill());
        drop(self.process.wait());
    }
}

impl Node {
    pub(crate) fn start() -> Self {
        let program = program();
        let mut process = Command::new(&program)
            .args(["--port", "0", "--host", "127.0.0.1"])
            .stdout(Stdio::piped())
            .stderr(Stdio::inherit())
            .spawn()
            .unwrap_or_else(|error| panic!("{}: {error}; name anvil in ANVIL", program.display()));
        let mut lines = BufReader::new(process.stdout.take().unwrap()).lines();
        let port = lines
            .by_ref()
            .map_while(Result::ok)
            .find_map(|line| {
                line.strip_prefix("Listening on 127.0.0.1:")?
                    .trim()
                    .parse()
                    .ok()
            })
            .expect("anvil says where it listens");
        // What else it says is read so that it is never stopped by a full pipe.
        std::thread::spawn(move || lines.for_each(drop));
        let mut node = Self {
            process,
            port,
            accounts: Vec::new(),
        };
        let accounts = node.ask("eth_accounts", json!([]));
        node.accounts = accounts
            .as_array()
            .unwrap()
            .iter()
            .map(|account| account.as_str().unwrap().parse().unwrap())
            .collect();
        node
    }

    pub(crate) fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    /// An account whose key the node has.
    pub(crate) fn account(&self, index: usize) -> Address {
        self.accounts[index]
    }

    pub(crate) fn ask(&self, method: &str, params: Value) -> Value {
        let body = json!({"jsonrpc": "2.0", "id": 1, "method": method, "params": params});
        let answer: Value = ureq::post(&self.url())
            .send_json(&body)
            .unwrap()
            .body_mut()
            .read_json()
            .unwrap();
        assert!(answer.get("error").is_none(), "{method}: {answer}");
        answer["result"].clone()
    }

    fn number(&self, method: &str) -> u64 {
        quantity(&self.ask(method, json!([])))
    }

    pub(crate) fn chain_id(&self) -> u64 {
        self.number("eth_chainId")
    }

    /// Time of the latest block.
    pub(crate) fn now(&self) -> u64 {
        quantity(&self.ask("eth_getBlockByNumber", json!(["latest", false]))["timestamp"])
    }

    pub(crate) fn mine(&self, blocks: u64) {
        self.ask("anvil_mine", json!([format!("{blocks:#x}")]));
    }

    /// Transactions wait until [`mine`](Self::mine).
    pub(crate) fn stop_mining(&self) {
        self.ask("evm_setAutomine", json!([false]));
    }

    /// How many transactions an account has sent that were mined.
    pub(crate) fn sent_by(&self, account: usize) -> u64 {
        let account = text(self.account(account).as_slice());
        quantity(&self.ask("eth_getTransactionCount", json!([account, "latest"])))
    }

    /// Lets time pass, and mines a block.
    pub(crate) fn pass_time(&self, seconds: u64) {
        self.ask("evm_increaseTime", json!([seconds]));
        self.mine(1);
    }

    pub(crate) fn snapshot(&self) -> Value {
        self.ask("evm_snapshot", json!([]))
    }

    pub(crate) fn revert(&self, to: &Value) {
        assert_eq!(self.ask("evm_revert", json!([to])), Value::Bool(true));
    }

    pub(crate) fn call(&self, to: Address, data: &[u8]) -> Vec<u8> {
        let from = text(self.account(0).as_slice());
        let call =
            json!([{ "from": from, "to": text(to.as_slice()), "data": text(data) }, "latest"]);
        hex::decode(self.ask("eth_call", call).as_str().unwrap()).unwrap()
    }

    /// Sends a transaction, which is mined at once and must succeed; its receipt.
    pub(crate) fn send(&self, from: usize, to: Address, data: &[u8], value: u64) -> Value {
        self.transact(json!({
            "from": text(self.account(from).as_slice()),
            "to": text(to.as_slice()),
            "data": text(data),
            "value": format!("{value:#x}"),
        }))
    }

    pub(crate) fn deploy(&self, data: &[u8]) -> Address {
        let from = text(self.account(0).as_slice());
        let receipt = self.transact(json!({ "from": from, "data": text(data) }));
        receipt["contractAddress"]
            .as_str()
            .unwrap()
            .parse()
            .unwrap()
    }

    fn transact(&self, transaction: Value) -> Value {
        let receipt = self.mined(&self.ask("eth_sendTransaction", json!([transaction])));
        assert_eq!(receipt["status"], "0x1", "{receipt}");
        receipt
    }

    /// The receipt of a transaction, which is mined as soon as the node comes to it.
    pub(crate) fn mined(&self, transaction: &Value) -> Value {
        for _ in 0..1000 {
            let receipt = self.ask("eth_getTransactionReceipt", json!([transaction]));
            if !receipt.is_null() {
                return receipt;
            }
            std::thread::sleep(std::time::Duration::from_millis(10));
        }
        panic!("{transaction} is not mined")
    }
}

/// anvil from npm; where that has none for a machine, the one that `ANVIL` names.
fn program() -> PathBuf {
    if let Some(path) = std::env::var_os("ANVIL") {
        return path.into();
    }
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("anvil");
    npm::packages(&source, "anvil").join("node_modules/@foundry-rs/anvil-linux-amd64/bin/anvil")
}

fn text(bytes: &[u8]) -> String {
    hex::encode_prefixed(bytes)
}

fn quantity(value: &Value) -> u64 {
    let digits = value.as_str().unwrap().strip_prefix("0x").unwrap();
    u64::from_str_radix(digits, 16).unwrap()
}

/// Selector and arguments.
pub(crate) fn calldata(signature: &str, arguments: Vec<u8>) -> Vec<u8> {
    let hash: B256 = keccak256(signature);
    [&hash[..4], &arguments].concat()
}

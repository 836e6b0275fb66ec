//! The oracle on a real local chain, over JSON-RPC: contracts are deployed, a request is made, and the
//! relay watches, proves and fulfils, through restarts, duplicate events and reorganisations.
#![forbid(unsafe_code)]

#[path = "../../crates/prover/tests/js/npm.rs"]
mod npm;

mod node;

use std::path::{Path, PathBuf};
use std::time::Duration;

use alloy_primitives::{Address, B256, Bytes, FixedBytes, U256};
use alloy_sol_types::SolValue as _;
use ed25519_dalek::SigningKey;
use proofmark_engine::{BackendChoice, Engine, NoProgress, seal};
use proofmark_evm::{Call, Contract};
use proofmark_relay::{Account, Config, Event, Key, Relay, Request};
use proofmark_tests::samples;
use proofmark_types::field::fr_to_bytes;
use proofmark_types::statement::public_elements;

use crate::node::{Node, calldata};

const MODEL: &str = "risk-classifier";
const REQUEST: &str = "request(uint256,uint256[],bytes,address,uint64,uint64)";
const FEE: u64 = 1_000_000;
/// Key of the node's second account, the same on every local chain.
const KEY: &str = "59c6995e998f97a5a0044966f0945389dc9e86dae88c7a8412f4603b6b78690d";
const CONFIRMATIONS: u64 = 2;

struct Oracle {
    node: Node,
    requests: Address,
    model: U256,
    folder: tempfile::TempDir,
}

impl Oracle {
    /// Contracts and a registered model on a new chain.
    fn new(backend: BackendChoice) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let package = folder.path().join("package");
        seal(&samples::folder(MODEL), &package, backend, &NoProgress).unwrap();
        let engine = Engine::load(&package, None).unwrap();
        let node = Node::start();
        let deploy = |contract: Contract, arguments: Vec<u8>| {
            let mut data = contract.artifact().unwrap().bytecode;
            data.extend(arguments);
            node.deploy(&data)
        };
        let universal = deploy(Contract::UniversalVerifier, vec![]);
        node.send(
            0,
            universal,
            &Call::register(engine.verifying_key_bytes()),
            0,
        );
        let registry = deploy(Contract::Registry, vec![]);
        let arguments = (registry, universal).abi_encode_params();
        let requests = deploy(Contract::Requests, arguments);
        let system = engine.manifest().compiler.backend.proof_system_id();
        let commitment = (
            B256::from(*engine.package().digest().as_bytes()),
            B256::from(*engine.sealed().circuit.digest.as_bytes()),
            B256::from(*engine.sealed().verifying_key.digest.as_bytes()),
            system.parse::<FixedBytes<4>>().unwrap(),
            String::new(),
        );
        let register = "registerModel((bytes32,bytes32,bytes32,bytes4,string))";
        let data = calldata(register, (commitment,).abi_encode_params());
        let model = U256::from_be_slice(&node.call(registry, &data));
        node.send(0, registry, &data, 0);
        Self {
            node,
            requests,
            model,
            folder,
        }
    }

    fn state(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// A relay with the package loaded, and a state of its own.
    fn relay(&self, state: &Path) -> Relay {
        self.relay_of(state, Account::AtNode(self.node.account(1)))
    }

    fn relay_of(&self, state: &Path, account: Account) -> Relay {
        let engine = Engine::load(&self.folder.path().join("package"), None).unwrap();
        let config = Config {
            url: self.node.url(),
            contract: self.requests,
            account,
            state: state.to_owned(),
            confirmations: CONFIRMATIONS,
            first_block: 0,
            minimum_fee: FEE.into(),
            at_a_loss: true,
            patience: Duration::ZERO,
        };
        Relay::open(config, vec![engine], SigningKey::from_bytes(&[3; 32])).unwrap()
    }

    /// The calldata of a request, with the first held-out sample.
    fn asking(&self, deadline: u64) -> Vec<u8> {
        let (x, _) = samples::heldout(MODEL);
        let input = samples::quantized(&samples::manifest(MODEL), &x[0]);
        let words: Vec<U256> = public_elements(&input)
            .iter()
            .map(|element| U256::from_be_bytes(fr_to_bytes(element)))
            .collect();
        let arguments = (
            self.model,
            words,
            Bytes::new(),
            Address::ZERO,
            0_u64,
            deadline,
        );
        calldata(REQUEST, arguments.abi_encode_params())
    }

    fn ask(&self, deadline: u64, fee: u64) -> B256 {
        let data = self.asking(deadline);
        let receipt = self.node.send(2, self.requests, &data, fee);
        let log = &receipt["logs"][0];
        let id = log["topics"][1].as_str().unwrap().parse().unwrap();
        // The event's request is read as the contract made it.
        let bytes: Bytes = log["data"].as_str().unwrap().parse().unwrap();
        let request = Request::decode(&bytes).unwrap();
        assert_eq!(request.id(self.node.chain_id(), self.requests), id);
        assert_eq!(request.deadline, deadline);
        id
    }

    fn deadline(&self) -> u64 {
        self.node.now() + 3600
    }

    fn is_open(&self, id: B256) -> bool {
        let data = calldata("isOpen(bytes32)", (id,).abi_encode_params());
        U256::from_be_slice(&self.node.call(self.requests, &data)) == U256::ONE
    }

    fn owed(&self, account: usize) -> U256 {
        let arguments = (self.node.account(account),).abi_encode_params();
        let data = calldata("owed(address)", arguments);
        U256::from_be_slice(&self.node.call(self.requests, &data))
    }
}

fn pass(relay: &mut Relay) -> Vec<Event> {
    let mut events = Vec::new();
    relay.pass(&mut |event| events.push(event)).unwrap();
    events
}

fn sent(events: &[Event]) -> bool {
    events
        .iter()
        .any(|event| matches!(event, Event::Sent { .. }))
}

/// One pass that sends one fulfilment, which is then mined.
fn pass_and_send(oracle: &Oracle, relay: &mut Relay) -> Vec<Event> {
    let events = pass(relay);
    let transactions = events.iter().filter_map(|event| match event {
        Event::Sent { transaction, .. } => Some(transaction.to_string()),
        _ => None,
    });
    let transactions: Vec<String> = transactions.collect();
    assert_eq!(transactions.len(), 1, "{events:?}");
    let receipt = oracle.node.mined(&transactions[0].clone().into());
    assert_eq!(receipt["status"], "0x1", "{receipt}");
    events
}

#[test]
fn a_request_is_found_proven_and_fulfilled_once_through_a_restart() {
    for backend in [BackendChoice::Plain, BackendChoice::Lookup] {
        let oracle = Oracle::new(backend);
        let path = oracle.state("state.json");
        let mut relay = oracle.relay(&path);
        let id = oracle.ask(oracle.deadline(), FEE);
        // Not before its block is confirmed.
        assert_eq!(pass(&mut relay), []);
        oracle.node.mine(CONFIRMATIONS);
        let events = pass_and_send(&oracle, &mut relay);
        assert_eq!(events[0], Event::Found { id });
        assert!(!oracle.is_open(id));
        assert_eq!(oracle.owed(1), U256::from(FEE));
        // A restart between sending and confirmation neither forgets it nor sends again.
        drop(relay);
        let mut relay = oracle.relay(&path);
        assert_eq!(relay.waiting(), 1);
        assert_eq!(pass(&mut relay), []);
        oracle.node.mine(CONFIRMATIONS);
        assert_eq!(pass(&mut relay), [Event::Fulfilled { id }]);
        assert_eq!((relay.waiting(), pass(&mut relay)), (0, vec![]));
        // A relay that lost its state sees the event again, and that there is nothing to do.
        let mut other = oracle.relay(&oracle.state("lost.json"));
        let events = pass(&mut other);
        assert_eq!(events[0], Event::Found { id });
        assert!(matches!(&events[1], Event::Dropped { reason, .. } if reason.contains("not open")));
        assert_eq!(events.len(), 2);
        assert_eq!(oracle.owed(1), U256::from(FEE));
    }
}

#[test]
fn what_cannot_be_answered_is_left_alone() {
    let oracle = Oracle::new(BackendChoice::Plain);
    let mut relay = oracle.relay(&oracle.state("state.json"));
    let cheap = oracle.ask(oracle.deadline(), FEE - 1);
    let soon = oracle.ask(oracle.node.now() + 100, FEE);
    oracle.node.mine(CONFIRMATIONS);
    oracle.node.pass_time(1000);
    let events = pass(&mut relay);
    let dropped = |id: B256, words: &str| {
        events.iter().any(|event| {
            matches!(event, Event::Dropped { id: of, reason } if *of == id && reason.contains(words))
        })
    };
    assert!(dropped(cheap, "fee"), "{events:?}");
    assert!(dropped(soon, "deadline"), "{events:?}");
    assert!(!sent(&events));
    assert_eq!(relay.waiting(), 0);
}

#[test]
fn a_reorganisation_takes_requests_and_fulfilments_away_and_brings_them_back() {
    let oracle = Oracle::new(BackendChoice::Plain);
    let mut relay = oracle.relay(&oracle.state("state.json"));
    let deadline = oracle.deadline();
    let before = oracle.node.snapshot();
    let id = oracle.ask(deadline, FEE);
    oracle.node.mine(CONFIRMATIONS);
    pass_and_send(&oracle, &mut relay);
    assert_eq!(oracle.owed(1), U256::from(FEE));
    // All of it is gone, and other blocks stand there.
    oracle.node.revert(&before);
    oracle.node.mine(CONFIRMATIONS + 3);
    assert!(!oracle.is_open(id));
    assert_eq!(oracle.owed(1), U256::ZERO);
    let events = pass(&mut relay);
    assert!(matches!(events[0], Event::Rewound { .. }), "{events:?}");
    assert!(!sent(&events));
    // The same request again: nothing but its block is another.
    assert_eq!(oracle.ask(deadline, FEE), id);
    oracle.node.mine(CONFIRMATIONS);
    pass_and_send(&oracle, &mut relay);
    assert_eq!(oracle.owed(1), U256::from(FEE));
    oracle.node.mine(CONFIRMATIONS);
    assert_eq!(pass(&mut relay), [Event::Fulfilled { id }]);
}

#[test]
fn a_relay_with_a_key_signs_for_itself_and_is_not_stuck() {
    let oracle = Oracle::new(BackendChoice::Plain);
    let file = oracle.state("key");
    std::fs::write(&file, KEY).unwrap();
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt as _;
        std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o600)).unwrap();
    }
    let key = Key::read(&file).unwrap();
    assert_eq!(key.address(), oracle.node.account(1));
    let path = oracle.state("state.json");
    let mut relay = oracle.relay_of(&path, Account::Own(key.clone()));
    let id = oracle.ask(oracle.deadline(), FEE);
    oracle.node.mine(CONFIRMATIONS);
    // Nothing is mined for a while.
    oracle.node.stop_mining();
    let transaction = |events: &[Event]| match events.last() {
        Some(Event::Sent { transaction, .. }) => transaction.to_string(),
        _ => panic!("{events:?}"),
    };
    let first = transaction(&pass(&mut relay));
    // It offers more, for the same place in the account's order.
    let second = transaction(&pass(&mut relay));
    assert_ne!(first, second);
    // A restart knows of what was sent, and still sends nothing but in its place.
    drop(relay);
    let mut relay = oracle.relay_of(&path, Account::Own(key));
    assert!(oracle.is_open(id));
    let third = transaction(&pass(&mut relay));
    assert_ne!(second, third);
    oracle.node.mine(1);
    let receipt = oracle.node.mined(&third.into());
    assert_eq!(receipt["status"], "0x1", "{receipt}");
    assert_eq!(oracle.owed(1), U256::from(FEE));
    oracle.node.mine(CONFIRMATIONS);
    assert_eq!(pass(&mut relay), [Event::Fulfilled { id }]);
    assert_eq!(oracle.node.sent_by(1), 1);
}

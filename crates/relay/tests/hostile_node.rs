//! A relay before a node that changes its mind, has limits or lies, and requests of people who want to
//! keep it busy.
#![forbid(unsafe_code)]
#![expect(
    clippy::unwrap_used,
    reason = "a test that panics has failed, which is what it is for"
)]

use std::fs;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use alloy_primitives::{Address, B256, Bytes, U256, hex, keccak256};
use alloy_sol_types::SolValue as _;
use ed25519_dalek::SigningKey;
use proofmark_relay::{Account, Config, Event, Relay, RelayError, Request};
use serde_json::{Value, json};

const CHAIN: u64 = 5;
const NOW: u64 = 1_800_000_000;
const CONFIRMATIONS: u64 = 2;
const MINIMUM_FEE: u128 = 1000;
const EVENT: &str = "Requested(bytes32,uint256,address,(address,uint256,uint256,uint256[],bytes,address,uint64,uint64,uint256))";

const fn contract() -> Address {
    Address::repeat_byte(0xcc)
}

const fn own() -> Address {
    Address::repeat_byte(0x99)
}

/// What the node answers; `Err` is a JSON-RPC error.
type Answer = Result<Value, String>;

/// The chain, as the node tells it.
struct World {
    head: u64,
    /// Another number, other blocks.
    fork: u8,
    logs: Vec<(u64, Value)>,
    /// Whether a request is open, by the block that is asked about.
    open: fn(&str) -> bool,
    gas_price: u64,
    /// Transactions with a receipt, and whether they succeeded.
    mined: Vec<(B256, bool)>,
    asked: Vec<String>,
}

impl World {
    fn new(head: u64) -> Self {
        Self {
            head,
            fork: 0,
            logs: Vec::new(),
            open: |_| true,
            gas_price: 0,
            mined: Vec::new(),
            asked: Vec::new(),
        }
    }

    fn answer(&self, method: &str, params: &Value) -> Answer {
        let number = |value: &Value| {
            let digits = value.as_str().unwrap().strip_prefix("0x").unwrap();
            u64::from_str_radix(digits, 16).unwrap()
        };
        Ok(match method {
            "eth_chainId" => json!(format!("{CHAIN:#x}")),
            "eth_blockNumber" => json!(format!("{:#x}", self.head)),
            "eth_gasPrice" => json!(format!("{:#x}", self.gas_price)),
            "eth_getBlockByNumber" => match number(&params[0]) {
                block if block > self.head => Value::Null,
                block => json!({
                    "hash": hex::encode_prefixed(keccak256([&[self.fork], &block.to_be_bytes()[..]].concat())),
                    "timestamp": format!("{NOW:#x}"),
                }),
            },
            "eth_getLogs" => {
                let range = number(&params[0]["fromBlock"])..=number(&params[0]["toBlock"]);
                let found = self.logs.iter().filter(|(block, _)| range.contains(block));
                json!(found.map(|(_, log)| log).collect::<Vec<_>>())
            }
            "eth_getTransactionReceipt" => {
                let hash: B256 = params[0].as_str().unwrap().parse().unwrap();
                match self.mined.iter().find(|(mined, _)| *mined == hash) {
                    Some((_, done)) => json!({
                        "blockNumber": "0x1",
                        "status": if *done { "0x1" } else { "0x0" },
                    }),
                    None => Value::Null,
                }
            }
            "eth_getTransactionByHash" => Value::Null,
            "eth_call" => {
                let data = params[0]["data"].as_str().unwrap();
                let is = |signature: &str| {
                    data.starts_with(&hex::encode_prefixed(&keccak256(signature)[..4]))
                };
                let answer = if is("registry()") {
                    (Address::repeat_byte(0xdd),).abi_encode_params()
                } else if is("isOpen(bytes32)") {
                    ((self.open)(params[1].as_str().unwrap()),).abi_encode_params()
                } else {
                    assert!(is("getModel(uint256)"), "{data}");
                    // A package that nobody here has.
                    let digests = (B256::ZERO, B256::ZERO, B256::ZERO, [0_u8; 4], String::new());
                    (digests, false, Address::ZERO).abi_encode_params()
                };
                json!(hex::encode_prefixed(answer))
            }
            _ => return Err(format!("{method} is not known here")),
        })
    }
}

/// What a test does with a question before the world answers it.
type Meddle = fn(&mut World, &str, &Value) -> Option<Answer>;

/// The node, on a port of its own until the test's process ends.
struct Node {
    url: String,
    world: Arc<Mutex<World>>,
    folder: tempfile::TempDir,
}

impl Node {
    fn start(world: World, meddle: Meddle) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let world = Arc::new(Mutex::new(world));
        let shared = Arc::clone(&world);
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                serve(stream.unwrap(), &shared, meddle);
            }
        });
        let folder = tempfile::tempdir().unwrap();
        Self { url, world, folder }
    }

    fn honest(world: World) -> Self {
        Self::start(world, |_, _, _| None)
    }

    fn state(&self) -> PathBuf {
        self.folder.path().join("state.json")
    }

    fn relay(&self) -> Relay {
        let config = Config {
            url: self.url.clone(),
            contract: contract(),
            account: Account::AtNode(own()),
            state: self.state(),
            confirmations: CONFIRMATIONS,
            first_block: 0,
            minimum_fee: MINIMUM_FEE,
            at_a_loss: false,
            patience: Duration::ZERO,
        };
        Relay::open(config, Vec::new(), SigningKey::from_bytes(&[3; 32])).unwrap()
    }

    /// Leaves a request that waits in the state, as a relay that had its model would.
    fn remembers(&self, request: &Request, sent: &[B256]) -> B256 {
        let id = request.id(CHAIN, contract());
        let sent: Vec<_> = sent.iter().map(hex::encode_prefixed).collect();
        let state = json!({
            "format": "proofmark/relay-state/v2",
            "chain_id": CHAIN,
            "contract": hex::encode_prefixed(contract()),
            "scanned": null,
            "pending": {
                (hex::encode_prefixed(id)): {
                    "request": hex::encode_prefixed(request.encode()),
                    "sent": sent,
                }
            },
        });
        fs::write(self.state(), state.to_string()).unwrap();
        id
    }

    fn asked(&self, method: &str) -> usize {
        let world = self.world.lock().unwrap();
        world.asked.iter().filter(|asked| *asked == method).count()
    }
}

fn serve(mut stream: TcpStream, world: &Mutex<World>, meddle: Meddle) {
    let mut reader = BufReader::new(stream.try_clone().unwrap());
    let mut length = 0;
    loop {
        let mut line = String::new();
        if reader.read_line(&mut line).unwrap_or(0) == 0 {
            return;
        }
        let line = line.trim().to_ascii_lowercase();
        if let Some(value) = line.strip_prefix("content-length:") {
            length = value.trim().parse().unwrap();
        }
        if line.is_empty() {
            break;
        }
    }
    let mut body = vec![0; length];
    reader.read_exact(&mut body).unwrap();
    let asked: Value = serde_json::from_slice(&body).unwrap();
    let method = asked["method"].as_str().unwrap();
    let mut world = world.lock().unwrap();
    world.asked.push(method.to_owned());
    let answer = meddle(&mut world, method, &asked["params"]);
    let answer = answer.unwrap_or_else(|| world.answer(method, &asked["params"]));
    drop(world);
    let body = match answer {
        Ok(result) => json!({"jsonrpc": "2.0", "id": 1, "result": result}),
        Err(message) => {
            json!({"jsonrpc": "2.0", "id": 1, "error": {"code": -32005, "message": message}})
        }
    };
    let body = body.to_string();
    let head = format!(
        "HTTP/1.1 200 OK\r\ncontent-length: {}\r\nconnection: close\r\n\r\n",
        body.len()
    );
    drop(stream.write_all((head + &body).as_bytes()));
}

fn request(sequence: u64) -> Request {
    Request {
        requester: Address::repeat_byte(1),
        sequence: U256::from(sequence),
        model_id: U256::from(3),
        inputs: vec![U256::from(4)],
        data: Bytes::from(vec![7; 1000]),
        prover: Address::ZERO,
        callback_gas: 0,
        deadline: NOW + 1000,
        fee: U256::from(MINIMUM_FEE),
    }
}

fn log(request: &Request) -> Value {
    let id = request.id(CHAIN, contract());
    json!({
        "address": hex::encode_prefixed(contract()),
        "topics": [
            hex::encode_prefixed(keccak256(EVENT)),
            hex::encode_prefixed(id),
            hex::encode_prefixed(request.model_id.to_be_bytes::<32>()),
            hex::encode_prefixed(B256::left_padding_from(request.requester.as_slice())),
        ],
        "data": hex::encode_prefixed(request.encode()),
        "blockNumber": "0xa",
    })
}

fn pass(relay: &mut Relay) -> Result<Vec<Event>, RelayError> {
    let mut events = Vec::new();
    relay.pass(&mut |event| events.push(event))?;
    Ok(events)
}

fn found(events: &[Event]) -> usize {
    let is_found = |event: &&Event| matches!(event, Event::Found { .. });
    events.iter().filter(is_found).count()
}

#[test]
fn a_reorganisation_between_two_questions_loses_nothing() {
    // The blocks are exchanged right after the node was asked for events, or right before.
    for late in [true, false] {
        let meddle: Meddle = if late {
            |world, method, params| {
                if method != "eth_getLogs" || world.fork != 0 {
                    return None;
                }
                let answer = world.answer(method, params);
                world.fork = 1;
                world.logs = vec![(10, log(&request(0)))];
                Some(answer)
            }
        } else {
            |world, method, _| {
                if method == "eth_getLogs" && world.fork == 0 {
                    world.fork = 1;
                    world.logs = vec![(10, log(&request(0)))];
                }
                None
            }
        };
        let node = Node::start(World::new(20), meddle);
        let mut relay = node.relay();
        let mut all = Vec::new();
        for _ in 0..3 {
            all.extend(pass(&mut relay).unwrap());
        }
        assert_eq!(found(&all), 1, "{late}: {all:?}");
    }
}

#[test]
fn a_node_with_limits_is_asked_for_less() {
    let mut world = World::new(3000);
    world.logs = vec![(10, log(&request(0)))];
    let node = Node::start(world, |world, method, params| {
        let number = |name: &str| {
            let text = params[0][name].as_str().unwrap();
            u64::from_str_radix(&text[2..], 16).unwrap()
        };
        // As nodes do for many blocks, and for blocks that somebody filled with requests.
        let refuses = method == "eth_getLogs" && {
            let (from, to) = (number("fromBlock"), number("toBlock"));
            to - from >= 500 || (to > from && (from..=to).contains(&10))
        };
        let _: &World = world;
        refuses.then(|| Err("query returned more than 10000 results".to_owned()))
    });
    let mut relay = node.relay();
    assert_eq!(found(&pass(&mut relay).unwrap()), 1);
    assert!(node.asked("eth_getLogs") < 60);
    assert_eq!(pass(&mut relay).unwrap(), []);
}

#[test]
fn events_of_others_are_not_read() {
    let mut world = World::new(20);
    let good = log(&request(0));
    let mut other = good.clone();
    other["address"] = json!(hex::encode_prefixed(Address::repeat_byte(1)));
    let mut event = good.clone();
    event["topics"][0] = json!(hex::encode_prefixed(B256::ZERO));
    let mut garbage = other.clone();
    garbage["data"] = json!("0x00");
    let mut removed = good.clone();
    removed["removed"] = json!(true);
    world.logs = [other, event, garbage, removed]
        .map(|log| (10, log))
        .to_vec();
    let node = Node::honest(world);
    assert_eq!(pass(&mut node.relay()).unwrap(), []);

    // What the contract itself cannot have said is for a person.
    let mut forged = good;
    forged["topics"][1] = json!(hex::encode_prefixed(B256::ZERO));
    node.world.lock().unwrap().logs = vec![(10, forged)];
    fs::remove_file(node.state()).unwrap();
    let error = pass(&mut node.relay()).unwrap_err();
    assert_eq!(error.code(), "requests-contract");
}

#[test]
fn what_is_not_wanted_is_not_kept() {
    type Change = fn(&mut Request);
    let mut world = World::new(20);
    let changes: [Change; 4] = [
        |_| {},
        |r| r.fee = U256::from(MINIMUM_FEE - 1),
        |r| r.prover = Address::repeat_byte(1),
        |r| r.deadline = NOW,
    ];
    for sequence in 0..40 {
        let mut request = request(sequence);
        changes[usize::try_from(sequence % 4).unwrap()](&mut request);
        world.logs.push((10, log(&request)));
    }
    let node = Node::honest(world);
    let mut relay = node.relay();
    let events = pass(&mut relay).unwrap();
    assert_eq!((found(&events), events.len()), (40, 80));
    assert_eq!(relay.waiting(), 0);
    assert!(fs::metadata(node.state()).unwrap().len() < 1000);
    // One question for the registry, one for what the ten named: a model of others.
    assert_eq!(node.asked("eth_call"), 2);
}

#[test]
fn a_node_that_is_busy_loses_no_request() {
    let mut world = World::new(20);
    world.logs = vec![(10, log(&request(0)))];
    let node = Node::start(world, |world, method, _| {
        let busy = method == "eth_call" && world.asked.len() < 10;
        (busy && world.asked.len() > 2).then(|| Err("rate limit exceeded".to_owned()))
    });
    let mut relay = node.relay();
    assert_eq!(pass(&mut relay).unwrap_err().code(), "node-refused");
    let mut events = Vec::new();
    for _ in 0..3 {
        events.extend(pass(&mut relay).unwrap_or_default());
    }
    assert_eq!(found(&events), 1, "{events:?}");
}

#[test]
fn only_what_is_confirmed_ends_a_request() {
    let node = Node::honest(World::new(20));
    let id = node.remembers(&request(0), &[]);
    let mut relay = node.relay();
    // Somebody has put a fulfilment into the pool, or into the last block.
    for open in [|at: &str| at != "pending", |at: &str| at == "0x12"] {
        node.world.lock().unwrap().open = open;
        node.world.lock().unwrap().gas_price = 1 << 40;
        for event in pass(&mut relay).unwrap() {
            assert!(!matches!(event, Event::Dropped { .. }), "{event:?}");
        }
        assert_eq!(relay.waiting(), 1);
    }
    node.world.lock().unwrap().open = |_| false;
    let events = pass(&mut relay).unwrap();
    assert!(
        matches!(&events[..], [Event::Dropped { id: of, .. }] if *of == id),
        "{events:?}"
    );
}

#[test]
fn a_failed_fulfilment_is_tried_again_while_the_request_is_open() {
    let sent = B256::repeat_byte(7);
    let mut world = World::new(20);
    world.mined = vec![(sent, false)];
    let node = Node::honest(world);
    let id = node.remembers(&request(0), &[sent]);
    let mut relay = node.relay();
    let events = pass(&mut relay).unwrap();
    assert!(
        matches!(&events[..], [Event::Held { id: of, .. }] if *of == id),
        "{events:?}"
    );
    assert_eq!(relay.waiting(), 1);
    // Another's was first.
    node.remembers(&request(0), &[sent]);
    node.world.lock().unwrap().open = |_| false;
    let events = pass(&mut node.relay()).unwrap();
    assert!(matches!(&events[..], [Event::Dropped { .. }]), "{events:?}");
}

#[test]
fn nothing_is_proven_at_a_loss() {
    // Two million gas for the callback, and a fee that pays for a tenth of it.
    let mut costly = request(0);
    costly.callback_gas = 2_000_000;
    costly.fee = U256::from(200_000);
    let mut world = World::new(20);
    world.gas_price = 1;
    let node = Node::honest(world);
    let id = node.remembers(&costly, &[]);
    let mut relay = node.relay();
    let events = pass(&mut relay).unwrap();
    let [Event::Held { id: of, reason }] = &events[..] else {
        panic!("{events:?}");
    };
    assert!(*of == id && reason.contains("does not cover"), "{reason}");
    assert_eq!(node.asked("eth_estimateGas"), 0);
    assert_eq!(relay.waiting(), 1);
}

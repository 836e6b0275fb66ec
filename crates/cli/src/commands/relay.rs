//! `proofmark relay`: fulfils requests for inferences on a chain.

use std::path::PathBuf;
use std::thread::sleep;
use std::time::Duration;

use clap::Args;
use ed25519_dalek::SigningKey;
use proofmark_engine::Engine;
use proofmark_relay::{Account, Config, Event, Key, Relay, RelayError};
use proofmark_verify::{Exit, Failure, bytes_from_hex, bytes_to_hex};
use serde_json::{Value, json};
use zeroize::Zeroizing;

use crate::commands::random_bytes;
use crate::failures::{Fail, OrFail as _};
use crate::output::{Output, line};

/// How long is waited after a first failure; 64 times as long at most.
const PATIENCE: Duration = Duration::from_secs(15);

/// Arguments of `proofmark relay`.
#[derive(Debug, Args)]
pub(crate) struct RelayArgs {
    /// The sealed package of a model that is answered for; may be given more than once
    #[arg(long, value_name = "DIR", required = true)]
    package: Vec<PathBuf>,
    /// JSON-RPC of a node, or of a signer before one: http://…. It is believed: use your own
    #[arg(long, value_name = "URL")]
    url: String,
    /// The Requests contract
    #[arg(long, value_name = "ADDRESS", value_parser = address)]
    contract: [u8; 20],
    /// Key of the account that sends fulfilments and earns the fees: a file with 64 hex digits that
    /// nobody else may read
    #[arg(long, value_name = "FILE", required_unless_present = "from")]
    key: Option<PathBuf>,
    /// Instead of --key: the account, when the node or signer has its key
    #[arg(long, value_name = "ADDRESS", value_parser = address, conflicts_with = "key")]
    from: Option<[u8; 20]>,
    /// What survives a restart; made at the first one
    #[arg(long, value_name = "FILE")]
    state: PathBuf,
    /// Blocks that must stand upon one before it is believed
    #[arg(long, value_name = "N", default_value_t = 12)]
    confirmations: u64,
    /// Where to begin without a state: the block in which the contract was deployed
    #[arg(long, value_name = "BLOCK", default_value_t = 0)]
    first_block: u64,
    /// Leave requests with a smaller fee, in wei, to others
    #[arg(long, value_name = "WEI", default_value_t = 0)]
    minimum_fee: u128,
    /// Fulfil requests whose fee does not cover the gas, too
    #[arg(long)]
    at_a_loss: bool,
    /// Seconds between two passes
    #[arg(long, value_name = "SECONDS", default_value_t = 5)]
    interval: u64,
    /// End after one pass
    #[arg(long)]
    once: bool,
}

fn address(text: &str) -> Result<[u8; 20], String> {
    bytes_from_hex(text).ok_or_else(|| "it must be 0x and 40 hex digits".to_owned())
}

impl Fail for RelayError {
    fn fail(&self) -> Failure {
        let exit = match self {
            Self::Node { .. } | Self::Key { .. } => Exit::Environment,
            Self::File(error) => return error.fail(),
            Self::Engine(error) => return error.fail(),
            _ => Exit::Rejected,
        };
        Failure::of(exit, self.code(), self)
    }
}

pub(crate) fn run(args: &RelayArgs, output: Output) -> Result<(), Failure> {
    let account = match (&args.key, args.from) {
        (Some(path), _) => Account::Own(Key::read(path).or_fail()?),
        (None, from) => Account::AtNode(from.unwrap_or_default().into()),
    };
    output.note(&format!("fulfilling as {}", account.address()));
    let bars = output.bars();
    let spinner = bars.spinner("loading and checking the packages");
    let engines = args.package.iter().map(|folder| Engine::load(folder, None));
    let engines = engines.collect::<Result<Vec<_>, _>>().or_fail()?;
    drop(spinner);
    let config = Config {
        url: args.url.clone(),
        contract: args.contract.into(),
        account,
        state: args.state.clone(),
        confirmations: args.confirmations,
        first_block: args.first_block,
        minimum_fee: args.minimum_fee,
        at_a_loss: args.at_a_loss,
        patience: PATIENCE,
    };
    // Receipts do not leave the relay, so their signer is nobody in particular.
    let signer = SigningKey::from_bytes(&Zeroizing::new(random_bytes()?));
    let mut relay = Relay::open(config, engines, signer).or_fail()?;
    loop {
        let mut said = Ok(());
        let pass = relay.pass(&mut |event| {
            let (object, text) = describe(&event);
            let shown = if output.json {
                object.to_string()
            } else {
                text
            };
            said = said.clone().and_then(|()| line(&shown));
        });
        said?;
        match pass {
            Ok(()) if args.once => return Ok(()),
            Err(error) if args.once => return Err(error.fail()),
            Ok(()) => {}
            // What a node does not answer now it may answer in a moment; all else is for a person.
            Err(error @ (RelayError::Node { .. } | RelayError::Refused { .. })) => {
                output.note(&error.to_string());
            }
            Err(error) => return Err(error.fail()),
        }
        sleep(Duration::from_secs(args.interval));
    }
}

/// An event, for programs and for people.
fn describe(event: &Event) -> (Value, String) {
    match event {
        Event::Rewound { block } => (
            json!({"event": "rewound", "block": block}),
            format!("the chain was reorganised: looking again from block {block}"),
        ),
        Event::Found { id } => {
            let id = bytes_to_hex(&id.0);
            (json!({"event": "found", "id": id}), format!("{id}: found"))
        }
        Event::Sent { id, transaction } => {
            let (id, transaction) = (bytes_to_hex(&id.0), bytes_to_hex(&transaction.0));
            (
                json!({"event": "sent", "id": id, "transaction": transaction}),
                format!("{id}: proven and sent in {transaction}"),
            )
        }
        Event::Fulfilled { id } => {
            let id = bytes_to_hex(&id.0);
            (
                json!({"event": "fulfilled", "id": id}),
                format!("{id}: fulfilled"),
            )
        }
        Event::Held { id, reason } => {
            let id = bytes_to_hex(&id.0);
            (
                json!({"event": "held", "id": id, "reason": reason}),
                format!("{id}: not now, trying again until its deadline: {reason}"),
            )
        }
        Event::Dropped { id, reason } => {
            let id = bytes_to_hex(&id.0);
            (
                json!({"event": "dropped", "id": id, "reason": reason}),
                format!("{id}: left alone: {reason}"),
            )
        }
    }
}

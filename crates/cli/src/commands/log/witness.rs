//! `proofmark log witness`: cosigns checkpoints of logs that never contradict themselves.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use clap::{ArgGroup, Args};
use proofmark_log::{Folder, Witness, WitnessError};
use proofmark_server::serve_witness;
use proofmark_tlog::tree::prove_consistency;
use proofmark_tlog::witness::AddCheckpoint;
use proofmark_tlog::{KeyKind, Policy, VerifiedTree, VerifierKey};
use proofmark_verify::{Exit, Failure, log_failure, log_folder, open_log};
use serde_json::json;

use crate::commands::serve::stop_signal;
use crate::commands::{now, write};
use crate::output::{Output, line};

#[derive(Debug, Args)]
#[command(group = ArgGroup::new("what").required(true).args(["listen", "log"]))]
pub(crate) struct WitnessArgs {
    /// Folder of the witness: its key, made at first start, and what it cosigned of each log. Whoever
    /// empties it makes the witness forget
    #[arg(long, value_name = "DIR")]
    state: PathBuf,
    /// Name of the witness; best an address without scheme
    #[arg(long)]
    name: String,
    /// Public key of a log to follow, NAME+ID+KEY; may be repeated
    #[arg(long, value_name = "VKEY", required = true)]
    log_key: Vec<VerifierKey>,
    /// Answer logs over HTTP at this address; port 0 lets the system choose
    #[arg(long, value_name = "ADDR")]
    listen: Option<SocketAddr>,
    /// Cosign the checkpoint of the log in this folder, or of a mirror of it
    #[arg(long, value_name = "DIR")]
    log: Option<PathBuf>,
    /// Where to write the cosigned checkpoint
    #[arg(long, value_name = "FILE", requires = "log")]
    out: Option<PathBuf>,
}

pub(crate) fn run(args: &WitnessArgs, output: Output) -> Result<(), Failure> {
    if let Some(key) = args
        .log_key
        .iter()
        .find(|key| key.kind() != KeyKind::Ed25519)
    {
        let message = format!("{key} is not the key of a log");
        return Err(Failure::usage("log-key-invalid", message)
            .hint("`proofmark serve` prints the log key when it starts"));
    }
    let witness = Witness::open(&args.state, &args.name, args.log_key.clone())
        .map_err(|error| log_failure(&error))?;
    match (&args.log, args.listen) {
        (Some(folder), _) => cosign(args, &witness, folder, output),
        (None, Some(address)) => listen(witness, address, output),
        (None, None) => Err(Failure::usage("witness-missing", "give --listen or --log")),
    }
}

/// Cosigns the latest checkpoint of the log in a folder.
fn cosign(
    args: &WitnessArgs,
    witness: &Witness,
    folder: &Path,
    output: Output,
) -> Result<(), Failure> {
    let mut refused = None;
    for key in &args.log_key {
        match open_log(&Policy::new(key.clone()), folder) {
            Ok(reader) => {
                let checkpoint = reader.checkpoint().clone();
                let origin = checkpoint.checkpoint().origin().to_owned();
                let known = witness
                    .checkpoint(&origin)
                    .map_err(|error| log_failure(&error))?;
                let old_size = known.map_or(0, |held| held.checkpoint().size());
                let head = checkpoint.checkpoint();
                let tiles = Folder::new(log_folder(folder));
                let proof = VerifiedTree::open(tiles, head.size(), *head.root())
                    .and_then(|tree| prove_consistency(old_size, head.size(), &tree))
                    .map_err(|error| log_failure(&error.into()))?;
                let request = AddCheckpoint {
                    old_size,
                    proof,
                    checkpoint: checkpoint.clone(),
                };
                let line = witness
                    .add_checkpoint(request.to_string().as_bytes(), now())
                    .map_err(|error| witness_failure(&error))?;
                let cosigned = format!("{checkpoint}{line}");
                if let Some(path) = &args.out {
                    write(path, cosigned.as_bytes())?;
                }
                let object = json!({
                    "witness_key": witness.verifier_key().to_string(),
                    "origin": origin,
                    "size": checkpoint.checkpoint().size(),
                    "old_size": old_size,
                    "cosigned": cosigned,
                });
                return output.result(&object, cosigned.trim_end());
            }
            Err(failure) => refused = Some(failure),
        }
    }
    Err(refused.unwrap_or_else(|| Failure::usage("log-key-missing", "give --log-key")))
}

fn witness_failure(error: &WitnessError) -> Failure {
    match error {
        WitnessError::Log(error) => log_failure(error),
        _ => Failure::of(Exit::Rejected, error.code(), error),
    }
}

fn listen(witness: Witness, address: SocketAddr, output: Output) -> Result<(), Failure> {
    crate::commands::serve::log(output);
    let key = witness.verifier_key().to_string();
    let runtime = tokio::runtime::Runtime::new().map_err(|error| {
        Failure::environment("thread-failed", "cannot start the witness's threads")
            .hint(error.to_string())
    })?;
    runtime.block_on(async {
        let stopped = stop_signal()?;
        serve_witness(Arc::new(witness), address, stopped, |address| {
            let url = format!("http://{address}");
            let text = if output.json {
                json!({ "listening": url, "witness_key": key }).to_string()
            } else {
                format!("witness {key} listening on {url}; stop with Ctrl-C")
            };
            // Whoever started us closed stdout; the witness is for others.
            drop(line(&text));
        })
        .await
        .map_err(|error| Failure::of(Exit::Environment, error.code(), &error))
    })
}

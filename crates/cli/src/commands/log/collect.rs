//! `proofmark log collect`: has witnesses cosign the log's checkpoint (tlog-witness).

use std::io::Read as _;
use std::time::Duration;

use clap::Args;
use proofmark_log::Log;
use proofmark_tlog::note::MAX_NOTE_BYTES;
use proofmark_tlog::witness::read_conflict;
use proofmark_tlog::{Cosignature, KeyKind, VerifierKey};
use proofmark_verify::{Exit, Failure, log_failure, utc};
use serde_json::json;

use super::place::{ServiceFiles, open_stopped};
use crate::output::Output;

/// How long a witness is given to answer.
const PATIENCE: Duration = Duration::from_secs(10);

/// The witnesses of a log.
#[derive(Debug, Clone, Default, Args)]
pub(crate) struct WitnessList {
    /// A witness that is to cosign the log's checkpoints, by its address for submissions; may be
    /// repeated
    #[arg(long, value_name = "URL", requires = "witness_key")]
    pub(crate) witness: Vec<String>,
    /// Public key of a witness, NAME+ID+KEY; may be repeated. Cosignatures by others are not
    /// published
    #[arg(long, value_name = "VKEY", requires = "witness")]
    pub(crate) witness_key: Vec<VerifierKey>,
}

#[derive(Debug, Args)]
pub(crate) struct CollectArgs {
    #[command(flatten)]
    service: ServiceFiles,
    #[command(flatten)]
    witnesses: WitnessList,
}

impl WitnessList {
    /// Refuses keys that cannot be a witness's.
    pub(crate) fn check(&self) -> Result<(), Failure> {
        match self
            .witness_key
            .iter()
            .find(|key| key.kind() != KeyKind::Cosigner)
        {
            Some(key) => {
                let message = format!("{key} is not the key of a witness");
                Err(Failure::usage("log-key-invalid", message))
            }
            None => Ok(()),
        }
    }
}

pub(crate) fn run(args: &CollectArgs, output: Output) -> Result<(), Failure> {
    args.witnesses.check()?;
    if args.witnesses.witness.is_empty() {
        let message = "no witness to ask";
        return Err(
            Failure::usage("witness-missing", message).hint("give --witness and --witness-key")
        );
    }
    let log = open_stopped(&args.service.data, &args.service.folder()?)?;
    let mut cosigned = Vec::new();
    let mut failed = None;
    for (url, answer) in ask_all(&log, &args.witnesses) {
        match answer {
            Ok(cosignatures) => cosigned.extend(cosignatures),
            Err(mut failure) => {
                failure.message = format!("witness {url}: {}", failure.message);
                output.note(&failure.text());
                failed = Some(failure);
            }
        }
    }
    if let Some(failure) = failed {
        return Err(failure);
    }
    let list: Vec<_> = cosigned
        .iter()
        .map(|c| json!({ "witness": c.witness, "time": c.time }))
        .collect();
    let object = json!({ "origin": log.origin(), "size": log.size(), "cosigned": list });
    let lines: Vec<_> = cosigned
        .iter()
        .map(|c| {
            format!(
                "{} cosigned {} entries at {}",
                c.witness,
                log.size(),
                utc(c.time)
            )
        })
        .collect();
    output.result(&object, &lines.join("\n"))
}

/// What each witness says to the log's latest checkpoint; valid cosignatures are published.
pub(crate) fn ask_all<'w>(
    log: &'w Log,
    witnesses: &'w WitnessList,
) -> impl Iterator<Item = (&'w str, Result<Vec<Cosignature>, Failure>)> + 'w {
    let agent: ureq::Agent = ureq::Agent::config_builder()
        .timeout_global(Some(PATIENCE))
        .http_status_as_error(false)
        .build()
        .into();
    witnesses.witness.iter().map(move |url| {
        let answer = ask(&agent, log, url, &witnesses.witness_key);
        (url.as_str(), answer)
    })
}

fn ask(
    agent: &ureq::Agent,
    log: &Log,
    url: &str,
    keys: &[VerifierKey],
) -> Result<Vec<Cosignature>, Failure> {
    // A witness tells at which size it last cosigned the log; most often nobody has to remember it.
    let mut old_size = log
        .cosigned()
        .map_err(|error| log_failure(&error))?
        .map_or(0, |held| held.checkpoint().size());
    for _ in 0..2 {
        let request = log
            .witness_request(old_size)
            .map_err(|error| log_failure(&error))?;
        let (status, body) = post(agent, url, &request.body)?;
        match status {
            200 => {
                return log
                    .add_cosignatures(&request, &body, keys)
                    .map_err(|error| log_failure(&error));
            }
            409 => {
                let size = read_conflict(&body).map_err(|error| log_failure(&error.into()))?;
                if size == old_size {
                    let message = format!(
                        "it cosigned another tree of {size} entries: this log has two histories"
                    );
                    return Err(Failure::new(Exit::Rejected, "witness-inconsistent", message)
                        .hint("was the log's folder put back to an older state, or copied and used twice?"));
                }
                old_size = size;
            }
            _ => {
                let words = String::from_utf8_lossy(&body).trim().to_owned();
                let message = format!("it answered {status}: {words}");
                return Err(Failure::new(Exit::Environment, "witness-refused", message));
            }
        }
    }
    let message = "it names another size each time; is another process asking it as well?";
    Err(Failure::environment("witness-refused", message))
}

fn post(agent: &ureq::Agent, url: &str, body: &[u8]) -> Result<(u16, Vec<u8>), Failure> {
    let address = format!("{}/add-checkpoint", url.trim_end_matches('/'));
    let unreachable = |reason: String| {
        let mut failure =
            Failure::environment("service-unreachable", format!("no answer from {address}"));
        failure.causes.push(reason);
        failure
    };
    let mut response = agent
        .post(&address)
        .header("content-type", "text/plain; charset=utf-8")
        .send(body)
        .map_err(|error| unreachable(error.to_string()))?;
    let status = response.status().as_u16();
    let mut answer = Vec::new();
    response
        .body_mut()
        .as_reader()
        .take(MAX_NOTE_BYTES as u64)
        .read_to_end(&mut answer)
        .map_err(|error| unreachable(error.to_string()))?;
    Ok((status, answer))
}

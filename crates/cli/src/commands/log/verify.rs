//! `proofmark log verify`: a whole log, entry by entry, against its signed checkpoint.

use std::collections::BTreeMap;
use std::path::PathBuf;

use clap::Args;
use proofmark_log::{Entry, LogError};
use proofmark_tlog::note::MAX_NOTE_BYTES;
use proofmark_verify::{
    Exit, Failure, LogKeyArgs, bytes_from_hex, log_failure, open_log, read_bounded, utc,
};
use serde_json::json;

use crate::output::{Output, grouped};

#[derive(Debug, Args)]
pub(crate) struct VerifyLogArgs {
    /// The log's folder, or a mirror of it
    #[arg(long, value_name = "DIR")]
    log: PathBuf,
    #[command(flatten)]
    key: LogKeyArgs,
    /// Public key of the service, of any time: 0x and 64 hex digits. Notices must be signed by it or
    /// by keys that rotations lead to
    #[arg(long, value_name = "KEY", value_parser = service_key)]
    service_key: [u8; 32],
    /// An older checkpoint of the log, kept since: the log must still contain it; may be repeated
    #[arg(long, value_name = "FILE")]
    since: Vec<PathBuf>,
}

fn service_key(text: &str) -> Result<[u8; 32], String> {
    bytes_from_hex(text).ok_or_else(|| "it must be 0x and 64 hex digits".to_owned())
}

pub(crate) fn run(args: &VerifyLogArgs, output: Output) -> Result<(), Failure> {
    let Some(policy) = args.key.policy()? else {
        let message = "a log is verified against a key that you pin";
        return Err(Failure::usage("log-key-missing", message).hint("give --log-key"));
    };
    let reader = open_log(&policy, &args.log)?;
    let refuse = |error: LogError| log_failure(&error);
    let mut older = Vec::new();
    for path in &args.since {
        let checkpoint = read_bounded(path, MAX_NOTE_BYTES)?;
        let held = reader.consistent_with(&checkpoint).map_err(|error| {
            let mut failure = log_failure(&error);
            failure.message = format!("{}: {}", path.display(), failure.message);
            failure
        })?;
        older.push(held.checkpoint().size());
    }
    let mut kinds: BTreeMap<&str, u64> = BTreeMap::new();
    for item in reader.raw_entries(0..reader.size()) {
        let (_, bytes) = item.map_err(refuse)?;
        let kind = Entry::parse(&bytes).map_or("unknown", |entry| entry.kind());
        *kinds.entry(kind).or_default() += 1;
    }
    let scan = reader.scan(&args.service_key).map_err(refuse)?;
    if let Some(first) = scan.problems.first() {
        let message = format!(
            "the log is what was signed, and {} of its entries cannot be honoured",
            grouped(scan.problems.len() as u64)
        );
        let mut failure = Failure::new(Exit::Rejected, first.error.code(), message);
        failure.causes = scan
            .problems
            .iter()
            .take(8)
            .map(ToString::to_string)
            .collect();
        return Err(failure);
    }
    let head = reader.checkpoint().checkpoint();
    let cosigned: Vec<_> = reader
        .cosignatures()
        .iter()
        .map(|c| json!({ "witness": c.witness, "time": c.time }))
        .collect();
    let object = json!({
        "verdict": "consistent",
        "origin": head.origin(),
        "size": head.size(),
        "root": head.root().to_string(),
        "entries": kinds,
        "receipts": scan.receipts.len(),
        "contains": older,
        "cosigned": cosigned,
    });
    let mut lines = vec![
        "CONSISTENT: every entry is what the checkpoint was signed for".to_owned(),
        format!("log        {}", head.origin()),
        format!("size       {} entries", grouped(head.size())),
        format!("root       {}", head.root()),
    ];
    for (kind, count) in &kinds {
        lines.push(format!("{kind:<10} {}", grouped(*count)));
    }
    for size in older {
        lines.push(format!("contains   the log of {} entries", grouped(size)));
    }
    for cosignature in reader.cosignatures() {
        let time = utc(cosignature.time);
        lines.push(format!("witnessed  {} at {time}", cosignature.witness));
    }
    output.result(&object, &lines.join("\n"))
}

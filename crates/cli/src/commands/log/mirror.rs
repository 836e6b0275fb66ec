//! `proofmark log mirror`: copies a log from where it is served, checks all of it, and sees to it that
//! it only ever grows.

use std::fs;
use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::Args;
use proofmark_log::{COSIGNED_PATH, Folder, Reader};
use proofmark_package::write_atomic;
use proofmark_tlog::note::MAX_NOTE_BYTES;
use proofmark_tlog::tile::{CHECKPOINT_PATH, tiles_of};
use proofmark_tlog::{Policy, SignedCheckpoint};
use proofmark_verify::{Exit, Failure, LogKeyArgs, log_failure, read_bounded};
use serde_json::json;

use crate::failures::OrFail as _;
use crate::output::{Output, grouped};

/// How long the service is given for one file.
const PATIENCE: Duration = Duration::from_secs(30);
/// A checkpoint that the mirror does not continue: evidence, beside the one that it has.
const REFUSED_PATH: &str = "checkpoint.refused";

#[derive(Debug, Args)]
pub(crate) struct MirrorArgs {
    /// Address that the log is served at: a service's, or a mirror's
    #[arg(long)]
    url: String,
    /// Folder of the mirror; a later run adds what the log has grown by
    #[arg(long, value_name = "DIR")]
    out: PathBuf,
    #[command(flatten)]
    key: LogKeyArgs,
}

/// A log's static files over HTTP.
struct Web {
    agent: ureq::Agent,
    prefix: String,
}

pub(crate) fn run(args: &MirrorArgs, output: Output) -> Result<(), Failure> {
    let Some(policy) = args.key.policy()? else {
        let message = "a log is mirrored under a key that you pin";
        return Err(Failure::usage("log-key-missing", message).hint("give --log-key"));
    };
    let web = Web {
        agent: ureq::Agent::config_builder()
            .timeout_global(Some(PATIENCE))
            .http_status_as_error(false)
            .build()
            .into(),
        prefix: args.url.trim_end_matches('/').to_owned(),
    };
    // First the checkpoint: the files that come after it hold at least what it covers.
    let checkpoint = web.demand(CHECKPOINT_PATH, MAX_NOTE_BYTES)?;
    let cosigned = web.get(COSIGNED_PATH, MAX_NOTE_BYTES)?;
    let signed = |bytes: &[u8]| {
        SignedCheckpoint::verify(bytes, policy.log()).map_err(|error| log_failure(&error.into()))
    };
    let head = signed(&checkpoint)?;
    let cosigned = cosigned.map(|bytes| signed(&bytes)).transpose()?;
    let before = held(&args.out, &policy)?;
    let mut fetched = fetch(&web, &args.out, head.checkpoint().size())?;
    if let Some(cosigned) = &cosigned {
        // Its partial tiles are others, and readers who demand witnesses read the log there.
        fetched = fetched.saturating_add(fetch(&web, &args.out, cosigned.checkpoint().size())?);
    }
    if let Err(failure) = check(
        &args.out,
        &policy,
        &head,
        before.as_ref(),
        cosigned.as_ref(),
    ) {
        if before.is_none() {
            return Err(failure);
        }
        write_atomic(&args.out.join(REFUSED_PATH), &checkpoint).or_fail()?;
        return Err(failure.hint(
            "the mirror keeps its older checkpoint, and the new one as checkpoint.refused; if its \
             files were not changed here, both together show that the log told two histories",
        ));
    }
    if let Some(cosigned) = cosigned {
        write_atomic(
            &args.out.join(COSIGNED_PATH),
            cosigned.to_string().as_bytes(),
        )
        .or_fail()?;
    }
    write_atomic(&args.out.join(CHECKPOINT_PATH), &checkpoint).or_fail()?;
    // With witnesses demanded, the copy must be acceptable to who demands them.
    let reader = Reader::open(Folder::new(&args.out), &policy).map_err(|e| log_failure(&e))?;
    let size = head.checkpoint().size();
    let before = before.map_or(0, |before| before.checkpoint().size());
    let object = json!({
        "origin": head.checkpoint().origin(),
        "size": size,
        "before": before,
        "files": fetched,
        "read_at": reader.size(),
        "cosigned": reader.cosignatures().len(),
    });
    let text = format!(
        "{} entries of {}, {} of them new: every one is what the checkpoint was signed for",
        grouped(size),
        head.checkpoint().origin(),
        grouped(size.saturating_sub(before)),
    );
    output.result(&object, &text)
}

/// The checkpoint of the mirror as it is.
fn held(out: &Path, policy: &Policy) -> Result<Option<SignedCheckpoint>, Failure> {
    let path = out.join(CHECKPOINT_PATH);
    if !path.is_file() {
        return Ok(None);
    }
    let bytes = read_bounded(&path, MAX_NOTE_BYTES)?;
    SignedCheckpoint::verify(&bytes, policy.log())
        .map(Some)
        .map_err(|error| log_failure(&error.into()))
}

/// Copies the tiles and bundles that are not there yet; gives their number.
fn fetch(web: &Web, out: &Path, size: u64) -> Result<u64, Failure> {
    let mut fetched = 0_u64;
    for path in tiles_of(size) {
        let full = path.full();
        if [&path, &full]
            .into_iter()
            .any(|p| out.join(p.to_string()).is_file())
        {
            continue;
        }
        // The log may have grown since: the full file takes the place of a partial one.
        let (path, bytes) = match web.get(&path.to_string(), path.max_bytes())? {
            Some(bytes) => (path, bytes),
            None => (full, web.demand(&full.to_string(), full.max_bytes())?),
        };
        let target = out.join(path.to_string());
        if let Some(folder) = target.parent() {
            fs::create_dir_all(folder).map_err(|error| {
                let message = format!("cannot create {}: {error}", folder.display());
                Failure::environment("file-unwritable", message)
            })?;
        }
        write_atomic(&target, &bytes).or_fail()?;
        fetched = fetched.saturating_add(1);
    }
    Ok(fetched)
}

/// Checks that the files are those of the checkpoint, that it continues the one from before, and
/// that it and the cosigned one tell one history.
fn check(
    out: &Path,
    policy: &Policy,
    head: &SignedCheckpoint,
    before: Option<&SignedCheckpoint>,
    cosigned: Option<&SignedCheckpoint>,
) -> Result<(), Failure> {
    let plain = Policy::new(policy.log().clone());
    let open = |head: &SignedCheckpoint| {
        Reader::open_at(Folder::new(out), &plain, head.to_string().as_bytes())
            .map_err(|error| log_failure(&error))
    };
    let continues = |reader: &Reader<Folder>, older: &SignedCheckpoint| {
        let checked = reader.consistent_with(older.to_string().as_bytes());
        checked.map(drop).map_err(|error| log_failure(&error))
    };
    let reader = open(head)?;
    for item in reader.raw_entries(0..reader.size()) {
        item.map_err(|error| log_failure(&error))?;
    }
    if let Some(before) = before {
        continues(&reader, before)?;
    }
    match cosigned {
        // Fetched behind the latest checkpoint, it may be newer.
        Some(newer) if newer.checkpoint().size() > reader.size() => continues(&open(newer)?, head),
        Some(older) => continues(&reader, older),
        None => Ok(()),
    }
}

impl Web {
    fn demand(&self, path: &str, limit: usize) -> Result<Vec<u8>, Failure> {
        self.get(path, limit)?.ok_or_else(|| {
            let message = format!("there is no {}/{path}", self.prefix);
            Failure::new(Exit::Rejected, "tlog-tile-missing", message)
        })
    }

    /// The bytes of a file; `None` where there is none.
    fn get(&self, path: &str, limit: usize) -> Result<Option<Vec<u8>>, Failure> {
        let address = format!("{}/{path}", self.prefix);
        let unreachable = |reason: String| {
            let message = format!("no answer from {address}");
            let mut failure = Failure::environment("service-unreachable", message);
            failure.causes.push(reason);
            failure
        };
        let mut response = self
            .agent
            .get(&address)
            .call()
            .map_err(|error| unreachable(error.to_string()))?;
        match response.status().as_u16() {
            200 => {}
            404 => return Ok(None),
            other => return Err(unreachable(format!("status {other}"))),
        }
        let mut bytes = Vec::new();
        let most = u64::try_from(limit).unwrap_or(u64::MAX).saturating_add(1);
        response
            .body_mut()
            .as_reader()
            .take(most)
            .read_to_end(&mut bytes)
            .map_err(|error| unreachable(error.to_string()))?;
        if bytes.len() > limit {
            return Err(unreachable(format!("more than {limit} bytes")));
        }
        Ok(Some(bytes))
    }
}

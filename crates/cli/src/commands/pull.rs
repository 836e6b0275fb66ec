//! `proofmark pull`: a whole package from a service that hands it out, to prove on one's own machine.
//!
//! The service is believed nothing: what the manifest says is held against the pinned digest, and
//! every file against the manifest. Only the manifest's names become files.

use std::fmt;
use std::io::Read as _;
use std::path::PathBuf;
use std::thread;
use std::time::Duration;

use clap::Args;
use proofmark_engine::Progress as _;
use proofmark_package::Partial;
use proofmark_types::Digest;
use proofmark_types::manifest::{MAX_MANIFEST_BYTES, ModelFile, is_safe_name};
use proofmark_verify::{Exit, Failure};
use serde::Deserialize;
use serde_json::json;
use ureq::http::Response;
use ureq::{Agent, Body};

use crate::commands::infer::{refused, unreachable};
use crate::failures::OrFail as _;
use crate::output::{Bars, Output, bytes};

/// Time for one answer. A file is asked for in parts, each of which may take so long.
const PATIENCE: Duration = Duration::from_mins(2);
/// Bytes that are asked for at a time.
const PART_BYTES: u64 = 64 << 20;
/// A part that brings less than this is an attempt in vain.
const LEAST_BYTES: u64 = 64 << 10;
/// Attempts in vain after which the service is given up.
const ATTEMPTS: u32 = 5;
/// Pause after the first attempt in vain; it doubles.
const PAUSE: Duration = Duration::from_millis(100);
/// Largest list of models that is read, and largest problem.
const MAX_LIST_BYTES: u64 = 4 << 20;

#[derive(Debug, Args)]
pub(crate) struct PullArgs {
    /// The service, e.g. http://127.0.0.1:8080
    #[arg(long, value_name = "URL")]
    url: String,
    /// The model
    #[arg(long, value_name = "NAME")]
    model: String,
    /// Digest of the package that you trust
    #[arg(long, value_name = "DIGEST")]
    package_digest: Digest,
    /// Folder for the package; new or empty. It appears when all of it is there and checked; until then
    /// the parts lie in OUT.….partial beside it, where a second run goes on
    #[arg(long, value_name = "DIR")]
    out: PathBuf,
    /// Largest package that is fetched, in gibibytes
    #[arg(long, value_name = "GIB", default_value_t = 16)]
    max_size: u64,
}

/// The service's list of packages, as far as it is used.
#[derive(Deserialize)]
struct Models {
    models: Vec<Model>,
}

#[derive(Deserialize)]
struct Model {
    name: String,
    version: String,
    package_digest: Digest,
}

/// A service that hands out packages.
struct Web<'a> {
    agent: Agent,
    url: &'a str,
    model: &'a str,
}

/// Why there is no part of a file.
enum Lost {
    /// It may come another time.
    Again(Failure),
    /// It will not.
    Never(Failure),
}

pub(crate) fn run(args: &PullArgs, output: Output) -> Result<(), Failure> {
    if !is_safe_name(&args.model) {
        let message = format!("{:?} is no model's name", args.model);
        return Err(Failure::usage("model-unknown", message)
            .hint("lower-case letters, digits, dots, hyphens and underscores, at most 64"));
    }
    let web = Web {
        agent: Agent::config_builder()
            .timeout_global(Some(PATIENCE))
            .http_status_as_error(false)
            // A service has no reason to send us elsewhere.
            .max_redirects(0)
            .build()
            .into(),
        url: args.url.trim_end_matches('/'),
        model: &args.model,
    };
    let version = web.version(args.package_digest)?;
    let manifest = web.whole(
        &format!("/v1/models/{}/manifest?version={version}", args.model),
        MAX_MANIFEST_BYTES as u64,
    )?;
    let partial = Partial::begin(&args.out, &manifest, args.package_digest).or_fail()?;
    let manifest = partial.manifest().clone();
    if manifest.name != args.model {
        let message = format!(
            "the pinned package is of model {:?}, asked is {:?}",
            manifest.name, args.model
        );
        return Err(Failure::usage("model-not-pinned", message));
    }
    let files = manifest.files();
    let total = files
        .iter()
        .fold(0_u64, |sum, record| sum.saturating_add(record.bytes));
    let limit = args.max_size.saturating_mul(1 << 30);
    if total > limit {
        let message = format!(
            "the package has {}, at most {} are fetched",
            bytes(total),
            bytes(limit)
        );
        return Err(
            Failure::new(Exit::Rejected, "package-file-too-large", message)
                .hint("allow more with --max-size GIB"),
        );
    }
    let mut fetching = Fetching {
        bars: output.bars(),
        done: 0,
        total,
        fetched: 0,
    };
    for record in &files {
        web.fetch(&version, &partial, record, &mut fetching)?;
    }
    let package = partial.finish().or_fail()?;
    let object = json!({
        "package_digest": package.digest(),
        "folder": args.out,
        "name": manifest.name,
        "version": manifest.version,
        "files": files.len() + 1,
        "bytes": total,
        "fetched": fetching.fetched,
    });
    let text = format!(
        "{} version {} is in {}: {} files, {}, each what the pinned digest says\n\
         prove with it, without any service: proofmark prove --package {} --package-digest {} \
         --input FILE --receipt receipt.json",
        manifest.name,
        manifest.version,
        args.out.display(),
        files.len() + 1,
        bytes(total),
        args.out.display(),
        package.digest(),
    );
    output.result(&object, &text)
}

/// How far it has come.
struct Fetching {
    bars: Bars,
    /// Bytes of files that are there.
    done: u64,
    total: u64,
    /// Bytes that came over the network.
    fetched: u64,
}

impl Fetching {
    fn at(&self, held: u64) {
        let done = self.done.saturating_add(held);
        self.bars.stage("fetching", done, self.total);
    }
}

impl Web<'_> {
    /// The version under which the service has the package.
    fn version(&self, pinned: Digest) -> Result<String, Failure> {
        let list = self.whole("/v1/models", MAX_LIST_BYTES)?;
        let list: Models = serde_json::from_slice(&list).map_err(|error| {
            malformed("the service's list of models is none", &error)
                .hint("is --url a Proofmark service?")
        })?;
        let mut models = list.models.into_iter();
        let found = models.find(|m| m.name == self.model && m.package_digest == pinned);
        let found = found.ok_or_else(|| {
            let message = format!(
                "the service has no package of {:?} with the pinned digest {pinned}",
                self.model
            );
            Failure::new(Exit::Rejected, "package-not-pinned", message)
                .hint("ask whoever told you the digest where that package is served")
        })?;
        // It becomes part of an address.
        if !is_safe_name(&found.version) {
            return Err(malformed("the service names a version that is none", &""));
        }
        Ok(found.version)
    }

    /// A file of the package, from where it stopped, in as many parts as it takes.
    fn fetch(
        &self,
        version: &str,
        partial: &Partial,
        record: &ModelFile,
        fetching: &mut Fetching,
    ) -> Result<(), Failure> {
        let mut vain = 0;
        let mut held = partial.held(record).or_fail()?;
        let mut furthest = held;
        while held < record.bytes {
            let end = record.bytes.min(held.saturating_add(PART_BYTES));
            let lost = match self.part(version, record, held, end) {
                Ok((from, response)) => {
                    let mut body = response.into_body();
                    // A byte more than was asked for tells a body that does not end.
                    let most = if from == held { end } else { record.bytes };
                    let most = most.saturating_sub(from).saturating_add(1);
                    let mut source = body.as_reader().take(most);
                    let received = partial.receive(record, from, &mut source).or_fail()?;
                    fetching.fetched = fetching
                        .fetched
                        .saturating_add(received.bytes.saturating_sub(from));
                    held = received.bytes;
                    received
                        .stopped
                        .map(|error| unreachable(self.url, &self.address(version, record), &error))
                }
                Err(Lost::Again(failure)) => Some(failure),
                Err(Lost::Never(failure)) => return Err(failure),
            };
            fetching.at(held);
            if held >= end.min(furthest.saturating_add(LEAST_BYTES)) {
                vain = 0;
                furthest = held;
                continue;
            }
            vain += 1;
            if vain == ATTEMPTS {
                let address = self.address(version, record);
                return Err(lost.unwrap_or_else(|| {
                    let message = format!("{address} brings nothing more");
                    Failure::environment("service-unreachable", message)
                        .hint("run the command again: it goes on where it stopped")
                }));
            }
            thread::sleep(PAUSE.saturating_mul(1 << (vain - 1)));
        }
        partial.check(record).or_fail()?;
        fetching.done = fetching.done.saturating_add(record.bytes);
        Ok(())
    }

    fn address(&self, version: &str, record: &ModelFile) -> String {
        format!(
            "{}/v1/models/{}/package/{}?version={version}",
            self.url, self.model, record.file
        )
    }

    /// The bytes from `from` to before `end` of a file, or the whole file: where what comes begins,
    /// and the answer.
    fn part(
        &self,
        version: &str,
        record: &ModelFile,
        from: u64,
        end: u64,
    ) -> Result<(u64, Response<Body>), Lost> {
        let address = self.address(version, record);
        let last = end.saturating_sub(1);
        let answer = self
            .agent
            .get(&address)
            .header("range", format!("bytes={from}-{last}"))
            .header("if-range", format!("\"{}\"", record.digest))
            .call()
            .map_err(|error| Lost::Again(unreachable(self.url, &address, &error)))?;
        match answer.status().as_u16() {
            200 => Ok((0, answer)),
            206 => {
                let range = answer.headers().get("content-range");
                let range = range.and_then(|value| value.to_str().ok());
                let expected = format!("bytes {from}-{last}/{}", record.bytes);
                if range == Some(expected.as_str()) {
                    Ok((from, answer))
                } else {
                    let message = format!("{address} answers another range than was asked for");
                    Err(Lost::Never(malformed(&message, &range.unwrap_or("none"))))
                }
            }
            status => {
                let failure = refusal(status, answer);
                let again = failure.exit == Exit::Environment;
                Err(if again {
                    Lost::Again(failure)
                } else {
                    Lost::Never(failure)
                })
            }
        }
    }

    /// The whole body of a `200`, of at most `limit` bytes.
    fn whole(&self, path: &str, limit: u64) -> Result<Vec<u8>, Failure> {
        let address = format!("{}{path}", self.url);
        let failed = |error: &dyn std::error::Error| unreachable(self.url, &address, error);
        let answer = self.agent.get(&address).call().map_err(|e| failed(&e))?;
        match answer.status().as_u16() {
            200 => {}
            status => return Err(refusal(status, answer)),
        }
        let mut body = answer.into_body();
        let mut bytes = Vec::new();
        let mut source = body.as_reader().take(limit.saturating_add(1));
        source.read_to_end(&mut bytes).map_err(|e| failed(&e))?;
        if bytes.len() as u64 > limit {
            let message = format!("{address} has more than {limit} bytes");
            return Err(Failure::new(Exit::Rejected, "answer-malformed", message));
        }
        Ok(bytes)
    }
}

fn refusal(status: u16, answer: Response<Body>) -> Failure {
    let mut body = Vec::new();
    let mut source = answer.into_body().into_reader().take(MAX_LIST_BYTES);
    // What is there of a refusal is enough.
    drop(source.read_to_end(&mut body));
    refused(status, &body)
}

fn malformed(message: &str, cause: &dyn fmt::Display) -> Failure {
    let mut failure = Failure::new(Exit::Rejected, "answer-malformed", message);
    let cause = cause.to_string();
    if !cause.is_empty() {
        failure.causes.push(cause);
    }
    failure
}

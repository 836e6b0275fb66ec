//! `proofmark proxy`: the Open Inference Protocol for clients that know nothing of receipts, answered
//! with verified answers only.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::Args;
use proofmark_package::read_bounded;
use proofmark_proxy::{
    ConfigFile, LogPin, MAX_CONFIG_BYTES, Model, PinnedFolder, ProviderConfig, ProxyConfig,
    ProxyError, serve,
};
use proofmark_types::Digest;
use proofmark_types::manifest::{MANIFEST_FILE, MAX_MANIFEST_BYTES};
use proofmark_verify::{Exit, Failure, LogKeyArgs, bytes_from_hex, log_folder};
use serde_json::json;

use crate::commands::serve::{log, stop_signal};
use crate::failures::{Fail, OrFail as _};
use crate::output::{Output, line};

/// Arguments of `proofmark proxy`.
#[derive(Debug, Args)]
pub(crate) struct ProxyArgs {
    /// Packages and providers as JSON, instead of the options for them: for several providers, each
    /// with a key and a log of its own
    #[arg(
        long,
        value_name = "FILE",
        required_unless_present_all = ["package", "provider"],
        conflicts_with_all = [
            "package", "package_digest", "provider", "service_key", "log_key", "log_copy",
            "auditor_key"
        ]
    )]
    config: Option<PathBuf>,
    /// Folder with a package's manifest.json and verifying_key.bin; may be repeated
    #[arg(long, value_name = "DIR", requires = "package_digest")]
    package: Vec<PathBuf>,
    /// Digest of a package that you trust; one for each --package, in any order
    #[arg(long, value_name = "DIGEST", requires = "package")]
    package_digest: Vec<Digest>,
    /// A service that may be asked, e.g. http://127.0.0.1:8080; may be repeated, the first is asked
    /// first
    #[arg(long, value_name = "URL")]
    provider: Vec<String>,
    /// Public key of the service that must have signed: 0x and 64 hex digits; for one provider
    #[arg(long, value_name = "KEY", value_parser = bytes32)]
    service_key: Option<[u8; 32]>,
    /// The transparency log that must hold the receipts; for one provider.
    #[command(flatten)]
    log: LogKeyArgs,
    /// A copy of the transparency log, which may be older than the answers: what it revokes is
    /// refused
    #[arg(long = "log", value_name = "DIR", requires_all = ["log_key", "service_key"])]
    log_copy: Option<PathBuf>,
    /// Public key of an auditor who must have attested every package, in a file of the package's
    /// folder attestations; 0x and 64 hex digits; may be repeated
    #[arg(long, value_name = "KEY", value_parser = bytes32)]
    auditor_key: Vec<[u8; 32]>,
    /// Address to listen on; port 0 lets the system choose
    #[arg(long, value_name = "ADDR", default_value = "127.0.0.1:8081")]
    listen: SocketAddr,
    /// Listen also where other machines reach the proxy, which asks nobody who they are
    #[arg(long)]
    allow_remote: bool,
    /// Folder for what was seen of the logs; needed when a log is pinned
    #[arg(long, value_name = "DIR")]
    state: Option<PathBuf>,
    /// Folder in which every receipt, with the proof that it is logged, is kept before its answer
    /// leaves
    #[arg(long, value_name = "DIR")]
    receipts: Option<PathBuf>,
    /// Seconds that a request may take when it does not say, all providers together
    #[arg(long, value_name = "S", default_value_t = 120)]
    timeout: u64,
    /// Seconds that one provider has
    #[arg(long, value_name = "S", default_value_t = 60)]
    provider_timeout: u64,
    /// Requests at the same time; one more is answered 429
    #[arg(long, value_name = "N", default_value_t = 64)]
    concurrency: usize,
}

fn bytes32(text: &str) -> Result<[u8; 32], String> {
    bytes_from_hex(text).ok_or_else(|| "it must be 0x and 64 hex digits".to_owned())
}

impl Fail for ProxyError {
    fn fail(&self) -> Failure {
        let exit = match self {
            Self::Config { .. } => Exit::Usage,
            Self::File(error) => return error.fail(),
            Self::Package { .. } => Exit::Rejected,
            _ => Exit::Environment,
        };
        Failure::of(exit, self.code(), self)
    }
}

pub(crate) fn run(args: &ProxyArgs, output: Output) -> Result<(), Failure> {
    log(output);
    let mut sources = args.sources()?;
    for provider in &mut sources.providers {
        if let Some(pin) = &mut provider.log {
            pin.copy = pin.copy.as_deref().map(log_folder);
        }
    }
    let mut models = Vec::new();
    for pinned in &sources.packages {
        let model = Model::open(pinned, &sources.auditors).or_fail()?;
        let manifest = model.package().manifest();
        output.note(&format!(
            "{} version {}: {}",
            manifest.name,
            manifest.version,
            model.package().digest()
        ));
        models.push(model);
    }
    for provider in &sources.providers {
        output.note(&describe(provider));
    }
    let config = ProxyConfig {
        listen: args.listen,
        allow_remote: args.allow_remote,
        providers: sources.providers,
        state: args.state.clone(),
        receipts: args.receipts.clone(),
        timeout: Duration::from_secs(args.timeout),
        provider_timeout: Duration::from_secs(args.provider_timeout),
        concurrency: args.concurrency,
        ..ProxyConfig::default()
    };
    let runtime = tokio::runtime::Runtime::new().map_err(|error| {
        Failure::environment("thread-failed", "cannot start the proxy's threads")
            .hint(error.to_string())
    })?;
    let ended = runtime.block_on(async {
        let stopped = stop_signal()?;
        serve(config, models, stopped, |address| {
            let url = format!("http://{address}");
            let text = if output.json {
                json!({ "listening": url }).to_string()
            } else {
                format!("listening on {url}; stop with Ctrl-C")
            };
            // Whoever started us closed stdout; the proxy is for others.
            drop(line(&text));
        })
        .await
        .or_fail()
    });
    // A provider that is being asked still is not waited for: nobody would get its answer.
    runtime.shutdown_timeout(Duration::from_secs(1));
    ended
}

impl ProxyArgs {
    /// What is pinned and who is asked.
    fn sources(&self) -> Result<ConfigFile, Failure> {
        if let Some(path) = &self.config {
            let bytes = read_bounded(path, MAX_CONFIG_BYTES).or_fail()?;
            let folder = path.parent().unwrap_or(Path::new(""));
            return ConfigFile::parse(&bytes, folder).or_fail();
        }
        let policy = self.log.policy()?;
        if self.provider.len() > 1 && (policy.is_some() || self.service_key.is_some()) {
            let message = "--log-key and --service-key are of one provider, and there are several";
            return Err(Failure::usage("proxy-config", message)
                .hint("name each with its own keys in a file, and give that with --config"));
        }
        let providers = self.provider.iter().map(|url| ProviderConfig {
            url: url.trim_end_matches('/').to_owned(),
            service_key: self.service_key,
            log: policy.clone().map(|policy| LogPin {
                policy,
                copy: self.log_copy.clone(),
            }),
        });
        Ok(ConfigFile {
            packages: self.pinned()?,
            providers: providers.collect(),
            auditors: self.auditor_key.clone(),
        })
    }

    /// Each folder with the digest that is its own among those given. One that has none is given one
    /// all the same, and refused for it.
    fn pinned(&self) -> Result<Vec<PinnedFolder>, Failure> {
        if self.package.len() != self.package_digest.len() {
            let message = format!(
                "{} packages and {} digests are given; each package is pinned by one",
                self.package.len(),
                self.package_digest.len()
            );
            return Err(Failure::usage("proxy-config", message));
        }
        let mut left = self.package_digest.clone();
        self.package
            .iter()
            .map(|folder| {
                let path = folder.join(MANIFEST_FILE);
                let manifest = read_bounded(&path, MAX_MANIFEST_BYTES as u64).or_fail()?;
                let own = Digest::of(&manifest);
                let place = left.iter().position(|digest| *digest == own);
                Ok(PinnedFolder {
                    folder: folder.clone(),
                    digest: left.remove(place.unwrap_or(0)),
                })
            })
            .collect()
    }
}

/// What is demanded of a provider beside proofs, for people.
fn describe(provider: &ProviderConfig) -> String {
    let signer = match provider.service_key {
        Some(_) => "signed by the pinned key",
        None => "signed by anybody",
    };
    let logged = match &provider.log {
        None => "logged or not".to_owned(),
        Some(pin) => format!(
            "in the log {:?}, with {} witnesses, {}",
            pin.policy.log().name(),
            pin.policy.quorum(),
            match pin.copy {
                Some(_) => "not revoked in the copy of the log",
                None => "revoked or not",
            }
        ),
    };
    format!("provider {}: {signer}, {logged}", provider.url)
}

//! `proofmark serve`: every sealed package of a folder behind one HTTP service.

use std::collections::BTreeMap;
use std::fs;
use std::io::IsTerminal as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use proofmark_engine::{Engine, EngineError, EngineOptions, ServiceKey, Stage as EngineStage};
use proofmark_log::Log;
use proofmark_package::Package;
use proofmark_server::backend::{
    BackendError, ErrorClass, Opening, ProveRequest, Proven, Stage, Timings,
};
use proofmark_server::{Cosign, ProvingBackend, ServerConfig, ServerError, TransparencyLog, serve};
use proofmark_store::Store;
use proofmark_types::card::Card;
use proofmark_types::manifest::MANIFEST_FILE;
use proofmark_types::{Digest, Manifest};
use proofmark_verify::{Exit, Failure, bytes_to_hex, log_failure};
use serde_json::json;
use tracing_subscriber::EnvFilter;

use crate::arguments::ServeArgs;
use crate::commands::log::{WitnessList, ask_all, finish_rotation, open_free};
use crate::commands::now;
use crate::failures::{Fail as _, OrFail as _};
use crate::output::{Output, line};

/// File name of the database in the data folder.
pub(crate) const DATABASE: &str = "proofmark.sqlite";

/// A loaded package as the service wants it.
struct Backend {
    engine: Engine,
    card: Option<Card>,
    attestations: BTreeMap<String, Vec<u8>>,
    key: Arc<ServiceKey>,
    /// Whether the whole package is handed out.
    shared: bool,
}

impl ProvingBackend for Backend {
    fn manifest(&self) -> &Manifest {
        self.engine.manifest()
    }

    fn package_digest(&self) -> Digest {
        self.engine.package().digest()
    }

    fn manifest_bytes(&self) -> &[u8] {
        self.engine.package().manifest_bytes()
    }

    fn verifying_key_bytes(&self) -> &[u8] {
        self.engine.verifying_key_bytes()
    }

    fn transcript_bytes(&self) -> &[u8] {
        self.engine.transcript_bytes()
    }

    fn card(&self) -> Option<&Card> {
        self.card.as_ref()
    }

    fn attestations(&self) -> &BTreeMap<String, Vec<u8>> {
        &self.attestations
    }

    fn shared_folder(&self) -> Option<&Path> {
        self.shared.then(|| self.engine.package().folder())
    }

    fn prove(&self, request: ProveRequest, begun: &dyn Fn(Stage)) -> Result<Proven, BackendError> {
        let request = proofmark_engine::ProveRequest {
            inputs: request.inputs,
            context: request.context,
            proved_at: now(),
        };
        let proven = self
            .engine
            .prove_watched(&request, self.key.signing_key(), &|stage| {
                begun(match stage {
                    EngineStage::Runtime => Stage::Runtime,
                    EngineStage::Witness => Stage::Witness,
                    EngineStage::Proving => Stage::Proving,
                    EngineStage::Receipt => Stage::Verifying,
                });
            })
            .map_err(|error| backend_error(&error))?;
        Ok(Proven {
            receipt_id: proven.envelope.receipt_id(),
            receipt: proven.bytes,
            outputs: proven.outputs,
            openings: proven
                .openings
                .into_iter()
                .map(|opening| Opening {
                    tensor: opening.tensor,
                    salt: opening.salt,
                })
                .collect(),
            timings: Timings {
                runtime: proven.timings.runtime,
                witness: proven.timings.witness,
                proving: proven.timings.proving,
                verifying: proven.timings.receipt,
            },
        })
    }
}

fn backend_error(error: &EngineError) -> BackendError {
    BackendError {
        code: error.code(),
        class: if error.is_input() {
            ErrorClass::Input
        } else {
            ErrorClass::Internal
        },
        detail: error.to_string(),
    }
}

pub(crate) fn run(args: &ServeArgs, output: Output) -> Result<(), Failure> {
    log(output);
    let folders = packages(&args.packages)?;
    let log_folder = args.log.folder(&args.data);
    let key = Arc::new(service_key(&args.data, &log_folder)?);
    args.witnesses.check()?;
    let options = EngineOptions {
        table_bytes: args.table_memory.saturating_mul(1 << 20),
        table_folder: Some(args.data.join("tables")),
    };
    let mut backends: Vec<Arc<dyn ProvingBackend>> = Vec::new();
    let mut to_share: Vec<&String> = args.share_package.iter().collect();
    for folder in &folders {
        output.note(&format!("loading {}", folder.display()));
        let engine = Engine::load_with(folder, None, &options).map_err(|error| {
            let mut failure = error.fail();
            failure.message = format!("package {}: {}", folder.display(), failure.message);
            failure
        })?;
        output.note(&format!(
            "{} version {}: {}",
            engine.manifest().name,
            engine.manifest().version,
            engine.package().digest()
        ));
        let attestations = engine.package().attestations().or_fail()?;
        let card = engine.package().card().or_fail()?.map(|(card, _)| card);
        let shared = is_shared(engine.package(), &args.share_package)?;
        if shared {
            let names = names(engine.package());
            to_share.retain(|given| !names.contains(given));
            output.note("  handed out whole, its weights with it");
        }
        backends.push(Arc::new(Backend {
            shared,
            engine,
            card,
            attestations,
            key: Arc::clone(&key),
        }));
    }
    if let Some(unknown) = to_share.first() {
        let message =
            format!("no served package is called {unknown:?}, so it cannot be handed out");
        return Err(Failure::usage("package-missing", message)
            .hint("--share-package takes a model's name or a package digest"));
    }
    output.note(&format!(
        "service key {} ({})",
        bytes_to_hex(&key.public()),
        key.id()
    ));
    let deadline = Duration::from_secs(args.deadline);
    let defaults = ServerConfig::default();
    let config = ServerConfig {
        listen: args.listen,
        queue_capacity: args.queue,
        workers: args.workers,
        default_deadline: deadline,
        max_deadline: defaults.max_deadline.max(deadline),
        public_url: args.public_url.trim_end_matches('/').to_owned(),
        allowed_origins: args.allow_origin.clone(),
        ..defaults
    };
    let log_options = args.log.options(&args.data);
    let transparency_log = TransparencyLog {
        open: Arc::new(move || Log::open(&log_folder, &log_options)),
        service_key: key.public(),
        cosign: cosign(&args.witnesses),
    };
    let runtime = tokio::runtime::Runtime::new().map_err(|error| {
        Failure::environment("thread-failed", "cannot start the service's threads")
            .hint(error.to_string())
    })?;
    runtime.block_on(async {
        let store = Store::open(&args.data.join(DATABASE))
            .await
            .map_err(|error| Failure::of(Exit::Environment, error.code(), &error))?;
        let stopped = stop_signal()?;
        serve(
            config,
            backends,
            store,
            transparency_log,
            stopped,
            |listening| {
                let url = format!("http://{}", listening.address);
                let service_key = bytes_to_hex(&key.public());
                output.note(&format!("log key {}", listening.log_key));
                let text = if output.json {
                    json!({
                        "listening": url,
                        "service_key": service_key,
                        "log_key": listening.log_key,
                    })
                    .to_string()
                } else {
                    format!("listening on {url}; stop with Ctrl-C")
                };
                // Whoever started us closed stdout; the service is for others.
                drop(line(&text));
            },
        )
        .await
        .map_err(|error| server_failure(&error))
    })
}

/// What a package can be named by: its model, its digest.
fn names(package: &Package) -> [String; 2] {
    [
        package.manifest().name.clone(),
        package.digest().to_string(),
    ]
}

/// Whether a package is handed out whole: only when it is named. Its files are all there then; the
/// engine has checked those that it needs.
fn is_shared(package: &Package, named: &[String]) -> Result<bool, Failure> {
    let names = names(package);
    if !named.iter().any(|given| names.contains(given)) {
        return Ok(false);
    }
    for record in package.manifest().files() {
        package.check_length(record).or_fail()?;
    }
    Ok(true)
}

/// The service key, after a rotation that was cut off behind its entry is finished.
fn service_key(data: &Path, log_folder: &Path) -> Result<ServiceKey, Failure> {
    if ServiceKey::next(data).or_fail()?.is_some()
        && let Some(log) = open_free(data, log_folder)?
        && finish_rotation(data, &log)?
    {
        tracing::info!("the key that the log announced is the service key from here on");
    }
    ServiceKey::load_or_create(data).or_fail()
}

/// Has witnesses cosign while the service runs.
fn cosign(witnesses: &WitnessList) -> Option<Cosign> {
    if witnesses.witness.is_empty() {
        return None;
    }
    let witnesses = witnesses.clone();
    Some(Arc::new(move |log: &Log| {
        let mut all = true;
        for (url, answer) in ask_all(log, &witnesses) {
            match answer {
                Ok(cosignatures) => tracing::info!(
                    witness.url = url,
                    witness.count = cosignatures.len(),
                    "a witness cosigned the log"
                ),
                Err(failure) => {
                    all = false;
                    tracing::warn!(
                        witness.url = url,
                        witness.cause = failure.message,
                        witness.code = failure.code,
                        "a witness did not cosign the log"
                    );
                }
            }
        }
        all
    }))
}

fn server_failure(error: &ServerError) -> Failure {
    let exit = match error {
        ServerError::Config { .. }
        | ServerError::NotSealed { .. }
        | ServerError::DuplicateModel { .. } => Exit::Usage,
        ServerError::Attestation { .. } => Exit::Rejected,
        ServerError::Log { source } => return log_failure(source),
        _ => Exit::Environment,
    };
    Failure::of(exit, error.code(), error)
}

/// Structured logs on stderr: JSON under `--json`, else for people. `RUST_LOG` chooses what.
pub(crate) fn log(output: Output) {
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new("info"));
    let builder = tracing_subscriber::fmt()
        .with_env_filter(filter)
        // A line that cannot be written, on a full disk, is lost: telling of it on the same stderr would
        // be a panic.
        .log_internal_errors(false)
        // Nobody wants colours in a file.
        .with_ansi(std::io::stderr().is_terminal())
        .with_writer(std::io::stderr);
    // It fails only when a log is set up already.
    if output.json {
        drop(builder.json().try_init());
    } else {
        drop(builder.try_init());
    }
}

/// The folders that hold a package or a draft, by name.
pub(super) fn candidates(folder: &Path) -> Result<Vec<PathBuf>, Failure> {
    let unreadable = |error: std::io::Error| {
        let message = format!("cannot read {}", folder.display());
        let mut failure = Failure::environment("file-unreadable", message);
        failure.causes.push(error.to_string());
        failure
    };
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).map_err(unreadable)? {
        let path = entry.map_err(unreadable)?.path();
        if path.join(MANIFEST_FILE).is_file() {
            found.push(path);
        }
    }
    found.sort();
    Ok(found)
}

/// The sealed packages of a folder, by name. A draft among them is left out and named.
fn packages(folder: &Path) -> Result<Vec<PathBuf>, Failure> {
    let mut found = Vec::new();
    for path in candidates(folder)? {
        let package = Package::open(&path).or_fail()?;
        if package.manifest().sealed.is_some() {
            found.push(path);
        } else {
            tracing::warn!(folder = %path.display(), "a draft is not served; run `proofmark setup`");
        }
    }
    if found.is_empty() {
        let message = format!("{} holds no sealed package", folder.display());
        return Err(Failure::usage("package-missing", message)
            .hint("make one with `proofmark setup DRAFT_DIR --out DIR/NAME`"));
    }
    Ok(found)
}

/// Completes at Ctrl-C or, on Unix, SIGTERM.
pub(crate) fn stop_signal() -> Result<impl Future<Output = ()>, Failure> {
    let failed = |error: std::io::Error| {
        Failure::environment(
            "signals-failed",
            format!("cannot wait for signals: {error}"),
        )
    };
    #[cfg(unix)]
    {
        use tokio::signal::unix::{SignalKind, signal};
        let mut interrupt = signal(SignalKind::interrupt()).map_err(failed)?;
        let mut terminate = signal(SignalKind::terminate()).map_err(failed)?;
        Ok(async move {
            tokio::select! {
                _ = interrupt.recv() => {}
                _ = terminate.recv() => {}
            }
        })
    }
    #[cfg(not(unix))]
    {
        let _ = failed;
        Ok(async {
            if tokio::signal::ctrl_c().await.is_err() {
                std::future::pending::<()>().await;
            }
        })
    }
}

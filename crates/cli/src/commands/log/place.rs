//! Where a service's log is, and opening it.

use std::path::{Path, PathBuf};

use clap::Args;
use proofmark_engine::ServiceKey;
use proofmark_log::{Folder, Log, LogError, Options, Reader, load_or_create_key};
use proofmark_tlog::note::MAX_NOTE_BYTES;
use proofmark_tlog::tile::CHECKPOINT_PATH;
use proofmark_tlog::{KeyKind, Policy, VerifierKey};
use proofmark_verify::{Failure, log_failure, read_bounded};

use crate::failures::OrFail as _;

/// What the log remembers of itself beside its folder, in the service's data folder.
const REMEMBERED: &str = "log.checkpoint";

/// Where the transparency log of a service is.
#[derive(Debug, Clone, Args)]
pub(crate) struct LogFiles {
    /// Folder of the transparency log, made with its signing key at first start (default: DATA/log)
    #[arg(long, value_name = "DIR")]
    pub(crate) log: Option<PathBuf>,
    /// The log's name, the first line of its checkpoints; an address without scheme, best the one
    /// that it is served at; it cannot be changed later (default: a name made of its key)
    #[arg(long, value_name = "NAME")]
    pub(crate) log_origin: Option<String>,
}

impl LogFiles {
    /// The log's folder, for a service with this data folder.
    pub(crate) fn folder(&self, data: &Path) -> PathBuf {
        self.log.clone().unwrap_or_else(|| data.join("log"))
    }

    /// How it is opened, for a service with this data folder.
    pub(crate) fn options(&self, data: &Path) -> Options {
        Options {
            origin: self.log_origin.clone(),
            ..options(data)
        }
    }
}

/// A service's log and signing key, for commands about a service that there is.
#[derive(Debug, Clone, Args)]
pub(crate) struct ServiceFiles {
    /// Data folder of the service
    #[arg(long, value_name = "DIR")]
    pub(crate) data: PathBuf,
    /// Folder of the transparency log (default: DATA/log)
    #[arg(long, value_name = "DIR")]
    pub(crate) log: Option<PathBuf>,
}

impl ServiceFiles {
    /// The log's folder; there must be a log in it.
    pub(crate) fn folder(&self) -> Result<PathBuf, Failure> {
        let folder = self.log.clone().unwrap_or_else(|| self.data.join("log"));
        if folder.join("log_key").is_file() {
            return Ok(folder);
        }
        let message = format!("{} is not the log of a service", folder.display());
        Err(Failure::usage("log-missing", message)
            .hint("`proofmark serve` makes it at its first start; is --data the service's?"))
    }

    /// The service key, which must be there.
    pub(crate) fn key(&self) -> Result<ServiceKey, Failure> {
        if self.data.join("service_key").is_file() {
            return ServiceKey::load_or_create(&self.data).or_fail();
        }
        let message = format!("{} holds no service key", self.data.display());
        Err(Failure::usage("service-key-missing", message)
            .hint("`proofmark serve` makes it at its first start; is --data the service's?"))
    }
}

fn options(data: &Path) -> Options {
    Options {
        remember: Some(data.join(REMEMBERED)),
        ..Options::default()
    }
}

/// Opens the log of the service with this data folder; `None` when the running service holds it.
pub(crate) fn open_free(data: &Path, folder: &Path) -> Result<Option<Log>, Failure> {
    match Log::open(folder, &options(data)) {
        Ok(log) => Ok(Some(log)),
        Err(LogError::Locked { .. }) => Ok(None),
        Err(error) => Err(log_failure(&error)),
    }
}

/// Opens the log of the service with this data folder, which is not running.
pub(crate) fn open_stopped(data: &Path, folder: &Path) -> Result<Log, Failure> {
    Log::open(folder, &options(data)).map_err(|error| {
        let failure = log_failure(&error);
        match error {
            LogError::Locked { .. } => failure.hint("stop the service first"),
            _ => failure,
        }
    })
}

/// Reads what a log holds, as its owner.
pub(crate) fn reader(log: &Log) -> Result<Reader<Folder>, Failure> {
    let policy = Policy::new(log.verifier_key().clone());
    Reader::open(Folder::new(log.public_folder()), &policy).map_err(|error| log_failure(&error))
}

/// The log of the service with this data folder as it is on the disk, whether the service runs or not,
/// and the checkpoint that the data folder remembers. Nothing is made, repaired or locked. `None` when
/// no log was made yet.
pub(crate) fn read_only(
    data: &Path,
    folder: &Path,
) -> Result<Option<(Reader<Folder>, Option<Vec<u8>>)>, Failure> {
    let remembered = data.join(REMEMBERED);
    let remembered = if remembered.is_file() {
        Some(read_bounded(&remembered, MAX_NOTE_BYTES)?)
    } else {
        None
    };
    let (key, public) = (folder.join("log_key"), folder.join("public"));
    if !key.exists() {
        if remembered.is_none() && !public.join(CHECKPOINT_PATH).exists() {
            return Ok(None);
        }
        return Err(log_failure(&LogError::Shrank {
            reason: format!("there was a log, and {} is missing", key.display()),
        })
        .hint("restore the folder of the log from its backup"));
    }
    let failed = |error: LogError| log_failure(&error);
    let key = load_or_create_key(&key).map_err(failed)?;
    let checkpoint = read_bounded(&public.join(CHECKPOINT_PATH), MAX_NOTE_BYTES)?;
    let text = String::from_utf8_lossy(&checkpoint);
    let origin = text.lines().next().unwrap_or_default();
    let public_key = key.verifying_key().to_bytes();
    let policy = VerifierKey::new(origin, KeyKind::Ed25519, &public_key)
        .map(Policy::new)
        .map_err(|error| failed(error.into()))?;
    let reader = Reader::open(Folder::new(&public), &policy).map_err(failed)?;
    Ok(Some((reader, remembered)))
}

/// Puts a key that the log announced in the service key's place, when that was cut off.
pub(crate) fn finish_rotation(data: &Path, log: &Log) -> Result<bool, Failure> {
    let Some(next) = ServiceKey::next(data).or_fail()? else {
        return Ok(false);
    };
    let current = ServiceKey::load_or_create(data).or_fail()?;
    let scan = reader(log)?
        .scan(&current.public())
        .map_err(|error| log_failure(&error))?;
    let in_force = scan.notices.keys().periods().last();
    if in_force.is_none_or(|period| period.key != next.public()) {
        return Ok(false);
    }
    ServiceKey::take_over(data).or_fail()?;
    Ok(true)
}

//! What a service consists of: packages, keys, tables, log.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Instant;

use ed25519_dalek::SigningKey;
use proofmark_engine::{Engine, EngineOptions, ProveRequest, ServiceKey};
use proofmark_package::Package;
use proofmark_types::manifest::Sealed;
use proofmark_types::{Context, IntTensor};
use proofmark_verify::{Exit, Failure, log_failure};
use zeroize::Zeroizing;

use super::{Check, Status};
use crate::commands::log::read_only;
use crate::commands::serve::candidates;
use crate::commands::{now, random_bytes};
use crate::failures::OrFail as _;
use crate::output::{Output, bytes, seconds};

/// Bytes that a proof takes for a row of the domain, and for a wire.
const ROW_BYTES: u64 = 64;
const WIRE_BYTES: u64 = 160;

/// What the packages take of the machine, in bytes.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Needs {
    /// Keys and tables of all packages.
    pub(super) loaded: u64,
    /// The largest proof.
    proof: u64,
    /// Tables that are not on the disk yet.
    pub(super) tables: u64,
}

impl Needs {
    /// Memory, with one proof at a time.
    pub(super) const fn memory(&self) -> u64 {
        self.loaded.saturating_add(self.proof)
    }

    fn add(&mut self, sealed: &Sealed, table_bytes: u64, tables: Option<u64>) {
        let key = sealed.proving_key.bytes;
        // Tables of a small key do not fill their room: at most some hundred multiples a point.
        let wanted = table_bytes.min(key.saturating_mul(256));
        self.loaded = self
            .loaded
            .saturating_add(key)
            .saturating_add(tables.unwrap_or(wanted));
        if tables.is_none() {
            self.tables = self.tables.saturating_add(wanted);
        }
        let rows = sealed.circuit.constraints.checked_next_power_of_two();
        let rows = rows.unwrap_or(u64::MAX).saturating_mul(ROW_BYTES);
        let wires = sealed.circuit.wires.saturating_mul(WIRE_BYTES);
        self.proof = self.proof.max(rows.saturating_add(wires));
    }
}

/// How packages are looked at.
pub(super) struct Look<'a> {
    /// Each is loaded and proves once.
    pub(super) prove: bool,
    /// Where tables are kept.
    pub(super) data: Option<&'a Path>,
    /// Memory for tables, for each.
    pub(super) table_bytes: u64,
}

/// Each package of a folder.
pub(super) fn packages(
    folder: &Path,
    look: &Look<'_>,
    needs: &mut Needs,
    output: Output,
) -> Vec<Check> {
    let found = match candidates(folder) {
        Ok(found) => found,
        Err(failure) => return vec![Check::failed("packages", &failure)],
    };
    let mut usable = 0;
    let mut checks = Vec::new();
    for path in found {
        if look.prove {
            output.note(&format!("loading {}, and proving once", path.display()));
        }
        checks.push(match package(&path, look, needs) {
            Ok(Some(text)) => {
                usable += 1;
                Check::ok("package", format!("{}: {text}", path.display()))
            }
            Ok(None) => Check::note("package", format!("{} is a draft", path.display()))
                .remedy(format!("proofmark setup {} --out DIR", path.display())),
            Err(failure) => {
                let mut check = Check::failed("package", &failure);
                check.text = format!("{}: {}", path.display(), check.text);
                check
            }
        });
    }
    if usable == 0 && checks.iter().all(|check| check.status != Status::Failed) {
        let text = format!("{} holds no sealed package", folder.display());
        checks.push(
            Check::wrong("packages", Status::Failed, "package-missing", text).remedy(
                "make one (proofmark setup DRAFT --out DIR/NAME), or fetch one (proofmark pull)",
            ),
        );
    }
    checks
}

/// One package; `None` for a draft.
fn package(folder: &Path, look: &Look<'_>, needs: &mut Needs) -> Result<Option<String>, Failure> {
    let package = Package::open(folder).or_fail()?;
    let manifest = package.manifest();
    let Some(sealed) = &manifest.sealed else {
        return Ok(None);
    };
    let tables = look.data.and_then(|data| tables(data, sealed));
    needs.add(sealed, look.table_bytes, tables);
    package.card().or_fail()?;
    package.attestations().or_fail()?;
    let mut text = format!(
        "{} version {}, {}, {}",
        manifest.name,
        manifest.version,
        package.digest(),
        manifest.compiler.backend.proof_system_name()
    );
    for record in manifest.files() {
        if look.prove {
            package.check_file(record).or_fail()?;
        } else {
            package.check_length(record).or_fail()?;
        }
    }
    if look.prove {
        text.push_str(&proves(folder)?);
    }
    if look.data.is_some() && look.table_bytes > 0 {
        text.push_str(&match tables {
            Some(size) => format!("; tables are kept ({})", bytes(size)),
            None => "; tables are made at the first start".to_owned(),
        });
    }
    Ok(Some(text))
}

/// Loads a package as `serve` does, and proves an input of zeros.
fn proves(folder: &Path) -> Result<String, Failure> {
    let start = Instant::now();
    let options = EngineOptions {
        table_bytes: 0,
        table_folder: None,
    };
    let engine = Engine::load_with(folder, None, &options).or_fail()?;
    let loaded = start.elapsed();
    let inputs = engine.manifest().inputs.iter().map(|spec| {
        let zeros = vec![0; spec.shape.iter().product()];
        let tensor = IntTensor::new(spec.elem, spec.shape.clone(), zeros);
        tensor
            .map(|tensor| (spec.name.clone(), tensor))
            .map_err(|error| Failure::of(Exit::Rejected, error.code(), &error))
    });
    let request = ProveRequest {
        inputs: inputs.collect::<Result<_, _>>()?,
        context: Context::off_chain(random_bytes()?),
        proved_at: now(),
    };
    let signer = SigningKey::from_bytes(&Zeroizing::new(random_bytes()?));
    let start = Instant::now();
    engine.prove(&request, &signer).or_fail()?;
    Ok(format!(
        "; loads in {}, proves in {} (without tables)",
        seconds(loaded.as_secs_f64()),
        seconds(start.elapsed().as_secs_f64())
    ))
}

/// Bytes of the tables that are kept for a package's key; `None` without any.
fn tables(data: &Path, sealed: &Sealed) -> Option<u64> {
    let folder = data.join("tables").join(sealed.proving_key.digest.to_hex());
    let sizes = fs::read_dir(folder)
        .ok()?
        .filter_map(|entry| entry.ok()?.metadata().ok())
        .filter(fs::Metadata::is_file);
    let total = sizes.fold(0_u64, |sum, file| sum.saturating_add(file.len()));
    (total > 0).then_some(total)
}

/// The data folder: who may write it, and its keys.
pub(super) fn data(data: &Path) -> Vec<Check> {
    if !data.exists() {
        let text = format!("{} is made at the first start", data.display());
        return vec![match writable(data.ancestors().find(|f| f.exists())) {
            Ok(()) => Check::note("data", text),
            Err(failure) => Check::failed("data", &failure),
        }];
    }
    let mut checks = vec![match writable(Some(data)) {
        Ok(()) => Check::ok("data", format!("{} can be written", data.display())),
        Err(failure) => Check::failed("data", &failure),
    }];
    for folder in [data.to_owned(), data.join("tables")] {
        checks.extend(open_to_others(&folder));
    }
    // Those that are there; nothing is made.
    let mut keys: Vec<(PathBuf, Result<ServiceKey, Failure>)> = Vec::new();
    if data.join("service_key").exists() {
        let key = ServiceKey::load_or_create(data).or_fail();
        keys.push((data.join("service_key"), key));
    }
    if let Some(next) = ServiceKey::next(data).or_fail().transpose() {
        keys.push((data.join("service_key.next"), next));
    }
    for (path, key) in keys {
        checks.push(match key {
            Ok(key) => {
                let text = format!("{} is its owner's alone: key {}", path.display(), key.id());
                Check::ok("key", text)
            }
            Err(failure) => Check::failed("key", &failure),
        });
    }
    checks
}

#[cfg(unix)]
fn writable(folder: Option<&Path>) -> Result<(), Failure> {
    let folder = folder.unwrap_or_else(|| Path::new("."));
    let access = rustix::fs::Access::WRITE_OK | rustix::fs::Access::EXEC_OK;
    rustix::fs::access(folder, access).map_err(|error| {
        let message = format!("cannot write to {}: {error}", folder.display());
        Failure::environment("file-unwritable", message)
            .hint("give it to the service's user: chown -R USER, chmod u+rwx")
    })
}

#[cfg(not(unix))]
fn writable(_folder: Option<&Path>) -> Result<(), Failure> {
    Ok(())
}

/// A folder in which others could put keys or tables of their own.
#[cfg(unix)]
fn open_to_others(folder: &Path) -> Option<Check> {
    use std::os::unix::fs::PermissionsExt as _;
    let mode = fs::metadata(folder).ok()?.permissions().mode();
    if mode & 0o022 == 0 {
        return None;
    }
    let text = format!(
        "others can write to {} (mode {:o})",
        folder.display(),
        mode & 0o777
    );
    let code = "folder-open-to-others";
    Some(
        Check::wrong("data", Status::Failed, code, text)
            .remedy(format!("chmod go-w {}", folder.display())),
    )
}

#[cfg(not(unix))]
fn open_to_others(_folder: &Path) -> Option<Check> {
    None
}

/// The transparency log, read and not changed: all of it when `whole`.
pub(super) fn log(data: &Path, folder: &Path, whole: bool) -> Check {
    match log_state(data, folder, whole) {
        Ok(text) => Check::ok("log", text),
        Err(failure) => Check::failed("log", &failure),
    }
}

fn log_state(data: &Path, folder: &Path, whole: bool) -> Result<String, Failure> {
    let Some((reader, remembered)) = read_only(data, folder)? else {
        return Ok(format!("{} is made at the first start", folder.display()));
    };
    let refuse = |error| log_failure(&error);
    let mut text = format!(
        "{}: {} entries of {}",
        folder.display(),
        reader.size(),
        reader.checkpoint().checkpoint().origin()
    );
    if let Some(bytes) = remembered {
        reader.consistent_with(&bytes).map_err(refuse)?;
        text.push_str(", which contain what the data folder remembers");
    }
    if !whole || !data.join("service_key").exists() {
        return Ok(text);
    }
    let key = ServiceKey::load_or_create(data).or_fail()?;
    let scan = reader.scan(&key.public()).map_err(refuse)?;
    if let Some(problem) = scan.problems.first() {
        let message = format!("entry {} cannot be honoured", problem.index);
        let failure = Failure::new(Exit::Rejected, problem.error.code(), message);
        return Err(failure.hint("verifiers with this log reject every receipt because of it"));
    }
    let period = scan.notices.keys().of(&key.public());
    if let Some(until) = period.and_then(|period| period.until) {
        let error = proofmark_server::ServerError::ServiceKeyRetired { until };
        return Err(Failure::of(Exit::Environment, error.code(), &error));
    }
    text.push_str(&format!(
        "; {} receipts, {} notices, every entry is what was signed for",
        scan.receipts.len(),
        scan.notices.list().len()
    ));
    Ok(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[cfg(unix)]
    #[test]
    fn a_folder_that_others_can_write_is_named() {
        use std::os::unix::fs::PermissionsExt as _;
        let folder = tempfile::tempdir().unwrap();
        assert_eq!(open_to_others(folder.path()), None);
        let open = fs::Permissions::from_mode(0o777);
        fs::set_permissions(folder.path(), open).unwrap();
        let check = open_to_others(folder.path()).unwrap();
        assert_eq!(check.code.as_deref(), Some("folder-open-to-others"));
        assert!(check.remedy.unwrap().starts_with("chmod go-w"));
    }

    #[test]
    fn a_folder_that_is_not_there_is_no_failure() {
        let folder = tempfile::tempdir().unwrap();
        let absent = folder.path().join("data");
        let checks = data(&absent);
        assert_eq!(checks.len(), 1);
        assert_eq!(checks[0].status, Status::Note);
        assert!(!absent.exists(), "nothing is made");
        assert_eq!(log(&absent, &absent.join("log"), true).status, Status::Ok);
        assert!(!absent.exists(), "nothing is made");
    }
}

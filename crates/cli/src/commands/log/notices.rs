//! `proofmark log advisory | revoke | rotate`: signed entries about what was handed out.

use std::fs;
use std::path::Path;
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use clap::Args;
use proofmark_engine::ServiceKey;
use proofmark_log::{
    Entry, Folder, Log, Notice, Reader, SignedNotice, Statement, Subject, load_or_create_key,
};
use proofmark_package::write_atomic;
use proofmark_server::inbox::{INBOX, REFUSED, WAITING};
use proofmark_server::reconcile;
use proofmark_store::{Store, StoreError};
use proofmark_tlog::{KeyKind, Policy, SignedCheckpoint, VerifierKey};
use proofmark_types::Digest;
use proofmark_verify::{Exit, Failure, bytes_to_hex, log_failure};
use serde_json::json;

use super::place::{ServiceFiles, finish_rotation, open_free, open_stopped};
use crate::commands::now;
use crate::commands::serve::DATABASE;
use crate::failures::OrFail as _;
use crate::output::Output;

/// How long a running service is given to take a notice.
const PATIENCE: Duration = Duration::from_secs(30);

#[derive(Debug, Args)]
pub(crate) struct AdvisoryArgs {
    #[command(flatten)]
    service: ServiceFiles,
    /// What it is about: circuit=, verifying-key=, package=, service-key= or receipt= and a digest;
    /// may be repeated. A receipt is named by the digest that verdicts print or that of its file
    #[arg(long, value_name = "WHAT=DIGEST", value_parser = subject, required = true)]
    about: Vec<Subject>,
    /// One line
    #[arg(long)]
    title: String,
    /// The rest
    #[arg(long, default_value = "")]
    text: String,
}

#[derive(Debug, Args)]
pub(crate) struct RevokeArgs {
    #[command(flatten)]
    service: ServiceFiles,
    /// What is revoked: circuit=, verifying-key=, package=, service-key= or receipt= and a digest. A
    /// receipt is named by the digest that verdicts print or that of its file
    #[arg(long, value_name = "WHAT=DIGEST", value_parser = subject)]
    subject: Subject,
    /// First index of the log that is concerned: receipts before it stay valid
    #[arg(long, value_name = "INDEX", default_value_t = 0)]
    from: u64,
    /// Why
    #[arg(long)]
    reason: String,
}

#[derive(Debug, Args)]
pub(crate) struct RotateArgs {
    #[command(flatten)]
    service: ServiceFiles,
    /// Why
    #[arg(long, default_value = "")]
    reason: String,
}

/// Reads `circuit=sha256:…` and its like.
fn subject(text: &str) -> Result<Subject, String> {
    let refuse = || {
        "it must be circuit=, verifying-key=, package=, service-key= or receipt= and a digest \
         sha256:…"
            .to_owned()
    };
    let (what, digest) = text.split_once('=').ok_or_else(refuse)?;
    let digest: Digest = digest.parse().map_err(|_| refuse())?;
    Ok(match what {
        "circuit" => Subject::Circuit(digest),
        "verifying-key" => Subject::VerifyingKey(digest),
        "package" => Subject::Package(digest),
        "service-key" => Subject::ServiceKey(digest),
        "receipt" => Subject::Receipt(digest),
        _ => return Err(refuse()),
    })
}

pub(crate) fn advisory(args: &AdvisoryArgs, output: Output) -> Result<(), Failure> {
    let about = args.about.iter().map(|s| logged(&args.service, *s));
    let statement = Statement::Advisory {
        title: args.title.clone(),
        text: args.text.clone(),
        subjects: about.collect::<Result<_, _>>()?,
    };
    issue(&args.service, statement, output)
}

pub(crate) fn revoke(args: &RevokeArgs, output: Output) -> Result<(), Failure> {
    let statement = Statement::Revocation {
        subject: logged(&args.service, args.subject)?,
        from: args.from,
        reason: args.reason.clone(),
    };
    issue(&args.service, statement, output)
}

/// A subject as the log names it: a receipt by the digest of its envelope. Verdicts and the service's
/// addresses name it by its payload, and a revocation under that name would revoke nothing.
fn logged(service: &ServiceFiles, subject: Subject) -> Result<Subject, Failure> {
    let Subject::Receipt(digest) = subject else {
        return Ok(subject);
    };
    let folder = service.folder()?;
    let reader = Reader::open(Folder::new(folder.join("public")), &published(&folder)?)
        .map_err(|error| log_failure(&error))?;
    let is_logged = |envelope: &Digest| {
        let place = reader.find_receipt(envelope);
        place.map(|p| p.is_some()).map_err(|e| log_failure(&e))
    };
    if is_logged(&digest)? {
        return Ok(subject);
    }
    let stored = with_store(&service.data, async |store| store.receipt(&digest).await)?;
    let envelope = stored.flatten().map(|r| Digest::of(&r.envelope));
    match envelope {
        Some(envelope) if is_logged(&envelope)? => Ok(Subject::Receipt(envelope)),
        _ => {
            let message = format!("no receipt {digest} is in the log");
            Err(Failure::usage("receipt-unknown", message).hint(
                "name it by the digest that verdicts print, or by that of its file as it was handed out",
            ))
        }
    }
}

/// Does something with the service's database, where there is one.
fn with_store<R>(
    data: &Path,
    work: impl AsyncFnOnce(&Store) -> Result<R, StoreError>,
) -> Result<Option<R>, Failure> {
    let database = data.join(DATABASE);
    if !database.is_file() {
        return Ok(None);
    }
    let runtime = tokio::runtime::Runtime::new().map_err(|error| {
        Failure::environment("thread-failed", "cannot start the threads of the database")
            .hint(error.to_string())
    })?;
    let refused = |error: StoreError| Failure::of(Exit::Environment, error.code(), &error);
    runtime.block_on(async {
        let store = Store::open(&database).await.map_err(refused)?;
        let done = work(&store).await;
        store.close().await;
        done.map(Some).map_err(refused)
    })
}

/// Signs a notice and adds it to the log: here, or through the service that is running.
fn issue(service: &ServiceFiles, statement: Statement, output: Output) -> Result<(), Failure> {
    let folder = service.folder()?;
    let log = open_free(&service.data, &folder)?;
    if let Some(log) = &log {
        finish_rotation(&service.data, log)?;
    }
    let key = service.key()?;
    let origin = match &log {
        Some(log) => log.origin().to_owned(),
        None => published(&folder)?.log().name().to_owned(),
    };
    let notice = Notice {
        log: origin,
        issued_at: now(),
        statement,
    };
    let signed = SignedNotice::sign(notice, key.signing_key())
        .map_err(|error| Failure::of(Exit::Usage, error.code(), &error))?;
    let kind = signed.kind();
    let (index, size) = match log {
        Some(log) => {
            let inclusion = log
                .append_notice(signed, &key.public())
                .map_err(|error| log_failure(&error))?;
            (inclusion.index, inclusion.size)
        }
        None => hand_over(&folder, signed, output)?,
    };
    let object = json!({ "notice": kind, "index": index, "size": size });
    output.result(&object, &format!("{kind} is entry {index} of the log"))
}

/// Whom to believe about the log of a running service: its own key, which lies beside it.
fn published(folder: &Path) -> Result<Policy, Failure> {
    let path = folder.join("public").join("checkpoint");
    let checkpoint = fs::read(&path).map_err(|error| {
        let message = format!("cannot read {}: {error}", path.display());
        Failure::environment("file-unreadable", message)
    })?;
    let checkpoint = SignedCheckpoint::parse_unverified(&checkpoint)
        .map_err(|error| log_failure(&error.into()))?;
    let key = load_or_create_key(&folder.join("log_key")).map_err(|error| log_failure(&error))?;
    let key = key.verifying_key().to_bytes();
    let origin = checkpoint.checkpoint().origin();
    VerifierKey::new(origin, KeyKind::Ed25519, &key)
        .map(Policy::new)
        .map_err(|error| log_failure(&error.into()))
}

/// Puts a notice in the inbox of the running service and waits until it is in the log.
fn hand_over(folder: &Path, signed: SignedNotice, output: Output) -> Result<(u64, u64), Failure> {
    let policy = published(folder)?;
    let public = folder.join("public");
    let open = || Reader::open(Folder::new(&public), &policy).map_err(|error| log_failure(&error));
    let before = open()?.size();
    let bytes = signed
        .envelope()
        .to_bytes()
        .map_err(|error| log_failure(&error.into()))?;
    let inbox = folder.join(INBOX);
    fs::create_dir_all(&inbox).map_err(|error| {
        let message = format!("cannot create {}: {error}", inbox.display());
        Failure::environment("file-unwritable", message)
    })?;
    let path = inbox.join(Digest::of(&bytes).to_hex());
    let (waiting, refused) = (path.with_extension(WAITING), path.with_extension(REFUSED));
    // An answer to an earlier try is none to this one.
    drop(fs::remove_file(&refused));
    write_atomic(&waiting, &bytes).or_fail()?;
    output.note("the service is running: it is asked to log this");
    let start = Instant::now();
    while waiting.exists() {
        if start.elapsed() > PATIENCE {
            let message = "the service does not log this; it tries on while the file is there";
            let mut failure = Failure::environment("log-unavailable", message);
            failure.causes.push(waiting.display().to_string());
            return Err(failure.hint("look into the service's own log output"));
        }
        thread::sleep(Duration::from_millis(100));
    }
    if let Ok(reason) = fs::read_to_string(&refused) {
        drop(fs::remove_file(&refused));
        let message = format!("the service refuses this notice: {reason}");
        return Err(Failure::new(Exit::Rejected, "log-notice-invalid", message));
    }
    let entry = Entry::Notice(signed)
        .to_bytes()
        .map_err(|error| log_failure(&error))?;
    let reader = open()?;
    for item in reader.raw_entries(before..reader.size()) {
        let (index, bytes) = item.map_err(|error| log_failure(&error))?;
        if bytes == entry {
            return Ok((index, reader.size()));
        }
    }
    let message = "the notice was taken and is not in the log";
    Err(Failure::environment("log-unavailable", message))
}

/// Logs receipts that were stored when the service ended, and not logged: signed with the old key,
/// they must stand before the rotation, or readers would call their signer retired.
fn log_what_is_stored(data: &Path, log: &Arc<Log>) -> Result<(), Failure> {
    with_store(data, async |store| Ok(reconcile(log, store).await))?
        .transpose()
        .map(drop)
        .map_err(|error| Failure::of(Exit::Environment, error.code(), &error))
}

pub(crate) fn rotate(args: &RotateArgs, output: Output) -> Result<(), Failure> {
    let service = &args.service;
    let log = Arc::new(open_stopped(&service.data, &service.folder()?)?);
    log_what_is_stored(&service.data, &log)?;
    let old = service.key()?;
    let finished = finish_rotation(&service.data, &log)?;
    let new = if finished {
        // The last rotation was cut off behind its entry; this is its end.
        service.key()?
    } else {
        let new = ServiceKey::load_or_create_next(&service.data).or_fail()?;
        let (old_key, new_key) = (old.signing_key(), new.signing_key());
        let notice = Notice::rotation(log.origin(), now(), old_key, new_key, &args.reason)
            .and_then(|notice| SignedNotice::sign(notice, old_key))
            .map_err(|error| Failure::of(Exit::Usage, error.code(), &error))?;
        log.append_notice(notice, &old.public())
            .map_err(|error| log_failure(&error))?;
        ServiceKey::take_over(&service.data).or_fail()?;
        new
    };
    let (old, new) = (bytes_to_hex(&old.public()), bytes_to_hex(&new.public()));
    let object =
        json!({ "notice": "rotation", "size": log.size(), "old": old, "service_key": new });
    let text = format!("the service key is {new} from here on; receipts under {old} stay valid");
    output.result(&object, &text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn subjects_name_a_kind_and_a_digest() {
        let digest = Digest::of(b"x");
        for (what, expected) in [
            ("circuit", Subject::Circuit(digest)),
            ("verifying-key", Subject::VerifyingKey(digest)),
            ("package", Subject::Package(digest)),
            ("service-key", Subject::ServiceKey(digest)),
            ("receipt", Subject::Receipt(digest)),
        ] {
            assert_eq!(subject(&format!("{what}={digest}")), Ok(expected));
        }
        for bad in ["", "circuit", "circuit=", "model=sha256:00"] {
            assert!(subject(bad).is_err(), "{bad}");
        }
        assert!(subject(&format!("key={digest}")).is_err());
    }
}

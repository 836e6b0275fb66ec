//! Notices for the log of a running service: files in the folder `inbox` beside the log's public
//! folder, put there by `proofmark log`. Whoever can write there achieves nothing without the service
//! key: a notice is taken only with its signature.

use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use proofmark_log::{SignedNotice, Statement};

use crate::journal::Journal;

/// Name of the folder in the log's folder.
pub const INBOX: &str = "inbox";
/// Ending of a notice that waits: a DSSE envelope.
pub const WAITING: &str = "notice";
/// Ending of a file with the reason why a notice was not taken.
pub const REFUSED: &str = "refused";
/// Largest notice in bytes; an entry of the log holds no larger one.
const MAX_BYTES: u64 = 1 << 16;

/// Adds every notice that waits to the log, and removes its file when it is durable there.
pub(crate) async fn take(journal: &Journal) {
    let Some(folder) = journal.public_folder().parent().map(|f| f.join(INBOX)) else {
        return;
    };
    for path in waiting(&folder).await {
        let taken = match read(&path).await {
            Ok(notice) => add(journal, notice).await,
            Err(reason) => Err(Some(reason)),
        };
        let done = match taken {
            Ok(()) => tokio::fs::remove_file(&path).await,
            // The log is down: the notice waits on.
            Err(None) => return,
            Err(Some(reason)) => {
                tracing::warn!(file = %path.display(), reason, "a notice for the log was refused");
                let told = tokio::fs::write(path.with_extension(REFUSED), reason).await;
                match told {
                    Ok(()) => tokio::fs::remove_file(&path).await,
                    Err(error) => Err(error),
                }
            }
        };
        if let Err(error) = done {
            tracing::error!(file = %path.display(), %error, "the log's inbox cannot be written");
        }
    }
}

/// The files that wait, by name.
async fn waiting(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    match tokio::fs::read_dir(folder).await {
        Ok(mut entries) => {
            while let Ok(Some(entry)) = entries.next_entry().await {
                let path = entry.path();
                if path.extension().is_some_and(|e| e == WAITING) {
                    found.push(path);
                }
            }
        }
        Err(error) if error.kind() == ErrorKind::NotFound => {}
        Err(error) => {
            tracing::error!(folder = %folder.display(), %error, "the log's inbox cannot be read");
        }
    }
    found.sort();
    found
}

async fn read(path: &Path) -> Result<SignedNotice, String> {
    let length = tokio::fs::metadata(path)
        .await
        .map_err(|e| e.to_string())?
        .len();
    if length > MAX_BYTES {
        return Err(format!("{length} bytes are more than an entry holds"));
    }
    let bytes = tokio::fs::read(path).await.map_err(|e| e.to_string())?;
    SignedNotice::parse(&bytes).map_err(|e| e.to_string())
}

/// Adds a notice unless it is there. `Err(None)`: the log is down.
async fn add(journal: &Journal, signed: SignedNotice) -> Result<(), Option<String>> {
    let notice = signed.notice();
    if matches!(notice.statement, Statement::Rotation { .. }) {
        let reason = "the service signs with the old key; stop it to rotate";
        return Err(Some(reason.to_owned()));
    }
    if journal.knows(notice) {
        return Ok(());
    }
    let inclusion = journal.append_notice(signed).await?;
    tracing::warn!(log.index = inclusion.index, "a notice was logged");
    Ok(())
}

//! The transparency log as the service uses it: what it cannot take is not answered, and when it
//! failed it is opened again.
//!
//! Store and log are brought together whenever the log is opened: a receipt that was stored and not
//! logged, because the process ended in between, is logged then. A log that lacks a receipt that
//! was handed out is not used. What the log revokes is not answered with any more.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, PoisonError, RwLock, Weak};
use std::time::{Duration, Instant};

use axum::http::StatusCode;
use proofmark_log::{
    Entry, Folder, Head, Inclusion, Log, LogError, Notice, Reader, ReceiptEntry, SignedNotice,
    Statement, Subject,
};
use proofmark_store::{MAX_PAGE, ReceiptRecord, Store, StoreError};
use proofmark_tlog::{Hash, Policy, SignedCheckpoint, TlogError};
use proofmark_types::Digest;
use proofmark_types::receipt::{Envelope, key_id};
use tokio::task::JoinHandle;

use crate::ServerError;
use crate::error::store_problem;
use crate::inbox;
use crate::problem::Problem;
use crate::registry::Served;

/// Time between two looks at what there is to do for the log.
const PAUSE: Duration = Duration::from_secs(1);
/// Time until witnesses that did not cosign are asked again.
const ASK_AGAIN: Duration = Duration::from_secs(30);

/// Opens the log: at the start, and again after it could not be written.
pub type OpenLog = Arc<dyn Fn() -> Result<Log, LogError> + Send + Sync>;

/// Has the log's latest checkpoint cosigned; whether that is done. Called on a thread of its own
/// whenever the log has grown, and again after a while when it was not done.
pub type Cosign = Arc<dyn Fn(&Log) -> bool + Send + Sync>;

/// The transparency log that a service is to use.
#[derive(Clone)]
pub struct TransparencyLog {
    /// Opens it.
    pub open: OpenLog,
    /// The raw public key that the service signs receipts with; the log must not have retired it.
    pub service_key: [u8; 32],
    /// Asks witnesses.
    pub cosign: Option<Cosign>,
}

/// The log of a running service.
pub(crate) struct Journal {
    state: RwLock<State>,
    /// Notices in the log, each with a signature of the service.
    notices: RwLock<Vec<Notice>>,
    public_folder: PathBuf,
    origin: String,
    verifier_key: String,
    service_key: [u8; 32],
}

enum State {
    Up(Arc<Log>),
    /// The database took no receipt: nothing new is answered, and what is logged is read.
    Paused(Arc<Log>, Problem),
    /// The log cannot be written.
    Down(Problem),
}

impl Journal {
    /// Opens the log, brings store and log together, and watches over the log from then on.
    pub(crate) async fn start(
        settings: TransparencyLog,
        store: Store,
    ) -> Result<Arc<Self>, ServerError> {
        let (log, notices) = opened(&settings, &store).await?;
        let journal = Arc::new(Self {
            public_folder: log.public_folder().to_owned(),
            origin: log.origin().to_owned(),
            verifier_key: log.verifier_key().to_string(),
            service_key: settings.service_key,
            notices: RwLock::new(notices),
            state: RwLock::new(State::Up(log)),
        });
        drop(tokio::spawn(watch(
            Arc::downgrade(&journal),
            settings,
            store,
        )));
        Ok(journal)
    }

    /// The folder that is served.
    pub(crate) fn public_folder(&self) -> &Path {
        &self.public_folder
    }

    /// The log's name.
    pub(crate) fn origin(&self) -> &str {
        &self.origin
    }

    /// The log's public key, as signed notes write it.
    pub(crate) fn verifier_key(&self) -> &str {
        &self.verifier_key
    }

    /// The raw public key that the service signs with.
    pub(crate) const fn service_key(&self) -> &[u8; 32] {
        &self.service_key
    }

    /// Whether database and log take receipts, as far as is known.
    pub(crate) fn check(&self) -> Result<(), Problem> {
        match &*self.state.read().unwrap_or_else(PoisonError::into_inner) {
            State::Up(_) => Ok(()),
            State::Paused(_, problem) | State::Down(problem) => Err(problem.clone()),
        }
    }

    fn log(&self) -> Result<Arc<Log>, Problem> {
        match &*self.state.read().unwrap_or_else(PoisonError::into_inner) {
            State::Up(log) | State::Paused(log, _) => Ok(Arc::clone(log)),
            State::Down(problem) => Err(problem.clone()),
        }
    }

    /// The database did not take a receipt: nothing more is proven until it does.
    pub(crate) fn store_failed(&self, error: &StoreError) -> Problem {
        let problem = store_problem(error);
        if let StoreError::Database { .. } = error {
            tracing::error!(store.cause = %error, "the receipts cannot be stored");
            let mut state = self.state.write().unwrap_or_else(PoisonError::into_inner);
            if let State::Up(log) = &*state {
                *state = State::Paused(Arc::clone(log), problem.clone());
            }
        }
        problem
    }

    /// The database takes receipts again.
    fn resume(&self) {
        let mut state = self.state.write().unwrap_or_else(PoisonError::into_inner);
        if let State::Paused(log, _) = &*state {
            *state = State::Up(Arc::clone(log));
            tracing::info!("receipts are stored again");
        }
    }

    /// Whether the log leaves the model to be answered with.
    pub(crate) fn check_model(&self, model: &Served) -> Result<(), Problem> {
        let notices = self.notices.read().unwrap_or_else(PoisonError::into_inner);
        let revoked = notices.iter().find_map(|notice| match &notice.statement {
            Statement::Revocation {
                subject, reason, ..
            } if self.rests_on(model, subject) => Some(reason),
            _ => None,
        });
        match revoked {
            None => Ok(()),
            Some(reason) => Err(Problem::client(
                "model-revoked",
                format!(
                    "what answers of {} rest on was revoked: {reason}; the transparency log has the revocation",
                    model.name()
                ),
            )),
        }
    }

    fn rests_on(&self, model: &Served, subject: &Subject) -> bool {
        match subject {
            Subject::Circuit(digest) => *digest == model.sealed.circuit.digest,
            Subject::VerifyingKey(digest) => *digest == model.sealed.verifying_key.digest,
            Subject::Package(digest) => *digest == model.package,
            Subject::ServiceKey(digest) => *digest == key_id(&self.service_key),
            Subject::Receipt(_) => false,
        }
    }

    /// Whether the log holds this notice.
    pub(crate) fn knows(&self, notice: &Notice) -> bool {
        let notices = self.notices.read().unwrap_or_else(PoisonError::into_inner);
        notices.contains(notice)
    }

    fn set(&self, state: State) {
        *self.state.write().unwrap_or_else(PoisonError::into_inner) = state;
    }

    /// Appends a receipt's entry. When this returns `Ok`, it is durable and covered by a durable
    /// signed checkpoint.
    pub(crate) async fn append(&self, entry: ReceiptEntry) -> Result<Inclusion, Problem> {
        let log = self.log()?;
        tokio::task::spawn_blocking(move || log.append(&Entry::Receipt(entry)))
            .await
            .map_err(|e| Problem::panicked(e.to_string()))?
            .map_err(|error| self.failed(&error))
    }

    /// Appends a notice of the service; `Err(None)` when the log is down, else why the notice is not
    /// taken.
    pub(crate) async fn append_notice(
        &self,
        signed: SignedNotice,
    ) -> Result<Inclusion, Option<String>> {
        let log = self.log().map_err(|_| None)?;
        let (notice, key) = (signed.notice().clone(), self.service_key);
        let appended = tokio::task::spawn_blocking(move || log.append_notice(signed, &key))
            .await
            .map_err(|e| Some(e.to_string()))?;
        match appended {
            Ok(inclusion) => {
                let mut notices = self.notices.write().unwrap_or_else(PoisonError::into_inner);
                notices.push(notice);
                Ok(inclusion)
            }
            Err(error @ LogError::Io { .. }) => {
                self.failed(&error);
                Err(None)
            }
            Err(error) => Err(Some(error.to_string())),
        }
    }

    /// The log took no entry: nothing is served until it was opened again.
    fn failed(&self, error: &LogError) -> Problem {
        let cause = format!("{}: {error}", error.code());
        tracing::error!(log.cause = cause, "the log cannot be written");
        let problem = Problem::log(cause);
        self.set(State::Down(problem.clone()));
        problem
    }

    /// A `.tlog-proof` of the entry of this index.
    pub(crate) async fn prove(&self, index: u64, head: Head) -> Result<Vec<u8>, Problem> {
        let log = self.log()?;
        let proof = tokio::task::spawn_blocking(move || {
            let covered = match head {
                Head::Latest => log.size(),
                Head::Cosigned => log.cosigned()?.map_or(0, |held| held.checkpoint().size()),
            };
            (index < covered)
                .then(|| log.prove(index, head))
                .transpose()
        })
        .await
        .map_err(|e| Problem::panicked(e.to_string()))?;
        match proof {
            Ok(Some(inclusion)) => Ok(inclusion.proof),
            Ok(None) => Err(Problem::client(
                "log-not-cosigned",
                "no checkpoint that covers this receipt is cosigned yet; ask again later, or for the latest one",
            )),
            Err(error) => Err(Problem::log(format!("{}: {error}", error.code()))),
        }
    }

    /// That the tree of `from` entries is a prefix of the latest checkpoint's.
    pub(crate) async fn prove_consistency(
        &self,
        from: u64,
    ) -> Result<(Vec<Hash>, SignedCheckpoint), Problem> {
        let log = self.log()?;
        let proof = tokio::task::spawn_blocking(move || log.prove_consistency(from))
            .await
            .map_err(|e| Problem::panicked(e.to_string()))?;
        match proof {
            Ok(proof) => Ok(proof),
            Err(LogError::Tlog(TlogError::Range { .. })) => Err(Problem::client(
                "tlog-out-of-range",
                format!(
                    "the log has {} entries; ask for a size up to that",
                    self.log()?.size()
                ),
            )
            .with_status(StatusCode::BAD_REQUEST)),
            Err(error) => Err(Problem::log(format!("{}: {error}", error.code()))),
        }
    }
}

/// Opens a log that failed again, sees whether the database takes receipts again, adds the notices
/// that wait, and has checkpoints cosigned, until the service ends.
async fn watch(journal: Weak<Journal>, settings: TransparencyLog, store: Store) {
    let mut cosigning = Cosigning::default();
    loop {
        tokio::time::sleep(PAUSE).await;
        let Some(journal) = journal.upgrade() else {
            return;
        };
        let Ok(log) = journal.log() else {
            reopen(&journal, &settings, &store).await;
            continue;
        };
        if journal.check().is_err() {
            if store.probe().await.is_ok() {
                journal.resume();
            }
            continue;
        }
        inbox::take(&journal).await;
        if let Some(cosign) = &settings.cosign {
            cosigning.go_on(cosign, log).await;
        }
    }
}

/// How far witnesses have come.
#[derive(Default)]
struct Cosigning {
    /// Size that all of them have cosigned.
    done: u64,
    /// The size that they are asked for now.
    running: Option<(u64, JoinHandle<bool>)>,
    again: Option<Instant>,
}

impl Cosigning {
    async fn go_on(&mut self, cosign: &Cosign, log: Arc<Log>) {
        if let Some((size, running)) = self.running.take() {
            if !running.is_finished() {
                self.running = Some((size, running));
                return;
            }
            if running.await.unwrap_or(false) {
                self.done = size;
                self.again = None;
            } else {
                self.again = Some(Instant::now() + ASK_AGAIN);
            }
        }
        let size = log.size();
        if size > self.done && self.again.is_none_or(|again| Instant::now() >= again) {
            let cosign = Arc::clone(cosign);
            let running = tokio::task::spawn_blocking(move || cosign(&log));
            self.running = Some((size, running));
        }
    }
}

async fn reopen(journal: &Journal, settings: &TransparencyLog, store: &Store) {
    match opened(settings, store).await {
        Ok((log, notices)) => {
            tracing::info!("the log is open again");
            *journal
                .notices
                .write()
                .unwrap_or_else(PoisonError::into_inner) = notices;
            journal.set(State::Up(log));
        }
        Err(error) => {
            let cause = format!("{}: {error}", error.code());
            tracing::error!(log.cause = cause, "the log cannot be opened");
            journal.set(State::Down(match &error {
                ServerError::Store { source } => store_problem(source),
                _ => Problem::log(cause),
            }));
        }
    }
}

async fn opened(
    settings: &TransparencyLog,
    store: &Store,
) -> Result<(Arc<Log>, Vec<Notice>), ServerError> {
    let open = Arc::clone(&settings.open);
    let log = Arc::new(blocking(move || open()).await?);
    reconcile(&log, store).await?;
    let notices = notices(&log, settings.service_key).await?;
    Ok((log, notices))
}

/// The notices that the service signed; none may have retired the key that it signs with.
async fn notices(log: &Arc<Log>, service_key: [u8; 32]) -> Result<Vec<Notice>, ServerError> {
    let reading = Arc::clone(log);
    let scan = blocking(move || reader(&reading)?.scan(&service_key)).await?;
    for problem in &scan.problems {
        tracing::error!(
            log.problem = %problem,
            "whoever verifies with the log refuses every receipt because of this entry"
        );
    }
    let period = scan.notices.keys().of(&service_key);
    if let Some(until) = period.and_then(|period| period.until) {
        return Err(ServerError::ServiceKeyRetired { until });
    }
    let list = scan.notices.list();
    Ok(list.iter().map(|logged| logged.notice.clone()).collect())
}

fn reader(log: &Log) -> Result<Reader<Folder>, LogError> {
    let policy = Policy::new(log.verifier_key().clone());
    Reader::open(Folder::new(log.public_folder()), &policy)
}

async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, LogError> + Send + 'static,
) -> Result<T, ServerError> {
    match tokio::task::spawn_blocking(work).await {
        Ok(done) => done.map_err(|source| ServerError::Log {
            source: Box::new(source),
        }),
        Err(ended) => Err(ServerError::Thread {
            source: std::io::Error::other(ended),
        }),
    }
}

/// Checks that the log holds what the store says it does, and logs what is stored only: what a
/// service does when it starts, and who replaces its key must do before.
///
/// # Errors
/// [`ServerError::LogBehind`] for a log that lacks a receipt that was handed out,
/// [`ServerError::Store`], [`ServerError::Log`], [`ServerError::StoredReceipt`].
pub async fn reconcile(log: &Arc<Log>, store: &Store) -> Result<(), ServerError> {
    let failed = |source| ServerError::Store { source };
    if let Some(last) = store.last_logged().await.map_err(failed)? {
        let index = last.log_index.unwrap_or_default();
        let digest = Digest::of(&last.envelope);
        if receipts(log, index, Some(index + 1)).await?.get(&digest) != Some(&index) {
            return Err(ServerError::LogBehind { id: last.id, index });
        }
    }
    let mut waiting = store.not_logged(MAX_PAGE).await.map_err(failed)?;
    if waiting.is_empty() {
        return Ok(());
    }
    // Their entries may stand anywhere: a full disk can take an entry and refuse its index to the
    // database, which later receipts overtake.
    let known = receipts(log, 0, None).await?;
    while !waiting.is_empty() {
        for record in waiting {
            let index = match known.get(&Digest::of(&record.envelope)) {
                Some(index) => *index,
                None => append(log, &record).await?,
            };
            tracing::info!(receipt.id = %record.id, log.index = index, "logged what was stored only");
            store
                .log_receipt(&record.id, index, None)
                .await
                .map_err(failed)?;
        }
        waiting = store.not_logged(MAX_PAGE).await.map_err(failed)?;
    }
    Ok(())
}

/// Receipts among the log's entries from an index on, by the digests of their envelopes.
async fn receipts(
    log: &Arc<Log>,
    from: u64,
    to: Option<u64>,
) -> Result<BTreeMap<Digest, u64>, ServerError> {
    let log = Arc::clone(log);
    blocking(move || {
        let reader = reader(&log)?;
        let size = reader.size();
        let mut found = BTreeMap::new();
        for item in reader.entries(from.min(size)..to.unwrap_or(size).min(size)) {
            if let (index, Entry::Receipt(entry)) = item? {
                found.entry(entry.receipt).or_insert(index);
            }
        }
        Ok(found)
    })
    .await
}

async fn append(log: &Arc<Log>, record: &ReceiptRecord) -> Result<u64, ServerError> {
    let damaged = || ServerError::StoredReceipt { id: record.id };
    let envelope = Envelope::parse(&record.envelope).map_err(|_| damaged())?;
    let entry = ReceiptEntry::of(&envelope).map_err(|_| damaged())?;
    let log = Arc::clone(log);
    let inclusion = blocking(move || log.append(&Entry::Receipt(entry))).await?;
    Ok(inclusion.index)
}

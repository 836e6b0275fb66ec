//! From a proof to an answer: the receipt is stored, its entry is durable in the log and covered by
//! a signed checkpoint, and only then is the answer written and given.

use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use axum::body::Bytes;
use proofmark_log::ReceiptEntry;
use proofmark_store::{NewAnswer, ReceiptRecord};
use proofmark_types::Digest;
use proofmark_types::receipt::Envelope;
use tracing::Instrument as _;

use crate::answer::AnswerPlan;
use crate::backend::{Proven, Timings};
use crate::observe::panic_text;
use crate::problem::Problem;
use crate::queue::Running;
use crate::registry::Served;
use crate::service::Shared;
use crate::worker::{Job, Recipient};

/// Results that are made durable at the same time; the proving threads wait beyond that.
pub(crate) const MAX_AT_ONCE: usize = 64;

/// A proven result whose receipt was checked against model and request.
pub(crate) struct Checked {
    /// What the engine gave.
    pub(crate) proven: Proven,
    /// The receipt in it.
    pub(crate) envelope: Envelope,
    /// Digest of what was proven.
    pub(crate) statement_digest: Digest,
}

/// A proven result that nobody has been told of.
pub(crate) struct Unpublished {
    pub(crate) model: Arc<Served>,
    pub(crate) plan: AnswerPlan,
    pub(crate) checked: Checked,
    /// How long the request waited for its proof to begin.
    pub(crate) queued: Duration,
}

/// A proven, stored and logged answer.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) body: Bytes,
    /// Value of `Server-Timing`.
    pub(crate) timing: String,
}

/// Makes a result durable and tells the recipient, beside the thread that calls. It blocks only
/// while [`MAX_AT_ONCE`] others are on their way. The job counts as running until its recipient is
/// told.
pub(crate) fn publish(
    shared: &Arc<Shared>,
    unpublished: Unpublished,
    recipient: Recipient,
    running: Running<Job>,
    span: tracing::Span,
) {
    let places = Arc::clone(&shared.publishing);
    let Ok(place) = shared.runtime.block_on(places.acquire_owned()) else {
        recipient.tell(Err(Problem::shutting_down()));
        return;
    };
    let shared = Arc::clone(shared);
    let runtime = shared.runtime.clone();
    let published = async move {
        let key = recipient.key();
        // A task of its own, so that a panic is told like any other failure.
        let task = tokio::spawn({
            let shared = Arc::clone(&shared);
            async move { store_and_log(&shared, unpublished, key).await }.in_current_span()
        });
        let outcome = task.await.unwrap_or_else(|ended| {
            shared.metrics.panic();
            let cause = match ended.try_into_panic() {
                Ok(payload) => panic_text(payload.as_ref()),
                Err(ended) => ended.to_string(),
            };
            Err(Problem::panicked(format!("publishing: {cause}")))
        });
        recipient.tell(outcome);
        drop(running);
        drop(place);
    };
    drop(runtime.spawn(published.instrument(span)));
}

async fn store_and_log(
    shared: &Arc<Shared>,
    unpublished: Unpublished,
    key: Option<(String, Digest)>,
) -> Result<Answer, Problem> {
    let Unpublished {
        model,
        plan,
        checked,
        queued,
    } = unpublished;
    let entry = ReceiptEntry::of(&checked.envelope)
        .map_err(|e| Problem::internal(format!("the receipt has no log entry: {e}")))?;
    let record = ReceiptRecord {
        id: checked.proven.receipt_id,
        model: model.name().to_owned(),
        package_digest: model.package,
        statement_digest: checked.statement_digest,
        envelope: checked.proven.receipt.clone(),
        created_at: unix_millis(),
        log_index: None,
    };
    let storing = Instant::now();
    shared
        .store
        .insert_receipt(&record)
        .await
        .map_err(|e| shared.log.store_failed(&e))?;
    let stored = storing.elapsed();
    let logging = Instant::now();
    let inclusion = shared.log.append(entry).await?;
    let logged = logging.elapsed();
    // A revocation that came while this was proven stands in the log before or right behind it:
    // verifiers refuse the receipt, so nobody is told that it is good.
    shared.log.check_model(&model)?;
    let body = plan.write(&model, &checked, &inclusion)?;
    let answer = key.map(|(key, request_digest)| NewAnswer {
        key,
        request_digest,
        answer: body.clone(),
    });
    let storing = Instant::now();
    shared
        .store
        .log_receipt(&record.id, inclusion.index, answer.as_ref())
        .await
        .map_err(|e| shared.log.store_failed(&e))?;
    let stored = stored + storing.elapsed();
    let timings = &checked.proven.timings;
    shared.metrics.proof(model.name(), queued, timings, logged);
    model
        .recent
        .add(timings.runtime + timings.witness + timings.proving + timings.verifying);
    let Timings {
        runtime,
        witness,
        proving,
        verifying,
    } = *timings;
    let timing = [
        ("queue", queued),
        ("runtime", runtime),
        ("witness", witness),
        ("proving", proving),
        ("verifying", verifying),
        ("store", stored),
        ("log", logged),
    ]
    .map(|(name, took)| format!("{name};dur={:.3}", took.as_secs_f64() * 1e3))
    .join(", ");
    tracing::info!(
        model.name = model.name(),
        model.version = model.version(),
        receipt.id = %record.id,
        log.index = inclusion.index,
        timing,
        "proven, stored and logged"
    );
    Ok(Answer {
        body: body.into(),
        timing,
    })
}

fn unix_millis() -> i64 {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .ok()
        .and_then(|since| i64::try_from(since.as_millis()).ok())
        .unwrap_or(0)
}

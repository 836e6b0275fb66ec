//! The threads that prove. What comes out of them is proven, stored, and only then an answer.

use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::{Instant, SystemTime, UNIX_EPOCH};

use axum::body::Bytes;
use axum::http::StatusCode;
use proofmark_store::{NewAnswer, ReceiptRecord};
use proofmark_types::receipt::{Envelope, RecordValue};
use tokio::sync::oneshot;

use crate::answer::AnswerPlan;
use crate::backend::{BackendError, ErrorClass, ProveRequest, Proven, Timings};
use crate::idempotency::Claim;
use crate::problem::Problem;
use crate::registry::Served;
use crate::service::Shared;

/// One accepted request.
pub(crate) struct Job {
    pub(crate) model: Arc<Served>,
    pub(crate) request: ProveRequest,
    pub(crate) plan: AnswerPlan,
    /// The idempotency key, held until the job is done.
    pub(crate) claim: Option<Claim>,
    pub(crate) accepted: Instant,
    pub(crate) deadline: Instant,
    pub(crate) reply: oneshot::Sender<Result<Answer, Problem>>,
    pub(crate) span: tracing::Span,
}

/// A proven and stored answer.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) body: Bytes,
    /// Value of `Server-Timing`.
    pub(crate) timing: String,
}

/// Works off the queue until it ends.
pub(crate) fn run(shared: &Shared) {
    while let Some((job, running)) = shared.queue.pop() {
        work(shared, job);
        drop(running);
    }
}

fn work(shared: &Shared, job: Job) {
    let Job {
        model,
        request,
        plan,
        claim,
        accepted,
        deadline,
        reply,
        span,
    } = job;
    let _entered = span.entered();
    let started = Instant::now();
    if reply.is_closed() || started >= deadline {
        // Whoever waited has just left or been told; the proof would be for nobody.
        shared.metrics.withdrawn();
        return;
    }
    let outcome = catch_unwind(AssertUnwindSafe(|| {
        prove_and_store(
            shared,
            &model,
            request,
            &plan,
            claim.as_ref(),
            accepted,
            started,
        )
    }));
    shared.queue.learn(model.class, started.elapsed());
    let outcome = outcome.unwrap_or_else(|payload| {
        shared.metrics.panic();
        Err(Problem::service(
            "proving-panicked",
            "the engine made a mistake and has logged it; nothing was served",
            format!("proving job panicked: {}", panic_text(payload.as_ref())),
        ))
    });
    // Released before the answer leaves: a retry right after it must not be refused.
    drop(claim);
    if let Err(outcome) = reply.send(outcome) {
        match outcome {
            Ok(_) => tracing::info!("proven and stored after the client had left"),
            Err(problem) => tracing::warn!(
                problem.code = problem.code(),
                problem.cause = problem.cause().unwrap_or_default(),
                "job failed after the client had left"
            ),
        }
    }
}

/// The words of a panic.
pub(crate) fn panic_text(payload: &(dyn Any + Send)) -> String {
    payload
        .downcast_ref::<&str>()
        .map(|text| (*text).to_owned())
        .or_else(|| payload.downcast_ref::<String>().cloned())
        .unwrap_or_else(|| "no message".to_owned())
}

fn prove_and_store(
    shared: &Shared,
    model: &Served,
    request: ProveRequest,
    plan: &AnswerPlan,
    claim: Option<&Claim>,
    accepted: Instant,
    started: Instant,
) -> Result<Answer, Problem> {
    let context = request.context;
    let proven = model.backend.prove(request).map_err(backend_problem)?;
    let envelope = Envelope::parse(&proven.receipt)
        .map_err(|e| Problem::internal(format!("the engine's receipt: {}: {e}", e.code())))?;
    check_receipt(model, &envelope, &proven)?;
    if envelope.receipt().context != context {
        return Err(Problem::internal(
            "the engine's receipt is bound to another context",
        ));
    }
    let statement_digest = envelope
        .receipt()
        .statement_digest()
        .map_err(|e| Problem::internal(format!("the engine's receipt: {}: {e}", e.code())))?;
    let body = plan.write(model, &proven, &context, statement_digest)?;
    let record = ReceiptRecord {
        id: proven.receipt_id,
        model: model.name().to_owned(),
        package_digest: model.package,
        statement_digest,
        envelope: proven.receipt,
        created_at: unix_millis(),
    };
    let answer = claim.map(|claim| NewAnswer {
        key: claim.key().to_owned(),
        request_digest: claim.request_digest(),
        answer: body.clone(),
    });
    let storing = Instant::now();
    shared
        .runtime
        .block_on(shared.store.insert_receipt(&record, answer.as_ref()))
        .map_err(|e| Problem::store(&e))?;
    let queued = started.duration_since(accepted);
    shared.metrics.proof(model.name(), queued, &proven.timings);
    let Timings {
        runtime,
        witness,
        proving,
        verifying,
    } = proven.timings;
    let timing = [
        ("queue", queued),
        ("runtime", runtime),
        ("witness", witness),
        ("proving", proving),
        ("verifying", verifying),
        ("store", storing.elapsed()),
    ]
    .map(|(name, took)| format!("{name};dur={:.3}", took.as_secs_f64() * 1e3))
    .join(", ");
    tracing::info!(
        model.name = model.name(),
        model.version = model.version(),
        receipt.id = %record.id,
        timing,
        "proven and stored"
    );
    Ok(Answer {
        body: body.into(),
        timing,
    })
}

/// Whether the receipt is of this model and says what the engine says. The proof in it was
/// verified by the engine; this is about mixing things up.
fn check_receipt(model: &Served, envelope: &Envelope, proven: &Proven) -> Result<(), Problem> {
    let receipt = envelope.receipt();
    let same_outputs = receipt.outputs.len() == proven.outputs.len()
        && receipt
            .outputs
            .iter()
            .zip(&proven.outputs)
            .all(|(record, (name, tensor))| {
                record.name == *name
                    && match &record.value {
                        RecordValue::Public(public) => public == tensor,
                        RecordValue::Hashed(_) | RecordValue::Private(_) => true,
                    }
            });
    for (holds, what) in [
        (receipt.package == model.package, "package"),
        (envelope.receipt_id() == proven.receipt_id, "receipt id"),
        (same_outputs, "outputs"),
    ] {
        if !holds {
            return Err(Problem::internal(format!(
                "the engine and its receipt differ in the {what}"
            )));
        }
    }
    Ok(())
}

fn backend_problem(error: BackendError) -> Problem {
    let BackendError {
        code,
        class,
        detail,
    } = error;
    match class {
        ErrorClass::Input => {
            let problem = Problem::client(code, detail);
            if problem.status().is_server_error() {
                return problem;
            }
            problem.with_status(StatusCode::BAD_REQUEST)
        }
        ErrorClass::Busy => Problem::service(
            "proving-unavailable",
            "the engine cannot take this request now; try again later",
            format!("{code}: {detail}"),
        )
        .retry_after(5),
        ErrorClass::Internal => Problem::internal(format!("{code}: {detail}")),
    }
}

fn unix_millis() -> i64 {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .ok()
        .and_then(|since| i64::try_from(since.as_millis()).ok())
        .unwrap_or(0)
}

//! The threads that prove. What comes out of them is proven; the publisher makes it an answer.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::Instant;

use axum::http::StatusCode;
use proofmark_types::Digest;
use proofmark_types::receipt::{Envelope, RecordValue};
use tokio::sync::oneshot;

use crate::answer::AnswerPlan;
use crate::backend::{BackendError, ErrorClass, ProveRequest, Proven};
use crate::idempotency::Claim;
use crate::observe::panic_text;
use crate::problem::Problem;
use crate::progress::{Progress, Step};
use crate::publish::{Answer, Checked, Unpublished, publish};
use crate::queue::Running;
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
    /// Whoever watches.
    pub(crate) progress: Progress,
    pub(crate) reply: oneshot::Sender<Result<Answer, Problem>>,
    pub(crate) span: tracing::Span,
}

/// Works off the queue until it ends.
pub(crate) fn run(shared: &Arc<Shared>) {
    while let Some((job, running)) = shared.queue.pop() {
        work(shared, job, running);
    }
}

fn work(shared: &Arc<Shared>, job: Job, running: Running<Job>) {
    let Job {
        model,
        request,
        plan,
        claim,
        accepted,
        deadline,
        progress,
        reply,
        span,
    } = job;
    let _entered = span.clone().entered();
    let started = Instant::now();
    let recipient = Recipient { claim, reply };
    if recipient.left() || started >= deadline {
        // Whoever waited has just left or been told; the proof would be for nobody.
        shared.metrics.withdrawn();
        return;
    }
    let answerable = shared
        .log
        .check()
        .and_then(|()| shared.log.check_model(&model));
    if let Err(problem) = answerable {
        // No proof is made for nothing.
        recipient.tell(Err(problem));
        return;
    }
    let proven = catch_unwind(AssertUnwindSafe(|| prove(&model, request, &progress)));
    shared.queue.learn(model.class, started.elapsed());
    let proven = proven.unwrap_or_else(|payload| {
        shared.metrics.panic();
        Err(Problem::service(
            "proving-panicked",
            "the engine made a mistake and has logged it; nothing was served",
            format!("proving job panicked: {}", panic_text(payload.as_ref())),
        ))
    });
    match proven {
        Err(problem) => recipient.tell(Err(problem)),
        Ok(checked) => {
            let unpublished = Unpublished {
                model,
                plan,
                checked,
                queued: started.duration_since(accepted),
            };
            progress.tell(Step::Logging);
            // The next proof begins while this one is made durable.
            publish(shared, unpublished, recipient, running, span);
        }
    }
}

/// Whoever waits for a job, and what is held for it meanwhile.
pub(crate) struct Recipient {
    claim: Option<Claim>,
    reply: oneshot::Sender<Result<Answer, Problem>>,
}

impl Recipient {
    /// The idempotency key under which the answer is to be remembered, and the request's digest.
    pub(crate) fn key(&self) -> Option<(String, Digest)> {
        let claim = self.claim.as_ref()?;
        Some((claim.key().to_owned(), claim.request_digest()))
    }

    fn left(&self) -> bool {
        self.reply.is_closed()
    }

    /// Gives the outcome; the key is free from here on.
    pub(crate) fn tell(self, outcome: Result<Answer, Problem>) {
        let Self { claim, reply } = self;
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
}

fn prove(model: &Served, request: ProveRequest, progress: &Progress) -> Result<Checked, Problem> {
    let context = request.context;
    let proven = model
        .backend
        .prove(request, &|stage| progress.tell(Step::Stage(stage)))
        .map_err(backend_problem)?;
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
    Ok(Checked {
        proven,
        envelope,
        statement_digest,
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

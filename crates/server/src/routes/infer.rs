//! Inference with proof.

use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::body::Bytes;
use axum::extract::{Path, Request, State};
use axum::http::{HeaderName, HeaderValue, header};
use axum::response::{IntoResponse as _, Response};
use proofmark_types::Manifest;
use tokio::sync::{mpsc, oneshot};
use tracing::Instrument as _;

use crate::answer::{AnswerPlan, InferResponse};
use crate::backend::ProveRequest;
use crate::bodies::{parse_json, patience};
use crate::idempotency::{self, Known};
use crate::observe::RequestId;
use crate::problem::{Problem, ProblemBody};
use crate::progress::{self, PULSE, Progress, Step, event, wants_events};
use crate::publish::Answer;
use crate::queue::{Refusal, Ticket};
use crate::registry::Served;
use crate::request::{InferRequest, wanted};
use crate::service::Shared;
use crate::tensors::decode_inputs;
use crate::worker::Job;

const SERVER_TIMING: HeaderName = HeaderName::from_static("server-timing");
const REPLAYED: HeaderName = HeaderName::from_static("idempotent-replayed");
/// Time between two signs of life to whoever watches a proof.
const PULSES: Duration = Duration::from_secs(10);

/// Runs the model, proves the run, verifies the proof, logs the receipt, and answers.
///
/// Headers: `Request-Timeout` (seconds), `Idempotency-Key`. The answer's `Server-Timing` tells
/// what took how long, in milliseconds.
///
/// With `Accept: text/event-stream` the answer is a stream of events: `step` for each thing that
/// begins (`{"step":"queued","ahead":0}`, then `runtime`, `witness`, `proving`, `verifying`,
/// `logging`), `timing` with the value of `Server-Timing`, and at the end one `answer` or one
/// `problem`, each as the body of the ordinary response. What is refused before the queue is
/// refused with its status.
#[utoipa::path(
    post,
    path = "/v2/models/{name}/infer",
    tag = "inference",
    params(
        ("name" = String, Path, description = "Model"),
        ("request-timeout" = Option<f64>, Header, description = "Seconds that the request may take"),
        ("idempotency-key" = Option<String>, Header, description = "The same key and body get the same answer, and one proof only")
    ),
    request_body = InferRequest,
    responses(
        (status = OK, description = "A proven answer, or events that end in one", content(
            (InferResponse<'static> = "application/json"),
            (String = "text/event-stream")
        )),
        (status = BAD_REQUEST, description = "`json-malformed`, `input-…`, `output-unknown`, `tensor-…`, `parameter-invalid`, `request-invalid`", content_type = "application/problem+json", body = ProblemBody<'static>),
        (status = NOT_FOUND, description = "`model-unknown`", content_type = "application/problem+json", body = ProblemBody<'static>),
        (status = GONE, description = "`model-revoked`", content_type = "application/problem+json", body = ProblemBody<'static>),
        (status = REQUEST_TIMEOUT, description = "`body-timeout`", content_type = "application/problem+json", body = ProblemBody<'static>),
        (status = CONFLICT, description = "`idempotency-key-in-use`", content_type = "application/problem+json", body = ProblemBody<'static>),
        (status = PAYLOAD_TOO_LARGE, description = "`body-too-large`", content_type = "application/problem+json", body = ProblemBody<'static>),
        (status = UNSUPPORTED_MEDIA_TYPE, description = "`unsupported-media-type`", content_type = "application/problem+json", body = ProblemBody<'static>),
        (status = UNPROCESSABLE_ENTITY, description = "`idempotency-key-reused`", content_type = "application/problem+json", body = ProblemBody<'static>),
        (status = TOO_MANY_REQUESTS, description = "`queue-full`, with `Retry-After`", content_type = "application/problem+json", body = ProblemBody<'static>),
        (status = INTERNAL_SERVER_ERROR, description = "`internal`, `proving-panicked`", content_type = "application/problem+json", body = ProblemBody<'static>),
        (status = SERVICE_UNAVAILABLE, description = "`shutting-down`, `store-unavailable`, `log-unavailable`, `proving-unavailable`, `overloaded`", content_type = "application/problem+json", body = ProblemBody<'static>),
        (status = GATEWAY_TIMEOUT, description = "`deadline-exceeded`", content_type = "application/problem+json", body = ProblemBody<'static>)
    )
)]
pub(crate) async fn infer(
    State(shared): State<Arc<Shared>>,
    Path(name): Path<String>,
    request: Request,
) -> Result<Response, Problem> {
    let model = Arc::clone(shared.registry.find(&name, None)?);
    answer(&shared, model, request).await
}

/// As `/v2/models/{name}/infer`, by a version that the client names.
#[utoipa::path(
    post,
    path = "/v2/models/{name}/versions/{version}/infer",
    tag = "inference",
    params(
        ("name" = String, Path, description = "Model"),
        ("version" = String, Path, description = "Version")
    ),
    request_body = InferRequest,
    responses(
        (status = OK, description = "A proven answer", body = InferResponse<'static>),
        (status = NOT_FOUND, description = "`model-unknown`, `version-unknown`", content_type = "application/problem+json", body = ProblemBody<'static>),
        (status = "default", description = "As `/v2/models/{name}/infer`", content_type = "application/problem+json", body = ProblemBody<'static>)
    )
)]
pub(crate) async fn infer_version(
    State(shared): State<Arc<Shared>>,
    Path((name, version)): Path<(String, String)>,
    request: Request,
) -> Result<Response, Problem> {
    let model = Arc::clone(shared.registry.find(&name, Some(&version))?);
    answer(&shared, model, request).await
}

/// Reads a body as the handler does, for whoever tests that with bytes of any origin.
///
/// # Errors
/// The [`Problem`] that the client would get.
pub fn decode_infer(manifest: &Manifest, body: &[u8]) -> Result<(), Problem> {
    let request: InferRequest = parse_json(body, super::OPENAPI)?;
    request.parameters.inline_receipt()?;
    wanted(manifest, request.outputs)?;
    request.parameters.context()?;
    decode_inputs(manifest, &request.inputs).map(drop)
}

async fn answer(
    shared: &Arc<Shared>,
    model: Arc<Served>,
    request: Request,
) -> Result<Response, Problem> {
    let accepted = Instant::now();
    shared.log.check_model(&model)?;
    let (parts, body) = request.into_parts();
    let config = &shared.config;
    let (default, longest) = (config.default_deadline, config.max_deadline);
    let patience = patience(&parts.headers, default, longest)?;
    let key = idempotency::key_of(&parts.headers)?;
    if key.is_none() {
        // What stands in the way is said before megabytes are read. With a key the answer may be
        // there.
        shared.queue.would_accept().map_err(refusal)?;
        shared.log.check()?;
    }
    let body = shared.bodies.read_json(&parts.headers, body).await?;
    let claim = match key {
        None => None,
        Some(key) => {
            let path = parts.uri.path();
            let known = shared
                .keys
                .claim(&shared.store, &model.package, key, path, &body.bytes)
                .await?;
            match known {
                Known::New(claim) => Some(claim),
                Known::Answered(body) => {
                    let response = if wants_events(&parts.headers) {
                        replayed(&body)
                    } else {
                        json(body.into())
                    };
                    let headers = [(REPLAYED, HeaderValue::from_static("true"))];
                    return Ok((headers, response).into_response());
                }
            }
        }
    };
    let request: InferRequest = parse_json(&body.bytes, super::OPENAPI)?;
    drop(body);
    shared.log.check()?;
    let plan = AnswerPlan {
        inline_receipt: request.parameters.inline_receipt()?,
        wanted: wanted(model.manifest(), request.outputs)?,
        id: request.id,
        public_url: shared.config.public_url.clone(),
    };
    let context = request.parameters.context()?;
    let inputs = decode_inputs(model.manifest(), &request.inputs)?;
    let (reply, answered) = oneshot::channel();
    let (progress, steps) = if wants_events(&parts.headers) {
        let (progress, steps) = Progress::watched();
        progress.tell(Step::Queued(shared.queue.depth().0));
        (progress, Some(steps))
    } else {
        (Progress::default(), None)
    };
    let deadline = accepted + patience;
    let job = Job {
        request: ProveRequest { inputs, context },
        plan,
        claim,
        accepted,
        deadline,
        progress,
        reply,
        span: tracing::Span::current(),
        model: Arc::clone(&model),
    };
    let ticket = shared.queue.push(model.class, job).map_err(refusal)?;
    let waiting = Waiting {
        place: Place {
            ticket,
            shared: Arc::clone(shared),
        },
        answered,
        deadline,
        patience,
    };
    if let Some(steps) = steps {
        let id = parts.extensions.get::<RequestId>();
        return Ok(watch(waiting, steps, id.map_or("", |id| &id.0)));
    }
    let answer = waiting.outcome().await?;
    let timing = HeaderValue::from_str(&answer.timing)
        .map_err(|e| Problem::internal(format!("timings are no header: {e}")))?;
    Ok(([(SERVER_TIMING, timing)], json(answer.body)).into_response())
}

/// A request that is in the queue or being proven. Who drops it gives the place in the queue up.
struct Waiting {
    place: Place,
    answered: oneshot::Receiver<Result<Answer, Problem>>,
    deadline: Instant,
    patience: Duration,
}

/// Answers with events. The client may leave at any time: then nothing is waited for any more.
fn watch(waiting: Waiting, mut steps: mpsc::UnboundedReceiver<Step>, request_id: &str) -> Response {
    let (events, response) = progress::stream();
    let shared = Arc::clone(&waiting.place.shared);
    let request_id = request_id.to_owned();
    let watched = async move {
        let mut outcome = std::pin::pin!(waiting.outcome());
        let mut pulse = tokio::time::interval(PULSES);
        pulse.reset();
        // Whether an event could be sent is asked at the next round.
        let outcome = loop {
            tokio::select! {
                biased;
                () = events.closed() => return,
                Some(step) = steps.recv() => drop(events.send(step.event()).await),
                outcome = &mut outcome => break outcome,
                _ = pulse.tick() => drop(events.send(PULSE).await),
            }
        };
        let last = match outcome {
            Ok(answer) => {
                drop(events.send(event("timing", answer.timing.as_bytes())).await);
                event("answer", &answer.body)
            }
            Err(problem) => {
                shared.metrics.problem(problem.code());
                tracing::warn!(
                    problem.code = problem.code(),
                    problem.cause = problem.cause().unwrap_or_default(),
                    "ended a stream of events"
                );
                event("problem", &problem.to_bytes(&request_id))
            }
        };
        drop(events.send(last).await);
    };
    drop(tokio::spawn(watched.in_current_span()));
    response
}

/// An answer that was given before, as events.
fn replayed(body: &[u8]) -> Response {
    let (events, response) = progress::stream();
    // There is room for one.
    drop(events.try_send(event("answer", body)));
    response
}

fn json(body: Bytes) -> Response {
    ([(header::CONTENT_TYPE, "application/json")], body).into_response()
}

/// A place in the queue that is given up, and counted, when the client leaves.
struct Place {
    ticket: Ticket<Job>,
    shared: Arc<Shared>,
}

impl Place {
    /// Gives the place up; whether the job was still waiting.
    fn give_up(&self) -> bool {
        let waiting = self.ticket.withdraw();
        if waiting {
            self.shared.metrics.withdrawn();
        }
        waiting
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.give_up();
    }
}

impl Waiting {
    async fn outcome(self) -> Result<Answer, Problem> {
        let Self {
            place,
            answered,
            deadline,
            patience,
        } = self;
        let mut aborted = place.shared.aborted.subscribe();
        tokio::select! {
            biased;
            // Without an answer the job was dropped: by its deadline, or by the end of the service.
            answer = answered => match answer {
                Ok(answer) => answer,
                Err(_) if Instant::now() >= deadline => Err(too_late(patience, true)),
                Err(_) => Err(Problem::shutting_down()),
            },
            () = tokio::time::sleep_until(deadline.into()) => Err(too_late(patience, place.give_up())),
            _ = aborted.wait_for(|aborted| *aborted) => Err(Problem::shutting_down()),
        }
    }
}

fn too_late(patience: Duration, waiting: bool) -> Problem {
    let seconds = patience.as_secs_f64();
    let detail = if waiting {
        format!(
            "{seconds} s passed in the queue; no proof was begun; allow more with Request-Timeout"
        )
    } else {
        format!(
            "{seconds} s passed while proving; the proof goes on and its receipt is stored; ask again with the same Idempotency-Key to get it, or allow more with Request-Timeout"
        )
    };
    Problem::client("deadline-exceeded", detail)
}

fn refusal(refusal: Refusal) -> Problem {
    match refusal {
        Refusal::Closed => Problem::shutting_down(),
        Refusal::Full { retry_after } => {
            // Spread by a quarter, so that those who were refused together do not return together.
            let mut byte = [0_u8; 1];
            let spread = getrandom::fill(&mut byte).map_or(0, |()| u64::from(byte[0]));
            let seconds = retry_after + retry_after * spread / 1024;
            Problem::client(
                "queue-full",
                format!("as many requests wait as may; try again in {seconds} s"),
            )
            .retry_after(seconds)
        }
    }
}

//! Whether a provider's answer is proven, of this very request, and logged as demanded.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use proofmark_http::catalogue::Named as _;
use proofmark_http::problem::Problem;
use proofmark_log::LogError;
use proofmark_recipient::{
    Answer, Demands, Input, Kind, LogCopy, LogDemand, Refusal, Verified, bytes_to_hex, check_proof,
    verify,
};
use proofmark_tlog::TlogProof;
use proofmark_tlog::proof::MAX_PROOF_BYTES;
use proofmark_types::problem::lookup;
use proofmark_types::receipt::RecordValue;
use proofmark_types::{Context, IntTensor};
use serde_json::json;

use crate::history::Doubt;
use crate::models::{Model, Tensors};
use crate::provider::{Failed, Log, LogOf, Provider, Until};
use crate::receipts::Receipts;

/// Time between two questions for a cosigned proof.
const ASK_AGAIN: Duration = Duration::from_millis(250);
/// Code of a proof that too few of the pinned witnesses cosigned.
const WITNESSES_MISSING: &str = "tlog-witnesses-missing";

/// What providers are asked.
pub(crate) struct Question {
    pub(crate) model: Arc<Model>,
    inputs: Vec<Input>,
    context: Context,
    request_id: String,
    body: Vec<u8>,
}

/// An answer that was verified.
pub(crate) struct Proven {
    pub(crate) verified: Verified,
    /// The outputs, as the verified receipt has them or as they open its commitments.
    pub(crate) outputs: Tensors,
    /// The receipt, byte for byte.
    pub(crate) receipt: Vec<u8>,
    /// The proof that it is logged, where a log is pinned.
    pub(crate) tlog_proof: Option<String>,
    /// How long the provider took.
    pub(crate) provider_time: Duration,
    /// How long all checks took, the log's included.
    pub(crate) check_time: Duration,
}

impl Question {
    /// A question with the integers that are proven. A provider learns these and the context only.
    ///
    /// # Errors
    /// `internal` for tensors that are not the manifest's.
    pub(crate) fn new(
        model: Arc<Model>,
        tensors: &BTreeMap<String, IntTensor>,
        context: Context,
        request_id: String,
    ) -> Result<Self, Problem> {
        let mut inputs = Vec::new();
        for spec in &model.manifest().inputs {
            let tensor = tensors
                .get(&spec.name)
                .ok_or_else(|| Problem::internal("an input was not decoded"))?;
            let input = Input::of_integers(spec, tensor.data().to_vec())
                .map_err(|refusal| Problem::internal(refusal.code()))?;
            inputs.push(input);
        }
        let mut parameters = json!({
            "nonce": bytes_to_hex(&context.nonce),
            "receipt": "inline",
        });
        if !context.is_off_chain()
            && let Some(members) = parameters.as_object_mut()
        {
            let more = [
                ("chain_id", json!(bytes_to_hex(&context.chain_id))),
                ("consumer", json!(bytes_to_hex(&context.consumer))),
                ("requester", json!(bytes_to_hex(&context.requester))),
                ("deadline", json!(context.deadline)),
            ];
            members.extend(more.map(|(name, value)| (name.to_owned(), value)));
        }
        let wire: Vec<_> = inputs.iter().map(|input| &input.wire).collect();
        let body = json!({ "parameters": parameters, "inputs": wire });
        Ok(Self {
            body: body.to_string().into_bytes(),
            model,
            inputs,
            context,
            request_id,
        })
    }
}

impl Provider {
    /// Asks, verifies, and keeps the receipt.
    pub(crate) fn ask(
        &self,
        question: &Question,
        receipts: Option<&Receipts>,
        until: Until,
    ) -> Result<Proven, Failed> {
        let begun = Instant::now();
        let body = self.infer(
            &question.model.path(),
            &question.request_id,
            &question.body,
            question.model.answer_limit(),
            until,
        )?;
        let answered = Instant::now();
        let mut proven = self.judge(question, &body, until)?;
        proven.provider_time = answered.duration_since(begun);
        proven.check_time = answered.elapsed();
        if let Some(receipts) = receipts {
            let id = &proven.verified.verdict.receipt_id;
            receipts
                .keep(id, &proven.receipt, proven.tlog_proof.as_deref())
                .map_err(|error| Failed::Own(Problem::store(error.to_string())))?;
        }
        Ok(proven)
    }

    fn judge(&self, question: &Question, body: &[u8], until: Until) -> Result<Proven, Failed> {
        let model = &question.model;
        // The parser's words may repeat the provider's.
        let answer = Answer::parse(body).map_err(|_| lie("answer-malformed"))?;
        let receipt = answer.receipt();
        let openings = answer.openings(model.manifest(), &question.inputs);
        let copy = self.log.as_ref().and_then(|log| log.copy.as_ref());
        let demands = Demands {
            context: Some(question.context),
            // With the whole log the key may be one that rotations lead to from the pinned one.
            service_key: self.service_key.filter(|_| copy.is_none()),
            openings: openings.map_err(|refusal| failed(&refusal))?,
            ..Demands::default()
        };
        let mut verified =
            verify(model.package(), receipt, &demands).map_err(|refusal| failed(&refusal))?;
        verified.attestations = model.attestations().to_vec();
        let tlog_proof = match &self.log {
            None => None,
            Some(log) => {
                let given = answer.tlog_proof().map(str::to_owned);
                Some(self.check_logged(log, &mut verified, receipt, given, until)?)
            }
        };
        Ok(Proven {
            outputs: outputs(model, &verified)?,
            verified,
            receipt: receipt.to_vec(),
            tlog_proof,
            provider_time: Duration::ZERO,
            check_time: Duration::ZERO,
        })
    }

    /// Checks what is demanded of the log, and that the log goes on from what was seen of it. Gives
    /// the proof that was checked.
    fn check_logged(
        &self,
        log: &Log,
        verified: &mut Verified,
        receipt: &[u8],
        given: Option<String>,
        until: Until,
    ) -> Result<String, Failed> {
        let mut proof = given.ok_or_else(|| lie("log-evidence-missing"))?;
        if log.policy.quorum() > 0 {
            proof = self.cosigned(
                log,
                &verified.verdict.receipt_id.to_hex(),
                receipt,
                proof,
                until,
            )?;
        }
        let demand = LogDemand {
            policy: log.policy.clone(),
            proof: Some(proof.as_bytes()),
            copy: log.copy.as_ref().map(|tiles| LogCopy {
                tiles,
                may_be_older: true,
            }),
        };
        verified
            .check_log(receipt, &demand, self.service_key.as_ref())
            .map_err(|refusal| failed(&refusal))?;
        let head = TlogProof::parse(proof.as_bytes()).map_err(|error| failed(&error.into()))?;
        let tiles = LogOf {
            provider: self,
            until,
        };
        match log.history.admit(&head.checkpoint, &tiles) {
            Ok(()) => Ok(proof),
            Err(Doubt::Log(error)) => Err(of_log(error, until)),
            Err(Doubt::Disk(error)) => Err(Failed::Own(Problem::service(
                "store-unavailable",
                "the proxy cannot keep what it saw of the log, so nothing is served; try again later",
                error.to_string(),
            ))),
            Err(Doubt::Busy) => Err(Failed::Busy { retry_after: 1 }),
        }
    }

    /// A proof whose checkpoint enough witnesses cosigned. They do so after the answer, so the
    /// provider is asked until it has one.
    fn cosigned(
        &self,
        log: &Log,
        id: &str,
        receipt: &[u8],
        mut proof: String,
        until: Until,
    ) -> Result<String, Failed> {
        let path = format!("/v1/receipts/{id}/tlog-proof?head=cosigned");
        loop {
            match check_proof(&log.policy, proof.as_bytes(), receipt) {
                Ok(_) => return Ok(proof),
                Err(refusal) if refusal.code() == WITNESSES_MISSING => {}
                Err(refusal) => return Err(failed(&refusal)),
            }
            if until.left() <= ASK_AGAIN {
                return Err(if until.whole {
                    Failed::Outage {
                        code: WITNESSES_MISSING,
                        cause: "its witnesses did not cosign in the time that a provider has"
                            .to_owned(),
                    }
                } else {
                    Failed::Late
                });
            }
            thread::sleep(ASK_AGAIN);
            // Nothing is cosigned yet: 404.
            if let Some(bytes) = self.get(&path, MAX_PROOF_BYTES, until)? {
                proof = String::from_utf8(bytes).map_err(|_| lie("tlog-malformed"))?;
            }
        }
    }
}

/// The outputs that were verified: those of the receipt, and openings that its commitments hold.
fn outputs(model: &Model, verified: &Verified) -> Result<Tensors, Failed> {
    let lost = || Failed::Own(Problem::internal("a verified receipt lacks an output"));
    let verdict = &verified.verdict;
    let specs = model.manifest().outputs.iter();
    specs
        .map(|spec| {
            let mut records = verdict.receipt.outputs.iter();
            let record = records.find(|record| record.name == spec.name);
            let tensor = match &record.ok_or_else(lost)?.value {
                RecordValue::Public(tensor) => tensor,
                RecordValue::Hashed(_) | RecordValue::Private(_) => {
                    let mut openings = verified.openings.iter();
                    let opening = openings.find(|opening| {
                        opening.name == spec.name && verdict.opened.contains(&opening.name)
                    });
                    &opening.ok_or_else(lost)?.tensor
                }
            };
            Ok((spec.name.clone(), tensor.clone()))
        })
        .collect()
}

/// The cause is the code's title: a refusal's own words may repeat the provider's, and with them
/// what the client sent.
fn title(code: &str) -> String {
    lookup(code).map_or_else(String::new, |(_, title)| title.to_owned())
}

fn lie(code: &'static str) -> Failed {
    Failed::Lie {
        code,
        cause: title(code),
    }
}

fn failed(refusal: &Refusal) -> Failed {
    let code = refusal.code();
    match refusal.kind() {
        Kind::Environment => Failed::Outage {
            code,
            cause: title(code),
        },
        Kind::Rejected | Kind::Request => lie(code),
    }
}

/// A file of the log that did not come may come later; all else is the provider's doing.
fn of_log(error: LogError, until: Until) -> Failed {
    match failed(&error.into()) {
        Failed::Outage { .. } if until.left().is_zero() && !until.whole => Failed::Late,
        failed => failed,
    }
}

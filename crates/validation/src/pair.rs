//! One model loaded into ONNX Runtime and into the evaluator.

use proofmark_onnx::{Model, encode};
use proofmark_ops::{OpsError, Plan, Policy};
use proofmark_runtime::{IntSession, OptLevel, RuntimeError, SessionOptions};
use proofmark_tensor::IntTensor;

use crate::error::ValidationError;

/// Makes the evaluator of a model: [`proofmark_ops::plan`], but for tests that need a wrong one.
pub(crate) type Compile<'c> = &'c dyn Fn(&Model, &Policy) -> Result<Plan, OpsError>;

/// Everything public: the evaluator does not depend on who learns what.
pub(crate) fn public(model: &Model) -> Policy {
    Policy::public(model.graph.inputs.len(), model.graph.outputs.len())
}

/// A node that is validated.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Subject<'m> {
    pub(crate) node: &'m str,
    pub(crate) op_type: &'m str,
}

impl Subject<'_> {
    /// The whole model.
    pub(crate) const MODEL: Subject<'static> = Subject {
        node: "(model)",
        op_type: "",
    };

    pub(crate) fn refused(&self, source: OpsError) -> ValidationError {
        ValidationError::Probe {
            node: self.node.to_owned(),
            source,
        }
    }

    pub(crate) fn failed(&self, source: RuntimeError) -> ValidationError {
        ValidationError::Run {
            node: self.node.to_owned(),
            source,
        }
    }
}

/// Where two answers differ.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Difference {
    pub(crate) output: String,
    pub(crate) index: usize,
    pub(crate) runtime: i32,
    pub(crate) evaluator: i32,
}

impl Difference {
    pub(crate) fn error(self, subject: &Subject<'_>, input: String) -> ValidationError {
        ValidationError::Divergence {
            node: subject.node.to_owned(),
            op_type: subject.op_type.to_owned(),
            input,
            output: self.output,
            index: self.index,
            runtime: self.runtime,
            evaluator: self.evaluator,
        }
    }
}

/// What one run gave, or where it differs.
pub(crate) type Compared = Result<Vec<IntTensor>, Difference>;

/// Both implementations of one model.
pub(crate) struct Pair<'m> {
    pub(crate) subject: Subject<'m>,
    pub(crate) plan: Plan,
    session: IntSession,
}

impl<'m> Pair<'m> {
    /// Loads the model that the runtime is to run, beside its evaluator.
    pub(crate) fn new(
        subject: Subject<'m>,
        model: &[u8],
        plan: Plan,
    ) -> Result<Self, ValidationError> {
        let options = SessionOptions {
            opt: OptLevel::DisableAll,
            intra_threads: 1,
            max_parallel: 1,
        };
        let session =
            IntSession::load_with(model, &options).map_err(|error| subject.failed(error))?;
        Ok(Self {
            subject,
            plan,
            session,
        })
    }

    /// Loads a part of a model.
    pub(crate) fn part(
        subject: Subject<'m>,
        part: &Model,
        compile: Compile<'_>,
    ) -> Result<Self, ValidationError> {
        let plan = compile(part, &public(part)).map_err(|error| subject.refused(error))?;
        Self::new(subject, &encode(part), plan)
    }

    /// Runs both on inputs in graph order; the outputs in graph order when they are the same.
    pub(crate) fn run(&self, inputs: &[IntTensor]) -> Result<Compared, ValidationError> {
        let named = self.plan.inputs().iter().zip(inputs);
        let named = named
            .map(|(info, tensor)| (info.name.clone(), tensor.clone()))
            .collect();
        let mut runtime = self
            .session
            .run(&named)
            .map_err(|error| self.subject.failed(error))?;
        let evaluated = self
            .plan
            .evaluate(inputs)
            .map_err(|error| self.subject.refused(error))?;
        for (info, ours) in self.plan.outputs().iter().zip(&evaluated) {
            let theirs = runtime.remove(&info.name);
            let Some(theirs) =
                theirs.filter(|t| t.shape() == ours.shape() && t.elem() == ours.elem())
            else {
                return Err(self.subject.failed(RuntimeError::Output {
                    name: info.name.clone(),
                    reason: "it is not of the type and shape that the compiler expects".to_owned(),
                }));
            };
            let pairs = theirs.data().iter().zip(ours.data());
            if let Some((index, (&runtime, &evaluator))) =
                pairs.enumerate().find(|(_, (a, b))| a != b)
            {
                return Ok(Err(Difference {
                    output: info.name.clone(),
                    index,
                    runtime,
                    evaluator,
                }));
            }
        }
        Ok(Ok(evaluated))
    }
}

/// Elements of some tensors together.
pub(crate) fn elements(tensors: &[IntTensor]) -> u64 {
    tensors.iter().map(|tensor| tensor.len() as u64).sum()
}

//! The three-way check: ONNX Runtime, the integer evaluator and the circuit's witness, for the
//! circuits of both backends.

use std::collections::BTreeMap;
use std::fmt;

use ark_bn254::Fr;
use proofmark_gadgets::{Backend, Challenger, Circuit, LowerError};
use proofmark_onnx::{Limits, Model};
use proofmark_ops::{OpsError, Plan, Policy, Salts, plan};
use proofmark_runtime::{IntSession, OptLevel};
use proofmark_tensor::IntTensor;

/// A challenge that hits no table entry. That an honest witness satisfies every row does not rest
/// on who draws the challenge.
struct AnyChallenge;

impl Challenger for AnyChallenge {
    fn challenge(&mut self, _public: &[Fr], _committed: &[Fr]) -> Result<Fr, LowerError> {
        Ok(-Fr::from(0x9e37_79b9_7f4a_7c15_f39c_c060_5ced_c834_u128))
    }
}

/// How a model or an inference failed the check.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Failure {
    /// The compiler refuses the model: its stable code, and its words.
    Refused {
        /// Stable code.
        code: &'static str,
        /// The compiler's words.
        reason: String,
    },
    /// The runtime does not load a model, or does not run an inference, that the compiler takes.
    Runtime(String),
    /// Two of the three disagree, or a constraint is violated.
    Differ(String),
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Refused { code, reason } => write!(f, "refused ({code}): {reason}"),
            Self::Runtime(words) => write!(f, "runtime: {words}"),
            Self::Differ(what) => write!(f, "{what}"),
        }
    }
}

impl From<OpsError> for Failure {
    fn from(error: OpsError) -> Self {
        match error {
            OpsError::Divergence { .. } | OpsError::Internal { .. } => {
                Self::Differ(error.to_string())
            }
            _ => Self::Refused {
                code: error.code(),
                reason: error.to_string(),
            },
        }
    }
}

/// A model loaded into all three.
pub struct Checked {
    /// The compiler's plan.
    pub plan: Plan,
    /// The circuit of the plain backend.
    pub circuit: Circuit,
    /// The circuit of the committed backend.
    pub lookups: Circuit,
    session: IntSession,
}

impl Checked {
    /// Loads a model; everything public.
    ///
    /// # Panics
    /// When the model is outside the dialect.
    pub fn new(model: &Model) -> Self {
        Self::load(&proofmark_onnx::encode(model))
    }

    /// Loads the bytes of a model; everything public.
    ///
    /// # Panics
    /// When the model is outside the dialect.
    pub fn load(bytes: &[u8]) -> Self {
        Self::compile(bytes).unwrap_or_else(|failure| panic!("{failure}"))
    }

    /// Loads the bytes of a model, if compiler and runtime take it; everything public.
    ///
    /// # Errors
    /// [`Failure::Refused`] and [`Failure::Runtime`].
    pub fn compile(bytes: &[u8]) -> Result<Self, Failure> {
        let model =
            proofmark_onnx::parse(bytes, &Limits::default()).map_err(|error| Failure::Refused {
                code: error.code(),
                reason: error.to_string(),
            })?;
        let policy = Policy::public(model.graph.inputs.len(), model.graph.outputs.len());
        let plan = plan(&model, &policy)?;
        let circuit = plan.circuit()?;
        let lookups = plan.circuit_for(Backend::Committed)?;
        let session = IntSession::load(bytes, OptLevel::DisableAll)
            .map_err(|error| Failure::Runtime(words(&error)))?;
        Ok(Self {
            plan,
            circuit,
            lookups,
            session,
        })
    }

    /// Runs one inference through all three and compares every output; the witness of each backend
    /// must satisfy every constraint of its circuit. Returns the number of output elements compared.
    ///
    /// # Panics
    /// On any difference.
    pub fn check(&self, inputs: &[IntTensor]) -> usize {
        self.compare(inputs)
            .unwrap_or_else(|failure| panic!("{failure}"))
    }

    /// As [`check`](Self::check), for callers that want to know the difference.
    ///
    /// # Errors
    /// [`Failure`].
    pub fn compare(&self, inputs: &[IntTensor]) -> Result<usize, Failure> {
        let runtime = self.try_run(inputs)?;
        self.agree("evaluator", &self.plan.evaluate(inputs)?, &runtime)?;
        for circuit in [&self.circuit, &self.lookups] {
            let (context, salts) = (Fr::from(7_u64), Salts::default());
            let backend = circuit.backend;
            let witness =
                (self.plan).witness_for(backend, inputs, context, &salts, &mut AnyChallenge)?;
            self.agree(backend.name(), &witness.outputs, &runtime)?;
            let violated = circuit.r1cs.violated(&witness.assignment);
            if let Some(&first) = violated.first() {
                return Err(Failure::Differ(format!(
                    "{}: {} constraints violated, first {}",
                    backend.name(),
                    violated.len(),
                    circuit.labels.constraint(first)
                )));
            }
        }
        Ok(runtime.iter().map(IntTensor::len).sum())
    }

    fn agree(&self, who: &str, ours: &[IntTensor], runtime: &[IntTensor]) -> Result<(), Failure> {
        if ours.len() != runtime.len() {
            return Err(Failure::Differ(format!("{who}: {} outputs", ours.len())));
        }
        for ((info, ours), theirs) in self.plan.outputs().iter().zip(ours).zip(runtime) {
            if ours == theirs {
                continue;
            }
            let at = ours
                .data()
                .iter()
                .zip(theirs.data())
                .position(|(o, t)| o != t);
            return Err(Failure::Differ(format!(
                "{who} and runtime differ at {}{:?}, element {at:?}: {:?} and {:?} {:?}",
                info.name,
                ours.shape(),
                at.map(|i| ours.data()[i]),
                at.map(|i| theirs.data()[i]),
                theirs.shape(),
            )));
        }
        Ok(())
    }

    /// As [`check`](Self::check), without the witness.
    ///
    /// # Panics
    /// On any difference.
    pub fn check_evaluator(&self, inputs: &[IntTensor]) -> usize {
        let runtime = self.run(inputs);
        assert_eq!(self.plan.evaluate(inputs).expect("evaluates"), runtime);
        runtime.iter().map(IntTensor::len).sum()
    }

    /// ONNX Runtime's outputs in graph order.
    ///
    /// # Panics
    /// When the runtime does not run it.
    pub fn run(&self, inputs: &[IntTensor]) -> Vec<IntTensor> {
        self.try_run(inputs)
            .unwrap_or_else(|failure| panic!("{failure}"))
    }

    fn try_run(&self, inputs: &[IntTensor]) -> Result<Vec<IntTensor>, Failure> {
        let named: BTreeMap<String, IntTensor> = self
            .plan
            .inputs()
            .iter()
            .zip(inputs)
            .map(|(info, tensor)| (info.name.clone(), tensor.clone()))
            .collect();
        let mut outputs = self
            .session
            .run(&named)
            .map_err(|error| Failure::Runtime(words(&error)))?;
        self.plan
            .outputs()
            .iter()
            .map(|info| {
                outputs
                    .remove(&info.name)
                    .ok_or_else(|| Failure::Runtime(format!("no output {}", info.name)))
            })
            .collect()
    }
}

/// An error and its causes.
fn words(error: &dyn std::error::Error) -> String {
    let mut words = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        words.push_str(": ");
        words.push_str(&error.to_string());
        cause = error.source();
    }
    words
}

/// One model, some inferences.
///
/// # Panics
/// On any difference.
pub fn three_way(model: &Model, inputs: &[Vec<IntTensor>]) -> usize {
    let checked = Checked::new(model);
    inputs.iter().map(|input| checked.check(input)).sum()
}

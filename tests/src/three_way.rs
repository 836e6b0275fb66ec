//! The three-way check: ONNX Runtime, the integer evaluator and the circuit's witness.

use std::collections::BTreeMap;

use ark_bn254::Fr;
use proofmark_gadgets::Circuit;
use proofmark_onnx::{Limits, Model};
use proofmark_ops::{Plan, Policy, Salts, plan};
use proofmark_runtime::{IntSession, OptLevel};
use proofmark_tensor::IntTensor;

/// A model loaded into all three.
pub struct Checked {
    /// The compiler's plan.
    pub plan: Plan,
    /// The circuit.
    pub circuit: Circuit,
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
        let model = proofmark_onnx::parse(bytes, &Limits::default()).expect("the model parses");
        let policy = Policy::public(model.graph.inputs.len(), model.graph.outputs.len());
        let plan = plan(&model, &policy).expect("the model is in the dialect");
        let circuit = plan.circuit().expect("the circuit compiles");
        let session = IntSession::load(bytes, OptLevel::DisableAll).expect("the runtime loads it");
        Self {
            plan,
            circuit,
            session,
        }
    }

    /// Runs one inference through all three and compares every output; the witness must satisfy
    /// every constraint. Returns the number of output elements compared.
    ///
    /// # Panics
    /// On any difference.
    pub fn check(&self, inputs: &[IntTensor]) -> usize {
        let runtime = self.run(inputs);
        let evaluated = self.plan.evaluate(inputs).expect("evaluates");
        for ((info, ours), theirs) in self.plan.outputs().iter().zip(&evaluated).zip(&runtime) {
            assert_eq!(
                ours, theirs,
                "evaluator and runtime differ at {}",
                info.name
            );
        }
        let witness = self
            .plan
            .witness(inputs, Fr::from(7_u64), &Salts::default())
            .expect("has a witness");
        assert_eq!(witness.outputs, runtime);
        let violated = self.circuit.r1cs.violated(&witness.assignment);
        let first = violated.first().map(|&i| self.circuit.labels.constraint(i));
        assert!(
            violated.is_empty(),
            "{} constraints violated, first {first:?}",
            violated.len()
        );
        runtime.iter().map(IntTensor::len).sum()
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
    pub fn run(&self, inputs: &[IntTensor]) -> Vec<IntTensor> {
        let named: BTreeMap<String, IntTensor> = self
            .plan
            .inputs()
            .iter()
            .zip(inputs)
            .map(|(info, tensor)| (info.name.clone(), tensor.clone()))
            .collect();
        let mut outputs = self.session.run(&named).expect("the runtime runs it");
        self.plan
            .outputs()
            .iter()
            .map(|info| outputs.remove(&info.name).expect("an output"))
            .collect()
    }
}

/// One model, some inferences.
///
/// # Panics
/// On any difference.
pub fn three_way(model: &Model, inputs: &[Vec<IntTensor>]) -> usize {
    let checked = Checked::new(model);
    inputs.iter().map(|input| checked.check(input)).sum()
}

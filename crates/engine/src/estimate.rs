//! What proving a model takes, before any setup.

use proofmark_gadgets::{Backend, Circuit};
use proofmark_ops::{NodeCost, Plan};
use proofmark_prover::Prediction;
use serde_json::{Map, Value, json};

use crate::error::EngineError;
use crate::seal::predict;

/// Gas of verifying a plain proof on an EVM chain, without and for each public input (EIP-1108
/// prices), and what a commitment adds: a pairing more, a public input more, one hash.
const GAS_FIXED: u64 = 181_000;
const GAS_PER_INPUT: u64 = 6_200;
const GAS_COMMITMENT: u64 = 41_000;

/// A model's circuit for one backend, and what its proofs take.
pub struct Estimate {
    /// The circuit.
    pub circuit: Circuit,
    /// What each node of the graph costs.
    pub costs: Vec<NodeCost>,
    /// Time and memory of a proof, predicted.
    pub prediction: Prediction,
}

impl Estimate {
    /// Compiles a plan for the backend that it is sealed for, else for both; the one that `setup`
    /// would choose comes first.
    ///
    /// # Errors
    /// [`EngineError`] for a plan that does not compile.
    pub fn all(plan: &Plan, sealed: Option<Backend>) -> Result<Vec<Self>, EngineError> {
        let backends = match sealed {
            Some(backend) => vec![backend],
            None => vec![Backend::Plain, Backend::Committed],
        };
        let mut all = Vec::new();
        for backend in backends {
            let (circuit, costs) = plan.circuit_with_costs_for(backend)?;
            let prediction = predict(&circuit)?;
            all.push(Self {
                circuit,
                costs,
                prediction,
            });
        }
        all.sort_by_key(|estimate| estimate.prediction.time());
        Ok(all)
    }

    /// `setup`'s name for the backend.
    pub const fn backend(&self) -> &'static str {
        match self.circuit.backend {
            Backend::Plain => "plain",
            Backend::Committed => "lookup",
        }
    }

    /// Gas of verifying a proof on an EVM chain, without the transaction around it.
    pub fn gas(&self) -> u64 {
        let commitment = match self.circuit.backend {
            Backend::Plain => 0,
            Backend::Committed => GAS_COMMITMENT,
        };
        GAS_FIXED + GAS_PER_INPUT * self.circuit.r1cs.num_public as u64 + commitment
    }

    /// The figures as members of a JSON object.
    pub fn json(&self) -> Map<String, Value> {
        let r1cs = &self.circuit.r1cs;
        let members = [
            ("backend", json!(self.backend())),
            ("circuit_digest", json!(self.circuit.digest())),
            ("constraints", json!(r1cs.num_constraints())),
            ("wires", json!(r1cs.num_wires)),
            ("non_zero", json!(r1cs.non_zero())),
            ("public_inputs", json!(r1cs.num_public)),
            ("domain", json!(self.prediction.domain)),
            ("dense_scalars", json!(self.prediction.dense_scalars)),
            ("proving_key_bytes", json!(self.prediction.key_bytes)),
            (
                "estimated_proving_seconds_two_cores",
                json!(self.prediction.time().as_secs_f64()),
            ),
            ("estimated_evm_gas", json!(self.gas())),
        ];
        members
            .into_iter()
            .map(|(name, value)| (name.to_owned(), value))
            .collect()
    }

    /// What each node costs, as a JSON array.
    pub fn nodes_json(&self) -> Value {
        let costs = self.costs.iter().map(|cost| {
            json!({
                "node": cost.node,
                "op_type": cost.op_type,
                "elements": cost.elements,
                "constraints": cost.constraints,
            })
        });
        costs.collect()
    }
}

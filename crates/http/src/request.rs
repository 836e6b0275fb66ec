//! An inference request of the Open Inference Protocol.

use proofmark_types::Manifest;
use serde::Deserialize;
use utoipa::ToSchema;

use crate::parameters::RequestParameters;
use crate::problem::{Fault, Problem, echo};
use crate::tensors::{RequestInput, output_metadata};

/// An inference request of the Open Inference Protocol.
#[derive(Debug, Deserialize, ToSchema)]
pub struct InferRequest {
    /// An identifier of the client's own, given back in the answer.
    pub id: Option<String>,
    /// What the proof is bound to, and whether the answer carries the receipt.
    #[serde(default)]
    pub parameters: RequestParameters,
    /// One tensor for each input of the model.
    pub inputs: Vec<RequestInput>,
    /// The outputs and views wanted; all when absent or empty. The receipt is always whole.
    #[serde(default)]
    pub outputs: Vec<RequestedOutput>,
}

/// An output or view that is wanted.
#[derive(Debug, Deserialize, ToSchema)]
pub struct RequestedOutput {
    /// Its name, as in the model's metadata.
    #[schema(example = "logits:label")]
    pub name: String,
}

/// The names of the outputs and views that a request wants; none when it wants all.
///
/// # Errors
/// `output-unknown`.
pub fn wanted(manifest: &Manifest, outputs: Vec<RequestedOutput>) -> Result<Vec<String>, Problem> {
    let known = output_metadata(manifest);
    let faults: Vec<_> = outputs
        .iter()
        .enumerate()
        .filter(|(_, output)| known.iter().all(|k| k.name != output.name))
        .map(|(index, output)| Fault {
            code: "output-unknown",
            pointer: format!("/outputs/{index}/name"),
            detail: format!(
                "the model has no output {}; GET /v2/models/{} lists all of them",
                echo(&output.name),
                manifest.name
            ),
        })
        .collect();
    if faults.is_empty() {
        Ok(outputs.into_iter().map(|output| output.name).collect())
    } else {
        Err(Problem::faults(faults))
    }
}

//! What the fuzzers found, a file a finding: each was a difference between the compiler and ONNX
//! Runtime, or a model that one took and the other did not.

mod auto_pad_and_pads;
mod ceil_mode_into_the_padding;
mod lists_of_another_rank;
mod squeeze_without_axes;
mod yes_or_no_attributes;

use proofmark_onnx::Model;
use proofmark_ops::{Policy, plan};

/// The compiler's words about a model that it refuses.
///
/// # Panics
/// When it does not refuse it.
fn refusal(model: &Model) -> String {
    let policy = Policy::public(model.graph.inputs.len(), model.graph.outputs.len());
    let error = plan(model, &policy).expect_err("the model is refused");
    assert_eq!(error.code(), "unsupported-node");
    error.to_string()
}

//! Float ONNX models to integer ONNX models whose execution by ONNX Runtime is exactly
//! reproducible, with the input quantizers and output views that belong to them.
//!
//! [`quantize`] takes a float model and calibration samples. It reads the graph (refusing, all at
//! once, every node that it does not handle exactly), rewrites it to convolutions, matrix products
//! and max pools, observes it in ONNX Runtime, and writes uint8 layers whose requantize is a
//! shift. [`validate`] says what that cost in accuracy.
#![forbid(unsafe_code)]

mod emit;
mod error;
#[cfg(test)]
mod graphs;
mod import;
mod net;
mod num;
mod observe;
mod passes;
mod read;
mod samples;
mod scheme;
mod validate;
mod window;

use std::collections::BTreeMap;

use proofmark_onnx::Model;
use proofmark_types::manifest::{InexactRewrite, InputSpec, OutputSpec, ReferenceLevel};

pub use error::{QuantizeError, UnsupportedNode};
pub use import::{Drift, drift, import_quantized, is_quantized, measure_drift, with_int32_outputs};
pub use samples::Samples;
pub use validate::{Classes, Comparison, compare, validate};

/// Samples that the ranges of all tensors are taken from.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Calibration {
    /// For each float input of the model, one row-major vector a sample, in the input's static
    /// shape with batch 1. As many samples for each input; at least one, some hundred are good.
    pub inputs: BTreeMap<String, Vec<Vec<f32>>>,
}

/// What the user adds to the model.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Options {
    /// Class names for outputs whose last dimension is as long; empty for none.
    pub labels: Vec<String>,
    /// For a model that is quantized already: the optimisation level at which ONNX Runtime runs it
    /// as the reference.
    pub reference: ReferenceLevel,
}

/// An integer model and what its inputs and outputs mean.
#[derive(Debug, Clone, PartialEq)]
pub struct Quantized {
    /// The bytes of the integer ONNX model; the same model and samples give the same bytes.
    pub model: Vec<u8>,
    /// Inputs in graph order, public.
    pub inputs: Vec<InputSpec>,
    /// Outputs in graph order, public. Named after the tensor of the float model that they show.
    pub outputs: Vec<OutputSpec>,
    /// What a reader should know, a sentence each.
    pub notes: Vec<String>,
    /// The level that tables of a model quantized elsewhere were filled at; `None` for a float
    /// model.
    pub reference: Option<ReferenceLevel>,
    /// Rewrites that may change an integer of a model quantized elsewhere.
    pub inexact: Vec<InexactRewrite>,
}

/// Quantizes a float model.
///
/// # Errors
/// [`QuantizeError::Unsupported`] with all nodes that are not handled exactly;
/// [`QuantizeError::Calibration`] and [`QuantizeError::NotFinite`] for samples that do not fit;
/// [`QuantizeError::Accumulator`] when an int32 could overflow; [`QuantizeError::Labels`];
/// [`QuantizeError::Runtime`] when ONNX Runtime cannot run the float model.
pub fn quantize(
    float_model: &Model,
    calibration: &Calibration,
    options: &Options,
) -> Result<Quantized, QuantizeError> {
    let mut net = read::read(float_model)?;
    passes::normalise(&mut net)?;
    let stats = observe::observe(&net, calibration)?;
    emit::emit(&net, &stats, calibration, options)
}

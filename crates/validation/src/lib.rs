//! Translation validation: that ONNX Runtime computes what will be proven, checked for one model.
//!
//! The operators' semantics are held against ONNX Runtime by this project's own tests. Here it is
//! checked again for each model that is packaged, on the processor and with the library at hand,
//! by [`validate_translation`]:
//!
//! * every requantize at every threshold of its step function, − 1, ± 0 and + 1, and at the ends of
//!   its accumulator's proven interval. Both sides are monotone in the accumulator, so that agreement
//!   there is agreement everywhere between;
//! * every constant table at every entry that its inputs can reach;
//! * every node by itself, in its real shape, on extreme and random inputs;
//! * the whole model, on extreme and random inputs, a few of them through the circuit's witness.
//!
//! The evaluator that is checked is the one that serves ([`proofmark_ops::plan`]); a difference is
//! an error and no report is made. What was compared is the [`TranslationReport`], kept in the
//! package; [`recheck`] computes a short share of it again where the package is served.
#![forbid(unsafe_code)]

mod error;
mod inputs;
mod machine;
mod nodes;
mod pair;
mod part;
mod random;
mod report;
mod steps;
mod tables;
#[cfg(test)]
mod testing;
mod validate;

pub use error::ValidationError;
pub use machine::Machine;
pub use report::{
    MAX_REPORT_BYTES, ModelReport, NodeReport, TRANSLATION_FORMAT, Totals, TranslationReport,
};
pub use validate::{TranslationOptions, check_report, recheck, validate_translation};

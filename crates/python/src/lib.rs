//! `proofmark._core`: bytes and JSON in, JSON out, for the Python package in `clients/python`.
//!
//! Nothing is judged here. Verification is `proofmark-recipient`'s, making packages and proofs
//! `proofmark-engine`'s; the interpreter's lock is not held while they work. A refusal is an
//! exception with the JSON of a verdict, whose codes are those of every other face.
#![forbid(unsafe_code)]

mod making;
mod proving;
mod verifying;

use std::panic::{AssertUnwindSafe, catch_unwind};

use proofmark_recipient::{Kind, Verdict};
use pyo3::exceptions::PyException;
use pyo3::{PyErr, PyResult, Python, create_exception};
use serde_json::json;

create_exception!(
    proofmark._core,
    Refused,
    PyException,
    "A refusal: its only argument is the JSON of a verdict."
);

/// Asks without the interpreter's lock. A panic is a refusal: it ends the question, not the program.
fn asked<T: Send>(
    py: Python<'_>,
    question: impl FnOnce() -> Result<T, String> + Send,
) -> PyResult<T> {
    let answered = py.detach(|| catch_unwind(AssertUnwindSafe(question)));
    let answered = answered.unwrap_or_else(|_| {
        let detail = "this is a defect: please report it with what was printed before";
        Err(refused(Kind::Environment, "internal", detail))
    });
    answered.map_err(refusal)
}

/// The exception with the text of a verdict.
fn refusal(verdict: String) -> PyErr {
    Refused::new_err(verdict)
}

/// The JSON of an acceptance, or of a refusal.
fn settled(verdict: &Verdict) -> Result<String, String> {
    let text = verdict.json().to_string();
    if verdict.is_accepted() {
        Ok(text)
    } else {
        Err(text)
    }
}

/// A refusal without a hint, in the form of a verdict.
fn refused(kind: Kind, code: &str, detail: &str) -> String {
    json!({
        "verdict": "rejected",
        "kind": kind.name(),
        "code": code,
        "detail": detail,
        "hint": null,
    })
    .to_string()
}

#[pyo3::pymodule]
mod _core {
    #[pymodule_export]
    use crate::Refused;
    #[pymodule_export]
    use crate::making::{import_model, inspect, setup};
    #[pymodule_export]
    use crate::proving::Prover;
    #[pymodule_export]
    use crate::verifying::{
        Package, compare_checkpoints, compare_history, log_files, verify_log_proof,
        verify_openings, verify_proof,
    };
}

//! RFC 9457 problem details and the one list of error codes.
//!
//! A code is the same in HTTP answers, in the tool's `--json`, in metric labels and in the
//! documentation. It is never reused for another meaning.

use serde::{Deserialize, Serialize};

/// Base of every problem type.
pub const PROBLEM_BASE: &str = "https://proofmark.dev/problems/";
/// Media type of a problem.
pub const PROBLEM_MEDIA_TYPE: &str = "application/problem+json";

/// Every stable error code with the HTTP status it is answered with and its title, ordered by code.
///
/// Rejections of something that the caller sent are 422; a service that finds its *own* receipt or
/// package rejected answers 500 whatever stands here.
pub const ERROR_CODES: &[(&str, u16, &str)] = &[
    ("body-timeout", 408, "Request body did not arrive in time"),
    ("body-too-large", 413, "Request body is too large"),
    (
        "circuit-mismatch",
        422,
        "Receipt names another circuit than the package",
    ),
    (
        "context-mismatch",
        422,
        "Receipt is bound to another context",
    ),
    (
        "deadline-exceeded",
        504,
        "Deadline passed before the proof was done",
    ),
    (
        "idempotency-key-in-use",
        409,
        "A request with this idempotency key is being worked on",
    ),
    (
        "idempotency-key-invalid",
        400,
        "Idempotency key is malformed",
    ),
    (
        "idempotency-key-reused",
        422,
        "Idempotency key was used for another request",
    ),
    ("input-duplicate", 400, "An input is given twice"),
    ("input-missing", 400, "An input is missing"),
    ("input-not-finite", 400, "An input value is NaN or infinite"),
    (
        "input-overflow",
        400,
        "An input value overflows when it is quantized",
    ),
    (
        "input-shape",
        400,
        "An input has another shape than the model takes",
    ),
    (
        "input-type",
        400,
        "An input has another type than the model takes",
    ),
    ("input-unknown", 400, "The model has no such input"),
    ("internal", 500, "Internal error"),
    ("internal-panic", 500, "Internal error"),
    (
        "json-malformed",
        400,
        "Request body is not the expected JSON",
    ),
    (
        "key-degenerate",
        422,
        "Verifying key makes every statement provable",
    ),
    (
        "key-id-mismatch",
        422,
        "Key id does not match the signer's public key",
    ),
    ("key-malformed", 422, "Verifying key is malformed"),
    (
        "key-public-inputs-mismatch",
        422,
        "Verifying key is for another number of public inputs",
    ),
    (
        "manifest-invalid",
        422,
        "Package manifest contradicts itself",
    ),
    ("manifest-malformed", 422, "Package manifest is malformed"),
    (
        "manifest-not-canonical",
        422,
        "Package manifest is not in its canonical encoding",
    ),
    ("method-not-allowed", 405, "Method is not allowed here"),
    (
        "model-mismatch",
        422,
        "Receipt names another model than the package",
    ),
    ("model-unknown", 404, "No such model is served"),
    ("not-found", 404, "No such path"),
    (
        "opening-mismatch",
        422,
        "Opened values do not fit the commitment",
    ),
    ("output-unknown", 400, "The model has no such output"),
    ("package-not-pinned", 422, "Package is not the pinned one"),
    ("package-not-sealed", 422, "Package has no keys yet"),
    ("package-unknown", 404, "No such package is served"),
    ("parameter-invalid", 400, "A parameter is malformed"),
    (
        "poseidon-arity",
        500,
        "Poseidon was given a wrong number of inputs",
    ),
    ("proof-invalid", 422, "Proof does not verify"),
    ("proof-malformed", 422, "Proof is malformed"),
    ("proving-panicked", 500, "Proving failed"),
    (
        "proving-unavailable",
        503,
        "Proving engine cannot take the request now",
    ),
    (
        "public-input-not-canonical",
        422,
        "A public input is not below the field order",
    ),
    (
        "quantizer-invalid",
        500,
        "Input quantizer does not fit the input",
    ),
    ("queue-full", 429, "Too much proving work is waiting"),
    ("receipt-malformed", 422, "Receipt is malformed"),
    (
        "receipt-not-canonical",
        422,
        "Receipt is not in its canonical encoding",
    ),
    (
        "receipt-subject-mismatch",
        422,
        "Receipt subject is not the list of outputs",
    ),
    (
        "receipt-tensor-invalid",
        422,
        "Receipt contradicts itself about a tensor",
    ),
    ("receipt-unknown", 404, "No such receipt is stored"),
    (
        "receipt-unsupported",
        422,
        "Receipt is of an unknown type or version",
    ),
    (
        "request-invalid",
        400,
        "Several parts of the request are wrong",
    ),
    (
        "runtime-mismatch",
        422,
        "Receipt names another runtime than the package",
    ),
    (
        "setup-mismatch",
        422,
        "Receipt names another setup than the package",
    ),
    ("shutting-down", 503, "Service is shutting down"),
    ("signature-invalid", 422, "Signature is invalid"),
    (
        "signer-mismatch",
        422,
        "Signed by another key than expected",
    ),
    (
        "statement-mismatch",
        422,
        "Tensors are not those of the statement",
    ),
    ("store-unavailable", 503, "Receipt store does not answer"),
    (
        "tensor-length-mismatch",
        400,
        "Number of values does not fit the shape",
    ),
    (
        "tensor-mismatch",
        422,
        "Receipt names other tensors than the package",
    ),
    ("tensor-too-large", 400, "Tensor is too large"),
    (
        "tensor-value-out-of-range",
        400,
        "A value is outside the element type",
    ),
    (
        "unsupported-media-type",
        415,
        "Request body is of another media type than expected",
    ),
    (
        "verifying-key-mismatch",
        422,
        "Verifying key is not the one of the package",
    ),
    (
        "version-unknown",
        404,
        "No such version of the model is served",
    ),
    ("view-invalid", 500, "Output view does not fit the output"),
];

/// The HTTP status and title of a code; `None` for a code that is not in the list.
pub fn lookup(code: &str) -> Option<(u16, &'static str)> {
    ERROR_CODES
        .iter()
        .find(|(c, ..)| *c == code)
        .map(|&(_, status, title)| (status, title))
}

/// An RFC 9457 problem. `error` repeats the detail for Open Inference Protocol clients.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Problem {
    /// [`PROBLEM_BASE`] and the code.
    #[serde(rename = "type")]
    pub kind: String,
    /// The code's title.
    pub title: String,
    /// HTTP status.
    pub status: u16,
    /// What is wrong here, and what to do.
    pub detail: String,
    /// The request it is about.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub instance: Option<String>,
    /// The code alone.
    pub code: String,
    /// The detail once more, where the Open Inference Protocol wants it.
    pub error: String,
}

impl Problem {
    /// The problem of a code. A code that is not in the list becomes `internal`, status 500, so
    /// that a forgotten entry never turns into a success or leaks.
    pub fn new(code: &str, detail: impl Into<String>) -> Self {
        let detail = detail.into();
        let (code, (status, title)) = match lookup(code) {
            Some(entry) => (code, entry),
            None => ("internal", (500, "Internal error")),
        };
        Self {
            kind: format!("{PROBLEM_BASE}{code}"),
            title: title.to_owned(),
            status,
            error: detail.clone(),
            detail,
            instance: None,
            code: code.to_owned(),
        }
    }

    /// The same problem, about one request.
    #[must_use]
    pub fn at(mut self, instance: impl Into<String>) -> Self {
        self.instance = Some(instance.into());
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_are_ordered_unique_and_kebab() {
        for pair in ERROR_CODES.windows(2) {
            assert!(pair[0].0 < pair[1].0, "{} {}", pair[0].0, pair[1].0);
        }
        for (code, status, title) in ERROR_CODES {
            assert!(
                code.bytes()
                    .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-')
            );
            assert!((400..600).contains(status), "{code}");
            assert!(!title.is_empty() && !title.ends_with('.'));
        }
    }

    #[test]
    fn json_form() {
        let problem = Problem::new("input-not-finite", "value 3 is NaN").at("/v2/x");
        assert_eq!(
            serde_json::to_string(&problem).unwrap(),
            "{\"type\":\"https://proofmark.dev/problems/input-not-finite\",\
             \"title\":\"An input value is NaN or infinite\",\"status\":400,\
             \"detail\":\"value 3 is NaN\",\"instance\":\"/v2/x\",\
             \"code\":\"input-not-finite\",\"error\":\"value 3 is NaN\"}"
        );
        assert_eq!(Problem::new("no-such-code", "x").code, "internal");
    }
}

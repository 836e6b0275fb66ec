//! One answer, for whoever is no Rust: a verdict as JSON.

use proofmark_types::field::fr_to_hex;
use serde::{Serialize, Serializer};
use serde_json::{Value, json};

use crate::check::Check;
use crate::hex::bytes_to_hex;
use crate::refusal::Refusal;
use crate::verify::Verified;

/// What came of a verification. Its JSON is an object whose member `verdict` is `accepted` or
/// `rejected`; with the latter stand `code`, `kind` and `detail`, and nothing of the receipt.
#[derive(Debug, Clone, PartialEq)]
pub struct Verdict {
    accepted: bool,
    json: Value,
}

impl Verdict {
    /// A receipt that was accepted: the report with what was checked and what was not, and what a
    /// contract takes of it.
    pub fn accepted(verified: &Verified) -> Self {
        let names = |made: bool| -> Vec<&'static str> {
            let checks = Check::ALL.iter().copied();
            checks
                .filter(|check| verified.made(*check) == made)
                .map(Check::name)
                .collect()
        };
        let mut json = verified.report().json();
        let receipt = &verified.verdict.receipt;
        let inputs = verified.verdict.public_inputs.iter();
        let more = [
            ("checked", json!(names(true))),
            ("not_checked", json!(names(false))),
            ("verifying_key", json!(receipt.verifying_key)),
            ("proof", json!(bytes_to_hex(&receipt.proof))),
            (
                "public_inputs",
                json!(inputs.map(fr_to_hex).collect::<Vec<_>>()),
            ),
        ];
        if let Value::Object(members) = &mut json {
            members.extend(more.map(|(name, value)| (name.to_owned(), value)));
        }
        Self {
            accepted: true,
            json,
        }
    }

    /// With a further member.
    pub(crate) fn with(mut self, name: &str, value: Value) -> Self {
        if let Value::Object(members) = &mut self.json {
            members.insert(name.to_owned(), value);
        }
        self
    }

    /// Something else than a receipt that was accepted, in its own words.
    pub(crate) const fn of(json: Value) -> Self {
        Self {
            accepted: true,
            json,
        }
    }

    /// A refusal.
    pub fn refused(refusal: &Refusal) -> Self {
        Self {
            accepted: false,
            json: json!({
                "verdict": "rejected",
                "kind": refusal.kind().name(),
                "code": refusal.code(),
                "detail": refusal.to_string(),
                "hint": refusal.hint(),
            }),
        }
    }

    /// Whether everything that was asked for holds.
    pub const fn is_accepted(&self) -> bool {
        self.accepted
    }

    /// The code of a refusal; `None` for an acceptance.
    pub fn refused_for(&self) -> Option<&str> {
        self.json.get("code").and_then(Value::as_str)
    }

    /// The object.
    pub const fn json(&self) -> &Value {
        &self.json
    }
}

impl Serialize for Verdict {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.json.serialize(serializer)
    }
}

impl From<Result<Verified, Refusal>> for Verdict {
    fn from(result: Result<Verified, Refusal>) -> Self {
        match result {
            Ok(verified) => Self::accepted(&verified),
            Err(refusal) => Self::refused(&refusal),
        }
    }
}

//! The table's form.

use std::collections::BTreeMap;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// Bytes that stand in the table as base64.
pub(crate) fn bytes(text: &str) -> Vec<u8> {
    BASE64.decode(text).unwrap()
}

/// As [`bytes`] reads them.
pub(crate) fn base64(bytes: &[u8]) -> String {
    BASE64.encode(bytes)
}

#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Table {
    /// What recipients pin, by name.
    pub(crate) packages: BTreeMap<String, Held>,
    /// Copies of a log by name: base64 by path.
    pub(crate) logs: BTreeMap<String, BTreeMap<String, String>>,
    pub(crate) cases: Vec<Case>,
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Held {
    pub(crate) digest: String,
    pub(crate) manifest: String,
    /// Base64.
    pub(crate) verifying_key: String,
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Case {
    pub(crate) name: String,
    pub(crate) question: Question,
    /// The copy of a log that is at hand.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) copy: Option<String>,
    /// `accepted`, `opened`, `proven`, `logged`, `consistent`, `rejected`.
    pub(crate) verdict: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) code: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) kind: Option<String>,
    /// Parts of the verification that must have been made.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) checked: Vec<String>,
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(tag = "of", rename_all = "kebab-case", deny_unknown_fields)]
pub(crate) enum Question {
    /// Opening a package, with these parts in place of its own.
    Package {
        package: String,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        digest: Option<String>,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        manifest: Option<String>,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        verifying_key: Option<String>,
    },
    Receipt {
        package: String,
        receipt: String,
        demands: Value,
    },
    Inference {
        package: String,
        request: Value,
        answer: String,
        demands: Value,
    },
    Openings {
        receipt: String,
        openings: Value,
    },
    Proof {
        package: String,
        question: Value,
    },
    LogProof {
        receipt: String,
        question: Value,
    },
    Checkpoints {
        question: Value,
    },
    History {
        question: Value,
    },
}

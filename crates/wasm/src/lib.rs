//! The recipient's check for browsers and Node: bytes and JSON in, JSON out.
//!
//! Nothing is judged here. Each function hands its arguments to `proofmark-recipient` and gives the
//! text of the verdict, whose codes are those of every other face. The TypeScript package
//! (`clients/typescript`) is what people call; this is what it loads.
#![forbid(unsafe_code)]
#![deny(
    clippy::arithmetic_side_effects,
    clippy::as_conversions,
    clippy::indexing_slicing,
    clippy::string_slice,
    clippy::unreachable,
    clippy::panic_in_result_fn,
    clippy::disallowed_types
)]

use proofmark_recipient::{
    Verdict, answer, answer_checkpoints, answer_history, answer_inference, answer_log_proof,
    answer_opening, answer_proof, open_pinned,
};
use proofmark_tlog::tile::tiles_of;
use proofmark_tlog::{ReadError, Tiles};
use proofmark_verifier::TrustedPackage;
use serde_json::json;
use wasm_bindgen::JsValue;
use wasm_bindgen::prelude::wasm_bindgen;

/// Most paths of a log that are listed.
const MAX_PATHS: usize = 1 << 16;

#[wasm_bindgen]
extern "C" {
    /// A copy of a log: an object whose `read(path)` gives the bytes there, `undefined` where there
    /// is nothing, and throws when it cannot tell.
    pub type LogCopy;

    #[wasm_bindgen(method, catch)]
    fn read(this: &LogCopy, path: &str) -> Result<Option<Vec<u8>>, JsValue>;
}

/// A copy of a log that JavaScript holds.
struct Copy<'a>(&'a LogCopy);

impl Tiles for Copy<'_> {
    fn read(&self, path: &str, limit: usize) -> Result<Option<Vec<u8>>, ReadError> {
        match self.0.read(path) {
            Ok(Some(bytes)) if bytes.len() > limit => Err(ReadError {
                reason: format!("it is longer than {limit} bytes"),
            }),
            Ok(read) => Ok(read),
            Err(_) => Err(ReadError {
                reason: "the copy of the log cannot give it".to_owned(),
            }),
        }
    }
}

/// A package that its digest pins, checked once for any number of receipts.
#[wasm_bindgen]
#[derive(Debug)]
pub struct Package(TrustedPackage);

#[wasm_bindgen]
#[expect(
    clippy::needless_pass_by_value,
    reason = "what JavaScript hands over, or leaves out, is given as a value"
)]
impl Package {
    /// Checks that the manifest is the pinned one and the verifying key the manifest's.
    ///
    /// # Errors
    /// The text of the verdict.
    #[wasm_bindgen(constructor)]
    pub fn new(digest: &str, manifest: &[u8], verifying_key: &[u8]) -> Result<Self, String> {
        open_pinned(digest, manifest, verifying_key)
            .map(Self)
            .map_err(|refusal| text(&Verdict::refused(&refusal)))
    }

    /// Verifies a receipt; `demands` is the JSON object of `proofmark_recipient::answer`.
    pub fn verify(&self, receipt: &[u8], demands: &str, copy: Option<LogCopy>) -> String {
        with(copy.as_ref(), |copy| {
            answer(&self.0, receipt, demands, copy)
        })
    }

    /// Verifies a service's answer to the inference request with this body.
    #[wasm_bindgen(js_name = verifyInference)]
    pub fn verify_inference(
        &self,
        request: &str,
        body: &[u8],
        demands: &str,
        copy: Option<LogCopy>,
    ) -> String {
        with(copy.as_ref(), |copy| {
            answer_inference(&self.0, request, body, demands, copy)
        })
    }
}

/// Compares a file of openings with the commitments of a receipt.
#[wasm_bindgen(js_name = verifyOpenings)]
pub fn verify_openings(receipt: &[u8], openings: &[u8]) -> String {
    text(&answer_opening(receipt, openings))
}

/// Verifies a proof alone under a key that is pinned by its digest.
#[wasm_bindgen(js_name = verifyProof)]
pub fn verify_proof(verifying_key: &[u8], question: &str) -> String {
    text(&answer_proof(verifying_key, question))
}

/// Checks that a `.tlog-proof` shows a receipt in a log.
#[wasm_bindgen(js_name = verifyLogProof)]
pub fn verify_log_proof(receipt: &[u8], question: &str) -> String {
    text(&answer_log_proof(receipt, question))
}

/// Compares two checkpoints of a log by a consistency proof.
#[wasm_bindgen(js_name = compareCheckpoints)]
pub fn compare_checkpoints(question: &str) -> String {
    text(&answer_checkpoints(question))
}

/// Compares a checkpoint that was kept with a copy of the log as it is.
#[wasm_bindgen(js_name = compareHistory)]
#[expect(
    clippy::needless_pass_by_value,
    reason = "what JavaScript hands over is given as a value"
)]
pub fn compare_history(question: &str, copy: LogCopy) -> String {
    text(&answer_history(question, &Copy(&copy)))
}

/// The files, one a line, that a log of this many entries consists of beside its checkpoint; nothing
/// where they are more than can be read at once.
#[wasm_bindgen(js_name = logFiles)]
pub fn log_files(size: u64) -> String {
    let mut paths: Vec<String> = Vec::new();
    for path in tiles_of(size) {
        if paths.len() >= MAX_PATHS {
            return String::new();
        }
        paths.push(path.to_string());
    }
    paths.join("\n")
}

fn with(copy: Option<&LogCopy>, judge: impl FnOnce(Option<&dyn Tiles>) -> Verdict) -> String {
    match copy {
        Some(copy) => text(&judge(Some(&Copy(copy)))),
        None => text(&judge(None)),
    }
}

fn text(verdict: &Verdict) -> String {
    // A value of JSON is always writable; were it not, it would be no acceptance.
    serde_json::to_string(verdict)
        .unwrap_or_else(|_| json!({ "verdict": "rejected", "kind": "environment" }).to_string())
}

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
    ("accepted-drift-invalid", 400, "Accepted drift is no rate"),
    (
        "accumulator-overflow",
        422,
        "An accumulator of the model can exceed 32 bits",
    ),
    (
        "answer-malformed",
        422,
        "Service's answer is no proven inference",
    ),
    ("answer-unverified", 502, "No provider's answer verifies"),
    (
        "assignment-malformed",
        500,
        "Witness does not fit the circuit",
    ),
    (
        "attestation-audit-failed",
        422,
        "Audit found a failure, so it cannot be attested",
    ),
    (
        "attestation-auditor-mismatch",
        422,
        "Attestation is by another auditor",
    ),
    (
        "attestation-incomplete",
        422,
        "Attestation names what the audit has not seen",
    ),
    ("attestation-malformed", 422, "Attestation is malformed"),
    (
        "attestation-mismatch",
        422,
        "Attestation is of another package",
    ),
    (
        "attestation-missing",
        422,
        "Auditor has not attested the package",
    ),
    (
        "attestation-not-canonical",
        422,
        "Attestation is not in its canonical encoding",
    ),
    (
        "attestation-report-malformed",
        422,
        "Audit report cannot be attested by this software",
    ),
    (
        "attestation-report-mismatch",
        422,
        "Audit report is of another package",
    ),
    (
        "attestation-signature-invalid",
        422,
        "Attestation's signature is invalid",
    ),
    (
        "attestation-too-many",
        422,
        "Package has too many attestations",
    ),
    ("attestation-unknown", 404, "No such attestation is served"),
    (
        "attestation-unsupported",
        422,
        "Attestation is of an unknown type or version",
    ),
    ("audit-failed", 422, "Audit found what does not hold"),
    ("audit-incomplete", 422, "Audit could not check everything"),
    ("auditor-key", 500, "Auditor's key is not usable"),
    (
        "backend-unsupported",
        422,
        "Proof system is not supported here",
    ),
    ("bad-table", 500, "Lookup table is malformed"),
    ("beacon-unusable", 400, "Beacon of a ceremony is not usable"),
    ("body-timeout", 408, "Request body did not arrive in time"),
    ("body-too-large", 413, "Request body is too large"),
    (
        "calibration-invalid",
        422,
        "Calibration data do not fit the model",
    ),
    (
        "calibration-missing",
        400,
        "Float model comes without calibration data",
    ),
    (
        "calibration-not-finite",
        422,
        "Calibration data hold NaN or an infinity",
    ),
    ("card-malformed", 422, "Card does not fit the model"),
    (
        "ceremony-io",
        500,
        "Ceremony's file cannot be read or written",
    ),
    (
        "ceremony-key-mismatch",
        422,
        "Key is not what circuit and phase 1 give",
    ),
    (
        "ceremony-mismatch",
        422,
        "Files of a ceremony do not belong together",
    ),
    (
        "ceremony-name-invalid",
        400,
        "Contributor's name cannot stand in a file",
    ),
    (
        "ceremony-no-contribution",
        422,
        "Key has no contribution of phase 2",
    ),
    (
        "ceremony-query-mismatch",
        422,
        "Points of the key were replaced",
    ),
    (
        "challenge-pole",
        500,
        "Challenge is an entry of a lookup table",
    ),
    (
        "circuit-closed",
        500,
        "Circuit takes no more wires after its commitment",
    ),
    (
        "circuit-digest-mismatch",
        500,
        "Compiled circuit is not the package's",
    ),
    ("circuit-malformed", 422, "Circuit file is malformed"),
    (
        "circuit-mismatch",
        422,
        "Receipt names another circuit than the package",
    ),
    ("circuit-too-large", 422, "Circuit is too large for the key"),
    ("clock-wrong", 500, "Machine's clock is wrong"),
    ("commitment-failed", 500, "Commitment cannot be made"),
    (
        "commitment-mismatch",
        500,
        "Witness is not the one committed to",
    ),
    ("compiler-internal", 500, "Internal error of the compiler"),
    ("context-expired", 422, "Context's deadline has passed"),
    (
        "context-mismatch",
        422,
        "Receipt is bound to another context",
    ),
    ("contract-artifact", 500, "Compiled contract is damaged"),
    ("contract-name-invalid", 400, "Name is no contract name"),
    (
        "contract-too-large",
        422,
        "Statement has too many public inputs for a contract",
    ),
    (
        "contribution-invalid",
        422,
        "Contribution to a key is invalid",
    ),
    (
        "contribution-malformed",
        422,
        "Contribution's file is malformed",
    ),
    (
        "contribution-missing",
        422,
        "Contribution is not part of the key",
    ),
    (
        "contribution-place",
        400,
        "No place given for a contribution",
    ),
    (
        "deadline-exceeded",
        504,
        "Deadline passed before the proof was done",
    ),
    ("disk-short", 500, "Disk space is short"),
    ("downloads-busy", 503, "Too many downloads at once"),
    ("duplicate-model", 500, "Two packages have one name"),
    (
        "engine-divergence",
        500,
        "Runtime, evaluator and witness disagree",
    ),
    ("file-too-large", 400, "File is too large"),
    ("file-unreadable", 500, "File cannot be read"),
    ("file-unwritable", 500, "File cannot be written"),
    (
        "folder-open-to-others",
        500,
        "Others can write a folder of the service",
    ),
    (
        "idempotency-key-conflict",
        409,
        "Idempotency key was used for another request",
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
    ("input-file-malformed", 400, "Input file is malformed"),
    ("input-file-type", 400, "Input file is of an unknown type"),
    (
        "input-length",
        400,
        "Number of values does not fit the shape",
    ),
    ("input-mismatch", 400, "Inputs are not those of the model"),
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
        "interval-too-wide",
        422,
        "An intermediate value can exceed what the circuit holds",
    ),
    (
        "json-malformed",
        400,
        "Request body is not the expected JSON",
    ),
    (
        "key-circuit-mismatch",
        422,
        "Proving key is for another circuit",
    ),
    (
        "key-degenerate",
        422,
        "Verifying key makes every statement provable",
    ),
    (
        "key-digest-mismatch",
        422,
        "Key file is not the one that was recorded",
    ),
    (
        "key-id-mismatch",
        422,
        "Key id does not match the signer's public key",
    ),
    ("key-io", 500, "Key file cannot be read or written"),
    ("key-malformed", 422, "Verifying key is malformed"),
    (
        "key-public-inputs-mismatch",
        422,
        "Verifying key is for another number of public inputs",
    ),
    ("labels-mismatch", 422, "Labels do not fit the outputs"),
    ("listen-failed", 500, "Address cannot be listened on"),
    ("listener-failed", 500, "Connections cannot be accepted"),
    ("log-advised", 422, "An advisory concerns the receipt"),
    (
        "log-behind-store",
        500,
        "Transparency log lacks a receipt that was handed out",
    ),
    ("log-damaged", 500, "Log is damaged"),
    ("log-entry-malformed", 422, "Log entry is malformed"),
    (
        "log-entry-not-canonical",
        422,
        "Log entry is not in its canonical encoding",
    ),
    (
        "log-evidence-missing",
        400,
        "Log's key is given without anything to check",
    ),
    ("log-io", 500, "Log's files cannot be read or written"),
    ("log-key", 500, "Log's key is not usable"),
    (
        "log-key-changed",
        422,
        "Service shows a log with another key than before",
    ),
    (
        "log-key-invalid",
        400,
        "Key of a log or witness does not fit",
    ),
    ("log-key-missing", 400, "Log's key is not given"),
    ("log-locked", 500, "Log is in use by another process"),
    ("log-missing", 400, "Folder holds no log of a service"),
    (
        "log-not-cosigned",
        404,
        "No witness has cosigned the log that far",
    ),
    (
        "log-notice-invalid",
        422,
        "Advisory, revocation or rotation is not valid",
    ),
    (
        "log-notice-signature",
        422,
        "Advisory, revocation or rotation is not signed by the service key in force",
    ),
    (
        "log-origin-mismatch",
        500,
        "Folder holds another log than configured",
    ),
    ("log-revoked", 422, "What the receipt rests on was revoked"),
    ("log-shrank", 500, "Log has lost entries"),
    (
        "log-signer-retired",
        422,
        "Receipt was logged when its signer's key was not in force",
    ),
    (
        "log-signer-unknown",
        422,
        "Receipt's signer is no key of the service",
    ),
    ("log-unavailable", 503, "Transparency log cannot be written"),
    ("machine-not-ready", 500, "Machine cannot do the work yet"),
    (
        "manifest-invalid",
        422,
        "Package manifest contradicts itself",
    ),
    ("manifest-malformed", 422, "Package manifest is malformed"),
    (
        "manifest-mismatch",
        422,
        "Manifest does not describe the model",
    ),
    (
        "manifest-not-canonical",
        422,
        "Package manifest is not in its canonical encoding",
    ),
    ("memory-short", 500, "Memory is short for a package"),
    ("method-not-allowed", 405, "Method is not allowed here"),
    (
        "model-boundary",
        422,
        "Inputs or outputs of the model cannot be proven",
    ),
    (
        "model-drift",
        422,
        "Original computes other integers on this machine",
    ),
    ("model-folder-missing", 400, "Folder has no such model"),
    (
        "model-inexact",
        422,
        "Original computes in floats what the integer model does in integers",
    ),
    (
        "model-mismatch",
        422,
        "Receipt names another model than the package",
    ),
    (
        "model-not-pinned",
        400,
        "Model asked for is not that of the pinned package",
    ),
    ("model-refused", 422, "Runtime refuses the model"),
    (
        "model-revoked",
        410,
        "What the model's answers rest on was revoked",
    ),
    (
        "model-type",
        422,
        "Model has a tensor type that is not supported",
    ),
    ("model-unknown", 404, "No such model is served"),
    (
        "model-unsupported",
        422,
        "Model has nodes that are not supported",
    ),
    (
        "msm-tables-mismatch",
        500,
        "Prover's tables are not those of the key",
    ),
    (
        "msm-tables-unsupported",
        500,
        "Prover's tables would have an unsupported shape",
    ),
    (
        "no-challenge",
        500,
        "Circuit asks for a challenge its proof system has not",
    ),
    ("no-randomness", 500, "Operating system gives no randomness"),
    ("node-refused", 502, "Node of the chain refuses"),
    ("node-unreachable", 502, "Node of the chain does not answer"),
    ("not-found", 404, "No such path"),
    (
        "onnx-attribute-type",
        422,
        "ONNX attribute has an unexpected type",
    ),
    ("onnx-cycle", 422, "ONNX graph has a cycle"),
    ("onnx-duplicate", 422, "ONNX graph names something twice"),
    (
        "onnx-external-data",
        422,
        "ONNX external data are malformed",
    ),
    (
        "onnx-external-data-path",
        422,
        "ONNX external data lie outside the model's folder",
    ),
    (
        "onnx-external-data-range",
        422,
        "ONNX external data end before they should",
    ),
    ("onnx-invalid-attribute", 422, "ONNX attribute is invalid"),
    ("onnx-invalid-node", 422, "ONNX node is invalid"),
    ("onnx-invalid-tensor", 422, "ONNX tensor is invalid"),
    ("onnx-invalid-value", 422, "ONNX graph value is invalid"),
    ("onnx-io", 500, "ONNX file cannot be read or written"),
    ("onnx-limit-exceeded", 422, "ONNX model exceeds a limit"),
    ("onnx-malformed", 422, "ONNX file is malformed"),
    ("onnx-missing-field", 422, "ONNX model lacks a field"),
    (
        "onnx-missing-opset",
        422,
        "ONNX model names no operator set",
    ),
    ("onnx-not-a-file", 422, "ONNX path is not a file"),
    (
        "onnx-undefined-input",
        422,
        "ONNX node reads something undefined",
    ),
    (
        "onnx-undefined-output",
        422,
        "ONNX graph output is undefined",
    ),
    (
        "onnx-unsupported-feature",
        422,
        "ONNX feature is not supported",
    ),
    ("open-files-short", 500, "Too few files may be open"),
    (
        "opening-mismatch",
        422,
        "Opened values do not fit the commitment",
    ),
    ("openings-malformed", 400, "File of openings is malformed"),
    ("output-closed", 500, "Output cannot be written"),
    ("output-unknown", 400, "The model has no such output"),
    ("overloaded", 503, "Too many request bodies at once"),
    (
        "own-receipt-rejected",
        500,
        "Receipt just made does not verify",
    ),
    ("package-draft", 422, "Package has no keys yet"),
    (
        "package-file-digest",
        422,
        "Package file is not the one in the manifest",
    ),
    ("package-file-missing", 422, "Package file is missing"),
    ("package-file-too-large", 422, "Package file is too large"),
    (
        "package-folder-not-empty",
        422,
        "Package folder is not empty",
    ),
    ("package-io", 500, "Package cannot be read or written"),
    ("package-missing", 400, "No package is given"),
    ("package-not-pinned", 422, "Package is not the pinned one"),
    ("package-not-sealed", 422, "Package has no keys yet"),
    ("package-not-shared", 403, "Package is not handed out"),
    ("package-partial-unusable", 500, "Download cannot go on"),
    (
        "package-sealed",
        422,
        "Package is sealed and cannot be changed",
    ),
    ("package-unknown", 404, "No such package is served"),
    ("parameter-invalid", 400, "A parameter is malformed"),
    (
        "policy-mismatch",
        422,
        "Visibility policy does not fit the model",
    ),
    (
        "poseidon-arity",
        500,
        "Poseidon was given a wrong number of inputs",
    ),
    ("proof-invalid", 422, "Proof does not verify"),
    ("proof-malformed", 422, "Proof is malformed"),
    (
        "proof-self-verification",
        500,
        "Proof just made does not verify",
    ),
    (
        "proof-system-mismatch",
        422,
        "Proof, key and package are not of one proof system",
    ),
    ("proving-panicked", 500, "Proving failed"),
    (
        "proving-unavailable",
        503,
        "Proving engine cannot take the request now",
    ),
    ("proxy-config", 400, "Proxy's settings do not make sense"),
    (
        "proxy-state",
        500,
        "What the proxy saw of a log cannot be used",
    ),
    (
        "ptau-contribution-invalid",
        422,
        "Contribution to the powers of tau is invalid",
    ),
    (
        "ptau-inconsistent",
        422,
        "Powers of tau contradict each other",
    ),
    ("ptau-malformed", 422, "Powers-of-tau file is malformed"),
    ("ptau-unsuitable", 422, "Powers-of-tau file does not serve"),
    (
        "public-input-count",
        500,
        "Circuit has another number of public inputs",
    ),
    (
        "public-input-not-canonical",
        422,
        "A public input is not below the field order",
    ),
    ("quantizer-internal", 500, "Internal error of the quantizer"),
    (
        "quantizer-invalid",
        500,
        "Input quantizer does not fit the input",
    ),
    ("queue-full", 429, "Too much proving work is waiting"),
    ("r1cs-malformed", 422, ".r1cs file is malformed"),
    (
        "randomness-unavailable",
        500,
        "Operating system gives no randomness",
    ),
    ("range-not-satisfiable", 416, "Range is outside of the file"),
    (
        "range-unproven",
        500,
        "Range of an integer would not be proven",
    ),
    ("receipt-malformed", 422, "Receipt is malformed"),
    (
        "receipt-missing",
        400,
        "There is no receipt among what was given",
    ),
    (
        "receipt-not-canonical",
        422,
        "Receipt is not in its canonical encoding",
    ),
    (
        "receipt-not-logged",
        422,
        "Receipt is not in the transparency log",
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
        "relay-key",
        500,
        "Key of the relay's account cannot be used",
    ),
    ("relay-state", 500, "State of the relay does not serve"),
    (
        "report-folder-not-empty",
        400,
        "Folder for the report is not empty",
    ),
    (
        "requantize-encoding",
        422,
        "A requantization cannot be encoded",
    ),
    (
        "request-invalid",
        400,
        "Several parts of the request are wrong",
    ),
    ("request-unanswerable", 422, "Request cannot be answered"),
    (
        "requests-contract",
        422,
        "Address is no contract of requests",
    ),
    (
        "runtime-cache-unknown",
        500,
        "Folder for the runtime library is unknown",
    ),
    (
        "runtime-configuration",
        500,
        "Runtime refuses its configuration",
    ),
    (
        "runtime-divergence",
        500,
        "Runtime computes other integers here than where the package was validated",
    ),
    (
        "runtime-library-digest",
        500,
        "Runtime library is not the pinned one",
    ),
    (
        "runtime-library-load",
        500,
        "Runtime library cannot be loaded",
    ),
    ("runtime-library-missing", 500, "Runtime library is missing"),
    (
        "runtime-library-unreadable",
        500,
        "Runtime library cannot be read",
    ),
    (
        "runtime-mismatch",
        422,
        "Receipt names another runtime than the package",
    ),
    (
        "runtime-output",
        500,
        "Runtime gave another output than the model declares",
    ),
    (
        "runtime-platform-unsupported",
        500,
        "Platform has no pinned runtime library",
    ),
    ("runtime-run", 500, "Runtime failed"),
    (
        "runtime-version",
        500,
        "Runtime is of another version than the pinned one",
    ),
    ("salt-mismatch", 400, "Salts do not fit the private tensors"),
    (
        "sample-missing",
        400,
        "File has no such sample, or none was chosen",
    ),
    (
        "samples-mismatch",
        400,
        "Samples do not fit the model's inputs",
    ),
    ("second-commitment", 500, "Circuit commits twice"),
    (
        "server-config",
        500,
        "Configuration of the service is invalid",
    ),
    ("service-key", 500, "Key of the service cannot be used"),
    (
        "service-key-missing",
        400,
        "Data folder holds no service key",
    ),
    (
        "service-key-retired",
        500,
        "Transparency log retired the service key",
    ),
    (
        "service-refused",
        502,
        "Service refused without giving a code",
    ),
    ("service-unreachable", 503, "Service does not answer"),
    (
        "setup-mismatch",
        422,
        "Receipt names another setup than the package",
    ),
    ("shutting-down", 503, "Service is shutting down"),
    (
        "signals-failed",
        500,
        "Signals of the system cannot be waited for",
    ),
    ("signature-invalid", 422, "Signature is invalid"),
    (
        "signer-mismatch",
        422,
        "Signed by another key than expected",
    ),
    ("statement-malformed", 500, "Statement is malformed"),
    (
        "statement-mismatch",
        422,
        "Tensors are not those of the statement",
    ),
    ("store-create", 500, "Store cannot be created"),
    ("store-damaged", 500, "Store is damaged"),
    ("store-open", 500, "Store cannot be opened"),
    (
        "store-receipt-conflict",
        500,
        "Store holds another receipt under this id",
    ),
    ("store-receipt-missing", 500, "Store has no such receipt"),
    (
        "store-schema-unknown",
        500,
        "Store is of an unknown version",
    ),
    ("store-unavailable", 503, "Receipt store does not answer"),
    (
        "tensor-length-mismatch",
        400,
        "Number of values does not fit the shape",
    ),
    ("tensor-malformed", 400, "Tensor is malformed"),
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
    ("thread-failed", 500, "Thread cannot be started"),
    (
        "tlog-entry-too-long",
        422,
        "Entry is longer than a log can hold",
    ),
    ("tlog-inclusion-invalid", 422, "Entry is not in the log"),
    ("tlog-inconsistent", 422, "Log's history was changed"),
    (
        "tlog-malformed",
        422,
        "Note, checkpoint, proof or tile of a log is malformed",
    ),
    ("tlog-origin-mismatch", 422, "Checkpoint is of another log"),
    ("tlog-out-of-range", 422, "Index is outside the log"),
    (
        "tlog-signature-invalid",
        422,
        "Checkpoint carries a wrong signature",
    ),
    (
        "tlog-tile-mismatch",
        422,
        "Tile is not what the checkpoint covers",
    ),
    (
        "tlog-tile-missing",
        422,
        "Tile that the checkpoint covers is missing",
    ),
    ("tlog-unreadable", 500, "Tile cannot be read"),
    (
        "tlog-unsigned",
        422,
        "Checkpoint is not signed by the pinned key",
    ),
    (
        "tlog-witnesses-missing",
        422,
        "Too few pinned witnesses cosigned the checkpoint",
    ),
    ("transcript-malformed", 422, "Setup transcript is malformed"),
    (
        "transcript-mismatch",
        422,
        "Setup transcript does not fit the keys",
    ),
    (
        "translation-divergence",
        422,
        "Runtime and evaluator compute different integers for a node of the model",
    ),
    (
        "translation-malformed",
        422,
        "Translation report is malformed",
    ),
    (
        "translation-mismatch",
        422,
        "Translation report is of another model or circuit",
    ),
    (
        "translation-missing",
        422,
        "Package has no translation report",
    ),
    (
        "translation-unchecked",
        422,
        "A node of the model cannot be validated",
    ),
    ("trapdoor-degenerate", 500, "Trapdoor is degenerate"),
    (
        "unsupported-media-type",
        415,
        "Request body is of another media type than expected",
    ),
    (
        "unsupported-node",
        422,
        "Model has nodes that cannot be proven",
    ),
    (
        "validation-samples-invalid",
        422,
        "Validation samples do not fit the model",
    ),
    ("verifier-unavailable", 503, "Verifier does not run here"),
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
    (
        "visibility-duplicate",
        400,
        "Visibility of a tensor is given twice",
    ),
    (
        "witness-conflict",
        409,
        "Witness cosigned the log at another size",
    ),
    (
        "witness-inconsistent",
        422,
        "Tree does not contain the one cosigned before",
    ),
    (
        "witness-log-unknown",
        404,
        "Witness does not follow this log",
    ),
    ("witness-missing", 400, "No witness is given"),
    (
        "witness-outside-interval",
        500,
        "An intermediate value left its interval",
    ),
    (
        "witness-outside-table",
        500,
        "Witness looks up a value outside the table",
    ),
    (
        "witness-quorum-invalid",
        400,
        "Quorum of witnesses cannot be met",
    ),
    ("witness-refused", 500, "Witness does not cosign"),
    (
        "witness-request-malformed",
        400,
        "Request to the witness is malformed",
    ),
    (
        "witness-signature-invalid",
        403,
        "Checkpoint is not signed by the log's key",
    ),
    (
        "witness-unsatisfied",
        500,
        "Witness does not satisfy the circuit",
    ),
    ("zkey-malformed", 422, ".zkey file is malformed"),
    ("zkey-unsupported", 422, "Key cannot be written as .zkey"),
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

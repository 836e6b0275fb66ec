//! The tamper manifest: for every leaf of a receipt's statement what else could stand there, and
//! which code catches it. `docs/reference/receipt.md` shows this table.
//!
//! An attacker has three ways to pass on a changed statement: under the service's old signature;
//! signed again with a key of their own; or changed consistently, with everything that depends on
//! the leaf, and signed again. A leaf without a row, and a row without a leaf, fail a test.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use proofmark_types::manifest::SetupKind;
use proofmark_types::receipt::TensorRecord;
use proofmark_types::{Digest, Receipt};

use crate::tamper::cases::Case;
use crate::tamper::changes::{
    edit, hide, longer, nothing, other_digest, other_elem, other_hidden, other_proof_system,
    other_word, quoted, recommit, rehide, rename, reshape, retype,
};

/// Which tensors a row is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Of {
    /// The leaf is in no tensor record.
    Any,
    /// Public inputs and outputs.
    Public,
    /// Hashed and private inputs.
    HiddenInput,
    /// Hashed and private outputs.
    HiddenOutput,
}

impl Of {
    pub(crate) const fn words(self) -> &'static str {
        match self {
            Self::Any => "",
            Self::Public => "public",
            Self::HiddenInput => "hidden input",
            Self::HiddenOutput => "hidden output",
        }
    }
}

/// What becomes of a receipt that someone changed and signed with a key of their own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fate {
    /// Rejected with this code, whoever signs.
    Rejected(&'static str),
    /// A claim of the signer and of nobody else: accepted as one by an unknown signer, rejected
    /// with `signer-mismatch` by whoever expects the service.
    Claim,
    /// There is no such change: the leaf is a constant, or follows from others.
    None,
}
use Fate::{Claim, Rejected};

/// Another value for a leaf, given its JSON text.
type Other = fn(&Case, &str) -> String;
/// The same change in the receipt's content, so that everything that depends on it follows. The
/// indices stand in the leaf's pointer.
type Change = fn(&Case, &mut Receipt, Place);

/// Where a leaf stands: which tensor, which dimension.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Place {
    pub(crate) output: bool,
    pub(crate) tensor: usize,
    pub(crate) dimension: usize,
}

impl Place {
    pub(crate) fn record(self, receipt: &mut Receipt) -> &mut TensorRecord {
        let list = if self.output {
            &mut receipt.outputs
        } else {
            &mut receipt.inputs
        };
        &mut list[self.tensor]
    }
}

pub(crate) struct Row {
    /// JSON pointer; `*` stands for an index.
    pub(crate) leaf: &'static str,
    pub(crate) of: Of,
    /// What is done to it.
    pub(crate) tampering: &'static str,
    pub(crate) other: Other,
    /// The code under the service's signature.
    pub(crate) kept: &'static str,
    /// Changed alone and signed by a stranger.
    pub(crate) resigned: Fate,
    /// Changed with all that follows, and signed by a stranger.
    pub(crate) consistent: Fate,
    pub(crate) change: Change,
}

#[expect(clippy::too_many_arguments, reason = "the columns of a table")]
const fn row(
    leaf: &'static str,
    of: Of,
    tampering: &'static str,
    other: Other,
    kept: &'static str,
    resigned: Fate,
    consistent: Fate,
    change: Change,
) -> Row {
    Row {
        leaf,
        of,
        tampering,
        other,
        kept,
        resigned,
        consistent,
        change,
    }
}

/// A member that the manifest fixes: the same code whatever the attacker does.
const fn fixed(
    leaf: &'static str,
    tampering: &'static str,
    other: Other,
    code: &'static str,
    change: Change,
) -> Row {
    let fate = Rejected(code);
    row(leaf, Of::Any, tampering, other, code, fate, fate, change)
}

/// A constant of the format, or what has one value only.
const fn constant(
    leaf: &'static str,
    tampering: &'static str,
    other: Other,
    code: &'static str,
) -> Row {
    row(
        leaf,
        Of::Any,
        tampering,
        other,
        code,
        Rejected(code),
        Fate::None,
        nothing,
    )
}

/// What the proof binds: without a signature of one's own the old one is noticed first.
const fn proven(leaf: &'static str, tampering: &'static str, other: Other, change: Change) -> Row {
    let fate = Rejected("proof-invalid");
    let kept = "signature-invalid";
    row(leaf, Of::Any, tampering, other, kept, fate, fate, change)
}

/// What the signer says and nobody else.
const fn claim(leaf: &'static str, tampering: &'static str, other: Other, change: Change) -> Row {
    let kept = "signature-invalid";
    row(leaf, Of::Any, tampering, other, kept, Claim, Claim, change)
}

/// A member of a tensor record that the manifest fixes. Of a public tensor the record's own digest
/// notices a change alone.
const fn of_public(
    leaf: &'static str,
    tampering: &'static str,
    other: Other,
    change: Change,
) -> Row {
    let alone = "receipt-tensor-invalid";
    row(
        leaf,
        Of::Public,
        tampering,
        other,
        alone,
        Rejected(alone),
        Rejected("tensor-mismatch"),
        change,
    )
}

const fn of_hidden(
    leaf: &'static str,
    of: Of,
    tampering: &'static str,
    other: Other,
    change: Change,
) -> Row {
    let code = "tensor-mismatch";
    let fate = Rejected(code);
    row(leaf, of, tampering, other, code, fate, fate, change)
}

/// The leaves of a tensor record: name, type, dimension, visibility, values, digest, commitment.
macro_rules! tensor_leaves {
    ($list:literal) => {
        [
            concat!("/predicate/", $list, "/*/name"),
            concat!("/predicate/", $list, "/*/elem"),
            concat!("/predicate/", $list, "/*/shape/*"),
            concat!("/predicate/", $list, "/*/visibility"),
            concat!("/predicate/", $list, "/*/data"),
            concat!("/predicate/", $list, "/*/digest"),
            concat!("/predicate/", $list, "/*/commitment"),
        ]
    };
}

const INPUT: [&str; 7] = tensor_leaves!("inputs");
const OUTPUT: [&str; 7] = tensor_leaves!("outputs");

/// Every leaf of the payload.
pub(crate) static ROWS: &[Row] = &[
    constant(
        "/_type",
        "an older version",
        |_, _| quoted("https://in-toto.io/Statement/v0.1"),
        "receipt-unsupported",
    ),
    constant(
        "/subject/*/name",
        "another name",
        |_, _| quoted("other"),
        "receipt-subject-mismatch",
    ),
    constant(
        "/subject/*/digest/sha256",
        "another digest",
        |_, _| quoted(&Digest::of(b"other").to_hex()),
        "receipt-subject-mismatch",
    ),
    constant(
        "/predicateType",
        "the next version",
        |_, _| quoted("https://proofmark.dev/proven-inference/v2"),
        "receipt-unsupported",
    ),
    fixed(
        "/predicate/package",
        "another digest",
        other_digest,
        "package-not-pinned",
        |_, r, _| r.package = Digest::of(b"other"),
    ),
    fixed(
        "/predicate/model/name",
        "another name",
        |_, _| quoted("other"),
        "model-mismatch",
        |_, r, _| r.model.name = "other".to_owned(),
    ),
    fixed(
        "/predicate/model/version",
        "another version",
        |_, _| quoted("9.9"),
        "model-mismatch",
        |_, r, _| r.model.version = "9.9".to_owned(),
    ),
    fixed(
        "/predicate/model/integerModel",
        "another digest",
        other_digest,
        "model-mismatch",
        |_, r, _| r.model.integer_model = Digest::of(b"other"),
    ),
    fixed(
        "/predicate/circuit",
        "another digest",
        other_digest,
        "circuit-mismatch",
        |_, r, _| r.circuit = Digest::of(b"other"),
    ),
    fixed(
        "/predicate/verifyingKey",
        "another digest",
        other_digest,
        "verifying-key-mismatch",
        |_, r, _| r.verifying_key = Digest::of(b"other"),
    ),
    fixed(
        "/predicate/setup/kind",
        "the other kind",
        |_, old| {
            quoted(if old.contains("ceremony") {
                "single-party"
            } else {
                "ceremony"
            })
        },
        "setup-mismatch",
        |_, r, _| {
            r.setup.kind = match r.setup.kind {
                SetupKind::SingleParty => SetupKind::Ceremony,
                SetupKind::Ceremony => SetupKind::SingleParty,
            }
        },
    ),
    fixed(
        "/predicate/setup/transcript",
        "another digest",
        other_digest,
        "setup-mismatch",
        |_, r, _| r.setup.transcript = Digest::of(b"other"),
    ),
    row(
        "/predicate/proofSystem/name",
        Of::Any,
        "the other proof system",
        |case, _| quoted(case.other_backend().proof_system_name()),
        "receipt-unsupported",
        Rejected("receipt-unsupported"),
        Rejected("proof-system-mismatch"),
        other_proof_system,
    ),
    row(
        "/predicate/proofSystem/id",
        Of::Any,
        "the other proof system",
        |case, _| quoted(case.other_backend().proof_system_id()),
        "receipt-unsupported",
        Rejected("receipt-unsupported"),
        Rejected("proof-system-mismatch"),
        other_proof_system,
    ),
    fixed(
        "/predicate/runtime/onnxruntime",
        "another version",
        |_, _| quoted("1.30.0"),
        "runtime-mismatch",
        |_, r, _| r.runtime.onnxruntime = "1.30.0".to_owned(),
    ),
    constant(
        "/predicate/runtime/provider",
        "another provider",
        |_, _| quoted("CUDAExecutionProvider"),
        "receipt-malformed",
    ),
    constant(
        "/predicate/runtime/optimization",
        "another level",
        |_, _| quoted("enable-all"),
        "receipt-malformed",
    ),
    claim(
        "/predicate/software/name",
        "another name",
        |_, _| quoted("other"),
        |_, r, _| r.software.name = "other".to_owned(),
    ),
    claim(
        "/predicate/software/version",
        "another version",
        |_, _| quoted("9.9"),
        |_, r, _| r.software.version = "9.9".to_owned(),
    ),
    proven(
        "/predicate/context/chainId",
        "another chain",
        other_word,
        |_, r, _| r.context.chain_id[31] ^= 1,
    ),
    proven(
        "/predicate/context/consumer",
        "another contract",
        |_, _| quoted(&format!("0x{}", "07".repeat(20))),
        |_, r, _| r.context.consumer[0] ^= 1,
    ),
    proven(
        "/predicate/context/requester",
        "another requester",
        other_word,
        |_, r, _| r.context.requester[0] ^= 1,
    ),
    proven(
        "/predicate/context/nonce",
        "another nonce",
        other_word,
        |_, r, _| r.context.nonce[0] ^= 1,
    ),
    proven(
        "/predicate/context/deadline",
        "another deadline",
        |_, old| format!("{}7", old.trim_start_matches('0')),
        |_, r, _| r.context.deadline += 1,
    ),
    of_public(INPUT[0], "another name", |_, _| quoted("other"), rename),
    of_public(INPUT[1], "another type", other_elem, retype),
    of_public(INPUT[2], "another dimension", longer, reshape),
    of_public(INPUT[3], "hashed", |_, _| quoted("hashed"), hide),
    data(INPUT[4]),
    digest(INPUT[5]),
    of_hidden(
        INPUT[0],
        Of::HiddenInput,
        "another name",
        |_, _| quoted("other"),
        rename,
    ),
    of_hidden(
        INPUT[1],
        Of::HiddenInput,
        "another type",
        other_elem,
        retype,
    ),
    of_hidden(
        INPUT[2],
        Of::HiddenInput,
        "another dimension",
        longer,
        reshape,
    ),
    of_hidden(
        INPUT[3],
        Of::HiddenInput,
        "the other hidden kind",
        other_hidden,
        rehide,
    ),
    row(
        INPUT[6],
        Of::HiddenInput,
        "another commitment",
        other_word,
        "signature-invalid",
        Rejected("proof-invalid"),
        Rejected("proof-invalid"),
        recommit,
    ),
    of_public(OUTPUT[0], "another name", |_, _| quoted("other"), rename),
    of_public(OUTPUT[1], "another type", other_elem, retype),
    of_public(OUTPUT[2], "another dimension", longer, reshape),
    of_public(OUTPUT[3], "hashed", |_, _| quoted("hashed"), hide),
    data(OUTPUT[4]),
    digest(OUTPUT[5]),
    // The subject names the outputs, so it notices a change of a name or commitment first.
    row(
        OUTPUT[0],
        Of::HiddenOutput,
        "another name",
        |_, _| quoted("other"),
        "receipt-subject-mismatch",
        Rejected("receipt-subject-mismatch"),
        Rejected("tensor-mismatch"),
        rename,
    ),
    of_hidden(
        OUTPUT[1],
        Of::HiddenOutput,
        "another type",
        other_elem,
        retype,
    ),
    of_hidden(
        OUTPUT[2],
        Of::HiddenOutput,
        "another dimension",
        longer,
        reshape,
    ),
    of_hidden(
        OUTPUT[3],
        Of::HiddenOutput,
        "the other hidden kind",
        other_hidden,
        rehide,
    ),
    row(
        OUTPUT[6],
        Of::HiddenOutput,
        "another commitment",
        other_word,
        "receipt-subject-mismatch",
        Rejected("receipt-subject-mismatch"),
        Rejected("proof-invalid"),
        recommit,
    ),
    proven(
        "/predicate/proof",
        "a true proof of another statement",
        |case, _| quoted(&BASE64.encode(case.other_proof)),
        |case, r, _| r.proof = case.other_proof,
    ),
    claim(
        "/predicate/timing/provedAt",
        "another time",
        |_, _| "1".to_owned(),
        |_, r, _| r.proved_at = 1,
    ),
    constant(
        "/predicate/signer/ed25519",
        "another key",
        other_word,
        "key-id-mismatch",
    ),
];

const fn data(leaf: &'static str) -> Row {
    let alone = "receipt-tensor-invalid";
    row(
        leaf,
        Of::Public,
        "another value",
        |_, old| {
            let mut bytes = BASE64.decode(old.trim_matches('"')).unwrap();
            bytes[0] ^= 1;
            quoted(&BASE64.encode(bytes))
        },
        alone,
        Rejected(alone),
        Rejected("proof-invalid"),
        |_, r, place| {
            let record = place.record(r);
            edit(record, |_, _, data| data[0] ^= 1);
        },
    )
}

const fn digest(leaf: &'static str) -> Row {
    let alone = "receipt-tensor-invalid";
    row(
        leaf,
        Of::Public,
        "another digest",
        other_digest,
        alone,
        Rejected(alone),
        Fate::None,
        nothing,
    )
}

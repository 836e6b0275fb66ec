//! What the service needs of a proving engine. The engine itself lives elsewhere: this crate knows
//! no runtime, no circuit and no key.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use proofmark_types::card::Card;
use proofmark_types::{Context, Digest, IntTensor, Manifest};

/// A proving engine for one sealed package.
pub trait ProvingBackend: Send + Sync + 'static {
    /// The manifest of the package; it must be sealed.
    fn manifest(&self) -> &Manifest;

    /// Digest of the package, that is of [`manifest_bytes`](Self::manifest_bytes).
    fn package_digest(&self) -> Digest;

    /// The manifest in its one encoding.
    fn manifest_bytes(&self) -> &[u8];

    /// The verifying key as the package stores it.
    fn verifying_key_bytes(&self) -> &[u8];

    /// The setup transcript as the package stores it.
    fn transcript_bytes(&self) -> &[u8];

    /// How people are shown the model, in the operator's words.
    fn card(&self) -> Option<&Card>;

    /// Attestations of the package's audits that are handed out, by the names of their files. The
    /// service does not start unless each is one of this package.
    fn attestations(&self) -> &BTreeMap<String, Vec<u8>>;

    /// The folder of the package, when its operator hands the whole of it out: every file that the
    /// manifest names, the model's weights among them. Unless a backend says otherwise, none is.
    fn shared_folder(&self) -> Option<&Path> {
        None
    }

    /// Runs the model in ONNX Runtime, evaluates it again, fills the witness, proves, verifies the
    /// proof and signs the receipt; `begun` is told of each stage when it begins. Blocks, and uses the processor heavily; the service calls it
    /// from its own threads, several at a time when it is configured with several workers.
    ///
    /// # Errors
    /// [`BackendError`]. An answer that was not proven and verified must be an error: whatever is
    /// returned is served.
    fn prove(&self, request: ProveRequest, begun: &dyn Fn(Stage)) -> Result<Proven, BackendError>;
}

/// What an engine does for one request, in this order.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stage {
    /// ONNX Runtime runs the model.
    Runtime,
    /// The model is evaluated again, and the witness filled.
    Witness,
    /// The proof is made.
    Proving,
    /// The proof is verified as its recipient will.
    Verifying,
}

impl Stage {
    /// The stage in a word, as in `Server-Timing`.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Runtime => "runtime",
            Self::Witness => "witness",
            Self::Proving => "proving",
            Self::Verifying => "verifying",
        }
    }
}

/// One inference to run and prove.
#[derive(Debug, Clone)]
pub struct ProveRequest {
    /// One tensor for each input of the manifest, of the declared type and shape. Float inputs
    /// have been quantized with the manifest's quantizer before they get here.
    pub inputs: BTreeMap<String, IntTensor>,
    /// What the proof is bound to.
    pub context: Context,
}

/// A result whose proof was made and verified.
#[derive(Debug, Clone)]
pub struct Proven {
    /// The DSSE envelope, byte for byte as it is to be stored and handed out.
    pub receipt: Vec<u8>,
    /// The receipt's identifier: SHA-256 of the signed payload.
    pub receipt_id: Digest,
    /// The outputs in graph order, exactly as ONNX Runtime computed them.
    pub outputs: Vec<(String, IntTensor)>,
    /// Salts of private inputs and outputs, for the caller alone: they are in no receipt.
    pub openings: Vec<Opening>,
    /// What took how long.
    pub timings: Timings,
}

/// What opens the commitment to a private tensor.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Opening {
    /// Name of the input or output.
    pub tensor: String,
    /// The salt, a field element as 32 bytes big-endian.
    pub salt: [u8; 32],
}

/// Durations of one proof.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Timings {
    /// ONNX Runtime.
    pub runtime: Duration,
    /// Evaluator and witness.
    pub witness: Duration,
    /// Proof.
    pub proving: Duration,
    /// Verification of the proof that was made.
    pub verifying: Duration,
}

/// Whose fault an error is; it decides the HTTP status.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ErrorClass {
    /// The request's: 400, and the detail is shown to the client.
    Input,
    /// Nobody's, try again later: 503.
    Busy,
    /// The service's: 500, and the detail is only logged.
    Internal,
}

/// Why there is no proven result.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{detail} ({code})")]
pub struct BackendError {
    /// Stable kebab-case code.
    pub code: &'static str,
    /// Whose fault it is.
    pub class: ErrorClass,
    /// What happened, lower case, with the remedy.
    pub detail: String,
}

//! What can go wrong between a model and a receipt.

use std::path::PathBuf;

use proofmark_onnx::OnnxError;
use proofmark_ops::OpsError;
use proofmark_package::PackageError;
use proofmark_prover::ProverError;
use proofmark_quantizer::QuantizeError;
use proofmark_runtime::RuntimeError;
use proofmark_types::Digest;
use proofmark_types::manifest::{DriftSource, ManifestError, ReferenceReport};
use proofmark_types::receipt::ReceiptError;
use proofmark_types::statement::StatementError;
use proofmark_validation::ValidationError;
use proofmark_verifier::Rejection;

/// An engine error.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum EngineError {
    /// ONNX Runtime and the circuit disagree on a served result: never served.
    #[error(
        "output {output:?} differs at element {index}: the runtime computed {runtime}, the circuit {circuit}"
    )]
    Divergence {
        /// Output name.
        output: String,
        /// Row-major element.
        index: usize,
        /// The runtime's value.
        runtime: i64,
        /// The circuit's value.
        circuit: i64,
    },
    /// The package's integer model compiles to another circuit than the package says.
    #[error(
        "the model compiles to circuit {got}, the package says {expected}; the package was made by another compiler or is forged"
    )]
    CircuitDigest {
        /// From the manifest.
        expected: Digest,
        /// Compiled.
        got: Digest,
    },
    /// The manifest describes other tensors than the integer model has.
    #[error("the manifest and the integer model disagree about {what}")]
    ManifestMismatch {
        /// What they disagree about.
        what: String,
    },
    /// The package says nothing of what ONNX Runtime computes of its model.
    #[error(
        "package {} has no translation report; import it again, or run `proofmark setup` on its draft again",
        folder.display()
    )]
    TranslationMissing {
        /// The package's folder.
        folder: PathBuf,
    },
    /// The integer model computes other integers than the model that it was imported from.
    #[error(
        "the integer model computes other integers than the original does on this machine at reference level {:?}: {}",
        .0.level.name(), worst(.0)
    )]
    Drift(Box<ReferenceReport>),
    /// The original computes in floats what the integer model computes in integers, so that no
    /// comparison on samples shows that they agree.
    #[error(
        "{} of the original {} no exact integer form, though no output differed: {}",
        match .0.inexact.len() {
            1 => "1 node".to_owned(),
            count => format!("{count} nodes"),
        },
        if .0.inexact.len() == 1 { "has" } else { "have" },
        rewrites(.0)
    )]
    Inexact(Box<ReferenceReport>),
    /// The accepted drift is no share.
    #[error("the accepted drift is no rate from 0 to 1")]
    AcceptedDrift,
    /// A model input is missing, unknown, or of another type or shape.
    #[error("input {name:?}: {reason}")]
    Input {
        /// Its name.
        name: String,
        /// What is wrong, and what is expected.
        reason: String,
    },
    /// The service's signing key cannot be used.
    #[error("service key {}: {reason}", path.display())]
    ServiceKey {
        /// Where it is.
        path: PathBuf,
        /// Why not.
        reason: String,
    },
    /// The folder for precomputed multiples cannot be made.
    #[error("cannot make the folder {} for the prover's tables; give one that can be written, or no memory for tables", folder.display())]
    TableFolder {
        /// Where it was to be.
        folder: PathBuf,
        /// Why not.
        source: std::io::Error,
    },
    /// The operating system gave no randomness.
    #[error("the operating system gave no randomness: {reason}")]
    Randomness {
        /// Why not.
        reason: String,
    },
    /// The finished receipt does not verify: a bug, never served.
    #[error(
        "the finished receipt does not verify; delete the service's folder of tables (a changed file there spoils proofs), then check the machine's memory"
    )]
    OwnReceipt(#[source] Rejection),
    /// The package's verifying key is refused.
    #[error(transparent)]
    Rejected(Rejection),
    /// The float or integer model cannot be read.
    #[error(transparent)]
    Onnx(#[from] OnnxError),
    /// The integer model cannot be compiled or evaluated.
    #[error(transparent)]
    Ops(#[from] OpsError),
    /// The package folder.
    #[error(transparent)]
    Package(#[from] PackageError),
    /// Keys and proofs.
    #[error(transparent)]
    Prover(#[from] ProverError),
    /// ONNX Runtime.
    #[error(transparent)]
    Runtime(#[from] RuntimeError),
    /// The translation does not hold, its report does not fit, or the runtime computes other
    /// integers here.
    #[error(transparent)]
    Validation(Box<ValidationError>),
    /// The float model cannot be quantized.
    #[error(transparent)]
    Quantize(#[from] QuantizeError),
    /// The manifest would be invalid.
    #[error(transparent)]
    Manifest(#[from] ManifestError),
    /// The receipt would be invalid.
    #[error(transparent)]
    Receipt(#[from] ReceiptError),
    /// The statement would be invalid.
    #[error(transparent)]
    Statement(#[from] StatementError),
}

/// The kind of inputs on which the largest share of the output integers differs, in words.
fn worst(report: &ReferenceReport) -> String {
    // The one with the larger share, by cross-multiplication.
    let part =
        |a: &DriftSource, b: &DriftSource| u128::from(a.different) * u128::from(b.compared.max(1));
    let sources = report.drift.iter();
    let Some(source) = sources.max_by(|a, b| part(a, b).cmp(&part(b, a))) else {
        return "nothing was compared".to_owned();
    };
    format!(
        "worst on {} inputs, where {} of {} differ, by up to {}",
        source.inputs.name(),
        source.different,
        source.compared,
        source.largest_step
    )
}

/// Rewrites that are not exact, the first few in words.
fn rewrites(report: &ReferenceReport) -> String {
    let first = report.inexact.iter().take(8);
    let each = first.map(|rewrite| format!("{:?}: {}", rewrite.node, rewrite.reason));
    let mut text = each.collect::<Vec<_>>().join("; ");
    if report.inexact.len() > 8 {
        text.push_str("; …");
    }
    text
}

impl From<ValidationError> for EngineError {
    fn from(error: ValidationError) -> Self {
        Self::Validation(Box::new(error))
    }
}

impl EngineError {
    /// Stable kebab-case code.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Divergence { .. } => "engine-divergence",
            Self::CircuitDigest { .. } => "circuit-digest-mismatch",
            Self::ManifestMismatch { .. } => "manifest-mismatch",
            Self::TranslationMissing { .. } => "translation-missing",
            Self::Drift(_) => "model-drift",
            Self::Inexact(_) => "model-inexact",
            Self::AcceptedDrift => "accepted-drift-invalid",
            Self::Input { .. } => "input-mismatch",
            Self::ServiceKey { .. } => "service-key",
            Self::TableFolder { .. } => "key-io",
            Self::Randomness { .. } => "no-randomness",
            Self::OwnReceipt(_) => "own-receipt-rejected",
            Self::Rejected(rejection) => rejection.code(),
            Self::Onnx(error) => error.code(),
            Self::Ops(error) => error.code(),
            Self::Package(error) => error.code(),
            Self::Prover(error) => error.code(),
            Self::Runtime(error) => error.code(),
            Self::Validation(error) => error.code(),
            Self::Quantize(error) => error.code(),
            Self::Manifest(error) => error.code(),
            Self::Receipt(error) => error.code(),
            Self::Statement(error) => error.code(),
        }
    }

    /// Whether the caller's input is at fault (and not the service).
    pub fn is_input(&self) -> bool {
        matches!(self, Self::Input { .. })
    }
}
